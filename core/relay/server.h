/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The server end of the intercept channel: listens, greets clients, knows which client address
 * belongs to whom, and passes packets on. Used by intercept: one control thread runs the event loop
 * (libevent: listening, hellos, TLS handshakes, heartbeats, slow readers), any number of capture
 * threads hand in packets. Nothing a peer sends or fails to read costs more than its own buffer.
 */
#ifndef TB_RELAY_SERVER_H
#define TB_RELAY_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "packet/addr.h"
#include "relay/frame.h"

struct event_base;
struct tb_relay_server;
struct tb_relay_lane; /* one capture thread's way into the server */

/* An --allow entry: the first `bits` of the 128 of an address. */
struct tb_relay_allow {
    struct tb_addr addr;
    uint8_t bits;
};

/* What all clients together want; the lists stay valid during the call only. */
struct tb_relay_wish {
    const struct tb_relay_range *ranges; /* packets to these … */
    uint32_t range_count;
    bool registers;                    /* … and to sessions that are registered one by one … */
    const struct tb_endpoint *targets; /* … from these; none: from anywhere */
    uint32_t target_count;
    bool payload; /* of somebody's packets */
};

struct tb_relay_server_options {
    const char *address; /* -b; NULL: all */
    uint16_t port;
    const char *psk_file; /* NULL: without TLS */
    const struct tb_relay_allow *allow;
    uint32_t allow_count;  /* 0: everybody */
    bool single;           /* one client, whatever it asks for */
    uint32_t batch_max;    /* -n: most records in one frame; 0: as many as fit */
    uint64_t buffer_bytes; /* most that waits for one slow connection; 0: the default (4 MB) */
    uint64_t hello_us;     /* how long a hello may take, TLS included; 0: the default (5 s) */
    uint64_t silence_us;   /* after so long without a byte a client is gone; 0: 10 s */
    struct tb_relay_welcome welcome; /* what new clients are told; real_us and version are filled */
    /* The wish of all clients together changed (control thread). */
    void (*wanted)(void *ctx, const struct tb_relay_wish *wish);
    /* A client asks for packets of `client` to be watched (control thread); answers go through
     * tb_relay_server_seen() with `watcher`. May be NULL: not possible. */
    void (*watch)(void *ctx, const struct tb_addr *client, uint64_t watcher);
    void *ctx;
};

/* Listen. The base is the caller's, who runs it. The options are copied, what they point to is not
 * used afterwards (but ctx). 0 or -errno with words. */
int tb_relay_server_open(struct event_base *base, const struct tb_relay_server_options *options,
                         uint32_t lanes, struct tb_relay_server **out, struct tb_err *err);
/* Says BYE to everybody and frees all. No lane may be in use any more. NULL is fine. */
void tb_relay_server_close(struct tb_relay_server *s);

/* Where it listens: options.port, or what the system chose for 0. */
uint16_t tb_relay_server_port(const struct tb_relay_server *s);

/* The lane of capture thread `i`. */
struct tb_relay_lane *tb_relay_server_lane(struct tb_relay_server *s, uint32_t i);
/* Between begin and end (a turn of the capture thread: no longer than it takes to hand in what the
 * ring has) clients do not come or go. Packets of nobody are counted and forgotten, but for those
 * that may be early (late.h). */
void tb_relay_lane_begin(struct tb_relay_lane *lane);
/* `data`: from the IP header on; copied. Whether to cut after the TCP header is the server's
 * business. dst and dport of the packet decide whose it is. */
void tb_relay_lane_packet(struct tb_relay_lane *lane, const uint8_t *data, uint32_t len,
                          uint32_t wire_len, uint64_t real_us);
/* Sends what was gathered. */
void tb_relay_lane_end(struct tb_relay_lane *lane);

/* Tell a watcher (control thread). */
void tb_relay_server_seen(struct tb_relay_server *s, uint64_t watcher,
                          const struct tb_relay_seen *seen);
/* What the kernel's rings dropped so far, to be passed on to clients (control thread). */
void tb_relay_server_capture_drops(struct tb_relay_server *s, uint64_t drops);

struct tb_relay_server_figures {
    uint64_t packets, bytes;                 /* handed in */
    uint64_t records, frames;                /* passed on */
    uint64_t unrouted;                       /* of nobody */
    uint64_t late;                           /* of these, passed on after all: registered since */
    uint64_t dropped;                        /* records lost to full buffers */
    uint64_t clients, connections, sessions; /* now; sessions: registered ones */
    uint64_t taken;                          /* registrations of what is another client's */
    uint64_t refused, rejected; /* hellos answered with no; peers closed before or against one */
    uint64_t buffered_bytes;    /* now waiting for slow readers */
};
/* Any thread; the figures are of about now. */
void tb_relay_server_figures(struct tb_relay_server *s, struct tb_relay_server_figures *out);

#endif
