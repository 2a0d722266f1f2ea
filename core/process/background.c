/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exit status, background, pid file; see process.h.
 */
#include "process/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int tb_process_status(int rc)
{
    switch (rc) {
    case -EPERM:
    case -EACCES:
    case -EADDRINUSE:
    case -EADDRNOTAVAIL:
    case -ENODEV:
    case -ENETUNREACH:
    case -EHOSTUNREACH:
    case -ENETDOWN:
    case -EBUSY:
        return TB_EXIT_FORBIDDEN;
    default:
        return TB_EXIT_USAGE;
    }
}

/* The parent: what becomes of the child? */
static void wait_ready(int fd, pid_t child)
{
    char ready;
    int status = 0;
    ssize_t n;

    do
        n = read(fd, &ready, 1);
    while (n < 0 && errno == EINTR);
    if (n == 1)
        _exit(TB_EXIT_OK);
    if (waitpid(child, &status, 0) == child && WIFEXITED(status))
        _exit(WEXITSTATUS(status));
    _exit(TB_EXIT_USAGE);
}

int tb_process_detach(int *ready_fd, struct tb_err *err)
{
    int fds[2];

    fflush(NULL);
    if (pipe2(fds, O_CLOEXEC) < 0)
        return tb_err_set(err, -errno, "cannot go into the background: %s", strerror(errno));
    pid_t child = fork();
    if (child < 0) {
        int e = errno;
        close(fds[0]);
        close(fds[1]);
        return tb_err_set(err, -e, "cannot go into the background: %s", strerror(e));
    }
    close(fds[child ? 1 : 0]);
    if (child)
        wait_ready(fds[0], child);
    setsid();
    *ready_fd = fds[1];
    return 0;
}

void tb_process_ready(int ready_fd)
{
    if (ready_fd < 0)
        return;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; null >= 0 && fd <= STDERR_FILENO; fd++)
        dup2(null, fd);
    if (null > STDERR_FILENO)
        close(null);
    ssize_t n = write(ready_fd, "", 1);
    (void) n; /* a parent that is gone does not wait */
    close(ready_fd);
}

int tb_process_write_pid(const char *path, struct tb_err *err)
{
    FILE *f = path ? fopen(path, "we") : NULL;

    if (!path)
        return 0;
    if (!f)
        return tb_err_set(err, -EINVAL, "cannot write the pid file %s: %s", path, strerror(errno));
    fprintf(f, "%ld\n", (long) getpid());
    if (fclose(f) != 0)
        return tb_err_set(err, -EINVAL, "cannot write the pid file %s: %s", path, strerror(errno));
    return 0;
}
