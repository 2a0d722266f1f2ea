/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pcap filter over files of several link types: compiled once for each that occurs. Used by
 * load.c.
 */
#ifndef TB_TRACE_FILTER_H
#define TB_TRACE_FILTER_H

#include <stdbool.h>
#include <stdint.h>
#include <pcap/pcap.h>
#include "base/err.h"
#include "trace/capture.h"

enum { TB_FILTER_LINKTYPES = 16 };

struct tb_filter {
    const char *text; /* NULL: everything matches */
    struct tb_filter_program {
        uint32_t linktype;
        bool usable;
        struct bpf_program bpf;
    } program[TB_FILTER_LINKTYPES];
    uint32_t count;
    char reason[PCAP_ERRBUF_SIZE]; /* why the last one could not be compiled */
};

void tb_filter_init(struct tb_filter *f, const char *text);
void tb_filter_fini(struct tb_filter *f);

/* Does the record match? One of a link type that the filter makes no sense for does not. */
bool tb_filter_match(struct tb_filter *f, const struct tb_record *r);

/* 0, or -EINVAL with libpcap's words when the filter made no sense for any link type seen. */
int tb_filter_check(const struct tb_filter *f, struct tb_err *err);

#endif
