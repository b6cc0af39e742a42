#!/usr/bin/env python3
"""Each limit at its edge: one less is taken, the limit itself is taken, one more is not. All that esbridged.conf(5) has
in [limits], what it has for access rules, what `hello` tells, and the numbers and texts of requests; a limit without a
row here fails the last test."""

import contextlib
import re
import signal
import subprocess
import time

import wire
from harness import ESBRIDGED, World, equal, has, main, merged, test, true, until

KIB, MIB = 1024, 1024 * 1024
QUIET = {"store": {"heartbeat_interval": "30s"}}   # for a store that a test plays
ADMIN = {"username": "admin", "password": "changeit"}
RULE = {"users": "*", "allow": "read, write, subscribe"}
NUMBER = re.compile(r"\d+(K|M|G|ms|s|m|h)?")

EDGES = set()


def edge(setting, name):
    """A test of SETTING at its edge."""
    EDGES.add(setting)
    return test("%s: %s" % (setting, name))


def limits(**members):
    return {"limits": members}


def rule(**members):
    return {"access it": dict(RULE, **members)}


@contextlib.contextmanager
def played(settings):
    """(World, the store's end of its connection), where the test is the store."""
    with wire.FakeStore() as fake, World(merged(QUIET, settings), port=fake.port) as world:
        yield world, fake.welcome()


def read_event(request_id, stream="s"):
    return {"op": "execute", "id": request_id, "message": "ReadEvent", "timeout_ms": 60000, "body": {"event_stream_id": stream}}


def not_found(peer, asked):
    peer.send(wire.READ_EVENT_COMPLETED, asked.correlation, wire.message((1, 1)))


def turns(client, count=3):
    """Time for the daemon to do what it is not to do."""
    for _ in range(count):
        client.ok("hello")


# Lines and requests -----------------------------------------------------------------------------------------

@edge("limits.line", "bytes of a line")
def _():
    with World(limits(line="2K")) as world:
        client = world.client()
        equal(client.ok("hello")["limits"]["line"], 2 * KIB, "told by hello")
        for size, code in ((2 * KIB - 1, None), (2 * KIB, None), (2 * KIB + 1, "line_too_long"), (2 * KIB, None)):
            line = b'{"op":"hello","x-":""}'
            client.send(line[:-2] + b"x" * (size - len(line)) + line[-2:])
            equal(client.other().get("error", {}).get("code"), code, "%d bytes" % size)


@edge("limits.depth", "levels of a line, and of what is stored")
def _():
    with World(limits(depth=20)) as world:
        client, stream = world.client(), world.stream()
        equal(client.ok("hello")["limits"]["depth"], 20, "told by hello")
        for levels, code in ((19, None), (20, None), (21, "bad_json")):
            client.send(b'{"op":"hello","x-":%s%s}' % (b"[" * (levels - 1), b"]" * (levels - 1)))
            equal(client.other().get("error", {}).get("code"), code, "%d levels" % levels)
        for levels in (19, 20, 21):
            client.write(stream, {"event_type": "t", "data_text": "[" * levels + "]" * levels, "data_content_type": 1})
        equal(["data" in e["event"] for e in client.read(stream)["events"]], [True, True, False], "given as JSON")


def requests_at_once(settings, most):
    with played(settings) as (world, peer):
        client, other = world.client(), world.client()
        equal(client.ok("hello")["limits"]["in_flight"], most, "told by hello")
        asked = []
        for number in range(most):
            client.send(read_event(number))
            asked.append(peer.read(wire.READ_EVENT))
        client.send(read_event(most), {"op": "hello", "id": "late"})
        turns(other)
        has(other.ok("status")["store"], in_flight=most, queued=0)
        not_found(peer, asked[0])
        equal(client.line()["id"], 0, "the first reply")
        true(peer.read(wire.READ_EVENT).correlation not in [a.correlation for a in asked], "one more comes when one is answered")
        turns(other)
        has(other.ok("status")["store"], in_flight=most, queued=0)
        not_found(peer, asked[1])
        equal([client.line()["id"] for _ in range(2)], [1, "late"], "replies")


@edge("limits.in_flight", "requests of a client at one time; it is not read from beyond")
def _():
    requests_at_once(limits(in_flight=3), 3)


@edge("access.in_flight", "the same by a rule")
def _():
    requests_at_once(merged(limits(in_flight=4), rule(in_flight=3)), 3)


def subscriptions_at_once(settings, most):
    with World(settings) as world:
        client = world.client()
        equal(client.ok("hello")["limits"]["subscriptions"], most, "told by hello")
        subs = [client.subscribe(stream="s") for _ in range(most)]
        for _ in range(2):
            client.fails("subscribe", "limit_exceeded", stream="s")
            for sub in subs[:1]:
                client.ok("unsubscribe", sub=sub)
                subs = subs[1:] + [client.subscribe(stream="s")]


@edge("limits.subscriptions", "subscriptions of a client; 0: none")
def _():
    for most in (3, 0):
        subscriptions_at_once(limits(subscriptions=most), most)


@edge("access.subscriptions", "the same by a rule; 0: as in [limits]")
def _():
    for most in (3, 0):
        subscriptions_at_once(merged(limits(subscriptions=4), rule(subscriptions=most)), most or 4)


def clients_at_once(settings):
    with World(settings) as world:
        first = world.client()

        def count(wanted):
            until(lambda: first.ok("status")["client_count"] == wanted, "%d clients" % wanted)
        count(1)
        world.client().ok("hello")
        for _ in range(3):
            third = world.bridge.client()
            third.ok("hello")
            with world.bridge.client() as fourth:
                equal([line["error"]["code"] for line in fourth.rest()], ["too_many_clients"], "codes")
            count(3)
            third.close()
            count(2)


@edge("limits.clients", "clients at one time")
def _():
    clients_at_once(limits(clients=3))


@edge("access.clients", "the same by a rule")
def _():
    clients_at_once(merged(limits(clients=10), rule(clients=3)))


@edge("access.events_per_second", "a second's worth at once, what is beyond waits for its time")
def _():
    with World(rule(events_per_second=50)) as world:
        client, stream = world.client(), world.stream()
        began = time.monotonic()
        client.write(stream, *["t"] * 50)
        for _ in range(26):   # the first of them takes what comes next, each other one waits for the one before
            client.write(stream, "t")
        true(time.monotonic() - began >= 0.5, "76 events took %g s" % (time.monotonic() - began))


@edge("store.queue", "operations of all clients together")
def _():
    with played({"store": {"queue": 3}}) as (world, peer):
        client = world.client()
        for number in range(3):
            client.send(read_event(number))
        asked = [peer.read(wire.READ_EVENT) for _ in range(3)]
        equal(client.ask(read_event("fourth"))["error"]["code"], "overloaded", "code")
        not_found(peer, asked[0])
        client.reply(0)
        client.send(read_event("again"))
        not_found(peer, peer.read(wire.READ_EVENT))
        equal(client.reply("again")["error"]["code"], "not_found", "code")


@edge("store.frame_limit", "bytes of a package of the store")
def _():
    with played({"store": {"frame_limit": "64K"}}) as (world, peer):
        client = world.client()

        def answer(size):
            """Of a package of SIZE bytes, its length beside."""
            def body(filling):
                return wire.message((1, 0), (2, wire.message((1, wire.record("s", 0, data=b"x" * filling, json=0)))))
            client.send(read_event(size))
            asked = peer.read(wire.READ_EVENT)
            over = len(wire.package(wire.READ_EVENT_COMPLETED, asked.correlation, body(60000))) - 60000
            peer.send(wire.READ_EVENT_COMPLETED, asked.correlation, body(size - over))
            return client.reply(size).get("error", {}).get("code")
        equal([answer(64 * KIB + more) for more in (-1, 0, 1, 0)], [None, None, "limit_exceeded", None], "codes")


# Output -----------------------------------------------------------------------------------------------------

class Unread:
    """A client that does not read, and how much waits for it in the daemon: exactly as much as a test wants."""

    def __init__(self, world):
        self.slow, self.other = world.client(), world.client()
        self.least = len(self.other.ask({"id": ""}).raw) + 1   # of an error, plus each byte of its id

    def metric(self, name):
        return int(re.search(r"^esbridge_clients_%s (\d+)$" % name, self.other.ok("metrics")["text"], re.MULTILINE)[1])

    def unread(self):
        return self.metric("unread_bytes")

    def paused(self):
        return self.metric("paused")

    def has(self, size):
        until(lambda: self.unread() == size, "%d bytes wait, not %d" % (size, self.unread()))

    def still(self, size):
        turns(self.other)
        equal(self.unread(), size, "bytes that wait")

    def answers(self, *sizes):
        """Lines whose answers have these sizes."""
        self.slow.send(*({"id": "x" * (size - self.least)} for size in sizes))

    def fill(self):
        """The socket takes no more; a little waits for it."""
        while self.unread() == 0:
            self.slow.send({"op": "metrics", "id": "fill"})
            turns(self.other)

    def reach(self, size):
        """SIZE bytes wait."""
        each = self.least + 100
        left = size - self.unread()
        many = left // each - 1
        self.answers(*[each] * many)
        left -= many * each
        self.answers(left // 2, left - left // 2)
        self.has(size)


@edge("limits.output_pause", "unread bytes beyond which neither requests nor events are taken up")
def _():
    most = 64 * KIB
    with World(limits(output_pause=most, output_resume=most - 1, output_cap="1M")) as world:
        writer, stream = world.client(), world.stream()
        for more in (-1, 0, 1):
            for what in ("request", "event"):
                waits = Unread(world)
                waits.slow.subscribe(stream=stream)
                waits.fill()
                waits.reach(most + more)
                equal(waits.paused(), int(more > 0), "paused with %+d" % more)
                if what == "request":
                    waits.answers(waits.least)
                else:
                    writer.write(stream, "t")
                if more > 0:
                    waits.still(most + more)
                else:
                    until(lambda w=waits: w.unread() > most, "%s is taken up with %+d" % (what, more))
                    equal(waits.paused(), 1, "paused now")
                waits.slow.close()
                world.clients.remove(waits.slow)
                until(lambda w=waits: w.paused() == 0, "it is gone")


def reload(world, client, settings):
    world.bridge.settings = merged(world.bridge.settings, settings)
    world.bridge.write_config()
    before = world.bridge.said().count("settings read again")
    world.bridge.process.send_signal(signal.SIGHUP)
    until(lambda: world.bridge.said().count("settings read again") > before, "the settings are read again")
    client.ok("hello")


@edge("limits.output_resume", "unread bytes with which a client that was paused goes on")
def _():
    with played(limits(output_pause="512K", output_resume="1K", output_cap="1M")) as (world, peer):
        waits = Unread(world)
        waits.slow.send(*(read_event(number) for number in range(3)))
        asked = [peer.read(wire.READ_EVENT) for _ in range(3)]
        waits.fill()
        waits.reach(512 * KIB + 1)
        equal(waits.paused(), 1, "paused")
        while waits.unread() > 512 * KIB:
            true(waits.slow.sock.recv(16 * KIB), "it reads a little")
        unread = waits.unread()
        waits.answers(waits.least)
        not_found(peer, asked[0])
        until(lambda: waits.unread() > unread, "an answer comes")
        size = waits.unread() - unread
        for number, less in ((1, 1), (2, 0)):
            unread = waits.unread()
            reload(world, waits.other, limits(output_resume=unread + size - less))
            not_found(peer, asked[number])
            if less:
                waits.has(unread + size)
                equal(waits.paused(), 1, "paused with one more")
        waits.has(unread + size + waits.least)
        equal(waits.paused(), 0, "it goes on with the limit")


@edge("limits.output_cap", "unread bytes beyond which the answer of a read is asked for again later")
def _():
    most = 64 * KIB
    with played(limits(output_pause=most, output_resume="1K", output_cap=most)) as (world, peer):
        for more in (-1, 0, 1):
            waits = Unread(world)
            waits.slow.send(read_event("a"))
            asked = peer.read(wire.READ_EVENT)
            waits.fill()
            waits.reach(most + more)
            not_found(peer, asked)
            if more > 0:
                waits.still(most + more)
                for _ in range(100000):
                    if b'"id":"a"' in waits.slow.raw_line() or waits.unread() == 0:
                        break
                not_found(peer, peer.read(wire.READ_EVENT))
            else:
                until(lambda w=waits, m=more: w.unread() > most + m, "the answer is kept")
            while waits.slow.line().get("id") != "a":
                pass
            has(waits.other.ok("status")["store"], in_flight=0)
            world.clients.remove(waits.slow)
            waits.slow.close()
            until(lambda w=waits: w.unread() == 0, "nothing waits")


@edge("limits.client_stall_timeout", "a client that reads nothing is closed when that has passed, not before")
def _():
    with World(limits(client_stall_timeout="1s")) as world:
        waits = Unread(world)
        began = time.monotonic()
        waits.fill()
        true(waits.slow.sock.recv(1), "a byte that was sent before")
        until(lambda: waits.metric('closed_total{reason="slow_consumer"}') == 1, "it is closed")
        true(time.monotonic() - began >= 1, "closed after %g s" % (time.monotonic() - began))


# Memory -----------------------------------------------------------------------------------------------------

@edge("limits.memory", "with three quarters of it memory is not short, with the next line it is")
def _():
    with World(limits(memory="16M")) as world:
        other = world.client()
        equal(other.ok("status")["memory"]["limit"], 16 * MIB, "limit")

        def look():
            text = other.ok("metrics")["text"]
            return [int(re.search(r"^esbridge_memory_%s (\d+)$" % what, text, re.MULTILINE)[1]) for what in ("bytes", "shortages_total")]
        now, shortages = look()
        while not shortages:
            before = now
            true(before <= 12 * MIB, "%d bytes are used and memory is not short" % before)
            client = world.client()
            client.send_bytes(b'{"x-":"' + b"x" * 100 * KIB)
            # What is not read because memory is short stays where it is.
            until(lambda c=client: c.is_read() or look()[1], "the line is there")
            now, shortages = look()
        true(before > 11 * MIB, "memory is short behind %d bytes" % before)


# What requests have -----------------------------------------------------------------------------------------

def numbers_of(least, most):
    return [(least - 1, False), (least, True), (most, True), (most + 1, False)]


def texts_of(least, most):
    return [("x" * size, takes) for size, takes in ((least - 1, False), (least, True), (most, True), (most + 1, False)) if size >= 0]


LARGEST = 2 ** 63 - 2
MEMBERS = (
    ("hello", {}, "client", texts_of(1, 128)),
    ("hello", {}, "id", texts_of(0, 128)),
    ("ping", {}, "timeout_ms", numbers_of(1, 86400000)),
    ("ping", {"timeout_ms": 100}, ("credentials", "username"), texts_of(1, 127)),
    ("ping", {"timeout_ms": 100}, ("credentials", "password"), texts_of(0, 127)),
    ("subscribe", {}, "stream", texts_of(0, 65535)),
    ("subscribe", {"stream": "s"}, "group", texts_of(1, 65535)),
    ("subscribe", {"stream": "s"}, "sub", texts_of(1, 128)),
    ("subscribe", {"stream": "s"}, "window", numbers_of(0, 100000)),
    ("subscribe", {"stream": "s", "from": "start"}, "read_batch", numbers_of(1, 4096)),
    ("subscribe", {"stream": "s"}, "from", numbers_of(0, LARGEST)),
    ("subscribe", {"stream": "s", "group": "g"}, "in_flight", numbers_of(1, 10000)),
    ("subscribe", {"stream": "s"}, "checkpoint", texts_of(1, 200)),
    ("subscribe", {"stream": "s", "checkpoint": "c"}, "window", numbers_of(1, 100000)),
    ("checkpoint", {"action": "get"}, "name", texts_of(1, 200)),
    ("checkpoint", {"action": "set", "name": "c"}, "position", numbers_of(-1, LARGEST)),
    ("execute", {"message": "ReadStreamEvents"}, ("body", "max_count"), numbers_of(-2 ** 31, 2 ** 31 - 1)),
    ("execute", {"message": "ReadStreamEvents"}, ("body", "from_event_number"), numbers_of(-2 ** 63, 2 ** 63 - 1)),
    ("execute", {"message": "WriteEvents"}, ("body", "expected_version"), numbers_of(-2 ** 63, 2 ** 63 - 1)),
)
BESIDE = {"credentials": {"username": "u", "password": "p"}, "body": {"event_stream_id": "s"}}


@test("members of requests: the least and the most are taken, what is beyond is bad_request and named")
def _():
    with World({"store": ADMIN}) as world:
        client = world.client()
        client.execute("CreatePersistentSubscription", {"event_stream_id": "s", "subscription_group_name": "g"})
        for op, members, name, values in MEMBERS:
            for value, takes in values:
                request = dict(members, op=op)
                if isinstance(name, tuple):
                    request[name[0]] = dict(BESIDE[name[0]], **{name[1]: value})
                else:
                    request[name] = value
                what = "%s with %s of %.30r" % (op, name, value)
                if name == "id":
                    client.send(request)
                    line = client.line()
                    equal(line.get("id"), value if takes else None, what)
                else:
                    line = client.ask(request)
                error = line.get("error", {})
                equal(error.get("code") != "bad_request", takes, "%s is taken (%s)" % (what, error))
                if not takes:
                    true((name[0] if isinstance(name, tuple) and name[0] != "body" else name[-1] if isinstance(name, tuple) else name)
                         in error["message"], "%s is named in %r" % (what, error))
                if "sub" in line.get("ok", {}):
                    client.ok("unsubscribe", sub=line["ok"]["sub"])


@test("max_count: 4096 events make a page, one more is the store's to refuse")
def _():
    with World() as world:
        client, stream = world.client(), world.stream()
        client.write(stream, *["t"] * 2000)
        client.write(stream, *["t"] * 2097)
        for count in (4095, 4096):
            equal(len(client.read(stream, count=count)["events"]), count, "events")
        client.refuses("ReadStreamEvents", "server_error", {"event_stream_id": stream, "from_event_number": 0, "max_count": 4097})


# All of them ------------------------------------------------------------------------------------------------

@test("every limit has its row")
def _():
    with World() as world:
        world.bridge.settings = merged(world.bridge.settings, rule())
        world.bridge.write_config()
        printed = subprocess.run([ESBRIDGED, "--print-config", "-c", world.bridge.config], capture_output=True, text=True,
                                 check=True, timeout=30).stdout
        section, wanted = None, {"store.queue", "store.frame_limit"}
        for line in printed.splitlines():
            if line.startswith("["):
                section = line[1:-1].split()[0]
            elif " =" in line and section == "limits" or (section == "access" and NUMBER.fullmatch(line.split(" =")[1].strip())):
                wanted.add("%s.%s" % (section, line.split(" = ")[0]))
        wanted |= {"limits." + name for name in world.client().ok("hello")["limits"]}
        true(len(wanted) > 12, "limits that are found: %r" % wanted)
        equal(EDGES, wanted, "limits that are tested")


if __name__ == "__main__":
    main(shared=False)
