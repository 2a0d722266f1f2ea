/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bounds-checked reading of received bytes. Every parser reads through it.
 * A read past the end returns zeros, moves nothing and sets `failed`; a parser may read a whole
 * header and check `failed` once.
 */
#ifndef TB_BASE_CURSOR_H
#define TB_BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct tb_cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

static inline struct tb_cursor tb_cursor_init(const void *data, size_t len)
{
    const uint8_t *p = data;
    return (struct tb_cursor){.at = p, .end = p + len};
}

static inline size_t tb_cursor_left(const struct tb_cursor *c)
{
    return (size_t) (c->end - c->at);
}

/* `n` bytes in place, or NULL. */
static inline const uint8_t *tb_cursor_bytes(struct tb_cursor *c, size_t n)
{
    if (tb_cursor_left(c) < n) {
        c->failed = true;
        return NULL;
    }
    const uint8_t *p = c->at;
    c->at += n;
    return p;
}

static inline void tb_cursor_skip(struct tb_cursor *c, size_t n)
{
    (void) tb_cursor_bytes(c, n);
}

static inline uint8_t tb_cursor_u8(struct tb_cursor *c)
{
    const uint8_t *p = tb_cursor_bytes(c, 1);
    return p ? p[0] : 0;
}

static inline uint16_t tb_cursor_be16(struct tb_cursor *c)
{
    const uint8_t *p = tb_cursor_bytes(c, 2);
    return p ? (uint16_t) (p[0] << 8 | p[1]) : 0;
}

static inline uint32_t tb_cursor_be32(struct tb_cursor *c)
{
    const uint8_t *p = tb_cursor_bytes(c, 4);
    return p ? (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 | (uint32_t) p[2] << 8 | p[3] : 0;
}

static inline uint16_t tb_cursor_le16(struct tb_cursor *c)
{
    const uint8_t *p = tb_cursor_bytes(c, 2);
    return p ? (uint16_t) (p[1] << 8 | p[0]) : 0;
}

static inline uint32_t tb_cursor_le32(struct tb_cursor *c)
{
    const uint8_t *p = tb_cursor_bytes(c, 4);
    return p ? (uint32_t) p[3] << 24 | (uint32_t) p[2] << 16 | (uint32_t) p[1] << 8 | p[0] : 0;
}

#endif
