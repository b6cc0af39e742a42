"""Writers and readers while the store's connections are cut, reset and broken off in the middle of messages: what was
acknowledged is stored once and in order, and every subscription is complete and in order. Seeded: the seed is in
the name of the test."""
import os
import random
import tempfile
import threading
import time
import uuid

from control import Control
from harness import Failure, World, equal, main, test, true

SETTINGS = {"store": {"reconnect_delay_min": "10ms", "reconnect_delay_max": "50ms", "username": "admin",
                      "password": "changeit"}}
EVENTS = 1000
FAULTS = ("close all", "reset on WriteEvents", "reset on WriteEventsCompleted", "drop on WriteEventsCompleted after",
          "cut 30 on ReadStreamEventsForwardCompleted", "drop on ReadStreamEventsForward", "drop on SubscribeToStream",
          "drop on SubscriptionConfirmation after", "cut 25 on StreamEventAppeared", "reset on StreamEventAppeared#7",
          "not-handled NotReady on WriteEvents", "not-handled NotReady on ReadStreamEventsForward",
          "not-handled TooBusy on SubscribeToStream", "bad-request-zero", "raw ffffff7f", "restart keep 20")
AGAIN = ("timeout", "connection_lost", "unavailable", "overloaded")


class Work(threading.Thread):
    """A thread whose failure is the test's."""

    def __init__(self, work, *arguments):
        super().__init__(daemon=True)
        self.work, self.arguments, self.fault = work, arguments, None
        self.start()

    def run(self):
        try:
            self.work(*self.arguments)
        except Exception as fault:
            self.fault = fault


def finish(threads):
    """Waits for all, or for the first that fails."""
    alive, end = list(threads), time.monotonic() + 60
    while alive and time.monotonic() < end and not any(thread.fault for thread in threads):
        alive[0].join(0.1)
        alive = [thread for thread in alive if thread.is_alive()]
    for thread in threads:
        if thread.fault:
            raise thread.fault
    equal([thread.work.__name__ for thread in alive], [], "threads that have not ended in a minute")


def write(client, stream, begun):
    """Each event with its exact version, so that a repeat can do no harm."""
    for number in range(EVENTS):
        body = {"event_stream_id": stream, "expected_version": number - 1,
                "events": [{"event_type": "t", "event_id": str(uuid.uuid4()), "data": number}]}
        while True:
            line = client.ask({"op": "execute", "message": "WriteEvents", "body": body}, limit=30)
            if "ok" in line:
                break
            true(line["error"]["code"] in AGAIN, "the write of %d: %r" % (number, line))
        equal(line["ok"]["body"]["first_event_number"], number, "number")
        begun.set()


def read(client, sub, window, ended):
    expected, acks = 0, []
    while expected < EVENTS:
        push = client.push(limit=30)
        if push["push"] != "event":
            true(push["push"] in ("interrupted", "resumed", "caught_up") and "gap" not in push, "push %r" % push)
            continue
        equal((push["event"]["event_number"], push["event"]["data"]), (expected, expected), "event of %s" % sub)
        expected += 1
        acks.append(push.get("ack_id"))
        if window and len(acks) == window:
            client.send({"op": "ack", "sub": sub, "up_to": acks[-1]})
            acks = []
    ended.append(sub)


def faults(seed, control, stop):
    chance = random.Random(seed)
    while not stop.wait(chance.random() * 0.08):
        control.ask(chance.choice(FAULTS))


def under_fire(seed):
    with tempfile.TemporaryDirectory(prefix="esb-") as folder:
        path = os.path.join(folder, "control")
        with World(SETTINGS, ["--control", path]) as world, Control(path) as control:
            stream, stop, begun, ended = world.stream(), threading.Event(), threading.Event(), []
            forms = [({"from": "start"}, 0), ({"from": "start", "read_batch": 7}, 0),
                     ({"from": "start", "window": 5, "read_batch": 3}, 5), ({"window": 20}, 20), ({"from": "end", "window": 1}, 1)]
            readers = []
            for members, window in forms:
                client = world.client()
                readers.append((client, client.subscribe(stream=stream, **members), window))
            threads = [Work(read, client, sub, window, ended) for client, sub, window in readers]
            threads.append(Work(write, world.client(), stream, begun))
            trouble = Work(faults, seed, control, stop)
            try:
                finish(threads)
            except Failure as fault:
                raise Failure("%s; so far ended: %r" % (fault, ended)) from fault
            finally:
                stop.set()
                finish([trouble])
                control.ask("clear")
            world.connected()
            client = world.client()
            equal([event["event"]["data"] for event in client.read(stream)["events"]], list(range(EVENTS)), "what is stored")
            for client, sub, _ in readers:
                client.ok("unsubscribe", sub=sub)


def register(seed):
    @test("under fire, seed %d" % seed)
    def _():
        under_fire(seed)


for SEED in range(1, 9):
    register(SEED)

if __name__ == "__main__":
    main(shared=False)
