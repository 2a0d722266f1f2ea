/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target of the HTTP parser (modules/httpmsg/message.h), for libFuzzer:
 *   clang -g -fsanitize=fuzzer,address,undefined -Imodules tests/fuzz/fuzz_http.c \
 *       modules/httpmsg/message.c -o fuzz_http
 * First byte: request or response, and to which method; second: length of the pieces. The stream
 * behind is read in pieces and at once, with the same outcome, or the target aborts.
 */
#include "httpmsg/message.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    struct tb_http_message m;
    unsigned messages;
    size_t end;
    bool bad;
};

static void begin(struct tb_http_message *m, uint8_t what)
{
    if (what & 4)
        tb_http_begin_request(m, true);
    else
        tb_http_begin_response(m, (enum tb_http_method)(what % 3), true);
}

static struct outcome read_stream(const uint8_t *data, size_t size, uint8_t what, size_t piece)
{
    struct outcome o = {0};
    begin(&o.m, what);
    while (o.end < size && !o.bad) {
        size_t n = size - o.end < piece ? size - o.end : piece, used;
        enum tb_http_event event = tb_http_feed(&o.m, data + o.end, n, &used);
        if (used > n || (event == TB_HTTP_MORE && used != n))
            abort();
        o.end += used;
        if (event == TB_HTTP_HEAD_END) /* a message may end right here */
            event = tb_http_feed(&o.m, data + o.end, 0, &used);
        if (event == TB_HTTP_DONE) {
            o.messages++;
            begin(&o.m, what);
        }
        o.bad = event == TB_HTTP_BAD;
    }
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    struct outcome a = read_stream(data + 2, size - 2, data[0], size);
    struct outcome b = read_stream(data + 2, size - 2, data[0], 1 + data[1] % 32);
    if (a.messages != b.messages || a.end != b.end || a.bad != b.bad ||
        memcmp(&a.m.digest, &b.m.digest, sizeof a.m.digest) != 0 || a.m.status != b.m.status)
        abort();
    return 0;
}
