#!/usr/bin/env python3
"""The daemon does all that it does within what its unit file leaves it, and the unit file leaves it no more than that."""

import functools
import json
import os
import pwd
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))

import control  # noqa: E402
import wire  # noqa: E402
from harness import (ESBRIDGED, LIMIT, MEMSTORE, Bridge, Program, Store, World, equal, has, main, merged, numbers, test, true,  # noqa: E402
                     types, until)
from manager import Managed, listener  # noqa: E402

UNIT = os.path.abspath(os.path.join(os.environ.get("BUILDDIR", "."), "systemd", "esbridged.service"))
SANDBOX = [sys.executable, os.path.join(HERE, "sandbox.py")]
PYTHON = "/usr/bin/python3"     # one that is in sight within the sandbox
ADMIN = {"username": "admin", "password": "changeit"}
# Sanitizers want to trace the process at its end.
ENV = dict(os.environ, ASAN_OPTIONS="detect_leaks=0:" + os.environ.get("ASAN_OPTIONS", ""))


def with_unit(text, folder):
    """The unit with TEXT in its section Service."""
    path = os.path.join(folder, "changed.service")
    with open(UNIT, encoding="utf-8") as file, open(path, "w", encoding="utf-8") as changed:
        changed.write(file.read().replace("[Service]\n", "[Service]\n%s\n" % text))
    return path


# The sandbox itself -------------------------------------------------------------------------------------------

@test("each directive of the unit is applied, or not for a reason that is known; one that nobody has decided on is an error")
def _():
    with tempfile.TemporaryDirectory(prefix="esb-") as folder:
        done = subprocess.run(SANDBOX + [UNIT, folder, "/bin/true"], capture_output=True, text=True, timeout=LIMIT * 3, check=False)
        equal((done.returncode, done.stderr), (0, ""), "status and errors")
        for name, what in report_of(folder).items():
            if what != "applied":
                print("# %s= is not applied: %s" % (name, what))
        for text, word in (("PrivateNetwork=yes", "PrivateNetwork"), ("ProtectSystem=full", "ProtectSystem")):
            done = subprocess.run(SANDBOX + [with_unit(text, folder), folder, "/bin/true"], capture_output=True, text=True,
                                  timeout=LIMIT * 3, check=False)
            true(done.returncode != 0 and word in done.stderr, "%r is told of %r" % (word, done.stderr))


def report_of(folder):
    with open(os.path.join(folder, "report"), encoding="utf-8") as file:
        return json.load(file)


@functools.cache
def has_directories():
    """True where the sandbox has directories of its own; else the daemon uses those of the test."""
    with tempfile.TemporaryDirectory(prefix="esb-") as folder:
        subprocess.run(SANDBOX + [UNIT, folder, "/bin/true"], timeout=LIMIT * 3, check=True)
        return report_of(folder)["ProtectSystem"] == "applied"


# What is tried: the directive that forbids it, and the errors that say so.
FORBIDDEN = {
    "create in /etc": ("ProtectSystem", "EROFS EACCES"), "create in /usr": ("ProtectSystem", "EROFS EACCES"),
    "create in /var/lib": ("ProtectSystem", "EROFS EACCES"), "create in /run": ("ProtectSystem", "EROFS EACCES"),
    "list /root": ("ProtectHome", "EACCES"), "list /home": ("ProtectHome", "EACCES"), "see what is in /tmp": ("PrivateTmp", "ENOENT"),
    "see /proc/1": ("ProtectProc", "ENOENT"), "see /proc/sys": ("ProcSubset", "ENOENT"), "see /dev/kmsg": ("PrivateDevices", "ENOENT"),
    "write to /sys": ("ProtectControlGroups", "EROFS EACCES ENOENT"), "packets": ("RestrictAddressFamilies", "EAFNOSUPPORT"),
    "netlink": ("RestrictAddressFamilies", "EAFNOSUPPORT"), "vsock": ("RestrictAddressFamilies", "EAFNOSUPPORT"),
    "family 99": ("RestrictAddressFamilies", "EAFNOSUPPORT"), "a user namespace": ("RestrictNamespaces", "EPERM"),
    "mount": ("SystemCallFilter", "EPERM"), "chroot": ("SystemCallFilter", "EPERM"), "set-user-ID": ("RestrictSUIDSGID", "EPERM"),
    "chown": ("SystemCallFilter", "EPERM"), "setuid": ("SystemCallFilter", "EPERM"),
    "memory that is written and run": ("MemoryDenyWriteExecute", "EPERM"), "memory that becomes executable": ("MemoryDenyWriteExecute", "EPERM"),
    "another personality": ("LockPersonality", "EPERM"), "nice": ("SystemCallFilter", "EPERM"),
    "a processor of one's choice": ("SystemCallFilter", "EPERM"), "realtime": ("RestrictRealtime", "EPERM"), "set the clock": ("ProtectClock", "EPERM"),
    "set the host's name": ("ProtectHostname", "EPERM"), "read the kernel's log": ("ProtectKernelLogs", "EPERM"),
    "load a module": ("ProtectKernelModules", "EPERM"), "trace": ("SystemCallFilter", "EPERM"), "swap": ("SystemCallFilter", "EPERM"),
    "ports": ("SystemCallFilter", "EPERM ENOSYS"), "an event queue of fanotify": ("SystemCallFilter", "EPERM"),
}
# What every user of a machine can do outside, so that it is the sandbox that forbids it.
FREE_OUTSIDE = ["see what is in /tmp", "see /proc/1", "see /proc/sys", "netlink", "set-user-ID", "chown", "setuid",
                "memory that is written and run", "memory that becomes executable", "another personality", "nice",
                "a processor of one's choice"]


def probe(command, runtime, state, marker, **options):
    with open(os.path.join(HERE, "probe.py"), encoding="utf-8") as file:
        script = file.read()
    done = subprocess.run(command + [PYTHON, "-c", script, runtime, state, marker], capture_output=True, text=True, timeout=LIMIT * 3,
                          check=False, cwd="/", **options)
    equal((done.returncode, done.stderr), (0, ""), "status and errors of the probe")
    return json.loads(done.stdout)


@test("in the sandbox what is forbidden fails, and what the daemon needs does not; outside the same can be done")
def _():
    with tempfile.TemporaryDirectory(prefix="esb-") as folder, tempfile.NamedTemporaryFile(dir="/tmp") as marker:
        own = os.path.join(folder, "own")
        os.mkdir(own)
        os.chmod(own, 0o777)
        places = ("/run/esbridge", "/var/lib/esbridge") if has_directories() else (own, own)
        results, status = probe(SANDBOX + [UNIT, folder], *places, marker.name)
        report = report_of(folder)
        for what, (directive, errors) in FORBIDDEN.items():
            if report[directive] == "applied":
                true(results[what] in errors.split(), "%s: %s, not %s" % (what, results[what], errors))
        if report["ProtectSystem"] == "applied":
            equal({what: result for what, result in results.items() if what not in FORBIDDEN and result != "done"}, {}, "what has to work")
            equal(status["env"], {"RUNTIME_DIRECTORY": "/run/esbridge", "STATE_DIRECTORY": "/var/lib/esbridge", "CONFIGURATION_DIRECTORY":
                                  "/etc/esbridge", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(status["pid"])}, "variables")
        has(status, NoNewPrivs="1", Seccomp="2", CapEff=0, umask=0o077)
        if report["CapabilityBoundingSet"] == "applied":
            equal(status["CapBnd"], 0, "capabilities that it could get")
        if report["LimitNOFILE"] == "applied":
            equal(status["files"], 65536, "LimitNOFILE")
        options = {}
        if report["User"] == "applied":
            true(status["uid"] != 0 and not status["Groups"], "it is not root: %r" % status)
            options = {"user": status["uid"], "group": pwd.getpwuid(status["uid"]).pw_gid, "extra_groups": []}
            os.chmod(folder, 0o755)
            os.chown(own, options["user"], options["group"])
        outside = probe([], own, own, marker.name, **options)[0]
        equal([what for what in FREE_OUTSIDE if outside[what] != "done"], [], "what cannot be done outside")


# The daemon in it ---------------------------------------------------------------------------------------------

class Confined(Managed):
    """An esbridged in the sandbox of its unit; FOLDER/run, FOLDER/state and FOLDER/etc are its directories."""

    def __init__(self, folder, settings, handed=()):
        super().__init__(folder, settings, handed, own=("LISTEN_PID",) if handed else ())
        os.chmod(folder, 0o755)
        self.etc = os.path.join(folder, "etc")
        os.makedirs(self.etc, exist_ok=True)
        self.socket = os.path.join(folder, "run", "esbridge.sock")
        self.config = os.path.join(self.etc, "esbridged.conf")
        self.notify_name = "@" + folder     # the path of one is out of sight
        self.env = dict(self.env, **{k: v for k, v in ENV.items() if k == "ASAN_OPTIONS"})
        self.unit = UNIT

    def command(self, arguments):
        if has_directories():
            arguments = ["/etc/esbridge/esbridged.conf" if a == self.config else a for a in arguments]
        return super().command(SANDBOX + [self.unit, self.folder] + arguments)


class Place(World):
    """A World whose daemon is confined, with the paths that the settings have of themselves."""

    def __init__(self, settings=None, server=None, handed=None, files=(), more="", **options):
        self.server, self.handed, self.files, self.more = server, handed, files, more
        super().__init__(settings, **options)

    def make_bridge(self, settings):
        run, state = os.path.join(self.folder, "run"), os.path.join(self.folder, "state")
        for path in (run, state):
            os.mkdir(path)
        if has_directories():
            del settings["socket"]["path"], settings["daemon"]["state_dir"]
        else:
            settings["socket"]["path"], settings["daemon"]["state_dir"] = os.path.join(run, "esbridge.sock"), state
            for path in (run, state):
                os.chmod(path, 0o777)
        if self.server:
            settings["store"]["server"] = self.server % self.port
        if "gossip_seeds" in settings["store"]:
            del settings["store"]["server"]
        bridge = Confined(self.folder, settings, [self.handed(self.folder)] if self.handed else ())
        for name, content in self.files:
            with open(os.path.join(bridge.etc, name), "wb") as file:
                file.write(content)
            os.chmod(file.name, 0o600 if name == "password" else 0o644)
        if self.more:
            bridge.unit = with_unit(self.more, self.folder)
        return bridge


@test("by name of the server: executes, subscriptions, checkpoints, metrics, a reload, and again after a restart")
def _():
    with Place({"daemon": {"metrics_listen": "127.0.0.1:0"}, "store": ADMIN}, server="localhost:%d") as world:
        client, stream = world.client(), world.stream()
        client.write(stream, *"abc")
        equal(types(client.read(stream)["events"]), ["a", "b", "c"], "types")
        client.execute("CreatePersistentSubscription", {"event_stream_id": stream, "subscription_group_name": "g", "start_from": 0})
        live, group = client.subscribe(stream=stream), client.subscribe(stream=stream, group="g")
        client.send({"op": "subscribe", "id": "c", "sub": "kept", "stream": stream, "checkpoint": "place", "window": 10})
        client.reply("c")
        client.write(stream, "d")
        events = {live: [], group: [], "kept": []}
        while [len(events[sub]) for sub in (live, group, "kept")] != [1, 4, 4]:
            push = client.push()
            if push["push"] == "event":
                events[push["sub"]].append(push)
        equal(numbers(events["kept"]), [0, 1, 2, 3], "numbers")
        client.ok("ack", sub="kept", up_to=events["kept"][2]["ack_id"])
        client.ok("ack", sub=group, events=[push["ack_id"] for push in events[group]])

        port = re.search(r"metrics\S*=\S*:(\d+)|address=\S*:(\d+)|127\.0\.0\.1:(\d+)", [
            line for line in world.bridge.said().splitlines() if "metrics" in line or "HTTP" in line][0])
        with urllib.request.urlopen("http://127.0.0.1:%s/readyz" % next(filter(None, port.groups())), timeout=LIMIT) as answer:
            equal(answer.status, 200, "status of /readyz")

        world.bridge.settings = merged(world.bridge.settings, {"limits": {"depth": 33}})
        world.bridge.write_config()
        world.bridge.process.send_signal(signal.SIGHUP)
        until(lambda: client.ok("hello")["limits"]["depth"] == 33, "the settings are read again")

        world.bridge.terminate()
        state = os.path.join(world.folder, "state")
        if has_directories():
            equal(os.stat(state).st_mode & 0o777, 0o700, "mode of the state directory")
        equal(os.stat(os.path.join(state, "checkpoints.sqlite")).st_mode & 0o777, 0o600, "mode of the checkpoints in it")
        equal(os.listdir(os.path.join(world.folder, "run")), [], "the socket is gone")
        world.bridge.start()
        world.connected()
        client = world.client()
        client.subscribe(stream=stream, checkpoint="place", window=10)
        equal(client.push("event")["event"]["event_number"], 3, "number after the restart")
        world.baseline = None


@test("the password is a credential of systemd's, whose file the daemon itself may not read")
def _():
    source = "/etc/esbridge/password"
    store = {"username": "admin", "password_file": "password"}
    with Place({"store": store}, files=[("password", b"changeit\n")], more="LoadCredential=password:" + source) as world:
        client = world.client()
        client.execute("ReadAllEvents", {"max_count": 1})
        with open("/proc/%d/environ" % world.bridge.process.pid, "rb") as file:
            true(b"CREDENTIALS_DIRECTORY=" in file.read(), "the directory is told")
        true("password" not in world.bridge.said(), "not a word of it: %r" % world.bridge.said())
        world.bridge.process.send_signal(signal.SIGHUP)
        until(lambda: "settings read again" in world.bridge.said(), "read again, and the credential with them")
        client.execute("ReadAllEvents", {"max_count": 1})
        mode = os.stat(os.path.join(world.bridge.etc, "password"))
        equal((mode.st_mode & 0o777, mode.st_uid), (0o600, os.getuid()), "of the file")


@test("by TLS, with the authority among its settings")
def _():
    with tempfile.TemporaryDirectory(prefix="esb-") as folder:
        pem, key = os.path.join(folder, "own.pem"), os.path.join(folder, "own.key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", pem,
                        "-subj", "/CN=store", "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
        with open(pem, "rb") as file:
            certificate = file.read()
        os.chmod(folder, 0o755)
        ca = "/etc/esbridge/ca.pem" if has_directories() else pem
        with Place({"store": {"tls": "require", "tls_ca": ca}}, server="localhost:%d", files=[("ca.pem", certificate)],
                   store_arguments=["--tls-cert", pem, "--tls-key", key]) as world:
            world.client().ok("ping")


class Nodes(Program):
    """A memstore that plays a cluster of three."""

    def __init__(self, folder):
        super().__init__(folder, "nodes")
        path = os.path.join(folder, "nodes.control")
        self.launch([MEMSTORE, "--nodes", "3", "--port", "0", "--gossip-port", "0", "--port-file", os.path.join(folder, "ports"),
                     "--control", path])
        until(lambda: self.expect_alive() or os.path.exists(os.path.join(folder, "ports")), "the memstore listens")
        with control.Control(path) as channel:
            self.seeds = [int(word.split(":")[1]) for word in channel.ask("nodes")]


@test("by gossip of a cluster")
def _():
    with tempfile.TemporaryDirectory(prefix="esb-") as folder:
        nodes = Nodes(folder)
        try:
            with Place({"store": {"gossip_seeds": ", ".join("localhost:%d" % port for port in nodes.seeds)}}, port=1) as world:
                world.connected()
                world.client().write("s", "a")
        finally:
            nodes.kill()


@test("it finishes what is under way at its end, within the sandbox too")
def _():
    with wire.FakeStore() as fake, Place(port=fake.port) as world:
        peer, client = fake.welcome(), world.client()
        client.send({"op": "execute", "id": "w", "message": "WriteEvents", "body": {"event_stream_id": "s", "events": [{"event_type": "t"}]}})
        asked = peer.read(wire.WRITE_EVENTS)
        world.bridge.process.terminate()
        world.bridge.notified("STOPPING=1")
        client.fails("ping", "shutting_down")
        peer.send(wire.WRITE_EVENTS_COMPLETED, asked.correlation, wire.write_completed())
        true("ok" in client.reply("w"), "the write in flight is answered")
        client.ends()
        equal(world.bridge.wait_exit(), 0, "exit status")


@test("with a socket that is handed over")
def _():
    with Place(handed=lambda folder: listener(os.path.join(folder, "run", "esbridge.sock"))) as world:
        world.client().ok("ping")
        world.settle()
        world.bridge.terminate()
        late = world.client()
        late.send({"op": "ping", "id": 1, "timeout_ms": 10000})
        world.bridge.start()
        true("ok" in late.reply(1), "served by the next one")


if __name__ == "__main__":
    main(shared=False)
