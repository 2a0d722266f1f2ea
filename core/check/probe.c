/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A handshake from a client address, and whether what follows arrives as well; see probe.h. A
 * firewall that sees one direction only lets a SYN through and stops the rest, so that SYN-ACK
 * alone proves little.
 */
#include "check/probe.h"

#include "base/clock.h"
#include "packet/view.h"

enum { PACKETS = 32 };

static void send_segment(struct tb_io *io, const struct tb_probe *p, uint8_t flags, uint32_t seq,
                         uint16_t window)
{
    static const uint8_t mss_option[4] = {2, 4, 1460 >> 8, 1460 & 0xff};
    bool syn = flags & TB_TCP_SYN;
    struct tb_frame frame;

    tb_frame_build(&frame,
                   &(struct tb_frame_spec){.src = &p->client.addr,
                                           .dst = &p->target.addr,
                                           .sport = p->client.port,
                                           .dport = p->target.port,
                                           .seq = seq,
                                           .ack = flags & TB_TCP_ACK ? p->server_isn + 1 : 0,
                                           .window = window,
                                           .flags = flags,
                                           .options = mss_option,
                                           .options_len = syn ? sizeof mss_option : 0},
                   NULL, 0);
    frame.transfer = p->transfer;
    tb_io_send(io, &frame, 1);
}

/* What the probe waits for, sent (again). */
static void send_next(struct tb_io *io, struct tb_probe *p)
{
    if (p->answer == TB_PROBE_SILENCE) {
        p->sent_us = tb_clock_mono_us();
        send_segment(io, p, TB_TCP_SYN, p->isn, UINT16_MAX);
        return;
    }
    send_segment(io, p, TB_TCP_ACK, p->isn + 1, UINT16_MAX);
    /* From before the window: has to be answered, by a server that has nothing to say, too
     * (RFC 9293 §3.10.7.4). */
    send_segment(io, p, TB_TCP_ACK, p->isn, UINT16_MAX);
}

static void begin(struct tb_probe *p, enum tb_probe_answer answer,
                  const struct tb_probe_patience *patience, uint64_t now_us)
{
    p->answer = answer;
    p->tries_left = patience->tries;
    p->wait_us = patience->first_wait_us;
    p->next_us = now_us;
    p->done = false;
}

static bool is_for(const struct tb_segment *seg, const struct tb_probe *p)
{
    return !p->done && seg->sport == p->target.port && seg->dport == p->client.port &&
           tb_addr_eq(&seg->src, &p->target.addr) && tb_addr_eq(&seg->dst, &p->client.addr);
}

static void take(struct tb_io *io, struct tb_probe *p, const struct tb_segment *seg,
                 const struct tb_probe_patience *patience)
{
    uint64_t now_us = tb_clock_mono_us();
    bool acks = (seg->flags & TB_TCP_ACK) && seg->ack == p->isn + 1;

    if (p->answer == TB_PROBE_SILENCE) {
        if (!acks || !(seg->flags & (TB_TCP_SYN | TB_TCP_RST)))
            return;
        p->took_us = now_us - p->sent_us;
        p->server_isn = seg->seq;
        begin(p, TB_PROBE_DEAF, patience, now_us);
        if (seg->flags & TB_TCP_RST) {
            p->answer = TB_PROBE_REFUSED;
            p->done = true;
        }
        return;
    }
    if (seg->flags & TB_TCP_RST) {
        p->answer = TB_PROBE_KILLED;
        p->done = true;
    } else if (acks && !(seg->flags & TB_TCP_SYN)) {
        p->answer = TB_PROBE_OPEN;
        p->done = true;
        send_segment(io, p, TB_TCP_RST, p->isn + 1, TB_PROBE_MARK);
    }
}

static void receive(struct tb_io *io, struct tb_probe *probes, uint32_t count,
                    const struct tb_probe_patience *patience)
{
    struct tb_packet packets[PACKETS];
    struct tb_segment seg;
    uint32_t n = tb_io_recv(io, packets, PACKETS);

    for (uint32_t i = 0; i < n; i++) {
        if (tb_segment_parse(packets[i].data, packets[i].len, &seg))
            continue;
        for (uint32_t k = 0; k < count; k++)
            if (is_for(&seg, &probes[k]))
                take(io, &probes[k], &seg, patience);
    }
}

/* Send what is due; the time of the next, or UINT64_MAX when every probe is done. */
static uint64_t advance(struct tb_io *io, struct tb_probe *probes, uint32_t count)
{
    uint64_t now_us = tb_clock_mono_us(), next_us = UINT64_MAX;

    for (uint32_t i = 0; i < count; i++) {
        struct tb_probe *p = &probes[i];
        if (p->done)
            continue;
        if (p->next_us <= now_us && !p->tries_left) {
            p->done = true;
            if (p->answer == TB_PROBE_DEAF)
                send_segment(io, p, TB_TCP_RST, p->isn + 1, TB_PROBE_MARK);
            continue;
        }
        if (p->next_us <= now_us) {
            send_next(io, p);
            p->tries_left--;
            p->next_us = now_us + p->wait_us;
            p->wait_us *= 2;
        }
        if (p->next_us < next_us)
            next_us = p->next_us;
    }
    return next_us;
}

void tb_probe_run(struct tb_io *io, struct tb_probe *probes, uint32_t count,
                  const struct tb_probe_patience *patience)
{
    uint64_t begin_us = tb_clock_mono_us();

    for (uint32_t i = 0; i < count; i++)
        begin(&probes[i], TB_PROBE_SILENCE, patience, begin_us);
    for (;;) {
        uint64_t next_us = advance(io, probes, count), now_us = tb_clock_mono_us();
        if (next_us == UINT64_MAX)
            return;
        if (next_us > now_us)
            tb_io_wait(io, next_us - now_us);
        receive(io, probes, count, patience);
    }
}
