/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many frames the machine takes, sent blind by one thread through our own back-ends: RST
 * segments that the target's stack looks at and drops. What no engine can pass; the figures in the
 * comments of core/io come from here.
 *
 *     bench/blast [SECONDS]
 *
 * makes a network namespace of its own (root), sends packets of 100 bytes through a TUN device,
 * then through AF_PACKET over a veth pair, and prints one line of JSON: frames per second, and CPU.
 *
 *     bench/blast tun|link|raw TARGET CLIENT PAYLOAD_BYTES [SECONDS [DEVICE [GSO_SIZE]]]
 *
 * sends through one back-end from the present namespace to a target that is there.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/clock.h"
#include "io/backends.h"

enum { BATCH = 64, CLIENTS = 250, PAYLOAD_BYTES = 60, PAYLOAD_MAX = 65000 };

struct blast {
    const char *backend, *target, *client, *device; /* device: NULL is the route's */
    const uint8_t (*mac)[6];                        /* the target's; NULL: look it up */
    uint32_t payload_bytes;
    uint16_t gso_size;
    double seconds;
};

struct result {
    double frames_per_s, cpu_ns;
    uint64_t refused;
};

static int open_io(const struct blast *b, const struct tb_io_setup *s, struct tb_io **io,
                   struct tb_err *err)
{
    if (strcmp(b->backend, "tun") == 0)
        return tb_tun_open(s, io, err);
    return strcmp(b->backend, "raw") == 0 ? tb_raw_open(s, io, err) : tb_link_open(s, io, err);
}

static void fill(struct tb_frame *frames, const struct tb_io_setup *s, const struct blast *b,
                 bool checksum)
{
    static uint8_t payload[PAYLOAD_MAX];
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
        tb_frame_build(&frames[i], &spec, payload, b->payload_bytes);
        frames[i].gso_size = b->gso_size;
        if (!checksum)
            tb_frame_fill_checksum(&frames[i]);
    }
}

static void blow(const struct blast *b, const struct tb_io_setup *s, struct tb_io *io,
                 struct result *out)
{
    struct tb_frame frames[BATCH];
    struct tb_packet packets[BATCH];
    uint64_t start_us = tb_clock_mono_us(), cpu_us = tb_clock_cpu_us(), us;
    const struct tb_io_counters *c = &io->counters;

    do {
        fill(frames, s, b, io->caps.checksum);
        tb_io_send(io, frames, BATCH);
        tb_io_recv(io, packets, BATCH); /* so that it does not fill up */
        us = tb_clock_mono_us() - start_us;
    } while ((double) us < b->seconds * 1e6);
    out->frames_per_s = (double) c->sent / (double) us * 1e6;
    out->cpu_ns = (double) (tb_clock_cpu_us() - cpu_us) * 1e3 / (double) c->sent;
    out->refused = c->enobufs + c->eperm + c->emsgsize + c->enetdown + c->other_errors;
}

static int run(const struct blast *b, struct result *out, struct tb_err *err)
{
    struct tb_io_range clients = {.count = CLIENTS};
    struct tb_endpoint target = {.port = 9};
    struct tb_io_setup s = {.clients = &clients,
                            .client_count = 1,
                            .targets = &target,
                            .target_count = 1,
                            .workers = 1,
                            .mtu = 1500,
                            .dst_macs = b->mac,
                            .output_devices = &b->device,
                            .output_device_count = b->device ? 1 : 0};
    struct tb_io *io;

    if (tb_addr_parse(b->target, &target.addr) || tb_addr_parse(b->client, &clients.first))
        return tb_err_set(err, -EINVAL, "%s or %s is no address", b->target, b->client);
    int rc = open_io(b, &s, &io, err);
    if (rc < 0)
        return rc;
    blow(b, &s, io, out);
    tb_io_close(io);
    return 0;
}

/* A host with the target on it, and a pair of devices on the way there. */
static int make_host(struct tb_err *err)
{
    static const char commands[] =
        "ip link set lo up && ip link add blast0 type veth peer name blast1 && "
        "ip addr add 198.18.0.2/32 dev lo && "
        "ip link set blast1 address 02:00:00:00:00:02 && "
        "ip link set blast0 up && ip link set blast1 up && "
        "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$f; done";

    if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0)
        return tb_err_set(err, -errno, "no permission to make a network namespace: run as root");
    if (system("mount --make-rprivate / && mount -t sysfs none /sys 2>/dev/null; true") != 0 ||
        system(commands) != 0)
        return tb_err_set(err, -EIO, "cannot set up the devices: is iproute2 installed?");
    return 0;
}

/* Both ways, as JSON. */
static int run_both(double seconds, struct tb_err *err)
{
    static const uint8_t mac[1][6] = {{2, 0, 0, 0, 0, 2}};
    struct blast b = {.backend = "tun",
                      .target = "198.18.0.2",
                      .client = "198.19.0.1",
                      .payload_bytes = PAYLOAD_BYTES,
                      .seconds = seconds};
    struct result tun, packet;
    int rc = make_host(err);

    if (rc < 0 || (rc = run(&b, &tun, err)) < 0)
        return rc;
    b.backend = "link";
    b.device = "blast0";
    b.mac = mac;
    if ((rc = run(&b, &packet, err)) < 0)
        return rc;
    printf("{\"tun_frames_per_s\": %.0f, \"tun_cpu_ns\": %.0f, \"packet_frames_per_s\": %.0f, "
           "\"packet_cpu_ns\": %.0f, \"refused\": %llu}\n",
           tun.frames_per_s, tun.cpu_ns, packet.frames_per_s, packet.cpu_ns,
           (unsigned long long) (tun.refused + packet.refused));
    return 0;
}

int main(int argc, char **argv)
{
    struct tb_err err = {""};
    struct result r;
    int rc;

    if (argc > 2 && argc < 5) {
        fprintf(stderr, "usage: blast [SECONDS]\n       blast tun|link|raw TARGET CLIENT "
                        "PAYLOAD_BYTES [SECONDS [DEVICE [GSO_SIZE]]]\n");
        return 1;
    }
    if (argc <= 2) {
        rc = run_both(argc > 1 ? atof(argv[1]) : 1, &err);
    } else {
        struct blast b = {.backend = argv[1],
                          .target = argv[2],
                          .client = argv[3],
                          .payload_bytes = (uint32_t) atoi(argv[4]) % PAYLOAD_MAX,
                          .seconds = argc > 5 ? atof(argv[5]) : 1,
                          .device = argc > 6 ? argv[6] : NULL,
                          .gso_size = argc > 7 ? (uint16_t) atoi(argv[7]) : 0};
        if ((rc = run(&b, &r, &err)) == 0)
            printf("%s payload %u gso %u: %.0f k frames/s, %.0f ns CPU per frame; refused %llu\n",
                   b.backend, b.payload_bytes, b.gso_size, r.frames_per_s / 1e3, r.cpu_ns,
                   (unsigned long long) r.refused);
    }
    if (rc < 0)
        fprintf(stderr, "blast: %s\n", err.text);
    return rc < 0 ? 3 : 0;
}
