#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Sending by raw socket and at the link layer, and capturing the answers, between two hosts: every
byte both ways with and without offloads, steering to workers; the test host's own stack neither
forwards nor answers what is captured; its routes go with the run, however it ended."""
import json
import signal
import sys

import io_lab
import lab

# Counts what the stack of the test host would do on its own.
NFT_COUNT = """
table inet count {
    counter forwarded {}
    counter answered {}
    chain f { type filter hook forward priority 0; counter name forwarded; }
    chain o {
        type filter hook output priority 0
        icmp type destination-unreachable counter name answered
        icmpv6 type destination-unreachable counter name answered
        tcp flags rst counter name answered
    }
}
"""
GIVEN = ["target=" + lab.TARGET, "client=198.19.0.0", "count=256", "device=target"]


def meddled(test):
    """Packets that the test host forwarded or answered."""
    out = test.run("nft", "-j", "list", "counters")
    return sum(x["counter"]["packets"] for x in json.loads(out)["nftables"] if "counter" in x)


def blackholes(test):
    return [x for v in ("-4", "-6") for x in test.ip(v, "route").splitlines() if "blackhole" in x]


def exchanges(l, test, target):
    for offload in ("on", "off"):
        for host, device in ((test, "target"), (target, "test")):
            for feature in ("tx", "rx", "gso", "gro", "tso"):
                host.run("ethtool", "-K", device, feature, offload)
        for family, (address, first) in io_lab.TARGETS.items():
            for backend in ("raw", "link"):
                for flows, workers in ((1, 1), (40, 3)):
                    title = "%s, %s, offload %s, %d connections, %d workers" % (
                        backend, family, offload, flows, workers)
                    test.ip("neigh", "flush", "all")
                    seen = io_lab.exchange(l, title, test, target, backend, address, first, flows,
                                           workers, "device=target")
                    if offload == "on":
                        l.ok(seen.get("super", 0) > 0, title + ": long packets come whole", seen)


def main(l):
    test, target = l.host("test"), l.host("target")
    l.cable(test, ["198.18.0.1/24", "fd00:18::1/64"],
            target, [lab.TARGET + "/24", lab.TARGET6 + "/64"])
    target.ip("route", "add", "198.19.0.0/16", "via", "198.18.0.1")
    target.ip("route", "add", "fd00:19::/64", "via", "fd00:18::1")
    for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
        test.sysctl(key, 1)
    test.run("nft", "-f", "-", input=NFT_COUNT)
    exchanges(l, test, target)
    l.same(meddled(test), 0, "the test host's stack forwarded and answered nothing")
    l.same(blackholes(test), [], "no routes are left")
    lab.wait_for("the counters to count without us", lambda: provoked(test, target))
    leftovers(l, test)
    refusals(l, test)


def provoked(test, target):
    """Without a capture the stack does answer: what was counted above could have been more."""
    target.run(sys.executable, "-c", "import socket; socket.socket().connect_ex(('198.19.0.9', 9))")
    return meddled(test) > 0


def leftovers(l, test):
    one = io_lab.hold(l, test, "link", *GIVEN)
    two = io_lab.hold(l, test, "link", *GIVEN)
    l.same(len(blackholes(test)), 2, "two runs at once have their own routes")
    one.signal(signal.SIGKILL)
    one.wait()
    l.same(len(blackholes(test)), 2, "a killed run leaves its route")
    three = io_lab.hold(l, test, "link", *GIVEN)
    l.same(len(blackholes(test)), 2, "the next run removes it, and not that of a running one")
    io_lab.release(two)
    l.same(len(blackholes(test)), 1, "a run removes its own route only")
    io_lab.release(three)
    l.same(blackholes(test), [], "and then none is left")
    four = io_lab.hold(l, test, "link", *GIVEN)
    four.signal(signal.SIGKILL)
    four.wait()
    rc, _, text = io_lab.probe(test, "tun", "target=198.18.0.1", "client=198.19.0.0", "flows=0")
    l.same((rc, blackholes(test)), (0, []), "a run with --tun removes it too", text)


def refusals(l, test):
    rest = ["client=198.19.0.0", "device=target"]
    io_lab.refused(l, "a target that does not answer", test, ["198.18.0.77", "on target", "MAC"],
                   "link", "target=198.18.0.77", *rest)
    io_lab.refused(l, "a target of this host at the link layer", test, ["--pcap-send", "--tun"],
                   "link", "target=198.18.0.1", *rest)
    io_lab.refused(l, "a target of this host", test, ["198.18.0.1", "--tun"], "raw",
                   "target=198.18.0.1", *rest)
    io_lab.refused(l, "no route", test, ["no route", "203.0.113.1"], "link", "target=203.0.113.1",
                   *rest)
    io_lab.refused(l, "no such output device", test, ["nosuch"], "link", *GIVEN, "output=nosuch")
    io_lab.refused(l, "no such capture device", test, ["nosuch"], "link", *GIVEN[:3],
                   "device=nosuch")
    io_lab.refused(l, "range with an address of this host", test, ["198.18.0.1"], "link", GIVEN[0],
                   "client=198.18.0.1", "device=target")
    for capability in ("net_raw", "net_admin"):
        io_lab.refused(l, "no CAP_" + capability.upper(), test, ["permission", "cap_" + capability],
                       "link", *GIVEN, wrap=["setpriv", "--bounding-set=-" + capability])
    l.same(blackholes(test), [], "what is refused leaves no routes")


with lab.Test() as the_lab:
    main(the_lab)
