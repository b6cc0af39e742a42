#!/usr/bin/env python3
"""The examples of esbridge(1) do what they say.

The lines of its literal displays that begin with "$ " go to one shell, one after the other, with an esbridged and a
store in memory behind the socket. What they print, errors too, must be what stands below them; ids, times and durations
may differ, but equal ids in the text must be equal in what is printed.
"""

import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from examples import UUID, Ids, Programs, Report, Wrong, compare  # noqa: E402

VARYING = re.compile(r'(?<=after )\d+(?= us)|(?<="rtt_us":)\d+')


def commands(page):
    """(command, lines that it prints) of the displays that begin with a command."""
    found = []
    for block in re.findall(r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed$", page, re.MULTILINE | re.DOTALL):
        lines = block.replace("\\e", "\\").splitlines()
        if not lines[0].startswith("$ "):
            continue
        for line in lines:
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def compare_text(told, got, ids):
    """Raises Wrong where GOT is not what the text tells."""
    if VARYING.sub("N", UUID.sub("UUID", told)) != VARYING.sub("N", UUID.sub("UUID", got)):
        raise Wrong(f"{got!r} in place of {told!r}")
    for a, b in zip(UUID.finditer(told), UUID.finditer(got)):
        ids.pair(a.group(), b.group(), told)


def self_check():
    """What compare_text() must refuse is refused, and what it may not is not."""
    id1, id2 = (f"00000000-0000-0000-0000-00000000000{n}" for n in "12")
    ids = Ids()
    compare_text(f"0 {id1}", f"0 {id2}", ids)
    compare_text("pong after 5 us", "pong after 77 us", ids)
    for told, got in ((f"1 {id1}", f"0 {id2}"), (f"0 {id1}", f"0 {id1}"), ("a", "b"), ("a", ""), (f"{id1}", "x")):
        try:
            compare_text(told, got, ids)
        except Wrong:
            continue
        raise Wrong(f"{got!r} in place of {told!r} was not noticed")


def run_page(path, programs, report):
    with open(path, encoding="utf-8") as file:
        steps = commands(file.read())
    script = "exec 2>&1\n" + "".join(f"{command}\nprintf '\\0'\n" for command, _ in steps)
    path = os.path.dirname(os.environ["ESBRIDGE"]) + ":" + os.environ["PATH"]
    env = dict(os.environ, ESBRIDGE_SOCKET=programs.socket, PATH=path)
    done = subprocess.run(["bash", "-c", script], env=env, cwd=programs.folder, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, timeout=100, check=False)
    outputs = done.stdout.decode().split("\0")
    ids = Ids()
    for (command, told), got in zip(steps, outputs + [""] * len(steps)):
        report(command, lambda t=told, g=got: compare_text("\n".join(t), g.rstrip("\n"), ids))


def main():
    report = Report()
    report("compare_text() refuses what it must", self_check)
    programs = Programs()
    try:
        if report("the programs start", programs.start):
            run_page(os.path.join(os.environ.get("SRCDIR", "."), "man", "esbridge.1"), programs, report)
        if not report.good:
            print("\n".join("# " + line for line in programs.logs()))
    finally:
        status = programs.stop()
    report("the daemon ends with status 0", lambda: compare(0, status, Ids()))
    report("there were examples", lambda: compare(True, report.count > 15, Ids()))
    print(f"1..{report.count}")
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
