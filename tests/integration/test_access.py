#!/usr/bin/env python3
"""Access rules, the sections [access NAME]: who may do what, with which streams, as which user of the store."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

from harness import ESBRIDGED, World, equal, has, main, merged, test, true, until

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


# Streams ----------------------------------------------------------------------------------------------------

@test("streams: each message that names one, and subscriptions of all modes; what is denied is stronger")
def _():
    with ruled() as (world, it):
        it.rules(it=rule("read, write, subscribe, manage", streams="open-*, !open-secret*, $ce-open"))
        client = world.client()
        for stream, wanted in (("open-1", True), ("$$open-1", True), ("$ce-open", True), ("open-secret", False),
                               ("$$open-secret", False), ("other", False), ("$ce-other", False), ("$streams", False)):
            for what, (request, _) in operations(stream).items():
                if stream in json.dumps(request):
                    equal(allowed(client, request), wanted, "%s on %s" % (what, stream))
        for what in ("ReadAllEvents", "ReadAllEventsBackward", "FilteredReadAllEvents", "FilteredReadAllEventsBackward",
                     "ScavengeDatabase", "subscribe to all", "TransactionWrite", "TransactionCommit"):
            true(not allowed(client, operations("open-1")[what][0]), what)
        for all_streams in ("$all", ""):
            client.fails("subscribe", "permission_denied", stream=all_streams, filter=FILTER)


@test("streams: a name is what it is, however it is written")
def _():
    with ruled() as (world, it):
        it.rules(it=rule("read", streams="a*"))
        client = world.client()
        client.send(r'{"op":"execute","id":1,"message":"ReadStreamEvents","body":{"event_stream_id":"\u0062"}}',
                    r'{"op":"execute","id":2,"message":"ReadStreamEvents","body":{"event_stream_id":"\u0061b"}}')
        equal(client.reply(1)["error"]["code"], "permission_denied", "code")
        equal(client.reply(2)["error"]["code"], "no_stream", "code")


@test("$all is reading all streams at once, and nothing else")
def _():
    with ruled() as (world, it):
        it.rules(it=rule("read, subscribe, write", streams="$all, mine"))
        client = world.client()
        client.execute("ReadAllEvents", {"max_count": 1})
        client.subscribe(stream="$all")
        client.subscribe(stream="$all", **{"from": "start"})
        client.write("mine", "a")
        client.refuses("ReadStreamEvents", "permission_denied", {"event_stream_id": "other"})
        equal(client.refuses("WriteEvents", "permission_denied", {"event_stream_id": "other", "events": EVENTS})["outcome"],
              "none", "outcome")


@test("metadata: to write it takes manage, with the stream")
def _():
    with ruled() as (world, it):
        metadata = {"event_type": "$metadata", "data": {"$maxCount": 5}}
        it.rules(it=rule("read, write", streams="a"))
        client = world.client()
        client.write("a", "t")
        error = client.refuses("WriteEvents", "permission_denied", {"event_stream_id": "$$a", "events": [metadata]})
        true("manage" in error["message"], "it says so: %r" % error)
        client.refuses("TransactionStart", "permission_denied", {"event_stream_id": "$$a"})
        it.rules(it=rule("manage", streams="a"))
        client.execute("WriteEvents", {"event_stream_id": "$$a", "events": [metadata]})
        client.refuses("WriteEvents", "permission_denied", {"event_stream_id": "a", "events": EVENTS})
        client.refuses("WriteEvents", "permission_denied", {"event_stream_id": "$$b", "events": [metadata]})


@test("a link to an event of a stream that is not allowed: the link alone, read, live, caught up and from a group")
def _():
    with ruled() as (world, it):
        writer = world.client()
        writer.write("secret", {"event_type": "s", "data": {"is": "hidden"}})
        writer.write("open", {"event_type": "o", "data": {"is": "seen"}})
        links = [{"event_type": "$>", "data_text": "0@secret"}, {"event_type": "$>", "data_text": "0@open"}]
        writer.write("links", *links)
        writer.execute("CreatePersistentSubscription", {"event_stream_id": "links", "subscription_group_name": "g",
                                                        "start_from": 0, "resolve_link_tos": True})
        it.rules(it=rule("read, subscribe, write", streams="links, open"))
        client, other = world.client(), world.client()

        def check(what, events):
            equal([e.get("event", {}).get("event_type") for e in events], [None, "o"], "events " + what)
            equal([e["link"]["event_number"] % 2 for e in events], [0, 1], "links " + what)
            true("hidden" not in json.dumps(events), "nothing of what is denied " + what)
        check("read", client.read("links")["events"])
        check("read backward", client.execute("ReadStreamEventsBackward", {"event_stream_id": "links"})["events"][::-1])
        one = client.execute("ReadEvent", {"event_stream_id": "links", "event_number": 0})["event"]
        true("event" not in one and "link" in one, "one event: %r" % one)
        client.subscribe(stream="links", sub="c", **{"from": "start"})
        check("caught up", [client.push("event") for _ in range(2)])
        client.push("caught_up")
        client.ok("unsubscribe", sub="c")
        client.subscribe(stream="links", group="g")
        check("of a group", [client.push("event") for _ in range(2)])
        other.subscribe(stream="links")
        other.write("links", *links)
        check("live", [other.push("event") for _ in range(2)])
        plain = client.execute("ReadStreamEvents", {"event_stream_id": "links", "resolve_link_tos": False})["events"]
        equal([e["event"]["event_type"] for e in plain], ["$>"] * 4, "not resolved")
        it.rules(it=rule("read", streams="links, open, secret"))
        equal(client.read("links", count=1)["events"][0]["event"]["data"], {"is": "hidden"}, "under other rules")


@test("a live event that some readers may see and others not, in one subscription at the store")
def _():
    if os.getuid() != 0:
        return   # it takes two users; the screen itself is tested above
    with ruled() as (world, it), Other(world, 65001) as other:
        it.rules(mine=rule("read, write, subscribe"), other=rule("subscribe", "65001", streams="links"))
        client = world.client()
        client.write("secret", {"event_type": "s", "data": {"is": "hidden"}})
        client.subscribe(stream="links")
        true("ok" in other.ask({"op": "subscribe", "stream": "links"}), "it subscribes")
        for _ in range(2):
            client.write("links", {"event_type": "$>", "data_text": "0@secret"})
            equal(client.push("event")["event"]["data"], {"is": "hidden"}, "for one")
            true("hidden" not in json.dumps(other.line()), "not for the other")


# Transactions -----------------------------------------------------------------------------------------------

@test("transactions: of a stream that is allowed, also on another connection; not of what is not known, nor any more")
def _():
    with ruled() as (world, it):
        free = world.client().execute("TransactionStart", {"event_stream_id": "s"})["transaction_id"]
        it.rules(it=rule("read, write", streams="s, x"))
        client, other = world.client(), world.client()
        client.refuses("TransactionWrite", "permission_denied", {"transaction_id": free, "events": EVENTS})
        begun = client.execute("TransactionStart", {"event_stream_id": "s"})["transaction_id"]
        client.execute("TransactionWrite", {"transaction_id": begun, "events": EVENTS})
        other.execute("TransactionWrite", {"transaction_id": begun, "events": EVENTS})
        for unknown in (begun + 1, 0, -1):
            error = client.refuses("TransactionCommit", "permission_denied", {"transaction_id": unknown})
            equal(error["outcome"], "none", "outcome")
        it.rules(it=rule("read, write", streams="x"))
        client.refuses("TransactionWrite", "permission_denied", {"transaction_id": begun, "events": EVENTS})
        client.refuses("TransactionCommit", "permission_denied", {"transaction_id": begun})
        it.rules(it=rule("read, write", streams="s"))
        equal(other.execute("TransactionCommit", {"transaction_id": begun})["result"], "Success", "result")
        equal(len(client.read("s")["events"]), 2, "events")


# Checkpoints ------------------------------------------------------------------------------------------------

@test("checkpoints: by their names and their streams; what is not allowed is not even listed")
def _():
    with ruled() as (world, it):
        client = world.client()
        for name, stream in (("mine-1", "s"), ("mine-2", "other"), ("yours", "s")):
            client.subscribe(stream=stream, checkpoint=name, sub=name)
            client.ok("unsubscribe", sub=name)
        client.ok("checkpoint", action="set", name="mine-3", position=4)
        it.rules(it=rule("subscribe, manage", streams="s", checkpoints="mine-*"))
        client = world.client()
        equal([c["name"] for c in client.ok("checkpoint", action="list")["checkpoints"]], ["mine-1", "mine-3"], "list")
        for name in ("mine-2", "yours", "none"):
            client.fails("checkpoint", "permission_denied", action="get", name=name)
            client.fails("checkpoint", "permission_denied", action="set", name=name, position=1)
            client.fails("checkpoint", "permission_denied", action="delete", name=name)
        client.fails("subscribe", "permission_denied", stream="s", checkpoint="yours")
        client.fails("subscribe", "permission_denied", stream="other", checkpoint="mine-2")
        client.fails("checkpoint", "not_found", action="get", name="mine-9")
        client.ok("checkpoint", action="set", name="mine-1", position=2)
        client.ok("checkpoint", action="delete", name="mine-3")
        client.subscribe(stream="s", checkpoint="mine-1")
        it.rules(it=rule("subscribe", checkpoints="mine-*"))
        client.ok("checkpoint", action="get", name="mine-2")
        client.fails("checkpoint", "permission_denied", action="set", name="mine-2", position=1)
        client.fails("checkpoint", "permission_denied", action="delete", name="mine-2")


# The user of the store --------------------------------------------------------------------------------------

OPS = {"username": "ops", "password": "changeit"}


def only_for(client, stream, user):
    """Makes STREAM one that USER alone may read, beside administrators."""
    client.write("$$" + stream, {"event_type": "$metadata", "data": {"$acl": {"$r": [user], "$w": ["$all"]}}})
    client.write(stream, "a")


def password_file(world, text="changeit\n"):
    path = os.path.join(world.folder, "password-of-rule")
    with open(path, "w", encoding="ascii", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
    return path


@test("credentials in a request: refused unless the rule says so")
def _():
    with ruled() as (world, it):
        requests = [{"op": "ping"}, {"op": "subscribe", "stream": "s"},
                    {"op": "execute", "message": "ReadStreamEvents", "body": {"event_stream_id": "s"}}]
        for may in (False, True):
            it.rules(it=rule("read, subscribe", credentials="yes" if may else "no"))
            client = world.client()
            for request in requests:
                true(allowed(client, request), request)
                equal(allowed(client, dict(request, credentials=OPS)), may, request)


@test("a rule's own user of the store: for executes, live, catch-up and groups; others have theirs")
def _():
    with World({"store": OPS}) as world:
        it, client = Ruled(world), world.client()
        only_for(world_admin(client), "for-ops", "ops")
        only_for(world_admin(client), "for-admins", "$admins")
        it.rules(it=rule("read, subscribe, manage", username="admin", password_file=password_file(world)))
        ruled_client = world.client()
        ruled_client.read("for-admins")
        ruled_client.subscribe(stream="for-admins")
        ruled_client.subscribe(stream="for-admins", **{"from": "start"})
        ruled_client.execute("CreatePersistentSubscription", {"event_stream_id": "for-admins", "subscription_group_name": "g"})
        ruled_client.subscribe(stream="for-admins", group="g")
        true("changeit" not in world.bridge.said(), "no password in the log")
        it.rules(it=rule("read, subscribe, manage"))
        client = world.client()
        client.read("for-ops")
        client.refuses("ReadStreamEvents", "access_denied", {"event_stream_id": "for-admins"})
        client.fails("subscribe", "access_denied", stream="for-admins")


class Admin:
    """A client whose requests bring the credentials of an administrator."""

    def __init__(self, client):
        self.client = client

    def write(self, stream, *events):
        return self.client.write(stream, *events, credentials=ADMIN)


def world_admin(client):
    return Admin(client)


@test("subscriptions of two rules with different users are not shared at the store")
def _():
    if os.getuid() != 0:
        return   # it takes two users
    with tempfile.TemporaryDirectory(prefix="esb-") as folder:
        path = os.path.join(folder, "control")
        with World({"store": OPS}, ["--control", path]) as world, Other(world, 65001) as other:
            it = Ruled(world)
            only_for(world_admin(world.client()), "for-ops", "ops")
            it.rules(mine=rule("subscribe"), other=rule("subscribe", "65001", username="nobody-such",
                                                       password_file=password_file(world)))
            world.client().subscribe(stream="for-ops")
            line = other.ask({"op": "subscribe", "stream": "for-ops"})
            true(line.get("error", {}).get("code") in ("access_denied", "not_authenticated"), "not by what the first has: %r" % line)


# Users ------------------------------------------------------------------------------------------------------

class Other:
    """A client that is another user: a process of its own, which hands lines to and fro."""

    PROGRAM = """
import os, socket, sys, threading
os.setgroups([int(g) for g in sys.argv[3].split(",") if g]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
def back():
    for line in s.makefile("rb"):
        sys.stdout.buffer.write(line); sys.stdout.buffer.flush()
threading.Thread(target=back, daemon=True).start()
for line in sys.stdin.buffer:
    s.sendall(line)
"""

    def __init__(self, world, uid, groups=""):
        os.chmod(world.folder, 0o755)
        os.chmod(world.bridge.socket, 0o666)
        self.process = subprocess.Popen([sys.executable, "-c", self.PROGRAM, world.bridge.socket, str(uid), groups],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def line(self):
        line = self.process.stdout.readline()
        true(line, "the daemon, or the process, ended")
        return json.loads(line)

    def ask(self, request):
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        return self.line()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@test("the first rule that is for a user or one of its groups counts; for nobody else there is none")
def _():
    with ruled() as (world, it):
        groups = [str(g) for g in [os.getgid()] + os.getgroups()]
        it.rules(other=rule("write", "4000000000"), by_group={"groups": ", ".join(sorted(set(groups))), "allow": "read"},
                 me=rule("write"))
        has(world.client().ok("hello"), rule="by_group")
        it.rules(other=rule("write", "4000000000"), all=rule("subscribe", "*"), me=rule("read"))
        has(world.client().ok("hello"), rule="all")
        it.rules(other=rule("write", "4000000000"))
        client = world.client()
        hello = client.ok("hello")
        true("rule" not in hello, "no rule: %r" % hello)
        equal(hello["permissions"], ["admin"], "for root and the user of the daemon")
        equal(client.ok("status")["client"]["permissions"], ["admin"], "permissions")
        error = client.refuses("ReadEvent", "permission_denied", {"event_stream_id": "s"})
        true(me() in error["message"], "who it is: %r" % error)


@test("several users and groups, each with what its rule says")
def _():
    if os.getuid() != 0:
        return   # who is not root can be nobody else; the rules for one user and its groups are tested above
    with ruled() as (world, it):
        rules = {"one": rule("read", "65001"), "members": {"groups": "65100", "allow": "write"}, "last": rule("subscribe", "*")}
        for uid, group, name, permissions in ((65001, "65100", "one", ["read"]), (65002, "65100", "members", ["write"]),
                                              (65003, "65099,65100,65101", "members", ["write"]), (65004, "", "last", ["subscribe"]),
                                              (65004, ",".join(str(g) for g in range(65200, 65400)), "last", ["subscribe"]),
                                              (65005, ",".join(str(g) for g in range(65000, 65300)), "members", ["write"])):
            it.rules(**rules)
            with Other(world, uid, group) as other:
                hello = other.ask({"op": "hello"})["ok"]
                has(hello, rule=name, permissions=permissions)
                equal(allowed_by(other, "status of all"), False, "status of all")
                equal(allowed_by(other, "ReadStreamEvents"), "read" in permissions, "read")
                equal(allowed_by(other, "WriteEvents"), "write" in permissions, "write")
                equal(allowed_by(other, "ping"), True, "ping")
        it.rules(one=rule("read", "65001"))
        with Other(world, 65002) as other:
            equal(other.ask({"op": "hello"})["ok"]["permissions"], [], "nothing")
            for what, (_, needs) in operations("s").items():
                equal(allowed_by(other, what), needs is None, what)
            true("clients" not in other.ask({"op": "status"})["ok"], "its own status alone")
    with ruled() as (world, it), Other(world, 65002) as other:   # no rules
        for what, (_, needs) in operations("s").items():
            if needs != ["subscribe"]:   # whose pushes would come in between
                equal(allowed_by(other, what), needs != ["admin"], what)


def allowed_by(other, what):
    return other.ask(operations("s")[what][0]).get("error", {}).get("code") != "permission_denied"


# Limits -----------------------------------------------------------------------------------------------------

@test("limits of a rule: requests in flight, subscriptions, as hello tells; never more than those of all")
def _():
    with ruled({"limits": {"subscriptions": 3, "in_flight": 50}}) as (world, it):
        it.rules(it=rule("read, subscribe", in_flight=7, subscriptions=2))
        client = world.client()
        has(client.ok("hello")["limits"], in_flight=7, subscriptions=2)
        client.subscribe(stream="a")
        client.subscribe(stream="a")
        client.fails("subscribe", "limit_exceeded", stream="a")
        it.rules(it=rule("read, subscribe", in_flight=70, subscriptions=20))
        has(client.ok("hello")["limits"], in_flight=50, subscriptions=3)
        client.subscribe(stream="a")
        client.fails("subscribe", "limit_exceeded", stream="a")


@test("limits of a rule: clients; one that has gone makes room at once")
def _():
    with ruled() as (world, it):
        it.rules(it=rule("read, subscribe", clients=2))
        first = world.client()
        first.ok("hello")
        for _ in range(20):
            with world.bridge.client() as second:
                second.ok("hello")
                with world.bridge.client() as third:
                    error = third.other()["error"]
                    equal(error["code"], "too_many_clients", "code")
                    true("'it'" in error["message"], "it names the rule: %r" % error)
                    third.ends()
        first.ok("ping")
        it.rules(it=rule("read, subscribe"))
        equal(len([c.ok("hello") for c in [world.client() for _ in range(5)]]), 5, "clients")


@test("limits of a rule: events a second, written, read and given; whoever has had more waits, and nothing is lost")
def _():
    with ruled() as (world, it):
        world.client().write("s", *["t"] * 300)
        it.rules(it=rule("read, write, subscribe", events_per_second=500))
        client, other = world.client(), world.client()
        began = time.monotonic()
        for number in range(4):   # 500 at once, then as they are paid for: the last waits for 900 of them
            equal(len(client.read("s")["events"]), 300, "events of read %d" % number)
        true(time.monotonic() - began > 0.7, "it took %g s" % (time.monotonic() - began))
        began = time.monotonic()
        other.subscribe(stream="s", **{"from": "start"})
        equal([other.push("event")["event"]["event_number"] for _ in range(300)], list(range(300)), "numbers")
        true(time.monotonic() - began > 0.3, "another client of the rule had to wait")
        other.push("caught_up")
        equal(client.write("s", "u")["last_event_number"], 300, "last")
        equal(other.push("event")["event"]["event_number"], 300, "number")
        it.rules(it=rule("read, write", events_per_second=1))
        began = time.monotonic()
        client.write("s", *["t"] * 1000)   # this one is answered, the next would take a quarter of an hour
        client.send({"op": "execute", "id": "late", "message": "ReadStreamEvents", "body": {"event_stream_id": "s"}})
        it.rules(it=rule("read, write", events_per_second=0))
        true("ok" in client.reply("late"), "new rules begin anew")


# Reload, log ------------------------------------------------------------------------------------------------

@test("SIGHUP: new rules for clients that are there; subscriptions that they do not allow are dropped, others go on")
def _():
    with ruled() as (world, it):
        client = world.client()
        client.execute("CreatePersistentSubscription", {"event_stream_id": "gone", "subscription_group_name": "g", "start_from": 0})
        client.write("gone", "a")
        for sub, members in (("live", {"stream": "gone"}), ("catchup", {"stream": "gone", "from": "end"}),
                             ("group", {"stream": "gone", "group": "g"}), ("all", {"stream": "$all"}),
                             ("checkpoint", {"stream": "stays", "checkpoint": "c"}), ("stays", {"stream": "stays"})):
            client.subscribe(sub=sub, **members)
        it.rules(it=rule("read, write, subscribe", streams="stays", checkpoints="d"))
        dropped = {}
        while len(dropped) < 5:
            push = client.push()
            if push["push"] == "dropped":
                dropped[push["sub"]] = push["reason"]
        equal(dropped, dict.fromkeys(("live", "catchup", "group", "all", "checkpoint"), "access_denied"), "dropped")
        client.refuses("ReadStreamEvents", "permission_denied", {"event_stream_id": "gone"})
        client.write("stays", "a")
        has(client.push("event"), sub="stays")
        it.rules(it=rule("read"))
        has(client.push("dropped"), sub="stays", reason="access_denied")
        it.rules()
        client.subscribe(stream="gone", group="g", sub="again")
        equal(client.push("event")["event"]["event_number"], 0, "what was not acknowledged is delivered again")


@test("SIGHUP: a subscription ends whose user of the store is another one now, or that brought its own and may not any more")
def _():
    with ruled() as (world, it):
        client, stream = world.client(), world.stream()
        client.subscribe(stream=stream, sub="plain")
        client.subscribe(stream=stream, sub="own", credentials=OPS)
        it.rules(it=rule("subscribe, write", credentials="yes"))
        client.quiet()
        it.rules(it=rule("subscribe, write"))
        has(client.push("dropped"), sub="own", reason="access_denied")
        it.rules(it=rule("subscribe, write", username="admin", password_file=password_file(world)))
        has(client.push("dropped"), sub="plain", reason="access_denied")
        client.subscribe(stream=stream, sub="by_rule")
        it.rules(it=rule("subscribe, write", username="admin", password_file=password_file(world)))
        client.quiet()
        it.rules(it=rule("subscribe, write", username="admin", password_file=password_file(world, "other\n")))
        has(client.push("dropped"), sub="by_rule", reason="access_denied")


@test("SIGHUP with a mistake in a rule: FILE:LINE in the log, the rules stay; at the start it is status 78")
def _():
    with ruled() as (world, it):
        it.rules(it=rule("read"))
        with open(world.bridge.config, "w", encoding="utf-8") as file:
            file.write("[access it]\nusers = *\nallow = everything\n")
        world.bridge.process.send_signal(signal.SIGHUP)
        until(lambda: world.bridge.config + ":3: allow:" in world.bridge.said(), "FILE:LINE in the log")
        equal(world.client().ok("hello")["permissions"], ["read", "admin"], "permissions")
        done = subprocess.run([ESBRIDGED, "--check", "-c", world.bridge.config], capture_output=True, text=True, check=False)
        equal(done.returncode, 78, "status")
        true(":3: allow: expected some of read, write" in done.stderr, "what is said: %r" % done.stderr)


@test("a refusal is in the log once for each client and reason, and a flood of them does not fill it")
def _():
    with ruled() as (world, it):
        it.rules(it=rule("read", streams="a"))
        client, began = world.client(), time.monotonic()
        for _ in range(5):
            client.refuses("ReadStreamEvents", "permission_denied", {"event_stream_id": "b"})
            client.refuses("WriteEvents", "permission_denied", {"event_stream_id": "a", "events": EVENTS})
        equal(world.bridge.said().count("permission denied client="), 2, "lines")
        true("rule=it reason=write" in world.bridge.said(), "what they say: %s" % world.bridge.said()[-500:])
        for _ in range(40):
            with world.bridge.client() as other:
                other.refuses("ReadStreamEvents", "permission_denied", {"event_stream_id": "b"})
        lines = world.bridge.said().count("permission denied client=")
        true(20 <= lines <= 20 * (1 + (time.monotonic() - began) // 10), "%d lines" % lines)   # in each ten seconds


if __name__ == "__main__":
    main(shared=False)
