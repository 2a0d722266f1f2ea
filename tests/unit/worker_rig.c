/* SPDX-License-Identifier: BSD-2-Clause */
/* A worker that tests drive by hand. See worker_rig.h. */
#include "worker_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void need(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "worker rig: %s\n", what);
    abort();
}

struct wrig *wrig_new(void)
{
    static const struct tb_module plain = {.name = "generic"};
    struct wrig *r = calloc(1, sizeof *r);

    need(r, "memory");
    r->stream = calloc(1, sizeof *r->stream + WRIG_STREAM);
    need(r->stream, "memory");
    r->stream->len = r->stream->room = WRIG_STREAM;
    for (uint32_t i = 0; i < WRIG_STREAM; i++)
        r->stream->data[i] = wrig_stream_byte(i);
    r->now_us = r->begin_us = 1000000000;
    r->config = (struct tb_engine_config){
        .plan = &r->plan,
        .pacing = &r->pacing,
        .modules = {{&plain}},
        .module_count = 1,
        .plays = 1,
        .timeout_us = 5000000,
        .quiet_us = 200000,
        .close_wait_us = 1000000,
        .grace_us = 1000000,
        .mtu = 1500,
        .mss = 1460,
    };
    need(tb_mem_open(&r->io, 0) == 0, "memory I/O");
    return r;
}

struct wrig_script *wrig_add(struct wrig *r, const uint32_t *lens, uint32_t count,
                             uint64_t response)
{
    need(r->session_count < WRIG_SCRIPTS && count <= WRIG_REQUESTS, "too many");
    struct wrig_script *m = &r->made[r->session_count];
    uint32_t at = 0;

    m->script.number = r->session_count;
    m->script.syn =
        (struct tb_syn){.mss = 1460, .wscale = 7, .sack_permitted = true, .timestamps = true};
    for (uint32_t i = 0; i < count; at += lens[i++]) {
        need(at + lens[i] <= WRIG_STREAM, "stream too long");
        m->requests[i] = (struct tb_request){
            .chunk = r->stream,
            .chunk_offset = at,
            .len = lens[i],
            .response_bytes = response,
            .waits_for = i,
            .index = i,
            .flags = TB_REQ_ANSWERED | TB_REQ_BYTES,
        };
        if (i > 0)
            atomic_store(&m->requests[i - 1].next, &m->requests[i]);
    }
    if (count > 0)
        atomic_store(&m->script.first, &m->requests[0]);
    m->script.client_bytes = at;
    m->script.requests = m->script.responses = count;
    m->script.end = (struct tb_script_end){.client = TB_END_FIN,
                                           .server = TB_END_FIN,
                                           .server_fin = true,
                                           .waits_for = count,
                                           .server_responses = count};
    atomic_store(&m->script.complete, true);
    r->sessions[r->session_count++] = &m->script;
    return m;
}

void wrig_start(struct wrig *r, uint64_t users, double rate)
{
    static const uint8_t client[4] = {198, 19, 0, 1}, server[4] = {198, 18, 0, 2};
    struct tb_endpoint target = {tb_addr_v4(server), WRIG_TARGET_PORT};
    struct tb_plan_range range = {tb_addr_v4(client), 256};
    struct tb_plan_input plan = {
        .sessions = r->sessions,
        .session_count = r->session_count,
        .targets = &target,
        .target_count = 1,
        .clients = &range,
        .client_count = 1,
        .users = users,
        .seed = 1,
        .workers = 1,
    };
    struct tb_pacing_input pacing = {
        .rate = rate, .accelerate = 1, .sessions = r->sessions, .session_count = r->session_count};
    struct tb_err err = {""};

    need(tb_plan_init(&r->plan, &plan, &err) == 0, err.text);
    need(tb_pacing_init(&r->pacing, &pacing) == 0, "pacing");
    r->w = calloc(1, sizeof *r->w);
    need(r->w, "memory");
    need(tb_worker_init(r->w, &r->config, r->io, 0, r->begin_us, &err) == 0, err.text);
}

void wrig_free(struct wrig *r)
{
    tb_worker_fini(r->w);
    free(r->w);
    tb_io_close(r->io);
    tb_pacing_fini(&r->pacing);
    tb_plan_fini(&r->plan);
    free(r->stream);
    free(r);
}

void wrig_tick(struct wrig *r, uint64_t us)
{
    r->now_us += us;
    tb_worker_tick(r->w, r->now_us, UINT64_C(1700000000000000) + r->now_us);
}

uint32_t wrig_pass(struct wrig *r, uint64_t us)
{
    uint64_t until = r->now_us + us;
    uint32_t turns = 0;

    while (!tb_worker_is_done(r->w)) {
        uint64_t next = tb_worker_next_us(r->w);
        if (next > until)
            break;
        wrig_tick(r, next > r->now_us ? next - r->now_us : 0);
        turns++;
        need(turns < 1000000, "the worker spins");
    }
    if (!tb_worker_is_done(r->w))
        wrig_tick(r, until - r->now_us);
    return turns;
}

bool wrig_take(struct wrig *r, struct tb_segment *seg)
{
    uint32_t len = tb_mem_take(r->io, r->packet, sizeof r->packet);

    if (len == 0)
        return false;
    need(tb_segment_parse(r->packet, len, seg) == 0, "a packet that cannot be parsed was sent");
    return true;
}

void wrig_give(struct wrig *r, const struct tb_segment *to, const struct wrig_answer *a)
{
    uint8_t packet[WRIG_PACKET];
    struct tb_frame f;
    struct tb_frame_spec spec = {
        .src = &to->dst,
        .dst = &to->src,
        .sport = to->dport,
        .dport = to->sport,
        .seq = a->seq,
        .ack = a->ack,
        .window = a->window,
        .flags = a->flags,
        .options = a->options,
        .options_len = a->options_len,
    };

    tb_frame_build(&f, &spec, a->payload, a->len);
    uint32_t len = tb_frame_flatten(&f, packet, sizeof packet);
    need(len > 0 && tb_mem_inject(r->io, packet, len) == 0, "cannot inject");
}
