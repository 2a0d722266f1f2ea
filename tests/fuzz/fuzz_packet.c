/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target of the packet parsers (packet/view.h, packet/linktype.h, packet/vxlan.h): the first
 * two bytes choose a link type, the rest is a frame. Views must lie within the packet, and what a
 * view of a segment says must survive being built into a packet again, or being given another
 * address.
 */
#include <stdlib.h>
#include <string.h>

#include "check/sight.h"
#include "intercept/readdress.h"
#include "packet/frame.h"
#include "packet/linktype.h"
#include "packet/view.h"
#include "packet/vxlan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void check_within(const uint8_t *p, uint32_t len, const uint8_t *data, size_t size)
{
    check(p >= data && len <= size && (size_t) (p - data) <= size - len);
}

static void build_again(const struct tb_segment *a)
{
    static uint8_t packet[70000];
    struct tb_frame f;
    struct tb_segment b;
    struct tb_frame_spec spec = {.src = &a->src,
                                 .dst = &a->dst,
                                 .sport = a->sport,
                                 .dport = a->dport,
                                 .seq = a->seq,
                                 .ack = a->ack,
                                 .window = a->window,
                                 .flags = a->flags};

    if (a->payload_len > 60000 || tb_addr_is_v4(&a->src) != tb_addr_is_v4(&a->dst))
        return;
    tb_frame_build(&f, &spec, a->payload, a->payload_len);
    uint32_t len = tb_frame_flatten(&f, packet, sizeof packet);
    struct tb_ip ip;
    check(len > 0 && tb_ip_parse(packet, len, &ip) == 0 && tb_segment_checksum_ok(&ip));
    check(tb_segment_parse(packet, len, &b) == 0);
    check(b.seq == a->seq && b.ack == a->ack && b.flags == a->flags && b.window == a->window);
    check(b.sport == a->sport && b.dport == a->dport && tb_addr_eq(&a->dst, &b.dst));
    check(b.payload_len == a->payload_len && b.payload_claimed == b.payload_len);
    check(b.payload_len == 0 || memcmp(a->payload, b.payload, b.payload_len) == 0);
}

/* Another source address leaves a checksum right that was right. */
static void readdress(const struct tb_ip *ip, const uint8_t *data, uint32_t size)
{
    struct tb_readdress r = {.seen = ip->src, .meant = ip->src};
    struct tb_ip after;
    uint8_t *copy = malloc(size);

    check(copy != NULL);
    memcpy(copy, data, size);
    r.meant.b[13] ^= 0x5a;
    check(tb_readdress_packet(&r, 1, copy, size, false));
    check(tb_ip_parse(copy, size, &after) == 0 && tb_addr_eq(&after.src, &r.meant));
    if (ip->proto == TB_PROTO_TCP && ip->fragment_offset == 0 && ip->payload_len >= 18 &&
        tb_segment_checksum_ok(ip))
        check(tb_segment_checksum_ok(&after));
    free(copy);
}

static void parse(const uint8_t *data, uint32_t size)
{
    struct tb_ip ip;
    struct tb_segment seg;
    struct tb_sight sight = {.kind = TB_SIGHT_TCP};

    if (tb_sight_parse(data, size, &sight)) /* what ICMP quotes, too */
        check(sight.kind == TB_SIGHT_TCP || sight.dport == 0);
    if (tb_ip_parse(data, size, &ip) == 0) {
        check_within(ip.payload, ip.payload_len, data, size);
        readdress(&ip, data, size);
        check(ip.payload_len <= ip.payload_claimed);
        tb_segment_checksum_ok(&ip);
        if (tb_tcp_parse(&ip, &seg) == 0)
            check_within(seg.payload, seg.payload_len, data, size);
    }
    int inner = tb_vxlan_ip_offset(data, size, TB_VXLAN_PORT);
    check(inner == -1 || (inner > 0 && inner < (int) size));
    if (tb_segment_parse(data, size, &seg) < 0)
        return;
    check_within(seg.payload, seg.payload_len, data, size);
    check(seg.payload_len <= seg.payload_claimed);
    check(seg.opt.sack_count <= 4 && seg.opt.wscale >= -1 && seg.opt.wscale <= 14);
    build_again(&seg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t types[] = {0, 1, 12, 14, 101, 108, 113, 228, 229, 276, 147};

    if (size < 2)
        return 0;
    /* A copy of its own, so that sanitizers see a read one byte too far. */
    uint32_t len = (uint32_t) size - 2;
    uint8_t *frame = malloc(len ? len : 1);
    check(frame != NULL);
    memcpy(frame, data + 2, len);
    parse(frame, len);
    int at = tb_linktype_ip_offset(types[data[0] % (sizeof types / sizeof *types)], frame, len);
    check(at < (int) len || at == -1);
    if (at >= 0)
        parse(frame + at, len - (uint32_t) at);
    free(frame);
    return 0;
}
