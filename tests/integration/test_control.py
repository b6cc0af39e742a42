#!/usr/bin/env python3
"""The control channel of esbridge-memstore: each command does what esbridge-memstore(1) says.

Prints TAP. Environment: MEMSTORE, the program (./esbridge-memstore); SRCDIR, the source tree.
"""

import os
import select
import socket
import struct
import sys
import tempfile
import time
import traceback

import control
import replay
import test_memstore as memstore
from test_memstore import (APPEARED, CONNECT, PING, PONG, SUBSCRIBE, Client, check, create,
                           event, fields, join, new_id, same)

MASTER_INFO = {"external_tcp_address": [b"10.1.2.3"], "external_tcp_port": [1119],
               "external_http_address": [b"10.1.2.3"], "external_http_port": [2113]}
NOT_HANDLED, BAD_REQUEST, WRITTEN = 0xF1, 0xF0, 0x83


class World:
    """A memstore with a control channel, and one client."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "control")
        self.server = replay.Memstore(memstore.PROGRAM, "--control", self.path)
        self.control = control.Control(self.path)
        self.client = Client(self.server)

    def end(self):
        self.control.close()
        self.server.end()
        check(not os.path.exists(self.path), "the socket is removed")

    def write(self, stream="s"):
        return self.client.request(memstore.WRITE, fields(stream, memstore.ANY, [event()], 1))

    def stored(self, stream="s"):
        return len(Client(self.server).stream(stream))


def ended_by(client):
    """What ends a client's connection: "end" or "reset". Packages before that are kept."""
    until = time.monotonic() + 3
    client.socket.settimeout(3)
    while time.monotonic() < until:
        try:
            data = client.socket.recv(65536)
        except ConnectionResetError:
            return "reset"
        if not data:
            return "end"
        client.input += data
    raise AssertionError("the connection does not end")


def refuses(world, line):
    try:
        world.control.ask(line)
    except control.Refused:
        return
    raise AssertionError("accepted: " + line)


def what_is_no_command(world):
    for line in ("", "what", "drop", "drop on", "drop on What", "drop on Ping#0", "drop on Ping#x", "drop on Ping now",
                 "drop on Ping before it", "delay on Ping", "delay x on Ping", "delay -1 on Ping", "cut on Ping",
                 "not-handled on Ping", "not-handled Soon on Ping", "not-handled NotMaster host on Ping",
                 "not-handled NotMaster host 65536 on Ping", "raw", "raw f", "raw xy", "raw -1", "restart",
                 "restart all", "restart keep x", "restart keep 1 2", "close", "close some", "count", "count What",
                 "drop on Ping " + "x " * 50, "drop on " + "P" * 5000):
        refuses(world, line)
    same(world.client.call(PING, b"still"), b"still")


def lines_in_pieces(world):
    world.control.socket.sendall(b"count Pi")
    time.sleep(0.05)
    world.control.socket.sendall(b"ng\ncount Ping\r\n")
    same(world.control.ask("count Ping"), ["0", "0"])
    got = world.control.input
    while got.count(b"\n") < 2:
        got += world.control.socket.recv(100)
    same(got, b"ok 0 0\n" * 2)


def drop_before(world):
    world.control.drop("WriteEvents")
    world.write()
    same((ended_by(world.client), world.client.input), ("end", b""))
    same(world.stored(), 0)


def drop_after(world):
    world.control.drop("WriteEvents", when="after")
    world.write()
    same(ended_by(world.client), "end")
    same(world.client.input[4], WRITTEN)
    same(world.stored(), 1)


def drop_answer(world):
    """The event is written, but the client is not told."""
    world.control.drop("WriteEventsCompleted")
    world.write()
    same((ended_by(world.client), world.client.input), ("end", b""))
    same(world.stored(), 1)


def drop_unread(world):
    """What the client sent behind the request that is its last makes no reset of the end."""
    world.control.drop("Ping")
    package = bytes([PING, 0]) + new_id()
    world.client.socket.sendall((struct.pack("<I", len(package)) + package) * 50)
    same(ended_by(world.client), "end")
    same(world.control.count("Ping"), (1, 0))


def reset_before(world):
    world.control.reset("WriteEvents")
    world.write()
    same((ended_by(world.client), world.client.input), ("reset", b""))
    same(world.stored(), 0)


def reset_after(world):
    world.control.reset("WriteEvents", when="after")
    world.write()
    same(ended_by(world.client), "reset")
    same(world.stored(), 1)


def cut(world):
    world.control.cut(10, "WriteEvents")
    world.write()
    same((ended_by(world.client), len(world.client.input)), ("end", 10))
    same(world.client.input[4], WRITTEN)
    same(world.stored(), 1)


def cut_of_a_push(world):
    world.client.request(SUBSCRIBE, fields("s", 0))
    world.client.next()
    world.control.cut(30, "StreamEventAppeared", nth=2)
    writer = Client(world.server)
    writer.write("s", event(), event())
    same((ended_by(world.client), world.client.input[4]), ("end", APPEARED))
    size = struct.unpack("<I", world.client.input[:4])[0]
    same(len(world.client.input), 4 + size + 30)
    writer.write("s", event())


def stall_and_resume(world):
    world.control.stall("WriteEvents")
    world.write()
    world.client.request(PING, b"behind")
    check(world.client.silent(), "nothing comes")
    same((world.control.connections(), world.stored()), ((1, 1), 0))
    world.control.resume()
    same([world.client.next()[0], world.client.next()[0]], [WRITTEN, PONG])
    same((world.stored(), world.control.count("WriteEvents")), (1, (1, 0)))


def stall_after(world):
    world.control.stall("WriteEvents", when="after")
    world.write()
    check(world.client.silent(), "nothing comes")
    same(world.stored(), 1)
    world.control.resume()
    same(world.client.next()[0], WRITTEN)


def stall_of_a_push(world):
    world.client.request(SUBSCRIBE, fields("s", 0))
    world.client.next()
    world.control.stall("StreamEventAppeared")
    Client(world.server).write("s", event(), event())
    check(world.client.silent(), "nothing comes")
    world.control.resume()
    same([world.client.next()[0], world.client.next()[0]], [APPEARED] * 2)


def stalled_and_ended(world):
    world.control.stall("Ping", nth="*")
    world.client.request(PING)
    check(world.client.silent(), "nothing comes")
    world.control.close_all()
    same(ended_by(world.client), "end")


def delay(world):
    world.control.delay(300, "WriteEvents")
    began = time.monotonic()
    world.write()
    world.client.request(PING)
    same(world.client.next()[0], PONG, "others overtake it")
    same(world.client.next()[0], WRITTEN)
    check(0.28 <= time.monotonic() - began <= 2, "it took its time")


def delay_past_the_end(world):
    world.control.delay(200, "Ping")
    world.client.request(PING)
    world.client.socket.close()
    time.sleep(0.4)
    same(Client(world.server).call(PING, b"x"), b"x")


def garbage(world):
    world.control.garbage("ReadEvent")
    correlation = world.client.request(memstore.READ_EVENT, fields("s", 0, 0, 1))
    while not world.client.packages:
        select.select([world.client.socket], [], [], 3)
        world.client.receive()
    package = world.client.packages.pop()
    same((package.command, package.correlation, package.body), (0xB1, correlation, b"\xff" * 16))
    same(world.client.call(PING, b"next"), b"next")


def double(world):
    world.control.double("WriteEvents")
    world.write()
    same([world.client.next()[1]["first_event_number"] for _ in range(2)], [[0], [0]])
    check(world.client.silent(), "no third one")
    same(world.stored(), 1)


def not_handled(world):
    for reason, number in (("NotReady", 0), ("TooBusy", 1), ("NotMaster", 2), ("NotLeader", 2), ("IsReadOnly", 3)):
        world.control.not_handled(reason, "WriteEvents")
        world.write()
        same(world.client.next(), (NOT_HANDLED, {"reason": [number]}), reason)
    same(world.stored(), 0)
    world.write()
    same(world.client.next()[0], WRITTEN)


def not_handled_with_master(world):
    world.control.not_handled("NotMaster", "WriteEvents", master=("10.1.2.3", 1119))
    world.write()
    command, message = world.client.next()
    same((command, message["reason"]), (NOT_HANDLED, [2]))
    same(replay.decode(memstore.SCHEMA, "MasterInfo", message["additional_info"][0]), MASTER_INFO)


def counts_to_the_nth(world):
    world.control.not_handled("TooBusy", "Ping", nth=3)
    got = []
    for _ in range(4):
        world.client.request(PING)
        got.append(world.client.next()[0])
    same(got, [PONG, PONG, NOT_HANDLED, PONG])


def each_one(world):
    world.control.not_handled("TooBusy", "Ping", nth="*")
    for _ in range(3):
        world.client.request(PING)
        same(world.client.next()[0], NOT_HANDLED)
    world.control.clear()
    same(world.client.call(PING, b""), b"")
    same(world.control.count("Ping"), (1, 0))


def rules_in_turn(world):
    world.control.not_handled("TooBusy", "Ping")
    world.control.double("Ping")
    got = []
    for _ in range(3):
        world.client.request(PING)
        got.append(world.client.next()[0])
    same(got, [NOT_HANDLED, PONG, PONG])
    same(world.client.next()[0], PONG, "the second of the doubled one, and one more")


def bad_request_zero(world):
    world.control.bad_request_zero()
    same(ended_by(world.client), "end")
    same((world.client.input[4], world.client.input[6:22]), (BAD_REQUEST, bytes(16)))


def raw(world):
    world.control.raw(b"\x01\x02\xff")
    world.client.socket.settimeout(3)
    same(world.client.socket.recv(10), b"\x01\x02\xff")


def close_all(world):
    other = Client(world.server)
    world.control.close_all()
    same([ended_by(world.client), ended_by(other)], ["end", "end"])
    same(world.control.connections(), (0, 0))


def refused(world):
    try:
        socket.create_connection(("127.0.0.1", world.server.port)).close()
    except ConnectionRefusedError:
        return True
    return False


def restart(world, keep):
    world.client.write("s", event())
    create(world.client, "s", "g")
    consumer = join(world.server, "s", "g", 1)
    consumer.delivered(1)
    transaction = world.client.call(memstore.TX_START, fields("t", memstore.ANY, 1))["transaction_id"][0]
    world.control.restart(keep, 300)
    check(refused(world), "nobody listens")
    same((ended_by(world.client), ended_by(consumer)), ("end", "end"))
    until = time.monotonic() + 3
    while refused(world) and time.monotonic() < until:
        time.sleep(0.02)
    world.client = Client(world.server)
    world.client.request(CONNECT, fields("g", "s", 1))
    answer = world.client.next()
    result = world.client.call(memstore.TX_COMMIT, fields(transaction, 1)) if not keep else {"result": [7]}
    same(result["result"], [7], "transactions go with the data")
    return answer


def restart_keep(world):
    same(restart(world, True)[0], memstore.CONFIRMED)
    same(world.stored(), 1)


def restart_lose(world):
    same(restart(world, False), (memstore.DROPPED, {"reason": [2]}))
    same(world.stored(), 0)
    same(world.client.write("s", event())["first_event_number"], [0])


def restart_at_once(world):
    for _ in range(3):
        world.control.restart(True)
        until = time.monotonic() + 3
        while refused(world) and time.monotonic() < until:
            time.sleep(0.01)
        same(Client(world.server).call(PING, b"x"), b"x")


def counts(world):
    for _ in range(3):
        world.write()
        world.client.next()
    same((world.control.count("WriteEvents"), world.control.count("WriteEventsCompleted")), ((3, 0), (0, 3)))
    same(world.control.count("IdentifyClient"), (1, 0))


def subscriptions(world):
    same(world.control.subscriptions(), (0, 0))
    for stream in ("a", "b"):
        world.client.request(SUBSCRIBE, fields(stream, 0))
        world.client.next()
    create(world.client, "s", "g")
    consumer = join(world.server, "s", "g", 1)
    same((world.control.subscriptions(), world.control.connections()), ((2, 1), (2, 0)))
    consumer.socket.close()
    end = time.monotonic() + 10
    while world.control.connections() != (1, 0) and time.monotonic() < end:
        pass  # each question is a round trip
    same((world.control.subscriptions(), world.control.connections()), ((2, 0), (1, 0)))


def two_channels(world):
    with control.Control(world.path) as second:
        second.not_handled("TooBusy", "Ping")
        same(world.control.count("Ping"), (0, 0))
    world.client.request(PING)
    same(world.client.next()[0], NOT_HANDLED)


def path_that_cannot_be(world):
    same(memstore.run("--port", "0", "--control", "/nonexistent/control").returncode, 73)
    same(memstore.run("--port", "0", "--control", "/tmp/" + "x" * 200).returncode, 73)


TESTS = [what_is_no_command, lines_in_pieces, drop_before, drop_after, drop_answer, drop_unread, reset_before,
         reset_after, cut, cut_of_a_push, stall_and_resume, stall_after, stall_of_a_push, stalled_and_ended, delay,
         delay_past_the_end, garbage, double, not_handled, not_handled_with_master, counts_to_the_nth, each_one,
         rules_in_turn, bad_request_zero, raw, close_all, restart_keep, restart_lose, restart_at_once, counts,
         subscriptions, two_channels, path_that_cannot_be]


def point(test):
    """Runs one test; returns what went wrong, or None. The memstore must end well, too."""
    try:
        with tempfile.TemporaryDirectory(prefix="esbridge-control-") as folder:
            world = World(folder)
            try:
                test(world)
            finally:
                world.end()
    except (AssertionError, control.Refused, replay.Difference, OSError, KeyError, TypeError, ValueError):
        return traceback.format_exc()
    return None


def main():
    failed = 0
    print("1..%d" % len(TESTS))
    for number, test in enumerate(TESTS, 1):
        wrong = point(test)
        failed += wrong is not None
        print("%s %d - %s" % ("not ok" if wrong else "ok", number, test.__name__.replace("_", " ")))
        if wrong:
            print("# " + wrong.strip().replace("\n", "\n# "))
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
