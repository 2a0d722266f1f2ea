/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When several intercept servers see the same packets (a mirrored port, two ways from the target),
 * each is to be taken once; but what the target really sent twice is two packets. So copies are
 * counted per server: a packet is new when its server has brought more of the same than were taken
 * so far. Used by client.c, an instance per worker, only with more than one server.
 */
#ifndef TB_RELAY_CLIENT_ONCE_H
#define TB_RELAY_CLIENT_ONCE_H

#include <stdbool.h>
#include <stdint.h>

enum { TB_RELAY_SERVERS_MAX = 16, TB_RELAY_ONCE_US = 2000000 };

struct tb_relay_once; /* opaque */

/* NULL when memory is out. `key` is anything the target does not know. */
struct tb_relay_once *tb_relay_once_new(const uint8_t key[16]);
void tb_relay_once_free(struct tb_relay_once *o); /* NULL is fine */

/* Is this packet of `server` (below TB_RELAY_SERVERS_MAX), from its IP header on, to be taken?
 * Packets are the same when they agree in everything a router leaves alone: addresses, IP id, TCP
 * header without checksum, length. After TB_RELAY_ONCE_US without another copy one is forgotten. */
bool tb_relay_once_is_new(struct tb_relay_once *o, uint32_t server, const uint8_t *data,
                          uint32_t len, uint32_t wire_len, uint64_t now_us);

#endif
