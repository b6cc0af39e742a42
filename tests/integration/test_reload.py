#!/usr/bin/env python3
"""Settings while the daemon runs (SIGHUP), and from the command line."""

import os
import signal

from harness import ESBRIDGED, Bridge, Client, World, equal, main, merged, test, true, until


def reload(world, settings):
    world.bridge.settings = merged(world.bridge.settings, settings)
    world.bridge.write_config()
    world.bridge.process.send_signal(signal.SIGHUP)


def reload_bad(world):
    """A file with a mistake; it is in the log with its line."""
    before = world.bridge.said().count(world.bridge.config + ":")
    with open(world.bridge.config, "w", encoding="utf-8") as file:
        file.write("[limits]\nin_flight = 9\nline = nonsense\n")
    world.bridge.process.send_signal(signal.SIGHUP)
    until(lambda: world.bridge.said().count(world.bridge.config + ":3:") > before, "FILE:LINE in the log")


def limits(client):
    return client.ok("hello")["limits"]


@test("SIGHUP: new limits hold for clients that are there and for new ones")
def _():
    with World() as world:
        client = world.client()
        equal(limits(client)["depth"], 128, "depth at first")
        reload(world, {"limits": {"line": "2K", "depth": 20, "subscriptions": 1, "in_flight": 7}})
        until(lambda: limits(client)["depth"] == 20, "the new limits are told")
        for one in (client, world.client()):
            equal(limits(one), {"line": 2048, "depth": 20, "in_flight": 7, "subscriptions": 1}, "limits")
            one.subscribe(stream="s")
            one.fails("subscribe", "limit_exceeded", stream="s")
            one.send(b'{"op":"ping","x-":"' + b"x" * 3000 + b'"}')
            equal(one.other()["error"]["code"], "line_too_long", "code")


@test("SIGHUP: read_only comes and goes")
def _():
    with World() as world:
        client, stream = world.client(), world.stream()
        client.write(stream, "a")
        reload(world, {"daemon": {"read_only": "yes"}})
        until(lambda: client.ok("status")["read_only"], "read-only")
        client.refuses("WriteEvents", "read_only", {"event_stream_id": stream, "events": [{"event_type": "b"}]})
        reload(world, {"daemon": {"read_only": "no"}})
        until(lambda: not client.ok("status")["read_only"], "no longer")
        client.write(stream, "c")


@test("SIGHUP with a mistake in the file: FILE:LINE in the log, nothing changes, not even the lines that are right")
def _():
    with World() as world:
        client = world.client()
        before = limits(client)
        reload_bad(world)
        equal(limits(client), before, "limits")
        client.ok("ping")


@test("SIGHUP: what can't change while it runs is named in the log, and stays")
def _():
    with World() as world:
        client = world.client()
        reload(world, {"store": {"server": "127.0.0.1:9", "heartbeat_interval": "9s"}, "limits": {"depth": 33}})
        until(lambda: limits(client)["depth"] == 33, "the rest takes effect")
        for name in ("server", "heartbeat_interval"):
            true(name in world.bridge.said(), "%s is named in the log: %s" % (name, world.bridge.said()[-1000:]))
        equal(client.ok("status")["store"]["endpoint"], "127.0.0.1:%d" % world.port, "endpoint")
        client.ok("ping")


@test("SIGHUP 1,000 times under load, good and bad files: no client notices, and the memory does not grow")
def _():
    with World() as world:
        client, stream = world.client(), world.stream()
        client.subscribe(stream=stream)
        good, had = merged(world.bridge.settings), 0
        for i in range(1000):
            if i % 3 == 2:
                with open(world.bridge.config, "w", encoding="utf-8") as file:
                    file.write("[limits]\ndepth = %d nonsense\n" % i)
                world.bridge.process.send_signal(signal.SIGHUP)
            else:
                world.bridge.settings = good
                reload(world, {"limits": {"depth": 100 + i}})
            client.send({"op": "execute", "id": i, "message": "WriteEvents", "body": {
                "event_stream_id": stream, "events": [{"event_type": "t"}]}})
            true("ok" in client.reply(i), "write %d" % i)
            equal(client.push("event")["event"]["event_number"], i, "number")
            if i == 300:
                had = world.memory()
        with open(ESBRIDGED, "rb") as file:
            sanitized = b"__asan_init" in file.read()   # they keep what is freed
        true(sanitized or world.memory() < had + 512 * 1024, "%d bytes, and %d after 300" % (world.memory(), had))
        equal(world.status()["store"]["connects"], 1, "connects")


@test("--socket and --server are stronger than the file")
def _():
    with World() as world:
        path = world.folder + "/right"
        second = Bridge(world.folder, {"store": {"server": "127.0.0.1:9"}, "socket": {"path": world.folder + "/wrong"}})
        second.name = "second"
        second.socket, second.config = path, world.folder + "/second.conf"
        try:
            second.start(["--socket", path, "--server", "127.0.0.1:%d" % world.port])
            true(not os.path.exists(world.folder + "/wrong"), "the socket of the file is not made")
            with Client(path) as client:
                client.ok("ping")
            second.terminate()
        finally:
            second.kill()
            second.close()


if __name__ == "__main__":
    main(shared=False)
