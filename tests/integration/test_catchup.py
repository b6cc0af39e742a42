"""Catch-up subscriptions and windows: SCENARIOS, "Catch-up subscriptions" and "Applications", as a user sees them."""
import os
import tempfile
import threading

from control import Control
from harness import Client, World, equal, has, main, test, true, until

QUICK = {"store": {"reconnect_delay_min": "20ms", "reconnect_delay_max": "200ms", "username": "admin", "password": "changeit"}}


def events(client, count):
    return [client.push("event") for _ in range(count)]


def numbers(pushes):
    return [push["event"]["event_number"] for push in pushes]


def fill(client, stream, count, first=0):
    for begin in range(first, first + count, 500):
        client.write(stream, *({"event_type": "t", "data": i} for i in range(begin, min(begin + 500, first + count))))


@test("existing: old events in order, caught_up exactly once, then new ones")
def _(world):
    client, writer, stream = world.client(), world.client(), world.stream()
    fill(writer, stream, 700)
    client.subscribe(stream=stream, **{"from": "start", "read_batch": 100})
    equal(numbers(events(client, 700)), list(range(700)), "old events")
    equal(client.push("caught_up")["last_event_number"], 699, "caught_up")
    fill(writer, stream, 5, 700)
    equal(numbers(events(client, 5)), list(range(700, 705)), "new events")
    client.quiet()


@test("empty and not existing: caught_up at once with -1, then what is written")
def _(world):
    client, writer, stream = world.client(), world.client(), world.stream()
    answer = client.ok("subscribe", stream=stream, mode="catchup")
    has(answer, mode="catchup", window=0, last_event_number=-1)
    equal(client.push("caught_up")["last_event_number"], -1, "caught_up")
    writer.write(stream, {"event_type": "a"})
    equal(numbers(events(client, 1)), [0], "the first event")


@test("soft-deleted: stream_deleted, caught_up; written again: it goes on with the new numbers")
def _(world):
    client, writer, stream = world.client(), world.client(), world.stream()
    fill(writer, stream, 3)
    writer.execute("DeleteStream", {"event_stream_id": stream})
    client.subscribe(stream=stream, **{"from": "start"})
    equal(client.push("stream_deleted")["hard"], False, "hard")
    client.push("caught_up")
    fill(writer, stream, 2, 3)
    equal(numbers(events(client, 2)), [3, 4], "numbers go on")


@test("hard-deleted: ok, stream_deleted, dropped; and so when it is deleted underneath")
def _(world):
    client, writer, stream = world.client(), world.client(), world.stream()
    fill(writer, stream, 2)
    client.subscribe(stream=stream, sub="under", **{"from": "start"})
    equal(numbers(events(client, 2)), [0, 1], "events")
    client.push("caught_up")
    writer.execute("DeleteStream", {"event_stream_id": stream, "hard_delete": True})
    equal(client.push("stream_deleted")["hard"], True, "hard")
    equal(client.push("dropped")["reason"], "stream_deleted", "reason")
    client.subscribe(stream=stream, sub="late", **{"from": "start"})
    equal(client.push("stream_deleted")["hard"], True, "hard")
    equal(client.push("dropped")["reason"], "stream_deleted", "reason")


@test("200 old and 400 written while it subscribes, pages of 2: no gap, no duplicate")
def _(world):
    client, stream = world.client(), world.stream()
    writer = Client(world.bridge.socket)
    fill(writer, stream, 200)

    def write():
        for i in range(200, 600):
            writer.write(stream, {"event_type": "t", "data": i})
    thread = threading.Thread(target=write)
    thread.start()
    client.subscribe(stream=stream, **{"from": "start", "read_batch": 2})
    got, told = [], 0
    while len(got) < 600:
        line = client.push()
        told += line["push"] == "caught_up"
        if line["push"] == "event":
            got.append(line["event"]["event_number"])
    thread.join()
    writer.close()
    equal(got, list(range(600)), "numbers")
    if told == 0:
        client.push("caught_up")
    client.quiet()
    true(told <= 1, "caught_up came %d times" % told)


@test("from a number, from the end, from beyond the end")
def _(world):
    client, writer, stream = world.client(), world.client(), world.stream()
    fill(writer, stream, 10)
    client.subscribe(stream=stream, sub="seven", **{"from": 7})
    equal(numbers(events(client, 3)), [7, 8, 9], "from 7")
    equal(client.push("caught_up")["last_event_number"], 9, "caught_up")
    client.subscribe(stream=stream, sub="end", **{"from": "end"})
    equal(client.push("caught_up")["last_event_number"], 9, "caught_up at the end")
    client.subscribe(stream=stream, sub="beyond", **{"from": 12})
    equal(client.push("caught_up")["last_event_number"], 9, "caught_up beyond the end")
    fill(writer, stream, 4, 10)
    got = [(push["sub"], push["event"]["event_number"]) for push in events(client, 10)]
    equal(sorted(got), sorted([(sub, n) for sub in ("seven", "end") for n in range(10, 14)] + [("beyond", 12), ("beyond", 13)]), "later")
    client.quiet()


@test("$maxCount and $tb leave gaps: empty pages are not the end")
def _(world):
    client, writer, stream = world.client(), world.client(), world.stream()
    fill(writer, stream, 50)
    writer.write("$$" + stream, {"event_type": "$metadata", "data": {"$tb": 40}})
    client.subscribe(stream=stream, **{"from": "start", "read_batch": 3})
    equal(numbers(events(client, 10)), list(range(40, 50)), "what is left")
    client.push("caught_up")


@test("$tb beyond the end, and then no longer: what is written below it comes")
def _(world):
    client, writer, stream = world.client(), world.client(), world.stream()
    fill(writer, stream, 5)
    writer.write("$$" + stream, {"event_type": "$metadata", "data": {"$tb": 40}})
    for sub, members in (("all", {"from": "start"}), ("window", {"from": 2, "window": 10}), ("beyond", {"from": 6})):
        client.subscribe(stream=stream, sub=sub, read_batch=2, **members)
        client.push("caught_up")
    writer.write("$$" + stream, {"event_type": "$metadata", "data": {}})
    fill(writer, stream, 3, 5)
    got = [(push["sub"], push["event"]["event_number"]) for push in events(client, 8)]
    equal(sorted(got), [("all", 5), ("all", 6), ("all", 7), ("beyond", 6), ("beyond", 7), ("window", 5), ("window", 6),
                        ("window", 7)], "events")
    client.quiet()


@test("$tb beyond the end that goes while the pages are read: what is written then comes")
def _(_):
    with tempfile.TemporaryDirectory(prefix="esb-") as folder:
        path = os.path.join(folder, "control")
        with World(QUICK, ["--control", path]) as world, World(QUICK, port=world.port) as second, Control(path) as control:
            client, writer, stream = world.client(), second.client(), world.stream()
            fill(writer, stream, 5)
            writer.write("$$" + stream, {"event_type": "$metadata", "data": {"$tb": 40}})
            control.stall("ReadStreamEventsForward", 2)
            client.send({"op": "subscribe", "id": 1, "stream": stream, "from": "start", "read_batch": 2})
            client.reply(1)
            until(lambda: control.connections()[1] == 1, "the second page is asked for")
            writer.write("$$" + stream, {"event_type": "$metadata", "data": {}})
            fill(writer, stream, 3, 5)
            control.resume()
            equal(numbers(events(client, 3)), [5, 6, 7], "events")
            client.push("caught_up")


@test("nack retry whose read is answered with rubbish: dropped, and not as if the event were gone")
def _(_):
    with tempfile.TemporaryDirectory(prefix="esb-") as folder:
        path = os.path.join(folder, "control")
        with World(QUICK, ["--control", path]) as world, Control(path) as control:
            client, stream = world.client(), world.stream()
            fill(client, stream, 3)
            sub = client.subscribe(stream=stream, window=5, **{"from": "start"})
            got = events(client, 3)
            client.push("caught_up")
            control.garbage("ReadStreamEventsForwardCompleted")
            client.ok("nack", sub=sub, events=[got[1]["ack_id"]])
            has(client.push("dropped"), reason="protocol_error")


@test("links are resolved, dangling ones come as links, and the place is the link's")
def _(world):
    client, writer, target, links = world.client(), world.client(), world.stream(), world.stream()
    fill(writer, target, 2)
    writer.write(links, {"event_type": "$>", "data_text": "1@" + target}, {"event_type": "$>", "data_text": "9@" + target})
    client.subscribe(stream=links, **{"from": "start"})
    first, second = events(client, 2)
    has(first["event"], event_number=1, event_stream_id=target)
    equal(first["link"]["event_number"], 0, "the link")
    true("event" not in second and second["link"]["event_number"] == 1, "dangling: %r" % second)
    client.push("caught_up")


@test("all streams: from the start, then live; from a position")
def _(world):
    client, writer, stream = world.client(), world.client(), world.stream()
    fill(writer, stream, 20)
    client.subscribe(stream="$all", sub="all", **{"from": "start", "read_batch": 7})
    got = []
    while True:
        line = client.push()
        if line["push"] == "caught_up":
            break
        got.append(line)
    mine = [push for push in got if push.get("event", {}).get("event_stream_id") == stream]
    equal(numbers(mine), list(range(20)), "mine")
    places = [(push["position"]["commit"], push["position"]["prepare"]) for push in got]
    equal(places, sorted(set(places)), "positions rise")
    true(line["position"]["commit"] >= places[-1][0], "position of caught_up: %r" % line)
    client.subscribe(stream="$all", sub="later", **{"from": mine[15]["position"]})
    later = [push for push in events(client, 5) if push["event"]["event_stream_id"] == stream]
    equal(numbers(later), [15, 16, 17, 18, 19], "from a position, inclusive")
    client.push("caught_up")
    fill(writer, stream, 1, 20)
    equal(sorted((push["sub"], push["event"]["event_number"]) for push in events(client, 2)), [("all", 20), ("later", 20)], "live")


@test("window: no more than that are delivered unacknowledged; acks let the next ones come")
def _(world):
    client, writer, stream = world.client(), world.client(), world.stream()
    fill(writer, stream, 30)
    sub = client.subscribe(stream=stream, window=4, **{"from": "start"})
    first = events(client, 4)
    client.quiet()
    equal(numbers(first), [0, 1, 2, 3], "the window")
    client.ok("ack", sub=sub, events=[first[1]["ack_id"]])
    equal(numbers(events(client, 1)), [4], "one more")
    client.ok("ack", sub=sub, up_to=first[3]["ack_id"])
    equal(numbers(events(client, 3)), [5, 6, 7], "three more")
    client.fails("ack", "unknown_event", sub=sub, events=[first[0]["ack_id"]])
    client.quiet()


@test("window, live: what overflows is read again when there is room, nothing lost, no caught_up")
def _(world):
    client, writer, stream = world.client(), world.client(), world.stream()
    sub = client.subscribe(stream=stream, window=2)
    fill(writer, stream, 3000)
    got = []
    while len(got) < 3000:
        push = client.push("event")
        got.append(push["event"]["event_number"])
        client.send({"op": "ack", "sub": sub, "events": [push["ack_id"]]})
    equal(got, list(range(3000)), "numbers")
    client.quiet()


@test("nack retry: again at once and in its place; skip: counts as done; other actions are bad_request")
def _(world):
    client, writer, stream = world.client(), world.client(), world.stream()
    fill(writer, stream, 6)
    sub = client.subscribe(stream=stream, window=3, **{"from": "start"})
    first = events(client, 3)
    client.ok("nack", sub=sub, events=[first[1]["ack_id"]])
    again = client.push("event")
    equal((again["event"]["event_number"], again["ack_id"]), (1, first[1]["ack_id"]), "again")
    client.quiet()
    client.ok("nack", sub=sub, events=[first[0]["ack_id"]], action="skip")
    equal(numbers(events(client, 1)), [3], "skip makes room")
    for action in ("park", "stop", "unknown"):
        client.fails("nack", "bad_request", sub=sub, events=[first[1]["ack_id"]], action=action)
    client.ok("ack", sub=sub, up_to=again["ack_id"])
    equal(numbers(events(client, 1)), [4], "up to its place")


@test("the same event id twice in a stream: each is acknowledged for itself")
def _(world):
    client, writer, stream = world.client(), world.client(), world.stream()
    same = "11111111-2222-4333-8444-555555555555"
    writer.write(stream, {"event_type": "a", "event_id": same}, {"event_type": "b", "event_id": same}, {"event_type": "c"})
    sub = client.subscribe(stream=stream, window=2, **{"from": "start"})
    events(client, 2)
    client.ok("ack", sub=sub, events=[same])
    equal(numbers(events(client, 1)), [2], "one place is free")
    client.ok("ack", sub=sub, events=[same])
    client.fails("ack", "unknown_event", sub=sub, events=[same])


@test("wrong members: a clear bad_request")
def _(world):
    client, stream = world.client(), world.stream()
    for members in ({"from": -1}, {"from": 1.5}, {"from": "middle"}, {"from": {"commit": 1, "prepare": 1}}, {"from": 1, "read_batch": 0},
                    {"from": 1, "read_batch": 4097}, {"window": -1}, {"window": 100001}, {"mode": "live", "from": 1},
                    {"from": 1, "group": "g"}, {"window": 1, "group": "g"}, {"in_flight": 1}, {"filter": {}},
                    {"from": 1, "require_master": True, "require_leader": True}, {"mode": "other"}):
        client.fails("subscribe", "bad_request", stream=stream, **members)
    for members in ({"from": 3}, {"from": {"commit": 1}}, {"from": {"commit": 1, "prepare": 1, "more": 1}}, {"from": {"commit": -1, "prepare": 0}}):
        client.fails("subscribe", "bad_request", stream="$all", **members)
    client.quiet()


@test("without access: access_denied, and no subscription is left")
def _(world):
    client, stream = world.client(), world.stream()
    client.execute("WriteEvents", {"event_stream_id": "$$" + stream, "events": [{"event_type": "$metadata", "data": {"$acl": {"$r": ["$admins"]}}}]})
    for members in ({"from": "start"}, {"from": "end"}, {}):
        client.fails("subscribe", "access_denied", stream=stream, credentials={"username": "ops", "password": "changeit"}, **members)
    equal(client.ok("status")["client"]["subscriptions"], [], "subscriptions")


@test("unsubscribe in every phase: answered, and nothing comes after it")
def _(world):
    client, writer, stream = world.client(), world.client(), world.stream()
    fill(writer, stream, 2000)
    for members in ({"from": "start", "read_batch": 1}, {"from": "start", "window": 1}, {"from": "end"}, {"from": 5000}):
        sub = client.subscribe(stream=stream, **members)
        client.send({"op": "unsubscribe", "id": "u", "sub": sub})
        while True:
            line = client.line()
            if line.get("id") == "u":
                equal(line["ok"]["sub"], sub, "answer")
                break
            equal(line["sub"], sub, "push before the answer")
        client.quiet()


@test("a slow reader without a window: it is waited for, nothing is lost, others don't notice")
def _(world):
    slow, fast, writer, stream = world.client(), world.client(), world.client(), world.stream()
    for _ in range(40):
        writer.write(stream, *({"event_type": "t", "data_text": "x" * 2000} for _ in range(50)))
    slow.subscribe(stream=stream, **{"from": "start"})
    fast.subscribe(stream=stream, **{"from": "start"})
    equal(numbers(events(fast, 2000)), list(range(2000)), "the fast one")
    fast.push("caught_up")
    writer.write(stream, {"event_type": "t"})
    equal(numbers(events(fast, 1)), [2000], "live")
    got = []
    while len(got) < 2001:
        line = slow.push()
        if line["push"] == "event":
            got.append(line["event"]["event_number"])
    equal(got, list(range(2001)), "the slow one")


@test("interrupted and resumed: it goes on exactly after the last event, while pages and while live")
def _(_world):
    with World(QUICK, proxy=True) as world:
        client, writer, stream = world.client(), world.client(), world.stream()
        fill(writer, stream, 100)
        sub = client.subscribe(stream=stream, window=10, **{"from": "start"})
        got = events(client, 10)
        for cut in range(5):
            world.proxy.cut()
            equal(client.push("interrupted")["reason"], "connection_lost", "reason")
            line = client.push("resumed")
            true("gap" not in line, "no gap: %r" % line)
            client.ok("ack", sub=sub, up_to=got[-1]["ack_id"])
            got += events(client, 10)
            world.connected()
        equal(numbers(got), list(range(60)), "numbers")
        client.ok("ack", sub=sub, up_to=got[-1]["ack_id"])
        while len(got) < 100:
            push = client.push("event")
            got.append(push)
            client.send({"op": "ack", "sub": sub, "events": [push["ack_id"]]})
        client.push("caught_up")
        world.proxy.cut()
        client.push("interrupted")
        client.push("resumed")
        world.connected()
        fill(writer, stream, 3, 100)
        equal(numbers(events(client, 3)), [100, 101, 102], "live again")
        client.quiet()


@test("live with a window: what is written while the connection is away comes afterwards, no gap")
def _(_world):
    with World(QUICK, proxy=True) as world:
        client, stream = world.client(), world.stream()
        with World(QUICK, port=world.store.port) as other:
            writer = other.client()
            fill(writer, stream, 5)
            client.subscribe(stream=stream, window=100)
            world.proxy.refuse()
            client.push("interrupted")
            fill(writer, stream, 5, 5)
            world.proxy.allow()
            line = client.push("resumed")
            true("gap" not in line, "no gap: %r" % line)
            equal(numbers(events(client, 5)), [5, 6, 7, 8, 9], "what was written meanwhile")
            client.quiet()


if __name__ == "__main__":
    main(QUICK)
