#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""intercept as a process: what it refuses to start with, what it keeps of root's rights, signals,
log and pid file, the background, its figures, and what it looks at for --check."""
import os
import pathlib
import pwd
import signal
import subprocess

import channel
import lab

PROGRAM = lab.BUILD / "intercept"
SERVER, CLIENT = "198.18.0.2", "198.19.0.1"


def intercept(l, host, *options):
    return l.start(host, PROGRAM, *options, name="intercept", port=channel.PORT)


def run(host, *options, wrap=()):
    """One that is not to stay: exit status and words."""
    done = subprocess.run(host.argv(*wrap, PROGRAM, *options), capture_output=True, text=True,
                          timeout=lab.PATIENCE_S, check=False)
    return done.returncode, done.stdout + done.stderr


def refusals(l, host):
    def refused(name, rc, words, *options, wrap=()):
        seen, text = run(host, *options, wrap=wrap)
        l.ok(seen == rc and all(w in text for w in words), "refused, saying why: " + name,
             "exit status %s, expected %s and %s\n%s" % (seen, rc, words, text))

    refused("no such device", 3, ["nosuch0", "ip link"], "-i", "nosuch0")
    refused("no permission", 3, ["permission", "cap_net_raw"],
            wrap=["setpriv", "--bounding-set=-net_raw"])
    refused("an unknown option", 1, ["--devise", "--device"], "--devise", "lo")
    refused("a filter that is none", 1, ["-F", "syntax error"], "-F", "tcp and and")
    refused("a filter about the link layer", 1, ["-F", "IP header on"], "-F", "vlan 7")
    refused("no folder for the log", 1, ["/nowhere/log", "No such file"], "-l", "/nowhere/log")
    refused("no folder for the pid file", 1, ["/nowhere/pid"], "-P", "/nowhere/pid")
    refused("no such user", 1, ["--user nosuch"], "--user", "nosuch")
    refused("an address of somebody else", 3, ["198.18.0.77"], "-b", "198.18.0.77")
    refused("metrics on an address of somebody else", 3, ["--metrics", "198.18.0.77:9100"],
            "--metrics", "198.18.0.77:9100")
    refused("an empty key", 1, ["--psk-file"], "--psk-file", "/dev/null")
    rc, text = run(host, "--version")
    l.ok(rc == 0 and text.startswith("intercept "), "--version", text)


def status(pid):
    """/proc/PID/status of every thread."""
    return [dict(line.split(":\t", 1) for line in (t / "status").read_text().splitlines())
            for t in pathlib.Path("/proc/%d/task" % pid).iterdir()]


def privileges(l, host):
    p = intercept(l, host, "--threads", 2)
    nobody = str(pwd.getpwnam("nobody").pw_uid)
    lab.wait_for("the start to be over", lambda: all(
        t["Uid"].split()[0] == nobody for t in status(p.popen.pid)) and
        len(status(p.popen.pid)) == 3)
    threads = status(p.popen.pid)
    l.same({t["Uid"] for t in threads}, {"\t".join([nobody] * 4)}, "all threads are nobody's")
    l.ok(all(int(t[c], 16) == 0 for t in threads for c in ("CapEff", "CapPrm", "CapBnd", "CapInh")),
         "without any capability", threads)
    l.same({t["NoNewPrivs"] for t in threads}, {"1"}, "and can get none")
    built = (lab.BUILD / "config.log").read_text(errors="replace")[:2000]
    if "--enable-asan" in built or "--enable-tsan" in built:
        l.skip("with a filter of system calls", "sanitizers need more")
    else:
        lab.wait_for("the filter", lambda: {t["Seccomp"] for t in status(p.popen.pid)} == {"2"})
        l.ok(True, "with a filter of system calls")
    l.ok("psk-file" in p.text(), "a warning tells that the channel is open to all", p.text())
    p.stop()


def log_and_pid(l, host, folder):
    log, pid = folder / "log", folder / "pid"
    p = intercept(l, host, "-l", log, "-P", pid, "-i", "target", "-c", "-s", 65536)
    lab.wait_for("the pid file", lambda: pid.exists() and pid.read_text().strip())
    l.same(int(pid.read_text()), p.popen.pid, "the pid file holds its number")
    lab.wait_for("the log", lambda: "capturing on target" in log.read_text())
    l.ok("-s, --hash-size has no effect" in log.read_text(), "classic options are taken",
         log.read_text())
    log.rename(folder / "log.1")
    p.signal(signal.SIGHUP)
    lab.wait_for("a new log", lambda: log.exists() and "reopened" in log.read_text())
    client = channel.Client(host, "198.19.0.0/24")
    l.ok(lab.wait_for("the log", lambda: "client test" in log.read_text()),
         "SIGHUP reopens the log, in a folder of root's")
    p.signal(signal.SIGTERM)
    client.until(lambda: client.bye is not None)
    l.ok(client.bye, "SIGTERM says BYE to clients")
    l.same(p.wait(), 0, "and ends with 0")
    lab.wait_for("the pid file to go", lambda: not pid.exists())
    l.ok(True, "the pid file is gone")
    client.close()
    p = intercept(l, host, "-P", pid)
    lab.wait_for("the pid file", pid.exists)
    p.signal(signal.SIGKILL)
    p.wait()
    lab.wait_for("the pid file to go", lambda: not pid.exists())
    l.ok(True, "also after kill -9")


def background(l, host, folder):
    pid = folder / "pid"
    rc, text = run(host, "-d", "-l", folder / "daemon.log", "-P", pid)
    l.ok(rc == 0 and not text, "-d returns when it is ready", text)
    number = int(pid.read_text())
    try:
        client = channel.Client(host, "198.19.0.0/24")
        l.ok(client.refused is None, "and listens then")
        client.close()
        rc, text = run(host, "-d", "-P", folder / "other")
        l.ok(rc == 3 and "port" in text and "36524" in text,
             "-d ends with the exit status and words of a start that failed", (rc, text))
        l.same((int(pid.read_text()), (folder / "other").exists()), (number, False),
               "which leaves no pid file, and that of the first alone")
    finally:
        os.kill(number, signal.SIGTERM)
    lab.wait_for("the daemon to end", lambda: not pid.exists())


def figures(l, host, gun):
    p = intercept(l, host, "--metrics", "127.0.0.1:9100")
    client = channel.Client(host, "198.19.0.0/24")
    gun.fire(*(channel.segment(SERVER, CLIENT, seq=i) for i in range(10)))
    client.numbers(10)
    text = host.run("curl", "-sf", "http://127.0.0.1:9100/metrics")
    figure = {x.split()[0]: x.split()[1] for x in text.splitlines() if not x.startswith("#")}
    expected = {"intercept_packets_total": "10", "intercept_records_total": "10",
                "intercept_clients": "1", "intercept_connections": "1",
                'intercept_device_dropped_packets_total{device="target"}': "0"}
    l.same({k: figure.get(k) for k in expected}, expected, "figures for Prometheus")
    names = {x.split()[2] for x in text.splitlines() if x.startswith("# TYPE ")}
    l.same(names, {x.split("{")[0] for x in figure}, "each with its type")
    code = host.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:9100/")
    l.same(code, "404", "and nothing else there")
    line = lab.wait_for("a line of statistics", lambda: next(
        (x for x in p.text().splitlines() if "10 packets" in x), None))
    l.ok("10 passed on" in line, "and a line in the log", line)
    client.close()
    p.stop()


def watch(l, host, gun):
    p = intercept(l, host, "-i", "second", "-F", "tcp src port 80")
    client = channel.Client(host, flags=channel.WANT_WATCH)
    l.same((client.flags & 3, client.devices, client.filter), (0, "second", "tcp src port 80"),
           "WELCOME tells how the host is set up")
    client.send(channel.WATCH, channel.mapped(CLIENT))
    client.send(channel.PING, bytes(16))
    client.until(lambda: client.take() == channel.PONG)     # the watch has begun
    gun["target"].fire(channel.segment(SERVER, CLIENT, seq=1), channel.segment(SERVER, "198.19.0.2"))
    gun["second"].fire(channel.segment(SERVER, CLIENT, seq=2),
                       channel.segment(SERVER, CLIENT, seq=3, sport=81))
    client.until(lambda: len(client.seen) == 3)
    l.same(sorted((s["device"], s["sport"], s["flags"]) for s in client.seen),
           [("second", 80, channel.SEEN_CAPTURED), ("second", 81, 0), ("target", 80, 0)],
           "a watcher sees what is captured, what -F misses, and what comes by another device")
    l.same({(s["src"], s["dst"], s["dport"], s["proto"], s["tcp"]) for s in client.seen},
           {(SERVER, CLIENT, 40000, 6, 0x18)}, "nothing but packets of that client")
    client.close()
    p.stop()


def forwards(l, host, gun):
    host.sysctl("net.ipv4.ip_forward", 1)
    host.ip("route", "add", "198.19.0.0/16", "via", "198.18.1.2")
    p = intercept(l, host, "-i", "target")
    client = channel.Client(host, flags=channel.WANT_WATCH)
    l.same(client.flags & 3, 1, "WELCOME tells that the host forwards")
    client.send(channel.WATCH, channel.mapped(CLIENT))
    client.send(channel.PING, bytes(16))
    client.until(lambda: client.take() == channel.PONG)
    gun["target"].fire(channel.segment(SERVER, CLIENT))
    client.until(lambda: len(client.seen) == 2)
    l.same(sorted((s["device"], s["flags"]) for s in client.seen),
           [("second", channel.SEEN_OUTGOING), ("target", channel.SEEN_CAPTURED)],
           "and a watcher sees what is sent on")
    client.close()
    p.stop()


def main(l):
    assistant, target, second = l.host("assistant"), l.host("target"), l.host("second")
    l.cable(assistant, ["198.18.0.3/24"], target, [SERVER + "/24"])
    l.cable(assistant, ["198.18.1.3/24"], second, ["198.18.1.2/24"])
    for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
        assistant.sysctl(key, 0)
    folder = l.dir / "files"
    folder.mkdir(mode=0o755)
    gun = {h.role: channel.Gun(h, "assistant", assistant, h.role) for h in (target, second)}
    refusals(l, assistant)
    privileges(l, assistant)
    log_and_pid(l, assistant, folder)
    background(l, assistant, folder)
    figures(l, assistant, gun["target"])
    watch(l, assistant, gun)
    forwards(l, assistant, gun)


with lab.Test() as the_lab:
    main(the_lab)
