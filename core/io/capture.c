/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Receiving what the target sends to the client ranges, when it is routed to this host: a
 * TPACKET_V2 ring per worker, filled by the kernel without a system call per packet. Opened once,
 * by the thread that sets the run up; then each worker owns one ring. See packet(7) and
 * Documentation/networking/packet_mmap.rst.
 *
 * V2, because V3 hands over blocks with a delay of milliseconds. Its slots all have one size, and a
 * received packet may have 64 KB (GRO, or TSO over veth): slots are made for one full frame, and
 * what is longer also comes through the socket's queue (PACKET_COPY_THRESH), with one call for many
 * segments. Slots for 64 KB would take 32 times the memory.
 */
#include "io/backends.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include "io/backend.h"
#include "io/blackhole.h"
#include "io/netlink.h"
#include "io/overlap.h"
#include "io/steer.h"

enum {
    RING_BYTES = 32 << 20, /* 16384 slots for an MTU of 1500: answers to a burst have to fit */
    BLOCK_BYTES = 64 << 10,
    SLOT_LEAST = 2048,
    SLOT_MOST = 16384,
    QUEUE_BYTES = 64 << 20, /* long packets, as the kernel counts them */
    LONG_MAX = TB_IO_IP_MAX + 40,
    LONG_ROOM = 16 * (LONG_MAX + 1) /* long packets of one recv() */
};

/* What all rings of a run share; goes with the last one. */
struct capture_group {
    uint32_t users;
    struct tb_nl nl;
    struct tb_blackhole routes;
};

struct capture_io {
    struct tb_io io;
    int fd, wake_fd;
    struct capture_group *group;
    uint8_t *ring; /* RING_BYTES */
    uint32_t slot_bytes, slots;
    uint32_t next;      /* slot that will be filled next */
    uint32_t lent;      /* slots before it that were handed up, and are the kernel's again later */
    uint8_t *long_room; /* LONG_ROOM */
};

/* --- the ring ------------------------------------------------------------------------------ */

static struct tpacket2_hdr *slot_at(struct capture_io *c, uint32_t i)
{
    return (struct tpacket2_hdr *) (c->ring + (size_t) i * c->slot_bytes);
}

static uint32_t slot_status(struct tpacket2_hdr *h)
{
    uint32_t status = *(volatile uint32_t *) &h->tp_status;
    atomic_thread_fence(memory_order_acquire);
    return status;
}

static void give_back(struct capture_io *c)
{
    for (; c->lent; c->lent--) {
        uint32_t i = (c->next + c->slots - c->lent) % c->slots;
        atomic_thread_fence(memory_order_release);
        *(volatile uint32_t *) &slot_at(c, i)->tp_status = TP_STATUS_KERNEL;
    }
}

/* A packet longer than its slot comes in full through the socket's queue. False: it got lost there.
 */
static bool take_long(struct capture_io *c, uint32_t status, uint32_t *used, struct tb_packet *out)
{
    if (!(status & TP_STATUS_COPY))
        return false;
    uint8_t *at = c->long_room + *used;
    ssize_t n = recv(c->fd, at, LONG_MAX, MSG_DONTWAIT);
    if (n <= 0)
        return false;
    *out = (struct tb_packet){.data = at, .len = (uint32_t) n};
    *used += (uint32_t) n;
    return true;
}

static uint32_t capture_recv(struct tb_io *io, struct tb_packet *packets, uint32_t max)
{
    struct capture_io *c = (struct capture_io *) io;
    uint32_t count = 0, long_used = 0;
    give_back(c);
    while (count < max && c->lent < c->slots && LONG_ROOM - long_used >= LONG_MAX) {
        struct tpacket2_hdr *h = slot_at(c, c->next);
        uint32_t status = slot_status(h);
        if (!(status & TP_STATUS_USER))
            break;
        if (h->tp_snaplen == h->tp_len)
            packets[count++] =
                (struct tb_packet){.data = (uint8_t *) h + h->tp_net, .len = h->tp_snaplen};
        else if (take_long(c, status, &long_used, &packets[count]))
            count++;
        else
            io->counters.dropped++;
        c->next = (c->next + 1) % c->slots;
        c->lent++;
    }
    io->counters.received += count;
    return count;
}

static void capture_send(struct tb_io *io, struct tb_frame *frames, uint32_t count)
{
    (void) frames;
    io->counters.other_errors += count; /* receives only: tb_io_join() adds a sender */
}

static void capture_wait(struct tb_io *io, uint64_t timeout_us)
{
    struct capture_io *c = (struct capture_io *) io;
    if (timeout_us == 0)
        return;
    give_back(c); /* poll() returns at once while the newest slot is ours */
    if (slot_status(slot_at(c, c->next)) & TP_STATUS_USER)
        return;
    tb_backend_wait(c->fd, c->wake_fd, timeout_us);
}

/* Reading the statistics clears them in the kernel. */
static void capture_update(struct tb_io *io)
{
    struct capture_io *c = (struct capture_io *) io;
    struct tpacket_stats st;
    socklen_t len = sizeof st;
    if (getsockopt(c->fd, SOL_PACKET, PACKET_STATISTICS, &st, &len) == 0)
        io->counters.dropped += st.tp_drops;
}

static void capture_wake(struct tb_io *io)
{
    tb_backend_wake(((struct capture_io *) io)->wake_fd);
}

static void group_leave(struct capture_group *g)
{
    if (--g->users)
        return;
    tb_blackhole_remove(&g->routes, &g->nl);
    tb_nl_close(&g->nl);
    free(g);
}

static void capture_close(struct tb_io *io)
{
    struct capture_io *c = (struct capture_io *) io;
    if (c->ring)
        munmap(c->ring, RING_BYTES);
    if (c->fd >= 0)
        close(c->fd);
    if (c->wake_fd >= 0)
        close(c->wake_fd);
    group_leave(c->group);
    free(c->long_room);
    free(c);
}

static const struct tb_io_ops capture_ops = {
    .name = "capture",
    .recv = capture_recv,
    .send = capture_send,
    .wait = capture_wait,
    .update = capture_update,
    .wake = capture_wake,
    .close = capture_close,
};

/* --- opening ------------------------------------------------------------------------------- */

/* Slots that hold a full frame of the device. */
static uint32_t slot_bytes_for(const char *device)
{
    struct ifreq r = {0};
    uint32_t slot = SLOT_LEAST;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memcpy(r.ifr_name, device, strnlen(device, sizeof r.ifr_name - 1));
    if (fd >= 0 && ioctl(fd, SIOCGIFMTU, &r) == 0) {
        while (slot < SLOT_MOST && slot < (uint32_t) r.ifr_mtu + 128)
            slot *= 2;
    }
    if (fd >= 0)
        close(fd);
    return slot;
}

static int ring_map(struct capture_io *c)
{
    int version = TPACKET_V2, copy = 1, queue = QUEUE_BYTES;
    c->slots = RING_BYTES / c->slot_bytes;
    struct tpacket_req req = {
        .tp_block_size = BLOCK_BYTES,
        .tp_block_nr = RING_BYTES / BLOCK_BYTES,
        .tp_frame_size = c->slot_bytes,
        .tp_frame_nr = c->slots,
    };
    if (setsockopt(c->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) < 0 ||
        setsockopt(c->fd, SOL_PACKET, PACKET_COPY_THRESH, &copy, sizeof copy) < 0 ||
        setsockopt(c->fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof req) < 0)
        return -errno;
    if (setsockopt(c->fd, SOL_SOCKET, SO_RCVBUFFORCE, &queue, sizeof queue) < 0)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &queue, sizeof queue); /* as much as allowed */
    void *ring = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
    if (ring == MAP_FAILED)
        return -errno;
    c->ring = ring;
    return 0;
}

/* Only packets of ours. */
static int attach_filter(int fd, const struct tb_io_setup *s, struct tb_err *err)
{
    struct sock_filter *program = calloc(TB_STEER_FILTER_MAX, sizeof *program);
    int len = program ? tb_steer_filter(s->clients, s->client_count, program) : -ENOMEM;
    struct sock_fprog p = {.len = (uint16_t) len, .filter = program};
    int e = len < 0 ? len : 0;
    if (e == 0 && setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof p) < 0)
        e = -errno;
    if (e == -E2BIG || e == -ENOMEM) /* the latter: beyond net.core.optmem_max */
        tb_err_set(err, e,
                   "%u client ranges are too many for a kernel filter: give fewer, larger ones",
                   s->client_count);
    else if (e)
        tb_err_set(err, e, "the kernel does not take our packet filter: %s", strerror(-e));
    free(program);
    return e;
}

/* Join the group of rings that share the device's packets; the first one makes it. Members are
 * numbered as they join, and the program's result is such a number. */
static int join_fanout(int fd, uint32_t workers, int *group)
{
    uint32_t how = PACKET_FANOUT_CBPF;
    if (*group < 0)
        how |= PACKET_FANOUT_FLAG_UNIQUEID;
    uint32_t argument = (*group < 0 ? 0 : (uint32_t) *group) | how << 16;
    socklen_t len = sizeof argument;
    if (setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &argument, sizeof argument) < 0)
        return -errno;
    if (*group >= 0)
        return 0;
    struct sock_filter program[TB_STEER_CBPF_MAX];
    struct sock_fprog p = {.len = (uint16_t) tb_steer_cbpf(workers, program), .filter = program};
    if (getsockopt(fd, SOL_PACKET, PACKET_FANOUT, &argument, &len) < 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_FANOUT_DATA, &p, sizeof p) < 0)
        return -errno;
    *group = (int) (argument & 0xffff);
    return 0;
}

/* Everything of one ring but the fanout. `c` is closed by the caller in any case. */
static int ring_open(struct capture_io *c, const struct tb_io_setup *s, uint32_t ifindex,
                     struct tb_err *err)
{
    c->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    c->long_room = malloc(LONG_ROOM);
    /* Without link header, and with no protocol yet: nothing comes before the filter is there. */
    c->fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 && errno == EPERM)
        return tb_err_set(err, -EPERM,
                          "no permission to capture packets: run as root, or give the program the "
                          "capability cap_net_raw (setcap cap_net_raw+ep PROGRAM)");
    int e = c->fd < 0 || c->wake_fd < 0 ? -errno : c->long_room ? ring_map(c) : -ENOMEM;
    if (e)
        return tb_err_set(err, e, "cannot make a capture ring: %s", strerror(-e));
    e = attach_filter(c->fd, s, err);
    if (e)
        return e;
    struct sockaddr_ll addr = {
        .sll_family = AF_PACKET, .sll_protocol = htobe16(ETH_P_ALL), .sll_ifindex = (int) ifindex};
    if (bind(c->fd, (struct sockaddr *) &addr, sizeof addr) < 0)
        return tb_err_set(err, -errno, "cannot capture: %s", strerror(errno));
    return 0;
}

/* What a target on this host answers never passes a device, and with our blackhole routes goes
 * nowhere at all. */
static int check_targets(struct tb_nl *nl, const struct tb_io_setup *s, struct tb_err *err)
{
    for (uint32_t i = 0; i < s->target_count; i++) {
        struct tb_route route;
        char text[TB_ADDR_TEXT];
        if (tb_nl_route_to(nl, &s->targets[i].addr, 0, &route) == 0 && route.type == RTN_LOCAL)
            return tb_err_set(err, -EADDRNOTAVAIL,
                              "the target %s is an address of this host, whose answers cannot be "
                              "captured: use --tun instead of -s local:",
                              tb_addr_format(&s->targets[i].addr, text));
    }
    return 0;
}

static int group_new(const struct tb_io_setup *s, struct capture_group **out, struct tb_err *err)
{
    struct capture_group *g = calloc(1, sizeof *g);
    if (!g)
        return tb_err_set(err, -ENOMEM, "out of memory");
    int e = tb_nl_open(&g->nl, err);
    if (e == 0)
        e = check_targets(&g->nl, s, err);
    if (e == 0)
        e = tb_overlap_check(&g->nl, s, false, err);
    if (e == 0)
        e = tb_blackhole_add(&g->routes, &g->nl, s, err);
    if (e) {
        tb_nl_close(&g->nl);
        free(g);
        return e;
    }
    g->users = 1; /* the caller, until all rings are open */
    *out = g;
    return 0;
}

static struct capture_io *instance_new(struct capture_group *g, uint32_t slot_bytes)
{
    struct capture_io *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->io.ops = &capture_ops;
    c->fd = c->wake_fd = -1;
    c->slot_bytes = slot_bytes;
    c->group = g;
    g->users++;
    return c;
}

int tb_capture_open(const struct tb_io_setup *s, const char *device, struct tb_io **out,
                    struct tb_err *err)
{
    uint32_t ifindex = if_nametoindex(device), opened = 0, slot_bytes = slot_bytes_for(device);
    if (ifindex == 0)
        return tb_err_set(err, -ENODEV, "there is no device %s to capture on", device);
    struct capture_group *g = NULL;
    int fanout = -1;
    int e = group_new(s, &g, err);
    if (e)
        return e;
    while (opened < s->workers && e == 0) {
        struct capture_io *c = instance_new(g, slot_bytes);
        if (!c) {
            e = tb_err_set(err, -ENOMEM, "out of memory");
            break;
        }
        out[opened++] = &c->io;
        e = ring_open(c, s, ifindex, err);
        if (e == 0 && s->workers > 1 && (e = join_fanout(c->fd, s->workers, &fanout)))
            tb_err_set(err, e, "cannot spread packets over workers (%s): use --workers 1",
                       strerror(-e));
    }
    while (e && opened)
        capture_close(out[--opened]);
    group_leave(g);
    return e;
}
