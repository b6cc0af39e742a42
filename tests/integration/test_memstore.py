#!/usr/bin/env python3
"""esbridge-memstore where the recordings of a real server say nothing: options, heartbeats, paging through
transactions, who gets what in a group.

Prints TAP. Environment: MEMSTORE, the program (./esbridge-memstore); SRCDIR, the source tree.
"""

import itertools
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
import traceback

import replay

PROGRAM, SOURCE = replay.program_and_source()
SCHEMA = replay.read_schema(os.path.join(SOURCE, "proto", "eventstore.proto"))
ADMIN, NOBODY = (b"admin", b"changeit"), None
ANY = -2
PING, PONG, WRITE, TX_START, TX_WRITE, TX_COMMIT, DELETE = 0x03, 0x04, 0x82, 0x84, 0x86, 0x88, 0x8A
FILTERED_FORWARD, FILTERED_BACKWARD = 0xBA, 0xBC
READ_EVENT, FORWARD, ALL_FORWARD, ALL_BACKWARD, SUBSCRIBE, APPEARED = 0xB0, 0xB2, 0xB6, 0xB8, 0xC0, 0xC2
UNSUBSCRIBE, DROPPED, CONNECT, CONFIRMED, DELIVERED, CREATE = 0xC3, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8
ACK, NAK, IDENTIFY, NOT_AUTHENTICATED = 0xCC, 0xCD, 0xF5, 0xF4
RETRY, PARK = 2, 1
MESSAGES = {
    0x83: "WriteEventsCompleted", 0x85: "TransactionStartCompleted", 0x87: "TransactionWriteCompleted",
    0x89: "TransactionCommitCompleted", 0x8B: "DeleteStreamCompleted", 0xB1: "ReadEventCompleted",
    0xB3: "ReadStreamEventsCompleted", 0xB7: "ReadAllEventsCompleted", 0xB9: "ReadAllEventsCompleted",
    0xC1: "SubscriptionConfirmation", APPEARED: "StreamEventAppeared", DROPPED: "SubscriptionDropped",
    CONFIRMED: "PersistentSubscriptionConfirmation", DELIVERED: "PersistentSubscriptionStreamEventAppeared",
    0xC9: "CreatePersistentSubscriptionCompleted", 0xBB: "FilteredReadAllEventsCompleted",
    0xBE: "FilteredReadAllEventsCompleted", 0xF1: "NotHandled",
}
ids = itertools.count(1)


def new_id():
    return struct.pack("<QQ", next(ids), 7)


def fields(*values):
    """A message of the fields 1, 2, …; None leaves one out, a list repeats it."""
    out = []
    for number, value in enumerate(values, 1):
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str):
                one = one.encode()
            if one is not None:
                out.append([number, replay.BYTES if isinstance(one, bytes) else replay.VARINT, one])
    return replay.encode_fields(out)


def event(kind="Tested", data="{}", event_id=None, is_json=1):
    return fields(event_id or new_id(), kind, is_json, 0, data)


class Client(replay.Connection):
    def __init__(self, server, version=1, user=ADMIN):
        super().__init__(server.port)
        self.user = user
        self.request(IDENTIFY, fields(version))
        self.next()

    def request(self, command, body=b"", correlation=None):
        correlation = correlation or new_id()
        head = bytes([command, 1 if self.user else 0]) + correlation
        if self.user:
            head += b"".join(bytes([len(text)]) + text for text in self.user)
        self.send(head + body)
        return correlation

    def next(self, wait=3.0):
        """The next package as (command, decoded message), or None where none comes."""
        until = time.monotonic() + wait
        while not self.packages and not self.ended and time.monotonic() < until:
            if select.select([self.socket], [], [], max(until - time.monotonic(), 0))[0]:
                self.receive()
        if not self.packages:
            return None
        package = self.packages.pop(0)
        name = MESSAGES.get(package.command)
        return package.command, replay.decode(SCHEMA, name, package.body) if name else package.body

    def call(self, command, body):
        self.request(command, body)
        return self.next()[1]

    def write(self, stream, *events, expected=ANY):
        return self.call(WRITE, fields(stream, expected, list(events), 1))

    def stream(self, stream):
        return self.call(FORWARD, fields(stream, 0, 100, 0, 1)).get("events", [])

    def delivered(self, count, wait=3.0):
        """The numbers and retry counts of the next COUNT messages of a group."""
        out = []
        while len(out) < count:
            command, message = self.next(wait)
            check(command == DELIVERED, "a message, not 0x%02x" % command)
            original = message["event"][0].get("link") or message["event"][0]["event"]
            out.append((original[0]["event_number"][0], message["retry_count"][0], original[0]["event_id"][0]))
        return out

    def silent(self, wait=0.15):
        return self.next(wait) is None and not self.ended


def check(good, what):
    if not good:
        raise AssertionError(what)


def same(seen, wanted, what=""):
    check(seen == wanted, "%s: %r, not %r" % (what, seen, wanted))


def create(client, stream, group, strategy="RoundRobin", start=0, retries=10, timeout=30000):
    answer = client.call(CREATE, fields(group, stream, 0, start, timeout, 0, 500, 20, 500, retries, 0, 2000,
                                        1000, 10, 0, strategy))
    same(answer["result"], [0], "create")


def join(server, stream, group, slots):
    client = Client(server)
    client.correlation = client.request(CONNECT, fields(group, stream, slots))
    same(client.next()[0], CONFIRMED, "connect")
    return client


# Points --------------------------------------------------------------------------------------------------

def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=10, check=False)


def usage_errors():
    for arguments, told in ((["--port", "65536"], "0 to 65535"), (["--port", "x"], "0 to 65535"),
                            (["--pending-limit", "-1"], "whole number"), (["--what"], "--help"),
                            (["--heartbeat-interval", ""], "whole number"), (["operand"], "operand")):
        done = run(*arguments)
        same((done.returncode, told in done.stderr), (64, True), "%s: %s" % (arguments, done.stderr))


def help_and_version():
    shown = run("--help")
    same(shown.returncode, 0)
    for option in ("listen", "port", "port-file", "no-heartbeat", "heartbeat-interval", "heartbeat-timeout",
                   "pending-limit", "speak", "control", "verbose", "version"):
        check("--" + option in shown.stdout, "--help tells of --" + option)
    check(run("--version").stdout.startswith("esbridge-memstore "), "--version")


def port_in_use():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        same(run("--port", str(taken.getsockname()[1])).returncode, 69)


def port_file_that_cannot_be():
    same(run("--port", "0", "--port-file", "/nonexistent/port").returncode, 73)


def ends_on_interrupt():
    server = replay.Memstore(PROGRAM)
    client = Client(server)
    client.write("s", event())
    server.process.send_signal(signal.SIGINT)
    server.end()
    same(client.next(), None)
    check(client.ended, "the connection has ended")


def heartbeats():
    server = replay.Memstore(PROGRAM, "--heartbeat-interval", "200", "--heartbeat-timeout", "200")
    client = Client(server)
    check(client.silent(1.5), "a client that answers stays")
    mute = socket.create_connection(("127.0.0.1", server.port))
    mute.settimeout(3)
    began = time.monotonic()
    same(mute.recv(100)[4:6], bytes([1, 0]), "heartbeat request")
    same(mute.recv(100), b"", "end")
    check(0.35 <= time.monotonic() - began <= 1.5, "it took the time of both")
    server.end()


def no_heartbeats():
    server = replay.Memstore(PROGRAM, "--no-heartbeat")
    with socket.create_connection(("127.0.0.1", server.port)) as mute:
        mute.settimeout(3.5)
        try:
            mute.recv(1)
            check(False, "nothing comes")
        except TimeoutError:
            pass
    server.end()


def flood(server):
    """A subscriber that does not read while much is written. Returns it."""
    slow, writer = Client(server), Client(server)
    slow.request(SUBSCRIBE, fields("big", 0))
    slow.next()
    for _ in range(20):
        writer.write("big", event(data="x" * 1000000, is_json=0))
    return slow


def slow_consumer():
    server = replay.Memstore(PROGRAM, "--pending-limit", "5000000")
    slow = flood(server)
    count = sum(1 for _ in iter(slow.next, None))
    check(slow.ended and count < 20, "closed after %d events" % count)
    server.end()


def slow_consumer_without_limit():
    server = replay.Memstore(PROGRAM)
    slow = flood(server)
    same([slow.next()[0] for _ in range(20)], [APPEARED] * 20)
    server.end()


def all_pages(client, command, size, start):
    """The (stream, number) of all of the client's own events, page by page from START."""
    position, out = start, []
    while True:
        page = client.call(command, fields(*position, size, 0, 1))
        found = [e["event"][0] for e in page.get("events", [])]
        if not found:
            return out
        position = (page["next_commit_position"][0], page["next_prepare_position"][0])
        out += [(e["event_stream_id"][0], e["event_number"][0]) for e in found
                if not e["event_stream_id"][0].startswith(b"$")]


def transactions_in_all(server):
    client = Client(server)
    first, second = (client.call(TX_START, fields(s, ANY, 1))["transaction_id"][0] for s in ("t1", "t2"))
    for _ in range(3):
        client.call(TX_WRITE, fields(first, [event(), event()], 1))
        client.write("between", event())
        client.call(TX_WRITE, fields(second, [event()], 1))
    client.call(TX_COMMIT, fields(second, 1))
    client.write("between", event())
    client.call(TX_COMMIT, fields(first, 1))
    client.write("between", event())
    wanted = [(b"between", n) for n in range(3)] + [(b"t2", n) for n in range(3)] + [(b"between", 3)]
    wanted += [(b"t1", n) for n in range(6)] + [(b"between", 4)]
    for size in (1, 2, 3, 5, 100):
        same(all_pages(client, ALL_FORWARD, size, (0, 0)), wanted, "forward by %d" % size)
        same(all_pages(client, ALL_BACKWARD, size, (-1, -1)), wanted[::-1], "backward by %d" % size)


def names_with_nul(server):
    client, other = Client(server), Client(server)
    other.request(SUBSCRIBE, fields("nul\0b", 0))
    other.next()
    client.write("nul", event())
    client.write("nul\0b", event())
    same(other.next()[1]["event"][0]["event"][0]["event_stream_id"], [b"nul\0b"], "live")
    same(client.call(DELETE, fields("nul\0b", 0, 1, 1))["result"], [0])
    same(len(client.stream("nul")), 1, "the one whose name is the beginning")
    transaction = client.call(TX_START, fields("nul\0c", ANY, 1))["transaction_id"][0]
    client.call(TX_COMMIT, fields(transaction, 1))


def version_0(server):
    client, old = Client(server), Client(server, version=0)
    old.request(SUBSCRIBE, fields("gone", 0))
    old.next()
    client.write("gone", event())
    client.call(DELETE, fields("gone", ANY, 1, 1))
    numbers = [old.next()[1]["event"][0]["event"][0]["event_number"][0] for _ in range(2)]
    same(numbers, [0, 2**31 - 1], "live")
    same(old.call(FORWARD, fields("gone", 0, 10, 0, 1))["last_event_number"], [2**31 - 1], "read")
    same(client.call(FORWARD, fields("gone", 0, 10, 0, 1))["last_event_number"], [2**63 - 1], "version 1")


def repeated_writes(server):
    client = Client(server)
    batch = [event(event_id=new_id()) for _ in range(4)]
    client.write("again", *batch)
    for part, first, last in ((batch[1:3], 1, 2), (batch, 0, 3), (batch[3:], 3, 3)):
        answer = client.write("again", *part)
        same((answer["first_event_number"], answer["last_event_number"]), ([first], [last]))
        answer = client.write("again", *part, expected=first - 1)
        same((answer["result"], answer["first_event_number"]), ([0], [first]))
    same(client.write("again", *batch[2:], event())["result"], [4], "partly new")
    same(client.write("again", *batch, expected=0)["result"], [4], "from another number")
    same(client.write("other", *batch)["first_event_number"], [0], "the same ids in another stream")


def metadata_undeletes(server):
    client = Client(server)
    client.write("s1", event(), event())
    client.call(DELETE, fields("s1", ANY, 1))
    client.write("$$s1", event("$metadata", '{"mine":1,"$maxCount":5}'))
    same([e["event"][0]["data"] for e in client.stream("$$s1")], [[b'{"mine":1,"$maxCount":5,"$tb":2}']])
    same(client.write("s1", event())["first_event_number"], [2])
    same(len(client.stream("s1")), 1)


def max_age(server):
    client = Client(server)
    client.write("$$young", event("$metadata", '{"$maxAge":1}'))
    client.write("young", event())
    same(len(client.stream("young")), 1)
    time.sleep(1.1)
    client.write("young", event())
    same([e["event"][0]["event_number"] for e in client.stream("young")], [[1]])


def expired(server):
    """What a page of one event is, of a stream of three expired ones and one that is not: number, next, end."""
    client = Client(server)
    client.write("$$aged", event("$metadata", '{"$maxAge":1}'))
    client.write("aged", *[event() for _ in range(3)])
    time.sleep(1.1)
    client.write("aged", event())
    page = client.call(FORWARD, fields("aged", 0, 1, 0, 1))
    numbers = [e["event"][0]["event_number"][0] for e in page.get("events", [])]
    return numbers, page["next_event_number"][0], page["is_end_of_stream"][0]


def expired_are_walked(server):
    same(expired(server), ([], 1, 0))


def expired_are_skipped_from_20(server):
    same(expired(server), ([3], 4, 1))


def metadata_beyond_the_limit(server):
    client = Client(server)
    large = fields(new_id(), "T", 1, 0, "{}", b" " * 16767216)
    client.request(WRITE, fields("large", ANY, [large], 1))
    return client.next()[0]


def metadata_counts(server):
    same(metadata_beyond_the_limit(server), 0xF0)


def metadata_does_not_count_from_20(server):
    same(metadata_beyond_the_limit(server), 0x83)


def default_access(server):
    admin, nobody = Client(server), Client(server, user=NOBODY)
    same(nobody.write("closed", event())["result"], [0])
    admin.write("$settings", event("$settings", '{"$userStreamAcl":{"$w":"ops"}}'))
    same(nobody.write("closed", event())["result"], [7], "nobody")
    nobody.user = (b"ops", b"changeit")
    same(nobody.write("closed", event())["result"], [0], "ops")
    same(admin.write("$$closed", event("$metadata", '{"$acl":{"$w":["$all"]}}'))["result"], [0])
    nobody.user = NOBODY
    same(nobody.write("closed", event())["result"], [0], "the stream's own list")
    admin.write("$settings", event("$settings", "{}"))


def forbidden_link(server):
    admin, nobody = Client(server), Client(server, user=NOBODY)
    admin.write("$secret", event())
    admin.write("links", event(), event("$>", "0@$secret"))
    same(nobody.call(FORWARD, fields("links", 0, 10, 1, 1))["result"], [5], "resolved")
    same(nobody.call(FORWARD, fields("links", 0, 10, 0, 1))["result"], [0], "not resolved")
    same(nobody.call(FORWARD, fields("links", 0, 1, 1, 1))["result"], [0], "before it")


def shares(server, stream, strategy):
    """What two consumers with three places each get of six events, and of the next one when one place is free."""
    client = Client(server)
    create(client, stream, "g", strategy)
    one, two = join(server, stream, "g", 3), join(server, stream, "g", 3)
    client.write(stream, *[event() for _ in range(6)])
    got = one.delivered(3), two.delivered(3)
    client.write(stream, event())
    check(one.silent() and two.silent(), "both are full")
    one.request(ACK, fields(stream + "::g", [got[0][1][2]]), one.correlation)
    same(one.delivered(1)[0][0], 6)
    return [[number for number, _, _ in share] for share in got]


def round_robin(server):
    same(shares(server, "rr", "RoundRobin"), [[0, 2, 4], [1, 3, 5]])


def dispatch_to_single(server):
    same(shares(server, "single", "DispatchToSingle"), [[0, 1, 2], [3, 4, 5]])


def pinned(server):
    client = Client(server)
    create(client, "pin", "g", "Pinned")
    one, two = join(server, "pin", "g", 2), join(server, "pin", "g", 2)
    client.write("pin", *[event() for _ in range(5)])
    holder, other = (one, two) if not one.silent(0.3) else (two, one)
    # silent() has taken the first message of one, if it was one that got it
    rest = holder.delivered(1 if holder is one else 2)
    check(other.silent(), "all of a stream go to one consumer")
    holder.socket.close()
    same([number for number, _, _ in other.delivered(2)][:1], [0], "then to the other")
    same(rest[-1][0], 1)


def timeouts_and_parking(server):
    client = Client(server)
    client.write("late", event(), event())
    create(client, "late", "g", retries=1, timeout=300)
    consumer = join(server, "late", "g", 1)
    same([d[:2] for d in consumer.delivered(3)], [(0, 0), (0, 1), (1, 0)])
    parked = client.stream("$persistentsubscription-late::g-parked")
    same([e["event"][0]["data"] for e in parked], [[b"0@late"]])


def acked_by_another(server):
    """A consumer with one place, whose message another has acknowledged, and the id of the message."""
    client = Client(server)
    client.write("own", event(), event())
    create(client, "own", "g")
    consumer = join(server, "own", "g", 1)
    first = consumer.delivered(1)[0][2]
    consumer.request(ACK, fields("own::g", [first]), new_id())
    return consumer, first


def ack_by_another(server):
    same(acked_by_another(server)[0].delivered(1)[0][0], 1)


def ack_by_another_before_5(server):
    consumer, first = acked_by_another(server)
    check(consumer.silent(), "the place is not free")
    consumer.request(ACK, fields("own::g", [first]), consumer.correlation)
    same(consumer.delivered(1)[0][0], 1)


def unknown_version():
    done = run("--speak", "5.0")
    same(done.returncode, 64)
    for version in replay.VERSIONS:
        check(version in done.stderr, "the error names " + version)


def retries_of_one_that_goes(server):
    client = Client(server)
    client.write("kept", event(), event())
    create(client, "kept", "g", retries=1)
    for count in (0, 1):
        consumer = join(server, "kept", "g", 2)
        same([d[:2] for d in consumer.delivered(2)], [(0, count), (1, count)])
        consumer.socket.close()
    until = time.monotonic() + 3
    while len(client.stream("$persistentsubscription-kept::g-parked")) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    parked = client.stream("$persistentsubscription-kept::g-parked")
    same([e["event"][0]["data"] for e in parked], [[b"0@kept"], [b"1@kept"]])


def timeout_of_zero(server):
    """What a consumer gets of one event within 2.5 s where the message timeout is 0."""
    client = Client(server)
    client.write("zero", event())
    create(client, "zero", "g", timeout=0)
    consumer = join(server, "zero", "g", 1)
    same(len(consumer.delivered(1)), 1)
    return consumer.silent(2.5)


def timeout_of_zero_is_none(server):
    check(timeout_of_zero(server), "nothing comes again")


def timeout_of_zero_is_at_once(server):
    check(not timeout_of_zero(server), "it comes again")


def operators(server):
    ops = Client(server, user=(b"ops", b"changeit"))
    body = fields("g", "managed", 0, 0, 1000, 0, 500, 20, 500, 10, 0, 2000, 1000, 10, 0, "RoundRobin")
    return ops.call(CREATE, body)["result"]


def operators_may_manage(server):
    same(operators(server), [0])


def operators_may_not_manage_before_5(server):
    same(operators(server), [3])


def nobody_may_nothing_from_23(server):
    Client(server).write("plain", event())
    nobody = Client(server, user=NOBODY)
    same(nobody.write("plain", event())["result"], [7], "write")
    same(nobody.call(FORWARD, fields("plain", 0, 10, 0, 1))["result"], [5], "read")
    nobody.request(SUBSCRIBE, fields("plain", 0))
    same(nobody.next(), (DROPPED, {"reason": [1]}), "subscribe")


def nobody_is_no_consumer_from_20(server):
    create(Client(server), "plain", "g")
    nobody = Client(server, user=NOBODY)
    nobody.request(CONNECT, fields("g", "plain", 1))
    same(nobody.next(), (DROPPED, {"reason": [1]}))


def links_are_not_checked_from_20(server):
    admin, nobody = Client(server), Client(server, user=NOBODY)
    admin.write("$secret", event())
    admin.write("links", event("$>", "0@$secret"))
    same(nobody.call(FORWARD, fields("links", 0, 10, 1, 1))["result"], [0])


def filtered_page(client, *, limit=100, window=None, start=(0, 0), command=FILTERED_FORWARD, kind=1, context=0,
                  data=("wanted-",)):
    page = client.call(command, fields(*start, limit, window, 0, 1, fields(context, kind, list(data))))
    found = [e["event"][0] for e in page.get("events", [])]
    position = page["next_commit_position"][0], page["next_prepare_position"][0]
    return [e["event_stream_id"][0].decode() for e in found], position, page["is_end_of_stream"][0]


def filters(server):
    client = Client(server)
    for stream, kind in (("wanted-1", "A"), ("other", "AB"), ("wanted-2", "B"), ("other", "C")):
        client.write(stream, event(kind))
    same(filtered_page(client)[::2], (["wanted-1", "wanted-2"], 1))
    same(filtered_page(client, limit=1, window=100)[::2], (["wanted-1"], 0))
    same(filtered_page(client, command=FILTERED_BACKWARD, start=(-1, -1))[::2], (["wanted-2", "wanted-1"], 1))
    same(filtered_page(client, context=1, kind=0, data=["^(A|B)$"])[0], ["wanted-1", "wanted-2"])
    same(filtered_page(client, context=1, data=["A"])[0], ["wanted-1", "other"])
    same(len(filtered_page(client, data=[])[0]), 10)


def search_windows(server):
    client = Client(server)
    client.write("wanted-1", event())
    client.write("other", *[event() for _ in range(9)])
    client.write("wanted-2", event())
    found, start, pages, end = [], (0, 0), 0, 0
    while not end:
        names, start, end = filtered_page(client, window=2, start=start)
        found += names
        pages += 1
    same((found, pages > 5), (["wanted-1", "wanted-2"], True))


def filtered_denial(server):
    nobody = Client(server, user=NOBODY)
    nobody.request(FILTERED_FORWARD, fields(0, 0, 10, 10, 0, 1, fields(0, 1, ["x"])))
    return nobody.next()[0]


def filtered_denial_of_20(server):
    same(filtered_denial(server), 0xB7)


def filtered_denial_of_21(server):
    same(filtered_denial(server), 0xBB)


def no_filters_before_20(server):
    same(filtered_denial(server), 0xF0)


def pinned_by_correlation(server):
    client = Client(server)
    create(client, "corr", "g", "PinnedByCorrelation")
    one, two = join(server, "corr", "g", 20), join(server, "corr", "g", 20)
    tagged = [fields(new_id(), "T", 1, 0, "{}", '{"$correlationId":"%d"}' % (n % 4)) for n in range(20)]
    client.write("corr", *tagged)
    got = [[], []]
    for share, consumer in zip(got, (one, two)):
        while (package := consumer.next(0.5)) is not None:
            share.append(package[1]["event"][0]["event"][0]["event_number"][0] % 4)
    same(sorted(got[0] + got[1]), sorted(n % 4 for n in range(20)))
    check(not set(got[0]) & set(got[1]) and got[0] and got[1], "each id goes to one consumer: %s" % got)


def zeros_are_left_out(server):
    client = Client(server)
    client.write("slim", event())
    page = client.call(FORWARD, fields("slim", 0, 10, 0, 1))
    check("result" not in page and "error" not in page, "of the page")
    check("event_number" not in page["events"][0]["event"][0], "of the event")
    old = Client(server, version=0)
    client.call(DELETE, fields("slim", ANY, 1, 1))
    same(old.call(FORWARD, fields("slim", 0, 10, 0, 1))["last_event_number"], [2**63 - 1], "for version 0")


def retries_first(server):
    client = Client(server)
    client.write("first", *[event() for _ in range(4)])
    create(client, "first", "g")
    consumer = join(server, "first", "g", 2)
    zero, one = consumer.delivered(2)
    consumer.request(NAK, fields("first::g", [one[2], zero[2]], "no", RETRY), consumer.correlation)
    same(sorted(d[:2] for d in consumer.delivered(2)), [(0, 1), (1, 1)])


def ids_that_are_none(server):
    client = Client(server)
    create(client, "bad", "g")
    consumer = join(server, "bad", "g", 1)
    for body in (fields("bad::g"), fields("bad::g", [b"short"]), fields("", [new_id()]),
                 fields("bad::g", [new_id()], "", 9)):
        consumer.request(NAK, body, consumer.correlation)
        same(consumer.next()[0], 0xF0)
    consumer.request(ACK, fields("none::g", [new_id()]), consumer.correlation)
    check(consumer.silent(), "an unknown group is passed over")


def two_on_one_connection(server):
    client = Client(server)
    create(client, "twice", "g")
    both = join(server, "twice", "g", 1)
    second = both.request(CONNECT, fields("g", "twice", 1))
    same(both.next()[0], CONFIRMED)
    client.write("twice", event(), event())
    same(sorted(d[0] for d in both.delivered(2)), [0, 1])
    both.request(UNSUBSCRIBE, b"", second)
    same(both.next()[0], DROPPED)
    both.socket.close()
    taker = join(server, "twice", "g", 5)
    same(sorted(d[:2] for d in taker.delivered(2)), [(0, 1), (1, 1)])


def many_requests_at_once(server):
    client = Client(server)
    for number in range(3000):
        client.request(WRITE, fields("fast", number - 1, [event()], 1))
    for number in range(3000):
        same(client.next()[1]["first_event_number"], [number])


def byte_by_byte(server):
    client = Client(server)
    package = bytes([PING, 0]) + new_id() + b"slow"
    for byte in struct.pack("<I", len(package)) + package:
        client.socket.sendall(bytes([byte]))
        time.sleep(0.002)
    same(client.next(), (PONG, b"slow"))


ALONE = [usage_errors, help_and_version, port_in_use, port_file_that_cannot_be, ends_on_interrupt, heartbeats,
         no_heartbeats, slow_consumer, slow_consumer_without_limit, unknown_version]
WITH_SERVER = [version_0, repeated_writes, metadata_undeletes, max_age, default_access, forbidden_link, round_robin,
          dispatch_to_single, pinned, timeouts_and_parking, ack_by_another, retries_first, ids_that_are_none,
          two_on_one_connection, many_requests_at_once, byte_by_byte, transactions_in_all, timeout_of_zero_is_none,
          names_with_nul, operators_may_manage, no_filters_before_20, expired_are_walked, metadata_counts]
# Those of another version than the default.
WITH_VERSION = {
    ack_by_another_before_5: "4.1.4", operators_may_not_manage_before_5: "4.1.4",
    timeout_of_zero_is_at_once: "20.10.6", retries_of_one_that_goes: "20.10.6",
    nobody_is_no_consumer_from_20: "20.10.6", links_are_not_checked_from_20: "20.10.6",
    filtered_denial_of_20: "20.10.6", filtered_denial_of_21: "21.10.11", filters: "21.10.11",
    search_windows: "21.10.11", pinned_by_correlation: "20.10.6", zeros_are_left_out: "22.10.5",
    nobody_may_nothing_from_23: "23.10.6", expired_are_skipped_from_20: "20.10.6",
    metadata_does_not_count_from_20: "20.10.6",
}


def point(test):
    """Runs one test; returns what went wrong, or None. A server of its own must end well, too."""
    try:
        if test in ALONE:
            test()
            return None
        version = WITH_VERSION.get(test)
        server = replay.Memstore(PROGRAM, *(["--speak", version] if version else []))
        try:
            test(server)
        finally:
            server.end()
    except (AssertionError, replay.Difference, OSError, KeyError, TypeError, ValueError):
        return traceback.format_exc()
    return None


def main():
    tests = ALONE + WITH_SERVER + list(WITH_VERSION)
    failed = 0
    print("1..%d" % len(tests))
    for number, test in enumerate(tests, 1):
        wrong = point(test)
        failed += wrong is not None
        print("%s %d - %s" % ("not ok" if wrong else "ok", number, test.__name__.replace("_", " ")))
        if wrong:
            print("# " + wrong.strip().replace("\n", "\n# "))
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
