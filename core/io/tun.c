/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A TUN device of our own that carries both directions: what we write, the host receives as if from
 * the network; what it sends to the client ranges, we read. The embedded default of tcpburn.
 *
 * Opened once, by the thread that sets the run up; then each worker owns one queue. Device, routes
 * and settings belong to the descriptors and vanish with the process, however it ends. After
 * tb_tun_open() no privilege is needed.
 */
#include "io/backends.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "io/backend.h"
#include "io/blackhole.h"
#include "io/netlink.h"
#include "io/overlap.h"
#include "io/steer.h"

enum {
    /* The longest read: the header, and a super-packet of 64 KB that IPv6 counts without header. */
    READ_MAX = (int) sizeof(struct virtio_net_hdr) + 40 + TB_IO_IP_MAX,
    READ_ROOM = 512 * 1024,
    COPY_MAX = 512, /* payload bytes, see write_frame() */
    /* Packets the device keeps for us per queue. Answers to a burst of 100,000 users have to fit,
     * for what does not is lost, and comes again only after the server's RTO. */
    QUEUE_LEN = 131072,
    /* What the server may send us in one packet: its segments are not longer than this - 40 either.
     * Our own packets obey the engine's MTU; the device does not check them. */
    MTU_LEAST = 1500
};

struct tun_io {
    struct tb_io io;
    int fd, wake_fd;
    uint8_t *buf; /* READ_ROOM: the packets of the last recv() */
};

/* Not through the C library's wrappers, which make every call a cancellation point: 5 % of our own
 * time, for nothing. */
static ssize_t raw_read(int fd, void *buf, size_t len)
{
    return syscall(SYS_read, fd, buf, len);
}

static ssize_t raw_write(int fd, const void *buf, size_t len)
{
    return syscall(SYS_write, fd, buf, len);
}

static uint32_t tun_recv(struct tb_io *io, struct tb_packet *packets, uint32_t max)
{
    struct tun_io *t = (struct tun_io *) io;
    uint32_t count = 0, at = 0;
    while (count < max && READ_ROOM - at >= READ_MAX) {
        ssize_t n = raw_read(t->fd, t->buf + at, READ_MAX);
        if (n <= (ssize_t) sizeof(struct virtio_net_hdr))
            break; /* EAGAIN, or the device is gone: nothing there now */
        uint32_t len = (uint32_t) n - (uint32_t) sizeof(struct virtio_net_hdr);
        packets[count++] =
            (struct tb_packet){.data = t->buf + at + sizeof(struct virtio_net_hdr), .len = len};
        at += ((uint32_t) n + 15) & ~15u;
    }
    io->counters.received += count;
    return count;
}

/* The kernel takes one frame per call. A single buffer spares it the work of a vector: 10 % on
 * small frames, more than the copy costs. */
static ssize_t write_frame(int fd, const struct tb_frame *f)
{
    struct virtio_net_hdr vnet;
    uint8_t small[sizeof vnet + TB_FRAME_HEAD_MAX + COPY_MAX];
    uint32_t len = (uint32_t) sizeof vnet + f->head_len;
    tb_backend_vnet_header(&vnet, f, 0);
    memcpy(small, &vnet, sizeof vnet);
    memcpy(small + sizeof vnet, f->head, f->head_len);
    if (f->payload_len <= COPY_MAX) {
        if (f->payload_len)
            memcpy(small + len, f->payload, f->payload_len);
        return raw_write(fd, small, len + f->payload_len);
    }
    struct iovec iov[2] = {{small, len}, {(void *) f->payload, f->payload_len}};
    return writev(fd, iov, 2);
}

static void tun_send(struct tb_io *io, struct tb_frame *frames, uint32_t count)
{
    struct tun_io *t = (struct tun_io *) io;
    for (uint32_t i = 0; i < count; i++) {
        if (write_frame(t->fd, &frames[i]) >= 0)
            io->counters.sent++;
        else /* EIO: the device is switched off */
            tb_backend_count_error(&io->counters, errno == EIO ? ENETDOWN : errno);
    }
}

static void tun_wait(struct tb_io *io, uint64_t timeout_us)
{
    struct tun_io *t = (struct tun_io *) io;
    tb_backend_wait(io, t->fd, t->wake_fd, timeout_us);
}

static void tun_wake(struct tb_io *io)
{
    tb_backend_wake(((struct tun_io *) io)->wake_fd);
}

static void tun_close(struct tb_io *io)
{
    struct tun_io *t = (struct tun_io *) io;
    if (t->fd >= 0)
        close(t->fd);
    if (t->wake_fd >= 0)
        close(t->wake_fd);
    free(t->buf);
    free(t);
}

static const struct tb_io_ops tun_ops = {
    .name = "tun",
    .recv = tun_recv,
    .send = tun_send,
    .wait = tun_wait,
    .wake = tun_wake,
    .close = tun_close,
};

/* --- opening ------------------------------------------------------------------------------- */

static int device_error(int e, struct tb_err *err)
{
    if (e == -EPERM || e == -EACCES)
        return tb_err_set(err, -EPERM,
                          "no permission to make a TUN device: run as root, or give the program "
                          "the capability cap_net_admin (setcap cap_net_admin+ep PROGRAM)");
    if (e == -ENOENT || e == -ENODEV || e == -ENXIO)
        return tb_err_set(err, e,
                          "there is no /dev/net/tun: load the kernel module (modprobe tun), or "
                          "hand the device to the container");
    return tb_err_set(err, e, "cannot make a TUN device: %s", strerror(-e));
}

/* One more queue of the device `name`; the first one makes the device and completes the name.
 * Without IFF_NAPI: each write runs through the host's stack at once, in our context. With it a
 * small frame took 2.4 us of CPU instead of 1.5 (bench/blast). */
static int queue_open(char name[IFNAMSIZ], bool several, int *fd_out)
{
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct ifreq r = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
    if (several)
        r.ifr_flags |= IFF_MULTI_QUEUE;
    memcpy(r.ifr_name, name, IFNAMSIZ);
    if (ioctl(fd, TUNSETIFF, &r) < 0 ||
        ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0) {
        int e = -errno;
        close(fd);
        return e;
    }
    memcpy(name, r.ifr_name, IFNAMSIZ);
    *fd_out = fd;
    return 0;
}

static int instance_new(struct tun_io **out)
{
    struct tun_io *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    t->io.ops = &tun_ops;
    t->io.caps = (struct tb_io_caps){.gso_max = TB_IO_GSO_MAX, .checksum = true};
    t->fd = -1;
    t->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    t->buf = aligned_alloc(64, READ_ROOM);
    if (t->wake_fd < 0 || !t->buf) {
        tun_close(&t->io);
        return -ENOMEM;
    }
    *out = t;
    return 0;
}

/* Which packets of the host go to which queue. */
static int steer(int fd, uint32_t workers, struct tb_err *err)
{
    struct bpf_insn program[TB_STEER_EBPF_MAX];
    int bpf = tb_steer_load(program, tb_steer_ebpf(workers, program), err);
    if (bpf < 0)
        return bpf;
    int e = ioctl(fd, TUNSETSTEERINGEBPF, &bpf) < 0 ? -errno : 0;
    close(bpf);
    if (e)
        return tb_err_set(err, e,
                          "the kernel cannot spread the packets of a TUN device over workers "
                          "(%s): use --workers 1",
                          strerror(-e));
    return 0;
}

static int write_setting(const char *family, const char *device, const char *key, const char *value)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/sys/net/%s/conf/%s/%s", family, device, key);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int e = write(fd, value, strlen(value)) < 0 ? -errno : 0;
    close(fd);
    return e;
}

static bool is_loopback_v4(const struct tb_addr *a)
{
    return tb_addr_is_v4(a) && a->b[12] == 127;
}

/* Per-device settings, before the device is up. Reverse path filtering may stay as it is: the route
 * to the clients leads through this device, so that even strict mode lets them pass. */
static int set_settings(const struct tb_io_setup *s, const char *device, struct tb_err *err)
{
    bool v6 = false, loopback = false;
    for (uint32_t i = 0; i < s->client_count; i++)
        v6 = v6 || !tb_addr_is_v4(&s->clients[i].first);
    for (uint32_t i = 0; i < s->target_count; i++)
        loopback = loopback || is_loopback_v4(&s->targets[i].addr);
    int e = loopback ? write_setting("ipv4", device, "route_localnet", "1") : 0;
    if (e)
        return tb_err_set(err, e,
                          "cannot set net.ipv4.conf.%s.route_localnet (%s), which a target in "
                          "127.0.0.0/8 needs: use another address of this host as target",
                          device, strerror(-e));
    /* No address of its own on the device (1: none), and with it no chatter in our queue. */
    write_setting("ipv6", device, "addr_gen_mode", "1");
    e = write_setting("ipv6", device, "disable_ipv6", v6 ? "0" : "1");
    if (e && v6)
        return tb_err_set(err, e, "cannot switch on IPv6 on %s (%s): is IPv6 disabled here?",
                          device, strerror(-e));
    return 0;
}

static int add_routes(struct tb_nl *nl, const struct tb_io_setup *s, const char *device,
                      uint32_t ifindex, struct tb_err *err)
{
    struct tb_prefix *prefixes = NULL;
    int n = tb_ranges_prefixes(s->clients, s->client_count, &prefixes);
    if (n < 0)
        return tb_err_set(err, n, "out of memory");
    int e = 0;
    for (int i = 0; i < n && e == 0; i++) {
        struct tb_route r = {.dst = prefixes[i], .type = RTN_UNICAST, .ifindex = ifindex};
        e = tb_nl_route_add(nl, &r);
        char text[TB_PREFIX_TEXT];
        if (e)
            tb_err_set(err, e, "cannot route %s to %s: %s", tb_prefix_format(&prefixes[i], text),
                       device, strerror(-e));
    }
    free(prefixes);
    return e;
}

/* Remembers an address that clients on the device can reach, if possible of family IPv6. */
static int find_reachable(void *ctx, const struct tb_addr *addr)
{
    struct tb_addr *best = ctx;
    bool v4 = tb_addr_is_v4(addr);
    static const uint8_t v6_loopback[16] = {[15] = 1};
    bool link_local = addr->b[0] == 0xfe && (addr->b[1] & 0xc0) == 0x80;
    if (link_local || memcmp(addr->b, v6_loopback, 16) == 0)
        return 0;
    if (!v4 || (is_loopback_v4(best) && !is_loopback_v4(addr)))
        *best = *addr;
    return v4 ? 0 : 1;
}

/* The kernel drops packets to ::1 that come from anywhere but the loopback device (RFC 4291
 * §2.5.3), and there is no setting for that as for 127.0.0.0/8. */
static int check_targets(struct tb_nl *nl, const struct tb_io_setup *s, struct tb_err *err)
{
    static const uint8_t v6_loopback[16] = {[15] = 1}, v4_loopback[4] = {127, 0, 0, 1};
    for (uint32_t i = 0; i < s->target_count; i++) {
        if (memcmp(s->targets[i].addr.b, v6_loopback, 16) != 0)
            continue;
        struct tb_endpoint other = {tb_addr_v4(v4_loopback), s->targets[i].port};
        tb_nl_addresses(nl, find_reachable, &other.addr);
        char text[TB_ENDPOINT_TEXT];
        return tb_err_set(err, -EADDRNOTAVAIL,
                          "the kernel takes packets to [::1] only from the loopback device, not "
                          "from a TUN device: use another address of this host as target, such "
                          "as %s",
                          tb_endpoint_format(&other, text));
    }
    return 0;
}

static int device_up(struct tb_nl *nl, const struct tb_io_setup *s, const char *device,
                     struct tb_err *err)
{
    uint32_t ifindex = if_nametoindex(device);
    int e = set_settings(s, device, err);
    if (e)
        return e;
    e = tb_nl_link_up(nl, ifindex, s->mtu > MTU_LEAST ? s->mtu : MTU_LEAST, QUEUE_LEN);
    if (e)
        return tb_err_set(err, e, "cannot switch on the device %s: %s", device, strerror(-e));
    return add_routes(nl, s, device, ifindex, err);
}

int tb_tun_open(const struct tb_io_setup *s, struct tb_io **out, struct tb_err *err)
{
    struct tb_nl nl;
    char name[IFNAMSIZ] = "tcpburn%d";
    uint32_t opened = 0;
    int e = tb_nl_open(&nl, err);
    if (e)
        return e;
    tb_blackhole_sweep(&nl, s);
    if ((e = check_targets(&nl, s, err)) || (e = tb_overlap_check(&nl, s, true, err)))
        goto out;
    for (; opened < s->workers; opened++) {
        struct tun_io *t;
        if ((e = instance_new(&t))) {
            tb_err_set(err, e, "out of memory or file descriptors");
            goto out;
        }
        out[opened] = &t->io;
        if ((e = queue_open(name, s->workers > 1, &t->fd))) {
            tun_close(&t->io);
            device_error(e, err);
            goto out;
        }
    }
    if (s->workers > 1 && (e = steer(((struct tun_io *) out[0])->fd, s->workers, err)))
        goto out;
    e = device_up(&nl, s, name, err);
out:
    while (e && opened)
        tun_close(out[--opened]);
    tb_nl_close(&nl);
    return e;
}
