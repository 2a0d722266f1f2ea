/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses and commands as findings print them; see words.h. */
#include "check/words.h"

#include <stdarg.h>
#include <stdio.h>

const char *tb_words_network(const struct tb_io_range *r, char buf[TB_PREFIX_TEXT])
{
    struct tb_addr last = tb_range_last(r);
    struct tb_prefix p = {.addr = r->first, .bits = 128};

    for (unsigned bit = 0; bit < 128; bit++) {
        uint8_t mask = (uint8_t) (0x80u >> bit % 8);
        if ((r->first.b[bit / 8] ^ last.b[bit / 8]) & mask) {
            p.bits = (uint8_t) bit;
            break;
        }
    }
    for (unsigned bit = p.bits; bit < 128; bit++)
        p.addr.b[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
    return tb_prefix_format(&p, buf);
}

/* Append, as far as there is room. */
static void append(char *buf, size_t *len, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void append(char *buf, size_t *len, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    int n = vsnprintf(buf + *len, TB_WORDS_COMMAND - *len, fmt, args);
    va_end(args);
    *len += (size_t) n;
    if (*len >= TB_WORDS_COMMAND)
        *len = TB_WORDS_COMMAND - 1;
}

/* As short as it can be said: a network (whose own and broadcast address nobody uses), one address,
 * or first-last. */
static void append_range(char *buf, size_t *len, const struct tb_range *range)
{
    struct tb_io_range r = {range->first, range->count};
    struct tb_addr last = tb_range_last(&r);
    char network[TB_PREFIX_TEXT], a[TB_ADDR_TEXT], b[TB_ADDR_TEXT];
    unsigned long prefix = 0;

    tb_words_network(&r, network);
    sscanf(network, "%*[^/]/%lu", &prefix);
    unsigned long host_bits = (tb_addr_is_v4(&r.first) ? 32 : 128) - prefix;
    uint64_t size = host_bits < 64 ? 1ull << host_bits : UINT64_MAX;
    if (range->count > 1 && (range->count == size || range->count + 2 == size))
        append(buf, len, "%s", network);
    else if (range->count == 1)
        append(buf, len, "%s", tb_addr_format(&r.first, a));
    else
        append(buf, len, "%s-%s", tb_addr_format(&r.first, a), tb_addr_format(&last, b));
}

const char *tb_words_check_target(const struct tb_options *o, char buf[TB_WORDS_COMMAND])
{
    size_t len = 0;
    char target[TB_ENDPOINT_TEXT];

    append(buf, &len, "tcpburn --check-target -c ");
    for (uint32_t i = 0; i < o->client_count; i++) {
        append(buf, &len, "%s", i ? "," : "");
        append_range(buf, &len, &o->clients[i]);
    }
    for (uint32_t i = 0; i < o->intercepts.count; i++)
        append(buf, &len, "%s%s", i ? "," : " -s ", o->intercepts.item[i]);
    if (o->intercepts.count && o->intercept_port != 36524)
        append(buf, &len, " -p %u", o->intercept_port);
    for (uint32_t i = 0; i < o->transfer_count; i++)
        append(buf, &len, "%s%u-%s", i ? "," : " -x ", o->transfers[i].source_port,
               tb_endpoint_format(&o->transfers[i].target, target));
    return buf;
}
