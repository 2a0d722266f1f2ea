/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * See client_once.h. A table of fixed size: sets of a few entries, of which the one not seen for
 * longest makes room. Copies come within milliseconds of each other, so little has to be kept; one
 * that is forgotten too early is taken twice, which TCP copes with.
 */
#include "relay/client_once.h"

#include <stdlib.h>
#include <string.h>
#include "base/siphash.h"
#include "packet/view.h"

enum { SETS = 1 << 14, WAYS = 4, TCP_HEAD_MIN = 20, TCP_HEAD_MAX = 60, CHECKSUM_AT = 16 };

struct entry {
    uint64_t hash, seen_us;
    uint16_t taken, brought[TB_RELAY_SERVERS_MAX];
};

struct tb_relay_once {
    uint8_t key[16];
    struct entry set[SETS][WAYS];
};

struct tb_relay_once *tb_relay_once_new(const uint8_t key[16])
{
    struct tb_relay_once *o = calloc(1, sizeof *o);

    if (o)
        memcpy(o->key, key, sizeof o->key);
    return o;
}

void tb_relay_once_free(struct tb_relay_once *o)
{
    free(o);
}

/* The hash of what makes the packet; false: it is none of TCP. */
static bool hash_of(const struct tb_relay_once *o, const uint8_t *data, uint32_t len,
                    uint32_t wire_len, uint64_t *hash)
{
    uint8_t what[2 * 16 + 8 + TCP_HEAD_MAX];
    struct tb_ip ip;

    if (tb_ip_parse(data, len, &ip) < 0 || ip.proto != TB_PROTO_TCP ||
        ip.payload_len < TCP_HEAD_MIN)
        return false;
    uint32_t head = (uint32_t) (ip.payload[12] >> 4) * 4;
    if (head < TCP_HEAD_MIN)
        return false;
    if (head > ip.payload_len)
        head = ip.payload_len;
    memcpy(what, ip.src.b, 16);
    memcpy(what + 16, ip.dst.b, 16);
    memcpy(what + 32, &ip.id, 4);
    memcpy(what + 36, &wire_len, 4);
    memcpy(what + 40, ip.payload, head);
    memset(what + 40 + CHECKSUM_AT, 0, 2); /* left to the device here, complete there */
    *hash = tb_siphash(o->key, what, 40 + head);
    return true;
}

/* The entry of `hash`, begun anew when there was none. */
static struct entry *find(struct tb_relay_once *o, uint64_t hash, uint64_t now_us)
{
    struct entry *set = o->set[hash % SETS], *oldest = set;

    for (unsigned i = 0; i < WAYS; i++) {
        if (set[i].hash == hash && now_us - set[i].seen_us < TB_RELAY_ONCE_US)
            return &set[i];
        if (set[i].seen_us < oldest->seen_us)
            oldest = &set[i];
    }
    memset(oldest, 0, sizeof *oldest);
    oldest->hash = hash;
    return oldest;
}

bool tb_relay_once_is_new(struct tb_relay_once *o, uint32_t server, const uint8_t *data,
                          uint32_t len, uint32_t wire_len, uint64_t now_us)
{
    uint64_t hash;

    if (!hash_of(o, data, len, wire_len, &hash))
        return true;
    struct entry *e = find(o, hash, now_us);
    e->seen_us = now_us;
    if (e->brought[server] == UINT16_MAX)
        return true;
    e->brought[server]++;
    if (e->brought[server] <= e->taken)
        return false;
    e->taken = e->brought[server];
    return true;
}
