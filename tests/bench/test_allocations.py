#!/usr/bin/env python3
"""
In the steady state the daemon asks the C library for no memory: its allocator is replaced by one that counts. (What the same
work costs in instructions and system calls is told by test_cost.py.)

Each piece of work is done twice, with few operations and with many: the difference is what the operations ask for, without
what connecting and subscribing do.
"""

import contextlib
import mmap
import os
import struct
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))

import cost  # noqa: E402  (found only now)
from harness import BUILD, TESTS, main, test, true, until  # noqa: E402

LIBRARY = os.path.join(os.path.abspath(BUILD), "tests", "bench", ".libs", "liballocations.so")
NEARLY_NONE = 0.01  # for each operation: what a table that grows makes now and then


@contextlib.contextmanager
def counted():
    """A World whose daemon's allocator counts, and the counter."""
    with tempfile.TemporaryDirectory(prefix="esb-") as folder:
        path = os.path.join(folder, "count")
        with open(path, "wb") as file:
            file.write(struct.pack("=Q", 0))
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ) as counter:
            with cost.started_by(folder, "ALLOCATIONS='%s' LD_PRELOAD='%s' '%%s'" % (path, LIBRARY)) as world:
                yield world, lambda: struct.unpack("=Q", counter[:8])[0]


def asked(world, counter, work, count):
    """How often memory is asked for from before the work to when its client is gone."""
    before = counter()
    cost.run(world, "bridge", work.workload, dict(work.arguments, count=count))
    until(lambda: world.status()["client_count"] == 1, "the daemon has closed all clients")
    return counter() - before


def check(work):
    with counted() as (world, counter):
        world.connected()
        true(counter() > 100, "the daemon has started with %d allocations: they are not counted" % counter())
        cost.run(world, "direct", "fill", cost.FILL)
        asked(world, counter, work, work.many)  # what is kept from then on is there
        few = asked(world, counter, work, work.few)
        many = asked(world, counter, work, work.many)
    each = (many - few) / ((work.many - work.few) * work.times)
    print("# %s: %.4f allocations (%d, and %d with few)" % (work.text, each, many, few))
    true(each < NEARLY_NONE, "%.3f allocations for each operation" % each)


if __name__ == "__main__":
    if cost.has_sanitizers():
        TESTS.clear()
        test("nothing is counted: sanitizers have an allocator of their own")(lambda: None)
    else:
        for one in cost.WORKS:
            test("%s: no allocation" % one.text)(lambda one=one: check(one))
    main(shared=False)
