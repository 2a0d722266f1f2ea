#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A server that pushes, and counts what it pushed: the oracle of the comet tests.

GET  /events    an event stream: an event every --push seconds, a comment every second one
GET  /lines     a chunked body without an end: a line every --push seconds
GET  /poll      answered after --push seconds
POST /publish   answered at once
GET  /ws        a WebSocket: a text every --push seconds, a ping every --ping; echoes nothing

Every push carries its time. When it is stopped (SIGTERM), one line of JSON is printed: pushes by
kind, and what the clients did: pings of theirs, pongs with the right and with a wrong payload,
WebSocket keys seen (how many, and how many different ones), publications.
"""
import argparse
import asyncio
import base64
import collections
import hashlib
import json
import random
import struct
import time

import connlog

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
parser = argparse.ArgumentParser()
connlog.standard_args(parser, 8093)
parser.add_argument("--push", type=float, default=0.2)
parser.add_argument("--ping", type=float, default=0.5)
args = parser.parse_args()
counts = collections.Counter()
keys = []


def message():
    return json.dumps({"t": int(time.time() * 1e6), "pad": "*" * random.randrange(300)}).encode()


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


async def until_closed(conn, *tasks):
    """Run the tasks until the client closes."""
    running = [asyncio.ensure_future(t) for t in tasks]
    try:
        while True:
            await conn.fill()
    finally:
        for t in running:
            t.cancel()


async def push_each(conn, kind, make):
    await asyncio.sleep(random.random() * args.push)
    while True:
        await conn.send(make())
        counts[kind] += 1
        await asyncio.sleep(args.push)


def event():
    comment = b": still here\n\n" if counts["events"] % 2 else b""
    return chunk(comment + b"event: push\ndata: " + message() + b"\n\n")


async def stream(conn, path):
    kind = "text/event-stream" if path == "/events" else "text/plain"
    await conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n"
                    % kind.encode())
    if path == "/events":
        await until_closed(conn, push_each(conn, "events", event))
    else:
        await until_closed(conn, push_each(conn, "lines", lambda: chunk(message() + b"\n")))


async def poll(conn):
    waiter = asyncio.ensure_future(conn.fill())     # raises when the client goes
    done, _ = await asyncio.wait([waiter], timeout=args.push)
    if done:
        waiter.result()
    waiter.cancel()
    await asyncio.wait([waiter])
    await conn.send(connlog.http_response("200 OK", message(), "application/json"))
    counts["polls"] += 1


def frame(opcode, payload):
    length = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + struct.pack(">H", len(payload))
    return bytes([0x80 | opcode]) + length + payload


async def pings(conn, sent):
    while True:
        await asyncio.sleep(args.ping)
        sent.append(random.randbytes(random.randrange(1, 20)))
        await conn.send(frame(9, sent[-1]))


async def read_frames(conn, sent):
    while True:
        head, length = await conn.exactly(2)
        if not length & 0x80:
            raise ValueError("not masked")
        length &= 0x7f
        if length == 126:
            length, = struct.unpack(">H", await conn.exactly(2))
        mask = await conn.exactly(4)
        payload = bytes(c ^ mask[i % 4] for i, c in enumerate(await conn.exactly(length)))
        opcode = head & 15
        counts["client_frames"] += 1
        if opcode == 8:
            counts["client_closes"] += 1
            await conn.send(frame(8, payload[:2]))
            return
        if opcode == 9:
            counts["client_pings"] += 1
            await conn.send(frame(10, payload))
        if opcode == 10:
            counts["pongs" if payload in sent else "wrong_pongs"] += 1


async def socket(conn, headers):
    key = headers["sec-websocket-key"].encode()
    keys.append(key)
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    await conn.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                    b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
    sent = []
    tasks = [asyncio.ensure_future(t) for t in (
        push_each(conn, "messages", lambda: frame(1, message())), pings(conn, sent))]
    try:
        await read_frames(conn, sent)
    finally:
        for t in tasks:
            t.cancel()


async def handler(conn):
    while True:
        method, target, _, headers = await connlog.http_head(conn)
        path = target.split("?")[0]
        await connlog.http_body(conn, headers)
        if path in ("/events", "/lines"):
            await stream(conn, path)
        elif path == "/poll":
            await poll(conn)
        elif path == "/ws":
            await socket(conn, headers)
            return
        else:
            counts["published"] += path == "/publish"
            await conn.send(connlog.http_response("200 OK", b"ok\n"))


connlog.serve(handler, args.host, args.port, connlog.ConnLog(args.log))
counts["pushes"] = sum(counts[k] for k in ("events", "lines", "polls", "messages"))
print(json.dumps({**counts, "keys": len(keys), "different_keys": len(set(keys))}), flush=True)
