/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sending at the link layer: AF_PACKET with a virtio-net header, so that the device or the kernel
 * completes checksums and cuts long payloads. Used with --pcap-send. Where frames go is worked out
 * once, by nexthop.c.
 *
 * Where AF_XDP was built in (--with-xdp), whole frames go that way (xdp.h): over veth 1.8 us of CPU
 * each against 2.5 in turn. Else sendmmsg, and not a TX ring: small frames over veth to a dead
 * address took 1.6 us of CPU each, and 1.7 through a ring. Nor PACKET_QDISC_BYPASS: it saved
 * nothing, and a device slower than we are then drops frames, where through its queue we are made
 * to wait for it.
 */
#include "io/backends.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "io/backend.h"
#include "io/nexthop.h"
#include "io/xdp.h"

enum { BATCH = 64, SEND_BUFFER = 4 << 20, SEND_TIMEOUT_US = 100000 };

/* Everything before the payload, as the kernel wants it. */
struct link_head {
    struct virtio_net_hdr vnet;
    uint8_t ethernet[ETH_HLEN];
    uint8_t ip_tcp[TB_FRAME_HEAD_MAX];
};

struct link_target {
    struct sockaddr_ll addr;
    uint8_t ethernet[ETH_HLEN];
    struct tb_xdp *xdp; /* of the device; NULL: through the packet socket */
};

struct link_io {
    struct tb_io io;
    int fd;
    struct link_target *targets; /* per transfer */
    uint32_t target_count;
    struct mmsghdr msgs[BATCH]; /* those of a batch, and what they point to */
    struct iovec iov[BATCH][2];
    struct link_head heads[BATCH];
};

static void send_messages(struct link_io *l, uint32_t count)
{
    struct tb_io_counters *c = &l->io.counters;
    uint32_t done = 0;
    while (done < count) {
        int n = sendmmsg(l->fd, l->msgs + done, count - done, 0);
        if (n > 0) {
            c->sent += (uint32_t) n;
            done += (uint32_t) n;
        } else if (errno != EINTR) {
            tb_backend_count_error(c, errno);
            done++;
        }
    }
}

static void link_send(struct tb_io *io, struct tb_frame *frames, uint32_t count)
{
    struct link_io *l = (struct link_io *) io;
    uint32_t i = 0;
    while (i < count) {
        uint32_t n = 0;
        for (; i < count && n < BATCH; i++) {
            const struct tb_frame *f = &frames[i];
            struct link_target *t = &l->targets[f->transfer];
            struct link_head *h = &l->heads[n];
            if (t->xdp && tb_xdp_put(t->xdp, t->ethernet, ETH_HLEN, f)) {
                io->counters.sent++;
                continue;
            }
            tb_backend_vnet_header(&h->vnet, f, ETH_HLEN);
            memcpy(h->ethernet, t->ethernet, ETH_HLEN);
            memcpy(h->ip_tcp, f->head, f->head_len);
            l->iov[n][0] = (struct iovec){h, offsetof(struct link_head, ip_tcp) + f->head_len};
            l->iov[n][1] = (struct iovec){(void *) f->payload, f->payload_len};
            l->msgs[n].msg_hdr = (struct msghdr){
                .msg_name = &t->addr,
                .msg_namelen = sizeof t->addr,
                .msg_iov = l->iov[n],
                .msg_iovlen = f->payload_len ? 2 : 1,
            };
            n++;
        }
        send_messages(l, n);
    }
    for (i = 0; i < l->target_count; i++) /* a device's is first seen at its first transfer */
        if (l->targets[i].xdp)
            tb_xdp_send(l->targets[i].xdp);
}

static uint32_t link_recv(struct tb_io *io, struct tb_packet *packets, uint32_t max)
{
    (void) io;
    (void) packets;
    (void) max;
    return 0;
}

static void link_wait(struct tb_io *io, uint64_t timeout_us)
{
    tb_backend_wait(io, -1, -1, timeout_us);
}

/* What a transfer before number `end` has for the same device. */
static struct tb_xdp *xdp_of(const struct link_io *l, int ifindex, uint32_t end)
{
    for (uint32_t i = 0; i < end; i++)
        if (l->targets[i].addr.sll_ifindex == ifindex)
            return l->targets[i].xdp;
    return NULL;
}

static void link_close(struct tb_io *io)
{
    struct link_io *l = (struct link_io *) io;
    if (l->fd >= 0)
        close(l->fd);
    for (uint32_t i = 0; l->targets && i < l->target_count; i++)
        if (xdp_of(l, l->targets[i].addr.sll_ifindex, i) == NULL)
            tb_xdp_close(l->targets[i].xdp);
    free(l->targets);
    free(l);
}

static const struct tb_io_ops link_ops = {
    .name = "link",
    .recv = link_recv,
    .send = link_send,
    .wait = link_wait,
    .close = link_close,
};

/* A packet socket that receives nothing. When its buffer is full, sending waits for the device, but
 * not for ever. */
static int socket_open(struct link_io *l)
{
    int one = 1, buffer = SEND_BUFFER;
    struct timeval timeout = {.tv_usec = SEND_TIMEOUT_US};
    l->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (l->fd < 0 || setsockopt(l->fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) < 0 ||
        setsockopt(l->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) < 0)
        return -errno;
    if (setsockopt(l->fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer) < 0)
        setsockopt(l->fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer); /* as much as allowed */
    return 0;
}

/* Work out where the transfer's frames go; a device that cannot cut long payloads rules that out.
 */
static int add_target(struct link_io *l, struct tb_nl *nl, const struct tb_io_setup *s, uint32_t i,
                      struct tb_err *err)
{
    struct tb_nexthop hop;
    int e = tb_nexthop_find(nl, s, i, &hop, err);
    if (e)
        return e;
    uint16_t protocol = htobe16(tb_addr_is_v4(&s->targets[i].addr) ? ETH_P_IP : ETH_P_IPV6);
    struct link_target *t = &l->targets[i];
    t->addr = (struct sockaddr_ll){
        .sll_family = AF_PACKET,
        .sll_protocol = protocol,
        .sll_ifindex = (int) hop.ifindex,
        .sll_halen = ETH_ALEN,
    };
    memcpy(t->addr.sll_addr, hop.dst_mac, ETH_ALEN);
    memcpy(t->ethernet, hop.dst_mac, ETH_ALEN);
    memcpy(t->ethernet + ETH_ALEN, hop.src_mac, ETH_ALEN);
    memcpy(t->ethernet + 2 * ETH_ALEN, &protocol, sizeof protocol);
    t->xdp = xdp_of(l, t->addr.sll_ifindex, i);
    if (!t->xdp && tb_xdp_open(hop.ifindex, &t->xdp) < 0)
        t->xdp = NULL; /* another worker has it, or there is no such thing here */
    return 0;
}

int tb_link_open(const struct tb_io_setup *s, struct tb_io **out, struct tb_err *err)
{
    struct tb_nl nl;
    int e = tb_nl_open(&nl, err);
    if (e)
        return e;
    struct link_io *l = calloc(1, sizeof *l);
    struct link_target *targets = calloc(s->target_count + 1, sizeof *targets);
    if (!l || !targets) {
        free(l);
        free(targets);
        tb_nl_close(&nl);
        return tb_err_set(err, -ENOMEM, "out of memory");
    }
    l->io.ops = &link_ops;
    l->io.caps = (struct tb_io_caps){.gso_max = TB_IO_GSO_MAX, .checksum = true};
    l->targets = targets;
    l->target_count = s->target_count;
    e = socket_open(l);
    if (e == -EPERM || e == -EACCES)
        tb_err_set(err, e = -EPERM,
                   "no permission to open a packet socket: run as root, or give the program the "
                   "capability cap_net_raw (setcap cap_net_raw+ep PROGRAM)");
    else if (e)
        tb_err_set(err, e, "cannot open a packet socket: %s", strerror(-e));
    for (uint32_t i = 0; i < s->target_count && e == 0; i++)
        e = add_target(l, &nl, s, i, err);
    tb_nl_close(&nl);
    if (e)
        link_close(&l->io);
    else
        *out = &l->io;
    return e;
}
