/* SPDX-License-Identifier: BSD-2-Clause */
/* What a program does about itself as a process: the background, the pid file, the keeper. */
#include "unit.h"
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "process/process.h"

struct files {
    char dir[32], log[64], moved[64], pid[64];
};

static int set_up(void **state)
{
    struct files *f = calloc(1, sizeof *f);
    strcpy(f->dir, "/tmp/tb_proc_XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(f->log, sizeof f->log, "%s/log", f->dir);
    snprintf(f->moved, sizeof f->moved, "%s/log.1", f->dir);
    snprintf(f->pid, sizeof f->pid, "%s/pid", f->dir);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct files *f = *state;
    (void) unlink(f->log);
    (void) unlink(f->moved);
    (void) unlink(f->pid);
    int rc = rmdir(f->dir);
    free(f);
    return rc;
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static const char *read_file(const char *path)
{
    static char text[256];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return text;
}

static void pid_file_holds_our_number(void **state)
{
    struct files *f = *state;
    struct tb_err err;
    assert_int_equal(tb_process_write_pid(f->pid, &err), 0);
    assert_int_equal(atol(read_file(f->pid)), getpid());
}

static void pid_file_that_cannot_be_written_is_told(void **state)
{
    struct tb_err err;
    (void) state;
    assert_int_equal(tb_process_write_pid("/nowhere/at/all.pid", &err), -EINVAL);
    assert_non_null(strstr(err.text, "/nowhere/at/all.pid"));
}

static void keeper_opens_the_log_anew(void **state)
{
    struct files *f = *state;
    struct tb_keeper k = {.fd = -1};
    struct tb_err err;
    assert_int_equal(tb_keeper_start(&k, f->log, NULL, &err), 0);
    write_file(f->log, "old\n");
    assert_int_equal(rename(f->log, f->moved), 0);
    int fd = tb_keeper_reopen_log(&k);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "new\n", 4), 4);
    close(fd);
    assert_string_equal(read_file(f->log), "new\n");
    fd = tb_keeper_reopen_log(&k);
    assert_int_equal(write(fd, "more\n", 5), 5);
    close(fd);
    assert_string_equal(read_file(f->log), "new\nmore\n");
    assert_string_equal(read_file(f->moved), "old\n");
    tb_keeper_stop(&k);
}

static void keeper_says_why_the_log_cannot_be_opened(void **state)
{
    struct tb_keeper k = {.fd = -1};
    struct tb_err err;
    (void) state;
    assert_int_equal(tb_keeper_start(&k, "/nowhere/at/all.log", NULL, &err), 0);
    assert_int_equal(tb_keeper_reopen_log(&k), -ENOENT);
    tb_keeper_stop(&k);
}

static void keeper_removes_only_a_pid_file_of_ours(void **state)
{
    struct files *f = *state;
    struct tb_keeper k = {.fd = -1};
    struct tb_err err;
    write_file(f->pid, "1\n");
    assert_int_equal(tb_keeper_start(&k, NULL, f->pid, &err), 0);
    tb_keeper_stop(&k);
    assert_int_equal(access(f->pid, F_OK), 0);
    assert_int_equal(tb_keeper_start(&k, NULL, f->pid, &err), 0);
    tb_keeper_owns_pid_file(&k);
    tb_keeper_stop(&k);
    assert_int_equal(access(f->pid, F_OK), -1);
}

/* The exit status of a process that goes into the background and there does as told. */
static int detached(void (*then)(int ready_fd))
{
    struct tb_err err;
    int ready_fd = -1, status;
    pid_t starter = fork();
    if (starter == 0) {
        if (tb_process_detach(&ready_fd, &err) < 0)
            _exit(99);
        then(ready_fd);
        _exit(0);
    }
    assert_int_equal(waitpid(starter, &status, 0), starter);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void fail_with_three(int ready_fd)
{
    (void) ready_fd;
    _exit(TB_EXIT_FORBIDDEN);
}

static void starter_learns_how_the_start_failed(void **state)
{
    (void) state;
    assert_int_equal(detached(fail_with_three), TB_EXIT_FORBIDDEN);
}

static void starter_is_let_go_when_ready(void **state)
{
    (void) state;
    assert_int_equal(detached(tb_process_ready), TB_EXIT_OK);
}

static void environment_and_usage_have_their_exit_status(void **state)
{
    (void) state;
    assert_int_equal(tb_process_status(-EPERM), TB_EXIT_FORBIDDEN);
    assert_int_equal(tb_process_status(-ENODEV), TB_EXIT_FORBIDDEN);
    assert_int_equal(tb_process_status(-EADDRINUSE), TB_EXIT_FORBIDDEN);
    assert_int_equal(tb_process_status(-EINVAL), TB_EXIT_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pid_file_holds_our_number, set_up, tear_down),
        cmocka_unit_test(pid_file_that_cannot_be_written_is_told),
        cmocka_unit_test_setup_teardown(keeper_opens_the_log_anew, set_up, tear_down),
        cmocka_unit_test(keeper_says_why_the_log_cannot_be_opened),
        cmocka_unit_test_setup_teardown(keeper_removes_only_a_pid_file_of_ours, set_up, tear_down),
        cmocka_unit_test(starter_learns_how_the_start_failed),
        cmocka_unit_test(starter_is_let_go_when_ready),
        cmocka_unit_test(environment_and_usage_have_their_exit_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
