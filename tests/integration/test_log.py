#!/usr/bin/env python3
"""The log: its two forms, slow operations, and that nothing it is written to holds up the daemon."""

import json
import os
import re
import signal
import subprocess

from harness import ESBRIDGED, Client, World, equal, listens, main, test, true, until

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z")


def lines_of(world):
    return world.bridge.said().splitlines()


@test("text: time, level, text, fields")
def _():
    with World() as world:
        world.client().ok("hello", client="a b")
        line = until(lambda: [x for x in lines_of(world) if " client named " in x], "the line")[0]
        time, rest = line.split(" ", 1)
        true(TIME.match(time), "the time of %r" % line)
        true(re.match(r'info client named client=\d+ name="a b" uid=%d pid=%d\Z' % (os.getuid(), os.getpid()), rest), line)


def all_of(world):
    """The lines of a log of JSON."""
    return [json.loads(line) for line in lines_of(world)]


def client_number(world):
    """The number in the first line of a client that has a name."""
    return [x for x in all_of(world) if x["msg"] == "client named"][0]["client"]


@test("JSON: each line is an object with time, level and msg; a name of digits stays a string")
def _():
    with World({"daemon": {"log_format": "json", "log_level": "debug"}}) as world:
        client = world.client()
        client.ok("hello", client="4711")
        client.ok("hello", client='\u0436"\\\n')
        client.close()
        number = client_number(world)
        until(lambda: [x for x in all_of(world) if (x["msg"], x.get("client")) == ("client closed", number)], "the client is closed")
        lines = all_of(world)
        for line in lines:
            equal(list(line)[:3], ["time", "level", "msg"], "first members")
            true(TIME.match(line["time"]), "the time of %r" % line)
        names = [line for line in lines if line["msg"] == "client named"]
        equal([line["name"] for line in names], ["4711", '\u0436"\\\n'], "names")
        equal(names[0]["pid"], os.getpid(), "pid")
        equal([line["msg"] for line in lines if line.get("client") == number],
              ["client connected", "client named", "client named", "client closed"], "lines of the client")


@test("a reload changes the form, and names the setting")
def _():
    with World() as world:
        world.bridge.settings.setdefault("daemon", {})["log_format"] = "json"
        world.bridge.write_config()
        world.bridge.process.send_signal(signal.SIGHUP)
        line = json.loads(until(lambda: [x for x in lines_of(world) if "settings read again" in x], "the reload")[0])
        equal((line["level"], line["msg"], line["file"]), ("notice", "settings read again", world.bridge.config), "line")
        true("setting changed setting=daemon.log_format" in world.bridge.said(), "the setting is named")


def slow(world):
    """What the log says of slow operations, fields in a dict."""
    return [line for line in all_of(world) if line["msg"] == "slow operation"]


@test("slow operations: message, client, stream, duration and outcome, one line each")
def _():
    settings = {"daemon": {"log_format": "json", "slow_operation": "50ms"}}
    with World(settings, proxy=True) as world:
        client = world.client()
        number = client.ok("status")["client"]["number"]
        client.write("quick", "a")
        equal(slow(world), [], "a quick one")
        world.proxy.mute()
        client.refuses("ReadStreamEvents", "timeout", {"event_stream_id": "a stream"}, timeout_ms=60)
        client.fails("ping", "timeout", timeout_ms=60)
        client.refuses("ReadAllEvents", "timeout", {}, timeout_ms=60)
        world.proxy.speak()
        found = slow(world)
        equal([(s["client"], s["message"], s.get("stream"), s["outcome"]) for s in found],
              [(number, "ReadStreamEvents", "a stream", "timeout"), (number, "ping", None, "timeout"),
               (number, "ReadAllEvents", None, "timeout")], "lines")
        for line in found:
            true(50 <= line["duration_ms"] < 10000, "duration of %r" % line)


@test("slow operations: ok and the code of the store's refusal, and of one whose client has gone")
def _():
    with World({"daemon": {"log_format": "json", "slow_operation": "1ms"}}, proxy=True) as world:
        client = world.client()

        def stalled(request, *, close=False):
            """REQUEST is held up on its way to the store until the log's clock has gone on."""
            before = len(slow(world))
            world.proxy.stall()
            client.send(request)
            began = world.status()["uptime_ms"]
            until(lambda: world.status()["uptime_ms"] > began + 5, "time goes by")
            if close:
                client.close()
                until(lambda: world.status()["client_count"] == 1, "the client has gone")
            world.proxy.flow()
            return until(lambda: slow(world)[before:], "a line")[0]["outcome"]
        equal(stalled({"op": "ping", "id": 1}), "ok", "outcome")
        write = {"op": "execute", "message": "WriteEvents", "body": {"event_stream_id": "s", "expected_version": 5, "events": [{"event_type": "t"}]}}
        equal(stalled(dict(write, id=2)), "wrong_expected_version", "outcome")
        write["body"]["expected_version"] = -2
        equal(stalled(dict(write, id=3), close=True), "client_gone", "outcome")


class Quiet:
    """An esbridged with ERRORS as its standard error (None: closed), whose log nobody sees, against no store."""

    def __init__(self, world, errors):
        self.socket = os.path.join(world.folder, "quiet")
        command = [ESBRIDGED, "-v", "-v", "--socket", self.socket, "--server", "127.0.0.1:1"]
        if errors is None:
            command = ["sh", "-c", 'exec "$@" 2>&- >&- <&-', "sh"] + command
        self.process = subprocess.Popen(command, stderr=errors)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Whatever the test has found: what is left would hold the output of the tests open for ever."""
        self.process.kill()
        self.process.wait()

    def works(self):
        """Serves many clients, each of which makes lines; returns how many lines were lost."""
        until(lambda: listens(self.socket), "it listens")
        for number in range(50):
            with Client(self.socket) as client:
                client.ok("hello", client="x" * 100 + str(number))
        with Client(self.socket) as client:
            text = client.ok("metrics")["text"]
        return int(re.search(r"^esbridge_log_lines_lost_total (\d+)$", text, re.MULTILINE).group(1))

    def stop(self):
        self.process.terminate()
        equal(self.process.wait(30), 0, "exit status")


@test("standard error on a full disk: lines are lost and counted, the daemon works on")
def _():
    with World() as world, open("/dev/full", "wb") as full, Quiet(world, full) as quiet:
        true(quiet.works() > 100, "lines are lost")
        quiet.stop()


@test("standard error closed: no connection gets its place, the daemon works on")
def _():
    with World() as world, Quiet(world, None) as quiet:
        quiet.works()
        for number in (0, 1, 2) if os.geteuid() == 0 else ():   # nobody else may look
            equal(os.readlink("/proc/%d/fd/%d" % (quiet.process.pid, number)), "/dev/null", "descriptor %d" % number)
        quiet.stop()


@test("a pipe that nobody reads, blocking or not: the daemon works on, and says afterwards how many lines were lost")
def _():
    for blocking in (True, False):
        with World() as world:
            reader, writer = os.pipe()
            os.set_blocking(writer, blocking)
            with Quiet(world, writer) as quiet, open(reader, "rb") as pipe:
                os.close(writer)
                lost = 0
                while lost == 0:
                    lost = quiet.works()
                os.set_blocking(reader, False)
                said = pipe.read()   # it may be told as soon as there is room
                os.set_blocking(reader, True)
                quiet.stop()
                said = (said + pipe.read()).decode("utf-8", "replace")
            told = re.search(r"warning lines of the log were lost lines=(\d+)\n", said)
            true(told and int(told.group(1)) >= lost, "at least %d lost lines told in %r" % (lost, said))


@test("a pipe whose reader has gone: the daemon works on")
def _():
    with World() as world:
        reader, writer = os.pipe()
        with Quiet(world, writer) as quiet:
            os.close(writer)
            until(lambda quiet=quiet: listens(quiet.socket), "it listens")
            os.close(reader)
            true(quiet.works() > 100, "lines are lost")
            quiet.stop()


@test("what a client calls itself forges no line of the log and moves no terminal")
def _():
    for log_format in ("text", "json"):
        with World({"daemon": {"log_format": log_format, "log_level": "debug"}}) as world:
            world.client().ok("hello", client="a\n2026-01-01T00:00:00Z error forged\r\x1b[2J\x07\x7f\u0080\u009b")
            said = until(lambda world=world: "forged" in world.bridge.said() and world.bridge.said(), "the name is in the log")
            true(not re.search("[\\0-\\x09\\x0b-\\x1f]", said), "no control character in %r" % said)
            true(not re.search("[\\x7f-\\x9f]", said), "nor those above 7f: %r" % said)
            true(log_format != "json" or any(json.loads(line).get("name", "").endswith("\x07\x7f\u0080\u009b") for line in lines_of(world)),
                 "JSON has them escaped: %r" % said)
            equal([line for line in said.splitlines() if line.startswith("2026-01-01T00:00:00Z")], [], "forged lines")


if __name__ == "__main__":
    main(shared=False)
