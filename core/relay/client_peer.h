/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An intercept server as all connections to it share it, those of other workers too (atomics,
 * touched only when one comes or goes): so that the log speaks of it once, not once each. Used by
 * client_link.c.
 */
#ifndef TB_RELAY_CLIENT_PEER_H
#define TB_RELAY_CLIENT_PEER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "packet/addr.h"

/* LAMENTED: the log has said so, and is to say when it is over. */
enum tb_relay_peer_loss { TB_RELAY_PEER_FINE, TB_RELAY_PEER_LOST, TB_RELAY_PEER_LAMENTED };

/* A server, as all connections to it share it: so the log speaks of it once, not once each. */
struct tb_relay_peer {
    struct tb_endpoint endpoint;
    char name[TB_ENDPOINT_TEXT];
    uint32_t connections; /* to it, of all workers */
    atomic_uint running;  /* of them */
    atomic_bool greeted;  /* all were running once: from then on losses are news */
    atomic_int loss;      /* enum tb_relay_peer_loss; since when */
    atomic_ullong lost_us;
    atomic_ullong quiet_until_us;
};

/* A connection that ran is lost; another try failed; all connections run (the first time, or
 * again). Words for people: `why`. */
void tb_relay_peer_lost(struct tb_relay_peer *p, uint64_t now_us, const char *why);
void tb_relay_peer_no_luck(struct tb_relay_peer *p, uint64_t now_us, const char *why);
void tb_relay_peer_back(struct tb_relay_peer *p, uint64_t now_us);
/* It says that `count` sessions, `first` among them, are another client's. */
void tb_relay_peer_taken(struct tb_relay_peer *p, uint64_t now_us, uint32_t count,
                         const struct tb_endpoint *first);

#endif
