/* SPDX-License-Identifier: BSD-2-Clause */
/* One connection to an intercept server, from HELLO to its loss and the next try. The test is the
 * server and keeps the time. */
#include "unit.h"
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/log.h"
#include "relay_rig.h"

static struct relay_rig *running(uint16_t index)
{
    struct relay_rig *r = relay_rig_new(index);

    relay_rig_welcome(r);
    relay_rig_deliver(r);
    assert_int_equal(r->link.state, TB_RELAY_LINK_RUNNING);
    return r;
}

/* Types of the frames that the link sent, as letters: H(ELLO) P(ING) B(YE). */
static const char *sent(struct relay_rig *r, char out[16])
{
    uint8_t payload[1024];
    size_t len, n = 0;
    uint8_t type;

    while (n < 15 && (type = relay_rig_sent(r, payload, sizeof payload, &len)))
        out[n++] = type == TB_RELAY_HELLO  ? 'H'
                   : type == TB_RELAY_PING ? 'P'
                   : type == TB_RELAY_BYE  ? 'B'
                                           : '?';
    out[n] = 0;
    return out;
}

/* --- greeting --------------------------------------------------------------------------------- */

static void says_who_it_is_and_runs_after_the_welcome(void **state)
{
    (void) state;
    struct relay_rig *r = relay_rig_new(1);
    struct tb_relay_hello *hello = calloc(1, sizeof *hello);
    uint8_t payload[1024];
    size_t len;

    assert_int_equal(relay_rig_sent(r, payload, sizeof payload, &len), TB_RELAY_HELLO);
    assert_int_equal(tb_relay_hello_get(payload, len, hello), 0);
    assert_int_equal(hello->connection, 1);
    assert_int_equal(hello->connections, 2);
    assert_string_equal(hello->name, "rig");
    assert_int_equal(r->link.state, TB_RELAY_LINK_GREETING);
    relay_rig_welcome(r);
    relay_rig_deliver(r);
    assert_int_equal(r->link.state, TB_RELAY_LINK_RUNNING);
    assert_int_equal(r->shared->peer[0].running, 1);
    free(hello);
    relay_rig_free(r);
}

static void is_refused_for_good_or_only_for_now(void **state)
{
    (void) state;
    static const struct {
        uint16_t code;
        enum tb_relay_link_why why;
    } refusals[] = {{TB_RELAY_REFUSED_VERSION, TB_RELAY_LINK_REFUSED},
                    {TB_RELAY_REFUSED_HELLO, TB_RELAY_LINK_REFUSED},
                    {TB_RELAY_REFUSED_OVERLAP, TB_RELAY_LINK_TURNED},
                    {TB_RELAY_REFUSED_SINGLE, TB_RELAY_LINK_TURNED},
                    {TB_RELAY_REFUSED_LIMIT, TB_RELAY_LINK_TURNED}};

    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct relay_rig *r = relay_rig_new(0);
        relay_rig_text(r, TB_RELAY_REFUSED, refusals[i].code, "my reasons");
        relay_rig_deliver(r);
        assert_int_equal(r->link.state, TB_RELAY_LINK_DOWN);
        assert_int_equal(r->link.why, refusals[i].why);
        assert_non_null(strstr(r->link.words.text, "my reasons"));
        relay_rig_free(r);
    }
}

static void another_version_is_named(void **state)
{
    (void) state;
    struct relay_rig *r = relay_rig_new(0);

    relay_rig_welcome(r);
    r->frames[TB_RELAY_HEAD + 5] = 99;
    relay_rig_deliver(r);
    assert_int_equal(r->link.why, TB_RELAY_LINK_REFUSED);
    assert_non_null(strstr(r->link.words.text, "version 99"));
    relay_rig_free(r);
}

static void a_server_that_hangs_up_at_once_may_not_want_us(void **state)
{
    (void) state;
    struct relay_rig *r = relay_rig_new(0);

    shutdown(r->server, SHUT_WR);
    relay_rig_deliver(r);
    assert_int_equal(r->link.state, TB_RELAY_LINK_DOWN);
    assert_int_equal(r->link.why, TB_RELAY_LINK_TURNED);
    assert_non_null(strstr(r->link.words.text, "--allow"));
    relay_rig_free(r);
}

/* A server on loopback, for real. */
static int listens(struct tb_endpoint *at)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *) &a, sizeof a), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *) &a, &len), 0);
    at->port = ntohs(a.sin_port);
    return fd;
}

static void a_server_that_hangs_up_before_we_look_may_not_want_us_either(void **state)
{
    (void) state;
    struct relay_rig *r = relay_rig_new(0);
    int server = listens(&r->shared->peer[0].endpoint);

    shutdown(r->server, SHUT_WR);
    relay_rig_deliver(r);
    relay_rig_wait(r, TB_RELAY_LINK_BACKOFF_MAX_US);
    assert_int_equal(r->link.state, TB_RELAY_LINK_CONNECTING);
    int fd = accept(server, NULL, NULL);
    shutdown(fd, SHUT_WR);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
    close(fd); /* a reset behind the end, as when a host has too many closed connections */
    r->link.words.text[0] = 0;
    tb_relay_link_drive(&r->link, r->now_us, true);
    assert_int_equal(r->link.why, TB_RELAY_LINK_TURNED);
    assert_non_null(strstr(r->link.words.text, "--allow"));
    close(server);
    relay_rig_free(r);
}

static void patience_for_the_welcome_ends(void **state)
{
    (void) state;
    struct relay_rig *r = relay_rig_new(0);

    relay_rig_wait(r, TB_RELAY_LINK_GREET_US - 1);
    assert_int_equal(r->link.state, TB_RELAY_LINK_GREETING);
    relay_rig_wait(r, 1);
    assert_int_equal(r->link.state, TB_RELAY_LINK_DOWN);
    assert_int_equal(r->link.why, TB_RELAY_LINK_ABSENT);
    relay_rig_free(r);
}

/* --- packets ---------------------------------------------------------------------------------- */

static void put_some_of_all(struct relay_rig *r)
{
    relay_rig_welcome(r);
    relay_rig_records(r, 'a', 3, 0);
    relay_rig_pong(r, r->now_us);
    relay_rig_records(r, 'd', 1, 0);
    relay_rig_records(r, 'x', 0, 0); /* none: allowed */
    relay_rig_drops(r, 1, 0);
    relay_rig_records(r, 'e', 2, 0);
}

static void frames_come_whole_wherever_the_stream_is_cut(void **state)
{
    (void) state;
    size_t all = 1;

    for (size_t cut = 0; cut <= all; cut++) {
        struct relay_rig *r = relay_rig_new(0);
        char first[16], rest[16];
        put_some_of_all(r);
        all = r->len;
        relay_rig_send(r, 0, cut);
        tb_relay_link_drive(&r->link, r->now_us, true);
        size_t n = relay_rig_take(r, first, sizeof first);
        assert_false(tb_relay_link_has_more(&r->link));
        relay_rig_send(r, cut, all);
        tb_relay_link_drive(&r->link, r->now_us, true);
        assert_int_equal(relay_rig_take(r, rest, sizeof rest) + n, 6);
        strcat(first, rest);
        assert_string_equal(first, "abcdef");
        assert_int_equal(r->dropped, 1);
        relay_rig_free(r);
    }
}

static void frames_come_whole_byte_by_byte(void **state)
{
    (void) state;
    struct relay_rig *r = relay_rig_new(0);
    char all[64] = "", some[16];

    put_some_of_all(r);
    for (size_t i = 0; i < r->len; i++) {
        relay_rig_send(r, i, i + 1);
        tb_relay_link_drive(&r->link, r->now_us, true);
        relay_rig_take(r, some, sizeof some);
        strcat(all, some);
    }
    assert_string_equal(all, "abcdef");
    relay_rig_free(r);
}

static void packets_wait_until_they_are_taken(void **state)
{
    (void) state;
    struct relay_rig *r = running(0);
    char some[16];

    relay_rig_records(r, 'a', 5, 0);
    relay_rig_records(r, 'f', 2, 0);
    relay_rig_deliver(r);
    assert_true(tb_relay_link_has_more(&r->link));
    relay_rig_take(r, some, 3);
    assert_string_equal(some, "ab");
    relay_rig_records(r, 'h', 1, 0);
    relay_rig_deliver(r); /* not read before the others are taken */
    assert_true(tb_relay_link_has_more(&r->link));
    relay_rig_take(r, some, sizeof some);
    assert_string_equal(some, "cdefg");
    tb_relay_link_drive(&r->link, r->now_us, r->link.more);
    relay_rig_take(r, some, sizeof some);
    assert_string_equal(some, "h");
    assert_false(tb_relay_link_has_more(&r->link));
    relay_rig_free(r);
}

static void packets_say_how_long_they_were_and_when_they_were_seen(void **state)
{
    (void) state;
    struct relay_rig *r = running(0);
    struct tb_packet p;

    r->now_us += 5000;
    relay_rig_records(r, 'a', 1, 3000);
    relay_rig_deliver(r);
    assert_true(tb_relay_link_next(&r->link, r->now_us, &p));
    assert_int_equal(p.len, 1);
    assert_int_equal(p.wire_len, 1000);
    assert_int_equal(p.time_us, r->now_us - 3000);
    relay_rig_free(r);
}

static void what_servers_drop_is_summed_up(void **state)
{
    (void) state;
    struct relay_rig *first = running(0), *second = running(1);

    relay_rig_drops(first, 2, 10);
    relay_rig_drops(first, 5, 10);
    relay_rig_deliver(first);
    assert_int_equal(first->dropped, 5 + 10);
    relay_rig_drops(second, 5, 10); /* rings are the server's, and were counted above */
    relay_rig_deliver(second);
    assert_int_equal(second->dropped, 5);
    relay_rig_connect(first); /* counts begin anew with a connection */
    relay_rig_welcome(first);
    relay_rig_drops(first, 1, 0);
    relay_rig_deliver(first);
    assert_int_equal(first->dropped, 5 + 10 + 1);
    relay_rig_free(first);
    relay_rig_free(second);
}

/* --- heartbeat -------------------------------------------------------------------------------- */

static void pings_each_second(void **state)
{
    (void) state;
    struct relay_rig *r = running(0);
    char types[16];

    assert_string_equal(sent(r, types), "HP");
    relay_rig_wait(r, TB_RELAY_LINK_PING_US - 1);
    assert_string_equal(sent(r, types), "");
    relay_rig_wait(r, 1);
    assert_string_equal(sent(r, types), "P");
    relay_rig_free(r);
}

static void pings_at_first_as_fast_as_it_is_answered(void **state)
{
    (void) state;
    struct relay_rig *r = running(0);
    char types[16];
    unsigned pings = 0;

    for (sent(r, types); strchr(types, 'P') && pings < 100; sent(r, types), pings++) {
        assert_false(tb_relay_link_is_ready(&r->link, r->now_us));
        r->now_us += 100;
        relay_rig_pong(r, r->now_us - 100);
        relay_rig_deliver(r);
    }
    assert_int_equal(pings, 8);
    assert_true(tb_relay_link_is_ready(&r->link, r->now_us));
    relay_rig_free(r);
}

static void a_server_that_answers_no_ping_is_not_waited_for(void **state)
{
    (void) state;
    struct relay_rig *r = running(0);

    assert_false(tb_relay_link_is_ready(&r->link, r->now_us));
    assert_true(tb_relay_link_is_ready(&r->link, r->now_us + 50000));
    relay_rig_free(r);
}

static void pongs_tell_the_clock(void **state)
{
    (void) state;
    struct relay_rig *r = relay_rig_new(0);
    uint64_t sent_us;

    r->now_us += 50000; /* a slow WELCOME */
    relay_rig_welcome(r);
    relay_rig_deliver(r);
    assert_in_range(r->link.clock.error_us, 25000, 25001);
    sent_us = r->now_us;
    r->now_us += 80;
    relay_rig_pong(r, sent_us);
    relay_rig_deliver(r);
    assert_in_range(r->link.clock.error_us, 1, 100);
    relay_rig_free(r);
}

static void silence_ends_a_connection(void **state)
{
    (void) state;
    struct relay_rig *r = running(0);

    relay_rig_wait(r, TB_RELAY_LINK_SILENCE_US - 1);
    assert_int_equal(r->link.state, TB_RELAY_LINK_RUNNING);
    relay_rig_pong(r, r->now_us);
    relay_rig_deliver(r);
    relay_rig_wait(r, TB_RELAY_LINK_SILENCE_US - 1);
    assert_int_equal(r->link.state, TB_RELAY_LINK_RUNNING);
    relay_rig_wait(r, 1);
    assert_int_equal(r->link.state, TB_RELAY_LINK_DOWN);
    assert_int_equal(r->link.losses, 1);
    assert_int_equal(r->shared->peer[0].running, 0);
    relay_rig_free(r);
}

static void what_came_while_we_were_stopped_is_no_silence(void **state)
{
    (void) state;
    struct relay_rig *r = running(0);
    char some[16];

    relay_rig_records(r, 'a', 1, 0);
    relay_rig_send(r, 0, r->len);
    relay_rig_wait(r, 60000000);
    assert_int_equal(r->link.state, TB_RELAY_LINK_RUNNING);
    relay_rig_take(r, some, sizeof some);
    assert_string_equal(some, "a");
    /* Nor is what was read and not yet taken. */
    r->len = 0;
    relay_rig_records(r, 'b', 2, 0);
    relay_rig_deliver(r);
    relay_rig_wait(r, 60000000);
    assert_int_equal(r->link.state, TB_RELAY_LINK_RUNNING);
    relay_rig_free(r);
}

static void a_server_that_reads_nothing_does_not_stop_us(void **state)
{
    (void) state;
    struct relay_rig *r = running(0);
    char some[16];
    int tiny = 1;

    setsockopt(r->link.fd, SOL_SOCKET, SO_SNDBUF, &tiny, sizeof tiny);
    for (unsigned i = 0; i < 4000; i++) {
        relay_rig_records(r, 'a', 1, 0);
        r->now_us += TB_RELAY_LINK_PING_US;
        relay_rig_deliver(r);
        assert_int_equal(relay_rig_take(r, some, sizeof some), 1);
    }
    assert_true(tb_relay_link_events(&r->link) & POLLOUT);
    relay_rig_free(r);
}

/* --- losses ----------------------------------------------------------------------------------- */

/* The next try, which nobody answers. */
static void try_in_vain(struct relay_rig *r)
{
    relay_rig_wait(r, r->link.due_us - r->now_us);
    while (r->link.state != TB_RELAY_LINK_DOWN) {
        struct pollfd p = {r->link.fd, tb_relay_link_events(&r->link), 0};
        poll(&p, 1, -1);
        tb_relay_link_drive(&r->link, r->now_us, true);
    }
}

static void tries_again_with_growing_pauses(void **state)
{
    (void) state;
    struct relay_rig *r = running(0);
    uint64_t pause_us = TB_RELAY_LINK_BACKOFF_MIN_US;

    shutdown(r->server, SHUT_WR);
    relay_rig_deliver(r);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(r->link.state, TB_RELAY_LINK_DOWN);
        assert_in_range(r->link.due_us - r->now_us, pause_us / 2, pause_us * 3 / 2);
        try_in_vain(r);
        pause_us = pause_us * 2 > TB_RELAY_LINK_BACKOFF_MAX_US ? TB_RELAY_LINK_BACKOFF_MAX_US
                                                               : pause_us * 2;
    }
    assert_int_equal(r->link.why, TB_RELAY_LINK_ABSENT);
    assert_int_equal(r->link.losses, 1);
    relay_rig_free(r);
}

static void pauses_are_short_again_after_a_connection_that_lasted(void **state)
{
    (void) state;
    struct relay_rig *r = running(0);

    r->link.backoff_us = TB_RELAY_LINK_BACKOFF_MAX_US;
    relay_rig_text(r, TB_RELAY_BYE, 0, "later");
    relay_rig_deliver(r); /* did not last: a server that greets and hangs up, over and over */
    assert_true(r->link.due_us - r->now_us >= TB_RELAY_LINK_BACKOFF_MAX_US / 2);
    relay_rig_connect(r);
    relay_rig_welcome(r);
    relay_rig_deliver(r);
    relay_rig_wait(r, 5000000);
    relay_rig_text(r, TB_RELAY_BYE, 0, "later");
    relay_rig_deliver(r);
    assert_true(r->link.due_us - r->now_us < TB_RELAY_LINK_BACKOFF_MIN_US * 2);
    relay_rig_free(r);
}

static void half_a_frame_of_the_last_connection_is_forgotten(void **state)
{
    (void) state;
    struct relay_rig *r = running(0);
    char some[16];

    relay_rig_records(r, 'a', 3, 0);
    relay_rig_send(r, 0, r->len - 1);
    tb_relay_link_drive(&r->link, r->now_us, true);
    shutdown(r->server, SHUT_WR);
    tb_relay_link_drive(&r->link, r->now_us, true);
    relay_rig_connect(r);
    r->len = 0;
    relay_rig_welcome(r);
    relay_rig_records(r, 'x', 1, 0);
    relay_rig_deliver(r);
    relay_rig_take(r, some, sizeof some);
    assert_string_equal(some, "x");
    relay_rig_free(r);
}

static void packets_before_the_end_are_taken(void **state)
{
    (void) state;
    struct relay_rig *r = running(0);
    char some[16];

    relay_rig_records(r, 'a', 3, 0);
    relay_rig_text(r, TB_RELAY_BYE, 0, "intercept ends");
    relay_rig_send(r, 0, r->len);
    shutdown(r->server, SHUT_WR);
    tb_relay_link_drive(&r->link, r->now_us, true);
    relay_rig_take(r, some, sizeof some);
    assert_string_equal(some, "abc");
    assert_int_equal(r->link.state, TB_RELAY_LINK_DOWN);
    assert_non_null(strstr(r->link.words.text, "intercept ends"));
    relay_rig_free(r);
}

static void says_goodbye(void **state)
{
    (void) state;
    struct relay_rig *r = running(0);
    char types[16];

    tb_relay_link_fini(&r->link);
    assert_string_equal(sent(r, types), "HPB");
    close(r->server);
    free(r->shared);
    free(r);
}

static void the_log_tells_a_loss_and_the_return_once(void **state)
{
    (void) state;
    char path[] = "relay_log_XXXXXX", text[2048] = "";
    int fd = mkstemp(path);
    struct relay_rig *r = running(0);

    assert_true(fd >= 0);
    assert_int_equal(tb_log_open(path), 0);
    relay_rig_text(r, TB_RELAY_BYE, 0, "a rest");
    relay_rig_deliver(r);
    for (unsigned i = 0; i < 6; i++) /* some seconds of no luck */
        try_in_vain(r);
    relay_rig_connect(r);
    relay_rig_welcome(r);
    relay_rig_deliver(r);
    assert_int_equal(tb_log_open(NULL), 0);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    close(fd);
    unlink(path);
    unsigned lines = 0;
    for (const char *p = text; (p = strchr(p, '\n')); p++)
        lines++;
    assert_int_equal(lines, 3);
    assert_non_null(strstr(text, "no channel to the server: Connection refused"));
    assert_non_null(strstr(text, "the server is lost: it says goodbye: a rest"));
    assert_non_null(strstr(text, "the server is back after"));
    relay_rig_free(r);
}

/* --- what does not belong --------------------------------------------------------------------- */

static void assert_ends_it(struct relay_rig *r, const char *what)
{
    char some[16];

    relay_rig_deliver(r);
    relay_rig_take(r, some, sizeof some);
    if (r->link.state != TB_RELAY_LINK_DOWN)
        fail_msg("still connected after %s", what);
    relay_rig_free(r);
}

static void a_refusal_while_running_is_told_in_the_server_s_words(void **state)
{
    (void) state;
    struct relay_rig *r = running(0);

    relay_rig_text(r, TB_RELAY_REFUSED, TB_RELAY_REFUSED_LIMIT, "too many of it");
    relay_rig_deliver(r);
    assert_int_equal(r->link.state, TB_RELAY_LINK_DOWN);
    assert_non_null(strstr(r->link.words.text, "too many of it"));
    relay_rig_free(r);
}

static void frames_out_of_place_end_the_connection(void **state)
{
    (void) state;
    static const uint8_t when_greeting[] = {TB_RELAY_HELLO,      TB_RELAY_PING,  TB_RELAY_REGISTER,
                                            TB_RELAY_UNREGISTER, TB_RELAY_WATCH, TB_RELAY_SEEN};
    static const uint8_t pair[16];

    for (size_t i = 0; i < sizeof when_greeting; i++) {
        struct relay_rig *r = relay_rig_new(0);
        relay_rig_frame(r, when_greeting[i], pair, sizeof pair);
        assert_ends_it(r, "a client's frame");
        r = running(0);
        relay_rig_frame(r, when_greeting[i], pair, sizeof pair);
        assert_ends_it(r, "a client's frame while running");
    }
    struct relay_rig *r = relay_rig_new(0);
    relay_rig_records(r, 'a', 1, 0);
    assert_ends_it(r, "records before the welcome");
    r = relay_rig_new(0);
    relay_rig_pong(r, r->now_us);
    assert_ends_it(r, "a pong before the welcome");
    r = relay_rig_new(0);
    relay_rig_drops(r, 1, 1);
    assert_ends_it(r, "drops before the welcome");
    r = running(0);
    relay_rig_welcome(r);
    assert_ends_it(r, "a second welcome");
    r = running(0);
    relay_rig_frame(r, TB_RELAY_TAKEN, pair, 0);
    assert_ends_it(r, "what concerns sessions, when none are registered");
}

static void broken_frames_end_the_connection(void **state)
{
    (void) state;
    static const uint8_t types[] = {TB_RELAY_RECORDS, TB_RELAY_PONG, TB_RELAY_DROPS, TB_RELAY_BYE};
    static const uint8_t nonsense[] = "SSH-2.0-OpenSSH_9.2p1\r\n";
    struct relay_rig *r;

    for (size_t i = 0; i < sizeof types; i++) {
        r = running(0);
        relay_rig_frame(r, types[i], "abc", 3);
        assert_ends_it(r, "a frame cut short");
    }
    r = running(0);
    relay_rig_frame(r, 99, NULL, 0);
    assert_ends_it(r, "an unknown type");
    r = relay_rig_new(0);
    memcpy(r->frames, nonsense, r->len = sizeof nonsense);
    assert_ends_it(r, "another protocol");
    r = running(0);
    tb_relay_head_put(r->frames, TB_RELAY_RECORDS, TB_RELAY_PAYLOAD_MAX + 1);
    r->len = TB_RELAY_HEAD;
    assert_ends_it(r, "a frame that is too long");
    r = running(0);
    relay_rig_records(r, 'a', 2, 0);
    r->frames[TB_RELAY_HEAD + TB_RELAY_RECORDS_HEAD + 7] = 200;
    assert_ends_it(r, "a record longer than its frame");
    r = running(0);
    relay_rig_pong(r, r->now_us + 1);
    assert_ends_it(r, "the answer to a ping of the future");
    r = running(0);
    relay_rig_drops(r, 5, 0);
    relay_rig_drops(r, 4, 0);
    assert_ends_it(r, "drops that shrink");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_who_it_is_and_runs_after_the_welcome),
        cmocka_unit_test(is_refused_for_good_or_only_for_now),
        cmocka_unit_test(another_version_is_named),
        cmocka_unit_test(a_server_that_hangs_up_at_once_may_not_want_us),
        cmocka_unit_test(a_server_that_hangs_up_before_we_look_may_not_want_us_either),
        cmocka_unit_test(patience_for_the_welcome_ends),
        cmocka_unit_test(frames_come_whole_wherever_the_stream_is_cut),
        cmocka_unit_test(frames_come_whole_byte_by_byte),
        cmocka_unit_test(packets_wait_until_they_are_taken),
        cmocka_unit_test(packets_say_how_long_they_were_and_when_they_were_seen),
        cmocka_unit_test(what_servers_drop_is_summed_up),
        cmocka_unit_test(pings_each_second),
        cmocka_unit_test(pings_at_first_as_fast_as_it_is_answered),
        cmocka_unit_test(a_server_that_answers_no_ping_is_not_waited_for),
        cmocka_unit_test(pongs_tell_the_clock),
        cmocka_unit_test(silence_ends_a_connection),
        cmocka_unit_test(what_came_while_we_were_stopped_is_no_silence),
        cmocka_unit_test(a_server_that_reads_nothing_does_not_stop_us),
        cmocka_unit_test(tries_again_with_growing_pauses),
        cmocka_unit_test(pauses_are_short_again_after_a_connection_that_lasted),
        cmocka_unit_test(half_a_frame_of_the_last_connection_is_forgotten),
        cmocka_unit_test(packets_before_the_end_are_taken),
        cmocka_unit_test(says_goodbye),
        cmocka_unit_test(the_log_tells_a_loss_and_the_return_once),
        cmocka_unit_test(a_refusal_while_running_is_told_in_the_server_s_words),
        cmocka_unit_test(frames_out_of_place_end_the_connection),
        cmocka_unit_test(broken_frames_end_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
