/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcpcopy, the online host's program: options, the order of a run, exit status.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <errno.h>
#include <stdio.h>
#include "config/tcpcopy.h"
#include "process/process.h"
#include "report/report.h"

int main(int argc, char **argv)
{
    struct tb_tcpcopy_options options;
    struct tb_err err = {""};
    int rc = tb_tcpcopy_options_parse(&options, argc, argv, &err), status = TB_EXIT_OK;

    if (rc == 0)
        rc = tb_fail_on_check(options.run.fail_on.item, options.run.fail_on.count, &err);
    if (rc == 0 && options.run.help)
        tb_tcpcopy_options_help();
    else if (rc == 0 && options.run.version)
        printf("tcpcopy %s\n", PACKAGE_VERSION);
    else if (rc == 0)
        rc = tb_err_set(&err, -EINVAL, "copying live sessions comes in a later version");
    if (rc < 0) {
        fprintf(stderr, "tcpcopy: %s\n", err.text);
        status = tb_process_status(rc);
    }
    tb_tcpcopy_options_free(&options);
    return status;
}
