/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AF_XDP; see xdp.h and Documentation/networking/af_xdp.rst. Two rings are shared with the kernel:
 * in one we say which pieces of the memory to send, in the other it says which it is done with.
 * They need no library.
 */
#include <config.h>
#include "io/xdp.h"

#include <errno.h>

#ifdef TB_WITH_XDP

#include <linux/if_xdp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PIECES = 2048,      /* frames on their way at once; a power of two */
    PIECE_BYTES = 2048, /* one frame of up to 1500 bytes and its Ethernet header */
    SEND_BUFFER = 4 << 20,
    TRIES = 64 /* calls without progress, before the device counts as full */
};

struct ring {
    void *memory;
    size_t bytes;
    _Atomic uint32_t *producer, *consumer;
    void *entries;
};

struct tb_xdp {
    int fd;
    uint8_t *pieces;
    struct ring tx, done;
    uint32_t produced;
    uint32_t free_count;
    uint32_t free[PIECES]; /* numbers of the pieces that the kernel does not hold */
};

static int map_ring(struct tb_xdp *x, const struct xdp_ring_offset *at, size_t entry_bytes,
                    off_t which, struct ring *r)
{
    r->bytes = at->desc + PIECES * entry_bytes;
    r->memory =
        mmap(NULL, r->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, x->fd, which);
    if (r->memory == MAP_FAILED) {
        r->memory = NULL;
        return -errno;
    }
    r->producer = (_Atomic uint32_t *) (void *) ((char *) r->memory + at->producer);
    r->consumer = (_Atomic uint32_t *) (void *) ((char *) r->memory + at->consumer);
    r->entries = (char *) r->memory + at->desc;
    return 0;
}

static int set_up(struct tb_xdp *x, uint32_t ifindex)
{
    struct xdp_umem_reg memory = {.addr = (uint64_t) (uintptr_t) x->pieces,
                                  .len = PIECES * PIECE_BYTES,
                                  .chunk_size = PIECE_BYTES};
    struct sockaddr_xdp device = {
        .sxdp_family = AF_XDP, .sxdp_ifindex = ifindex, .sxdp_flags = XDP_COPY};
    struct xdp_mmap_offsets at;
    socklen_t len = sizeof at;
    int pieces = PIECES, buffer = SEND_BUFFER;

    if (setsockopt(x->fd, SOL_XDP, XDP_UMEM_REG, &memory, sizeof memory) < 0 ||
        setsockopt(x->fd, SOL_XDP, XDP_UMEM_FILL_RING, &pieces, sizeof pieces) < 0 ||
        setsockopt(x->fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &pieces, sizeof pieces) < 0 ||
        setsockopt(x->fd, SOL_XDP, XDP_TX_RING, &pieces, sizeof pieces) < 0 ||
        getsockopt(x->fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &len) < 0)
        return -errno;
    if (setsockopt(x->fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer) < 0)
        setsockopt(x->fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer); /* as much as allowed */
    int e = map_ring(x, &at.tx, sizeof(struct xdp_desc), XDP_PGOFF_TX_RING, &x->tx);
    if (e == 0)
        e = map_ring(x, &at.cr, sizeof(uint64_t), XDP_UMEM_PGOFF_COMPLETION_RING, &x->done);
    if (e == 0 && bind(x->fd, (struct sockaddr *) &device, sizeof device) < 0)
        e = -errno;
    return e;
}

int tb_xdp_open(uint32_t ifindex, struct tb_xdp **out)
{
    struct tb_xdp *x = calloc(1, sizeof *x);

    if (!x)
        return -ENOMEM;
    x->fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
    int e = x->fd < 0 ? -errno : 0;
    x->pieces = aligned_alloc(4096, PIECES * PIECE_BYTES);
    if (e == 0)
        e = x->pieces ? set_up(x, ifindex) : -ENOMEM;
    for (uint32_t i = 0; i < PIECES; i++)
        x->free[x->free_count++] = i;
    if (e)
        tb_xdp_close(x);
    else
        *out = x;
    return e;
}

void tb_xdp_close(struct tb_xdp *x)
{
    if (!x)
        return;
    if (x->tx.memory)
        munmap(x->tx.memory, x->tx.bytes);
    if (x->done.memory)
        munmap(x->done.memory, x->done.bytes);
    if (x->fd >= 0)
        close(x->fd);
    free(x->pieces);
    free(x);
}

/* Take back the pieces that the kernel is done with. */
static void take_back(struct tb_xdp *x)
{
    const uint64_t *address = x->done.entries;
    uint32_t to = atomic_load_explicit(x->done.producer, memory_order_acquire);
    uint32_t from = atomic_load_explicit(x->done.consumer, memory_order_relaxed);

    for (; from != to; from++)
        x->free[x->free_count++] = (uint32_t) (address[from % PIECES] / PIECE_BYTES);
    atomic_store_explicit(x->done.consumer, to, memory_order_release);
}

bool tb_xdp_put(struct tb_xdp *x, const uint8_t *link, uint32_t link_len, const struct tb_frame *f)
{
    if (f->gso_size && f->payload_len > f->gso_size)
        return false;
    if (x->free_count == 0)
        take_back(x);
    if (x->free_count == 0)
        return false;
    uint32_t piece = x->free[x->free_count - 1];
    uint8_t *out = x->pieces + (size_t) piece * PIECE_BYTES;
    uint32_t len = tb_frame_flatten(f, out + link_len, PIECE_BYTES - link_len);
    if (len == 0)
        return false;
    memcpy(out, link, link_len);
    x->free_count--;
    ((struct xdp_desc *) x->tx.entries)[x->produced++ % PIECES] =
        (struct xdp_desc){.addr = (uint64_t) piece * PIECE_BYTES, .len = link_len + len};
    return true;
}

void tb_xdp_send(struct tb_xdp *x)
{
    uint32_t before = atomic_load_explicit(x->tx.consumer, memory_order_acquire);

    atomic_store_explicit(x->tx.producer, x->produced, memory_order_release);
    /* A call sends 32 frames. What the device has no room for stays in the ring for the next time.
     */
    for (unsigned tries = 0; before != x->produced && tries < TRIES; tries++) {
        sendto(x->fd, NULL, 0, MSG_DONTWAIT, NULL, 0);
        uint32_t now = atomic_load_explicit(x->tx.consumer, memory_order_acquire);
        if (now != before)
            tries = 0;
        before = now;
        take_back(x);
    }
}

#else

int tb_xdp_open(uint32_t ifindex, struct tb_xdp **out)
{
    (void) ifindex;
    (void) out;
    return -EOPNOTSUPP;
}

void tb_xdp_close(struct tb_xdp *x)
{
    (void) x;
}

bool tb_xdp_put(struct tb_xdp *x, const uint8_t *link, uint32_t link_len, const struct tb_frame *f)
{
    (void) x;
    (void) link;
    (void) link_len;
    (void) f;
    return false;
}

void tb_xdp_send(struct tb_xdp *x)
{
    (void) x;
}

#endif
