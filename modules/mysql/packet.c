/* SPDX-License-Identifier: BSD-2-Clause */
/* See packet.h. */
#include "packet.h"

#include <string.h>

/* Collect the header; true when it is there. */
static bool read_head(struct tb_mysql_packets *p, const uint8_t *data, size_t len, size_t *used)
{
    size_t n = TB_MYSQL_HEADER - p->head_len;

    if (n > len)
        n = len;
    memcpy(p->head + p->head_len, data, n);
    p->head_len = (uint8_t) (p->head_len + n);
    *used = n;
    if (p->head_len < TB_MYSQL_HEADER)
        return false;
    p->size = p->left =
        (uint32_t) p->head[0] | (uint32_t) p->head[1] << 8 | (uint32_t) p->head[2] << 16;
    return true;
}

size_t tb_mysql_packets_feed(struct tb_mysql_packets *p, const uint8_t *data, size_t len,
                             struct tb_mysql_piece *piece, bool *found)
{
    size_t used = 0;

    *found = false;
    if (p->head_len < TB_MYSQL_HEADER) {
        if (len == 0 || !read_head(p, data, len, &used))
            return used;
        p->inside = p->goes_on;
    }
    size_t n = len - used < p->left ? len - used : p->left;
    if (n == 0 && p->left > 0)
        return used;
    *piece = (struct tb_mysql_piece){.bytes = n ? data + used : NULL,
                                     .len = n,
                                     .packet_size = p->size,
                                     .seq = p->head[3],
                                     .first = !p->inside};
    p->left -= (uint32_t) n;
    p->inside = true;
    if (p->left == 0) {
        piece->ends_packet = true;
        p->goes_on = p->size == TB_MYSQL_PACKET_MAX;
        piece->last = !p->goes_on;
        p->inside = p->goes_on;
        p->head_len = 0;
    }
    *found = true;
    return used + n;
}

bool tb_mysql_packets_skip(struct tb_mysql_packets *p, uint64_t len)
{
    if (p->head_len < TB_MYSQL_HEADER || !p->inside || len >= p->left)
        return false;
    p->left -= (uint32_t) len;
    return true;
}
