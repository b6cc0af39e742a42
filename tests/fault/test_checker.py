#!/usr/bin/env python3
"""The checker of the model test finds what is wrong: a history that keeps every promise, and others that break one each."""

import copy
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

import checker  # noqa: E402  (found only now)
import truth  # noqa: E402
from harness import equal, main, test, true  # noqa: E402

IDS = {name: "00000000-0000-4000-8000-00000000000%d" % n for n, name in enumerate("abcdef")}


def write(number, names, expected="any"):
    events = [{"event_type": "t", "event_id": IDS[name], "data": {"n": name}} for name in names]
    return ["send", 1, {"op": "execute", "id": number, "message": "WriteEvents",
                        "body": {"event_stream_id": "s", "expected_version": expected, "events": events}}]


def stored(number, first, last):
    return ["line", 1, {"id": number, "ok": {"body": {"first_event_number": first, "last_event_number": last,
                                                      "commit_position": 100 + last, "prepare_position": 100 + last}}}]


def ok(conn, number, **members):
    return ["line", conn, {"id": number, "ok": members}]


def failed(conn, number, code, **members):
    return ["line", conn, {"id": number, "error": dict(members, code=code, message="of 's', sub 'c' 'g'", retry=True)}]


def event(conn, sub, name, number, **members):
    push = {"push": "event", "sub": sub, "event": {"event_stream_id": "s", "event_number": number, "event_id": IDS[name],
                                                   "event_type": "t", "data": {"n": name}}}
    return ["line", conn, dict(push, ack_id=IDS[name], **members)]


def push(conn, sub, kind, **members):
    return ["line", conn, dict(members, push=kind, sub=sub)]


def ask(conn, number, op, **members):
    return ["send", conn, dict(members, op=op, id=number)]


def ack(conn, number, sub, *names, op="ack", **members):
    return ask(conn, number, op, sub=sub, events=[IDS[name] for name in names], **members)


CREATE = ["send", 1, {"op": "execute", "id": 1, "message": "CreatePersistentSubscription",
                      "body": {"event_stream_id": "s", "subscription_group_name": "g"}}]

# What is promised, kept: two writes, a catch-up reader with a window, a consumer of a group, one of them interrupted.
GOOD = [
    ["bridge", "start"], ["connected"], ["calm"], ["open", 1], ["open", 2],
    CREATE, ok(1, 1, body={}),
    write(2, "ab", "no_stream"), stored(2, 0, 1),
    ask(2, 3, "subscribe", sub="c", stream="s", **{"from": "start", "window": 2}),
    ok(2, 3, sub="c", mode="catchup", window=2, last_event_number=1),
    event(2, "c", "a", 0), event(2, "c", "b", 1), push(2, "c", "caught_up", last_event_number=1),
    ack(2, 4, "c", "a"), ok(2, 4, acked=1),
    ack(2, 5, "c", "b", op="nack", action="retry"), ok(2, 5, nacked=1), event(2, "c", "b", 1),
    ack(2, 6, "c", "b"), ok(2, 6, acked=1),
    ask(1, 7, "subscribe", sub="g", stream="s", group="g", in_flight=1),
    ok(1, 7, sub="g", mode="persistent", window=1, last_event_number=1),
    event(1, "g", "a", 0, retry_count=0), ack(1, 8, "g", "a"), ok(1, 8, acked=1),
    event(1, "g", "b", 1, retry_count=0),
    ["fault", "close all"], ["lost"],
    push(1, "g", "interrupted", reason="connection_lost"), push(2, "c", "interrupted", reason="connection_lost"),
    write(9, "c"), ["connected"], push(1, "g", "resumed"), push(2, "c", "resumed"), ["calm"],
    stored(9, 2, 2), event(2, "c", "c", 2), ack(2, 10, "c", "c"), ok(2, 10, acked=1),
    event(1, "g", "b", 1, retry_count=1), ack(1, 11, "g", "b"), ok(1, 11, acked=1),
    event(1, "g", "c", 2, retry_count=0), ack(1, 12, "g", "c"), ok(1, 12, acked=1),
    ["drained", [["s", "g"]]],
    ask(1, 13, "unsubscribe", sub="g"), ok(1, 13, sub="g"), ask(2, 14, "unsubscribe", sub="c"), ok(2, 14, sub="c"),
    ["close", 1], ["close", 2], ["left", "clients", 1, 1], ["bridge", "term"], ["bridge", "exit 0"],
]
STORED = [("s", n, IDS[name], "t", b'{"n":"%s"}' % name.encode(), 100 + n, 100 + n) for n, name in enumerate("abc")]


def judge(history, entries=None, **version):
    return checker.check(history, truth.Log(STORED if entries is None else entries), **version)


def after(record):
    return GOOD.index(record) + 1


def with_(record, *more):
    """GOOD with MORE behind RECORD."""
    at = after(record)
    return GOOD[:at] + list(more) + GOOD[at:]


def without(*records):
    return [one for one in GOOD if one not in records]


def instead(record, *others):
    at = GOOD.index(record)
    return GOOD[:at] + list(others) + GOOD[at + 1:]


def finds(history, text, entries=None):
    found = judge(copy.deepcopy(history), entries)
    true(any(text in one for one in found), "%r is not found, but %r" % (text, found))


@test("a history that keeps the promises is left alone")
def _():
    equal(judge(copy.deepcopy(GOOD)), [], "violations")


@test("writes: lost, stored twice, stored elsewhere, stored though outcome none, out of order")
def _():
    finds(GOOD, "these are not stored there", STORED[:2])
    finds(GOOD, "is stored {2} times", STORED + [("other", 0, IDS["c"], "t", b"{}", 103, 103)])
    finds(instead(stored(9, 2, 2), stored(9, 1, 1)), "these are not stored there")
    finds(instead(stored(9, 2, 2), failed(1, 9, "unavailable", outcome="none")), "has outcome none and is stored")
    finds(with_(["drained", [["s", "g"]]], write(20, "d"), write(21, "e"), stored(20, 4, 4), stored(21, 3, 3)), "was written after a later one",
          STORED + [("s", 3, IDS["e"], "t", b"{}", 103, 103), ("s", 4, IDS["d"], "t", b"{}", 104, 104)])


@test("writes: an exact version may become right by a later write, where the connection went between the two, and not else")
def _():
    entries = STORED + [("s", 3, IDS["e"], "t", b"{}", 103, 103), ("s", 4, IDS["d"], "t", b"{}", 104, 104)]
    drained, asked, answers = ["drained", [["s", "g"]]], [write(20, "d", 3), write(21, "e")], [stored(20, 4, 4), stored(21, 3, 3)]
    finds(with_(drained, *asked, *answers), "was written after a later one", entries)
    cut = judge(copy.deepcopy(with_(drained, *asked, ["lost"], ["connected"], *answers)), entries)
    true(not any("was written after a later one" in one for one in cut), "found: %r" % cut)


@test("writes: a batch in part, a version that was not there, a refusal that is not true")
def _():
    finds(with_(ok(1, 1, body={}), ["fault", "x"], write(20, "de"), failed(1, 20, "timeout", outcome="unknown")),
          "stored in part", [STORED[0], STORED[1], STORED[2], ("s", 3, IDS["d"], "t", b"{}", 103, 103)])
    finds(instead(write(2, "ab", "no_stream"), write(2, "ab", 7)), "was taken in the state")
    refused = failed(1, 20, "wrong_expected_version", outcome="none", body={"current_version": 5})
    finds(with_(stored(2, 0, 1), write(20, "d", 9), refused), "but the stream was")
    finds(with_(stored(2, 0, 1), write(20, "d", 9), failed(1, 20, "stream_deleted", outcome="none")), "stream_deleted, but")
    finds(with_(stored(2, 0, 1), write(20, "d", 9), failed(1, 20, "stream_deleted")), "no outcome")


@test("requests: no answer, two answers, an answer to nothing, an error without a reason, a wrong outcome")
def _():
    finds(without(stored(9, 2, 2)), "no answer to")
    finds(with_(stored(9, 2, 2), stored(9, 2, 2)), "a second answer")
    finds(with_(stored(9, 2, 2), ok(1, 99)), "an answer to nothing")
    finds(instead(stored(2, 0, 1), failed(1, 2, "timeout", outcome="unknown")), "nothing was the matter")
    finds(instead(stored(9, 2, 2), failed(1, 9, "timeout", outcome="none")), "with outcome none")
    finds(instead(stored(2, 0, 1), failed(1, 2, "shutting_down", outcome="none")), "nobody told it to end")


@test("requests: an answer may be read in a calm after the faults that delayed it, and not before")
def _():
    asked, late = ask(1, 40, "ping"), failed(1, 40, "timeout")
    finds(with_(stored(9, 2, 2), asked, late), "nothing was the matter")
    between = judge(copy.deepcopy(with_(stored(9, 2, 2), asked, ["fault", "delay 200 on Ping#1"], ["calm"], late)))
    equal(between, [], "found")


@test("reads: what was not there yet, what was known and is missing, wrong numbers")
def _():
    def page(numbers, last, end):
        names = "abc"
        return ["line", 1, {"id": 20, "ok": {"body": {
            "events": [{"event": event(1, "", names[n], n)[2]["event"]} for n in numbers],
            "next_event_number": (numbers or [0])[-1] + 1, "last_event_number": last, "is_end_of_stream": end}}}]
    read = ["send", 1, {"op": "execute", "id": 20, "message": "ReadStreamEvents",
                        "body": {"event_stream_id": "s", "from_event_number": 0, "max_count": 5}}]
    equal(judge(with_(stored(2, 0, 1), read, page([0, 1], 1, True))), [], "violations of a good read")
    finds(with_(stored(2, 0, 1), read, page([0, 1, 2], 2, True)), "right were")
    finds(with_(stored(2, 0, 1), read, page([0], 0, True)), "right were")
    finds(with_(stored(2, 0, 1), read, page([1], 1, True)), "right were")
    finds(with_(stored(2, 0, 1), read, failed(1, 20, "no_stream")), "the stream was")


@test("catch-up: a gap, a duplicate, another order, another event, nothing more, an event of the future")
def _():
    finds(without(event(2, "c", "c", 2), ack(2, 10, "c", "c"), ok(2, 10, acked=1)), "2 is missing")
    finds(instead(event(2, "c", "a", 0), event(2, "c", "b", 1)), "0 is missing")
    finds(with_(ok(2, 10, acked=1), event(2, "c", "c", 2)), "came when")
    finds(instead(event(2, "c", "c", 2), event(2, "c", "a", 2)), "its id is not")
    finds(with_(event(2, "c", "a", 0), event(2, "c", "c", 2)), "was not yet written")
    finds(instead(event(2, "c", "b", 1), event(2, "c", "d", 5)), "it is not in the store")


@test("catch-up: caught_up twice, never, too early")
def _():
    told = push(2, "c", "caught_up", last_event_number=1)
    finds(with_(told, told), "caught up 2 times")
    finds(without(told), "caught up 0 times")
    finds(with_(ok(2, 3, sub="c", mode="catchup", window=2, last_event_number=1), told), "0 is missing")
    finds(instead(told, push(2, "c", "caught_up", last_event_number=4)), "caught up at 4")


@test("windows: too many outstanding, a nacked event that does not come again, or too late")
def _():
    finds(instead(ok(2, 3, sub="c", mode="catchup", window=2, last_event_number=1),
                  ok(2, 3, sub="c", mode="catchup", window=1, last_event_number=1)), "2 events are outstanding")
    again = GOOD.index(ok(2, 5, nacked=1)) + 1
    finds(GOOD[:again] + GOOD[again + 3:], "was nacked")
    finds(instead(ok(2, 4, acked=1), failed(2, 4, "unknown_event", body={"events": [IDS["a"]]})), "which was outstanding")


@test("interruptions: without a loss, twice, never over, a gap that may not be")
def _():
    lost = push(2, "c", "interrupted", reason="connection_lost")
    finds(with_(ok(2, 6, acked=1), lost, push(2, "c", "resumed")), "was not lost so often")
    finds(with_(lost, lost), "interrupted twice")
    finds(without(push(2, "c", "resumed")), "while it is interrupted")
    finds(instead(push(2, "c", "resumed"), push(2, "c", "resumed", gap=True)), "a gap")
    finds(with_(ok(2, 6, acked=1), push(2, "c", "dropped", reason="not_found")), "dropped: not_found")


@test("live: after a gap it goes on with the first event asked for since, but for those that were hidden before they came")
def _():
    lost = [["fault", "close all"], ["lost"], push(2, "l", "interrupted", reason="connection_lost"), ["connected"],
            push(2, "l", "resumed", gap=True), ["calm"]]
    begin = [ask(2, 20, "subscribe", sub="l", stream="s"), ok(2, 20, sub="l", mode="live", window=0, last_event_number=2)] + lost
    written = [write(21, "de"), stored(21, 3, 4)]
    limit = [("$$s", 0, IDS["f"], "$metadata", b'{"$maxCount":1}', 103, 103)]
    last = [("s", n, IDS[name], "t", b'{"n":"%s"}' % name.encode(), 100 + n, 100 + n) for n, name in ((3, "d"), (4, "e"))]
    for entries, came, text in ((limit, [4], None), ([], [3, 4], None), ([], [4], "3 is missing, before 4"), (limit, [1], "goes on with 1")):
        events = [event(2, "l", "abcde"[n], n) for n in came]
        for _, _, line in events:
            del line["ack_id"]      # without a window
        found = judge(copy.deepcopy(with_(ok(2, 14, sub="c"), *(begin + written + events))), STORED + entries + last)
        told = [one for one in found if "'l'" in one]
        true(any(text in one for one in told) if text else not told, "%r of %r, but %r" % (text, came, told))


@test("the end of a subscription: nothing after unsubscribe, nothing after dropped")
def _():
    finds(with_(ok(2, 14, sub="c"), event(2, "c", "c", 2)), "is over")
    finds(with_(["open", 2], event(2, "z", "c", 2)), "nobody made")


@test("groups: acked and there again, out twice, too many in flight, a wrong count, never delivered")
def _():
    finds(with_(ok(1, 8, acked=1), event(1, "g", "a", 0, retry_count=1)), "0 comes again: acked")
    other = [ask(2, 20, "subscribe", sub="h", stream="s", group="g", in_flight=5),
             ok(2, 20, sub="h", mode="persistent", window=5, last_event_number=1), event(2, "h", "c", 2, retry_count=0)]
    finds(with_(event(1, "g", "c", 2, retry_count=0), *other), "is out already")
    finds(with_(event(1, "g", "a", 0, retry_count=0), event(1, "g", "b", 1, retry_count=0)), "2 events are in flight")
    finds(instead(ack(1, 8, "g", "a"), ack(1, 8, "g", "a", op="nack", action="retry"), event(1, "g", "a", 0, retry_count=3)),
          "has retry_count 3 after 0")
    finds(without(event(1, "g", "c", 2, retry_count=0), ack(1, 12, "g", "c"), ok(1, 12, acked=1)), "was not dealt with")
    finds(instead(ok(1, 1, body={}), failed(1, 1, "already_exists", outcome="none")), "but the group was")


@test("groups: an up_to on its way takes what was delivered before its event came again; without one, the same refusal is wrong")
def _():
    begin = [ok(2, 20, sub="h", mode="persistent", window=5, last_event_number=1), event(2, "h", "a", 0, retry_count=0)]
    asked = ask(2, 20, "subscribe", sub="h", stream="s", group="k", in_flight=5)
    made = ask(1, 21, "execute", message="CreatePersistentSubscription", body={"event_stream_id": "s", "subscription_group_name": "k"})
    up_to = ask(2, 22, "ack", sub="h", up_to=IDS["a"])
    others = [event(2, "h", "b", 1, retry_count=0), ack(2, 23, "h", "b"), event(2, "h", "c", 2, retry_count=0)]
    again = event(2, "h", "a", 0, retry_count=1)
    refused = failed(2, 23, "unknown_event", body={"events": [IDS["b"]]})
    text = "does not know the event %s, which was outstanding" % IDS["b"]
    for order, wrong in (([up_to] + others + [again, ok(2, 22, acked=3), refused], False),
                         ([up_to] + others + [ok(2, 22, acked=1), refused], True),
                         ([up_to, ok(2, 22, acked=1)] + others + [again, refused], True)):
        found = judge(copy.deepcopy(with_(stored(9, 2, 2), made, ok(1, 21, body={}), asked, *(begin + order))))
        equal(any(text in one for one in found), wrong, "a refusal is found wrong, in %r" % found)


@test("groups: what an ack has taken that was answered stays dealt with, though a later one of it is refused; one that was refused alone has not")
def _():
    lost = [["fault", "close all"], ["lost"], push(1, "g", "interrupted", reason="connection_lost"),
            push(2, "c", "interrupted", reason="connection_lost"), ["connected"], push(1, "g", "resumed"), push(2, "c", "resumed"), ["calm"]]
    # The nack is on its way while the connection is lost, and is taken for the next delivery; the first ack for the one after it.
    begin = [event(1, "g", "c", 2, retry_count=0), ack(1, 30, "g", "c", op="nack", action="retry"), *lost,
             event(1, "g", "c", 2, retry_count=1), ack(1, 31, "g", "c"), event(1, "g", "c", 2, retry_count=2), ack(1, 32, "g", "c")]
    nacked = ok(1, 30, nacked=1)
    refused = failed(1, 32, "unknown_event", body={"events": [IDS["c"]]})
    last, done = event(1, "g", "c", 2, retry_count=0), [ack(1, 12, "g", "c"), ok(1, 12, acked=1)]
    for then, wrong in (([nacked, ok(1, 31, acked=1), *lost, refused], False),
                        ([nacked, failed(1, 31, "unknown_event", body={"events": [IDS["c"]]}), *lost, refused], True)):
        at = GOOD.index(last)
        history = GOOD[:at] + begin + then + [one for one in GOOD[at + 1:] if one not in done]
        found = judge(copy.deepcopy(history))
        equal(any("was not dealt with" in one for one in found), wrong, "it is found not to be dealt with, in %r" % found)
        true(wrong or not found, "found %r" % found)


@test("groups: an up_to on its way that has taken as many as it may has dealt with them; one that has taken fewer has not")
def _():
    lost = [["fault", "close all"], ["lost"], push(1, "g", "interrupted", reason="connection_lost"),
            push(2, "c", "interrupted", reason="connection_lost"), ["connected"], push(1, "g", "resumed"), push(2, "c", "resumed"), ["calm"]]
    up_to = ask(1, 30, "ack", sub="g", up_to=IDS["b"])
    twice = [event(1, "g", "b", 1, retry_count=1), up_to, event(1, "g", "c", 2, retry_count=0), *lost,
             event(1, "g", "c", 2, retry_count=1), event(1, "g", "b", 1, retry_count=2)]
    first, last = event(1, "g", "b", 1, retry_count=1), ok(1, 12, acked=1)
    for count, wrong in ((2, False), (1, True)):
        history = GOOD[:GOOD.index(first)] + twice + [ok(1, 30, acked=count)] + GOOD[GOOD.index(last) + 1:]
        found = [one for one in judge(copy.deepcopy(history)) if "in flight" not in one]
        equal(["2 was not dealt with" in one for one in found], [True] * wrong, "what is not dealt with, in %r" % found)


@test("every request is answered before the daemon closes, but to a client that does not read while it ends")
def _():
    asked = ask(2, 40, "ping", timeout_ms=5000)
    later = [ask(2, 41, "ping", timeout_ms=5000), ok(2, 41, pong=True, rtt_us=5)]
    down = [["bridge", "term"], ["end", 1], ["end", 2], ["bridge", "exit 0"]]
    until = GOOD[:GOOD.index(["drained", [["s", "g"]]])]
    for deaf, wrong in (([], True), ([["deaf", 1]], True), ([["deaf", 2]], False)):
        found = judge(copy.deepcopy(until + [asked] + later + deaf + down))
        equal(any("closed without an answer" in one for one in found), wrong, "it is found wrong, in %r" % found)


@test("groups: who has asked for its end may read what was on its way to it later than another the next delivery, and nobody else may")
def _():
    other = [ask(2, 20, "subscribe", sub="h", stream="s", group="g", in_flight=5),
             ok(2, 20, sub="h", mode="persistent", window=5, last_event_number=1)]
    end = [ask(2, 21, "unsubscribe", sub="h")]
    late = [event(2, "h", "c", 2, retry_count=0)]
    text = "2 is out already"
    for order, wrong in ((end + late + [ok(2, 21, sub="h")], False), (late, True)):
        found = judge(copy.deepcopy(with_(event(1, "g", "c", 2, retry_count=0), *(other + order))))
        equal(any(text in one for one in found), wrong, "a second delivery is found wrong, in %r" % found)


@test("groups: another may read an event again before who read it last reads the answer to its end, if it came of that end")
def _():
    other = [ask(2, 20, "subscribe", sub="h", stream="s", group="g", in_flight=5),
             ok(2, 20, sub="h", mode="persistent", window=5, last_event_number=1)]
    end, answer = ask(2, 21, "unsubscribe", sub="h"), ok(2, 21, sub="h")

    def judged(version, *records):
        """GOOD, with RECORDS for the delivery to the consumer that stays."""
        history = instead(event(1, "g", "c", 2, retry_count=0), *(other + list(records)))
        return judge(copy.deepcopy(history), version=version)

    def read(conn, sub, count):
        return event(conn, sub, "c", 2, retry_count=count)

    # Before 20.10 the count is 1 when a consumer has left, whatever it was; before 4.1 it is not told.
    for version, first, then, wrong in (("20.10.6", 0, 1, False), ("20.10.6", 2, 3, False), ("20.10.6", 2, 2, True), ("20.10.6", 2, 1, True),
                                        ("5.0.11", 0, 1, False), ("5.0.11", 2, 1, False), ("5.0.11", 0, 0, True), ("3.9.4", 0, 0, False)):
        case = "version %s, count %d after %d" % (version, then, first)
        found = judged(version, end, read(2, "h", first), read(1, "g", then), answer)
        if wrong:
            true(any("2 is out already, on conn 2" in one for one in found), "%s: found %r" % (case, found))
        else:
            equal(found, [], "violations of " + case)
        found = judged(version, read(2, "h", first), read(1, "g", then), end, answer)
        true(any("2 is out already, on conn 2" in one for one in found), "%s, end not asked for: found %r" % (case, found))

    for text, records in (("2 is out already, on conn 2", [end, read(2, "h", 0), read(2, "h", 1), read(1, "g", 2), answer]),
                          ("2 comes again: acked", [read(2, "h", 0), ack(2, 22, "h", "c"), end, read(1, "g", 1), ok(2, 22, acked=1), answer]),
                          ("is over", [end, answer, read(2, "h", 0), read(1, "g", 1)])):
        found = judged("20.10.6", *records)
        true(any(text in one for one in found), "%r is not found, but %r" % (text, found))


@test("groups: what was nacked counts on by one, and by one more for each other that has ended and may have been given it in between")
def _():
    asked = [ask(2, 20, "subscribe", sub="h", stream="s", group="g", in_flight=5),
             ok(2, 20, sub="h", mode="persistent", window=5, last_event_number=1)]
    end, answer = ask(2, 21, "unsubscribe", sub="h"), ok(2, 21, sub="h")
    nack, nacked = ack(1, 22, "g", "c", op="nack", action="retry"), ok(1, 22, nacked=1)
    late = event(2, "h", "c", 2, retry_count=1)

    def read(count):
        return event(1, "g", "c", 2, retry_count=count)

    # What happens between the first delivery and the second, and behind it.
    leaves, left = ([nack, end, nacked], [late, answer]), ([end, nack, nacked, answer], [])
    stays, away = ([nack, nacked], [end, answer]), ([end, answer, nack, nacked], [])
    for version, first, then, (between, behind), wrong in (
            ("20.10.6", 0, 1, left, False), ("20.10.6", 0, 2, leaves, False), ("20.10.6", 0, 2, left, False),
            ("20.10.6", 0, 3, leaves, True), ("20.10.6", 1, 1, leaves, True), ("20.10.6", 0, 2, stays, True), ("20.10.6", 0, 2, away, True),
            ("5.0.11", 2, 1, left, False), ("5.0.11", 2, 3, left, False), ("5.0.11", 2, 4, left, True), ("5.0.11", 2, 1, stays, True)):
        history = instead(event(1, "g", "c", 2, retry_count=0), *asked, read(first), *between, read(then), *behind)
        found = judge(copy.deepcopy(history), version=version)
        text = "2 has retry_count %d after %d" % (then, first)
        case = "version %s, %s, after %r" % (version, text, between)
        if wrong:
            true(any(text in one for one in found), "%s: found %r" % (case, found))
        else:
            equal(found, [], "violations of " + case)
    own = [event(2, "h", "c", 2, retry_count=0), ack(2, 22, "h", "c", op="nack", action="retry"), end,
           event(2, "h", "c", 2, retry_count=2), ok(2, 22, nacked=1), answer]
    found = judge(copy.deepcopy(instead(event(1, "g", "c", 2, retry_count=0), *asked, *own, read(3))), version="20.10.6")
    true(any("2 has retry_count 2 after 0" in one for one in found), "its own end, and found %r" % found)


@test("the daemon: closes a client, ends with another status, leaves something behind, never ends")
def _():
    finds(with_(stored(2, 0, 1), ["open", 3], ["end", 3]), "the daemon closed")
    finds(instead(["bridge", "exit 0"], ["bridge", "exit 1"]), "exit 1")
    finds(instead(["left", "clients", 1, 1], ["left", "clients", 2, 1]), "left at the end")
    finds(without(["drained", [["s", "g"]]]), "did not come to its end")


if __name__ == "__main__":
    main(shared=False)
