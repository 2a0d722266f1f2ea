/* SPDX-License-Identifier: BSD-2-Clause */
/* Plays a TCP script against a stack: numbers made absolute, packets built, what is sent compared.
 */
#include "script.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "packet/frame.h"
#include "packet/seq.h"
#include "packet/wire.h"

enum { PACKET = 70000, LINE = 240 };

struct play {
    const struct scr *s;
    struct scr_stack *k;
    const struct scr_event *event;
    char *why;
    bool has_syn, has_ts;
    struct tb_segment first; /* our SYN: whom to answer */
    uint32_t ts_base;        /* added to a time stamp of the script it is ours */
    uint16_t window;         /* last given */
    uint64_t now_us;         /* of the event before */
    uint8_t packet[PACKET];
};

static int fail(struct play *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Always -1. */
static int fail(struct play *p, const char *fmt, ...)
{
    va_list args;
    int n = snprintf(p->why, SCR_WHY, "line %u, at %.4f s: ", p->event->line,
                     (double) p->k->now_us(p->k) / 1e6);

    va_start(args, fmt);
    vsnprintf(p->why + n, SCR_WHY - (size_t) n, fmt, args);
    va_end(args);
    return -1;
}

/* --- words ------------------------------------------------------------------------------------ */

static size_t append(char line[LINE], size_t at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static size_t append(char line[LINE], size_t at, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    int n = vsnprintf(line + at, LINE - at, fmt, args);
    va_end(args);
    return at + (size_t) n < LINE ? at + (size_t) n : LINE - 1;
}

/* A segment that was sent, as it would stand in a script. */
static const char *describe(const struct play *p, const struct tb_segment *g, char line[LINE])
{
    static const char letters[] = "FSRP.UEC";
    uint32_t seq = g->seq - p->first.seq;
    size_t n = append(line, 0, "> ");

    for (unsigned i = 0; i < 8; i++)
        if (g->flags & 1u << i)
            n = append(line, n, "%c", letters[i]);
    n = append(line, n, " %u:%u(%u)", seq, seq + g->payload_len, g->payload_len);
    if (g->flags & TB_TCP_ACK)
        n = append(line, n, " ack %u", g->ack - p->s->peer_isn);
    n = append(line, n, " win %u <", g->window);
    if (g->opt.mss)
        n = append(line, n, "mss %u,", g->opt.mss);
    if (g->opt.sack_permitted)
        n = append(line, n, "sackOK,");
    if (g->opt.has_ts)
        n = append(line, n, "TS val %u ecr %u,", g->opt.tsval - p->ts_base, g->opt.tsecr);
    if (g->opt.wscale >= 0)
        n = append(line, n, "wscale %d,", g->opt.wscale);
    for (unsigned i = 0; i < g->opt.sack_count; i++)
        n = append(line, n, "%s%u:%u", i ? " " : "sack ", g->opt.sack[i].left - p->s->peer_isn,
                   g->opt.sack[i].right - p->s->peer_isn);
    append(line, n, ">");
    return line;
}

/* --- giving ----------------------------------------------------------------------------------- */

static uint32_t put_option(const struct play *p, const struct scr_option *o, uint8_t *out)
{
    uint8_t *at = out;

    if (o->kind == SCR_OPT_RAW) {
        memcpy(out, o->raw, o->count);
        return o->count;
    }
    *at++ = (uint8_t) o->kind;
    if (o->kind == SCR_OPT_NOP)
        return 1;
    at++; /* length, below */
    if (o->kind == SCR_OPT_MSS) {
        tb_put_be16(at, o->value[0]);
        at += 2;
    } else if (o->kind == SCR_OPT_WSCALE) {
        *at++ = (uint8_t) o->value[0];
    } else if (o->kind == SCR_OPT_TS) {
        tb_put_be32(at, o->value[0]);
        tb_put_be32(at + 4, o->value[1] + p->ts_base);
        at += 8;
    } else if (o->kind == SCR_OPT_SACK) {
        for (uint32_t i = 0; i < o->count; i++, at += 4)
            tb_put_be32(at, tb_seq_add(p->first.seq, o->value[i]));
    }
    out[1] = (uint8_t) (at - out);
    return (uint32_t) (at - out);
}

static uint8_t put_options(const struct play *p, const struct scr_segment *g, uint8_t out[64])
{
    uint32_t len = 0;

    for (uint32_t i = 0; i < g->option_count && len < 40; i++)
        len += put_option(p, &g->option[i], out + len);
    while (len % 4)
        out[len++] = 0; /* end of options */
    return (uint8_t) (len < 40 ? len : 40);
}

static int give(struct play *p)
{
    const struct scr_segment *g = &p->event->segment;
    uint8_t payload[PACKET], options[512] = {0};
    struct tb_frame f;

    if (!p->has_syn)
        return fail(p, "no SYN has been seen that could be answered");
    if (g->window >= 0)
        p->window = (uint16_t) g->window;
    for (uint32_t i = 0; i < g->len; i++)
        payload[i] = g->text ? (uint8_t) g->text[i] : scr_byte(g->seq - 1 + i);
    struct tb_frame_spec spec = {
        .src = &p->first.dst,
        .dst = &p->first.src,
        .sport = p->first.dport,
        .dport = p->first.sport,
        .seq = tb_seq_add(p->s->peer_isn, g->seq),
        .ack = g->flags & TB_TCP_ACK ? tb_seq_add(p->first.seq, g->ack) : 0,
        .window = p->window,
        .flags = g->flags,
        .options = options,
        .options_len = put_options(p, g, options),
    };
    tb_frame_build(&f, &spec, payload, g->len);
    p->k->give(p->k, p->packet, tb_frame_flatten(&f, p->packet, sizeof p->packet));
    return 0;
}

/* --- comparing -------------------------------------------------------------------------------- */

static const char *wrong_option(const struct play *p, const struct scr_option *o,
                                const struct tb_tcp_options *seen)
{
    switch (o->kind) {
    case SCR_OPT_MSS:
        return seen->mss == o->value[0] ? NULL : "mss";
    case SCR_OPT_WSCALE:
        return seen->wscale == (int) o->value[0] ? NULL : "wscale";
    case SCR_OPT_TS:
        if (!seen->has_ts || seen->tsecr != o->value[1])
            return "TS ecr";
        return p->k->is_kernel || seen->tsval - p->ts_base == o->value[0] ? NULL : "TS val";
    case SCR_OPT_SACK:
        if (seen->sack_count != o->count / 2)
            return "number of sack blocks";
        for (uint32_t i = 0; i < seen->sack_count; i++)
            if (seen->sack[i].left != tb_seq_add(p->s->peer_isn, o->value[2 * i]) ||
                seen->sack[i].right != tb_seq_add(p->s->peer_isn, o->value[2 * i + 1]))
                return "sack";
        return NULL;
    default:
        return NULL;
    }
}

static bool has_option(const struct scr_segment *g, int kind)
{
    for (uint32_t i = 0; i < g->option_count; i++)
        if (g->option[i].kind == kind)
            return true;
    return false;
}

static const char *wrong_options(const struct play *p, const struct scr_segment *g,
                                 const struct tb_tcp_options *seen)
{
    if (!g->has_options || (p->k->is_kernel && (g->flags & TB_TCP_SYN)))
        return NULL;
    for (uint32_t i = 0; i < g->option_count; i++) {
        const char *wrong = wrong_option(p, &g->option[i], seen);
        if (wrong)
            return wrong;
    }
    if (has_option(g, SCR_OPT_MSS) != (seen->mss != 0) ||
        has_option(g, SCR_OPT_WSCALE) != (seen->wscale >= 0) ||
        has_option(g, SCR_OPT_SACK_OK) != seen->sack_permitted ||
        has_option(g, SCR_OPT_TS) != seen->has_ts ||
        has_option(g, SCR_OPT_SACK) != (seen->sack_count > 0))
        return "options present";
    return NULL;
}

/* The bytes of the client's stream that stand at this number; a FIN or probe has none. */
static bool is_payload_right(const struct play *p, const struct tb_segment *seen)
{
    uint32_t from = seen->seq - p->first.seq - 1;

    if (seen->payload_len == 0)
        return true;
    return from <= p->s->stream_len && seen->payload_len <= p->s->stream_len - from &&
           memcmp(seen->payload, p->s->stream + from, seen->payload_len) == 0;
}

static const char *wrong_in(const struct play *p, const struct scr_sent *sent)
{
    const struct scr_segment *g = &p->event->segment;
    const struct tb_segment *seen = &sent->segment;
    uint8_t ignored = p->k->is_kernel ? TB_TCP_PSH : 0;

    if (((seen->flags ^ g->flags) & ~ignored) != 0)
        return "flags";
    if (seen->seq != tb_seq_add(p->first.seq, g->seq))
        return "seq";
    if (seen->payload_len != g->len)
        return "length";
    if ((g->flags & TB_TCP_ACK) && seen->ack != tb_seq_add(p->s->peer_isn, g->ack))
        return "ack";
    if (g->window >= 0 && !p->k->is_kernel && seen->window != g->window)
        return "win";
    if (g->text && memcmp(seen->payload, g->text, g->len) != 0)
        return "text";
    if (!is_payload_right(p, seen))
        return "payload: not what stands at this number of the stream";
    if (!sent->checksum_ok)
        return "checksum";
    return wrong_options(p, g, &seen->opt);
}

/* The first SYN says what the numbers of the script are relative to. */
static void look_at_syn(struct play *p, const struct scr_segment *g, const struct tb_segment *seen)
{
    if (p->has_syn || (seen->flags & (TB_TCP_SYN | TB_TCP_ACK)) != TB_TCP_SYN)
        return;
    p->has_syn = true;
    p->first = *seen;
    for (uint32_t i = 0; i < g->option_count && seen->opt.has_ts; i++)
        if (g->option[i].kind == SCR_OPT_TS)
            p->ts_base = seen->opt.tsval - g->option[i].value[0];
}

static int take(struct play *p, uint64_t from_us, uint64_t to_us)
{
    struct scr_sent sent;
    char line[LINE];

    if (!p->k->take(p->k, to_us + p->k->late_us, &sent))
        return fail(p, "nothing was sent");
    look_at_syn(p, &p->event->segment, &sent.segment);
    const char *wrong = wrong_in(p, &sent);
    describe(p, &sent.segment, line);
    if (wrong)
        return fail(p, "saw \"%s\"; what differs: %s", line, wrong);
    if (sent.at_us + p->k->early_us < from_us)
        return fail(p, "\"%s\" came %.4f s too early", line, (double) (from_us - sent.at_us) / 1e6);
    p->now_us = sent.at_us;
    return 0;
}

/* --- events ----------------------------------------------------------------------------------- */

/* Let time pass to `until_us`, in which nothing may be sent. */
static int pass(struct play *p, uint64_t until_us)
{
    struct scr_sent sent;
    char line[LINE];

    if (p->k->take(p->k, until_us, &sent))
        return fail(p, "\"%s\" was not expected", describe(p, &sent.segment, line));
    p->now_us = until_us;
    return 0;
}

static int happen(struct play *p, const struct scr_event *before)
{
    const struct scr_event *e = p->event;
    uint64_t from_us = p->now_us + e->from_us, to_us = p->now_us + e->to_us;
    /* Segments given at the same time arrive in one batch. */
    bool in_batch = e->kind == SCR_GIVE && before && before->kind == SCR_GIVE && e->from_us == 0;

    if (e->kind == SCR_EXPECT)
        return take(p, from_us, to_us);
    if (!in_batch && pass(p, from_us) < 0)
        return -1;
    if (e->kind == SCR_GIVE)
        return give(p);
    if (e->kind == SCR_RECEIVED && p->k->received(p->k) != e->bytes)
        return fail(p, "%llu bytes have been received, not %llu",
                    (unsigned long long) p->k->received(p->k), (unsigned long long) e->bytes);
    if (e->kind == SCR_VERDICT && !p->k->is_kernel && p->k->verdict(p->k) != e->verdict)
        return fail(p, "the verdict is %s, not %s", scr_verdict_name(p->k->verdict(p->k)),
                    scr_verdict_name(e->verdict));
    return 0;
}

int scr_play(const struct scr *s, struct scr_stack *k, char why[SCR_WHY])
{
    struct play p = {.s = s, .k = k, .why = why, .window = 65535};

    for (uint32_t i = 0; i < s->event_count; i++) {
        p.event = &s->event[i];
        if (happen(&p, i > 0 ? &s->event[i - 1] : NULL) < 0)
            return -1;
    }
    return s->event_count > 0 ? pass(&p, p.now_us) : 0;
}
