#!/usr/bin/env python3
"""Who one is at the store: configured credentials, those of a request, none."""

from harness import World, equal, has, main, test, true, types

ADMIN = {"username": "admin", "password": "changeit"}
WRONG = {"username": "admin", "password": "wrong-password"}


@test("without credentials: ordinary streams are open, $-streams and all streams are access_denied")
def _(world):
    client, stream = world.client(), world.stream()
    client.write(stream, "a")
    equal(types(client.read(stream)["events"]), ["a"], "types")
    has(client.refuses("WriteEvents", "access_denied", {"event_stream_id": "$mine", "events": [{"event_type": "x"}]}),
        outcome="none", retry=False)
    has(client.refuses("ReadAllEvents", "access_denied")["body"], result="AccessDenied")
    client.refuses("ReadStreamEvents", "access_denied", {"event_stream_id": "$users"})
    client.refuses("DeleteStream", "access_denied", {"event_stream_id": "$mine"})
    client.refuses("CreatePersistentSubscription", "access_denied",
                   {"event_stream_id": stream, "subscription_group_name": "g"})
    client.fails("subscribe", "access_denied", stream="$all")
    client.fails("subscribe", "access_denied", stream="$users")
    client.quiet()


@test("the credentials of a request are used for this request alone")
def _(world):
    client = world.client()
    client.execute("ReadAllEvents", {"max_count": 1}, credentials=ADMIN)
    client.refuses("ReadAllEvents", "access_denied")
    client.write("$mine", "x", credentials=ADMIN)
    client.refuses("WriteEvents", "access_denied", {"event_stream_id": "$mine", "events": [{"event_type": "x"}]})


@test("a wrong password is not_authenticated, and the connection goes on")
def _(world):
    client, stream = world.client(), world.stream()
    error = client.refuses("WriteEvents", "not_authenticated",
                           {"event_stream_id": stream, "events": [{"event_type": "x"}]}, credentials=WRONG)
    has(error, outcome="none", retry=False)
    true("wrong-password" not in error["message"], "no password in %r" % error["message"])
    client.refuses("ReadAllEvents", "not_authenticated", credentials=WRONG)
    client.fails("subscribe", "not_authenticated", stream=stream, credentials=WRONG)
    client.refuses("WriteEvents", "not_authenticated", {"event_stream_id": stream, "events": [{"event_type": "x"}]},
                   credentials={"username": "nobody", "password": ""})
    client.write(stream, "after")
    equal(types(client.read(stream)["events"]), ["after"], "types")


@test("a subscription with the credentials of its request")
def _(world):
    client, stream = world.client(), world.stream()
    sub = client.subscribe(stream="$all", credentials=ADMIN)
    client.write(stream, "a")
    equal(client.push("event")["event"]["event_stream_id"], stream, "stream")
    client.ok("unsubscribe", sub=sub)
    group = {"event_stream_id": stream, "subscription_group_name": "g", "start_from": 0}
    client.execute("CreatePersistentSubscription", group, credentials=ADMIN)
    client.fails("subscribe", "not_authenticated", stream=stream, group="g", credentials=WRONG)
    sub = client.subscribe(stream=stream, group="g", credentials=ADMIN)
    client.ok("ack", sub=sub, events=[client.push("event")["ack_id"]])


@test("two readers of one stream with different credentials don't share what one may not see")
def _(world):
    one, two = world.client(), world.client()
    one.subscribe(stream="$all", credentials=ADMIN)
    two.fails("subscribe", "access_denied", stream="$all")
    two.fails("subscribe", "not_authenticated", stream="$all", credentials=WRONG)


@test("credentials of another shape are bad_request, and no password is repeated")
def _(world):
    client = world.client()
    for bad in ("admin", 1, [], {}, {"username": "a"}, {"password": "sesame"}, {"username": 1, "password": "sesame"},
                {"username": "a", "password": None}, {"username": "", "password": "sesame"},
                {"username": "a", "password": "sesame", "realm": "x"}, {"username": "a" * 128, "password": "sesame"},
                {"username": "a", "password": "sesame" * 30}):
        error = client.fails("ping", "bad_request", credentials=bad)
        true("sesame" not in error["message"], "no password in %r" % error["message"])
    client.quiet()


@test("configured credentials are used for everything")
def _(world):
    with World({"store": ADMIN}) as other:
        client = other.client()
        client.execute("ReadAllEvents", {"max_count": 1})
        client.write("$mine", "x")
        client.subscribe(stream="$all")
        client.refuses("ReadAllEvents", "not_authenticated", credentials=WRONG)
        client.execute("ReadAllEvents", {"max_count": 1})


@test("a configured password that is wrong: said in status and in every answer, and the daemon stays")
def _(world):
    with World({"store": WRONG}, start=False) as other:
        other.store.start()
        other.port = other.store.port
        other.store, store = None, other.store
        try:
            other.start()
            client = other.client()
            line = client.ask({"op": "execute", "message": "ReadStreamEvents", "body": {"event_stream_id": "s"},
                               "timeout_ms": 3000})
            true(line["error"]["code"] in ("not_authenticated", "unavailable"), "answer %r" % line)
            true("refuses" in other.status()["store"]["last_error"], "status says so: %r" % other.status())
            true("wrong-password" not in other.bridge.said(), "no password in the log")
        finally:
            store.kill()


if __name__ == "__main__":
    main()
