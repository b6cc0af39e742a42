#!/usr/bin/env python3
"""Under a service manager: what it is told and when, the watchdog, and sockets that it hands over."""

import contextlib
import os
import re
import select
import signal
import socket
import stat
import subprocess
import time

import wire
from harness import ESBRIDGED, LIMIT, Bridge, Client, World, equal, has, listens, main, test, true, until
from manager import Managed, listener


class Service(World):
    """A World whose daemon is made by MAKE, from its folder and settings."""

    def __init__(self, make, settings=None, **options):
        self.make = make
        super().__init__(settings, **options)

    def make_bridge(self, settings):
        return self.make(self.folder, settings)


def read_again(world, text=None):
    """SIGHUP, with TEXT in the file in place of the settings, and waits until the file is read."""
    count = len(re.findall("settings (read again|stay as they were) file=", world.bridge.said()))
    if text is None:
        world.bridge.write_config()
    else:
        with open(world.bridge.config, "w", encoding="utf-8") as file:
            file.write(text)
    world.bridge.process.send_signal(signal.SIGHUP)
    until(lambda: len(re.findall("settings (read again|stay as they were) file=", world.bridge.said())) > count, "the file is read")


# What the manager is told -------------------------------------------------------------------------------------

def abstract(folder, settings):
    bridge = Bridge(folder, settings)
    bridge.notify_name = "@" + folder
    return bridge


@test("READY, STATUS, RELOADING and STOPPING, in their order and nothing else, on a socket with a path and an abstract one")
def _():
    for make in (Bridge, abstract):
        with Service(make, proxy=True) as world:
            bridge, endpoint = world.bridge, "127.0.0.1:%d" % world.port
            bridge.notified("STATUS=connected to " + endpoint)
            world.proxy.refuse()
            lost = bridge.notified("STATUS=not connected to %s: " % endpoint)
            true(lost.rpartition(": ")[2], "the reason in %r" % lost)
            world.proxy.allow()
            until(lambda: bridge.hear() or bridge.notifications.count("STATUS=connected to " + endpoint) == 2, "connected again")
            began = time.monotonic_ns() // 1000
            read_again(world)
            read_again(world, "[store]\nserver = nonsense\n")
            world.settle()
            bridge.terminate()
            bridge.hear()
            times = [int(text.split("USEC=")[1]) for text in bridge.notifications if text.startswith("RELOADING=1\n")]
            true(began <= times[0] <= times[1] <= time.monotonic_ns() // 1000, "times of the reloads: %r" % times)
            equal([text for text in bridge.notifications if text != lost],
                  ["STATUS=connecting to " + endpoint, "READY=1", "STATUS=connected to " + endpoint, "STATUS=connected to " + endpoint,
                   "RELOADING=1\nMONOTONIC_USEC=%d" % times[0], "READY=1", "RELOADING=1\nMONOTONIC_USEC=%d" % times[1], "READY=1",
                   "STOPPING=1", "STATUS=finishing what is under way"], "notifications")


@test("READY does not wait for the store, and SIGHUP says READY again without one")
def _():
    with World(port=1) as world:
        read_again(world)
        until(lambda: world.bridge.hear() or world.bridge.notifications.count("READY=1") == 2, "READY again")


@test("a manager that is not there, has gone, or is named wrongly harms nothing")
def _():
    with World() as world:
        dead = os.path.join(world.folder, "dead")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(dead)
        path = os.path.join(world.folder, "other")
        for name in ("", "nonsense", "/", "@", "/nowhere/notify", dead, "/" + "x" * 200, "vsock:2:1234"):
            env = dict(os.environ, NOTIFY_SOCKET=name, WATCHDOG_USEC="2000")
            process = subprocess.Popen([ESBRIDGED, "--socket", path, "--server", "127.0.0.1:%d" % world.port],
                                       stderr=subprocess.PIPE, env=env)
            try:
                until(lambda: listens(path), "it listens")
                with Client(path) as client:
                    client.ok("ping")
                    process.send_signal(signal.SIGHUP)
                    client.ok("ping")
                process.terminate()
                said = process.communicate(timeout=LIMIT)[1]
                equal(process.returncode, 0, "status with %r: %r" % (name, said))
            finally:
                process.kill()
                process.wait()


@test("a manager that does not read holds nothing up, and is told the last state when it does")
def _():
    with World(proxy=True) as world:
        client = world.client()
        world.bridge.notified("STATUS=connected to ")
        world.bridge.hear()
        del world.bridge.notifications[:]
        world.proxy.refuse()
        world.disconnected()
        for _ in range(20):
            read_again(world)
            client.ok("hello")
        world.proxy.allow()
        world.connected()
        client.ok("ping")
        world.bridge.hear()
        true(sum(text.startswith("RELOADING=1") for text in world.bridge.notifications) < 20, "the manager had no room for all")
        world.bridge.notified("STATUS=connected to ")
        true([text for text in world.bridge.notifications if "READY=1" in text or "RELOADING" in text][-1].startswith("READY=1"),
             "READY is what came last: %r" % world.bridge.notifications)


# The watchdog -------------------------------------------------------------------------------------------------

def watched(usec, own=("WATCHDOG_PID",), **env):
    return lambda folder, settings: Managed(folder, settings, own=own, WATCHDOG_USEC=str(usec), **env)


def signs(world, count):
    """Waits for COUNT new signs of life."""
    world.bridge.hear()
    del world.bridge.notifications[:]
    until(lambda: world.bridge.hear() or world.bridge.notifications.count("WATCHDOG=1") >= count, "%d signs of life" % count)


@test("signs of life come at half the time of the watchdog: idle, at work, with settings read again, and in the drain")
def _():
    with wire.FakeStore() as fake, Service(watched(100000), {"daemon": {"drain_timeout": "60s"}}, port=fake.port) as world:
        peer, client = fake.welcome(), world.client()
        began = time.monotonic()
        signs(world, 4)
        true(time.monotonic() - began > 0.14, "four are not sooner than three halves after the first")
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            client.ok("hello")
        true("WATCHDOG=1" in (world.bridge.hear() or world.bridge.notifications), "signs of life at work")
        read_again(world)
        signs(world, 2)
        client.send({"op": "execute", "id": "w", "timeout_ms": 60000, "message": "WriteEvents", "body": {
            "event_stream_id": "s", "events": [{"event_type": "t"}]}})
        asked = peer.read(wire.WRITE_EVENTS)
        world.bridge.process.terminate()
        world.bridge.notified("STOPPING=1")
        signs(world, 2)
        peer.send(wire.WRITE_EVENTS_COMPLETED, asked.correlation, wire.write_completed())
        true("ok" in client.reply("w"), "the write is answered")
        equal(world.bridge.wait_exit(), 0, "exit status")


def state(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0]


@test("a daemon that hangs gives no sign of life, and gives them again when it goes on")
def _():
    with Service(watched(40000, own=())) as world:
        signs(world, 1)
        world.bridge.process.send_signal(signal.SIGSTOP)
        until(lambda: state(world.bridge.process.pid) == "T", "it is stopped")
        world.bridge.hear()
        true(not select.select([world.bridge.notify], [], [], 0.4)[0], "nothing comes")
        world.bridge.process.send_signal(signal.SIGCONT)
        signs(world, 3)


@test("a watchdog that is not this process's, or is none, gets no sign of life")
def _():
    for make in (watched(1000, own=(), WATCHDOG_PID="1"), watched(0), watched("soon"), watched("-1000")):
        with Service(make) as world:
            began = world.status()["uptime_ms"]
            until(lambda: world.status()["uptime_ms"] > began + 100, "time goes by")
            world.bridge.hear()
            true("WATCHDOG=1" not in world.bridge.notifications, "no sign of life")


# Sockets that are handed over ---------------------------------------------------------------------------------

@contextlib.contextmanager
def activated(**options):
    """A world whose socket the manager has made, and that socket."""
    made = []

    def make(folder, settings):
        made.append(listener(os.path.join(folder, "handed")))
        bridge = Managed(folder, settings, made, LISTEN_FDNAMES="esbridged.socket")
        bridge.socket = os.path.join(folder, "handed")
        return bridge
    with Service(make, **options) as world:
        yield world
        if world.bridge.alive():
            world.settle()
            world.bridge.terminate()
        made[0].close()


@test("a socket that is handed over is used; its file, mode and all, stays when the daemon ends, and its name is in the log")
def _():
    with activated() as world:
        path = world.bridge.socket
        os.chmod(path, 0o640)
        before = os.stat(path)
        world.client().ok("ping")
        true("listens socket=%s " % path in world.bridge.said(), "the log names it: %s" % world.bridge.said())
        true(not os.path.exists(os.path.join(world.folder, "socket")), "the socket of the settings is not made")
        world.settle()
        world.bridge.terminate()
        after = os.stat(path)
        equal((after.st_ino, stat.S_IMODE(after.st_mode)), (before.st_ino, 0o640), "the file")


@test("clients that come while there is no daemon are served by the next one")
def _():
    with activated() as world:
        for round_number in range(3):
            world.settle()
            world.bridge.terminate()
            waiting = [world.client() for _ in range(20)]
            for number, client in enumerate(waiting):
                client.send({"op": "hello", "id": number})
            world.bridge.start()
            world.connected()
            for number, client in enumerate(waiting):
                has(client.reply(number)["ok"], protocol=1)
                client.write("s", "e%d" % round_number)


@test("clients that come while the daemon finishes what is under way are left to the next one; those that are there are told")
def _():
    with wire.FakeStore() as fake, activated(port=fake.port, settings={"daemon": {"drain_timeout": "60s"}}) as world:
        peer, client = fake.welcome(), world.client()
        client.send({"op": "execute", "id": "w", "timeout_ms": 60000, "message": "WriteEvents", "body": {
            "event_stream_id": "s", "events": [{"event_type": "t"}]}})
        asked = peer.read(wire.WRITE_EVENTS)
        world.bridge.process.terminate()
        world.bridge.notified("STOPPING=1")
        late = world.client()
        late.send({"op": "hello", "id": "late"})
        client.fails("ping", "shutting_down")
        peer.send(wire.WRITE_EVENTS_COMPLETED, asked.correlation, wire.write_completed())
        true("ok" in client.reply("w"), "the write is answered")
        client.ends()
        equal(world.bridge.wait_exit(), 0, "exit status")
        world.bridge.start()
        has(late.reply("late")["ok"], protocol=1)


@test("an abstract socket that is handed over is used and named")
def _():
    name = "esb-abstract-%d" % os.getpid()

    def make(folder, settings):
        bridge = Managed(folder, settings, [sock])
        bridge.socket = "\0" + name
        return bridge
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("\0" + name)
        sock.listen(10)
        with Service(make) as world:
            world.client().ok("ping")
            true("listens socket=@%s " % name in world.bridge.said(), "the log names it")


@test("what is handed over and is no Unix stream socket that listens, or is more than one: exit 69, and what it was")
def _():
    with contextlib.ExitStack() as stack:
        def made(*kind):
            return stack.enter_context(socket.socket(*kind))
        tcp, deaf, packets = made(), made(socket.AF_UNIX), made(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        good, other = made(socket.AF_UNIX), made(socket.AF_UNIX)
        datagrams = made(socket.AF_UNIX, socket.SOCK_DGRAM)
        tcp.bind(("127.0.0.1", 0))
        for sock in (packets, good, other):
            sock.bind("")
        for sock in (tcp, packets, good, other):
            sock.listen(1)
        plain = stack.enter_context(open("/dev/null", "rb"))
        for handed, env, words in (([tcp], {}, ["something else"]), ([deaf], {}, ["something else"]), ([packets], {}, ["something else"]),
                                   ([datagrams], {}, ["something else"]), ([plain], {}, ["something else"]),
                                   ([good, other], {}, ["more than one", "LISTEN_FDS=2", "LISTEN_FDNAMES=mine:yours"]),
                                   ([good], {"LISTEN_FDS": "many"}, ["no number", "LISTEN_FDS=many"]),
                                   ([], {"LISTEN_FDS": "1"}, ["something else"])):
            bridge = Managed("/", {}, handed)
            env = dict(os.environ, LISTEN_FDS=str(len(handed)), LISTEN_FDNAMES="mine:yours") | env
            done = subprocess.run(bridge.command([ESBRIDGED, "--server", "127.0.0.1:1"]), env=env, capture_output=True, text=True,
                                  timeout=LIMIT, pass_fds=[h.fileno() for h in handed], check=False)
            equal(done.returncode, 69, "status with %r: %s" % (words, done.stderr))
            for word in words + ["one Unix stream socket that listens"]:
                true(word in done.stderr, "%r in %r" % (word, done.stderr))


@test("variables for another process, and no descriptors at all: the socket of the settings is made")
def _():
    for own, env in (((), {"LISTEN_PID": "1", "LISTEN_FDS": "1"}), ((), {"LISTEN_FDS": "1"}), (("LISTEN_PID",), {"LISTEN_FDS": "0"})):
        with Service(lambda folder, settings, o=own, e=env: Managed(folder, settings, own=o, **e)) as world:
            world.client().ok("ping")


if __name__ == "__main__":
    main(shared=False)
