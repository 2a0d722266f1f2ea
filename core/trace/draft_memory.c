/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where scripts are written: client bytes in chunks that grow with their session, and records that
 * are used again when a session is not. Called by the other draft*.c.
 */
#include <string.h>

#include "trace/draft_feed.h"

enum { CHUNK_MAX = 64 << 10 /* room taken ahead for a session, at most */ };

struct tb_draft_spare {
    struct tb_draft_spare *next;
};

void *tb_draft_take(struct tb_drafting *shared, struct tb_draft_spare **spares, size_t bytes)
{
    void *p = *spares;
    if (p)
        *spares = (*spares)->next;
    else
        p = tb_arena_alloc(&shared->trace->records, bytes, 8);
    if (p)
        memset(p, 0, bytes);
    else
        shared->out_of_memory = true;
    return p;
}

void tb_draft_give(struct tb_draft_spare **spares, void *p)
{
    struct tb_draft_spare *s = p;
    s->next = *spares;
    *spares = s;
}

/* How much room a session of `bytes` takes at a time. About 5 √bytes would cost least in heads and
 * unused room together; this is near it and stays within a quarter of what is stored. */
static uint64_t room_ahead(uint64_t bytes)
{
    uint64_t room = 192 + bytes / 32;
    if (room > bytes / 4)
        room = bytes / 4;
    return room < CHUNK_MAX ? room : CHUNK_MAX;
}

/* Room behind the last byte stored, in the newest chunk or a new one: at least 1 byte. */
static struct tb_chunk *make_room(struct tb_draft *d, uint32_t wanted)
{
    struct tb_arena *a = &d->shared->trace->bytes;
    struct tb_chunk *c = d->tail;
    if (c && c->len < c->room)
        return c;
    if (c && wanted <= UINT32_MAX - c->room &&
        tb_arena_extend(a, c, sizeof *c + c->room, sizeof *c + c->room + wanted) == 0) {
        c->room += wanted;
        return c;
    }
    uint64_t room = room_ahead(d->script->client_bytes);
    if (room < wanted)
        room = wanted;
    struct tb_chunk *next = tb_arena_alloc(a, sizeof *next + room, _Alignof(struct tb_chunk));
    if (!next) {
        d->shared->out_of_memory = true;
        return NULL;
    }
    atomic_init(&next->next, NULL);
    next->len = 0;
    next->room = (uint32_t) room;
    if (c)
        atomic_store_explicit(&c->next, next, memory_order_release);
    else
        d->cut_chunk = next;
    d->tail = next;
    return next;
}

void tb_draft_store(struct tb_draft *d, const uint8_t *bytes, uint32_t len)
{
    while (len > 0) {
        struct tb_chunk *c = make_room(d, len);
        if (!c)
            return;
        uint32_t n = c->room - c->len < len ? c->room - c->len : len;
        memcpy(c->data + c->len, bytes, n);
        c->len += n;
        bytes += n;
        len -= n;
        d->script->client_bytes += n;
    }
}

void tb_draft_pass(struct tb_draft *d, uint32_t len)
{
    d->cut += len;
    while (len > 0) {
        uint32_t n = d->cut_chunk->len - d->cut_at;
        if (n == 0) {
            d->cut_chunk = atomic_load_explicit(&d->cut_chunk->next, memory_order_relaxed);
            d->cut_at = 0;
            continue;
        }
        if (n > len)
            n = len;
        d->cut_at += n;
        len -= n;
    }
}
