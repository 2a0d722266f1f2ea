#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Comet clients to be captured, against tests/servers/pushserver.py: each kind of session once for
every way in which a capture may end. Prints "done" when they have ended as they should, and stays
until it is killed.

    comet_client.py ADDRESS PORT KIND,…     kinds: events lines poll ws publish
"""
import os
import socket
import struct
import sys
import threading
import time

SECONDS = 1.3
BEAT_S = 0.25


def connect():
    s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    s.settimeout(5)
    return s


def masked(opcode, payload):
    mask = os.urandom(4)
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + bytes(
        c ^ mask[i % 4] for i, c in enumerate(payload))


def read_until(s, mark):
    data = b""
    while mark not in data:
        data += s.recv(1)
    return data


def stream(path, s, end):
    s.sendall(b"GET /%s?x=1 HTTP/1.1\r\nHost: h\r\n\r\n" % path.encode())
    while time.monotonic() < end:
        s.recv(4096)


def poll(s, end):
    n = 0
    while time.monotonic() < end or n < 2:
        n += 1
        s.sendall(b"GET /poll?n=%d HTTP/1.1\r\nHost: h\r\n\r\n" % n)
        head = read_until(s, b"\r\n\r\n").decode()
        left = int(head.lower().split("content-length:")[1].split()[0])
        while left:
            left -= len(s.recv(left))
        time.sleep(0.02)
    s.sendall(b"GET /poll?n=last HTTP/1.1\r\nHost: h\r\n\r\n")


def exactly(s, n):
    data = b""
    while len(data) < n:
        data += s.recv(n - len(data))
    return data


def ws(s, end):
    s.sendall(b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
    read_until(s, b"\r\n\r\n")
    s.sendall(masked(1, b"hello"))
    beat = time.monotonic() + BEAT_S
    s.settimeout(0.02)
    while time.monotonic() < end:
        if time.monotonic() > beat:
            beat += BEAT_S
            s.sendall(masked(9, b"beat"))
        try:
            head = s.recv(1)
        except TimeoutError:
            continue
        s.settimeout(5)
        length = exactly(s, 1)[0]
        if length == 126:
            length, = struct.unpack(">H", exactly(s, 2))
        payload = exactly(s, length)
        if head[0] & 15 == 9:
            s.sendall(masked(10, payload))
        s.settimeout(0.02)


def publish(s, end):
    s.sendall(b"POST /publish HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi")
    read_until(s, b"ok\n")


def session(kind, ending):
    s = connect()
    play = {"poll": poll, "ws": ws, "publish": publish}.get(kind)
    end = time.monotonic() + SECONDS
    if play:
        play(s, end)
    else:
        stream(kind, s, end)
    if ending == "fin" and kind == "ws":
        s.sendall(masked(8, struct.pack(">H", 1000)))
    if ending == "rst":
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if ending == "none":
        kept.append(s)
    else:
        s.close()


kept = []
threads = [threading.Thread(target=session, args=(kind, ending))
           for kind in sys.argv[3].split(",") for ending in ("none", "fin", "rst")]
for t in threads:
    t.start()
for t in threads:
    t.join()
print("done", flush=True)
time.sleep(3600)
