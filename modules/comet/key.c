/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The opening handshake of a WebSocket (RFC 6455 §4): a key of the session's own in place of the
 * captured one, and what the server has to answer to it. Called from the request hook.
 */
#include "comet.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>
#include <strings.h>

enum { KEY_BYTES = 16, KEY_TEXT = 24, ACCEPT_TEXT = 28 };

/* SHA-1 of what nobody else knows and what is never the same twice. */
static void random_bytes(struct tb_session *s, uint8_t out[SHA_DIGEST_LENGTH])
{
    const struct tb_host *h = tb_comet_host();
    struct {
        uint8_t secret[sizeof tb_comet_config.secret];
        uint64_t now_us, session;
    } seed = {.now_us = h->now_us(s), .session = (uintptr_t) h->session_state(s)};
    memcpy(seed.secret, tb_comet_config.secret, sizeof seed.secret);
    SHA1((const uint8_t *) &seed, sizeof seed, out);
}

uint32_t tb_comet_random(struct tb_session *s)
{
    uint8_t bytes[SHA_DIGEST_LENGTH];
    uint32_t out;
    random_bytes(s, bytes);
    memcpy(&out, bytes, sizeof out);
    return out;
}

/* The value of the field in the request's head; its length, 0 when there is none. */
static size_t find_value(const uint8_t *p, size_t len, const char *field, const uint8_t **value)
{
    size_t name = strlen(field);
    for (const uint8_t *end = p + len, *line = p, *lf; line < end; line = lf + 1) {
        lf = memchr(line, '\n', (size_t) (end - line));
        if (!lf)
            break;
        if ((size_t) (lf - line) <= name || line[name] != ':' ||
            strncasecmp((const char *) line, field, name) != 0)
            continue;
        const uint8_t *from = line + name + 1, *to = lf;
        while (from < to && (*from == ' ' || *from == '\t'))
            from++;
        while (to > from && (to[-1] == ' ' || to[-1] == '\t' || to[-1] == '\r'))
            to--;
        *value = from;
        return (size_t) (to - from);
    }
    return 0;
}

static uint32_t accept_hash(const uint8_t key[KEY_TEXT])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t both[KEY_TEXT + sizeof guid - 1], digest[SHA_DIGEST_LENGTH], text[ACCEPT_TEXT + 1];
    memcpy(both, key, KEY_TEXT);
    memcpy(both + KEY_TEXT, guid, sizeof guid - 1);
    SHA1(both, sizeof both, digest);
    EVP_EncodeBlock(text, digest, sizeof digest);
    return tb_http_hash(text, ACCEPT_TEXT);
}

bool tb_comet_send_upgrade(struct tb_session *s, const struct tb_request_info *r, uint32_t *accept)
{
    const struct tb_host *h = tb_comet_host();
    const uint8_t *captured;
    size_t len = find_value(r->data, r->len, "sec-websocket-key", &captured);
    if (len == 0)
        return false;
    uint8_t nonce[SHA_DIGEST_LENGTH], key[KEY_TEXT + 1];
    random_bytes(s, nonce);
    EVP_EncodeBlock(key, nonce, KEY_BYTES);
    size_t before = (size_t) (captured - r->data), behind = before + len;
    h->send_captured(s, 0, before);
    h->send(s, key, KEY_TEXT);
    h->send_captured(s, behind, r->len - behind);
    *accept = accept_hash(key);
    return true;
}
