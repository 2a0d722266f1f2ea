#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Targets that refuse, stall, close early or reset, and runs that are interrupted or killed: each
session gets its verdict, the report is written, nothing is left behind on the target, and the next
run gets through at once."""
import signal

import captures
import lab

KEEPALIVE, SHORT, THINK = "http-keepalive", "http-short", "http-thinktime"
TO = ["-x", "80-%s:80" % lab.TARGET, "--tun"]


def verdict(l, target, title, want, *options, name=KEEPALIVE):
    """All sessions end as failed, under that verdict; exit status 2; nothing stays open."""
    run = l.tcpburn(target, *TO, "-f", captures.path(name), *options)
    planned = run.figure("sessions", "planned")
    l.ok(planned and run.figure("sessions", "failures", want) == planned,
         "%s: verdict %s" % (title, want), run.words())
    l.same(run.rc, 2, "%s: exit status" % title, run.words())
    l.same(target.sockets("established", 80), 0, "%s: nothing is left open" % title)
    return run


def unwilling_targets(l, target):
    verdict(l, target, "nothing listens", "refused")
    target.run("nft", "add table inet t; add chain inet t c { type filter hook input priority 0; }"
                      "; add rule inet t c tcp dport 80 drop")
    verdict(l, target, "SYNs are dropped", "connect_timeout", "-t", 2)
    target.run("nft", "flush", "ruleset")
    sink = l.sink(target, 80, "--hold")
    run = verdict(l, target, "the server stalls", "response_timeout", "-t", 2)
    l.ok(run.seconds < 20, "the server stalls: ends by itself", run.words())
    sink.stop()
    for mode, want in (("close", "closed_early"), ("half", "closed_early"), ("reset", "reset")):
        server = l.python_server(target, "rude.py", 80, "--mode", mode)
        verdict(l, target, "the server does: %s" % mode, want)
        server.stop()
    server = l.python_server(target, "rude.py", 80, "--mode", "trickle")
    run = l.tcpburn(target, *TO, "-f", captures.path(KEEPALIVE), "-a", 0)
    l.ok(run.all_completed, "responses that come in pieces are waited for", run.words())
    server.stop()


def start_users(l, target, sink, users):
    """A run in which all users are connected and have asked something."""
    before = sink.counters()
    p = l.tcpburn_start(target, *TO, "-f", captures.path(THINK), "-u", users, "-i", 5000, "-e", 3)

    def connected():
        if not p.alive():
            raise lab.LabError("tcpburn ended at once: " + p.text()[-1500:])
        now = sink.counters()
        return now["accepted"] - before["accepted"] == users \
            and now["requests"] - before["requests"] >= users
    lab.wait_for("%d users" % users, connected)
    return p


def interrupted(l, target):
    users = 300
    sink = l.sink(target, 80)
    for number in (signal.SIGINT, signal.SIGTERM):
        p = start_users(l, target, sink, users)
        p.signal(number)
        run = p.finish(20)
        name = number.name
        ended = [run.figure("sessions", x) for x in ("completed", "failed", "open")]
        l.ok(run.report and ended == [users - ended[1], ended[1], 0],
             "%s: the report accounts for every session" % name, run.words())
        l.ok((run.figure("sessions", "failures", "aborted") or 0) > 0,
             "%s: open sessions are aborted" % name, run.words())
        l.same(run.rc, 2, "%s: exit status" % name, run.words())
        l.same(target.sockets("established", 80), 0, "%s: reset on the target" % name)
    p = start_users(l, target, sink, users)
    p.kill()
    l.same(target.sockets("established", 80), users, "SIGKILL leaves connections on the target")
    before = sink.counters()
    run = l.tcpburn(target, *TO, "-f", captures.path(THINK), "-u", users, "-i", 5000, "-e", 3,
                    "-a", 20)
    l.ok(run.all_completed, "a run after SIGKILL gets through the half-open connections",
         run.words())
    after = sink.final()
    sessions = captures.playable(THINK)
    l.same(after["requests"] - before["requests"],
           sum(sessions[i % len(sessions)]["requests"] for i in range(users)),
           "a run after SIGKILL: the target saw every request", (before, after))
    l.same(target.sockets("established", 80), 0, "a run after SIGKILL leaves nothing open")


def again(l, target):
    """The server closes first in http-short: TIME_WAIT stays on its side."""
    sink = l.sink(target, 80)
    users = 2 * len(captures.playable(SHORT))
    for nth in (1, 2, 3):
        run = l.tcpburn(target, *TO, "-f", captures.path(SHORT), "-u", users, "-e", 11)
        l.ok(run.all_completed, "run %d with the same addresses and ports" % nth, run.words())
        l.same(sink.counters()["accepted"], nth * users, "run %d: all were accepted" % nth)
        l.ok(target.sockets("time-wait", 80) > 0, "run %d leaves TIME_WAIT on the target" % nth)
    sink.stop()


with lab.Test() as the_lab:
    the_host = the_lab.host("target", lab.TARGET + "/32")
    unwilling_targets(the_lab, the_host)
    interrupted(the_lab, the_host)
    again(the_lab, the_host)
