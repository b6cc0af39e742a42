#!/usr/bin/env python3
"""esbridged.conf(5), the sample file and the daemon agree: the same settings in the same order, with the same
ranges and defaults and the same word on what a reload changes; and the daemon takes the sample as it is, with every
default in it."""

import os
import re
import subprocess
import sys
import tempfile

ROOT = os.environ.get("SRCDIR", ".")


def text_of(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def of_page(page):
    """[(section, name, range, default, True where a reload changes it)] of the manual page."""
    found = []
    for section, body in re.findall(r"^\.Ss \[(\w+)(?: NAME)?\]\n(.*?)(?=^\.S[sh]|\Z)", page, re.MULTILINE | re.DOTALL):
        for name, text in re.findall(r"^\.It Ic (\w+)\n(.*?)(?=^\.It|\Z)", body, re.MULTILINE | re.DOTALL):
            said = re.search(r"^(.*)\.\nDefault:(?: none\.|\n\.Ql (.*) \.)$", text, re.MULTILINE)
            reload = re.search(r"^Reload\.$", text, re.MULTILINE) is not None
            found.append((section, name, said.group(1).lower(), said.group(2) or "", reload) if said
                         else (section, name, None, None, reload))
    return found


def of_sample(sample):
    """The same of the sample file."""
    found = []
    for section, body in re.findall(r"^#?\[(\w+)(?: NAME)?\]\n(.*?)(?=^#?\[|\Z)", sample, re.MULTILINE | re.DOTALL):
        for comment, name, value in re.findall(r"((?:^# .*\n)+)^#(\w+) =(.*)$", body, re.MULTILINE):
            comment = " ".join(line[2:] for line in comment.splitlines())
            note = comment[comment.rindex(" (") + 2:-1].replace(" such as 500ms, 5s or 2m,", "")
            found.append((section, name, note.removesuffix("; reload").lower(), value.strip(),
                          note.endswith("; reload")))
    return found


def of_daemon(text):
    """[(section, name, value)] of --print-config; a secret that is not set has no value."""
    found, section = [], None
    for line in text.splitlines():
        if line.startswith("["):
            section = line[1:-1].split()[0]
        elif " =" in line:
            name, value = line.split(" =", 1)
            found.append((section, name.removeprefix("# "), value.strip().replace("(not set)", "")))
    return found


def daemon(*arguments):
    done = subprocess.run([os.environ["ESBRIDGED"], *arguments], capture_output=True, text=True, timeout=30,
                          check=False)
    return done.returncode, done.stdout, done.stderr


def uncommented(sample):
    """The sample with every setting that has a default in force, also those of a rule, which needs some others."""
    sample = sample.replace("#[access NAME]", "[access NAME]\nusers = *\nallow = none")
    return re.sub(r"^#(\w+ = .+)$", r"\1", sample, flags=re.MULTILINE)


def check_file(text):
    """(status, what was said) of --check."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(text)
        file.flush()
        status, out, err = daemon("--check", "-c", file.name)
        return status, out + err


def differences(one, other, names):
    return [f"{who}: {row}" for who, a, b in ((names[0], one, other), (names[1], other, one))
            for row in a if row not in b]


def main():
    sample = text_of("conf", "esbridged.conf")
    page, listed = of_page(text_of("man", "esbridged.conf.5")), of_sample(sample)
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write("[access NAME]\nusers = *\nallow = none\n")
        file.flush()
        _, printed, _ = daemon("--print-config", "-c", file.name)
    printed = printed.replace("\nusers = *\n", "\nusers =\n").replace("\nallow = none\n", "\nallow =\n")
    accepted, refused = check_file(uncommented(sample)), check_file("[store]\nservr = a:1\n")
    results = [
        ("the page agrees with the sample file", differences(page, listed, ("page", "sample"))),
        ("they have the same order", [] if [r[:2] for r in page] == [r[:2] for r in listed] else ["no"]),
        ("the sample file agrees with --print-config",
         differences([(s, n, d) for s, n, _, d, _ in listed], of_daemon(printed), ("sample", "--print-config"))),
        ("the daemon takes the sample file with every default in force", [] if accepted[0] == 0 else [accepted[1]]),
        ("a wrong file ends --check with 78 and names file and line",
         [] if refused[0] == 78 and ":2:" in refused[1] else [str(refused)]),
        ("there is something to compare", [] if len(listed) > 20 else [f"{len(listed)} settings"]),
    ]
    print(f"1..{len(results)}")
    for number, (what, faults) in enumerate(results, 1):
        for fault in faults:
            print("# " + fault.replace("\n", "\n# "))
        print(f"{'not ok' if faults else 'ok'} {number} - {what}")
    return 1 if any(faults for _, faults in results) else 0


if __name__ == "__main__":
    sys.exit(main())
