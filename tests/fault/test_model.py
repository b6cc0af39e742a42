#!/usr/bin/env python3
"""The model test: a random script for each seed (script.py), carried out against a memstore and an esbridged with faults on
every side (driver.py), and judged afterwards (checker.py).

A seed that fails is told with the command that runs it again. What happened is kept in a file, which is judged anew with
  test_model.py --judge FILE
"""

import argparse
import json
import multiprocessing
import os
import re
import signal
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))

import checker  # noqa: E402  (found only now)
import driver  # noqa: E402
import harness  # noqa: E402
import truth  # noqa: E402

KEPT = os.path.join(os.environ.get("BUILDDIR") or os.getcwd(), "tests", "fault")
VERSIONS = ["5.0.11", "20.10.6", "5.0.11", "22.10.5", "5.0.11", "4.1.4", "5.0.11", "3.9.4"]
SEEDS, SANITIZED_SEEDS = 200, 50    # the sanitizers make everything several times slower
SEED_LIMIT = 60     # seconds that a run of a few hundred steps may take
HUNDRED = 100


class TooLong(Exception):
    pass


def too_long(*_):
    raise TooLong("the run took too long")


def is_sanitized():
    with open(harness.ESBRIDGED, "rb") as program:
        return b"__asan_init" in program.read()


def short(text):
    """Without the padding of large events."""
    return re.sub("x{20,}", "x…x", str(text))[:1500]


def run(job):
    """Runs a seed; returns (seed, seconds, records, what is wrong, the file that tells of it)."""
    seed, steps = job
    version = VERSIONS[seed % len(VERSIONS)]
    began = time.monotonic()
    it = driver.Driver(seed, ["--speak", version])
    log = truth.Log([])
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(SEED_LIMIT + SEED_LIMIT * steps // HUNDRED)
    try:
        history, log = it.run(steps)
        found = checker.check(history, log, version)
    except Exception as fault:  # whatever it is, the seed has failed and the others go on
        found = ["%s: %s" % (type(fault).__name__, fault)] + traceback.format_exc().splitlines()
    finally:
        signal.alarm(0)
    file = keep(seed, steps, version, it, log, found) if found else None
    return seed, time.monotonic() - began, len(it.history), list(map(short, found)), file


def keep(seed, steps, version, it, log, found):
    os.makedirs(KEPT, exist_ok=True)
    path = os.path.join(KEPT, "seed-%d.history" % seed)
    entries = [[e.stream, e.number, e.id, e.type, e.data.decode("latin-1"), e.commit, e.prepare] for e in log.entries]
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"seed": seed, "steps": steps, "version": version, "found": found, "said": it.said, "log": entries,
                   "history": it.history}, file)
    return path


def judge(path):
    with open(path, encoding="utf-8") as file:
        kept = json.load(file)
    log = truth.Log([(e[0], e[1], e[2], e[3], e[4].encode("latin-1"), e[5], e[6]) for e in kept["log"]])
    found = checker.check(kept["history"], log, kept["version"])
    for text in found:
        print(short(text))
    sys.exit(1 if found else 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=SANITIZED_SEEDS if is_sanitized() else SEEDS)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--workers", type=int, default=2 * (os.cpu_count() or 1))
    parser.add_argument("--judge")
    options = parser.parse_args()
    if options.judge:
        judge(options.judge)
    jobs = [(seed, options.steps) for seed in range(options.first, options.first + options.seeds)]
    failed = 0
    print("1..%d" % len(jobs), flush=True)
    with multiprocessing.Pool(min(options.workers, len(jobs))) as pool:
        for number, (seed, seconds, records, found, file) in enumerate(pool.imap_unordered(run, jobs), 1):
            print("%sok %d - seed %d: %d records in %.1f s" % ("not " if found else "", number, seed, records, seconds))
            if found:
                failed += 1
                for line in found:
                    print("#   " + line)
                print("# kept in %s; again: make soak SEEDS=1 SEED=%d STEPS=%d" % (file, seed, options.steps))
            sys.stdout.flush()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
