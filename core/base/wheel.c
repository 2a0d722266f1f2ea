/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Timing wheel (base/wheel.h). A node waits on the level of the highest byte in which its due tick
 * differs from the wheel's, in the slot that this byte names. That is a function of the two ticks
 * alone, so cancelling finds the slot without storing it. When the wheel's tick enters a slot of an
 * upper level, the nodes there move down. Slots are circular lists: append and remove are O(1), and
 * what is due in one tick fires in the order it was armed.
 */
#include "base/wheel.h"
#include <assert.h>

enum { SLOT_MASK = TB_WHEEL_SLOTS - 1 };

struct place {
    unsigned level, slot;
};

static struct tb_wheel_node *node_at(const struct tb_wheel *w, uint32_t index)
{
    return (struct tb_wheel_node *) (w->base + (uint64_t) index * w->stride);
}

static struct place place_of(const struct tb_wheel *w, uint32_t due)
{
    uint32_t differ = due ^ (uint32_t) w->tick;
    unsigned level = differ ? (31u - (unsigned) __builtin_clz(differ)) / TB_WHEEL_SLOT_BITS : 0;
    return (struct place){level, (due >> (level * TB_WHEEL_SLOT_BITS)) & SLOT_MASK};
}

void tb_wheel_init(struct tb_wheel *w, void *first_node, uint32_t stride, uint64_t now_us)
{
    *w = (struct tb_wheel){.base = first_node, .stride = stride, .epoch_us = now_us};
    for (unsigned level = 0; level < TB_WHEEL_LEVELS; level++)
        for (unsigned slot = 0; slot < TB_WHEEL_SLOTS; slot++)
            w->head[level][slot] = TB_WHEEL_NONE;
}

void tb_wheel_node_init(struct tb_wheel_node *n)
{
    *n = (struct tb_wheel_node){.next = TB_WHEEL_NONE, .prev = TB_WHEEL_NONE};
}

/* Append to the slot of the node's due tick. */
static void link_node(struct tb_wheel *w, uint32_t index)
{
    struct tb_wheel_node *n = node_at(w, index);
    struct place at = place_of(w, n->due);
    uint32_t *head = &w->head[at.level][at.slot];
    if (*head == TB_WHEEL_NONE) {
        *head = n->next = n->prev = index;
        w->used[at.level][at.slot / 64] |= UINT64_C(1) << (at.slot % 64);
        return;
    }
    struct tb_wheel_node *first = node_at(w, *head);
    n->next = *head;
    n->prev = first->prev;
    node_at(w, first->prev)->next = index;
    first->prev = index;
}

static void unlink_node(struct tb_wheel *w, uint32_t index)
{
    struct tb_wheel_node *n = node_at(w, index);
    struct place at = place_of(w, n->due);
    uint32_t *head = &w->head[at.level][at.slot];
    if (n->next == index) {
        assert(*head == index);
        *head = TB_WHEEL_NONE;
        w->used[at.level][at.slot / 64] &= ~(UINT64_C(1) << (at.slot % 64));
    } else {
        node_at(w, n->prev)->next = n->next;
        node_at(w, n->next)->prev = n->prev;
        if (*head == index)
            *head = n->next;
    }
    n->next = n->prev = TB_WHEEL_NONE; /* `due` stays, for whoever was handed the object */
}

void tb_wheel_set(struct tb_wheel *w, uint32_t index, uint32_t due)
{
    struct tb_wheel_node *n = node_at(w, index);
    if (tb_wheel_is_armed(n))
        unlink_node(w, index);
    else
        w->armed++;
    /* What is overdue goes into the current slot, which every pop looks at. */
    n->due = (int32_t) (due - (uint32_t) w->tick) < 0 ? (uint32_t) w->tick : due;
    link_node(w, index);
}

void tb_wheel_cancel(struct tb_wheel *w, uint32_t index)
{
    if (!tb_wheel_is_armed(node_at(w, index)))
        return;
    unlink_node(w, index);
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

/* The wheel's tick has come to the start of this slot: its nodes move to lower levels. */
static void move_down(struct tb_wheel *w, unsigned level)
{
    unsigned slot = (unsigned) (w->tick >> (level * TB_WHEEL_SLOT_BITS)) & SLOT_MASK;
    uint32_t first = w->head[level][slot], index = first;
    w->head[level][slot] = TB_WHEEL_NONE;
    w->used[level][slot / 64] &= ~(UINT64_C(1) << (slot % 64));
    do {
        uint32_t next = node_at(w, index)->next;
        link_node(w, index);
        index = next;
    } while (index != first);
}

uint32_t tb_wheel_pop(struct tb_wheel *w, uint64_t now_us)
{
    uint64_t now = now_us <= w->epoch_us ? 0 : (now_us - w->epoch_us) >> TB_WHEEL_TICK_SHIFT;
    for (;;) {
        uint32_t index = w->head[0][w->tick & SLOT_MASK];
        if (index != TB_WHEEL_NONE) {
            unlink_node(w, index);
            w->armed--;
            return index;
        }
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
    if (w->head[0][tick & SLOT_MASK] == TB_WHEEL_NONE)
        tick = next_slot(w, &level);
    return w->epoch_us + (tick << TB_WHEEL_TICK_SHIFT);
}
