# SPDX-License-Identifier: BSD-2-Clause
"""The three-host lab: test host, target and assistant on one switch, each a network namespace.

    test       198.18.0.1  fd00:18::1   tcpburn
    target     198.18.0.2  fd00:18::2   the server; routes the client addresses to the assistant
    assistant  198.18.0.3  fd00:18::3   intercept; forwards nothing

tools/lab makes it for people; the three_hosts*.py and check_three_hosts.py tests, bench/run and four.py for
themselves. Clients come from tcpburn's default ranges or from 198.18.100.0/24.
"""
import os
import pathlib
import subprocess

import lab

TEST, TARGET, ASSISTANT = "198.18.0.1", lab.TARGET, "198.18.0.3"
TEST6, TARGET6, ASSISTANT6 = "fd00:18::1", lab.TARGET6, "fd00:18::3"
CLIENTS = ("198.19.0.0/16", "198.18.100.0/24")
CLIENTS6 = ("fd00:19::/64",)
ROLES = ("test", "target", "assistant")
SWITCH = "switch"
PORT = 36524                # of intercept
ALL = os.environ.get("TB_ALL") == "1"   # make check-system-all: everything in every way


def plug(l, host, switch, *addresses, device="eth0"):
    """A cable from a device of the host to the switch, whose end is called as the host."""
    for where in (host, switch):    # addresses can be used at once
        where.sysctl("net.ipv6.conf.default.accept_dad", 0)
        where.sysctl("net.ipv6.conf.default.router_solicitations", 0)
    end = host.role if device == "eth0" else "%s-%s" % (host.role, device)
    l.command("ip", "link", "add", device, "netns", host.ns, "type", "veth",
              "peer", "name", end, "netns", switch.ns)
    switch.ip("link", "set", end, "master", "br0", "up")
    for address in addresses:
        host.address(address, device)
    # Plain packets, as on a wire: no segments of 64 KB, checksums complete.
    for where, name in ((host, device), (switch, end)):
        where.run("ethtool", "-K", name, "tso", "off", "gso", "off", "gro", "off", "tx", "off")
    host.ip("link", "set", device, "up")


def new_switch(l, role=SWITCH):
    switch = l.host(role)
    switch.ip("link", "add", "br0", "type", "bridge", "stp_state", 0, "mcast_snooping", 0)
    switch.ip("link", "set", "br0", "up")
    for name in ("iptables", "ip6tables", "arptables"):  # a switch has no firewall
        if pathlib.Path("/proc/sys/net/bridge/bridge-nf-call-" + name).exists():
            switch.sysctl("net.bridge.bridge-nf-call-" + name, 0)
    return switch


def build(l):
    """The three hosts, as attributes of the lab, and the switch between them."""
    l.switch = new_switch(l)
    for role, address, address6 in ((ROLES[0], TEST, TEST6), (ROLES[1], TARGET, TARGET6),
                                    (ROLES[2], ASSISTANT, ASSISTANT6)):
        host = l.host(role)
        host.sysctl("net.ipv4.ip_forward", 0)
        host.sysctl("net.ipv6.conf.all.forwarding", 0)
        plug(l, host, l.switch, address + "/24", address6 + "/64")
        setattr(l, role, host)
    for clients in CLIENTS:
        l.target.ip("route", "add", clients, "via", ASSISTANT)
    for clients in CLIENTS6:
        l.target.ip("-6", "route", "add", clients, "via", ASSISTANT6)


def remove(prefix):
    """Take down what build() made under that prefix; the roles that were there."""
    there = []
    for role in (*ROLES, SWITCH):
        ns = prefix + role
        pids = subprocess.run(["ip", "netns", "pids", ns], capture_output=True, text=True,
                              check=False).stdout.split()
        if pids:
            subprocess.run(["kill", *pids], capture_output=True, check=False)
        if subprocess.run(["ip", "netns", "del", ns], capture_output=True, check=False) \
                .returncode == 0:
            there.append(role)
    return there


def intercept(l, *options, host=None, device="eth0", port=PORT):
    """intercept on the assistant (or another host), listening."""
    return l.start(host or l.assistant, lab.BUILD / "intercept", "-i", device, "-p", port,
                   *options, name="intercept", port=port)
