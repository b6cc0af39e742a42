#!/usr/bin/env python3
"""Live subscriptions: what is written from now on."""

from harness import equal, has, main, numbers, test, true, types

ADMIN = {"store": {"username": "admin", "password": "changeit"}}


def pushes(client, count):
    return [client.push("event") for _ in range(count)]


@test("an existing, an empty, a soft-deleted stream: only events after the confirmation")
def _(world):
    writer = world.client()
    existing, missing, deleted = world.stream(), world.stream(), world.stream()
    writer.write(existing, "old")
    writer.write(deleted, "old")
    writer.execute("DeleteStream", {"event_stream_id": deleted})
    for stream, first in ((existing, 1), (missing, 0), (deleted, 1)):
        client = world.client()
        ok = client.ok("subscribe", stream=stream)
        true(isinstance(ok["sub"], str) and ok["sub"], "a name in %r" % ok)
        client.quiet()
        writer.write(stream, "new")
        push = client.push("event")
        has(push, sub=ok["sub"])
        has(push["event"], event_type="new", event_number=first, event_stream_id=stream)
        true("ack_id" not in push and "link" not in push and "retry_count" not in push, "nothing else in %r" % push)
        true(push["position"]["commit"] >= push["position"]["prepare"] > 0, "position in %r" % push)
        client.quiet()


@test("1,000 events in order, in single writes and in batches")
def _(world):
    client, writer, stream = world.client(), world.client(), world.stream()
    client.subscribe(stream=stream)
    writer.send(*({"op": "execute", "id": i, "message": "WriteEvents", "body": {
        "event_stream_id": stream, "events": [{"event_type": "t", "data": i}]}} for i in range(500)))
    writer.write(stream, *({"event_type": "t", "data": i} for i in range(500, 1000)))
    got = pushes(client, 1000)
    equal(numbers(got), list(range(1000)), "numbers")
    equal(sorted(p["event"]["data"] for p in got), list(range(1000)), "data")
    client.quiet()


@test("the reply to subscribe precedes the first push, even under fire")
def _(world):
    writer, stream = world.client(), world.stream()
    for i in range(20):
        client = world.client()
        writer.send(*({"op": "execute", "id": "%d-%d" % (i, n), "message": "WriteEvents", "body": {
            "event_stream_id": stream, "events": [{"event_type": "t"}]}} for n in range(30)))
        client.send({"op": "subscribe", "id": "s", "stream": stream, "sub": "mine"})
        first = client.line()
        true("ok" in first, "the reply comes first: %r" % first)
        writer.reply("%d-29" % i)
        last = writer.write(stream, "last")["last_event_number"]
        got = []
        while not got or got[-1] != last:
            got += numbers([client.push("event")])
        equal(got, list(range(got[0], last + 1)), "numbers without gap")


@test("the client's own name; one made where none is given; one in use is already_exists")
def _(world):
    client, stream = world.client(), world.stream()
    equal(client.subscribe(stream=stream, sub="mine"), "mine", "sub")
    made = {client.subscribe(stream=stream) for _ in range(3)}
    equal(len(made), 3, "different names")
    client.fails("subscribe", "already_exists", stream=world.stream(), sub="mine")
    other = world.client()
    equal(other.subscribe(stream=stream, sub="mine"), "mine", "another connection has names of its own")
    client.ok("unsubscribe", sub="mine")
    equal(client.subscribe(stream=stream, sub="mine"), "mine", "free again")


@test("many subscriptions of one stream on one connection: each gets each event")
def _(world):
    client, writer, stream = world.client(), world.client(), world.stream()
    subs = [client.subscribe(stream=stream, sub="s%d" % i) for i in range(10)]
    writer.write(stream, "a", "b")
    got = pushes(client, 20)
    for sub in subs:
        equal(numbers([p for p in got if p["sub"] == sub]), [0, 1], "numbers of %s" % sub)


@test("many readers of one stream; one that goes takes nobody with it")
def _(world):
    writer, stream = world.client(), world.stream()
    readers = [world.client() for _ in range(10)]
    for reader in readers:
        reader.subscribe(stream=stream)
    readers[0].close()
    writer.write(stream, "a")
    for reader in readers[1:]:
        equal(numbers(pushes(reader, 1)), [0], "numbers")
    late = world.client()
    late.subscribe(stream=stream)
    writer.write(stream, "b")
    for reader in readers[1:] + [late]:
        equal(numbers(pushes(reader, 1)), [1], "numbers")


@test("no event after the reply to unsubscribe")
def _(world):
    client, writer, stream = world.client(), world.client(), world.stream()
    for _ in range(20):
        sub = client.subscribe(stream=stream)
        writer.send(*({"op": "execute", "message": "WriteEvents", "body": {
            "event_stream_id": stream, "events": [{"event_type": "t"}]}} for _ in range(20)))
        client.ok("unsubscribe", sub=sub)
        client.pushes.clear()
        for _ in range(20):
            writer.other()
        client.quiet()


@test("unsubscribe ends one subscription alone, and is unknown_subscription the second time")
def _(world):
    client, stream = world.client(), world.stream()
    one, two = client.subscribe(stream=stream), client.subscribe(stream=stream)
    client.ok("unsubscribe", sub=one)
    client.fails("unsubscribe", "unknown_subscription", sub=one)
    client.fails("unsubscribe", "unknown_subscription", sub="never")
    client.fails("unsubscribe", "bad_request")
    client.fails("unsubscribe", "bad_request", sub=1)
    client.write(stream, "a")
    has(client.push("event"), sub=two)
    client.quiet()


@test("a soft delete does not end it")
def _(world):
    client, writer, stream = world.client(), world.client(), world.stream()
    writer.write(stream, "a")
    client.subscribe(stream=stream)
    writer.execute("DeleteStream", {"event_stream_id": stream})
    client.quiet()
    writer.write(stream, "b")
    equal(numbers(pushes(client, 1)), [1], "numbers")


@test("a hard delete ends it: stream_deleted, dropped, and the tombstone is not pushed")
def _(world):
    client, writer, stream = world.client(), world.client(), world.stream()
    writer.write(stream, "a")
    sub = client.subscribe(stream=stream)
    writer.write(stream, "b")
    writer.execute("DeleteStream", {"event_stream_id": stream, "hard_delete": True})
    equal(types(pushes(client, 1)), ["b"], "types")
    has(client.push("stream_deleted"), sub=sub, hard=True)
    has(client.push("dropped"), sub=sub, reason="stream_deleted")
    client.quiet()
    client.fails("unsubscribe", "unknown_subscription", sub=sub)


@test("subscribing to a hard-deleted stream: ok, then stream_deleted and dropped")
def _(world):
    client, stream = world.client(), world.stream()
    client.write(stream, "a")
    client.execute("DeleteStream", {"event_stream_id": stream, "hard_delete": True})
    sub = client.subscribe(stream=stream)
    has(client.push("stream_deleted"), sub=sub, hard=True)
    has(client.push("dropped"), sub=sub, reason="stream_deleted")
    client.quiet()


@test("all streams, under both names; another stream's hard delete does not end it")
def _(world):
    writer, stream, doomed = world.client(), world.stream(), world.stream()
    for name in ("$all", ""):
        client = world.client()
        sub = client.subscribe(stream=name)
        gone = doomed + name
        writer.write(gone, "a")
        writer.execute("DeleteStream", {"event_stream_id": gone, "hard_delete": True})
        writer.write(stream, "b")
        got = pushes(client, 3)
        equal([p["event"]["event_stream_id"] for p in got], [gone, gone, stream], "streams")
        equal(types(got)[1], "$streamDeleted", "the tombstone comes on all streams")
        has(got[2], sub=sub)
        client.ok("unsubscribe", sub=sub)


@test("links: resolved by default, not where that is not wanted")
def _(world):
    client, writer, target, links = world.client(), world.client(), world.stream(), world.stream()
    writer.write(target, "a")
    resolved, plain = client.subscribe(stream=links), client.subscribe(stream=links, resolve_link_tos=False)
    writer.write(links, {"event_type": "$>", "data_text": "0@" + target}, {"event_type": "$>", "data_text": "9@" + target})
    got = pushes(client, 4)
    one, two = [p for p in got if p["sub"] == resolved]
    equal((one["event"]["event_type"], one["link"]["event_number"]), ("a", 0), "resolved")
    true("event" not in two and two["link"]["event_number"] == 1, "dangling: %r" % two)
    for push in (p for p in got if p["sub"] == plain):
        true(push["event"]["event_type"] == "$>" and "link" not in push, "plain: %r" % push)


@test("members of subscribe that are wrong")
def _(world):
    client = world.client()
    for members in ({}, {"stream": 1}, {"stream": None}, {"stream": "s", "sub": 1}, {"stream": "s", "sub": ""},
                    {"stream": "s", "mode": "dead"}, {"stream": "s", "mode": "persistent"}, {"stream": "s", "resolve_link_tos": 1},
                    {"stream": "s", "window": -1}, {"stream": "s", "window": "1"}, {"stream": "s", "payload": "xml"},
                    {"stream": "s", "group": 1}, {"stream": "s", "mode": "live", "group": "g"}, {"stream": "s", "in_flight": 5},
                    {"stream": "s", "colour": "red"}, {"stream": "s", "group": "g", "in_flight": 0},
                    {"stream": "s", "group": "g", "in_flight": -1}, {"stream": "s", "group": ""},
                    {"stream": "s", "group": "g", "in_flight": 10001}, {"stream": "s", "window": 100001},
                    {"stream": "s", "sub": ""}, {"stream": "s", "sub": "x" * 129}):
        client.fails("subscribe", "bad_request", **members)
    client.quiet()


@test("ack and nack where none is expected are bad_request")
def _(world):
    client, stream = world.client(), world.stream()
    sub = client.subscribe(stream=stream)
    client.write(stream, "a")
    event_id = client.push("event")["event"]["event_id"]
    for op in ("ack", "nack"):
        client.fails(op, "bad_request", sub=sub, events=[event_id])
    client.fails("ack", "unknown_subscription", sub="never", events=[event_id])
    client.quiet()


@test("a subscription shows in status, and is gone after unsubscribe")
def _(world):
    client, stream = world.client(), world.stream()
    sub = client.subscribe(stream=stream)
    client.write(stream, "a", "b")
    pushes(client, 2)
    mine = client.ok("status")["client"]["subscriptions"]
    equal(len(mine), 1, "subscriptions")
    has(mine[0], sub=sub, stream=stream, delivered=2)
    client.ok("unsubscribe", sub=sub)
    equal(client.ok("status")["client"]["subscriptions"], [], "subscriptions")


@test("a reader that does not read is paused: nothing is lost, and others don't notice")
def _(world):
    slow, quick, writer, stream = world.client(), world.client(), world.client(), world.stream()
    slow.subscribe(stream=stream)
    quick.subscribe(stream=stream)
    for i in range(60):
        writer.write(stream, *({"event_type": "t", "data_text": "z" * 10000} for _ in range(10)))
        equal(numbers(pushes(quick, 10)), list(range(10 * i, 10 * i + 10)), "numbers of the quick reader")
    equal(numbers(pushes(slow, 600)), list(range(600)), "numbers of the slow reader")


@test("one of 100 readers stops reading: the other 99 get everything")
def _(world):
    writer, stream = world.client(), world.stream()
    readers = [world.client() for _ in range(100)]
    for reader in readers:
        reader.subscribe(stream=stream, payload="none")
    stalled = world.client()
    stalled.subscribe(stream=stream)
    for i in range(40):
        writer.write(stream, *({"event_type": "t", "data_text": "z" * 5000} for _ in range(10)))
    for reader in readers:
        equal(numbers(pushes(reader, 400)), list(range(400)), "numbers")
    equal(numbers(pushes(stalled, 400)), list(range(400)), "numbers of the one that stood still")


@test("payload none: headers alone")
def _(world):
    client, stream = world.client(), world.stream()
    client.subscribe(stream=stream, payload="none")
    client.write(stream, {"event_type": "t", "data": {"a": 1}, "metadata": 2})
    true(not {"data", "metadata", "data_base64"} & set(client.push("event")["event"]), "no payload")


if __name__ == "__main__":
    main(ADMIN)
