#!/usr/bin/env python3
"""The wall clock jumps by hours, and nothing notices: what takes its time is measured by a clock that does not."""

import datetime
import os
import struct

from harness import BUILD, World, equal, has, main, numbers, test, true, until

HOUR = 3600
LIBRARY = os.path.join(os.path.abspath(BUILD), "tests", "integration", ".libs", "libclock.so")
SETTINGS = {"store": {"operation_timeout": "60s", "heartbeat_interval": "30s", "heartbeat_timeout": "30s"},
            "limits": {"client_stall_timeout": "60s"}, "daemon": {"drain_timeout": "60s"}}


class Elsewhen(World):
    """A World whose daemon has a wall clock that can be made to jump."""

    def make_bridge(self, settings):
        bridge = super().make_bridge(settings)
        self.file = os.path.join(self.folder, "jump")
        self.jump(0)
        bridge.env = {"LD_PRELOAD": LIBRARY, "CLOCK_JUMP": self.file,
                      "ASAN_OPTIONS": "verify_asan_link_order=0:" + os.environ.get("ASAN_OPTIONS", "")}
        return bridge

    def jump(self, seconds):
        """From now on the clock is wrong by so much."""
        mode = "r+b" if os.path.exists(self.file) else "wb"
        with open(self.file, mode) as file:
            file.write(struct.pack("=q", seconds))

    def wrong_by(self, client, name):
        """By how many hours the log is wrong, in a line that CLIENT makes."""
        client.ok("hello", client=name)
        line = until(lambda: [x for x in self.bridge.said().splitlines() if "name=" + name in x], "the line")[0]
        said = datetime.datetime.fromisoformat(line.split()[0].replace("Z", "+00:00"))
        return round((said - datetime.datetime.now(datetime.timezone.utc)).total_seconds() / HOUR)


@test("forward and back by hours: requests in flight, subscriptions, the connection and clients that do not read stay as they are")
def _():
    with Elsewhen(SETTINGS, proxy=True) as world:
        client, slow, stream = world.client(), world.client(), world.stream()
        sub = client.subscribe(stream=stream)
        slow.subscribe(stream=stream)
        client.write(stream, *({"event_type": "t", "data_text": "z" * 10000} for _ in range(100)))
        equal(numbers([client.push("event") for _ in range(100)]), list(range(100)), "numbers")
        for number, hours in enumerate((6, -30, 24 * 365, 0)):
            world.proxy.stall()
            client.send({"op": "execute", "id": number, "message": "WriteEvents", "body": {
                "event_stream_id": stream, "events": [{"event_type": "t"}]}})
            until(lambda: client.ok("status")["store"]["in_flight"] == 1, "the write is in flight")
            world.jump(hours * HOUR)
            equal(world.wrong_by(client, "jump%d" % number), hours, "hours by which the log is wrong")
            world.proxy.flow()
            true("ok" in client.reply(number), "the write")
            has(client.push("event"), sub=sub)
        equal(numbers([slow.push("event") for _ in range(104)]), list(range(104)), "numbers of the client that did not read")
        status = client.ok("status")
        has(status["store"], connects=1, state="ready")
        true(status["uptime_ms"] < 600000, "uptime of %d ms" % status["uptime_ms"])


@test("forward by hours at the end: what is in flight is finished")
def _():
    with Elsewhen(SETTINGS, proxy=True) as world:
        client, stream = world.client(), world.stream()
        world.proxy.stall()
        client.send({"op": "execute", "id": 1, "message": "WriteEvents", "body": {"event_stream_id": stream, "events": [{"event_type": "t"}]}})
        until(lambda: client.ok("status")["store"]["in_flight"] == 1, "the write is in flight")
        world.bridge.process.terminate()
        world.bridge.notified("STOPPING=1")
        world.jump(6 * HOUR)
        client.fails("ping", "shutting_down")
        world.proxy.flow()
        true("ok" in client.reply(1), "the write")
        equal(world.bridge.wait_exit(), 0, "exit status")


if __name__ == "__main__":
    main(shared=False)
