/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log: lines for people, on standard error or in a file. Any thread may write; one line is one
 * write(2). Never called per packet: what may repeat uses tb_log_limited().
 */
#ifndef TB_BASE_LOG_H
#define TB_BASE_LOG_H

#include <stdint.h>

enum tb_log_level { TB_LOG_ERROR, TB_LOG_WARN, TB_LOG_INFO, TB_LOG_DEBUG };

/* The two mutable globals the house style allows are the level and the open file. */
void tb_log_set_level(enum tb_log_level level);

/* Log to `path` from now on (append); NULL: back to standard error. Calling it again with the same
 * path reopens the file (log rotation). Returns 0 or -errno. */
int tb_log_open(const char *path);
/* The same with a descriptor, which is the log's from now on. */
int tb_log_use(int fd);

void tb_log(enum tb_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* One line per second and place; the next one tells how many were left out. `limit` is static and
 * zero at the call. Safe only within one thread per `limit`. */
struct tb_log_limit {
    uint64_t next_us;
    uint64_t left_out;
};
void tb_log_limited(struct tb_log_limit *limit, enum tb_log_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
