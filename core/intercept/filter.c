/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Filter programs; see filter.h. Packets are cut where only headers are wanted: the kernel then
 * copies that much less.
 */
#include "intercept/filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "io/backends.h"

int tb_intercept_filter_init(struct tb_intercept_filter *f, const char *text, struct tb_err *err)
{
    memset(f, 0, sizeof *f);
    return text ? tb_expression_compile(text, &f->given, err) : 0;
}

void tb_intercept_filter_fini(struct tb_intercept_filter *f)
{
    tb_expression_free(f->given);
    f->given = NULL;
}

/* The filter given, for packets from elsewhere; what it returns for them is ours to say. */
static void want_given(struct tb_intercept_filter *f, uint32_t snap)
{
    tb_steer_incoming(f->program);
    f->len = TB_STEER_INCOMING + tb_expression_program(f->given, f->program + TB_STEER_INCOMING);
    for (uint32_t i = TB_STEER_INCOMING; i < f->len; i++)
        if (f->program[i].code == (BPF_RET | BPF_K) && f->program[i].k)
            f->program[i].k = snap;
}

/* The targets as they are captured: under their own addresses, and with -D under others as well. */
static struct tb_endpoint *sources_of(const struct tb_intercept_filter *f,
                                      const struct tb_relay_wish *wish, uint32_t *count)
{
    size_t most = (size_t) wish->target_count * (1 + f->docker_count);
    struct tb_endpoint *list = calloc(most + 1, sizeof *list);
    uint32_t used = 0;

    for (uint32_t i = 0; list && i < wish->target_count; i++) {
        list[used++] = wish->targets[i];
        for (uint32_t d = 0; d < f->docker_count; d++)
            if (tb_addr_eq(&f->docker[d].meant, &wish->targets[i].addr))
                list[used++] = (struct tb_endpoint){f->docker[d].seen, wish->targets[i].port};
    }
    *count = used;
    return list;
}

/* False: too many for a program. */
static bool want_listed(struct tb_intercept_filter *f, const struct tb_relay_wish *wish,
                        uint32_t snap)
{
    struct tb_io_range *list = calloc(wish->range_count + 1, sizeof *list);
    uint32_t source_count;
    struct tb_endpoint *sources = sources_of(f, wish, &source_count);
    int len = -ENOMEM;

    for (uint32_t i = 0; list && i < wish->range_count; i++)
        list[i] = (struct tb_io_range){wish->ranges[i].first, wish->ranges[i].count};
    if (list && sources)
        len =
            tb_steer_filter_from(list, wish->range_count, sources, source_count, snap, f->program);
    free(list);
    free(sources);
    if (len > 0)
        f->len = (uint32_t) len;
    return len > 0;
}

void tb_intercept_filter_want(struct tb_intercept_filter *f, const struct tb_relay_wish *wish)
{
    uint32_t snap = wish->payload ? TB_STEER_WHOLE : TB_STEER_HEADERS;
    bool anywhere = wish->registers && wish->target_count == 0;

    f->len = 0;
    f->all_tcp = false;
    if (wish->range_count == 0 && !wish->registers)
        return;
    if (f->given) {
        want_given(f, snap);
    } else if (anywhere || !want_listed(f, wish, snap)) {
        f->len = (uint32_t) tb_steer_filter_tcp(snap, f->program);
        f->all_tcp = true;
    }
}

void tb_intercept_filter_widen(struct tb_intercept_filter *f)
{
    uint32_t snap = TB_STEER_HEADERS;

    for (uint32_t i = 0; i < f->len; i++)
        if (f->program[i].code == (BPF_RET | BPF_K) && f->program[i].k > snap)
            snap = f->program[i].k;
    f->len = (uint32_t) tb_steer_filter_tcp(snap, f->program);
    f->all_tcp = true;
}

bool tb_intercept_filter_passes(const struct tb_intercept_filter *f, const uint8_t *packet,
                                uint32_t len, uint32_t wire_len)
{
    return !f->given || tb_expression_matches(f->given, packet, len, wire_len);
}
