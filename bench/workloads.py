# SPDX-License-Identifier: BSD-2-Clause
"""The workloads of bench/run. Each is a method of Bench, a lab, and returns its figures (figures.py);
README.md says what they measure and how. WORKLOADS names them."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

from figures import Figure, cpu_s, memory_bytes, say
import captures
import channel
import lab
import three
import upload
import uploads

PORT = 80
URL = "http://%s:%d/" % (lab.TARGET, PORT)
TARGET_CPU, CLIENT_CPU = 0, 1       # the same for all contenders
LEAD_S = 1                          # of a run before, and after, what is measured
GO_ON = 5000000                     # more requests than ab makes in its time


class Bench(lab.Lab):
    """The hosts, the sink on one of them, and one measured run of a contender."""

    def __init__(self, rounds, seconds):
        super().__init__()
        self.rounds, self.seconds = rounds, seconds
        self.cpus = sorted(os.sched_getaffinity(0))

    def one_host(self):
        """Target and contender on one host."""
        self.target = self.client = self.host("bench", lab.TARGET + "/32")
        self.way, self.helpers = ["--tun"], []
        self.prepare_client()

    def three_hosts(self):
        """The contender on the test host, the target on another, intercept on a third."""
        three.build(self)
        self.client = self.test
        self.way = ["-s", three.ASSISTANT, "--pcap-send"]
        self.helpers = [three.intercept(self).popen.pid]
        self.prepare_client()

    def prepare_client(self):
        # wrk leaves its ports in TIME_WAIT; without these its next round finds none
        self.client.sysctl("net.ipv4.ip_local_port_range", "1024 65535")
        self.client.sysctl("net.ipv4.tcp_tw_reuse", 1)

    def pin(self, which, *argv):
        return ["taskset", "-c", self.cpus[which % len(self.cpus)], *argv]

    def new_sink(self, *options):
        sink = lab.Sink(self, self.target, PORT, *options)
        cpu = str(self.cpus[TARGET_CPU])
        self.command("taskset", "-acp", cpu, sink.popen.pid)
        for task in pathlib.Path("/proc/%d/task" % sink.popen.pid).glob("*/children"):
            for child in task.read_text().split():
                self.command("taskset", "-acp", cpu, child)
        return sink

    def tcpburn_argv(self, capture, *options):
        return [lab.BUILD / "tcpburn", "-x", "80-%s:%d" % (lab.TARGET, PORT), "-f",
                captures.path(capture), *self.way, "--workers", 1, *options]

    def measure(self, sink, connections, argv, helpers=()):
        """Run a contender: what the sink counted per second, and the CPU time of its processes."""
        first = sink.counters()
        p = lab.Process(self, self.client, self.pin(CLIENT_CPU, *argv), "contender")

        def cpu():
            return sum(cpu_s(pid) for pid in (p.popen.pid, *helpers))
        enough = min(connections, 100)

        def going():
            if not p.alive():
                raise lab.LabError("%s\n%s" % (" ".join(map(str, argv)), p.text()[-1500:]))
            return sink.counters()["accepted"] - first["accepted"] >= enough
        lab.wait_for("connections", going)
        time.sleep(LEAD_S)
        begin, begin_cpu = sink.counters(), cpu()
        time.sleep(self.seconds)
        end, end_cpu = sink.counters(), cpu()
        if not p.alive():
            raise lab.LabError("the run ended inside the measurement:\n" + p.text()[-1500:])
        p.wait(60)
        lab.wait_for("the target to be quiet", lambda: sink.counters()["open"] == 0)
        seconds = end["t_s"] - begin["t_s"]
        requests = end["requests"] - begin["requests"]
        return {"requests/s": requests / seconds,
                "sessions/s": (end["accepted"] - begin["accepted"]) / seconds,
                "us of CPU per request": (end_cpu - begin_cpu) / max(requests, 1) * 1e6}

    # --- against others -----------------------------------------------------------------------

    def contenders(self, capture, connections, keep_alive):
        """Command lines of those that are installed; ours comes first."""
        whole = self.seconds + 2 * LEAD_S
        out = {"tcpburn": self.tcpburn_argv(capture, "-u", connections, "-a", 0, "-i", 1000000,
                                            "--duration", whole, "--grace", 1)}
        if shutil.which("wrk"):
            out["wrk"] = ["wrk", "-t1", "-c%d" % connections, "-d%d" % whole,
                          *([] if keep_alive else ["-H", "Connection: close"]), URL]
        else:
            say("wrk is not installed (apt-get install wrk): no ratio to it")
        if shutil.which("ab") and connections <= 1000 and not self.helpers:
            out["ab"] = ["ab", "-q", "-t", whole, "-n", GO_ON, "-c", connections,
                         *(["-k"] if keep_alive else []), URL]
        return out

    def duel(self, capture, connections, least, keep_alive=True, most_cpu_us=None):
        """A B C A B C … against one sink."""
        sink, rate = self.new_sink(), "requests/s" if keep_alive else "sessions/s"
        cost = "us of CPU per request"
        argv = self.contenders(capture, connections, keep_alive)
        rounds = {name: [] for name in argv}
        for nth in range(self.rounds):
            for name in rounds:
                one = self.measure(sink, connections, argv[name],
                                   self.helpers if name == "tcpburn" else ())
                rounds[name].append(one)
                say("  %d/%d %-8s %9.0f %s  %6.2f %s"
                    % (nth + 1, self.rounds, name, one[rate], rate, one[cost], cost))
        sink.stop()

        def of(what):
            return {name: [r[what] for r in runs] for name, runs in rounds.items()}
        rates, costs = of(rate), of(cost)
        limit = self.blast()
        return [Figure(rate, rates.pop("tcpburn"), "more", least=least,
                       others=rates | {"blind frames": limit}, peer="wrk"),
                Figure(cost, costs.pop("tcpburn"), "less", most=most_cpu_us, others=costs)]

    def blast(self):
        """Frames per second that the machine takes when nobody reads what comes back."""
        program = lab.BUILD / "bench" / "blast"
        if not program.exists():
            return []
        out = subprocess.run(self.client.argv(*self.pin(CLIENT_CPU, program)), capture_output=True,
                             text=True, timeout=60, check=False)
        if out.returncode:
            say("bench/blast: " + out.stderr.strip())
            return []
        said = json.loads(out.stdout)
        return [said["packet_frames_per_s" if self.helpers else "tun_frames_per_s"]]

    def keep_alive(self):
        return self.duel("http-keepalive", 100, least=2.5)

    def keep_alive_many(self):
        return self.duel("http-keepalive", 10000, least=4)

    def short(self):
        return self.duel("http-short", 100, least=2, keep_alive=False)

    def keep_alive_three(self):
        return self.duel("http-keepalive", 100, least=1.3, most_cpu_us=8)

    def short_three(self):
        return self.duel("http-short", 100, least=None, keep_alive=False)

    # --- alone --------------------------------------------------------------------------------

    def timing(self):
        """1,000 users with captured think times: how far sends are from their schedule."""
        sink, rounds, users = self.new_sink(), [], 1000
        sessions = captures.playable("http-thinktime")
        planned = sum(sessions[i % len(sessions)]["requests"] for i in range(users))
        for nth in range(self.rounds):
            before = sink.counters()["requests"]
            path = self.report_path()
            p = lab.Process(self, self.target, self.pin(CLIENT_CPU, *self.tcpburn_argv(
                "http-thinktime", "-u", users, "-i", 500, "--report", path)), "tcpburn")
            p.wait(60)
            report = lab.read_json(path)
            if not report or sink.counters()["requests"] - before != planned:
                raise lab.LabError("not every request arrived:\n" + p.text()[-1500:])
            rounds.append(report["pacing_error_us"])
            say("  %d/%d pacing error p99 %g us" % (nth + 1, self.rounds, rounds[-1]["p99"]))
        sink.stop()
        return [Figure("pacing error %s, us" % k, [r[k] for r in rounds],
                       better="less" if k == "p50" else None, most=1000 if k == "p99" else None)
                for k in ("p50", "p99", "max")]

    def idle(self, sink, users):
        """RSS and CPU of a run whose users are all connected and have nothing left to do."""
        capture = "noend"
        before = sink.counters()
        answered = sum(c["requests"] for c in captures.playable(capture))
        p = lab.Process(self, self.target, self.pin(CLIENT_CPU, *self.tcpburn_argv(
            capture, "-u", users, "-a", 0, "-i", 5000, "--hold", 600)), "tcpburn")

        def idle_now():
            if not p.alive():
                raise lab.LabError("tcpburn ended:\n" + p.text()[-1500:])
            now = sink.counters()
            return now["open"] == users and \
                now["requests"] - before["requests"] >= users // 8 * answered
        lab.wait_for("%d idle users" % users, idle_now, 120)
        time.sleep(2)               # delayed acknowledgements, pools given back
        cpu = cpu_s(p.popen.pid)
        time.sleep(5)
        cpu = (cpu_s(p.popen.pid) - cpu) / 5
        rss = memory_bytes(p.popen.pid)
        p.signal(signal.SIGINT)
        p.wait(60)
        lab.wait_for("the end of all connections", lambda: sink.counters()["open"] == 0)
        return rss, cpu

    def hold(self):
        """Idle users: memory of each by the difference of two runs, CPU while nothing happens."""
        sink = self.new_sink("--procs", 16)     # 20,000 files per process
        few, many = 1000, 100000
        (small, _), (large, cpu) = self.idle(sink, few), self.idle(sink, many)
        sink.stop()
        return [Figure("bytes of memory per idle user", [(large - small) / (many - few)], "less",
                       most=128),
                Figure("%% of a core, %d idle users" % many, [cpu * 100], most=2)]

    def engine(self):
        """The engine without a kernel."""
        cost, memory, rates = {}, {}, {1: [], 2: []}

        def run(users, workers=1):
            p = subprocess.run(list(map(str, [
                lab.BUILD / "bench" / "engine", "-u", users, "--workers", workers, "--requests",
                max(users, 2000000)])), capture_output=True, text=True, check=False)
            said = {what: float(x) for x, what in re.findall(
                r"([\d.]+) (ns per packet|measured|bytes per idle|million packets)", p.stdout)}
            if p.returncode or "ns per packet" not in said:
                raise lab.LabError("bench/engine: " + p.stderr)
            say("  " + p.stdout.strip().replace("\n", "\n  "))
            return said
        for _ in range(self.rounds):
            for users in (10000, 100000, 10000000):
                said = run(users)
                cost.setdefault(users, []).append(said["ns per packet"])
                memory[users] = said["bytes per idle"]
                if users == 100000:
                    rates[1].append(1e3 / said["measured"])
            rates[2].append(run(100000, 2)["million packets"])
        most = {100000: 80, 10000000: 150}
        return [Figure("ns per packet, %s users" % "{:,}".format(n), cost[n], "less",
                       most=most.get(n)) for n in cost] + [
            Figure("the same, beside that of 10,000", cost[10000000], None, most=2,
                   others={"10,000 users": cost[10000]}, peer="10,000 users"),
            Figure("GB of memory, 10,000,000 users", [memory[10000000] / 100], "less", most=1.6),
            Figure("million packets/s, two workers", rates[2], "more", least=1.8,
                   others={"one": rates[1]}, peer="one")]

    def upload_by_kernel(self, near, capture, size):
        p = self.start(near, sys.executable, lab.HERE / "uploads.py", lab.TARGET, PORT, size,
                       name="reno")
        if p.wait(300) != 0:
            raise lab.LabError("the kernel's upload: " + p.text())

    def upload_by_tcpburn(self, near, capture, size):
        run = self.tcpburn(near, "-x", "80-%s:80" % lab.TARGET, "-f", capture, "-t", 300, "-s",
                           "local:wire", limit_s=300)
        if not run.all_completed:
            raise lab.LabError(run.words())

    def loss(self):
        """Goodput of an upload of 10 MB over 10 ms and 1 % loss each way (tests/system/slow_wire.py),
        in turn with the kernel's own Reno; the server's log is the oracle."""
        size, rates = 10000000, {self.upload_by_tcpburn: [], self.upload_by_kernel: []}
        near, wire, far = self.host("near"), self.host("wire"), self.host("far")
        upload.far_target(self, near, wire, far)
        capture = uploads.write_capture(self.dir / "upload.pcap", size)
        for nth in range(self.rounds):
            for play, seen in rates.items():
                server = upload.new_server(self, far, size)
                play(near, capture, size)
                server.stop()
                got = json.loads(server.jsonl.read_text())
                if got["rx_sha256"] != uploads.sha256(size):
                    raise lab.LabError("the server got other bytes: %s" % got)
                seen.append(size / 1e3 / (got["close"] - got["open"]))
                say("  %d/%d %s %.0f kB/s" % (nth + 1, self.rounds, play.__name__, seen[-1]))
        ours, kernel = rates.values()
        return [Figure("kB/s, 1 % loss", ours, "more", least=0.8, others={"the kernel's": kernel},
                       peer="the kernel's")]

    def mysql(self, users=1000):
        """Sysbench's prepared statements, 1,000 users, against a MySQL server that does nothing."""
        config = self.dir / "mysql.json"
        config.write_text(json.dumps({"mysql": {"default_password": "x", "check": "none"}}))
        capture = lab.SRC / "tests" / "captures" / "mysql" / "mysql-sysbench-mariadb.pcap.gz"
        rates, costs = [], []
        for nth in range(self.rounds):
            sink = MysqlSink(self, self.target)
            p = lab.Process(self, self.target, self.pin(CLIENT_CPU, *[
                lab.BUILD / "tcpburn", "-f", capture, "-x",
                "3306-%s:%d" % (lab.TARGET, sink.PORT), "--tun", "--module", "mysql.so",
                "--module-config", config, "-u", users, "-i", 20000, "-a", 0, "--workers", 1,
                "--duration", self.seconds + 2 * LEAD_S, "--grace", 0]), "tcpburn")
            lab.wait_for("the users", lambda: sink.counters()["logins"] >= users)
            time.sleep(LEAD_S)
            before, cpu = sink.counters(), cpu_s(p.popen.pid)
            time.sleep(self.seconds)
            after, cpu = sink.counters(), cpu_s(p.popen.pid) - cpu
            p.wait(60)
            sink.stop()
            n = after["requests"] - before["requests"]
            rates.append(n / (after["time_s"] - before["time_s"]))
            costs.append(cpu * 1e6 / n)
            say("  %d/%d %.0f commands/s, %.2f us of CPU each"
                % (nth + 1, self.rounds, rates[-1], costs[-1]))
        return [Figure("commands/s", rates, "more"),
                Figure("us of CPU per command", costs, "less", most=8)]

    # --- the channel --------------------------------------------------------------------------

    def offered(self):
        """Short sessions at a given rate: how many per second arrive, and that all do."""
        sink, rates, missing, users = self.new_sink("--procs", 4), [], [], 60000
        for _ in range(self.rounds):
            first = sink.counters()
            p = lab.Process(self, self.client, self.tcpburn_argv(
                "http-short", "-u", users, "-i", 20000, "-a", 0), "tcpburn")
            lab.wait_for("the first", lambda: sink.counters()["accepted"] > first["accepted"])
            begin = sink.counters()
            lab.wait_for("all sessions", lambda: not p.alive() or
                         sink.counters()["accepted"] - first["accepted"] >= users, 120)
            end = sink.counters()
            p.wait(60)
            missing.append(users - (sink.counters()["accepted"] - first["accepted"]))
            rates.append((end["accepted"] - begin["accepted"]) / (end["t_s"] - begin["t_s"]))
        sink.stop()
        return [Figure("sessions/s of 20,000 offered", rates, "more", least=15000),
                Figure("sessions missing", missing, most=0)]

    def delays_us(self, count):
        """From a packet's time stamp at the assistant until the other end of the channel has it."""
        seen, delays = channel.Client(self.test, "198.18.100.0/24", address=three.ASSISTANT), []
        for i in range(count):
            with channel.inside(self.target), socket.socket() as s:
                s.setblocking(False)
                s.connect_ex(("198.18.100.1", 1024 + i))
                seen.until(lambda: seen.records)
                delays.append(time.time() * 1e6 - seen.records[0].real_us)
            seen.records.clear()
            seen.send(channel.PING, bytes(16))      # who is silent is taken for dead
            time.sleep(0.004)
        seen.close()
        return delays

    def delay(self):
        """The channel's delay for one client while nothing happens, and while another is busy."""
        sink, out = self.new_sink(), []
        with contextlib.suppress(OSError):  # a reader that waits for a core measures itself
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        for name, most_us in (("idle", 100), ("at full load", 1000)):
            if name != "idle":
                p = lab.Process(self, self.client, self.pin(CLIENT_CPU, *self.tcpburn_argv(
                    "http-keepalive", "-u", 100, "-a", 0, "-i", 1000000, "--duration", 600,
                    "-c", "198.19.0.0/16")), "tcpburn")
                lab.wait_for("load", lambda: sink.counters()["open"] >= 50)
                time.sleep(LEAD_S)
            delays = self.delays_us(500)
            out += [Figure("median delay %s, us" % name, [statistics.median(delays)], most=most_us),
                    Figure("p99 delay %s, us" % name, [sorted(delays)[495]])]
        p.signal(signal.SIGINT)
        p.wait(60)
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        sink.stop()
        return out


class MysqlSink(lab.Sink):
    """bench/mysqlsink, asked as bench/sink is."""
    PORT = 3399

    def __init__(self, l, host):
        lab.Process.__init__(self, l, host, [lab.BUILD / "bench" / "mysqlsink", lab.TARGET,
                                             self.PORT], "mysqlsink")
        host.wait_listening(self.PORT)
        self.lines = 0


# Name: method, hosts it needs, whether it belongs to a run without names.
WORKLOADS = {
    "K": (Bench.keep_alive, Bench.one_host, True),
    "K10000": (Bench.keep_alive_many, Bench.one_host, True),
    "S": (Bench.short, Bench.one_host, True),
    "H": (Bench.hold, Bench.one_host, True),
    "E": (Bench.engine, None, True),
    "T": (Bench.timing, Bench.one_host, True),
    "L": (Bench.loss, None, True),
    "M": (Bench.mysql, Bench.one_host, True),
    "K3": (Bench.keep_alive_three, Bench.three_hosts, True),
    "S3": (Bench.short_three, Bench.three_hosts, True),
    "O3": (Bench.offered, Bench.three_hosts, False),
    "D3": (Bench.delay, Bench.three_hosts, False),
}


def run(name, rounds, seconds):
    """The figures of one workload."""
    method, hosts, _ = WORKLOADS[name]
    say("%s:" % name)
    with Bench(rounds, seconds) as bench:
        if hosts:
            hosts(bench)
        return method(bench)
