#!/usr/bin/env python3
"""What one client asks for does not keep others waiting: large answers are asked for in turn, and what is small passes by."""

import json

import wire
from harness import World, controlled, equal, main, test, true, until

ADMIN = {"store": {"username": "admin", "password": "changeit"}}
KIB = 1024


def beside_pages(world, control, delay, *events):
    """A client, and ten that have asked for eight of the biggest pages each of a store that takes DELAY ms for one. EVENTS
    are in the stream "s"."""
    good, bad = world.client(), [world.client() for _ in range(10)]
    good.write("s", *events)
    control.delay(delay, "ReadAllEventsForward", "*")
    good.ok("ping")
    for client in bad:
        client.send(*({"op": "execute", "id": i, "message": "ReadAllEvents", "body": {"max_count": 4096}, "timeout_ms": 30000}
                      for i in range(8)))
    until(lambda: good.ok("status")["requests"] >= len(bad), "they are taken up")
    return good, bad


@test("the biggest pages, asked for by ten clients, are asked of the store one at a time; a small read and a write pass by")
def _():
    with controlled(ADMIN) as (world, control):
        good, _ = beside_pages(world, control, 1000, "a")
        for _ in range(3):
            equal(len(good.read("s", count=1)["events"]), 1, "events")
            good.write("s", "b")
        asked = control.count("ReadAllEventsForward")[0]
        answered = control.count("ReadAllEventsForwardCompleted")[1]
        true(asked - answered <= 1, "pages asked of the store: %d, answered: %d" % (asked, answered))


@test("a client that subscribes to everything 64 times, and two more, do not keep another from its first event")
def _():
    with controlled(ADMIN) as (world, control):
        good, bad = world.client(), [world.client() for _ in range(3)]
        good.write("s", "a")
        control.delay(100, "ReadAllEventsForward", "*")
        for client in bad:
            client.send(*({"op": "subscribe", "id": i, "stream": "$all", "from": "start"} for i in range(64)))
        until(lambda: control.count("ReadAllEventsForward")[0] >= 8, "they are taken up")
        good.subscribe(stream="s", **{"from": "start"})
        good.push("event")
        true(control.count("ReadAllEventsForward")[0] < 96, "pages asked of the store before: %d" % control.count("ReadAllEventsForward")[0])


@test("what a client that has gone has asked for, and was not sent yet, is not read any more")
def _():
    with controlled(ADMIN) as (world, control):
        good, bad = beside_pages(world, control, 200, {"event_type": "t", "data_text": "x" * 100 * KIB})
        for client in bad:
            client.close()
            world.clients.remove(client)
        until(lambda: good.ok("status")["requests"] == 0, "they are forgotten")
        true(control.count("ReadAllEventsForward")[0] <= 2, "pages asked of the store: %d" % control.count("ReadAllEventsForward")[0])


@test("while the store is silent, and while it is away, no client has to wait for the others: each is heard as far as its limit goes")
def _():
    with World(ADMIN, proxy=True) as world:
        clients, stream = [world.client() for _ in range(4)], world.stream()
        for client in clients * 5:
            client.write(stream, "near")
        for away in (world.proxy.stall, lambda: (world.proxy.refuse(), world.disconnected())):
            away()
            for client in clients:
                client.send(*({"op": "execute", "id": i, "message": "WriteEvents", "timeout_ms": 60000, "body": {
                    "event_stream_id": stream, "events": [{"event_type": "t"}]}} for i in range(100)))
            for client in clients:
                client.ok("status")
            equal(world.status()["requests"], 100 * len(clients), "requests in flight")
            world.proxy.flow()
            world.proxy.allow()
            for client in clients:
                for i in range(100):
                    true("ok" in client.reply(i, limit=30), "written")


@test("clients that ask for hundreds of events at once, beside one that asks for one at a time and requests that are never answered")
def _():
    def read(number, stream):
        return {"op": "execute", "id": number, "message": "ReadStreamEvents", "timeout_ms": 60000, "body": {
            "event_stream_id": stream, "from_event_number": 0, "max_count": 1}}

    page = wire.message((2, 1), (3, 0), (4, -1), (5, 1), (6, 100))
    with wire.FakeStore() as fake, World(ADMIN, port=fake.port) as world:
        peer = fake.welcome()
        stuck, light, *heavy = [world.client() for _ in range(6)]
        stuck.send(*(read(number, "stuck") for number in range(40)))
        until(lambda: light.ok("status")["requests"] == 40, "they are taken up")
        light.send(read(0, "light"))
        for client in heavy:
            client.send(*(read(number, "heavy") for number in range(300)))
        asked = {b"stuck": 0, b"light": 0, b"heavy": 0}
        while asked != {b"stuck": 40, b"light": 60, b"heavy": 1200}:
            got = peer.read(wire.READ_FORWARD)
            stream = wire.one(got.fields(), 1)
            asked[stream] += 1
            if stream != b"stuck":
                peer.send(wire.READ_FORWARD_COMPLETED, got.correlation, page)
            if stream == b"light" and asked[stream] < 60:
                light.send(read(asked[stream], "light"))
        for client, count in [(light, 60)] + [(client, 300) for client in heavy]:
            for number in range(count):
                equal(client.line()["id"], number, "which is answered")
        equal(world.status()["requests"], 40, "requests in flight")


@test("a subscription reads by less at a time while others ask for little, who would wait behind it")
def _():
    def asked(client, peer):
        client.send({"op": "subscribe", "id": "s", "stream": world.stream(), "from": "start"})
        got = peer.read(wire.READ_FORWARD)
        peer.send(wire.READ_FORWARD_COMPLETED, got.correlation, wire.message((2, 1), (3, 0), (4, -1), (5, 1), (6, 100)))
        true("ok" in client.reply("s"), "subscribed")
        peer.read(wire.SUBSCRIBE)
        return wire.one(got.fields(), 3)

    with wire.FakeStore() as fake, World(ADMIN, port=fake.port) as world:
        peer = fake.welcome()
        alone = asked(world.client(), peer)
        light = world.client()

        def beside():
            light.send({"op": "ping", "id": "p"})
            peer.send(wire.PONG, peer.read(wire.PING).correlation)
            light.reply("p")
            return asked(world.client(), peer)

        until(lambda: beside() < alone, "less is asked for than %d events" % alone)


@test("long lines beside clients with requests in flight: each is read on in its turn, whole and to its end, and the others are answered")
def _():
    with controlled(ADMIN) as (world, control):
        busy, long = [world.client() for _ in range(2)], [world.client() for _ in range(4)]
        control.delay(5, "WriteEvents", "*")
        texts = [letter * 2048 * KIB for letter in "abcd"]
        lines = [json.dumps({"op": "execute", "id": 1, "message": "WriteEvents", "timeout_ms": 30000, "body": {
            "event_stream_id": letter, "events": [{"event_type": "t", "data": text}]}}).encode() + b"\n"
                 for letter, text in zip("abcd", texts)]
        pieces = range(0, max(map(len, lines)), 32 * KIB)
        for number, at in enumerate(pieces):
            for client in busy:
                client.send({"op": "execute", "id": number, "message": "WriteEvents", "timeout_ms": 30000, "body": {
                    "event_stream_id": "busy", "events": [{"event_type": "t"}]}})
            for client, line in zip(long, lines):
                client.send_bytes(line[at:at + 32 * KIB])
        for client, letter, text in zip(long, "abcd", texts):
            true("ok" in client.reply(1, limit=30), "the long line of %s is answered" % letter)
            true(client.read(letter, count=1)["events"][0]["event"]["data"] == text, "what was in the line of %s" % letter)
        for client in busy:
            for number in range(len(pieces)):
                true("ok" in client.reply(number, limit=30), "written")


if __name__ == "__main__":
    main(shared=False)
