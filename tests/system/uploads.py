#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Uploads for tests and the workload L of bench/run: a capture of a client that sends SIZE bytes, gets "ok" and
closes, and the same with the kernel's own TCP.

    uploads.py ADDRESS PORT SIZE      upload once, with Reno as congestion control
"""
import hashlib
import pathlib
import random
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "captures"))
from packets import ACK, FIN, PSH, RAW_IP, SYN, ipv4, tcp, write_pcap  # noqa: E402

CLIENT, SERVER = ("198.18.9.1", 40000), ("198.18.9.2", 80)
SYN_OPTIONS = bytes.fromhex("020405b4" "0402" "080a0000000100000000" "01030307")
TIMESTAMPS = bytes.fromhex("0101" "080a0000000100000001")
PIECE = 60000       # captured with offload: the loader takes such packets


def payload(size):
    return random.Random(size).randbytes(size)


def sha256(size):
    return hashlib.sha256(payload(size)).hexdigest()


def packet(src, dst, seq, ack, flags, data=b""):
    options = SYN_OPTIONS if flags & SYN else TIMESTAMPS
    return ipv4(src, dst, tcp(src, dst, seq, ack, flags, data, options))


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
    return write_pcap(path, RAW_IP, packets)


def upload(address, port, size):
    with socket.socket() as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        s.connect((address, port))
        s.sendall(payload(size))
        assert s.recv(100) == b"ok\n"


if __name__ == "__main__":
    upload(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
