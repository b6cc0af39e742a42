#!/usr/bin/env python3
"""Checkpoints: where a subscription resumes is kept on disk, and is never further than what was acknowledged."""

import contextlib
import os
import random
import resource
import signal
import sqlite3

from harness import Bridge, World, equal, has, main, merged, numbers, test, true, until

USER = {"username": "admin", "password": "changeit"}


NEVER = {"checkpoint_delay": "1m", "checkpoint_acks": 1000000}   # nothing is stored but at the end of something


class Kept(World):
    """A World whose daemon keeps its state in the folder of the world."""

    def __init__(self, daemon=None, **options):
        super().__init__(start=False, **options)
        self.settings = {"store": dict(USER, reconnect_delay_min="20ms", reconnect_delay_max="200ms"),
                         "daemon": dict({"state_dir": self.folder}, **(daemon or {}))}
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
        self.baseline = until(self.bridge.descriptors, "one client alone")

    def reload(self, **daemon):
        self.bridge.settings = merged(self.bridge.settings, {"daemon": daemon})
        self.bridge.write_config()
        before = self.bridge.said().count("settings read again")
        self.bridge.process.send_signal(signal.SIGHUP)
        until(lambda: self.bridge.said().count("settings read again") > before, "reloaded")

    def limit_files(self, size):
        """No file of the daemon may grow beyond SIZE; None: as it was."""
        hard = resource.prlimit(self.bridge.process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(self.bridge.process.pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))

    def fill_disk(self):
        """What is written from now on to the file of checkpoints finds no room."""
        self.limit_files(os.path.getsize(self.path + "-wal"))

    def checkpoints(self):
        return self.status()["checkpoints"]


def events(client, count):
    """The next COUNT events; the end may be reached anywhere between them."""
    got = []
    while len(got) < count:
        push = client.push()
        if push["push"] != "caught_up":
            equal(push["push"], "event", "kind of %r" % push)
            got.append(push)
    return got


def fill(client, stream, count, first=0):
    for begin in range(first, first + count, 500):
        client.write(stream, *({"event_type": "t", "data": i} for i in range(begin, min(begin + 500, first + count))))


def ack(client, sub, *pushes):
    client.ok("ack", sub=sub, events=[push["ack_id"] for push in pushes])


def position(client, name="c"):
    return client.ok("checkpoint", action="get", name=name).get("position")


def begun(world, stream, count, **members):
    """A client with a subscription "s" that holds checkpoint "c", and the first COUNT events of it."""
    client = world.client()
    answer = client.ok("subscribe", sub="s", stream=stream, checkpoint="c", **members)
    return client, answer, events(client, count)


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


@test("acks in any order: it is the highest position with nothing open before it; skip counts as done, retry does not")
def _():
    with Kept() as world:
        writer, stream = world.client(), world.stream()
        fill(writer, stream, 10)
        client, _, got = begun(world, stream, 10)
        true(position(client) is None, "nothing yet")
        ack(client, "s", got[1], got[2], got[5])
        true(position(client) is None, "0 is open")
        client.ok("nack", sub="s", events=[got[0]["ack_id"]], action="skip")
        equal(position(client), 2, "0 to 2")
        client.ok("nack", sub="s", events=[got[3]["ack_id"]], action="retry")
        equal(numbers(events(client, 1)), [3], "again")
        ack(client, "s", got[4])
        equal(position(client), 2, "3 is open")
        ack(client, "s", got[3])
        equal(position(client), 5, "0 to 5")
        client.ok("ack", sub="s", up_to=got[9]["ack_id"])
        equal(position(client), 9, "all")


@test("an event that is wanted again and gone from the store is done with")
def _():
    with Kept() as world:
        writer, stream = world.client(), world.stream()
        fill(writer, stream, 4)
        client, _, got = begun(world, stream, 4)
        writer.write("$$" + stream, {"event_type": "$metadata", "data": {"$tb": 3}})
        ack(client, "s", *got[2:])
        client.ok("nack", sub="s", events=[push["ack_id"] for push in got[:2]])
        until(lambda: position(client) == 3, "0 to 3")


@test("all streams: resumes after a position, nothing left out and nothing twice")
def _():
    with Kept() as world:
        writer, stream = world.client(), world.stream()
        fill(writer, stream, 30)
        client, answer, _ = begun(world, "$all", 0, **{"from": "start"})
        true("resumed_after" not in answer, "nothing to resume: %r" % answer)
        got = []
        while not got or got[-1].get("event", {}).get("event_stream_id") != stream or len(got) < 20:
            got.append(client.push("event"))
        ack(client, "s", *got)
        equal(position(client), got[-1]["position"], "position")
        world.kill()
        world.again()
        client, answer, more = begun(world, "$all", 1)
        writer = world.client()
        equal(answer["resumed_after"], got[-1]["position"], "resumed")
        equal(more[0]["event"]["event_number"], got[-1]["event"]["event_number"] + 1, "the next one")
        while (push := client.push())["push"] == "event":
            more.append(push)
        fill(writer, stream, 5, 30)
        more += events(client, 5)
        mine = [push for push in got + more if push.get("event", {}).get("event_stream_id") == stream]
        equal(numbers(mine), list(range(35)), "each once")
        world.kill()
        world.again()
        equal(begun(world, "$all", 0)[1]["resumed_after"], got[-1]["position"], "resumed again")


@test("from the end: the end is kept at once, so that nothing is lost before the first ack")
def _():
    with Kept() as world:
        writer, stream = world.client(), world.stream()
        for name, of in (("empty", stream + "-empty"), ("one", stream), ("all", "$all")):
            if name != "empty":
                fill(writer, stream, 3)
            client = world.client()
            client.ok("subscribe", sub="s", stream=of, checkpoint=name, **{"from": "end"})
            client.push("caught_up")
            client.close()
            writer.write(of if name == "empty" else stream, {"event_type": name})
        world.kill()
        world.again()
        for name, of in (("empty", stream + "-empty"), ("one", stream), ("all", "$all")):
            client = world.client()
            client.ok("subscribe", sub="s", stream=of, checkpoint=name, **{"from": "end"})
            equal(client.push("event")["event"]["event_type"], name, "the first one of " + name)


@test("stored before the reply to unsubscribe, at the end of the input, when the client goes, at SIGTERM")
def _():
    def leave_unsubscribing(_world, client):
        client.ok("unsubscribe", sub="s")

    def leave_half_closing(_world, client):
        client.finish()
        client.rest()

    def leave_going(world, client):
        client.close()
        until(lambda: world.checkpoints()["held"] == 0, "given up")

    def leave_at_once(world, client):
        client.send({"op": "ack", "sub": "s", "events": [world.third]})
        leave_going(world, client)

    def leave_being_told(world, client):
        world.bridge.process.terminate()
        equal([line["reason"] for line in client.rest() if line.get("push") == "dropped"], ["shutting_down"], "dropped")

    with Kept(NEVER) as world:
        stream, done = world.stream(), -1
        fill(world.client(), stream, 20)
        for leave in (leave_unsubscribing, leave_half_closing, leave_going, leave_at_once, leave_being_told):
            client, _, got = begun(world, stream, 3)
            equal(numbers(got), [done + 1, done + 2, done + 3], leave.__name__)
            ack(client, "s", *got[:2])
            world.third = got[2]["ack_id"]
            done += 3 if leave is leave_at_once else 2
            leave(world, client)
            if leave is leave_being_told:
                world.bridge.wait_exit()
                world.forget()
            else:
                world.kill()
            world.again()
        equal(begun(world, stream, 0)[1]["resumed_after"], done, "after all of them")


@test("stored by the number of acks and by time, both as reloaded")
def _():
    with Kept(NEVER) as world:
        stream = world.stream()
        fill(world.client(), stream, 100)
        client, _, got = begun(world, stream, 100)
        client.push("caught_up")

        def stored():
            return client.ok("status")["client"]["subscriptions"][0].get("checkpoint_position")
        for push in got[:50]:
            ack(client, "s", push)
        equal((stored(), world.checkpoints()["dirty"]), (None, 1), "not yet")
        world.reload(checkpoint_acks=10)
        for push in got[50:59]:
            ack(client, "s", push)
        until(lambda: stored() == 50, "with the next ack, there are enough of them")
        for push in got[59:61]:
            ack(client, "s", push)
        until(lambda: stored() == 60, "and with every ten")
        world.reload(checkpoint_acks=1000, checkpoint_delay="20ms")
        ack(client, "s", *got[61:])
        until(lambda: stored() == 99, "after a time")
        equal(world.checkpoints()["dirty"], 0, "dirty")


# Who may have it --------------------------------------------------------------------------------------------

@test("one at a time: a second one gets already_exists until the first is gone, however it went")
def _():
    with Kept() as world:
        stream, other = world.stream(), world.client()
        client, _, _ = begun(world, stream, 0)
        for who in (client, other):
            who.fails("subscribe", "already_exists", stream=stream, checkpoint="c")
        client.ok("unsubscribe", sub="s")
        other.ok("subscribe", sub="s", stream=stream, checkpoint="c")
        client.fails("subscribe", "already_exists", stream=stream, checkpoint="c")
        other.close()
        until(lambda: world.checkpoints()["held"] == 0, "given up")
        client.ok("subscribe", stream=stream, checkpoint="c")
        equal(len(client.ok("status")["client"]["subscriptions"]), 1, "subscriptions")


@test("it stays with its stream, and for all streams with the filter; whether links are resolved may change")
def _():
    prefix = {"context": "StreamId", "type": "Prefix", "data": ["a"]}
    with Kept(store_arguments=["--speak", "20.10.6"]) as world:
        client, one, two = world.client(), world.stream(), world.stream()
        for members in ({"stream": one}, {"stream": one, "resolve_link_tos": False}):
            client.ok("subscribe", sub="s", checkpoint="c", **members)
            client.ok("unsubscribe", sub="s")
        for members in ({"stream": two}, {"stream": "$all"}, {"stream": ""}):
            error = client.fails("subscribe", "bad_request", checkpoint="c", **members)
            true("'%s'" % one in error["message"] and "'%s'" % (members["stream"] or "$all") in error["message"], error["message"])
        client.ok("subscribe", sub="s", stream="$all", checkpoint="all", filter=prefix)
        client.ok("unsubscribe", sub="s")
        world.kill()
        world.again()
        client = world.client()
        client.fails("subscribe", "bad_request", stream="$all", checkpoint="all")
        client.fails("subscribe", "bad_request", stream="$all", checkpoint="all", filter=dict(prefix, data=["b"]))
        client.fails("subscribe", "bad_request", stream=one, checkpoint="all")
        client.ok("subscribe", sub="s", stream="", checkpoint="all", filter=prefix)


@test("what the store refuses leaves no checkpoint behind")
def _():
    with Kept() as world:
        client, stream = world.client(), world.stream()
        client.write("$$" + stream, {"event_type": "$metadata", "data": {"$acl": {"$r": ["$admins"]}}})
        client.fails("subscribe", "access_denied", stream=stream, checkpoint="c", credentials={"username": "ops", "password": "changeit"})
        equal(client.ok("checkpoint", action="list"), {"checkpoints": []}, "checkpoints")
        client.ok("subscribe", stream=world.stream(), checkpoint="c")


@test("wrong members: a clear bad_request, and nothing is held")
def _():
    with Kept() as world:
        client, stream = world.client(), world.stream()
        for members in ({"window": 0}, {"checkpoint": ""}, {"checkpoint": "x" * 201}, {"checkpoint": "a\0b"}, {"checkpoint": 1},
                        {"mode": "live"}, {"mode": "persistent", "group": "g"}, {"group": "g"}, {"from": -1}):
            error = client.fails("subscribe", "bad_request", **dict({"stream": stream, "checkpoint": "c"}, **members))
            true(any(name in error["message"] for name in [*members, "checkpoint"]), error["message"])
        true(not os.path.exists(world.path), "no file for that")
        client.ok("subscribe", stream=stream, checkpoint="\u017d" * 100)
        for members in ({}, {"action": "lists"}, {"action": "get"}, {"action": "list", "name": "c"}, {"action": "set", "name": "c"},
                        {"action": "get", "name": "c", "position": 1}, {"action": "delete", "name": ""}, {"action": "get", "name": "x" * 201},
                        {"action": "park", "name": "c"}, {"action": "get", "name": "c", "stream": "s"}):
            client.fails("checkpoint", "bad_request", **members)
        for where in (-2, 1.5, "5", None, [], {}, {"commit": 1}, {"commit": -1, "prepare": 0}, {"commit": 1, "prepare": 1, "more": 1}, 2 ** 63 - 1, 2 ** 63):
            client.fails("checkpoint", "bad_request", action="set", name="n", position=where)
        client.fails("checkpoint", "not_found", action="get", name="n")


# By hand ----------------------------------------------------------------------------------------------------

@test("the op: list, get, set and delete")
def _():
    with Kept() as world:
        client, stream = world.client(), world.stream()
        equal(client.ok("checkpoint", action="list"), {"checkpoints": []}, "nothing")
        for action in ("get", "delete"):
            client.fails("checkpoint", "not_found", action=action, name="c")
        fill(client, stream, 5)
        equal(client.ok("checkpoint", action="set", name="c", position=2), {"name": "c", "position": 2, "held": False}, "set")
        answer = client.ok("subscribe", sub="s", stream=stream, checkpoint="c")
        equal(answer["resumed_after"], 2, "resumed")
        got = events(client, 2)
        equal(numbers(got), [3, 4], "after that")
        ack(client, "s", got[0])
        equal(client.ok("checkpoint", action="get", name="c"), {"name": "c", "stream": stream, "position": 3, "held": True}, "get")
        client.fails("checkpoint", "already_exists", action="set", name="c", position=1)
        client.fails("checkpoint", "already_exists", action="delete", name="c")
        client.ok("unsubscribe", sub="s")
        client.fails("checkpoint", "bad_request", action="set", name="c", position={"commit": 1, "prepare": 1})
        client.ok("checkpoint", action="set", name="c", position=-1)
        where = {"commit": 7, "prepare": 6}
        client.ok("checkpoint", action="set", name="all \"\u017d", position=where)
        equal(client.ok("checkpoint", action="list"), {"checkpoints": [
            {"name": "all \"\u017d", "position": where, "held": False}, {"name": "c", "stream": stream, "position": -1, "held": False}]}, "list")
        error = client.fails("subscribe", "bad_request", stream=stream, checkpoint="all \"\u017d")
        true("all streams" in error["message"], error["message"])
        equal(client.ok("checkpoint", action="delete", name="c"), {"name": "c"}, "delete")
        client.fails("checkpoint", "not_found", action="get", name="c")
        world.kill()
        world.again()
        client = world.client()
        equal([c["name"] for c in client.ok("checkpoint", action="list")["checkpoints"]], ["all \"\u017d"], "what is left")
        client.ok("subscribe", sub="s", stream=world.stream(), checkpoint="c")


@test("hello names it, status has the file, the subscription its checkpoint; nobody who uses none needs the folder")
def _():
    with Kept({"state_dir": "/nowhere/at all"}) as world:
        client, stream = world.client(), world.stream()
        true("checkpoint" in client.ok("hello")["features"], "feature")
        client.subscribe(stream=stream, **{"from": "start", "window": 5})
        has(world.checkpoints(), state="unused", path="/nowhere/at all/checkpoints.sqlite", held=0, dirty=0, flushes=0, failures=0)
    with Kept() as world:
        client, stream = world.client(), world.stream()
        fill(client, stream, 1)
        client.ok("subscribe", sub="s", stream=stream, checkpoint="c")
        has(world.checkpoints(), state="open", path=world.path, held=1, dirty=0, failures=0)
        mine = client.ok("status")["client"]["subscriptions"][0]
        equal((mine["checkpoint"], "checkpoint_position" in mine), ("c", False), "of the subscription")
        ack(client, "s", *events(client, 1))
        equal(position(client), 0, "position")
        has(client.ok("status")["client"]["subscriptions"][0], checkpoint="c", checkpoint_position=0)
        metrics = client.ok("metrics")["text"].splitlines()
        for line in ("checkpoints_held 1", "checkpoints_unsaved 0", "checkpoint_failures_total 0", "checkpoint_write_seconds_count 2"):
            true("esbridge_" + line in metrics, "%s in %s" % (line, [m for m in metrics if "checkpoint" in m]))


@test("without the setting it is $STATE_DIRECTORY, the first of several")
def _():
    with Kept() as world:
        world.terminate()
        del world.bridge.settings["daemon"]["state_dir"]
        os.environ["STATE_DIRECTORY"] = world.folder + ":/nowhere"
        try:
            world.again()
        finally:
            del os.environ["STATE_DIRECTORY"]
        world.client().ok("subscribe", stream="s", checkpoint="c")
        true(os.path.exists(os.path.join(world.folder, "checkpoints.sqlite")), "the file is there")


# Losses -----------------------------------------------------------------------------------------------------

@test("SIGKILL at any moment: nothing is skipped, and no more repeated than acks that were too young to be stored")
def _():
    limit, most, total = 20, 5, 1500
    chance = random.Random(20261124)
    with Kept({"checkpoint_delay": "1m", "checkpoint_acks": limit}) as world:
        stream, done, answered, seen = world.stream(), -1, -1, set()
        fill(world.client(), stream, total)
        for life in range(20):
            client, answer, _ = begun(world, stream, 0, window=100)
            resumed = answer.get("resumed_after", -1)
            true(resumed <= done, "life %d: resumed after %d, acknowledged were those to %d" % (life, resumed, done))
            true(answered - resumed <= limit + most, "life %d: resumed after %d, and acks to %d were answered" % (life, resumed, answered))
            done = answered = resumed
            for _ in range(chance.randrange(1, 40)):
                got = events(client, chance.randrange(1, most + 1))
                equal(numbers(got), list(range(done + 1, done + 1 + len(got))), "in order, without a gap")
                seen.update(numbers(got))
                chance.shuffle(got)
                done += len(got)
                client.send({"op": "ack", "id": done, "sub": "s", "events": [push["ack_id"] for push in got]})
                if chance.random() < 0.7:
                    true("ok" in client.reply(done), "acknowledged")
                    answered = done
            world.kill()
            world.again()
        client, answer, _ = begun(world, stream, 0)
        seen.update(numbers(events(client, total - 1 - answer["resumed_after"])))
        equal(seen, set(range(total)), "every event was delivered")


@test("a lost connection to the store: acks of earlier deliveries count, and it goes on")
def _():
    with Kept(proxy=True) as world:
        stream = world.stream()
        fill(world.client(), stream, 20)
        client, _, got = begun(world, stream, 10, window=10)
        world.proxy.cut()
        client.push("interrupted")
        client.push("resumed")
        ack(client, "s", *got[5:])
        true(position(client) is None, "the first five are open")
        ack(client, "s", *got[:5])
        equal(position(client), 9, "all of the first ten")
        equal(numbers(events(client, 10)), list(range(10, 20)), "it goes on")


@test("a store that ends before the checkpoint: the reader and the log are told, nothing restarts from zero")
def _():
    with Kept() as world:
        stream = world.stream()
        fill(world.client(), stream, 10)
        client = world.client()
        for sub, of in (("one", stream), ("all", "$all")):
            client.ok("subscribe", sub=sub, stream=of, checkpoint=sub)
            got = events(client, 10)
            ack(client, sub, *got)
            client.ok("unsubscribe", sub=sub)
            client.pushes.clear()
        world.store.terminate()
        world.disconnected()
        world.store.start()
        world.connected()
        fill(client, stream, 2)
        answer = client.ok("subscribe", sub="one", stream=stream, checkpoint="one")
        has(answer, resumed_after=9, last_event_number=1, beyond_end=True)
        has(client.push("caught_up"), last_event_number=1, beyond_end=True)
        answer = client.ok("subscribe", sub="all", stream="$all", checkpoint="all")
        has(answer, resumed_after=got[-1]["position"])
        has(client.push("caught_up"), sub="all", beyond_end=True)
        said = world.bridge.said()
        for name in ("one", "all"):
            true("ends before a checkpoint" in said and "checkpoint=" + name in said, "the log: " + said[-2000:])
        client.ok("unsubscribe", sub="all")
        fill(client, stream, 8, 2)
        client.quiet()
        fill(client, stream, 1, 10)
        equal(numbers(events(client, 1)), [10], "what comes after the position")


@test("the store loses its data under a subscription: the checkpoint goes back with it, and nothing new is left out later")
def _():
    with Kept() as world:
        stream = world.stream()
        fill(world.client(), stream, 10)
        client, _, got = begun(world, stream, 10)
        client.push("caught_up")
        ack(client, "s", *got[:8])
        equal(position(client), 7, "before")
        world.store.terminate()
        client.push("interrupted")
        world.store.start()
        equal(client.push("resumed").get("gap"), True, "gap")
        equal(position(client), -1, "set back")
        world.connected()
        fill(client, stream, 4)
        new = events(client, 4)
        equal(numbers(new), [0, 1, 2, 3], "the new ones")
        ack(client, "s", *new[:2])
        equal(position(client), -1, "old ones are open")
        ack(client, "s", *got[8:])
        equal(position(client), 1, "all is done to there")
        world.kill()
        world.again()
        _, answer, again = begun(world, stream, 2)
        true(answer["resumed_after"] == 1 and "beyond_end" not in answer, "resumed: %r" % answer)
        equal(numbers(again), [2, 3], "what was open")


# The file -----------------------------------------------------------------------------------------------------

def refused(world, part, **members):
    """Nothing can be done with checkpoints, and the answer, the status and the log say why."""
    client = world.client()
    for op in (dict({"op": "subscribe", "stream": "s", "checkpoint": "c"}, **members), {"op": "checkpoint", "action": "list"},
               {"op": "checkpoint", "action": "get", "name": "c"}, {"op": "checkpoint", "action": "set", "name": "c", "position": 1},
               {"op": "checkpoint", "action": "delete", "name": "c"}):
        error = client.fails(**op, code="fail")
        true(world.path in error["message"] and part in error["message"], error["message"])
    status = world.checkpoints()
    has(status, state="failing", path=world.path, held=0, dirty=0)
    true(part in status["last_error"], status["last_error"])
    equal(world.bridge.said().count("checkpoints cannot be stored or read"), 1, "lines in the log")
    equal(client.ok("status")["client"]["subscriptions"], [], "subscriptions")
    client.ok("subscribe", stream="s", **{"from": "start"})


@test("a file that is none, of a later version, or in no folder: fail, with path and reason; never from zero")
def _():
    with Kept() as world:
        with open(world.path, "wb") as file:
            file.write(b"these bytes are no database" * 1000)
        refused(world, "not a database")
        os.unlink(world.path)
        world.client().ok("subscribe", stream="s", checkpoint="c")
        equal(world.checkpoints()["state"], "open", "state")
        true("stored again" in world.bridge.said(), "the log says so")
    with Kept() as world:
        os.mkdir(world.path)
        refused(world, "unable to open")
    with Kept() as world:
        with contextlib.closing(sqlite3.connect(world.path)) as db:
            db.execute("PRAGMA user_version = 7")
        refused(world, "version 7")
    with Kept() as world:
        world.terminate()
        world.path = os.path.join(world.folder, "missing", "checkpoints.sqlite")
        world.again(state_dir=os.path.join(world.folder, "missing"))
        refused(world, "No such file or directory")


@test("a file whose pages are overwritten while nobody has it open: fail, not zero")
def _():
    with Kept() as world:
        stream = world.stream()
        fill(world.client(), stream, 5)
        client, _, got = begun(world, stream, 5)
        ack(client, "s", *got)
        client.ok("unsubscribe", sub="s")
        world.terminate()
        with open(world.path, "r+b") as file:
            file.seek(4096)
            file.write(os.urandom(4096))
        world.again()
        error = world.client().fails("subscribe", "fail", stream=stream, checkpoint="c")
        true("malformed" in error["message"] and world.path in error["message"], error["message"])


@test("the file belongs to one daemon: a second one gets fail, until the first is gone")
def _():
    with Kept() as world:
        client = world.client()
        client.ok("subscribe", stream="s", checkpoint="c")
        folder = os.path.join(world.folder, "second")
        os.mkdir(folder)
        second = Bridge(folder, merged(world.bridge.settings, {"socket": {"path": os.path.join(folder, "socket")}}))
        try:
            second.start()
            with second.client() as other:
                error = other.fails("subscribe", "fail", stream="t", checkpoint="d")
                true("another process has it open" in error["message"], error["message"])
                world.kill()
                other.ok("subscribe", stream="t", checkpoint="d")
                second.terminate()
        finally:
            second.kill()
            second.close()
        world.again()


@test("no room on the disk: what begins is refused; there is room again: it begins")
def _():
    with Kept() as world:
        stream, client = world.stream(), world.client()
        fill(client, stream, 3)
        world.limit_files(2000)
        refused(world, "File too large", stream=stream)
        world.limit_files(None)
        client.ok("subscribe", sub="s", stream=stream, checkpoint="c")
        client.ok("unsubscribe", sub="s")
        world.fill_disk()
        error = client.fails("subscribe", "fail", stream=stream, checkpoint="new")
        true(world.path in error["message"], error["message"])
        world.limit_files(None)
        answer = client.ok("subscribe", sub="s", stream=stream, checkpoint="new")
        true("resumed_after" not in answer, "it never began")
        equal(world.checkpoints()["state"], "open", "state")


@test("the disk fills up: events go on for a time, then the subscription is dropped and says why; no ack is lost")
def _():
    with Kept({"checkpoint_timeout": "400ms", "checkpoint_delay": "1ms"}) as world:
        stream = world.stream()
        fill(world.client(), stream, 10)
        client, _, got = begun(world, stream, 10)
        client.push("caught_up")
        ack(client, "s", got[0])
        equal(position(client), 0, "stored")
        world.fill_disk()
        ack(client, "s", *got[1:5])
        until(lambda: world.checkpoints()["state"] == "failing", "it is noticed")
        fill(world.client(), stream, 1, 10)
        equal(numbers(events(client, 1)), [10], "events go on")
        has(world.checkpoints(), held=1, dirty=1)
        dropped = client.push("dropped")
        equal(dropped["reason"], "checkpoint_failed", "reason")
        client.fails("subscribe", "fail", stream=stream, checkpoint="c")
        has(world.checkpoints(), held=0, dirty=1, state="failing")
        equal(world.bridge.said().count("checkpoints cannot be stored or read"), 1, "lines in the log")
        world.limit_files(None)
        until(lambda: world.checkpoints()["dirty"] == 0, "it is stored when it can be")
        equal(begun(world, stream, 0)[1]["resumed_after"], 4, "resumed")


@test("the disk fills up and there is room in time: nobody notices; unsubscribe meanwhile gets fail")
def _():
    with Kept({"checkpoint_timeout": "1h", "checkpoint_delay": "1ms"}) as world:
        stream = world.stream()
        fill(world.client(), stream, 10)
        client, _, got = begun(world, stream, 10)
        client.push("caught_up")
        world.fill_disk()
        ack(client, "s", *got[:5])
        until(lambda: world.checkpoints()["state"] == "failing", "it is noticed")
        world.limit_files(None)
        until(lambda: world.checkpoints()["dirty"] == 0, "it is stored when it can be")
        client.quiet()
        ack(client, "s", got[5])
        equal(position(client), 5, "it goes on")
        world.fill_disk()
        ack(client, "s", got[6])
        error = client.fails("unsubscribe", "fail", sub="s")
        true("has ended" in error["message"] and world.path in error["message"], error["message"])
        client.fails("unsubscribe", "unknown_subscription", sub="s")
        world.limit_files(None)
        until(lambda: world.checkpoints()["dirty"] == 0, "it is stored when it can be")
        equal(begun(world, stream, 0)[1]["resumed_after"], 6, "resumed")


@test("a new file, and what SQLite makes beside it, are for the daemon's user alone, whatever its umask lets others have")
def _():
    before = os.umask(0)
    try:
        world = Kept()
    finally:
        os.umask(before)
    with world:
        client, stream = world.client(), world.stream()
        client.write(stream, "a")
        client.subscribe(stream=stream, checkpoint="c")
        files = {name: os.stat(os.path.join(world.folder, name)).st_mode & 0o777 for name in os.listdir(world.folder) if "sqlite" in name}
        equal(files, {"checkpoints.sqlite": 0o600, "checkpoints.sqlite-wal": 0o600}, "modes")


@test("the file is moved away while it is in use: that is noticed")
def _():
    with Kept({"checkpoint_timeout": "100ms", "checkpoint_delay": "1ms"}) as world:
        stream = world.stream()
        fill(world.client(), stream, 2)
        client, _, got = begun(world, stream, 2)
        client.push("caught_up")
        os.rename(world.path, world.path + ".gone")
        ack(client, "s", got[0])
        equal(client.push("dropped")["reason"], "checkpoint_failed", "reason")
        true("moved or removed" in world.checkpoints()["last_error"], "reason in status")
        os.rename(world.path + ".gone", world.path)
        until(lambda: world.checkpoints()["dirty"] == 0, "it is stored when it can be")


@test("SIGTERM with a full disk: the log says what is not stored, and the daemon ends")
def _():
    with Kept(NEVER) as world:
        stream = world.stream()
        fill(world.client(), stream, 2)
        client, _, got = begun(world, stream, 2)
        ack(client, "s", got[0])
        world.fill_disk()
        world.terminate()
        true("could not be stored before the end count=1" in world.bridge.said(), world.bridge.said()[-2000:])
        world.again()
        true("resumed_after" not in begun(world, stream, 2)[1], "it comes again")


if __name__ == "__main__":
    main(shared=False)
