/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLS of the intercept channel, for both ends: TLS 1.3 with a pre-shared key and nothing else, over
 * a non-blocking socket that stays the caller's. The caller waits for the socket; nothing here
 * blocks. A connection is used by one thread at a time.
 */
#ifndef TB_RELAY_TLS_H
#define TB_RELAY_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "base/err.h"

enum tb_tls_role { TB_TLS_SERVER, TB_TLS_CLIENT };

/* The key, and how this end uses it. */
struct tb_tls_context;
/* One connection. */
struct tb_tls;

/*
 * Read the key: the first line of `psk_file` holds 32 to 512 hexadecimal digits (64 are advised;
 * `openssl rand -hex 32` makes them). A file that others may read gets a warning in the log.
 * 0 or -errno with words. Connections of any thread may be made from it.
 */
int tb_tls_context_new(enum tb_tls_role role, const char *psk_file, struct tb_tls_context **out,
                       struct tb_err *err);
/* Connections made from it must be freed first. NULL is fine. */
void tb_tls_context_free(struct tb_tls_context *c);

/* A connection over `fd` (connected or accepted, non-blocking). 0 or -ENOMEM. */
int tb_tls_new(struct tb_tls_context *context, int fd, struct tb_tls **out);
/* Does not close the descriptor and sends nothing. NULL is fine. */
void tb_tls_free(struct tb_tls *t);

/*
 * To be called until it is done: 0; -EAGAIN: again when the socket is ready, see
 * tb_tls_wants_write(); -EACCES: the keys of the two ends differ; -EPROTO: the other end speaks no
 * TLS or not ours; other errors as the socket has them (-ECONNRESET also when it was closed).
 */
int tb_tls_handshake(struct tb_tls *t);
/* What the last -EAGAIN waits for: true: until the socket can be written; false: read. */
bool tb_tls_wants_write(const struct tb_tls *t);

/*
 * Bytes read or written, at least 1 (of a write perhaps fewer than asked); read: 0 at the end.
 * -EAGAIN: nothing moved; the bytes of a refused write must be offered again, as the beginning of
 * the next one (their place may change). Other errors end the connection; -EACCES as above.
 * A read may leave decrypted bytes behind that no poll() of the socket announces: read until
 * -EAGAIN.
 */
ssize_t tb_tls_read(struct tb_tls *t, void *data, size_t room);
ssize_t tb_tls_write(struct tb_tls *t, const void *data, size_t len);
/* Tell the other end that nothing more will come, if that can be done at once. */
void tb_tls_shutdown(struct tb_tls *t);

#endif
