#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Taps on devices: what passes by is seen as sessions with each byte once, by the right worker, over
every kind of device; nothing of a target is; devices may go and come. The oracle is the server."""
import collections
import subprocess
import sys
import time

import lab

ONLINE, ONLINE6 = "198.18.0.1", "fd00:18::1"
PORT, FACTOR = 8000, 3
PROBE = lab.BUILD / "tests" / "system" / "tap_probe"
TRAFFIC = lab.HERE / "tap_traffic.py"


def server(l, host, address, port=PORT):
    return l.start(host, sys.executable, TRAFFIC, "server", address, port, name="server", port=port)


def connect(host, address, port=PORT, count=40, seed=1, most=90000):
    host.run(sys.executable, TRAFFIC, "client", address, port, count, seed, most)


def connections(listener):
    """What the server saw, each as the probe would list it."""
    seen = collections.Counter()
    for line in listener.stop().splitlines():
        peer, port, length, crc = line.split()
        where = ("[%s]:%s" if ":" in peer else "%s:%s") % (peer, port)
        seen["%s %s %s %d" % (where, length, crc, FACTOR * int(length))] += 1
    return seen


class Probe:
    def __init__(self, l, host, *options):
        self.process = lab.Process(l, host, [PROBE, *options], "tap_probe", stdin=subprocess.PIPE)
        lab.wait_for("the taps", self.process.text)

    def end(self):
        """The sessions it saw, and its figures."""
        self.process.popen.stdin.close()
        self.process.wait()
        sessions, figures = collections.Counter(), {}
        for line in self.process.text().splitlines():
            word, _, rest = line.partition(" ")
            if word == "session":
                sessions[rest] += 1
            elif word == "packets":
                words = line.split()
                figures = dict(zip(words[::2], map(int, words[1::2])))
        return sessions, figures


def compare(l, title, listeners, probe):
    """Every connection once in what the probe saw, and nothing else."""
    seen, figures = probe.end()
    true = sum((connections(x) for x in listeners), collections.Counter())
    l.ok(true and seen == true, title, "%d connections; missing %s; too many %s\n%s" % (
        true.total(), list((true - seen).items())[:5], list((seen - true).items())[:5],
        probe.process.text()[-500:]))
    bad = {k: figures.get(k) for k in ("of_targets", "of_others", "drops")}
    l.same(set(bad.values()), {0}, title + ": nothing of targets or other workers, none lost", bad)
    return figures


def tapped(l, title, client, online, *options, addresses=(ONLINE, ONLINE6), most=90000):
    """IPv4 and IPv6 connections from client to online, while a probe on it looks on."""
    listeners = [server(l, online, a) for a in addresses]
    services = ["service=%s:%d" % (a, PORT) for a in addresses]
    probe = Probe(l, online, *services, *options)
    for i, address in enumerate(addresses):
        connect(client, address, seed=100 * i, most=most)
    return compare(l, title, listeners, probe)


def offload(state, *ends):
    for host, device in ends:
        for feature in ("tx", "rx", "gso", "gro", "tso"):
            host.run("ethtool", "-K", device, feature, state)


# --- kinds of devices ---------------------------------------------------------------------------


def loopback(l, online):
    for address in (ONLINE, ONLINE6):
        online.address(address)
    for workers in (1, 3):
        figures = tapped(l, "loopback, %d workers" % workers, online, online,
                         "workers=%d" % workers)
        l.ok(figures["super"] > 0, "long packets come whole", figures)
    tapped(l, "loopback by name", online, online, "device=lo")
    for address in (ONLINE, ONLINE6):
        online.ip("addr", "del", address, "dev", "lo")


def veth(l, client, online):
    for state in ("on", "off"):
        offload(state, (client, "online"), (online, "client"))
        for workers in (1, 3):
            tapped(l, "veth, offload %s, %d workers" % (state, workers), client, online,
                   "workers=%d" % workers)
    offload("on", (client, "online"), (online, "client"))
    tapped(l, "veth by name", client, online, "device=client", "workers=3")
    tapped(l, "any host's port", client, online, "service=any:%d" % PORT, "buffer=2")
    tapped(l, "with a filter", client, online, "filter=net 198.18.0.0/24 or ip6", "workers=2")


def bridge(l, client, online):
    for address in (ONLINE + "/24", ONLINE6 + "/64"):
        online.ip("addr", "del", address, "dev", "client")
    online.ip("link", "add", "br0", "type", "bridge")
    online.ip("link", "set", "client", "master", "br0")
    for address in (ONLINE + "/24", ONLINE6 + "/64"):
        online.address(address, "br0")
    online.ip("link", "set", "br0", "up")
    lab.wait_for("the bridge", lambda: "forwarding" in
                 online.run("bridge", "link", "show", "dev", "client"))
    tapped(l, "a bridge and its port, each packet twice", client, online, "workers=2")
    tapped(l, "the bridge by name", client, online, "device=br0")
    tapped(l, "its port by name", client, online, "device=client", "device=lo")
    online.ip("link", "del", "br0")
    for address in (ONLINE + "/24", ONLINE6 + "/64"):
        online.address(address, "client")


def vxlan_device(l, client, online):
    """What comes in VXLAN to this host itself is seen inside and out: once."""
    for host, here, there in ((client, "198.18.0.7", ONLINE), (online, ONLINE, "198.18.0.7")):
        host.ip("link", "add", "vx0", "type", "vxlan", "id", 42, "dstport", 4789, "local", here,
                "remote", there)
        host.address("198.18.1.%s/24" % here.split(".")[-1], "vx0")
        host.ip("link", "set", "vx0", "up")
    for workers in (1, 2):
        tapped(l, "a VXLAN device, %d workers" % workers, client, online, "vxlan=4789",
               "workers=%d" % workers, addresses=["198.18.1.1"])
    tapped(l, "a VXLAN device's outside", client, online, "vxlan=4789", "device=client",
           addresses=["198.18.1.1"])
    for host in (client, online):
        host.ip("link", "del", "vx0")


def mirrors(l, client, online, switch):
    """A mirror port: frames for others, plain, with a VLAN tag, or in VXLAN."""
    l.cable(online, ["198.18.2.1/24"], switch, ["198.18.2.9/24"])
    offload("off", (client, "online"), (online, "client"), (online, "switch"), (switch, "online"))
    for host, device in ((online, "switch"), (switch, "online")):
        host.ip("link", "set", device, "mtu", 1600)     # room for what VXLAN adds
    for kind, workers, options in (("plain", 1, ["device=online"]), ("vlan", 3, ["device=online"]),
                                   ("vxlan", 1, ["vxlan=4789"]), ("vxlan", 3, ["vxlan=4789"])):
        mirror = l.start(online, sys.executable, TRAFFIC, "mirror", "client", "switch", kind,
                         *(["198.18.2.9"] if kind == "vxlan" else []), name="mirror")
        lab.wait_for("the mirror", mirror.text)
        listeners = [server(l, online, a) for a in (ONLINE, ONLINE6)]
        probe = Probe(l, switch, "service=any:%d" % PORT, "workers=%d" % workers, *options)
        for i, address in enumerate((ONLINE, ONLINE6)):
            connect(client, address, seed=50 * i)
        lab.wait_for("the mirror to be done", lambda: quiet(switch))
        mirror.stop()
        compare(l, "a mirror port, %s, %d workers" % (kind, workers), listeners, probe)


def quiet(switch):
    """Has nothing come for a moment?"""
    def packets():
        return switch.run("ip", "-s", "link", "show", "online").split("RX:")[1].split()[7]
    before = packets()
    switch.run("sleep", "0.2")
    return packets() == before


# --- who is who ---------------------------------------------------------------------------------


def targets(l, client, online):
    """The replayed sessions look like the live ones, but go to a target."""
    live, target = server(l, online, ONLINE), server(l, client, "198.18.0.7")
    local = server(l, online, "127.0.0.1")
    probe = Probe(l, online, "service=any:%d" % PORT, "target=198.18.0.7:%d" % PORT,
                  "target=127.0.0.1:%d" % PORT, "workers=2")
    connect(client, ONLINE, seed=7)
    connect(online, "198.18.0.7", seed=8)
    connect(online, "127.0.0.1", seed=9)
    compare(l, "a target that looks like a service", [live], probe)
    for other in (target, local):
        l.same(connections(other).total(), 40, "but was talked to")


def fragments(l, client, online):
    """A router between them cuts what the client sends."""
    router = l.host("router")
    l.cable(client, ["198.18.3.7/24"], router, ["198.18.3.1/24"])
    l.cable(router, ["198.18.4.1/24"], online, ["198.18.4.2/24"])
    router.sysctl("net.ipv4.ip_forward", 1)
    router.ip("link", "set", "online", "mtu", 600)
    client.ip("route", "add", "198.18.4.0/24", "via", "198.18.3.1")
    online.ip("route", "add", "198.18.3.0/24", "via", "198.18.4.1")
    client.sysctl("net.ipv4.ip_no_pmtu_disc", 1)    # no packet says that it must not be cut
    for workers in (1, 3):
        tapped(l, "fragments, %d workers" % workers, client, online, "workers=%d" % workers,
               addresses=["198.18.4.2"], most=5000)  # more of them fill the receive buffer, and TCP waits
    cut = int(router.run("nstat", "-asz", "IpFragCreates").split("IpFragCreates")[1].split()[0])
    l.ok(cut > 20, "there were fragments", cut)


# --- devices go and come ------------------------------------------------------------------------


def coming_and_going(l, client, online):
    """Named or not, a device may be down, go, and come back: no session is lost for it later, and
    nobody is woken for nothing."""
    begin = time.monotonic()
    everywhere = Probe(l, online, "service=any:%d" % PORT, "workers=2")
    named = Probe(l, online, "service=any:%d" % PORT, "device=late", "workers=2")
    online.ip("link", "set", "late", "down")
    online.ip("link", "set", "late", "up")
    client.ip("link", "del", "late")
    make_late(l, client, online)
    listener = server(l, online, "198.18.5.1")
    # The one that was named is looked for once a second.
    lab.wait_for("the device to be found again", lambda: promiscuous(online, "late"))
    connect(client, "198.18.5.1", seed=4)
    seen = connections(listener)
    for probe, title in ((everywhere, "all devices"), (named, "a named device")):
        sessions, figures = probe.end()
        l.same(sessions, seen, title + ": one that went and came back is captured", figures)
        # Looks are as far apart as core/io/glance.h says, 1 ms, for each worker.
        most = 2200 * (time.monotonic() - begin)
        l.ok(figures["wakes"] < most, title + ": no busy waiting", (figures, most))


def make_late(l, client, online):
    l.command("ip", "link", "add", "late", "netns", client.ns, "type", "veth", "peer", "name", "late",
              "netns", online.ns)
    for host, address in ((client, "198.18.5.7/24"), (online, "198.18.5.1/24")):
        host.address(address, "late")
        host.ip("link", "set", "late", "up")


def promiscuous(host, device):
    return "promiscuity 1" in host.ip("-d", "link", "show", device)


def refusals(l, online):
    def refused(title, words, *options, wrap=()):
        argv = online.argv(*wrap, PROBE, "service=any:80", *options)
        done = subprocess.run(argv, capture_output=True, text=True, timeout=lab.PATIENCE_S,
                              check=False, stdin=subprocess.DEVNULL)
        l.ok(done.returncode == 3 and all(w in done.stdout for w in words),
             "refused, saying why: " + title, done.stdout + done.stderr)
    refused("no such device", ["nosuch"], "device=nosuch")
    refused("a filter that is none", ["porto 80"], "filter=porto 80")
    refused("a buffer beyond what a ring may have", ["2047"], "buffer=3000")
    refused("no CAP_NET_RAW", ["permission", "cap_net_raw"],
            wrap=["setpriv", "--bounding-set=-net_raw"])


def main(l):
    client, online, switch = l.host("client"), l.host("online"), l.host("switch")
    loopback(l, online)
    l.cable(client, ["198.18.0.7/24", "fd00:18::7/64"], online, [ONLINE + "/24", ONLINE6 + "/64"])
    veth(l, client, online)
    bridge(l, client, online)
    vxlan_device(l, client, online)
    targets(l, client, online)
    fragments(l, client, online)
    make_late(l, client, online)
    coming_and_going(l, client, online)
    refusals(l, online)
    mirrors(l, client, online, switch)


with lab.Test() as the_lab:
    main(the_lab)
