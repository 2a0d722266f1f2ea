/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Device and MAC addresses for a target; see nexthop.h.
 */
#include "io/nexthop.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "io/backend.h"

enum { RESOLVE_TRIES = 60, RESOLVE_PAUSE_US = 50000 };

struct device {
    char name[IFNAMSIZ];
    uint8_t mac[6];
    bool loopback;
};

static bool is_set(const uint8_t mac[6])
{
    static const uint8_t zero[6];
    return memcmp(mac, zero, 6) != 0;
}

/* Name, MAC address and kind of a device that carries Ethernet frames. */
static int device_read(uint32_t ifindex, struct device *d, struct tb_err *err)
{
    struct ifreq r = {0};
    if (!if_indextoname(ifindex, r.ifr_name))
        return tb_err_set(err, -ENODEV, "the output device has gone");
    memcpy(d->name, r.ifr_name, sizeof d->name);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int e = fd < 0 || ioctl(fd, SIOCGIFHWADDR, &r) < 0 ? -errno : 0;
    uint16_t kind = r.ifr_hwaddr.sa_family;
    memcpy(d->mac, r.ifr_hwaddr.sa_data, 6);
    if (fd >= 0)
        close(fd);
    if (e)
        return tb_err_set(err, e, "cannot read the MAC address of %s: %s", d->name, strerror(-e));
    d->loopback = kind == ARPHRD_LOOPBACK;
    if (kind != ARPHRD_ETHER && kind != ARPHRD_LOOPBACK)
        return tb_err_set(err, -EOPNOTSUPP,
                          "%s is not an Ethernet device: send without --pcap-send, or through "
                          "another device (-o)",
                          d->name);
    return 0;
}

/* The MAC address of a neighbour, resolved by the kernel when it is not known yet. */
static int resolve(struct tb_nl *nl, uint32_t ifindex, const char *device,
                   const struct tb_addr *neighbour, uint8_t mac[6], struct tb_err *err)
{
    char text[TB_ADDR_TEXT];
    tb_addr_format(neighbour, text);
    enum tb_neighbour_state state = tb_nl_neighbour(nl, ifindex, neighbour, mac);
    if (state == TB_NEIGHBOUR_KNOWN)
        return 0;
    int e = tb_nl_neighbour_resolve(nl, ifindex, neighbour);
    if (e)
        return tb_err_set(err, e,
                          "the MAC address of %s on %s is not known, and we may not ask for it "
                          "(%s): ping it once, or give its MAC address in -x (…@MAC)",
                          text, device, strerror(-e));
    for (int i = 0; i < RESOLVE_TRIES && state != TB_NEIGHBOUR_KNOWN; i++) {
        tb_backend_wait(NULL, -1, -1, RESOLVE_PAUSE_US);
        state = tb_nl_neighbour(nl, ifindex, neighbour, mac);
        if (state == TB_NEIGHBOUR_FAILED && i > RESOLVE_TRIES / 2)
            break;
    }
    if (state == TB_NEIGHBOUR_KNOWN)
        return 0;
    return tb_err_set(err, -EHOSTUNREACH,
                      "%s does not answer on %s, so that its MAC address is unknown: is it up and "
                      "on this network? Otherwise give the MAC address in -x (…@MAC) or another "
                      "device with -o",
                      text, device);
}

static int given_device(const struct tb_io_setup *s, uint32_t transfer, uint32_t *ifindex,
                        struct tb_err *err)
{
    *ifindex = 0;
    if (s->output_device_count == 0)
        return 0;
    uint32_t last = s->output_device_count - 1;
    const char *name = s->output_devices[transfer < last ? transfer : last];
    *ifindex = if_nametoindex(name);
    if (*ifindex == 0)
        return tb_err_set(err, -ENODEV, "there is no device %s (-o)", name);
    return 0;
}

/* Route and neighbour, for what was not given. */
static int look_up(struct tb_nl *nl, const struct tb_addr *target, bool need_mac,
                   struct tb_nexthop *hop, struct device *d, struct tb_err *err)
{
    char text[TB_ADDR_TEXT];
    tb_addr_format(target, text);
    struct tb_route route;
    int e = tb_nl_route_to(nl, target, hop->ifindex, &route);
    if (e)
        return tb_err_set(err, e, "there is no route to the target %s: %s", text, strerror(-e));
    if (hop->ifindex == 0)
        hop->ifindex = route.ifindex;
    if (route.type == RTN_LOCAL)
        return tb_err_set(err, -EADDRNOTAVAIL,
                          "the target %s is an address of this host, which frames cannot be sent "
                          "to: use --tun instead of --pcap-send",
                          text);
    e = device_read(hop->ifindex, d, err);
    if (e || !need_mac)
        return e;
    return resolve(nl, hop->ifindex, d->name, route.has_gateway ? &route.gateway : target,
                   hop->dst_mac, err);
}

int tb_nexthop_find(struct tb_nl *nl, const struct tb_io_setup *s, uint32_t transfer,
                    struct tb_nexthop *out, struct tb_err *err)
{
    struct tb_nexthop hop = {0};
    struct device d = {0};
    int e = given_device(s, transfer, &hop.ifindex, err);
    if (e)
        return e;
    if (s->dst_macs)
        memcpy(hop.dst_mac, s->dst_macs[transfer], 6);
    bool need_mac = !is_set(hop.dst_mac);
    if (hop.ifindex)
        e = device_read(hop.ifindex, &d, err);
    if (e)
        return e;
    /* The loopback device needs no addresses, and a target behind it no route. */
    if (hop.ifindex == 0 || (need_mac && !d.loopback))
        e = look_up(nl, &s->targets[transfer].addr, need_mac, &hop, &d, err);
    if (e)
        return e;
    memcpy(hop.src_mac, d.mac, 6);
    if (s->src_macs && is_set(s->src_macs[transfer]))
        memcpy(hop.src_mac, s->src_macs[transfer], 6);
    *out = hop;
    return 0;
}
