#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a server's host saw of its connections: packets recorded there, and the client's bytes of
each connection put together again. The oracle of the replay tests; shares no code with tcpburn.

    recorder.py FILE PORT[,PORT…]     record TCP of these ports on every device until SIGTERM

    import recorder
    recorder.connections(FILE, [PORT…])    -> [Connection, …]

A connection's bytes count as delivered only as far as the server acknowledged them. Bytes that
were sent twice must be the same both times.
"""
import gzip
import hashlib
import os
import select
import signal
import socket
import struct
import sys
import time

ETH_P_ALL, ETH_P_IP, ETH_P_IPV6 = 3, 0x0800, 0x86DD
SOL_PACKET, PACKET_STATISTICS = 263, 6
SO_RCVBUFFORCE = 33
LINKTYPE_ETHERNET, LINKTYPE_RAW_OLD, LINKTYPE_RAW = 1, 12, 101
FIN, SYN, RST, ACK = 1, 2, 4, 16


def parse(packet):
    """(source, sport, destination, dport, seq, ack, flags, payload) of an IP packet, or None."""
    if len(packet) < 40:
        return None
    if packet[0] >> 4 == 4:
        head, total = (packet[0] & 15) * 4, struct.unpack_from(">H", packet, 2)[0]
        if packet[9] != 6 or struct.unpack_from(">H", packet, 6)[0] & 0x1FFF:
            return None
        src, dst = packet[12:16], packet[16:20]
    else:
        head, total = 40, 40 + struct.unpack_from(">H", packet, 4)[0]
        if packet[6] != 6:
            return None
        src, dst = packet[8:24], packet[24:40]
    if total <= head:           # a large offloaded packet has no length of its own
        total = len(packet)
    if len(packet) < head + 20:
        return None
    sport, dport, seq, ack = struct.unpack_from(">HHII", packet, head)
    offset = head + (packet[head + 12] >> 4) * 4
    return src, sport, dst, dport, seq, ack, packet[head + 13] & 0x3F, packet[offset:total]


class Connection:
    """One connection as the server's host saw it."""

    def __init__(self, client, server, ports, isn):
        self.client, self.server, self.isn = client, server, isn     # addresses as in the packets
        self.client_port, self.port = ports
        self.server_isns = set()
        self.pieces = {}          # offset in the stream -> bytes, the longest seen
        self.fin = None           # length of the stream, by the client's FIN
        self.end = 0              # highest offset the client sent, a FIN counted in
        self.acked = 0            # highest offset the server acknowledged
        self.client_rst = self.server_rst = self.server_fin = False
        self.established = False
        self.conflict = False     # the same offset was sent with different bytes

    def offset(self, seq):
        """Stream offset of a sequence number (streams here are far below 2 GB)."""
        d = (seq - self.isn - 1) & 0xFFFFFFFF
        return d - (1 << 32) if d >= 1 << 31 else d

    def segment(self, seq, flags, payload):
        at = self.offset(seq) + (1 if flags & SYN else 0)
        if payload and at >= 0:
            old = self.pieces.get(at, b"")
            n = min(len(old), len(payload))
            if old[:n] != payload[:n]:
                self.conflict = True
            if len(payload) > len(old):
                self.pieces[at] = payload
        if flags & FIN:
            self.fin = at + len(payload)
        self.end = max(self.end, at + len(payload) + (1 if flags & FIN else 0))
        if flags & RST:
            self.client_rst = True

    def stream(self):
        """The client's bytes from the start up to the first hole."""
        out = bytearray()
        for at in sorted(self.pieces):
            data = self.pieces[at]
            if at > len(out):
                break
            n = min(len(out) - at, len(data))
            if bytes(out[at:at + n]) != data[:n]:
                self.conflict = True
            out += data[n:]
        return bytes(out)

    def delivered(self):
        """What the server's kernel took: the stream as far as it is acknowledged."""
        return self.stream()[:max(self.acked, 0)]

    def sha256(self):
        """Of what was delivered; of all that was sent where the server reset the connection."""
        return hashlib.sha256(self.stream() if self.server_rst else self.delivered()).hexdigest()

    @property
    def closed(self):
        return self.client_rst or self.server_rst or (self.fin is not None and self.server_fin)


def open_packed(path):
    return gzip.open(path) if str(path).endswith(".gz") else open(path, "rb")


def packets(path):
    """The IP packets of a pcap file (raw IP, or Ethernet without tags)."""
    with open_packed(path) as f:
        head = f.read(24)
        if len(head) < 24:
            return
        order = "<" if head[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
        link = struct.unpack(order + "I", head[20:24])[0] & 0xFFFF
        skip = {LINKTYPE_RAW: 0, LINKTYPE_RAW_OLD: 0, LINKTYPE_ETHERNET: 14}.get(link)
        if skip is None:
            raise ValueError("%s: link type %d" % (path, link))
        while True:
            record = f.read(16)
            if len(record) < 16:
                return
            data = f.read(struct.unpack(order + "IIII", record)[2])
            yield data[skip:]


def connections(path, ports):
    """The connections to these ports, in the order of their SYNs."""
    done, live = [], {}
    for packet in packets(path):
        p = parse(packet)
        if not p:
            continue
        src, sport, dst, dport, seq, ack, flags, payload = p
        if dport in ports:
            key = (src, sport, dst, dport)
            c = live.get(key)
            if flags & SYN and not flags & ACK and (c is None or c.isn != seq):
                c = live[key] = Connection(src, dst, (sport, dport), seq)
                done.append(c)
            if c:
                c.segment(seq, flags, payload)
        elif sport in ports:
            c = live.get((dst, dport, src, sport))
            if not c:
                continue
            if flags & SYN:
                c.server_isns.add(seq)
            if flags & ACK:
                n = c.offset(ack)
                if flags & SYN and n == 0:
                    c.established = True
                if n <= c.end:      # what was not sent is of another connection (challenge ACK)
                    c.acked = max(c.acked, n)
            c.server_fin |= bool(flags & FIN)
            c.server_rst |= bool(flags & RST)
    return done


def record(path, ports):
    """Record until SIGTERM. Says "recording" when it does, and at the end what the kernel lost."""
    s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 256 << 20)
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    r, w = os.pipe()                # SIGTERM ends the wait for packets, too
    os.set_blocking(w, False)
    signal.set_wakeup_fd(w)
    s.setblocking(False)
    with open(path, "wb", buffering=1 << 20) as f:
        f.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, LINKTYPE_RAW))
        print("recording", flush=True)
        while True:
            try:
                data, address = s.recvfrom(262144)
            except BlockingIOError:
                if stop:
                    break
                select.select([s, r], [], [])
                continue
            if address[1] not in (ETH_P_IP, ETH_P_IPV6):
                continue
            p = parse(data)
            if p and (p[1] in ports or p[3] in ports):
                now = time.time()
                f.write(struct.pack("<IIII", int(now), int(now % 1 * 1e6), len(data), len(data)))
                f.write(data)
    lost = struct.unpack("II", s.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
    print("lost %d" % lost, flush=True)


if __name__ == "__main__":
    record(sys.argv[1], [int(x) for x in sys.argv[2].split(",")])
