/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What only the settings together tell: what is missing, what clashes, and the defaults that depend
 * on other options. Called once by parse.c, when everything is set.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/items.h"
#include "config/table.h"

#define DEFAULT_CLIENTS_V4 "198.19.0.0/16" /* RFC 2544, benchmarking: nobody's real addresses */
#define DEFAULT_CLIENTS_V6 "fd00:19::/64"

enum { TCP_IP4_HEADERS = 40, TCP_IP6_HEADERS = 60, MTU_V6_MIN = 1280 /* RFC 8200 §5 */ };

int tb_no_transfer(struct tb_err *err)
{
    return tb_err_set(err, -EINVAL,
                      "no transfer given: say which captured port is played "
                      "where, e.g. -x 80-10.0.0.5:8080");
}

static int check_missing(const struct tb_options *o, struct tb_err *err)
{
    if (!o->transfer_count && !o->check_target)
        return tb_no_transfer(err);
    if (!o->pcaps.count && !o->check && !o->check_target)
        return tb_err_set(err, -EINVAL, "no capture given: add -f FILE");
    if (o->has_loop && !o->loop && !o->has_duration)
        return tb_err_set(err, -EINVAL, "--loop 0 would never end: add --duration SEC");
    return 0;
}

static bool has_target_of(const struct tb_options *o, bool v4)
{
    for (uint32_t i = 0; i < o->transfer_count; i++)
        if (tb_addr_is_v4(&o->transfers[i].target.addr) == v4)
            return true;
    return false;
}

static bool has_client_of(const struct tb_options *o, bool v4)
{
    for (uint32_t i = 0; i < o->client_count; i++)
        if (tb_addr_is_v4(&o->clients[i].first) == v4)
            return true;
    return false;
}

/* --- client ranges ---------------------------------------------------------------------------- */

static int default_clients(struct tb_options *o, struct tb_err *err)
{
    bool any = !o->transfer_count; /* --check-target looks at whatever port is asked */
    int rc = 0;

    if (any || has_target_of(o, true))
        rc = tb_item_clients(o, DEFAULT_CLIENTS_V4, err);
    if (!rc && (any || has_target_of(o, false)))
        rc = tb_item_clients(o, DEFAULT_CLIENTS_V6, err);
    return rc;
}

/* Do [a, a+n) and [b, b+m) share an address? */
static bool overlap(const struct tb_addr *a, uint64_t n, const struct tb_addr *b, uint64_t m)
{
    uint64_t low_a = tb_addr_low32(a), low_b = tb_addr_low32(b);

    return !memcmp(a->b, b->b, 12) && low_a < low_b + m && low_b < low_a + n;
}

static const char *range_text(const struct tb_range *r, char buf[2 * TB_ADDR_TEXT])
{
    struct tb_addr last = tb_addr_plus(r->first, (uint32_t) (r->count - 1));
    char a[TB_ADDR_TEXT], b[TB_ADDR_TEXT];

    snprintf(buf, 2 * TB_ADDR_TEXT, "%s-%s", tb_addr_format(&r->first, a),
             tb_addr_format(&last, b));
    return buf;
}

static int check_range(const struct tb_options *o, uint32_t index, struct tb_err *err)
{
    const struct tb_range *r = &o->clients[index];
    char range[2 * TB_ADDR_TEXT], other[2 * TB_ADDR_TEXT];

    for (uint32_t i = 0; i < o->transfer_count; i++) {
        const struct tb_endpoint *target = &o->transfers[i].target;
        if (overlap(&r->first, r->count, &target->addr, 1))
            return tb_err_set(err, -EINVAL,
                              "client addresses %s hold the target %s: choose others with -c",
                              range_text(r, range), tb_addr_format(&target->addr, other));
    }
    for (uint32_t i = 0; i < index; i++) {
        const struct tb_range *earlier = &o->clients[i];
        if (overlap(&r->first, r->count, &earlier->first, earlier->count))
            return tb_err_set(err, -EINVAL,
                              "client addresses %s and %s overlap: give each address "
                              "once",
                              range_text(earlier, other), range_text(r, range));
    }
    return 0;
}

static int check_clients(const struct tb_options *o, struct tb_err *err)
{
    int rc = 0;

    for (uint32_t i = 0; !rc && o->client_count && i < o->transfer_count; i++) {
        const struct tb_endpoint *target = &o->transfers[i].target;
        bool v4 = tb_addr_is_v4(&target->addr);
        char text[TB_ENDPOINT_TEXT];
        if (!has_client_of(o, v4))
            rc = tb_err_set(err, -EINVAL,
                            "no IPv%d client address for target %s: add a range to "
                            "-c, e.g. %s",
                            v4 ? 4 : 6, tb_endpoint_format(target, text),
                            v4 ? DEFAULT_CLIENTS_V4 : DEFAULT_CLIENTS_V6);
    }
    for (uint32_t i = 0; !rc && i < o->client_count; i++)
        rc = check_range(o, i, err);
    return rc;
}

/* --- sizes ------------------------------------------------------------------------------------ */

static int check_sizes(struct tb_options *o, bool mss_given, struct tb_err *err)
{
    bool v6 = has_target_of(o, false);
    uint32_t headers = has_target_of(o, true) ? TCP_IP4_HEADERS : TCP_IP6_HEADERS;

    if (v6 && o->mtu < MTU_V6_MIN)
        return tb_err_set(err, -EINVAL, "-M, --mtu: IPv6 targets need at least %d, not %u",
                          (int) MTU_V6_MIN, o->mtu);
    if (o->mss + headers <= o->mtu)
        return 0;
    if (mss_given)
        tb_log(TB_LOG_WARN, "MSS %u does not fit MTU %u: announcing %u; raise --mtu for more",
               o->mss, o->mtu, o->mtu - headers);
    o->mss = o->mtu - headers;
    return 0;
}

/* --comet, also as the build's default, is one more way to name the module. */
static int resolve_comet(struct tb_options *o, struct tb_err *err)
{
    if (o->module)
        o->comet = false;
    if (!o->comet)
        return 0;
    o->module = strdup("comet");
    return o->module ? 0 : tb_err_set(err, -ENOMEM, "out of memory");
}

/* --- the whole -------------------------------------------------------------------------------- */

int tb_options_validate_run(const struct tb_option_set *set, struct tb_options *o,
                            const uint8_t given[TB_OPTION_MAX], struct tb_err *err)
{
    int rc;

    if (o->html)
        return tb_err_set(err, -EINVAL,
                          "--html: the HTML report comes in a later version; use "
                          "--report FILE for the JSON report");
    if (o->metrics)
        return tb_err_set(err, -EINVAL,
                          "--metrics: the Prometheus endpoint comes in a later "
                          "version; use --report FILE for the figures");
    if (tb_option_given(set, given, "output") && !o->pcap_send)
        return tb_err_set(err, -EINVAL, "-o names devices for --pcap-send: add it, or drop -o");
    rc = check_clients(o, err);
    if (!rc)
        rc = check_sizes(o, tb_option_given(set, given, "mss"), err);
    if (!rc)
        rc = resolve_comet(o, err);
    return rc;
}

int tb_options_validate(void *options, const uint8_t given[TB_OPTION_MAX], struct tb_err *err)
{
    struct tb_options *o = options;
    int rc = check_missing(o, err);

    if (!rc && !o->client_count)
        rc = default_clients(o, err);
    if (!rc)
        rc = tb_options_validate_run(&tb_tcpburn_set, o, given, err);
    if (!rc && o->dump)
        o->dry_run = true;
    return rc;
}
