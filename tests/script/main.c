/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Plays TCP scripts and prints TAP, a line for each.
 *
 *   script.test [FILE...]     all of tests/script without FILE, against the engine
 *   script.test --kernel      those that say what the kernel's TCP does, against it (root)
 *   script.test --kernel FILE...   these, against the kernel whatever they say
 */
#include "script.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILES_MAX = 400, AT_ONCE = 8, TRIES = 3 };

struct run {
    bool by_kernel, all;
    unsigned count, failed;
    char folder[400];
    char *files[FILES_MAX];
    unsigned file_count;
    pid_t pids[FILES_MAX]; /* of those played at once */
    int pipes[FILES_MAX];
};

static void add_file(struct run *r, const char *folder, const char *name)
{
    char path[1000];

    snprintf(path, sizeof path, "%s%s%s", folder, *folder ? "/" : "", name);
    if (r->file_count == FILES_MAX || !(r->files[r->file_count] = strdup(path))) {
        fprintf(stderr, "too many scripts\n");
        exit(2);
    }
    r->file_count++;
}

static int is_visible(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

static bool ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);

    return n > m && strcmp(name + n - m, end) == 0;
}

/* FOLDER/TOPIC/NAME.pkt in alphabetical order. */
static void find_files(struct run *r)
{
    struct dirent **topics, **names;
    const char *source = getenv("TB_SRCDIR");

    snprintf(r->folder, sizeof r->folder, "%s/tests/script", source ? source : ".");
    int topic_count = scandir(r->folder, &topics, is_visible, alphasort);
    for (int t = 0; t < topic_count; t++) {
        char topic[800];
        snprintf(topic, sizeof topic, "%s/%s", r->folder, topics[t]->d_name);
        int n = scandir(topic, &names, is_visible, alphasort);
        for (int i = 0; i < n; i++) {
            if (ends_in(names[i]->d_name, ".pkt"))
                add_file(r, topic, names[i]->d_name);
            free(names[i]);
        }
        if (n >= 0)
            free(names);
        free(topics[t]);
    }
    if (topic_count >= 0)
        free(topics);
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    char *text = calloc(1, 1 << 16);

    if (f && text && fread(text, 1, (1 << 16) - 1, f) == 0)
        text[0] = 0;
    if (f)
        fclose(f);
    return f ? text : NULL;
}

static void tell(struct run *r, const char *path, const char *headline, const char *why)
{
    size_t skip = strlen(r->folder);

    r->count++;
    r->failed += why != NULL;
    if (strncmp(path, r->folder, skip) == 0 && skip > 0)
        path += skip + 1;
    printf("%sok %u - %s: %s\n", why ? "not " : "", r->count, path, headline ? headline : "");
    if (why)
        printf("#   %s\n", why);
    fflush(stdout);
}

/* What went wrong, or NULL. */
static const char *play(const struct run *r, const struct scr *s, char why[SCR_WHY])
{
    struct scr_stack *k = r->by_kernel ? scr_kernel_open(s, why) : scr_engine_open(s, why);

    if (!k)
        return why;
    int rc = scr_play(s, k, why);
    const char *trouble = k->close(k);
    if (trouble) {
        size_t n = rc < 0 ? strlen(why) : 0;
        snprintf(why + n, SCR_WHY - n, "%s%s", n ? "; " : "", trouble);
    }
    return rc < 0 || trouble ? why : NULL;
}

/* --- the engine: one after the other ---------------------------------------------------------- */

/* Read one; what is wrong with it, or NULL. */
static const char *load(struct scr *s, const char *path, char why[SCR_WHY])
{
    char *text = read_file(path);

    s->text = NULL;
    s->headline = NULL;
    if (!text)
        return "cannot be read";
    return scr_parse(s, text, why) < 0 ? why : NULL;
}

static void play_by_engine(struct run *r, const char *path)
{
    static struct scr s;
    char why[SCR_WHY] = "";
    const char *wrong = load(&s, path, why);

    tell(r, path, s.headline, wrong ? wrong : play(r, &s, why));
    scr_free(&s);
}

/* --- the kernel: in real time, so several at once, each in a process and namespace of its own ---
 */

/* What the script says of the kernel holds; else what does not. A machine too busy to keep the
 * times may be wrong once, not three times. */
static const char *compare(const struct run *r, const struct scr *s, char why[SCR_WHY])
{
    const char *wrong = NULL;

    for (unsigned i = 0; i < TRIES; i++) {
        wrong = play(r, s, why);
        if (!r->all && s->kernel == SCR_KERNEL_DIFFERS) {
            if (wrong) {
                printf("# the kernel: %s\n", wrong);
                return NULL;
            }
            wrong = "the script says that the kernel differs, but it does the same";
        }
        if (!wrong)
            return NULL;
    }
    return wrong;
}

static int child(struct run *r, const char *path, int out)
{
    static struct scr s;
    char why[SCR_WHY] = "";

    dup2(out, STDOUT_FILENO);
    const char *wrong = load(&s, path, why);
    if (!wrong)
        wrong = scr_kernel_prepare(why) < 0 ? why : compare(r, &s, why);
    tell(r, path, s.headline, wrong);
    scr_free(&s);
    return r->failed > 0;
}

static void start_child(struct run *r, unsigned i)
{
    int p[2];

    fflush(stdout);
    if (pipe2(p, O_CLOEXEC) < 0 || (r->pids[i] = fork()) < 0) {
        perror("script.test");
        exit(2);
    }
    if (r->pids[i] == 0) {
        r->count = i;
        exit(child(r, r->files[i], p[1]));
    }
    close(p[1]);
    r->pipes[i] = p[0];
}

static void collect_child(struct run *r, unsigned i)
{
    char text[4096];
    ssize_t n;
    int status;

    while ((n = read(r->pipes[i], text, sizeof text)) > 0)
        fwrite(text, 1, (size_t) n, stdout);
    close(r->pipes[i]);
    waitpid(r->pids[i], &status, 0);
    r->failed += status != 0;
    r->count++;
    fflush(stdout);
}

/* Keep those that say something of the kernel. */
static void select_files(struct run *r)
{
    static struct scr s;
    char why[SCR_WHY];
    unsigned kept = 0;

    for (unsigned i = 0; i < r->file_count; i++) {
        bool is_asked = load(&s, r->files[i], why) || s.kernel != SCR_KERNEL_UNASKED;
        scr_free(&s);
        if (is_asked)
            r->files[kept++] = r->files[i];
        else
            free(r->files[i]);
    }
    r->file_count = kept;
}

static void play_by_kernel(struct run *r)
{
    if (!r->all)
        select_files(r);
    for (unsigned i = 0, started = 0; i < r->file_count; i++) {
        while (started < r->file_count && started < i + AT_ONCE)
            start_child(r, started++);
        collect_child(r, i);
    }
}

int main(int argc, char **argv)
{
    static struct run r;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--kernel") == 0)
            r.by_kernel = true;
        else
            add_file(&r, "", argv[i]);
    }
    r.all = r.file_count > 0;
    if (r.by_kernel && geteuid() != 0) {
        printf("1..0 # SKIP needs root (network namespaces, TUN)\n");
        return 0;
    }
    if (!r.all)
        find_files(&r);
    if (r.by_kernel)
        play_by_kernel(&r);
    for (unsigned i = 0; i < r.file_count; i++) {
        if (!r.by_kernel)
            play_by_engine(&r, r.files[i]);
        free(r.files[i]);
    }
    if (r.count == 0)
        tell(&r, r.folder, "there are scripts", "none was found");
    printf("1..%u\n", r.count);
    return r.failed > 0;
}
