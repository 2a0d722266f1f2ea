/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two small languages of the command line, transfers (-x) and address ranges (-c), and whether
 * an address is this machine's.
 * Called for each item of those lists, and by other programs that take them.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/options.h"
#include "config/value.h"

enum { TEXT_MAX = 256 };

/* The first 12 bytes: equal for addresses that one range can hold. */
static bool same_prefix(const struct tb_addr *a, const struct tb_addr *b)
{
    return memcmp(a->b, b->b, 12) == 0;
}

/* --- transfers -------------------------------------------------------------------------------- */

/* "ADDR:PORT" or "[ADDR]:PORT"; `text` is changed. */
static int endpoint_parse(char *text, struct tb_addr *addr, uint16_t *port, struct tb_err *err)
{
    char *host = text, *number;

    if (*text == '[') {
        char *close = strchr(text, ']');
        if (!close || close[1] != ':')
            return tb_err_set(err, -EINVAL, "'%s' is not [ADDRESS]:PORT", text);
        host++;
        *close = '\0';
        number = close + 2;
    } else {
        char *colon = strrchr(text, ':');
        if (!colon)
            return tb_err_set(err, -EINVAL, "'%s' is not ADDRESS:PORT", text);
        if (strchr(text, ':') != colon)
            return tb_err_set(err, -EINVAL, "'%s': write IPv6 addresses in brackets, [::1]:80",
                              text);
        *colon = '\0';
        number = colon + 1;
    }
    if (tb_addr_parse(host, addr))
        return tb_err_set(err, -EINVAL, "'%s' is not an IP address", host);
    if (tb_value_port(number, port))
        return tb_err_set(err, -EINVAL, "'%s' is not a port, 1 to 65535", number);
    return 0;
}

int tb_endpoint_parse(const char *text, struct tb_endpoint *out, struct tb_err *err)
{
    struct tb_endpoint e;
    char copy[TEXT_MAX];

    if ((size_t) snprintf(copy, sizeof copy, "%s", text) >= sizeof copy)
        return tb_err_set(err, -EINVAL, "'%.80s…' is not ADDRESS:PORT", text);
    int rc = endpoint_parse(copy, &e.addr, &e.port, err);
    if (rc == 0)
        *out = e;
    return rc;
}

/* Cuts "@MAC" off the end of `text`, when there is one. */
static int mac_parse(char *text, uint8_t mac[6], bool *has, struct tb_err *err)
{
    char *at = strchr(text, '@');

    *has = at != NULL;
    if (!at)
        return 0;
    *at = '\0';
    if (tb_value_mac(at + 1, mac))
        return tb_err_set(err, -EINVAL, "'%s' is not a MAC address such as 02:00:5e:10:00:01",
                          at + 1);
    return 0;
}

static int source_parse(char *text, struct tb_transfer *t, struct tb_err *err)
{
    int rc = mac_parse(text, t->src_mac, &t->has_src_mac, err);

    if (rc)
        return rc;
    t->has_source = strchr(text, ':') != NULL;
    if (t->has_source)
        return endpoint_parse(text, &t->source, &t->source_port, err);
    if (tb_value_port(text, &t->source_port))
        return tb_err_set(err, -EINVAL, "captured port '%s' is not a port, 1 to 65535", text);
    return 0;
}

static int target_parse(char *text, struct tb_transfer *t, struct tb_err *err)
{
    int rc = mac_parse(text, t->dst_mac, &t->has_dst_mac, err);

    if (rc)
        return rc;
    return endpoint_parse(text, &t->target.addr, &t->target.port, err);
}

/* Addresses that are no single host. */
static const char *not_a_host(const struct tb_addr *a)
{
    static const struct tb_addr unspecified;

    if (tb_addr_is_v4(a) ? a->b[12] == 0 : tb_addr_eq(a, &unspecified))
        return "unspecified";
    if (tb_addr_is_v4(a) ? a->b[12] >= 224 : a->b[0] == 0xff)
        return "multicast or reserved";
    return NULL;
}

int tb_transfer_parse(const char *text, struct tb_transfer *out, struct tb_err *err)
{
    struct tb_transfer t = {0};
    char copy[TEXT_MAX];
    char *dash;
    int rc;

    if ((size_t) snprintf(copy, sizeof copy, "%s", text) >= sizeof copy ||
        !(dash = strchr(copy, '-')))
        return tb_err_set(err, -EINVAL,
                          "'%.80s' is not CAPTURED-TARGET, e.g. 80-10.0.0.5:8080 or "
                          "192.0.2.1:80-[fd00::5]:80",
                          text);
    *dash = '\0';
    rc = source_parse(copy, &t, err);
    if (!rc)
        rc = target_parse(dash + 1, &t, err);
    if (rc)
        return tb_err_prefix(err, rc, "'%s'", text);
    if (not_a_host(&t.target.addr))
        return tb_err_set(err, -EINVAL, "'%s': the target's address is %s, give that of one host",
                          text, not_a_host(&t.target.addr));
    *out = t;
    return 0;
}

/* --- ranges ----------------------------------------------------------------------------------- */

/* "a.b.c.x": hosts 1 to 254. False when it is something else. */
static bool wildcard_parse(char *text, struct tb_range *r)
{
    size_t len = strlen(text);

    if (len < 2 || strcmp(text + len - 2, ".x"))
        return false;
    text[len - 1] = '1';
    r->count = 254;
    return tb_addr_parse(text, &r->first) == 0 && tb_addr_is_v4(&r->first);
}

int tb_network_parse(const char *text, struct tb_addr *addr, uint8_t *bits, struct tb_err *err)
{
    char copy[TEXT_MAX];
    struct tb_addr a;
    uint64_t length;

    snprintf(copy, sizeof copy, "%s", text);
    char *slash = strchr(copy, '/');
    if (slash)
        *slash = '\0';
    if (tb_addr_parse(copy, &a))
        return tb_err_set(err, -EINVAL, "'%s' is not an IP address", copy);

    unsigned most = tb_addr_is_v4(&a) ? 32 : 128;
    length = most;
    if (slash && (tb_value_whole(slash + 1, &length) || length > most))
        return tb_err_set(err, -EINVAL, "prefix length '%s' is not 0 to %u", slash + 1, most);
    for (unsigned i = 0; i < most - length; i++)
        a.b[15 - i / 8] &= (uint8_t) ~(1u << i % 8);
    *addr = a;
    *bits = (uint8_t) (128 - (most - length));
    return 0;
}

static int cidr_parse(const char *text, struct tb_range *r, struct tb_err *err)
{
    uint8_t bits = 0;
    int rc = tb_network_parse(text, &r->first, &bits, err);

    if (rc)
        return rc;
    unsigned host_bits = 128u - bits;
    r->count = (uint64_t) 1 << (host_bits > 32 ? 32 : host_bits);
    if (tb_addr_is_v4(&r->first) && host_bits > 1) {
        r->first = tb_addr_plus(r->first, 1);
        r->count -= 2;
    }
    return 0;
}

static int span_parse(const char *text, const char *last_text, struct tb_range *r,
                      struct tb_err *err)
{
    struct tb_addr last;

    if (tb_addr_parse(text, &r->first))
        return tb_err_set(err, -EINVAL, "'%s' is not an IP address", text);
    if (tb_addr_parse(last_text, &last))
        return tb_err_set(err, -EINVAL, "'%s' is not an IP address", last_text);
    if (!same_prefix(&r->first, &last))
        return tb_err_set(err, -EINVAL,
                          "first and last address must be of one family and differ in the last 32 "
                          "bits only");
    if (tb_addr_low32(&last) < tb_addr_low32(&r->first))
        return tb_err_set(err, -EINVAL, "the last address lies before the first");
    r->count = (uint64_t) tb_addr_low32(&last) - tb_addr_low32(&r->first) + 1;
    return 0;
}

/* Refuses ranges that no host could answer: the first or last address tells, because the reserved
 * blocks lie at both ends of the address space, and 127.0.0.0/8 is looked for on its own. */
static int range_usable(const struct tb_range *r, struct tb_err *err)
{
    struct tb_addr last = tb_addr_plus(r->first, (uint32_t) (r->count - 1));
    const char *why = not_a_host(&r->first);

    if (!why)
        why = not_a_host(&last);
    if (!why && tb_addr_is_v4(&r->first) && r->first.b[12] <= 127 && last.b[12] >= 127)
        why = "loopback";
    if (!why)
        return 0;
    return tb_err_set(err, -EINVAL, "holds %s addresses, which cannot be clients", why);
}

int tb_range_parse(const char *text, struct tb_range *out, struct tb_err *err)
{
    struct tb_range r = {0};
    char copy[TEXT_MAX];
    char *mark;
    int rc = 0;

    if ((size_t) snprintf(copy, sizeof copy, "%s", text) >= sizeof copy)
        return tb_err_set(err, -EINVAL, "'%.80s…' is too long for an address range", text);
    if (strchr(copy, '/')) {
        rc = cidr_parse(copy, &r, err);
    } else if ((mark = strchr(copy, '-'))) {
        *mark = '\0';
        rc = span_parse(copy, mark + 1, &r, err);
    } else if (!wildcard_parse(copy, &r)) {
        r.count = 1;
        if (tb_addr_parse(text, &r.first))
            rc = tb_err_set(err, -EINVAL, "not an address, a.b.c.x, NETWORK/LENGTH or FIRST-LAST");
    }
    if (!rc)
        rc = range_usable(&r, err);
    if (rc)
        return tb_err_prefix(err, rc, "'%s'", text);
    *out = r;
    return 0;
}

/* --- this machine ----------------------------------------------------------------------------- */

bool tb_addr_is_local(const struct tb_addr *a)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    bool is_v4 = tb_addr_is_v4(a);
    int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return false;
    memcpy(&v4.sin_addr, a->b + 12, 4);
    memcpy(&v6.sin6_addr, a->b, 16);
    int rc = is_v4 ? bind(fd, (struct sockaddr *) &v4, sizeof v4)
                   : bind(fd, (struct sockaddr *) &v6, sizeof v6);
    close(fd);
    return rc == 0;
}
