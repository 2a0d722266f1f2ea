/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * See client_clock.h. The server read its clock after we sent and before we received, so the offset
 * lies between real - received and real - sent: that holds however unevenly the two ways were
 * delayed. Such intervals are intersected from the newest back to the first that contradicts: then
 * a clock was set, and what is older is void. Quick exchanges make narrow intervals, so the
 * smallest round trips decide.
 */
#include "relay/client_clock.h"

enum {
    WINDOW_US = 10000000, /* what is older says little: clocks drift */
    DRIFT_PPM = 100,      /* by at most so much between two clocks, usually far less */
    OLDEST_US = 10000000  /* a record cannot be older: connections die of that silence */
};

/* Far beyond any clock, and small enough for sums of two. */
static const uint64_t absurd_us = UINT64_C(1) << 61;

static void estimate(struct tb_relay_clock *c, uint64_t now_us)
{
    int64_t low = INT64_MIN, high = INT64_MAX;

    for (uint32_t i = 0; i < c->count && i < TB_RELAY_CLOCK_SAMPLES; i++) {
        uint32_t at = (c->count - 1 - i) % TB_RELAY_CLOCK_SAMPLES;
        uint64_t age_us = now_us - c->sample[at].at_us;
        if (age_us > WINDOW_US)
            break;
        int64_t drift = (int64_t) (age_us * DRIFT_PPM / 1000000);
        int64_t least = c->sample[at].low - drift, most = c->sample[at].high + drift;
        if (least > high || most < low)
            break;
        low = least > low ? least : low;
        high = most < high ? most : high;
    }
    c->offset_us = low + (high - low) / 2;
    c->error_us = (uint64_t) (high - low + 1) / 2;
}

void tb_relay_clock_sample(struct tb_relay_clock *c, uint64_t sent_us, uint64_t now_us,
                           uint64_t real_us)
{
    if (sent_us > now_us || now_us > absurd_us || real_us > absurd_us)
        return;
    uint32_t at = c->count++ % TB_RELAY_CLOCK_SAMPLES;
    c->sample[at].low = (int64_t) real_us - (int64_t) now_us;
    c->sample[at].high = (int64_t) real_us - (int64_t) sent_us;
    c->sample[at].at_us = now_us;
    estimate(c, now_us);
}

uint64_t tb_relay_clock_to_mono(const struct tb_relay_clock *c, uint64_t real_us, uint64_t now_us)
{
    uint64_t mono_us = real_us - (uint64_t) c->offset_us;

    return c->count > 0 && mono_us < now_us && now_us - mono_us <= OLDEST_US ? mono_us : now_us;
}
