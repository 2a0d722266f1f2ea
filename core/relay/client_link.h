/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One connection to an intercept server, made and made again as long as the run lasts: a state
 * machine over a non-blocking socket that is given the time, and told when the socket is ready.
 * Used by client.c, which sleeps for it. Belongs to one thread; what connections share is in
 * struct tb_relay_peer (atomics) and struct tb_relay_shared (read-only).
 */
#ifndef TB_RELAY_CLIENT_LINK_H
#define TB_RELAY_CLIENT_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/rng.h"
#include "io/io.h"
#include "relay/client_clock.h"
#include "relay/client_peer.h"
#include "relay/client_sessions.h"
#include "relay/frame.h"
#include "relay/tls.h"

enum {
    TB_RELAY_LINK_PING_US = 1000000,     /* heartbeat */
    TB_RELAY_LINK_SILENCE_US = 10000000, /* without a byte for so long it is dead */
    TB_RELAY_LINK_GREET_US = 5000000,    /* a server may take so long from connect() to WELCOME */
    TB_RELAY_LINK_BACKOFF_MIN_US = 50000,
    TB_RELAY_LINK_BACKOFF_MAX_US = 2000000
};

enum tb_relay_link_state {
    TB_RELAY_LINK_DOWN,       /* until due_us, then tried again */
    TB_RELAY_LINK_CONNECTING, /* connect() is under way */
    TB_RELAY_LINK_SHAKING,    /* TLS handshake */
    TB_RELAY_LINK_GREETING,   /* HELLO is sent, or on its way */
    TB_RELAY_LINK_RUNNING
};

/* What a failure means for a run that has not begun. */
enum tb_relay_link_why {
    TB_RELAY_LINK_ABSENT, /* nobody there, or not any more: may come */
    TB_RELAY_LINK_TURNED, /* turned away: perhaps only until an earlier client is forgotten */
    TB_RELAY_LINK_REFUSED /* for good */
};

/* What all connections of a run share. */
struct tb_relay_shared {
    struct tb_relay_hello hello; /* but its `connection` */
    struct tb_tls_context *tls;  /* NULL: without */
    uint32_t users;              /* instances; it goes with the last one */
    uint32_t peer_count;
    struct tb_relay_peer peer[];
};

struct tb_relay_link {
    struct tb_relay_shared *shared;
    struct tb_relay_peer *peer;
    uint16_t index;    /* `connection` of its HELLO */
    struct tb_rng rng; /* for the jitter of the back-off */

    enum tb_relay_link_state state;
    int fd; /* -1: none */
    struct tb_tls *tls;
    uint64_t due_us; /* DOWN: next try; RUNNING: next PING; else: until then it must be running */
    uint64_t hello_us, up_us, heard_us; /* HELLO sent, WELCOME came, last byte came */
    uint64_t backoff_us;
    uint32_t pings, pongs; /* of this connection */

    uint8_t *in;       /* received bytes: [begin, end) are not taken yet */
    size_t begin, end; /* `begin`: of a frame, or of what will be one */
    size_t frame_end;  /* 0, or that of the RECORDS frame `reader` is in */
    struct tb_relay_reader reader;
    bool more;    /* the socket may have more, the last read did not empty it */
    uint8_t *out; /* bytes to be sent */
    size_t out_len;
    struct tb_relay_gather *gather; /* NULL: sessions are not registered */

    struct tb_relay_clock clock;
    struct tb_relay_drops drops; /* as the server last said of this connection */
    struct tb_relay_welcome welcome;
    uint64_t *dropped; /* sum of what servers dropped */
    uint64_t losses;   /* times it was running and ended */
    uint64_t taken;    /* sessions that the server says are another client's */
    enum tb_relay_link_why why;
    struct tb_err words; /* of the last failure; "" before the first */
};

/* `index`: see struct tb_relay_hello; `dropped`: a counter of the caller's. 0 or -ENOMEM; the link
 * is DOWN and due at once; its sessions' `walk` is yet to be set. fini in either case. */
int tb_relay_link_init(struct tb_relay_link *l, struct tb_relay_shared *shared, uint32_t peer,
                       uint16_t index, uint64_t *dropped);
/* With a last word to the server. */
void tb_relay_link_fini(struct tb_relay_link *l);

/* Do what is due at `now_us`; `ready`: the socket may have what tb_relay_link_events() asks for.
 * Packets handed out before are void. */
void tb_relay_link_drive(struct tb_relay_link *l, uint64_t now_us, bool ready);
/* The next packet that was read; its bytes stay until the next drive. False: no more. */
bool tb_relay_link_next(struct tb_relay_link *l, uint64_t now_us, struct tb_packet *out);
/* Is there something to do without waiting for the socket? */
bool tb_relay_link_has_more(const struct tb_relay_link *l);
/* Running, and the server's clock is known well? (Or it does not answer: no reason to wait.) */
bool tb_relay_link_is_ready(const struct tb_relay_link *l, uint64_t now_us);
/* Register a session, or unregister it: gathered. False: the server does not hear of it with the
 * next tb_relay_link_say_sessions(), but later. */
bool tb_relay_link_register(struct tb_relay_link *l, const struct tb_endpoint *session);
bool tb_relay_link_unregister(struct tb_relay_link *l, const struct tb_endpoint *session);
/* Send what was gathered, and what is to be said again. */
void tb_relay_link_say_sessions(struct tb_relay_link *l, uint64_t now_us);
/* For poll(), with l->fd. */
short tb_relay_link_events(const struct tb_relay_link *l);

/* Take `fd` for a connection that has just been made. Tests begin here. */
void tb_relay_link_adopt(struct tb_relay_link *l, int fd, uint64_t now_us);

#endif
