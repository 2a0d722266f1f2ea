/* SPDX-License-Identifier: BSD-2-Clause */
/* The JSON report, the summary, --fail-on and the status line (core/report), merging statistics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "report/advice.h"
#include "report/report.h"
#include "report/units.h"
#include "trace/trace.h"

/* A run of ten sessions that goes well; tests change what they are about. */
struct run {
    struct tb_stats stats;
    struct tb_skip skipped[2];
    struct tb_timeline_row timeline[3];
    const char *counters[1];
    struct tb_report_input in;
};

static int setup(void **state)
{
    struct run *r = calloc(1, sizeof *r);
    struct tb_stats *s = &r->stats;

    s->started = s->established = s->verdicts[TB_VERDICT_COMPLETED] = 10;
    s->requests_sent = s->requests_answered = 40;
    s->bytes_sent = 4000;
    s->bytes_received = 12345678;
    s->packets_sent = 1000;
    s->packets_received = 2000;
    s->peak = 12;
    for (int i = 1; i <= 40; i++) {
        tb_histogram_add(&s->connect, 50);
        tb_histogram_add(&s->first_byte, 900);
        tb_histogram_add(&s->response, (uint64_t) i * 1000);
        tb_histogram_add(&s->from_schedule, (uint64_t) i * 1000);
        tb_histogram_add(&s->pacing_error, 60);
    }
    r->timeline[0] = (struct tb_timeline_row){1, 10, 10, 20, 20, 0, 5000};
    r->timeline[1] = (struct tb_timeline_row){2, 5, 0, 20, 20, 0, 61200};
    r->counters[0] = "status_2xx";
    s->module[0] = 40;
    r->in = (struct tb_report_input){
        .started_us = 1769862896789000u,
        .duration_s = 2.5,
        .command = "tcpburn -x 80-10.0.0.5:80",
        .module = "http",
        .version = "0.1.0",
        .workers = 3,
        .seed = 42,
        .files = 1,
        .packets = 500,
        .trace_sessions = 5,
        .trace_requests = 20,
        .skipped = r->skipped,
        .planned_sessions = 10,
        .planned_requests = 40,
        .stats = s,
        .peak = 9,
        .timeline = r->timeline,
        .timeline_count = 2,
        .module_counter_names = r->counters,
        .module_counter_count = 1,
        .cpu_s = 0.1,
        .max_rss_bytes = 1 << 20,
    };
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void fail_sessions(struct run *r, enum tb_verdict verdict, uint64_t n)
{
    r->stats.verdicts[verdict] += n;
    r->stats.verdicts[TB_VERDICT_COMPLETED] -= n;
}

/* --- statistics ------------------------------------------------------------------------------- */

static void merge_adds_counts_and_keeps_examples_bounded(void **state)
{
    struct run *r = *state;
    struct tb_stats *sum = calloc(1, sizeof *sum), *one = &r->stats;

    one->example_count = 15;
    one->examples[0].session = 7;
    one->reason_count = 1;
    strcpy(one->reasons[0], "no password");
    fail_sessions(r, TB_VERDICT_RESET, 2);
    fail_sessions(r, TB_VERDICT_CUT, 1);
    tb_stats_merge(sum, one);
    tb_stats_merge(sum, one);

    assert_int_equal(sum->started, 20);
    assert_int_equal(sum->peak, 24);
    assert_int_equal(sum->response.count, 80);
    assert_int_equal(sum->module[0], 80);
    assert_int_equal(sum->example_count, TB_STATS_EXAMPLES);
    assert_int_equal(sum->examples[15].session, 7);
    assert_int_equal(sum->reason_count, 1);
    assert_int_equal(tb_stats_ended(sum), 20);
    assert_int_equal(tb_stats_failed(sum), 4);
    free(sum);
}

/* --- JSON ------------------------------------------------------------------------------------- */

/* Follows "a.b.c" from the report. */
static json_t *at(json_t *report, const char *path)
{
    char copy[128], *save = NULL;

    snprintf(copy, sizeof copy, "%s", path);
    for (char *key = strtok_r(copy, ".", &save); key; key = strtok_r(NULL, ".", &save)) {
        report = json_object_get(report, key);
        if (!report)
            fail_msg("%s is missing in the report", path);
    }
    return report;
}

static void assert_whole(json_t *report, const char *path, json_int_t expected)
{
    json_t *value = at(report, path);
    assert_true(json_is_integer(value));
    assert_int_equal(json_integer_value(value), expected);
}

/* Exactly these keys, in this order. */
static void assert_keys(json_t *object, const char *expected)
{
    char keys[512] = "";
    const char *key;
    json_t *value;

    assert_true(json_is_object(object));
    json_object_foreach(object, key, value)
    {
        strcat(keys, *keys ? " " : "");
        strcat(keys, key);
    }
    assert_string_equal(keys, expected);
}

static void report_has_the_keys_of_the_schema(void **state)
{
    struct run *r = *state;
    json_t *report = tb_report_json(&r->in);
    static const char h[] = "count min mean p50 p90 p99 p999 max buckets";

    assert_keys(report, "schema run trace sessions requests bytes packets latency_us "
                        "pacing_error_us timeline mismatch_examples module resources");
    assert_string_equal(json_string_value(at(report, "schema")), "tcpburn-report/1");
    assert_keys(at(report, "run"), "started duration_s command module version workers seed");
    assert_keys(at(report, "trace"), "files packets sessions requests skipped");
    assert_keys(at(report, "sessions"),
                "planned started established completed failed mismatched "
                "open peak cut late held reconnects failures failure_reasons");
    assert_keys(at(report, "sessions.failures"), "connect_timeout refused reset response_timeout "
                                                 "closed_early module aborted server_closed");
    assert_keys(at(report, "requests"), "planned sent answered mismatched");
    assert_keys(at(report, "bytes"), "sent received");
    assert_keys(at(report, "packets"), "sent received retransmitted capture_dropped host_dropped");
    assert_keys(at(report, "latency_us"), "connect first_byte response from_schedule");
    assert_keys(at(report, "latency_us.response"), h);
    assert_keys(at(report, "pacing_error_us"), h);
    assert_keys(json_array_get(at(report, "timeline"), 0),
                "t_s open started requests responses failed p99_us");
    assert_keys(at(report, "module"), "status_2xx");
    assert_keys(at(report, "resources"), "cpu_s max_rss_bytes");
    json_decref(report);
}

static void report_shows_a_modules_own_figures_and_reasons(void **state)
{
    struct run *r = *state;
    json_t *own = json_pack("{s: {s: i}}", "queries", "count", 7);
    r->in.module_figures = own;
    strcpy(r->stats.reasons[0], "no such user");
    r->stats.reason_count = 1;
    json_t *report = tb_report_json(&r->in);

    assert_keys(at(report, "module"), "status_2xx queries");
    assert_whole(report, "module.queries.count", 7);
    assert_string_equal(
        json_string_value(json_array_get(at(report, "sessions.failure_reasons"), 0)),
        "no such user");
    json_decref(report);
    json_decref(own);
}

static void report_says_what_was_counted(void **state)
{
    struct run *r = *state;
    r->in.skip_count = 2;
    r->skipped[0] = (struct tb_skip){"no_syn", 3};
    r->skipped[1] = (struct tb_skip){"tls", 1};
    fail_sessions(r, TB_VERDICT_REFUSED, 2);
    fail_sessions(r, TB_VERDICT_CUT, 1);
    json_t *report = tb_report_json(&r->in);

    assert_string_equal(json_string_value(at(report, "run.started")), "2026-01-31T12:34:56.789Z");
    assert_whole(report, "run.seed", 42);
    assert_whole(report, "trace.skipped.no_syn", 3);
    assert_whole(report, "trace.skipped.tls", 1);
    assert_whole(report, "sessions.planned", 10);
    assert_whole(report, "sessions.completed", 7);
    assert_whole(report, "sessions.failed", 2);
    assert_whole(report, "sessions.failures.refused", 2);
    assert_whole(report, "sessions.failures.reset", 0);
    assert_whole(report, "sessions.cut", 1);
    assert_whole(report, "sessions.peak", 9);
    assert_whole(report, "requests.planned", 40);
    assert_whole(report, "packets.received", 2000);
    assert_whole(report, "latency_us.response.max", 40000);
    assert_whole(report, "module.status_2xx", 40);
    assert_int_equal(json_array_size(at(report, "timeline")), 2);
    json_decref(report);
}

static void buckets_hold_counts_that_add_up(void **state)
{
    struct run *r = *state;
    json_t *report = tb_report_json(&r->in);
    json_t *buckets = at(report, "latency_us.response.buckets"), *pair;
    json_int_t sum = 0, last = -1;
    size_t i;

    json_array_foreach(buckets, i, pair)
    {
        json_int_t le = json_integer_value(json_array_get(pair, 0));
        json_int_t n = json_integer_value(json_array_get(pair, 1));
        assert_true(le > last && n > 0);
        last = le;
        sum += n;
    }
    assert_int_equal(sum, 40);
    assert_true(last >= 40000);
    json_decref(report);
}

static void empty_histogram_is_all_zero(void **state)
{
    struct run *r = *state;
    memset(&r->stats.connect, 0, sizeof r->stats.connect);
    json_t *report = tb_report_json(&r->in);

    assert_whole(report, "latency_us.connect.count", 0);
    assert_whole(report, "latency_us.connect.min", 0);
    assert_whole(report, "latency_us.connect.p99", 0);
    assert_int_equal(json_array_size(at(report, "latency_us.connect.buckets")), 0);
    json_decref(report);
}

static void bytes_of_the_network_do_not_break_the_report(void **state)
{
    struct run *r = *state;
    r->stats.example_count = 1;
    strcpy(r->stats.examples[0].seen, "\xff\x1b[31m");
    strcpy(r->stats.examples[0].captured, "200");
    json_t *report = tb_report_json(&r->in);
    json_t *example = json_array_get(at(report, "mismatch_examples"), 0);

    assert_keys(example, "session request captured seen");
    assert_string_equal(json_string_value(at(example, "seen")), "?\x1b[31m");
    json_decref(report);
}

static void report_is_written_whole_and_renamed(void **state)
{
    struct run *r = *state;
    char folder[] = "/tmp/tb-report-test-XXXXXX", path[64], link[64];
    struct tb_err err = {""};
    struct stat st;
    json_t *report = tb_report_json(&r->in);

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/r.json", folder);
    snprintf(link, sizeof link, "%s/link", folder);
    assert_int_equal(tb_report_write(report, path, &err), 0);
    assert_int_equal(symlink("r.json", link), 0);
    assert_int_equal(tb_report_write(report, link, &err), 0);
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISLNK(st.st_mode));

    json_t *again = json_load_file(path, 0, NULL);
    assert_true(json_equal(report, again));
    json_decref(again);

    unlink(link);
    unlink(path);
    assert_int_equal(rmdir(folder), 0); /* nothing else was left there */
    assert_int_equal(tb_report_write(report, path, &err), -ENOENT);
    assert_non_null(strstr(err.text, path));
    json_decref(report);
}

static void devices_are_written_to_not_replaced(void **state)
{
    struct run *r = *state;
    struct tb_err err = {""};
    struct stat st;
    json_t *report = tb_report_json(&r->in);

    assert_int_equal(tb_report_write(report, "/dev/null", &err), 0);
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
    assert_int_equal(tb_report_write(report, "/dev/full", &err), -ENOSPC);
    json_decref(report);
}

/* --- summary ---------------------------------------------------------------------------------- */

static char *summary_of(struct run *r)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    tb_report_summary(&r->in, f);
    fclose(f);
    return text;
}

static void assert_has(const char *text, const char *words)
{
    if (!strstr(text, words))
        fail_msg("'%s' is not in:\n%s", words, text);
}

static void summary_of_a_good_run_gives_no_advice(void **state)
{
    char *text = summary_of(*state);

    assert_has(text,
               "tcpburn 0.1.0, module http: 10 sessions in 2.5 s, 5 captured sessions played");
    assert_has(text, "sessions   10 planned, 10 started, 10 completed; at most 9 open");
    assert_has(text, "requests   40 planned, 40 sent, 40 answered (16/s)");
    assert_has(text, "payload    4.00 kB sent, 12.3 MB received (4.94 MB/s)");
    assert_has(text, "0 retransmissions (0%)");
    assert_has(text, "slowest second: up to 2.0 s into the run, p99 61.2 ms of 20 responses");
    assert_null(strstr(text, "look at"));
    assert_null(strstr(text, "failed"));
    assert_null(strstr(text, "not played"));
    free(text);
}

static void summary_counts_what_went_wrong(void **state)
{
    struct run *r = *state;
    fail_sessions(r, TB_VERDICT_REFUSED, 1);
    fail_sessions(r, TB_VERDICT_CONNECT_TIMEOUT, 2);
    r->stats.mismatched_sessions = 1;
    r->in.interrupted = true;
    char *text = summary_of(r);

    assert_has(text, "(interrupted)");
    assert_has(text, "7 completed, 3 failed, 1 mismatched");
    assert_has(text, "  failed   2 no answer to SYN, 1 refused\n");
    free(text);
}

static void the_intercept_channel_is_reported_if_there_was_one(void **state)
{
    struct run *r = *state;
    char *text = summary_of(r);

    assert_null(strstr(text, "channel"));
    free(text);
    json_t *report = tb_report_json(&r->in);
    assert_null(json_object_get(report, "channel"));
    json_decref(report);
    r->in.channel = (struct tb_report_channel){
        .servers = 2, .connections = 4, .connected = 4, .losses = 3, .clock_error_us = 40};
    r->stats.capture_dropped = 7;
    text = summary_of(r);
    assert_has(text, "channel    4 connections from 2 intercept servers, 3 lost and made again; "
                     "latencies end there (+- 40 us)\n");
    assert_has(text, "  - the intercept channel was lost for a while");
    assert_has(text, "  - 7 packets lost between target and this host");
    free(text);
    r->in.channel.connected = 1;
    text = summary_of(r);
    assert_has(text, "  - 3 of 4 connections to intercept were down at the end");
    free(text);
    report = tb_report_json(&r->in);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(report, "channel"), "losses")), 3);
    json_decref(report);
}

static void live_run_is_told_in_its_own_words(void **state)
{
    struct run *r = *state;

    r->in.is_live = true;
    r->in.trace_sessions = 0;
    r->in.skip_count = 2;
    r->skipped[0] = (struct tb_skip){"share", 90};
    r->skipped[1] = (struct tb_skip){"local_client", 1};
    r->stats.live.sessions = 101;
    r->stats.live.drops = 7;
    r->stats.live.shed_memory = 3;
    r->stats.live.shed_cpu = 4;
    r->stats.live.shed_pairs = 5;
    for (int i = 0; i < 100; i++)
        tb_histogram_add(&r->stats.pacing_error, 50000);
    char *text = summary_of(r);

    assert_has(text, "tcpcopy 0.1.0, module http: 10 sessions in 2.5 s\n");
    assert_has(text, "not played: 91 sessions of those seen");
    assert_has(text, "share: not of those that -r chooses");
    assert_has(text, "local_client: of this host itself; -H");
    assert_has(text, "  - 7 live packets lost before they were read: a larger -B");
    assert_has(text, "  - 3 sessions given up at the limit of -m");
    assert_has(text, "  - 4 sessions left out for want of time");
    assert_has(text, "  - 5 sessions left out for want of client addresses");
    assert_has(text, "after the live one: the target answers later");
    free(text);
    r->stats.live.drops = 0;
    r->stats.established = 0;
    r->stats.verdicts[TB_VERDICT_CONNECT_TIMEOUT] = 10;
    r->stats.verdicts[TB_VERDICT_CAPTURE_HOLE] = 2;
    text = summary_of(r);
    assert_has(text, "run tcpcopy with --check");
    assert_has(text, "  - 2 sessions ended where packets were missed");
    free(text);
}

static void refused_sends_are_told_with_their_likely_cause(void **state)
{
    struct run *r = *state;
    r->stats.send_errors[TB_SEND_EPERM] = 40;
    r->stats.send_errors[TB_SEND_ENOBUFS] = 2;
    char *text = summary_of(r);

    assert_has(text, "refused to send 42 packets: a firewall");
    free(text);
    r->stats.send_errors[TB_SEND_ENETDOWN] = 60;
    text = summary_of(r);
    assert_has(text, "refused to send 102 packets: the output device was down");
    free(text);
}

static void summary_fits_thirty_lines_at_worst(void **state)
{
    struct run *r = *state;
    static struct tb_skip skips[TB_SKIP_MAX];
    char *text;
    int lines = 0;

    for (int i = 0; i < TB_SKIP_MAX; i++)
        skips[i] = (struct tb_skip){"tls", 1};
    r->in.skipped = skips;
    r->in.skip_count = TB_SKIP_MAX;
    for (int v = TB_VERDICT_COMPLETED + 1; v < TB_VERDICT_COUNT; v++)
        fail_sessions(r, v, 1);
    r->stats.late = r->stats.capture_dropped = r->stats.send_errors[0] = 5;
    r->in.channel = (struct tb_report_channel){2, 4, 3, 1, 1, 1};
    r->stats.retransmitted = 500;
    r->stats.example_count = 5;
    for (int i = 0; i < 100; i++)
        tb_histogram_add(&r->stats.pacing_error, 50000);
    text = summary_of(r);
    for (const char *p = text; *p; p++)
        lines += *p == '\n';
    assert_in_range(lines, 20, 30);
    assert_has(text, "not played: 64 sessions of the capture");
    assert_has(text, "61  for other reasons");
    free(text);
}

static void slowest_row_of_a_long_run_says_how_many_seconds_it_is(void **state)
{
    struct run *r = *state;
    r->in.timeline_each_s = 4;
    char *text = summary_of(r);
    assert_has(text, "slowest 4 seconds: up to 2.0 s into the run");
    free(text);
}

static void summary_of_nothing_divides_by_nothing(void **state)
{
    struct run *r = *state;
    memset(&r->stats, 0, sizeof r->stats);
    r->in.duration_s = 0;
    r->in.timeline_count = 0;
    r->in.planned_sessions = 0;
    char *text = summary_of(r);

    assert_has(text, "0 sent, 0 answered (0/s)");
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "slowest"));
    free(text);
}

static struct tb_advice advice_of(struct run *r)
{
    struct tb_advice advice = {0};
    tb_advice_collect(&advice, &r->in);
    return advice;
}

static void advice_names_cause_and_remedy(void **state)
{
    struct run *r = *state;
    struct tb_advice a = advice_of(r);
    assert_int_equal(a.count, 0);

    r->stats.late = 1;
    a = advice_of(r);
    assert_int_equal(a.count, 1);
    assert_has(a.line[0], "1 session could not start when due: raise -u");

    r->stats.late = 0;
    r->stats.capture_dropped = 3;
    a = advice_of(r);
    assert_has(a.line[0], "3 packets lost on this host");

    r->stats.capture_dropped = 0;
    r->in.host_dropped = 4000;
    a = advice_of(r);
    assert_int_equal(a.count, 1);
    assert_has(a.line[0], "dropped 4,000 packets");
    assert_has(a.line[0], "net.core.netdev_max_backlog");
}

static void advice_tells_all_failing_from_some_failing(void **state)
{
    struct run *r = *state;
    fail_sessions(r, TB_VERDICT_CONNECT_TIMEOUT, 10);
    r->stats.established = 0;
    struct tb_advice a = advice_of(r);
    assert_has(a.line[0], "--check");

    r->stats.established = 5;
    a = advice_of(r);
    assert_has(a.line[0], "backlog");
}

static void advice_shows_mismatches_without_control_characters(void **state)
{
    struct run *r = *state;
    r->stats.example_count = 1;
    r->stats.examples[0] = (struct tb_mismatch){3, 2, "200", "5\x1b[31m03"};
    struct tb_advice a = advice_of(r);

    assert_string_equal(a.line[0],
                        "response to request 2 of captured session 3: captured 200, seen 5?[31m03");
}

/* --- --fail-on -------------------------------------------------------------------------------- */

static bool holds(struct run *r, const char *text, char why[200])
{
    struct tb_fail_on f;
    struct tb_err err = {""};

    why[0] = '\0';
    if (tb_fail_on_parse(text, &f, &err))
        fail_msg("%s: %s", text, err.text);
    return tb_fail_on_holds(&f, &r->in, why, 200);
}

static void fail_on_compares_counts(void **state)
{
    struct run *r = *state;
    char why[200];
    fail_sessions(r, TB_VERDICT_RESET, 3);

    assert_true(holds(r, "failed>0", why));
    assert_string_equal(why, "failed is 3 (> 0)");
    assert_true(holds(r, "reset == 3", why));
    assert_true(holds(r, "failed>=3", why));
    assert_true(holds(r, "completed<8", why));
    assert_true(holds(r, "completed<=7", why));
    assert_true(holds(r, "requests_answered!=41", why));
    assert_false(holds(r, "failed>3", why));
    assert_false(holds(r, "refused>0", why));
    assert_false(holds(r, "completed!=7", why));
}

static void fail_on_takes_shares_of_what_was_planned(void **state)
{
    struct run *r = *state;
    char why[200];
    fail_sessions(r, TB_VERDICT_RESET, 3);
    r->stats.requests_mismatched = 4;
    r->stats.retransmitted = 20;

    assert_true(holds(r, "failed>29.9%", why));
    assert_string_equal(why, "failed is 30% (> 29.9%)");
    assert_false(holds(r, "failed>30%", why));
    assert_true(holds(r, "requests_mismatched>=10%", why));
    assert_false(holds(r, "requests_mismatched>10%", why));
    assert_true(holds(r, "retransmitted>1.5 %", why));
    r->in.planned_sessions = 0;
    assert_false(holds(r, "failed>0%", why));
}

static void fail_on_knows_units_of_time(void **state)
{
    struct run *r = *state;
    char why[200];

    assert_true(holds(r, "max_response>39.9ms", why));
    assert_string_equal(why, "max_response is 40.0 ms (> 39.9ms)");
    assert_false(holds(r, "max_response>40ms", why));
    assert_true(holds(r, "max_response==40000", why));
    assert_true(holds(r, "max_response==40000us", why));
    assert_true(holds(r, "max_response<1s", why));
    assert_true(holds(r, "mean_response==20.5ms", why));
    assert_true(holds(r, "p50_connect==50us", why));
    assert_true(holds(r, "p999_from_schedule>30ms", why));
    assert_false(holds(r, "p99_pacing_error>1ms", why));
}

static void fail_on_refuses_what_it_does_not_know(void **state)
{
    static const char *const bad[][2] = {
        {"", "is not FIGURE"},
        {"failed", "is not FIGURE"},
        {"failed=3", "is not FIGURE"},
        {"failed=>3", "is not FIGURE"},
        {"failed>", "a number must follow >"},
        {"failed>x", "a number must follow >"},
        {"failed>1.2.3", "a number must follow >"},
        {"failed>-1", "a number must follow >"},
        {"failed>3ms", "takes no unit 'ms'"},
        {"failed>3% of", "is not a unit"},
        {"p99_response>5%", "not a unit of time"},
        {"bytes_sent>5%", "no whole"},
        {"p98_response>5ms", "unknown figure 'p98_response'; there are failed mismatched"},
        {"p99_latency>5ms", "pacing_error"},
        {"failures>5", "unknown figure"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tb_fail_on f;
        struct tb_err err = {""};
        assert_int_equal(tb_fail_on_parse(bad[i][0], &f, &err), -EINVAL);
        assert_has(err.text, bad[i][1]);
    }
}

/* --- units and status ------------------------------------------------------------------------- */

static void figures_are_humane(void **state)
{
    assert_string_equal(tb_text_count(0).s, "0");
    assert_string_equal(tb_text_count(999).s, "999");
    assert_string_equal(tb_text_count(1234567).s, "1,234,567");
    assert_string_equal(tb_text_count(UINT64_MAX).s, "18,446,744,073,709,551,615");
    assert_string_equal(tb_text_time(0).s, "0 us");
    assert_string_equal(tb_text_time(999).s, "999 us");
    assert_string_equal(tb_text_time(1000).s, "1.00 ms");
    assert_string_equal(tb_text_time(61200).s, "61.2 ms");
    assert_string_equal(tb_text_time(999499).s, "999 ms");
    assert_string_equal(tb_text_time(999500).s, "1.00 s");
    assert_string_equal(tb_text_time(UINT64_MAX).s, "18,446,744,073,709 s");
    assert_string_equal(tb_text_bytes(999).s, "999 B");
    assert_string_equal(tb_text_bytes(999999).s, "1.00 MB");
    assert_string_equal(tb_text_duration(4.25).s, "4.2 s");
    assert_string_equal(tb_text_duration(32.4).s, "32 s");
    assert_string_equal(tb_text_duration(125).s, "2 min 05 s");
    assert_string_equal(tb_text_duration(3720 * 2).s, "2 h 04 min");
    assert_string_equal(tb_text_percent(0, 0).s, "0%");
    assert_string_equal(tb_text_percent(1, 1000000).s, "<0.01%");
    assert_string_equal(tb_text_percent(999999, 1000000).s, ">99.99%");
    assert_string_equal(tb_text_percent(1, 3).s, "33.3%");
    assert_string_equal(tb_text_number(1, "session").s, "1 session");
    assert_string_equal(tb_text_number(2, "session").s, "2 sessions");
}

/* What the status line writes to standard error while `body` runs. */
static const char *status_output(bool terminal, void (*body)(struct tb_status *))
{
    static char text[4096];
    char path[] = "/tmp/tb-status-test-XXXXXX";
    int fd = mkstemp(path), saved = dup(STDERR_FILENO);
    struct tb_status s;

    assert_true(fd >= 0 && saved >= 0);
    fflush(stderr);
    dup2(fd, STDERR_FILENO);
    tb_status_init(&s);
    s.terminal = terminal;
    body(&s);
    dup2(saved, STDERR_FILENO);
    close(saved);
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    text[n < 0 ? 0 : n] = '\0';
    close(fd);
    unlink(path);
    return text;
}

static const struct tb_status_figures half_way = {.elapsed_s = 5,
                                                  .left_s = 5,
                                                  .planned = 100,
                                                  .started = 60,
                                                  .ended = 42,
                                                  .open = 18,
                                                  .failed = 1,
                                                  .requests_per_s = 1234.4,
                                                  .p50_us = 400,
                                                  .p99_us = 1200};

static void show_twice_at_once(struct tb_status *s)
{
    tb_status_show(s, &half_way, 1000000);
    tb_status_show(s, &half_way, 1000001);
}

static void show_then_end(struct tb_status *s)
{
    show_twice_at_once(s);
    tb_status_end(s);
}

static void show_for_six_seconds(struct tb_status *s)
{
    for (uint64_t t = 0; t <= 6000000; t += 100000)
        tb_status_show(s, &half_way, t);
}

static void status_is_one_redrawn_line_on_a_terminal(void **state)
{
    const char *text = status_output(true, show_then_end);
    static const char line[] =
        " 42%  18 open  1,234 req/s  p50 400 us  p99 1.20 ms  1 failed  5.0 s left";

    assert_has(text, line);
    assert_int_equal(text[0], '\r');
    assert_null(strstr(strstr(text, "42%") + 1, "42%")); /* drawn once */
    assert_null(strchr(text, '\n'));
    assert_int_equal(text[strlen(text) - 1], '\r');
    assert_int_equal(text[strlen(text) - 2], ' '); /* blanked */
}

static void status_is_a_log_line_every_five_seconds_elsewhere(void **state)
{
    const char *text = status_output(false, show_for_six_seconds);
    int lines = 0;

    for (const char *p = text; *p; p++)
        lines += *p == '\n';
    assert_int_equal(lines, 2);
    assert_null(strchr(text, '\r'));
    assert_has(text, "42%");
}

static void load_for_a_second(struct tb_status *s)
{
    for (uint64_t t = 1; t <= 1000001; t += 250000)
        tb_status_loading(s, t * 100, 200000000, 1, t);
}

static void loading_shows_bytes_rate_and_sessions(void **state)
{
    const char *text = status_output(true, load_for_a_second);
    assert_has(text, "loading: 25.0 MB of 200 MB, 100 MB/s, 1 session");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(merge_adds_counts_and_keeps_examples_bounded, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(report_has_the_keys_of_the_schema, setup, teardown),
        cmocka_unit_test_setup_teardown(report_shows_a_modules_own_figures_and_reasons, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(report_says_what_was_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(buckets_hold_counts_that_add_up, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_histogram_is_all_zero, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_of_the_network_do_not_break_the_report, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(report_is_written_whole_and_renamed, setup, teardown),
        cmocka_unit_test_setup_teardown(devices_are_written_to_not_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(summary_of_a_good_run_gives_no_advice, setup, teardown),
        cmocka_unit_test_setup_teardown(summary_counts_what_went_wrong, setup, teardown),
        cmocka_unit_test_setup_teardown(the_intercept_channel_is_reported_if_there_was_one, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(live_run_is_told_in_its_own_words, setup, teardown),
        cmocka_unit_test_setup_teardown(refused_sends_are_told_with_their_likely_cause, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(summary_fits_thirty_lines_at_worst, setup, teardown),
        cmocka_unit_test_setup_teardown(slowest_row_of_a_long_run_says_how_many_seconds_it_is,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(summary_of_nothing_divides_by_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(advice_names_cause_and_remedy, setup, teardown),
        cmocka_unit_test_setup_teardown(advice_tells_all_failing_from_some_failing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(advice_shows_mismatches_without_control_characters, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(fail_on_compares_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(fail_on_takes_shares_of_what_was_planned, setup, teardown),
        cmocka_unit_test_setup_teardown(fail_on_knows_units_of_time, setup, teardown),
        cmocka_unit_test(fail_on_refuses_what_it_does_not_know),
        cmocka_unit_test(figures_are_humane),
        cmocka_unit_test(status_is_one_redrawn_line_on_a_terminal),
        cmocka_unit_test(status_is_a_log_line_every_five_seconds_elsewhere),
        cmocka_unit_test(loading_shows_bytes_rate_and_sessions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
