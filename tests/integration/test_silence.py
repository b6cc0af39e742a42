#!/usr/bin/env python3
"""A server that is there and does not answer a subscription: it is asked again, and nothing comes twice."""

import contextlib
import uuid

import wire
from harness import World, controlled, equal, has, main, test, true, until

QUICK = {"store": {"reconnect_delay_min": "20ms", "reconnect_delay_max": "50ms", "operation_timeout": "300ms",
                   "heartbeat_interval": "5s", "heartbeat_timeout": "5s"}}


@contextlib.contextmanager
def stage():
    with wire.FakeStore() as fake, World(QUICK, port=fake.port) as world:
        yield fake, world.client()


def confirm(peer, asked, last=0):
    if asked.command == wire.CONNECT_GROUP:
        peer.send(wire.GROUP_CONFIRMATION, asked.correlation, wire.message((1, 100), (2, "s::g"), (3, last)))
    else:
        peer.send(wire.SUBSCRIPTION_CONFIRMATION, asked.correlation, wire.message((1, 100), (2, last)))


def appear(peer, asked, number, event_id=None):
    record = wire.message((1, wire.record("s", number, event_id=event_id)))
    command = wire.GROUP_EVENT_APPEARED if asked.command == wire.CONNECT_GROUP else wire.EVENT_APPEARED
    peer.send(command, asked.correlation, wire.message((1, record)))


def asked_of(client):
    return client.ok("status")["client"]["subscriptions"][0]["asked"]


def made_again(members, request, states):
    """Subscribes with MEMBERS; the connection goes, and the server leaves the new request without an answer twice."""
    with stage() as (fake, client):
        peer = fake.welcome()
        client.send(dict({"op": "subscribe", "id": "s", "stream": "s", "sub": "n", "timeout_ms": 30000}, **members))
        confirm(peer, peer.read(request))
        true("ok" in client.reply("s"), "subscribed")
        equal(asked_of(client), 0, "asked")
        peer.close()
        peer = fake.welcome()
        has(client.push("interrupted"), sub="n")
        old = []
        for round_number in (1, 2, 3):
            asked = peer.read(request)
            true(asked.correlation not in [a.correlation for a in old], "a correlation id of its own")
            if round_number < 3:
                until(lambda: asked_of(client) > round_number, "status says that it was asked again")
                equal(peer.read(wire.UNSUBSCRIBE).correlation, asked.correlation, "the end of the earlier one")
                old.append(asked)
        true(client.ok("status")["client"]["subscriptions"][0]["state"] in states, "state")
        for late in old:
            confirm(peer, late)
            appear(peer, late, 0)
        confirm(peer, asked)
        has(client.push("resumed"), sub="n")
        equal(asked_of(client), 0, "asked")
        for number in (1, 2):
            for late in old:
                appear(peer, late, number)
            appear(peer, asked, number)
            equal(client.push("event")["event"]["event_number"], number, "number")
        peer.send(wire.PONG, uuid.uuid4().bytes)
        client.send({"op": "unsubscribe", "id": "u", "sub": "n", "timeout_ms": 30000})
        gone = peer.read(wire.UNSUBSCRIBE)
        equal(gone.correlation, asked.correlation, "what is ended")
        peer.send(wire.SUBSCRIPTION_DROPPED, gone.correlation, wire.message((1, 0)))
        true("ok" in client.reply("u"), "unsubscribed")
        true(not client.pushes, "nothing else: %r" % client.pushes)


@test("live: asked again after operation_timeout, under a new correlation id; late answers and their events count for nothing")
def _():
    made_again({}, wire.SUBSCRIBE, ("joining",))


@test("group: the same")
def _():
    made_again({"group": "g"}, wire.CONNECT_GROUP, ("subscribing",))


@test("catch-up: the page is read again, the live part is asked for again, each event comes once")
def _():
    with stage() as (fake, client):
        peer = fake.welcome()
        page = wire.message((1, wire.message((1, wire.record("s", 0)))), (2, 0), (3, 1), (4, 0), (5, 1), (6, 100))
        client.send({"op": "subscribe", "id": "s", "stream": "s", "from": "start", "timeout_ms": 30000})
        first, again = peer.read(wire.READ_FORWARD), peer.read(wire.READ_FORWARD)
        peer.send(wire.READ_FORWARD_COMPLETED, first.correlation, page)
        peer.send(wire.READ_FORWARD_COMPLETED, again.correlation, page)
        true("ok" in client.reply("s"), "subscribed")
        equal(client.push("event")["event"]["event_number"], 0, "number")
        asked = peer.read(wire.SUBSCRIBE)
        equal(peer.read(wire.UNSUBSCRIBE).correlation, asked.correlation, "the end of the earlier one")
        confirm(peer, asked)
        asked = peer.read(wire.SUBSCRIBE)
        confirm(peer, asked)
        late = peer.read(wire.READ_FORWARD)
        peer.send(wire.READ_FORWARD_COMPLETED, late.correlation, wire.message((2, 0), (3, 1), (4, 0), (5, 1), (6, 100)))
        client.push("caught_up")
        appear(peer, asked, 1)
        equal(client.push("event")["event"]["event_number"], 1, "number")
        true(not client.pushes, "nothing else: %r" % client.pushes)


@test("an event nacked to come again waits for `resumed`, however long the page before it is not answered")
def _():
    ids = [uuid.uuid4().bytes, uuid.uuid4().bytes]

    def page(number, last):
        return wire.message((1, wire.message((1, wire.record("s", number, event_id=ids[number])))), (2, 0), (3, number + 1), (4, last), (5, 1), (6, 100))

    with stage() as (fake, client):
        peer = fake.welcome()
        client.send({"op": "subscribe", "id": "s", "stream": "s", "sub": "n", "from": "start", "window": 5, "timeout_ms": 500})
        peer.send(wire.READ_FORWARD_COMPLETED, peer.read(wire.READ_FORWARD).correlation, page(0, 0))
        true("ok" in client.reply("s"), "subscribed")
        first = client.push("event")["event"]
        peer.read(wire.SUBSCRIBE)
        client.send({"op": "nack", "sub": "n", "events": [first["event_id"]], "action": "retry"})
        peer.read(wire.READ_FORWARD)
        peer.close()
        has(client.push("interrupted"), sub="n")
        peer = fake.welcome()
        reads = []
        while len(reads) < 5:
            asked = peer.read(wire.READ_FORWARD, wire.SUBSCRIBE, wire.UNSUBSCRIBE)
            if asked.command == wire.READ_FORWARD:
                reads.append(wire.one(asked.fields(), 2))
                if reads[-1] == 0:
                    peer.send(wire.READ_FORWARD_COMPLETED, asked.correlation, page(0, 0))
        peer.send(wire.READ_FORWARD_COMPLETED, asked.correlation, page(1, 1))
        has(client.push("resumed"), sub="n")
        equal(reads, [1] * 5, "what is read until then")
        asked = peer.read(wire.READ_FORWARD)
        equal(wire.one(asked.fields(), 2), 0, "what is read then")
        peer.send(wire.READ_FORWARD_COMPLETED, asked.correlation, page(0, 1))
        got = [client.push("event")["event"]["event_number"] for _ in range(2)]
        equal(got, [0, 1], "events")
        true(not client.pushes, "nothing else: %r" % client.pushes)


@test("the first request too: asked again within the time of subscribe, whose reply is one")
def _():
    with stage() as (fake, client):
        peer = fake.welcome()
        client.send({"op": "subscribe", "id": "s", "stream": "s", "group": "g", "timeout_ms": 30000})
        asked = peer.read(wire.CONNECT_GROUP)
        equal(peer.read(wire.UNSUBSCRIBE).correlation, asked.correlation, "the end of the earlier one")
        again = peer.read(wire.CONNECT_GROUP)
        confirm(peer, asked)
        confirm(peer, again)
        true("ok" in client.reply("s"), "subscribed")
        same = uuid.uuid4().bytes
        appear(peer, again, 0, same)
        client.push("event")


@test("an end that the store does not handle is asked for again, until the store has no subscription more")
def _():
    with controlled(QUICK) as (world, control):
        client = world.client()
        sub = client.subscribe(stream="s")
        equal(control.ask("subscriptions"), ["1", "0"], "subscriptions at the store")
        control.not_handled("TooBusy", "UnsubscribeFromStream")
        client.ok("unsubscribe", sub=sub)
        equal(control.ask("subscriptions"), ["0", "0"], "subscriptions at the store")
        equal(control.ask("count UnsubscribeFromStream")[0], "2", "times that it was asked")


@test("a store that never handles the end is asked a bounded number of times; the client has its reply")
def _():
    with controlled() as (world, control):
        client = world.client()
        sub = client.subscribe(stream="s")
        control.not_handled("TooBusy", "UnsubscribeFromStream", nth="*")
        client.ok("unsubscribe", sub=sub)
        equal(control.ask("count UnsubscribeFromStream")[0], "10", "times that it was asked")


@test("the same of a client that has gone: asked again, and no longer than that")
def _():
    with controlled({"store": {"username": "admin", "password": "changeit"}}) as (world, control):
        with world.bridge.client() as maker:
            maker.execute("CreatePersistentSubscription", {"event_stream_id": "s", "subscription_group_name": "g"})
        for times, wanted, left in ((1, "4", ["0", "0"]), ("*", "20", ["1", "1"])):
            control.clear()
            client = world.client()
            client.subscribe(stream="s")
            client.subscribe(stream="s", group="g")
            if times == "*":
                control.not_handled("TooBusy", "UnsubscribeFromStream", nth="*")
            else:
                for nth in (1, 2):
                    control.not_handled("TooBusy", "UnsubscribeFromStream", nth=nth)
            client.close()
            until(lambda wanted=wanted: control.ask("count UnsubscribeFromStream")[0] == wanted, "asked %s times" % wanted)
            until(lambda left=left: control.ask("subscriptions") == left, "subscriptions at the store: %r" % left)
            until(lambda: control.ask("count NotHandled")[1] == str(int(wanted) - (0 if times == "*" else 2)), "answered")
        world.client().ok("ping")
        equal(control.ask("count UnsubscribeFromStream")[0], "20", "times that it was asked")


@test("the connection is lost while the store is asked again to end what a client has left behind")
def _():
    with controlled() as (world, control):
        client = world.client()
        client.subscribe(stream="s")
        control.not_handled("TooBusy", "UnsubscribeFromStream", nth="*")
        client.close()
        until(lambda: control.ask("count UnsubscribeFromStream")[0] != "0", "asked")
        control.close_all()
        world.client().subscribe(stream="s")
        equal(control.ask("subscriptions"), ["1", "0"], "subscriptions at the store")


if __name__ == "__main__":
    main(shared=False)
