#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Live traffic for tap_*.py, each connection other bytes.

tap_traffic.py server ADDR PORT: reads each connection to its end and answers with three times as many
bytes; one line per connection: peer, port, bytes and CRC-32 of what came.
tap_traffic.py client ADDR PORT COUNT SEED MOST: that many connections of up to MOST bytes, eight
at once.
tap_traffic.py mirror SOURCE DEVICE KIND [ADDR]: sends a copy of every frame of the device SOURCE,
as a switch does: "plain" or with a "vlan" tag on DEVICE, or in "vxlan" to ADDR."""
import concurrent.futures
import random
import socket
import struct
import sys
import threading
import zlib

FACTOR = 3
ETH_P_ALL = 3
SO_RCVBUFFORCE = 33


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve(conn, peer):
    with conn:
        data = bytearray()
        while more := conn.recv(1 << 20):
            data += more
        # One write for a line: there are many threads.
        sys.stdout.write("%s %d %d %08x\n" % (peer[0], peer[1], len(data), zlib.crc32(data)))
        sys.stdout.flush()
        conn.sendall(b"." * (FACTOR * len(data)))


def server(address, port):
    listener = socket.create_server((address, int(port)), family=family(address), backlog=1024)
    while True:
        threading.Thread(target=serve, args=listener.accept(), daemon=True).start()


def talk(address, port, seed, most):
    data = random.Random(seed).randbytes(random.Random(seed).choice([1, 700, 5000, most]))
    with socket.create_connection((address, int(port))) as s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        got = 0
        while more := s.recv(1 << 20):
            got += len(more)
    return got == FACTOR * len(data)


def client(address, port, count, seed, most):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda i: talk(address, port, int(seed) + i, int(most)),
                             range(int(count))))
    sys.exit(0 if all(done) else 1)


def mirror(source, device, kind, address=None):
    seen = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    seen.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    seen.bind((source, ETH_P_ALL))
    if kind == "vxlan":
        out = socket.socket(family(address), socket.SOCK_DGRAM)
    else:
        out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        out.bind((device, 0))
    print("mirrors", flush=True)
    while True:
        frame = seen.recv(1 << 16)
        if kind == "vlan":
            frame = frame[:12] + struct.pack(">HH", 0x8100, 10) + frame[12:]
        elif kind == "vxlan":
            # Not connected: nobody listens there, and that is no error of ours.
            out.sendto(struct.pack(">II", 8 << 24, 42 << 8) + frame, (address, 4789))
            continue
        out.send(frame)


{"server": server, "client": client, "mirror": mirror}[sys.argv[1]](*sys.argv[2:])
