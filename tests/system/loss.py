#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A network that loses 1 % and 5 % of the segments, each way: every session completes, every byte
arrives once and in order; also with a module that changes what is sent."""
import collections
import hashlib

import captures
import lab
import recorder


def doubled(name, users):
    """What the server is to see of a capture of GET requests, each sent twice."""
    streams = [c.stream() for c in recorder.connections(captures.path(name), [80])]
    twice = []
    for stream in streams:
        requests = [r + b"\r\n\r\n" for r in stream.split(b"\r\n\r\n")[:-1]]
        assert b"".join(requests) == stream
        twice.append(hashlib.sha256(b"".join(r + r for r in requests)).hexdigest())
    return collections.Counter(twice[i % len(twice)] for i in range(users))


def play(l, host, target, title, name, users, want, *options):
    with captures.Recording(l, target, 80) as recording:
        run = l.tcpburn(host, "-x", "80-%s:80" % lab.TARGET, "-f", captures.path(name),
                        "-u", users, "-a", 0, *options)
    captures.judge(l, "%s: %s, %d users" % (title, name, users), run, recording, want)
    return run


def main(l):
    test, target = l.host("test"), l.host("target")
    l.cable(test, ["198.18.0.1/24"], target, [lab.TARGET + "/24"])
    target.ip("route", "add", "198.19.0.0/16", "via", "198.18.0.1")
    l.nginx(target, 80)
    for percent in (1, 5):
        target.lose(percent)
        for name, users in (("http-keepalive", 50), ("http-mixed", 46),
                            ("http-short", 163)):
            want = captures.expected(name, users)
            run = play(l, test, target, "%d %% loss" % percent, name, users, want,
                       "-s", "local:target")
            l.ok((run.figure("packets", "retransmitted") or 0) > 0,
                 "%d %% loss: %s: retransmissions are counted" % (percent, name), run.words())
    target.ip("route", "del", "198.19.0.0/16")
    want = captures.expected("http-mixed", 46)
    play(l, target, target, "5 % loss through TUN", "http-mixed", 46, want, "--tun")
    module = lab.BUILD / "tests" / "modules" / "double.la"
    if module.exists():
        name = "http-keepalive"
        play(l, target, target, "5 % loss and a rewriting module", name, 50, doubled(name, 50),
             "--tun", "--module", module)
    else:
        l.skip("5 % loss and a rewriting module", "%s is not built" % module)


with lab.Test() as the_lab:
    main(the_lab)
