/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pool (base/pool.h). Freed objects form a list threaded through their own first bytes; slabs are
 * added at the end and never go away before the pool does.
 */
#include "base/pool.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void tb_pool_init(struct tb_pool *p, size_t object_bytes)
{
    size_t rounded = (object_bytes + 15) & ~(size_t) 15;
    *p = (struct tb_pool){.object_bytes = rounded ? rounded : 16, .next_new = 1};
}

void tb_pool_fini(struct tb_pool *p)
{
    for (uint32_t i = 0; i < p->slab_count; i++)
        free(p->slabs[i]);
    free(p->slabs);
    tb_pool_init(p, p->object_bytes);
}

static int add_slab(struct tb_pool *p)
{
    if (p->slab_count >= UINT32_MAX / TB_POOL_SLAB)
        return -ENOMEM;
    if (p->slab_count == p->slab_room) {
        uint32_t room = p->slab_room ? 2 * p->slab_room : 16;
        uint8_t **slabs = realloc(p->slabs, room * sizeof *slabs);
        if (!slabs)
            return -ENOMEM;
        p->slabs = slabs;
        p->slab_room = room;
    }
    uint8_t *slab = calloc(TB_POOL_SLAB, p->object_bytes);
    if (!slab)
        return -ENOMEM;
    p->slabs[p->slab_count++] = slab;
    return 0;
}

uint32_t tb_pool_take(struct tb_pool *p)
{
    uint32_t handle = p->free_head;
    if (handle) {
        void *object = tb_pool_at(p, handle);
        memcpy(&p->free_head, object, sizeof p->free_head);
        memset(object, 0, p->object_bytes);
    } else {
        if (p->next_new > p->slab_count * TB_POOL_SLAB && add_slab(p) < 0)
            return 0;
        handle = p->next_new++; /* zeroed by calloc() */
    }
    p->in_use++;
    return handle;
}

void tb_pool_give(struct tb_pool *p, uint32_t handle)
{
    if (!handle)
        return;
    memcpy(tb_pool_at(p, handle), &p->free_head, sizeof p->free_head);
    p->free_head = handle;
    p->in_use--;
}

int tb_pool_reserve(struct tb_pool *p, uint32_t objects)
{
    while ((uint64_t) p->slab_count * TB_POOL_SLAB < objects)
        if (add_slab(p) < 0)
            return -ENOMEM;
    return 0;
}
