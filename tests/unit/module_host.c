/* SPDX-License-Identifier: BSD-2-Clause */
/* See module_host.h. What a module must not do (cut backwards, answer nothing) fails the test. */
#include "unit.h"
#include "module_host.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>

static const char *counter_names[HOST_COUNTERS];
static int counter_count;

static void host_log(int level, const char *fmt, ...)
{
}

static int host_new_counter(const struct tb_host *host, const char *name)
{
    assert_ptr_equal(host, &test_host);
    if (counter_count == HOST_COUNTERS)
        return -1;
    counter_names[counter_count] = name;
    return counter_count++;
}

static void host_count(struct tb_session *s, int counter, uint64_t n)
{
    assert_in_range(counter, 0, counter_count - 1);
    s->counts[counter] += n;
}

/* --- learning --------------------------------------------------------------------------------- */

static uint32_t host_learn_cut(struct tb_learn *l, uint64_t end, unsigned flags, uint64_t note)
{
    uint64_t last = l->count ? l->request[l->count - 1].end : 0;
    assert_false(l->opaque);
    assert_true(end > last && end <= l->client_len);
    assert_true(l->count < HOST_REQUESTS);
    if (flags & TB_CUT_MORE) {
        assert_true(l->count > 0);
        l->request[l->count - 1].end = end;
        l->parts++;
        return l->count - 1;
    }
    l->request[l->count] = (struct host_request){.end = end, .flags = flags, .note = note};
    return l->count++;
}

static void host_learn_response(struct tb_learn *l, uint64_t end)
{
    assert_false(l->opaque);
    assert_true(end <= l->server_len);
    for (uint32_t i = 0; i < l->count; i++) {
        struct host_request *r = &l->request[i];
        if (r->answered || (r->flags & TB_CUT_NO_RESPONSE))
            continue;
        r->answered = true;
        r->response_end = end;
        return;
    }
    l->greetings++;
}

static void host_learn_note(struct tb_learn *l, uint32_t index, uint64_t note)
{
    assert_true(index < l->count);
    l->request[index].note = note;
}

static void host_learn_session_note(struct tb_learn *l, uint64_t note)
{
    l->session_note = note;
}

static void host_learn_opaque(struct tb_learn *l)
{
    assert_false(l->opaque);
    l->opaque = true;
}

static void host_learn_reject(struct tb_learn *l, const char *reason)
{
    l->rejected = reason;
}

static bool host_learn_server_closed(struct tb_learn *l)
{
    return l->server_closed;
}

static bool host_learn_live(struct tb_learn *l)
{
    return l->live;
}

/* --- playing ---------------------------------------------------------------------------------- */

static uint64_t host_now_us(const struct tb_session *s)
{
    return s->now_us;
}

static uint64_t host_session_note(const struct tb_session *s)
{
    return s->note;
}

static uint32_t host_session_number(const struct tb_session *s)
{
    return s->number;
}

static void *host_session_state(struct tb_session *s)
{
    return s->state;
}

static void *host_busy_state(struct tb_session *s)
{
    return s->busy;
}

static bool host_awaited(const struct tb_session *s, struct tb_request_info *out)
{
    if (s->first == s->count)
        return false;
    *out = (struct tb_request_info){.index = s->first, .note = s->awaited[s->first]};
    return true;
}

static int host_send(struct tb_session *s, const void *data, size_t len)
{
    assert_true(len <= sizeof s->sent - s->sent_len);
    memcpy(s->sent + s->sent_len, data, len);
    s->sent_len += len;
    return 0;
}

static int host_send_captured(struct tb_session *s, size_t offset, size_t len)
{
    if (!s->request_data || offset > s->request_len || len > s->request_len - offset)
        return -EINVAL;
    return host_send(s, s->request_data + offset, len);
}

static void *host_worker_state(const struct tb_session *s)
{
    return (void *) (uintptr_t) s->worker;
}

static struct tb_latency *host_latency_new(void)
{
    return calloc(1, sizeof(struct tb_latency));
}

static void host_latency_free(struct tb_latency *h)
{
    free(h);
}

static void host_latency_add(struct tb_latency *h, uint64_t us)
{
    h->count++;
    h->last_us = us;
}

static json_t *host_latency_json(struct tb_latency *const *h, size_t count)
{
    uint64_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += h[i] ? h[i]->count : 0;
    return json_pack("{s:I}", "count", (json_int_t) n);
}

static uint64_t host_real_us(const struct tb_session *s)
{
    return s->real_us;
}

static uint64_t host_hold_us(const struct tb_session *s)
{
    return s->hold_us;
}

static uint64_t host_run_left_us(const struct tb_session *s)
{
    return s->run_left_us ? s->run_left_us : UINT64_MAX;
}

static uint64_t host_scale_us(const struct tb_session *s, uint64_t captured_us)
{
    return captured_us;
}

static int host_send_request(struct tb_session *s, uint32_t index)
{
    s->repeated = index;
    s->repeats++;
    return 0;
}

static void host_keep_busy(struct tb_session *s, bool keep)
{
    s->keeps_busy = keep;
}

static void host_no_timeout(struct tb_session *s)
{
    s->is_patient = true;
}

static void host_set_timer(struct tb_session *s, uint64_t us)
{
    s->timer_us = us;
}

static void host_mismatch(struct tb_session *s, const char *captured, const char *seen)
{
    s->mismatches++;
    snprintf(s->captured, sizeof s->captured, "%s", captured ? captured : "");
    snprintf(s->seen, sizeof s->seen, "%s", seen ? seen : "");
}

static void host_fail_reason(struct tb_session *s, const char *reason)
{
    snprintf(s->reason, sizeof s->reason, "%s", reason);
}

static uint64_t host_awaited_sent_us(const struct tb_session *s)
{
    return s->sent_us;
}

/* What a module takes, it gives back: checked by host_memory_bytes(). */
static size_t memory_bytes;

static void *host_memory(void *old, size_t bytes)
{
    memory_bytes -= malloc_usable_size(old);
    void *p = bytes ? realloc(old, bytes) : NULL;
    if (bytes)
        assert_non_null(p);
    else
        free(old);
    memory_bytes += malloc_usable_size(p);
    return p;
}

size_t host_memory_bytes(void)
{
    return memory_bytes;
}

const struct tb_host test_host = {
    .abi = TB_MODULE_ABI,
    .size = sizeof(struct tb_host),
    .log = host_log,
    .counter = host_new_counter,
    .count = host_count,
    .learn_cut = host_learn_cut,
    .learn_response = host_learn_response,
    .learn_note = host_learn_note,
    .learn_session_note = host_learn_session_note,
    .learn_opaque = host_learn_opaque,
    .learn_reject = host_learn_reject,
    .learn_server_closed = host_learn_server_closed,
    .learn_live = host_learn_live,
    .now_us = host_now_us,
    .session_note = host_session_note,
    .session_number = host_session_number,
    .session_state = host_session_state,
    .busy_state = host_busy_state,
    .awaited = host_awaited,
    .send = host_send,
    .send_captured = host_send_captured,
    .set_timer = host_set_timer,
    .mismatch = host_mismatch,
    .fail_reason = host_fail_reason,
    .worker_state = host_worker_state,
    .latency_new = host_latency_new,
    .latency_free = host_latency_free,
    .latency_add = host_latency_add,
    .latency_json = host_latency_json,
    .real_us = host_real_us,
    .hold_us = host_hold_us,
    .run_left_us = host_run_left_us,
    .scale_us = host_scale_us,
    .send_request = host_send_request,
    .keep_busy = host_keep_busy,
    .no_timeout = host_no_timeout,
    .awaited_sent_us = host_awaited_sent_us,
    .send_kept = host_send,
    .memory = host_memory,
};

/* --- for tests -------------------------------------------------------------------------------- */

int host_configure(const struct tb_module *m, const char *options, char *err, size_t err_len)
{
    json_t *json = json_loads(options, 0, NULL);
    assert_non_null(json);
    counter_count = 0;
    int rc = m->configure(&test_host, json, err, err_len);
    json_decref(json);
    return rc;
}

int host_counter(const char *name)
{
    for (int i = 0; i < counter_count; i++) {
        if (strcmp(counter_names[i], name) == 0)
            return i;
    }
    fail_msg("no counter %s", name);
    return -1;
}

void host_learn(const struct tb_module *m, struct tb_learn *l, void *state, enum tb_direction dir,
                const void *bytes, size_t len)
{
    uint64_t *at = dir == TB_CLIENT_BYTES ? &l->client_len : &l->server_len;
    uint8_t *copy = bytes ? exact_copy(bytes, len) : NULL;
    uint64_t offset = *at;
    *at += len;
    if (!l->opaque) /* the host keeps the rest to itself */
        m->learn_data(l, state, dir, offset, copy, len, l->now_us);
    free(copy);
}

void host_await(struct tb_session *s, uint64_t note)
{
    assert_true(s->count < HOST_REQUESTS);
    s->awaited[s->count++] = note;
}

enum tb_response_status host_respond(const struct tb_module *m, struct tb_session *s,
                                     const void *bytes, size_t len, unsigned flags, size_t *used)
{
    uint8_t *copy = exact_copy(bytes, len);
    bool asked = s->first < s->count || s->greeting;
    *used = SIZE_MAX;
    enum tb_response_status status =
        m->response(s, copy, len, flags | (asked ? 0 : TB_RESPONSE_UNASKED), used);
    free(copy);
    assert_in_range(*used, 0, len);
    if (status == TB_RESPONSE_MORE)
        assert_int_equal(*used, len);
    else if (s->greeting)
        s->greeting = false;
    else if (asked)
        s->first++;
    bool awaits = s->first < s->count || s->greeting;
    if (!awaits && !s->keeps_busy) { /* the busy state ends */
        if (m->busy_end)
            m->busy_end(s, s->busy);
        memset(s->busy, 0, sizeof s->busy);
    }
    return status;
}

enum tb_request_action host_request(const struct tb_module *m, struct tb_session *s, uint64_t note,
                                    const void *bytes, size_t len)
{
    struct tb_request_info info = {
        .index = s->count, .note = note, .data = bytes, .len = len, .due_us = s->now_us};
    s->request_data = bytes;
    s->request_len = len;
    enum tb_request_action action = m->request(s, &info);
    s->request_data = NULL;
    return action;
}
