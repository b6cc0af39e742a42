#!/usr/bin/env python3
"""The HTTP listener: /metrics, /healthz, /readyz, what it refuses, and that nobody ties it or the daemon up."""

import re
import signal
import socket
import subprocess

from harness import ESBRIDGED, LIMIT, World, equal, main, test, true, until

LISTEN = {"daemon": {"metrics_listen": "0"}}


def address(world):
    """Where the log says that it listens."""
    host, port = re.search(r"metrics are told over HTTP endpoint=\[?([^\s\]]+)\]?:(\d+)\n", world.bridge.said()).groups()
    return host, int(port)


def connect(world):
    return socket.create_connection(address(world), LIMIT)


def finish(sock):
    """All that comes up to the end."""
    parts = []
    with sock:
        while True:
            part = sock.recv(1 << 16)
            if not part:
                return b"".join(parts)
            parts.append(part)


def exchange(world, request):
    """(status, fields, body) of the answer to the bytes REQUEST."""
    sock = connect(world)
    sock.sendall(request)
    head, _, body = finish(sock).partition(b"\r\n\r\n")
    lines = head.decode("ascii").split("\r\n")
    true(re.match(r"HTTP/1\.1 \d{3} \w", lines[0]), "the first line %r" % lines[0])
    fields = dict(line.split(": ", 1) for line in lines[1:])
    equal(fields["Connection"], "close", "Connection")
    return int(lines[0].split()[1]), fields, body


def get(world, path, method="GET"):
    status, fields, body = exchange(world, b"%s %s HTTP/1.1\r\nHost: x\r\n\r\n" % (method.encode(), path.encode()))
    if method != "HEAD":
        equal(int(fields["Content-Length"]), len(body), "Content-Length")
    return status, fields, body.decode()


def series(text):
    return [line.split(" ")[0] for line in text.splitlines()]


@test("/metrics has what the op has")
def _(world):
    status, fields, body = get(world, "/metrics")
    equal(status, 200, "status")
    equal(fields["Content-Type"], "text/plain; version=0.0.4; charset=utf-8", "type")
    equal(series(body), series(world.client().ok("metrics")["text"]), "series")
    done = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, text=True, timeout=60, check=False)
    equal((done.returncode, done.stderr), (0, ""), "promtool")


@test("HEAD has the head alone; a query is ignored; lines may end with LF; HTTP/1.0")
def _(world):
    status, fields, body = get(world, "/metrics", "HEAD")
    equal((status, body), (200, ""), "status and body")
    true(int(fields["Content-Length"]) > 1000, "length %r" % fields)
    equal(get(world, "/healthz?x=/metrics")[::2], (200, "alive\n"), "with a query")
    equal(exchange(world, b"GET /healthz HTTP/1.0\n\n")[0], 200, "status")


@test("/healthz is alive; /readyz is ready with the store, and says why not without it")
def _(world):
    equal(get(world, "/healthz")[::2], (200, "alive\n"), "health")
    equal(get(world, "/readyz")[::2], (200, "ready\n"), "readiness")
    world.store.kill()
    world.disconnected()
    status, _, body = get(world, "/readyz")
    equal(status, 503, "status")
    true(re.match(r"not connected to the store at 127\.0\.0\.1:%d: \w.*\n\Z" % world.store.port, body), "reason %r" % body)
    equal(get(world, "/healthz")[0], 200, "health")
    world.store.start()
    world.connected()
    equal(get(world, "/readyz")[0], 200, "readiness")


@test("not ready when it is about to end")
def _(_):
    with World(LISTEN, proxy=True) as world:
        client = world.client()
        world.proxy.stall()
        client.send('{"op":"ping","id":1}')
        until(lambda: world.status()["store"]["in_flight"] == 1, "a ping is under way")
        world.bridge.process.terminate()
        world.bridge.notified("STOPPING=1")
        equal(get(world, "/readyz")[::2], (503, "shutting down\n"), "readiness")
        equal(get(world, "/healthz")[0], 200, "health")
        world.proxy.flow()
        equal(world.bridge.wait_exit(), 0, "exit status")


@test("other paths are 404, other methods 405, nonsense 400")
def _(world):
    for path in ("/", "/metric", "/metrics/", "/metricsx", "/METRICS", "//metrics", "/%6detrics"):
        equal(get(world, path)[0], 404, path)
    for method in ("POST", "PUT", "get", "OPTIONS"):
        status, fields, _ = get(world, "/metrics", method)
        equal((status, fields.get("Allow")), (405, "GET, HEAD"), method)
    for line in (b"", b"GET", b"GET ", b"GET /metrics", b"GET  HTTP/1.1", b"GET metrics HTTP/1.1", b"GET /metrics HTTP/2.0",
                 b"GET /metrics HTTP/1.1 x", b" /metrics HTTP/1.1", b"GET\0/metrics\0HTTP/1.1", b"\xff\xfe"):
        equal(exchange(world, line + b"\r\n\r\n")[0], 400, line)


@test("a request that is too long is refused, whatever is in it")
def _(world):
    for request in (b"GET /" + b"x" * 100000, b"GET /metrics HTTP/1.1\r\n" + b"A: b\r\n" * 10000):
        sock = connect(world)
        sock.sendall(request)
        true(finish(sock).startswith(b"HTTP/1.1 431 "), "status")


@test("a body is not waited for, nor a second request answered")
def _(world):
    status, _, body = exchange(world, b"GET /healthz HTTP/1.1\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000)
    equal((status, body), (200, b"alive\n"), "answer")
    status, _, body = exchange(world, b"GET /healthz HTTP/1.1\r\n\r\n" * 2)
    equal((status, body), (200, b"alive\n"), "answer")


@test("a half-closed connection gets the whole answer, byte by byte as it was asked")
def _(world):
    sock = connect(world)
    for byte in b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n":
        sock.sendall(bytes([byte]))
    sock.shutdown(socket.SHUT_WR)
    body = finish(sock).partition(b"\r\n\r\n")[2].decode()
    equal(series(body), series(world.client().ok("metrics")["text"]), "series")


@test("those who say nothing, half of it, or read nothing are closed after their time; others wait and are served")
def _(world):
    silent = [connect(world) for _ in range(10)]
    for sock in silent[5:]:
        sock.sendall(b"GET /metrics HT")
    silent += [connect(world) for _ in range(10)]
    with world.client() as client:
        client.ok("ping")
    equal(get(world, "/healthz")[0], 200, "health, when it is its turn")
    for sock in silent:
        equal(finish(sock), b"", "an answer")


@test("who goes in the middle of it leaves nothing behind")
def _(world):
    for request in (b"", b"GET /met", b"GET /metrics HTTP/1.1\r\n\r\n"):
        for _ in range(30):
            sock = connect(world)
            sock.sendall(request)
            sock.close()
    equal(get(world, "/healthz")[0], 200, "health")


@test("where it listens: loopback, and a warning elsewhere; IPv6")
def _(_):
    with World({"daemon": {"metrics_listen": "0.0.0.0:0"}}) as world:
        true(" warning metrics can be read by everybody who reaches this address endpoint=0.0.0.0:" in world.bridge.said(), "the warning")
        for count in (1, 2):
            equal(world.bridge.said().count(" warning metrics can be read"), count, "how often it is told")
            world.bridge.process.send_signal(signal.SIGHUP)
            until(lambda c=count: world.bridge.said().count("settings read again") == c, "read again")
    with World({"daemon": {"metrics_listen": "127.0.0.1:0"}}) as world:
        equal(get(world, "/healthz")[0], 200, "health")
        true("can be read by everybody" not in world.bridge.said(), "no warning")
    if socket.has_ipv6:
        with socket.socket(socket.AF_INET6) as probe:
            try:
                probe.bind(("::1", 0))
            except OSError:
                return
        with World({"daemon": {"metrics_listen": "[::1]:0"}}) as world:
            equal(get(world, "/healthz")[0], 200, "health")
            true("can be read by everybody" not in world.bridge.said(), "no warning")


def start_with(world, value, *more):
    """(status, what it said) of an esbridged with that value."""
    world.bridge.settings = {"socket": {"path": world.folder + "/other"}, "daemon": {"metrics_listen": value}}
    world.bridge.write_config()
    done = subprocess.run([ESBRIDGED, "-c", world.bridge.config, *more], capture_output=True, text=True, timeout=LIMIT * 3, check=False)
    return done.returncode, done.stdout + done.stderr


@test("an address that is none is told with its line; one in use ends the start")
def _(_):
    with World(LISTEN) as world:
        for value in ("x", "70000", "1.2.3.4", "localhost:1", ":1", "[::1]", "[::1:1", "::1:1", "[]:1", "[:1", "127.0.0.1:", "127.0.0.1:-1", "1 2"):
            status, said = start_with(world, value, "--check")
            equal(status, 78, value)
            true(":5: metrics_listen: '%s' is none of PORT, ADDRESS:PORT" % value in said, "what it says: %r" % said)
        status, said = start_with(world, "%s:%d" % address(world))
        equal(status, 69, "status")
        true("metrics_listen: " in said and "in use" in said, "what it says: %r" % said)


if __name__ == "__main__":
    main(LISTEN)
