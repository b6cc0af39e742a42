"""The part of the checker for subscriptions: complete, in order, nothing twice but what the promises allow."""

import collections

from truth import DELETED, soft_deleted

DONE = ("acked", "parked", "skipped")   # the group does not deliver these again, once the store has heard of it
COUNTED_FROM = [4, 1]                   # the first version that tells how often it has delivered an event before
ADDED_FROM = [20, 10]                   # the first that adds to that where a consumer leaves; before, it is 1 again
ACTIONS = {"park": "parked", "skip": "skipped", "stop": "skipped", "retry": "retry", "unknown": "retry"}


class Subscription:
    """What is common to all kinds."""

    def __init__(self, owner, c, r, name):
        self.owner, self.c, self.conn, self.r, self.name = owner, owner.c, c, r, name
        self.log = owner.log
        self.stream = r.all["stream"]
        self.interrupted = False
        self.interruptions = 0
        self.ended = None           # how
        self.deleted = False        # stream_deleted with "hard" was told
        self.most = 0               # events that may be outstanding
        self.acks = {}              # id of the request: the ids in it

    def wrong(self, text, *arguments):
        self.c.wrong("conn %d, %r: %s", self.conn.number, self.r.all, text % arguments)

    def replied(self, ok):
        self.most = ok["window"]

    def entry_of(self, push):
        event = push.get("link") or push["event"]
        entry = self.log.entry(event["event_stream_id"], event["event_number"])
        difference = "it is not in the store" if entry is None else self.owner.difference(entry, event)
        if difference:
            self.wrong("event %r: %s", push, difference)
            return None
        if entry.stream != self.stream and self.stream != "$all":
            self.wrong("event %r of another stream", push)
        if "link" in push and "event" in push:
            self.follow(push["event"], entry)
        if self.most and push.get("ack_id") != entry.id or not self.most and "ack_id" in push:
            self.wrong("ack_id of %r", push)
        if entry.index >= self.c.high():
            self.wrong("event %r was not yet written", push)
        self.c.saw(entry)
        return entry

    def follow(self, event, link):
        number, stream = link.data.decode().split("@", 1)
        target = self.log.entry(stream, int(number))
        if target is None or self.owner.difference(target, event):
            self.wrong("the link %r led to %r", link, event)

    def push(self, line):
        getattr(self, "on_" + line["push"])(line)

    def on_interrupted(self, line):
        if self.interrupted:
            self.wrong("interrupted twice")
        self.interruptions += line["reason"] == "connection_lost"
        if self.interruptions > sum(time > self.r.time for time in self.c.losses):
            self.wrong("interrupted for the %d. time, and the connection was not lost so often", self.interruptions)
        self.interrupted = True

    def on_resumed(self, line):
        if not self.interrupted:
            self.wrong("resumed, and was not interrupted")
        self.interrupted = False
        if line.get("gap"):
            self.gap()

    def gap(self):
        self.wrong("a gap")

    def on_caught_up(self, line):
        self.wrong("%r", line)

    def on_stream_deleted(self, line):
        states = self.log.states(self.stream, self.r.known, self.c.high())
        if line["hard"]:
            self.deleted = True
            if not any(state.last == DELETED for state in states):
                self.wrong("told of a deletion; the stream was %r", states)
        elif not any(map(soft_deleted, states)):
            self.wrong("told of a soft deletion; the stream was %r", states)

    def on_dropped(self, line):
        reason = line["reason"]
        well = {"stream_deleted": self.deleted, "shutting_down": self.c.ending,
                "protocol_error": self.c.garbage,
                "persistent_subscription_deleted": self.group_may_be_gone()}.get(reason, False)
        if not well:
            self.wrong("dropped: %s", reason)
        self.end("dropped")

    def group_may_be_gone(self):
        return False

    def end(self, how):
        self.ended = how
        self.conn.subs.pop(self.name, None)
        self.conn.over[self.name] = how

    def at_the_end(self):
        if self.interrupted:
            self.wrong("is still interrupted")


class Follow(Subscription):
    """Live and catch-up."""

    def __init__(self, owner, c, r, name):
        super().__init__(owner, c, r, name)
        self.all = self.stream == "$all"
        self.outstanding = []       # [ack_id, place]
        self.again = []             # places nacked for retry
        self.must_come = []         # those whose nack was answered
        self.crossed = []           # those acked after that: they may have been on their way again
        self.caught_up = 0

    def replied(self, ok):
        super().replied(ok)
        r = self.r.all
        self.live = ok["mode"] == "live"
        self.follows = self.live and not self.most   # goes on with what is new after a loss
        self.next = self.floor = None
        start = r.get("from", "start")
        if self.live or start == "end":
            self.start_at_end(ok)
        elif isinstance(start, dict):
            self.next = self.log.by_position[start["commit"], start["prepare"]].index
        else:
            self.next = 0 if start == "start" else start

    def start_at_end(self, ok):
        if self.all:
            self.unknown(self.r.known)
            return
        last = ok["last_event_number"]
        states = self.log.states(self.stream, self.r.known, self.c.high())
        if last not in [state.last for state in states]:
            self.wrong("begins after %d; the stream was %r", last, states)
        self.next = last + 1

    def unknown(self, floor):
        """Where it goes on is known to be from FLOOR on, and not after what is asked for from now on."""
        self.next, self.floor = None, floor
        if self.all:
            self.ceiling = self.c.high()
        else:
            numbers = self.log.streams.get(self.stream, {})
            self.ceiling = min((n for n, entry in numbers.items() if entry.index >= self.c.high()), default=self.end_place())

    def end_place(self):
        if self.all:
            return len(self.log.entries)
        return 1 + max((n for n in self.log.streams.get(self.stream, {}) if n != DELETED), default=-1)

    def gap(self):
        if not self.follows:
            self.wrong("a gap")
        else:
            self.unknown(self.floor if self.next is None else self.next)

    def on_event(self, line):
        if self.interrupted:
            self.wrong("an event while it is interrupted: %r", line)
        entry = self.entry_of(line)
        if entry is None:
            return
        place = entry.index if self.all else entry.number
        if place in self.again:
            self.again.remove(place)
            if place in self.must_come:
                self.must_come.remove(place)
            return
        if place in self.crossed:
            self.crossed.remove(place)
            return
        self.must_come = [p for p in self.must_come if not self.hidden(p)]
        if self.must_come:
            self.wrong("%r came before %r, which was nacked", line, self.must_come)
        self.take(place, line)
        if self.most:
            self.outstanding.append([line["ack_id"], place])
            if len(self.outstanding) > self.most:       # what was to come again and is hidden by now needs no ack
                self.outstanding = [pair for pair in self.outstanding if not (pair[1] in self.again and self.hidden(pair[1]))]
            if len(self.outstanding) > self.most:
                self.wrong("%d events are outstanding", len(self.outstanding))

    def take(self, place, line):
        if self.next is None:
            if place < self.floor:
                self.wrong("goes on with %d, not with %d to %d", place, self.floor, self.ceiling)
            elif place > self.ceiling:
                self.next = self.ceiling
                self.skip(place)    # what was hidden before there was room for it
        elif place < self.next:
            self.wrong("%d came when %d was due: %r", place, self.next, line)
        else:
            self.skip(place)
        self.next = place + 1

    def skip(self, end):
        """What is left out before END must be hidden."""
        for place in range(self.next, end):
            if not self.hidden(place):
                self.wrong("%d is missing, before %d", place, end)
                return

    def hidden(self, place):
        if self.all:
            return False
        entry = self.log.entry(self.stream, place)
        return entry is None or self.log.was_hidden(self.stream, place, entry.index + 1, self.c.high())

    def on_caught_up(self, line):
        self.caught_up += 1
        if self.live or self.caught_up > 1:
            self.wrong("caught up %d times", self.caught_up)
        elif self.all:
            if self.next is not None and self.next < self.r.known:
                self.wrong("caught up at %d, and %d were known", self.next, self.r.known)
        else:
            last = line["last_event_number"]
            states = self.log.states(self.stream, self.r.known, self.c.high())
            if last not in [state.last for state in states]:
                self.wrong("caught up at %d; the stream was %r", last, states)
            self.skip(last + 1)

    # Acks

    def acked(self, r):
        negative = r.all["op"] == "nack"
        r.claimed = []
        for one in ids_of(self.outstanding, r):
            pair = next((pair for pair in self.outstanding if pair[0] == one), None)
            if pair is None:
                continue
            r.claimed.append(one)
            if negative and r.all.get("action", "retry") == "retry":
                self.again.append(pair[1])
                self.acks.setdefault(r.all.get("id"), []).append(pair[1])
            else:
                self.outstanding.remove(pair)
                if pair[1] in self.again:
                    self.again.remove(pair[1])
                    self.crossed.append(pair[1])
                if pair[1] in self.must_come:
                    self.must_come.remove(pair[1])

    def ack_replied(self, r, _count):
        self.must_come += [place for place in self.acks.pop(r.all.get("id"), ()) if place in self.again]

    def refused(self, ids):
        for one in ids:
            entry = self.log.by_id[one][0]
            if not self.hidden(entry.number):
                self.wrong("does not know the event %s, which was outstanding", one)
            self.outstanding = [pair for pair in self.outstanding if pair[0] != one]

    def returned(self, why):
        pass

    def answered(self, r):
        pass

    def at_the_end(self):
        super().at_the_end()
        if not self.all and self.log.final(self.stream).last == DELETED:
            self.wrong("lives, and its stream is deleted")
        elif self.next is None:
            if self.ceiling < self.end_place():
                self.wrong("nothing came, and %d to %d were due", self.ceiling, self.end_place())
        elif self.all and self.next != self.end_place():
            self.wrong("came to %d of %d", self.next, self.end_place())
        else:
            self.skip(self.end_place())
        if not self.live and self.caught_up != 1:
            self.wrong("caught up %d times", self.caught_up)
        if [place for place in self.again if not self.hidden(place)]:
            self.wrong("these were nacked and did not come again: %r", self.again)


class Group:
    """What the consumers of a group were given, by number."""

    def __init__(self):
        self.events = {}        # number: [status, subscription, time, retry_count], as was seen last
        self.done = set()       # (number, subscription) where that one has dealt with the event
        self.consumers = []
        # (holder, other, what is wrong unless one of them is still to read that it was interrupted)
        self.suspicions = []


class Persistent(Subscription):
    def __init__(self, owner, c, r, name):
        super().__init__(owner, c, r, name)
        self.group = owner.groups.setdefault((self.stream, r.all["group"]), Group())
        self.group.consumers.append(self)
        self.suspicions = self.group.suspicions
        self.held = {}          # ack_id: number, in the order of delivery
        self.interrupted_at = -1
        # Acks sent before an interruption was read hold for what is delivered again: up to the answer to a later request
        # it is not known what they have taken.
        self.settled = True
        self.unsettled = set()  # numbers delivered meanwhile
        # It has asked for its end: what was on its way to it may be read later than another reads, and deals with, the
        # next delivery of the same.
        self.leaving = False
        self.ended_at = None
        # Likewise an up_to counts from the newest place of its event: where that is delivered again before the up_to has
        # come to the daemon, it takes all that was delivered in between. {event id: when an up_to of it was sent}, while
        # it is not known to have come.
        self.sweeps = {}
        self.swept = set()      # numbers that one of them may have taken
        self.given = {}         # number: when it was delivered last
        # An ack or nack that was answered has taken what it names, whatever is said of a later one that is on its way; until
        # that is delivered again.
        self.taken = set()

    def on_interrupted(self, line):
        if line["reason"] == "group_changed" and not self.owner.may_have_changed(self):
            self.wrong("interrupted by a change of the group, and nobody changed it")
        super().on_interrupted(line)
        self.returned("interrupted")
        self.interrupted_at = self.c.time
        self.settled = False
        self.unsettled.clear()
        self.group.suspicions[:] = [one for one in self.group.suspicions if self not in one]

    def group_may_be_gone(self):
        key = (self.stream, self.r.all["group"])
        return self.owner.may_have_changed(self) or "absent" in self.c.requests.groups.get(key, ("absent",))

    def at_the_end(self):
        if not self.owner.may_have_changed(self):   # who reads a group that is changed is not waited for
            super().at_the_end()

    def on_event(self, line):
        if self.interrupted:
            self.wrong("an event while it is interrupted: %r", line)
        entry = self.entry_of(line)
        if entry is None:
            return
        before = self.group.events.get(entry.number)
        if self.leaving and before and before[1] is not self:
            return
        if before:
            self.judge_again(before, entry, line)
        self.group.events[entry.number] = ["out", self, self.c.time, line["retry_count"]]
        if self.settled:
            self.unsettled.discard(entry.number)
        else:
            self.unsettled.add(entry.number)
        self.held.pop(entry.id, None)
        self.held[entry.id] = entry.number
        self.given[entry.number] = self.c.time
        self.taken.discard(entry.number)
        self.swept.discard(entry.number)
        if entry.id in self.sweeps:
            self.swept.update(self.held.values())
            self.swept.update(number for number, time in self.given.items() if time > self.sweeps[entry.id])
        in_flight = sum(number not in self.unsettled for number in self.held.values())
        if in_flight > self.most:
            self.wrong("%d events are in flight", in_flight)

    def judge_again(self, before, entry, line):
        status, holder, time, retries = before
        text = None
        if status == "out" and not holder.ended and not self.inherits(holder, retries, line):
            text = "%d is out already, on conn %d" % (entry.number, holder.conn.number)
        elif status in DONE:
            text = "%d comes again: %s at record %d" % (entry.number, status, time)
        elif status == "retry" and holder is self and not self.counts_on(retries, time, line):
            text = "%d has retry_count %d after %d" % (entry.number, line["retry_count"], retries)
        if not text or holder.interrupted_at >= time or entry.number in holder.unsettled or self.owner.may_have_changed(self):
            return
        if holder is self:
            self.wrong("%s", text)
        elif self.c.lost_at < time:
            self.suspicions.append((holder, self, text))

    def inherits(self, holder, retries, line):
        """Whether the event may come since HOLDER, which has asked for its end, gave it back with that. The answer to HOLDER
        may be read later than LINE: nothing is promised of the order between two connections."""
        if holder is self or not holder.leaving:
            return False
        if self.c.version < COUNTED_FROM:
            return True
        return line["retry_count"] > (retries if self.c.version >= ADDED_FROM else 0)

    def counts_on(self, retries, time, line):
        """Whether the event, which had the count RETRIES when it was nacked at TIME, may have the count of LINE now: each other
        consumer that ended since may have been given it in between, and not have read it before its end."""
        count = line["retry_count"]
        ends = sum(one is not self and one.ends_after(time) for one in self.group.consumers)
        if count == retries + 1 or self.c.version < COUNTED_FROM:
            return True
        if self.c.version < ADDED_FROM:
            return ends > 0 and count == 1
        return retries + 1 < count <= retries + 1 + ends

    def ends_after(self, time):
        return self.leaving if self.ended_at is None else self.ended_at >= time

    def acked(self, r):
        negative = r.all["op"] == "nack"
        status = ACTIONS[r.all.get("action", "retry")] if negative else "acked"
        order = [[one, number] for one, number in self.held.items()]
        r.claimed = [one for one in ids_of(order, r) if one in self.held]
        for one in r.claimed:
            number = self.held.pop(one)
            self.mark(number, status)
            if status != "retry":
                self.group.done.add((number, self))
        if "up_to" in r.all:
            self.sweeps[r.all["up_to"]] = r.time

    def mark(self, number, status):
        before = self.group.events[number]
        if before[1] is self and before[0] == "out":
            self.group.events[number] = [status, self, self.c.time, before[3]]

    def ack_replied(self, r, count):
        if r.all["op"] == "nack" and ACTIONS[r.all.get("action", "retry")] == "retry":
            return
        if "events" in r.all:
            self.taken.update(self.log.by_id[one][0].number for one in r.claimed)
        elif count >= len(self.swept):      # it has taken all that it may have
            self.group.done.update((number, self) for number in self.swept)

    def answered(self, r):
        if r.time > self.interrupted_at:
            self.settled = True
        self.sweeps = {one: time for one, time in self.sweeps.items() if time > r.time}

    def refused(self, ids):
        for one in ids:
            number = self.log.by_id[one][0].number
            mine = self.group.events.get(number)
            if number in self.swept:
                self.group.done.add((number, self))
            if number in self.unsettled or number in self.swept:
                if mine and mine[1] is self:
                    mine[0] = "returned"    # the earlier word on it may have been a nack
                continue
            if number not in self.taken:
                self.group.done.discard((number, self))
            if mine and mine[1] is self and mine[0] in DONE + ("retry",):
                if not (self.interrupted_at >= mine[2] or self.owner.may_have_changed(self)):
                    self.wrong("does not know the event %s, which was outstanding", one)
                mine[0] = "returned"

    def returned(self, why):
        self.leaving = self.leaving or why == "unsubscribed"
        for number in self.held.values():
            self.mark(number, "returned")
        self.held.clear()

    def end(self, how):
        super().end(how)
        self.ended_at = self.c.time
        self.returned(how)


def ids_of(order, r):
    """The ids that an ack or nack names, as far as they are outstanding; ORDER: [id, place] as they were delivered."""
    if "events" in r.all:
        return list(r.all["events"])
    ids = [one for one, _ in order]
    return ids[:ids.index(r.all["up_to"]) + 1] if r.all["up_to"] in ids else []


class Subscriptions:
    def __init__(self, checker):
        self.c, self.log = checker, checker.log
        self.groups = {}
        self.waiting = {}       # (conn, id of the request): a subscription that is asked for
        asked = collections.defaultdict(set)
        for record in checker.history:
            if record[0] == "send" and "subscription_group_name" in record[2].get("body", {}):
                body = record[2]["body"]
                asked[record[2]["message"]].add((body["event_stream_id"], body["subscription_group_name"]))
        self.changeable = asked["UpdatePersistentSubscription"] | asked["DeletePersistentSubscription"]

    def difference(self, entry, event):
        if event["event_id"] != entry.id:
            return "its id is not %s" % entry.id
        if event["event_type"] != entry.type:
            return "its type is not %s" % entry.type
        if "data" in event and event["data"] != self.log.data(entry):
            return "its data is not %r" % entry.data
        return None

    # Requests

    def sent(self, c, r):
        op = r.all["op"]
        if op == "subscribe":
            kind = Persistent if "group" in r.all else Follow
            self.waiting[c.number, r.all["id"]] = kind(self, c, r, r.all["sub"])
        elif op in ("ack", "nack") and r.all["sub"] in c.subs:
            c.subs[r.all["sub"]].acked(r)
        elif op == "unsubscribe" and r.all["sub"] in c.subs:
            c.subs[r.all["sub"]].returned("unsubscribed")

    def ok(self, c, r, ok):
        op = r.all["op"]
        if op == "subscribe":
            sub = self.waiting.pop((c.number, r.all["id"]))
            c.subs[sub.name] = sub
            sub.replied(ok)
        elif op == "unsubscribe" and r.all["sub"] in c.subs:
            c.subs[r.all["sub"]].end("unsubscribed")
        elif op in ("ack", "nack") and r.all["sub"] in c.subs:
            c.subs[r.all["sub"]].ack_replied(r, ok.get("acked", ok.get("nacked")))

    def failed(self, c, r):
        if r.all["op"] == "subscribe":
            self.waiting.pop((c.number, r.all["id"]))
        elif r.all["op"] == "unsubscribe" and r.all["sub"] in c.subs:
            c.subs[r.all["sub"]].end("unsubscribed")

    def error(self, c, r, error):
        op, code = r.all["op"], error["code"]
        if op == "subscribe":
            sub = self.waiting.pop((c.number, r.all["id"]))
            if not (code == "not_found" and "group" in r.all and sub.group_may_be_gone()):
                sub.wrong("failed with %r", error)
        elif code == "unknown_event":
            self.refused(c, r, error)
        elif code == "unknown_subscription" and r.all.get("sub") in c.over:
            pass
        else:
            self.c.wrong("conn %d: %r failed with %r", c.number, r.all, error)

    def refused(self, c, r, error):
        """An ack or nack named events that are not outstanding; the driver does so by intention only with an id."""
        ids = error["body"]["events"]
        for sub in list(c.subs.values()):
            if r is None:
                if "'%s'" % sub.name in error["message"]:
                    sub.refused(ids)
            elif sub.name == r.all["sub"]:
                sub.refused([one for one in ids if one in getattr(r, "claimed", ())])

    # Pushes

    def push(self, c, line):
        sub = c.subs.get(line["sub"])
        if c.over.get(line["sub"]) == "half closed":
            return      # it was sent before the daemon saw the end of the input
        if sub is None:
            self.c.wrong("conn %d: %r of a subscription that %s", c.number, line,
                         "is over" if line["sub"] in c.over else "nobody made")
        else:
            sub.push(line)

    def half_closed(self, c):
        for sub in list(c.subs.values()):
            if sub.most:
                sub.end("half closed")

    def gone(self, c):
        for sub in list(c.subs.values()):
            sub.end("gone")

    # Groups

    def may_have_changed(self, sub):
        """Whether anybody changes the group of SUB in this run."""
        return (sub.stream, sub.r.all["group"]) in self.changeable

    # At the end

    def drained(self, groups):
        for group in self.groups.values():
            for holder, other, text in group.suspicions:
                if not ((holder.ended or other.ended) and self.c.lost_at > holder.r.time):
                    other.wrong("%s", text)
        for conn in self.c.conns.values():
            for sub in list(conn.subs.values()):
                if not conn.half:
                    sub.at_the_end()
        for stream, name in groups:
            self.complete(stream, name)

    def complete(self, stream, name):
        """All events of the stream were dealt with, but those that may have been hidden."""
        done = {number for number, _ in self.groups[stream, name].done} if (stream, name) in self.groups else ()
        for number, entry in self.log.streams.get(stream, {}).items():
            hidden = number == DELETED or self.log.was_hidden(stream, number, entry.index + 1, len(self.log.entries))
            if number not in done and not hidden:
                self.c.wrong("group %s of %s: event %d was not dealt with", name, stream, number)
                return
