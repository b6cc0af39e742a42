#!/usr/bin/env python3
"""Persistent subscriptions: groups that the store keeps."""

import time

from harness import Failure, equal, has, main, numbers, test, true

ADMIN = {"store": {"username": "admin", "password": "changeit"}}
NO_ID = "11111111-2222-3333-4444-555555555555"


def group(world, client, events=0, **members):
    """A stream with EVENTS events and a group `g` that begins with the first."""
    stream = world.stream("group")
    if events:
        client.write(stream, *({"event_type": "t%d" % i, "data": i} for i in range(events)))
    client.execute("CreatePersistentSubscription", dict(
        {"event_stream_id": stream, "subscription_group_name": "g", "start_from": 0}, **members))
    return stream


def pushes(client, count):
    return [client.push("event") for _ in range(count)]


def ack(client, sub, events, **members):
    return client.ok("ack", sub=sub, events=[e["ack_id"] for e in events], **members)


def outstanding(client, sub):
    return [s for s in client.ok("status")["client"]["subscriptions"] if s["sub"] == sub][0]["outstanding"]


@test("events in order, each with its ack_id and retry_count 0")
def _(world):
    client = world.client()
    stream = group(world, client, 5)
    sub = client.subscribe(stream=stream, group="g", sub="mine")
    got = pushes(client, 5)
    equal(numbers(got), list(range(5)), "numbers")
    for push in got:
        has(push, sub="mine", ack_id=push["event"]["event_id"], retry_count=0)
        true("position" not in push, "groups give no positions: %r" % push)
    ack(client, sub, got)
    client.write(stream, "more")
    equal(numbers(pushes(client, 1)), [5], "numbers")


@test("in flight: no more than allowed are delivered unacknowledged, 10 by default")
def _(world):
    client = world.client()
    for members, wanted in (({}, 10), ({"in_flight": 3}, 3), ({"in_flight": 1}, 1)):
        stream = group(world, client, 25)
        sub = client.subscribe(stream=stream, group="g", **members)
        seen, held = 0, []
        while seen < 25:
            held += pushes(client, min(wanted - len(held), 25 - seen))
            seen = held[-1]["event"]["event_number"] + 1
            client.quiet()
            equal(outstanding(client, sub), len(held), "outstanding")
            ack(client, sub, [held.pop(0)])
        client.ok("unsubscribe", sub=sub)


@test("ack of one, of a list, up to one")
def _(world):
    client = world.client()
    stream = group(world, client, 30)
    sub = client.subscribe(stream=stream, group="g", in_flight=10)
    first = pushes(client, 10)
    ack(client, sub, first[3:4])
    equal(numbers(pushes(client, 1)), [10], "one more")
    ack(client, sub, first[:3])
    equal(numbers(pushes(client, 3)), [11, 12, 13], "three more")
    client.ok("ack", sub=sub, up_to=first[9]["ack_id"])
    equal(numbers(pushes(client, 6)), list(range(14, 20)), "six more")
    client.quiet()
    equal(outstanding(client, sub), 10, "outstanding")


@test("ack without an id gets no reply unless it fails")
def _(world):
    client = world.client()
    stream = group(world, client, 3)
    sub = client.subscribe(stream=stream, group="g", in_flight=1)
    for number in range(3):
        push = client.push("event")
        equal(push["event"]["event_number"], number, "number")
        client.send({"op": "ack", "sub": sub, "events": [push["ack_id"]]})
    client.quiet()
    client.send({"op": "ack", "sub": sub, "events": [NO_ID]}, {"op": "nack", "sub": sub, "up_to": NO_ID},
                {"op": "ack", "sub": "other", "events": [NO_ID]})
    equal([client.other()["error"]["code"] for _ in range(3)], ["unknown_event", "unknown_event", "unknown_subscription"],
          "codes")
    client.quiet()


@test("ack of a list with unknown ids: the known ones are acked, the error lists the rest")
def _(world):
    client = world.client()
    stream = group(world, client, 4)
    sub = client.subscribe(stream=stream, group="g", in_flight=2)
    one, two = pushes(client, 2)
    error = client.fails("ack", "unknown_event", sub=sub, events=[NO_ID, one["ack_id"], NO_ID.replace("1", "6")])
    equal(error["body"]["events"], [NO_ID, NO_ID.replace("1", "6")], "body.events")
    equal(numbers(pushes(client, 1)), [2], "one slot is free")
    equal(client.fails("ack", "unknown_event", sub=sub, events=[one["ack_id"]])["body"]["events"], [one["ack_id"]], "again")
    client.ok("ack", sub=sub, up_to=two["ack_id"])
    client.fails("ack", "unknown_event", sub=sub, up_to=two["ack_id"])
    client.fails("ack", "unknown_event", sub=sub, up_to=NO_ID)
    equal(numbers(pushes(client, 1)), [3], "the last")
    client.quiet()


@test("ack and nack that are wrong")
def _(world):
    client = world.client()
    stream = group(world, client, 1)
    sub = client.subscribe(stream=stream, group="g")
    event_id = client.push("event")["ack_id"]
    for members in ({}, {"sub": sub}, {"sub": sub, "events": event_id}, {"sub": sub, "events": [1]},
                    {"sub": sub, "events": [None]}, {"sub": sub, "events": ["x"]}, {"sub": sub, "up_to": 1},
                    {"sub": sub, "up_to": "x"}, {"sub": sub, "up_to": [event_id]},
                    {"sub": sub, "events": [event_id], "up_to": event_id}, {"sub": 1, "events": [event_id]},
                    {"events": [event_id]}, {"sub": sub, "events": [event_id], "colour": 1}):
        client.fails("ack", "bad_request", **members)
        client.fails("nack", "bad_request", **members)
    for members in ({"action": "throw"}, {"action": 1}, {"action": "Park"}, {"reason": 1}):
        client.fails("nack", "bad_request", sub=sub, events=[event_id], **members)
    client.fails("ack", "bad_request", sub=sub, events=[event_id], action="park")
    client.fails("ack", "unknown_subscription", sub="never", events=[event_id])
    client.ok("ack", sub=sub, events=[event_id])
    client.quiet()


@test("nack retry: the event comes again, counted; over max_retry_count it is parked")
def _(world):
    client = world.client()
    stream = group(world, client, 2, max_retry_count=2)
    sub = client.subscribe(stream=stream, group="g", in_flight=1)
    for count in range(3):
        push = client.push("event")
        has(push, retry_count=count)
        equal(push["event"]["event_number"], 0, "number")
        client.ok("nack", sub=sub, events=[push["ack_id"]], reason="not yet", **({"action": "retry"} if count else {}))
    equal(numbers(pushes(client, 1)), [1], "the next event")
    parked = client.read("$persistentsubscription-%s::g-parked" % stream)["events"]
    equal([e["event"]["event_number"] for e in parked], [0], "parked")


@test("nack park, skip, stop: the event does not come back; a parked one is in the group's parked stream")
def _(world):
    client = world.client()
    for action in ("park", "skip", "stop"):
        stream = group(world, client, 3)
        sub = client.subscribe(stream=stream, group="g", in_flight=1)
        push = client.push("event")
        client.ok("nack", sub=sub, events=[push["ack_id"]], action=action, reason="so")
        for number in (1, 2):
            push = client.push("event")
            equal(push["event"]["event_number"], number, "number after %s" % action)
            ack(client, sub, [push])
        client.quiet()
        line = client.ask({"op": "execute", "message": "ReadStreamEvents", "body": {
            "event_stream_id": "$persistentsubscription-%s::g-parked" % stream}})
        equal("ok" in line, action == "park", "a parked stream after %s" % action)


@test("nack up_to, and unknown as an action")
def _(world):
    client = world.client()
    stream = group(world, client, 4)
    sub = client.subscribe(stream=stream, group="g", in_flight=4)
    got = pushes(client, 4)
    client.ok("nack", sub=sub, up_to=got[2]["ack_id"], action="unknown")
    again = pushes(client, 3)
    equal(sorted(numbers(again)), [0, 1, 2], "numbers")
    equal([p["retry_count"] for p in again], [1, 1, 1], "retry_count")
    ack(client, sub, again + got[3:])


@test("old events come no further than the group's buffer, less a batch, before the first ack, whatever in_flight is")
def _(world):
    client = world.client()
    stream = group(world, client, 100, buffer_size=30, read_batch_size=10)
    sub = client.subscribe(stream=stream, group="g", in_flight=100)
    got = pushes(client, 20)
    client.execute("ReadEvent", {"event_stream_id": stream, "event_number": 0})
    true(not client.pushes, "no more than that: %r" % client.pushes)
    ack(client, sub, got[:1])
    got += pushes(client, 80)
    equal(numbers(got), list(range(100)), "numbers")
    ack(client, sub, got[1:])


@test("new events come until in_flight are out, with a buffer that is smaller")
def _(world):
    client = world.client()
    stream = group(world, client, 0, buffer_size=30, read_batch_size=10)
    sub = client.subscribe(stream=stream, group="g", in_flight=100)
    for i in range(10):
        client.write(stream, *({"event_type": "t", "data": 10 * i + j} for j in range(10)))
    got = pushes(client, 100)
    equal(numbers(got), list(range(100)), "numbers")
    ack(client, sub, got)


@test("an acked list of many ids, and all that is acked stays acked")
def _(world):
    client = world.client()
    stream = group(world, client, 3000, buffer_size=5000)   # 22.10 reads old events no further than this before an ack
    sub = client.subscribe(stream=stream, group="g", in_flight=3000)
    got = pushes(client, 3000)
    equal(numbers(got), list(range(3000)), "numbers")
    ack(client, sub, got)
    client.ok("unsubscribe", sub=sub)
    client.subscribe(stream=stream, group="g")
    client.quiet()


@test("ack, then unsubscribe at once: nothing acked comes again")
def _(world):
    client = world.client()
    stream = group(world, client, 50)
    sub = client.subscribe(stream=stream, group="g", in_flight=10)
    got = pushes(client, 10)
    client.send({"op": "ack", "sub": sub, "events": [p["ack_id"] for p in got[:6]]},
                {"op": "unsubscribe", "sub": sub, "id": "u"})
    true("ok" in client.reply("u"), "unsubscribed")
    client.pushes.clear()
    client.subscribe(stream=stream, group="g", in_flight=50)
    equal(sorted(numbers(pushes(client, 44))), list(range(6, 50)), "numbers")
    client.quiet()


@test("ack, then the client closes at once: nothing acked comes again, the rest goes to another")
def _(world):
    client = world.client()
    stream = group(world, client, 10)
    other = world.client()
    sub = client.subscribe(stream=stream, group="g", in_flight=10)
    got = pushes(client, 10)
    client.send({"op": "ack", "sub": sub, "events": [p["ack_id"] for p in got[:5]]})
    client.close()
    sub = other.subscribe(stream=stream, group="g", in_flight=10)
    again = pushes(other, 5)
    equal(sorted(numbers(again)), [5, 6, 7, 8, 9], "numbers")
    ack(other, sub, again)
    other.quiet()


@test("no event after the reply to unsubscribe")
def _(world):
    client = world.client()
    stream = group(world, client, 200)
    for _ in range(10):
        sub = client.subscribe(stream=stream, group="g", in_flight=20)
        client.push("event")
        client.ok("unsubscribe", sub=sub)
        client.pushes.clear()
        client.quiet()
        client.fails("unsubscribe", "unknown_subscription", sub=sub)
        client.fails("ack", "unknown_subscription", sub=sub, events=[NO_ID])


@test("a client that dies gives its events back at once, and its slot")
def _(world):
    client = world.client()
    stream = group(world, client, 6, subscriber_max_count=1, message_timeout_milliseconds=60000)
    client.subscribe(stream=stream, group="g", in_flight=6)
    pushes(client, 6)
    client.close()
    began = time.monotonic()
    other, sub = world.client(), None
    while sub is None:
        line = other.ask({"op": "subscribe", "stream": stream, "group": "g"})
        sub = line.get("ok", {}).get("sub")
        if sub is None:
            equal(line["error"]["code"], "subscriber_max_count_reached", "code")
            true(time.monotonic() - began < 5, "the slot is free again")
    got = pushes(other, 6)
    equal(sorted(numbers(got)), list(range(6)), "numbers")
    true(all(p["retry_count"] >= 1 for p in got), "they come as retries: %r" % [p["retry_count"] for p in got])
    ack(other, sub, got)


@test("two consumers compete: every event goes to one of them")
def _(world):
    writer, one, two = world.client(), world.client(), world.client()
    stream = group(world, writer)
    subs = {c: c.subscribe(stream=stream, group="g", in_flight=5) for c in (one, two)}
    same = one.subscribe(stream=stream, group="g", in_flight=5)
    writer.write(stream, *({"event_type": "t", "data": i} for i in range(15)))
    got_one, got_two = pushes(one, 10), pushes(two, 5)
    equal(sorted(numbers(got_one + got_two)), list(range(15)), "numbers")
    equal({p["sub"] for p in got_one}, {subs[one], same}, "both subscriptions of one connection are consumers")
    for client, got in ((one, got_one), (two, got_two)):
        for push in got:
            ack(client, push["sub"], [push])


@test("a consumer can't ack what another was given")
def _(world):
    writer, one, two = world.client(), world.client(), world.client()
    stream = group(world, writer)
    sub_one, sub_two = (c.subscribe(stream=stream, group="g") for c in (one, two))
    writer.write(stream, "a", "b")
    got_one, got_two = one.push("event"), two.push("event")
    two.fails("ack", "unknown_event", sub=sub_two, events=[got_one["ack_id"]])
    ack(one, sub_one, [got_one])
    ack(two, sub_two, [got_two])


@test("no group, no stream: not_found; over the maximum: subscriber_max_count_reached")
def _(world):
    client = world.client()
    stream = group(world, client, 1, subscriber_max_count=1)
    client.fails("subscribe", "not_found", stream=stream, group="other")
    client.fails("subscribe", "not_found", stream=world.stream("never"), group="g")
    sub = client.subscribe(stream=stream, group="g")
    client.fails("subscribe", "subscriber_max_count_reached", stream=stream, group="g")
    client.ok("unsubscribe", sub=sub)
    client.subscribe(stream=stream, group="g")


@test("group deleted while connected: dropped, and the name is free")
def _(world):
    client, manager = world.client(), world.client()
    stream = group(world, client, 1)
    sub = client.subscribe(stream=stream, group="g")
    client.push("event")
    manager.execute("DeletePersistentSubscription", {"event_stream_id": stream, "subscription_group_name": "g"})
    has(client.push("interrupted"), sub=sub, reason="group_changed")
    has(client.push("dropped"), sub=sub, reason="persistent_subscription_deleted")
    client.fails("unsubscribe", "unknown_subscription", sub=sub)
    client.quiet()


@test("group updated while connected: interrupted, resumed, and earlier deliveries are unknown_event")
def _(world):
    client, manager = world.client(), world.client()
    stream = group(world, client, 2)
    sub = client.subscribe(stream=stream, group="g")
    got = pushes(client, 2)
    manager.execute("UpdatePersistentSubscription", {"event_stream_id": stream, "subscription_group_name": "g", "start_from": 0})
    has(client.push("interrupted"), sub=sub, reason="group_changed")
    has(client.push("resumed"), sub=sub)
    again = pushes(client, 2)
    equal(numbers(again), [0, 1], "numbers")
    ack(client, sub, again)
    client.fails("ack", "unknown_event", sub=sub, events=[got[0]["ack_id"]])


@test("links: the link's id is the one to ack")
def _(world):
    client, target = world.client(), world.stream("target")
    client.write(target, "a", "b")
    links = group(world, client, 0, resolve_link_tos=True)
    sub = client.subscribe(stream=links, group="g", in_flight=1)
    client.write(links, {"event_type": "$>", "data_text": "0@" + target}, {"event_type": "$>", "data_text": "1@" + target})
    for number in (0, 1):
        push = client.push("event")
        equal((push["event"]["event_number"], push["link"]["event_number"]), (number, number), "numbers")
        equal(push["ack_id"], push["link"]["event_id"], "ack_id")
        client.fails("ack", "unknown_event", sub=sub, events=[push["event"]["event_id"]])
        ack(client, sub, [push])
    client.quiet()


@test("a message that times out at the store is delivered again, and takes one place in the window")
def _(world):
    client = world.client()
    stream = group(world, client, 1, message_timeout_milliseconds=1000)
    sub = client.subscribe(stream=stream, group="g")
    first, again = client.push("event"), client.push("event")
    equal(first["ack_id"], again["ack_id"], "ack_id")
    true(again["retry_count"] > first["retry_count"], "counted")
    equal(outstanding(client, sub), 1, "outstanding")
    ack(client, sub, [again])


@test("a group of all streams, and modes that don't fit")
def _(world):
    client = world.client()
    line = client.ask({"op": "subscribe", "stream": "$all", "group": "g"})
    if "ok" in line:
        raise Failure("no server has groups of all streams over this protocol: %r" % line)
    client.fails("subscribe", "bad_request", stream="s", group="g", mode="live")
    client.fails("subscribe", "bad_request", stream="s", mode="persistent")


@test("status tells of a group's subscription")
def _(world):
    client = world.client()
    stream = group(world, client, 5)
    sub = client.subscribe(stream=stream, group="g", in_flight=3)
    got = pushes(client, 3)
    ack(client, sub, got[:1])
    client.push("event")
    client.ok("nack", sub=sub, events=[got[1]["ack_id"]])
    client.push("event")
    mine = client.ok("status")["client"]["subscriptions"][0]
    has(mine, sub=sub, stream=stream, group="g", window=3, outstanding=3, acked=1)


@test("payload forms hold for groups")
def _(world):
    client = world.client()
    stream = group(world, client, 1)
    client.subscribe(stream=stream, group="g", payload="base64")
    equal(client.push("event")["event"]["data_base64"], "MA==", "data")


if __name__ == "__main__":
    main(ADMIN)
