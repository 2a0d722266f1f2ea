/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pool of equal-sized objects named by 32-bit handles. Objects never move; freeing gives the slot
 * back to the pool, not to the system. Handle 0 is "none". One owner, no locks.
 */
#ifndef TB_BASE_POOL_H
#define TB_BASE_POOL_H

#include <stddef.h>
#include <stdint.h>

enum { TB_POOL_SLAB = 256 /* objects taken from the system at a time */ };

struct tb_pool {
    size_t object_bytes; /* rounded up to 16 */
    uint8_t **slabs;
    uint32_t slab_count, slab_room;
    uint32_t free_head; /* handle; the next one is stored in the object's first 4 bytes */
    uint32_t next_new;  /* handles at and above were never used */
    uint32_t in_use;
};

void tb_pool_init(struct tb_pool *p, size_t object_bytes);
void tb_pool_fini(struct tb_pool *p);

/* A zeroed object; 0 when memory is out. */
uint32_t tb_pool_take(struct tb_pool *p);
/* Handle 0 is ignored. */
void tb_pool_give(struct tb_pool *p, uint32_t handle);

/* Take memory for `objects` in all now, so that the packet path never does. 0 or -ENOMEM. */
int tb_pool_reserve(struct tb_pool *p, uint32_t objects);

static inline void *tb_pool_at(const struct tb_pool *p, uint32_t handle)
{
    uint32_t i = handle - 1;
    return p->slabs[i / TB_POOL_SLAB] + (size_t) (i % TB_POOL_SLAB) * p->object_bytes;
}

#endif
