#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A server that does not do what the capture shows. --mode:

close    reads a request, answers nothing, closes
reset    reads a request, answers nothing, resets
half     answers each request with half a response, then closes
trickle  answers each request with a response in pieces, --ms milliseconds apart
Standard library only.
"""
import argparse
import asyncio
import socket
import struct

import connlog

ap = argparse.ArgumentParser(description=__doc__,
                             formatter_class=argparse.RawDescriptionHelpFormatter)
connlog.standard_args(ap, 8093)
ap.add_argument("--mode", choices=("close", "reset", "half", "trickle"), required=True)
ap.add_argument("--ms", type=int, default=5)
args = ap.parse_args()


async def handler(conn):
    while True:
        method, target, version, headers = await connlog.http_head(conn)
        await connlog.http_body(conn, headers)
        answer = connlog.http_response("200 OK", b"x" * 400)
        if args.mode == "reset":
            conn.w.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if args.mode in ("close", "reset"):
            return
        if args.mode == "half":
            await conn.send(answer[:len(answer) // 2])
            return
        for i in range(0, len(answer), 100):
            await conn.send(answer[i:i + 100])
            await asyncio.sleep(args.ms / 1000)


connlog.serve(handler, args.host, args.port, connlog.ConnLog(args.log))
