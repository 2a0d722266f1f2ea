#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What intercept captures and passes on: the packets its clients asked for and no others, from all
devices, of both families, tagged or not, cut behind their headers or whole; under load too."""
import time

import channel
import lab

SERVER, SERVER6 = "198.18.0.2", "fd00:18::2"
CLIENT, CLIENT6 = "198.19.0.1", "fd00:19::1"
RANGES = ("198.19.0.0/24", "fd00:19::/120")
METRICS = 9100


def intercept(l, host, *options):
    return l.start(host, lab.BUILD / "intercept", "--metrics", "127.0.0.1:%d" % METRICS, *options,
                   name="intercept", port=channel.PORT)


def figure(host, name):
    """A figure of /metrics."""
    text = host.run("curl", "-sf", "http://127.0.0.1:%d/metrics" % METRICS)
    return sum(float(x.split()[-1]) for x in text.splitlines() if x.startswith("intercept_" + name))


def kernel_filter(l, assistant, gun):
    def fire(seq):
        gun.fire(channel.segment(SERVER, "198.19.1.1", seq=seq),
                 channel.segment(SERVER, CLIENT, seq=seq),
                 channel.segment(SERVER6, "fd00:19::1:1", seq=seq),
                 channel.segment(SERVER6, CLIENT6, seq=seq))

    intercept(l, assistant)
    fire(1)
    client = channel.Client(assistant, *RANGES)
    fire(2)
    l.same(client.numbers(2), [2, 2], "a client gets what comes to its ranges, of both families")
    l.same(figure(assistant, "packets_total"), 2, "the kernel lets nothing else through")
    other = channel.Client(assistant, "198.19.1.0/24")
    fire(3)
    l.same((client.numbers(2), other.numbers(1)), ([3, 3], [3]),
           "the filter follows clients that come")
    client.close()
    lab.wait_for("the client to be gone", lambda: figure(assistant, "clients") == 1)
    before = figure(assistant, "packets_total")
    fire(4)
    other.numbers(1)
    l.same(figure(assistant, "packets_total"), before + 1, "and clients that go")
    other.close()


def lengths(l, assistant, gun):
    packets = [channel.segment(SERVER, CLIENT, seq=1, payload=bytes(1000)),
               channel.segment(SERVER6, CLIENT6, seq=2, payload=bytes(1000)),
               channel.segment(SERVER, CLIENT, seq=3)]
    client = channel.Client(assistant, *RANGES)
    before = time.time() * 1e6
    gun.fire(*packets)
    client.until(lambda: len(client.records) == 3)
    l.same([(len(r.data), r.wire_len) for r in client.records], [(40, 1040), (60, 1060), (40, 40)],
           "headers only, with the length on the wire and without padding")
    l.ok(all(before - 1 <= r.real_us <= time.time() * 1e6 for r in client.records),
         "the time is that of the capture", [r.real_us for r in client.records])
    client.close()
    client = channel.Client(assistant, *RANGES, flags=channel.WANT_PAYLOAD)
    gun.fire(*packets)
    client.until(lambda: len(client.records) == 3)
    l.same([r.data for r in client.records], packets, "whole packets when payload is wanted")
    client.close()


def devices(l, assistant, gun, target, far):
    second = channel.Gun(far, "assistant", assistant, "second")
    client = channel.Client(assistant, *RANGES)
    l.same(sorted(client.devices.split(",")), ["second", "target"],
           "without -i all devices that are up, but loopback and bridges")
    gun.fire(channel.segment(SERVER, CLIENT, seq=1))
    second.fire(channel.segment(SERVER, CLIENT, seq=2))
    l.same(sorted(client.numbers(2)), [1, 2], "packets of every device")
    gun.fire(channel.segment(SERVER, CLIENT, seq=3), channel.segment(SERVER6, CLIENT6, seq=4),
             tag=b"\x81\0\0\x07")
    l.same(client.numbers(2), [3, 4], "packets with a VLAN tag, once each")
    assistant.ip("link", "set", "second", "down")
    assistant.ip("link", "set", "second", "up")
    gun.fire(channel.segment(SERVER, CLIENT, seq=5))
    l.same(client.numbers(1), [5], "a device that went down disturbs no other")

    def comes_again():
        second.fire(channel.segment(SERVER, CLIENT, seq=6))
        gun.fire(channel.segment(SERVER, CLIENT, seq=5))
        return 6 in client.numbers(1)
    l.ok(lab.wait_for("the device to work again", comes_again), "and works again when it is up")
    second.socket.close()
    assistant.ip("link", "del", "second")
    l.cable(assistant, ["198.18.1.3/24"], far, ["198.18.1.2/24"])
    second = channel.Gun(far, "assistant", assistant, "second")

    def comes_from_the_new_one():
        second.fire(channel.segment(SERVER, CLIENT, seq=9))
        gun.fire(channel.segment(SERVER, CLIENT, seq=10))
        return 9 in client.numbers(1)
    l.ok(lab.wait_for("the new device", comes_from_the_new_one),
         "a device that is taken away and comes back is captured on again")
    sent = channel.Gun(assistant, "target", target, "assistant")
    sent.fire(channel.segment(SERVER, CLIENT, seq=7))
    gun.fire(channel.segment(SERVER, CLIENT, seq=8))
    client.until(lambda: any(r.seq == 8 for r in client.records))
    l.ok(all(r.seq != 7 for r in client.records), "not what this host sends itself")
    client.close()


def filters(l, assistant, gun):
    p = intercept(l, assistant, "-i", "target", "-F", "tcp src port 81", "--threads", 2)
    client = channel.Client(assistant, *RANGES)
    gun.fire(channel.segment(SERVER, CLIENT, seq=1), channel.segment(SERVER, CLIENT, seq=2, sport=81),
             channel.segment(SERVER, "198.19.1.1", seq=3, sport=81),
             channel.segment(SERVER6, CLIENT6, seq=4, sport=81))
    l.same(sorted(client.numbers(2)), [2, 4], "-F decides what is captured, clients what they get")
    l.same((client.devices, client.filter), ("target", "tcp src port 81"), "WELCOME tells both")
    l.same(figure(assistant, "packets_total"), 3, "-F is the kernel's filter")
    client.close()
    p.stop()


def readdress(l, assistant, gun):
    p = intercept(l, assistant, "-D", "172.17.0.2-%s,fd00:17::2-%s" % (SERVER, SERVER6))
    client = channel.Client(assistant, *RANGES, flags=channel.WANT_PAYLOAD)
    gun.fire(channel.segment("172.17.0.2", CLIENT, payload=b"odd"),
             channel.segment("fd00:17::2", CLIENT6, payload=b"even"),
             channel.segment("198.18.0.7", CLIENT))
    client.until(lambda: len(client.records) == 3)
    l.same([r.src for r in client.records], [SERVER, SERVER6, "198.18.0.7"],
           "-D gives packets the address that clients know")
    l.ok(all(r.checksums_hold() for r in client.records), "and right checksums")
    client.close()
    p.stop()


def load(l, assistant, gun, threads):
    flows, each = 50, 200
    p = intercept(l, assistant, "-i", "target", "--threads", threads)
    client = channel.Client(assistant, *RANGES)
    for seq in range(each):
        gun.fire(*(channel.segment(SERVER, "198.19.0.%d" % (1 + f % 7), 20000 + f, seq)
                   for f in range(flows)))
    client.until(lambda: len(client.records) >= flows * each)
    by_flow = {}
    for r in client.records:
        by_flow.setdefault(r.dport, []).append(r.seq)
    l.ok(len(by_flow) == flows and all(v == list(range(each)) for v in by_flow.values()),
         "%d threads: every packet of a burst once, connections in order" % threads)
    l.same(figure(assistant, "device_dropped"), 0, "%d threads: nothing dropped" % threads)
    client.close()
    p.stop()


def main(l):
    assistant, target, second = l.host("assistant"), l.host("target"), l.host("second")
    l.cable(assistant, ["198.18.0.3/24"], target, [SERVER + "/24"])
    l.cable(assistant, ["198.18.1.3/24"], second, ["198.18.1.2/24"])
    assistant.ip("link", "add", "br0", "type", "bridge")
    assistant.ip("link", "set", "br0", "up")
    gun = channel.Gun(target, "assistant", assistant, "target")
    kernel_filter(l, assistant, gun)
    lengths(l, assistant, gun)
    devices(l, assistant, gun, target, second)
    l.processes[-1].stop()
    filters(l, assistant, gun)
    readdress(l, assistant, gun)
    for threads in (1, 3):
        load(l, assistant, gun, threads)


with lab.Test() as the_lab:
    main(the_lab)
