/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A packet for a worker: whose it is, and what TCP makes of it. Called by the worker's turn. What
 * belongs to no connection is answered with a RST, in a limited number.
 */
#include "engine/worker.h"

enum { STRAYS_PER_S = 1000 /* RSTs for segments of no connection */ };

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

/* Is this user of the plan one of this worker's? */
static bool is_served_here(const struct tb_worker *w, uint32_t id)
{
    const struct tb_plan *plan = w->config->plan;

    return plan->place[id] != TB_PLAN_NOBODY &&
           (plan->workers == 1 || tb_plan_worker(plan, id) == w->index);
}

/* The user `id`, if it uses this pair now and the segment is from the target it talks to. */
static struct tb_user *user_of_segment(struct tb_worker *w, uint32_t id, uint32_t generation,
                                       const struct tb_segment *seg)
{
    const struct tb_plan *plan = w->config->plan;
    const struct tb_endpoint *target = &plan->targets[tb_plan_script(plan, id)->transfer];
    struct tb_user *u = &w->users[plan->place[id]];

    if (u->generation != generation || seg->sport != target->port ||
        !tb_addr_eq(&seg->src, &target->addr))
        return NULL;
    return u;
}

/* The user of the plan; what is for none of them is answered when it is for our addresses. */
static struct tb_user *planned_user_of_segment(struct tb_worker *w, const struct tb_segment *seg)
{
    uint32_t generation, id = tb_plan_user_at(w->config->plan, &seg->dst, seg->dport, &generation);
    struct tb_user *u = NULL;

    if (id != TB_PLAN_NOBODY && !is_served_here(w, id)) {
        w->stats.strays++; /* another shard's: not ours to answer */
        return NULL;
    }
    if (id != TB_PLAN_NOBODY)
        u = user_of_segment(w, id, generation, seg);
    if (!u && tb_plan_has_addr(w->config->plan, &seg->dst))
        stray(w, seg);
    return u;
}

/* A live session's segment: it is for the slot with its pair. What is from a target and for nobody
 * is answered there, and nothing else is answered ever. */
static struct tb_user *live_user_of_segment(struct tb_worker *w, const struct tb_segment *seg)
{
    struct tb_user *u = tb_live_user_at(w->live, seg);

    if (!u)
        stray(w, seg);
    return u;
}

/* A back-end that says how long the packet was may have cut it behind the headers: enough, unless
 * its bytes are wanted. From any other a packet that lacks bytes is broken. */
static bool complete_payload(const struct tb_user *u, const struct tb_packet *packet,
                             struct tb_segment *seg)
{
    if (seg->payload_len >= seg->payload_claimed)
        return true;
    if (!packet->wire_len || (u->tcp.flags & TB_TCP_WANTS_DATA))
        return false;
    seg->payload_len = seg->payload_claimed;
    seg->payload = NULL;
    return true;
}

void tb_input_packet(struct tb_worker *w, const struct tb_packet *packet)
{
    struct tb_segment seg;

    if (tb_segment_parse(packet->data, packet->len, &seg) < 0) {
        w->stats.bad_packets++;
        return;
    }
    if (packet->wire_len > packet->len)
        seg.payload_claimed = seg.payload_len + (packet->wire_len - packet->len);
    struct tb_user *u = w->live ? live_user_of_segment(w, &seg) : planned_user_of_segment(w, &seg);
    if (!u)
        return;
    if (!complete_payload(u, packet, &seg)) {
        w->stats.bad_packets++;
        return;
    }
    struct tb_tcp_path path = {.src = seg.dst,
                               .dst = seg.src,
                               .sport = seg.dport,
                               .dport = seg.sport,
                               .transfer = tb_user_script(w, u)->transfer};
    w->seen_us =
        packet->time_us && packet->time_us < w->tcp.now_us ? packet->time_us : w->tcp.now_us;
    tb_worker_touch(w, u);
    unsigned events = tb_tcp_input(&w->tcp, &u->tcp, &path, &seg);
    if (events & TB_TCP_EV_STRAY)
        stray(w, &seg);
    else if (events)
        tb_player_events(w, u, events);
}
