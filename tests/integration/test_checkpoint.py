#!/usr/bin/env python3
"""Checkpoints: where a subscription resumes is kept on disk, and is never further than what was acknowledged."""

import contextlib
import os
import random
import resource
import sqlite3
import subprocess
import threading

from harness import ESBRIDGED, Bridge, Client, World, equal, has, main, merged, numbers, test, true, until

USER = {"username": "admin", "password": "changeit"}


def settings(folder, **daemon):
    return {"store": dict(USER, reconnect_delay_min="20ms", reconnect_delay_max="200ms"),
            "daemon": dict({"state_dir": folder}, **daemon)}


class Kept(World):
    """A World whose daemon keeps its state in the folder of the world."""

    def __init__(self, daemon=None, **options):
        super().__init__(start=False, **options)
        self.settings = settings(self.folder, **(daemon or {}))
        self.path = os.path.join(self.folder, "checkpoints.sqlite")
        try:
            self.start()
        except BaseException:
            self.abandon()
            raise

    def kill(self):
        """SIGKILL: nothing can be tidied up. The clients are gone with it."""
        self.bridge.kill()
        self.forget()

    def terminate(self):
        self.bridge.terminate()
        self.forget()

    def forget(self):
        for client in self.clients:
            client.close()
        self.clients = []
        self.bridge.close()

    def again(self, **daemon):
        self.bridge.settings = merged(self.bridge.settings, {"daemon": daemon})
        self.bridge.start()
        self.connected()
        self.baseline = None

    def rows(self):
        """What the file says, read while no daemon has it: {name: its row}."""
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            db.row_factory = sqlite3.Row
            return {row["name"]: dict(row) for row in db.execute("SELECT * FROM checkpoint")}


def events(client, count):
    return [client.push("event") for _ in range(count)]


def fill(client, stream, count, first=0):
    for begin in range(first, first + count, 500):
        client.write(stream, *({"event_type": "t", "data": i} for i in range(begin, min(begin + 500, first + count))))


def ack(client, sub, *pushes):
    client.ok("ack", sub=sub, events=[push["ack_id"] for push in pushes])


def position(client, name="c"):
    return client.ok("checkpoint", action="get", name=name).get("position")


# Resuming ---------------------------------------------------------------------------------------------------

@test("the first time it begins where from says, then after the last event that was acknowledged; the answer says so")
def _():
    with Kept() as world:
        client, stream = world.client(), world.stream()
        fill(client, stream, 20)
        answer = client.ok("subscribe", stream=stream, checkpoint="c", sub="one", **{"from": 5})
        has(answer, mode="catchup", window=500, checkpoint="c", last_event_number=19)
        true("resumed_after" not in answer, "nothing to resume: %r" % answer)
        got = events(client, 15)
        equal(numbers(got), list(range(5, 20)), "from 5")
        client.push("caught_up")
        ack(client, "one", *got[:4])
        client.ok("unsubscribe", sub="one")
        for again in ("unsubscribe", "SIGTERM", "SIGKILL"):
            answer = client.ok("subscribe", stream=stream, checkpoint="c", sub="two", **{"from": "start"})
            equal(answer["resumed_after"], 8, "after " + again)
            equal(numbers(events(client, 11)), list(range(9, 20)), "after " + again)
            client.push("caught_up")
            if again == "unsubscribe":
                client.ok("unsubscribe", sub="two")
                client.ok("subscribe", stream=stream, checkpoint="c", sub="two")
                equal(numbers(events(client, 11)), list(range(9, 20)), "once more")
                world.terminate()
            elif again == "SIGTERM":
                world.kill()
            if again != "SIGKILL":
                world.again()
                client = world.client()


if __name__ == "__main__":
    main(shared=False)
