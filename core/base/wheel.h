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

/* `due` is a tick; an unarmed node has slot TB_WHEEL_NONE in `where`. */
struct tb_wheel_node {
    uint32_t next, prev; /* object indexes, TB_WHEEL_NONE at the ends */
    uint32_t due;        /* tick number (wraps with the wheel) */
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
bool tb_wheel_is_armed(const struct tb_wheel_node *n);

/* The tick at or after `us`, so that a timer never fires early. */
static inline uint32_t tb_wheel_tick_of(const struct tb_wheel *w, uint64_t us)
{
    if (us <= w->epoch_us)
        return 0;
    return (uint32_t) ((us - w->epoch_us + (1u << TB_WHEEL_TICK_SHIFT) - 1) >> TB_WHEEL_TICK_SHIFT);
}

static inline uint64_t tb_wheel_us_of(const struct tb_wheel *w, uint32_t tick)
{
    return w->epoch_us + ((uint64_t) tick << TB_WHEEL_TICK_SHIFT);
}

/* Arm object `index` for `due` (a tick; one in the past fires at the next advance), moving it when
 * it is armed already. */
void tb_wheel_set(struct tb_wheel *w, uint32_t index, uint32_t due);
void tb_wheel_cancel(struct tb_wheel *w, uint32_t index);

/* Hand out one object due at or before now, disarmed; TB_WHEEL_NONE when there is none. Call until
 * it says so. Objects handed out may be armed again at once. */
uint32_t tb_wheel_pop(struct tb_wheel *w, uint64_t now_us);

/* A time at or before the next deadline, for sleeping: exact within the lowest level, the start of
 * a slot above it. UINT64_MAX when nothing is armed. */
uint64_t tb_wheel_next_us(const struct tb_wheel *w);

#endif
