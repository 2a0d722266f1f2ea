/* SPDX-License-Identifier: BSD-2-Clause */
/* See live_pair.h. */
#include "engine/live_pair.h"

#include <string.h>
#include "engine/live.h"

enum {
    TRIES = 512,       /* pairs per session: with half of them taken, all fail once in 2^512 */
    STRIDE = 20011,    /* between a session's ports: a prime, so that all are reached */
    SHIFT_STRIDE = 59, /* between ports of tcpcopys with different -f */
};

static const struct tb_flow_key *key_of(const void *owner, uint32_t ref)
{
    const struct tb_live_pairs *p = owner;

    return &p->users[ref - 1].key;
}

int tb_live_pairs_init(struct tb_live_pairs *p, const struct tb_live_config *config,
                       const struct tb_live_user *users)
{
    *p = (struct tb_live_pairs){.config = config, .users = users};
    return tb_table_init(&p->table, p, key_of);
}

void tb_live_pairs_fini(struct tb_live_pairs *p)
{
    if (p->config)
        tb_table_fini(&p->table);
}

/* Ports below 1024 stay as they are, unless that is impossible. */
static uint16_t nth_port(uint16_t port, uint32_t shift, uint32_t nth)
{
    if (port < TB_PLAN_PORT_FIRST && shift == 0 && nth == 0)
        return port;
    uint32_t at = port < TB_PLAN_PORT_FIRST ? port : port - TB_PLAN_PORT_FIRST;
    at = (at + shift * SHIFT_STRIDE + nth * STRIDE) % TB_PLAN_PORTS;
    return (uint16_t) (TB_PLAN_PORT_FIRST + at);
}

static bool real_pair(const struct tb_live_config *c, const struct tb_script *s, uint32_t nth,
                      struct tb_live_pair *out)
{
    out->addr = tb_live_is_own(c, &s->client) ? c->localhost : s->client;
    out->port = nth_port(s->client_port, c->port_shift, nth);
    return true;
}

/* Addresses first, then ports: each pair comes back as late as possible. */
static bool range_pair(struct tb_live_pairs *p, const struct tb_endpoint *target,
                       struct tb_live_pair *out)
{
    const struct tb_live_config *c = p->config;
    bool v4 = tb_addr_is_v4(&target->addr);
    uint64_t addresses = 0, at;

    for (uint32_t i = 0; i < c->client_count; i++)
        if (tb_addr_is_v4(&c->clients[i].first) == v4)
            addresses += c->clients[i].count;
    if (addresses == 0)
        return false;
    uint64_t nth = p->next[v4]++ % (addresses * TB_PLAN_PORTS);
    at = nth % addresses;
    out->port = (uint16_t) (TB_PLAN_PORT_FIRST +
                            (nth / addresses + c->port_shift * SHIFT_STRIDE) % TB_PLAN_PORTS);
    for (uint32_t i = 0; i < c->client_count; i++) {
        const struct tb_plan_range *r = &c->clients[i];
        if (tb_addr_is_v4(&r->first) != v4)
            continue;
        if (at < r->count) {
            out->addr = tb_addr_plus(r->first, (uint32_t) at);
            return true;
        }
        at -= r->count;
    }
    return false;
}

bool tb_live_pairs_try(struct tb_live_pairs *p, const struct tb_script *s,
                       const struct tb_endpoint *target, uint32_t nth, struct tb_live_pair *out)
{
    if (nth >= TRIES)
        return false;
    return p->config->client_count ? range_pair(p, target, out) : real_pair(p->config, s, nth, out);
}

uint32_t tb_live_pairs_find(const struct tb_live_pairs *p, const struct tb_flow_key *key)
{
    uint32_t ref = tb_table_find(&p->table, key, tb_table_hash(&p->table, key));

    return ref ? ref - 1 : TB_LIVE_NOBODY;
}

int tb_live_pairs_add(struct tb_live_pairs *p, uint32_t slot)
{
    return tb_table_add(&p->table, tb_table_hash(&p->table, &p->users[slot].key), slot + 1);
}

void tb_live_pairs_remove(struct tb_live_pairs *p, uint32_t slot)
{
    tb_table_remove(&p->table, tb_table_hash(&p->table, &p->users[slot].key), slot + 1);
}
