/* SPDX-License-Identifier: BSD-2-Clause */
/* The client end of the channel as workers use it, against servers of the test's own on loopback: a
 * thread each, which greets whoever comes as it is told and keeps the sockets for the test. */
#include "unit.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "packet_build.h"
#include "relay/client.h"
#include "relay/client_once.h"
#include "relay/tls.h"

enum { FAKE_MAX = 64, PATIENCE_US = 20000000 };

enum fake_mode { FAKE_WELCOMES, FAKE_REFUSES, FAKE_IS_SILENT, FAKE_HANGS_UP };

struct fake {
    int listen_fd;
    struct tb_endpoint endpoint;
    pthread_t thread;
    enum fake_mode mode;
    uint16_t refusal;
    struct tb_tls_context *tls;
    atomic_uint count; /* of the connections below, all greeted */
    struct {
        int fd;
        uint16_t index;
        struct tb_tls *tls;
    } c[FAKE_MAX];
    struct tb_relay_hello hello; /* the last one */
};

static void await_fd(int fd, short events)
{
    struct pollfd p = {fd, events, 0};

    poll(&p, 1, -1);
}

/* All of it, through TLS where there is some; false at the end. */
static bool fake_read(int fd, struct tb_tls *tls, uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = tls ? tb_tls_read(tls, data, len) : recv(fd, data, len, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && (tls ? n != -EAGAIN : errno != EAGAIN)))
            return false;
        if (n < 0) {
            await_fd(fd, POLLIN);
            continue;
        }
        data += n;
        len -= (size_t) n;
    }
    return true;
}

/* False: the client has gone. */
static bool fake_write(int fd, struct tb_tls *tls, const uint8_t *data, size_t len)
{
    ssize_t n = tls ? tb_tls_write(tls, data, len) : send(fd, data, len, MSG_NOSIGNAL);

    return n == (ssize_t) len; /* short ones fit */
}

static bool fake_reads_hello(struct fake *f, int fd, struct tb_tls *tls)
{
    static _Thread_local uint8_t frame[TB_RELAY_HEAD + TB_RELAY_CONTROL_MAX];
    struct tb_relay_head head;

    return fake_read(fd, tls, frame, TB_RELAY_HEAD) &&
           tb_relay_head_get(frame, TB_RELAY_HEAD, &head) == 0 && head.type == TB_RELAY_HELLO &&
           fake_read(fd, tls, frame + TB_RELAY_HEAD, head.len) &&
           tb_relay_hello_get(frame + TB_RELAY_HEAD, head.len, &f->hello) == 0;
}

static void fake_greets(struct fake *f, int fd)
{
    struct tb_relay_welcome w = {.version = TB_RELAY_VERSION_FIRST,
                                 .real_us = tb_clock_real_us(),
                                 .flags = TB_RELAY_OFFLOADS};
    uint8_t frame[4096];
    struct tb_tls *tls = NULL;
    int rc = 0;

    if (f->tls && tb_tls_new(f->tls, fd, &tls) == 0)
        while ((rc = tb_tls_handshake(tls)) == -EAGAIN)
            await_fd(fd, tb_tls_wants_write(tls) ? POLLOUT : POLLIN);
    if (f->mode == FAKE_HANGS_UP || rc < 0 || !fake_reads_hello(f, fd, tls)) {
        tb_tls_free(tls);
        close(fd);
        return;
    }
    strcpy(w.program, "fake");
    if (f->mode == FAKE_WELCOMES)
        fake_write(fd, tls, frame, tb_relay_welcome_put(frame, sizeof frame, &w));
    else if (f->mode == FAKE_REFUSES)
        fake_write(
            fd, tls, frame,
            tb_relay_text_put(frame, sizeof frame, TB_RELAY_REFUSED, f->refusal, "my reason"));
    unsigned n = f->count;
    f->c[n].fd = fd;
    f->c[n].tls = tls;
    f->c[n].index = f->hello.connection;
    f->count = n + 1; /* from now on it is the test's */
}

static void *fake_thread(void *arg)
{
    struct fake *f = arg;

    while (f->count < FAKE_MAX) {
        int fd = accept4(f->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            break; /* shut down by fake_stop() */
        fake_greets(f, fd);
    }
    return NULL;
}

/* `port` 0: any. */
static struct fake *fake_start(enum fake_mode mode, uint16_t port, const char *psk_file)
{
    struct fake *f = calloc(1, sizeof *f);
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    socklen_t len = sizeof a;
    int one = 1;

    assert_non_null(f);
    f->mode = mode;
    f->refusal = TB_RELAY_REFUSED_HELLO;
    if (psk_file)
        assert_int_equal(tb_tls_context_new(TB_TLS_SERVER, psk_file, &f->tls, NULL), 0);
    f->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(f->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    assert_int_equal(bind(f->listen_fd, (struct sockaddr *) &a, sizeof a), 0);
    assert_int_equal(listen(f->listen_fd, FAKE_MAX), 0);
    assert_int_equal(getsockname(f->listen_fd, (struct sockaddr *) &a, &len), 0);
    assert_int_equal(tb_addr_parse("127.0.0.1", &f->endpoint.addr), 0);
    f->endpoint.port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&f->thread, NULL, fake_thread, f), 0);
    return f;
}

/* As when the process is killed; its port, to be used again. */
static uint16_t fake_stop(struct fake *f)
{
    uint16_t port = f->endpoint.port;

    shutdown(f->listen_fd, SHUT_RDWR);
    pthread_join(f->thread, NULL);
    close(f->listen_fd);
    for (unsigned i = 0; i < f->count; i++) {
        tb_tls_free(f->c[i].tls);
        close(f->c[i].fd);
    }
    tb_tls_context_free(f->tls);
    free(f);
    return port;
}

/* A packet to its newest connection `index`: told apart by `id`. */
static void fake_packet(struct fake *f, uint16_t index, uint8_t id)
{
    uint64_t real_us = tb_clock_real_us();
    uint8_t frame[256];
    struct packet p = {.len = 0};
    unsigned i;

    put_ipv4(&p, 6, 20);
    put_tcp(&p, 0);
    p.b[5] = id;
    size_t len = tb_relay_records_begin(frame, real_us);
    struct tb_relay_record r = {p.b, p.len, p.len, real_us};
    len += tb_relay_record_put(frame + len, sizeof frame - len, real_us, &r);
    tb_relay_records_end(frame, len);
    do { /* the client may have its WELCOME before the thread has noted it */
        for (i = f->count; i > 0 && f->c[i - 1].index != index;)
            i--;
    } while (i == 0 && sched_yield() == 0);
    assert_true(fake_write(f->c[i - 1].fd, f->c[i - 1].tls, frame, len));
}

/* Until its connection `n` is the test's. */
static void fake_await(struct fake *f, unsigned n)
{
    while (f->count <= n)
        sched_yield();
}

/* The next REGISTER or UNREGISTER of its connection `n`; how many sessions. */
static int fake_sessions(struct fake *f, unsigned n, uint8_t *type,
                         struct tb_endpoint out[TB_RELAY_SESSIONS_MAX])
{
    static uint8_t frame[TB_RELAY_CONTROL_MAX];
    struct tb_relay_head head;

    fake_await(f, n);
    do {
        assert_true(fake_read(f->c[n].fd, f->c[n].tls, frame, TB_RELAY_HEAD));
        assert_int_equal(tb_relay_head_get(frame, TB_RELAY_HEAD, &head), 0);
        assert_true(fake_read(f->c[n].fd, f->c[n].tls, frame, head.len));
    } while (head.type == TB_RELAY_PING);
    *type = head.type;
    return tb_relay_sessions_get(frame, head.len, out);
}

static struct tb_relay_client_setup setup(const struct tb_endpoint *servers, uint32_t count,
                                          uint32_t channels, uint32_t workers)
{
    static struct tb_io_range clients;

    assert_int_equal(tb_addr_parse("198.19.0.0", &clients.first), 0);
    clients.count = 256;
    return (struct tb_relay_client_setup){
        .servers = servers,
        .server_count = count,
        .channels = channels,
        .workers = workers,
        .clients = &clients,
        .client_count = 1,
        .patience_us = PATIENCE_US,
        .name = "test",
    };
}

/* The ids of the next `count` packets, in the order of their arrival. */
static void take(struct tb_io *io, uint8_t *ids, unsigned count)
{
    struct tb_packet packets[16];

    for (unsigned n = 0; n < count;) {
        uint32_t got = tb_io_recv(io, packets, 16);
        for (uint32_t i = 0; i < got && n < count; i++)
            ids[n++] = packets[i].data[5];
        if (got == 0)
            tb_io_wait(io, 1000000);
    }
}

/* --- opening ---------------------------------------------------------------------------------- */

static void every_worker_has_its_own_connections_to_every_server(void **state)
{
    (void) state;
    struct fake *f[2] = {fake_start(FAKE_WELCOMES, 0, NULL), fake_start(FAKE_WELCOMES, 0, NULL)};
    struct tb_endpoint servers[2] = {f[0]->endpoint, f[1]->endpoint};
    struct tb_relay_client_setup s = setup(servers, 2, 7, 3);
    struct tb_relay_welcome *welcomes = calloc(2, sizeof *welcomes);
    struct tb_relay_client_figures figures;
    struct tb_io *io[3];

    s.payload = s.single = true;
    assert_int_equal(tb_relay_client_open(&s, io, welcomes, NULL), 0);
    for (unsigned i = 0; i < 2; i++) {
        unsigned seen = 0;
        while (f[i]->count < 6) /* 3 workers, 7 / 3 each */
            sched_yield();
        for (unsigned k = 0; k < 6; k++)
            seen |= 1u << f[i]->c[k].index;
        assert_int_equal(seen, 0x3f);
        assert_int_equal(f[i]->hello.connections, 6);
        assert_int_equal(f[i]->hello.flags, TB_RELAY_WANT_PAYLOAD | TB_RELAY_WANT_SINGLE);
        assert_int_equal(f[i]->hello.range_count, 1);
        assert_int_equal(f[i]->hello.range[0].count, 256);
        assert_string_equal(f[i]->hello.name, "test");
        assert_string_equal(welcomes[i].program, "fake");
        assert_int_equal(welcomes[i].flags, TB_RELAY_OFFLOADS);
    }
    assert_memory_equal(f[0]->hello.run, f[1]->hello.run, 16);
    tb_relay_client_figures(io[2], &figures);
    assert_int_equal(figures.connections, 4);
    assert_int_equal(figures.connected, 4);
    assert_true(figures.clock_error_us < PATIENCE_US);
    uint8_t id;
    fake_packet(f[1], 5, 77); /* read by worker 5 % 3 */
    take(io[2], &id, 1);
    assert_int_equal(id, 77);
    for (unsigned w = 0; w < 3; w++)
        tb_io_close(io[w]);
    free(welcomes);
    fake_stop(f[0]);
    fake_stop(f[1]);
}

/* Opening fails with `rc` and words that say `what`. */
static void assert_fails(const struct tb_relay_client_setup *s, int rc, const char *what)
{
    struct tb_io *io[4];
    struct tb_err err = {""};

    int seen = tb_relay_client_open(s, io, NULL, &err);
    if (seen != rc || !strstr(err.text, what))
        fail_msg("%d: '%s', expected %d: '%s'", seen, err.text, rc, what);
}

static void a_server_that_is_not_there_is_named(void **state)
{
    (void) state;
    struct fake *f = fake_start(FAKE_WELCOMES, 0, NULL);
    struct tb_endpoint e = f->endpoint;
    struct tb_relay_client_setup s = setup(&e, 1, 1, 2);
    char name[TB_ENDPOINT_TEXT];

    fake_stop(f);
    s.patience_us = 60000; /* more than one try */
    assert_fails(&s, -EHOSTUNREACH, tb_endpoint_format(&e, name));
    assert_fails(&s, -EHOSTUNREACH, "Connection refused");
}

static void a_server_that_says_nothing_is_given_up(void **state)
{
    (void) state;
    struct fake *f = fake_start(FAKE_IS_SILENT, 0, NULL);
    struct tb_relay_client_setup s = setup(&f->endpoint, 1, 1, 1);

    s.patience_us = 20000;
    assert_fails(&s, -EHOSTUNREACH, "does not answer");
    fake_stop(f);
}

static void a_refusal_is_told_in_the_server_s_words(void **state)
{
    (void) state;
    struct fake *f = fake_start(FAKE_REFUSES, 0, NULL);
    struct tb_relay_client_setup s = setup(&f->endpoint, 1, 2, 2);

    assert_fails(&s, -EACCES, "my reason");
    f->refusal = TB_RELAY_REFUSED_OVERLAP; /* an earlier run might be going; not for long */
    uint64_t patience_us = s.patience_us;
    s.patience_us = 300000;
    assert_fails(&s, -EACCES, "my reason");
    s.patience_us = patience_us;
    f->mode = FAKE_HANGS_UP;
    assert_fails(&s, -EACCES, "--allow");
    fake_stop(f);
}

static void *start_late(void *arg)
{
    struct fake **f = arg;
    struct tb_endpoint e = (*f)->endpoint;

    while ((*f)->count == 0) /* until it has refused once */
        sched_yield();
    fake_stop(*f);
    *f = fake_start(FAKE_WELCOMES, e.port, NULL);
    return NULL;
}

static void a_server_may_come_late(void **state)
{
    (void) state;
    struct fake *f = fake_start(FAKE_REFUSES, 0, NULL);
    struct tb_endpoint e = f->endpoint;
    struct tb_relay_client_setup s = setup(&e, 1, 1, 1);
    pthread_t thread;
    struct tb_io *io;

    f->refusal = TB_RELAY_REFUSED_SINGLE; /* as while the channel of the last run is still there */
    assert_int_equal(pthread_create(&thread, NULL, start_late, &f), 0);
    assert_int_equal(tb_relay_client_open(&s, &io, NULL, NULL), 0);
    pthread_join(thread, NULL);
    tb_io_close(io);
    fake_stop(f);
}

static void too_much_is_refused_before_anything_is_opened(void **state)
{
    (void) state;
    struct tb_endpoint servers[17] = {{.port = 1}};
    struct tb_relay_client_setup s = setup(servers, 17, 1, 1);

    assert_fails(&s, -E2BIG, "17 intercept servers");
    s = setup(servers, 1, 1, 2000);
    assert_fails(&s, -E2BIG, "2000 workers");
    s = setup(servers, 1, 1, 1);
    s.client_count = 1025;
    assert_fails(&s, -E2BIG, "1025 client ranges");
}

/* --- running ---------------------------------------------------------------------------------- */

static void a_channel_that_is_lost_is_made_again(void **state)
{
    (void) state;
    struct fake *f = fake_start(FAKE_WELCOMES, 0, NULL);
    struct tb_relay_client_setup s = setup(&f->endpoint, 1, 2, 1);
    struct tb_relay_client_figures figures;
    struct tb_packet p;
    struct tb_io *io;
    uint8_t id;

    assert_int_equal(tb_relay_client_open(&s, &io, NULL, NULL), 0);
    uint16_t port = fake_stop(f);
    do {
        tb_io_wait(io, 1000000);
        assert_int_equal(tb_io_recv(io, &p, 1), 0);
        tb_relay_client_figures(io, &figures);
    } while (figures.connected > 0);
    f = fake_start(FAKE_WELCOMES, port, NULL);
    do {
        tb_io_wait(io, 1000000);
        assert_int_equal(tb_io_recv(io, &p, 1), 0);
        tb_relay_client_figures(io, &figures);
    } while (figures.connected < 2);
    assert_int_equal(figures.losses, 2);
    fake_packet(f, 1, 9);
    take(io, &id, 1);
    assert_int_equal(id, 9);
    tb_io_close(io);
    fake_stop(f);
}

/* A packet from this server: is it handed up? */
static bool is_taken(struct tb_io *io, struct fake *f, uint8_t id)
{
    struct tb_relay_client_figures before, now;
    struct tb_packet p;
    uint32_t got;

    tb_relay_client_figures(io, &before);
    fake_packet(f, 0, id);
    do {
        tb_io_wait(io, 1000000);
        got = tb_io_recv(io, &p, 1);
        tb_relay_client_figures(io, &now);
    } while (got == 0 && now.duplicates == before.duplicates);
    assert_true(got == 0 || p.data[5] == id);
    return got > 0;
}

static void what_two_servers_saw_is_taken_once(void **state)
{
    (void) state;
    struct fake *a = fake_start(FAKE_WELCOMES, 0, NULL), *b = fake_start(FAKE_WELCOMES, 0, NULL);
    struct tb_endpoint servers[2] = {a->endpoint, b->endpoint};
    struct tb_relay_client_setup s = setup(servers, 2, 1, 1);
    uint64_t begin_us;
    struct tb_io *io;
    uint8_t id = 0;
    bool taken[6];

    assert_int_equal(tb_relay_client_open(&s, &io, NULL, NULL), 0);
    do { /* again if this process had to stand still so long that copies were forgotten */
        begin_us = tb_clock_mono_us();
        taken[0] = is_taken(io, a, ++id);
        taken[1] = is_taken(io, b, id);
        taken[2] = is_taken(io, b, ++id);
        taken[3] = is_taken(io, a, id);
        taken[4] = is_taken(io, a, id); /* sent again: a packet of its own */
        taken[5] = is_taken(io, b, id);
    } while (tb_clock_mono_us() - begin_us >= TB_RELAY_ONCE_US);
    assert_memory_equal(taken, ((bool[]){true, false, true, false, true, false}), sizeof taken);
    tb_io_close(io);
    fake_stop(a);
    fake_stop(b);
}

static void a_wake_ends_a_wait(void **state)
{
    (void) state;
    struct fake *f = fake_start(FAKE_WELCOMES, 0, NULL);
    struct tb_relay_client_setup s = setup(&f->endpoint, 1, 1, 1);
    struct tb_io *io;

    assert_int_equal(tb_relay_client_open(&s, &io, NULL, NULL), 0);
    for (unsigned i = 0; i < 3; i++) {
        tb_io_wake(io);
        tb_io_wait(io, UINT64_MAX); /* else it ends only for the next PING; and so for ever */
    }
    tb_io_close(io);
    fake_stop(f);
}

static void a_further_descriptor_ends_a_wait(void **state)
{
    (void) state;
    struct fake *f = fake_start(FAKE_WELCOMES, 0, NULL);
    struct tb_relay_client_setup s = setup(&f->endpoint, 1, 1, 1);
    struct tb_io *io;

    assert_int_equal(tb_relay_client_open(&s, &io, NULL, NULL), 0);
    io->also_fd = eventfd(1, 0);
    for (unsigned i = 0; i < 3; i++)
        tb_io_wait(io, UINT64_MAX);
    close(io->also_fd);
    tb_io_close(io);
    fake_stop(f);
}

struct worker {
    struct tb_io *io;
    uint8_t ids[200];
};

static void *worker_thread(void *arg)
{
    struct worker *w = arg;

    take(w->io, w->ids, sizeof w->ids);
    return NULL;
}

static void workers_read_at_the_same_time(void **state)
{
    (void) state;
    struct fake *f = fake_start(FAKE_WELCOMES, 0, NULL);
    struct tb_relay_client_setup s = setup(&f->endpoint, 1, 4, 2);
    struct worker w[2];
    struct tb_io *io[2];
    pthread_t threads[2];

    assert_int_equal(tb_relay_client_open(&s, io, NULL, NULL), 0);
    for (unsigned i = 0; i < 2; i++) {
        w[i].io = io[i];
        assert_int_equal(pthread_create(&threads[i], NULL, worker_thread, &w[i]), 0);
    }
    for (unsigned n = 0; n < sizeof w->ids; n++)
        for (uint16_t i = 0; i < 2; i++)
            fake_packet(f, i, (uint8_t) n);
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        for (unsigned n = 0; n < sizeof w->ids; n++)
            assert_int_equal(w[i].ids[n], n);
    }
    /* Both lose the server, and find it again. */
    fake_stop(f);
    for (unsigned i = 0; i < 2; i++)
        tb_io_close(io[i]);
}

/* --- registered sessions ---------------------------------------------------------------------- */

/* The owner's sessions: ports of 203.0.113.1 from 1 on. */
struct owner {
    uint32_t count;
};

static struct tb_addr the_client(void)
{
    return tb_addr_v4((const uint8_t[]){203, 0, 113, 1});
}

static bool next_owned(void *ctx, uint64_t *cursor, struct tb_endpoint *out)
{
    struct owner *o = ctx;

    *out = (struct tb_endpoint){the_client(), (uint16_t) (*cursor + 1)};
    return (*cursor)++ < o->count;
}

static void registers(struct tb_io *io, struct owner *o)
{
    struct tb_addr client = the_client();

    (void) tb_relay_client_register(io, &client, (uint16_t) ++o->count);
}

static void sessions_are_registered_at_every_server(void **state)
{
    (void) state;
    static struct tb_endpoint seen[TB_RELAY_SESSIONS_MAX];
    struct fake *f[2] = {fake_start(FAKE_WELCOMES, 0, NULL), fake_start(FAKE_WELCOMES, 0, NULL)};
    struct tb_endpoint servers[2] = {f[0]->endpoint, f[1]->endpoint};
    struct tb_relay_client_setup s = setup(servers, 2, 1, 1);
    struct tb_endpoint target = {the_client(), 80};
    struct owner o = {0};
    struct tb_io *io;
    uint8_t type;

    s.client_count = 0;
    s.registers = true;
    s.targets = &target;
    s.target_count = 1;
    assert_int_equal(tb_relay_client_open(&s, &io, NULL, NULL), 0);
    tb_relay_client_walk(io, next_owned, &o);
    for (unsigned i = 0; i < 3; i++)
        registers(io, &o);
    tb_relay_client_flush(io);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(fake_sessions(f[i], 0, &type, seen), 3);
        assert_int_equal(type, TB_RELAY_REGISTER);
        assert_int_equal(seen[2].port, 3);
        assert_int_equal(f[i]->hello.flags, TB_RELAY_WANT_REGISTER);
        assert_int_equal(f[i]->hello.version, 2);
        assert_int_equal(f[i]->hello.target_count, 1);
        assert_int_equal(f[i]->hello.target[0].port, 80);
    }
    struct tb_addr client = the_client();
    assert_int_equal(tb_relay_client_unregister(io, &client, 2), 0);
    tb_relay_client_flush(io);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(fake_sessions(f[i], 0, &type, seen), 1);
        assert_int_equal(type, TB_RELAY_UNREGISTER);
        assert_int_equal(seen[0].port, 2);
    }
    tb_io_close(io);
    fake_stop(f[0]);
    fake_stop(f[1]);
}

static void a_server_that_comes_back_is_told_all_sessions_again(void **state)
{
    (void) state;
    static struct tb_endpoint seen[TB_RELAY_SESSIONS_MAX];
    struct fake *f = fake_start(FAKE_WELCOMES, 0, NULL);
    struct tb_relay_client_setup s = setup(&f->endpoint, 1, 1, 1);
    struct tb_relay_client_figures figures;
    struct tb_packet p;
    struct owner o = {0};
    uint32_t told = 0;
    struct tb_io *io;
    uint8_t type;

    s.client_count = 0;
    s.registers = true;
    assert_int_equal(tb_relay_client_open(&s, &io, NULL, NULL), 0);
    tb_relay_client_walk(io, next_owned, &o);
    uint16_t port = fake_stop(f);
    do {
        tb_io_wait(io, 1000000);
        assert_int_equal(tb_io_recv(io, &p, 1), 0);
        tb_relay_client_figures(io, &figures);
    } while (figures.connected > 0);
    while (o.count < 2000)
        registers(io, &o); /* nobody hears it */
    tb_relay_client_flush(io);
    f = fake_start(FAKE_WELCOMES, port, NULL);
    do {
        tb_io_wait(io, 1000000);
        assert_int_equal(tb_io_recv(io, &p, 1), 0);
        tb_relay_client_flush(io);
        tb_relay_client_figures(io, &figures);
    } while (figures.connected == 0);
    while (told < o.count) {
        int count = fake_sessions(f, 0, &type, seen);
        assert_int_equal(type, TB_RELAY_REGISTER);
        for (int i = 0; i < count; i++)
            assert_int_equal(seen[i].port, ++told);
    }
    tb_io_close(io);
    fake_stop(f);
}

/* Whoever reads nothing costs no more than the buffer, and hears all when it reads again. */
static void a_server_that_does_not_read_is_told_later(void **state)
{
    (void) state;
    static struct tb_endpoint seen[TB_RELAY_SESSIONS_MAX];
    static bool told[1 << 16];
    struct fake *f = fake_start(FAKE_WELCOMES, 0, NULL);
    struct tb_relay_client_setup s = setup(&f->endpoint, 1, 1, 1);
    struct tb_relay_client_figures figures = {0};
    struct tb_addr client = the_client();
    struct owner o = {0};
    struct tb_io *io;
    uint8_t type;

    s.client_count = 0;
    s.registers = true;
    assert_int_equal(tb_relay_client_open(&s, &io, NULL, NULL), 0);
    tb_relay_client_walk(io, next_owned, &o);
    while (figures.delayed == 0) {
        for (int i = 0; i < 100 && o.count < 60000; i++)
            registers(io, &o);
        for (int i = 0; i < 100 && o.count == 60000; i++)
            (void) tb_relay_client_unregister(io, &client, 65000);
        tb_relay_client_flush(io);
        tb_relay_client_figures(io, &figures);
    }
    fake_await(f, 0);
    for (uint32_t known = 0; known < o.count;) {
        struct pollfd readable = {f->c[0].fd, POLLIN, 0};
        tb_relay_client_flush(io);
        if (poll(&readable, 1, 0) <= 0)
            continue;
        int count = fake_sessions(f, 0, &type, seen);
        if (type == TB_RELAY_UNREGISTER && count == 0) {
            memset(told, 0, sizeof told);
            known = 0;
        }
        for (int i = 0; i < count && type == TB_RELAY_REGISTER; i++) {
            known += !told[seen[i].port];
            told[seen[i].port] = true;
        }
    }
    tb_io_close(io);
    fake_stop(f);
}

/* --- with a key ------------------------------------------------------------------------------- */

static void write_key(char *path, const char *key)
{
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, key, strlen(key)), strlen(key));
    close(fd);
}

static void a_key_encrypts_the_channel_and_keeps_others_out(void **state)
{
    (void) state;
    char right[] = "relay_key_XXXXXX", wrong[] = "relay_key_XXXXXX";
    write_key(right, "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n");
    write_key(wrong, "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n");
    struct fake *f = fake_start(FAKE_WELCOMES, 0, right);
    struct tb_relay_client_setup s = setup(&f->endpoint, 1, 2, 2);
    struct tb_io *io[2];
    uint8_t id;

    s.psk_file = right;
    assert_int_equal(tb_relay_client_open(&s, io, NULL, NULL), 0);
    fake_packet(f, 1, 5);
    take(io[1], &id, 1);
    assert_int_equal(id, 5);
    tb_io_close(io[0]);
    tb_io_close(io[1]);
    s.psk_file = wrong;
    assert_fails(&s, -EACCES, "key");
    s.psk_file = NULL;
    assert_fails(&s, -EACCES, "--psk-file");
    fake_stop(f);
    f = fake_start(FAKE_WELCOMES, 0, NULL);
    s.servers = &f->endpoint;
    s.psk_file = right;
    assert_fails(&s, -EACCES, "--psk-file");
    fake_stop(f);
    unlink(right);
    unlink(wrong);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_worker_has_its_own_connections_to_every_server),
        cmocka_unit_test(a_server_that_is_not_there_is_named),
        cmocka_unit_test(a_server_that_says_nothing_is_given_up),
        cmocka_unit_test(a_refusal_is_told_in_the_server_s_words),
        cmocka_unit_test(a_server_may_come_late),
        cmocka_unit_test(too_much_is_refused_before_anything_is_opened),
        cmocka_unit_test(a_channel_that_is_lost_is_made_again),
        cmocka_unit_test(what_two_servers_saw_is_taken_once),
        cmocka_unit_test(a_wake_ends_a_wait),
        cmocka_unit_test(a_further_descriptor_ends_a_wait),
        cmocka_unit_test(workers_read_at_the_same_time),
        cmocka_unit_test(sessions_are_registered_at_every_server),
        cmocka_unit_test(a_server_that_comes_back_is_told_all_sessions_again),
        cmocka_unit_test(a_server_that_does_not_read_is_told_later),
        cmocka_unit_test(a_key_encrypts_the_channel_and_keeps_others_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
