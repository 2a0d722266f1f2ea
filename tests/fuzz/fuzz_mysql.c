/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target of the mysql module, both directions: a captured session is learned from the input,
 * then played with the input as the target's answers; and the parts that look at text and frames
 * (statement.h, compress.h) see it, too. The input is a list of pieces: a byte (its lowest bit: who
 * sends; the rest: how many bytes, 0: those left), then the bytes.
 */
#include "mysql/compress.h"
#include "mysql/mysql.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REQUESTS = 64 };

/* What learning said, and what play.c asks for. */
static struct {
    uint64_t note[REQUESTS], session_note, end;
    unsigned count, awaited, sent;
    bool rejected, greeting;
    _Alignas(16) uint8_t state[512];
    _Alignas(16) uint8_t busy[512];
    struct tb_mysql_worker worker;
} h;

/* --- a host that believes everything ---------------------------------------------------------- */

static void host_log(int level, const char *fmt, ...)
{
}
static int host_counter(const struct tb_host *host, const char *name)
{
    return 0;
}
static void host_count(struct tb_session *s, int counter, uint64_t n)
{
}
static bool learn_live(struct tb_learn *l)
{
    return false;
}
static uint32_t learn_cut(struct tb_learn *l, uint64_t end, unsigned flags, uint64_t note)
{
    if (end <= h.end)
        abort();
    h.end = end;
    if (h.count < REQUESTS)
        h.note[h.count++] = note;
    return h.count - 1;
}
static void learn_response(struct tb_learn *l, uint64_t end)
{
}
static void learn_session_note(struct tb_learn *l, uint64_t note)
{
    h.session_note = note;
}
static void learn_reject(struct tb_learn *l, const char *reason)
{
    h.rejected = true;
}
static uint64_t now_us(const struct tb_session *s)
{
    return 5;
}
static uint64_t session_note(const struct tb_session *s)
{
    return h.session_note;
}
static void *session_state(struct tb_session *s)
{
    return h.state;
}
static void *busy_state(struct tb_session *s)
{
    return h.busy;
}
static bool awaited(const struct tb_session *s, struct tb_request_info *out)
{
    if (h.greeting || h.awaited >= h.count)
        return false;
    *out = (struct tb_request_info){.index = h.awaited, .note = h.note[h.awaited]};
    return true;
}
static int host_send(struct tb_session *s, const void *data, size_t len)
{
    const uint8_t *p = data;
    uint8_t sum = 0;
    for (size_t i = 0; i < len; i++) /* sanitizers see what may not be read */
        sum ^= p[i];
    h.sent += 1 + (sum == 0);
    return 0;
}
static int send_captured(struct tb_session *s, size_t offset, size_t len)
{
    return 0;
}
static void text_of(struct tb_session *s, const char *reason)
{
    if (strlen(reason) > 1000)
        abort();
}
static void mismatch(struct tb_session *s, const char *captured, const char *seen)
{
    text_of(s, captured);
    text_of(s, seen);
}
static void *worker_state(const struct tb_session *s)
{
    return &h.worker;
}
static struct tb_latency *latency_new(void)
{
    return NULL;
}
static void latency_free(struct tb_latency *l)
{
}

static void *memory(void *old, size_t bytes)
{
    if (bytes)
        return realloc(old, bytes);
    free(old);
    return NULL;
}

static const struct tb_host host = {
    .abi = TB_MODULE_ABI,
    .size = sizeof host,
    .log = host_log,
    .counter = host_counter,
    .count = host_count,
    .learn_live = learn_live,
    .learn_cut = learn_cut,
    .learn_response = learn_response,
    .learn_session_note = learn_session_note,
    .learn_reject = learn_reject,
    .now_us = now_us,
    .session_note = session_note,
    .session_state = session_state,
    .busy_state = busy_state,
    .awaited = awaited,
    .send = host_send,
    .send_captured = send_captured,
    .send_kept = host_send,
    .mismatch = mismatch,
    .fail_reason = text_of,
    .worker_state = worker_state,
    .awaited_sent_us = now_us,
    .latency_new = latency_new,
    .latency_free = latency_free,
    .memory = memory,
};

/* --- both directions -------------------------------------------------------------------------- */

/* The next piece of the input; false at its end. */
static bool next_piece(const uint8_t **at, size_t *left, enum tb_direction *dir, size_t *len)
{
    if (*left < 2)
        return false;
    *dir = (enum tb_direction)(**at & 1);
    *len = **at >> 1;
    ++*at;
    --*left;
    if (*len == 0 || *len > *left)
        *len = *left;
    return true;
}

static void learn(const uint8_t *at, size_t left)
{
    const struct tb_module *m = &tb_module_entry;
    uint64_t offset[2] = {0};
    enum tb_direction dir;
    size_t len;
    void *state = m->learn_begin(NULL);

    while (next_piece(&at, &left, &dir, &len)) {
        uint8_t *copy = malloc(len);
        memcpy(copy, at, len);
        m->learn_data(NULL, state, dir, offset[dir], copy, len, 0);
        free(copy);
        offset[dir] += len;
        at += len;
        left -= len;
    }
    m->learn_end(NULL, state, true);
}

static void play(const uint8_t *at, size_t left)
{
    const struct tb_module *m = &tb_module_entry;
    enum tb_response_status status = TB_RESPONSE_MORE;
    enum tb_direction dir;
    size_t len, used;

    h.greeting = true;
    if (m->session_start(NULL) != 0)
        return;
    while (status != TB_RESPONSE_FATAL && next_piece(&at, &left, &dir, &len)) {
        size_t heard = dir == TB_SERVER_BYTES ? len : 0;
        uint8_t *copy = malloc(len);
        memcpy(copy, at, len);
        for (size_t done = 0; done < heard && status != TB_RESPONSE_FATAL; done += used) {
            status = m->response(NULL, copy + done, heard - done, 0, &used);
            if (used > heard - done || (used == 0 && status == TB_RESPONSE_MORE))
                abort();
            if (status == TB_RESPONSE_MORE || status == TB_RESPONSE_FATAL)
                continue;
            if (!h.greeting)
                h.awaited++;
            h.greeting = false;
            while (h.awaited < h.count) { /* until one is sent */
                uint8_t captured[16] = {12, 0, 0, 0, 0x17, 1};
                struct tb_request_info info = {
                    .note = h.note[h.awaited], .data = captured, .len = sizeof captured};
                enum tb_request_action action = m->request(NULL, &info);
                if (action != TB_REQUEST_SKIP)
                    break;
                h.awaited++;
            }
        }
        free(copy);
        at += len;
        left -= len;
    }
    m->busy_end(NULL, h.busy);
    m->session_end(NULL, TB_VERDICT_COMPLETED);
}

static void look_at_text(const char *text, size_t len)
{
    char out[TB_MYSQL_FINGERPRINT_MAX];
    const char *name;
    size_t name_len;

    if (tb_mysql_fingerprint(text, len, out) >= sizeof out)
        abort();
    tb_mysql_reads_only(text, len);
    if (tb_mysql_use_of(text, len, &name, &name_len) && (name < text || name_len > len))
        abort();
}

static void inflate_all(const uint8_t *data, size_t size)
{
    struct tb_mysql_inflater inf = {0};
    bool whole, bad = false;

    for (size_t at = 0; at < size && !bad;)
        at += tb_mysql_inflate(&inf, data + at, size - at, &whole, &bad);
    tb_mysql_inflate_fini(&inf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char err[200];
    json_t *options =
        json_pack("{s:s, s:b, s:{s:s}, s:s}", "default_password", "x", "read_only",
                  size > 0 && (data[0] & 0x40), "schema_map", "a", "b", "check", "rows");
    memset(&h, 0, sizeof h);
    if (size < 4 || tb_module_entry.configure(&host, options, err, sizeof err) != 0) {
        json_decref(options);
        return 0;
    }
    json_decref(options);
    size_t half = (size_t) (data[1] | data[2] << 8) % size;
    learn(data + 3, size - 3);
    if (!h.rejected)
        play(half > 3 ? data + half : data + 3, half > 3 ? size - half : size - 3);
    look_at_text((const char *) data, size);
    inflate_all(data, size);
    void *workers[] = {&h.worker};
    tb_module_entry.unload(workers, 1);
    return 0;
}
