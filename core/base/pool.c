/* SPDX-License-Identifier: BSD-2-Clause */
/* Pool (base/pool.h). */
#include "base/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { EMPTY_MIN = 4 /* empty slabs kept in any case */ };

void tb_pool_init(struct tb_pool *p, size_t object_bytes)
{
    size_t rounded = (object_bytes + 15) & ~(size_t) 15;
    *p = (struct tb_pool){.object_bytes = rounded ? rounded : 16};
}

/* --- the list of slabs with room -------------------------------------------------------------- */

static void unlink_slab(struct tb_pool *p, uint32_t n)
{
    const struct tb_pool_slab *s = &p->slabs[n - 1];

    if (s->prev)
        p->slabs[s->prev - 1].next = s->next;
    else
        p->first = s->next;
    if (s->next)
        p->slabs[s->next - 1].prev = s->prev;
    else
        p->last = s->prev;
}

static void link_first(struct tb_pool *p, uint32_t n)
{
    p->slabs[n - 1].prev = 0;
    p->slabs[n - 1].next = p->first;
    if (p->first)
        p->slabs[p->first - 1].prev = n;
    else
        p->last = n;
    p->first = n;
}

static void link_last(struct tb_pool *p, uint32_t n)
{
    p->slabs[n - 1].next = 0;
    p->slabs[n - 1].prev = p->last;
    if (p->last)
        p->slabs[p->last - 1].next = n;
    else
        p->first = n;
    p->last = n;
}

/* --- memory ------------------------------------------------------------------------------------
 */

/* Straight from the system, so that what is given back is really gone: malloc() keeps what lies
 * between other blocks. */
static uint8_t *map_slab(const struct tb_pool *p)
{
    void *data = mmap(NULL, TB_POOL_SLAB * p->object_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return data == MAP_FAILED ? NULL : data;
}

static void unmap_slab(const struct tb_pool *p, uint8_t *data)
{
    if (data)
        munmap(data, TB_POOL_SLAB * p->object_bytes);
}

void tb_pool_fini(struct tb_pool *p)
{
    for (uint32_t i = 0; i < p->slab_count; i++)
        unmap_slab(p, p->slabs[i].data);
    free(p->slabs);
    tb_pool_init(p, p->object_bytes);
}

/* --- slabs -------------------------------------------------------------------------------------
 */

/* A place for a slab: one given back, or a new one. 0 when memory is out. */
static uint32_t place(struct tb_pool *p)
{
    uint32_t n = p->gone;

    if (n) {
        p->gone = p->slabs[n - 1].next;
        return n;
    }
    if (p->slab_count >= UINT32_MAX / TB_POOL_SLAB)
        return 0;
    if (p->slab_count == p->slab_room) {
        uint32_t room = p->slab_room ? 2 * p->slab_room : 16;
        struct tb_pool_slab *slabs = realloc(p->slabs, room * sizeof *slabs);
        if (!slabs)
            return 0;
        p->slabs = slabs;
        p->slab_room = room;
    }
    memset(&p->slabs[p->slab_count], 0, sizeof *p->slabs);
    return ++p->slab_count;
}

static void forget_place(struct tb_pool *p, uint32_t n)
{
    p->slabs[n - 1].data = NULL;
    p->slabs[n - 1].next = p->gone;
    p->gone = n;
}

static int add_slab(struct tb_pool *p)
{
    uint32_t n = place(p);

    if (!n)
        return -ENOMEM;
    uint8_t *data = map_slab(p);
    if (!data) {
        forget_place(p, n);
        return -ENOMEM;
    }
    p->slabs[n - 1] = (struct tb_pool_slab){.data = data, .fresh = TB_POOL_SLAB};
    link_last(p, n);
    p->empty++;
    p->live++;
    return 0;
}

/* Empty slabs too many go back to the system; they are the last of the list. */
static void give_back(struct tb_pool *p)
{
    while (p->empty > EMPTY_MIN + (p->live - p->empty) / 2 && p->live > p->reserved) {
        uint32_t n = p->last;
        unlink_slab(p, n);
        unmap_slab(p, p->slabs[n - 1].data);
        forget_place(p, n);
        p->empty--;
        p->live--;
    }
}

/* --- objects ------------------------------------------------------------------------------------
 */

uint32_t tb_pool_take(struct tb_pool *p)
{
    uint32_t at;

    if (!p->first && add_slab(p) < 0)
        return 0;
    uint32_t n = p->first;
    struct tb_pool_slab *s = &p->slabs[n - 1];
    if (s->free_head) {
        at = s->free_head - 1u;
        uint8_t *object = s->data + at * p->object_bytes;
        memcpy(&s->free_head, object, sizeof s->free_head);
        memset(object, 0, p->object_bytes);
    } else {
        at = TB_POOL_SLAB - s->fresh--; /* zeroed by the system */
    }
    if (s->used++ == 0)
        p->empty--;
    if (s->used == TB_POOL_SLAB)
        unlink_slab(p, n);
    p->in_use++;
    return (n - 1) * TB_POOL_SLAB + at + 1;
}

void tb_pool_give(struct tb_pool *p, uint32_t handle)
{
    if (!handle)
        return;
    uint32_t n = (handle - 1) / TB_POOL_SLAB + 1;
    struct tb_pool_slab *s = &p->slabs[n - 1];
    memcpy(tb_pool_at(p, handle), &s->free_head, sizeof s->free_head);
    s->free_head = (uint16_t) ((handle - 1) % TB_POOL_SLAB + 1);
    p->in_use--;
    if (s->used-- == TB_POOL_SLAB)
        link_first(p, n);
    if (s->used > 0)
        return;
    p->empty++;
    unlink_slab(p, n);
    link_last(p, n);
    give_back(p);
}

int tb_pool_reserve(struct tb_pool *p, uint32_t objects)
{
    p->reserved = (objects + TB_POOL_SLAB - 1) / TB_POOL_SLAB;
    while (p->live < p->reserved)
        if (add_slab(p) < 0)
            return -ENOMEM;
    return 0;
}
