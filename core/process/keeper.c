/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keeper of log and pid file; see process.h. It takes one-byte orders over a socket pair, does
 * nothing but these, and holds no capability but the one for files.
 */
#include "process/process.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum order { ORDER_REOPEN = 'r', ORDER_OWN = 'o' };

/* An errno (0: all well), and beside it the descriptor. */
static void answer(int to, int error, int fd)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.head = {.cmsg_len = CMSG_LEN(sizeof(int)),
                          .cmsg_level = SOL_SOCKET,
                          .cmsg_type = SCM_RIGHTS}};
    struct iovec iov = {&error, sizeof error};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd >= 0) {
        memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
        m.msg_control = &control;
        m.msg_controllen = sizeof control.room;
    }
    ssize_t n = sendmsg(to, &m, MSG_NOSIGNAL);
    (void) n; /* nobody there: the next read says so too */
}

static void reopen(int to, const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);

    answer(to, fd < 0 ? errno : 0, fd);
    if (fd >= 0)
        close(fd);
}

/* Its own name for ps and pkill, no terminal, no descriptors of the program, little power. */
static int settle(int fd)
{
    prctl(PR_SET_NAME, "tb-log-keeper");
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    signal(SIGINT, SIG_IGN); /* the program decides when it is over */
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    capng_clear(CAPNG_SELECT_CAPS);
    capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_DAC_OVERRIDE);
    capng_apply(CAPNG_SELECT_CAPS);

    int null = open("/dev/null", O_RDWR);
    if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 || dup2(fd, 3) < 0)
        _exit(1);
    close_range(4, ~0U, 0);
    return 3;
}

static void serve(int fd, const char *log, const char *pid_file)
{
    bool owns_pid_file = false;
    char order;
    ssize_t n;

    fd = settle(fd);
    while ((n = read(fd, &order, 1)) > 0 || (n < 0 && errno == EINTR)) {
        if (n > 0 && order == ORDER_OWN)
            owns_pid_file = true;
        else if (n > 0 && log)
            reopen(fd, log);
    }
    if (owns_pid_file && pid_file)
        unlink(pid_file);
    _exit(0);
}

int tb_keeper_start(struct tb_keeper *k, const char *log, const char *pid_file, struct tb_err *err)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        return tb_err_set(err, -errno, "cannot start the keeper of the log: %s", strerror(errno));
    k->pid = fork();
    if (k->pid == 0) {
        close(fds[0]);
        serve(fds[1], log, pid_file);
    }
    int e = errno;
    close(fds[1]);
    if (k->pid > 0) {
        k->fd = fds[0];
        return 0;
    }
    close(fds[0]);
    return tb_err_set(err, -e, "cannot start the keeper of the log: %s", strerror(e));
}

static bool send_order(struct tb_keeper *k, char order)
{
    return send(k->fd, &order, 1, MSG_NOSIGNAL) == 1;
}

void tb_keeper_owns_pid_file(struct tb_keeper *k)
{
    if (k->fd >= 0)
        send_order(k, ORDER_OWN);
}

int tb_keeper_reopen_log(struct tb_keeper *k)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    int error = 0, fd = -EPIPE;
    struct iovec iov = {&error, sizeof error};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control.room};
    ssize_t n = -1;

    if (k->fd >= 0 && send_order(k, ORDER_REOPEN))
        do
            n = recvmsg(k->fd, &m, MSG_CMSG_CLOEXEC);
        while (n < 0 && errno == EINTR);
    if (n != sizeof error)
        return -EPIPE;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (error == 0 && c && c->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return error ? -error : fd;
}

void tb_keeper_stop(struct tb_keeper *k)
{
    if (k->fd < 0)
        return;
    close(k->fd);
    k->fd = -1;
    waitpid(k->pid, NULL, 0);
}
