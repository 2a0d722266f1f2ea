/* SPDX-License-Identifier: BSD-2-Clause */
/* See reading.h. */
#include "reading.h"

enum tb_http_event tb_http_read(struct tb_http_reading *r, uint64_t note,
                                const struct tb_http_reading_how *how, const uint8_t *data,
                                size_t len, size_t *used)
{
    *used = len;
    for (size_t at = 0; at < len;) {
        if (!r->begun) {
            tb_http_begin_response(&r->response, tb_http_note_method(note), how->digest);
            if (how->watch)
                tb_http_watch(&r->response);
            r->begun = true;
        }
        enum tb_http_event event;
        do {
            size_t n;
            event = tb_http_feed_to(&r->response, data + at, len - at, &n, how->sink);
            at += n;
        } while (event == TB_HTTP_HEAD_END);
        if (event == TB_HTTP_MORE)
            break;
        bool continues = r->response.status == 100 && (note & TB_HTTP_NOTE_EXPECTS);
        if (event == TB_HTTP_DONE && tb_http_interim(&r->response) && !continues) {
            r->begun = false; /* the next one is the response, or another interim one */
            continue;
        }
        *used = at;
        return event;
    }
    return TB_HTTP_MORE;
}
