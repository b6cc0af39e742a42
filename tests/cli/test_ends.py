#!/usr/bin/env python3
"""How esbridge ends: no daemon, a socket that may not be opened, a closed pipe, a full disk, signals, restarts."""

import contextlib
import os
import pty
import signal
import stat
import subprocess

from command import ESBRIDGE, INTERRUPTED, IOERR, UNAVAILABLE, Running, environment, ok, run
import harness
from harness import World, equal, main, test, true, until

QUICK = {"store": {"username": "admin", "password": "changeit", "reconnect_delay_min": "20ms",
                   "reconnect_delay_max": "100ms"}}


@test("no daemon: status 69, and what to do")
def no_daemon(world):
    path = os.path.join(world.folder, "nobody")
    for arguments in (("ping",), ("status",), ("read", "s"), ("tail", "s", "-f"), ("write", "s", "T", "{}"),
                      ("write", "s"), ("exec", "{}"), ("bench",), ("checkpoint", "list")):
        done = run(None, "-S", path, *arguments).expect(UNAVAILABLE, "", path)
        true("is esbridged running?" in done.err, done.err)
        equal(run(None, *arguments, env={"ESBRIDGE_SOCKET": path}).status, UNAVAILABLE)


@test("-S goes before ESBRIDGE_SOCKET, and may stand before the command or behind")
def socket_option(world):
    env = {"ESBRIDGE_SOCKET": "/nowhere"}
    run(None, "-S", world.bridge.socket, "ping", env=env).expect(0)
    run(None, "ping", "--socket=" + world.bridge.socket, env=env).expect(0)
    run(None, "ping", env=env).expect(UNAVAILABLE, "", "/nowhere: No such file")


@test("a socket that is none, and one of which nobody is the other end")
def wrong_socket(world):
    path = os.path.join(world.folder, "file")
    with open(path, "w", encoding="ascii"):
        pass
    true(stat.S_ISREG(os.stat(path).st_mode), "a file")
    run(None, "-S", path, "ping").expect(UNAVAILABLE, "", path)


@test("a reader that goes: read, tail and uuid end at once and say nothing")
def closed_pipe(world):
    stream = world.stream()
    ok(world, "write", stream, "-q", stdin='{"event_type":"T","data":"%s"}\n' % ("x" * 1000) * 2000)
    for arguments in (("read", stream), ("tail", stream, "-n", "2000"), ("uuid", "-n", "1000000")):
        with Running(world, *arguments) as running:
            running.line()
            running.close_output()
            done = running.end()
            equal((done.status, done.err), (-signal.SIGPIPE, ""), "end of %s" % (arguments,))


@test("a reader that goes while nothing is written: tail -f and exec -f end nevertheless")
def closed_pipe_quiet(world):
    stream = world.stream()
    ok(world, "write", stream, "T", "{}")
    subscribe = '{"op":"subscribe","id":1,"stream":"%s","from":"start"}' % stream
    for arguments in (("tail", stream, "-f"), ("exec", "-f", subscribe)):
        with Running(world, *arguments) as running:
            running.line()
            running.close_output()
            done = running.end()
            true(done.status in (0, IOERR, -signal.SIGPIPE) and done.err == "", "%s %r" % (done.status, done.err))


@test("with SIGPIPE ignored a reader that goes is no reason to complain either")
def closed_pipe_ignored(world):
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.Popen([ESBRIDGE, "uuid", "-n", "100000"], stdout=writer, stderr=subprocess.PIPE,
                               env=environment(world), preexec_fn=lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN),
                               restore_signals=False)
    os.close(writer)
    equal(process.communicate(timeout=20)[1], b"")
    equal(process.returncode, IOERR)


@test("a full disk is told: status 74")
def full_disk(world):
    stream = world.stream()
    ok(world, "write", stream, "T", "{}")
    for arguments in (("read", stream), ("uuid",), ("--help",), ("status",)):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([ESBRIDGE] + list(arguments), stdout=full, stderr=subprocess.PIPE,
                                  env=environment(world), check=False, timeout=20)
        equal(done.returncode, IOERR)
        true(b"standard output: No space left" in done.stderr, done.stderr)


@test("tail -f goes on when the daemon is killed and started again: no event is left out, none comes twice")
def daemon_restart(unused):
    with World(QUICK) as world:
        stream = world.stream()
        ok(world, "write", stream, "T", "{}")
        with Running(world, "tail", stream, "-f", "-F", r"%n\n") as running:
            equal(running.line(), "0")
            for number in range(1, 4):
                world.bridge.process.kill()
                world.bridge.process.wait()
                os.unlink(world.bridge.socket)
                world.bridge.start()
                world.connected()
                ok(world, "write", stream, "T", "{}")
                equal(running.line(), str(number))
            done = running.end(signal.SIGINT).expect(INTERRUPTED, "")
            true("interrupted" in done.err and "goes on" in done.err, done.err)


@test("tail -f goes on when the daemon is restarted in good order, as by systemctl")
def daemon_reload(unused):
    with World(QUICK) as world:
        stream = world.stream()
        ok(world, "write", stream, "T", "{}")
        with Running(world, "tail", stream, "-f", "-F", r"%n\n") as running:
            equal(running.line(), "0")
            for number in range(1, 3):
                world.bridge.terminate()
                world.bridge.start()
                world.connected()
                ok(world, "write", stream, "T", "{}")
                equal(running.line(), str(number))
            running.end(signal.SIGINT).expect(INTERRUPTED, "")


@test("tail -f goes on when the store is started again; --quiet says nothing of it")
def store_connection(unused):
    with World(QUICK, proxy=True) as world:
        stream = world.stream()
        ok(world, "write", stream, "T", "{}")
        with Running(world, "tail", stream, "-f", "-q", "-F", r"%n\n") as running:
            equal(running.line(), "0")
            world.proxy.cut()
            world.connected()
            ok(world, "write", stream, "T", "{}")
            equal(running.line(), "1")
            equal(running.end(signal.SIGINT).expect(INTERRUPTED, "").err, "")


@test("on a terminal: what is read is said, output has colours; NO_COLOR and --quiet")
def terminal(world):
    stream = world.stream()
    ok(world, "write", stream, "T", "[1]")

    def shown(*arguments, **more):
        near, far = pty.openpty()
        process = subprocess.Popen([ESBRIDGE, *arguments], stdin=far, stdout=far, stderr=far,
                                   env=environment(world, TERM="xterm", **more))
        os.close(far)
        os.write(near, b"\4")
        text = b""
        with contextlib.suppress(OSError):
            while more_text := os.read(near, 65536):
                text += more_text
        os.close(near)
        equal(process.wait(harness.LIMIT), 0)
        return text
    true(b"reading events" in shown("write", stream), "events")
    true(b"reading requests" in shown("exec"), "requests")
    true(b"reading" not in shown("write", stream, "-q"), "quiet")
    true(b"\033[" in shown("read", stream, "-o", "pretty"), "colours")
    for arguments, more in (((), {"NO_COLOR": "1"}), (("--color", "never"), {})):
        true(b"\033[" not in shown("read", stream, "-o", "pretty", *arguments, **more), "no colours")


@test("write that waits for lines ends at SIGINT; what it had written is there")
def interrupted_write(world):
    stream = world.stream()
    with Running(world, "write", stream) as running:
        running.say('{"event_type":"T","data":1}')
        equal(running.line().split()[0], "0")
        running.end(signal.SIGINT).expect(INTERRUPTED, "")
    equal(ok(world, "read", stream, "-F", "%n"), "0")


@test("a daemon that ends while a command waits: told, with a status")
def daemon_gone(unused):
    with World(QUICK, proxy=True) as world:
        world.proxy.mute()
        with Running(world, "exec", '{"op":"ping","id":1,"timeout_ms":60000}') as running:
            until(lambda: world.status()["store"]["in_flight"] > 0, "the ping is on its way")
            world.bridge.process.kill()
            world.bridge.process.wait()
            done = running.end()
            true(done.status in (UNAVAILABLE, 75) and "esbridge: exec: " in done.err, "%s %r" % (done.status, done.err))
        os.unlink(world.bridge.socket)
        world.proxy.speak()
        world.bridge.start()
        world.connected()


if __name__ == "__main__":
    main(QUICK)
