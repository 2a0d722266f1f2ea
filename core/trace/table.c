/* SPDX-License-Identifier: BSD-2-Clause */
/* See table.h. */
#include "trace/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/siphash.h"

enum { FIRST_SLOTS = 1024 };

int tb_table_init(struct tb_table *t, void *owner,
                  const struct tb_flow_key *(*key_of)(const void *owner, uint32_t ref))
{
    *t = (struct tb_table){.owner = owner, .key_of = key_of, .mask = FIRST_SLOTS - 1};
    if (getrandom(t->seed, sizeof t->seed, GRND_NONBLOCK) < 0)
        memset(t->seed, 0, sizeof t->seed); /* only at boot; then collisions are the worst of it */
    t->slots = calloc(FIRST_SLOTS, sizeof *t->slots);
    return t->slots ? 0 : -ENOMEM;
}

void tb_table_fini(struct tb_table *t)
{
    free(t->slots);
    t->slots = NULL;
}

int tb_flow_key_set(struct tb_flow_key *key, const struct tb_addr *src, uint16_t sport,
                    const struct tb_addr *dst, uint16_t dport)
{
    int order = memcmp(src, dst, sizeof *src);
    int at = order > 0 || (order == 0 && sport > dport);
    key->addr[at] = *src;
    key->port[at] = sport;
    key->addr[!at] = *dst;
    key->port[!at] = dport;
    return at;
}

uint32_t tb_table_hash(const struct tb_table *t, const struct tb_flow_key *key)
{
    _Static_assert(sizeof *key == 36, "hashed as bytes: no padding");
    return (uint32_t) tb_siphash(t->seed, key, sizeof *key);
}

uint32_t tb_table_find(const struct tb_table *t, const struct tb_flow_key *key, uint32_t hash)
{
    for (uint32_t i = hash & t->mask; t->slots[i].ref != 0; i = (i + 1) & t->mask)
        if (t->slots[i].hash == hash &&
            memcmp(t->key_of(t->owner, t->slots[i].ref), key, sizeof *key) == 0)
            return t->slots[i].ref;
    return 0;
}

static void put(struct tb_table *t, struct tb_table_slot slot)
{
    uint32_t i = slot.hash & t->mask;
    while (t->slots[i].ref != 0)
        i = (i + 1) & t->mask;
    t->slots[i] = slot;
}

static int grow(struct tb_table *t)
{
    uint32_t size = t->mask + 1;
    struct tb_table_slot *old = t->slots;
    if (size > UINT32_MAX / 2)
        return -ENOMEM;
    t->slots = calloc((size_t) size * 2, sizeof *t->slots);
    if (!t->slots) {
        t->slots = old;
        return -ENOMEM;
    }
    t->mask = size * 2 - 1;
    for (uint32_t i = 0; i < size; i++)
        if (old[i].ref != 0)
            put(t, old[i]);
    free(old);
    return 0;
}

int tb_table_add(struct tb_table *t, uint32_t hash, uint32_t ref)
{
    if (t->used >= t->mask / 4 * 3 && grow(t) < 0)
        return -ENOMEM;
    put(t, (struct tb_table_slot){hash, ref});
    t->used++;
    return 0;
}

void tb_table_remove(struct tb_table *t, uint32_t hash, uint32_t ref)
{
    uint32_t hole = hash & t->mask;
    while (t->slots[hole].ref != ref) {
        if (t->slots[hole].ref == 0)
            return;
        hole = (hole + 1) & t->mask;
    }
    /* Move back what probed across it, so that no search ends too early. */
    for (uint32_t i = (hole + 1) & t->mask; t->slots[i].ref != 0; i = (i + 1) & t->mask) {
        uint32_t home = t->slots[i].hash & t->mask;
        if (((i - home) & t->mask) >= ((i - hole) & t->mask)) {
            t->slots[hole] = t->slots[i];
            hole = i;
        }
    }
    t->slots[hole].ref = 0;
    t->used--;
}
