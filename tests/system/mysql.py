#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Captures of many MySQL clients, played against real servers with other passwords: MariaDB (native,
ed25519), MySQL 5.6 (native) and a current MySQL (caching_sha2 fast and full, sha256). The oracle is
the server's general log: the same statements in the same order on each connection, as the captured
server's log had them. Captures and logs: tests/servers/mysqlcapture.py."""
import collections
import gzip
import json
import os
import re
import sys

import lab
import three

sys.path.insert(0, str(lab.SERVERS))
import mysqlserver  # noqa: E402

FOLDER = lab.SRC / "tests" / "captures" / "mysql"
PORT = 3399
PASSWORDS = {"app": "Target-1", "app2": "Target-2", "nopw": "", "ed": "Target-3",
             "bench": "Target-4"}
CAPTURED_PORTS = {"mariadb": 3306, "mysql-9": 3307, "mysql-5.6": 3308}
# how responses come back
MODES = {"tun": ["--tun", "-c", "198.18.200.0/23"],
         "intercept": ["-s", three.ASSISTANT, "-c", "198.18.100.0/24"]}
ACCESS_DENIED = "a session that was refused"


def captures_of(server, skip=()):
    """The captures taken of one server."""
    names = (p.name.split(".pcap")[0] for p in sorted(FOLDER.glob("*-%s.pcap.gz" % server)))
    return [n for n in names if not any(s in n for s in skip)]


def captured_log(name):
    return json.loads(gzip.open(FOLDER / "mysql-log.json.gz").read())[name]


# --- logs -----------------------------------------------------------------------------------------

def statement(text):
    """Servers write the values of an EXECUTE in different ways."""
    text = text.replace("TIMESTAMP'", "'").replace(".000000'", "'")
    return re.sub(r"\\+x[0-9A-F]{2}|[^ -~]|\\+", "", text).strip("; ")


def statements(lines):
    """What a connection did, in terms that do not depend on the server's version: the servers split
    multi-statements or not, prepare again when types change, and name commands differently."""
    out, prepared = [], set()
    for command, text in lines:
        if isinstance(text, bytes):
            text = text.decode("latin-1")
        command = command.lower()
        if command in ("connect", "change user"):
            user = re.match(r"(Access denied)?[^@]*", text).group(0)
            out.append(ACCESS_DENIED if user.startswith("Access") else "%s %s" % (command, user))
        elif command == "prepare":
            if text not in prepared and statement(text) not in ("BEGIN", "COMMIT"):
                out.append("prepare " + statement(text))
            prepared.add(text)
        elif command in ("query", "execute"):
            out += filter(None, map(statement, text.split(";")))
        elif command not in ("close stmt", "reset stmt", "quit"):   # some do not log these
            out.append(("%s %s" % (command, text)).strip())
    return tuple(out)


def difference(seen, wanted):
    words = []
    for name, only in (("missing", wanted - seen), ("too many", seen - wanted)):
        for sequence, n in only.items():
            words.append("%s: %d x" % (name, n))
            words += ["    " + s[:160] for s in sequence]
    return "\n".join(words[:80])


class Target:
    """A server that is played against, and the configuration that knows its passwords."""

    def __init__(self, l, host, kind):
        self.lab, self.host, self.kind = l, host, kind
        self.server = kind(l, host, PORT, lab.TARGET).start()
        self.config = l.dir / ("%s.json" % self.server.name)
        mysqlserver.load(self.server, PASSWORDS)
        self.configure()

    def configure(self, users=None, **options):
        users = PASSWORDS if users is None else users
        self.config.write_text(json.dumps({"mysql": {"users": users, **options}}))
        self.config.chmod(0o600)

    def play(self, names, *options, mode="tun", transfer=None):
        files = ",".join(str(FOLDER / (n + ".pcap.gz")) for n in names)
        port = transfer or next(p for s, p in CAPTURED_PORTS.items() if names[0].endswith(s))
        self.server.log_begin()
        run = self.lab.tcpburn(
            self.host if mode == "tun" else self.lab.test, "--module", "mysql.so", "--module-config", self.config,
            "-x", "%d-%s:%d" % (port, lab.TARGET, PORT), "-f", files, "-a", 20, *MODES[mode],
            *options)
        self.log = collections.Counter(map(statements, self.server.log_end()))
        self.texts = "\n".join(s for sequence in self.log for s in sequence)
        return run

    def differences(self, run):
        return {(d["statement"], d["captured"], d["seen"]): d["count"]
                for d in run.figure("module", "most_frequent_differences") or ()}


def wanted_log(names, times=1):
    wanted = collections.Counter()
    for name in names:
        for connection in captured_log(name):
            wanted[statements(connection)] += times
    return wanted


# --- tests ----------------------------------------------------------------------------------------

# What a server of that kind does not have: (captured server, target) -> clients left out.
LEFT_OUT = {
    # COM_RESET_CONNECTION came with 5.7, COM_STMT_BULK_EXECUTE is MariaDB's own
    ("mariadb", "mysql-5.6"): ("npm-mariadb-",),
    ("mysql-9", "mysql-5.6"): ("npm-mariadb-",),
    ("mariadb", "mysql-9"): ("npm-mariadb-bulk",),
}
# 5.6 does not log the EXECUTE of a cursor
UNLOGGED = "SELECT id, item FROM orders ORDER BY id LIMIT 40"


def without(log, text):
    out = collections.Counter()
    for sequence, n in log.items():
        out[tuple(s for s in sequence if s != text)] += n
    return out


def every_client(l, target):
    """All captures of a server at once."""
    name = target.server.name
    for captured in CAPTURED_PORTS:
        names = captures_of(captured, LEFT_OUT.get((captured, name), ()))
        mysqlserver.load_data(target.server)
        before = len(target.server.errors())
        run = target.play(names)
        words = run.words() + "\n" + difference(target.log, wanted_log(names))
        l.ok(run.all_completed, "%s: every session of %s logs in and completes" % (name, captured),
             words)
        seen, wanted = target.log, wanted_log(names)
        if "mysql-5.6" in (name, captured):
            seen, wanted = without(seen, UNLOGGED), without(wanted, UNLOGGED)
        l.ok(seen == wanted, "%s: statements of %s are as captured, by connection" % (
            name, captured), difference(seen, wanted))
        l.same(target.server.errors()[before:], [], "%s: no protocol error is logged" % name)
        text = json.dumps(run.report) + run.out + run.err
        l.ok(not any(p and p in text for p in PASSWORDS.values()), "%s: no password is told" % name)


def every_plugin(l, target):
    """One capture with other users: their plugins are the target's."""
    capture = ["mysql-mariadb-cli-mariadb"]
    for user in ("app2", "ed", "nopw"):
        target.configure(user_map={"app": user})
        target.server.sql("FLUSH PRIVILEGES")   # caching_sha2 forgets: the full dialogue
        again = target.server.default_plugin == "caching_sha2_password"     # now the fast one
        for nth in ("first", "second")[:1 + again]:
            mysqlserver.load_data(target.server)
            run = target.play(capture)
            first = next(iter(target.log), ("",))[0]
            l.ok(run.all_completed and first == "connect " + user,
                 "%s: log-in as %s, %s time" % (target.server.name, user, nth),
                 run.words() + str(target.log))
    target.configure()


def many_at_once(l, target, users=500):
    mysqlserver.load_data(target.server)
    before = len(target.server.errors())
    run = target.play(["mysql-go-mariadb"], "-u", users, "-i", 5000)
    l.ok(run.all_completed and run.figure("module", "logins") == users,
         "%s: %d users at once log in" % (target.server.name, users), run.words())
    l.same(sum(target.log.values()), users, "%s: %d connections" % (target.server.name, users))
    l.same(target.server.errors()[before:], [], "%s: and no protocol error" % target.server.name)


def through_intercept(l, target):
    """The log-in dialogues need payloads, which the assistant host then passes on."""
    captured = "mysql-9" if target.server.name == "mariadb" else "mariadb"
    names = [n for n in captures_of(captured, LEFT_OUT.get((captured, target.server.name), ()))
             if "npm-" in n or "mysqli" in n]
    mysqlserver.load_data(target.server)
    run = target.play(names, mode="intercept")
    seen, wanted = without(target.log, UNLOGGED), without(wanted_log(names), UNLOGGED)
    l.ok(run.all_completed and seen == wanted, "%s: %s through intercept" % (
        target.server.name, captured), run.words() + difference(seen, wanted))


def differences(l, target):
    """What the target answers differently is reported as exactly that."""
    capture = ["mysql-mariadb-cli-mariadb"]
    mysqlserver.load_data(target.server)
    target.server.sql("RENAME TABLE otherdb.notes TO otherdb.renamed")
    run = target.play(capture)
    l.same(target.differences(run), {("SELECT * FROM notes", "ok, 2 columns", "ERR 1146 (42S02)"): 1},
           "a table is missing", run.words())

    mysqlserver.load_data(target.server)
    target.server.sql("DELETE FROM otherdb.notes WHERE id = 2")
    target.configure(check="rows")
    run = target.play(capture)
    l.same(target.differences(run),
           {("SELECT * FROM notes", "ok, 2 columns, 3 rows", "ok, 2 columns, 2 rows"): 1},
           "a row is missing", run.words())
    l.same(run.figure("sessions", "mismatched"), 1, "its session is counted")

    target.server.sql("DELETE FROM otherdb.notes WHERE id = 3")
    target.configure()
    run = target.play(capture)
    l.same(target.differences(run), {}, "rows count only when they are to be checked")

    mysqlserver.load_data(target.server)
    target.configure(users=dict(PASSWORDS, app="wrong"))
    run = target.play(capture)
    l.ok(run.figure("sessions", "failures", "module") == 1 and "ERR 1045" in json.dumps(
        run.figure("sessions", "failure_reasons")), "a user is refused", run.words())

    target.configure(users={"app2": "x"})
    run = target.play(capture)
    l.ok(run.rc == 2 and "no password for user 'app'" in json.dumps(
        run.figure("sessions", "failure_reasons")), "a password is missing", run.words())
    l.same(sum(target.log.values()), 0, "that session is not started")

    target.configure(users={}, default_password=PASSWORDS["app"])
    run = target.play(capture)
    l.ok(run.all_completed, "the default password serves", run.words())
    target.config.chmod(0o644)
    run = target.play(capture)
    l.ok("everybody can read it" in run.err, "a readable file with passwords warns", run.words())
    target.configure()


def reading_only(l, target):
    mysqlserver.load_data(target.server)
    target.configure(read_only=True)
    run = target.play(captures_of("mariadb", ("bulk",)))
    wrote = re.findall(r"^(?:prepare )?(?:INSERT|UPDATE|LOAD|CALL|DELETE)", target.texts, re.M)
    l.ok(run.all_completed and wrote == [], "read_only sends nothing that writes",
         run.words() + str(wrote))
    l.ok(run.figure("module", "skipped_writes") > 20 and "SELECT * FROM notes" in target.texts,
         "what it skips is counted, the rest is played", run.words())
    target.configure()


def schemas(l, target):
    mysqlserver.load_data(target.server)
    target.server.sql("CREATE DATABASE IF NOT EXISTS elsewhere; DROP TABLE IF EXISTS "
                      "elsewhere.notes; CREATE TABLE elsewhere.notes SELECT * FROM otherdb.notes;"
                      "DROP DATABASE otherdb; GRANT ALL ON elsewhere.* TO app")
    target.configure(schema_map={"otherdb": "elsewhere"})
    run = target.play(["mysql-mariadb-cli-mariadb"])
    l.ok(run.all_completed and target.differences(run) == {} and "elsewhere" in target.texts,
         "schemas are mapped", run.words() + target.texts)
    target.configure()


def refused_commands(l, target):
    run = target.play(["mysql-npm-mariadb-bulk-mariadb"])
    l.ok("COM_STMT_BULK_EXECUTE" in json.dumps(run.figure("sessions", "failure_reasons")),
         "%s: bulk commands are refused with a reason" % target.server.name, run.words())


def main(l):
    three.build(l)
    host = l.target
    three.intercept(l)
    for kind in (mysqlserver.MariaDB, mysqlserver.MySQL56, mysqlserver.MySQL9):
        try:
            target = Target(l, host, kind)
        except mysqlserver.Unavailable as reason:
            if os.environ.get("CI") == "true":
                l.ok(False, "%s can be had" % kind.name, reason)
            else:
                l.skip(kind.name, str(reason).splitlines()[0])
            continue
        every_client(l, target)
        every_plugin(l, target)
        many_at_once(l, target)
        through_intercept(l, target)
        if kind is mysqlserver.MariaDB:
            differences(l, target)
            reading_only(l, target)
            schemas(l, target)
        else:
            refused_commands(l, target)
        target.server.stop()


with lab.Test() as the_lab:
    main(the_lab)
