#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the options of the command line do, as the target sees it."""
import collections
import hashlib
import json
import socket

import captures
import lab
import recorder

KEEPALIVE, SHORT, THINK = "http-keepalive", "http-short", "http-thinktime"
TO = ["-x", "80-%s:80" % lab.TARGET, "--tun"]


def plays(l, target, name, users, *options):
    """A run with a recorder at the target."""
    with captures.Recording(l, target, 80) as recording:
        run = l.tcpburn(target, *TO, "-f", captures.path(name), "-u", users, *options)
    return run, recording


def endpoints(recording):
    return [(c.client, c.client_port) for c in recording.connections]


def requests_of(name, users):
    sessions = captures.playable(name)
    return sum(sessions[i % len(sessions)]["requests"] for i in range(users))


def dry_runs(l, target):
    dump = l.dir / "dump.pcap"
    with captures.Recording(l, target, 80) as recording:
        run = l.tcpburn(target, *TO, "-f", captures.path(KEEPALIVE), "-u", 20, "--dry-run",
                        "--dump", dump, report=False)
    l.ok(run.rc == 0 and "20" in run.out + run.err and "248" in run.out + run.err,
         "--dry-run says what would be played", run.words())
    l.same(len(recording.connections), 0, "--dry-run sends nothing")
    dumped = recorder.connections(dump, [80]) if dump.exists() else []
    sent = collections.Counter(hashlib.sha256(c.stream()).hexdigest() for c in dumped)
    want = captures.expected(KEEPALIVE, 20)
    l.ok(sent == want, "--dump holds the packets of the plan", captures.difference(sent, want))


def shards(l, target):
    users, seen, ends = 45, collections.Counter(), []
    for part in ("1/3", "2/3", "3/3"):
        run, recording = plays(l, target, KEEPALIVE, users, "-e", 5, "-a", 0, "--shard", part)
        l.ok(run.all_completed, "--shard %s completes" % part, run.words())
        seen += captures.seen(recording.connections)
        ends.append(set(endpoints(recording)))
    want = captures.expected(KEEPALIVE, users)
    l.ok(seen == want, "the shards together are the plan", captures.difference(seen, want))
    l.same(len(set.union(*ends)), sum(map(len, ends)), "no two shards share an address and port")


def plans(l, target):
    first = plays(l, target, SHORT, 50, "-e", 21)[1]
    again = plays(l, target, SHORT, 50, "-e", 21)[1]
    l.ok(first.connections and sorted(endpoints(first)) == sorted(endpoints(again)),
         "the same seed plans the same addresses and ports")
    ports_first = plays(l, target, SHORT, 50, "-m", 1)[1]
    l.same(len({c.client for c in first.connections}), 50, "-m 0 fills addresses first")
    l.same(len({c.client for c in ports_first.connections}), 1, "-m 1 fills ports first")
    run, given = plays(l, target, SHORT, 6, "-c", "198.19.7.0/30,198.19.9.8-198.19.9.9")
    names = {socket.inet_ntoa(c.client) for c in given.connections}
    l.ok(run.all_completed and names <= {"198.19.7.1", "198.19.7.2", "198.19.9.8", "198.19.9.9"},
         "-c: only addresses of the ranges", names)


def amounts(l, target, sink):
    before = sink.counters()["requests"]
    run = l.tcpburn(target, *TO, "-f", captures.path(KEEPALIVE), "-u", 20, "-a", 0, "--loop", 3)
    l.same(sink.counters()["requests"] - before, 3 * requests_of(KEEPALIVE, 20),
           "--loop: the target saw every round", run.words())
    l.same(run.figure("sessions", "planned"), 60, "--loop: planned is users x loop")
    before = sink.counters()["accepted"]
    run = l.tcpburn(target, *TO, "-f", captures.path(THINK), "-u", 30, "--duration", 1, "--grace",
                    0.5)
    l.same((run.rc, run.figure("sessions", "cut"), sink.counters()["accepted"] - before),
           (0, 30, 30), "--duration and --grace cut what is open, which is no failure",
           run.words())
    l.same(target.sockets("established", 80), 0, "--grace: what is cut is reset on the target")
    before = sink.counters()["accepted"]
    run = l.tcpburn(target, *TO, "-f", captures.path(SHORT), "-u", 1000, "--rate", 100,
                    "--duration", 2)
    started = sink.counters()["accepted"] - before
    l.ok(run.rc == 0 and 150 <= started <= 201 and run.figure("sessions", "completed") == started,
         "--rate: as many arrivals as asked for", "%d\n%s" % (started, run.words()))
    run = l.tcpburn(target, *TO, "-f", captures.path(SHORT), "-u", 200, "-i", 200, "--ramp", 2)
    rows = [r["started"] for r in run.figure("timeline") or []]
    l.ok(run.all_completed and len(rows) >= 2 and rows[0] < rows[1],
         "--ramp: the start rate grows", "%s\n%s" % (rows, run.words()))


def holding(l, target, sink):
    users = 40
    before = sink.counters()["requests"]
    p = l.tcpburn_start(target, *TO, "-f", captures.path(THINK), "-u", users, "-a", 0, "--hold", 3)
    lab.wait_for("all requests", lambda: sink.counters()["requests"] - before
                 == requests_of(THINK, users))
    l.same(sink.counters()["open"], users, "--hold keeps sessions open after the last request")
    run = p.finish()
    l.ok(run.all_completed and run.figure("run", "duration_s") >= 3, "--hold: all complete",
         run.words())
    l.same(target.sockets("established", 80), 0, "--hold: closed in the end")


def order(l, target):
    sessions = captures.playable(THINK)
    run, recording = plays(l, target, THINK, len(sessions), "-a", 20, "-T", 10)
    l.same([c.sha256() for c in recording.connections], [s["client_sha256"] for s in sessions],
           "-T keeps the captured order of starts", run.words())


def verdicts(l, target):
    good = [*TO, "-f", captures.path(SHORT), "-u", 20]
    for options, rc in ((["failed>0"], 0), (["p99_response>0us"], 2), (["failed>0.1%"], 0),
                        (["mismatched>0"], None), (["failed>0,p99_response>0us"], 2)):
        run = l.tcpburn(target, *good, "--fail-on", *options)
        want = rc if rc is not None else \
            (2 if run.figure("sessions", "mismatched") else 0)
        l.same(run.rc, want, "--fail-on '%s': exit status %d" % (options[0], want), run.words())
    run = l.tcpburn(target, "-x", "80-%s:81" % lab.TARGET, "--tun", "-f", captures.path(SHORT),
                    "-u", 20, "--fail-on", "mismatched>0")
    l.same((run.rc, run.figure("sessions", "failures", "refused")), (0, 20),
           "--fail-on: failed sessions that nobody asked about are no failure", run.words())


def configured(l, target):
    path = l.dir / "run.json"
    path.write_text(json.dumps({"transfer": ["80-%s:80" % lab.TARGET], "users": 12, "tun": True,
                                "pcap": [str(captures.path(SHORT))], "timeout": 20,
                                "fail-on": ["failed>0"]}))
    for options, users in (([], 12), (["-u", 7], 7)):
        run = l.tcpburn(target, "--config", path, *options)
        l.same((run.rc, run.figure("sessions", "completed")), (0, users),
               "--config%s" % (": the command line wins" if options else ""), run.words())
    pid, log, report = (l.dir / x for x in ("burn.pid", "burn.log", "daemon.json"))
    run = l.tcpburn(target, *TO, "-f", captures.path(SHORT), "-u", 7, "-d", "-P", pid, "-l", log,
                    "--report", report, report=False)
    l.same(run.rc, 0, "-d returns", run.words())
    written = lab.wait_for("the daemon's report", lambda: lab.read_json(report))
    l.same(written["sessions"]["completed"], 7, "-d: the run completes", written["sessions"])
    l.ok(log.exists() and log.read_text().strip(), "-l: the log is written")


def main(l):
    target = l.host("target", lab.TARGET + "/32")
    sink = l.sink(target, 80)
    dry_runs(l, target)
    shards(l, target)
    plans(l, target)
    amounts(l, target, sink)
    holding(l, target, sink)
    order(l, target)
    verdicts(l, target)
    configured(l, target)
    for option, word in (("-v", "0."), ("--help", "--transfer")):
        run = l.tcpburn(target, option, report=False)
        l.ok(run.rc == 0 and word in run.out, "%s answers on standard output" % option,
             run.words())


with lab.Test() as the_lab:
    main(the_lab)
