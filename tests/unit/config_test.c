/* SPDX-License-Identifier: BSD-2-Clause */
/* The command line, the JSON file, and the checks of the whole (core/config). */
#define RIG_PROGRAM "tcpburn"
#define RIG_OPTIONS struct tb_options
#define RIG_PARSE   tb_options_parse
#define RIG_FREE    tb_options_free
#define RIG_SET     tb_tcpburn_set
#include "config_rig.h"

#include "base/log.h"
#include "config/value.h"

/* What every run needs, so that tests name only what they are about. */
#define BASE "-x", "80-10.0.0.5:8080", "-f", "a.pcap"

static void assert_range(const struct tb_range *r, const char *first, uint64_t count)
{
    char text[TB_ADDR_TEXT];
    assert_string_equal(tb_addr_format(&r->first, text), first);
    assert_int_equal(r->count, count);
}

/* --- command line ----------------------------------------------------------------------------- */

static void gives_documented_defaults(void **state)
{
    WITH(
        {
            assert_int_equal(o->users, 0);
            assert_int_equal(o->channels, 0);
            assert_int_equal(o->intercept_port, 36524);
            assert_true(o->accelerate == 1 && o->timeout_s == 120 && o->grace_s == 5);
            assert_true(o->close_wait_s == 1 && o->hold_s == 0 && o->ramp_s == 0);
            assert_int_equal(o->start_rate, 1024);
            assert_int_equal(o->start_factor, 1);
            assert_false(o->ports_first);
            assert_int_equal(o->mtu, 1500);
            assert_int_equal(o->mss, 1460);
            assert_int_equal(o->loop, 1);
            assert_int_equal(o->quiet_ms, 200);
            assert_int_equal(o->shard, 1);
            assert_int_equal(o->shards, 1);
            assert_int_equal(o->workers, 0);
            assert_false(o->has_loop || o->has_rate || o->has_duration || o->has_seed);
            assert_false(o->has_topology);
            assert_int_equal(o->mode, TB_MODE_DEFAULT);
            assert_int_equal(o->client_count, 1);
            assert_range(&o->clients[0], "198.19.0.1", 65534);
        },
        BASE);
}

static void short_and_long_names_mean_the_same(void **state)
{
    WITH(
        {
            assert_int_equal(o->users, 7);
            assert_true(o->accelerate == 0.5);
            assert_true(o->ports_first);
            assert_true(o->daemon);
            assert_int_equal(o->seed, 42);
            assert_true(o->has_seed);
        },
        BASE, "-u7", "-a", "0.5", "-dm1", "-e", "42");
    WITH(
        {
            assert_int_equal(o->users, 7);
            assert_true(o->accelerate == 0.5);
            assert_true(o->ports_first);
            assert_true(o->daemon);
        },
        BASE, "--users=7", "--accelerate", "0.5", "--daemon", "--client-order", "1");
}

static void numbers_are_strict(void **state)
{
    REFUSED("-u, --users: must be a whole number from 1 to 4294967295, not '10x'", BASE, "-u",
            "10x");
    REFUSED("-1", BASE, "-u", "-1");
    REFUSED("+5", BASE, "-u", "+5");
    REFUSED("' 5'", BASE, "-u", " 5");
    REFUSED("0x10", BASE, "-u", "0x10");
    REFUSED("not ''", BASE, "-u", "");
    REFUSED("4294967296", BASE, "-u", "4294967296");
    REFUSED("18446744073709551617", BASE, "-u", "18446744073709551617");
    REFUSED("1.5", BASE, "-u", "1.5");
    REFUSED("from 1 to 16, not '17'", BASE, "-C", "17");
    REFUSED("1e3", BASE, "-t", "1e3");
    REFUSED("inf", BASE, "-t", "inf");
    REFUSED("nan", BASE, "--ramp", "nan");
    REFUSED("'1.'", BASE, "-t", "1.");
    REFUSED("-0.5", BASE, "--hold", "-0.5");
    REFUSED("0 or 1", BASE, "-m", "2");
    REFUSED("65535", BASE, "-p", "65536");
    REFUSED("99999999999999999999", BASE, "-t", "99999999999999999999");
}

static void seconds_may_have_a_fraction(void **state)
{
    WITH(
        {
            assert_true(o->timeout_s == 0.25);
            assert_true(o->duration_s == 1.5 && o->has_duration);
            assert_true(o->topology_s == 0 && o->has_topology);
        },
        BASE, "-t", "0.25", "--duration", "1.5", "-T", "0");
}

static void says_what_is_wrong_with_the_usage(void **state)
{
    REFUSED("unknown or ambiguous option '--usres'; did you mean --users?", BASE, "--usres", "5");
    REFUSED("did you mean --accelerate?", BASE, "--acelerate=3");
    REFUSED("unknown option '-q'", BASE, "-q");
    REFUSED("-u, --users needs an argument, N", BASE, "-u");
    REFUSED("--rate needs an argument", BASE, "--rate");
    REFUSED("takes no argument", BASE, "--tun=yes");
    REFUSED("surplus word 'more.pcap'", BASE, "more.pcap");
    REFUSED("--quux", BASE, "--quux");
}

static void help_and_version_need_nothing_else(void **state)
{
    WITH(assert_true(o->help), "-h");
    WITH(assert_true(o->help), "-u", "10x", "--help");
    WITH(assert_true(o->version), "-v");
    WITH(assert_true(o->version), "--version", "--nonsense");
}

static void lists_repeat_or_take_commas(void **state)
{
    WITH(
        {
            assert_int_equal(o->pcaps.count, 3);
            assert_string_equal(o->pcaps.item[0], "a");
            assert_string_equal(o->pcaps.item[2], "c");
            assert_int_equal(o->transfer_count, 3);
            assert_int_equal(o->transfers[1].target.port, 82);
            assert_int_equal(o->fail_on.count, 2);
        },
        "-f", "a,b", "-f", "c", "-x", "80-10.0.0.5:81,81-10.0.0.5:82", "-x", "82-10.0.0.6:1",
        "--fail-on", "failed>0.1%,mismatched>0");
    REFUSED("an item of the list is empty", "-f", "a,,b");
    REFUSED("an item of the list is empty", "-f", "a,");
}

static void flags_can_be_turned_off(void **state)
{
    WITH(assert_false(o->partial), BASE, "--partial", "--no-partial");
    WITH(assert_false(o->pcap_send), BASE, "--no-pcap-send");
    WITH(assert_int_equal(o->mode, TB_MODE_DEFAULT), BASE, "--no-tun");
}

/* --- transfers -------------------------------------------------------------------------------- */

static void transfer_may_have_all_its_parts(void **state)
{
    struct tb_transfer t;
    struct tb_err err;
    char text[TB_ENDPOINT_TEXT];
    static const uint8_t mac[6] = {0x02, 0, 0x5e, 0x10, 0, 0xAb};

    assert_int_equal(tb_transfer_parse("192.0.2.1:80@02:00:5e:10:00:01-[fd00::5]:8080"
                                       "@02:00:5e:10:00:aB",
                                       &t, &err),
                     0);
    assert_true(t.has_source && t.has_src_mac && t.has_dst_mac);
    assert_int_equal(t.source_port, 80);
    assert_string_equal(tb_endpoint_format(&t.target, text), "[fd00::5]:8080");
    assert_memory_equal(t.dst_mac, mac, 6);

    assert_int_equal(tb_transfer_parse("80-127.0.0.1:8080", &t, &err), 0);
    assert_false(t.has_source || t.has_src_mac || t.has_dst_mac);
    assert_int_equal(tb_transfer_parse("[2001:db8::1]:443-10.0.0.1:443", &t, &err), 0);
    assert_true(t.has_source && !tb_addr_is_v4(&t.source));
}

static void bad_transfers_are_refused_with_the_reason(void **state)
{
    static const char *const bad[][2] = {
        {"80", "not CAPTURED-TARGET"},
        {"80-", "not ADDRESS:PORT"},
        {"-10.0.0.1:80", "captured port ''"},
        {"0-10.0.0.1:80", "captured port '0'"},
        {"80-10.0.0.1", "not ADDRESS:PORT"},
        {"80-10.0.0.1:0", "'0' is not a port"},
        {"80-10.0.0.1:70000", "'70000' is not a port"},
        {"80-10.0.0.256:80", "'10.0.0.256' is not an IP address"},
        {"80-::1:80", "brackets"},
        {"80-[::1:80", "not [ADDRESS]:PORT"},
        {"80-[::1]80", "not [ADDRESS]:PORT"},
        {"80-0.0.0.0:80", "unspecified"},
        {"80-224.0.0.1:80", "multicast"},
        {"80-10.0.0.1:80@02:00:5e", "not a MAC address"},
        {"80@gg:00:5e:10:00:01-10.0.0.1:80", "not a MAC address"},
        {"www-10.0.0.1:80", "'www' is not a port"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tb_transfer t;
        struct tb_err err = {""};
        assert_int_equal(tb_transfer_parse(bad[i][0], &t, &err), -EINVAL);
        if (!strstr(err.text, bad[i][1]))
            fail_msg("%s: '%s' is not in: %s", bad[i][0], bad[i][1], err.text);
    }
}

static void captured_server_has_one_target(void **state)
{
    REFUSED("has a target already", "-f", "a", "-x", "80-10.0.0.1:80,80-10.0.0.2:80");
    WITH(assert_int_equal(o->transfer_count, 2), "-f", "a", "-x",
         "192.0.2.1:80-10.0.0.1:80,192.0.2.2:80-10.0.0.2:80");
}

/* --- client ranges ---------------------------------------------------------------------------- */

static void ranges_have_four_notations(void **state)
{
    static const struct {
        const char *text, *first;
        uint64_t count;
    } good[] = {
        {"10.1.2.3", "10.1.2.3", 1},
        {"10.1.2.x", "10.1.2.1", 254},
        {"10.1.0.0/16", "10.1.0.1", 65534},
        {"10.1.2.77/24", "10.1.2.1", 254},
        {"10.1.2.4/30", "10.1.2.5", 2},
        {"10.1.2.4/31", "10.1.2.4", 2},
        {"10.1.2.4/32", "10.1.2.4", 1},
        {"10.1.2.250-10.1.3.5", "10.1.2.250", 12},
        {"fd00::5", "fd00::5", 1},
        {"fd00::/64", "fd00::", (uint64_t) 1 << 32},
        {"fd00::/96", "fd00::", (uint64_t) 1 << 32},
        {"fd00::1234/112", "fd00::", 65536},
        {"fd00::1:0-fd00::1:ff", "fd00::1:0", 256},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct tb_range r;
        struct tb_err err = {""};
        assert_int_equal(tb_range_parse(good[i].text, &r, &err), 0);
        assert_range(&r, good[i].first, good[i].count);
    }
}

static void bad_ranges_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "x",
        "10.1.x",
        "10.1.x.x",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/-1",
        "10.0.0.9-10.0.0.1",
        "10.0.0.1-fd00::1",
        "fd00::1-fd01::1",
        "fd00::/129",
        "0.0.0.0/0",
        "224.0.0.0/8",
        "127.0.0.0/8",
        "120.0.0.0-130.0.0.0",
        "::/96",
        "ff02::1",
        "10.0.0.1-",
        "fd00::x",
        "host.example",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tb_range r;
        struct tb_err err = {""};
        if (tb_range_parse(bad[i], &r, &err) != -EINVAL)
            fail_msg("'%s' is taken", bad[i]);
        assert_true(err.text[0] != '\0');
    }
}

static void clients_match_the_families_of_the_targets(void **state)
{
    WITH(
        {
            assert_int_equal(o->client_count, 1);
            assert_range(&o->clients[0], "fd00:19::", (uint64_t) 1 << 32);
        },
        "-f", "a", "-x", "80-[fd00::5]:80");
    WITH(assert_int_equal(o->client_count, 2), "-f", "a", "-x", "80-[fd00::5]:80,81-10.0.0.5:80");
    REFUSED("no IPv6 client address for target [fd00::5]:80", "-f", "a", "-x", "80-[fd00::5]:80",
            "-c", "10.1.0.0/16");
}

static void clients_overlap_neither_targets_nor_each_other(void **state)
{
    REFUSED("hold the target 10.0.0.5", BASE, "-c", "10.0.0.0/24");
    REFUSED("overlap", BASE, "-c", "10.1.0.0/16,10.1.7.x");
    WITH(assert_int_equal(o->client_count, 2), BASE, "-c", "10.1.0.0/24,10.1.1.0/24");
}

/* --- where responses come from ---------------------------------------------------------------- */

static void server_has_the_default_port_unless_it_names_one(void **state)
{
    static const struct {
        const char *text, *means;
    } servers[] = {{"10.0.0.9", "10.0.0.9:36524"},
                   {"10.0.0.9:99", "10.0.0.9:99"},
                   {"fd00::9", "[fd00::9]:36524"},
                   {"[fd00::9]", "[fd00::9]:36524"},
                   {"[fd00::9]:99", "[fd00::9]:99"}};

    for (unsigned i = 0; i < sizeof servers / sizeof *servers; i++) {
        struct tb_endpoint server;
        char text[TB_ENDPOINT_TEXT];
        assert_int_equal(tb_server_parse(servers[i].text, 36524, &server), 0);
        assert_string_equal(tb_endpoint_format(&server, text), servers[i].means);
    }
}

static void check_target_needs_no_transfer(void **state)
{
    WITH(
        {
            assert_int_equal(o->transfer_count, 0);
            assert_int_equal(o->client_count, 2); /* of each family */
        },
        "--check-target", "-s", "10.0.0.9");
    WITH(assert_int_equal(o->client_count, 1), "--check-target", "-c", "10.9.0.0/24", "-s",
         "10.0.0.9");
}

static void intercept_is_local_or_a_list_of_servers(void **state)
{
    WITH(
        {
            assert_int_equal(o->mode, TB_MODE_LOCAL);
            assert_string_equal(o->local_device, "eth0");
        },
        BASE, "-s", "local:eth0");
    WITH(
        {
            assert_int_equal(o->mode, TB_MODE_INTERCEPT);
            assert_int_equal(o->intercepts.count, 6);
        },
        BASE, "-s", "10.0.0.9,10.0.0.9:36525", "-s", "fd00::9,[fd00::9]:99", "-s",
        "assistant-1.lab,assistant:36525");
    WITH(assert_int_equal(o->mode, TB_MODE_TUN), BASE, "--tun");
    REFUSED("stand alone", BASE, "-s", "local:eth0,10.0.0.9");
    REFUSED("stand alone", BASE, "-s", "10.0.0.9,local:eth0");
    REFUSED("not the name of a network device", BASE, "-s", "local:");
    REFUSED("not the name of a network device", BASE, "-s", "local:a-very-long-device-name");
    REFUSED("neither local:IFACE nor an address", BASE, "-s", "10.0.0");
    REFUSED("neither local:IFACE nor an address", BASE, "-s", "[assistant]:36524");
    REFUSED("neither local:IFACE nor an address", BASE, "-s", "[fd00::9");
    REFUSED("neither local:IFACE nor an address", BASE, "-s", "10.0.0.9:99999");
    REFUSED("neither local:IFACE nor an address", BASE, "-s", "10.0.0.9@36524");
    REFUSED("neither local:IFACE nor an address", BASE, "-s", "10.0.0.9:");
}

static void intercept_servers_are_addresses_or_names(void **state)
{
    static const struct {
        const char *text, *addr;
        uint16_t port;
    } servers[] = {{"10.0.0.9", "10.0.0.9", 36524},
                   {"10.0.0.9:99", "10.0.0.9", 99},
                   {"fd00::9", "fd00::9", 36524},
                   {"[fd00::9]", "fd00::9", 36524},
                   {"[fd00::9]:99", "fd00::9", 99}};
    struct tb_endpoint e;
    struct tb_addr addr, loopback;

    (void) state;
    for (size_t i = 0; i < sizeof servers / sizeof *servers; i++) {
        assert_int_equal(tb_server_parse(servers[i].text, 36524, &e), 0);
        assert_int_equal(tb_addr_parse(servers[i].addr, &addr), 0);
        assert_true(tb_addr_eq(&e.addr, &addr));
        assert_int_equal(e.port, servers[i].port);
    }
    assert_int_equal(tb_server_parse("localhost:99", 36524, &e), 0); /* of /etc/hosts */
    assert_int_equal(tb_addr_parse("127.0.0.1", &addr), 0);
    assert_int_equal(tb_addr_parse("::1", &loopback), 0);
    assert_true(tb_addr_eq(&e.addr, &addr) || tb_addr_eq(&e.addr, &loopback));
    assert_int_equal(e.port, 99);
}

/* --- checks of the whole ---------------------------------------------------------------------- */

static void what_is_needed_must_be_given(void **state)
{
    REFUSED("no transfer given", "-f", "a");
    REFUSED("no transfer given", "--check");
    REFUSED("no capture given", "-x", "80-10.0.0.5:80");
    WITH(assert_true(o->check), "-x", "80-10.0.0.5:80", "--check");
    REFUSED("later version", BASE, "--html", "r.html");
    REFUSED("later version", BASE, "--metrics", "127.0.0.1:9100");
    REFUSED("--pcap-send", BASE, "--no-pcap-send", "-o", "eth0");
    REFUSED("--duration", BASE, "--loop", "0");
    WITH(assert_true(o->dry_run), BASE, "--dump", "out.pcap");
}

static void rivals_exclude_each_other(void **state)
{
    REFUSED("exclude each other", BASE, "--rate", "10", "-i", "5");
    REFUSED("exclude each other", BASE, "--rate", "10", "-A", "5");
    REFUSED("exclude each other", BASE, "--tun", "-s", "10.0.0.9");
    REFUSED("exclude each other", BASE, "--comet", "--module", "http");
    WITH(assert_string_equal(o->module, "comet"), BASE, "--comet");
}

static void shard_is_k_of_n(void **state)
{
    WITH(
        {
            assert_int_equal(o->shard, 2);
            assert_int_equal(o->shards, 4);
        },
        BASE, "--shard", "2/4");
    REFUSED("1 <= K <= N", BASE, "--shard", "0/4");
    REFUSED("1 <= K <= N", BASE, "--shard", "5/4");
    REFUSED("1 <= K <= N", BASE, "--shard", "2");
    REFUSED("1 <= K <= N", BASE, "--shard", "2/4x");
}

static void mss_fits_the_mtu(void **state)
{
    tb_log_set_level(TB_LOG_ERROR);
    WITH(assert_int_equal(o->mss, 1360), BASE, "-M", "1400");
    WITH(assert_int_equal(o->mss, 1360), BASE, "-M", "1400", "-S", "1400");
    WITH(assert_int_equal(o->mss, 1300), BASE, "-M", "1400", "-S", "1300");
    WITH(assert_int_equal(o->mss, 1440), "-f", "a", "-x", "80-[fd00::5]:80");
    REFUSED("at least 1280", "-f", "a", "-x", "80-[fd00::5]:80", "-M", "1279");
    REFUSED("from 68 to 65535", BASE, "-M", "67");
    REFUSED("from 48 to 65495", BASE, "-S", "47");
    tb_log_set_level(TB_LOG_INFO);
}

/* --- JSON file -------------------------------------------------------------------------------- */

static void file_sets_every_kind_of_option(void **state)
{
    const char *path = json_file("{ \"transfer\": [\"80-10.0.0.5:80\", \"81-10.0.0.5:81\"],\n"
                                 "  \"pcap\": \"a.pcap,b.pcap\", \"users\": 9, \"timeout\": 2.5,\n"
                                 "  \"accelerate\": 2, \"tun\": true, \"client-order\": 1,\n"
                                 "  \"shard\": \"1/2\", \"report\": \"r.json\", \"loop\": 3,\n"
                                 "  \"modules\": {\"http\": {\"check\": [\"status\"]}} }\n");
    WITH(
        {
            json_t *config = NULL;
            struct tb_err err;
            assert_int_equal(o->transfer_count, 2);
            assert_int_equal(o->pcaps.count, 2);
            assert_int_equal(o->users, 9);
            assert_true(o->timeout_s == 2.5 && o->accelerate == 2);
            assert_int_equal(o->mode, TB_MODE_TUN);
            assert_true(o->ports_first && o->has_loop);
            assert_int_equal(o->shards, 2);
            assert_string_equal(o->report, "r.json");
            assert_int_equal(tb_options_module_config(o, "http", &config, &err), 0);
            assert_non_null(json_object_get(config, "check"));
            json_decref(config);
            assert_int_equal(tb_options_module_config(o, "mysql", &config, &err), 0);
            assert_int_equal(json_object_size(config), 0);
            json_decref(config);
        },
        "--config", path);
    unlink(path);
}

static void command_line_wins_over_the_file(void **state)
{
    const char *path = json_file("{\"users\": 9, \"pcap\": [\"x\", \"y\"], \"tun\": true,\n"
                                 " \"start-rate\": 5, \"module\": \"http\"}");
    WITH(
        {
            assert_int_equal(o->users, 7);
            assert_int_equal(o->pcaps.count, 1);
            assert_string_equal(o->pcaps.item[0], "a.pcap");
        },
        BASE, "-u", "7", "--config", path);
    WITH(
        {
            assert_int_equal(o->mode, TB_MODE_LOCAL);
            assert_true(o->has_rate && o->rate == 10);
            assert_int_equal(o->start_rate, 1024);
            assert_string_equal(o->module, "comet");
        },
        "--config", path, BASE, "-s", "local:lo", "--rate", "10", "--comet");
    WITH(assert_int_equal(o->mode, TB_MODE_DEFAULT), "--config", path, BASE, "--no-tun");
    unlink(path);
}

static void file_errors_name_file_line_and_key(void **state)
{
    static const struct {
        const char *text, *where;
    } bad[] = {
        {"{\n \"users\": \"7\"\n}", ":2: \"users\": must be a whole number"},
        {"{\n\n \"users\": 7.5}", ":3: \"users\": must be a whole number"},
        {"{\"users\": 0}", ":1: \"users\": must be a whole number from 1"},
        {"{\"users\": -3}", "not -3"},
        {"{\"users\": 99999999999999999999}", ":1: "},
        {"{\"users\": null}", "not null"},
        {"{\"tun\": 1}", ":1: \"tun\": must be true or false, not a whole number"},
        {"{\"report\": 1}", "must be a text"},
        {"{\"pcap\": [\"a\", 3]}", "must hold strings only"},
        {"{\"pcap\": {}}", "must be a list, FILE,..., not an object"},
        {"{\"timeout\": \"5\"}", "must be a number from"},
        {"{\n\"usres\": 7}", ":2: \"usres\": unknown key; did you mean users?"},
        {"{\"help\": true}", "command line only"},
        {"{\"config\": \"b\"}", "command line only"},
        {"{\"modules\": []}", "\"modules\": must be an object"},
        {"{\"modules\": {\"http\": 1}}", "\"http\" must be an object"},
        {"{\"modules\": {\"users\": {}},\n\"users\": 0}", ":2: \"users\""},
        {"{\"log\": \"users\", \n \"users\"\n:0}", ":2: \"users\""},
        {"{\"users\": 7,\n \"users\": 8}", ":2: duplicate"},
        {"{\n\"users\": 7,\n}", ":3: "},
        {"[1]", ":1: must be a JSON object"},
        {"", ":1: "},
        {"{\"transfer\": \"80-nowhere\"}", "\"transfer\": '80-nowhere'"},
        {"{\"log\": \"\"}", "must not be empty"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *path = json_file(bad[i].text);
        struct parsed p = PARSE("-d", "--config", path);
        assert_int_equal(p.rc, -EINVAL);
        if (!strstr(p.err.text, bad[i].where) || !strstr(p.err.text, path))
            fail_msg("'%s' is not in: %s", bad[i].where, p.err.text);
        tb_options_free(&p.o);
        unlink(path);
    }
    REFUSED("cannot open '/nonexistent/tcpburn.json'", BASE, "--config",
            "/nonexistent/tcpburn.json");
    REFUSED("cannot read", BASE, "--config", "/tmp");
}

static void rivals_in_the_file_clash_as_well(void **state)
{
    const char *path = json_file("{\"rate\": 5, \"start-rate\": 7}");
    REFUSED("exclude each other", BASE, "--config", path);
    unlink(path);
    path = json_file("{\"tun\": false, \"intercept\": [\"10.0.0.9\"]}");
    WITH(assert_int_equal(o->mode, TB_MODE_INTERCEPT), BASE, "--config", path);
    unlink(path);
}

static void module_config_file_has_three_shapes(void **state)
{
    static const char *const shapes[] = {
        "{\"password\": \"x\"}",
        "{\"mysql\": {\"password\": \"x\"}}",
        "{\"modules\": {\"mysql\": {\"password\": \"x\"}, \"http\": {}}}",
    };
    for (size_t i = 0; i < 3; i++) {
        const char *path = json_file(shapes[i]);
        WITH(
            {
                json_t *config = NULL;
                struct tb_err err;
                assert_int_equal(tb_options_module_config(o, "mysql", &config, &err), 0);
                assert_string_equal(json_string_value(json_object_get(config, "password")), "x");
                json_decref(config);
            },
            BASE, "--module-config", path);
        unlink(path);
    }
}

static void broken_module_config_file_is_named(void **state)
{
    const char *path = json_file("{\n\"password\" \"x\"}");
    WITH(
        {
            json_t *config = NULL;
            struct tb_err err = {""};
            assert_int_equal(tb_options_module_config(o, "mysql", &config, &err), -EINVAL);
            assert_non_null(strstr(err.text, ":2: "));
            assert_null(config);
        },
        BASE, "--module-config", path);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_documented_defaults),
        cmocka_unit_test(short_and_long_names_mean_the_same),
        cmocka_unit_test(numbers_are_strict),
        cmocka_unit_test(seconds_may_have_a_fraction),
        cmocka_unit_test(says_what_is_wrong_with_the_usage),
        cmocka_unit_test(help_and_version_need_nothing_else),
        cmocka_unit_test(lists_repeat_or_take_commas),
        cmocka_unit_test(flags_can_be_turned_off),
        cmocka_unit_test(transfer_may_have_all_its_parts),
        cmocka_unit_test(bad_transfers_are_refused_with_the_reason),
        cmocka_unit_test(captured_server_has_one_target),
        cmocka_unit_test(ranges_have_four_notations),
        cmocka_unit_test(bad_ranges_are_refused),
        cmocka_unit_test(clients_match_the_families_of_the_targets),
        cmocka_unit_test(clients_overlap_neither_targets_nor_each_other),
        cmocka_unit_test(intercept_is_local_or_a_list_of_servers),
        cmocka_unit_test(intercept_servers_are_addresses_or_names),
        cmocka_unit_test(server_has_the_default_port_unless_it_names_one),
        cmocka_unit_test(check_target_needs_no_transfer),
        cmocka_unit_test(what_is_needed_must_be_given),
        cmocka_unit_test(rivals_exclude_each_other),
        cmocka_unit_test(shard_is_k_of_n),
        cmocka_unit_test(mss_fits_the_mtu),
        cmocka_unit_test(file_sets_every_kind_of_option),
        cmocka_unit_test(command_line_wins_over_the_file),
        cmocka_unit_test(file_errors_name_file_line_and_key),
        cmocka_unit_test(rivals_in_the_file_clash_as_well),
        cmocka_unit_test(module_config_file_has_three_shapes),
        cmocka_unit_test(broken_module_config_file_is_named),
        TABLE_TESTS,
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
