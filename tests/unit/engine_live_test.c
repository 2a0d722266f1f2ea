/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Live sessions: real captures pass by in virtual time, packet by packet, and are played while they
 * grow against the fake server, which has to get exactly the bytes that loading the whole file
 * finds. Nothing of a module here: requests are runs of bytes.
 */
#include <stdio.h>
#include "engine_rig.h"
#include "io/backends.h"
#include "packet/linktype.h"
#include "trace/capture.h"

enum { PORTS = 9, BATCH = 16, STEPS = FAKE_STEPS };

static const uint16_t ports[PORTS] = {80, 8080, 6379, 7000, 9000, 3306, 8092, 8091, 2525};

struct online {
    struct tb_tap tap; /* first */
    struct tb_capture capture;
    struct tb_record record;
    bool has_record;
    uint64_t lag_us;  /* how much later than they were captured packets are seen */
    uint64_t loop_us; /* added to the file's times */
    uint8_t *lent[BATCH];
    uint32_t lent_count;
    uint64_t lost_at;                /* of all packets, the one that is not seen (0: none) */
    uint64_t behind_from, behind_to; /* packets */
    uint64_t passed;
    uint32_t groups; /* of clients that are wanted */
    uint64_t left_out;
};

struct live {
    struct tb_trace truth;
    bool used[4096]; /* sessions of it that have a connection */
    uint32_t conn_session[4096];
    struct fake_script *scripts; /* by session */
    struct tb_service services[PORTS];
    struct tb_endpoint targets[PORTS];
    struct online online;
    struct tb_tap *taps[1];
    struct tb_module module;
    struct tb_live_config config;
    struct tb_engine_config engine;
    struct tb_pacing pacing;
    struct tb_plan plan;
    struct tb_io *io;
    struct tb_worker *worker;
    struct fake_server server;
    uint64_t now_us, to_real_us;
    uint32_t server_us; /* how long the target takes */
};

/* --- what passes by --------------------------------------------------------------------------- */

static void give_back(struct online *o)
{
    while (o->lent_count > 0)
        free(o->lent[--o->lent_count]);
}

static bool look_ahead(struct online *o)
{
    if (!o->has_record)
        o->has_record = tb_capture_file_next(&o->capture, &o->record);
    o->tap.is_over = !o->has_record;
    return o->has_record;
}

static uint64_t seen_us(const struct online *o)
{
    return o->record.time_us + o->lag_us;
}

/* As a kernel filter would decide it. */
static bool is_wanted(const struct online *o, const uint8_t *data, uint32_t len)
{
    struct tb_segment seg;
    struct tb_ip ip;

    if (tb_ip_parse(data, len, &ip) < 0 || tb_tcp_parse(&ip, &seg) < 0 || seg.flags & TB_TCP_SYN)
        return true;
    bool from_client = seg.dport < seg.sport;
    uint32_t place = tb_steer_place(tb_addr_low32(from_client ? &seg.src : &seg.dst),
                                    from_client ? seg.sport : seg.dport);
    return o->groups >> tb_steer_group(place) & 1;
}

static void online_groups(struct tb_tap *t, uint32_t groups)
{
    ((struct online *) t)->groups = groups;
}

static uint32_t online_recv(struct tb_tap *t, struct tb_tapped *out, uint32_t max, uint64_t now_us)
{
    struct online *o = (struct online *) t;
    uint32_t count = 0;

    give_back(o);
    while (count < max && count < BATCH && look_ahead(o) && seen_us(o) <= now_us) {
        const struct tb_record *r = &o->record;
        int offset = tb_linktype_ip_offset(r->linktype, r->data, r->len);
        o->has_record = false;
        if (offset < 0 || ++o->passed == o->lost_at)
            continue;
        uint32_t len = r->len - (uint32_t) offset;
        if (!is_wanted(o, r->data + offset, len)) {
            o->left_out++;
            continue;
        }
        o->lent[o->lent_count] = exact_copy(r->data + offset, len);
        out[count++] = (struct tb_tapped){.data = o->lent[o->lent_count++],
                                          .len = len,
                                          .wire_len = r->original - (uint32_t) offset,
                                          .time_us = r->time_us};
    }
    return count;
}

static uint64_t online_next_us(struct tb_tap *t)
{
    struct online *o = (struct online *) t;

    return look_ahead(o) ? seen_us(o) : UINT64_MAX;
}

/* For a while packets pile up. */
static uint32_t online_backlog(struct tb_tap *t)
{
    struct online *o = (struct online *) t;

    return o->passed >= o->behind_from && o->passed < o->behind_to ? 5 : 0;
}

static uint64_t online_drops(struct tb_tap *t)
{
    (void) t;
    return 0;
}

static const struct tb_tap_ops online_ops = {
    .recv = online_recv,
    .next_us = online_next_us,
    .groups = online_groups,
    .backlog = online_backlog,
    .drops = online_drops,
};

/* --- the target --------------------------------------------------------------------------------
 */

static void make_script(struct live *l, const struct tb_script *s, struct fake_script *out)
{
    uint32_t at = 0;

    if (s->has_greeting)
        out->step[out->count++] =
            (struct fake_step){.reply = (uint32_t) s->greeting_bytes, .delay_us = l->server_us};
    for (const struct tb_request *r = tb_script_first(s); r; r = tb_script_next(r)) {
        at += r->len;
        if (r->response_bytes == 0)
            continue;
        if (out->count == STEPS) { /* all the rest at once */
            out->step[STEPS - 1].after = at;
            out->step[STEPS - 1].reply += (uint32_t) r->response_bytes;
            continue;
        }
        out->step[out->count++] = (struct fake_step){
            .after = at, .reply = (uint32_t) r->response_bytes, .delay_us = l->server_us};
    }
}

/* The next session with this address and, if `port`, this port that has no connection yet. */
static int find_session(const struct live *l, const struct tb_addr *client, uint16_t port)
{
    for (uint32_t i = 0; i < l->truth.session_count; i++) {
        const struct tb_script *s = l->truth.sessions[i];
        if (!l->used[i] && tb_addr_eq(&s->client, client) && (!port || s->client_port == port))
            return (int) i;
    }
    return -1;
}

/* Whose copy is this connection? Its address is the client's, and so is its port, unless that is
 * still in use by the session before. */
static const struct fake_script *choose(void *ctx, const struct fake_conn *c)
{
    struct live *l = ctx;
    int i = find_session(l, &c->client, c->client_port);

    if (i < 0)
        i = find_session(l, &c->client, 0);
    assert_true(i >= 0);
    l->used[i] = true;
    l->conn_session[l->server.count - 1] = (uint32_t) i;
    return &l->scripts[i];
}

/* Everybody is answered alike. */
static const struct fake_script *choose_any(void *ctx, const struct fake_conn *c)
{
    struct live *l = ctx;

    (void) c;
    return &l->scripts[0];
}

static void from_server(void *ctx, const uint8_t *packet, uint32_t len)
{
    struct live *l = ctx;

    assert_int_equal(tb_mem_inject(l->io, packet, len), 0);
}

/* --- one capture -------------------------------------------------------------------------------
 */

static void load_truth(struct live *l, const char *path)
{
    struct tb_trace_options o = {
        .files = &path, .file_count = 1, .services = l->services, .service_count = PORTS};
    struct tb_err err = {""};

    if (tb_trace_load(&l->truth, &o, &err) < 0)
        fail_msg("%s: %s", path, err.text);
    l->scripts = calloc(l->truth.session_count, sizeof *l->scripts);
    assert_non_null(l->scripts);
    for (uint32_t i = 0; i < l->truth.session_count; i++)
        make_script(l, l->truth.sessions[i], &l->scripts[i]);
}

/* All but the worker. */
static struct live *prepare(const char *path, uint32_t server_us)
{
    struct live *l = calloc(1, sizeof *l);
    struct tb_err err = {""};
    char target[40];

    assert_non_null(l);
    l->server_us = server_us;
    for (unsigned i = 0; i < PORTS; i++) {
        l->services[i] = (struct tb_service){.any_addr = true, .port = ports[i]};
        snprintf(target, sizeof target, "198.18.0.%u", 10 + i);
        tb_addr_parse(target, &l->targets[i].addr);
        l->targets[i].port = 7;
    }
    load_truth(l, path);
    if (l->truth.session_count && !tb_addr_is_v4(&l->truth.sessions[0]->client))
        for (unsigned i = 0; i < PORTS; i++)
            tb_addr_parse("fd00::99", &l->targets[i].addr);
    assert_int_equal(tb_capture_file_open(&l->online.capture, path, &err), 0);
    l->online.tap = (struct tb_tap){.ops = &online_ops, .fd = -1};
    l->online.groups = UINT32_MAX;
    l->taps[0] = &l->online.tap;
    l->module = (struct tb_module){.magic = TB_MODULE_MAGIC, .abi = TB_MODULE_ABI, .name = "test"};
    l->config = (struct tb_live_config){
        .taps = l->taps,
        .services = l->services,
        .service_count = PORTS,
        .replicas = 1,
        .percent = 100,
        .memory_bytes = 64 << 20,
        .users = 4096,
    };
    l->engine = (struct tb_engine_config){
        .plan = &l->plan,
        .pacing = &l->pacing,
        .modules = {{&l->module}},
        .module_count = 1,
        .grace_us = 5 * SECONDS,
        .timeout_us = 30 * SECONDS,
        .quiet_us = 200 * MILLISECONDS,
        .close_wait_us = 1 * SECONDS,
        .mtu = 1500,
        .mss = 1460,
        .live = &l->config,
    };
    fake_server_init(&l->server);
    l->server.choose = choose;
    l->server.emit = from_server;
    l->server.ctx = l;
    return l;
}

static void begin(struct live *l)
{
    struct tb_err err = {""};
    struct tb_pacing_input pacing = {.rate = 1};

    assert_int_equal(tb_pacing_init(&l->pacing, &pacing), 0);
    assert_int_equal(tb_plan_init_live(&l->plan, l->targets, PORTS, 1), 0);
    assert_int_equal(tb_mem_open(&l->io, 0), 0);
    l->now_us = 100 * SECONDS;
    assert_true(look_ahead(&l->online));
    l->to_real_us = l->online.record.time_us - l->now_us;
    l->worker = malloc(sizeof *l->worker);
    assert_non_null(l->worker);
    assert_int_equal(tb_worker_init(l->worker, &l->engine, l->io, 0, l->now_us, &err), 0);
}

/* `change` may set what is not the default. */
static struct live *start_with(const char *path, uint32_t server_us, void (*change)(struct live *l))
{
    struct live *l = prepare(path, server_us);

    if (change)
        change(l);
    begin(l);
    return l;
}

static const char *capture_path(const char *name, char buf[512])
{
    const char *srcdir = getenv("srcdir");

    snprintf(buf, 512, "%s/tests/captures/%s", srcdir ? srcdir : ".", name);
    return buf;
}

static void turn(struct live *l)
{
    static uint8_t packet[70000];
    uint32_t len;

    tb_worker_tick(l->worker, l->now_us, l->now_us + l->to_real_us);
    while ((len = tb_mem_take(l->io, packet, sizeof packet)) > 0)
        fake_server_input(&l->server, packet, len, l->now_us);
    fake_server_run(&l->server, l->now_us);
}

static void step(struct live *l)
{
    uint64_t next = tb_worker_next_us(l->worker), server = fake_server_next_us(&l->server);

    if (server < next)
        next = server;
    l->now_us = next > l->now_us ? next : l->now_us + 1;
    turn(l);
}

static void run(struct live *l)
{
    uint64_t end = l->now_us + 3600 * SECONDS;

    while (!tb_worker_is_done(l->worker)) {
        step(l);
        assert_true(l->now_us < end);
    }
}

/* Every session of the file arrived, byte for byte, each once. */
static void check_arrived(const struct live *l, const char *path)
{
    if (l->server.count != l->truth.session_count)
        fail_msg("%s: %u connections for %u sessions", path, l->server.count,
                 l->truth.session_count);
    for (uint32_t i = 0; i < l->server.count; i++) {
        const struct fake_conn *c = l->server.conn[i];
        const struct tb_script *s = l->truth.sessions[l->conn_session[i]];
        uint32_t at = 0;
        if (c->in_order != s->client_bytes)
            fail_msg("%s, port %u: %u bytes of %llu", path, c->client_port, c->in_order,
                     (unsigned long long) s->client_bytes);
        for (const struct tb_request *r = tb_script_first(s); r; r = tb_script_next(r)) {
            struct tb_run bytes = tb_request_run(r);
            const uint8_t *piece;
            uint32_t n;
            while ((n = tb_run_next(&bytes, &piece)) > 0) {
                if (memcmp(c->in + at, piece, n) != 0)
                    fail_msg("%s, port %u: other bytes from %u on", path, c->client_port, at);
                at += n;
            }
        }
    }
}

/* `over`: every session has ended. */
static void finish(struct live *l, bool over)
{
    const struct tb_worker *w = l->worker;

    if (over) {
        assert_int_equal(w->stats.open, 0);
        assert_int_equal(tb_stats_ended(&w->stats), w->stats.started);
        assert_int_equal(w->pendings.in_use, 0);
        assert_int_equal(w->held.in_use, 0);
        assert_int_equal(tb_live_script_bytes(w->live), 0);
        for (uint32_t i = 0; i < l->config.users; i++)
            assert_true(!w->live_users[i].is_taken && w->live_users[i].flow == 0);
    }
    give_back(&l->online);
    tb_worker_fini(l->worker);
    free(l->worker);
    tb_io_close(l->io);
    tb_plan_fini(&l->plan);
    tb_pacing_fini(&l->pacing);
    fake_server_fini(&l->server);
    tb_capture_file_close(&l->online.capture);
    tb_trace_free(&l->truth);
    free(l->scripts);
    free(l);
}

static const char *const captures[] = {
    "halfclose.pcap",         "http-any-sll.pcap",      "http-gz.pcap.gz",
    "http-ipv6.pcap.gz",      "http-keepalive.pcap.gz", "http-mixed.pcap.gz",
    "http-nanosec.pcap",      "http-noise.pcap.gz",     "http-pcapng.pcapng",
    "http-pipelined.pcap.gz", "http-rawip.pcap",        "http-realloss.pcap.gz",
    "http-short.pcap.gz",     "http-thinktime.pcap.gz", "http-tso.pcap.gz",
    "http-vlan.pcap",         "line-protocol.pcap.gz",  "lossy-dup.pcap.gz",
    "lossy-reorder.pcap.gz",  "lossy-server.pcap.gz",   "noend.pcap.gz",
    "port-reuse.pcap",        "redis-pipeline.pcap.gz", "redis-pubsub.pcap",
    "rst-client.pcap.gz",     "rst-server.pcap",        "websocket.pcap.gz",
};

/* --- notes ------------------------------------------------------------------------------------ */

/* A learner whose notes are memory, which its module reads while it plays. */
struct notes {
    uint32_t requests, sessions; /* that stand */
    uint32_t most;               /* requests at a time */
    uint32_t rejects;            /* every so many of the sessions, in the middle; 0: none */
    uint32_t begun;
    size_t bytes; /* of a note */
    struct tb_host host;
    struct tb_learner learner;
};

struct noted {
    struct notes *notes;
    uint32_t rejects_after; /* requests; 0: does not */
    uint32_t count;
};

static uint64_t *new_note(struct notes *n, uint32_t *standing)
{
    uint64_t *note = n->host.memory(NULL, n->bytes ? n->bytes : sizeof *note);

    assert_non_null(note);
    *note = 0x1234;
    ++*standing;
    return note;
}

static void *begin_notes(void *ctx, struct tb_draft *d)
{
    struct notes *n = ctx;
    struct noted *s = calloc(1, sizeof *s);

    assert_non_null(s);
    s->notes = n;
    s->rejects_after = n->rejects && ++n->begun % n->rejects == 0 ? 2 : 0;
    tb_draft_set_session_note(d, (uint64_t) (uintptr_t) new_note(n, &n->sessions));
    return s;
}

/* A request is what the client sends at a time; nothing tells that it is answered. */
static void take_notes(void *ctx, void *state, struct tb_draft *d, enum tb_dir dir, uint64_t offset,
                       const uint8_t *bytes, uint64_t len, uint64_t time_us)
{
    struct notes *n = ctx;
    struct noted *s = state;

    (void) bytes;
    (void) time_us;
    if (dir != TB_FROM_CLIENT)
        return;
    tb_draft_cut(d, offset + len, TB_REQ_NO_RESPONSE,
                 (uint64_t) (uintptr_t) new_note(n, &n->requests));
    if (n->requests > n->most)
        n->most = n->requests;
    if (++s->count == s->rejects_after)
        tb_draft_reject(d, "test");
}

static void end_notes(void *ctx, void *state, struct tb_draft *d, bool used)
{
    (void) ctx;
    (void) d;
    assert_true(used);
    free(state);
}

static void forget_note(void *ctx, const struct tb_script *s, const struct tb_request *r)
{
    struct notes *n = ctx;

    --*(r ? &n->requests : &n->sessions);
    n->host.memory((void *) (uintptr_t) (r ? r->note : s->note), 0);
}

static enum tb_request_action read_note(struct tb_session *s, const struct tb_request_info *req)
{
    const uint64_t *session = (void *) (uintptr_t) tb_user_script(s->worker, s->user)->note;

    assert_int_equal(*session, 0x1234);
    if (req)
        assert_int_equal(*(const uint64_t *) (uintptr_t) req->note, 0x1234);
    return TB_REQUEST_SEND;
}

static const struct tb_learner *learner_of(struct notes *n)
{
    tb_host_play_functions(&n->host);
    n->learner = (struct tb_learner){n, begin_notes, take_notes, end_notes, forget_note};
    return &n->learner;
}

static void check_forgotten(const struct notes *n)
{
    assert_int_equal(n->requests, 0);
    assert_int_equal(n->sessions, 0);
    assert_int_equal(tb_host_memory_bytes(), 0);
}

static void play_with_notes(const char *capture, struct notes *n, uint32_t replicas,
                            uint64_t lost_at, bool stop)
{
    char path[512];
    struct live *l = prepare(capture_path(capture, path), 0);

    l->config.learner = learner_of(n);
    l->config.replicas = replicas;
    l->module.request = read_note;
    l->online.lost_at = lost_at;
    l->server.choose = choose_any;
    begin(l);
    while (stop && l->worker->stats.requests_sent < 20)
        step(l);
    if (!stop) {
        run(l);
        check_forgotten(n);
    }
    assert_true(l->worker->stats.requests_sent >= 20);
    finish(l, !stop);
    check_forgotten(n);
}

static void notes_are_forgotten_when_nobody_plays_them(void **state)
{
    struct notes n = {0};

    (void) state;
    play_with_notes("http-keepalive.pcap.gz", &n, 1, 0, false);
    play_with_notes("http-keepalive.pcap.gz", &n, 1, 40, false); /* with a hole */
    n.rejects = 2;
    play_with_notes("http-keepalive.pcap.gz", &n, 1, 0, false);
    play_with_notes("http-keepalive.pcap.gz", &n, 1, 0, true); /* when the run ends */
}

static void early_requests_are_forgotten_while_replicas_go_on(void **state)
{
    (void) state;
    for (uint32_t replicas = 1; replicas <= 3; replicas++) {
        struct notes n = {0};
        play_with_notes("redis-pipeline.pcap.gz", &n, replicas, 0, false);
        assert_in_range(n.most, 1, 100); /* of 401 */
    }
}

/* ------------------------------------------------------------------------------------------------
 */

static void play_all(uint32_t server_us)
{
    char path[512];

    for (size_t i = 0; i < sizeof captures / sizeof *captures; i++) {
        struct live *l = start_with(capture_path(captures[i], path), server_us, NULL);
        run(l);
        check_arrived(l, captures[i]);
        if (tb_stats_failed(&l->worker->stats))
            fail_msg("%s: %llu sessions failed", captures[i],
                     (unsigned long long) tb_stats_failed(&l->worker->stats));
        finish(l, true);
    }
}

static void sessions_arrive_while_they_grow_at_a_quick_target(void **state)
{
    (void) state;
    play_all(0);
}

static void sessions_arrive_whole_at_a_target_slower_than_online(void **state)
{
    (void) state;
    play_all(300 * MILLISECONDS);
}

/* --- limits and choices ------------------------------------------------------------------------
 */

static struct live *play_changed(const char *name, void (*change)(struct live *l))
{
    char path[512];
    struct live *l = start_with(capture_path(name, path), 0, change);

    run(l);
    return l;
}

/* Is what the connection brought the beginning of what the session's client sent? */
static bool is_prefix(const struct fake_conn *c, const struct tb_script *s)
{
    uint32_t at = 0;

    for (const struct tb_request *r = tb_script_first(s); r; r = tb_script_next(r)) {
        struct tb_run bytes = tb_request_run(r);
        const uint8_t *piece;
        uint32_t n;
        while ((n = tb_run_next(&bytes, &piece)) > 0 && at < c->in_order) {
            uint32_t most = c->in_order - at < n ? c->in_order - at : n;
            if (memcmp(c->in + at, piece, most) != 0)
                return false;
            at += most;
        }
    }
    return at == c->in_order;
}

static uint64_t lose_packet; /* of the capture, counted from 1 */

static void with_a_hole(struct live *l)
{
    l->online.lost_at = lose_packet;
}

/* Whichever packet is missed: acknowledgements and the server's bytes do not matter, without its
 * SYN a session is not begun, and without bytes of the client it stops before them. */
static void a_hole_ends_a_session_before_the_missing_bytes(void **state)
{
    uint64_t holes = 0;

    (void) state;
    for (lose_packet = 1; lose_packet <= 120; lose_packet++) {
        struct live *l = play_changed("http-keepalive.pcap.gz", with_a_hole);
        for (uint32_t i = 0; i < l->server.count; i++)
            assert_true(is_prefix(l->server.conn[i], l->truth.sessions[l->conn_session[i]]));
        assert_true(l->server.count >= l->truth.session_count - 1);
        assert_int_equal(tb_stats_failed(&l->worker->stats), 0);
        holes += l->worker->stats.verdicts[TB_VERDICT_CAPTURE_HOLE];
        finish(l, true);
    }
    assert_true(holes > 10 && holes < 110);
}

/* Of a capture whose sessions begin one after the other. */
static const struct fake_script *choose_replica(void *ctx, const struct fake_conn *c)
{
    struct live *l = ctx;
    uint32_t n = (l->server.count - 1) / 3;

    assert_true(n < l->truth.session_count);
    assert_true(tb_addr_eq(&l->truth.sessions[n]->client, &c->client));
    l->conn_session[l->server.count - 1] = n;
    return &l->scripts[n];
}

static void replicated(struct live *l)
{
    l->config.replicas = 3;
    l->server.choose = choose_replica;
}

static void every_replica_has_a_pair_of_its_own(void **state)
{
    (void) state;
    struct live *l = play_changed("redis-pipeline.pcap.gz", replicated);

    assert_int_equal(l->server.count, 3 * l->truth.session_count);
    for (uint32_t i = 0; i < l->server.count; i++) {
        const struct tb_script *s = l->truth.sessions[l->conn_session[i]];
        assert_int_equal(l->server.conn[i]->in_order, s->client_bytes);
        assert_true(is_prefix(l->server.conn[i], s));
        for (uint32_t j = 0; j < i; j++)
            assert_true(l->server.conn[i]->client_port != l->server.conn[j]->client_port ||
                        !tb_addr_eq(&l->server.conn[i]->client, &l->server.conn[j]->client));
    }
    finish(l, true);
}

static void shared(struct live *l)
{
    l->config.percent = 30;
}

static void a_share_is_the_same_in_every_run(void **state)
{
    struct live *one = play_changed("http-short.pcap.gz", shared);
    struct live *two = play_changed("http-short.pcap.gz", shared);

    (void) state;
    assert_true(one->server.count > one->truth.session_count / 5);
    assert_true(one->server.count < one->truth.session_count * 2 / 5);
    assert_int_equal(one->server.count, two->server.count);
    assert_memory_equal(one->used, two->used, sizeof one->used);
    assert_true(one->online.left_out > 0); /* and what was not chosen did not come up */
    finish(one, true);
    finish(two, true);
}

/* The captured server is the target itself. */
static void to_the_same_server(struct live *l)
{
    tb_addr_parse("198.19.0.2", &l->targets[0].addr);
    l->targets[0].port = 80;
}

static void to_the_same_server_recorded(struct live *l)
{
    to_the_same_server(l);
    l->config.is_recorded = true;
}

static void what_goes_to_a_target_is_a_session_only_when_recorded(void **state)
{
    struct live *l = play_changed("http-short.pcap.gz", to_the_same_server);

    (void) state;
    assert_int_equal(l->server.count, 0);
    finish(l, true);
    l = play_changed("http-short.pcap.gz", to_the_same_server_recorded);
    check_arrived(l, "http-short.pcap.gz");
    finish(l, true);
}

static void refusing(struct live *l)
{
    l->server.refuses = true;
}

static void a_target_that_refuses_costs_nothing_but_verdicts(void **state)
{
    struct live *l = play_changed("http-short.pcap.gz", refusing);

    (void) state;
    assert_int_equal(l->worker->stats.verdicts[TB_VERDICT_REFUSED], l->truth.session_count);
    finish(l, true);
}

static void deaf_and_small(struct live *l)
{
    l->server.is_deaf = true;
    l->config.memory_bytes = 20000;
}

static void sessions_are_given_up_before_memory_goes_beyond_its_limit(void **state)
{
    struct live *l = play_changed("http-short.pcap.gz", deaf_and_small);
    const struct tb_stats *s = &l->worker->stats;

    (void) state;
    assert_true(s->verdicts[TB_VERDICT_SHED] > 0);
    assert_int_equal(s->verdicts[TB_VERDICT_SHED], s->live.shed_memory);
    assert_int_equal(s->verdicts[TB_VERDICT_SHED] + s->verdicts[TB_VERDICT_CONNECT_TIMEOUT],
                     s->started);
    finish(l, true);
}

static void behind_in_the_middle(struct live *l)
{
    l->online.behind_from = 300;
    l->online.behind_to = 900;
}

/* Whole sessions, so that nothing is missed of the others. */
static void some_sessions_are_given_up_while_packets_pile_up(void **state)
{
    struct live *l = play_changed("http-keepalive.pcap.gz", behind_in_the_middle);
    const struct tb_stats *s = &l->worker->stats;
    uint32_t whole = 0;

    (void) state;
    for (uint32_t i = 0; i < l->server.count; i++) {
        const struct tb_script *truth = l->truth.sessions[l->conn_session[i]];
        assert_true(is_prefix(l->server.conn[i], truth));
        whole += l->server.conn[i]->in_order == truth->client_bytes;
    }
    assert_true(s->live.shed_cpu > 0);
    assert_true(s->verdicts[TB_VERDICT_SHED] > 0);
    assert_int_equal(s->verdicts[TB_VERDICT_SHED] + s->verdicts[TB_VERDICT_COMPLETED], s->started);
    assert_int_equal(whole, s->verdicts[TB_VERDICT_COMPLETED]);
    assert_true(whole > 0);
    finish(l, true);
}

static void what_modules_hold_counts_for_the_limit(void **state)
{
    enum { NOTE = 4000, LIMIT = 100000 };
    struct notes n = {.bytes = NOTE};
    char path[512];
    struct live *l = prepare(capture_path("http-keepalive.pcap.gz", path), 0);

    (void) state;
    l->config.learner = learner_of(&n);
    l->config.memory_bytes = LIMIT;
    l->server.is_deaf = true;
    begin(l);
    run(l);
    assert_in_range(n.most, LIMIT / NOTE / 2, LIMIT / NOTE);
    assert_int_equal(l->worker->stats.verdicts[TB_VERDICT_SHED], l->worker->stats.live.shed_memory);
    finish(l, true);
    check_forgotten(&n);
}

/* --- targets that fail -------------------------------------------------------------------------
 */

/* Resets as soon as something comes; of what was sent at a time the first packet counts. */
static const struct fake_script *choose_resetting(void *ctx, const struct fake_conn *c)
{
    static const struct fake_script script = {.step = {{.after = 1, .then = FAKE_RESET}},
                                              .count = 1};

    (void) ctx;
    (void) c;
    return &script;
}

static struct live *play_at_failing_target(bool stands_alone, struct notes *n)
{
    char path[512];
    struct live *l = prepare(capture_path("http-thinktime.pcap.gz", path), 0);

    l->config.learner = learner_of(n);
    l->module.stands_alone = stands_alone;
    l->server.choose = choose_resetting;
    begin(l);
    run(l);
    return l;
}

static uint64_t arrived_bytes(const struct live *l)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < l->server.count; i++)
        sum += l->server.conn[i]->in_order;
    return sum;
}

static void a_copy_goes_on_with_the_next_request_when_the_target_resets(void **state)
{
    struct notes n = {0};
    struct live *l = play_at_failing_target(true, &n);
    const struct tb_stats *s = &l->worker->stats;
    uint64_t requests = 0, bytes = 0;

    (void) state;
    for (uint32_t i = 0; i < l->truth.session_count; i++) {
        requests += l->truth.sessions[i]->requests;
        bytes += l->truth.sessions[i]->client_bytes;
    }
    assert_true(requests > 2 * l->truth.session_count);
    assert_int_equal(l->server.count, requests);
    assert_int_equal(arrived_bytes(l), bytes);
    assert_int_equal(s->reconnects, requests - l->truth.session_count);
    finish(l, true);
    check_forgotten(&n);
}

static void a_copy_whose_requests_do_not_stand_alone_ends(void **state)
{
    struct notes n = {0};
    struct live *l = play_at_failing_target(false, &n);

    (void) state;
    assert_int_equal(l->server.count, l->truth.session_count);
    assert_int_equal(l->worker->stats.reconnects, 0);
    finish(l, true);
    check_forgotten(&n);
}

/* A SYN per request at most, and no memory of what cannot be sent. */
static void a_copy_waits_for_the_target_to_come_back(void **state)
{
    struct notes n = {0};
    char path[512];
    struct live *l = prepare(capture_path("http-thinktime.pcap.gz", path), 0);
    uint64_t requests = 0;

    (void) state;
    l->config.learner = learner_of(&n);
    l->module.stands_alone = true;
    l->server.choose = choose_any;
    l->server.refuses = true;
    begin(l);
    for (uint32_t i = 0; i < l->truth.session_count; i++)
        requests += l->truth.sessions[i]->requests;
    while (l->worker->stats.live.taken < l->truth.session_count)
        step(l);
    l->server.refuses = false;
    run(l);
    assert_true(l->worker->stats.verdicts[TB_VERDICT_REFUSED] >= l->truth.session_count - 1);
    assert_true(l->worker->stats.started <= requests + l->truth.session_count);
    assert_true(l->server.count > 0 && arrived_bytes(l) > 0);
    finish(l, true);
    check_forgotten(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_arrive_while_they_grow_at_a_quick_target),
        cmocka_unit_test(sessions_arrive_whole_at_a_target_slower_than_online),
        cmocka_unit_test(a_hole_ends_a_session_before_the_missing_bytes),
        cmocka_unit_test(every_replica_has_a_pair_of_its_own),
        cmocka_unit_test(a_share_is_the_same_in_every_run),
        cmocka_unit_test(what_goes_to_a_target_is_a_session_only_when_recorded),
        cmocka_unit_test(a_target_that_refuses_costs_nothing_but_verdicts),
        cmocka_unit_test(sessions_are_given_up_before_memory_goes_beyond_its_limit),
        cmocka_unit_test(some_sessions_are_given_up_while_packets_pile_up),
        cmocka_unit_test(what_modules_hold_counts_for_the_limit),
        cmocka_unit_test(a_copy_goes_on_with_the_next_request_when_the_target_resets),
        cmocka_unit_test(a_copy_whose_requests_do_not_stand_alone_ends),
        cmocka_unit_test(a_copy_waits_for_the_target_to_come_back),
        cmocka_unit_test(notes_are_forgotten_when_nobody_plays_them),
        cmocka_unit_test(early_requests_are_forgotten_while_replicas_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
