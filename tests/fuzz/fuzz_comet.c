/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target of the comet module (modules/comet), for libFuzzer. First byte: what is read; second:
 * length of the pieces. Server bytes are given to the response hook of a held session in pieces and
 * at once, with the same counts, or the target aborts; both streams of a captured session to the
 * learn hooks; and any text to the search for times.
 */
#include "comet/comet.h"
#include "comet/stamp.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct tb_learn {
    uint64_t client, server, cut; /* stream offsets */
    uint32_t requests;
};

struct tb_session {
    uint64_t note, now_us;
    uint64_t counts[TB_COMET_COUNTERS];
    size_t sent;
    bool keeps;
    struct tb_comet_session state;
    struct tb_comet_open open;
    struct tb_comet_worker worker;
};

static int counters;

static int new_counter(const struct tb_host *host, const char *name)
{
    return counters++;
}

static void count(struct tb_session *s, int counter, uint64_t n)
{
    s->counts[counter] += n;
}

static uint32_t learn_cut(struct tb_learn *l, uint64_t end, unsigned flags, uint64_t note)
{
    if (end <= l->cut || end > l->client)
        abort();
    l->cut = end;
    return l->requests++;
}

static void learn_response(struct tb_learn *l, uint64_t end)
{
    if (end > l->server)
        abort();
}

static void learn_note(struct tb_learn *l, uint32_t index, uint64_t note)
{
    if (index >= l->requests)
        abort();
}

static void learn_session_note(struct tb_learn *l, uint64_t note)
{
}

static void learn_opaque(struct tb_learn *l)
{
}

static void learn_reject(struct tb_learn *l, const char *reason)
{
}

static uint64_t now_us(const struct tb_session *s)
{
    return s->now_us;
}

static uint64_t session_note(const struct tb_session *s)
{
    return s->note;
}

static void *session_state(struct tb_session *s)
{
    return &s->state;
}

static void *busy_state(struct tb_session *s)
{
    return &s->open;
}

static void *worker_state(const struct tb_session *s)
{
    return (void *) (uintptr_t) &s->worker;
}

static bool awaited(const struct tb_session *s, struct tb_request_info *out)
{
    return false;
}

static int send_bytes(struct tb_session *s, const void *data, size_t len)
{
    s->sent += len;
    return 0;
}

static int send_request(struct tb_session *s, uint32_t index)
{
    return 0;
}

static void set_timer(struct tb_session *s, uint64_t us)
{
}

static uint64_t scale_us(const struct tb_session *s, uint64_t us)
{
    return us;
}

static void keep_busy(struct tb_session *s, bool keep)
{
    s->keeps = keep;
    if (!keep)
        memset(&s->open, 0, sizeof s->open);
}

static void fail_reason(struct tb_session *s, const char *reason)
{
}

static struct tb_latency *latency_new(void)
{
    return NULL;
}

static void latency_add(struct tb_latency *h, uint64_t us)
{
}

static const struct tb_host host = {
    .size = sizeof(struct tb_host),
    .counter = new_counter,
    .count = count,
    .learn_cut = learn_cut,
    .learn_response = learn_response,
    .learn_note = learn_note,
    .learn_session_note = learn_session_note,
    .learn_opaque = learn_opaque,
    .learn_reject = learn_reject,
    .now_us = now_us,
    .session_note = session_note,
    .session_state = session_state,
    .busy_state = busy_state,
    .worker_state = worker_state,
    .awaited = awaited,
    .send = send_bytes,
    .send_request = send_request,
    .set_timer = set_timer,
    .scale_us = scale_us,
    .keep_busy = keep_busy,
    .fail_reason = fail_reason,
    .real_us = now_us,
    .latency_new = latency_new,
    .latency_add = latency_add,
};

static void listen_to(struct tb_session *s, const uint8_t *data, size_t size, uint8_t kind,
                      size_t piece)
{
    memset(s, 0, sizeof *s);
    s->note = tb_comet_note_pack(&(struct tb_comet_session_note){
        .kind = kind % 4, .flags = TB_COMET_ENGINE_IO, .repeated = 1});
    s->now_us = UINT64_C(1795316645678901);
    s->state.flags = TB_COMET_IS_HELD;
    if (kind % 4 == TB_COMET_SOCKET)
        s->state.reading = TB_COMET_READS_FRAMES;
    for (size_t at = 0; at < size;) {
        size_t n = size - at < piece ? size - at : piece, used;
        if (tb_comet_response(s, data + at, n, TB_RESPONSE_UNASKED, &used) != TB_RESPONSE_MORE)
            return;
        if (used != n)
            abort();
        at += n;
    }
}

/* Turns of the two sides: a byte that says whose and how long, then so many bytes. */
static void learn(const uint8_t *data, size_t size)
{
    struct tb_learn l = {0};
    void *state = tb_comet_learn_begin(&l);
    for (size_t at = 0; at < size;) {
        uint8_t turn = data[at++];
        size_t n = turn & 0x7f;
        enum tb_direction dir = turn & 0x80 ? TB_SERVER_BYTES : TB_CLIENT_BYTES;
        uint64_t *offset = dir == TB_SERVER_BYTES ? &l.server : &l.client, before = *offset;
        if (n > size - at)
            n = size - at;
        *offset += n;
        bool is_hole = dir == TB_SERVER_BYTES && n == 0x7f;
        tb_comet_learn_data(&l, state, dir, before, is_hole ? NULL : data + at, n, at * 1000);
        at += n;
    }
    tb_comet_learn_end(&l, state, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tb_session whole, pieces;
    if (!tb_comet_config.host) {
        tb_comet_config.host = &host;
        tb_comet_report_begin(&host);
    }
    if (size < 3)
        return 0;
    tb_comet_config.by_line = data[0] & 16;
    tb_stamp_find(data + 2, size - 2, UINT64_C(1795316645678901));
    if (data[0] & 8) {
        learn(data + 2, size - 2);
        return 0;
    }
    listen_to(&whole, data + 2, size - 2, data[0], size);
    listen_to(&pieces, data + 2, size - 2, data[0], 1 + data[1] % 32);
    if (memcmp(whole.counts, pieces.counts, sizeof whole.counts) != 0 || whole.sent != pieces.sent)
        abort();
    /* Times are not looked for across pieces, so that one of them may still keep a push. */
    if (!whole.keeps && !pieces.keeps && whole.state.reading != pieces.state.reading)
        abort();
    return 0;
}
