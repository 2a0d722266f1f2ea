/* SPDX-License-Identifier: BSD-2-Clause */
/* See ended.h. */
#include "trace/ended.h"

#include <errno.h>

void tb_ended_init(struct tb_ended_list *l, struct tb_table *table)
{
    tb_pool_init(&l->pool, sizeof(struct tb_ended));
    l->table = table;
    l->newest = l->oldest = 0;
}

void tb_ended_fini(struct tb_ended_list *l)
{
    tb_pool_fini(&l->pool);
}

static struct tb_ended *at(struct tb_ended_list *l, uint32_t handle)
{
    return tb_pool_at(&l->pool, handle);
}

static void link_newest(struct tb_ended_list *l, uint32_t handle)
{
    struct tb_ended *e = at(l, handle);
    e->newer = 0;
    e->older = l->newest;
    if (l->newest)
        at(l, l->newest)->newer = handle;
    else
        l->oldest = handle;
    l->newest = handle;
}

static void unlink_entry(struct tb_ended_list *l, uint32_t handle)
{
    struct tb_ended *e = at(l, handle);
    if (e->newer)
        at(l, e->newer)->older = e->older;
    else
        l->newest = e->older;
    if (e->older)
        at(l, e->older)->newer = e->newer;
    else
        l->oldest = e->newer;
}

int tb_ended_add(struct tb_ended_list *l, uint32_t hash, const struct tb_ended *e)
{
    if (l->pool.in_use >= TB_ENDED_MAX) {
        uint32_t old = tb_table_hash(l->table, &at(l, l->oldest)->key);
        tb_ended_remove(l, old, l->oldest << 1 | 1);
    }
    uint32_t handle = tb_pool_take(&l->pool);
    if (handle == 0)
        return -ENOMEM;
    *at(l, handle) = *e;
    if (tb_table_add(l->table, hash, handle << 1 | 1) < 0) {
        tb_pool_give(&l->pool, handle);
        return -ENOMEM;
    }
    link_newest(l, handle);
    return 0;
}

void tb_ended_touch(struct tb_ended_list *l, uint32_t ref)
{
    if (l->newest == ref >> 1)
        return;
    unlink_entry(l, ref >> 1);
    link_newest(l, ref >> 1);
}

void tb_ended_remove(struct tb_ended_list *l, uint32_t hash, uint32_t ref)
{
    tb_table_remove(l->table, hash, ref);
    unlink_entry(l, ref >> 1);
    tb_pool_give(&l->pool, ref >> 1);
}
