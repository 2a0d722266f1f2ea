/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Constructors of the packet I/O back-ends. Each makes one instance per worker; packets of a client
 * address and port always reach the worker tb_steer_worker() names.
 */
#ifndef TB_IO_BACKENDS_H
#define TB_IO_BACKENDS_H

#include "io/io.h"
#include "packet/addr.h"
#include "base/err.h"

/* The worker that owns a client: a hash of the last 32 address bits and the port that kernel
 * filters can compute as well (32-bit arithmetic):
 *   ((low32(addr) * 0x9E3779B1 + port * 0x85EBCA6B) >> 16) % workers */
static inline uint32_t tb_steer_worker(uint32_t addr_low32, uint16_t port, uint32_t workers)
{
    uint32_t h = addr_low32 * 0x9E3779B1u + (uint32_t) port * 0x85EBCA6Bu;
    return (h >> 16) % workers;
}

enum { TB_STEER_PLACES = 10000, TB_STEER_GROUPS = 32 };

/* A client's place, the same in every run, for shares of the sessions: another hash of the same,
 * mixed more thoroughly, since neighbours have to come apart. */
static inline uint32_t tb_steer_place(uint32_t addr_low32, uint16_t port)
{
    uint32_t h = addr_low32 * 0x85EBCA6Bu + (uint32_t) port * 0xC2B2AE35u;
    h = (h ^ h >> 15) * 0x2C1B3C6Du;
    h = (h ^ h >> 12) * 0x297A2D39u;
    return (h ^ h >> 15) % TB_STEER_PLACES;
}

/* Neighbouring places are a group, so that a word can say of all whether they are wanted. */
static inline uint32_t tb_steer_group(uint32_t place)
{
    return place * TB_STEER_GROUPS / TB_STEER_PLACES;
}
static inline uint32_t tb_steer_group_first(uint32_t group)
{
    return (group * TB_STEER_PLACES + TB_STEER_GROUPS - 1) / TB_STEER_GROUPS;
}

/* Client addresses as the back-ends need them: `count` addresses from `first`. */
struct tb_io_range {
    struct tb_addr first;
    uint64_t count;
};

struct tb_io_setup {
    const struct tb_io_range *clients;
    uint32_t client_count;
    const struct tb_endpoint *targets; /* index = transfer */
    uint32_t target_count;
    uint32_t workers;
    uint32_t mtu;
    /* link: per transfer, given MACs (or NULL entries) and output devices */
    const uint8_t (*src_macs)[6], (*dst_macs)[6]; /* all-zero: look it up */
    const char *const *output_devices;            /* -o */
    uint32_t output_device_count;
};

/* TUN: a device of our own with routes for the client ranges; one queue per worker (steered by
 * eBPF), both directions. Device and routes vanish with the process. Fills out[workers]. Refuses
 * ranges that overlap a local address, a target or a route other than the default one
 * (-EADDRINUSE), targets the kernel cannot deliver to ([::1]: -EADDRNOTAVAIL), and a missing
 * capability (-EPERM), each with what to do. */
int tb_tun_open(const struct tb_io_setup *s, struct tb_io **out, struct tb_err *err);

/* Send-only: IP raw sockets, sendmmsg. One instance. */
int tb_raw_open(const struct tb_io_setup *s, struct tb_io **out, struct tb_err *err);

/* Send-only: AF_PACKET at the link layer; MACs and device per transfer from route and neighbour
 * tables (resolving the neighbour when needed) unless given. One instance. */
int tb_link_open(const struct tb_io_setup *s, struct tb_io **out, struct tb_err *err);

/* Receive-only: TPACKET_V2 rings on `device` with a kernel filter for the client ranges, one per
 * worker (PACKET_FANOUT_CBPF). The packets do not travel on into the host's stack (blackhole routes
 * of our own for the client ranges, removed at close). Fills out[workers]. */
int tb_capture_open(const struct tb_io_setup *s, const char *device, struct tb_io **out,
                    struct tb_err *err);

/* One instance that sends through `tx` and receives (and waits) through `rx`; owns both. */
int tb_io_join(struct tb_io *tx, struct tb_io *rx, struct tb_io **out, struct tb_err *err);

/* Writes what is sent into a pcap file (LINKTYPE_RAW, microseconds) and answers like a server that
 * acknowledges everything and says nothing. `real_us`: where the time stamps are read from. */
int tb_dump_open(const char *path, const uint64_t *real_us, struct tb_io **out, struct tb_err *err);

/* Memory, for tests: a queue each way. tb_mem_inject() copies a packet for the next recv();
 * tb_mem_take() gives the next sent packet (flattened; checksum complete), its length or 0. */
int tb_mem_open(struct tb_io **out, uint32_t gso_max);
int tb_mem_inject(struct tb_io *io, const uint8_t *packet, uint32_t len);
int tb_mem_inject_packet(struct tb_io *io, const struct tb_packet *packet);
uint32_t tb_mem_take(struct tb_io *io, uint8_t *out, uint32_t room);

/* End a wait() of the instance from another thread or a signal handler: instances made by
 * tb_tun_open() and tb_capture_open() (also inside tb_io_join()) have an eventfd. */
void tb_io_wake(struct tb_io *io);

#endif
