/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The client end of the intercept channel, as a packet I/O back-end: receive-only instances, one
 * per worker, each with its own connections to every intercept server, so that workers share
 * nothing. tb_io_join() adds the sender. Lost connections are made again with growing pauses while
 * the run goes on; what the target sent meanwhile it sends again.
 */
#ifndef TB_RELAY_CLIENT_H
#define TB_RELAY_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "io/backends.h"
#include "relay/client_sessions.h"
#include "relay/frame.h"

struct tb_relay_client_setup {
    const struct tb_endpoint *servers;
    uint32_t server_count;
    uint32_t channels; /* -C: connections per server; 0, or fewer than workers: one per worker */
    uint32_t workers;
    const struct tb_io_range *clients;
    uint32_t client_count;
    bool registers; /* sessions will be registered, beside `clients` or without any */
    const struct tb_endpoint *targets; /* where the packets of these come from; none, or too many */
    uint32_t target_count;             /* to tell the server (TB_RELAY_TARGETS_MAX): anywhere */
    bool payload, single;
    const char *psk_file; /* NULL: without TLS */
    uint64_t patience_us; /* how long each server may take to say WELCOME at the start */
    const char *name;     /* for the server's log */
};

/* Connect every worker to every server and wait for all the WELCOMEs. Fills out[workers] and
 * welcomes[server_count] (may be NULL). 0; -EHOSTUNREACH: a server is not there; -EACCES: it
 * refuses us (its words), or the key does not match; each with what to do. */
int tb_relay_client_open(const struct tb_relay_client_setup *s, struct tb_io **out,
                         struct tb_relay_welcome *welcomes, struct tb_err *err);

/*
 * Registered sessions, for clients whose addresses no range describes: packets to a registered
 * client address and port come to the instance that registered it, whatever the formula of ranges
 * says. To be called by the thread of that instance.
 *
 * All is gathered, and leaves with tb_relay_client_flush(): to be called once per turn, before the
 * SYNs of the turn are sent, also when nothing is new. Nothing blocks and nothing is lost: what
 * finds no room (the server is away, or does not read) is said later, by walking through all
 * sessions of the owner once more: tb_relay_client_walk() says how (to be called first of all). A
 * session belongs to that table when it is registered, and not any more when it is unregistered.
 */
void tb_relay_client_walk(struct tb_io *io, tb_relay_walk_fn *walk, void *ctx);
/* 0, or -EAGAIN when no server will hear of it with the next flush, but later: a SYN sent now may
 * have to be sent again. */
int tb_relay_client_register(struct tb_io *io, const struct tb_addr *client, uint16_t port);
int tb_relay_client_unregister(struct tb_io *io, const struct tb_addr *client, uint16_t port);
void tb_relay_client_flush(struct tb_io *io);

/* Figures of an instance made by tb_relay_client_open(); counters.dropped of the io holds what the
 * servers said they dropped. */
struct tb_relay_client_figures {
    uint64_t losses;         /* times a connection broke off */
    uint64_t duplicates;     /* packets that another server had brought */
    uint64_t clock_error_us; /* how far the clock of a server may be off */
    uint64_t delayed;        /* registrations that had to wait for room */
    uint64_t taken;          /* sessions that a server says are another client's */
    uint32_t connected, connections;
};
void tb_relay_client_figures(const struct tb_io *io, struct tb_relay_client_figures *out);

#endif
