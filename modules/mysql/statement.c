/* SPDX-License-Identifier: BSD-2-Clause */
/* See statement.h. */
#include "statement.h"

#include <string.h>
#include <strings.h>

enum { LIST_SHOWN = 4 }; /* of a long list of literals */

/* --- tokens ----------------------------------------------------------------------------------- */

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' ||
           c == '$' || c == '@' || (unsigned char) c >= 0x80;
}

static const char *find(const char *at, const char *end, const char *what)
{
    const char *p = memmem(at, (size_t) (end - at), what, strlen(what));

    return p ? p : end;
}

/* Behind the comment that begins at `at`, or `at` itself. What stands in a comment that servers
 * execute, as in C with ! or M! behind its begin, is no comment to us either. */
static const char *skip_comment(const char *at, const char *end)
{
    size_t left = (size_t) (end - at);

    if (left >= 3 && at[0] == '/' && at[1] == '*') {
        bool runs = at[2] == '!' || (left >= 4 && at[2] == 'M' && at[3] == '!');
        if (!runs) {
            const char *close = find(at + 2, end, "*/");
            return close == end ? end : close + 2;
        }
        at += at[2] == 'M' ? 4 : 3;
        while (at < end && is_digit(*at)) /* the version from which on */
            at++;
        return at;
    }
    if (left >= 2 && at[0] == '*' && at[1] == '/') /* the end of such a one */
        return at + 2;
    bool dashes = left >= 2 && at[0] == '-' && at[1] == '-' && (left == 2 || is_space(at[2]));
    if (dashes || (left > 0 && at[0] == '#'))
        return find(at, end, "\n");
    return at;
}

/* Behind the string or quoted name that begins at `at`. */
static const char *skip_quoted(const char *at, const char *end)
{
    char quote = *at++;

    for (; at < end; at++) {
        bool escapes = *at == '\\' && quote != '`';
        bool doubled = *at == quote && at + 1 < end && at[1] == quote; /* stands for itself */
        if (at + 1 < end && (escapes || doubled))
            at++;
        else if (*at == quote)
            return at + 1;
    }
    return end;
}

/* Behind a number: digits, a fraction, an exponent, or 0x… */
static const char *skip_number(const char *at, const char *end)
{
    while (at < end) {
        bool is_sign = (*at == '+' || *at == '-') && (at[-1] == 'e' || at[-1] == 'E');
        if (!is_word(*at) && *at != '.' && !is_sign)
            break;
        at++;
    }
    return at;
}

/* x'…', b'…', n'…' and _utf8'…' are one literal. */
static bool introduces_string(const char *word, size_t len)
{
    return word[0] == '_' || (len == 1 && strchr("xXbBnN", word[0]) != NULL);
}

struct tb_mysql_token tb_mysql_token_next(const char **at, const char *end)
{
    const char *p = *at;
    struct tb_mysql_token t = {TB_TOKEN_END, p, 0, false};

    const char *before;
    do {
        before = p;
        while (p < end && is_space(*p))
            p++;
        p = skip_comment(p, end);
    } while (p != before);
    t.space_before = p != *at;
    t.text = p;
    if (p == end) {
        *at = p;
        return t;
    }
    bool fraction = *p == '.' && p + 1 < end && is_digit(p[1]);
    if (*p == '\'' || *p == '"') {
        t.kind = TB_TOKEN_LITERAL;
        p = skip_quoted(p, end);
    } else if (*p == '`') {
        t.kind = TB_TOKEN_QUOTED;
        p = skip_quoted(p, end);
    } else if (is_digit(*p) || fraction) {
        t.kind = TB_TOKEN_LITERAL;
        p = skip_number(p + 1, end);
    } else if (is_word(*p)) {
        t.kind = TB_TOKEN_WORD;
        while (p < end && is_word(*p))
            p++;
        if (p < end && *p == '\'' && introduces_string(t.text, (size_t) (p - t.text))) {
            t.kind = TB_TOKEN_LITERAL;
            p = skip_quoted(p, end);
        }
    } else {
        t.kind = TB_TOKEN_SIGN;
        p++;
    }
    t.len = (size_t) (p - t.text);
    *at = p;
    return t;
}

static bool is_sign(const struct tb_mysql_token *t, char c)
{
    return t->kind == TB_TOKEN_SIGN && *t->text == c;
}

/* --- fingerprints ----------------------------------------------------------------------------- */

struct text {
    char *out;
    size_t len;
    bool full;
};

static void add(struct text *t, const char *bytes, size_t len)
{
    if (len >= TB_MYSQL_FINGERPRINT_MAX - t->len) {
        t->full = true;
        len = TB_MYSQL_FINGERPRINT_MAX - 1 - t->len;
    }
    memcpy(t->out + t->len, bytes, len);
    t->len += len;
}

static void finish(struct text *t)
{
    if (t->full)
        memcpy(t->out + TB_MYSQL_FINGERPRINT_MAX - 4, "...", 3);
    while (t->len > 0 && (t->out[t->len - 1] == ';' || is_space(t->out[t->len - 1])))
        t->len--;
    t->out[t->len] = '\0';
    for (size_t i = 0; i < t->len; i++) /* for people: no control characters */
        if ((unsigned char) t->out[i] < ' ')
            t->out[i] = ' ';
}

size_t tb_mysql_fingerprint(const char *sql, size_t len, char out[TB_MYSQL_FINGERPRINT_MAX])
{
    struct text t = {.out = out};
    const char *at = sql, *end = sql + len;
    unsigned list = 0; /* literals in a row, with commas between */
    bool comma = false;

    out[0] = '\0';
    while (!t.full) {
        struct tb_mysql_token k = tb_mysql_token_next(&at, end);
        if (k.kind == TB_TOKEN_END)
            break;
        bool literal = k.kind == TB_TOKEN_LITERAL;
        if (list > 0 && is_sign(&k, ',') && !comma) {
            comma = true;
            continue; /* perhaps the list goes on */
        }
        if (comma && literal && ++list > LIST_SHOWN) {
            if (list == LIST_SHOWN + 1)
                add(&t, ", ...", 5);
            comma = false;
            continue;
        }
        if (comma)
            add(&t, literal ? ", " : ",", literal ? 2 : 1);
        else if (k.space_before && t.len > 0)
            add(&t, " ", 1);
        if (comma && !literal && k.space_before)
            add(&t, " ", 1);
        comma = false;
        list = literal ? (list ? list : 1) : 0;
        add(&t, literal ? "?" : k.text, literal ? 1 : k.len);
    }
    if (comma)
        add(&t, ",", 1);
    finish(&t);
    return t.len;
}

/* --- reading only ----------------------------------------------------------------------------- */

static bool is_word_of(const struct tb_mysql_token *t, const char *const *words)
{
    if (t->kind != TB_TOKEN_WORD)
        return false;
    for (; *words; words++)
        if (strlen(*words) == t->len && strncasecmp(*words, t->text, t->len) == 0)
            return true;
    return false;
}

#define IS(t, ...) is_word_of(t, (const char *const[]){__VA_ARGS__, NULL})

/* The words of a statement that reads must not hold any of these outside of quotes. */
static bool has_word(const char *at, const char *end, const char *const *words)
{
    for (;;) {
        struct tb_mysql_token t = tb_mysql_token_next(&at, end);
        if (t.kind == TB_TOKEN_END || is_sign(&t, ';'))
            return false;
        if (is_word_of(&t, words))
            return true;
    }
}

#define HAS(at, end, ...) has_word(at, end, (const char *const[]){__VA_ARGS__, NULL})

/* SET of the session's own variables. */
static bool sets_own(const char *at, const char *end)
{
    return !HAS(at, end, "STATEMENT", "GLOBAL", "PERSIST", "PERSIST_ONLY", "PASSWORD", "@@GLOBAL",
                "@@PERSIST", "@@PERSIST_ONLY", "ROLE", "RESOURCE");
}

/* The statement that begins with the token `first`; `at` is behind it. */
static bool statement_reads(const struct tb_mysql_token *first, const char *at, const char *end)
{
    struct tb_mysql_token inner = *first;

    while (is_sign(&inner, '('))
        inner = tb_mysql_token_next(&at, end);
    first = &inner;
    if (IS(first, "SELECT", "VALUES", "TABLE"))
        return !HAS(at, end, "OUTFILE", "DUMPFILE");
    if (IS(first, "WITH"))
        return !HAS(at, end, "UPDATE", "DELETE", "INSERT", "REPLACE", "OUTFILE", "DUMPFILE");
    if (IS(first, "EXPLAIN", "DESCRIBE", "DESC")) /* MySQL runs what it is to ANALYZE */
        return !HAS(at, end, "ANALYZE") || !HAS(at, end, "UPDATE", "DELETE", "INSERT", "REPLACE");
    if (IS(first, "SET"))
        return sets_own(at, end);
    if (IS(first, "BEGIN"))
        return !HAS(at, end, "ATOMIC"); /* MariaDB: a block of statements */
    if (IS(first, "SHOW", "USE", "COMMIT", "ROLLBACK", "SAVEPOINT", "HELP", "DO"))
        return true;
    if (IS(first, "START"))
        return HAS(at, end, "TRANSACTION");
    return IS(first, "RELEASE") && HAS(at, end, "SAVEPOINT");
}

bool tb_mysql_reads_only(const char *sql, size_t len)
{
    const char *at = sql, *end = sql + len;
    struct tb_mysql_token t;

    do {
        t = tb_mysql_token_next(&at, end);
        if (t.kind == TB_TOKEN_END || is_sign(&t, ';'))
            continue;
        if (!statement_reads(&t, at, end))
            return false;
        do /* to its end */
            t = tb_mysql_token_next(&at, end);
        while (t.kind != TB_TOKEN_END && !is_sign(&t, ';'));
    } while (t.kind != TB_TOKEN_END);
    return true;
}

bool tb_mysql_use_of(const char *sql, size_t len, const char **name, size_t *name_len)
{
    const char *at = sql, *end = sql + len;
    struct tb_mysql_token use = tb_mysql_token_next(&at, end);
    struct tb_mysql_token t = tb_mysql_token_next(&at, end);
    struct tb_mysql_token last = tb_mysql_token_next(&at, end);

    if (is_sign(&last, ';'))
        last = tb_mysql_token_next(&at, end);
    if (!IS(&use, "USE") || last.kind != TB_TOKEN_END ||
        (t.kind != TB_TOKEN_WORD && t.kind != TB_TOKEN_QUOTED))
        return false;
    bool quoted = t.kind == TB_TOKEN_QUOTED && t.len >= 2;
    *name = t.text + quoted;
    *name_len = t.len - 2 * (size_t) quoted;
    return true;
}
