/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Taps on devices; see tap.h. A worker has one ring for all devices, shared out with the other
 * workers' by the kernel (PACKET_FANOUT_CBPF); devices that were named are chosen by its filter.
 * One socket for all, because it does not mind when devices come, go and are down, and keeps its
 * place in the fanout group meanwhile. With several workers each has a second ring, outside of the
 * group.
 */
#include "io/tap.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "io/glance.h"
#include "io/ring.h"
#include "io/tap_filter.h"

enum {
    BATCH = 256,
    LOOK_US = 1000000, /* between looks for devices that came back */
    MIB = 1 << 20,
    BUFFER_MB_MAX = 2047,     /* the kernel counts a ring's bytes with an int */
    EVERYBODY_BYTES = 1 * MIB /* fragments are few */
};

/* What the taps of a run share; goes with the last one. */
struct tap_group {
    uint32_t users;
    int fanout;
    struct tb_tap_setup setup;
    struct tb_tap_filter filter;
};

struct device_tap {
    struct tb_tap tap; /* first: see struct tb_tap */
    struct tap_group *group;
    uint32_t worker;
    struct tb_ring *ring[TB_TAP_PARTS]; /* that for everybody: NULL with one worker */
    bool more[TB_TAP_PARTS];            /* the last look did not take all */
    int poll_fd;                        /* tells of packets in any of them */
    int epoll_fd;                       /* the same, or -1 with one ring */
    uint64_t dropped;
    uint32_t ifindex[TB_TAP_DEVICES_MAX]; /* of the devices named, 0: it is not there now */
    uint64_t now_us, look_us;
    uint32_t groups; /* of clients that are wanted */
    struct tb_glance glance;
    uint32_t taken; /* packets of the last look, ours or not */
};

/* --- devices that were named -------------------------------------------------------------------
 */

/* What of the two rings to let through, now that the devices are known. */
static int set_filters(struct device_tap *t)
{
    uint32_t known[TB_TAP_DEVICES_MAX], count = 0;
    struct sock_filter *program = malloc(TB_STEER_FILTER_MAX * sizeof *program);
    int rc = program ? 0 : -ENOMEM;

    for (uint32_t i = 0; i < t->group->setup.device_count; i++)
        if (t->ifindex[i])
            known[count++] = t->ifindex[i];
    bool nothing = t->group->setup.device_count && count == 0;
    for (int part = 0; part < TB_TAP_PARTS && rc == 0; part++) {
        if (!t->ring[part])
            continue;
        uint32_t n = nothing ? 0
                             : tb_tap_filter_program(&t->group->filter, (enum tb_tap_part) part,
                                                     known, count, t->groups, program);
        rc = tb_ring_filter(t->ring[part], program, n);
    }
    free(program);
    return rc;
}

/* Devices that were named may have been taken away and come back under another number. True: some
 * have. */
static bool find_devices(struct device_tap *t)
{
    bool changed = false;

    for (uint32_t i = 0; i < t->group->setup.device_count; i++) {
        struct ifreq r = {0};
        const char *name = t->group->setup.devices[i];
        memcpy(r.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
        uint32_t now = ioctl(tb_ring_fd(t->ring[TB_TAP_SHARED]), SIOCGIFINDEX, &r) == 0
                           ? (uint32_t) r.ifr_ifindex
                           : 0;
        if (now == t->ifindex[i])
            continue;
        t->ifindex[i] = now;
        changed = true;
        if (now && t->worker == 0) /* for all workers */
            tb_ring_promiscuous(t->ring[TB_TAP_SHARED], now);
    }
    return changed;
}

static void look_for_devices(struct device_tap *t)
{
    if (t->now_us < t->look_us && t->look_us - t->now_us <= LOOK_US) /* the clock may be set */
        return;
    t->look_us = t->now_us + LOOK_US;
    if (find_devices(t))
        set_filters(t);
}

/* --- packets -----------------------------------------------------------------------------------
 */

/* What one ring has, into packets[count …]; the new count. */
static uint32_t take(struct device_tap *t, enum tb_tap_part part, struct tb_tapped *packets,
                     uint32_t count, uint32_t max)
{
    struct tb_ring_packet came[BATCH];
    uint32_t room = max - count < BATCH ? max - count : BATCH;
    uint32_t n = tb_ring_recv(t->ring[part], came, room, &t->dropped);

    t->more[part] = n == room || tb_ring_has_more(t->ring[part]);
    t->taken += n;
    for (uint32_t i = 0; i < n; i++) {
        packets[count] = (struct tb_tapped){.data = came[i].data,
                                            .len = came[i].len,
                                            .wire_len = came[i].wire_len,
                                            .time_us = came[i].real_us};
        count += tb_tap_filter_take(&t->group->filter, t->worker, &packets[count]);
    }
    return count;
}

/* Is a packet in any ring? What was handed up from there is given back. */
static bool is_any(struct device_tap *t)
{
    bool any = false;

    for (int part = 0; part < TB_TAP_PARTS; part++)
        if (t->ring[part])
            any |= !tb_ring_wait_prepare(t->ring[part]);
    return any;
}

static uint32_t device_recv(struct tb_tap *tap, struct tb_tapped *packets, uint32_t max,
                            uint64_t now_us)
{
    struct device_tap *t = (struct device_tap *) tap;
    uint32_t count = 0;

    t->now_us = now_us;
    if (t->group->setup.device_count)
        look_for_devices(t);
    if (!tb_glance_is_due(&t->glance, now_us, t->glance.asleep && is_any(t)))
        return 0;
    t->taken = 0;
    for (int part = 0; part < TB_TAP_PARTS; part++)
        if (t->ring[part])
            count = take(t, (enum tb_tap_part) part, packets, count, max);
    bool more = t->more[TB_TAP_SHARED] || t->more[TB_TAP_EVERYBODY];
    tb_glance_done(&t->glance, now_us, t->taken, more);
    return count;
}

/* Nobody is woken for a packet, unless there was none for a while. */
static uint64_t device_next_us(struct tb_tap *tap)
{
    struct device_tap *t = (struct device_tap *) tap;
    bool asleep = t->glance.asleep;

    if (is_any(t) && asleep)
        return 0;
    tap->fd = asleep ? t->poll_fd : -1;
    if (!asleep)
        return t->glance.next_us;
    return t->group->setup.device_count ? t->look_us : UINT64_MAX;
}

static void device_groups(struct tb_tap *tap, uint32_t groups)
{
    struct device_tap *t = (struct device_tap *) tap;

    if (groups == t->groups)
        return;
    t->groups = groups;
    set_filters(t); /* the one before stays when the kernel takes none */
}

static uint32_t device_backlog(struct tb_tap *tap)
{
    struct device_tap *t = (struct device_tap *) tap;
    uint32_t most = 0;

    for (int part = 0; part < TB_TAP_PARTS; part++) {
        uint32_t full = t->ring[part] ? tb_ring_eighths(t->ring[part]) : 0;
        most = full > most ? full : most;
    }
    return most;
}

static uint64_t device_drops(struct tb_tap *tap)
{
    struct device_tap *t = (struct device_tap *) tap;

    for (int part = 0; part < TB_TAP_PARTS; part++)
        if (t->ring[part])
            t->dropped += tb_ring_drops(t->ring[part]);
    return t->dropped;
}

static void group_leave(struct tap_group *g)
{
    if (--g->users)
        return;
    tb_tap_filter_fini(&g->filter);
    free(g);
}

static void device_close(struct tb_tap *tap)
{
    struct device_tap *t = (struct device_tap *) tap;

    for (int part = 0; part < TB_TAP_PARTS; part++)
        tb_ring_close(t->ring[part]);
    if (t->epoll_fd >= 0)
        close(t->epoll_fd);
    group_leave(t->group);
    free(t);
}

static const struct tb_tap_ops device_ops = {
    .recv = device_recv,
    .next_us = device_next_us,
    .groups = device_groups,
    .backlog = device_backlog,
    .drops = device_drops,
    .close = device_close,
};

/* --- opening -----------------------------------------------------------------------------------
 */

static int check_setup(struct tb_tap_setup *s, struct tb_err *err)
{
    if (s->device_count == 1 && strcmp(s->devices[0], "any") == 0)
        s->device_count = 0;
    if (s->device_count > TB_TAP_DEVICES_MAX)
        return tb_err_set(err, -EINVAL,
                          "more than %d devices to capture on; without any named it "
                          "is all",
                          (int) TB_TAP_DEVICES_MAX);
    if (s->buffer_mb > BUFFER_MB_MAX)
        return tb_err_set(err, -EINVAL, "a capture buffer has at most %d MB", (int) BUFFER_MB_MAX);
    for (uint32_t i = 0; i < s->device_count; i++)
        if (if_nametoindex(s->devices[i]) == 0)
            return tb_err_set(err, -ENODEV,
                              "there is no device %s to capture on; 'ip link' lists them, and "
                              "without any named all are captured on",
                              s->devices[i]);
    return 0;
}

static int group_new(const struct tb_tap_setup *s, struct tap_group **out, struct tb_err *err)
{
    struct tap_group *g = calloc(1, sizeof *g);

    if (!g)
        return tb_err_set(err, -ENOMEM, "out of memory");
    g->users = 1; /* the caller, until all taps are open */
    g->fanout = -1;
    g->setup = *s;
    int rc = check_setup(&g->setup, err);
    if (rc == 0)
        rc = tb_tap_filter_init(&g->filter, &g->setup, err);
    if (rc < 0)
        group_leave(g);
    else
        *out = g;
    return rc;
}

static int open_rings(struct device_tap *t, struct tb_err *err)
{
    const struct tb_tap_setup *s = &t->group->setup;
    uint32_t bytes = s->buffer_mb ? s->buffer_mb * MIB : TB_RING_BYTES;
    int rc = tb_ring_open(NULL, bytes, &t->ring[TB_TAP_SHARED], err);

    if (rc == 0 && s->workers > 1)
        rc = tb_ring_open(NULL, s->vxlan_port ? bytes : EVERYBODY_BYTES, &t->ring[TB_TAP_EVERYBODY],
                          err);
    if (rc == -ENOMEM)
        tb_err_set(err, rc,
                   "no memory for a capture buffer of %u MB for each of %u workers: make "
                   "it smaller (-B)",
                   bytes / MIB, s->workers);
    return rc;
}

/* One descriptor for all rings. */
static int join_polls(struct device_tap *t)
{
    t->poll_fd = tb_ring_fd(t->ring[TB_TAP_SHARED]);
    if (!t->ring[TB_TAP_EVERYBODY])
        return 0;
    t->poll_fd = t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (int part = 0; part < TB_TAP_PARTS; part++) {
        struct epoll_event e = {.events = EPOLLIN};
        if (t->epoll_fd < 0 ||
            epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, tb_ring_fd(t->ring[part]), &e) < 0)
            return -errno;
    }
    return 0;
}

static int share_out(struct device_tap *t, struct tb_err *err)
{
    const struct tb_tap_setup *s = &t->group->setup;
    struct sock_filter *program = malloc(TB_STEER_FILTER_MAX * sizeof *program);
    int rc =
        program ? tb_steer_client(s->services, s->service_count, s->workers, program) : -ENOMEM;

    if (rc > 0)
        rc = tb_ring_fanout(t->ring[TB_TAP_SHARED], program, (uint32_t) rc, &t->group->fanout);
    free(program);
    if (rc < 0)
        tb_err_set(err, rc, "cannot share captured packets between workers (%s): use one worker",
                   strerror(-rc));
    return rc;
}

/* In *out also when it fails, unless it is NULL. */
static int tap_new(struct tap_group *g, uint32_t worker, struct tb_tap **out, struct tb_err *err)
{
    struct device_tap *t = calloc(1, sizeof *t);

    *out = (struct tb_tap *) t;
    if (!t)
        return tb_err_set(err, -ENOMEM, "out of memory");
    t->tap.ops = &device_ops;
    t->group = g;
    t->worker = worker;
    t->epoll_fd = -1;
    t->groups = UINT32_MAX;
    g->users++;
    int rc = open_rings(t, err);
    if (rc == 0 && (rc = join_polls(t)) < 0)
        tb_err_set(err, rc, "cannot make an epoll set: %s", strerror(-rc));
    if (rc == 0 && g->setup.workers > 1)
        rc = share_out(t, err);
    t->tap.fd = t->poll_fd;
    if (rc < 0)
        return rc;
    find_devices(t);
    rc = set_filters(t);
    return rc < 0 ? tb_err_set(err, rc, "the kernel does not take our packet filter: %s%s",
                               strerror(-rc), rc == -ENOMEM ? "; raise net.core.optmem_max" : "")
                  : 0;
}

int tb_tap_devices_open(const struct tb_tap_setup *s, struct tb_tap **out, struct tb_err *err)
{
    struct tap_group *g = NULL;
    uint32_t opened = 0;
    int rc = group_new(s, &g, err);

    if (rc < 0)
        return rc;
    while (opened < s->workers && rc == 0) {
        rc = tap_new(g, opened, &out[opened], err);
        if (!out[opened])
            break;
        opened++;
    }
    while (rc < 0 && opened) {
        device_close(out[--opened]);
        out[opened] = NULL;
    }
    group_leave(g);
    return rc;
}
