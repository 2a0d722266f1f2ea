#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Takes uploads of --size bytes on a connection and says "ok" after each."""
import argparse

import connlog

ap = argparse.ArgumentParser(description=__doc__)
connlog.standard_args(ap, 80)
ap.add_argument("--size", type=int, default=1000000)
args = ap.parse_args()


async def handler(conn):
    begun = 0
    while True:
        await conn.fill()
        conn.buf = b""
        if conn.rx - begun >= args.size:
            begun += args.size
            conn.requests += 1
            await conn.send(b"ok\n")


connlog.serve(handler, args.host, args.port, connlog.ConnLog(args.log))
