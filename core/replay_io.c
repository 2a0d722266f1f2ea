/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packet I/O of a run: TUN for both directions, or a sender joined with a receiver, which is a ring
 * on a device (-s local:) or the channel to intercept servers (-s SERVER). See replay.h.
 */
#include "replay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"
#include "io/backends.h"
#include "io/overlap.h"
#include "relay/client.h"

enum { CHANNEL_PATIENCE_US = 5000000 };

/* --- the intercept channel -------------------------------------------------------------------- */

/* Does any session's module look at what comes back? */
static bool wants_payload(const struct tb_replay *r)
{
    for (uint32_t i = 0; r->live && i < r->modules.count; i++)
        if (r->modules.loaded[i].ops.response)
            return true;
    for (uint32_t i = 0; i < r->trace.session_count; i++)
        if (r->config.modules[r->trace.sessions[i]->module].ops->response)
            return true;
    return false;
}

/* Are there clients of that family? Live ones are of their target's. */
static bool has_family(const struct tb_replay *r, bool v4)
{
    const struct tb_options *o = r->options;

    for (uint32_t i = 0; i < o->client_count; i++)
        if (tb_addr_is_v4(&o->clients[i].first) == v4)
            return true;
    for (uint32_t i = 0; o->client_count == 0 && i < o->transfer_count; i++)
        if (tb_addr_is_v4(&r->targets[i].addr) == v4)
            return true;
    return false;
}

/* What a server says of its host that the user should know. Live clients must not be sent what was
 * for their copies: -EPERM with words, if that host would. */
static int remark_on(const struct tb_replay *r, const char *server,
                     const struct tb_relay_welcome *w, struct tb_err *err)
{
    bool v4 = (w->flags & TB_RELAY_FORWARDS_V4) && has_family(r, true);
    bool v6 = (w->flags & TB_RELAY_FORWARDS_V6) && has_family(r, false);
    const char *sysctl = v4 ? "net.ipv4.ip_forward=0" : "net.ipv6.conf.all.forwarding=0";

    tb_log(TB_LOG_DEBUG, "%s is %s on %s%s%s", server, w->program, w->devices,
           w->filter[0] ? ", filter " : "", w->filter);
    if ((v4 || v6) && r->options->client_count == 0)
        return tb_err_set(err, -EPERM,
                          "the assistant host %s forwards packets, so that live clients would get "
                          "what the target answers to their copies; there, do: sysctl -w %s, and "
                          "start intercept again (or name addresses that nobody has with -c)",
                          server, sysctl);
    if (v4 || v6)
        tb_log(TB_LOG_WARN,
               "the assistant host %s forwards packets: the target's answers may travel on to real "
               "hosts, which reset the connections; there, do: sysctl -w %s",
               server, sysctl);
    if (w->flags & TB_RELAY_OFFLOADS)
        tb_log(TB_LOG_INFO,
               "the assistant host %s merges packets (GRO) on %s: latencies may include that; "
               "there, ethtool -K DEVICE gro off ends it",
               server, w->devices);
    return 0;
}

static int find_servers(const struct tb_replay *r, struct tb_endpoint *out, struct tb_err *err)
{
    const struct tb_options *o = r->options;

    for (uint32_t i = 0; i < o->intercepts.count; i++) {
        const char *text = o->intercepts.item[i];
        if (tb_server_parse(text, (uint16_t) o->intercept_port, &out[i]) < 0)
            return tb_err_set(err, -EINVAL,
                              "-s %s: no host of that name is known here; give an address, or "
                              "local:%s if that is a device of this host",
                              text, text);
    }
    return 0;
}

static int open_channel(struct tb_replay *r, const struct tb_io_setup *io, struct tb_io **rx,
                        struct tb_err *err)
{
    const struct tb_options *o = r->options;
    uint32_t n = o->intercepts.count;
    struct tb_endpoint *servers = calloc(n, sizeof *servers);
    struct tb_relay_welcome *welcomes = calloc(n, sizeof *welcomes);
    char host[32] = "", name[64];
    int rc = servers && welcomes ? find_servers(r, servers, err)
                                 : tb_err_set(err, -ENOMEM, "out of memory");

    gethostname(host, sizeof host - 1);
    snprintf(name, sizeof name, "%s %s %ld", r->live ? "tcpcopy" : "tcpburn", host,
             (long) getpid());
    struct tb_relay_client_setup s = {
        .servers = servers,
        .server_count = n,
        .channels = o->channels,
        .workers = io->workers,
        .clients = io->clients,
        .client_count = io->client_count,
        .registers = r->live && io->client_count == 0,
        .targets = r->targets,
        .target_count = o->transfer_count,
        .payload = wants_payload(r),
        .single = o->single,
        .psk_file = o->psk_file,
        .patience_us = CHANNEL_PATIENCE_US,
        .name = name,
    };
    if (rc == 0)
        rc = tb_relay_client_open(&s, rx, welcomes, err);
    bool opened = rc == 0;
    for (uint32_t i = 0; i < n && rc == 0; i++)
        rc = remark_on(r, o->intercepts.item[i], &welcomes[i], err);
    for (uint32_t w = 0; opened && rc < 0 && w < r->workers; w++)
        tb_io_close(rx[w]);
    r->server_count = n;
    free(servers);
    free(welcomes);
    return rc;
}

void tb_replay_channel(const struct tb_replay *r, struct tb_report_channel *out)
{
    *out = (struct tb_report_channel){0};
    for (uint32_t w = 0; r->channels && w < r->workers; w++) {
        struct tb_relay_client_figures f;
        tb_relay_client_figures(r->channels[w], &f);
        out->servers = r->server_count;
        out->connections += f.connections;
        out->connected += f.connected;
        out->losses += f.losses;
        out->duplicates += f.duplicates;
        if (f.clock_error_us > out->clock_error_us)
            out->clock_error_us = f.clock_error_us;
    }
}

/* --- senders and receivers -------------------------------------------------------------------- */

static int open_receivers(struct tb_replay *r, const struct tb_io_setup *s, struct tb_io **rx,
                          struct tb_err *err)
{
    struct tb_nl nl;

    if (r->mode == TB_MODE_LOCAL)
        return tb_capture_open(s, r->options->local_device, rx, err);
    int rc = tb_nl_open(&nl, err);
    if (rc < 0)
        return rc;
    rc = tb_overlap_check(&nl, s, false, err);
    tb_nl_close(&nl);
    return rc < 0 ? rc : open_channel(r, s, rx, err);
}

/* A sender for each worker, then the receivers of all at once: with an intercept server that may
 * take seconds, and a missing capability is to be told at once. */
static int open_pairs(struct tb_replay *r, const struct tb_io_setup *s, struct tb_err *err)
{
    struct tb_io **tx = calloc(r->workers, sizeof(struct tb_io *));
    struct tb_io **rx = calloc(r->workers, sizeof(struct tb_io *));
    bool received = false;
    uint32_t joined = 0;
    int rc = 0;

    if (!tx || !rx) {
        tb_err_set(err, -ENOMEM, "out of memory");
        free(tx);
        free(rx);
        return -ENOMEM;
    }
    for (uint32_t w = 0; w < r->workers && rc == 0; w++)
        rc = r->options->pcap_send ? tb_link_open(s, &tx[w], err) : tb_raw_open(s, &tx[w], err);
    if (rc == 0)
        rc = open_receivers(r, s, rx, err);
    received = rc == 0;
    while (joined < r->workers && rc == 0) {
        rc = tb_io_join(tx[joined], rx[joined], &r->ios[joined], err);
        joined += rc == 0;
    }
    for (uint32_t w = joined; w < r->workers; w++)
        tb_io_close(tx[w]);
    for (uint32_t w = joined; received && w < r->workers; w++)
        tb_io_close(rx[w]);
    free(tx);
    if (rc == 0 && r->mode == TB_MODE_INTERCEPT)
        r->channels = rx;
    else
        free(rx);
    return rc;
}

static int open_tun(struct tb_replay *r, const struct tb_io_setup *s, struct tb_err *err)
{
    int rc = tb_tun_open(s, r->ios, err);

    if (rc < 0)
        memset(r->ios, 0, r->workers * sizeof(struct tb_io *));
    return rc;
}

int tb_replay_open(struct tb_replay *r, struct tb_err *err)
{
    const struct tb_options *o = r->options;
    int rc = 0;
    uint32_t n = o->transfer_count;
    struct tb_io_range *clients = calloc(o->client_count + 1, sizeof *clients);
    uint8_t(*macs)[6] = calloc(2 * (size_t) n, sizeof *macs);
    r->ios = calloc(r->workers, sizeof(struct tb_io *));
    if (!clients || !macs || !r->ios) {
        rc = tb_err_set(err, -ENOMEM, "out of memory");
        goto out;
    }
    for (uint32_t i = 0; i < o->client_count; i++)
        clients[i] = (struct tb_io_range){o->clients[i].first, o->clients[i].count};
    for (uint32_t i = 0; i < n; i++) {
        memcpy(macs[i], o->transfers[i].src_mac, 6);
        memcpy(macs[n + i], o->transfers[i].dst_mac, 6);
    }
    struct tb_io_setup s = {
        .clients = clients,
        .client_count = o->client_count,
        .targets = r->targets,
        .target_count = n,
        .workers = r->workers,
        .mtu = o->mtu,
        .src_macs = (const uint8_t(*)[6]) macs,
        .dst_macs = (const uint8_t(*)[6])(macs + n),
        .output_devices = (const char *const *) o->outputs.item,
        .output_device_count = o->outputs.count,
    };
    rc = r->mode == TB_MODE_TUN ? open_tun(r, &s, err) : open_pairs(r, &s, err);
out:
    free(clients);
    free(macs);
    return rc;
}
