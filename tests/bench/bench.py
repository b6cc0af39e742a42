#!/usr/bin/env python3
"""
Measures the daemon against a plain client of the store that does the same work in the same run, and with BENCH_PEERS=node
against node-eventstore-client.

Each row runs in rounds, one client after the other in each, so that whatever else the machine does hits all of them.
The table shows medians, and the quartiles of what goes through the daemon. Processor time is that of one operation, in
microseconds: of the daemon, of the store where it is ours, of the program that uses them. Nothing here fails for being
slow: the measures that are to be reached are told at the end.

What bad clients do to a good one is told as the latency that it has alone, while they trouble another daemon, with a store
of its own, and beside them, in turn in each round: the second tells what it costs that they share the processors. They are
rated, and run at the lowest priority: the processors are for the daemon and the store. The usual ones are a mix of all
kinds; BENCH_ONLY=bad has each kind alone too (tests/bench/bad.c says what they do). Where others use the machine,
`chrt -r 5 make bench` keeps them out of it; the bad clients do not take part in that.

Environment: BENCH_ROUNDS (5), BENCH_ONLY (letters or names of rows, as "a,live-1"; growth, idle, start, bad, bad-mix,
bad-flood and so on are names too),
BENCH_JSON (a file for all results), BENCH_PLOT (a folder for pictures), BENCH_PEERS=node,
ESBRIDGE_BENCH_SERVER (HOST:PORT of a real server in place of the memstore; its user admin has the password changeit, and
it does not speak TLS),
BENCH_PART (a part of the usual numbers of operations, as 0.1).
"""

import json
import os
import platform
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))

import plot  # noqa: E402  (found only now)
from harness import ESBRIDGED, World, until  # noqa: E402
from rows import (BAD_CLIENTS, BAD_FILL, BAD_KINDS, FLAT, GOOD, GROWTHS, IDLE_CLIENTS,  # noqa: E402
                  MEASURES, ROWS)  # noqa: E402

BENCH = os.environ.get("BENCH") or "tests/bench/bench"
MODULES = os.path.join(os.environ.get("BUILDDIR") or os.getcwd(), "tests", "interop")
SERVER = os.environ.get("ESBRIDGE_BENCH_SERVER")
ROUNDS = int(os.environ.get("BENCH_ROUNDS") or 5)
PART = float(os.environ.get("BENCH_PART") or 1)
ONLY = [name.strip() for name in (os.environ.get("BENCH_ONLY") or "").split(",") if name.strip()]
RUN_LIMIT = 120
MIB = 1024 * 1024
ANEW = 64 * MIB

SETTINGS = {
    "store": {"username": "admin", "password": "changeit", "queue": 100000},
    "limits": {"clients": 20000, "in_flight": 4096, "subscriptions": 2000},
}


def is_wanted(*names):
    return not ONLY or any(name in ONLY for name in names)


def memory_mib(pid, name):
    with open("/proc/%d/status" % pid, encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name + ":")) / 1024


class Certificate:
    """A certificate for 127.0.0.1, made when it is first asked for."""

    def __init__(self):
        self.folder = None

    def path(self, name):
        if not self.folder:
            self.folder = tempfile.TemporaryDirectory(prefix="esb-")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                            "-days", "2", "-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1",
                            "-keyout", os.path.join(self.folder.name, "key.pem"),
                            "-out", os.path.join(self.folder.name, "cert.pem")],
                           stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        return os.path.join(self.folder.name, name)


CERTIFICATE = Certificate()


class Place:
    """A daemon and a store for one row, so that no row finds what another has left."""

    def __init__(self, fills=(), tls=False, limits=SETTINGS["limits"]):
        settings = {"store": dict(SETTINGS["store"]), "limits": limits}
        speaks = []
        if tls:
            settings["store"].update({"tls": "require", "tls_ca": CERTIFICATE.path("cert.pem")})
            speaks = ["--tls-cert", CERTIFICATE.path("cert.pem"), "--tls-key", CERTIFICATE.path("key.pem")]
        self.host, self.port = "127.0.0.1", None
        if SERVER:
            self.host, port = SERVER.rsplit(":", 1)
            self.host, self.port = self.host.strip("[]"), int(port)
            settings["store"]["server"] = SERVER
        self.mark = "%x-" % time.time_ns() if SERVER else ""
        self.world = World(settings, speaks, port=self.port)
        self.world.connected()
        self.port = self.world.port
        self.pids = [self.world.bridge.process.pid] + ([self.world.store.process.pid] if self.world.store else [])
        for arguments in fills:
            self.run("direct", "fill", arguments)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.world.stop()

    def command(self, side, workload, arguments):
        values = dict(arguments, host=self.host, port=self.port)
        if "stream" in values:
            values["stream"] = self.mark + values["stream"]
        if side == "node":
            return ["node", os.path.join(HERE, "client.js"), workload] + self.options(values)
        return [BENCH, side, workload] + self.options(dict(values, socket=self.world.bridge.socket))

    def options(self, values):
        return ["%s=%s" % pair for pair in values.items()] + ["pid=%d" % pid for pid in self.pids]

    def run(self, side, workload, arguments, wait=True):
        """One run: a dict of what it found. The clients of the last one must be gone: their end costs too."""
        if wait:
            until(lambda: self.world.status()["client_count"] == 1, "the daemon has closed all clients", RUN_LIMIT)
        done = subprocess.run(self.command(side, workload, arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              env=dict(os.environ, MODULES=MODULES), timeout=RUN_LIMIT, check=True, text=True)
        found = json.loads(done.stdout)
        count = found["done"]
        sample = {"rate": count / found["seconds"], "own_cpu": found["own_cpu"] / count / 1000,
                  "bridge_cpu": found["cpu"][0] / count / 1000,
                  "resident": memory_mib(self.pids[0], "VmRSS")}
        if len(found["cpu"]) > 1:
            sample["store_cpu"] = found["cpu"][1] / count / 1000
        sample.update((name, found[name]) for name in ("p50", "p99", "max") if name in found)
        return sample


def summary(samples):
    """Each member of the samples: its median and quartiles."""
    out = {}
    for name in samples[0]:
        values = sorted(sample[name] for sample in samples)
        low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
        out[name] = {"median": middle, "low": low, "high": high}
    return out


def scaled(arguments, part):
    return dict(arguments, count=max(int(arguments["count"] * part), 1))


def fill_of(row):
    return [row.fill] if row.fill else []


def measure_rounds(row, samples, rounds):
    """Adds to the samples of each side. Returns the most that the daemon had resident."""
    with Place(fill_of(row), "tls" in row.arguments) as place:
        for _ in range(rounds):
            for side, list_of in samples.items():
                part = PART * (row.node if side == "node" else 1)
                sample = place.run(side, row.workload, scaled(row.arguments, part))
                if row.once:
                    sample["mib"] = sample["rate"] * row.once / MIB
                list_of.append(sample)
        return memory_mib(place.pids[0], "VmHWM")


def measure_row(row, peers):
    sides = row.sides + (("node",) if "node" in peers and row.node else ())
    samples = {side: [] for side in sides}
    # A store that has taken in too much is begun anew: else its memory would all be new to the machine, and never used again.
    at_once = 1 if row.workload == "write" and row.once * row.arguments["count"] > ANEW else ROUNDS
    peak = max(measure_rounds(row, samples, at_once) for _ in range(ROUNDS // at_once))
    found = {side: summary(list_of) for side, list_of in samples.items()}
    found["bridge"]["peak"] = {"median": peak}
    return found


def measure_growth(growth):
    """The points in turn in each round. What each costs the daemon."""
    samples = {value: [] for value in growth.values}
    with Place(growth.fills) as place:
        for turn in range(ROUNDS + 1):
            for value, list_of in samples.items():
                sample = place.run("bridge", growth.workload, dict(scaled(growth.arguments, PART), **{growth.by: value}))
                if turn > 0:  # the first warms up
                    list_of.append(sample)
    return {str(growth.tell(value)): summary(list_of) for value, list_of in samples.items()}


def measure_idle():
    """What so many clients take that have asked one thing and wait."""
    with Place() as place:
        before = memory_mib(place.pids[0], "VmRSS")
        with subprocess.Popen(place.command("bridge", "idle", {"idle": IDLE_CLIENTS}), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as clients:
            if clients.stdout.readline() != "ready\n":
                sys.exit("bench: the idle clients did not come; are so many descriptors allowed (ulimit -Hn)?")
            resident = memory_mib(place.pids[0], "VmRSS")
            clients.stdin.close()
    return {"bridge": summary([{"resident": resident, "before": before,
                                "each_kib": (resident - before) * 1024 / IDLE_CLIENTS}])}


def run_beside(place, kind, theirs):
    """The good client of PLACE beside the bad ones of THEIRS, and the part of a processor that these take themselves."""
    with subprocess.Popen(theirs.command("bridge", "bad", {"kind": kind, "connections": BAD_CLIENTS}), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as bad:
        if bad.stdout.readline() != "ready\n":
            sys.exit("bench: the bad clients did not come")
        sample = place.run("bridge", "good", scaled(GOOD, PART), wait=False)
        found = json.loads(bad.communicate()[0])
    ns = found["seconds"] * 1e9
    sample.update(bad_load=found["own_cpu"] / ns * 100, bridge_load=found["cpu"][0] / ns * 100)
    if len(found["cpu"]) > 1:
        sample["store_load"] = found["cpu"][1] / ns * 100
    return sample


def measure_bad(kind):
    samples = {"alone": [], "apart": [], "beside": []}
    with Place([BAD_FILL], limits={}) as place, Place([BAD_FILL], limits={}) as other:
        for _ in range(ROUNDS):
            samples["alone"].append(place.run("bridge", "good", scaled(GOOD, PART)))
            samples["apart"].append(run_beside(place, kind, other))
            samples["beside"].append(run_beside(place, kind, place))
    return {side: summary(list_of) for side, list_of in samples.items()}


def start_once(folder):
    """Milliseconds from the start of the process to READY=1, and what it then has resident."""
    notify = os.path.join(folder, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(notify)
        heard.settimeout(RUN_LIMIT)
        began = time.monotonic()
        with subprocess.Popen([ESBRIDGED, "--socket", os.path.join(folder, "socket"), "--server", "127.0.0.1:1"],
                              stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              env=dict(os.environ, NOTIFY_SOCKET=notify)) as daemon:
            while b"READY=1" not in heard.recv(4096):
                pass
            ready = (time.monotonic() - began) * 1000
            resident = memory_mib(daemon.pid, "VmRSS")
            daemon.terminate()
    os.unlink(notify)
    return {"ready": ready, "resident": resident}


def measure_start():
    with tempfile.TemporaryDirectory(prefix="esb-") as folder:
        return {"bridge": summary([start_once(folder) for _ in range(ROUNDS)])}


# Telling ----------------------------------------------------------------------------------------------------

def version_of(command):
    try:
        text = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True, check=False).stdout
    except OSError:
        return None
    return text.splitlines()[0] if text else None


def about(peers):
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = re.findall(r"^model name\s*:\s*(.*)$", file.read(), re.M)
    with open("/proc/loadavg", encoding="ascii") as file:
        load = file.read().split()[:3]
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "processor": models[0] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": "%s %s" % (platform.system(), platform.release()),
        "load": load,
        "daemon": version_of([ESBRIDGED, "--version"]),
        "compiler": compiler(),
        "store": SERVER or "esbridge-memstore",
        "rounds": ROUNDS,
        "part": PART,
        "peers": {"node": version_of(["node", "--version"])} if "node" in peers else {},
        "descriptors": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
    }


def compiler():
    """As the daemon's own file says."""
    with open(ESBRIDGED, "rb") as file:
        found = re.search(rb"GCC: \([^)]*\) [0-9.]+|clang version [0-9.]+", file.read())
    return found.group().decode() if found else None


HEAD = "%-38s %9s %9s %9s %19s %6s %15s %6s %6s %6s %5s %5s" % (
    "", "direct/s", "node/s", "bridge/s", "quartiles", "MiB/s", "added p50/p99", "CPU us", "store", "load", "RSS", "peak")


def number(found, side, name, form="%.0f", nothing="-"):
    entry = found.get(side, {}).get(name)
    return form % entry["median"] if entry else nothing


def show(text, found):
    rate = found["bridge"]["rate"]
    added = "-"
    if "direct" in found and "p50" in found["bridge"]:
        added = "%.0f / %.0f" % tuple(found["bridge"][p]["median"] - found["direct"][p]["median"] for p in ("p50", "p99"))
    print("%-38s %9s %9s %9s %19s %6s %15s %6s %6s %6s %5s %5s" % (
        text, number(found, "direct", "rate"), number(found, "node", "rate"), number(found, "bridge", "rate"),
        "%.0f-%.0f" % (rate["low"], rate["high"]), number(found, "bridge", "mib"), added,
        number(found, "bridge", "bridge_cpu", "%.2f"), number(found, "bridge", "store_cpu", "%.2f"),
        number(found, "bridge", "own_cpu", "%.2f"), number(found, "bridge", "resident", "%.1f"),
        number(found, "bridge", "peak", "%.1f")), flush=True)


def show_bad(kind, found):
    def three(name):
        return " %6s %6s %7s" % tuple(number(found, side, name, "%.0f") for side in ("alone", "apart", "beside"))
    print("%-38s p50 %s us   p99 %s us   most %s us   %% of a processor: daemon %s, store %s, they %s" % (
        "1 good client beside %d bad: %s" % (BAD_CLIENTS, kind), three("p50"), three("p99"), three("max"),
        *(number(found, "beside", name) for name in ("bridge_load", "store_load", "bad_load"))), flush=True)


def show_growth(growth, found):
    costs = {point: entry["bridge_cpu"]["median"] for point, entry in found.items()}
    middle = statistics.median(costs.values())
    off = max(abs(cost / middle - 1) * 100 for cost in costs.values())
    print("%-38s %s   %s" % (
        growth.text, "  ".join("%s: %.2f us" % pair for pair in costs.items()),
        "flat" if off <= FLAT else "not flat: %.0f %% from the middle" % off), flush=True)
    return {"text": growth.text, "bound": FLAT, "value": off, "unit": "% from the middle", "reached": off <= FLAT}


def value_of(measure, results):
    """The figure of a measure, or None where it was not measured."""
    found = results.get(measure.row, {})

    def median(side):
        entry = found.get(side, {}).get(measure.member)
        return entry["median"] if entry else None
    operator = next((sign for sign in "/-" if sign in measure.side), None)
    if not operator:
        return median(measure.side)
    one, other = (median(side) for side in measure.side.split(operator))
    if one is None or not other:
        return None
    return one / other if operator == "/" else one - other


def judge(results):
    out = []
    for measure in MEASURES:
        value = value_of(measure, results)
        if value is not None:
            reached = value >= measure.bound if measure.least else value <= measure.bound
            out.append({"text": measure.text, "bound": measure.bound, "least": measure.least, "value": value,
                        "unit": measure.unit, "reached": reached})
    return out


def show_measures(measures):
    print("\n%-58s %12s %12s" % ("to be reached", "bound", "measured"))
    for m in measures:
        sign = ">=" if m.get("least") else "<="
        print("%-58s %12s %12.2f %-6s %s" % (m["text"], "%s %g" % (sign, m["bound"]), m["value"], m["unit"],
                                             "reached" if m["reached"] else "MISSED"))


def install_node():
    done = subprocess.run(["sh", os.path.join(HERE, "..", "interop", "install"), MODULES], stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        sys.exit("bench: node-eventstore-client cannot be installed")


def check_only():
    known = {"growth", "idle", "start"} | {name for row in ROWS for name in (row.name, row.letter)} | {
        growth.name for growth in GROWTHS} | {"h", "i", "bad"} | {"bad-" + kind for kind in BAD_KINDS}
    for name in ONLY:
        if name not in known:
            sys.exit("bench: BENCH_ONLY: no row %r; there are: %s" % (name, ", ".join(sorted(known))))


def main():
    peers = (os.environ.get("BENCH_PEERS") or "").replace(",", " ").split()
    target = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("BENCH_JSON")
    results, growths, flat = {}, {}, []
    check_only()
    if "node" in peers:
        install_node()
    facts = about(peers)
    for name, value in facts.items():
        print("%-12s %s" % (name, value))
    print("\n" + HEAD, flush=True)
    for row in ROWS:
        if is_wanted(row.name, row.letter) and not (SERVER and "tls" in row.arguments):
            results[row.name] = measure_row(row, peers)
            show(row.text, results[row.name])
    if is_wanted("idle", "h"):
        results["idle"] = measure_idle()
        print("%-38s %s MiB resident, %s KiB for each" % (
            "%d idle clients" % IDLE_CLIENTS, number(results["idle"], "bridge", "resident", "%.1f"),
            number(results["idle"], "bridge", "each_kib", "%.2f")), flush=True)
    if is_wanted("start", "i"):
        results["start"] = measure_start()
        print("%-38s %s ms to READY, %s MiB resident" % (
            "start", number(results["start"], "bridge", "ready", "%.1f"),
            number(results["start"], "bridge", "resident", "%.1f")), flush=True)
    for kind in BAD_KINDS:
        name = "bad-" + kind
        if "bad" in ONLY or name in ONLY or (not ONLY and kind == "mix"):
            results[name] = measure_bad(kind)
            show_bad(kind, results[name])
    for growth in GROWTHS:
        if is_wanted("growth", growth.name):
            growths[growth.name] = measure_growth(growth)
            flat.append(show_growth(growth, growths[growth.name]))
    measures = judge(results) + flat
    show_measures(measures)
    everything = {"about": facts, "rows": results, "growth": growths, "measures": measures}
    if target:
        with open(target, "w", encoding="utf-8") as file:
            json.dump(everything, file, indent=1)
            file.write("\n")
    if os.environ.get("BENCH_PLOT"):
        plot.draw(os.environ["BENCH_PLOT"], everything)


if __name__ == "__main__":
    main()
