/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A world for engine tests: scripts made by hand, one worker, a network in memory that may lose,
 * repeat and reorder packets, and the fake server. Time is virtual and jumps to the next event, so
 * a deadline that the engine forgets is a hang, which fails the test.
 */
#ifndef TB_ENGINE_RIG_H
#define TB_ENGINE_RIG_H

#include "unit.h"
#include "engine/modules.h"
#include "engine/worker.h"
#include "fake_server.h"

#define MILLISECONDS UINT64_C(1000)
#define SECONDS      UINT64_C(1000000)

enum { WORLD_SESSIONS = 16, WORLD_REQUESTS = 24 };

/* One request of a script and what the server does when it has all of it. */
struct made {
    uint32_t request;  /* bytes */
    uint32_t response; /* bytes in the capture; the request counts as answered if any */
    uint64_t think_us;
    uint64_t server_us;    /* how long the server takes */
    uint16_t flags;        /* TB_REQ_*, besides TB_REQ_ANSWERED */
    bool unanswered;       /* not complete in the capture in spite of its bytes */
    bool is_silent;        /* the server does not answer … */
    uint32_t reply;        /* … or answers with so many bytes instead */
    enum fake_action then; /* what the server does behind its answer */
    uint32_t silence_us;
};

struct session {
    struct tb_script script; /* tests may change it before the start */
    struct tb_request request[WORLD_REQUESTS];
    struct fake_script server;
    uint8_t *bytes; /* of the client */
    uint32_t len;
};

/* Every n-th packet of a direction (0: none). */
struct trouble {
    uint32_t lose, repeat, delay;
    uint32_t count; /* packets so far */
};

struct world {
    struct session *session[WORLD_SESSIONS];
    struct tb_script *scripts[WORLD_SESSIONS];
    uint32_t sessions;
    uint32_t chunk_bytes; /* how script bytes are cut up; before adding sessions */

    struct tb_endpoint target;
    struct tb_plan_range clients;
    struct tb_plan_input plan_input;
    struct tb_pacing_input pacing_input;
    struct tb_engine_config config;
    uint32_t gso_max;
    struct tb_module module; /* all empty: generic */
    struct tb_host host;

    uint64_t begin_us, now_us, real_us;
    uint64_t one_way_us;
    struct trouble to_server, to_client;
    bool headers_only;     /* packets reach the worker as the intercept channel brings them … */
    uint64_t channel_us;   /* … so much later than they were seen */
    struct flying *flying; /* packets on the way */

    struct tb_plan plan;
    struct tb_pacing pacing;
    struct tb_io *io;
    struct tb_worker *worker;
    const struct tb_stats *stats;
    struct fake_server server;
};

/* setup and teardown; the teardown is also the end of every test, see world_check_end(). */
int world_setup(void **state);
int world_teardown(void **state);
#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

/* A session of these requests; each waits for the responses before it unless TB_REQ_PIPELINED. It
 * ends by the client's FIN at once. */
struct session *world_session(struct world *w, uint32_t count, const struct made *requests);
#define SESSION(w, ...)                                                          \
    world_session(w, sizeof((struct made[]){__VA_ARGS__}) / sizeof(struct made), \
                  (const struct made[]){__VA_ARGS__})

/* Make plan, schedule and worker of what was set up; needed before looking at w->worker. */
void world_start(struct world *w);
/* Until everything is played. */
void world_run(struct world *w);
/* Until `us` after the start. */
void world_run_until(struct world *w, uint64_t us);

/* A packet from nowhere, straight to the worker. */
void world_inject(struct world *w, const struct tb_frame_spec *spec, uint32_t len);

/* A connection that the server still has of an earlier client with this user's address and port;
 * after world_start(). */
const struct fake_conn *world_leftover(struct world *w, uint32_t user);

/* So many plays ended, all with this verdict. */
void world_ended(const struct world *w, enum tb_verdict verdict, uint64_t plays, const char *file,
                 int line);
#define ENDED(w, verdict, plays) world_ended(w, verdict, plays, __FILE__, __LINE__)

/* The n-th connection the server accepted got exactly the bytes of this session. */
void world_all_arrived(const struct world *w, uint32_t n, const struct session *s);

/* The server's n-th connection. */
const struct fake_conn *world_conn(const struct world *w, uint32_t n);
/* When the server had the first `bytes` bytes. */
uint64_t world_arrival_us(const struct fake_conn *c, uint32_t bytes);

#endif
