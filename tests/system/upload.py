#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Uploads of a megabyte over networks that lose 1 % and 5 % of the segments each way, and over one
that is far as well; of a tenth of that with 20 % (mostly waiting for retransmission timers): every
session completes, and the server got every byte right."""
import json

import lab
import uploads

MEGABYTE = 1000000
LIMIT_S = 240


def play(l, host, server, title, users, size, *options):
    capture = uploads.write_capture(l.dir / "upload.pcap", size)
    run = l.tcpburn(host, "-x", "80-%s:80" % lab.TARGET, "-f", capture, "-u", users, "-t", LIMIT_S,
                    *options, limit_s=LIMIT_S)
    server.stop()
    seen = [json.loads(line)["rx_sha256"] for line in server.jsonl.read_text().splitlines()]
    l.ok(run.all_completed, title + ": every upload completes", run.words())
    l.same(seen, [uploads.sha256(size)] * users, title + ": the server got every byte right",
           run.words())


def new_server(l, target, size=MEGABYTE):
    return l.python_server(target, "upload.py", 80, "--size", size)


def main(l):
    test, target = l.host("test"), l.host("target")
    l.cable(test, ["198.18.0.1/24"], target, [lab.TARGET + "/24"])
    target.ip("route", "add", "198.19.0.0/16", "via", "198.18.0.1")
    for percent, users, size in ((1, 10, MEGABYTE), (5, 10, MEGABYTE), (20, 2, MEGABYTE // 10)):
        server = new_server(l, target, size)
        target.lose(percent)
        play(l, test, server, "%d %% loss" % percent, users, size, "-s", "local:target")
    target.lose(0)

    near, wire, far = l.host("near"), l.host("wire"), l.host("far")
    far_target(l, near, wire, far)
    server = new_server(l, far)
    play(l, near, server, "1 % loss at 20 ms", 3, MEGABYTE, "-s", "local:wire")


def far_target(l, near, wire, far):
    """`near` reaches lab.TARGET on `far` through a wire of 10 ms and 1 % loss each way."""
    l.cable(near, ["198.18.0.1/24"], wire, [])
    l.cable(wire, [], far, [lab.TARGET + "/24"])
    for host in (near, far):    # packets as on a real wire, not what the devices would make of them
        host.run("ethtool", "-K", "wire", "tx", "off", "rx", "off", "tso", "off", "gso", "off",
                 "gro", "off")
    far.ip("route", "add", "198.19.0.0/16", "via", "198.18.0.1")
    p = l.start(wire, lab.sys.executable, lab.HERE / "slow_wire.py", "near", "far", "--delay-ms",
                10, "--loss-percent", 1, name="wire")
    lab.wait_for("the wire", lambda: "ready" in p.text())


if __name__ == "__main__":
    with lab.Test() as the_lab:
        main(the_lab)
