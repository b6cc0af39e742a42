#!/usr/bin/env python3
"""Lines: how bytes become requests, and what happens to those that don't."""

import json
import subprocess

from harness import Failure, World, equal, has, main, test, true, until

LINE_LIMIT = 4096


def bad(client, line, code="bad_request", **members):
    """LINE gets one error of CODE; returns it whole."""
    client.send(line)
    got = client.line()
    if "error" not in got:
        raise Failure("%r was accepted: %r" % (line[:200], got))
    equal(got["error"]["code"], code, "code for %r (%s)" % (line[:200], got["error"]["message"]))
    has(got["error"], **members)
    return got


def good(client, line):
    client.send(line)
    got = client.line()
    true("ok" in got, "%r was refused: %r" % (line[:200], got))
    return got


def names(line, member):
    true(member in line["error"]["message"], "%r is not named in %r" % (member, line["error"]["message"]))


def goes_on(client):
    equal(good(client, b'{"op":"ping","id":"still"}')["id"], "still", "id")


@test("a request of one byte at a time is answered")
def _(world):
    client = world.client()
    for byte in b'{"op":"ping","id":"slow"}\n':
        client.send_bytes(bytes([byte]))
        world.status()
    equal(client.line()["id"], "slow", "id")


@test("three lines in one packet, split at every point")
def _(world):
    client, other = world.client(), world.client()
    burst = b'{"op":"hello","id":1}\n{"op":"ping","id":"two"}\r\n{"op":"status","id":3}\n'
    for at in range(1, len(burst)):
        client.send_bytes(burst[:at])
        other.ok("hello")
        client.send_bytes(burst[at:])
        for request in (1, "two", 3):
            true("ok" in client.reply(request), "the reply to %r, split at %d" % (request, at))


@test("many requests in one packet are all answered, matched by id")
def _(world):
    client = world.client()
    client.send(*({"op": "ping" if i % 3 else "hello", "id": i} for i in range(200)))
    for i in reversed(range(200)):
        true("ok" in client.reply(i), "reply %d" % i)


@test("the daemon says nothing until it is spoken to")
def _(world):
    client = world.client()
    world.status()
    client.finish()
    client.ends()


@test("CR before LF and blank lines are ignored")
def _(world):
    client = world.client()
    client.send_bytes(b'\n\r\n\n{"op":"ping","id":1}\r\n\r\n  \n{"op":"ping","id":2}\n\n')
    true("ok" in client.reply(1) and "ok" in client.reply(2), "both answered")
    client.quiet()


@test("white space around and between tokens is allowed")
def _(world):
    good(world.client(), b' \t{ "op" :\t"ping" , "id" : 7 } \t')


@test("the last line needs no LF when the sending side is shut down")
def _(world):
    client = world.client()
    client.send_bytes(b'{"op":"ping","id":"last"}')
    client.finish()
    equal(client.line()["id"], "last", "id")
    client.ends()


@test("a last line that is broken off is bad_json")
def _(world):
    client = world.client()
    client.send_bytes(b'{"op":"ping","id":"la')
    client.finish()
    equal(client.line()["error"]["code"], "bad_json", "code")
    client.ends()


@test("no id in the request, none in the reply")
def _(world):
    true("id" not in good(world.client(), b'{"op":"ping"}'), "no id")


@test("ids come back exactly as written")
def _(world):
    client = world.client()
    for text in (b"0", b"-1", b"7", b"9007199254740993", b"-9223372036854775808", b"9223372036854775807",
                 b'""', b'"a"', b'"\\u0041\\n\\/"', '"žćđ€😀"'.encode(), b'"%s"' % (b"x" * 128)):
        true(b'"id":' + text + b"," in good(client, b'{"id":' + text + b',"op":"ping"}').raw.replace(b"}", b",}"),
             "id %r" % text)


@test("an id that is neither a short string nor an integer is bad_request, without id")
def _(world):
    client = world.client()
    for text in (b"null", b"true", b"1.0", b"1e2", b"[]", b"{}", b'["a"]', b'"%s"' % (b"x" * 129), b'"\\ud800"'):
        line = bad(client, b'{"op":"ping","id":' + text + b"}")
        true("id" not in line, "no id for %r" % text)
        names(line, "id")
    goes_on(client)


@test("op missing, of another type, unknown")
def _(world):
    client = world.client()
    for text in (b'{"id":1}', b'{"id":1,"op":1}', b'{"id":1,"op":null}', b'{"id":1,"op":["ping"]}'):
        line = bad(client, text)
        equal(line.get("id"), 1, "id")
        names(line, "op")
    for op in (b"pong", b"", b"PING", b"ping ", b"ping\\u0000"):
        equal(bad(client, b'{"id":1,"op":"' + op + b'"}', "unknown_op").get("id"), 1, "id")
    goes_on(client)


@test("unknown members are bad_request and named; members that begin with x- are ignored")
def _(world):
    client = world.client()
    names(bad(client, b'{"op":"ping","id":1,"colour":"red"}'), "colour")
    names(bad(client, b'{"op":"ping","id":1,"stream":"s"}'), "stream")
    names(bad(client, b'{"op":"ping","id":1,"x":1}'), "x")
    names(bad(client, b'{"op":"execute","id":1,"message":"WriteEvents","body":{"event_stream_id":"s","event":[]}}'), "event")
    good(client, b'{"op":"ping","id":1,"x-trace":{"a":[1,2]},"x-":null}')
    good(client, b'{"op":"ping","id":1,"x-a":1,"x-b":1}')


@test("duplicate members are bad_request and named")
def _(world):
    client = world.client()
    names(bad(client, b'{"op":"ping","id":1,"op":"ping"}'), "op")
    names(bad(client, b'{"op":"ping","id":1,"\\u006fp":"ping"}'), "op")
    names(bad(client, b'{"op":"ping","timeout_ms":1000,"timeout_ms":1000}'), "timeout_ms")
    line = bad(client, b'{"op":"ping","id":1,"id":2}')
    names(line, "id")
    true("id" not in line, "a duplicate id is not echoed")
    body = b'{"op":"execute","id":1,"message":"ReadEvent","body":{"event_stream_id":"a","event_stream_id":"b"}}'
    names(bad(client, body), "event_stream_id")
    goes_on(client)


@test("what is refused has no effect")
def _(world):
    client, stream = world.client(), world.stream()
    body = {"event_stream_id": stream, "events": [{"event_type": "a"}, {"event_type": "b", "dat": 1}]}
    client.refuses("WriteEvents", "bad_request", body)
    client.fails("execute", "bad_request", message="WriteEvents", expected=1,
                 body={"event_stream_id": stream, "events": [{"event_type": "a"}]})
    client.refuses("ReadStreamEvents", "no_stream", {"event_stream_id": stream})


@test("what is no JSON object is bad_json with the offset, and the connection goes on")
def _(world):
    client = world.client()
    for text, offset in ((b"hello", 0), (b"[1]", 0), (b"1", 0), (b'"op"', 0), (b"null", 0),
                         (b'{"op":"ping",}', 13), (b'{"op" "ping"}', 6), (b'{"op":"ping"} x', 14),
                         (b'{"op":"ping"}{"op":"ping"}', 13), (b"{'op':1}", 1), (b'{"op":01}', 7),
                         (b'{"op":nul}', None), (b'{"op":"a\\x"}', None), (b'{"op":NaN}', 6), (b'{"op":+1}', 6),
                         (b'{"op":"\t"}', 7), (b'{"a":[1,2}', 9), (b'{"op":"ping"', 12), (b"{", 1), (b"}", 0)):
        line = bad(client, text, "bad_json")
        true("id" not in line, "no id")
        true(isinstance(line["error"].get("offset"), int), "an offset in %r" % line)
        if offset is not None:
            equal(line["error"]["offset"], offset, "offset for %r (%s)" % (text, line["error"]["message"]))
    goes_on(client)


@test("a byte order mark, NUL and bytes that are no UTF-8 are bad_json")
def _(world):
    client = world.client()
    bad(client, b'\xef\xbb\xbf{"op":"ping"}', "bad_json", offset=0)
    bad(client, b'{"op":"ping","id":"a\0b"}', "bad_json", offset=20)
    bad(client, b'{"op":"ping"}\0', "bad_json", offset=13)
    bad(client, b"\0", "bad_json", offset=0)
    for broken in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc3", b"\x80", b"\xe2\x82"):
        bad(client, b'{"op":"ping","id":"' + broken + b'"}', "bad_json", offset=19)
    goes_on(client)


@test("unpaired surrogates are bad_request outside payloads")
def _(world):
    client = world.client()
    bad(client, b'{"op":"hello","id":1,"client":"\\ud800"}')
    bad(client, b'{"op":"execute","id":1,"message":"ReadEvent","body":{"event_stream_id":"\\udc00"}}')
    bad(client, b'{"op":"execute","id":1,"message":"WriteEvents","body":{"event_stream_id":"s","events":'
                b'[{"event_type":"t","data_text":"\\ud800x"}]}}')
    good(client, b'{"op":"hello","id":1,"client":"\\ud83d\\ude00"}')


@test("the depth limit counts everything in the line")
def _(world):
    client = world.client()
    depth = client.ok("hello")["limits"]["depth"]
    stream = world.stream()

    def line(levels):
        data = b"[" * (levels - 4) + b"]" * (levels - 4)
        return (b'{"op":"execute","id":1,"message":"WriteEvents","body":{"event_stream_id":"%s","events":'
                b'[{"event_type":"t","data":%s}]}}' % (stream.encode(), data))
    good(client, line(depth))
    bad(client, line(depth + 1), "bad_json")
    bad(client, b"[" * 3000, "bad_json")
    bad(client, b'{"x-":' * 600, "bad_json")
    equal(len(client.read(stream)["events"]), 1, "events")


def padded(size, request_id):
    """A ping of exactly SIZE bytes."""
    line = b'{"op":"ping","id":%d,"x-pad":"' % request_id
    return line + b"p" * (size - len(line) - 2) + b'"}'


@test("a line of the limit is taken; one byte more is line_too_long, and the connection goes on")
def _(world):
    client = world.client()
    equal(client.ok("hello")["limits"]["line"], LINE_LIMIT, "limit told by hello")
    for size in (LINE_LIMIT - 1, LINE_LIMIT):
        good(client, padded(size, size))
    for size in (LINE_LIMIT + 1, LINE_LIMIT + 2, 2 * LINE_LIMIT, 100 * LINE_LIMIT):
        line = bad(client, padded(size, 1), "line_too_long")
        true("id" not in line, "no id")
        goes_on(client)


@test("line_too_long with other lines in the same packet")
def _(world):
    client = world.client()
    client.send(b'{"op":"ping","id":1}', padded(LINE_LIMIT + 1, 9), b'{"op":"ping","id":2}', padded(LINE_LIMIT * 3, 9),
                padded(LINE_LIMIT * 3, 9), padded(LINE_LIMIT, 3))
    for request in (1, 2, 3):
        true("ok" in client.reply(request), "reply %d" % request)
    for _ in range(3):
        equal(client.other()["error"]["code"], "line_too_long", "code")
    client.quiet()


@test("a line over the limit that arrives in pieces, and one that never ends")
def _(world):
    client, other = world.client(), world.client()
    for piece in range(0, LINE_LIMIT * 2, 500):
        client.send_bytes(b"z" * 500)
        other.ok("hello")
    client.send_bytes(b"\n")
    equal(client.line()["error"]["code"], "line_too_long", "code")
    goes_on(client)
    client.send_bytes(b"y" * LINE_LIMIT * 4)
    client.finish()
    equal(client.line()["error"]["code"], "line_too_long", "code")
    client.ends()


@test("a thousand bad lines in one go get a thousand errors")
def _(world):
    client = world.client()
    client.send(*([b"{]"] * 1000), b'{"op":"ping","id":"after"}')
    for _ in range(1000):
        equal(client.other()["error"]["code"], "bad_json", "code")
    true("ok" in client.reply("after"), "reply")


def change_all(client, line, values):
    """
    Every byte of LINE in turn becomes each of VALUES: one line comes back, an error or an answer, and Python's
    own reader of JSON agrees on what is JSON.
    """
    for at in range(len(line)):
        for value in values:
            changed = line[:at] + bytes([value]) + line[at + 1:]
            if value == 10 or changed == line:
                continue
            client.send(changed)
            got = client.line()
            code = got["error"]["code"] if "error" in got else None
            try:
                is_json = isinstance(json.loads(changed.decode("utf-8")), dict)
            except ValueError:
                is_json = False
            true((code != "bad_json") == is_json, "%r gave %r" % (changed, got))
            if is_json and json.loads(changed) == json.loads(line):
                true("ok" in got, "%r gave %r" % (changed, got))
    client.quiet()


@test("every single-byte change of a ping, with every byte")
def _(world):
    change_all(world.client(), b'{"op":"ping","id":12}', range(256))


INTERESTING = [0, 9, 13, 31, 32, 34, 44, 45, 46, 47, 48, 57, 58, 65, 91, 92, 93, 97, 123, 125, 127, 128, 192, 195, 224, 240, 255]


@test("every byte of an execute changed")
def _(world):
    client, stream = world.client(), world.stream("s").encode()
    change_all(client, b'{"op":"execute","id":"w","message":"WriteEvents","body":{"event_stream_id":"%s","events":'
               b'[{"event_type":"t","data":{"a":[1.5,true]},"metadata_text":"m"}]}}' % stream, INTERESTING)
    change_all(client, b'{"op":"execute","message":"ReadEvent","body":{"event_stream_id":"%s","event_number":0,'
               b'"resolve_link_tos":false}}' % stream, INTERESTING)


@test("every part of a line from its start, alone: an error, never silence")
def _(world):
    client = world.client()
    line = b'{"op":"execute","id":"w","message":"ReadEvent","body":{"event_stream_id":"s","event_number":-1}}'
    for size in range(1, len(line)):
        bad(client, line[:size], "bad_json")


@test("half-close: what was asked for is finished and answered, then the daemon closes")
def _(world):
    client, stream = world.client(), world.stream()
    client.send(*({"op": "execute", "id": i, "message": "WriteEvents",
                   "body": {"event_stream_id": stream, "events": [{"event_type": "t%d" % i}]}} for i in range(50)))
    client.finish()
    replies = client.rest()
    equal(sorted(line["id"] for line in replies if "ok" in line), list(range(50)), "answered")
    equal(len(world.client().read(stream)["events"]), 50, "events")


@test("half-close with nothing asked: the daemon closes")
def _(world):
    for text in (b"", b"\n", b"\r\n  \n"):
        client = world.client()
        client.send_bytes(text)
        client.finish()
        client.ends()


@test("half-close: a live subscription goes on until the client goes")
def _(world):
    client, writer, stream = world.client(), world.client(), world.stream()
    client.send({"op": "subscribe", "id": 1, "stream": stream, "sub": "live"})
    client.finish()
    true("ok" in client.reply(1), "subscribed")
    for number in range(3):
        writer.write(stream, "t")
        equal(client.push("event")["event"]["event_number"], number, "number")


@test("half-close: a subscription that expects acks ends, without a word")
def _(world):
    client, stream = world.client(), world.stream()
    client.execute("CreatePersistentSubscription", {"event_stream_id": stream, "subscription_group_name": "g"})
    client.send({"op": "subscribe", "id": 1, "stream": stream, "group": "g"})
    client.finish()
    lines = client.rest()
    equal(len(lines), 1, "lines")
    true("ok" in lines[0], "subscribed")


@test("socat -t 30: the answer comes, and socat ends at once after it")
def _(world):
    for text in (b'{"op":"ping","id":1}\n', b'{"op":"ping","id":1}', b'{"op":"hello","id":1}\n', b'{"op":"status","id":1}\n'):
        got = subprocess.run(["socat", "-t", "30", "-", "UNIX-CONNECT:" + world.bridge.socket], input=text,
                             stdout=subprocess.PIPE, timeout=20, check=True).stdout
        true(got.endswith(b"\n") and "ok" in json.loads(got), "answer %r" % got)


@test("a client that closes with requests in flight: they are finished")
def _(world):
    client, stream = world.client(), world.stream()
    client.send(*({"op": "execute", "message": "WriteEvents", "body": {
        "event_stream_id": stream, "events": [{"event_type": "t"}]}} for _ in range(100)))
    client.close()
    reader = world.client()
    until(lambda: "ok" in (line := reader.ask({"op": "execute", "message": "ReadEvent", "body": {"event_stream_id": stream}}))
          and line["ok"]["body"]["event"]["event"]["event_number"] == 99, "all 100 are stored")


@test("a client that goes in the middle of a line leaves nothing behind")
def _(world):
    for size in (1, 20, LINE_LIMIT, LINE_LIMIT * 2):
        client = world.client()
        client.send_bytes(b'{"op":"ping","x-pad":"' + b"q" * size)
        client.close()


@test("with the limits as they come, a line of 16 MiB is taken and one byte more is not")
def _(world):
    with World() as other:
        client = other.client()
        limit = client.ok("hello")["limits"]["line"]
        equal(limit, 16 * 1024 * 1024, "limit")
        good(client, padded(limit, 1))
        bad(client, padded(limit + 1, 1), "line_too_long")
        goes_on(client)


if __name__ == "__main__":
    main({"limits": {"line": "4K"}, "store": {"username": "admin", "password": "changeit"}})
