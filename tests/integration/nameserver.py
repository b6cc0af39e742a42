"""A name server on loopback that knows what a test tells it."""

import ipaddress
import socket
import struct
import threading

A, AAAA = 1, 28


class NameServer:
    """Answers over UDP; `names` is {name: [addresses, IPv4 and IPv6]}, and what is not there does not exist. MUTE: it only listens."""

    def __init__(self, names, mute=False):
        self.names, self.mute = names, mute
        self.asked = []     # (name, type), as they came
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.sock.getsockname()[1]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            query, who = self.sock.recvfrom(1500)
            if not query:
                return
            answer = self.answer(query)
            if not self.mute:
                self.sock.sendto(answer, who)

    def answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("ascii"))
            at += 1 + query[at]
        kind = struct.unpack(">H", query[at + 1:at + 3])[0]
        name = ".".join(labels).lower()
        self.asked.append((name, kind))
        known = [ipaddress.ip_address(a) for a in self.names.get(name, ())]
        found = [a.packed for a in known if a.version == {A: 4, AAAA: 6}.get(kind)]
        records = b"".join(struct.pack(">HHHIH", 0xc00c, kind, 1, 60, len(a)) + a for a in found)
        flags = 0x8180 if name in self.names else 0x8183   # NXDOMAIN
        return query[:2] + struct.pack(">HHHHH", flags, 1, len(found), 0, 0) + query[12:at + 5] + records

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.sock.getsockname())
        self.thread.join()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()
