/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The newest packets that nobody wanted, of those that begin or refuse a connection: the target may
 * answer a SYN before the registration of its session has come by the other way. A ring of fixed
 * size, searched by a hash; no allocation after its birth. Used by server_lane.c, one per lane; no
 * locks.
 */
#ifndef TB_RELAY_LATE_H
#define TB_RELAY_LATE_H

#include <stdint.h>
#include "packet/addr.h"
#include "relay/frame.h"

enum {
    TB_LATE_PLACES = 4096,
    TB_LATE_BYTES = 128,   /* of headers; longer ones are not kept */
    TB_LATE_US = 1000000,  /* then the target sends again by itself (RFC 6298) */
    TB_LATE_OF_SESSION = 4 /* most of one session: the newest */
};

struct tb_late; /* opaque */

/* NULL without memory; places are touched as they are used. */
struct tb_late *tb_late_new(void);
void tb_late_free(struct tb_late *l);

/* Keep a packet (copied) to this client address and port; the oldest one makes room. */
void tb_late_put(struct tb_late *l, const struct tb_endpoint *session,
                 const struct tb_relay_record *packet);
/* The session's packets captured at `since_us` or later, oldest first, and not again; their bytes
 * stay until the next put. Their number. */
uint32_t tb_late_take(struct tb_late *l, const struct tb_endpoint *session, uint64_t since_us,
                      struct tb_relay_record out[TB_LATE_OF_SESSION]);

#endif
