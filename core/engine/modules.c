/* SPDX-License-Identifier: BSD-2-Clause */
/* Loading, configuring and choosing protocol modules; the host functions for learning. */
#include "engine/modules.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"

enum { MYSQL_PORT = 3306 };

/* --- host functions: general and learning
 * --------------------------------------------------------- */

static void __attribute__((format(printf, 2, 3))) host_log(int level, const char *fmt, ...)
{
    char line[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (level < TB_LOG_ERROR)
        level = TB_LOG_ERROR;
    if (level > TB_LOG_DEBUG)
        level = TB_LOG_DEBUG;
    tb_log((enum tb_log_level) level, "%s", line);
}

static int host_counter(const struct tb_host *host, const char *name)
{
    struct tb_modules *m = (struct tb_modules *) (uintptr_t) host;

    if (m->counter_count == TB_STATS_MODULE_COUNTERS)
        return -1;
    snprintf(m->counter_names[m->counter_count], TB_MODULE_COUNTER_NAME, "%s", name);
    return (int) m->counter_count++;
}

/* A module's handle on the session it learns is the draft itself. */
static struct tb_draft *draft_of(struct tb_learn *l)
{
    return (struct tb_draft *) l;
}

static uint32_t host_learn_cut(struct tb_learn *l, uint64_t end, unsigned flags, uint64_t note)
{
    unsigned request_flags = (flags & TB_CUT_NO_RESPONSE ? TB_REQ_NO_RESPONSE : 0u) |
                             (flags & TB_CUT_PART ? TB_REQ_PART : 0u) |
                             (flags & TB_CUT_MORE ? TB_REQ_CONTINUED : 0u);

    return tb_draft_cut(draft_of(l), end, (uint16_t) request_flags, note);
}

static void host_learn_response(struct tb_learn *l, uint64_t end)
{
    tb_draft_response(draft_of(l), end);
}

static void host_learn_note(struct tb_learn *l, uint32_t index, uint64_t note)
{
    tb_draft_set_note(draft_of(l), index, note);
}

static void host_learn_session_note(struct tb_learn *l, uint64_t note)
{
    tb_draft_set_session_note(draft_of(l), note);
}

static void host_learn_opaque(struct tb_learn *l)
{
    tb_draft_opaque(draft_of(l));
}

static void host_learn_reject(struct tb_learn *l, const char *reason)
{
    tb_draft_reject(draft_of(l), reason);
}

static bool host_learn_server_closed(struct tb_learn *l)
{
    return tb_draft_script(draft_of(l))->end.server_fin;
}

static bool host_learn_live(struct tb_learn *l)
{
    return tb_draft_is_live(draft_of(l));
}

static void init_host(struct tb_host *h)
{
    *h = (struct tb_host){
        .abi = TB_MODULE_ABI,
        .size = sizeof *h,
        .log = host_log,
        .counter = host_counter,
        .learn_cut = host_learn_cut,
        .learn_response = host_learn_response,
        .learn_note = host_learn_note,
        .learn_session_note = host_learn_session_note,
        .learn_opaque = host_learn_opaque,
        .learn_reject = host_learn_reject,
        .learn_server_closed = host_learn_server_closed,
        .learn_live = host_learn_live,
    };
    tb_host_play_functions(h);
}

/* --- loading
 * ------------------------------------------------------------------------------------------ */

static int configure(struct tb_modules *m, const struct tb_module *ops,
                     tb_module_options_fn *options, void *ctx, struct tb_err *err)
{
    json_t *json = NULL;
    char reason[512] = "";
    int rc = options(ctx, ops->name, &json, &m->host.options_file, err);

    if (rc < 0)
        return rc;
    if (ops->configure && ops->configure(&m->host, json, reason, sizeof reason) != 0)
        rc = tb_err_set(err, -EINVAL, "options of module %s: %s", ops->name,
                        reason[0] ? reason : "refused without a reason");
    json_decref(json);
    return rc;
}

static int load_one(struct tb_modules *m, const char *name, const char *module_dir,
                    tb_module_options_fn *options, void *ctx, struct tb_err *err)
{
    struct tb_loaded_module *slot = &m->loaded[m->count];
    int rc = tb_module_load(slot, name, module_dir, err);

    if (rc < 0)
        return rc;
    m->count++;
    return configure(m, &slot->ops, options, ctx, err);
}

int tb_modules_load(struct tb_modules *m, const char *name, const char *module_dir,
                    tb_module_options_fn *options, void *ctx, struct tb_err *err)
{
    memset(m, 0, sizeof *m);
    init_host(&m->host);
    m->by_content = name == NULL;
    if (name)
        return load_one(m, name, module_dir, options, ctx, err);
    int rc = load_one(m, "generic", module_dir, options, ctx, err);
    return rc < 0 ? rc : load_one(m, "http", module_dir, options, ctx, err);
}

int tb_modules_load_for_port(struct tb_modules *m, uint16_t port, const char *module_dir,
                             tb_module_options_fn *options, void *ctx, struct tb_err *err)
{
    if (!m->by_content || port != MYSQL_PORT || m->mysql)
        return 0;
    m->mysql = m->count;
    return load_one(m, "mysql", module_dir, options, ctx, err);
}

int tb_modules_begin(struct tb_modules *m, uint32_t workers)
{
    m->workers = workers;
    for (uint32_t i = 0; i < m->count; i++) {
        uint32_t size = m->loaded[i].ops.worker_size;
        if (size == 0)
            continue;
        void **states = m->worker_states[i] = calloc(workers, sizeof *states);
        for (uint32_t w = 0; states && w < workers; w++)
            if (!(states[w] = calloc(1, size)))
                return -ENOMEM;
        if (!states)
            return -ENOMEM;
    }
    return 0;
}

void tb_modules_report(const struct tb_modules *m, json_t *into)
{
    for (uint32_t i = 0; i < m->count; i++) {
        const struct tb_module *ops = &m->loaded[i].ops;
        json_t *said = ops->report
                           ? ops->report(m->worker_states[i], m->worker_states[i] ? m->workers : 0)
                           : NULL;
        if (said)
            json_object_update(into, said);
        json_decref(said);
    }
}

static void unload_one(struct tb_modules *m, uint32_t i)
{
    void **states = m->worker_states[i];
    uint32_t made = 0;

    while (states && made < m->workers && states[made])
        made++;
    if (m->loaded[i].ops.unload)
        m->loaded[i].ops.unload(states, made);
    for (uint32_t w = 0; w < made; w++)
        free(states[w]);
    free(states);
    m->worker_states[i] = NULL;
    tb_module_unload(&m->loaded[i]);
}

void tb_modules_unload(struct tb_modules *m)
{
    for (uint32_t i = 0; i < m->count; i++)
        unload_one(m, i);
    m->count = 0;
}

void tb_modules_used(const struct tb_modules *m, const struct tb_trace *t, char *buf, size_t len)
{
    bool used[TB_ENGINE_MODULES] = {false};
    size_t at = 0;

    buf[0] = '\0';
    for (uint32_t i = 0; t->session_count == 0 && i < m->count; i++)
        used[i] = true; /* live: the sessions are gone */
    for (uint32_t s = 0; s < t->session_count; s++)
        used[t->sessions[s]->module] = true;
    for (uint32_t i = 0; i < m->count && at < len; i++)
        if (used[i])
            at +=
                (size_t) snprintf(buf + at, len - at, "%s%s", at ? "," : "", m->loaded[i].ops.name);
}

/* --- learning
 * --------------------------------------------------------------------------------------------- */

enum { GENERIC = 0, HTTP = 1 }; /* places in loaded[] when chosen by content */

enum { HEAD_MAX = 16 }; /* bytes: longer than any method, its space and the target's first byte */

/* A captured session while it is learned. */
struct learned {
    const struct tb_module *module; /* NULL: not chosen yet */
    void *state;
    uint8_t head[HEAD_MAX]; /* what the client sent so far, too little to choose by */
    uint32_t head_len;
};

/* "METHOD target HTTP/1.x": enough of a request line to tell it from anything else. */
static bool looks_like_http(const uint8_t *p, uint64_t len)
{
    uint64_t i = 0, space;

    while (i < len && i < 16 && ((p[i] >= 'A' && p[i] <= 'Z') || p[i] == '-'))
        i++;
    if (i < 3 || i == len || p[i] != ' ')
        return false;
    space = i;
    while (i < len && p[i] != '\r' && p[i] != '\n')
        i++;
    if (i == len) /* the line goes on in the next packet: a target begins with / or a scheme */
        return len > space + 1 && (p[space + 1] == '/' || p[space + 1] == 'h');
    return i - space > 9 && memcmp(p + i - 8, "HTTP/1.", 7) == 0;
}

/* The first packet of a MySQL server, number 0: a greeting of protocol 10, or an error. */
static bool looks_like_mysql(const uint8_t *p, uint64_t len)
{
    return len > 4 && p[2] == 0 && p[3] == 0 && (p[4] == 10 || p[4] == 0xff);
}

/* Is this less than "METHOD t" of a usual method, as a client that sends byte by byte begins? */
static bool may_become_http(const uint8_t *p, uint64_t len)
{
    static const char *const methods[] = {"GET ",   "POST ",    "HEAD ",  "PUT ",    "DELETE ",
                                          "PATCH ", "OPTIONS ", "TRACE ", "CONNECT "};

    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (len <= strlen(methods[i]) && memcmp(methods[i], p, len) == 0)
            return true;
    return false;
}

static void choose(struct tb_modules *m, struct learned *l, struct tb_draft *d, uint32_t index)
{
    l->module = &m->loaded[index].ops;
    tb_draft_script(d)->module = (uint8_t) index;
    if (!l->module->learn_data)
        tb_draft_opaque(d);
    else if (l->module->learn_begin)
        l->state = l->module->learn_begin((struct tb_learn *) d);
}

static uint32_t module_for(const struct tb_modules *m, const struct tb_draft *d, enum tb_dir dir,
                           const uint8_t *bytes, uint64_t len)
{
    uint16_t port =
        m->services ? m->services[tb_draft_script((struct tb_draft *) (uintptr_t) d)->transfer].port
                    : 0;

    if (port == 80 || port == 8080)
        return HTTP;
    if (port == MYSQL_PORT && m->mysql && dir == TB_FROM_SERVER && bytes &&
        looks_like_mysql(bytes, len))
        return m->mysql;
    return dir == TB_FROM_CLIENT && bytes && looks_like_http(bytes, len) ? HTTP : GENERIC;
}

static void *learn_begin(void *ctx, struct tb_draft *d)
{
    struct tb_modules *m = ctx;
    struct learned *l = calloc(1, sizeof *l);

    if (!l)
        tb_draft_reject(d, "memory");
    else if (!m->by_content)
        choose(m, l, d, 0);
    return l;
}

/* Keep the first bytes until they tell the protocol; false when they do, or never will. */
static bool wait_for_more(const struct tb_modules *m, const struct tb_draft *d, struct learned *l,
                          enum tb_dir dir, const uint8_t *bytes, uint64_t len)
{
    if (dir != TB_FROM_CLIENT || !bytes || len > HEAD_MAX - l->head_len ||
        module_for(m, d, dir, NULL, 0) == HTTP)
        return false;
    memcpy(l->head + l->head_len, bytes, len);
    if (!may_become_http(l->head, l->head_len + len))
        return false;
    l->head_len += (uint32_t) len;
    return true;
}

/* Choose by what was kept and the client's bytes that follow it, and hand over what was kept. */
static void choose_late(struct tb_modules *m, struct learned *l, struct tb_draft *d,
                        enum tb_dir dir, const uint8_t *bytes, uint64_t len, uint64_t time_us)
{
    uint64_t more = dir != TB_FROM_CLIENT || !bytes ? 0 : len;

    if (l->head_len == 0) {
        choose(m, l, d, module_for(m, d, dir, bytes, len));
        return;
    }
    if (more > HEAD_MAX - l->head_len)
        more = HEAD_MAX - l->head_len;
    if (more > 0)
        memcpy(l->head + l->head_len, bytes, more);
    choose(m, l, d, module_for(m, d, TB_FROM_CLIENT, l->head, l->head_len + more));
    if (l->module->learn_data)
        l->module->learn_data((struct tb_learn *) d, l->state, TB_CLIENT_BYTES, 0, l->head,
                              l->head_len, time_us);
}

static void learn_data(void *ctx, void *state, struct tb_draft *d, enum tb_dir dir, uint64_t offset,
                       const uint8_t *bytes, uint64_t len, uint64_t time_us)
{
    struct tb_modules *m = ctx;
    struct learned *l = state;

    if (!l)
        return;
    if (!l->module) {
        if (wait_for_more(m, d, l, dir, bytes, len))
            return;
        choose_late(m, l, d, dir, bytes, len, time_us);
    }
    if (l->module->learn_data)
        l->module->learn_data((struct tb_learn *) d, l->state,
                              dir == TB_FROM_CLIENT ? TB_CLIENT_BYTES : TB_SERVER_BYTES, offset,
                              bytes, len, time_us);
}

static void learn_end(void *ctx, void *state, struct tb_draft *d, bool used)
{
    struct learned *l = state;

    if (l && !l->module && l->head_len > 0)
        choose(ctx, l, d, GENERIC);
    if (l && l->module && l->module->learn_end)
        l->module->learn_end((struct tb_learn *) d, l->state, used);
    free(l);
}

static void forget(void *ctx, const struct tb_script *s, const struct tb_request *r)
{
    const struct tb_modules *m = ctx;
    const struct tb_module *ops = &m->loaded[s->module].ops;

    if (r && ops->forget_request)
        ops->forget_request(r->note);
    if (!r && ops->forget_session)
        ops->forget_session(s->note);
}

struct tb_learner tb_modules_learner(struct tb_modules *m)
{
    return (struct tb_learner){m, learn_begin, learn_data, learn_end, forget};
}
