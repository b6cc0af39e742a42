#!/usr/bin/env python3
"""The process: options, settings, its socket, limits of clients, start and end."""

import grp
import os
import re
import resource
import signal
import socket
import stat
import subprocess
import tempfile

import wire
from harness import (ESBRIDGED, LIMIT, SANITIZER, Bridge, Client, World, equal, has, main, numbers, parse, test, true, until)

SECRET = "sesame-open-up"


def run(*arguments, **options):
    """Runs esbridged to its end: (status, standard output, standard error)."""
    done = subprocess.run([ESBRIDGED] + list(arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=LIMIT, text=True, **options)
    true(not SANITIZER.search(done.stderr), done.stderr)
    return done.returncode, done.stdout, done.stderr


class Config:
    """A file with settings, for as long as the block lasts."""

    def __init__(self, text):
        self.folder = tempfile.TemporaryDirectory(prefix="esb-")
        self.path = os.path.join(self.folder.name, "some.conf")
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(text)

    def __enter__(self):
        return self.path

    def __exit__(self, *unused):
        self.folder.cleanup()


GOOD = "[store]\nserver = 127.0.0.1:1\nusername = joe\npassword = %s\n[limits]\nline = 64K ; a comment\n" % SECRET


# Options ----------------------------------------------------------------------------------------------------

@test("--help and --version say what they should, on standard output")
def _():
    status, out, errors = run("--help")
    equal((status, errors), (0, ""), "status and standard error of --help")
    for word in ("-c", "-v", "--check", "--print-config", "--socket", "--server", "--version", "--help"):
        true(word in out, "%s is in the help" % word)
    status, out, errors = run("--version")
    equal((status, errors), (0, ""), "status and standard error of --version")
    true(re.match(r"esbridged \d+\.\d+\.\d+", out), "version %r" % out)


@test("wrong options: exit 64 and a word on standard error")
def _():
    for arguments in (["--nonsense"], ["-c"], ["-Z"], ["surplus"], ["--check=yes"]):
        status, out, errors = run(*arguments)
        equal((status, out), (64, ""), "status and output of %r" % arguments)
        true(errors, "a reason for %r" % arguments)


@test("--check: exit 0 and silence for a good file, 78 and FILE:LINE for each mistake")
def _():
    with Config(GOOD) as path:
        equal(run("--check", "-c", path)[0], 0, "status")
        equal(run("--check", "-c", path, "--socket", "/tmp/s", "--server", "h:1")[0], 0, "status with more options")
        equal(run("--check", "-c", path, "--server", "h")[0], 64, "status of a wrong server")
    for text, line, words in (("[store]\nserver = nonsense\n", 2, ["server"]), ("[store]\n\nservers = a:1\n", 3, ["servers", "server"]),
                              ("[stores]\n", 1, ["stores"]), ("[limits]\nline = 1\n", 2, ["line"]), ("[limits]\nline = 9G\n", 2, ["128M"]),
                              ("[limits]\nclients = many\n", 2, ["clients"]), ("[limits]\ndepth = 10\ndepth = 11\n", 3, ["depth"]),
                              ("[store]\noperation_timeout = 5 parsecs\n", 2, ["operation_timeout"]), ("server\n", 1, []),
                              ("[socket]\nmode = 999\n", 2, ["mode"]), ("[daemon]\nread_only = perhaps\n", 2, ["read_only"])):
        with Config(text) as path:
            status, out, errors = run("--check", "-c", path)
            equal(status, 78, "status for %r" % text)
            true("%s:%d:" % (path, line) in errors, "%s:%d: in %r" % (path, line, errors))
            for word in words:
                true(word in errors, "%r in %r" % (word, errors))
            equal(run("-c", path)[0], 78, "status of the daemon for %r" % text)


@test("all mistakes of a file are told at once")
def _():
    with Config("[limits]\nline = x\ndepth = y\n[nowhere]\na = b\n") as path:
        errors = run("--check", "-c", path)[2]
        for line in (2, 3):
            true("%s:%d:" % (path, line) in errors, "line %d in %r" % (line, errors))
        true("nowhere" in errors, "the section in %r" % errors)


@test("a file that is not there: exit 78, and its name")
def _():
    status, _, errors = run("-c", "/nonexistent/esbridged.conf")
    equal(status, 78, "status")
    true("/nonexistent/esbridged.conf" in errors, "the name in %r" % errors)


@test("--print-config: all settings, no password, and a file that is accepted")
def _():
    with Config(GOOD) as path:
        status, out, errors = run("--print-config", "-c", path)
        equal((status, errors), (0, ""), "status and standard error")
        true(SECRET not in out, "the password is not printed")
        for line in (r"\[store\]", r"server\s*=\s*127\.0\.0\.1:1$", r"username\s*=\s*joe$", r"line\s*=\s*64K$", r"depth\s*=\s*128$"):
            true(re.search(line, out, re.M), "%s in %r" % (line, out))
        with Config(out) as again:
            equal(run("--check", "-c", again)[0], 0, "status of what was printed")


@test("--print-config: what it prints is accepted and gives the same, whatever is set")
def _():
    rules = "[access ops]\nusers = root, *\nallow = read, write\nstreams = orders-*, !$*, %s, x\\,%s\n[access none]\ngroups = 0\n" \
            "allow = none\ncredentials = yes\n" % ("s" * 90, "t" * 60)
    seeds = "gossip_seeds = " + ", ".join("node-%d.example.org:2113" % n for n in range(7))
    for text in ("[store]\nserver = [::1]:1113\n", "[store]\nserver = discover://cluster.example.org:2113\n",
                 "[store]\ngossip_seeds = a:1 b:2,c:3\n", "[store]\n%s\n%s\n" % (seeds, seeds), rules,
                 "[store]\ntls = require\ntls_verify = no\ntls_server_name=%s\n" % ("n" * 180)):
        with Config(text) as path:
            first = run("--print-config", "-c", path)
        equal(first[::2], (0, ""), "status and standard error for %r" % text)
        with Config(first[1]) as again:
            equal(run("--print-config", "-c", again), first, "what was printed of %r" % text)


@test("--server counts whatever the file says, also where that names a cluster")
def _():
    with Config("[store]\ngossip_seeds = a:1, b:2\n") as path:
        status, out, errors = run("--print-config", "-c", path, "--server", "c:3")
        equal((status, errors), (0, ""), "status and standard error")
        true("\nserver = c:3\ngossip_seeds =\n" in out, "server alone in %r" % out)


@test("a password is never in the log, the messages, or the arguments")
def _():
    with Config(GOOD.replace("server = 127.0.0.1:1", "server = x")) as path:
        true(SECRET not in "".join(run("--check", "-c", path)[1:]), "not in messages")
    with World({"store": {"username": "admin", "password": SECRET}, "daemon": {"log_level": "debug"}}, start=False) as world:
        world.store.start()
        world.port, store, world.store = world.store.port, world.store, None
        try:
            world.start()
            client = world.client()
            client.ask({"op": "execute", "message": "ReadEvent", "body": {"event_stream_id": "s"}, "timeout_ms": 500})
            client.ask({"op": "ping", "timeout_ms": 500, "credentials": {"username": "admin", "password": SECRET}})
            client.ask({"op": "ping", "credentials": {"username": "admin", "password": SECRET, "more": 1}})
            client.send('{"op":"ping","credentials":{"password":"%s"' % SECRET)
            client.line()
            true(SECRET not in world.bridge.said(), "not in the log")
            with open("/proc/%d/cmdline" % world.bridge.process.pid, encoding="utf-8") as file:
                true(SECRET not in file.read(), "not in the arguments")
        finally:
            store.kill()


@test("password_file keeps the password out of the settings")
def _():
    with Config("changeit\n") as path, World({"store": {"username": "admin", "password_file": path}}) as world:
        world.client().execute("ReadAllEvents", {"max_count": 1})


# The socket -------------------------------------------------------------------------------------------------

@test("READY comes when the socket can be connected to, with the store or without")
def _():
    with World(port=1) as world:
        true(any("READY=1" in n for n in world.bridge.notifications), "READY")
        world.client().ok("hello")
        world.bridge.notified("STATUS=")


@test("the mode of the socket is as configured, 0660 by default")
def _():
    for settings, mode in ((None, 0o660), ({"socket": {"mode": "0600"}}, 0o600), ({"socket": {"mode": "0666"}}, 0o666)):
        with World(settings, port=1) as world:
            equal(stat.S_IMODE(os.stat(world.bridge.socket).st_mode), mode, "mode")


@test("the group of the socket is as configured; an unknown group is refused at start")
def _():
    # Root may give it to any group, others to one that they are in; who is in one alone has only that to try.
    own = os.getgid()
    mine = [g for g in grp.getgrall() if g.gr_gid != own and (os.getuid() == 0 or g.gr_gid in os.getgroups())]
    other = mine[0] if mine else grp.getgrgid(own)
    with World({"socket": {"group": other.gr_name}}, port=1) as world:
        equal(os.stat(world.bridge.socket).st_gid, other.gr_gid, "group")
    with Config("[socket]\npath = /tmp/esb-unused-%d\ngroup = no-such-group\n" % os.getpid()) as path:
        status, _, errors = run("-c", path)
        true(status in (69, 78) and "no-such-group" in errors, "status %d, %r" % (status, errors))


@test("two daemons on one socket path: the second refuses to start, the first goes on")
def _():
    with World() as world:
        status, _, errors = run("-c", world.bridge.config)
        true(status not in (0, None) and world.bridge.socket in errors, "status %d, %r" % (status, errors))
        world.client().ok("ping")


@test("a stale socket file is replaced; a file that is no socket is not touched")
def _():
    with World(start=False) as world:
        path = os.path.join(world.folder, "socket")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(path)
        world.start()
        world.client().ok("ping")
        world.bridge.kill()
        world.bridge.close()
        world.bridge.start()
        world.connected()
        world.baseline = until(world.bridge.descriptors, "one client alone")
        world.client().ok("ping")
    with tempfile.TemporaryDirectory(prefix="esb-") as folder:
        path = os.path.join(folder, "precious")
        with open(path, "w", encoding="ascii") as file:
            file.write("precious")
        with Config("[socket]\npath = %s\n" % path) as config:
            true(run("-c", config)[0] != 0, "refused")
        with open(path, encoding="ascii") as file:
            equal(file.read(), "precious", "the file")


@test("the socket file is gone after the end")
def _():
    world = World()
    path = world.bridge.socket
    with world:
        world.client().ok("ping")
        world.settle()
        world.bridge.terminate()
        true(not os.path.exists(path), "no file")


# The end ----------------------------------------------------------------------------------------------------

def ends_within(world, limit=LIMIT):
    equal(world.bridge.wait_exit(limit), 0, "exit status")
    world.bridge.expect_clean()


@test("SIGTERM and SIGINT end it at once when nothing is to do, idle clients or not")
def _():
    for number in (signal.SIGTERM, signal.SIGINT):
        with World() as world:
            clients = [world.client() for _ in range(5)]
            clients[0].ok("hello")
            clients[1].ok("ping")
            world.bridge.process.send_signal(number)
            ends_within(world, 3)
            true("STOPPING=1" in str(world.bridge.notifications) or world.bridge.notified("STOPPING=1"), "STOPPING")


@test("SIGTERM drains: what is in flight is finished, new requests get shutting_down")
def _():
    with wire.FakeStore() as fake, World(port=fake.port) as world:
        peer, client = fake.welcome(), world.client()
        client.send({"op": "execute", "id": "w", "message": "WriteEvents", "body": {
            "event_stream_id": "s", "events": [{"event_type": "t"}]}})
        asked = peer.read(wire.WRITE_EVENTS)
        world.bridge.process.terminate()
        world.bridge.notified("STOPPING=1")
        client.send({"op": "ping", "id": "late"})
        equal(client.reply("late")["error"]["code"], "shutting_down", "code")
        with Client(world.bridge.socket) as other:
            lines = other.rest()
            equal([line["error"]["code"] for line in lines], ["shutting_down"], "a new client is told so")
        peer.send(wire.WRITE_EVENTS_COMPLETED, asked.correlation, wire.write_completed())
        true("ok" in client.reply("w"), "the write in flight is answered")
        client.ends()
        ends_within(world)


@test("SIGTERM: a client in the middle of a line does not hold up the end")
def _():
    with World({"daemon": {"drain_timeout": "60s"}}) as world:
        client = world.client()
        client.ok("hello")
        client.send_bytes(b'{"op":"pi')
        world.client().ok("hello")
        world.bridge.process.terminate()
        client.ends()
        ends_within(world, 5)


@test("SIGTERM: the drain has an end, even if the store never answers")
def _():
    with wire.FakeStore() as fake, World({"daemon": {"drain_timeout": "300ms"}}, port=fake.port) as world:
        peer, client = fake.welcome(), world.client()
        client.send({"op": "execute", "id": "w", "timeout_ms": 60000, "message": "WriteEvents", "body": {
            "event_stream_id": "s", "events": [{"event_type": "t"}]}})
        peer.read(wire.WRITE_EVENTS)
        world.bridge.process.terminate()
        error = client.reply("w")["error"]
        has(error, code="shutting_down", outcome="unknown")
        client.ends()
        ends_within(world, 5)


@test("SIGTERM: subscriptions are told, and what a group has outstanding goes to others")
def _():
    with World({"store": {"username": "admin", "password": "changeit"}}) as world:
        client, stream = world.client(), world.stream()
        client.execute("CreatePersistentSubscription", {"event_stream_id": stream, "subscription_group_name": "g", "start_from": 0})
        client.write(stream, "a")
        live, sub = client.subscribe(stream=stream), client.subscribe(stream=stream, group="g")
        client.push("event")
        with World({"store": {"username": "admin", "password": "changeit"}}, port=world.port) as second:
            world.bridge.process.terminate()
            dropped = {}
            for line in client.rest():
                if line.get("push") == "dropped":
                    dropped[line["sub"]] = line["reason"]
            equal(dropped, {live: "shutting_down", sub: "shutting_down"}, "dropped")
            ends_within(world)
            other = second.client()
            sub = other.subscribe(stream=stream, group="g")
            push = other.push("event")
            equal(push["event"]["event_number"], 0, "number")
            other.ok("ack", sub=sub, events=[push["ack_id"]])


@test("SIGTERM with 50 stalled readers: ends within the drain time")
def _():
    with World({"daemon": {"drain_timeout": "1s"}}) as world:
        stream, writer = world.stream(), world.client()
        readers = [world.client() for _ in range(50)]
        for reader in readers:
            reader.subscribe(stream=stream)
        for _ in range(30):
            writer.write(stream, *({"event_type": "t", "data_text": "z" * 10000} for _ in range(10)))
        world.bridge.process.terminate()
        ends_within(world, 5)


# Limits -----------------------------------------------------------------------------------------------------

@test("one client over the limit is told too_many_clients and closed; a place that gets free can be had")
def _():
    def served(world):
        """A client that is answered; None where it is refused, since one that went may still be counted."""
        client = Client(world.bridge.socket)
        try:
            client.send({"op": "hello", "id": 1})
        except BrokenPipeError:
            pass
        if "ok" not in client.line():
            client.close()
            return None
        world.clients.append(client)
        return client
    with World({"limits": {"clients": 3}}) as world:
        clients = [until(lambda: served(world), "served") for _ in range(3)]
        for _ in range(5):
            with Client(world.bridge.socket) as extra:
                lines = extra.rest()
                equal([line["error"]["code"] for line in lines], ["too_many_clients"], "codes")
                equal(lines[0]["error"]["retry"], True, "retry")
        clients.pop().close()
        until(lambda: served(world), "a place is free again")
        clients[0].ok("ping")
        for client in world.clients:
            client.close()
        until(lambda: served(world), "all places are free again")


@test("limits are told by hello")
def _():
    with World({"limits": {"line": "5K", "depth": 20, "in_flight": 7, "subscriptions": 3}}) as world:
        equal(world.client().ok("hello")["limits"], {"line": 5120, "depth": 20, "in_flight": 7, "subscriptions": 3}, "limits")


@test("too many subscriptions: limit_exceeded, and one that ended makes room")
def _():
    with World({"limits": {"subscriptions": 3}}) as world:
        client = world.client()
        subs = [client.subscribe(stream="s") for _ in range(3)]
        client.fails("subscribe", "limit_exceeded", stream="s")
        client.ok("unsubscribe", sub=subs[0])
        client.subscribe(stream="s")
        client.fails("subscribe", "limit_exceeded", stream="s")
        world.client().subscribe(stream="s")


@test("a client with too many requests in flight is not read from, and all are answered in the end")
def _():
    with wire.FakeStore() as fake, World({"limits": {"in_flight": 4}, "store": {"heartbeat_interval": "30s"}},
                                         port=fake.port) as world:
        peer, client, other = fake.welcome(), world.client(), world.client()
        client.send(*({"op": "execute", "id": i, "message": "ReadEvent", "body": {
            "event_stream_id": "s", "event_number": i}} for i in range(20)))
        asked = [peer.read(wire.READ_EVENT) for _ in range(4)]
        other.ok("hello")
        has(other.ok("status")["store"], in_flight=4, queued=0)
        for number in range(20):
            if number + 4 > len(asked) and number + 4 <= 20:
                asked.append(peer.read(wire.READ_EVENT))
            peer.send(wire.READ_EVENT_COMPLETED, asked[number].correlation, wire.message((1, 1)))
            equal(client.reply(number)["error"]["code"], "not_found", "code")
            if len(asked) < 20:
                asked.append(peer.read(wire.READ_EVENT))


@test("what has come before SIGTERM and is not taken up before the end: shutting_down, nothing stored")
def _():
    with World({"limits": {"in_flight": 1}}, port=1) as world:
        client = world.client()
        body = {"event_stream_id": "s", "events": [{"event_type": "t"}]}
        client.send({"op": "execute", "id": 1, "message": "WriteEvents", "body": body, "timeout_ms": 1000},
                    {"op": "execute", "id": 2, "message": "WriteEvents", "body": body},
                    {"op": "execute", "id": 3, "message": "ReadEvent", "body": {"event_stream_id": "s"}})
        with world.bridge.client() as other:
            until(lambda: other.ok("status")["store"]["queued"] == 1, "the first waits")
        world.bridge.process.terminate()
        has(client.reply(1)["error"], code="unavailable", outcome="none")
        has(client.reply(2)["error"], code="shutting_down", outcome="none")
        true("outcome" not in client.reply(3)["error"], "a read has no outcome")
        equal(world.bridge.wait_exit(), 0, "exit status")


@test("too many operations in all: overloaded")
def _():
    with World({"store": {"queue": 5}}, port=1) as world:
        client = world.client()
        client.send(*({"op": "execute", "id": i, "message": "ReadEvent", "timeout_ms": 500, "body": {"event_stream_id": "s"}}
                      for i in range(20)))
        codes = [client.reply(i)["error"]["code"] for i in range(20)]
        equal(codes, ["unavailable"] * 5 + ["overloaded"] * 15, "codes")


@test("a reader that stops reading is paused, and gets everything when it reads again")
def _():
    with World() as world:
        slow, writer, stream = world.client(), world.client(), world.stream()
        slow.subscribe(stream=stream)
        for _ in range(50):
            writer.write(stream, *({"event_type": "t", "data_text": "z" * 10000} for _ in range(10)))
        slow.send({"op": "ping", "id": "late"})
        equal(numbers([slow.push("event") for _ in range(500)]), list(range(500)), "numbers")
        true("ok" in slow.reply("late"), "its request is answered too")


@test("a client that asks and never reads holds up itself alone")
def _():
    with World() as world:
        stream, greedy, other = world.stream(), world.client(), world.client()
        other.write(stream, {"event_type": "t", "data_text": "z" * 100000})
        greedy.send(*({"op": "execute", "id": i, "message": "ReadEvent", "body": {"event_stream_id": stream}} for i in range(50)))
        for _ in range(20):
            other.ok("ping")
        for i in range(50):
            true("ok" in greedy.reply(i), "reply %d" % i)


@test("a reader that takes no byte for client_stall_timeout is closed as slow_consumer; its events go to another")
def _():
    with World({"limits": {"client_stall_timeout": "1s"}, "store": {"username": "admin", "password": "changeit"}}) as world:
        stalled, writer, stream = world.client(), world.client(), world.stream()
        writer.execute("CreatePersistentSubscription", {"event_stream_id": stream, "subscription_group_name": "g", "start_from": 0})
        for _ in range(20):
            writer.write(stream, *({"event_type": "t", "data_text": "z" * 10000} for _ in range(10)))
        stalled.send({"op": "subscribe", "id": 1, "stream": stream, "group": "g", "in_flight": 200})
        other = world.client()
        other.subscribe(stream=stream, group="g", in_flight=200)
        equal({other.push("event")["event"]["event_number"] for _ in range(200)}, set(range(200)), "numbers")
        true("slow_consumer" in world.bridge.said(), "the log says so")


@test("a consumer that reads an event, acknowledges each event, reads the next, all blocking, never gets stuck")
def _():
    with World({"store": {"username": "admin", "password": "changeit"}}) as world:
        client, stream = world.client(), world.stream()
        client.execute("CreatePersistentSubscription", {"event_stream_id": stream, "subscription_group_name": "g", "start_from": 0})
        for _ in range(40):
            client.write(stream, *({"event_type": "t", "data_text": "z" * 10000} for _ in range(10)))
        sub = client.subscribe(stream=stream, group="g", in_flight=400)
        for number in range(400):
            push = client.push("event")
            equal(push["event"]["event_number"], number, "number")
            client.send({"op": "ack", "sub": sub, "events": [push["ack_id"]]})
        client.ok("unsubscribe", sub=sub)


@test("200 clients that come and go leave no descriptor")
def _():
    with World() as world:
        for i in range(200):
            client = world.client()
            client.send({"op": "ping", "id": 1}, {"op": "subscribe", "stream": "s"})
            if i % 2:
                client.reply(1)
            client.close()
        world.clients = []


@test("no descriptor left: new clients wait, the others go on, and it recovers")
def _():
    with World(start=False) as world:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, hard))
        try:
            world.start()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        first = world.client()
        extra = [socket.socket(socket.AF_UNIX) for _ in range(60)]
        for sock in extra:
            sock.connect(world.bridge.socket)
        for _ in range(20):
            first.ok("ping")
        for sock in extra:
            sock.close()

        def answered():
            try:
                with Bridge.client(world.bridge, limit=1) as client:
                    return client.ok("ping")
            except AssertionError:
                return False
        until(answered, "a new client is served again")


if __name__ == "__main__":
    main(shared=False)
