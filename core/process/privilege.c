/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * After everything that needs privileges is open: become an ordinary user and keep only what the
 * rest of the run needs; see process.h.
 */
#include "process/process.h"

#include <cap-ng.h>
#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "base/log.h"

bool tb_privilege_changes_user(const char *user)
{
    return geteuid() == 0 && !(user && strcmp(user, "root") == 0);
}

/* Capabilities from the program file (setcap) rather than from being root. */
static int drop_file_capabilities(bool keep_net_admin, struct tb_err *err)
{
    bool keep = keep_net_admin && capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN);

    capng_clear(CAPNG_SELECT_CAPS);
    if (keep)
        capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN);
    int rc = capng_apply(CAPNG_SELECT_CAPS);
    return rc < 0 ? tb_err_set(err, -EPERM, "cannot give up capabilities (libcap-ng error %d)", rc)
                  : 0;
}

static int become(const struct passwd *user, bool keep_net_admin, struct tb_err *err)
{
    capng_clear(CAPNG_SELECT_BOTH);
    if (keep_net_admin)
        capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN);
    int rc = capng_change_id((int) user->pw_uid, (int) user->pw_gid,
                             CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING);
    if (rc < 0)
        return tb_err_set(err, -EPERM,
                          "cannot become user %s (libcap-ng error %d): run as that "
                          "user, or with --user root",
                          user->pw_name, rc);
    return 0;
}

int tb_privilege_drop(const char *user, bool keep_net_admin, struct tb_err *err)
{
    int rc;

    if (geteuid() == 0) {
        if (!tb_privilege_changes_user(user))
            return 0;
        /* cppcheck-suppress getpwnamCalled ; there are no threads yet */
        const struct passwd *found = getpwnam(user ? user : "nobody");
        if (!found && user)
            return tb_err_set(err, -EINVAL, "--user %s: there is no such user on this machine",
                              user);
        if (!found) {
            tb_log(TB_LOG_WARN, "there is no user \"nobody\" here: the run keeps root's "
                                "privileges; name another with --user");
            return 0;
        }
        rc = become(found, keep_net_admin, err);
    } else {
        rc = drop_file_capabilities(keep_net_admin, err);
    }
    if (rc < 0)
        return rc;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
#if defined(__SANITIZE_ADDRESS__)
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* the leak check looks at its own threads */
#endif
    return 0;
}
