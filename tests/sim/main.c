/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simulator's command line. Without options: what `make check` runs. Every seed is played in a
 * child process, so that a crash or an endless loop of the engine is a failed seed like others; a
 * failed one is played once more with a packet trace.
 *
 *   sim.test [--seeds N] [--first SEED] [--seed SEED] [--jobs N] [--trace FILE] [--go-on]
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include "sim.h"

enum { JOBS_MOST = 64, SECONDS_PER_SEED = 20 };

struct report {
    uint64_t seed; /* being played */
    uint64_t played;
    bool failed;
    char why[700];
};

struct options {
    uint64_t first, count;
    unsigned jobs;
    bool go_on;
    const char *trace;
};

static void write_pcap_head(FILE *f)
{
    /* magic, version 2.4, zone, accuracy, snap length, LINKTYPE_RAW */
    static const uint32_t head[6] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, 262144, 101};

    fwrite(head, 1, sizeof head, f);
}

/* Of the processor, so that a busy machine fails nothing. */
static void limit_time(void)
{
    struct itimerval limit = {.it_value.tv_sec = SECONDS_PER_SEED};

    setitimer(ITIMER_PROF, &limit, NULL);
}

static void play_seeds(const struct options *o, unsigned job, struct report *r)
{
    for (uint64_t i = job; i < o->count; i += o->jobs) {
        r->seed = o->first + i;
        limit_time();
        if (!world_play(r->seed, NULL, r->why, sizeof r->why)) {
            r->failed = true;
            if (!o->go_on)
                return;
            printf("# seed %llu: %s\n", (unsigned long long) r->seed, r->why);
            fflush(stdout);
        }
        r->played++;
    }
}

/* Once more, with its packets in a file. */
static void retrace(uint64_t seed, const char *path)
{
    char why[700] = "";
    FILE *f = fopen(path, "wb");

    if (!f)
        return;
    pid_t pid = fork();
    if (pid == 0) {
        write_pcap_head(f);
        limit_time();
        world_play(seed, f, why, sizeof why);
        fclose(f);
        _exit(0);
    }
    fclose(f);
    waitpid(pid, NULL, 0);
}

static void tell_failure(const char *self, const struct report *r, int status,
                         const struct options *o)
{
    char path[200];

    snprintf(path, sizeof path, "sim-%llu.pcap", (unsigned long long) r->seed);
    if (o->trace)
        snprintf(path, sizeof path, "%s", o->trace);
    retrace(r->seed, path);
    printf("# seed %llu: %s\n", (unsigned long long) r->seed,
           r->failed                     ? r->why
           : WTERMSIG(status) == SIGPROF ? "it takes no end"
                                         : strsignal(WTERMSIG(status)));
    printf("# packets: %s; again: %s --seed %llu\n", path, self, (unsigned long long) r->seed);
}

static int play(const char *self, const struct options *o)
{
    size_t bytes = JOBS_MOST * sizeof(struct report);
    struct report *r = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid[JOBS_MOST];
    uint64_t played = 0;
    unsigned failed = 0;

    if (r == MAP_FAILED)
        return 1;
    fflush(stdout);
    for (unsigned j = 0; j < o->jobs; j++) {
        pid[j] = fork();
        if (pid[j] == 0) {
            play_seeds(o, j, &r[j]);
            _exit(r[j].failed);
        }
    }
    for (unsigned j = 0; j < o->jobs; j++) {
        int status = 0;
        waitpid(pid[j], &status, 0);
        if (status != 0) {
            failed++;
            tell_failure(self, &r[j], status, o);
        }
        played += r[j].played;
    }
    printf("1..1\n%sok 1 - %llu seeds from %llu on\n", failed ? "not " : "",
           (unsigned long long) played, (unsigned long long) o->first);
    return failed != 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seeds", required_argument, NULL, 'n'},
                                            {"first", required_argument, NULL, 'f'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"jobs", required_argument, NULL, 'j'},
                                            {"trace", required_argument, NULL, 't'},
                                            {"go-on", no_argument, NULL, 'g'},
                                            {NULL, 0, NULL, 0}};
    struct options o = {.first = 1, .count = 2000, .jobs = 2};
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'n')
            o.count = strtoull(optarg, NULL, 0);
        else if (c == 'f')
            o.first = strtoull(optarg, NULL, 0);
        else if (c == 's') {
            o.first = strtoull(optarg, NULL, 0);
            o.count = 1;
        } else if (c == 'j')
            o.jobs = (unsigned) strtoul(optarg, NULL, 0);
        else if (c == 'g')
            o.go_on = true;
        else if (c == 't')
            o.trace = optarg;
        else
            return 2;
    }
    if (o.jobs == 0 || o.jobs > JOBS_MOST)
        o.jobs = 1;
    return play(argv[0], &o);
}
