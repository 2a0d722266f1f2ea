/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the figures of a run suggest to look at: one short line per cause, with what to do, the most
 * telling first. Called by summary.c.
 */
#include "report/advice.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "report/units.h"

enum {
    PACING_ERROR_US = 1000, /* the promise of FEATURES: p99 within 1 ms */
    RETRANSMITTED_PER_MILLE = 5,
    RETRANSMITTED_FEW = 10 /* below that a share means nothing */
};

static void add(struct tb_advice *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct tb_advice *a, const char *fmt, ...)
{
    va_list args;
    char *line = a->line[a->count];

    if (a->count == sizeof a->line / sizeof *a->line)
        return;
    va_start(args, fmt);
    vsnprintf(line, sizeof *a->line, fmt, args);
    va_end(args);
    /* Parts of it may come from the network, and this goes to a terminal. */
    for (; *line; line++)
        if (!isprint((unsigned char) *line))
            *line = '?';
    a->count++;
}

static void advise_connecting(struct tb_advice *a, const struct tb_report_input *in)
{
    const struct tb_stats *s = in->stats;
    uint64_t silent = s->verdicts[TB_VERDICT_CONNECT_TIMEOUT];
    uint64_t refused = s->verdicts[TB_VERDICT_REFUSED];

    if (silent && !s->established)
        add(a, "no SYN was answered: run %s with --check and the same -x, -c and -s to see why",
            in->is_live ? "tcpcopy" : "tcpburn");
    else if (silent)
        add(a,
            "%s got no answer to the SYN: the target's accept queue may be full "
            "(its 'nstat -az TcpExtListenOverflows'; raise its backlog)",
            tb_text_number(silent, "session").s);
    if (refused && !s->established)
        add(a, "every connection was refused: nothing listens on the target's port");
    else if (refused)
        add(a, "%s refused: the server was down for a while, or limits its connections",
            tb_text_number(refused, "connection").s);
}

static void advise_sessions(struct tb_advice *a, const struct tb_stats *s)
{
    uint64_t reset = s->verdicts[TB_VERDICT_RESET];
    uint64_t silent = s->verdicts[TB_VERDICT_RESPONSE_TIMEOUT];
    uint64_t early = s->verdicts[TB_VERDICT_CLOSED_EARLY];
    uint64_t module = s->verdicts[TB_VERDICT_MODULE];
    uint64_t closed = s->verdicts[TB_VERDICT_SERVER_CLOSED];

    if (reset)
        add(a, "%s reset by the server, unlike the capture: look at its log and its limits",
            tb_text_number(reset, "session").s);
    if (silent)
        add(a,
            "%s waited longer than --timeout for a response: the server stalls, or answers less "
            "than was captured",
            tb_text_number(silent, "session").s);
    if (early)
        add(a, "%s closed by the server before all was answered: look at its keep-alive limits",
            tb_text_number(early, "session").s);
    if (closed)
        add(a,
            "%s that were to stay were closed by the server: it went down, or has a limit for idle "
            "connections",
            tb_text_number(closed, "session").s);
    if (module)
        add(a, "%s ended by the module%s%.*s", tb_text_number(module, "session").s,
            s->reason_count ? ", first: " : "", TB_STATS_EXAMPLE_TEXT,
            s->reason_count ? s->reasons[0] : "");
    for (uint32_t i = 0; i < s->example_count && i < 2; i++) {
        const struct tb_mismatch *m = &s->examples[i];
        add(a,
            "response to request %" PRIu32 " of captured session %" PRIu32 ": captured %s, seen %s",
            m->request, m->session, m->captured, m->seen);
    }
}

static void advise_channel(struct tb_advice *a, const struct tb_report_input *in)
{
    const struct tb_report_channel *c = &in->channel;
    uint64_t dropped = in->stats->capture_dropped;

    if (c->connected < c->connections)
        add(a, "%s of %s to intercept were down at the end: the log says why",
            tb_text_count(c->connections - c->connected).s,
            tb_text_number(c->connections, "connection").s);
    else if (c->losses)
        add(a,
            "the intercept channel was lost for a while: what came then came late, and latencies "
            "include it");
    if (dropped && c->servers)
        add(a,
            "%s lost between target and this host, in intercept's rings or its buffers: more "
            "--workers here, or less load; latencies may read too high",
            tb_text_number(dropped, "packet").s);
    else if (dropped)
        add(a,
            "%s lost on this host before they were read: use more --workers or less load; "
            "latencies may read too high",
            tb_text_number(dropped, "packet").s);
}

/* One line for the kind there is most of. */
static void advise_sending(struct tb_advice *a, const struct tb_stats *s)
{
    static const char *const causes[TB_SEND_KINDS] = {
        [TB_SEND_ENOBUFS] = "the device's queue is full; less load, or a longer queue",
        [TB_SEND_EPERM] = "a firewall on this host forbids it; see 'nft list ruleset'",
        [TB_SEND_EMSGSIZE] = "too long for the device or the route; give -M its MTU",
        [TB_SEND_ENETDOWN] = "the output device was down",
        [TB_SEND_OTHER] = "no route to the target for a while, or no neighbour on it"};
    uint64_t sum = 0;
    unsigned most = 0;

    for (unsigned i = 0; i < TB_SEND_KINDS; i++) {
        sum += s->send_errors[i];
        if (s->send_errors[i] > s->send_errors[most])
            most = i;
    }
    if (sum)
        add(a, "the kernel refused to send %s: %s", tb_text_number(sum, "packet").s, causes[most]);
}

/* What was seen and not copied, and what limits that. */
static void advise_live(struct tb_advice *a, const struct tb_stats *s)
{
    const struct tb_live_stats *live = &s->live;

    uint64_t holes = s->verdicts[TB_VERDICT_CAPTURE_HOLE];

    if (live->drops)
        add(a, "%s lost before they were read: a larger -B, more --workers, or a smaller -r",
            tb_text_number(live->drops, "live packet").s);
    if (holes)
        add(a, "%s ended where packets were missed%s: copied again when their clients connect anew",
            tb_text_number(holes, "session").s,
            live->drops ? "" : ", but not lost here (do both directions pass this host whole?)");
    if (live->shed_memory)
        add(a, "%s given up at the limit of -m: raise it, or take fewer with -r",
            tb_text_number(live->shed_memory, "session").s);
    if (live->shed_cpu)
        add(a, "%s left out for want of time: fewer with -r, more --workers, or a higher --max-cpu",
            tb_text_number(live->shed_cpu, "session").s);
    if (live->shed_pairs)
        add(a, "%s left out for want of client addresses and ports: a larger -c, or fewer -n",
            tb_text_number(live->shed_pairs, "session").s);
}

static void advise_pacing(struct tb_advice *a, const struct tb_report_input *in)
{
    uint64_t late_us = tb_histogram_quantile(&in->stats->pacing_error, 0.99);

    if (late_us <= PACING_ERROR_US)
        return;
    if (in->is_live)
        add(a,
            "1 of 100 requests was sent more than %s after the live one: the target answers later "
            "than the online server, or this host is saturated",
            tb_text_time(late_us).s);
    else
        add(a,
            "1 of 100 requests left more than %s after it was due: this host is saturated; use "
            "more --workers or less load",
            tb_text_time(late_us).s);
}

static void advise_machine(struct tb_advice *a, const struct tb_report_input *in)
{
    const struct tb_stats *s = in->stats;

    if (s->late)
        add(a, "%s could not start when due: raise -u, the limit of sessions at a time",
            tb_text_number(s->late, "session").s);
    advise_sending(a, s);
    if (in->host_dropped)
        add(a,
            "this machine's kernel dropped %s, of this run or others: raise "
            "net.core.netdev_max_backlog (sysctl -w, 100000), or load it less",
            tb_text_number(in->host_dropped, "packet").s);
    advise_pacing(a, in);
    if (s->retransmitted > RETRANSMITTED_FEW &&
        s->retransmitted * 1000 > s->packets_sent * RETRANSMITTED_PER_MILLE)
        add(a, "%s of the packets were sent again: the network or the target loses packets",
            tb_text_percent(s->retransmitted, s->packets_sent).s);
}

void tb_advice_collect(struct tb_advice *advice, const struct tb_report_input *in)
{
    advise_connecting(advice, in);
    advise_sessions(advice, in->stats);
    advise_channel(advice, in);
    if (in->is_live)
        advise_live(advice, in->stats);
    advise_machine(advice, in);
    if (in->trace_sessions && !in->stats->started && !in->interrupted)
        add(advice, "no session was started: --duration may be shorter than the first start");
}
