/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A little TCP server in memory, written without any of core/tcp, that plays a list of steps per
 * connection and watches its clients: what they send must fit the window and the MSS, must not
 * change when sent again, and must not acknowledge what was never sent. It is the oracle of the
 * engine's tests: what it received is what counts.
 */
#ifndef TB_FAKE_SERVER_H
#define TB_FAKE_SERVER_H

#include "unit.h"
#include "packet/view.h"

enum fake_action { FAKE_NOTHING, FAKE_CLOSE, FAKE_RESET };

/* Once `after` bytes of the client have come in order (and its FIN, with `after_fin`): wait
 * `delay_us`, then send `reply` bytes, then act. */
struct fake_step {
    uint32_t after;
    uint32_t reply;
    uint64_t delay_us;
    bool after_fin;
    enum fake_action then;
};

enum { FAKE_STEPS = 160, FAKE_ARRIVALS = 64, FAKE_CONNS = 4096 };

struct fake_script {
    struct fake_step step[FAKE_STEPS];
    uint32_t count;
    bool never_closes; /* else it answers the client's FIN with its own when all steps are done */
};

struct fake_conn {
    struct tb_addr client, server;
    uint16_t client_port, server_port;
    const struct fake_script *script;
    uint32_t client_isn, isn;
    struct tb_tcp_options syn; /* what the client offered */

    uint8_t *in, *have; /* the client's bytes; which of them came */
    uint32_t room, in_order;
    bool has_client_fin, client_closed;
    uint32_t client_fin; /* offset */

    uint32_t queued, sent, acked; /* the server's bytes; 1 more than queued: the FIN */
    bool fin_queued, fin_acked;
    uint32_t client_window;
    uint64_t rto_at_us, rto_us;
    uint32_t ts_recent;

    uint32_t step;
    uint64_t step_at_us; /* UINT64_MAX: not due yet */
    bool established, reset_by_client, reset_by_server;

    /* when things came in order */
    uint64_t syn_us, fin_us, rst_us;
    struct {
        uint32_t bytes; /* in all */
        uint64_t at_us;
    } arrival[FAKE_ARRIVALS];
    uint32_t arrivals;
    uint32_t acks_seen; /* segments without bytes, SYN, FIN or RST */
};

struct fake_server {
    struct fake_conn *conn[FAKE_CONNS]; /* in the order of their SYNs */
    uint32_t count;
    uint64_t now_us;
    uint16_t mss;
    uint32_t window;
    uint32_t largest; /* longest payload a packet may have: more than the MSS with GSO */
    bool refuses;     /* RST to every SYN */
    bool is_deaf;     /* answers nothing at all */
    uint32_t strays;  /* segments of no connection, not counting RSTs */
    uint32_t rsts;    /* RSTs of no connection */
    const struct fake_script *(*choose)(void *ctx, const struct fake_conn *c);
    void (*emit)(void *ctx, const uint8_t *packet, uint32_t len);
    void *ctx;
};

void fake_server_init(struct fake_server *s);
void fake_server_fini(struct fake_server *s);

void fake_server_input(struct fake_server *s, const uint8_t *packet, uint32_t len, uint64_t now_us);
/* What is due at `now_us`; when something will be (UINT64_MAX: never). */
void fake_server_run(struct fake_server *s, uint64_t now_us);
uint64_t fake_server_next_us(const struct fake_server *s);

/* Byte i of every response stream. */
static inline uint8_t fake_byte(uint32_t i)
{
    return (uint8_t) (i % 253 + 1);
}

#endif
