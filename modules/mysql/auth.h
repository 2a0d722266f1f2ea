/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Authentication plugins: what a client answers to a server's nonce. Called by dialogue.c; relies
 * on OpenSSL for digests and RSA, on libsodium for the curve (MariaDB's ed25519 takes passwords of
 * any length where OpenSSL wants a 32-byte seed).
 */
#ifndef TB_MYSQL_AUTH_H
#define TB_MYSQL_AUTH_H

#include "wire.h"

enum tb_mysql_plugin {
    TB_PLUGIN_UNKNOWN = 0,
    TB_PLUGIN_NATIVE,       /* mysql_native_password */
    TB_PLUGIN_CACHING_SHA2, /* caching_sha2_password */
    TB_PLUGIN_SHA256,       /* sha256_password */
    TB_PLUGIN_ED25519       /* client_ed25519 */
};

enum {
    TB_MYSQL_NONCE = 20, /* of all plugins but ed25519 */
    TB_MYSQL_NONCE_ED25519 = 32,
    TB_MYSQL_RESPONSE_MAX = 64
};

/* Load what the libraries need while files may still be opened. 0 or -1. */
int tb_mysql_auth_init(void);

enum tb_mysql_plugin tb_mysql_plugin_named(const char *name, size_t len);
const char *tb_mysql_plugin_name(enum tb_mysql_plugin plugin);

/* The first answer to a nonce into `out` (TB_MYSQL_RESPONSE_MAX bytes); its length, 0 for an empty
 * password, or -1: not a plugin we know, or its nonce is too short. sha256_password asks for the
 * server's key. */
int tb_mysql_auth_respond(enum tb_mysql_plugin plugin, const char *password, const uint8_t *nonce,
                          size_t nonce_len, uint8_t *out);

/* The password for the server's public key (PEM). 0 or -1: not a key, or too small a one. */
int tb_mysql_auth_encrypt(const char *password, const uint8_t nonce[TB_MYSQL_NONCE],
                          const uint8_t *pem, size_t pem_len, struct tb_mysql_out *out);

#endif
