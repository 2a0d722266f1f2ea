#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What tcpcopy refuses, with which exit status (1 usage or input, 3 environment) and which words,
before a packet is sent; help, version, and options it takes without effect."""
import json

import captures
import lab

NAME = "http-keepalive"
ONLINE = "198.18.0.1"
X = ["-x", "80-%s:80" % lab.TARGET]
ELSEWHERE = X + ["-s", "198.18.0.9"]
TUN = ["-x", "80-127.0.0.1:8080", "--tun"]
NOBODY = ["-c", "198.19.0.0/16"]


def refused(l):
    """(what, exit status, words of standard error, options)"""
    config = l.dir / "copy.json"
    config.write_text(json.dumps({"percent": 101}))
    here = ["-x", "80-127.0.0.1:80", "--tun", *NOBODY]
    return [
        ("no options", 1, ["-x"], []),
        ("no way back", 1, ["-s", "--tun", "intercept"], X),
        ("-s local: without -c", 1, ["-c", "live clients", "-H"], X + ["-s", "local:lo"]),
        ("--tun without -c", 1, ["-c", "live clients"], TUN),
        ("--tun with -H in place of -c", 1, ["-c", "live clients"], TUN + ["-H", "198.18.0.7"]),
        ("--tun and -s", 1, ["--tun", "-s"], TUN + NOBODY + ["-s", "198.18.0.9"]),
        ("a target that is the live service", 1, ["10.0.0.5:80", "live"],
         ["-x", "10.0.0.5:80-10.0.0.5:80", "-s", "198.18.0.9"]),
        ("a target on this machine, on the live port", 1, ["127.0.0.1:80", "live"], here),
        ("a target at another address of this machine, on the live port", 1, [ONLINE + ":80"],
         ["-x", "80-%s:80" % ONLINE, "-s", "198.18.0.9"]),
        ("clients that are the target", 1, [lab.TARGET, "-c"],
         ELSEWHERE + ["-c", "198.18.0.0/24"]),
        ("-i alone", 1, ["--pcap-capture", "--offline"], ELSEWHERE + ["-i", "eth0"]),
        ("--offline without a file", 1, ["-i"], ELSEWHERE + ["--offline"]),
        ("--offline and --vxlan", 1, ["--vxlan"],
         ELSEWHERE + ["--offline", "-i", captures.path(NAME), "--vxlan"]),
        ("-o without --pcap-send", 1, ["--pcap-send"],
         ELSEWHERE + ["--no-pcap-send", "-o", "lo"]),
        ("a share above 100", 1, ["1 to 100"], ELSEWHERE + ["-r", 101]),
        ("1024 replicas", 1, ["1 to 1023"], ELSEWHERE + ["-n", 1024]),
        ("an option without effect, with a wrong value", 1, ["-R"], ELSEWHERE + ["-R", "x"]),
        ("a typo", 1, ["did you mean --percent?"], ELSEWHERE + ["--percnt", 5]),
        ("a condition nobody knows", 1, ["speed"], ELSEWHERE + ["--fail-on", "speed>3"]),
        ("a key of the file out of range", 1, ["copy.json:1", "percent"],
         ELSEWHERE + ["--config", config]),
        ("--html, not there yet", 1, ["html"], ELSEWHERE + ["--html", l.dir / "x.html"]),
        ("--metrics, not there yet", 1, ["metrics"], ELSEWHERE + ["--metrics", "127.0.0.1:9"]),
    ]


def forbidden():
    """The same, of what only shows when everything is opened."""
    made_up = TUN + NOBODY
    return [
        ("a module nobody has", 1, ["nosuchmodule"], made_up + ["--module", "nosuchmodule"]),
        ("a filter with an error", 1, ["prot 9"],
         made_up + ["--pcap-capture", "-F", "prot 9"]),
        ("a device nobody has", 3, ["nodevice"], made_up + ["--pcap-capture", "-i", "nodevice"]),
        ("a way back nobody has", 3, ["nodevice"],
         ["-x", "80-127.0.0.1:8080", "-s", "local:nodevice", *NOBODY]),
        ("an intercept that is not there", 3, ["127.0.0.1"],
         ["-x", "80-127.0.0.1:8080", "-s", "127.0.0.1", *NOBODY]),
    ]


def main(l):
    online = l.host("online", ONLINE + "/32")

    def tcpcopy(*options, host=online):
        return l.tcpburn(host, *options, report=False, limit_s=30, program="tcpcopy")

    with captures.Recording(l, online, 80) as recording:
        for what, status, words, options in refused(l) + forbidden():
            run = tcpcopy(*options)
            last = run.err.splitlines()[-1] if run.err else ""
            l.ok(run.rc == status and last.startswith("tcpcopy: ")
                 and all(w in last for w in words), "refuses %s" % what,
                 "wanted exit status %d, one line with %s\n%s" % (status, words, run.words()))
    l.same(len(recording.connections), 0, "none of these sent a packet")
    run = tcpcopy(*TUN, *NOBODY, host=lab.Without(online, "net_raw"))
    l.ok(run.rc == 3 and "cap_net_raw" in run.err, "says so when it lacks a capability",
         run.words())
    for option, word in (("-v", "tcpcopy 0."), ("--help", "--transfer"),
                         ("-h", "Accepted, without effect")):
        run = tcpcopy(option)
        l.ok(run.rc == 0 and word in run.out and not run.err,
             "%s answers on standard output" % option, run.words())


with lab.Test() as the_lab:
    main(the_lab)
