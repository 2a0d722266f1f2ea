/* SPDX-License-Identifier: BSD-2-Clause */
/* Ranges and sessions of the intercept channel's clients; see route.h. */
#include "relay/route.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "base/siphash.h"

/* --- ranges ----------------------------------------------------------------------------------- */

static uint64_t be64(const uint8_t *b)
{
    uint64_t value;

    memcpy(&value, b, sizeof value);
    return __builtin_bswap64(value);
}

static struct tb_route_span span_of(const struct tb_relay_range *range, uint32_t owner)
{
    uint64_t first = be64(range->first.b + 8);

    return (struct tb_route_span){.high = be64(range->first.b),
                                  .first = first,
                                  .last = first + (range->count - 1),
                                  .owner = owner};
}

static int compare(const void *a, const void *b)
{
    const struct tb_route_span *x = a, *y = b;

    if (x->high != y->high)
        return x->high < y->high ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* Do they overlap or touch? `a` does not begin behind `b`. Like ranges, spans stay within the
 * addresses that differ in the last 32 bits only. */
static bool are_neighbours(const struct tb_route_span *a, const struct tb_route_span *b)
{
    return a->high == b->high && a->first >> 32 == b->first >> 32 &&
           (b->first <= a->last || b->first == a->last + 1);
}

/* Join neighbours of the same owner; the new count. */
static uint32_t join(struct tb_route_span *spans, uint32_t count)
{
    uint32_t used = 0;

    for (uint32_t i = 0; i < count; i++) {
        struct tb_route_span *last = used ? &spans[used - 1] : NULL;
        if (last && last->owner == spans[i].owner && are_neighbours(last, &spans[i]))
            last->last = last->last > spans[i].last ? last->last : spans[i].last;
        else
            spans[used++] = spans[i];
    }
    return used;
}

void tb_route_fini(struct tb_route_table *t)
{
    free(t->spans);
    *t = (struct tb_route_table){0};
}

int tb_route_add(struct tb_route_table *t, const struct tb_relay_range *ranges, uint32_t count,
                 uint32_t owner)
{
    if (count == 0)
        return 0;
    struct tb_route_span *spans = realloc(t->spans, (t->count + count) * sizeof *spans);
    if (!spans)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        spans[t->count + i] = span_of(&ranges[i], owner);
    qsort(spans, t->count + count, sizeof *spans, compare);
    t->spans = spans;
    t->count = join(spans, t->count + count);
    return 0;
}

void tb_route_remove(struct tb_route_table *t, uint32_t owner)
{
    uint32_t used = 0;

    for (uint32_t i = 0; i < t->count; i++)
        if (t->spans[i].owner != owner)
            t->spans[used++] = t->spans[i];
    t->count = used;
}

/* The first span that does not end before (high, low). */
static uint32_t lower_bound(const struct tb_route_table *t, uint64_t high, uint64_t low)
{
    uint32_t from = 0, to = t->count;

    while (from < to) {
        uint32_t mid = (from + to) / 2;
        const struct tb_route_span *s = &t->spans[mid];
        if (s->high < high || (s->high == high && s->last < low))
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

uint32_t tb_route_overlap(const struct tb_route_table *t, const struct tb_relay_range *ranges,
                          uint32_t count, uint32_t *which)
{
    for (uint32_t i = 0; i < count; i++) {
        struct tb_route_span s = span_of(&ranges[i], 0);
        uint32_t at = lower_bound(t, s.high, s.first);
        if (at == t->count || t->spans[at].high != s.high || t->spans[at].first > s.last)
            continue;
        *which = i;
        return t->spans[at].owner;
    }
    return TB_ROUTE_NOBODY;
}

uint32_t tb_route_find(const struct tb_route_table *t, const struct tb_addr *addr)
{
    uint64_t high = be64(addr->b), low = be64(addr->b + 8);
    uint32_t at = lower_bound(t, high, low);

    if (at == t->count || t->spans[at].high != high || t->spans[at].first > low)
        return TB_ROUTE_NOBODY;
    return t->spans[at].owner;
}

static struct tb_relay_range range_of(const struct tb_route_span *s)
{
    struct tb_relay_range r = {.count = s->last - s->first + 1};
    uint64_t high = __builtin_bswap64(s->high), low = __builtin_bswap64(s->first);

    memcpy(r.first.b, &high, 8);
    memcpy(r.first.b + 8, &low, 8);
    return r;
}

uint32_t tb_route_ranges(const struct tb_route_table *t, struct tb_relay_range *out)
{
    uint32_t used = 0;

    for (uint32_t i = 0; i < t->count; i++) {
        struct tb_relay_range r = range_of(&t->spans[i]);
        struct tb_relay_range *last = used ? &out[used - 1] : NULL;
        if (last && memcmp(last->first.b, r.first.b, 12) == 0 &&
            tb_addr_low32(&last->first) + last->count == tb_addr_low32(&r.first))
            last->count += r.count;
        else
            out[used++] = r;
    }
    return used;
}

/* --- sessions --------------------------------------------------------------------------------- */

enum { PLACES_MIN = 1024 };

/* `owner` counts from 1; 0: free. */
struct tb_session_slot {
    struct tb_addr addr;
    uint16_t port, owner;
};

static uint32_t home(const struct tb_sessions *s, const struct tb_addr *addr, uint16_t port)
{
    uint8_t name[18];

    memcpy(name, addr->b, 16);
    memcpy(name + 16, &port, 2);
    return (uint32_t) tb_siphash(s->key, name, sizeof name) & (s->places - 1);
}

/* Where it is, or the free place where it would be. */
static struct tb_session_slot *probe(const struct tb_sessions *s, const struct tb_addr *addr,
                                     uint16_t port)
{
    for (uint32_t i = home(s, addr, port);; i = (i + 1) & (s->places - 1)) {
        struct tb_session_slot *slot = &s->slots[i];
        if (!slot->owner || (slot->port == port && tb_addr_eq(&slot->addr, addr)))
            return slot;
    }
}

void tb_sessions_fini(struct tb_sessions *s)
{
    free(s->slots);
    *s = (struct tb_sessions){0};
}

bool tb_sessions_has_room(const struct tb_sessions *s, uint32_t more)
{
    return (uint64_t) s->count + more <= s->places / 2;
}

int tb_sessions_copy(const struct tb_sessions *s, uint32_t more, struct tb_sessions *out)
{
    struct tb_sessions c = {.places = PLACES_MIN};

    while ((uint64_t) s->count + more > c.places / 2)
        c.places *= 2;
    c.slots = calloc(c.places, sizeof *c.slots);
    if (!c.slots)
        return -ENOMEM;
    /* Without randomness at boot the table is merely as good as an unkeyed one. */
    (void) !getrandom(c.key, sizeof c.key, GRND_NONBLOCK);
    for (uint32_t i = 0; i < s->places; i++) {
        const struct tb_session_slot *slot = &s->slots[i];
        if (slot->owner)
            *probe(&c, &slot->addr, slot->port) = *slot;
    }
    c.count = s->count;
    *out = c;
    return 0;
}

int tb_sessions_put(struct tb_sessions *s, const struct tb_endpoint *session, uint32_t owner)
{
    struct tb_session_slot *slot = probe(s, &session->addr, session->port);

    if (slot->owner)
        return slot->owner == owner + 1 ? 0 : -EEXIST;
    *slot = (struct tb_session_slot){session->addr, session->port, (uint16_t) (owner + 1)};
    s->count++;
    return 0;
}

/* Whoever was pushed on by the removed one moves back, so that no gap ends a search early
 * (Knuth, The Art of Computer Programming 3, 6.4, algorithm R). */
static void close_gap(struct tb_sessions *s, uint32_t gap)
{
    uint32_t mask = s->places - 1;

    for (uint32_t i = (gap + 1) & mask; s->slots[i].owner; i = (i + 1) & mask) {
        uint32_t wish = home(s, &s->slots[i].addr, s->slots[i].port);
        if (((i - wish) & mask) < ((i - gap) & mask))
            continue; /* its home lies behind the gap */
        s->slots[gap] = s->slots[i];
        gap = i;
    }
    s->slots[gap].owner = 0;
}

int tb_sessions_remove(struct tb_sessions *s, const struct tb_endpoint *session, uint32_t owner)
{
    if (s->count == 0)
        return -ENOENT;
    struct tb_session_slot *slot = probe(s, &session->addr, session->port);
    if (slot->owner != owner + 1)
        return -ENOENT;
    close_gap(s, (uint32_t) (slot - s->slots));
    s->count--;
    return 0;
}

void tb_sessions_remove_all(struct tb_sessions *s, uint32_t owner)
{
    for (uint32_t i = 0; i < s->places; i++) {
        while (s->slots[i].owner == owner + 1) {
            close_gap(s, i);
            s->count--;
        }
    }
}

uint32_t tb_sessions_find(const struct tb_sessions *s, const struct tb_addr *addr, uint16_t port)
{
    if (s->count == 0)
        return TB_ROUTE_NOBODY;
    const struct tb_session_slot *slot = probe(s, addr, port);
    return slot->owner ? slot->owner - 1u : TB_ROUTE_NOBODY;
}
