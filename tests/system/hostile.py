#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A server that breaks the rules of TCP, packet by packet: whatever it does, each session gets a
verdict within the time that -t allows, and tcpburn ends, with bounded memory."""
import captures
import lab

SERVER = "10.18.0.2"
TO = ["-x", "80-%s:80" % SERVER, "--tun", "-a", 0, "-u", 40]
LIMIT_S = 60
RSS_MAX = 300 << 20  # sanitizers included

# what the server does, and verdicts it must come to; None: any
MODES = (
    (["polite"], "completed"), (["mss", "--value", 1], "completed"),
    (["mss", "--value", 0], "completed"), (["window"], "response_timeout"),
    (["rsts"], "connect_timeout"), (["acks-beyond"], "response_timeout"),
    (["data-beyond"], "response_timeout"), (["overlap"], "completed"),
    (["fin-then-data"], None), (["never-fin"], "completed"), (["old-timestamps"], None),
    (["syn-twice"], None), (["dupacks"], "completed"), (["fragments"], "connect_timeout"),
    (["garbage"], "completed"),
)

with lab.Test() as l:
    host = l.host("target")
    host.sysctl("net.ipv4.ip_forward", 1)
    for mode, verdict in MODES:
        server = l.start(host, "python3", lab.SERVERS / "rawserver.py", "--address", SERVER,
                         "--mode", *mode, name="rawserver")
        lab.wait_for("the server", lambda: "ready" in server.text())
        patience = LIMIT_S if verdict == "completed" else 2     # it has much to send
        run = l.tcpburn(host, *TO, "-t", patience, "-f", captures.path("http-keepalive"),
                        limit_s=LIMIT_S)
        name = " ".join(map(str, mode))
        s = run.figure("sessions") or {}
        l.ok(s.get("planned") == 40 and s.get("open") == 0
             and s["completed"] + s["failed"] == 40, "%s: every session has a verdict" % name,
             run.words() + server.text())
        if verdict:
            seen = s.get(verdict, (s.get("failures") or {}).get(verdict))
            l.same(seen, 40, "%s: it is %s" % (name, verdict), run.words())
        l.ok(run.rc in (0, 2), "%s: ends in time" % name, run.words())
        l.ok((run.figure("resources", "max_rss_bytes") or 0) < RSS_MAX, "%s: memory" % name,
             run.words())
        l.ok(server.alive(), "%s: the server lives" % name, server.text())
        server.kill()
