# SPDX-License-Identifier: BSD-2-Clause
"""What the programs of this folder share: figures with their goals, tables and JSON of them, whether a
figure got worse, and what /proc says of processes and of the machine. Importing it makes the modules
of tests/system importable. Standard library only."""
import contextlib
import json
import os
import pathlib
import platform
import statistics
import sys
import time

SRC = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(SRC / "tests" / "system"))
BASELINE = SRC / "bench" / "baseline.json"
SCHEMA = "tcpburn-bench/1"
LEAST_CHANGE = 0.03     # what is less is no change, however steady both figures are


def say(text):
    print(text, file=sys.stderr, flush=True)


def number(x):
    return "nothing" if x is None else "{:,.0f}".format(x) if abs(x) >= 1000 or x == int(x) \
        else "%.3g" % x


class Figure:
    """What was measured in every round of a workload, beside what others reached in the same rounds.

    The judged value of a round is the ratio of ours to that of `peer` (one of the others), without
    one it is ours. `most` and `least` are goals for the median of these, `better` is "more", "less"
    or None: a figure that is not compared with that of another day.
    """

    def __init__(self, name, ours, better=None, most=None, least=None, others=None, peer=None):
        self.name, self.ours, self.better = name, list(ours), better
        self.most, self.least = most, least
        self.others = {k: list(v) for k, v in (others or {}).items() if v}
        self.peer = peer if self.others.get(peer) else None
        self.has_goal = (most is not None or least is not None) and (self.peer or not peer)

    @property
    def judged(self):
        if not self.peer:
            return self.ours
        return [a / b for a, b in zip(self.ours, self.others[self.peer]) if b]

    @property
    def holds(self):
        if not self.has_goal:
            return True
        median = statistics.median(self.judged) if self.judged else None
        return median is not None and (self.most is None or median <= self.most) and \
            (self.least is None or median >= self.least)

    def json(self):
        out = {"name": self.name, "ours": self.ours, "better": self.better, "others": self.others}
        out |= {"peer": self.peer} if self.peer else {}
        if self.has_goal:
            goals = {"most": self.most, "least": self.least}
            out |= {"goal": {k: v for k, v in goals.items() if v is not None}, "holds": self.holds}
        return out

    @staticmethod
    def from_json(node):
        goal = node.get("goal", {})
        return Figure(node["name"], node["ours"], node["better"], goal.get("most"),
                      goal.get("least"), node["others"], node.get("peer"))

    def cells(self):
        """Name; ours; ratio; goal; others: of each the median, and in brackets the spread."""
        def spread(values):
            if len(values) < 2:
                return "".join(map(number, values)) or "nothing"
            return "%s (%s-%s)" % (number(statistics.median(values)), number(min(values)),
                                   number(max(values)))
        goal = " and ".join(sign + " " + number(x) for sign, x in
                            (("<=", self.most), (">=", self.least)) if x is not None)
        return (self.name, spread(self.ours), spread(self.judged) if self.peer else "",
                "%s %s" % (goal, "" if self.holds else "MISSED") if self.has_goal else "",
                ", ".join("%s %s" % (k, number(statistics.median(v)))
                          for k, v in self.others.items()))


def compare(before, after, better):
    """"same", "slower" or "faster": what lies within the spread of either is the same."""
    if not before or not after or better not in ("more", "less"):
        return "same"
    sign = 1 if better == "more" else -1
    old, new = [sign * x for x in before], [sign * x for x in after]
    a, b = statistics.median(old), statistics.median(new)
    if abs(a - b) <= LEAST_CHANGE * abs(a):
        return "same"
    if b < min(old) and a > max(new):
        return "slower"
    return "faster" if b > max(old) and a < min(new) else "same"


def table(results):
    """Of {workload: [Figure, …]}."""
    rows = [("", "", "ours (spread)", "ratio (spread)", "goal", "others")]
    for workload, figures in results.items():
        for figure in figures:
            rows.append((workload, *figure.cells()))
            workload = ""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(x.ljust(w) for x, w in zip(row, widths)).rstrip() for row in rows)


def read(path):
    """{workload: [Figure, …]} and the machine of a file; ValueError when it is none."""
    try:
        node = json.loads(pathlib.Path(path).read_text())
        if node["schema"] != SCHEMA:
            raise ValueError("its schema is %s" % node["schema"])
        return {k: [Figure.from_json(f) for f in v] for k, v in node["results"].items()}, \
            node["machine"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError("%s has no results of bench/run: %s" % (path, error)) from None


def write(path, results):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n ".join("%s: [\n   %s]" % (json.dumps(k), ",\n   ".join(
        json.dumps(rounded(f.json())) for f in v)) for k, v in results.items())
    path.write_text('{"schema": "%s",\n "machine": %s,\n "results": {\n %s}}\n'
                    % (SCHEMA, json.dumps(machine()), lines))


def rounded(node):
    """Four digits are more than any of these measurements has."""
    if isinstance(node, float):
        return float("%.4g" % node)
    if isinstance(node, dict):
        return {k: rounded(v) for k, v in node.items()}
    return [rounded(v) for v in node] if isinstance(node, list) else node


# --- what /proc says ------------------------------------------------------------------------------

def cpu_s(pid):
    """User and system time of a process, in seconds."""
    fields = pathlib.Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_bytes(pid, kind="VmRSS"):
    """0 where there is none. RssAnon: without files and capture rings."""
    return of_lines("/proc/%d/status" % pid, kind)


def available_bytes():
    """Memory that the machine could still give away."""
    return of_lines("/proc/meminfo", "MemAvailable")


def of_lines(path, kind):
    for line in pathlib.Path(path).read_text().splitlines():
        if line.startswith(kind + ":"):
            return int(line.split()[1]) * 1024
    return 0


# Limits of the whole machine, which no namespace has for itself, and what is enough of them.
LIMITS = {
    # sockets that their program has closed: beyond it, connections of others are reset, too
    "net/ipv4/tcp_max_orphans": 1 << 22,
    # packets that wait for a processor, as all between namespaces do: beyond it they are dropped
    "net/core/netdev_max_backlog": 100000,
    # pages of unread bytes, a page at least for each connection that has some: beyond the last one
    # connections are reset
    "net/ipv4/tcp_mem": (3000000, 3500000, 4000000),
}


@contextlib.contextmanager
def wide_limits():
    """While it lasts the machine's own limits do not stand in the way of a large run."""
    before = {}
    for name, enough in LIMITS.items():
        path = pathlib.Path("/proc/sys") / name
        values = enough if isinstance(enough, tuple) else (enough,)
        if path.exists() and int(path.read_text().split()[-1]) < values[-1]:
            before[path] = path.read_text()
            path.write_text(" ".join(map(str, values)))
    try:
        yield
    finally:
        for path, value in before.items():
            path.write_text(value)


def machine():
    model = [x.split(":", 1)[1].strip() for x in open("/proc/cpuinfo") if "model name" in x]
    return {"cpu": model[0] if model else platform.machine(), "cpus": os.cpu_count(),
            "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1),
            "kernel": platform.release(),
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
