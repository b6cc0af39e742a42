#!/usr/bin/env python3
"""The examples in each language: a writer and a reader of a group lose nothing when the daemon and the reader are
killed while they work, and the writer stores nothing twice."""

import json
import os
import subprocess

from programs import EXAMPLES, Example, harness, make_group, reaches, restart, running, stored, unacknowledged
from harness import World, equal, main, test, true, until

COUNT = 40
LANGUAGES = {
    "shell": (["bash"], "sh"),
    "python": (["python3"], "py"),
    "node": (["node"], "js"),
    "php": (["php"], "php"),
    "perl": (["perl"], "pl"),
    "ruby": (["ruby"], "rb"),
}

# The reader in shell runs a command for each event. This one fails the first time that it sees an event with a 3.
HANDLE = 'case $ES_NUMBER in *3) mkdir "$SEEN/$ES_NUMBER" 2>/dev/null && exit 1; esac; ' \
         'read -r data && echo "$ES_NUMBER $ES_TYPE $data"'


def path(language, name):
    return os.path.join(EXAMPLES, language, "%s.%s" % (name, LANGUAGES[language][1]))


def writer(world, language, stream):
    return Example(world, "writer", LANGUAGES[language][0] + [path(language, "write"), stream, "Noted"])


def reader(world, language, stream):
    made = Example(world, "reader", LANGUAGES[language][0] + [path(language, "consume"), stream, "work"])
    if language == "shell":
        made.arguments += ["sh", "-c", HANDLE]
        made.env["SEEN"] = os.path.join(world.folder, "seen")
        os.mkdir(made.env["SEEN"])
    return made


def handled(example):
    """{number: data} of what a reader has printed; each line must be what was written."""
    found = {}
    for line in example.lines():
        number, event_type, data = line.split(" ", 2)
        equal(event_type, "Noted", "type")
        found[int(number)] = json.loads(data)
    return found


def acknowledges(world, stream, read):
    """Kills the reader. True where it had acknowledged everything; otherwise it works on what was left."""
    read.kill()
    left = unacknowledged(world, stream, "work")
    if left == 0:
        return True
    done = len(read.lines())
    read.start()
    reaches(lambda: len(read.lines()), done + left, "what was left is handled")
    return False


def survives(world, language):
    stream = world.stream("notes")
    values = [{"n": n, "text": "žluť \"%d\"" % n} for n in range(COUNT)]
    make_group(world, stream, "work")
    write, read = writer(world, language, stream), reader(world, language, stream)
    with running(write, read):
        read.start()
        write.start(stdin=subprocess.PIPE)
        write.feed(values[:COUNT // 2])
        reaches(lambda: len(handled(read)), 5, "events are handled")
        restart(world.bridge)
        write.feed(values[COUNT // 2:])
        reaches(lambda: len(handled(read)), COUNT // 2 + 1, "events are handled after the daemon was killed")
        read.kill()
        read.start()
        reaches(lambda: len(stored(world, stream)), COUNT, "all are stored")
        write.finish()
        reaches(lambda: len(handled(read)), COUNT, "all are handled")
        until(lambda: acknowledges(world, stream, read), "all are acknowledged")
    equal([e["data"] for e in stored(world, stream)], values, "what is stored")
    equal(handled(read), dict(enumerate(values)), "what was handled")


def refuses(world, language):
    """A mistake that no repetition mends ends the writer, with the store's reason."""
    stream = world.stream("gone")
    with world.bridge.client() as client:
        client.write(stream, "First")
        client.execute("DeleteStream", {"event_stream_id": stream, "hard_delete": True})
    write = writer(world, language, stream)
    with running(write):
        write.start(stdin=subprocess.PIPE)
        write.feed([{}])
        write.process.stdin.close()
        true(write.process.wait(harness.LIMIT) not in (0, None), "it fails")
        true("deleted" in write.said(), "it says why: %r" % write.said())


for tongue in LANGUAGES:
    @test("%s: killed daemon and reader, nothing lost and nothing stored twice" % tongue)
    def _(language=tongue):
        with World() as world:
            survives(world, language)
            refuses(world, language)


if __name__ == "__main__":
    main(shared=False)
