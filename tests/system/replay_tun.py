#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Every capture, played through --tun against the kind of server it was made with: all sessions
complete and the server's host takes exactly the captured bytes; the same again at once, with the
same seed, against a server that still has the first run's connections in TIME_WAIT."""
import shutil

import captures
import lab


def play(l, target, name, transfers, ports, options):
    entry = captures.entry(name)
    users = 2 * len(captures.playable(name))
    for nth in ("first", "second"):
        with captures.Recording(l, target, *ports) as recording:
            run = l.tcpburn(target, "-x", ",".join(transfers), "-f", captures.path(name), "--tun",
                            "-e", 7, "-u", users, *options)
        captures.judge(l, "%s: %s run, %d sessions" % (name, nth, users), run, recording,
                       captures.expected(name, users))
    skipped = run.figure("trace", "skipped")
    unusable = len(entry["connections"]) + entry["other_tcp_streams"] - users // 2
    l.ok(skipped is not None and sum(skipped.values()) == unusable,
         "%s: unusable sessions are counted" % name, run.figure("trace"))


def variants(l, target):
    """The same bytes with other threads, other packet sizes, and without the http module."""
    for name, options in (("http-mixed", ["--workers", 2]), ("http-short", ["--workers", 3]),
                          ("http-tso", ["--workers", 3]), ("http-tso", ["-M", 576, "-S", 200]),
                          ("http-mixed", ["-M", 9000, "-S", 8000]),
                          ("http-mixed", ["--module", "generic"])):
        with captures.Recording(l, target, 80) as recording:
            run = l.tcpburn(target, "-x", "80-%s:80" % lab.TARGET, "-f", captures.path(name),
                            "--tun", "-u", 200, "-i", 2000, "-a", 0, *options)
        captures.judge(l, "%s with %s" % (name, " ".join(map(str, options))), run, recording,
                       captures.expected(name, 200))


def two_at_once(l, target):
    """Two runs on one host, with client ranges of their own."""
    with captures.Recording(l, target, 80) as recording:
        running = [l.tcpburn_start(target, "-x", "80-%s:80" % lab.TARGET, "-f",
                                   captures.path("http-thinktime"), "--tun", "-u", 50, "-a", 5,
                                   "-c", clients) for clients in ("198.19.1.0/24", "198.19.2.0/24")]
        runs = [p.finish() for p in running]
    l.ok(all(run.all_completed for run in runs), "two runs at once complete",
         "\n".join(run.words() for run in runs))
    have, want = captures.seen(recording.connections), captures.expected("http-thinktime", 100)
    l.ok(have == want, "two runs at once: bytes", captures.difference(have, want))


def main(l):
    target = l.host("target", lab.TARGET + "/32", lab.TARGET6 + "/128")
    l.nginx(target, 80)
    for name in captures.HTTP:
        play(l, target, name, ["80-%s:80" % lab.TARGET], [80], captures.SLOW.get(name, []))
    # an IPv6 target, and a source address where the capture holds servers besides the wanted one
    play(l, target, "http-ipv6", ["80-[%s]:80" % lab.TARGET6], [80], [])
    play(l, target, "http-noise", ["198.19.0.2:80-%s:80" % lab.TARGET], [80], [])
    play(l, target, "http-keepalive", ["80-127.0.0.1:80"], [80], [])
    variants(l, target)
    two_at_once(l, target)
    for name, (script, port, server_options, options) in captures.OTHER.items():
        server = l.python_server(target, script, port, *server_options)
        play(l, target, name, ["%d-%s:%d" % (port, lab.TARGET, port)], [port], options)
        if name == "rst-server":    # two kinds of server in one capture
            play(l, target, "halfclose", ["80-%s:80" % lab.TARGET, "8092-%s:8092" % lab.TARGET],
                 [80, 8092], [])
        server.stop()
    if shutil.which("redis-server"):
        redis = l.start(target, "redis-server", "--port", 6379, "--save", "", "--bind", "0.0.0.0",
                        "--protected-mode", "no", port=6379)
        for name, options in (("redis-pipeline", []), ("redis-pubsub", ["-a", 5])):
            play(l, target, name, ["6379-%s:6379" % lab.TARGET], [6379], options)
        redis.stop()
    else:
        l.skip("redis captures", "redis-server is not installed")


with lab.Test() as the_lab:
    main(the_lab)
