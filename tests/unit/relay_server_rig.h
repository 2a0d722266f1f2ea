/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A server of the intercept channel on a loopback port, its event loop turned by the test, and fake
 * clients that speak raw frames to it. Used by the unit tests, the fuzz target and the benchmark of
 * relay/server; needs no cmocka: what cannot be set up, or never comes, aborts.
 */
#ifndef TB_RELAY_SERVER_RIG_H
#define TB_RELAY_SERVER_RIG_H

#include <event2/event.h>
#include "relay/server.h"
#include "relay/tls.h"

enum { RRIG_WANTED = 16, RRIG_INPUT = 512 * 1024 };

struct rrig {
    struct event_base *base;
    struct tb_relay_server *server;
    struct tb_relay_server_options options; /* changed by the test before rrig_open() */
    /* the last call of wanted() */
    struct tb_relay_range wanted[RRIG_WANTED];
    struct tb_endpoint wanted_target[RRIG_WANTED];
    uint32_t wanted_count, wanted_targets, wanted_calls;
    bool wanted_registers, wanted_payload;
    /* the last call of watch() */
    struct tb_addr watched;
    uint64_t watcher;
    uint32_t watches;
};

/* A fake client's connection. */
struct rrig_peer {
    int fd;
    struct tb_tls *tls; /* set after connecting, when the test wants TLS */
    uint8_t input[RRIG_INPUT];
    uint32_t len, taken;    /* bytes in input; of the frame given out last */
    const uint8_t *payload; /* of that frame */
    uint32_t payload_len;
};

/* 127.0.0.1, a port of the system's choice, one client may come after another. */
void rrig_init(struct rrig *r);
void rrig_open(struct rrig *r, uint32_t lanes);
void rrig_close(struct rrig *r);
/* Let the server do what there is to do now. */
void rrig_turn(struct rrig *r);

/* Connect only, for those who leave turning the loop to another thread. */
void rrig_dial(const struct rrig *r, struct rrig_peer *p);
void rrig_connect(struct rrig *r, struct rrig_peer *p);
void rrig_disconnect(struct rrig_peer *p);
void rrig_send(struct rrig *r, struct rrig_peer *p, const void *bytes, size_t len);
/* Wait for a frame: its type, 0 when the server closed the connection. */
uint8_t rrig_frame(struct rrig *r, struct rrig_peer *p);
/* The server has nothing to say (now). */
bool rrig_is_silent(struct rrig *r, struct rrig_peer *p);

/* A hello of the run whose id is all `run`: one connection, no ranges. */
void rrig_hello(struct tb_relay_hello *h, uint8_t run);
void rrig_add_range(struct tb_relay_hello *h, const char *first, uint64_t count);
void rrig_send_hello(struct rrig *r, struct rrig_peer *p, const struct tb_relay_hello *h);
/* Connect, say hello and be welcome. */
void rrig_join(struct rrig *r, struct rrig_peer *p, const struct tb_relay_hello *h);

/* A packet from 10.0.0.1:80 (fd00::1) to a client, ACK, no options; its length. */
uint32_t rrig_packet(uint8_t *out, uint32_t room, const char *client, uint16_t port,
                     uint32_t payload_len);
/* One turn of lane 0 with one packet for that client. */
void rrig_lane_packet(struct rrig *r, const char *client, uint16_t port, uint32_t payload_len);

#endif
