"""The part of the checker for `execute`: every answer is one that the store could give, and what was said of a write is true."""

from truth import DELETED, OLD_DELETED, accepts, read_backward, read_event, read_forward, soft_deleted

WRITES = ("WriteEvents", "DeleteStream", "TransactionStart", "TransactionWrite", "TransactionCommit",
          "CreatePersistentSubscription", "UpdatePersistentSubscription", "DeletePersistentSubscription")
VERSIONS = {"any": -2, "no_stream": -1, "stream_exists": -4}


def changes_store(request):
    return request["op"] == "execute" and request["message"] in WRITES


def expected_of(r):
    expected = r.body.get("expected_version", "any")
    return VERSIONS.get(expected, expected)


class Batch:
    """Events that were sent together, in one request or in several with the same ids."""

    def __init__(self, stream, ids, conn):
        self.stream, self.ids, self.conn = stream, ids, conn
        self.requests = []

    def outcomes(self):
        return [r.outcome if r.code not in (None, "ok") else r.code or "unknown" for r in self.requests]


class Requests:
    def __init__(self, checker):
        self.c, self.log = checker, checker.log
        self.batches = {}               # by the first id
        self.transactions = {}          # by id: the stream
        self.deletes = {}               # stream: [requests]
        self.deletions_seen = set()     # indices of entries that a delete was answered with
        self.refusals_at = []           # when the store was told to refuse writes
        self.groups = {}                # (stream, name): the states that it may be in
        self.doubt_at = {}              # (stream, name): when a change of it was last lost sight of

    def wrong(self, c, r, text, *arguments):
        self.c.wrong("conn %d: %s %r: %s", c.number, r.all["message"], r.body, text % arguments)

    def states(self, r, stream):
        return self.log.states(stream, r.known, self.c.high())

    def fault(self, command):
        if command.startswith("not-handled") and " on WriteEvents" in command:
            self.refusals_at.append(self.c.time)

    # Requests and answers

    def sent(self, c, r):
        message = r.all["message"]
        if message == "WriteEvents" or message == "TransactionWrite":
            ids = [event["event_id"] for event in r.body["events"]]
            stream = r.body.get("event_stream_id") or self.transactions.get(r.body["transaction_id"])
            batch = self.batches.setdefault(ids[0], Batch(stream, ids, c.number))
            batch.requests.append(r)
            batch.in_transaction = message == "TransactionWrite"
        elif message == "DeleteStream":
            self.deletes.setdefault(r.body["event_stream_id"], []).append(r)

    def ok(self, c, r, ok):
        getattr(self, "ok_" + r.all["message"])(c, r, ok["body"])

    def error(self, c, r, error):
        handler = getattr(self, "error_" + error["code"], None)
        if changes_store(r.all) and error.get("outcome") not in ("none", "unknown"):
            self.wrong(c, r, "no outcome in %r", error)
        if handler is None:
            self.wrong(c, r, "failed with %r", error)
        else:
            handler(c, r, error)

    def failed(self, c, r):
        """R was not answered by the store, or not at all."""
        if r.all.get("message") in GROUP_CHANGES and r.outcome != "none":
            self.group_states(r).update(("there", "absent"))
            self.doubt_at[self.group_key(r)] = self.c.time

    # Writes

    def ok_WriteEvents(self, c, r, body):
        stream = r.body["event_stream_id"]
        ids = [event["event_id"] for event in r.body["events"]]
        numbers = range(body["first_event_number"], body["last_event_number"] + 1)
        entries = [self.log.entry(stream, number) for number in numbers]
        if [entry and entry.id for entry in entries] != ids:
            self.wrong(c, r, "answered %r, and these are not stored there", body)
            return
        before = self.log.state(stream, entries[0].index)
        if not any(accepts(before, expected_of(one)) for one in self.batches[ids[0]].requests):
            self.wrong(c, r, "was taken in the state %r", before)
        if body["commit_position"] not in (-1, entries[-1].commit):
            self.wrong(c, r, "is stored at %d, not at %d", entries[-1].commit, body["commit_position"])
        for entry in entries:
            self.c.saw(entry)

    def conflict(self, c, r, error):
        """A refusal for the version: there was a state in which it is right."""
        stream = r.body["event_stream_id"]
        states = [state for state in self.states(r, stream) if not self.takes(r, state)]
        told = error.get("body", {}).get("current_version")
        if told is not None and r.all["message"] == "WriteEvents":
            states = [state for state in states if state.last == told]
        if not states:
            self.wrong(c, r, "refused with %r, but the stream was %r", error, self.states(r, stream))

    def error_wrong_expected_version(self, c, r, error):
        if r.all["message"] == "TransactionCommit":
            return      # the version is that of its start, which the commit does not name
        self.conflict(c, r, error)
        if error["message"].find("'%s'" % r.body["event_stream_id"]) < 0:
            self.wrong(c, r, "the message does not name the stream: %r", error)

    def error_stream_deleted(self, c, r, error):
        stream = r.body.get("event_stream_id") or self.transactions.get(r.body.get("transaction_id"))
        states = self.states(r, stream)
        soft = expected_of(r) == -4 and any(map(soft_deleted, states))
        if not soft and not any(state.last == DELETED for state in states):
            self.wrong(c, r, "stream_deleted, but it was %r", states)

    # Deletes

    def ok_DeleteStream(self, c, r, body):
        stream, hard = r.body["event_stream_id"], r.body.get("hard_delete", False)
        position = (body["commit_position"], body["prepare_position"])
        entry = self.log.by_position.get(position)
        if entry is None or entry.stream != (stream if hard else "$$" + stream) or entry.index in self.deletions_seen:
            self.wrong(c, r, "answered %r, and there is %r", body, entry)
            return
        self.deletions_seen.add(entry.index)
        state = self.log.state(stream, entry.index + 1)
        if not (state.last == DELETED if hard else soft_deleted(state) or state.last < 0):
            self.wrong(c, r, "left the state %r", state)
        before = self.log.state(stream, entry.index)
        if not self.takes(r, before):
            self.wrong(c, r, "was taken in the state %r", before)
        self.c.saw(entry)

    def takes(self, r, state):
        """Whether a write or delete is taken; from 21.10 on a stream that is not there
        cannot be deleted softly."""
        if r.all["message"] == "DeleteStream" and not r.body["hard_delete"] and state.last < 0 and self.c.version >= [21, 10]:
            return False
        return accepts(state, expected_of(r))

    # Transactions: what is written is seen at the commit

    def ok_TransactionStart(self, c, r, body):
        self.transactions[body["transaction_id"]] = r.body["event_stream_id"]

    def ok_TransactionWrite(self, c, r, body):
        pass

    def ok_TransactionCommit(self, c, r, body):
        stream = self.transactions[r.body["transaction_id"]]
        numbers = range(body["first_event_number"], body["last_event_number"] + 1)
        entries = [self.log.entry(stream, number) for number in numbers]
        if None in entries:
            self.wrong(c, r, "answered %r, and that is not stored", body)
        for entry in filter(None, entries):
            self.c.saw(entry)
        stored = {entry.id for entry in filter(None, entries)}
        for batch in self.batches.values():
            if batch.in_transaction and batch.requests[0].body["transaction_id"] == r.body["transaction_id"]:
                batch.committed = True
                if "ok" in batch.outcomes() and not stored.issuperset(batch.ids):
                    self.wrong(c, r, "committed, and not with %r", batch.ids)

    # Reads

    def page(self, c, r, body, model, first):
        stream, count = r.body["event_stream_id"], r.body["max_count"]
        events = [item.get("link") or item["event"] for item in body["events"]]
        got = ([event["event_number"] for event in events], body["next_event_number"], body["is_end_of_stream"])
        states = [(state, model(state, r.body.get("from_event_number", first), count)) for state in self.states(r, stream)]
        fitting = [state for state, wanted in states
                   if wanted[0] is None and wanted[1:] == got and state.last == body["last_event_number"]]
        if not fitting:
            self.wrong(c, r, "answered %r, last %r; right were %r", got, body["last_event_number"], states)
        self.known_events(c, r, events)

    def known_events(self, c, r, events):
        for event in events:
            entry = self.log.entry(event["event_stream_id"], event["event_number"])
            difference = "it is not in the store" if entry is None else self.c.subscriptions.difference(entry, event)
            if difference:
                self.wrong(c, r, "event %r: %s", event, difference)
            elif entry.index >= self.c.high():
                self.wrong(c, r, "event %r was not yet written", event)
            else:
                self.c.saw(entry)

    def ok_ReadStreamEvents(self, c, r, body):
        self.page(c, r, body, read_forward, 0)

    def ok_ReadStreamEventsBackward(self, c, r, body):
        self.page(c, r, body, read_backward, -1)

    def ok_ReadEvent(self, c, r, body):
        event = body["event"].get("link") or body["event"]["event"]
        wanted = [read_event(state, r.body["event_number"]) for state in self.states(r, r.body["event_stream_id"])]
        if (None, event["event_number"]) not in wanted:
            self.wrong(c, r, "answered with number %d; right were %r", event["event_number"], wanted)
        self.known_events(c, r, [event])

    def read_error(self, c, r, error):
        model = {"ReadEvent": lambda state: read_event(state, r.body["event_number"]),
                 "ReadStreamEvents": lambda state: read_forward(state, 0, 1),
                 "ReadStreamEventsBackward": lambda state: read_backward(state, -1, 1)}.get(r.all["message"])
        states = self.states(r, r.body.get("event_stream_id", ""))
        if model is None or error["code"] not in [model(state)[0] for state in states]:
            self.wrong(c, r, "failed with %r; the stream was %r", error, states)

    error_no_stream = error_not_found = read_error

    def ok_ReadAllEvents(self, c, r, body):
        events = [item["event"] for item in body["events"]]
        self.all_page(c, r, events, list(range(len(events))), 0)

    def ok_ReadAllEventsBackward(self, c, r, body):
        events = [item["event"] for item in body["events"]]
        end = self.index_of(events[0]) + 1 if events else 0
        self.all_page(c, r, events, list(range(end - 1, end - 1 - len(events), -1)), end)

    def index_of(self, event):
        entry = self.log.entry(event["event_stream_id"], event["event_number"])
        return entry.index if entry else -1

    def all_page(self, c, r, events, wanted, end):
        if [self.index_of(event) for event in events] != wanted:
            self.wrong(c, r, "answered %r, not %r", [self.index_of(event) for event in events], wanted)
        least = r.known if r.all["message"] == "ReadAllEventsBackward" else min(r.known, r.body["max_count"])
        if max(end, len(events)) < least:
            self.wrong(c, r, "answered %d events up to %d; %d were known", len(events), end, least)
        self.known_events(c, r, events)

    # Groups

    @staticmethod
    def group_key(r):
        return r.body["event_stream_id"], r.body["subscription_group_name"]

    def group_states(self, r):
        return self.groups.setdefault(self.group_key(r), {"absent"})

    def group_changed(self, c, r, needed, after):
        key, states = self.group_key(r), self.group_states(r)
        if needed not in states:
            self.wrong(c, r, "answered %s, but the group was %s", r.code, states)
        states.clear()
        states.add(after)
        if self.doubt_at.get(key, -1) > min(self.c.calm_at, r.time):
            states.update(("there", "absent"))      # an earlier request may still be carried out

    def ok_CreatePersistentSubscription(self, c, r, body):
        self.group_changed(c, r, "absent", "there")

    def ok_UpdatePersistentSubscription(self, c, r, body):
        self.group_changed(c, r, "there", "there")

    def ok_DeletePersistentSubscription(self, c, r, body):
        self.group_changed(c, r, "there", "absent")

    def error_already_exists(self, c, r, error):
        self.group_changed(c, r, "there", "there")

    def error_does_not_exist(self, c, r, error):
        self.group_changed(c, r, "absent", "absent")

    # At the end

    def finish(self):
        for batch in self.batches.values():
            self.stored_as_said(batch)
        self.in_order()
        for stream, requests in self.deletes.items():
            self.deleted_as_said(stream, requests)

    def stored_as_said(self, batch):
        counts = {len(self.log.by_id.get(one, ())) for one in batch.ids}
        said = batch.outcomes()
        if batch.in_transaction:
            if max(counts) > 1:
                self.c.wrong("transaction events %r are stored %s times", batch.ids, sorted(counts))
            return
        if len(counts) > 1:
            self.c.wrong("batch %r is stored in part: %s times", batch.ids, sorted(counts))
        elif "ok" in said and counts == {0}:
            self.c.wrong("%r was acknowledged and is stored %s times", batch.ids, counts)
        elif "ok" not in said and set(said) == {"none"} and counts != {0}:
            self.c.wrong("%r has outcome none and is stored %s times: %r", batch.ids, counts, batch.requests[0].all)
        elif max(counts) > 1 and not self.recreates(batch):
            self.c.wrong("%r is stored %s times", batch.ids, counts)

    def recreates(self, batch):
        """The store takes "no_stream" again, whatever the ids, when the stream was softly deleted in between."""
        entries = self.log.by_id[batch.ids[0]]
        return expected_of(batch.requests[0]) == -1 and all(
            soft_deleted(self.log.state(entry.stream, entry.index)) for entry in entries[1:])

    def in_order(self):
        """What one client wrote to one stream is stored in the order in which it was asked for, unless the store itself
        has passed a write over (NotHandled), or it was asked for twice. A write with an exact version that was not yet right
        may be right when it is sent again after a lost connection: the later one that made it so was stored before it."""
        last = {}
        for batch in self.batches.values():
            entries = self.log.by_id.get(batch.ids[0])
            if batch.in_transaction or len(batch.requests) > 1 or batch.outcomes() != ["ok"] or not entries:
                continue
            at, until = batch.requests[0].time, batch.requests[0].answered
            key = (batch.conn, batch.stream)
            before, asked, late, exact = last.get(key, (-1, -1, -1, False))
            passed_over = any(asked - PASS_OVER <= refused <= max(until, late) for refused in self.refusals_at)
            right_later = exact and any(asked <= lost <= late for lost in self.c.losses)
            if entries[0].index < before and not passed_over and not right_later:
                self.c.wrong("conn %d: %r was written after a later one", batch.conn, batch.requests[0].all)
            last[key] = (entries[0].index, at, until, expected_of(batch.requests[0]) >= 0)

    def deleted_as_said(self, stream, requests):
        """The tombstones and soft deletions of STREAM are as many as were acknowledged, and as many more as are unknown."""
        for hard in (False, True):
            mine = [r for r in requests if r.body.get("hard_delete", False) == hard]
            done = sum(r.code == "ok" for r in mine)
            open_ = sum(r.code is None or r.outcome == "unknown" for r in mine)
            if hard:
                stored = int(self.log.final(stream).last == DELETED)
            else:
                stored = sum(self.log.data(entry) in ({"$tb": DELETED}, {"$tb": OLD_DELETED})
                             for entry in self.log.streams.get("$$" + stream, {}).values())
            if not done <= stored <= done + open_:
                self.c.wrong("stream %s: %d deletions (hard: %s), but %d acknowledged and %d unknown", stream, stored, hard,
                             done, open_)


GROUP_CHANGES = ("CreatePersistentSubscription", "UpdatePersistentSubscription", "DeletePersistentSubscription")
PASS_OVER = 500     # records that a refused write may be behind others that were asked for later
