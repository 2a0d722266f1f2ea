/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Figures in words and for Prometheus; see figures.h.
 */
#include "intercept/figures.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t tb_figures_dropped(const struct tb_intercept_figures *f)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < f->devices->count; i++)
        sum += f->dropped[i];
    return sum;
}

bool tb_figures_line(const struct tb_intercept_figures *before,
                     const struct tb_intercept_figures *now, uint64_t over_us, char *buf,
                     size_t room)
{
    const struct tb_relay_server_figures *a = &before->server, *b = &now->server;
    uint64_t ring_drops = tb_figures_dropped(now);
    double seconds = over_us ? (double) over_us / 1e6 : 1;

    if (memcmp(a, b, sizeof *a) == 0 && tb_figures_dropped(before) == ring_drops)
        return false;
    snprintf(buf, room,
             "%" PRIu64 " packets (%.0f/s), %" PRIu64 " passed on in %" PRIu64 " messages, %" PRIu64
             " of nobody (%" PRIu64 " of which registered late); dropped: %" PRIu64
             " in rings, %" PRIu64 " for slow clients; %" PRIu64 " clients on %" PRIu64
             " connections, %" PRIu64 " sessions registered (%" PRIu64
             " of another client), %" PRIu64 " refused, %" PRIu64 " rejected; %" PRIu64
             " KB waiting; CPU %.1f %%",
             b->packets, (double) (b->packets - a->packets) / seconds, b->records, b->frames,
             b->unrouted, b->late, ring_drops, b->dropped, b->clients, b->connections, b->sessions,
             b->taken, b->refused, b->rejected, b->buffered_bytes / 1024,
             (double) (now->cpu_us - before->cpu_us) / seconds / 1e4);
    return true;
}

/* --- HTTP ---------------------------------------------------------------------------------------
 */

struct tb_metrics {
    struct evhttp *http;
    void (*ask)(void *ctx, struct tb_intercept_figures *out);
    void *ctx;
    struct tb_intercept_figures figures;
};

static void put(struct evbuffer *out, const char *name, const char *type, const char *help,
                uint64_t value)
{
    evbuffer_add_printf(
        out, "# HELP intercept_%s %s\n# TYPE intercept_%s %s\nintercept_%s %" PRIu64 "\n", name,
        help, name, type, name, value);
}

static void put_devices(struct evbuffer *out, const struct tb_intercept_figures *f)
{
    evbuffer_add_printf(out, "# HELP intercept_device_dropped_packets_total Packets lost because "
                             "the device's rings were full.\n"
                             "# TYPE intercept_device_dropped_packets_total counter\n");
    for (uint32_t i = 0; i < f->devices->count; i++) {
        evbuffer_add_printf(out, "intercept_device_dropped_packets_total{device=\"");
        for (const char *c = f->devices->device[i].name; *c; c++)
            evbuffer_add_printf(out, strchr("\"\\", *c) ? "\\%c" : "%c", *c);
        evbuffer_add_printf(out, "\"} %" PRIu64 "\n", f->dropped[i]);
    }
}

static void put_all(struct evbuffer *out, const struct tb_intercept_figures *f)
{
    const struct tb_relay_server_figures *s = &f->server;
    const char *counter = "counter", *gauge = "gauge";

    put(out, "packets_total", counter, "Packets captured.", s->packets);
    put(out, "bytes_total", counter, "Their bytes, as far as captured.", s->bytes);
    put(out, "records_total", counter, "Packets passed on to clients.", s->records);
    put(out, "frames_total", counter, "Messages they were passed on in.", s->frames);
    put(out, "unrouted_packets_total", counter, "Packets that no client wants.", s->unrouted);
    put(out, "late_records_total", counter,
        "Of these, packets passed on when their session was registered.", s->late);
    put(out, "dropped_records_total", counter, "Packets lost because a client did not read.",
        s->dropped);
    put_devices(out, f);
    put(out, "clients", gauge, "Connected clients.", s->clients);
    put(out, "connections", gauge, "Their connections.", s->connections);
    put(out, "sessions", gauge, "Registered sessions.", s->sessions);
    put(out, "taken_sessions_total", counter,
        "Sessions that a client registered and another one had already.", s->taken);
    put(out, "refused_total", counter, "Clients that were refused.", s->refused);
    put(out, "rejected_total", counter, "Peers that were cut off.", s->rejected);
    put(out, "buffered_bytes", gauge, "Waiting for slow clients.", s->buffered_bytes);
    evbuffer_add_printf(out,
                        "# HELP intercept_cpu_seconds_total CPU time.\n"
                        "# TYPE intercept_cpu_seconds_total counter\n"
                        "intercept_cpu_seconds_total %.6f\n",
                        (double) f->cpu_us / 1e6);
}

static void on_metrics(struct evhttp_request *request, void *ctx)
{
    struct tb_metrics *m = ctx;
    struct evbuffer *out = evbuffer_new();

    if (!out) {
        evhttp_send_error(request, HTTP_INTERNAL, NULL);
        return;
    }
    m->ask(m->ctx, &m->figures);
    put_all(out, &m->figures);
    evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type",
                      "text/plain; version=0.0.4");
    evhttp_send_reply(request, HTTP_OK, "OK", out);
    evbuffer_free(out);
}

int tb_metrics_open(struct event_base *base, const struct tb_endpoint *where,
                    void (*ask)(void *ctx, struct tb_intercept_figures *out), void *ctx,
                    struct tb_metrics **out, struct tb_err *err)
{
    enum { PATIENCE_S = 10, HEADERS_MAX = 8192, BODY_MAX = 1024 };
    char addr[TB_ADDR_TEXT], text[TB_ENDPOINT_TEXT];
    struct tb_metrics *m = calloc(1, sizeof *m);

    if (m)
        m->http = evhttp_new(base);
    if (!m || !m->http) {
        tb_metrics_close(m);
        return tb_err_set(err, -ENOMEM, "out of memory");
    }
    m->ask = ask;
    m->ctx = ctx;
    evhttp_set_timeout(m->http, PATIENCE_S);
    evhttp_set_max_headers_size(m->http, HEADERS_MAX);
    evhttp_set_max_body_size(m->http, BODY_MAX);
    evhttp_set_allowed_methods(m->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
    evhttp_set_cb(m->http, "/metrics", on_metrics, m);
    errno = 0;
    if (evhttp_bind_socket(m->http, tb_addr_format(&where->addr, addr), where->port) < 0) {
        int e = errno ? errno : EADDRINUSE;
        tb_metrics_close(m);
        return tb_err_set(err, -e, "--metrics %s: cannot listen there: %s",
                          tb_endpoint_format(where, text), strerror(e));
    }
    *out = m;
    return 0;
}

void tb_metrics_close(struct tb_metrics *m)
{
    if (!m)
        return;
    if (m->http)
        evhttp_free(m->http);
    free(m);
}
