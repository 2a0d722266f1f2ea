/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The watch of --check; see watch.h. One packet socket without a ring: few packets, of one address.
 */
#include "intercept/watch.h"

#include <errno.h>
#include <event2/event.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "check/sight.h"
#include "packet/view.h"

enum {
    WATCHERS = 16,
    WATCH_US = 10000000,
    REPORTS = 64, /* to one watcher */
    LOOK = 64,    /* packets per turn of the event loop */
    ROOM = 512    /* headers, and what an ICMP message quotes */
};

struct tb_intercept_watch {
    struct tb_intercept_watch_options options;
    int fd;
    struct event *readable, *over;
    struct watcher {
        uint64_t id, until_us; /* 0: free */
        struct tb_addr client;
        uint32_t reports;
    } watcher[WATCHERS];
};

/* --- looking at one packet ----------------------------------------------------------------------
 */

bool tb_intercept_watch_look(const struct tb_intercept_watch_options *o,
                             const struct tb_addr *client, uint32_t device, uint8_t type,
                             const uint8_t *packet, uint32_t len, uint32_t wire_len,
                             struct tb_relay_seen *out)
{
    struct tb_relay_seen seen = {.flags = 0};
    struct tb_segment seg;
    struct tb_sight sight;
    struct tb_ip ip;

    if (tb_ip_parse(packet, len, &ip) < 0)
        return false;
    if (tb_sight_parse(packet, len, &sight) && sight.kind != TB_SIGHT_TCP &&
        tb_addr_eq(&sight.about, client))
        seen.flags |=
            sight.kind == TB_SIGHT_REDIRECT ? TB_RELAY_SEEN_REDIRECT : TB_RELAY_SEEN_UNREACHABLE;
    else if (!tb_addr_eq(&ip.src, client) && !tb_addr_eq(&ip.dst, client))
        return false;
    seen.src = ip.src;
    seen.dst = ip.dst;
    seen.proto = ip.proto;
    if (tb_segment_parse(packet, len, &seg) == 0) {
        seen.sport = seg.sport;
        seen.dport = seg.dport;
        seen.tcp_flags = seg.flags;
    }
    if (type == PACKET_OUTGOING)
        seen.flags |= TB_RELAY_SEEN_OUTGOING;
    else if (tb_devices_contain(o->devices, device) &&
             tb_intercept_filter_passes(o->filter, packet, len, wire_len))
        seen.flags |= TB_RELAY_SEEN_CAPTURED;
    *out = seen;
    return true;
}

/* --- the socket ---------------------------------------------------------------------------------
 */

/* Not if_indextoname(): it makes a socket, which we may no longer do. */
static void device_name(int fd, int index, char out[IF_NAMESIZE])
{
    struct ifreq r = {.ifr_ifindex = index};
    snprintf(out, IF_NAMESIZE, "%s", ioctl(fd, SIOCGIFNAME, &r) == 0 ? r.ifr_name : "");
}

static void report(struct tb_intercept_watch *w, const struct sockaddr_ll *from,
                   const uint8_t *packet, uint32_t len, uint32_t wire_len)
{
    struct tb_relay_seen seen = {0};

    for (uint32_t i = 0; i < WATCHERS; i++) {
        struct watcher *one = &w->watcher[i];
        if (one->until_us && one->reports < REPORTS &&
            tb_intercept_watch_look(&w->options, &one->client, (uint32_t) from->sll_ifindex,
                                    from->sll_pkttype, packet, len, wire_len, &seen)) {
            one->reports++;
            device_name(w->fd, from->sll_ifindex, seen.device);
            w->options.seen(w->options.ctx, one->id, &seen);
        }
    }
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    struct tb_intercept_watch *w = ctx;
    uint8_t packet[ROOM];
    struct sockaddr_ll from;

    (void) what;
    for (int i = 0; i < LOOK; i++) {
        socklen_t from_len = sizeof from;
        ssize_t n = recvfrom(fd, packet, sizeof packet, MSG_DONTWAIT | MSG_TRUNC,
                             (struct sockaddr *) &from, &from_len);
        if (n < 0 && errno != ENETDOWN)
            return;
        if (n > 0)
            report(w, &from, packet, n < ROOM ? (uint32_t) n : ROOM, (uint32_t) n);
    }
}

static int attach(int fd, struct sock_filter *program, uint32_t len)
{
    struct sock_fprog p = {.len = (uint16_t) len, .filter = program};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof p) < 0 ? -errno : 0;
}

static int attach_nothing(int fd)
{
    struct sock_filter nothing = {.code = BPF_RET | BPF_K};
    return attach(fd, &nothing, 1);
}

/* Everything of the addresses that are watched now, and all that ICMP says of where packets cannot,
 * or need not, go. */
static void set_filter(struct tb_intercept_watch *w)
{
    static const char icmp[] = "(icmp and (icmp[0] = 3 or icmp[0] = 5)) or "
                               "(icmp6 and (ip6[40] = 1 or ip6[40] = 137))";
    char text[sizeof icmp + WATCHERS * (TB_ADDR_TEXT + 16)], addr[TB_ADDR_TEXT];
    struct sock_filter *program = calloc(TB_EXPRESSION_MAX, sizeof *program);
    struct tb_expression *e = NULL;
    struct tb_err err = {""};
    size_t at = (size_t) snprintf(text, sizeof text, "%s", icmp);
    bool any = false;

    for (uint32_t i = 0; i < WATCHERS; i++) {
        if (!w->watcher[i].until_us)
            continue;
        any = true;
        at += (size_t) snprintf(text + at, sizeof text - at, " or host %s",
                                tb_addr_format(&w->watcher[i].client, addr));
    }
    int rc = program ? 0 : -ENOMEM;
    if (rc == 0 && any)
        rc = tb_expression_compile(text, &e, &err);
    if (rc == 0)
        rc =
            any ? attach(w->fd, program, tb_expression_program(e, program)) : attach_nothing(w->fd);
    if (rc)
        tb_log(TB_LOG_WARN, "a client's check cannot be served: %s",
               *err.text ? err.text : strerror(-rc));
    tb_expression_free(e);
    free(program);
}

/* --- who watches --------------------------------------------------------------------------------
 */

/* Forget those whose time is over; arm the timer for the next one. */
static void expire(struct tb_intercept_watch *w)
{
    uint64_t now_us = tb_clock_mono_us(), next_us = UINT64_MAX;

    for (uint32_t i = 0; i < WATCHERS; i++) {
        struct watcher *one = &w->watcher[i];
        if (one->until_us && one->until_us <= now_us)
            one->until_us = 0;
        if (one->until_us && one->until_us < next_us)
            next_us = one->until_us;
    }
    if (next_us != UINT64_MAX) {
        uint64_t left_us = next_us - now_us;
        struct timeval left = {(time_t) (left_us / 1000000), (suseconds_t) (left_us % 1000000)};
        evtimer_add(w->over, &left);
    }
    set_filter(w);
}

static void on_over(evutil_socket_t fd, short what, void *ctx)
{
    (void) fd;
    (void) what;
    expire(ctx);
}

void tb_intercept_watch_start(struct tb_intercept_watch *w, const struct tb_addr *client,
                              uint64_t watcher)
{
    struct watcher *free_one = &w->watcher[0];

    for (uint32_t i = 0; i < WATCHERS; i++)
        if (w->watcher[i].until_us < free_one->until_us)
            free_one = &w->watcher[i]; /* a free one, or the oldest */
    *free_one = (struct watcher){
        .id = watcher, .until_us = tb_clock_mono_us() + WATCH_US, .client = *client};
    expire(w);
}

/* --- opening ------------------------------------------------------------------------------------
 */

int tb_intercept_watch_open(struct event_base *base,
                            const struct tb_intercept_watch_options *options,
                            struct tb_intercept_watch **out, struct tb_err *err)
{
    struct sockaddr_ll all = {.sll_family = AF_PACKET, .sll_protocol = htobe16(ETH_P_ALL)};
    struct tb_intercept_watch *w = calloc(1, sizeof *w);
    int rc = 0;

    if (!w)
        return tb_err_set(err, -ENOMEM, "out of memory");
    w->options = *options;
    w->fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (w->fd >= 0)
        rc = attach_nothing(w->fd);
    if (w->fd < 0 || (rc == 0 && bind(w->fd, (struct sockaddr *) &all, sizeof all) < 0))
        rc = -errno;
    if (rc == 0) {
        w->readable = event_new(base, w->fd, EV_READ | EV_PERSIST, on_readable, w);
        w->over = evtimer_new(base, on_over, w);
        rc = w->readable && w->over && event_add(w->readable, NULL) == 0 ? 0 : -ENOMEM;
    }
    if (rc) {
        tb_intercept_watch_close(w);
        return tb_err_set(err, rc, "cannot open a packet socket: %s", strerror(-rc));
    }
    *out = w;
    return 0;
}

void tb_intercept_watch_close(struct tb_intercept_watch *w)
{
    if (!w)
        return;
    if (w->readable)
        event_free(w->readable);
    if (w->over)
        event_free(w->over);
    if (w->fd >= 0)
        close(w->fd);
    free(w);
}
