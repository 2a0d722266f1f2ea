/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Greetings, log-ins and what is answered to a nonce (modules/mysql/login.c, auth.c). The expected
 * answers were computed from the plugins' formulas with Python's hashlib and integers.
 */
#include "mysql_build.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

static const char nonce32[] = "abcdefghijklmnopqrstuvwxyzABCDEF";

static void respond(enum tb_mysql_plugin plugin, const char *password, const char *expected)
{
    uint8_t out[TB_MYSQL_RESPONSE_MAX];
    char hex[2 * TB_MYSQL_RESPONSE_MAX + 1] = "";
    int n = tb_mysql_auth_respond(plugin, password, (const uint8_t *) nonce32, 32, out);
    for (int i = 0; i < n; i++)
        snprintf(hex + 2 * i, 3, "%02x", out[i]);
    assert_string_equal(hex, expected);
}

static void answers_to_a_nonce_are_the_plugins(void **state)
{
    assert_int_equal(tb_mysql_auth_init(), 0);
    respond(TB_PLUGIN_NATIVE, "secret", "8817c50fa779daef010ee7577825b0847df9842e");
    respond(TB_PLUGIN_CACHING_SHA2, "secret",
            "c76e2898612a4cf042c77fa8c4702c4c64c0c2c557c53c4d75595aaa6abae809");
    respond(TB_PLUGIN_ED25519, "secret",
            "7d1e8d31fff63565bfeeaea4e5aa1f96b2a57d1d833419b485b4c5970e65aaf6"
            "ac33befc7e980b3cd02d099b44d7d0be70815b1849bf57a11db92ba977be0d01");
    respond(TB_PLUGIN_SHA256, "secret", "01"); /* the key, please */
}

static void empty_password_is_an_empty_answer(void **state)
{
    for (int p = TB_PLUGIN_NATIVE; p <= TB_PLUGIN_ED25519; p++)
        respond((enum tb_mysql_plugin) p, "", "");
}

static void short_nonce_and_unknown_plugin_are_refused(void **state)
{
    uint8_t out[TB_MYSQL_RESPONSE_MAX];
    const uint8_t *nonce = (const uint8_t *) nonce32;
    assert_int_equal(tb_mysql_auth_respond(TB_PLUGIN_NATIVE, "x", nonce, 19, out), -1);
    assert_int_equal(tb_mysql_auth_respond(TB_PLUGIN_ED25519, "x", nonce, 31, out), -1);
    assert_int_equal(tb_mysql_auth_respond(TB_PLUGIN_UNKNOWN, "x", nonce, 32, out), -1);
}

/* The server's half: decrypt, undo the nonce. */
static void password_is_encrypted_for_the_servers_key(void **state)
{
    EVP_PKEY *key = EVP_RSA_gen(2048);
    BIO *bio = BIO_new(BIO_s_mem());
    char *pem;
    assert_int_equal(PEM_write_bio_PUBKEY(bio, key), 1);
    size_t pem_len = (size_t) BIO_get_mem_data(bio, &pem);
    struct tb_mysql_out out = {0};
    const uint8_t *nonce = (const uint8_t *) nonce_text;

    assert_int_equal(
        tb_mysql_auth_encrypt("a rather long password", nonce, (uint8_t *) pem, pem_len, &out), 0);
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);
    uint8_t plain[512];
    size_t len = sizeof plain;
    assert_int_equal(EVP_PKEY_decrypt_init(c), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_OAEP_PADDING), 1);
    assert_int_equal(EVP_PKEY_decrypt(c, plain, &len, out.data, out.len), 1);
    for (size_t i = 0; i < len; i++)
        plain[i] ^= nonce[i % TB_MYSQL_NONCE];
    assert_int_equal(len, 23);
    assert_string_equal((char *) plain, "a rather long password");
    assert_int_equal(tb_mysql_auth_encrypt("x", nonce, (const uint8_t *) "no key", 6, &out), -1);
    EVP_PKEY_CTX_free(c);
    BIO_free(bio);
    EVP_PKEY_free(key);
    tb_mysql_out_fini(&out);
}

/* --- greetings -------------------------------------------------------------------------------- */

static struct tb_mysql_greeting greet(const char *version, uint32_t caps, uint32_t extended,
                                      const char *plugin)
{
    struct stream s = {0};
    struct tb_mysql_greeting g;
    greeting(&s, version, caps, extended, plugin);
    uint8_t *copy = exact_copy(s.out.data + 4, s.out.len - 4);
    assert_int_equal(tb_mysql_greeting_parse(copy, s.out.len - 4, &g), 0);
    free(copy);
    forget(&s);
    return g;
}

static void greeting_tells_the_servers_kind(void **state)
{
    struct tb_mysql_greeting g = greet("9.7.4", mysql_caps, 0, "caching_sha2_password");
    assert_true(g.is_mysql8);
    assert_false(g.is_mariadb);
    assert_int_equal(g.plugin, TB_PLUGIN_CACHING_SHA2);
    assert_memory_equal(g.nonce, nonce_text, TB_MYSQL_NONCE);
    assert_int_equal(g.capabilities, mysql_caps);
    assert_true(greet("10.1.0", mysql_caps, 0, "").is_mysql8);

    g = greet("5.6.24", old_caps, 0, "mysql_native_password");
    assert_false(g.is_mysql8 || g.is_mariadb);

    g = greet("5.5.5-10.11.19-MariaDB-1", mysql_caps & ~1u, 0x1f, "mysql_native_password");
    assert_true(g.is_mariadb);
    assert_false(g.is_mysql8);
    assert_int_equal(g.extended, 0x1f);
}

static void plugin_that_we_do_not_know_is_left_to_a_switch(void **state)
{
    assert_int_equal(greet("9.0.0", mysql_caps, 0, "authentication_kerberos").plugin,
                     TB_PLUGIN_NATIVE);
}

static void what_is_no_greeting_is_refused(void **state)
{
    struct tb_mysql_greeting g;
    struct stream s = {0};
    greeting(&s, "9.7.4", mysql_caps, 0, "x");
    for (size_t len = 0; len < 4 + 6 + 4 + 8 + 1 + 2; len++) { /* cut off before capabilities */
        uint8_t *copy = exact_copy(s.out.data + 4, len);
        assert_int_equal(tb_mysql_greeting_parse(copy, len, &g), -1);
        free(copy);
    }
    s.out.data[4] = 9; /* protocol 9 */
    assert_int_equal(tb_mysql_greeting_parse(s.out.data + 4, s.out.len - 4, &g), -1);
    forget(&s);
}

/* --- log-ins ---------------------------------------------------------------------------------- */

static int parse_login(const struct tb_mysql_out *p, struct tb_mysql_login *out)
{
    uint8_t *copy = exact_copy(p->data, p->len);
    int rc = tb_mysql_login_parse(copy, p->len, out);
    free(copy);
    return rc;
}

static void login_survives_being_built_and_parsed(void **state)
{
    uint8_t attributes[] = "\5_name\5value", auth[20] = {7};
    struct tb_mysql_login l = {.packet_max = 12345,
                               .collation = 45,
                               .user = (char *) (uintptr_t) "someone",
                               .schema = (char *) (uintptr_t) "shop",
                               .attributes = attributes,
                               .attributes_len = sizeof attributes - 1},
                          got;
    struct tb_mysql_greeting g = {.plugin = TB_PLUGIN_NATIVE};
    struct tb_mysql_out p = {0};

    tb_mysql_login_build(&p, &l, &g, mysql_caps & ~1u, 5, auth, sizeof auth);
    assert_int_equal(parse_login(&p, &got), 0);
    assert_string_equal(got.user, "someone");
    assert_string_equal(got.schema, "shop");
    assert_int_equal(got.collation, 45);
    assert_int_equal(got.packet_max, 12345);
    assert_int_equal(got.extended, 5);
    assert_true(got.has_secret);
    assert_int_equal(got.attributes_len, sizeof attributes - 1);
    assert_memory_equal(got.attributes, attributes, sizeof attributes - 1);
    tb_mysql_login_free(&got);
    tb_mysql_out_fini(&p);
}

static void login_without_schema_or_attributes(void **state)
{
    struct tb_mysql_login l = {.user = (char *) (uintptr_t) "u"}, got;
    struct tb_mysql_greeting g = {.plugin = TB_PLUGIN_NATIVE};
    struct tb_mysql_out p = {0};

    tb_mysql_login_build(&p, &l, &g, old_caps & ~(uint32_t) TB_MYSQL_CONNECT_ATTRS, 0, NULL, 0);
    assert_int_equal(parse_login(&p, &got), 0);
    assert_null(got.schema);
    assert_null(got.attributes);
    assert_false(got.has_secret);
    assert_int_equal(got.capabilities & TB_MYSQL_CONNECT_WITH_DB, 0);
    tb_mysql_login_free(&got);
    tb_mysql_out_fini(&p);
}

static void ssl_request_is_told(void **state)
{
    struct tb_mysql_out p = {0};
    struct tb_mysql_login got;
    tb_mysql_out_number(&p, TB_MYSQL_SSL | TB_MYSQL_PROTOCOL_41, 4);
    tb_mysql_out_zeros(&p, 28);
    assert_int_equal(parse_login(&p, &got), -2);
    p.data[1] &= (uint8_t) ~(TB_MYSQL_PROTOCOL_41 >> 8); /* before 4.1 */
    assert_int_equal(parse_login(&p, &got), -1);
    tb_mysql_out_fini(&p);
}

static void cut_logins_are_refused_or_whole(void **state)
{
    struct stream s = {0};
    struct tb_mysql_login got;
    login(&s, mysql_caps, "someone", 20, "shop");
    for (size_t len = 0; len < s.out.len - 4; len++) {
        uint8_t *copy = exact_copy(s.out.data + 4, len);
        tb_mysql_login_parse(copy, len, &got);
        tb_mysql_login_free(&got);
        free(copy);
    }
    forget(&s);
}

static void change_user_survives_being_built_and_parsed(void **state)
{
    struct tb_mysql_login l = {.user = (char *) (uintptr_t) "other",
                               .schema = (char *) (uintptr_t) "s2"},
                          got;
    struct tb_mysql_out p = {0};
    uint8_t auth[32] = {1};
    tb_mysql_change_user_build(&p, &l, TB_PLUGIN_CACHING_SHA2, mysql_caps, 224, auth, 32);
    assert_int_equal(p.data[0], TB_COM_CHANGE_USER);
    assert_int_equal(tb_mysql_change_user_parse(p.data, p.len, mysql_caps, &got), 0);
    assert_string_equal(got.user, "other");
    assert_string_equal(got.schema, "s2");
    assert_int_equal(got.collation, 224);
    tb_mysql_login_free(&got);
    tb_mysql_out_fini(&p);
}

/* --- capabilities and collations -------------------------------------------------------------- */

static void only_what_all_three_have_is_agreed(void **state)
{
    struct tb_mysql_greeting target = {.capabilities = old_caps};
    uint32_t extended = 0;
    uint32_t kept = tb_mysql_capabilities_kept(mysql_caps, mysql_caps);
    uint32_t agreed = tb_mysql_capabilities_agreed(kept, &extended, &target);
    assert_int_equal(agreed & TB_MYSQL_DEPRECATE_EOF, 0); /* not the target's */
    assert_true(agreed & TB_MYSQL_CONNECT_ATTRS);

    kept = tb_mysql_capabilities_kept(mysql_caps, old_caps); /* not the captured server's */
    target.capabilities = mysql_caps;
    agreed = tb_mysql_capabilities_agreed(kept, &extended, &target);
    assert_int_equal(agreed & TB_MYSQL_DEPRECATE_EOF, 0);
}

static void compression_tls_and_attributes_are_never_agreed(void **state)
{
    struct tb_mysql_greeting target = {.capabilities = UINT32_MAX};
    uint32_t extended = 0, kept = tb_mysql_capabilities_kept(UINT32_MAX, UINT32_MAX);
    uint32_t agreed = tb_mysql_capabilities_agreed(kept, &extended, &target);
    assert_int_equal(agreed & (TB_MYSQL_COMPRESS | TB_MYSQL_SSL | TB_MYSQL_ZSTD |
                               TB_MYSQL_QUERY_ATTRIBUTES | TB_MYSQL_MULTI_FACTOR),
                     0);
}

static void extended_bits_need_a_mariadb_on_both_sides(void **state)
{
    struct tb_mysql_greeting mariadb = {.capabilities = mysql_caps & ~1u, .extended = 0x1f};
    struct tb_mysql_greeting mysql = {.capabilities = mysql_caps};
    uint32_t kept = tb_mysql_capabilities_kept(mysql_caps & ~1u, mysql_caps & ~1u);
    uint32_t extended = 0x15;
    assert_int_equal(tb_mysql_capabilities_agreed(kept, &extended, &mariadb) & 1, 0);
    assert_int_equal(extended, 0x15);
    assert_int_equal(tb_mysql_capabilities_agreed(kept, &extended, &mysql) & 1, 1);
    assert_int_equal(extended, 0);
}

static void collations_of_one_server_only_are_mapped(void **state)
{
    assert_int_equal(tb_mysql_collation_for(255, true, false), 255);
    assert_int_equal(tb_mysql_collation_for(255, false, true), 45);
    assert_int_equal(tb_mysql_collation_for(255, false, false), 45);
    assert_int_equal(tb_mysql_collation_for(2304, false, true), 2304);
    assert_int_equal(tb_mysql_collation_for(2304, true, false), 45);
    assert_int_equal(tb_mysql_collation_for(8, false, true), 8);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_to_a_nonce_are_the_plugins),
        cmocka_unit_test(empty_password_is_an_empty_answer),
        cmocka_unit_test(short_nonce_and_unknown_plugin_are_refused),
        cmocka_unit_test(password_is_encrypted_for_the_servers_key),
        cmocka_unit_test(greeting_tells_the_servers_kind),
        cmocka_unit_test(plugin_that_we_do_not_know_is_left_to_a_switch),
        cmocka_unit_test(what_is_no_greeting_is_refused),
        cmocka_unit_test(login_survives_being_built_and_parsed),
        cmocka_unit_test(login_without_schema_or_attributes),
        cmocka_unit_test(ssl_request_is_told),
        cmocka_unit_test(cut_logins_are_refused_or_whole),
        cmocka_unit_test(change_user_survives_being_built_and_parsed),
        cmocka_unit_test(only_what_all_three_have_is_agreed),
        cmocka_unit_test(compression_tls_and_attributes_are_never_agreed),
        cmocka_unit_test(extended_bits_need_a_mariadb_on_both_sides),
        cmocka_unit_test(collations_of_one_server_only_are_mapped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
