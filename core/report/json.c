/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The JSON report, schema tcpburn-report/1 (FEATURES "The JSON report"). Called by the programs at
 * the end of a run. Names and places are a contract: they are added to, never changed.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "report/report.h"
#include "trace/trace.h"

static json_t *whole(uint64_t n)
{
    return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t) n);
}

/* Microseconds of a second are all that is meant; more digits are noise of the conversion. */
static json_t *seconds(double s)
{
    return json_real(round(s * 1e6) / 1e6);
}

/* An object whose keys are the names of `counts`. */
struct named_count {
    const char *name;
    uint64_t value;
};

static json_t *counts_object(const struct named_count *counts, size_t n)
{
    json_t *object = json_object();

    for (size_t i = 0; i < n; i++)
        json_object_set_new(object, counts[i].name, whole(counts[i].value));
    return object;
}

#define COUNTS(...)                                          \
    counts_object((const struct named_count[]){__VA_ARGS__}, \
                  sizeof((const struct named_count[]){__VA_ARGS__}) / sizeof(struct named_count))

/* Text that may hold what the network sent: invalid UTF-8 becomes '?', or JSON would refuse it. */
static json_t *text(const char *s)
{
    json_t *string = json_string(s ? s : "");
    char copy[4096];

    if (string)
        return string;
    snprintf(copy, sizeof copy, "%s", s);
    for (char *p = copy; *p; p++)
        if ((unsigned char) *p >= 0x80)
            *p = '?';
    return json_string(copy);
}

/* "2026-01-31T12:34:56.789Z". */
static json_t *timestamp(uint64_t us_since_1970)
{
    time_t s = (time_t) (us_since_1970 / 1000000);
    struct tm tm;
    char day[32], all[48];

    if (!gmtime_r(&s, &tm))
        return json_string("");
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(all, sizeof all, "%s.%03uZ", day, (unsigned) (us_since_1970 / 1000 % 1000));
    return json_string(all);
}

static json_t *run_object(const struct tb_report_input *in)
{
    json_t *run = json_object();

    json_object_set_new(run, "started", timestamp(in->started_us));
    json_object_set_new(run, "duration_s", seconds(in->duration_s));
    json_object_set_new(run, "command", text(in->command));
    json_object_set_new(run, "module", text(in->module));
    json_object_set_new(run, "version", text(in->version));
    json_object_set_new(run, "workers", whole(in->workers));
    json_object_set_new(run, "seed", whole(in->seed));
    return run;
}

static json_t *trace_object(const struct tb_report_input *in)
{
    json_t *trace = COUNTS({"files", in->files}, {"packets", in->packets},
                           {"sessions", in->trace_sessions}, {"requests", in->trace_requests});
    json_t *skipped = json_object();

    for (uint32_t i = 0; i < in->skip_count; i++)
        json_object_set_new(skipped, in->skipped[i].reason, whole(in->skipped[i].sessions));
    json_object_set_new(trace, "skipped", skipped);
    return trace;
}

static json_t *sessions_object(const struct tb_report_input *in)
{
    const struct tb_stats *s = in->stats;
    const uint64_t *v = s->verdicts;
    json_t *sessions =
        COUNTS({"planned", in->planned_sessions}, {"started", s->started},
               {"established", s->established}, {"completed", tb_stats_completed(s)},
               {"failed", tb_stats_failed(s)}, {"mismatched", s->mismatched_sessions},
               {"open", s->open}, {"peak", in->peak}, {"cut", v[TB_VERDICT_CUT]}, {"late", s->late},
               {"held", v[TB_VERDICT_HELD]}, {"reconnects", s->reconnects});

    json_object_set_new(sessions, "failures",
                        COUNTS({"connect_timeout", v[TB_VERDICT_CONNECT_TIMEOUT]},
                               {"refused", v[TB_VERDICT_REFUSED]}, {"reset", v[TB_VERDICT_RESET]},
                               {"response_timeout", v[TB_VERDICT_RESPONSE_TIMEOUT]},
                               {"closed_early", v[TB_VERDICT_CLOSED_EARLY]},
                               {"module", v[TB_VERDICT_MODULE]}, {"aborted", v[TB_VERDICT_ABORTED]},
                               {"server_closed", v[TB_VERDICT_SERVER_CLOSED]}));
    json_t *reasons = json_array();
    for (uint32_t i = 0; i < s->reason_count; i++)
        json_array_append_new(reasons, text(s->reasons[i]));
    json_object_set_new(sessions, "failure_reasons", reasons);
    return sessions;
}

static json_t *latency_object(const struct tb_stats *s)
{
    json_t *latency = json_object();

    json_object_set_new(latency, "connect", tb_stats_histogram_json(&s->connect));
    json_object_set_new(latency, "first_byte", tb_stats_histogram_json(&s->first_byte));
    json_object_set_new(latency, "response", tb_stats_histogram_json(&s->response));
    json_object_set_new(latency, "from_schedule", tb_stats_histogram_json(&s->from_schedule));
    return latency;
}

static json_t *timeline_array(const struct tb_report_input *in)
{
    json_t *timeline = json_array();

    for (uint32_t i = 0; i < in->timeline_count; i++) {
        const struct tb_timeline_row *r = &in->timeline[i];
        json_t *row = json_object();
        json_t *rest =
            COUNTS({"open", r->open}, {"started", r->started}, {"requests", r->requests},
                   {"responses", r->responses}, {"failed", r->failed}, {"p99_us", r->p99_us});
        json_object_set_new(row, "t_s", seconds(r->t_s));
        json_object_update(row, rest);
        json_decref(rest);
        json_array_append_new(timeline, row);
    }
    return timeline;
}

static json_t *examples_array(const struct tb_stats *s)
{
    json_t *examples = json_array();

    for (uint32_t i = 0; i < s->example_count; i++) {
        const struct tb_mismatch *m = &s->examples[i];
        json_t *example = COUNTS({"session", m->session}, {"request", m->request});
        json_object_set_new(example, "captured", text(m->captured));
        json_object_set_new(example, "seen", text(m->seen));
        json_array_append_new(examples, example);
    }
    return examples;
}

/* Of the sessions seen and not used, those with this reason. */
static uint64_t skipped(const struct tb_report_input *in, const char *reason)
{
    for (uint32_t i = 0; i < in->skip_count; i++)
        if (strcmp(in->skipped[i].reason, reason) == 0)
            return in->skipped[i].sessions;
    return 0;
}

static json_t *live_object(const struct tb_report_input *in)
{
    const struct tb_live_stats *s = &in->stats->live;
    const uint64_t *v = in->stats->verdicts;
    json_t *live = COUNTS({"packets", s->packets}, {"kernel_drops", s->drops},
                          {"unchecked", s->unchecked}, {"memory_bytes", s->memory_bytes});
    json_t *sessions = COUNTS({"seen", s->sessions}, {"shared", s->sessions - skipped(in, "share")},
                              {"taken", s->taken}, {"mid_stream", skipped(in, "no_syn")},
                              {"capture_hole", v[TB_VERDICT_CAPTURE_HOLE]},
                              {"unanswered", skipped(in, "unanswered") + skipped(in, "refused")},
                              {"local", skipped(in, "local_client")});

    json_object_set_new(
        sessions, "shed",
        COUNTS({"memory", s->shed_memory}, {"cpu", s->shed_cpu}, {"pairs", s->shed_pairs}));
    json_object_set_new(live, "sessions", sessions);
    json_object_set_new(live, "delay_us", tb_stats_histogram_json(&s->delay));
    return live;
}

static json_t *module_object(const struct tb_report_input *in)
{
    json_t *module = json_object();

    for (uint32_t i = 0; i < in->module_counter_count && i < TB_STATS_MODULE_COUNTERS; i++)
        json_object_set_new(module, in->module_counter_names[i], whole(in->stats->module[i]));
    if (in->module_figures)
        json_object_update(module, (json_t *) in->module_figures);
    return module;
}

enum { TOP_LEVEL_KEYS = 13 }; /* and "live" */

json_t *tb_report_json(const struct tb_report_input *in)
{
    const struct tb_stats *s = in->stats;
    json_t *report = json_object();
    json_t *resources = json_object();

    json_object_set_new(report, "schema", json_string("tcpburn-report/1"));
    json_object_set_new(report, "run", run_object(in));
    json_object_set_new(report, "trace", trace_object(in));
    json_object_set_new(report, "sessions", sessions_object(in));
    json_object_set_new(report, "requests",
                        COUNTS({"planned", in->planned_requests}, {"sent", s->requests_sent},
                               {"answered", s->requests_answered},
                               {"mismatched", s->requests_mismatched}));
    json_object_set_new(report, "bytes",
                        COUNTS({"sent", s->bytes_sent}, {"received", s->bytes_received}));
    json_object_set_new(report, "packets",
                        COUNTS({"sent", s->packets_sent}, {"received", s->packets_received},
                               {"retransmitted", s->retransmitted},
                               {"capture_dropped", s->capture_dropped},
                               {"host_dropped", in->host_dropped}));
    json_object_set_new(report, "latency_us", latency_object(s));
    json_object_set_new(report, "pacing_error_us", tb_stats_histogram_json(&s->pacing_error));
    json_object_set_new(report, "timeline", timeline_array(in));
    json_object_set_new(report, "mismatch_examples", examples_array(s));
    json_object_set_new(report, "module", module_object(in));
    json_object_set_new(resources, "cpu_s", seconds(in->cpu_s));
    json_object_set_new(resources, "max_rss_bytes", whole(in->max_rss_bytes));
    json_object_set_new(report, "resources", resources);
    const struct tb_report_channel *c = &in->channel;
    if (c->servers)
        json_object_set_new(report, "channel",
                            COUNTS({"servers", c->servers}, {"connections", c->connections},
                                   {"connected", c->connected}, {"losses", c->losses},
                                   {"duplicates", c->duplicates},
                                   {"clock_error_us", c->clock_error_us}));
    if (in->is_live)
        json_object_set_new(report, "live", live_object(in));
    if (json_object_size(report) != (size_t) TOP_LEVEL_KEYS + (c->servers > 0) +
                                        in->is_live) { /* a value could not be allocated */
        json_decref(report);
        return NULL;
    }
    return report;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* One line per top-level key: short enough to look at, and diffs between runs stay readable. */
static int dump(const json_t *report, FILE *f)
{
    const char *key;
    const json_t *value;
    const char *before = "{ ";

    json_object_foreach((json_t *) report, key, value)
    {
        fprintf(f, "%s\"%s\": ", before, key);
        if (json_dumpf(value, f, JSON_ENCODE_ANY | JSON_REAL_PRECISION(12)))
            return -ENOMEM;
        before = ",\n  ";
    }
    fputs(" }\n", f);
    return fflush(f) || ferror(f) ? -errno : 0;
}

/* Devices, pipes and the like are written to as they are; renaming would replace them. */
static bool is_special(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

static int write_in_place(const json_t *report, const char *path)
{
    FILE *f = fopen(path, "we");
    int rc;

    if (!f)
        return -errno;
    rc = dump(report, f);
    if (fclose(f) && !rc)
        rc = -errno;
    return rc;
}

static int write_and_rename(const json_t *report, const char *path)
{
    size_t room = strlen(path) + sizeof ".XXXXXX";
    char *temporary = malloc(room);
    mode_t mask = umask(0);
    FILE *f = NULL;
    int fd = -1, rc = 0;

    umask(mask); /* reading it is possible only by setting it */
    if (!temporary)
        return -ENOMEM;
    snprintf(temporary, room, "%s.XXXXXX", path);
    fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        rc = -errno;
        goto out;
    }
    f = fdopen(fd, "w");
    if (!f || fchmod(fd, 0666 & ~mask)) {
        rc = -errno;
        if (!f)
            close(fd);
    } else {
        rc = dump(report, f);
    }
    if (f && fclose(f) && !rc)
        rc = -errno;
    if (!rc && rename(temporary, path))
        rc = -errno;
    if (rc)
        unlink(temporary);
out:
    free(temporary);
    return rc;
}

int tb_report_write(const json_t *report, const char *path, struct tb_err *err)
{
    int rc;

    if (!strcmp(path, "-")) {
        rc = dump(report, stdout);
    } else if (is_special(path)) {
        rc = write_in_place(report, path);
    } else {
        char *real = realpath(path, NULL); /* of a symbolic link, the file it names */
        rc = write_and_rename(report, real ? real : path);
        free(real);
    }
    if (rc)
        tb_err_set(err, rc, "cannot write the report to '%s': %s", path, strerror(-rc));
    return rc;
}
