#!/usr/bin/env python3
"""The alert rules and the Grafana dashboard: what they ask for is what the daemon tells, their expressions are PromQL,
and each alert fires where it must and not where it must not (alerts_test.yml)."""

import json
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.environ.get("SRCDIR", ".")
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

from harness import World, equal, main, test, true  # noqa: E402

RULES = os.path.join(ROOT, "conf", "esbridge-alerts.yml")
RULES_TEST = os.path.join(ROOT, "tests", "metrics", "alerts_test.yml")
DASHBOARD = os.path.join(ROOT, "conf", "grafana-dashboard.json")

METRIC = re.compile(r"\b((?:esbridge|process)_\w+)(?:\{([^{}]*)\})?")
CONDITION = re.compile(r'(\w+)(=~|!=|=)"([^"]*)"')
OF_PROMETHEUS = {"up", "instance", "job"}   # what the scraping itself adds


def promtool(*arguments):
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def rules():
    """{alert: its expression}."""
    items = re.findall(r"- alert: (\w+)\n +expr: (?:>-\n +)?(.*)\n", read(RULES))
    return dict(items)


def panels():
    return json.loads(read(DASHBOARD))["panels"]


def expressions():
    """[(where it stands, expression)] of the rules and of the dashboard."""
    found = list(rules().items())
    return found + [(panel["title"], target["expr"]) for panel in panels() for target in panel.get("targets", [])]


def told(world):
    """{series name: {label: its words}} of what the daemon tells."""
    names = {}
    for line in world.client().ok("metrics")["text"].splitlines():
        if not line.startswith("#"):
            name, labels = re.match(r"(\w+)(?:\{(.*)\})? ", line).groups()
            for label, word in re.findall(r'(\w+)="([^"]*)"', labels or ""):
                names.setdefault(name, {}).setdefault(label, set()).add(word)
            names.setdefault(name, {})
    return names


def faults(expression, names):
    """What EXPRESSION asks for that NAMES do not have."""
    wrong = []
    for name, conditions in METRIC.findall(expression):
        if name not in names:
            wrong.append(name)
            continue
        for label, how, value in CONDITION.findall(conditions):
            words = names[name].get(label)
            if label in OF_PROMETHEUS:
                continue
            wanted = value.split("|") if how == "=~" else [value]
            wrong += ["%s{%s=%s}" % (name, label, word) for word in wanted if words is None or word not in words]
    known = [label for name, _ in METRIC.findall(expression) for label in names.get(name, {})]
    for labels in re.findall(r"\b(?:by|without|on) \(([^)]*)\)", expression):
        wrong += ["label %s" % label for label in labels.split(", ") if label not in OF_PROMETHEUS and label not in known]
    return wrong


@test("what the rules and the dashboard ask for is what the daemon tells")
def _(world):
    names = told(world)
    true(len(expressions()) > 40, "there are expressions")
    equal([(where, wrong) for where, e in expressions() for wrong in faults(e, names)], [], "what is not told")


@test("a wrong name, label or word is found")
def _(world):
    names = told(world)
    for wrong in ("esbridge_store_upp", 'esbridge_errors_total{code="tmeout"}', 'esbridge_errors_total{kode="timeout"}',
                  'esbridge_errors_total{code=~"timeout|tmeout"}', "sum by (kode) (esbridge_errors_total)"):
        true(faults(wrong, names), "nothing is found in %s" % wrong)


@test("promtool accepts the rules, and all expressions of the dashboard")
def _(_):
    status, said = promtool("check", "rules", RULES)
    equal(status, 0, said)
    true("%d rules found" % len(rules()) in said, "the rules are found: %s" % said)
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        file.write("groups:\n  - name: dashboard\n    rules:\n")
        shown = [e for panel in panels() for e in panel.get("targets", [])]
        for number, target in enumerate(shown):
            expression = target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")
            file.write("      - record: dashboard:%d\n        expr: %s\n" % (number, json.dumps(expression)))
        file.flush()
        status, said = promtool("check", "rules", file.name)
        equal(status, 0, said)
        file.write("      - record: dashboard:wrong\n        expr: 'sum by ('\n")
        file.flush()
        true(promtool("check", "rules", file.name)[0] != 0, "a wrong one is refused")


@test("each alert fires where it must, and not where it must not")
def _(_):
    status, said = promtool("test", "rules", RULES_TEST)
    equal(status, 0, said)
    text = read(RULES_TEST)
    for alert in rules():
        for case in ("fires", "quiet"):
            true("- name: %s, %s\n" % (alert, case) in text, "%s has a test that it %s" % (alert, case))


@test("the dashboard: each panel has its own number and place, a title, and tells what its lines are")
def _(_):
    numbers = [panel["id"] for panel in panels()]
    equal(len(numbers), len(set(numbers)), "numbers")
    taken = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        true(not cells & taken and place["x"] + place["w"] <= 24, "the place of %r" % panel["title"])
        taken |= cells
        if panel["type"] != "row":
            true(panel["title"] and panel["targets"], "panel %d" % panel["id"])
            true(all(target["legendFormat"] for target in panel["targets"]), "the lines of %r" % panel["title"])


if __name__ == "__main__":
    main()
