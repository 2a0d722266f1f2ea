/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading files in large steps, through zlib when they are compressed. Called by capture.c and the
 * record readers. A file that ends in the middle ends the stream; what came before stays usable.
 */
#include "trace/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t gzip_magic[2] = {0x1f, 0x8b};

/* read(2) as far as `room` goes; 0 at the end or on an error, which becomes the problem told. */
static size_t read_file(struct tb_reader *r, uint8_t *to, size_t room)
{
    ssize_t n;
    do
        n = read(r->fd, to, room);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        r->problem = "read error";
    if (n <= 0)
        return 0;
    r->file_bytes += (uint64_t) n;
    return (size_t) n;
}

/* A gzip file may hold several members, one after the other; anything else behind one is left. */
static bool next_member(struct tb_reader *r)
{
    if (r->z.avail_in < 2) {
        if (r->z.avail_in == 1)
            r->packed[0] = r->z.next_in[0];
        size_t n = read_file(r, r->packed + r->z.avail_in, TB_READER_STEP - r->z.avail_in);
        r->z.next_in = r->packed;
        r->z.avail_in += (uInt) n;
    }
    return r->z.avail_in >= 2 && memcmp(r->z.next_in, gzip_magic, 2) == 0 &&
           inflateReset(&r->z) == Z_OK;
}

static size_t inflate_some(struct tb_reader *r, uint8_t *to, size_t room)
{
    r->z.next_out = to;
    r->z.avail_out = (uInt) room;
    while (r->z.avail_out == room) {
        if (r->z.avail_in == 0) {
            r->z.next_in = r->packed;
            r->z.avail_in = (uInt) read_file(r, r->packed, TB_READER_STEP);
            if (r->z.avail_in == 0) {
                r->problem = r->problem ? r->problem : "compressed data is cut short";
                return 0;
            }
        }
        int rc = inflate(&r->z, Z_NO_FLUSH);
        if (rc == Z_STREAM_END) {
            if (!next_member(r)) {
                r->at_end = true;
                break;
            }
        } else if (rc != Z_OK && rc != Z_BUF_ERROR) {
            r->problem = "compressed data is damaged";
            r->at_end = true;
            break;
        }
    }
    return room - r->z.avail_out;
}

/* Turn to decompression when the first bytes say so; what was read becomes its input. */
static int detect_gzip(struct tb_reader *r)
{
    const uint8_t *head;
    if (tb_reader_peek(r, 2, &head) < 2 || memcmp(head, gzip_magic, 2) != 0)
        return 0;
    r->packed = malloc(TB_READER_ROOM);
    if (!r->packed)
        return -ENOMEM;
    if (inflateInit2(&r->z, 15 + 16) != Z_OK)
        return -ENOMEM;
    r->gzip = true;
    size_t n = r->end - r->begin;
    memcpy(r->packed, head, n);
    r->z.next_in = r->packed;
    r->z.avail_in = (uInt) n;
    r->begin = r->end = 0;
    r->at_end = false;
    return 0;
}

int tb_reader_open(struct tb_reader *r, const char *path, struct tb_err *err)
{
    struct stat st;
    memset(r, 0, sizeof *r);
    r->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0 || fstat(r->fd, &st) < 0)
        return tb_err_set(err, -errno, "%s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return tb_err_set(err, -EISDIR, "%s: is a directory, not a capture file", path);
    r->file_size = S_ISREG(st.st_mode) ? (uint64_t) st.st_size : 0;
    r->buf = malloc(TB_READER_ROOM);
    if (!r->buf || detect_gzip(r) < 0)
        return tb_err_set(err, -ENOMEM, "%s: out of memory", path);
    return 0;
}

void tb_reader_close(struct tb_reader *r)
{
    if (r->gzip)
        inflateEnd(&r->z);
    free(r->packed);
    free(r->buf);
    if (r->fd >= 0)
        close(r->fd);
    r->packed = r->buf = NULL;
    r->gzip = false;
    r->fd = -1;
}

size_t tb_reader_fill(struct tb_reader *r, size_t want, const uint8_t **data)
{
    if (r->begin > 0) {
        memmove(r->buf, r->buf + r->begin, r->end - r->begin);
        r->end -= r->begin;
        r->begin = 0;
    }
    while (r->end < want && !r->at_end) {
        size_t room = TB_READER_ROOM - r->end;
        if (room > TB_READER_STEP)
            room = TB_READER_STEP;
        size_t n =
            r->gzip ? inflate_some(r, r->buf + r->end, room) : read_file(r, r->buf + r->end, room);
        if (n == 0)
            r->at_end = true;
        r->end += n;
    }
    *data = r->buf;
    return r->end;
}
