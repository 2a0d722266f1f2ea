/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Internet checksum (packet/checksum.h). Words of 64 bits are added with end-around carry: 2^64 - 1
 * is a multiple of 2^16 - 1, so the sum folds to the same 16 bits (RFC 1071 §2).
 */
#include "packet/checksum.h"
#include "packet/wire.h"
#include <string.h>
#include "packet/view.h"

static inline uint64_t add_carry(uint64_t a, uint64_t b)
{
    a += b;
    return a + (a < b);
}

static inline uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* To at most 33 bits, so that callers may add sums plainly. */
static inline uint64_t fold33(uint64_t sum)
{
    return (sum >> 32) + (sum & 0xffffffffu);
}

uint64_t tb_checksum_add(uint64_t sum, const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t other = 0; /* a second chain of carries, for the processor to run beside the first */
    for (; len >= 32; len -= 32, p += 32) {
        sum = add_carry(sum, load64(p));
        other = add_carry(other, load64(p + 8));
        sum = add_carry(sum, load64(p + 16));
        other = add_carry(other, load64(p + 24));
    }
    for (; len >= 8; len -= 8, p += 8)
        sum = add_carry(sum, load64(p));
    sum = fold33(sum) + fold33(other);
    if (len >= 4) {
        uint32_t v;
        memcpy(&v, p, sizeof v);
        sum += v;
        len -= 4;
        p += 4;
    }
    if (len >= 2) {
        uint16_t v;
        memcpy(&v, p, sizeof v);
        sum += v;
        len -= 2;
        p += 2;
    }
    if (len) {
        uint16_t v = 0; /* the odd byte is the first of a word, whatever the byte order */
        memcpy(&v, p, 1);
        sum += v;
    }
    return sum;
}

uint16_t tb_checksum_fold(uint64_t sum)
{
    sum = fold33(fold33(sum));
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    return (uint16_t) ((sum >> 16) + (sum & 0xffff));
}

uint64_t tb_checksum_pseudo(const struct tb_addr *src, const struct tb_addr *dst, uint32_t tcp_len)
{
    /* One way for both families: the prefix of a mapped address sums to 0xffff, which is zero. */
    uint64_t sum = fold33(load64(src->b)) + fold33(load64(src->b + 8)) + fold33(load64(dst->b)) +
                   fold33(load64(dst->b + 8));
    uint8_t rest[8] = {[7] = TB_PROTO_TCP};
    tb_put_be32(rest, tcp_len);
    return sum + fold33(load64(rest));
}
