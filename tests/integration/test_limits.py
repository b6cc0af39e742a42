#!/usr/bin/env python3
"""Limits that hold: what bad clients do, of all kinds, takes no more memory than there may be, and nothing from a good one."""

import contextlib
import json
import os
import re
import resource
import select
import signal
import socket
import tempfile
import time

from harness import ESBRIDGED, LIMIT, World, equal, has, main, numbers, target_of, test, true, until

KIB, MIB = 1024, 1024 * 1024
ADMIN = {"username": "admin", "password": "changeit"}
MEMORY = 48 * MIB
SETTINGS = {"store": ADMIN, "limits": {"memory": "48M", "client_stall_timeout": "10m"}}

with open(ESBRIDGED, "rb") as program:
    SANITIZED = b"__asan_init" in program.read()   # keeps what is freed for a while

COMINGS = int(os.environ.get("ESBRIDGE_COMINGS") or 2000)   # "make soak": 50,000

# Beside the memory that is counted: the program, one package of the store, its JSON, spare buffers.
BESIDE = 64 * MIB


def used(world):
    return world.status()["memory"]["used"]


def within_bounds(world, beside=BESIDE):
    most = world.memory()
    print("# %.1f MiB at most" % (most / MIB))
    true(SANITIZED or most < MEMORY + beside, "%.1f MiB of memory" % (most / MIB))


def given_back(world):
    """All that bad clients took, when they have gone."""
    with world.bridge.client() as client:
        until(lambda: client.ok("status")["client_count"] == len(world.clients) + 1, "they have gone")
    until(lambda: used(world) < MIB, "the memory is given back")


def leave(world, clients):
    for client in clients:
        client.close()
        world.clients.remove(client)
    given_back(world)


def pour(good, clients, data):
    """Sends DATA from each of CLIENTS, as fast as it is taken; GOOD is served meanwhile."""
    left = {client.sock: memoryview(data) for client in clients}
    end = time.monotonic() + 4 * LIMIT
    for sock in left:
        sock.setblocking(False)
    while left:
        true(time.monotonic() < end, "%d clients are not rid of what they send" % len(left))
        for sock in select.select([], list(left), [], 0.1)[1]:
            with contextlib.suppress(BlockingIOError):
                left[sock] = left[sock][sock.send(left[sock][:MIB]):]
            if not left[sock]:
                del left[sock]
        good.ok("ping")
    for client in clients:
        client.sock.settimeout(client.limit)


def fill(client, stream, count, size):
    """COUNT events with SIZE bytes of data each."""
    for _ in range(count):
        client.write(stream, {"event_type": "t", "data_text": "x" * size}, timeout_ms=20000)


def greedy(world, events, clients, times, request):
    """A good client, its stream of so many EVENTS of 512 KiB, and CLIENTS that send REQUEST so many TIMES and do not read."""
    good, stream = world.client(), world.stream()
    fill(good, stream, events, 512 * KIB)
    bad = [world.client() for _ in range(clients)]
    for client in bad:
        client.send(*(dict(request, id=i) for i in range(times)))
    return good, stream, bad


# Memory -----------------------------------------------------------------------------------------------------

@test("40 long lines at a time, more than the memory: the longest are refused as overloaded, the others taken up, all go on")
def _():
    with World(SETTINGS) as world:
        good, bad = world.client(), [world.client() for _ in range(40)]
        stream = world.stream()
        line = json.dumps({"op": "ping", "id": "long", "x-more": "x" * (3 * MIB)}).encode()
        pour(good, bad, line)
        good.write(stream, "served")
        codes = []
        for client in bad:
            client.send_bytes(b"\n")
            reply = client.line()
            codes.append(reply["error"]["code"] if "error" in reply else "ok")
            if "error" in reply:
                has(reply["error"], code="overloaded", retry=True)
            client.ok("ping")
        true(0 < codes.count("ok") < 40 and codes.count("ok") + codes.count("overloaded") == 40, "codes: %r" % codes)
        within_bounds(world)
        leave(world, bad)


@test("a long line is taken up while others have filled the memory with lines that never end")
def _():
    with World(SETTINGS) as world:
        good, bad = world.client(), [world.client() for _ in range(30)]
        pour(good, bad, b'{"op":"ping","x-more":"' + b"x" * (2 * MIB))
        fill(good, world.stream(), 5, 4 * MIB)
        within_bounds(world)
        leave(world, bad)


@test("subscriptions to everything that nobody reads, with large events: bounded, and a good reader gets every event")
def _():
    with World(SETTINGS) as world:
        good, stream, bad = greedy(world, 20, 2, 64, {"op": "subscribe", "stream": "$all", "from": "start"})
        reader = world.client()
        reader.subscribe(limit=40, timeout_ms=40000, stream=stream, **{"from": "start"})
        equal(numbers([reader.push("event", limit=30) for _ in range(20)]), list(range(20)), "numbers")
        good.ok("ping")
        within_bounds(world)
        leave(world, bad)


@test("the biggest pages, asked for and never read: bounded, and a good client reads them all")
def _():
    with World(SETTINGS) as world:
        good, stream, bad = greedy(world, 12, 6, 8, {"op": "execute", "message": "ReadAllEvents", "body": {"max_count": 4096},
                                                     "timeout_ms": 60000})
        for _ in range(3):
            equal(len(good.read(stream, limit=30, timeout_ms=30000)["events"]), 12, "events")
        within_bounds(world)
        leave(world, bad)


@test("an event that is asked for again a thousand times by nack, before it has come, comes once")
def _():
    with World(SETTINGS) as world:
        client, stream = world.client(), world.stream()
        client.write(stream, "a")
        sub = client.subscribe(stream=stream, window=5, **{"from": "start"})
        first = client.push("event")
        client.push("caught_up")
        client.send(*({"op": "nack", "sub": sub, "events": [first["ack_id"]]} for _ in range(60)))
        equal(client.push("event")["ack_id"], first["ack_id"], "it comes again")
        client.ok("ack", sub=sub, events=[first["ack_id"]])
        client.write(stream, "b")
        while client.push("event")["event"]["event_number"] == 0:
            pass
        client.quiet()


# Slow clients -----------------------------------------------------------------------------------------------

@test("a client that reads a byte now and then: its memory is bounded, and the drain does not wait for it beyond its time")
def _():
    settings = {"store": ADMIN, "limits": dict(SETTINGS["limits"]), "daemon": {"drain_timeout": "500ms"}}
    with World(settings) as world:
        good, slow, stream = world.client(), world.client(), world.stream()
        fill(good, stream, 20, 100 * KIB)
        slow.send({"op": "subscribe", "id": 1, "stream": stream, "from": "start"})
        for _ in range(30):
            equal(len(slow.sock.recv(1)), 1, "a byte")
            good.ok("ping")
        true(SANITIZED or used(world) < 4 * MIB, "memory of a slow reader")
        world.bridge.process.terminate()
        with contextlib.suppress(ConnectionResetError):
            while world.bridge.process.poll() is None and slow.sock.recv(1):
                time.sleep(0.02)
        equal(world.bridge.wait_exit(), 0, "exit status")


@test("clients that send nothing, or half a line, take nothing from others")
def _():
    with World(SETTINGS) as world:
        good, silent = world.client(), [world.client() for _ in range(200)]
        for client in silent[:100]:
            client.send_bytes(b'{"op":')
        good.ok("ping")
        true(used(world) < 16 * MIB, "memory of 100 half lines")
        leave(world, silent)
        within_bounds(world, 0)


# What a client sends before it goes, without a word of the answer being read.
LAST_WORDS = (
    b"", b'{"op":', b'{"op":"ping","id":1}\n', b'{"op":"hello","id":1,"client":"one of many"}\n',
    b'{"op":"execute","id":1,"message":"ReadStreamEvents","body":{"event_stream_id":"s"}}\n',
    b'{"op":"execute","id":1,"message":"WriteEvents","body":{"event_stream_id":"t","events":[{"event_type":"t"}]}}\n',
    b'{"op":"subscribe","id":1,"stream":"s"}\n', b'{"op":"subscribe","id":1,"stream":"s","from":"start","window":5}\n',
)


@test("%d clients that come and go leave no descriptor and no memory behind" % COMINGS)
def _():
    with World({"store": ADMIN, "daemon": {"log_level": "warning"}}) as world:
        good = world.client()
        good.write("s", *["t"] * 20)

        def come_and_go(count):
            for number in range(count):
                with world.bridge.client() as client:
                    client.send_bytes(LAST_WORDS[number % len(LAST_WORDS)])
                if number % 64 == 0:
                    good.ok("hello")   # so that they are not more than the daemon may have at one time
            until(lambda: good.ok("status")["client_count"] == 1, "they have gone")
            until(lambda: good.ok("status")["store"]["in_flight"] == 0, "what they have asked for is done")
            return good.ok("status")["memory"]["used"], len(os.listdir("/proc/%d/fd" % world.bridge.process.pid)), resident()

        def resident():
            with open("/proc/%d/statm" % world.bridge.process.pid, encoding="ascii") as file:
                return int(file.read().split()[1]) * resource.getpagesize()
        before = come_and_go(COMINGS // 4)   # what is kept from the first ones on is there
        after = come_and_go(COMINGS)
        print("# before and after: used %d, %d; descriptors %d, %d; resident %.2f MiB, %.2f MiB" % (
            before[0], after[0], before[1], after[1], before[2] / MIB, after[2] / MIB))
        equal(after[1], before[1], "descriptors")
        true(max(before[0], after[0]) < MIB, "memory that is counted")   # a few requests are kept to be used again
        true(SANITIZED or after[2] - before[2] < MIB, "%d bytes more are resident" % (after[2] - before[2]))


# Descriptors ------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def no_descriptors(world):
    """The daemon may open no more than what it keeps to refuse with: all below that are in use since its start."""
    pid = world.bridge.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    folder = "/proc/%d/fd" % pid
    spare = max(int(fd) for fd in os.listdir(folder) if target_of(os.path.join(folder, fd)) == "/dev/null")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (spare + 1, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


@test("no descriptor is left: a new client is told so, the others go on, a checkpoint cannot be opened and says why; all recovers")
def _():
    with World({"store": ADMIN}) as world:
        client, stream = world.client(), world.stream()
        client.write(stream, "a")
        with no_descriptors(world):
            spare = world.bridge.client()
            lines = spare.rest()
            spare.close()
            equal([line["error"]["code"] for line in lines], ["too_many_clients"], "codes")
            client.ok("ping")
            error = client.ask({"op": "subscribe", "stream": stream, "checkpoint": "c"})["error"]
            true(error["message"], "a reason")
            client.ok("ping")

        def answered():
            with world.bridge.client() as other:
                other.send({"op": "ping", "id": 1})
                return "ok" in other.line()
        until(answered, "a new client is served")
        client.subscribe(stream=stream, checkpoint="c")
        client.push("event")


@test("no descriptor is left when the connection to the store is lost: told, and it comes back when there is one")
def _():
    with World({"store": ADMIN}, proxy=True) as world:
        client = world.client()
        client.ok("ping")
        pid = world.bridge.process.pid
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, hard))
        world.proxy.cut()
        try:
            until(lambda: "Too many open files" in client.ok("status")["store"].get("last_error", ""), "the reason is told")
            client.fails("ping", "unavailable", timeout_ms=50)
        finally:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        until(lambda: client.ok("status")["store"]["state"] == "ready", "connected again")
        client.ok("ping")


@test("no descriptor is left at a reload: told, the password stays as it was; the next reload takes the new one")
def _():
    with tempfile.NamedTemporaryFile("w") as secret:
        def password(text):
            secret.seek(0)
            secret.truncate()
            secret.write(text)
            secret.flush()
        password("changeit")

        def reload(world, says):
            before = world.bridge.said().count(says)
            world.bridge.process.send_signal(signal.SIGHUP)
            until(lambda: world.bridge.said().count(says) > before, "the log says %r" % says)

        def connect_anew(world, client):
            before = client.ok("status")["store"]["connects"]
            world.proxy.cut()
            until(lambda: client.ok("status")["store"]["connects"] > before, "connected again")
        with World({"store": {"username": "admin", "password_file": secret.name}}, proxy=True) as world:
            client = world.client()
            client.execute("ReadAllEvents")
            password("not the password")
            with no_descriptors(world):
                reload(world, "the settings stay as they were")
                true("esbridged.conf: Too many open files" in world.bridge.said(), "why")
            connect_anew(world, client)
            client.execute("ReadAllEvents")
            reload(world, "settings read again")
            connect_anew(world, client)
            client.refuses("ReadAllEvents", "not_authenticated")


@test("no descriptor is left for a reader of metrics: it waits, clients go on, and it is answered when there is one")
def _():
    with World({"store": ADMIN, "daemon": {"metrics_listen": "0"}}) as world:
        client = world.client()
        client.ok("ping")
        port = int(re.search(r"over HTTP endpoint=\S+:(\d+)\n", world.bridge.said())[1])

        def ask():
            sock = socket.create_connection(("127.0.0.1", port), LIMIT)
            sock.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
            return sock

        def spent():
            """Processor time of the daemon, in seconds."""
            with open("/proc/%d/stat" % world.bridge.process.pid, encoding="ascii") as file:
                return sum(map(int, file.read().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")
        with no_descriptors(world):
            waiting = [ask() for _ in range(3)]
            before, began = spent(), time.monotonic()
            while time.monotonic() - began < 0.5:
                client.ok("ping")
                time.sleep(0.02)
            equal(select.select(waiting, [], [], 0)[0], [], "answered without a descriptor")
            true(spent() - before < 0.3, "it turns round and round: %g s" % (spent() - before))
        for sock in waiting:
            with sock:
                true(sock.recv(1000).startswith(b"HTTP/1.1 200 "), "answered")


if __name__ == "__main__":
    main(shared=False)
