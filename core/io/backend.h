/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the back-ends share: sleeping on a descriptor and an eventfd, sorting the kernel's refusals
 * into counters, and the virtio-net header. Included by the back-ends only.
 */
#ifndef TB_IO_BACKEND_H
#define TB_IO_BACKEND_H

#include <linux/virtio_net.h>
#include <poll.h>
#include <string.h>
#include "io/io.h"

enum {
    TB_IO_IP_MAX = 65535, /* longest IP packet: its total length has 16 bits */
    TB_IO_GSO_MAX = TB_IO_IP_MAX - TB_FRAME_HEAD_MAX
};

/* The sleep of an instance: until `fd` (or -1: nothing) or its also_fd is readable, `wake_fd` was
 * written to, a signal came, or `timeout_us` passed. Returns at once, without a system call, when
 * it is 0. `io` NULL: no also_fd. */
void tb_backend_wait(const struct tb_io *io, int fd, int wake_fd, uint64_t timeout_us);

/* What to poll for the instance's also_fd; nothing when there is none. */
static inline struct pollfd tb_backend_also(const struct tb_io *io)
{
    return (struct pollfd){.fd = io && io->also_fd > 0 ? io->also_fd : -1, .events = POLLIN};
}

/* End a tb_backend_wait() on `wake_fd`, an eventfd. Async-signal-safe. */
void tb_backend_wake(int wake_fd);

/* Count one frame that the kernel refused with errno `error`. */
void tb_backend_count_error(struct tb_io_counters *c, int error);

/* Ask for checksum offload, and for segmentation when the payload is longer than gso_size.
 * `link_len`: bytes before the IP header (0, or 14 for Ethernet). The kernel reads these fields in
 * host byte order ("legacy" virtio), the default of TUN and AF_PACKET. */
static inline void tb_backend_vnet_header(struct virtio_net_hdr *h, const struct tb_frame *f,
                                          uint16_t link_len)
{
    memset(h, 0, sizeof *h);
    h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    h->csum_start = (uint16_t) (link_len + f->ip_len);
    h->csum_offset = 16; /* of the checksum in the TCP header */
    if (f->gso_size == 0 || f->payload_len <= f->gso_size)
        return;
    h->gso_type = f->ip_len == 20 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
    h->gso_size = f->gso_size;
    h->hdr_len = (uint16_t) (link_len + f->head_len);
}

#endif
