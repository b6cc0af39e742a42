#!/usr/bin/env python3
"""The units are such that systemd takes them, agree with each other and with the daemon, and leave it no more than it
needs: an exposure of at most 1.2."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

MOST = 1.2
SOURCE = os.path.join(os.environ.get("SRCDIR", "."), "systemd")


def run(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True, check=False,
                          env=dict(os.environ, SYSTEMD_COLORS="0", SYSTEMD_PAGER="cat"))
    return done.stdout + done.stderr


def exposure(unit):
    """The overall level that systemd-analyze gives, or None."""
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)",
                      run("systemd-analyze", "security", "--offline=true", unit))
    return float(found.group(1)) if found else None


def prepare(folder):
    """Copies the unit with programs that exist on every machine, since systemd asks for that. Returns its path and text."""
    with open(os.path.join(os.environ.get("BUILDDIR", "."), "systemd", "esbridged.service"), encoding="utf-8") as file:
        text = file.read()
    unit = os.path.join(folder, "esbridged.service")
    with open(unit, "w", encoding="utf-8") as file:
        file.write(re.sub(r"^(Exec\w+)=\S+", r"\1=/bin/true", text, flags=re.MULTILINE))
    shutil.copy(os.path.join(SOURCE, "esbridged.socket"), folder)
    return unit, text


def values(text):
    """The directives of a unit, or the settings of the daemon, without their sections: {name: value}."""
    return dict(re.findall(r"^(\w+) ?= ?(.*)$", text, flags=re.MULTILINE))


def disagreements(service):
    """Where the socket, its directory and the daemon's own settings are not the same in all files."""
    with open(os.path.join(SOURCE, "esbridged.socket"), encoding="utf-8") as file:
        unit = values(file.read())
    with open(os.path.join(SOURCE, "esbridge.tmpfiles"), encoding="utf-8") as file:
        kind, directory, mode, user, group = [line for line in file if not line.startswith("#")][0].split()[:5]
    daemon = values(run(os.environ.get("ESBRIDGED", "./esbridged"), "--print-config"))
    rows = [
        ("the socket's path", unit["ListenStream"], daemon["path"]), ("the socket's mode", unit["SocketMode"], daemon["mode"]),
        ("the socket's user", unit["SocketUser"], service["User"]), ("the socket's group", unit["SocketGroup"], service["Group"]),
        ("the directory", directory, "/run/" + service["RuntimeDirectory"]), ("the directory of the path", directory, os.path.dirname(daemon["path"])),
        ("its mode", mode, service["RuntimeDirectoryMode"]), ("its mode in the socket unit", unit["DirectoryMode"], mode),
        ("its owner", (kind, user, group), ("d", service["User"], service["Group"])),
    ]
    return ["%s: %s and %s" % row for row in rows if row[1] != row[2]]


def supports_offline():
    return "--offline" in run("systemd-analyze", "--help")


def main():
    if shutil.which("systemd-analyze") is None or not supports_offline():
        print("1..0 # SKIP no systemd-analyze with --offline (systemd 250): apt install systemd")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        unit, text = prepare(folder)
        level = exposure(unit)
        faults = [line for line in run("systemd-analyze", "verify", "--man=no", unit,
                                       os.path.join(folder, "esbridged.socket")).splitlines() if "esbridged." in line]
        differ = disagreements(values(text))
    results = [
        (not faults, "systemd takes the units", faults),
        (not differ, "the socket unit, tmpfiles, the service and the daemon agree", differ),
        (level is not None and level <= MOST, f"exposure {level}, at most {MOST}", []),
        ("@" not in re.sub(r"@(system-service|privileged|resources)", "", text), "every path is filled in", []),
    ]
    print(f"1..{len(results)}")
    for number, (good, what, said) in enumerate(results, 1):
        for line in said:
            print("# " + line)
        print(f"{'ok' if good else 'not ok'} {number} - {what}")
    return 0 if all(r[0] for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
