#!/usr/bin/env python3
"""Memory: however much there is to deliver, the daemon keeps only what its readers have room for."""

import collections
import contextlib
import itertools
import re
import uuid

import wire
from harness import ESBRIDGED, equal, main, parse, test, true, until

BATCH = 20000           # events in one write
MOST = 32 * 1024        # KiB that the daemon may ever have had
WINDOW = 100
SETTINGS = {"store": {"username": "admin", "password": "changeit"}}

with open(ESBRIDGED, "rb") as program:
    SANITIZED = b"__asan_init" in program.read()

# The sanitizers keep much memory of their own, and take their time.
BATCHES = 5 if SANITIZED else 50
NAME = ("under sanitizers, with 100,000 events and unmeasured: " if SANITIZED else "one million events, below 32 MiB: ") + \
    "who never reads, who never acks, who writes and never reads"


class Writer:
    """Writes batches of small events to the store, without the daemon."""

    def __init__(self, world, stream):
        self.direct, self.stream, self.count = world.store.direct(), stream, 0
        self.events = b"".join(wire.field(3, wire.message((1, uuid.uuid4().bytes), (2, "t"), (3, 1), (4, 0), (5, b"{}")))
                               for _ in range(BATCH))

    def write(self, batches):
        """Each behind the last, so that the store takes the same ids again."""
        for _ in range(batches):
            got = self.direct.ask(wire.WRITE_EVENTS, wire.message((1, self.stream), (2, self.count - 1)) + self.events)
            fields = got.fields()
            true(got.command == wire.WRITE_EVENTS_COMPLETED and wire.one(fields, 1, 0) == 0, "a batch was not written: %r" % fields)
            self.count += BATCH


def kilobytes(world, what):
    with open("/proc/%d/status" % world.bridge.process.pid, encoding="ascii") as file:
        return int(re.search(what + r":\s*(\d+) kB", file.read())[1])


def flood(client):
    """Writes until the daemon takes no more, and reads no answer."""
    line = b'{"op":"execute","id":%d,"message":"WriteEvents","body":{"event_stream_id":"flood","events":[{"event_type":"t"}]}}\n'
    lines = b"".join(line % n for n in range(50000))
    client.sock.settimeout(0.3)
    with contextlib.suppress(TimeoutError):
        while True:
            client.sock.sendall(lines)


def settled(world):
    """All have what they can take: from one trip to the store to the next, and the next, nothing more is delivered."""
    seen = collections.deque(maxlen=5)

    def still():
        with world.bridge.client() as client:
            client.ok("ping", timeout_ms=30000)
            seen.append(client.ok("status")["events_pushed"])
        return len(seen) == seen.maxlen and len(set(seen)) == 1
    until(still, "nothing more is delivered to those who do not take it", 30)


def outstanding(client):
    return client.ok("status")["client"]["subscriptions"][0]["outstanding"]


def from_the_start(client, count):
    """The subscription that has never been read is whole from its beginning."""
    numbers = itertools.count()
    while count:
        line = parse(client.raw_line())
        if line.get("push") == "event":
            equal(line["event"]["event_number"], next(numbers), "number")
            count -= 1


@test(NAME)
def _(world):
    stream = world.stream()
    writer = Writer(world, stream)
    writer.write(BATCHES)
    with world.bridge.client() as admin:
        for group in ("unread", "unacked"):
            admin.execute("CreatePersistentSubscription", {"subscription_group_name": group, "event_stream_id": stream,
                                                           "start_from": 0})
    before = kilobytes(world, "VmRSS")
    never_reads = {
        "catchup": {"stream": stream, "from": "start"}, "all": {"stream": "$all", "from": "start"},
        "catchup-window": {"stream": stream, "from": "start", "window": 50000},
        "group": {"stream": stream, "group": "unread", "in_flight": 10000},
        "live": {"stream": stream}, "live-window": {"stream": stream, "window": 50000},
    }
    never_acks = {
        "catchup-unacked": {"stream": stream, "from": "start", "window": WINDOW},
        "group-unacked": {"stream": stream, "group": "unacked", "in_flight": WINDOW},
        "live-unacked": {"stream": stream, "window": WINDOW},
    }
    unread = {}
    for sub, members in {**never_reads, **never_acks}.items():
        client = world.client()
        client.ok("subscribe", sub=sub, **members)
        unread[sub] = client
    flooding = world.client()
    flood(flooding)
    writer.write(1 if SANITIZED else 5)
    settled(world)
    for sub in never_acks:
        equal(outstanding(unread[sub]), WINDOW, "outstanding of %s" % sub)
    most = kilobytes(world, "VmHWM")
    true(SANITIZED or most < MOST, "the daemon has had %d KiB, and %d before" % (most, before))
    from_the_start(unread["catchup"], 5000)


@test(("under sanitizers, unmeasured: " if SANITIZED else "") + "300 clients that have each read 100 KiB and do nothing keep no memory of it")
def _(world):
    stream = world.stream()
    world.client().write(stream, {"event_type": "large", "data_text": "x" * 100000})
    clients = [world.client() for _ in range(300)]
    before = kilobytes(world, "VmRSS")
    for client in clients:
        equal(len(client.read(stream)["events"]), 1, "events")
    more = until(lambda: SANITIZED or kilobytes(world, "VmRSS") - before < 8 * 1024, "less than 8 MiB more than before")
    true(more, "memory")


if __name__ == "__main__":
    main(SETTINGS)
