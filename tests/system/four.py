# SPDX-License-Identifier: BSD-2-Clause
"""The lab of tcpcopy: the three hosts of three.py, of which the first is the online host, and a
fourth one with the live clients.

    client     198.18.0.10  fd00:18::10   live clients: all of 198.18.200.0/24 and fd00:20::/64
    online     198.18.0.1   fd00:18::1    the online server; tcpcopy
    target     198.18.0.2   fd00:18::2    the test server; routes the live clients' addresses …
    assistant  198.18.0.3   fd00:18::3    … to intercept, and that host forwards nothing

The oracle is what the two servers' hosts recorded: each session of the online server, as its own
kernel acknowledged it, must be there at the target, byte for byte and, unless -c says otherwise,
from the same client address. Used by tcpcopy*.py and bench/tcpcopy.
"""
import collections
import contextlib
import ipaddress
import os
import re
import signal
import socket
import time

import captures
import channel
import lab
import three

ONLINE, ONLINE6 = three.TEST, three.TEST6
TARGET, TARGET6 = lab.TARGET, three.TARGET6
ASSISTANT, ASSISTANT6 = three.ASSISTANT, three.ASSISTANT6
MIRROR = "198.18.0.6"
CLIENT, CLIENT6 = "198.18.0.10", "fd00:18::10"
LIVE, LIVE6 = "198.18.200.0/24", "fd00:20::/64"     # the live clients
RANGE = "198.18.100.0/24"                           # for -c: routed to the assistant, too
PORT = 80
TO = "%d-%s:%d" % (PORT, TARGET, PORT)
PROBING = 250                   # the live client whose connections only ask whether tcpcopy copies
SETTLE_S = 20
PAGES = ["index.html", "page-100.html", "page-5000.html", "item/3.html", "page-40000.html"]


def live(n):
    return "198.18.200.%d" % n


def live6(n):
    return "fd00:20::%x" % n


# --- hosts ----------------------------------------------------------------------------------------

def build(l):
    """The four hosts, as attributes of the lab, and the switch between them."""
    three.build(l)
    l.online = l.test
    l.client = l.host("client")
    three.plug(l, l.client, l.switch, CLIENT + "/24", CLIENT6 + "/64")
    for family, addresses in (("-4", LIVE), ("-6", LIVE6)):
        l.client.ip(family, "route", "add", "local", addresses, "dev", "lo")
    l.client.sysctl("net.ipv6.ip_nonlocal_bind", 1)
    speak_as(l, 1)
    lead_live_clients(l.online, CLIENT, CLIENT6)
    lead_live_clients(l.target, ASSISTANT, ASSISTANT6)


def lead_live_clients(host, via, via6):
    host.ip("route", "replace", LIVE, "via", via)
    host.ip("-6", "route", "replace", LIVE6, "via", via6)


def online_host(l, role, address):
    """One more online host; its live clients are on the same client host."""
    host = l.host(role)
    three.plug(l, host, l.switch, address + "/24")
    host.ip("route", "add", LIVE, "via", CLIENT)
    speak_as(l, 1, to=address)
    return host


def mirror_host(l):
    """A host that is sent copies on its device eth1, by the switch's device `copies` (see mirror()),
    and reaches the others by eth0."""
    host = l.host("mirror")
    three.plug(l, host, l.switch, MIRROR + "/24")
    l.command("ip", "link", "add", "eth1", "netns", host.ns, "type", "veth", "peer", "name",
              "copies", "netns", l.switch.ns)
    for where, device in ((host, "eth1"), (l.switch, "copies")):
        where.ip("link", "set", device, "up")
    return host


@contextlib.contextmanager
def mirror(l, device="copies", percent=100):
    """Copies of what the client and the online host send, to a device of the switch."""
    some = "numgen random mod 100 < %d" % percent if percent < 100 else ""
    chains = ["chain %s {\n type filter hook ingress device \"%s\" priority 0\n"
              " %s dup to \"%s\"\n}\n" % (port, port, some, device)
              for port in (l.client.role, l.online.role)]
    l.switch.run("nft", "-f", "-", input="table netdev mirror {\n%s}\n" % "".join(chains))
    yield
    l.switch.run("nft", "flush", "ruleset")


def speak_as(l, n, to=ONLINE):
    """The address from which programs that do not bind one reach the online host; 0: the client
    host's own."""
    l.client.ip("route", "replace", to + "/32", "dev", "eth0", "src", live(n) if n else CLIENT)


# --- live load ------------------------------------------------------------------------------------

class Failure(Exception):
    """The live client noticed something."""


def connect(l, n, port=0, to=ONLINE, service=PORT):
    """A socket of live client n; `port`: of the client, 0: any."""
    address = (live6 if ":" in to else live)(n)
    with channel.inside(l.client):
        s = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    s.settimeout(lab.PATIENCE_S)
    s.bind((address, port))
    s.connect((to, service))
    return s


def get(s, path="index.html", extra=""):
    """One HTTP request on a connection and the body of its response."""
    s.sendall(("GET /%s HTTP/1.1\r\nHost: x\r\n%s\r\n" % (path, extra)).encode())
    return response(s)


def response(s):
    """The body of one HTTP response; one that does not tell its length has none."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += receive(s)
    head, body = data.split(b"\r\n\r\n", 1)
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    length = int(length.group(1)) if length else 0
    while len(body) < length:
        body += receive(s)
    return body


def receive(s):
    data = s.recv(65536)
    if not data:
        raise Failure("the online server closed the connection")
    return data


def curl(l, n, *pages, to=ONLINE, host=None, upload=None):
    """Pages over one connection, and an upload; as the client host itself when n is 0."""
    at = "http://%s/" % ("[%s]" % to if ":" in to else to)
    argv = ["curl", "-sSfg", "--max-time", lab.PATIENCE_S, "-H", "Host: online"]
    if host is None and n:
        argv += ["--interface", (live6 if ":" in to else live)(n)]
    if upload:
        argv += ["-T", upload, at + "dav/up-%d" % n, "--next", "-sSfg", "-H", "Host: online"]
    for page in pages:
        argv += ["-o", "/dev/null", at + page]
    (host or l.client).run(*argv)


def ab_argv(n, requests, at_once, *options, to=ONLINE, page="index.html"):
    v6 = ":" in to
    return ["ab", "-q", "-n", requests, "-c", at_once, "-B", (live6 if v6 else live)(n),
            "-H", "Host: online", *options,
            "http://%s/%s" % ("[%s]" % to if v6 else to, page)]


def ab_check(text):
    """What ab printed, if no request failed."""
    failed = re.search(r"Failed requests: +(\d+)", text)
    if not failed or failed.group(1) != "0" or "Non-2xx" in text:
        raise Failure(text[-1500:])
    return text


def ab(l, n, requests, at_once, *options, **kw):
    return ab_check(l.client.run(*ab_argv(n, requests, at_once, *options, **kw)))


class Ab:
    """ab in the background."""

    def __init__(self, l, n, requests, at_once, *options, **kw):
        self.process = l.start(l.client, *ab_argv(n, requests, at_once, *options, **kw))

    def going(self):
        return self.process.alive()

    def end(self):
        rc = self.process.wait(lab.RUN_LIMIT_S)
        if rc:
            raise Failure("ab ended with %d\n%s" % (rc, self.process.text()[-1500:]))
        return ab_check(self.process.text())


def wrk_argv(l, connections, seconds, delay_ms=10, page="page-1000.html", to=ONLINE):
    """wrk whose connections pause, so that the load is about the same on any machine."""
    script = l.dir / ("wrk-%d.lua" % delay_ms)
    script.write_text("function delay() return %d end\n" % delay_ms if delay_ms else "")
    return ["wrk", "-t1", "-c%d" % connections, "-d%d" % seconds, "-s", script,
            "http://%s/%s" % (to, page)]


def wrk_check(text):
    if "Socket errors" in text or "Non-2xx" in text or "Requests/sec" not in text:
        raise Failure(text)
    return int(re.search(r"(\d+) requests in", text).group(1))


def wrk(l, n, connections, seconds, **kw):
    speak_as(l, n, **{k: v for k, v in kw.items() if k == "to"})
    return wrk_check(l.client.run(*wrk_argv(l, connections, seconds, **kw)))


# --- tcpcopy --------------------------------------------------------------------------------------

def opens(host):
    """Connections that this host's servers have accepted since it began."""
    lines = [x.split() for x in host.run("cat", "/proc/net/snmp").splitlines()
             if x.startswith("Tcp:")]
    return int(lines[1][lines[0].index("PassiveOpens")])


def unfinished(host, port):
    """Connections of a server that have not ended."""
    return len(host.run("ss", "-Htn", "state", "connected", "exclude", "time-wait",
                        "sport = :%d" % port).splitlines())


class Copy:
    """tcpcopy at work. `target`, `target_port`: where its sessions arrive; `count`: how many have, if
    not by what that host accepts; `probe`: makes a live session, to see whether it is copied."""

    def __init__(self, l, *options, host=None, way=("-s", ASSISTANT), to=(TO,), target=None,
                 target_port=PORT, probe=None, count=None, ready=True):
        self.lab, self.host = l, host or l.online
        self.target, self.target_port = target or l.target, target_port
        self.probe = probe or (lambda: connect(l, PROBING).close())
        self.process = l.tcpburn_start(self.host, "-x", ",".join(to), *way, *options,
                                       program="tcpcopy")
        self.left_behind = unfinished(self.target, target_port)    # by a tcpcopy that was killed
        self.pid = self.process.popen.pid
        self.opens = count or (lambda: opens(self.target))
        if ready:
            self.wait_ready()

    def wait_ready(self):
        """Until a live connection has arrived at the target, and all is quiet again."""
        def arrives():
            if not self.process.alive():
                raise lab.LabError("tcpcopy ended:\n" + self.process.text()[-1500:])
            before = self.opens()
            self.probe()
            with contextlib.suppress(lab.LabError):
                return lab.wait_for("it", lambda: self.opens() > before, 0.3)
        lab.wait_for("tcpcopy to copy:\n" + self.process.text()[-1500:], arrives)
        self.settle()

    def settle(self, expected=0):
        """Until the target has accepted so many more connections than since begin() and all have
        ended. No failure if that never happens: what arrived is judged."""
        end = time.monotonic() + SETTLE_S
        seen, since = -1, time.monotonic()
        while time.monotonic() < end:
            now = self.opens()
            if now != seen:
                seen, since = now, time.monotonic()
            patience = 0.15 if now - self.begun >= expected else 2
            if time.monotonic() - since > patience and \
                    unfinished(self.target, self.target_port) <= self.left_behind:
                return
            time.sleep(0.02)

    begun = 0

    def begin(self):
        self.begun = self.opens()

    def finish(self):
        """SIGTERM, and the report."""
        self.process.signal(signal.SIGTERM)
        return self.process.finish()

    def kill(self):
        self.process.kill()


# --- the oracle -----------------------------------------------------------------------------------

def sessions(recording, server, *others):
    """Counter of (client address, SHA-256 of its bytes) of one server's sessions."""
    servers = [ipaddress.ip_address(s).packed for s in (server, *others)]
    return collections.Counter((str(ipaddress.ip_address(c.client)), c.sha256())
                               for c in recording.connections
                               if c.established and c.server in servers)


def without_addresses(counter):
    out = collections.Counter()
    for (_, digest), n in counter.items():
        out[digest] += n
    return out


def difference(have, want):
    words = ["%d sessions are there, %d should be" % (sum(have.values()), sum(want.values()))]
    for name, only in (("missing", want - have), ("too many", have - want)):
        words += ["%s: %d x %s" % (name, n, what) for what, n in sorted(only.items())[:15]]
    return "\n".join(words)


class Compared:
    """A context: what is live within must have arrived at the target when it ends.

        with Compared(l, copy, "ab"):
            ab(…)
    prints one test line; .online and .target are the two counters. `late_ones`: sessions from before
    may still arrive; `check`: not all have to.
    """
    def __init__(self, l, copy, name, *, servers=(ONLINE,), port=PORT, online=None, times=1,
                 target_address=TARGET, addresses=True, check=None, late_ones=False):
        self.lab, self.copy, self.name, self.times = l, copy, name, times
        self.servers, self.target_address, self.addresses = servers, target_address, addresses
        self.check = check or (lambda have, want: not want - have if late_ones else have == want)
        self.all_arrive = not check
        self.live = captures.Recording(l, online or l.online, port)
        self.played = captures.Recording(l, copy.target, copy.target_port)

    def __enter__(self):
        self.copy.begin()
        self.live.__enter__()
        self.live_opens = opens(self.live.host)
        self.played.__enter__()
        return self

    def __exit__(self, kind, error, trace):
        if not error:
            opened = opens(self.live.host) - self.live_opens
            self.copy.settle(opened * self.times if self.all_arrive else 0)
        self.played.__exit__(kind, error, trace)
        self.live.__exit__(kind, error, trace)
        if kind is Failure:
            self.lab.ok(False, self.name + ": live clients see no error", error)
            return True
        if error:
            return False
        self.judge()
        return False

    def judge(self):
        self.online = sessions(self.live, *self.servers)
        self.target = sessions(self.played, self.target_address)
        want = collections.Counter({k: n * self.times for k, n in self.online.items()})
        have = self.target
        if not self.addresses:
            have, want = without_addresses(have), without_addresses(want)
        conflicts = sum(c.conflict for c in self.played.connections)
        words = difference(have, want)
        if conflicts:
            words += "\n%d connections retransmitted other bytes than before" % conflicts
        self.lab.ok(self.online and self.check(have, want) and not conflicts, self.name,
                    words + "\n" + self.copy.process.text()[-1500:])


def clean(l, name, copy, *, failed_ok=False):
    """The end of a tcpcopy: by its exit status and report nothing went wrong."""
    run = copy.finish()
    good = run.report is not None and run.figure("sessions", "started")
    if not failed_ok:
        good = good and run.rc == 0 and run.figure("sessions", "failed") == 0
    l.ok(good, name + ": and says so", run.words())
    return run


def rss_bytes(pid):
    text = open("/proc/%d/status" % pid).read()
    return int(text.split("VmRSS:")[1].split()[0]) * 1024


def streams(recording, server):
    """(client address, port) -> the client's bytes of its connections to a server, in order."""
    out, packed = {}, ipaddress.ip_address(server).packed
    for c in recording.connections:
        if c.server != packed:
            continue
        key = str(ipaddress.ip_address(c.client)), c.client_port
        out.setdefault(key, []).append(c.stream())
    return out


def run_parts(l, *parts):
    """The parts of a test; with TB_ONLY, those whose names match it, for who works on one."""
    for part in parts:
        if re.search(os.environ.get("TB_ONLY", ""), part.__name__):
            begin = time.monotonic()
            part(l)
            print("# %s: %.1f s" % (part.__name__, time.monotonic() - begin), flush=True)
