"""The control channel of esbridge-memstore: asks it for faults. The commands are in esbridge-memstore(1)."""

import socket


class Refused(Exception):
    """The memstore did not accept a command."""


class Control:
    """A connection to the control socket PATH. Each method returns when the memstore has done what is asked."""

    def __init__(self, path, timeout=10):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self.input = b""

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def ask(self, line):
        """Sends LINE; returns the words behind "ok", or raises Refused."""
        self.socket.sendall(line.encode() + b"\n")
        while b"\n" not in self.input:
            data = self.socket.recv(4096)
            if not data:
                raise Refused("the control channel was closed")
            self.input += data
        answer, self.input = self.input.split(b"\n", 1)
        words = answer.decode().split(" ")
        if words[0] != "ok":
            raise Refused("%s: %s" % (line, answer.decode()))
        return words[1:]

    def rule(self, action, command, nth=None, when=""):
        """ACTION, as in "delay 200", on the NTH package with COMMAND from now on; "*": on each."""
        target = command if nth is None else "%s#%s" % (command, nth)
        self.ask(("%s on %s %s" % (action, target, when)).strip())

    def drop(self, command, nth=None, when=""):
        self.rule("drop", command, nth, when)

    def reset(self, command, nth=None, when=""):
        self.rule("reset", command, nth, when)

    def stall(self, command, nth=None, when=""):
        self.rule("stall", command, nth, when)

    def resume(self):
        self.ask("resume")

    def delay(self, milliseconds, command, nth=None):
        self.rule("delay %d" % milliseconds, command, nth)

    def cut(self, size, command, nth=None):
        self.rule("cut %d" % size, command, nth)

    def garbage(self, command, nth=None):
        self.rule("garbage", command, nth)

    def double(self, command, nth=None):
        self.rule("double", command, nth)

    def not_handled(self, reason, command, nth=None, master=None):
        """MASTER is (host, port) or None."""
        self.rule("not-handled %s" % reason + (" %s %d" % master if master else ""), command, nth)

    def bad_request_zero(self):
        self.ask("bad-request-zero")

    def raw(self, data):
        self.ask("raw " + data.hex())

    def close_all(self):
        self.ask("close all")

    def restart(self, keep=True, milliseconds=0):
        self.ask("restart %s %d" % ("keep" if keep else "lose", milliseconds))

    def count(self, command):
        """How many packages with COMMAND were received, and how many sent, since the start or clear()."""
        return tuple(map(int, self.ask("count " + command)))

    def clear(self):
        self.ask("clear")

    def connections(self):
        """How many connections there are, and how many of them are stalled."""
        return tuple(map(int, self.ask("connections")))

    def subscriptions(self):
        """How many live subscriptions there are, and how many consumers of groups."""
        return tuple(map(int, self.ask("subscriptions")))
