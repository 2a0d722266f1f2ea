/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Learning captured comet sessions: HTTP requests are paired with their responses
 * (httpmsg/pairing.h) and told apart into polls and others by how long the server held them; behind
 * an upgrade every frame of the client is a request of its own, so that it keeps its place in time;
 * and what is repeated while the session is held goes into the session's note. Called by the host
 * with both streams in the order of capture.
 */
#include "comet.h"

#include <stdlib.h>
#include <string.h>

enum {
    TARGET_BYTES = 1024,
    HELD_US = 500000,      /* a response that takes as long was held back */
    SHORT_HELD_US = 20000, /* one that the client asks for again and again, at once */
    SHORT_HELD_TIMES = 2,
    STREAM_AGAIN_US = 3000000,   /* what browsers wait before they reopen an event stream */
    BEATS = 16,                  /* different messages that may be heartbeats */
    TEXT_BEATS = 3,              /* as often as a text comes before it counts as one … */
    TEXT_BEAT_LEAST_US = 900000, /* … and not more often than that */
    REACTION_US = 50000          /* what a client sends so soon behind a frame may depend on it */
};

enum mode { IN_HTTP, IN_FRAMES, IN_UPLOAD, IS_OVER };

/* A request. */
struct asked {
    uint64_t note, sent_us, answered_us; /* answered_us 0: not answered */
    uint32_t index, path;                /* hash of the target without its query */
};

/* A message of the client that comes again and again. */
struct beat {
    uint64_t first_us, last_us, least_us, most_us; /* least, most: between two of them */
    uint32_t hash, index, count;
    uint8_t opcode;
};

struct learner {
    struct tb_http_pairing http; /* first */
    enum mode mode;
    struct tb_learn *learn;
    uint64_t now_us;
    /* the request line being read */
    char line[TARGET_BYTES];
    size_t line_len;
    bool line_over;
    struct asked *asked;
    size_t count, room;
    uint64_t pause_us; /* between the last answer and the request that followed it */
    uint64_t answered_us;
    /* WebSocket */
    struct tb_ws client, server;
    uint64_t client_at;
    uint32_t client_hash;    /* of the payload so far */
    uint32_t ping[4], pings; /* hashes of the server's pings, a ring */
    struct beat beats[BEATS];
    uint32_t beat_count;
    uint8_t flags;       /* of the session note */
    uint64_t message_us; /* when the last message of the server came, pings aside */
    uint32_t messages;   /* these so far */
    uint8_t server_byte; /* the last one of its payload */
    bool client_closes, server_lost;
};

static const struct tb_host *host(void)
{
    return tb_comet_config.host;
}

static struct learner *of(struct tb_http_pairing *p)
{
    return (struct learner *) p;
}

/* --- notes ------------------------------------------------------------------------------------ */

enum { FLAGS_AT = 2, REPEATED_AT = 8, INTERVAL_AT = 32, KIND_BITS = 3, FLAG_BITS = 0x3f };

uint64_t tb_comet_note_pack(const struct tb_comet_session_note *n)
{
    uint64_t ms = n->interval_us / 1000;
    if (ms > UINT32_MAX)
        ms = UINT32_MAX;
    return n->kind | (uint64_t) n->flags << FLAGS_AT |
           (uint64_t) (n->repeated & TB_COMET_NOTHING) << REPEATED_AT | ms << INTERVAL_AT;
}

struct tb_comet_session_note tb_comet_note_unpack(uint64_t note)
{
    return (struct tb_comet_session_note){
        .kind = note & KIND_BITS,
        .flags = note >> FLAGS_AT & FLAG_BITS,
        .repeated = (uint32_t) (note >> REPEATED_AT & TB_COMET_NOTHING),
        .interval_us = (note >> INTERVAL_AT) * 1000,
    };
}

/* --- requests --------------------------------------------------------------------------------- */

static void request_bytes(struct tb_http_pairing *p, const uint8_t *bytes, size_t len)
{
    struct learner *s = of(p);
    for (size_t i = 0; i < len && !s->line_over; i++) {
        bool ends = bytes[i] == '\n' || bytes[i] == '\r';
        if (ends && s->line_len > 0)
            s->line_over = true;
        else if (!ends && s->line_len < sizeof s->line - 1)
            s->line[s->line_len++] = (char) bytes[i];
    }
}

/* The target of the request line, ended by a zero byte. */
static char *target_of(struct learner *s)
{
    s->line[s->line_len] = '\0';
    char *target = strchr(s->line, ' ');
    if (!target)
        return s->line + s->line_len;
    char *version = strrchr(++target, ' ');
    if (version)
        *version = '\0';
    return target;
}

static uint64_t request_note(struct tb_http_pairing *p)
{
    const struct tb_comet_config *cfg = &tb_comet_config;
    bool poll = cfg->has_poll && tb_comet_matches(&cfg->poll, target_of(of(p)));
    return (poll ? TB_COMET_NOTE_POLL : 0u) |
           (p->request.flags & TB_HTTP_WEBSOCKET ? TB_COMET_NOTE_SOCKET : 0u);
}

static struct asked *add_asked(struct learner *s)
{
    if (s->count == s->room) {
        size_t room = s->room ? 2 * s->room : 16;
        struct asked *more = realloc(s->asked, room * sizeof *more);
        if (!more)
            return NULL;
        s->asked = more;
        s->room = room;
    }
    return &s->asked[s->count++];
}

static void note_request(struct tb_http_pairing *p, uint32_t index, uint64_t note)
{
    struct learner *s = of(p);
    const char *target = target_of(s);
    if (tb_comet_matches(&tb_comet_config.exclude, target)) {
        host()->learn_reject(s->learn, "excluded");
        s->mode = IS_OVER;
    }
    if ((note & TB_COMET_NOTE_SOCKET) && strstr(target, "EIO=4"))
        s->flags |= TB_COMET_ENGINE_IO;
    struct asked *a = add_asked(s);
    if (a)
        *a = (struct asked){.note = note,
                            .sent_us = s->now_us,
                            .index = index,
                            .path = tb_http_hash((const uint8_t *) target, strcspn(target, "?"))};
    if (s->answered_us)
        s->pause_us = s->now_us - s->answered_us;
    s->answered_us = 0;
    s->line_len = 0;
    s->line_over = false;
}

static void note_answer(struct tb_http_pairing *p, uint32_t index, uint64_t note)
{
    struct learner *s = of(p);
    s->answered_us = s->now_us;
    for (size_t i = s->count; i-- > 0;) {
        if (s->asked[i].index == index) {
            s->asked[i].answered_us = s->now_us;
            s->asked[i].note = note;
            return;
        }
    }
}

static bool begin_frames(struct tb_http_pairing *p, struct tb_learn *l)
{
    struct learner *s = of(p);
    if (p->response.status != 101 || s->count == 0 ||
        !(s->asked[s->count - 1].note & TB_COMET_NOTE_SOCKET))
        return false;
    s->mode = IN_FRAMES;
    s->client_at = p->client_at;
    return true;
}

static const struct tb_http_pairing_ops ops = {
    .request_note = request_note,
    .request_bytes = request_bytes,
    .cut = note_request,
    .answered = note_answer,
    .upgraded = begin_frames,
};

/* A chunked request whose response has begun: both go on together, and what is sent keeps its place
 * in time. */
static void look_for_upload(struct learner *s, struct tb_learn *l)
{
    struct tb_http_pairing *p = &s->http;
    if (p->over || p->count > 0 || !p->reading || !tb_http_begun(&p->response) ||
        !tb_http_in_body(&p->request) || !(p->request.flags & TB_HTTP_CHUNKED) ||
        p->client_at == p->cut_at)
        return;
    s->mode = IN_UPLOAD;
    host()->learn_cut(l, p->client_at, TB_CUT_NO_RESPONSE, p->request.method);
    p->over = true;
}

/* --- frames ----------------------------------------------------------------------------------- */

static uint32_t hash_more(uint32_t hash, uint8_t byte)
{
    return (hash ^ byte) * 16777619u;
}

static void note_beat(struct learner *s, const struct tb_ws *f, uint32_t hash, uint32_t index)
{
    bool control = f->opcode >= TB_WS_CLOSE;
    struct beat *b = NULL;
    if (!f->fin || f->opcode == TB_WS_CONTINUATION || f->compressed)
        return;
    for (uint32_t i = 0; i < s->beat_count; i++)
        if (s->beats[i].opcode == f->opcode && (control || s->beats[i].hash == hash))
            b = &s->beats[i];
    if (!b) {
        if (s->beat_count == BEATS)
            return;
        b = &s->beats[s->beat_count++];
        *b = (struct beat){
            .first_us = s->now_us, .least_us = UINT64_MAX, .hash = hash, .opcode = f->opcode};
    } else {
        uint64_t gap = s->now_us - b->last_us;
        b->least_us = gap < b->least_us ? gap : b->least_us;
        b->most_us = gap > b->most_us ? gap : b->most_us;
    }
    b->last_us = s->now_us;
    b->index = index;
    b->count++;
}

/* Does the client's pong, or engine.io's "3", answer a ping of the server? */
static bool is_answer(const struct learner *s, const struct tb_ws *f, uint32_t hash)
{
    if (f->opcode == TB_WS_TEXT && (s->flags & TB_COMET_ENGINE_IO))
        return f->length == 1 && hash == hash_more(TB_WS_TEXT, '3');
    if (f->opcode != TB_WS_PONG)
        return false;
    for (uint32_t i = 0; i < s->pings && i < 4; i++)
        if (s->ping[i] == hash)
            return true;
    return false;
}

/* engine.io's "1" (close) and socket.io's "41" (disconnect): the server would push no more. */
static bool is_farewell(const struct learner *s, const struct tb_ws *f)
{
    uint32_t close = hash_more(TB_WS_TEXT, '1'), disconnect = hash_more(TB_WS_TEXT, '4');
    return (s->flags & TB_COMET_ENGINE_IO) && f->opcode == TB_WS_TEXT && f->fin &&
           ((f->length == 1 && s->client_hash == close) ||
            (f->length == 2 && s->client_hash == hash_more(disconnect, '1')));
}

static void client_frame_done(struct learner *s, struct tb_learn *l)
{
    const struct tb_ws *f = &s->client;
    uint64_t note = TB_COMET_NOTE_FRAME;
    bool answer = is_answer(s, f, s->client_hash);
    if (f->opcode == TB_WS_CLOSE || is_farewell(s, f))
        s->client_closes = true;
    if (answer)
        note |= TB_COMET_NOTE_ANSWER;
    if (s->client_closes)
        note |= TB_COMET_NOTE_CLOSE;
    if (s->messages > 0 && s->now_us - s->message_us <= REACTION_US)
        note |= TB_COMET_NOTE_REACTS | (uint64_t) s->messages << TB_COMET_NOTE_MESSAGES_SHIFT;
    uint32_t index = host()->learn_cut(l, s->client_at, TB_CUT_NO_RESPONSE, note);
    if (!answer && !s->client_closes)
        note_beat(s, f, s->client_hash, index);
}

static void give_up_frames(struct learner *s, struct tb_learn *l)
{
    host()->learn_opaque(l);
    s->mode = IS_OVER;
}

static void client_frames(struct learner *s, struct tb_learn *l, const uint8_t *bytes, size_t len)
{
    while (len > 0 && s->mode == IN_FRAMES) {
        size_t used, n;
        const uint8_t *payload;
        enum tb_ws_event event = tb_ws_feed(&s->client, true, bytes, len, &used, &payload, &n);
        uint64_t at = s->client.length - s->client.left - n;
        if (event == TB_WS_BAD) {
            give_up_frames(s, l);
            return;
        }
        if (at == 0)
            s->client_hash = s->client.opcode;
        for (size_t i = 0; i < n; i++)
            s->client_hash =
                hash_more(s->client_hash, payload[i] ^ tb_ws_mask_at(&s->client, at + i));
        s->client_at += used;
        if (event == TB_WS_DONE)
            client_frame_done(s, l);
        bytes += used;
        len -= used;
    }
}

static void server_frame_done(struct learner *s)
{
    const struct tb_ws *f = &s->server;
    bool ping = (s->flags & TB_COMET_ENGINE_IO) && f->opcode == TB_WS_TEXT && f->length == 1 &&
                s->server_byte == '2';
    if (f->opcode <= TB_WS_BINARY && f->fin && !ping) {
        s->message_us = s->now_us;
        s->messages++;
    }
    if (f->opcode == TB_WS_PING) {
        uint32_t hash = TB_WS_PONG; /* as that of its answer will be */
        for (unsigned i = 0; i < f->control_len; i++)
            hash = hash_more(hash, f->control[i]);
        s->ping[s->pings++ % 4] = hash;
    } else if (f->opcode == TB_WS_CLOSE && !s->client_closes) {
        enum { NORMAL = 1000 };
        if (f->control_len < 2 || (f->control[0] << 8 | f->control[1]) == NORMAL)
            s->flags |= TB_COMET_SERVER_CLOSES;
    }
}

static void server_frames(struct learner *s, const uint8_t *bytes, size_t len)
{
    while (len > 0 && !s->server_lost) {
        size_t used, n;
        const uint8_t *payload;
        enum tb_ws_event event = tb_ws_feed(&s->server, false, bytes, len, &used, &payload, &n);
        if (n > 0)
            s->server_byte = payload[n - 1];
        if (event == TB_WS_DONE)
            server_frame_done(s);
        else if (event == TB_WS_BAD)
            s->server_lost = true; /* what it sends is of no more interest */
        bytes += used;
        len -= used;
    }
}

/* --- what is repeated ------------------------------------------------------------------------- */

static uint64_t mean_us(const struct beat *b)
{
    return b->count > 1 ? (b->last_us - b->first_us) / (b->count - 1) : 0;
}

/* Pings and pongs of the client's own accord; or else the same message again and again, at about
 * the same distance. */
static bool is_heartbeat(const struct beat *b)
{
    if (b->opcode >= TB_WS_CLOSE)
        return b->count > 1 && mean_us(b) > 0;
    uint64_t mean = mean_us(b);
    return b->count >= TEXT_BEATS && mean >= TEXT_BEAT_LEAST_US && b->least_us >= mean / 2 &&
           b->most_us <= mean + mean / 2;
}

static struct tb_comet_session_note socket_note(const struct learner *s)
{
    struct tb_comet_session_note note = {
        .kind = TB_COMET_SOCKET, .flags = s->flags, .repeated = TB_COMET_NOTHING};
    uint8_t best = 0;
    for (uint32_t i = 0; i < s->beat_count; i++) {
        const struct beat *b = &s->beats[i];
        if (!is_heartbeat(b) || (note.repeated != TB_COMET_NOTHING && b->opcode <= best))
            continue;
        best = b->opcode == TB_WS_PING ? UINT8_MAX : b->opcode; /* ping, pong, message */
        note.repeated = b->index;
        note.interval_us = mean_us(b);
    }
    return note;
}

/* Did the client go on to ask for the same whenever it was answered, spending its time waiting? */
static bool is_asked_again(const struct learner *s, uint32_t path)
{
    unsigned times = 0;
    for (size_t i = 0; i + 1 < s->count; i++) {
        const struct asked *a = &s->asked[i], *next = a + 1;
        if (a->path == path && next->path == path && a->answered_us &&
            a->answered_us - a->sent_us >= SHORT_HELD_US &&
            next->sent_us - a->answered_us <= a->answered_us - a->sent_us)
            times++;
    }
    return times >= SHORT_HELD_TIMES;
}

/* Was the request held by the server, as far as the capture shows? */
static bool was_held(const struct learner *s, const struct asked *a)
{
    if (a->note & (TB_COMET_NOTE_SOCKET | TB_HTTP_NOTE_EXPECTS))
        return false;
    if (a->answered_us && a->answered_us - a->sent_us >= HELD_US)
        return true;
    if (is_asked_again(s, a->path))
        return true;
    if (a->answered_us)
        return false;
    for (const struct asked *b = s->asked; b < s->asked + s->count; b++)
        if (b->path == a->path && b->answered_us && b->answered_us - b->sent_us < HELD_US)
            return false; /* cut off by the end of the capture, rather */
    return true;
}

/* A poll is what the options say; or what the server held at least once, and all to the same
 * path. */
static void mark_polls(struct learner *s, struct tb_learn *l)
{
    for (size_t i = 0; i < s->count && !tb_comet_config.has_poll; i++) {
        struct asked *a = &s->asked[i];
        if (a->note & TB_COMET_NOTE_POLL)
            continue;
        bool held = was_held(s, a);
        for (size_t j = 0; j < s->count && held; j++)
            if (s->asked[j].path == a->path)
                s->asked[j].note |= TB_COMET_NOTE_POLL;
    }
    for (size_t i = 0; i < s->count; i++)
        if (s->asked[i].note & TB_COMET_NOTE_POLL)
            host()->learn_note(l, s->asked[i].index, s->asked[i].note);
}

static struct tb_comet_session_note http_note(struct learner *s, struct tb_learn *l, bool streaming)
{
    struct tb_comet_session_note note = {.kind = TB_COMET_IDLE, .repeated = TB_COMET_NOTHING};
    mark_polls(s, l);
    const struct asked *last = s->count ? &s->asked[s->count - 1] : NULL;
    if (streaming)
        note.kind = TB_COMET_STREAM;
    else if (last && (last->note & TB_COMET_NOTE_POLL))
        note.kind = TB_COMET_POLL;
    else
        return note;
    note.repeated = last->index;
    note.interval_us = streaming ? STREAM_AGAIN_US : s->pause_us;
    return note;
}

static void note_session(struct learner *s, struct tb_learn *l)
{
    struct tb_http_pairing *p = &s->http;
    struct tb_comet_session_note note = {.kind = TB_COMET_STREAM, .repeated = TB_COMET_NOTHING};
    if (s->mode == IN_FRAMES) {
        note = socket_note(s);
    } else if (s->mode == IN_HTTP && !p->over) {
        bool streaming = p->count > 0 && p->reading && tb_http_in_body(&p->response);
        tb_http_pairing_end(p, l);
        if (p->over)
            return;
        streaming &= s->count > 0 && !s->asked[s->count - 1].answered_us;
        note = http_note(s, l, streaming);
    } else if (s->mode != IN_UPLOAD) {
        return;
    }
    host()->learn_session_note(l, tb_comet_note_pack(&note));
}

/* --- hooks ------------------------------------------------------------------------------------ */

void *tb_comet_learn_begin(struct tb_learn *l)
{
    struct learner *s = calloc(1, sizeof *s);
    if (!s) {
        host()->learn_opaque(l);
        return NULL;
    }
    tb_http_pairing_init(&s->http, host(), &ops, false);
    s->http.watch = true;
    return s;
}

static void client_data(struct learner *s, struct tb_learn *l, uint64_t offset,
                        const uint8_t *bytes, size_t len)
{
    size_t used = 0;
    if (s->mode == IN_UPLOAD)
        host()->learn_cut(l, offset + len, TB_CUT_NO_RESPONSE, 0);
    if (s->mode == IN_HTTP)
        used = tb_http_pairing_client(&s->http, l, bytes, len);
    if (s->mode == IN_FRAMES)
        client_frames(s, l, bytes + used, len - used);
}

static void server_data(struct learner *s, struct tb_learn *l, uint64_t offset,
                        const uint8_t *bytes, uint64_t len)
{
    size_t used = 0;
    if (s->mode == IN_HTTP) {
        used = tb_http_pairing_server(&s->http, l, offset, bytes, len);
        if (s->mode == IN_HTTP)
            look_for_upload(s, l);
    }
    if (s->mode == IN_FRAMES && bytes)
        server_frames(s, bytes + used, (size_t) len - used);
    else if (s->mode == IN_FRAMES)
        s->server_lost = true;
}

void tb_comet_learn_data(struct tb_learn *l, void *state, enum tb_direction dir, uint64_t offset,
                         const uint8_t *bytes, uint64_t len, uint64_t time_us)
{
    struct learner *s = state;
    if (!s || s->mode == IS_OVER || len == 0)
        return;
    if (s->mode == IN_HTTP && s->http.over)
        return;
    s->learn = l;
    s->now_us = time_us;
    if (dir == TB_SERVER_BYTES)
        server_data(s, l, offset, bytes, len);
    else if (bytes)
        client_data(s, l, offset, bytes, (size_t) len);
}

void tb_comet_learn_end(struct tb_learn *l, void *state, bool used)
{
    struct learner *s = state;
    if (!s)
        return;
    s->learn = l;
    if (used && s->mode != IS_OVER)
        note_session(s, l);
    tb_http_pairing_fini(&s->http);
    free(s->asked);
    free(s);
}
