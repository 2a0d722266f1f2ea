/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every capture in tests/captures, cut at random places and with random bytes changed, by fixed
 * seeds: whatever comes of it, loading ends, and scripts hold together. Meant for sanitizers.
 */
#include <dirent.h>
#include <errno.h>
#include <zlib.h>

#include "base/rng.h"
#include "trace_build.h"

enum { FILES_MAX = 64, ROUNDS = 6 };

struct capture_file {
    uint8_t *b;
    size_t len;
};

static struct capture_file files[FILES_MAX];
static int file_count;

/* Unpacked, so that damage reaches the records; `raw`: as it is. */
static void read_whole(struct capture_file *f, const char *path, bool raw)
{
    uint8_t part[16384];
    struct bytes all = {0};
    int n;
    if (raw) {
        FILE *in = fopen(path, "rb");
        assert_non_null(in);
        while ((n = (int) fread(part, 1, sizeof part, in)) > 0)
            add_bytes(&all, part, (size_t) n);
        fclose(in);
    } else {
        gzFile in = gzopen(path, "rb");
        assert_non_null(in);
        while ((n = gzread(in, part, sizeof part)) > 0)
            add_bytes(&all, part, (size_t) n);
        gzclose(in);
    }
    f->b = all.b;
    f->len = all.len;
}

static int read_captures(void **state)
{
    const char *root = getenv("TB_SRCDIR");
    char dir[512], path[1024];
    snprintf(dir, sizeof dir, "%s/tests/captures", root ? root : ".");
    DIR *d = opendir(dir);
    for (struct dirent *e = d ? readdir(d) : NULL; e && file_count < FILES_MAX; e = readdir(d)) {
        if (!strstr(e->d_name, ".pcap"))
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        read_whole(&files[file_count++], path, strncmp(e->d_name, "http-gz", 7) == 0);
    }
    if (d)
        closedir(d);
    return 0;
}

static int free_captures(void **state)
{
    while (file_count > 0)
        free(files[--file_count].b);
    return 0;
}

/* A learner that cuts at every line feed and answers at every other one. */
static void *begin_lines(void *ctx, struct tb_draft *d)
{
    return malloc(1);
}

static void cut_lines(void *ctx, void *line, struct tb_draft *d, enum tb_dir dir, uint64_t offset,
                      const uint8_t *bytes, uint64_t len, uint64_t time_us)
{
    for (uint64_t i = 0; bytes && i < len; i++) {
        if (bytes[i] == '\n' && dir == TB_FROM_CLIENT)
            tb_draft_set_note(d, tb_draft_cut(d, offset + i + 1, i % 3 ? 0 : TB_REQ_NO_RESPONSE, i),
                              1);
        else if (bytes[i] == '\n' && i % 2)
            tb_draft_response(d, offset + i);
        else if (bytes[i] == 0xfe)
            tb_draft_opaque(d);
        else if (bytes[i] == 0xfd)
            tb_draft_reject(d, "odd");
    }
}

static void end_lines(void *ctx, void *line, struct tb_draft *d, bool used)
{
    tb_draft_response(d, UINT64_MAX);
    free(line);
}

/* Requests follow each other and hold all client bytes. */
static void assert_consistent(const struct tb_trace *t)
{
    uint64_t requests = 0, bytes = 0;
    for (uint32_t i = 0; i < t->session_count; i++) {
        const struct tb_script *s = t->sessions[i];
        uint64_t session_bytes = 0;
        uint32_t waits_for = 0, count = 0;
        assert_true(tb_script_complete(s));
        assert_int_equal(s->number, i);
        for (const struct tb_request *r = tb_script_first(s); r; r = tb_script_next(r)) {
            struct tb_run run = tb_request_run(r);
            const uint8_t *data;
            uint32_t n, len = 0;
            while ((n = tb_run_next(&run, &data)) > 0)
                len += n;
            assert_true(len == r->len && len > 0);
            assert_true(r->waits_for >= waits_for && r->waits_for <= s->responses);
            waits_for = r->waits_for;
            count += !(r->flags & TB_REQ_CONTINUED);
            session_bytes += len;
        }
        assert_int_equal(count, s->requests);
        assert_int_equal(session_bytes, s->client_bytes);
        assert_true(s->end.waits_for <= s->responses && s->end.server_responses <= s->responses);
        requests += count;
        bytes += session_bytes;
    }
    assert_int_equal(requests, t->requests);
    assert_int_equal(bytes, t->client_bytes);
}

static void load_mutation(const uint8_t *b, size_t len, bool partial, bool learn)
{
    static const struct tb_learner learner = {NULL, begin_lines, cut_lines, end_lines, NULL};
    static const struct tb_service ports[] = {
        {.any_addr = true, .port = 80},   {.any_addr = true, .port = 6379},
        {.any_addr = true, .port = 2525}, {.any_addr = true, .port = 8090},
        {.any_addr = true, .port = 8091}, {.any_addr = true, .port = 8092}};
    struct tb_trace t;
    struct tb_err err = {""};
    struct tb_trace_options o = {.services = ports,
                                 .service_count = sizeof ports / sizeof *ports,
                                 .partial = partial,
                                 .learner = learn ? &learner : NULL};
    int rc = load_bytes(&t, b, len, o, &err);
    assert_true(rc == 0 || rc == -ENODATA || rc == -EBADMSG);
    assert_true((rc == 0) == (err.text[0] == 0));
    assert_consistent(&t);
    tb_trace_free(&t);
}

static void holds_together_without_mutation(void **state)
{
    for (int i = 0; i < file_count; i++)
        for (int round = 0; round < 4; round++)
            load_mutation(files[i].b, files[i].len, round & 1, round & 2);
    if (file_count == 0)
        skip();
}

static void survives_cuts(void **state)
{
    struct tb_rng rng = {1};
    if (file_count == 0)
        skip();
    for (int i = 0; i < file_count; i++)
        for (int round = 0; round < ROUNDS; round++)
            load_mutation(files[i].b, tb_rng_below(&rng, files[i].len), round & 1, round & 2);
}

static void survives_changed_bytes(void **state)
{
    struct tb_rng rng = {2};
    if (file_count == 0)
        skip();
    for (int i = 0; i < file_count; i++) {
        uint8_t *copy = exact_copy(files[i].b, files[i].len);
        for (int round = 0; round < ROUNDS; round++) {
            /* From a few changes to one in a hundred bytes, adding up. */
            uint64_t changes = 1 + files[i].len / 1000 * (uint64_t) (round * round) / 10;
            while (changes-- > 0)
                copy[tb_rng_below(&rng, files[i].len)] = (uint8_t) tb_rng_next(&rng);
            load_mutation(copy, files[i].len, round & 1, round & 2);
        }
        free(copy);
    }
}

static void survives_bytes_taken_out(void **state)
{
    struct tb_rng rng = {3};
    if (file_count == 0)
        skip();
    for (int i = 0; i < file_count; i++) {
        uint8_t *copy = exact_copy(files[i].b, files[i].len);
        size_t len = files[i].len;
        for (int round = 0; round < ROUNDS && len > 200; round++) {
            size_t at = tb_rng_below(&rng, len - 100), n = 1 + tb_rng_below(&rng, 99);
            memmove(copy + at, copy + at + n, len - at - n);
            len -= n;
            load_mutation(copy, len, round & 1, round & 2);
        }
        free(copy);
    }
}

static void survives_noise(void **state)
{
    struct tb_rng rng = {4};
    static uint8_t noise[200000];
    static const uint8_t heads[2][28] = {
        {0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0},
        {0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0,
         0,    0,    0,    0,    0,  0, 0, 0, 0,    0,    28,   0,    0, 0}};
    for (int round = 0; round < 8; round++) {
        for (size_t i = 0; i < sizeof noise; i++)
            noise[i] = (uint8_t) tb_rng_next(&rng);
        memcpy(noise, heads[round % 2], round % 2 ? 28 : 24);
        load_mutation(noise, sizeof noise, false, false);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_together_without_mutation),
        cmocka_unit_test(survives_cuts),
        cmocka_unit_test(survives_changed_bytes),
        cmocka_unit_test(survives_bytes_taken_out),
        cmocka_unit_test(survives_noise),
    };
    return cmocka_run_group_tests_name("trace_mutation", tests, read_captures, free_captures);
}
