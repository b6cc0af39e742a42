#!/usr/bin/env python3
"""Handles the events of a persistent group, and acknowledges each one when it has been handled.

    consume.py STREAM GROUP

After a restart of this program, the daemon or the store, what was not acknowledged comes again: handle() may see an
event twice. Where that matters, see worker.py."""

import json
import os
import socket
import sys
import time

PATH = os.environ.get("ESBRIDGE_SOCKET", "/run/esbridge/esbridge.sock")


def handle(event):
    """The work. What it raises makes the group deliver the event again."""
    print(event["event_number"], event["event_type"], json.dumps(event.get("data"), separators=(",", ":")), flush=True)


def consume(stream, group):
    """Handles events until the connection ends, with an OSError."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(PATH)
        lines = sock.makefile("rb")

        def send(**request):
            sock.sendall(json.dumps(request).encode() + b"\n")

        send(op="subscribe", id="subscribe", sub="work", stream=stream, group=group, in_flight=20)
        while (line := lines.readline()).endswith(b"\n"):
            said = json.loads(line)
            if said.get("push") == "event":
                try:
                    handle(said["event"])
                except Exception as fault:
                    send(op="nack", sub="work", events=[said["ack_id"]], action="retry", reason=str(fault))
                else:
                    send(op="ack", sub="work", events=[said["ack_id"]])
            elif said.get("push") == "dropped":
                raise ConnectionError("subscription dropped: " + said["reason"])
            elif said.get("id") == "subscribe" and "error" in said:
                raise ConnectionError(said["error"]["message"])
            # An ack that was refused (unknown_event) needs no answer: that event comes again.
    raise ConnectionError("the daemon went away")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: consume.py STREAM GROUP")
    while True:
        try:
            consume(*sys.argv[1:])
        except OSError as why:
            print(f"consume.py: {why}; again in half a second", file=sys.stderr)
            time.sleep(0.5)
