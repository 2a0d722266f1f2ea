/* SPDX-License-Identifier: BSD-2-Clause */
/* intercept's options: what the command line gives, and what is refused with which words. */
#include "config/intercept.h"
#define RIG_PROGRAM "intercept"
#define RIG_OPTIONS struct tb_intercept_options
#define RIG_PARSE   tb_intercept_options_parse
#define RIG_FREE    tb_intercept_options_free
#define RIG_SET     tb_intercept_set
#include "config_rig.h"

static struct parsed accepted(struct parsed p)
{
    if (p.rc)
        fail_msg("refused: %s", p.err.text);
    return p;
}

static struct tb_addr addr(const char *text)
{
    struct tb_addr a;
    assert_int_equal(tb_addr_parse(text, &a), 0);
    return a;
}

static bool same(struct tb_addr a, const char *text)
{
    struct tb_addr b = addr(text);
    return tb_addr_eq(&a, &b);
}

static void defaults_are_the_classic_ones(void **state)
{
    (void) state;
    struct tb_intercept_options o;
    char *argv[] = {(char *) (uintptr_t) "intercept", NULL};
    assert_int_equal(tb_intercept_options_parse(&o, 1, argv, NULL), 0);
    assert_int_equal(o.port, 36524);
    assert_int_equal(o.threads, 1);
    assert_int_equal(o.devices.count, 0);
    assert_int_equal(o.batch, 0);
    assert_false(o.has_bind || o.daemon || o.has_metrics || o.filter || o.psk_file);
    tb_intercept_options_free(&o);
}

static void classic_letters_have_their_classic_meaning(void **state)
{
    (void) state;
    struct parsed p =
        accepted(PARSE("-i", "eth0,eth1", "-F", "tcp and src port 80", "-n", "32", "-p", "3652",
                       "-s", "65536", "-b", "198.18.0.3", "-l", "log", "-P", "pid", "-d", "-c"));
    assert_int_equal(p.o.devices.count, 2);
    assert_string_equal(p.o.devices.item[1], "eth1");
    assert_string_equal(p.o.filter, "tcp and src port 80");
    assert_int_equal(p.o.batch, 32);
    assert_int_equal(p.o.port, 3652);
    assert_true(p.o.has_hash_size);
    assert_true(p.o.has_bind && same(p.o.bind, "198.18.0.3"));
    assert_string_equal(p.o.log, "log");
    assert_string_equal(p.o.pid_file, "pid");
    assert_true(p.o.daemon && p.o.protect);
    tb_intercept_options_free(&p.o);
}

static void docker_takes_pairs_of_addresses(void **state)
{
    (void) state;
    struct parsed p = accepted(
        PARSE("-D", "172.17.0.2-10.0.0.5,fd00::2-fd00:18::5", "-D", "172.17.0.3-10.0.0.6"));
    assert_int_equal(p.o.docker_count, 3);
    assert_true(same(p.o.docker[0].seen, "172.17.0.2") && same(p.o.docker[0].meant, "10.0.0.5"));
    assert_true(same(p.o.docker[1].seen, "fd00::2") && same(p.o.docker[1].meant, "fd00:18::5"));
    assert_true(same(p.o.docker[2].seen, "172.17.0.3"));
    tb_intercept_options_free(&p.o);
    REFUSED("INNER-ORIGINAL", "-D", "172.17.0.2");
    REFUSED("one family", "-D", "172.17.0.2-fd00::5");
    REFUSED("given twice", "-D", "172.17.0.2-10.0.0.5,172.17.0.2-10.0.0.6");
}

static void allow_takes_networks_and_addresses(void **state)
{
    (void) state;
    struct parsed p = accepted(PARSE("--allow", "198.18.0.77/24,fd00:18::/64", "--allow", "::1"));
    assert_int_equal(p.o.allow_count, 3);
    assert_true(same(p.o.allow[0].addr, "198.18.0.0"));
    assert_int_equal(p.o.allow[0].bits, 96 + 24);
    assert_true(same(p.o.allow[1].addr, "fd00:18::"));
    assert_int_equal(p.o.allow[1].bits, 64);
    assert_int_equal(p.o.allow[2].bits, 128);
    tb_intercept_options_free(&p.o);
    REFUSED("0 to 32", "--allow", "198.18.0.0/33");
    REFUSED("not an IP address", "--allow", "example.org");
    REFUSED("empty", "--allow", "");
}

static void metrics_takes_an_endpoint(void **state)
{
    (void) state;
    struct parsed p = accepted(PARSE("--metrics", "[::1]:9100"));
    assert_true(p.o.has_metrics && same(p.o.metrics.addr, "::1"));
    assert_int_equal(p.o.metrics.port, 9100);
    tb_intercept_options_free(&p.o);
    REFUSED("ADDRESS:PORT", "--metrics", "9100");
    REFUSED("brackets", "--metrics", "::1:9100");
}

static void what_is_no_number_or_device_is_refused(void **state)
{
    (void) state;
    REFUSED("-p, --port: must be a whole number from 1 to 65535, not '10x'", "-p", "10x");
    REFUSED("-p, --port", "-p", "0");
    REFUSED("1 to 64", "--threads", "65");
    REFUSED("-b, --bind", "-b", "localhost");
    REFUSED("not the name of a network device", "-i", "averyverylongname0");
    REFUSED("not the name of a network device", "-i", "../etc");
    REFUSED("must not be empty", "-F", "");
    REFUSED("devices are given with -i", "eth0");
    REFUSED("--threads", "--thread");
    REFUSED("did you mean --port?", "--portt", "1");
    REFUSED("'intercept --help' lists them", "-Z");
}

static void file_gives_what_the_command_line_does_not(void **state)
{
    (void) state;
    const char *path =
        json_file("{\"port\": 1234, \"device\": [\"eth7\"], \"docker\": \"10.1.1.1-10.2.2.2\"}");
    struct parsed p = accepted(PARSE("--config", path, "-p", "4321"));
    assert_int_equal(p.o.port, 4321);
    assert_string_equal(p.o.devices.item[0], "eth7");
    assert_int_equal(p.o.docker_count, 1);
    tb_intercept_options_free(&p.o);
    unlink(path);
    path = json_file("{\n\"prot\": 1234}");
    REFUSED(":2: \"prot\": unknown key", "--config", path);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_the_classic_ones),
        cmocka_unit_test(classic_letters_have_their_classic_meaning),
        cmocka_unit_test(docker_takes_pairs_of_addresses),
        cmocka_unit_test(allow_takes_networks_and_addresses),
        cmocka_unit_test(metrics_takes_an_endpoint),
        cmocka_unit_test(what_is_no_number_or_device_is_refused),
        cmocka_unit_test(file_gives_what_the_command_line_does_not),
        TABLE_TESTS,
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
