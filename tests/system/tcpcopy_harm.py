#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""tcpcopy must not harm: nothing ever goes to a live client but what the online server sends; live
clients notice no kill -9 of target, intercept and tcpcopy; memory and CPU stay within their limits;
what could not be seen whole is counted and never played wrong."""
import contextlib
import json
import os
import signal
import socket
import struct
import threading
import time

import captures
import four
import lab
import three

MB = 1 << 20

# At the client's device, where raw and packet sockets of the online host show, too. `strangers`:
# packets to live clients that are not of the online service.
AT_CLIENT = """
table netdev leaks {
    counter answers { }
    counter strangers { }
    chain in {
        type filter hook ingress device "eth0" priority 0
        ip daddr 198.18.200.0/24 ip saddr 198.18.0.1 tcp sport 80 counter name answers accept
        ip daddr 198.18.200.0/24 counter name strangers
        ip daddr 198.18.0.10 ip saddr 198.18.0.2 tcp sport 80 counter name strangers
        ip6 daddr fd00:20::/64 counter name strangers
    }
}
"""
# What the online host's own TCP sends to them (AF_PACKET does not come by here); and `strangers`:
# copies that do not go to the target.
AT_ONLINE = """
table inet own {
    counter answers { }
    counter strangers { }
    chain out {
        type filter hook output priority 0
        ip daddr 198.18.200.0/24 tcp sport 80 counter name answers
        fib saddr type != local ip daddr != 198.18.0.2 counter name strangers
    }
}
"""


def counted(host, name):
    listed = json.loads(host.run("nft", "-j", "list", "counters"))["nftables"]
    return next(x["counter"]["packets"] for x in listed
                if "counter" in x and x["counter"]["name"] == name)


def reset_close(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def load(l, first=10, pages=four.PAGES):
    four.curl(l, first, *pages, upload=l.upload)
    four.ab(l, first + 1, 100, 10)
    four.ab(l, first + 2, 100, 10, "-k")


# --- nothing leaks --------------------------------------------------------------------------------

def leak_is_seen(l):
    """The test's own eyes: a packet from elsewhere to a live client is counted."""
    four.lead_live_clients(l.target, four.CLIENT, four.CLIENT6)
    before = counted(l.client, "strangers")
    with four.channel.inside(l.target), socket.socket() as s:
        s.setblocking(False)
        s.connect_ex((four.live(1), 999))
        lab.wait_for("the stranger", lambda: counted(l.client, "strangers") > before)
    four.lead_live_clients(l.target, four.ASSISTANT, four.ASSISTANT6)


def nothing_leaks(l):
    for name, options in (("raw socket", []), ("link layer", ["--pcap-send"]), ("-n 2", ["-n", 2])):
        copy = four.Copy(l, *options)
        own, seen = counted(l.online, "answers"), counted(l.client, "answers")
        with captures.Recording(l, l.client, four.PORT) as client:
            with four.Compared(l, copy, "%s: copied" % name, times=2 if "-n" in options else 1):
                load(l, pages=["index.html", "page-100.html"])      # packets are counted: one each
                reset_close(four.connect(l, 20))
            own, seen = counted(l.online, "answers") - own, counted(l.client, "answers") - seen
        l.ok(own == seen > 0, "%s: clients get exactly the packets that the online host's TCP sent"
             % name, "sent %d, arrived %d" % (own, seen))
        odd = [c for c in client.connections if len(c.server_isns) > 1 or c.server_rst]
        l.ok(client.connections and not odd, "%s: one SYN-ACK and no reset for each" % name,
             "%d of %d" % (len(odd), len(client.connections)))
        no_strangers(l, name)
        four.clean(l, name, copy)


def no_strangers(l, name):
    l.same([counted(l.client, "strangers") - l.strangers, counted(l.online, "strangers")], [0, 0],
           "%s: no packet to a live client from elsewhere" % name)


def documented_route(l):
    """A client in the target's own network: the rule for the server's port leads it away, too."""
    l.target.ip("route", "add", "default", "via", four.ASSISTANT, "table", 80)
    l.target.ip("rule", "add", "from", four.TARGET, "ipproto", "tcp", "sport", 80, "lookup", 80,
                "pref", 80)
    copy = four.Copy(l)
    with four.Compared(l, copy, "a client in the target's network"):
        four.speak_as(l, 0)
        four.curl(l, 0, *four.PAGES)
        four.speak_as(l, 1)
        four.curl(l, 1, *four.PAGES)
    no_strangers(l, "a client in the target's network")
    four.clean(l, "a client in the target's network", copy)
    l.target.ip("rule", "del", "pref", 80)


# --- kill -9 --------------------------------------------------------------------------------------

def under_load(l, name, event):
    """event() while ab and wrk run: they see no failure."""
    speed = l.start(l.client, *four.wrk_argv(l, 10, 3))
    steady = four.Ab(l, 7, 6000, 10)
    lab.wait_for("load", lambda: four.unfinished(l.online, four.PORT) > 5)
    event()
    words = "not there"
    try:
        steady.end()
        speed.wait()
        words = speed.text()
        four.wrk_check(words)
        good = True
    except four.Failure as failure:
        good, words = False, failure
    l.ok(good, name + ": live clients notice nothing", words)


def recovers(l, copy, name):
    copy.settle()
    with four.Compared(l, copy, name + ": what comes afterwards is copied again",
                       late_ones=True):
        load(l)
    l.ok(copy.process.alive(), name + ": tcpcopy lives", copy.process.text()[-1500:])


def target_killed(l):
    copy = four.Copy(l)
    stays = four.connect(l, 8)
    four.get(stays)

    def event():
        l.target_server.kill()
        time.sleep(0.5)     # the time it is away is what is tested
        l.target_server = l.nginx(l.target, four.PORT)
    under_load(l, "kill -9 of the target's server", event)
    four.get(stays, "page-500.html")
    arrived = False
    with contextlib.suppress(lab.LabError):
        arrived = lab.wait_for("it", lambda: "page-500.html" in l.target_server.access_log.read_text())
    l.ok(arrived, "kill -9 of the target's server: a keep-alive session goes on with its next request",
         copy.process.text()[-1500:])
    stays.close()
    recovers(l, copy, "kill -9 of the target's server")

    def silence():
        link(l, "down")
        time.sleep(0.5)
        link(l, "up")
    under_load(l, "the target's host falls silent", silence)
    copy.wait_ready()
    recovers(l, copy, "the target's host falls silent")
    four.clean(l, "dying targets", copy, failed_ok=True)


def link(l, state):
    l.switch.ip("link", "set", "target", state)


def intercept_killed(l):
    copy = four.Copy(l)

    def event():
        l.intercept.kill()
        time.sleep(0.5)
        l.intercept = three.intercept(l)
    under_load(l, "kill -9 of intercept", event)
    copy.wait_ready()
    recovers(l, copy, "kill -9 of intercept")
    four.clean(l, "kill -9 of intercept", copy, failed_ok=True)


def tcpcopy_killed(l):
    copy = four.Copy(l)
    under_load(l, "kill -9 of tcpcopy", copy.kill)
    copy = four.Copy(l)
    with four.Compared(l, copy, "kill -9 of tcpcopy: the next one copies the same clients"):
        load(l, 7)
    four.clean(l, "after kill -9 of tcpcopy", copy)


# --- limits ---------------------------------------------------------------------------------------

class Highest:
    """The largest RSS of a process while the context lasts."""

    def __init__(self, pid):
        self.pid, self.over, self.bytes = pid, threading.Event(), 0
        self.thread = threading.Thread(target=self.look)

    def look(self):
        while not self.over.wait(0.02):
            self.bytes = max(self.bytes, four.rss_bytes(self.pid))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def memory(l, limit_mb=8):
    """Sessions that cannot be played are given up before memory goes beyond -m."""
    copy = four.Copy(l, "-m", limit_mb)
    l.ok(os.getpriority(os.PRIO_PROCESS, copy.pid) > 0, "it runs with low priority")
    idle = four.rss_bytes(copy.pid)
    for name, off, on in (("a dead target", lambda: link(l, "down"), lambda: link(l, "up")),
                          ("a target that stalls", lambda: stall(l, signal.SIGSTOP),
                           lambda: stall(l, signal.SIGCONT))):
        off()
        with Highest(copy.pid) as highest:
            uploads(l, 31, 100)     # 30 MB
            four.ab(l, 32, 1000, 20)
        on()
        l.ok(highest.bytes - idle < (limit_mb * 1.25 + 2) * MB, "-m: %s costs no more memory" % name,
             "%d KB more than idle" % ((highest.bytes - idle) >> 10))
        copy.wait_ready()
        recovers(l, copy, "-m: " + name)
    run = four.clean(l, "-m", copy, failed_ok=True)
    l.ok(run.figure("live", "sessions", "shed", "memory"), "-m: what is given up is counted",
         run.words())


def stall(l, number):
    os.killpg(l.target_server.popen.pid, number)


def uploads(l, n, times):
    four.ab(l, n, times, 5, "-u", l.upload, page="dav/up-%d" % n)


def cpu_ceiling(l):
    """--max-cpu: whole sessions are left out, and counted."""
    copy = four.Copy(l)
    free = cpu_percent(l, copy)
    copy.settle()
    four.clean(l, "without --max-cpu", copy)
    percent = max(2, int(free * 0.65))      # looking at packets alone takes less than half
    copy = four.Copy(l, "--max-cpu", percent)
    with four.Compared(l, copy, "--max-cpu: what is played is whole",
                       check=lambda have, want: have and not have - want) as it:
        cpu_percent(l, copy)    # until the share has come down
        used = cpu_percent(l, copy)
    l.ok(used < percent * 1.2 + 1, "--max-cpu: is kept",
         "%.1f %%, allowed %d %%, without %.1f %%" % (used, percent, free))
    run = four.clean(l, "--max-cpu", copy, failed_ok=True)
    left_out = sum(it.online.values()) - sum(it.target.values())
    l.ok(left_out > 0 and run.figure("live", "sessions", "shed", "cpu") == left_out,
         "--max-cpu: what is left out is counted", "%d\n%s" % (left_out, run.words()))


def cpu_percent(l, copy):
    """What tcpcopy takes of a core while there is load."""
    cpu, begin = cpu_s(copy.pid), time.monotonic()
    four.ab(l, 33, 8000, 20)
    return (cpu_s(copy.pid) - cpu) / (time.monotonic() - begin) * 100


def cpu_s(pid):
    fields = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- what was not seen whole ----------------------------------------------------------------------

def midstream(l):
    old = [four.connect(l, 40 + i) for i in range(5)]
    for s in old:
        four.get(s)
    copy = four.Copy(l)
    with four.Compared(l, copy, "sessions that were open at the start are not played"):
        for s in old:
            four.get(s)
        load(l)
        for s in old:
            four.get(s)
            s.close()
    run = four.clean(l, "mid-stream", copy)
    l.same(run.figure("live", "sessions", "mid_stream"), len(old), "they are counted", run.words())


def same_port(l):
    """One client's address and port, used again and again, closed from either side."""
    copy = four.Copy(l)
    with four.Compared(l, copy, "a port that is used again at once"):
        for nth in range(20):
            s = four.connect(l, 45, 25000)
            four.get(s, extra="Connection: close\r\n" if nth % 2 else "")
            if nth % 2 == 0:
                reset_close(s)
            else:
                while s.recv(4096):     # else the port would stay in TIME-WAIT here
                    pass
                s.close()
    four.clean(l, "port reuse", copy)


EVERY_OTHER_SYN = """
table inet loss {
    chain in {
        type filter hook input priority 0
        ip saddr 198.18.200.0/24 tcp flags == syn numgen inc mod 2 == 0 drop
    }
}
"""


def bad_network(l):
    """Live clients that have to send again."""
    copy = four.Copy(l)
    with four.Compared(l, copy, "SYNs that are sent again"):
        l.online.run("nft", "-f", "-", input=EVERY_OTHER_SYN)
        four.ab(l, 46, 20, 10)
        l.online.run("nft", "delete", "table", "inet", "loss")
    with four.Compared(l, copy, "2 % loss between the live clients and the online host"):
        l.online.lose(2)
        four.curl(l, 47, *four.PAGES, upload=l.upload)
        four.ab(l, 48, 60, 20)
        l.online.lose(0)
    four.clean(l, "bad network", copy)


def prefixes(live, played):
    """Sessions at the target that are not the beginning of their live session."""
    beginnings, wrong = four.streams(live, four.ONLINE), []
    for key, streams in four.streams(played, four.TARGET).items():
        for stream in streams:
            if not any(x.startswith(stream) for x in beginnings.get(key, ())):
                wrong.append("%s: %d bytes" % (key, len(stream)))
    return wrong


@contextlib.contextmanager
def asleep(l, copy):
    """tcpcopy does not read, and more passes by than its ring takes."""
    copy.process.signal(signal.SIGSTOP)
    uploads(l, 50, 15)
    yield
    copy.process.signal(signal.SIGCONT)


def holes(l):
    """The capture loses packets: those sessions end, and no wrong byte is sent."""
    copy = four.Copy(l, "--pcap-capture", "-i", "eth0", "-B", 1, "-k", 2)
    run = blind_spot(l, copy, "a ring that runs over", asleep(l, copy))
    l.ok(run.figure("live", "kernel_drops"), "the packets that were lost are counted", run.words())
    with four.mirror(l, percent=97):
        copy = four.Copy(l, "--pcap-capture", "-i", "eth1", "-k", 2, host=l.mirror)
        run = blind_spot(l, copy, "a mirror that loses 3 %", contextlib.nullcontext())
        l.ok(run.figure("live", "sessions", "capture_hole"), "the holes are counted", run.words())


def blind_spot(l, copy, name, blindness):
    body = b"x" * 200000
    put = b"PUT /dav/hole HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with captures.Recording(l, l.online, four.PORT) as live, \
            captures.Recording(l, l.target, four.PORT) as played:
        opened = [four.connect(l, 51 + i) for i in range(5)]
        for s in opened:
            four.get(s)
        with blindness:
            for s in opened:
                s.sendall(put)
                four.response(s)
        for s in opened:
            four.get(s)
            s.close()
        uploads(l, 60, 20)
        copy.settle()
        time.sleep(0.5)     # sessions with a hole wait for its bytes: let them end
        copy.settle()
    wrong = prefixes(live, played)
    l.ok(played.connections and not wrong, name + ": no wrong byte at the target",
         "\n".join(wrong[:20]))
    run = copy.finish()
    seen = run.figure("live", "sessions")
    l.ok(seen["capture_hole"] or seen["shed"]["cpu"], name + ": what became of them is counted",
         run.words())
    return run


PASSED = """
table inet piled {
    counter passed {}
    chain in { type filter hook input priority 0
        tcp dport 80 counter name passed
    }
    chain out { type filter hook output priority 0
        tcp sport 80 counter name passed
    }
}
"""


def at_rest(l):
    """Until copies have come to the target, and none for half a second."""
    seen, since = 0, time.monotonic()

    def rests():
        nonlocal seen, since
        now = counted(l.target, "passed")
        if now != seen:
            seen, since = now, time.monotonic()
        return seen and time.monotonic() - since > 0.5
    lab.wait_for("the target to be at rest", rests)


def piled_up(l):
    """More passes by than is copied in time: some sessions are given up, the others are whole."""
    slots = (1 << 20) // 2048       # of -B 1
    copy = four.Copy(l, "--pcap-capture", "-i", "eth0", "-B", 1)
    with captures.Recording(l, l.online, four.PORT) as live, \
            captures.Recording(l, l.target, four.PORT) as played:
        # Their ports, too: which clients are given up is a matter of both.
        opened = [four.connect(l, 70 + i, 25100 + i) for i in range(20)]
        for s in opened:
            four.get(s)
        lab.wait_for("their copies", lambda: four.unfinished(l.target, four.PORT) >= len(opened))
        l.online.run("nft", "-f", "-", input=PASSED)
        copy.process.signal(signal.SIGSTOP)
        while counted(l.online, "passed") < slots * 13 // 16:
            for s in opened[::2]:
                four.get(s)
        l.target.run("nft", "-f", "-", input=PASSED)
        copy.process.signal(signal.SIGCONT)
        at_rest(l)      # what had piled up is read: there is room for the rest
        for s in opened:
            four.get(s)
            s.close()
        copy.settle()
    for host in (l.online, l.target):
        host.run("nft", "delete", "table", "inet", "piled")
    wrong = prefixes(live, played)
    l.ok(not wrong, "a ring that fills up: no wrong byte at the target", "\n".join(wrong[:20]))
    run = copy.finish()
    shed = run.figure("live", "sessions", "shed", "cpu")
    whole = four.sessions(live, four.ONLINE) & four.sessions(played, four.TARGET)
    l.ok(shed and run.figure("sessions", "failed") == 0, "some sessions are given up", run.words())
    l.ok(sum(whole.values()) == len(opened) - shed and shed < len(opened), "the others are whole",
         "%d whole, %s given up\n%s" % (sum(whole.values()), shed, run.words()))
    l.same(run.figure("live", "kernel_drops"), 0, "nothing was missed", run.words())


def main(l):
    four.build(l)
    l.mirror = four.mirror_host(l)
    l.upload = l.dir / "upload"
    l.upload.write_bytes(os.urandom(300000))
    l.nginx(l.online, four.PORT)
    l.target_server = l.nginx(l.target, four.PORT)
    l.intercept = three.intercept(l)
    l.client.run("nft", "-f", "-", input=AT_CLIENT)
    l.online.run("nft", "-f", "-", input=AT_ONLINE)
    leak_is_seen(l)
    l.strangers = counted(l.client, "strangers")
    four.run_parts(l, nothing_leaks, documented_route, target_killed, intercept_killed, tcpcopy_killed, memory,
                   cpu_ceiling, midstream, same_port, bad_network, holes, piled_up)
    no_strangers(l, "in all of these tests")


with lab.Test() as the_lab:
    main(the_lab)
