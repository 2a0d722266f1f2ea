/* SPDX-License-Identifier: BSD-2-Clause */
/* See compress.h. */
#include "compress.h"

#include <string.h>
#include <zlib.h>
#include <zstd.h>

enum { FRAME_HEADER = 7 };

/* Unpack `len` bytes at `data` to exactly `size` bytes. */
static bool unpack(struct tb_mysql_inflater *inf, const uint8_t *data, size_t len, size_t size)
{
    if (size == 0) { /* stored */
        tb_mysql_out_bytes(&inf->plain, data, len);
        return !inf->plain.failed;
    }
    tb_mysql_out_zeros(&inf->plain, size);
    if (inf->plain.failed)
        return false;
    /* Client and server may both know both: the data tell. */
    if (len >= 4 && memcmp(data, "\x28\xb5\x2f\xfd", 4) == 0)
        return ZSTD_decompress(inf->plain.data, size, data, len) == size;
    uLongf got = size;
    return uncompress(inf->plain.data, &got, data, len) == Z_OK && got == size;
}

static size_t collect(struct tb_mysql_inflater *inf, size_t wanted, const uint8_t *data, size_t len)
{
    size_t n = wanted - inf->frame.len;

    if (n > len)
        n = len;
    tb_mysql_out_bytes(&inf->frame, data, n);
    return n;
}

size_t tb_mysql_inflate(struct tb_mysql_inflater *inf, const uint8_t *data, size_t len, bool *whole,
                        bool *bad)
{
    size_t used = 0;

    *whole = *bad = false;
    if (inf->frame.len < FRAME_HEADER)
        used = collect(inf, FRAME_HEADER, data, len);
    if (inf->frame.len < FRAME_HEADER)
        return used;
    struct tb_mysql_in in = tb_mysql_in(inf->frame.data, inf->frame.len);
    size_t packed = (size_t) tb_mysql_in_number(&in, 3);
    tb_mysql_in_number(&in, 1);
    size_t size = (size_t) tb_mysql_in_number(&in, 3);
    used += collect(inf, FRAME_HEADER + packed, data + used, len - used);
    if (inf->frame.len < FRAME_HEADER + packed)
        return used;
    inf->plain.len = 0;
    *whole = unpack(inf, inf->frame.data + FRAME_HEADER, packed, size);
    *bad = !*whole || inf->frame.failed;
    tb_mysql_out_empty(&inf->frame);
    return used;
}

void tb_mysql_inflate_restart(struct tb_mysql_inflater *inf)
{
    inf->frame.len = 0;
}

void tb_mysql_inflate_fini(struct tb_mysql_inflater *inf)
{
    tb_mysql_out_fini(&inf->frame);
    tb_mysql_out_fini(&inf->plain);
}
