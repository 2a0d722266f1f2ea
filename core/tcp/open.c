/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Life cycle of a connection: opening, queueing bytes, closing, giving everything back.
 */
#include "tcp/tcp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/siphash.h"
#include "packet/seq.h"

enum { DEFAULT_MSS = 536 };

void tb_tcp_env_init(struct tb_tcp_env *env, uint32_t busy_bytes)
{
    tb_pool_init(&env->busy, busy_bytes);
    tb_pool_init(&env->spans, sizeof(struct tb_tcp_span));
    tb_pool_init(&env->copies, sizeof(struct tb_tcp_copy));
    tb_pool_init(&env->blocks, sizeof(struct tb_tcp_block));
}

void tb_tcp_env_fini(struct tb_tcp_env *env)
{
    tb_pool_fini(&env->busy);
    tb_pool_fini(&env->spans);
    tb_pool_fini(&env->copies);
    tb_pool_fini(&env->blocks);
}

struct tb_tcp_busy *tb_tcp_need_busy(struct tb_tcp_env *env, struct tb_tcp *c)
{
    if (c->busy)
        return tb_pool_at(&env->busy, c->busy);
    c->busy = tb_pool_take(&env->busy);
    if (!c->busy)
        return NULL;
    struct tb_tcp_busy *b = tb_pool_at(&env->busy, c->busy);
    b->snd_nxt = b->snd_max = b->snd_end = c->snd_una;
    b->progress_us = env->now_us;
    uint32_t mss = c->mss ? c->mss : DEFAULT_MSS;
    b->cwnd = c->restart ? c->restart * mss : tb_tcp_initial_window(mss);
    b->ssthresh = UINT32_MAX;
    b->wnd_max = c->snd_wnd;
    return b;
}

/*
 * RFC 6528 and RFC 7323 §5.4: a keyed hash of the addresses plus a clock, so that the numbers of
 * one path only ever grow, from connection to connection and from run to run (the key is the
 * machine's). A server that still holds the old connection in TIME-WAIT then accepts the new SYN
 * (RFC 9293 §3.10.7.4, RFC 6191).
 */
static uint64_t path_hash(const struct tb_tcp_env *env, const struct tb_tcp_path *path)
{
    struct {
        struct tb_addr src, dst;
        uint16_t sport, dport;
    } key = {path->src, path->dst, path->sport, path->dport};

    return tb_siphash(env->isn_key, &key, sizeof key);
}

int tb_tcp_open(struct tb_tcp_env *env, struct tb_tcp *c, const struct tb_tcp_path *path,
                const struct tb_tcp_syn *syn)
{
    /* Behind the FIN of the last connection here; far enough for a reused record to be newer even
     * if it sent faster than the ISN clock runs. */
    uint32_t floor = tb_seq_wrap(c->snd_una, c->iss) + 2;
    bool reused = c->iss != 0;
    uint32_t owner = c->owner;
    uint64_t hash = path_hash(env, path);

    tb_tcp_release(env, c);
    memset(c, 0, sizeof *c);
    c->iss = (uint32_t) hash + (uint32_t) (env->real_us / 4);
    if (reused && tb_seq_lt(c->iss, floor))
        c->iss = floor;
    if (c->iss == 0)
        c->iss = 1; /* 0 marks a record never used */
    c->owner = owner;
    c->ts_offset = (uint32_t) (hash >> 32);
    c->mss = DEFAULT_MSS;
    if (!tb_tcp_need_busy(env, c))
        return -ENOMEM;
    c->state = TB_TCP_SYN_SENT;
    c->flags = TB_TCP_SYN_DUE;
    if (syn->ts)
        c->flags |= TB_TCP_USES_TS;
    if (syn->sack)
        c->flags |= TB_TCP_USES_SACK;
    if (syn->wscale >= 0)
        c->flags |= TB_TCP_USES_WSCALE;
    return 0;
}

/* Does `data` go on where `s` ends? Then one span does for both (the usual case: scripts are
 * contiguous). */
static bool span_continues(const struct tb_tcp_span *s, const uint8_t *data, uint32_t len)
{
    return !s->copy && s->data + s->len == data && s->len <= UINT32_MAX - len;
}

/* The connection's extension, ready for more bytes to be queued. */
static int begin_send(struct tb_tcp_env *env, struct tb_tcp *c, struct tb_tcp_busy **out)
{
    struct tb_tcp_busy *b = tb_tcp_need_busy(env, c);

    if (!b)
        return -ENOMEM;
    if (c->flags & TB_TCP_FIN_QUEUED)
        return -EPIPE;
    if (b->snd_end == c->snd_una)
        b->progress_us = env->now_us; /* silence counts from the first byte that needs an answer */
    *out = b;
    return 0;
}

static struct tb_tcp_span *last_span(struct tb_tcp_env *env, const struct tb_tcp_busy *b)
{
    return b->last_span ? tb_pool_at(&env->spans, b->last_span) : NULL;
}

static int append_span(struct tb_tcp_env *env, struct tb_tcp_busy *b, const uint8_t *data,
                       uint32_t len, uint32_t copy)
{
    uint32_t handle = tb_pool_take(&env->spans);

    if (!handle)
        return -ENOMEM;
    struct tb_tcp_span *s = tb_pool_at(&env->spans, handle), *last = last_span(env, b);
    *s = (struct tb_tcp_span){.data = data, .from = b->snd_end, .len = len, .copy = copy};
    if (last)
        last->next = handle;
    else
        b->first_span = handle;
    b->last_span = handle;
    b->snd_end += len;
    return 0;
}

void tb_tcp_span_give(struct tb_tcp_env *env, uint32_t handle)
{
    struct tb_tcp_span *s = tb_pool_at(&env->spans, handle);

    tb_pool_give(&env->copies, s->copy);
    tb_pool_give(&env->spans, handle);
}

int tb_tcp_send(struct tb_tcp_env *env, struct tb_tcp *c, const uint8_t *data, uint32_t len)
{
    struct tb_tcp_busy *b;
    int rc = begin_send(env, c, &b);

    if (rc < 0 || len == 0)
        return rc;
    struct tb_tcp_span *last = last_span(env, b);
    if (!last || !span_continues(last, data, len))
        return append_span(env, b, data, len, 0);
    last->len += len;
    b->snd_end += len;
    return 0;
}

/* As much of it as the last copy has room for. */
static uint32_t fill_last_copy(struct tb_tcp_env *env, struct tb_tcp_busy *b, const uint8_t *data,
                               uint32_t len)
{
    struct tb_tcp_span *last = last_span(env, b);

    if (!last || !last->copy)
        return 0;
    struct tb_tcp_copy *copy = tb_pool_at(&env->copies, last->copy);
    uint32_t room = TB_TCP_COPY_BYTES - last->len, n = len < room ? len : room;
    memcpy(copy->data + last->len, data, n);
    last->len += n;
    b->snd_end += n;
    return n;
}

int tb_tcp_send_copy(struct tb_tcp_env *env, struct tb_tcp *c, const uint8_t *data, uint32_t len)
{
    struct tb_tcp_busy *b;
    int rc = begin_send(env, c, &b);

    if (rc < 0 || len == 0)
        return rc;
    for (uint32_t at = fill_last_copy(env, b, data, len), n; at < len; at += n) {
        uint32_t handle = tb_pool_take(&env->copies);
        if (!handle)
            return -ENOMEM;
        struct tb_tcp_copy *copy = tb_pool_at(&env->copies, handle);
        n = len - at < TB_TCP_COPY_BYTES ? len - at : TB_TCP_COPY_BYTES;
        memcpy(copy->data, data + at, n);
        if (append_span(env, b, copy->data, n, handle) < 0) {
            tb_pool_give(&env->copies, handle);
            return -ENOMEM;
        }
    }
    return 0;
}

int tb_tcp_close(struct tb_tcp_env *env, struct tb_tcp *c)
{
    struct tb_tcp_busy *b = tb_tcp_need_busy(env, c);

    if (!b)
        return -ENOMEM;
    if (c->flags & TB_TCP_FIN_QUEUED)
        return 0;
    if (b->snd_end == c->snd_una)
        b->progress_us = env->now_us;
    c->flags |= TB_TCP_FIN_QUEUED;
    return 0;
}

bool tb_tcp_is_acked(const struct tb_tcp_env *env, const struct tb_tcp *c)
{
    const struct tb_tcp_busy *b = tb_tcp_busy(env, c);

    if (!b)
        return true;
    if (c->state == TB_TCP_SYN_SENT)
        return false;
    if ((c->flags & TB_TCP_FIN_QUEUED) && !(c->flags & TB_TCP_FIN_ACKED))
        return false;
    return c->snd_una >= b->snd_end;
}

bool tb_tcp_is_quiet(const struct tb_tcp_env *env, const struct tb_tcp *c)
{
    const struct tb_tcp_busy *b = tb_tcp_busy(env, c);

    if (!b)
        return true;
    /* What stands beyond the server's FIN is nothing to wait for. */
    bool is_gap = (b->ooo.count > 0 || b->fin_pending) && !(c->flags & TB_TCP_FIN_RECEIVED);
    return tb_tcp_is_acked(env, c) && !is_gap;
}

/* A window that losses made small stays small over an idle time (RFC 5681 §4.1). */
static uint8_t restart_segments(const struct tb_tcp *c, const struct tb_tcp_busy *b)
{
    uint32_t segments = b->cwnd / (c->mss ? c->mss : DEFAULT_MSS);

    if (b->cwnd >= tb_tcp_initial_window(c->mss))
        return 0;
    return segments < 1 ? 1 : segments > 15 ? 15 : (uint8_t) segments;
}

void tb_tcp_release(struct tb_tcp_env *env, struct tb_tcp *c)
{
    struct tb_tcp_busy *b = tb_tcp_busy(env, c);

    if (!b)
        return;
    if (env->release)
        env->release(env, c, b);
    for (uint32_t h = b->first_span; h;) {
        uint32_t next = ((struct tb_tcp_span *) tb_pool_at(&env->spans, h))->next;
        tb_tcp_span_give(env, h);
        h = next;
    }
    for (uint32_t h = b->first_block; h;) {
        uint32_t next = ((struct tb_tcp_block *) tb_pool_at(&env->blocks, h))->next;
        tb_pool_give(&env->blocks, h);
        h = next;
    }
    /* A later connection on this path must begin above everything sent, acknowledged or not. */
    if (b->snd_max > c->snd_una && c->state == TB_TCP_CLOSED)
        c->snd_una = b->snd_max;
    c->restart = restart_segments(c, b) & 15;
    tb_pool_give(&env->busy, c->busy);
    c->busy = 0;
    c->flags &= (uint16_t) ~(TB_TCP_RECOVERY | TB_TCP_RTX_FIRST | TB_TCP_PROBE);
    c->rtx_at = 0;
}
