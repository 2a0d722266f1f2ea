/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IP addresses of either family in 16 bytes, network byte order: IPv4 as ::ffff:a.b.c.d
 * (RFC 4291 §2.5.5.2).
 */
#ifndef TB_PACKET_ADDR_H
#define TB_PACKET_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct tb_addr {
    uint8_t b[16];
};

/* Port in host byte order. */
struct tb_endpoint {
    struct tb_addr addr;
    uint16_t port;
};

enum { TB_ADDR_TEXT = 48, TB_ENDPOINT_TEXT = 56 };

static inline bool tb_addr_is_v4(const struct tb_addr *a)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(a->b, mapped, 12) == 0;
}
static inline struct tb_addr tb_addr_v4(const uint8_t be[4])
{
    struct tb_addr a = {.b = {[10] = 0xff, [11] = 0xff}};
    memcpy(a.b + 12, be, 4);
    return a;
}
static inline struct tb_addr tb_addr_v6(const uint8_t be[16])
{
    struct tb_addr a;
    memcpy(a.b, be, 16);
    return a;
}
static inline bool tb_addr_eq(const struct tb_addr *a, const struct tb_addr *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}
/* The last four bytes as a host-order number (all of an IPv4 address). */
static inline uint32_t tb_addr_low32(const struct tb_addr *a)
{
    return (uint32_t) a->b[12] << 24 | (uint32_t) a->b[13] << 16 | (uint32_t) a->b[14] << 8 |
           a->b[15];
}
/* `a` with its last four bytes moved up by n (no carry beyond them). */
static inline struct tb_addr tb_addr_plus(struct tb_addr a, uint32_t n)
{
    uint32_t v = tb_addr_low32(&a) + n;
    a.b[12] = (uint8_t) (v >> 24);
    a.b[13] = (uint8_t) (v >> 16);
    a.b[14] = (uint8_t) (v >> 8);
    a.b[15] = (uint8_t) v;
    return a;
}

/* Parse "a.b.c.d" or an IPv6 address without brackets; 0 or -EINVAL. */
int tb_addr_parse(const char *text, struct tb_addr *out);
/* Text form into `buf`; returns buf. */
const char *tb_addr_format(const struct tb_addr *a, char buf[TB_ADDR_TEXT]);
/* "1.2.3.4:80" or "[::1]:80". */
const char *tb_endpoint_format(const struct tb_endpoint *e, char buf[TB_ENDPOINT_TEXT]);

#endif
