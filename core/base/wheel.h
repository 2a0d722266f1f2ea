/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hierarchical timing wheel (Varghese & Lauck 1987) for numbered objects: setting and cancelling
 * are O(1). One tick is 64 µs. A slot holds numbers in chunks of a cache line: with millions of
 * objects each one's record is a trip to memory, and a list through the records would make these
 * trips one after the other; a chunk names thirteen at once.
 */
#ifndef TB_BASE_WHEEL_H
#define TB_BASE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

enum {
    TB_WHEEL_TICK_SHIFT = 6, /* 2^6 = 64 µs */
    TB_WHEEL_SLOT_BITS = 8,
    TB_WHEEL_LEVELS = 4, /* 2^32 ticks: 76 hours */
    TB_WHEEL_SLOTS = 1 << TB_WHEEL_SLOT_BITS,
    TB_WHEEL_CHUNK = 13
};

#define TB_WHEEL_NONE UINT32_MAX

struct tb_wheel_node {
    uint32_t at;  /* chunk × 16 + entry; 0: not armed */
    uint32_t due; /* low 32 bits of the tick at which it fires, or did */
};

/* A part of a slot's queue. There is none without an object in it, so that there are never more
 * chunks than objects. Chunks count from 1. */
struct tb_wheel_chunk {
    uint32_t next, prev; /* 0: none */
    uint8_t begin, end;  /* entries in use lie in [begin, end) … */
    uint8_t live;        /* … and are that many: those cancelled say TB_WHEEL_NONE */
    uint32_t entry[TB_WHEEL_CHUNK];
};

struct tb_wheel_slot {
    uint32_t first, last; /* chunks; 0: empty */
};

struct tb_wheel {
    struct tb_wheel_node *nodes; /* by object */
    struct tb_wheel_chunk *chunks;
    uint32_t unused; /* chunks given back, linked by `next` */
    uint32_t fresh;  /* the first chunk never used so far */
    uint32_t armed;  /* objects in the wheel */
    uint64_t tick;   /* everything due before this tick has been handed out */
    uint64_t epoch_us;
    struct tb_wheel_slot slot[TB_WHEEL_LEVELS][TB_WHEEL_SLOTS];
    uint64_t used[TB_WHEEL_LEVELS][TB_WHEEL_SLOTS / 64]; /* which slots hold something */
};

/* For objects 0 … count - 1, at most 2^28; `now_us` becomes tick 0. 0, -EINVAL or -ENOMEM. An
 * object costs 8 bytes, and 5 more (64 at worst) while it is armed. */
int tb_wheel_init(struct tb_wheel *w, uint32_t count, uint64_t now_us);
/* A zeroed wheel is fine. */
void tb_wheel_fini(struct tb_wheel *w);

static inline bool tb_wheel_is_armed(const struct tb_wheel *w, uint32_t index)
{
    return w->nodes[index].at != 0;
}
/* The tick that the object was armed for last. */
static inline uint32_t tb_wheel_due(const struct tb_wheel *w, uint32_t index)
{
    return w->nodes[index].due;
}
/* The object is going to be armed or cancelled soon. */
static inline void tb_wheel_prefetch(const struct tb_wheel *w, uint32_t index)
{
    __builtin_prefetch(&w->nodes[index], 1);
}

/* The tick at or after `us`, so that a timer never fires early. A time in the past gives the
 * current tick; one beyond the horizon of 2^31 ticks (38 hours) gives the horizon. */
static inline uint32_t tb_wheel_tick_of(const struct tb_wheel *w, uint64_t us)
{
    uint64_t after_us = us > w->epoch_us ? us - w->epoch_us : 0;
    uint64_t tick =
        (after_us >> TB_WHEEL_TICK_SHIFT) + ((after_us & ((1u << TB_WHEEL_TICK_SHIFT) - 1)) != 0);
    if (tick < w->tick)
        tick = w->tick;
    if (tick - w->tick > INT32_MAX)
        tick = w->tick + INT32_MAX;
    return (uint32_t) tick;
}

/* The time of a tick within 2^31 ticks of the current one. */
static inline uint64_t tb_wheel_us_of(const struct tb_wheel *w, uint32_t tick)
{
    int64_t from_now = (int32_t) (tick - (uint32_t) w->tick);
    return w->epoch_us + ((w->tick + (uint64_t) from_now) << TB_WHEEL_TICK_SHIFT);
}

/* Arm object `index` for `due` (a tick; one in the past fires at the next pop), moving it when
 * it is armed already. */
void tb_wheel_set(struct tb_wheel *w, uint32_t index, uint32_t due);
void tb_wheel_cancel(struct tb_wheel *w, uint32_t index);

/* Hand out one object due at or before now, disarmed; TB_WHEEL_NONE when there is none. Call until
 * it says so. Objects handed out may be armed again at once. Ticks are handed out in order, and
 * within a tick first armed, first out. Idle time costs nothing, however long. */
uint32_t tb_wheel_pop(struct tb_wheel *w, uint64_t now_us);

/* A time at or before the next deadline, for sleeping: exact within the lowest level, the start of
 * a slot above it. UINT64_MAX when nothing is armed. */
uint64_t tb_wheel_next_us(const struct tb_wheel *w);

#endif
