#!/usr/bin/env python3
"""Packages longer than the frame limit: they end what they are for, and not the connection."""

import contextlib
import struct
import time

import wire
from harness import World, controlled, equal, has, main, merged, test, true, until

LIMIT = 64 * 1024
SMALL = {"store": {"frame_limit": "64K", "username": "admin", "password": "changeit"}}
QUICK = {"store": {"frame_limit": "64K", "reconnect_delay_min": "20ms", "reconnect_delay_max": "50ms",
                   "connect_timeout": "1s", "heartbeat_interval": "200ms", "heartbeat_timeout": "2s"}}


@contextlib.contextmanager
def small():
    """(world, control channel, client) with a frame limit of 64 KiB; the connection must be the first one at the end."""
    with controlled(SMALL) as (world, control):
        client = world.client()
        yield world, control, client
        equal(client.ok("status")["store"]["connects"], 1, "connections made")


def fill(client, stream, count, size):
    for _ in range(count):
        client.write(stream, {"event_type": "big", "data_text": "x" * size})


def read_all(client, count):
    """The numbers of COUNT events, and caught_up behind them."""
    got = [client.push("event")["event"]["event_number"] for _ in range(count)]
    client.push("caught_up")
    return got


@test("a page too large is asked for again with half as many events, down to what fits")
def _():
    with small() as (_world, control, client):
        fill(client, "s", 100, 10000)
        for members in ({}, {"window": 200}, {"read_batch": 64}):
            sub = client.subscribe(stream="s", **{"from": "start"}, **members)
            equal(read_all(client, 100), list(range(100)), "numbers")
            client.ok("unsubscribe", sub=sub)
        client.subscribe(stream="$all", sub="all", **{"from": "start"})
        while client.push()["push"] != "caught_up":
            pass
        client.quiet()


@test("pages grow again towards read_batch when events are small again")
def _():
    with small() as (_world, control, client):
        fill(client, "s", 20, 15000)
        for _ in range(20):
            client.write("s", *({"event_type": "t"} for _ in range(200)))
        control.clear()
        client.subscribe(stream="s", read_batch=100, **{"from": "start"})
        equal(read_all(client, 4020), list(range(4020)), "numbers")
        pages = control.count("ReadStreamEventsForward")[0]
        true(pages < 80, "%d pages for 20 large and 4000 small events" % pages)


@test("a single event larger than the limit: dropped with limit_exceeded, what was before is delivered")
def _():
    with small() as (_world, control, client):
        fill(client, "s", 3, 100)
        fill(client, "s", 1, 80000)
        client.subscribe(stream="s", sub="c", **{"from": "start"})
        equal([client.push("event")["event"]["event_number"] for _ in range(3)], [0, 1, 2], "numbers")
        has(client.push("dropped"), sub="c", reason="limit_exceeded")
        has(client.fails("subscribe", "limit_exceeded", stream="s", **{"from": 3}), retry=False)
        client.subscribe(stream="s", sub="c", **{"from": 4})
        client.push("caught_up")
        client.ok("unsubscribe", sub="c")
        client.quiet()


@test("a live event larger than the limit: every reader is dropped, nothing is left at the store")
def _():
    with small() as (_world, control, client):
        client.subscribe(stream="s", sub="a")
        client.subscribe(stream="s", sub="b", window=10)
        equal(control.subscriptions(), (1, 0), "subscriptions at the store")
        fill(client, "s", 1, 80000)
        equal({(p["push"], p["sub"], p["reason"]) for p in (client.push(), client.push())},
              {("dropped", sub, "limit_exceeded") for sub in "ab"}, "pushes")
        until(lambda: control.subscriptions() == (0, 0), "no subscription at the store")
        equal(client.ok("status")["client"]["subscriptions"], [], "subscriptions")


@test("an event of a group larger than the limit: dropped, and the acks given before are not lost")
def _():
    with small() as (_world, control, client):
        group = {"event_stream_id": "s", "subscription_group_name": "g", "start_from": 0}
        client.execute("CreatePersistentSubscription", group)
        fill(client, "s", 2, 100)
        client.subscribe(stream="s", group="g", sub="g")
        events = [client.push("event") for _ in range(2)]
        client.send({"op": "ack", "sub": "g", "events": [events[0]["ack_id"]]})
        client.ok("ping")
        control.rule("garbage", "PersistentSubscriptionStreamEventAppeared")
        client.send({"op": "ack", "sub": "g", "events": [events[1]["ack_id"]]})
        fill(client, "s", 1, 80000)
        has(client.push("dropped"), sub="g")
        until(lambda: control.subscriptions() == (0, 0), "no consumer at the store")
        client.subscribe(stream="s", group="g", sub="again")
        has(client.push("dropped"), sub="again", reason="limit_exceeded")
        until(lambda: control.subscriptions() == (0, 0), "no consumer at the store")


@test("execute: limit_exceeded, which names the limit and says to lower max_count where there is one")
def _():
    with small() as (_world, control, client):
        fill(client, "s", 20, 10000)
        fill(client, "big", 1, 80000)
        for message, body in (("ReadStreamEvents", {"event_stream_id": "s"}), ("ReadStreamEventsBackward", {"event_stream_id": "s"}),
                              ("ReadAllEvents", {}), ("ReadAllEventsBackward", {})):
            error = client.refuses(message, "limit_exceeded", body)
            true("max_count" in error["message"] and str(LIMIT) in error["message"], "message %r" % error)
            true("outcome" not in error, "a read has no outcome: %r" % error)
        equal(len(client.read("s", count=5)["events"]), 5, "a shorter page")
        error = client.refuses("ReadEvent", "limit_exceeded", {"event_stream_id": "big"})
        true("max_count" not in error["message"], "message %r" % error)


def stage(**settings):
    fake = wire.FakeStore()
    return fake, World(merged(QUICK, {"store": settings}), port=fake.port)


def ask(client, request_id="r", **members):
    client.send(dict({"op": "execute", "id": request_id, "message": "ReadEvent", "timeout_ms": 30000,
                      "body": {"event_stream_id": "s", "event_number": 0}}, **members))


def goes_on(client, peer):
    """A read over PEER is answered."""
    ask(client, "next")
    peer.send(wire.READ_EVENT_COMPLETED, peer.read(wire.READ_EVENT).correlation, wire.message((1, 1)))
    has(client.reply("next")["error"], code="not_found")


def answer_of(size):
    """A ReadEventCompleted of exactly SIZE bytes."""
    for data in range(size - 200, size):
        payload = wire.message((1, 0), (2, wire.message((1, wire.record("s", 0, "t", b"x" * data, json=0)))))
        if len(payload) >= size:
            break
    equal(len(payload), size, "the size of the answer")
    return payload


@test("an answer of the limit is taken, one of a byte more is limit_exceeded")
def _():
    fake, world = stage()
    with fake, world:
        client, peer = world.client(), fake.welcome()
        for size, wanted in ((LIMIT - 18, "ok"), (LIMIT - 17, "error"), (LIMIT - 18, "ok")):
            ask(client)
            peer.send(wire.READ_EVENT_COMPLETED, peer.read(wire.READ_EVENT).correlation, answer_of(size))
            true(wanted in client.reply("r"), "an answer of %d bytes: %s" % (size, wanted))


@test("the bytes of a frame too large take no memory, and the connection goes on with heartbeats and requests")
def _():
    fake, world = stage()
    with fake, world:
        client, peer = world.client(), fake.welcome()
        before = world.memory()
        ask(client)
        ask(client, "next")
        first = peer.read(wire.READ_EVENT)
        second = peer.read(wire.READ_EVENT)
        size = 300 * 1024 * 1024
        peer.send_bytes(struct.pack("<I", size) + wire.package(wire.READ_EVENT_COMPLETED, first.correlation))
        has(client.reply("r")["error"], code="limit_exceeded")   # at once: the rest is still to come
        chunk, left = bytes(1024 * 1024), size - 18
        began, beats = time.monotonic(), 0
        while left:
            n = min(left, len(chunk))
            peer.send_bytes(chunk[:n])
            left -= n
            if left == size // 2 - 18:   # the server stops in the middle: it is asked for a sign of life
                while beats == 0:
                    got = peer.next()
                    true(got is not None, "still connected")
                    beats += got.command == wire.HEARTBEAT_REQUEST
        peer.send(wire.READ_EVENT_COMPLETED, second.correlation, wire.message((1, 1)))
        has(client.reply("next")["error"], code="not_found")
        true(world.memory() - before < 16 * 1024 * 1024, "%d bytes more memory" % (world.memory() - before))
        true(time.monotonic() - began < 60, "done")


@test("a frame too large, one byte at a time up to its header")
def _():
    fake, world = stage()
    with fake, world:
        client, peer = world.client(), fake.welcome()
        ask(client)
        correlation = peer.read(wire.READ_EVENT).correlation
        for byte in struct.pack("<I", LIMIT + 1) + wire.package(wire.READ_EVENT_COMPLETED, correlation):
            peer.send_bytes(bytes([byte]))
        has(client.reply("r")["error"], code="limit_exceeded")
        peer.send_bytes(bytes(LIMIT + 1 - 18))
        goes_on(client, peer)


@test("a connection that ends in the middle of a frame too large: a new one, and all goes on")
def _():
    fake, world = stage()
    with fake, world:
        client, peer = world.client(), fake.welcome()
        ask(client)
        correlation = peer.read(wire.READ_EVENT).correlation
        peer.send_bytes(struct.pack("<I", LIMIT * 2) + wire.package(wire.READ_EVENT_COMPLETED, correlation) + bytes(1000))
        has(client.reply("r")["error"], code="limit_exceeded")
        peer.close()
        peer = fake.welcome()
        goes_on(client, peer)


@test("a frame too large that is for nobody, or comes in the handshake, ends the connection")
def _():
    fake, world = stage()
    with fake, world:
        client, peer = world.client(), fake.welcome()
        peer.send_bytes(struct.pack("<I", LIMIT + 1) + wire.package(wire.READ_EVENT_COMPLETED, bytes(range(16))))
        peer.ends()
        peer = fake.accept()
        asked = peer.read(wire.IDENTIFY_CLIENT)
        peer.send_bytes(struct.pack("<I", LIMIT + 1) + wire.package(wire.CLIENT_IDENTIFIED, asked.correlation))
        peer.ends()
        fake.welcome()
        until(lambda: client.ok("status")["store"]["state"] == "ready", "connected again")


if __name__ == "__main__":
    main(shared=False)
