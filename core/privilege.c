/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * After everything that needs privileges is open: become an ordinary user and keep only what the
 * end of the run needs. See replay.h.
 */
#include "replay.h"

#include <cap-ng.h>
#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "base/log.h"

int tb_replay_drop(struct tb_replay *r, struct tb_err *err)
{
    const char *name = r->options->user ? r->options->user : "nobody";
    struct passwd *user;

    if (geteuid() != 0)
        return 0;
    if (strcmp(name, "root") == 0)
        return 0;
    user = getpwnam(name);
    if (!user) {
        if (r->options->user)
            return tb_err_set(err, -EINVAL, "--user %s: there is no such user on this machine",
                              name);
        tb_log(TB_LOG_WARN, "there is no user \"nobody\" here: the run keeps root's privileges; "
                            "name another with --user");
        return 0;
    }
    capng_clear(CAPNG_SELECT_BOTH);
    /* The blackhole routes of -s local: are removed at the end. */
    if (r->mode == TB_MODE_LOCAL)
        capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN);
    int rc = capng_change_id((int) user->pw_uid, (int) user->pw_gid,
                             CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING);
    if (rc < 0)
        return tb_err_set(err, -EPERM,
                          "cannot become user %s (libcap-ng error %d): run as that "
                          "user, or with --user root",
                          name, rc);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
#if defined(__SANITIZE_ADDRESS__)
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* the leak check looks at its own threads */
#endif
    return 0;
}
