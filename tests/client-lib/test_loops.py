#!/usr/bin/env python3
"""The examples in C: each in its kind of loop gets every event of a stream once and in order, over a daemon that is
killed and started again."""

import os
import select
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import harness
from harness import LIMIT, World, equal, main, test, true

EXAMPLES = os.path.join(harness.BUILD, "client-lib", "examples")


class Example:
    """A running example; its standard output line by line."""

    def __init__(self, world, name, stream, stdin=subprocess.DEVNULL):
        self.process = subprocess.Popen([os.path.join(EXAMPLES, name), stream], stdin=stdin, stdout=subprocess.PIPE,
                                        env=dict(os.environ, ESBRIDGE_SOCKET=world.bridge.socket))
        self.held = b""

    def line(self):
        end = time.monotonic() + LIMIT
        while b"\n" not in self.held:
            true(select.select([self.process.stdout], [], [], max(end - time.monotonic(), 0))[0], "a line in time")
            more = os.read(self.process.stdout.fileno(), 65536)
            true(more, "the example goes on; status %r" % self.process.poll())
            self.held += more
        line, self.held = self.held.split(b"\n", 1)
        return line.decode()

    def end(self):
        """SIGTERM. Returns the status."""
        self.process.terminate()
        status = self.process.wait(LIMIT)
        self.process.stdout.close()
        return status


def events(first, count):
    return [{"event_type": "T", "data": {"n": n}} for n in range(first, first + count)]


def restart(world):
    world.bridge.kill()
    world.bridge.start()
    world.connected()


def follow(name, status, again=False):
    """AGAIN: what was just acknowledged when the daemon was killed may come again, before the rest."""
    world = World(start=False)
    world.settings = {"daemon": {"state_dir": world.folder}}
    try:
        world.start()
        world.client().write("s", *events(0, 3))
        example = Example(world, name, "s")
        for n in range(3):
            equal(example.line(), '%d T {"n": %d}' % (n, n), "event")
        restart(world)
        world.clients.clear()
        world.client().write("s", *events(3, 200))
        line = example.line()
        while again and not line.startswith("3 "):
            true(int(line.split()[0]) < 3, "a repeat: %r" % line)
            line = example.line()
        for n in range(3, 203):
            equal(line, '%d T {"n": %d}' % (n, n), "event")
            line = example.line() if n < 202 else ""
        equal(example.end(), status, "status")
    finally:
        world.abandon()


@test("libevent: every event once and in order, over a restart")
def _():
    follow("libevent", 0)


@test("epoll: every event once and in order, over a restart")
def _():
    follow("epoll", 0)


@test("blocking, with a checkpoint: every event, over a restart")
def _():
    follow("blocking", -15, again=True)


@test("poll: what is written comes back, over a restart")
def _():
    world = World()
    try:
        example = Example(world, "poll", "s", subprocess.PIPE)
        example.process.stdin.write(b'{"a" : 1.10}\n')
        example.process.stdin.flush()
        equal(example.line(), '0 Line {"a" : 1.10}', "event")
        restart(world)
        example.process.stdin.write(b"2\n")
        example.process.stdin.flush()
        equal(example.line(), "1 Line 2", "event")
        example.process.stdin.close()
        equal(example.process.wait(LIMIT), 0, "status at the end of the input")
        example.process.stdout.close()
    finally:
        world.abandon()


main(shared=False)
