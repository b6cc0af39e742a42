#!/usr/bin/env python3
"""
What an operation costs the daemon is what it was: instructions (kept in instructions.json), no allocation, and no more
system calls than one read and one write for each side and wakeup.

Usage: test_cost.py [--keep]: with it, the instructions counted are kept, for the machine, compiler, flags and C library
that there are.
"""

import json
import math
import os
import statistics
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))

import cost  # noqa: E402  (found only now)
from harness import TESTS, Failure, main, test, true  # noqa: E402

KEPT = os.path.join(HERE, "instructions.json")
TOLERANCE = 0.03
NEARLY_NONE = 0.01  # allocations for each operation: what a table that grows makes now and then
TURNS = 100
# A busy machine tears turns in two, and each has its price: what costs more than is kept is counted again, and the lowest
# count holds. What has become dearer is so each time.
TRIES = 8
TURN_SLACK = 1.25   # a turn may be torn in two where the machine is busy

COSTS = {}


def kept():
    with open(KEPT, encoding="utf-8") as file:
        return json.load(file)


def keep():
    """Keeps the middle of three counts."""
    here = cost.environment()
    counts = []
    for _ in range(3):
        count_all()
        counts.append({name: found.instructions for name, found in COSTS.items()})
    entries = [entry for entry in kept() if entry["environment"] != here]
    entries.append({"environment": here, "instructions": {
        name: round(statistics.median(count[name] for count in counts), 1) for name in COSTS}})
    with open(KEPT, "w", encoding="utf-8") as file:
        json.dump(entries, file, indent=1)
        file.write("\n")


def kept_here():
    return next((entry["instructions"] for entry in kept() if entry["environment"] == cost.environment()), {})


def check_instructions(work):
    counted = COSTS[work.name].instructions
    before = kept_here().get(work.name)
    if before is None:
        print("# %s: %.0f instructions; none are kept for %r" % (work.text, counted, cost.environment()))
        return
    print("# %s: %.0f instructions, kept: %.0f" % (work.text, counted, before))
    if counted > before * (1 + TOLERANCE):
        raise Failure("%.0f instructions, %.1f %% more than the %.0f that are kept. Where this is meant: "
                      "make bench-keep" % (counted, (counted / before - 1) * 100, before))
    if counted < before * (1 - TOLERANCE):
        print("# less than is kept: make bench-keep")


def check_allocations(work):
    found = COSTS[work.name]
    names = {name: round(found.calls[name], 2) for name in cost.ALLOCATIONS if found.calls.get(name, 0) > NEARLY_NONE}
    true(found.allocations < NEARLY_NONE, "%.2f allocations: %r" % (found.allocations, names))


def system_calls(requests, writes):
    """A turn of REQUESTS that go to the store in so many WRITES."""
    work = next(work for work in cost.WORKS if work.name == "write")
    work = work._replace(arguments=dict(work.arguments, in_flight=requests))
    with tempfile.TemporaryDirectory(prefix="esb-") as folder:
        few = cost.system_calls(folder, work, 10 * requests)
        many = cost.system_calls(folder, work, (10 + TURNS) * requests)
    calls = {name: (many[name] - few[name]) / TURNS for name in many}
    print("# a turn: %s" % ", ".join("%s %.2f" % pair for pair in calls.items() if pair[1] > 0.02))
    for name in ("epoll_wait", "read", "sendto"):
        true(calls[name] <= 2 * writes * TURN_SLACK, "%.2f calls of %s in a turn" % (calls[name], name))
    true(calls["sendto"] >= writes + 0.5,
         "%.2f calls of sendto in a turn: %d to the store, and the answers" % (calls["sendto"], writes))
    others = {name: count for name, count in calls.items() if name not in ("epoll_wait", "read", "sendto")}
    true(sum(others.values()) <= 1, "other calls in a turn: %r" % {name: n for name, n in others.items() if n > 0.01})


def register():
    for work in cost.WORKS:
        test("%s: no more instructions than are kept" % work.text)(lambda work=work: check_instructions(work))
        test("%s: no allocation" % work.text)(lambda work=work: check_allocations(work))
    test("a turn of 32 writes takes one read and one write of each side")(lambda: system_calls(32, 1))
    test("a turn of 64 writes goes out in two: the store works on one while the other is made")(lambda: system_calls(64, 2))


def count_all(before=None):
    """Counts what each work costs: again where it is more than BEFORE, if that is known."""
    with tempfile.TemporaryDirectory(prefix="esb-") as folder:
        with cost.Counted(folder) as place:
            for work in cost.WORKS:
                most = (before or {}).get(work.name, math.inf) * (1 + TOLERANCE)
                found = [place.cost(work)]
                while len(found) < TRIES and min(one.instructions for one in found) > most:
                    found.append(place.cost(work))
                COSTS[work.name] = min(found, key=lambda one: one.instructions)


if __name__ == "__main__":
    if cost.has_sanitizers():
        TESTS.clear()
        test("nothing is counted: a build with sanitizers has other costs, and callgrind cannot run it")(lambda: None)
    elif sys.argv[1:] == ["--keep"]:
        sys.argv.pop()
        register()
        keep()
    else:
        register()
        count_all(kept_here())
    main(shared=False)
