# SPDX-License-Identifier: BSD-2-Clause
"""The captures of tests/captures and what a replay of them must deliver, from their manifest
(made with tshark, not with tcpburn)."""
import collections
import functools
import hashlib
import json
import os
import pathlib
import sys

import lab
import recorder

# What plays against what: captures for nginx, and options of runs that would be long otherwise …
HTTP = ("http-keepalive", "http-short", "http-mixed", "http-pipelined", "http-gz", "http-nanosec",
        "http-pcapng", "http-any-sll", "http-any-sll2", "http-vlan", "http-rawip", "http-loopback",
        "http-tso", "http-ipv6", "http-realloss", "http-thinktime", "lossy-client", "lossy-dup",
        "lossy-handshake", "lossy-mix", "lossy-reorder", "lossy-server", "midstream", "noend",
        "port-reuse", "rst-client")
SLOW = {"http-thinktime": ["-a", 10], "port-reuse": ["-a", 10]}
# … and captures for other servers: server, its port and options; options of the run
OTHER = {
    "comet": ("comet.py", 8090, ["--hold-min", "0.05", "--hold-max", "0.3"], ["-a", 20]),
    "websocket": ("wsserver.py", 8091, ["--push", "0.2", "--ping", "0.3"], ["-a", 20]),
    "line-protocol": ("lineproto.py", 2525, ["--idle", "2"], ["-a", 10]),
    "rst-server": ("oddserver.py", 8092, ["--oobinline"], []),
}

FOLDER = pathlib.Path(os.environ.get("TB_CAPTURES") or lab.SRC / "tests" / "captures")


@functools.cache
def manifest():
    """Name without suffixes -> entry of the manifest."""
    entries = json.loads((FOLDER / "manifest.json").read_text())["files"]
    return {e["file"].split(".", 1)[0]: e for e in entries}


def entry(name):
    return manifest()[name]


def path(name):
    return FOLDER / entry(name)["file"]


def data(name):
    """The capture file, unpacked."""
    return recorder.open_packed(path(name)).read()


def playable(name):
    """The connections of a capture that can be played whole, in the order of their SYNs."""
    whole = [c for c in entry(name)["connections"]
             if c["syn"] and c.get("client_sha256") and not c.get("client_missing")
             and not c.get("client_not_shown")]
    return sorted(whole, key=lambda c: float(c["start"]))


def port_of(endpoint):
    return int(endpoint.rsplit(":", 1)[1])


def expected(name, users=None):
    """Counter of SHA-256 of client bytes at the server when `users` play (default: each once)."""
    sessions = playable(name)
    users = len(sessions) if users is None else users
    return collections.Counter(sessions[i % len(sessions)]["client_sha256"] for i in range(users))


def seen(connections):
    """The same of recorded connections."""
    return collections.Counter(c.sha256() for c in connections)


def difference(have, want, connections=()):
    """Words about two such counters."""
    out = []
    empty = hashlib.sha256(b"").hexdigest()
    for name, only in (("missing", want - have), ("too many", have - want)):
        for digest, n in sorted(only.items()):
            out.append("%s: %d x %s%s" % (name, n, digest[:16],
                                          " (no bytes)" if digest == empty else ""))
    extra = have - want
    for c in connections:
        if c.sha256() in extra:
            out.append("client port %d: sent %d, acknowledged %d, fin %s, rst %s, server rst %s"
                       % (c.client_port, len(c.stream()), c.acked, c.fin, c.client_rst,
                          c.server_rst))
    return "\n".join(out[:30])


class Recording:
    """A recorder on a host, as a context: .connections are there when it ends."""

    def __init__(self, l, host, *ports):
        self.lab, self.host, self.ports, self.connections = l, host, ports, []
        self.lost = None

    def __enter__(self):
        self.file = self.lab.dir / ("record-%d.pcap" % len(self.lab.processes))
        self.process = self.lab.start(self.host, sys.executable, lab.HERE / "recorder.py",
                                      self.file, ",".join(map(str, self.ports)), name="recorder")
        lab.wait_for("the recorder", lambda: "recording" in self.process.text())
        return self

    def __exit__(self, kind, error, trace):
        out = self.process.stop()
        if error:
            return
        if "lost 0" not in out:
            raise lab.LabError("the recorder lost packets: " + out)
        self.connections = recorder.connections(self.file, self.ports)
        self.file.unlink()


def judge(l, name, run, recording, want, failed_ok=False):
    """One test line about a replay: by the report all completed, by the server every byte came."""
    have = seen(recording.connections)
    conflicts = sum(c.conflict for c in recording.connections)
    good = (failed_ok or run.all_completed) and have == want and not conflicts
    words = run.words() + "\n" + difference(have, want, recording.connections)
    if conflicts:
        words += "\n%d connections retransmitted other bytes than before" % conflicts
    return l.ok(good, name, words)
