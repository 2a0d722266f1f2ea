# SPDX-License-Identifier: BSD-2-Clause
"""Captures as they should not be, made by hand, and what they hold: in fragments, cut short,
damaged, begun too late, with reused ports, overlaps, options, tags and wrong lengths. Each function
below fills a Capture; tests/unit/trace_hostile_test.py judges what is made of it."""
import collections

from packets import ACK, FIN, MSS, PSH, RST, SYN, TCP, ethernet, ipv4, ipv6, tcp

SERVER, SERVER6 = ("198.19.0.2", 80), ("fd00:19::2", 80)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes"


class Capture:
    """Frames, and what is to become of them: `played` are the client's bytes of each session, the
    others are in `skipped` by reason; `bad` packets cannot be parsed."""

    def __init__(self, make):
        self.name, self.frames, self.port = make.__name__, [], 40000
        self.played, self.skipped, self.bad = [], collections.Counter(), 0
        self.unlike_tshark = []     # of `played`: tshark shows other bytes
        self.cut_bytes = 0          # of the file's end
        make(self)

    def put(self, packet, tags=()):
        self.frames.append(ethernet(packet, tags))

    def session(self, **kw):
        self.port += 1
        return Session(self, **{"port": self.port, **kw})


class Session:
    """One connection. Its steps put packets into the capture; `make` builds an IP packet."""

    def __init__(self, capture, port, v6=False, isn=1000, tags=(), **ip_options):
        self.capture, self.tags = capture, tags
        self.ends = [("fd00:19::a" if v6 else "198.19.0.10", port), SERVER6 if v6 else SERVER]
        self.next = [isn, 900000]
        self.ip = ipv6 if v6 else ipv4
        self.ip_options = ip_options
        self.bytes = b""

    def segment(self, side, flags, data=b"", at=0, **kw):
        """What an end sends, `at` bytes from its next one; nothing is noted."""
        return tcp(self.ends[side], self.ends[1 - side], self.next[side] + at, self.next[1 - side],
                   flags | ACK, data, **kw)

    def make(self, side, flags, data=b"", at=0, tcp_options=b"", data_offset=None, **ip_options):
        segment = self.segment(side, flags, data, at, options=tcp_options, data_offset=data_offset)
        return self.ip(self.ends[side], self.ends[1 - side], segment,
                       **{**self.ip_options, **ip_options})

    def sent(self, side, data=b""):
        """That end has sent these bytes."""
        self.next[side] += len(data)
        if side == 0:
            self.bytes += data

    def put(self, packet):
        self.capture.put(packet, self.tags)

    def send(self, side, flags, data=b"", **kw):
        self.put(self.make(side, flags, data, **kw))
        self.sent(side, data)
        self.next[side] += bool(flags & FIN)

    def syn(self):
        syn = tcp(*self.ends, self.next[0], 0, SYN, options=MSS)
        self.put(self.ip(*self.ends, syn, **self.ip_options))
        return self

    def open(self):
        self.syn()
        self.next[0] += 1
        self.put(self.make(1, SYN, tcp_options=MSS))
        self.next[1] += 1
        self.put(self.make(0, 0))
        return self

    def ask(self, path="/", size=0):
        self.send(0, PSH, request(path, size))
        return self

    def answer(self):
        self.send(1, PSH, ANSWER)
        return self

    def close(self, first=0):
        for side in (first, 1 - first):
            self.send(side, FIN)
        self.put(self.make(first, 0))
        return self

    def whole(self, requests=1):
        """From SYN to FIN, to be played."""
        self.open()
        for nth in range(requests):
            self.ask("/whole/%d" % nth).answer()
        return self.close().played()

    def played(self, unlike_tshark=False):
        self.capture.played.append(self.bytes)
        if unlike_tshark:
            self.capture.unlike_tshark.append(self.bytes)
        return self

    def skipped(self, reason):
        self.capture.skipped[reason] += 1
        return self


def request(path, size=0, first=0):
    """With at least `size` bytes of body: numbers from `first` on."""
    body = b"".join(b"%08x" % (first + n) for n in range((size + 7) // 8))
    head = b"POST %s HTTP/1.1\r\nContent-Length: %d" % (path.encode(), len(body)) if body else \
        b"GET %s HTTP/1.1" % path.encode()
    return head + b"\r\nHost: x\r\n\r\n" + body


# --- fragments ------------------------------------------------------------------------------------

def cut_ipv4(s, segment, sizes, ident):
    """The fragments of what the client sends, `sizes` bytes each and the rest."""
    out, at = [], 0
    for size in (*sizes, len(segment)):
        piece = segment[at:at + size]
        more = 0x2000 if at + size < len(segment) else 0
        out.append(ipv4(*s.ends, piece, ident=ident, fragment=more | at // 8))
        at += size
        if not more:
            return out


def cut_ipv6(s, segment, size, ident):
    out = []
    for at in range(0, len(segment), size):
        piece = segment[at:at + size]
        more = at + size < len(segment)
        head = bytes([TCP, 0]) + (at | more).to_bytes(2, "big") + ident.to_bytes(4, "big")
        out.append(ipv6(*s.ends, head + piece, next_header=44))
    return out


def fragments(c):
    """Requests in IP fragments: in any order, twice, mixed with others, and some never complete."""
    def begin(order, ident, sizes=(24, 400)):
        s = c.session().open()
        data = request("/fragments", 900)
        pieces = cut_ipv4(s, s.segment(0, PSH, data), sizes, ident)
        s.sent(0, data)
        return s, [pieces[i] for i in order]

    orders = (0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 1, 0, 1, 2), (0, 2, 2, 1)
    for ident, order in enumerate(orders, 7):
        s, pieces = begin(order, ident)
        for p in pieces:
            s.put(p)
        s.answer().close().played()
    for _ in range(2):                      # one identification, used again
        s, pieces = begin((0, 1, 2), 99)
        for p in pieces:
            s.put(p)
        s.answer().close().played()
    one, first = begin((0, 1, 2), 200)      # two at the same time
    two, second = begin((2, 0, 1), 201)
    for a, b in zip(first, second):
        one.put(a)
        two.put(b)
    for s in (one, two):
        s.answer().close().played()
    s, pieces = begin((0, 2), 300)          # the middle one is lost, and sent again as a whole
    for p in pieces:
        s.put(p)
    s.put(s.make(0, PSH, s.bytes, at=-len(s.bytes)))
    s.answer().close().played()
    s, pieces = begin((0, 1), 301)          # the last one is lost for good
    for p in pieces:
        s.put(p)
    s.answer().close().skipped("hole")
    s = c.session(v6=True).open()
    data = request("/fragments/6", 900)
    for p in reversed(cut_ipv6(s, s.segment(0, PSH, data), 64, 0xABCDEF)):
        s.put(p)
    s.sent(0, data)
    s.answer().close().played()


def tiny_fragments(c):
    """A TCP header in several fragments, and fragments that reach beyond all limits."""
    s = c.session().open()
    data = request("/tiny")
    for p in cut_ipv4(s, s.segment(0, PSH, data), (8,) * 20, 5):
        s.put(p)
    s.sent(0, data)
    s.answer().close().played()
    s = c.session().open()
    s.put(ipv4(*s.ends, b"x" * 64, ident=6, fragment=0x1FFF))       # would end behind 64 KB
    s.put(ipv4(*s.ends, b"x" * 13, ident=7, fragment=0x2000))       # not a multiple of 8, and more
    s.put(ipv4(*s.ends, b"", ident=8, fragment=0x2000))
    s.ask("/after").answer().close().played()
    c.bad += 2


# --- cut ------------------------------------------------------------------------------------------

def cut_packets(c):
    """A snap length: what the client said is unknown; what the server said is not needed."""
    def cut(of, to):
        data = c.frames[of]
        c.frames[of] = data[:to], len(data)
    c.session().whole()
    c.session().open().ask("/cut", 300)
    cut(-1, 100)
    c.session(port=40002).skipped("truncated")
    s = c.session(port=50001).open().ask("/served").answer()
    cut(-1, 60)
    s.close().played()
    s = c.session(port=50002).open().ask("/again", 300)     # cut, but sent again whole
    cut(-1, 100)
    s.put(s.make(0, PSH, s.bytes, at=-len(s.bytes)))
    s.answer().close().played(unlike_tshark=True)           # which stays with the first copy


def cut_file(c):
    """The file ends within a packet: what had ended is whole, one session goes on to there."""
    c.session().whole(2)
    c.session().whole()
    s = c.session().open().ask("/one").answer().played()
    s.put(s.make(0, PSH, request("/two", 100)))
    c.cut_bytes = 60


# --- damaged --------------------------------------------------------------------------------------

def flipped(packet, at, bits=0x20):
    return packet[:at] + bytes([packet[at] ^ bits]) + packet[at + 1:]


def corrupt(c):
    """Bits that changed: the TCP checksum tells, where checksums are right otherwise."""
    for _ in range(8):
        c.session().whole(2)
    s = c.session().open()
    data = request("/sent/again", 200)
    s.put(flipped(s.make(0, PSH, data), 120))
    s.send(0, PSH, data)
    s.answer().close().played(unlike_tshark=True)           # which shows the damaged copy
    s = c.session().open()
    data = request("/never/again", 200)
    s.put(flipped(s.make(0, PSH, data), 120))
    s.sent(0, data)
    s.answer().close().skipped("hole")
    s = c.session().open().ask("/wrong/number")
    s.put(flipped(s.make(0, PSH, b"GET /evil HTTP/1.1\r\n\r\n"), 26))     # its sequence number
    s.answer().close().played()
    s = c.session().open().ask("/wrong/flags")
    s.put(flipped(s.make(0, 0), 33, RST))
    s.answer().close().played()
    c.bad += 4


def wrong_lengths(c):
    """Headers that lie about lengths, and bytes behind the packet that are none of it."""
    s = c.session().open().ask("/padded")
    c.frames[-1] += b"PADDING" * 3              # as devices do that fill up frames
    s.answer()
    c.frames[-1] += b"\0" * 9
    s.close().played()
    c.frames[-1] += b"GET /evil HTTP/1.1\r\n\r\n"
    evil = b"GET /evil HTTP/1.1\r\n\r\n"
    lies = [dict(data_offset=4), dict(data_offset=15), dict(data_offset=0), dict(ihl=4),
            dict(ihl=0), dict(ihl=15), dict(length=19), dict(length=30)]
    for lie in lies:
        s = c.session().open().ask("/lie")
        s.put(s.make(0, PSH, evil, **lie))
        s.answer().close().played()
    s = c.session().open()                      # less than was sent: its checksum tells
    data = request("/short")
    s.put(s.make(0, PSH, data, length=40 + len(data) - 5))
    s.send(0, PSH, data)
    s.answer().close().played()
    s = c.session().open()                      # more than was captured: some is missing
    data = request("/long")
    s.put(s.make(0, PSH, data, length=40 + len(data) + 50))
    s.sent(0, data + b"?" * 50)
    s.answer().close().skipped("truncated")
    s = c.session(v6=True).open().ask("/6")
    s.put(s.make(0, PSH, evil, length=10))
    s.put(ipv6(*s.ends, b"\6\xff" + b"\0" * 6 + evil, next_header=0))   # too long a header
    s.answer().close().played()
    s = c.session().open()                      # as packets are that a device is yet to cut
    data = request("/super", 4000)
    s.put(s.make(0, PSH, data, length=0))
    s.sent(0, data)
    s.answer().close().played()
    c.bad += len(lies) + 3
    c.frames += [b"", b"\2", b"\2" * 13, ethernet(b"\x45")[:14]]     # not even IP
    c.put(b"\x45" * 10)
    c.bad += 1


def ip_options(c):
    """Options of IPv4 and extension headers of IPv6, as many as there may be."""
    # nothing, record route, router alert, time stamps, a wrong length
    for options in (b"\1\1\1\0", b"\x07\x27\4" + b"\0" * 37, b"\x94\4\0\0",
                    b"\x44\x0c\5\0" + b"\0" * 8, b"\x86\0\0\0"):
        c.session(options=options).whole(2)
    hop, destination = b"\1\4" + b"\0" * 4, b"\1\x0c" + b"\0" * 12
    routing = b"\2\0\0" + b"\0" * 20
    atomic = b"\0\0\0" + b"\0\0\0\1"
    for headers in (((0, b"\0" + hop),), ((60, b"\1" + destination),), ((43, routing),),
                    ((0, b"\0" + hop), (60, b"\1" + destination), (43, routing)), ((44, atomic),)):
        s = c.session(v6=True)
        s.ip = lambda src, dst, payload, headers=headers: extended(src, dst, payload, headers)
        s.whole(2)


def extended(src, dst, payload, headers):
    """IPv6 with extension headers: (number, what follows its first byte)."""
    for i in reversed(range(len(headers))):
        following = headers[i + 1][0] if i + 1 < len(headers) else TCP
        payload = bytes([following]) + headers[i][1] + payload
    return ipv6(src, dst, payload, next_header=headers[0][0])


def vlan_stacks(c):
    """Tags of virtual networks, one on the other."""
    for tags in (((0x8100, 5),), ((0x8100, 0xE000),), ((0x88A8, 7), (0x8100, 5)),
                 ((0x9100, 7), (0x8100, 5)), ((0x8100, 1), (0x8100, 2), (0x8100, 3))):
        for v6 in (False, True):
            c.session(tags=tags, v6=v6).whole(2)


# --- connections ----------------------------------------------------------------------------------

def midstream(c):
    """Connections that had begun before the capture are counted once each and not played."""
    s = c.session()
    s.ask().answer().ask("/next").answer().close().skipped("no_syn")
    s = c.session()
    s.answer()
    s.skipped("no_syn")                         # seen from its server's side only
    s = c.session()
    s.close().skipped("no_syn")                 # nothing but its end
    again = c.session(port=s.ends[0][1], isn=70000)
    again.whole()                               # the same port, with a beginning
    s = c.session()
    s.put(s.make(1, SYN, tcp_options=MSS))      # only the SYN is missing
    s.next[1] += 1
    s.ask().answer().close().skipped("no_syn")
    c.session().whole(3)


def reused_ports(c):
    """One client port, again and again, however the connection before ended, or did not."""
    ends = (lambda s: s.close(), lambda s: s.close(first=1), lambda s: s.send(0, RST),
            lambda s: s.send(1, RST), lambda s: None)
    for nth, end in enumerate(ends * 2):
        s = c.session(port=45000, isn=5000 + nth * 1000000).open()
        for n in range(nth % 3 + 1):
            s.ask("/reused/%d/%d" % (nth, n)).answer()
        end(s)
        s.played()
    s = c.session(port=45001, isn=0xFFFFFFF0)   # numbers wrap; its SYN comes three times
    s.syn().syn().whole()
    s = c.session(port=45001, isn=0x10).syn()
    s.next[0] += 1
    s.send(1, RST)
    s.skipped("refused")
    c.session(port=45001, isn=0x20).syn().skipped("unanswered")


def overlaps(c):
    """Retransmissions that overlap, with other data: what the server's TCP took is played. It is
    what came first, but for data that waited for a gap to be filled."""
    first, other = request("/first", 200), request("/other", 200, 0x77777777)
    s = c.session().open()
    s.send(0, PSH, first)
    s.put(s.make(0, PSH, other, at=-len(first)))            # the same numbers, other bytes
    s.answer().close().played()
    s = c.session().open()
    s.send(0, PSH, first[:100])
    s.put(s.make(0, PSH, other[50:], at=-50))               # half of it new
    s.sent(0, other[100:])
    s.answer().close().played()
    s = c.session().open()
    s.send(0, PSH, first[:50])
    s.put(s.make(0, PSH, other[:150], at=-50))              # from the beginning, and longer
    s.sent(0, other[50:150])
    s.send(0, PSH, first[150:])
    s.answer().close().played()
    s = c.session().open()
    s.put(s.make(0, PSH, b"!" + other, at=-1))              # as a keep-alive: a byte before
    s.sent(0, other)
    s.answer()
    s.put(s.make(0, 0, b"?", at=-1))
    s.close().played()
    s = c.session().open()
    s.put(s.make(0, PSH, first[100:], at=100))              # overtook; the gap's bytes go further
    s.put(s.make(0, PSH, other[:150]))
    s.sent(0, other[:150] + first[150:])
    s.answer().close().played()
    s = c.session().open()
    s.ask("/beyond")
    s.put(s.make(0, PSH, other, at=90000000))               # far outside every window
    s.answer().close().played()


ALL = (fragments, tiny_fragments, cut_packets, cut_file, corrupt, wrong_lengths, ip_options,
       vlan_stacks, midstream, reused_ports, overlaps)
