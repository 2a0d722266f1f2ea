#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A wire between two Ethernet devices that takes its time and loses TCP packets: what netem would
do, where the kernel has none.

    slow_wire.py DEVICE DEVICE --delay-ms 10 --loss-percent 1 [--seed N]

Each way takes that long, and each way loses that share. Prints "ready", then runs until killed.
"""
import argparse
import collections
import random
import select
import socket
import time

ETH_P_ALL, PACKET_OUTGOING = 3, 4
ETHERTYPE_AT, PROTOCOL_AT = slice(12, 14), 23


def open_device(name):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    s.bind((name, ETH_P_ALL))
    s.setblocking(False)
    return s


def is_tcp(frame):
    return frame[ETHERTYPE_AT] == b"\x08\x00" and frame[PROTOCOL_AT] == socket.IPPROTO_TCP


class Way:
    """One direction."""

    def __init__(self, source, sink, options, seed):
        self.source, self.sink, self.random = source, sink, random.Random(seed)
        self.delay_s, self.loss = options.delay_ms / 1000, options.loss_percent / 100
        self.queue = collections.deque()

    def take(self):
        while True:
            try:
                frame, address = self.source.recvfrom(70000)
            except BlockingIOError:
                return
            if address[2] == PACKET_OUTGOING:
                continue
            if is_tcp(frame) and self.random.random() < self.loss:
                continue
            self.queue.append((time.monotonic() + self.delay_s, frame))

    def give(self):
        now = time.monotonic()
        while self.queue and self.queue[0][0] <= now:
            self.sink.send(self.queue.popleft()[1])

    def due_s(self):
        return self.queue[0][0] - time.monotonic() if self.queue else 3600


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("devices", nargs=2)
    parser.add_argument("--delay-ms", type=float, default=10)
    parser.add_argument("--loss-percent", type=float, default=0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    a, b = map(open_device, options.devices)
    ways = (Way(a, b, options, options.seed), Way(b, a, options, options.seed + 1))
    print("ready", flush=True)
    while True:
        select.select([a, b], [], [], max(0, min(way.due_s() for way in ways)))
        for way in ways:
            way.take()
            way.give()


main()
