/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads around workers: start them, collect their figures once a second, stop them. The data path
 * takes no lock: a worker copies its statistics when the reporter asks and goes on.
 */
#include "engine/engine.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "engine/worker.h"

enum {
    POLL_US = 50000,       /* how often the reporter looks, and a worker wakes at the latest */
    BUSY_US = 200000,      /* between looks at how busy a thread is */
    START_DELAY_US = 10000 /* so that all workers are ready when schedules begin */
};

struct thread {
    struct tb_worker *worker;
    struct tb_stats *copy;
    pthread_t id;
    bool started;
    _Atomic uint64_t open; /* sessions now, for the sum of all workers */
    atomic_int want, have; /* number of the copy asked for, and of the one that is there */
    atomic_int stop;       /* enum tb_stop */
    atomic_bool done;
};

/* Complete the worker's figures with those that TCP and I/O keep. */
static void sum_up(struct tb_worker *w)
{
    const struct tb_io_counters *io = &w->io->counters;

    if (w->io->ops->update)
        w->io->ops->update(w->io);
    w->stats.bytes_sent = w->tcp.bytes_sent;
    w->stats.bytes_received = w->tcp.bytes_received;
    w->stats.packets_sent = w->tcp.packets_sent;
    w->stats.retransmitted = w->tcp.retransmitted;
    w->stats.capture_dropped = io->dropped;
    w->stats.send_errors[TB_SEND_ENOBUFS] = io->enobufs;
    w->stats.send_errors[TB_SEND_EPERM] = io->eperm;
    w->stats.send_errors[TB_SEND_EMSGSIZE] = io->emsgsize;
    w->stats.send_errors[TB_SEND_ENETDOWN] = io->enetdown;
    w->stats.send_errors[TB_SEND_OTHER] = io->other_errors;
}

static void publish(struct thread *t, int number)
{
    sum_up(t->worker);
    memcpy(t->copy, &t->worker->stats, sizeof *t->copy);
    atomic_store_explicit(&t->have, number, memory_order_release);
}

/* How busy the thread is, for --max-cpu: now and then. */
struct busy {
    uint64_t since_us, cpu_us;
};

static void measure_busy(struct tb_worker *w, struct busy *b)
{
    uint64_t now = w->tcp.now_us;

    if (now < b->since_us + BUSY_US)
        return;
    uint64_t cpu = tb_clock_thread_cpu_us();
    tb_live_busy(w->live, (double) (cpu - b->cpu_us) / (double) (now - b->since_us));
    *b = (struct busy){now, cpu};
}

static void *run_worker(void *arg)
{
    struct thread *t = arg;
    struct tb_worker *w = t->worker;
    struct busy busy = {tb_clock_mono_us(), tb_clock_thread_cpu_us()};

    while (!tb_worker_is_done(w)) {
        tb_worker_stop(w, (enum tb_stop) atomic_load_explicit(&t->stop, memory_order_relaxed));
        bool more = tb_worker_tick(w, tb_clock_mono_us(), tb_clock_real_us());
        atomic_store_explicit(&t->open, w->stats.open, memory_order_relaxed);
        int want = atomic_load_explicit(&t->want, memory_order_acquire);
        if (want != atomic_load_explicit(&t->have, memory_order_relaxed))
            publish(t, want);
        if (w->live)
            measure_busy(w, &busy);
        if (more)
            continue;
        uint64_t now = tb_clock_mono_us(), next = tb_worker_next_us(w);
        uint64_t sleep_us = next > now ? next - now : 0;
        if (w->live) /* which may be another, or none, now that the tap was asked */
            w->io->also_fd = w->config->live->taps[w->index]->fd;
        tb_io_wait(w->io, sleep_us < POLL_US ? sleep_us : POLL_US);
    }
    /* Not into the copy: the reporter may be reading it. */
    sum_up(w);
    atomic_store_explicit(&t->done, true, memory_order_release);
    return NULL;
}

/* --- the reporter
 * ----------------------------------------------------------------------------------- */

struct run {
    const struct tb_engine_config *config;
    struct thread *threads;
    uint32_t count;
    uint64_t begin_us;
    int number; /* of the copies asked for last */
    struct tb_stats *total, *before, *second;
    uint64_t peak;
};

static bool all_done(const struct run *r)
{
    for (uint32_t i = 0; i < r->count; i++)
        if (r->threads[i].started &&
            !atomic_load_explicit(&r->threads[i].done, memory_order_acquire))
            return false;
    return true;
}

static void pause_us(uint64_t us)
{
    struct timespec ts = {(time_t) (us / 1000000), (long) (us % 1000000) * 1000};
    nanosleep(&ts, NULL); /* ended early by signals: that is what is wanted */
}

/* Ask every worker for a copy, wait for them, add them up. */
static void collect(struct run *r)
{
    r->number++;
    /* Release: the last copies have been read by now and may be written over. */
    for (uint32_t i = 0; i < r->count; i++)
        atomic_store_explicit(&r->threads[i].want, r->number, memory_order_release);
    memset(r->total, 0, sizeof *r->total);
    for (uint32_t i = 0; i < r->count; i++) {
        struct thread *t = &r->threads[i];
        bool done = false;
        while (!done && atomic_load_explicit(&t->have, memory_order_acquire) < r->number) {
            done = atomic_load_explicit(&t->done, memory_order_acquire);
            if (!done)
                pause_us(1000);
        }
        tb_stats_merge(r->total, done ? &t->worker->stats : t->copy);
    }
}

/* What was added since the last second. */
static void differences(struct run *r)
{
    struct tb_stats *d = r->second;
    const struct tb_stats *a = r->total, *b = r->before;

    d->open = a->open;
    d->started = a->started - b->started;
    d->requests_sent = a->requests_sent - b->requests_sent;
    d->requests_answered = a->requests_answered - b->requests_answered;
    for (unsigned v = 0; v < TB_VERDICT_COUNT; v++)
        d->verdicts[v] = a->verdicts[v] - b->verdicts[v];
    tb_histogram_diff(&d->response, &a->response, &b->response);
    memcpy(r->before, r->total, sizeof *r->before);
}

static void report(struct run *r, bool finished,
                   void (*on_progress)(void *, const struct tb_engine_progress *), void *ctx)
{
    uint64_t now = tb_clock_mono_us();
    struct tb_engine_progress p = {
        .elapsed_us = now > r->begin_us ? now - r->begin_us : 0,
        .total = r->total,
        .last_second = r->second,
        .finished = finished,
    };

    collect(r);
    differences(r);
    if (on_progress)
        on_progress(ctx, &p);
}

/* The most that were open at once, of all workers together: as often as the reporter looks. */
static void sample_open(struct run *r)
{
    uint64_t open = 0;

    for (uint32_t i = 0; i < r->count; i++)
        open += atomic_load_explicit(&r->threads[i].open, memory_order_relaxed);
    if (open > r->peak)
        r->peak = open;
}

static void watch(struct run *r, const volatile int *stop,
                  void (*on_progress)(void *, const struct tb_engine_progress *), void *ctx)
{
    uint64_t next = r->begin_us + 1000000;
    /* Live traffic has no other end. */
    int how = r->config->live ? TB_STOP_CUT : TB_STOP_ABORT;

    while (!all_done(r)) {
        pause_us(all_done(r) ? 0 : POLL_US / 5);
        sample_open(r);
        if (*stop)
            for (uint32_t i = 0; i < r->count; i++)
                atomic_store_explicit(&r->threads[i].stop, how, memory_order_relaxed);
        if (tb_clock_mono_us() >= next) {
            report(r, false, on_progress, ctx);
            next += 1000000;
        }
    }
}

static void result_of(const struct run *r, struct tb_engine_result *out)
{
    uint64_t first = UINT64_MAX, last = 0;

    for (uint32_t i = 0; i < r->count; i++) {
        const struct tb_worker *w = r->threads[i].worker;
        if (w->stats.peak > out->peak)
            out->peak = w->stats.peak;
        if (w->first_syn_us && w->first_syn_us < first)
            first = w->first_syn_us;
        if (w->last_end_us > last)
            last = w->last_end_us;
        if (w->live && out->seen)
            tb_live_count(w->live, out->seen);
    }
    out->stats = *r->total;
    if (r->peak > out->peak)
        out->peak = r->peak;
    uint64_t now = tb_clock_mono_us();
    out->duration_us = last > first ? last - first : 0;
    out->started_real_us = tb_clock_real_us() - (first < now ? now - first : 0);
}

static int start(struct run *r, struct tb_io **ios, struct tb_err *err)
{
    sigset_t all, old;
    int rc = 0;

    r->begin_us = tb_clock_mono_us() + START_DELAY_US;
    for (uint32_t i = 0; i < r->count && rc == 0; i++) {
        struct thread *t = &r->threads[i];
        t->worker = calloc(1, sizeof *t->worker);
        t->copy = calloc(1, sizeof *t->copy);
        if (!t->worker || !t->copy)
            return tb_err_set(err, -ENOMEM, "out of memory for worker %u", i);
        rc = tb_worker_init(t->worker, r->config, ios[i], i, r->begin_us, err);
    }
    if (rc < 0)
        return rc;
    sigfillset(&all); /* signals are the main thread's */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    for (uint32_t i = 0; i < r->count && rc == 0; i++) {
        rc = -pthread_create(&r->threads[i].id, NULL, run_worker, &r->threads[i]);
        r->threads[i].started = rc == 0;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc < 0)
        tb_err_set(err, rc, "cannot start a worker thread: %s", strerror(-rc));
    return rc;
}

static void finish(struct run *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        struct thread *t = &r->threads[i];
        if (t->started) {
            atomic_store_explicit(&t->stop, TB_STOP_ABORT, memory_order_relaxed);
            pthread_join(t->id, NULL);
        }
        if (t->worker)
            tb_worker_fini(t->worker);
        free(t->worker);
        free(t->copy);
    }
    free(r->threads);
    free(r->total);
    free(r->before);
    free(r->second);
}

int tb_engine_run(const struct tb_engine_config *config, struct tb_io **ios,
                  const volatile int *stop,
                  void (*on_progress)(void *ctx, const struct tb_engine_progress *p), void *ctx,
                  struct tb_engine_result *result, struct tb_err *err)
{
    struct run r = {.config = config, .count = config->plan->workers};

    *result = (struct tb_engine_result){.seen = result->seen};

    r.threads = calloc(r.count, sizeof *r.threads);
    r.total = calloc(1, sizeof *r.total);
    r.before = calloc(1, sizeof *r.before);
    r.second = calloc(1, sizeof *r.second);
    int rc = -ENOMEM;
    if (!r.threads || !r.total || !r.before || !r.second)
        tb_err_set(err, rc, "out of memory for %u workers", r.count);
    else
        rc = start(&r, ios, err);
    if (rc == 0) {
        watch(&r, stop, on_progress, ctx);
        report(&r, true, on_progress, ctx);
        result_of(&r, result);
    }
    if (r.threads)
        finish(&r);
    return rc;
}
