/* SPDX-License-Identifier: BSD-2-Clause */
/* See filter.h. */
#include "trace/filter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* In files raw IP is 101; libpcap's functions know it as DLT_RAW. The others are the same. */
enum { LINKTYPE_RAW = 101 };

void tb_filter_init(struct tb_filter *f, const char *text)
{
    memset(f, 0, sizeof *f);
    f->text = text;
}

void tb_filter_fini(struct tb_filter *f)
{
    for (uint32_t i = 0; i < f->count; i++)
        if (f->program[i].usable)
            pcap_freecode(&f->program[i].bpf);
    f->count = 0;
}

static const struct tb_filter_program *compile(struct tb_filter *f, uint32_t linktype)
{
    if (f->count == TB_FILTER_LINKTYPES)
        return NULL;
    struct tb_filter_program *p = &f->program[f->count++];
    p->linktype = linktype;
    pcap_t *dead =
        pcap_open_dead(linktype == LINKTYPE_RAW ? DLT_RAW : (int) linktype, TB_RECORD_MAX);
    if (!dead)
        return p;
    p->usable = pcap_compile(dead, &p->bpf, f->text, 1, PCAP_NETMASK_UNKNOWN) == 0;
    if (!p->usable)
        snprintf(f->reason, sizeof f->reason, "%s", pcap_geterr(dead));
    pcap_close(dead);
    return p;
}

bool tb_filter_match(struct tb_filter *f, const struct tb_record *r)
{
    if (!f->text)
        return true;
    const struct tb_filter_program *p = NULL;
    for (uint32_t i = 0; i < f->count && !p; i++)
        if (f->program[i].linktype == r->linktype)
            p = &f->program[i];
    if (!p)
        p = compile(f, r->linktype);
    if (!p || !p->usable)
        return false;
    struct pcap_pkthdr h = {.caplen = r->len, .len = r->original};
    return pcap_offline_filter(&p->bpf, &h, r->data) != 0;
}

int tb_filter_check(const struct tb_filter *f, struct tb_err *err)
{
    if (!f->text || f->count == 0)
        return 0;
    for (uint32_t i = 0; i < f->count; i++)
        if (f->program[i].usable)
            return 0;
    return tb_err_set(err, -EINVAL, "filter \"%s\": %s", f->text, f->reason);
}
