/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hierarchical timing wheel (Varghese & Lauck 1987) over objects that live in one array: setting
 * and cancelling are O(1), and a node is 12 bytes inside the object. One tick is 64 µs.
 * The wheel knows objects by their array index; the array never moves.
 */
#ifndef TB_BASE_WHEEL_H
#define TB_BASE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

enum {
    TB_WHEEL_TICK_SHIFT = 6, /* 2^6 = 64 µs */
    TB_WHEEL_SLOT_BITS = 8,
    TB_WHEEL_LEVELS = 4, /* 2^32 ticks: 76 hours */
    TB_WHEEL_SLOTS = 1 << TB_WHEEL_SLOT_BITS
};

#define TB_WHEEL_NONE UINT32_MAX

/* Nodes of one slot form a ring of object indexes, so a linked node always has a next one, if only
 * itself: `next` is TB_WHEEL_NONE exactly when the node is not armed. */
struct tb_wheel_node {
    uint32_t next, prev;
    uint32_t due; /* low 32 bits of the tick at which it fires */
};

struct tb_wheel {
    uint8_t *base;   /* address of the first object's node */
    uint32_t stride; /* bytes between objects */
    uint32_t armed;  /* nodes in the wheel */
    uint64_t tick;   /* everything due before this tick has been handed out */
    uint64_t epoch_us;
    uint32_t head[TB_WHEEL_LEVELS][TB_WHEEL_SLOTS];
    uint64_t used[TB_WHEEL_LEVELS][TB_WHEEL_SLOTS / 64]; /* which slots hold something */
};

/* `first_node`: the node inside the first object; `now_us` becomes tick 0. Nodes must be prepared
 * with tb_wheel_node_init() before use. */
void tb_wheel_init(struct tb_wheel *w, void *first_node, uint32_t stride, uint64_t now_us);
void tb_wheel_node_init(struct tb_wheel_node *n);
static inline bool tb_wheel_is_armed(const struct tb_wheel_node *n)
{
    return n->next != TB_WHEEL_NONE;
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
