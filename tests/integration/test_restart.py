#!/usr/bin/env python3
"""The daemon is started again under load, with a socket of its own and with one that is handed over: nothing is lost."""

import contextlib
import os
import threading
import time
import uuid

from harness import LIMIT, Bridge, Client, Failure, World, equal, main, test, true, until
from manager import Managed, listener

ADMIN = {"username": "admin", "password": "changeit"}


class Program(threading.Thread):
    """A program that uses the daemon at PATH, and begins again whenever its connection ends."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.ending, self.fault, self.connections = path, False, None, 0
        self.start()

    def run(self):
        while not self.ending and self.fault is None:
            try:
                with Client(self.path) as client:
                    self.connections += 1
                    self.use(client)
            except OSError:
                time.sleep(0.005)   # there is nobody
            except Failure as fault:
                # The end of the connection, or a wait during which the test has ended.
                if "closed" not in str(fault) and not self.ending:
                    self.fault = fault

    def use(self, client):
        raise NotImplementedError

    def well(self):
        equal(self.fault, None, "fault of a program")
        return True


class Writer(Program):
    """Writes one event after the other, each as often as it takes, with the same id."""

    def __init__(self, path, stream):
        self.stream, self.ids = stream, []
        super().__init__(path)

    def use(self, client):
        while not self.ending:
            body = {"event_stream_id": self.stream, "events": [{"event_id": self.next_id(), "event_type": "t", "data": len(self.ids)}]}
            line = client.ask({"op": "execute", "message": "WriteEvents", "body": body})
            if "ok" in line:
                self.ids.append(self.pending)
                self.pending = None
            elif line["error"]["code"] not in ("shutting_down", "unavailable", "connection_lost"):
                raise Failure("a write: %r" % line)

    pending = None

    def next_id(self):
        self.pending = self.pending or str(uuid.uuid4())
        return self.pending


class Reader(Program):
    """Takes events, notes their numbers, and acknowledges each."""

    def __init__(self, path, **members):
        self.members, self.rounds = members, []
        super().__init__(path)

    def use(self, client):
        line = client.ask(dict({"op": "subscribe", "sub": "r"}, **self.members))
        if "error" in line:
            # The one before may not have ended yet in the daemon.
            true(line["error"]["code"] in ("shutting_down", "unavailable", "already_exists", "connection_lost"), "subscribe: %r" % line)
            return
        self.rounds.append([])
        while not self.ending:
            push = client.push(limit=3600)
            if push["push"] == "dropped":
                equal(push["reason"], "shutting_down", "reason")
                return
            if push["push"] == "event":
                self.rounds[-1].append(push["event"]["event_number"])
                client.send({"op": "ack", "sub": "r", "events": [push["ack_id"]]})

    def numbers(self):
        return [number for one in self.rounds for number in one]


def first_times(numbers):
    return list(dict.fromkeys(numbers))


def start_again(world, writers, kill):
    """In the middle of the work; the work goes on afterwards."""
    def gone_on(more):
        wanted = [len(w.ids) + more for w in writers]
        until(lambda: all(w.well() and len(w.ids) >= n for w, n in zip(writers, wanted)), "the writers go on", limit=3 * LIMIT)
    gone_on(30)
    if kill:
        world.bridge.kill()
    else:
        world.bridge.process.terminate()
        equal(world.bridge.wait_exit(), 0, "exit status")
    world.bridge.start()
    gone_on(10)


def under_load(world):
    with world.client() as client:
        client.execute("CreatePersistentSubscription", {"event_stream_id": "w0", "subscription_group_name": "g", "start_from": 0})
    world.clients.clear()
    path = world.bridge.socket
    writers = [Writer(path, "w%d" % number) for number in range(3)]
    readers = [Reader(path, stream="w0", group="g", in_flight=20), Reader(path, stream="w0", checkpoint="c", window=20)]
    try:
        for number in range(4):
            start_again(world, writers, kill=number == 2)
        for writer in writers:
            writer.ending = True
            writer.join(LIMIT)
            writer.well()
        for writer in writers:
            read = [e["event"]["event_id"] for e in read_all(world, writer.stream)]
            extra = [writer.pending] if writer.pending in read else []
            equal(read, writer.ids + extra, "what is stored of %s" % writer.stream)
        everything = list(range(len(read_all(world, "w0"))))
        for reader in readers:
            until(lambda r=reader: r.well() and len(set(r.numbers())) == len(everything), "every event is delivered")
            equal(first_times(reader.numbers()), everything, "the events, the first time each")
            true(len(reader.rounds) >= 5, "it was there before and after each start: %d" % len(reader.rounds))
        for numbers in filter(None, readers[1].rounds):
            equal(numbers, list(range(numbers[0], numbers[0] + len(numbers))), "the events of one connection")
    finally:
        for program in writers + readers:
            program.ending = True
    equal([program.fault for program in writers + readers], [None] * 5, "faults")


def read_all(world, stream):
    events = []
    with world.bridge.client() as client:
        while True:
            page = client.read(stream, len(events))
            events += page["events"]
            if page["is_end_of_stream"]:
                return events


class Restarted(World):
    def __init__(self, make):
        self.make = make
        super().__init__({"store": ADMIN})

    def make_bridge(self, settings):
        return self.make(self.folder, settings)


@contextlib.contextmanager
def ended(world):
    """The programs of the test end with the daemon."""
    with world:
        world.baseline = None
        yield world
        world.bridge.terminate()


@test("a restart under load, once by kill -9: every write stored once, every event delivered, in order, none skipped")
def _():
    with ended(Restarted(Bridge)) as world:
        under_load(world)


@test("the same with a socket that is handed over, on which clients wait meanwhile")
def _():
    made = []

    def make(folder, settings):
        made.append(listener(os.path.join(folder, "handed")))
        bridge = Managed(folder, settings, made)
        bridge.socket = os.path.join(folder, "handed")
        return bridge
    with ended(Restarted(make)) as world:
        under_load(world)
    made[0].close()


if __name__ == "__main__":
    main(shared=False)
