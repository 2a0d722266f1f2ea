/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packet I/O in memory: a queue each way. Used by tests, the simulator and the engine benchmark.
 * Packets are kept in nodes that are used again, so that after warm-up nothing is allocated.
 */
#include "io/backends.h"
#include "io/backend.h"

#include <errno.h>
#include <stdlib.h>

struct mem_node {
    struct mem_node *next;
    uint32_t len, room;
    uint32_t wire_len; /* as in struct tb_packet */
    uint64_t time_us;
    uint8_t data[];
};

struct mem_queue {
    struct mem_node *first, **end; /* `end`: where the next one is hung up */
};

struct mem_io {
    struct tb_io io;
    struct mem_queue in, out;
    struct mem_queue lent; /* handed up by the last recv() */
    struct mem_node *unused;
};

static void queue_init(struct mem_queue *q)
{
    q->first = NULL;
    q->end = &q->first;
}

static void queue_push(struct mem_queue *q, struct mem_node *n)
{
    n->next = NULL;
    *q->end = n;
    q->end = &n->next;
}

static struct mem_node *queue_pop(struct mem_queue *q)
{
    struct mem_node *n = q->first;
    if (n) {
        q->first = n->next;
        if (!q->first)
            q->end = &q->first;
    }
    return n;
}

/* A node for `len` bytes. Small packets are by far the most: all nodes are made for a full frame,
 * and what is longer grows its node. */
static struct mem_node *node_take(struct mem_io *m, uint32_t len)
{
    struct mem_node *n = m->unused;
    if (n)
        m->unused = n->next;
    if (!n || n->room < len) {
        uint32_t room = len < 2048 ? 2048 : len;
        struct mem_node *grown = realloc(n, sizeof *n + room);
        if (!grown) {
            free(n);
            return NULL;
        }
        n = grown;
        n->room = room;
    }
    n->len = len;
    return n;
}

static void node_give(struct mem_io *m, struct mem_node *n)
{
    n->next = m->unused;
    m->unused = n;
}

static uint32_t mem_recv(struct tb_io *io, struct tb_packet *packets, uint32_t max)
{
    struct mem_io *m = (struct mem_io *) io;
    struct mem_node *n;
    while ((n = queue_pop(&m->lent)))
        node_give(m, n);
    uint32_t count = 0;
    while (count < max && (n = queue_pop(&m->in))) {
        packets[count++] = (struct tb_packet){
            .data = n->data, .len = n->len, .wire_len = n->wire_len, .time_us = n->time_us};
        queue_push(&m->lent, n);
    }
    io->counters.received += count;
    return count;
}

static void mem_send(struct tb_io *io, struct tb_frame *frames, uint32_t count)
{
    struct mem_io *m = (struct mem_io *) io;
    for (uint32_t i = 0; i < count; i++) {
        const struct tb_frame *f = &frames[i];
        struct mem_node *n = node_take(m, f->head_len + f->payload_len);
        if (!n) {
            io->counters.enobufs++;
            continue;
        }
        tb_frame_flatten(f, n->data, n->len);
        queue_push(&m->out, n);
        io->counters.sent++;
    }
}

static void mem_wait(struct tb_io *io, uint64_t timeout_us)
{
    /* Time is the test's: nothing can arrive while its one thread sleeps. */
    (void) io;
    (void) timeout_us;
}

static void mem_close(struct tb_io *io)
{
    struct mem_io *m = (struct mem_io *) io;
    struct mem_queue *queues[] = {&m->in, &m->out, &m->lent};
    struct mem_node *n;
    for (size_t i = 0; i < sizeof queues / sizeof queues[0]; i++)
        while ((n = queue_pop(queues[i])))
            free(n);
    while ((n = m->unused)) {
        m->unused = n->next;
        free(n);
    }
    free(m);
}

static const struct tb_io_ops mem_ops = {
    .name = "mem",
    .recv = mem_recv,
    .send = mem_send,
    .wait = mem_wait,
    .close = mem_close,
};

int tb_mem_open(struct tb_io **out, uint32_t gso_max)
{
    struct mem_io *m = calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    m->io.ops = &mem_ops;
    m->io.caps = (struct tb_io_caps){.gso_max = gso_max, .checksum = true};
    queue_init(&m->in);
    queue_init(&m->out);
    queue_init(&m->lent);
    *out = &m->io;
    return 0;
}

int tb_mem_inject_packet(struct tb_io *io, const struct tb_packet *packet)
{
    struct mem_io *m = (struct mem_io *) io;
    struct mem_node *n = node_take(m, packet->len);
    if (!n)
        return -ENOMEM;
    memcpy(n->data, packet->data, packet->len);
    n->wire_len = packet->wire_len;
    n->time_us = packet->time_us;
    queue_push(&m->in, n);
    return 0;
}

int tb_mem_inject(struct tb_io *io, const uint8_t *packet, uint32_t len)
{
    return tb_mem_inject_packet(io, &(struct tb_packet){.data = packet, .len = len});
}

uint32_t tb_mem_take(struct tb_io *io, uint8_t *out, uint32_t room)
{
    struct mem_io *m = (struct mem_io *) io;
    struct mem_node *n = queue_pop(&m->out);
    if (!n)
        return 0;
    uint32_t len = n->len <= room ? n->len : 0;
    memcpy(out, n->data, len);
    node_give(m, n);
    return len;
}
