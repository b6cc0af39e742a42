#!/usr/bin/env python3
"""TLS to the store: what is accepted, what is refused and how that is told, certificates read anew."""

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import warnings

from harness import LIMIT, Bridge, Store, World, equal, has, main, numbers, test, true, until

FOLDER = tempfile.mkdtemp(prefix="esb-tls-")
ADMIN = {"username": "admin", "password": "changeit"}


def path(name):
    return os.path.join(FOLDER, name)


def openssl(*arguments):
    done = subprocess.run(("openssl",) + arguments, capture_output=True, text=True, check=False)
    equal(done.returncode, 0, "openssl %s: %s" % (" ".join(arguments), done.stderr))


def authority(name):
    """A certificate that may sign others: NAME.pem, NAME.key."""
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
            "-keyout", path(name + ".key"), "-out", path(name + ".pem"), "-subj", "/CN=" + name)


def certificate(name, by, names, days=30):
    """NAME.pem and NAME.key, signed by the authority BY, for NAMES as in a subjectAltName."""
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", path(name + ".key"),
            "-out", path(name + ".csr"), "-subj", "/CN=store", "-addext", "subjectAltName=" + names)
    openssl("x509", "-req", "-in", path(name + ".csr"), "-CA", path(by + ".pem"), "-CAkey", path(by + ".key"),
            "-CAcreateserial", "-days", str(days), "-copy_extensions", "copy", "-out", path(name + ".pem"))


def tls(**members):
    """Settings of the daemon."""
    return {"store": dict({"tls": "require", "tls_ca": path("ca.pem"), "reconnect_delay_max": "200ms", **ADMIN}, **members)}


def speaks(name):
    """Arguments of a memstore with the certificate NAME."""
    return ["--tls-cert", path(name + ".pem"), "--tls-key", path(name + ".key")]


@contextlib.contextmanager
def refused(settings, *words, port=None, server="good"):
    """A world whose daemon cannot connect, and whose status and log say each of WORDS."""
    world = World(settings, start=False, store=port is None, port=port,
                  store_arguments=speaks(server) if server else ["--heartbeat-interval", "200"])
    with world:
        if world.store:
            world.store.start()
            world.port = world.store.port
        world.bridge = Bridge(world.folder, {"socket": {"path": os.path.join(world.folder, "socket")},
                                             "store": dict({"server": "127.0.0.1:%d" % world.port}, **settings["store"])})
        world.bridge.start()

        def told():
            store = world.status()["store"]
            return store.get("last_error") if all(w in store.get("last_error", "") for w in words) else None
        until(told, "last_error with %r, not %r" % (words, world.status()["store"].get("last_error")))
        equal(world.status()["store"]["connects"], 0, "connects")
        true(all(w in world.bridge.said() for w in words), "the log says %r" % (words,))
        with world.bridge.client() as client:
            client.fails("ping", "unavailable", timeout_ms=50)
        yield world


class Front:
    """Speaks TLS by Python's own module, and relays to PORT without it."""

    def __init__(self, port, context, piece=1 << 16):
        self.target, self.context, self.piece = port, context, piece
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.faults, self.peers, self.socks = [], [], []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                plain = self.listener.accept()[0]
                self.socks.append(plain)
                threading.Thread(target=self.serve, args=(plain,), daemon=True).start()

    def serve(self, plain):
        try:
            near = self.context.wrap_socket(plain, server_side=True)
        except (OSError, ssl.SSLError) as fault:
            self.faults.append(str(fault))
            plain.close()
            return
        self.peers.append((near.getpeercert(), near.version()))
        far = socket.create_connection(("127.0.0.1", self.target))
        self.socks += [near, far]
        threading.Thread(target=self.relay, args=(near, far), daemon=True).start()
        self.relay(far, near)

    def relay(self, one, other):
        with contextlib.suppress(OSError, ssl.SSLError, ValueError):
            while True:
                data = one.recv(1 << 16)
                if not data:
                    break
                for at in range(0, len(data), self.piece):
                    other.sendall(data[at:at + self.piece])
        for sock in (one, other):
            with contextlib.suppress(OSError):
                sock.close()

    def close(self):
        for sock in [self.listener] + self.socks:
            with contextlib.suppress(OSError):
                sock.close()


@contextlib.contextmanager
def fronted(settings, **options):
    """A world whose daemon reaches a plain memstore through a Front."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path("good.pem"), path("good.key"))
    for name, value in options.pop("context", {}).items():
        setattr(context, name, value)
    if context.verify_mode != ssl.CERT_NONE:
        context.load_verify_locations(path("ca.pem"))
    store_folder = tempfile.mkdtemp(dir=FOLDER)
    store = Store(store_folder)
    store.start()
    front = Front(store.port, context, **options)
    world = World(settings, store=False, port=front.port)
    world.front = front
    try:
        with world:
            yield world
    finally:
        front.close()
        store.kill()


@test("over TLS: writes, reads, a large event, subscriptions, acks; status names the version")
def _():
    with World(tls(), speaks("good")) as world:
        client, stream = world.client(), world.stream()
        has(world.status()["store"], state="ready", tls="TLSv1.3")
        client.write(stream, *["e%d" % n for n in range(1000)])
        large = {"event_type": "large", "data_text": "x" * (4 << 20)}
        client.write(stream, large)
        equal(numbers(client.read(stream, 0, 1000)["events"]), list(range(1000)), "numbers")
        read = client.execute("ReadEvent", {"event_stream_id": stream, "event_number": 1000})["event"]["event"]
        equal(len(read["data_base64"]), (4 << 20) // 3 * 4 + 4, "length of the large event in base64")
        client.execute("CreatePersistentSubscription",
                       {"event_stream_id": stream, "subscription_group_name": "g", "start_from": 990})
        client.subscribe(stream=stream, group="g", sub="group", in_flight=10)
        for number in range(990, 1000):
            push = client.push("event")
            equal(push["event"]["event_number"], number, "number")
            client.send({"op": "ack", "sub": "group", "events": [push["ack_id"]]})
        equal(client.push("event")["event"]["event_number"], 1000, "the large one by the group")
        client.ok("unsubscribe", sub="group")
        client.subscribe(stream=stream, sub="all", **{"from": 0})
        equal([client.push("event")["event"]["event_number"] for _ in range(1001)], list(range(1001)), "catch-up")
        client.push("caught_up")
        client.write(stream, "live")
        equal(client.push("event")["event"]["event_number"], 1001, "live")


@test("64 requests in flight and 32 MiB each way, records in pieces of 700 bytes")
def _():
    with fronted(tls(), piece=700) as world:
        world.connected()
        client, stream = world.client(), world.stream()
        text = "x" * (512 << 10)
        for n in range(64):
            client.send({"op": "execute", "id": n, "message": "WriteEvents",
                         "body": {"event_stream_id": stream, "events": [{"event_type": "t", "data_text": text}]},
                         "timeout_ms": 60000})
        for n in range(64):
            has(client.reply(n, 60)["ok"]["body"], result="Success", first_event_number=n)
        for n in range(64):
            events = client.read(stream, n, 1, timeout_ms=60000, limit=60)["events"]
            equal(len(events[0]["event"]["data_base64"]), ((512 << 10) + 2) // 3 * 4, "length in base64")


@test("the store goes and comes back: connected again over TLS, a subscription goes on")
def _():
    with World(tls(), speaks("good")) as world:
        client, stream = world.client(), world.stream()
        client.subscribe(stream=stream, sub="s")
        world.store.kill()
        client.push("interrupted")
        world.store.start()
        client.push("resumed")
        client.write(stream, "again")
        equal(client.push("event")["event"]["event_type"], "again", "type")


@test("a certificate by an unknown authority is refused, with the reason")
def _():
    with refused(tls(tls_ca=path("other.pem")), "certificate not accepted", "issuer"):
        pass


@test("an expired certificate is refused, with the reason")
def _():
    with refused(tls(), "certificate has expired", server="expired"):
        pass


@test("a certificate for another name is refused, and both names are told")
def _():
    with refused(tls(), "name mismatch", "127.0.0.1", "elsewhere.example", server="elsewhere"):
        pass


@test("tls_server_name: the certificate may be for that name")
def _():
    with World(tls(tls_server_name="elsewhere.example"), speaks("elsewhere")) as world:
        has(world.status()["store"], tls="TLSv1.3")


@test("a host name is what the certificate must be for, an address is not needed in it")
def _():
    store = Store(tempfile.mkdtemp(dir=FOLDER), speaks("named"))
    store.start()
    try:
        with World(tls(server="localhost:%d" % store.port), store=False, port=store.port) as world:
            world.connected()
    finally:
        store.kill()


@test("tls_verify = no takes any certificate, and the log warns")
def _():
    with World(tls(tls_verify="no", tls_ca=""), speaks("expired")) as world:
        has(world.status()["store"], tls="TLSv1.3")
        true("certificates are not checked" in world.bridge.said(), "a warning in the log")


@test("a plain server behind a TLS configuration: not a TLS server")
def _():
    with refused(tls(), "not a TLS server", server=None):
        pass


@test("a server that says nothing: the handshake ends in its time, and it is told")
def _():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        with refused(tls(connect_timeout="100ms"), "no answer to the handshake", port=mute.getsockname()[1]):
            pass


@test("a TLS server behind a plain configuration: told to require TLS")
def _():
    with refused({"store": dict(ADMIN, reconnect_delay_max="200ms")}, "TLS", "store.tls"):
        pass


@test("TLS 1.2 is spoken, 1.1 is not")
def _():
    with fronted(tls(), context={"maximum_version": ssl.TLSVersion.TLSv1_2}) as world:
        world.connected()
        has(world.status()["store"], tls="TLSv1.2")
        world.client().write(world.stream(), "a")
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.load_cert_chain(path("good.pem"), path("good.key"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    front = Front(1, old)
    try:
        with refused(tls(), "tls: handshake failed", port=front.port):
            pass
    finally:
        front.close()


@test("a server that asks for a certificate gets the daemon's own")
def _():
    needs = {"verify_mode": ssl.CERT_REQUIRED}
    own = {"tls_certificate": path("daemon.pem"), "tls_key": path("daemon.key")}
    with fronted(tls(**own), context=needs) as world:
        world.connected()
        world.client().write(world.stream(), "a")
        names = world.front.peers[0][0]["subjectAltName"]
        equal(names, (("DNS", "daemon.example"),), "names of the certificate that was shown")
    with fronted(tls(), context=needs) as world:
        until(lambda: world.front.faults, "the server refuses a daemon without certificate")
        equal(world.status()["store"]["connects"], 0, "connects")


@test("certificates are read anew at a reload, for the next connection; a bad file changes nothing")
def _():
    shutil.copy(path("ca.pem"), path("trusted.pem"))
    with World(tls(tls_ca=path("trusted.pem")), speaks("good")) as world:
        shutil.copy(path("other.pem"), path("trusted.pem"))
        world.bridge.process.send_signal(1)
        until(lambda: "settings read again" in world.bridge.said(), "reloaded")
        world.client().write(world.stream(), "the connection stays")
        world.store.kill()
        world.store.start()
        until(lambda: "issuer" in world.status()["store"].get("last_error", ""), "the new authority is asked")
        with open(path("trusted.pem"), "w", encoding="ascii") as file:
            file.write("no certificate\n")
        world.bridge.process.send_signal(1)
        until(lambda: "the settings stay as they were" in world.bridge.said(), "a bad file is refused")
        true("trusted.pem" in world.bridge.said(), "the log names the file")
        shutil.copy(path("ca.pem"), path("trusted.pem"))
        world.bridge.process.send_signal(1)
        world.connected()


def complaint(settings):
    """What --check says of SETTINGS."""
    world = World(start=False)
    try:
        bridge = Bridge(world.folder, settings)
        bridge.write_config()
        done = subprocess.run([os.environ["ESBRIDGED"], "--check", "-c", bridge.config], capture_output=True, text=True,
                              check=False, timeout=LIMIT)
        equal(done.returncode, 78, "status of --check: %s" % done.stderr)
        return done.stderr
    finally:
        world.abandon()


@test("settings that cannot be: told with file, line and reason, exit 78")
def _():
    for members, words in (
            (dict(tls_ca=path("missing.pem")), (":2:", "missing.pem", "No such file")),
            (dict(tls_certificate=path("good.pem"), tls_key=path("daemon.key")), ("daemon.key",)),
            (dict(tls_certificate=path("ca.key")), ("certificate", "ca.key")),
            (dict(tls_key=path("good.key")), ("tls_key without tls_certificate",)),
            (dict(tls="maybe"), ("off", "require"))):
        text = complaint({"store": dict({"tls": "require"}, **members)})
        true(all(word in text for word in words), "%r in %r" % (words, text))


@test("the memstore: a key without a certificate, a file that is none")
def _():
    memstore = os.environ["MEMSTORE"]
    for arguments, status in ((["--tls-key", path("good.key")], 64), (["--tls-cert", path("missing.pem")], 69)):
        done = subprocess.run([memstore, "--port", "0"] + arguments, capture_output=True, text=True, check=False,
                              timeout=LIMIT)
        equal(done.returncode, status, "status with %r: %s" % (arguments, done.stderr))
        true("tls" in done.stderr.lower(), "a reason in %r" % done.stderr)


try:
    authority("ca")
    authority("other")
    certificate("good", "ca", "IP:127.0.0.1,DNS:localhost")
    certificate("named", "ca", "DNS:localhost")
    certificate("elsewhere", "ca", "DNS:elsewhere.example")
    certificate("expired", "ca", "IP:127.0.0.1", days=-1)
    certificate("daemon", "ca", "DNS:daemon.example")
    main(shared=False)
finally:
    shutil.rmtree(FOLDER, ignore_errors=True)
