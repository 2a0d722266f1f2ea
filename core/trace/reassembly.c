/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * See reassembly.h. Packets may stand in the file behind their own acknowledgement; so that an
 * acknowledgement alone does not make missing bytes lost, a connection waits some segments more.
 */
#include "trace/reassembly.h"

#include <stdlib.h>
#include <string.h>

enum {
    PATIENCE = 64,                  /* segments of the connection: how far packets are displaced */
    CLIENT_HELD_MAX = 16 << 20,     /* bytes: more than any window that is in use */
    PIECES_MAX = 16384,             /* of one direction of a connection */
    SERVER_HELD_MAX = 256 << 10,    /* bytes of one connection */
    SERVER_HELD_TOTAL_MAX = 8 << 20 /* of all */
};

static enum tb_dir other(enum tb_dir dir)
{
    return dir == TB_FROM_CLIENT ? TB_FROM_SERVER : TB_FROM_CLIENT;
}

/* --- telling the draft ---------------------------------------------------------------------- */

/* How far acknowledgements of this stream may go without anything missing. */
static uint64_t told(const struct tb_stream *s)
{
    return s->next + (s->fin || s->fin_acked);
}

/* Was the client free to send when it was silent? */
static bool pause_was_own(const struct tb_conversation *c)
{
    const struct tb_stream *s = &c->stream[TB_FROM_CLIENT];
    if (c->hold && c->hold->first[TB_FROM_CLIENT])
        return false; /* a retransmission is filling a gap */
    return s->acked >= s->next || !s->full;
}

static void tell_bytes(struct tb_conversation *c, enum tb_dir dir, const struct tb_piece *p)
{
    struct tb_stream *s = &c->stream[dir];
    uint64_t known = s->next - p->offset;
    if (s->fin || known >= p->len)
        return;
    uint32_t skip = (uint32_t) known;
    uint32_t captured = p->present > skip ? p->present - skip : 0;
    bool own_pause = pause_was_own(c);
    s->next = p->offset + p->len;
    s->fin_acked = false;
    s->full = p->full;
    if (dir == TB_FROM_CLIENT) {
        tb_draft_client_bytes(&c->draft, p->data + skip, captured, p->time_us, own_pause);
        return;
    }
    if (captured > 0)
        tb_draft_server_bytes(&c->draft, p->data + skip, captured, p->time_us);
    tb_draft_server_bytes(&c->draft, NULL, p->len - skip - captured, p->time_us);
}

static void tell_end(struct tb_conversation *c, enum tb_dir dir, const struct tb_piece *p)
{
    struct tb_stream *s = &c->stream[dir];
    if (c->reset || (p->end == TB_END_FIN && s->fin))
        return;
    if (p->end == TB_END_FIN)
        s->fin = true;
    else
        c->reset = true;
    /* A RST behind both FINs is an afterthought of the kernel's. */
    if (p->end == TB_END_RST && c->stream[0].fin && c->stream[1].fin)
        return;
    tb_draft_end(&c->draft, dir, p->end, p->ack, p->time_us);
}

/* A FIN that was acknowledged and not captured. */
static void infer_fin(struct tb_conversation *c, enum tb_dir dir)
{
    struct tb_stream *s = &c->stream[dir];
    if (s->fin || c->reset || s->acked != s->next + 1)
        return;
    s->fin = true;
    tb_draft_end(&c->draft, dir, TB_END_FIN, c->stream[other(dir)].acked, s->acked_us);
}

static void tell(struct tb_conversation *c, enum tb_dir dir, const struct tb_piece *p)
{
    if (p->len > 0)
        tell_bytes(c, dir, p);
    if (p->end == TB_END_FIN && c->stream[other(dir)].fin_acked)
        infer_fin(c, other(dir)); /* it acknowledges a FIN, so it was not the first */
    if (p->end != TB_END_NONE)
        tell_end(c, dir, p);
}

/* --- what is held --------------------------------------------------------------------------- */

static void count_held(struct tb_reassembly *r, struct tb_hold *h, enum tb_dir dir, int64_t bytes)
{
    h->bytes[dir] = (uint32_t) ((int64_t) h->bytes[dir] + bytes);
    h->pieces[dir] += bytes > 0 ? 1 : UINT32_MAX;
    uint64_t *sum = dir == TB_FROM_SERVER ? &r->held_server_bytes : &r->held_client_bytes;
    *sum = (uint64_t) ((int64_t) *sum + bytes);
}

static int64_t held_size(const struct tb_piece *p)
{
    return (int64_t) (sizeof *p + p->present);
}

static struct tb_piece *pop(struct tb_reassembly *r, struct tb_hold *h, enum tb_dir dir)
{
    struct tb_piece *p = h->first[dir];
    h->first[dir] = p->next;
    if (!p->next)
        h->last[dir] = NULL;
    count_held(r, h, dir, -held_size(p));
    return p;
}

/* Copy the bytes [from, to) of `p`, and its end when they go to its end, before *at. */
static bool insert(struct tb_reassembly *r, struct tb_hold *h, enum tb_dir dir,
                   struct tb_piece **at, const struct tb_piece *p, uint64_t from, uint64_t to)
{
    bool last = to == p->offset + p->len;
    uint32_t skip = (uint32_t) (from - p->offset), len = (uint32_t) (to - from);
    uint32_t captured = p->present > skip ? p->present - skip : 0;
    if (captured > len)
        captured = len;
    struct tb_piece *copy = malloc(sizeof *copy + captured);
    if (!copy) {
        r->out_of_memory = true;
        return false;
    }
    *copy = *p;
    copy->offset = from;
    copy->len = len;
    copy->present = captured;
    copy->end = last ? p->end : TB_END_NONE;
    copy->order = h->order++;
    copy->data = (const uint8_t *) (copy + 1);
    if (captured > 0)
        memcpy(copy + 1, p->data + skip, captured);
    copy->next = *at;
    *at = copy;
    if (!copy->next)
        h->last[dir] = copy;
    count_held(r, h, dir, held_size(copy));
    return true;
}

static uint64_t end_of(const struct tb_piece *p)
{
    return p->offset + p->len;
}

/* Hold `p` from `from` on. Where segments differ in what they overlap, it is as in Linux's TCP (and
 * in tshark): the one that begins first has its way. What snaplen cut off gives way to others. */
static void hold_piece(struct tb_reassembly *r, struct tb_hold *h, enum tb_dir dir,
                       const struct tb_piece *p, uint64_t from)
{
    uint64_t end = end_of(p);
    struct tb_piece **at = &h->first[dir];
    if (from < p->offset)
        from = p->offset;
    if (h->last[dir] && end_of(h->last[dir]) <= from)
        at = &h->last[dir]->next; /* the usual case */
    while (from < end) {
        while (*at && end_of(*at) <= from)
            at = &(*at)->next;
        if (*at && (*at)->offset <= from) {
            from = end_of(*at);
            continue;
        }
        bool gives_way = p->present < p->len && *at && (*at)->offset < end;
        uint64_t to = gives_way ? (*at)->offset : end;
        if (!insert(r, h, dir, at, p, from, to) || to == end)
            return; /* the last part has taken the end along */
        from = to;
    }
    if (p->end == TB_END_NONE && !p->hole)
        return;
    while (*at && (*at)->offset <= end)
        at = &(*at)->next;
    struct tb_piece bare = *p;
    bare.offset = end;
    bare.len = bare.present = 0;
    insert(r, h, dir, at, &bare, end, end);
}

static bool over_limit(const struct tb_reassembly *r, const struct tb_hold *h, enum tb_dir dir)
{
    if (h->pieces[dir] > PIECES_MAX)
        return true;
    if (dir == TB_FROM_CLIENT)
        return h->bytes[dir] > CLIENT_HELD_MAX;
    return h->bytes[dir] > SERVER_HELD_MAX ||
           (h->bytes[dir] > 0 && r->held_server_bytes > SERVER_HELD_TOTAL_MAX);
}

static void free_hold_if_empty(struct tb_conversation *c)
{
    if (c->hold && !c->hold->first[0] && !c->hold->first[1]) {
        free(c->hold);
        c->hold = NULL;
    }
}

/* --- order ---------------------------------------------------------------------------------- */

static bool in_sequence(const struct tb_conversation *c, enum tb_dir dir, const struct tb_piece *p)
{
    return p->offset <= c->stream[dir].next;
}

static bool in_cause(const struct tb_conversation *c, enum tb_dir dir, const struct tb_piece *p)
{
    return p->ack <= told(&c->stream[other(dir)]);
}

/* Tell what is held and in order by now. */
static void drain(struct tb_reassembly *r, struct tb_conversation *c)
{
    struct tb_hold *h = c->hold;
    for (;;) {
        int best = -1;
        for (int dir = 0; dir < 2; dir++) {
            const struct tb_piece *p = h->first[dir];
            if (p && in_sequence(c, dir, p) && in_cause(c, dir, p) &&
                (best < 0 || p->order < h->first[best]->order))
                best = dir;
        }
        if (best < 0)
            return;
        struct tb_piece *p = pop(r, h, best);
        tell(c, best, p);
        free(p);
        h->age = 0;
    }
}

/* The next `to` - next bytes of the server were not captured. */
static void tell_gap(struct tb_conversation *c, uint64_t to, uint64_t time_us)
{
    struct tb_stream *s = &c->stream[TB_FROM_SERVER];
    tb_draft_server_bytes(&c->draft, NULL, to - s->next, time_us);
    s->next = to;
    s->fin_acked = false;
}

/* The server's next piece lies behind missing bytes: told as a gap when the client had them. */
static bool pass_server_gap(struct tb_conversation *c, bool at_once)
{
    const struct tb_stream *s = &c->stream[TB_FROM_SERVER];
    const struct tb_piece *p = c->hold->first[TB_FROM_SERVER];
    if (!p || p->offset <= s->next)
        return false;
    uint64_t to = p->offset;
    if (!at_once && s->acked < to)
        to = s->acked;
    if (to <= s->next)
        return false;
    tell_gap(c, to, p->time_us);
    return true;
}

/* The client's next piece acknowledges server bytes that were not captured. */
static bool pass_acked_gap(struct tb_reassembly *r, struct tb_conversation *c)
{
    struct tb_stream *s = &c->stream[TB_FROM_SERVER];
    const struct tb_piece *p = c->hold->first[TB_FROM_CLIENT];
    const struct tb_piece *held = c->hold->first[TB_FROM_SERVER];
    if (!p || !in_sequence(c, TB_FROM_CLIENT, p) || in_cause(c, TB_FROM_CLIENT, p))
        return false;
    if (!held && p->ack == s->next + 1) {
        s->fin_acked = true;
        return true;
    }
    uint64_t to = held && held->offset < p->ack ? held->offset : p->ack;
    if (to > s->next) {
        tell_gap(c, to, to == s->acked ? s->acked_us : p->time_us);
        return true;
    }
    /* Each waits for the other: a retransmission carries a newer acknowledgement than its original,
     * which was not captured. */
    struct tb_piece *first = pop(r, c->hold, TB_FROM_CLIENT);
    tell(c, TB_FROM_CLIENT, first);
    free(first);
    return true;
}

/* The server acknowledges a byte of the client that was never seen and may be its FIN. */
static bool pass_acked_fin(struct tb_conversation *c)
{
    struct tb_stream *s = &c->stream[TB_FROM_CLIENT];
    const struct tb_piece *p = c->hold->first[TB_FROM_SERVER];
    if (!p || in_cause(c, TB_FROM_SERVER, p) || c->hold->first[TB_FROM_CLIENT] ||
        p->ack != s->next + 1)
        return false;
    s->fin_acked = true;
    return true;
}

/* A RST needs nobody's bytes: its number tells only what had been sent. */
static bool pass_reset(struct tb_reassembly *r, struct tb_conversation *c)
{
    struct tb_piece *p = c->hold->first[TB_FROM_CLIENT];
    if (!p || p->end != TB_END_RST || p->len > 0 || c->stream[0].acked > told(&c->stream[0]))
        return false;
    p = pop(r, c->hold, TB_FROM_CLIENT);
    tell(c, TB_FROM_CLIENT, p);
    free(p);
    return true;
}

/* Are client bytes missing that the server had, or that nobody will send any more? */
static bool client_hole(const struct tb_conversation *c, bool at_once)
{
    const struct tb_stream *s = &c->stream[TB_FROM_CLIENT];
    const struct tb_piece *mine = c->hold->first[TB_FROM_CLIENT];
    const struct tb_piece *theirs = c->hold->first[TB_FROM_SERVER];
    if (theirs && in_sequence(c, TB_FROM_SERVER, theirs) && !in_cause(c, TB_FROM_SERVER, theirs))
        return true;
    return mine && mine->offset > s->next && (at_once || s->acked > s->next);
}

/* Patience is over, or a limit reached (`client_full`, `server_full`): decide what is missing. */
static bool resolve(struct tb_reassembly *r, struct tb_conversation *c, bool client_full,
                    bool server_full)
{
    while (c->hold) {
        drain(r, c);
        free_hold_if_empty(c);
        if (!c->hold)
            return true;
        if (pass_server_gap(c, server_full) || pass_acked_gap(r, c) || pass_acked_fin(c))
            continue;
        if (client_full && pass_reset(r, c))
            continue;
        c->hold->age = 0;
        return !client_hole(c, client_full);
    }
    return true;
}

bool tb_reassembly_age(struct tb_reassembly *r, struct tb_conversation *c)
{
    if (!c->hold)
        return true;
    bool client_full = over_limit(r, c->hold, TB_FROM_CLIENT);
    bool server_full = over_limit(r, c->hold, TB_FROM_SERVER);
    if (++c->hold->age <= PATIENCE && !client_full && !server_full)
        return true;
    return resolve(r, c, client_full, server_full);
}

bool tb_reassembly_expire(struct tb_reassembly *r, struct tb_conversation *c)
{
    return resolve(r, c, false, false);
}

bool tb_reassembly_add(struct tb_reassembly *r, struct tb_conversation *c, enum tb_dir dir,
                       const struct tb_piece *p)
{
    if (!c->hold && in_sequence(c, dir, p) && in_cause(c, dir, p)) {
        tell(c, dir, p);
        return true;
    }
    if (!c->hold) {
        c->hold = calloc(1, sizeof *c->hold);
        if (!c->hold) {
            r->out_of_memory = true;
            return true;
        }
    }
    hold_piece(r, c->hold, dir, p, c->stream[dir].next);
    drain(r, c);
    free_hold_if_empty(c);
    return tb_reassembly_age(r, c);
}

bool tb_reassembly_flush(struct tb_reassembly *r, struct tb_conversation *c)
{
    struct tb_stream *client = &c->stream[TB_FROM_CLIENT], *server = &c->stream[TB_FROM_SERVER];
    bool whole = resolve(r, c, true, true);
    tb_reassembly_drop(r, c);
    if (!c->reset && server->acked > told(server) + 1)
        tell_gap(c, server->acked, server->acked_us);
    if (server->acked_us < client->acked_us) {
        infer_fin(c, TB_FROM_SERVER);
        infer_fin(c, TB_FROM_CLIENT);
    } else {
        infer_fin(c, TB_FROM_CLIENT);
        infer_fin(c, TB_FROM_SERVER);
    }
    return whole && client->acked <= told(client);
}

void tb_reassembly_drop(struct tb_reassembly *r, struct tb_conversation *c)
{
    for (int dir = 0; c->hold && dir < 2; dir++)
        while (c->hold->first[dir])
            free(pop(r, c->hold, dir));
    free_hold_if_empty(c);
}
