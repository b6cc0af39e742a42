#!/usr/bin/env python3
"""Replays the recordings of a real EventStoreDB against esbridge-memstore.

What was sent then is sent again, and what comes back is compared with what the real server said, field by
field, for each version that there are recordings of. Their format and what differs in every run is in
tests/transcripts/README.md.

Afterwards it changes what it expects, one field at a time, and each change must be found. Prints TAP. Recordings as
arguments, as in "5.0.11/write": those alone are replayed.

Environment: MEMSTORE, the program (./esbridge-memstore); SRCDIR, the source tree (two folders above this file).
"""

import copy
import itertools
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

VERSIONS = "3.9.4 4.1.4 5.0.11 20.10.6 21.10.11 22.10.5 23.10.6".split()
FILES = """handshake write read-event read-stream links delete transactions metadata read-all live persistent
bad-input scavenge filtered""".split()

ANSWER_WAIT = 6.0    # seconds for what must come; a message timeout in a recording takes two
NOTHING_WAIT = 0.15  # seconds in which nothing may come
CLOSE_WAIT = 2.0

HEADER = 18
HEARTBEAT_REQUEST, HEARTBEAT_RESPONSE = 0x01, 0x02
AUTHENTICATED = 0x01
TICKS_AT_EPOCH = 621355968000000000
VARINT, BYTES = 0, 2

# Bodies that are plain bytes; True: their text is the server's own.
PLAIN = {"Ping": False, "Pong": False, "BadRequest": True, "NotAuthenticated": True}

# Commands whose message has another name.
MESSAGES = {
    "ReadStreamEventsForward": "ReadStreamEvents",
    "ReadStreamEventsBackward": "ReadStreamEvents",
    "ReadAllEventsForward": "ReadAllEvents",
    "ReadAllEventsBackward": "ReadAllEvents",
    "FilteredReadAllEventsForward": "FilteredReadAllEvents",
    "FilteredReadAllEventsBackward": "FilteredReadAllEvents",
}
MESSAGES.update({command + "Completed": message + "Completed" for command, message in list(MESSAGES.items())})

# The log grows by more than what clients write, so of the last commit no more is known than that it never falls.
POSITIONS = {"prepare_position", "commit_position", "next_commit_position", "next_prepare_position",
             "transaction_id"}
LOOSE_POSITIONS = {"last_commit_position"}
TEXTS = {"message", "error", "reason"}
GUID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
UNKNOWABLE = {"total_time_ms", "total_space_saved"}


# From which recordings how many changed expectations are tried.
SELF_TEST = {"4.1.4/handshake": 2, "5.0.11/read-event": 5, "5.0.11/links": 5, "21.10.11/delete": 5,
             "22.10.5/transactions": 5, "22.10.5/filtered": 5}


class Difference(Exception):
    """The memstore did not do what the recording shows."""


def program_and_source():
    here = os.path.dirname(os.path.abspath(__file__))
    source = os.environ.get("SRCDIR") or os.path.dirname(os.path.dirname(here))
    return os.environ.get("MEMSTORE") or "./esbridge-memstore", source


# Protobuf ------------------------------------------------------------------------------------------------

def read_schema(path):
    """Message name -> field number -> (name, type), from the text of the .proto file."""
    schema, scopes = {}, []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            line = line.split("//")[0].strip()
            opened = re.match(r"(message|enum)\s+(\w+)\s*\{$", line)
            field = re.match(r"(?:optional|repeated)\s+([\w.]+)\s+(\w+)\s*=\s*(\d+);", line)
            if opened:
                scopes.append(opened[2])
                if opened[1] == "message":
                    schema[opened[2]] = {}
            elif line == "}":
                scopes.pop()
            elif field:
                schema[scopes[-1]][int(field[3])] = (field[2], field[1])
    return schema


def take_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def put_varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def raw_fields(data):
    """The fields of a message as [number, wire type, value]."""
    at, fields = 0, []
    while at < len(data):
        tag, at = take_varint(data, at)
        value, at = take_varint(data, at)
        if tag & 7 == BYTES:
            if at + value > len(data):
                raise IndexError("a field is cut short")
            value, at = data[at:at + value], at + value
        elif tag & 7 == VARINT:
            value = value - (1 << 64) if value >> 63 else value
        else:
            raise ValueError("wire type %d" % (tag & 7))
        fields.append([tag >> 3, tag & 7, value])
    return fields


def encode_fields(fields):
    out = b""
    for number, kind, value in fields:
        out += put_varint(number << 3 | kind)
        out += put_varint(value) if kind == VARINT else put_varint(len(value)) + value
    return out


def decode(schema, message, data):
    """Field name -> list of values; sub-messages are such dictionaries."""
    decoded = {}
    for number, kind, value in raw_fields(data):
        name, of_type = schema[message].get(number, ("field %d" % number, None))
        if kind == BYTES and of_type in schema:
            value = decode(schema, of_type, value)
        decoded.setdefault(name, []).append(value)
    return decoded


def each(message, name):
    """All values of the field NAME in MESSAGE and its sub-messages."""
    for key, values in message.items():
        for value in values:
            if key == name:
                yield value
            if isinstance(value, dict):
                yield from each(value, name)


# Recordings ----------------------------------------------------------------------------------------------

class Package:
    def __init__(self, data):
        self.command = data[0]
        self.correlation = data[2:HEADER]
        at = HEADER
        if data[1] & AUTHENTICATED:
            at += 1 + data[at]
            at += 1 + data[at]
        self.head, self.body = data[:at], data[at:]


class Line:
    def __init__(self, number, text):
        words = text.split(" ")
        self.number, self.kind = number, words[0]
        self.text = text
        if self.kind in "CSRDX":
            self.conn = int(words[1])
        if self.kind in "CS":
            self.name = words[2]
            self.package = Package(bytes.fromhex(words[3]))
            self.message = None  # of S lines: decoded, or the plain bytes
        if self.kind == "R":
            self.raw = bytes.fromhex(words[3])


class Recording:
    """One file of the recordings, by its name: version/subject."""

    def __init__(self, schema, folder, name):
        self.schema = schema
        self.version = name.split("/")[0]
        self.client_ids, self.streams = set(), set()
        with open(os.path.join(folder, name + ".txt"), encoding="utf-8") as text:
            self.lines = [Line(number, line.rstrip("\n")) for number, line in enumerate(text, 1) if line.strip()]
        for line in self.lines:
            if line.kind == "S":
                line.message = self.body_of(line.name, line.package.body)
            elif line.kind == "C":
                self.learn(line)

    def body_of(self, name, body):
        if name == "ScavengeDatabaseCompleted" and int(self.version.split(".")[0]) >= 5:
            name = "ScavengeDatabaseResponse"
        return body if name in PLAIN else decode(self.schema, MESSAGES.get(name, name), body)

    def learn(self, line):
        """Notes the events and streams that are the client's own."""
        name = MESSAGES.get(line.name, line.name)
        try:
            message = decode(self.schema, name, line.package.body)
        except (KeyError, IndexError, ValueError):
            return  # broken on purpose
        self.client_ids.update(each(message, "event_id"))
        self.streams.update(value for value in each(message, "event_stream_id") if isinstance(value, bytes))


# Comparison ----------------------------------------------------------------------------------------------

class Comparison:
    """What was seen in the recording against what is seen now; remembers positions and ids that the server made."""

    def __init__(self, recording):
        self.recording = recording
        self.positions = []  # (recorded, seen, loose)
        self.ids = {}

    def position(self, recorded, seen, loose, where):
        if recorded <= 0 or seen <= 0:
            if recorded != seen:
                raise Difference("%s: %d, recorded %d" % (where, seen, recorded))
            return
        for old_recorded, old_seen, old_loose in self.positions:
            fits = (old_seen > seen) - (old_seen < seen) == (old_recorded > recorded) - (old_recorded < recorded)
            if not fits and not ((loose or old_loose) and old_seen == seen):
                raise Difference("%s: %d, recorded %d; but %d was recorded as %d: another order"
                                 % (where, seen, recorded, old_seen, old_recorded))
        self.positions.append((recorded, seen, loose))

    def now(self, recorded):
        """The position of this run that stands for one of the recording, in a request."""
        return next((seen for old, seen, _ in self.positions if old == recorded), recorded)

    def event_id(self, recorded, seen, where):
        if recorded not in self.recording.client_ids:
            if len(seen) != 16 or seen in self.recording.client_ids:
                raise Difference("%s: %s is no new id" % (where, seen.hex()))
            recorded = self.ids.setdefault(recorded, seen)
        self.same(recorded, seen, where)

    @staticmethod
    def same(recorded, seen, where):
        if recorded != seen:
            raise Difference("%s: %r, recorded %r" % (where, seen, recorded))

    def parked_metadata(self, recorded, seen, where):
        recorded, seen = json.loads(recorded), json.loads(seen)
        for text in ("added", "reason"):
            if not isinstance(seen.get(text), str) or not seen[text]:
                raise Difference("%s: no %s" % (where, text))
            recorded.pop(text), seen.pop(text)
        self.same(recorded, seen, where)

    def value(self, name, recorded, seen, where, parent):
        if isinstance(recorded, dict) and isinstance(seen, dict):
            self.message(recorded, seen, where)
        elif name in POSITIONS or name in LOOSE_POSITIONS:
            self.position(recorded, seen, name in LOOSE_POSITIONS, where)
        elif name == "event_id":
            self.event_id(recorded, seen, where)
        elif name == "scavengeId":
            self.same(bool(GUID.match(recorded)), bool(GUID.match(seen)), where + " is an id")
        elif name in TEXTS and isinstance(recorded, bytes):
            self.same(bool(recorded), bool(seen), where + " is there")
        elif name == "metadata" and b"-parked" in parent.get("event_stream_id", [b""])[0]:
            self.parked_metadata(recorded, seen, where)
        elif name not in UNKNOWABLE and name not in ("created", "created_epoch"):
            self.same(recorded, seen, where)

    def times(self, seen, where):
        created, epoch = seen["created"][0], seen["created_epoch"][0]
        if (created - TICKS_AT_EPOCH) // 10000 != epoch or abs(epoch / 1000 - time.time()) > 120:
            raise Difference("%s: created %d is not %d, or not now" % (where, created, epoch))

    def message(self, recorded, seen, where):
        if set(recorded) != set(seen):
            raise Difference("%s: has the fields %s, recorded %s" % (where, sorted(seen), sorted(recorded)))
        for name, values in recorded.items():
            self.same(len(values), len(seen[name]), "%s: number of %s" % (where, name))
            for index, value in enumerate(values):
                self.value(name, value, seen[name][index], "%s.%s[%d]" % (where, name, index), recorded)
        if "created" in recorded and "created_epoch" in recorded:
            self.times(seen, where)

    def own_events(self, message):
        """Of a page of all streams only the events of the recording's own streams count."""
        own = copy.copy(message)
        events = [event for event in message.get("events", [])
                  if any(stream in self.recording.streams for stream in each(event, "event_stream_id"))]
        own.pop("events", None)
        if events:
            own["events"] = events
        return own

    def package(self, line, package):
        where = "line %d, %s" % (line.number, line.name)
        self.same(line.package.command, package.command, where + ": command")
        self.same(line.package.head[1], package.head[1], where + ": flags")
        if line.name in PLAIN:
            if not PLAIN[line.name]:
                self.same(line.message, package.body, where)
            return
        recorded, seen = line.message, self.recording.body_of(line.name, package.body)
        if "ReadAllEvents" in line.name:
            recorded, seen = self.own_events(recorded), self.own_events(seen)
        self.message(recorded, seen, where)


# Connections ---------------------------------------------------------------------------------------------

class Connection:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.input = b""
        self.ended = False
        self.packages = []

    def send(self, package):
        self.socket.sendall(struct.pack("<I", len(package)) + package)

    def receive(self):
        """Reads what is there once; answers heartbeats."""
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionError:
            data = b""
        self.ended = not data
        self.input += data
        while len(self.input) >= 4:
            size = struct.unpack("<I", self.input[:4])[0]
            if len(self.input) < 4 + size:
                break
            package = Package(self.input[4:4 + size])
            self.input = self.input[4 + size:]
            if package.command == HEARTBEAT_REQUEST:
                self.send(bytes([HEARTBEAT_RESPONSE, 0]) + package.correlation)
            else:
                self.packages.append(package)


class Memstore:
    """A fresh server in a folder of its own."""

    def __init__(self, program, *options):
        self.folder = tempfile.TemporaryDirectory(prefix="esbridge-replay-")
        port_file = os.path.join(self.folder.name, "port")
        self.log = open(os.path.join(self.folder.name, "log"), "w+", encoding="utf-8")
        self.process = subprocess.Popen([program, "--port", "0", "--port-file", port_file, *options],
                                        stderr=self.log)
        until = time.monotonic() + 10
        while not os.path.exists(port_file):
            if self.process.poll() is not None or time.monotonic() > until:
                raise Difference("the memstore does not start: " + self.said())
            time.sleep(0.01)
        with open(port_file, encoding="utf-8") as text:
            self.port = int(text.read())

    def said(self):
        self.log.seek(0)
        return self.log.read().strip()

    def end(self):
        """Ends it; its exit status must be 0."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        said = self.said()
        self.log.close()
        self.folder.cleanup()
        if status != 0:
            raise Difference("the memstore ended with status %d: %s" % (status, said))


# Replay --------------------------------------------------------------------------------------------------

class Replay:
    def __init__(self, recording, port):
        self.recording, self.port = recording, port
        self.comparison = Comparison(recording)
        self.connections = {}
        self.client_closed = set()

    def connection(self, number):
        if number not in self.connections:
            self.connections[number] = Connection(self.port)
        return self.connections[number]

    def request(self, line):
        """The package of a C line, with the positions of this run in place of the recorded ones."""
        name = MESSAGES.get(line.name, line.name)
        known = self.recording.schema.get(name, {})
        replaced = [number for number, (field, _) in known.items() if field in POSITIONS]
        if not replaced:
            return line.package.head + line.package.body
        fields = raw_fields(line.package.body)
        for field in fields:
            if field[0] in replaced:
                field[2] = self.comparison.now(field[2])
        return line.package.head + encode_fields(fields)

    def act(self, line):
        if line.kind == "C":
            self.connection(line.conn).send(self.request(line))
        elif line.kind == "R":
            self.connection(line.conn).socket.sendall(line.raw)
        elif line.kind == "D":
            self.connections.pop(line.conn).socket.close()
            self.client_closed.add(line.conn)

    def wait_for_input(self, seconds):
        """Returns the numbers of connections that something came on."""
        sockets = {c.socket: number for number, c in self.connections.items() if not c.ended}
        ready = select.select(list(sockets), [], [], max(seconds, 0))[0]
        for one in ready:
            self.connections[sockets[one]].receive()
        return [sockets[one] for one in ready]

    def match(self, expected):
        """Compares all that has come with EXPECTED, taking from it what was met."""
        for number, connection in self.connections.items():
            while connection.packages:
                package = connection.packages.pop(0)
                line = next((l for l in expected if l.kind == "S" and l.conn == number and
                             l.package.correlation == package.correlation), None)
                if line is None:
                    raise Difference("connection %d: a package that was not recorded here, command 0x%02x, %s"
                                     % (number, package.command, package.body[:80].hex()))
                expected.remove(line)
                self.comparison.package(line, package)
            closing = [l for l in expected if l.kind == "X" and l.conn == number]
            if connection.ended and not closing and number not in self.client_closed:
                self.expect_closed(number, expected)
            elif connection.ended:
                for line in closing:
                    expected.remove(line)
                self.client_closed.add(number)

    @staticmethod
    def expect_closed(number, expected):
        waiting = ", ".join("line %d" % line.number for line in expected) or "nothing"
        raise Difference("connection %d was closed; due was %s" % (number, waiting))

    def answers(self, lines):
        """Waits until the S and X lines have come."""
        expected = [line for line in lines if not (line.kind == "X" and line.conn in self.client_closed)]
        until = time.monotonic() + ANSWER_WAIT
        self.match(expected)
        while expected:
            if time.monotonic() > until:
                raise Difference("line %d has not come: %s" % (expected[0].number, expected[0].text[:60]))
            self.wait_for_input(until - time.monotonic())
            self.match(expected)

    def nothing(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.wait_for_input(until - time.monotonic())
            self.match([])

    def run(self):
        lines, at = self.recording.lines, 0
        while at < len(lines):
            line = lines[at]
            at += 1
            if line.kind in "CRD":
                self.act(line)
                due = []
                while at < len(lines) and lines[at].kind in "SX":
                    due.append(lines[at])
                    at += 1
                self.answers(due)
            elif line.text.startswith("# nothing more"):
                self.nothing(NOTHING_WAIT)
        self.nothing(NOTHING_WAIT)

    def close(self):
        for connection in self.connections.values():
            connection.socket.close()


def replay(program, recording):
    """Returns what is different, or None."""
    difference = None
    try:
        memstore = Memstore(program, "--speak", recording.version)
        run = Replay(recording, memstore.port)
        try:
            run.run()
        except (Difference, OSError, IndexError, ValueError, KeyError) as error:
            difference = "%s: %s" % (type(error).__name__, error)
        run.close()
        memstore.end()
    except (Difference, OSError) as error:
        difference = difference or str(error)
    return difference


# The test of the test ------------------------------------------------------------------------------------

def changes(message, path=""):
    """All ways to change MESSAGE in one field so that the comparison must see it: (what, function)."""
    for name, values in message.items():
        here = "%s.%s" % (path, name)
        yield "%s gone" % here, lambda name=name: message.pop(name)
        yield "%s twice" % here, lambda values=values: values.append(copy.deepcopy(values[-1]))
        for index, value in enumerate(values):
            if isinstance(value, dict):
                yield from changes(value, here)
            elif isinstance(value, int) and name not in POSITIONS | LOOSE_POSITIONS | UNKNOWABLE | \
                    {"created", "created_epoch"}:
                yield "%s + 1" % here, lambda values=values, index=index: values.__setitem__(
                    index, values[index] + 1)
            elif isinstance(value, bytes) and name not in TEXTS | {"metadata", "scavengeId"}:
                yield "%s longer" % here, lambda values=values, index=index: values.__setitem__(
                    index, values[index] + b"x")


def mutants(recording):
    """Every change to every answer: (line number, what, a recording with that one change)."""
    for at, line in enumerate(recording.lines):
        if line.kind != "S" or not isinstance(line.message, dict):
            continue
        for index, (what, _) in enumerate(changes(line.message)):
            mutant = copy.deepcopy(recording)
            list(changes(mutant.lines[at].message))[index][1]()
            yield line.number, what, mutant


def self_test(program, schema, folder):
    """Replays with a wrong expectation; each must fail at its line. Yields (good, what, diagnostics)."""
    for name, count in SELF_TEST.items():
        recording = Recording(schema, folder, name)
        all_mutants = list(mutants(recording))
        step = max(len(all_mutants) // count, 1)
        for line, what, mutant in all_mutants[step // 2::step][:count]:
            difference = replay(program, mutant)
            good = difference is not None and "line %d," % line in difference
            yield good, "a change is found: %s line %d, %s" % (name, line, what), difference


def replays(program, schema, folder, names):
    for name in names:
        difference = replay(program, Recording(schema, folder, name))
        yield difference is None, "replay " + name, difference


def main(names):
    program, source = program_and_source()
    schema = read_schema(os.path.join(source, "proto", "eventstore.proto"))
    folder = os.path.join(source, "tests", "transcripts")
    recordings = names or ["%s/%s" % (version, name) for version in VERSIONS for name in FILES]
    points = [replays(program, schema, folder, recordings)]
    if not names:
        points.append(self_test(program, schema, folder))
    print("1..%d" % (len(recordings) + (0 if names else sum(SELF_TEST.values()))))
    failed = number = 0
    for good, what, diagnostics in itertools.chain(*points):
        number += 1
        failed += not good
        print("%s %d - %s" % ("ok" if good else "not ok", number, what))
        if not good:
            print("# " + str(diagnostics).replace("\n", "\n# "))
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
