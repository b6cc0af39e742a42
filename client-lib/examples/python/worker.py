#!/usr/bin/env python3
"""A service that keeps a table of its own up to date from a stream: the pattern to copy.

    worker.py STREAM DATABASE

How far it has come in the stream is kept in its database, and changes in the same transaction as what the events do
there. So each event takes effect exactly once, whatever is killed and when: this program, the daemon or the store. It
needs no care to be stopped. worker.service, beside it, runs it under systemd."""

import json
import os
import socket
import sqlite3
import sys
import time

PATH = os.environ.get("ESBRIDGE_SOCKET", "/run/esbridge/esbridge.sock")
SCHEMA = """CREATE TABLE IF NOT EXISTS balance (account TEXT PRIMARY KEY, amount INTEGER NOT NULL);
            CREATE TABLE IF NOT EXISTS position (stream TEXT PRIMARY KEY, number INTEGER NOT NULL);"""


def apply(db, event):
    """What an event does: to the database, and to nothing else."""
    if event["event_type"] == "Deposited":
        db.execute("INSERT INTO balance VALUES (?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
                   (event["data"]["account"], event["data"]["amount"]))


def send(sock, request):
    sock.sendall(json.dumps(request).encode() + b"\n")


def batches(sock):
    """Lists of what the daemon says: as much as there is, at least one line."""
    rest = b""
    while chunk := sock.recv(1 << 16):
        *lines, rest = (rest + chunk).split(b"\n")
        yield [json.loads(line) for line in lines]
    raise ConnectionError("the daemon went away")


def follow(db, stream):
    """Applies the events of the stream from where the database is, until the connection ends with an OSError."""
    row = db.execute("SELECT number FROM position WHERE stream = ?", (stream,)).fetchone()
    first = row[0] + 1 if row else 0
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(PATH)
        send(sock, {"op": "subscribe", "id": 1, "sub": "work", "stream": stream, "from": first, "window": 500})
        for batch in batches(sock):
            done = None
            with db:  # one transaction, and none of it if this raises
                for said in batch:
                    if "error" in said or said.get("push") == "dropped":
                        raise ConnectionError(said.get("reason") or said["error"]["message"])
                    if said.get("gap"):  # the store came back without its latest events: what follows has other numbers
                        raise ConnectionError("the store has lost events")
                    if said.get("push") == "event":
                        apply(db, said["event"])
                        number = said.get("link", said["event"])["event_number"]
                        db.execute("INSERT OR REPLACE INTO position VALUES (?, ?)", (stream, number))
                        done = said["ack_id"]
            if done:
                send(sock, {"op": "ack", "sub": "work", "up_to": done})


def main(stream, path):
    db = sqlite3.connect(path)
    db.executescript(SCHEMA)
    while True:
        try:
            follow(db, stream)
        except OSError as why:
            print(f"{why}; again in half a second", file=sys.stderr)
            time.sleep(0.5)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: worker.py STREAM DATABASE")
    main(*sys.argv[1:])
