"""What the tests of the command esbridge share: running it against the daemon of a World."""

import json
import os
import select
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

import harness  # noqa: E402
from harness import Failure, equal, true  # noqa: E402

ESBRIDGE = os.environ.get("ESBRIDGE") or os.path.join(harness.BUILD, "esbridge")

# sysexits(3)
USAGE, DATAERR, NOINPUT, UNAVAILABLE, SOFTWARE, CANTCREAT, IOERR, TEMPFAIL, PROTOCOL, NOPERM = \
    64, 65, 66, 69, 70, 73, 74, 75, 76, 77


def environment(world=None, **more):
    env = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "ESBRIDGE_SOCKET")}
    if world:
        env["ESBRIDGE_SOCKET"] = world.bridge.socket
    env.update(more)
    return env


class Done:
    """A command that has ended."""

    def __init__(self, arguments, status, out, err):
        self.arguments, self.status, self.out, self.err = arguments, status, out, err.decode()
        found = harness.SANITIZER.search(self.err)
        if found:
            raise Failure("esbridge %s: %s" % (arguments, self.err[found.start():][:3000]))

    def expect(self, status, out=None, err=None, silent=False):
        """It ended with STATUS, OUT is all it printed, ERR is part of what it complained; SILENT: of nothing."""
        if self.status != status:
            raise Failure("esbridge %s: status %s, expected %s\n%s" %
                          (self.arguments, self.status, status, self.err))
        if out is not None:
            equal(self.out, out if isinstance(out, bytes) else out.encode(), "output of %s" % (self.arguments,))
        if err is not None:
            true(err in self.err, "%r in what %s complained: %r" % (err, self.arguments, self.err))
        if silent:
            equal(self.err, "", "complaints of %s" % (self.arguments,))
        elif status > 0:
            true(self.err.startswith("esbridge: "), "errors begin with esbridge: %r" % self.err)
        return self


def run(world, *arguments, stdin=b"", env=None):
    """Runs the command to its end, against the daemon of WORLD (None: with no socket given)."""
    done = subprocess.run([ESBRIDGE] + list(arguments), input=stdin.encode() if isinstance(stdin, str) else stdin,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=harness.TEST_LIMIT / 2,
                          env=environment(world, **(env or {})), check=False)
    return Done(arguments, done.returncode, done.stdout, done.stderr)


def ok(world, *arguments, **options):
    """Runs it; it must succeed and complain of nothing. Returns its output as text."""
    done = run(world, *arguments, **options).expect(0)
    equal(done.err, "", "complaints of %s" % (arguments,))
    return done.out.decode()


def events(text):
    """The objects of JSON lines."""
    return [json.loads(line) for line in text.splitlines()]


class Running:
    """A command that goes on."""

    def __init__(self, world, *arguments, stdin=subprocess.PIPE):
        self.arguments = arguments
        self.process = subprocess.Popen([ESBRIDGE] + list(arguments), stdin=stdin, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=environment(world))
        self.held = b""

    def line(self, limit=harness.LIMIT):
        """The next line that it prints, as soon as it is there."""
        end = time.monotonic() + limit
        out = self.process.stdout.fileno()
        while b"\n" not in self.held:
            if not select.select([out], [], [], max(end - time.monotonic(), 0))[0]:
                raise Failure("esbridge %s printed no line; so far %r" % (self.arguments, self.held))
            more = os.read(out, 65536)
            if not more:
                raise Failure("esbridge %s ended: %s" % (self.arguments, self.process.stderr.read().decode()))
            self.held += more
        line, self.held = self.held.split(b"\n", 1)
        return line.decode()

    def say(self, *lines):
        self.process.stdin.write("".join(line + "\n" for line in lines).encode())
        self.process.stdin.flush()

    def close_input(self):
        self.process.stdin.close()
        self.process.stdin = None

    def close_output(self):
        """Nobody reads what it prints any more."""
        self.process.stdout.close()

    def complaint(self, wanted, limit=harness.LIMIT):
        """Waits until it has complained of WANTED."""
        end = time.monotonic() + limit
        said = b""
        err = self.process.stderr.fileno()
        while wanted.encode() not in said:
            if not select.select([err], [], [], max(end - time.monotonic(), 0))[0]:
                raise Failure("esbridge %s did not say %r; but %r" % (self.arguments, wanted, said))
            said += os.read(err, 65536)

    def end(self, number=None):
        """Waits for its end, after the signal NUMBER where one is given. Returns a Done."""
        if number is not None:
            self.process.send_signal(number)
        if self.process.stdout.closed:
            self.process.stdout = None
        try:
            out, err = self.process.communicate(timeout=harness.LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            raise Failure("esbridge %s did not end; it said %r" % (self.arguments, err)) from None
        return Done(self.arguments, self.process.returncode, self.held + (out or b""), err)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


INTERRUPTED = -signal.SIGINT
