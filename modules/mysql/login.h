/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Greeting, log-in and COM_CHANGE_USER: parsing the captured ones, building those for the target.
 * Called by learn.c and dialogue.c.
 */
#ifndef TB_MYSQL_LOGIN_H
#define TB_MYSQL_LOGIN_H

#include "auth.h"
#include "wire.h"

/* A server's greeting: what is needed of it. */
struct tb_mysql_greeting {
    uint32_t capabilities;
    uint32_t extended; /* MariaDB's capabilities */
    uint8_t nonce[TB_MYSQL_NONCE];
    uint8_t plugin; /* enum tb_mysql_plugin */
    bool is_mariadb;
    bool is_mysql8; /* or later: collations above 254 */
};

/* 0, or -1: not a greeting of protocol 10. */
int tb_mysql_greeting_parse(const uint8_t *payload, size_t len, struct tb_mysql_greeting *out);

/* A captured log-in or COM_CHANGE_USER. Text and bytes are owned. */
struct tb_mysql_login {
    uint32_t capabilities; /* the client's */
    uint32_t extended;
    uint32_t packet_max;
    uint32_t collation;
    char *user, *schema; /* schema: NULL for none */
    uint8_t *attributes; /* their list, without its length */
    size_t attributes_len;
    bool has_secret;      /* an answer of the captured client was not empty */
    const char *password; /* on the target, borrowed; NULL: not known */
};

/* 0, or -1: not a log-in of protocol 4.1; -2: an SSLRequest, TLS follows. Free in any case. */
int tb_mysql_login_parse(const uint8_t *payload, size_t len, struct tb_mysql_login *out);
/* `capabilities` were agreed in the session. */
int tb_mysql_change_user_parse(const uint8_t *payload, size_t len, uint32_t capabilities,
                               struct tb_mysql_login *out);
void tb_mysql_login_free(struct tb_mysql_login *login);

/* What client and server of the capture had in common, as far as we keep it up: the most a session
 * may agree on with the target. */
uint32_t tb_mysql_capabilities_kept(uint32_t client, uint32_t server);
/* What is agreed with the target of that: `kept` as above, `extended` MariaDB's, in and out. */
uint32_t tb_mysql_capabilities_agreed(uint32_t kept, uint32_t *extended,
                                      const struct tb_mysql_greeting *target);

/* The collation as the target knows it: those only one of the servers has become utf8mb4's. */
uint32_t tb_mysql_collation_for(uint32_t collation, bool is_mysql8, bool is_mariadb);

/* Build the payload; `auth` is the first answer to the nonce. */
void tb_mysql_login_build(struct tb_mysql_out *out, const struct tb_mysql_login *login,
                          const struct tb_mysql_greeting *target, uint32_t capabilities,
                          uint32_t extended, const uint8_t *auth, size_t auth_len);
void tb_mysql_change_user_build(struct tb_mysql_out *out, const struct tb_mysql_login *login,
                                enum tb_mysql_plugin plugin, uint32_t capabilities,
                                uint32_t collation, const uint8_t *auth, size_t auth_len);

#endif
