#!/usr/bin/env python3
"""esbridge write, read, tail: what goes in comes out, byte for byte; ranges, formats, lines, following."""

import json
import signal

from command import CANTCREAT, DATAERR, INTERRUPTED, NOINPUT, PROTOCOL, USAGE, Running, events, ok, run
from harness import World, equal, has, main, test, true, until

UUID = "5cf95f2a-8f3d-4c49-9b4c-7e2f8a1d%04x"


def numbered(world, count, name="numbered"):
    """A stream with COUNT events, the type of each its number."""
    stream = world.stream(name)
    with world.bridge.client() as client:
        for first in range(0, count, 500):
            client.write(stream, *[{"event_type": "t%d" % n, "data": {"n": n}}
                                   for n in range(first, min(first + 500, count))])
    return stream


# write -------------------------------------------------------------------------------------------------

@test("write prints number and id; the event is there, byte for byte")
def write_one(world):
    stream = world.stream()
    data = '{"b":1.10, "a":[1e2,129.950],\n "a":"\\u0041\\n"}'
    said = ok(world, "write", stream, "T", data, "--id", UUID % 1, "-m", '{"by":  "me"}')
    equal(said, "0 %s\n" % (UUID % 1))
    equal(ok(world, "read", stream, "-F", "%d|%m|%t|%i"), "%s|%s|T|%s" % (data, '{"by":  "me"}', UUID % 1))


@test("write takes data from standard input, any bytes, and none at all")
def write_stdin(world):
    stream = world.stream()
    data = bytes(range(256)) * 3000
    ok(world, "write", stream, "T", "-", "-c", "binary", "-q", stdin=data)
    ok(world, "write", stream, "T", "-", "-c", "text", stdin="grüße\n")
    ok(world, "write", stream, "T")
    ok(world, "write", stream, "T", "-", stdin="[1,\n2]\n")
    equal(run(world, "read", stream, "-F", "%d").expect(0).out, data + "grüße\n".encode() + b"[1,\n2]")
    equal(ok(world, "read", stream, "-F", r"%D "), "%d 8 0 6 " % len(data))
    equal([e["data_content_type"] for e in events(ok(world, "read", stream))], [0, 0, 1, 1])


@test("write takes metadata from a file")
def write_metadata(world):
    stream = world.stream()
    path = world.folder + "/metadata.json"
    with open(path, "w", encoding="ascii") as file:
        file.write('{"x": 1}\n')
    ok(world, "write", stream, "T", "{}", "-M", path)
    equal(events(ok(world, "read", stream))[0]["metadata"], {"x": 1})
    run(world, "write", stream, "T", "{}", "-M", path + ".none").expect(NOINPUT, "", "No such file")
    run(world, "write", stream, "T", "{}", "-M", path, "-m", "{}").expect(USAGE, "", "not both")


@test("write with an expected version: a conflict ends with status 73 and says what to do")
def write_expected(world):
    stream = world.stream()
    ok(world, "write", stream, "T", "{}", "-e", "no_stream")
    ok(world, "write", stream, "T", "{}", "-e", "0")
    ok(world, "write", stream, "T", "{}", "-e", "any")
    ok(world, "write", stream, "T", "{}", "-e", "stream_exists")
    for version in ("7", "no_stream"):
        done = run(world, "write", stream, "T", "{}", "-e", version).expect(CANTCREAT, "", "wrong_expected_version")
        true("read the stream" in done.err, done.err)
    run(world, "write", stream, "T", "{}", "-e", "some").expect(USAGE, "", "stream_exists")


@test("write refuses what is no JSON, no UTF-8 and no id")
def write_wrong(world):
    stream = world.stream()
    run(world, "write", stream, "T", "{").expect(DATAERR, "")
    run(world, "write", stream, "T", "-", stdin=b"\xff").expect(DATAERR, "")
    run(world, "write", stream, "T", "-", "-c", "text", stdin=b"\xff").expect(DATAERR, "")
    run(world, "write", stream, "T", "{}", "--id", "x").expect(DATAERR, "")
    run(world, "write", stream, "T", "{}", "-c", "xml").expect(USAGE, "", "json, text, binary")
    run(world, "read", stream).expect(NOINPUT, "")


@test("write --json prints the reply of the daemon")
def write_json(world):
    reply = json.loads(ok(world, "write", world.stream(), "T", "{}", "--json"))
    has(reply, message="WriteEventsCompleted")
    equal(reply["body"]["first_event_number"], 0)


@test("the same id with the same version is stored once")
def write_again(world):
    stream = world.stream()
    for _ in range(2):
        equal(ok(world, "write", stream, "T", "{}", "-i", UUID % 7, "-e", "no_stream"), "0 %s\n" % (UUID % 7))
    equal(len(events(ok(world, "read", stream))), 1)


@test("lines: each is an event, in order, byte for byte, in batches; numbers and ids are printed")
def lines(world):
    stream = world.stream()
    line = '{"event_type":"T","event_id":"%s","data":{"n": %d, "x":1.50},"metadata_text":"m"}'
    said = ok(world, "write", stream, "-b", "7", stdin="\n".join(line % (UUID % n, n) for n in range(100)))
    equal(said.splitlines(), ["%d %s" % (n, UUID % n) for n in range(100)])
    equal(ok(world, "read", stream, "-F", r"%d%m\n"), "".join('{"n": %d, "x":1.50}m\n' % n for n in range(100)))


@test("lines: what read prints can be written, with the same ids, links and all")
def copy(world):
    first, second = world.stream(), world.stream()
    ok(world, "write", first, "A", '{"x": 1.0}', "-m", '{"m":1}')
    ok(world, "write", first, "B", "text", "-c", "text", "-m", "M")
    ok(world, "write", first, "C", "-", "-c", "binary", stdin=b"\0\xff")
    ok(world, "write", first, "D")
    ok(world, "write", second, stdin=ok(world, "read", first))
    shown = "%i %t %d %m %D %M\\n"
    equal(run(world, "read", second, "-F", shown).out, run(world, "read", first, "-F", shown).out)
    flags = [[e["data_content_type"] for e in events(ok(world, "read", s))] for s in (first, second)]
    equal(flags[0], flags[1])


@test("lines: a wrong one is named, what was before it is written, nothing behind it")
def lines_wrong(world):
    good = '{"event_type":"T","data":1}'
    for bad, why in (('{"event_type":"T",}', "at byte"), ('{"data":1}', "event_type"), ("[]", "object"),
                     ('{"event_type":"T","payload":1}', '"payload"'),
                     ('{"event_type":"T","event_type":"U"}', "twice")):
        stream = world.stream()
        run(world, "write", stream, stdin="\n".join([good, good, bad, good])).expect(DATAERR, None, "line 3: ")
        done = run(world, "write", stream, stdin=bad).expect(DATAERR, "", why)
        true("line 1: " in done.err, done.err)
        equal(len(events(ok(world, "read", stream))), 2)


@test("lines: what the daemon refuses is told with the lines it was")
def lines_refused(world):
    stream = world.stream()
    good = '{"event_type":"T","data":1}'
    bad = '{"event_type":"T","event_id":"x"}'
    done = run(world, "write", stream, "-b", "2", stdin="".join(line + "\n" for line in (good, good, good, bad))).expect(DATAERR)
    true("line 3 to 4" in done.err, done.err)
    equal(len(events(ok(world, "read", stream))), 2)
    run(world, "write", stream, "--id", UUID % 1).expect(USAGE, "", "each line")


@test("lines: the expected version is that of the first write, then of what it left")
def lines_expected(world):
    stream = world.stream()
    good = '{"event_type":"T","data":1}\n'
    ok(world, "write", stream, "-b", "2", "-e", "no_stream", stdin=good * 5)
    ok(world, "write", stream, "-b", "2", "-e", "4", stdin=good * 5)
    run(world, "write", stream, "-b", "2", "-e", "4", stdin=good * 5).expect(CANTCREAT, "")
    equal(len(events(ok(world, "read", stream))), 10)


@test("lines: each is written when it comes, though the input goes on")
def lines_at_once(world):
    stream = world.stream()
    with Running(world, "write", stream) as writer:
        for n in range(3):
            writer.say('{"event_type":"T","data":%d}' % n)
            equal(writer.line().split()[0], str(n))
            equal(len(events(ok(world, "read", stream))), n + 1)
        writer.close_input()
        writer.end().expect(0)


# read --------------------------------------------------------------------------------------------------

@test("read prints JSON lines with the members of an event")
def read_lines(world):
    stream = numbered(world, 3)
    got = events(ok(world, "read", stream))
    equal([e["event_number"] for e in got], [0, 1, 2])
    equal(list(got[1]), ["event_stream_id", "event_number", "event_id", "event_type", "data_content_type",
                         "metadata_content_type", "created", "created_epoch", "data"])
    has(got[1], event_stream_id=stream, event_type="t1", data={"n": 1}, data_content_type=1)


@test("read: ranges, counts, backward, over many pages")
def ranges(world):
    stream = numbered(world, 1203)

    def numbers(*arguments):
        return [int(n) for n in ok(world, "read", stream, "-F", r"%n\n", *arguments).split()]
    for arguments, wanted in ((), range(1203)), (("-n", "501"), range(501)), (("-f", "1000"), range(1000, 1203)), \
            (("-f", "500", "-t", "999"), range(500, 1000)), (("-t", "0"), range(1)), \
            (("-f", "3", "-n", "600"), range(3, 603)), (("-f", "2000"), ()), (("-b",), range(1202, -1, -1)), \
            (("-b", "-n", "1"), (1202,)), (("-b", "-f", "700", "-t", "100"), range(700, 99, -1)), \
            (("-b", "-f", "end", "-n", "2"), (1202, 1201)), (("-f", "start", "-n", "1"), (0,)), \
            (("-n", "500"), range(500)), (("-n", "1000"), range(1000)):
        equal(numbers(*arguments), list(wanted), "numbers with %r" % (arguments,))


@test("read --all: all streams, with positions that can be given again")
def read_all(world):
    stream = numbered(world, 5, "everywhere")
    shown = [line.split() for line in ok(world, "read", "--all", "-F", r"%s %n %p\n").splitlines()]
    mine = [line for line in shown if line[0] == stream]
    equal([int(n) for _, n, _ in mine], list(range(5)))
    start, end = mine[1][2], mine[3][2]
    got = ok(world, "read", "--all", "-f", start, "-t", end, "-F", r"%n\n").split()
    equal(got, ["1", "2", "3"])
    equal(ok(world, "read", "--all", "-b", "-n", "1", "-F", "%s %n"), "%s 4" % stream)
    true(all("position" in e for e in events(ok(world, "read", "--all"))), "positions")


@test("read --all with a filter of the store")
def read_filtered(world):
    stream = numbered(world, 30, "filtered")
    numbered(world, 10, "other")
    for filters in (("--stream-prefix", "filtered-"), ("--stream-regex", "^filt.*[0-9]$")):
        got = events(ok(world, "read", "--all", *filters))
        equal([(e["event_stream_id"], e["event_number"]) for e in got], [(stream, n) for n in range(30)])
    types = {e["event_type"] for e in events(ok(world, "read", "--all"))}
    equal({e["event_type"] for e in events(ok(world, "read", "--all", "--type-prefix", "t2"))},
          {t for t in types if t.startswith("t2")})
    equal({e["event_type"] for e in events(ok(world, "read", "--all", "--type-regex", "^t1?3$"))}, {"t3", "t13"})
    run(world, "read", stream, "--type-prefix", "x").expect(USAGE, "", "--all")
    run(world, "read", "--all", "--type-prefix", "x", "--stream-prefix", "y").expect(USAGE, "", "one filter")


@test("read: links are resolved, or kept")
def links(world):
    target = numbered(world, 2)
    stream = world.stream("links")
    with world.bridge.client() as client:
        client.write(stream, {"event_type": "$>", "data_text": "1@" + target},
                     {"event_type": "$>", "data_text": "9@" + target})
    resolved = events(ok(world, "read", stream))
    has(resolved[0], event_stream_id=target, event_number=1)
    has(resolved[0]["link"], event_stream_id=stream, event_number=0)
    kept = events(ok(world, "read", stream, "--keep-links"))
    has(kept[0], event_stream_id=stream, event_number=0, event_type="$>")
    true("link" not in kept[0], kept[0])
    equal(ok(world, "read", stream, "-n", "1", "-F", "%s %n %l %L"), "%s 1 %s 0" % (target, stream))
    equal(ok(world, "read", stream, "-n", "1", "-t", "0", "-F", "%n"), "1")


@test("read --headers leaves the payload out")
def headers(world):
    stream = numbered(world, 1)
    true("data" not in events(ok(world, "read", stream, "-H"))[0], "data")


@test("formats: every sign, every escape")
def formats(world):
    stream = world.stream()
    ok(world, "write", stream, "T", "[1]", "-m", "{}", "--id", UUID % 3)
    event = events(ok(world, "read", stream))[0]
    shown = ok(world, "read", stream, "-F", r"%s|%n|%i|%t|%c|%C|%d|%m|%D|%M|%p|%l|%L|%%|\t|\\|\x41")
    equal(shown, "|".join([stream, "0", UUID % 3, "T", event["created"], str(event["created_epoch"]), "[1]", "{}",
                           "3", "2", "", "", "", "%", "\t", "\\", "A"]))
    equal(run(world, "read", stream, "-F", r"\n\r\0\xff").out, b"\n\r\0\xff")
    for bad in ("%q", "%", "\\q", "\\", "\\x4", "\\xg0"):
        run(world, "read", stream, "-F", bad).expect(USAGE, "", "--format")


@test("pretty: for people, numbers as they are stored")
def pretty(world):
    stream = world.stream()
    ok(world, "write", stream, "T", '{"a":[1.10,{},[]],"b":{"c":"x\\"y:,"},"d":null}', "-m", '"m"')
    shown = ok(world, "read", stream, "-o", "pretty")
    true(shown.startswith("%s@0 T\n" % stream), shown)
    for part in ('"a": [\n', "1.10,\n", "{},\n", "[]\n", '"c": "x\\"y:,"\n', '"d": null\n', 'metadata  "m"\n'):
        true(part in shown, "%r in %s" % (part, shown))
    true("\033" not in shown, "no colours in a pipe")
    true("\033" in ok(world, "read", stream, "-o", "pretty", "--color", "always"), "colours when asked for")
    bare = ok(world, "read", stream, "-o", "pretty", "--color", "always", env={"NO_COLOR": "1"})
    true("\033" in bare, "--color goes before NO_COLOR")


@test("read: what cannot be read is told with its status")
def read_wrong(world):
    stream = world.stream()
    run(world, "read", stream).expect(NOINPUT, "", "no_stream")
    with world.bridge.client() as client:
        client.write(stream, "T")
        client.execute("DeleteStream", {"event_stream_id": stream, "hard_delete": True})
    run(world, "read", stream).expect(NOINPUT, "", "stream_deleted")
    run(world, "read").expect(USAGE, "", "STREAM or --all")
    run(world, "read", stream, "--all").expect(USAGE, "", "STREAM or --all")
    run(world, "read", stream, "-f", "1/2").expect(USAGE, "", "--from")
    run(world, "read", "--all", "-f", "1").expect(USAGE, "", "COMMIT/PREPARE")
    run(world, "read", "--all", "-t", "x").expect(USAGE, "", "--to")
    run(world, "read", "--all", "-n", "0").expect(USAGE, "", "from 1")


# tail --------------------------------------------------------------------------------------------------

@test("tail prints the last events, oldest first")
def tail(world):
    stream = numbered(world, 1100)

    def numbers(*arguments):
        return [int(n) for n in ok(world, "tail", stream, "-F", r"%n\n", *arguments).split()]
    equal(numbers(), list(range(1090, 1100)))
    equal(numbers("-n", "3"), [1097, 1098, 1099])
    equal(numbers("-n", "0"), [])
    equal(numbers("-n", "1100"), list(range(1100)))
    equal(numbers("-n", "5000", "-c", "700"), list(range(700)))
    run(world, "tail", world.stream()).expect(NOINPUT, "", "no_stream")
    equal(ok(world, "tail", "--all", "-n", "2", "-F", "%s%n "), "%s1098 %s1099 " % (stream, stream))


@test("tail -f: the last events, then each as it is written, none twice and none left out")
def follow(world):
    stream = numbered(world, 20)
    with Running(world, "tail", stream, "-f", "-n", "2", "-F", r"%n\n") as tailing, world.bridge.client() as client:
        equal([tailing.line(), tailing.line()], ["18", "19"])
        for n in range(20, 23):
            client.write(stream, "T")
            equal(tailing.line(), str(n))
        done = tailing.end(signal.SIGINT).expect(INTERRUPTED, "")
        equal(done.err, "")


@test("tail -f prints the bytes that are stored, line breaks too, and resolved links")
def follow_bytes(world):
    target, stream = world.stream(), world.stream()
    ok(world, "write", target, "T", '{"a":\n1.0}')
    with Running(world, "tail", stream, "-f", "-F", r"%d %l\n") as tailing, world.bridge.client() as client:
        until_subscribed(world, 1)
        client.write(stream, {"event_type": "$>", "data_text": "0@" + target})
        equal([tailing.line(), tailing.line()], ['{"a":', "1.0} " + stream])


@test("pretty prints no control characters of names, which a terminal would obey")
def control_characters(world):
    stream = world.stream() + "\033[2J"
    ok(world, "write", stream, "T\a", "\033", "-c", "text", "-q")
    shown = ok(world, "read", stream, "-o", "pretty")
    true("?[2J@0 T?" in shown and "\033" not in shown, repr(shown))
    done = run(world, "write", stream, "T", "{}", "-e", "7").expect(CANTCREAT, "")
    true("\033" not in done.err, repr(done.err))


@test("tail -f --all: from the last events on, and filtered")
def follow_all(world):
    stream = numbered(world, 5, "wanted")
    with Running(world, "tail", "--all", "-f", "-n", "2", "-F", r"%s %n\n") as tailing, \
            Running(world, "tail", "--all", "-f", "-n", "1", "--stream-prefix", "wanted", "-F", r"%n\n") as filtered, \
            world.bridge.client() as client:
        equal([tailing.line(), tailing.line()], ["%s 3" % stream, "%s 4" % stream])
        equal(filtered.line(), "4")
        client.write("elsewhere-" + stream, "T")
        client.write(stream, "T")
        equal(tailing.line(), "elsewhere-%s 0" % stream)
        equal(tailing.line(), "%s 5" % stream)
        equal(filtered.line(), "5")
        for running in (tailing, filtered):
            running.end(signal.SIGTERM).expect(-signal.SIGTERM, "")


@test("tail -f --all with a filter of which there is nothing yet")
def follow_all_new(world):
    stream = world.stream("fresh")
    with Running(world, "tail", "--all", "-f", "--stream-prefix", "fresh", "-F", r"%n\n") as tailing, \
            world.bridge.client() as client:
        until_subscribed(world, 1)
        client.write("not-" + stream, "T")
        client.write(stream, "T", "T")
        equal([tailing.line(), tailing.line()], ["0", "1"])


@test("tail -f of a stream that does not exist yet; -n 0: what comes from now on; --from")
def follow_from(world):
    stream = world.stream()
    with Running(world, "tail", stream, "-f", "-F", r"%n\n") as tailing, world.bridge.client() as client:
        until_subscribed(world, 1)
        client.write(stream, "T")
        equal(tailing.line(), "0")
        with Running(world, "tail", stream, "-f", "-n", "0", "-F", r"%n\n") as fresh:
            until_subscribed(world, 2)
            client.write(stream, "T")
            equal(fresh.line(), "1")
            fresh.end(signal.SIGINT).expect(INTERRUPTED, "")
        equal(tailing.line(), "1")
        tailing.end(signal.SIGINT).expect(INTERRUPTED, "")
    equal(ok(world, "tail", stream, "--from", "start", "-c", "2", "-F", "%n "), "0 1 ")
    equal(ok(world, "tail", stream, "--from", "1", "-c", "1", "-F", "%n "), "1 ")
    run(world, "tail", stream, "--from", "1/1").expect(USAGE, "", "--from")


def until_subscribed(world, count):
    """Until there are COUNT catch-up subscriptions."""
    def subscriptions():
        with world.bridge.client() as client:
            return 'esbridge_subscriptions{mode="catchup"} %d\n' % count in client.ok("metrics")["text"]
    until(subscriptions, "%d subscriptions" % count)


@test("tail -f ends when the stream is deleted for good, and says so")
def follow_deleted(world):
    stream = numbered(world, 1)
    with Running(world, "tail", stream, "-f", "-F", r"%n\n") as tailing, world.bridge.client() as client:
        equal(tailing.line(), "0")
        client.execute("DeleteStream", {"event_stream_id": stream, "hard_delete": True})
        tailing.end().expect(NOINPUT, "", "stream_deleted")


@test("a filter on a server that knows none is told")
def no_filter(unused):
    with World(ADMIN, ["--speak", "5.0.11"]) as world:
        run(world, "read", "--all", "--type-prefix", "t").expect(PROTOCOL, "", "does this version of the store know it?")


# Reading all streams is for administrators.
ADMIN = {"store": {"username": "admin", "password": "changeit"}}

if __name__ == "__main__":
    main(ADMIN, ["--speak", "22.10.5"])
