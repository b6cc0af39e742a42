#!/usr/bin/env python3
"""The command line of esbridge: one table of commands and options, and the help, the manual page and the completions of
bash and zsh that agree with it; mistakes; exit statuses."""

import functools
import os
import re
import subprocess

from command import ESBRIDGE, USAGE, environment, ok, run
from harness import CODES, UUID_TEXT, Failure, equal, main, test, true

ROOT = os.environ.get("SRCDIR", ".")
HIDDEN = ["complete"]


def source(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


@functools.lru_cache(None)
def complete(*words):
    """What may stand in the place of the last of WORDS."""
    return [line.split("\t")[0] for line in ok(None, "complete", "--", *words).splitlines()]


def commands():
    """All commands, those of two words too."""
    found = []
    for first in complete(""):
        second = complete(first, "") if first != "help" else []
        found += [[first, word] for word in second] or [[first]]
    return found


def options(command):
    return complete(*command, "--")


COMMON = complete("--")


@test("there are commands and options to look at")
def tables():
    names = [" ".join(c) for c in commands()]
    for name in ("ping", "write", "read", "tail", "group create", "checkpoint list", "exec", "uuid", "bench"):
        true(name in names, "%s in %s" % (name, names))
    equal(COMMON, ["--socket", "--timeout", "--user", "--password-file", "--color", "--quiet", "--help", "--version"])
    true("--expected-version" in options(["write"]) and "--socket" in options(["write"]), "options of write")


@test("the help of each command is one screen and has all its options")
def helps():
    for command in commands():
        text = ok(None, *command, "--help")
        equal(ok(None, "help", *command), text)
        true(text.startswith("usage: esbridge %s " % " ".join(command)), text)
        lines = text.splitlines()
        true(len(lines) <= 24 and max(map(len, lines)) <= 80,
             "%s: %d lines, %d columns" % (command, len(lines), max(map(len, lines))))
        for option in options(command):
            true(option in COMMON or re.search(r"^  (-\w,|   ) %s\b" % option, text, re.M), "%s in %s" % (option, text))


@test("esbridge --help, -h and help list all commands and common options")
def help_all():
    text = ok(None, "--help")
    equal(ok(None, "-h"), text)
    equal(ok(None, "help"), text)
    for first in complete(""):
        true(re.search(r"^  %s  +\w" % first, text, re.M), "%s in %s" % (first, text))
    for option in COMMON:
        true(option in text, option)
    for family in ("group", "checkpoint", "metadata", "transaction"):
        listed = ok(None, family, "--help")
        equal(ok(None, "help", family), listed)
        for word in complete(family, ""):
            true("%s %s" % (family, word) in listed, listed)


def paragraphs(page):
    """{command: what its section of the manual page says}, the names expanded: "group create | update"."""
    found = {}
    for heading, text in re.findall(r"^\.Ss ([^\n]*)\n(.*?)(?=^\.S[sh] )", page, re.M | re.S):
        words = re.split(r" (?:Ar|Op|Fl|--)(?: |$)", heading)[0].split()
        for word in words[1:] or [""]:
            if word != "|":
                found[" ".join([words[0], word]).strip()] = text
    return found


@test("the manual page has every command, and with it every option of it in both forms")
def manual():
    page = source("man", "esbridge.1")
    told = paragraphs(page)
    names = {" ".join(c) for c in commands()}
    equal(set(told), names | set(HIDDEN))
    # What is said of several commands at once.
    told["tail"] += told["read"]
    for name in told:
        if name.startswith("checkpoint"):
            told[name] += told["checkpoint delete"]
    for command in commands():
        text = told[" ".join(command)]
        for option in set(options(command)) - set(COMMON):
            true("-" + option[2:] in re.findall(r"Fl (-[\w-]+)", text), "%s of %s" % (option, command))
    head = page.split(".Sh COMMANDS")[0]
    for option in COMMON:
        true("Fl %s" % option[1:] in head, option)


@test("the manual page has no option that there is not")
def manual_extra():
    every = {o for c in commands() for o in options(c)}
    told = {"-" + o for o in re.findall(r"Fl (-[a-z-]+)", source("man", "esbridge.1"))}
    equal(told - every, set())


BASH = """source "$1"; shift
one() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _esbridge; printf "%s\\n" "${COMPREPLY[@]}" ""; }
"""
# zsh's _describe and _files are replaced by ones that print.
ZSH = """_describe() { print -l -- ${(P)2} }; _files() { print FILES }; file=$1; shift
one() { words=("$@"); CURRENT=$#; source $file; print }
"""


def completed(shell, *lines):
    """What SHELL completes for the last word of each of LINES, in one process."""
    arguments, script, file = {"bash": (["bash"], BASH, "esbridge"), "zsh": (["zsh", "-f"], ZSH, "_esbridge")}[shell]
    for line in lines:
        script += 'one "${@:1:%d}"; shift %d\n' % (len(line) + 1, len(line) + 1)
    words = [word for line in lines for word in [ESBRIDGE] + list(line)]
    done = subprocess.run(arguments + ["-c", script, shell, os.path.join(ROOT, "completions", file)] + words,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), check=False)
    equal(done.stderr, b"", "complaints of %s" % shell)
    return [[row.split(":")[0] for row in block.split("\n") if row]
            for block in done.stdout.decode().split("\n\n")[:len(lines)]]


@test("bash and zsh complete every command and option")
def shells():
    wanted = {("",): complete(""), ("chec",): ["checkpoint"], ("read", "--color", ""): ["auto", "always", "never"],
              ("write", "s", "T", "{}", "-e", "no"): ["no_stream"], ("-S", "/x", "pi"): ["ping"]}
    for command in commands():
        wanted[(*command, "--")] = options(command)
        wanted[(*command[:-1], command[-1][:-1])] = complete(*command[:-1], command[-1][:-1])
        true(command[-1] in wanted[(*command[:-1], command[-1][:-1])], command)
    for shell in ("bash", "zsh"):
        for line, got in zip(wanted, completed(shell, *wanted)):
            equal(got, wanted[line], "%s after %s" % (shell, line))
    equal(completed("bash", ("read", "--color", "=", "al"), ("help", "gro"), ("help", "group", "cr")),
          [["always"], ["group"], ["create"]])
    equal(completed("bash", ("write", "s", "T", "{}", "-M", "")), [[]], "files are left to bash")
    equal(completed("zsh", ("write", "s", "T", "{}", "-M", "")), [["FILES"]])


@test("mistakes on the command line: status 64, what was wrong and where to look")
def mistakes():
    for arguments, wrong in (
            ((), "which command?"), (("nothing",), "'nothing'"), (("group",), "second word"),
            (("group", "make"), "'group make'"), (("help", "nothing"), "'nothing'"), (("--bad",), "--bad"),
            (("ping", "--bad"), "--bad"), (("ping", "-X"), "-X"), (("ping", "--quiet=1"), "takes no argument"),
            (("ping", "-S"), "-S needs an argument"), (("read", "s", "--count"), "--count needs an argument"),
            (("uuid", "-n", "x"), "'x' is no number from 1 to"), (("uuid", "-n", "0"), "from 1"),
            (("uuid", "-n", "99999999999999999999"), "from 1"), (("ping", "too", "many"), "'too'"),
            (("group", "delete", "s"), "missing"), (("ping", "--timeout", "5y"), "'5y'"),
            (("ping", "--timeout", "0"), "'0'"), (("ping", "--timeout", "999h"), "'999h'"),
            (("ping", "--color", "red"), "auto, always, never"), (("read", ""), "STREAM"),
            (("ping", "-S", ""), "PATH")):
        done = run(None, *arguments).expect(USAGE, "", wrong)
        true(len(done.err.splitlines()) <= 2, done.err)


@test("what stands behind -- is no option; options may stand anywhere before")
def dashes():
    run(None, "uuid", "--", "-n").expect(USAGE, "", "'-n' is one argument too many")
    equal(len(ok(None, "uuid", "-n", "3").splitlines()), 3)
    equal(len(ok(None, "-q", "uuid", "--count=3").splitlines()), 3)


@test("uuid makes different ids")
def uuids():
    made = ok(None, "uuid", "-n", "1000").splitlines()
    equal(len(set(made)), 1000)
    true(all(UUID_TEXT.match(text) and text[14] == "4" for text in made), made[0])


@test("--version")
def version():
    true(re.fullmatch(r"esbridge \d+\.\d+\.\d+ \(libesbridge \d+\.\d+\.\d+\)\n", ok(None, "--version")), "version")
    equal(ok(None, "-V"), ok(None, "ping", "--version"))


SYSEXITS = {"DATAERR": 65, "NOINPUT": 66, "UNAVAILABLE": 69, "SOFTWARE": 70, "CANTCREAT": 73, "TEMPFAIL": 75,
            "PROTOCOL": 76, "NOPERM": 77}


@test("every error code has an exit status, the one that the manual page tells")
def statuses():
    told = {}
    for status, codes in re.findall(r"^\.It (\d\d) Ta (.*)$", source("man", "esbridge.1"), re.M):
        for code in codes.split(", "):
            told[code] = int(status)
    rows = re.findall(r'\{ "(\w+)",\s+EX_(\w+),', source("client-lib", "cli", "fault.c"))
    of_library = {code for code, name in rows if name == "OSERR"}
    equal(of_library, {"out_of_memory", "system"})
    equal({code: SYSEXITS[name] for code, name in rows if code not in of_library}, told)
    equal(set(told), set(CODES))
    true(len(told) > 30, "codes")


if __name__ == "__main__":
    main(shared=False)
