/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Big-endian numbers at a known place: for building headers, and for reading fixed headers whose
 * bytes a tb_cursor has already vouched for.
 */
#ifndef TB_PACKET_WIRE_H
#define TB_PACKET_WIRE_H

#include <stdint.h>

static inline uint16_t tb_get_be16(const uint8_t *p)
{
    return (uint16_t) (p[0] << 8 | p[1]);
}
static inline uint32_t tb_get_be32(const uint8_t *p)
{
    return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 | (uint32_t) p[2] << 8 | p[3];
}
static inline void tb_put_be16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t) (v >> 8);
    p[1] = (uint8_t) v;
}
static inline void tb_put_be32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t) (v >> 24);
    p[1] = (uint8_t) (v >> 16);
    p[2] = (uint8_t) (v >> 8);
    p[3] = (uint8_t) v;
}

#endif
