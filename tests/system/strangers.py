#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Strangers at intercept's port: random bytes, half a hello, a crowd, old versions, wrong keys, hosts
that are not allowed; and a client that does not read. Each costs a line in the log, or its buffer; a
client that is there notices nothing."""
import multiprocessing
import os
import resource
import socket
import struct
import subprocess
import time

import channel
import lab

CROWD = 5000
NOTICES_S = 1.0     # a ping among strangers takes no longer (measured: a few milliseconds)


def memory_kb(process):
    with open("/proc/%d/status" % process.popen.pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def lines(process, words):
    return sum(words in line for line in process.text().splitlines())


def connect(host, source="127.0.0.1", port=channel.PORT):
    with channel.inside(host):
        s = socket.socket()
        s.bind((source, 0))
        s.settimeout(lab.PATIENCE_S)
        s.connect(("127.0.0.1", port))
    return s


def closed(s):
    """Wait until the other end closes."""
    try:
        while s.recv(65536):
            pass
    except ConnectionError:
        pass
    s.close()
    return True


def ping_s(client):
    """How long an answer takes."""
    begin = time.monotonic()
    client.send(channel.PING, bytes(16))
    while client.take() != channel.PONG:
        pass
    return time.monotonic() - begin


def start(l, host, port, *options):
    return l.start(host, lab.BUILD / "intercept", "-i", "target", "-b", "127.0.0.1", "-p", port,
                   *options, name="intercept-%d" % port, port=port)


def unnoticed(l, client, what):
    took = ping_s(client)
    l.ok(took < NOTICES_S, "%s: the client notices nothing" % what, "a ping took %.3f s" % took)


def garbage(l, host, server, client):
    for _ in range(200):
        s = connect(host)
        try:
            s.sendall(os.urandom(4096))
        except ConnectionError:
            pass
        closed(s)
    unnoticed(l, client, "random bytes")
    n = lines(server, "not a client of this channel")
    l.ok(1 <= n <= 60, "random bytes: lines in the log, but not one each", "%d lines" % n)


def half_hellos(l, host, server, client):
    begin = time.monotonic()
    halves = [connect(host) for _ in range(8)]
    for s in halves:
        s.sendall(struct.pack("!IBxxx", 200, channel.HELLO) + b"TBRN\0\1")
    l.ok(all(map(closed, halves)) and time.monotonic() - begin >= 4, "half hellos are waited for, "
         "and closed")
    l.ok(lines(server, "no hello in time") >= 1, "half hellos: a line in the log", server.text())
    unnoticed(l, client, "half hellos")


def old_version(l, host, server):
    s = connect(host)
    hello = b"TBRN" + struct.pack("!H", 0) + bytes(40)
    s.sendall(struct.pack("!IBxxx", len(hello), channel.HELLO) + hello)
    answer = s.recv(4096)
    l.ok(answer[4:5] == bytes([channel.REFUSED]) and b"same release" in answer,
         "an old version is refused with words", repr(answer))
    l.ok(closed(s) and lines(server, "version 0") == 1, "an old version: a line in the log")


def gather_crowd(host, here, go):
    """In a process of its own, for its descriptors: connect, say so, stay until told to go."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * CROWD), hard))
    sockets = []
    with channel.inside(host):
        for _ in range(CROWD):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", channel.PORT))
            sockets.append(s)
    here.set()
    go.wait(lab.PATIENCE_S)


def crowd(l, host, server, client):
    """More connections than would ever come, all at once, and a client that comes in between."""
    before = memory_kb(server)
    here, go = multiprocessing.Event(), multiprocessing.Event()
    child = multiprocessing.Process(target=gather_crowd, args=(host, here, go))
    child.start()
    unnoticed(l, client, "a crowd that comes")
    here.wait(lab.PATIENCE_S)
    late = channel.Client(host, "198.19.8.0/24")
    l.ok(late.refused is None, "a crowd: another client may come")
    unnoticed(l, client, "a crowd")
    grown = memory_kb(server) - before
    l.ok(grown < 16 * 1024, "a crowd: no growth", "%d KB" % grown)
    n = len(os.listdir("/proc/%d/fd" % server.popen.pid))
    l.ok(n < 120, "a crowd: few are let in", "%d descriptors" % n)
    n = lines(server, "too many connections")
    l.ok(1 <= n <= 60, "a crowd: lines in the log, but not one each", "%d lines" % n)
    go.set()
    child.join()
    late.close()
    unnoticed(l, client, "a crowd that goes")


def not_allowed(l, host, server):
    s = connect(host, source="127.0.0.2")
    l.ok(closed(s), "who is not allowed is closed")
    l.same(lines(server, "127.0.0.2"), 1, "who is not allowed: a line in the log")


def sleeper(l, host, target, server, client):
    """A client that does not read costs its buffer, learns of its drops, and is served again."""
    count = 20000
    gun = channel.Gun(target, "assistant", host, "target")
    large = channel.segment("10.0.0.1", "198.19.4.1", payload=bytes(1400))
    lazy = channel.Client(host, "198.19.4.0/24", flags=channel.WANT_PAYLOAD)
    before = memory_kb(server)
    for i in range(10):
        gun.fire(*[large] * (count // 10))
        gun.fire(channel.segment("10.0.0.1", "198.19.0.1", seq=i))
        l.same(client.numbers(1), [i], "a client that sleeps: another is served (%d)" % i)
    grown = memory_kb(server) - before
    l.ok(grown < 48 * 1024, "a client that sleeps: little growth", "%d KB" % grown)
    read = dropped = 0
    while read + dropped < count:
        kind, data = lazy.frame()
        if kind == channel.RECORDS:
            read += data.count(large[20:])
        elif kind == channel.DROPS:
            dropped = sum(struct.unpack("!QQ", data))
    l.ok(dropped > 0 and read + dropped == count, "a client that slept is told what it missed",
         "%d read, %d dropped" % (read, dropped))
    gun.fire(large)
    l.ok(lazy.frame()[1].count(large[20:]) == 1, "a client that slept is served again")
    lazy.close()


def handshake(host, port, key):
    """openssl's own client, with a key: what it says."""
    done = subprocess.run(host.argv("openssl", "s_client", "-connect", "127.0.0.1:%d" % port,
                                    "-tls1_3", "-psk_identity", "tcpburn", "-psk", key),
                          capture_output=True, text=True, errors="replace", check=False,
                          timeout=lab.PATIENCE_S, stdin=subprocess.DEVNULL)
    return done.stdout + done.stderr


def keys(l, host):
    key = "00112233445566778899aabbccddeeff" * 2
    path = l.dir / "key"
    path.write_text(key + "\n")
    path.chmod(0o600)
    server = start(l, host, 36525, "--psk-file", path)
    good = handshake(host, 36525, key)
    l.ok("Reused, TLSv1.3" in good, "openssl's client gets in with the key", good)
    bad = handshake(host, 36525, key.replace("00", "11"))
    l.ok("alert" in bad and "Reused" not in bad, "a wrong key does not", bad)
    l.same(lines(server, "is not ours"), 1, "a wrong key: a line in the log", server.text())
    s = connect(host, port=36525)
    s.sendall(b"TBRN" * 100)
    l.ok(closed(s) and lines(server, "does not speak TLS") == 1, "no TLS: closed, a line in the log",
         server.text())
    text = server.stop()
    l.ok("no --psk-file" not in text, "with a key nothing is to be warned of", text)


def main():
    with lab.Test() as l:
        host = l.host("assistant", "127.0.0.2/8")
        target = l.host("target")
        l.cable(host, ["10.0.2.1/24"], target, ["10.0.2.2/24"])
        server = start(l, host, channel.PORT, "--allow", "127.0.0.1,10.0.0.0/8")
        client = channel.Client(host, "198.19.0.0/24")
        garbage(l, host, server, client)
        half_hellos(l, host, server, client)
        old_version(l, host, server)
        crowd(l, host, server, client)
        not_allowed(l, host, server)
        sleeper(l, host, target, server, client)
        keys(l, host)
        client.close()
        server.stop()
        l.same(server.popen.returncode, 0, "intercept ends cleanly", server.text()[-1500:])


if __name__ == "__main__":
    main()
