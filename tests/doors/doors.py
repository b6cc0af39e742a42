#!/usr/bin/env python3
"""The doors between the rooms: which folder may include whose headers.

base < store < bridge < local < main (daemon/*.c). A file includes headers of its own room and of rooms
below it. The store in memory shares proto, base, store/frame.h and store/command.h with the daemon,
never its logic. The client library knows base alone, and nothing in it that may exit; the command knows the
library's public header and base; examples and adapters know the public header alone. Before the real tree is looked at, small trees with known faults must be found faulty.
"""

import os
import re
import sys
import tempfile

ROOMS = ["base", "store", "bridge", "local", "main"]
PROTO = "eventstore.pb-c.h"
MEMSTORE_MAY = re.compile(r"base/[^/]+\.h|store/(frame|command)\.h|eventstore\.pb-c\.h")
CLIENT_MAY = {"library": re.compile(r"base/(?!mem\.h|log\.h|loop\.h)[^/]+\.h"), "cli": re.compile(r"base/[^/]+\.h")}
NOTHING = re.compile(r"(?!)")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*["<]([^">]+)[">]', re.MULTILINE)


def includes(path):
    """The headers that the file at path includes, as written."""
    with open(path, encoding="utf-8") as f:
        return INCLUDE.findall(f.read())


def sources(folder):
    """The C files and headers below folder, in a fixed order."""
    for where, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if name.endswith((".c", ".h")):
                yield os.path.join(where, name)


def room_of(path):
    """The room of a path below daemon/, or None where it is in none of the known ones."""
    parts = path.split("/")
    if len(parts) == 1:
        return "main"
    return parts[0] if parts[0] in ROOMS[:-1] else None


def target_of(header, file, daemon):
    """The path below daemon/ that header names when file includes it, or None: a header from elsewhere."""
    for base in (os.path.dirname(file), daemon):
        path = os.path.normpath(os.path.join(base, header))
        if os.path.isfile(path) and path.startswith(daemon + os.sep):
            return os.path.relpath(path, daemon)
    return None


def check_daemon_file(file, daemon):
    """The faults of one file of the daemon, each as a text."""
    name = os.path.relpath(file, daemon)
    room = room_of(name)
    if room is None:
        return [f"daemon/{name} is in no known room"]
    faults = []
    for header in includes(file):
        if header == PROTO and room == "base":
            faults.append(f"daemon/{name} (base) includes the store's messages")
        target = target_of(header, file, daemon)
        if target is None:
            if header.split("/")[0] in ROOMS:
                faults.append(f"daemon/{name} includes {header}, which does not exist")
            continue
        if ROOMS.index(room_of(target) or "main") > ROOMS.index(room):
            faults.append(f"daemon/{name} ({room}) includes {target} of a room above it")
    return faults


def check_memstore_file(file, memstore):
    """The faults of one file of the store in memory."""
    faults = []
    for header in includes(file):
        own = os.path.normpath(os.path.join(os.path.dirname(file), header))
        if os.path.isfile(own) and own.startswith(memstore + os.sep):
            continue
        above = header.split("/")[0] in ROOMS or header.startswith(".")
        if (above or header == PROTO) and not MEMSTORE_MAY.fullmatch(header):
            faults.append(f"memstore/{os.path.relpath(file, memstore)} includes {header}")
    return faults


def client_room(name):
    """The room of a path below client-lib/."""
    return name.split("/")[0] if "/" in name else "library"


def check_client_file(file, client):
    """The faults of one file of the client library, the command, the examples or the adapters."""
    name = os.path.relpath(file, client)
    room = client_room(name)
    faults = []
    for header in includes(file):
        for base in (os.path.dirname(file), client):
            path = os.path.normpath(os.path.join(base, header))
            if os.path.isfile(path) and path.startswith(client + os.sep):
                target = os.path.relpath(path, client)
                known = client_room(target) in (room, "adapters") if room != "library" else client_room(target) == room
                if not known and target != "esbridge.h":
                    faults.append(f"client-lib/{name} includes {target}")
                break
        else:
            ours = header.split("/")[0] in ROOMS or header.startswith(".") or header == PROTO
            if ours and not CLIENT_MAY.get(room, NOTHING).fullmatch(header):
                faults.append(f"client-lib/{name} includes {header}")
    return faults


def check(root):
    """(number of files seen, faults) of the source tree at root."""
    daemon = os.path.join(root, "daemon")
    memstore = os.path.join(root, "tests", "memstore")
    ours, theirs = list(sources(daemon)), list(sources(memstore))
    faults = [fault for f in ours for fault in check_daemon_file(f, daemon)]
    faults += [fault for f in theirs for fault in check_memstore_file(f, memstore)]
    client = os.path.join(root, "client-lib")
    clients = list(sources(client))
    faults += [fault for f in clients for fault in check_client_file(f, client)]
    return len(ours) + len(theirs) + len(clients), faults


# Trees of one file each beside a set of headers: (path, text, number of faults)
SAMPLES = [
    ("daemon/store/a.c", '#include "base/low.h"\n#include "store/mid.h"\n', 0),
    ("daemon/main.c", '#include "local/top.h"\n#include <base/low.h>\n', 0),
    ("daemon/base/a.c", '#include "store/mid.h"\n', 1),
    ("daemon/base/a.h", '#  include "../store/mid.h"\n', 1),
    ("daemon/base/a.c", '#include "eventstore.pb-c.h"\n', 1),
    ("daemon/store/a.c", '#include "bridge/high.h"\n#include "local/top.h"\n', 2),
    ("daemon/bridge/a.c", '#include <local/top.h>\n', 1),
    ("daemon/bridge/a.c", '#include "config.h"\n', 1),
    ("daemon/attic/a.c", "", 1),
    ("tests/memstore/a.c", '#include "base/low.h"\n#include "store/frame.h"\n#include "own.h"\n', 0),
    ("tests/memstore/a.c", '#include "store/mid.h"\n', 1),
    ("tests/memstore/a.c", '#include "bridge/high.h"\n', 1),
    ("tests/memstore/a.c", '#include "../../daemon/store/mid.h"\n', 1),
    ("client-lib/a.c", '#include "base/low.h"\n#include "esbridge.h"\n#include "inner.h"\n#include <stdio.h>\n', 0),
    ("client-lib/a.c", '#include "base/mem.h"\n', 1),
    ("client-lib/a.c", '#include "store/mid.h"\n', 1),
    ("client-lib/a.c", '#include "cli/cli.h"\n', 1),
    ("client-lib/cli/a.c", '#include "base/mem.h"\n#include "cli.h"\n#include "esbridge.h"\n', 0),
    ("client-lib/cli/a.c", '#include "inner.h"\n#include "../inner.h"\n', 2),
    ("client-lib/cli/a.c", '#include "bridge/high.h"\n', 1),
    ("client-lib/examples/a.c", '#include <esbridge.h>\n#include "adapters/poll.h"\n', 0),
    ("client-lib/examples/a.c", '#include "base/low.h"\n#include "cli/cli.h"\n', 2),
]
HEADERS = ["daemon/base/low.h", "daemon/store/mid.h", "daemon/store/frame.h", "daemon/bridge/high.h",
           "daemon/local/top.h", "daemon/config.h", "tests/memstore/own.h", "client-lib/esbridge.h",
           "client-lib/inner.h", "client-lib/cli/cli.h", "client-lib/adapters/poll.h"]


def sample_faults(path, text):
    """How many faults check() finds in a tree of the sample HEADERS and one file."""
    with tempfile.TemporaryDirectory() as root:
        for name, content in [(h, "") for h in HEADERS] + [(path, text)]:
            file = os.path.join(root, name)
            os.makedirs(os.path.dirname(file), exist_ok=True)
            with open(file, "w", encoding="utf-8") as f:
                f.write(content)
        return len(check(root)[1])


def main():
    root = os.path.abspath(os.environ.get("SRCDIR", "."))
    seen, faults = check(root)
    wrong = [s for s in SAMPLES if sample_faults(s[0], s[1]) != s[2]]
    print("1..3")
    for sample in wrong:
        print(f"# sample {sample} gave {sample_faults(sample[0], sample[1])} faults")
    print(("not " if wrong else "") + f"ok 1 - {len(SAMPLES)} sample trees are judged rightly")
    print(("not " if seen < 20 else "") + f"ok 2 - {seen} files were looked at")
    for fault in faults:
        print("# " + fault)
    print(("not " if faults else "") + "ok 3 - no file includes a header of a room above it")
    return 1 if wrong or faults or seen < 20 else 0


if __name__ == "__main__":
    sys.exit(main())
