"""What the store really has: its log, read over TCP and not through the daemon, and what readers must see of it.

Nothing is ever taken out of the memstore's log, so each state that a stream was ever in can be told from it. A state is
named by an index: the state before the entry of that index was written.
"""

import bisect
import collections
import json

import wire

READ_ALL_FORWARD, READ_ALL_FORWARD_COMPLETED = 0xB6, 0xB7
DELETED = (1 << 63) - 1     # the number of a tombstone; as $tb: softly deleted
OLD_DELETED = (1 << 31) - 1 # the same before 4.0
PAGE = 4096

Entry = collections.namedtuple("Entry", "index stream number id type data commit prepare")
State = collections.namedtuple("State", "last truncated limit described")

NOTHING = State(-1, 0, 0, False)


def soft_deleted(state):
    return state.truncated == DELETED and state.last != DELETED


def first_visible(state):
    least = state.last - state.limit + 1 if state.limit else 0
    return max(least, state.truncated, 0)


def accepts(state, expected):
    """Whether a write with the version EXPECTED is taken."""
    if state.last == DELETED:
        return False
    if expected == -4:
        return (state.last >= 0 or state.described) and not soft_deleted(state)
    if expected == -1:
        return state.last < 0 or soft_deleted(state)
    return expected in (-2, state.last)


class Log:
    """The entries of all streams in order. Made of (stream, number, id, type, data, commit, prepare) tuples."""

    def __init__(self, entries):
        self.entries = [Entry(index, *entry) for index, entry in enumerate(entries)]
        self.by_id = collections.defaultdict(list)
        self.streams = collections.defaultdict(dict)
        self.by_position = {}
        self.changes = collections.defaultdict(lambda: ([0], [NOTHING]))
        self.parsed = {}
        for entry in self.entries:
            self.by_id[entry.id].append(entry)
            self.streams[entry.stream][entry.number] = entry
            self.by_position[entry.commit, entry.prepare] = entry
            self.take(entry)

    def take(self, entry):
        name = entry.stream
        if name.startswith("$$"):
            name = name[2:]
            metadata = json.loads(entry.data)
            truncated = metadata.get("$tb", 0)
            limits = {"truncated": DELETED if truncated == OLD_DELETED else truncated, "limit": metadata.get("$maxCount", 0), "described": True}
            self.change(name, entry.index, **limits)
            self.change(entry.stream, entry.index, last=entry.number, limit=1)
        else:
            self.change(name, entry.index, last=entry.number)

    def change(self, name, index, **members):
        indices, states = self.changes[name]
        state = states[-1]._replace(**members)
        indices.append(index + 1)
        states.append(state)

    def states(self, stream, low, high):
        """The states that STREAM was in from index LOW to index HIGH."""
        if stream not in self.changes:
            return [NOTHING]
        indices, states = self.changes[stream]
        return states[bisect.bisect_right(indices, low) - 1:max(bisect.bisect_right(indices, high), 1)]

    def state(self, stream, index):
        return self.states(stream, index, index)[-1]

    def final(self, stream):
        return self.state(stream, len(self.entries))

    def entry(self, stream, number):
        return self.streams[stream].get(number) if stream in self.streams else None

    def data(self, entry):
        """The data of ENTRY as JSON."""
        if entry.index not in self.parsed:
            self.parsed[entry.index] = json.loads(entry.data) if entry.data else None
        return self.parsed[entry.index]

    def was_hidden(self, stream, number, low, high):
        """Whether a reader between the indices LOW and HIGH may not have seen the event."""
        return any(number < first_visible(state) or state.last == DELETED for state in self.states(stream, low, high))


def read_all(port, login, password):
    """The Log of the memstore on PORT."""
    with_end = []
    direct = wire.Direct(port, 30)
    commit = prepare = 0
    try:
        direct.ask(wire.IDENTIFY_CLIENT, wire.message((1, 1)))     # else numbers are cut to 32 bits
        while True:
            got = direct.ask(READ_ALL_FORWARD, wire.message((1, commit), (2, prepare), (3, PAGE), (4, False), (5, False)),
                             login=login, password=password).fields()
            assert wire.one(got, 6, 0) == 0, "reading all streams: result %r" % wire.one(got, 6)
            with_end += map(entry_of, got.get(3, []))
            commit, prepare = wire.one(got, 4, 0), wire.one(got, 5, 0)
            if not got.get(3):
                return Log(with_end)
    finally:
        direct.close()


def entry_of(data):
    resolved = wire.fields(data)
    record = wire.fields(wire.one(resolved, 1))
    return (wire.one(record, 1).decode(), wire.one(record, 2, 0), wire.guid_text(wire.one(record, 3)),
            wire.one(record, 4).decode(), bytes(wire.one(record, 7, b"")), wire.one(resolved, 3, 0), wire.one(resolved, 4, 0))


# What reads must answer -----------------------------------------------------------------------------------

def read_forward(state, first, count):
    """(result code or None, numbers, next, end of stream) of a stream in STATE."""
    if state.last == DELETED:
        return "stream_deleted", [], None, None
    if state.last < 0 or soft_deleted(state):
        return "no_stream", [], None, None
    least, end = first_visible(state), first + count - 1
    if end < least:
        return None, [], least, False
    numbers = list(range(max(first, least), min(end, state.last) + 1))
    following = numbers[-1] + 1 if numbers else min(end + 1, state.last + 1)
    return None, numbers, following, end >= state.last


def read_backward(state, first, count):
    if state.last == DELETED:
        return "stream_deleted", [], None, None
    if state.last < 0 or soft_deleted(state):
        return "no_stream", [], None, None
    end = state.last if first == -1 else first
    start, least = max(end - count + 1, 0), first_visible(state)
    if end < least:
        return None, [], -1, True
    at_end = start <= least
    start = max(start, least)
    numbers = list(range(min(end, state.last), start - 1, -1))
    at_end = at_end or start == 0 or (start <= state.last and (not numbers or numbers[-1] != start))
    return None, numbers, -1 if at_end else min(start - 1, state.last), at_end


def read_event(state, number):
    """(result code or None, the number)."""
    if state.last == DELETED:
        return "stream_deleted", None
    if state.last < 0 or soft_deleted(state):
        return "no_stream", None
    number = state.last if number == -1 else number
    if not first_visible(state) <= number <= state.last:
        return "not_found", None
    return None, number
