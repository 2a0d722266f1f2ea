/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Captured streams of the compressed protocol made plain: frames of a seven-byte header and zlib or
 * zstd data, or bytes as they are. Used by learn.c only: nothing is played compressed.
 */
#ifndef TB_MYSQL_COMPRESS_H
#define TB_MYSQL_COMPRESS_H

#include "wire.h"

struct tb_mysql_inflater {
    struct tb_mysql_out frame; /* as it came */
    struct tb_mysql_out plain;
};

/* Take some of the `len` bytes; how many. *whole: a frame is complete and its bytes are in
 * inf->plain until the next call. *bad: no such frame. */
size_t tb_mysql_inflate(struct tb_mysql_inflater *inf, const uint8_t *data, size_t len, bool *whole,
                        bool *bad);
/* Go on at the beginning of a frame. */
void tb_mysql_inflate_restart(struct tb_mysql_inflater *inf);
void tb_mysql_inflate_fini(struct tb_mysql_inflater *inf);

#endif
