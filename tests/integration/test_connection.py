#!/usr/bin/env python3
"""The connection to the store comes, goes and comes back; nothing that was asked for is forgotten."""

import os
import socket
import tempfile
import time

from control import Control
from harness import CONNECTED, Failure, Store, World, equal, has, main, merged, numbers, test, true, types, until

ADMIN = {"store": {"username": "admin", "password": "changeit"}}
QUICK = merged(ADMIN, {"store": {"reconnect_delay_min": "20ms", "reconnect_delay_max": "100ms",
                                 "heartbeat_interval": "300ms", "heartbeat_timeout": "500ms"}})


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def absent_store(settings=None):
    """A world whose store is not there, and the store that can come."""
    world = World(merged(QUICK, settings), port=free_port())
    store = Store(world.folder)
    store.port = world.port
    return world, store


def took(began, least, most):
    seconds = time.monotonic() - began
    true(least <= seconds <= most, "it took %.3f s, expected %g to %g" % (seconds, least, most))


def write_body(stream, kind="t"):
    return {"event_stream_id": stream, "events": [{"event_type": kind}]}


@test("store not there at start: the daemon is up, status says so, requests get unavailable after their time")
def _():
    world, _ = absent_store()
    with world:
        client = world.client()
        store = client.ok("status")["store"]
        true(store["state"] != CONNECTED and store["endpoint"] == "127.0.0.1:%d" % world.port, "status %r" % store)
        until(lambda: client.ok("status")["store"].get("last_error"), "the reason is in status")
        began = time.monotonic()
        has(client.refuses("WriteEvents", "unavailable", write_body("s"), timeout_ms=400), retry=True, outcome="none")
        took(began, 0.35, 3)
        error = client.refuses("ReadStreamEvents", "unavailable", {"event_stream_id": "s"}, timeout_ms=100)
        true("outcome" not in error, "a read has no outcome: %r" % error)
        client.fails("ping", "unavailable", timeout_ms=100)
        client.fails("subscribe", "unavailable", stream="s", timeout_ms=100)
        client.fails("subscribe", "unavailable", stream="s", group="g", timeout_ms=100)
        equal(client.ok("status")["client"]["subscriptions"], [], "subscriptions")
        client.refuses("WriteEvents", "bad_request", {"events": []})
        client.ok("hello")


@test("the store comes: what waits is answered, in order, and all goes on")
def _():
    world, store = absent_store()
    with world:
        client = world.client()
        client.refuses("WriteEvents", "unavailable", write_body("s", "too-late"), timeout_ms=100)
        client.send({"op": "subscribe", "id": "sub", "stream": "s", "timeout_ms": 20000, "sub": "live"})
        client.send(*({"op": "execute", "id": i, "message": "WriteEvents", "timeout_ms": 20000,
                       "body": dict(write_body("s", "t%d" % i), expected_version=i - 1)} for i in range(20)))
        until(lambda: client.ok("status")["store"]["queued"] >= 20, "the writes wait")
        store.start()
        try:
            for i in range(20):
                true("ok" in client.reply(i, limit=15), "write %d" % i)
            true("ok" in client.reply("sub"), "subscribed")
            equal(types(client.read("s")["events"]), ["t%d" % i for i in range(20)], "types")
            client.ok("ping")
        finally:
            store.kill()


@test("the default time of a request is the configured one")
def _():
    world, _ = absent_store({"store": {"operation_timeout": "300ms"}})
    with world:
        began = time.monotonic()
        world.client().refuses("WriteEvents", "unavailable", write_body("s"))
        took(began, 0.25, 3)


@test("the store dies and comes back on its port: a live subscription is interrupted and resumed")
def _():
    with World(QUICK) as world:
        client, stream = world.client(), world.stream()
        sub = client.subscribe(stream=stream)
        client.write(stream, "a")
        equal(numbers([client.push("event")]), [0], "numbers")
        world.store.kill()
        has(client.push("interrupted"), sub=sub, reason="connection_lost")
        client.refuses("WriteEvents", "unavailable", write_body(stream), timeout_ms=200)
        world.store.start()
        has(client.push("resumed", limit=15), sub=sub)
        client.write(stream, "b")
        equal(types([client.push("event")]), ["b"], "types")
        client.quiet()
        client.ok("unsubscribe", sub=sub)


def cut_and_resume(world, client, sub, **how):
    world.proxy.cut(**how)
    has(client.push("interrupted"), sub=sub)
    return client.push("resumed")


@test("closed by FIN or RST: interrupted, resumed, and events come again")
def _():
    with World(QUICK, proxy=True) as world:
        client, stream = world.client(), world.stream()
        sub = client.subscribe(stream=stream)
        for reset in (False, True, False):
            has(cut_and_resume(world, client, sub, reset=reset), sub=sub)
            client.write(stream, "t")
            client.push("event")
        client.quiet()
        equal(client.ok("status")["store"]["state"], CONNECTED, "state")


@test("a live subscription that missed events says gap, and goes on with what is new")
def _():
    with World(QUICK, proxy=True) as world:
        client, stream = world.client(), world.stream()
        client.subscribe(stream=stream)
        client.write(stream, "a")
        client.push("event")
        with World(ADMIN, port=world.store.port) as second:
            world.proxy.refuse()
            client.push("interrupted")
            second.client().write(stream, "missed")
            world.proxy.allow()
        equal(client.push("resumed").get("gap"), True, "gap")
        client.write(stream, "b")
        equal(types([client.push("event")]), ["b"], "types")


@test("a group after a cut: interrupted, resumed, events come again, earlier deliveries can't be acked")
def _():
    with World(QUICK, proxy=True) as world:
        client, stream = world.client(), world.stream()
        client.execute("CreatePersistentSubscription", {"event_stream_id": stream, "subscription_group_name": "g",
                                                        "start_from": 0})
        client.write(stream, "a", "b", "c")
        sub = client.subscribe(stream=stream, group="g")
        old = [client.push("event") for _ in range(3)]
        client.ok("ack", sub=sub, events=[old[0]["ack_id"]])
        client.ok("ping")
        cut_and_resume(world, client, sub)
        again = [client.push("event") for _ in range(2)]
        equal(sorted(numbers(again)), [1, 2], "numbers")
        client.ok("ack", sub=sub, events=[p["ack_id"] for p in again])
        client.fails("ack", "unknown_event", sub=sub, events=[old[1]["ack_id"]])
        client.quiet()


@test("ack while the connection is gone: unknown_event")
def _():
    with World(QUICK, proxy=True) as world:
        client, stream = world.client(), world.stream()
        client.execute("CreatePersistentSubscription", {"event_stream_id": stream, "subscription_group_name": "g",
                                                        "start_from": 0})
        client.write(stream, "a")
        sub = client.subscribe(stream=stream, group="g")
        push = client.push("event")
        world.proxy.refuse()
        client.push("interrupted")
        client.fails("ack", "unknown_event", sub=sub, events=[push["ack_id"]])
        world.proxy.allow()
        client.push("resumed")
        push = client.push("event")
        client.ok("ack", sub=sub, events=[push["ack_id"]])


@test("the group is gone after the cut: dropped")
def _():
    with World(QUICK, proxy=True) as world:
        client, stream = world.client(), world.stream()
        group = {"event_stream_id": stream, "subscription_group_name": "g"}
        client.execute("CreatePersistentSubscription", group)
        sub = client.subscribe(stream=stream, group="g")
        world.proxy.refuse()
        client.push("interrupted")
        with World(ADMIN, port=world.store.port) as second:
            second.client().execute("DeletePersistentSubscription", group)
        world.proxy.allow()
        push = client.push("dropped")
        has(push, sub=sub)
        true(push["reason"] in ("not_found", "persistent_subscription_deleted"), "reason %r" % push)


@test("unsubscribe while the connection is gone is answered, and nothing comes after")
def _():
    with World(QUICK, proxy=True) as world:
        client, stream = world.client(), world.stream()
        sub = client.subscribe(stream=stream)
        world.proxy.refuse()
        client.push("interrupted")
        client.ok("unsubscribe", sub=sub)
        world.proxy.allow()
        world.connected()
        client.write(stream, "a")
        client.quiet()


@test("a write whose answer was lost is sent again and stored once")
def _():
    for expected in (-2, -1):
        with World(QUICK, proxy=True) as world:
            client, stream = world.client(), world.stream()
            world.proxy.mute()
            client.send({"op": "execute", "id": "w", "message": "WriteEvents", "timeout_ms": 9000,
                         "body": dict(write_body(stream), expected_version=expected)})
            with World(ADMIN, port=world.store.port) as second:
                reader = second.client()
                until(lambda: "ok" in reader.ask({"op": "execute", "message": "ReadEvent", "body": {
                    "event_stream_id": stream}}), "the event is stored")
                world.proxy.cut()
                world.proxy.speak()
                line = client.reply("w")
                true("ok" in line, "the write: %r" % line)
                has(line["ok"]["body"], first_event_number=0, last_event_number=0)
                equal(len(reader.read(stream)["events"]), 1, "events")


def stored_unanswered(world, client, reader, stream, timeout_ms, expected=-2):
    """A write that is stored and whose answer does not come through; the connection stands."""
    world.proxy.mute()
    client.send({"op": "execute", "id": "w", "message": "WriteEvents", "timeout_ms": timeout_ms,
                 "body": dict(write_body(stream), expected_version=expected)})
    until(lambda: "ok" in reader.ask({"op": "execute", "message": "ReadEvent", "body": {"event_stream_id": stream}}),
          "the event is stored")


@test("a write that was stored, and is refused when it is sent again, has outcome unknown")
def _():
    with World(QUICK, proxy=True) as world, World(ADMIN, port=world.store.port) as second:
        client, reader, stream = world.client(), second.client(), world.stream()
        stored_unanswered(world, client, reader, stream, 9000)
        reader.execute("DeleteStream", {"event_stream_id": stream, "hard_delete": True})
        world.proxy.cut()
        world.proxy.speak()
        has(client.reply("w")["error"], code="stream_deleted", outcome="unknown")


@test("no_stream in a softly deleted stream is not recognised when it is sent again: outcome unknown")
def _():
    with World(QUICK, proxy=True) as world, World(ADMIN, port=world.store.port) as second:
        client, reader, stream = world.client(), second.client(), world.stream()
        reader.write(stream, "a", "b")
        reader.execute("DeleteStream", {"event_stream_id": stream})
        stored_unanswered(world, client, reader, stream, 9000, -1)
        world.proxy.cut()
        world.proxy.speak()
        has(client.reply("w")["error"], code="wrong_expected_version", outcome="unknown")


@test("a write that was stored, and is answered NotHandled when it is sent again, is not called unavailable")
def _():
    with tempfile.TemporaryDirectory(prefix="esb-") as folder:
        path = os.path.join(folder, "control")
        with World(QUICK, ["--control", path], proxy=True) as world, World(ADMIN, port=world.store.port) as second, \
                Control(path) as control:
            client, reader, stream = world.client(), second.client(), world.stream()
            stored_unanswered(world, client, reader, stream, 1500)
            control.not_handled("NotReady", "WriteEvents", "*")
            world.proxy.cut()
            world.proxy.speak()
            has(client.reply("w")["error"], code="connection_lost", outcome="unknown")
            control.clear()


@test("half-open: found by heartbeat, and a new connection is made")
def _():
    with World(QUICK, proxy=True) as world:
        client = world.client()
        sub = client.subscribe(stream="s")
        began = time.monotonic()
        world.proxy.stall()
        client.push("interrupted")
        took(began, 0.2, 5)
        world.proxy.flow()
        has(client.push("resumed"), sub=sub)
        client.ok("ping")


@test("an idle connection is kept for many times the heartbeat interval")
def _():
    with World(QUICK, ["--heartbeat-interval", "100", "--heartbeat-timeout", "300"], proxy=True) as world:
        client = world.client()
        client.subscribe(stream="s")
        before = world.proxy.accepted
        try:
            line = client.line(limit=3)
        except Failure:
            line = None
        equal(line, None, "nothing comes")
        client.quiet()
        equal(world.proxy.accepted, before, "connections")


@test("20 closes in a row: still there, and every subscription with it")
def _():
    with World(QUICK, proxy=True) as world:
        client, stream = world.client(), world.stream()
        sub = client.subscribe(stream=stream)
        for i in range(20):
            cut_and_resume(world, client, sub, reset=bool(i % 2))
        client.write(stream, "after")
        equal(types([client.push("event")]), ["after"], "types")


@test("closed while 200 requests are in flight: every one is answered once")
def _():
    with World(QUICK, proxy=True) as world:
        client, stream = world.client(), world.stream()
        for _ in range(5):
            ids = ["%d" % next(client.ids) for _ in range(200)]
            client.send(*({"op": "execute", "id": i, "message": "WriteEvents", "timeout_ms": 8000,
                           "body": {"event_stream_id": stream, "events": [{"event_type": i}]}} for i in ids))
            world.proxy.cut(reset=True)
            for i in ids:
                line = client.reply(i, limit=15)
                true("ok" in line or line["error"]["outcome"] in ("none", "unknown"), "%r" % line)
        stored = types(client.read(stream)["events"])
        equal(len(stored), len(set(stored)), "no event twice")


@test("64 MiB through the connection in both directions, and no heartbeat is missed")
def _():
    # Beats come often; how late one may be leaves room for a busy machine.
    with World(merged(QUICK, {"limits": {"line": "24M"}, "store": {"heartbeat_timeout": "8s"}}),
               ["--heartbeat-interval", "300", "--heartbeat-timeout", "8000"], proxy=True) as world:
        client, stream = world.client(limit=30), world.stream()
        before = world.proxy.accepted
        for i in range(5):
            client.write(stream, {"event_type": "big", "data_text": "m" * 13 * 1024 * 1024}, timeout_ms=20000)
        for i in range(5):
            body = client.execute("ReadEvent", {"event_stream_id": stream, "event_number": i}, timeout_ms=20000)
            equal(len(body["event"]["event"]["data_base64"]), (13 * 1024 * 1024 + 2) // 3 * 4, "length")
        equal(world.proxy.accepted, before, "connections")


@test("clients come and go while the store is away: nothing is left")
def _():
    world, store = absent_store()
    with world:
        before = None
        for _ in range(3):
            for _ in range(20):
                client = world.client()
                client.send({"op": "execute", "message": "WriteEvents", "body": write_body("s"), "timeout_ms": 300},
                            {"op": "subscribe", "stream": "s", "timeout_ms": 300}, {"op": "ping", "timeout_ms": 300})
            world.settle()
            until(lambda: world.status()["store"]["queued"] == 0, "nothing queued")
            until(lambda: before is None or abs(world.bridge.descriptors() - before) <= 1, "descriptors as before")
            before = world.bridge.descriptors()


if __name__ == "__main__":
    main(shared=False)
