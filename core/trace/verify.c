/* SPDX-License-Identifier: BSD-2-Clause */
/* See verify.h. */
#include "trace/verify.h"

#include <string.h>

#include "packet/checksum.h"

enum {
    CHECKSUM_OFFSET = 16,
    /* Longer payloads were merged by the receiving device, which may leave any checksum. */
    SEGMENT_MAX = 1460,
    RIGHT_MIN = 16,  /* so many before one is judged */
    WRONG_SHARE = 16 /* and wrong ones are less than one in so many */
};

/* With checksum offload the field holds the sum of the pseudo-header, of the segment or, where it
 * is still to be cut, of no length at all. */
static bool is_partial(const struct tb_ip *ip)
{
    uint16_t field;
    memcpy(&field, ip->payload + CHECKSUM_OFFSET, sizeof field);
    uint64_t whole = tb_checksum_pseudo(&ip->src, &ip->dst, ip->payload_len);
    uint64_t uncut = tb_checksum_pseudo(&ip->src, &ip->dst, 0);
    return field == 0 || field == tb_checksum_fold(whole) || field == tb_checksum_fold(uncut);
}

bool tb_verify_segment(struct tb_verify *v, const struct tb_ip *ip, const struct tb_segment *seg)
{
    if (ip->payload_len < ip->payload_claimed || seg->payload_claimed > SEGMENT_MAX)
        return true;
    if (tb_segment_checksum_ok(ip)) {
        v->right++;
        return true;
    }
    if (is_partial(ip))
        return true;
    v->wrong++;
    return v->right < RIGHT_MIN || v->wrong > v->right / WRONG_SHARE;
}
