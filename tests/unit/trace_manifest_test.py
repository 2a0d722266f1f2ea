#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Loads every capture that a manifest describes and compares each session with the oracle (tshark):
the client's bytes, when it began, who ended it, and why a session is not used. TAP.

TB_CAPTURES names the folder with manifest.json and the captures (default: tests/captures)."""
import hashlib
import json
import os
import subprocess
import sys
from decimal import Decimal

HERE = os.path.dirname(os.path.abspath(__file__))
CAPTURES = os.environ.get("TB_CAPTURES") or os.path.join(HERE, "..", "captures")
DUMP = os.path.join(os.environ.get("TB_BUILDDIR", "."), "tests", "unit", "trace_dump")


def load(entry, *options):
    command = [DUMP, *options, ",".join(entry["servers"]), os.path.join(CAPTURES, entry["file"])]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def why_unusable(entry, c):
    """The reason to expect, or None for a session that can be played."""
    if not c["syn"]:
        return "no_syn"
    if "truncated" in entry and c["client_bytes"] > 0:
        return "truncated"
    if c.get("client_missing") or c.get("client_not_shown"):
        return "hole"
    return None


def take_session(ours, c):
    """Our session for a connection: the manifest rounds times, and begins with the first frame,
    which is not the SYN where packets overtook each other."""
    start_us = Decimal(c["start"]) * 1000000
    near = [s for s in ours if s["client"] == c["client"] and abs(s["start_us"] - start_us) < 1000]
    if not near:
        return None
    best = min(near, key=lambda s: abs(s["start_us"] - start_us))
    ours.remove(best)
    return best


def check_session(c, s):
    """What differs between a connection of the manifest and a session of ours."""
    problems = []
    data = bytes.fromhex(s["hex"])
    if s["client_bytes"] != c["client_bytes"] or len(data) != c["client_bytes"]:
        problems.append(f"{len(data)} client bytes instead of {c['client_bytes']}")
    elif hashlib.sha256(data).hexdigest() != c["client_sha256"]:
        problems.append("other client bytes")
    end = s["end"]
    if (end["client"] == 1) != c["fin_client"] and not (c["rst_client"] and end["client"] == 2):
        # A FIN that was lost is inferred from its acknowledgement.
        if not (end["client"] == 1 and "whole_client_bytes" in c):
            problems.append(f"client end {end['client']}, FIN captured: {c['fin_client']}")
    if c["fin_server"] and not end["server_fin"]:
        problems.append("the server's FIN is not there")
    if c["rst_server"] and end["server"] != 2 and not (c["fin_client"] and c["fin_server"]):
        problems.append("the server's RST is not there")
    return problems


def check_file(entry):
    problems = []
    trace = load(entry)
    ours = list(trace["sessions"])
    skipped = {}
    for c in entry["connections"]:
        name = f"{c['client']} at {c['start']}"
        reason = why_unusable(entry, c)
        if reason:
            skipped[reason] = skipped.get(reason, 0) + 1
            continue
        s = take_session(ours, c)
        if s:
            problems += [f"{name}: {p}" for p in check_session(c, s)]
        else:
            problems.append(f"{name}: missing")
    problems += [f"{s['client']} at {s['start_us']}: not in the manifest" for s in ours]
    found = {k: n for k, n in trace["skipped"].items() if k not in ("no_transfer", "refused")}
    if found != skipped:
        problems.append(f"skipped {found} instead of {skipped}")
    if trace["warning"]:
        problems.append("warning: " + trace["warning"])
    starts = [s["start_us"] for s in trace["sessions"]]
    if starts != sorted(starts):
        problems.append("sessions are not in the order of their SYNs")
    return problems


def main():
    path = os.path.join(CAPTURES, "manifest.json")
    if not os.path.exists(path):
        print(f"1..0 # SKIP no {path}; set TB_CAPTURES")
        return 0
    with open(path, encoding="utf-8") as f:
        files = json.load(f)["files"]
    print(f"1..{len(files)}")
    failed = 0
    for n, entry in enumerate(files, 1):
        problems = check_file(entry)
        failed += bool(problems)
        print(f"{'not ok' if problems else 'ok'} {n} - {entry['file']}")
        for p in problems:
            print(f"#   {p}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
