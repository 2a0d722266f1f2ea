/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads made-up captures and compares. `model.test [--seeds N] [--first SEED] [--seed SEED]`: a
 * seed that fails says why, and leaves its capture files as model-SEED-N.cap.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "model.h"

static char why[300];

static bool fail(const struct model_session *s, const char *what, uint64_t seen, uint64_t meant)
{
    snprintf(why, sizeof why, "%s: %llu, not %llu%s%s", what, (unsigned long long) seen,
             (unsigned long long) meant, s ? ", of client port " : "", "");
    if (s)
        snprintf(why + strlen(why), sizeof why - strlen(why), "%u", s->cport);
    return false;
}

static const struct tb_script *find(const struct tb_trace *t, const struct model_session *s)
{
    for (uint32_t i = 0; i < t->session_count; i++) {
        const struct tb_script *x = t->sessions[i];
        if (x->client_port == s->cport && tb_addr_eq(&x->client, &s->client) &&
            x->start_us == s->start_us)
            return x;
    }
    return NULL;
}

static bool compare_bytes(const struct model_session *s, const struct tb_script *x)
{
    uint64_t at = 0;

    for (const struct tb_request *r = tb_script_first(x); r; r = tb_script_next(r)) {
        struct tb_run run = tb_request_run(r);
        const uint8_t *piece;
        uint32_t n;
        while ((n = tb_run_next(&run, &piece)) > 0) {
            if (at + n > s->len || memcmp(piece, s->bytes + at, n) != 0)
                return fail(s, "wrong bytes behind", at, s->len);
            at += n;
        }
    }
    if (at != s->len || x->client_bytes != s->len)
        return fail(s, "bytes of the client", at, s->len);
    return true;
}

static bool compare_session(const struct model *m, const struct model_session *s,
                            const struct tb_script *x)
{
    if (!compare_bytes(s, x))
        return false;
    if (x->syn.mss != s->syn.mss || x->syn.wscale != s->syn.wscale ||
        x->syn.sack_permitted != s->syn.sack_permitted || x->syn.timestamps != s->syn.timestamps)
        return fail(s, "options of the SYN, MSS", x->syn.mss, s->syn.mss);
    if (!m->shuffled && x->end.client != s->end[0])
        return fail(s, "the client's end", x->end.client, s->end[0]);
    if (!m->shuffled && x->end.server != s->end[1])
        return fail(s, "the server's end", x->end.server, s->end[1]);
    return true;
}

static uint64_t skipped(const struct tb_trace *t, const char *reason)
{
    for (uint32_t i = 0; i < t->skip_count; i++)
        if (strcmp(t->skipped[i].reason, reason) == 0)
            return t->skipped[i].sessions;
    return 0;
}

static bool compare(const struct model *m, const struct tb_trace *t)
{
    uint64_t meant[FATE_KINDS] = {0}, all = 0;

    for (uint32_t i = 0; i < m->sessions; i++) {
        const struct model_session *s = &m->session[i];
        const struct tb_script *x = find(t, s);
        meant[s->fate]++;
        if (!x != (s->fate != FATE_PLAYED))
            return fail(s, x ? "should have been skipped" : "is missing", 0, s->fate);
        if (x && !compare_session(m, s, x))
            return false;
    }
    for (unsigned f = 1; f < FATE_KINDS; f++)
        if (skipped(t, model_reason[f]) != meant[f])
            return fail(NULL, model_reason[f], skipped(t, model_reason[f]), meant[f]);
    for (uint32_t i = 0; i < t->skip_count; i++)
        all += t->skipped[i].sessions;
    if (all + t->session_count != m->sessions)
        return fail(NULL, "sessions in all", all + t->session_count, m->sessions);
    if (t->packets != m->packets || t->bad_packets || t->other_packets)
        return fail(NULL, "packets", t->packets, m->packets);
    return true;
}

static void keep_files(uint64_t seed, const int *fd, uint32_t files)
{
    for (uint32_t i = 0; i < files; i++) {
        char name[64], bytes[4096];
        snprintf(name, sizeof name, "model-%llu-%u.cap", (unsigned long long) seed, i);
        FILE *f = fopen(name, "wb");
        ssize_t n;
        lseek(fd[i], 0, SEEK_SET);
        while (f && (n = read(fd[i], bytes, sizeof bytes)) > 0)
            fwrite(bytes, 1, (size_t) n, f);
        if (f)
            fclose(f);
        printf("# %s\n", name);
    }
}

static bool run(uint64_t seed)
{
    static const struct tb_service service = {.any_addr = true, .port = MODEL_PORT};
    struct model *m = calloc(1, sizeof *m);
    int fd[MODEL_FILES];
    char path[MODEL_FILES][32];
    const char *files[MODEL_FILES];
    struct tb_trace t;
    struct tb_err err = {""};

    if (!m)
        abort();
    m->rng.state = seed * UINT64_C(0x2545F4914F6CDD1D) + 7;
    model_make(m);
    uint32_t count = model_write(m, fd), played = 0;
    for (uint32_t i = 0; i < count; i++) {
        snprintf(path[i], sizeof path[i], "/proc/self/fd/%d", fd[i]);
        files[i] = path[i];
    }
    for (uint32_t i = 0; i < m->sessions; i++)
        played += m->session[i].fate == FATE_PLAYED;
    struct tb_trace_options o = {
        .files = files, .file_count = count, .services = &service, .service_count = 1};
    int rc = tb_trace_load(&t, &o, &err);
    bool fine = rc == 0 ? compare(m, &t) : played == 0 || fail(NULL, err.text, 0, played);
    tb_trace_free(&t);
    if (!fine) {
        printf("# seed %llu: %s\n", (unsigned long long) seed, why);
        keep_files(seed, fd, count);
    }
    for (uint32_t i = 0; i < count; i++)
        close(fd[i]);
    model_free(m);
    free(m);
    return fine;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seeds", required_argument, NULL, 'n'},
                                            {"first", required_argument, NULL, 'f'},
                                            {"seed", required_argument, NULL, 's'},
                                            {NULL, 0, NULL, 0}};
    uint64_t first = 1, count = 1200, failed = 0;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'n')
            count = strtoull(optarg, NULL, 0);
        else if (c == 'f' || c == 's')
            first = strtoull(optarg, NULL, 0);
        else
            return 2;
        if (c == 's')
            count = 1;
    }
    for (uint64_t i = 0; i < count && failed < 3; i++)
        failed += !run(first + i);
    printf("1..1\n%sok 1 - %llu made-up captures from seed %llu on\n", failed ? "not " : "",
           (unsigned long long) count, (unsigned long long) first);
    return failed != 0;
}
