/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The engine on a bad network: whatever is lost, repeated or overtaken, both applications get every
 * byte once and in order, and every session completes.
 */
#include "engine_rig.h"

/* --- a module that looks at every response byte ----------------------------------------------- */

struct seen {
    uint32_t bytes; /* of the whole session */
    uint32_t in_response;
};

static const struct tb_host *host;

static enum tb_response_status check_bytes(struct tb_session *s, const uint8_t *data, size_t len,
                                           unsigned flags, size_t *used)
{
    struct seen *seen = host->session_state(s);
    struct tb_request_info info;

    if (flags)
        return TB_RESPONSE_MORE;
    assert_non_null(data);
    assert_true(host->awaited(s, &info));
    uint32_t missing = (uint32_t) info.note - seen->in_response;
    *used = len < missing ? len : missing;
    for (size_t i = 0; i < *used; i++)
        assert_int_equal(data[i], fake_byte(seen->bytes + (uint32_t) i));
    seen->bytes += (uint32_t) *used;
    seen->in_response += (uint32_t) *used;
    if (seen->in_response < info.note)
        return TB_RESPONSE_MORE;
    seen->in_response = 0;
    return TB_RESPONSE_COMPLETE;
}

/* --- the test --------------------------------------------------------------------------------- */

struct conditions {
    struct trouble to_server, to_client;
    bool looks, timestamps, no_sack, ipv6;
    uint32_t gso_max;
};

enum { USERS = 5, REQUEST_BYTES = 20000 + 300 + 9000, RESPONSE_BYTES = 30000 + 100 + 50000 };

static void set_conditions(struct world *w, const struct conditions *c)
{
    w->to_server = c->to_server;
    w->to_client = c->to_client;
    w->gso_max = c->gso_max;
    w->one_way_us = 2 * MILLISECONDS;
    w->config.timeout_us = 100 * SECONDS;
    w->plan_input.users = USERS;
    w->chunk_bytes = 777;
    if (c->looks) {
        host = &w->host;
        w->module.needs_payload = true;
        w->module.session_size = sizeof(struct seen);
        w->module.response = check_bytes;
    }
    if (c->ipv6) {
        assert_int_equal(tb_addr_parse("fd00:18::2", &w->target.addr), 0);
        assert_int_equal(tb_addr_parse("fd00:19::1", &w->clients.first), 0);
    }
}

static void survives(struct world *w, struct conditions c)
{
    set_conditions(w, &c);
    struct session *s = SESSION(w, {.request = 20000, .response = 30000},
                                {.request = 300, .response = 100, .think_us = 1 * MILLISECONDS},
                                {.request = 9000, .response = 50000});
    s->script.syn.timestamps = c.timestamps;
    s->script.syn.sack_permitted = !c.no_sack;
    for (unsigned i = 0; i < 3; i++) {
        s->request[i].note = s->request[i].response_bytes;
        s->request[i].silence_us = 60 * SECONDS; /* losses are no end of a response */
    }

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, USERS);
    assert_int_equal(w->server.count, USERS);
    for (uint32_t i = 0; i < USERS; i++)
        world_all_arrived(w, i, s);
    assert_int_equal(w->stats->requests_answered, 3 * USERS);
    assert_int_equal(w->stats->requests_mismatched, 0);
    assert_int_equal(w->worker->tcp.bytes_sent, USERS * REQUEST_BYTES);
    assert_int_equal(w->worker->tcp.bytes_received, USERS * RESPONSE_BYTES);
}
#define SURVIVES(w, ...) survives(w, (struct conditions){__VA_ARGS__})

static void good_network_needs_no_retransmission(void **state)
{
    struct world *w = *state;

    SURVIVES(w, .looks = true);
    assert_int_equal(w->worker->tcp.retransmitted, 0);
}

static void requests_survive_loss(void **state)
{
    SURVIVES(*state, .to_server.lose = 7);
}

static void requests_survive_heavy_loss(void **state)
{
    SURVIVES(*state, .to_server.lose = 3);
}

static void requests_survive_loss_without_sack(void **state)
{
    SURVIVES(*state, .to_server.lose = 7, .no_sack = true);
}

static void requests_survive_loss_with_timestamps(void **state)
{
    SURVIVES(*state, .to_server.lose = 7, .timestamps = true);
}

static void responses_survive_loss(void **state)
{
    SURVIVES(*state, .to_client.lose = 7);
}

static void responses_looked_at_survive_loss(void **state)
{
    SURVIVES(*state, .to_client.lose = 7, .looks = true);
}

static void both_survive_loss(void **state)
{
    SURVIVES(*state, .to_server.lose = 9, .to_client.lose = 5, .looks = true);
}

static void both_survive_overtaking(void **state)
{
    SURVIVES(*state, .to_server.delay = 4, .to_client.delay = 3);
}

static void responses_looked_at_survive_overtaking(void **state)
{
    SURVIVES(*state, .to_client.delay = 2, .looks = true);
}

static void both_survive_repetition(void **state)
{
    SURVIVES(*state, .to_server.repeat = 2, .to_client.repeat = 3, .looks = true);
}

static void both_survive_everything_together(void **state)
{
    SURVIVES(*state, .to_server = {.lose = 11, .delay = 5, .repeat = 7},
             .to_client = {.lose = 9, .delay = 4, .repeat = 6}, .looks = true, .timestamps = true);
}

static void long_frames_survive_loss(void **state)
{
    SURVIVES(*state, .to_server.lose = 4, .to_client.lose = 9, .gso_max = 60000);
}

static void ipv6_survives_loss(void **state)
{
    SURVIVES(*state, .to_server.lose = 7, .to_client.lose = 7, .looks = true, .ipv6 = true);
}

/* --- what the intercept channel brings -------------------------------------------------------- */

static void headers_are_enough(void **state)
{
    ((struct world *) *state)->headers_only = true;
    SURVIVES(*state, .to_server.lose = 9, .to_client = {.lose = 7, .delay = 5, .repeat = 6});
}

static void latencies_end_when_the_packet_was_seen(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 2000, .server_us = 30 * MILLISECONDS});
    w->one_way_us = 5 * MILLISECONDS;
    w->headers_only = true;
    w->channel_us = 3 * MILLISECONDS;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_in_range(w->stats->connect.max, 7 * MILLISECONDS, 8 * MILLISECONDS - 1);
    assert_in_range(w->stats->response.max, 37 * MILLISECONDS, 38 * MILLISECONDS - 1);
}

static void times_from_before_the_request_count_as_none(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 2000});
    w->headers_only = true;
    w->channel_us = 500 * MILLISECONDS;
    w->begin_us += 10 * SECONDS;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 1);
    assert_int_equal(w->stats->response.max, 0);
    assert_int_equal(w->stats->first_byte.max, 0);
}

static void cut_packet_of_a_session_that_needs_bytes_is_as_good_as_lost(void **state)
{
    struct world *w = *state;
    SESSION(w, {.request = 100, .response = 2000});
    host = &w->host;
    w->module.needs_payload = true;
    w->module.session_size = sizeof(struct seen);
    w->module.response = check_bytes;
    w->headers_only = true;
    w->config.timeout_us = 1 * SECONDS;

    world_run(w);
    ENDED(w, TB_VERDICT_RESPONSE_TIMEOUT, 1);
    assert_true(w->stats->bad_packets > 0);
}

/* Handshakes and closes, without data to carry them. */
static void empty_sessions_survive_loss(void **state)
{
    struct world *w = *state;
    world_session(w, 0, NULL);
    w->plan_input.users = 40;
    w->to_server.lose = 3;
    w->to_client.lose = 4;
    w->config.timeout_us = 100 * SECONDS;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 40);
}

static void loops_survive_loss(void **state)
{
    struct world *w = *state;
    struct session *s = SESSION(w, {.request = 100, .response = 2000, .silence_us = 60 * SECONDS});
    w->plan_input.users = 3;
    w->config.plays = 20;
    w->config.timeout_us = 100 * SECONDS;
    w->to_server.lose = 5;
    w->to_client.lose = 7;

    world_run(w);
    ENDED(w, TB_VERDICT_COMPLETED, 60);
    uint32_t whole = 0;
    for (uint32_t i = 0; i < w->server.count; i++) {
        const struct fake_conn *c = world_conn(w, i);
        whole += c->in_order == s->len && memcmp(c->in, s->bytes, s->len) == 0;
    }
    assert_int_equal(whole, 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(good_network_needs_no_retransmission),
        WORLD_TEST(requests_survive_loss),
        WORLD_TEST(requests_survive_heavy_loss),
        WORLD_TEST(requests_survive_loss_without_sack),
        WORLD_TEST(requests_survive_loss_with_timestamps),
        WORLD_TEST(responses_survive_loss),
        WORLD_TEST(responses_looked_at_survive_loss),
        WORLD_TEST(both_survive_loss),
        WORLD_TEST(both_survive_overtaking),
        WORLD_TEST(responses_looked_at_survive_overtaking),
        WORLD_TEST(both_survive_repetition),
        WORLD_TEST(both_survive_everything_together),
        WORLD_TEST(long_frames_survive_loss),
        WORLD_TEST(ipv6_survives_loss),
        WORLD_TEST(headers_are_enough),
        WORLD_TEST(latencies_end_when_the_packet_was_seen),
        WORLD_TEST(times_from_before_the_request_count_as_none),
        WORLD_TEST(cut_packet_of_a_session_that_needs_bytes_is_as_good_as_lost),
        WORLD_TEST(empty_sessions_survive_loss),
        WORLD_TEST(loops_survive_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
