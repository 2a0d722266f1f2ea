#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Captures played over three hosts: test host, target, and an assistant that runs intercept. Sent by
raw IP socket and at the link layer, to IPv4 and IPv6: all sessions complete, the target's host takes
exactly the captured bytes, and so it does in a second run right behind the first.

A few captures, each in one way; with TB_ALL=1 (make check-system-all) all of them in every way.
"""
import shutil

import captures
import lab
import three

FEW = ("comet", "rst-server", "http-keepalive", "http-short", "http-mixed", "http-tso", "http-ipv6", "http-any-sll2",
       "lossy-mix", "rst-client")
FAMILIES = {"IPv4": lab.TARGET, "IPv6": "[%s]" % three.TARGET6}
SENDERS = {"raw": [], "link layer": ["--pcap-send"]}
WAYS = [(family, sender) for sender in SENDERS for family in FAMILIES]


def play(l, name, transfers, ports, options, title):
    users = 2 * len(captures.playable(name))
    for nth in ("first", "second"):
        with captures.Recording(l, l.target, *ports) as recording:
            run = l.tcpburn(l.test, "-x", ",".join(transfers), "-f", captures.path(name), "-s",
                            three.ASSISTANT, "-e", 7, "-u", users, *options)
        captures.judge(l, "%s: %s run, %s, %d sessions" % (name, nth, title, users), run,
                       recording, captures.expected(name, users))


def http(l):
    names = [n for n in captures.HTTP if three.ALL or n in FEW]
    for i, name in enumerate(names):
        for family, sender in WAYS if three.ALL else [WAYS[i % len(WAYS)]]:
            play(l, name, ["80-%s:80" % FAMILIES[family]], [80],
                 captures.SLOW.get(name, []) + SENDERS[sender], "%s, %s" % (family, sender))


def others(l):
    for i, (name, (script, port, server_options, options)) in enumerate(captures.OTHER.items()):
        if not three.ALL and name not in FEW:
            continue
        server = l.python_server(l.target, script, port, *server_options)
        for sender in SENDERS if three.ALL else [list(SENDERS)[i % 2]]:
            play(l, name, ["%d-%s:%d" % (port, lab.TARGET, port)], [port],
                 options + SENDERS[sender], "IPv4, " + sender)
            if name == "rst-server":    # two kinds of server in one capture
                play(l, "halfclose", ["80-%s:80" % lab.TARGET, "8092-%s:8092" % lab.TARGET],
                     [80, 8092], SENDERS[sender], "IPv4, " + sender)
        server.stop()
    if not three.ALL:
        return
    if not shutil.which("redis-server"):
        l.skip("redis captures", "redis-server is not installed")
        return
    redis = l.start(l.target, "redis-server", "--port", 6379, "--save", "", "--bind", "0.0.0.0",
                    "--protected-mode", "no", port=6379)
    for name, options in (("redis-pipeline", []), ("redis-pubsub", ["-a", 5])):
        play(l, name, ["6379-%s:6379" % lab.TARGET], [6379], options, "IPv4, raw")
    redis.stop()


def variants(l):
    """Workers, connections, packets of 64 KB on the target's side, and a module that reads."""
    for options in (["--workers", 2, "-C", 1], ["--workers", 2, "-C", 4], ["--module", "generic"]):
        play(l, "http-mixed", ["80-%s:80" % lab.TARGET], [80], ["-a", 0, *options],
             " ".join(map(str, options)))
    for host, device in ((l.target, "eth0"), (l.switch, "assistant"), (l.assistant, "eth0")):
        host.run("ethtool", "-K", device, "tx", "on", "tso", "on", "gso", "on", "gro", "on")
    play(l, "http-mixed", ["80-%s:80" % lab.TARGET], [80], ["-a", 0], "offloads on")


def main(l):
    three.build(l)
    l.nginx(l.target, 80)
    server = three.intercept(l)
    http(l)
    others(l)
    variants(l)
    l.ok(server.alive(), "intercept lives", server.text())


with lab.Test() as the_lab:
    main(the_lab)
