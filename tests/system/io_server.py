#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The other end of io_probe.c: reads each connection to its end, checks every byte, and answers with
ANSWER bytes of the same pattern (none when what came was wrong).

io_server.py ADDR PORT EXPECTED ANSWER; prints "ready", then one line per connection: its peer,
bytes received, right or wrong."""
import socket
import sys
import threading


def pattern(length):
    return bytes((i * 7 + (i >> 8)) & 0xFF for i in range(length))


def serve(conn, peer, expected, answer):
    with conn:
        parts = []
        while data := conn.recv(1 << 20):
            parts.append(data)
        right = b"".join(parts) == expected
        state = "right" if right else "wrong"
        sys.stdout.write(f"{peer} {sum(map(len, parts))} {state}\n")  # one write: many threads
        sys.stdout.flush()
        if right:
            conn.sendall(answer)


def main():
    addr, port, expected, answer = sys.argv[1], *map(int, sys.argv[2:5])
    family = socket.AF_INET6 if ":" in addr else socket.AF_INET
    listener = socket.create_server((addr, port), family=family, backlog=4096)
    expected, answer = pattern(expected), pattern(answer)
    print("ready", flush=True)
    while True:
        conn, peer = listener.accept()
        threading.Thread(target=serve, args=(conn, peer[0], expected, answer), daemon=True).start()


main()
