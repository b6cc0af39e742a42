#!/usr/bin/env python3
"""What differs between the versions of the server, as a client of the daemon sees it. The memstore speaks as each of them."""

import contextlib

from harness import World, equal, has, main, test, true, types

ADMIN = {"store": {"username": "admin", "password": "changeit"}}
VERSIONS = ("3.9.4", "4.1.4", "5.0.11", "20.10.6", "21.10.11", "22.10.5", "23.10.6")
FIRST_TO_REFUSE = "21.10.11"   # the soft delete of what is not there


@contextlib.contextmanager
def stage(version):
    with World(ADMIN, ["--speak", version]) as world:
        yield world.client()


def delete(client, stream, **members):
    return client.ask({"op": "execute", "message": "DeleteStream", "body": dict({"event_stream_id": stream}, **members)})


def register(version):
    at = VERSIONS.index(version)

    @test("%s: writes and reads look alike, whatever the server leaves out" % version)
    def _():
        with stage(version) as client:
            equal(client.write("s", "a", expected=-1), {"result": "Success", "first_event_number": 0, "last_event_number": 0,
                                                        "prepare_position": client.read("s")["last_commit_position"],
                                                        "commit_position": client.read("s")["last_commit_position"]}, "written")
            body = client.read("s")
            has(body, result="Success", next_event_number=1, last_event_number=0, is_end_of_stream=True)
            has(body["events"][0]["event"], event_number=0, event_type="a")
            error = client.refuses("WriteEvents", "wrong_expected_version",
                                   {"event_stream_id": "s", "expected_version": 5, "events": [{"event_type": "x"}]})
            has(error, outcome="none")
            has(client.execute("ReadEvent", {"event_stream_id": "s"})["event"]["event"], event_number=0)

    @test("%s: soft deletes, hard deletes, and of what is not there what this version says" % version)
    def _():
        with stage(version) as client:
            line = delete(client, "never")
            if at < VERSIONS.index(FIRST_TO_REFUSE):
                equal(line["ok"]["body"]["result"], "Success", "soft delete of what is not there")
            else:
                has(line["error"], code="wrong_expected_version", outcome="none")
            client.write("s", "a", "b")
            true("ok" in delete(client, "s"), "soft")
            client.refuses("ReadStreamEvents", "no_stream", {"event_stream_id": "s"})
            has(client.write("s", "c"), first_event_number=2)
            equal(types(client.read("s")["events"]), ["c"], "types")
            true("ok" in delete(client, "s") and "ok" in delete(client, "s", hard_delete=True), "soft, then hard")
            for again in ({}, {"hard_delete": True}):
                has(delete(client, "s", **again)["error"], code="stream_deleted", outcome="none", retry=False)
            client.refuses("WriteEvents", "stream_deleted", {"event_stream_id": "s", "events": [{"event_type": "x"}]})

    @test("%s: subscriptions of every kind, with zeros left out or not" % version)
    def _():
        with stage(version) as client:
            client.execute("CreatePersistentSubscription", {"event_stream_id": "s", "subscription_group_name": "g", "start_from": 0})
            for sub, members in (("l", {}), ("c", {"from": "start"}), ("w", {"window": 5}), ("g", {"group": "g"}), ("a", {"stream": "$all"})):
                client.subscribe(sub=sub, **dict({"stream": "s"}, **members))
            has(client.push("caught_up"), sub="c", last_event_number=-1)
            client.write("s", "t")
            got = {push["sub"]: push for push in (client.push("event") for _ in range(5))}
            equal(sorted(got), ["a", "c", "g", "l", "w"], "subscriptions")
            for push in got.values():
                has(push["event"], event_number=0, event_stream_id="s", event_type="t")
            has(got["g"], retry_count=0)
            true("ack_id" in got["w"] and "ack_id" in got["g"] and "ack_id" not in got["l"], "ack ids")
            client.ok("nack", sub="g", events=[got["g"]["ack_id"]])
            again = client.push("event")
            equal((again["sub"], again["retry_count"] >= (0 if at < 1 else 1)), ("g", True), "the event again: %r" % again)
            client.ok("ack", sub="g", events=[again["ack_id"]])
            client.quiet()

    @test("%s: a transaction, committed once; what is written after the commit does not count" % version)
    def _():
        with stage(version) as client:
            number = client.execute("TransactionStart", {"event_stream_id": "s"})["transaction_id"]
            events = {"transaction_id": number, "events": [{"event_type": "a"}]}
            client.execute("TransactionWrite", events)
            has(client.execute("TransactionCommit", {"transaction_id": number}), first_event_number=0, last_event_number=0)
            client.ask({"op": "execute", "message": "TransactionWrite", "body": events})
            client.ask({"op": "execute", "message": "TransactionCommit", "body": {"transaction_id": number}})
            equal(types(client.read("s")["events"]), ["a"], "types")


for VERSION in VERSIONS:
    register(VERSION)


@test("a scavenge: answered in the form of each version, or with timeout where it gives no answer")
def _():
    for version in VERSIONS:
        with stage(version) as client:
            line = client.ask({"op": "execute", "message": "ScavengeDatabase", "timeout_ms": 700})
            if version == "23.10.6":
                has(line["error"], code="timeout", outcome="unknown")
                continue
            old = version in ("3.9.4", "4.1.4")
            equal((line["ok"]["message"], line["ok"]["body"]["result"]),
                  ("ScavengeDatabaseCompleted", "Success") if old else ("ScavengeDatabaseResponse", "Started"), version)
            equal("total_time_ms" in line["ok"]["body"], old, "the time that it took, as %s" % version)


if __name__ == "__main__":
    main(shared=False)
