/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Timing wheel (base/wheel.h). An object waits on the level of the highest byte in which its due
 * tick differs from the wheel's, in the slot that this byte names. That is a function of the two
 * ticks alone, so cancelling finds the slot without storing it. When the wheel's tick enters a slot
 * of an upper level, the objects there move down. A slot's chunks are a list in the order of
 * arming: append and remove are O(1), and what is due in one tick fires in the order it was armed.
 */
#include "base/wheel.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include "base/large.h"

enum { SLOT_MASK = TB_WHEEL_SLOTS - 1, ENTRY_BITS = 4, ENTRY_MASK = (1 << ENTRY_BITS) - 1 };

_Static_assert(sizeof(struct tb_wheel_chunk) == 64 && TB_WHEEL_CHUNK < 1 << ENTRY_BITS,
               "a chunk is a cache line, and its entries have numbers");

struct place {
    unsigned level, slot;
};

static struct place place_of(const struct tb_wheel *w, uint32_t due)
{
    uint32_t differ = due ^ (uint32_t) w->tick;
    unsigned level = differ ? (31u - (unsigned) __builtin_clz(differ)) / TB_WHEEL_SLOT_BITS : 0;
    return (struct place){level, (due >> (level * TB_WHEEL_SLOT_BITS)) & SLOT_MASK};
}

int tb_wheel_init(struct tb_wheel *w, uint32_t count, uint64_t now_us)
{
    *w = (struct tb_wheel){.epoch_us = now_us, .fresh = 1};
    if (count > 1u << (32 - ENTRY_BITS))
        return -EINVAL;
    /* One chunk more, for an object that moves from the last one. They begin with the place that
     * number 0 would have. Only what is used of them is ever touched. */
    w->nodes = tb_large_new(count ? count : 1, sizeof *w->nodes);
    w->chunks = aligned_alloc(sizeof *w->chunks, ((size_t) count + 2) * sizeof *w->chunks);
    return w->nodes && w->chunks ? 0 : -ENOMEM;
}

void tb_wheel_fini(struct tb_wheel *w)
{
    free(w->nodes);
    free(w->chunks);
    w->nodes = NULL;
    w->chunks = NULL;
}

/* --- a slot's queue --------------------------------------------------------------------------- */

/* One more chunk at the end. */
static uint32_t add_chunk(struct tb_wheel *w, struct tb_wheel_slot *s)
{
    uint32_t n = w->unused;

    if (n)
        w->unused = w->chunks[n].next;
    else
        n = w->fresh++;
    struct tb_wheel_chunk *c = &w->chunks[n];
    c->next = 0;
    c->prev = s->last;
    c->begin = c->end = c->live = 0;
    if (s->last)
        w->chunks[s->last].next = n;
    else
        s->first = n;
    s->last = n;
    return n;
}

static void give_chunk(struct tb_wheel *w, uint32_t n)
{
    w->chunks[n].next = w->unused;
    w->unused = n;
}

/* An empty one. */
static void remove_chunk(struct tb_wheel *w, uint32_t n, struct place at)
{
    struct tb_wheel_slot *s = &w->slot[at.level][at.slot];
    const struct tb_wheel_chunk *c = &w->chunks[n];

    if (c->prev)
        w->chunks[c->prev].next = c->next;
    else
        s->first = c->next;
    if (c->next)
        w->chunks[c->next].prev = c->prev;
    else
        s->last = c->prev;
    if (!s->first)
        w->used[at.level][at.slot / 64] &= ~(UINT64_C(1) << (at.slot % 64));
    give_chunk(w, n);
}

/* Append to the slot of the object's due tick. */
static void append(struct tb_wheel *w, uint32_t index)
{
    struct tb_wheel_node *n = &w->nodes[index];
    struct place at = place_of(w, n->due);
    struct tb_wheel_slot *s = &w->slot[at.level][at.slot];
    uint32_t last = s->last;

    if (!last || w->chunks[last].end == TB_WHEEL_CHUNK) {
        last = add_chunk(w, s);
        w->used[at.level][at.slot / 64] |= UINT64_C(1) << (at.slot % 64);
    }
    struct tb_wheel_chunk *c = &w->chunks[last];
    n->at = last << ENTRY_BITS | c->end;
    c->entry[c->end++] = index;
    c->live++;
}

static void take_out(struct tb_wheel *w, uint32_t index)
{
    struct tb_wheel_node *n = &w->nodes[index];
    struct tb_wheel_chunk *c = &w->chunks[n->at >> ENTRY_BITS];

    c->entry[n->at & ENTRY_MASK] = TB_WHEEL_NONE;
    if (--c->live == 0)
        remove_chunk(w, n->at >> ENTRY_BITS, place_of(w, n->due));
    n->at = 0; /* `due` stays, for whoever was handed the object */
}

static void prefetch_nodes(const struct tb_wheel *w, const struct tb_wheel_chunk *c)
{
    for (unsigned i = c->begin; i < c->end; i++)
        if (c->entry[i] != TB_WHEEL_NONE)
            tb_wheel_prefetch(w, c->entry[i]);
}

/* --- setting and firing ----------------------------------------------------------------------- */

void tb_wheel_set(struct tb_wheel *w, uint32_t index, uint32_t due)
{
    if (tb_wheel_is_armed(w, index))
        take_out(w, index);
    else
        w->armed++;
    /* What is overdue goes into the current slot, which every pop looks at. */
    w->nodes[index].due = (int32_t) (due - (uint32_t) w->tick) < 0 ? (uint32_t) w->tick : due;
    append(w, index);
}

void tb_wheel_cancel(struct tb_wheel *w, uint32_t index)
{
    if (!tb_wheel_is_armed(w, index))
        return;
    take_out(w, index);
    w->armed--;
}

/* The first used slot of a level in [from, to); -1 when there is none. */
static int find_used(const struct tb_wheel *w, unsigned level, unsigned from, unsigned to)
{
    for (unsigned word = from / 64; word * 64 < to; word++) {
        uint64_t bits = w->used[level][word];
        if (word == from / 64)
            bits &= ~UINT64_C(0) << (from % 64);
        if (!bits)
            continue;
        unsigned slot = word * 64 + (unsigned) __builtin_ctzll(bits);
        return slot < to ? (int) slot : -1;
    }
    return -1;
}

/*
 * The first tick behind the current one at which a used slot begins, and its level. Lower levels
 * lie wholly before the used slots of higher ones. At least one node must be armed outside of the
 * current slot.
 */
static uint64_t next_slot(const struct tb_wheel *w, unsigned *level)
{
    for (*level = 0;; ++*level) {
        unsigned shift = *level * TB_WHEEL_SLOT_BITS;
        unsigned now = (unsigned) (w->tick >> shift) & SLOT_MASK;
        uint64_t turn = w->tick >> shift >> TB_WHEEL_SLOT_BITS;
        int slot = find_used(w, *level, now + 1, TB_WHEEL_SLOTS);
        if (slot < 0 && *level == TB_WHEEL_LEVELS - 1) {
            /* Only the top level wraps: below it, what lies behind the end is one level up. */
            slot = find_used(w, *level, 0, now);
            assert(slot >= 0);
            turn++;
        }
        if (slot >= 0)
            return (turn << TB_WHEEL_SLOT_BITS | (unsigned) slot) << shift;
    }
}

/* The wheel's tick has come to the start of this slot: its objects move to lower levels. */
static void move_down(struct tb_wheel *w, unsigned level)
{
    unsigned slot = (unsigned) (w->tick >> (level * TB_WHEEL_SLOT_BITS)) & SLOT_MASK;
    uint32_t n = w->slot[level][slot].first;

    w->slot[level][slot] = (struct tb_wheel_slot){0, 0};
    w->used[level][slot / 64] &= ~(UINT64_C(1) << (slot % 64));
    while (n) {
        const struct tb_wheel_chunk *c = &w->chunks[n];
        uint32_t next = c->next;
        __builtin_prefetch(&w->chunks[next]);
        prefetch_nodes(w, c);
        for (unsigned i = c->begin; i < c->end; i++)
            if (c->entry[i] != TB_WHEEL_NONE)
                append(w, c->entry[i]);
        give_chunk(w, n);
        n = next;
    }
}

/* The first object of the current slot, taken out. */
static uint32_t take_first(struct tb_wheel *w, struct tb_wheel_slot *s)
{
    struct tb_wheel_chunk *c = &w->chunks[s->first];

    if (c->begin == 0) {
        prefetch_nodes(w, c);
        __builtin_prefetch(&w->chunks[c->next]);
    }
    while (c->entry[c->begin] == TB_WHEEL_NONE)
        c->begin++;
    uint32_t index = c->entry[c->begin++];
    take_out(w, index);
    w->armed--;
    return index;
}

uint32_t tb_wheel_pop(struct tb_wheel *w, uint64_t now_us)
{
    uint64_t now = now_us <= w->epoch_us ? 0 : (now_us - w->epoch_us) >> TB_WHEEL_TICK_SHIFT;
    for (;;) {
        struct tb_wheel_slot *s = &w->slot[0][w->tick & SLOT_MASK];
        if (s->first)
            return take_first(w, s);
        if (w->tick >= now)
            return TB_WHEEL_NONE;
        unsigned level = 0;
        uint64_t next = w->armed ? next_slot(w, &level) : UINT64_MAX;
        if (next > now) {
            w->tick = now;
            return TB_WHEEL_NONE;
        }
        w->tick = next;
        if (level > 0)
            move_down(w, level);
    }
}

uint64_t tb_wheel_next_us(const struct tb_wheel *w)
{
    if (w->armed == 0)
        return UINT64_MAX;
    unsigned level;
    uint64_t tick = w->tick;
    if (!w->slot[0][tick & SLOT_MASK].first)
        tick = next_slot(w, &level);
    return w->epoch_us + (tick << TB_WHEEL_TICK_SHIFT);
}
