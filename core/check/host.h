/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a check can learn from the host it runs on: capabilities, devices, kernel settings, ordinary
 * connections. Looks only, changes nothing. Called by check.c, and by later checks on other hosts.
 */
#ifndef TB_CHECK_HOST_H
#define TB_CHECK_HOST_H

#include <stdbool.h>
#include <stdint.h>
#include "check/findings.h"
#include "packet/addr.h"

/* CAP_NET_ADMIN and CAP_NET_RAW. */
void tb_host_check_capabilities(struct tb_findings *list);

/* /dev/net/tun is there and may be opened. */
void tb_host_check_tun(struct tb_findings *list);

/* The network device exists and is up; false when it does not exist. */
bool tb_host_check_device(struct tb_findings *list, const char *device);

/* A number of /proc/sys, such as "net/ipv4/ip_forward"; -1 when it cannot be read. */
int tb_host_sysctl(const char *name);

/* An address of `device` of the wanted family, not link-local; false when it has none. */
bool tb_host_address_of(const char *device, bool v4, struct tb_addr *out);

/* Does a TCP socket of this host listen on the port, on whatever address? */
bool tb_host_listens(uint16_t port);

/* Try an ordinary connection to each target, all at once, for at most `timeout_us`; `mss`: announce
 * that (0: as usual). results[i]: 0 connected (and closed again), or the errno: ECONNREFUSED,
 * ETIMEDOUT, … */
void tb_host_connect(const struct tb_endpoint *targets, uint32_t count, uint64_t timeout_us,
                     int mss, int *results);

#endif
