/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Capture threads; see capture.h. Packets of one connection always come to the same thread: the
 * kernel shares them by client address and port (PACKET_FANOUT_CBPF). Threads share nothing that
 * changes but a flag to stop.
 */
#include "intercept/capture.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "io/pace.h"
#include "intercept/readdress.h"
#include "io/backend.h"
#include "io/ring.h"
#include "io/steer.h"

enum {
    BATCH = 64,
    TURN_MAX = 2048,            /* packets of a ring in one turn: clients come and go between */
    MEMORY_BYTES = 64 << 20,    /* all rings together */
    RING_LEAST_BYTES = 1 << 20, /* 512 packets */
    DOWN_PAUSE_MS = 10,         /* between looks at a device that is down */
    SLACK_NS = 1000             /* how late the kernel may end a pause */
};

struct ring {
    struct tb_ring *ring;
    atomic_uint_fast64_t lost; /* long packets, counted by its thread */
};

struct thread {
    struct tb_capture *capture;
    struct tb_relay_lane *lane;
    pthread_t id;
    bool runs;
    int wake_fd;
    struct ring *rings;    /* one per device */
    struct pollfd *polled; /* theirs, then wake_fd */
    struct tb_pace pace;
};

struct tb_capture {
    struct tb_capture_options options;
    atomic_bool stop;
    uint64_t dropped[TB_DEVICES_MAX]; /* by the kernel, as far as asked */
    uint32_t thread_count;
    struct thread threads[];
};

/* --- a thread -----------------------------------------------------------------------------------
 */

static void hand_in(struct thread *t, struct tb_ring_packet *packets, uint32_t count)
{
    const struct tb_capture_options *o = &t->capture->options;

    for (uint32_t i = 0; i < count; i++) {
        struct tb_ring_packet *p = &packets[i];
        if (o->docker_count)
            tb_readdress_packet(o->docker, o->docker_count, p->data, p->len, p->unsummed);
        tb_relay_lane_packet(t->lane, p->data, p->len, p->wire_len, p->real_us);
    }
}

/* Whatever a ring has, up to the length of a turn. `*open`: is the lane? */
static uint32_t drain(struct thread *t, struct ring *r, bool *open)
{
    struct tb_ring_packet packets[BATCH];
    uint32_t total = 0, n;
    uint64_t lost = 0;

    do {
        n = tb_ring_recv(r->ring, packets, BATCH, &lost);
        if (n && !*open) {
            tb_relay_lane_begin(t->lane);
            *open = true;
        }
        hand_in(t, packets, n);
        total += n;
    } while (n == BATCH && total < TURN_MAX);
    if (lost)
        atomic_fetch_add_explicit(&r->lost, lost, memory_order_relaxed);
    return total;
}

/* Packets taken. */
static uint32_t turn(struct thread *t)
{
    uint32_t devices = t->capture->options.devices->count, total = 0;
    bool open = false;

    for (uint32_t i = 0; i < devices; i++)
        total += drain(t, &t->rings[i], &open);
    if (open)
        tb_relay_lane_end(t->lane);
    return total;
}

/* A device went down or away: reading the error clears it, or poll would return at once for ever.
 */
static void device_trouble(struct thread *t, uint32_t device)
{
    static struct tb_log_limit limit; /* only the first thread logs */
    int error = 0;

    getsockopt(t->polled[device].fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error});
    if (error && t == t->capture->threads)
        tb_log_limited(&limit, TB_LOG_WARN, "device %s: %s; waiting for it",
                       t->capture->options.devices->device[device].name, strerror(error));
    poll(&t->polled[t->capture->options.devices->count], 1, DOWN_PAUSE_MS);
}

/* Until a packet is there, or tb_capture_threads_close(). */
static void wait_packet(struct thread *t)
{
    uint32_t devices = t->capture->options.devices->count;
    bool empty = true;

    for (uint32_t i = 0; i < devices; i++)
        empty = tb_ring_wait_prepare(t->rings[i].ring) && empty;
    if (!empty || poll(t->polled, devices + 1, -1) <= 0)
        return;
    for (uint32_t i = 0; i < devices; i++)
        if (t->polled[i].revents & (POLLERR | POLLHUP | POLLNVAL))
            device_trouble(t, i);
}

static void *run(void *arg)
{
    static const struct timespec pause = {0, TB_PACE_PAUSE_US * 1000};
    struct thread *t = arg;

    prctl(PR_SET_TIMERSLACK, SLACK_NS, 0, 0, 0);
    while (!atomic_load_explicit(&t->capture->stop, memory_order_relaxed)) {
        uint32_t packets = turn(t);
        if (tb_pace_turn(&t->pace, tb_clock_mono_us(), packets))
            nanosleep(&pause, NULL);
        else
            wait_packet(t);
    }
    return NULL;
}

/* --- opening and closing ------------------------------------------------------------------------
 */

static uint32_t ring_bytes(const struct tb_capture *c)
{
    uint32_t each = MEMORY_BYTES / (c->options.devices->count * c->thread_count);

    if (each > TB_RING_BYTES)
        return TB_RING_BYTES;
    return each < RING_LEAST_BYTES ? RING_LEAST_BYTES : each;
}

static int thread_init(struct tb_capture *c, struct thread *t, struct tb_err *err)
{
    uint32_t devices = c->options.devices->count;

    t->capture = c;
    t->rings = calloc(devices, sizeof *t->rings);
    t->polled = calloc(devices + 1, sizeof *t->polled);
    t->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!t->rings || !t->polled || t->wake_fd < 0)
        return tb_err_set(err, -ENOMEM, "out of memory or descriptors");
    for (uint32_t i = 0; i < devices; i++) {
        int e =
            tb_ring_open(c->options.devices->device[i].name, ring_bytes(c), &t->rings[i].ring, err);
        if (e)
            return e;
        t->polled[i] = (struct pollfd){.fd = tb_ring_fd(t->rings[i].ring), .events = POLLIN};
    }
    t->polled[devices] = (struct pollfd){.fd = t->wake_fd, .events = POLLIN};
    return 0;
}

static int share_devices(struct tb_capture *c, struct tb_err *err)
{
    struct sock_filter program[TB_STEER_CBPF_MAX];
    uint32_t len = tb_steer_cbpf(c->thread_count, program);

    for (uint32_t i = 0; i < c->options.devices->count; i++) {
        const char *name = c->options.devices->device[i].name;
        int group = -1;
        for (uint32_t t = 0; t < c->thread_count; t++) {
            int e = tb_ring_fanout(c->threads[t].rings[i].ring, program, len, &group);
            if (e)
                return tb_err_set(err, e,
                                  "cannot share the packets of %s between threads (%s)%s: use "
                                  "--threads 1",
                                  name, strerror(-e),
                                  c->options.devices->device[i].up ? "" : ", it is down");
        }
    }
    return 0;
}

int tb_capture_threads_open(const struct tb_capture_options *options, struct tb_capture **out,
                            struct tb_err *err)
{
    struct tb_capture *c = calloc(1, sizeof *c + options->threads * sizeof c->threads[0]);
    int e = 0;

    if (!c)
        return tb_err_set(err, -ENOMEM, "out of memory");
    c->options = *options;
    c->thread_count = options->threads;
    for (uint32_t i = 0; i < c->thread_count; i++)
        c->threads[i].wake_fd = -1;
    for (uint32_t i = 0; i < c->thread_count && e == 0; i++)
        e = thread_init(c, &c->threads[i], err);
    if (e == 0 && c->thread_count > 1)
        e = share_devices(c, err);
    if (e)
        tb_capture_threads_close(c);
    else
        *out = c;
    return e;
}

int tb_capture_threads_start(struct tb_capture *c, struct tb_relay_server *server,
                             struct tb_err *err)
{
    sigset_t all, before;
    int e = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the control thread's */
    for (uint32_t i = 0; i < c->thread_count && e == 0; i++) {
        struct thread *t = &c->threads[i];
        t->lane = tb_relay_server_lane(server, i);
        e = pthread_create(&t->id, NULL, run, t);
        t->runs = e == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return e ? tb_err_set(err, -e, "cannot start a capture thread: %s", strerror(e)) : 0;
}

static void thread_fini(struct thread *t, uint32_t devices)
{
    if (t->runs)
        pthread_join(t->id, NULL);
    for (uint32_t i = 0; t->rings && i < devices; i++)
        tb_ring_close(t->rings[i].ring);
    if (t->wake_fd >= 0)
        close(t->wake_fd);
    free(t->rings);
    free(t->polled);
}

void tb_capture_threads_close(struct tb_capture *c)
{
    if (!c)
        return;
    atomic_store(&c->stop, true);
    for (uint32_t i = 0; i < c->thread_count; i++)
        if (c->threads[i].runs)
            tb_backend_wake(c->threads[i].wake_fd);
    for (uint32_t i = 0; i < c->thread_count; i++)
        thread_fini(&c->threads[i], c->options.devices->count);
    free(c);
}

/* --- by the control thread, while they run ------------------------------------------------------
 */

int tb_capture_threads_filter(struct tb_capture *c, const struct sock_filter *program, uint32_t len)
{
    int first = 0;

    for (uint32_t t = 0; t < c->thread_count; t++) {
        for (uint32_t i = 0; i < c->options.devices->count; i++) {
            int e = tb_ring_filter(c->threads[t].rings[i].ring, program, len);
            if (e && !first)
                first = e;
        }
    }
    return first;
}

uint64_t tb_capture_threads_drops(struct tb_capture *c, uint32_t device)
{
    uint64_t lost = 0;

    for (uint32_t t = 0; t < c->thread_count; t++) {
        struct ring *r = &c->threads[t].rings[device];
        c->dropped[device] += tb_ring_drops(r->ring);
        lost += atomic_load_explicit(&r->lost, memory_order_relaxed);
    }
    return c->dropped[device] + lost;
}

int tb_capture_threads_follow(struct tb_capture *c, uint32_t device)
{
    int result = 0;

    for (uint32_t t = 0; t < c->thread_count; t++) {
        int e = tb_ring_follow(c->threads[t].rings[device].ring);
        if (e && result >= 0)
            result = e;
    }
    return result;
}
