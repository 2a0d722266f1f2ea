/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inside of relay/server.h, shared by its files: server.c (life, listening, clock),
 * server_conn.c (one connection's dialogue), server_clients.c (who is whose), server_lane.c
 * (packets).
 *
 * Threads: everything belongs to the control thread, but for what the lanes use: they hold `turn`
 * for reading during a turn; the control thread holds it for writing while it changes clients'
 * places, routes or sessions. Streams have a lock of their own.
 */
#ifndef TB_RELAY_SERVER_PARTS_H
#define TB_RELAY_SERVER_PARTS_H

#include <pthread.h>
#include <stdatomic.h>
#include "base/log.h"
#include "relay/route.h"
#include "relay/server.h"
#include "relay/stream.h"

struct event;

enum {
    TB_SERVER_CONNECTIONS = 1024, /* with a hello */
    TB_SERVER_WAITING = 64,       /* without one yet, or already refused */
    TB_SERVER_PLACES = TB_SERVER_CONNECTIONS + TB_SERVER_WAITING,
    TB_SERVER_CLIENTS = 128,
    TB_SERVER_RANGES = 8192,      /* of all clients */
    TB_SERVER_SESSIONS = 1000000, /* of all clients */
    TB_SERVER_WATCHES = 64,       /* of one connection */
    TB_SERVER_INPUT_KEPT = 4096   /* bytes of room an idle connection keeps for reading */
};

/* A line of the log that may repeat; each has a limit of its own. */
enum tb_server_line {
    TB_LINE_JOINED,
    TB_LINE_LEFT,
    TB_LINE_REFUSED,
    TB_LINE_NOT_ALLOWED,
    TB_LINE_CROWD,
    TB_LINE_NO_HELLO,
    TB_LINE_GARBAGE,
    TB_LINE_KEY,
    TB_LINE_TLS,
    TB_LINE_SESSIONS,
    TB_LINE_ACCEPT,
    TB_LINES
};

enum tb_server_state {
    TB_CONN_HANDSHAKE, /* TLS */
    TB_CONN_HELLO,     /* its first frame is to come */
    TB_CONN_RUNNING,   /* of a client */
    TB_CONN_ENDING,    /* refused; the other end may still read why */
    TB_CONN_DEAD       /* to be freed */
};

/* A connection. */
struct tb_server_conn {
    struct tb_relay_server *server;
    uint32_t place; /* in server->conns */
    enum tb_server_state state;
    struct tb_stream stream;
    atomic_bool flagged; /* the control thread is to look after the stream */
    struct event *readable, *writable;
    struct tb_addr addr;
    char peer[TB_ENDPOINT_TEXT];
    uint64_t since_us, heard_us;
    uint64_t watcher; /* never used again, unlike the place */
    struct {
        uint8_t *data;
        uint32_t len, room;
    } input;
    /* RUNNING */
    struct tb_server_client *client;
    uint16_t number; /* among the client's connections */
    uint32_t sessions, watches;
    struct tb_relay_drops told;
    struct tb_server_conn *next_dead;
};

/* A client: the connections of one run. */
struct tb_server_client {
    uint32_t place; /* in server->clients */
    uint32_t flags;
    uint8_t run[16];
    char name[64], peer[TB_ENDPOINT_TEXT];
    struct tb_relay_range *ranges;
    uint32_t range_count;
    struct tb_endpoint *targets;
    uint32_t target_count;
    uint32_t connections, connected;
    struct tb_server_conn *conn[]; /* [connections]; NULL: not there (now) */
};

/* Packets that came before the registration of their session: a frame in the making. */
struct tb_server_late {
    uint64_t since_us; /* older ones are left where they are */
    uint32_t len, records;
    uint8_t frame[TB_RELAY_HEAD + TB_RELAY_PAYLOAD_MAX];
};

struct tb_relay_server {
    struct event_base *base;
    struct tb_relay_server_options options;
    struct tb_relay_allow *allow;
    struct tb_tls_context *tls;
    struct tb_stream_memory memory;
    uint16_t port;
    int listen_fd[2], kick_fd;
    struct event *listener[2], *resume, *tick, *kick, *reap;
    atomic_bool kicked;

    struct tb_server_conn *conns[TB_SERVER_PLACES];
    uint32_t waiting; /* connections that are not RUNNING */
    struct tb_server_conn *dead;
    struct tb_server_client *clients[TB_SERVER_CLIENTS];
    uint64_t watchers, capture_drops;
    struct tb_log_limit limit[TB_LINES];
    struct tb_relay_hello hello; /* being decoded, too large for the stack */
    /* Those of a frame being worked on; which of them are another client's; the answer. */
    struct tb_endpoint sessions_in[TB_RELAY_SESSIONS_MAX], taken[TB_RELAY_SESSIONS_MAX];
    uint8_t taken_frame[TB_RELAY_HEAD + TB_RELAY_SESSIONS_MAX * TB_RELAY_SESSION_BYTES];
    struct tb_server_late late;

    pthread_rwlock_t turn;
    struct tb_route_table routes; /* address -> place in clients */
    struct tb_sessions sessions;  /* -> place in conns */

    struct tb_relay_lane *lanes;
    uint32_t lane_count;
    atomic_uint_fast64_t client_count, conn_count, session_count, taken_count, late_count;
    atomic_uint_fast64_t refused, rejected;
};

/* --- server_conn.c ---------------------------------------------------------------------------- */

/* Takes over the descriptor, also on failure. There must be a place. */
int tb_server_conn_new(struct tb_relay_server *s, int fd, const struct tb_addr *addr, uint16_t port,
                       uint64_t now_us);
/* Any thread (within a turn): pass on a frame; see tb_stream_send(). */
int tb_server_conn_send(struct tb_server_conn *c, const uint8_t *frame, uint32_t len,
                        uint32_t records);
/* Look after a flagged stream. */
void tb_server_conn_drain(struct tb_server_conn *c);
/* Tell the client of drops that it does not know yet. */
void tb_server_conn_tell_drops(struct tb_server_conn *c);
/* Close it, with a line in the log, as one that was never a client. */
void tb_server_conn_reject(struct tb_server_conn *c, enum tb_server_line line, const char *why);
/* Close it and forget it. The structure stays until tb_server_conn_reap(). */
void tb_server_conn_drop(struct tb_server_conn *c, const char *why);
void tb_server_conn_reap(struct tb_relay_server *s);

/* --- server_clients.c ------------------------------------------------------------------------- */

/* Take the connection in as server->hello wishes. 0, or the refusal (enum tb_relay_refusal) with
 * words. */
int tb_server_clients_join(struct tb_server_conn *c, struct tb_err *why);
/* Its client goes with its last connection. */
void tb_server_clients_leave(struct tb_server_conn *c, const char *why);
/* Sessions in server->sessions_in. 0, or the refusal with words. */
int tb_server_clients_register(struct tb_server_conn *c, uint32_t count, struct tb_err *why);
/* None: all that the connection has registered. */
void tb_server_clients_unregister(struct tb_server_conn *c, uint32_t count);

/* --- server_lane.c ---------------------------------------------------------------------------- */

int tb_server_lanes_new(struct tb_relay_server *s, uint32_t count);
void tb_server_lanes_free(struct tb_relay_server *s);
/* From now on keep packets whose session may yet be registered. 0 or -ENOMEM. */
int tb_server_lanes_keep_late(struct tb_relay_server *s);
/* Append the session's packets that have already come, as far as the frame holds them. To be called
 * with `turn` held for writing. */
void tb_server_lanes_take_late(struct tb_relay_server *s, const struct tb_endpoint *session,
                               struct tb_server_late *out);
/* Add the lanes' figures. */
void tb_server_lanes_figures(const struct tb_relay_server *s, struct tb_relay_server_figures *out);

#endif
