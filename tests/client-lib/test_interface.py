#!/usr/bin/env python3
"""The interface of libesbridge: the header for C and C++, what is exported, its manual, and the ABI as it was released."""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.environ.get("SRCDIR", "."))
BUILD = os.path.abspath(os.environ.get("BUILDDIR", "."))
LIBRARY = os.path.join(BUILD, ".libs", "libesbridge.so")
CLIENT = os.path.join(ROOT, "client-lib")
USE = """
#include <%s>
#include <esbridge.h>
int main(void) { return esbridge_version() == NULL; }
"""


def run(*command):
    """(status, all that it said) of COMMAND."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    return done.returncode, done.stdout


def compiles(compiler, standard, header):
    """What COMPILER says against a program with HEADER alone in front."""
    with tempfile.TemporaryDirectory() as folder:
        name = os.path.join(folder, "use.cc" if "++" in compiler else "use.c")
        with open(name, "w", encoding="ascii") as file:
            file.write(USE % header)
        status, said = run(compiler, "-std=" + standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I", CLIENT,
                           "-fsyntax-only", name)
        return said if status else ""


def text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def declared():
    header = re.sub(r"/\*.*?\*/", " ", text(os.path.join(CLIENT, "esbridge.h")), flags=re.DOTALL)
    return set(re.findall(r"ESBRIDGE_API\s[^;(]*?\b(esbridge_\w+)\s*\(", header))


def listed():
    return set(re.findall(r"^\s+(esbridge_\w+);", text(os.path.join(CLIENT, "libesbridge.map")), re.MULTILINE))


def exported():
    """The names that the library gives to others, each with its version."""
    said = run("nm", "-D", "--defined-only", LIBRARY)[1]
    return set(re.findall(r" [A-TV-Z] (\S+)", said)) - {"ESBRIDGE_0.1"}


def in_manual():
    """The functions that the pages of section 3 name in a synopsis."""
    found = set()
    for page in glob.glob(os.path.join(ROOT, "man", "*.3")):
        synopsis = text(page).split(".Sh SYNOPSIS")[1].split(".Sh DESCRIPTION")[0]
        found |= set(re.findall(r"^\.Fn (esbridge_\w+)|^\.Fo (esbridge_\w+)", synopsis, re.MULTILINE))
    return {a or b for a, b in found}


def examples():
    """What the compiler says against the programs in the manual."""
    found, said = 0, ""
    for page in sorted(glob.glob(os.path.join(ROOT, "man", "*.3"))):
        for block in re.findall(r"^\.Bd -literal\n(#include.*?)^\.Ed$", text(page), re.MULTILINE | re.DOTALL):
            found += 1
            with tempfile.TemporaryDirectory() as folder:
                name = os.path.join(folder, "example.c")
                with open(name, "w", encoding="utf-8") as file:
                    file.write(block.replace("\\e", "\\"))
                status, told = run("gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-I", CLIENT, "-o", name[:-2], name,
                                   LIBRARY, "-levent_core", "-fsanitize=address,undefined")
            said += page + "\n" + told if status else ""
    return said if found >= 5 else said + "%d examples were found\n" % found


def difference(one, other):
    return " ".join(sorted(one ^ other))


def abi():
    """What abidiff says of the library against the one that was released."""
    with tempfile.TemporaryDirectory() as folder:
        now = os.path.join(folder, "now.abi")
        status, said = run("abidw", "--headers-dir", CLIENT, "--drop-private-types", "--no-corpus-path", "--no-comp-dir-path",
                           "--out-file", now, LIBRARY)
        if status:
            return said
        status, said = run("abidiff", "--no-architecture", "--no-added-syms", os.path.join(CLIENT, "abi", "libesbridge.abi"), now)
        # Bits 1 and 2: it could not be run. Bit 4: something has changed. Bit 8: users of the old one break.
        return said if status else ""


def main():
    points = [("C %s: %s" % (standard, header), lambda s=standard, h=header: compiles("gcc", s, h))
              for standard in ("c99", "c11") for header in ("esbridge.h",)]
    points += [("C++ %s: %s" % (standard, header), lambda s=standard, h=header: compiles("g++", s, h))
               for standard in ("c++11", "c++17")
               for header in ("esbridge.h", "adapters/libevent.h", "adapters/poll.h", "adapters/epoll.h")]
    points += [("the header is not empty", lambda: "" if len(declared()) > 50 else difference(declared(), set())),
               ("the map lists what the header declares", lambda: difference(declared(), listed())),
               ("the library exports that and nothing else",
                lambda: difference({name + "@@ESBRIDGE_0.1" for name in declared()}, exported())),
               ("the manual has each function", lambda: difference(declared(), in_manual())),
               ("the programs in the manual compile", examples),
               ("the ABI is the one that is kept in client-lib/abi", abi)]
    missing = [tool for tool in ("gcc", "g++", "nm", "abidw", "abidiff") if shutil.which(tool) is None]
    good = not missing
    print("1..%d" % (len(points) + 1))
    print("%sok 1 - the tools are there %s" % ("" if good else "not ", " ".join(missing)))
    for number, (what, check) in enumerate(points, 2):
        said = check() if not missing else "a tool is missing"
        good = good and not said
        for line in said.splitlines():
            print("# " + line)
        print("%sok %d - %s" % ("not " if said else "", number, what.replace("++", "pp")))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
