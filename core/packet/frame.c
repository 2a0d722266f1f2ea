/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Building packets (packet/frame.h). On the packet path: constant-size copies and no loops.
 */
#include "packet/frame.h"
#include <assert.h>
#include <endian.h>
#include <string.h>
#include "packet/checksum.h"
#include "packet/wire.h"

enum { IPV4_BYTES = 20, IPV6_BYTES = 40, TCP_BYTES = 20, TCP_CHECKSUM_AT = 16, TTL = 64 };
enum { DONT_FRAGMENT = 0x4000 };

/* Lengths beyond 16 bits are written as 0, as the kernel does for super-packets (BIG TCP). */
static uint16_t length16(uint32_t len)
{
    return len > UINT16_MAX ? 0 : (uint16_t) len;
}

/* A sum of at most 65,536 words of 16 bits. */
static uint16_t fold(uint32_t sum)
{
    sum = (sum >> 16) + (sum & 0xffff);
    return (uint16_t) (sum + (sum >> 16));
}

/* Both write the IP header and return the sum of the pseudo-header, folded, in memory order. That
 * of IPv4 is added up from the fields: to read back what was written in other pieces is slow. */
static uint16_t write_ipv4(uint8_t *h, const struct tb_frame_spec *spec, uint32_t tcp_len)
{
    uint32_t src = tb_addr_low32(spec->src), dst = tb_addr_low32(spec->dst);
    uint32_t addresses = (src >> 16) + (src & 0xffff) + (dst >> 16) + (dst & 0xffff);
    uint16_t total = length16(IPV4_BYTES + tcp_len);

    h[0] = 4 << 4 | IPV4_BYTES / 4;
    h[1] = 0;
    tb_put_be16(h + 2, total);
    tb_put_be16(h + 4, spec->ip_id);
    tb_put_be16(h + 6, DONT_FRAGMENT);
    h[8] = TTL;
    h[9] = TB_PROTO_TCP;
    tb_put_be16(h + 10, (uint16_t) ~fold(0x4500u + total + spec->ip_id + DONT_FRAGMENT +
                                         (TTL << 8 | TB_PROTO_TCP) + addresses));
    tb_put_be32(h + 12, src);
    tb_put_be32(h + 16, dst);
    return htobe16(fold(addresses + TB_PROTO_TCP + (tcp_len >> 16) + (tcp_len & 0xffff)));
}

static uint16_t write_ipv6(uint8_t *h, const struct tb_frame_spec *spec, uint32_t tcp_len)
{
    tb_put_be32(h, UINT32_C(6) << 28);
    tb_put_be16(h + 4, length16(tcp_len));
    h[6] = TB_PROTO_TCP;
    h[7] = TTL;
    memcpy(h + 8, spec->src->b, 16);
    memcpy(h + 24, spec->dst->b, 16);
    return tb_checksum_fold(tb_checksum_pseudo(spec->src, spec->dst, tcp_len));
}

void tb_frame_build(struct tb_frame *f, const struct tb_frame_spec *spec, const uint8_t *payload,
                    uint32_t payload_len)
{
    assert(spec->options_len <= 40 && spec->options_len % 4 == 0);
    uint32_t tcp_head = TCP_BYTES + spec->options_len;
    uint32_t tcp_len = tcp_head + payload_len;
    bool v4 = tb_addr_is_v4(spec->dst);
    uint32_t ip_len = v4 ? IPV4_BYTES : IPV6_BYTES;
    uint16_t sum = v4 ? write_ipv4(f->head, spec, tcp_len) : write_ipv6(f->head, spec, tcp_len);
    uint8_t *h = f->head + ip_len;
    tb_put_be16(h, spec->sport);
    tb_put_be16(h + 2, spec->dport);
    tb_put_be32(h + 4, spec->seq);
    tb_put_be32(h + 8, spec->ack);
    h[12] = (uint8_t) (tcp_head / 4 << 4);
    h[13] = spec->flags;
    tb_put_be16(h + 14, spec->window);
    memcpy(h + TCP_CHECKSUM_AT, &sum, sizeof sum);
    tb_put_be16(h + 18, 0);      /* urgent pointer */
    if (spec->options_len == 12) /* timestamps only: nearly every segment */
        memcpy(h + TCP_BYTES, spec->options, 12);
    else if (spec->options_len)
        memcpy(h + TCP_BYTES, spec->options, spec->options_len);

    f->head_len = (uint8_t) (ip_len + tcp_head);
    f->ip_len = (uint8_t) ip_len;
    f->gso_size = 0;
    f->payload_len = payload_len;
    f->payload = payload;
    f->transfer = 0;
}

static uint16_t complete_checksum(const struct tb_frame *f)
{
    uint64_t sum = tb_checksum_add(0, f->head + f->ip_len, f->head_len - f->ip_len);
    return (uint16_t) ~tb_checksum_fold(tb_checksum_add(sum, f->payload, f->payload_len));
}

void tb_frame_fill_checksum(struct tb_frame *f)
{
    uint16_t sum = complete_checksum(f);
    memcpy(f->head + f->ip_len + TCP_CHECKSUM_AT, &sum, sizeof sum);
}

uint32_t tb_frame_flatten(const struct tb_frame *f, uint8_t *out, uint32_t room)
{
    if (room < f->head_len || room - f->head_len < f->payload_len)
        return 0;
    memcpy(out, f->head, f->head_len);
    if (f->payload_len)
        memcpy(out + f->head_len, f->payload, f->payload_len);
    uint16_t sum = complete_checksum(f);
    memcpy(out + f->ip_len + TCP_CHECKSUM_AT, &sum, sizeof sum);
    return f->head_len + f->payload_len;
}
