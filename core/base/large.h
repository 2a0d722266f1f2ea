/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory for tables that are as long as the plan has users, and looked into anywhere: in huge pages
 * where the system has some to give (transparent ones, madvise(2)), so that finding a page costs no
 * more than finding the record in it. Called while a run is set up.
 */
#ifndef TB_BASE_LARGE_H
#define TB_BASE_LARGE_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Zeroed, for free(); NULL when memory is out. */
static inline void *tb_large_new(size_t count, size_t bytes_each)
{
    const size_t page = (size_t) 2 << 20;
    size_t bytes = count * bytes_each;

    if (bytes < page || bytes / bytes_each != count || bytes > SIZE_MAX - page)
        return calloc(count, bytes_each);
    bytes = (bytes + page - 1) / page * page;
    void *p = aligned_alloc(page, bytes);
    if (!p)
        return NULL;
    madvise(p, bytes, MADV_HUGEPAGE); /* a wish: small pages do as well */
    return memset(p, 0, bytes);
}

#endif
