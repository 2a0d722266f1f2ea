/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The application of a simulated server: reads requests, answers them as captured, closes as
 * captured; and the faults that make it do something else (enum fault).
 */
#include "peer.h"

void app_begin(struct peer *p)
{
    uint64_t now = p->s->now_us;

    p->greeted = p->t->greeting == 0;
    if (p->b.fault == FAULT_KEEPALIVE)
        p->keepalive_at = now + p->b.arg_us;
    if (p->b.fault == FAULT_FORGED)
        p->forge_at = now + p->b.arg_us;
    if (p->b.fault == FAULT_SHRINK)
        p->shrink_at = now + p->b.arg_us;
}

uint64_t app_room(const struct peer *p)
{
    uint64_t unread = p->rcv - p->read, buffer = p->b.buffer;

    return buffer > unread ? buffer - unread : 0;
}

/* --- reading ---------------------------------------------------------------------------------- */

static void read_bytes(struct peer *p)
{
    uint64_t now = p->s->now_us, upto = p->rcv;
    uint32_t stop = p->b.step < p->t->count ? p->t->req[p->b.step].wire_from : 0;

    if (p->b.fault == FAULT_NEVER_READS && upto > stop)
        upto = stop;
    if (p->b.fault == FAULT_NO_READ && upto > stop && !p->reads_again) {
        if (p->resume_at == SIM_NONE)
            p->resume_at = now + p->b.arg_us;
        if (now < p->resume_at)
            upto = stop;
        else {
            p->reads_again = true;
            p->b.buffer += 65535;
        }
    }
    if (p->b.fault == FAULT_SLOW_READ && upto > p->read) {
        if (p->resume_at == SIM_NONE)
            p->resume_at = now + p->b.arg_us;
        if (now < p->resume_at)
            return;
        p->resume_at = SIM_NONE;
        if (upto - p->read > p->b.arg) {
            upto = p->read + p->b.arg;
            p->resume_at = now + p->b.arg_us;
        }
    }
    if (upto > p->read)
        p->read = upto;
}

/* The window has opened by so much that the client must be told. */
static void tell_window(struct peer *p)
{
    uint64_t edge = p->rcv + app_room(p);

    if (p->edge < p->rcv + p->mss && edge >= p->edge + p->mss / 2 && edge > p->edge &&
        (edge - p->edge >= p->mss || edge - p->edge >= p->b.buffer / 2) && !p->has_fin)
        peer_ack(p);
}

/* --- answering -------------------------------------------------------------------------------- */

static uint32_t reply_len(const struct peer *p, uint32_t step)
{
    const struct sim_request *q = &p->t->req[step];
    uint32_t len = (uint32_t) q->r.response_bytes;

    if (p->b.fault == FAULT_TWICE && p->b.step == step)
        return 2 * len;
    if (p->b.fault == FAULT_SHORT && p->b.step == step)
        return len - p->b.arg;
    return len;
}

static void reset_now(struct peer *p)
{
    peer_push(p);
    peer_reset(p);
}

/* A fault in place of the answer; true when there was one. */
static bool fault_instead(struct peer *p)
{
    uint32_t part = reply_len(p, p->step) / 2;

    if (p->step != p->b.step)
        return false;
    switch (p->b.fault) {
    case FAULT_SILENT:
        p->is_over = true;
        return true;
    case FAULT_GONE:
        p->is_gone = true;
        return true;
    case FAULT_CLOSE_WITHIN:
        p->queued += part;
        /* fall through */
    case FAULT_CLOSE_EARLY:
        p->fin_queued = p->is_over = true;
        return true;
    case FAULT_RESET_WITHIN:
        p->queued += part;
        /* fall through */
    case FAULT_RESET:
        reset_now(p);
        return true;
    case FAULT_RESTART:
        p->state = PEER_CLOSED;
        return true;
    default:
        return false;
    }
}

static void answer(struct peer *p)
{
    const struct sim_request *q = &p->t->req[p->step];
    uint32_t len = reply_len(p, p->step);

    if (fault_instead(p)) {
        p->step_at = SIM_NONE;
        return;
    }
    if (q->pause_us && len >= 2 && !p->half_said) {
        p->half_said = true;
        p->queued += len / 2;
        p->step_at = p->s->now_us + q->pause_us;
        return;
    }
    p->queued += p->half_said ? len - len / 2 : len;
    p->half_said = false;
    p->step++;
    p->step_at = SIM_NONE;
}

/* All requests are answered: the server's own end. */
static void end(struct peer *p)
{
    const struct sim_session *t = p->t;
    bool closes_first = t->end == END_SERVER_FIN || t->end == END_SERVER_FIN_ONLY ||
                        t->end == END_SERVER_RST || p->b.fault == FAULT_CLOSE_BOTH;

    if (p->b.fault == FAULT_NO_CLOSE)
        return;
    if (closes_first && p->step_at == SIM_NONE)
        p->step_at = p->s->now_us + t->server_close_us;
    if (closes_first && p->s->now_us < p->step_at)
        return;
    if (!closes_first && !(p->has_fin && p->read == p->rcv))
        return;
    if (t->end == END_SERVER_RST && p->una < p->queued)
        return; /* it would take the bytes before it along */
    p->is_over = true;
    p->step_at = SIM_NONE;
    if (t->end == END_SERVER_RST)
        reset_now(p);
    else
        p->fin_queued = true;
}

static bool has_request(const struct peer *p)
{
    bool last = p->step + 1 == p->t->count;

    return p->read >= p->t->req[p->step].wire_to &&
           (p->has_fin || !last || p->t->end != END_HALF_CLOSE);
}

static void serve(struct peer *p)
{
    if (!p->greeted) {
        p->greeted = true;
        p->queued += p->t->greeting;
    }
    while (p->state == PEER_OPEN && !p->is_over && !p->is_gone && p->step < p->t->count) {
        if (!has_request(p)) {
            if (p->has_fin && p->read == p->rcv && p->b.fault != FAULT_NO_CLOSE)
                p->is_over = p->fin_queued = true; /* there will be no more */
            return;
        }
        if (p->step_at == SIM_NONE)
            p->step_at = p->s->now_us + p->t->req[p->step].server_us;
        if (p->s->now_us < p->step_at)
            return;
        answer(p);
    }
    if (p->state == PEER_OPEN && !p->is_over && !p->is_gone)
        end(p);
}

/* --- other things it does --------------------------------------------------------------------- */

static void keep_alive(struct peer *p)
{
    p->keepalive_at = SIM_NONE;
    if (p->max == 0 || p->fin_queued)
        return;
    if (p->una == p->max) {
        if (p->b.arg & 1)
            peer_raw(p, TB_TCP_ACK, peer_seq_number(p, p->max) - 1, peer_ack_number(p), 0);
        else
            peer_ack(p);
    }
    if (--p->b.arg > 0)
        p->keepalive_at = p->s->now_us + p->b.arg_us;
}

/* Nothing of this may change anything: see RFC 5961. */
static void forge(struct peer *p)
{
    struct tb_rng *r = &p->s->rng;
    uint32_t far = (uint32_t) between(r, 300000, 900000), seq = peer_seq_number(p, p->max) + far;
    uint32_t ack = peer_ack_number(p);
    const struct conn *c = p->slot->conn;
    bool ts = p->ts;

    p->ts = ts && (tb_rng_next(r) & 1);
    switch (tb_rng_below(r, 9)) {
    case 0:
        peer_raw(p, TB_TCP_RST, seq, 0, 0);
        break;
    case 1:
        peer_raw(p, TB_TCP_RST | TB_TCP_ACK, seq + (1u << 30), ack, 0);
        break;
    case 2:
        peer_raw(p, TB_TCP_SYN, seq, 0, 0);
        break;
    case 3:
        peer_raw(p, TB_TCP_SYN | TB_TCP_ACK, seq, ack, 0);
        break;
    case 4:
        peer_raw(p, TB_TCP_ACK, peer_seq_number(p, p->una), ack + 3000000, 40);
        break;
    case 5:
        peer_raw(p, TB_TCP_ACK, peer_seq_number(p, p->una), ack - (1u << 30) - 5000, 40);
        break;
    case 6:                /* of a little more than was sent */
        p->is_near = true; /* before the client sends more */
        peer_raw(p, TB_TCP_ACK, peer_seq_number(p, p->max), watch_next_number(c) + 1, 0);
        p->is_near = false;
        break;
    case 7: /* across the edge of the client's window, far behind what the session has */
        if (watch_window_edge(c) > 2 * p->t->replies + 100)
            peer_raw(p, TB_TCP_ACK, peer_seq_number(p, watch_window_edge(c)) - 20, ack, 40);
        break;
    default:
        peer_raw(p, TB_TCP_ACK | TB_TCP_FIN, seq + 2000000, ack, 0);
    }
    p->ts = ts;
    p->forge_at = --p->b.arg > 0 ? p->s->now_us + p->b.arg_us : SIM_NONE;
}

static void shrink(struct peer *p)
{
    p->b.buffer = p->b.arg & 1 ? p->b.buffer / 4 : p->b.buffer * 4;
    peer_ack(p);
    p->shrink_at = --p->b.arg > 0 ? p->s->now_us + p->b.arg_us : SIM_NONE;
}

void app_run(struct peer *p)
{
    uint64_t now = p->s->now_us;

    if (p->state != PEER_OPEN)
        return;
    read_bytes(p);
    serve(p);
    if (p->state != PEER_OPEN || p->is_gone)
        return;
    tell_window(p);
    if (p->keepalive_at <= now)
        keep_alive(p);
    if (p->forge_at <= now)
        forge(p);
    if (p->shrink_at <= now)
        shrink(p);
}

uint64_t app_next_us(const struct peer *p)
{
    uint64_t at[] = {p->step_at, p->resume_at, p->keepalive_at, p->forge_at, p->shrink_at};
    uint64_t least = SIM_NONE;

    if (p->state != PEER_OPEN || p->is_gone)
        return SIM_NONE;
    for (unsigned i = 0; i < sizeof at / sizeof at[0]; i++)
        if (at[i] < least && at[i] > p->s->now_us) /* what is past has been done */
            least = at[i];
    return least;
}
