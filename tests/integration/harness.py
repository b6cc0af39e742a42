"""What the integration tests share: starting and stopping the programs, a client, TAP.

A test is a function marked with @test("what is true") that takes a World: a memstore, an esbridged that is
connected to it, and a private folder. After each test the world is settled: every client of the test is closed and the
daemon must be as it was before.
"""

import collections
import contextlib
import fcntl
import glob
import itertools
import json
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import traceback

import control
import wire

LIMIT = 10.0        # seconds that anything may take; generous, since machines are slow and tests run side by side
TEST_LIMIT = 60.0   # seconds for one test

BUILD = os.environ.get("top_builddir") or os.getcwd()
ESBRIDGED = os.environ.get("ESBRIDGED") or os.path.join(BUILD, "esbridged")
MEMSTORE = os.environ.get("ESBRIDGE_MEMSTORE") or os.path.join(BUILD, "esbridge-memstore")
REAL_PORT = int(os.environ.get("ESBRIDGE_TEST_PORT") or 0)   # a real server's, for the world that tests share
RUN = os.getpid()

CODES = """bad_json bad_request line_too_long unknown_op unknown_message unknown_subscription unknown_event
limit_exceeded too_many_clients permission_denied read_only unavailable timeout connection_lost overloaded shutting_down
wrong_expected_version stream_deleted no_stream not_found access_denied not_authenticated invalid_transaction prepare_timeout
commit_timeout forward_timeout not_modified already_exists does_not_exist fail subscriber_max_count_reached
server_bad_request not_handled server_error protocol_error slow_consumer""".split()

PUSHES = "event caught_up interrupted resumed stream_deleted dropped".split()

CONNECTED = "ready"   # the word for it in status

UUID_TEXT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")

SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|runtime error:|==\d+==")


class Failure(AssertionError):
    """Something that a user would notice is not as promised."""


def equal(got, wanted, what="value"):
    if got != wanted:
        raise Failure("%s: got %r, expected %r" % (what, got, wanted))


def true(condition, what):
    if not condition:
        raise Failure(what)


def has(thing, **members):
    """Each of MEMBERS is in THING with that value."""
    for name, wanted in members.items():
        if name not in thing:
            raise Failure("no member %r in %r" % (name, thing))
        equal(thing[name], wanted, name)


def until(condition, what, limit=LIMIT):
    """Waits for what gives no event of its own: asks until the answer is true. Returns it."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure("still not so after %g s: %s" % (limit, what))
        time.sleep(0.01)


def listens(path):
    """True where somebody listens on the socket PATH: its file is there a moment before that."""
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(path) == 0


# Lines ------------------------------------------------------------------------------------------------------

class Members(list):
    """The members of an object as they were read."""


def as_dict(value, stored=False):
    """Dicts of Members. No object may have a member twice, but in what was STORED so."""
    if isinstance(value, Members):
        names = [name for name, _ in value]
        true(stored or len(names) == len(set(names)), "a member twice in %r" % names)
        return {name: as_dict(part, stored or name in ("data", "metadata")) for name, part in value}
    if isinstance(value, list):
        return [as_dict(part, stored) for part in value]
    return value


class Line(dict):
    """A line of the daemon; `raw` is its bytes without the LF."""


def parse(raw):
    """Checks what is promised of every line."""
    true(b"\r" not in raw and b"\0" not in raw, "control characters in %r" % raw[:300])
    try:
        members = json.loads(raw.decode("utf-8"), object_pairs_hook=Members)
    except ValueError as fault:
        raise Failure("no JSON in UTF-8 (%s): %r" % (fault, raw[:300])) from None
    true(isinstance(members, Members), "a line that is no object: %r" % raw[:300])
    line = Line(as_dict(members))
    line.raw = raw
    equal(sum(key in line for key in ("ok", "error", "push")), 1, "kinds in %r" % raw[:300])
    if "error" in line:
        error = line["error"]
        true(error.get("code") in CODES, "no code of the list in %r" % error)
        true(isinstance(error.get("message"), str) and error["message"], "no message in %r" % error)
        true(isinstance(error.get("retry"), bool), "no retry in %r" % error)
        true(error.get("outcome", "none") in ("none", "unknown"), "outcome in %r" % error)
    if "push" in line:
        true(line["push"] in PUSHES, "push %r" % line["push"])
        true("sub" in line and "id" not in line, "members of push %r" % raw[:300])
    return line


class Client:
    """One connection to the daemon's socket."""

    ids = itertools.count(1)

    def __init__(self, path, limit=LIMIT):
        self.limit = limit
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(limit)
        self.sock.connect(path)
        self.held = bytearray()
        self.ended = False
        self.pushes = collections.deque()
        self.replies = {}
        self.others = collections.deque()

    # Sending

    def send(self, *requests):
        """Sends each of REQUESTS (objects, or text of a line) as a line, all in one write."""
        self.send_bytes(b"".join((r if isinstance(r, bytes) else r.encode() if isinstance(r, str)
                                  else json.dumps(r).encode()) + b"\n" for r in requests))

    def send_bytes(self, data):
        self.sock.sendall(data)

    def is_read(self):
        """Whether the daemon has read all that was sent."""
        return struct.unpack("i", fcntl.ioctl(self.sock, termios.TIOCOUTQ, bytes(4))) == (0,)

    def finish(self):
        """Shuts the sending side down."""
        self.sock.shutdown(socket.SHUT_WR)

    # Reading

    def raw_line(self, limit=None):
        """The bytes of the next line; None at the end of the stream."""
        end = time.monotonic() + (self.limit if limit is None else limit)
        at = 0
        while True:
            found = self.held.find(b"\n", at)
            if found >= 0:
                line = bytes(self.held[:found])
                del self.held[:found + 1]
                return line
            at = len(self.held)
            self.sock.settimeout(max(end - time.monotonic(), 0.001))
            try:
                more = self.sock.recv(1 << 18)
            except TimeoutError:
                raise Failure("no line within %g s; so far %r" % (limit or self.limit, bytes(self.held[:200]))) from None
            except ConnectionResetError:
                more = b""
            finally:
                self.sock.settimeout(self.limit)
            if not more:
                self.ended = True
                true(not self.held, "the daemon closed in the middle of a line: %r" % bytes(self.held[:200]))
                return None
            self.held += more

    def line(self, limit=None):
        """The next line, whatever it is."""
        raw = self.raw_line(limit)
        if raw is None:
            raise Failure("the daemon closed the connection")
        return parse(raw)

    def sort_in(self, line):
        if "push" in line:
            self.pushes.append(line)
        elif "id" in line:
            key = json.dumps(line["id"])
            true(key not in self.replies, "two replies to %s" % key)
            self.replies[key] = line
        else:
            self.others.append(line)

    def reply(self, request_id, limit=None):
        """The reply to REQUEST_ID; other lines are kept for those who want them."""
        key = json.dumps(request_id)
        while key not in self.replies:
            self.sort_in(self.line(limit))
        return self.replies.pop(key)

    def other(self, limit=None):
        """The next line that has neither `push` nor `id`."""
        while not self.others:
            self.sort_in(self.line(limit))
        return self.others.popleft()

    def push(self, kind=None, limit=None):
        """The next push; it must be of KIND, where given."""
        while not self.pushes:
            self.sort_in(self.line(limit))
        push = self.pushes.popleft()
        if kind:
            equal(push["push"], kind, "kind of %r" % push)
        return push

    def ends(self, limit=None):
        """Waits for the daemon to close; nothing may come before."""
        raw = self.raw_line(limit)
        true(raw is None, "a line in place of the end: %r" % (raw or b"")[:300])

    def rest(self, limit=None):
        """All lines up to the end of the stream."""
        lines = []
        while True:
            raw = self.raw_line(limit)
            if raw is None:
                return lines
            lines.append(parse(raw))

    # Requests

    def ask(self, request, limit=None):
        """Sends REQUEST with an id and returns the whole line of its reply."""
        request = dict(request, id=request.get("id", next(self.ids)))
        self.send(request)
        return self.reply(request["id"], limit)

    def ok(self, op, limit=None, **members):
        line = self.ask(dict({"op": op}, **members), limit)
        if "ok" not in line:
            raise Failure("%s failed: %r" % (op, line["error"]))
        return line["ok"]

    def fails(self, op, code, limit=None, **members):
        line = self.ask(dict({"op": op}, **members), limit)
        if "error" not in line:
            raise Failure("%s did not fail with %s: %r" % (op, code, line))
        if line["error"]["code"] != code:
            raise Failure("code: got %s, expected %s (%s)" % (line["error"]["code"], code, line["error"]["message"]))
        return line["error"]

    def execute(self, message, body=None, limit=None, **members):
        """Executes MESSAGE, which must succeed; returns the body of the answer."""
        return self.execute_ok(message, body, limit, **members)["body"]

    def execute_ok(self, message, body=None, limit=None, **members):
        ok = self.ok("execute", limit, message=message, body=body or {}, **members)
        true(isinstance(ok.get("body"), dict), "no body in %r" % ok)
        return ok

    def refuses(self, message, code, body=None, limit=None, **members):
        return self.fails("execute", code, limit, message=message, body=body or {}, **members)

    def write(self, stream, *events, expected=-2, **members):
        """Writes EVENTS, each a dict or the type of an event with data {}; returns the body of the answer."""
        return self.execute("WriteEvents", {"event_stream_id": stream, "expected_version": expected,
                                            "events": [event(e) for e in events]}, **members)

    def read(self, stream, first=0, count=4096, **members):
        return self.execute("ReadStreamEvents", {"event_stream_id": stream, "from_event_number": first,
                                                 "max_count": count}, **members)

    def subscribe(self, **members):
        return self.ok("subscribe", **members)["sub"]

    def quiet(self):
        """Nothing has come that was not asked for: a round trip to the store brings no push."""
        self.ok("ping")
        true(not self.pushes, "a push that nobody expects: %r" % (self.pushes and self.pushes[0]))
        true(not self.others, "a line that nobody expects: %r" % (self.others and self.others[0]))
        true(not self.replies, "a reply that nobody expects: %r" % self.replies)

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


def event(what):
    return what if isinstance(what, dict) else {"event_type": what, "data": {}}


def numbers(events):
    """The event numbers of a read's events or of pushes, of the link where there is one."""
    return [(e.get("link") or e["event"])["event_number"] for e in events]


def types(events):
    return [e["event"]["event_type"] for e in events]


# Programs ---------------------------------------------------------------------------------------------------

class Program:
    """A child process with its standard error in a file."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.process = None
        self.errors = os.path.join(folder, name + ".stderr")

    def launch(self, arguments, env=None, **options):
        with open(self.errors, "ab") as errors:
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                                            env=dict(os.environ, **(env or {})), cwd=self.folder, **options)

    def said(self):
        with open(self.errors, "rb") as errors:
            return errors.read().decode("utf-8", "replace")

    def last_words(self):
        """For the report of a failure: the end of what it said, and its status where it has ended or just does so."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(0.3)
            return "%s\n(ended with status %d)" % (self.said()[-6000:], self.process.returncode)
        return self.said()[-2000:]

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def expect_alive(self):
        if not self.alive():
            raise Failure("%s ended with status %s:\n%s" % (self.name, self.process.returncode, self.said()[-3000:]))

    def wait_exit(self, limit=LIMIT):
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait()
            raise Failure("%s did not end within %g s" % (self.name, limit)) from None

    def kill(self):
        if self.alive():
            self.process.kill()
            self.process.wait()

    def terminate(self, limit=LIMIT):
        """SIGTERM must end it with status 0 and without a word from a sanitizer."""
        self.expect_alive()
        self.process.terminate()
        status = self.wait_exit(limit)
        equal(status, 0, "exit status of %s after SIGTERM" % self.name)
        self.expect_clean()

    def expect_clean(self):
        found = SANITIZER.search(self.said())
        if found:
            raise Failure("%s: %s" % (self.name, self.said()[found.start():][:3000]))


class Store(Program):
    """esbridge-memstore."""

    def __init__(self, folder, arguments=()):
        super().__init__(folder, "memstore")
        self.arguments = list(arguments)
        self.port = 0

    def start(self):
        """Starts it on the port it had before, if any."""
        port_file = os.path.join(self.folder, "memstore.port")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(port_file)
        self.launch([MEMSTORE, "--port", str(self.port), "--port-file", port_file] + self.arguments)

        def told():
            self.expect_alive()
            with contextlib.suppress(FileNotFoundError):
                with open(port_file, encoding="ascii") as file:
                    text = file.read()
                return int(text) if text.endswith("\n") else 0
            return 0
        self.port = until(told, "the memstore listens")

    def direct(self):
        return wire.Direct(self.port)


def target_of(link):
    """Where a symbolic link leads, "" where it has gone meanwhile."""
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return ""


class Bridge(Program):
    """esbridged with a configuration of its own."""

    def __init__(self, folder, settings):
        super().__init__(folder, "esbridged")
        self.socket = os.path.join(folder, "socket")
        self.config = os.path.join(folder, "esbridged.conf")
        self.notifications = []
        self.settings = settings
        self.notify = None
        self.notify_name = os.path.join(folder, "notify")   # "@": an abstract one
        self.env = {}

    def write_config(self):
        with open(self.config, "w", encoding="utf-8") as file:
            for section, members in self.settings.items():
                file.write("[%s]\n" % section)
                for name, value in members.items():
                    file.write("%s = %s\n" % (name, value))
                file.write("\n")

    def start(self, arguments=()):
        self.write_config()
        self.notifications.clear()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.notify_name)
        self.close()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(self.notify_name.replace("@", "\0"))
        self.launch([ESBRIDGED, "-c", self.config] + list(arguments), env=dict(self.env, NOTIFY_SOCKET=self.notify_name))
        self.notified("READY=1")

    def notified(self, wanted, limit=LIMIT):
        """Waits for a notification that has WANTED in it; returns it."""
        end = time.monotonic() + limit
        while True:
            for text in self.notifications:
                if wanted in text:
                    return text
            true(time.monotonic() < end, "no %r notified; %r\n%s" % (wanted, self.notifications, self.said()[-3000:]))
            if select.select([self.notify], [], [], 0.05)[0]:
                self.notifications.append(self.notify.recv(4096).decode())
            else:
                self.expect_alive()

    def hear(self):
        """Takes the notifications that have come, as a service manager does; while nobody does, the daemon waits for its time."""
        while select.select([self.notify], [], [], 0)[0]:
            self.notifications.append(self.notify.recv(4096).decode())

    def descriptors(self):
        """Its open descriptors while one client is connected; 0 while there are more. The file of checkpoints, which stays
        open once it is used, does not count where root asks; nobody else may see which they are."""
        with self.client() as client:
            if client.ok("status")["client_count"] != 1:
                return 0
            folder = "/proc/%d/fd" % self.process.pid
            try:
                return sum("checkpoints.sqlite" not in target_of(os.path.join(folder, fd)) for fd in os.listdir(folder))
            except PermissionError:
                return int(re.search(r"^process_open_fds (\d+)$", client.ok("metrics")["text"], re.MULTILINE)[1])

    def has_descriptors(self, count):
        """COUNT of them, or as root alone can tell them apart, those of the file of checkpoints besides."""
        files = 0 if os.geteuid() == 0 else len(glob.glob(os.path.join(self.folder, "checkpoints.sqlite*")))
        return count <= self.descriptors() <= count + files

    def client(self, **options):
        return Client(self.socket, **options)

    def close(self):
        if self.notify:
            self.notify.close()


class Proxy:
    """A TCP relay before the store that can cut, stall, mute and refuse connections."""

    def __init__(self, port):
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.pairs = []
        self.stalled = False
        self.muted = False
        self.refusing = False
        self.wake, self.waker = socket.socketpair()
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.stopping = False
        self.accepted = 0
        self.thread.start()

    def run(self):
        while not self.stopping:
            with self.lock:
                ends = {} if self.stalled else {a: b for pair in self.pairs for a, b in (pair, pair[::-1])}
            try:
                readable = select.select([self.wake, self.listener] + list(ends), [], [])[0]
            except (OSError, ValueError):
                continue  # cut() has closed one of them just now
            with self.lock:
                for sock in readable:
                    self.serve(sock, ends)

    def serve(self, sock, ends):
        if sock is self.wake:
            sock.recv(100)
        elif sock is self.listener:
            near = sock.accept()[0]
            self.accepted += 1
            try:
                if self.refusing:
                    raise OSError
                self.pairs.append((near, socket.create_connection(("127.0.0.1", self.target))))
            except OSError:
                near.close()
        elif any(sock in pair for pair in self.pairs):
            try:
                data = sock.recv(1 << 18)
                if data:
                    if not (self.muted and any(sock is far for near, far in self.pairs)):
                        ends[sock].sendall(data)
                    return
            except OSError:
                pass
            self.drop([pair for pair in self.pairs if sock in pair])

    def drop(self, pairs, reset=False):
        for pair in pairs:
            self.pairs.remove(pair)
            for sock in pair:
                if reset:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                sock.close()

    def change(self, **members):
        with self.lock:
            for name, value in members.items():
                setattr(self, name, value)
            self.waker.send(b"x")

    def cut(self, reset=False):
        """Closes all connections that there are."""
        with self.lock:
            self.waker.send(b"x")
            self.drop(list(self.pairs), reset)

    def stall(self):
        """From now on nothing goes through, and nothing is closed."""
        self.change(stalled=True)

    def flow(self):
        self.change(stalled=False)

    def mute(self):
        """What the store says is thrown away from now on."""
        self.change(muted=True)

    def speak(self):
        self.change(muted=False)

    def refuse(self):
        """Cuts, and closes every new connection at once."""
        self.change(refusing=True)
        self.cut()

    def allow(self):
        self.change(refusing=False)

    def close(self):
        self.stopping = True
        self.waker.send(b"x")
        self.thread.join(LIMIT)
        self.drop(list(self.pairs))
        for sock in (self.listener, self.wake, self.waker):
            sock.close()


# The world of a test ----------------------------------------------------------------------------------------

def merged(*all_settings):
    out = {}
    for settings in all_settings:
        for section, members in (settings or {}).items():
            out.setdefault(section, {}).update(members)
    return out


class World:
    """A memstore (or what listens on PORT) and an esbridged. SETTINGS: {section: {name: value}} beside the usual."""

    count = itertools.count(1)

    def __init__(self, settings=None, store_arguments=(), port=None, proxy=False, store=True, start=True):
        self.folder = tempfile.mkdtemp(prefix="esb-")
        self.clients = []
        self.baseline = None
        self.proxy = None
        self.store = Store(self.folder, store_arguments) if store and port is None else None
        self.port = port
        self.with_proxy = proxy
        self.settings = settings
        self.bridge = None
        if start:
            try:
                self.start()
            except BaseException:
                self.abandon()
                raise

    def start(self):
        if self.store:
            self.store.start()
            self.port = self.store.port
        if self.with_proxy:
            self.proxy = Proxy(self.port)
            self.port = self.proxy.port
        self.bridge = self.make_bridge(merged(
            {"socket": {"path": os.path.join(self.folder, "socket")},
             "store": {"server": "127.0.0.1:%d" % self.port},
             "daemon": {"state_dir": self.folder}}, self.settings))
        self.bridge.start()
        if self.store:
            self.connected()
            self.baseline = until(self.bridge.descriptors, "one client alone")

    def make_bridge(self, settings):
        return Bridge(self.folder, settings)

    def client(self, **options):
        client = self.bridge.client(**options)
        self.clients.append(client)
        return client

    def stream(self, name="stream"):
        """The name of a stream that no other test uses, nor an earlier run on a real server."""
        run = "-%x" % RUN if REAL_PORT else ""
        return "%s%s-%d" % (name, run, next(self.count))

    def status(self):
        with self.bridge.client() as client:
            return client.ok("status")

    def memory(self):
        """The most bytes that the daemon had resident so far."""
        with open("/proc/%d/status" % self.bridge.process.pid, encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024

    def connected(self):
        until(lambda: self.status()["store"]["state"] == CONNECTED, "connected to the store")

    def disconnected(self):
        until(lambda: self.status()["store"]["state"] != CONNECTED, "no longer connected to the store")

    def settle(self):
        """After a test: all clients closed, and nothing of them left in the daemon."""
        clients, self.clients = self.clients, []
        for client in clients:
            client.close()
        self.bridge.expect_alive()
        if self.baseline is None:
            return

        def still():
            store = self.status()["store"]
            return store["in_flight"] == 0 and store["queued"] == 0
        self.connected()
        until(still, "no request in flight and none queued: %r" % self.status())
        until(lambda: self.bridge.has_descriptors(self.baseline),
              "%d descriptors as before, not %d" % (self.baseline, self.bridge.descriptors()))
        self.bridge.expect_clean()

    def stop(self):
        """Ends everything in good order; what does not end so is a failure."""
        try:
            if self.bridge.process.returncode is None:
                self.settle()
                self.bridge.terminate()
            if self.store and self.store.alive():
                self.store.terminate()
        finally:
            self.abandon()

    def abandon(self):
        """Ends everything anyhow."""
        for client in self.clients:
            client.close()
        for program in (self.bridge, self.store):
            if program:
                program.kill()
        if self.bridge:
            self.bridge.close()
        if self.proxy:
            self.proxy.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            value.said = self.bridge.last_words() if self.bridge else ""
            self.abandon()
        else:
            self.stop()


@contextlib.contextmanager
def controlled(settings=None, store_arguments=(), **options):
    """A World whose memstore has a control channel, and that channel."""
    with tempfile.TemporaryDirectory(prefix="esb-") as folder:
        path = os.path.join(folder, "control")
        with World(settings, ["--control", path] + list(store_arguments), **options) as world, \
                control.Control(path) as channel:
            yield world, channel


# TAP --------------------------------------------------------------------------------------------------------

TESTS = []


def test(name):
    def register(function):
        TESTS.append((name, function))
        return function
    return register


class TooLong(Failure):
    pass


def too_long(*unused):
    raise TooLong("the test took longer than %g s" % TEST_LIMIT)


class Runner:
    def __init__(self, settings, store_arguments, shared):
        self.make = (lambda: World(settings, store_arguments, port=REAL_PORT or None)) if shared else None
        self.world = None
        self.failed = 0

    def run_one(self, function):
        if self.make and self.world is None:
            self.world = self.make()
        if self.world is None:
            function()
            return
        function(self.world)
        self.world.settle()

    def stop(self):
        """The shared world ends; it may have been left in any state by a test that failed."""
        world, self.world = self.world, None
        if world:
            world.stop()

    def guarded(self, number, name, action):
        signal.setitimer(signal.ITIMER_REAL, TEST_LIMIT)
        try:
            action()
            signal.setitimer(signal.ITIMER_REAL, 0)
            print("ok %d - %s" % (number, name), flush=True)
        except Exception as fault:  # whatever it is, the next test runs
            signal.setitimer(signal.ITIMER_REAL, 0)
            self.failed += 1
            print("not ok %d - %s" % (number, name))
            frames = [f for f in traceback.extract_tb(fault.__traceback__) if f.name != "guarded"]
            for frame in frames:
                print("#   %s:%d in %s: %s" % (os.path.basename(frame.filename), frame.lineno, frame.name, frame.line))
            said = getattr(fault, "said", self.world.bridge.last_words() if self.world else "")
            for line in ("%s: %s\nesbridged said:\n%s" % (type(fault).__name__, fault, said)).splitlines():
                print("# " + line)
            sys.stdout.flush()
            if self.world:
                self.world.abandon()
                self.world = None


def main(settings=None, store_arguments=(), shared=True):
    """Runs the tests of the file, or those whose name has the first argument in it. SHARED: they are given one World."""
    signal.signal(signal.SIGALRM, too_long)
    wanted = [t for t in TESTS if len(sys.argv) < 2 or sys.argv[1] in t[0]]
    runner = Runner(settings, store_arguments, shared)
    for number, (name, function) in enumerate(wanted, 1):
        runner.guarded(number, name, lambda f=function: runner.run_one(f))
    count = len(wanted)
    if runner.world:
        count += 1
        runner.guarded(count, "everything ends in good order", runner.stop)
    print("1..%d" % count)
    sys.exit(1 if runner.failed else 0)
