#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A wire that changes a byte of every twentieth response packet, and no device that checks: such a
packet counts as lost, so every response is whole in the end. The digests of the response bodies
are the oracle: with what got through unnoticed they would not be those of the capture."""
import json

import captures
import lab

NFT = """
table bridge wire {
    chain through {
        type filter hook forward priority 0
        iifname "target" ip protocol tcp numgen random mod 20 == 0 @th,%d,16 set 0x5a5a
    }
}
"""
BEHIND_THE_HEADER, PORT_AND_SEQUENCE = 8 * 400, 24


def main(l):
    test, wire, target = l.host("test"), l.host("wire"), l.host("target")
    l.cable(test, ["198.18.0.1/24"], wire, [])
    l.cable(wire, [], target, [lab.TARGET + "/24"])
    wire.ip("link", "add", "bridge", "type", "bridge")
    wire.ip("link", "set", "bridge", "up")
    for device in ("test", "target"):
        wire.ip("link", "set", device, "master", "bridge")
    for host in (test, target):
        # Else no checksum is there before the packet reaches a real wire, which it never does here.
        host.run("ethtool", "-K", "wire", "tx", "off", "rx", "off", "gro", "off")
    target.ip("route", "add", "198.19.0.0/16", "via", "198.18.0.1")
    l.nginx(target, 80)
    options = l.dir / "digests.json"
    options.write_text(json.dumps({"http": {"digest": True}}))
    name, users = "http-short", 200
    want = captures.expected(name, users)
    for what, bit in (("payload", BEHIND_THE_HEADER), ("TCP header", PORT_AND_SEQUENCE)):
        wire.run("nft", "flush", "ruleset")
        wire.run("nft", "-f", "-", input=NFT % bit)
        with captures.Recording(l, target, 80) as recording:
            run = l.tcpburn(test, "-x", "80-%s:80" % lab.TARGET, "-f", captures.path(name), "-u",
                            users, "-a", 0, "-s", "local:wire", "--module-config", options)
        captures.judge(l, "changed bytes in the %s: sessions complete" % what, run, recording, want)
        l.same(run.figure("sessions", "mismatched"), 0,
               "changed bytes in the %s: every response is right" % what, run.words())
        l.ok((run.figure("packets", "capture_dropped") or 0) > 0,
             "changed bytes in the %s: broken packets are counted" % what, run.words())


with lab.Test() as the_lab:
    main(the_lab)
