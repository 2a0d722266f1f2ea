#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""--check and --check-target in the three-host lab: each wrong set-up, made on purpose, is named by
the host that can know it, and set-ups that work are called so, whatever they look like."""
import contextlib
import os
import re
import subprocess

import captures
import lab
import three

CLIENTS, CLIENTS6 = three.CLIENTS[0], three.CLIENTS6[0]
OWNER, OWNER6 = "198.18.0.4", "fd00:18::4"   # one more host on the switch
TO = "80-%s:80" % three.TARGET
TO6 = "80-[%s]:80" % three.TARGET6
LINE = ["tcpburn", "--check-target", "-c", CLIENTS, "-s", three.ASSISTANT]
BURN = str(lab.BUILD / "tcpburn")


class Result:
    """What a check said."""

    def __init__(self, done):
        self.rc, self.text = done.returncode, done.stdout + done.stderr

    @property
    def wrong(self):
        return [x for x in self.text.splitlines() if x.startswith("WRONG")]

    def line_for_target(self):
        """The command that it prints for the target, split."""
        found = re.search(r"^\s*(tcpburn --check-target .*)$", self.text, re.M)
        return found.group(1).split() if found else None


def check(l, *options, to=TO, assistant=three.ASSISTANT):
    argv = l.test.argv(BURN, "--check", "-x", to, "-s", assistant, *options)
    return Result(subprocess.run(argv, capture_output=True, text=True, check=False,
                                 timeout=lab.PATIENCE_S, stdin=subprocess.DEVNULL))


def check_both(l, line, *options, **kw):
    """--check-target with the printed line, and --check while it watches."""
    argv = l.target.argv(BURN, *line[1:])
    p = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        first = p.stdout.readline()
        here = check(l, *options, **kw) if first.startswith("watching") else None
        rest = p.stdout.read()
        p.wait(lab.PATIENCE_S)
    finally:
        p.kill()
        p.wait()
    return here, Result(subprocess.CompletedProcess(argv, p.returncode, first + rest, ""))


@contextlib.contextmanager
def changed(*steps):
    """Each step: host, command that makes it wrong, command that mends it."""
    for host, do, _ in steps:
        host.run("sh", "-ec", do)
    try:
        yield
    finally:
        for host, _, undo in reversed(steps):
            if undo:
                host.run("sh", "-ec", undo)


@contextlib.contextmanager
def running(l, *options, **kw):
    p = three.intercept(l, *options, **kw)
    try:
        yield p
    finally:
        p.stop()


def works(l, title, *options, **kw):
    seen = check(l, *options, **kw)
    l.ok(seen.rc == 0 and not seen.wrong and "handshake from" in seen.text,
         "works: " + title, seen.text)
    return seen


def named_here(l, title, words, *options, **kw):
    """--check alone knows it, and calls nothing else wrong."""
    seen = check(l, *options, **kw)
    l.ok(seen.rc == 3 and len(seen.wrong) == 1 and all(re.search(w, seen.wrong[0]) for w in words),
         "named by --check: " + title, "expected %s\n%s" % (words, seen.text))
    return seen


def named_there(l, title, words, *options, to=TO, clients=CLIENTS):
    """--check does not know, says so, and prints the line; --check-target knows."""
    line = "tcpburn --check-target -c %s -s %s -x %s" % (clients, three.ASSISTANT, to)
    seen, there = check_both(l, line.split(), *options, to=to)
    seen = seen or check(l, *options, to=to)
    l.ok(seen.rc == 3 and seen.line_for_target() == line.split() and len(seen.wrong) == 1
         and seen.text.count("possible:") == 3, "not guessed by --check: " + title, seen.text)
    l.ok(there.rc == 3 and len(there.wrong) == 1
         and all(re.search(w, there.wrong[0]) for w in words),
         "named by --check-target: " + title, "expected %s\n%s" % (words, there.text))
    return there


def nft(rules):
    """As a shell command."""
    return "nft '%s'" % rules


FLUSH = "nft flush ruleset"


def set_ups_that_work(l):
    with running(l):
        seen = works(l, "as it should be")
        l.ok("GRO" not in seen.text and "forwards" not in seen.text, "works: without remarks",
             seen.text)
        works(l, "IPv6", to=TO6)
        works(l, "IPv6 assistant, two targets", to=TO + ",81-[%s]:80" % three.TARGET6,
              assistant=three.ASSISTANT6)
        works(l, "sent at the link layer", "--pcap-send")
        here, there = check_both(l, LINE)
        l.ok(here.rc == 0 and there.rc == 0 and not there.wrong and "complete" in there.text,
             "works: --check-target says so, too", there.text)
        with changed((l.target, "sysctl -qw net.ipv4.conf.all.rp_filter=2",
                      "sysctl -qw net.ipv4.conf.all.rp_filter=0")):
            works(l, "rp_filter=2 on the target")
        with changed((l.target, "sysctl -qw net.ipv4.conf.all.rp_filter=1",
                      "sysctl -qw net.ipv4.conf.all.rp_filter=0")):
            works(l, "rp_filter=1 where both ways are one")
        with changed((l.target, nft("add table inet f; add chain inet f i { type filter hook "
                                    "input priority 0; policy drop; }; add rule inet f i tcp "
                                    "dport 80 accept; add rule inet f i ct state established "
                                    "accept; add rule inet f i meta l4proto { icmp, ipv6-icmp } "
                                    "accept"), FLUSH)):
            works(l, "a firewall that lets the port through")
        via_gateway(l)
        while_a_run_is_going_on(l)
    with changed((l.assistant, "sysctl -qw net.ipv4.ip_forward=1; ip route add blackhole "
                  + CLIENTS, "sysctl -qw net.ipv4.ip_forward=0; ip route del blackhole "
                  + CLIENTS)), running(l):
        works(l, "an assistant that forwards, but not the client addresses")
    with running(l, "-F", "tcp and src port 80"):
        works(l, "a filter that lets the answers pass")
    on_a_bridge(l)
    key = l.dir / "key"
    key.write_text("5a" * 32 + "\n")
    key.chmod(0o600)
    with running(l, "--psk-file", key):
        works(l, "with a key", "--psk-file", key)
        named_here(l, "a key is missing", ["psk-file"])
        key2 = l.dir / "key2"
        key2.write_text("a5" * 32 + "\n")
        key2.chmod(0o600)
        named_here(l, "a wrong key", ["key"], "--psk-file", key2)
    with running(l), running(l, port=36525):
        works(l, "two intercepts", assistant="%s,%s:36525" % (three.ASSISTANT, three.ASSISTANT))


def via_gateway(l):
    """The target sends everything to a router, which has the route to the assistant."""
    with changed((l.owner, "sysctl -qw net.ipv4.ip_forward=1; ip route add %s via %s"
                  % (CLIENTS, three.ASSISTANT), "sysctl -qw net.ipv4.ip_forward=0; "
                  "ip route flush root " + CLIENTS),
                 (l.target, "ip route del %s; ip route add default via %s" % (CLIENTS, OWNER),
                  "ip route del default; ip route flush cache; ip route add %s via %s"
                  % (CLIENTS, three.ASSISTANT))):
        works(l, "through a gateway")
        _, there = check_both(l, LINE)
        l.ok(there.rc == 0 and not there.wrong, "works: --check-target does not mind the gateway",
             there.text)


def while_a_run_is_going_on(l):
    p = l.tcpburn_start(l.test, "-x", TO, "-s", three.ASSISTANT, "-f",
                        captures.path("http-keepalive"), "-u", 20, "--duration", 60)
    lab.wait_for("sessions", lambda: l.target.sockets("established", 80) > 0)
    seen = check(l)
    l.ok(seen.rc == 0 and not seen.wrong, "works: while a run uses the addresses", seen.text)
    p.kill()


def on_a_bridge(l):
    with changed((l.assistant, "ip addr del %s/24 dev eth0; ip link add br0 type bridge; "
                  "ip link set eth0 master br0; ip link set br0 up; ip addr add %s/24 dev br0"
                  % (three.ASSISTANT, three.ASSISTANT), "ip link del br0; ip addr add %s/24 dev "
                  "eth0" % three.ASSISTANT)):
        for device in ("br0", "eth0"):
            with running(l, device=device):
                works(l, "assistant on a bridge, captured on " + device)


def between_the_hosts(l):
    with running(l):
        with changed((l.switch, nft("add table bridge f; add chain bridge f c { type filter hook "
                                    "forward priority 0; }; add rule bridge f c ip saddr %s drop"
                                    % CLIENTS), FLUSH)):
            named_there(l, "anti-spoofing in between", ["nothing from the client addresses",
                                                        "anti-spoofing"])
        with changed((l.test, "ip route add %s/32 via %s" % (three.TARGET, OWNER),
                      "ip route del %s/32" % three.TARGET),
                     (l.owner, "sysctl -qw net.ipv4.ip_forward=1 "
                      "net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.eth0.send_redirects=0; "
                      + nft("add table inet f; add chain inet f c { type filter hook forward "
                            "priority 0; }; add rule inet f c ct state invalid drop"),
                      "sysctl -qw net.ipv4.ip_forward=0; " + FLUSH)):
            named_here(l, "a stateful firewall in between", ["conntrack", "one direction"])
            _, there = check_both(l, LINE)
            l.ok(there.rc == 3 and any("conntrack" in w for w in there.wrong),
                 "named by --check-target: a stateful firewall in between", there.text)
        with changed((l.test, nft("add table inet f; add chain inet f c { type filter hook output "
                                  "priority 0; }; add rule inet f c ct state invalid drop"),
                      FLUSH)):
            seen = named_here(l, "conntrack of the test host", ["this host's own packet filter",
                                                                "conntrack"])
            mends(l, l.test, seen)
        with changed((l.test, nft("add table ip n; add chain ip n p { type nat hook postrouting "
                                  "priority 100; }; add rule ip n p oifname eth0 masquerade"),
                      FLUSH)):
            seen = named_here(l, "the test host masquerades", ["rewrites client addresses"])
            works(l, "masquerading is passed by at the link layer", "--pcap-send")
            mends(l, l.test, seen)


def mends(l, host, seen):
    """The command that the finding names makes it work."""
    lines = seen.text.splitlines()
    at = next(i for i, x in enumerate(lines) if x.startswith("WRONG"))
    command = re.sub(r"\s+\(on .*\)$", "", lines[at + 1].strip().replace("sudo ", ""))
    host.run("sh", "-ec", command)
    again = check(l)
    l.ok(again.rc == 0 and not again.wrong, "its command mends it: " + command, again.text)


def on_the_target(l):
    drop = ("add table inet f; add chain inet f i { type filter hook input priority 0; }; "
            "add rule inet f i %s saddr %s %s")
    with running(l):
        rules = (("firewall", "drop"), ("firewall with counters", "counter drop"))
        for title, rule in rules if three.ALL else rules[1:]:
            with changed((l.target, nft(drop % ("ip", CLIENTS, rule)), FLUSH)):
                named_there(l, title, ["packet filter", "drop"])
        with changed((l.target, nft(drop % ("ip6", CLIENTS6, "drop")), FLUSH)):
            named_there(l, "firewall, IPv6", ["packet filter", "ip6"], to=TO6,
                        clients="fd00:19::/96")
        with changed((l.target, nft(drop % ("ip", CLIENTS, "reject")), FLUSH)):
            named_here(l, "firewall that rejects", ["ICMP error", "firewall"])
        with changed((l.target, nft(drop % ("ip", CLIENTS, "tcp dport 80 reject with tcp reset")),
                      FLUSH)):
            named_here(l, "firewall that resets", ["resets", "firewall"])
        with changed((l.target, "ip link add eth1 type veth peer name eth2; ip link set eth2 up; "
                      "ip link set eth1 up; "
                      "ip addr add 198.18.1.2/24 dev eth1; ip route replace %s via 198.18.1.3; "
                      "sysctl -qw net.ipv4.conf.eth0.rp_filter=1" % CLIENTS,
                      "sysctl -qw net.ipv4.conf.eth0.rp_filter=0 net.ipv4.conf.all.rp_filter=0; "
                      "ip link del eth1; ip route replace %s via %s"
                      % (CLIENTS, three.ASSISTANT))):
            named_there(l, "reverse-path filtering", ["rp_filter=1 on eth0", "eth1"])
        no_way_back(l)


def no_way_back(l):
    with changed((l.target, "ip route del " + CLIENTS, "ip route replace %s via %s"
                  % (CLIENTS, three.ASSISTANT))):
        there = named_there(l, "no route", ["no route for the client addresses"])
        l.ok(there and "ip route replace %s via %s" % (CLIENTS, three.ASSISTANT) in there.text,
             "the route is spelled out", there and there.text)
    if three.ALL:
        with changed((l.target, "ip -6 route del " + CLIENTS6, "ip -6 route replace %s via %s"
                      % (CLIENTS6, three.ASSISTANT6))):
            named_there(l, "no route, IPv6", ["no route for the client addresses"], to=TO6,
                        clients="fd00:19::/96")
    with changed((l.target, "ip route replace %s via %s" % (CLIENTS, OWNER),
                  "ip route replace %s via %s" % (CLIENTS, three.ASSISTANT))):
        named_there(l, "a route to somebody else", ["not by way of the assistant", OWNER])
    with changed((l.target, "ip route replace %s via %s" % (CLIENTS, three.TEST),
                  "ip route replace %s via %s" % (CLIENTS, three.ASSISTANT))):
        seen = named_here(l, "a route to the test host", ["to this host", "not to the assistant"])
        mends(l, l.target, seen)
    owned = "198.18.100.0/24"
    with changed((l.owner, "ip addr add 198.18.100.1/32 dev eth0; "
                  "ip addr add 198.18.100.254/32 dev eth0",
                  "ip addr del 198.18.100.1/32 dev eth0; ip addr del 198.18.100.254/32 dev eth0"),
                 (l.target, "ip route replace %s via %s" % (owned, OWNER),
                  "ip route replace %s via %s" % (owned, three.ASSISTANT))):
        named_there(l, "real owner of the addresses", ["owns the client address", "resets"],
                    "-c", owned, clients=owned)


def on_the_assistant(l):
    forward = "sysctl -qw net.ipv4.ip_forward=%d"
    forget = (l.target, "true", "ip route flush cache")     # what redirects made it believe
    with changed(forget, (l.assistant, forward % 1, forward % 0)), running(l):
        named_here(l, "it forwards, and has no route", ["forwards"])
    with changed(forget, (l.assistant, forward % 1 + "; ip route add default via " + three.TEST,
                          forward % 0 + "; ip route del default")), running(l):
        seen = named_here(l, "it forwards", ["forwards", "net.ipv4.ip_forward must be 0"])
        mends(l, l.assistant, seen)
    with changed((l.assistant, "sysctl -qw net.ipv6.conf.all.forwarding=1; ip -6 route add "
                  "default via " + three.TEST6, "sysctl -qw net.ipv6.conf.all.forwarding=0; "
                  "ip -6 route del default")), running(l):
        named_here(l, "it forwards IPv6", ["forwards", "net.ipv6.conf.all.forwarding"], to=TO6)
    with running(l, "-F", "src port 81"):
        seen = named_here(l, "the filter of intercept", ["filter of intercept", "src port 81"])
        l.ok("-F 'src host %s and tcp src port 80'" % three.TARGET in seen.text,
             "a filter that fits is spelled out", seen.text)
    three.plug(l, l.assistant, l.switch, "198.18.1.3/24", device="eth1")
    with running(l, device="eth1"):
        named_here(l, "the device of intercept", ["on its device eth0", "captures on eth1"])
    named_here(l, "no intercept runs", ["no intercept listens"])
    with running(l, "--allow", "198.18.0.77"):
        named_here(l, "not allowed", ["--allow"])
    l.assistant.ip("link", "set", "eth0", "down")
    named_here(l, "the assistant is down", ["cannot be reached"])
    l.assistant.ip("link", "set", "eth0", "up")


def live_clients(l):
    """tcpcopy without -c: the target sees live clients under their own addresses."""
    def copy_check():
        argv = l.test.argv(lab.BUILD / "tcpcopy", "--check", "-x", TO, "-s", three.ASSISTANT)
        return Result(subprocess.run([str(a) for a in argv], capture_output=True, text=True,
                                     check=False, timeout=lab.PATIENCE_S))
    route = "ip route replace default via %s"
    with running(l):
        seen = copy_check()
        line = seen.line_for_target()
        l.ok(seen.rc == 3 and len(seen.wrong) == 1 and line and
             seen.text.index("route for live clients") < seen.text.index("reverse-path"),
             "live clients: without a route, that is named first", seen.text)
        there = check_both(l, line)[1]
        l.ok(there.rc == 3 and len(there.wrong) == 1 and "no route" in there.wrong[0],
             "live clients: --check-target knows that the route is missing", there.text)
        with changed((l.target, route % three.TEST, "ip route del default")):
            seen = copy_check()
            l.ok(seen.rc == 3 and len(seen.wrong) == 1 and "to this host" in seen.wrong[0],
                 "live clients: answers to this host are named", seen.text)
        with changed((l.target, route % three.ASSISTANT, "ip route del default")):
            seen = copy_check()
            l.ok(seen.rc == 0 and "handshake from 203.0.113.1" in seen.text,
                 "live clients: works with the target's default route", seen.text)


def main(l):
    three.build(l)
    l.owner = l.host("owner")
    l.owner.sysctl("net.ipv4.ip_forward", 0)
    three.plug(l, l.owner, l.switch, OWNER + "/24", OWNER6 + "/64")
    l.sink(l.target, 80)
    only = os.environ.get("TB_ONLY")
    for part in (set_ups_that_work, between_the_hosts, on_the_target, on_the_assistant,
                 live_clients):
        if not only or only == part.__name__:
            part(l)


with lab.Test() as the_lab:
    main(the_lab)
