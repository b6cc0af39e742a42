#!/usr/bin/env python3
"""The unit file is one that systemd takes, and leaves the daemon no more than it needs: an exposure of at most 1.2."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

MOST = 1.2


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
    return unit, text


def supports_offline():
    return "--offline" in run("systemd-analyze", "--help")


def main():
    if shutil.which("systemd-analyze") is None or not supports_offline():
        print("1..0 # SKIP no systemd-analyze with --offline (systemd 250): apt install systemd")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        unit, text = prepare(folder)
        level = exposure(unit)
        faults = [line for line in run("systemd-analyze", "verify", "--man=no", unit).splitlines()
                  if "esbridged.service" in line]
    results = [
        (not faults, "systemd takes the unit", faults),
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
