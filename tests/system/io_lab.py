# SPDX-License-Identifier: BSD-2-Clause
"""What the io_*.py tests share: io_probe (a scripted client on a back-end) against io_server.py (a
kernel's TCP), and what both must have seen."""
import subprocess
import sys

import lab

PORT, SENT, ANSWERED = 8000, 150000, 200000
PROBE = lab.BUILD / "tests" / "system" / "io_probe"
TARGETS = {"IPv4": (lab.TARGET, "198.19.0.0"), "IPv6": (lab.TARGET6, "fd00:19::10")}


def server(l, host, address):
    return l.start(host, sys.executable, lab.HERE / "io_server.py", address, PORT, SENT, ANSWERED,
                   name="io_server", port=PORT)


def probe(host, backend, *options, wrap=()):
    """Its exit status, its figures (none when it was refused), all it printed."""
    argv = host.argv(*wrap, PROBE, backend, "port=%d" % PORT, *options)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=lab.PATIENCE_S,
                          check=False, stdin=subprocess.DEVNULL)
    words = done.stdout.split()
    figures = dict(zip(words[::2], map(int, words[1::2]))) if done.returncode == 0 else {}
    return done.returncode, figures, done.stdout + done.stderr


def hold(l, host, backend, *options):
    """A probe that keeps its back-end open until its standard input is closed."""
    p = lab.Process(l, host, [PROBE, backend, "port=%d" % PORT, "hold=1", *options], "io_probe",
                    stdin=subprocess.PIPE)
    lab.wait_for("the back-end", lambda: "open" in p.text())
    return p


def release(p):
    p.popen.stdin.close()
    p.wait()


def exchange(l, title, client, target, backend, address, first, flows, workers, *options):
    """`flows` connections at once: both sides see every byte, each packet its worker."""
    listener = server(l, target, address)
    rc, seen, text = probe(client, backend, "target=" + address, "client=" + first, "count=200",
                           "flows=%d" % flows, "workers=%d" % workers, "bytes=%d" % SENT, *options)
    expected = {"done": flows, "received": flows * ANSWERED, "wrong_worker": 0, "wrong_bytes": 0,
                "resets": 0, "dropped": 0, "errors": 0}
    l.ok(rc == 0 and {k: seen.get(k) for k in expected} == expected, title, text)
    right = listener.stop().count(" %d right\n" % SENT)
    l.same(right, flows, title + ": the server saw every byte")
    return seen


def refused(l, title, host, words, backend, *options, wrap=()):
    rc, _, text = probe(host, backend, *options, wrap=wrap)
    l.ok(rc == 3 and all(w in text for w in words), "refused, saying why: " + title,
         "exit status %d, expected 3 and %s\n%s" % (rc, words, text))
