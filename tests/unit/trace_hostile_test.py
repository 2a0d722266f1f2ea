#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The captures of tests/captures/hostile.py load with the right bytes and the right counts: every
session is either played exactly or counted under its reason. TAP.

`--tshark`: does tshark see the same in them? `--keep FOLDER` leaves the captures there."""
import argparse
import collections
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "captures"))
import hostile  # noqa: E402
import packets  # noqa: E402

BUILD = pathlib.Path(os.environ.get("TB_BUILDDIR", HERE.parents[1]))


def digests(streams):
    return collections.Counter(hashlib.sha256(s).hexdigest()[:12] + " (%d bytes)" % len(s)
                               for s in streams)


def difference(have, want):
    return ["missing: " + x for x in (want - have).elements()] \
        + ["too many: " + x for x in (have - want).elements()]


def check_load(c, path):
    """What the loader makes of it, byte for byte."""
    dump = subprocess.run([BUILD / "tests" / "unit" / "trace_dump", "80", path], check=True,
                          capture_output=True)
    trace = json.loads(dump.stdout)
    problems = difference(digests(bytes.fromhex(s["hex"]) for s in trace["sessions"]),
                          digests(c.played))
    if trace["skipped"] != c.skipped:
        problems.append("skipped %s, not %s" % (trace["skipped"], dict(c.skipped)))
    if trace["bad_packets"] != c.bad:
        problems.append("%d bad packets, not %d" % (trace["bad_packets"], c.bad))
    if bool(trace["warning"]) != bool(c.cut_bytes):
        problems.append("warning: '%s'" % trace["warning"])
    return problems


def requests_of(streams):
    return sum(s.count(b" HTTP/1.1\r\n") for s in streams)


def check_dry_run(c, path):
    """What the user is told."""
    run = subprocess.run([BUILD / "tcpburn", "--dry-run", "-x", "80-198.18.0.2:80", "-f", path],
                         check=False, capture_output=True, text=True)
    want = "captured: %d sessions, %d requests, %d client bytes" % (
        len(c.played), requests_of(c.played), sum(map(len, c.played)))
    problems = [] if run.returncode == 0 and want in run.stdout else [want]
    for reason, n in c.skipped.items():
        if not re.search(r"not used:.*\b%d %s\b" % (n, reason), run.stdout):
            problems.append("%d %s" % (n, reason))
    if problems:
        problems = ["not said: " + p for p in problems] + (run.stdout + run.stderr).splitlines()
    return problems


def tshark(path, *args):
    done = subprocess.run(["tshark", "-r", path, "-o", "tcp.check_checksum:TRUE", *args],
                          check=False, capture_output=True, text=True)
    return done.stdout


def check_tshark(c, path):
    """The same streams as another reader of captures sees them, of connections with a SYN."""
    streams = tshark(path, "-T", "fields", "-e", "tcp.stream", "-Y",
                     "tcp.flags.syn==1 && tcp.flags.ack==0").split()
    have = collections.Counter()
    for stream in sorted(set(streams), key=int):
        out = tshark(path, "-q", "-z", "follow,tcp,raw," + stream)
        client = re.search(r"^Node 0: .*:(\d+)$", out, re.M)
        first_is_client = client and client.group(1) != "80"
        data = b"".join(bytes.fromhex(x.strip()) for x in out.splitlines()
                        if re.fullmatch(r"(\t?)[0-9a-f]+", x)
                        and x.startswith("\t") != bool(first_is_client))
        have[next(iter(digests([data])))] += 1
    want = digests(c.played) - digests(c.unlike_tshark)
    return ["missing at tshark: " + x for x in (want - have).elements()]


def write(c, folder):
    path = packets.write_pcap(folder / (c.name + ".pcap"), packets.ETHERNET, c.frames)
    os.truncate(path, path.stat().st_size - c.cut_bytes)
    return path


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tshark", action="store_true")
    parser.add_argument("--keep", type=pathlib.Path)
    options = parser.parse_args()
    judges = [check_load, check_dry_run] + [check_tshark] * options.tshark
    count = failed = 0
    print("1..%d" % (len(hostile.ALL) * len(judges)))
    with tempfile.TemporaryDirectory() as folder:
        for make in hostile.ALL:
            c = hostile.Capture(make)
            path = write(c, options.keep or pathlib.Path(folder))
            for judge in judges:
                problems = judge(c, path)
                count += 1
                failed += bool(problems)
                print("%sok %d - %s: %s" % ("not " if problems else "", count, c.name,
                                            judge.__name__))
                for p in problems:
                    print("#   " + p)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
