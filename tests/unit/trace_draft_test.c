/* SPDX-License-Identifier: BSD-2-Clause */
/* What scripts say: where requests are cut, what they wait for, think times, and how it ends. */
#include <errno.h>
#include "trace_build.h"

static struct conn opened(struct cap *c)
{
    struct conn n = new_conn(4000);
    *c = new_cap(LINK_ETHERNET);
    shake_hands(c, &n); /* the last ACK at 1 ms */
    return n;
}

/* --- cut by direction changes --------------------------------------------------------------- */

static void cuts_where_the_direction_changes(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    wait_us(&c, 10 * MS);
    client_says(&c, &n, "on");
    client_says(&c, &n, "e");
    wait_us(&c, 20 * MS);
    server_says(&c, &n, "first");
    wait_us(&c, 7 * MS);
    server_says(&c, &n, "half");
    wait_us(&c, 5 * MS);
    server_says(&c, &n, "!");
    wait_us(&c, 30 * MS);
    client_says(&c, &n, "two");
    wait_us(&c, 1 * MS);
    server_says(&c, &n, "ok");
    struct tb_trace t = load(&c);
    const struct tb_script *s = t.sessions[0];
    assert_int_equal(s->requests, 2);
    assert_int_equal(s->responses, 2);
    const struct tb_request *one = request_at(s, 0), *two = request_at(s, 1);
    assert_request(one, "one");
    assert_int_equal(one->flags, TB_REQ_BYTES | TB_REQ_ANSWERED);
    assert_int_equal(one->waits_for, 0);
    assert_int_equal(one->think_us, 10 * MS); /* from the handshake */
    assert_int_equal(one->response_bytes, 10);
    assert_int_equal(one->silence_us, 7 * MS);
    assert_request(two, "two");
    assert_int_equal(two->index, 1);
    assert_int_equal(two->waits_for, 1);
    assert_int_equal(two->think_us, 30 * MS); /* from the end of the response */
    assert_int_equal(two->response_bytes, 2);
    assert_int_equal(two->silence_us, 0);
    tb_trace_free(&t);
}

static void leaves_an_unanswered_request_unanswered(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_says(&c, &n, "one");
    server_acks(&c, &n);
    struct tb_trace t = load(&c);
    const struct tb_request *r = request_at(t.sessions[0], 0);
    assert_int_equal(r->flags, TB_REQ_BYTES);
    assert_int_equal(r->response_bytes, 0);
    assert_int_equal(t.sessions[0]->responses, 0);
    tb_trace_free(&t);
}

static void knows_a_server_that_speaks_first(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    wait_us(&c, 4 * MS);
    server_says(&c, &n, "220 ");
    wait_us(&c, 3 * MS);
    server_says(&c, &n, "hello");
    wait_us(&c, 6 * MS);
    client_says(&c, &n, "HELO");
    server_says(&c, &n, "250 ok");
    struct tb_trace t = load(&c);
    const struct tb_script *s = t.sessions[0];
    assert_true(s->has_greeting);
    assert_int_equal(s->greeting_bytes, 9);
    assert_int_equal(s->greeting_silence_us, 3 * MS);
    assert_int_equal(s->responses, 2);
    const struct tb_request *r = request_at(s, 0);
    assert_int_equal(r->waits_for, 1);
    assert_int_equal(r->think_us, 6 * MS);
    assert_false(r->flags & TB_REQ_PIPELINED);
    tb_trace_free(&t);
}

static void counts_a_greeting_without_any_request(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    server_says(&c, &n, "go away");
    server_fin(&c, &n);
    client_fin(&c, &n);
    struct tb_trace t = load(&c);
    const struct tb_script *s = t.sessions[0];
    assert_true(s->has_greeting);
    assert_int_equal(s->greeting_bytes, 7);
    assert_int_equal(s->responses, 1);
    assert_int_equal(s->end.server_responses, 1);
    assert_true(s->end.server_first);
    assert_int_equal(s->end.waits_for, 1);
    tb_trace_free(&t);
}

static void splits_a_run_where_the_client_paused(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_says(&c, &n, "part one, ");
    wait_us(&c, 40 * MS);
    client_says(&c, &n, "part two, ");
    wait_us(&c, 2 * MS); /* not worth a record */
    client_says(&c, &n, "and more");
    wait_us(&c, 1 * MS);
    server_says(&c, &n, "thanks");
    client_says(&c, &n, "next");
    struct tb_trace t = load(&c);
    const struct tb_script *s = t.sessions[0];
    assert_int_equal(s->requests, 2);
    assert_int_equal(record_count(s), 3);
    const struct tb_request *first = request_at(s, 0), *rest = request_at(s, 1);
    assert_request(first, "part one, ");
    assert_int_equal(first->flags, TB_REQ_BYTES);
    assert_int_equal(first->response_bytes, 0);
    assert_request(rest, "part two, and more");
    assert_int_equal(rest->flags,
                     TB_REQ_BYTES | TB_REQ_CONTINUED | TB_REQ_PIPELINED | TB_REQ_ANSWERED);
    assert_int_equal(rest->index, 0);
    assert_int_equal(rest->think_us, 40 * MS); /* from the first byte of the part before */
    assert_int_equal(rest->waits_for, 0);
    assert_int_equal(rest->response_bytes, 6);
    assert_int_equal(request_at(s, 2)->index, 1);
    assert_int_equal(request_at(s, 2)->waits_for, 1);
    tb_trace_free(&t);
}

static void does_not_split_where_the_network_paused(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    static char full[1461]; /* one MSS, unacknowledged: the client may be waiting for a window */
    memset(full, 'x', 1460);
    client_says(&c, &n, full);
    wait_us(&c, 40 * MS);
    client_says(&c, &n, full);
    server_acks(&c, &n); /* now the pause is its own */
    wait_us(&c, 40 * MS);
    client_says(&c, &n, "end");
    struct tb_trace t = load(&c);
    assert_int_equal(record_count(t.sessions[0]), 2);
    assert_int_equal(request_at(t.sessions[0], 0)->len, 2920);
    tb_trace_free(&t);
}

static void never_counts_time_backwards(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    wait_us(&c, 20 * MS);
    client_says(&c, &n, "one");
    wait_us(&c, 20 * MS);
    server_says(&c, &n, "1");
    c.now_us -= 10 * MS;
    client_says(&c, &n, "two");
    c.now_us -= 30 * MS;
    server_says(&c, &n, "2");
    client_says(&c, &n, "three");
    client_fin(&c, &n);
    struct tb_trace t = load(&c);
    const struct tb_script *s = t.sessions[0];
    for (uint32_t i = 1; i < 3; i++) {
        assert_int_equal(request_at(s, i)->think_us, 0);
        assert_int_equal(request_at(s, i)->silence_us, 0);
    }
    assert_int_equal(s->end.delay_us, 0);
    tb_trace_free(&t);
}

/* --- ends ----------------------------------------------------------------------------------- */

static void tells_of_a_client_that_closes_first(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_says(&c, &n, "one");
    server_says(&c, &n, "1");
    wait_us(&c, 15 * MS);
    close_both(&c, &n);
    struct tb_trace t = load(&c);
    const struct tb_script_end *e = &t.sessions[0]->end;
    assert_int_equal(e->client, TB_END_FIN);
    assert_int_equal(e->server, TB_END_FIN);
    assert_false(e->server_first);
    assert_true(e->server_fin);
    assert_int_equal(e->waits_for, 1);
    assert_int_equal(e->server_responses, 1);
    assert_int_equal(e->bytes, 0);
    assert_int_equal(e->delay_us, 15 * MS);
    tb_trace_free(&t);
}

static void tells_of_a_server_that_closes_first(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_says(&c, &n, "one");
    server_says(&c, &n, "1");
    wait_us(&c, 15 * MS);
    server_fin(&c, &n);
    wait_us(&c, 6 * MS);
    client_fin(&c, &n);
    struct tb_trace t = load(&c);
    const struct tb_script_end *e = &t.sessions[0]->end;
    assert_true(e->server_first);
    assert_int_equal(e->client, TB_END_FIN);
    assert_int_equal(e->server_responses, 1);
    assert_int_equal(e->waits_for, 1);
    assert_int_equal(e->delay_us, 6 * MS); /* from the server's FIN */
    tb_trace_free(&t);
}

static void keeps_a_half_close(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_says(&c, &n, "one");
    wait_us(&c, 2 * MS);
    client_fin(&c, &n);
    server_says(&c, &n, "the answer comes later");
    server_fin(&c, &n);
    struct tb_trace t = load(&c);
    const struct tb_script *s = t.sessions[0];
    assert_int_equal(s->end.client, TB_END_FIN);
    assert_int_equal(s->end.waits_for, 0);
    assert_int_equal(s->end.bytes, 0);
    assert_int_equal(s->end.delay_us, 2 * MS);
    assert_int_equal(s->end.server_responses, 1);
    assert_true(request_at(s, 0)->flags & TB_REQ_ANSWERED);
    assert_int_equal(request_at(s, 0)->response_bytes, 22);
    tb_trace_free(&t);
}

static void keeps_a_half_close_inside_a_response(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_says(&c, &n, "one");
    server_says(&c, &n, "the answer");
    client_fin(&c, &n);
    server_says(&c, &n, " goes on");
    server_fin(&c, &n);
    struct tb_trace t = load(&c);
    const struct tb_script *s = t.sessions[0];
    assert_int_equal(s->end.waits_for, 0);
    assert_int_equal(s->end.bytes, 10);
    assert_true(request_at(s, 0)->flags & TB_REQ_ANSWERED);
    assert_int_equal(request_at(s, 0)->response_bytes, 18);
    tb_trace_free(&t);
}

static void keeps_a_server_that_half_closes(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_says(&c, &n, "one");
    server_says(&c, &n, "1");
    server_fin(&c, &n);
    client_says(&c, &n, "sent on");
    client_fin(&c, &n);
    struct tb_trace t = load(&c);
    const struct tb_script *s = t.sessions[0];
    assert_stream(s, "onesent on");
    assert_true(s->end.server_first);
    assert_int_equal(s->end.server_responses, 1);
    assert_int_equal(s->end.waits_for, 1);
    assert_false(request_at(s, 1)->flags & TB_REQ_ANSWERED);
    tb_trace_free(&t);
}

static void keeps_a_reset_inside_a_response(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_says(&c, &n, "download");
    server_says(&c, &n, "0123456789");
    wait_us(&c, 9 * MS);
    client_rst(&c, &n);
    server_says(&c, &n, "still on its way");
    struct tb_trace t = load(&c);
    const struct tb_script *s = t.sessions[0];
    assert_int_equal(s->end.client, TB_END_RST);
    assert_int_equal(s->end.waits_for, 0);
    assert_int_equal(s->end.bytes, 10);
    assert_int_equal(s->end.delay_us, 9 * MS);
    assert_int_equal(s->responses, 0);
    assert_false(request_at(s, 0)->flags & TB_REQ_ANSWERED);
    tb_trace_free(&t);
}

static void knows_what_the_client_had_received_when_it_reset(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_says(&c, &n, "download");
    server_says(&c, &n, "0123456789");
    segment(&c, &n, TB_FROM_CLIENT, 9, 5, RST | ACK, NULL); /* had 4 of them */
    struct tb_trace t = load(&c);
    assert_int_equal(t.sessions[0]->end.bytes, 4);
    assert_false(request_at(t.sessions[0], 0)->flags & TB_REQ_ANSWERED);
    tb_trace_free(&t);
}

static void keeps_a_reset_behind_a_response(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_says(&c, &n, "one");
    server_says(&c, &n, "1");
    client_rst(&c, &n);
    struct tb_trace t = load(&c);
    const struct tb_script *s = t.sessions[0];
    assert_int_equal(s->end.client, TB_END_RST);
    assert_int_equal(s->end.waits_for, 1);
    assert_int_equal(s->end.bytes, 0);
    assert_true(request_at(s, 0)->flags & TB_REQ_ANSWERED);
    tb_trace_free(&t);
}

static void tells_a_close_from_a_half_close(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_says(&c, &n, "download");
    server_says(&c, &n, "0123456789");
    client_fin(&c, &n);
    server_says(&c, &n, "still on its way");
    say_flags(&c, &n, TB_FROM_CLIENT, RST, NULL);
    struct tb_trace t = load(&c);
    const struct tb_script *s = t.sessions[0];
    assert_int_equal(s->end.client, TB_END_FIN);
    assert_true(s->end.client_rst);
    assert_int_equal(s->end.waits_for, 0);
    assert_int_equal(s->end.bytes, 10);
    assert_false(request_at(s, 0)->flags & TB_REQ_ANSWERED);
    tb_trace_free(&t);
}

static void tells_of_a_server_that_resets(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_says(&c, &n, "one");
    server_says(&c, &n, "1");
    server_fin(&c, &n);
    client_says(&c, &n, "late");
    say_flags(&c, &n, TB_FROM_SERVER, RST, NULL);
    struct tb_trace t = load(&c);
    const struct tb_script_end *e = &t.sessions[0]->end;
    assert_stream(t.sessions[0], "onelate");
    assert_int_equal(e->server, TB_END_RST);
    assert_true(e->server_fin);
    assert_int_equal(e->client, TB_END_NONE);
    assert_int_equal(e->server_responses, 1);
    tb_trace_free(&t);
}

static void ignores_resets_behind_both_fins(void **state)
{
    struct cap c;
    struct conn n = opened(&c);
    client_says(&c, &n, "one");
    server_says(&c, &n, "1");
    close_both(&c, &n);
    server_rst(&c, &n);
    struct tb_trace t = load(&c);
    assert_int_equal(t.sessions[0]->end.client, TB_END_FIN);
    assert_int_equal(t.sessions[0]->end.server, TB_END_FIN);
    tb_trace_free(&t);
}

/* --- cut by a learner ----------------------------------------------------------------------- */

/* Lines in both directions, each answering one. Client lines: "QUIT" has no answer, "UP" makes
 * the streams opaque once it is answered, "BAD" is refused, "+..." goes on with the line before;
 * the answer "..." ends with the connection. */
struct lines {
    uint64_t end[2]; /* offset behind the last line */
    char line[2][64];
    uint32_t len[2];
    bool upgrade, by_close;
    uint64_t server_bytes;
};

struct lines_log {
    int begun, ended, used;
    uint64_t gap_bytes, data_bytes, last_us;
    bool late; /* cut a request only when the next bytes come */
};

static void *lines_begin(void *ctx, struct tb_draft *d)
{
    struct lines_log *log = ctx;
    log->begun++;
    assert_non_null(tb_draft_script(d));
    return calloc(1, sizeof(struct lines));
}

static void lines_end_of_line(struct lines *l, struct tb_draft *d, enum tb_dir dir)
{
    const char *text = l->line[dir];
    if (dir == TB_FROM_CLIENT) {
        if (strcmp(text, "BAD") == 0)
            tb_draft_reject(d, "bad line");
        bool quit = strcmp(text, "QUIT") == 0;
        uint16_t flags = quit ? TB_REQ_NO_RESPONSE : text[0] == '+' ? TB_REQ_CONTINUED : 0;
        uint32_t number = tb_draft_cut(d, l->end[dir], flags, l->len[dir]);
        tb_draft_set_session_note(d, number + 1);
        l->upgrade = strcmp(text, "UP") == 0;
    } else {
        tb_draft_response(d, l->end[dir]);
        if (l->upgrade)
            tb_draft_opaque(d);
    }
}

static void lines_data(void *ctx, void *state, struct tb_draft *d, enum tb_dir dir, uint64_t offset,
                       const uint8_t *bytes, uint64_t len, uint64_t time_us)
{
    struct lines_log *log = ctx;
    struct lines *l = state;
    assert_int_equal(offset, l->end[dir] + l->len[dir]);
    assert_true(time_us >= log->last_us);
    log->last_us = time_us;
    if (!bytes) {
        assert_int_equal(dir, TB_FROM_SERVER);
        log->gap_bytes += len;
        l->len[dir] += (uint32_t) len;
        return;
    }
    log->data_bytes += len;
    for (uint64_t i = 0; i < len; i++) {
        if (bytes[i] != '\n') {
            l->line[dir][l->len[dir]++ % 63] = (char) bytes[i];
            continue;
        }
        l->line[dir][l->len[dir] % 64] = 0;
        l->end[dir] += l->len[dir] + 1;
        lines_end_of_line(l, d, dir);
        l->by_close = dir == TB_FROM_SERVER && strncmp(l->line[dir], "...", 3) == 0;
        l->len[dir] = 0;
    }
    if (dir == TB_FROM_SERVER)
        l->server_bytes = offset + len;
}

static void lines_end(void *ctx, void *state, struct tb_draft *d, bool used)
{
    struct lines_log *log = ctx;
    struct lines *l = state;
    log->ended++;
    log->used += used;
    if (l->len[TB_FROM_SERVER] > 0)
        tb_draft_response(d, l->server_bytes);
    free(l);
}

static struct tb_trace learn(struct cap *c, struct lines_log *log)
{
    const struct tb_learner learner = {log, lines_begin, lines_data, lines_end, NULL};
    struct tb_trace t = load_with(c, (struct tb_trace_options){.learner = &learner});
    assert_int_equal(log->begun, log->ended);
    assert_int_equal(log->used, t.session_count);
    return t;
}

static void cuts_where_the_learner_says(void **state)
{
    struct cap c;
    struct lines_log log = {0};
    struct conn n = opened(&c);
    wait_us(&c, 5 * MS);
    client_says(&c, &n, "o");
    wait_us(&c, 8 * MS);
    client_says(&c, &n, "ne\n");
    wait_us(&c, 2 * MS);
    server_says(&c, &n, "the ");
    wait_us(&c, 4 * MS);
    server_says(&c, &n, "first\n");
    wait_us(&c, 50 * MS);
    client_says(&c, &n, "two\n");
    server_says(&c, &n, "2\n");
    struct tb_trace t = learn(&c, &log);
    const struct tb_script *s = t.sessions[0];
    const struct tb_request *one = request_at(s, 0), *two = request_at(s, 1);
    assert_request(one, "one\n");
    assert_int_equal(one->flags, TB_REQ_ANSWERED);
    assert_int_equal(one->think_us, 5 * MS);
    assert_int_equal(one->response_bytes, 10);
    assert_int_equal(one->silence_us, 4 * MS);
    assert_int_equal(one->note, 3);
    assert_request(two, "two\n");
    assert_int_equal(two->think_us, 50 * MS);
    assert_int_equal(two->waits_for, 1);
    assert_int_equal(s->responses, 2);
    assert_int_equal(s->note, 2);
    assert_int_equal(log.data_bytes, 4 + 10 + 4 + 2);
    tb_trace_free(&t);
}

static void response_belongs_to_all_parts_of_a_request(void **state)
{
    struct cap c;
    struct lines_log log = {0};
    struct conn n = opened(&c);
    client_says(&c, &n, "one\ntwo\n+more\n");
    server_says(&c, &n, "1\n");
    client_says(&c, &n, "+most\n");
    server_says(&c, &n, "two\n");
    client_says(&c, &n, "+late\n");
    client_says(&c, &n, "three\n");
    server_says(&c, &n, "3\n");
    struct tb_trace t = learn(&c, &log);
    const struct tb_script *s = t.sessions[0];
    static const struct {
        const char *text;
        uint32_t index;
        uint16_t flags, bytes;
    } want[] = {{"one\n", 0, TB_REQ_ANSWERED, 2},
                {"two\n", 1, 0, 0},
                {"+more\n", 1, TB_REQ_CONTINUED, 0},
                {"+most\n", 1, TB_REQ_CONTINUED | TB_REQ_ANSWERED, 4},
                {"+late\n", 1, TB_REQ_CONTINUED | TB_REQ_NO_RESPONSE, 0},
                {"three\n", 2, TB_REQ_ANSWERED, 2}};
    for (unsigned i = 0; i < 6; i++) {
        const struct tb_request *r = request_at(s, i);
        assert_request(r, want[i].text);
        assert_int_equal(r->index, want[i].index);
        assert_int_equal(r->flags & ~TB_REQ_PIPELINED, want[i].flags);
        assert_int_equal(r->response_bytes, want[i].bytes);
    }
    assert_int_equal(s->requests, 3);
    assert_int_equal(s->responses, 3);
    tb_trace_free(&t);
}

static void keeps_the_distance_of_pipelined_requests(void **state)
{
    struct cap c;
    struct lines_log log = {0};
    struct conn n = opened(&c);
    client_says(&c, &n, "one\ntwo\nth");
    wait_us(&c, 10 * MS);
    client_says(&c, &n, "ree\nfour\n");
    server_says(&c, &n, "1\n2");
    wait_us(&c, 6 * MS);
    client_says(&c, &n, "five\n");
    server_says(&c, &n, "\n3\n4\n5\n");
    struct tb_trace t = learn(&c, &log);
    const struct tb_script *s = t.sessions[0];
    assert_int_equal(s->requests, 5);
    assert_false(request_at(s, 0)->flags & TB_REQ_PIPELINED);
    assert_true(request_at(s, 1)->flags & TB_REQ_PIPELINED);
    assert_int_equal(request_at(s, 1)->think_us, 0);
    assert_request(request_at(s, 2), "three\n");
    assert_int_equal(request_at(s, 2)->think_us, 0); /* its first byte came with "one" */
    assert_int_equal(request_at(s, 3)->think_us, 10 * MS);
    assert_true(request_at(s, 3)->flags & TB_REQ_PIPELINED);
    assert_int_equal(request_at(s, 4)->waits_for, 1);
    assert_false(request_at(s, 4)->flags & TB_REQ_PIPELINED);
    assert_int_equal(request_at(s, 4)->think_us, 6 * MS);
    for (uint32_t i = 0; i < 5; i++) {
        assert_true(request_at(s, i)->flags & TB_REQ_ANSWERED);
        assert_int_equal(request_at(s, i)->response_bytes, 2);
    }
    assert_int_equal(request_at(s, 1)->silence_us, 6 * MS);
    tb_trace_free(&t);
}

static void answers_only_requests_that_have_a_response(void **state)
{
    struct cap c;
    struct lines_log log = {0};
    struct conn n = opened(&c);
    client_says(&c, &n, "one\nQUIT\nthree\n");
    server_says(&c, &n, "1\n");
    server_says(&c, &n, "3\n");
    server_says(&c, &n, "surplus\n");
    struct tb_trace t = learn(&c, &log);
    const struct tb_script *s = t.sessions[0];
    assert_int_equal(request_at(s, 0)->flags & TB_REQ_ANSWERED, TB_REQ_ANSWERED);
    assert_int_equal(request_at(s, 1)->flags, TB_REQ_NO_RESPONSE | TB_REQ_PIPELINED);
    assert_int_equal(request_at(s, 2)->response_bytes, 2);
    assert_int_equal(s->responses, 2);
    tb_trace_free(&t);
}

static void takes_a_first_response_for_a_greeting(void **state)
{
    struct cap c;
    struct lines_log log = {0};
    struct conn n = opened(&c);
    server_says(&c, &n, "hello\n");
    wait_us(&c, 3 * MS);
    client_says(&c, &n, "one\n");
    server_says(&c, &n, "1\n");
    struct tb_trace t = learn(&c, &log);
    const struct tb_script *s = t.sessions[0];
    assert_true(s->has_greeting);
    assert_int_equal(s->greeting_bytes, 6);
    assert_int_equal(request_at(s, 0)->waits_for, 1);
    assert_int_equal(request_at(s, 0)->think_us, 3 * MS);
    assert_int_equal(s->responses, 2);
    tb_trace_free(&t);
}

static void takes_an_answer_before_the_end_of_its_request(void **state)
{
    struct cap c;
    struct lines_log log = {0};
    struct conn n = opened(&c);
    client_says(&c, &n, "a long requ");
    server_says(&c, &n, "too long\n");
    client_says(&c, &n, "est\n");
    client_says(&c, &n, "two\n");
    server_says(&c, &n, "2\n");
    struct tb_trace t = learn(&c, &log);
    const struct tb_script *s = t.sessions[0];
    assert_false(s->has_greeting);
    assert_true(request_at(s, 0)->flags & TB_REQ_ANSWERED);
    assert_int_equal(request_at(s, 0)->response_bytes, 9);
    assert_int_equal(request_at(s, 1)->response_bytes, 2);
    tb_trace_free(&t);
}

static void keeps_a_request_that_was_cut_off(void **state)
{
    struct cap c;
    struct lines_log log = {0};
    struct conn n = opened(&c);
    client_says(&c, &n, "one\n");
    server_says(&c, &n, "1\n");
    wait_us(&c, 5 * MS);
    client_says(&c, &n, "tw");
    client_says(&c, &n, "o");
    struct tb_trace t = learn(&c, &log);
    const struct tb_script *s = t.sessions[0];
    assert_int_equal(s->requests, 2);
    assert_request(request_at(s, 1), "two");
    assert_int_equal(request_at(s, 1)->flags, 0);
    assert_int_equal(request_at(s, 1)->think_us, 5 * MS);
    tb_trace_free(&t);
}

static void cuts_by_direction_once_opaque(void **state)
{
    struct cap c;
    struct lines_log log = {0};
    struct conn n = opened(&c);
    client_says(&c, &n, "UP\n");
    server_says(&c, &n, "welcome\n");
    wait_us(&c, 5 * MS);
    client_says(&c, &n, "no lines");
    wait_us(&c, 2 * MS);
    server_says(&c, &n, "none here");
    wait_us(&c, 6 * MS);
    client_says(&c, &n, "at all\n\n");
    struct tb_trace t = learn(&c, &log);
    const struct tb_script *s = t.sessions[0];
    assert_int_equal(s->requests, 3);
    assert_int_equal(request_at(s, 0)->flags, TB_REQ_ANSWERED);
    assert_request(request_at(s, 1), "no lines");
    assert_int_equal(request_at(s, 1)->flags, TB_REQ_BYTES | TB_REQ_ANSWERED);
    assert_int_equal(request_at(s, 1)->waits_for, 1);
    assert_int_equal(request_at(s, 1)->think_us, 5 * MS);
    assert_int_equal(request_at(s, 1)->response_bytes, 9);
    assert_request(request_at(s, 2), "at all\n\n");
    assert_int_equal(request_at(s, 2)->waits_for, 2);
    assert_int_equal(request_at(s, 2)->think_us, 6 * MS);
    assert_int_equal(log.data_bytes, 3 + 8);
    tb_trace_free(&t);
}

static void counts_rejected_sessions_under_the_learners_reason(void **state)
{
    struct cap c;
    struct lines_log log = {0};
    struct conn n = opened(&c), good = new_conn(4001);
    client_says(&c, &n, "BAD\n");
    server_says(&c, &n, "1\n");
    client_says(&c, &n, "more\n");
    close_both(&c, &n);
    shake_hands(&c, &good);
    client_says(&c, &good, "one\n");
    struct tb_trace t = learn(&c, &log);
    assert_int_equal(t.session_count, 1);
    assert_stream(t.sessions[0], "one\n");
    assert_int_equal(t.sessions[0]->number, 0);
    assert_int_equal(skipped(&t, "bad line"), 1);
    assert_int_equal(t.requests, 1);
    assert_int_equal(t.client_bytes, 4);
    tb_trace_free(&t);
}

static void tells_the_learner_of_gaps(void **state)
{
    struct cap c;
    struct lines_log log = {0};
    struct conn n = opened(&c);
    client_says(&c, &n, "one\n");
    server_says(&c, &n, "the ");
    c.lose = true;
    server_says(&c, &n, "lost ");
    server_says(&c, &n, "answer\n");
    client_says(&c, &n, "two\n");
    server_says(&c, &n, "2\n");
    struct tb_trace t = learn(&c, &log);
    assert_int_equal(log.gap_bytes, 5);
    assert_int_equal(request_at(t.sessions[0], 0)->response_bytes, 16);
    assert_int_equal(request_at(t.sessions[0], 1)->response_bytes, 2);
    tb_trace_free(&t);
}

static void gives_the_learner_displaced_packets_in_order(void **state)
{
    struct cap c;
    struct lines_log log = {0};
    struct conn n = opened(&c);
    client_says(&c, &n, "one\n");
    segment(&c, &n, TB_FROM_SERVER, 5, 5, ACK, "swer\n");
    segment(&c, &n, TB_FROM_CLIENT, 5, 10, ACK, "two\n"); /* acknowledges all of it */
    segment(&c, &n, TB_FROM_SERVER, 1, 5, ACK, "answer");
    segment(&c, &n, TB_FROM_SERVER, 10, 9, ACK, "2\n");
    struct tb_trace t = learn(&c, &log);
    assert_int_equal(log.gap_bytes, 0);
    assert_int_equal(request_at(t.sessions[0], 0)->response_bytes, 9);
    assert_int_equal(request_at(t.sessions[0], 1)->waits_for, 1);
    assert_int_equal(request_at(t.sessions[0], 1)->response_bytes, 2);
    tb_trace_free(&t);
}

static void counts_a_response_that_the_end_completes(void **state)
{
    struct cap c;
    struct lines_log log = {0};
    struct conn n = opened(&c);
    client_says(&c, &n, "one\n");
    server_says(&c, &n, "until I close");
    server_fin(&c, &n);
    wait_us(&c, 4 * MS);
    client_fin(&c, &n);
    struct tb_trace t = learn(&c, &log);
    const struct tb_script *s = t.sessions[0];
    assert_true(request_at(s, 0)->flags & TB_REQ_ANSWERED);
    assert_int_equal(request_at(s, 0)->response_bytes, 13);
    assert_int_equal(s->end.server_responses, 1);
    assert_int_equal(s->end.waits_for, 1);
    assert_int_equal(s->end.bytes, 0);
    assert_int_equal(s->end.delay_us, 4 * MS);
    tb_trace_free(&t);
}

static void tells_the_progress_of_an_unfinished_response(void **state)
{
    struct cap c;
    struct lines_log log = {0};
    struct conn n = opened(&c);
    client_says(&c, &n, "one\n");
    server_says(&c, &n, "1\n");
    client_says(&c, &n, "two\n");
    server_says(&c, &n, "hal");
    wait_us(&c, 3 * MS);
    client_rst(&c, &n);
    server_says(&c, &n, "f\n");
    struct tb_trace t = learn(&c, &(struct lines_log){0});
    (void) log;
    const struct tb_script *s = t.sessions[0];
    assert_int_equal(s->end.client, TB_END_RST);
    assert_int_equal(s->end.waits_for, 1);
    assert_int_equal(s->end.bytes, 3);
    assert_int_equal(s->end.delay_us, 3 * MS);
    tb_trace_free(&t);
}

static void remembers_when_bytes_came_that_are_cut_late(void **state)
{
    /* A hundred lines in one run of single-line segments, whose first line ends only at the end. */
    struct cap c;
    struct lines_log log = {0};
    struct conn n = opened(&c);
    client_says(&c, &n, "first");
    for (int i = 0; i < 100; i++) {
        wait_us(&c, MS);
        client_says(&c, &n, ".");
    }
    wait_us(&c, MS);
    client_says(&c, &n, "\nsecond\n");
    struct tb_trace t = learn(&c, &log);
    const struct tb_script *s = t.sessions[0];
    assert_int_equal(s->requests, 2);
    assert_int_equal(request_at(s, 0)->len, 106);
    assert_int_equal(request_at(s, 0)->think_us, 0);
    assert_int_equal(request_at(s, 1)->think_us, 101 * MS);
    tb_trace_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_where_the_direction_changes),
        cmocka_unit_test(leaves_an_unanswered_request_unanswered),
        cmocka_unit_test(knows_a_server_that_speaks_first),
        cmocka_unit_test(counts_a_greeting_without_any_request),
        cmocka_unit_test(splits_a_run_where_the_client_paused),
        cmocka_unit_test(does_not_split_where_the_network_paused),
        cmocka_unit_test(never_counts_time_backwards),
        cmocka_unit_test(tells_of_a_client_that_closes_first),
        cmocka_unit_test(tells_of_a_server_that_closes_first),
        cmocka_unit_test(keeps_a_half_close),
        cmocka_unit_test(keeps_a_half_close_inside_a_response),
        cmocka_unit_test(keeps_a_server_that_half_closes),
        cmocka_unit_test(keeps_a_reset_inside_a_response),
        cmocka_unit_test(knows_what_the_client_had_received_when_it_reset),
        cmocka_unit_test(keeps_a_reset_behind_a_response),
        cmocka_unit_test(tells_a_close_from_a_half_close),
        cmocka_unit_test(tells_of_a_server_that_resets),
        cmocka_unit_test(ignores_resets_behind_both_fins),
        cmocka_unit_test(cuts_where_the_learner_says),
        cmocka_unit_test(response_belongs_to_all_parts_of_a_request),
        cmocka_unit_test(keeps_the_distance_of_pipelined_requests),
        cmocka_unit_test(answers_only_requests_that_have_a_response),
        cmocka_unit_test(takes_a_first_response_for_a_greeting),
        cmocka_unit_test(takes_an_answer_before_the_end_of_its_request),
        cmocka_unit_test(keeps_a_request_that_was_cut_off),
        cmocka_unit_test(cuts_by_direction_once_opaque),
        cmocka_unit_test(counts_rejected_sessions_under_the_learners_reason),
        cmocka_unit_test(tells_the_learner_of_gaps),
        cmocka_unit_test(gives_the_learner_displaced_packets_in_order),
        cmocka_unit_test(counts_a_response_that_the_end_completes),
        cmocka_unit_test(tells_the_progress_of_an_unfinished_response),
        cmocka_unit_test(remembers_when_bytes_came_that_are_cut_late),
    };
    return cmocka_run_group_tests_name("trace_draft", tests, NULL, NULL);
}
