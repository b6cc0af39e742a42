#!/usr/bin/env python3
"""Access rules, the sections [access NAME]: who may do what, with which streams, as which user of the store."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile

from harness import Failure, World, equal, has, main, merged, test, true, until

ADMIN = {"username": "admin", "password": "changeit"}
PERMISSIONS = ["read", "write", "subscribe", "manage", "admin"]

# What each message needs. A message that hello tells and that is not here fails the test.
MESSAGES = {
    "WriteEvents": "write", "ReadEvent": "read", "ReadStreamEvents": "read", "ReadStreamEventsBackward": "read",
    "ReadAllEvents": "read", "ReadAllEventsBackward": "read", "FilteredReadAllEvents": "read",
    "FilteredReadAllEventsBackward": "read", "DeleteStream": "manage", "TransactionStart": "write",
    "TransactionWrite": "write", "TransactionCommit": "write", "CreatePersistentSubscription": "manage",
    "UpdatePersistentSubscription": "manage", "DeletePersistentSubscription": "manage", "ScavengeDatabase": "manage",
}

FILTER = {"context": "StreamId", "type": "Prefix", "data": ["a"]}
EVENTS = [{"event_type": "t", "data": {}}]


def bodies(stream):
    """A body for each message."""
    one, group = {"event_stream_id": stream}, {"event_stream_id": stream, "subscription_group_name": "g"}
    return {
        "WriteEvents": dict(one, events=EVENTS), "ReadEvent": dict(one, event_number=0), "ReadStreamEvents": one,
        "ReadStreamEventsBackward": one, "ReadAllEvents": {"max_count": 1}, "ReadAllEventsBackward": {"max_count": 1},
        "FilteredReadAllEvents": {"filter": FILTER}, "FilteredReadAllEventsBackward": {"filter": FILTER},
        "DeleteStream": dict(one, expected_version=12345), "TransactionStart": one,
        "TransactionWrite": {"transaction_id": 1, "events": EVENTS}, "TransactionCommit": {"transaction_id": 1},
        "CreatePersistentSubscription": group, "UpdatePersistentSubscription": group,
        "DeletePersistentSubscription": group, "ScavengeDatabase": {},
    }


def operations(stream):
    """{what: (the request, the permissions any of which is enough)}; None: nothing is needed."""
    position = {"action": "set", "name": "c", "position": 1}
    found = {
        "hello": ({"op": "hello"}, None),
        "ping": ({"op": "ping"}, PERMISSIONS),
        "metrics": ({"op": "metrics"}, PERMISSIONS),
        "status": ({"op": "status"}, None),
        "status of all": ({"op": "status", "all": True}, ["admin"]),
        "subscribe": ({"op": "subscribe", "stream": stream}, ["subscribe"]),
        "subscribe to all": ({"op": "subscribe", "stream": "$all"}, ["subscribe"]),
        "subscribe from the start": ({"op": "subscribe", "stream": stream, "from": "start"}, ["subscribe"]),
        "subscribe with a checkpoint": ({"op": "subscribe", "stream": stream, "checkpoint": "c"}, ["subscribe"]),
        "subscribe to a group": ({"op": "subscribe", "stream": stream, "group": "g"}, ["subscribe"]),
        "unsubscribe": ({"op": "unsubscribe", "sub": "none"}, None),
        "ack": ({"op": "ack", "sub": "none", "events": []}, None),
        "nack": ({"op": "nack", "sub": "none", "events": []}, None),
        "list checkpoints": ({"op": "checkpoint", "action": "list"}, ["subscribe", "manage"]),
        "get a checkpoint": ({"op": "checkpoint", "action": "get", "name": "c"}, ["subscribe", "manage"]),
        "set a checkpoint": (dict(position, op="checkpoint"), ["manage"]),
        "delete a checkpoint": ({"op": "checkpoint", "action": "delete", "name": "c"}, ["manage"]),
    }
    for message, body in bodies(stream).items():
        found[message] = {"op": "execute", "message": message, "body": body}, [MESSAGES[message]]
    return found


def me():
    return str(os.getuid())


def rule(allow, users=None, **members):
    return dict({"users": users or me(), "allow": allow}, **members)


class Ruled:
    """A World whose rules change."""

    def __init__(self, world):
        self.world = world
        self.plain = merged(world.bridge.settings)
        self.turns = 0

    def rules(self, **rules):
        """Has the daemon take RULES alone, {name: members}, and waits until it has."""
        self.turns += 1
        depth = 100 + self.turns
        self.world.bridge.settings = merged(self.plain, {"limits": {"depth": depth}}, {
            "access " + name: members for name, members in rules.items()})
        self.world.bridge.write_config()
        self.world.bridge.process.send_signal(signal.SIGHUP)
        with self.world.bridge.client() as client:
            until(lambda: client.ok("hello")["limits"]["depth"] == depth, "the new rules: %s" % self.world.bridge.said()[-500:])


@contextlib.contextmanager
def ruled(settings=None, **options):
    with World(merged({"store": ADMIN}, settings), **options) as world:
        yield world, Ruled(world)


def allowed(client, request):
    """False where the access rules refuse REQUEST; its outcome is told where it may change something then."""
    line = client.ask(request)
    error = line.get("error", {})
    if error.get("code") != "permission_denied":
        return True
    equal(error["retry"], False, "retry")
    true("outcome" not in error or error["outcome"] == "none", "outcome of %r" % error)
    return False


@test("without a rule: everything but admin, which root and the user of the daemon have")
def _():
    with ruled() as (world, _):
        client = world.client()
        hello = client.ok("hello")
        equal(hello["permissions"], PERMISSIONS, "permissions")   # it runs as we do
        true("rule" not in hello, "no rule")
        for what, (request, _) in operations(world.stream()).items():
            true(allowed(client, request), what)


@test("every op and every message, with each permission alone, with all and with none")
def _():
    with ruled() as (world, ruled_world):
        messages = world.client().ok("hello")["messages"]
        equal(sorted(messages), sorted(MESSAGES), "the messages of which this test knows what they need")
        for granted in [[p] for p in PERMISSIONS] + [PERMISSIONS, []]:
            ruled_world.rules(it=rule(", ".join(granted) or "none"))
            client = world.client()
            has(client.ok("hello"), rule="it")
            own = granted + [p for p in ["admin"] if p not in granted]   # root, and the user of the daemon
            equal(client.ok("hello")["permissions"], own, "permissions")
            for what, (request, needs) in operations(world.stream()).items():
                wanted = needs is None or bool(set(needs) & set(own))
                if what.startswith("Transaction") and "write" in granted and granted != PERMISSIONS:
                    wanted = what == "TransactionStart"   # that of a transaction that nobody has begun is not known
                equal(allowed(client, request), wanted, "%s with %s" % (what, granted))


if __name__ == "__main__":
    main(shared=False)
