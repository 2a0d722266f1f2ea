/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pcap filter expressions; see expression.h.
 */
#include "io/expression.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdlib.h>

enum { WHOLE = 262144 };

struct tb_expression {
    struct bpf_program program;
};

int tb_expression_compile(const char *text, struct tb_expression **out, struct tb_err *err)
{
    struct tb_expression *e = calloc(1, sizeof *e);
    pcap_t *dead = pcap_open_dead(DLT_RAW, WHOLE);
    int rc = 0;

    if (!e || !dead)
        rc = tb_err_set(err, -ENOMEM, "out of memory");
    else if (pcap_compile(dead, &e->program, text, 1, PCAP_NETMASK_UNKNOWN) < 0)
        rc = tb_err_set(err, -EINVAL,
                        "filter \"%s\": %s (packets are looked at from the IP header on: what lies "
                        "before it, as ether or vlan, cannot be asked for)",
                        text, pcap_geterr(dead));
    else if (e->program.bf_len > TB_EXPRESSION_MAX)
        rc = tb_err_set(err, -EINVAL, "filter \"%s\": too long for the kernel", text);
    if (dead)
        pcap_close(dead);
    if (rc)
        tb_expression_free(e);
    else
        *out = e;
    return rc;
}

void tb_expression_free(struct tb_expression *e)
{
    if (!e)
        return;
    pcap_freecode(&e->program);
    free(e);
}

uint32_t tb_expression_program(const struct tb_expression *e, struct sock_filter *out)
{
    for (uint32_t i = 0; i < e->program.bf_len; i++) {
        const struct bpf_insn *in = &e->program.bf_insns[i];
        out[i] = (struct sock_filter){.code = in->code, .jt = in->jt, .jf = in->jf, .k = in->k};
    }
    return e->program.bf_len;
}

bool tb_expression_matches(const struct tb_expression *e, const uint8_t *packet, uint32_t len,
                           uint32_t wire_len)
{
    struct pcap_pkthdr h = {.caplen = len, .len = wire_len};
    return pcap_offline_filter(&e->program, &h, packet) != 0;
}
