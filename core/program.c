/* SPDX-License-Identifier: BSD-2-Clause */
/* See program.h. */
#include "program.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"
#include "process/process.h"

volatile int tb_program_stop;

static void on_signal(int number)
{
    if (tb_program_stop)
        _exit(128 + number);
    tb_program_stop = 1;
}

void tb_program_catch_signals(void)
{
    struct sigaction sa = {.sa_handler = on_signal};

    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
}

char *tb_program_command(int argc, char **argv)
{
    size_t len = 1, at = 0;

    for (int i = 0; i < argc; i++)
        len += strlen(argv[i]) + 1;
    char *s = malloc(len);
    for (int i = 0; s && i < argc; i++)
        at += (size_t) snprintf(s + at, len - at, "%s%s", i ? " " : "", argv[i]);
    return s;
}

int tb_program_settle_in(const struct tb_options *o, struct tb_err *err)
{
    int rc = o->log ? tb_log_open(o->log) : 0;

    if (o->verbose)
        tb_log_set_level(TB_LOG_DEBUG);
    if (rc < 0)
        return tb_err_set(err, -EINVAL, "cannot open the log file %s: %s", o->log, strerror(-rc));
    if (o->daemon && daemon(1, 0) < 0)
        return tb_err_set(err, -errno, "cannot go into the background: %s", strerror(errno));
    return tb_process_write_pid(o->pid_file, err);
}
