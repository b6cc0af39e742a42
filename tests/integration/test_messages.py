#!/usr/bin/env python3
"""Every message of `hello`, every result that its reply can have, and everything else that a store can answer.

The cases are made from what `hello` says and from eventstore.proto: a message that is new in the table is covered by
being there. The store is played by the test.
"""

import re
import uuid

import wire
from harness import World, equal, has, main, merged, test, true
from proto import PROTO, body_of

SETTINGS = {"store": {"reconnect_delay_min": "20ms", "reconnect_delay_max": "50ms", "heartbeat_interval": "5s",
                      "heartbeat_timeout": "5s", "frame_limit": "64K"}}

# Results whose error code is not their own name in lower case.
CODES = {"Error": "server_error", "Failed": "fail", "InProgress": "fail", "Unauthorized": "access_denied"}
MAY_BE_RETRIED = {"prepare_timeout", "commit_timeout", "forward_timeout"}
LEAVE_DOUBT = MAY_BE_RETRIED | {"server_error"}
GOOD = {"Success", "Started"}


def is_read(message):
    return "Read" in message


def snake(name):
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


class Stage:
    """A store that is played, a daemon, a client; one request is on its way at a time."""

    def __init__(self, settings=None):
        self.fake = wire.FakeStore()
        self.world = World(merged(SETTINGS, settings), port=self.fake.port)

    def __enter__(self):
        self.client = self.world.client()
        self.peer = self.fake.welcome()
        self.messages = self.client.ok("hello")["messages"]
        return self

    def __exit__(self, *fault):
        self.world.__exit__(*fault)
        self.fake.close()

    def ask(self, message, **members):
        """Sends MESSAGE; returns the package that the store got."""
        self.client.send(dict({"op": "execute", "id": "r", "message": message, "body": body_of(message), "timeout_ms": 20000},
                              **members))
        return self.asked()

    def asked(self):
        """The next package that is no question about filters, which is answered."""
        while True:
            got = self.peer.read()
            filter_bytes = wire.one(got.fields(), 7) if got.command == 0xBA and got.login is None else None
            if filter_bytes is None or wire.fields(filter_bytes).get(3) != [b"?"]:
                return got
            self.peer.send(0xBB, got.correlation, wire.message((6, 1)))

    def answer(self, asked, payload, command=None):
        """Answers as a server does whose reply is PAYLOAD; returns the daemon's line."""
        self.peer.send(command or answer_to(asked.command), asked.correlation, payload)
        return self.client.reply("r")


def answer_to(command):
    return {0xBC: 0xBE}.get(command, command + 1)   # 0xBD is not used


def reply_of(message, reply, result):
    """The bytes of REPLY with the number RESULT in `result`; a scavenge that ended tells how long it took."""
    number, _ = PROTO.results(reply)
    fields = [(number, result)] if result else []
    if reply == "ScavengeDatabaseCompleted":
        fields += [(PROTO.messages[reply]["total_time_ms"][1], 5)]
    return wire.message(*fields)


@test("hello names every request of the proto that execute can send, and each has a reply")
def _():
    with Stage() as stage:
        has_result = {name for name, fields in PROTO.messages.items() if "result" in fields}
        requests = {re.sub(r"(Completed|Response)$", "", name) for name in has_result}
        equal({PROTO.request(message) for message in stage.messages}, requests, "messages")
        true(all(PROTO.replies(message) for message in stage.messages), "each has a reply")


@test("every result of every reply: ok, or the error of that name with the store's body and what it leaves open")
def _():
    with Stage() as stage:
        for message in stage.messages:
            for reply in PROTO.replies(message):
                for name, value in PROTO.results(reply)[1].items():
                    line = stage.answer(stage.ask(message), reply_of(message, reply, value))
                    what = "%s %s: %r" % (reply, name, line)
                    if name in GOOD:
                        true("ok" in line and line["ok"]["message"] == reply and line["ok"]["body"]["result"] == name, what)
                        continue
                    code = CODES.get(name, snake(name))
                    true("error" in line, what)
                    equal(line["error"]["code"], code, "code of " + what)
                    equal(line["error"]["body"]["result"], name, "body of " + what)
                    equal(line["error"]["retry"], code in MAY_BE_RETRIED, "retry of " + what)
                    wanted = None if is_read(message) else "unknown" if code in LEAVE_DOUBT else "none"
                    equal(line["error"].get("outcome"), wanted, "outcome of " + what)


@test("a result that is none is server_error or protocol_error, of every reply")
def _():
    with Stage() as stage:
        for message in stage.messages:
            for value in (77, -1, 1 << 31):
                line = stage.answer(stage.ask(message), reply_of(message, PROTO.replies(message)[0], value))
                true("error" in line and line["error"]["code"] in ("server_error", "protocol_error"), "%s %d: %r" % (message, value, line))


@test("every reply without a member, cut at every byte, and with every wire type in place of its result")
def _():
    with Stage() as stage:
        for message in stage.messages:
            for reply in PROTO.replies(message):
                whole = reply_of(message, reply, 1) + wire.message((15, b"more"), (16, 1))
                for size in range(len(whole)):
                    line = stage.answer(stage.ask(message), whole[:size])
                    true("ok" in line or line["error"]["code"] in (
                        "protocol_error", CODES.get("Error"), *(CODES.get(n, snake(n)) for n in PROTO.results(reply)[1])),
                         "%s cut at %d: %r" % (reply, size, line))
                number = PROTO.results(reply)[0]
                for kind, rest in ((1, bytes(8)), (2, b"\1x"), (5, bytes(4)), (3, b""), (4, b""), (6, b""), (7, b"")):
                    line = stage.answer(stage.ask(message), wire.varint(number << 3 | kind) + rest)
                    true("ok" in line or line["error"]["code"] == "protocol_error", "%s with wire type %d: %r" % (reply, kind, line))


@test("BadRequest, NotAuthenticated, NotHandled, another command, and too long an answer to each message")
def _():
    with Stage() as stage:
        for message in stage.messages:
            none = None if is_read(message) else "none"
            unknown = None if is_read(message) else "unknown"
            for command, payload, code, outcome in ((wire.BAD_REQUEST, b"why", "server_bad_request", none),
                                                    (wire.NOT_AUTHENTICATED, b"who", "not_authenticated", none),
                                                    (wire.NOT_HANDLED, wire.message((1, 3)), "not_handled", none),
                                                    (wire.PONG, b"", "protocol_error", unknown),
                                                    (None, bytes(64 * 1024), "limit_exceeded", unknown)):
                error = stage.answer(stage.ask(message), payload, command)["error"]
                equal((error["code"], error.get("outcome")), (code, outcome), "%s answered with %r" % (message, command))
        has(stage.client.ok("status")["store"], connects=1)


@test("each message under its own correlation id, with credentials of its own, and without either")
def _():
    with Stage({"store": {"username": "", "password": ""}}) as stage:
        for message in stage.messages:
            mine = str(uuid.uuid4())
            asked = stage.ask(message, correlation_id=mine, credentials={"username": "joe", "password": "sesame"})
            equal((asked.correlation, asked.login, asked.password), (wire.guid(mine), b"joe", b"sesame"), message)
            stage.answer(asked, reply_of(message, PROTO.replies(message)[0], 0))
            asked = stage.ask(message)
            true(asked.correlation not in (wire.guid(mine), wire.NO_ID), "an id of its own")
            equal(asked.login, None, "credentials of %s" % message)
            stage.answer(asked, reply_of(message, PROTO.replies(message)[0], 0))


@test("read-only: each message that may change the store is refused before it is sent, the others go through")
def _():
    with Stage({"daemon": {"read_only": "yes"}}) as stage:
        for message in stage.messages:
            if is_read(message):
                true("ok" in stage.answer(stage.ask(message), reply_of(message, PROTO.replies(message)[0], 0)), message)
            else:
                has(stage.client.refuses(message, "read_only", body_of(message)), outcome="none", retry=False)


@test("the connection goes with each message under way: reads and WriteEvents are sent again, the others are connection_lost")
def _():
    with Stage() as stage:
        for message in stage.messages:
            asked = stage.ask(message)
            stage.peer.close()
            stage.peer = stage.fake.welcome()
            if is_read(message) or message == "WriteEvents":
                again = stage.asked()
                equal((again.command, again.payload), (asked.command, asked.payload), "what is sent again")
                true("ok" in stage.answer(again, reply_of(message, PROTO.replies(message)[0], 0)), message)
            else:
                has(stage.client.reply("r")["error"], code="connection_lost", outcome="unknown", retry=True)


@test("not answered in time, with the connection standing: timeout; its late answer is no answer to the next")
def _():
    with Stage() as stage:
        for message in stage.messages:
            asked = stage.ask(message, timeout_ms=20)
            error = stage.client.reply("r")["error"]
            equal((error["code"], error.get("outcome")), ("timeout", None if is_read(message) else "unknown"), message)
            stage.peer.send(answer_to(asked.command), asked.correlation, reply_of(message, PROTO.replies(message)[0], 0))
        stage.client.send({"op": "ping", "id": "p", "timeout_ms": 20000})
        stage.peer.send(wire.PONG, stage.asked().correlation)
        true("ok" in stage.client.reply("p"), "ping")


if __name__ == "__main__":
    main(shared=False)
