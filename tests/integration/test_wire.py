#!/usr/bin/env python3
"""What goes to the store byte by byte, and what becomes of every kind of answer. The store is played by the test."""

import contextlib
import struct
import time
import uuid

import wire
from harness import Failure, World, equal, has, main, merged, test, true, until

QUICK = {"store": {"reconnect_delay_min": "20ms", "reconnect_delay_max": "50ms", "connect_timeout": "1s",
                   "heartbeat_interval": "5s", "heartbeat_timeout": "5s"}}


@contextlib.contextmanager
def stage(**store_settings):
    """(world, fake store, a client)"""
    with wire.FakeStore() as fake, World(merged(QUICK, {"store": store_settings}), port=fake.port) as world:
        yield world, fake, world.client()


def ask(client, message, body, request_id="r", **members):
    """Sends the request, without an id where REQUEST_ID is None."""
    request = dict({"op": "execute", "message": message, "body": body, "timeout_ms": 8000}, **members)
    client.send(request if request_id is None else dict(request, id=request_id))


WRITE = {"event_stream_id": "s", "events": [{"event_type": "t", "data": 1.10}]}


def write(client, request_id="r", **members):
    ask(client, "WriteEvents", WRITE, request_id, **members)


def error_of(client, request_id="r"):
    line = client.reply(request_id)
    true("error" in line, "an error, not %r" % line.raw[:300])
    return line["error"]


def still_works(client, peer):
    """A write over PEER is answered."""
    write(client, "still")
    asked = peer.read(wire.WRITE_EVENTS)
    peer.send(wire.WRITE_EVENTS_COMPLETED, asked.correlation, wire.write_completed())
    line = client.reply("still")
    true("ok" in line, "the connection goes on: %r" % line)


# What is sent -----------------------------------------------------------------------------------------------

@test("the handshake: Authenticate with the credentials, then IdentifyClient with version 1, then requests")
def _():
    with wire.FakeStore() as fake, World(merged(QUICK, {"store": {"username": "joe", "password": "sesame"}}),
                                         port=fake.port) as world:
        write(world.client())
        peer = fake.accept()
        asked = peer.read(wire.AUTHENTICATE)
        equal((asked.flags, asked.login, asked.password, asked.payload), (1, b"joe", b"sesame", b""), "Authenticate")
        true(asked.correlation != wire.NO_ID, "a correlation id")
        peer.send(wire.AUTHENTICATED, asked.correlation)
        asked = peer.read(wire.IDENTIFY_CLIENT)
        fields = asked.fields()
        equal(wire.one(fields, 1), 1, "version")
        true(wire.one(fields, 2), "a connection name")
        peer.send(wire.CLIENT_IDENTIFIED, asked.correlation)
        asked = peer.read(wire.WRITE_EVENTS)
        peer.send(wire.WRITE_EVENTS_COMPLETED, asked.correlation, wire.write_completed())


@test("without credentials: no Authenticate, no flag")
def _():
    with stage() as (world, fake, client):
        write(client)
        peer = fake.accept()
        asked = peer.read(wire.IDENTIFY_CLIENT)
        peer.send(wire.CLIENT_IDENTIFIED, asked.correlation)
        asked = peer.read(wire.WRITE_EVENTS)
        equal((asked.flags, asked.login), (0, None), "flags")
        peer.send(wire.WRITE_EVENTS_COMPLETED, asked.correlation, wire.write_completed())


@test("WriteEvents: defaults, the bytes of the data, ids in the order of Guid, the correlation id given")
def _():
    with stage() as (world, fake, client):
        peer = fake.welcome()
        mine, correlation = str(uuid.uuid4()), str(uuid.uuid4())
        ask(client, "WriteEvents", {"event_stream_id": "ž", "events": [{"event_type": "t", "event_id": mine, "data": {"a": 1}}]},
            correlation_id=correlation, credentials={"username": "joe", "password": "sesame"})
        asked = peer.read(wire.WRITE_EVENTS)
        equal(asked.correlation, wire.guid(correlation), "correlation id")
        equal((asked.flags, asked.login, asked.password), (1, b"joe", b"sesame"), "credentials")
        fields = asked.fields()
        equal((wire.one(fields, 1), wire.one(fields, 2), wire.one(fields, 4)), ("ž".encode(), -2, 1), "members")
        event = wire.fields(wire.one(fields, 3))
        equal(wire.one(event, 1), wire.guid(mine), "event_id")
        equal((wire.one(event, 2), wire.one(event, 3), wire.one(event, 5)), (b"t", 1, b'{"a": 1}'), "event")
        write(client, "second", correlation_id=correlation)
        equal(error_of(client, "second")["code"], "already_exists", "code")
        peer.send(wire.WRITE_EVENTS_COMPLETED, asked.correlation, wire.write_completed())
        true("ok" in client.reply("r"), "answered")
        write(client, "third", correlation_id=correlation)
        asked = peer.read(wire.WRITE_EVENTS)
        peer.send(wire.WRITE_EVENTS_COMPLETED, asked.correlation, wire.write_completed())
        true("ok" in client.reply("third"), "free again")


@test("a correlation id is taken as long as its request waits for a connection")
def _():
    with stage() as (world, fake, client):
        correlation = str(uuid.uuid4())
        for name in "first", "second":
            write(client, name, correlation_id=correlation)
        equal(error_of(client, "second")["code"], "already_exists", "code")
        ask(client, "ReadStreamEvents", {"event_stream_id": "s", "from_event_number": 0, "max_count": 1}, "page",
            correlation_id=correlation)
        equal(error_of(client, "page")["code"], "already_exists", "code")
        peer = fake.welcome()
        asked = peer.read(wire.WRITE_EVENTS)
        peer.send(wire.WRITE_EVENTS_COMPLETED, asked.correlation, wire.write_completed())
        true("ok" in client.reply("first"), "answered")
        write(client, "third", correlation_id=correlation)
        asked = peer.read(wire.WRITE_EVENTS)
        equal(asked.correlation, wire.guid(correlation), "correlation id")
        peer.send(wire.WRITE_EVENTS_COMPLETED, asked.correlation, wire.write_completed())
        true("ok" in client.reply("third"), "free again")


@test("defaults of reads, deletes and groups")
def _():
    with stage() as (world, fake, client):
        peer = fake.welcome()

        def sent(message, **body):
            ask(client, message, body, None)
            return {number: values[0] for number, values in peer.read().fields().items()}
        equal(sent("ReadStreamEvents", event_stream_id="s"), {1: b"s", 2: 0, 3: 500, 4: 1, 5: 1}, "forward")
        equal(sent("ReadStreamEventsBackward", event_stream_id="s"), {1: b"s", 2: -1, 3: 500, 4: 1, 5: 1}, "backward")
        equal(sent("DeleteStream", event_stream_id="s"), {1: b"s", 2: -2, 3: 1, 4: 0}, "delete")
        equal(sent("CreatePersistentSubscription", event_stream_id="s", subscription_group_name="g"),
              {1: b"g", 2: b"s", 3: 0, 4: -1, 5: 30000, 6: 0, 7: 500, 8: 20, 9: 500, 10: 10, 11: 1, 12: 2000, 13: 1000,
               14: 10, 15: 0, 16: b"RoundRobin"}, "group")
        client.close()


@test("require_master as configured and as given")
def _():
    with stage(require_master="no") as (world, fake, client):
        peer = fake.welcome()
        for members, wanted in (({}, 0), ({"require_master": True}, 1), ({"require_leader": True}, 1)):
            ask(client, "DeleteStream", dict({"event_stream_id": "s"}, **members), None)
            equal(wire.one(peer.read(wire.DELETE_STREAM).fields(), 3, 0), wanted, "require_master")
        client.close()


@test("heartbeat requests are answered with their own id, and nothing in them")
def _():
    with stage() as (world, fake, client):
        peer = fake.welcome()
        for _ in range(3):
            mine = uuid.uuid4().bytes
            peer.send(wire.HEARTBEAT_REQUEST, mine, b"whatever")
            got = peer.next()
            while got.command == wire.HEARTBEAT_REQUEST:
                got = peer.next()
            equal((got.command, got.correlation, got.payload, got.flags), (wire.HEARTBEAT_RESPONSE, mine, b"", 0), "answer")


@test("requests of one connection go to the store in their order, those of a burst too")
def _():
    with stage() as (world, fake, client):
        peer = fake.welcome()
        client.send(*({"op": "execute", "id": i, "message": "ReadEvent", "body": {"event_stream_id": "s", "event_number": i}}
                      for i in range(200)))
        asked = [peer.read(wire.READ_EVENT) for _ in range(200)]
        equal([wire.one(a.fields(), 2, 0) for a in asked], list(range(200)), "order")
        answer = wire.message((1, 1), (2, b""))
        peer.send_bytes(b"".join(wire.frame(wire.package(wire.READ_EVENT_COMPLETED, a.correlation, answer))
                                 for a in reversed(asked)))
        for i in range(200):
            equal(client.reply(i)["error"]["code"], "not_found", "code")


# Silence, loss, time ----------------------------------------------------------------------------------------

@test("a server that falls silent is found by heartbeat, and connected to again")
def _():
    with stage(heartbeat_interval="200ms", heartbeat_timeout="300ms") as (world, fake, client):
        peer = fake.welcome()
        began = time.monotonic()
        got = peer.next()
        equal(got.command, wire.HEARTBEAT_REQUEST, "command")
        true(got.correlation != wire.NO_ID, "an id of its own")
        peer.ends()
        seconds = time.monotonic() - began
        true(0.3 <= seconds <= 3, "closed after %g s" % seconds)
        still_works(client, fake.welcome())


@test("a server that answers heartbeats stays connected; bytes of an unfinished frame count as life")
def _():
    with stage(heartbeat_interval="200ms", heartbeat_timeout="400ms") as (world, fake, client):
        peer = fake.welcome()
        write(client)
        asked = peer.read(wire.WRITE_EVENTS)
        answer = wire.frame(wire.package(wire.WRITE_EVENTS_COMPLETED, asked.correlation, wire.write_completed()))
        for byte in answer:
            peer.send_bytes(bytes([byte]))
            time.sleep(0.05)  # the passage of time is what is tested
        true("ok" in client.reply("r"), "answered over the same connection")


@test("a server that never answers the handshake: tried again")
def _():
    with stage() as (world, fake, client):
        peer = fake.accept()
        peer.read(wire.IDENTIFY_CLIENT)
        peer.ends()
        still_works(client, fake.welcome())


@test("sent, the link stands, no answer: timeout, outcome unknown for what changes the store; a late answer is no harm")
def _():
    with stage() as (world, fake, client):
        peer = fake.welcome()
        late = []
        for message, body, outcome in (("WriteEvents", WRITE, "unknown"), ("DeleteStream", {"event_stream_id": "s"}, "unknown"),
                                       ("TransactionStart", {"event_stream_id": "s"}, "unknown"),
                                       ("ReadEvent", {"event_stream_id": "s"}, None)):
            ask(client, message, body, timeout_ms=150)
            late.append(peer.read())
            error = error_of(client)
            has(error, code="timeout")
            equal(error.get("outcome"), outcome, "outcome of %s" % message)
        for asked in late:
            peer.send(asked.command + 1, asked.correlation, wire.write_completed())
        still_works(client, peer)


@test("never sent after its time: unavailable, outcome none")
def _():
    with stage() as (world, fake, client):
        write(client, timeout_ms=200)
        error = error_of(client)
        has(error, code="unavailable", outcome="none", retry=True)
        peer = fake.welcome()
        ask(client, "ReadEvent", {"event_stream_id": "s"}, "next")
        peer.read(wire.READ_EVENT)
        client.close()


@test("link lost: reads and WriteEvents are sent again with the same ids, anything else is connection_lost")
def _():
    with stage() as (world, fake, client):
        peer = fake.welcome()
        write(client, "w")
        first = peer.read(wire.WRITE_EVENTS)
        ask(client, "ReadEvent", {"event_stream_id": "s"}, "r")
        peer.read(wire.READ_EVENT)
        for request_id, message, body in (("d", "DeleteStream", {"event_stream_id": "s"}),
                                          ("t", "TransactionCommit", {"transaction_id": 5})):
            ask(client, message, body, request_id)
            peer.read()
        peer.close()
        peer = fake.welcome()
        again = peer.read(wire.WRITE_EVENTS)
        equal(again.payload, first.payload, "the same write")
        asked = peer.read(wire.READ_EVENT)
        peer.send(wire.READ_EVENT_COMPLETED, asked.correlation, wire.message((1, 1)))
        peer.send(wire.WRITE_EVENTS_COMPLETED, again.correlation, wire.write_completed())
        true("ok" in client.reply("w"), "the write")
        equal(client.reply("r")["error"]["code"], "not_found", "the read")
        for request_id in ("d", "t"):
            has(error_of(client, request_id), code="connection_lost", outcome="unknown")


@test("link lost and not back in time: connection_lost, outcome unknown")
def _():
    with stage() as (world, fake, client):
        peer = fake.welcome()
        write(client, timeout_ms=400)
        peer.read(wire.WRITE_EVENTS)
        fake.listener.close()
        peer.close()
        has(error_of(client), code="connection_lost", outcome="unknown")


# Answers ----------------------------------------------------------------------------------------------------

@test("an answer one byte at a time, and many answers in one segment, out of order")
def _():
    with stage() as (world, fake, client):
        peer = fake.welcome()
        write(client)
        asked = peer.read(wire.WRITE_EVENTS)
        for byte in wire.frame(wire.package(wire.WRITE_EVENTS_COMPLETED, asked.correlation, wire.write_completed(7, 9))):
            peer.send_bytes(bytes([byte]))
        has(client.reply("r")["ok"]["body"], first_event_number=7, last_event_number=9)
        for i in range(100):
            write(client, i)
        asked = [peer.read(wire.WRITE_EVENTS) for _ in range(100)]
        burst = b"".join(wire.frame(wire.package(wire.WRITE_EVENTS_COMPLETED, a.correlation, wire.write_completed(i, i)))
                         for i, a in reversed(list(enumerate(asked))))
        for at in range(0, len(burst), 997):
            peer.send_bytes(burst[at:at + 997])
        for i in range(100):
            has(client.reply(i)["ok"]["body"], first_event_number=i)


@test("all server versions look alike: members left out appear as 0, empty texts and sentinels not at all")
def _():
    with stage() as (world, fake, client):
        peer = fake.welcome()
        for payload, wanted in (
                (b"", {"result": "Success", "first_event_number": 0, "last_event_number": 0, "prepare_position": 0,
                       "commit_position": 0}),
                (wire.message((1, 0), (2, b""), (3, 4), (4, 5), (5, -1), (6, -1), (7, 0)),
                 {"result": "Success", "first_event_number": 4, "last_event_number": 5, "prepare_position": -1,
                  "commit_position": -1})):
            write(client)
            asked = peer.read(wire.WRITE_EVENTS)
            peer.send(wire.WRITE_EVENTS_COMPLETED, asked.correlation, payload)
            equal(client.reply("r")["ok"]["body"], wanted, "body")
        write(client)
        asked = peer.read(wire.WRITE_EVENTS)
        low = -2147483648
        peer.send(wire.WRITE_EVENTS_COMPLETED, asked.correlation,
                  wire.message((1, 4), (2, b"text"), (3, low), (4, low), (5, low), (6, 0), (7, 3)))
        equal(error_of(client)["body"], {"result": "WrongExpectedVersion", "message": "text", "commit_position": 0,
                                         "current_version": 3}, "body")


@test("each result of a write has its code")
def _():
    with stage() as (world, fake, client):
        peer = fake.welcome()
        for result, code, retry in ((1, "prepare_timeout", True), (2, "commit_timeout", True), (3, "forward_timeout", True),
                                    (4, "wrong_expected_version", False), (5, "stream_deleted", False),
                                    (6, "invalid_transaction", False), (7, "access_denied", False)):
            write(client)
            asked = peer.read(wire.WRITE_EVENTS)
            peer.send(wire.WRITE_EVENTS_COMPLETED, asked.correlation, wire.message((1, result)))
            has(error_of(client), code=code, retry=retry)


@test("BadRequest and NotAuthenticated to a request: its text is told, the connection goes on")
def _():
    with stage() as (world, fake, client):
        peer = fake.welcome()
        for command, code, text in ((wire.BAD_REQUEST, "server_bad_request", b"no such thing"),
                                    (wire.NOT_AUTHENTICATED, "not_authenticated", b"who are you"),
                                    (wire.BAD_REQUEST, "server_bad_request", b""), (wire.NOT_AUTHENTICATED, "not_authenticated", b""),
                                    (wire.BAD_REQUEST, "server_bad_request", b"\xff\xfe\0\n\"")):
            write(client)
            peer.send(command, peer.read(wire.WRITE_EVENTS).correlation, text)
            error = error_of(client)
            has(error, code=code, outcome="none")
            if text.isascii():
                true(text.decode() in error["message"], "the text is in %r" % error)
        still_works(client, peer)


@test("BadRequest with a zero correlation id, then closed: what was in flight is sent again")
def _():
    with stage() as (world, fake, client):
        peer = fake.welcome()
        write(client)
        peer.read(wire.WRITE_EVENTS)
        peer.send(wire.BAD_REQUEST, wire.NO_ID, b"bad frame")
        peer.close()
        peer = fake.welcome()
        asked = peer.read(wire.WRITE_EVENTS)
        peer.send(wire.WRITE_EVENTS_COMPLETED, asked.correlation, wire.write_completed())
        true("ok" in client.reply("r"), "answered")


@test("an unknown command, an unknown correlation id, an answer of another kind")
def _():
    with stage() as (world, fake, client):
        peer = fake.welcome()
        for command in (0x00, 0x05, 0x77, 0xFF, wire.WRITE_EVENTS_COMPLETED, wire.EVENT_APPEARED, wire.PONG, wire.NOT_HANDLED):
            peer.send(command, uuid.uuid4().bytes, b"nobody waits for this")
        for command in (wire.READ_EVENT_COMPLETED, wire.EVENT_APPEARED, 0x77):
            write(client)
            peer.send(command, peer.read(wire.WRITE_EVENTS).correlation, b"")
            has(error_of(client), code="protocol_error", outcome="unknown")
        still_works(client, peer)


def answer_with(client, peer, payload, message="WriteEvents", body=None):
    ask(client, message, body or WRITE)
    asked = peer.read()
    peer.send(asked.command + 1, asked.correlation, payload)
    return client.reply("r")


@test("garbage in place of a message: protocol_error, the connection goes on")
def _():
    with stage() as (world, fake, client):
        peer = fake.welcome()
        for payload in (b"\xff", b"\x08", b"\x0a\x05ab", b"\x0b", b"\x0c", b"\x00\x00", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                        b"\x12\xff\xff\xff\xff\x07", b"\x08" + b"\xff" * 11, b"\x0a\x01x", b"\x18\x80"):
            line = answer_with(client, peer, payload)
            true("error" in line, "%r gave %r" % (payload, line))
            has(line["error"], code="protocol_error", outcome="unknown")
        still_works(client, peer)


@test("an answer cut at every byte: an answer or protocol_error, never silence")
def _():
    with stage() as (world, fake, client):
        peer = fake.welcome()
        event = wire.message((1, wire.record("s", 3, "type", b'{"a":1}')), (2, wire.record("l", 4, "$>", b"3@s")))
        page = wire.message((1, event), (1, event), (2, 0), (3, 5), (4, 4), (5, 1), (6, 77), (7, b""))
        body = {"event_stream_id": "s"}
        for size in range(len(page)):
            line = answer_with(client, peer, page[:size], "ReadStreamEvents", body)
            true("ok" in line or line["error"]["code"] == "protocol_error", "cut at %d: %r" % (size, line))
        line = answer_with(client, peer, page, "ReadStreamEvents", body)
        equal(len(line["ok"]["body"]["events"]), 2, "events")
        for at in range(len(page)):
            for value in (0, 0x7F, 0x80, 0xFF, page[at] ^ 1, page[at] ^ 2):
                changed = page[:at] + bytes([value]) + page[at + 1:]
                true("push" not in answer_with(client, peer, changed, "ReadStreamEvents", body), "an answer")
        still_works(client, peer)


@test("frames of a length that none has: the connection is made anew, what was in flight is sent again")
def _():
    for length in (0, 1, 17, wire.FRAME_MOST + 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 1):
        with stage() as (world, fake, client):
            peer = fake.welcome()
            write(client)
            peer.read(wire.WRITE_EVENTS)
            with contextlib.suppress(OSError):
                peer.send_bytes(struct.pack("<I", length) + b"\x83" * 18)
            peer.ends()
            peer = fake.welcome()
            asked = peer.read(wire.WRITE_EVENTS)
            peer.send(wire.WRITE_EVENTS_COMPLETED, asked.correlation, wire.write_completed())
            true("ok" in client.reply("r"), "answered after a frame of %d" % length)


@test("a package that claims longer credentials than it has")
def _():
    with stage() as (world, fake, client):
        peer = fake.welcome()
        peer.send_bytes(wire.frame(bytes([wire.PONG, 1]) + uuid.uuid4().bytes + b"\x7fab"))
        peer.ends()
        still_works(client, fake.welcome())


# NotHandled -------------------------------------------------------------------------------------------------

@test("NotHandled: NotReady and TooBusy are tried again")
def _():
    with stage() as (world, fake, client):
        peer = fake.welcome()
        write(client)
        for payload in (b"", wire.message((1, 0)), wire.message((1, 1))):
            peer.send(wire.NOT_HANDLED, peer.read(wire.WRITE_EVENTS).correlation, payload)
        asked = peer.read(wire.WRITE_EVENTS)
        peer.send(wire.WRITE_EVENTS_COMPLETED, asked.correlation, wire.write_completed())
        true("ok" in client.reply("r"), "answered")


@test("NotHandled: NotReady until the time is over: not_handled, unavailable or timeout, outcome none")
def _():
    with stage() as (world, fake, client):
        peer = fake.welcome()
        write(client, timeout_ms=500)
        peer.send(wire.NOT_HANDLED, peer.read(wire.WRITE_EVENTS).correlation, b"")
        line = None
        peer.sock.settimeout(0.05)
        while line is None:
            try:
                peer.send(wire.NOT_HANDLED, peer.read(wire.WRITE_EVENTS).correlation, b"")
            except TimeoutError:
                pass
            if world.status()["store"]["in_flight"] + world.status()["store"]["queued"] == 0:
                line = client.reply("r")
        true(line["error"]["code"] in ("not_handled", "unavailable", "timeout"), "%r" % line)


@test("NotHandled: NotMaster names a node, the daemon goes there and sends again")
def _():
    with stage() as (world, fake, client), wire.FakeStore() as leader:
        peer = fake.welcome()
        write(client)
        info = wire.message((1, b"127.0.0.1"), (2, leader.port), (3, b"127.0.0.1"), (4, 2113))
        peer.send(wire.NOT_HANDLED, peer.read(wire.WRITE_EVENTS).correlation, wire.message((1, 2), (2, info)))
        there = leader.welcome()
        asked = there.read(wire.WRITE_EVENTS)
        there.send(wire.WRITE_EVENTS_COMPLETED, asked.correlation, wire.write_completed())
        true("ok" in client.reply("r"), "answered")
        until(lambda: world.status()["store"]["endpoint"].endswith(":%d" % leader.port), "status names the new endpoint")


@test("NotHandled: IsReadOnly and reasons that nobody knows are not_handled")
def _():
    with stage() as (world, fake, client):
        peer = fake.welcome()
        for payload in (wire.message((1, 3)), wire.message((1, 99))):
            write(client)
            peer.send(wire.NOT_HANDLED, peer.read(wire.WRITE_EVENTS).correlation, payload)
            has(error_of(client), code="not_handled", outcome="none")
        still_works(client, peer)


# Subscriptions ----------------------------------------------------------------------------------------------

CONFIRMED = wire.message((1, 1000), (2, -1))


def subscribe(client, peer, **members):
    client.send(dict({"op": "subscribe", "id": "s", "stream": "s", "sub": "mine"}, **members))
    asked = peer.read(wire.SUBSCRIBE, wire.CONNECT_GROUP)
    return asked.correlation


def appeared(number, **more):
    return wire.message((1, wire.message((1, wire.record("s", number, **more)), (3, 2000 + number), (4, 2000 + number))))


@test("a subscription that the store never confirms: timeout, and it is not left behind there")
def _():
    with stage() as (world, fake, client):
        peer = fake.welcome()
        mine = subscribe(client, peer, timeout_ms=200)
        equal(error_of(client, "s")["code"], "timeout", "code")
        peer.send(wire.SUBSCRIPTION_CONFIRMATION, mine, CONFIRMED)
        peer.send(wire.EVENT_APPEARED, mine, appeared(0))
        equal(peer.read(wire.UNSUBSCRIBE).correlation, mine, "unsubscribed")
        equal(client.ok("status")["client"]["subscriptions"], [], "none")
        true(not client.pushes, "no push")


@test("each drop reason of the store")
def _():
    with stage() as (world, fake, client):
        peer = fake.welcome()
        for reason, code in ((1, "access_denied"), (2, "not_found"), (4, "subscriber_max_count_reached")):
            mine = subscribe(client, peer, group="g")
            peer.send(wire.SUBSCRIPTION_DROPPED, mine, wire.message((1, reason)))
            equal(error_of(client, "s")["code"], code, "code")
        mine = subscribe(client, peer)
        peer.send(wire.SUBSCRIPTION_CONFIRMATION, mine, CONFIRMED)
        true("ok" in client.reply("s"), "subscribed")
        peer.send(wire.SUBSCRIPTION_DROPPED, mine, wire.message((1, 1)))
        has(client.push("dropped"), sub="mine", reason="access_denied")


@test("events before the confirmation, garbage in an event: an end that is told, never a crash")
def _():
    for payload in (b"\xff", b"", wire.message((1, b"\xff")), wire.message((1, wire.message((1, wire.message((3, b"short"))))))):
        with stage() as (world, fake, client):
            peer = fake.welcome()
            mine = subscribe(client, peer)
            peer.send(wire.SUBSCRIPTION_CONFIRMATION, mine, CONFIRMED)
            true("ok" in client.reply("s"), "subscribed")
            peer.send(wire.EVENT_APPEARED, mine, payload)
            peer.send(wire.EVENT_APPEARED, mine, appeared(0))
            push = client.push()
            true(push["push"] in ("event", "interrupted", "dropped"), "%r gave %r" % (payload, push))


@test("acks of one turn go out in one message, before the unsubscribe")
def _():
    with stage() as (world, fake, client):
        peer = fake.welcome()
        mine = subscribe(client, peer, group="g", in_flight=20)
        peer.send(wire.GROUP_CONFIRMATION, mine, wire.message((1, 1), (2, b"s::g"), (3, 19)))
        ids = [uuid.uuid4() for _ in range(20)]
        for number, event_id in enumerate(ids):
            peer.send(wire.GROUP_EVENT_APPEARED, mine,
                      wire.message((1, wire.message((1, wire.record("s", number, event_id=event_id.bytes_le)))), (2, 0)))
        for event_id in ids:
            equal(client.push("event")["ack_id"], str(event_id), "ack_id")
        client.send(*({"op": "ack", "sub": "mine", "events": [str(i)]} for i in ids), {"op": "unsubscribe", "sub": "mine", "id": "u"})
        acked = []
        asked = peer.read(wire.ACK_EVENTS, wire.UNSUBSCRIBE)
        messages = 0
        while asked.command == wire.ACK_EVENTS:
            messages += 1
            equal((asked.correlation, wire.one(asked.fields(), 1)), (mine, b"s::g"), "ack")
            acked += [bytes(i) for i in asked.fields()[2]]
            asked = peer.read(wire.ACK_EVENTS, wire.UNSUBSCRIBE)
        equal(acked, [i.bytes_le for i in ids], "acked")
        true(messages <= 2, "%d messages for 20 acks of one packet" % messages)
        peer.send(wire.SUBSCRIPTION_DROPPED, mine)
        true("ok" in client.reply("u"), "unsubscribed")


@test("a client that goes with events outstanding: they are nacked with retry, then unsubscribed")
def _():
    with stage() as (world, fake, client):
        peer = fake.welcome()
        mine = subscribe(client, peer, group="g")
        peer.send(wire.GROUP_CONFIRMATION, mine, wire.message((1, 1), (2, b"s::g"), (3, 1)))
        ids = [uuid.uuid4().bytes_le for _ in range(2)]
        for number, event_id in enumerate(ids):
            peer.send(wire.GROUP_EVENT_APPEARED, mine, wire.message((1, wire.message((1, wire.record("s", number, event_id=event_id))))))
            client.push("event")
        client.close()
        asked = peer.read(wire.NAK_EVENTS, wire.UNSUBSCRIBE)
        if asked.command == wire.UNSUBSCRIBE:
            raise Failure("unsubscribed without a nack")
        fields = asked.fields()
        equal((wire.one(fields, 1), [bytes(i) for i in fields[2]], wire.one(fields, 4)), (b"s::g", ids, 2), "nack")
        equal(peer.read(wire.UNSUBSCRIBE).correlation, mine, "unsubscribed")


@test("an outstanding event delivered again replaces the earlier: one place, and its new place for up_to")
def _():
    with stage() as (world, fake, client):
        peer = fake.welcome()
        mine = subscribe(client, peer, group="g")
        peer.send(wire.GROUP_CONFIRMATION, mine, wire.message((1, 1), (2, b"s::g"), (3, 1)))
        ids = [uuid.uuid4() for _ in range(3)]
        for number in (0, 1, 2, 0):
            peer.send(wire.GROUP_EVENT_APPEARED, mine, wire.message(
                (1, wire.message((1, wire.record("s", number, event_id=ids[number].bytes_le)))), (2, 0)))
            client.push("event")
        equal(client.ok("status")["client"]["subscriptions"][0]["outstanding"], 3, "outstanding")
        client.ok("ack", sub="mine", up_to=str(ids[2]))
        equal([bytes(i) for i in peer.read(wire.ACK_EVENTS).fields()[2]], [ids[1].bytes_le, ids[2].bytes_le], "acked")
        client.ok("ack", sub="mine", up_to=str(ids[0]))
        equal([bytes(i) for i in peer.read(wire.ACK_EVENTS).fields()[2]], [ids[0].bytes_le], "acked")


@test("readers of one stream share one subscription at the store, which ends with the last of them")
def _():
    with stage() as (world, fake, client):
        peer = fake.welcome()
        mine = subscribe(client, peer)
        peer.send(wire.SUBSCRIPTION_CONFIRMATION, mine, CONFIRMED)
        true("ok" in client.reply("s"), "subscribed")
        other = world.client()
        other.subscribe(stream="s")
        peer.send(wire.EVENT_APPEARED, mine, appeared(0))
        for reader in (client, other):
            equal(reader.push("event")["event"]["event_number"], 0, "number")
        client.close()
        peer.send(wire.EVENT_APPEARED, mine, appeared(1))
        equal(other.push("event")["event"]["event_number"], 1, "number")
        other.close()
        equal(peer.read(wire.UNSUBSCRIBE).correlation, mine, "unsubscribed")


if __name__ == "__main__":
    main(shared=False)
