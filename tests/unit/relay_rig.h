/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One connection of the channel's client end with the test as its server, over a pair of sockets
 * and with the test's time. Shared by relay_client_link_test.c and the fuzz target, so no cmocka.
 */
#ifndef TB_RELAY_RIG_H
#define TB_RELAY_RIG_H

#include "relay/client_link.h"

struct relay_rig {
    struct tb_relay_shared *shared;
    struct tb_relay_link link;
    int server; /* the other end of its socket */
    uint64_t now_us, dropped;
    uint8_t frames[4096]; /* to be sent with relay_rig_send() */
    size_t len;
};

enum { RELAY_RIG_START_US = 1000000000 };
#define RELAY_RIG_REAL_US UINT64_C(1800000000000000) /* the server's clock at 0 of ours */

/* Connected; HELLO is on its way. Connection number `index` of two. */
struct relay_rig *relay_rig_new(uint16_t index);
/* The same, for an owner of sessions. */
struct relay_rig *relay_rig_new_registering(tb_relay_walk_fn *walk, void *ctx);
void relay_rig_free(struct relay_rig *r);
/* A new pair of sockets, as after another connect(). */
void relay_rig_connect(struct relay_rig *r);

/* Append a frame to `frames`. */
void relay_rig_welcome(struct relay_rig *r);
void relay_rig_text(struct relay_rig *r, uint8_t type, uint16_t code, const char *text);
void relay_rig_pong(struct relay_rig *r, uint64_t client_us);
void relay_rig_drops(struct relay_rig *r, uint64_t records, uint64_t capture);
/* `count` records of one byte each, `first`, first + 1 …, captured `ago_us` before now. */
void relay_rig_records(struct relay_rig *r, uint8_t first, unsigned count, uint64_t ago_us);
/* Any frame. */
void relay_rig_frame(struct relay_rig *r, uint8_t type, const void *payload, size_t len);

/* Send bytes `from` up to `to` of `frames`; the rest stays. */
void relay_rig_send(struct relay_rig *r, size_t from, size_t to);
/* Send all, forget them, and let the link take it. */
void relay_rig_deliver(struct relay_rig *r);
/* Let `us` pass. */
void relay_rig_wait(struct relay_rig *r, uint64_t us);
/* Take the packets there are: their first bytes, as a string of at most `room` - 1. Its length. */
size_t relay_rig_take(struct relay_rig *r, char *out, size_t room);
/* What the link sent: the next whole frame's type and payload. 0: none. */
uint8_t relay_rig_sent(struct relay_rig *r, uint8_t *payload, size_t room, size_t *len);

#endif
