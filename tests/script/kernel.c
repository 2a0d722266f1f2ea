/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's TCP as the stack of a TCP script, to see what it does in the same exchange: a socket
 * that plays the user, behind a TUN device in a network namespace of its own, in real time.
 */
#include "script.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PACKET = 70000 };

struct kernel {
    struct scr_stack stack;
    const struct scr *s;
    int tun, sock;
    uint64_t begin_us;
    bool is_connected, is_over, server_closed;
    uint32_t next_request, offset;
    uint64_t awaited, received; /* bytes of the server's */
    uint64_t due_us;            /* of the next request or the close; 0: not known yet */
    uint8_t packet[PACKET];
};

static uint64_t clock_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t) t.tv_sec * SCR_SECOND + (uint64_t) t.tv_nsec / 1000;
}

/* --- the host --------------------------------------------------------------------------------- */

static int set_sysctl(const char *name, int value)
{
    char path[200], text[20];

    snprintf(path, sizeof path, "/proc/sys/net/ipv4/%s", name);
    int fd = open(path, O_WRONLY);
    if (fd < 0)
        return -1;
    int n = snprintf(text, sizeof text, "%d\n", value);
    ssize_t done = write(fd, text, (size_t) n);
    close(fd);
    return done == n ? 0 : -1;
}

/* As plain as RFC 5681 and 6675 have it: no RACK, tail loss probe or F-RTO. */
static int set_sysctls(const struct scr *s)
{
    int rc = set_sysctl("tcp_recovery", 0) | set_sysctl("tcp_early_retrans", 0) |
             set_sysctl("tcp_frto", 0) | set_sysctl("tcp_no_metrics_save", 1) |
             set_sysctl("tcp_ecn", 0) | set_sysctl("tcp_slow_start_after_idle", 1) |
             set_sysctl("tcp_sack", s->syn.sack) | set_sysctl("tcp_timestamps", s->syn.ts) |
             set_sysctl("tcp_window_scaling", s->syn.wscale >= 0);
    set_sysctl("tcp_syn_linear_timeouts", 0); /* since Linux 6.5 */

    return rc;
}

static int run(const char *command)
{
    char line[300];

    snprintf(line, sizeof line, "%s >/dev/null 2>&1", command);
    return system(line) == 0 ? 0 : -1; /* NOLINT: fixed words, in a namespace of our own */
}

int scr_kernel_prepare(char why[SCR_WHY])
{
    if (unshare(CLONE_NEWNET) < 0) {
        snprintf(why, SCR_WHY, "cannot make a network namespace: %s", strerror(errno));
        return -1;
    }
    return 0;
}

static int open_tun(const struct scr *s)
{
    struct ifreq r = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    char line[200];
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);

    if (fd < 0)
        return -1;
    strcpy(r.ifr_name, "script0");
    snprintf(line, sizeof line, "ip link set script0 gso_max_segs 1 mtu %u up", s->mtu);
    /* IPv6 off while it comes up: its own announcements are not part of any script. */
    if (ioctl(fd, TUNSETIFF, &r) < 0 ||
        run("sysctl -q net.ipv6.conf.script0.addr_gen_mode=1") < 0 || run(line) < 0 ||
        run(s->is_ipv6 ? "ip address add fd00:19::1/64 dev script0 nodad"
                       : "ip address add 198.19.0.1/32 dev script0") < 0 ||
        run(s->is_ipv6 ? "ip -6 route add fd00:18::2 dev script0 congctl reno"
                       : "ip route add 198.18.0.2 dev script0 congctl reno") < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* --- the user --------------------------------------------------------------------------------- */

static int start_connecting(const struct scr *s)
{
    int on = 1, buffer = 4 << 20;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(SCR_TARGET_PORT)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(SCR_TARGET_PORT)};
    int fd = socket(s->is_ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    inet_pton(AF_INET, "198.18.0.2", &v4.sin_addr);
    inet_pton(AF_INET6, "fd00:18::2", &v6.sin6_addr);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
    int rc = s->is_ipv6 ? connect(fd, (struct sockaddr *) &v6, sizeof v6)
                        : connect(fd, (struct sockaddr *) &v4, sizeof v4);
    if (rc < 0 && errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}

static void read_all(struct kernel *k)
{
    static uint8_t bytes[1 << 16];
    ssize_t n;

    while ((n = recv(k->sock, bytes, sizeof bytes, 0)) > 0)
        k->received += (uint64_t) n;
    if (n == 0)
        k->server_closed = true;
    else if (errno != EAGAIN)
        k->is_over = true;
}

static void end(struct kernel *k)
{
    struct linger at_once = {.l_onoff = 1};

    k->is_over = true;
    if (k->s->close != SCR_CLOSE_RST) {
        shutdown(k->sock, SHUT_WR);
        return;
    }
    setsockopt(k->sock, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(k->sock);
    k->sock = -1;
}

static bool may_end(const struct kernel *k)
{
    if (k->s->close == SCR_CLOSE_NEVER || k->s->close == SCR_CLOSE_SERVER)
        return k->server_closed;
    return true;
}

/* Send what is due, close when everything is done. */
static void act(struct kernel *k)
{
    const struct scr *s = k->s;

    while (!k->is_over && (k->received >= k->awaited || k->server_closed)) {
        bool is_last = k->next_request == s->request_count;
        const struct scr_request *r = is_last ? NULL : &s->request[k->next_request];
        if (is_last && !may_end(k))
            return;
        if (k->due_us == 0)
            k->due_us = clock_us() + (is_last ? s->close_after_us : r->think_us);
        if (clock_us() < k->due_us)
            return;
        k->due_us = 0;
        if (is_last) {
            end(k);
            return;
        }
        if (send(k->sock, s->stream + k->offset, r->len, MSG_NOSIGNAL) != (ssize_t) r->len)
            k->is_over = true;
        k->offset += r->len;
        k->awaited += r->response;
        k->next_request++;
    }
}

static void step(struct kernel *k)
{
    struct pollfd p = {.fd = k->sock, .events = POLLOUT};

    if (k->sock < 0)
        return;
    if (!k->is_connected) {
        int error = 0;
        socklen_t len = sizeof error;
        if (poll(&p, 1, 0) != 1)
            return;
        getsockopt(k->sock, SOL_SOCKET, SO_ERROR, &error, &len);
        k->is_over = error != 0;
        k->is_connected = true;
    }
    if (!k->server_closed && !(p.revents & POLLERR))
        read_all(k);
    act(k);
}

/* --- the stack -------------------------------------------------------------------------------- */

static uint64_t kernel_now_us(struct scr_stack *k)
{
    return clock_us() - ((struct kernel *) k)->begin_us;
}

static void sleep_until(struct kernel *k, uint64_t until)
{
    struct pollfd p[2] = {{.fd = k->tun, .events = POLLIN},
                          {.fd = k->sock, .events = k->is_connected ? POLLIN : POLLOUT}};
    uint64_t now = clock_us();

    if (k->server_closed || k->is_over)
        p[1].fd = -1;
    if (k->due_us && k->due_us < until)
        until = k->due_us;
    uint64_t us = until > now ? until - now : 0;
    struct timespec t = {.tv_sec = (time_t) (us / SCR_SECOND),
                         .tv_nsec = (long) (us % SCR_SECOND) * 1000};
    ppoll(p, 2, &t, NULL);
}

static bool kernel_take(struct scr_stack *stack, uint64_t until_us, struct scr_sent *out)
{
    struct kernel *k = (struct kernel *) stack;
    uint64_t until = k->begin_us + until_us;
    struct tb_ip ip;

    for (;;) {
        step(k);
        ssize_t n = read(k->tun, k->packet, sizeof k->packet);
        if (n > 0 && tb_ip_parse(k->packet, (uint32_t) n, &ip) == 0 &&
            tb_tcp_parse(&ip, &out->segment) == 0) {
            out->checksum_ok = tb_segment_checksum_ok(&ip);
            out->at_us = kernel_now_us(stack);
            return true;
        }
        if (n > 0)
            continue;
        if (clock_us() >= until)
            return false;
        sleep_until(k, until);
    }
}

static void kernel_give(struct scr_stack *stack, const uint8_t *packet, uint32_t len)
{
    struct kernel *k = (struct kernel *) stack;

    if (write(k->tun, packet, len) != (ssize_t) len)
        k->is_over = true;
}

static uint64_t kernel_received(struct scr_stack *stack)
{
    struct kernel *k = (struct kernel *) stack;

    step(k);
    return k->received;
}

static enum tb_verdict kernel_verdict(struct scr_stack *stack)
{
    (void) stack;
    return TB_VERDICT_NONE;
}

static const char *kernel_close(struct scr_stack *stack)
{
    struct kernel *k = (struct kernel *) stack;
    struct linger at_once = {.l_onoff = 1};

    if (k->sock >= 0) {
        setsockopt(k->sock, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(k->sock);
    }
    if (k->tun >= 0)
        close(k->tun);
    free(k);
    return NULL;
}

struct scr_stack *scr_kernel_open(const struct scr *s, char why[SCR_WHY])
{
    struct kernel *k = calloc(1, sizeof *k);

    if (!k) {
        snprintf(why, SCR_WHY, "out of memory");
        return NULL;
    }
    /* A busy machine may be late; what it must not be is early. */
    k->stack = (struct scr_stack){.name = "kernel",
                                  .early_us = 60000,
                                  .late_us = 400000,
                                  .is_kernel = true,
                                  .now_us = kernel_now_us,
                                  .take = kernel_take,
                                  .give = kernel_give,
                                  .received = kernel_received,
                                  .verdict = kernel_verdict,
                                  .close = kernel_close};
    k->s = s;
    k->sock = -1;
    k->begin_us = clock_us();
    k->tun = open_tun(s);
    if (k->tun >= 0 && set_sysctls(s) == 0)
        k->sock = start_connecting(s);
    if (k->sock < 0) {
        snprintf(why, SCR_WHY, "cannot set up the kernel's side: %s", strerror(errno));
        kernel_close(&k->stack);
        return NULL;
    }
    return &k->stack;
}
