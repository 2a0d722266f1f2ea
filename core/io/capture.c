/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Receiving what the target sends to the client ranges, when it is routed to this host: a ring
 * (ring.h) per worker. Opened once, by the thread that sets the run up; then each worker owns one.
 */
#include "io/backends.h"

#include <errno.h>
#include <net/if.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "io/backend.h"
#include "io/blackhole.h"
#include "io/netlink.h"
#include "io/overlap.h"
#include "io/ring.h"
#include "io/steer.h"

enum { BATCH = 64 };

/* What all instances of a run share; goes with the last one. */
struct capture_group {
    uint32_t users;
    struct tb_nl nl;
    struct tb_blackhole routes;
};

struct capture_io {
    struct tb_io io;
    int wake_fd;
    struct tb_ring *ring;
    struct capture_group *group;
};

static uint32_t capture_recv(struct tb_io *io, struct tb_packet *packets, uint32_t max)
{
    struct capture_io *c = (struct capture_io *) io;
    struct tb_ring_packet taken[BATCH];
    uint32_t count = tb_ring_recv(c->ring, taken, max < BATCH ? max : BATCH, &io->counters.dropped);
    for (uint32_t i = 0; i < count; i++)
        packets[i] = (struct tb_packet){.data = taken[i].data, .len = taken[i].len};
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
    if (timeout_us && tb_ring_wait_prepare(c->ring))
        tb_backend_wait(io, tb_ring_fd(c->ring), c->wake_fd, timeout_us);
}

static void capture_update(struct tb_io *io)
{
    io->counters.dropped += tb_ring_drops(((struct capture_io *) io)->ring);
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
    tb_ring_close(c->ring);
    if (c->wake_fd >= 0)
        close(c->wake_fd);
    group_leave(c->group);
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

/* Only packets of ours. */
static int set_filter(struct tb_ring *r, const struct tb_io_setup *s, struct tb_err *err)
{
    struct sock_filter *program = calloc(TB_STEER_FILTER_MAX, sizeof *program);
    int len =
        program ? tb_steer_filter(s->clients, s->client_count, TB_STEER_WHOLE, program) : -ENOMEM;
    int e = len < 0 ? len : tb_ring_filter(r, program, (uint32_t) len);
    if (e == -E2BIG || e == -ENOMEM) /* the latter: beyond net.core.optmem_max */
        tb_err_set(err, e,
                   "%u client ranges are too many for a kernel filter: give fewer, larger ones",
                   s->client_count);
    else if (e)
        tb_err_set(err, e, "the kernel does not take our packet filter: %s", strerror(-e));
    free(program);
    return e;
}

/* Join the rings that share the device's packets; the first one makes the group. */
static int join_fanout(struct tb_ring *r, uint32_t workers, int *group, struct tb_err *err)
{
    struct sock_filter program[TB_STEER_CBPF_MAX];
    int e = tb_ring_fanout(r, program, tb_steer_cbpf(workers, program), group);
    if (e)
        tb_err_set(err, e, "cannot spread packets over workers (%s): use --workers 1",
                   strerror(-e));
    return e;
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

/* In *out also when it fails, unless it is NULL. */
static int instance_new(struct capture_group *g, const struct tb_io_setup *s, const char *device,
                        struct tb_io **out, struct tb_err *err)
{
    struct capture_io *c = calloc(1, sizeof *c);
    *out = (struct tb_io *) c;
    if (!c)
        return tb_err_set(err, -ENOMEM, "out of memory");
    c->io.ops = &capture_ops;
    c->group = g;
    g->users++;
    c->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (c->wake_fd < 0)
        return tb_err_set(err, -errno, "cannot make an eventfd: %s", strerror(errno));
    int e = tb_ring_open(device, TB_RING_BYTES, &c->ring, err);
    return e ? e : set_filter(c->ring, s, err);
}

int tb_capture_open(const struct tb_io_setup *s, const char *device, struct tb_io **out,
                    struct tb_err *err)
{
    struct capture_group *g = NULL;
    uint32_t opened = 0;
    int fanout = -1;
    if (if_nametoindex(device) ==
        0) /* a typo is to be named before anything that follows from it */
        return tb_err_set(err, -ENODEV, "there is no device %s to capture on", device);
    int e = group_new(s, &g, err);
    if (e)
        return e;
    while (opened < s->workers && e == 0) {
        e = instance_new(g, s, device, &out[opened], err);
        if (!out[opened])
            break;
        struct capture_io *c = (struct capture_io *) out[opened++];
        if (e == 0 && s->workers > 1)
            e = join_fanout(c->ring, s->workers, &fanout, err);
    }
    while (e && opened)
        capture_close(out[--opened]);
    group_leave(g);
    return e;
}
