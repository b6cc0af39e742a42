#!/usr/bin/env python3
"""The lists of esbridge-protocol(7) agree with the tables of the code and with the messages' definition:
error codes with what they say of a retry, the names of the messages, and the members of each message. What
esbridge-migration(7) sets beside another client's function or setting is in the page that describes it."""

import os
import re
import sys

ROOT = os.environ.get("SRCDIR", ".")

# Codes that are no answer to a request: the reason of a push.
NOT_MET = {"slow_consumer"}

# Members that the page describes for each message; a message that is "the same" as the one before has none of its own.
SAME = {"ReadStreamEventsBackward": "ReadStreamEvents", "ReadAllEventsBackward": "ReadAllEvents",
        "FilteredReadAllEventsBackward": "FilteredReadAllEvents",
        "UpdatePersistentSubscription": "CreatePersistentSubscription"}


def text_of(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def codes_of_page(page):
    """{code: "yes" or "no"} of the column list."""
    return dict(re.findall(r"^\.It Er (\w+) Ta .* Ta (yes|no)$", page, re.MULTILINE))


def codes_of_code(source):
    """{code: "yes" or "no"} of the table of errors."""
    rows = re.findall(r'\[ERROR_\w+\]\s*=\s*\{\s*"(\w+)",\s*(true|false)', source)
    return {code: "yes" if retry == "true" else "no" for code, retry in rows}


def messages_of_page(page):
    """{message: its entry} of the section MESSAGES."""
    section = page.split("\n.Sh MESSAGES\n")[1].split("\n.El\n")[0]
    return dict(re.findall(r"^\.It Ic (\w+)\n(.*?)(?=^\.It|\Z)", section, re.MULTILINE | re.DOTALL))


def messages_of_code(source):
    return set(re.findall(r'\.name = "(\w+)"', source)), set(re.findall(r'\.alias = "(\w+)"', source))


def members_of(proto, message):
    """The members of a message of the .proto file."""
    name = message.removesuffix("Backward") if message not in ("ReadStreamEvents",) else message
    body = re.search(rf"^message {name} \{{\n(.*?)^\}}", proto, re.MULTILINE | re.DOTALL).group(1)
    return re.findall(r"^\t(?:optional|repeated) [\w.]+ (\w+) =", body, re.MULTILINE)


def undescribed(page, proto):
    """The members of messages that the page says nothing of."""
    entries = messages_of_page(page)
    missing = []
    for message in entries:
        entry = entries[SAME.get(message, message)]
        if message.startswith("Filtered"):
            entry += entries["ReadAllEvents"]
        words = set(re.findall(r"\w+", entry))
        missing += [f"{message}.{member}" for member in members_of(proto, message) if member not in words]
    return missing


def names_of(page):
    """The words that a page marks as something to be typed: ops, members, messages, settings; and error codes."""
    marked = re.findall(r"^\.(?:It )?(?:Ic|Er) (.*)$", page, re.MULTILINE)
    return {word for line in marked for word in re.findall(r"[a-z_]{2,}|[A-Z][A-Za-z]+", re.sub(r"Ta.*", "", line))}


def differences(told, real):
    """What is different in two dicts or sets, for people."""
    if isinstance(told, dict):
        told, real = set(told.items()), set(real.items())
    return [f"only in the page: {x}" for x in sorted(told - real)] + \
           [f"only in the code: {x}" for x in sorted(real - told)]


def main():
    page = text_of("man", "esbridge-protocol.7")
    described = names_of(page) | names_of(text_of("man", "esbridged.conf.5"))
    described |= set(re.findall(r"^\.Ss (\w+)$", page, re.MULTILINE))
    migration = names_of(text_of("man", "esbridge-migration.7"))
    codes = codes_of_code(text_of("daemon", "bridge", "answer.c"))
    names, aliases = messages_of_code(text_of("daemon", "bridge", "message.c"))
    met = {code: retry for code, retry in codes.items() if code not in NOT_MET}
    results = [
        ("error codes", differences(codes_of_page(page), met)),
        ("messages", differences(set(messages_of_page(page)), names)),
        ("other names of messages", [a for a in sorted(aliases) if f".Ic {a}" not in page]),
        ("members of messages", undescribed(page, text_of("proto", "eventstore.proto"))),
        ("what esbridge-migration(7) points to", [f"described nowhere: {x}" for x in sorted(migration - described)]),
        ("there is something to compare",
         [] if len(codes) > 30 and len(names) > 15 and len(migration) > 50 else ["too little was found"]),
        ("a wrong page is found", [] if differences({"timeout": "no"}, {"timeout": "yes"}) and
         undescribed(page.replace(".Ic hard_delete", ""), text_of("proto", "eventstore.proto")) else ["it is not"]),
    ]
    print(f"1..{len(results)}")
    for number, (what, faults) in enumerate(results, 1):
        for fault in faults:
            print(f"# {fault}")
        print(f"{'not ok' if faults else 'ok'} {number} - {what}")
    return 1 if any(faults for _, faults in results) else 0


if __name__ == "__main__":
    sys.exit(main())
