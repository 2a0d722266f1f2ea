/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bytes of one connection of the server, with or without TLS. Any thread may send whole frames:
 * directly while nothing waits, behind what waits otherwise, up to a bound; one thread (the
 * server's control thread) reads and drains what waits. Nothing blocks.
 */
#ifndef TB_RELAY_STREAM_H
#define TB_RELAY_STREAM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "relay/tls.h"

/* What all streams of a server share. Bounds are of memory, which is taken in pieces. */
struct tb_stream_memory {
    uint64_t each_bytes;       /* most that waits in one stream */
    uint64_t all_bytes;        /* beyond this in all streams … */
    uint64_t each_small_bytes; /* … only so much in one */
    atomic_uint_fast64_t used; /* now, in all of them */
};

struct tb_stream_piece;

struct tb_stream {
    int fd;
    struct tb_tls *tls; /* or NULL */
    struct tb_stream_memory *memory;
    pthread_mutex_t lock; /* of tls and all below */
    struct tb_stream_piece *head, *tail;
    uint64_t waiting; /* memory of all pieces */
    uint64_t dropped; /* records */
    int error;        /* -errno once it broke */
};

/* Takes over fd and tls (may be NULL). */
void tb_stream_init(struct tb_stream *s, struct tb_stream_memory *memory, int fd,
                    struct tb_tls *tls);
/* Closes the descriptor. */
void tb_stream_fini(struct tb_stream *s);

enum { TB_STREAM_WAITS = 1 };

/*
 * Send a whole frame (copied when it has to wait). `records`: how many it carries; 0: a control
 * frame, which is let in a little beyond the bound.
 * 0: sent, or waits behind others; TB_STREAM_WAITS: it is the first that waits: have
 * tb_stream_drain() called when the socket can be written; -ENOBUFS: dropped (and counted); other
 * errors: the stream is broken for good.
 */
int tb_stream_send(struct tb_stream *s, const uint8_t *frame, uint32_t len, uint32_t records);
/* Write what waits. 0: nothing waits any more; TB_STREAM_WAITS; or why it is broken. */
int tb_stream_drain(struct tb_stream *s);
/* Bytes read; 0: the end; -EAGAIN; other errors: lost. */
ssize_t tb_stream_read(struct tb_stream *s, void *data, size_t room);
/* Records dropped so far. */
uint64_t tb_stream_dropped(struct tb_stream *s);

#endif
