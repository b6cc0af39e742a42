"""What the daemon's own path costs, counted by callgrind: instructions, allocations, system calls for each operation.

None of it depends on how fast or how busy the machine is. Each piece of work is done twice, with few operations and with
many; the difference is what the operations cost, without what connecting and subscribing do.
"""

import collections
import os
import re
import shutil
import stat
import subprocess

import harness
from harness import World, until

BENCH = os.path.join(os.environ.get("BUILDDIR") or os.getcwd(), "tests", "bench", "bench")
MAKEFILE = os.path.join(os.environ.get("BUILDDIR") or os.getcwd(), "Makefile")
RUN_LIMIT = 120

# The C library chooses its functions by the processor; these are those that each has.
TUNABLES = "glibc.cpu.hwcaps=" + ",".join("-" + name for name in (
    "AVX", "AVX2", "AVX512F", "AVX512VL", "AVX512BW", "AVX_Fast_Unaligned_Load", "Prefer_No_VZEROUPPER", "ERMS", "FSRM", "RTM",
    "BMI1", "BMI2", "LZCNT", "MOVBE", "POPCNT", "SSSE3", "SSE4_1", "SSE4_2", "Fast_Unaligned_Copy"))

ALLOCATIONS = ("malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc")

# Name, what is counted once, workload, its arguments, few and many operations, deliveries of each.
Work = collections.namedtuple("Work", "name text workload arguments few many times")

FILL = {"stream": "filled", "count": 40000, "ahead": 20000}
TURN = 64  # requests that go out together, and whose answers are waited for together

WORKS = [
    Work("write", "a write", "write", {"in_flight": TURN, "turn": 1}, 10 * TURN, 60 * TURN, 1),
    Work("page", "an event of a page of 500", "read", {"stream": "filled", "page": 500}, 2, 20, 500),
    Work("catchup", "an event caught up", "catchup", {"stream": "filled"}, 10000, 40000, 1),
    Work("live", "an event live, to one reader", "live", {"ahead": 100}, 1000, 15000, 1),
    Work("fanout", "a delivery to one of 100 readers", "live", {"ahead": 100, "connections": 100}, 200, 2000, 100),
    Work("group", "an event of a group, delivered and acknowledged", "group", {"in_flight": 50, "ack": 2}, 500, 5000, 1),
]


def environment():
    """Where figures can be compared: the same machine, compiler, flags and C library."""
    with open(MAKEFILE, encoding="utf-8") as file:
        made = dict(re.findall(r"^(CFLAGS|OUR_CFLAGS|OUR_CPPFLAGS|CPPFLAGS) = *(.*)$", file.read(), re.M))
    with open(harness.ESBRIDGED, "rb") as file:
        found = re.search(rb"GCC: \([^)]*\) [0-9.]+|clang version [0-9.]+", file.read())
    return {"machine": os.uname().machine, "compiler": found.group().decode() if found else "unknown",
            "flags": " ".join(" ".join(made[name] for name in sorted(made)).split()),
            "library": os.confstr("CS_GNU_LIBC_VERSION")}


def has_sanitizers():
    return "-fsanitize" in environment()["flags"]


class Profile:
    """One part of what callgrind has written: instructions, and calls by the name of the function."""

    def __init__(self, path):
        self.instructions = 0
        self.calls = collections.Counter()
        names = {}
        called = None
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith(("fn=", "cfn=")):
                    found = re.match(r"c?fn=(\(\d+\))(?: (.*))?", line)
                    if found.group(2):
                        names[found.group(1)] = found.group(2).strip()
                    called = found.group(1)
                elif line.startswith("calls="):
                    self.calls[called] += int(line[len("calls="):].split()[0])
                elif line.startswith("totals:"):
                    self.instructions = int(line.split()[1])
        self.calls = collections.Counter({names[number]: count for number, count in self.calls.items()})


class Cost:
    """What one operation costs, as the difference of two profiles that OPERATIONS lie between."""

    def __init__(self, few, many, operations):
        self.instructions = (many.instructions - few.instructions) / operations
        self.calls = {name: (count - few.calls[name]) / operations for name, count in many.calls.items()}
        self.allocations = sum(self.calls.get(name, 0) for name in ALLOCATIONS)


def run(world, side, workload, arguments):
    values = dict(arguments, socket=world.bridge.socket, port=world.port)
    subprocess.run([BENCH, side, workload] + ["%s=%s" % pair for pair in values.items()], stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, timeout=RUN_LIMIT, check=True)


def started_by(folder, command):
    """A World whose daemon is started through COMMAND, in which %s is the daemon."""
    script = os.path.join(folder, "esbridged")
    plain = harness.ESBRIDGED
    with open(script, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\nexec env GLIBC_TUNABLES=%s %s \"$@\"\n" % (TUNABLES, command % plain))
    os.chmod(script, stat.S_IRWXU)
    harness.ESBRIDGED = script
    try:
        return World({"store": {"username": "admin", "password": "changeit"}})
    finally:
        harness.ESBRIDGED = plain


def needed(program):
    if not shutil.which(program):
        raise harness.Failure("%s was not found: apt install %s" % (program, program))


class Counted:
    """A World whose daemon runs under callgrind."""

    def __init__(self, folder):
        needed("valgrind")
        self.folder = folder
        self.out = os.path.join(folder, "out")
        self.world = None

    def __enter__(self):
        # A status asked for by us ends one part of the profile and begins the next.
        self.world = started_by(self.folder, "valgrind --quiet --tool=callgrind --dump-before=take_status "
                                "--callgrind-out-file='%s' '%%s'" % self.out)
        run(self.world, "direct", "fill", FILL)
        return self

    def __exit__(self, *unused):
        self.world.stop()

    def part(self):
        """Ends a part, when all clients but us have gone, and gives it."""
        until(lambda: self.world.status()["client_count"] == 1, "the daemon has closed all clients")
        self.world.status()
        return max(int(name.rsplit(".", 1)[1]) for name in os.listdir(os.path.dirname(self.out)) if name.startswith("out."))

    def profile(self, work, count):
        """The profiles of the parts in which the work was done, added up."""
        first = self.part()
        run(self.world, "bridge", work.workload, dict(work.arguments, count=count))
        last = self.part()
        whole = Profile("%s.%d" % (self.out, first + 1))
        for number in range(first + 2, last + 1):
            more = Profile("%s.%d" % (self.out, number))
            whole.instructions += more.instructions
            whole.calls.update(more.calls)
        return whole

    def cost(self, work):
        few = self.profile(work, work.few)
        many = self.profile(work, work.many)
        return Cost(few, many, (work.many - work.few) * work.times)


def system_calls(folder, work, count):
    """How often the daemon makes each system call for its whole life, in which COUNT of WORK are done."""
    out = os.path.join(folder, "strace-%d" % count)
    # -D: the daemon stays the process that we have started.
    with started_by(folder, "strace -D -f -c -o '%s' '%%s'" % out) as world:
        run(world, "bridge", work.workload, dict(work.arguments, count=count))
    with open(until(lambda: written(out), "strace has written what it counted"), encoding="utf-8") as file:
        rows = re.findall(r"^ *[0-9.]+ +[0-9.]+ +[0-9]+ +([0-9]+)(?: +[0-9]+)? +(\w+)$", file.read(), re.M)
    return collections.Counter({name: int(calls) for calls, name in rows if name != "total"})


def written(path):
    """PATH, where strace has come to the line of the total."""
    try:
        with open(path, encoding="utf-8") as file:
            return path if " total" in file.read() else None
    except FileNotFoundError:
        return None
