/* SPDX-License-Identifier: BSD-2-Clause */
/* Fingerprints and what only reads (modules/mysql/statement.c). */
#include "unit.h"
#include "mysql/statement.h"

static void prints(const char *sql, const char *expected)
{
    char out[TB_MYSQL_FINGERPRINT_MAX];
    uint8_t *copy = exact_copy(sql, strlen(sql));
    tb_mysql_fingerprint((const char *) copy, strlen(sql), out);
    free(copy);
    assert_string_equal(out, expected);
}

static void literals_become_question_marks(void **state)
{
    prints("SELECT * FROM t WHERE id = 17", "SELECT * FROM t WHERE id = ?");
    prints("SELECT 'it''s', \"say \\\" so\", x'0F', 0x1F, _utf8'u', N'n'",
           "SELECT ?, ?, ?, ?, ...");
    prints("UPDATE t SET a=-1.5e+3,b=.5 WHERE c='x'", "UPDATE t SET a=-?,b=? WHERE c=?");
    prints("SELECT t1.c2 FROM t1, `tab'le` t2", "SELECT t1.c2 FROM t1, `tab'le` t2");
    prints("SELECT ? FROM t WHERE a = ?", "SELECT ? FROM t WHERE a = ?");
    prints("SELECT NULL, TRUE, @v, @@x", "SELECT NULL, TRUE, @v, @@x");
}

static void long_lists_are_cut_short(void **state)
{
    prints("IN (1, 2, 3, 4)", "IN (?, ?, ?, ?)");
    prints("IN (1,2,3,4,5,6,7)", "IN (?, ?, ?, ?, ...)");
    prints("VALUES (1, 'a'), (2, 'b')", "VALUES (?, ?), (?, ?)");
    prints("f(1, a, 2)", "f(?, a, ?)");
}

static void comments_and_space_are_dropped(void **state)
{
    prints("  SELECT /* why */ 1 -- because\n  FROM\tt # end\n ;", "SELECT ? FROM t");
    prints("SELECT a--1", "SELECT a--?");
    prints("SELECT 1 /* cut off", "SELECT ?");
    prints("/*!50003 SELECT */ 2", "SELECT ?");
    prints("SELECT 'cut off", "SELECT ?");
    prints("", "");
}

static void passwords_are_literals(void **state)
{
    prints("ALTER USER u IDENTIFIED BY 'hush'", "ALTER USER u IDENTIFIED BY ?");
}

static void very_long_statements_are_cut(void **state)
{
    char sql[4000], out[TB_MYSQL_FINGERPRINT_MAX];
    memset(sql, 'a', sizeof sql);
    size_t len = tb_mysql_fingerprint(sql, sizeof sql, out);
    assert_int_equal(len, TB_MYSQL_FINGERPRINT_MAX - 1);
    assert_string_equal(out + len - 3, "...");
}

static bool reads(const char *sql)
{
    return tb_mysql_reads_only(sql, strlen(sql));
}

static void statements_that_read(void **state)
{
    static const char *const all[] = {"SELECT 1",
                                      "  select * from t",
                                      "(SELECT 1) UNION (SELECT 2)",
                                      "/* x */ SHOW TABLES",
                                      "SET NAMES utf8mb4",
                                      "SET @a = 5, autocommit = 0",
                                      "EXPLAIN SELECT 1",
                                      "DESC t",
                                      "USE db",
                                      "BEGIN",
                                      "START TRANSACTION READ ONLY",
                                      "COMMIT",
                                      "ROLLBACK",
                                      "SAVEPOINT s",
                                      "RELEASE SAVEPOINT s",
                                      "SELECT 1; SELECT 2;",
                                      "WITH x AS (SELECT 1) SELECT * FROM x",
                                      "SELECT 'INSERT' FROM `delete`",
                                      "SELECT * FROM t INTO @v",
                                      "DO 1",
                                      "VALUES ROW(1)",
                                      ""};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        if (!reads(all[i]))
            fail_msg("only reads: %s", all[i]);
}

static void statements_that_write(void **state)
{
    static const char *const all[] = {"INSERT INTO t VALUES (1)",
                                      "update t set a = 1",
                                      "DELETE FROM t",
                                      "REPLACE t SELECT 1",
                                      "DROP TABLE t",
                                      "CREATE TABLE t (a INT)",
                                      "TRUNCATE t",
                                      "CALL p()",
                                      "LOAD DATA INFILE 'x'",
                                      "SELECT 1; DELETE FROM t",
                                      "SELECT 1 INTO OUTFILE '/tmp/x'",
                                      "SET GLOBAL a = 1",
                                      "SET PASSWORD = 'x'",
                                      "SET @@global.a = 1",
                                      "WITH x AS (SELECT 1) DELETE FROM t",
                                      "EXPLAIN ANALYZE DELETE FROM t",
                                      "ANALYZE TABLE t",
                                      "GRANT ALL ON *.* TO u",
                                      "KILL 1",
                                      "/*!50000 DELETE FROM t */",
                                      "/*M! DROP TABLE t */",
                                      "SELECT 1 /*!;DELETE FROM t*/",
                                      "PREPARE s FROM 'DELETE FROM t'",
                                      "EXECUTE IMMEDIATE 'x'",
                                      "START SLAVE",
                                      "BEGIN NOT ATOMIC DELETE FROM t; END",
                                      "SET STATEMENT a=1 FOR DELETE FROM t",
                                      "LOCK TABLES t WRITE",
                                      "FLUSH TABLES",
                                      "HANDLER t OPEN",
                                      "nonsense"};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        if (reads(all[i]))
            fail_msg("may write: %s", all[i]);
}

static void a_million_parentheses_are_no_harm(void **state)
{
    size_t len = 1000000;
    char *sql = malloc(len);
    assert_non_null(sql);
    memset(sql, '(', len);
    assert_false(tb_mysql_reads_only(sql, len));
    free(sql);
}

static void use_is_recognized(void **state)
{
    const char *name;
    size_t len;
    assert_true(tb_mysql_use_of("USE `my db`;", 12, &name, &len));
    assert_int_equal(len, 5);
    assert_memory_equal(name, "my db", 5);
    assert_true(tb_mysql_use_of("use shop", 8, &name, &len));
    assert_memory_equal(name, "shop", 4);
    assert_false(tb_mysql_use_of("SELECT 1", 8, &name, &len));
    assert_false(tb_mysql_use_of("USE a; DROP b", 13, &name, &len));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_become_question_marks),
        cmocka_unit_test(long_lists_are_cut_short),
        cmocka_unit_test(comments_and_space_are_dropped),
        cmocka_unit_test(passwords_are_literals),
        cmocka_unit_test(very_long_statements_are_cut),
        cmocka_unit_test(statements_that_read),
        cmocka_unit_test(statements_that_write),
        cmocka_unit_test(a_million_parentheses_are_no_harm),
        cmocka_unit_test(use_is_recognized),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
