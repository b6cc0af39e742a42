#!/usr/bin/env python3
"""No example in the manual pages is left untried.

Those of esbridge-protocol(7), esbridge-migration(7) and esbridge(1) are run by examples.py and command.py, those of
section 3 are compiled by the tests of the library. Here are all others: files of settings go through esbridged --check,
and commands are run in a folder of their own, with its paths and a free port in the place of those in the text. Commands
for root are not run; the files and units that they name must be those of the package. And what the Markdown texts link to
and name is there.
"""

import glob
import os
import re
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from examples import Programs, Report, Wrong  # noqa: E402

ROOT = os.environ.get("SRCDIR", ".")

# What the commands print, by what they begin with.
PRINT = {
    "esbridge-memstore --port 0": r"the port is \d+",
    "esbridge-memstore --control": r"ok",
    "esbridge-memstore": r".*info listening address=127\.0\.0\.1 port=\d+( .*)?",
    "esbridged --socket": r".*notice esbridged \S+ listens socket=\S+ server=\S+(\n.*)*",
    "echo '{\"op\":\"ping\"}'": r'\{"ok":\{"pong":true,"rtt_us":\d+\}\}',
}


def examples(page):
    """The literal displays and command lines of a page."""
    found = re.findall(r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed$|^\.Dl ([^\n]*)$", page, re.MULTILINE | re.DOTALL)
    return [(display or line).replace("\\e", "\\").rstrip("\n") for display, line in found]


def run_elsewhere(name, text):
    """True for what other tests run, and for lines of JSON."""
    return name.endswith(".3") or text.startswith('{"') or name == "esbridge.1" and text.startswith("$ esbridge")


def check_settings(text, programs):
    with open(os.path.join(programs.folder, "password"), "w", encoding="ascii") as file:
        file.write("secret\n")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem"],
                   cwd=programs.folder, capture_output=True, timeout=30, check=True)
    with tempfile.NamedTemporaryFile("w", suffix=".conf", dir=programs.folder) as file:
        file.write(text.replace("/etc/esbridge/", programs.folder + "/") + "\n")
        file.flush()
        done = subprocess.run([os.environ["ESBRIDGED"], "--check", "-c", file.name], capture_output=True, text=True,
                              env=dict(os.environ, CREDENTIALS_DIRECTORY=programs.folder), timeout=30, check=False)
    if done.returncode != 0:
        raise Wrong(done.stdout + done.stderr)


def check_log_line(text):
    """The words of the first line are those that the daemon logs."""
    message = re.match(r"\S+Z \w+ ([a-z ]+?)(?= \w+=|$)", text).group(1)
    sources = glob.glob(os.path.join(ROOT, "daemon", "**", "*.c"), recursive=True)
    if not any('"' + message + " " in open(path, encoding="utf-8").read() for path in sources):
        raise Wrong(f"nowhere in the code: {message}")


def check_root_commands(text):
    """What commands for root name is what is installed."""
    with open(os.path.join(ROOT, "systemd", "esbridged.service.in"), encoding="utf-8") as file:
        unit = file.read().replace("@sysconfdir@", "/etc")
    known = {"esbridged", "esbridge", *re.findall(r"/etc/\S+", unit)}
    for word in re.findall(r"/etc/\S+|esbridge[\w-]*", text):
        if word not in known and not word.startswith("/etc/systemd/"):
            raise Wrong(f"{word} is not known")


def run_command(text, programs):
    """Runs the command, which may start programs in the background, and compares what it prints."""
    text = re.sub(r"^\$ ", "", text, flags=re.MULTILINE)
    wanted = next((PRINT[start] for start in sorted(PRINT, key=len, reverse=True) if text.startswith(start)), None)
    if wanted is None:
        raise Wrong("this test does not know what it prints: " + text)
    real = {"/run/esbridge/esbridge.sock": programs.socket, "/tmp/es.sock": programs.socket,
            "/tmp/": programs.folder + "/", "127.0.0.1:1113": programs.server}
    text = re.sub("|".join(map(re.escape, real)), lambda told: real[told.group()], text)
    serves = re.match(r"esbridge\S+[^\n&]*$", text)
    if "esbridge-memstore" in text and "--port" not in text:
        text = text.replace("esbridge-memstore", "esbridge-memstore --port 0")
    if serves:  # it goes on for ever: until it has said what it does
        text = text.replace(programs.socket, programs.socket + ".own") + " 2>&1 | { IFS= read -r line; echo \"$line\"; }"
    process = subprocess.Popen(["bash", "-c", text], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                               cwd=programs.folder, start_new_session=True,
                               env=dict(os.environ, PATH=os.environ["BUILDDIR"] + ":" + os.environ["PATH"]))
    try:
        lines = [process.stdout.readline().rstrip("\n")]
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if not re.fullmatch(wanted, "\n".join(lines)):
        raise Wrong(f"{lines} in place of {wanted}")


def try_out(text, programs):
    if text.startswith("["):
        check_settings(text, programs)
    elif re.match(r"\d{4}-\d\d-\d\dT", text):
        check_log_line(text)
    elif text.startswith("# "):
        check_root_commands(text)
    else:
        run_command(text, programs)


def check_links(text):
    """What a Markdown text links to or names in the tree is there."""
    named = re.findall(r"\]\(([^)#:]+)\)", text)
    named += re.findall(r"`((?:tests|daemon|client-lib|man|proto|conf)/[\w./-]+)`", text)
    missing = [path for path in named if not os.path.exists(os.path.join(ROOT, path))]
    if missing or not named:
        raise Wrong(f"not there: {missing}")


def main():
    report, tried, programs = Report(), 0, Programs()
    report("the programs start", programs.start)
    try:
        for path in sorted(glob.glob(os.path.join(ROOT, "man", "*.[1-8]"))):
            name = os.path.basename(path)
            with open(path, encoding="utf-8") as file:
                for text in examples(file.read()):
                    if not run_elsewhere(name, text):
                        tried += 1
                        report(f"{name}: {text.splitlines()[0]}", lambda t=text: try_out(t, programs))
    finally:
        programs.stop()
    for name in ("README.md", "CONTRIBUTING.md"):
        with open(os.path.join(ROOT, name), encoding="utf-8") as file:
            report(f"{name}: what it names is there", lambda t=file.read(): check_links(t))
    report("there were examples", lambda: None if tried > 5 else fail("too few"))
    for wrong in ("[store]\nservr = a:1", "# systemctl enable esbridge-d", "$ esbridge-memstore --help",
                  "2026-11-23T20:11:12.123Z info nothing that is said a=1"):
        report(f"refused: {wrong.splitlines()[0]}", lambda w=wrong: refused(w, try_out))
    report("refused: a link to nothing", lambda: refused("[x](nothing.md)", lambda text, _: check_links(text)))
    print(f"1..{report.count}")
    return 0 if report.good else 1


def fail(why):
    raise Wrong(why)


def refused(text, check):
    """Raises Wrong where CHECK does not notice what is wrong."""
    programs = Programs()
    programs.start()
    try:
        check(text, programs)
    except Wrong:
        return
    finally:
        programs.stop()
    raise Wrong("it was not noticed")


if __name__ == "__main__":
    sys.exit(main())
