#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Makes the captures tests/captures/mysql-*.pcap.gz: real clients against real servers, and what
the servers' general logs then held (mysql-log.json.gz), the oracle of tests/system/mysql.py.

    sudo tests/servers/mysqlcapture.py FOLDER [CLIENT…]

Run by hand, on a machine that has the clients (php-cli php-mysql libdbd-mysql-perl sysbench
python3-pymysql default-jdk-headless libmariadb-java golang-go golang-github-go-sql-driver-mysql-dev
mariadb-client), with NODE_PATH naming a node_modules folder with mysql, mysql2 and mariadb.
"""
import gzip
import json
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "system"), str(HERE)]
import captures     # noqa: E402
import lab          # noqa: E402
import mysqlserver  # noqa: E402

CLIENTS = HERE / "mysql-clients"
PASSWORDS = {"app": "captured-1", "app2": "captured-2", "nopw": "", "ed": "captured-3",
             "bench": "captured-4"}


def sysbench(address, port, mode):
    return ["sysbench", "oltp_read_write", "--mysql-host=" + address, "--mysql-port=%d" % port,
            "--mysql-user=bench", "--mysql-password=" + PASSWORDS["bench"], "--mysql-db=sbtest",
            "--mysql-ssl=off", "--tables=1", "--table-size=1000", "--threads=2", "--events=6",
            "--time=0", "--rand-seed=7", "--db-ps-mode=" + mode, "run"]


def mysql_cli(server, *options):
    """The client of MySQL 9, in its own tree."""
    root = mysqlserver.MySQL9.fetch()
    return ["chroot", root, "/usr/bin/mysql", "--no-defaults", "-h", server.address,
            "-P", str(server.port), "-uapp", "-p" + PASSWORDS["app"], "--ssl-mode=DISABLED",
            "--force", "--commands", *options, "appdb"]


def clients(server):
    """Name -> command, with what it reads."""
    where, port = server.address, str(server.port)
    one, two = ("app", PASSWORDS["app"]), ("app2", PASSWORDS["app2"])
    sql = (CLIENTS / "statements.sql").read_bytes()
    attributes = b"query_attributes n1 v1 n2 v2;\nSELECT 1 + 1;\n" + sql
    at = "%s:%s" % (where, port)
    node = lambda name: (["node", CLIENTS / "node.js", name, where, port, *one, *two], None)
    found = {
        "mysqli": (["php", CLIENTS / "mysqli.php", where, port, *one, *two], None),
        "dbi": (["perl", CLIENTS / "dbi.pl", where, port, *one], None),
        "sysbench": (sysbench(where, server.port, "auto"), None),
        "mariadb-cli": (["mariadb", "--no-defaults", "-h", where, "-P", port, "-uapp",
                         "-p" + one[1], "--skip-ssl", "--force", "appdb"], sql),
        "mariadb-cli-compressed": (["mariadb", "--no-defaults", "-h", where, "-P", port, "-uapp",
                                    "-p" + one[1], "--skip-ssl", "-C", "--force", "appdb"], sql),
        "npm-mysql2": node("mysql2"),
        "npm-mariadb": node("mariadb"),
        "go": ([HERE / "gosql", at, *one], None),
        "jdbc": (["java", "-cp", "/usr/share/java/mariadb-java-client.jar:" + str(HERE), "Jdbc",
                  at, *one], None),
    }
    if not isinstance(server, mysqlserver.MySQL56):    # which its client does not speak with
        found["mysql-cli"] = (mysql_cli(server, "--get-server-public-key"), attributes)
        found["mysql-cli-zlib"] = (mysql_cli(server, "--get-server-public-key",
                                             "--compression-algorithms=zlib"), sql)
    if isinstance(server, mysqlserver.MySQL9):
        found["mysql-cli-zstd"] = (mysql_cli(server, "--get-server-public-key",
                                             "--compression-algorithms=zstd"), attributes)
    else:
        found["npm-mysql"] = node("mysql")      # knows native passwords only
    if isinstance(server, mysqlserver.MariaDB):
        found["npm-mariadb-bulk"] = node("mariadb-bulk")
        found["mariadb-cli-ed25519"] = (["mariadb", "--no-defaults", "-h", where, "-P", port,
                                         "-ued", "-p" + PASSWORDS["ed"], "--skip-ssl", "--force",
                                         "appdb"], sql)
    return found


def capture(l, host, server, name, folder):
    command, stdin = clients(server)[name]
    mysqlserver.load(server, PASSWORDS)
    recording = captures.Recording(l, host, server.port)
    with recording:
        server.log_begin()
        done = subprocess.run(host.argv(*command), input=stdin, capture_output=True, timeout=60,
                              check=False, env=dict(os.environ, GODEBUG="netdns=go"))
        log = server.log_end()
        kept = folder / ("mysql-%s-%s.pcap.gz" % (name, server.name))
        recording.process.stop()
        with gzip.GzipFile(kept, "wb", mtime=0) as out:
            out.write(recording.file.read_bytes())
    words = done.stderr.decode(errors="replace").strip().splitlines()
    print("%-22s %-10s exit %d, %d connections, %d bytes %s" % (
        name, server.name, done.returncode, len(log), kept.stat().st_size, words[:2]))
    return kept.name.split(".pcap")[0], [[(c, t.decode("latin-1")) for c, t in lines]
                                         for lines in log]


def main():
    folder, wanted = pathlib.Path(sys.argv[1]), sys.argv[2:]
    folder.mkdir(exist_ok=True)
    logs = {}
    path = folder / "mysql-log.json.gz"
    if path.exists():
        logs = json.loads(gzip.open(path).read())
    subprocess.run(["javac", "-d", HERE, CLIENTS / "Jdbc.java"], check=True)
    subprocess.run(["go", "build", "-o", HERE / "gosql", CLIENTS / "gosql.go"], check=True,
                   env=dict(os.environ, GOPATH="/usr/share/gocode", GO111MODULE="off",
                            GOCACHE="/tmp/tb-gocache", HOME="/root"))
    try:
        with lab.Lab() as l:
            host = l.host("target", lab.TARGET + "/32")
            for port, kind in ((3306, mysqlserver.MariaDB), (3307, mysqlserver.MySQL9),
                               (3308, mysqlserver.MySQL56)):
                server = kind(l, host, port, lab.TARGET).start()
                for name in clients(server):
                    if not wanted or name in wanted:
                        key, log = capture(l, host, server, name, folder)
                        logs[key] = log
                server.stop()
    finally:
        for left in (HERE / "gosql", HERE / "Jdbc.class"):
            left.unlink(missing_ok=True)
    with gzip.GzipFile(path, "wb", mtime=0) as out:
        out.write(json.dumps(logs, indent=0).encode())


if __name__ == "__main__":
    main()
