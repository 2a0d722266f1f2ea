/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a check can learn from the host it runs on; see host.h. Reads /proc, devices' flags and the
 * process's capabilities, and opens ordinary connections.
 */
#include "check/host.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

/* --- privilege and devices -------------------------------------------------------------------- */

void tb_host_check_capabilities(struct tb_findings *list)
{
    static const struct {
        unsigned number;
        const char *name, *what;
    } needed[] = {
        {CAP_NET_ADMIN, "CAP_NET_ADMIN", "routes and devices"},
        {CAP_NET_RAW, "CAP_NET_RAW", "packets from client addresses"},
    };
    char program[4096];
    bool all = true;
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);

    program[len < 0 ? 0 : len] = '\0';
    capng_clear(CAPNG_SELECT_BOTH);
    if (capng_get_caps_process())
        return; /* unknown: the handshake will tell */
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        if (capng_have_capability(CAPNG_EFFECTIVE, needed[i].number))
            continue;
        struct tb_finding *f = tb_findings_add(list, TB_FINDING_WRONG,
                                               "this process lacks %s, needed for %s: run it as "
                                               "root, or give the program the capability",
                                               needed[i].name, needed[i].what);
        if (all)
            tb_finding_command(f, "sudo setcap cap_net_admin,cap_net_raw+ep %s", program);
        all = false;
    }
    if (all)
        tb_findings_add(list, TB_FINDING_OK, "this process has CAP_NET_ADMIN and CAP_NET_RAW");
}

void tb_host_check_tun(struct tb_findings *list)
{
    static const char path[] = "/dev/net/tun";
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct tb_finding *f;

    if (fd >= 0) {
        close(fd);
        tb_findings_add(list, TB_FINDING_OK, "%s can be opened", path);
    } else if (errno == ENOENT) {
        f = tb_findings_add(list, TB_FINDING_WRONG,
                            "%s does not exist, so there are no TUN devices", path);
        tb_finding_command(f,
                           "sudo modprobe tun; sudo mkdir -p /dev/net; "
                           "sudo mknod %s c 10 200",
                           path);
    } else if (errno == ENODEV) {
        f = tb_findings_add(list, TB_FINDING_WRONG, "the kernel has no driver behind %s", path);
        tb_finding_command(f, "sudo modprobe tun");
    } else {
        int error = errno;
        f = tb_findings_add(list, TB_FINDING_WRONG, "%s cannot be opened: %s", path,
                            strerror(error));
        if (error == EACCES)
            tb_finding_command(f, "sudo chmod 0666 %s", path);
    }
}

bool tb_host_check_device(struct tb_findings *list, const char *device)
{
    struct ifreq request = {0};
    struct tb_finding *f;
    bool exists;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    strncpy(request.ifr_name, device, IFNAMSIZ - 1);
    exists = fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &request) == 0;
    if (fd >= 0)
        close(fd);
    if (!exists) {
        f = tb_findings_add(list, TB_FINDING_WRONG,
                            "there is no network device '%s' here: name one of this host's",
                            device);
        tb_finding_command(f, "ip -brief link");
        return false;
    }
    if (request.ifr_flags & IFF_UP) {
        tb_findings_add(list, TB_FINDING_OK, "device %s is up", device);
    } else {
        f = tb_findings_add(list, TB_FINDING_WRONG, "device %s is down", device);
        tb_finding_command(f, "sudo ip link set %s up", device);
    }
    return true;
}

bool tb_host_address_of(const char *device, bool v4, struct tb_addr *out)
{
    struct ifaddrs *all = NULL;
    bool found = false;

    if (getifaddrs(&all))
        return false;
    for (const struct ifaddrs *a = all; a && !found; a = a->ifa_next) {
        if (!a->ifa_addr || strcmp(a->ifa_name, device) ||
            a->ifa_addr->sa_family != (v4 ? AF_INET : AF_INET6))
            continue;
        if (v4) {
            struct sockaddr_in sin;
            memcpy(&sin, a->ifa_addr, sizeof sin);
            *out = tb_addr_v4((const uint8_t *) &sin.sin_addr);
            found = true;
        } else {
            struct sockaddr_in6 sin6;
            memcpy(&sin6, a->ifa_addr, sizeof sin6);
            found = !IN6_IS_ADDR_LINKLOCAL(&sin6.sin6_addr);
            if (found)
                *out = tb_addr_v6(sin6.sin6_addr.s6_addr);
        }
    }
    freeifaddrs(all);
    return found;
}

/* --- kernel settings -------------------------------------------------------------------------- */

int tb_host_sysctl(const char *name)
{
    char path[256];
    int value = -1;

    snprintf(path, sizeof path, "/proc/sys/%s", name);
    FILE *f = fopen(path, "re");
    if (!f)
        return -1;
    if (fscanf(f, "%d", &value) != 1)
        value = -1;
    fclose(f);
    return value;
}

/* "  0: 0100007F:0050 00000000:0000 0A …": local address and port, remote ones, state (proc(5)) */
static bool lists_listener(const char *path, uint16_t port)
{
    enum { LISTEN = 0x0a };
    char line[512];
    bool found = false;
    FILE *f = fopen(path, "re");

    while (f && !found && fgets(line, sizeof line, f)) {
        unsigned local, state;
        found = sscanf(line, "%*d: %*[0-9A-Fa-f]:%x %*s %x", &local, &state) == 2 &&
                local == port && state == LISTEN;
    }
    if (f)
        fclose(f);
    return found;
}

bool tb_host_listens(uint16_t port)
{
    return lists_listener("/proc/net/tcp", port) || lists_listener("/proc/net/tcp6", port);
}

/* --- ordinary connections --------------------------------------------------------------------- */

static int start_connect(const struct tb_endpoint *target, int mss, int *error)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(target->port)};
    struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(target->port)};
    bool v4 = tb_addr_is_v4(&target->addr);
    int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int rc;

    if (fd < 0) {
        *error = errno;
        return -1;
    }
    if (mss)
        setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof mss);
    memcpy(&sin.sin_addr, target->addr.b + 12, 4);
    memcpy(&sin6.sin6_addr, target->addr.b, 16);
    rc = v4 ? connect(fd, (const struct sockaddr *) &sin, sizeof sin)
            : connect(fd, (const struct sockaddr *) &sin6, sizeof sin6);
    if (rc == 0 || errno == EINPROGRESS)
        return fd;
    *error = errno;
    close(fd);
    return -1;
}

static int connect_result(int fd)
{
    int error = 0;
    socklen_t len = sizeof error;

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len))
        return errno;
    return error;
}

void tb_host_connect(const struct tb_endpoint *targets, uint32_t count, uint64_t timeout_us,
                     int mss, int *results)
{
    struct pollfd *waiting = calloc(count ? count : 1, sizeof *waiting);
    uint64_t now_us = tb_clock_mono_us(), until_us = now_us + timeout_us;
    uint32_t open = 0;

    for (uint32_t i = 0; i < count; i++) {
        results[i] = waiting ? ETIMEDOUT : ENOMEM;
        if (!waiting)
            continue;
        waiting[i] =
            (struct pollfd){.fd = start_connect(&targets[i], mss, &results[i]), .events = POLLOUT};
        open += waiting[i].fd >= 0;
    }
    for (; open && now_us < until_us; now_us = tb_clock_mono_us()) {
        if (poll(waiting, count, (int) ((until_us - now_us) / 1000) + 1) <= 0)
            continue;
        for (uint32_t i = 0; i < count; i++) {
            if (waiting[i].fd < 0 || !waiting[i].revents)
                continue;
            results[i] = connect_result(waiting[i].fd);
            close(waiting[i].fd);
            waiting[i].fd = -1;
            open--;
        }
    }
    for (uint32_t i = 0; waiting && i < count; i++)
        if (waiting[i].fd >= 0)
            close(waiting[i].fd);
    free(waiting);
}
