/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The process that writes the report of a run that has dropped its privileges. Called by the
 * programs; see report.h.
 */
#include "report/report.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* The writer: one report in, words about what went wrong (or none) out. */
static void serve(int fd, const char *path)
{
    struct tb_err err = {""};
    json_error_t why;

    signal(SIGINT, SIG_IGN); /* the run decides when it is over */
    signal(SIGTERM, SIG_IGN);
    json_t *report = json_loadfd(fd, JSON_DISABLE_EOF_CHECK, &why);
    if (report && tb_report_write(report, path, &err) < 0 &&
        write(fd, err.text, strlen(err.text)) < 0)
        _exit(1);
    _exit(0);
}

int tb_report_writer_start(struct tb_report_writer *w, const char *path, struct tb_err *err)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    int fds[2];

    memcpy(folder, ".", 2);
    if (slash && (size_t) (slash - path) < sizeof folder - 1) {
        memcpy(folder, path, (size_t) (slash - path) + 1);
        folder[slash - path + 1] = '\0';
    }
    if (access(path, F_OK) == 0 ? access(path, W_OK) < 0 : access(folder, W_OK | X_OK) < 0)
        return tb_err_set(err, -EINVAL, "cannot write the report %s: %s", path, strerror(errno));
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return tb_err_set(err, -errno, "cannot start the report's writer: %s", strerror(errno));
    w->pid = fork();
    if (w->pid == 0) {
        close(fds[0]);
        serve(fds[1], path);
    }
    close(fds[1]);
    w->fd = fds[0];
    if (w->pid > 0)
        return 0;
    tb_report_writer_stop(w);
    return tb_err_set(err, -errno, "cannot start the report's writer: %s", strerror(errno));
}

int tb_report_writer_finish(struct tb_report_writer *w, const json_t *report, struct tb_err *err)
{
    char words[sizeof err->text] = "";
    size_t at = 0;
    ssize_t n;
    int rc = json_dumpfd(report, w->fd, JSON_COMPACT | JSON_PRESERVE_ORDER);

    shutdown(w->fd, SHUT_WR);
    while ((n = read(w->fd, words + at, sizeof words - 1 - at)) > 0)
        at += (size_t) n;
    tb_report_writer_stop(w);
    if (rc < 0 || n < 0)
        return tb_err_set(err, -EIO, "the report was not written: its writer is gone");
    return at ? tb_err_set(err, -EIO, "%s", words) : 0;
}

void tb_report_writer_stop(struct tb_report_writer *w)
{
    if (w->fd < 0)
        return;
    close(w->fd);
    w->fd = -1;
    if (w->pid > 0)
        waitpid(w->pid, NULL, 0);
    w->pid = 0;
}
