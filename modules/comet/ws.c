/* SPDX-License-Identifier: BSD-2-Clause */
/* See ws.h. */
#include "ws.h"

#include <string.h>

enum { FIN = 0x80, RSV1 = 0x40, RSV23 = 0x30, OPCODE = 0x0f, MASKED = 0x80, LENGTH = 0x7f };

static bool is_control(uint8_t opcode)
{
    return opcode >= TB_WS_CLOSE;
}

/* The first two bytes: how long the head is, and whether this may be a frame. */
static bool begin(struct tb_ws *ws, bool from_client)
{
    uint8_t kind = ws->head[0], second = ws->head[1], length = second & LENGTH;
    ws->opcode = kind & OPCODE;
    ws->fin = kind & FIN;
    ws->compressed = kind & RSV1;
    ws->need = (uint8_t) (2 +
                          (length == 126   ? 2
                           : length == 127 ? 8
                                           : 0) +
                          (from_client ? TB_WS_MASK_BYTES : 0));
    bool known =
        ws->opcode <= TB_WS_BINARY || (ws->opcode >= TB_WS_CLOSE && ws->opcode <= TB_WS_PONG);
    if (!known || (kind & RSV23) || !(second & MASKED) != !from_client)
        return false;
    return !is_control(ws->opcode) || (ws->fin && !ws->compressed && length <= TB_WS_CONTROL_MAX);
}

static uint64_t big_endian(const uint8_t *p, unsigned n)
{
    uint64_t value = 0;
    while (n-- > 0)
        value = value << 8 | *p++;
    return value;
}

/* The head is complete. */
static bool begin_payload(struct tb_ws *ws)
{
    uint8_t length = ws->head[1] & LENGTH;
    ws->length = length < 126    ? length
                 : length == 126 ? big_endian(ws->head + 2, 2)
                                 : big_endian(ws->head + 2, 8);
    ws->left = ws->length;
    ws->in_payload = true;
    return ws->length >> 63 == 0;
}

static enum tb_ws_event bad(struct tb_ws *ws)
{
    ws->bad = true;
    return TB_WS_BAD;
}

static void keep_control(struct tb_ws *ws, bool from_client, const uint8_t *p, size_t n)
{
    if (!is_control(ws->opcode))
        return;
    for (size_t i = 0; i < n; i++, ws->control_len++)
        ws->control[ws->control_len] =
            from_client ? p[i] ^ tb_ws_mask_at(ws, ws->control_len) : p[i];
}

enum tb_ws_event tb_ws_feed(struct tb_ws *ws, bool from_client, const uint8_t *data, size_t len,
                            size_t *used, const uint8_t **payload, size_t *payload_len)
{
    size_t at = 0;
    *used = 0;
    *payload = data;
    *payload_len = 0;
    if (ws->bad)
        return TB_WS_BAD;
    if (ws->done) {
        ws->have = ws->need = ws->control_len = 0;
        ws->in_payload = ws->done = false;
    }
    while (!ws->in_payload && at < len) {
        ws->head[ws->have++] = data[at++];
        *used = at;
        if (ws->have == 2 && !begin(ws, from_client))
            return bad(ws);
        if (ws->have >= 2 && ws->have == ws->need && !begin_payload(ws))
            return bad(ws);
    }
    if (!ws->in_payload)
        return TB_WS_MORE;
    size_t n = len - at < ws->left ? len - at : (size_t) ws->left;
    *payload = data + at;
    *payload_len = n;
    keep_control(ws, from_client, data + at, n);
    *used = at + n;
    ws->left -= n;
    ws->done = ws->left == 0;
    return ws->done ? TB_WS_DONE : TB_WS_MORE;
}

bool tb_ws_begun(const struct tb_ws *ws)
{
    return ws->have > 0 && !ws->done;
}

size_t tb_ws_frame(uint8_t out[TB_WS_CONTROL_MAX + 6], enum tb_ws_opcode opcode,
                   const uint8_t *payload, size_t len, uint32_t mask)
{
    uint8_t key[TB_WS_MASK_BYTES];
    if (len > TB_WS_CONTROL_MAX)
        len = TB_WS_CONTROL_MAX;
    memcpy(key, &mask, sizeof key);
    out[0] = (uint8_t) (FIN | opcode);
    out[1] = (uint8_t) (MASKED | len);
    memcpy(out + 2, key, sizeof key);
    for (size_t i = 0; i < len; i++)
        out[6 + i] = payload[i] ^ key[i % TB_WS_MASK_BYTES];
    return 6 + len;
}
