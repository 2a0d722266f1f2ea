/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text forms of addresses (packet/addr.h), for options and messages; inet_pton() and inet_ntop()
 * do the work.
 */
#include "packet/addr.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

int tb_addr_parse(const char *text, struct tb_addr *out)
{
    uint8_t be[16];
    if (inet_pton(AF_INET, text, be) == 1) {
        *out = tb_addr_v4(be);
        return 0;
    }
    if (inet_pton(AF_INET6, text, be) == 1) {
        *out = tb_addr_v6(be);
        return 0;
    }
    return -EINVAL;
}

const char *tb_addr_format(const struct tb_addr *a, char buf[TB_ADDR_TEXT])
{
    /* Cannot fail: both families are known and the room suffices. */
    if (tb_addr_is_v4(a))
        (void) inet_ntop(AF_INET, a->b + 12, buf, TB_ADDR_TEXT);
    else
        (void) inet_ntop(AF_INET6, a->b, buf, TB_ADDR_TEXT);
    return buf;
}

const char *tb_endpoint_format(const struct tb_endpoint *e, char buf[TB_ENDPOINT_TEXT])
{
    char addr[TB_ADDR_TEXT];
    const char *fmt = tb_addr_is_v4(&e->addr) ? "%s:%u" : "[%s]:%u";
    (void) snprintf(buf, TB_ENDPOINT_TEXT, fmt, tb_addr_format(&e->addr, addr), e->port);
    return buf;
}
