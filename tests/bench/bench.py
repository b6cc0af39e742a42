#!/usr/bin/env python3
"""
Measures the daemon against a plain client of the store that does the same work in the same run.

Each workload runs in rounds, straight to the store and through the daemon in turn, so that whatever else the machine does
hits both. The table shows the medians of the rounds; CPU and memory are those of the daemon.

Usage: bench.py [--rounds N] [--part FRACTION-OF-THE-COUNTS] [WORKLOAD...]
"""

import argparse
import os
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))

from harness import World  # noqa: E402  (found only now)

BENCH = os.environ.get("BENCH") or "tests/bench/bench"
RUN_LIMIT = 120

# name: workload, operations, connections, in flight for each, what it is
WORKLOADS = {
    "write-1": ("write", 20000, 1, 1, "writes, 1 in flight"),
    "write-64": ("write", 300000, 1, 64, "writes, 64 in flight"),
    "write-64x1": ("write", 200000, 64, 1, "writes, 64 clients with 1 in flight"),
    "live": ("live", 400000, 1, 1, "events delivered live"),
    "group": ("group", 200000, 1, 1000, "events of a group, acknowledged"),
}

# What is to be reached through the daemon: at least so many a second.
TARGETS = {"write-64": 100000}
RESIDENT_TARGET = 8 * 1024


def cpu_ns(pid):
    with open("/proc/%d/schedstat" % pid, encoding="ascii") as file:
        return int(file.read().split()[0])


def memory_kib(pid, name):
    with open("/proc/%d/status" % pid, encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name + ":"))


class Sample:
    """One run of the load generator, and what it cost the daemon."""

    def __init__(self, world, side, workload, count, connections, in_flight):
        pid = world.bridge.process.pid
        before = cpu_ns(pid)
        done = subprocess.run([BENCH, side, world.bridge.socket, str(world.port), workload, str(count), str(connections),
                               str(in_flight)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=RUN_LIMIT,
                              check=True, text=True)
        self.cpu = (cpu_ns(pid) - before) / count / 1000
        self.resident = memory_kib(pid, "VmRSS")
        self.rate, self.p50, self.p99 = (float(number) for number in done.stdout.split())


def measure(name, rounds, part):
    """A world of its own for each workload, so that no run finds what another has left."""
    workload, count, connections, in_flight, _ = WORKLOADS[name]
    sides = {"direct": [], "bridge": []}
    with World({"store": {"username": "admin", "password": "changeit"}}) as world:
        for _ in range(rounds):
            for side, samples in sides.items():
                samples.append(Sample(world, side, workload, max(int(count * part), 100), connections, in_flight))
        peak = memory_kib(world.bridge.process.pid, "VmHWM")
    return sides, peak


def median(samples, member):
    return statistics.median(getattr(sample, member) for sample in samples)


HEAD = "%-36s %10s %10s %6s  %17s  %17s  %7s  %6s %6s" % (
    "", "direct/s", "bridge/s", "ratio", "direct p50/p99 us", "bridge p50/p99 us", "CPU us", "RSS", "peak")


def show(name, sides, peak):
    direct, bridge = sides["direct"], sides["bridge"]
    rate_direct, rate_bridge = median(direct, "rate"), median(bridge, "rate")

    def latency(samples):
        if not median(samples, "p50"):
            return "-"
        return "%.0f / %.0f" % (median(samples, "p50"), median(samples, "p99"))
    print("%-36s %10.0f %10.0f %6.2f  %17s  %17s  %7.2f  %6d %6d" % (
        WORKLOADS[name][4], rate_direct, rate_bridge, rate_bridge / rate_direct, latency(direct), latency(bridge),
        median(bridge, "cpu"), bridge[-1].resident, peak), flush=True)
    return rate_bridge, bridge[-1].resident


def main():
    parser = argparse.ArgumentParser(description="Measures the daemon against a direct client of the store.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--part", type=float, default=1.0, help="fraction of the usual numbers of operations")
    parser.add_argument("workloads", nargs="*", metavar="workload", help=" ".join(WORKLOADS))
    options = parser.parse_args()
    missed = []
    print("medians of %d rounds; CPU of the daemon for each operation; memory of the daemon in KiB" % options.rounds)
    print(HEAD, flush=True)
    for name in options.workloads or WORKLOADS:
        rate, resident = show(name, *measure(name, options.rounds, options.part))
        if rate < TARGETS.get(name, 0):
            missed.append("%s: %.0f a second, to be reached: %d" % (name, rate, TARGETS[name]))
        if name.startswith("write") and resident >= RESIDENT_TARGET:
            missed.append("%s: %d KiB resident, to be kept: less than %d" % (name, resident, RESIDENT_TARGET))
    for text in missed:
        print("missed: " + text)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
