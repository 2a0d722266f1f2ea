/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets whose session may yet be registered; see late.h. */
#include "relay/late.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "base/siphash.h"

/* Packets are numbered from 1 on; number n lies at n % TB_LATE_PLACES until another takes the
 * place.
 */
struct place {
    struct tb_endpoint session;
    uint16_t len; /* 0: taken */
    uint32_t wire_len;
    uint64_t real_us;
    uint64_t before; /* the number of the packet before it with the same hash; 0: none */
    uint8_t data[TB_LATE_BYTES];
};

struct tb_late {
    uint8_t key[16]; /* of the hash: addresses come from strangers */
    uint64_t next;
    uint64_t newest[TB_LATE_PLACES]; /* by hash: a packet's number; 0: none */
    struct place place[TB_LATE_PLACES];
};

struct tb_late *tb_late_new(void)
{
    struct tb_late *l = calloc(1, sizeof *l);

    if (!l)
        return NULL;
    l->next = 1;
    (void) !getrandom(l->key, sizeof l->key, GRND_NONBLOCK);
    return l;
}

void tb_late_free(struct tb_late *l)
{
    free(l);
}

static uint64_t *newest_of(struct tb_late *l, const struct tb_endpoint *session)
{
    uint8_t name[18];

    memcpy(name, session->addr.b, 16);
    memcpy(name + 16, &session->port, 2);
    return &l->newest[tb_siphash(l->key, name, sizeof name) % TB_LATE_PLACES];
}

/* NULL: there is none of that number any more. */
static struct place *place_of(struct tb_late *l, uint64_t number)
{
    return number && l->next - number <= TB_LATE_PLACES ? &l->place[number % TB_LATE_PLACES] : NULL;
}

void tb_late_put(struct tb_late *l, const struct tb_endpoint *session,
                 const struct tb_relay_record *packet)
{
    uint64_t number = l->next, *newest = newest_of(l, session);
    struct place *p = &l->place[number % TB_LATE_PLACES];

    if (packet->len > sizeof p->data)
        return;
    l->next++;
    p->session = *session;
    p->len = (uint16_t) packet->len;
    p->wire_len = packet->wire_len;
    p->real_us = packet->real_us;
    p->before = *newest;
    memcpy(p->data, packet->data, packet->len);
    *newest = number;
}

static bool is_of(const struct place *p, const struct tb_endpoint *session)
{
    return p->len > 0 && p->session.port == session->port &&
           tb_addr_eq(&p->session.addr, &session->addr);
}

uint32_t tb_late_take(struct tb_late *l, const struct tb_endpoint *session, uint64_t since_us,
                      struct tb_relay_record out[TB_LATE_OF_SESSION])
{
    struct place *found[TB_LATE_OF_SESSION], *p;
    uint32_t count = 0;

    for (uint64_t n = *newest_of(l, session); (p = place_of(l, n)) && count < TB_LATE_OF_SESSION;
         n = p->before)
        if (is_of(p, session) && p->real_us >= since_us)
            found[count++] = p;
    for (uint32_t i = 0; i < count; i++) {
        p = found[count - 1 - i];
        out[i] = (struct tb_relay_record){p->data, p->len, p->wire_len, p->real_us};
        p->len = 0;
    }
    return count;
}
