/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bump allocator of chunks that never move and are freed all at once. Used for scripts: many small
 * records of the same life.
 */
#ifndef TB_BASE_ARENA_H
#define TB_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct tb_arena_chunk;

struct tb_arena {
    struct tb_arena_chunk *chunks; /* newest first */
    uint8_t *at, *end;             /* free room of the newest */
    size_t chunk_bytes;
    size_t total_bytes; /* taken from the system */
};

/* `chunk_bytes`: how much to take from the system at a time (at least what one request needs). */
void tb_arena_init(struct tb_arena *a, size_t chunk_bytes);
void tb_arena_fini(struct tb_arena *a);

/* `align` is a power of two up to 16. NULL when memory is out. Not cleared. */
void *tb_arena_alloc(struct tb_arena *a, size_t bytes, size_t align);

/* Make the newest allocation `old_bytes` at `p` longer in place; 0, or -ENOSPC when it is not the
 * newest or there is no room behind it. */
int tb_arena_extend(struct tb_arena *a, void *p, size_t old_bytes, size_t new_bytes);

/* Give back the tail of the newest allocation; does nothing when it is not the newest. */
void tb_arena_trim(struct tb_arena *a, void *p, size_t old_bytes, size_t new_bytes);

#endif
