/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the module says under "module" in the report: the most frequent differences, latency per
 * command and of the slowest statements. Every worker adds up its own; report() merges. Also the
 * table of fingerprints, which those who learn fill: of live sessions, several threads.
 */
#include "mysql.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DIFFERENCES = 2048, /* entries of a worker's table, at most three quarters used */
    MOST_FREQUENT = 10,
    SLOWEST = 20,
    OUTCOME_TEXT = 64,
    HASH_ROOM = 2 * TB_MYSQL_STATEMENTS
};

/* A kind of difference, and how often it was seen. */
struct tb_mysql_difference {
    uint64_t count; /* 0: free */
    uint32_t statement;
    char captured[OUTCOME_TEXT], seen[OUTCOME_TEXT];
};

static uint32_t hash(uint32_t h, const char *text)
{
    for (; *text; text++)
        h = (h ^ (uint8_t) *text) * 16777619u;
    return h;
}

/* --- fingerprints ----------------------------------------------------------------------------- */

/* Read without the lock: a text is there before its place tells its number, and stays. A command
 * takes the lock only if its fingerprint is a new one, of which there are few. */
static const char *texts[TB_MYSQL_STATEMENTS] = {"(other statements)"};
static _Atomic uint32_t text_count = 1;
static _Atomic uint16_t places[HASH_ROOM]; /* by hash: number of a text, 0: free */
static pthread_mutex_t texts_lock = PTHREAD_MUTEX_INITIALIZER;

/* Its number, or 0 and the free place where it would have been found, looked for from *place on. */
static uint32_t find_text(const char *fingerprint, uint32_t *place)
{
    uint16_t number;

    for (; (number = atomic_load_explicit(&places[*place], memory_order_acquire)) != 0;
         *place = (*place + 1) % HASH_ROOM)
        if (strcmp(texts[number], fingerprint) == 0)
            return number;
    return 0;
}

static uint32_t add_text(const char *fingerprint, uint32_t place)
{
    uint32_t number = find_text(fingerprint, &place);
    char *copy = number == 0 && text_count < TB_MYSQL_STATEMENTS ? strdup(fingerprint) : NULL;

    if (!copy)
        return number;
    number = text_count++;
    texts[number] = copy;
    atomic_store_explicit(&places[place], (uint16_t) number, memory_order_release);
    return number;
}

uint32_t tb_mysql_statement(const char *fingerprint)
{
    uint32_t place = hash(2166136261u, fingerprint) % HASH_ROOM;
    uint32_t number = find_text(fingerprint, &place);

    if (number != 0 || text_count == TB_MYSQL_STATEMENTS)
        return number;
    pthread_mutex_lock(&texts_lock);
    number = add_text(fingerprint, place);
    pthread_mutex_unlock(&texts_lock);
    return number;
}

const char *tb_mysql_statement_text(uint32_t statement)
{
    return texts[statement < text_count ? statement : 0];
}

void tb_mysql_statements_free(void)
{
    while (text_count > 1)
        free((char *) (uintptr_t) texts[--text_count]);
    for (unsigned i = 0; i < HASH_ROOM; i++)
        places[i] = 0;
}

/* --- while playing ---------------------------------------------------------------------------- */

static const struct tb_host *host(void)
{
    return tb_mysql_config.host;
}

static void add_latency(struct tb_latency **h, uint64_t us)
{
    if (!*h)
        *h = host()->latency_new();
    if (*h)
        host()->latency_add(*h, us);
}

void tb_mysql_report_latency(struct tb_session *s, const struct tb_mysql_command *c)
{
    struct tb_mysql_worker *w = host()->worker_state(s);
    uint64_t sent_us = host()->awaited_sent_us(s), now_us = host()->now_us(s);

    if (!w)
        return;
    uint64_t us = now_us > sent_us ? now_us - sent_us : 0;
    add_latency(&w->command[c->code], us);
    if (!w->statement)
        w->statement = calloc(TB_MYSQL_STATEMENTS, sizeof(struct tb_latency *));
    if (w->statement)
        add_latency(&w->statement[c->statement], us);
}

/* Count `n` times this difference; false: the table is full. */
static bool add_difference(struct tb_mysql_difference *table, uint32_t statement,
                           const char *captured, const char *seen, uint64_t n)
{
    uint32_t place = hash(hash(2166136261u + statement, captured), seen) % DIFFERENCES;

    for (unsigned tries = 0; tries < DIFFERENCES / 4 * 3; tries++) {
        struct tb_mysql_difference *d = &table[place];
        if (d->count == 0) {
            d->statement = statement;
            snprintf(d->captured, sizeof d->captured, "%s", captured);
            snprintf(d->seen, sizeof d->seen, "%s", seen);
        }
        if (d->statement == statement && strncmp(d->captured, captured, OUTCOME_TEXT - 1) == 0 &&
            strncmp(d->seen, seen, OUTCOME_TEXT - 1) == 0) {
            d->count += n;
            return true;
        }
        place = (place + 1) % DIFFERENCES;
    }
    return false;
}

void tb_mysql_report_difference(struct tb_session *s, uint32_t statement, const char *captured,
                                const char *seen)
{
    struct tb_mysql_worker *w = host()->worker_state(s);
    char text[TB_MYSQL_FINGERPRINT_MAX];

    snprintf(text, sizeof text, "%s: %s", captured, tb_mysql_statement_text(statement));
    host()->mismatch(s, text, seen);
    if (!w)
        return;
    if (!w->differences)
        w->differences = calloc(DIFFERENCES, sizeof *w->differences);
    if (!w->differences || !add_difference(w->differences, statement, captured, seen, 1))
        w->differences_lost++;
}

/* --- the report ------------------------------------------------------------------------------- */

const char *tb_mysql_command_name(unsigned code)
{
    static const char *const names[TB_COM_KINDS] = {
        [TB_COM_QUIT] = "quit",
        [TB_COM_INIT_DB] = "init_db",
        [TB_COM_QUERY] = "query",
        [TB_COM_FIELD_LIST] = "field_list",
        [TB_COM_CREATE_DB] = "create_db",
        [TB_COM_DROP_DB] = "drop_db",
        [TB_COM_REFRESH] = "refresh",
        [TB_COM_SHUTDOWN] = "shutdown",
        [TB_COM_STATISTICS] = "statistics",
        [TB_COM_PROCESS_INFO] = "process_info",
        [TB_COM_PROCESS_KILL] = "process_kill",
        [TB_COM_DEBUG] = "debug",
        [TB_COM_PING] = "ping",
        [TB_COM_CHANGE_USER] = "change_user",
        [TB_COM_STMT_PREPARE] = "stmt_prepare",
        [TB_COM_STMT_EXECUTE] = "stmt_execute",
        [TB_COM_STMT_SEND_LONG_DATA] = "stmt_send_long_data",
        [TB_COM_STMT_CLOSE] = "stmt_close",
        [TB_COM_STMT_RESET] = "stmt_reset",
        [TB_COM_SET_OPTION] = "set_option",
        [TB_COM_STMT_FETCH] = "stmt_fetch",
        [TB_COM_RESET_CONNECTION] = "reset_connection",
        [TB_COM_STMT_BULK_EXECUTE] = "stmt_bulk_execute",
        [TB_COM_LOGIN] = "login",
        [TB_COM_INFILE_DATA] = "infile_data",
    };
    const char *name = code < TB_COM_KINDS ? names[code] : NULL;

    return name ? name : "other";
}

static int by_count(const void *a, const void *b)
{
    uint64_t x = ((const struct tb_mysql_difference *) a)->count;
    uint64_t y = ((const struct tb_mysql_difference *) b)->count;

    return x < y ? 1 : x > y ? -1 : 0;
}

static json_t *differences_json(void *const *workers, uint32_t n, uint64_t *all)
{
    json_t *list = json_array();
    struct tb_mysql_difference *sum = calloc(DIFFERENCES, sizeof *sum);

    for (uint32_t w = 0; sum && w < n; w++) {
        const struct tb_mysql_worker *worker = workers[w];
        *all += worker->differences_lost;
        for (unsigned i = 0; worker->differences && i < DIFFERENCES; i++) {
            const struct tb_mysql_difference *d = &worker->differences[i];
            *all += d->count;
            if (d->count)
                add_difference(sum, d->statement, d->captured, d->seen, d->count);
        }
    }
    if (sum)
        qsort(sum, DIFFERENCES, sizeof *sum, by_count);
    for (unsigned i = 0; sum && i < MOST_FREQUENT && sum[i].count; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:I}", "statement",
                                              tb_mysql_statement_text(sum[i].statement), "captured",
                                              sum[i].captured, "seen", sum[i].seen, "count",
                                              (json_int_t) sum[i].count));
    free(sum);
    return list;
}

/* The same histogram of every worker, as JSON; NULL when nothing was recorded. */
static json_t *merged(void *const *workers, uint32_t n, bool of_statement, uint32_t i)
{
    struct tb_latency **all = calloc(n, sizeof(struct tb_latency *));
    bool any = false;

    for (uint32_t w = 0; all && w < n; w++) {
        const struct tb_mysql_worker *worker = workers[w];
        if (of_statement)
            all[w] = worker->statement ? worker->statement[i] : NULL;
        else
            all[w] = worker->command[i];
        any |= all[w] != NULL;
    }
    json_t *json = any ? host()->latency_json(all, n) : NULL;
    free(all);
    return json;
}

static json_t *commands_json(void *const *workers, uint32_t n)
{
    json_t *commands = json_object();

    for (unsigned i = 0; i < TB_COM_KINDS; i++) {
        json_t *h = merged(workers, n, false, i);
        if (h)
            json_object_set_new(commands, tb_mysql_command_name(i), h);
    }
    return commands;
}

static double mean_of(const json_t *h)
{
    return json_number_value(json_object_get(h, "mean"));
}

/* The statements with the longest mean, in falling order. */
static json_t *slowest_json(void *const *workers, uint32_t n)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < text_count; i++) {
        json_t *h = merged(workers, n, true, i);
        if (!h)
            continue;
        size_t at = 0, len = json_array_size(list);
        while (at < len &&
               mean_of(json_object_get(json_array_get(list, at), "latency_us")) >= mean_of(h))
            at++;
        if (at == SLOWEST) {
            json_decref(h);
            continue;
        }
        json_object_del(h, "buckets");
        json_array_insert_new(list, at,
                              json_pack("{s:s, s:o}", "statement", texts[i], "latency_us", h));
        if (len == SLOWEST)
            json_array_remove(list, SLOWEST);
    }
    return list;
}

json_t *tb_mysql_report(void *const *workers, uint32_t count)
{
    uint64_t all = 0;
    json_t *differences = differences_json(workers, count, &all);

    return json_pack("{s:I, s:o, s:o, s:o}", "differences", (json_int_t) all,
                     "most_frequent_differences", differences, "command_latency_us",
                     commands_json(workers, count), "slowest_statements",
                     slowest_json(workers, count));
}

void tb_mysql_report_free(void *const *workers, uint32_t count)
{
    for (uint32_t w = 0; w < count; w++) {
        struct tb_mysql_worker *worker = workers[w];
        for (unsigned i = 0; i < TB_COM_KINDS; i++)
            host()->latency_free(worker->command[i]);
        for (unsigned i = 0; worker->statement && i < TB_MYSQL_STATEMENTS; i++)
            host()->latency_free(worker->statement[i]);
        free(worker->statement);
        free(worker->differences);
    }
}
