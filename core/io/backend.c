/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the back-ends share; see backend.h. Relies on ppoll(2) and eventfd(2).
 */
#include "io/backend.h"

#include <errno.h>
#include <time.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ERROR_PAUSE_US = 1000 };

void tb_backend_wait(const struct tb_io *io, int fd, int wake_fd, uint64_t timeout_us)
{
    if (timeout_us == 0)
        return;
    struct timespec ts = {(time_t) (timeout_us / 1000000), (long) (timeout_us % 1000000) * 1000};
    /* Negative descriptors are ignored by poll. */
    struct pollfd p[3] = {
        {.fd = fd, .events = POLLIN}, {.fd = wake_fd, .events = POLLIN}, tb_backend_also(io)};
    int n = ppoll(p, 3, timeout_us == UINT64_MAX ? NULL : &ts, NULL);
    if (n > 0 && (p[1].revents & POLLIN)) {
        uint64_t wakes;
        ssize_t got = read(wake_fd, &wakes, sizeof wakes);
        (void) got; /* non-blocking: somebody else's read is as good */
    }
    if (n > 0 && (p[0].revents & (POLLERR | POLLHUP | POLLNVAL))) {
        /* The device went down or away. Reading the error clears it where that is possible; where
         * not, poll would return at once for ever: sleep without it. */
        int error;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error});
        if (timeout_us > ERROR_PAUSE_US)
            ts = (struct timespec){0, ERROR_PAUSE_US * 1000};
        ppoll(p + 1, 2, &ts, NULL);
    }
}

void tb_backend_wake(int wake_fd)
{
    int saved = errno; /* we may be inside a signal handler */
    uint64_t one = 1;
    ssize_t n = write(wake_fd, &one, sizeof one);
    (void) n; /* fails only when the counter is full, and then the wait ends anyway */
    errno = saved;
}

void tb_backend_count_error(struct tb_io_counters *c, int error)
{
    switch (error) {
    case ENOBUFS:
    case ENOMEM:
    case EAGAIN: /* the send buffer is full */
        c->enobufs++;
        break;
    case EPERM:
    case EACCES:
        c->eperm++;
        break;
    case EMSGSIZE:
        c->emsgsize++;
        break;
    case ENETDOWN:
    case ENXIO:
    case ENODEV:
        c->enetdown++;
        break;
    default:
        c->other_errors++;
    }
}
