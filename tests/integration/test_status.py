#!/usr/bin/env python3
"""hello, ping, status: what the daemon tells of itself."""

import os
import subprocess
import sys

from harness import CONNECTED, controlled, equal, has, main, test, true

MESSAGES = """WriteEvents ReadEvent ReadStreamEvents ReadStreamEventsBackward ReadAllEvents ReadAllEventsBackward
FilteredReadAllEvents FilteredReadAllEventsBackward DeleteStream TransactionStart TransactionWrite TransactionCommit
CreatePersistentSubscription UpdatePersistentSubscription DeletePersistentSubscription ScavengeDatabase""".split()


@test("hello: protocol, version, limits, features, messages")
def _(world):
    client = world.client()
    hello = client.ok("hello")
    has(hello, protocol=1)
    true(isinstance(hello["version"], str) and hello["version"], "version in %r" % hello)
    equal(hello["limits"], {"line": 16 * 1024 * 1024, "depth": 128, "in_flight": 256, "subscriptions": 64}, "limits")
    true(isinstance(hello["features"], list), "features in %r" % hello)
    equal(sorted(hello["messages"]), sorted(MESSAGES), "messages")


@test("hello names the client, as often as it likes")
def _(world):
    client = world.client()
    true(not client.ok("status")["client"].get("name"), "no name at first")
    for name in ("billing-import", "квиз", "other"):
        client.ok("hello", client=name)
        equal(client.ok("status")["client"]["name"], name, "name")
    client.fails("hello", "bad_request", client=1)
    client.fails("hello", "bad_request", client=None)
    client.fails("hello", "bad_request", name="x")
    equal(client.ok("status")["client"]["name"], "other", "name")


@test("the name of a client is in the log, and can't break its lines")
def _(world):
    world.client().ok("hello", client="one\ntwo <0> \x1b[31m")
    true("\ntwo" not in world.bridge.said() and "\x1b" not in world.bridge.said(), "the log's lines: %r" % world.bridge.said()[-500:])


@test("status of all: every client and its subscriptions, for root and the user of the daemon")
def _(world):
    client, other = world.client(), world.client()
    other.ok("hello", client="the other")
    other.subscribe(stream=world.stream(), sub="its", window=7)
    true("clients" not in client.ok("status", all=False), "not without being asked for")
    clients = client.ok("status", all=True)["clients"]
    named = [c for c in clients if c.get("name") == "the other"]
    equal(len(named), 1, "the other among %r" % clients)
    has(named[0], uid=os.getuid(), pid=os.getpid())
    has(named[0]["subscriptions"][0], sub="its", window=7)
    equal(len(clients), world.status()["client_count"] - 1, "clients")
    client.fails("status", "bad_request", all=1)


@test("status of all: nobody else")
def _(world):
    if os.getuid() != 0:   # who is not root can be nobody else
        world.client().ok("status", all=True)
        return
    os.chmod(world.folder, 0o755)
    os.chmod(world.bridge.socket, 0o666)
    asked = subprocess.run([sys.executable, "-c", """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b'{"op":"status","all":true}\\n')
print(s.makefile().readline())
""", world.bridge.socket], capture_output=True, text=True, check=False)
    true('"code":"permission_denied"' in asked.stdout, "refused: %r %r" % (asked.stdout, asked.stderr))


@test("ping: pong and the time it took")
def _(world):
    client = world.client()
    pong = client.ok("ping")
    has(pong, pong=True)
    true(isinstance(pong["rtt_us"], int) and 0 < pong["rtt_us"] < 10_000_000, "rtt_us in %r" % pong)
    client.ok("ping", timeout_ms=1000)


@test("status: version, uptime, the store's connection, this client")
def _(world):
    client = world.client()
    status = client.ok("status")
    equal(status["version"], client.ok("hello")["version"], "version")
    true(any(name.startswith("uptime") for name in status), "uptime in %r" % status)
    has(status["store"], state=CONNECTED, endpoint="127.0.0.1:%d" % world.port, in_flight=0, queued=0)
    for name in ("role", "connect_attempts"):
        true(name in status["store"], "%s in %r" % (name, status["store"]))
    equal(status["client"]["subscriptions"], [], "subscriptions")

    has(status["client"], pid=os.getpid(), uid=os.getuid(), gid=os.getgid())


@test("members of status that are wrong")
def _(world):
    client = world.client()
    client.ok("status", all=False)
    for bad in ("yes", 1, None):
        client.fails("status", "bad_request", all=bad)


@test("requests in flight are counted: those of the store, and of each client its own")
def _(_):
    with controlled() as (world, control):
        client, other, stream = world.client(), world.client(), world.stream()
        control.stall("WriteEvents")
        for number in range(3):
            client.send({"op": "execute", "id": number, "message": "WriteEvents",
                         "body": {"event_stream_id": stream, "events": [{"event_type": "t"}]}})
        equal(client.ok("status")["client"]["in_flight"], 3, "of the client")
        status = other.ok("status")
        equal(status["store"]["in_flight"] + status["store"]["queued"], 3, "of the store")
        equal(status["client"]["in_flight"], 0, "of another client")
        control.clear()
        control.resume()
        for number in range(3):
            true("ok" in client.reply(number), "an answer to each")
        has(other.ok("status")["store"], in_flight=0, queued=0)


@test("a subscription in status: state, window, outstanding, delivered, acked, retried, last position")
def _(world):
    client, stream = world.client(), world.stream()
    client.write(stream, "a", "b", "c", "d")
    client.subscribe(stream=stream, sub="s", window=3, **{"from": "start"})
    ids = [client.push("event")["ack_id"] for _ in range(3)]
    mine = client.ok("status")["client"]["subscriptions"][0]
    has(mine, sub="s", mode="catchup", stream=stream, window=3, outstanding=3, delivered=3, acked=0, retried=0, last_event_number=2)
    true(isinstance(mine["state"], str) and mine["state"], "state in %r" % mine)
    client.ok("ack", sub="s", events=ids[:1])
    equal(client.push("event")["event"]["event_number"], 3, "the next")
    client.push("caught_up")
    client.ok("nack", sub="s", events=ids[1:2])
    equal(client.push("event")["event"]["event_number"], 1, "again")
    has(client.ok("status")["client"]["subscriptions"][0], outstanding=3, acked=1, retried=1, last_event_number=3)


@test("a subscription of all streams in status: the position of the last event")
def _(_):
    with controlled({"store": {"username": "admin", "password": "changeit"}}) as (world, _):
        client = world.client()
        client.subscribe(stream="$all", sub="s")
        client.write("s", "a")
        push = client.push("event")
        has(client.ok("status")["client"]["subscriptions"][0], stream="$all", last_position=push["position"])


if __name__ == "__main__":
    main()
