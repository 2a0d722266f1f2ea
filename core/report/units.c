/* SPDX-License-Identifier: BSD-2-Clause */
/* Figures as people read them; called by the summary, the status line and --fail-on. */
#include "report/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct tb_text tb_text_count(uint64_t n)
{
    struct tb_text t;
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, n);
    char *out = t.s;

    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            *out++ = ',';
        *out++ = digits[i];
    }
    *out = '\0';
    return t;
}

/* Three significant digits of a value below 1000. */
static struct tb_text three_digits(double value, const char *unit)
{
    struct tb_text t;
    int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;

    snprintf(t.s, sizeof t.s, "%.*f %s", decimals, value, unit);
    return t;
}

struct tb_text tb_text_time(uint64_t us)
{
    struct tb_text t;

    if (us < 1000) {
        snprintf(t.s, sizeof t.s, "%" PRIu64 " us", us);
        return t;
    }
    if (us < 999500)
        return three_digits((double) us / 1e3, "ms");
    if (us < 999500000)
        return three_digits((double) us / 1e6, "s");
    snprintf(t.s, sizeof t.s, "%.30s s", tb_text_count(us / 1000000).s);
    return t;
}

struct tb_text tb_text_bytes(double bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    unsigned unit = 0;
    struct tb_text t;

    if (bytes < 999.5) {
        snprintf(t.s, sizeof t.s, "%.0f B", bytes);
        return t;
    }
    while (bytes >= 999.5 && unit < 6) {
        bytes /= 1000;
        unit++;
    }
    return three_digits(bytes, units[unit]);
}

struct tb_text tb_text_duration(double seconds)
{
    struct tb_text t;
    uint64_t whole = seconds < 0 ? 0 : (uint64_t) (seconds + 0.5);

    if (seconds < 9.95)
        snprintf(t.s, sizeof t.s, "%.1f s", seconds < 0 ? 0 : seconds);
    else if (whole < 120)
        snprintf(t.s, sizeof t.s, "%" PRIu64 " s", whole);
    else if (whole < 7200)
        snprintf(t.s, sizeof t.s, "%" PRIu64 " min %02u s", whole / 60, (unsigned) (whole % 60));
    else
        snprintf(t.s, sizeof t.s, "%" PRIu64 " h %02u min", whole / 3600,
                 (unsigned) (whole / 60 % 60));
    return t;
}

struct tb_text tb_text_percent(uint64_t part, uint64_t whole)
{
    struct tb_text t;
    double percent = whole ? 100.0 * (double) part / (double) whole : 0;

    /* What is not nothing must not read as 0%, nor what is not all as 100%. */
    if (part && percent < 0.01)
        snprintf(t.s, sizeof t.s, "<0.01%%");
    else if (part < whole && percent > 99.99)
        snprintf(t.s, sizeof t.s, ">99.99%%");
    else
        snprintf(t.s, sizeof t.s, "%.*f%%",
                 percent == (int) percent ? 0
                 : percent < 10           ? 2
                                          : 1,
                 percent);
    if (part < whole && !strcmp(t.s, "100.0%"))
        snprintf(t.s, sizeof t.s, "99.9%%");
    return t;
}

struct tb_text tb_text_number(uint64_t n, const char *noun)
{
    struct tb_text t;

    snprintf(t.s, sizeof t.s, "%.27s %s%s", tb_text_count(n).s, noun, n == 1 ? "" : "s");
    return t;
}
