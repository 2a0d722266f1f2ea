/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A tap: a source of packets that pass by and are only looked at, not ours to answer. Live ones
 * come from devices (io/tap_device.c), recorded ones from files at their own pace
 * (trace/tap_file.c). Read by engine/live.c, one tap per worker; nothing in it is shared.
 */
#ifndef TB_PACKET_TAP_H
#define TB_PACKET_TAP_H

#include <stdbool.h>
#include <stdint.h>

/* A packet, from its IP header on, valid until the next recv() on the same tap. */
struct tb_tapped {
    const uint8_t *data;
    uint32_t len;      /* bytes at `data` */
    uint32_t wire_len; /* bytes of the packet when it passed, at least `len` */
    uint64_t time_us;  /* when it passed, since 1970 */
};

struct tb_tap;

struct tb_tap_ops {
    /* Up to `max` packets that have passed by `now_us` (since 1970), without waiting. */
    uint32_t (*recv)(struct tb_tap *t, struct tb_tapped *packets, uint32_t max, uint64_t now_us);
    /* Nothing to be had: when to look again at the latest (since 1970; UINT64_MAX: when `fd` is
     * readable). To be asked before sleeping: from then on `fd` tells of new packets; 0: there are
     * some already. Sets `fd`: while there is traffic it is -1, and one looks again at the time
     * said, rather than be woken by packets. */
    uint64_t (*next_us)(struct tb_tap *t);
    /* Only clients of these groups (bit by bit, io/backends.h) are wanted from now on, apart from
     * SYNs and what does not show whose it is: no more than a hint. NULL: it takes none. */
    void (*groups)(struct tb_tap *t, uint32_t groups);
    /* How many eighths of the room for packets are full of such as are not read yet, 0 … 7. NULL:
     * they wait as long as one likes. */
    uint32_t (*backlog)(struct tb_tap *t);
    /* Packets lost so far because they were not read in time. */
    uint64_t (*drops)(struct tb_tap *t);
    void (*close)(struct tb_tap *t);
};

/* First member of every tap's own struct. */
struct tb_tap {
    const struct tb_tap_ops *ops;
    int fd;       /* pollable; -1: none, until next_us() is asked again */
    bool is_over; /* nothing will come any more: a file's end */
};

static inline uint32_t tb_tap_recv(struct tb_tap *t, struct tb_tapped *packets, uint32_t max,
                                   uint64_t now_us)
{
    return t->ops->recv(t, packets, max, now_us);
}
static inline uint64_t tb_tap_next_us(struct tb_tap *t)
{
    return t->ops->next_us(t);
}
static inline void tb_tap_groups(struct tb_tap *t, uint32_t groups)
{
    if (t->ops->groups)
        t->ops->groups(t, groups);
}
static inline uint32_t tb_tap_backlog(struct tb_tap *t)
{
    return t->ops->backlog ? t->ops->backlog(t) : 0;
}
static inline uint64_t tb_tap_drops(struct tb_tap *t)
{
    return t->ops->drops(t);
}
/* NULL is fine. */
static inline void tb_tap_close(struct tb_tap *t)
{
    if (t)
        t->ops->close(t);
}

#endif
