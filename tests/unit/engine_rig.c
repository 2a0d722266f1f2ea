/* SPDX-License-Identifier: BSD-2-Clause */
/* The world of engine tests. See engine_rig.h. */
#include "engine_rig.h"
#include "io/backends.h"

enum { SPIN_MAX = 2000, HOUR_S = 3600 };

/* A packet on the way. */
struct flying {
    struct flying *next;
    uint64_t at_us;
    bool to_server;
    uint32_t len;
    uint8_t data[];
};

/* --- the network ------------------------------------------------------------------------------ */

static void fly(struct world *w, bool to_server, uint64_t at_us, const uint8_t *packet,
                uint32_t len)
{
    struct flying *f = malloc(sizeof *f + len), **at = &w->flying;

    assert_non_null(f);
    *f = (struct flying){.at_us = at_us, .to_server = to_server, .len = len};
    memcpy(f->data, packet, len);
    while (*at && (*at)->at_us <= at_us)
        at = &(*at)->next;
    f->next = *at;
    *at = f;
}

static bool is_hit(uint32_t every, uint32_t count)
{
    return every && count % every == 0;
}

static void travel(struct world *w, bool to_server, const uint8_t *packet, uint32_t len)
{
    struct trouble *t = to_server ? &w->to_server : &w->to_client;
    uint64_t at_us = w->now_us + w->one_way_us;

    t->count++;
    if (is_hit(t->lose, t->count))
        return;
    if (is_hit(t->delay, t->count))
        at_us += 3 * w->one_way_us + 700;
    fly(w, to_server, at_us, packet, len);
    if (is_hit(t->repeat, t->count))
        fly(w, to_server, at_us + 10, packet, len);
}

static void from_server(void *ctx, const uint8_t *packet, uint32_t len)
{
    travel(ctx, false, packet, len);
}

static void collect_sent(struct world *w)
{
    static uint8_t packet[70000];
    uint32_t len;

    while ((len = tb_mem_take(w->io, packet, sizeof packet)) > 0)
        travel(w, true, packet, len);
}

static void give_to_worker(struct world *w, const struct flying *f)
{
    struct tb_packet p = {.data = f->data, .len = f->len};
    struct tb_segment seg;

    if (w->headers_only && tb_segment_parse(f->data, f->len, &seg) == 0) {
        p.wire_len = f->len;
        p.len = f->len - seg.payload_len;
        p.time_us = f->at_us - w->channel_us;
    }
    assert_int_equal(tb_mem_inject_packet(w->io, &p), 0);
}

/* True when something arrived. */
static bool arrive(struct world *w)
{
    bool any = false;

    while (w->flying && w->flying->at_us <= w->now_us) {
        struct flying *f = w->flying;
        w->flying = f->next;
        any = true;
        if (f->to_server)
            fake_server_input(&w->server, f->data, f->len, w->now_us);
        else
            give_to_worker(w, f);
        free(f);
    }
    return any;
}

/* --- scripts ---------------------------------------------------------------------------------- */

static void cut_into_chunks(const struct world *w, struct session *s)
{
    struct tb_chunk *last = NULL;
    struct tb_request *r = s->request;
    uint32_t request_at = 0;

    for (uint32_t at = 0; at < s->len;) {
        uint32_t n = s->len - at < w->chunk_bytes ? s->len - at : w->chunk_bytes;
        struct tb_chunk *k = malloc(sizeof *k + n);
        assert_non_null(k);
        k->len = k->room = n;
        atomic_init(&k->next, NULL);
        memcpy(k->data, s->bytes + at, n);
        if (last)
            atomic_store(&last->next, k);
        last = k;
        for (; request_at < at + n; r++) {
            r->chunk = k;
            r->chunk_offset = request_at - at;
            request_at += r->len;
        }
        at += n;
    }
}

static const struct fake_script *choose(void *ctx, const struct fake_conn *c)
{
    struct world *w = ctx;
    uint32_t generation, user = tb_plan_user_at(&w->plan, &c->client, c->client_port, &generation);

    assert_true(user != TB_PLAN_NOBODY);
    return &w->session[user % w->sessions]->server;
}

static void make_request(const struct world *w, struct session *s, uint32_t i, const struct made *m,
                         uint32_t *index)
{
    struct tb_request *r = &s->request[i];
    bool answered = m->response > 0 && !m->unanswered;

    *index += i > 0 && !(m->flags & TB_REQ_CONTINUED);
    r->len = m->request;
    r->think_us = m->think_us;
    r->response_bytes = m->response;
    r->waits_for = s->script.responses;
    if (m->flags & TB_REQ_PIPELINED)
        r->waits_for = r[-1].waits_for;
    r->silence_us = m->silence_us;
    r->index = *index;
    r->flags = m->flags | (answered ? TB_REQ_ANSWERED : 0);
    if (!w->module.response)
        r->flags |= TB_REQ_BYTES;
    atomic_init(&r->next, NULL);
    if (i > 0)
        atomic_store(&r[-1].next, r);
    s->len += m->request;
    s->script.requests += !(m->flags & (TB_REQ_CONTINUED | TB_REQ_PART));
    s->script.responses += answered;
    uint32_t reply = m->is_silent ? 0 : m->reply ? m->reply : m->response;
    if (reply > 0 || m->then != FAKE_NOTHING)
        s->server.step[s->server.count++] = (struct fake_step){
            .after = s->len, .reply = reply, .delay_us = m->server_us, .then = m->then};
}

struct session *world_session(struct world *w, uint32_t count, const struct made *requests)
{
    struct session *s = calloc(1, sizeof *s);
    uint32_t index = 0;

    assert_non_null(s);
    assert_true(w->sessions < WORLD_SESSIONS && count <= WORLD_REQUESTS);
    s->script.number = w->sessions;
    s->script.syn = (struct tb_syn){.mss = 1460, .wscale = 7, .sack_permitted = true};
    for (uint32_t i = 0; i < count; i++)
        make_request(w, s, i, &requests[i], &index);
    if (count > 0)
        atomic_store(&s->script.first, &s->request[0]);
    atomic_store(&s->script.complete, true);
    s->script.client_bytes = s->len;
    s->script.end = (struct tb_script_end){.client = TB_END_FIN,
                                           .server = TB_END_FIN,
                                           .server_fin = true,
                                           .waits_for = s->script.responses,
                                           .server_responses = s->script.responses};
    s->bytes = malloc(s->len + 1);
    assert_non_null(s->bytes);
    for (uint32_t i = 0; i < s->len; i++)
        s->bytes[i] = (uint8_t) (i % 251 + 7 * w->sessions);
    cut_into_chunks(w, s);
    w->scripts[w->sessions] = &s->script;
    w->session[w->sessions++] = s;
    return s;
}

static void free_session(struct session *s)
{
    struct tb_chunk *k = (struct tb_chunk *) s->request[0].chunk;

    while (k) {
        struct tb_chunk *next = atomic_load(&k->next);
        free(k);
        k = next;
    }
    free(s->bytes);
    free(s);
}

/* --- life ------------------------------------------------------------------------------------- */

int world_setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    if (!w)
        return -1;
    tb_addr_parse("198.18.0.2", &w->target.addr);
    w->target.port = 80;
    tb_addr_parse("198.18.100.1", &w->clients.first);
    w->clients.count = 10;
    w->chunk_bytes = 1 << 20;
    w->plan_input = (struct tb_plan_input){
        .sessions = w->scripts,
        .targets = &w->target,
        .target_count = 1,
        .clients = &w->clients,
        .client_count = 1,
    };
    w->pacing_input = (struct tb_pacing_input){.rate = 1000, .accelerate = 1};
    w->module = (struct tb_module){.magic = TB_MODULE_MAGIC, .abi = TB_MODULE_ABI, .name = "test"};
    w->config = (struct tb_engine_config){
        .plan = &w->plan,
        .pacing = &w->pacing,
        .modules = {{&w->module}},
        .module_count = 1,
        .plays = 1,
        .grace_us = 5 * SECONDS,
        .timeout_us = 10 * SECONDS,
        .quiet_us = 200 * MILLISECONDS,
        .close_wait_us = 1 * SECONDS,
        .mtu = 1500,
        .mss = 1460,
    };
    tb_host_play_functions(&w->host);
    w->begin_us = w->now_us = 100 * SECONDS;
    w->real_us = UINT64_C(1700000000000000);
    w->one_way_us = 50;
    fake_server_init(&w->server);
    w->server.choose = choose;
    w->server.emit = from_server;
    w->server.ctx = w;
    *state = w;
    return 0;
}

void world_start(struct world *w)
{
    struct tb_err err;

    w->plan_input.session_count = w->pacing_input.session_count = w->sessions;
    w->pacing_input.sessions = w->scripts;
    assert_int_equal(tb_plan_init(&w->plan, &w->plan_input, &err), 0);
    assert_int_equal(tb_pacing_init(&w->pacing, &w->pacing_input), 0);
    assert_int_equal(tb_mem_open(&w->io, w->gso_max), 0);
    if (w->gso_max)
        w->server.largest = w->gso_max;
    w->worker = malloc(sizeof *w->worker);
    assert_non_null(w->worker);
    assert_int_equal(tb_worker_init(w->worker, &w->config, w->io, 0, w->begin_us, &err), 0);
    w->stats = &w->worker->stats;
}

/* Every play has ended in one verdict, nothing is held any longer, no user waits for anything, and
 * no packet is sent ever again. */
static void check_end(struct world *w)
{
    struct tb_worker *k = w->worker;

    assert_true(tb_worker_is_done(k));
    assert_int_equal(k->stats.open, 0);
    assert_int_equal(tb_stats_ended(&k->stats), k->stats.started);
    uint64_t sent = k->tcp.packets_sent;
    for (unsigned hour = 0; hour < 48; hour++) {
        w->now_us += HOUR_S * SECONDS;
        while (tb_worker_tick(k, w->now_us, w->real_us))
            ;
    }
    assert_int_equal(k->tcp.packets_sent - sent, 0);
    assert_int_equal(k->wheel.armed, 0);
    assert_int_equal(k->tcp.busy.in_use, 0);
    assert_int_equal(k->tcp.spans.in_use, 0);
    assert_int_equal(k->tcp.copies.in_use, 0);
    assert_int_equal(k->tcp.blocks.in_use, 0);
    assert_int_equal(k->pendings.in_use, 0);
    assert_int_equal(k->module_busy.in_use, 0);
}

int world_teardown(void **state)
{
    struct world *w = *state;

    if (w->worker) {
        check_end(w);
        tb_worker_fini(w->worker);
        free(w->worker);
    }
    tb_io_close(w->io);
    tb_plan_fini(&w->plan);
    tb_pacing_fini(&w->pacing);
    fake_server_fini(&w->server);
    while (w->flying) {
        struct flying *next = w->flying->next;
        free(w->flying);
        w->flying = next;
    }
    for (uint32_t i = 0; i < w->sessions; i++)
        free_session(w->session[i]);
    free(w);
    return 0;
}

/* --- running ---------------------------------------------------------------------------------- */

static uint64_t next_us(const struct world *w)
{
    uint64_t next = tb_worker_next_us(w->worker), server = fake_server_next_us(&w->server);

    if (server < next)
        next = server;
    if (w->flying && w->flying->at_us < next)
        next = w->flying->at_us;
    return next;
}

static bool is_over(const struct world *w, uint64_t until_us)
{
    return until_us == UINT64_MAX ? tb_worker_is_done(w->worker) : next_us(w) > until_us;
}

static void run(struct world *w, uint64_t until_us)
{
    uint32_t spins = 0;

    if (!w->worker)
        world_start(w);
    while (!is_over(w, until_us)) {
        uint64_t next = next_us(w);
        assert_true(next != UINT64_MAX); /* it would hang */
        assert_true(next < w->begin_us + 10 * HOUR_S * SECONDS);
        uint64_t sent = w->worker->tcp.packets_sent;
        spins++;
        if (next > w->now_us) {
            w->real_us += next - w->now_us;
            w->now_us = next;
            spins = 0;
        }
        if (arrive(w))
            spins = 0;
        fake_server_run(&w->server, w->now_us);
        while (tb_worker_tick(w->worker, w->now_us, w->real_us))
            ;
        collect_sent(w);
        if (w->worker->tcp.packets_sent != sent)
            spins = 0;
        assert_true(spins < SPIN_MAX); /* it turns without doing anything */
    }
    if (until_us != UINT64_MAX && until_us > w->now_us) {
        w->real_us += until_us - w->now_us;
        w->now_us = until_us;
    }
}

/* The last packets of a run reach the server all the same. */
static void land(struct world *w)
{
    for (struct flying *f; (f = w->flying) != NULL;) {
        w->flying = f->next;
        if (f->to_server)
            fake_server_input(&w->server, f->data, f->len, f->at_us);
        free(f);
    }
}

void world_run(struct world *w)
{
    run(w, UINT64_MAX);
    land(w);
}

void world_run_until(struct world *w, uint64_t us)
{
    run(w, w->begin_us + us);
}

void world_inject(struct world *w, const struct tb_frame_spec *spec, uint32_t len)
{
    static const uint8_t zeros[1000];
    uint8_t packet[1100];
    struct tb_frame f;

    tb_frame_build(&f, spec, zeros, len);
    fly(w, false, w->now_us, packet, tb_frame_flatten(&f, packet, sizeof packet));
}

static void into_the_void(void *ctx, const uint8_t *packet, uint32_t len)
{
    (void) ctx;
    (void) packet;
    (void) len;
}

const struct fake_conn *world_leftover(struct world *w, uint32_t user)
{
    struct tb_tcp_path path;
    struct tb_frame f;
    uint8_t packet[100];

    tb_plan_path(&w->plan, user, 0, &path);
    struct tb_frame_spec spec = {.src = &path.src,
                                 .dst = &path.dst,
                                 .sport = path.sport,
                                 .dport = path.dport,
                                 .seq = 12345,
                                 .window = 1000,
                                 .flags = TB_TCP_SYN};
    w->server.emit = into_the_void;
    tb_frame_build(&f, &spec, NULL, 0);
    fake_server_input(&w->server, packet, tb_frame_flatten(&f, packet, sizeof packet), w->now_us);
    spec.seq++;
    spec.ack = w->server.conn[w->server.count - 1]->isn + 1;
    spec.flags = TB_TCP_ACK;
    tb_frame_build(&f, &spec, NULL, 0);
    fake_server_input(&w->server, packet, tb_frame_flatten(&f, packet, sizeof packet), w->now_us);
    w->server.emit = from_server;
    return w->server.conn[w->server.count - 1];
}

/* --- looking ---------------------------------------------------------------------------------- */

void world_ended(const struct world *w, enum tb_verdict verdict, uint64_t plays, const char *file,
                 int line)
{
    for (unsigned v = 0; v < TB_VERDICT_COUNT; v++) {
        if (v != (unsigned) verdict && w->stats->verdicts[v])
            print_error("verdict %u: %u\n", v, (unsigned) w->stats->verdicts[v]);
    }
    _assert_int_equal(w->stats->verdicts[verdict], plays, file, line);
    _assert_int_equal(tb_stats_ended(w->stats), plays, file, line);
}

void world_all_arrived(const struct world *w, uint32_t n, const struct session *s)
{
    const struct fake_conn *c = world_conn(w, n);

    assert_int_equal(c->in_order, s->len);
    if (s->len)
        assert_memory_equal(c->in, s->bytes, s->len);
}

const struct fake_conn *world_conn(const struct world *w, uint32_t n)
{
    assert_true(n < w->server.count);
    return w->server.conn[n];
}

uint64_t world_arrival_us(const struct fake_conn *c, uint32_t bytes)
{
    for (uint32_t i = 0; i < c->arrivals; i++)
        if (c->arrival[i].bytes >= bytes)
            return c->arrival[i].at_us;
    fail_msg("%u bytes never arrived", bytes);
    return 0;
}
