#!/usr/bin/env python3
"""Writes each line of standard input, a JSON value, as an event.

    write.py STREAM TYPE <lines

Each event has its id before it is sent. Where nobody knows whether a write has come through, since the daemon or the
store went away meanwhile, it is sent again with the same id: the store recognises it and stores it once."""

import json
import os
import socket
import sys
import time
import uuid

PATH = os.environ.get("ESBRIDGE_SOCKET", "/run/esbridge/esbridge.sock")


class Bridge:
    """A connection to esbridged, made when it is needed and again when it was lost."""

    def __init__(self):
        self.sock = self.lines = None

    def ask(self, request):
        """The answer to a request; OSError where none came."""
        try:
            if self.sock is None:
                self.sock = socket.socket(socket.AF_UNIX)
                self.sock.connect(PATH)
                self.lines = self.sock.makefile("rb")
            self.sock.sendall(json.dumps(request).encode() + b"\n")
            line = self.lines.readline()
            if not line.endswith(b"\n"):
                raise ConnectionError("the daemon went away")
            return json.loads(line)
        except OSError:
            self.sock = None
            raise


def write(bridge, stream, event_type, data):
    event = {"event_id": str(uuid.uuid4()), "event_type": event_type, "data": data}
    request = {"op": "execute", "message": "WriteEvents", "body": {"event_stream_id": stream, "events": [event]}}
    while True:
        try:
            answer = bridge.ask(request)
            if "ok" in answer:
                return answer["ok"]["body"]["first_event_number"]
            if not answer["error"]["retry"]:
                sys.exit("write.py: " + answer["error"]["message"])
        except OSError as fault:
            print(f"write.py: {fault}", file=sys.stderr)
        time.sleep(0.5)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: write.py STREAM TYPE")
    connection = Bridge()
    for text in sys.stdin:
        write(connection, sys.argv[1], sys.argv[2], json.loads(text))
