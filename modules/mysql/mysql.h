/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The mysql module: what its parts share. learn.c reads captured sessions into commands (command.c)
 * of plans (plan.c), play.c plays them by these (log-ins: dialogue.c), report.c adds up what
 * differed and how long it took, mysql.c has the options and the module table.
 */
#ifndef TB_MYSQL_MYSQL_H
#define TB_MYSQL_MYSQL_H

#include "answer.h"
#include "login.h"
#include "module.h"
#include "statement.h"

/* --- options ---------------------------------------------------------------------------------- */

enum tb_mysql_check { TB_MYSQL_CHECK_OUTCOME, TB_MYSQL_CHECK_ROWS, TB_MYSQL_CHECK_NONE };

enum tb_mysql_counter {
    TB_MYSQL_LOGINS,
    TB_MYSQL_REFUSED,      /* log-ins that the target refused, unlike the capture */
    TB_MYSQL_NO_PASSWORD,  /* sessions not started */
    TB_MYSQL_SKIPPED,      /* commands that read_only left out */
    TB_MYSQL_NOT_PREPARED, /* commands of statements that the target did not prepare */
    TB_MYSQL_INFILE_DROPPED,
    TB_MYSQL_COUNTERS
};

struct tb_mysql_config {
    const struct tb_host *host;
    json_t *users, *user_map, *schema_map; /* owned, or NULL */
    json_t *default_password;
    enum tb_mysql_check check;
    bool read_only;
    int counter[TB_MYSQL_COUNTERS];
};

/* Written by configure() only, before any other hook runs. */
extern struct tb_mysql_config tb_mysql_config;

/* The target's name of a captured user or schema: `name` itself when it is not mapped. */
const char *tb_mysql_mapped(const json_t *map, const char *name);
/* The password of a captured user on the target, or NULL. A user that had none needs none. */
const char *tb_mysql_password(const char *captured, bool has_secret);

/* --- what is learned -------------------------------------------------------------------------- */

enum { TB_MYSQL_NO_SLOT = 0xffff };

enum tb_mysql_command_flags {
    TB_COMMAND_KNOWN = 1 << 0, /* `expected` is what the capture showed */
    TB_COMMAND_WRITES = 1 << 1,
    TB_COMMAND_LAST = 1 << 2 /* of the statement last prepared, whose answer had not come */
};

/* A place in a ring. */
struct tb_mysql_link {
    struct tb_mysql_link *next, *prev;
};

/* A request of the script: its note is a pointer to this. Prepared statements have a slot each, a
 * number among those open at once; the target's ids are kept by slot. */
struct tb_mysql_command {
    struct tb_mysql_link link; /* first: all of a plan */
    uint32_t refs;             /* its plan, the learner, those that execute it */
    struct tb_mysql_outcome expected;
    uint8_t *own; /* packets to be sent in place of the captured bytes; NULL: those */
    size_t own_len;
    struct tb_mysql_login *login;     /* TB_COM_LOGIN, TB_COM_CHANGE_USER */
    struct tb_mysql_command *prepare; /* EXECUTE: the statement's, where that is known; a ref */
    uint8_t *query; /* PREPARE without parameters: packets of a COM_QUERY of the same text */
    size_t query_len;
    uint32_t statement; /* its fingerprint, see tb_mysql_statement_text() */
    uint16_t code, slot;
    uint8_t flags;
    uint8_t seq; /* TB_COM_INFILE_DATA: number of the first packet */
};

/* A captured session: its note is a pointer to this. Of a live one it fills while it is played: the
 * log-in tells most of it. */
struct tb_mysql_plan {
    struct tb_mysql_plan *next;    /* all there are of files */
    struct tb_mysql_link commands; /* the ring's head */
    bool is_live;
    const char *no_password; /* the first user whose password is not known, or NULL */
    uint32_t capabilities;   /* the most to agree on */
    uint32_t extended;
    struct tb_mysql_outcome greeting; /* an error, or nothing */
    bool needs_bulk;                  /* has commands that only MariaDB knows */
    bool changes_user;
};

/* plan.c. Commands and plans of files stay until unload(); those of live sessions go as the host
 * forgets them, a plan with all the commands that it still has. */
struct tb_mysql_plan *tb_mysql_plan_new(bool is_live);         /* or NULL */
void tb_mysql_plan_end(struct tb_mysql_plan *plan, bool used); /* it has been learned */
struct tb_mysql_command *tb_mysql_plan_add(struct tb_mysql_plan *plan, unsigned code); /* or NULL */
struct tb_mysql_command *tb_mysql_command_ref(struct tb_mysql_command *c);
void tb_mysql_command_unref(struct tb_mysql_command *c); /* NULL is fine */
void tb_mysql_forget_request(uint64_t note);
void tb_mysql_forget_session(uint64_t note);
void tb_mysql_plans_free(void);

/* Fingerprints: a table that only grows, by whoever learns; any thread. 0: others. */
enum { TB_MYSQL_STATEMENTS = 4096 };
uint32_t tb_mysql_statement(const char *fingerprint);
const char *tb_mysql_statement_text(uint32_t statement);
void tb_mysql_statements_free(void);

void *tb_mysql_learn_begin(struct tb_learn *l);
void tb_mysql_learn_data(struct tb_learn *l, void *state, enum tb_direction dir, uint64_t offset,
                         const uint8_t *bytes, uint64_t len, uint64_t time_us);
void tb_mysql_learn_end(struct tb_learn *l, void *state, bool used);
/* --- what is played --------------------------------------------------------------------------- */

enum { TB_MYSQL_SLOTS = 32 }; /* with room in the session itself */

/* session_state() */
struct tb_mysql_session {
    uint32_t capabilities, extended; /* the target's; from the log-in on those agreed */
    uint32_t collation;
    uint8_t nonce[TB_MYSQL_NONCE];
    uint8_t plugin;
    bool is_mariadb, is_mysql8;
    bool greeted;
    bool logs_in;        /* a log-in or COM_CHANGE_USER is not over */
    bool infile_refused; /* the target does not want the data that comes next */
    uint8_t infile_seq;  /* number of its first packet */
    uint32_t more_count;
    uint32_t ids[TB_MYSQL_SLOTS]; /* 0: not answered yet; or one of the two below */
    uint32_t *more;
};

_Static_assert(sizeof(struct tb_mysql_session) <= 512, "a million idle sessions fit");

/* The target refused the PREPARE; or it only cannot prepare such a statement, which is sent as text
 * then (BEGIN, on MySQL). */
#define TB_MYSQL_NOT_PREPARED_ID UINT32_MAX
#define TB_MYSQL_AS_TEXT_ID      (UINT32_MAX - 1)

/* A log-in in progress: greeting, or the answers to a log-in or COM_CHANGE_USER. */
struct tb_mysql_dialogue {
    struct tb_mysql_packets packets;
    struct tb_mysql_out payload;
    uint8_t nonce[TB_MYSQL_NONCE_ED25519];
    uint8_t nonce_len;
    uint8_t plugin;
};

/* busy_state() */
struct tb_mysql_busy {
    struct tb_mysql_answer answer;
    struct tb_mysql_dialogue *dialogue;
    bool reading;       /* `answer` has begun */
    bool wanted_infile; /* the target asked for a file, unlike the capture */
};

int tb_mysql_session_start(struct tb_session *s);
enum tb_request_action tb_mysql_request(struct tb_session *s, const struct tb_request_info *req);
enum tb_response_status tb_mysql_response(struct tb_session *s, const uint8_t *data, size_t len,
                                          unsigned flags, size_t *used);
void tb_mysql_busy_end(struct tb_session *s, void *busy);
int64_t tb_mysql_session_end(struct tb_session *s, enum tb_verdict verdict);

/* dialogue.c. The answers return what response() is to return. */
enum tb_response_status tb_mysql_greeting_answer(struct tb_session *s, const uint8_t *data,
                                                 size_t len, size_t *used);
enum tb_response_status tb_mysql_dialogue_answer(struct tb_session *s,
                                                 const struct tb_mysql_command *c,
                                                 const uint8_t *data, size_t len, size_t *used);
/* Send the log-in, or the COM_CHANGE_USER. */
enum tb_request_action tb_mysql_dialogue_request(struct tb_session *s,
                                                 const struct tb_mysql_command *c);
void tb_mysql_dialogue_free(struct tb_mysql_dialogue *d);

static inline const struct tb_mysql_plan *tb_mysql_plan_of(const struct tb_session *s)
{
    return (const struct tb_mysql_plan *) (uintptr_t) tb_mysql_config.host->session_note(s);
}

/* --- what is reported ------------------------------------------------------------------------- */

/* worker_state() */
struct tb_mysql_worker {
    struct tb_latency *command[TB_COM_KINDS];
    struct tb_latency **statement;           /* by fingerprint; TB_MYSQL_STATEMENTS of them */
    struct tb_mysql_difference *differences; /* open hash table */
    uint64_t differences_lost;
};

/* The answer to the awaited command is complete: add its latency. */
void tb_mysql_report_latency(struct tb_session *s, const struct tb_mysql_command *c);
/* What came instead of what was captured. */
void tb_mysql_report_difference(struct tb_session *s, uint32_t statement, const char *captured,
                                const char *seen);
/* "query", "log-in" … */
const char *tb_mysql_command_name(unsigned code);
json_t *tb_mysql_report(void *const *workers, uint32_t count);
void tb_mysql_report_free(void *const *workers, uint32_t count);

/* The module table, also the shared object's one symbol. */
extern const struct tb_module tb_module_entry;

#endif
