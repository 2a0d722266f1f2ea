/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The report of a run: JSON for machines (schema tcpburn-report/1), a summary for people, and the
 * verdict of --fail-on. Fed with plain figures; knows nothing of workers.
 */
#ifndef TB_REPORT_REPORT_H
#define TB_REPORT_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "base/err.h"
#include "engine/stats.h"
#include "report/timeline.h"

struct tb_skip; /* trace/trace.h */

/* The channel to intercept servers; `servers` 0: there was none. */
struct tb_report_channel {
    uint32_t servers, connections, connected; /* connected: when the run ended */
    uint64_t losses;                          /* times a connection broke off */
    uint64_t duplicates;                      /* packets that another server had brought */
    uint64_t clock_error_us;                  /* how far the servers' clocks may be off */
};

/* Everything the report says. Pointers are borrowed. */
struct tb_report_input {
    /* run */
    uint64_t started_us; /* since 1970 */
    double duration_s;
    const char *command, *module, *version;
    uint32_t workers;
    uint64_t seed;
    /* trace */
    uint32_t files;
    uint64_t packets, trace_sessions, trace_requests;
    const struct tb_skip *skipped;
    uint32_t skip_count;
    /* sessions and all the rest */
    uint64_t planned_sessions, planned_requests;
    const struct tb_stats *stats; /* merged */
    uint64_t peak;                /* as seen by the reporter */
    const struct tb_timeline_row *timeline;
    uint32_t timeline_count;
    uint32_t timeline_each_s;                /* seconds that a row stands for */
    const char *const *module_counter_names; /* for stats->module[] */
    uint32_t module_counter_count;
    const json_t *module_figures; /* an object of more of the module's figures, or NULL */
    double cpu_s;
    uint64_t max_rss_bytes;
    uint64_t host_dropped; /* packets, by the kernel of this machine meanwhile (io/softnet.h) */
    struct tb_report_channel channel;
    bool is_live; /* tcpcopy: stats->live counts */
    bool interrupted;
};

/* The whole report; NULL when memory is out. The caller owns it. */
json_t *tb_report_json(const struct tb_report_input *in);

/* Write it to `path` (through a temporary file in the same folder, renamed; "-" is stdout). */
int tb_report_write(const json_t *report, const char *path, struct tb_err *err);

/* The same by another process, which is started while this one may still write there and privileges
 * have not been dropped yet. It waits until the report is handed to it, and ends without a trace
 * when this process ends before. Start it before threads and packet I/O. */
struct tb_report_writer {
    int fd; /* socket to the writer; -1: none was started */
    int pid;
};
int tb_report_writer_start(struct tb_report_writer *w, const char *path, struct tb_err *err);
/* Hand the report over and wait until it is written. */
int tb_report_writer_finish(struct tb_report_writer *w, const json_t *report, struct tb_err *err);
void tb_report_writer_stop(struct tb_report_writer *w);

/* The end-of-run summary: sessions, verdicts, latency table, slowest second, what to look at. */
void tb_report_summary(const struct tb_report_input *in, FILE *out);

/* --- --fail-on ------------------------------------------------------------------------------ */

/* One condition: a figure, < > <= >= == !=, a number with an optional unit (% us ms s). */
struct tb_fail_on {
    char text[128];
    char figure[32];
    char op[3];
    double limit; /* in the figure's own unit: count, or microseconds */
    bool percent; /* of planned sessions; requests_*: of planned requests; retransmitted,
                   * capture_dropped: of packets sent, received; skipped: of the capture */
};

/* "failed>0.1%", "mismatched>0", "p99_response>50ms" (without a unit: microseconds). Unknown
 * figures are refused, naming those there are. A latency nothing was recorded of is 0. Returns 0 or
 * -EINVAL. */
int tb_fail_on_parse(const char *text, struct tb_fail_on *out, struct tb_err *err);
/* All of --fail-on, before anything is loaded: a typo must not cost a run. 0 or -EINVAL. */
int tb_fail_on_check(char *const *texts, uint32_t count, struct tb_err *err);
/* Does the condition hold, i.e. does the run fail? `why` gets "p99_response is 61.2 ms (> 50ms)" */
bool tb_fail_on_holds(const struct tb_fail_on *f, const struct tb_report_input *in, char *why,
                      size_t why_len);

/* --- while it runs ---------------------------------------------------------------------------- */

/* One line of progress: on a terminal redrawn in place, otherwise one log line every 5 seconds. */
struct tb_status {
    bool terminal;
    uint64_t next_line_us;
    unsigned drawn;            /* columns on screen */
    uint64_t loading_since_us; /* first tb_status_loading() */
};
struct tb_status_figures {
    double elapsed_s, left_s; /* left < 0: unknown */
    uint64_t planned, started, ended, open, failed, mismatched;
    double requests_per_s;
    uint64_t p50_us, p99_us; /* of the last second */
    bool endless;            /* there is no plan that could be done to some percent */
};
void tb_status_init(struct tb_status *s);
void tb_status_show(struct tb_status *s, const struct tb_status_figures *f, uint64_t now_us);
/* Progress while files are loaded. */
void tb_status_loading(struct tb_status *s, uint64_t done_bytes, uint64_t total_bytes,
                       uint32_t sessions, uint64_t now_us);
/* Clear the line before other output. */
void tb_status_end(struct tb_status *s);

#endif
