/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log (base/log.h). Level and descriptor are atomics, so that any thread may write while the
 * main thread reopens the file: a reopened file takes over the number of the old descriptor, which
 * therefore is never closed under a writer.
 */
#include "base/log.h"
#include "base/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES = 2048, LIMIT_US = 1000000 };

static atomic_int log_level = TB_LOG_INFO;
static atomic_int log_fd = STDERR_FILENO;

void tb_log_set_level(enum tb_log_level level)
{
    atomic_store(&log_level, (int) level);
}

int tb_log_open(const char *path)
{
    int old = atomic_load(&log_fd);
    if (!path) {
        if (old != STDERR_FILENO && dup3(STDERR_FILENO, old, O_CLOEXEC) < 0)
            return -errno;
        return 0;
    }
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    return fd < 0 ? -errno : tb_log_use(fd);
}

int tb_log_use(int fd)
{
    int old = atomic_load(&log_fd);
    if (old == STDERR_FILENO) {
        atomic_store(&log_fd, fd);
        return 0;
    }
    int ret = dup3(fd, old, O_CLOEXEC) < 0 ? -errno : 0;
    (void) close(fd);
    return ret;
}

/* "2026-01-31 12:00:00.123 warning: "; its length. */
static size_t write_head(char *line, size_t room, enum tb_log_level level)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    uint64_t now_us = tb_clock_real_us();
    time_t seconds = (time_t) (now_us / 1000000u);
    struct tm tm;
    if (!localtime_r(&seconds, &tm))
        memset(&tm, 0, sizeof tm);
    size_t used = strftime(line, room, "%Y-%m-%d %H:%M:%S", &tm);
    int more = snprintf(line + used, room - used, ".%03u %s: ", (unsigned) (now_us / 1000 % 1000),
                        names[level]);
    return used + (size_t) more;
}

static void write_line(enum tb_log_level level, uint64_t left_out, const char *fmt, va_list args)
{
    char line[LINE_BYTES];
    size_t head = write_head(line, sizeof line, level), used = head;
    size_t room = sizeof line - 1; /* one byte is kept for the newline */

    int n = vsnprintf(line + used, room - used, fmt, args);
    if (n > 0)
        used = used + (size_t) n < room ? used + (size_t) n : room - 1;
    if (left_out && used < room) {
        n = snprintf(line + used, room - used, " (%" PRIu64 " more like this left out)", left_out);
        if (n > 0)
            used = used + (size_t) n < room ? used + (size_t) n : room - 1;
    }
    /* Messages may quote what a peer or a file said: one line stays one line, without escapes. */
    for (size_t i = head; i < used; i++)
        if ((unsigned char) line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    line[used++] = '\n';
    /* A log that cannot be written has nowhere to complain. */
    ssize_t ignored = write(atomic_load(&log_fd), line, used);
    (void) ignored;
}

void tb_log(enum tb_log_level level, const char *fmt, ...)
{
    if ((int) level > atomic_load_explicit(&log_level, memory_order_relaxed))
        return;
    va_list args;
    va_start(args, fmt);
    write_line(level, 0, fmt, args);
    va_end(args);
}

void tb_log_limited(struct tb_log_limit *limit, enum tb_log_level level, const char *fmt, ...)
{
    if ((int) level > atomic_load_explicit(&log_level, memory_order_relaxed))
        return;
    uint64_t now_us = tb_clock_mono_us();
    if (now_us < limit->next_us) {
        limit->left_out++;
        return;
    }
    va_list args;
    va_start(args, fmt);
    write_line(level, limit->left_out, fmt, args);
    va_end(args);
    limit->next_us = now_us + LIMIT_US;
    limit->left_out = 0;
}
