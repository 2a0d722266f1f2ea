/* SPDX-License-Identifier: BSD-2-Clause */
/* --dry-run: what would be played; --dump: the packets of it, in imagined time. See replay.h. */
#include "replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/clock.h"
#include "engine/worker.h"
#include "io/backends.h"

enum { SESSIONS_SHOWN = 20 };

static const char *end_name(const struct tb_script_end *e)
{
    static const char *const client[] = {"-", "client FIN", "client RST"};
    static const char *const server[] = {"no end", "server FIN", "server RST"};

    if (e->client == TB_END_NONE || (e->server_first && e->server != TB_END_NONE))
        return server[e->server];
    return client[e->client];
}

static void print_sessions(const struct tb_replay *r)
{
    uint32_t shown =
        r->trace.session_count < SESSIONS_SHOWN ? r->trace.session_count : SESSIONS_SHOWN;

    printf("\n%8s  %-46s %10s %10s  %-8s %s\n", "session", "captured client", "requests", "bytes",
           "module", "first end");
    for (uint32_t i = 0; i < shown; i++) {
        const struct tb_script *s = r->trace.sessions[i];
        struct tb_endpoint client = {s->client, s->client_port};
        char text[TB_ENDPOINT_TEXT];
        printf("%8" PRIu32 "  %-46s %10" PRIu32 " %10" PRIu64 "  %-8s %s\n", s->number,
               tb_endpoint_format(&client, text), s->requests, s->client_bytes,
               r->modules.loaded[s->module].ops.name, end_name(&s->end));
    }
    if (shown < r->trace.session_count)
        printf("%8s  and %" PRIu32 " more\n", "…", r->trace.session_count - shown);
}

static void print_skipped(const struct tb_replay *r)
{
    if (r->trace.skip_count == 0)
        return;
    printf("not used:");
    for (uint32_t i = 0; i < r->trace.skip_count; i++)
        printf("%s %" PRIu64 " %s", i ? "," : "", r->trace.skipped[i].sessions,
               r->trace.skipped[i].reason);
    printf(" (sessions by reason)\n");
}

static void print_plan(const struct tb_replay *r)
{
    const struct tb_plan *p = &r->plan;
    uint64_t users = 0, last;
    struct tb_tcp_path first;
    char a[TB_ENDPOINT_TEXT], b[TB_ENDPOINT_TEXT];

    for (uint32_t w = 0; w < r->workers; w++)
        users += p->worker_users[w];
    tb_plan_path(p, p->shard < p->users ? p->shard : 0, 0, &first);
    struct tb_endpoint from = {first.src, first.sport}, to = {first.dst, first.dport};
    last = tb_pacing_start_us(&r->pacing, (uint64_t) p->users - 1);
    printf("users:    %" PRIu64 ", the first from %s to %s", users, tb_endpoint_format(&from, a),
           tb_endpoint_format(&to, b));
    if (p->shards > 1)
        printf(" (shard %" PRIu32 " of %" PRIu32 ")", p->shard + 1, p->shards);
    if (r->config.plays)
        printf("\nplays:    %" PRIu64 " each; ", r->config.plays);
    else
        printf("\nplays:    until the duration is over; ");
    printf("all users started after %.3f s\n", (double) last / 1e6);
}

/* Jump from deadline to deadline. */
static int dump(struct tb_replay *r, struct tb_err *err)
{
    uint64_t real_us = tb_clock_real_us(), now_us = tb_clock_mono_us();
    uint64_t offset = real_us - now_us;
    struct tb_worker *w = malloc(sizeof *w);
    struct tb_io *io = NULL;
    int rc = w ? tb_dump_open(r->options->dump, &real_us, &io, err)
               : tb_err_set(err, -ENOMEM, "out of memory");

    if (rc == 0) {
        r->config.blind = true;
        rc = tb_worker_init(w, &r->config, io, 0, now_us, err);
        while (rc == 0 && !tb_worker_is_done(w) && !*r->stop) {
            uint64_t sent = io->counters.sent;
            tb_worker_tick(w, now_us, real_us);
            uint64_t next = tb_worker_next_us(w);
            /* the imagined server answers within 100 µs */
            if (io->counters.sent > sent || next <= now_us)
                now_us += 100;
            else
                now_us = next;
            real_us = now_us + offset;
        }
        printf("dump:     %" PRIu64 " packets in %s\n", io->counters.sent, r->options->dump);
        tb_worker_fini(w);
    }
    tb_io_close(io);
    free(w);
    return rc;
}

int tb_replay_dry(struct tb_replay *r, struct tb_err *err)
{
    const struct tb_trace *t = &r->trace;

    printf("captured: %" PRIu32 " sessions, %" PRIu64 " requests, %" PRIu64
           " client bytes, from %" PRIu64 " packets in %" PRIu32 " file%s\n",
           t->session_count, t->requests, t->client_bytes, t->packets, t->files,
           t->files == 1 ? "" : "s");
    print_skipped(r);
    print_plan(r);
    print_sessions(r);
    return r->options->dump ? dump(r, err) : 0;
}
