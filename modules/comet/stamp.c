/* SPDX-License-Identifier: BSD-2-Clause */
/* See stamp.h. */
#include "stamp.h"

#include <stdbool.h>
#include <string.h>

enum { LOOK_AT = 4096 }; /* bytes of a message: times stand in front */

#define SECOND_US UINT64_C(1000000)
#define HOUR_US   (3600 * SECOND_US)

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static size_t digits(const uint8_t *p, size_t len)
{
    size_t n = 0;
    while (n < len && is_digit(p[n]))
        n++;
    return n;
}

static uint64_t number(const uint8_t *p, size_t n)
{
    uint64_t value = 0;
    while (n-- > 0)
        value = value * 10 + (uint64_t) (*p++ - '0');
    return value;
}

/* A fraction of at least three digits in microseconds; more than six digits are dropped. */
static bool fraction_us(const uint8_t *p, size_t len, uint64_t *us)
{
    size_t n;
    if (len < 4 || (p[0] != '.' && p[0] != ',') || (n = digits(p + 1, len - 1)) < 3)
        return false;
    *us = number(p + 1, n < 6 ? n : 6);
    for (; n < 6; n++)
        *us *= 10;
    return true;
}

/* Days since 1970 of a date of the Gregorian calendar, counted from March so that the leap day is
 * the last of its year. */
static uint64_t days_of(uint64_t year, uint64_t month, uint64_t day)
{
    uint64_t y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;
    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

/* "2026-11-22T03:04:05.678Z", or with a space for the T. */
static uint64_t iso_us(const uint8_t *p, size_t len)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd";
    uint64_t us;
    if (len < sizeof form + 3)
        return 0;
    for (size_t i = 0; i < sizeof form - 1; i++) {
        bool fits = form[i] == 'd'   ? is_digit(p[i])
                    : form[i] == 'T' ? p[i] == 'T' || p[i] == ' '
                                     : p[i] == (uint8_t) form[i];
        if (!fits)
            return 0;
    }
    if (number(p, 4) < 1970 || !fraction_us(p + 19, len - 19, &us))
        return 0;
    uint64_t days = days_of(number(p, 4), number(p + 5, 2), number(p + 8, 2));
    uint64_t seconds = number(p + 11, 2) * 3600 + number(p + 14, 2) * 60 + number(p + 17, 2);
    return (days * 86400 + seconds) * SECOND_US + us;
}

/* What a run of `n` digits says. */
static uint64_t time_of(const uint8_t *p, size_t n, size_t len)
{
    uint64_t us;
    switch (n) {
    case 4:
        return iso_us(p, len);
    case 10:
        return fraction_us(p + 10, len - 10, &us) ? number(p, 10) * SECOND_US + us : 0;
    case 13:
        return number(p, 13) * 1000;
    case 16:
        return number(p, 16);
    case 19:
        return number(p, 16); /* nanoseconds: the last three are dropped */
    default:
        return 0;
    }
}

uint64_t tb_stamp_find(const uint8_t *text, size_t len, uint64_t now_us)
{
    if (len > LOOK_AT)
        len = LOOK_AT;
    for (size_t at = 0; at < len;) {
        size_t n = digits(text + at, len - at);
        if (n >= 4) {
            uint64_t us = time_of(text + at, n, len - at);
            if (us != 0 && us + HOUR_US >= now_us && us <= now_us + SECOND_US)
                return us;
        }
        at += n + 1;
    }
    return 0;
}
