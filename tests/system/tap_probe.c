/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Taps as tcpcopy's workers read them, for tests/system/tap_*.py: what passes by is put together to
 * sessions until standard input ends; then they are listed, and what was counted.
 *
 * tap_probe key=value…
 *   service=ADDR:PORT or any:PORT  target=ADDR:PORT  device=NAME  (each any number of times)
 *   workers=N  vxlan=PORT  filter=TEXT  snaplen=N  buffer=N
 * Or from capture files:
 *   file=PATH  accelerate=X  gap=MS  loops=N
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>
#include "base/clock.h"
#include "io/backends.h"
#include "io/glance.h"
#include "io/tap.h"
#include "trace/flow.h"
#include "trace/fragment.h"

enum { MOST = 16, BATCH = 64 };

struct worker {
    struct tb_tap *tap;
    struct tb_trace trace;
    struct tb_flows flows;
    struct tb_fragments fragments;
};

struct probe {
    struct tb_tap_service services[MOST];
    struct tb_endpoint targets[MOST];
    const char *devices[MOST];
    struct tb_tap_setup setup;
    struct tb_service flow_services[MOST];
    struct worker worker[MOST];
    uint64_t packets, super_packets, of_targets, of_others, others_fragments, wakes;
};

/* --- options ------------------------------------------------------------------------------------
 */

/* "ADDR:PORT"; IPv6 without brackets, for the port is what is behind the last colon. */
static int endpoint(const char *text, struct tb_endpoint *out)
{
    char addr[TB_ADDR_TEXT];
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t) (colon - text) >= sizeof addr)
        return -EINVAL;
    snprintf(addr, sizeof addr, "%.*s", (int) (colon - text), text);
    out->port = (uint16_t) atoi(colon + 1);
    return strcmp(addr, "any") == 0 ? 1 : tb_addr_parse(addr, &out->addr);
}

static int number(struct tb_tap_setup *s, const char *key, const char *value)
{
    uint32_t n = (uint32_t) strtoul(value, NULL, 10);
    if (strcmp(key, "workers") == 0)
        s->workers = n;
    else if (strcmp(key, "vxlan") == 0)
        s->vxlan_port = (uint16_t) n;
    else if (strcmp(key, "snaplen") == 0)
        s->snaplen = n;
    else if (strcmp(key, "buffer") == 0)
        s->buffer_mb = n;
    else
        return -EINVAL;
    return 0;
}

static int option(struct probe *p, const char *arg)
{
    struct tb_tap_setup *s = &p->setup;
    struct tb_endpoint e = {.port = 0};
    char key[16];
    const char *value = strchr(arg, '=');
    int any;
    if (!value++ || sscanf(arg, "%15[^=]", key) != 1 || s->service_count == MOST ||
        s->target_count == MOST || s->device_count == MOST)
        return -EINVAL;
    if (strcmp(key, "filter") == 0) {
        s->filter = value;
    } else if (strcmp(key, "device") == 0) {
        p->devices[s->device_count++] = value;
    } else if (strcmp(key, "target") == 0) {
        any = endpoint(value, &p->targets[s->target_count++]);
        return any ? -EINVAL : 0;
    } else if (strcmp(key, "service") == 0) {
        any = endpoint(value, &e);
        p->services[s->service_count] = (struct tb_tap_service){e.addr, any == 1, e.port};
        p->flow_services[s->service_count++] = (struct tb_service){e.addr, any == 1, e.port};
        return any < 0 ? any : 0;
    } else {
        return number(s, key, value);
    }
    return 0;
}

/* --- packets ------------------------------------------------------------------------------------
 */

static bool is_target(const struct probe *p, const struct tb_addr *addr, uint16_t port)
{
    for (uint32_t i = 0; i < p->setup.target_count; i++)
        if (p->targets[i].port == port && tb_addr_eq(&p->targets[i].addr, addr))
            return true;
    return false;
}

static bool is_service(const struct probe *p, const struct tb_addr *addr, uint16_t port)
{
    for (uint32_t i = 0; i < p->setup.service_count; i++)
        if (p->services[i].port == port &&
            (p->services[i].any_addr || tb_addr_eq(&p->services[i].addr, addr)))
            return true;
    return false;
}

static bool is_mine(const struct probe *p, uint32_t worker, const struct tb_segment *seg)
{
    bool to_service = is_service(p, &seg->dst, seg->dport);
    const struct tb_addr *client = to_service ? &seg->src : &seg->dst;
    return tb_steer_worker(tb_addr_low32(client), to_service ? seg->sport : seg->dport,
                           p->setup.workers) == worker;
}

static void take_packet(struct probe *p, uint32_t worker, const struct tb_tapped *t)
{
    struct worker *w = &p->worker[worker];
    struct tb_ip ip;
    struct tb_segment seg;
    p->packets++;
    if (tb_ip_parse(t->data, t->len, &ip) < 0 || ip.proto != TB_PROTO_TCP)
        return;
    bool fragment = ip.more_fragments || ip.fragment_offset;
    if (fragment && !tb_fragments_add(&w->fragments, &ip, t->time_us))
        return;
    if (tb_tcp_parse(&ip, &seg) < 0)
        return;
    p->super_packets += seg.payload_len > 9000;
    p->of_targets += is_target(p, &seg.src, seg.sport) || is_target(p, &seg.dst, seg.dport);
    if (is_mine(p, worker, &seg))
        tb_flows_segment(&w->flows, &seg, t->time_us);
    else if (fragment)
        p->others_fragments++;
    else
        p->of_others++;
}

static void drain(struct probe *p, uint32_t worker)
{
    struct tb_tapped packets[BATCH];
    uint32_t n;
    do {
        n = tb_tap_recv(p->worker[worker].tap, packets, BATCH, tb_clock_real_us());
        for (uint32_t i = 0; i < n; i++)
            take_packet(p, worker, &packets[i]);
    } while (n > 0); /* a tap that gave all it had gives nothing for a while */
}

/* Until what the taps say, or standard input is readable: then true. */
static bool sleep_until(struct probe *p)
{
    struct pollfd polls[MOST + 1] = {{.fd = STDIN_FILENO, .events = POLLIN}};
    uint64_t at_us = UINT64_MAX, now_us = tb_clock_real_us();
    for (uint32_t i = 0; i < p->setup.workers; i++) {
        struct tb_tap *tap = p->worker[i].tap;
        uint64_t next_us = tb_tap_next_us(tap);
        at_us = next_us < at_us ? next_us : at_us;
        polls[i + 1] = (struct pollfd){.fd = tap->fd, .events = POLLIN};
    }
    uint64_t us = at_us > now_us ? at_us - now_us : 0;
    struct timespec ts = {(time_t) (us / 1000000), (long) (us % 1000000) * 1000};
    p->wakes++;
    return ppoll(polls, p->setup.workers + 1, at_us == UINT64_MAX ? NULL : &ts, NULL) > 0 &&
           polls[0].revents;
}

static void run(struct probe *p)
{
    static const struct timespec last = {0, TB_GLANCE_PAUSE_US * 1000}; /* until the next look */
    bool over;
    do {
        over = sleep_until(p);
        for (uint32_t i = 0; i < p->setup.workers; i++)
            drain(p, i);
        for (uint32_t i = 0; i < p->setup.workers && p->worker[0].tap->is_over; i++)
            over |= p->worker[i].tap->is_over;
    } while (!over);
    nanosleep(&last, NULL);
    for (uint32_t i = 0; i < p->setup.workers; i++)
        drain(p, i);
}

/* --- what came ----------------------------------------------------------------------------------
 */

static void list_session(const struct tb_script *s)
{
    char text[TB_ENDPOINT_TEXT];
    struct tb_endpoint client = {s->client, s->client_port};
    uLong crc = crc32(0, NULL, 0);
    uint64_t answered = s->greeting_bytes;
    for (const struct tb_request *r = tb_script_first(s); r; r = tb_script_next(r)) {
        struct tb_run run = tb_request_run(r);
        const uint8_t *data;
        uint32_t n;
        while ((n = tb_run_next(&run, &data)) > 0)
            crc = crc32(crc, data, n);
        answered += r->response_bytes;
    }
    printf("session %s %" PRIu64 " %08lx %" PRIu64 "\n", tb_endpoint_format(&client, text),
           s->client_bytes, crc, answered);
}

static void list(struct probe *p)
{
    uint64_t drops = 0;
    for (uint32_t i = 0; i < p->setup.workers; i++) {
        struct worker *w = &p->worker[i];
        tb_flows_finish(&w->flows);
        for (uint32_t n = 0; n < w->trace.session_count; n++)
            if (w->trace.sessions[n])
                list_session(w->trace.sessions[n]);
        for (uint32_t n = 0; n < w->trace.skip_count; n++)
            printf("skipped %s %" PRIu64 "\n", w->trace.skipped[n].reason,
                   w->trace.skipped[n].sessions);
        drops += tb_tap_drops(w->tap);
    }
    printf("packets %" PRIu64 " super %" PRIu64 " of_targets %" PRIu64 " of_others %" PRIu64
           " others_fragments %" PRIu64 " drops %" PRIu64 " wakes %" PRIu64 "\n",
           p->packets, p->super_packets, p->of_targets, p->of_others, p->others_fragments, drops,
           p->wakes);
}

static int open_taps(struct probe *p, struct tb_err *err)
{
    struct tb_tap *taps[MOST];
    struct tb_trace_options o = {.services = p->flow_services,
                                 .service_count = p->setup.service_count};
    int rc = tb_tap_devices_open(&p->setup, taps, err);
    for (uint32_t i = 0; i < p->setup.workers && rc == 0; i++) {
        struct worker *w = &p->worker[i];
        w->tap = taps[i];
        tb_arena_init(&w->trace.bytes, 1 << 20);
        tb_arena_init(&w->trace.records, 1 << 20);
        rc = tb_flows_init(&w->flows, &w->trace, &o);
    }
    return rc;
}

static void close_taps(struct probe *p)
{
    for (uint32_t i = 0; i < p->setup.workers; i++) {
        struct worker *w = &p->worker[i];
        tb_tap_close(w->tap);
        tb_flows_fini(&w->flows);
        tb_fragments_fini(&w->fragments);
        tb_trace_free(&w->trace);
    }
}

int main(int argc, char **argv)
{
    struct probe *p = calloc(1, sizeof *p);
    struct tb_err err = {""};
    if (!p)
        return 1;
    p->setup = (struct tb_tap_setup){
        .services = p->services, .targets = p->targets, .devices = p->devices, .workers = 1};
    for (int i = 1; i < argc; i++) {
        if (option(p, argv[i]) != 0) {
            fprintf(stderr, "tap_probe: what is %s?\n", argv[i]);
            return 1;
        }
    }
    int rc = open_taps(p, &err);
    if (rc) {
        printf("refused %s: %s\n", strerror(-rc), err.text);
        free(p);
        return 3;
    }
    printf("open\n");
    fflush(stdout);
    run(p);
    list(p);
    close_taps(p);
    free(p);
    return 0;
}
