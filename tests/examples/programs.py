"""Running the examples of client-lib/examples: what their tests share."""

import contextlib
import json
import os
import subprocess
import sys

ROOT = os.environ.get("SRCDIR") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
EXAMPLES = os.path.join(ROOT, "client-lib", "examples")
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

import harness  # noqa: E402  (the path is set above)

ADMIN = {"username": "admin", "password": "changeit"}


class Example:
    """A running example, its output in a file that later runs add to."""

    def __init__(self, world, name, arguments):
        self.arguments = arguments
        self.env = dict(os.environ, ESBRIDGE_SOCKET=world.bridge.socket)
        self.output = os.path.join(world.folder, name + ".out")
        self.errors = os.path.join(world.folder, name + ".err")
        self.process = None

    def start(self, stdin=subprocess.DEVNULL):
        with open(self.output, "ab") as out, open(self.errors, "ab") as errors:
            self.process = subprocess.Popen(self.arguments, stdin=stdin, stdout=out, stderr=errors, env=self.env,
                                            start_new_session=True)

    def kill(self):
        """SIGKILL, to it and what it has started: a shell and its socat go together."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, 9)
            self.process.wait()

    def said(self):
        with open(self.errors, encoding="utf-8", errors="replace") as file:
            return file.read()[-2000:]

    def lines(self):
        """The whole lines of its output so far."""
        with open(self.output, encoding="utf-8") as file:
            return [line.rstrip("\n") for line in file if line.endswith("\n")]

    def feed(self, values):
        """Writes values to its standard input, each as a line of JSON."""
        for value in values:
            self.process.stdin.write(json.dumps(value, ensure_ascii=False).encode() + b"\n")
        self.process.stdin.flush()

    def finish(self):
        """Ends its standard input, and waits for it to end well."""
        self.process.stdin.close()
        status = self.process.wait(harness.LIMIT)
        harness.equal(status, 0, "exit status; it said %r" % self.said())


@contextlib.contextmanager
def running(*examples):
    """Ends the examples whatever happens; what they said goes into the report of a failure."""
    try:
        yield
    except Exception as fault:
        raise harness.Failure("%s: %s; the examples said %r" % (
            type(fault).__name__, fault, [e.said() for e in examples if os.path.exists(e.errors)])) from fault
    finally:
        for example in examples:
            example.kill()


def reaches(count, wanted, what):
    """Waits until COUNT() is at least WANTED, as long as it grows: on a busy machine programs are slow."""
    seen = count()
    while seen < wanted:
        harness.until(lambda: count() > seen, "%s: %d of %d" % (what, seen, wanted))
        seen = count()


def restart(bridge):
    """kill -9 of the daemon, and a new one."""
    bridge.kill()
    bridge.close()
    bridge.start()


def make_group(world, stream, group):
    with world.bridge.client() as client:
        client.execute("CreatePersistentSubscription", {"subscription_group_name": group, "event_stream_id": stream,
                                                        "start_from": 0}, credentials=ADMIN)


def unacknowledged(world, stream, group):
    """How many events the group hands to a new reader, when the daemon has no other client."""
    def alone():
        return world.status()["client_count"] == 1
    harness.until(alone, "the daemon has no client")
    with world.bridge.client() as client:
        client.subscribe(sub="left", stream=stream, group=group, in_flight=1000)
        client.ok("ping")
        return len(client.pushes)


def stored(world, stream):
    with world.bridge.client() as client:
        return [e["event"] for e in client.read(stream)["events"]]
