/* SPDX-License-Identifier: BSD-2-Clause */
/* One connection of a simulated server; shared by its TCP (peer.c) and its application (app.c). */
#ifndef TB_SIM_PEER_H
#define TB_SIM_PEER_H

#include "sim.h"
#include "watch.h"

enum peer_state { PEER_SYN_RCVD, PEER_OPEN, PEER_CLOSED };

struct peer {
    struct sim *s;
    struct slot *slot;
    struct peer *older;
    const struct sim_session *t;
    struct behaviour b;
    enum peer_state state;
    bool is_leftover, was_reset, is_gone;

    /* receiving: offsets count the client's bytes from 0 */
    uint32_t irs;
    uint64_t rcv, read, edge, promised; /* edge: right of the window now; promised: at most */
    struct ranges ooo;
    uint64_t fin_at; /* SIM_NONE: not seen */
    bool has_fin, reads_again;
    uint32_t unacked;
    uint64_t ack_at, refused_us;
    uint32_t dsack[2];
    bool has_dsack, ts, sack;
    bool is_near; /* what it sends now is forged next to the client */
    uint32_t ts_recent, ts_base;
    int snd_scale, rcv_scale; /* -1: not agreed */

    /* sending */
    uint32_t iss, mss;
    uint64_t una, nxt, max, queued;
    bool fin_queued;
    uint32_t wnd;
    uint64_t rto_at, rto_us, rescued;
    unsigned dupacks;
    uint64_t wake_at; /* of the event in the heap */
    uint32_t syns;

    /* the application */
    uint32_t step;
    uint64_t step_at; /* SIM_NONE: not due */
    bool half_said, greeted, is_over, keepalive_done;
    uint64_t resume_at, keepalive_at, forge_at, shrink_at;
};

/* peer.c, for the application */
void peer_push(struct peer *p);
void peer_ack(struct peer *p);
void peer_reset(struct peer *p);
/* Send a segment with numbers of one's own choice. */
void peer_raw(struct peer *p, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len);
/* The wire number of the next byte expected; of the next byte to send. */
static inline uint32_t peer_ack_number(const struct peer *p)
{
    return p->irs + 1 + (uint32_t) p->rcv + p->has_fin;
}
static inline uint32_t peer_seq_number(const struct peer *p, uint64_t offset)
{
    return p->iss + 1 + (uint32_t) offset;
}
static inline uint64_t peer_end(const struct peer *p)
{
    return p->queued + p->fin_queued;
}

/* app.c */
void app_begin(struct peer *p);
/* Something has come, or it is time. */
void app_run(struct peer *p);
uint64_t app_next_us(const struct peer *p);
/* Bytes that the application leaves unread are the window's loss. */
uint64_t app_room(const struct peer *p);
#endif
