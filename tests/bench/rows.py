"""What `make bench` measures, and what is to be reached."""

import collections

# One row of the table. LETTER: the group by which BENCH_ONLY chooses. ARGUMENTS: of the load generator. FILL: the same
# for what the store must hold before. ONCE: bytes of one operation, where MiB/s are told. NODE: which part of the
# operations node-eventstore-client is given, which is slow; 0: it does not take part. SIDES: beside that one.
Row = collections.namedtuple("Row", "name letter text workload arguments fill once node sides")


def row(name, letter, text, workload, fill=None, once=0, node=0.0, sides=("direct", "bridge"), **arguments):
    return Row(name, letter, text, workload, arguments, fill, once, node, sides)


def sized(size, word, writes, reads):
    """Writing and reading events of SIZE bytes, one to a request."""
    stream = "size-%d" % size
    return [
        row("write-" + word, "g", "writes of %s" % word, "write", once=size, count=writes, in_flight=8, size=size),
        row("read-" + word, "g", "reads of %s" % word, "read", once=size, count=reads, in_flight=8, size=size, page=1,
            stream=stream, fill={"stream": stream, "count": 1, "size": size}),
    ]


FILLED = {"stream": "filled", "count": 200000, "ahead": 20000}

ROWS = [
    row("write-1", "a", "writes, 1 in flight", "write", count=4000, node=0.25),
    row("write-32", "b", "writes, 32 in flight", "write", count=40000, in_flight=32, node=0.05),
    row("write-64", "b", "writes, 64 in flight", "write", count=60000, in_flight=64),
    row("write-256", "b", "writes, 256 in flight", "write", count=60000, in_flight=256, node=0.05),
    row("write-4x1", "b", "writes, 4 clients with 1 in flight", "write", count=10000, connections=4),
    row("write-16x1", "b", "writes, 16 clients with 1 in flight", "write", count=20000, connections=16),
    row("write-64x1", "b", "writes, 64 clients with 1 in flight", "write", count=25000, connections=64),
    row("write-64x4", "b", "writes, 64 clients with 4 in flight", "write", count=40000, connections=64, in_flight=4,
        node=0.05),
    row("read-500", "c", "events read, pages of 500", "read", count=300, stream="filled", fill=FILLED, node=0.2),
    row("catchup", "d", "events caught up, of a stream", "catchup", count=150000, stream="filled", fill=FILLED, node=0.1),
    row("catchup-all", "d", "events caught up, of all streams", "catchup", count=150000, all=1, fill=FILLED, node=0.1),
    row("live-1", "e", "events live, 1 reader", "live", count=60000),
    row("live-10", "e", "events live, 10 readers", "live", count=20000, connections=10),
    row("live-100", "e", "events live, 100 readers", "live", count=4000, connections=100),
    row("group-one", "f", "events of a group, acks one by one", "group", count=20000, in_flight=1000, ack=1, node=0.2),
    row("group-list", "f", "events of a group, acks in lists", "group", count=40000, in_flight=1000, ack=2, node=0.2),
    row("group-up-to", "f", "events of a group, acks up_to", "group", count=40000, in_flight=1000, ack=3),
    *sized(100, "100 B", 20000, 20000),
    *sized(4096, "4 KiB", 6000, 6000),
    *sized(256 * 1024, "256 KiB", 400, 400),
    *sized(4 * 1024 * 1024, "4 MiB", 32, 32),
    row("busy-100", "h", "writes, 100 busy of 10,000 clients", "write", count=20000, connections=100, idle=9900,
        sides=("bridge",)),
    row("tls-write-64", "j", "TLS: writes, 64 in flight", "write", count=60000, in_flight=64, tls=1),
    row("tls-catchup", "j", "TLS: events caught up, of a stream", "catchup", count=150000, stream="filled", tls=1,
        fill=dict(FILLED, tls=1)),
]

# What must not grow. VALUES: of the argument BY; the cost is the daemon's processor time.
# Requests go out 64 together, and are waited for together: how they bunch otherwise would cost more or less than what is
# compared.
Growth = collections.namedtuple("Growth", "name text workload by values tell arguments fills")

LENGTHS = (1, 1000, 1000000)

GROWTHS = [
    Growth("subscriptions", "an event live, by subscriptions", "live", "subs", (0, 9, 99, 999), lambda n: n + 1,
           {"count": 60000}, []),
    Growth("clients", "a write, by clients", "write", "idle", (0, 99, 999, 9999), lambda n: n + 1,
           {"count": 60000, "in_flight": 64, "turn": 1}, []),
    Growth("length", "a read, by the length of the stream", "read", "at", tuple(n - 1 for n in LENGTHS), lambda n: n + 1,
           {"count": 60000, "in_flight": 64, "turn": 1, "page": 1, "stream": "long"},
           [{"stream": "long", "count": LENGTHS[-1], "ahead": 20000}]),
]
FLAT = 10  # percent from the middle

IDLE_CLIENTS = 10000

# A good client, with one request in flight, alone, apart from bad ones of each kind (they have a daemon of their own), and
# beside them; "mix" is some of each. FILL: what the bad ones read, which is as much as one package of the store may have.
BAD_KINDS = ("mix", "trickle", "flood", "sip", "churn", "long", "subscribe", "pages")
BAD_CLIENTS = 50
BAD_FILL = {"stream": "large", "count": 4000, "size": 12 * 1024, "ahead": 4000}
GOOD = {"count": 100000, "most": 5000}

# What is to be reached: text, whether it is a least or a most, the bound, and the figure: a row, a side or a quotient of
# two, and a member of its results. What was not measured is not told.
Measure = collections.namedtuple("Measure", "text least bound unit row side member")


def against_node(rows, bound):
    return [Measure("%s, against the npm client" % name, True, bound, "times", name, "bridge/node", "rate") for name in rows]


MEASURES = [
    Measure("executes, one client, 64 in flight", True, 250000, "/s", "write-64", "bridge", "rate"),
    Measure("  and of the daemon's processor time for each", False, 2.0, "us", "write-64", "bridge", "bridge_cpu"),
    Measure("64 clients, one in flight each", True, 80000, "/s", "write-64x1", "bridge", "rate"),
    Measure("events caught up, of a stream", True, 500000, "/s", "catchup", "bridge", "rate"),
    Measure("events caught up, of all streams", True, 500000, "/s", "catchup-all", "bridge", "rate"),
    Measure("events live to one client", True, 500000, "/s", "live-1", "bridge", "rate"),
    Measure("deliveries of events to 100 readers", True, 2000000, "/s", "live-100", "bridge", "rate"),
    Measure("events of a group, acknowledged in lists", True, 200000, "/s", "group-list", "bridge", "rate"),
    Measure("events of a group, acknowledged up_to", True, 200000, "/s", "group-up-to", "bridge", "rate"),
    Measure("latency added, one in flight, half of all", False, 60, "us", "write-1", "bridge-direct", "p50"),
    Measure("latency added, one in flight, 99 of 100", False, 150, "us", "write-1", "bridge-direct", "p99"),
    Measure("writes of 4 MiB", True, 500, "MiB/s", "write-4 MiB", "bridge", "mib"),
    Measure("reads of 4 MiB", True, 500, "MiB/s", "read-4 MiB", "bridge", "mib"),
    Measure("resident with 10,000 idle clients", False, 20, "MiB", "idle", "bridge", "resident"),
    Measure("resident at rest", False, 5, "MiB", "start", "bridge", "resident"),
    Measure("start to READY", False, 20, "ms", "start", "bridge", "ready"),
    *(Measure("latency beside %d bad clients (%s), 99 of 100" % (BAD_CLIENTS, kind), False, 2, "times", "bad-" + kind,
              "beside/alone", "p99") for kind in BAD_KINDS),
    *against_node(["write-1"], 1.0),
    *against_node(["write-32", "write-256", "write-64x4"], 1.5),
    *against_node(["read-500", "catchup", "catchup-all"], 1.3),
    *against_node(["group-one", "group-list"], 1.5),
]
