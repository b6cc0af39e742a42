"""The store's TCP protocol as far as the tests need it: frames, packages, protobuf by field number.

It is written from the protocol's description and shares nothing with the daemon or the memstore, so that a
misreading common to both shows.
"""

import socket
import struct
import uuid

HEARTBEAT_REQUEST, HEARTBEAT_RESPONSE, PING, PONG = 0x01, 0x02, 0x03, 0x04
WRITE_EVENTS, WRITE_EVENTS_COMPLETED = 0x82, 0x83
DELETE_STREAM, DELETE_STREAM_COMPLETED = 0x8A, 0x8B
READ_EVENT, READ_EVENT_COMPLETED = 0xB0, 0xB1
READ_FORWARD, READ_FORWARD_COMPLETED = 0xB2, 0xB3
SUBSCRIBE, SUBSCRIPTION_CONFIRMATION, EVENT_APPEARED = 0xC0, 0xC1, 0xC2
UNSUBSCRIBE, SUBSCRIPTION_DROPPED = 0xC3, 0xC4
CONNECT_GROUP, GROUP_CONFIRMATION, GROUP_EVENT_APPEARED = 0xC5, 0xC6, 0xC7
ACK_EVENTS, NAK_EVENTS = 0xCC, 0xCD
BAD_REQUEST, NOT_HANDLED = 0xF0, 0xF1
AUTHENTICATE, AUTHENTICATED, NOT_AUTHENTICATED = 0xF2, 0xF3, 0xF4
IDENTIFY_CLIENT, CLIENT_IDENTIFIED = 0xF5, 0xF6

FRAME_MOST = 64 * 1024 * 1024
NO_ID = bytes(16)


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, value):
    """One field: an int or bool as a varint, text or bytes as they are."""
    if isinstance(value, int):
        return varint(number << 3) + varint(int(value))
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(*fields):
    """A message of (number, value) pairs."""
    return b"".join(field(number, value) for number, value in fields)


def take_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return (value - (1 << 64) if value >= 1 << 63 else value), at


def fields(data):
    """A message as {number: [values]}; only varints and length-delimited fields occur."""
    found, at = {}, 0
    while at < len(data):
        key, at = take_varint(data, at)
        if key & 7 == 0:
            value, at = take_varint(data, at)
        else:
            assert key & 7 == 2, "wire type %d" % (key & 7)
            length, at = take_varint(data, at)
            value, at = data[at:at + length], at + length
        found.setdefault(key >> 3, []).append(value)
    return found


def one(message_fields, number, absent=None):
    return message_fields.get(number, [absent])[0]


def guid(text):
    """The 16 bytes of a UUID in the order of .NET's Guid."""
    return uuid.UUID(text).bytes_le


def guid_text(data):
    return str(uuid.UUID(bytes_le=bytes(data)))


def frame(package):
    return struct.pack("<I", len(package)) + package


class Package:
    def __init__(self, data):
        self.command, self.flags, self.correlation = data[0], data[1], bytes(data[2:18])
        self.login = self.password = None
        at = 18
        if self.flags & 1:
            self.login, at = data[at + 1:at + 1 + data[at]], at + 1 + data[at]
            self.password, at = data[at + 1:at + 1 + data[at]], at + 1 + data[at]
        self.payload = bytes(data[at:])

    def fields(self):
        return fields(self.payload)


def package(command, correlation, payload=b"", login=None, password=""):
    if login is None:
        return bytes([command, 0]) + correlation + payload
    who = bytes([len(login)]) + login.encode() + bytes([len(password)]) + password.encode()
    return bytes([command, 1]) + correlation + who + payload


class Peer:
    """One TCP connection that speaks packages, either end of it."""

    def __init__(self, sock, limit=10):
        self.sock = sock
        self.limit = limit
        self.held = bytearray()
        sock.settimeout(limit)

    def send_bytes(self, data):
        self.sock.sendall(data)

    def send(self, command, correlation, payload=b"", **who):
        self.send_bytes(frame(package(command, correlation, payload, **who)))

    def next(self):
        """The next package, whatever it is; None at the end of the stream."""
        while True:
            if len(self.held) >= 4:
                length = struct.unpack_from("<I", self.held)[0]
                if len(self.held) >= 4 + length:
                    whole, self.held = self.held[4:4 + length], self.held[4 + length:]
                    return Package(whole)
            more = self.sock.recv(65536)
            if not more:
                return None
            self.held += more

    def read(self, *commands):
        """The next package that is no heartbeat; heartbeats are answered. It must be one of COMMANDS, where given."""
        while True:
            got = self.next()
            if got is None:
                raise EOFError("the peer closed the connection")
            if got.command == HEARTBEAT_REQUEST:
                self.send(HEARTBEAT_RESPONSE, got.correlation)
            elif got.command != HEARTBEAT_RESPONSE:
                assert not commands or got.command in commands, \
                    "package 0x%02x came in place of %s" % (got.command, [hex(c) for c in commands])
                return got

    def ends(self):
        """Waits until the peer has closed, answering nothing any more."""
        try:
            while self.next() is not None:
                pass
        except ConnectionResetError:
            pass

    def close(self):
        self.sock.close()

    def reset(self):
        """Closes with RST in place of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Direct(Peer):
    """A plain client of the store, for what must be seen without the daemon in between."""

    def __init__(self, port, limit=10):
        super().__init__(socket.create_connection(("127.0.0.1", port), timeout=limit), limit)

    def ask(self, command, payload=b"", **who):
        correlation = uuid.uuid4().bytes
        self.send(command, correlation, payload, **who)
        while True:
            got = self.read()
            if got.correlation == correlation:
                return got

    def record(self, stream, number):
        """The fields of the EventRecord NUMBER of STREAM, as stored."""
        got = self.ask(READ_EVENT, message((1, stream), (2, number), (3, False), (4, False))).fields()
        assert one(got, 1, 0) == 0, "reading %s/%d: result %d" % (stream, number, one(got, 1))
        return fields(one(fields(one(got, 2)), 1))


class FakeStore:
    """A TCP server that a test plays by hand."""

    def __init__(self, limit=10, keeps=None):
        self.limit = limit
        self.listener = socket.create_server(("127.0.0.1", 0))
        if keeps:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, keeps)
        self.listener.settimeout(limit)
        self.port = self.listener.getsockname()[1]
        self.peers = []

    def accept(self):
        sock = self.listener.accept()[0]
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = Peer(sock, self.limit)
        self.peers.append(peer)
        return peer

    def welcome(self):
        """Accepts a connection and answers what comes before the first request."""
        peer = self.accept()
        while True:
            got = peer.read(AUTHENTICATE, IDENTIFY_CLIENT)
            if got.command == AUTHENTICATE:
                peer.send(AUTHENTICATED, got.correlation)
            else:
                peer.send(CLIENT_IDENTIFIED, got.correlation)
                return peer

    def close(self):
        for peer in self.peers:
            peer.close()
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


def write_completed(first=0, last=0, position=100):
    return message((1, 0), (3, first), (4, last), (5, position), (6, position))


def record(stream, number, event_type="t", data=b"{}", event_id=None, json=1):
    """An EventRecord."""
    return message((1, stream), (2, number), (3, event_id or uuid.uuid4().bytes_le), (4, event_type), (5, json),
                   (6, json), (7, data), (8, b""), (9, 636789312000000000), (10, 1543334400000))
