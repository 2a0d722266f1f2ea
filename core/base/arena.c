/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arena (base/arena.h). Chunks are chained so that they can be freed; nothing else reads the chain.
 */
#include "base/arena.h"
#include <errno.h>
#include <stdlib.h>

enum { ALIGN_MAX = 16 };

struct tb_arena_chunk {
    _Alignas(ALIGN_MAX) struct tb_arena_chunk *older;
};

void tb_arena_init(struct tb_arena *a, size_t chunk_bytes)
{
    *a = (struct tb_arena){.chunk_bytes = chunk_bytes};
}

void tb_arena_fini(struct tb_arena *a)
{
    while (a->chunks) {
        struct tb_arena_chunk *older = a->chunks->older;
        free(a->chunks);
        a->chunks = older;
    }
    tb_arena_init(a, a->chunk_bytes);
}

static int add_chunk(struct tb_arena *a, size_t bytes)
{
    if (bytes < a->chunk_bytes)
        bytes = a->chunk_bytes;
    if (bytes > PTRDIFF_MAX - sizeof(struct tb_arena_chunk))
        return -ENOMEM;
    size_t whole = sizeof(struct tb_arena_chunk) + bytes;
    struct tb_arena_chunk *chunk = malloc(whole);
    if (!chunk)
        return -ENOMEM;
    chunk->older = a->chunks;
    a->chunks = chunk;
    a->at = (uint8_t *) (chunk + 1);
    a->end = a->at + bytes;
    a->total_bytes += whole;
    return 0;
}

void *tb_arena_alloc(struct tb_arena *a, size_t bytes, size_t align)
{
    size_t pad = -(uintptr_t) a->at & (align - 1);
    size_t left = (size_t) (a->end - a->at);
    if (!a->chunks || left < pad || left - pad < bytes) {
        if (add_chunk(a, bytes) < 0)
            return NULL;
        pad = 0; /* a new chunk suits every alignment */
    }
    uint8_t *p = a->at + pad;
    a->at = p + bytes;
    return p;
}

int tb_arena_extend(struct tb_arena *a, void *p, size_t old_bytes, size_t new_bytes)
{
    if (new_bytes <= old_bytes)
        return 0;
    if ((uint8_t *) p + old_bytes != a->at || new_bytes - old_bytes > (size_t) (a->end - a->at))
        return -ENOSPC;
    a->at += new_bytes - old_bytes;
    return 0;
}

void tb_arena_trim(struct tb_arena *a, void *p, size_t old_bytes, size_t new_bytes)
{
    if (new_bytes < old_bytes && (uint8_t *) p + old_bytes == a->at)
        a->at = (uint8_t *) p + new_bytes;
}
