/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets in: whose each one is, and what TCP makes of it. Called by a worker's turn. What belongs
 * to no connection is answered with a RST, in a limited number.
 *
 * While one packet is taken the next ones are parsed already and their users' records fetched: with
 * many users these lie anywhere in memory, and waiting for each in turn was half of the time.
 */
#include "engine/worker.h"

enum {
    STRAYS_PER_S = 1000, /* RSTs for segments of no connection */
    AHEAD = 8            /* packets looked at before they are taken */
};

/* A packet that was looked at. */
struct arrival {
    const struct tb_packet *packet;
    struct tb_segment seg;
    bool is_broken;
    uint32_t id, generation; /* in the plan; TB_PLAN_NOBODY: nobody's, or live */
    uint32_t place;          /* in this worker, if it serves that user */
};

enum { NO_TARGET = UINT32_MAX };

/* The transfer whose target sent the segment. */
static uint32_t transfer_of(const struct tb_worker *w, const struct tb_segment *seg)
{
    const struct tb_plan *plan = w->config->plan;

    for (uint32_t i = 0; i < plan->target_count; i++)
        if (seg->sport == plan->targets[i].port && tb_addr_eq(&seg->src, &plan->targets[i].addr))
            return i;
    return NO_TARGET;
}

static void stray(struct tb_worker *w, const struct tb_segment *seg)
{
    uint64_t second = w->tcp.now_us / 1000000;
    uint32_t transfer = transfer_of(w, seg);

    w->stats.strays++;
    if (transfer == NO_TARGET && w->live)
        return; /* it may be anybody's, a live client's even */
    if (second != w->stray_second) {
        w->stray_second = second;
        w->strays_answered = 0;
    }
    if (w->strays_answered++ < STRAYS_PER_S)
        tb_tcp_refuse(&w->tcp, seg, 0, transfer == NO_TARGET ? 0 : transfer);
}

/* Is it of the pair that `u` uses now, and from the target that `u` talks to? */
static bool is_for(const struct tb_worker *w, const struct tb_user *u, const struct arrival *a)
{
    const struct tb_plan *plan = w->config->plan;
    const struct tb_endpoint *target = &plan->targets[tb_user_script(w, u)->transfer];

    return u->generation == a->generation && a->seg.sport == target->port &&
           tb_addr_eq(&a->seg.src, &target->addr);
}

/* A back-end that says how long the packet was may have cut it behind the headers: enough, unless
 * its bytes are wanted. From any other a packet that lacks bytes is broken. */
static bool complete_payload(const struct tb_user *u, struct arrival *a)
{
    struct tb_segment *seg = &a->seg;

    if (seg->payload_len >= seg->payload_claimed)
        return true;
    if (!a->packet->wire_len || (u->tcp.flags & TB_TCP_WANTS_DATA))
        return false;
    seg->payload_len = seg->payload_claimed;
    seg->payload = NULL;
    return true;
}

static void look_at(const struct tb_worker *w, const struct tb_packet *packet, struct arrival *a)
{
    const struct tb_plan *plan = w->config->plan;

    a->packet = packet;
    a->is_broken = tb_segment_parse(packet->data, packet->len, &a->seg) < 0;
    if (a->is_broken)
        return;
    if (packet->wire_len > packet->len)
        a->seg.payload_claimed = a->seg.payload_len + (packet->wire_len - packet->len);
    a->id =
        w->live ? TB_PLAN_NOBODY : tb_plan_user_at(plan, &a->seg.dst, a->seg.dport, &a->generation);
    if (a->id == TB_PLAN_NOBODY)
        return;
    a->place = tb_plan_place(plan, a->id);
    if (a->place < w->user_count) {
        tb_user_prefetch(&w->users[a->place]);
        tb_wheel_prefetch(&w->wheel, a->place);
    }
}

/* The user of the plan; what is for none of them is answered when it is for our addresses. */
static struct tb_user *planned_user(struct tb_worker *w, const struct arrival *a)
{
    struct tb_user *u =
        a->id != TB_PLAN_NOBODY && a->place < w->user_count ? &w->users[a->place] : NULL;

    if (a->id != TB_PLAN_NOBODY && (!u || u->tcp.owner != a->id)) {
        w->stats.strays++; /* another shard's or worker's: not ours to answer */
        return NULL;
    }
    if (u && is_for(w, u, a))
        return u;
    if (tb_plan_has_addr(w->config->plan, &a->seg.dst))
        stray(w, &a->seg);
    return NULL;
}

/* A live session's segment: it is for the slot with its pair. What is from a target and for nobody
 * is answered there, and nothing else is answered ever. */
static struct tb_user *live_user(struct tb_worker *w, const struct tb_segment *seg)
{
    struct tb_user *u = tb_live_user_at(w->live, seg);

    if (!u)
        stray(w, seg);
    return u;
}

static void take(struct tb_worker *w, struct arrival *a)
{
    struct tb_segment *seg = &a->seg;
    uint64_t time_us = a->packet->time_us;

    if (a->is_broken) {
        w->stats.bad_packets++;
        return;
    }
    struct tb_user *u = w->live ? live_user(w, seg) : planned_user(w, a);
    if (!u)
        return;
    if (!complete_payload(u, a)) {
        w->stats.bad_packets++;
        return;
    }
    struct tb_tcp_path path = {.src = seg->dst,
                               .dst = seg->src,
                               .sport = seg->dport,
                               .dport = seg->sport,
                               .transfer = tb_user_script(w, u)->transfer};
    w->seen_us = time_us && time_us < w->tcp.now_us ? time_us : w->tcp.now_us;
    tb_worker_touch(w, u);
    unsigned events = tb_tcp_input(&w->tcp, &u->tcp, &path, seg);
    if (events & TB_TCP_EV_STRAY)
        stray(w, seg);
    else if (events)
        tb_player_events(w, u, events);
}

uint32_t tb_worker_input(struct tb_worker *w)
{
    uint32_t n = tb_io_recv(w->io, w->packets, TB_WORKER_BATCH);
    struct arrival window[AHEAD];

    w->stats.packets_received += n;
    w->tcp.is_behind = n == TB_WORKER_BATCH;
    for (uint32_t i = 0; i < n + AHEAD; i++) {
        struct arrival *a = &window[i % AHEAD];
        if (i >= AHEAD && i - AHEAD < n)
            take(w, a);
        if (i < n)
            look_at(w, &w->packets[i], a);
    }
    return n;
}
