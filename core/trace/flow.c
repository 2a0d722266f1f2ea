/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * See flow.h. A session is what follows a SYN with an ISN of its own; packets without one belong to
 * connections that began before the capture.
 */
#include "trace/flow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "packet/seq.h"

enum {
    FAR = 64 << 20,         /* bytes ahead: no segment of this connection */
    ACK_FAR = 16 << 20,     /* the same for acknowledgements of bytes not seen */
    RESET_WINDOW = 1 << 20, /* a RST further ahead would not be accepted */
    MSS_DEFAULT = 1460,     /* when the SYN-ACK was not captured */
    TIMESTAMP_OPTION = 12   /* bytes of it in every segment */
};

static const struct tb_flow_key *key_of(const void *owner, uint32_t ref)
{
    const struct tb_flows *f = owner;
    if (tb_ended_is_ref(ref))
        return &tb_ended_at(&f->ended, ref)->key;
    const struct tb_flow *flow = tb_pool_at(&f->pool, ref >> 1);
    return &flow->key;
}

int tb_flows_init(struct tb_flows *f, struct tb_trace *t, const struct tb_trace_options *o)
{
    memset(f, 0, sizeof *f);
    f->drafting = (struct tb_drafting){.trace = t, .learner = o->learner};
    f->services = o->services;
    f->service_count = o->service_count;
    f->partial = o->partial;
    f->follower = o->follower;
    f->drafting.live = o->follower != NULL;
    tb_pool_init(&f->pool, sizeof(struct tb_flow));
    tb_ended_init(&f->ended, &f->table);
    f->linger = malloc(TB_FLOW_LINGER_MAX * sizeof *f->linger);
    if (f->follower && !(f->waiting = malloc(TB_FLOW_WAITING_MAX * sizeof *f->waiting)))
        return -ENOMEM;
    return tb_table_init(&f->table, f, key_of) < 0 || !f->linger ? -ENOMEM : 0;
}

void tb_flows_fini(struct tb_flows *f)
{
    tb_table_fini(&f->table);
    tb_pool_fini(&f->pool);
    tb_ended_fini(&f->ended);
    free(f->linger);
    free(f->waiting);
    f->linger = f->waiting = NULL;
}

/* Index of the service at an endpoint, or -1. */
static int find_service(const struct tb_flows *f, const struct tb_addr *addr, uint16_t port)
{
    for (uint32_t i = 0; i < f->service_count; i++) {
        const struct tb_service *s = &f->services[i];
        if (s->port == port && (s->any_addr || tb_addr_eq(&s->addr, addr)))
            return (int) i;
    }
    return -1;
}

/* --- how connections end -------------------------------------------------------------------- */

static void remember(struct tb_flows *f, uint32_t hash, const struct tb_ended *e)
{
    if (tb_ended_add(&f->ended, hash, e) < 0)
        f->drafting.out_of_memory = true;
}

/* The session's fate is decided: closed under `skip`, or as one to play. */
static void settle(struct tb_flows *f, struct tb_flow *flow, const char *skip)
{
    struct tb_script *s = flow->c.draft.script;
    bool followed = flow->followed;
    const char *reason = tb_draft_close(&flow->c.draft, skip);
    tb_reassembly_drop(&f->reassembly, &flow->c);
    flow->settled = true;
    flow->followed = false;
    if (followed)
        f->follower->ended(f->follower->ctx, s, reason);
    else if (f->follower)
        tb_drafting_free_script(&f->drafting, s);
}

/* Client bytes are missing: with --partial, what came before them is played. */
static void settle_hole(struct tb_flows *f, struct tb_flow *flow)
{
    if (f->partial && !tb_draft_is_rejected(&flow->c.draft) && flow->syn) {
        tb_draft_forget_end(&flow->c.draft);
        settle(f, flow, NULL);
    } else {
        settle(f, flow, !flow->syn ? "no_syn" : flow->truncated ? "truncated" : "hole");
    }
}

static void settle_end(struct tb_flows *f, struct tb_flow *flow)
{
    bool whole = tb_reassembly_flush(&f->reassembly, &flow->c);
    if (!flow->syn)
        settle(f, flow, "no_syn");
    else if (flow->refused)
        settle(f, flow, "refused");
    else if (!flow->answered)
        settle(f, flow, "unanswered");
    else if (whole || tb_draft_is_rejected(&flow->c.draft))
        settle(f, flow, NULL);
    else
        settle_hole(f, flow);
}

/* The connection is over. Its tuple is remembered when `keep`. */
static void finish(struct tb_flows *f, struct tb_flow *flow, uint32_t handle, bool keep)
{
    uint32_t hash = tb_table_hash(&f->table, &flow->key);
    if (!flow->settled)
        settle_end(f, flow);
    tb_table_remove(&f->table, hash, handle << 1);
    if (keep) {
        struct tb_ended e = {.key = flow->key,
                             .client = flow->client,
                             .isn = flow->c.stream[TB_FROM_CLIENT].base - 1,
                             .has_isn = true};
        remember(f, hash, &e);
    }
    flow->left = true;
    if (!flow->lingers && !flow->waits)
        tb_pool_give(&f->pool, handle);
}

/* The oldest connection in the queue has waited long enough. */
static void finish_lingering(struct tb_flows *f)
{
    uint32_t handle = f->linger[f->linger_head].handle;
    struct tb_flow *flow = tb_pool_at(&f->pool, handle);
    f->linger_head = (f->linger_head + 1) % TB_FLOW_LINGER_MAX;
    f->linger_count--;
    flow->lingers = false;
    if (!flow->left)
        finish(f, flow, handle, true);
    else if (!flow->waits)
        tb_pool_give(&f->pool, handle);
}

static void linger_if_over(struct tb_flows *f, struct tb_flow *flow, uint32_t handle,
                           uint64_t time_us)
{
    const struct tb_stream *s = flow->c.stream;
    if (flow->lingers || !(flow->c.reset || flow->refused || (s[0].fin && s[1].fin)))
        return;
    if (f->linger_count == TB_FLOW_LINGER_MAX)
        finish_lingering(f);
    uint32_t at = (f->linger_head + f->linger_count) % TB_FLOW_LINGER_MAX;
    f->linger[at] = (struct tb_lingering){time_us, handle};
    f->linger_count++;
    flow->lingers = true;
}

static void finish_old(struct tb_flows *f, uint64_t time_us)
{
    while (f->linger_count > 0 && time_us > f->linger[f->linger_head].since_us &&
           time_us - f->linger[f->linger_head].since_us > TB_FLOW_LINGER_US)
        finish_lingering(f);
}

void tb_flows_finish(struct tb_flows *f)
{
    while (f->linger_count > 0)
        finish_lingering(f);
    for (uint32_t i = 0; i <= f->table.mask; i++) {
        uint32_t ref = f->table.slots[i].ref;
        if (ref == 0 || tb_ended_is_ref(ref))
            continue;
        struct tb_flow *flow = tb_pool_at(&f->pool, ref >> 1);
        if (!flow->settled)
            settle_end(f, flow);
    }
}

/* --- live sessions and their follower ------------------------------------------------------- */

/* How far the script is: grows with whatever the follower wants to know. */
static uint64_t script_progress(const struct tb_flow *flow)
{
    const struct tb_draft *d = &flow->c.draft;
    return d->script->client_bytes + d->cut + d->script->responses + d->opaque +
           d->script->has_greeting + tb_script_complete(d->script) + d->script->module;
}

static void begin_following(struct tb_flows *f, struct tb_flow *flow, uint32_t handle)
{
    flow->followed = true; /* before: the session may end within the call */
    if (!f->follower->begin(f->follower->ctx, flow->c.draft.script, handle))
        flow->abandoned = true;
}

/* Tell the follower what a segment brought. `before`: progress then. */
static void follow(struct tb_flows *f, struct tb_flow *flow, uint32_t handle, uint64_t before)
{
    if (!flow->settled && !flow->followed && !flow->abandoned && flow->syn && flow->answered &&
        !flow->refused)
        begin_following(f, flow, handle);
    else if (!flow->settled && flow->followed && script_progress(flow) != before)
        f->follower->grown(f->follower->ctx, flow->c.draft.script);
    if (flow->abandoned && !flow->settled) {
        flow->followed = false;
        settle(f, flow, NULL);
    }
    const struct tb_stream *s = flow->c.stream;
    if (!flow->settled && !flow->c.hold &&
        (flow->c.reset || flow->refused || (s[0].fin && s[1].fin)))
        settle_end(f, flow);
    if (flow->c.hold && !flow->waits && f->waiting_count < TB_FLOW_WAITING_MAX) {
        uint32_t at = (f->waiting_head + f->waiting_count++) % TB_FLOW_WAITING_MAX;
        f->waiting[at] = (struct tb_lingering){flow->last_us, handle};
        flow->waits = true;
    }
}

void tb_flows_abandon(struct tb_flows *f, uint32_t handle)
{
    struct tb_flow *flow = tb_pool_at(&f->pool, handle);
    flow->abandoned = true;
    flow->followed = false;
    if (f->current == handle || flow->settled)
        return; /* its script may be in use further up: follow() does the rest */
    settle(f, flow, NULL);
}

void tb_flows_trim(struct tb_flows *f, uint32_t handle, struct tb_script *s,
                   const struct tb_request *keep)
{
    struct tb_flow *flow = handle ? tb_pool_at(&f->pool, handle) : NULL;
    tb_drafting_trim(&f->drafting, flow && !flow->settled ? &flow->c.draft : NULL, s, keep);
}

static void settle_if_lost(struct tb_flows *f, struct tb_flow *flow, bool whole);

/* Bytes that are missing for so long do not come any more, unless nobody has acknowledged them. */
static void decide_waiting(struct tb_flows *f, uint64_t time_us)
{
    for (uint32_t n = f->waiting_count; n > 0; n--) {
        struct tb_lingering w = f->waiting[f->waiting_head];
        struct tb_flow *flow = tb_pool_at(&f->pool, w.handle);
        if (!flow->left && time_us < w.since_us + TB_FLOW_PATIENCE_US)
            return;
        f->waiting_head = (f->waiting_head + 1) % TB_FLOW_WAITING_MAX;
        f->waiting_count--;
        flow->waits = false;
        if (flow->left) {
            if (!flow->lingers)
                tb_pool_give(&f->pool, w.handle);
            continue;
        }
        uint64_t before = flow->settled ? 0 : script_progress(flow);
        f->current = w.handle;
        if (!flow->settled)
            settle_if_lost(f, flow, tb_reassembly_expire(&f->reassembly, &flow->c));
        flow->last_us = time_us;
        follow(f, flow, w.handle, before);
        f->current = 0;
    }
}

/* Sessions that nobody has said anything in for long; a part of them at a time. */
static void end_idle(struct tb_flows *f, uint64_t time_us)
{
    for (uint32_t n = 0; f->idle_us && n < TB_FLOW_LOOK; n++) {
        uint32_t ref = f->table.slots[f->looked++ & f->table.mask].ref;
        if (ref == 0 || tb_ended_is_ref(ref))
            continue;
        struct tb_flow *flow = tb_pool_at(&f->pool, ref >> 1);
        if (!flow->lingers && time_us > flow->last_us && time_us - flow->last_us > f->idle_us)
            finish(f, flow, ref >> 1, true);
    }
}

void tb_flows_tick(struct tb_flows *f, uint64_t time_us)
{
    finish_old(f, time_us);
    decide_waiting(f, time_us);
    end_idle(f, time_us);
}

/* --- segments of a known connection --------------------------------------------------------- */

/* Offset 0 of the server's stream, from whatever tells it first; a SYN-ACK is right even when it
 * comes after something else. */
static void learn_base(struct tb_flow *flow, enum tb_dir dir, const struct tb_segment *seg)
{
    struct tb_stream *s = &flow->c.stream[TB_FROM_SERVER];
    bool synack = dir == TB_FROM_SERVER && (seg->flags & TB_TCP_SYN);
    if (synack && !flow->c.hold && s->next == 0)
        s->has_base = false;
    if (s->has_base)
        return;
    if (dir == TB_FROM_SERVER)
        s->base = seg->seq + synack;
    else if (seg->flags & TB_TCP_ACK)
        s->base = seg->ack;
    else
        return;
    s->has_base = true;
}

static void note_handshake(struct tb_flow *flow, enum tb_dir dir, const struct tb_segment *seg,
                           uint64_t time_us)
{
    if (seg->flags & TB_TCP_RST)
        return;
    if (dir == TB_FROM_SERVER) {
        flow->answered = true;
        if (seg->flags & TB_TCP_SYN) {
            if (seg->opt.mss)
                flow->server_mss = seg->opt.mss;
            tb_draft_handshake(&flow->c.draft, time_us);
        }
    } else if (!(seg->flags & TB_TCP_SYN) && (seg->flags & TB_TCP_ACK)) {
        flow->answered = true;
        if (!flow->shook && seg->payload_claimed == 0)
            tb_draft_handshake(&flow->c.draft, time_us);
        flow->shook = true;
    }
}

/* How many bytes of the other side the segment acknowledges; what was told so far when it does not
 * say or cannot mean it. */
static uint64_t note_ack(struct tb_stream *acked, const struct tb_segment *seg, uint64_t time_us)
{
    if (!(seg->flags & TB_TCP_ACK) || !acked->has_base)
        return acked->next;
    int64_t ack = tb_seq_unwrap(seg->ack, acked->base, acked->next);
    if (ack < 0)
        return 0;
    if ((uint64_t) ack > acked->next + ACK_FAR)
        return acked->next;
    if ((uint64_t) ack > acked->acked) {
        acked->acked = (uint64_t) ack;
        acked->acked_us = time_us;
    }
    return (uint64_t) ack;
}

/* What became of the session by what reassembly told its draft. */
static void settle_if_lost(struct tb_flows *f, struct tb_flow *flow, bool whole)
{
    if (tb_draft_is_rejected(&flow->c.draft))
        settle(f, flow, flow->syn ? NULL : "no_syn");
    else if (!whole)
        settle_hole(f, flow);
}

static void add_piece(struct tb_flows *f, struct tb_flow *flow, enum tb_dir dir,
                      const struct tb_piece *p)
{
    if (!flow->settled)
        settle_if_lost(f, flow, tb_reassembly_add(&f->reassembly, &flow->c, dir, p));
}

static void take_reset(struct tb_flows *f, struct tb_flow *flow, enum tb_dir dir,
                       const struct tb_segment *seg, uint64_t ack, uint64_t time_us)
{
    const struct tb_stream *s = &flow->c.stream[dir];
    if (dir == TB_FROM_SERVER && !flow->answered) {
        int32_t acked = tb_seq_diff(seg->ack, flow->c.stream[TB_FROM_CLIENT].base);
        flow->refused |= (seg->flags & TB_TCP_ACK) && acked >= 0 && acked <= RESET_WINDOW;
        return;
    }
    if (!s->has_base)
        return;
    int64_t offset = tb_seq_unwrap(seg->seq, s->base, s->next);
    if (offset < (int64_t) s->acked || offset > (int64_t) s->next + RESET_WINDOW)
        return;
    if (flow->settled) {
        flow->c.reset = true;
        return;
    }
    bool overtook = flow->c.hold && flow->c.hold->first[dir];
    struct tb_piece p = {.offset = overtook ? (uint64_t) offset : s->next,
                         .ack = ack,
                         .time_us = time_us,
                         .end = TB_END_RST};
    add_piece(f, flow, dir, &p);
}

/* The part of a segment's payload in its stream; false when there is nothing to tell. */
static bool make_piece(const struct tb_flow *flow, enum tb_dir dir, const struct tb_segment *seg,
                       struct tb_piece *p)
{
    const struct tb_stream *s = &flow->c.stream[dir];
    uint32_t seq = seg->seq + ((seg->flags & TB_TCP_SYN) != 0);
    int64_t offset = tb_seq_unwrap(seq, s->base, s->next);
    uint32_t skip = 0;
    if (s->fin || offset > (int64_t) s->next + FAR)
        return false;
    if (offset < 0) { /* probes of the first byte's predecessor */
        if (offset < -(int64_t) seg->payload_claimed)
            return false;
        skip = (uint32_t) -offset;
        offset = 0;
    }
    p->offset = (uint64_t) offset;
    p->len = seg->payload_claimed - skip;
    p->present = seg->payload_len > skip ? seg->payload_len - skip : 0;
    p->data = seg->payload + (seg->payload_len > skip ? skip : 0);
    p->end = seg->flags & TB_TCP_FIN ? TB_END_FIN : TB_END_NONE;
    uint32_t mss = flow->server_mss;
    if (seg->opt.has_ts && mss > TIMESTAMP_OPTION)
        mss -= TIMESTAMP_OPTION;
    p->full = p->len > 0 && p->len % mss == 0;
    return p->offset + p->len > s->next || p->end != TB_END_NONE;
}

static void take_bytes(struct tb_flows *f, struct tb_flow *flow, enum tb_dir dir,
                       const struct tb_segment *seg, uint64_t ack, uint64_t time_us)
{
    struct tb_piece p = {.ack = ack, .time_us = time_us};
    if (!make_piece(flow, dir, seg, &p)) {
        settle_if_lost(f, flow, tb_reassembly_age(&f->reassembly, &flow->c));
        return;
    }
    if (dir == TB_FROM_SERVER && !tb_draft_wants_payload(&flow->c.draft))
        p.present = 0;
    if (dir == TB_FROM_SERVER || p.present == p.len) {
        add_piece(f, flow, dir, &p);
        return;
    }
    /* Cut by snaplen: what is there, and a mark behind what is not. */
    struct tb_piece behind = p;
    behind.offset += p.len;
    behind.len = behind.present = 0;
    behind.hole = true;
    flow->truncated = true;
    p.len = p.present;
    p.end = TB_END_NONE;
    if (p.len > 0)
        add_piece(f, flow, dir, &p);
    add_piece(f, flow, dir, &behind);
}

static void take_segment(struct tb_flows *f, struct tb_flow *flow, uint32_t handle, enum tb_dir dir,
                         const struct tb_segment *seg, uint64_t time_us)
{
    uint64_t before = flow->settled ? 0 : script_progress(flow);
    f->current = handle;
    flow->last_us = time_us;
    learn_base(flow, dir, seg);
    if (!flow->settled)
        note_handshake(flow, dir, seg, time_us);
    struct tb_stream *mine = &flow->c.stream[dir], *theirs = &flow->c.stream[!dir];
    uint64_t ack = note_ack(theirs, seg, time_us);
    if (seg->flags & TB_TCP_RST)
        take_reset(f, flow, dir, seg, ack, time_us);
    else if (flow->settled)
        mine->fin |= (seg->flags & TB_TCP_FIN) != 0;
    else if (mine->has_base)
        take_bytes(f, flow, dir, seg, ack, time_us);
    if (f->follower)
        follow(f, flow, handle, before);
    f->current = 0;
    linger_if_over(f, flow, handle, time_us);
}

/* --- how connections begin ------------------------------------------------------------------ */

static struct tb_flow *begin(struct tb_flows *f, const struct tb_flow_key *key, uint32_t hash,
                             int client, uint32_t isn, int service, uint32_t *handle)
{
    *handle = tb_pool_take(&f->pool);
    if (*handle == 0) {
        f->drafting.out_of_memory = true;
        return NULL;
    }
    struct tb_flow *flow = tb_pool_at(&f->pool, *handle);
    flow->key = *key;
    flow->client = (uint8_t) client;
    flow->server_mss = MSS_DEFAULT;
    flow->c.stream[TB_FROM_CLIENT].base = tb_seq_add(isn, 1);
    flow->c.stream[TB_FROM_CLIENT].has_base = true;
    if (tb_draft_begin(&flow->c.draft, &f->drafting, key->addr[client], key->port[client],
                       (uint16_t) service) < 0 ||
        tb_table_add(&f->table, hash, *handle << 1) < 0) {
        f->drafting.out_of_memory = true;
        return NULL;
    }
    return flow;
}

static void set_start(struct tb_flow *flow, const struct tb_segment *seg, uint64_t time_us)
{
    struct tb_syn syn = {.mss = seg->opt.mss,
                         .wscale = seg->opt.wscale,
                         .sack_permitted = seg->opt.sack_permitted,
                         .timestamps = seg->opt.has_ts};
    flow->syn = true;
    tb_draft_set_start(&flow->c.draft, time_us, &syn);
}

static void skip_connection(struct tb_flows *f, const struct tb_flow_key *key, uint32_t hash,
                            int client, const struct tb_segment *seg, const char *reason)
{
    struct tb_ended e = {.key = *key, .client = (uint8_t) client, .isn = seg->seq, .has_isn = true};
    tb_trace_skip(f->drafting.trace, reason);
    remember(f, hash, &e);
}

/* A SYN with an ISN of its own: a session, when it is for one of the services. `before` is what was
 * known of these endpoints, or NULL. */
static void begin_session(struct tb_flows *f, const struct tb_flow_key *key, uint32_t hash,
                          int client, const struct tb_segment *seg, uint64_t time_us,
                          const struct tb_ended *before)
{
    int service = find_service(f, &seg->dst, seg->dport);
    if (service < 0) {
        skip_connection(f, key, hash, client, seg, "no_transfer");
        return;
    }
    const char *refused = f->follower ? f->follower->refuse(f->follower->ctx, &seg->src, seg->sport,
                                                            (uint16_t) service)
                                      : NULL;
    if (refused) {
        skip_connection(f, key, hash, client, seg, refused);
        return;
    }
    uint32_t handle;
    struct tb_flow *flow = begin(f, key, hash, client, seg->seq, service, &handle);
    if (!flow)
        return;
    if (before && before->has_isn) {
        flow->had_isn = true;
        flow->last_isn = before->isn;
    }
    set_start(flow, seg, time_us);
    tb_draft_handshake(&flow->c.draft, time_us);
    take_segment(f, flow, handle, TB_FROM_CLIENT, seg, time_us);
}

static void take_syn(struct tb_flows *f, const struct tb_flow_key *key, uint32_t hash, int src,
                     uint32_t ref, const struct tb_segment *seg, uint64_t time_us)
{
    if (ref == 0) {
        begin_session(f, key, hash, src, seg, time_us, NULL);
        return;
    }
    struct tb_ended before;
    if (tb_ended_is_ref(ref)) {
        before = *tb_ended_at(&f->ended, ref);
        if (before.has_isn && before.client == src && before.isn == seg->seq) {
            tb_ended_touch(&f->ended, ref);
            return;
        }
        tb_ended_remove(&f->ended, hash, ref);
    } else {
        struct tb_flow *flow = tb_pool_at(&f->pool, ref >> 1);
        uint32_t isn = flow->c.stream[TB_FROM_CLIENT].base - 1;
        if (flow->client == src && isn == seg->seq) { /* repeated, or overtaken by the SYN-ACK */
            if (!flow->syn && !flow->settled)
                set_start(flow, seg, time_us);
            take_segment(f, flow, ref >> 1, TB_FROM_CLIENT, seg, time_us);
            return;
        }
        if (flow->client == src && flow->had_isn && flow->last_isn == seg->seq)
            return; /* a late copy of the connection before */
        before = (struct tb_ended){.isn = isn, .client = flow->client, .has_isn = true};
        finish(f, flow, ref >> 1, false);
    }
    begin_session(f, key, hash, src, seg, time_us, before.client == src ? &before : NULL);
}

/* A segment of a connection whose SYN was not seen. After a SYN-ACK it may still come; otherwise
 * the connection is counted and forgotten. */
static void take_stray(struct tb_flows *f, const struct tb_flow_key *key, uint32_t hash, int src,
                       const struct tb_segment *seg, uint64_t time_us)
{
    bool synack = (seg->flags & (TB_TCP_SYN | TB_TCP_ACK)) == (TB_TCP_SYN | TB_TCP_ACK);
    int at_src = find_service(f, &seg->src, seg->sport);
    if ((seg->flags & TB_TCP_RST) || (at_src < 0 && find_service(f, &seg->dst, seg->dport) < 0))
        return;
    if (!synack) {
        struct tb_ended e = {.key = *key};
        tb_trace_skip(f->drafting.trace, "no_syn");
        remember(f, hash, &e);
    } else if (at_src >= 0) {
        uint32_t handle;
        struct tb_flow *flow = begin(f, key, hash, !src, seg->ack - 1, at_src, &handle);
        if (flow)
            take_segment(f, flow, handle, TB_FROM_SERVER, seg, time_us);
    }
}

void tb_flows_segment(struct tb_flows *f, const struct tb_segment *seg, uint64_t time_us)
{
    struct tb_flow_key key;
    int src = tb_flow_key_set(&key, &seg->src, seg->sport, &seg->dst, seg->dport);
    uint32_t hash = tb_table_hash(&f->table, &key);
    finish_old(f, time_us);
    uint32_t ref = tb_table_find(&f->table, &key, hash);
    if ((seg->flags & (TB_TCP_SYN | TB_TCP_ACK | TB_TCP_RST)) == TB_TCP_SYN) {
        take_syn(f, &key, hash, src, ref, seg, time_us);
    } else if (ref == 0) {
        take_stray(f, &key, hash, src, seg, time_us);
    } else if (tb_ended_is_ref(ref)) {
        tb_ended_touch(&f->ended, ref);
    } else {
        struct tb_flow *flow = tb_pool_at(&f->pool, ref >> 1);
        enum tb_dir dir = src == flow->client ? TB_FROM_CLIENT : TB_FROM_SERVER;
        take_segment(f, flow, ref >> 1, dir, seg, time_us);
    }
}
