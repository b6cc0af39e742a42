#!/usr/bin/env python3
"""The examples of README.md, esbridge-protocol(7) and esbridge-migration(7) do what they say.

They are run in the order of the text against esbridge-memstore and esbridged. What comes back must have the same
members, of the same types, with the same values; of members that differ from run to run (ids, times,
positions, counters) the type is compared alone, and equal ids in the text must be equal in the answers. An id in a
later request of the text is replaced by the id that came in its place.

In a manual page each literal display that begins with a request is one connection. A line that begins with a blank
goes on with the line before it. In README.md the lines of a console block that begin with "$ " go to one shell, and the
lines of the tour's recording, marked by arrows, to one connection before that.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

LIMIT = 15.0  # seconds that anything may take

# Members whose value is not compared, only its type.
VARYING = re.compile(r"event_ids?|ack_id|created|created_epoch|rtt_us|commit|prepare|\w+_position|version|"
                     r"endpoint|path|pid|uid|gid|number|client_count|lines|errors|requests|executed|operations|used|bytes_in|bytes_out|\w+_us|\w+_ms")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Wrong(Exception):
    """Something is not as the text says."""


class Ids:
    """The ids of the text and the ids that came in their place."""

    def __init__(self):
        self.of_text = {}

    def pair(self, told, got, where):
        """told and got stand at the same place."""
        if self.of_text.setdefault(told, got) != got:
            raise Wrong(f"{where}: {got}, and before {told} was {self.of_text[told]}")

    def put_in(self, request):
        """The request with the ids that came."""
        return UUID.sub(lambda m: self.of_text.get(m.group(), m.group()), request)


def compare(told, got, ids, where="the answer", name=""):
    """Raises Wrong where got is not what the text told."""
    if isinstance(told, bool) or told is None or type(told) is not type(got):
        if told != got or type(told) is not type(got):
            raise Wrong(f"{where}: {json.dumps(got)} in place of {json.dumps(told)}")
    elif isinstance(told, dict):
        if list(told) != list(got):
            raise Wrong(f"{where} has the members {list(got)} in place of {list(told)}")
        for member, value in told.items():
            compare(value, got[member], ids, f"{where}.{member}", member)
    elif isinstance(told, list):
        if len(told) != len(got):
            raise Wrong(f"{where} has {len(got)} elements in place of {len(told)}")
        for number, value in enumerate(told):
            compare(value, got[number], ids, f"{where}[{number}]", name)
    elif isinstance(told, str) and UUID.fullmatch(told):
        if not UUID.fullmatch(got):
            raise Wrong(f"{where}: {got} is no UUID")
        ids.pair(told, got, where)
    elif isinstance(told, str) and told.endswith("…"):  # the beginning of a long text
        if not got.startswith(told[:-1]):
            raise Wrong(f"{where}: {json.dumps(got[:100])} does not begin with {json.dumps(told)}")
    elif told != got and not VARYING.fullmatch(name):
        raise Wrong(f"{where}: {json.dumps(got)} in place of {json.dumps(told)}")


def same_line(told, got):
    """True where got is the line that the text has as told: the same reply, or the same kind of push."""
    if not isinstance(told, dict) or not isinstance(got, dict):
        return type(told) is type(got)
    return all(told.get(key) == got.get(key) for key in ("id", "push", "sub"))


def compare_lines(told, got, ids):
    """Compares lines in any order of requests; pushes of one subscription keep theirs."""
    left = list(got)
    for line in told:
        if line in left:
            left.remove(line)
            continue
        try:
            wanted = json.loads(line)
        except ValueError:
            raise Wrong(f"no such line came: {line}; but {left}") from None
        match = next((g for g in left if same_line(wanted, json.loads(g))), None)
        if match is None:
            raise Wrong(f"no such line came: {line}")
        left.remove(match)
        compare(wanted, json.loads(match), ids)
    if left:
        raise Wrong("lines that the text does not have: " + "\n".join(left))


# --- the two programs ---

class Programs:
    """A store in memory and a daemon in a folder of their own."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="esbridge-examples.")
        self.socket = os.path.join(self.folder, "socket")
        self.server = None
        self.running = []

    def start(self):
        port = os.path.join(self.folder, "port")
        self.launch("memstore", [os.environ["MEMSTORE"], "--port", "0", "--port-file", port])
        self.wait(lambda: os.path.exists(port) and os.path.getsize(port) > 0, "esbridge-memstore")
        with open(port, encoding="ascii") as file:
            self.server = "127.0.0.1:" + file.read().strip()
        self.launch("esbridged", [os.environ["ESBRIDGED"], "--socket", self.socket, "--server", self.server])
        self.wait(self.listens, "esbridged")

    def listens(self):
        with socket.socket(socket.AF_UNIX) as sock:
            return sock.connect_ex(self.socket) == 0

    def launch(self, name, arguments):
        with open(os.path.join(self.folder, name + ".log"), "wb") as log:
            self.running.append(subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                 env=dict(os.environ, STATE_DIRECTORY=self.folder)))

    def wait(self, ready, name):
        end = time.monotonic() + LIMIT
        while not ready():
            if self.running[-1].poll() is not None or time.monotonic() > end:
                raise Wrong(f"{name} did not start")
            time.sleep(0.02)

    def logs(self):
        for name in sorted(os.listdir(self.folder)):
            if name.endswith(".log"):
                with open(os.path.join(self.folder, name), encoding="utf-8", errors="replace") as file:
                    yield from (f"{name}: {line.rstrip()}" for line in file.readlines()[-15:])

    def stop(self):
        """Ends both; the exit status of the daemon, which was started last."""
        statuses = []
        for process in reversed(self.running):
            process.send_signal(signal.SIGTERM)
            try:
                statuses.append(process.wait(LIMIT))
            except subprocess.TimeoutExpired:
                process.kill()
                statuses.append(process.wait())
        shutil.rmtree(self.folder, ignore_errors=True)
        return statuses[0] if statuses else 0


# --- esbridge-protocol(7) ---

def displays(page):
    """The literal displays of a manual page that begin with a request, each as a list of whole lines."""
    for block in re.findall(r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed$", page, re.MULTILINE | re.DOTALL):
        lines = re.sub(r"\n[ \t]+", "", block).replace("\\e", "\\").splitlines()
        if lines and lines[0].startswith('{"op"'):
            yield lines


def exchanges(lines):
    """(request, lines that answer it) of a display."""
    found = []
    for line in lines:
        if line.startswith('{"op"'):
            found.append((line, []))
        else:
            found[-1][1].append(line)
    return found


class Connection:
    """One connection to the daemon."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(LIMIT)
        self.socket.connect(path)
        self.reader = self.socket.makefile("r", encoding="utf-8", newline="\n")

    def send(self, line):
        self.socket.sendall(line.encode() + b"\n")

    def line(self):
        try:
            line = self.reader.readline()
        except TimeoutError:
            raise Wrong("nothing came") from None
        if not line:
            raise Wrong("the daemon closed the connection")
        return line.rstrip("\n")

    def close(self):
        """Ends the connection, on which nothing more may have come."""
        self.send('{"op":"ping","id":"last"}')
        line = self.line()
        self.reader.close()
        self.socket.close()
        if json.loads(line).get("id") != "last":
            raise Wrong("a line that the text does not have: " + line)


def run_manual(path, programs, report):
    with open(path, encoding="utf-8") as file:
        page = file.read()
    ids = Ids()
    for lines in displays(page):
        connection = Connection(programs.socket)
        for request, told in exchanges(lines):
            request = ids.put_in(request)
            report(request, lambda r=request, t=told: run_exchange(connection, r, t, ids))
        report("nothing more came", connection.close)


def run_exchange(connection, request, told, ids):
    if not told and not ("ack" in request and '"id"' not in request):
        raise Wrong("the text does not tell the answer")
    connection.send(request)
    compare_lines(told, [connection.line() for _ in told], ids)


# --- README.md ---

def commands(text):
    """(command, its output) of the console blocks of a Markdown text."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def run_readme(path, programs, report):
    with open(path, encoding="utf-8") as file:
        steps = commands(file.read())
    top = os.path.dirname(os.path.abspath(path))
    os.symlink(os.path.join(top, "client-lib"), os.path.join(programs.folder, "client-lib"))
    env = dict(os.environ, S=programs.socket, ESBRIDGE_SOCKET=programs.socket,
               PATH=os.environ.get("BUILDDIR", ".") + ":" + os.environ["PATH"])
    script = "".join(f"{command}\nprintf '\\0'\n" for command, _ in steps)
    done = subprocess.run(["bash", "-c", script], env=env, cwd=programs.folder,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=60, check=False)
    outputs = done.stdout.decode().split("\0")
    ids = Ids()
    for (command, told), got in zip(steps, outputs + [""] * len(steps)):
        report(command, lambda t=told, g=got: compare_lines(t, g.splitlines(), ids))


def run_tour(path, programs, report):
    """What quickstart shows, as README.md has it: the same requests are in the script, and they are answered so."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(os.path.join(os.path.dirname(path), "quickstart"), encoding="utf-8") as file:
        script = UUID.sub("", file.read().replace("'\"$event\"'", ""))
    ids, connection = Ids(), Connection(programs.socket)
    lines = [line.replace("→ ", "").replace("← ", "") for line in re.findall(r"^  ([→←] .*)$", text, re.MULTILINE)]
    for request, told in exchanges(lines):
        report("in the script: " + request, lambda r=request: compare(True, UUID.sub("", r) in script, ids))
        request = ids.put_in(request)
        report(request, lambda r=request, t=told: run_exchange(connection, r, t, ids))
    report("nothing more came", connection.close)


def run_tour_and_readme(path, programs, report):
    """One daemon for both, since quickstart --keep leaves its own to those who read on."""
    run_tour(path, programs, report)
    run_readme(path, programs, report)


# --- TAP ---

class Report:
    """Numbers the test points and remembers whether all went well."""

    def __init__(self):
        self.count = 0
        self.good = True

    def __call__(self, what, run):
        """Prints the point WHAT: well where RUN raises nothing. Returns whether it was."""
        self.count += 1
        try:
            run()
            print(f"ok {self.count} - {what[:120]}".replace("#", ""), flush=True)
            return True
        except (Wrong, OSError, ValueError) as wrong:
            self.good = False
            print(f"# {str(wrong)}".replace("\n", "\n# "))
            print(f"not ok {self.count} - {what[:120]}".replace("#", ""), flush=True)
            return False


def self_check():
    """What compare() must refuse is refused."""
    told = {"id": 1, "ok": {"n": 1, "rtt_us": 5, "a": [True], "long": "abc", "event_id": "00000000-0000-0000-0000-000000000001"}}
    compare(told, json.loads(json.dumps(told).replace("5", "7")), Ids())
    compare(dict(told, ok=dict(told["ok"], long="ab…")), told, Ids())
    for old, new in (('"n": 1', '"n": 2'), ('"n": 1', '"n": "1"'), ('"n": 1', '"n": true'), ("true", "false"),
                     ("5", '"5"'), ('"n"', '"m"'), ("[true]", "[]"), ('"abc"', '"abd"'), ("-0000-", "+0000-")):
        try:
            compare(told, json.loads(json.dumps(told).replace(old, new, 1)), Ids())
        except Wrong:
            continue
        raise Wrong(f"{new} in place of {old} was not noticed")


def main():
    root = os.environ.get("SRCDIR", ".")
    report = Report()
    report("compare() refuses what it must", self_check)
    for name, run in (("man/esbridge-protocol.7", run_manual), ("man/esbridge-migration.7", run_manual),
                      ("README.md", run_tour_and_readme)):
        programs, before = Programs(), report.count
        try:
            if report(f"{name}: the programs start", programs.start):
                run(os.path.join(root, name), programs, report)
            if not report.good:
                print("\n".join("# " + line for line in programs.logs()))
        finally:
            status = programs.stop()
        report(f"{name}: the daemon ends with status 0", lambda s=status: compare(0, s, Ids()))
        report(f"{name}: there were examples", lambda b=before: compare(True, report.count > b + 5, Ids()))
    print(f"1..{report.count}")
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
