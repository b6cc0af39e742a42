#!/usr/bin/env python3
"""The benchmark runs, and finds something for each row: nothing is said of how much."""

import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))

from harness import Failure, Store, equal, main, test, true  # noqa: E402  (found only now)

BENCH = os.path.join(os.environ.get("BUILDDIR") or os.getcwd(), "tests", "bench", "bench")
ROWS = ["write-1", "write-64", "write-64x4", "read-500", "catchup", "catchup-all", "live-10", "group-one", "group-list",
        "group-up-to", "write-256 KiB", "read-256 KiB", "tls-catchup"]
LIMIT = 60


def run(**settings):
    """What `make bench` does, with these variables: the process and what it has written to BENCH_JSON."""
    with tempfile.TemporaryDirectory(prefix="esb-") as folder:
        target = os.path.join(folder, "bench.json")
        env = dict(os.environ, BENCH=BENCH, BENCH_JSON=target, BENCH_ROUNDS="1", BENCH_PART="0.01", **settings)
        done = subprocess.run([sys.executable, os.path.join(HERE, "bench.py")], stdin=subprocess.DEVNULL, env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT)
        if not os.path.exists(target):
            return done, None
        with open(target, encoding="utf-8") as file:
            return done, json.load(file)


@test("each kind of row gives a rate, the processor time of all, and memory, for both ways")
def rows():
    done, found = run(BENCH_ONLY=",".join(ROWS + ["start"]))
    if done.returncode != 0 or found is None:
        raise Failure(done.stdout)
    equal(sorted(found["rows"]), sorted(ROWS + ["start"]), "rows")
    for name in ROWS:
        for side in ("direct", "bridge"):
            for member in ("rate", "bridge_cpu", "store_cpu", "own_cpu", "resident"):
                values = found["rows"][name][side][member]
                true(values["low"] <= values["median"] <= values["high"], "quartiles of %s: %r" % (name, values))
            true(found["rows"][name][side]["rate"]["median"] > 0, "no rate of %s" % name)
    true(found["rows"]["start"]["bridge"]["ready"]["median"] > 0, "no time of the start")
    true(any(m["text"].startswith("executes, one client") for m in found["measures"]), "no measures")
    true("cores" in done.stdout and "GCC" in done.stdout, "it does not say on what it measured:\n" + done.stdout)


@test("a good client's latency is measured alone, apart from bad ones, and beside them")
def bad():
    done, found = run(BENCH_ONLY="bad-churn")
    if done.returncode != 0 or found is None:
        raise Failure(done.stdout)
    for side in ("alone", "apart", "beside"):
        for member in ("p50", "p99", "max"):
            true(found["rows"]["bad-churn"][side][member]["median"] > 0, "no %s %s" % (member, side))
    true(any("bad clients (churn)" in m["text"] for m in found["measures"]), "no measure")


@test("a real server is measured in place of the memstore, all but its processor time")
def server():
    with tempfile.TemporaryDirectory(prefix="esb-") as folder:
        store = Store(folder)
        store.start()
        try:
            done, found = run(BENCH_ONLY="write-64,catchup,tls-catchup", ESBRIDGE_BENCH_SERVER="localhost:%d" % store.port)
        finally:
            store.kill()
    if done.returncode != 0 or found is None:
        raise Failure(done.stdout)
    equal(sorted(found["rows"]), ["catchup", "write-64"], "rows")
    equal(found["about"]["store"], "localhost:%d" % store.port, "what it says it has measured")
    true("store_cpu" not in found["rows"]["catchup"]["bridge"], "processor time of a process that is not ours")


@test("a row that there is not is told, with those that there are")
def unknown():
    done, found = run(BENCH_ONLY="write-65")
    true(done.returncode == 1 and found is None, "it ran")
    true("write-65" in done.stdout and "write-64" in done.stdout, done.stdout)


if __name__ == "__main__":
    main(shared=False)
