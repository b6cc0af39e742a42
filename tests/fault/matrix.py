#!/usr/bin/env python3
"""Every message of the store's protocol, with everything that can go wrong with it, with a client that waits for the answer,
with one that has gone, and with none at all. After each: exactly one answer, which tells the right outcome, nothing left in
the daemon or the store, and the next request is answered.

The messages are those that the daemon says it can send; a command that is new in command.h must have its place here.
"""

import os
import re
import sys

SRC = os.environ.get("SRCDIR") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(1, os.path.join(SRC, "tests", "integration"))

from harness import controlled, equal, main, merged, test, true, until  # noqa: E402
from proto import body_of  # noqa: E402

SETTINGS = {"store": {"username": "admin", "password": "changeit", "reconnect_delay_min": "10ms", "reconnect_delay_max": "20ms",
                      "heartbeat_interval": "5s", "heartbeat_timeout": "5s"}}
STORE = ["--no-heartbeat", "--speak", "21.10.11"]

SHORT_MS = 20       # for the request whose answer comes too late
LONG_MS = 20000

OK = "ok"

ACKS = {"ack": "PersistentSubscriptionAckEvents", "nack": "PersistentSubscriptionNakEvents"}
OWN = ("Authenticate", "IdentifyClient", "HeartbeatRequest")

# What goes wrong: {name: (action of the memstore, when)}
CUTS = {
    "cut before it arrives": ("drop", ""),
    "cut before its answer": ("cut 0", ""),
    "cut in the middle of its answer": ("cut 15", ""),
}
AFTER = "cut after its answer"
LATE = "answered too late"
TWICE = "answered twice"
GARBAGE = "answered with garbage"
NOT_HANDLED = {reason: ("not-handled " + reason, "") for reason in ("NotReady", "TooBusy", "NotLeader", "IsReadOnly")}
FAULTS = {**CUTS, AFTER: ("drop", "after"), LATE: ("stall", "after"), TWICE: ("double", ""), GARBAGE: ("garbage", ""),
          **NOT_HANDLED}

# What the error is, and whether it leaves open what was done; the rest end well.
ERRORS = {LATE: ("timeout", "unknown"), GARBAGE: ("protocol_error", "unknown"), "IsReadOnly": ("not_handled", "none")}


def is_read(message):
    """True where nothing is changed at the store: its errors have no outcome, and it is sent again after a loss."""
    return "Read" in message or message == "Ping"


def command_of(message):
    """The name of the command that MESSAGE is sent with."""
    return message + "Forward" if is_read(message) and message.endswith("Events") else message


def wanted(message, fault):
    """(code or OK, outcome or None)"""
    if (message, fault) == ("Ping", GARBAGE):
        return OK, None     # a Pong says nothing but that it is one
    code, outcome = ERRORS.get(fault, (OK, None))
    if fault in CUTS and not is_read(message) and message != "WriteEvents":
        code, outcome = "connection_lost", "unknown"
    return code, None if is_read(message) else outcome


def check(line, message, fault):
    error = line.get("error", {})
    equal((error.get("code", OK), error.get("outcome")), wanted(message, fault), "%s, %s: %r" % (message, fault, line))


class Stage:
    """A world with its control channel, and a client that prepares and looks after."""

    def __init__(self, world, channel):
        self.world, self.channel = world, channel
        self.hand = world.client()

    def prepare(self, message):
        """Does what MESSAGE needs in order to succeed; returns the request."""
        if message == "Ping":
            return {"op": "ping", "id": message}
        stream = self.world.stream()
        body = body_of(message)
        if "event_stream_id" in body:
            body["event_stream_id"] = stream
            self.hand.write(stream, "before")
        if message.startswith(("ReadStream", "ReadAll", "FilteredRead")):
            body["max_count"] = 10      # what is large has to wait for its turn, and is not read where its client has gone
        if "transaction_id" in body:
            body["transaction_id"] = self.hand.execute("TransactionStart", {"event_stream_id": stream})["transaction_id"]
        if message in ("UpdatePersistentSubscription", "DeletePersistentSubscription"):
            self.hand.execute("CreatePersistentSubscription", {"event_stream_id": stream, "subscription_group_name": "g"})
        if "filter" in body:
            self.hand.execute(message, body)    # the daemon knows from now on that the store has filters
        return {"op": "execute", "id": message, "message": message, "body": body}

    def strike(self, fault, command):
        action, when = FAULTS[fault]
        self.channel.rule(action, command, when=when)

    def still(self):
        """Nothing is under way, nothing is left at the store, and a request goes through."""
        self.channel.clear()
        self.channel.resume()

        def nothing_left():
            store = self.hand.ok("status")["store"]
            return store["in_flight"] == 0 and store["queued"] == 0 and store["state"] == "ready"
        until(nothing_left, "nothing is in flight or queued")
        self.hand.ok("ping")
        until(lambda: self.channel.subscriptions() == (0, 0), "no subscription at the store")
        equal(self.channel.connections(), (1, 0), "connections, stalled ones")

    def send(self, client, requests, fault):
        client.send(*({**request, "timeout_ms": SHORT_MS if fault == LATE else LONG_MS} for request in requests))

    def row(self, messages, fault, gone):
        """All of MESSAGES at once, with FAULT happening to each."""
        requests = [self.prepare(message) for message in messages]
        self.channel.clear()
        for message in messages:
            self.strike(fault, command_of(message))
        client = self.world.bridge.client()
        self.send(client, requests, fault)
        if gone:
            client.close()
            for message in messages:
                until(lambda m=message: self.channel.count(command_of(m))[0] > 0, "the store got " + message)
            if fault == LATE:
                until(lambda: self.hand.ok("status")["store"]["in_flight"] == 0, "its time is over")
        else:
            for message in messages:
                check(client.reply(message), message, fault)
        self.still()
        if not gone:
            client.quiet()
            client.close()


def register(fault, gone):
    @test("each message, %s%s" % (fault, ", its client gone" if gone else ""))
    def _():
        with controlled(SETTINGS, STORE) as (world, channel):
            stage = Stage(world, channel)
            messages = stage.hand.ok("hello")["messages"] + ["Ping"]
            alone = fault in CUTS or fault in (AFTER, LATE)     # what befalls the connection befalls all that is on it
            for row in ([m] for m in messages) if alone else [messages]:
                stage.row(row, fault, gone)


for name in FAULTS:
    for client_gone in (False, True):
        register(name, client_gone)


# Conversations that are no requests of `execute` ------------------------------------------------------------

SUBSCRIBES = {
    "SubscribeToStream": {},
    "FilteredSubscribeToStream": {"stream": "$all", "filter": {"context": "StreamId", "type": "Prefix", "data": ["s"]}},
    "ConnectToPersistentSubscription": {"group": "g"},
}
TWICE_CONFIRMED = ("dropped", "protocol_error")     # what is no event has no place in a subscription that stands


def subscribe_request(stage, command):
    stream = stage.world.stream()
    stage.hand.execute("CreatePersistentSubscription", {"event_stream_id": stream, "subscription_group_name": "g"})
    return {"op": "subscribe", "id": "it", "stream": stream, "sub": "mine", **SUBSCRIBES[command]}


def goes_on(stage, client, command, fault):
    """The subscription was answered as it should be: it stands, or it is told that it does not."""
    line = client.reply("it")
    code = ERRORS.get(fault, (OK, None))[0]
    equal(line.get("error", {}).get("code", OK), code, "%s, %s: %r" % (command, fault, line))
    stage.channel.resume()
    if code == OK and fault == TWICE:
        push = client.push("dropped")
        equal((push["push"], push["reason"]), TWICE_CONFIRMED, "what a second confirmation brings")
    elif code == OK:
        if fault == AFTER:
            client.push("interrupted")
            client.push("resumed")
        client.ok("unsubscribe", sub="mine")


def subscribing(command, fault, gone):
    def act(stage):
        request = subscribe_request(stage, command)
        stage.channel.clear()
        stage.strike(fault, command)
        client = stage.world.bridge.client()
        stage.send(client, [request], fault)
        if gone:
            client.close()
            until(lambda: stage.channel.count(command)[0] > 0, "the store got " + command)
        else:
            goes_on(stage, client, command, fault)
        stage.still()
        if not gone:
            client.quiet()
            client.close()
    return act


def in_one_world(acts):
    with controlled(SETTINGS, STORE) as (world, channel):
        stage = Stage(world, channel)
        for act in acts:
            act(stage)


@test("each way to subscribe, with everything that can go wrong: one answer, and nothing left")
def _():
    in_one_world(subscribing(command, fault, False) for command in SUBSCRIBES for fault in FAULTS)


@test("each way to subscribe, with everything that can go wrong and the client gone: nothing left")
def _():
    in_one_world(subscribing(command, fault, True) for command in SUBSCRIBES for fault in FAULTS)


def unsubscribing(command, fault):
    def act(stage):
        client = stage.world.bridge.client()
        client.send(subscribe_request(stage, command))
        true("ok" in client.reply("it"), "subscribed")
        stage.channel.clear()
        stage.strike(fault, "UnsubscribeFromStream")
        client.ok("unsubscribe", sub="mine")
        if fault in NOT_HANDLED:
            stage.channel.close_all()   # a store that does not take it keeps the subscription as long as the connection
            stage.world.connected()
        stage.still()
        client.quiet()
        client.close()
    return act


@test("the end of each subscription, with everything that can go wrong but silence: one answer, nothing behind it, nothing left")
def _():
    in_one_world(unsubscribing(command, fault) for command in SUBSCRIBES for fault in FAULTS if fault != LATE)


@test("an event that is cut, delivered twice, or garbage: one who catches up gets each once, in order, or is told that it ends")
def _():
    def act_with(fault):
        def act(stage):
            stream = stage.world.stream()
            with stage.world.bridge.client() as client:
                client.ok("subscribe", stream=stream, sub="mine", **{"from": "start"})
                client.push("caught_up")
                stage.channel.clear()
                stage.strike(fault, "StreamEventAppeared")
                stage.hand.write(stream, "a", "b", "c")
                got = []
                while len(got) < 3:
                    push = client.push()
                    got += [push["event"]["event_number"]] if push["push"] == "event" else []
                    if push["push"] == "dropped":
                        equal((fault, push["reason"]), (GARBAGE, "protocol_error"), "dropped")
                        break
                equal(got, list(range(len(got))), "events, " + fault)
            stage.still()
        return act
    in_one_world(act_with(fault) for fault in [*CUTS, AFTER, TWICE, GARBAGE])


@test("an acknowledgement, positive or negative, cut before or after it arrives: the event comes again where it is still open")
def _():
    def act_with(op, command, when):
        def act(stage):
            request = subscribe_request(stage, "ConnectToPersistentSubscription")
            with stage.world.bridge.client() as client:
                client.send(request)
                true("ok" in client.reply("it"), "subscribed")
                stage.hand.write(request["stream"], "a")
                event = client.push("event")
                stage.channel.clear()
                stage.channel.drop(command, when=when)
                client.ok(op, sub="mine", events=[event["ack_id"]], **({"action": "park"} if op == "nack" else {}))
                client.push("interrupted")
                client.push("resumed")
                if when == "before":
                    again = client.push("event")
                    equal(again["ack_id"], event["ack_id"], "the event that comes again")
                    client.ok("ack", sub="mine", events=[again["ack_id"]])
                client.quiet()
                client.ok("unsubscribe", sub="mine")
            stage.still()
        return act
    in_one_world(act_with(op, command, when) for op, command in ACKS.items() for when in ("before", "after"))


# No client --------------------------------------------------------------------------------------------------

@test("what the daemon says of its own accord, with everything that can go wrong, and no client: it connects, and serves the next")
def _():
    def act_with(command, fault):
        def act(stage):
            stage.hand.close()
            stage.channel.clear()
            stage.strike(fault, command)
            stage.channel.close_all()
            until(lambda: stage.channel.count(command)[0] > 0, "the store got " + command)
            stage.channel.resume()
            stage.hand = stage.world.client()
            stage.still()
        return act
    settings = {"store": {"connect_timeout": "1s", "heartbeat_interval": "100ms"}}
    with controlled(merged(SETTINGS, settings), STORE) as (world, channel):
        stage = Stage(world, channel)
        for command in OWN:
            for fault in FAULTS:
                act_with(command, fault)(stage)


# All of it --------------------------------------------------------------------------------------------------

def sent_by_the_daemon(name):
    """True for a command that asks or tells the store something; the rest are answers and what the store tells."""
    return not re.search(r"Completed|Confirmation|Appeared|Dropped|Reached|Pong|Response|Authenticated|Identified|"
                         r"BadRequest|NotHandled", name)


@test("command.h has no command for the store that is not in this matrix")
def _():
    with open(os.path.join(SRC, "daemon", "store", "command.h"), encoding="utf-8") as file:
        names = ["".join(word.capitalize() for word in name.split("_")) for name in re.findall(r"CMD_(\w+) =", file.read())]
    with controlled(SETTINGS, STORE) as (world, channel):
        there = {command_of(message) for message in world.client().ok("hello")["messages"]}
        there |= {"Ping", "UnsubscribeFromStream", *SUBSCRIBES, *ACKS.values(), *OWN}
        equal(sorted(filter(sent_by_the_daemon, names)), sorted(there), "commands")


if __name__ == "__main__":
    main(shared=False)
