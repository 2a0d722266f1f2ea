/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A capture file as a stream of bytes, plain or gzip-compressed (told by its first bytes, not its
 * name). Used by the record readers behind capture.h, which look at a window of it in place.
 */
#ifndef TB_TRACE_READER_H
#define TB_TRACE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>
#include "base/err.h"

enum {
    TB_READER_STEP = 256 << 10,            /* read at a time: stays in the cache */
    TB_READER_PEEK_MAX = (1 << 20) + 4096, /* longest window */
    TB_READER_ROOM = TB_READER_PEEK_MAX + TB_READER_STEP
};

struct tb_reader {
    int fd;
    bool gzip, at_end;
    const char *problem; /* why the bytes ended early (static text), or NULL */
    uint8_t *buf;        /* TB_READER_ROOM bytes */
    size_t begin, end;   /* what is unread in it */
    uint8_t *packed;     /* compressed input, TB_READER_ROOM bytes */
    z_stream z;
    uint64_t file_bytes; /* read from the file so far */
    uint64_t file_size;  /* 0 when it is not a regular file */
};

/* Open `path`; 0 or -errno with words. tb_reader_close() may follow in either case. */
int tb_reader_open(struct tb_reader *r, const char *path, struct tb_err *err);
void tb_reader_close(struct tb_reader *r);

/* Have at least `want` (up to TB_READER_PEEK_MAX) unread bytes at hand, as far as the file has
 * them. How many there are; *data stays valid until the next call. */
size_t tb_reader_fill(struct tb_reader *r, size_t want, const uint8_t **data);

static inline size_t tb_reader_peek(struct tb_reader *r, size_t want, const uint8_t **data)
{
    if (r->end - r->begin < want)
        return tb_reader_fill(r, want, data);
    *data = r->buf + r->begin;
    return r->end - r->begin;
}

/* Move on by `n` bytes of those peeked at. */
static inline void tb_reader_consume(struct tb_reader *r, size_t n)
{
    r->begin += n;
}

#endif
