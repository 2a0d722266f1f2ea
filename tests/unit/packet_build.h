/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Builders for packet tests: bytes are appended to a buffer, header by header, so that a test can
 * say what is special about its packet and nothing else.
 */
#ifndef TB_PACKET_BUILD_H
#define TB_PACKET_BUILD_H

#include "unit.h"
#include "packet/wire.h"

struct packet {
    uint8_t b[512];
    uint32_t len;
};

static inline void put_bytes(struct packet *p, const void *bytes, size_t n)
{
    assert_true(p->len + n <= sizeof p->b);
    if (n)
        memcpy(p->b + p->len, bytes, n);
    p->len += (uint32_t) n;
}

#define PUT(p, ...) \
    put_bytes(p, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static inline void put_fill(struct packet *p, uint8_t byte, size_t n)
{
    while (n--)
        PUT(p, byte);
}

/* 10.0.0.1 → 10.0.0.2, no options; `claimed` bytes behind the header. */
static inline void put_ipv4(struct packet *p, uint8_t proto, uint16_t claimed)
{
    uint16_t total = (uint16_t) (20 + claimed);
    PUT(p, 0x45, 0, (uint8_t) (total >> 8), (uint8_t) total, 0x12, 0x34, 0x40, 0, 64, proto, 0, 0);
    PUT(p, 10, 0, 0, 1, 10, 0, 0, 2);
}

/* fd00::1 → fd00::2; `length` is the payload length field. */
static inline void put_ipv6(struct packet *p, uint8_t next, uint16_t length)
{
    PUT(p, 0x60, 0, 0, 0, (uint8_t) (length >> 8), (uint8_t) length, next, 64);
    PUT(p, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
    PUT(p, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2);
}

/* Ports 4000 → 80, seq 0x01020304, ack 0x05060708, PSH ACK, window 0x1234. */
static inline void put_tcp(struct packet *p, uint8_t options_len)
{
    PUT(p, 0x0f, 0xa0, 0, 80, 1, 2, 3, 4, 5, 6, 7, 8, (uint8_t) ((20 + options_len) / 4 << 4));
    PUT(p, 0x18, 0x12, 0x34, 0, 0, 0, 0);
}

#endif
