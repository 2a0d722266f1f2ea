/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs for the kernel's packet filter, made for the run: which worker a packet belongs to
 * (tb_steer_worker() of its client's end), and which packets are ours at all.
 */
#ifndef TB_IO_STEER_H
#define TB_IO_STEER_H

#include <linux/bpf.h>
#include <linux/filter.h>
#include <stdint.h>
#include "base/err.h"
#include "io/backends.h"
#include "io/tap.h"

enum {
    TB_STEER_EBPF_MAX = 32, /* instructions */
    TB_STEER_CBPF_MAX = 32,
    TB_STEER_FILTER_MAX = BPF_MAXINSNS
};

/* The two programs below return the worker of its destination for a packet that begins with its IP
 * header: IPv4 with options, IPv6 without extension headers. They return the number of instructions
 * written. */

/* eBPF, type BPF_PROG_TYPE_SOCKET_FILTER, for TUNSETSTEERINGEBPF. */
uint32_t tb_steer_ebpf(uint32_t workers, struct bpf_insn out[TB_STEER_EBPF_MAX]);
/* Classic BPF for PACKET_FANOUT_CBPF. */
uint32_t tb_steer_cbpf(uint32_t workers, struct sock_filter out[TB_STEER_CBPF_MAX]);

/* The same where packets of both directions come, seen where PACKET_FANOUT_CBPF looks at them:
 * worker of the source of packets to a service, of the destination of all others. Writes at most
 * TB_STEER_FILTER_MAX instructions; their number, or -E2BIG. */
int tb_steer_client(const struct tb_tap_service *services, uint32_t count, uint32_t workers,
                    struct sock_filter *out);

/* The end of a filter, for packets that begin with their IP header: `snap` bytes of those whose
 * client (see tb_steer_client()) is in one of the groups of tb_steer_group(), bit by bit; and of
 * SYNs, fragments, and what is no TCP or has IPv6 extension headers. Writes at most `room`
 * instructions; their number, or -E2BIG. */
int tb_steer_groups(const struct tb_tap_service *services, uint32_t count, uint32_t groups,
                    uint32_t snap, struct sock_filter *out, uint32_t room);

/* Load a program; its descriptor, or -errno with words. */
int tb_steer_load(const struct bpf_insn *program, uint32_t len, struct tb_err *err);

/* What a filter lets pass of a packet, in bytes. */
enum {
    TB_STEER_WHOLE = 0x7fffffff,
    TB_STEER_HEADERS = 256 /* IPv6 with extension headers, and TCP with all its options */
};

/* Classic BPF for SO_ATTACH_FILTER on a packet socket without link header: TCP packets from
 * elsewhere to one of the ranges, no fragments, IPv6 without extension headers; `snap` bytes of
 * them. Writes at most TB_STEER_FILTER_MAX instructions; their number, -E2BIG when the ranges take
 * more, or -ENOMEM. */
int tb_steer_filter(const struct tb_io_range *ranges, uint32_t count, uint32_t snap,
                    struct sock_filter *out);
/* The same, and besides whatever comes from one of the `sources`. */
int tb_steer_filter_from(const struct tb_io_range *ranges, uint32_t count,
                         const struct tb_endpoint *sources, uint32_t source_count, uint32_t snap,
                         struct sock_filter *out);
/* The same for every destination; the number of instructions. */
int tb_steer_filter_tcp(uint32_t snap, struct sock_filter *out);

/* The beginning of another filter: drops what this host sent and goes on behind its end else. */
enum { TB_STEER_INCOMING = 3 };
void tb_steer_incoming(struct sock_filter out[TB_STEER_INCOMING]);

#endif
