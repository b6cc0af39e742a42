"""Judges what a run of the model test has seen: check(history, log) returns the broken promises as texts.

A history is a list of records in the order in which the driver saw them; the place of a record is its time:

  ["open", conn]             a client has connected; each connection has a number of its own
  ["send", conn, request]    it sent a request (one without id is an ack or nack)
  ["line", conn, line]       it received a line
  ["half", conn]             it closed its sending side
  ["close", conn]            it went
  ["deaf", conn]             it does not read while the daemon is told to end: what it was answered may be lost
  ["end", conn]              the daemon closed
  ["bridge", what]           the daemon was started ("start"), killed ("kill"), told to end ("term"), or ended ("exit 0")
  ["connected"], ["lost"]    what the daemon's log says of its connection to the store
  ["fault", command]         from here on the store may do that to a connection
  ["calm"]                   from here on no fault is waiting to happen, and the store is connected
  ["drained", groups]        the driver has waited for everything that it could expect, of these groups too
  ["left", name, number, wanted]  at the end NUMBER of these were there

A record is made when the driver sees it, which is later than it happened. So an answer at time T was given after all that
the driver knew when it sent the request, and before anything that was asked for after T: between these two bounds there must
be a state of the log in which the answer is right.
"""

import bisect

import requests_check
import subscriptions_check
MOST = 20   # violations that are told

TRANSIENT = {"timeout": "unknown", "connection_lost": "unknown", "unavailable": "none", "overloaded": "none",
             "shutting_down": None, "protocol_error": "unknown"}


class Request:
    def __init__(self, request, time, known, disturbed):
        self.body = request.get("body", {})
        self.all, self.time, self.known, self.disturbed = request, time, known, disturbed
        self.code = self.outcome = None     # of its answer; "ok"


class Connection:
    def __init__(self, number):
        self.number = number
        self.pending = {}
        self.answered = set()
        self.taken = -1     # requests sent before that time were taken up
        self.subs = {}
        self.over = {}      # name of a subscription that is over: how it ended
        self.half = self.gone = self.deaf = False


class Checker:
    def __init__(self, history, log, version):
        self.history, self.log = history, log
        self.version = [int(part) for part in version.split(".")]
        self.found = []
        self.time = 0
        self.known = 0          # the log had at least so many entries, as far as has been seen
        self.lost_at = -1       # when the connection to the store, or the daemon, went last
        self.losses = []        # when the connection to the store went
        self.calm_at = -1
        self.garbage = False    # the store was told to send some
        self.storm = None       # since when faults may happen
        self.connected = False
        self.ending = False     # the daemon was told to end
        self.daemon_is_up = False
        self.drained = False
        self.conns = {}
        self.highs = self.bounds()
        self.requests = requests_check.Requests(self)
        self.subscriptions = subscriptions_check.Subscriptions(self)

    # Bounds

    def bounds(self):
        """For each entry: when it, or any before it, was asked for at the latest."""
        asked = {}
        for time, record in enumerate(self.history):
            if record[0] == "send":
                for event in record[2].get("body", {}).get("events", ()):
                    asked.setdefault(event["event_id"], time)
        highs, high = [], -1
        for entry in self.log.entries:
            high = max(high, asked.get(entry.id, -1))
            highs.append(high)
        return highs

    def high(self, time=None):
        """The log had at most so many entries at TIME."""
        return bisect.bisect_right(self.highs, self.time if time is None else time)

    def saw(self, entry):
        self.known = max(self.known, entry.index + 1)

    # Violations

    def wrong(self, text, *arguments):
        if len(self.found) < MOST:
            self.found.append("record %d: %s" % (self.time, text % arguments))

    def quiet_since(self, time, disturbed=False):
        """No fault and no loss from TIME up to now; DISTURBED is what was the case then."""
        return not (disturbed or self.storm is not None or max(self.calm_at, self.lost_at) >= time or not self.connected)

    def disturbed(self):
        return self.storm is not None or not self.connected

    # The walk

    def check(self):
        for self.time, record in enumerate(self.history):
            getattr(self, "on_" + record[0])(*record[1:])
        self.time = len(self.history)
        if not self.drained:
            self.wrong("the run did not come to its end")
        self.requests.finish()
        return self.found

    def on_open(self, conn):
        self.conns[conn] = Connection(conn)

    def on_send(self, conn, request):
        c = self.conns[conn]
        r = Request(request, self.time, self.known, self.disturbed())
        if "id" in request:
            c.pending[request["id"]] = r
        if request["op"] == "execute":
            self.requests.sent(c, r)
        else:
            self.subscriptions.sent(c, r)

    def on_line(self, conn, line):
        c = self.conns[conn]
        if "push" in line:
            self.subscriptions.push(c, line)
            return
        r = c.pending.pop(line.get("id"), None)
        if r is None and line.get("error", {}).get("code") == "unknown_event":
            self.subscriptions.refused(c, None, line["error"])
        elif r is None:
            if "id" in line or not (self.ending or self.crosses_the_end(c, line)):
                self.wrong("conn %d: %s: %r", conn, "a second answer" if line.get("id") in c.answered else
                           "an answer to nothing", line)
        else:
            c.answered.add(line["id"])
            c.taken = max(c.taken, r.time)
            self.answer(c, r, line)

    @staticmethod
    def crosses_the_end(c, line):
        """An ack or nack without id was sent before the client knew that the subscription was over."""
        error = line.get("error", {})
        return error.get("code") == "unknown_subscription" and any("'%s'" % name in error["message"] for name in c.over)

    def answer(self, c, r, line):
        error = line.get("error")
        r.answered = self.time
        r.code = error["code"] if error else "ok"
        r.outcome = error.get("outcome") if error else None
        handler = self.requests if r.all["op"] == "execute" else self.subscriptions
        if r.code in TRANSIENT:
            self.transient(c, r, error)
            handler.failed(c, r)
        elif error:
            handler.error(c, r, error)
        else:
            handler.ok(c, r, line["ok"])
        for sub in list(c.subs.values()):
            sub.answered(r)

    def transient(self, c, r, error):
        outcome = TRANSIENT[r.code]
        changes = requests_check.changes_store(r.all)
        if r.code == "shutting_down":
            if not self.ending:
                self.wrong("conn %d: shutting_down, and nobody told it to end: %r", c.number, r.all)
        elif self.quiet_since(r.time, r.disturbed):
            self.wrong("conn %d: %s, and nothing was the matter: %r", c.number, r.code, r.all)
        if changes and r.outcome not in ("none", "unknown"):
            self.wrong("conn %d: no outcome in %r", c.number, error)
        elif changes and outcome and r.outcome != outcome:
            self.wrong("conn %d: %s with outcome %s: %r", c.number, r.code, r.outcome, r.all)
        if r.code not in ("protocol_error",) and not error["retry"]:
            self.wrong("conn %d: %s says that it makes no sense to retry", c.number, r.code)

    def on_half(self, conn):
        self.conns[conn].half = True
        self.subscriptions.half_closed(self.conns[conn])

    def on_close(self, conn):
        self.gone(self.conns[conn])

    def gone(self, c):
        c.gone = True
        self.subscriptions.gone(c)
        for r in c.pending.values():
            self.requests.failed(c, r)

    def on_deaf(self, conn):
        self.conns[conn].deaf = True

    def on_end(self, conn):
        c = self.conns[conn]
        if not c.half and not self.ending and self.daemon_is_up:
            self.wrong("conn %d: the daemon closed", conn)
        for r in c.pending.values() if self.daemon_is_up and not c.deaf else ():
            if r.time < c.taken or not self.ending:
                self.wrong("conn %d: closed without an answer to %r", conn, r.all)
        self.gone(c)

    def on_bridge(self, what):
        self.lost_at = self.time
        if what == "start":
            self.connected = self.ending = False
            self.daemon_is_up = True
        elif what == "kill":
            self.daemon_is_up = False
        elif what == "term":
            self.ending = True
        elif what != "exit 0":
            self.wrong("the daemon: %s", what)

    def on_connected(self):
        self.connected = True

    def on_lost(self):
        self.connected = False
        self.lost_at = self.time
        self.losses.append(self.time)

    def on_fault(self, command):
        if self.storm is None:
            self.storm = self.time
        self.garbage = self.garbage or command.startswith("garbage")
        self.requests.fault(command)

    def on_calm(self):
        self.calm_at = self.time
        self.storm = None

    def on_drained(self, groups):
        self.drained = True
        self.subscriptions.drained(groups)
        for c in self.conns.values():
            for r in () if c.gone else c.pending.values():
                self.wrong("conn %d: no answer to %r", c.number, r.all)

    def on_left(self, name, number, wanted):
        if number != wanted:
            self.wrong("left at the end: %s %s, not %s", number, name, wanted)


def check(history, log, version="5.0.11"):
    """VERSION: as whose server the memstore spoke."""
    return Checker(history, log, version).check()

