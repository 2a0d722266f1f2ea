#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Uploads for tests and the workload L of bench/run: a capture of a client that sends SIZE bytes, gets "ok" and
closes, and the same with the kernel's own TCP.

    uploads.py ADDRESS PORT SIZE      upload once, with Reno as congestion control
"""
import hashlib
import random
import socket
import struct
import sys

CLIENT, SERVER = ("198.18.9.1", 40000), ("198.18.9.2", 80)
SYN_OPTIONS = bytes.fromhex("020405b4" "0402" "080a0000000100000000" "01030307")
TIMESTAMPS = bytes.fromhex("0101" "080a0000000100000001")
FIN, SYN, PSH, ACK = 1, 2, 8, 16
PIECE = 60000       # captured with offload: the loader takes such packets


def payload(size):
    return random.Random(size).randbytes(size)


def sha256(size):
    return hashlib.sha256(payload(size)).hexdigest()


def checksum(data):
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data[:len(data) & ~1]))
    if len(data) & 1:
        total += data[-1] << 8
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet(src, dst, seq, ack, flags, data=b""):
    options = SYN_OPTIONS if flags & SYN else TIMESTAMPS
    ends = socket.inet_aton(src[0]) + socket.inet_aton(dst[0])
    tcp = struct.pack(">HHIIBBHHH", src[1], dst[1], seq, ack, (20 + len(options)) << 2, flags,
                      65535, 0, 0) + options + data
    tcp = tcp[:16] + struct.pack(">H", checksum(ends + struct.pack(">HH", 6, len(tcp)) + tcp)) \
        + tcp[18:]
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, 0x4000, 64, 6, 0) + ends
    return ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:] + tcp


def write_capture(path, size):
    """A pcap file of one upload."""
    data, c, s = payload(size), 1000, 9000
    packets = [packet(CLIENT, SERVER, c, 0, SYN), packet(SERVER, CLIENT, s, c + 1, SYN | ACK),
               packet(CLIENT, SERVER, c + 1, s + 1, ACK)]
    for at in range(0, size, PIECE):
        packets.append(packet(CLIENT, SERVER, c + 1 + at, s + 1, PSH | ACK, data[at:at + PIECE]))
    end = c + 1 + size
    packets += [packet(SERVER, CLIENT, s + 1, end, PSH | ACK, b"ok\n"),
                packet(CLIENT, SERVER, end, s + 4, FIN | ACK),
                packet(SERVER, CLIENT, s + 4, end + 1, FIN | ACK),
                packet(CLIENT, SERVER, end + 1, s + 5, ACK)]
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 101))
        for i, p in enumerate(packets):
            f.write(struct.pack("<IIII", 1700000000, 100 * i, len(p), len(p)) + p)
    return path


def upload(address, port, size):
    with socket.socket() as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        s.connect((address, port))
        s.sendall(payload(size))
        assert s.recv(100) == b"ok\n"


if __name__ == "__main__":
    upload(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
