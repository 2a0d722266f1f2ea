/* SPDX-License-Identifier: BSD-2-Clause */
/* The bench of the TCP tests. See tcp_rig.h. */
#include "tcp_rig.h"

enum { STREAM_BYTES = 8 << 20, PERIOD = 251, BEGIN_US = 5000000 };

/* Byte i of a stream: the period is a prime, so no segment size lines up with it. */
static uint8_t stream_byte(uint64_t i, uint8_t side)
{
    return (uint8_t) (i % PERIOD + side);
}

static uint8_t *stream; /* the client's, made once for all tests */

static void make_stream(void)
{
    if (stream)
        return;
    stream = malloc(STREAM_BYTES);
    assert_non_null(stream);
    for (uint32_t i = 0; i < STREAM_BYTES; i++)
        stream[i] = stream_byte(i, 0);
}

static void deliver(struct tb_tcp_env *env, struct tb_tcp *c, const uint8_t *data, uint32_t len)
{
    struct rig *r = (struct rig *) env; /* env is the first member */

    assert_ptr_equal(c, &r->c);
    assert_int_equal(data != NULL, (c->flags & TB_TCP_WANTS_DATA) != 0);
    for (uint32_t i = 0; data && i < len; i++)
        assert_int_equal(data[i], stream_byte(r->delivered + i, 1));
    r->delivered += len;
    if (r->on_deliver)
        r->on_deliver(r);
}

/* Note and check what is in the batch. */
static void flush(struct tb_tcp_env *env)
{
    static uint8_t packet[70000];
    struct rig *r = (struct rig *) env;

    for (uint32_t i = 0; i < env->frame_count; i++) {
        struct tb_frame *f = &env->frames[i];
        uint32_t len = tb_frame_flatten(f, packet, sizeof packet);
        struct tb_ip ip;
        assert_true(r->sent_count < RIG_SENT);
        struct sent *s = &r->sent[r->sent_count++];
        assert_int_equal(tb_ip_parse(packet, len, &ip), 0);
        assert_true(tb_segment_checksum_ok(&ip));
        assert_int_equal(tb_segment_parse(packet, len, &s->seg), 0);
        assert_int_equal(s->seg.payload_len, f->payload_len);
        assert_true(tb_addr_eq(&s->seg.src, &r->path.src));
        assert_true(tb_addr_eq(&s->seg.dst, &r->path.dst));
        assert_int_equal(s->seg.sport, r->path.sport);
        assert_int_equal(s->seg.dport, r->path.dport);
        s->at_us = env->now_us - BEGIN_US;
        s->gso_size = f->gso_size;
        if (s->seg.flags & TB_TCP_SYN)
            r->iss = s->seg.seq;
        uint32_t offset = s->seg.seq - r->iss - 1;
        for (uint32_t k = 0; k < s->seg.payload_len; k++)
            assert_int_equal(s->seg.payload[k], stream_byte(offset + k, 0));
        s->seg.payload = NULL;
    }
    env->frame_count = 0;
    env->gather_used = 0;
}

int rig_setup(void **state)
{
    static const uint8_t client[4] = {198, 18, 100, 1}, server[4] = {198, 18, 0, 2};
    struct rig *r = calloc(1, sizeof *r);

    if (!r)
        return -1;
    make_stream();
    tb_tcp_env_init(&r->env, sizeof(struct tb_tcp_busy));
    r->env.now_us = BEGIN_US;
    r->env.epoch_us = 1000000;
    r->env.real_us = UINT64_C(1700000000000000);
    r->env.mtu = 1500;
    r->env.rcv_wnd = 1 << 20;
    r->env.timeout_us = 120 * SECONDS;
    r->env.frames = r->frames;
    r->env.frame_room = RIG_FRAMES;
    r->env.gather = r->gather;
    r->env.gather_room = sizeof r->gather;
    r->env.flush = flush;
    r->env.deliver = deliver;
    r->path = (struct tb_tcp_path){
        .src = tb_addr_v4(client), .dst = tb_addr_v4(server), .sport = 4000, .dport = 80};
    r->syn = (struct tb_tcp_syn){.mss = 1460, .wscale = 7, .sack = true};
    r->server = (struct tb_tcp_syn){.mss = MSS, .wscale = 0, .sack = true, .ts = true};
    r->irs = 1000000;
    r->server_ts = 70000;
    *state = r;
    return 0;
}

int rig_teardown(void **state)
{
    struct rig *r = *state;

    tb_tcp_release(&r->env, &r->c);
    assert_int_equal(r->env.busy.in_use, 0);
    assert_int_equal(r->env.spans.in_use, 0);
    assert_int_equal(r->env.copies.in_use, 0);
    assert_int_equal(r->env.blocks.in_use, 0);
    tb_tcp_env_fini(&r->env);
    free(r);
    return 0;
}

static void output(struct rig *r)
{
    tb_tcp_output(&r->env, &r->c, &r->path, &r->syn);
    flush(&r->env);
}

void rig_open(struct rig *r)
{
    r->queued = r->delivered = 0;
    assert_int_equal(tb_tcp_open(&r->env, &r->c, &r->path, &r->syn), 0);
    output(r);
}

void rig_open_at(struct rig *r, uint32_t iss)
{
    /* The number is a hash plus the clock: see where it stands, then set the clock. */
    assert_int_equal(tb_tcp_open(&r->env, &r->c, &r->path, &r->syn), 0);
    r->env.real_us += UINT64_C(4) * (uint32_t) (iss - r->c.iss);
    tb_tcp_release(&r->env, &r->c);
    memset(&r->c, 0, sizeof r->c);
    rig_open(r);
    assert_int_equal(r->c.iss, iss);
}

void rig_connect(struct rig *r)
{
    rig_open(r);
    EXPECT(r, .flags = SYN);
    assert_int_equal(GIVE(r, .flags = SYN | ACK), TB_TCP_EV_CONNECTED);
    EXPECT(r, .flags = ACK, .seq = 1, .ack = 1);
    EXPECT_NOTHING(r);
}

void rig_send(struct rig *r, uint32_t len)
{
    assert_true(r->queued + len <= STREAM_BYTES);
    assert_int_equal(tb_tcp_send(&r->env, &r->c, stream + r->queued, len), 0);
    r->queued += len;
    output(r);
}

void rig_send_copy(struct rig *r, uint32_t len)
{
    uint8_t *passing = exact_copy(stream + r->queued, len);

    assert_int_equal(tb_tcp_send_copy(&r->env, &r->c, passing, len), 0);
    free(passing);
    r->queued += len;
    output(r);
}

void rig_close(struct rig *r)
{
    assert_int_equal(tb_tcp_close(&r->env, &r->c), 0);
    output(r);
}

void rig_abort(struct rig *r)
{
    tb_tcp_abort(&r->env, &r->c, &r->path);
    flush(&r->env);
}

static void put_options(const struct rig *r, const struct given *g, struct tb_tcp_options *o)
{
    bool syn = g->flags & TB_TCP_SYN;

    o->wscale = -1;
    if (syn) {
        o->mss = r->server.mss;
        o->wscale = r->server.wscale;
        o->sack_permitted = r->server.sack;
    }
    if (r->syn.ts && r->server.ts && !g->no_ts) {
        o->has_ts = true;
        o->tsval = g->tsval ? g->tsval : r->server_ts + (uint32_t) (r->env.now_us / 1000);
    }
    for (unsigned i = 0; i < 4 && g->sack[i][1]; i++) {
        o->sack[i].left = r->iss + g->sack[i][0];
        o->sack[i].right = r->iss + g->sack[i][1];
        o->sack_count++;
    }
}

unsigned rig_give(struct rig *r, struct given g)
{
    bool syn = g.flags & TB_TCP_SYN;
    uint32_t seq = g.seq || syn ? g.seq : 1;
    uint8_t *payload = malloc(g.len ? g.len : 1);
    struct tb_segment seg = {
        .src = r->path.dst,
        .dst = r->path.src,
        .sport = r->path.dport,
        .dport = r->path.sport,
        .seq = r->irs + seq,
        .ack = g.flags & TB_TCP_ACK ? r->iss + (g.ack ? g.ack : 1) : 0,
        .window = g.zero_window ? 0
                  : g.window    ? g.window
                                : 65535,
        .flags = g.flags,
        .payload_len = g.len,
        .payload_claimed = g.len,
    };

    assert_non_null(payload);
    for (uint32_t i = 0; i < g.len; i++)
        payload[i] = stream_byte(seq - 1 + i, 1);
    seg.payload = payload;
    put_options(r, &g, &seg.opt);
    r->events = tb_tcp_input(&r->env, &r->c, &r->path, &seg);
    free(payload);
    output(r);
    return r->events;
}

void rig_ack_all(struct rig *r)
{
    while (r->c.snd_una < r->queued) {
        const struct tb_segment *last = &r->sent[r->sent_count - 1].seg;
        uint32_t end = last->seq + last->payload_len - r->iss;
        assert_true(end > (uint32_t) r->c.snd_una + 1);
        r->sent_count = r->sent_seen = 0;
        GIVE(r, .flags = ACK, .ack = end);
    }
    r->sent_count = r->sent_seen = 0;
}

unsigned rig_pass(struct rig *r, uint64_t us)
{
    uint64_t until = r->env.now_us + us;

    r->events = 0;
    for (;;) {
        uint32_t tick = tb_tcp_deadline(&r->c);
        uint64_t due = r->env.epoch_us + ((uint64_t) tick << TB_WHEEL_TICK_SHIFT);
        if (tick == 0 || due > until || (r->events & TB_TCP_EV_DEAD))
            break;
        if (due > r->env.now_us) {
            r->env.real_us += due - r->env.now_us;
            r->env.now_us = due;
        }
        r->events |= tb_tcp_timer(&r->env, &r->c);
        if (!(r->events & TB_TCP_EV_DEAD))
            output(r);
    }
    r->env.real_us += until - r->env.now_us;
    r->env.now_us = until;
    return r->events;
}

const struct tb_segment *rig_expect(struct rig *r, struct expected e, const char *file, int line)
{
    if (r->sent_seen == r->sent_count)
        print_error("nothing (more) was sent\n");
    _assert_true(r->sent_seen < r->sent_count, "a segment was sent", file, line);
    const struct tb_segment *s = &r->sent[r->sent_seen++].seg;
    uint32_t seq = s->seq - r->iss, ack = s->flags & TB_TCP_ACK ? s->ack - r->irs : 0;
    uint8_t flags = s->flags & (uint8_t) ~TB_TCP_PSH;
    if (flags != e.flags || seq != e.seq || ack != e.ack || s->payload_len != e.len)
        print_error("sent: flags 0x%02x seq %u ack %u len %u\n", flags, seq, ack, s->payload_len);
    _assert_int_equal(flags, e.flags, file, line);
    _assert_int_equal(seq, e.seq, file, line);
    _assert_int_equal(ack, e.ack, file, line);
    _assert_int_equal(s->payload_len, e.len, file, line);
    return s;
}

void rig_expect_nothing(struct rig *r, const char *file, int line)
{
    if (r->sent_seen != r->sent_count) {
        const struct tb_segment *s = &r->sent[r->sent_seen].seg;
        print_error("sent: flags 0x%02x seq %u ack %u len %u\n", s->flags, s->seq - r->iss,
                    s->ack - r->irs, s->payload_len);
    }
    _assert_int_equal(r->sent_count - r->sent_seen, 0, file, line);
}

uint64_t rig_sent_at_us(const struct rig *r)
{
    return r->sent[r->sent_seen - 1].at_us;
}

void rig_skip_sent(struct rig *r)
{
    r->sent_seen = r->sent_count;
}
