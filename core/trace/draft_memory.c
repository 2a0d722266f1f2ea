/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where scripts are written: client bytes in chunks that grow with their session, and records that
 * are used again when a session is not. Called by the other draft*.c.
 */
#include <string.h>

#include "trace/draft_feed.h"

enum { CHUNK_MAX = 64 << 10 /* room taken ahead for a session, at most */ };

/* Live sessions take chunks of few sizes, so that those given back fit the next session. */
static const uint32_t rooms[TB_DRAFT_ROOMS] = {480, 4064, 32736};

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
    if (!p) {
        shared->out_of_memory = true;
        return NULL;
    }
    memset(p, 0, bytes);
    shared->bytes_in_use += bytes;
    return p;
}

void tb_draft_give(struct tb_draft_spare **spares, void *p)
{
    struct tb_draft_spare *s = p;
    s->next = *spares;
    *spares = s;
}

/* --- live sessions ------------------------------------------------------------------------- */

/* A chunk for at least one of `wanted` bytes of a session that has `bytes` already. */
static struct tb_chunk *take_chunk(struct tb_drafting *shared, uint64_t bytes, uint32_t wanted)
{
    unsigned size = wanted > rooms[1] || bytes > rooms[2]   ? 2
                    : wanted > rooms[0] || bytes > rooms[0] ? 1
                                                            : 0;
    struct tb_chunk *c = (struct tb_chunk *) (void *) shared->chunks[size];
    if (c)
        shared->chunks[size] = shared->chunks[size]->next;
    else
        c = tb_arena_alloc(&shared->trace->bytes, sizeof *c + rooms[size],
                           _Alignof(struct tb_chunk));
    if (!c)
        return NULL;
    c->room = rooms[size];
    shared->bytes_in_use += sizeof *c + c->room;
    return c;
}

static void give_chunk(struct tb_drafting *shared, struct tb_chunk *c)
{
    unsigned size = 0;
    while (rooms[size] != c->room)
        size++;
    shared->bytes_in_use -= sizeof *c + c->room;
    tb_draft_give(&shared->chunks[size], c);
}

/* `next`: the one behind it. A very long request is several records with one note. */
static void give_request(struct tb_drafting *shared, const struct tb_script *s,
                         struct tb_request *r, const struct tb_request *next)
{
    const struct tb_learner *l = shared->learner;
    bool goes_on = next && next->index == r->index && next->note == r->note;

    if (l && l->forget && r->note && !goes_on)
        l->forget(l->ctx, s, r);
    shared->bytes_in_use -= sizeof *r;
    tb_draft_give(&shared->requests, r);
}

void tb_draft_give_chunks(struct tb_drafting *shared, const struct tb_chunk *first)
{
    struct tb_chunk *c = (struct tb_chunk *) (uintptr_t) first;
    while (c) {
        struct tb_chunk *next = atomic_load_explicit(&c->next, memory_order_relaxed);
        give_chunk(shared, c);
        c = next;
    }
}

void tb_drafting_free_script(struct tb_drafting *shared, struct tb_script *s)
{
    const struct tb_learner *l = shared->learner;
    struct tb_request *r = tb_script_first(s);
    if (r) /* chunks before its first byte are gone */
        tb_draft_give_chunks(shared, r->chunk);
    while (r) {
        struct tb_request *next = tb_script_next(r);
        give_request(shared, s, r, next);
        r = next;
    }
    if (l && l->forget && s->note)
        l->forget(l->ctx, s, NULL);
    shared->bytes_in_use -= sizeof *s;
    tb_draft_give(&shared->scripts, s);
}

void tb_drafting_trim(struct tb_drafting *shared, struct tb_draft *d, struct tb_script *s,
                      const struct tb_request *keep)
{
    struct tb_request *r = tb_script_first(s);
    const struct tb_chunk *c = r ? r->chunk : NULL;
    while (r && r != keep && (!d || (r != d->awaited && r != d->last))) {
        struct tb_request *next = tb_script_next(r);
        if (!next)
            break;
        if (d && d->answered == r)
            d->answered = NULL;
        atomic_store_explicit(&s->first, next, memory_order_release);
        give_request(shared, s, r, next);
        r = next;
    }
    while (r && c != r->chunk) {
        struct tb_chunk *passed = (struct tb_chunk *) (uintptr_t) c;
        c = atomic_load_explicit(&passed->next, memory_order_relaxed);
        give_chunk(shared, passed);
    }
}

/* --- bytes --------------------------------------------------------------------------------- */

/* How much room a session of `bytes` takes at a time. About 5 √bytes would cost least in heads and
 * unused room together; this is near it and stays within a quarter of what is stored. */
static uint64_t room_ahead(uint64_t bytes)
{
    uint64_t room = 192 + bytes / 32;
    if (room > bytes / 4)
        room = bytes / 4;
    return room < CHUNK_MAX ? room : CHUNK_MAX;
}

static struct tb_chunk *new_chunk(struct tb_arena *a, uint64_t bytes, uint32_t wanted)
{
    uint64_t room = room_ahead(bytes);
    if (room < wanted)
        room = wanted;
    struct tb_chunk *c = tb_arena_alloc(a, sizeof *c + room, _Alignof(struct tb_chunk));
    if (c)
        c->room = (uint32_t) room;
    return c;
}

/* Room behind the last byte stored, in the newest chunk or a new one: at least 1 byte. */
static struct tb_chunk *make_room(struct tb_draft *d, uint32_t wanted)
{
    struct tb_arena *a = &d->shared->trace->bytes;
    struct tb_chunk *c = d->tail;
    if (c && c->len < c->room)
        return c;
    if (c && !d->shared->live && wanted <= UINT32_MAX - c->room &&
        tb_arena_extend(a, c, sizeof *c + c->room, sizeof *c + c->room + wanted) == 0) {
        c->room += wanted;
        return c;
    }
    struct tb_chunk *next = d->shared->live ? take_chunk(d->shared, d->script->client_bytes, wanted)
                                            : new_chunk(a, d->script->client_bytes, wanted);
    if (!next) {
        d->shared->out_of_memory = true;
        return NULL;
    }
    atomic_init(&next->next, NULL);
    next->len = 0;
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
