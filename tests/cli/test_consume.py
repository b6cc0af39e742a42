#!/usr/bin/env python3
"""esbridge consume: a command for each event, one for all, keys, failures, and everything that can die on the way."""

import json
import os
import signal
import sys

from command import DATAERR, SOFTWARE, UNAVAILABLE, USAGE, Running, events, ok, run
import control
from harness import World, equal, has, main, test, true, until

PYTHON = sys.executable
SETTINGS = {"store": {"username": "admin", "password": "changeit", "reconnect_delay_min": "20ms",
                      "reconnect_delay_max": "100ms"}}


class Place:
    """A stream with COUNT events {"n": 0…}, and a folder for what commands leave behind."""

    made = 0

    def __init__(self, world, count=0, group=True, **settings):
        Place.made += 1
        self.world, self.stream = world, "consumed-%d" % Place.made
        self.folder = os.path.join(world.folder, self.stream)
        os.mkdir(self.folder)
        if group:
            with world.bridge.client() as client:
                client.execute("CreatePersistentSubscription", dict({
                    "event_stream_id": self.stream, "subscription_group_name": "g", "start_from": 0}, **settings))
        self.write(count)

    def write(self, count, first=0):
        with self.world.bridge.client() as client:
            for at in range(first, first + count, 500):
                client.write(self.stream, *[{"event_type": "t%d" % n, "data": {"n": n, "key": n % 3}}
                                            for n in range(at, min(at + 500, first + count))])

    def script(self, name, text):
        """The path of a Python program."""
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write("import json, os, sys, time\nFOLDER = %r\n" % self.folder + text)
        return path

    def note(self):
        """What commands have appended to the file `log`, as words of lines."""
        try:
            with open(os.path.join(self.folder, "log"), encoding="utf-8") as file:
                return [line.split() for line in file.read().splitlines()]
        except FileNotFoundError:
            return []

    def numbers(self):
        return [int(words[0]) for words in self.note()]


LOG = '''
def log(text):
    fd = os.open(FOLDER + "/log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, (str(text) + "\\n").encode())
    os.close(fd)
'''
EACH = LOG + 'log(os.environ["ESBRIDGE_NUMBER"])\n'
BATCH = LOG + '''
for line in sys.stdin.buffer:
    event = json.loads(line)
    log(event["event_number"])
    print("ack", flush=True)
'''


@test("a command for each event: data on standard input byte for byte, the rest in the environment")
def each(world):
    place = Place(world)
    data = b'{"a" : 129.950,\n "b":"\\u0000"}'
    with world.bridge.client() as client:
        client.write(place.stream, {"event_type": "Type", "event_id": "11111111-2222-4333-8444-555555555555",
                                    "data_base64": "eyJhIiA6IDEyOS45NTAsCiAiYiI6Ilx1MDAwMCJ9", "data_content_type": 1,
                                    "metadata": {"by": "me"}})
    script = place.script("w.py", '''
open(FOLDER + "/data", "wb").write(sys.stdin.buffer.read())
json.dump({k: v for k, v in os.environ.items() if k.startswith("ESBRIDGE_")}, open(FOLDER + "/env", "w"))
''')
    ok(world, "consume", place.stream, "-g", "g", "-c", "1", "--", PYTHON, script)
    with open(os.path.join(place.folder, "data"), "rb") as file:
        equal(file.read(), data, "data")
    with open(os.path.join(place.folder, "env"), encoding="utf-8") as file:
        env = json.load(file)
    has(env, ESBRIDGE_STREAM=place.stream, ESBRIDGE_NUMBER="0", ESBRIDGE_TYPE="Type", ESBRIDGE_CONTENT_TYPE="1",
        ESBRIDGE_ID="11111111-2222-4333-8444-555555555555", ESBRIDGE_METADATA='{"by": "me"}', ESBRIDGE_METADATA_SIZE="12",
        ESBRIDGE_RETRY_COUNT="0", ESBRIDGE_SOCKET=world.bridge.socket)
    true(env["ESBRIDGE_CREATED"].startswith("20") and env["ESBRIDGE_CREATED_EPOCH"].isdigit(), "created in %r" % env)


@test("status 0 acknowledges: what was handled does not come again, of a group and of a checkpoint")
def acknowledged(world):
    for which in (("-g", "g"), ("-k", "acknowledged")):
        place = Place(world, 6)
        script = place.script("w.py", EACH)
        ok(world, "consume", place.stream, *which, "-c", "4", "--", PYTHON, script)
        ok(world, "consume", place.stream, *which, "-c", "2", "--", PYTHON, script)
        equal(place.numbers(), list(range(6)), "numbers with %r" % (which,))


@test("without a command events are printed, and acknowledged then; -F and -o as with read")
def printed(world):
    place = Place(world, 5)
    out = ok(world, "consume", place.stream, "-k", "printed", "-c", "3")
    equal([e["event_number"] for e in events(out)], [0, 1, 2], "numbers")
    equal(ok(world, "consume", place.stream, "-k", "printed", "-c", "2", "-F", "%n %t\\n"), "3 t3\n4 t4\n", "the rest")
    equal(ok(world, "checkpoint", "get", "printed").split()[-1], "4", "the checkpoint")


@test("--from: where a new checkpoint begins")
def beginning(world):
    place = Place(world, 5)
    equal(ok(world, "consume", place.stream, "-k", "beginning", "--from", "3", "-c", "2", "-F", "%n "), "3 4 ", "numbers")


@test("75 and a signal mean once more; the event comes again until it is handled")
def once_more(world):
    for which, death in ((("-g", "g"), "sys.exit(75)"), (("-k", "once-more"), "os.kill(os.getpid(), 9)")):
        place = Place(world, 3)
        script = place.script("w.py", LOG + '''
log(os.environ["ESBRIDGE_NUMBER"])
if os.environ["ESBRIDGE_NUMBER"] == "1" and not os.path.exists(FOLDER + "/seen"):
    open(FOLDER + "/seen", "w")
    %s
''' % death)
        done = run(world, "consume", place.stream, *which, "-f", "skip", "-c", "3", "--", PYTHON, script).expect(0)
        true("tried again" in done.err, done.err)
        equal(sorted(place.numbers()), [0, 1, 1, 2], "numbers with %r" % (which,))
    equal(place.numbers(), [0, 1, 1, 2], "with a checkpoint in order")


@test("--on-failure: retry, skip, park, stop")
def failures(world):
    fails = EACH + 'sys.exit(3 if os.environ["ESBRIDGE_NUMBER"] == "1" else 0)\n'
    place = Place(world, 4)
    done = run(world, "consume", place.stream, "-k", "skipping", "-f", "skip", "-c", "4", "--", PYTHON,
               place.script("w.py", fails)).expect(0)
    true("%s@1: the command ended with status 3: skipped" % place.stream in done.err, done.err)
    equal(place.numbers(), [0, 1, 2, 3], "skip")
    place = Place(world, 4)
    run(world, "consume", place.stream, "-g", "g", "-f", "park", "-c", "4", "--", PYTHON, place.script("w.py", fails)).expect(0)
    equal(place.numbers(), [0, 1, 2, 3], "park")
    with world.bridge.client() as client:
        parked = client.execute("ReadStreamEvents", {"resolve_link_tos": False, "event_stream_id":
                                                     "$persistentsubscription-%s::g-parked" % place.stream})
    equal(len(parked["events"]), 1, "parked events")
    place = Place(world, 4)
    done = run(world, "consume", place.stream, "-k", "stopping", "-f", "stop", "--", PYTHON,
               place.script("w.py", fails)).expect(SOFTWARE)
    equal(place.numbers(), [0, 1], "stop")
    equal(ok(world, "consume", place.stream, "-k", "stopping", "-c", "3", "-F", "%n "), "1 2 3 ", "it stays")
    place = Place(world, 3)
    script = place.script("w.py", EACH + '''
path = FOLDER + "/tries"
tries = len(open(path).read()) if os.path.exists(path) else 0
open(path, "a").write("x")
sys.exit(3 if tries < 2 else 0)
''')
    run(world, "consume", place.stream, "-k", "retrying", "-c", "3", "--", PYTHON, script).expect(0)
    equal(place.numbers(), [0, 0, 0, 1, 2], "retry, in order")


@test("--command-timeout: ended with its children, and has failed")
def slow(world):
    place = Place(world, 2)
    done = run(world, "consume", place.stream, "-k", "slow", "-f", "skip", "--command-timeout", "200ms", "-c", "2", "--", "sh",
               "-c", 'if [ "$ESBRIDGE_NUMBER" = 0 ]; then sleep 1000; fi').expect(0)
    true("took longer than 200 ms: skipped" in done.err, done.err)


@test("--jobs at the same time; with --key never two of a key, and each in order")
def jobs(world):
    place = Place(world, 30)
    script = place.script("w.py", LOG + '''
key = json.load(sys.stdin)["key"]
path = FOLDER + "/key-%d" % key
os.mkdir(path)  # fails where another has it
log("%s %d" % (os.environ["ESBRIDGE_NUMBER"], key))
others = [name for name in os.listdir(FOLDER) if name.startswith("key-")]
if len(others) > 1:
    open(FOLDER + "/together", "w")
os.rmdir(path)
''')
    ok(world, "consume", place.stream, "-k", "jobs", "-j", "6", "--key", "data:key", "-f", "stop", "-w", "30", "-c", "30", "--",
       PYTHON, script)
    for key in range(3):
        equal([int(n) for n, k in place.note() if int(k) == key], list(range(key, 30, 3)), "numbers of key %d" % key)
    place = Place(world, 4)
    # Each waits until all four are there.
    ok(world, "consume", place.stream, "-g", "g", "-j", "4", "-c", "4", "--command-timeout", "20s", "--", "sh", "-c",
       ': >"%s/here-$ESBRIDGE_NUMBER"; until [ "$(ls "%s" | grep -c here)" = 4 ]; do sleep 0.02; done' %
       (place.folder, place.folder))


@test("a command that does not read its input, however large, does no harm")
def unread(world):
    place = Place(world)
    with world.bridge.client() as client:
        for _ in range(3):
            client.write(place.stream, {"event_type": "large", "data_text": "x" * (2 << 20)})
    ok(world, "consume", place.stream, "-g", "g", "-c", "3", "--", "true")
    place = Place(world)
    with world.bridge.client() as client:
        client.write(place.stream, {"event_type": "large", "data_text": "x" * (2 << 20)})
    equal(ok(world, "consume", place.stream, "-g", "g", "-c", "1", "--", "wc", "-c").strip(), str(2 << 20), "bytes read")


@test("--batch: one command for all, answers in any order and form")
def batch(world):
    for which in (("-g", "g"), ("-k", "batch")):
        place = Place(world, 1200)
        ok(world, "consume", place.stream, *which, "-b", "100", "-c", "1200", "--", PYTHON, place.script("w.py", BATCH))
        equal(place.numbers(), list(range(1200)), "numbers with %r" % (which,))
    place = Place(world, 9)
    script = place.script("w.py", LOG + '''
held = []
for line in sys.stdin:
    event = json.loads(line)
    log("%d %d" % (event["event_number"], event["retry_count"]))
    held.append(event["ack_id"])
    if len(held) == 3:
        print("ack", held[2]); print("nack", held[0], "skip"); print("ack", flush=True)
        held = []
''')
    ok(world, "consume", place.stream, "-k", "batch-order", "-b", "3", "-c", "9", "-q", "--", PYTHON, script)
    equal(place.numbers(), list(range(9)), "numbers")
    place = Place(world, 6)
    script = place.script("w.py", '''
held = [json.loads(sys.stdin.readline())["ack_id"] for _ in range(6)]
print("ack-up-to", held[5], flush=True)
sys.stdin.read()
''')
    ok(world, "consume", place.stream, "-k", "up-to", "-b", "6", "-c", "6", "--", PYTHON, script)
    equal(ok(world, "checkpoint", "get", "up-to").split()[-1], "5", "the checkpoint")


@test("--batch: nack with retry brings the event again, with a checkpoint before later ones")
def batch_retry(world):
    place = Place(world, 4)
    script = place.script("w.py", LOG + '''
failed = False
for line in sys.stdin:
    number = json.loads(line)["event_number"]
    log(number)
    if number == 1 and not failed:
        failed = True
        print("nack retry", flush=True)
    else:
        print("ack", flush=True)
''')
    ok(world, "consume", place.stream, "-k", "batch-retry", "-b", "1", "-c", "4", "-q", "--", PYTHON, script)
    equal(place.numbers(), [0, 1, 1, 2, 3], "numbers")


@test("--batch: a command that dies is started again and gets what it had not answered")
def batch_death(world):
    for which in (("-g", "g"), ("-k", "batch-death")):
        place = Place(world, 300)
        script = place.script("w.py", LOG + '''
for count, line in enumerate(sys.stdin):
    event = json.loads(line)
    if count == 130:
        os.kill(os.getpid(), 9)
    log(event["event_number"])
    print("ack", flush=True)
''')
        done = run(world, "consume", place.stream, *which, "-b", "50", "-c", "300", "--", PYTHON, script).expect(0)
        true("was killed by signal 9 with" in done.err, done.err)
        equal(sorted(set(place.numbers())), list(range(300)), "all are handled")
        true(len(place.numbers()) <= 300, "none twice, since each was answered when it was noted: %d" % len(place.numbers()))


@test("--batch: an answer that is none ends it, with what is accepted; so does a command that cannot be started")
def batch_wrong(world):
    place = Place(world, 2)
    done = run(world, "consume", place.stream, "-k", "wrong", "-b", "10", "--", "sh", "-c", "echo fine; cat >/dev/null")
    done.expect(DATAERR, err="'fine', which is none of: ack [ID]")
    run(world, "consume", place.stream, "-k", "wrong", "-b", "10", "--", "/no/such/command").expect(UNAVAILABLE, "", "/no/such/command")
    run(world, "consume", place.stream, "-k", "wrong", "--", "/no/such/command").expect(UNAVAILABLE, "", "/no/such/command")


@test("SIGINT: what runs is finished and acknowledged, nothing more is begun")
def interrupt(world):
    place = Place(world, 3)
    command = 'echo "$ESBRIDGE_NUMBER"; echo "$ESBRIDGE_NUMBER" >>"%s/log"; until [ -e "%s/go" ]; do sleep 0.02; done' % (
        place.folder, place.folder)
    with Running(world, "consume", place.stream, "-k", "interrupt", "--", "sh", "-c", command) as consumer:
        equal(consumer.line(), "0", "the first has begun")
        consumer.process.send_signal(signal.SIGINT)
        consumer.complaint("waiting for 1 commands")
        with open(os.path.join(place.folder, "go"), "w", encoding="ascii"):
            pass
        equal(consumer.end().status, -signal.SIGINT, "it ends by the signal")
    equal(place.numbers(), [0], "begun")
    equal(ok(world, "checkpoint", "get", "interrupt").split()[-1], "0", "the checkpoint")
    place = Place(world, 100)
    with Running(world, "consume", place.stream, "-g", "g", "-b", "10", "--", PYTHON, place.script("w.py", BATCH)) as consumer:
        until(lambda: len(place.numbers()) == 100, "all are handled")
        equal(consumer.end(signal.SIGTERM).status, -signal.SIGTERM, "it ends by the signal")
    place.write(1, 100)
    ok(world, "consume", place.stream, "-g", "g", "-b", "10", "-c", "1", "--", PYTHON, place.script("w.py", BATCH))
    equal(place.numbers(), list(range(101)), "what was answered does not come again")


@test("kill -9 of esbridge itself: what was not answered comes again")
def killed(world):
    place = Place(world, 60)
    script = place.script("w.py", BATCH)
    with Running(world, "consume", place.stream, "-g", "g", "-b", "5", "--", PYTHON, script) as consumer:
        until(lambda: len(place.numbers()) > 20, "some are handled")
        consumer.process.kill()
        consumer.process.wait()
    with Running(world, "consume", place.stream, "-g", "g", "-b", "5", "--", PYTHON, script) as consumer:
        until(lambda: set(place.numbers()) == set(range(60)), "all are handled")
        consumer.end(signal.SIGINT)


def restarts(world, which):
    with World(SETTINGS, store_arguments=["--control", os.path.join(world.folder, "control")]) as own:
        place = Place(own, 20)
        script = place.script("w.py", BATCH if "-b" in which else LOG + '''
number = os.environ["ESBRIDGE_NUMBER"]
os.mkdir(FOLDER + "/running-" + number)
log(number)
os.rmdir(FOLDER + "/running-" + number)
''')
        with Running(own, "consume", place.stream, *which, "--", PYTHON, script) as consumer:
            until(lambda: len(place.numbers()) > 5, "some are handled")
            own.bridge.kill()
            own.bridge.start()
            place.write(20, 20)
            until(lambda: set(place.numbers()) >= set(range(22)), "it goes on", 30)
            with control.Control(own.store.arguments[-1]) as channel:
                channel.ask("restart keep 50")
            place.write(20, 40)
            until(lambda: set(place.numbers()) == set(range(60)), "all are handled", 30)
            done = consumer.end(signal.SIGINT)
            true("status 1" not in done.err, "no command has met itself: %s" % done.err)


for arguments in (("-g", "g", "-j", "3"), ("-k", "restarts"), ("-g", "g", "-b", "20"), ("-k", "restarts-batch", "-b", "20")):
    test("kill -9 of the daemon, and the end of the store's connection, with %s: it goes on, nothing is lost, nothing runs twice at a time" %
         " ".join(arguments))(lambda world, which=arguments: restarts(world, which))


@test("mistakes on the command line: status 64, and what is accepted")
def mistakes(world):
    for arguments, words in (
            (("s",), "--group or --checkpoint"),
            (("s", "-g", "g", "-k", "c"), "--group or --checkpoint"),
            (("s", "-k", "c", "-f", "park", "--", "true"), "retry, skip or stop"),
            (("s", "-g", "g", "--from", "3"), "--from"),
            (("s", "-g", "g", "-b", "10"), "-- COMMAND"),
            (("s", "-g", "g", "-j", "3", "-b", "10", "--", "true"), "--jobs"),
            (("s", "-g", "g", "--key", "colour", "--", "true"), "data:MEMBER"),
            (("s", "-g", "g", "-F", "%q"), "%q"),
            (("s", "-g", "g", "-j", "0", "--", "true"), "jobs")):
        run(world, "consume", *arguments).expect(USAGE, "", words)
    run(world, "consume", "s", "-g", "nosuch", "--", "true").expect(66, "")


main(SETTINGS)
