# SPDX-License-Identifier: BSD-2-Clause
"""The lab: hosts in network namespaces, real servers, tcpburn runs; and tests in it that speak TAP.

Used by every test of this folder, and by bench/run:

    with lab.Test() as l:
        target = l.host("target", "198.18.0.2/32")
        l.nginx(target, 80)
        run = l.tcpburn(target, "-x", "80-198.18.0.2:80", "-f", captures.path(NAME), "--tun")
        l.ok(run.rc == 0, "replays", run.words())

Everything a Lab makes is gone when it ends, also after a failure or a signal. It waits for
conditions, never for time to pass. Standard library only.
"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SRC = pathlib.Path(os.environ.get("TB_SRCDIR") or pathlib.Path(__file__).resolve().parents[2])
BUILD = pathlib.Path(os.environ.get("TB_BUILDDIR") or SRC)
HERE = pathlib.Path(__file__).resolve().parent
SERVERS = SRC / "tests" / "servers"
TARGET = "198.18.0.2"       # RFC 2544 benchmark addresses; clients are tcpburn's default range
TARGET6 = "fd00:18::2"
PATIENCE_S = 30             # how long a condition may take before the test has failed
RUN_LIMIT_S = 90            # how long one tcpburn run may take

NFT_LOSS = """
table inet loss {
    chain in {
        type filter hook input priority 0
        meta l4proto tcp numgen random mod 1000 < %d drop
    }
    chain out {
        type route hook output priority 0
        meta l4proto tcp numgen random mod 1000 < %d meta mark set 105
    }
}
"""
NFT_LOSS_MARK = 105


class LabError(Exception):
    """The lab itself (not what is tested) does not work."""


def why_not():
    """Why system tests cannot run here, or None."""
    if os.geteuid() != 0:
        return "needs root (network namespaces, TUN)"
    for tool in ("ip", "ss", "nft", "nginx", "nsenter"):
        if not shutil.which(tool):
            return "needs the program " + tool
    if not os.path.exists("/dev/net/tun"):
        return "needs /dev/net/tun"
    name = "tb-probe-%d" % os.getpid()
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    subprocess.run(["ip", "netns", "del", name], capture_output=True)
    if made.returncode:
        return "cannot make a network namespace: " + made.stderr.strip()
    return None


def wait_for(what, condition, limit_s=PATIENCE_S):
    """The first true value of condition(); LabError when that takes longer than limit_s."""
    end = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise LabError("waited %d s in vain for %s" % (limit_s, what))
        time.sleep(0.01)


def read_json(path):
    """What is in a JSON file; None when it is not there, or not whole yet."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


class Run:
    """One finished run of tcpburn."""

    def __init__(self, argv, rc, out, err, report, seconds):
        self.argv, self.rc, self.out, self.err = argv, rc, out, err
        self.report, self.seconds = report, seconds

    def figure(self, *keys):
        """report[key][key]…, or None where there is no such figure."""
        node = self.report
        for key in keys:
            if not isinstance(node, dict) or key not in node:
                return None
            node = node[key]
        return node

    def words(self):
        """For the person who reads a failure."""
        keep = {k: self.figure(k) for k in ("sessions", "requests", "trace", "live")}
        return "%s\nexit status %s after %.1f s\n%s%s\n%s" % (
            " ".join(map(str, self.argv)), self.rc, self.seconds, self.out[-600:],
            self.err[-1500:], json.dumps(keep))

    @property
    def all_completed(self):
        """Did every planned session complete, by the report, and was the exit status 0?"""
        planned = self.figure("sessions", "planned")
        return self.rc == 0 and planned and planned == self.figure("sessions", "completed") \
            and self.figure("sessions", "failed") == 0


class Host:
    """A network namespace with its own loopback addresses."""

    def __init__(self, lab, role):
        self.lab, self.role, self.void = lab, role, False
        self.ns = lab.prefix + role
        lab.command("ip", "netns", "add", self.ns)
        self.ip("link", "set", "lo", "up")
        for name in ("all", "default"):
            self.sysctl("net.ipv4.conf.%s.rp_filter" % name, 0)
        self.sysctl("net.core.somaxconn", 65535)
        self.sysctl("net.ipv4.tcp_max_syn_backlog", 65535)

    def argv(self, *args):
        # Not `ip netns exec`: it mounts a /sys of its own, which containers and chroots forbid.
        return ["nsenter", "--net=/run/netns/" + self.ns, *map(str, args)]

    def run(self, *args, **kw):
        return self.lab.command(*self.argv(*args), **kw)

    def ip(self, *args):
        return self.run("ip", *args)

    def sysctl(self, name, value):
        self.run("sysctl", "-qw", "%s=%s" % (name, value))

    def address(self, address, device="lo"):
        flags = ["nodad"] if ":" in address else []
        self.ip("addr", "add", address, "dev", device, *flags)

    def lose(self, percent):
        """Drop this share of TCP segments, in and out; 0 stops it."""
        self.run("nft", "-f", "-", input="add table inet loss\ndelete table inet loss\n")
        if percent:
            self._make_void()
            self.run("nft", "-f", "-", input=NFT_LOSS % (percent * 10, percent * 10))

    def _make_void(self):
        """A device behind which nobody is. What leaves is routed there instead of being dropped: the
        kernel tells its own TCP of a drop at once, which no network does, and a server then forgets
        a connection whose SYN-ACK it sends again."""
        if self.void:
            return
        self.void = True
        self.ip("link", "add", "void", "type", "veth", "peer", "name", "nobody")
        self.ip("link", "set", "void", "arp", "off", "up")
        self.ip("link", "set", "nobody", "up")
        for family in ("-4", "-6"):
            self.ip(family, "route", "add", "default", "dev", "void", "table", NFT_LOSS_MARK)
            self.ip(family, "rule", "add", "pref", 1, "fwmark", NFT_LOSS_MARK,
                    "table", NFT_LOSS_MARK)
            # Behind ours: else what goes to an address of this host never came to it.
            self.ip(family, "rule", "add", "pref", 2, "table", "local")
            self.ip(family, "rule", "del", "pref", 0)

    def sockets(self, state, port):
        """How many TCP sockets of a local port are in that state."""
        out = self.run("ss", "-Htn", "state", state, "sport = :%d" % port)
        return len(out.splitlines())

    def wait_listening(self, port):
        wait_for("port %d of %s" % (port, self.role),
                 lambda: self.run("ss", "-Htln", "sport = :%d" % port).strip())


class Without:
    """A host whose programs lack a capability."""

    def __init__(self, host, capability):
        self.host, self.capability = host, capability

    def argv(self, *args):
        return self.host.argv("setpriv", "--bounding-set=-" + self.capability,
                              "--inh-caps=-" + self.capability, *args)


class Process:
    """A program in the background; its output is in `log`."""

    def __init__(self, lab, host, args, name, stdin=None):
        self.log = lab.dir / ("%s-%d.log" % (name, len(lab.processes)))
        self.name = name
        with open(self.log, "wb") as out:
            self.popen = subprocess.Popen(host.argv(*args), stdin=stdin or subprocess.DEVNULL,
                                          stdout=out, stderr=subprocess.STDOUT,
                                          start_new_session=True)
        lab.processes.append(self)

    def text(self):
        return self.log.read_text(errors="replace")

    def signal(self, number):
        self.popen.send_signal(number)

    def alive(self):
        return self.popen.poll() is None

    def wait(self, limit_s=PATIENCE_S):
        try:
            return self.popen.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise LabError("%s did not end within %d s:\n%s"
                           % (self.name, limit_s, self.text()[-1500:])) from None

    def stop(self):
        if self.alive():
            self.signal(signal.SIGTERM)
            self.wait()
        return self.text()

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()


class Sink(Process):
    """bench/sink: what it counted is the oracle."""

    def __init__(self, lab, host, port, *options, address="::"):
        super().__init__(lab, host, [BUILD / "bench" / "sink", "-a", address, "-p", port,
                                     *options], "sink")
        host.wait_listening(port)
        self.lines = 0

    def counters(self):
        """The counters as they are now."""
        self.signal(signal.SIGUSR1)
        self.lines += 1
        return self._line(self.lines)

    def final(self):
        """Stop it; the counters as they were at the end."""
        self.stop()
        return self._line(self.lines + 1)

    def _line(self, n):
        def whole():
            lines = [x for x in self.text().splitlines(True)
                     if x.startswith("{") and x.endswith("\n")]
            return lines[n - 1] if len(lines) >= n else None
        return json.loads(wait_for("the sink's counters", whole))


class Lab:
    """Hosts and processes, gone when it ends."""

    def __init__(self):
        self.prefix = "tb-%d-" % os.getpid()    # of namespaces: labs side by side do not clash
        self.hosts, self.processes, self.dir = [], [], None

    def __enter__(self):
        reason = why_not()
        if reason:
            raise LabError(reason)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: sys.exit(1))
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="tb-lab-"))
        self.dir.chmod(0o755)
        return self

    def __exit__(self, kind, error, trace):
        for p in reversed(self.processes):
            if p.alive():
                p.signal(signal.SIGTERM)
        for p in reversed(self.processes):
            with contextlib.suppress(subprocess.TimeoutExpired):
                p.popen.wait(3)
            p.kill()
        for host in self.hosts:
            subprocess.run(["ip", "netns", "del", host.ns], capture_output=True)
        if self.dir and not os.environ.get("TB_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)

    # --- hosts and programs -------------------------------------------------------------------

    def command(self, *args, input=None):
        done = subprocess.run([str(a) for a in args], capture_output=True, text=True,
                              input=input, timeout=PATIENCE_S, check=False)
        if done.returncode:
            raise LabError("%s: %s" % (" ".join(map(str, args)), done.stderr.strip()))
        return done.stdout

    def host(self, role, *addresses):
        host = Host(self, role)
        self.hosts.append(host)
        for address in addresses:
            host.address(address)
        return host

    def cable(self, one, address_one, two, address_two):
        """A veth pair between two hosts; each end is named after the host it leads to."""
        self.command("ip", "link", "add", two.role, "netns", one.ns, "type", "veth",
                     "peer", "name", one.role, "netns", two.ns)
        for host, device, addresses in ((one, two.role, address_one),
                                        (two, one.role, address_two)):
            for address in addresses:
                host.address(address, device)
            host.ip("link", "set", device, "up")
        wait_for("the cable", lambda: "UP" in one.ip("-o", "link", "show", two.role).split(">")[0])

    def start(self, host, *args, name=None, port=None):
        """A server; with `port`, waits until it listens."""
        p = Process(self, host, args, name or pathlib.Path(str(args[0])).stem)
        if port:
            try:
                host.wait_listening(port)
            except LabError as error:
                raise LabError("%s\n%s" % (error, p.text()[-1500:])) from None
        return p

    def python_server(self, host, script, port, *options):
        """One of tests/servers; the connections it saw are in .connections after stop()."""
        log = self.dir / ("%s-%d.jsonl" % (script, len(self.processes)))
        args = [sys.executable, SERVERS / script, "--port", port, "--log", log, *options]
        p = self.start(host, *args, name=script, port=port)
        p.jsonl = log
        return p

    def sink(self, host, port, *options, **kw):
        return Sink(self, host, port, *options, **kw)

    def nginx(self, host, port, seed=19191):
        """nginx with the content the HTTP captures asked for, and the application behind it."""
        run = self.dir / ("nginx-%d" % len(self.processes))
        www = run / "www"
        www.mkdir(parents=True)
        run.chmod(0o755)
        self.command(sys.executable, SERVERS / "make-www.py", www, seed)
        self.command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                     "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
                     "/CN=capture.test", "-keyout", run / "key.pem", "-out", run / "cert.pem")
        app_port, tls_port = port + 20000, port + 20001
        self.python_server(host, "httpapp.py", app_port, "--host", "127.0.0.1")
        text = (SERVERS / "nginx.conf.in").read_text()
        for word, value in (("RUN", run), ("WWW", www), ("PORT", port), ("TLSPORT", tls_port),
                            ("APPPORT", app_port), ("CERT", run / "cert.pem"),
                            ("KEY", run / "key.pem")):
            text = text.replace("@%s@" % word, str(value))
        (run / "nginx.conf").write_text(text)
        p = self.start(host, "nginx", "-p", run, "-c", run / "nginx.conf", name="nginx", port=port)
        p.access_log = run / "access.log"
        return p

    # --- tcpburn ------------------------------------------------------------------------------

    def report_path(self):
        return self.dir / ("report-%d.json" % len(os.listdir(self.dir)))

    def tcpburn(self, host, *options, report=True, limit_s=RUN_LIMIT_S, env=None,
                program="tcpburn"):
        """Run tcpburn (or tcpcopy) on a host to its end."""
        path = self.report_path()
        argv = [BUILD / program, *options, *(["--report", path] if report else [])]
        begin = time.monotonic()
        try:
            done = subprocess.run(host.argv(*argv), capture_output=True, text=True,
                                  errors="replace", timeout=limit_s, env=env, check=False,
                                  stdin=subprocess.DEVNULL)
            rc, out, err = done.returncode, done.stdout, done.stderr
        except subprocess.TimeoutExpired as late:
            rc = "none: killed after %d s" % limit_s
            out, err = ((x or b"").decode(errors="replace") for x in (late.stdout, late.stderr))
        return Run(argv, rc, out, err, read_json(path), time.monotonic() - begin)

    def tcpburn_start(self, host, *options, program="tcpburn"):
        """Start tcpburn (or tcpcopy) in the background; finish() makes a Run of it."""
        path = self.report_path()
        argv = [BUILD / program, *options, "--report", path]
        p = Process(self, host, argv, program)
        begin = time.monotonic()

        def finish(limit_s=RUN_LIMIT_S):
            rc = p.wait(limit_s)
            return Run(argv, rc, "", p.text(), read_json(path), time.monotonic() - begin)
        p.finish = finish
        return p


class Test(Lab):
    """A lab whose results are printed as TAP."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __enter__(self):
        try:
            return super().__enter__()
        except LabError as reason:
            if os.environ.get("CI") == "true":
                print("1..1\nnot ok 1 - system tests can run\n# %s" % reason)
            else:
                print("1..0 # SKIP %s" % reason)
            sys.exit(0)

    def __exit__(self, kind, error, trace):
        super().__exit__(kind, error, trace)
        if isinstance(error, (LabError, subprocess.SubprocessError, OSError)):
            self.ok(False, "the lab works", "%s: %s" % (type(error).__name__, error))
        elif error is not None:
            return False
        print("1..%d" % self.count, flush=True)
        return True

    def ok(self, good, name, words=""):
        self.count += 1
        print("%sok %d - %s" % ("" if good else "not ", self.count, name))
        if not good:
            for line in str(words).splitlines():
                print("#   " + line)
        sys.stdout.flush()
        return bool(good)

    def same(self, seen, expected, name, words=""):
        return self.ok(seen == expected, name,
                       "expected %r, saw %r\n%s" % (expected, seen, words))

    def skip(self, name, reason):
        self.count += 1
        print("ok %d - %s # SKIP %s" % (self.count, name, reason), flush=True)
