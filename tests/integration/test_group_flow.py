#!/usr/bin/env python3
"""Persistent subscriptions on the wire and under pressure: what goes to the store, when, and what is kept here."""

import contextlib
import uuid

import wire
from harness import World, controlled, equal, has, main, merged, numbers, test, true, until

ADMIN = {"store": {"username": "admin", "password": "changeit", "reconnect_delay_min": "20ms",
                   "reconnect_delay_max": "50ms"}}


@contextlib.contextmanager
def stage(settings=None, store_arguments=()):
    with controlled(merged(ADMIN, settings), store_arguments) as (world, control):
        yield world, control, world.client()


def group(client, stream, **members):
    client.execute("CreatePersistentSubscription", dict(
        {"event_stream_id": stream, "subscription_group_name": "g", "start_from": 0}, **members))


def fill(client, stream, count, **event):
    for begin in range(0, count, 100):
        client.write(stream, *(dict({"event_type": "t"}, **event) for _ in range(min(100, count - begin))))


def pushes(client, count):
    return [client.push("event", limit=30) for _ in range(count)]


def following(client, kind):
    """The next push that is no event: it must be of KIND. What one of two consumers loses goes to the other meanwhile."""
    push = client.push()
    while push["push"] == "event":
        push = client.push()
    equal(push["push"], kind, "kind of push")
    return push


def ids(events):
    return [event["ack_id"] for event in events]


@test("acks of one turn go out in one package, in the order given, before a nack that follows them")
def _():
    with stage() as (_world, control, client):
        group(client, "s")
        fill(client, "s", 60)
        sub = client.subscribe(stream="s", group="g", in_flight=60)
        events = pushes(client, 60)
        control.clear()
        client.send(*({"op": "ack", "sub": sub, "events": [one]} for one in ids(events[:50])))
        client.ok("ping")
        packages = control.count("PersistentSubscriptionAckEvents")[0]
        true(1 <= packages <= 3, "%d packages for 50 acks in one write" % packages)
        client.send({"op": "ack", "sub": sub, "events": ids(events[50:55])},
                    {"op": "nack", "sub": sub, "events": [events[55]["ack_id"]], "action": "park"},
                    {"op": "ack", "sub": sub, "up_to": events[59]["ack_id"]})
        client.ok("ping")
        equal(control.count("PersistentSubscriptionNakEvents")[0], 1, "packages of nacks")
        client.ok("unsubscribe", sub=sub)
        client.subscribe(stream="s", group="g", sub="again")
        client.quiet()


@test("5,000 ids in one ack: packages of at most 2,000")
def _():
    with stage() as (_world, control, client):
        group(client, "s", live_buffer_size=6000, buffer_size=6000, read_batch_size=500)
        fill(client, "s", 5000)
        sub = client.subscribe(stream="s", group="g", in_flight=5000)
        events = pushes(client, 5000)
        control.clear()
        has(client.ok("ack", sub=sub, up_to=events[-1]["ack_id"]), acked=5000)
        client.ok("ping")
        equal(control.count("PersistentSubscriptionAckEvents")[0], 3, "packages of acks")


@test("acks go out before the unsubscribe and before the end of the client, in the bytes that reach the store")
def _():
    for last in ("unsubscribe", "close", "half-close"):
        with wire.FakeStore() as fake, World(port=fake.port) as world:
            client, peer = world.client(), fake.welcome()
            client.send({"op": "subscribe", "id": "s", "stream": "s", "group": "g", "sub": "g"})
            asked = peer.read(wire.CONNECT_GROUP)
            peer.send(wire.GROUP_CONFIRMATION, asked.correlation, wire.message((1, 1), (2, "s::g"), (3, 5)))
            mine = [uuid.uuid4() for _ in range(4)]
            for number, one in enumerate(mine):
                event = wire.message((1, wire.record("s", number, event_id=one.bytes_le)))
                peer.send(wire.GROUP_EVENT_APPEARED, asked.correlation, wire.message((1, event)))
            client.reply("s")
            events = pushes(client, 4)
            lines = [{"op": "ack", "sub": "g", "events": [events[0]["ack_id"]]},
                     {"op": "ack", "sub": "g", "events": ids(events[1:3])}]
            client.send(*lines, *([{"op": "unsubscribe", "id": "u", "sub": "g"}] if last == "unsubscribe" else []))
            if last == "close":
                client.close()
            elif last == "half-close":
                client.finish()
            acked = []
            got = peer.read(wire.ACK_EVENTS)
            while got.command == wire.ACK_EVENTS:
                fields = got.fields()
                equal((got.correlation, fields[1]), (asked.correlation, [b"s::g"]), "what is acknowledged")
                acked += fields[2]
                got = peer.read(wire.ACK_EVENTS, wire.NAK_EVENTS, wire.UNSUBSCRIBE)
            equal(acked, [one.bytes_le for one in mine[:3]], "acks")
            if last != "unsubscribe":   # what is not acknowledged goes back, for a retry
                equal((got.command, got.fields()[2], wire.one(got.fields(), 4)), (wire.NAK_EVENTS, [mine[3].bytes_le], 2), "nack")
                got = peer.read(wire.UNSUBSCRIBE)
            equal((got.command, got.correlation), (wire.UNSUBSCRIBE, asked.correlation), "the end")
            peer.send(wire.SUBSCRIPTION_DROPPED, got.correlation, wire.message((1, 0)))
            if last == "unsubscribe":
                client.reply("u")


@test("links: the id, the number and the stream are the link's where there is one, and the event may be missing")
def _():
    with wire.FakeStore() as fake, World(port=fake.port) as world:
        client, peer = world.client(), fake.welcome()
        client.send({"op": "subscribe", "id": "s", "stream": "links", "group": "g", "sub": "g"})
        asked = peer.read(wire.CONNECT_GROUP)
        peer.send(wire.GROUP_CONFIRMATION, asked.correlation, wire.message((1, 1), (2, "links::g"), (3, 5)))
        link, dangling = uuid.uuid4(), uuid.uuid4()
        both = wire.message((1, wire.record("s", 7)), (2, wire.record("links", 0, "$>", b"7@s", link.bytes_le)))
        alone = wire.message((2, wire.record("links", 1, "$>", b"8@s", dangling.bytes_le)))
        for event in (both, alone):
            peer.send(wire.GROUP_EVENT_APPEARED, asked.correlation, wire.message((1, event)))
        client.reply("s")
        first, second = pushes(client, 2)
        equal((first["ack_id"], first["event"]["event_number"], first["link"]["event_number"]), (str(link), 7, 0), "the first")
        equal((second["ack_id"], second["link"]["event_number"], "event" in second), (str(dangling), 1, False), "the second")
        client.ok("ack", sub="g", events=[str(link), str(dangling)])
        equal(peer.read(wire.ACK_EVENTS).fields()[2], [link.bytes_le, dangling.bytes_le], "acks")


@test("huge events and a huge in_flight: a client that does not read takes its output cap, and loses nothing")
def _():
    count = 300
    with stage({"limits": {"output_cap": "1M"}}) as (world, control, client):
        slow = world.client()
        group(client, "s", live_buffer_size=1000, buffer_size=1000, message_timeout_milliseconds=60000)
        fill(client, "s", count, data_text="x" * 100000)
        before = world.memory()
        slow.send({"op": "subscribe", "id": "s", "stream": "s", "group": "g", "sub": "g", "in_flight": 1000})
        until(lambda: control.count("PersistentSubscriptionStreamEventAppeared")[1] >= count, "all are sent once", 30)
        client.ok("ping")
        true(world.memory() - before < 16 * 1024 * 1024, "%d bytes more memory" % (world.memory() - before))
        seen = set()
        slow.reply("s")
        while len(seen) < count:
            push = slow.push("event", limit=30)
            number = push["event"]["event_number"]
            true(number not in seen, "event %d twice" % number)
            seen.add(number)
            slow.send({"op": "ack", "sub": "g", "events": [push["ack_id"]]})
        slow.quiet()
        slow.ok("unsubscribe", sub="g")
        client.subscribe(stream="s", group="g", sub="again")
        client.quiet()


@test("what was held back for a client that goes is given to another at once")
def _():
    with stage({"limits": {"output_cap": "256K", "output_pause": "128K"}}) as (world, control, client):
        slow = world.client()
        group(client, "s", message_timeout_milliseconds=60000)
        fill(client, "s", 50, data_text="x" * 100000)
        slow.send({"op": "subscribe", "id": "s", "stream": "s", "group": "g", "sub": "g", "in_flight": 100})
        until(lambda: control.count("PersistentSubscriptionStreamEventAppeared")[1] >= 50, "all are sent once", 30)
        other = world.client()
        other.subscribe(stream="s", group="g", sub="g", in_flight=100)
        slow.close()
        equal(sorted(numbers(pushes(other, 50))), list(range(50)), "numbers")
        other.quiet()


@test("a group under two clients of one daemon: two consumers at the store, the events divided, each to one")
def _():
    with stage() as (world, control, client):
        group(client, "s", named_consumer_strategy="RoundRobin")
        one, two = world.client(), world.client()
        for reader in (one, two):
            reader.subscribe(stream="s", group="g", sub="g", in_flight=50)
        equal(control.subscriptions(), (0, 2), "consumers at the store")
        fill(client, "s", 40)
        got = [numbers(pushes(reader, 20)) for reader in (one, two)]
        equal(sorted(got[0] + got[1]), list(range(40)), "numbers")
        for reader in (one, two):
            reader.quiet()


@test("the maximum of subscribers holds for the clients of one daemon; a place is free when one goes")
def _():
    with stage() as (world, control, client):
        group(client, "s", subscriber_max_count=1)
        first = world.client()
        first.subscribe(stream="s", group="g", sub="g")
        has(client.fails("subscribe", "subscriber_max_count_reached", stream="s", group="g"), retry=True)
        first.close()
        until(lambda: control.subscriptions() == (0, 0), "no consumer at the store")
        client.subscribe(stream="s", group="g", sub="g")


@test("updated under two clients: both interrupted and resumed; deleted: both dropped")
def _():
    with stage() as (world, control, client):
        group(client, "s")
        readers = [world.client(), world.client()]
        for reader in readers:
            reader.subscribe(stream="s", group="g", sub="g")
        fill(client, "s", 4)
        for reader in readers:
            pushes(reader, 2)
        client.execute("UpdatePersistentSubscription", {"event_stream_id": "s", "subscription_group_name": "g", "start_from": 0})
        for reader in readers:
            has(following(reader, "interrupted"), reason="group_changed")
            following(reader, "resumed")
        client.execute("DeletePersistentSubscription", {"event_stream_id": "s", "subscription_group_name": "g"})
        for reader in readers:
            has(following(reader, "interrupted"), reason="group_changed")
            has(following(reader, "dropped"), reason="persistent_subscription_deleted")
        equal(control.subscriptions(), (0, 0), "consumers")


@test("a consumer that is cut off from the store: its events go to others, its acks of before are kept")
def _():
    with stage() as (_world, control, client):
        group(client, "s")
        fill(client, "s", 10)
        sub = client.subscribe(stream="s", group="g")
        events = pushes(client, 10)
        client.ok("ack", sub=sub, events=ids(events[:5]))
        client.ok("ping")
        control.close_all()
        client.push("interrupted")
        client.push("resumed")
        again = pushes(client, 5)
        equal(sorted(numbers(again)), [5, 6, 7, 8, 9], "numbers")
        error = client.fails("ack", "unknown_event", sub=sub, events=ids(events[:1]))
        equal(error["body"]["events"], ids(events[:1]), "what is unknown")
        client.quiet()


if __name__ == "__main__":
    main(shared=False)
