/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parser behind message.h: a state per kind of byte run. Each state's function is given at
 * least one byte, consumes at least one and may move on to another state. Lines nobody asks about
 * are skipped with memchr(); words are compared as their bytes come, so no line is ever buffered.
 */
#include "message.h"

#include <string.h>

enum state {
    ST_START, /* empty lines before a message (RFC 9112 §2.2) */
    ST_METHOD,
    ST_TARGET, /* the rest of the request line */
    ST_TARGET_CR,
    ST_VERSION,
    ST_STATUS,
    ST_REASON,
    ST_LINE, /* begin of a header line */
    ST_LINE_CR,
    ST_NAME,
    ST_LENGTH, /* value of Content-Length */
    ST_TOKENS, /* value of a field that is a list of words */
    ST_ACCEPT, /* value of Sec-WebSocket-Accept */
    ST_SKIP,   /* the rest of a header line */
    ST_BODY,
    ST_TO_CLOSE,
    ST_CHUNK_SIZE,
    ST_CHUNK_EXTENSION,
    ST_CHUNK_DATA,
    ST_CHUNK_END,
    ST_CHUNK_END_LF,
    ST_TRAILER, /* begin of a trailer line */
    ST_TRAILER_CR,
    ST_TRAILER_SKIP,
    ST_COUNT,
    /* without bytes of their own */
    ST_HEAD_END = ST_COUNT,
    ST_DONE,
    ST_BAD
};

/* The words looked for. Lower-case ones match in either case. */
enum word {
    WORD_NONE,
    WORD_CONTENT_LENGTH,
    WORD_TRANSFER_ENCODING,
    WORD_EXPECT,
    WORD_UPGRADE,
    WORD_CONNECTION,
    WORD_CONTENT_TYPE,
    WORD_ACCEPT,
    WORD_CHUNKED,
    WORD_IDENTITY,
    WORD_100_CONTINUE,
    WORD_HEAD,
    WORD_CONNECT,
    WORD_CLOSE,
    WORD_KEEP_ALIVE,
    WORD_EVENT_STREAM,
    WORD_WEBSOCKET,
    WORD_COUNT
};

static const char *const words[WORD_COUNT] = {[WORD_NONE] = "",
                                              [WORD_CONTENT_LENGTH] = "content-length",
                                              [WORD_TRANSFER_ENCODING] = "transfer-encoding",
                                              [WORD_EXPECT] = "expect",
                                              [WORD_UPGRADE] = "upgrade",
                                              [WORD_CONNECTION] = "connection",
                                              [WORD_CONTENT_TYPE] = "content-type",
                                              [WORD_ACCEPT] = "sec-websocket-accept",
                                              [WORD_CHUNKED] = "chunked",
                                              [WORD_IDENTITY] = "identity",
                                              [WORD_100_CONTINUE] = "100-continue",
                                              [WORD_HEAD] = "HEAD",
                                              [WORD_CONNECT] = "CONNECT",
                                              [WORD_CLOSE] = "close",
                                              [WORD_KEEP_ALIVE] = "keep-alive",
                                              [WORD_EVENT_STREAM] = "text/event-stream",
                                              [WORD_WEBSOCKET] = "websocket"};

#define BIT(word) (1u << (word))

#define FNV_BASIS 2166136261u

static const unsigned method_words = BIT(WORD_HEAD) | BIT(WORD_CONNECT);
static const unsigned request_fields =
    BIT(WORD_CONTENT_LENGTH) | BIT(WORD_TRANSFER_ENCODING) | BIT(WORD_EXPECT) | BIT(WORD_UPGRADE);
static const unsigned response_fields = BIT(WORD_CONTENT_LENGTH) | BIT(WORD_TRANSFER_ENCODING);
static const unsigned watched_fields =
    BIT(WORD_CONNECTION) | BIT(WORD_CONTENT_TYPE) | BIT(WORD_ACCEPT);

/* The words that matter in a field's value; none: the value is skipped. */
static const unsigned values[WORD_COUNT] = {
    [WORD_TRANSFER_ENCODING] = BIT(WORD_CHUNKED) | BIT(WORD_IDENTITY),
    [WORD_EXPECT] = BIT(WORD_100_CONTINUE),
    [WORD_UPGRADE] = BIT(WORD_WEBSOCKET),
    [WORD_CONNECTION] = BIT(WORD_CLOSE) | BIT(WORD_KEEP_ALIVE),
    [WORD_CONTENT_TYPE] = BIT(WORD_EVENT_STREAM),
};

/* --- words ---------------------------------------------------------------------------------- */

static void word_begin(struct tb_http_message *m, unsigned candidates)
{
    m->words = candidates;
    m->pos = 0;
}

/* Take one more byte; drops the words it does not go on. No word is as long as 255. */
static void word_step(struct tb_http_message *m, uint8_t c)
{
    uint8_t lower = c >= 'A' && c <= 'Z' ? (uint8_t) (c | 0x20) : c;
    for (unsigned left = m->words; left != 0; left &= left - 1) {
        unsigned i = (unsigned) __builtin_ctz(left);
        uint8_t want = (uint8_t) words[i][m->pos];
        if (want == 0 || (c != want && lower != want))
            m->words &= ~BIT(i);
    }
    if (m->pos < UINT8_MAX)
        m->pos++;
}

static enum word word_end(const struct tb_http_message *m)
{
    for (unsigned i = 1; i < WORD_COUNT; i++) {
        if ((m->words & BIT(i)) && words[i][m->pos] == 0)
            return (enum word) i;
    }
    return WORD_NONE;
}

/* --- small helpers ---------------------------------------------------------------------------- */

static bool is_token(uint8_t c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return true;
    return c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* Consume up to and with the next line feed; true in *found when it is there. */
static size_t to_line_end(const uint8_t *p, size_t n, bool *found)
{
    const uint8_t *lf = memchr(p, '\n', n);
    *found = lf != NULL;
    return lf ? (size_t) (lf - p) + 1 : n;
}

static size_t skip_line(struct tb_http_message *m, const uint8_t *p, size_t n, enum state next)
{
    bool found;
    size_t used = to_line_end(p, n, &found);
    if (found)
        m->state = (uint8_t) next;
    return used;
}

/* One byte that may only be a line feed. */
static size_t want_lf(struct tb_http_message *m, uint8_t c, enum state next)
{
    m->state = (uint8_t) (c == '\n' ? next : ST_BAD);
    return 1;
}

/* --- start line ------------------------------------------------------------------------------- */

static size_t read_start(struct tb_http_message *m, const uint8_t *p, size_t n)
{
    if (*p == '\r' || *p == '\n')
        return 1;
    if (m->flags & TB_HTTP_RESPONSE) {
        m->state = ST_VERSION;
    } else {
        word_begin(m, method_words);
        m->state = ST_METHOD;
    }
    m->pos = 0;
    return 0; /* the byte belongs to the state begun */
}

static size_t read_method(struct tb_http_message *m, const uint8_t *p, size_t n)
{
    if (*p == ' ' && m->pos > 0) {
        enum word w = word_end(m);
        if (w == WORD_HEAD)
            m->method = TB_HTTP_HEAD;
        else if (w == WORD_CONNECT)
            m->method = TB_HTTP_CONNECT;
        m->pos = UINT8_MAX; /* the target itself is not the version */
        m->state = ST_TARGET;
    } else if (is_token(*p)) {
        word_step(m, *p);
    } else {
        m->state = ST_BAD;
    }
    return 1;
}

/* "HTTP/1.x" as far as byte `pos`. */
static bool version_goes_on(unsigned pos, uint8_t c)
{
    static const char version[] = "HTTP/1.";
    enum { DIGIT = sizeof version - 1 };
    return pos < DIGIT ? c == (uint8_t) version[pos] : pos == DIGIT && is_digit(c);
}

/* The version is the last word of the line; targets with spaces in them occur. */
static size_t read_target(struct tb_http_message *m, const uint8_t *p, size_t n)
{
    enum { VERSION_LEN = 8 };
    for (size_t i = 0; i < n; i++) {
        if (p[i] == ' ') {
            m->pos = 0;
        } else if (p[i] == '\r' || p[i] == '\n') {
            bool versioned = m->pos == VERSION_LEN;
            m->state = (uint8_t) (!versioned ? ST_BAD : p[i] == '\r' ? ST_TARGET_CR : ST_LINE);
            return i + 1;
        } else if (p[i] < ' ' || p[i] == 0x7f) {
            m->state = ST_BAD;
            return i + 1;
        } else {
            m->pos = version_goes_on(m->pos, p[i]) ? (uint8_t) (m->pos + 1) : UINT8_MAX;
        }
    }
    return n;
}

static size_t read_target_cr(struct tb_http_message *m, const uint8_t *p, size_t n)
{
    return want_lf(m, *p, ST_LINE);
}

static void note_version(struct tb_http_message *m, uint8_t minor)
{
    if ((m->flags & TB_HTTP_WATCH) && minor == '0')
        m->flags |= TB_HTTP_1_0;
}

static size_t read_version(struct tb_http_message *m, const uint8_t *p, size_t n)
{
    enum { VERSION_LEN = 8 };
    if (m->pos == 0 && n > VERSION_LEN && memcmp(p, "HTTP/1.", VERSION_LEN - 1) == 0 &&
        is_digit(p[VERSION_LEN - 1]) && p[VERSION_LEN] == ' ') { /* the usual case, at once */
        m->state = ST_STATUS;
        note_version(m, p[VERSION_LEN - 1]);
        return VERSION_LEN + 1;
    }
    if (m->pos < VERSION_LEN && version_goes_on(m->pos, *p)) {
        if (++m->pos == VERSION_LEN)
            note_version(m, *p);
    } else if (m->pos == VERSION_LEN && *p == ' ') {
        m->pos = 0;
        m->state = ST_STATUS;
    } else {
        m->state = ST_BAD;
    }
    return 1;
}

static size_t read_status(struct tb_http_message *m, const uint8_t *p, size_t n)
{
    if (m->pos < 3) {
        if (!is_digit(*p)) {
            m->state = ST_BAD;
            return 1;
        }
        m->status = (uint16_t) (m->status * 10 + (*p - '0'));
        m->pos++;
        return 1;
    }
    m->state = ST_BAD;
    if (m->status >= 100 && *p == '\n')
        m->state = ST_LINE;
    else if (m->status >= 100 && (*p == ' ' || *p == '\r'))
        m->state = ST_REASON;
    return 1;
}

static size_t read_reason(struct tb_http_message *m, const uint8_t *p, size_t n)
{
    return skip_line(m, p, n, ST_LINE);
}

/* --- header fields ---------------------------------------------------------------------------- */

static void value_begin(struct tb_http_message *m, enum word field)
{
    m->state = ST_SKIP;
    m->field = (uint8_t) field;
    if (field == WORD_UPGRADE)
        m->flags |= TB_HTTP_UPGRADE;
    if (field == WORD_CONTENT_LENGTH) {
        m->state = ST_LENGTH;
        m->left = 0;
        m->pos = 0;
    } else if (field == WORD_ACCEPT) {
        m->state = ST_ACCEPT;
        m->accept = FNV_BASIS;
    } else if (values[field]) {
        m->state = ST_TOKENS;
        word_begin(m, values[field]);
    }
}

static size_t read_line(struct tb_http_message *m, const uint8_t *p, size_t n)
{
    if (*p == '\r') {
        m->state = ST_LINE_CR;
        return 1;
    }
    if (*p == '\n') {
        m->state = ST_HEAD_END;
        return 1;
    }
    if (*p == ' ' || *p == '\t') { /* a folded line goes on with the field (RFC 9112 §5.2) */
        if (m->field == WORD_CONTENT_LENGTH)
            m->state = ST_LENGTH;
        else if (m->field == WORD_ACCEPT)
            m->state = ST_ACCEPT;
        else if (m->field != WORD_NONE)
            m->state = ST_TOKENS;
        else
            m->state = ST_SKIP;
        return 1;
    }
    m->field = WORD_NONE;
    word_begin(m, (m->flags & TB_HTTP_RESPONSE ? response_fields : request_fields) |
                      (m->flags & TB_HTTP_WATCH ? watched_fields : 0));
    m->state = ST_NAME;
    word_step(m, *p); /* most lines are of no interest from their first letter on */
    if (m->words == 0 && *p != ':')
        m->state = ST_SKIP;
    else if (*p == ':')
        value_begin(m, WORD_NONE);
    return 1;
}

static size_t read_line_cr(struct tb_http_message *m, const uint8_t *p, size_t n)
{
    return want_lf(m, *p, ST_HEAD_END);
}

static size_t read_name(struct tb_http_message *m, const uint8_t *p, size_t n)
{
    size_t i = 0;
    while (i < n && m->state == ST_NAME) {
        uint8_t c = p[i++];
        if (c == ':') {
            value_begin(m, word_end(m));
        } else if (c == '\n') { /* no field at all: some servers send such lines */
            m->state = ST_LINE;
        } else {
            word_step(m, c);
            if (m->words == 0)
                m->state = ST_SKIP;
        }
    }
    return i;
}

static size_t read_skip(struct tb_http_message *m, const uint8_t *p, size_t n)
{
    return skip_line(m, p, n, ST_LINE);
}

/* Content-Length: digits, or a list of equal numbers (RFC 9110 §8.6). `pos`: where we are. */
enum { NUMBER_BEFORE, NUMBER_WITHIN, NUMBER_BEHIND };

static bool length_commit(struct tb_http_message *m)
{
    if (m->pos == NUMBER_BEFORE || ((m->flags & TB_HTTP_HAS_LENGTH) && m->length != m->left))
        return false;
    m->length = m->left;
    m->flags |= TB_HTTP_HAS_LENGTH;
    m->left = 0;
    m->pos = NUMBER_BEFORE;
    return true;
}

static size_t read_length(struct tb_http_message *m, const uint8_t *p, size_t n)
{
    bool good = true;
    if (is_digit(*p)) {
        uint64_t digit = (uint64_t) (*p - '0');
        good = m->pos != NUMBER_BEHIND && m->left <= (UINT64_MAX / 2 - digit) / 10;
        if (good)
            m->left = m->left * 10 + digit;
        m->pos = NUMBER_WITHIN;
    } else if (*p == ' ' || *p == '\t' || *p == '\r') {
        if (m->pos == NUMBER_WITHIN)
            m->pos = NUMBER_BEHIND;
    } else if (*p == ',') {
        good = length_commit(m);
    } else if (*p == '\n') {
        good = length_commit(m);
        m->state = ST_LINE;
    } else {
        good = false; /* "-1", "+1", "0x10" and the like */
    }
    if (!good)
        m->state = ST_BAD;
    return 1;
}

/* The last transfer coding decides how the body is framed; "identity" is none. */
static void token_end(struct tb_http_message *m)
{
    static const uint16_t flags[WORD_COUNT] = {
        [WORD_100_CONTINUE] = TB_HTTP_EXPECTS,  [WORD_CLOSE] = TB_HTTP_CLOSE,
        [WORD_KEEP_ALIVE] = TB_HTTP_KEEP_ALIVE, [WORD_EVENT_STREAM] = TB_HTTP_EVENTS,
        [WORD_WEBSOCKET] = TB_HTTP_WEBSOCKET,
    };
    if (m->pos == 0)
        return;
    enum word w = word_end(m);
    if (m->field != WORD_TRANSFER_ENCODING) {
        m->flags |= flags[w];
    } else if (w != WORD_IDENTITY) {
        m->flags &= (uint16_t) ~(TB_HTTP_CHUNKED | TB_HTTP_CODED);
        m->flags |= w == WORD_CHUNKED ? TB_HTTP_CHUNKED : TB_HTTP_CODED;
    }
    word_begin(m, values[m->field]);
}

static size_t read_tokens(struct tb_http_message *m, const uint8_t *p, size_t n)
{
    if (*p == ',' || (*p == ';' && m->field == WORD_CONTENT_TYPE)) {
        token_end(m);
    } else if (*p == '\n') {
        token_end(m);
        m->state = ST_LINE;
    } else if (*p != ' ' && *p != '\t' && *p != '\r') {
        word_step(m, *p);
    }
    return 1;
}

static uint32_t hash_on(uint32_t hash, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ p[i]) * 16777619u;
    return hash;
}

static size_t read_accept(struct tb_http_message *m, const uint8_t *p, size_t n)
{
    if (*p == '\n')
        m->state = ST_LINE;
    else if (*p != ' ' && *p != '\t' && *p != '\r')
        m->accept = hash_on(m->accept, p, 1);
    return 1;
}

/* --- body ------------------------------------------------------------------------------------- */

/* RFC 9112 §6.3, in its order. */
static void body_begin(struct tb_http_message *m)
{
    bool response = m->flags & TB_HTTP_RESPONSE;
    bool tunnel = m->method == TB_HTTP_CONNECT && m->status / 100 == 2;
    m->framing = 0;
    m->left = 0;
    m->pos = NUMBER_BEFORE;
    if (response && (m->status < 200 || m->status == 204 || m->status == 304 ||
                     m->method == TB_HTTP_HEAD || tunnel)) {
        m->state = ST_DONE;
    } else if (m->flags & TB_HTTP_CHUNKED) {
        m->state = ST_CHUNK_SIZE;
    } else if (m->flags & TB_HTTP_CODED) {
        m->state = response ? ST_TO_CLOSE : ST_BAD;
    } else if (m->flags & TB_HTTP_HAS_LENGTH) {
        m->left = m->length;
        m->state = m->left ? ST_BODY : ST_DONE;
    } else {
        m->state = response ? ST_TO_CLOSE : ST_DONE;
    }
}

static void digest_add(struct tb_http_message *m, const uint8_t *p, size_t n)
{
    if (!(m->flags & TB_HTTP_DIGEST))
        return;
    m->digest = hash_on(m->digest, p, n);
}

static size_t read_counted(struct tb_http_message *m, const uint8_t *p, size_t n, enum state next)
{
    if (n > m->left)
        n = (size_t) m->left;
    digest_add(m, p, n);
    m->left -= n;
    if (m->left == 0)
        m->state = (uint8_t) next;
    return n;
}

static size_t read_body(struct tb_http_message *m, const uint8_t *p, size_t n)
{
    return read_counted(m, p, n, ST_DONE);
}

static size_t read_to_close(struct tb_http_message *m, const uint8_t *p, size_t n)
{
    digest_add(m, p, n);
    return n;
}

static void chunk_begin(struct tb_http_message *m)
{
    m->framing = 0;
    m->pos = NUMBER_BEFORE;
    m->state = (uint8_t) (m->left ? ST_CHUNK_DATA : ST_TRAILER);
}

static int hex_value(uint8_t c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static size_t read_chunk_size(struct tb_http_message *m, const uint8_t *p, size_t n)
{
    int digit = hex_value(*p);
    if (digit >= 0) {
        bool good = m->pos != NUMBER_BEHIND && m->left >> 59 == 0; /* below 2^63 with this digit */
        m->left = m->left << 4 | (uint64_t) digit;
        m->pos = NUMBER_WITHIN;
        if (!good)
            m->state = ST_BAD;
    } else if (m->pos != NUMBER_BEFORE && *p == '\n') {
        chunk_begin(m);
    } else if (m->pos != NUMBER_BEFORE && (*p == ';' || *p == '\r')) {
        m->state = ST_CHUNK_EXTENSION;
    } else if (m->pos != NUMBER_BEFORE && (*p == ' ' || *p == '\t')) {
        m->pos = NUMBER_BEHIND; /* padded sizes occur */
    } else {
        m->state = ST_BAD;
    }
    return 1;
}

static size_t read_chunk_extension(struct tb_http_message *m, const uint8_t *p, size_t n)
{
    bool found;
    size_t used = to_line_end(p, n, &found);
    if (found)
        chunk_begin(m);
    return used;
}

static size_t read_chunk_data(struct tb_http_message *m, const uint8_t *p, size_t n)
{
    return read_counted(m, p, n, ST_CHUNK_END);
}

static size_t read_chunk_end(struct tb_http_message *m, const uint8_t *p, size_t n)
{
    if (*p != '\r')
        return want_lf(m, *p, ST_CHUNK_SIZE);
    m->state = ST_CHUNK_END_LF;
    return 1;
}

static size_t read_chunk_end_lf(struct tb_http_message *m, const uint8_t *p, size_t n)
{
    return want_lf(m, *p, ST_CHUNK_SIZE);
}

static size_t read_trailer(struct tb_http_message *m, const uint8_t *p, size_t n)
{
    m->state = (uint8_t) (*p == '\n' ? ST_DONE : *p == '\r' ? ST_TRAILER_CR : ST_TRAILER_SKIP);
    return 1;
}

static size_t read_trailer_cr(struct tb_http_message *m, const uint8_t *p, size_t n)
{
    return want_lf(m, *p, ST_DONE);
}

static size_t read_trailer_skip(struct tb_http_message *m, const uint8_t *p, size_t n)
{
    return skip_line(m, p, n, ST_TRAILER);
}

/* --- the machine ------------------------------------------------------------------------------ */

static size_t (*const readers[ST_COUNT])(struct tb_http_message *, const uint8_t *, size_t) = {
    [ST_START] = read_start,
    [ST_METHOD] = read_method,
    [ST_TARGET] = read_target,
    [ST_TARGET_CR] = read_target_cr,
    [ST_VERSION] = read_version,
    [ST_STATUS] = read_status,
    [ST_REASON] = read_reason,
    [ST_LINE] = read_line,
    [ST_LINE_CR] = read_line_cr,
    [ST_NAME] = read_name,
    [ST_LENGTH] = read_length,
    [ST_TOKENS] = read_tokens,
    [ST_ACCEPT] = read_accept,
    [ST_SKIP] = read_skip,
    [ST_BODY] = read_body,
    [ST_TO_CLOSE] = read_to_close,
    [ST_CHUNK_SIZE] = read_chunk_size,
    [ST_CHUNK_EXTENSION] = read_chunk_extension,
    [ST_CHUNK_DATA] = read_chunk_data,
    [ST_CHUNK_END] = read_chunk_end,
    [ST_CHUNK_END_LF] = read_chunk_end_lf,
    [ST_TRAILER] = read_trailer,
    [ST_TRAILER_CR] = read_trailer_cr,
    [ST_TRAILER_SKIP] = read_trailer_skip,
};

static bool carries_body(unsigned state)
{
    return state == ST_BODY || state == ST_TO_CLOSE || state == ST_CHUNK_DATA;
}

/* Consume one run; counts what is not body against the limit. */
static size_t step(struct tb_http_message *m, const uint8_t *p, size_t n)
{
    if (carries_body(m->state))
        return readers[m->state](m, p, n);
    size_t room = TB_HTTP_HEAD_MAX - m->framing;
    size_t used = readers[m->state](m, p, n < room ? n : room);
    m->framing += (uint32_t) used;
    if (m->framing >= TB_HTTP_HEAD_MAX && m->state < ST_COUNT)
        m->state = ST_BAD;
    return used;
}

static void begin(struct tb_http_message *m, uint16_t flags)
{
    *m = (struct tb_http_message){.state = ST_START, .flags = flags, .digest = FNV_BASIS};
}

void tb_http_begin_request(struct tb_http_message *m, bool digest)
{
    begin(m, digest ? TB_HTTP_DIGEST : 0);
}

void tb_http_begin_response(struct tb_http_message *m, enum tb_http_method method, bool digest)
{
    begin(m, (uint16_t) (TB_HTTP_RESPONSE | (digest ? TB_HTTP_DIGEST : 0)));
    m->method = (uint8_t) method;
}

void tb_http_watch(struct tb_http_message *m)
{
    m->flags |= TB_HTTP_WATCH;
}

uint32_t tb_http_hash(const uint8_t *data, size_t len)
{
    return hash_on(FNV_BASIS, data, len);
}

enum tb_http_event tb_http_feed(struct tb_http_message *m, const uint8_t *data, size_t len,
                                size_t *used)
{
    return tb_http_feed_to(m, data, len, used, NULL);
}

enum tb_http_event tb_http_feed_to(struct tb_http_message *m, const uint8_t *data, size_t len,
                                   size_t *used, const struct tb_http_sink *sink)
{
    size_t at = 0;
    while (at < len && m->state < ST_COUNT) {
        bool body = sink && carries_body(m->state);
        size_t n = step(m, data + at, len - at);
        if (body)
            sink->body(sink->ctx, m, data + at, n, m->state == ST_CHUNK_END);
        at += n;
    }
    *used = at;
    if (m->state == ST_HEAD_END) {
        body_begin(m);
        return m->state == ST_BAD ? TB_HTTP_BAD : TB_HTTP_HEAD_END;
    }
    if (m->state == ST_DONE)
        return TB_HTTP_DONE;
    return m->state == ST_BAD ? TB_HTTP_BAD : TB_HTTP_MORE;
}

bool tb_http_skip(struct tb_http_message *m, uint64_t len)
{
    m->flags |= TB_HTTP_DIGEST_LOST;
    if (m->state == ST_TO_CLOSE)
        return true;
    if ((m->state != ST_BODY && m->state != ST_CHUNK_DATA) || len > m->left)
        return false;
    m->left -= len;
    if (m->left == 0)
        m->state = m->state == ST_BODY ? ST_DONE : ST_CHUNK_END;
    return true;
}

bool tb_http_begun(const struct tb_http_message *m)
{
    return m->state != ST_START;
}

bool tb_http_in_body(const struct tb_http_message *m)
{
    return m->state >= ST_BODY && m->state < ST_COUNT;
}

bool tb_http_until_close(const struct tb_http_message *m)
{
    return m->state == ST_TO_CLOSE;
}

bool tb_http_closes(const struct tb_http_message *m)
{
    return (m->flags & TB_HTTP_CLOSE) ||
           ((m->flags & TB_HTTP_1_0) && !(m->flags & TB_HTTP_KEEP_ALIVE)) ||
           m->state == ST_TO_CLOSE;
}

bool tb_http_between_chunks(const struct tb_http_message *m)
{
    return m->state == ST_CHUNK_SIZE && m->pos == NUMBER_BEFORE;
}

void tb_http_resume(struct tb_http_message *m, bool chunked)
{
    begin(m, TB_HTTP_RESPONSE | TB_HTTP_WATCH | (chunked ? TB_HTTP_CHUNKED : 0));
    m->status = 200;
    m->state = chunked ? ST_CHUNK_SIZE : ST_TO_CLOSE;
}

bool tb_http_interim(const struct tb_http_message *m)
{
    return m->status / 100 == 1 && m->status != 101;
}
