/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The server's clients: who may come, and which packets are whose. Runs in the control thread; what
 * the lanes read is changed under `turn`.
 */
#include "relay/server_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "relay/late.h"

/* --checks come and go beside clients: they are nobody's rival, and give way. */
static bool is_watcher(const struct tb_server_client *client)
{
    return client->flags & TB_RELAY_WANT_WATCH;
}

static bool registers(const struct tb_server_client *client)
{
    return client && (client->flags & TB_RELAY_WANT_REGISTER);
}

static int compare_endpoints(const void *a, const void *b)
{
    const struct tb_endpoint *x = a, *y = b;
    int order = memcmp(x->addr.b, y->addr.b, sizeof x->addr.b);

    return order ? order : x->port - y->port;
}

/* The targets of all who register, each once; NULL and 0: they are to come from anywhere. */
static struct tb_endpoint *all_targets(const struct tb_relay_server *s, uint32_t *count)
{
    uint32_t total = 0, used = 0;

    *count = 0;
    for (uint32_t i = 0; i < TB_SERVER_CLIENTS; i++) {
        if (registers(s->clients[i]) && s->clients[i]->target_count == 0)
            return NULL;
        total += registers(s->clients[i]) ? s->clients[i]->target_count : 0;
    }
    struct tb_endpoint *all = total ? calloc(total, sizeof *all) : NULL;
    if (!all)
        return NULL;
    for (uint32_t i = 0; i < TB_SERVER_CLIENTS; i++) {
        const struct tb_server_client *c = s->clients[i];
        for (uint32_t k = 0; registers(c) && k < c->target_count; k++)
            all[used++] = c->targets[k];
    }
    qsort(all, total, sizeof *all, compare_endpoints);
    for (uint32_t i = 0; i < total; i++)
        if (i == 0 || compare_endpoints(&all[i], &all[*count - 1]) != 0)
            all[(*count)++] = all[i];
    return all;
}

/* Tell the program what all clients together want. */
static void tell_wanted(struct tb_relay_server *s)
{
    struct tb_relay_range none = {0}, *ranges = calloc(s->routes.count + 1, sizeof *ranges);
    struct tb_relay_wish wish = {.ranges = ranges ? ranges : &none};
    struct tb_endpoint *targets = all_targets(s, &wish.target_count);

    wish.targets = targets;
    wish.range_count = ranges ? tb_route_ranges(&s->routes, ranges) : 0;
    for (uint32_t i = 0; i < TB_SERVER_CLIENTS; i++) {
        const struct tb_server_client *c = s->clients[i];
        wish.registers |= registers(c);
        wish.payload |= c && (c->flags & TB_RELAY_WANT_PAYLOAD);
    }
    if (s->options.wanted)
        s->options.wanted(s->options.ctx, &wish);
    free(ranges);
    free(targets);
}

/* --- coming ----------------------------------------------------------------------------------- */

static struct tb_server_client *find_run(const struct tb_relay_server *s, const uint8_t run[16])
{
    for (uint32_t i = 0; i < TB_SERVER_CLIENTS; i++)
        if (s->clients[i] && memcmp(s->clients[i]->run, run, 16) == 0)
            return s->clients[i];
    return NULL;
}

static bool says_the_same(const struct tb_server_client *c, const struct tb_relay_hello *h)
{
    if (c->flags != h->flags || c->connections != h->connections ||
        c->range_count != h->range_count || c->target_count != h->target_count)
        return false;
    for (uint32_t i = 0; i < h->range_count; i++)
        if (!tb_addr_eq(&c->ranges[i].first, &h->range[i].first) ||
            c->ranges[i].count != h->range[i].count)
            return false;
    for (uint32_t i = 0; i < h->target_count; i++)
        if (compare_endpoints(&c->targets[i], &h->target[i]) != 0)
            return false;
    return true;
}

static int refuse_overlap(const struct tb_server_client *other, const struct tb_relay_range *range,
                          struct tb_err *why)
{
    struct tb_addr last = tb_addr_plus(range->first, (uint32_t) (range->count - 1));
    char a[TB_ADDR_TEXT], b[TB_ADDR_TEXT];

    (void) tb_err_set(
        why, -EBUSY,
        "client addresses of %s-%s are in use by %s from %s; give every run addresses "
        "of its own (-c)",
        tb_addr_format(&range->first, a), tb_addr_format(&last, b), other->name, other->peer);
    return TB_RELAY_REFUSED_OVERLAP;
}

/* May there be one client more, beside those there are? 0 or a refusal. */
static int check_single(const struct tb_relay_server *s, const struct tb_relay_hello *h,
                        struct tb_err *why)
{
    bool single = s->options.single || (h->flags & TB_RELAY_WANT_SINGLE);

    if (h->flags & TB_RELAY_WANT_WATCH)
        return 0;
    for (uint32_t i = 0; i < TB_SERVER_CLIENTS; i++) {
        const struct tb_server_client *other = s->clients[i];
        if (!other || is_watcher(other) || (!single && !(other->flags & TB_RELAY_WANT_SINGLE)))
            continue;
        (void) tb_err_set(why, -EBUSY,
                          "%s from %s is connected, and %s to be the only client (--single); wait "
                          "for its end or stop it",
                          other->name, other->peer,
                          s->options.single                 ? "this intercept wants its client"
                          : h->flags & TB_RELAY_WANT_SINGLE ? "you want"
                                                            : "it wants");
        return TB_RELAY_REFUSED_SINGLE;
    }
    return 0;
}

static void client_free(struct tb_server_client *client)
{
    if (!client)
        return;
    free(client->ranges);
    free(client->targets);
    free(client);
}

static struct tb_server_client *client_new(const struct tb_server_conn *c,
                                           const struct tb_relay_hello *h)
{
    struct tb_server_client *client =
        calloc(1, sizeof *client + h->connections * sizeof(struct tb_server_conn *));

    if (!client)
        return NULL;
    client->ranges = calloc(h->range_count + 1, sizeof *client->ranges);
    client->targets = calloc(h->target_count + 1, sizeof *client->targets);
    if (!client->ranges || !client->targets) {
        client_free(client);
        return NULL;
    }
    memcpy(client->ranges, h->range, h->range_count * sizeof *client->ranges);
    client->range_count = h->range_count;
    memcpy(client->targets, h->target, h->target_count * sizeof *client->targets);
    client->target_count = h->target_count;
    client->flags = h->flags;
    client->connections = h->connections;
    memcpy(client->run, h->run, sizeof client->run);
    memcpy(client->name, h->name, sizeof client->name);
    memcpy(client->peer, c->peer, sizeof client->peer);
    return client;
}

static void set_client(struct tb_relay_server *s, uint32_t place, struct tb_server_client *client)
{
    pthread_rwlock_wrlock(&s->turn);
    s->clients[place] = client;
    pthread_rwlock_unlock(&s->turn);
}

/* Take the client's ranges, for a watcher only if they are free; 0 or a refusal. */
static int take_ranges(struct tb_relay_server *s, const struct tb_server_client *client,
                       struct tb_err *why)
{
    uint32_t owner, which;

    while ((owner = tb_route_overlap(&s->routes, client->ranges, client->range_count, &which)) !=
           TB_ROUTE_NOBODY) {
        if (is_watcher(client))
            return 0;
        if (!is_watcher(s->clients[owner]))
            return refuse_overlap(s->clients[owner], &client->ranges[which], why);
        pthread_rwlock_wrlock(&s->turn);
        tb_route_remove(&s->routes, owner);
        pthread_rwlock_unlock(&s->turn);
    }
    pthread_rwlock_wrlock(&s->turn);
    int rc = tb_route_add(&s->routes, client->ranges, client->range_count, client->place);
    pthread_rwlock_unlock(&s->turn);
    if (rc == 0)
        return 0;
    (void) tb_err_set(why, rc, "no memory for another client");
    return TB_RELAY_REFUSED_LIMIT;
}

/* The connection's run is new: make its client. 0 or a refusal. */
static int add_client(struct tb_server_conn *c, const struct tb_relay_hello *h,
                      struct tb_server_client **out, struct tb_err *why)
{
    struct tb_relay_server *s = c->server;
    uint32_t place = 0;
    int rc = check_single(s, h, why);

    if (rc)
        return rc;
    while (place < TB_SERVER_CLIENTS && s->clients[place])
        place++;
    struct tb_server_client *client = NULL;
    if (place < TB_SERVER_CLIENTS && s->routes.count + h->range_count <= TB_SERVER_RANGES)
        client = client_new(c, h);
    if (!client || (registers(client) && tb_server_lanes_keep_late(s) < 0)) {
        client_free(client);
        (void) tb_err_set(why, -EBUSY,
                          "there are too many clients or client ranges (most: %d and %d)",
                          TB_SERVER_CLIENTS, TB_SERVER_RANGES);
        return TB_RELAY_REFUSED_LIMIT;
    }
    client->place = place;
    set_client(s, place, client);
    rc = take_ranges(s, client, why);
    if (rc) {
        set_client(s, place, NULL);
        client_free(client);
        return rc;
    }
    *out = client;
    return 0;
}

int tb_server_clients_join(struct tb_server_conn *c, struct tb_err *why)
{
    struct tb_relay_server *s = c->server;
    const struct tb_relay_hello *h = &s->hello;
    struct tb_server_client *client = find_run(s, h->run);
    bool is_new = !client;
    int rc;

    if (client && !says_the_same(client, h)) {
        (void) tb_err_set(why, -EINVAL, "its hello contradicts the one of connection %u of %s",
                          h->connection, client->name);
        return TB_RELAY_REFUSED_HELLO;
    }
    struct tb_server_conn *old = client ? client->conn[h->connection] : NULL;
    if (!old && atomic_load(&s->conn_count) >= TB_SERVER_CONNECTIONS) {
        (void) tb_err_set(why, -EBUSY, "there are %d connections, which is the most",
                          TB_SERVER_CONNECTIONS);
        return TB_RELAY_REFUSED_LIMIT;
    }
    if (is_new) {
        rc = add_client(c, h, &client, why);
        if (rc)
            return rc;
    }
    pthread_rwlock_wrlock(&s->turn);
    client->conn[h->connection] = c;
    c->client = client;
    c->number = h->connection;
    pthread_rwlock_unlock(&s->turn);
    client->connected++;
    c->state = TB_CONN_RUNNING;
    s->waiting--;
    atomic_fetch_add(&s->conn_count, 1);
    if (old)
        tb_server_conn_drop(old, "replaced by a new connection");
    if (is_new) {
        atomic_fetch_add(&s->client_count, 1);
        tb_log_limited(&s->limit[TB_LINE_JOINED], TB_LOG_INFO,
                       "channel: client %s from %s: connections %u, client ranges %u%s%s",
                       client->name, c->peer, client->connections, client->range_count,
                       client->flags & TB_RELAY_WANT_PAYLOAD ? ", with payload" : "",
                       is_watcher(client) ? ", --check" : "");
        tell_wanted(s);
    }
    return 0;
}

/* --- going ------------------------------------------------------------------------------------ */

void tb_server_clients_leave(struct tb_server_conn *c, const char *why)
{
    struct tb_relay_server *s = c->server;
    struct tb_server_client *client = c->client;
    bool last = --client->connected == 0;

    pthread_rwlock_wrlock(&s->turn);
    if (client->conn[c->number] == c)
        client->conn[c->number] = NULL;
    if (c->sessions)
        tb_sessions_remove_all(&s->sessions, c->place);
    if (last) {
        tb_route_remove(&s->routes, client->place);
        s->clients[client->place] = NULL;
    }
    pthread_rwlock_unlock(&s->turn);
    atomic_store(&s->session_count, s->sessions.count);
    atomic_fetch_sub(&s->conn_count, 1);
    c->client = NULL;
    if (!last)
        return;
    atomic_fetch_sub(&s->client_count, 1);
    tb_log_limited(&s->limit[TB_LINE_LEFT], TB_LOG_INFO, "channel: client %s from %s left: %s",
                   client->name, client->peer, why);
    client_free(client);
    tell_wanted(s);
}

/* --- sessions --------------------------------------------------------------------------------- */

/* Room for more sessions: the table grows aside, so that no turn waits for it. */
static int make_room(struct tb_relay_server *s, uint32_t more)
{
    struct tb_sessions bigger, old = s->sessions;

    if (tb_sessions_has_room(&s->sessions, more))
        return 0;
    if (tb_sessions_copy(&s->sessions, more, &bigger) < 0)
        return -ENOMEM;
    pthread_rwlock_wrlock(&s->turn);
    s->sessions = bigger;
    pthread_rwlock_unlock(&s->turn);
    tb_sessions_fini(&old);
    return 0;
}

/* May the connection have it? A session within the ranges of another client is that client's. */
static bool take_session(struct tb_server_conn *c, const struct tb_endpoint *e)
{
    struct tb_relay_server *s = c->server;
    uint32_t owner = tb_route_find(&s->routes, &e->addr);

    return (owner == TB_ROUTE_NOBODY || owner == c->client->place ||
            is_watcher(s->clients[owner])) &&
           tb_sessions_put(&s->sessions, e, c->place) == 0;
}

/* The target may have answered before the registration came. */
static void begin_late(struct tb_server_late *l)
{
    l->since_us = tb_clock_real_us() - TB_LATE_US;
    l->records = 0;
    l->len = (uint32_t) tb_relay_records_begin(l->frame, l->since_us);
}

static void pass_on_late(struct tb_server_conn *c, struct tb_server_late *l)
{
    if (l->records == 0)
        return;
    tb_relay_records_end(l->frame, l->len);
    if (tb_server_conn_send(c, l->frame, l->len, l->records) >= 0)
        atomic_fetch_add(&c->server->late_count, l->records);
}

static void tell_taken(struct tb_server_conn *c, uint32_t count)
{
    struct tb_relay_server *s = c->server;
    size_t len = tb_relay_sessions_put(s->taken_frame, sizeof s->taken_frame, TB_RELAY_TAKEN,
                                       s->taken, count);

    (void) tb_server_conn_send(c, s->taken_frame, (uint32_t) len, 0);
    atomic_fetch_add(&s->taken_count, count);
    tb_log_limited(&s->limit[TB_LINE_SESSIONS], TB_LOG_WARN,
                   "channel: %s from %s: %u sessions are another client's, who keeps them",
                   c->client->name, c->peer, count);
}

int tb_server_clients_register(struct tb_server_conn *c, uint32_t count, struct tb_err *why)
{
    struct tb_relay_server *s = c->server;
    uint32_t taken = 0, before = s->sessions.count;

    if (before + count > TB_SERVER_SESSIONS || make_room(s, count) < 0) {
        (void) tb_err_set(why, -ENOSPC, "more than %d registered sessions", TB_SERVER_SESSIONS);
        return TB_RELAY_REFUSED_LIMIT;
    }
    begin_late(&s->late);
    pthread_rwlock_wrlock(&s->turn);
    for (uint32_t i = 0; i < count; i++) {
        if (take_session(c, &s->sessions_in[i]))
            tb_server_lanes_take_late(s, &s->sessions_in[i], &s->late);
        else
            s->taken[taken++] = s->sessions_in[i];
    }
    pthread_rwlock_unlock(&s->turn);
    pass_on_late(c, &s->late);
    c->sessions += s->sessions.count - before;
    atomic_store(&s->session_count, s->sessions.count);
    if (taken)
        tell_taken(c, taken);
    return 0;
}

void tb_server_clients_unregister(struct tb_server_conn *c, uint32_t count)
{
    struct tb_relay_server *s = c->server;
    uint32_t before = s->sessions.count;

    pthread_rwlock_wrlock(&s->turn);
    for (uint32_t i = 0; i < count; i++)
        (void) tb_sessions_remove(&s->sessions, &s->sessions_in[i], c->place);
    if (count == 0)
        tb_sessions_remove_all(&s->sessions, c->place);
    pthread_rwlock_unlock(&s->turn);
    c->sessions -= before - s->sessions.count;
    atomic_store(&s->session_count, s->sessions.count);
}
