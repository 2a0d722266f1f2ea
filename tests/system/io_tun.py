#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The TUN back-end against the kernel's TCP: every byte both ways, long frames, steering to workers,
what is refused, and that nothing is left behind."""
import signal

import io_lab
import lab


def exchanges(l, host):
    targets = dict(io_lab.TARGETS, loopback=("127.0.0.1", "198.19.0.0"))
    for family, (address, first) in targets.items():
        for flows, workers in ((1, 1), (40, 1), (40, 3)):
            title = "%s, %d connections, %d workers" % (family, flows, workers)
            seen = io_lab.exchange(l, title, host, host, "tun", address, first, flows, workers)
            l.ok(seen.get("super", 0) > 0, title + ": long packets come whole", seen)
            l.ok(seen.get("long", 0) > 0 and seen["sent"] == seen["frames"],
                 title + ": long frames go whole", seen)
    for mode in (1, 2):
        for name in ("all", "default"):
            host.sysctl("net.ipv4.conf.%s.rp_filter" % name, mode)
        io_lab.exchange(l, "rp_filter=%d" % mode, host, host, "tun", lab.TARGET, "198.19.0.0", 3, 1)


def devices(host):
    return [x for x in host.ip("-o", "link").splitlines() if "tcpburn" in x]


def refusals(l, host):
    host.ip("route", "add", "198.19.128.0/24", "via", "127.0.0.1", "dev", "lo")
    host.address("198.19.64.1/32")
    host.address("fd00:20::1/128")
    v4, v6 = ["target=" + lab.TARGET], ["target=" + lab.TARGET6]
    many = "count=256"
    for title, words, options in (
            ("target ::1", ["[::1]", "such as [fd00:"], ["target=::1", "client=fd00:19::"]),
            ("range with an address of this host", ["198.19.64.0-198.19.64.255", "198.19.64.1"],
             [*v4, "client=198.19.64.0", many]),
            ("IPv6 range with an address of this host", ["fd00:20::1"],
             [*v6, "client=fd00:20::", many]),
            ("range with the target", ["target", lab.TARGET], [*v4, "client=198.18.0.0", many]),
            ("range with a route", ["route", "198.19.128.0/24"],
             [*v4, "client=198.19.127.255", "count=2"])):
        io_lab.refused(l, title, host, words, "tun", *options)
    host.ip("route", "add", "default", "dev", "lo")
    rc, _, text = io_lab.probe(host, "tun", *v4, "client=198.19.0.0", many, "flows=0")
    l.same(rc, 0, "a default route is no obstacle", text)
    io_lab.refused(l, "no CAP_NET_ADMIN", host, ["permission", "cap_net_admin"], "tun", *v4,
                   "client=198.19.0.0", wrap=["setpriv", "--bounding-set=-net_admin"])
    # Where everybody may load BPF programs there is nothing to refuse.
    if host.run("sysctl", "-n", "kernel.unprivileged_bpf_disabled").strip() != "0":
        io_lab.refused(l, "several workers without CAP_BPF", host, ["--workers 1", "cap_bpf"],
                       "tun", *v4, "client=198.19.0.0", "workers=2",
                       wrap=["setpriv", "--bounding-set=-bpf,-sys_admin"])


def remains(l, host):
    options = ["target=" + lab.TARGET, "client=198.19.0.0", "count=256", "workers=2"]
    p = io_lab.hold(l, host, "tun", *options)
    l.same(len(devices(host)), 1, "one device, whatever the number of workers")
    l.ok("198.19.0.0/24" in host.ip("route"), "the clients are routed to it")
    p.signal(signal.SIGKILL)
    p.wait()
    lab.wait_for("the device to go", lambda: not devices(host))
    l.ok("198.19.0.0" not in host.ip("route"), "a killed run leaves no device and no route")


with lab.Test() as the_lab:
    the_host = the_lab.host("target", lab.TARGET + "/32", lab.TARGET6 + "/128")
    exchanges(the_lab, the_host)
    remains(the_lab, the_host)
    refusals(the_lab, the_host)
