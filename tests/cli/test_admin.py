#!/usr/bin/env python3
"""esbridge ping, status, group, checkpoint, delete, metadata, transaction, scavenge, exec, metrics, bench."""

import contextlib
import json
import os
import re
import signal
import socket
import tempfile
import threading

from command import CANTCREAT, DATAERR, INTERRUPTED, NOINPUT, NOPERM, PROTOCOL, TEMPFAIL, UNAVAILABLE, USAGE, Running, \
    events, ok, run
from harness import World, equal, has, main, merged, test, true, until

# Reading all streams and making groups are for administrators.
ADMIN = {"store": {"username": "admin", "password": "changeit"}}


@test("ping")
def ping(world):
    true(re.fullmatch(r"pong after \d+ us\n", ok(world, "ping")), "pong")
    equal(ok(world, "ping", "--quiet"), "")


@test("status is readable; --json is what the daemon says")
def status(world):
    shown = ok(world, "status")
    for part in ("esbridged 0.1.0, up for ", "store 127.0.0.1:", ", ready for ", "role unknown"):
        true(part in shown, "%r in %s" % (part, shown))
    has(json.loads(ok(world, "status", "--json")), version="0.1.0", read_only=False)


class FakeDaemon:
    """What listens on a socket and answers each op with what it is given for it, or with rubbish."""

    def __init__(self, folder, answers):
        self.path, self.answers = os.path.join(folder, "fake"), answers
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError):  # closed
            while True:
                peer = self.listener.accept()[0]
                with peer, peer.makefile("r", encoding="utf-8") as lines:
                    for line in lines:
                        request = json.loads(line)
                        ok_part = self.answers.get(request["op"])
                        answer = {"id": request.get("id"), "ok": ok_part} if ok_part is not None else "rubbish"
                        peer.sendall((json.dumps(answer) + "\n").encode())

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


HELLO = {"protocol": 1, "version": "9.9", "limits": {}, "features": [], "messages": []}


@test("status tells what the client may do and which access rule says so; --all tells the rule of each client")
def status_rule(world):
    true("\naccess: read, write, subscribe, manage" in ok(world, "status"), "without rules")
    with World({"access operators": {"users": "*", "allow": "read, admin"}}) as ruled:
        true("\naccess by rule operators: read, admin\n" in ok(ruled, "status"), "what it may do")
        rows = [line.split() for line in ok(ruled, "status", "--all").splitlines()]
        head = next(row for row in rows if row[:1] == ["CLIENT"])
        row = rows[rows.index(head) + 1]
        true("RULE" in head and "operators" in row, "the rule in %r" % row)


@test("status --all: a table of the clients and one of their subscriptions")
def status_all(world):
    def client(number, **more):
        return dict({"number": number, "uid": 1000, "gid": 1000, "pid": 42, "since_ms": 90061000, "lines": 5, "errors": 1,
                     "in_flight": 2, "subscriptions": []}, **more)
    sub = {"sub": "s1", "mode": "persistent", "stream": "people", "group": "g", "state": "live", "window": 10,
           "outstanding": 3, "delivered": 99, "acked": 96, "retried": 0}
    status_of_all = {"version": "9.9", "uptime_ms": 61000, "client_count": 2, "requests": 1, "executed": 2,
                     "events_pushed": 3, "read_only": True,
                     "store": {"state": "waiting", "endpoint": "h:1", "since_ms": 5, "last_error": "refused\033[2J"},
                     "clients": [client(1, name="worker", subscriptions=[sub, dict(sub, sub="s2")]), client(2)]}
    with FakeDaemon(world.folder, {"hello": HELLO, "status": status_of_all}) as fake:
        shown = ok(None, "-S", fake.path, "status", "--all")
    for line in ("esbridged 9.9, up for 1 min 1 s, read only", "store h:1, waiting for 5 ms", "  last error: refused?[2J"):
        true(line in shown.splitlines(), "%r in %s" % (line, shown))
    rows = [line.split() for line in shown.split("\n\n", 1)[1].splitlines()]
    true(["1", "worker", "1000", "42", "-", "1", "d", "1", "h", "5", "1", "2", "2"] in rows, shown)
    true(["2", "-", "1000", "42", "-", "1", "d", "1", "h", "5", "1", "2", "0"] in rows, shown)
    true(["1", "s1", "persistent", "people", "g", "live", "10", "3", "99", "96", "0"] in rows, shown)
    equal(sum(row[:2] == ["1", "s2"] for row in rows), 1)


@test("a daemon whose answers are none is told, with a status")
def rubbish(world):
    for answers, arguments in (({}, ("ping",)), ({"hello": HELLO}, ("status",)),
                               ({"hello": HELLO, "metrics": {}}, ("metrics",)),
                               ({"hello": HELLO, "execute": {"body": {}}}, ("transaction", "start", "s"))):
        with FakeDaemon(world.folder, answers) as fake:
            done = run(None, "-S", fake.path, "--timeout", "500ms", *arguments)
        true(done.status in (PROTOCOL, UNAVAILABLE, TEMPFAIL) and done.err.startswith("esbridge: "),
             "%s: %d %s" % (arguments, done.status, done.err))


@test("group create, update, delete: what they do is done at the store")
def group(world):
    stream = world.stream()
    equal(ok(world, "group", "create", stream, "g", "start_from=0", "resolve_link_tos=true",
             "named_consumer_strategy=Pinned"), "created group g of %s\n" % stream)
    ok(world, "write", stream, "T", "{}")
    with world.bridge.client() as client:
        client.subscribe(stream=stream, group="g")
        equal(client.push("event")["event"]["event_number"], 0)
    run(world, "group", "create", stream, "g").expect(CANTCREAT, "", "already_exists")
    equal(ok(world, "group", "update", stream, "g", "max_retry_count=3"), "updated group g of %s\n" % stream)
    equal(ok(world, "group", "delete", stream, "g", "-q"), "")
    run(world, "group", "update", stream, "g").expect(NOINPUT, "", "does_not_exist")
    run(world, "group", "delete", stream, "g").expect(NOINPUT, "", "does_not_exist")


@test("group: a wrong setting is named")
def group_wrong(world):
    for setting in ("start=0", "start_from", "start_from=x", "resolve_link_tos=1"):
        run(world, "group", "create", "s", "g", setting).expect(USAGE, "", setting.split("=")[0])
    true("list-settings" in run(world, "group", "create", "s", "g", "x=1").err, "where to look")


@test("group list-settings: all members of the message but the two names, with the daemon's defaults")
def group_settings(world):
    rows = [line.split(None, 2) for line in ok(None, "group", "list-settings").splitlines()[1:]]
    with open(os.path.join(os.environ.get("SRCDIR", "."), "proto", "eventstore.proto"), encoding="utf-8") as file:
        body = re.search(r"^message CreatePersistentSubscription \{\n(.*?)^\}", file.read(), re.M | re.S).group(1)
    members = set(re.findall(r"^\t(?:optional|repeated) [\w.]+ (\w+) =", body, re.M))
    equal({name for name, _, _ in rows}, members - {"subscription_group_name", "event_stream_id"})
    with open(os.path.join(os.environ.get("SRCDIR", "."), "man", "esbridge-protocol.7"), encoding="utf-8") as file:
        page = file.read().split("\n.It Ic CreatePersistentSubscription\n")[1].split("\n.It")[0]
    for name, default, _ in rows:
        told = re.search(r"^\.Ic %s :\n(?:\.Ql \\&\"(\w+)|([-\w]+))" % name, page, re.M)
        equal(default, told.group(1) or told.group(2), "default of %s" % name)


@test("delete: soft, then hard; with an expected version")
def delete(world):
    stream = world.stream()
    ok(world, "write", stream, "T", "{}")
    run(world, "delete", stream, "-e", "7").expect(CANTCREAT, "", "wrong_expected_version")
    equal(ok(world, "delete", stream, "-e", "0"), "deleted %s\n" % stream)
    run(world, "read", stream).expect(NOINPUT, "", "no_stream")
    equal(ok(world, "write", stream, "T", "{}").split()[0], "1")
    equal(ok(world, "delete", stream, "--hard"), "deleted %s for good\n" % stream)
    run(world, "write", stream, "T", "{}").expect(NOINPUT, "", "stream_deleted")


@test("metadata set and get, byte for byte")
def metadata(world):
    stream = world.stream()
    run(world, "metadata", "get", stream).expect(NOINPUT, "")
    equal(ok(world, "metadata", "set", stream, '{"$maxCount":  2}', "-e", "no_stream"),
          "set metadata of %s, version 0\n" % stream)
    equal(ok(world, "metadata", "get", stream), '{"$maxCount":  2}\n')
    ok(world, "metadata", "set", stream, "-", stdin='{"x":1.10}')
    equal(ok(world, "metadata", "get", stream, "--pretty"), '{\n  "x": 1.10\n}\n')
    run(world, "metadata", "set", stream, "{}", "-e", "0").expect(CANTCREAT, "")
    run(world, "metadata", "set", stream, "{").expect(DATAERR, "")


@test("a transaction: start, write, commit; all or nothing")
def transaction(world):
    stream = world.stream()
    number = ok(world, "transaction", "start", stream, "-e", "no_stream").strip()
    true(number.isdigit(), number)
    line = '{"event_type":"T","data":%d}\n'
    equal(ok(world, "transaction", "write", number, stdin=line % 1 + line % 2),
          "wrote 2 events in transaction %s\n" % number)
    ok(world, "transaction", "write", number, stdin=line % 3)
    run(world, "read", stream).expect(NOINPUT, "")
    equal(ok(world, "transaction", "commit", number), "committed transaction %s, events 0 to 2\n" % number)
    equal([e["data"] for e in events(ok(world, "read", stream))], [1, 2, 3])
    run(world, "transaction", "write", "x").expect(USAGE, "", "'x'")
    run(world, "transaction", "write", number, stdin="{}").expect(DATAERR, "", "event 0: ")
    run(world, "transaction", "commit", "-q").expect(USAGE, "", "an argument is missing")


@test("scavenge prints what the store answers")
def scavenge(world):
    true("scavenge" in ok(world, "scavenge").lower(), "answer")


@test("exec: requests as arguments, replies as they are; the status is that of the first error")
def execute(world):
    equal(json.loads(ok(world, "exec", '{"op":"ping","id":"a"}'))["id"], "a")
    done = run(world, "exec", '{"op":"ping","id":1}', '{"op":"nop","id":2}', '{"op":"hello","id":3}').expect(PROTOCOL, silent=True)
    replies = {e["id"]: e for e in events(done.out.decode())}
    equal(sorted(replies), [1, 2, 3])
    equal(replies[2]["error"]["code"], "unknown_op")
    equal(json.loads(run(world, "exec", "{").expect(DATAERR, silent=True).out)["error"]["code"], "bad_json")


@test("exec: lines of standard input, blank ones and a last one without an end; more than are in flight")
def execute_lines(world):
    replies = events(ok(world, "exec", stdin='\n{"op":"ping","id":1}\r\n\n  \n{"op":"ping","id":2}'))
    equal(sorted(r["id"] for r in replies), [1, 2])
    many = "".join('{"op":"ping","id":%d}\n' % n for n in range(2000))
    equal(sorted(r["id"] for r in events(ok(world, "exec", stdin=many))), list(range(2000)))
    equal(ok(world, "exec", stdin=""), "")


@test("exec: a reply is printed while the input goes on; acks without an id are not waited for")
def execute_interactive(world):
    stream = world.stream()
    with Running(world, "exec") as running:
        running.say('{"op":"ping","id":1}')
        equal(json.loads(running.line())["id"], 1)
        running.say(json.dumps({"op": "subscribe", "id": 2, "sub": "s", "stream": stream, "from": "start", "window": 5}))
        equal(json.loads(running.line())["id"], 2)
        equal(json.loads(running.line())["push"], "caught_up")
        ok(world, "write", stream, "T", "{}")
        push = json.loads(running.line())
        has(push, push="event", sub="s")
        running.say(json.dumps({"op": "ack", "sub": "s", "events": [push["ack_id"]]}))
        running.close_input()
        running.end().expect(0, "")


@test("exec --follow goes on printing what a subscription says, until SIGINT")
def execute_follow(world):
    stream = world.stream()
    request = json.dumps({"op": "subscribe", "id": 1, "stream": stream})
    with Running(world, "exec", "-f", request) as running:
        equal(json.loads(running.line())["id"], 1)
        ok(world, "write", stream, "T", "{}")
        has(json.loads(running.line()), push="event")
        running.end(signal.SIGINT).expect(INTERRUPTED, "")


@test("metrics: the text for Prometheus")
def metrics(world):
    text = ok(world, "metrics")
    true("# TYPE esbridge_" in text and text.endswith("\n"), text[:200])


@test("checkpoint set, get, list, delete")
def checkpoint(unused):
    with tempfile.TemporaryDirectory() as folder, World(merged(ADMIN, {"daemon": {"state_dir": folder}})) as world:
        checkpoint_in(world)


def checkpoint_in(world):
    run(world, "checkpoint", "list")
    world.baseline = until(world.bridge.descriptors, "the file is open")
    run(world, "checkpoint", "get", "orders").expect(NOINPUT, "", "not_found")
    equal(ok(world, "checkpoint", "set", "orders", "41"), "41\n")
    equal(ok(world, "checkpoint", "get", "orders"), "41\n")
    equal(ok(world, "checkpoint", "set", "everything", "10/7"), "10/7\n")
    rows = [line.split() for line in ok(world, "checkpoint", "list").splitlines()]
    equal(rows[0], ["CHECKPOINT", "STREAM", "POSITION", "HELD"])
    equal(sorted((row[0], row[-2], row[-1]) for row in rows[1:]), [("everything", "10/7", "no"), ("orders", "41", "no")])
    has(json.loads(ok(world, "checkpoint", "get", "orders", "--json")), name="orders", position=41)
    with world.bridge.client() as client:
        stream = world.stream()
        client.subscribe(stream=stream, checkpoint="held")
        run(world, "checkpoint", "set", "held", "1").expect(CANTCREAT, "", "already_exists")
    for name in ("orders", "everything"):
        equal(ok(world, "checkpoint", "delete", name), "deleted checkpoint %s\n" % name)
    run(world, "checkpoint", "set", "x", "start").expect(USAGE, "", "COMMIT/PREPARE")


@test("another user of the store, with a password from a file")
def credentials(world):
    path = os.path.join(world.folder, "password")
    with open(path, "w", encoding="ascii") as file:
        file.write("changeit\nmore\n")
    with World(start=True) as plain:
        run(plain, "read", "--all").expect(NOPERM, "", "--password-file")
        true(ok(plain, "read", "--all", "-n", "1", "--user", "admin", "--password-file", path), "an event")
        with open(path, "w", encoding="ascii") as file:
            file.write("wrong")
        run(plain, "read", "--all", "--user", "admin", "--password-file", path).expect(NOPERM, "", "not_authenticated")
    run(world, "ping", "--user", "admin").expect(USAGE, "", "go together")
    run(world, "ping", "--user", "admin", "--password-file", path + ".none").expect(NOINPUT, "", "No such file")
    with open(path, "w", encoding="ascii"):
        pass
    run(world, "ping", "--user", "admin", "--password-file", path).expect(DATAERR, "", "first line")


@test("without a store: status says why, everything else that it is unavailable; --timeout says for how long")
def no_store(unused):
    with World(ADMIN) as world:
        world.store.terminate()
        until(lambda: "last error: " in run(world, "status").expect(0).out.decode(), "the reason in status")
        run(world, "ping", "--timeout", "50ms").expect(UNAVAILABLE, "", "'esbridge status' says why")
        run(world, "write", "s", "T", "{}", "--timeout", "50ms").expect(UNAVAILABLE, "", "unavailable")
        world.store.start()
        world.connected()


@test("an answer that does not come in time: status 75, and what that means for a write")
def timeout(unused):
    with World(ADMIN, proxy=True) as world:
        world.proxy.mute()
        done = run(world, "write", "s", "T", "{}", "--timeout", "200ms").expect(TEMPFAIL, "", "timeout")
        true("may have been done" in done.err, done.err)
        world.proxy.speak()
        world.connected()


@test("read-only: writes are refused with status 77")
def read_only(unused):
    with World({"daemon": {"read_only": "yes"}}) as world:
        run(world, "write", "s", "T", "{}").expect(NOPERM, "", "read_only")


@test("bench measures and leaves no stream behind")
def bench(world):
    shown = ok(world, "bench", "-n", "300", "-s", "100", "-i", "8")
    true(re.match(r"300 events of 100 bytes, 8 requests at a time, stream bench-[-0-9a-f]+\n", shown), shown)
    rows = {line.split()[0]: [float(x) for x in line.split()[1:]] for line in shown.splitlines()[2:]}
    equal(sorted(rows), ["reads", "writes"])
    for numbers in rows.values():
        true(len(numbers) == 6 and numbers[0] > 0 and numbers[1:] == sorted(numbers[1:]), shown)
    run(world, "read", re.search("bench-[-0-9a-f]+", shown).group()).expect(NOINPUT, "", "no_stream")
    stream = world.stream()
    ok(world, "bench", "-n", "10", "--stream", stream)
    equal(len(events(ok(world, "read", stream))), 10)


if __name__ == "__main__":
    main(ADMIN, ["--speak", "22.10.5"])
