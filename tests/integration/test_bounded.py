#!/usr/bin/env python3
"""Memory stays bounded whatever a reader does, with more in the store than fits."""

from harness import ESBRIDGED, controlled, equal, main, numbers, test, true, until

ADMIN = {"store": {"username": "admin", "password": "changeit"}, "limits": {"client_stall_timeout": "10m"}}
EVENTS = 100000
SIZE = 400


def sanitized():
    """A build with sanitizers keeps what is freed for a while."""
    with open(ESBRIDGED, "rb") as file:
        return b"__asan_init" in file.read()


MOST = (400 if sanitized() else 32) * 1024 * 1024


def fill(client, stream, count):
    events = [{"event_type": "t", "data_text": "x" * SIZE}] * 2500
    for begin in range(0, count, len(events)):
        client.execute("WriteEvents", {"event_stream_id": stream, "events": events[:count - begin]}, timeout_ms=20000)


@test("readers that never read and readers that never acknowledge, of every kind, old events and new ones: within 32 MiB")
def _():
    with controlled(ADMIN) as (world, control):
        writer, never, consumer, unacked, quick = (world.client() for _ in range(5))
        writer.execute("CreatePersistentSubscription", {"event_stream_id": "s", "subscription_group_name": "g", "start_from": 0,
                                                        "live_buffer_size": 5000, "buffer_size": 5000})
        fill(writer, "s", EVENTS)
        forms = ({"from": "start"}, {"from": "start", "read_batch": 4096}, {}, {"window": 1000})
        for number, members in enumerate(forms):
            never.send(dict({"op": "subscribe", "id": number, "stream": "s", "sub": "n%d" % number}, **members))
        consumer.send({"op": "subscribe", "id": "g", "stream": "s", "sub": "g", "group": "g", "in_flight": 5000})
        for number, members in enumerate(({"from": "start", "window": 5000}, {"window": 5000})):
            unacked.subscribe(stream="s", sub="u%d" % number, **members)
        until(lambda: control.count("PersistentSubscriptionStreamEventAppeared")[1] >= 5000, "the group delivers", 30)
        fill(writer, "s", EVENTS // 5)
        got = {"u0": [], "u1": []}
        for push in (unacked.push("event", limit=30) for _ in range(10000)):
            got[push["sub"]].append(push["event"]["event_number"])
        equal(got, {"u0": list(range(5000)), "u1": list(range(EVENTS, EVENTS + 5000))}, "up to the window")
        unacked.quiet()
        quick.subscribe(stream="s", **{"from": EVENTS})
        equal(numbers([quick.push("event", limit=30) for _ in range(EVENTS // 5)])[-1], EVENTS + EVENTS // 5 - 1, "another reader")
        used = world.memory()
        print("# %.1f MiB at most" % (used / 1048576))
        true(used < MOST, "%d bytes of memory" % used)


@test("they read at last: nothing is missing")
def _():
    count = 20000
    with controlled(ADMIN) as (world, control):
        writer, slow = world.client(), world.client()
        slow.send({"op": "subscribe", "id": 0, "stream": "s", "sub": "live"},
                  {"op": "subscribe", "id": 1, "stream": "s", "sub": "old", "from": "start"})
        until(lambda: control.subscriptions() == (1, 0), "there at the store, one for both")
        fill(writer, "s", count)
        got = {"live": [], "old": []}
        while any(len(one) < count for one in got.values()):
            push = slow.push(limit=30)
            if push["push"] == "event":
                got[push["sub"]].append(push["event"]["event_number"])
        equal(got, {"live": list(range(count)), "old": list(range(count))}, "events")
        true(world.memory() < MOST, "memory")


if __name__ == "__main__":
    main(shared=False)
