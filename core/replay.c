/* SPDX-License-Identifier: BSD-2-Clause */
/* The wiring of a run. See replay.h. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "replay.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/siphash.h"
#include "io/softnet.h"

/* --- where responses come from --------------------------------------------------------------- */

/* Where responses come from when neither -s nor --tun says so. */
static int choose_mode(struct tb_replay *r, struct tb_err *err)
{
    r->mode = r->options->mode;
    if (r->mode != TB_MODE_DEFAULT)
        return 0;
    r->mode = TB_MODE_TUN;
    for (uint32_t i = 0; i < r->options->transfer_count; i++) {
        char text[TB_ENDPOINT_TEXT];
        if (tb_addr_is_local(&r->options->transfers[i].target.addr))
            continue;
        return tb_err_set(
            err, -EINVAL,
            "target %s is not on this machine, so say how its responses come back: --tun (the "
            "target is on or behind this machine), -s local:DEVICE (the target routes the client "
            "addresses to this host), or -s ASSISTANT (it routes them to a host that runs "
            "intercept)",
            tb_endpoint_format(&r->options->transfers[i].target, text));
    }
    return 0;
}

/* --- loading
 * --------------------------------------------------------------------------------------- */

static int module_options(void *ctx, const char *module, json_t **out, const char **file,
                          struct tb_err *err)
{
    *file = ((const struct tb_options *) ctx)->module_config;
    return tb_options_module_config(ctx, module, out, err);
}

static void loading(void *ctx, uint64_t done, uint64_t total, uint32_t sessions)
{
    struct tb_replay *r = ctx;

    tb_status_loading(&r->status, done, total, sessions, tb_clock_mono_us());
}

static int copy_transfers(struct tb_replay *r)
{
    const struct tb_options *o = r->options;

    r->targets = calloc(o->transfer_count, sizeof *r->targets);
    r->services = calloc(o->transfer_count, sizeof *r->services);
    if (!r->targets || !r->services)
        return -ENOMEM;
    for (uint32_t i = 0; i < o->transfer_count; i++) {
        const struct tb_transfer *t = &o->transfers[i];
        r->targets[i] = t->target;
        r->services[i] = (struct tb_endpoint){t->source, t->source_port};
    }
    return 0;
}

int tb_replay_load_modules(struct tb_replay *r, struct tb_err *err)
{
    const struct tb_options *o = r->options;
    const char *module = o->comet ? "comet" : o->module;

    tb_status_init(&r->status);
    if (copy_transfers(r) < 0)
        return tb_err_set(err, -ENOMEM, "out of memory");
    int rc = tb_modules_load(&r->modules, module, o->module_dir, module_options,
                             (void *) (uintptr_t) o, err);
    r->modules.services = r->services;
    for (uint32_t i = 0; i < o->transfer_count && rc == 0; i++)
        rc = tb_modules_load_for_port(&r->modules, r->services[i].port, o->module_dir,
                                      module_options, (void *) (uintptr_t) o, err);
    return rc;
}

int tb_replay_prepare(struct tb_replay *r, struct tb_err *err)
{
    const struct tb_options *o = r->options;

    r->writer.fd = -1;
    int rc = o->dry_run ? 0 : choose_mode(r, err);
    if (rc < 0)
        return rc;
    /* The user that the run becomes may not write there. */
    if (!o->report || strcmp(o->report, "-") == 0 || o->dry_run || geteuid() != 0)
        return 0;
    return tb_report_writer_start(&r->writer, o->report, err);
}

struct tb_service *tb_replay_services(const struct tb_options *o)
{
    struct tb_service *services = calloc(o->transfer_count + 1, sizeof *services);

    for (uint32_t i = 0; services && i < o->transfer_count; i++) {
        const struct tb_transfer *t = &o->transfers[i];
        services[i] = (struct tb_service){t->source, !t->has_source, t->source_port};
    }
    return services;
}

int tb_replay_load(struct tb_replay *r, struct tb_err *err)
{
    const struct tb_options *o = r->options;
    int rc = tb_replay_load_modules(r, err);

    if (rc < 0)
        return rc;
    struct tb_service *services = tb_replay_services(o);
    if (!services)
        return tb_err_set(err, -ENOMEM, "out of memory");
    struct tb_learner learner = tb_modules_learner(&r->modules);
    struct tb_trace_options t = {
        .files = (const char *const *) o->pcaps.item,
        .file_count = o->pcaps.count,
        .filter = o->filter,
        .services = services,
        .service_count = o->transfer_count,
        .partial = o->partial,
        .learner = &learner,
        .progress = loading,
        .progress_ctx = r,
    };
    rc = tb_trace_load(&r->trace, &t, err);
    tb_status_end(&r->status);
    free(services);
    return rc;
}

/* --- planning
 * --------------------------------------------------------------------------------------- */

/* The key of ISNs and timestamp offsets: the machine's, so that every run on it goes on where the
 * last one stopped (DESIGN "TCP client"). Hashed, because the id itself must not leak. */
static void isn_key(uint8_t key[16])
{
    static const char *const files[] = {"/etc/machine-id", "/proc/sys/kernel/random/boot_id"};
    static const uint8_t salt[2][16] = {"tcpburn isn key", "tcpburn isn kez"};
    char id[64] = "tcpburn";
    size_t len = 7;

    for (unsigned i = 0; i < 2; i++) {
        FILE *f = fopen(files[i], "r");
        size_t n = f ? fread(id, 1, sizeof id, f) : 0;
        if (f)
            fclose(f);
        if (n > 0) {
            len = n;
            break;
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        uint64_t h = tb_siphash(salt[i], id, len);
        memcpy(key + 8 * i, &h, 8);
    }
}

static uint32_t worker_count(const struct tb_options *o)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (o->workers)
        return o->workers;
    return cores > 2 ? (uint32_t) cores - 1 : 1;
}

static uint64_t us_of_s(double s)
{
    return (uint64_t) (s * 1e6);
}

/* Random unless given; but the parts of one plan must agree. */
static uint64_t seed_of(const struct tb_options *o)
{
    if (o->has_seed)
        return o->seed;
    return o->shards > 1 ? 1 : tb_clock_real_us() % 1000000007;
}

static int plan_users(struct tb_replay *r, struct tb_err *err)
{
    const struct tb_options *o = r->options;
    struct tb_plan_range *ranges = calloc(o->client_count + 1, sizeof *ranges);

    if (!ranges)
        return tb_err_set(err, -ENOMEM, "out of memory");
    for (uint32_t i = 0; i < o->client_count; i++)
        ranges[i] = (struct tb_plan_range){o->clients[i].first, o->clients[i].count};
    struct tb_plan_input in = {
        .sessions = r->trace.sessions,
        .session_count = r->trace.session_count,
        .targets = r->targets,
        .target_count = o->transfer_count,
        .clients = ranges,
        .client_count = o->client_count,
        .users = o->users,
        .ports_first = o->ports_first,
        .seed = r->seed,
        .shard = o->shard ? o->shard - 1 : 0,
        .shards = o->shards,
        .workers = r->workers,
    };
    int rc = tb_plan_init(&r->plan, &in, err);
    free(ranges);
    return rc;
}

static void configure(struct tb_replay *r)
{
    const struct tb_options *o = r->options;
    struct tb_engine_config *c = &r->config;

    *c = (struct tb_engine_config){
        .plan = &r->plan,
        .pacing = &r->pacing,
        .module_count = r->modules.count,
        .plays = o->has_loop ? o->loop : (o->has_duration ? 0 : 1),
        .open_loop = o->has_rate,
        .duration_us = o->has_duration ? us_of_s(o->duration_s) : 0,
        .grace_us = us_of_s(o->grace_s),
        .hold_us = us_of_s(o->hold_s),
        .timeout_us = us_of_s(o->timeout_s),
        .quiet_us = (uint64_t) o->quiet_ms * 1000,
        .close_wait_us = us_of_s(o->close_wait_s),
        .mtu = o->mtu,
        .mss = (uint16_t) o->mss,
    };
    for (uint32_t i = 0; i < r->modules.count; i++)
        c->modules[i] =
            (struct tb_engine_module){&r->modules.loaded[i].ops, r->modules.worker_states[i]};
    isn_key(c->isn_key);
    c->live = r->live;
}

int tb_replay_plan_live(struct tb_replay *r, struct tb_err *err)
{
    const struct tb_pacing_input in = {.rate = 1}; /* no think times but the live ones */

    r->workers = worker_count(r->options);
    int rc = tb_plan_init_live(&r->plan, r->targets, r->options->transfer_count, r->workers);
    if (rc == 0)
        rc = tb_pacing_init(&r->pacing, &in);
    if (rc == 0)
        rc = tb_modules_begin(&r->modules, r->workers);
    if (rc < 0)
        return tb_err_set(err, rc, "out of memory");
    configure(r);
    r->result.seen = &r->trace;
    return 0;
}

int tb_replay_plan(struct tb_replay *r, struct tb_err *err)
{
    const struct tb_options *o = r->options;

    r->workers = o->dry_run ? 1 : worker_count(o);
    r->seed = seed_of(o);
    int rc = plan_users(r, err);
    if (rc < 0)
        return rc;
    struct tb_pacing_input in = {
        .rate = o->has_rate ? o->rate : (double) o->start_rate * (double) o->start_factor,
        .ramp_s = o->ramp_s,
        .accelerate = o->accelerate,
        .topology = o->has_topology,
        .topology_s = o->topology_s,
        .sessions = r->trace.sessions,
        .session_count = r->trace.session_count,
        .users = r->plan.users,
    };
    rc = tb_pacing_init(&r->pacing, &in);
    if (rc == 0)
        rc = tb_modules_begin(&r->modules, r->workers);
    if (rc < 0)
        return tb_err_set(err, rc, "out of memory for the schedule");
    configure(r);
    return 0;
}

/* --- playing
 * --------------------------------------------------------------------------------------------- */

static void add_row(struct tb_replay *r, const struct tb_engine_progress *p)
{
    const struct tb_stats *s = p->last_second;

    struct tb_timeline_row second = {
        .t_s = (double) p->elapsed_us / 1e6,
        .open = s->open,
        .started = s->started,
        .requests = s->requests_sent,
        .responses = s->requests_answered,
        .failed = tb_stats_failed(s),
        .p99_us = tb_histogram_quantile(&s->response, 0.99),
    };
    tb_timeline_add(&r->timeline, &second);
}

/* Sessions this process plays; UINT64_MAX: as many as the duration allows. */
static uint64_t planned_sessions(const struct tb_replay *r)
{
    uint64_t users = 0;

    if (r->live)
        return UINT64_MAX;
    for (uint32_t w = 0; w < r->workers; w++)
        users += r->plan.worker_users[w];
    return r->config.plays ? users * r->config.plays : UINT64_MAX;
}

static double seconds_left(const struct tb_replay *r, uint64_t elapsed_us, uint64_t ended)
{
    uint64_t planned = planned_sessions(r);
    double left = -1;

    if (planned != UINT64_MAX && ended > 0)
        left = (double) elapsed_us / 1e6 * (double) (planned - ended) / (double) ended;
    if (r->config.duration_us) {
        double most = ((double) r->config.duration_us - (double) elapsed_us) / 1e6;
        if (most < 0)
            most = 0;
        if (left < 0 || most < left)
            left = most;
    }
    return left;
}

static void on_progress(void *ctx, const struct tb_engine_progress *p)
{
    struct tb_replay *r = ctx;
    const struct tb_stats *t = p->total, *s = p->last_second;
    uint64_t ended = tb_stats_ended(t), planned = planned_sessions(r);

    add_row(r, p);
    if (p->finished)
        return;
    struct tb_status_figures f = {
        .elapsed_s = (double) p->elapsed_us / 1e6,
        .left_s = seconds_left(r, p->elapsed_us, ended),
        .planned = planned == UINT64_MAX ? 0 : planned,
        .started = t->started,
        .ended = ended,
        .open = t->open,
        .failed = tb_stats_failed(t),
        .mismatched = t->requests_mismatched,
        .requests_per_s = (double) s->requests_sent,
        .endless = r->live && !r->config.duration_us,
        .p50_us = tb_histogram_quantile(&s->response, 0.50),
        .p99_us = tb_histogram_quantile(&s->response, 0.99),
    };
    tb_status_show(&r->status, &f, tb_clock_mono_us());
}

int tb_replay_play(struct tb_replay *r, struct tb_err *err)
{
    if (r->options->log && !r->live)
        tb_log(TB_LOG_INFO, "playing %u captured sessions with %u users, %u worker%s",
               r->plan.session_count, r->plan.users, r->workers, r->workers == 1 ? "" : "s");
    r->dropped_before = tb_softnet_drops();
    int rc = tb_timeline_init(&r->timeline);
    if (rc < 0)
        return tb_err_set(err, rc, "out of memory");
    rc = tb_engine_run(&r->config, r->ios, r->stop, on_progress, r, &r->result, err);
    tb_status_end(&r->status);
    if (rc == 0 && r->options->log)
        tb_log(TB_LOG_INFO, "the run is over: %llu sessions completed, %llu failed",
               (unsigned long long) tb_stats_completed(&r->result.stats),
               (unsigned long long) tb_stats_failed(&r->result.stats));
    return rc;
}

/* --- reporting
 * ---------------------------------------------------------------------------------------------- */

static uint64_t planned_requests(const struct tb_replay *r)
{
    uint64_t sum = 0;

    if (r->live)
        return r->result.stats.requests_sent;
    if (!r->config.plays || r->config.duration_us)
        return r->result.stats.requests_planned;
    for (uint32_t u = r->plan.shard; u < r->plan.users; u += r->plan.shards)
        sum += tb_plan_script(&r->plan, u)->requests;
    return sum * r->config.plays;
}

static int write_report(struct tb_replay *r, const struct tb_report_input *in, struct tb_err *err)
{
    json_t *json = tb_report_json(in);

    if (!json)
        return tb_err_set(err, -ENOMEM, "out of memory for the report");
    int rc = r->writer.fd >= 0 ? tb_report_writer_finish(&r->writer, json, err)
                               : tb_report_write(json, r->options->report, err);
    json_decref(json);
    return rc;
}

/* Without --fail-on any failed session fails the run. */
static int judge(const struct tb_replay *r, const struct tb_report_input *in, struct tb_err *err)
{
    int status = TB_EXIT_OK;

    if (r->options->fail_on.count == 0)
        return tb_stats_failed(in->stats) > 0 ? TB_EXIT_FAILED : TB_EXIT_OK;
    for (uint32_t i = 0; i < r->options->fail_on.count; i++) {
        struct tb_fail_on f;
        char why[256];
        int rc = tb_fail_on_parse(r->options->fail_on.item[i], &f, err);
        if (rc < 0)
            return rc;
        if (!tb_fail_on_holds(&f, in, why, sizeof why))
            continue;
        fprintf(stderr, "tcpburn: --fail-on: %s\n", why);
        status = TB_EXIT_FAILED;
    }
    return status;
}

int tb_replay_report(struct tb_replay *r, struct tb_err *err)
{
    const struct tb_stats *s = &r->result.stats;
    const char *names[TB_STATS_MODULE_COUNTERS];
    char module[256];
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    tb_modules_used(&r->modules, &r->trace, module, sizeof module);
    json_t *module_figures = json_object();
    tb_modules_report(&r->modules, module_figures);
    for (uint32_t i = 0; i < r->modules.counter_count; i++)
        names[i] = r->modules.counter_names[i];
    uint64_t planned = r->config.duration_us ? s->started : planned_sessions(r);
    struct tb_report_input in = {
        .started_us = r->result.started_real_us,
        .duration_s = (double) r->result.duration_us / 1e6,
        .command = r->command,
        .module = module,
        .version = PACKAGE_VERSION,
        .workers = r->workers,
        .seed = r->seed,
        .files = r->trace.files,
        .packets = r->trace.packets,
        .trace_sessions = r->trace.session_count,
        .trace_requests = r->trace.requests,
        .skipped = r->trace.skipped,
        .skip_count = r->trace.skip_count,
        .planned_sessions = planned == UINT64_MAX ? s->started : planned,
        .planned_requests = planned_requests(r),
        .stats = s,
        .peak = r->result.peak,
        .timeline = r->timeline.rows,
        .timeline_count = r->timeline.count,
        .timeline_each_s = r->timeline.each_s,
        .module_counter_names = names,
        .module_counter_count = r->modules.counter_count,
        .module_figures = module_figures,
        .cpu_s = (double) tb_clock_cpu_us() / 1e6,
        .max_rss_bytes = (uint64_t) usage.ru_maxrss * 1024,
        .host_dropped = (uint32_t) (tb_softnet_drops() - r->dropped_before), /* they wrap */
        .interrupted = *r->stop != 0 && !r->live, /* that is how live traffic ends */
        .is_live = r->live != NULL,
    };
    tb_replay_channel(r, &in.channel);
    bool to_stdout = r->options->report && strcmp(r->options->report, "-") == 0;
    tb_report_summary(&in, to_stdout ? stderr : stdout);
    int rc = r->options->report ? write_report(r, &in, err) : 0;
    json_decref(module_figures);
    return rc < 0 ? rc : judge(r, &in, err);
}

void tb_replay_free(struct tb_replay *r)
{
    for (uint32_t i = 0; r->ios && i < r->workers; i++)
        tb_io_close(r->ios[i]);
    free(r->ios);
    free(r->channels);
    tb_report_writer_stop(&r->writer);
    tb_timeline_fini(&r->timeline);
    tb_pacing_fini(&r->pacing);
    tb_plan_fini(&r->plan);
    tb_trace_free(&r->trace);
    tb_modules_unload(&r->modules);
    free(r->targets);
    free(r->services);
}
