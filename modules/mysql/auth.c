/* SPDX-License-Identifier: BSD-2-Clause */
/* See auth.h. The formulas are those of the protocol's documentation; H is the plugin's digest. */
#include "auth.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sodium.h>
#include <string.h>

enum { SHA1_BYTES = 20, SHA256_BYTES = 32, SHA512_BYTES = 64, PASSWORD_MAX = 4096 };

int tb_mysql_auth_init(void)
{
    uint8_t digest[SHA1_BYTES];
    unsigned n;

    return sodium_init() >= 0 && EVP_Digest("", 0, digest, &n, EVP_sha1(), NULL) == 1 ? 0 : -1;
}

static const char *const names[] = {
    [TB_PLUGIN_UNKNOWN] = "",
    [TB_PLUGIN_NATIVE] = "mysql_native_password",
    [TB_PLUGIN_CACHING_SHA2] = "caching_sha2_password",
    [TB_PLUGIN_SHA256] = "sha256_password",
    [TB_PLUGIN_ED25519] = "client_ed25519",
};

enum tb_mysql_plugin tb_mysql_plugin_named(const char *name, size_t len)
{
    for (unsigned i = TB_PLUGIN_NATIVE; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
            return (enum tb_mysql_plugin) i;
    return TB_PLUGIN_UNKNOWN;
}

const char *tb_mysql_plugin_name(enum tb_mysql_plugin plugin)
{
    return names[plugin];
}

/* H(a) or H(a ‖ b). */
static bool digest(const EVP_MD *md, const void *a, size_t a_len, const void *b, size_t b_len,
                   uint8_t *out)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool good = c && EVP_DigestInit_ex(c, md, NULL) && EVP_DigestUpdate(c, a, a_len) &&
                EVP_DigestUpdate(c, b, b_len) && EVP_DigestFinal_ex(c, out, NULL);

    EVP_MD_CTX_free(c);
    return good;
}

static void xor_into(uint8_t *into, const uint8_t *with, size_t len)
{
    for (size_t i = 0; i < len; i++)
        into[i] ^= with[i];
}

/* SHA1(p) ⊕ SHA1(s ‖ SHA1(SHA1(p))) */
static int native(const char *password, const uint8_t *nonce, uint8_t *out)
{
    uint8_t stored[SHA1_BYTES], mask[SHA1_BYTES];
    const EVP_MD *md = EVP_sha1();

    if (!digest(md, password, strlen(password), "", 0, out) ||
        !digest(md, out, SHA1_BYTES, "", 0, stored) ||
        !digest(md, nonce, TB_MYSQL_NONCE, stored, SHA1_BYTES, mask))
        return -1;
    xor_into(out, mask, SHA1_BYTES);
    return SHA1_BYTES;
}

/* SHA256(p) ⊕ SHA256(SHA256(SHA256(p)) ‖ s) */
static int caching_sha2(const char *password, const uint8_t *nonce, uint8_t *out)
{
    uint8_t stored[SHA256_BYTES], mask[SHA256_BYTES];
    const EVP_MD *md = EVP_sha256();

    if (!digest(md, password, strlen(password), "", 0, out) ||
        !digest(md, out, SHA256_BYTES, "", 0, stored) ||
        !digest(md, stored, SHA256_BYTES, nonce, TB_MYSQL_NONCE, mask))
        return -1;
    xor_into(out, mask, SHA256_BYTES);
    return SHA256_BYTES;
}

/* RFC 8032 §5.1.6 with SHA512(password) in place of the expanded seed: R ‖ S. */
static int ed25519(const char *password, const uint8_t *nonce, uint8_t *out)
{
    enum { SCALAR = crypto_core_ed25519_SCALARBYTES };
    uint8_t az[SHA512_BYTES], wide[SHA512_BYTES], a[SCALAR], r[SCALAR], k[SCALAR],
        message[2 * SCALAR + 32];
    const EVP_MD *md = EVP_sha512();

    if (!digest(md, password, strlen(password), "", 0, az))
        return -1;
    az[0] &= 248;
    az[31] = (az[31] & 63) | 64;
    memset(wide, 0, sizeof wide);
    memcpy(wide, az, SCALAR);
    crypto_core_ed25519_scalar_reduce(a, wide);
    if (!digest(md, az + SCALAR, SCALAR, nonce, TB_MYSQL_NONCE_ED25519, wide))
        return -1;
    crypto_core_ed25519_scalar_reduce(r, wide);
    if (crypto_scalarmult_ed25519_base_noclamp(message, r) != 0 ||
        crypto_scalarmult_ed25519_base_noclamp(message + SCALAR, az) != 0)
        return -1;
    memcpy(message + 2 * SCALAR, nonce, TB_MYSQL_NONCE_ED25519);
    if (!digest(md, message, sizeof message, "", 0, wide))
        return -1;
    crypto_core_ed25519_scalar_reduce(k, wide);
    crypto_core_ed25519_scalar_mul(k, k, a);
    crypto_core_ed25519_scalar_add(out + SCALAR, k, r);
    memcpy(out, message, SCALAR);
    return 2 * SCALAR;
}

int tb_mysql_auth_respond(enum tb_mysql_plugin plugin, const char *password, const uint8_t *nonce,
                          size_t nonce_len, uint8_t *out)
{
    size_t wanted = plugin == TB_PLUGIN_ED25519 ? TB_MYSQL_NONCE_ED25519 : TB_MYSQL_NONCE;

    if (plugin == TB_PLUGIN_UNKNOWN || nonce_len < wanted)
        return -1;
    if (!password[0])
        return 0;
    if (plugin == TB_PLUGIN_ED25519)
        return ed25519(password, nonce, out);
    if (plugin == TB_PLUGIN_NATIVE)
        return native(password, nonce, out);
    if (plugin == TB_PLUGIN_CACHING_SHA2)
        return caching_sha2(password, nonce, out);
    out[0] = 1; /* sha256_password: send the key, please */
    return 1;
}

int tb_mysql_auth_encrypt(const char *password, const uint8_t nonce[TB_MYSQL_NONCE],
                          const uint8_t *pem, size_t pem_len, struct tb_mysql_out *out)
{
    uint8_t plain[PASSWORD_MAX], cipher[1024];
    size_t len = strlen(password) + 1, cipher_len = sizeof cipher;
    BIO *bio = pem_len < INT_MAX ? BIO_new_mem_buf(pem, (int) pem_len) : NULL;
    EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    EVP_PKEY_CTX *c = key ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    int rc = -1;

    if (!c || len > sizeof plain)
        goto out;
    memcpy(plain, password, len);
    for (size_t i = 0; i < len; i++)
        plain[i] ^= nonce[i % TB_MYSQL_NONCE];
    if (EVP_PKEY_encrypt_init(c) == 1 && EVP_PKEY_size(key) <= (int) sizeof cipher &&
        EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_OAEP_PADDING) == 1 &&
        EVP_PKEY_encrypt(c, cipher, &cipher_len, plain, len) == 1) {
        tb_mysql_out_bytes(out, cipher, cipher_len);
        rc = out->failed ? -1 : 0;
    }
    OPENSSL_cleanse(plain, sizeof plain);
out:
    EVP_PKEY_CTX_free(c);
    EVP_PKEY_free(key);
    BIO_free(bio);
    return rc;
}
