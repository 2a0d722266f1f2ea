/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the back-ends share; see backend.h. Relies on ppoll(2) and eventfd(2).
 */
#include "io/backend.h"

#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

void tb_backend_wait(int fd, int wake_fd, uint64_t timeout_us)
{
    if (timeout_us == 0)
        return;
    struct timespec ts = {(time_t) (timeout_us / 1000000), (long) (timeout_us % 1000000) * 1000};
    /* Negative descriptors are ignored by poll. */
    struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = wake_fd, .events = POLLIN}};
    int n = ppoll(p, 2, timeout_us == UINT64_MAX ? NULL : &ts, NULL);
    if (n > 0 && (p[1].revents & POLLIN)) {
        uint64_t wakes;
        ssize_t got = read(wake_fd, &wakes, sizeof wakes);
        (void) got; /* non-blocking: somebody else's read is as good */
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
