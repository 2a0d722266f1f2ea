#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Test host and target are two hosts; the target routes the client range back to the test host,
where -s local:IFACE takes the responses off the wire: sent by raw IP socket and at the link layer,
IPv4 and IPv6."""
import json

import captures
import lab

TARGETS = {"IPv4": lab.TARGET, "IPv6": "[%s]" % lab.TARGET6}
SENDERS = {"raw socket": [], "link layer": ["--pcap-send"],
           "link layer on a given device": ["--pcap-send", "-o", "target"],
           "three workers": ["--workers", 3]}


def main(l):
    test, target = l.host("test"), l.host("target")
    l.cable(test, ["198.18.0.1/24", "fd00:18::1/64"],
            target, [lab.TARGET + "/24", lab.TARGET6 + "/64"])
    target.ip("route", "add", "198.19.0.0/16", "via", "198.18.0.1")
    target.ip("route", "add", "fd00:19::/64", "via", "fd00:18::1")
    l.nginx(target, 80)
    for family, address in TARGETS.items():
        for sender, options in SENDERS.items():
            for name in ("http-keepalive", "http-mixed", "http-ipv6"):
                want = captures.expected(name)
                with captures.Recording(l, target, 80) as recording:
                    run = l.tcpburn(test, "-x", "80-%s:80" % address, "-f", captures.path(name),
                                    "-s", "local:target", *options)
                captures.judge(l, "%s to %s, %s" % (name, family, sender), run, recording, want)
    # neighbours that are not known yet, and MAC addresses that are given
    test.ip("neigh", "flush", "all")
    macs = [json.loads(host.ip("-j", "link", "show", device))[0]["address"]
            for host, device in ((test, "target"), (target, "test"))]
    name = "http-short"
    with captures.Recording(l, target, 80) as recording:
        run = l.tcpburn(test, "-x", "80@%s-%s:80@%s" % (macs[0], lab.TARGET, macs[1]), "-f",
                        captures.path(name), "-s", "local:target", "--pcap-send")
    captures.judge(l, "given MAC addresses", run, recording,
                   captures.expected(name))


with lab.Test() as the_lab:
    main(the_lab)
