"""What a run of the model test asks for: the steps of a seed. They depend on the seed alone, never on an answer.

Version numbers, transaction ids and ids of delivered events are known only when they are there; a step says which is
meant ("exact", the transaction of the client), and the driver fills it in.
"""

import random
import uuid

SLOTS = 4                   # clients at a time
PATIENT_MS = 20000          # what a request may take that must not be late, however busy the machine
STREAMS = ["plain", "limited", "deleted", "mortal1", "mortal2", "mortal3", "links"]
PLAIN, LIMITED, DELETED, LINKS = "plain", "limited", "deleted", "links"
MORTAL = ["mortal1", "mortal2", "mortal3"]      # these may be deleted for good
GROUPS = [(PLAIN, "g1", {}), (LINKS, "g2", {"resolve_link_tos": True}),
          (DELETED, "g3", {"named_consumer_strategy": "DispatchToSingle"}), (LIMITED, "g4", {})]
CHURN = (PLAIN, "churn")    # a group that is made, changed and deleted all the time

ANSWERS = ["WriteEventsCompleted", "ReadEventCompleted", "ReadStreamEventsForwardCompleted",
           "ReadStreamEventsBackwardCompleted", "ReadAllEventsForwardCompleted"]
PUSHES = ["StreamEventAppeared", "PersistentSubscriptionStreamEventAppeared"]
REQUESTS = ["WriteEvents", "ReadStreamEventsForward", "ReadEvent", "ReadAllEventsForward", "SubscribeToStream", "DeleteStream",
            "ConnectToPersistentSubscription", "TransactionStart", "TransactionWrite", "TransactionCommit"]
DELAYED = [request for request in REQUESTS if "Subscri" not in request]     # events before a confirmation break the protocol
QUIET = ["UnsubscribeFromStream", "PersistentSubscriptionAckEvents", "PersistentSubscriptionNakEvents", "Ping"]
CONFIRMATIONS = ["SubscriptionConfirmation", "PersistentSubscriptionConfirmation", "SubscriptionDropped", "ClientIdentified"]


class Script:
    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.storm = False
        self.names = 0
        self.written = []       # batches that may be repeated

    def one_of(self, *choices):
        return self.chance.choice(choices)

    def steps(self, count):
        weights = [(getattr(self, "step_" + name), weight) for name, weight in WEIGHTS.items()]
        made = [step for step, _ in weights]
        for _ in range(count):
            yield self.chance.choices(made, [weight for _, weight in weights])[0]()

    def slot(self):
        return self.chance.randrange(SLOTS)

    def timeout(self):
        return self.chance.choice([150, 600, 5000]) if self.storm else PATIENT_MS

    def event_id(self):
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))

    def events(self, most=5):
        out = []
        for _ in range(self.chance.randint(1, most)):
            data = {"n": self.chance.randrange(1000)}
            if self.chance.random() < 0.05:
                data["pad"] = "x" * self.chance.randint(1000, 9000)
            out.append({"event_type": "t%d" % self.chance.randrange(5), "event_id": self.event_id(), "data": data})
        return out

    def links(self, most):
        return [{"event_type": "$>", "event_id": self.event_id(),
                 "data_text": "%d@%s" % (self.chance.randrange(40), self.chance.choice([PLAIN, LIMITED, MORTAL[0]]))}
                for _ in range(self.chance.randint(1, most))]

    def execute(self, message, body, **members):
        return ("execute", self.slot(), message, body, dict(members, timeout_ms=self.timeout()))

    # Requests

    def step_write(self):
        stream = self.chance.choice(STREAMS[:6])
        expected = self.chance.choices(["any", "exact", "no_stream", "stream_exists", 3, "wrong"], [5, 5, 1, 1, 0.3, 0.7])[0]
        step = self.execute("WriteEvents", {"event_stream_id": stream, "expected_version": expected, "events": self.events()})
        self.written.append(step)
        return step

    def step_many(self):
        """A burst of writes, so that slow readers fall behind."""
        return ("burst", self.slot(), self.chance.choice([PLAIN, LIMITED]),
                [self.events(20) for _ in range(self.chance.randint(3, 12))], self.timeout())

    def step_repeat(self):
        if not self.written:
            return self.step_write()
        return ("repeat", self.slot(), self.chance.choice(self.written[-20:]), self.timeout())

    def step_link(self):
        return self.execute("WriteEvents", {"event_stream_id": LINKS, "expected_version": "any", "events": self.links(4)})

    def step_metadata(self):
        stream = self.chance.choice([LIMITED, LIMITED, DELETED])
        data = self.one_of({"$maxCount": self.chance.randint(1, 30)}, {"$tb": self.chance.randint(0, 40)}, {"note": 1})
        event = {"event_type": "$metadata", "event_id": self.event_id(), "data": data}
        return self.execute("WriteEvents", {"event_stream_id": "$$" + stream, "expected_version": "any", "events": [event]})

    def step_read(self):
        stream = self.chance.choice(STREAMS)
        if self.chance.random() < 0.5:
            return self.execute("ReadStreamEvents", {"event_stream_id": stream, "from_event_number": self.chance.randint(0, 60),
                                                     "max_count": self.chance.randint(1, 40)})
        return self.execute("ReadStreamEventsBackward", {"event_stream_id": stream, "max_count": self.chance.randint(1, 40),
                                                         "from_event_number": self.chance.randint(-1, 60)})

    def step_read_event(self):
        return self.execute("ReadEvent", {"event_stream_id": self.chance.choice(STREAMS),
                                          "event_number": self.chance.randint(-1, 30)})

    def step_read_all(self):
        message, at = self.one_of(("ReadAllEvents", 0), ("ReadAllEventsBackward", -1))
        return self.execute(message, {"commit_position": at, "prepare_position": at, "resolve_link_tos": False,
                                      "max_count": self.chance.randint(1, 60)})

    def step_delete(self):
        hard = self.chance.random() < 0.2
        stream = self.chance.choice(MORTAL) if hard else self.chance.choice([DELETED, DELETED, LIMITED] + MORTAL)
        return self.execute("DeleteStream", {"event_stream_id": stream, "hard_delete": hard,
                                             "expected_version": self.one_of("any", "any", "exact", "no_stream")})

    def step_transaction(self):
        batches = [self.events(3) for _ in range(self.chance.randint(1, 3))]
        return ("transaction", self.slot(), self.chance.choice([PLAIN, DELETED, MORTAL[0]]), batches, self.timeout())

    def step_ping(self):
        return ("ask", self.slot(), {"op": "ping", "timeout_ms": self.timeout()})

    def step_status(self):
        return ("ask", self.slot(), {"op": "status"})

    def step_churn(self):
        return ("group", self.one_of("CreatePersistentSubscription", "UpdatePersistentSubscription",
                                     "DeletePersistentSubscription"), self.timeout())

    # Subscriptions

    def step_subscribe(self):
        self.names += 1
        kind = self.chance.choices([self.live, self.catchup, self.group], [2, 4, 4])[0]
        members = dict(kind(), op="subscribe", sub="sub%d" % self.names, timeout_ms=self.timeout())
        return ("subscribe", self.slot(), members, self.chance.getrandbits(32))

    def any_stream(self):
        return self.chance.choice(["$all", PLAIN, PLAIN, LIMITED, LIMITED, DELETED, LINKS] + MORTAL)

    def window(self):
        return {"window": self.chance.choice([1, 2, 5, 20])} if self.chance.random() < 0.6 else {}

    def live(self):
        return dict(self.window(), stream=self.any_stream(), resolve_link_tos=self.chance.random() < 0.7)

    def catchup(self):
        stream = self.any_stream()
        begin = self.one_of("start", "start", "end") if stream == "$all" else self.one_of(
            "start", "start", "end", self.chance.randint(0, 50))
        out = dict(self.live(), **{"from": begin}, stream=stream)
        if self.chance.random() < 0.7:
            out["read_batch"] = self.chance.choice([1, 2, 7, 30])
        return out

    def group(self):
        stream, name = self.chance.choice([(stream, name) for stream, name, _ in GROUPS] + [CHURN])
        return {"stream": stream, "group": name, "in_flight": self.chance.choice([1, 3, 10, 30])}

    def step_unsubscribe(self):
        return ("unsubscribe", self.slot(), self.chance.random(), self.timeout())

    # Faults

    def step_fault(self):
        self.storm = True
        return ("fault", self.fault())

    def fault(self):
        kind = self.chance.choices(["cut", "close", "stall", "delay", "refuse", "nonsense", "all"], [4, 6, 1.5, 2, 3, 2, 1.5])[0]
        nth = "#%d" % self.chance.choice([1, 1, 2, 5, 20])
        if kind == "cut":
            return "cut %d on %s%s" % (self.chance.randint(0, 60), self.chance.choice(ANSWERS + PUSHES + CONFIRMATIONS[:2]), nth)
        if kind == "close":
            what = self.chance.choice(REQUESTS + QUIET + PUSHES + ANSWERS + CONFIRMATIONS)
            return "%s on %s%s%s" % (self.one_of("drop", "reset"), what, nth, self.one_of("", " after"))
        if kind == "stall":
            return "stall on %s%s%s" % (self.chance.choice(REQUESTS + QUIET + PUSHES), nth, self.one_of("", " after"))
        if kind == "delay":
            return "delay %d on %s%s" % (self.chance.choice([5, 30, 200]), self.chance.choice(DELAYED), nth)
        if kind == "refuse":
            return "not-handled %s on %s%s" % (self.one_of("NotReady", "TooBusy"), self.chance.choice(REQUESTS), nth)
        if kind == "nonsense":
            return "%s on %s%s" % (self.one_of("garbage", "double"), self.chance.choice(ANSWERS), nth)
        return self.one_of("close all", "bad-request-zero", "raw ffffff7f", "restart keep %d" % self.chance.choice([0, 5, 40]))

    def step_calm(self):
        self.storm = False
        return ("calm",)

    # Clients and the daemon

    def step_die(self):
        return ("die", self.slot(), self.chance.random() < 0.5)

    def step_half(self):
        return ("half", self.slot())

    def step_deaf(self):
        return ("deaf", self.slot(), self.chance.choice([5, 20, 60]))

    def step_wait(self):
        return ("wait", self.storm)

    def step_kill(self):
        return ("kill",)

    def step_term(self):
        return ("term",)


WEIGHTS = {
    "write": 30, "many": 1.5, "repeat": 2, "link": 4, "metadata": 1.5, "read": 6, "read_event": 3, "read_all": 2, "delete": 2.5,
    "transaction": 3, "ping": 1.5, "status": 0.7, "churn": 1.5, "subscribe": 7, "unsubscribe": 3, "fault": 7, "calm": 1.5,
    "die": 1.2, "half": 1, "deaf": 1, "wait": 9, "kill": 0.4, "term": 0.3,
}
