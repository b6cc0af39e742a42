#!/usr/bin/env python3
"""The store comes back without its data, or with less of it: every subscription says so, and goes on."""

import contextlib
import uuid

import wire
from harness import controlled, equal, has, main, merged, numbers, test, true, types, until

QUICK = {"store": {"reconnect_delay_min": "20ms", "reconnect_delay_max": "50ms", "username": "admin",
                   "password": "changeit", "operation_timeout": "1s"}}


@contextlib.contextmanager
def stage(settings=None):
    with controlled(merged(QUICK, settings)) as (world, control):
        yield world, control, world.client(), world.client()


def write(client, *kinds, stream="s"):
    client.write(stream, *kinds, timeout_ms=9000)


def connected(world):
    """A connection to the store; None while it does not listen."""
    with contextlib.suppress(OSError):
        return world.store.direct()
    return None


def lose(control, client, sub):
    control.restart(keep=False)
    has(client.push("interrupted"), sub=sub)


def events(client, count):
    return [client.push("event") for _ in range(count)]


def caught_up(client, count):
    got = events(client, count)
    client.push("caught_up")
    return got


@test("catch-up of a stream, restart without the data: resumed with gap, then what is written, from 0")
def _():
    with stage() as (world, control, client, writer):
        write(writer, "a", "b", "c")
        sub = client.subscribe(stream="s", **{"from": "start"})
        caught_up(client, 3)
        for kinds in ("de", "fg"):
            lose(control, client, sub)
            has(client.push("resumed"), sub=sub, gap=True)
            write(writer, *kinds)
            got = events(client, 2)
            equal((types(got), numbers(got)), (list(kinds), [0, 1]), "events")
        client.quiet()
        true("the store has lost events" in world.bridge.said(), "it is logged")


@test("restart with the data: no gap")
def _():
    with stage() as (_world, control, client, writer):
        write(writer, "a", "b", "c")
        for number, members in enumerate(({"stream": "s", "from": "start"}, {"stream": "s", "from": 2}, {"stream": "$all", "from": "start"},
                                          {"stream": "s", "from": 20}, {"stream": "s", "window": 5})):
            client.subscribe(sub="n%d" % number, **members)
        while sum(push["push"] == "caught_up" for push in client.pushes) < 4:
            client.sort_in(client.line())
        client.pushes.clear()
        for _ in range(3):
            control.restart(keep=True)
            pushes = [client.push() for _ in range(10)]
            equal(sorted(p["push"] for p in pushes), ["interrupted"] * 5 + ["resumed"] * 5, "pushes")
            true(not any("gap" in p for p in pushes), "no gap: %r" % pushes)
        write(writer, "d")
        equal(sorted((p["sub"], p["event"]["event_number"]) for p in events(client, 4)),
              [("n0", 3), ("n1", 3), ("n2", 3), ("n4", 3)], "events")
        client.quiet()


@test("catch-up with a window: what was delivered can still be acknowledged, and makes room for what is new")
def _():
    with stage() as (_world, control, client, writer):
        write(writer, "a", "b", "c")
        sub = client.subscribe(stream="s", window=2, **{"from": "start"})
        old = events(client, 2)
        lose(control, client, sub)
        has(client.push("resumed"), sub=sub, gap=True)
        client.push("caught_up")
        write(writer, "x")
        client.quiet()
        client.ok("nack", sub=sub, events=[old[0]["ack_id"]])   # its place has another event now, which is not it
        equal(types(events(client, 1)), ["x"], "the place in the window is free")
        client.ok("ack", sub=sub, events=[old[1]["ack_id"]])
        write(writer, "y")
        equal(types(events(client, 1)), ["y"], "events")


@test("a stream that is shorter, yet goes beyond what was delivered: a gap, and the next number")
def _():
    with controlled(QUICK, proxy=True) as (world, control):
        client = world.client()
        write(client, *"abcdefgh")
        sub = client.subscribe(stream="s", window=3, read_batch=3, **{"from": "start"})
        got = events(client, 3)
        world.proxy.refuse()
        client.push("interrupted")
        control.restart(keep=False)
        with contextlib.closing(until(lambda: connected(world), "the store listens again")) as direct:
            new = [(3, wire.message((1, uuid.uuid4().bytes_le), (2, kind), (3, 0), (4, 0), (5, b""))) for kind in "ABCDE"]
            written = direct.ask(wire.WRITE_EVENTS, wire.message((1, "s"), (2, -2), *new, (4, 0)))
            equal(written.command, wire.WRITE_EVENTS_COMPLETED, "answer")
        world.proxy.allow()
        has(client.push("resumed"), sub=sub, gap=True)
        client.ok("ack", sub=sub, up_to=got[-1]["ack_id"])
        got = events(client, 2)
        equal((types(got), numbers(got)), (["D", "E"], [3, 4]), "events")
        client.push("caught_up")
        client.quiet()


@test("live: with a window as a catch-up, without one a gap as after any loss of events")
def _():
    for members in ({"window": 10}, {}):
        with stage() as (_world, control, client, writer):
            write(writer, "a", "b")
            sub = client.subscribe(stream="s", **members)
            write(writer, "c")
            events(client, 1)
            lose(control, client, sub)
            has(client.push("resumed"), sub=sub, gap=True)
            write(writer, "d")
            got = events(client, 1)
            equal((types(got), numbers(got)), (["d"], [0]), "events of %r" % members)
            client.quiet()


@test("all streams: the gap is told, with data_lost where it was found out only then, and events come again")
def _():
    with stage() as (_world, control, client, writer):
        write(writer, *"abcdefghij")
        sub = client.subscribe(stream="$all", **{"from": "start"})
        while client.push()["push"] != "caught_up":
            pass
        lose(control, client, sub)
        told = []
        while True:
            push = client.push()
            told.append((push["push"], push.get("reason")))
            if push["push"] == "resumed" and push.get("gap"):
                break
        true(told in ([("resumed", None)], [("resumed", None), ("interrupted", "data_lost"), ("resumed", None)]), "pushes %r" % told)
        write(writer, "n")
        equal(types(events(client, 1)), ["n"], "events")
        client.quiet()


@test("a follower that lags is waited for: less than before, for a moment, is no loss")
def _():
    with stage({"store": {"require_master": "no", "operation_timeout": "20s"}}) as (_world, control, client, writer):
        write(writer, "a", "b", "c")
        sub = client.subscribe(stream="s", **{"from": "start"})
        caught_up(client, 3)
        lose(control, client, sub)
        write(writer, "a", "b", "c", "d")
        line = client.push("resumed")
        true("gap" not in line, "no gap: %r" % line)
        equal(types(events(client, 1)), ["d"], "events")
        client.quiet()


@test("a group that is gone with the data: dropped; its deliveries are unknown")
def _():
    with stage() as (_world, control, client, writer):
        client.execute("CreatePersistentSubscription", {"event_stream_id": "s", "subscription_group_name": "g", "start_from": 0})
        write(writer, "a")
        sub = client.subscribe(stream="s", group="g")
        events(client, 1)
        lose(control, client, sub)
        has(client.push("dropped"), sub=sub, reason="persistent_subscription_deleted")
        client.fails("ack", "unknown_subscription", sub=sub, events=["8f0c0000-0000-4000-8000-000000000000"])


if __name__ == "__main__":
    main(shared=False)
