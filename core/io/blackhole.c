/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Blackhole routes for the client ranges; see blackhole.h. Called by capture.c, and by tun.c for
 * what a killed capture left behind.
 */
#include "io/blackhole.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"

static struct tb_route our_route(const struct tb_prefix *prefix)
{
    return (struct tb_route){.dst = *prefix, .type = RTN_BLACKHOLE, .metric = (uint32_t) getpid()};
}

static bool overlaps_clients(const struct tb_io_setup *s, const struct tb_prefix *p)
{
    for (uint32_t i = 0; i < s->client_count; i++) {
        if (tb_range_overlaps(&s->clients[i], p))
            return true;
    }
    return false;
}

enum { SWEEP_BATCH = 64 };

/* Leftovers found by one pass; removing while the kernel still tells them would confuse it. */
struct sweep {
    const struct tb_io_setup *s;
    struct tb_route found[SWEEP_BATCH];
    int count;
};

static int find_leftover(void *ctx, const struct tb_route *r)
{
    struct sweep *w = ctx;
    bool ours = r->type == RTN_BLACKHOLE && r->protocol == TB_ROUTE_PROTOCOL;
    if (!ours || !overlaps_clients(w->s, &r->dst))
        return 0;
    pid_t owner = (pid_t) r->metric;
    bool running = owner > 0 && owner != getpid() && (kill(owner, 0) == 0 || errno == EPERM);
    if (running)
        return 0;
    w->found[w->count++] = *r;
    return w->count == SWEEP_BATCH;
}

void tb_blackhole_sweep(struct tb_nl *nl, const struct tb_io_setup *s)
{
    struct sweep w = {.s = s};
    bool removed = true;
    do {
        w.count = 0;
        if (tb_nl_routes(nl, find_leftover, &w) < 0)
            return;
        for (int i = 0; i < w.count; i++)
            removed = tb_nl_route_del(nl, &w.found[i]) == 0 && removed;
    } while (w.count == SWEEP_BATCH && removed);
}

/* A route of somebody else within the ranges wins over ours where it is more specific. */
static int warn_of_route(void *ctx, const struct tb_route *r)
{
    const struct tb_io_setup *s = ctx;
    struct tb_addr first = r->dst.addr;
    bool within = false;
    for (uint32_t i = 0; i < s->client_count && !within; i++)
        within = tb_range_contains(&s->clients[i], &first) && r->dst.bits >= 96;
    if (within && r->type == RTN_UNICAST) {
        char text[TB_PREFIX_TEXT];
        tb_log(TB_LOG_WARN,
               "there is a route to %s, within the client addresses: answers to these clients may "
               "be forwarded by this host; remove it if it is not needed",
               tb_prefix_format(&r->dst, text));
    }
    return 0;
}

int tb_blackhole_add(struct tb_blackhole *b, struct tb_nl *nl, const struct tb_io_setup *s,
                     struct tb_err *err)
{
    tb_blackhole_sweep(nl, s);
    tb_nl_routes(nl, warn_of_route, (void *) s);
    struct tb_blackhole added = {NULL, 0};
    int count = tb_ranges_prefixes(s->clients, s->client_count, &added.prefixes);
    int e = count < 0 ? tb_err_set(err, count, "out of memory") : 0;
    while (e == 0 && added.count < count) {
        struct tb_route r = our_route(&added.prefixes[added.count]);
        char text[TB_PREFIX_TEXT];
        e = tb_nl_route_add(nl, &r);
        if (e == -EPERM)
            tb_err_set(err, e,
                       "no permission to add routes that keep the answers to the clients out of "
                       "this host's stack: run as root, or give the program the capability "
                       "cap_net_admin");
        else if (e)
            tb_err_set(err, e, "cannot add a blackhole route to %s: %s",
                       tb_prefix_format(&r.dst, text), strerror(-e));
        else
            added.count++;
    }
    if (e)
        tb_blackhole_remove(&added, nl);
    else
        *b = added;
    return e;
}

void tb_blackhole_remove(struct tb_blackhole *b, struct tb_nl *nl)
{
    int e = 0;
    for (int i = 0; i < b->count; i++) {
        struct tb_route r = our_route(&b->prefixes[i]);
        int failed = tb_nl_route_del(nl, &r);
        e = e ? e : failed;
    }
    if (e && e != -ESRCH) /* not there: somebody else removed it */
        tb_log(TB_LOG_WARN,
               "cannot remove the blackhole routes of the client addresses (%s): the next run "
               "does, or: ip route flush proto %d; ip -6 route flush proto %d",
               strerror(-e), TB_ROUTE_PROTOCOL, TB_ROUTE_PROTOCOL);
    free(b->prefixes);
    *b = (struct tb_blackhole){NULL, 0};
}
