#!/usr/bin/env python3
"""The machine has no memory for what is large: whoever it is for is told so, the daemon lives and serves the others.

The daemon's allocator is made to fail for large sizes alone, as shortage.c says.
"""

import json
import mmap
import os
import signal
import struct
import uuid

import wire
from harness import BUILD, World, equal, has, main, merged, parse, test, true, until

LIBRARY = os.path.join(os.path.abspath(BUILD), "tests", "integration", ".libs", "libshortage.so")
KIB, MIB = 1024, 1024 * 1024
LARGE = 520 * KIB   # more than the daemon ever reads at once
ALL = 2 ** 62
SETTINGS = {"store": {"username": "admin", "password": "changeit"}}
FORM = "=4Q"


class Short(World):
    """A World whose daemon can be made to find no memory for what is large."""

    def make_bridge(self, settings):
        bridge = super().make_bridge(settings)
        path = os.path.join(self.folder, "shortage")
        with open(path, "wb") as file:
            file.write(bytes(struct.calcsize(FORM)))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), struct.calcsize(FORM))
        bridge.env = {"LD_PRELOAD": LIBRARY, "SHORTAGE": path,
                      "ASAN_OPTIONS": "verify_asan_link_order=0:" + os.environ.get("ASAN_OPTIONS", "")}
        return bridge

    def short(self, passes=0, fails=ALL, least=LARGE):
        """From now on PASSES allocations of LEAST bytes and more are made, and FAILS then fail."""
        self.map[:] = struct.pack(FORM, least, passes, fails, 0)

    def enough(self):
        """None fails any more. Returns how many have."""
        failed = struct.unpack(FORM, self.map[:])[3]
        self.map[:] = bytes(struct.calcsize(FORM))
        return failed


def event(size):
    return {"event_type": "t", "data_text": "x" * size}


def write(*events):
    return {"op": "execute", "id": 1, "message": "WriteEvents", "body": {"event_stream_id": "written", "events": events}}


def big_event(direct, size):
    """Written to the store, without the daemon."""
    body = wire.message((1, uuid.uuid4().bytes), (2, "t"), (3, 0), (4, 0), (5, b"x" * size))
    got = direct.ask(wire.WRITE_EVENTS, wire.message((1, "s"), (2, -2), (3, body)))
    equal(got.command, wire.WRITE_EVENTS_COMPLETED, "command")


READ = {"op": "execute", "id": 1, "message": "ReadStreamEvents", "body": {"event_stream_id": "s"}}


def fill(world, size=100 * KIB):
    """Large events, written without a word of the daemon's that would leave it memory to use again."""
    with world.bridge.client() as client:
        for _ in range(6):
            client.write("s", {"event_type": "t", "data": "x" * size})


def send_in_two(client, request):
    """Sends REQUEST and, when the daemon has read all of that, its end. How much room a long line is given depends on how
    much of it was there when more came."""
    client.send_bytes(json.dumps(request, separators=(",", ":")).encode())
    until(client.is_read, "all but its end is read")
    client.send_bytes(b"\n")


def each_allocation(request, check, most=30, **filled):
    """REQUEST with the first large allocation that it takes failing alone, then with the second, and so on, until it takes
    no more of them and is answered well. CHECK looks at the error of each other. Each time with a new daemon: what one
    has allocated it uses again. Returns how many it takes."""
    for passes in range(most):
        with Short(SETTINGS) as world:
            fill(world, **filled)
            good, client = world.client(), world.client()
            world.short(passes, 1)
            send_in_two(client, request)
            line = client.line()
            failed = world.enough()
            good.ok("ping")
            equal("error" in line, failed > 0, "an error where the allocation fails, %r" % line)
            has(world.status()["store"], connects=1)
            if not failed:
                true(passes > 1, "it takes %d large allocations" % passes)
                return passes
            check(line)
            has(line["error"], code="overloaded", retry=True)
            client.send(request)
            true("ok" in client.line(), "the same once more, with memory, after %d" % passes)
    raise AssertionError("no end of allocations")


@test("each large allocation for a long line fails: overloaded, not stored, and the same client goes on")
def _():
    def check(line):
        true(line.get("id") != 1 or line["error"]["outcome"] == "none", "the outcome in %r" % line)
    each_allocation(write(event(600 * KIB), {"event_type": "\\u0041" * 600000}), check)


@test("each large allocation for a line with many values and its long answer fails: overloaded, unknown once it was sent")
def _():
    outcomes = []
    # A line below 512 KiB has been given no more than 1 MiB, so that nothing it leaves has room for an answer of more.
    each_allocation(write(*[{"event_type": "t"}] * 27000), lambda line: outcomes.append(line["error"].get("outcome")))
    equal(outcomes[-1], "unknown", "outcome of the last, which is the answer's")
    true("none" in outcomes, "outcomes: %r" % outcomes)


@test("each large allocation for a page of the store fails, its package and its lines: overloaded, the connection stays")
def _():
    takes = each_allocation(READ, lambda line: equal(line["id"], 1, "id"), size=500 * KIB)
    equal(takes, 2, "large allocations: one for the package, one for the answer")


@test("there is no memory for anything large: all is told so, small things go on, settings are read again; then all is well")
def _():
    with Short(merged(SETTINGS, {"store": {"operation_timeout": "60s"}})) as world:
        fill(world)
        good, client, reader = world.client(), world.client(), world.client()
        live = good.subscribe(stream="other")
        world.short()
        for _ in range(3):
            client.send(write(event(2 * MIB)))
            has(client.line()["error"], code="overloaded")
            has(client.ask(READ)["error"], code="overloaded")
            good.write("other", "small")
            equal(good.push("event")["sub"], live, "a small event")
        sub = reader.subscribe(stream="s", **{"from": "start"})   # a page at a time that there is memory for
        equal([reader.push("event")["event"]["event_number"] for _ in range(6)], list(range(6)), "numbers")
        reader.push("caught_up")
        reader.ok("unsubscribe", sub=sub)
        world.bridge.process.send_signal(signal.SIGHUP)
        until(lambda: "settings read again" in world.bridge.said(), "the settings are read")
        true(world.enough() > 6, "allocations have failed")
        client.send(write(event(2 * MIB)))
        true("ok" in client.line(), "written")
        equal(len(client.ask(READ)["ok"]["body"]["events"]), 6, "events")
        has(world.status()["store"], connects=1)


class ShortFromTheStart(Short):
    """Nothing large has been allocated that could be used again."""

    def make_bridge(self, settings):
        bridge = super().make_bridge(settings)
        self.short(least=200 * KIB)
        return bridge


@test("no memory for anything large from the start: the store is read in small pieces, and what does not fit is passed over")
def _():
    with ShortFromTheStart(SETTINGS) as world:
        client = world.client()
        for _ in range(200):
            client.write("small", event(2 * KIB))
        equal(len(client.read("small", count=20)["events"]), 20, "events")
        has(client.ask({"op": "execute", "id": 1, "message": "ReadStreamEvents", "body": {"event_stream_id": "small"}})["error"],
            code="overloaded")
        client.write("small", "again")
        has(world.status()["store"], connects=1)
        true(world.enough() > 0, "allocations have failed")
        equal(len(client.read("small")["events"]), 201, "events")


@test("an event for which there is no memory: its subscriber is told or closed, others go on, and it can be had later")
def _():
    with Short(SETTINGS) as world:
        good, reader = world.client(), world.client()
        reader.subscribe(stream="s", sub="a")
        sub = good.subscribe(stream="other")
        with_memory = world.store.direct()
        world.short()
        big_event(with_memory, 2 * MIB)

        def end():
            line = reader.raw_line()
            return line is None or parse(line).get("push") == "dropped"
        until(end, "the end of the subscription")
        good.write("other", "small")
        equal(good.push("event")["sub"], sub, "a small event")
        true(world.enough() > 0, "allocations have failed")
        again = world.client()
        again.subscribe(stream="s", **{"from": "start"})
        true(len(again.push("event").raw) > 2 * MIB, "the event")
        with_memory.close()
        has(world.status()["store"], connects=1)


if __name__ == "__main__":
    main(shared=False)
