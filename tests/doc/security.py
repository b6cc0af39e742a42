#!/usr/bin/env python3
"""daemon/SECURITY.md: each promise names the test that shows it, and each test that it names is there."""

import os
import re

ROOT = os.environ.get("SRCDIR", ".")


def main():
    with open(os.path.join(ROOT, "daemon", "SECURITY.md"), encoding="utf-8") as file:
        text = file.read()
    promises = text.split("## What is promised")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.*) \| (.*) \|$", promises, re.MULTILINE)[1:]
    bare = [promise for promise, tests in rows if not re.search(r"`tests/[^`]+`", tests)]
    missing = [name for name in re.findall(r"`(tests/[^`]+)`", text) if not os.path.isfile(os.path.join(ROOT, name))]
    print("1..2")
    print("%s 1 - each promise names a test" % ("not ok" if bare or not rows else "ok"))
    print("%s 2 - each test that is named is there" % ("not ok" if missing else "ok"))
    for name in bare + missing:
        print("# " + name)
    return 1 if bare or missing or not rows else 0


raise SystemExit(main())
