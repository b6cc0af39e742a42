#!/usr/bin/env python3
"""esbridge export and import: a stream made again byte for byte, broken off and gone on with, repeated; esbridge top."""

import base64
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unicodedata
import uuid

from command import CANTCREAT, DATAERR, ESBRIDGE, NOINPUT, TEMPFAIL, USAGE, Running, environment, events, ok, run
from harness import LIMIT, Failure, equal, main, test, true, until

SETTINGS = {"store": {"username": "admin", "password": "changeit", "reconnect_delay_min": "20ms",
                      "reconnect_delay_max": "100ms"}}


def stored(world, stream):
    """What makes the events of a stream what they are, with payloads as they are stored."""
    members = ("event_number", "event_id", "event_type", "data_content_type", "data_base64", "metadata_base64")
    with world.bridge.client() as client:
        found, at = [], 0
        while True:
            line = client.ask({"op": "execute", "message": "ReadStreamEvents", "payload": "base64",
                               "body": {"event_stream_id": stream, "from_event_number": at, "resolve_link_tos": False}})
            if "error" in line and line["error"]["code"] == "no_stream":
                return []
            page = line["ok"]["body"]
            found += [{m: e["event"].get(m) for m in members} for e in page["events"]]
            if page["is_end_of_stream"]:
                return found
            at = page["next_event_number"]


def fill(world, stream, count, first=0):
    with world.bridge.client() as client:
        for at in range(first, first + count, 500):
            client.write(stream, *[{"event_type": "t", "data": {"n": n}} for n in range(at, min(at + 500, first + count))])


def lines(count):
    return "".join(json.dumps({"event_type": "t", "event_id": str(uuid.uuid4()), "data": {"n": n}}) + "\n" for n in range(count))


@test("whatever is in a stream comes out and goes in again byte for byte; a repetition doubles nothing")
def round_trip(world):
    source, target = world.stream("from"), world.stream("to")
    payloads = [b'{"a" : 129.950,\n\t"b":"\\u0000"}', b'{"a":1e400,"a":[]}', b"\xef\xbb\xbf{}", b"", b"plain", b"\0\1\xff", b'"text"',
                b"{", b" 1 ", b"\r\n", json.dumps({"x": "ž\u2028" * 1000}, ensure_ascii=False).encode(), b"[" * 600 + b"]" * 600]
    with world.bridge.client() as client:
        for flag in (0, 1):
            for payload in payloads:
                text = base64.b64encode(payload).decode()
                event = {"event_type": "Typé \"x\"", "data_content_type": flag, "data_base64": text, "metadata_base64": text}
                client.write(source, event)
        client.write(source, {"event_type": "$>", "data_text": "0@nowhere"})
    before = stored(world, source)
    out = ok(world, "export", source, "-q")
    equal([json.loads(line)["event_number"] for line in out.rstrip("\n").split("\n")], list(range(len(before))), "numbers")
    true('"data":{"a":1e400,"a":[]}' in out, "JSON stands as it is")
    run(world, "import", target, stdin=out).expect(0, "", "%d events written, 0 were there already" % len(before))
    equal(stored(world, target), before, "what was imported")
    run(world, "import", target, stdin=out).expect(0, "", "0 events written, %d were there already" % len(before))
    equal(stored(world, target), before, "what was imported twice")


@test("export: from, to, and no stream")
def ranges(world):
    stream = world.stream()
    fill(world, stream, 1200)
    equal([e["event_number"] for e in events(ok(world, "export", stream, "-q"))], list(range(1200)), "all")
    equal([e["event_number"] for e in events(ok(world, "export", stream, "-q", "-f", "3", "-t", "5"))], [3, 4, 5], "some")
    run(world, "export", "nosuch").expect(NOINPUT, "")
    path = os.path.join(world.folder, "not-made")
    run(world, "export", "nosuch", "-a", path).expect(NOINPUT, "")
    true(not os.path.exists(path), "no file for no stream")
    equal([e["event_number"] for e in events(ok(world, "export", stream, "-q", "-t", "start"))], [0], "to the start")
    run(world, "export", stream, "-f", "1/1").expect(USAGE, "", "--from and --to take")
    run(world, "export", stream, "-f", "1", "-a", "x").expect(USAGE, "", "--append")


@test("an id that is in a stream twice goes over twice, and a repetition doubles nothing")
def same_id(world):
    source, target = world.stream(), world.stream()
    twice = {"event_type": "t", "event_id": str(uuid.uuid4()), "data": 1}
    with world.bridge.client() as client:
        client.write(source, twice, twice, "other")
    out = ok(world, "export", source, "-q")
    for _ in range(2):
        ok(world, "import", target, "-q", stdin=out)
        equal(stored(world, target), stored(world, source), "what was imported")
    half = world.stream()
    ok(world, "import", half, "-q", stdin=out.splitlines(True)[0])
    ok(world, "import", half, "-q", stdin=out)
    equal(stored(world, half), stored(world, source), "what was gone on with")


@test("export --append goes on behind the last whole line; another file is not touched")
def append(world):
    stream = world.stream()
    fill(world, stream, 10)
    path = os.path.join(world.folder, "exported")
    ok(world, "export", stream, "-q", "-t", "3", "-a", path)
    with open(path, "ab") as file:
        file.write(b'{"event_stream_id":"')
    ok(world, "export", stream, "-q", "-a", path)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    equal(text, ok(world, "export", stream, "-q"), "the file")
    ok(world, "export", stream, "-q", "-a", path)
    with open(path, encoding="utf-8") as file:
        equal(file.read(), text, "nothing new")
    fill(world, stream, 2, 10)
    ok(world, "export", stream, "-q", "-a", path)
    with open(path, encoding="utf-8") as file:
        equal(len(file.readlines()), 12, "lines")
    other = os.path.join(world.folder, "other")
    for content in ("no event\n", text.replace(stream, "elsewhere"), "somebody's file", text + "more"):
        with open(other, "w", encoding="utf-8") as file:
            file.write(content)
        run(world, "export", stream, "-a", other).expect(DATAERR, "", "no event")
        with open(other, encoding="utf-8") as file:
            equal(file.read(), content, "the file is as it was")
    run(world, "export", stream, "-a", os.path.join(world.folder, "no/such/file")).expect(CANTCREAT, "")


@test("import: broken off and begun again, it goes on where it was")
def resumed(world):
    stream, text = world.stream(), lines(3000)
    half = "".join(text.splitlines(True)[:1700])
    ok(world, "import", stream, "-q", stdin=half)
    run(world, "import", stream, stdin=text).expect(0, "", "1300 events written, 1700 were there already")
    equal([json.loads(line)["event_id"] for line in text.splitlines()], [e["event_id"] for e in stored(world, stream)], "ids")


@test("import: what is in the stream is left out wherever it stands there, with new events between, and as often as it is there")
def other_order(world):
    stream, text, new = world.stream(), lines(9000).splitlines(True), lines(30).splitlines(True)
    fill(world, stream, 700)
    ok(world, "import", stream, "-q", stdin="".join(text[:3] * 2 + text[3:]))   # three ids twice
    mixed = text[5000:] + text[:2] + new[:10] + text[4999:2:-1] + new[10:20] + text[:2] + text[2:3] * 3 + new[20:]
    run(world, "import", stream, stdin="".join(mixed)).expect(0, "", "31 events written, 9003 were there already")
    ids = [e["event_id"] for e in stored(world, stream)]
    equal(ids[9703:], [json.loads(line)["event_id"] for line in new[:20] + text[2:3] + new[20:]], "the ids of those that are new")
    ok(world, "import", stream, "-q", stdin="".join(mixed))
    equal(len(stored(world, stream)), 9734, "events")


@test("import: SIGKILL of it and of the daemon in the middle, then again: each event once, in order")
def killed(world):
    stream, text = world.stream(), lines(20000)
    with Running(world, "import", stream, "-q", "-b", "20") as importer:
        half = text.splitlines(True)
        importer.say(*[line.rstrip("\n") for line in half[:5000]])
        until(lambda: len(stored(world, stream)) > 500, "some are written")
        world.bridge.kill()
        world.bridge.close()
        world.bridge.start()
        world.connected()
        until(lambda: len(stored(world, stream)) > 2000, "it goes on", 30)
        importer.process.kill()
        importer.process.wait()
    ok(world, "import", stream, "-q", stdin=text)
    equal([json.loads(line)["event_id"] for line in text.splitlines()], [e["event_id"] for e in stored(world, stream)], "ids")


@test("import: what is wrong is told with its line; what stands before is written; somebody else's write ends it")
def wrong(world):
    stream = world.stream()
    text = lines(3)
    for bad, words in (('{"event_type":"t"}', "event_id"), ("no JSON", "line 4"), ('{"event_type":"t","event_id":"7"}', "event_id"),
                       ('{"event_id":"%s"}' % uuid.uuid4(), "event_type")):
        done = run(world, "import", stream, stdin=text + bad + "\n").expect(DATAERR, "", "line 4")
        true(words in done.err, done.err)
        equal(len(stored(world, stream)), 3, "events")
    with Running(world, "import", stream, "-b", "1") as importer:
        importer.say(lines(1).rstrip("\n"))
        until(lambda: len(stored(world, stream)) == 4, "one is written")
        with world.bridge.client() as client:
            client.write(stream, "somebody else's")
        importer.say(lines(1).rstrip("\n"))
        importer.close_input()
        importer.end().expect(TEMPFAIL, "", "somebody else writes")


@test("SIGINT: what was written stays, and it ends by the signal")
def interrupt(world):
    stream = world.stream()
    with Running(world, "import", stream, "-b", "1") as importer:
        importer.say(lines(1).rstrip("\n"))
        until(lambda: len(stored(world, stream)) == 1, "one is written")
        importer.process.send_signal(signal.SIGINT)
        importer.say(lines(1).rstrip("\n"))
        equal(importer.end().status, -signal.SIGINT, "it ends by the signal")


def on_terminal(world, *arguments, keys=b"", until_seen=b"", stdin=None, columns=0):
    """Runs it with a terminal (of so many COLUMNS, 0: it does not say) for its input, output and errors, types KEYS when
    UNTIL_SEEN is there; all that it showed."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24 if columns else 0, columns, 0, 0))
    process = subprocess.Popen([ESBRIDGE] + list(arguments), stdin=stdin if stdin is not None else slave, stdout=slave, stderr=slave,
                               env=environment(world, TERM="xterm"))
    os.close(slave)
    shown, typed, end = b"", False, time.monotonic() + LIMIT
    try:
        while True:
            if not select.select([master], [], [], max(end - time.monotonic(), 0))[0]:
                raise Failure("esbridge %s does not end; it showed %r" % (arguments, shown))
            try:
                more = os.read(master, 65536)
            except OSError:   # the other end is closed
                more = b""
            if not more:
                break
            shown += more
            if keys and not typed and until_seen in shown:
                os.write(master, keys)
                typed = True
        equal(process.wait(LIMIT), 0, "status; it showed %r" % shown)
        return shown
    finally:
        process.kill()
        process.wait()
        os.close(master)


@test("a terminal sees how far an import is; a pipe does not")
def progress(world):
    path = os.path.join(world.folder, "many")
    with open(path, "w", encoding="utf-8") as file:
        file.write(lines(20000))
    with open(path, encoding="utf-8") as file:
        shown = on_terminal(world, "import", world.stream(), stdin=file)
    true(b"/s" in shown and b" %" in shown and b"left" in shown, "progress in %r" % shown[-300:])
    with open(path, "rb") as file:
        true("%" not in run(world, "import", world.stream(), stdin=file.read()).err, "none without a terminal")


@test("top: subscriptions with what is open, once and again and again; on a terminal until q")
def top(world):
    stream = world.stream()
    with world.bridge.client() as client:
        client.ok("hello", client="reader\x1b[31m")
        client.subscribe(stream=stream, sub="its", window=7, **{"from": "start"})
        client.write(stream, "a", "b")
        for _ in range(3):   # two events, and caught_up before, between or behind them
            client.push()
        out = ok(world, "top", "--once")
        row = [line.split() for line in out.splitlines() if stream in line]
        equal(len(row), 1, "rows in %r" % out)
        true("its" in row[0] and "catchup" in row[0] and "2/7" in row[0], "row %r" % row)
        true("\x1b" not in out, "names do not steer the terminal")
        twice = ok(world, "top", "-i", "100ms", "-c", "2")
        equal(twice.count("esbridged "), 2, "looks")
        true("executes -/s" in twice.split("esbridged ")[1] and "executes 0/s" in twice.split("esbridged ")[2],
             "rates in the second alone: %r" % twice)
        shown = on_terminal(world, "top", "-i", "100ms", keys=b"q", until_seen=stream.encode())
        true(shown.index(b"\x1b[?1049h") < shown.index(b"\x1b[?1049l"), "the screen is given back")
        true(b"\x1b[?25h" in shown, "the cursor is back")
        with Running(world, "top", "-i", "100ms") as running:
            running.line()
            equal(running.end(signal.SIGINT).status, -signal.SIGINT, "it ends by the signal")


def columns_of(text):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


@test("top: no line is wider than the terminal, whatever the names are; control characters of UTF-8 do not reach it")
def narrow(world):
    stream = world.stream("流" * 20)
    with world.bridge.client() as client:
        client.ok("hello", client="e\u0301ž\u009b7m流")
        client.subscribe(stream=stream, sub="its")
        shown = {}
        for columns in (60, 61, 200):
            out = on_terminal(world, "top", "-i", "100ms", keys=b"q", until_seen="流".encode(), columns=columns).decode()
            out = re.sub("\x1b\\[[?0-9;]*[a-zA-Z]", "\n", out)
            true(not re.search("[\x80-\x9f]", out), "no control character in %r" % out)
            shown[columns] = [line for line in out.splitlines() if line]
            for line in shown[columns]:
                true(columns_of(line) <= columns, "%d columns in %r" % (columns_of(line), line))
            true(any("e\u0301ž?7m流" in line for line in shown[columns]), "the name in %r" % out)
        widest = {columns: max(columns_of(line) for line in shown[columns]) for columns in shown}
        true(widest[60] >= 59 and widest[61] == 61 and widest[200] > 61, "the room is used: %r" % widest)


main(SETTINGS)
