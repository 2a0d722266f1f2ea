/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which module learns a captured session when none was asked for (engine/modules.h), with the
 * modules of the build tree. The captured server's port is told to nobody: the content decides.
 */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include "engine/modules.h"
#include "trace_build.h"

static struct tb_modules modules;

static int no_options(void *ctx, const char *module, json_t **out, const char **file,
                      struct tb_err *err)
{
    *file = NULL;
    *out = json_object();
    return *out ? 0 : -ENOMEM;
}

static int load_modules(void **state)
{
    const char *build = getenv("TB_BUILDDIR");
    char path[4096];
    struct tb_err err = {""};

    if (!build)
        build = ".";
    snprintf(path, sizeof path, "%s/modules/generic:%s/modules/http:%s/modules/mysql", build, build,
             build);
    if (setenv("TCPBURN_MODULE_PATH", path, 1) < 0 ||
        tb_modules_load(&modules, NULL, NULL, no_options, NULL, &err) < 0) {
        print_error("%s\n", err.text);
        return -1;
    }
    return 0;
}

static int unload_modules(void **state)
{
    tb_modules_unload(&modules);
    return 0;
}

/* A session whose client says these pieces a moment apart, and which is then answered. */
static struct tb_trace learn(const char *const *pieces, const char *answer)
{
    struct tb_learner learner = tb_modules_learner(&modules);
    struct cap c = new_cap(LINK_RAW);
    struct conn n = new_conn(1024);

    shake_hands(&c, &n);
    for (; *pieces; pieces++) {
        wait_us(&c, MS);
        client_says(&c, &n, *pieces);
    }
    if (answer)
        server_says(&c, &n, answer);
    close_both(&c, &n);
    return load_with(&c, (struct tb_trace_options){.learner = &learner});
}

#define LEARN(answer, ...) learn((const char *const[]){__VA_ARGS__, NULL}, answer)

static void is_learned(struct tb_trace t, const char *module, uint32_t requests, const char *stream)
{
    char used[64];

    tb_modules_used(&modules, &t, used, sizeof used);
    assert_string_equal(used, module);
    assert_int_equal(t.session_count, 1);
    assert_int_equal(t.sessions[0]->requests, requests);
    assert_stream(t.sessions[0], stream);
    tb_trace_free(&t);
}

#define OK  "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define GET "GET / HTTP/1.1\r\n\r\n"

static void a_request_line_is_http(void **state)
{
    is_learned(LEARN(OK OK, GET GET), "http", 2, GET GET);
}

static void http_may_come_byte_by_byte(void **state)
{
    is_learned(LEARN(OK OK, "G", "E", "T", " ", "/", " HTTP/1.1\r\n\r\n" GET), "http", 2, GET GET);
}

static void http_may_be_cut_within_the_method(void **state)
{
    is_learned(LEARN(OK OK, "GE", "T / HTTP/1.1\r\n\r\n" GET), "http", 2, GET GET);
}

static void what_only_begins_like_a_method_is_generic(void **state)
{
    is_learned(LEARN("+PONG\r\n", "P", "ING\r\n"), "generic", 1, "PING\r\n");
    is_learned(LEARN("$1\r\n1\r\n", "GET ", "key\r\n"), "generic", 1, "GET key\r\n");
}

static void what_is_answered_before_it_tells_is_generic(void **state)
{
    is_learned(LEARN("who?", "GE"), "generic", 1, "GE");
}

static void what_ends_before_it_tells_is_generic(void **state)
{
    is_learned(LEARN(NULL, "G", "E"), "generic", 1, "GE");
}

/* --- port 3306 -------------------------------------------------------------------------------- */

static const struct tb_endpoint mysql_server = {.port = 3306};

/* A session whose server speaks first. */
static const char *greeted_by(const char *greeting, size_t len)
{
    static char used[64];
    struct tb_learner learner = tb_modules_learner(&modules);
    struct cap c = new_cap(LINK_RAW);
    struct conn n = new_conn(1024);

    shake_hands(&c, &n);
    static uint8_t ip[SEGMENT_MAX]; /* not as text: it holds zeros */
    uint32_t ip_len = make_segment(&n, TB_FROM_SERVER, n.next[1], n.next[0], ACK | PSH, greeting,
                                   (uint32_t) len, ip);
    add_packet(&c, ip, ip_len);
    n.next[TB_FROM_SERVER] += (uint32_t) len;
    close_both(&c, &n);
    struct tb_trace t = load_with(&c, (struct tb_trace_options){.learner = &learner});
    tb_modules_used(&modules, &t, used, sizeof used);
    tb_trace_free(&t);
    return used;
}

static void a_greeting_on_port_3306_is_mysql(void **state)
{
    static const char too_many[] = "\5\0\0\0\xff\x10\4no"; /* ERR 1040 */
    struct tb_err err;

    assert_int_equal(tb_modules_load_for_port(&modules, 80, NULL, no_options, NULL, &err), 0);
    assert_int_equal(modules.count, 2);
    assert_int_equal(tb_modules_load_for_port(&modules, 3306, NULL, no_options, NULL, &err), 0);
    assert_int_equal(tb_modules_load_for_port(&modules, 3306, NULL, no_options, NULL, &err), 0);
    assert_int_equal(modules.count, 3);
    assert_string_equal(greeted_by(too_many, 9), "generic"); /* another port */
    modules.services = &mysql_server;
    assert_string_equal(greeted_by(too_many, 9), "mysql");
    assert_string_equal(greeted_by("SSH-2.0-x\r\n", 11), "generic");
    modules.services = NULL;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_line_is_http),
        cmocka_unit_test(http_may_come_byte_by_byte),
        cmocka_unit_test(http_may_be_cut_within_the_method),
        cmocka_unit_test(what_only_begins_like_a_method_is_generic),
        cmocka_unit_test(what_is_answered_before_it_tells_is_generic),
        cmocka_unit_test(what_ends_before_it_tells_is_generic),
        cmocka_unit_test(a_greeting_on_port_3306_is_mysql),
    };
    return cmocka_run_group_tests_name("engine_modules", tests, load_modules, unload_modules);
}
