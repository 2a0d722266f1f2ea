# SPDX-License-Identifier: BSD-2-Clause
"""Captures of comet clients, made on the spot, and the server whose pushes are counted. Used by
comet.py and by bench/soak."""
import json
import sys

import lab

PORT = 8093
KINDS = ("events", "lines", "poll", "ws")
ENDINGS = 3     # of each kind: none, FIN, RST
SESSIONS = len(KINDS) * ENDINGS


def record(l, name, kinds):
    """A capture of these kinds of clients, each with every ending."""
    host = l.host("origin-" + name, lab.TARGET + "/32")
    server = l.python_server(host, "pushserver.py", PORT)
    file = l.dir / (name + ".pcap")
    recorder = l.start(host, sys.executable, lab.HERE / "recorder.py", file, PORT, name="recorder")
    lab.wait_for("the recorder", lambda: "recording" in recorder.text())
    clients = l.start(host, sys.executable, lab.HERE / "comet_client.py", lab.TARGET, PORT,
                      ",".join(kinds), name="clients")
    lab.wait_for("the clients", lambda: "done" in clients.text())
    recorder.stop()
    clients.kill()
    server.stop()
    return file


def stop(server):
    """What the server counted, and its connections."""
    last = [x for x in server.stop().splitlines() if x.startswith("{")][-1]
    lines = server.jsonl.read_text().splitlines() if server.jsonl.exists() else []
    return json.loads(last), [json.loads(x) for x in lines]
