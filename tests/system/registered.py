#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Sessions that clients register with intercept one by one, under addresses of the real world: each
client gets its own and nothing else, beside one another and beside clients with ranges; the kernel
hands over what the targets send alone; an answer may come before its registration."""
import channel
import lab

TARGET, TARGET6, OTHER = "198.18.0.2", "fd00:18::2", "198.18.0.77"
USER, USER6 = "203.0.113.9", "2001:db8::9"      # nobody's range; they are never routed anywhere
SYN_ACK, RST = 0x12, 0x14


def figure(host, name):
    text = host.run("curl", "-sf", "http://127.0.0.1:9100/metrics")
    return sum(float(x.split()[-1]) for x in text.splitlines()
               if x.startswith("intercept_%s " % name))


def ports(client, count):
    """The client ports of the next `count` packets."""
    client.until(lambda: len(client.records) >= count)
    taken, client.records = client.records[:count], client.records[count:]
    return sorted(r.dport for r in taken)


def each_its_own(l, assistant, gun):
    targets = [(TARGET, 80), (TARGET6, 80)]
    one = channel.Client(assistant, targets=targets)
    two = channel.Client(assistant, targets=[(TARGET, 81)])
    ranged = channel.Client(assistant, "198.19.0.0/24")
    one.register((USER, 1001), (USER6, 1001))
    two.register((USER, 2001))
    for c in one, two:
        c.ping()
    gun.fire(*(channel.segment(TARGET, USER, port, sport=sport)
               for port in (1001, 2001, 3001) for sport in (80, 81)),
             channel.segment(TARGET6, USER6, 1001), channel.segment(TARGET6, USER6, 2001),
             channel.segment(OTHER, "198.19.0.5", 4001))
    l.same((ports(one, 3), ports(two, 2), ports(ranged, 1)),
           ([1001, 1001, 1001], [2001, 2001], [4001]),
           "each client gets the sessions that it registered, or its range")
    two.register((USER, 1001), ("198.19.0.5", 4001))
    two.ping()
    l.same(sorted(two.taken), [("198.19.0.5", 4001), (USER, 1001)],
           "a session of another client stays there, and the second one is told")
    gun.fire(channel.segment(TARGET, USER, 1001), channel.segment(OTHER, "198.19.0.5", 4001))
    l.same((ports(one, 1), ports(ranged, 1)), ([1001], [4001]), "its owner gets it all the same")
    one.register((USER, 1001), kind=channel.UNREGISTER)
    one.ping()
    two.register((USER, 1001))
    two.ping()
    gun.fire(channel.segment(TARGET, USER, 1001), channel.segment(TARGET6, USER6, 1001))
    l.same((ports(two, 1), ports(one, 1)), ([1001], [1001]),
           "what was unregistered is free for others")
    two.close()
    lab.wait_for("the client to be gone", lambda: figure(assistant, "clients") == 2)
    l.same(figure(assistant, "sessions"), 1, "a client that goes takes its sessions along")
    one.close()
    ranged.close()
    lab.wait_for("the clients to be gone", lambda: figure(assistant, "clients") == 0)


def kernel_filter(l, assistant, gun):
    def fire():
        gun.fire(channel.segment(OTHER, USER, 1001), channel.segment(TARGET, USER, 1001, sport=22),
                 channel.segment(TARGET6, USER6, 1001), channel.segment(TARGET, USER, 1001))

    before = figure(assistant, "packets_total")
    client = channel.Client(assistant, targets=[(TARGET, 80)])
    client.register((USER, 1001))
    client.ping()
    fire()
    ports(client, 1)
    l.same(figure(assistant, "packets_total") - before, 1,
           "the kernel hands over what the targets send, and nothing else")
    other = channel.Client(assistant, targets=[])
    fire()
    ports(client, 3)
    l.same(figure(assistant, "packets_total") - before, 5,
           "all TCP for a client that does not name its targets")
    other.close()
    client.close()
    lab.wait_for("the clients to be gone", lambda: figure(assistant, "clients") == 0)


def early_answers(l, assistant, gun):
    client = channel.Client(assistant, targets=[(TARGET, 80)])
    before = figure(assistant, "unrouted_packets_total")
    gun.fire(channel.segment(TARGET, USER, 1001, flags=SYN_ACK),
             channel.segment(TARGET, USER, 1002, flags=RST), channel.segment(TARGET, USER, 1003))
    lab.wait_for("the packets to be captured",
                 lambda: figure(assistant, "unrouted_packets_total") == before + 3)
    client.register(*((USER, 1001 + i) for i in range(3)))
    client.ping()
    l.same([(r.dport, r.tcp[13]) for r in client.records], [(1001, SYN_ACK), (1002, RST)],
           "an answer to a SYN waits for its registration, and nothing else does")
    l.same(figure(assistant, "late_records_total"), 2, "that is counted")
    client.close()


def restart(l, assistant, gun, process, start):
    client = channel.Client(assistant, targets=[(TARGET, 80)])
    client.register((USER, 1001))
    client.ping()
    process.kill()
    client.close()
    start()
    client = channel.Client(assistant, targets=[(TARGET, 80)])
    client.register(*((USER, 1 + i) for i in range(3000)))
    client.ping()
    l.same(figure(assistant, "sessions"), 3000, "a new intercept learns all sessions at once")
    gun.fire(*(channel.segment(TARGET, USER, port) for port in (1, 1500, 3000, 3001)))
    l.same(ports(client, 3), [1, 1500, 3000], "and routes them")
    client.close()


def main():
    with lab.Test() as l:
        assistant = l.host("assistant", "198.18.0.3/24", "fd00:18::3/64")
        target = l.host("target")
        l.cable(assistant, [], target, [TARGET + "/24", TARGET6 + "/64"])
        gun = channel.Gun(target, "assistant", assistant, "target")

        def start():
            return l.start(assistant, lab.BUILD / "intercept", "-i", "target", "--metrics",
                           "127.0.0.1:9100", "--threads", 2, name="intercept", port=channel.PORT)
        process = start()
        each_its_own(l, assistant, gun)
        kernel_filter(l, assistant, gun)
        early_answers(l, assistant, gun)
        restart(l, assistant, gun, process, start)


if __name__ == "__main__":
    main()
