#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs over three hosts whose channel to intercept breaks off, stalls or comes twice, and whose
packets the kernel refuses to send: every session completes, and the target takes exactly the
captured bytes. And runs that cannot begin, with the reason."""
import signal
import time

import captures
import lab
import three

NAME = "http-keepalive"
TO = ["-x", "80-%s:80" % three.TARGET, "-f", captures.path(NAME)]
RATE = 100
SECOND = three.PORT + 1

NFT_REFUSE = """
table inet refuse {
    chain out {
        type filter hook output priority 0
        ip daddr %s numgen random mod 10 < 1 drop
    }
}
"""


def play(l, title, trouble, *options, server=three.ASSISTANT, users=2 * RATE):
    """A run of two seconds and more, with trouble as soon as it is under way."""
    with captures.Recording(l, l.target, 80) as recording:
        p = l.tcpburn_start(l.test, *TO, "-s", server, "-u", users, "-i", RATE, *options)
        if trouble:
            lab.wait_for("the run to be under way",
                         lambda: l.target.sockets("established", 80) > 4)
            trouble(p)
        run = p.finish()
    captures.judge(l, title, run, recording, captures.expected(NAME, users))
    return run


def breaks(l):
    intercepts = [three.intercept(l), three.intercept(l, port=SECOND)]

    def killed(_):
        intercepts[0].kill()
        time.sleep(2)
        intercepts[0] = three.intercept(l)
    run = play(l, "intercept is killed and comes back", killed, "--workers", 2)
    l.same(run.figure("channel", "connected"), 2, "all connections are back", run.words())
    l.same(run.figure("channel", "losses"), 2, "the losses are reported", run.words())
    l.ok("is lost" in run.err and "is back after" in run.err, "the log tells", run.words())

    def stopped(p):
        p.signal(signal.SIGSTOP)
        time.sleep(3)
        p.signal(signal.SIGCONT)
    run = play(l, "tcpburn is stopped for a while", stopped)
    l.same(run.figure("channel", "losses"), 0, "which loses no channel", run.words())

    both = "%s,%s:%d" % (three.ASSISTANT, three.ASSISTANT, SECOND)
    run = play(l, "two intercepts see the same", None, server=both, users=RATE)
    l.same(run.figure("channel", "duplicates"), run.figure("packets", "received"),
           "every packet is taken once", run.words())
    run = play(l, "one of two intercepts dies", lambda _: intercepts[1].kill(), server=both)
    l.same(run.figure("packets", "retransmitted"), 0, "which nobody notices", run.words())


def refuses(l):
    def forbidden(_):
        l.test.run("nft", "-f", "-", input=NFT_REFUSE % three.TARGET)
    for sender in ([], ["--pcap-send"]):
        way = " ".join(sender) or "raw"

        def down(_):
            l.test.ip("link", "set", "eth0", "down")
            time.sleep(0.5)
            l.test.ip("link", "set", "eth0", "up")

        def short(_):
            l.test.ip("link", "set", "eth0", "mtu", 68)
            time.sleep(0.5)
            l.test.ip("link", "set", "eth0", "mtu", 1500)
        for what, trouble in (("the device is down for a while", down),
                              ("packets are too long for a while", short)):
            run = play(l, "%s, %s" % (what, way), trouble, *sender)
            l.ok("refused to send" in run.out + run.err, "%s, %s: is told" % (what, way),
                 run.words())
    run = play(l, "a firewall forbids one packet of ten", forbidden)
    l.ok("refused to send" in run.out + run.err, "a firewall: is told", run.words())
    l.test.run("nft", "flush", "ruleset")


def cannot_begin(l):
    keys = []
    for digit in "12":
        keys.append(l.dir / ("key" + digit))
        keys[-1].write_text(digit * 64 + "\n")
        keys[-1].chmod(0o600)
    three.intercept(l, "--psk-file", keys[0], port=36600)
    secret = "%s:36600" % three.ASSISTANT
    play(l, "with a key", None, "--psk-file", keys[0], server=secret, users=RATE)
    for title, want, options in (
            ("nobody there", (3, "no intercept server at"), ["-s", "%s:9" % three.ASSISTANT]),
            ("another key", (3, "its key is another one"), ["-s", secret, "--psk-file", keys[1]]),
            ("no key", (3, "--psk-file"), ["-s", secret]),
            ("a key too many", (3, "--psk-file"), ["-s", three.ASSISTANT, "--psk-file", keys[0]]),
            ("a device for a host", (1, "local:eth0"), ["-s", "eth0"])):
        run = l.tcpburn(l.test, *TO, *options, report=False)
        l.ok(run.rc == want[0] and want[1] in run.err, "%s: exit status and reason" % title,
             run.words())
    l.assistant.sysctl("net.ipv4.ip_forward", 1)
    three.intercept(l, port=SECOND)
    run = l.tcpburn(l.test, *TO, "-s", "%s:%d" % (three.ASSISTANT, SECOND), report=False)
    l.ok("net.ipv4.ip_forward=0" in run.err, "an assistant that forwards: is warned of",
         run.words())


def main(l):
    three.build(l)
    l.sink(l.target, 80)
    breaks(l)
    refuses(l)
    cannot_begin(l)


with lab.Test() as the_lab:
    main(the_lab)
