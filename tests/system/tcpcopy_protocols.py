#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""tcpcopy and protocols: MySQL clients of a MariaDB whose copy has other passwords (general logs must
be equal), redis-benchmark, HTTP with its response checks, sessions that are held and pushed to."""
import collections
import json
import re
import sys
import threading

import captures
import comet_lab
import four
import lab
import three

sys.path.insert(0, str(lab.SERVERS))
import mysqlserver  # noqa: E402

MYSQL, MYSQL_TARGET, REDIS = 3306, 3399, 6379
PASSWORDS = {"app": "Online-1", "app2": "Online-2", "nopw": "", "ed": "Online-3"}
OTHERS = {"app": "Target-1", "app2": "Target-2", "nopw": "", "ed": "Target-3"}

STATEMENTS = """
SELECT COUNT(*) FROM customer; SELECT id, name, note FROM customer WHERE city = 'Oslo' ORDER BY id;
INSERT INTO counters VALUES ('%d', 1); UPDATE counters SET n = n + 1 WHERE name = '%d';
START TRANSACTION; INSERT INTO blobs (tag, body) VALUES ('x', REPEAT('\\0', 70000)); COMMIT;
SELECT * FROM orders LIMIT 300; USE otherdb; SELECT * FROM notes; SHOW TABLES; SELECT * FROM nowhere;
"""


def to(port, target_port=None):
    return ("%d-%s:%d" % (port, four.TARGET, target_port or port),)


def bare(l, port):
    """A probe that only connects."""
    return lambda: four.connect(l, four.PROBING, service=port).close()


# --- MySQL ----------------------------------------------------------------------------------------

def mariadbs(l):
    """Two servers, at the same time because it takes seconds."""
    servers = [mysqlserver.MariaDB(l, l.online, MYSQL, four.ONLINE),
               mysqlserver.MariaDB(l, l.target, MYSQL_TARGET, four.TARGET)]

    def start(server, passwords):
        server.start()
        mysqlserver.load(server, passwords)
        server.sql("GRANT ALL ON mysqlslap.* TO app")
    threads = [threading.Thread(target=start, args=x) for x in zip(servers, (PASSWORDS, OTHERS))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return servers


def as_user(user):
    return ["-h", four.ONLINE, "-P", MYSQL, "-u", user, "--password=" + PASSWORDS[user]]


def mysql_clients(l):
    for n, user in enumerate(PASSWORDS):
        four.speak_as(l, 70 + n)
        l.client.run("sh", "-c", "mariadb --no-defaults --force \"$@\" || true", "sh",  # one fails
                     *as_user(user), "appdb", input=STATEMENTS.replace("%d", str(n)))
    four.speak_as(l, 80)
    l.client.run("mysqlslap", "--no-defaults", *as_user("app"), "--auto-generate-sql",
                 "--auto-generate-sql-load-type=mixed", "--concurrency=8",
                 "--number-of-queries=400", "--auto-generate-sql-guid-primary")


def mysql(l):
    try:
        online, target = mariadbs(l)
    except mysqlserver.Unavailable as reason:
        l.skip("MySQL", str(reason).splitlines()[0])
        return
    config = l.dir / "passwords.json"
    config.write_text(json.dumps({"mysql": {"users": OTHERS}}))
    config.chmod(0o600)
    copy = four.Copy(l, "--module", "mysql.so", "--module-config", config,
                     to=to(MYSQL, MYSQL_TARGET), target_port=MYSQL_TARGET, probe=bare(l, MYSQL))
    online.log_begin()
    target.log_begin()
    copy.begin()
    begun = four.opens(l.online)
    mysql_clients(l)
    copy.settle(four.opens(l.online) - begun)
    want, have = (collections.Counter(map(tuple, s.log_end())) for s in (online, target))
    l.ok(sum(want.values()) >= 12 and have == want,
         "MySQL: each connection's statements are logged at the target as at the online server",
         log_difference(have, want))
    errors = [x for s in (online, target) for x in s.errors() if "unauthenticated" not in x]
    l.same(errors, [], "MySQL: no protocol error is logged")    # probes do not log in
    run = four.clean(l, "MySQL", copy)
    text = json.dumps(run.report) + run.out + run.err
    l.ok(not any(p and p in text for p in (*PASSWORDS.values(), *OTHERS.values())),
         "MySQL: no password is told")
    for server in (online, target):
        server.stop()


def log_difference(have, want):
    words = []
    for name, only in (("missing", want - have), ("too many", have - want)):
        for lines, n in list(only.items())[:6]:
            words.append("%s: %d x" % (name, n))
            words += ["    %s %s" % (command, text[:100]) for command, text in lines[:8]]
    return "\n".join(words)


# --- redis ----------------------------------------------------------------------------------------

def command_counts(l, host):
    """Calls of each command, as this server counted them."""
    out = l.command(*host.argv("redis-cli", "-h", "127.0.0.1", "INFO", "commandstats"))
    return {line.split(":")[0]: line.split("calls=")[1].split(",")[0]
            for line in out.splitlines() if line.startswith("cmdstat_")}


def redis(l):
    servers = [l.start(host, "redis-server", "--port", REDIS, "--save", "", "--bind", "0.0.0.0",
                       "--protected-mode", "no", port=REDIS) for host in (l.online, l.target)]
    copy = four.Copy(l, to=to(REDIS), target_port=REDIS, probe=bare(l, REDIS))
    four.speak_as(l, 90)
    benchmark = ["redis-benchmark", "-h", four.ONLINE, "-p", REDIS, "-q", "-c", 10, "-n", 1000,
                 "-r", 100]
    with four.Compared(l, copy, "redis-benchmark: one by one", port=REDIS):
        l.client.run(*benchmark, "-t", "set,get,lpush,lrange_100,mset")
    with four.Compared(l, copy, "redis-benchmark: pipelined", port=REDIS):
        l.client.run(*benchmark, "-t", "set,get,incr", "-P", 16)
    with four.Compared(l, copy, "redis: a subscriber", port=REDIS):
        subscriber = l.start(l.client, "redis-cli", "-h", four.ONLINE, "SUBSCRIBE", "news")
        lab.wait_for("the subscription", lambda: "subscribe" in subscriber.text())
        for nth in range(5):
            l.client.run("redis-cli", "-h", four.ONLINE, "PUBLISH", "news", nth)
        subscriber.kill()
    counts = [command_counts(l, host) for host in (l.online, l.target)]
    l.same(counts[1], counts[0], "redis: the servers count the same commands")
    four.clean(l, "redis", copy)
    for server in servers:
        server.stop()


# --- HTTP -----------------------------------------------------------------------------------------

def http_load(l, n):
    app = ["app/chunked?n=3&size=2000", "app/slow?ms=50", "app/x", "gz/text.html"]
    four.curl(l, n, *app, *four.PAGES)
    four.curl(l, n + 1, "bin-1m", "page-40000.html", "bin-300k", *app[:1])
    l.client.run("curl", "-sS", "--interface", four.live(n + 2), "-I", "http://%s/" % four.ONLINE,
                 "http://%s/nowhere" % four.ONLINE)
    four.ab(l, n + 3, 100, 5, "-k", page="app/echo")


def http(l):
    """Responses are checked against the online server's."""
    online, target = l.nginx(l.online, four.PORT), l.nginx(l.target, four.PORT)
    copy = four.Copy(l, "--module", "http.so")
    with four.Compared(l, copy, "HTTP module"):
        http_load(l, 100)
    run = four.clean(l, "HTTP module", copy)
    l.same(run.figure("sessions", "mismatched"), 0, "HTTP: the same responses", run.words())
    page = target.access_log.parent / "www" / "page-500.html"
    page.rename(page.with_suffix(".away"))
    copy = four.Copy(l, "--module", "http.so")
    with four.Compared(l, copy, "HTTP: the target lacks a page"):
        four.curl(l, 110, "page-500.html", "page-100.html", "page-500.html")
        four.curl(l, 111, "page-100.html")
    run = four.clean(l, "HTTP: the target lacks a page", copy)
    l.same([run.figure("sessions", "mismatched"), run.figure("requests", "mismatched")], [1, 2],
           "HTTP: the wrong responses are found", run.words())
    for server in (online, target):
        server.stop()


def uploads(l):
    """A long upload goes to the target as it comes, not when it is whole."""
    online, target = l.nginx(l.online, four.PORT), l.nginx(l.target, four.PORT)
    copy = four.Copy(l, "--module", "http.so")
    with four.Compared(l, copy, "an upload of 4 MB, in no hurry"):
        s = four.connect(l, 130)
        body = bytes(range(256)) * 4096
        s.sendall(b"PUT /dav/up HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (4 * len(body)))
        for part in range(1, 5):
            s.sendall(body)
            wanted = part * len(body) - 66000       # the last bytes may be no part yet
            lab.wait_for("part %d at the target" % part, lambda: received(l, 130) >= wanted)
        four.response(s)
        s.close()
    run = four.clean(l, "an upload in parts", copy)
    l.same([run.figure("requests", x) for x in ("planned", "sent", "answered", "mismatched")],
           [1, 1, 1, 0], "an upload in parts is one request", run.words())
    for server in (online, target):
        server.stop()


def received(l, client):
    """Bytes that the target's kernel has of the live client's connection."""
    out = l.target.run("ss", "-Htni", "dst", four.live(client))
    counts = re.findall(r"bytes_received:(\d+)", out)
    return max(map(int, counts), default=0)


# --- long sessions --------------------------------------------------------------------------------

def held(l):
    """Event streams, endless bodies and long polls, left in every way."""
    servers = [l.python_server(host, "pushserver.py", comet_lab.PORT) for host in (l.online, l.target)]
    four.speak_as(l, 120)
    copy = four.Copy(l, to=to(comet_lab.PORT), target_port=comet_lab.PORT,
                     probe=bare(l, comet_lab.PORT))
    with four.Compared(l, copy, "held sessions: events, lines, polls", port=comet_lab.PORT):
        clients(l, "events,lines,poll,publish")
    four.clean(l, "held sessions", copy)
    for server in servers:
        server.stop()


def comet(l):
    """The module: WebSockets have keys of their own at the target, and answer its pings."""
    servers = [l.python_server(host, "pushserver.py", comet_lab.PORT) for host in (l.online, l.target)]
    four.speak_as(l, 121)
    copy = four.Copy(l, "--comet", to=to(comet_lab.PORT), ready=False)  # holds a probe
    lab.wait_for("tcpcopy", lambda: "copying live sessions" in copy.process.text())
    with captures.Recording(l, l.target, comet_lab.PORT) as played:
        clients(l, "ws")
    l.same({client for client, _ in four.sessions(played, four.TARGET)}, {four.live(121)},
           "WebSockets come from their client")
    four.clean(l, "WebSockets", copy, failed_ok=True)
    counts = [comet_lab.stop(server)[0] for server in servers]
    l.ok(counts[1]["keys"] == counts[0]["keys"] == comet_lab.ENDINGS and
         counts[1].get("pongs", 0) > 0 and not counts[1].get("wrong_pongs"),
         "WebSockets: as many as live, and the target's pings are answered", counts)


def clients(l, kinds):
    p = l.start(l.client, sys.executable, lab.HERE / "comet_client.py", four.ONLINE,
                comet_lab.PORT, kinds, name="clients")
    lab.wait_for("the clients", lambda: "done" in p.text())
    p.kill()


def main(l):
    four.build(l)
    three.intercept(l)
    four.run_parts(l, mysql, redis, http, uploads, held, comet)


with lab.Test() as the_lab:
    main(the_lab)
