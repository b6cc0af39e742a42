#!/usr/bin/env python3
"""Passwords: in the memory of the daemon only as long and as often as they must be, and nowhere else.

The memory of the daemon is searched as root can search it. Any other user must not see it at all, which is what is asserted then;
that buffers leave nothing behind is tested in tests/unit too.
"""

import base64
import contextlib
import json
import os
import random
import signal
import string
import subprocess
import tempfile

from harness import ESBRIDGED, Client, World, equal, has, main, merged, test, true, until

SEARCHED = 1 << 30   # larger mappings are those of a sanitizer, and no memory of the daemon
PIECE = 8            # bytes of a password that count as a find


def secret():
    return "".join(random.SystemRandom().choices(string.ascii_letters + string.digits, k=24))


def escaped(text):
    return "".join("\\u%04x" % ord(c) for c in text)


def forms(text):
    """Pieces of TEXT in each form that it may have had: raw, escaped as in JSON, base64 at each of three places."""
    found = [text[i:i + PIECE].encode() for i in range(0, len(text), PIECE)]
    found += [escaped(text[i:i + PIECE]).encode() for i in range(0, len(text), PIECE)]
    return found + [base64.b64encode(b"x" * i + text.encode())[4:4 + 2 * PIECE] for i in range(3)]


def memory(world):
    """What the daemon has in its memory, one mapping after the other, or None where it may not be seen."""
    folder = "/proc/%d/" % world.bridge.process.pid
    try:
        with open(folder + "maps", encoding="utf-8") as maps, open(folder + "mem", "rb", buffering=0) as mem:
            pieces = []
            for line in maps:
                first, last = (int(n, 16) for n in line.split()[0].split("-"))
                if line.split()[1][0] == "r" and last - first < SEARCHED:
                    with contextlib.suppress(OSError, ValueError, OverflowError):   # those of the kernel
                        mem.seek(first)
                        pieces.append(mem.read(last - first))
            return pieces
    except PermissionError:
        true(os.geteuid() != 0, "root may see all")
        return None


def finds(world, *texts):
    """How many pieces of each of TEXTS are in the memory of the daemon; the most of one piece counts for its text."""
    there = memory(world)
    return None if there is None else [max(sum(m.count(form) for m in there) for form in forms(text)) for text in texts]


def gone(world, *texts):
    found = finds(world, *texts)
    true(found is None or not any(found), "a password is left in the memory of the daemon: %r" % found)


def once(world, *texts):
    found = finds(world, *texts)
    true(found is None or found == [1] * len(texts), "once in the memory of the daemon each: %r" % found)


def nowhere(world, *texts):
    """None of TEXTS in what anybody can read."""
    said = [world.bridge.said()]
    with world.client() as client:
        for op, members in (("hello", {}), ("status", {}), ("status", {"all": os.geteuid() == 0}), ("metrics", {})):
            said.append(json.dumps(client.ask(dict({"op": op}, **members))))
    with open("/proc/%d/cmdline" % world.bridge.process.pid, encoding="utf-8") as file:
        said.append(file.read())
    with contextlib.suppress(PermissionError), open("/proc/%d/environ" % world.bridge.process.pid, encoding="utf-8") as file:
        said.append(file.read())
    printed = subprocess.run([ESBRIDGED, "-c", world.bridge.config, "--print-config"], capture_output=True, text=True, check=True)
    said += [printed.stdout, printed.stderr]
    for text in texts:
        for form in forms(text):
            true(not any(form.decode() in one for one in said), "no password in what everybody can read")


def request(op, password, **members):
    return dict({"op": op, "credentials": {"username": "admin", "password": password}}, **members)


def write(stream, password, size=10):
    return request("execute", password, message="WriteEvents",
                   body={"event_stream_id": stream, "events": [{"event_type": "e", "data": "x" * size}]})


def settings_with(password, file=None, log_format="text", **store):
    how = {"password_file": file} if file else {"password": password}
    return {"store": dict({"username": "admin", "reconnect_delay_max": "200ms"}, **how, **store),
            "daemon": {"log_level": "debug", "log_format": log_format}}


def store_with(password, *more):
    return ["--password", password, *more]


def restart_store(world, password):
    """The store goes away, and comes back with another password for its users."""
    world.store.terminate()
    world.store.arguments = store_with(password)
    world.store.start()


def read_again(world, settings):
    world.bridge.settings = merged(world.bridge.settings, settings)
    world.bridge.write_config()
    before = world.bridge.said().count("settings read again")
    world.bridge.process.send_signal(signal.SIGHUP)
    until(lambda: world.bridge.said().count("settings read again") > before, "the settings are read again")


# The configured one -----------------------------------------------------------------------------------------

@test("password in the settings: once in memory, after reconnects too; a reload brings another, and the old one is gone")
def _():
    old, new = secret(), secret()
    with World(settings_with(old), store_with(old)) as world:
        client = world.client()
        client.ok("ping")
        once(world, old)
        restart_store(world, new)
        until(lambda: "not authenticated" in world.status()["store"].get("last_error", ""), "the old one is refused")
        once(world, old)
        read_again(world, settings_with(new))
        gone(world, old)
        restart_store(world, new)
        world.connected()
        once(world, new)
        nowhere(world, old, new)


@test("password_file, absolute and as a credential of systemd: once in memory; read anew at reload")
def _():
    old, new = secret(), secret()
    for name in ("absolute", "credential"):
        with tempfile.TemporaryDirectory(prefix="esb-") as folder:
            path = os.path.join(folder, "word")

            def put(text, path=path):
                with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
                    file.write(text + "\nnot this\n")
            put(old)
            os.environ["CREDENTIALS_DIRECTORY"] = folder
            try:
                with World(settings_with(None, path if name == "absolute" else "word", "json"), store_with(old)) as world:
                    once(world, old)
                    put(new)
                    read_again(world, {})
                    gone(world, old)
                    once(world, new)
                    nowhere(world, old, new)
            finally:
                del os.environ["CREDENTIALS_DIRECTORY"]


@test("the password of an access rule: once in memory, and once more for each subscription as that user")
def _():
    word = secret()
    with tempfile.TemporaryDirectory(prefix="esb-") as folder:
        path = os.path.join(folder, "word")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
            file.write(word)
        rule = {"access all": {"users": str(os.getuid()), "allow": "read, write, subscribe, admin", "username": "admin", "password_file": path}}
        with World(merged({"daemon": {"log_level": "debug"}}, rule), store_with(word)) as world:
            client = world.client()
            client.write("$mine", "a")
            client.execute("ReadAllEvents", {"max_count": 1})
            once(world, word)
            sub = client.subscribe(stream="$mine", mode="live", window=0)
            found = finds(world, word)
            true(found is None or 2 <= found[0] <= 4, "in the memory for a subscription: %r" % found)
            client.ok("unsubscribe", sub=sub)
            until(lambda: finds(world, word) in (None, [1]), "as before")
            nowhere(world, word)


# Those of requests ------------------------------------------------------------------------------------------

@test("credentials of requests that are answered: nothing is left, whatever the answer, whatever the size")
def _():
    right, wrong = secret(), secret()
    with World({"daemon": {"log_level": "debug"}}, store_with(right)) as world:
        client, stream = world.client(), world.stream()
        for word in (right, wrong):
            for size in (10, 3000, 70000, 700000):
                equal("ok" in client.ask(write(stream, word, size)), word == right, "written")
            client.ask(request("execute", word, message="ReadAllEvents", body={"max_count": 1}))
            client.ask(request("ping", word))
            client.send('{"op":"ping","id":"e","credentials":{"username":"admin","password":"%s"}}' % escaped(word))
            client.reply("e")
            client.send(*[dict(write(stream, word), id="m%d" % i) for i in range(300)])
            for i in range(300):
                client.reply("m%d" % i)
        gone(world, right, wrong)
        nowhere(world, right, wrong)


@test("credentials of subscriptions: kept while these last, gone with them")
def _():
    right, wrong = secret(), secret()
    with World({"daemon": {"log_level": "debug", "log_format": "json"}}, store_with(right)) as world:
        client, stream = world.client(), world.stream()
        client.ask(dict(request("execute", right, message="CreatePersistentSubscription"),
                        body={"event_stream_id": stream, "subscription_group_name": "g", "start_from": 0}))
        ways = [{}, {"from": "start"}, {"from": 0, "window": 5}, {"group": "g"}, {"mode": "live", "window": 3}]
        for word in (right, wrong):
            subs = []
            for way in ways:
                line = client.ask(dict(request("subscribe", word, stream=stream), **way))
                equal("ok" in line, word == right, "subscribed: %r" % line)
                subs += [line["ok"]["sub"]] if "ok" in line else []
            client.write(stream, "a", "b")
            for _ in range(5 * bool(subs)):
                client.push()
            for sub in subs:
                client.ok("unsubscribe", sub=sub)
        until(lambda: finds(world, right, wrong) in (None, [0, 0]), "all gone: %r" % finds(world, right, wrong))
        other = world.client()
        other.ok("subscribe", stream=stream, credentials={"username": "admin", "password": right})
        other.close()
        until(lambda: finds(world, right) in (None, [0]), "gone with the client")
        nowhere(world, right, wrong)


@test("credentials in lines that are refused, too long, no JSON, cut off by the end or by the client's going")
def _():
    word = secret()
    with World({"daemon": {"log_level": "debug"}, "limits": {"line": "100K"}}, store_with(word)) as world:
        client = world.client()
        whole = json.dumps(write("s", word))
        client.send(dict(request("ping", word), id=1, nonsense=True), dict(request("status", word), id=2),
                    dict(request("ping", word), id=3, timeout_ms="x"), dict(write("s", word), id=4, body={"wrong": 1}),
                    whole.replace("{", "{{", 1), whole[:-1], whole[:-2] + ',"op":1}',
                    {"op": "ping", "credentials": word, "id": 5}, {"op": "ping", "credentials": {"password": word}, "id": 6},
                    {"op": "ping", "credentials": {"username": "a", "password": [word]}, "id": 7},
                    {"op": "ping", "credentials": {"username": "a", "password": word * 6}, "id": 8},
                    dict(write("s", word, 200000), id=9), "x" * 200000 + word)
        for i in range(1, 9):
            true("error" in client.reply(i), "refused")
        for _ in range(5):
            client.other()
        half = world.client()
        half.send_bytes(whole[:-5].encode())
        half.finish()
        half.rest()
        for size in (10, 5000, 90000):
            away = world.client()
            away.send_bytes(json.dumps(write("s", word, size)).encode()[:-5])
            away.close()
        until(lambda: world.status()["client_count"] == 2, "they are gone")
        client.ok("ping")
        gone(world, word)
        nowhere(world, word)


@test("credentials of requests that are sent again after a loss, that time out, that wait for a store, that nobody waits for")
def _():
    word = secret()
    with World({"store": {"reconnect_delay_max": "200ms"}, "daemon": {"log_level": "debug"}}, store_with(word), proxy=True) as world:
        client, stream = world.client(), world.stream()
        world.proxy.mute()
        client.send(*[dict(write(stream, word, 2000), id=i) for i in range(20)])
        until(lambda: world.status()["store"]["in_flight"] >= 20, "all are on their way")
        world.proxy.refuse()
        world.disconnected()
        client.send(*[dict(write(stream, word), id=i) for i in range(20, 40)], dict(write(stream, word), id="t", timeout_ms=50))
        has(client.reply("t")["error"], code="unavailable")
        with Client(world.bridge.socket) as away:
            away.send(write(stream, word))
        world.proxy.speak()
        world.proxy.allow()
        for i in range(40):
            true("ok" in client.reply(i), "stored")
        until(lambda: world.status()["store"]["in_flight"] == 0, "nothing is under way")
        gone(world, word)
        nowhere(world, word)


@test("TLS: what is said in it leaves nothing either")
def _():
    word, other = secret(), secret()
    with tempfile.TemporaryDirectory(prefix="esb-") as folder:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                        "-keyout", folder + "/key", "-out", folder + "/pem", "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        with World(settings_with(word, tls="require", tls_ca=folder + "/pem"),
                   store_with(word, "--tls-cert", folder + "/pem", "--tls-key", folder + "/key")) as world:
            client, stream = world.client(), world.stream()
            once(world, word)
            for size in (10, 100000):
                client.ask(write(stream, other, size))
            client.ask(request("ping", other))
            gone(world, other)
            once(world, word)
            nowhere(world, word, other)


# The process ------------------------------------------------------------------------------------------------

@test("no core dump, and no other process of the same user sees its memory")
def _():
    class Plain(World):
        """A sanitizer would take the first signal for its own, and forbid core dumps on its part."""

        def make_bridge(self, settings):
            bridge = super().make_bridge(settings)
            bridge.env = {"ASAN_OPTIONS": "handle_segv=0:handle_abort=0:disable_coredump=0:" + os.environ.get("ASAN_OPTIONS", "")}
            return bridge

    for number in (signal.SIGSEGV, signal.SIGABRT):
        with Plain() as world:
            folder = "/proc/%d/" % world.bridge.process.pid
            equal(os.stat(folder + "mem").st_uid, 0, "owner of its memory")
            subprocess.run(["prlimit", "--pid", str(world.bridge.process.pid), "--core=unlimited"], check=False, capture_output=True)
            before = set(os.listdir(world.folder))
            world.bridge.process.send_signal(number)
            status = os.waitid(os.P_PID, world.bridge.process.pid, os.WEXITED | os.WNOWAIT)
            equal(status.si_code, os.CLD_KILLED, "killed, and no core dumped")
            equal(status.si_status, number, "signal")
            world.bridge.process.wait()
            equal({name for name in os.listdir(world.folder) if "core" in name} - before, set(), "core files")
            world.abandon()
            world.bridge.process.returncode = 0


main(shared=False)
