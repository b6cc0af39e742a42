#!/usr/bin/env python3
"""Clusters: gossip by seeds and by name, preferences, a leader that is killed, deposed or cut off under load."""

import collections
import contextlib
import http.server
import os
import shutil
import socket
import subprocess
import tempfile
import threading

from control import Control
from harness import ESBRIDGED, LIMIT, MEMSTORE, Bridge, Client, Program, equal, event, has, main, numbers, test, true, until
from nameserver import NameServer


Node = collections.namedtuple("Node", "port gossip state connections away")
FAST = {"reconnect_delay_min": "10ms", "reconnect_delay_max": "100ms", "gossip_timeout": "300ms",
        "heartbeat_interval": "200ms", "heartbeat_timeout": "300ms", "operation_timeout": "20s"}


class Nodes(Program):
    """A memstore that plays a cluster of three."""

    def __init__(self, folder, arguments=()):
        super().__init__(folder, "memstore")
        ports, control = os.path.join(folder, "ports"), os.path.join(folder, "control")
        self.launch([MEMSTORE, "--nodes", "3", "--port", "0", "--gossip-port", "0", "--port-file", ports,
                     "--control", control] + list(arguments))
        until(lambda: self.expect_alive() or os.path.exists(ports), "the memstore listens")
        self.control = Control(control)

    def all(self):
        """The nodes as they are now."""
        found = []
        for word in self.control.ask("nodes"):
            port, gossip, state, connections, *away = word.split(":")
            found.append(Node(int(port), int(gossip), state, int(connections), away))
        return found

    def node(self, number, what):
        self.control.ask("node %d %s" % (number, what))


class World:
    """The three nodes, and a daemon that knows their seeds."""

    def __init__(self, arguments=(), start=True, **settings):
        self.folder = tempfile.mkdtemp(prefix="esb-cluster-")
        self.store = Nodes(self.folder, arguments)
        self.seeds = [node.gossip for node in self.store.all()]
        store = dict(FAST, gossip_seeds=", ".join("127.0.0.1:%d" % port for port in self.seeds))
        store.update(settings)
        self.bridge = Bridge(self.folder, {"store": {k: v for k, v in store.items() if v is not None},
                                           "socket": {"path": os.path.join(self.folder, "socket")}})
        if start:
            self.bridge.start()

    def client(self):
        return Client(self.bridge.socket)

    def status(self):
        with self.client() as client:
            return client.ok("status")["store"]

    def at(self, number, role):
        """Waits until the daemon is connected to that node and knows its role."""
        endpoint = "127.0.0.1:%d" % self.store.all()[number - 1].port

        def there():
            now = self.status()
            return now["state"] == "ready" and now["endpoint"] == endpoint and now["role"] == role
        until(there, "connected to node %d as %s: %r" % (number, role, self.status()))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            if kind is None:
                self.bridge.terminate()
                self.store.terminate()
            else:
                value.said = self.bridge.last_words()
        finally:
            self.bridge.kill()
            self.store.kill()
            self.bridge.close()
            self.store.control.close()
            shutil.rmtree(self.folder, ignore_errors=True)


class Writer(threading.Thread):
    """Writes events one after the other at exact versions, and notes what was acknowledged."""

    def __init__(self, world, stream):
        super().__init__(daemon=True)
        self.world, self.stream = world, stream
        self.acknowledged, self.faults = 0, []
        self.ending = False
        self.start()

    def run(self):
        with self.world.client() as client:
            while not self.ending:
                line = client.ask({"op": "execute", "message": "WriteEvents", "timeout_ms": 20000,
                                   "body": {"event_stream_id": self.stream, "expected_version": self.acknowledged - 1,
                                            "events": [event("e%d" % self.acknowledged)]}}, limit=30)
                if "ok" not in line or line["ok"]["body"]["first_event_number"] != self.acknowledged:
                    self.faults.append(line)
                    return
                self.acknowledged += 1

    def goes_on(self, count=20):
        wanted = self.acknowledged + count
        until(lambda: self.faults or self.acknowledged >= wanted, "more writes: %d" % self.acknowledged)
        equal(self.faults, [], "faults of the writer")

    def finish(self):
        """Everything acknowledged is there once and in order."""
        self.ending = True
        self.join(LIMIT)
        equal(self.faults, [], "faults of the writer")
        found, at = [], 0
        with self.world.client() as client:
            while len(found) < self.acknowledged:
                page = client.read(self.stream, at, 1000)["events"]
                true(page, "events from %d on, of %d" % (at, self.acknowledged))
                found += [e["event"]["event_type"] for e in page]
                at += len(page)
        equal(found, ["e%d" % n for n in range(self.acknowledged)], "the stream")


class Reader(threading.Thread):
    """A catch-up subscription to STREAM from the start."""

    def __init__(self, world, stream):
        super().__init__(daemon=True)
        self.client, self.stream = world.client(), stream
        self.client.ok("subscribe", stream=stream, **{"from": 0})
        self.seen, self.fault = [], None
        self.start()

    def run(self):
        try:
            while True:
                push = self.client.push(limit=60)
                if push["push"] == "event":
                    self.seen.append(push["event"]["event_number"])
        except Exception as fault:
            self.fault = fault

    def has_all(self, count):
        until(lambda: len(self.seen) >= count, "the reader sees %d events" % count)
        equal(self.seen, list(range(len(self.seen))), "numbers that the reader saw")


@contextlib.contextmanager
def under_load(world):
    """Two writers and a reader of each; at the end nothing is lost or doubled."""
    writers = [Writer(world, "one"), Writer(world, "two")]
    readers = [Reader(world, w.stream) for w in writers]
    for writer in writers:
        writer.goes_on(5)
    yield writers
    for writer, reader in zip(writers, readers):
        writer.goes_on()
        writer.finish()
        reader.has_all(writer.acknowledged)


@test("the leader is found by the gossip of any node, in the words of each version")
def _():
    for version in ("3.9.4", "5.0.11", "20.10.6", "23.10.6"):
        with World(["--speak", version], username="admin", password="changeit") as world:
            world.at(1, "leader")
            with world.client() as client:
                client.write("s", "a")
    with World() as world:
        for seed in world.seeds:
            world.bridge.settings["store"]["gossip_seeds"] = "127.0.0.1:%d" % seed
            world.bridge.terminate()
            world.bridge.start()
            world.at(1, "leader")


@test("by preference: a follower, a read-only replica, any; where there is none of the kind, another")
def _():
    with World(node_preference="follower") as world:
        until(lambda: world.status()["role"] == "follower", "a follower")
    with World(node_preference="read_only_replica", start=False) as world:
        world.store.node(3, "ReadOnlyReplica")
        world.bridge.start()
        world.at(3, "read_only_replica")
    with World(node_preference="read_only_replica") as world:
        until(lambda: world.status()["role"] == "follower", "a follower in place of a replica")
    with World(node_preference="random") as world:
        seen = set()
        for _ in range(14):
            until(lambda: world.status()["state"] == "ready", "connected")
            seen.add(world.status()["endpoint"])
            world.bridge.terminate()
            world.bridge.start()
        true(len(seen) > 1, "more than one node in 14 starts")


@test("a follower serves reads that do not ask for the leader; a write moves the connection to it")
def _():
    with World(node_preference="follower") as world:
        until(lambda: world.status()["role"] == "follower", "a follower")
        with world.client() as client:
            client.refuses("ReadStreamEvents", "no_stream", {"event_stream_id": "s", "require_leader": False})
            client.execute("WriteEvents", {"event_stream_id": "s", "events": [event("handed on")],
                                           "require_leader": False})
            equal(world.status()["role"], "follower", "role")
            client.write("s", "led")
            world.at(1, "leader")
            equal(numbers(client.read("s")["events"]), [0, 1], "both are there")


@test("the leader is killed: the next one is found, nothing is lost or doubled; it comes back as a follower")
def _():
    with World() as world:
        world.at(1, "leader")
        with under_load(world) as writers:
            world.store.node(1, "down")
            world.store.node(2, "Master")
            world.at(2, "leader")
            for writer in writers:
                writer.goes_on()
            world.store.node(1, "up")
            until(lambda: not world.store.all()[0].away, "node 1 is back")
            equal(world.store.all()[0].state, "Slave", "state of node 1")
            for writer in writers:
                writer.goes_on()
            world.store.node(2, "down")
            world.store.node(1, "Master")
            world.at(1, "leader")


@test("no leader for a while: requests wait, then go on")
def _():
    with World() as world:
        world.at(1, "leader")
        with under_load(world):
            world.store.node(1, "down")
            until(lambda: world.status()["role"] == "follower", "a follower, while nobody leads")
            world.store.node(3, "Master")


@test("the leader is deposed: the connection follows at once to the one that its node names")
def _():
    with World() as world:
        world.at(1, "leader")
        with under_load(world):
            for number in (2, 3, 1, 2):
                world.store.node(number, "Master")
                world.at(number, "leader")
        true("connecting to the one it names" in world.bridge.said(), "the log tells of it")


@test("the leader is cut off: found by heartbeat, another one is taken")
def _():
    with World() as world:
        world.at(1, "leader")
        with under_load(world) as writers:
            world.store.node(1, "cut")
            world.store.node(2, "Master")
            world.at(2, "leader")
            for writer in writers:
                writer.goes_on()
            world.store.node(1, "heal")
            for writer in writers:
                writer.goes_on()


@test("a persistent subscription goes on at the next leader")
def _():
    with World(username="admin", password="changeit") as world:
        world.at(1, "leader")
        with world.client() as client:
            client.execute("CreatePersistentSubscription",
                           {"event_stream_id": "s", "subscription_group_name": "g", "start_from": 0})
            client.ok("subscribe", stream="s", group="g", sub="group")
            client.write("s", "before")
            client.send({"op": "ack", "sub": "group", "events": [client.push("event")["ack_id"]]})
            client.ok("ping")
            world.store.node(1, "down")
            world.store.node(2, "Master")
            client.push("interrupted")
            client.push("resumed", limit=20)
            client.write("s", "after")
            pushed = client.push("event")
            while pushed["event"]["event_number"] == 0:  # its ack went with the node
                pushed = client.push("event")
            equal(pushed["event"]["event_type"], "after", "type")


@test("nodes in states that serve nobody are not taken; told in status until one leads")
def _():
    with World(start=False, operation_timeout="300ms") as world:
        for number, state in ((1, "Manager"), (2, "Unknown"), (3, "ShuttingDown")):
            world.store.node(number, state)
        world.bridge.start()
        until(lambda: "no node that can be used" in world.status().get("last_error", ""), "told in status")
        has(world.status(), connects=0)
        with world.client() as client:
            client.fails("ping", "unavailable")
        world.store.node(3, "Master")
        world.at(3, "leader")


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers as its server is told to."""

    def do_GET(self):
        status, body = self.server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def log_message(self, *unused):
        pass


@contextlib.contextmanager
def bad_seed(answer):
    """The port of a server that gives ANSWER, or with None says nothing."""
    if answer is None:
        with socket.create_server(("127.0.0.1", 0)) as mute:
            yield mute.getsockname()[1]
        return
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.daemon_threads = True
        server.answer = answer
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@test("seeds that are dead, mute, or answer nonsense are passed over, and named when there is no other")
def _():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        dead = gone.getsockname()[1]
    answers = ((None, "no answer in time"), ((200, b"no gossip"), "no gossip"), ((503, b""), "HTTP status 503"),
               ((200, b'{"members":[]}'), "no node that can be used"), ((200, b" " * (2 << 20)), "no answer by HTTP"))
    for answer, words in answers:
        with bad_seed(answer) as port:
            with World(gossip_seeds="127.0.0.1:%d" % port) as world:
                until(lambda: words in world.status().get("last_error", ""),
                      "last_error has %r: %r" % (words, world.status()))
                true("127.0.0.1:%d" % port in world.status()["last_error"], "the seed is named")
                seeds = "127.0.0.1:%d 127.0.0.1:%d,127.0.0.1:%d" % (dead, port, world.seeds[1])
                world.bridge.terminate()
                world.bridge.settings["store"]["gossip_seeds"] = seeds
                world.bridge.start()
                world.at(1, "leader")


@test("discover://: the addresses of a name are the nodes that are asked")
def _():
    with World(gossip_seeds=None, start=False) as world:
        world.bridge.settings["store"]["server"] = "discover://localhost:%d" % world.seeds[2]
        world.bridge.start()
        world.at(1, "leader")
        world.bridge.terminate()
        world.bridge.settings["store"]["server"] = "discover://127.0.0.1:%d" % world.seeds[1]
        world.bridge.start()
        world.at(1, "leader")


REFUSING = ["127.0.0.7", "127.0.0.8", "::1"]   # nobody listens there


@contextlib.contextmanager
def named(name, *addresses, **settings):
    """A World, not started, whose name server knows NAME."""
    with NameServer({name: addresses}) as server, World(gossip_seeds=None, start=False, nameservers=server.address) as world:
        world.bridge.settings["store"].update({k: v % {"port": world.seeds[0]} for k, v in settings.items()})
        yield world, server


@test("a seed, and a name with the nodes, of several addresses: the next is asked where one refuses, or does not answer")
def _():
    for settings in ({"gossip_seeds": "nodes.test:%(port)d"}, {"server": "discover://nodes.test:%(port)d"}):
        with named("nodes.test", *REFUSING, "127.0.0.9", "127.0.0.1", **settings) as (world, server), \
                socket.create_server(("127.0.0.9", world.seeds[0])):
            world.bridge.start()
            world.at(1, "leader")
            equal(set(server.asked), {("nodes.test", 1), ("nodes.test", 28)}, "names that were asked for")


@test("a seed with a name that there is not, and one whose name server is mute, are passed over, and named")
def _():
    for mute in (False, True):
        with named("nodes.test", "127.0.0.1", gossip_seeds="none.test:%(port)d") as (world, server):
            server.mute = mute
            world.bridge.start()
            until(lambda: "none.test:" in world.status().get("last_error", ""), "the seed is named: %r" % world.status())
            world.bridge.terminate()
            world.bridge.settings["store"]["gossip_seeds"] += ", 127.0.0.1:%d" % world.seeds[1]
            world.bridge.start()
            world.at(1, "leader")


@test("a stop while a name is looked up ends well, and leaves nothing behind")
def _():
    with named("nodes.test", "127.0.0.1", server="nodes.test:1", connect_timeout="20s") as (world, server):
        server.mute = True
        world.bridge.start()
        until(lambda: len(server.asked) == 2, "both kinds of addresses are asked for: %r" % server.asked)


@test("the host of a single node has several addresses: the next is tried where one refuses; a name that there is not is told")
def _():
    with named("node.test", *REFUSING, "127.0.0.1", server="node.test:1") as (world, server):
        port = world.store.all()[0].port
        world.bridge.settings["store"]["server"] = "node.test:%d" % port
        world.bridge.start()
        until(lambda: world.status()["state"] == "ready", "connected: %r" % world.status())
        equal(world.status()["endpoint"], "node.test:%d" % port, "endpoint")
        world.bridge.terminate()
        server.names.clear()
        world.bridge.start()
        until(lambda: "resolve" in world.status().get("last_error", ""), "told: %r" % world.status())
        server.names["node.test"] = ["127.0.0.1"]
        until(lambda: world.status()["state"] == "ready", "connected when the name is there")


@test("over TLS: gossip by HTTPS, its certificates are checked, the leader is followed")
def _():
    folder = tempfile.mkdtemp(prefix="esb-cluster-tls-")
    try:
        files = {}
        for name in ("good", "other"):
            files[name] = os.path.join(folder, name + ".pem")
            done = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                                   "-days", "30", "-keyout", files[name] + ".key", "-out", files[name], "-subj", "/CN=x",
                                   "-addext", "subjectAltName=IP:127.0.0.1"], capture_output=True, text=True, check=False)
            equal(done.returncode, 0, "openssl: %s" % done.stderr)
        arguments = ["--speak", "22.10.5", "--tls-cert", files["good"], "--tls-key", files["good"] + ".key"]
        with World(arguments, tls="require", tls_ca=files["good"]) as world:
            world.at(1, "leader")
            with under_load(world):
                world.store.node(2, "Leader")
                world.at(2, "leader")
                world.store.node(2, "down")
                world.store.node(3, "Leader")
                world.at(3, "leader")
        with World(arguments, tls="require", tls_ca=files["other"]) as world:
            until(lambda: "no answer by HTTPS" in world.status().get("last_error", ""), "refused")
            has(world.status(), connects=0)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@test("settings that cannot be: told, exit 78")
def _():
    for members, words in (
            ({"server": "127.0.0.1:1113", "gossip_seeds": "127.0.0.1:2113"}, "cannot both be set"),
            ({"gossip_seeds": ",".join(["a:1"] * 17)}, "at most 16"),
            ({"gossip_seeds": "127.0.0.1:2113, nowhere"}, "HOST:PORT"),
            ({"nameservers": "127.0.0.1:53, [::1]:53, dns.test:53"}, "'dns.test' is no address"),
            ({"server": "discover://nowhere"}, "discover://HOST:PORT"),
            ({"node_preference": "best"}, "read_only_replica")):
        with tempfile.TemporaryDirectory() as folder:
            bridge = Bridge(folder, {"store": members})
            bridge.write_config()
            done = subprocess.run([ESBRIDGED, "--check", "-c", bridge.config], capture_output=True, text=True, check=False,
                                  timeout=LIMIT)
            equal(done.returncode, 78, "status of --check: %s" % done.stderr)
            true(words in done.stderr, "%r in %r" % (words, done.stderr))


main(shared=False)
