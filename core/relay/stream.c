/* SPDX-License-Identifier: BSD-2-Clause */
/* Sending, waiting and reading of one connection of the server; see stream.h. */
#include "relay/stream.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Memory is taken in pieces of this size, and written piece by piece. */
enum { PIECE_BYTES = 32 * 1024, CONTROL_EXTRA_BYTES = 64 * 1024 };

struct tb_stream_piece {
    struct tb_stream_piece *next;
    uint32_t from, to;
    uint8_t data[PIECE_BYTES - 2 * sizeof(void *)];
};

void tb_stream_init(struct tb_stream *s, struct tb_stream_memory *memory, int fd,
                    struct tb_tls *tls)
{
    *s = (struct tb_stream){.fd = fd, .tls = tls, .memory = memory};
    pthread_mutex_init(&s->lock, NULL);
}

static void free_head(struct tb_stream *s)
{
    struct tb_stream_piece *p = s->head;

    s->head = p->next;
    if (!s->head)
        s->tail = NULL;
    s->waiting -= sizeof *p;
    atomic_fetch_sub_explicit(&s->memory->used, sizeof *p, memory_order_relaxed);
    free(p);
}

void tb_stream_fini(struct tb_stream *s)
{
    while (s->head)
        free_head(s);
    tb_tls_free(s->tls);
    (void) close(s->fd);
    pthread_mutex_destroy(&s->lock);
}

/* --- with the lock held ----------------------------------------------------------------------- */

/* At least one byte, or -errno. */
static ssize_t write_some(struct tb_stream *s, const uint8_t *data, size_t len)
{
    if (s->tls)
        return tb_tls_write(s->tls, data, len);
    for (;;) {
        ssize_t n = send(s->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n >= 0 || errno != EINTR)
            return n >= 0 ? n : -errno;
    }
}

/* Write until it is all gone, or will not go: how much went. */
static uint32_t write_much(struct tb_stream *s, const uint8_t *data, uint32_t len)
{
    uint32_t done = 0;

    while (done < len) {
        ssize_t n = write_some(s, data + done, len - done);
        if (n < 0) {
            if (n != -EAGAIN)
                s->error = (int) n;
            break;
        }
        done += (uint32_t) n;
    }
    return done;
}

static int add_piece(struct tb_stream *s)
{
    struct tb_stream_piece *p = malloc(sizeof *p);

    if (!p)
        return -ENOMEM;
    p->next = NULL;
    p->from = p->to = 0;
    if (s->tail)
        s->tail->next = p;
    else
        s->head = p;
    s->tail = p;
    s->waiting += sizeof *p;
    atomic_fetch_add_explicit(&s->memory->used, sizeof *p, memory_order_relaxed);
    return 0;
}

/* Append to what waits. Half a frame cannot be taken back: without memory the stream is broken. */
static void append(struct tb_stream *s, const uint8_t *data, uint32_t len)
{
    while (len > 0) {
        if ((!s->tail || s->tail->to == sizeof s->tail->data) && add_piece(s) < 0) {
            s->error = -ENOMEM;
            return;
        }
        struct tb_stream_piece *p = s->tail;
        uint32_t room = (uint32_t) sizeof p->data - p->to, take = len < room ? len : room;
        memcpy(p->data + p->to, data, take);
        p->to += take;
        data += take;
        len -= take;
    }
}

static bool is_full(const struct tb_stream *s, uint32_t len, bool is_control)
{
    const struct tb_stream_memory *m = s->memory;
    uint64_t bound = m->each_bytes;

    if (m->each_small_bytes < bound &&
        atomic_load_explicit(&m->used, memory_order_relaxed) >= m->all_bytes)
        bound = m->each_small_bytes;
    return s->waiting + len > bound + (is_control ? CONTROL_EXTRA_BYTES : 0);
}

static int send_locked(struct tb_stream *s, const uint8_t *frame, uint32_t len, uint32_t records)
{
    if (s->error)
        return s->error;
    if (s->head) {
        if (is_full(s, len, records == 0)) {
            s->dropped += records;
            return -ENOBUFS;
        }
        append(s, frame, len);
        return s->error;
    }
    uint32_t done = write_much(s, frame, len);
    if (s->error || done == len)
        return s->error;
    /* What TLS refused must be offered again, and half a frame cannot stay away: always kept. */
    append(s, frame + done, len - done);
    return s->error ? s->error : TB_STREAM_WAITS;
}

static int drain_locked(struct tb_stream *s)
{
    struct tb_stream_piece *p = s->head;

    if (s->error || !p)
        return s->error;
    p->from += write_much(s, p->data + p->from, p->to - p->from);
    if (p->from < p->to)
        return s->error ? s->error : TB_STREAM_WAITS;
    free_head(s);
    return s->head ? TB_STREAM_WAITS : 0;
}

/* --- entries ---------------------------------------------------------------------------------- */

int tb_stream_send(struct tb_stream *s, const uint8_t *frame, uint32_t len, uint32_t records)
{
    pthread_mutex_lock(&s->lock);
    int rc = send_locked(s, frame, len, records);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

/* One piece at a time, so that nobody who sends waits for long; the event loop comes again. */
int tb_stream_drain(struct tb_stream *s)
{
    pthread_mutex_lock(&s->lock);
    int rc = drain_locked(s);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

ssize_t tb_stream_read(struct tb_stream *s, void *data, size_t room)
{
    if (s->tls) {
        pthread_mutex_lock(&s->lock);
        ssize_t n = tb_tls_read(s->tls, data, room);
        pthread_mutex_unlock(&s->lock);
        return n;
    }
    ssize_t n = recv(s->fd, data, room, MSG_DONTWAIT);
    if (n < 0)
        return errno == EINTR ? -EAGAIN : -errno;
    return n;
}

uint64_t tb_stream_dropped(struct tb_stream *s)
{
    pthread_mutex_lock(&s->lock);
    uint64_t dropped = s->dropped;
    pthread_mutex_unlock(&s->lock);
    return dropped;
}
