"""Pictures of the benchmark's results, made with gnuplot: cost against the size of events, and against clients."""

import os
import shutil
import subprocess
import sys

SIZES = [(100, "100 B"), (4096, "4 KiB"), (256 * 1024, "256 KiB"), (4 * 1024 * 1024, "4 MiB")]
CLIENTS = [(1, "write-1"), (4, "write-4x1"), (16, "write-16x1"), (64, "write-64x1")]


def median(results, row, member):
    return results.get(row, {}).get("bridge", {}).get(member, {}).get("median")


def points(pairs):
    """Gnuplot's inline data; what was not measured is left out."""
    return "".join("%g %g\n" % pair for pair in pairs if pair[1] is not None) + "e\n"


def picture(path, title, x, curves):
    """CURVES: (name, axis, points)."""
    curves = [curve for curve in curves if curve[2] != "e\n"]
    if not curves:
        return
    script = """set terminal pngcairo size 900,600
set output "%s"
set title "%s"
set logscale xy
set xlabel "%s"
set ylabel "microseconds of the daemon for each"
set y2label "a second"
set y2tics
set logscale y2
set ytics nomirror
set key outside below
plot %s
""" % (path, title, x, ", ".join('"-" using 1:2 axes x1y%d with linespoints title "%s"' % (axis, name)
                                 for name, axis, _ in curves))
    subprocess.run(["gnuplot"], input=script + "".join(data for _, _, data in curves), text=True, check=True)
    print("picture: %s" % path)


def draw(folder, everything):
    """Writes the pictures into FOLDER; says so where there is no gnuplot."""
    rows, growth = everything["rows"], everything["growth"]
    if not shutil.which("gnuplot"):
        print("bench: no pictures: gnuplot was not found: apt install gnuplot-nox", file=sys.stderr)
        return
    os.makedirs(folder, exist_ok=True)
    picture(os.path.join(folder, "size.png"), "Cost by the size of an event", "bytes", [
        (name, axis, points((size, median(rows, "%s-%s" % (what, word), member)) for size, word in SIZES))
        for what in ("write", "read")
        for name, axis, member in ((what + ": us of the daemon", 1, "bridge_cpu"), (what + ": MiB/s", 2, "mib"))])
    picture(os.path.join(folder, "clients.png"), "Cost by clients", "clients", [
        ("a write each in flight: us of the daemon", 1, points((n, median(rows, row, "bridge_cpu")) for n, row in CLIENTS)),
        ("a write each in flight: writes/s", 2, points((n, median(rows, row, "rate")) for n, row in CLIENTS)),
        ("one busy, the others idle: us of the daemon", 1, points(
            (int(n), entry["bridge_cpu"]["median"]) for n, entry in growth.get("clients", {}).items()))])
