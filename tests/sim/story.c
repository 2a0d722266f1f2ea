/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happens in a seed: the weather, the configuration, the captured sessions and what their
 * servers do in spite of the capture. All of it comes from the seed.
 */
#include <stdlib.h>
#include <string.h>
#include "watch.h"

enum { USERS_LEAST = 50, REWRITE_BYTES = 1500, REWRITE_PREFIX = 7 };

static uint64_t log_between(struct tb_rng *r, uint64_t least, uint64_t most)
{
    unsigned from = 63u - (unsigned) __builtin_clzll(least);
    unsigned to = 63u - (unsigned) __builtin_clzll(most);
    uint64_t base = UINT64_C(1) << between(r, from, to);
    uint64_t v = base + tb_rng_below(r, base);

    return v < least ? least : v > most ? most : v;
}

static bool percent(struct tb_rng *r, uint32_t n)
{
    return tb_rng_below(r, 100) < n;
}

/* --- weather ---------------------------------------------------------------------------------- */

static void make_losses(struct weather *w, struct tb_rng *r, uint32_t most)
{
    w->loss[0] = percent(r, 80) ? (uint32_t) log_between(r, 1000, most) : 0;
    w->loss[1] = percent(r, 80) ? (uint32_t) log_between(r, 1000, most) : 0;
    w->ack_loss = percent(r, 20) ? (uint32_t) between(r, 10000, 200000) : 0;
    if (percent(r, 30))
        w->twice = (uint32_t) log_between(r, 1000, 50000);
    if (percent(r, 30))
        w->corrupt = (uint32_t) log_between(r, 1000, most);
    if (percent(r, 20))
        w->cut_off = (uint32_t) log_between(r, 1000, most);
}

static void make_weather(struct sim *s)
{
    struct weather *w = &s->weather;
    struct tb_rng *r = &s->rng;
    uint64_t kind = tb_rng_below(r, 100);

    w->one_way_us = log_between(r, 10, kind < 40 ? 40 * MS : 120 * MS);
    w->fifo = kind < 65;
    w->jitter_us = percent(r, 50) ? 0 : tb_rng_below(r, w->one_way_us / 2 + 1);
    w->clean = kind < 40;
    w->gentle = kind < 80;
    if (w->clean)
        return;
    make_losses(w, r, kind < 80 ? 30000 : 180000);
    if (!w->fifo)
        w->late = (uint32_t) log_between(r, 1000, 150000);
    if (kind >= 80 && percent(r, 50)) {
        w->burst[0] = (uint32_t) log_between(r, 1000, 20000);
        w->burst[1] = (uint32_t) log_between(r, 1000, 20000);
        w->burst_len = (uint32_t) between(r, 2, 12);
    }
    if (kind >= 93) {
        w->dark_us[0] = s->begin_us + between(r, 0, 3 * SEC);
        w->dark_us[1] = w->dark_us[0] + log_between(r, 50 * MS, 200 * SEC);
        w->dark_ways = 1 + (unsigned) tb_rng_below(r, 3);
    }
}

/* --- sessions --------------------------------------------------------------------------------- */

static uint32_t some_bytes(struct tb_rng *r)
{
    uint64_t kind = tb_rng_below(r, 100);

    if (kind < 40)
        return (uint32_t) between(r, 1, 100);
    if (kind < 70)
        return (uint32_t) between(r, 100, 1500);
    if (kind < 93)
        return (uint32_t) between(r, 1400, 9000);
    return (uint32_t) log_between(r, 9000, 60000);
}

static uint64_t some_time(struct sim *s)
{
    struct tb_rng *r = &s->rng;
    uint64_t kind = tb_rng_below(r, 1000);

    if (kind < 500)
        return 0;
    if (kind < 800)
        return between(r, 1, 50 * MS);
    if (kind < 970 || !s->weather.clean)
        return log_between(r, 50 * MS, 3 * SEC);
    if (kind < 998)
        return log_between(r, SEC, 60 * SEC);
    return log_between(r, 3600 * SEC, 200 * 3600 * SEC); /* timers wrap at 76 hours */
}

static void make_request(struct sim *s, struct sim_session *t, uint32_t i)
{
    struct tb_rng *r = &s->rng;
    struct sim_request *q = &t->req[i];
    bool silent = percent(r, 8);

    q->r.len = some_bytes(r);
    q->r.think_us = some_time(s);
    q->r.response_bytes = silent ? 0 : some_bytes(r);
    q->r.waits_for = t->script.responses;
    q->r.index = i;
    if (i > 0 && percent(r, 15)) {
        q->r.flags |= TB_REQ_PIPELINED;
        q->r.waits_for = t->req[i - 1].r.waits_for;
    }
    if (silent)
        q->r.flags |= TB_REQ_NO_RESPONSE;
    else
        q->r.flags |= TB_REQ_ANSWERED;
    if (t->script.module == MODULE_BYTES)
        q->r.flags |= TB_REQ_BYTES;
    q->server_us = percent(r, 60) ? 0 : log_between(r, 10, 200 * MS);
    if (percent(r, 10)) {
        q->pause_us = (uint32_t) log_between(r, MS, 300 * MS);
        q->r.silence_us = q->pause_us;
    }
    atomic_init(&q->r.next, NULL);
    if (i > 0)
        atomic_store(&t->req[i - 1].r.next, &q->r);
    t->len += q->r.len;
    t->script.requests++;
    t->script.responses += !silent;
}

/* Script bytes in chunks of any size. */
static void cut_into_chunks(struct sim *s, struct sim_session *t)
{
    struct tb_chunk *last = NULL;
    uint32_t size = (uint32_t) log_between(&s->rng, 200, 200000), at = 0, next = 0, i = 0;

    for (; at < t->len; at += last->len) {
        uint32_t n = t->len - at < size ? t->len - at : size;
        struct tb_chunk *k = malloc(sizeof *k + n);
        if (!k)
            abort();
        k->len = k->room = n;
        atomic_init(&k->next, NULL);
        memcpy(k->data, t->bytes + at, n);
        if (last)
            atomic_store(&last->next, k);
        last = k;
        for (; i < t->count && next < at + n; next += t->req[i++].r.len) {
            t->req[i].r.chunk = k;
            t->req[i].r.chunk_offset = next - at;
        }
    }
}

/* What the server gets of request `i`: as captured, or as MODULE_REWRITER makes it (modules.c). */
static uint32_t wire_of(const struct sim_session *t, uint32_t i, const uint8_t *from, uint8_t *out)
{
    uint32_t len = t->req[i].r.len;

    if (t->script.module != MODULE_REWRITER || i % 3 == 0) {
        memcpy(out, from, len);
        return len;
    }
    if (i % 3 == 1) {
        memset(out, 'P', REWRITE_PREFIX);
        memcpy(out + REWRITE_PREFIX, from, len);
        return len + REWRITE_PREFIX;
    }
    memcpy(out, from, len / 2);
    for (uint32_t k = 0; k < REWRITE_BYTES; k++)
        out[len / 2 + k] = rewritten_byte(k);
    return len / 2 + REWRITE_BYTES;
}

static void make_streams(struct sim *s, struct sim_session *t)
{
    uint32_t at = 0;

    t->bytes = malloc(t->len + 1);
    t->wire = malloc(t->len + SIM_REQUESTS * (REWRITE_BYTES + 10));
    if (!t->bytes || !t->wire)
        abort();
    for (uint32_t i = 0; i < t->len; i++)
        t->bytes[i] = (uint8_t) (i * 101 + (i >> 8) * 57 + (i >> 16) + 7 * t->script.number);
    t->replies = t->greeting;
    for (uint32_t i = 0; i < t->count; i++) {
        struct sim_request *q = &t->req[i];
        q->wire_from = t->wire_len;
        t->wire_len += wire_of(t, i, t->bytes + at, t->wire + t->wire_len);
        q->wire_to = t->wire_len;
        t->replies += (uint32_t) q->r.response_bytes;
        q->reply_to = t->replies;
        at += q->r.len;
    }
    cut_into_chunks(s, t);
}

static void end_abandoned(struct sim *s, struct sim_session *t)
{
    struct tb_script_end *e = &t->script.end;
    struct tb_request *last = &t->req[t->count - 1].r;

    last->flags &= (uint16_t) ~TB_REQ_ANSWERED;
    t->script.responses--;
    last->response_bytes = between(&s->rng, 2000, 60000);
    e->waits_for = t->script.responses;
    e->server_responses = t->script.responses;
    e->bytes = last->response_bytes / 2;
    e->client_rst = percent(&s->rng, 50);
    s->refuses_data |= e->client_rst;
}

static void make_end(struct sim *s, struct sim_session *t)
{
    struct tb_script_end *e = &t->script.end;
    bool last_answered = t->count && (t->req[t->count - 1].r.flags & TB_REQ_ANSWERED);
    bool bytes = t->script.module == MODULE_BYTES;

    t->end = (enum sim_end) tb_rng_below(&s->rng, END_KINDS);
    if (percent(&s->rng, 40))
        t->end = END_CLIENT_FIN;
    if (!last_answered && (t->end == END_HALF_CLOSE || t->end == END_ABANDON))
        t->end = END_CLIENT_FIN;
    if (!bytes && t->end == END_ABANDON)
        t->end = END_SERVER_FIN;
    t->server_close_us = percent(&s->rng, 50) ? 0 : log_between(&s->rng, 10, 300 * MS);
    *e = (struct tb_script_end){.client = TB_END_FIN,
                                .server = TB_END_FIN,
                                .server_fin = true,
                                .waits_for = t->script.responses,
                                .server_responses = t->script.responses,
                                .delay_us = percent(&s->rng, 50) ? 0 : some_time(s)};
    if (t->end == END_SERVER_FIN)
        e->server_first = true;
    if (t->end == END_SERVER_FIN_ONLY || t->end == END_SERVER_RST || t->end == END_OPEN)
        e->client = TB_END_NONE;
    if (t->end == END_CLIENT_RST) {
        e->client = TB_END_RST;
        e->server = TB_END_NONE;
        e->server_fin = false;
    }
    if (t->end == END_SERVER_RST) {
        e->server = TB_END_RST;
        e->server_fin = false;
    }
    if (t->end == END_OPEN) {
        e->server = TB_END_NONE;
        e->server_fin = false;
    }
    if (t->end == END_HALF_CLOSE) {
        e->waits_for = t->script.responses - 1;
        e->delay_us %= SEC; /* its server waits for the FIN */
    }
    s->closes_early |= t->end == END_HALF_CLOSE;
    if (t->end == END_ABANDON)
        end_abandoned(s, t);
}

static void make_session(struct sim *s, uint32_t n)
{
    struct sim_session *t = &s->session[n];
    struct tb_rng *r = &s->rng;

    t->count = (uint32_t) (percent(r, 6) ? 0 : percent(r, 50) ? 1 : between(r, 1, SIM_REQUESTS));
    t->script.number = n;
    t->script.module =
        (uint8_t) (t->count == 0 || percent(r, 40) ? MODULE_BYTES : tb_rng_below(r, MODULE_COUNT));
    t->script.transfer = (uint16_t) (n % s->plan_input.target_count);
    t->script.start_us = UINT64_C(1600000000000000) + n * between(r, 0, 2 * SEC);
    t->script.syn = (struct tb_syn){
        .mss = (uint16_t) (percent(r, 10)   ? between(r, 88, 536)
                           : percent(r, 10) ? 0
                                            : 1460),
        .wscale = (int8_t) (percent(r, 20) ? -1 : (int) between(r, 0, 10)),
        .sack_permitted = percent(r, 75),
        .timestamps = percent(r, 60),
    };
    if (percent(r, 15)) {
        t->greeting = some_bytes(r);
        t->script.has_greeting = true;
        t->script.greeting_bytes = t->greeting;
        t->script.responses = 1;
    }
    for (uint32_t i = 0; i < t->count; i++)
        make_request(s, t, i);
    make_end(s, t);
    make_streams(s, t);
    t->script.client_bytes = t->len;
    if (t->count > 0)
        atomic_store(&t->script.first, &t->req[0].r);
    atomic_store(&t->script.complete, true);
    s->scripts[n] = &t->script;
}

/* --- configuration ---------------------------------------------------------------------------- */

static void make_targets(struct sim *s)
{
    struct tb_rng *r = &s->rng;
    uint64_t family = tb_rng_below(r, 10);
    bool v6[2] = {family >= 7, family >= 7 || family == 0};

    for (unsigned i = 0; i < SIM_TARGETS; i++) {
        tb_addr_parse(v6[i] ? "2001:2::2" : "198.18.0.2", &s->target[i].addr);
        tb_addr_parse(v6[i] ? "2001:2:0:1::1:0" : "198.19.0.1", &s->clients[i].first);
        s->target[i].port = (uint16_t) (80 + i);
        s->clients[i].count = log_between(r, 1, 200);
    }
    s->plan_input.targets = s->target;
    s->plan_input.clients = s->clients;
    s->plan_input.target_count = percent(r, 70) ? 1 : 2;
    s->plan_input.client_count = v6[0] == v6[1] ? 1 : 2;
    static const uint32_t mtus[] = {1500, 1500, 1500, 1500, 1400, 1280, 9000, 576};
    s->config.mtu = mtus[tb_rng_below(r, v6[0] || v6[1] ? 7 : 8)];
    s->weather.mtu = s->config.mtu;
    s->config.mss = (uint16_t) (percent(r, 20) ? between(r, 536, 1400) : 1460);
}

static void make_run(struct sim *s)
{
    struct tb_engine_config *c = &s->config;
    struct tb_rng *r = &s->rng;

    c->plays = percent(r, 75) ? 1 : between(r, 2, 3);
    c->timeout_us = s->weather.clean ? between(r, 4, 20) * SEC : between(r, 60, 150) * SEC;
    c->quiet_us = s->weather.clean || percent(r, 15) ? 200 * MS : 40 * SEC;
    c->close_wait_us = percent(r, 80) ? SEC : log_between(r, MS, 5 * SEC);
    c->grace_us = log_between(r, MS, 5 * SEC);
    if (percent(r, 10) && !s->closes_early)
        c->hold_us = log_between(r, MS, s->weather.clean ? 100 * 3600 * SEC : 10 * SEC);
    if (percent(r, 6))
        c->duration_us = log_between(r, 50 * MS, 5 * SEC);
    if (percent(r, 4))
        s->abort_us = s->begin_us + log_between(r, 50 * MS, 5 * SEC);
    c->open_loop = percent(r, 10);
    s->gso_max = percent(r, 25) ? 60000 : 0;
    for (unsigned i = 0; i < sizeof c->isn_key; i++)
        c->isn_key[i] = (uint8_t) tb_rng_next(r);
    static const double speeds[] = {1, 1, 1, 2, 10, 0};
    s->pacing_input = (struct tb_pacing_input){
        .rate = (double) log_between(r, 50, 20000),
        .ramp_s = percent(r, 15) ? (double) between(r, 1, 20) / 10 : 0,
        .accelerate = speeds[tb_rng_below(r, 6)],
        .topology = percent(r, 5),
        .topology_s = 1,
        .sessions = s->scripts,
        .session_count = s->sessions,
    };
    s->plan_input.sessions = s->scripts;
    s->plan_input.session_count = s->sessions;
    s->plan_input.ports_first = percent(r, 30);
    s->plan_input.seed = tb_rng_next(r);
    s->plan_input.workers = percent(r, 20) ? SIM_WORKERS : 1;
    s->plan_input.shards = percent(r, 5) ? 2 : 1;
    s->plan_input.shard = (uint32_t) tb_rng_below(r, s->plan_input.shards);
    s->users = USERS_LEAST * s->plan_input.shards + (uint32_t) tb_rng_below(r, 8);
    s->plan_input.users = s->pacing_input.users = s->users;
}

void story_tell(struct sim *s)
{
    struct tb_rng *r = &s->rng;

    s->begin_us = s->now_us = between(r, 300000, 1000000) * SEC + tb_rng_below(r, SEC);
    s->epoch_us = s->begin_us;
    if (percent(r, 15)) /* ticks wrap, or change their sign, soon after the start */
        s->epoch_us -= (UINT64_C(1) << (percent(r, 70) ? 38 : 37)) - log_between(r, 10 * MS, SEC);
    s->real_us = UINT64_C(1700000000000000) + tb_rng_below(r, UINT64_C(1) << 50);
    make_weather(s);
    make_targets(s);
    s->sessions = (uint32_t) between(r, 3, SIM_SESSIONS);
    for (uint32_t i = 0; i < s->sessions; i++)
        make_session(s, i);
    make_run(s);
    s->faulty = percent(r, 30) ? 0 : (unsigned) between(r, 5, 60);
    s->only = percent(r, 60) ? FAULT_NONE : (enum fault) tb_rng_below(r, FAULT_KINDS);
}

void story_forget(struct sim *s)
{
    for (uint32_t i = 0; i < s->sessions; i++) {
        struct sim_session *t = &s->session[i];
        struct tb_chunk *k = t->count ? (struct tb_chunk *) t->req[0].r.chunk : NULL;
        while (k) {
            struct tb_chunk *next = atomic_load(&k->next);
            free(k);
            k = next;
        }
        free(t->bytes);
        free(t->wire);
    }
}

/* --- one server's behaviour ------------------------------------------------------------------- */

/* A request whose response can be spoilt; t->count when there is none. */
static uint32_t spoilable(struct tb_rng *r, const struct sim_session *t)
{
    uint32_t first = t->count ? (uint32_t) tb_rng_below(r, t->count) : 0;

    for (uint32_t n = 0; n < t->count; n++) {
        uint32_t i = (first + n) % t->count;
        if ((t->req[i].r.flags & TB_REQ_ANSWERED) && t->req[i].r.response_bytes >= 2)
            return i;
    }
    return t->count;
}

static void fault_details(struct sim *s, const struct sim_session *t, struct behaviour *b)
{
    struct tb_rng *r = &s->rng;
    uint64_t turn_us = 2 * s->weather.one_way_us + 45 * MS;

    switch (b->fault) {
    case FAULT_DEAF_FIRST:
        b->arg = (uint32_t) between(r, 1, 2);
        break;
    case FAULT_SHORT:
        b->arg = (uint32_t) between(r, 1, t->req[b->step].r.response_bytes - 1);
        break;
    case FAULT_NO_READ:
    case FAULT_NEVER_READS:
        b->buffer = (uint32_t) between(r, 1, t->req[b->step].wire_to - t->req[b->step].wire_from);
        if (b->step > 0)
            b->buffer += 2000;
        b->arg_us = log_between(r, MS, 3 * SEC);
        break;
    case FAULT_SLOW_READ:
        b->buffer = (uint32_t) log_between(r, 1000, 20000);
        b->arg = 200 + t->wire_len / 50;
        b->arg_us = log_between(r, MS, 30 * MS);
        break;
    case FAULT_TINY_WINDOW:
        b->buffer = (uint32_t) (t->wire_len * turn_us / (2 * SEC) + between(r, 1, 200));
        break;
    case FAULT_SHRINK:
        b->buffer = (uint32_t) log_between(r, 4000, 30000);
        b->arg = 2 * (uint32_t) between(r, 1, 4);
        b->arg_us = log_between(r, 200, 50 * MS);
        break;
    case FAULT_KEEPALIVE:
    case FAULT_FORGED:
        b->arg = (uint32_t) between(r, 2, 12);
        b->arg_us = log_between(r, MS, 500 * MS);
        break;
    default:
        break;
    }
}

void story_behave(struct sim *s, const struct conn *c, struct behaviour *b)
{
    struct tb_rng *r = &s->rng;
    const struct sim_session *t = c->t;

    *b = (struct behaviour){.mss = (uint16_t) (percent(r, 80) ? 1460 : between(r, 64, 1460)),
                            .ts = percent(r, 80),
                            .sack = percent(r, 65),
                            .dsack = percent(r, 50),
                            .wscale = (int8_t) (percent(r, 20) ? -1 : (int) between(r, 0, 9)),
                            .buffer = (uint32_t) log_between(r, 20000, 300000),
                            .isn = (uint32_t) tb_rng_next(r),
                            .tsval = (uint32_t) tb_rng_next(r),
                            .flight = (uint32_t) between(r, 4, 40),
                            .ack_every = (uint32_t) between(r, 1, 2),
                            .ack_us = between(r, 1, 40) * MS,
                            .lone_fin = percent(r, 50),
                            .reneges = percent(r, 15),
                            .stutters = !s->weather.clean && percent(r, 5),
                            .merge = percent(r, 15) ? (uint32_t) between(r, 2, 10) : 1};
    if (percent(r, 5))
        b->mss = 0;
    if (percent(r, 50)) /* the numbers wrap in the middle of it */
        b->isn = (uint32_t) -between(r, 1, t->replies + 40);
    if (percent(r, 30))
        b->tsval = (uint32_t) -between(r, 1, 3000);
    b->step = spoilable(r, t);
    if (percent(r, s->faulty))
        b->fault = s->only != FAULT_NONE ? s->only : (enum fault) tb_rng_below(r, FAULT_KINDS);
    bool needs_step = (b->fault >= FAULT_SILENT && b->fault <= FAULT_NEVER_READS);
    if (needs_step && b->step == t->count)
        b->fault = FAULT_NONE;
    fault_details(s, t, b);
}
