/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loading capture files into a trace (trace.h): record → filter → IP packet → TCP segment →
 * connection. Called by the programs at start-up.
 */
#include "trace/trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "packet/linktype.h"
#include "packet/view.h"
#include "trace/capture.h"
#include "trace/filter.h"
#include "trace/flow.h"
#include "trace/fragment.h"
#include "trace/verify.h"

enum { ARENA_BYTES = 1 << 20, PROGRESS_BYTES = 4 << 20, WORDS = 512 };

struct load {
    struct tb_trace *t;
    const struct tb_trace_options *o;
    struct tb_flows flows;
    struct tb_filter filter;
    struct tb_fragments fragments;
    struct tb_verify verify;
    uint64_t total_bytes; /* of all files */
    uint64_t done_bytes;  /* of the files before the current one */
    uint64_t told_bytes;
    uint32_t unknown_linktype;
    uint64_t unknown_packets;
};

/* Super-packets carry an IP length of 0; what snaplen cut off then shows only in the record. */
static void claim_original(const struct tb_record *r, const uint8_t *data, uint32_t len,
                           struct tb_ip *ip)
{
    struct tb_cursor c = tb_cursor_init(data, len);
    bool v6 = tb_cursor_u8(&c) >> 4 == 6;
    tb_cursor_skip(&c, v6 ? 3 : 1);
    if (tb_cursor_be16(&c) == 0 && !c.failed && r->original > r->len &&
        ip->payload_claimed == ip->payload_len)
        ip->payload_claimed += r->original - r->len;
}

static void load_record(struct load *l, const struct tb_record *r)
{
    struct tb_trace *t = l->t;
    struct tb_ip ip;
    struct tb_segment seg;
    t->packets++;
    if (!tb_linktype_known(r->linktype)) {
        l->unknown_linktype = r->linktype;
        l->unknown_packets++;
        t->other_packets++;
        return;
    }
    if (!tb_filter_match(&l->filter, r))
        return;
    int offset = tb_linktype_ip_offset(r->linktype, r->data, r->len);
    if (offset < 0) {
        t->other_packets++;
        return;
    }
    const uint8_t *data = r->data + offset;
    uint32_t len = r->len - (uint32_t) offset;
    if (tb_ip_parse(data, len, &ip) < 0) {
        t->bad_packets++;
        return;
    }
    if (ip.proto != TB_PROTO_TCP) {
        t->other_packets++;
        return;
    }
    if (r->original > r->len)
        claim_original(r, data, len, &ip);
    bool fragment = ip.more_fragments || ip.fragment_offset > 0;
    if (fragment && !tb_fragments_add(&l->fragments, &ip, r->time_us))
        return;
    if (tb_tcp_parse(&ip, &seg) < 0 || !tb_verify_segment(&l->verify, &ip, &seg)) {
        t->bad_packets++;
        return;
    }
    tb_flows_segment(&l->flows, &seg, r->time_us);
}

static void tell_progress(struct load *l, uint64_t file_bytes)
{
    uint64_t done = l->done_bytes + file_bytes;
    if (!l->o->progress || done - l->told_bytes < PROGRESS_BYTES)
        return;
    l->told_bytes = done;
    uint64_t total = done > l->total_bytes ? done : l->total_bytes;
    l->o->progress(l->o->progress_ctx, done, total, l->t->session_count);
}

/* Load one file; -errno when it cannot be read at all. */
static int load_file(struct load *l, const char *path, struct tb_err *err)
{
    struct tb_capture c;
    struct tb_record r;
    char words[WORDS];
    int rc = tb_capture_file_open(&c, path, err);
    if (rc == 0) {
        l->t->files++;
        while (!tb_flows_out_of_memory(&l->flows) && tb_capture_file_next(&c, &r)) {
            load_record(l, &r);
            tell_progress(l, c.reader.file_bytes);
        }
        if (tb_capture_file_trouble(&c, path, words, sizeof words))
            tb_trace_warn(l->t, "%s", words);
        l->done_bytes += c.reader.file_bytes;
        if (c.out_of_memory || tb_flows_out_of_memory(&l->flows))
            rc = tb_err_set(err, -ENOMEM, "%s: out of memory after %llu packets", path,
                            (unsigned long long) c.records);
    }
    tb_capture_file_close(&c);
    return rc;
}

static int load_files(struct load *l, struct tb_err *err)
{
    for (uint32_t i = 0; i < l->o->file_count; i++) {
        struct stat st;
        if (stat(l->o->files[i], &st) == 0 && S_ISREG(st.st_mode))
            l->total_bytes += (uint64_t) st.st_size;
    }
    for (uint32_t i = 0; i < l->o->file_count; i++) {
        int rc = load_file(l, l->o->files[i], err);
        if (rc < 0)
            return rc;
    }
    if (l->unknown_packets > 0) {
        char name[32];
        tb_trace_warn(l->t, "%llu packets of a link type that is not supported (%s)",
                      (unsigned long long) l->unknown_packets,
                      tb_linktype_name(l->unknown_linktype, name));
    }
    return tb_filter_check(&l->filter, err);
}

/* Why there is nothing to play, in words. */
static int no_session(const struct tb_trace *t, struct tb_err *err)
{
    char reasons[400] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < t->skip_count && used < sizeof reasons; i++)
        used += (size_t) snprintf(reasons + used, sizeof reasons - used, "%s%s: %llu",
                                  i ? ", " : "; sessions not used: ", t->skipped[i].reason,
                                  (unsigned long long) t->skipped[i].sessions);
    return tb_err_set(err, -ENODATA,
                      "no session to play in %u file%s (%llu packets, %llu of them not TCP, %llu "
                      "damaged)%s%s%s; check the transfers (-x) and the filter (-F)",
                      t->files, t->files == 1 ? "" : "s", (unsigned long long) t->packets,
                      (unsigned long long) t->other_packets, (unsigned long long) t->bad_packets,
                      reasons, t->warning[0] ? "; " : "", t->warning);
}

int tb_trace_load(struct tb_trace *t, const struct tb_trace_options *o, struct tb_err *err)
{
    memset(t, 0, sizeof *t);
    tb_arena_init(&t->bytes, ARENA_BYTES);
    tb_arena_init(&t->records, ARENA_BYTES);
    struct load *l = calloc(1, sizeof *l);
    if (!l)
        return tb_err_set(err, -ENOMEM, "out of memory");
    l->t = t;
    l->o = o;
    tb_filter_init(&l->filter, o->filter);
    int rc = tb_flows_init(&l->flows, t, o);
    if (rc < 0)
        tb_err_set(err, rc, "out of memory");
    else
        rc = load_files(l, err);
    if (l->flows.table.slots)
        tb_flows_finish(&l->flows);
    if (rc == 0 && tb_flows_out_of_memory(&l->flows))
        rc = tb_err_set(err, -ENOMEM, "out of memory");
    tb_trace_order(t);
    if (rc == 0 && t->session_count == 0)
        rc = no_session(t, err);
    tb_flows_fini(&l->flows);
    tb_fragments_fini(&l->fragments);
    tb_filter_fini(&l->filter);
    free(l);
    return rc;
}
