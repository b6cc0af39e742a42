#!/usr/bin/env python3
"""One subscription at the store for many readers: what it costs the store, and that no reader feels the others."""

import contextlib

from harness import controlled, equal, has, main, numbers, test, true, until

ADMIN = {"store": {"username": "admin", "password": "changeit", "reconnect_delay_min": "20ms", "reconnect_delay_max": "50ms"},
         "limits": {"output_pause": "64K", "output_resume": "16K"}}


@contextlib.contextmanager
def stage():
    with controlled(ADMIN) as (world, control):
        yield world, control, world.client()


def events(client, count):
    return [client.push("event", limit=30) for _ in range(count)]


def metric(client, name):
    return next(int(line.split()[-1]) for line in client.ok("metrics")["text"].splitlines() if line.startswith(name + " "))


@test("100 readers of one stream: one subscription, one package for each event, one rendering")
def _():
    with stage() as (world, control, writer):
        readers = []
        for number in range(100):
            reader = readers[number // 50] if number % 50 else world.client()
            if number % 50 == 0:
                readers.append(reader)
            form = ({}, {"window": 1000}, {"from": "end"}, {"mode": "catchup"})[number % 4]
            reader.subscribe(stream="s", sub="n%d" % number, **form)
        for reader, catchups in zip(readers, (24, 26)):
            for _ in range(catchups):
                reader.push("caught_up")
        equal(control.subscriptions(), (1, 0), "subscriptions at the store")
        equal(control.count("SubscribeToStream")[0], 1, "times that it was asked for")
        before = metric(writer, "esbridge_events_rendered_total")
        control.clear()
        for number in range(30):   # each is read before the next, so that no output fills up
            writer.write("s", {"event_type": "t", "data": {"a": 1}})
            for reader in readers:
                got = events(reader, 50)
                equal((len({push["sub"] for push in got}), set(numbers(got))), (50, {number}), "readers, and what they get")
        equal(control.count("StreamEventAppeared")[1], 30, "packages")
        equal(metric(writer, "esbridge_events_rendered_total") - before, 30, "renderings")


@test("a form of the payload is rendered once for all that want it")
def _():
    with stage() as (world, _control, writer):
        reader = world.client()
        for number in range(12):
            reader.subscribe(stream="s", sub="n%d" % number, payload=("json", "base64", "none")[number % 3])
        before = metric(writer, "esbridge_events_rendered_total")
        for _ in range(5):
            writer.write("s", {"event_type": "t", "data": [1]})
        for push in events(reader, 60):
            form = int(push["sub"][1:]) % 3
            equal(("data" in push["event"], "data_base64" in push["event"]), (form == 0, form == 1), "payload of %r" % push)
        equal(metric(writer, "esbridge_events_rendered_total") - before, 15, "renderings")


@test("other resolution, filter, user or stream: a subscription of its own; the same: none")
def _():
    with stage() as (world, control, client):
        forms = ({"stream": "s"}, {"stream": "s", "resolve_link_tos": False}, {"stream": "t"}, {"stream": "$all"},
                 {"stream": "s", "credentials": {"username": "ops", "password": "changeit"}})
        for round_number in range(3):
            for number, form in enumerate(forms):
                client.subscribe(sub="n%d-%d" % (round_number, number), **form)
            equal(control.subscriptions(), (len(forms), 0), "subscriptions at the store")
        for round_number in range(3):
            for number in range(len(forms)):
                client.ok("unsubscribe", sub="n%d-%d" % (round_number, number))
        until(lambda: control.subscriptions() == (0, 0), "none is left")


@test("unsubscribe of one of many is answered without the store; of the last by the store; who joins meanwhile gets a new one")
def _():
    with stage() as (world, control, client):
        for name in "abc":
            client.subscribe(stream="s", sub=name)
        control.clear()
        client.ok("unsubscribe", sub="a")
        client.ok("unsubscribe", sub="b")
        equal(control.count("UnsubscribeFromStream")[0], 0, "asked to end")
        client.write("s", "t")
        has(client.push("event"), sub="c")
        control.rule("delay 300", "SubscriptionDropped")
        client.send({"op": "unsubscribe", "id": "u", "sub": "c"}, {"op": "subscribe", "id": "s", "stream": "s", "sub": "d"})
        true("ok" in client.reply("s"), "subscribed")
        true("ok" in client.reply("u"), "unsubscribed")
        equal(control.count("UnsubscribeFromStream")[0], 1, "asked to end")
        client.write("s", "t")
        has(client.push("event"), sub="d")
        client.quiet()


@test("a reader that joins a subscription that is there gets what is written after its reply, and the number it begins with")
def _():
    with stage() as (world, control, client):
        client.subscribe(stream="s", sub="first")
        for number in range(5):
            client.write("s", "t")
            has(client.ok("subscribe", stream="s", sub="n%d" % number), last_event_number=number)
        client.write("s", "t")
        got = events(client, 6 + sum(range(1, 6)))
        for number in range(5):
            mine = [p for p in got if p["sub"] == "n%d" % number]
            equal(numbers(mine), list(range(number + 1, 6)), "numbers of the reader that came after %d" % number)


@test("a slow reader leaves the others to the subscription, and catches up alone")
def _():
    with stage() as (world, control, writer):
        slow, quick, windowed = world.client(), world.client(), world.client()
        slow.subscribe(stream="s", sub="slow")
        quick.subscribe(stream="s", sub="quick")
        windowed.subscribe(stream="s", sub="windowed", window=3)
        count = 0
        for _ in range(30):
            writer.write("s", *({"event_type": "t", "data_text": "x" * 300} for _ in range(100)))
            equal(numbers(events(quick, 100)), list(range(count, count + 100)), "the quick one")
            count += 100
        equal(control.subscriptions(), (1, 0), "subscriptions at the store")
        equal(control.count("SubscribeToStream")[0], 1, "times that it was asked for")
        equal(numbers(events(slow, count)), list(range(count)), "the slow one, when it reads")
        got = []
        while len(got) < count:
            push = windowed.push("event")
            got.append(push["event"]["event_number"])
            windowed.send({"op": "ack", "sub": "windowed", "events": [push["ack_id"]]})
        equal(got, list(range(count)), "the one with a window")
        writer.write("s", "t")
        for reader in (slow, quick, windowed):
            equal(numbers(events(reader, 1)), [count], "all are live again")
        equal(control.subscriptions(), (1, 0), "subscriptions at the store")


@test("one reader of many is refused nothing by the end of another: access, deletion and unsubscribe are each one's own")
def _():
    with stage() as (world, control, client):
        other = world.client()
        client.subscribe(stream="s", sub="a")
        other.subscribe(stream="s", sub="b", **{"from": "start"})
        other.push("caught_up")
        client.close()
        writer = world.client()
        writer.write("s", "t")
        other.push("event")
        writer.execute("DeleteStream", {"event_stream_id": "s", "hard_delete": True})
        has(other.push("stream_deleted"), hard=True)
        has(other.push("dropped"), reason="stream_deleted")
        until(lambda: control.subscriptions() == (0, 0), "none is left")


if __name__ == "__main__":
    main(shared=False)
