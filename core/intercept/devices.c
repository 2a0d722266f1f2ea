/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Choosing devices; see devices.h. By ioctl rather than /sys, which shows another network namespace
 * when it was mounted in one.
 */
#include "intercept/devices.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static bool ethtool(int fd, const char *name, void *command)
{
    struct ifreq r = {.ifr_data = command};
    memcpy(r.ifr_name, name, strnlen(name, IF_NAMESIZE - 1));
    return ioctl(fd, SIOCETHTOOL, &r) == 0;
}

static unsigned flags_of(int fd, const char *name)
{
    struct ifreq r = {.ifr_flags = 0};
    memcpy(r.ifr_name, name, strnlen(name, IF_NAMESIZE - 1));
    return ioctl(fd, SIOCGIFFLAGS, &r) == 0 ? (unsigned short) r.ifr_flags : 0;
}

static bool merges(int fd, const char *name)
{
    struct ethtool_value gro = {.cmd = ETHTOOL_GGRO}, flags = {.cmd = ETHTOOL_GFLAGS};
    return (ethtool(fd, name, &gro) && gro.data) ||
           (ethtool(fd, name, &flags) && (flags.data & ETH_FLAG_LRO));
}

/* What passes these has come by another device, where it is seen as well. */
static bool stands_on_others(int fd, const char *name)
{
    static const char *const drivers[] = {"bridge", "bonding", "team", "802.1Q VLAN Support",
                                          "macvlan"};
    struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
    if (!ethtool(fd, name, &info))
        return false;
    for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++)
        if (strncmp(info.driver, drivers[i], sizeof info.driver) == 0)
            return true;
    return false;
}

static void add(struct tb_devices *d, int fd, const char *name, uint32_t index)
{
    struct tb_device *device = &d->device[d->count++];
    snprintf(device->name, sizeof device->name, "%s", name);
    device->index = index;
    device->up = flags_of(fd, name) & IFF_UP;
    device->merges = merges(fd, name);
}

static int add_named(struct tb_devices *d, int fd, const char *name, struct tb_err *err)
{
    uint32_t index = if_nametoindex(name);
    if (index == 0)
        return tb_err_set(err, -ENODEV,
                          "-i %s: there is no such device; 'ip link' lists them, and without -i "
                          "all that are up are captured on",
                          name);
    if (tb_devices_contain(d, index))
        return 0;
    if (d->count == TB_DEVICES_MAX)
        return tb_err_set(err, -EINVAL, "-i: more than %d devices", (int) TB_DEVICES_MAX);
    add(d, fd, name, index);
    return 0;
}

static int add_all(struct tb_devices *d, int fd, struct tb_err *err)
{
    struct if_nameindex *list = if_nameindex();
    if (!list)
        return tb_err_set(err, -errno, "cannot list the network devices: %s", strerror(errno));
    for (struct if_nameindex *i = list; i->if_index && d->count < TB_DEVICES_MAX; i++) {
        unsigned flags = flags_of(fd, i->if_name);
        if ((flags & IFF_UP) && !(flags & IFF_LOOPBACK) && !stands_on_others(fd, i->if_name))
            add(d, fd, i->if_name, i->if_index);
    }
    if_freenameindex(list);
    if (d->count == 0)
        return tb_err_set(err, -ENODEV,
                          "no network device is up but loopback: name one with -i, or set one up "
                          "(ip link set DEVICE up)");
    return 0;
}

int tb_devices_choose(struct tb_devices *d, char *const *names, uint32_t count, struct tb_err *err)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int rc = 0;

    d->count = 0;
    if (fd < 0)
        return tb_err_set(err, -errno, "cannot make a socket: %s", strerror(errno));
    if (count == 0 || (count == 1 && strcmp(names[0], "any") == 0))
        rc = add_all(d, fd, err);
    else
        for (uint32_t i = 0; i < count && rc == 0; i++)
            rc = add_named(d, fd, names[i], err);
    close(fd);
    return rc;
}

const char *tb_devices_format(const struct tb_devices *d, char *buf, size_t room)
{
    size_t at = 0;
    buf[0] = '\0';
    for (uint32_t i = 0; i < d->count; i++) {
        const char *name = d->device[i].name;
        if (at + strlen(name) + sizeof ",..." >= room) {
            snprintf(buf + at, room - at, "%s...", i ? "," : "");
            break;
        }
        at += (size_t) snprintf(buf + at, room - at, "%s%s", i ? "," : "", name);
    }
    return buf;
}

bool tb_devices_contain(const struct tb_devices *d, uint32_t index)
{
    for (uint32_t i = 0; i < d->count; i++)
        if (d->device[i].index == index)
            return true;
    return false;
}
