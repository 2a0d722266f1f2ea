/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Progress while it runs: one line on the terminal, redrawn in place, or a log line now and then.
 * Called by the program's own thread, with the time; standard error is what it draws on, so that a
 * report on standard output stays clean.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"
#include "report/report.h"
#include "report/units.h"

enum { REDRAW_US = 200000, LOG_EVERY_US = 5000000, WIDTH_DEFAULT = 80, LINE_MAX_BYTES = 512 };

void tb_status_init(struct tb_status *s)
{
    memset(s, 0, sizeof *s);
    s->terminal = isatty(STDERR_FILENO);
}

static unsigned terminal_width(void)
{
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return WIDTH_DEFAULT;
}

/* Draw `line` over the last one, within the width; the last column stays free, because some
 * terminals wrap when it is written. */
static void draw(struct tb_status *s, const char *line)
{
    char buf[2 * LINE_MAX_BYTES];
    unsigned room = terminal_width() - 1, len = (unsigned) strlen(line);

    if (room >= LINE_MAX_BYTES)
        room = LINE_MAX_BYTES - 1;
    if (len > room)
        len = room;
    if (s->drawn > room)
        s->drawn = room;
    unsigned pad = s->drawn > len ? s->drawn - len : 0;
    int n = snprintf(buf, sizeof buf, "\r%.*s%*s", (int) len, line, (int) pad, "");
    if (n > 0 && write(STDERR_FILENO, buf, (size_t) n) > 0)
        s->drawn = len;
}

/* Is it time for another line? */
static bool due(struct tb_status *s, uint64_t now_us)
{
    if (now_us < s->next_line_us)
        return false;
    s->next_line_us = now_us + (s->terminal ? REDRAW_US : LOG_EVERY_US);
    return true;
}

static void show(struct tb_status *s, const char *line)
{
    if (s->terminal)
        draw(s, line);
    else
        tb_log(TB_LOG_INFO, "%s", line);
}

/* With --duration the plan grows as sessions start: then time tells how far it is. */
static double progress(const struct tb_status_figures *f)
{
    double by_sessions = f->planned ? (double) f->ended / (double) f->planned : 0;

    if (f->left_s < 0)
        return by_sessions;
    double by_time = f->elapsed_s + f->left_s > 0 ? f->elapsed_s / (f->elapsed_s + f->left_s) : 1;
    return f->planned > f->started ? by_sessions : by_time;
}

/* The parts of the line in order of importance from the left: a narrow terminal cuts the end. */
static void compose(const struct tb_status_figures *f, char *line, size_t room)
{
    double done = 100 * progress(f);
    int n = 0;

    if (!f->endless)
        n = snprintf(line, room, "%3d%%  ", done >= 100 ? 100 : (int) done);
    n += snprintf(line + n, room - (size_t) n, "%s open  %s req/s  p50 %s  p99 %s  %s failed",
                  tb_text_count(f->open).s, tb_text_count((uint64_t) (f->requests_per_s + 0.5)).s,
                  tb_text_time(f->p50_us).s, tb_text_time(f->p99_us).s, tb_text_count(f->failed).s);

    if (f->mismatched && n > 0 && (size_t) n < room)
        n += snprintf(line + n, room - (size_t) n, "  %s mismatched",
                      tb_text_count(f->mismatched).s);
    if (f->left_s >= 0 && n > 0 && (size_t) n < room)
        snprintf(line + n, room - (size_t) n, "  %s left", tb_text_duration(f->left_s).s);
}

void tb_status_show(struct tb_status *s, const struct tb_status_figures *f, uint64_t now_us)
{
    char line[LINE_MAX_BYTES];

    if (!due(s, now_us))
        return;
    compose(f, line, sizeof line);
    show(s, line);
}

void tb_status_loading(struct tb_status *s, uint64_t done_bytes, uint64_t total_bytes,
                       uint32_t sessions, uint64_t now_us)
{
    char line[LINE_MAX_BYTES];

    if (!s->loading_since_us) {
        s->loading_since_us = now_us;
        /* Most captures load before anybody wants to know. */
        s->next_line_us = now_us + (s->terminal ? REDRAW_US : LOG_EVERY_US);
    }
    if (!due(s, now_us))
        return;
    double elapsed_s = (double) (now_us - s->loading_since_us) / 1e6;
    snprintf(line, sizeof line, "loading: %s of %s, %s/s, %s", //
             tb_text_bytes((double) done_bytes).s, tb_text_bytes((double) total_bytes).s,
             tb_text_bytes(elapsed_s > 0 ? (double) done_bytes / elapsed_s : 0).s,
             tb_text_number(sessions, "session").s);
    show(s, line);
}

void tb_status_end(struct tb_status *s)
{
    if (s->terminal && s->drawn) {
        draw(s, "");
        if (write(STDERR_FILENO, "\r", 1) < 0)
            return; /* a terminal that went away needs no clearing */
    }
    s->drawn = 0;
    s->next_line_us = 0;
}
