/* SPDX-License-Identifier: BSD-2-Clause */
/* Encoding and decoding of the channel's frames; see frame.h and docs/CHANNEL.md. */
#include "relay/frame.h"

#include <errno.h>
#include <string.h>

/* --- writing ---------------------------------------------------------------------------------- */

/* Bytes of a frame as they are written; `failed` once the room was too small. */
struct writer {
    uint8_t *begin, *at, *end;
    bool failed;
};

static void put_bytes(struct writer *w, const void *data, size_t n)
{
    if ((size_t) (w->end - w->at) < n) {
        w->failed = true;
        return;
    }
    if (n > 0)
        memcpy(w->at, data, n);
    w->at += n;
}

static void put_be(struct writer *w, uint64_t value, unsigned bytes)
{
    uint8_t b[8];

    for (unsigned i = 0; i < bytes; i++)
        b[i] = (uint8_t) (value >> 8 * (bytes - 1 - i));
    put_bytes(w, b, bytes);
}

/* Two bytes of length, then the text, at most TB_RELAY_TEXT_MAX - 1 of it. */
static void put_text(struct writer *w, const char *text)
{
    size_t n = strlen(text);

    if (n > TB_RELAY_TEXT_MAX - 1)
        n = TB_RELAY_TEXT_MAX - 1;
    put_be(w, n, 2);
    put_bytes(w, text, n);
}

static struct writer writer_of(uint8_t *out, size_t room)
{
    struct writer w = {.failed = false};

    w.begin = w.at = out;
    w.end = out + room;
    return w;
}

static struct writer begin(uint8_t *out, size_t room)
{
    struct writer w = writer_of(out, room);
    static const uint8_t head[TB_RELAY_HEAD];

    put_bytes(&w, head, sizeof head);
    return w;
}

static size_t finish(struct writer *w, uint8_t type)
{
    if (w->failed)
        return 0;
    size_t len = (size_t) (w->at - w->begin);
    tb_relay_head_put(w->begin, type, (uint32_t) (len - TB_RELAY_HEAD));
    return len;
}

/* --- reading ---------------------------------------------------------------------------------- */

static uint64_t get_be64(struct tb_cursor *c)
{
    uint64_t high = tb_cursor_be32(c);

    return high << 32 | tb_cursor_be32(c);
}

static void get_addr(struct tb_cursor *c, struct tb_addr *out)
{
    const uint8_t *p = tb_cursor_bytes(c, 16);

    if (p)
        memcpy(out->b, p, 16);
}

/* A text goes into logs and terminals: what is not printable becomes '?'. */
static void get_text(struct tb_cursor *c, char *out, size_t room)
{
    size_t n = tb_cursor_be16(c);
    const uint8_t *p = tb_cursor_bytes(c, n);

    if (!p || n >= room) {
        c->failed = true;
        return;
    }
    for (size_t i = 0; i < n; i++)
        out[i] = p[i] >= 0x20 && p[i] < 0x7f ? (char) p[i] : '?';
    out[n] = 0;
}

/* Everything was there, and nothing more. */
static int done(const struct tb_cursor *c)
{
    return c->failed || tb_cursor_left(c) ? -EBADMSG : 0;
}

/* --- heads ------------------------------------------------------------------------------------ */

void tb_relay_head_put(uint8_t out[TB_RELAY_HEAD], uint8_t type, uint32_t len)
{
    struct writer w = writer_of(out, TB_RELAY_HEAD);

    put_be(&w, len, 4);
    put_be(&w, type, 1);
    put_be(&w, 0, 3);
}

int tb_relay_head_get(const uint8_t *data, size_t len, struct tb_relay_head *head)
{
    struct tb_cursor c = tb_cursor_init(data, len);
    uint32_t payload = tb_cursor_be32(&c);
    uint8_t type = tb_cursor_u8(&c);
    uint32_t zero = tb_cursor_u8(&c) | (uint32_t) tb_cursor_be16(&c);

    if (c.failed)
        return -EAGAIN;
    if (type < TB_RELAY_HELLO || type > TB_RELAY_TAKEN || zero)
        return -EBADMSG;
    if (payload > (type == TB_RELAY_RECORDS ? TB_RELAY_PAYLOAD_MAX : TB_RELAY_CONTROL_MAX))
        return -EBADMSG;
    *head = (struct tb_relay_head){.len = payload, .type = type};
    return 0;
}

/* --- HELLO ------------------------------------------------------------------------------------ */

static const uint8_t magic[4] = {'T', 'B', 'R', 'N'};

/* HELLO and WELCOME begin alike: magic, version. */
static int get_version(struct tb_cursor *c, uint16_t *version)
{
    const uint8_t *p = tb_cursor_bytes(c, sizeof magic);

    if (!p || memcmp(p, magic, sizeof magic) != 0)
        return -EBADMSG;
    *version = tb_cursor_be16(c);
    if (c->failed)
        return -EBADMSG;
    return *version >= TB_RELAY_VERSION_FIRST && *version <= TB_RELAY_VERSION ? 0
                                                                              : -EPROTONOSUPPORT;
}

static void put_endpoints(struct writer *w, const struct tb_endpoint *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        put_bytes(w, list[i].addr.b, 16);
        put_be(w, list[i].port, 2);
    }
}

static void get_endpoints(struct tb_cursor *c, struct tb_endpoint *out, uint32_t count)
{
    for (uint32_t i = 0; i < count && !c->failed; i++) {
        get_addr(c, &out[i].addr);
        out[i].port = tb_cursor_be16(c);
    }
}

size_t tb_relay_hello_put(uint8_t *out, size_t room, const struct tb_relay_hello *hello)
{
    struct writer w = begin(out, room);

    put_bytes(&w, magic, sizeof magic);
    put_be(&w, hello->version, 2);
    put_be(&w, hello->flags, 4);
    put_bytes(&w, hello->run, sizeof hello->run);
    put_be(&w, hello->connection, 2);
    put_be(&w, hello->connections, 2);
    put_text(&w, hello->name);
    put_be(&w, hello->range_count, 2);
    for (uint32_t i = 0; i < hello->range_count; i++) {
        put_bytes(&w, hello->range[i].first.b, 16);
        put_be(&w, hello->range[i].count, 8);
    }
    if (hello->version >= 2) {
        put_be(&w, hello->target_count, 2);
        put_endpoints(&w, hello->target, hello->target_count);
    }
    return finish(&w, TB_RELAY_HELLO);
}

static bool is_sane_range(const struct tb_relay_range *r)
{
    uint64_t room = (UINT64_C(1) << 32) - tb_addr_low32(&r->first);

    return r->count >= 1 && r->count <= room;
}

int tb_relay_hello_get(const uint8_t *data, size_t len, struct tb_relay_hello *out)
{
    struct tb_cursor c = tb_cursor_init(data, len);
    int rc = get_version(&c, &out->version);

    if (rc < 0)
        return rc;
    out->flags = tb_cursor_be32(&c);
    const uint8_t *run = tb_cursor_bytes(&c, sizeof out->run);
    if (run)
        memcpy(out->run, run, sizeof out->run);
    out->connection = tb_cursor_be16(&c);
    out->connections = tb_cursor_be16(&c);
    get_text(&c, out->name, sizeof out->name);
    out->range_count = tb_cursor_be16(&c);
    if (c.failed || out->connections == 0 || out->connections > TB_RELAY_CONNECTIONS_MAX ||
        out->connection >= out->connections || out->range_count > TB_RELAY_RANGES_MAX)
        return -EBADMSG;
    for (uint32_t i = 0; i < out->range_count; i++) {
        get_addr(&c, &out->range[i].first);
        out->range[i].count = get_be64(&c);
        if (c.failed || !is_sane_range(&out->range[i]))
            return -EBADMSG;
    }
    out->target_count = out->version >= 2 ? tb_cursor_be16(&c) : 0;
    if (out->target_count > TB_RELAY_TARGETS_MAX)
        return -EBADMSG;
    get_endpoints(&c, out->target, out->target_count);
    return done(&c);
}

/* --- WELCOME, REFUSED, BYE -------------------------------------------------------------------- */

size_t tb_relay_welcome_put(uint8_t *out, size_t room, const struct tb_relay_welcome *welcome)
{
    struct writer w = begin(out, room);

    put_bytes(&w, magic, sizeof magic);
    put_be(&w, welcome->version, 2);
    put_be(&w, welcome->flags, 4);
    put_be(&w, welcome->real_us, 8);
    put_text(&w, welcome->program);
    put_text(&w, welcome->devices);
    put_text(&w, welcome->filter);
    return finish(&w, TB_RELAY_WELCOME);
}

int tb_relay_welcome_get(const uint8_t *data, size_t len, struct tb_relay_welcome *out)
{
    struct tb_cursor c = tb_cursor_init(data, len);
    int rc = get_version(&c, &out->version);

    if (rc < 0)
        return rc;
    out->flags = tb_cursor_be32(&c);
    out->real_us = get_be64(&c);
    get_text(&c, out->program, sizeof out->program);
    get_text(&c, out->devices, sizeof out->devices);
    get_text(&c, out->filter, sizeof out->filter);
    return done(&c);
}

size_t tb_relay_text_put(uint8_t *out, size_t room, uint8_t type, uint16_t code, const char *text)
{
    struct writer w = begin(out, room);

    put_be(&w, code, 2);
    put_text(&w, text);
    return finish(&w, type);
}

int tb_relay_text_get(const uint8_t *data, size_t len, struct tb_relay_text *out)
{
    struct tb_cursor c = tb_cursor_init(data, len);

    out->code = tb_cursor_be16(&c);
    get_text(&c, out->text, sizeof out->text);
    return done(&c);
}

/* --- RECORDS ---------------------------------------------------------------------------------- */

size_t tb_relay_records_begin(uint8_t *out, uint64_t real_us)
{
    struct writer w = begin(out, TB_RELAY_HEAD + TB_RELAY_RECORDS_HEAD);

    put_be(&w, real_us, 8);
    return (size_t) (w.at - w.begin);
}

size_t tb_relay_record_put(uint8_t *out, size_t room, uint64_t base_us,
                           const struct tb_relay_record *record)
{
    struct writer w = writer_of(out, room);
    uint64_t later = record->real_us > base_us ? record->real_us - base_us : 0;

    put_be(&w, record->wire_len, 4);
    put_be(&w, record->len, 4);
    put_be(&w, later < UINT32_MAX ? later : UINT32_MAX, 4);
    put_bytes(&w, record->data, record->len);
    return w.failed ? 0 : (size_t) (w.at - w.begin);
}

void tb_relay_records_end(uint8_t *out, size_t len)
{
    tb_relay_head_put(out, TB_RELAY_RECORDS, (uint32_t) (len - TB_RELAY_HEAD));
}

int tb_relay_reader_init(struct tb_relay_reader *r, const uint8_t *data, size_t len)
{
    r->cursor = tb_cursor_init(data, len);
    r->base_us = get_be64(&r->cursor);
    return r->cursor.failed ? -EBADMSG : 0;
}

int tb_relay_reader_next(struct tb_relay_reader *r, struct tb_relay_record *out)
{
    struct tb_cursor *c = &r->cursor;

    if (tb_cursor_left(c) == 0)
        return 0;
    out->wire_len = tb_cursor_be32(c);
    out->len = tb_cursor_be32(c);
    out->real_us = r->base_us + tb_cursor_be32(c);
    out->data = tb_cursor_bytes(c, out->len);
    return c->failed || out->wire_len < out->len || out->wire_len > TB_RELAY_WIRE_MAX ? -EBADMSG
                                                                                      : 1;
}

/* --- PING, PONG, DROPS ------------------------------------------------------------------------ */

static size_t put_pair(uint8_t *out, size_t room, uint8_t type, uint64_t a, uint64_t b)
{
    struct writer w = begin(out, room);

    put_be(&w, a, 8);
    put_be(&w, b, 8);
    return finish(&w, type);
}

static int get_pair(const uint8_t *data, size_t len, uint64_t *a, uint64_t *b)
{
    struct tb_cursor c = tb_cursor_init(data, len);

    *a = get_be64(&c);
    *b = get_be64(&c);
    return done(&c);
}

size_t tb_relay_ping_put(uint8_t *out, size_t room, uint8_t type, const struct tb_relay_ping *p)
{
    return put_pair(out, room, type, p->client_us, p->real_us);
}

int tb_relay_ping_get(const uint8_t *data, size_t len, struct tb_relay_ping *out)
{
    return get_pair(data, len, &out->client_us, &out->real_us);
}

size_t tb_relay_drops_put(uint8_t *out, size_t room, const struct tb_relay_drops *d)
{
    return put_pair(out, room, TB_RELAY_DROPS, d->records, d->capture);
}

int tb_relay_drops_get(const uint8_t *data, size_t len, struct tb_relay_drops *out)
{
    return get_pair(data, len, &out->records, &out->capture);
}

/* --- REGISTER, UNREGISTER, TAKEN -------------------------------------------------------------- */

size_t tb_relay_sessions_put(uint8_t *out, size_t room, uint8_t type,
                             const struct tb_endpoint *sessions, uint32_t count)
{
    struct writer w = begin(out, room);

    put_endpoints(&w, sessions, count);
    return count > TB_RELAY_SESSIONS_MAX ? 0 : finish(&w, type);
}

int tb_relay_sessions_get(const uint8_t *data, size_t len,
                          struct tb_endpoint out[TB_RELAY_SESSIONS_MAX])
{
    struct tb_cursor c = tb_cursor_init(data, len);
    size_t count = len / TB_RELAY_SESSION_BYTES;

    if (len % TB_RELAY_SESSION_BYTES || count > TB_RELAY_SESSIONS_MAX)
        return -EBADMSG;
    get_endpoints(&c, out, (uint32_t) count);
    return (int) count;
}

/* --- WATCH, SEEN ------------------------------------------------------------------------------ */

size_t tb_relay_watch_put(uint8_t *out, size_t room, const struct tb_relay_watch *watch)
{
    struct writer w = begin(out, room);

    put_bytes(&w, watch->client.b, 16);
    return finish(&w, TB_RELAY_WATCH);
}

int tb_relay_watch_get(const uint8_t *data, size_t len, struct tb_relay_watch *out)
{
    struct tb_cursor c = tb_cursor_init(data, len);

    get_addr(&c, &out->client);
    return done(&c);
}

size_t tb_relay_seen_put(uint8_t *out, size_t room, const struct tb_relay_seen *s)
{
    struct writer w = begin(out, room);

    put_be(&w, s->flags, 4);
    put_bytes(&w, s->src.b, 16);
    put_bytes(&w, s->dst.b, 16);
    put_be(&w, s->sport, 2);
    put_be(&w, s->dport, 2);
    put_be(&w, s->tcp_flags, 1);
    put_be(&w, s->proto, 1);
    put_text(&w, s->device);
    return finish(&w, TB_RELAY_SEEN);
}

int tb_relay_seen_get(const uint8_t *data, size_t len, struct tb_relay_seen *out)
{
    struct tb_cursor c = tb_cursor_init(data, len);

    out->flags = tb_cursor_be32(&c);
    get_addr(&c, &out->src);
    get_addr(&c, &out->dst);
    out->sport = tb_cursor_be16(&c);
    out->dport = tb_cursor_be16(&c);
    out->tcp_flags = tb_cursor_u8(&c);
    out->proto = tb_cursor_u8(&c);
    get_text(&c, out->device, sizeof out->device);
    return done(&c);
}
