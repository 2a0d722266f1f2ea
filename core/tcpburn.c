/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcpburn, the test host's program: options, the order of a run, signals, exit status. The work is
 * done by replay.c and below.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "check/check.h"
#include "check/target.h"
#include "config/options.h"
#include "program.h"
#include "replay.h"

static int complain(const struct tb_err *err, int status)
{
    fprintf(stderr, "tcpburn: %s\n", err->text);
    return status;
}

static int play(struct tb_replay *r, struct tb_err *err)
{
    int rc = tb_replay_prepare(r, err);

    if (rc == 0)
        rc = tb_replay_load(r, err);
    if (rc == 0)
        rc = tb_replay_plan(r, err);
    if (rc == 0)
        tb_replay_remarks(r);
    if (rc == 0 && r->options->dry_run) {
        rc = tb_replay_dry(r, err);
        return rc < 0 ? complain(err, tb_process_status(rc)) : TB_EXIT_OK;
    }
    if (rc == 0)
        rc = tb_replay_open(r, err);
    if (rc == 0)
        /* The blackhole routes of -s local: are removed at the end. */
        rc = tb_privilege_drop(r->options->user, r->mode == TB_MODE_LOCAL, err);
    if (rc == 0)
        rc = tb_replay_play(r, err);
    if (rc < 0)
        return complain(err, tb_process_status(rc));
    rc = tb_replay_report(r, err);
    return rc < 0 ? complain(err, TB_EXIT_USAGE) : rc;
}

int main(int argc, char **argv)
{
    struct tb_options options;
    struct tb_err err = {""};
    struct tb_replay run = {.options = &options, .stop = &tb_program_stop, .writer.fd = -1};
    char *command = tb_program_command(argc, argv);
    int status;

    if (tb_options_parse(&options, argc, argv, &err) < 0 ||
        tb_fail_on_check(options.fail_on.item, options.fail_on.count, &err) < 0) {
        status = complain(&err, TB_EXIT_USAGE);
    } else if (options.help) {
        tb_options_help();
        status = TB_EXIT_OK;
    } else if (options.version) {
        printf("tcpburn %s\n", PACKAGE_VERSION);
        status = TB_EXIT_OK;
    } else if (tb_program_settle_in(&options, &err) < 0) {
        status = complain(&err, TB_EXIT_USAGE);
    } else if (options.check || options.check_target) {
        int rc = options.check_target ? tb_check_target_run(&options, stdout, &err)
                                      : tb_check_run(&options, stdout, &err);
        status = rc < 0 ? complain(&err, tb_process_status(rc)) : rc;
    } else {
        tb_program_catch_signals();
        run.command = command ? command : "";
        status = play(&run, &err);
        tb_replay_free(&run);
    }
    tb_options_free(&options);
    free(command);
    return status;
}
