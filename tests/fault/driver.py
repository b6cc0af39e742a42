"""Carries out a script against a memstore and an esbridged, and writes the history that the checker judges.

One thread, one selector: nothing is waited for but what a step says, and nothing is ever slept for.
"""

import collections
import contextlib
import json
import os
import random
import selectors
import shutil
import socket
import tempfile
import time

import script
import truth
from control import Control
from harness import Bridge, Failure, Store

LIMIT = 20          # seconds that a wait may take before the run is given up
PATIENCE = 0.03     # seconds that a step waits for answers while faults happen
IN_FLIGHT = 100     # requests that one client has open at most
LOGIN, PASSWORD = "admin", "changeit"
SETTINGS = {
    "store": {"reconnect_delay_min": "10ms", "reconnect_delay_max": "20ms", "username": LOGIN, "password": PASSWORD,
              "heartbeat_interval": "100ms", "heartbeat_timeout": "300ms"},
    "limits": {"output_pause": "16K", "output_resume": "4K"},
    "daemon": {"drain_timeout": "2s"},
}


class Reader:
    """What the client does with the events of a subscription: decided by its own chance."""

    def __init__(self, members, seed, done):
        self.name = members["sub"]
        self.all = members
        self.chance = random.Random(seed)
        self.most = members.get("in_flight") or members.get("window") or 0
        self.hold = self.chance.randint(1, self.most) if self.most else 0
        self.held = []          # ids to be acked, in the order of their delivery
        self.awaited = set()    # nacked, and to come again
        self.crossed = set()    # acked nevertheless: these may still come
        self.acked = []         # what the last list was of
        self.since = set()      # delivered since the last interruption
        self.done = done        # of the group: (id, reader), where that reader has dealt with the event
        self.eager = False      # acks everything at once
        self.caught_up = "from" not in members
        self.last = None        # the furthest event that came, as its place and its id
        self.leaving = False

    def took(self, push):
        """Returns the requests with which the event is answered."""
        event = push.get("link") or push["event"]
        place = (push["position"]["commit"], push["position"]["prepare"]) if self.all["stream"] == "$all" \
            else (event["event_number"],)
        self.last = max(self.last or (place, ""), (place, event["event_id"]))
        one = push.get("ack_id")
        self.since.add(one)
        if not self.most or self.leaving:
            return []
        if one in self.crossed:
            self.crossed.discard(one)
            return []
        if one in self.awaited:
            self.awaited.discard(one)
        else:
            self.held.append(one)
        self.done.discard((one, self.name))
        return self.answer() if self.eager or len(self.held) >= self.hold else []

    def interrupted(self):
        """The group delivers again what is held."""
        self.held.clear()
        self.acked = []
        self.since.clear()

    def answer(self):
        if not self.held:
            return []
        how = self.chance.random()
        if self.eager or how < 0.3:
            return [self.request("ack", up_to=self.take(self.held[:]))]
        if how < 0.45:
            return [self.request("ack", up_to=self.take(self.held[:self.chance.randint(1, len(self.held))]))]
        if how < 0.55:
            return [self.nack()]
        if how < 0.6 and self.acked:
            return [dict(self.request("ack", events=[self.chance.choice(self.acked)]), id=True)]
        ids = self.chance.sample(self.held, len(self.held) if how < 0.9 else self.chance.randint(1, len(self.held)))
        self.take(ids)
        self.acked = ids
        if how < 0.7:
            return [self.request("ack", events=[one]) for one in ids]
        return [self.request("ack", events=ids)]

    def nack(self):
        one = self.chance.choice(self.held)
        if "group" in self.all:
            action = self.chance.choice(["retry", "park", "skip", "stop", "unknown"])
            self.take([one])
            if action in ("retry", "unknown"):
                self.done.discard((one, self.name))
        else:
            action = self.chance.choice(["retry", "skip"])
            if action == "skip" or one in self.awaited:
                action = "skip"
                self.take([one])
            else:
                self.awaited.add(one)
        return self.request("nack", events=[one], action=action)

    def take(self, ids):
        """IDS are dealt with. Returns the last of them."""
        self.held = [one for one in self.held if one not in ids]
        self.crossed |= self.awaited.intersection(ids)
        self.awaited.difference_update(ids)
        self.done.update((one, self.name) for one in ids)
        return ids[-1]

    def request(self, op, **members):
        out = dict(members, op=op, sub=self.name)
        if self.chance.random() < 0.5:
            out["id"] = True
        return out


class Peer:
    """A connection to the daemon."""

    def __init__(self, number, sock):
        self.number, self.sock = number, sock
        self.input, self.output = b"", b""
        self.pending = {}
        self.readers = {}
        self.deaf = 0
        self.half = False
        self.mask = 0


class Driver:
    def __init__(self, seed, store_arguments=()):
        self.script = script.Script(seed)
        self.history = []
        self.said = ""              # what the daemon said, when the run is over
        self.folder = tempfile.mkdtemp(prefix="esb-")
        self.control_path = os.path.join(self.folder, "control")
        self.store = Store(self.folder, ["--control", self.control_path] + list(store_arguments))
        self.bridge = None
        self.log = None
        self.log_rest = b""
        self.selector = selectors.DefaultSelector()
        self.slots = [None] * script.SLOTS
        self.old = []               # half-closed connections
        self.number = 0
        self.request_id = 0
        self.versions = {}
        self.done = collections.defaultdict(set)    # by stream and group: (id, reader) where it was dealt with
        self.transactions = []
        self.connected = False
        self.storm = False          # faults may happen
        self.down = False           # the daemon reads nothing more
        self.control = None

    # The whole

    def run(self, count):
        """Returns (history, log)."""
        try:
            self.start()
            for step in self.script.steps(count):
                getattr(self, "do_" + step[0])(*step[1:])
                self.turn(0)
            self.drain()
            log = truth.read_all(self.store.port, LOGIN, PASSWORD)
            self.end()
            return self.history, log
        finally:
            self.abandon()

    def start(self):
        self.store.start()
        self.control = Control(self.control_path)
        settings = {section: dict(members) for section, members in SETTINGS.items()}
        settings["socket"] = {"path": os.path.join(self.folder, "socket")}
        settings["store"]["server"] = "127.0.0.1:%d" % self.store.port
        self.bridge = Bridge(self.folder, settings)
        self.launch()
        self.until(lambda: self.connected, "connected")
        self.descriptors = self.bridge.descriptors()
        self.record("calm")
        for stream, name, members in script.GROUPS:
            self.group("CreatePersistentSubscription", stream, name, members, script.PATIENT_MS)
            self.until(self.all_answered, "the group is made")

    def launch(self):
        self.record("bridge", "start")
        self.bridge.start()
        if self.log is None:
            self.log = open(self.bridge.errors, "rb")

    def abandon(self):
        for peer in filter(None, self.slots + self.old):
            peer.sock.close()
        self.selector.close()
        if self.control:
            self.control.close()
        if self.log:
            self.log.close()
        for program in filter(None, (self.bridge, self.store)):
            program.kill()
        if self.bridge and self.bridge.process:
            self.said = self.bridge.said()
        if self.bridge:
            self.bridge.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def record(self, *what):
        self.history.append(list(what))

    # Moving bytes

    def turn(self, timeout):
        """One round of what can be read and written; the daemon's log is read behind the sockets and told before them."""
        read = []
        for key, mask in self.selector.select(timeout):
            peer = key.data
            if mask & selectors.EVENT_WRITE:
                self.write(peer)
            if mask & selectors.EVENT_READ:
                read.append((peer, self.receive(peer)))
        self.read_log()
        for peer, data in read:
            self.take(peer, data)

    def until(self, condition, what, limit=LIMIT):
        end = time.monotonic() + limit
        while not condition():
            if time.monotonic() > end:
                raise Failure("still not so after %g s: %s" % (limit, what))
            self.turn(0.02)

    @staticmethod
    def receive(peer):
        try:
            return peer.sock.recv(1 << 20)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def take(self, peer, data):
        if data is None or peer not in self.slots + self.old:
            return
        if not data:
            self.ended(peer)
            return
        lines = (peer.input + data).split(b"\n")
        peer.input = lines.pop()
        for raw in lines:
            self.took(peer, json.loads(raw))

    def ended(self, peer):
        if peer.input:
            raise Failure("the daemon closed in the middle of a line: %r" % peer.input[:200])
        self.forget(peer)
        self.record("end", peer.number)

    def forget(self, peer):
        if peer.mask:
            self.selector.unregister(peer.sock)
            peer.mask = 0
        peer.sock.close()
        self.transactions = [one for one in self.transactions if one.peer is not peer]
        self.slots = [None if slot is peer else slot for slot in self.slots]
        self.old = [one for one in self.old if one is not peer]

    def watch(self, peer):
        """Watches for what is of use now."""
        mask = (0 if peer.deaf else selectors.EVENT_READ) | (selectors.EVENT_WRITE if peer.output else 0)
        if mask == peer.mask:
            return
        if not mask:
            self.selector.unregister(peer.sock)
        elif not peer.mask:
            self.selector.register(peer.sock, mask, peer)
        else:
            self.selector.modify(peer.sock, mask, peer)
        peer.mask = mask

    def write(self, peer):
        try:
            sent = peer.sock.send(peer.output)
            peer.output = peer.output[sent:]
        except BlockingIOError:
            pass
        except OSError:
            peer.output = b""   # the end is read, and told, where it is read
        self.watch(peer)

    def send(self, peer, request):
        """Sends REQUEST; with an id, where it has one, that no other has."""
        if "id" in request:
            self.request_id += 1
            request = dict(request, id=self.request_id)
            peer.pending[self.request_id] = request
        self.record("send", peer.number, request)
        empty = not peer.output
        peer.output += json.dumps(request, separators=(",", ":")).encode() + b"\n"
        if empty:
            self.write(peer)

    def read_log(self):
        data = self.log.read() if self.log else b""
        if not data:
            return
        lines = (self.log_rest + data).split(b"\n")
        self.log_rest = lines.pop()
        for line in lines:
            if b"connected to the store" in line:
                self.connected = True
                self.record("connected")
            elif b"connection to the store lost" in line:
                self.connected = False
                self.record("lost")

    # Lines

    def took(self, peer, line):
        self.record("line", peer.number, line)
        if "push" in line:
            self.pushed(peer, line)
            return
        request = peer.pending.pop(line.get("id"), None)
        if line.get("error", {}).get("code") == "unknown_event":
            self.not_outstanding(peer, line["error"])
        if request is None:
            return
        handler = getattr(self, "answered_" + request["op"], None)
        if handler and not self.down:
            handler(peer, request, line)

    @staticmethod
    def not_outstanding(peer, error):
        """An ack came too late, after a loss: the events are not dealt with. Where they were delivered again since, it was an
        ack from before the loss that came late enough to be good for the new delivery."""
        for reader in peer.readers.values():
            if "group" in reader.all and "'%s'" % reader.name in error["message"]:
                reader.done.difference_update((one, reader.name) for one in error["body"]["events"] if one not in reader.since)

    def pushed(self, peer, push):
        reader = peer.readers.get(push["sub"])
        if reader is None or self.down:
            return
        if push["push"] == "event":
            for request in reader.took(push):
                self.send(peer, request)
        elif push["push"] == "dropped":
            del peer.readers[reader.name]
        elif push["push"] == "caught_up":
            reader.caught_up = True
        elif push["push"] == "interrupted" and "group" in reader.all:
            reader.interrupted()

    def answered_subscribe(self, peer, request, line):
        if "ok" not in line:
            del peer.readers[request["sub"]]

    def answered_unsubscribe(self, peer, request, line):
        peer.readers.pop(request["sub"], None)

    def answered_execute(self, peer, request, line):
        body = line.get("ok", line.get("error", {})).get("body", {})
        stream = request["body"].get("event_stream_id")
        if "ok" in line and "last_event_number" in body and request["message"] == "WriteEvents":
            self.versions[stream] = body["last_event_number"]
        elif "current_version" in body:
            self.versions[stream] = body["current_version"]
        for transaction in [one for one in self.transactions if one.awaited == line["id"]]:
            self.go_on(transaction, line)

    # Steps: clients

    def peer(self, slot):
        """The client of SLOT; it hears again when it is asked to do something else often enough."""
        peer = self.slots[slot]
        if peer is None:
            self.number += 1
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(self.bridge.socket)
            sock.setblocking(False)
            peer = self.slots[slot] = Peer(self.number, sock)
            self.record("open", peer.number)
            self.watch(peer)
        if peer.deaf:
            peer.deaf -= 1
            self.watch(peer)
        return peer

    def room(self, slot):
        """The client of SLOT, with room for one more request."""
        peer = self.peer(slot)
        if len(peer.pending) > IN_FLIGHT:
            self.hear(peer)
            self.until(lambda: len(peer.pending) <= IN_FLIGHT or peer.mask == 0, "room for a request")
            peer = self.peer(slot)
        return peer

    def hear(self, peer):
        peer.deaf = 0
        self.watch(peer)

    def do_ask(self, slot, request):
        self.send(self.room(slot), dict(request, id=True))

    def do_execute(self, slot, message, body, members):
        peer = self.room(slot)
        body = dict(body)
        if body.get("expected_version") in ("exact", "wrong"):
            version = self.versions.get(body["event_stream_id"], -1)
            body["expected_version"] = version if body["expected_version"] == "exact" else max(version, -1) + 7
        self.send(peer, dict(members, op="execute", id=True, message=message, body=body))

    def do_burst(self, slot, stream, batches, timeout):
        for events in batches:
            self.do_execute(slot, "WriteEvents", {"event_stream_id": stream, "events": events}, {"timeout_ms": timeout})

    def do_repeat(self, slot, step, timeout):
        """The same events again; with the same expected version where that is known, else with any."""
        body = dict(step[3], expected_version="any")
        self.do_execute(slot, step[2], body, {"timeout_ms": timeout})

    def do_transaction(self, slot, stream, batches, timeout):
        peer = self.room(slot)
        transaction = Transaction(peer, batches, timeout)
        self.transactions.append(transaction)
        self.part(transaction, "TransactionStart", {"event_stream_id": stream, "expected_version": "any"})

    def part(self, transaction, message, body):
        timeout = transaction.timeout if self.storm else script.PATIENT_MS   # it may have begun in a storm
        self.send(transaction.peer, {"op": "execute", "id": True, "message": message, "body": body, "timeout_ms": timeout})
        transaction.awaited = self.request_id

    def go_on(self, transaction, line):
        self.transactions.remove(transaction)
        if transaction.number is None and "ok" in line:
            transaction.number = line["ok"]["body"]["transaction_id"]
        if transaction.number is None or transaction.over or transaction.peer.half:
            return
        self.transactions.append(transaction)
        if transaction.batches:
            self.part(transaction, "TransactionWrite", {"transaction_id": transaction.number,
                                                        "events": transaction.batches.pop(0)})
        else:
            transaction.over = True
            self.part(transaction, "TransactionCommit", {"transaction_id": transaction.number})

    def do_group(self, message, timeout):
        stream, name = script.CHURN
        self.group(message, stream, name, {}, timeout)

    def group(self, message, stream, name, members, timeout):
        """One such request at a time, since the answers of two tell nothing of their order."""
        peer = self.room(0)
        if any(r.get("message", "").endswith("PersistentSubscription") for one in filter(None, self.slots + self.old)
               for r in one.pending.values()):
            return
        body = {"event_stream_id": stream, "subscription_group_name": name}
        if not message.startswith("Delete"):
            body.update(members, start_from=0, message_timeout_milliseconds=600000, max_retry_count=1000)
        self.send(peer, {"op": "execute", "id": True, "message": message, "body": body, "timeout_ms": timeout})

    # Steps: subscriptions

    def do_subscribe(self, slot, members, seed):
        if len(self.peer(slot).readers) < 10:
            self.subscribe(slot, members, seed)

    def subscribe(self, slot, members, seed):
        peer = self.room(slot)
        peer.readers[members["sub"]] = Reader(members, seed, self.done[members["stream"], members.get("group")])
        self.send(peer, dict(members, id=True))

    def do_unsubscribe(self, slot, which, timeout):
        peer = self.room(slot)
        confirmed = [one for one in peer.readers.values() if not one.leaving and one.last]
        if confirmed:
            reader = confirmed[int(which * len(confirmed))]
            self.leave(peer, reader, timeout)

    def leave(self, peer, reader, timeout):
        if reader.held and reader.chance.random() < 0.5:
            self.send(peer, {"op": "ack", "sub": reader.name, "up_to": reader.take(reader.held)})
        reader.leaving = True
        self.send(peer, {"op": "unsubscribe", "id": True, "sub": reader.name, "timeout_ms": timeout})

    # Steps: faults

    def do_fault(self, command):
        self.storm = True
        self.record("fault", command)
        self.control.ask(command)

    def do_calm(self):
        self.control.ask("clear")
        self.control.ask("resume")
        self.until(lambda: self.connected, "connected again")
        peer = self.room(0)
        self.send(peer, {"op": "ping", "id": True, "timeout_ms": script.PATIENT_MS})    # waits while the store has said NotReady
        ping = self.request_id
        self.hear(peer)
        self.until(lambda: ping not in peer.pending, "the store answers again")
        self.storm = False
        self.record("calm")

    def do_wait(self, storm):
        if not storm:
            self.until(self.all_answered, "all is answered while nothing is the matter")
            return
        end = time.monotonic() + PATIENCE
        while not self.all_answered() and time.monotonic() < end:
            self.turn(PATIENCE / 3)

    def all_answered(self):
        return not any(peer.pending or peer.output for peer in self.slots + self.old if peer and not peer.deaf)

    def do_die(self, slot, with_acks):
        peer = self.slots[slot]
        if peer is None:
            return
        for reader in peer.readers.values() if with_acks else ():
            if reader.held and not reader.leaving:
                self.send(peer, {"op": "ack", "sub": reader.name, "up_to": reader.take(reader.held)})
        self.forget(peer)
        self.record("close", peer.number)

    def do_half(self, slot):
        peer = self.slots[slot]
        if peer is None or peer.output or any(r["op"] == "subscribe" for r in peer.pending.values()):
            return
        self.hear(peer)
        with contextlib.suppress(OSError):      # the daemon may be gone by now
            peer.sock.shutdown(socket.SHUT_WR)
            peer.half = True
            self.record("half", peer.number)
            for reader in peer.readers.values():
                reader.leaving = True
            self.slots[slot] = None
            self.old.append(peer)

    def do_deaf(self, slot, steps):
        peer = self.peer(slot)
        peer.deaf = steps
        self.watch(peer)

    def do_kill(self):
        self.record("bridge", "kill")
        self.down = True
        self.bridge.kill()
        self.came_down()

    def do_term(self):
        for peer in filter(None, self.slots + self.old):
            if peer.deaf:
                self.record("deaf", peer.number)
        self.record("bridge", "term")
        self.down = True
        self.bridge.process.terminate()
        self.until(lambda: self.bridge.process.poll() is not None, "the daemon ends")
        self.came_down("exit %d" % self.bridge.process.returncode)

    def came_down(self, how=None):
        for peer in filter(None, self.slots + self.old):
            self.hear(peer)
        self.until(lambda: not any(self.slots + self.old), "every connection is closed")
        if how:
            self.record("bridge", how)
        self.read_log()
        self.bridge.close()
        self.transactions.clear()
        self.connected = self.down = False
        self.launch()

    # The end

    def drain(self):
        """All faults end, then everything must arrive."""
        self.do_calm()
        for peer in filter(None, self.slots + self.old):
            self.hear(peer)
        self.until(lambda: self.all_answered() and not self.transactions, "all is answered at the end")
        for stream in script.STREAMS:   # an end that every reader can see
            self.do_execute(0, "WriteEvents", {"event_stream_id": stream, "events": self.script.links(1) if stream == script.LINKS else self.script.events(1)}, {"timeout_ms": script.PATIENT_MS})
        for number, (stream, name, _) in enumerate(script.GROUPS):
            self.subscribe(0, {"op": "subscribe", "sub": "last%d" % number, "stream": stream, "group": name,
                                  "in_flight": 50, "timeout_ms": script.PATIENT_MS}, 1)
        for peer in filter(None, self.slots):
            for reader in peer.readers.values():
                reader.eager = True
                for request in [] if reader.leaving else reader.answer():
                    self.send(peer, request)
        with contextlib.suppress(Failure):      # the checker says what is missing
            self.until(self.complete(), "complete")
        self.record("drained", [[stream, name] for stream, name, _ in script.GROUPS])

    def complete(self):
        """A condition: everything has come that can."""
        log = truth.read_all(self.store.port, LOGIN, PASSWORD)
        stop = time.monotonic() + LIMIT / 2
        wanted = {(stream, name): {entry.id for entry in log.streams[stream].values() if entry.number != truth.DELETED
                                   and not log.was_hidden(stream, entry.number, entry.index + 1, len(log.entries))}
                  for stream, name, _ in script.GROUPS}

        def is_complete():
            if time.monotonic() > stop:
                return True
            return self.all_answered() and all(
                {one for one, _ in self.done[key]} >= ids for key, ids in wanted.items()) and all(
                has_come_to_end(reader, log) for peer in filter(None, self.slots) for reader in peer.readers.values())
        return is_complete

    def end(self):
        for peer in filter(None, self.slots):
            for reader in list(peer.readers.values()):
                reader.held.clear()
                self.leave(peer, reader, script.PATIENT_MS)
        self.until(self.all_answered, "all subscriptions are ended")
        for peer in self.slots + self.old:
            if peer:
                self.forget(peer)
                self.record("close", peer.number)
        self.left()
        self.record("bridge", "term")
        self.bridge.process.terminate()
        self.record("bridge", "exit %d" % self.bridge.wait_exit(LIMIT))
        self.bridge.expect_clean()
        self.store.terminate()

    def left(self):
        end = time.monotonic() + LIMIT
        descriptors = 0
        while descriptors != self.descriptors and time.monotonic() < end:
            descriptors = self.bridge.descriptors() or descriptors
        self.record("left", "descriptors", descriptors, self.descriptors)
        with self.bridge.client() as client:
            status = client.ok("status")
        self.record("left", "requests in flight", status["store"]["in_flight"], 0)
        self.record("left", "requests queued", status["store"]["queued"], 0)
        self.record("left", "clients", status["client_count"], 1)
        live, consumers = self.control.subscriptions()
        self.record("left", "live subscriptions at the store", live, 0)
        self.record("left", "consumers at the store", consumers, 0)


class Transaction:
    def __init__(self, peer, batches, timeout):
        self.peer, self.batches, self.timeout = peer, list(batches), timeout
        self.number = self.awaited = None
        self.over = False


def has_come_to_end(reader, log):
    """Whether READER has the last event that it may wait for, and owes no ack."""
    stream = reader.all["stream"]
    if reader.held or not reader.caught_up:
        return False
    if stream == "$all":
        entry = log.entries[-1]
    else:
        state = log.final(stream)
        if state.last in (-1, truth.DELETED) or state.last < truth.first_visible(state):
            return True
        if isinstance(reader.all.get("from"), int) and state.last < reader.all["from"]:
            return True
        entry = log.entry(stream, state.last)
    if "group" in reader.all:
        return True
    if reader.last is None:
        return False
    return reader.last[1] == entry.id
