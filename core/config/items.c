/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Readers of single options: transfers, client ranges, intercept servers, shards. Called through
 * the option table only.
 */
#include "config/items.h"

#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "config/table.h"
#include "config/value.h"

enum {
    SHARD_MAX = 65536,
    LIST_MAX = 65535, /* a transfer's index has 16 bits */
    SERVER_MAX = 256  /* of a host name */
};

int tb_item_append(void **array, uint32_t *count, const void *element, size_t size,
                   struct tb_err *err)
{
    if (*count >= LIST_MAX)
        return tb_err_set(err, -E2BIG, "more than %d entries", (int) LIST_MAX);
    void *grown = realloc(*array, (*count + 1) * size);
    if (!grown)
        return tb_err_set(err, -ENOMEM, "out of memory");
    memcpy((char *) grown + *count * size, element, size);
    *array = grown;
    (*count)++;
    return 0;
}

int tb_item_transfer(void *options, const char *text, struct tb_err *err)
{
    struct tb_options *o = options;
    struct tb_transfer t;
    void *array = o->transfers;
    int rc = tb_transfer_parse(text, &t, err);

    if (rc)
        return rc;
    for (uint32_t i = 0; i < o->transfer_count; i++) {
        const struct tb_transfer *other = &o->transfers[i];
        if (other->source_port == t.source_port && other->has_source == t.has_source &&
            (!t.has_source || tb_addr_eq(&other->source, &t.source)))
            return tb_err_set(err, -EINVAL,
                              "'%s': that captured server has a target already; give each one "
                              "target",
                              text);
    }
    rc = tb_item_append(&array, &o->transfer_count, &t, sizeof t, err);
    o->transfers = array;
    return rc;
}

int tb_item_clients(void *options, const char *text, struct tb_err *err)
{
    struct tb_options *o = options;
    struct tb_range r;
    void *array = o->clients;
    int rc = tb_range_parse(text, &r, err);

    if (rc)
        return rc;
    rc = tb_item_append(&array, &o->client_count, &r, sizeof r, err);
    o->clients = array;
    return rc;
}

static bool is_device(const char *name)
{
    return *name && strlen(name) < IF_NAMESIZE && !strchr(name, '/');
}

int tb_devices_check(const struct tb_strings *devices, const char *label, struct tb_err *err)
{
    for (uint32_t i = 0; i < devices->count; i++)
        if (!is_device(devices->item[i]))
            return tb_err_set(err, -EINVAL, "%s: '%s' is not the name of a network device", label,
                              devices->item[i]);
    return 0;
}

static int local_item(struct tb_options *o, const char *device, struct tb_err *err)
{
    if (!is_device(device))
        return tb_err_set(err, -EINVAL, "local:%s: '%s' is not the name of a network device",
                          device, device);
    if (o->local_device || o->intercepts.count)
        return tb_err_set(err, -EINVAL, "local:%s must stand alone: responses arrive at one place",
                          device);
    o->local_device = strdup(device);
    if (!o->local_device)
        return tb_err_set(err, -ENOMEM, "out of memory");
    o->mode = TB_MODE_LOCAL;
    return 0;
}

/* Letters, digits, dots and dashes, and a letter first: what the name of a host looks like. */
static bool is_name(const char *host)
{
    return isalpha((unsigned char) *host) &&
           host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")] ==
               '\0';
}

/* "HOST", "HOST:PORT", "[HOST]:PORT", and an IPv6 address alone. False: none of them. */
static bool split_server(const char *text, char host[SERVER_MAX], uint16_t *port)
{
    const char *colon = strchr(text, ':'), *end, *rest;
    bool brackets = *text == '[';

    if (brackets) {
        end = strchr(++text, ']');
        rest = end ? end + 1 : NULL;
    } else {
        end = rest = colon && !strchr(colon + 1, ':') ? colon : text + strlen(text);
    }
    if (!end || end - text >= SERVER_MAX)
        return false;
    memcpy(host, text, (size_t) (end - text));
    host[end - text] = '\0';
    struct tb_addr addr;
    if (tb_addr_parse(host, &addr) && (brackets || !is_name(host)))
        return false;
    return !*rest || (*rest == ':' && tb_value_port(rest + 1, port) == 0);
}

int tb_server_parse(const char *text, uint16_t port, struct tb_endpoint *out)
{
    struct tb_endpoint server = {.port = port};
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *found;
    char host[SERVER_MAX];

    if (!split_server(text, host, &server.port))
        return -EINVAL;
    if (tb_addr_parse(host, &server.addr) != 0) {
        if (getaddrinfo(host, NULL, &hints, &found) != 0)
            return -ENOENT;
        const struct sockaddr_in *v4 = (const void *) found->ai_addr;
        const struct sockaddr_in6 *v6 = (const void *) found->ai_addr;
        server.addr = found->ai_family == AF_INET ? tb_addr_v4((const uint8_t *) &v4->sin_addr)
                                                  : tb_addr_v6((const uint8_t *) &v6->sin6_addr);
        freeaddrinfo(found);
    }
    *out = server;
    return 0;
}

int tb_item_intercept(void *options, const char *text, struct tb_err *err)
{
    struct tb_options *o = options;
    if (!strncmp(text, "local:", 6))
        return local_item(o, text + 6, err);
    char host[SERVER_MAX];
    uint16_t port;
    if (o->local_device)
        return tb_err_set(err, -EINVAL, "'%s': local:%s must stand alone", text, o->local_device);
    if (!split_server(text, host, &port))
        return tb_err_set(err, -EINVAL,
                          "'%s' is neither local:IFACE nor an address or name of a host, "
                          "HOST[:PORT] or [IPV6]:PORT",
                          text);
    o->mode = TB_MODE_INTERCEPT;
    if (tb_strings_add(&o->intercepts, text, strlen(text)))
        return tb_err_set(err, -ENOMEM, "out of memory");
    return 0;
}

int tb_item_tun(void *options, const char *text, struct tb_err *err)
{
    struct tb_options *o = options;
    if (!strcmp(text, "true"))
        o->mode = TB_MODE_TUN;
    else if (o->mode == TB_MODE_TUN)
        o->mode = TB_MODE_DEFAULT;
    return 0;
}

int tb_item_shard(void *options, const char *text, struct tb_err *err)
{
    struct tb_options *o = options;
    const char *slash = strchr(text, '/');
    char part[16] = "";
    uint64_t k, n;

    if (slash && (size_t) (slash - text) < sizeof part) {
        memcpy(part, text, (size_t) (slash - text));
        if (!tb_value_whole(part, &k) && !tb_value_whole(slash + 1, &n) && k >= 1 && k <= n &&
            n <= SHARD_MAX) {
            o->shard = (uint32_t) k;
            o->shards = (uint32_t) n;
            return 0;
        }
    }
    return tb_err_set(err, -EINVAL, "must be K/N with 1 <= K <= N <= %d, e.g. 1/4, not '%s'",
                      (int) SHARD_MAX, text);
}

int tb_item_config(void *options, const char *text, struct tb_err *err)
{
    return 0;
}
