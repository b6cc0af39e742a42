#!/usr/bin/env python3
"""Each manual page is clean under mandoc's lint and says its own name, and a broken page is found."""

import glob
import os
import shutil
import subprocess
import sys
import tempfile


def complaints(path):
    """What mandoc says against the page at path."""
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", path], capture_output=True,
                          text=True, check=False)
    return done.stdout + done.stderr


def title_fits(path):
    """True where .Dt names the file: esbridged.conf.5 has `.Dt ESBRIDGED.CONF 5`."""
    name, section = os.path.basename(path).rsplit(".", 1)
    with open(path, encoding="utf-8") as f:
        return f".Dt {name.upper()} {section}" in f.read().splitlines()


def main():
    pages = sorted(glob.glob(os.path.join(os.environ.get("SRCDIR", "."), "man", "*.[1-8]")))
    if shutil.which("mandoc") is None:
        print("1..1\nnot ok 1 - mandoc was not found: apt install mandoc")
        return 1
    results = []
    with tempfile.NamedTemporaryFile("w", suffix=".7") as broken:
        broken.write(".Dd January 1, 2026\n.Dt BROKEN 7\n.Os\n.Sh NAME\n.Bl -tag\n")
        broken.flush()
        results.append((complaints(broken.name) != "", "a broken page is found", ""))
    results.append((len(pages) >= 3, f"{len(pages)} pages were looked at", ""))
    for page in pages:
        said = complaints(page)
        results.append((not said and title_fits(page), os.path.basename(page), said))
    print(f"1..{len(results)}")
    for number, (good, what, said) in enumerate(results, 1):
        for line in said.splitlines():
            print("# " + line)
        print(f"{'ok' if good else 'not ok'} {number} - {what}")
    return 0 if all(r[0] for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
