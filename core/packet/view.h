/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parsed views of received packets: IP and TCP headers as host-order numbers, pointing into the
 * packet's bytes. Nothing is copied; a view lives as long as the packet.
 */
#ifndef TB_PACKET_VIEW_H
#define TB_PACKET_VIEW_H

#include <stdbool.h>
#include <stdint.h>
#include "packet/addr.h"

enum {
    TB_TCP_FIN = 0x01,
    TB_TCP_SYN = 0x02,
    TB_TCP_RST = 0x04,
    TB_TCP_PSH = 0x08,
    TB_TCP_ACK = 0x10,
    TB_TCP_URG = 0x20,
    TB_TCP_ECE = 0x40,
    TB_TCP_CWR = 0x80
};

enum { TB_PROTO_TCP = 6 };

/* One IP packet or fragment. A fragment's payload may still begin with IPv6 extension headers. */
struct tb_ip {
    struct tb_addr src, dst;
    const uint8_t *payload;   /* behind the headers (IPv6 extension headers included) */
    uint32_t payload_len;     /* bytes captured of it */
    uint32_t payload_claimed; /* bytes the header or its jumbo payload option claims;
                               * = payload_len when the total length is 0 (TSO, BIG TCP) */
    uint8_t proto;            /* of the payload */
    bool more_fragments;
    uint32_t fragment_offset; /* bytes; with more_fragments false and this 0: a whole packet */
    uint32_t id;              /* fragment identification */
};

/* Options of a TCP segment (RFC 9293 §3.1, 7323, 2018). Absent ones: mss 0, wscale -1 (at most
 * 14), others false or 0. */
struct tb_tcp_options {
    uint16_t mss;
    int8_t wscale;
    bool sack_permitted;
    bool has_ts;
    uint8_t sack_count; /* blocks below, at most 4 */
    uint32_t tsval, tsecr;
    struct {
        uint32_t left, right;
    } sack[4];
};

/* One TCP segment. */
struct tb_segment {
    struct tb_addr src, dst;
    uint16_t sport, dport;
    uint32_t seq, ack;
    uint16_t window; /* unscaled */
    uint8_t flags;   /* TB_TCP_* */
    struct tb_tcp_options opt;
    const uint8_t *payload;
    uint32_t payload_len;     /* bytes present */
    uint32_t payload_claimed; /* bytes sent, more than present when the capture cut the packet */
};

/* Parse the IP header at `data`; trailing bytes beyond the total length (Ethernet padding) are not
 * payload. 0, or -EBADMSG when it is not IP or its lengths contradict each other. */
int tb_ip_parse(const uint8_t *data, uint32_t len, struct tb_ip *ip);

/* How long is the packet that came with `came` bytes, of which `len` are here? By its IP header,
 * without Ethernet's padding; `came` where that says nothing (BIG TCP) or is not there. */
uint32_t tb_ip_length(const uint8_t *data, uint32_t len, uint32_t came);

/* Parse the TCP header at the payload of an unfragmented (or reassembled) packet. Bad options are
 * ignored from the bad one on, and so are those that the capture cut off. 0 or -EBADMSG. */
int tb_tcp_parse(const struct tb_ip *ip, struct tb_segment *seg);

/* Both at once, for the packet path; not-TCP, fragments and headers cut short are -EBADMSG. */
int tb_segment_parse(const uint8_t *data, uint32_t len, struct tb_segment *seg);

/* Does the TCP checksum of a complete packet hold? For tests and for back-ends without offload. */
bool tb_segment_checksum_ok(const struct tb_ip *ip);

#endif
