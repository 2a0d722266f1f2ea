#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Bad input and forbidden environments: the exit status tells which (1 usage or input, 3
environment), standard error says why, nothing crashes, and no packet leaves."""
import struct

import captures
import lab

GOOD = "http-keepalive"
TUN = ["-x", "80-%s:80" % lab.TARGET, "--tun"]


def files(folder):
    """Damaged capture files made of a good one."""
    good = captures.data(GOOD)
    made = {
        "empty": b"", "noise": bytes(range(256)) * 64, "header only": good[:24],
        "link type": good[:20] + struct.pack("<I", 147) + good[24:],
        "cut short": good[:len(good) * 6 // 10],
        # a record that claims 4 GB, behind the first half
        "absurd": records(good, 300) + struct.pack("<IIII", 1, 0, 0xFFFFFFF0, 0xFFFFFFF0),
        "text": b'{\n  "users": 10,\n  "usres": 11\n}\n',
        "range": b'{\n  "users": -4\n}\n', "syntax": b'{ "users": 10,, }\n',
        "type": b'{ "quiet": "yes" }\n',
    }
    paths = {}
    for name, data in made.items():
        paths[name] = folder / (name.replace(" ", "-") + (".pcap" if len(data) > 60 or not data
                                                          else ".json"))
        paths[name].write_bytes(data)
    return paths


def records(data, count):
    """The file header and the first `count` records."""
    at = 24
    for _ in range(count):
        at += 16 + struct.unpack_from("<I", data, at + 8)[0]
    return data[:at]


def refused(l, target):
    """(what, exit statuses, words of standard error, options)"""
    made = files(l.dir)
    good = ["-f", captures.path(GOOD)]
    few = ["-c", "198.19.0.1-198.19.0.1", "-u", 100000]
    return [
        ("no options", [1], [], []),
        ("an unknown option", [1], ["--nonsense"], ["--nonsense"]),
        ("a number with a letter", [1], ["10x"], TUN + good + ["-u", "10x"]),
        ("a negative number", [1], ["-5"], TUN + good + ["-u", "-5"]),
        ("a transfer without target", [1], ["80-"], ["-x", "80-", "--tun"] + good),
        ("a port out of range", [1], ["70000"], ["-x", "70000-%s:80" % lab.TARGET] + good),
        ("no transfer", [1], ["-x"], ["--tun"] + good),
        ("no capture", [1], ["-f"], TUN),
        ("a shard that is none", [1], ["3/2"], TUN + good + ["--shard", "3/2"]),
        ("--rate and -i", [1], ["rate"], TUN + good + ["--rate", 10, "-i", 5]),
        ("a condition nobody knows", [1], ["speed"], TUN + good + ["--fail-on", "speed>3"]),
        ("a missing file", [1], ["/nowhere/x.pcap"], TUN + ["-f", "/nowhere/x.pcap"]),
        ("a folder", [1], [str(l.dir)], TUN + ["-f", l.dir]),
        ("an empty file", [1], ["empty.pcap"], TUN + ["-f", made["empty"]]),
        ("not a capture", [1], ["noise.pcap"], TUN + ["-f", made["noise"]]),
        ("no packets", [1], [], TUN + ["-f", made["header only"]]),
        ("an unknown link type", [1], ["147"], TUN + ["-f", made["link type"]]),
        ("truncated packets only", [1], [], TUN + ["-f", captures.path("http-snaplen96")]),
        ("a transfer that matches nothing", [1], [], ["-x", "81-%s:80" % lab.TARGET, "--tun"]
         + good),
        ("a filter that leaves nothing", [1], [], TUN + good + ["-F", "port 9"]),
        ("a filter with an error", [1], ["prot 9"], TUN + good + ["-F", "prot 9"]),
        ("an unknown key", [1], ["text", "3", "usres"], TUN + good + ["--config", made["text"]]),
        ("a value out of range", [1], ["range", "2", "users"],
         TUN + good + ["--config", made["range"]]),
        ("a JSON error", [1], ["syntax"], TUN + good + ["--config", made["syntax"]]),
        ("a wrong type", [1], ["type", "quiet"], TUN + good + ["--config", made["type"]]),
        ("too few addresses", [1], ["more"], TUN + good + few),
        ("a module nobody has", [1], ["nosuchmodule", "tcpburn"],
         TUN + good + ["--module", "nosuchmodule"]),
        ("a module that is none", [1], [str(made["noise"])],
         TUN + good + ["--module", made["noise"]]),
        ("a far target without a mode", [1], ["--tun", "-s"],
         ["-x", "80-203.0.113.9:80"] + good),
        ("--html, not there yet", [1], ["html"], TUN + good + ["--html", l.dir / "x.html"]),
        ("--metrics, not there yet", [1], ["metrics"],
         TUN + good + ["--metrics", "127.0.0.1:9100"]),
        ("[::1] through TUN", [3], ["::1"], ["-x", "80-[::1]:80", "--tun"] + good),
        ("clients that are the target", [1, 3], [lab.TARGET],
         TUN + good + ["-c", "198.18.0.0/24"]),
        ("clients that are routed", [1, 3], ["198.51.100"],
         TUN + good + ["-c", "198.51.100.0/25"]),
        ("a device nobody has", [3], ["nodevice"],
         ["-x", "80-%s:80" % lab.TARGET, "-s", "local:nodevice"] + good),
    ]


def main(l):
    target = l.host("target", lab.TARGET + "/32")
    target.ip("route", "add", "198.51.100.0/24", "dev", "lo")
    made = files(l.dir)
    with captures.Recording(l, target, 80) as recording:
        for what, statuses, words, options in refused(l, target):
            run = l.tcpburn(target, *options, report=False, limit_s=20)
            l.ok(run.rc in statuses and run.err.strip() and all(w in run.err for w in words),
                 "refuses %s" % what, "wanted exit status %s, words %s\n%s"
                 % (statuses, words, run.words()))
        lacking = l.tcpburn(target, *TUN, "-f", captures.path(GOOD), report=False)
    l.ok(lacking.rc == 2, "the same options without the error run", lacking.words())
    l.ok(0 < len(recording.connections) <= 10, "only the last of these sent packets",
         len(recording.connections))
    run = l.tcpburn(lab.Without(target, "net_admin"), *TUN, "-f", captures.path(GOOD), report=False)
    l.ok(run.rc == 3 and run.err.strip(), "says so when it lacks a capability", run.words())
    l.sink(target, 80)
    for name in ("cut short", "absurd"):
        run = l.tcpburn(target, *TUN, "-f", made[name])
        l.ok(run.all_completed, "%s: what is whole is played" % name, run.words())
        l.ok((run.figure("resources", "max_rss_bytes") or 1 << 40) < 1 << 29,
             "%s: no memory for what is not there" % name, run.figure("resources"))
    run = l.tcpburn(target, *TUN, "-f", "%s,%s" % (made["noise"], captures.path(GOOD)))
    l.ok(run.rc in (0, 1), "a bad file beside a good one does not crash", run.words())


with lab.Test() as the_lab:
    main(the_lab)
