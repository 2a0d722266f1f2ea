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

/* False: too many for a program. */
static bool want_ranges(struct tb_intercept_filter *f, const struct tb_relay_range *ranges,
                        uint32_t count, uint32_t snap)
{
    struct tb_io_range *list = calloc(count, sizeof *list);
    int len = -ENOMEM;

    for (uint32_t i = 0; list && i < count; i++)
        list[i] = (struct tb_io_range){.first = ranges[i].first, .count = ranges[i].count};
    if (list)
        len = tb_steer_filter(list, count, snap, f->program);
    free(list);
    if (len > 0)
        f->len = (uint32_t) len;
    return len > 0;
}

void tb_intercept_filter_want(struct tb_intercept_filter *f, const struct tb_relay_range *ranges,
                              uint32_t count, bool registers, bool payload)
{
    uint32_t snap = payload ? TB_STEER_WHOLE : TB_STEER_HEADERS;

    f->len = 0;
    f->all_tcp = false;
    if (count == 0 && !registers)
        return;
    if (f->given) {
        want_given(f, snap);
    } else if (registers || !want_ranges(f, ranges, count, snap)) {
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
