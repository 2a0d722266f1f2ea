/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Client ranges against what this host already uses; see overlap.h.
 */
#include "io/overlap.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>

struct check {
    const struct tb_io_setup *s;
    struct tb_err *err;
};

/* "198.19.0.0-198.19.255.255" */
static const char *range_format(const struct tb_io_range *r, char buf[2 * TB_ADDR_TEXT])
{
    char first[TB_ADDR_TEXT], last[TB_ADDR_TEXT];
    struct tb_addr end = tb_range_last(r);
    snprintf(buf, 2 * TB_ADDR_TEXT, "%s-%s", tb_addr_format(&r->first, first),
             tb_addr_format(&end, last));
    return buf;
}

static int refuse(const struct check *c, const struct tb_io_range *r, const char *what,
                  const char *name)
{
    char range[2 * TB_ADDR_TEXT];
    return tb_err_set(c->err, -EADDRINUSE,
                      "client range %s overlaps %s %s: choose other client addresses with -c",
                      range_format(r, range), what, name);
}

static int check_address(void *ctx, const struct tb_addr *addr)
{
    const struct check *c = ctx;
    char text[TB_ADDR_TEXT];
    for (uint32_t i = 0; i < c->s->client_count; i++) {
        if (tb_range_contains(&c->s->clients[i], addr))
            return refuse(c, &c->s->clients[i], "this host's address", tb_addr_format(addr, text));
    }
    return 0;
}

static int check_route(void *ctx, const struct tb_route *route)
{
    const struct check *c = ctx;
    char text[TB_PREFIX_TEXT];
    /* VPNs replace the default route by its two halves. */
    if (tb_prefix_len(&route->dst) <= 1 || route->type == RTN_MULTICAST)
        return 0;
    for (uint32_t i = 0; i < c->s->client_count; i++) {
        if (tb_range_overlaps(&c->s->clients[i], &route->dst))
            return refuse(c, &c->s->clients[i], "the route to",
                          tb_prefix_format(&route->dst, text));
    }
    return 0;
}

int tb_overlap_check(struct tb_nl *nl, const struct tb_io_setup *s, bool routes, struct tb_err *err)
{
    struct check c = {s, err};
    char text[TB_ADDR_TEXT];
    for (uint32_t i = 0; i < s->client_count; i++) {
        for (uint32_t t = 0; t < s->target_count; t++) {
            if (tb_range_contains(&s->clients[i], &s->targets[t].addr))
                return refuse(&c, &s->clients[i], "the target",
                              tb_addr_format(&s->targets[t].addr, text));
        }
    }
    int r = tb_nl_addresses(nl, check_address, &c);
    if (r == 0 && routes)
        r = tb_nl_routes(nl, check_route, &c);
    if (r < 0 && r != -EADDRINUSE)
        return tb_err_set(err, r, "cannot read the addresses and routes of this host");
    return r;
}
