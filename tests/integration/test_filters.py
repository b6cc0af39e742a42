#!/usr/bin/env python3
"""Filters, live, catch-up and in reads, on servers that know them and on servers that do not."""

import contextlib

from harness import controlled, equal, has, main, test, true, types

SETTINGS = {"store": {"reconnect_delay_min": "20ms", "reconnect_delay_max": "50ms", "username": "admin", "password": "changeit"}}
OLD = ("3.9.4", "4.1.4", "5.0.11")
NEW = ("20.10.6", "21.10.11", "22.10.5", "23.10.6")
PREFIX = {"context": "StreamId", "type": "Prefix", "data": ["mine"]}
TYPES = {"context": "EventType", "type": "Regex", "data": ["^b"]}


@contextlib.contextmanager
def stage(version):
    with controlled(SETTINGS, ["--speak", version]) as (world, control):
        yield world, control, world.client()


def ask_in_all_ways(client):
    """The errors of every request that has a filter."""
    return [client.fails("subscribe", "server_bad_request", stream="$all", filter=PREFIX),
            client.fails("subscribe", "server_bad_request", stream="", filter=TYPES, window=3),
            client.fails("subscribe", "server_bad_request", stream="$all", filter=PREFIX, **{"from": "start"}),
            client.fails("subscribe", "server_bad_request", stream="$all", filter=PREFIX, **{"from": "end"}),
            client.refuses("FilteredReadAllEvents", "server_bad_request", {"filter": PREFIX}),
            client.refuses("FilteredReadAllEventsBackward", "server_bad_request", {"filter": PREFIX})]


@test("servers before 20.6: server_bad_request that says it, found out once for each connection, which goes on")
def _():
    for version in OLD:
        with stage(version) as (world, control, client):
            for _ in range(3):
                for error in ask_in_all_ways(client):
                    true("does not know filters" in error["message"], "message of %s: %r" % (version, error))
            # Two kinds of catch-up and one read, three times each; and one question.
            equal(control.count("FilteredReadAllEventsForward")[0], 3 * 2 + 1, "packages")
            equal(client.ok("status")["store"]["connects"], 1, "connections")
            control.clear()
            control.close_all()
            world.disconnected()
            world.connected()
            error = client.fails("subscribe", "server_bad_request", stream="$all", filter=PREFIX)
            true("does not know filters" in error["message"], "message: %r" % error)
            equal(control.count("FilteredReadAllEventsForward")[0], 1, "asked anew on the new connection")


@test("servers from 20.6: live and catch-up, by prefix and by pattern, across a lost connection")
def _():
    for version in NEW:
        with stage(version) as (_world, control, client):
            for stream in ("mine-1", "other", "mine-2"):
                client.write(stream, "a", "b")
            client.subscribe(sub="prefix", stream="$all", filter=PREFIX, read_batch=1, **{"from": "start"})
            equal([client.push("event")["event"]["event_stream_id"] for _ in range(4)],
                  ["mine-1"] * 2 + ["mine-2"] * 2, "streams of %s" % version)
            client.push("caught_up")
            client.subscribe(sub="types", stream="$all", filter=TYPES)
            client.write("other", "b", "c")
            has(client.push("event"), sub="types")
            control.close_all()
            equal(sorted(client.push()["push"] for _ in range(4)), ["interrupted"] * 2 + ["resumed"] * 2, "pushes")
            client.write("mine-3", "a", "b")
            got = [client.push("event") for _ in range(3)]
            equal(sorted((push["sub"], push["event"]["event_type"]) for push in got),
                  [("prefix", "a"), ("prefix", "b"), ("types", "b")], "events of %s" % version)
            client.quiet()


@test("a filter that lacks something is bad_request, and does not let everything through")
def _():
    with stage(NEW[0]) as (_, _, client):
        bad = [{name: value for name, value in PREFIX.items() if name != left_out} for left_out in PREFIX]
        for one, named in zip(bad + [dict(PREFIX, data=[])], list(PREFIX) + ["data"]):
            for error in (client.fails("subscribe", "bad_request", stream="$all", filter=one),
                          client.fails("subscribe", "bad_request", stream="$all", filter=one, **{"from": "start"}),
                          client.refuses("FilteredReadAllEvents", "bad_request", {"filter": one})):
                true("filter." + named in error["message"], "named in %r" % error)
        equal(client.ok("status")["client"]["subscriptions"], [], "subscriptions")


@test("a pattern that is none: server_bad_request with the server's words, not a word about its version")
def _():
    for version in ("20.10.6", "22.10.5"):
        with stage(version) as (_world, _control, client):
            bad = {"context": "EventType", "type": "Regex", "data": ["(["]}
            for error in (client.fails("subscribe", "server_bad_request", stream="$all", filter=bad),
                          client.fails("subscribe", "server_bad_request", stream="$all", filter=bad, **{"from": "start"}),
                          client.refuses("FilteredReadAllEvents", "server_bad_request", {"filter": bad})):
                true("does not know filters" not in error["message"], "message %r" % error)
            body = client.execute("FilteredReadAllEvents", {"filter": PREFIX})
            equal(types(body["events"]), [], "events")


if __name__ == "__main__":
    main(shared=False)
