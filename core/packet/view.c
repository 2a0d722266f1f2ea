/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parsing IP and TCP headers (packet/view.h). Fixed headers are taken whole from the cursor and
 * then decoded in place; whatever has a length of its own goes through the cursor step by step.
 */
#include "packet/view.h"
#include <errno.h>
#include <string.h>
#include "base/cursor.h"
#include "packet/checksum.h"
#include "packet/wire.h"

enum { IPV4_BYTES = 20, IPV6_BYTES = 40, TCP_BYTES = 20, WSCALE_MAX = 14 /* RFC 7323 §2.3 */ };

/* IPv6 extension headers (RFC 8200 §4, RFC 4302). */
enum { EXT_HOP_BY_HOP = 0, EXT_ROUTING = 43, EXT_FRAGMENT = 44, EXT_AUTH = 51, EXT_DSTOPTS = 60 };

enum {
    OPT_END = 0,
    OPT_NOP = 1,
    OPT_MSS = 2,
    OPT_WSCALE = 3,
    OPT_SACK_OK = 4,
    OPT_SACK = 5,
    OPT_TS = 8
};

/* What follows the cursor is the payload, as far as captured and as far as claimed. */
static int take_payload(const struct tb_cursor *c, uint32_t claimed, struct tb_ip *ip)
{
    uint32_t left = (uint32_t) tb_cursor_left(c);
    ip->payload = c->at;
    ip->payload_claimed = claimed;
    ip->payload_len = left < claimed ? left : claimed;
    /* A fragment must end on an 8-byte boundary, unless it is the last, and within 64 KB. */
    if (ip->more_fragments && claimed % 8)
        return -EBADMSG;
    if ((ip->more_fragments || ip->fragment_offset) && ip->fragment_offset + claimed > UINT16_MAX)
        return -EBADMSG;
    return 0;
}

static inline int parse_ipv4(struct tb_cursor *c, struct tb_ip *ip)
{
    uint32_t captured = (uint32_t) tb_cursor_left(c);
    const uint8_t *h = tb_cursor_bytes(c, IPV4_BYTES);
    if (!h)
        return -EBADMSG;
    uint32_t head = (h[0] & 0x0fu) * 4, total = tb_get_be16(h + 2);
    if (total == 0)
        total = captured; /* super-packet, seen before the device cut it */
    if (head < IPV4_BYTES || total < head || !tb_cursor_bytes(c, head - IPV4_BYTES))
        return -EBADMSG;
    uint32_t fragment = tb_get_be16(h + 6);
    ip->id = tb_get_be16(h + 4);
    ip->more_fragments = (fragment & 0x2000) != 0;
    ip->fragment_offset = (fragment & 0x1fff) * 8;
    ip->proto = h[9];
    ip->src = tb_addr_v4(h + 12);
    ip->dst = tb_addr_v4(h + 16);
    return take_payload(c, total - head, ip);
}

/* The jumbo payload option (RFC 2675 §2) in a hop-by-hop header; 0 when there is none. */
static uint32_t find_jumbo(const uint8_t *options, size_t len)
{
    struct tb_cursor c = tb_cursor_init(options, len);
    while (tb_cursor_left(&c)) {
        uint8_t type = tb_cursor_u8(&c);
        if (type == 0)
            continue; /* Pad1 has no length */
        uint8_t bytes = tb_cursor_u8(&c);
        if (type == 0xc2 && bytes == 4)
            return tb_cursor_be32(&c);
        tb_cursor_skip(&c, bytes);
        if (c.failed)
            return 0;
    }
    return 0;
}

/*
 * Walk the extension headers behind the fixed one. `*claimed` is what the packet claims behind the
 * cursor. Stops at the first header that is none of them, and behind the header of a real fragment,
 * whose bytes mean nothing before reassembly.
 */
static int skip_extensions(struct tb_cursor *c, struct tb_ip *ip, uint32_t *claimed, bool no_length)
{
    for (bool first = true;; first = false) {
        uint8_t type = ip->proto;
        if (type != EXT_HOP_BY_HOP && type != EXT_ROUTING && type != EXT_DSTOPTS &&
            type != EXT_FRAGMENT && type != EXT_AUTH)
            return 0;
        if (type == EXT_HOP_BY_HOP && !first)
            return -EBADMSG;                      /* only allowed right behind the fixed header */
        const uint8_t *h = tb_cursor_bytes(c, 8); /* the shortest of any kind */
        if (!h)
            return -EBADMSG;
        uint32_t head = type == EXT_FRAGMENT ? 8
                        : type == EXT_AUTH   ? (h[1] + 2u) * 4
                                             : (h[1] + 1u) * 8;
        if (head < 8 || !tb_cursor_bytes(c, head - 8))
            return -EBADMSG;
        if (type == EXT_HOP_BY_HOP) {
            uint32_t jumbo = find_jumbo(h + 2, head - 2);
            if (jumbo && (!no_length || jumbo <= UINT16_MAX))
                return -EBADMSG;
            if (jumbo)
                *claimed = jumbo;
        }
        if (*claimed < head)
            return -EBADMSG;
        *claimed -= head;
        ip->proto = h[0];
        if (type != EXT_FRAGMENT)
            continue;
        uint16_t fragment = tb_get_be16(h + 2);
        ip->fragment_offset = fragment & 0xfff8;
        ip->more_fragments = fragment & 1;
        ip->id = tb_get_be32(h + 4);
        if (ip->more_fragments || ip->fragment_offset)
            return 0;
    }
}

static int parse_ipv6(struct tb_cursor *c, struct tb_ip *ip)
{
    const uint8_t *h = tb_cursor_bytes(c, IPV6_BYTES);
    if (!h)
        return -EBADMSG;
    uint32_t length = tb_get_be16(h + 4);
    uint32_t claimed = length ? length : (uint32_t) tb_cursor_left(c);
    ip->id = 0;
    ip->more_fragments = false;
    ip->fragment_offset = 0;
    ip->proto = h[6];
    ip->src = tb_addr_v6(h + 8);
    ip->dst = tb_addr_v6(h + 24);
    if (skip_extensions(c, ip, &claimed, length == 0) < 0)
        return -EBADMSG;
    return take_payload(c, claimed, ip);
}

static inline int parse_ip(const uint8_t *data, uint32_t len, struct tb_ip *ip)
{
    struct tb_cursor c = tb_cursor_init(data, len);
    if (len == 0)
        return -EBADMSG;
    switch (data[0] >> 4) {
    case 4:
        return parse_ipv4(&c, ip);
    case 6:
        return parse_ipv6(&c, ip);
    default:
        return -EBADMSG;
    }
}

/* One option whose kind and length (without these two bytes) are known; false when it is bad. */
static bool parse_option(struct tb_tcp_options *opt, uint8_t kind, struct tb_cursor body)
{
    size_t len = tb_cursor_left(&body);
    switch (kind) {
    case OPT_MSS:
        if (len != 2)
            return false;
        opt->mss = tb_cursor_be16(&body);
        return true;
    case OPT_WSCALE:
        if (len != 1)
            return false;
        opt->wscale = (int8_t) (body.at[0] > WSCALE_MAX ? WSCALE_MAX : body.at[0]);
        return true;
    case OPT_SACK_OK:
        opt->sack_permitted = len == 0;
        return len == 0;
    case OPT_SACK:
        if (len == 0 || len % 8 || len > sizeof opt->sack)
            return false;
        opt->sack_count = (uint8_t) (len / 8);
        for (int i = 0; i < opt->sack_count; i++) {
            opt->sack[i].left = tb_cursor_be32(&body);
            opt->sack[i].right = tb_cursor_be32(&body);
        }
        return true;
    case OPT_TS:
        if (len != 8)
            return false;
        opt->has_ts = true;
        opt->tsval = tb_cursor_be32(&body);
        opt->tsecr = tb_cursor_be32(&body);
        return true;
    default:
        return true;
    }
}

static void parse_options(struct tb_tcp_options *opt, const uint8_t *p, size_t len)
{
    struct tb_cursor c = tb_cursor_init(p, len);
    while (tb_cursor_left(&c)) {
        uint8_t kind = tb_cursor_u8(&c);
        if (kind == OPT_END)
            return;
        if (kind == OPT_NOP)
            continue;
        uint8_t bytes = tb_cursor_u8(&c); /* counts kind and length too */
        if (bytes < 2)
            return;
        const uint8_t *body = tb_cursor_bytes(&c, bytes - 2u);
        if (!body || !parse_option(opt, kind, tb_cursor_init(body, bytes - 2u)))
            return;
    }
}

static inline int parse_tcp(const struct tb_ip *ip, struct tb_segment *seg)
{
    struct tb_cursor c = tb_cursor_init(ip->payload, ip->payload_len);
    const uint8_t *h = tb_cursor_bytes(&c, TCP_BYTES);
    if (!h)
        return -EBADMSG;
    uint32_t head = (uint32_t) (h[12] >> 4) * 4;
    if (head < TCP_BYTES || head > ip->payload_claimed)
        return -EBADMSG;
    seg->src = ip->src;
    seg->dst = ip->dst;
    seg->sport = tb_get_be16(h);
    seg->dport = tb_get_be16(h + 2);
    seg->seq = tb_get_be32(h + 4);
    seg->ack = tb_get_be32(h + 8);
    seg->flags = h[13];
    seg->window = tb_get_be16(h + 14);
    /* Reading on when the capture was cut within the options: it is a segment all the same. */
    uint32_t present = head < ip->payload_len ? head : ip->payload_len;
    seg->payload = ip->payload + present;
    seg->payload_len = ip->payload_len - present;
    seg->payload_claimed = ip->payload_claimed - head;

    static const uint8_t nop_nop_ts[4] = {OPT_NOP, OPT_NOP, OPT_TS, 10};
    seg->opt = (struct tb_tcp_options){.wscale = -1};
    if (present == TCP_BYTES + 12 && memcmp(h + TCP_BYTES, nop_nop_ts, 4) == 0) {
        seg->opt.has_ts = true;
        seg->opt.tsval = tb_get_be32(h + TCP_BYTES + 4);
        seg->opt.tsecr = tb_get_be32(h + TCP_BYTES + 8);
    } else if (present > TCP_BYTES) {
        parse_options(&seg->opt, h + TCP_BYTES, present - TCP_BYTES);
    }
    return 0;
}

uint32_t tb_ip_length(const uint8_t *data, uint32_t len, uint32_t came)
{
    uint32_t claimed = 0;
    if (len >= 6 && data[0] >> 4 == 4)
        claimed = tb_get_be16(data + 2);
    else if (len >= 6 && data[0] >> 4 == 6 && tb_get_be16(data + 4))
        claimed = 40u + tb_get_be16(data + 4);
    return claimed && claimed < came ? claimed : came;
}

int tb_ip_parse(const uint8_t *data, uint32_t len, struct tb_ip *ip)
{
    return parse_ip(data, len, ip);
}

int tb_tcp_parse(const struct tb_ip *ip, struct tb_segment *seg)
{
    return parse_tcp(ip, seg);
}

int tb_segment_parse(const uint8_t *data, uint32_t len, struct tb_segment *seg)
{
    struct tb_ip ip;
    if (parse_ip(data, len, &ip) < 0)
        return -EBADMSG;
    if (ip.proto != TB_PROTO_TCP || ip.more_fragments || ip.fragment_offset)
        return -EBADMSG;
    if (ip.payload_len >= TCP_BYTES && (uint32_t) (ip.payload[12] >> 4) * 4 > ip.payload_len)
        return -EBADMSG; /* which options it had would be a guess */
    return parse_tcp(&ip, seg);
}

bool tb_segment_checksum_ok(const struct tb_ip *ip)
{
    if (ip->payload_len != ip->payload_claimed || ip->more_fragments || ip->fragment_offset)
        return false;
    uint64_t sum = tb_checksum_pseudo(&ip->src, &ip->dst, ip->payload_len);
    return tb_checksum_fold(tb_checksum_add(sum, ip->payload, ip->payload_len)) == 0xffff;
}
