# SPDX-License-Identifier: BSD-2-Clause
"""A client of intercept's channel, and a gun for packets, both in hosts of the lab: written from
docs/CHANNEL.md, apart from the C code, so that tests do not agree with themselves."""
import contextlib
import ctypes
import ipaddress
import os
import select
import socket
import struct
import time

import lab

PORT = 36524
HELLO, WELCOME, REFUSED, RECORDS, PING, PONG, DROPS, REGISTER, UNREGISTER, WATCH, SEEN, BYE, \
    TAKEN = range(1, 14)
WANT_PAYLOAD, WANT_SINGLE, WANT_REGISTER, WANT_WATCH = 1, 2, 4, 8
SEEN_OUTGOING, SEEN_CAPTURED, SEEN_REDIRECT = 1, 2, 4
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def inside(host):
    """Sockets made within belong to the host."""
    with open("/proc/self/ns/net", "rb") as here, open("/run/netns/" + host.ns, "rb") as there:
        if libc.setns(there.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(here.fileno(), CLONE_NEWNET)


def mapped(address):
    a = ipaddress.ip_address(address)
    return a.packed if a.version == 6 else b"\0" * 10 + b"\xff\xff" + a.packed


def unmapped(data):
    a = ipaddress.IPv6Address(data)
    return str(a.ipv4_mapped or a)


def text(data, at):
    n, = struct.unpack_from("!H", data, at)
    return data[at + 2:at + 2 + n].decode(), at + 2 + n


def endpoints(pairs):
    return b"".join(mapped(address) + struct.pack("!H", port) for address, port in pairs)


class Client:
    """Connected and welcomed; .refused is the reason when it was not."""

    def __init__(self, host, *ranges, flags=0, targets=None, address="127.0.0.1", port=PORT):
        """`targets`, if only an empty list: (address, port) of those whose sessions it registers."""
        flags |= 0 if targets is None else WANT_REGISTER
        version = 1 if targets is None else 2
        with inside(host):
            self.socket = socket.create_connection((address, port), timeout=lab.PATIENCE_S)
        self.buffer, self.records, self.seen, self.taken = b"", [], [], []
        self.bye = self.refused = None
        hello = b"TBRN" + struct.pack("!HI16sHHH", version, flags, os.urandom(16), 0, 1, 4) + b"test"
        hello += struct.pack("!H", len(ranges))
        for network in map(ipaddress.ip_network, ranges):
            hello += mapped(network[0]) + struct.pack("!Q", min(network.num_addresses, 1 << 32))
        if version == 2:
            hello += struct.pack("!H", len(targets)) + endpoints(targets)
        self.send(HELLO, hello)
        kind, data = self.frame()
        if kind == REFUSED:
            self.refused = text(data, 2)[0]
            return
        assert kind == WELCOME, kind
        _, self.flags, self.real_us = struct.unpack_from("!HIQ", data, 4)
        self.program, at = text(data, 18)
        self.devices, at = text(data, at)
        self.filter, at = text(data, at)

    def close(self):
        self.socket.close()

    def send(self, kind, payload):
        self.socket.sendall(struct.pack("!IBxxx", len(payload), kind) + payload)

    def frame(self, limit_s=lab.PATIENCE_S):
        """The next frame: (type, payload); (None, b"") when the connection is closed."""
        end = time.monotonic() + limit_s
        while True:
            if len(self.buffer) >= 8:
                n, kind = struct.unpack_from("!IB", self.buffer)
                if len(self.buffer) >= 8 + n:
                    payload, self.buffer = self.buffer[8:8 + n], self.buffer[8 + n:]
                    return kind, payload
            if not select.select([self.socket], [], [], 1)[0]:
                if time.monotonic() > end:
                    raise lab.LabError("no frame within %s s" % limit_s)
                self.send(PING, bytes(16))      # who is silent is taken for dead
                continue
            more = self.socket.recv(1 << 18)
            if not more:
                return None, b""
            self.buffer += more

    def take(self):
        """One frame into .records, .seen or .bye."""
        kind, data = self.frame()
        if kind == RECORDS:
            base, at = struct.unpack_from("!Q", data)[0], 8
            while at < len(data):
                wire, n, later = struct.unpack_from("!III", data, at)
                self.records.append(Record(base + later, wire, data[at + 12:at + 12 + n]))
                at += 12 + n
        elif kind == SEEN:
            flags, = struct.unpack_from("!I", data)
            sport, dport, tcp, proto = struct.unpack_from("!HHBB", data, 36)
            self.seen.append({"flags": flags, "src": unmapped(data[4:20]),
                              "dst": unmapped(data[20:36]), "sport": sport, "dport": dport,
                              "tcp": tcp, "proto": proto, "device": text(data, 42)[0]})
        elif kind == TAKEN:
            self.taken += [(unmapped(data[at:at + 16]), *struct.unpack_from("!H", data, at + 16))
                           for at in range(0, len(data), 18)]
        elif kind == BYE:
            self.bye = text(data, 2)[0]
        return kind

    def register(self, *sessions, kind=REGISTER):
        """Sessions: (address, port)."""
        self.send(kind, endpoints(sessions))

    def ping(self):
        """The server has taken all that was sent before: it answers in order."""
        self.send(PING, bytes(16))
        while self.take() != PONG:
            pass

    def until(self, condition):
        """Take frames until condition() holds."""
        while not condition():
            if self.take() is None:
                raise lab.LabError("intercept closed the connection")

    def numbers(self, count):
        """The sequence numbers of the next `count` packets."""
        self.until(lambda: len(self.records) >= count)
        taken, self.records = self.records[:count], self.records[count:]
        return [r.seq for r in taken]


class Record:
    """A packet as it was passed on."""

    def __init__(self, real_us, wire_len, data):
        self.real_us, self.wire_len, self.data = real_us, wire_len, data
        v4 = data[0] >> 4 == 4
        head = (data[0] & 15) * 4 if v4 else 40
        at = 12 if v4 else 8
        size = 4 if v4 else 16
        self.src = str(ipaddress.ip_address(data[at:at + size]))
        self.dst = str(ipaddress.ip_address(data[at + size:at + 2 * size]))
        self.sport, self.dport, self.seq = struct.unpack_from("!HHI", data, head)
        self.tcp, self.head = data[head:], data[:head]
        self.payload = self.tcp[(self.tcp[12] >> 4) * 4:]

    def checksums_hold(self):
        """Of a packet that is whole."""
        pseudo = ipaddress.ip_address(self.src).packed + ipaddress.ip_address(self.dst).packed + \
            struct.pack("!II", len(self.tcp), 6)
        return checksum(pseudo + self.tcp) == 0 and \
            (self.head[0] >> 4 == 6 or checksum(self.head) == 0)


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def segment(src, dst, dport=40000, seq=0, sport=80, payload=b"", flags=0x18):
    """A TCP packet as a server would send it."""
    s, d = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    tcp = struct.pack("!HHIIBBHHH", sport, dport, seq, 1, 0x50, flags, 65535, 0, 0) + payload
    pseudo = s.packed + d.packed + struct.pack("!II", len(tcp), 6)
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
    if s.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(tcp), 6, 64) + s.packed + d.packed + tcp
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, 0x4000, 64, 6, 0) + s.packed + \
        d.packed
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + tcp


class Gun:
    """Sends packets out of a host's device, to a MAC address of the other end."""

    def __init__(self, host, device, to_host, to_device):
        link = to_host.ip("-o", "link", "show", to_device)
        mac = link.split("link/ether ")[1].split()[0]
        self.mac = bytes.fromhex(mac.replace(":", ""))
        with inside(host):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.bind((device, 0))

    def fire(self, *packets, tag=b""):
        """`tag`: of a VLAN, four bytes."""
        for p in packets:
            proto = b"\x08\x00" if p[0] >> 4 == 4 else b"\x86\xdd"
            self.socket.send(self.mac + b"\x02\0\0\0\0\1" + tag + proto + p)
