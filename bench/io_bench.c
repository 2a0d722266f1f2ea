/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How fast a back-end takes blind packets: RST segments that the target's stack looks at and drops.
 * The figures in the comments of core/io come from here. Run it in a network namespace.
 *
 * io_bench tun|link|raw TARGET CLIENT PAYLOAD_BYTES [SECONDS [DEVICE [GSO_SIZE]]]
 */
#include <stdio.h>
#include <stdlib.h>
#include "base/clock.h"
#include "io/backends.h"

enum { BATCH = 64, CLIENTS = 250 };

static int open_io(const char *backend, const struct tb_io_setup *s, struct tb_io **io,
                   struct tb_err *err)
{
    if (strcmp(backend, "tun") == 0)
        return tb_tun_open(s, io, err);
    return strcmp(backend, "raw") == 0 ? tb_raw_open(s, io, err) : tb_link_open(s, io, err);
}

static void fill(struct tb_frame *frames, const struct tb_io_setup *s, const uint8_t *payload,
                 uint32_t len, uint16_t gso_size, bool checksum)
{
    static uint32_t n;
    for (uint32_t i = 0; i < BATCH; i++, n++) {
        struct tb_addr client = tb_addr_plus(s->clients->first, n % CLIENTS);
        struct tb_frame_spec spec = {
            .src = &client,
            .dst = &s->targets->addr,
            .sport = (uint16_t) (1024 + n % 60000),
            .dport = s->targets->port,
            .flags = TB_TCP_RST,
        };
        tb_frame_build(&frames[i], &spec, payload, len);
        frames[i].gso_size = gso_size;
        if (!checksum)
            tb_frame_fill_checksum(&frames[i]);
    }
}

int main(int argc, char **argv)
{
    struct tb_io_range clients = {.count = CLIENTS};
    struct tb_endpoint target = {.port = 9};
    if (argc < 5 || tb_addr_parse(argv[2], &target.addr) ||
        tb_addr_parse(argv[3], &clients.first)) {
        fprintf(stderr, "usage: io_bench BACKEND TARGET CLIENT PAYLOAD_BYTES [SECONDS [DEVICE "
                        "[GSO_SIZE]]]\n");
        return 1;
    }
    uint32_t len = (uint32_t) atoi(argv[4]) % 65000;
    double seconds = argc > 5 ? atof(argv[5]) : 1;
    const char *device = argc > 6 ? argv[6] : NULL;
    uint16_t gso_size = argc > 7 ? (uint16_t) atoi(argv[7]) : 0;
    struct tb_io_setup s = {.clients = &clients,
                            .client_count = 1,
                            .targets = &target,
                            .target_count = 1,
                            .workers = 1,
                            .mtu = 1500,
                            .output_devices = &device,
                            .output_device_count = device ? 1 : 0};
    struct tb_io *io;
    struct tb_err err = {""};
    if (open_io(argv[1], &s, &io, &err)) {
        fprintf(stderr, "io_bench: %s\n", err.text);
        return 3;
    }
    static uint8_t payload[65536];
    struct tb_frame frames[BATCH];
    struct tb_packet packets[BATCH];
    uint64_t start_us = tb_clock_mono_us(), cpu_us = tb_clock_cpu_us(), now_us;
    do {
        fill(frames, &s, payload, len, gso_size, io->caps.checksum);
        tb_io_send(io, frames, BATCH);
        if (strcmp(argv[1], "tun") == 0)
            tb_io_recv(io, packets, BATCH);
        now_us = tb_clock_mono_us();
    } while ((double) (now_us - start_us) < seconds * 1e6);
    struct tb_io_counters *c = &io->counters;
    double sent = (double) c->sent;
    printf(
        "%s payload %u gso %u: %.0f k frames/s, %.0f ns wall, %.0f ns CPU per frame; refused "
        "%llu\n",
        argv[1], len, gso_size, sent / (double) (now_us - start_us) * 1e3,
        (double) (now_us - start_us) * 1e3 / sent,
        (double) (tb_clock_cpu_us() - cpu_us) * 1e3 / sent,
        (unsigned long long) (c->enobufs + c->eperm + c->emsgsize + c->enetdown + c->other_errors));
    tb_io_close(io);
    return 0;
}
