/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * --fail-on: FIGURE OPERATOR NUMBER[UNIT], read before the run and judged after it. Called by the
 * programs; the figures are in figures.c.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "report/figures.h"
#include "report/units.h"

static const char *skip_blanks(const char *p)
{
    while (isspace((unsigned char) *p))
        p++;
    return p;
}

/* Copies the leading characters of `p` that are in `set` to `out`; what follows them, or NULL when
 * there are none or too many. */
static const char *take(const char *p, const char *set, char *out, size_t room)
{
    size_t len = strspn(p, set);

    if (!len || len >= room)
        return NULL;
    memcpy(out, p, len);
    out[len] = '\0';
    return skip_blanks(p + len);
}

static bool is_operator(const char *op)
{
    static const char *const all[] = {"<", ">", "<=", ">=", "==", "!="};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(op, all[i]))
            return true;
    return false;
}

/* Apply the unit behind the number. */
static int unit_apply(struct tb_fail_on *f, const struct tb_figure *figure, const char *unit,
                      struct tb_err *err)
{
    static const struct {
        const char *name;
        double us;
    } times[] = {{"", 1}, {"us", 1}, {"ms", 1e3}, {"s", 1e6}};

    if (figure->kind == TB_FIGURE_TIME) {
        for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
            if (!strcmp(unit, times[i].name)) {
                f->limit *= times[i].us;
                return 0;
            }
        }
        return tb_err_set(err, -EINVAL, "'%s': '%s' is not a unit of time: us, ms or s", f->text,
                          unit);
    }
    f->percent = !strcmp(unit, "%");
    if (!f->percent && *unit)
        return tb_err_set(err, -EINVAL, "'%s': %s is a count and takes no unit '%s'%s", f->text,
                          f->figure, unit, figure->base == TB_BASE_NONE ? "" : " but %");
    if (f->percent && figure->base == TB_BASE_NONE)
        return tb_err_set(err, -EINVAL,
                          "'%s': there is no whole that %s could be a part of; give "
                          "a number",
                          f->text, f->figure);
    return 0;
}

int tb_fail_on_parse(const char *text, struct tb_fail_on *out, struct tb_err *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
    struct tb_fail_on f = {0};
    struct tb_figure figure;
    char number[32], names[768], *end;
    const char *p = skip_blanks(text);

    if (strlen(text) >= sizeof f.text)
        return tb_err_set(err, -EINVAL, "'%.40s…' is too long for a condition", text);
    strcpy(f.text, text);

    p = take(p, letters, f.figure, sizeof f.figure);
    if (p)
        p = take(p, "<>=!", f.op, sizeof f.op);
    if (!p || !is_operator(f.op))
        return tb_err_set(err, -EINVAL,
                          "'%s' is not FIGURE<NUMBER, with one of < > <= >= == !=, such as "
                          "failed>0.1%% or p99_response>50ms",
                          text);
    if (!tb_figure_find(f.figure, NULL, &figure))
        return tb_err_set(err, -EINVAL, "'%s': unknown figure '%s'; there are %s", text, f.figure,
                          tb_figure_names(names));
    p = take(p, "0123456789.", number, sizeof number);
    if (p)
        f.limit = strtod(number, &end);
    if (!p || end == number || *end)
        return tb_err_set(err, -EINVAL, "'%s': a number must follow %s", text, f.op);

    char unit[8] = "";
    size_t len = strcspn(p, " \t");
    if (len >= sizeof unit || *skip_blanks(p + len))
        return tb_err_set(err, -EINVAL, "'%s': '%s' is not a unit: %%, us, ms or s", text, p);
    memcpy(unit, p, len);
    int rc = unit_apply(&f, &figure, unit, err);
    if (!rc)
        *out = f;
    return rc;
}

int tb_fail_on_check(char *const *texts, uint32_t count, struct tb_err *err)
{
    struct tb_fail_on unused;
    int rc = 0;

    for (uint32_t i = 0; !rc && i < count; i++)
        rc = tb_fail_on_parse(texts[i], &unused, err);
    return rc;
}

static bool compare(double value, const char *op, double limit)
{
    switch (op[0]) {
    case '<':
        return op[1] ? value <= limit : value < limit;
    case '>':
        return op[1] ? value >= limit : value > limit;
    case '=':
        return value == limit;
    default:
        return value != limit;
    }
}

bool tb_fail_on_holds(const struct tb_fail_on *f, const struct tb_report_input *in, char *why,
                      size_t why_len)
{
    struct tb_figure figure;
    struct tb_text text;
    double value;

    if (!tb_figure_find(f->figure, in, &figure))
        return false;
    value = figure.value;
    if (f->percent)
        value = figure.whole > 0 ? 100 * figure.value / figure.whole : 0;
    if (!compare(value, f->op, f->limit))
        return false;

    if (f->percent)
        text = tb_text_percent((uint64_t) figure.value, (uint64_t) figure.whole);
    else if (figure.kind == TB_FIGURE_TIME)
        text = tb_text_time((uint64_t) (figure.value + 0.5));
    else
        text = tb_text_count((uint64_t) figure.value);
    const char *limit = skip_blanks(strpbrk(f->text, "<>=!") + strlen(f->op));
    snprintf(why, why_len, "%s is %s (%s %s)", f->figure, text.s, f->op, limit);
    return true;
}
