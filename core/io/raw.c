/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sending through IP raw sockets: the host's routing and neighbour tables decide the way. The
 * simplest way out, and the slowest; used when neither TUN nor the link layer is asked for.
 *
 * The kernel fills in total length and header checksum of IPv4 and leaves the rest of the headers
 * as they are (raw(7)); the TCP checksum is completed here.
 */
#include "io/backends.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "io/backend.h"

enum { BATCH = 64, SEND_BUFFER = 4 << 20, SEND_TIMEOUT_US = 100000 };

union raw_target {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct raw_io {
    struct tb_io io;
    int fd4, fd6;               /* -1: no target of this family */
    union raw_target *targets;  /* per transfer */
    struct mmsghdr msgs[BATCH]; /* those of a batch, and what they point to */
    struct iovec iov[BATCH][2];
};

/* Send `count` messages of one family; what is refused is counted and left out. */
static void send_messages(struct tb_io *io, int fd, struct mmsghdr *msgs, uint32_t count)
{
    uint32_t done = 0;
    while (done < count) {
        int n = sendmmsg(fd, msgs + done, count - done, 0);
        if (n > 0) {
            io->counters.sent += (uint32_t) n;
            done += (uint32_t) n;
        } else if (errno != EINTR) {
            tb_backend_count_error(&io->counters, errno);
            done++;
        }
    }
}

static void raw_send(struct tb_io *io, struct tb_frame *frames, uint32_t count)
{
    struct raw_io *r = (struct raw_io *) io;
    uint32_t i = 0;
    while (i < count) {
        uint8_t ip_len = frames[i].ip_len; /* tells the families apart */
        uint32_t n = 0;
        for (; i < count && n < BATCH && frames[i].ip_len == ip_len; i++, n++) {
            struct tb_frame *f = &frames[i];
            tb_frame_fill_checksum(f);
            r->iov[n][0] = (struct iovec){f->head, f->head_len};
            r->iov[n][1] = (struct iovec){(void *) f->payload, f->payload_len};
            r->msgs[n].msg_hdr = (struct msghdr){
                .msg_name = &r->targets[f->transfer],
                .msg_namelen =
                    ip_len == 20 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6),
                .msg_iov = r->iov[n],
                .msg_iovlen = f->payload_len ? 2 : 1,
            };
        }
        send_messages(io, ip_len == 20 ? r->fd4 : r->fd6, r->msgs, n);
    }
}

static uint32_t raw_recv(struct tb_io *io, struct tb_packet *packets, uint32_t max)
{
    (void) io;
    (void) packets;
    (void) max;
    return 0;
}

static void raw_wait(struct tb_io *io, uint64_t timeout_us)
{
    tb_backend_wait(io, -1, -1, timeout_us);
}

static void raw_close(struct tb_io *io)
{
    struct raw_io *r = (struct raw_io *) io;
    if (r->fd4 >= 0)
        close(r->fd4);
    if (r->fd6 >= 0)
        close(r->fd6);
    free(r->targets);
    free(r);
}

static const struct tb_io_ops raw_ops = {
    .name = "raw",
    .recv = raw_recv,
    .send = raw_send,
    .wait = raw_wait,
    .close = raw_close,
};

/* A socket that takes whole IP packets. When its buffer is full, sending waits for the device, but
 * not for ever. */
static int socket_open(int family)
{
    int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    if (fd < 0)
        return -errno;
    int one = 1, buffer = SEND_BUFFER;
    struct timeval timeout = {.tv_usec = SEND_TIMEOUT_US};
    int e = family == AF_INET ? setsockopt(fd, IPPROTO_IP, IP_HDRINCL, &one, sizeof one)
                              : setsockopt(fd, IPPROTO_IPV6, IPV6_HDRINCL, &one, sizeof one);
    if (e == 0)
        e = setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    if (e < 0) {
        e = -errno;
        close(fd);
        return e;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer) < 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer); /* as much as allowed */
    return fd;
}

/* Fill in the transfer's socket address and open the socket of its family when there is none. */
static int add_target(struct raw_io *r, union raw_target *t, const struct tb_addr *addr)
{
    bool v4 = tb_addr_is_v4(addr);
    if (v4) {
        t->v4.sin_family = AF_INET;
        memcpy(&t->v4.sin_addr, addr->b + 12, 4);
    } else {
        t->v6.sin6_family = AF_INET6;
        memcpy(&t->v6.sin6_addr, addr->b, 16);
    }
    int *fd = v4 ? &r->fd4 : &r->fd6;
    if (*fd < 0)
        *fd = socket_open(v4 ? AF_INET : AF_INET6);
    return *fd < 0 ? *fd : 0;
}

int tb_raw_open(const struct tb_io_setup *s, struct tb_io **out, struct tb_err *err)
{
    struct raw_io *r = calloc(1, sizeof *r);
    if (!r)
        return tb_err_set(err, -ENOMEM, "out of memory");
    r->io.ops = &raw_ops;
    r->io.caps.checksum = true;
    r->fd4 = r->fd6 = -1;
    r->targets = calloc(s->target_count + 1, sizeof *r->targets);
    int e = r->targets ? 0 : -ENOMEM;
    for (uint32_t i = 0; i < s->target_count && e == 0; i++)
        e = add_target(r, &r->targets[i], &s->targets[i].addr);
    if (e) {
        raw_close(&r->io);
        if (e == -EPERM || e == -EACCES)
            return tb_err_set(err, -EPERM,
                              "no permission to open a raw socket: run as root, or give the "
                              "program the capability cap_net_raw (setcap cap_net_raw+ep PROGRAM)");
        return tb_err_set(err, e, "cannot open a raw socket: %s", strerror(-e));
    }
    *out = &r->io;
    return 0;
}
