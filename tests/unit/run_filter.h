/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packet filter programs run by the kernel itself: a filter on a UNIX datagram socket may be
 * attached by anybody, and cuts each datagram to the length that the program returns; 0 drops it.
 */
#ifndef TB_RUN_FILTER_H
#define TB_RUN_FILTER_H

#include "unit.h"
#include <linux/filter.h>
#include <sys/socket.h>
#include <unistd.h>

/* What an attached program returns for the packet, at most its length. */
static inline uint32_t run_attached(const int sockets[2], const uint8_t *packet, uint32_t len)
{
    uint8_t seen[1 << 16];
    assert_int_equal(send(sockets[0], packet, len, MSG_DONTWAIT), len);
    ssize_t n = recv(sockets[1], seen, sizeof seen, MSG_DONTWAIT);
    return n < 0 ? 0 : (uint32_t) n;
}

static inline uint32_t run_classic(struct sock_filter *program, uint32_t program_len,
                                   const uint8_t *packet, uint32_t len)
{
    int sockets[2];
    struct sock_fprog p = {(uint16_t) program_len, program};
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, sockets), 0);
    assert_int_equal(setsockopt(sockets[1], SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof p), 0);
    uint32_t result = run_attached(sockets, packet, len);
    close(sockets[0]);
    close(sockets[1]);
    return result;
}

/* What the kernel says of a packet beside its bytes; a UNIX socket has none of it, so that the
 * loads of it are replaced by these numbers. */
struct aside {
    uint32_t packet_type, protocol, ifindex, hardware;
};

static inline uint32_t said_aside(const struct aside *a, uint32_t k)
{
    switch ((int32_t) k - SKF_AD_OFF) {
    case SKF_AD_PKTTYPE:
        return a->packet_type;
    case SKF_AD_IFINDEX:
        return a->ifindex;
    case SKF_AD_HATYPE:
        return a->hardware;
    default:
        return a->protocol;
    }
}

/* What the filter returns for the packet, at most its length. */
static inline uint32_t run_filter(const struct sock_filter *program, uint32_t n, struct aside aside,
                                  const uint8_t *packet, uint32_t len)
{
    struct sock_filter *copy = malloc(n * sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, program, n * sizeof *copy);
    for (uint32_t i = 0; i < n; i++) {
        int32_t k = (int32_t) copy[i].k;
        if (copy[i].code != (BPF_LD | BPF_W | BPF_ABS) || k >= 0 || k < SKF_AD_OFF)
            continue;
        copy[i] =
            (struct sock_filter){.code = BPF_LD | BPF_IMM, .k = said_aside(&aside, copy[i].k)};
    }
    uint32_t result = run_classic(copy, n, packet, len);
    free(copy);
    return result;
}

#endif
