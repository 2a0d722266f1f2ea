/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLS 1.3 with a pre-shared key (RFC 8446 §2.2) by OpenSSL; see tls.h. The key is installed as an
 * external PSK whose identity is always "tcpburn", with ephemeral Diffie-Hellman, without
 * certificates, tickets, early data and older versions.
 */
#include "relay/tls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include "base/log.h"

enum { KEY_MIN_BYTES = 16, KEY_MAX_BYTES = 256, FILE_MAX = 4096 };

static const char identity[] = "tcpburn";
/* TLS_AES_128_GCM_SHA256, which gives the key its hash (RFC 8446 §4.2.11). */
static const unsigned char suite[2] = {0x13, 0x01};
static const char make_one[] = "make one with: umask 077; openssl rand -hex 32 >FILE";

struct tb_tls_context {
    SSL_CTX *ssl;
    BIO_METHOD *socket;
    enum tb_tls_role role;
    uint8_t key[KEY_MAX_BYTES];
    size_t key_bytes;
};

struct tb_tls {
    SSL *ssl;
    bool wants_write;
};

/* --- the key file ----------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The first line of `text` as bytes; their number, or -EINVAL. */
static int parse_key(const char *text, uint8_t out[KEY_MAX_BYTES])
{
    size_t digits = 0;

    while (hex_digit(text[digits]) >= 0)
        digits++;
    const char *rest = text + digits;
    while (*rest == ' ' || *rest == '\t' || *rest == '\r')
        rest++;
    if ((*rest && *rest != '\n') || digits % 2 || digits / 2 < KEY_MIN_BYTES ||
        digits / 2 > KEY_MAX_BYTES)
        return -EINVAL;
    for (size_t i = 0; i < digits / 2; i++)
        out[i] = (uint8_t) (hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
    return (int) (digits / 2);
}

/* The beginning of the file, terminated; 0 or -errno with words. */
static int read_file(const char *path, char text[FILE_MAX], struct tb_err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return tb_err_set(err, -errno, "--psk-file %s: %s; %s", path, strerror(errno), make_one);
    ssize_t n = read(fd, text, FILE_MAX - 1);
    int rc = n < 0 ? -errno : 0;
    if (rc == 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & (S_IRGRP | S_IROTH)))
        tb_log(TB_LOG_WARN, "--psk-file %s: others than its owner may read the key; chmod 600 %s",
               path, path);
    (void) close(fd);
    if (rc < 0)
        return tb_err_set(err, rc, "--psk-file %s: %s", path, strerror(-rc));
    text[n] = 0;
    return 0;
}

static int read_key(struct tb_tls_context *c, const char *path, struct tb_err *err)
{
    char text[FILE_MAX] = "";
    int rc = read_file(path, text, err);

    if (rc == 0) {
        rc = parse_key(text, c->key);
        if (rc < 0)
            (void) tb_err_set(err, rc,
                              "--psk-file %s: its first line must be a key of %d to %d hexadecimal "
                              "digits; %s",
                              path, 2 * KEY_MIN_BYTES, 2 * KEY_MAX_BYTES, make_one);
    }
    OPENSSL_cleanse(text, sizeof text);
    if (rc < 0)
        return rc;
    c->key_bytes = (size_t) rc;
    return 0;
}

/* --- the key in the handshake ----------------------------------------------------------------- */

static SSL_SESSION *key_session(SSL *ssl)
{
    const struct tb_tls_context *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, suite);
    SSL_SESSION *session = SSL_SESSION_new();

    if (session && cipher && SSL_SESSION_set1_master_key(session, c->key, c->key_bytes) &&
        SSL_SESSION_set_cipher(session, cipher) &&
        SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION))
        return session;
    SSL_SESSION_free(session);
    return NULL;
}

static int offer_key(SSL *ssl, const EVP_MD *hash, const unsigned char **id, size_t *id_bytes,
                     SSL_SESSION **session)
{
    *session = key_session(ssl);
    *id = (const unsigned char *) identity;
    *id_bytes = sizeof identity - 1;
    return *session != NULL;
}

static int find_key(SSL *ssl, const unsigned char *id, size_t id_bytes, SSL_SESSION **session)
{
    bool ours = id_bytes == sizeof identity - 1 && memcmp(id, identity, id_bytes) == 0;

    *session = ours ? key_session(ssl) : NULL;
    return !ours || *session;
}

/* --- the socket ------------------------------------------------------------------------------- */

/* OpenSSL's own writes with write(), which raises SIGPIPE when the other end is gone. */
static int socket_write(BIO *bio, const char *data, int len)
{
    int fd = (int) (intptr_t) BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    ssize_t n = send(fd, data, (size_t) len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_write(bio);
    return (int) n;
}

static int socket_read(BIO *bio, char *data, int room)
{
    int fd = (int) (intptr_t) BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    ssize_t n = recv(fd, data, (size_t) room, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_read(bio);
    return (int) n;
}

static long socket_control(BIO *bio, int what, long number, void *pointer)
{
    return what == BIO_CTRL_FLUSH;
}

static BIO_METHOD *socket_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "channel");

    if (m && BIO_meth_set_write(m, socket_write) && BIO_meth_set_read(m, socket_read) &&
        BIO_meth_set_ctrl(m, socket_control))
        return m;
    BIO_meth_free(m);
    return NULL;
}

/* --- contexts and connections ----------------------------------------------------------------- */

static bool set_up(struct tb_tls_context *c)
{
    c->socket = socket_method();
    c->ssl = SSL_CTX_new(c->role == TB_TLS_SERVER ? TLS_server_method() : TLS_client_method());
    if (!c->socket || !c->ssl || !SSL_CTX_set_app_data(c->ssl, c) ||
        !SSL_CTX_set_min_proto_version(c->ssl, TLS1_3_VERSION) ||
        !SSL_CTX_set_max_proto_version(c->ssl, TLS1_3_VERSION) ||
        !SSL_CTX_set_ciphersuites(c->ssl, "TLS_AES_128_GCM_SHA256"))
        return false;
    SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(c->ssl, 0);
    SSL_CTX_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                 SSL_MODE_RELEASE_BUFFERS);
    if (c->role == TB_TLS_SERVER) {
        SSL_CTX_set_psk_find_session_callback(c->ssl, find_key);
        return true;
    }
    /* Nobody has a certificate: a server that comes with one instead of the key fails here. */
    SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_psk_use_session_callback(c->ssl, offer_key);
    return true;
}

int tb_tls_context_new(enum tb_tls_role role, const char *psk_file, struct tb_tls_context **out,
                       struct tb_err *err)
{
    struct tb_tls_context *c = calloc(1, sizeof *c);

    if (!c)
        return tb_err_set(err, -ENOMEM, "no memory for TLS");
    c->role = role;
    int rc = read_key(c, psk_file, err);
    if (rc == 0 && !set_up(c))
        rc = tb_err_set(err, -ENOTSUP, "TLS 1.3 cannot be set up: OpenSSL says %s",
                        ERR_reason_error_string(ERR_peek_error()));
    ERR_clear_error();
    if (rc < 0) {
        tb_tls_context_free(c);
        return rc;
    }
    *out = c;
    return 0;
}

void tb_tls_context_free(struct tb_tls_context *c)
{
    if (!c)
        return;
    SSL_CTX_free(c->ssl);
    BIO_meth_free(c->socket);
    OPENSSL_cleanse(c->key, sizeof c->key);
    free(c);
}

int tb_tls_new(struct tb_tls_context *context, int fd, struct tb_tls **out)
{
    struct tb_tls *t = calloc(1, sizeof *t);
    BIO *bio = BIO_new(context->socket);

    if (t)
        t->ssl = SSL_new(context->ssl);
    if (!t || !bio || !t->ssl) {
        BIO_free(bio);
        tb_tls_free(t);
        ERR_clear_error();
        return -ENOMEM;
    }
    BIO_set_data(bio, (void *) (intptr_t) fd);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    if (context->role == TB_TLS_SERVER)
        SSL_set_accept_state(t->ssl);
    else
        SSL_set_connect_state(t->ssl);
    *out = t;
    return 0;
}

void tb_tls_free(struct tb_tls *t)
{
    if (!t)
        return;
    SSL_free(t->ssl);
    free(t);
}

/* --- moving bytes ----------------------------------------------------------------------------- */

/* Do the keys differ? The server cannot verify the client's binder; the client gets an alert. */
static bool is_key_error(int reason)
{
    switch (reason) {
    case SSL_R_BINDER_DOES_NOT_VERIFY:
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
    case SSL_R_SSLV3_ALERT_ILLEGAL_PARAMETER:
    case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
    case SSL_AD_REASON_OFFSET + SSL_AD_UNKNOWN_PSK_IDENTITY:
        return true;
    default:
        return false;
    }
}

/* What an operation that returned `rc` <= 0 means; 0: the end. */
static int explain(struct tb_tls *t, int rc)
{
    int saved = errno;

    switch (SSL_get_error(t->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        t->wants_write = false;
        return -EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        t->wants_write = true;
        return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        return saved > 0 ? -saved : -ECONNRESET;
    default:
        break;
    }
    int reason = ERR_GET_REASON(ERR_peek_error());
    ERR_clear_error();
    if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        return -ECONNRESET;
    return is_key_error(reason) ? -EACCES : -EPROTO;
}

int tb_tls_handshake(struct tb_tls *t)
{
    ERR_clear_error();
    errno = 0;
    int rc = SSL_do_handshake(t->ssl);
    if (rc != 1) {
        rc = explain(t, rc);
        return rc ? rc : -ECONNRESET;
    }
    /* A key was used, not anything else a future library may have found acceptable. */
    return SSL_session_reused(t->ssl) ? 0 : -EACCES;
}

bool tb_tls_wants_write(const struct tb_tls *t)
{
    return t->wants_write;
}

ssize_t tb_tls_read(struct tb_tls *t, void *data, size_t room)
{
    size_t n;

    ERR_clear_error();
    errno = 0;
    int rc = SSL_read_ex(t->ssl, data, room, &n);
    return rc == 1 ? (ssize_t) n : explain(t, rc);
}

ssize_t tb_tls_write(struct tb_tls *t, const void *data, size_t len)
{
    size_t n;

    ERR_clear_error();
    errno = 0;
    int rc = SSL_write_ex(t->ssl, data, len, &n);
    if (rc == 1)
        return (ssize_t) n;
    rc = explain(t, rc);
    return rc ? rc : -ECONNRESET;
}

void tb_tls_shutdown(struct tb_tls *t)
{
    ERR_clear_error();
    (void) SSL_shutdown(t->ssl);
    ERR_clear_error();
}
