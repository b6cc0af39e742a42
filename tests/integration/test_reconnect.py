#!/usr/bin/env python3
"""Each way in which a connection to the store ends, and what goes over the next one, in which order. The store is played."""

import contextlib
import time

import wire
from harness import World, equal, has, main, merged, test, true, until

QUICK = {"store": {"reconnect_delay_min": "20ms", "reconnect_delay_max": "50ms", "connect_timeout": "2s",
                   "heartbeat_interval": "5s", "heartbeat_timeout": "5s", "operation_timeout": "20s"}}


@contextlib.contextmanager
def stage(keeps=None, **store_settings):
    """KEEPS: bytes that the store's end keeps of what is sent to it and not read."""
    with wire.FakeStore(keeps=keeps) as fake, World(merged(QUICK, {"store": store_settings}), port=fake.port) as world:
        yield world, fake, world.client()


def write(client, request_id, stream="s", timeout_ms=20000):
    client.send({"op": "execute", "id": request_id, "message": "WriteEvents", "timeout_ms": timeout_ms,
                 "body": {"event_stream_id": stream, "events": [{"event_type": "t%s" % request_id}]}})


def confirm(peer, asked):
    if asked.command == wire.CONNECT_GROUP:
        peer.send(wire.GROUP_CONFIRMATION, asked.correlation, wire.message((1, 1), (2, "s::g"), (3, 0)))
    else:
        peer.send(wire.SUBSCRIPTION_CONFIRMATION, asked.correlation, wire.message((1, 1), (2, 0)))


def complete(peer, asked):
    peer.send(wire.WRITE_EVENTS_COMPLETED, asked.correlation, wire.write_completed())


def ends(peer, how):
    """Ends the connection of PEER; HOW is a name of WAYS."""
    WAYS[how](peer)


def half_answer(size):
    def end(peer):
        peer.send_bytes(wire.frame(wire.package(wire.WRITE_EVENTS_COMPLETED, peer.last, wire.write_completed()))[:size])
        peer.close()
    return end


def bytes_that_are_no_frame(data):
    def end(peer):
        peer.send_bytes(data)
        peer.ends()
        peer.close()
    return end


def bad_request_zero(peer):
    peer.send(wire.BAD_REQUEST, wire.NO_ID, b"no more")
    peer.ends()
    peer.close()


def alert_of_tls(peer):
    """What a server says and does whose port wants TLS; the first bytes could begin a frame."""
    peer.send_bytes(b"\x15\x03\x01\x00\x02\x02\x46")
    peer.close()


WAYS = {"FIN": wire.Peer.close, "RST": wire.Peer.reset,
        "BadRequest with a zero correlation id": bad_request_zero,
        "an answer of HTTP": bytes_that_are_no_frame(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
        "an alert of TLS": alert_of_tls,
        "a frame shorter than its header": bytes_that_are_no_frame(wire.frame(bytes(17))),
        "zeros": bytes_that_are_no_frame(bytes(100))}
WAYS.update({"%d bytes of an answer" % size: half_answer(size) for size in (1, 3, 4, 5, 6, 21, 22, 23, 30)})


def register(how):
    @test("ended by %s: interrupted, resumed; the write in flight is sent again, the same bytes" % how)
    def _():
        with stage() as (_world, fake, client):
            peer = fake.welcome()
            client.send({"op": "subscribe", "id": "s", "stream": "s", "sub": "live"})
            confirm(peer, peer.read(wire.SUBSCRIBE))
            client.reply("s")
            write(client, "w")
            asked = peer.read(wire.WRITE_EVENTS)
            peer.last = asked.correlation
            ends(peer, how)
            has(client.push("interrupted"), sub="live", reason="connection_lost")
            peer = fake.welcome()
            confirm(peer, peer.read(wire.SUBSCRIBE))
            has(client.push("resumed"), sub="live")
            again = peer.read(wire.WRITE_EVENTS)
            equal(again.payload, asked.payload, "the write")
            complete(peer, again)
            true("ok" in client.reply("w"), "answered")
            true(not client.replies and not client.pushes, "nothing else")


for HOW in WAYS:
    register(HOW)


@test("subscriptions are made again in the order they were asked for, before anything else is sent")
def _():
    with stage() as (_world, fake, client):
        peer = fake.welcome()
        second = _world.client()
        wanted = []
        for number in range(12):
            reader, members = (client, second)[number % 2], {}
            if number % 3 == 1:
                members = {"group": "g"}
            elif number % 3 == 2:
                members = {"window": 5}
            reader.send(dict({"op": "subscribe", "id": number, "stream": "s%d" % number, "sub": "n%d" % number}, **members))
            asked = peer.read(wire.SUBSCRIBE, wire.CONNECT_GROUP)
            confirm(peer, asked)
            reader.reply(number)
            wanted.append((asked.command, asked.payload))
        write(client, "w")
        peer.read(wire.WRITE_EVENTS)
        peer.close()
        for reader in (client, second):
            for _ in range(6):
                reader.push("interrupted")
        write(second, "later")
        peer = fake.welcome()
        # One with a window reads what it may have missed; that is no subscription.
        got = []
        while len(got) < 12:
            asked = peer.read(wire.SUBSCRIBE, wire.CONNECT_GROUP)
            got.append((asked.command, asked.payload))
            confirm(peer, asked)
        equal(got, wanted, "what is asked for, in order")
        # The reads come in turn, some when those before are answered.
        rest = []
        while len(rest) < 6:
            rest.append(peer.read(wire.READ_FORWARD, wire.WRITE_EVENTS))
            if rest[-1].command == wire.READ_FORWARD:
                peer.send(wire.READ_FORWARD_COMPLETED, rest[-1].correlation, wire.message((2, 0), (3, 1), (4, 0), (5, 1), (6, 100)))
        equal([wire.one(asked.fields(), 1) for asked in rest if asked.command == wire.WRITE_EVENTS], [b"s", b"s"], "writes")
        client.close()
        second.close()


@test("the order of the writes of one client is kept through the repetition, and what comes later stays behind")
def _():
    with stage() as (_world, fake, client):
        peer = fake.welcome()
        for number in range(100):
            write(client, number)
        asked = [peer.read(wire.WRITE_EVENTS) for _ in range(100)]
        for number in (0, 1, 2, 50, 99):
            complete(peer, asked[number])
            true("ok" in client.reply(number), "answered")
        for round_number in range(3):
            peer.close()
            until(lambda: client.ok("status")["store"]["in_flight"] == 0, "all wait")
            write(client, 100 + round_number)
            peer = fake.welcome()
            again = [peer.read(wire.WRITE_EVENTS) for _ in range(95 + round_number + 1)]
            rest = [one for number, one in enumerate(asked) if number not in (0, 1, 2, 50, 99)]
            equal([one.payload for one in again[:95]], [one.payload for one in rest], "writes, in order")
            equal([wire.one(wire.fields(wire.one(one.fields(), 3)), 2) for one in again[95:]],
                  [b"t%d" % (100 + n) for n in range(round_number + 1)], "those of later")
        for one in again:
            complete(peer, one)
        for number in range(103):
            if number not in (0, 1, 2, 50, 99):
                true("ok" in client.reply(number), "answered")


@test("refused when it was sent again: the first sending may still be carried out, outcome unknown; refused at once: none")
def _():
    with stage() as (_world, fake, client):
        peer = fake.welcome()
        for name in ("at once", "again"):
            client.send({"op": "execute", "id": name, "message": "WriteEvents", "body": {
                "event_stream_id": "s", "expected_version": 5, "events": [{"event_type": "t"}]}})
            asked = peer.read(wire.WRITE_EVENTS)
            if name == "again":
                peer.close()
                peer = fake.welcome()
                asked = peer.read(wire.WRITE_EVENTS)
            peer.send(wire.WRITE_EVENTS_COMPLETED, asked.correlation, wire.message((1, 4), (3, 0), (4, 0), (7, 2)))
            has(client.reply(name)["error"], code="wrong_expected_version",
                outcome="unknown" if name == "again" else "none", message="stream 's' is at 2, not 5")


@test("sent once, its time over while the connection was away: connection_lost, and never sent again")
def _():
    with stage() as (_world, fake, client):
        peer = fake.welcome()
        write(client, "short", timeout_ms=300)
        write(client, "long")
        peer.read(wire.WRITE_EVENTS)
        kept = peer.read(wire.WRITE_EVENTS)
        peer.close()
        has(client.reply("short")["error"], code="connection_lost", outcome="unknown")
        write(client, "never", timeout_ms=50)
        has(client.reply("never")["error"], code="unavailable", outcome="none")
        peer = fake.welcome()
        asked = peer.read(wire.WRITE_EVENTS)
        equal(asked.payload, kept.payload, "the one that has time left")
        client.send({"op": "ping", "id": "p"})
        peer.send(wire.PONG, peer.read(wire.PING).correlation)   # nothing came in between
        complete(peer, asked)
        true("ok" in client.reply("long") and "ok" in client.reply("p"), "answered")


def write_large(client, request_id, timeout_ms=20000):
    """More than the kernel takes of a store that does not read. Returns the data of the event."""
    data = b'"%s"' % (request_id.encode() * (8 * 1024 * 1024))
    client.send(b'{"op":"execute","id":"%s","message":"WriteEvents","timeout_ms":%d,"body":{"event_stream_id":"s",'
                b'"events":[{"event_type":"t","data":%s}]}}' % (request_id.encode(), timeout_ms, data))
    return data


def data_of(package):
    return wire.one(wire.fields(wire.one(package.fields(), 3)), 5)


@test("large writes whose time is over before they have gone: what has begun to go arrives whole, another is not sent")
def _():
    with stage(keeps=65536) as (_world, fake, client):
        peer = fake.welcome()
        begun = write_large(client, "a", timeout_ms=500)
        write_large(client, "b", timeout_ms=500)
        kept = write_large(client, "c")
        for name in "ab":
            has(client.reply(name)["error"], code="timeout", outcome="unknown")
        client.send({"op": "ping", "id": "p"})
        true(data_of(peer.read(wire.WRITE_EVENTS)) == begun, "whole")
        asked = peer.read(wire.WRITE_EVENTS)
        true(data_of(asked) == kept, "the one that has time left")
        peer.send(wire.PONG, peer.read(wire.PING).correlation)
        complete(peer, asked)
        true("ok" in client.reply("c") and "ok" in client.reply("p"), "answered")


@test("a connection that goes while large writes are on their way: they go over the next one, whole and in order")
def _():
    with stage(keeps=65536) as (_world, fake, client):
        peer = fake.welcome()
        written = [write_large(client, name) for name in "ab"]
        write(client, "c")
        peer.sock.recv(1024 * 1024)
        peer.close()
        peer = fake.welcome()
        for data in written:
            asked = peer.read(wire.WRITE_EVENTS)
            true(data_of(asked) == data, "whole")
            complete(peer, asked)
        complete(peer, peer.read(wire.WRITE_EVENTS))
        true(all("ok" in client.reply(name) for name in "abc"), "answered")


@test("a late answer over the new connection to what was sent over the old one counts once")
def _():
    with stage() as (_world, fake, client):
        peer = fake.welcome()
        write(client, "w")
        asked = peer.read(wire.WRITE_EVENTS)
        peer.close()
        peer = fake.welcome()
        again = peer.read(wire.WRITE_EVENTS)
        for _ in range(3):
            complete(peer, again)
            complete(peer, asked)
        true("ok" in client.reply("w"), "answered")
        client.send({"op": "ping", "id": "p"})
        peer.send(wire.PONG, peer.read(wire.PING).correlation)
        client.reply("p")
        true(not client.replies and not client.others, "one answer")


@test("20 closes within 10 s, each in another way: still there, nothing lost")
def _():
    ways = [how for how in WAYS if "answer" not in how or how == "an answer of HTTP"]
    with stage() as (world, fake, client):
        peer = fake.welcome()
        client.send({"op": "subscribe", "id": "s", "stream": "s", "sub": "live"})
        confirm(peer, peer.read(wire.SUBSCRIBE))
        client.reply("s")
        write(client, "w")
        for number in range(20):
            asked = peer.read(wire.WRITE_EVENTS)
            ends(peer, ways[number % len(ways)])
            client.push("interrupted")
            peer = fake.welcome()
            confirm(peer, peer.read(wire.SUBSCRIBE))
            client.push("resumed")
        asked = peer.read(wire.WRITE_EVENTS)
        complete(peer, asked)
        true("ok" in client.reply("w"), "answered")
        has(world.status()["store"], connects=21, repeated=20)


# NotHandled of subscriptions and of the handshake -----------------------------------------------------------

@test("NotHandled to a subscription: NotReady and TooBusy are asked again, and what comes meanwhile waits")
def _():
    for members, command in (({}, wire.SUBSCRIBE), ({"group": "g"}, wire.CONNECT_GROUP)):
        with stage() as (_world, fake, client):
            peer = fake.welcome()
            client.send(dict({"op": "subscribe", "id": "s", "stream": "s", "sub": "n"}, **members))
            for payload in (b"", wire.message((1, 0)), wire.message((1, 1)), wire.message((1, 2))):
                peer.send(wire.NOT_HANDLED, peer.read(command).correlation, payload)
            asked = peer.read(command)
            write(client, "w")
            peer.send(wire.NOT_HANDLED, asked.correlation, wire.message((1, 1)))
            got = [peer.read(command, wire.WRITE_EVENTS) for _ in range(2)]
            equal(sorted(one.command for one in got), sorted([command, wire.WRITE_EVENTS]), "what is sent")
            for one in got:
                (complete if one.command == wire.WRITE_EVENTS else confirm)(peer, one)
            true("ok" in client.reply("s") and "ok" in client.reply("w"), "answered")


@test("NotHandled to a subscription: IsReadOnly and what nobody knows are not_handled; NotLeader leads elsewhere")
def _():
    with stage() as (_world, fake, client), wire.FakeStore() as leader:
        peer = fake.welcome()
        for payload in (wire.message((1, 3)), wire.message((1, 99))):
            client.send({"op": "subscribe", "id": "s", "stream": "s", "sub": "n"})
            peer.send(wire.NOT_HANDLED, peer.read(wire.SUBSCRIBE).correlation, payload)
            has(client.reply("s")["error"], code="not_handled", retry=True)
        client.send({"op": "subscribe", "id": "s", "stream": "s", "sub": "n"})
        info = wire.message((1, b"127.0.0.1"), (2, leader.port), (3, b"127.0.0.1"), (4, 2113))
        peer.send(wire.NOT_HANDLED, peer.read(wire.SUBSCRIBE).correlation, wire.message((1, 2), (2, info)))
        there = leader.welcome()
        confirm(there, there.read(wire.SUBSCRIBE))
        true("ok" in client.reply("s"), "subscribed at the leader")


@test("NotHandled to the handshake: tried again")
def _():
    with stage(username="joe", password="sesame") as (world, fake, client):
        peer = fake.accept()
        peer.send(wire.NOT_HANDLED, peer.read(wire.AUTHENTICATE).correlation, b"")
        peer.ends()
        fake.welcome()
        until(lambda: world.status()["store"]["state"] == "ready", "connected")
        has(client.ok("status")["store"], last_error="store_not_ready")


# Attempts ---------------------------------------------------------------------------------------------------

def refused(fake):
    """Accepts a connection and closes it at once; returns when that was."""
    peer = fake.accept()
    at = time.monotonic()
    peer.close()
    return at


@test("the pause between attempts doubles from the least to the most, up to a fifth more or less by chance")
def _():
    with stage(reconnect_delay_min="50ms", reconnect_delay_max="400ms") as (_world, fake, _client):
        times = [refused(fake) for _ in range(7)]
        pauses = [b - a for a, b in zip(times, times[1:])]
        # A machine under load makes pauses longer, never shorter.
        for pause, least in zip(pauses, (0.05, 0.1, 0.2, 0.4, 0.4, 0.4)):
            true(pause >= least * 0.8 - 0.005, "pauses %r" % pauses)
    with stage(reconnect_delay_min="100ms", reconnect_delay_max="100ms") as (_world, fake, _client):
        times, shorter = [refused(fake)], False
        while not shorter:   # nine of ten are shorter than this or longer by chance; the limit of the test ends it
            times.append(refused(fake))
            shorter = times[-1] - times[-2] < 0.095
        true(times[-1] - times[-2] >= 0.075, "a pause of %g s" % (times[-1] - times[-2]))


@test("max_attempts in a row without success: the daemon says so and ends with status 69")
def _():
    with stage(max_attempts="3") as (world, fake, client):
        for _ in range(2):
            refused(fake)
        fake.welcome().close()   # a success: the count begins anew
        for _ in range(2):
            refused(fake)
        write(client, "w")   # it waits for the connection that will never be
        until(lambda: world.status()["store"]["queued"] == 1, "the write is taken up")
        refused(fake)
        has(client.reply("w", limit=5)["error"], code="shutting_down", outcome="none")   # not after the drain, 10 s
        client.ends()
        equal(world.bridge.wait_exit(), 69, "exit status")
        true("giving up" in world.bridge.said(), "it is logged: %s" % world.bridge.said())


if __name__ == "__main__":
    main(shared=False)
