#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Comet sessions: held to the end whatever the capture's end was, every push of the server counted,
pings answered, heartbeats and polls kept up; lost when the server goes, and back when it is back."""
import json
import shutil

import captures
import lab
import three
from comet_lab import ENDINGS, KINDS, PORT, SESSIONS, record, stop

NGINX = """
daemon off; error_log %(run)s/error.log; pid %(run)s/pid;
events { worker_connections 4096; }
http {
    access_log off;
    map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
    server {
        listen %(port)d;
        location / {
            proxy_pass http://127.0.0.1:%(behind)d;
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
        }
    }
}
"""


def burn(l, host, file, users, *options, start=False, port=PORT):
    run = l.tcpburn_start if start else l.tcpburn
    return run(host, "-x", "%d-%s:%d" % (PORT, lab.TARGET, port), "-f", file, "-u", users,
               "-i", 1000, *options)


def module(run, *keys):
    return run.figure("module", *keys)


def words(run, counts):
    m = dict(run.figure("module") or {})
    m.pop("push_latency_us", None)
    return "%s\nmodule %s\nserver %s" % (run.words(), json.dumps(m), json.dumps(counts))


def judge_held(l, name, run, counts, users):
    """All are held to the end, and both sides count the same pushes."""
    l.same([run.rc] + [run.figure("sessions", x) for x in ("held", "completed", "failed")],
           [0, users, users, 0], "%s: all are held to the end" % name, words(run, counts))
    l.same([module(run, "pushes"), module(run, "events"), module(run, "polls_answered"),
            module(run, "ws_messages")],
           [counts.get(x, 0) for x in ("pushes", "events", "polls", "messages")],
           "%s: every push is counted" % name, words(run, counts))


def held(l, target, file):
    users, hold_s = 10 * SESSIONS, 3
    sockets = users // len(KINDS)
    server = l.python_server(target, "pushserver.py", PORT)
    run = burn(l, target, file, users, "--tun", "--comet", "--hold", hold_s)
    counts, connections = stop(server)
    judge_held(l, "TUN", run, counts, users)
    l.same(len(connections), users, "the server saw every session once", words(run, counts))
    l.same([c["end"] for c in connections if c["end"] not in ("eof", "closed")], [],
           "no session is reset, whatever the capture's end", words(run, counts))
    short = [c for c in connections if c["close"] - c["open"] < hold_s - 0.1] # by its own clock
    l.same(short, [], "every session stays for its time")
    l.same([counts["keys"], counts["different_keys"], counts.get("wrong_pongs", 0)],
           [sockets, sockets, 0], "every WebSocket has its own key, pongs are right",
           words(run, counts))
    l.ok(counts["pongs"] >= sockets * hold_s, "pings are answered", words(run, counts))
    l.ok(counts["client_pings"] >= sockets * hold_s / 0.25 * 0.8,
         "heartbeats go on while the session is held", words(run, counts))
    l.same(counts["client_closes"], sockets, "WebSockets are closed with a farewell",
           words(run, counts))
    l.same(module(run, "push_latency_us", "count"), counts["pushes"], "every push carries a time")
    return run


def same_by_either_name(l, target, file, first):
    server = l.python_server(target, "pushserver.py", PORT)
    run = burn(l, target, file, 10 * SESSIONS, "--tun", "--module", "comet.so", "--hold", 1)
    l.same([run.rc, run.figure("run", "module"), run.figure("sessions", "held"),
            run.figure("requests", "sent")],
           [0, "comet", first.figure("sessions", "held"), first.figure("requests", "sent")],
           "--module comet.so is --comet", run.words())
    server.stop()


def publishers(l, target):
    file = record(l, "publishers", ("poll", "publish"))
    config = l.dir / "exclude.json"
    config.write_text('{"exclude": "/publish*"}')
    server = l.python_server(target, "pushserver.py", PORT)
    run = burn(l, target, file, ENDINGS, "--tun", "--comet", "--hold", 1, "--module-config", config)
    counts, _ = stop(server)
    judge_held(l, "without publishers", run, counts, ENDINGS)
    l.same([run.figure("trace", "skipped", "excluded"), counts.get("published", 0)], [ENDINGS, 0],
           "publishers are left out", words(run, counts))


def opened(run_process, target, users):
    lab.wait_for("all to be connected", lambda: not run_process.alive()
                 or target.sockets("established", PORT) >= users)


def lost(l, target, file):
    users = 5 * SESSIONS
    server = l.python_server(target, "pushserver.py", PORT)
    burning = burn(l, target, file, users, "--tun", "--comet", "--hold", 30, start=True)
    opened(burning, target, users)
    server.kill()
    run = burning.finish()
    l.same([run.rc, run.figure("sessions", "failures", "server_closed"),
            run.figure("sessions", "failed"), module(run, "sessions_lost"),
            module(run, "lost_per_minute")], [2, users, users, users, [users]],
           "a server that dies: all are lost", words(run, None))


def back(l, target, file):
    users = 5 * SESSIONS
    config = l.dir / "reconnect.json"
    config.write_text('{"reconnect": {"first_s": 0.5, "most_s": 2}}')
    server = l.python_server(target, "pushserver.py", PORT)
    burning = burn(l, target, file, users, "--tun", "--comet", "--hold", 6, "--module-config",
                   config, start=True)
    opened(burning, target, users)
    server.kill()
    lab.wait_for("the first to be refused", lambda: not target.sockets("established", PORT))
    server = l.python_server(target, "pushserver.py", PORT)
    opened(burning, target, users)
    run = burning.finish()
    counts, connections = stop(server)
    s = {x: run.figure("sessions", x) for x in ("held", "reconnects", "started", "planned")}
    verdicts = s["held"] + run.figure("sessions", "failed")
    l.same([s["held"], run.figure("sessions", "failures", "server_closed"),
            module(run, "sessions_lost"), module(run, "sessions_back"), len(connections)],
           [users] * 5, "a server that comes back: all are back, and held to the end",
           words(run, counts))
    l.same([s["started"], verdicts], [users + s["reconnects"]] * 2,
           "every session has a verdict, every attempt to reconnect, too", words(run, counts))


def behind_nginx(l, target, file):
    run_dir = l.dir / "nginx-comet"
    run_dir.mkdir()
    (run_dir / "nginx.conf").write_text(NGINX % {"run": run_dir, "port": 8080, "behind": PORT})
    server = l.python_server(target, "pushserver.py", PORT)
    nginx = l.start(target, "nginx", "-p", run_dir, "-c", run_dir / "nginx.conf", name="nginx",
                    port=8080)
    users = 5 * SESSIONS
    run = burn(l, target, file, users, "--tun", "--comet", "--hold", 3, port=8080)
    counts, _ = stop(server)
    nginx.stop()
    # nginx may merge chunks: lines are not counted by their number
    l.same([run.rc, run.figure("sessions", "held"), module(run, "ws_messages")],
           [0, users, counts["messages"]], "through nginx: all are held", words(run, counts))
    l.ok(counts["events"] - users <= module(run, "events") <= counts["events"]
         and module(run, "polls_answered") <= counts["polls"], "through nginx: pushes arrive",
         words(run, counts))


def through_intercept(l, file):
    three.build(l)
    three.intercept(l)
    l.target.lose(1)
    users = 5 * SESSIONS
    server = l.python_server(l.target, "pushserver.py", PORT)
    run = burn(l, l.test, file, users, "-s", three.ASSISTANT, "--comet", "--hold", 4)
    counts, _ = stop(server)
    judge_held(l, "through intercept, 1 % loss", run, counts, users)


def given_captures(l, target):
    """The captures of tests/captures, made by other programs."""
    for name, script, port, options in (
            ("comet", "comet.py", 8090, ["--hold-min", "0.1", "--hold-max", "0.5"]),
            ("websocket", "wsserver.py", 8091, ["--push", "0.2", "--ping", "0.3"])):
        server = l.python_server(target, script, port, *options)
        users = 3 * len(captures.playable(name))
        run = l.tcpburn(target, "-x", "%d-%s:%d" % (port, lab.TARGET, port), "-f",
                        captures.path(name), "--tun", "--comet", "-u", users, "-a", 20,
                        "--hold", 3)
        server.stop()
        l.ok(run.all_completed and run.figure("sessions", "held") > 0 and module(run, "pushes") > 0,
             "%s: all complete" % name, words(run, None))


def main(l):
    file = record(l, "clients", KINDS)
    target = l.host("embedded", lab.TARGET + "/32")
    run = held(l, target, file)
    same_by_either_name(l, target, file, run)
    publishers(l, target)
    lost(l, target, file)
    back(l, target, file)
    if shutil.which("nginx"):
        behind_nginx(l, target, file)
    through_intercept(l, file)
    given_captures(l, target)


with lab.Test() as the_lab:
    main(the_lab)
