/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A handshake from a client address; see probe.h. Leaves nothing behind on the target: what
 * answered with SYN-ACK gets a RST.
 */
#include "check/probe.h"

#include "base/clock.h"
#include "packet/view.h"

enum { PACKETS = 32 };

static void send_segment(struct tb_io *io, const struct tb_probe *p, uint8_t flags, uint32_t seq)
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
                                           .window = syn ? UINT16_MAX : 0,
                                           .flags = flags,
                                           .options = mss_option,
                                           .options_len = syn ? sizeof mss_option : 0},
                   NULL, 0);
    frame.transfer = p->transfer;
    tb_io_send(io, &frame, 1);
}

static bool answers(const struct tb_segment *seg, const struct tb_probe *p)
{
    return p->answer == TB_PROBE_SILENCE && seg->sport == p->target.port &&
           seg->dport == p->client.port && tb_addr_eq(&seg->src, &p->target.addr) &&
           tb_addr_eq(&seg->dst, &p->client.addr) && (seg->flags & TB_TCP_ACK) &&
           seg->ack == p->isn + 1;
}

/* Match what has come; how many probes it answered. */
static uint32_t receive(struct tb_io *io, struct tb_probe *probes, uint32_t count)
{
    struct tb_packet packets[PACKETS];
    struct tb_segment seg;
    uint32_t answered = 0;
    uint32_t n = tb_io_recv(io, packets, PACKETS);
    uint64_t now_us = tb_clock_mono_us();

    for (uint32_t i = 0; i < n; i++) {
        if (tb_segment_parse(packets[i].data, packets[i].len, &seg))
            continue;
        for (uint32_t k = 0; k < count; k++) {
            struct tb_probe *p = &probes[k];
            if (!answers(&seg, p) || !(seg.flags & (TB_TCP_SYN | TB_TCP_RST)))
                continue;
            p->answer = seg.flags & TB_TCP_RST ? TB_PROBE_RST : TB_PROBE_SYN_ACK;
            p->took_us = now_us - p->sent_us;
            answered++;
            if (p->answer == TB_PROBE_SYN_ACK)
                send_segment(io, p, TB_TCP_RST, p->isn + 1);
        }
    }
    return answered;
}

void tb_probe_run(struct tb_io *io, struct tb_probe *probes, uint32_t count,
                  const struct tb_probe_patience *patience)
{
    uint64_t wait_us = patience->first_wait_us;
    uint32_t open = count;

    for (uint32_t i = 0; i < count; i++)
        probes[i].answer = TB_PROBE_SILENCE;
    for (uint32_t attempt = 0; attempt < patience->tries && open; attempt++, wait_us *= 2) {
        for (uint32_t i = 0; i < count; i++) {
            if (probes[i].answer != TB_PROBE_SILENCE)
                continue;
            probes[i].sent_us = tb_clock_mono_us();
            send_segment(io, &probes[i], TB_TCP_SYN, probes[i].isn);
        }
        uint64_t now_us = tb_clock_mono_us(), until_us = now_us + wait_us;
        while (open && now_us < until_us) {
            open -= receive(io, probes, count);
            if (open)
                tb_io_wait(io, until_us - now_us);
            now_us = tb_clock_mono_us();
        }
    }
}
