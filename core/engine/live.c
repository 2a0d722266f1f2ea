/* SPDX-License-Identifier: BSD-2-Clause */
/* Sessions of live traffic as users of a worker; see live.h. */
#include "engine/live_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "engine/modules.h"
#include "io/backends.h"

enum {
    BATCH = 64,         /* packets between looks at how much there is to settle */
    REST_US = 2000000,  /* a slot goes on answering its last server for so long at least */
    LOOK_US = 10000,    /* between looks at the clock's share of the work */
    TRIM_BYTES = 16384, /* of a session, between looks at what is not needed any more */
    ARENA_BYTES = 256 << 10
};

/* --- slots ----------------------------------------------------------------------------------- */

struct tb_live_user *tb_live_users(struct tb_live *l)
{
    return l->users;
}

static void announce(struct tb_live *l, const struct tb_live_user *lu, bool wanted)
{
    const struct tb_live_config *c = l->config;

    if (c->announcer)
        c->announcer->announce(c->rx[l->w->index], &lu->key.addr[lu->client],
                               lu->key.port[lu->client], wanted);
}

void tb_live_announce(struct tb_live *l)
{
    if (l->config->announcer)
        l->config->announcer->flush(l->config->rx[l->w->index]);
}

bool tb_live_walk(void *ctx, uint64_t *cursor, struct tb_endpoint *out)
{
    const struct tb_live *l = ctx;

    for (uint64_t slot = *cursor; slot < l->config->users; slot++) {
        const struct tb_live_user *lu = &l->users[slot];
        if (!lu->is_listed)
            continue;
        *out = (struct tb_endpoint){lu->key.addr[lu->client], lu->key.port[lu->client]};
        *cursor = slot + 1;
        return true;
    }
    return false;
}

/* Nobody answers for the slot's pair any more. */
static void unlist(struct tb_live *l, uint32_t slot)
{
    struct tb_live_user *lu = &l->users[slot];
    struct tb_user *u = tb_live_slot_user(l, slot);
    struct tb_tcp_path path;

    if (!lu->is_listed)
        return;
    if (u->tcp.state != TB_TCP_CLOSED && u->tcp.state != TB_TCP_TIME_WAIT) {
        tb_user_path(l->w, u, &path);
        tb_tcp_abort(&l->w->tcp, &u->tcp, &path);
        if (l->w->half_closed > 0)
            l->w->half_closed--;
    }
    tb_tcp_release(&l->w->tcp, &u->tcp);
    u->tcp = (struct tb_tcp){.owner = slot};
    tb_live_pairs_remove(&l->pairs, slot);
    lu->is_listed = false;
    announce(l, lu, false);
}

static void link_newest(struct tb_live *l, uint32_t slot)
{
    l->users[slot].newer = TB_LIVE_NOBODY;
    l->users[slot].older = l->newest;
    if (l->newest != TB_LIVE_NOBODY)
        l->users[l->newest].newer = slot;
    else
        l->oldest = slot;
    l->newest = slot;
}

static void unlink_slot(struct tb_live *l, uint32_t slot)
{
    struct tb_live_user *lu = &l->users[slot];

    if (lu->older != TB_LIVE_NOBODY)
        l->users[lu->older].newer = lu->newer;
    else
        l->oldest = lu->newer;
    if (lu->newer != TB_LIVE_NOBODY)
        l->users[lu->newer].older = lu->older;
    else
        l->newest = lu->older;
}

static void make_slot(struct tb_live *l, uint32_t slot)
{
    struct tb_user *u = tb_live_slot_user(l, slot);

    u->tcp.owner = slot;
    u->due_us = TB_NEVER;
    l->users[slot].script = l->nobody;
    l->users[slot].sibling = TB_LIVE_NOBODY;
}

/* The slot that has been free the longest, unless the server may still want answers of it: then one
 * that was never used, as long as there are such. */
static uint32_t take_slot(struct tb_live *l)
{
    uint32_t slot = l->free[l->free_first];
    bool has_rested = l->free_count && l->w->tcp.now_us >= l->users[slot].freed_us + REST_US;

    if (!has_rested && l->fresh < l->config->users) {
        make_slot(l, l->fresh);
        return l->fresh++;
    }
    if (l->free_count == 0)
        return TB_LIVE_NOBODY;
    l->free_first = (l->free_first + 1) % l->config->users;
    l->free_count--;
    return slot;
}

static void give_slot(struct tb_live *l, uint32_t slot)
{
    l->users[slot].freed_us = l->w->tcp.now_us;
    l->free[(l->free_first + l->free_count++) % l->config->users] = slot;
}

/* --- sessions begin -------------------------------------------------------------------------- */

/* Is the pair another one's? A slot that only answers last segments gives way. */
static bool is_pair_free(struct tb_live *l, const struct tb_flow_key *key)
{
    uint32_t slot = tb_live_pairs_find(&l->pairs, key);

    if (slot == TB_LIVE_NOBODY)
        return true;
    if (l->users[slot].is_taken)
        return false;
    unlist(l, slot);
    return true;
}

/* A pair for the session that nobody has, whose packets reach this worker. */
static bool choose_pair(struct tb_live *l, const struct tb_script *s, uint32_t slot)
{
    struct tb_live_user *lu = &l->users[slot];
    const struct tb_plan *plan = l->w->config->plan;
    const struct tb_endpoint *target = &plan->targets[s->transfer];
    struct tb_live_pair pair;

    for (uint32_t nth = 0; tb_live_pairs_try(&l->pairs, s, target, nth, &pair); nth++) {
        if (plan->workers > 1 &&
            tb_steer_worker(tb_addr_low32(&pair.addr), pair.port, plan->workers) != l->w->index)
            continue;
        lu->client =
            (uint8_t) tb_flow_key_set(&lu->key, &pair.addr, pair.port, &target->addr, target->port);
        if (!is_pair_free(l, &lu->key))
            continue;
        lu->is_listed = tb_live_pairs_add(&l->pairs, slot) == 0;
        return lu->is_listed;
    }
    return false;
}

static bool begin_one(struct tb_live *l, struct tb_script *s, uint32_t flow)
{
    static struct tb_log_limit limit;
    uint32_t slot = take_slot(l);

    if (slot == TB_LIVE_NOBODY) {
        l->w->stats.live.shed_memory++;
        return false;
    }
    unlist(l, slot);
    if (!choose_pair(l, s, slot)) {
        give_slot(l, slot);
        l->w->stats.live.shed_pairs++;
        tb_log_limited(&limit, TB_LOG_WARN,
                       "no free address and port for another session: %u are open at once; give "
                       "more addresses with -c, or fewer replicas with -n",
                       l->fresh - l->free_count);
        return false;
    }
    struct tb_live_user *lu = &l->users[slot];
    lu->script = s;
    lu->flow = flow;
    lu->module = s->module;
    lu->is_taken = true;
    lu->done = lu->resumed = NULL;
    lu->sibling = s->number;
    s->number = slot;
    link_newest(l, slot);
    announce(l, lu, true);
    tb_player_start(l->w, tb_live_slot_user(l, slot), 0);
    return true;
}

static bool begin(void *ctx, struct tb_script *s, uint32_t flow)
{
    struct tb_live *l = ctx;
    bool any = false;

    s->number = TB_LIVE_NOBODY;
    for (uint32_t n = 0; n < l->config->replicas; n++)
        any |= begin_one(l, s, flow);
    l->w->stats.live.taken += any;
    if (any)
        tb_live_share_begin(&l->share, &s->client, s->client_port);
    return any;
}

static bool is_loopback(const struct tb_addr *a)
{
    static const uint8_t v6[16] = {[15] = 1};

    return tb_addr_is_v4(a) ? a->b[12] == 127 : memcmp(a->b, v6, sizeof v6) == 0;
}

bool tb_live_is_own(const struct tb_live_config *c, const struct tb_addr *a)
{
    if (is_loopback(a))
        return true;
    for (uint32_t i = 0; i < c->local_count; i++)
        if (tb_addr_eq(a, &c->local[i]))
            return true;
    return false;
}

static const char *refuse(void *ctx, const struct tb_addr *client, uint16_t port, uint16_t transfer)
{
    struct tb_live *l = ctx;
    const struct tb_live_config *c = l->config;
    struct tb_live_stats *st = &l->w->stats.live;
    enum tb_live_share_answer answer = tb_live_share_ask(&l->share, client, port, l->w->tcp.now_us);

    st->sessions++;
    if (l->w->stop != TB_STOP_NONE)
        return "after_end";
    if (answer == TB_LIVE_SHARE_NOT_CHOSEN)
        return "share";
    if (c->client_count == 0) {
        const struct tb_addr *target = &l->w->config->plan->targets[transfer].addr;
        bool own = tb_live_is_own(c, client);
        if (own && !c->has_localhost)
            return "local_client";
        if (tb_addr_is_v4(own ? &c->localhost : client) != tb_addr_is_v4(target))
            return "family";
    }
    if (answer == TB_LIVE_SHARE_NO_TIME) {
        st->shed_cpu++;
        return "cpu";
    }
    return NULL;
}

/* --- sessions go on and end ------------------------------------------------------------------ */

static void grown(void *ctx, struct tb_script *s)
{
    struct tb_live *l = ctx;
    uint32_t next;

    for (uint32_t slot = s->number; slot != TB_LIVE_NOBODY; slot = next) {
        next = l->users[slot].sibling;
        if (l->users[slot].waits)
            tb_worker_touch(l->w, tb_live_slot_user(l, slot));
        tb_player_grown(l->w, tb_live_slot_user(l, slot));
    }
}

static void ended(void *ctx, struct tb_script *s, const char *reason)
{
    struct tb_live *l = ctx;
    bool hole = reason && (strcmp(reason, "hole") == 0 || strcmp(reason, "truncated") == 0);
    uint32_t next;

    for (uint32_t slot = s->number; slot != TB_LIVE_NOBODY; slot = next) {
        struct tb_user *u = tb_live_slot_user(l, slot);
        next = l->users[slot].sibling;
        l->users[slot].flow = 0;
        if (l->users[slot].waits) {
            l->users[slot].waits = !reason;
            tb_worker_touch(l->w, u);
        }
        if (!reason)
            tb_player_grown(l->w, u);
        else
            tb_verdict_set(l->w, u, hole ? TB_VERDICT_CAPTURE_HOLE : TB_VERDICT_CUT);
    }
}

static void unlink_sibling(struct tb_live *l, uint32_t slot)
{
    struct tb_script *s = l->users[slot].script;
    uint32_t *at = &s->number;

    while (*at != slot)
        at = &l->users[*at].sibling;
    *at = l->users[slot].sibling;
}

void tb_live_retire(struct tb_live *l, struct tb_user *u)
{
    uint32_t slot = tb_user_index(l->w, u);
    struct tb_live_user *lu = &l->users[slot];
    struct tb_script *s = lu->script;
    uint32_t flow = lu->flow;

    if (!lu->is_taken)
        return;
    unlink_sibling(l, slot);
    unlink_slot(l, slot);
    lu->is_taken = lu->waits = false;
    lu->flow = 0;
    lu->script = &l->nobody[s->transfer];
    u->sent = NULL;
    give_slot(l, slot);
    if (s->number != TB_LIVE_NOBODY)
        return;
    tb_live_share_end(&l->share, &s->client, s->client_port);
    if (flow)
        tb_flows_abandon(&l->flows, flow);
    else
        tb_drafting_free_script(&l->flows.drafting, s);
}

/* The first request of the script that a replica may still need; NULL: not known. */
static const struct tb_request *first_needed(const struct tb_live *l, const struct tb_script *s)
{
    for (const struct tb_request *r = tb_script_first(s); r; r = tb_script_next(r)) {
        for (uint32_t slot = s->number; slot != TB_LIVE_NOBODY; slot = l->users[slot].sibling) {
            const struct tb_request *done = l->users[slot].done;
            if (!done || done == r)
                return done;
        }
    }
    return NULL;
}

static bool is_in_request(const struct tb_request *r, const uint8_t *byte)
{
    struct tb_run run = tb_request_run(r);
    const uint8_t *piece;
    uint32_t n;

    while ((n = tb_run_next(&run, &piece)) > 0)
        if (byte >= piece && byte < piece + n)
            return true;
    return false;
}

/* The oldest request that the user still needs: answered are those before, and acknowledged. NULL:
 * all of them. */
static const struct tb_request *needed_from(const struct tb_live *l, const struct tb_user *u)
{
    const struct tb_worker *w = l->w;
    const struct tb_busy *b = tb_user_busy(w, u);
    const struct tb_request *r = tb_script_first(tb_user_script(w, u));

    if (!b || !u->sent || u->phase == TB_PHASE_IDLE)
        return b ? NULL : u->sent;
    const struct tb_pending *p = tb_pending_at(w, b->first_pending);
    const struct tb_tcp_span *span =
        b->tcp.first_span ? tb_pool_at(&w->tcp.spans, b->tcp.first_span) : NULL;
    for (; r && r != u->sent && !(p && r == p->request); r = tb_script_next(r))
        if (span && is_in_request(r, span->data))
            return r;
    /* Bytes of the module's own: who knows what is behind them. */
    return span && !(r && is_in_request(r, span->data)) ? NULL : r;
}

void tb_live_trim(struct tb_live *l, struct tb_user *u)
{
    struct tb_live_user *lu = &l->users[tb_user_index(l->w, u)];
    struct tb_script *s = lu->script;

    if (s->client_bytes < lu->trimmed_at + TRIM_BYTES || tb_user_module(l->w, u)->holds)
        return;
    lu->trimmed_at = s->client_bytes;
    const struct tb_request *mine = needed_from(l, u);
    if (!mine)
        return;
    lu->done = mine;
    const struct tb_request *keep = first_needed(l, s);
    if (keep && keep != tb_script_first(s))
        tb_flows_trim(&l->flows, lu->flow, s, keep);
}

/* --- going on when the target has failed a copy ---------------------------------------------- */

static bool is_failed_by_target(enum tb_verdict verdict)
{
    return verdict == TB_VERDICT_CONNECT_TIMEOUT || verdict == TB_VERDICT_REFUSED ||
           verdict == TB_VERDICT_RESET || verdict == TB_VERDICT_RESPONSE_TIMEOUT ||
           verdict == TB_VERDICT_CLOSED_EARLY;
}

static const struct tb_request *behind(const struct tb_script *s, const struct tb_request *r)
{
    return r ? tb_script_next(r) : tb_script_first(s);
}

void tb_live_play_over(struct tb_live *l, struct tb_user *u, enum tb_verdict verdict)
{
    struct tb_live_user *lu = &l->users[tb_user_index(l->w, u)];
    const struct tb_request *r;

    if (!is_failed_by_target(verdict) || !tb_user_module(l->w, u)->stands_alone)
        return;
    lu->waits = true;
    if (u->sent != lu->resumed)
        return;
    /* Nothing could be sent: what is known now would meet with the same. */
    while ((r = behind(lu->script, u->sent)) != NULL)
        u->sent = r;
}

bool tb_live_resume(struct tb_live *l, struct tb_user *u)
{
    struct tb_worker *w = l->w;
    struct tb_live_user *lu = &l->users[tb_user_index(w, u)];
    const struct tb_request *r;

    if (!lu->waits || w->stop != TB_STOP_NONE)
        return false;
    while ((r = behind(lu->script, u->sent)) != NULL &&
           ((r->flags & TB_REQ_CONTINUED) || (u->sent && (u->sent->flags & TB_REQ_PART))))
        u->sent = r;
    if (!r && lu->flow) {
        tb_live_trim(l, u);
        return true;
    }
    lu->waits = false;
    if (!r || (r->flags & TB_REQ_BYTES))
        return false;
    lu->resumed = u->sent;
    u->flags |= TB_USER_AGAIN;
    tb_player_start(w, u, 0);
    u->sent = lu->resumed;
    u->responses = r->waits_for;
    return true;
}

/* --- packets --------------------------------------------------------------------------------- */

static bool is_target(const struct tb_plan *plan, const struct tb_addr *addr, uint16_t port)
{
    for (uint32_t i = 0; i < plan->target_count; i++)
        if (port == plan->targets[i].port && tb_addr_eq(addr, &plan->targets[i].addr))
            return true;
    return false;
}

static bool is_service(const struct tb_live_config *c, const struct tb_addr *addr, uint16_t port)
{
    for (uint32_t i = 0; i < c->service_count; i++)
        if (port == c->services[i].port &&
            (c->services[i].any_addr || tb_addr_eq(addr, &c->services[i].addr)))
            return true;
    return false;
}

/* The client's end decides whose it is, as everywhere. */
static bool is_mine(const struct tb_live *l, const struct tb_segment *seg)
{
    uint32_t workers = l->w->config->plan->workers;

    if (workers == 1)
        return true;
    bool to_service = is_service(l->config, &seg->dst, seg->dport);
    const struct tb_addr *client = to_service ? &seg->src : &seg->dst;
    uint16_t port = to_service ? seg->sport : seg->dport;
    return tb_steer_worker(tb_addr_low32(client), port, workers) == l->w->index;
}

static void take_packet(struct tb_live *l, const struct tb_tapped *p)
{
    const struct tb_plan *plan = l->w->config->plan;
    struct tb_segment seg;
    struct tb_ip ip;

    l->w->stats.live.packets++;
    if (tb_ip_parse(p->data, p->len, &ip) < 0 || ip.proto != TB_PROTO_TCP)
        return;
    if ((ip.more_fragments || ip.fragment_offset > 0) &&
        !tb_fragments_add(&l->fragments, &ip, p->time_us))
        return;
    if (tb_tcp_parse(&ip, &seg) < 0)
        return;
    if (p->wire_len > p->len && seg.payload_claimed < seg.payload_len + (p->wire_len - p->len))
        seg.payload_claimed = seg.payload_len + (p->wire_len - p->len);
    /* What we send ourselves, and what answers that. */
    if (!l->config->is_recorded &&
        (is_target(plan, &seg.dst, seg.dport) || is_target(plan, &seg.src, seg.sport)))
        return;
    if (!is_mine(l, &seg))
        return;
    tb_flows_segment(&l->flows, &seg, p->time_us);
    if (tb_live_memory(l) > l->config->memory_bytes)
        tb_live_keep_memory(l);
}

static void look_around(struct tb_live *l)
{
    struct tb_worker *w = l->w;

    l->look_us = w->tcp.now_us + LOOK_US;
    tb_flows_tick(&l->flows, w->tcp.real_us);
    w->stats.live.memory_bytes = tb_live_memory(l);
    w->stats.live.drops = tb_tap_drops(l->tap);
}

bool tb_live_take(struct tb_live *l)
{
    struct tb_worker *w = l->w;
    struct tb_tapped packets[BATCH];
    uint32_t total = 0, n = BATCH;
    bool looks = w->tcp.now_us >= l->look_us;

    if (looks) /* before what has piled up is read */
        tb_live_keep_up(l);
    while (n == BATCH && total < TB_WORKER_BATCH && w->dirty_count < TB_WORKER_DIRTY / 2) {
        n = tb_tap_recv(l->tap, packets, BATCH, w->tcp.real_us);
        for (uint32_t i = 0; i < n; i++)
            take_packet(l, &packets[i]);
        total += n;
    }
    if (looks)
        look_around(l);
    if (l->tap->is_over && !l->is_over) {
        l->is_over = true;
        tb_flows_finish(&l->flows);
    }
    return n == BATCH;
}

uint64_t tb_live_next_us(struct tb_live *l)
{
    const struct tb_worker *w = l->w;
    uint64_t at = tb_tap_next_us(l->tap), real = w->tcp.real_us;

    if (at != UINT64_MAX)
        at = at > real ? w->tcp.now_us + (at - real) : 0;
    return at < l->look_us ? at : l->look_us;
}

bool tb_live_is_over(const struct tb_live *l)
{
    return l->is_over;
}

struct tb_user *tb_live_user_at(const struct tb_live *l, const struct tb_segment *seg)
{
    struct tb_flow_key key;
    int at = tb_flow_key_set(&key, &seg->dst, seg->dport, &seg->src, seg->sport);
    uint32_t slot = tb_live_pairs_find(&l->pairs, &key);

    if (slot == TB_LIVE_NOBODY || l->users[slot].client != at)
        return NULL;
    return tb_live_slot_user(l, slot);
}

/* --- life ------------------------------------------------------------------------------------ */

int tb_live_open(const struct tb_live_config *config, struct tb_worker *w, struct tb_live **out,
                 struct tb_err *err)
{
    struct tb_live *l = calloc(1, sizeof *l);
    uint32_t targets = w->config->plan->target_count;

    if (!l)
        return tb_err_set(err, -ENOMEM, "out of memory");
    *out = l;
    l->config = config;
    l->w = w;
    l->tap = config->taps[w->index];
    l->share = (struct tb_live_share){.percent = config->percent,
                                      .ramp_us = config->ramp_us,
                                      .begin_us = w->begin_us,
                                      .max_cpu = config->max_cpu};
    tb_live_share_init(&l->share);
    l->oldest = l->newest = TB_LIVE_NOBODY;
    l->follower = (struct tb_follower){l, refuse, begin, grown, ended};
    tb_arena_init(&l->trace.bytes, ARENA_BYTES);
    tb_arena_init(&l->trace.records, ARENA_BYTES);
    const struct tb_trace_options o = {.services = config->services,
                                       .service_count = config->service_count,
                                       .learner = config->learner,
                                       .follower = &l->follower};
    int rc = tb_flows_init(&l->flows, &l->trace, &o);
    l->flows.idle_us = config->idle_us;
    l->users = calloc(config->users, sizeof *l->users);
    l->free = malloc(config->users * sizeof *l->free);
    l->nobody = calloc(targets, sizeof *l->nobody);
    if (rc < 0 || !l->users || !l->free || !l->nobody ||
        tb_live_pairs_init(&l->pairs, config, l->users) < 0)
        return tb_err_set(err, -ENOMEM, "out of memory for %u live sessions", config->users);
    for (uint32_t i = 0; i < targets; i++) {
        l->nobody[i].transfer = (uint16_t) i;
        atomic_store(&l->nobody[i].complete, true);
    }
    if (config->announcer)
        config->announcer->walk(config->rx[w->index], tb_live_walk, l);
    return 0;
}

static void ended_quietly(void *ctx, struct tb_script *s, const char *reason)
{
    (void) ctx;
    (void) s;
    (void) reason;
}

void tb_live_close(struct tb_live *l)
{
    static const struct tb_follower nobody = {.ended = ended_quietly};

    if (!l)
        return;
    if (l->flows.table.slots) {
        /* Drafts hold memory of their own, notes may; nobody plays any more. */
        l->flows.follower = &nobody;
        tb_flows_finish(&l->flows);
    }
    for (uint32_t i = 0; l->users && i < l->config->users; i++)
        if (l->users[i].is_taken && l->users[i].script->number == i)
            tb_drafting_free_script(&l->flows.drafting, l->users[i].script);
    tb_flows_fini(&l->flows);
    tb_fragments_fini(&l->fragments);
    tb_live_pairs_fini(&l->pairs);
    tb_trace_free(&l->trace);
    free(l->users);
    free(l->free);
    free(l->nobody);
    free(l);
}

uint64_t tb_live_script_bytes(const struct tb_live *l)
{
    return l->flows.drafting.bytes_in_use;
}

void tb_live_count(const struct tb_live *l, struct tb_trace *into)
{
    for (uint32_t i = 0; i < l->trace.skip_count; i++) {
        uint32_t at = tb_trace_skip_index(into, l->trace.skipped[i].reason);
        into->skipped[at].sessions += l->trace.skipped[i].sessions;
    }
    into->packets += l->w->stats.live.packets;
    into->requests += l->trace.requests;
    into->client_bytes += l->trace.client_bytes;
}
