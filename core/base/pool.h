/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pool of equal-sized objects named by 32-bit handles. Objects never move. Memory is taken from the
 * system a slab at a time and goes back when slabs stay empty: after a rush a pool shrinks, but
 * keeps half as many empty slabs as used ones (at least a few), so that steady use never allocates.
 * Handle 0 is "none". One owner, no locks.
 */
#ifndef TB_BASE_POOL_H
#define TB_BASE_POOL_H

#include <stddef.h>
#include <stdint.h>

enum { TB_POOL_SLAB = 256 /* objects taken from the system at a time */ };

/* A run of objects; free ones form a list threaded through their first two bytes. Slabs with room
 * form a list of their own, empty ones at its end. Links and positions are counted from 1. */
struct tb_pool_slab {
    uint8_t *data; /* NULL: given back to the system */
    uint32_t next, prev;
    uint16_t used, fresh; /* objects in use; never used so far, behind them */
    uint16_t free_head;
};

struct tb_pool {
    size_t object_bytes; /* rounded up to 16 */
    struct tb_pool_slab *slabs;
    uint32_t slab_count, slab_room; /* places in `slabs` */
    uint32_t first, last;           /* slabs with room */
    uint32_t gone;                  /* places whose memory was given back, linked by `next` */
    uint32_t empty, live;           /* slabs without an object in use; with memory */
    uint32_t reserved;              /* slabs that are never given back */
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
    return p->slabs[i / TB_POOL_SLAB].data + (size_t) (i % TB_POOL_SLAB) * p->object_bytes;
}

#endif
