/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine as the stack of a TCP script: a whole worker with one user, on memory I/O, with its
 * own time. */
#include "script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine/worker.h"
#include "io/backends.h"

enum { PACKET = 70000, TURNS_MAX = 10000 };

struct engine {
    struct scr_stack stack;
    const struct scr *s;
    struct tb_worker *w;
    struct tb_io *io;
    struct tb_plan plan;
    struct tb_pacing pacing;
    struct tb_engine_config config;
    struct tb_module module;
    struct tb_script script;
    struct tb_script *scripts[1];
    struct tb_request request[SCR_REQUESTS];
    struct tb_chunk *chunk;
    uint64_t begin_us, now_us, real_us;
    const char *trouble; /* the engine's or the server's bytes went wrong */
    uint8_t packet[PACKET];
};

/* --- the user --------------------------------------------------------------------------------- */

/* The world has one engine at a time; modules have no way to it. */
static struct engine *the_engine;

/* With "set payload": the server's bytes come up in order, each once, and unchanged. */
static enum tb_response_status check_payload(struct tb_session *s, const uint8_t *data, size_t len,
                                             unsigned flags, size_t *used)
{
    const struct engine *e = the_engine;
    uint64_t at = s->user->tcp.rcv_nxt - len;
    struct tb_request_info info;

    *used = len;
    if (flags & TB_RESPONSE_CLOSED)
        return TB_RESPONSE_MORE;
    for (size_t i = 0; i < len; i++)
        if (data[i] != scr_byte(at + i))
            the_engine->trouble = "bytes were handed up that the server did not send there";
    if ((flags & TB_RESPONSE_UNASKED) || !tb_user_busy(s->worker, s->user)->first_pending)
        return TB_RESPONSE_MORE;
    info.index =
        tb_pending_at(s->worker, tb_user_busy(s->worker, s->user)->first_pending)->request->index;
    uint64_t end = 0;
    for (uint32_t i = 0; i <= info.index; i++)
        end += e->s->request[i].response;
    return s->user->tcp.rcv_nxt >= end ? TB_RESPONSE_COMPLETE : TB_RESPONSE_MORE;
}

static void make_request(struct engine *e, uint32_t i, uint32_t offset)
{
    const struct scr_request *from = &e->s->request[i];
    struct tb_request *r = &e->request[i];

    *r = (struct tb_request){.chunk = e->chunk,
                             .chunk_offset = offset,
                             .len = from->len,
                             .think_us = from->think_us,
                             .response_bytes = from->response,
                             .waits_for = e->script.responses,
                             .index = i};
    r->flags = from->response ? TB_REQ_ANSWERED : TB_REQ_NO_RESPONSE;
    if (!e->s->wants_payload)
        r->flags |= TB_REQ_BYTES;
    if (from->is_pipelined) {
        r->flags |= TB_REQ_PIPELINED;
        r->waits_for = i > 0 ? r[-1].waits_for : 0;
    }
    if (i > 0)
        atomic_store(&r[-1].next, r);
    else
        atomic_store(&e->script.first, r);
    e->script.responses += from->response > 0;
    e->script.requests++;
}

static int make_script(struct engine *e)
{
    const struct scr *s = e->s;
    uint32_t offset = 0;

    e->chunk = calloc(1, sizeof *e->chunk + s->stream_len);
    if (!e->chunk)
        return -1;
    e->chunk->len = e->chunk->room = s->stream_len;
    memcpy(e->chunk->data, s->stream, s->stream_len);
    e->script.syn = (struct tb_syn){.mss = s->syn.mss,
                                    .wscale = s->syn.wscale,
                                    .sack_permitted = s->syn.sack,
                                    .timestamps = s->syn.ts};
    for (uint32_t i = 0; i < s->request_count; i++) {
        make_request(e, i, offset);
        offset += s->request[i].len;
    }
    e->script.client_bytes = offset;
    e->script.end = (struct tb_script_end){
        .client = s->close == SCR_CLOSE_RST ? TB_END_RST : TB_END_FIN,
        .server = TB_END_FIN,
        .server_first = s->close == SCR_CLOSE_SERVER,
        .server_fin = true,
        .delay_us = s->close_after_us,
        .waits_for = e->script.responses,
        .server_responses = s->close == SCR_CLOSE_SERVER ? 0 : e->script.responses,
    };
    atomic_store(&e->script.complete, true);
    return 0;
}

/* --- the worker ------------------------------------------------------------------------------- */

static int make_plan(struct engine *e, struct tb_err *err)
{
    struct tb_endpoint target = {.port = SCR_TARGET_PORT};
    struct tb_plan_range clients = {.count = 1};

    tb_addr_parse(e->s->is_ipv6 ? "fd00:18::2" : "198.18.0.2", &target.addr);
    tb_addr_parse(e->s->is_ipv6 ? "fd00:19::1" : "198.19.0.1", &clients.first);
    struct tb_plan_input in = {.sessions = e->scripts,
                               .session_count = 1,
                               .targets = &target,
                               .target_count = 1,
                               .clients = &clients,
                               .client_count = 1,
                               .workers = 1};
    struct tb_pacing_input pacing = {
        .rate = 1000, .accelerate = 1, .sessions = e->scripts, .session_count = 1};
    int rc = tb_plan_init(&e->plan, &in, err);

    return rc < 0 ? rc : tb_pacing_init(&e->pacing, &pacing);
}

static int make_worker(struct engine *e, struct tb_err *err)
{
    const struct scr *s = e->s;

    e->module = (struct tb_module){.magic = TB_MODULE_MAGIC,
                                   .abi = TB_MODULE_ABI,
                                   .name = "script",
                                   .needs_payload = s->wants_payload,
                                   .response = s->wants_payload ? check_payload : NULL};
    e->config = (struct tb_engine_config){
        .plan = &e->plan,
        .pacing = &e->pacing,
        .modules = {{&e->module}},
        .module_count = 1,
        .plays = 1,
        .timeout_us = s->timeout_us,
        .quiet_us = 200000,
        .close_wait_us = s->close_wait_us,
        .hold_us = s->close == SCR_CLOSE_NEVER ? 3600 * SCR_SECOND : 0,
        .mtu = s->mtu,
        .mss = 65495,
    };
    if (tb_mem_open(&e->io, s->gso_max) < 0)
        return -1;
    e->w = calloc(1, sizeof *e->w);
    return e->w ? tb_worker_init(e->w, &e->config, e->io, 0, e->begin_us, err) : -1;
}

static void turn(struct engine *e)
{
    unsigned turns = 0;

    while (tb_worker_tick(e->w, e->now_us, e->real_us + (e->now_us - e->begin_us)))
        if (++turns > TURNS_MAX) {
            e->trouble = "the worker has more to do for ever";
            return;
        }
}

/* --- the stack -------------------------------------------------------------------------------- */

static uint64_t engine_now_us(struct scr_stack *k)
{
    const struct engine *e = (struct engine *) k;

    return e->now_us - e->begin_us;
}

static bool take_sent(struct engine *e, struct scr_sent *out)
{
    struct tb_ip ip;
    uint32_t len = tb_mem_take(e->io, e->packet, sizeof e->packet);

    if (len == 0)
        return false;
    if (tb_ip_parse(e->packet, len, &ip) < 0 || tb_tcp_parse(&ip, &out->segment) < 0)
        e->trouble = "a packet was sent that is none";
    out->checksum_ok = tb_segment_checksum_ok(&ip);
    out->at_us = e->now_us - e->begin_us;
    return true;
}

static bool engine_take(struct scr_stack *k, uint64_t until_us, struct scr_sent *out)
{
    struct engine *e = (struct engine *) k;
    uint64_t until = e->begin_us + until_us;
    unsigned turns = 0;

    if (take_sent(e, out))
        return true;
    while (!e->trouble) {
        turn(e);
        if (take_sent(e, out))
            return true;
        uint64_t next = tb_worker_next_us(e->w);
        if (e->now_us >= until)
            return false;
        if (next > e->now_us)
            turns = 0;
        else if (tb_worker_is_done(e->w))
            next = until; /* nobody would call it any more */
        else if (++turns > TURNS_MAX)
            e->trouble = "the worker spins";
        else
            next = e->now_us;
        e->now_us = next < until ? next : until;
    }
    return false;
}

static void engine_give(struct scr_stack *k, const uint8_t *packet, uint32_t len)
{
    struct engine *e = (struct engine *) k;

    if (tb_mem_inject(e->io, packet, len) < 0)
        e->trouble = "out of memory";
}

static uint64_t engine_received(struct scr_stack *k)
{
    return ((struct engine *) k)->w->tcp.bytes_received;
}

static enum tb_verdict engine_verdict(struct scr_stack *k)
{
    const struct tb_stats *st = &((struct engine *) k)->w->stats;

    for (unsigned v = 1; v < TB_VERDICT_COUNT; v++)
        if (st->verdicts[v])
            return (enum tb_verdict) v;
    return TB_VERDICT_NONE;
}

/* Whatever the script did, an aborted worker ends at once and holds nothing. */
static const char *left_behind(struct engine *e)
{
    struct tb_worker *w = e->w;
    struct scr_sent sent;

    tb_worker_stop(w, TB_STOP_ABORT);
    for (unsigned i = 0; i < 10 && !tb_worker_is_done(w); i++) {
        turn(e);
        e->now_us += SCR_SECOND;
    }
    while (take_sent(e, &sent))
        ;
    if (!e->trouble && (!tb_worker_is_done(w) || w->stats.open != 0))
        e->trouble = "the worker did not end when told to";
    if (!e->trouble && (w->tcp.busy.in_use || w->tcp.spans.in_use || w->tcp.blocks.in_use ||
                        w->pendings.in_use || w->module_busy.in_use))
        e->trouble = "memory is still held at the end";
    if (!e->trouble && tb_stats_ended(&w->stats) != w->stats.started)
        e->trouble = "a session has no verdict, or two";
    return e->trouble;
}

static const char *engine_close(struct scr_stack *k)
{
    struct engine *e = (struct engine *) k;
    const char *trouble = e->w ? left_behind(e) : NULL;

    if (e->w)
        tb_worker_fini(e->w);
    free(e->w);
    tb_io_close(e->io);
    tb_plan_fini(&e->plan);
    tb_pacing_fini(&e->pacing);
    free(e->chunk);
    free(e);
    return trouble;
}

static struct engine *open_at(const struct scr *s, uint64_t real_us, char why[SCR_WHY])
{
    struct engine *e = calloc(1, sizeof *e);
    struct tb_err err = {"out of memory"};

    if (!e) {
        snprintf(why, SCR_WHY, "out of memory");
        return NULL;
    }
    e->stack = (struct scr_stack){.name = "engine",
                                  .early_us = 100,
                                  .late_us = 1000,
                                  .now_us = engine_now_us,
                                  .take = engine_take,
                                  .give = engine_give,
                                  .received = engine_received,
                                  .verdict = engine_verdict,
                                  .close = engine_close};
    e->s = s;
    e->scripts[0] = &e->script;
    e->begin_us = e->now_us = 1000 * SCR_SECOND;
    e->real_us = real_us;
    the_engine = e;
    if (make_script(e) < 0 || make_plan(e, &err) < 0 || make_worker(e, &err) < 0) {
        snprintf(why, SCR_WHY, "%s", err.text);
        engine_close(&e->stack);
        return NULL;
    }
    return e;
}

/* Sequence numbers and time stamps begin where the hash of the addresses and the clock say: with
 * the clock, a script that wants others gets them. */
static uint64_t real_us_for(const struct scr *s, uint64_t real_us, char why[SCR_WHY])
{
    struct engine *e = open_at(s, real_us, why);
    struct scr_sent sent;

    if (e && e->stack.take(&e->stack, SCR_SECOND, &sent)) {
        if (s->has_isn)
            real_us += 4 * (uint64_t) (s->isn - sent.segment.seq);
        else if (s->has_tsval)
            real_us += 1000 * (uint64_t) (s->tsval - sent.segment.opt.tsval);
    }
    if (e)
        engine_close(&e->stack);
    return real_us;
}

struct scr_stack *scr_engine_open(const struct scr *s, char why[SCR_WHY])
{
    uint64_t real_us = UINT64_C(1700000000000000);

    if (s->has_isn || s->has_tsval)
        real_us = real_us_for(s, real_us, why);
    struct engine *e = open_at(s, real_us, why);
    return e ? &e->stack : NULL;
}
