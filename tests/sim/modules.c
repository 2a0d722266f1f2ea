/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The protocol modules of simulated sessions: one that counts bytes, two that frame responses (with
 * and without seeing them), one that rewrites requests. They tell the judge how sessions end, check
 * that payload is delivered in order and once, and put the client's numbers near their wrap.
 */
#include <string.h>
#include "watch.h"

struct state {
    uint64_t delivered; /* bytes of the server */
    uint32_t asked;     /* requests held back once */
};
struct busy {
    uint64_t so_far; /* of the response in progress */
};

static struct sim *sim_of(const struct tb_session *ts)
{
    return ((struct sim_io *) ts->worker->io)->sim;
}

static struct conn *conn_of(const struct tb_session *ts)
{
    struct tb_tcp_path path;

    tb_user_path(ts->worker, ts->user, &path);
    return slot_find(sim_of(ts), tb_addr_low32(&path.src), path.sport)->conn;
}

static const struct sim_session *session_of(const struct tb_session *ts)
{
    return &sim_of(ts)->session[ts->user->tcp.owner % sim_of(ts)->sessions];
}

static struct state *state_of(struct tb_session *ts)
{
    return sim_of(ts)->host.session_state(ts);
}

static int session_start(struct tb_session *ts)
{
    struct sim *s = sim_of(ts);
    struct tb_tcp *c = &ts->user->tcp;
    struct conn *k = watch_start(s, ts->worker, ts->user);

    if (ts->user->plays == 1 && tb_rng_below(&s->rng, 2)) {
        c->iss = (uint32_t) -between(&s->rng, 2, k->t->wire_len + 50);
        k->isn_is_ours = true;
    }
    if (tb_rng_below(&s->rng, 3) == 0 && ts->user->plays == 1)
        c->ts_offset = (uint32_t) - (between(&s->rng, 1, 4000) + s->real_us / 1000);
    return 0;
}

static int64_t session_end(struct tb_session *ts, enum tb_verdict verdict)
{
    judge_verdict(sim_of(ts), conn_of(ts), verdict);
    return -1;
}

/* --- responses framed by their length ----------------------------------------------------------
 */

static uint64_t awaited_bytes(struct tb_session *ts)
{
    struct tb_request_info info;

    if (!sim_of(ts)->host.awaited(ts, &info))
        return session_of(ts)->greeting;
    return session_of(ts)->req[info.index].r.response_bytes;
}

static void check_payload(struct tb_session *ts, const uint8_t *data, size_t len)
{
    struct state *st = state_of(ts);
    struct sim *s = sim_of(ts);
    struct conn *c = conn_of(ts);
    bool wants = tb_user_module(ts->worker, ts->user)->needs_payload;

    if (wants != (data != NULL))
        sim_fail(s, c, "payload %s", data ? "is given unasked" : "is not given");
    for (size_t i = 0; data && i < len; i++)
        if (data[i] != reply_byte(c->t, st->delivered + i)) {
            sim_fail(s, c, "delivered: wrong byte at %llu",
                     (unsigned long long) (st->delivered + i));
            break;
        }
    if (st->delivered + len > c->rcv && !c->fuzzy)
        sim_fail(s, c, "delivered: %llu bytes, %llu came in order",
                 (unsigned long long) (st->delivered + len), (unsigned long long) c->rcv);
}

static enum tb_response_status response(struct tb_session *ts, const uint8_t *data, size_t len,
                                        unsigned flags, size_t *used)
{
    struct sim *s = sim_of(ts);

    if (flags & TB_RESPONSE_CLOSED)
        return TB_RESPONSE_MORE;
    if (flags & TB_RESPONSE_UNASKED) {
        check_payload(ts, data, len);
        state_of(ts)->delivered += len;
        return TB_RESPONSE_MORE;
    }
    struct busy *b = s->host.busy_state(ts);
    uint64_t want = awaited_bytes(ts) - b->so_far;
    check_payload(ts, data, len);
    if (len < want) {
        b->so_far += len;
        state_of(ts)->delivered += len;
        return TB_RESPONSE_MORE;
    }
    *used = want;
    state_of(ts)->delivered += want;
    b->so_far = 0;
    return TB_RESPONSE_COMPLETE;
}

/* --- requests rewritten: see wire_of() in story.c ------------------------------------------------
 */

static enum tb_request_action request(struct tb_session *ts, const struct tb_request_info *q)
{
    static const uint8_t prefix[7] = "PPPPPPP";
    static uint8_t filler[1500];
    const struct tb_host *h = &sim_of(ts)->host;

    if (!q || q->index % 3 == 0)
        return TB_REQUEST_SEND;
    if (q->index % 3 == 1) {
        if (state_of(ts)->asked++ % 2 == 0) { /* later */
            h->set_timer(ts, 5 * MS);
            return TB_REQUEST_WAIT;
        }
        if (h->send(ts, prefix, sizeof prefix) < 0)
            return TB_REQUEST_FAIL;
        return TB_REQUEST_SEND;
    }
    for (uint32_t k = 0; k < sizeof filler; k++)
        filler[k] = rewritten_byte(k);
    if (h->send_captured(ts, 0, q->len / 2) < 0 || h->send(ts, filler, 700) < 0 ||
        h->send(ts, filler + 700, sizeof filler - 700) < 0)
        return TB_REQUEST_FAIL;
    return TB_REQUEST_REPLACED;
}

/* What was held back is asked for again because of this. */
static enum tb_response_status timer(struct tb_session *ts)
{
    (void) ts;
    return TB_RESPONSE_MORE;
}

void modules_init(struct sim *s)
{
    struct tb_module plain = {.magic = TB_MODULE_MAGIC,
                              .abi = TB_MODULE_ABI,
                              .size = sizeof(struct tb_module),
                              .name = "sim",
                              .session_size = sizeof(struct state),
                              .session_start = session_start,
                              .session_end = session_end};

    tb_host_play_functions(&s->host);
    for (unsigned i = 0; i < MODULE_COUNT; i++) {
        s->module[i] = plain;
        if (i != MODULE_BYTES) {
            s->module[i].response = response;
            s->module[i].busy_size = sizeof(struct busy);
            s->module[i].needs_payload = i != MODULE_NUMBERS;
        }
        s->config.modules[i].ops = &s->module[i];
    }
    s->module[MODULE_REWRITER].request = request;
    s->module[MODULE_REWRITER].timer = timer;
    s->config.module_count = MODULE_COUNT;
}
