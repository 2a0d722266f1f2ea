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
#include "relay/frame.h"

struct tb_relay_client_setup {
    const struct tb_endpoint *servers;
    uint32_t server_count;
    uint32_t channels; /* -C: connections per server; 0, or fewer than workers: one per worker */
    uint32_t workers;
    const struct tb_io_range *clients;
    uint32_t client_count;
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

/* Figures of an instance made by tb_relay_client_open(); counters.dropped of the io holds what the
 * servers said they dropped. */
struct tb_relay_client_figures {
    uint64_t losses;         /* times a connection broke off */
    uint64_t duplicates;     /* packets that another server had brought */
    uint64_t clock_error_us; /* how far the clock of a server may be off */
    uint32_t connected, connections;
};
void tb_relay_client_figures(const struct tb_io *io, struct tb_relay_client_figures *out);

#endif
