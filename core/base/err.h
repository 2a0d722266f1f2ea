/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What went wrong, in words for the person at the terminal.
 * Everything below the programs returns 0 or a negative errno and fills one of these; only the
 * programs print it and exit.
 */
#ifndef TB_BASE_ERR_H
#define TB_BASE_ERR_H

/* The message: what failed, why, and what to do about it. No trailing newline. */
struct tb_err {
    char text[1024];
};

/* Write the message (printf format); returns `code` (a negative errno) so that callers can
 * `return tb_err_set(err, -EINVAL, …)`. `err` may be NULL. */
int tb_err_set(struct tb_err *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Put "prefix: " before the message, to add where it happened; returns `code`. */
int tb_err_prefix(struct tb_err *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
