#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""tcpcopy over four hosts: live clients of nginx on the online host, by curl, ab, wrk and by hand; what
they send must arrive at the target's nginx, byte for byte, in every way of capturing, sending and
naming clients. Both servers' hosts are recorded: what the recorders saw is compared."""
import collections
import ipaddress
import os
import socket
import struct
import sys

import captures
import four
import lab
import three

RANGE = four.RANGE
ONLINE_2 = "198.18.0.4"
WRKS = 20   # connections of wrk


def mixed(l, first=1, to=four.ONLINE):
    """A little of everything: an upload, several addresses, short connections and long ones."""
    four.curl(l, first, *four.PAGES, to=to, upload=l.upload)
    for n in range(first + 1, first + 6):
        four.curl(l, n, "page-120000.html", "empty.txt", to=to)
    four.ab(l, first, 100, 10, to=to)
    four.ab(l, first + 1, 100, 10, "-k", to=to)


def tools(l):
    """The default: real client addresses, IP layer, raw socket; each load by itself."""
    copy = four.Copy(l)
    with four.Compared(l, copy, "curl: pages and an upload from many addresses"):
        mixed(l, 10)
    with four.Compared(l, copy, "ab: 1,000 short sessions, 20 at once"):
        four.ab(l, 2, 1000, 20)
    with four.Compared(l, copy, "ab: keep-alive"):
        four.ab(l, 3, 1000, 10, "-k")
    with four.Compared(l, copy, "wrk: 20 connections"):
        four.wrk(l, 4, WRKS, 1)
    with four.Compared(l, copy, "a client that resets, one that pipelines, one that only connects"):
        odd_clients(l)
    run = four.clean(l, "the default way", copy)
    sent, answered = run.figure("requests", "sent"), run.figure("requests", "answered")
    l.ok(sent and 0 <= sent - answered <= WRKS, "every request is answered by the target, but for "
         "those that wrk left behind when its time was over", run.words())


def odd_clients(l):
    s = four.connect(l, 30)
    four.get(s)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
    s = four.connect(l, 31)
    s.sendall(b"GET /page-100.html HTTP/1.1\r\nHost: x\r\n\r\n" * 5)
    four.get(s, extra="Connection: close\r\n")
    s.close()
    four.connect(l, 32).close()
    s = four.connect(l, 33)     # a request byte by byte
    for byte in b"GET / HTTP/1.0\r\n\r\n":
        s.sendall(bytes([byte]))
    while s.recv(65536):
        pass
    s.close()


def ways(l):
    """Each way of capturing, sending and taking responses; the load is the same."""
    for name, options in (
            ("--pcap-capture -i", ["--pcap-capture", "-i", "eth0"]),
            ("--pcap-capture and --pcap-send", ["--pcap-capture", "-i", "eth0", "--pcap-send"]),
            ("two workers", ["--workers", 2]),
            ("a kernel filter", ["--pcap-capture", "-i", "eth0", "-F", "tcp port 80"])):
        copy = four.Copy(l, *options)
        with four.Compared(l, copy, name):
            mixed(l)
        four.clean(l, name, copy)


def in_range(recording, clients):
    network = ipaddress.ip_network(clients)
    seen = {ipaddress.ip_address(c.client) for c in recording.connections}
    return seen and all(a in network for a in seen)


def made_up_clients(l):
    """-c through intercept."""
    copy = four.Copy(l, "-c", RANGE)
    with four.Compared(l, copy, "-c: other client addresses", addresses=False) as it:
        mixed(l)
    l.ok(in_range(it.played, RANGE), "-c: all of that range")
    four.clean(l, "-c", copy)


def without_intercept(l):
    """-s local: its work is done in this process."""
    l.target.ip("route", "replace", RANGE, "via", four.ONLINE)
    copy = four.Copy(l, "-c", RANGE, way=("-s", "local:eth0"))
    with four.Compared(l, copy, "-s local: responses come here", addresses=False) as it:
        mixed(l)
    l.ok(in_range(it.played, RANGE), "-s local: the addresses of -c")
    four.clean(l, "-s local", copy)
    l.target.ip("route", "replace", RANGE, "via", four.ASSISTANT)


def same_machine(l):
    """--tun: the test server runs on the online host."""
    address, port = "198.18.5.5", 8080
    l.online.address(address + "/32")
    server = l.nginx(l.online, port)
    to = "80-%s:%d" % (address, port)
    copy = four.Copy(l, "-c", RANGE, way=("--tun",), to=(to,), target=l.online, target_port=port,
                     count=lambda: served(server),
                     probe=lambda: four.curl(l, four.PROBING, "empty.txt"))
    with four.Compared(l, copy, "--tun: the test server runs here", addresses=False,
                       target_address=address) as it:
        mixed(l)
    l.ok(in_range(it.played, RANGE), "--tun: the addresses of -c")
    four.clean(l, "--tun", copy)
    server.stop()


def served(server):
    """Requests in an access log."""
    return len(server.access_log.read_text().splitlines())


def no_intercept(l):
    p = l.tcpburn_start(l.online, "-x", four.TO, "-s", four.ASSISTANT + ":1", program="tcpcopy")
    rc = p.wait()
    l.ok(rc == 3, "an intercept that is not there: exit status 3", "%s %s" % (rc, p.text()))


def forwarding_assistant(l):
    """What the target answers to copies of real clients would travel on to them."""
    l.assistant.sysctl("net.ipv4.conf.eth0.forwarding", 1)
    other = three.intercept(l, port=three.PORT + 1)
    l.assistant.sysctl("net.ipv4.conf.eth0.forwarding", 0)
    s = ["-s", "%s:%d" % (four.ASSISTANT, three.PORT + 1), "-x", four.TO]
    for name, options in (("at the start", []), ("by --check", ["--check"])):
        run = l.tcpburn(l.online, *s, *options, program="tcpcopy", report=False)
        l.ok(run.rc == 3 and "net.ipv4.ip_forward" in run.out + run.err,
             "an assistant that forwards is refused " + name, run.words())
    run = l.tcpburn(l.online, *s, "-c", RANGE, "--duration", "0.1", program="tcpcopy")
    l.ok(run.rc == 0, "an assistant that forwards will do for addresses that nobody has",
         run.words())
    other.stop()


def replicas(l):
    copy = four.Copy(l, "-n", 3)
    with four.Compared(l, copy, "-n 3: everything three times", times=3):
        mixed(l)
        four.ab(l, 5, 300, 50)
    four.clean(l, "-n 3", copy)


def share(l):
    """-r: by hash of the client's end, so the same client gets the same decision again."""
    copy, seen = four.Copy(l, "-r", 25), []
    for nth in ("first", "second"):
        with four.Compared(l, copy, "-r 25: only live sessions, %s time" % nth,
                           check=lambda have, want: not have - want) as it:
            for port in range(20000, 20600):
                s = four.connect(l, 40, port)
                four.get(s, extra="Connection: close\r\n")      # the server closes
                s.close()
        seen.append({c.client_port for c in it.played.connections})
    l.ok(100 <= len(seen[0]) <= 200, "-r 25: 600 sessions, a quarter of them", len(seen[0]))
    l.same(seen[1], seen[0], "-r 25: the same ports again, used again")
    run = four.clean(l, "-r 25", copy)
    packets, sessions = run.figure("live", "packets"), run.figure("live", "sessions", "seen")
    # Of the others the handshake's beginning; a whole session has about ten.
    l.ok(packets < 7 * sessions, "-r 25: the kernel leaves out the others' packets",
         "%s packets, %s sessions" % (packets, sessions))


def local_client(l):
    """-H: the client is on the online host itself, and comes by lo."""
    address = four.live(77)
    copy = four.Copy(l, "-H", address, probe=lambda: four.curl(l, 0, "empty.txt", host=l.online))
    with four.Compared(l, copy, "-H: a local client", addresses=False) as it:
        for _ in range(3):
            four.curl(l, 0, *four.PAGES, host=l.online)
    l.ok(it.played.connections and in_range(it.played, address + "/32"), "-H: is its address")
    with four.Compared(l, copy, "-H: others keep theirs"):
        mixed(l)
    four.clean(l, "-H", copy)


def six(l):
    to = ("80-[%s]:80" % four.TARGET6,)
    copy = four.Copy(l, to=to, probe=lambda: four.connect(l, four.PROBING, to=four.ONLINE6).close())
    with four.Compared(l, copy, "IPv6", servers=(four.ONLINE6,), target_address=four.TARGET6):
        mixed(l, to=four.ONLINE6)
    four.clean(l, "IPv6", copy)


# The kernel has no use for mirrored packets.
NO_ANSWER = """
table inet mirrored {
    chain in {
        type filter hook input priority 0
        udp dport 4789 drop
    }
}
"""


def mirrored(l):
    """A host that only gets copies: from a switch's mirror port, and of a cloud, inside VXLAN."""
    host = four.mirror_host(l)
    for name, options in (("a mirror port", []), ("a mirror port, two workers", ["--workers", 2])):
        with four.mirror(l):
            copy = four.Copy(l, "--pcap-capture", "-i", "eth1", *options, host=host)
            with four.Compared(l, copy, name):
                mixed(l)
            four.clean(l, name, copy)

    l.switch.address("198.18.0.254/24", "br0")
    l.switch.ip("link", "add", "vx", "mtu", 1500, "type", "vxlan", "id", 7, "dstport", 4789,
                "remote", four.MIRROR, "local", "198.18.0.254", "noudpcsum")
    l.switch.ip("link", "set", "vx", "up")
    for where, device in ((host, "eth0"), (l.switch, host.role), (l.switch, "br0")):
        where.ip("link", "set", device, "mtu", 1600)
    host.run("nft", "-f", "-", input=NO_ANSWER)
    with four.mirror(l, "vx"):
        copy = four.Copy(l, "--vxlan", host=host)
        with four.Compared(l, copy, "mirrored inside VXLAN"):
            mixed(l)
        four.clean(l, "VXLAN", copy)


def two_online_hosts(l):
    """A tcpcopy on each, one intercept, one target; the same clients, and the same ports, at both."""
    second = four.online_host(l, "online2", ONLINE_2)
    l.nginx(second, four.PORT)
    copies = [four.Copy(l, "-f", 1),
              four.Copy(l, "-f", 2, host=second,
                        probe=lambda: four.connect(l, four.PROBING, to=ONLINE_2).close())]
    with captures.Recording(l, second, four.PORT) as other:
        with four.Compared(l, copies[0], "two online hosts: the sessions of both",
                           check=lambda have, want: True) as it:
            for to in (four.ONLINE, ONLINE_2):
                mixed(l, 50, to=to)
            open_ones = [four.connect(l, 60, port, to) for port in range(30000, 30020)
                         for to in (four.ONLINE, ONLINE_2)]
            for s in open_ones * 2:
                four.get(s)
            for s in open_ones:
                s.close()
            copies[1].settle()
    want = it.online + four.sessions(other, ONLINE_2)
    l.ok(it.target == want and sum(want.values()) > 250,
         "two online hosts: every session of both arrives", four.difference(it.target, want))
    for nth, copy in enumerate(copies):
        four.clean(l, "online host %d" % (nth + 1), copy)


def recorded(l):
    """--offline: from a file, with the distances it has, or shorter ones."""
    file = l.dir / "live.pcap"
    recorder = l.start(l.online, sys.executable, lab.HERE / "recorder.py", file, four.PORT,
                       name="recorder")
    lab.wait_for("the recorder", lambda: "recording" in recorder.text())
    mixed(l)
    recorder.stop()
    live = captures.recorder.connections(file, [four.PORT])
    want = collections.Counter((str(ipaddress.ip_address(c.client)), c.sha256()) for c in live)
    for name, options, times in (("--offline", [], 1), ("--offline -a 5 -T 2", ["-a", 5, "-T", 2], 2)):
        with captures.Recording(l, l.target, four.PORT) as played:
            run = l.tcpburn(l.online, "-x", four.TO, "-s", four.ASSISTANT, "--offline", "-i", file,
                            *options, program="tcpcopy")
        have = four.sessions(played, four.TARGET)
        wanted = collections.Counter({k: n * times for k, n in want.items()})
        l.ok(run.rc == 0 and have == wanted, name + ": as recorded",
             run.words() + four.difference(have, wanted))


def main(l):
    four.build(l)
    l.upload = l.dir / "upload"
    l.upload.write_bytes(os.urandom(300000))
    l.nginx(l.online, four.PORT)
    l.nginx(l.target, four.PORT)
    intercept = three.intercept(l)
    four.run_parts(l, tools, ways, made_up_clients, without_intercept, same_machine, no_intercept,
                   forwarding_assistant, replicas, share, local_client, six,
                   mirrored, two_online_hosts, recorded)
    l.ok(intercept.alive(), "intercept lives", intercept.text())


with lab.Test() as the_lab:
    main(the_lab)
