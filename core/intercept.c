/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * intercept, the assistant host's program: options, the order of its life, signals, exit status.
 * The work is done by core/intercept/ (capturing), core/relay/ (the channel) and below. One control
 * thread runs the event loop; the capture threads never enter it.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "check/host.h"
#include "config/intercept.h"
#include "intercept/capture.h"
#include "intercept/devices.h"
#include "intercept/figures.h"
#include "intercept/filter.h"
#include "intercept/watch.h"
#include "process/process.h"
#include "relay/server.h"

enum { STATISTICS_S = 5, LOOK_MS = 500, EVENTS = 5 };

struct program {
    struct tb_intercept_options options;
    struct tb_devices devices;
    struct tb_intercept_filter filter;
    struct tb_keeper keeper;
    bool removes_pid_file; /* itself: there is no keeper */
    int ready_fd;
    struct event_base *base;
    struct tb_capture *capture;
    struct tb_relay_server *server;
    struct tb_intercept_watch *watch;
    struct tb_metrics *metrics;
    struct event *events[EVENTS]; /* signals and timers */
    int stopping;                 /* the signal that ends it */
    struct tb_intercept_figures before;
    uint64_t before_us;
};

/* --- what happens while it runs -----------------------------------------------------------------
 */

static void ask_figures(void *ctx, struct tb_intercept_figures *out)
{
    struct program *p = ctx;

    out->devices = &p->devices;
    tb_relay_server_figures(p->server, &out->server);
    for (uint32_t i = 0; i < p->devices.count; i++)
        out->dropped[i] = tb_capture_threads_drops(p->capture, i);
    out->cpu_us = tb_clock_cpu_us();
}

static void log_statistics(struct program *p)
{
    struct tb_intercept_figures now;
    uint64_t now_us = tb_clock_mono_us();
    char line[512];

    ask_figures(p, &now);
    if (tb_figures_line(&p->before, &now, now_us - p->before_us, line, sizeof line))
        tb_log(TB_LOG_INFO, "%s", line);
    p->before = now;
    p->before_us = now_us;
}

/* Containers come and go, and with them devices of the same name. */
static void follow_devices(struct program *p)
{
    for (uint32_t i = 0; i < p->devices.count; i++) {
        struct tb_device *d = &p->devices.device[i];
        int index = tb_capture_threads_follow(p->capture, i);
        if (index < 0)
            tb_log(TB_LOG_WARN, "device %s is another one now (%s): restart intercept", d->name,
                   strerror(-index));
        if (index <= 0)
            continue;
        d->index = (uint32_t) index;
        tb_log(TB_LOG_INFO, "device %s is another one now: capturing on it", d->name);
    }
}

static void on_statistics(evutil_socket_t fd, short what, void *ctx)
{
    (void) fd;
    (void) what;
    log_statistics(ctx);
}

static void on_look(evutil_socket_t fd, short what, void *ctx)
{
    struct program *p = ctx;
    uint64_t drops = 0;

    (void) fd;
    (void) what;
    for (uint32_t i = 0; i < p->devices.count; i++)
        drops += tb_capture_threads_drops(p->capture, i);
    tb_relay_server_capture_drops(p->server, drops);
    follow_devices(p);
}

static void on_stop(evutil_socket_t number, short what, void *ctx)
{
    struct program *p = ctx;

    (void) what;
    if (p->stopping)
        _exit(128 + number); /* the second one ends at once */
    p->stopping = number;
    event_base_loopbreak(p->base);
}

static void on_hangup(evutil_socket_t number, short what, void *ctx)
{
    struct program *p = ctx;

    (void) number;
    (void) what;
    if (!p->options.log)
        return;
    int fd = p->keeper.fd >= 0 ? tb_keeper_reopen_log(&p->keeper) : 0;
    int rc = fd > 0 ? tb_log_use(fd) : fd < 0 ? fd : tb_log_open(p->options.log);
    if (rc < 0)
        tb_log(TB_LOG_WARN, "cannot reopen the log %s (%s): going on in the old file",
               p->options.log, strerror(-rc));
    else
        tb_log(TB_LOG_INFO, "log reopened");
}

/* The clients' wish changed. */
static void on_wanted(void *ctx, const struct tb_relay_wish *wish)
{
    struct program *p = ctx;
    struct tb_intercept_filter *f = &p->filter;

    tb_intercept_filter_want(f, wish);
    int rc = tb_capture_threads_filter(p->capture, f->program, f->len);
    if (rc == -ENOMEM && !f->given) { /* beyond net.core.optmem_max */
        tb_intercept_filter_widen(f);
        rc = tb_capture_threads_filter(p->capture, f->program, f->len);
    }
    if (rc)
        tb_log(TB_LOG_ERROR, "the kernel does not take the packet filter: %s", strerror(-rc));
    tb_log(TB_LOG_DEBUG, "wanted: %u ranges%s, of %u targets, %s; a filter of %u instructions%s",
           wish->range_count, wish->registers ? ", and single sessions" : "", wish->target_count,
           wish->payload ? "whole packets" : "headers", f->len, f->all_tcp ? ", all TCP" : "");
}

static void on_watch(void *ctx, const struct tb_addr *client, uint64_t watcher)
{
    tb_intercept_watch_start(((struct program *) ctx)->watch, client, watcher);
}

static void on_seen(void *ctx, uint64_t watcher, const struct tb_relay_seen *seen)
{
    tb_relay_server_seen(((struct program *) ctx)->server, watcher, seen);
}

/* --- opening ------------------------------------------------------------------------------------
 */

/* What clients are told of this host, so that they can say what is wrong with it. */
static void fill_welcome(const struct program *p, struct tb_relay_welcome *w)
{
    snprintf(w->program, sizeof w->program, "intercept %s", PACKAGE_VERSION);
    tb_devices_format(&p->devices, w->devices, sizeof w->devices);
    snprintf(w->filter, sizeof w->filter, "%s", p->options.filter ? p->options.filter : "");
    if (tb_host_sysctl("net/ipv6/conf/all/forwarding") > 0)
        w->flags |= TB_RELAY_FORWARDS_V6;
    for (uint32_t i = 0; i < p->devices.count; i++) {
        char name[64]; /* for IPv4 the device that a packet comes in by decides */
        snprintf(name, sizeof name, "net/ipv4/conf/%s/forwarding", p->devices.device[i].name);
        if (tb_host_sysctl(name) > 0)
            w->flags |= TB_RELAY_FORWARDS_V4;
        if (p->devices.device[i].merges)
            w->flags |= TB_RELAY_OFFLOADS;
    }
}

static int open_server(struct program *p, struct tb_err *err)
{
    const struct tb_intercept_options *o = &p->options;
    struct tb_relay_allow *allow = calloc(o->allow_count + 1, sizeof *allow);
    char address[TB_ADDR_TEXT];
    struct tb_relay_server_options s = {
        .address = o->has_bind ? tb_addr_format(&o->bind, address) : NULL,
        .port = (uint16_t) o->port,
        .psk_file = o->psk_file,
        .allow = allow,
        .allow_count = o->allow_count,
        .single = o->single,
        .batch_max = o->batch,
        .wanted = on_wanted,
        .watch = on_watch,
        .ctx = p,
    };

    if (!allow)
        return tb_err_set(err, -ENOMEM, "out of memory");
    for (uint32_t i = 0; i < o->allow_count; i++)
        allow[i] = (struct tb_relay_allow){.addr = o->allow[i].addr, .bits = o->allow[i].bits};
    fill_welcome(p, &s.welcome);
    int rc = tb_relay_server_open(p->base, &s, o->threads, &p->server, err);
    free(allow);
    return rc;
}

static int open_event(struct program *p, uint32_t i, int signal_number, int ms,
                      event_callback_fn callback)
{
    const struct timeval every = {ms / 1000, ms % 1000 * 1000};
    bool timer = signal_number == 0;

    p->events[i] = event_new(p->base, timer ? -1 : signal_number,
                             (short) (EV_PERSIST | (timer ? 0 : EV_SIGNAL)), callback, p);
    return p->events[i] && event_add(p->events[i], timer ? &every : NULL) == 0 ? 0 : -ENOMEM;
}

static int open_loop(struct program *p, struct tb_err *err)
{
    int rc = -ENOMEM;

    signal(SIGPIPE, SIG_IGN);
    if (evthread_use_pthreads() == 0 && (p->base = event_base_new()))
        rc = 0;
    if (rc == 0)
        rc = open_event(p, 0, SIGTERM, 0, on_stop);
    if (rc == 0)
        rc = open_event(p, 1, SIGINT, 0, on_stop);
    if (rc == 0)
        rc = open_event(p, 2, SIGHUP, 0, on_hangup);
    if (rc == 0)
        rc = open_event(p, 3, 0, STATISTICS_S * 1000, on_statistics);
    if (rc == 0)
        rc = open_event(p, 4, 0, LOOK_MS, on_look);
    return rc ? tb_err_set(err, rc, "cannot make an event loop") : 0;
}

/* Everything that needs privileges. */
static int open_all(struct program *p, struct tb_err *err)
{
    const struct tb_intercept_options *o = &p->options;
    const struct tb_capture_options capture = {
        .devices = &p->devices,
        .threads = o->threads,
        .docker = o->docker,
        .docker_count = o->docker_count,
    };
    const struct tb_intercept_watch_options watch = {
        .devices = &p->devices, .filter = &p->filter, .seen = on_seen, .ctx = p};
    int rc = tb_intercept_filter_init(&p->filter, o->filter, err);

    if (rc < 0)
        return tb_err_prefix(err, rc, "-F");
    p->filter.docker = o->docker;
    p->filter.docker_count = o->docker_count;
    rc = tb_devices_choose(&p->devices, o->devices.item, o->devices.count, err);
    if (rc == 0)
        rc = open_loop(p, err);
    if (rc == 0)
        rc = tb_capture_threads_open(&capture, &p->capture, err);
    if (rc == 0)
        rc = tb_intercept_watch_open(p->base, &watch, &p->watch, err);
    if (rc == 0)
        rc = open_server(p, err);
    if (rc == 0 && o->has_metrics)
        rc = tb_metrics_open(p->base, &o->metrics, ask_figures, p, &p->metrics, err);
    if (rc == 0)
        rc = tb_process_write_pid(o->pid_file, err);
    if (rc == 0 && o->pid_file) {
        p->removes_pid_file = p->keeper.fd < 0;
        tb_keeper_owns_pid_file(&p->keeper);
    }
    return rc;
}

/* What the user should know, once. */
static void remark(const struct program *p)
{
    const struct tb_intercept_options *o = &p->options;
    char devices[TB_RELAY_TEXT_MAX];

    tb_log(TB_LOG_INFO, "intercept %s: capturing on %s, listening on port %u", PACKAGE_VERSION,
           tb_devices_format(&p->devices, devices, sizeof devices), o->port);
    for (uint32_t i = 0; i < p->devices.count; i++)
        if (!p->devices.device[i].up)
            tb_log(TB_LOG_WARN,
                   "device %s is down: nothing comes before it is up (ip link set %s "
                   "up)",
                   p->devices.device[i].name, p->devices.device[i].name);
    if (o->has_hash_size)
        tb_log(TB_LOG_INFO, "-s, --hash-size has no effect: tables find their size themselves");
}

/* --- the order of its life ----------------------------------------------------------------------
 */

/* Log file, background, keeper. */
static int settle_in(struct program *p, struct tb_err *err)
{
    const struct tb_intercept_options *o = &p->options;
    int rc = o->log ? tb_log_open(o->log) : 0;

    if (rc < 0)
        return tb_err_set(err, -EINVAL, "cannot open the log file %s: %s", o->log, strerror(-rc));
    if (o->verbose)
        tb_log_set_level(TB_LOG_DEBUG);
    if (o->daemon)
        rc = tb_process_detach(&p->ready_fd, err);
    if (rc == 0 && (o->log || o->pid_file) && tb_privilege_changes_user(o->user))
        rc = tb_keeper_start(&p->keeper, o->log, o->pid_file, err);
    return rc;
}

static int run(struct program *p, struct tb_err *err)
{
    int rc = settle_in(p, err);

    if (rc == 0)
        rc = open_all(p, err);
    if (rc == 0)
        rc = tb_privilege_drop(p->options.user, false, err);
    if (rc == 0)
        rc = tb_capture_threads_start(p->capture, p->server, err);
    if (rc < 0)
        return rc;
    remark(p);
    tb_process_ready(p->ready_fd);
    p->ready_fd = -1;
    rc = tb_process_confine();
    if (rc < 0)
        tb_log(TB_LOG_WARN, "without a filter of system calls: %s", strerror(-rc));
    ask_figures(p, &p->before);
    p->before_us = tb_clock_mono_us();
    event_base_dispatch(p->base);
    log_statistics(p);
    tb_log(TB_LOG_INFO, "ended by %s", strsignal(p->stopping));
    return 0;
}

static void free_all(struct program *p)
{
    tb_capture_threads_close(p->capture);
    tb_relay_server_close(p->server);
    tb_metrics_close(p->metrics);
    tb_intercept_watch_close(p->watch);
    for (uint32_t i = 0; i < EVENTS; i++)
        if (p->events[i])
            event_free(p->events[i]);
    if (p->base)
        event_base_free(p->base);
    tb_intercept_filter_fini(&p->filter);
    if (p->removes_pid_file)
        unlink(p->options.pid_file);
    tb_keeper_stop(&p->keeper);
    tb_intercept_options_free(&p->options);
    libevent_global_shutdown();
}

int main(int argc, char **argv)
{
    struct program *p = calloc(1, sizeof *p);
    struct tb_err err = {""};
    int rc, status = TB_EXIT_OK;

    if (!p)
        return TB_EXIT_USAGE;
    p->ready_fd = p->keeper.fd = -1;
    rc = tb_intercept_options_parse(&p->options, argc, argv, &err);
    if (rc == 0 && p->options.help)
        tb_intercept_options_help();
    else if (rc == 0 && p->options.version)
        printf("intercept %s\n", PACKAGE_VERSION);
    else if (rc == 0)
        rc = run(p, &err);
    if (rc < 0) {
        fprintf(stderr, "intercept: %s\n", err.text);
        status = tb_process_status(rc);
    }
    free_all(p);
    free(p);
    return status;
}
