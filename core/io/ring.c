/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The TPACKET_V2 ring; see ring.h, packet(7) and Documentation/networking/packet_mmap.rst.
 *
 * V2, because V3 hands over blocks with a delay of milliseconds. Its slots all have one size, and a
 * received packet may have 64 KB (GRO, or TSO over veth): slots are made for one full frame, and
 * what is longer also comes through the socket's queue (PACKET_COPY_THRESH), with one call for many
 * segments. Slots for 64 KB would take 32 times the memory.
 */
#include "io/ring.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include "io/backend.h"
#include "packet/view.h"

enum {
    BLOCK_BYTES = 64 << 10,
    SLOT_LEAST = 2048,
    SLOT_MOST = 16384,
    QUEUE_BYTES = 64 << 20,      /* long packets, as the kernel counts them */
    LONG_MAX = (512 << 10) + 40, /* BIG TCP; nearly all end at 64 KB */
    LONG_USUAL = 256 << 10,      /* as many long packets in one recv() */
    LONG_ROOM = LONG_USUAL + LONG_MAX
};

struct tb_ring {
    int fd;
    struct ifreq device; /* its name; and its index when it was bound (empty and 0: all) */
    uint8_t *memory;     /* [bytes] */
    uint32_t bytes, slot_bytes, slots;
    uint32_t next;      /* slot that will be filled next */
    uint32_t lent;      /* slots before it that were handed up, and are the kernel's again later */
    uint8_t *long_room; /* LONG_ROOM */
};

/* --- receiving ------------------------------------------------------------------------------ */

static struct tpacket2_hdr *slot_at(struct tb_ring *r, uint32_t i)
{
    return (struct tpacket2_hdr *) (r->memory + (size_t) i * r->slot_bytes);
}

/* The kernel's headers declare no atomics: hence the compiler's own. */
static uint32_t slot_status(const struct tpacket2_hdr *h)
{
    return __atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE);
}

static void give_back(struct tb_ring *r)
{
    for (; r->lent; r->lent--) {
        uint32_t i = (r->next + r->slots - r->lent) % r->slots;
        __atomic_store_n(&slot_at(r, i)->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    }
}

/* A packet longer than its slot comes in full through the socket's queue; NULL: it got lost there.
 */
static uint8_t *take_long(struct tb_ring *r, uint32_t status, uint32_t *used, uint32_t *len)
{
    if (!(status & TP_STATUS_COPY))
        return NULL;
    uint8_t *at = r->long_room + *used;
    ssize_t n = recv(r->fd, at, LONG_MAX, MSG_DONTWAIT);
    if (n <= 0)
        return NULL;
    *used += (uint32_t) n;
    *len = (uint32_t) n;
    return at;
}

/* Where neither a device nor the kernel has looked at the checksum, and the packet is whole. */
static bool is_broken(const uint8_t *data, uint32_t len, uint32_t wire_len, uint32_t status)
{
    struct tb_ip ip;
    if (status & (TP_STATUS_CSUMNOTREADY | TP_STATUS_CSUM_VALID) || len < wire_len)
        return false;
    return tb_ip_parse(data, len, &ip) == 0 && ip.proto == TB_PROTO_TCP && !ip.more_fragments &&
           !ip.fragment_offset && !tb_segment_checksum_ok(&ip);
}

/* False: the packet was cut by its slot, and lost; or its checksum is wrong. */
static bool take(struct tb_ring *r, struct tpacket2_hdr *h, uint32_t status, uint32_t *long_used,
                 struct tb_ring_packet *out)
{
    uint8_t *data = (uint8_t *) h + h->tp_net;
    uint32_t len = h->tp_snaplen;
    /* Cut: by the slot when it fills the slot, else by the filter, as wished. */
    if (len < h->tp_len && h->tp_net + len >= r->slot_bytes)
        data = take_long(r, status, long_used, &len);
    if (!data)
        return false;
    uint32_t wire_len = tb_ip_length(data, len, h->tp_len);
    if (is_broken(data, len, wire_len, status))
        return false;
    *out = (struct tb_ring_packet){
        .data = data,
        .len = len < wire_len ? len : wire_len,
        .wire_len = wire_len,
        .real_us = (uint64_t) h->tp_sec * 1000000 + h->tp_nsec / 1000,
        .unsummed = status & TP_STATUS_CSUMNOTREADY,
    };
    return true;
}

uint32_t tb_ring_recv(struct tb_ring *r, struct tb_ring_packet *packets, uint32_t max,
                      uint64_t *dropped)
{
    uint32_t count = 0, long_used = 0;
    give_back(r);
    while (count < max && r->lent < r->slots && LONG_ROOM - long_used >= LONG_MAX) {
        struct tpacket2_hdr *h = slot_at(r, r->next);
        uint32_t status = slot_status(h);
        if (!(status & TP_STATUS_USER))
            break;
        if (take(r, h, status, &long_used, &packets[count]))
            count++;
        else
            ++*dropped;
        r->next = r->next + 1 == r->slots ? 0 : r->next + 1;
        r->lent++;
    }
    return count;
}

bool tb_ring_wait_prepare(struct tb_ring *r)
{
    give_back(r);
    return !(slot_status(slot_at(r, r->next)) & TP_STATUS_USER);
}

int tb_ring_fd(const struct tb_ring *r)
{
    return r->fd;
}

bool tb_ring_has_more(struct tb_ring *r)
{
    return r->lent < r->slots && slot_status(slot_at(r, r->next)) & TP_STATUS_USER;
}

uint32_t tb_ring_eighths(struct tb_ring *r)
{
    uint32_t full = 0;
    while (full < 7) {
        uint32_t ahead = (uint32_t) ((uint64_t) r->slots * (full + 1) / 8);
        if (ahead + r->lent >= r->slots ||
            !(slot_status(slot_at(r, (r->next + ahead) % r->slots)) & TP_STATUS_USER))
            break;
        full++;
    }
    return full;
}

uint64_t tb_ring_drops(struct tb_ring *r)
{
    struct tpacket_stats st; /* reading clears them in the kernel */
    socklen_t len = sizeof st;
    return getsockopt(r->fd, SOL_PACKET, PACKET_STATISTICS, &st, &len) == 0 ? st.tp_drops : 0;
}

/* --- filter and fanout ---------------------------------------------------------------------- */

int tb_ring_filter(struct tb_ring *r, const struct sock_filter *program, uint32_t len)
{
    static const struct sock_filter nothing = {.code = BPF_RET | BPF_K};
    struct sock_fprog p = {.len = (uint16_t) (len ? len : 1),
                           .filter = (struct sock_filter *) (len ? program : &nothing)};
    return setsockopt(r->fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof p) < 0 ? -errno : 0;
}

int tb_ring_fanout(struct tb_ring *r, const struct sock_filter *program, uint32_t len, int *group)
{
    uint32_t how = PACKET_FANOUT_CBPF;
    if (*group < 0)
        how |= PACKET_FANOUT_FLAG_UNIQUEID;
    uint32_t argument = (*group < 0 ? 0 : (uint32_t) *group) | how << 16;
    socklen_t argument_len = sizeof argument;
    if (setsockopt(r->fd, SOL_PACKET, PACKET_FANOUT, &argument, sizeof argument) < 0)
        return -errno;
    if (*group >= 0)
        return 0;
    struct sock_fprog p = {.len = (uint16_t) len, .filter = (struct sock_filter *) program};
    if (getsockopt(r->fd, SOL_PACKET, PACKET_FANOUT, &argument, &argument_len) < 0 ||
        setsockopt(r->fd, SOL_PACKET, PACKET_FANOUT_DATA, &p, sizeof p) < 0)
        return -errno;
    *group = (int) (argument & 0xffff);
    return 0;
}

static int bind_device(struct tb_ring *r)
{
    struct sockaddr_ll addr = {.sll_family = AF_PACKET,
                               .sll_protocol = htobe16(ETH_P_ALL),
                               .sll_ifindex = r->device.ifr_ifindex};
    return bind(r->fd, (struct sockaddr *) &addr, sizeof addr) < 0 ? -errno : 0;
}

int tb_ring_promiscuous(struct tb_ring *r, uint32_t ifindex)
{
    struct packet_mreq m = {.mr_ifindex = (int) ifindex, .mr_type = PACKET_MR_PROMISC};
    return setsockopt(r->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof m) < 0 ? -errno : 0;
}

int tb_ring_follow(struct tb_ring *r)
{
    struct ifreq now = r->device;
    if (!now.ifr_ifindex || ioctl(r->fd, SIOCGIFINDEX, &now) < 0 ||
        now.ifr_ifindex == r->device.ifr_ifindex)
        return 0;
    r->device = now;
    int e = bind_device(r);
    return e ? e : now.ifr_ifindex;
}

/* --- opening -------------------------------------------------------------------------------- */

static uint32_t mtu_of(int fd, const char *device)
{
    struct ifreq r = {0};
    memcpy(r.ifr_name, device, strnlen(device, sizeof r.ifr_name - 1));
    return ioctl(fd, SIOCGIFMTU, &r) == 0 ? (uint32_t) r.ifr_mtu : 0;
}

/* Of all devices; loopback's says nothing of what passes it. */
static uint32_t largest_mtu(int fd)
{
    uint32_t largest = 0;
    struct if_nameindex *list = if_nameindex();
    for (struct if_nameindex *i = list; i && i->if_index; i++) {
        uint32_t mtu = mtu_of(fd, i->if_name);
        if (mtu <= TB_IO_IP_MAX && mtu > largest)
            largest = mtu;
    }
    if (list)
        if_freenameindex(list);
    return largest;
}

/* Slots that hold a full frame of the device, or of all. */
static uint32_t slot_bytes_for(int fd, const char *device)
{
    uint32_t mtu = device ? mtu_of(fd, device) : largest_mtu(fd), slot = SLOT_LEAST;
    while (slot < SLOT_MOST && slot < mtu + 128)
        slot *= 2;
    return slot;
}

static int map(struct tb_ring *r)
{
    int version = TPACKET_V2, copy = 1, queue = QUEUE_BYTES;
    struct tpacket_req req = {
        .tp_block_size = BLOCK_BYTES,
        .tp_block_nr = r->bytes / BLOCK_BYTES,
        .tp_frame_size = r->slot_bytes,
        .tp_frame_nr = r->slots,
    };
    if (setsockopt(r->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) < 0 ||
        setsockopt(r->fd, SOL_PACKET, PACKET_COPY_THRESH, &copy, sizeof copy) < 0 ||
        setsockopt(r->fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof req) < 0)
        return -errno;
    if (setsockopt(r->fd, SOL_SOCKET, SO_RCVBUFFORCE, &queue, sizeof queue) < 0)
        setsockopt(r->fd, SOL_SOCKET, SO_RCVBUF, &queue, sizeof queue); /* as much as allowed */
    void *memory = mmap(NULL, r->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
    if (memory == MAP_FAILED)
        return -errno;
    r->memory = memory;
    return 0;
}

static int set_up(struct tb_ring *r, const char *device, uint32_t bytes, struct tb_err *err)
{
    uint32_t ifindex = device ? if_nametoindex(device) : 0;
    if (device && ifindex == 0)
        return tb_err_set(err, -ENODEV, "there is no device %s to capture on", device);
    /* Without link header, and with no protocol yet: nothing comes before the filter is there. */
    r->fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (r->fd < 0 && errno == EPERM)
        return tb_err_set(err, -EPERM,
                          "no permission to capture packets: run as root, or give the program the "
                          "capability cap_net_raw (setcap cap_net_raw+ep PROGRAM)");
    if (r->fd < 0)
        return tb_err_set(err, -errno, "cannot make a capture ring: %s", strerror(errno));
    r->slot_bytes = slot_bytes_for(r->fd, device);
    r->bytes = bytes < BLOCK_BYTES ? BLOCK_BYTES : bytes / BLOCK_BYTES * BLOCK_BYTES;
    r->slots = r->bytes / r->slot_bytes;
    r->long_room = malloc(LONG_ROOM);
    if (r->long_room) /* there from the start, as the ring itself: no growth at the first rush */
        memset(r->long_room, 1, LONG_USUAL + TB_IO_IP_MAX);
    int e = r->long_room ? map(r) : -ENOMEM;
    if (e == 0)
        e = tb_ring_filter(r, NULL, 0);
    if (e)
        return tb_err_set(err, e, "cannot make a capture ring: %s", strerror(-e));
    if (device)
        memcpy(r->device.ifr_name, device, strnlen(device, IFNAMSIZ - 1));
    r->device.ifr_ifindex = (int) ifindex;
    e = bind_device(r);
    if (e)
        return tb_err_set(err, e, "cannot capture on %s: %s", device ? device : "all devices",
                          strerror(-e));
    return 0;
}

int tb_ring_open(const char *device, uint32_t bytes, struct tb_ring **out, struct tb_err *err)
{
    struct tb_ring *r = calloc(1, sizeof *r);
    if (!r)
        return tb_err_set(err, -ENOMEM, "out of memory");
    r->fd = -1;
    int e = set_up(r, device, bytes, err);
    if (e)
        tb_ring_close(r);
    else
        *out = r;
    return e;
}

void tb_ring_close(struct tb_ring *r)
{
    if (!r)
        return;
    if (r->memory)
        munmap(r->memory, r->bytes);
    if (r->fd >= 0)
        close(r->fd);
    free(r->long_room);
    free(r);
}
