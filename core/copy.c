/* SPDX-License-Identifier: BSD-2-Clause */
/* The wiring of tcpcopy. See copy.h. */
#include "copy.h"

#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include "base/log.h"
#include "io/tap.h"
#include "relay/client.h"
#include "trace/tap_file.h"

enum {
    SLOTS_PER_MB = 256, /* a session that is kept busy has some 4 KB */
    SLOTS_LEAST = 1024,
    SLOTS_MOST = 1 << 20,
    RAMP_US = 60000000, /* -g */
    NICE = 10           /* the online service goes before us */
};

/* --- before anything is opened ------------------------------------------------------------------
 */

static struct tb_addr addr_of(const struct sockaddr *sa)
{
    struct tb_addr a = {{0}};

    if (sa->sa_family == AF_INET)
        a = tb_addr_v4(
            (const uint8_t *) &((const struct sockaddr_in *) (const void *) sa)->sin_addr);
    else if (sa->sa_family == AF_INET6)
        a = tb_addr_v6(
            (const uint8_t *) &((const struct sockaddr_in6 *) (const void *) sa)->sin6_addr);
    return a;
}

/* This host's addresses: their clients are local ones. */
static int find_local(struct tb_copy *c, struct tb_err *err)
{
    struct ifaddrs *list = NULL;
    uint32_t count = 0;

    if (getifaddrs(&list) < 0)
        return tb_err_set(err, -errno, "cannot list this host's addresses: %s", strerror(errno));
    for (struct ifaddrs *i = list; i; i = i->ifa_next)
        count += i->ifa_addr != NULL;
    c->local = calloc(count + 1, sizeof *c->local);
    for (struct ifaddrs *i = list; c->local && i; i = i->ifa_next)
        if (i->ifa_addr &&
            (i->ifa_addr->sa_family == AF_INET || i->ifa_addr->sa_family == AF_INET6))
            c->local[c->live.local_count++] = addr_of(i->ifa_addr);
    freeifaddrs(list);
    c->live.local = c->local;
    return c->local ? 0 : tb_err_set(err, -ENOMEM, "out of memory");
}

static int copy_clients(struct tb_copy *c, struct tb_err *err)
{
    const struct tb_options *o = &c->options->run;

    c->clients = calloc(o->client_count + 1, sizeof *c->clients);
    if (!c->clients)
        return tb_err_set(err, -ENOMEM, "out of memory");
    for (uint32_t i = 0; i < o->client_count; i++)
        c->clients[i] = (struct tb_plan_range){o->clients[i].first, o->clients[i].count};
    c->live.clients = c->clients;
    c->live.client_count = o->client_count;
    return 0;
}

static uint32_t slots_of(const struct tb_copy *c)
{
    uint64_t slots = c->options->memory_mb * SLOTS_PER_MB / c->run.workers;

    if (slots < SLOTS_LEAST)
        slots = SLOTS_LEAST;
    return slots > SLOTS_MOST ? SLOTS_MOST : (uint32_t) slots;
}

static void configure(struct tb_copy *c)
{
    const struct tb_tcpcopy_options *o = c->options;
    struct tb_live_config *l = &c->live;

    c->learner = tb_modules_learner(&c->run.modules);
    l->services = c->services;
    l->service_count = o->run.transfer_count;
    l->learner = &c->learner;
    l->has_localhost = o->has_localhost;
    l->localhost = o->localhost;
    l->replicas = o->replicas;
    l->port_shift = o->port_shift;
    l->percent = o->percent;
    l->ramp_us = o->gradual ? RAMP_US : 0;
    l->no_wait = o->no_wait;
    l->is_recorded = o->offline;
    l->idle_us = (uint64_t) (o->keepalive_s * 1e6);
    /* A quarter is for tables, and for what is free in one place and needed in another. */
    l->memory_bytes = (o->memory_mb << 20) / 4 * 3 / c->run.workers;
    l->users = slots_of(c);
    l->max_cpu = o->max_cpu / 100 / c->run.workers;
}

int tb_copy_prepare(struct tb_copy *c, const struct tb_tcpcopy_options *o, const char *command,
                    const volatile int *stop, struct tb_err *err)
{
    *c = (struct tb_copy){
        .options = o,
        .run = {.options = &o->run, .command = command, .stop = stop, .writer.fd = -1}};
    c->run.live = &c->live;
    int rc = tb_replay_prepare(&c->run, err);
    if (rc == 0)
        rc = tb_replay_load_modules(&c->run, err);
    if (rc == 0 && !(c->services = tb_replay_services(&o->run)))
        rc = tb_err_set(err, -ENOMEM, "out of memory");
    if (rc == 0)
        rc = tb_replay_plan_live(&c->run, err);
    if (rc == 0)
        rc = find_local(c, err);
    if (rc == 0)
        rc = copy_clients(c, err);
    if (rc == 0)
        configure(c);
    return rc;
}

/* --- packets ------------------------------------------------------------------------------------
 */

static int open_devices(struct tb_copy *c, struct tb_err *err)
{
    const struct tb_tcpcopy_options *o = c->options;
    struct tb_tap_service *services = calloc(o->run.transfer_count, sizeof *services);

    if (!services)
        return tb_err_set(err, -ENOMEM, "out of memory");
    for (uint32_t i = 0; i < o->run.transfer_count; i++)
        services[i] = (struct tb_tap_service){c->services[i].addr, c->services[i].any_addr,
                                              c->services[i].port};
    c->tap_services = services;
    const struct tb_tap_setup s = {
        .services = services,
        .service_count = o->run.transfer_count,
        .targets = c->run.targets,
        .target_count = o->run.transfer_count,
        .devices = (const char *const *) o->devices.item,
        .device_count = o->devices.count,
        .filter = o->run.filter,
        .buffer_mb = o->buffer_mb,
        .snaplen = o->snaplen,
        .vxlan_port = o->vxlan ? (uint16_t) o->vxlan_port : 0,
        .workers = c->run.workers,
    };

    return tb_tap_devices_open(&s, c->taps, err);
}

/* Every worker reads them all and takes its own sessions. */
static int open_files(struct tb_copy *c, struct tb_err *err)
{
    const struct tb_tcpcopy_options *o = c->options;
    const struct tb_tap_files_setup s = {
        .files = (const char *const *) o->run.pcaps.item,
        .file_count = o->run.pcaps.count,
        .filter = o->run.filter,
        .accelerate = o->offline_accelerate,
        .gap_ms = o->offline_gap_ms,
        .loops = o->offline_loops,
    };
    int rc = 0;

    for (uint32_t w = 0; w < c->run.workers && rc == 0; w++)
        rc = tb_tap_files_open(&s, &c->taps[w], err);
    return rc;
}

static void announce(struct tb_io *rx, const struct tb_addr *client, uint16_t port, bool wanted)
{
    if (wanted)
        tb_relay_client_register(rx, client, port);
    else
        tb_relay_client_unregister(rx, client, port);
}

static const struct tb_live_announcer announcer = {
    .walk = tb_relay_client_walk,
    .announce = announce,
    .flush = tb_relay_client_flush,
};

int tb_copy_open(struct tb_copy *c, struct tb_err *err)
{
    c->taps = calloc(c->run.workers, sizeof *c->taps);
    if (!c->taps)
        return tb_err_set(err, -ENOMEM, "out of memory");
    int rc = c->options->offline ? open_files(c, err) : open_devices(c, err);
    c->live.taps = c->taps;
    if (rc == 0)
        rc = tb_replay_open(&c->run, err);
    if (rc < 0)
        return rc;
    if (c->run.channels && c->live.client_count == 0) {
        c->live.announcer = &announcer;
        c->live.rx = c->run.channels;
    }
    return 0;
}

int tb_copy_play(struct tb_copy *c, struct tb_err *err)
{
    if (setpriority(PRIO_PROCESS, 0, NICE) < 0)
        tb_log(TB_LOG_WARN, "cannot lower the priority: %s", strerror(errno));
    tb_log(TB_LOG_INFO, "copying live sessions with %u worker%s", c->run.workers,
           c->run.workers == 1 ? "" : "s");
    return tb_replay_play(&c->run, err);
}

void tb_copy_free(struct tb_copy *c)
{
    for (uint32_t w = 0; c->taps && w < c->run.workers; w++)
        tb_tap_close(c->taps[w]);
    free(c->taps);
    tb_replay_free(&c->run);
    free(c->services);
    free(c->tap_services);
    free(c->clients);
    free(c->local);
}
