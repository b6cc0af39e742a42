#!/usr/bin/env python3
"""Every target of tests/fuzz takes its corpus: the inputs that reach far, and those that once went wrong."""

import os
import subprocess
import sys

FUZZ = os.path.join(os.environ["SRCDIR"], "tests", "fuzz")
PROGRAMS = os.path.join(os.environ["BUILDDIR"], "tests", "fuzz")


def play(target):
    """What is wrong, "" where nothing is."""
    folder = os.path.join(FUZZ, "corpus", target)
    files = sorted(os.path.join(folder, name) for name in os.listdir(folder))
    done = subprocess.run([os.path.join(PROGRAMS, target)] + files, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode == 0 and files and done.stdout.strip() == str(len(files)):
        return ""
    return "status %d after %d files: %s %s" % (done.returncode, len(files), done.stdout, done.stderr)


def main():
    targets = sorted(os.listdir(os.path.join(FUZZ, "corpus")))
    failed = 0
    print("1..%d" % len(targets))
    for number, target in enumerate(targets, 1):
        fault = play(target)
        failed += fault != ""
        print("%s %d - %s" % ("not ok" if fault else "ok", number, target), flush=True)
        for line in fault.splitlines():
            print("# " + line)
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
