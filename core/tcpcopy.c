/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcpcopy, the online host's program: options, the order of a run, exit status. The work is done by
 * copy.c and below.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdio.h>
#include <stdlib.h>
#include "check/check.h"
#include "copy.h"
#include "process/process.h"
#include "program.h"
#include "report/report.h"

static int play(const struct tb_tcpcopy_options *o, const char *command, struct tb_err *err)
{
    struct tb_copy copy;
    int rc = tb_copy_prepare(&copy, o, command, &tb_program_stop, err);

    if (rc == 0)
        rc = tb_copy_open(&copy, err);
    if (rc == 0)
        rc = tb_privilege_drop(o->run.user, copy.run.mode == TB_MODE_LOCAL, err);
    if (rc == 0)
        rc = tb_copy_play(&copy, err);
    if (rc == 0)
        rc = tb_replay_report(&copy.run, err);
    tb_copy_free(&copy);
    return rc;
}

static int check(const struct tb_options *o, struct tb_err *err)
{
    if (o->client_count == 0)
        return tb_check_live_run(o, NULL, 0, stdout, err);
    return tb_check_run(o, stdout, err);
}

int main(int argc, char **argv)
{
    struct tb_tcpcopy_options options;
    struct tb_err err = {""};
    char *command = tb_program_command(argc, argv);
    int rc = tb_tcpcopy_options_parse(&options, argc, argv, &err), status = TB_EXIT_OK;

    if (rc == 0)
        rc = tb_fail_on_check(options.run.fail_on.item, options.run.fail_on.count, &err);
    if (rc == 0 && options.run.help) {
        tb_tcpcopy_options_help();
    } else if (rc == 0 && options.run.version) {
        printf("tcpcopy %s\n", PACKAGE_VERSION);
    } else if (rc == 0) {
        tb_program_catch_signals();
        rc = tb_program_settle_in(&options.run, &err);
        if (rc == 0 && options.run.check)
            rc = status = check(&options.run, &err);
        else if (rc == 0)
            rc = status = play(&options, command ? command : "", &err);
    }
    if (rc < 0) {
        fprintf(stderr, "tcpcopy: %s\n", err.text);
        status = tb_process_status(rc);
    }
    tb_tcpcopy_options_free(&options);
    free(command);
    return status;
}
