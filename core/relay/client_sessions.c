/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registrations on their way; see client_sessions.h. What goes is said before what comes: a port
 * that is used again is both in one turn. The other order (a session that came and went before it
 * was said) is mended when it goes.
 */
#include "relay/client_sessions.h"

#include <string.h>
#include "io/backends.h"
#include "relay/frame.h"

uint32_t tb_relay_gather_column(const struct tb_endpoint *session, uint32_t columns)
{
    return tb_steer_worker(tb_addr_low32(&session->addr), session->port, columns);
}

void tb_relay_gather_forget(struct tb_relay_gather *g)
{
    g->come_count = g->go_count = 0;
    g->walks = g->forgets = false;
}

static void begin_walk(struct tb_relay_gather *g)
{
    g->walks = g->walk != NULL;
    g->cursor = 0;
}

void tb_relay_gather_restart(struct tb_relay_gather *g)
{
    tb_relay_gather_forget(g);
    begin_walk(g);
}

/* --- what was gathered ------------------------------------------------------------------------ */

static size_t put(uint8_t *out, size_t room, uint8_t type, const struct tb_endpoint *sessions,
                  uint32_t *count)
{
    size_t len = *count ? tb_relay_sessions_put(out, room, type, sessions, *count) : 0;

    if (len > 0)
        *count = 0;
    return len;
}

static size_t put_gathered(struct tb_relay_gather *g, uint8_t *out, size_t room)
{
    size_t len = put(out, room, TB_RELAY_UNREGISTER, g->go, &g->go_count);

    if (g->go_count == 0)
        len += put(out + len, room - len, TB_RELAY_REGISTER, g->come, &g->come_count);
    return len;
}

/* There is no room, not even to gather: a walk will say it. */
static void come_overflows(struct tb_relay_gather *g)
{
    g->delayed += g->come_count;
    g->come_count = 0;
    begin_walk(g);
}

/* Sessions that went are not met by a walk: before it the server is to forget them all. */
static void go_overflows(struct tb_relay_gather *g)
{
    g->delayed += g->go_count;
    g->go_count = 0;
    g->forgets = true;
    come_overflows(g);
}

size_t tb_relay_gather_come(struct tb_relay_gather *g, const struct tb_endpoint *session,
                            uint8_t *out, size_t room)
{
    size_t len = 0;

    if (g->come_count == TB_RELAY_GATHER_MAX) {
        len = put_gathered(g, out, room);
        if (g->come_count > 0)
            come_overflows(g);
    }
    g->come[g->come_count++] = *session;
    return len;
}

/* One that is to be registered is not, after all. */
static void take_back(struct tb_relay_gather *g, const struct tb_endpoint *session)
{
    for (uint32_t i = g->come_count; i-- > 0;)
        if (g->come[i].port == session->port && tb_addr_eq(&g->come[i].addr, &session->addr))
            g->come[i] = g->come[--g->come_count];
}

size_t tb_relay_gather_go(struct tb_relay_gather *g, const struct tb_endpoint *session,
                          uint8_t *out, size_t room)
{
    size_t len = 0;

    take_back(g, session);
    if (g->go_count == TB_RELAY_GATHER_MAX) {
        len = put_gathered(g, out, room);
        if (g->go_count > 0)
            go_overflows(g);
    }
    g->go[g->go_count++] = *session;
    return len;
}

/* --- walks ------------------------------------------------------------------------------------ */

/* Sessions of the walk, up to a frame's or `max`. */
static uint32_t collect(struct tb_relay_gather *g, struct tb_endpoint *out, uint32_t max)
{
    uint32_t count = 0;

    while (count < max && g->walks) {
        g->walks = g->walk(g->ctx, &g->cursor, &out[count]);
        if (g->walks && tb_relay_gather_column(&out[count], g->columns) == g->column)
            count++;
    }
    return count;
}

static size_t put_walked(struct tb_relay_gather *g, uint8_t *out, size_t room)
{
    struct tb_endpoint sessions[TB_RELAY_GATHER_MAX];
    size_t len = 0;

    while (g->walks && room - len >= TB_RELAY_HEAD + TB_RELAY_SESSION_BYTES) {
        uint32_t max = (uint32_t) ((room - len - TB_RELAY_HEAD) / TB_RELAY_SESSION_BYTES);
        uint32_t count =
            collect(g, sessions, max < TB_RELAY_GATHER_MAX ? max : TB_RELAY_GATHER_MAX);
        len += put(out + len, room - len, TB_RELAY_REGISTER, sessions, &count);
    }
    return len;
}

size_t tb_relay_gather_write(struct tb_relay_gather *g, uint8_t *out, size_t room)
{
    size_t len = 0;

    if (g->forgets) {
        len = tb_relay_sessions_put(out, room, TB_RELAY_UNREGISTER, NULL, 0);
        g->forgets = len == 0;
    }
    if (!g->forgets)
        len += put_gathered(g, out + len, room - len);
    if (g->come_count == 0 && g->go_count == 0)
        len += put_walked(g, out + len, room - len);
    return len;
}

bool tb_relay_gather_has_more(const struct tb_relay_gather *g)
{
    return g->walks || g->forgets || g->come_count || g->go_count;
}
