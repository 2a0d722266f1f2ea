#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A TCP server made of packets on a TUN device of its own, which breaks the rules. --mode:

polite         for comparison: answers each segment with a response, then closes with the client
mss            SYN-ACK with an MSS of --value
window         a window of 0 for ever
rsts           a hundred RSTs with any number for each packet, and nothing else
acks-beyond    acknowledges what was never sent
data-beyond    data beyond the window
overlap        the response backwards in overlapping pieces, of which the later say something else
fin-then-data  a FIN, and data behind it
never-fin      acknowledges the client's FIN and never closes
old-timestamps timestamps that go back
syn-twice      two SYN-ACKs for each SYN, with other numbers
dupacks        a thousand duplicate ACKs for each segment
fragments      every answer in IP fragments
garbage        twenty packets of random bytes behind a good IP header for each packet
Standard library only.
"""
import argparse
import fcntl
import os
import random
import signal
import struct
import subprocess
import sys

ap = argparse.ArgumentParser(description=__doc__,
                             formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("--mode", required=True)
ap.add_argument("--value", type=int, default=0)
ap.add_argument("--address", required=True)
args = ap.parse_args()
mode, rnd = args.mode, random.Random(1)

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
IFF_TUN, IFF_NO_PI, TUNSETIFF = 1, 0x1000, 0x400454CA
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 100


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ip_packet(src, dst, payload, fragment=0, proto=6):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 7, fragment, 64, proto, 0,
                       src, dst)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


class Connection:
    def __init__(self, src, dst, sport, dport):
        self.src, self.dst, self.sport, self.dport = src, dst, sport, dport
        self.nxt, self.rcv, self.ts, self.closed = 0, 0, None, False

    def segment(self, flags, payload=b"", seq=None, ack=None, window=60000, options=b""):
        if self.ts is not None:
            now = max(0, 1000000 - self.ts * 1000) if mode == "old-timestamps" else 5000
            options += struct.pack("!BBBBII", 1, 1, 8, 10, now, 0)
            self.ts += 1
        seq = self.nxt if seq is None else seq
        ack = self.rcv if ack is None else ack
        if mode == "window":
            window = 0
        head = struct.pack("!HHIIBBHHH", self.dport, self.sport, seq & 0xffffffff,
                           ack & 0xffffffff, (20 + len(options)) // 4 << 4, flags, window, 0, 0)
        head += options
        pseudo = self.dst + self.src + struct.pack("!HH", 6, len(head) + len(payload))
        head = head[:16] + struct.pack("!H", checksum(pseudo + head + payload)) + head[18:]
        whole = head + payload
        if mode == "fragments" and len(whole) > 24:
            send(ip_packet(self.dst, self.src, whole[:24], 0x2000))
            send(ip_packet(self.dst, self.src, whole[24:], 3))
        else:
            send(ip_packet(self.dst, self.src, whole))

    def syn(self, seq, with_ts):
        self.rcv = seq + 1
        self.nxt = rnd.getrandbits(32)
        self.ts = 0 if with_ts else None
        options = b""
        if mode == "mss":
            options = struct.pack("!BBH", 2, 4, args.value)
        if mode == "syn-twice":
            self.segment(SYN | ACK, seq=self.nxt + 12345)
        self.segment(SYN | ACK, options=options)
        self.nxt += 1

    def data(self, length):
        self.rcv += length
        if mode == "acks-beyond":
            self.segment(ACK, ack=self.rcv + 100000)
        elif mode == "data-beyond":
            for i in range(10):
                self.segment(ACK, RESPONSE, seq=self.nxt + (1 << 21) + i * 1000)
        elif mode == "overlap":
            end = len(RESPONSE)
            for at in range(end - 10, 0, -10):
                self.segment(ACK, RESPONSE[at:at + 30], seq=self.nxt + at)
                self.segment(ACK, b"?" * min(20, end - at), seq=self.nxt + at)
            self.segment(ACK, RESPONSE[:20])
            self.nxt += end
        elif mode == "dupacks":
            for _ in range(1000):
                self.segment(ACK, ack=self.rcv - length)
            self.respond()
        elif mode != "window":
            self.respond()

    def respond(self):
        self.segment(ACK | PSH, RESPONSE)
        self.nxt += len(RESPONSE)
        if mode == "fin-then-data":
            self.segment(FIN | ACK)
            for i in range(5):
                self.segment(ACK, RESPONSE, seq=self.nxt + 1 + i * 10)

    def fin(self):
        self.rcv += 1
        if mode == "never-fin":
            self.segment(ACK)
        elif not self.closed:
            self.segment(FIN | ACK)
            self.nxt += 1
        self.closed = True

    def take(self, seq, ack, flags, payload, with_ts):
        if mode == "rsts":
            for _ in range(100):
                self.segment(RST, seq=rnd.getrandbits(32))
            return
        if flags & RST:
            return
        if mode == "garbage":
            for _ in range(20):
                send(ip_packet(self.dst, self.src, rnd.randbytes(rnd.randrange(60))))
        if flags & SYN:
            self.syn(seq, with_ts)
            return
        if payload and seq == self.rcv & 0xffffffff:
            self.data(len(payload))
        if flags & FIN and seq + len(payload) & 0xffffffff == self.rcv & 0xffffffff:
            self.fin()


def send(packet):
    os.write(tun, packet)


def receive(packet):
    if len(packet) < 40 or packet[0] >> 4 != 4 or packet[9] != 6:
        return
    head = (packet[0] & 15) * 4
    total = struct.unpack("!H", packet[2:4])[0]
    sport, dport, seq, ack, offset, flags = struct.unpack("!HHIIBB", packet[head:head + 14])
    src, dst = packet[12:16], packet[16:20]
    offset = (offset >> 4) * 4
    with_ts = b"\x08\x0a" in packet[head + 20:head + offset]
    c = connections.get((src, sport))
    if c is None:
        c = connections[(src, sport)] = Connection(src, dst, sport, dport)
    c.take(seq, ack, flags, packet[head + offset:total], with_ts)


connections = {}
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"rawserver", IFF_TUN | IFF_NO_PI))
for command in (["link", "set", "rawserver", "up"],
                ["route", "add", args.address, "dev", "rawserver"]):
    subprocess.run(["ip", *command], check=True)
print("ready", flush=True)
while True:
    receive(os.read(tun, 65536))
