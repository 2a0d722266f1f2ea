/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Learning a captured HTTP session: pairs requests and responses (httpmsg/pairing.h) and notes of
 * each response what play.c needs to judge the real one. Called by the host with both streams in
 * the order of capture.
 */
#include "http.h"

#include <stdlib.h>

static uint64_t response_note(const struct tb_http_pairing *p)
{
    const struct tb_http_message *m = &p->response;
    if (!(m->flags & TB_HTTP_DIGEST) || (m->flags & TB_HTTP_DIGEST_LOST))
        return 0;
    return TB_HTTP_NOTE_HAS_DIGEST | (uint64_t) m->digest << TB_HTTP_NOTE_DIGEST_SHIFT;
}

static const struct tb_http_pairing_ops ops = {.response_note = response_note};

void *tb_http_learn_begin(struct tb_learn *l)
{
    const struct tb_host *h = tb_http_config.host;
    struct tb_http_pairing *p = malloc(sizeof *p);
    if (!p) {
        h->learn_opaque(l);
        return NULL;
    }
    tb_http_pairing_init(p, h, &ops, tb_http_config.digest);
    p->in_parts = h->size > offsetof(struct tb_host, learn_live) && h->learn_live(l);
    return p;
}

void tb_http_learn_data(struct tb_learn *l, void *state, enum tb_direction dir, uint64_t offset,
                        const uint8_t *bytes, uint64_t len, uint64_t time_us)
{
    struct tb_http_pairing *p = state;
    if (!p || p->over || len == 0)
        return;
    if (dir == TB_SERVER_BYTES)
        tb_http_pairing_server(p, l, offset, bytes, len);
    else
        tb_http_pairing_client(p, l, bytes, (size_t) len);
}

void tb_http_learn_end(struct tb_learn *l, void *state, bool used)
{
    struct tb_http_pairing *p = state;
    if (!p)
        return;
    if (used)
        tb_http_pairing_end(p, l);
    tb_http_pairing_fini(p);
    free(p);
}
