/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Strict reading of numbers, ports and MACs, and the guess behind "did you mean". Called by the
 * rest of core/config. strtoul() and friends are not used bare: they take "-1", " 7" and "10x".
 */
#include "config/value.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int tb_value_whole(const char *text, uint64_t *out)
{
    uint64_t value = 0;

    if (!*text)
        return -EINVAL;
    for (const char *p = text; *p; p++)
        if (!isdigit((unsigned char) *p))
            return -EINVAL;
    for (; *text; text++) {
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t) (*text - '0'), &value))
            return -ERANGE;
    }
    *out = value;
    return 0;
}

int tb_value_decimal(const char *text, double *out)
{
    size_t whole = strspn(text, "0123456789");
    size_t fraction = 0;
    const char *end = text + whole;

    if (*end == '.') {
        fraction = strspn(end + 1, "0123456789");
        end += 1 + fraction;
        if (!fraction)
            return -EINVAL;
    }
    if (*end || !whole)
        return -EINVAL;
    if (whole > 18) /* far beyond every bound, and still exact enough below it */
        return -ERANGE;
    *out = strtod(text, NULL);
    return 0;
}

int tb_value_port(const char *text, uint16_t *out)
{
    uint64_t value;
    int rc = tb_value_whole(text, &value);

    if (rc)
        return rc;
    if (value < 1 || value > UINT16_MAX)
        return -ERANGE;
    *out = (uint16_t) value;
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char) tolower((unsigned char) c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int tb_value_mac(const char *text, uint8_t out[6])
{
    uint8_t mac[6];

    if (strlen(text) != 17)
        return -EINVAL;
    for (int i = 0; i < 6; i++) {
        int high = hex_digit(text[i * 3]), low = hex_digit(text[i * 3 + 1]);
        if (high < 0 || low < 0 || (i < 5 && text[i * 3 + 2] != ':'))
            return -EINVAL;
        mac[i] = (uint8_t) (high << 4 | low);
    }
    memcpy(out, mac, sizeof mac);
    return 0;
}

enum { WORD_MAX = 32 };

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Edits (insert, delete, replace) from a to b; words longer than WORD_MAX are never near. */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned row[WORD_MAX + 1];
    size_t la = strlen(a), lb = strlen(b);

    if (la > WORD_MAX || lb > WORD_MAX)
        return WORD_MAX;
    for (unsigned j = 0; j <= lb; j++)
        row[j] = j;
    for (unsigned i = 1; i <= la; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= lb; j++) {
            unsigned replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least(replaced, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[lb];
}

const char *tb_value_nearest(const char *word, const char *const *names)
{
    const char *best = NULL;
    unsigned best_distance = least((unsigned) strlen(word) / 2, 3) + 1;

    for (; *names; names++) {
        unsigned distance = edit_distance(word, *names);
        if (strlen(word) >= 3 && !strncmp(word, *names, strlen(word)))
            distance = 0;
        if (distance < best_distance) {
            best_distance = distance;
            best = *names;
        }
    }
    return best;
}
