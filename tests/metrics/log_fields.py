#!/usr/bin/env python3
"""esbridged(8) has each field that a line of the log can have, and no other."""

import glob
import os
import re
import sys

ROOT = os.environ.get("SRCDIR", ".")


def of_page(page):
    """The fields of the section LOG."""
    section = page.split("\n.Sh LOG\n")[1].split("\n.Sh ")[0]
    return {name for line in re.findall(r"^\.It Ic (.*)$", section, re.MULTILINE) for name in line.split(" , ")}


def of_source(text):
    """The fields in the formats of a C file: key=%... or key=word, where it is no part of something else."""
    texts = re.findall(r'"((?:[^"\\\n]|\\.)*)"', text)
    return {name for t in texts for name in re.findall(r"(?:^| )([a-z_]+)=(?:%|[a-z_]+(?= |$))", t)}


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def main():
    page = of_page(read(os.path.join(ROOT, "man", "esbridged.8")))
    texts = [read(path) for path in glob.glob(os.path.join(ROOT, "daemon", "**", "*.c"), recursive=True)]
    source = set().union(*(of_source(text) for text in texts if "log_write(" in text))
    results = [
        ("fields are found in formats", of_source('log_write(LOG_INFO, "a b client=%u", "c reason=word d=%s");') == {"client", "reason", "d"}, ""),
        ("there is something to compare", len(source) > 10, ""),
        ("esbridged(8) has all fields", source <= page, "not in the page: %s" % sorted(source - page)),
        ("esbridged(8) has no other", page <= source, "in the page alone: %s" % sorted(page - source)),
    ]
    print("1..%d" % len(results))
    for number, (what, good, fault) in enumerate(results, 1):
        if not good and fault:
            print("# " + fault)
        print("%s %d - %s" % ("ok" if good else "not ok", number, what))
    return 0 if all(good for _, good, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
