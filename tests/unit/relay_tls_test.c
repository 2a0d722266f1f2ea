/* SPDX-License-Identifier: BSD-2-Clause */
/* Unit tests of relay/tls: key files, and two ends over a socket pair. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/log.h"
#include "relay/tls.h"

static const char key_a[] = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF\n";
static const char key_b[] = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100\n";

static char path[64];

/* A key file of this content; its path. */
static const char *key_file(const char *text)
{
    snprintf(path, sizeof path, "/tmp/tb-psk-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t) strlen(text));
    close(fd);
    return path;
}

static int context(enum tb_tls_role role, const char *key, struct tb_tls_context **out,
                   struct tb_err *err)
{
    int rc = tb_tls_context_new(role, key_file(key), out, err);
    unlink(path);
    return rc;
}

/* Two ends, each with its key, over a socket pair. */
struct pair {
    struct tb_tls_context *context[2];
    struct tb_tls *end[2];
    int fd[2];
};

static void open_pair(struct pair *p, const char *server_key, const char *client_key)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p->fd), 0);
    assert_int_equal(context(TB_TLS_SERVER, server_key, &p->context[0], NULL), 0);
    assert_int_equal(context(TB_TLS_CLIENT, client_key, &p->context[1], NULL), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(tb_tls_new(p->context[i], p->fd[i], &p->end[i]), 0);
}

static void close_pair(struct pair *p)
{
    for (int i = 0; i < 2; i++) {
        tb_tls_free(p->end[i]);
        tb_tls_context_free(p->context[i]);
        close(p->fd[i]);
    }
}

/* Both sides in turn until each is done or failed. */
static void shake_hands(struct pair *p, int rc[2])
{
    rc[0] = rc[1] = -EAGAIN;
    for (int turn = 0; turn < 20; turn++)
        if (rc[turn % 2] == -EAGAIN)
            rc[turn % 2] = tb_tls_handshake(p->end[turn % 2]);
}

static void open_and_shake(struct pair *p)
{
    int rc[2];

    open_pair(p, key_a, key_a);
    shake_hands(p, rc);
    assert_int_equal(rc[0], 0);
    assert_int_equal(rc[1], 0);
}

static void bytes_arrive_in_both_directions(void **state)
{
    struct pair p;
    char got[8] = "";

    open_and_shake(&p);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tb_tls_write(p.end[i], "hello", 6), 6);
        assert_int_equal(tb_tls_read(p.end[!i], got, sizeof got), 6);
        assert_string_equal(got, "hello");
        assert_int_equal(tb_tls_read(p.end[!i], got, sizeof got), -EAGAIN);
        assert_false(tb_tls_wants_write(p.end[!i]));
    }
    close_pair(&p);
}

static void bytes_on_the_wire_are_not_the_ones_written(void **state)
{
    struct pair p;
    char raw[256];

    open_and_shake(&p);
    while (recv(p.fd[1], raw, sizeof raw, 0) > 0)
        ;
    assert_int_equal(tb_tls_write(p.end[0], "plain words", 11), 11);
    ssize_t n = recv(p.fd[1], raw, sizeof raw, 0);
    assert_true(n > 11);
    assert_null(memmem(raw, (size_t) n, "plain", 5));
    close_pair(&p);
}

static void different_keys_are_told_apart_by_both_ends(void **state)
{
    struct pair p;
    int rc[2];

    open_pair(&p, key_a, key_b);
    shake_hands(&p, rc);
    assert_int_equal(rc[0], -EACCES);
    assert_int_equal(rc[1], -EACCES);
    close_pair(&p);
}

static void keys_of_different_length_differ(void **state)
{
    struct pair p;
    int rc[2];

    open_pair(&p, key_a, "00112233445566778899aabbccddeeff\n");
    shake_hands(&p, rc);
    assert_int_equal(rc[0], -EACCES);
    assert_int_equal(rc[1], -EACCES);
    close_pair(&p);
}

static void a_peer_without_tls_is_a_protocol_error(void **state)
{
    struct pair p;

    for (int i = 0; i < 2; i++) {
        open_pair(&p, key_a, key_a);
        if (i == 1)
            assert_int_equal(tb_tls_handshake(p.end[1]), -EAGAIN);
        assert_true(send(p.fd[!i], "GET / HTTP/1.0\r\n\r\n", 18, 0) == 18);
        assert_int_equal(tb_tls_handshake(p.end[i]), -EPROTO);
        close_pair(&p);
    }
}

static void a_refused_write_goes_on_from_another_place(void **state)
{
    struct pair p;
    static char sent[1 << 20], got[1 << 20], copy[1 << 20];
    size_t written = 0, seen = 0;

    open_and_shake(&p);
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (char) (i * 31 >> 3);
    while (seen < sizeof sent) {
        ssize_t n = 1;
        while (written < sizeof sent && n > 0) {
            memcpy(copy, sent + written, sizeof sent - written);
            n = tb_tls_write(p.end[0], copy, sizeof sent - written);
            written += n > 0 ? (size_t) n : 0;
        }
        assert_true(n > 0 || (n == -EAGAIN && tb_tls_wants_write(p.end[0])));
        while ((n = tb_tls_read(p.end[1], got + seen, sizeof got - seen)) > 0)
            seen += (size_t) n;
        assert_true(n == -EAGAIN || seen == sizeof sent);
    }
    assert_memory_equal(sent, got, sizeof sent);
    close_pair(&p);
}

static void an_end_is_told_from_a_lost_connection(void **state)
{
    struct pair p;
    char got[8];

    open_and_shake(&p);
    tb_tls_shutdown(p.end[0]);
    assert_int_equal(tb_tls_read(p.end[1], got, sizeof got), 0);
    close_pair(&p);

    open_and_shake(&p);
    shutdown(p.fd[0], SHUT_RDWR);
    assert_int_equal(tb_tls_read(p.end[1], got, sizeof got), -ECONNRESET);
    close_pair(&p);
}

static void writing_to_a_closed_socket_is_an_error_not_a_signal(void **state)
{
    struct pair p;

    open_and_shake(&p);
    shutdown(p.fd[1], SHUT_RDWR);
    assert_int_equal(tb_tls_write(p.end[0], "x", 1), -EPIPE);
    close_pair(&p);
}

static void a_key_file_may_have_more_lines_and_blanks_at_the_end(void **state)
{
    struct tb_tls_context *c = NULL;

    assert_int_equal(
        context(TB_TLS_SERVER, "00112233445566778899aabbccddeeff \t\r\nmore", &c, NULL), 0);
    tb_tls_context_free(c);
}

static void what_is_no_key_is_refused_with_the_command_to_make_one(void **state)
{
    static const char *const bad[] = {
        "",
        "\n",
        "secret\n",
        "00112233445566778899aabbccddee\n",    /* 30 digits */
        "00112233445566778899aabbccddeeff0\n", /* not whole bytes */
        "0x00112233445566778899aabbccddeeff\n",
        "00112233445566778899aabbccddeeff more\n",
        "\n00112233445566778899aabbccddeeff\n",
    };
    struct tb_tls_context *c = NULL;
    struct tb_err err;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(context(TB_TLS_CLIENT, bad[i], &c, &err), -EINVAL);
        assert_non_null(strstr(err.text, "openssl rand -hex 32"));
        assert_non_null(strstr(err.text, path));
    }
    assert_int_equal(tb_tls_context_new(TB_TLS_CLIENT, "/nonexistent/key", &c, &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nonexistent/key"));
    assert_null(c);
}

static void a_key_that_others_may_read_is_warned_of(void **state)
{
    struct tb_tls_context *c;
    char log[] = "/tmp/tb-log-XXXXXX", text[512] = "";
    int fd = mkstemp(log);

    assert_true(fd >= 0);
    assert_int_equal(tb_log_open(log), 0);
    key_file(key_a);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(tb_tls_context_new(TB_TLS_SERVER, path, &c, NULL), 0);
    tb_tls_context_free(c);
    assert_int_equal(read(fd, text, sizeof text - 1), 0);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(tb_tls_context_new(TB_TLS_SERVER, path, &c, NULL), 0);
    tb_tls_context_free(c);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    assert_non_null(strstr(text, "warning"));
    assert_non_null(strstr(text, "chmod 600"));
    tb_log_open(NULL);
    unlink(path);
    unlink(log);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_arrive_in_both_directions),
        cmocka_unit_test(bytes_on_the_wire_are_not_the_ones_written),
        cmocka_unit_test(different_keys_are_told_apart_by_both_ends),
        cmocka_unit_test(keys_of_different_length_differ),
        cmocka_unit_test(a_peer_without_tls_is_a_protocol_error),
        cmocka_unit_test(a_refused_write_goes_on_from_another_place),
        cmocka_unit_test(an_end_is_told_from_a_lost_connection),
        cmocka_unit_test(writing_to_a_closed_socket_is_an_error_not_a_signal),
        cmocka_unit_test(a_key_file_may_have_more_lines_and_blanks_at_the_end),
        cmocka_unit_test(what_is_no_key_is_refused_with_the_command_to_make_one),
        cmocka_unit_test(a_key_that_others_may_read_is_warned_of),
    };
    return cmocka_run_group_tests_name("relay/tls", tests, NULL, NULL);
}
