#!/usr/bin/env python3
"""libesbridge against the daemon: reading, writing, subscriptions of each kind, and what becomes of them and of requests
when the daemon is killed and started again. Everything runs under valgrind, or with the
sanitizers, which must have nothing to say."""

import json
import os
import select
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import harness
from harness import LIMIT, World, equal, main, test, true

DRIVE = os.path.join(harness.BUILD, "tests", "client-lib", "drive")
LIBTOOL = os.path.join(harness.BUILD, "libtool")
VALGRIND = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect"]


def sanitized():
    """True where the library is built with the address sanitizer, which valgrind cannot run."""
    with open(os.path.join(harness.BUILD, ".libs", "libesbridge.so"), "rb") as library:
        return b"__asan_init" in library.read()


class Drive:
    """A program with the library in it. The environment ends with it."""

    def __init__(self, speaks=(), **settings):
        self.world = World(start=False, store_arguments=speaks)
        self.world.settings = {"daemon": {"state_dir": self.world.folder}, **settings}
        self.world.start()
        command = [LIBTOOL, "--mode=execute"] + ([] if sanitized() else VALGRIND) + [DRIVE]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.held = b""
        self.ok("connect", self.world.bridge.socket)

    def line(self):
        end = time.monotonic() + 3 * LIMIT
        while b"\n" not in self.held:
            true(select.select([self.process.stdout], [], [], max(end - time.monotonic(), 0))[0], "an answer in time")
            more = os.read(self.process.stdout.fileno(), 65536)
            true(more, "the program goes on; status %r" % self.process.poll())
            self.held += more
        line, self.held = self.held.split(b"\n", 1)
        return line.decode()

    def tell(self, *words):
        self.process.stdin.write(("\t".join(str(w) for w in words) + "\n").encode())
        self.process.stdin.flush()

    def ask(self, *words):
        self.tell(*words)
        return self.line()

    def ok(self, *words):
        answer = self.ask(*words)
        true(answer.split(" ")[0] == "ok", "%r is well: %r" % (words, answer))
        return answer[3:]

    def fails(self, code, *words):
        """The outcome."""
        answer = self.ask(*words).split(" ")
        equal(answer[:2], ["error", code], "answer to %r" % (words,))
        return int(answer[2])

    def push(self, kind):
        """(its number here, the push)"""
        number, line = self.ok("next", 20000).split(" ", 1)
        push = json.loads(line)
        equal(push.get("push"), kind, "push %r" % line)
        return number, push

    def event(self, number):
        place, push = self.push("event")
        equal(push["event"]["event_number"], number, "event number")
        return place

    def interrupted(self):
        """Waits for the end of the connection to be told; what had come before may come before."""
        while True:
            push = json.loads(self.ok("next", 20000).split(" ", 1)[1])
            if push["push"] == "interrupted":
                equal(push["reason"], "daemon_lost", "reason")
                return
            true(push["push"] in ("event", "caught_up"), "push before the interruption: %r" % push)

    def restart(self):
        self.world.bridge.kill()
        self.world.bridge.start()
        self.world.connected()

    def __enter__(self):
        return self

    def __exit__(self, kind, *unused):
        self.process.stdin.close()
        status = self.process.wait(3 * LIMIT)
        self.process.stdout.close()
        self.world.abandon()
        if kind is None:
            equal(status, 0, "status of the program, 99 where valgrind has something to say")


@test("write, read by pages in both directions, errors")
def _():
    with Drive() as drive:
        for n in range(7):
            equal(drive.ok("write", "s", '{"n": %d}' % n), str(n))
        equal(drive.ok("walk", "s", 3, ""), "0 1 2 3 4 5 6")
        equal(drive.ok("walk", "s", 3, "y"), "6 5 4 3 2 1 0")
        equal(drive.ok("walk", "s", 7, ""), "0 1 2 3 4 5 6")
        equal(drive.fails("no_stream", "walk", "nobody", 3, ""), 0)
        equal(drive.fails("unknown_message", "execute", "Nothing", "{}"), 0)


@test("a walk of all streams with a filter goes on over pages of which nothing passes")
def filtered():
    with Drive(["--speak", "20.10.6"], store={"username": "admin", "password": "changeit"}) as drive:
        with drive.world.bridge.client() as client:
            for n in range(3):
                client.write("wanted", "e")
                client.write("other", *["x"] * 20)
        only = json.dumps({"context": "StreamId", "type": "Prefix", "data": ["wanted"]})
        equal(drive.ok("walk", "$all", 5, "", only), "0 1 2")
        equal(drive.ok("walk", "$all", 5, "y", only), "2 1 0")


@test("catch-up over a restart: goes on behind the last event, also where it was not acknowledged")
def _():
    with Drive() as drive:
        for n in range(5):
            drive.ok("write", "s", n)
        sub = drive.ok("subscribe", "s", "start", "", "", 3)
        places = [drive.event(n) for n in range(3)]
        drive.ok("ack", places[0])
        drive.restart()
        seen = 3
        number, push = drive.ok("next", 20000).split(" ", 1)
        if json.loads(push)["push"] == "event":   # it was delivered before the daemon was killed
            seen = 4
            drive.push("interrupted")
        else:
            equal(json.loads(push)["push"], "interrupted", "push")
        drive.push("resumed")
        for n in range(seen, 5):
            drive.ok("ack", drive.event(n))
        drive.push("caught_up")
        equal(drive.ok("write", "s", 5), "5")
        drive.event(5)
        drive.ok("unsubscribe", sub)
        drive.ok("write", "s", 6)
        equal(drive.ask("next", 0), "none")


@test("from the end, over a restart: what is written meanwhile comes")
def _():
    with Drive() as drive:
        drive.ok("write", "s", 0)
        drive.ok("subscribe", "s", "end", "", "", 0)
        drive.push("caught_up")
        drive.restart()
        drive.world.client().write("s", {"event_type": "T", "data": 1})
        drive.push("interrupted")
        drive.push("resumed")
        drive.event(1)
        equal(drive.ask("next", 0), "none")


@test("all streams over a restart: no event twice, none left out")
def _():
    with Drive(store={"username": "admin", "password": "changeit"}) as drive:
        for n in range(4):
            drive.ok("write", "s%d" % n, n)
        drive.ok("subscribe", "$all", "start", "", "", 0)
        seen = []

        def hear(until):
            while True:
                push = json.loads(drive.ok("next", 20000).split(" ", 1)[1])
                if push["push"] == "event":
                    seen.append((push["event"]["event_stream_id"], push["event"]["event_number"]))
                if until(push):
                    return
        hear(lambda push: push["push"] == "caught_up")
        drive.restart()
        drive.world.client().write("s9", {"event_type": "T", "data": 1})
        hear(lambda push: push["push"] == "resumed")
        hear(lambda push: push["push"] == "event" and push["event"]["event_stream_id"] == "s9")
        equal(len(seen), len(set(seen)), "each event once: %r" % seen)
        for n in range(4):
            true(("s%d" % n, 0) in seen, "s%d has come" % n)


@test("live over a restart: a gap is told")
def _():
    with Drive() as drive:
        drive.ok("subscribe", "s", "", "", "", 0)
        drive.ok("write", "s", 0)
        drive.event(0)
        drive.restart()
        drive.push("interrupted")
        equal(drive.push("resumed")[1].get("gap"), True, "gap")
        drive.ok("write", "s", 1)
        drive.event(1)


@test("a group over a restart: what was not acknowledged comes again, and an old acknowledgement is refused")
def _():
    with Drive() as drive:
        for n in range(3):
            drive.ok("write", "s", n)
        drive.ok("execute", "CreatePersistentSubscription",
                 '{"subscription_group_name":"g","event_stream_id":"s","start_from":0}')
        drive.ok("subscribe", "s", "", "g", "", 0)
        first = drive.event(0)
        second = drive.event(1)
        drive.ok("ack", first)
        drive.ok("nack", second, "retry")
        drive.ok("execute", "ReadEvent", '{"event_stream_id":"s"}')   # the daemon has the acknowledgement
        drive.restart()
        drive.interrupted()
        drive.fails("unknown_event", "ack", second)
        drive.push("resumed")
        numbers = sorted(drive.push("event")[1]["event"]["event_number"] for _ in range(2))
        equal(numbers, [1, 2], "delivered again")


@test("a checkpoint over a restart: goes on behind what was acknowledged")
def _():
    with Drive() as drive:
        for n in range(3):
            drive.ok("write", "s", n)
        drive.ok("subscribe", "s", "start", "", "here", 10)
        drive.event(0)
        drive.ok("up_to", drive.event(1))
        harness.until(lambda: drive.world.client().ok("checkpoint", action="get", name="here")["position"] == 1,
                      "the checkpoint is stored")
        drive.restart()
        drive.interrupted()
        drive.push("resumed")
        drive.event(2)


@test("requests in flight when the daemon goes: the error says what may have happened")
def _():
    with Drive() as drive:
        drive.world.store.process.send_signal(19)   # SIGSTOP: it does not answer
        write = drive.ok("start", "WriteEvents", '{"event_stream_id":"s","events":[{"event_type":"T"}]}')
        read = drive.ok("start", "ReadEvent", '{"event_stream_id":"s"}')
        drive.world.bridge.kill()
        equal(drive.fails("connection_lost", "wait", write), 2, "outcome of a write")
        equal(drive.fails("connection_lost", "wait", read), 0, "outcome of a read")
        drive.world.store.process.send_signal(18)
        drive.world.bridge.start()
        drive.world.connected()
        drive.ok("write", "s", 1)


main(shared=False)
