# SPDX-License-Identifier: BSD-2-Clause
"""Packets and captures made by hand: for tests whose captures nobody can record, or that want a
size of their own. An end of a connection is (address, port). Standard library only."""
import ipaddress
import struct

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
TCP = 6
ETHERNET, RAW_IP = 1, 101   # link types
MSS = bytes.fromhex("020405b4")


def checksum(data):
    data += b"\0" * (len(data) & 1)
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def address(end):
    return ipaddress.ip_address(end[0]).packed


def tcp(src, dst, seq, ack, flags, data=b"", options=b"", data_offset=None):
    """A TCP segment; `data_offset`: what it says of its header's length, if not the truth."""
    words = 5 + len(options) // 4 if data_offset is None else data_offset
    head = struct.pack(">HHIIBBHHH", src[1], dst[1], seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, words << 4,
                       flags, 65535, 0, 0)
    pseudo = address(src) + address(dst) + struct.pack(">II", len(head + options + data), TCP)
    return head[:16] + struct.pack(">H", checksum(pseudo + head + options + data)) + head[18:] \
        + options + data


def ipv4(src, dst, payload, *, options=b"", ident=1, fragment=0x4000, length=None, ihl=None):
    """`fragment`: flags and offset; `length`, `ihl`: what it says, if not the truth."""
    head_bytes = 20 + len(options)
    head = struct.pack(">BBHHHBBH", 0x40 | (head_bytes // 4 if ihl is None else ihl), 0,
                       head_bytes + len(payload) if length is None else length, ident, fragment,
                       64, TCP, 0) + address(src) + address(dst) + options
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def ipv6(src, dst, payload, *, next_header=TCP, length=None):
    """`payload`: with extension headers, of which `next_header` is the first."""
    return struct.pack(">IHBB", 6 << 28, len(payload) if length is None else length, next_header,
                       64) + address(src) + address(dst) + payload


def ethernet(packet, tags=()):
    """`tags`: (EtherType, number) of virtual networks, the outermost first."""
    inner = 0x86DD if packet[0] >> 4 == 6 else 0x0800
    return b"\2\0\0\0\0\2" b"\2\0\0\0\0\1" + b"".join(struct.pack(">HH", *t) for t in tags) \
        + struct.pack(">H", inner) + packet


def write_pcap(path, link_type, frames, step_us=100):
    """`frames`: bytes, or (bytes, original length) where something is cut off."""
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, link_type))
        for i, frame in enumerate(frames):
            data, original = frame if isinstance(frame, tuple) else (frame, len(frame))
            seconds, us = divmod(i * step_us, 1000000)
            f.write(struct.pack("<IIII", 1700000000 + seconds, us, len(data), original) + data)
    return path
