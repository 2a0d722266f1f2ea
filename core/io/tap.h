/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Taps on live traffic: what passes by to and from services, both directions, on this host's
 * devices. Opened by tcpcopy when a run is set up; then each worker reads its own (packet/tap.h).
 */
#ifndef TB_IO_TAP_H
#define TB_IO_TAP_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "packet/addr.h"
#include "packet/tap.h"

enum { TB_TAP_DEVICES_MAX = 64 };

/* A server whose sessions are wanted. */
struct tb_tap_service {
    struct tb_addr addr; /* unless any_addr */
    bool any_addr;
    uint16_t port;
};

/* What it points to must stay until the taps are closed. */
struct tb_tap_setup {
    const struct tb_tap_service *services;
    uint32_t service_count;
    /* Packets to and from these are never captured: our own, and what answers them. */
    const struct tb_endpoint *targets;
    uint32_t target_count;
    /* Names. None, or "any": all devices, whenever they appear. Those named also take what is meant
     * for other hosts (a mirror port), and are found again when they go and come back. */
    const char *const *devices;
    uint32_t device_count;
    uint32_t buffer_mb; /* of each ring; 0: TB_RING_BYTES */
    uint32_t snaplen;   /* bytes of a packet; 0: all */
    const char *filter; /* a pcap filter that packets have to pass as well, or NULL; inner ones when
                         * they come in VXLAN */
    uint16_t vxlan_port; /* look into VXLAN packets to this UDP port; 0: none */
    uint32_t workers;
};

/* Fills out[workers]. Packets reach the worker tb_steer_worker() names for their client's end,
 * which is the source of those to a service and the destination of the others. With several workers
 * each gets all packets without ports (later fragments), and those with IPv6 extension headers:
 * whose they are can only be seen when they are complete. 0; or no tap and -errno with words:
 * -EPERM, -ENODEV, -EINVAL (the filter), -ENOMEM (the buffer). All taps are closed by one thread.
 */
int tb_tap_devices_open(const struct tb_tap_setup *s, struct tb_tap **out, struct tb_err *err);

#endif
