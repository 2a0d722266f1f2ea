/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcpcopy's options: what the command line and the JSON file give, and what is refused with which
 * words. What it shares with tcpburn (transfers, ranges, sizes) is tested in config_test.c.
 */
#include "config/tcpcopy.h"
#define RIG_PROGRAM "tcpcopy"
#define RIG_OPTIONS struct tb_tcpcopy_options
#define RIG_PARSE   tb_tcpcopy_options_parse
#define RIG_FREE    tb_tcpcopy_options_free
#define RIG_SET     tb_tcpcopy_set
#include "config_rig.h"

#include "config.h"

/* What every copy needs, so that tests name only what they are about. */
#define BASE "-x", "80-10.0.0.5:80", "-s", "10.0.0.9"

static bool same(struct tb_addr a, const char *text)
{
    char buf[TB_ADDR_TEXT];
    return !strcmp(tb_addr_format(&a, buf), text);
}

/* --- what is given ---------------------------------------------------------------------------- */

static void gives_documented_defaults(void **state)
{
    WITH(
        {
            assert_false(o->pcap_capture || o->vxlan || o->offline || o->has_localhost);
            assert_false(o->gradual || o->no_wait || o->run.has_duration);
            assert_int_equal(o->devices.count, 0);
            assert_int_equal(o->run.pcaps.count, 0);
            assert_int_equal(o->buffer_mb, 64);
            assert_int_equal(o->snaplen, 0);
            assert_int_equal(o->vxlan_port, 4789);
            assert_int_equal(o->percent, 100);
            assert_int_equal(o->replicas, 1);
            assert_int_equal(o->port_shift, 0);
            assert_int_equal(o->memory_mb, 1024);
            assert_true(o->max_cpu == 0 && o->keepalive_s == 7500 && o->run.timeout_s == 120);
            assert_true(o->offline_accelerate == 1);
            assert_int_equal(o->offline_gap_ms, 0);
            assert_int_equal(o->offline_loops, 1);
            assert_int_equal(o->run.intercept_port, 36524);
            assert_int_equal(o->run.mtu, 1500);
            assert_int_equal(o->run.mss, 1460);
            assert_true(o->run.grace_s == 5 && o->run.close_wait_s == 1);
            assert_int_equal(o->run.quiet_ms, 200);
            assert_int_equal(o->run.workers, 0);
            assert_int_equal(o->run.pcap_send, TB_DEFAULT_PCAP_SEND);
            assert_int_equal(o->run.single, TB_DEFAULT_SINGLE);
            assert_int_equal(o->run.comet, TB_DEFAULT_COMET);
        },
        BASE);
}

static void what_only_tcpburn_can_change_has_its_neutral_value(void **state)
{
    WITH(
        {
            assert_true(o->run.accelerate == 1 && o->run.hold_s == 0 && o->run.rate == 0);
            assert_int_equal(o->run.loop, 1);
            assert_int_equal(o->run.shard, 1);
            assert_int_equal(o->run.shards, 1);
        },
        BASE, "--offline", "-i", "a.pcap", "-a", "3", "-T", "7");
}

static void real_client_addresses_are_the_default(void **state)
{
    WITH(
        {
            assert_int_equal(o->run.mode, TB_MODE_INTERCEPT);
            assert_int_equal(o->run.client_count, 0);
        },
        BASE);
    WITH(assert_int_equal(o->run.client_count, 0), BASE, "--check");
    WITH(assert_int_equal(o->run.client_count, 2), BASE, "-c", "198.19.0.0/24,198.19.7.x");
}

static void classic_letters_have_their_classic_meaning(void **state)
{
    WITH(
        {
            assert_int_equal(o->run.transfer_count, 2);
            assert_true(o->has_localhost && same(o->localhost, "198.18.0.1"));
            assert_int_equal(o->run.client_count, 1);
            assert_int_equal(o->replicas, 3);
            assert_int_equal(o->port_shift, 1023);
            assert_int_equal(o->memory_mb, 256);
            assert_int_equal(o->run.mtu, 1400);
            assert_int_equal(o->run.mss, 1300);
            assert_int_equal(o->run.channels, 4);
            assert_int_equal(o->run.intercepts.count, 2);
            assert_true(o->run.timeout_s == 60 && o->keepalive_s == 300);
            assert_string_equal(o->run.log, "copy.log");
            assert_int_equal(o->percent, 25);
            assert_int_equal(o->run.intercept_port, 36525);
            assert_string_equal(o->run.pid_file, "copy.pid");
            assert_true(o->gradual && o->no_wait && o->run.daemon);
        },
        "-x", "80-10.0.0.5:80,81-10.0.0.5:81", "-H", "198.18.0.1", "-c", "198.19.0.x", "-n", "3",
        "-f", "1023", "-m", "256", "-M", "1400", "-D", "1300", "-C", "4", "-s",
        "10.0.0.9,10.0.0.10:99", "-t", "60", "-k", "300", "-l", "copy.log", "-r", "25", "-p",
        "36525", "-P", "copy.pid", "-gWd");
}

static void classic_letters_without_effect_are_taken_and_checked(void **state)
{
    WITH(
        {
            assert_int_equal(o->default_rtt_ms, 30);
            assert_int_equal(o->session_pool_kb, 4);
            assert_true(o->full_sessions && o->lonely);
        },
        BASE, "-R", "30", "-U", "4", "-O", "-L");
    REFUSED("-R, --default-rtt: must be a whole number from 0 to 60000", BASE, "-R", "fast");
    REFUSED("-U, --session-pool: must be a whole number from 1", BASE, "-U", "0");
}

static void long_names_are_the_same_options(void **state)
{
    WITH(
        {
            assert_true(same(o->localhost, "198.18.0.1"));
            assert_int_equal(o->replicas, 3);
            assert_int_equal(o->port_shift, 7);
            assert_int_equal(o->memory_mb, 256);
            assert_int_equal(o->run.mss, 1300);
            assert_int_equal(o->percent, 25);
            assert_true(o->keepalive_s == 9.5 && o->max_cpu == 50);
            assert_true(o->gradual && o->no_wait && o->full_sessions && o->lonely);
        },
        BASE, "--localhost-address", "198.18.0.1", "--replicas=3", "--port-shift=7", "--memory",
        "256", "--mss=1300", "--percent", "25", "--keepalive=9.5", "--max-cpu=50", "--gradual",
        "--no-wait", "--default-rtt=1", "--session-pool=1", "--full-sessions", "--lonely");
}

static void what_it_shares_with_tcpburn_is_there(void **state)
{
    WITH(
        {
            assert_string_equal(o->run.module, "mysql");
            assert_string_equal(o->run.module_dir, "dir");
            assert_string_equal(o->run.module_config, "file");
            assert_string_equal(o->run.report, "r.json");
            assert_int_equal(o->run.fail_on.count, 2);
            assert_true(o->run.has_duration && o->run.duration_s == 2 && o->run.grace_s == 1);
            assert_int_equal(o->run.workers, 2);
            assert_string_equal(o->run.user, "daemon");
            assert_string_equal(o->run.psk_file, "key");
            assert_int_equal(o->run.quiet_ms, 50);
            assert_true(o->run.close_wait_s == 2 && o->run.verbose && o->run.single);
            assert_true(o->run.check);
        },
        BASE, "--module", "mysql", "--module-dir", "dir", "--module-config", "file", "--report",
        "r.json", "--fail-on", "failed>0,mismatched>0", "--duration", "2", "--grace", "1",
        "--workers", "2", "--user", "daemon", "--psk-file", "key", "--quiet", "50", "--close-wait",
        "2", "--verbose", "--single", "--check");
    WITH(assert_string_equal(o->run.module, "comet"), BASE, "--comet");
    WITH(assert_int_equal(o->run.outputs.count, 2), BASE, "--pcap-send", "-o", "eth0,eth1");
}

static void help_and_version_need_nothing_else(void **state)
{
    WITH(assert_true(o->run.help), "-h");
    WITH(assert_true(o->run.version), "-v", "--nonsense");
}

/* --- where sessions are seen ------------------------------------------------------------------ */

static void devices_and_files_are_both_given_with_i(void **state)
{
    WITH(
        {
            assert_true(o->pcap_capture);
            assert_int_equal(o->devices.count, 2);
            assert_string_equal(o->devices.item[1], "mirror0");
            assert_int_equal(o->run.pcaps.count, 0);
            assert_string_equal(o->run.filter, "tcp port 80");
            assert_int_equal(o->buffer_mb, 64);
            assert_int_equal(o->snaplen, 2000);
        },
        BASE, "--pcap-capture", "-i", "eth0,mirror0", "-F", "tcp port 80", "-B", "64", "-S",
        "2000");
    WITH(
        {
            assert_true(o->offline);
            assert_int_equal(o->devices.count, 0);
            assert_int_equal(o->run.pcaps.count, 2);
            assert_string_equal(o->run.pcaps.item[1], "dir/b.pcap.gz");
            assert_true(o->offline_accelerate == 2.5);
            assert_int_equal(o->offline_gap_ms, 500);
            assert_int_equal(o->offline_loops, 3);
            assert_string_equal(o->run.filter, "tcp");
        },
        BASE, "--offline", "-i", "a.pcap,dir/b.pcap.gz", "-a", "2.5", "-I", "500", "-T", "3", "-F",
        "tcp");
    REFUSED("'../etc' is not the name of a network device", BASE, "--pcap-capture", "-i", "../etc");
}

static void what_needs_company_says_which(void **state)
{
    REFUSED("-i, --input belongs to --pcap-capture (devices) or --offline (files)", BASE, "-i",
            "eth0");
    REFUSED("-S, --snaplen belongs to --pcap-capture", BASE, "-S", "0");
    REFUSED("-F, --filter belongs to --pcap-capture or --offline", BASE, "-F", "tcp");
    REFUSED("-B, --buffer belongs to", BASE, "--offline", "-i", "a", "-B", "16");
    REFUSED("-S, --snaplen belongs to", BASE, "--offline", "-i", "a", "-S", "96");
    REFUSED("-a, --accelerate belongs to --offline", BASE, "-a", "2");
    REFUSED("-I, --longest-gap belongs to --offline", BASE, "--pcap-capture", "-I", "2");
    REFUSED("-T, --loop belongs to --offline", BASE, "-T", "2");
    REFUSED("--vxlan-port belongs to --vxlan", BASE, "--vxlan-port", "4790");
    REFUSED("-o names devices for --pcap-send", BASE, "--no-pcap-send", "-o", "eth0");
    REFUSED("--offline: no capture given: add -i FILE", BASE, "--offline");
}

static void vxlan_goes_with_both_live_captures(void **state)
{
    WITH(assert_true(o->vxlan && !o->pcap_capture), BASE, "--vxlan");
    WITH(
        {
            assert_true(o->vxlan && o->pcap_capture);
            assert_int_equal(o->vxlan_port, 4790);
        },
        BASE, "--vxlan", "--vxlan-port", "4790", "--pcap-capture", "-i", "eth1");
}

static void recorded_sessions_exclude_live_ones(void **state)
{
    REFUSED("--pcap-capture and --offline exclude each other", BASE, "--offline", "-i", "a",
            "--pcap-capture");
    REFUSED("--vxlan and --offline exclude each other", BASE, "--offline", "-i", "a", "--vxlan");
}

/* --- the way back ----------------------------------------------------------------------------- */

static void one_way_back_is_needed(void **state)
{
    REFUSED("no transfer given", "-s", "10.0.0.9");
    REFUSED("say how the target's responses come back", "-x", "80-10.0.0.5:80");
    REFUSED("say how the target's responses come back", "-x", "80-10.0.0.5:80", "-c",
            "198.19.0.0/16");
    REFUSED("say how the target's responses come back", "-x", "80-127.0.0.1:8080", "-c",
            "198.19.0.0/16", "--no-tun");
    REFUSED("--tun and -s, --intercept exclude each other", BASE, "--tun", "-c", "198.19.0.0/16");
    WITH(assert_int_equal(o->run.intercepts.count, 2), "-x", "80-10.0.0.5:80", "-s",
         "10.0.0.9,[fd00::9]:99");
}

static void responses_come_to_this_host_only_for_clients_that_nobody_is(void **state)
{
    static const char real_ones[] = "real ones must never be routed away from live clients";

    REFUSED("-s local: needs -c", "-x", "80-10.0.0.5:80", "-s", "local:eth0");
    REFUSED(real_ones, "-x", "80-10.0.0.5:80", "-s", "local:eth0");
    REFUSED("--tun needs -c", "-x", "80-10.0.0.5:8080", "--tun");
    REFUSED("is on this machine", "-x", "80-127.0.0.1:8080", "-s", "10.0.0.9");
    REFUSED(real_ones, "-x", "80-10.0.0.5:8080", "--tun", "-H", "198.18.0.7");
    REFUSED(real_ones, "-x", "80-10.0.0.5:80", "--offline", "-i", "a.pcap", "--tun");
    WITH(assert_int_equal(o->run.mode, TB_MODE_TUN), "-x", "80-127.0.0.1:8080", "--tun", "-c",
         "198.19.0.0/16");
    WITH(assert_string_equal(o->run.local_device, "eth0"), "-x", "80-10.0.0.5:80", "-s",
         "local:eth0", "-c", "198.19.0.0/16");
}

static void clients_are_checked_as_tcpburn_does(void **state)
{
    REFUSED("hold the target 10.0.0.5", BASE, "-c", "10.0.0.0/24");
    REFUSED("overlap", BASE, "-c", "198.19.0.0/16,198.19.7.x");
    REFUSED("no IPv6 client address for target [fd00::5]:80", "-x", "80-[fd00::5]:80", "-s",
            "10.0.0.9", "-c", "198.19.0.0/16");
}

static void localhost_address_is_one_that_a_client_can_have(void **state)
{
    WITH(assert_true(same(o->localhost, "fd00:18::7")), BASE, "-H", "fd00:18::7");
    REFUSED("-H, --localhost-address: must be one address", BASE, "-H", "198.18.0.0/24");
    REFUSED("loopback", BASE, "-H", "127.0.0.1");
    REFUSED("multicast", BASE, "-H", "224.0.0.1");
    REFUSED("'host'", BASE, "-H", "host");
    REFUSED("10.0.0.5 is the target", BASE, "-H", "10.0.0.5");
}

/* --- no copies of copies ---------------------------------------------------------------------- */

static void live_service_is_no_target(void **state)
{
    REFUSED("10.0.0.5:80 is a target and a live service", "-x", "10.0.0.5:80-10.0.0.5:80", "-s",
            "10.0.0.9");
    REFUSED("10.0.0.6:81 is a target and a live service", "-x",
            "10.0.0.5:80-10.0.0.6:81,10.0.0.6:81-10.0.0.7:80", "-s", "10.0.0.9");
    REFUSED("target 127.0.0.1:80 is on this machine, whose port 80 is live", "-x",
            "80-127.0.0.1:80", "--tun", "-c", "198.19.0.0/16");
    REFUSED("target 127.0.0.1:81 is on this machine", "-x", "80-127.0.0.1:81,81-10.0.0.5:81",
            "--tun", "-c", "198.19.0.0/16");
    REFUSED("target [::1]:80 is on this machine", "-x", "80-[::1]:80", "-s", "10.0.0.9", "-c",
            "fd00:19::/64");
}

static void same_port_elsewhere_is_a_target(void **state)
{
    WITH(assert_int_equal(o->run.transfer_count, 1), BASE);
    WITH(assert_int_equal(o->run.transfer_count, 1), "-x", "10.0.0.4:80-10.0.0.5:80", "-s",
         "10.0.0.9");
    WITH(assert_int_equal(o->run.transfer_count, 1), "-x", "10.0.0.4:80-127.0.0.1:80", "--tun",
         "-c", "198.19.0.0/16");
    WITH(assert_int_equal(o->run.transfer_count, 1), "-x", "80-127.0.0.1:8080", "--tun", "-c",
         "198.19.0.0/16");
}

static void recorded_sessions_may_go_to_their_own_server(void **state)
{
    WITH(assert_int_equal(o->run.transfer_count, 1), "-x", "10.0.0.5:80-10.0.0.5:80", "-s",
         "10.0.0.9", "--offline", "-i", "a.pcap");
    WITH(assert_int_equal(o->run.transfer_count, 1), "-x", "80-127.0.0.1:80", "--tun", "-c",
         "198.19.0.0/16", "--offline", "-i", "a.pcap");
}

/* --- bounds and words ------------------------------------------------------------------------- */

static void numbers_have_bounds(void **state)
{
    REFUSED("-n, --replicas: must be a whole number from 1 to 1023, not '0'", BASE, "-n", "0");
    REFUSED("not '1024'", BASE, "-n", "1024");
    REFUSED("-f, --port-shift: must be a whole number from 0 to 1023", BASE, "-f", "1024");
    REFUSED("-r, --percent: must be a whole number from 1 to 100", BASE, "-r", "0");
    REFUSED("not '101'", BASE, "-r", "101");
    REFUSED("not '2.5'", BASE, "-r", "2.5");
    REFUSED("-m, --memory: must be", BASE, "-m", "0");
    REFUSED("-M, --mtu: must be", BASE, "-M", "67");
    REFUSED("-D, --mss: must be", BASE, "-D", "47");
    REFUSED("-C, --channels: must be a whole number from 1 to 16", BASE, "-C", "17");
    REFUSED("-t, --timeout: must be", BASE, "-t", "0");
    REFUSED("-k, --keepalive: must be", BASE, "-k", "0.5");
    REFUSED("-p, --intercept-port: must be", BASE, "-p", "65536");
    REFUSED("--max-cpu: must be", BASE, "--max-cpu", "-1");
    REFUSED("-B, --buffer: must be", BASE, "--pcap-capture", "-B", "0");
    REFUSED("not '2048'", BASE, "--pcap-capture", "-B", "2048"); /* of the kernel's rings */
    REFUSED("-S, --snaplen: must be", BASE, "--pcap-capture", "-S", "262145");
    REFUSED("-a, --accelerate: must be", BASE, "--offline", "-i", "a", "-a", "0");
    REFUSED("-T, --loop: must be", BASE, "--offline", "-i", "a", "-T", "0");
    REFUSED("--vxlan-port: must be", BASE, "--vxlan", "--vxlan-port", "0");
    WITH(assert_int_equal(o->replicas * o->percent + o->port_shift, 1023 * 1 + 1023), BASE, "-n",
         "1023", "-r", "1", "-f", "1023");
}

static void says_what_is_wrong_with_the_usage(void **state)
{
    REFUSED("did you mean --replicas?", BASE, "--replicass=3");
    REFUSED("unknown option '-e'", BASE, "-e");
    REFUSED("devices and captures are given with -i", BASE, "a.pcap");
}

static void later_parts_say_so(void **state)
{
    REFUSED("--html: the HTML report comes in a later version", BASE, "--html", "r.html");
    REFUSED("--metrics: the Prometheus endpoint comes in a later version", BASE, "--metrics",
            "127.0.0.1:9100");
}

/* --- JSON file -------------------------------------------------------------------------------- */

static void file_takes_every_long_name(void **state)
{
    const char *path = json_file(
        "{ \"transfer\": [\"80-10.0.0.5:80\"], \"intercept\": \"10.0.0.9\", \"percent\": 25,\n"
        "  \"replicas\": 2, \"port-shift\": 3, \"memory\": 64, \"keepalive\": 10.5,\n"
        "  \"localhost-address\": \"198.18.0.7\", \"max-cpu\": 80, \"pcap-capture\": true,\n"
        "  \"input\": [\"eth0\", \"eth1\"], \"filter\": \"tcp\", \"buffer\": 32, \"gradual\": "
        "true,\n"
        "  \"vxlan\": true, \"vxlan-port\": 4790, \"mss\": 1200, \"no-wait\": true,\n"
        "  \"modules\": {\"mysql\": {\"user\": \"test\"}} }\n");
    WITH(
        {
            assert_int_equal(o->percent, 25);
            assert_int_equal(o->replicas, 2);
            assert_int_equal(o->port_shift, 3);
            assert_int_equal(o->memory_mb, 64);
            assert_true(o->keepalive_s == 10.5 && o->max_cpu == 80);
            assert_true(same(o->localhost, "198.18.0.7"));
            assert_true(o->pcap_capture && o->gradual && o->vxlan && o->no_wait);
            assert_int_equal(o->devices.count, 2);
            assert_int_equal(o->buffer_mb, 32);
            assert_int_equal(o->vxlan_port, 4790);
            assert_int_equal(o->run.mss, 1200);
            assert_non_null(json_object_get(o->run.modules, "mysql"));
        },
        "--config", path);
    unlink(path);
}

static void command_line_wins_over_the_file(void **state)
{
    const char *path =
        json_file("{\"percent\": 25, \"tun\": true, \"clients\": \"198.19.0.0/16\",\n"
                  " \"pcap-capture\": true}");
    WITH(
        {
            assert_int_equal(o->percent, 50);
            assert_int_equal(o->run.mode, TB_MODE_INTERCEPT);
            assert_int_equal(o->run.client_count, 1);
            assert_true(o->offline && !o->pcap_capture);
            assert_int_equal(o->run.pcaps.count, 1);
        },
        "--config", path, BASE, "-r", "50", "--offline", "-i", "a.pcap");
    unlink(path);
}

static void file_errors_name_file_line_and_key(void **state)
{
    static const char *const bad[][2] = {
        {"{\n \"percent\": 101}", ":2: \"percent\": must be a whole number from 1 to 100"},
        {"{\n\n \"replicas\": \"3\"}", ":3: \"replicas\": must be a whole number"},
        {"{\"localhost-address\": 7}", "\"localhost-address\": must be a text, ADDR"},
        {"{\"localhost-address\": \"::1/0\"}", "\"localhost-address\": "},
        {"{\"percnt\": 5}", "unknown key; did you mean percent?"},
        {"{\"users\": 5}", "unknown key"},
        {"{\"input\": {}}", "must be a list, WHERE,..., not an object"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *path = json_file(bad[i][0]);
        REFUSED(bad[i][1], BASE, "--config", path);
        unlink(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_documented_defaults),
        cmocka_unit_test(what_only_tcpburn_can_change_has_its_neutral_value),
        cmocka_unit_test(real_client_addresses_are_the_default),
        cmocka_unit_test(classic_letters_have_their_classic_meaning),
        cmocka_unit_test(classic_letters_without_effect_are_taken_and_checked),
        cmocka_unit_test(long_names_are_the_same_options),
        cmocka_unit_test(what_it_shares_with_tcpburn_is_there),
        cmocka_unit_test(help_and_version_need_nothing_else),
        cmocka_unit_test(devices_and_files_are_both_given_with_i),
        cmocka_unit_test(what_needs_company_says_which),
        cmocka_unit_test(vxlan_goes_with_both_live_captures),
        cmocka_unit_test(recorded_sessions_exclude_live_ones),
        cmocka_unit_test(one_way_back_is_needed),
        cmocka_unit_test(responses_come_to_this_host_only_for_clients_that_nobody_is),
        cmocka_unit_test(clients_are_checked_as_tcpburn_does),
        cmocka_unit_test(localhost_address_is_one_that_a_client_can_have),
        cmocka_unit_test(live_service_is_no_target),
        cmocka_unit_test(same_port_elsewhere_is_a_target),
        cmocka_unit_test(recorded_sessions_may_go_to_their_own_server),
        cmocka_unit_test(numbers_have_bounds),
        cmocka_unit_test(says_what_is_wrong_with_the_usage),
        cmocka_unit_test(later_parts_say_so),
        cmocka_unit_test(file_takes_every_long_name),
        cmocka_unit_test(command_line_wins_over_the_file),
        cmocka_unit_test(file_errors_name_file_line_and_key),
        TABLE_TESTS,
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
