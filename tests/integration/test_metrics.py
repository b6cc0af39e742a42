#!/usr/bin/env python3
"""The op metrics: text that Prometheus accepts, in which each number moves by exactly what was done."""

import os
import re
import socket
import subprocess

from harness import CODES, World, equal, main, test, true, until

ADMIN = {"store": {"username": "admin", "password": "changeit"}}

# What moves with every look, or with time.
RESTLESS = re.compile(r"esbridge_memory_bytes|process_|esbridge_log_|esbridge_clients_(lines|received_bytes|sent_bytes|unread)|esbridge_store_\w+_bytes|\w+_seconds_(bucket|sum)")

SERIES = re.compile(r'([a-z_]+)(?:\{([a-z]+)="([^"{}]*)"\})? (\d+(?:\.\d+)?)\Z')
BUCKET = re.compile(r'([a-z_]+_bucket)\{(?:([a-z]+)="([^"]*)",)?le="([^"]+)"\} (\d+)\Z')


def parse(text):
    """{(name, word of the label or None): number} of all but the buckets, and {(name, word): [their counts]}."""
    numbers, buckets = {}, {}
    for line in text.splitlines():
        if line.startswith("# "):
            continue
        bucket, series = BUCKET.match(line), SERIES.match(line)
        true(bucket or series, "no series: %r" % line)
        if bucket:
            buckets.setdefault((bucket.group(1), bucket.group(3)), []).append(int(bucket.group(5)))
        else:
            numbers[series.group(1), series.group(3)] = float(series.group(4))
    return numbers, buckets


class Watch:
    """What moves between looks, seen through a client of its own."""

    def __init__(self, world):
        self.client = world.client()
        self.last = self.now()

    def now(self):
        return parse(self.client.ok("metrics")["text"])[0]

    def get(self, name, word=None):
        return self.now()[name, word]

    def moved(self):
        """{(name without esbridge_, word): by how much} since the last look."""
        last, self.last = self.last, self.now()
        return {(name.removeprefix("esbridge_"), word): value - last[name, word] for (name, word), value in
                self.last.items() if value != last[name, word] and not RESTLESS.match(name)}

    def expect(self, **wanted):
        """Since the last look these have moved, and nothing else. NAME=n, or NAME={word: n}."""
        pairs = {}
        for name, value in wanted.items():
            pairs.update({(name, w): v for w, v in value.items()} if isinstance(value, dict) else {(name, None): value})
        equal(self.moved(), pairs, "what has moved")


def group_of(world, client, events):
    stream = world.stream("group")
    client.write(stream, *["t"] * events)
    client.execute("CreatePersistentSubscription", {"event_stream_id": stream, "subscription_group_name": "g", "start_from": 0})
    return stream


def pushes(client, count):
    return [client.push("event") for _ in range(count)]


def ids(events):
    return [e["ack_id"] for e in events]


def promtool(text):
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


@test("hello lists metrics among the features; the op takes no members; its reply has text alone")
def _(world):
    client = world.client()
    true("metrics" in client.ok("hello")["features"], "the feature")
    client.fails("metrics", "bad_request", all=True)
    reply = client.ok("metrics")
    equal(list(reply), ["text"], "members")
    true(reply["text"].endswith("\n"), "the end of the text")


@test("promtool accepts the text, and complains of a wrong one")
def _(world):
    text = world.client().ok("metrics")["text"]
    equal(promtool(text), (0, ""), "promtool")
    true(promtool(text.replace("# HELP esbridge_clients ", "# HOLP esbridge_clients "))[0] != 0, "promtool on a wrong text")


@test("each series stands once, each metric has help and type, buckets rise to the count")
def _(world):
    client = world.client()
    client.write(world.stream(), "a")
    text = client.ok("metrics")["text"]
    series = [line.rsplit(" ", 1)[0] for line in text.splitlines() if not line.startswith("#")]
    equal(len(series), len(set(series)), "series")
    helped, typed = re.findall(r"^# HELP (\S+) \S", text, re.MULTILINE), re.findall(r"^# TYPE (\S+) \S", text, re.MULTILINE)
    equal(helped, typed, "metrics with help")
    equal(len(helped), len(set(helped)), "metrics")
    numbers, buckets = parse(text)
    true(buckets, "histograms")
    for (name, word), counts in buckets.items():
        equal(counts, sorted(counts), "buckets of %s" % name)
        equal(counts[-1], numbers[name.replace("_bucket", "_count"), word], "the last bucket of %s" % name)


def of_page():
    """{name: (label or None, what it is and its type)} of the section METRICS of esbridged(8)."""
    with open(os.path.join(os.environ.get("SRCDIR", "."), "man", "esbridged.8"), encoding="utf-8") as page:
        section = page.read().split("\n.Sh METRICS\n")[1].split("\n.Sh ")[0]
    items = re.findall(r"^\.It Ic (\w+)(?: Pq Ic (\w+))?\n(.*?)(?=^\.It|^\.El)", section, re.MULTILINE | re.DOTALL)
    return {name: (label or None, " ".join(text.split("\n")).strip()) for name, label, text in items}


def of_text(text):
    """The same of what the daemon tells."""
    items = re.findall(r"^# HELP (\S+) (.*)\n# TYPE \S+ (\w+)\n\w+(?:\{(?!le=)(\w+)=)?", text, re.MULTILINE)
    return {name: (label or None, "%s A %s." % (said, kind)) for name, said, kind, label in items}


@test("esbridged(8) has each metric with its label, its meaning and its type, and no other")
def _(world):
    page, told = of_page(), of_text(world.client().ok("metrics")["text"])
    equal(sorted(page), sorted(told), "metrics")
    for name, item in told.items():
        equal(page[name], item, name)


@test("what is always there: version, start, memory, descriptors, processor time")
def _(world):
    client, watch = world.client(), Watch(world)
    equal(watch.get("esbridge_build_info", client.ok("hello")["version"]), 1, "build info")
    true(watch.get("process_start_time_seconds") > 1.7e9, "start")
    true(watch.get("process_resident_memory_bytes") > 1 << 20, "memory")
    descriptors = watch.get("process_open_fds")
    others = [world.client() for _ in range(5)]
    others[-1].ok("hello")
    equal(watch.get("process_open_fds"), descriptors + 5, "descriptors")
    before = watch.get("process_cpu_seconds_total")
    until(lambda: watch.get("process_cpu_seconds_total") > before, "processor time goes on")


@test("executes and pings: the histogram of their message, the operations")
def _(world):
    client, watch, stream = world.client(), Watch(world), world.stream()
    watch.moved()
    client.write(stream, "a")
    client.write(stream, "b", "c")
    watch.expect(operation_duration_seconds_count={"WriteEvents": 2}, store_operations_total=2)
    client.read(stream)
    client.execute("DeleteStream", {"event_stream_id": stream})
    client.ok("ping")
    watch.expect(operation_duration_seconds_count={"ReadStreamEvents": 1, "DeleteStream": 1, "ping": 1}, store_operations_total=3)


@test("the time that an operation took is in the sum")
def _(world):
    client, watch, stream = world.client(), Watch(world), world.stream()
    client.write(stream, "a")
    before = watch.get("esbridge_operation_duration_seconds_sum", "ReadEvent")
    began = client.ok("status")["uptime_ms"]
    client.execute("ReadEvent", {"event_stream_id": stream, "event_number": 0})
    took = client.ok("status")["uptime_ms"] - began + 2
    after = watch.get("esbridge_operation_duration_seconds_sum", "ReadEvent")
    true(before < after <= before + took / 1000, "a sum of %g after %g, with %d ms" % (after, before, took))


@test("errors by code, those of the store, of requests and of lines")
def _(world):
    client, watch, stream = world.client(), Watch(world), world.stream()
    equal(sorted(w for n, w in watch.last if n == "esbridge_errors_total"), sorted(CODES), "codes")
    watch.moved()
    client.write(stream, "a", expected=-1)
    client.refuses("WriteEvents", "wrong_expected_version",
                   {"event_stream_id": stream, "expected_version": 7, "events": [{"event_type": "t"}]})
    client.refuses("ReadEvent", "not_found", {"event_stream_id": stream, "event_number": 9})
    watch.expect(operation_duration_seconds_count={"WriteEvents": 2, "ReadEvent": 1}, store_operations_total=3,
                 errors_total={"wrong_expected_version": 1, "not_found": 1})
    for line in ("nonsense", "[]", '{"op":"dance"}', '{"op":"dance"}', '{"op":"execute","message":"Nothing"}', '{"op":"ping","id":{}}'):
        client.send(line)
        client.other()
    client.fails("ack", "unknown_subscription", sub="none", up_to="11111111-2222-3333-4444-555555555555")
    watch.expect(errors_total={"bad_json": 2, "unknown_op": 2, "unknown_message": 1, "bad_request": 1, "unknown_subscription": 1})


@test("clients: accepted, closed by reason, how many there are")
def _(world):
    watch = Watch(world)
    watch.moved()
    equal(watch.get("esbridge_clients"), 1, "clients")
    one, two = world.client(), world.client()
    one.ok("ping")
    two.ok("ping")
    watch.expect(clients=2, clients_accepted_total=2, operation_duration_seconds_count={"ping": 2}, store_operations_total=2)
    one.finish()
    one.ends()
    two.close()
    until(lambda: watch.get("esbridge_clients") == 1, "both have gone")
    watch.expect(clients=-2, clients_closed_total={"done": 1, "gone": 1})


@test("bytes and lines of clients, bytes of the store")
def _(world):
    client, watch, stream = world.client(), Watch(world), world.stream()
    before = watch.now()
    request = '{"op":"execute","id":1,"message":"WriteEvents","body":{"event_stream_id":"%s","events":[{"event_type":"t","data_text":"%s"}]}}' % (
        stream, "x" * 10000)
    client.send(request)
    reply = client.reply(1)
    look = watch.now()
    empty = watch.now()

    def grown(name, least):
        """By how much NAME has grown, less what a look costs."""
        more = look["esbridge_" + name, None] - before["esbridge_" + name, None]
        cost = empty["esbridge_" + name, None] - look["esbridge_" + name, None]
        true(more - cost >= least - 64, "%s: %d more, at least %d expected" % (name, more - cost, least))
        return more - cost
    equal(grown("clients_lines_total", 1), 1, "lines")
    true(grown("clients_received_bytes_total", len(request)) < len(request) + 64, "bytes received")
    # the text of a look grows with the digits in it
    grown("clients_sent_bytes_total", len(reply.raw))
    true(look["esbridge_store_sent_bytes_total", None] - before["esbridge_store_sent_bytes_total", None] > 10000, "bytes to the store")
    true(look["esbridge_store_received_bytes_total", None] > before["esbridge_store_received_bytes_total", None], "bytes from the store")


@test("lines of the log, by level")
def _(world):
    client, watch = world.client(), Watch(world)
    before = watch.get("esbridge_log_lines_total", "info")
    client.ok("hello", client="one")
    client.ok("hello", client="two")
    equal(watch.get("esbridge_log_lines_total", "info"), before + 2, "lines")
    equal(watch.get("esbridge_log_lines_lost_total"), 0, "lost lines")


@test("a live subscription: pushes, and the age of each event")
def _(world):
    client, watch, stream = world.client(), Watch(world), world.stream()
    watch.moved()
    sub = client.subscribe(stream=stream)
    watch.expect(subscriptions={"live": 1})
    client.write(stream, "a", "b", "c")
    pushes(client, 3)
    watch.expect(operation_duration_seconds_count={"WriteEvents": 1}, store_operations_total=1,
                 events_pushed_total={"live": 3}, events_rendered_total=3,
                 event_delivery_seconds_count={"live": 3})
    true(watch.get("esbridge_event_delivery_seconds_sum", "live") < 60, "events of just now")
    client.ok("unsubscribe", sub=sub)
    watch.expect(subscriptions={"live": -1})


@test("a catch-up subscription with a window: acks, nacks, their time, the window, the lag")
def _(world):
    client, watch, stream = world.client(), Watch(world), world.stream()
    client.write(stream, *["t"] * 10)
    watch.moved()
    sub = client.subscribe(stream=stream, mode="catchup", window=4)
    got = pushes(client, 4)
    client.quiet()
    moved = watch.moved()
    true(moved.pop(("store_operations_total", None)) >= 2, "a read and a ping")
    equal(moved, {("operation_duration_seconds_count", "ping"): 1, ("subscriptions", "catchup"): 1, ("events_pushed_total", "catchup"): 4,
                  ("window_events", "catchup"): 4, ("window_used_events", "catchup"): 4, ("consumer_lag_events", "catchup"): 10}, "moved")
    equal(client.ok("status")["client"]["subscriptions"][0]["lag"], 10, "lag in status")
    client.ok("ack", sub=sub, events=ids(got[:2]))
    more = pushes(client, 2)
    watch.expect(events_acked_total={"catchup": 2}, ack_latency_seconds_count={"catchup": 2}, events_pushed_total={"catchup": 2},
                 consumer_lag_events={"catchup": -2})
    client.ok("nack", sub=sub, events=[got[2]["ack_id"]])
    equal(client.push("event")["ack_id"], got[2]["ack_id"], "the event again")
    watch.expect(events_nacked_total={"retry": 1}, store_operations_total=1)
    client.ok("nack", sub=sub, events=[got[2]["ack_id"]], action="skip")
    client.ok("ack", sub=sub, up_to=more[-1]["ack_id"])
    last = pushes(client, 4)
    client.ok("ack", sub=sub, up_to=last[-1]["ack_id"])
    client.push("caught_up")
    moved = watch.moved()
    moved.pop(("store_operations_total", None))
    equal(moved, {("events_nacked_total", "skip"): 1, ("events_acked_total", "catchup"): 7, ("ack_latency_seconds_count", "catchup"): 8,
                  ("events_pushed_total", "catchup"): 4, ("window_used_events", "catchup"): -4, ("consumer_lag_events", "catchup"): -8}, "moved")
    client.write(stream, "live")
    pushes(client, 1)
    moved = watch.moved()
    equal((moved["event_delivery_seconds_count", "catchup"], moved["consumer_lag_events", "catchup"]), (1, 1), "live: delivery, lag")


@test("the lag of a reader that lets live events pass, and leaves the live subscription, stays known")
def _(world):
    client, watch, stream = world.client(), Watch(world), world.stream()
    sub = client.subscribe(stream=stream, mode="live", window=1)
    for _ in range(12):
        client.write(stream, *["t"] * 100)
    first = client.push("event")
    client.ok("ping")
    # It hears of no more while it takes none.
    true(watch.get("esbridge_consumer_lag_events", "live") > 1000, "lag")
    client.ok("ack", sub=sub, events=ids([first]))
    equal(numbers_of(pushes(client, 1)), [1], "the second event")
    equal(watch.get("esbridge_consumer_lag_events", "live"), 1199, "lag")


def numbers_of(events):
    return [e["event"]["event_number"] for e in events]


@test("a group: acks, nacks by action, what is given back when the client goes, the drop")
def _(world):
    client, watch = world.client(), Watch(world)
    stream = group_of(world, client, 8)
    watch.moved()
    sub = client.subscribe(stream=stream, group="g", in_flight=8)
    got = pushes(client, 8)
    moved = watch.moved()
    equal(moved.pop(("event_delivery_seconds_count", "persistent")), 8, "delivery")
    equal(moved, {("subscriptions", "persistent"): 1, ("events_pushed_total", "persistent"): 8, ("window_events", "persistent"): 8,
                  ("window_used_events", "persistent"): 8, ("consumer_lag_events", "persistent"): 8}, "moved")
    client.ok("ack", sub=sub, events=ids(got[:3]))
    for event, action in zip(got[3:6], ("park", "skip", "stop")):
        client.ok("nack", sub=sub, events=ids([event]), action=action)
    watch.expect(events_acked_total={"persistent": 3}, events_nacked_total={"park": 1, "skip": 1, "stop": 1},
                 ack_latency_seconds_count={"persistent": 6}, window_used_events={"persistent": -6}, consumer_lag_events={"persistent": -6})
    client.close()
    until(lambda: watch.get("esbridge_clients") == 1, "the client has gone")
    watch.expect(clients=-1, clients_closed_total={"gone": 1}, events_nacked_total={"retry": 2}, subscriptions={"persistent": -1},
                 window_events={"persistent": -8}, window_used_events={"persistent": -2}, consumer_lag_events={"persistent": -2})
    other = world.client()
    other.subscribe(stream=stream, group="g")
    pushes(other, 2)
    watch.moved()
    watch.client.execute("DeletePersistentSubscription", {"event_stream_id": stream, "subscription_group_name": "g"})
    other.push("interrupted")
    other.push("dropped")
    equal(watch.moved()["subscriptions_dropped_total", None], 1, "dropped")


@test("clients refused, and closed as slow consumers")
def _(world):
    with World({"limits": {"clients": 2, "client_stall_timeout": "1s", "output_pause": "4K", "output_resume": "1K"}}) as other:
        watch = Watch(other)
        slow = other.client()
        slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.ok("ping")
        watch.moved()
        refused = other.client()
        equal(refused.line()["error"]["code"], "too_many_clients", "code")
        refused.ends()
        watch.expect(clients_refused_total={"too_many_clients": 1}, errors_total={"too_many_clients": 1})
        # Much more than the sockets hold, and nothing is read.
        slow.send_bytes(b'{"op":"metrics"}\n' * 100)
        until(lambda: watch.get("esbridge_clients_paused") == 1, "the client is paused")
        true(watch.get("esbridge_clients_unread_bytes") > 4096, "unread bytes")
        until(lambda: watch.get("esbridge_clients") == 1, "the client is closed")
        watch.expect(clients=-1, clients_closed_total={"slow_consumer": 1})
        other.clients.remove(slow)
        slow.close()


@test("the store goes and comes: up, lost and failed by reason, connects, what waits, what is sent again")
def _(world):
    with World(proxy=True) as other:
        client, watch = other.client(), Watch(other)
        equal(watch.get("esbridge_store_up"), 1, "up")
        watch.moved()
        other.proxy.mute()
        client.send('{"op":"execute","id":1,"message":"ReadStreamEvents","body":{"event_stream_id":"s"},"timeout_ms":60000}')
        until(lambda: watch.get("esbridge_store_operations_in_flight") == 1, "in flight")
        equal(watch.get("esbridge_requests_in_flight"), 1, "requests in flight")
        other.proxy.refuse()
        until(lambda: watch.get("esbridge_store_up") == 0, "down")
        equal(watch.get("esbridge_store_operations_queued"), 1, "queued")
        until(lambda: sum(v for (n, _), v in watch.now().items() if n == "esbridge_store_connect_failures_total") > 1, "failures")
        other.proxy.speak()
        other.proxy.allow()
        client.reply(1)
        other.connected()
        moved = watch.moved()
        equal({n: v for (n, w), v in moved.items() if "lost" in n or n in ("store_connects_total", "store_operations_repeated_total")},
              {"store_connections_lost_total": 1, "store_connects_total": 1, "store_operations_repeated_total": 1}, "moved")
        true(not any(word == "other" for _, word in moved), "every reason has its word: %r" % moved)


@test("a time-out")
def _(world):
    with World(proxy=True) as other:
        client, watch = other.client(), Watch(other)
        other.proxy.mute()
        client.fails("ping", "timeout", timeout_ms=20)
        watch.expect(errors_total={"timeout": 1}, store_operation_timeouts_total=1, store_operations_total=1,
                     operation_duration_seconds_count={"ping": 1})
        other.proxy.speak()


if __name__ == "__main__":
    main(ADMIN)
