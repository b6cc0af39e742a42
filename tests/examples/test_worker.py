#!/usr/bin/env python3
"""worker.py: whatever is killed and when, each event takes effect exactly once. Systemd takes its unit file."""

import contextlib
import os
import shutil
import sqlite3
import subprocess

from programs import EXAMPLES, Example, harness, restart, running
from harness import World, equal, event, main, test, until

WORKER = os.path.join(EXAMPLES, "python", "worker.py")
UNIT = os.path.join(EXAMPLES, "python", "worker.service")


class Accounts:
    """A stream of deposits, and what the worker must make of it."""

    def __init__(self, world):
        self.world = world
        self.written = []

    def deposit(self, count):
        events = [event({"event_type": "Deposited", "data": {"account": "ab"[n % 2], "amount": 1 + n}})
                  for n in range(len(self.written), len(self.written) + count)]
        self.write(events)
        self.written += events

    def write(self, events):
        with self.world.bridge.client() as client:
            client.write("accounts", *events)

    def balances(self):
        sums = {"a": 0, "b": 0}
        for deposit in self.written:
            sums[deposit["data"]["account"]] += deposit["data"]["amount"]
        return sums


def balances(path):
    """What the worker has made so far."""
    if not os.path.exists(path):
        return {}
    with contextlib.closing(sqlite3.connect(path)) as db:
        try:
            return dict(db.execute("SELECT account, amount FROM balance"))
        except sqlite3.OperationalError:
            return {}  # it has not made its tables yet


def start(world):
    path = os.path.join(world.folder, "worker.sqlite")
    return Example(world, "worker", ["python3", WORKER, "accounts", path]), path


@test("each event takes effect once, through kill -9 of worker, daemon and store")
def _():
    with World({"store": {"reconnect_delay_max": "200ms"}}) as world:
        accounts = Accounts(world)
        worker, path = start(world)

        def caught_up(what):
            until(lambda: balances(path) == accounts.balances(), "%s: %r" % (what, accounts.balances()))

        with running(worker):
            accounts.deposit(100)
            worker.start()
            caught_up("what was there")
            for _ in range(5):
                accounts.deposit(50)
                worker.kill()
                accounts.deposit(50)
                worker.start()
            caught_up("after the worker was killed")
            for _ in range(3):
                accounts.deposit(50)
                restart(world.bridge)
                accounts.deposit(50)
            caught_up("after the daemon was killed")
            world.store.kill()
            world.store.start()
            world.connected()
            accounts.write(accounts.written)  # a store in memory forgets; a real one would have them still
            accounts.deposit(50)
            caught_up("after the store was killed")


@test("the worker waits for a daemon that is not there yet")
def _():
    with World() as world:
        accounts = Accounts(world)
        accounts.deposit(10)
        worker, path = start(world)
        with running(worker):
            world.bridge.kill()
            world.bridge.close()
            os.unlink(world.bridge.socket)
            worker.start()
            until(lambda: "again" in worker.said(), "it says that it waits")
            world.bridge.start()
            until(lambda: balances(path) == accounts.balances(), "it works when the daemon is there")


@test("systemd takes the unit")
def _():
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        raise harness.Failure("systemd-analyze was not found: apt install systemd")
    done = subprocess.run([analyze, "verify", "--man=no", UNIT], capture_output=True, text=True, check=False)
    equal([line for line in (done.stdout + done.stderr).splitlines() if "worker.service" in line], [], "what it says")


if __name__ == "__main__":
    main(shared=False)
