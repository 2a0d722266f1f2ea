#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Three hosts in trouble and in company: packet loss at the target, several tcpburns on one
intercept, several intercepts for one tcpburn, an intercept that is killed and comes back, a tcpburn
that does not read for a while. Judged at the target's host: every session, every byte."""
import signal
import time

import captures
import lab
import three

TO = "80-%s:80" % lab.TARGET
RSS_MAX = 200 << 20
KEEPALIVE, MIXED, SHORT, THINK = "http-keepalive", "http-mixed", "http-short", "http-thinktime"


def argv(name, users, *options, server=three.ASSISTANT):
    return ["-x", TO, "-f", captures.path(name), "-s", server, "-u", users, *options]


def rss_bytes(p):
    text = open("/proc/%d/status" % p.popen.pid).read()
    return int(text.split("VmRSS:")[1].split()[0]) * 1024


def play(l, title, name, users, *options, **kw):
    with captures.Recording(l, l.target, 80) as recording:
        run = l.tcpburn(l.test, *argv(name, users, *options, **kw))
    captures.judge(l, title, run, recording, captures.expected(name, users))
    return run


def loss(l):
    server = three.intercept(l)
    l.target.lose(5)
    few = ((KEEPALIVE, 50, []), (SHORT, 163, ["--pcap-send"]))
    for name, users, options in (*few, (MIXED, 46, [])) if three.ALL else few:
        run = play(l, "5 %% loss: %s" % name, name, users, "-a", 0, *options)
        l.ok((run.figure("packets", "retransmitted") or 0) > 0,
             "5 %% loss: %s: retransmissions are counted" % name, run.words())
    l.target.lose(0)
    server.stop()


def two_tcpburns(l):
    """Each gets its own responses; ranges that overlap are refused, with the reason."""
    server = three.intercept(l)
    with captures.Recording(l, l.target, 80) as recording:
        going = [l.tcpburn_start(l.test, *argv(THINK, 60, "-a", 2, "-c", clients))
                 for clients in ("198.19.1.0/24", "198.19.2.0/24")]
        lab.wait_for("sessions", lambda: l.target.sockets("established", 80) > 60)
        third = l.tcpburn(l.test, *argv(SHORT, 5, "-c", "198.19.2.0/24"), report=False)
        runs = [p.finish() for p in going]
    l.ok(all(run.all_completed for run in runs), "two tcpburns complete",
         "\n".join(run.words() for run in runs))
    have, want = captures.seen(recording.connections), captures.expected(THINK, 120)
    l.ok(have == want, "two tcpburns: bytes", captures.difference(have, want))
    l.ok(third.rc == 3 and "198.19.2" in third.err,
         "a third one with addresses of theirs is refused", third.words())
    server.stop()


def single(l):
    """--single does not evict the first client."""
    server = three.intercept(l, "--single")
    first = l.tcpburn_start(l.test, *argv(THINK, 60, "-i", 10, "-a", 5, "-c", "198.19.1.0/24"))
    lab.wait_for("sessions", lambda: l.target.sockets("established", 80) > 0)
    second = l.tcpburn(l.test, *argv(SHORT, 5, "-c", "198.19.2.0/24"), report=False)
    l.same(second.rc, 3, "--single: the second client is refused", second.words())
    run = first.finish()
    l.ok(run.all_completed, "--single: the first client goes on", run.words())
    server.stop()


def two_intercepts(l):
    """Both see every response: each is taken once."""
    servers = [three.intercept(l, port=port) for port in (36524, 36525)]
    run = play(l, "two intercepts that see the same", MIXED, 100, "-a", 0,
               server="%s:36524,%s:36525" % (three.ASSISTANT, three.ASSISTANT))
    l.same(run.figure("packets", "retransmitted"), 0, "two intercepts: nothing is sent twice",
           run.words())
    for p in servers:
        p.stop()
    other = l.host("assistant2")
    three.plug(l, other, l.switch, "198.18.0.5/24")
    l.target.ip("route", "add", "198.19.128.0/17", "via", "198.18.0.5")
    servers = [three.intercept(l), three.intercept(l, host=other)]
    play(l, "two intercepts, each with half of the addresses", SHORT, 300, "-a", 0, "-c",
         "198.19.0.1-198.19.0.100,198.19.200.1-198.19.200.100",
         server="%s,198.18.0.5" % three.ASSISTANT)
    for p in servers:
        p.stop()


def killed(l):
    """kill -9 in mid-run, back after two seconds: a stall, as the network may have one."""
    server = three.intercept(l)
    with captures.Recording(l, l.target, 80) as recording:
        p = l.tcpburn_start(l.test, *argv(THINK, 150, "-a", 2, "-i", 100))
        lab.wait_for("sessions", lambda: l.target.sockets("established", 80) >= 50)
        server.kill()
        time.sleep(2)       # the time it is away is what is tested
        open_then = l.target.sockets("established", 80)
        server = three.intercept(l)
        run = p.finish()
    l.ok(open_then > 0, "kill -9 hits a run under way", open_then)
    captures.judge(l, "kill -9 of intercept", run, recording, captures.expected(THINK, 150))
    server.stop()


def stopped(l):
    """SIGSTOP of a busy tcpburn for five seconds: others are served, intercept stays small."""
    server = three.intercept(l)
    p = l.tcpburn_start(l.test, *argv(KEEPALIVE, 200, "-a", 0, "-i", 100000, "--loop", 0, "--duration", 8,
                                      "-c", "198.19.1.0/24"))
    lab.wait_for("sessions", lambda: l.target.sockets("established", 80) >= 100)
    p.signal(signal.SIGSTOP)
    end, largest, good = time.monotonic() + 5, 0, 0
    while time.monotonic() < end:
        run = l.tcpburn(l.test, *argv(SHORT, 100, "-a", 0, "-c", "198.19.2.0/24"))
        good += bool(run.all_completed)
        largest = max(largest, rss_bytes(server))
        if not run.all_completed:
            break
    l.ok(run.all_completed and good, "SIGSTOP of one tcpburn: another is served", run.words())
    p.signal(signal.SIGCONT)
    run = p.finish()
    largest = max(largest, rss_bytes(server))
    l.ok(largest < RSS_MAX, "SIGSTOP: intercept stays below 200 MB", largest)
    l.ok(run.figure("sessions", "failed") == 0 and run.figure("sessions", "completed") > 0,
         "SIGSTOP: the one that was stopped goes on", run.words())
    server.stop()


def encrypted(l):
    key = l.dir / "key"
    key.write_text("5a" * 32 + "\n")
    key.chmod(0o600)
    server = three.intercept(l, "--psk-file", key)
    play(l, "TLS", MIXED, 60, "-a", 0, "--psk-file", key)
    without = l.tcpburn(l.test, *argv(SHORT, 5), report=False)
    l.same(without.rc, 3, "TLS: without the key exit status 3", without.words())
    server.stop()


def main(l):
    three.build(l)
    l.nginx(l.target, 80)
    for part in (loss, two_tcpburns, single, two_intercepts, killed, stopped, encrypted):
        part(l)


with lab.Test() as the_lab:
    main(the_lab)
