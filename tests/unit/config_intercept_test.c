/* SPDX-License-Identifier: BSD-2-Clause */
/* intercept's options: what the command line gives, and what is refused with which words. */
#include "unit.h"
#include <errno.h>
#include <stdio.h>
#include "config/intercept.h"
#include "config/table.h"

struct parsed {
    struct tb_intercept_options o;
    struct tb_err err;
    int rc;
};

static struct parsed parse(const char *const *words)
{
    struct parsed p = {.err = {""}};
    char *argv[32] = {(char *) (uintptr_t) "intercept"};
    int argc = 1;
    for (; *words; words++)
        argv[argc++] = (char *) (uintptr_t) *words;
    p.rc = tb_intercept_options_parse(&p.o, argc, argv, &p.err);
    return p;
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static struct parsed accepted(struct parsed p)
{
    if (p.rc)
        fail_msg("refused: %s", p.err.text);
    return p;
}

static void refused(struct parsed p, const char *words)
{
    assert_int_equal(p.rc, -EINVAL);
    if (!strstr(p.err.text, words))
        fail_msg("expected '%s' in '%s'", words, p.err.text);
    tb_intercept_options_free(&p.o);
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
    refused(PARSE("-D", "172.17.0.2"), "INNER-ORIGINAL");
    refused(PARSE("-D", "172.17.0.2-fd00::5"), "one family");
    refused(PARSE("-D", "172.17.0.2-10.0.0.5,172.17.0.2-10.0.0.6"), "given twice");
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
    refused(PARSE("--allow", "198.18.0.0/33"), "0 to 32");
    refused(PARSE("--allow", "example.org"), "not an IP address");
    refused(PARSE("--allow", ""), "empty");
}

static void metrics_takes_an_endpoint(void **state)
{
    (void) state;
    struct parsed p = accepted(PARSE("--metrics", "[::1]:9100"));
    assert_true(p.o.has_metrics && same(p.o.metrics.addr, "::1"));
    assert_int_equal(p.o.metrics.port, 9100);
    tb_intercept_options_free(&p.o);
    refused(PARSE("--metrics", "9100"), "ADDRESS:PORT");
    refused(PARSE("--metrics", "::1:9100"), "brackets");
}

static void what_is_no_number_or_device_is_refused(void **state)
{
    (void) state;
    refused(PARSE("-p", "10x"), "-p, --port: must be a whole number from 1 to 65535, not '10x'");
    refused(PARSE("-p", "0"), "-p, --port");
    refused(PARSE("--threads", "65"), "1 to 64");
    refused(PARSE("-b", "localhost"), "-b, --bind");
    refused(PARSE("-i", "averyverylongname0"), "not the name of a network device");
    refused(PARSE("-i", "../etc"), "not the name of a network device");
    refused(PARSE("-F", ""), "must not be empty");
    refused(PARSE("eth0"), "devices are given with -i");
    refused(PARSE("--thread"), "--threads");
    refused(PARSE("--portt", "1"), "did you mean --port?");
    refused(PARSE("-Z"), "'intercept --help' lists them");
}

static void file_gives_what_the_command_line_does_not(void **state)
{
    (void) state;
    char path[] = "/tmp/tb_intercept_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "w");
    fputs("{\"port\": 1234, \"device\": [\"eth7\"], \"docker\": \"10.1.1.1-10.2.2.2\"}", f);
    fclose(f);
    struct parsed p = accepted(PARSE("--config", path, "-p", "4321"));
    assert_int_equal(p.o.port, 4321);
    assert_string_equal(p.o.devices.item[0], "eth7");
    assert_int_equal(p.o.docker_count, 1);
    tb_intercept_options_free(&p.o);
    f = fopen(path, "w");
    fputs("{\n\"prot\": 1234}", f);
    fclose(f);
    refused(PARSE("--config", path), ":2: \"prot\": unknown key");
    remove(path);
}

/* A text, as long as a page or a help may be. */
static char *text_of(const char *path)
{
    static char text[1 << 16];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return text;
}

static void manual_page_names_every_option(void **state)
{
    (void) state;
    const char *folder = getenv("TB_SRCDIR");
    char path[4096], name[64];
    snprintf(path, sizeof path, "%s/docs/intercept.1", folder ? folder : ".");
    const char *page = text_of(path);
    for (unsigned i = 0; i < tb_intercept_set.count; i++) {
        snprintf(name, sizeof name, " Fl -%s", tb_intercept_set.option[i].name);
        if (!strstr(page, name))
            fail_msg("--%s is not in docs/intercept.1", tb_intercept_set.option[i].name);
    }
}

static void help_names_every_option_within_100_columns(void **state)
{
    (void) state;
    char *text = NULL, label[64];
    size_t len;
    FILE *f = open_memstream(&text, &len);
    tb_option_help(&tb_intercept_set, f);
    fclose(f);
    for (unsigned i = 0; i < tb_intercept_set.count; i++)
        assert_non_null(strstr(text, tb_option_label(&tb_intercept_set.option[i], label)));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        assert_in_range(strlen(line), 0, 100);
    free(text);
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
        cmocka_unit_test(manual_page_names_every_option),
        cmocka_unit_test(help_names_every_option_within_100_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
