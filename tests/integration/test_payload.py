#!/usr/bin/env python3
"""Payloads are bytes, and stay the bytes they were."""

import base64

import wire
from harness import equal, has, main, test, true

ADMIN = {"store": {"username": "admin", "password": "changeit"}}


def write_raw(client, stream, members):
    """Writes one event whose payload members are the bytes MEMBERS of the line."""
    client.send(b'{"op":"execute","id":"w","message":"WriteEvents","body":{"event_stream_id":"%s","events":'
                b'[{"event_type":"t",%s}]}}' % (stream.encode(), members))
    line = client.reply("w")
    true("ok" in line, "%r: %r" % (members, line))


def read_raw(client, stream, number=-1, payload=None):
    """The line of the answer, as bytes and as an event."""
    request = {"op": "execute", "id": "r", "message": "ReadEvent",
               "body": {"event_stream_id": stream, "event_number": number}}
    if payload:
        request["payload"] = payload
    client.send(request)
    line = client.reply("r")
    true("ok" in line, "%r" % line)
    return line.raw, line["ok"]["body"]["event"]["event"]


def stored(world, stream, number=0):
    """(data, metadata, content type of data) as the store has them."""
    with_store = world.store.direct()
    record = with_store.record(stream, number)
    with_store.close()
    return wire.one(record, 7, b""), wire.one(record, 8, b""), wire.one(record, 5, 0)


# What a JSON reader that makes numbers and strings of it would damage.
TEXTS = [b"129.95", b"1.10", b"1e400", b"-0", b"-0.0", b"1E+2", b"9223372036854775808", b"-9223372036854775809",
         b"9007199254740993", b"0.1000000000000000055511151231257827", b'"\\u0000"', b'"\\/\\u00e9"', '"žćđ😀"'.encode(),
         b'"\\ud83d\\ude00"', b'"\\ud800"', b'"a\\udc00\\ud800"', b'{"a":1,"a":2}', b'{"b":1,"a":2}', b"[1 ,\t2]", b"{ }",
         b'{"":""}', b"null", b"true", b"false", b"[]", b'""', b'{"a":[{"b":[[]]}]}', b'"\x7f"', b'"%s"' % (b"x" * 70000)]


@test("data is stored and comes back byte for byte")
def _(world):
    client = world.client()
    for text in TEXTS:
        stream = world.stream()
        write_raw(client, stream, b'"data":  ' + text + b' ,"metadata":' + text)
        equal(stored(world, stream), (text, text, 1), "stored")
        raw, event = read_raw(client, stream)
        true(b'"data":' + text + b"," in raw or b'"data":' + text + b"}" in raw, "%r in %r" % (text, raw[:300]))
        true(b'"metadata":' + text + b"," in raw or b'"metadata":' + text + b"}" in raw, "%r in %r" % (text, raw[:300]))
        has(event, data_content_type=1)


@test("data_text is stored as its UTF-8 bytes, with type 0 unless given")
def _(world):
    client = world.client()
    for text, content in ((b"", b""), (b"plain", b"plain"), (b"\\u0000\\n\\\"\\u017e\\ud83d\\ude00", '\0\n"ž😀'.encode())):
        stream = world.stream()
        write_raw(client, stream, b'"data_text":"' + text + b'"')
        equal(stored(world, stream), (content, b"", 0), "stored")
        has(read_raw(client, stream)[1], data_content_type=0)
    stream = world.stream()
    write_raw(client, stream, b'"data_text":"[1.10]","data_content_type":1,"metadata_text":"{}"')
    equal(stored(world, stream), (b"[1.10]", b"{}", 1), "stored")
    true(b'"data":[1.10]' in read_raw(client, stream)[0], "it comes as data")


# Where a large payload may stand in its line, behind its beginning, and what is then stored of each event: data and metadata.
LARGE_PLACES = [
    (b'"message":"WriteEvents","body":{"event_stream_id":"STREAM","events":[{"event_type":"t","data":"LARGE"}]}',
     [(b'"LARGE"', b"")]),
    (b'"message":"WriteEvents","body":{"events":[{"data":"LARGE","event_type":"%s"}],"event_stream_id":"STREAM"}' % (b"t" * 200),
     [(b'"LARGE"', b"")]),  # more has to go before it than there is room for
    (b'"message":"WriteEvents","body":{"event_stream_id":"STREAM","events":[{"event_type":"t","metadata":{"m":1.50},'
     b'"data":"LARGE"},{"event_type":"u","data_text":"\\u0061"}]}', [(b'"LARGE"', b'{"m":1.50}'), (b"a", b"")]),
    (b'"message":"WriteEvents","body":{"event_stream_id":"STREAM","events":[{"event_type":"u","data":[1]},'
     b'{"event_type":"t","metadata_text":"LARGE"}],"require_leader":true}', [(b"[1]", b""), (b"", b"LARGE")]),
    (b'"message":"WriteEvents","body":{"event_stream_id":"STREAM","events":[{"event_type":"t","data":"LARGE"},'
     b'{"event_type":"t","data_text":"LARGE"}]}', [(b'"LARGE"', b""), (b"LARGE", b"")]),
    (b'"message":"WriteEvents","credentials":{"username":"admin","password":"changeit"},"body":{"event_stream_id":"STREAM",'
     b'"events":[{"event_type":"t","data":"LARGE"}]}', [(b'"LARGE"', b"")]),
    (b'"message":"WriteEvents","body":{"event_stream_id":"STREAM","events":[{"event_type":"t","data":1}]},"x-more":"LARGE"',
     [(b"1", b"")]),
    (b'"message":"WriteEvents","body":{"event_stream_id":"STREAM","expected_version":7,"events":[{"event_type":"t",'
     b'"data":"LARGE"}]}', None),
    (b'"message":"WriteEvents","body":{"event_stream_id":"STREAM","events":[{"data":"LARGE","event_type":""}]}', None),
]


@test("a large payload is stored whole wherever it stands in its line, and what follows the line is heard")
def _(world):
    client, with_store = world.client(), world.store.direct()
    for size in (60000, 70000, 1024 * 1024):
        for place, wanted in LARGE_PLACES:
            for after in (b"", b'{"op":"ping","id":"p"}\n', b'{"op":"ping","id":"p","x-more":"%s"}\n' % (b"y" * 60000)):
                stream = world.stream().encode()
                large = b"".join(b"%07d," % n for n in range(size // 8))
                line = (b'{"op":"execute","id":"w",' + place + b"}").replace(b"STREAM", stream).replace(b"LARGE", large)
                client.send_bytes(line + b"\n" + after)
                equal("ok" in client.reply("w"), wanted is not None, "taken")
                true(not after or "ok" in client.reply("p"), "what follows is heard")
                for number, (data, metadata) in enumerate(wanted or []):
                    record = with_store.record(stream.decode(), number)
                    true(wire.one(record, 7, b"") == data.replace(b"LARGE", large), "data of %d of %r" % (number, place))
                    true(wire.one(record, 8, b"") == metadata.replace(b"LARGE", large), "metadata of %d of %r" % (number, place))
    with_store.close()


@test("data_base64 is stored as its bytes, with type 0 unless given")
def _(world):
    client = world.client()
    for content in (b"", b"\0", bytes(range(256)), b"\xff\xfe" * 5000):
        stream = world.stream()
        write_raw(client, stream, b'"data_base64":"' + base64.b64encode(content) + b'","metadata_base64":"'
                  + base64.b64encode(content[::-1]) + b'"')
        equal(stored(world, stream), (content, content[::-1], 0), "stored")
        event = read_raw(client, stream)[1]
        if content:
            equal(base64.b64decode(event["data_base64"]), content, "data")
            equal(base64.b64decode(event["metadata_base64"]), content[::-1], "metadata")
            true("data" not in event and "metadata" not in event, "one form alone in %r" % event)


@test("empty content: neither data nor data_base64")
def _(world):
    client = world.client()
    for members in (b'"data_text":""', b'"data_base64":""', b'"data_text":"","data_content_type":1', b'"x-nothing":0'):
        stream = world.stream()
        write_raw(client, stream, members)
        for payload in (None, "json", "base64", "none"):
            event = read_raw(client, stream, payload=payload)[1]
            true(not [name for name in event if name in ("data", "metadata") or "base64" in name], "none in %r" % event)


def json_flagged(client, world, content):
    stream = world.stream()
    write_raw(client, stream, b'"data_content_type":1,"data_base64":"' + base64.b64encode(content) + b'"')
    return read_raw(client, stream)


@test("line breaks between tokens come as spaces, one for each byte")
def _(world):
    client = world.client()
    for content, shown in ((b'{\r\n  "a": 1,\n\t"b": [\n]\n}', b'{    "a": 1, \t"b": [ ] }'), (b"[1,\r2]", b"[1, 2]"),
                           (b'{"a":"\\n\\r"}', b'{"a":"\\n\\r"}')):
        raw, _ = json_flagged(client, world, content)
        true(b'"data":' + shown in raw, "%r in %r" % (shown, raw))


@test("white space around the JSON text does no harm")
def _(world):
    client = world.client()
    for content in (b"\n[1]\r\n", b"  {}  ", b"\t1"):
        _, event = json_flagged(client, world, content)
        true("data" in event, "data in %r" % event)


@test("a leading byte order mark is left out")
def _(world):
    raw, event = json_flagged(world.client(), world, b'\xef\xbb\xbf{"a":1.0}')
    true(b'"data":{"a":1.0}' in raw, "in %r" % raw)


@test("what is flagged JSON and is none comes as base64")
def _(world):
    client = world.client()
    for content in (b"{", b"[1,]", b"nonsense", b"{} {}", b'"\xff"', b"NaN", b"\xef\xbb\xbf", b"01", b'"a\nb"', b'{"a":1}\0',
                    b" ", b"\n", b"\xef\xbb\xbf\xef\xbb\xbf1", b"[" * 200 + b"]" * 200):
        _, event = json_flagged(client, world, content)
        true("data" not in event, "%r came as %r" % (content, event.get("data")))
        equal(base64.b64decode(event["data_base64"]), content, "content")


@test("JSON metadata beside binary data comes back as base64, and beside JSON data as JSON")
def _(world):
    client, stream = world.client(), world.stream()
    write_raw(client, stream, b'"data_base64":"AAE=","metadata":{"m":1},"metadata_content_type":1')
    event = read_raw(client, stream)[1]
    equal(base64.b64decode(event["metadata_base64"]), b'{"m":1}', "metadata")
    stream = world.stream()
    write_raw(client, stream, b'"data":1,"metadata":{"m":1.50}')
    true(b'"metadata":{"m":1.50}' in read_raw(client, stream)[0], "metadata as JSON")
    stream = world.stream()
    write_raw(client, stream, b'"data":1,"metadata_text":"not json"')
    equal(base64.b64decode(read_raw(client, stream)[1]["metadata_base64"]), b"not json", "metadata")


@test("JSON content without the flag comes as base64")
def _(world):
    client, stream = world.client(), world.stream()
    write_raw(client, stream, b'"data":{"a":1},"data_content_type":0')
    equal(stored(world, stream), (b'{"a":1}', b"", 0), "stored")
    equal(base64.b64decode(read_raw(client, stream)[1]["data_base64"]), b'{"a":1}', "data")


@test("payload base64 asks for base64 always, none for headers alone, json is the default")
def _(world):
    client, stream = world.client(), world.stream()
    write_raw(client, stream, b'"data":{"a":1},"metadata":[2]')
    event = read_raw(client, stream, payload="base64")[1]
    equal(base64.b64decode(event["data_base64"]), b'{"a":1}', "data")
    equal(base64.b64decode(event["metadata_base64"]), b"[2]", "metadata")
    true("data" not in event and "metadata" not in event, "one form alone in %r" % event)
    event = read_raw(client, stream, payload="none")[1]
    true(not [n for n in event if n in ("data", "metadata") or "base64" in n], "no payload in %r" % event)
    has(event, event_type="t", data_content_type=1)
    has(read_raw(client, stream, payload="json")[1], data={"a": 1}, metadata=[2])
    for bad in ("text", "", 1, None):
        error = client.refuses("ReadEvent", "bad_request", {"event_stream_id": stream}, payload=bad)
        true("payload" in error["message"], "named in %r" % error["message"])


@test("pushes follow the same rules")
def _(world):
    client, writer, stream = world.client(), world.client(), world.stream()
    for payload in ("json", "base64", "none"):
        client.subscribe(stream=stream, sub=payload, payload=payload)
    for text in TEXTS:
        write_raw(writer, stream, b'"data":' + text)
        pushes = {push["sub"]: push for push in (client.push("event") for _ in range(3))}
        true(b'"data":' + text in pushes["json"].raw, "%r in %r" % (text, pushes["json"].raw[:300]))
        equal(base64.b64decode(pushes["base64"]["event"]["data_base64"]), text, "data")
        true(not [n for n in pushes["none"]["event"] if n.startswith("data") and n != "data_content_type"], "no payload")


@test("names of streams and types in any script, with quotes, controls and slashes")
def _(world):
    client = world.client()
    for name in ('квиз "x"', "a\\b/c", "line\nbreak", "nul\0nul", "tab\t", "😀", "a::b", "x" * 1000, "\x7f", "\u2028"):
        stream = world.stream(name)
        client.write(stream, {"event_type": name})
        event = client.read(stream)["events"][0]["event"]
        has(event, event_stream_id=stream, event_type=name)


if __name__ == "__main__":
    main(ADMIN)
