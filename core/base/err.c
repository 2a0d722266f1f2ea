/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Error messages (base/err.h). The text is composed aside and then copied, so that a caller may
 * use the old message as an argument of the new one.
 */
#include "base/err.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int tb_err_set(struct tb_err *err, int code, const char *fmt, ...)
{
    if (!err)
        return code;
    char text[sizeof err->text];
    va_list args;
    va_start(args, fmt);
    (void) vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    memcpy(err->text, text, strlen(text) + 1);
    return code;
}

int tb_err_prefix(struct tb_err *err, int code, const char *fmt, ...)
{
    if (!err)
        return code;
    char text[sizeof err->text];
    va_list args;
    va_start(args, fmt);
    int used = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (used < 0)
        return code;
    size_t head = strlen(text), tail = strlen(err->text);
    if (head + 2 >= sizeof text)
        tail = 0;
    else if (head + 2 + tail >= sizeof text)
        tail = sizeof text - head - 3; /* the end of the old message is what gets lost */
    if (tail) {
        memmove(err->text + head + 2, err->text, tail);
        memcpy(err->text + head, ": ", 2);
        err->text[head + 2 + tail] = '\0';
    } else {
        err->text[head] = '\0';
    }
    memcpy(err->text, text, head);
    return code;
}
