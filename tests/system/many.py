#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Twenty thousand users: the target accepts as many connections, answers every request, and has
none left open."""
import captures
import lab

USERS = 20000


def main(l):
    target = l.host("target", lab.TARGET + "/32")
    for name in ("http-short", "http-keepalive"):
        sessions = captures.playable(name)
        requests = sum(sessions[i % len(sessions)]["requests"] for i in range(USERS))
        sink = l.sink(target, 80, "--procs", 4)     # a process cannot have 20,000 files open
        run = l.tcpburn(target, "-x", "80-%s:80" % lab.TARGET, "-f", captures.path(name), "--tun",
                        "-u", USERS, "-i", 10000, "-a", 0)
        l.ok(run.all_completed, "%s: all complete" % name, run.words())
        l.same(run.figure("requests", "answered"), requests, "%s: all are answered" % name,
               run.words())
        l.same(target.sockets("established", 80), 0, "%s: none is left open" % name)
        seen = sink.final()
        l.same((seen["accepted"], seen["requests"], seen["bad"]), (USERS, requests, 0),
               "%s: the target saw every connection and request" % name, seen)


with lab.Test() as the_lab:
    main(the_lab)
