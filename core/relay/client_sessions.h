/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What one connection still has to say about registered sessions (docs/CHANNEL.md): gathered, so
 * that many share a frame, and written into the connection's output as there is room. It keeps no
 * table: after a lost connection, or when there was no room for long, all sessions are asked of
 * their owner once more. Used by client_link.c; belongs to one thread.
 */
#ifndef TB_RELAY_CLIENT_SESSIONS_H
#define TB_RELAY_CLIENT_SESSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "packet/addr.h"

enum { TB_RELAY_GATHER_MAX = 512 }; /* sessions of one frame */

/* The owner's table of all that is registered: the session at *cursor, or the next one behind it,
 * into `out`, and *cursor moved on behind it; false: there is none. A walk begins with cursor 0;
 * between its steps sessions may come and go. */
typedef bool tb_relay_walk_fn(void *ctx, uint64_t *cursor, struct tb_endpoint *out);

struct tb_relay_gather {
    tb_relay_walk_fn *walk; /* NULL: nothing is ever registered */
    void *ctx;
    uint32_t column, columns; /* of the owner's sessions it says those with this hash; see below */
    uint64_t delayed;         /* sessions that found no room and wait for the next walk */
    uint64_t cursor;
    bool walks;   /* all sessions are being said, from `cursor` on */
    bool forgets; /* an unregistration got lost: first, none of them is registered */
    uint32_t come_count, go_count;
    struct tb_endpoint come[TB_RELAY_GATHER_MAX], go[TB_RELAY_GATHER_MAX];
};

/* Which of an owner's `columns` connections to a server speaks for the session. */
uint32_t tb_relay_gather_column(const struct tb_endpoint *session, uint32_t columns);

/* The connection is new to the server: say all. */
void tb_relay_gather_restart(struct tb_relay_gather *g);
/* The connection is lost: what was gathered is said again later, with all the rest. */
void tb_relay_gather_forget(struct tb_relay_gather *g);

/* `out`, `room`: where frames may be written when too much was gathered. The bytes written. */
size_t tb_relay_gather_come(struct tb_relay_gather *g, const struct tb_endpoint *session,
                            uint8_t *out, size_t room);
size_t tb_relay_gather_go(struct tb_relay_gather *g, const struct tb_endpoint *session,
                          uint8_t *out, size_t room);
/* Write what is to be said, as far as there is room. The bytes written. */
size_t tb_relay_gather_write(struct tb_relay_gather *g, uint8_t *out, size_t room);
/* Would more room be used? */
bool tb_relay_gather_has_more(const struct tb_relay_gather *g);

#endif
