#!/usr/bin/env python3
"""execute: every message, good and bad, and what the store's answers become."""

import base64
import re
import uuid

from harness import CODES, UUID_TEXT, World, equal, has, main, numbers, test, true, types

ADMIN = {"store": {"username": "admin", "password": "changeit"}}


def new_id():
    return str(uuid.uuid4())


def some(count, prefix="t"):
    return ["%s%d" % (prefix, i) for i in range(count)]


# Writing ----------------------------------------------------------------------------------------------------

@test("a write to a new stream gets the numbers from 0, and to an existing one those that follow")
def _(world):
    client, stream = world.client(), world.stream()
    body = client.write(stream, *some(3))
    has(body, result="Success", first_event_number=0, last_event_number=2)
    true(body["commit_position"] >= body["prepare_position"] > 0, "positions in %r" % body)
    true("current_version" not in body and "message" not in body, "nothing else in %r" % body)
    has(client.write(stream, "t3"), first_event_number=3, last_event_number=3)
    equal(types(client.read(stream)["events"]), some(4), "types")


@test("the answer names the message and the event ids, which are those stored")
def _(world):
    client, stream = world.client(), world.stream()
    mine = new_id()
    ok = client.execute_ok("WriteEvents", {"event_stream_id": stream, "events": [
        {"event_type": "a"}, {"event_type": "b", "event_id": mine}, {"event_type": "c"}]})
    equal(ok["message"], "WriteEventsCompleted", "message")
    ids = ok["event_ids"]
    equal(len(set(ids)), 3, "ids")
    equal(ids[1], mine, "the id given")
    true(all(UUID_TEXT.match(i) for i in ids), "lower-case UUIDs in %r" % ids)
    equal([e["event"]["event_id"] for e in client.read(stream)["events"]], ids, "ids read")


@test("an event id in upper case is the same id")
def _(world):
    client, stream = world.client(), world.stream()
    mine = new_id()
    client.write(stream, {"event_type": "a", "event_id": mine.upper()})
    equal(client.read(stream)["events"][0]["event"]["event_id"], mine, "id")


@test("a write with the same ids again: the same answer, nothing stored twice")
def _(world):
    client = world.client()
    for expected in (-2, -1, "any", "no_stream"):
        stream = world.stream()
        events = [{"event_type": t, "event_id": new_id()} for t in ("a", "b")]
        for _ in range(3):
            has(client.write(stream, *events, expected=expected), first_event_number=0, last_event_number=1)
        equal(len(client.read(stream)["events"]), 2, "events with expected %r" % expected)


@test("a repeat that is new in part is wrong_expected_version")
def _(world):
    client, stream = world.client(), world.stream()
    old = {"event_type": "a", "event_id": new_id()}
    client.write(stream, old, expected=-1)
    client.refuses("WriteEvents", "wrong_expected_version",
                   {"event_stream_id": stream, "expected_version": -1, "events": [old, {"event_type": "b"}]})


@test("wrong expected version: the code, the current version, and a message that says both")
def _(world):
    client, stream = world.client(), world.stream()
    client.write(stream, *some(7))
    error = client.refuses("WriteEvents", "wrong_expected_version",
                           {"event_stream_id": stream, "expected_version": 4, "events": [{"event_type": "x"}]})
    has(error, retry=False, outcome="none")
    equal(error["message"], "stream '%s' is at 6, not 4" % stream, "message")
    has(error["body"], result="WrongExpectedVersion", current_version=6)
    true("first_event_number" not in error["body"], "no sentinel in %r" % error["body"])
    error = client.refuses("WriteEvents", "wrong_expected_version",
                           {"event_stream_id": stream, "expected_version": 9, "events": [{"event_type": "x"}]})
    equal(error["message"], "stream '%s' is at 6, not 9" % stream, "message")
    for word in ("no_stream", -1):
        error = client.refuses("WriteEvents", "wrong_expected_version",
                               {"event_stream_id": stream, "expected_version": word, "events": [{"event_type": "x"}]})
        has(error["body"], current_version=6)
    equal(len(client.read(stream)["events"]), 7, "events")


@test("expected versions: no_stream, stream_exists, any, a number, a number as text")
def _(world):
    client, stream = world.client(), world.stream()
    error = client.refuses("WriteEvents", "wrong_expected_version",
                           {"event_stream_id": stream, "expected_version": "stream_exists", "events": [{"event_type": "x"}]})
    has(error["body"], current_version=-1)
    client.write(stream, "a", expected="no_stream")
    client.write(stream, "b", expected=0)
    client.write(stream, "c", expected="1")
    client.write(stream, "d", expected="stream_exists")
    client.write(stream, "e", expected=-4)
    client.write(stream, "f", expected="any")
    equal(types(client.read(stream)["events"]), list("abcdef"), "types")
    for word in ("anything", "", "1x", 1.5, True, None, [], "ANY"):
        client.refuses("WriteEvents", "bad_request",
                       {"event_stream_id": stream, "expected_version": word, "events": [{"event_type": "x"}]})
    for number in (-3, -5):
        client.refuses("WriteEvents", "server_bad_request",
                       {"event_stream_id": stream, "expected_version": number, "events": [{"event_type": "x"}]})


@test("an empty list of events: success, and nothing stored")
def _(world):
    client, stream = world.client(), world.stream()
    ok = client.execute_ok("WriteEvents", {"event_stream_id": stream, "events": []})
    has(ok["body"], first_event_number=0, last_event_number=-1)
    equal(ok["event_ids"], [], "event_ids")
    client.refuses("ReadStreamEvents", "no_stream", {"event_stream_id": stream})


@test("1,000 events in one write, read back in pages")
def _(world):
    client, stream = world.client(), world.stream()
    has(client.write(stream, *({"event_type": "t%d" % i, "data": {"n": i}} for i in range(1000))), last_event_number=999)
    got, at = [], 0
    while True:
        page = client.read(stream, at, 300)
        got += [e["event"]["data"]["n"] for e in page["events"]]
        if page["is_end_of_stream"]:
            break
        at = page["next_event_number"]
    equal(got, list(range(1000)), "events")


@test("an event of 4 MiB comes back as it was")
def _(world):
    client, stream = world.client(), world.stream()
    text = "žlj" * (4 * 1024 * 1024 // 5)
    client.write(stream, {"event_type": "big", "data_text": text, "data_content_type": 0})
    client.send({"op": "execute", "id": "big", "message": "ReadEvent", "body": {"event_stream_id": stream}})
    line = client.reply("big")

    equal(base64.b64decode(line["ok"]["body"]["event"]["event"]["data_base64"]).decode(), text, "data")


@test("an event over the store's limit: server_bad_request, and the connection goes on")
def _(world):
    with World(merged_line("40M")) as other:
        client, stream = other.client(), other.stream()
        body = {"event_stream_id": stream, "events": [{"event_type": "big", "data_text": "x" * 16767217}]}
        client.refuses("WriteEvents", "server_bad_request", body)
        client.write(stream, "small")
        equal(types(client.read(stream)["events"]), ["small"], "types")


def merged_line(size):
    return dict(ADMIN, limits={"line": size})


@test("bodies that are no WriteEvents are bad_request and name the member")
def _(world):
    client = world.client()
    for body, member in (
            ({"events": []}, "event_stream_id"), ({"event_stream_id": "", "events": []}, "event_stream_id"),
            ({"event_stream_id": 1, "events": []}, "event_stream_id"), ({"event_stream_id": "s", "events": {}}, "events"),
            ({"event_stream_id": "s", "events": [1]}, "events[0]"),
            ({"event_stream_id": "s", "events": [{"event_type": "a"}, {}]}, "events[1]"),
            ({"event_stream_id": "s", "events": [{"event_type": ""}]}, "event_type"),
            ({"event_stream_id": "s", "events": [{"event_type": 5}]}, "event_type"),
            ({"event_stream_id": "s", "events": [{"event_type": "t", "event_id": "nonsense"}]}, "event_id"),
            ({"event_stream_id": "s", "events": [{"event_type": "t", "event_id": 1}]}, "event_id"),
            ({"event_stream_id": "s", "events": [{"event_type": "t", "data": 1, "data_text": "1"}]}, "data"),
            ({"event_stream_id": "s", "events": [{"event_type": "t", "data_text": "a", "data_base64": "YQ=="}]}, "data"),
            ({"event_stream_id": "s", "events": [{"event_type": "t", "metadata": 1, "metadata_base64": "YQ=="}]}, "metadata"),
            ({"event_stream_id": "s", "events": [{"event_type": "t", "data_text": 1}]}, "data_text"),
            ({"event_stream_id": "s", "events": [{"event_type": "t", "data_base64": "Y"}]}, "data_base64"),
            ({"event_stream_id": "s", "events": [{"event_type": "t", "data_base64": "YQ==="}]}, "data_base64"),
            ({"event_stream_id": "s", "events": [{"event_type": "t", "data_base64": "Y*=="}]}, "data_base64"),
            ({"event_stream_id": "s", "events": [{"event_type": "t", "data_content_type": "1"}]}, "data_content_type"),
            ({"event_stream_id": "s", "events": [{"event_type": "t", "data_content_type": 1 << 31}]}, "data_content_type"),
            ({"event_stream_id": "s", "events": [], "require_master": 1}, "require_master"),
            ({"event_stream_id": "s", "events": [], "require_master": True, "require_leader": True}, "require_"),
            ({"event_stream_id": "s", "events": [], "expected_version": 1 << 63}, "expected_version")):
        error = client.refuses("WriteEvents", "bad_request", body)
        true(member in error["message"], "%r is not named in %r" % (member, error["message"]))
        has(error, retry=False)
    client.fails("execute", "bad_request", message="WriteEvents", body=[])
    client.fails("execute", "bad_request", message="WriteEvents", body=None)
    client.refuses("ReadStreamEvents", "no_stream", {"event_stream_id": "s"})


@test("message and body: missing, unknown, of another type")
def _(world):
    client = world.client()
    client.fails("execute", "bad_request", body={})
    client.fails("execute", "bad_request", message=1, body={})
    for name in ("WriteEvent", "", "writeevents", "WriteEventsCompleted", "SubscribeToStream"):
        client.fails("execute", "unknown_message", message=name, body={})
    client.fails("execute", "bad_request", message="WriteEvents")


@test("aliases: ReadStreamEventsForward, ReadAllEventsForward, require_leader")
def _(world):
    client, stream = world.client(), world.stream()
    client.write(stream, "a")
    ok = client.execute_ok("ReadStreamEventsForward", {"event_stream_id": stream, "require_leader": False})
    equal(ok["message"], "ReadStreamEventsCompleted", "message")
    client.execute("ReadAllEventsForward", {"commit_position": 0, "prepare_position": 0, "max_count": 1})
    client.refuses("ReadStreamEventsForward", "bad_request",
                   {"event_stream_id": stream, "require_leader": False, "require_master": False})


# Reading ----------------------------------------------------------------------------------------------------

@test("reading forward: from the start, the middle, the end, beyond it")
def _(world):
    client, stream = world.client(), world.stream()
    client.write(stream, *some(10))
    page = client.execute("ReadStreamEvents", {"event_stream_id": stream})
    equal(numbers(page["events"]), list(range(10)), "all by default")
    has(page, result="Success", next_event_number=10, last_event_number=9, is_end_of_stream=True)
    page = client.read(stream, 3, 4)
    equal(numbers(page["events"]), [3, 4, 5, 6], "middle")
    has(page, next_event_number=7, is_end_of_stream=False)
    has(client.read(stream, 9, 1), is_end_of_stream=True)
    page = client.read(stream, 50, 5)
    has(page, events=[], next_event_number=10, is_end_of_stream=True)


@test("reading backward: from the end (-1, the default), the middle, the start, beyond the end")
def _(world):
    client, stream = world.client(), world.stream()
    client.write(stream, *some(10))

    def back(**members):
        return client.execute("ReadStreamEventsBackward", dict({"event_stream_id": stream}, **members))
    equal(numbers(back()["events"]), list(range(9, -1, -1)), "all by default")
    has(back(), is_end_of_stream=True, next_event_number=-1)
    page = back(from_event_number=-1, max_count=2)
    equal(numbers(page["events"]), [9, 8], "the last two")
    has(page, next_event_number=7, is_end_of_stream=False)
    equal(numbers(back(from_event_number=4, max_count=2)["events"]), [4, 3], "middle")
    has(back(from_event_number=0), is_end_of_stream=True)
    equal(numbers(back(from_event_number=11, max_count=5)["events"]), [9, 8, 7], "from beyond the end")


@test("an event as it is read: all its members")
def _(world):
    client, stream = world.client(), world.stream()
    mine = new_id()
    client.write(stream, {"event_type": "Created", "event_id": mine, "data": {"a": 1}, "metadata": {"b": 2}})
    item = client.read(stream)["events"][0]
    equal(sorted(item), ["event"], "members")
    event = item["event"]
    has(event, event_stream_id=stream, event_number=0, event_id=mine, event_type="Created", data_content_type=1,
        metadata_content_type=1, data={"a": 1}, metadata={"b": 2})
    true(re.match(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z\Z", event["created"]), "created %r" % event["created"])
    true(1e12 < event["created_epoch"] < 1e13, "created_epoch %r" % event["created_epoch"])
    equal(sorted(event), sorted("event_stream_id event_number event_id event_type data_content_type metadata_content_type "
                                "created created_epoch data metadata".split()), "members")


@test("no such stream: no_stream, with the store's body")
def _(world):
    client, stream = world.client(), world.stream("missing")
    for message in ("ReadStreamEvents", "ReadStreamEventsBackward", "ReadEvent"):
        error = client.refuses(message, "no_stream", {"event_stream_id": stream})
        has(error, retry=False)
        has(error["body"], result="NoStream")
        true("outcome" not in error, "a read changes nothing: no outcome in %r" % error)


@test("one event: by number, the last, one that is not there, below -1")
def _(world):
    client, stream = world.client(), world.stream()
    client.write(stream, *some(3))

    def one(number):
        return {"event_stream_id": stream, "event_number": number}
    equal(client.execute("ReadEvent", one(1))["event"]["event"]["event_type"], "t1", "number 1")
    equal(client.execute("ReadEvent", one(-1))["event"]["event"]["event_number"], 2, "the last")
    has(client.refuses("ReadEvent", "not_found", one(3))["body"], result="NotFound")
    client.refuses("ReadEvent", "server_bad_request", one(-2))


@test("reads that the store refuses")
def _(world):
    client, stream = world.client(), world.stream()
    client.write(stream, "a")
    for message, more in (("ReadStreamEvents", {"max_count": 4097}), ("ReadStreamEvents", {"max_count": 0}),
                          ("ReadStreamEvents", {"from_event_number": -1})):
        has(client.refuses(message, "server_error", dict({"event_stream_id": stream}, **more))["body"], result="Error")
    client.refuses("ReadStreamEvents", "server_bad_request", {"event_stream_id": stream, "from_event_number": -2})
    client.refuses("ReadStreamEvents", "bad_request", {"event_stream_id": stream, "max_count": 1 << 31})
    client.refuses("ReadStreamEvents", "bad_request", {"event_stream_id": stream, "max_count": "many"})


@test("reading all forward to the end and backward to the start: the same events")
def _(world):
    client, stream = world.client(), world.stream()
    client.write(stream, *some(25))
    client.write(stream + "-b", *some(5))

    def walk(message, commit, prepare):
        events = []
        while True:
            page = client.execute(message, {"commit_position": commit, "prepare_position": prepare, "max_count": 7,
                                            "resolve_link_tos": False})
            if not page["events"]:
                return events
            events += page["events"]
            commit, prepare = page["next_commit_position"], page["next_prepare_position"]
    forward, backward = walk("ReadAllEvents", 0, 0), walk("ReadAllEventsBackward", -1, -1)
    ids = [e["event"]["event_id"] for e in forward]
    equal(ids[::-1], [e["event"]["event_id"] for e in backward], "ids")
    places = [(e["position"]["commit"], e["position"]["prepare"]) for e in forward]
    equal(places, sorted(set(places)), "positions")
    true("commit_position" not in forward[0], "positions are in `position` alone: %r" % forward[0])
    mine = [e["event"]["event_type"] for e in forward if e["event"]["event_stream_id"] == stream]
    equal(mine, some(25), "own events")


@test("links: resolved, not resolved, dangling")
def _(world):
    client, target, links = world.client(), world.stream("target"), world.stream("links")
    client.write(target, "a", "b")
    for where in ("1@" + target, "7@" + target):
        client.write(links, {"event_type": "$>", "data_text": where})
    resolved, dangling = client.read(links)["events"]
    has(resolved["event"], event_type="b", event_number=1, event_stream_id=target)
    has(resolved["link"], event_type="$>", event_number=0, event_stream_id=links)
    true("event" not in dangling, "no event in %r" % dangling)
    has(dangling["link"], event_number=1)
    plain = client.execute("ReadStreamEvents", {"event_stream_id": links, "resolve_link_tos": False})["events"]
    equal([e["event"]["event_type"] for e in plain], ["$>", "$>"], "types")
    true(all("link" not in e for e in plain), "no link")
    one = client.execute("ReadEvent", {"event_stream_id": links, "event_number": 0})["event"]
    equal((one["event"]["event_type"], one["link"]["event_number"]), ("b", 0), "one event")


# Deleting ---------------------------------------------------------------------------------------------------

def delete(client, stream, **members):
    return client.execute("DeleteStream", dict({"event_stream_id": stream}, **members))


@test("soft delete: the stream is gone, and writing again goes on numbering")
def _(world):
    client, stream = world.client(), world.stream()
    client.write(stream, *some(3))
    has(delete(client, stream), result="Success")
    client.refuses("ReadStreamEvents", "no_stream", {"event_stream_id": stream})
    client.refuses("ReadEvent", "no_stream", {"event_stream_id": stream, "event_number": 0})
    has(client.write(stream, "again"), first_event_number=3)
    equal(numbers(client.read(stream)["events"]), [3], "numbers")
    delete(client, stream)
    delete(client, stream)
    client.refuses("ReadStreamEvents", "no_stream", {"event_stream_id": stream})


@test("soft delete with a wrong version is wrong_expected_version")
def _(world):
    client, stream = world.client(), world.stream()
    client.write(stream, *some(3))
    error = client.refuses("DeleteStream", "wrong_expected_version", {"event_stream_id": stream, "expected_version": 1})
    has(error, outcome="none", retry=False)
    delete(client, stream, expected_version=2)


@test("hard delete: stream_deleted for ever after")
def _(world):
    client, stream = world.client(), world.stream()
    client.write(stream, *some(3))
    delete(client, stream, hard_delete=True)
    for message in ("ReadStreamEvents", "ReadStreamEventsBackward", "ReadEvent", "DeleteStream"):
        client.refuses(message, "stream_deleted", {"event_stream_id": stream})
    client.refuses("DeleteStream", "stream_deleted", {"event_stream_id": stream, "hard_delete": True})
    error = client.refuses("WriteEvents", "stream_deleted", {"event_stream_id": stream, "events": [{"event_type": "x"}]})
    has(error, outcome="none", retry=False)
    true("current_version" not in error["body"], "no current_version in %r" % error["body"])


@test("hard delete after a soft delete, and of what was never there as the store says")
def _(world):
    client, stream = world.client(), world.stream()
    client.write(stream, "a")
    delete(client, stream)
    delete(client, stream, hard_delete=True)
    client.refuses("ReadStreamEvents", "stream_deleted", {"event_stream_id": stream})
    line = client.ask({"op": "execute", "message": "DeleteStream", "body": {"event_stream_id": world.stream("never")}})
    true("ok" in line or line["error"]["code"] == "wrong_expected_version", "what the store says: %r" % line)


# Transactions, metadata -------------------------------------------------------------------------------------

def transaction(client, stream, **members):
    ok = client.execute_ok("TransactionStart", dict({"event_stream_id": stream}, **members))
    equal(ok["message"], "TransactionStartCompleted", "message")
    return ok["body"]["transaction_id"]


def add(client, number, *names):
    return client.execute_ok("TransactionWrite", {"transaction_id": number,
                                                  "events": [{"event_type": n, "data": {"n": n}} for n in names]})


@test("a transaction: start, write, write, commit; nothing to be seen before the commit")
def _(world):
    client, stream = world.client(), world.stream()
    number = transaction(client, stream)
    equal(len(add(client, number, "a", "b")["event_ids"]), 2, "event_ids")
    add(client, number, "c")
    client.refuses("ReadStreamEvents", "no_stream", {"event_stream_id": stream})
    done = client.execute("TransactionCommit", {"transaction_id": number})
    has(done, result="Success", transaction_id=number, first_event_number=0, last_event_number=2)
    equal(types(client.read(stream)["events"]), ["a", "b", "c"], "types")


@test("a transaction with a wrong version fails at the commit, and an unknown one is refused")
def _(world):
    client, stream = world.client(), world.stream()
    client.write(stream, *some(4))
    number = transaction(client, stream, expected_version=1)
    add(client, number, "x")
    error = client.refuses("TransactionCommit", "wrong_expected_version", {"transaction_id": number})
    has(error, outcome="none")
    equal(len(client.read(stream)["events"]), 4, "events")
    line = client.ask({"op": "execute", "message": "TransactionCommit", "body": {"transaction_id": 987654321}})
    said = ("access_denied", "invalid_transaction", "prepare_timeout")   # the last by 22.10 without access control
    true(line["error"]["code"] in said, "what the store says: %r" % line)


@test("committing twice is answered, and stores once")
def _(world):
    client, stream = world.client(), world.stream()
    number = transaction(client, stream)
    add(client, number, "a")
    client.execute("TransactionCommit", {"transaction_id": number})
    line = client.ask({"op": "execute", "message": "TransactionCommit", "body": {"transaction_id": number}})
    true("ok" in line or line["error"]["code"] in CODES, "what the store says: %r" % line)
    equal(types(client.read(stream)["events"]), ["a"], "types")


@test("metadata: written, read, and $maxCount obeyed")
def _(world):
    client, stream = world.client(), world.stream()
    client.write(stream, *some(5))
    client.write("$$" + stream, {"event_type": "$metadata", "data": {"$maxCount": 2, "mine": 1.10}})
    equal(numbers(client.read(stream)["events"]), [3, 4], "numbers")
    event = client.execute("ReadEvent", {"event_stream_id": "$$" + stream, "event_number": -1})["event"]["event"]
    has(event, event_type="$metadata", data={"$maxCount": 2, "mine": 1.1})


@test("metadata that was never set: success without an event, or what the store says")
def _(world):
    client, stream = world.client(), world.stream()
    client.write(stream, "a")
    line = client.ask({"op": "execute", "message": "ReadEvent", "body": {"event_stream_id": "$$" + stream, "event_number": -1}})
    if "ok" in line:
        true(not line["ok"]["body"].get("event"), "no event in %r" % line)
    else:
        equal(line["error"]["code"], "no_stream", "code")


# Groups -----------------------------------------------------------------------------------------------------

def group(stream, name="g", **members):
    return dict({"event_stream_id": stream, "subscription_group_name": name}, **members)


@test("groups: create, create again, update, delete, delete again")
def _(world):
    client, stream = world.client(), world.stream()
    ok = client.execute_ok("CreatePersistentSubscription", group(stream))
    equal(ok["message"], "CreatePersistentSubscriptionCompleted", "message")
    has(ok["body"], result="Success")
    true("reason" not in ok["body"], "empty texts are left out: %r" % ok["body"])
    has(client.refuses("CreatePersistentSubscription", "already_exists", group(stream))["body"], result="AlreadyExists")
    client.execute("UpdatePersistentSubscription", group(stream, max_retry_count=3, named_consumer_strategy="Pinned"))
    client.refuses("UpdatePersistentSubscription", "does_not_exist", group(stream, "other"))
    client.execute("DeletePersistentSubscription", group(stream))
    has(client.refuses("DeletePersistentSubscription", "does_not_exist", group(stream))["body"], result="DoesNotExist")
    error = client.refuses("CreatePersistentSubscription", "fail", group(stream, named_consumer_strategy="Nonsense"))
    has(error, outcome="none")


@test("groups: bodies that are wrong")
def _(world):
    client = world.client()
    client.refuses("CreatePersistentSubscription", "bad_request", group("s", max_retry_count="three"))
    client.refuses("CreatePersistentSubscription", "bad_request", group("s", max_retries=3))
    client.refuses("CreatePersistentSubscription", "bad_request", {"event_stream_id": "s"})
    client.refuses("DeletePersistentSubscription", "bad_request", group("s", max_retry_count=3))


@test("ScavengeDatabase is answered")
def _(world):
    client = world.client()
    ok = client.execute_ok("ScavengeDatabase", {})
    true(ok["message"] in ("ScavengeDatabaseCompleted", "ScavengeDatabaseResponse"), "message %r" % ok["message"])
    true(ok["body"]["result"] in ("Success", "Started"), "result %r" % ok)


# Members of the request -------------------------------------------------------------------------------------

@test("correlation_id: taken where it is a UUID, not where it is zero or none")
def _(world):
    client, stream = world.client(), world.stream()
    mine = new_id()
    for _ in range(2):
        client.write(stream, "a", correlation_id=mine)
    for bad in ("00000000-0000-0000-0000-000000000000", "x", "", 1, None, mine + "0", mine[:-1]):
        error = client.refuses("WriteEvents", "bad_request",
                               {"event_stream_id": stream, "events": [{"event_type": "a"}]}, correlation_id=bad)
        true("correlation_id" in error["message"], "named in %r" % error["message"])
    equal(len(client.read(stream)["events"]), 2, "events")


@test("timeout_ms: whole milliseconds, at least 1")
def _(world):
    client, stream = world.client(), world.stream()
    client.write(stream, "a", timeout_ms=1000)
    for bad in (0, -1, 1.5, "1000", None, True, 1 << 63):
        error = client.fails("ping", "bad_request", timeout_ms=bad)
        true("timeout_ms" in error["message"], "named in %r" % error["message"])


@test("requests of one connection reach the store in their order")
def _(world):
    client, stream = world.client(), world.stream()
    client.send(*({"op": "execute", "id": i, "message": "WriteEvents", "body": {
        "event_stream_id": stream, "expected_version": i - 1, "events": [{"event_type": "t%d" % i}]}} for i in range(200)))
    for i in range(200):
        line = client.reply(i)
        true("ok" in line, "write %d: %r" % (i, line))
    equal(types(client.read(stream)["events"]), some(200), "types")


# Read-only mode ---------------------------------------------------------------------------------------------

@test("read-only mode refuses what changes the store, at once, and lets the rest through")
def _(world):
    writer, stream = world.client(), world.stream()
    writer.write(stream, "a")
    writer.execute("CreatePersistentSubscription", group(stream, start_from=0))
    with World(dict(ADMIN, daemon={"read_only": "yes"}), port=world.port) as other:
        client = other.client()
        for message, body in (("WriteEvents", {"event_stream_id": stream, "events": [{"event_type": "x"}]}),
                              ("DeleteStream", {"event_stream_id": stream}), ("TransactionStart", {"event_stream_id": stream}),
                              ("TransactionWrite", {"transaction_id": 1, "events": []}),
                              ("TransactionCommit", {"transaction_id": 1}), ("ScavengeDatabase", {}),
                              ("CreatePersistentSubscription", group(stream, "h")),
                              ("UpdatePersistentSubscription", group(stream)), ("DeletePersistentSubscription", group(stream))):
            has(client.refuses(message, "read_only", body), outcome="none", retry=False)
        equal(types(client.read(stream)["events"]), ["a"], "types")
        sub = client.subscribe(stream=stream, group="g")
        push = client.push("event")
        client.ok("ack", sub=sub, events=[push["ack_id"]])
        live = client.subscribe(stream=stream)
        writer.write(stream, "b")
        while client.push("event")["sub"] != live:
            pass
        client.ok("unsubscribe", sub=sub)


if __name__ == "__main__":
    main(ADMIN)
