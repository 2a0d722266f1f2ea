/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An example module, built outside of tcpburn's tree: a protocol of lines. A request is a line, its
 * response is a line; a server may greet with a line first.
 *
 * It learns where lines end and what was answered, sends each request with its number in front if
 * asked to ("number": true), and checks that a response begins with the captured word.
 * docs/MODULES.md walks through this file.
 */
#include "module.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Written by configure() only, before any other hook runs. */
static struct {
    const struct tb_host *host;
    bool number;
    int lines; /* counter: lines received */
} line;

/* --- options ---------------------------------------------------------------------------------- */

static int line_configure(const struct tb_host *host, const json_t *options, char *err,
                          size_t err_len)
{
    const char *key;
    json_t *value;
    line.host = host;
    line.number = false;
    json_object_foreach((json_t *) options, key, value)
    {
        if (strcmp(key, "number") != 0) {
            snprintf(err, err_len, "line: unknown option \"%s\" (known: number)", key);
            return -1;
        }
        if (!json_is_boolean(value)) {
            snprintf(err, err_len, "line: \"number\" must be true or false");
            return -1;
        }
        line.number = json_is_true(value);
    }
    line.lines = host->counter(host, "lines");
    return 0;
}

/* --- learning: where requests end, and what came back -------------------------------------------
 */

/* The first 8 bytes of a response: what a request's note can hold. */
struct start {
    uint64_t bytes;
    unsigned count;
};

/* A captured session. Requests and responses are numbered; both lists grow with the capture. */
struct learner {
    uint32_t answered; /* requests */
    uint32_t cut;
    struct start start; /* of the response being read */
};

static void start_add(struct start *start, uint8_t c)
{
    if (start->count < 8)
        start->bytes |= (uint64_t) c << 8 * start->count++;
}

static void *line_learn_begin(struct tb_learn *l)
{
    return calloc(1, sizeof(struct learner));
}

static void learn_request_bytes(struct tb_learn *l, struct learner *s, uint64_t offset,
                                const uint8_t *bytes, uint64_t len)
{
    for (uint64_t i = 0; i < len; i++) {
        if (bytes[i] == '\n') {
            line.host->learn_cut(l, offset + i + 1, 0, 0);
            s->cut++;
        }
    }
}

static void learn_response_bytes(struct tb_learn *l, struct learner *s, uint64_t offset,
                                 const uint8_t *bytes, uint64_t len)
{
    for (uint64_t i = 0; i < len; i++) {
        if (bytes[i] != '\n') {
            start_add(&s->start, bytes[i]);
            continue;
        }
        /* With no request outstanding this is the greeting. */
        if (s->answered < s->cut)
            line.host->learn_note(l, s->answered++, s->start.bytes);
        line.host->learn_response(l, offset + i + 1);
        s->start = (struct start){0};
    }
}

static void line_learn_data(struct tb_learn *l, void *state, enum tb_direction dir, uint64_t offset,
                            const uint8_t *bytes, uint64_t len, uint64_t time_us)
{
    struct learner *s = state;
    if (!s)
        return;
    if (!bytes) { /* a hole in the capture: how many lines were in it? */
        line.host->learn_reject(l, "line_hole");
        return;
    }
    if (dir == TB_CLIENT_BYTES)
        learn_request_bytes(l, s, offset, bytes, len);
    else
        learn_response_bytes(l, s, offset, bytes, len);
}

static void line_learn_end(struct tb_learn *l, void *state, bool used)
{
    free(state);
}

/* --- playing ------------------------------------------------------------------------------------
 */

/* Request boundary: the number goes before the captured bytes, which are sent as they are. */
static enum tb_request_action line_request(struct tb_session *s, const struct tb_request_info *req)
{
    if (req && line.number) { /* NULL: the script is over */
        char number[16];
        int n = snprintf(number, sizeof number, "%u ", (unsigned) req->index + 1);
        if (line.host->send(s, number, (size_t) n)) {
            line.host->fail_reason(s, "line: no memory for the number");
            return TB_REQUEST_FAIL;
        }
    }
    return TB_REQUEST_SEND;
}

/* The response's first word differs from the captured one's, as far as a note knows it. */
static bool first_word_differs(uint64_t captured, uint64_t seen)
{
    for (unsigned i = 0; i < 8; i++, captured >>= 8, seen >>= 8) {
        uint8_t a = captured & 0xff, b = seen & 0xff;
        bool a_ends = a == 0 || a == ' ' || a == '\r', b_ends = b == 0 || b == ' ' || b == '\r';
        if (a_ends || b_ends)
            return a_ends != b_ends;
        if (a != b)
            return true;
    }
    return false;
}

static void first_word(char out[9], uint64_t bytes)
{
    for (unsigned i = 0; i < 8; i++, bytes >>= 8) {
        uint8_t c = bytes & 0xff;
        out[i] = c > ' ' && c < 0x7f ? (char) c : '\0';
    }
    out[8] = '\0';
}

/* Response check: bytes come in pieces of any size, so what is known of an unfinished line lives in
 * the busy state. */
static enum tb_response_status line_response(struct tb_session *s, const uint8_t *data, size_t len,
                                             unsigned flags, size_t *used)
{
    struct tb_request_info req;
    struct start unasked = {0}, *start = &unasked;
    bool asked = line.host->awaited(s, &req);
    if (asked)
        start = line.host->busy_state(s);
    *used = len;
    for (size_t i = 0; i < len; i++) {
        if (data[i] != '\n') {
            start_add(start, data[i]);
            continue;
        }
        uint64_t seen = start->bytes;
        *start = (struct start){0};
        *used = i + 1;
        line.host->count(s, line.lines, 1);
        if (asked && first_word_differs(req.note, seen)) {
            char captured_word[9], seen_word[9];
            first_word(captured_word, req.note);
            first_word(seen_word, seen);
            line.host->mismatch(s, captured_word, seen_word);
            return TB_RESPONSE_MISMATCH;
        }
        return TB_RESPONSE_COMPLETE;
    }
    return TB_RESPONSE_MORE;
}

TB_MODULE_EXPORT const struct tb_module tb_module_entry = {
    .magic = TB_MODULE_MAGIC,
    .abi = TB_MODULE_ABI,
    .size = sizeof(struct tb_module),
    .busy_size = sizeof(struct start),
    .needs_payload = true,
    .name = "line",
    .version = "1.0",
    .configure = line_configure,
    .learn_begin = line_learn_begin,
    .learn_data = line_learn_data,
    .learn_end = line_learn_end,
    .request = line_request,
    .response = line_response,
};
