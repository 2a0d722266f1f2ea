/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a program does about itself as a process: going into the background, its pid file, dropping
 * privileges, and what of them has to live on elsewhere. Called by the programs, before they start
 * threads.
 */
#ifndef TB_PROCESS_PROCESS_H
#define TB_PROCESS_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>
#include "base/err.h"

/* --- exit status and background (background.c) ------------------------------------------------ */

/* The exit status of every program; README and manual pages say more. */
enum { TB_EXIT_OK = 0, TB_EXIT_USAGE = 1, TB_EXIT_FAILED = 2, TB_EXIT_FORBIDDEN = 3 };

/* The exit status of an error: does the environment forbid it, or is it usage or input? */
int tb_process_status(int rc);

/* Go on in a child that has no terminal. The parent stays until tb_process_ready() and then exits
 * with 0, or with the child's exit status if that comes first: what fails at start is seen by
 * whoever started it. `*ready_fd`: to be given to tb_process_ready(). 0 or -errno with words. */
int tb_process_detach(int *ready_fd, struct tb_err *err);
/* Let the parent go, and give up standard input, output and error. -1: nothing to do. */
void tb_process_ready(int ready_fd);

/* 0 or -errno with words. NULL is fine. */
int tb_process_write_pid(const char *path, struct tb_err *err);

/* --- privileges (privilege.c, confine.c) -------------------------------------------------------
 */

/* Will tb_privilege_drop() change the user? `user`: --user, or NULL. */
bool tb_privilege_changes_user(const char *user);
/* Become `user` (NULL: nobody), when started by root and `user` is not root, and keep no capability
 * but CAP_NET_ADMIN, if wanted. Started by somebody else: give up the capabilities the program file
 * gave. Never to be got back. 0 or -errno with words. */
int tb_privilege_drop(const char *user, bool keep_net_admin, struct tb_err *err);

/* From now on all threads may call only what an open server needs: no new programs, no sockets to
 * be made, no other process to be touched. What is not on the list fails with EPERM, and goes into
 * the audit log where there is one: killing would make a library's new way of doing things a crash,
 * and gives an attacker no less. 0, or -errno when the kernel has no such filters. Does nothing in
 * builds with sanitizers, which need more. */
int tb_process_confine(void);

/* --- the keeper (keeper.c) ---------------------------------------------------------------------
 */

/* A small process that keeps the right to reopen the log file and to remove the pid file, which the
 * program itself gives up. It ends with the program, however that ends. */
struct tb_keeper {
    int fd; /* -1: there is none */
    pid_t pid;
};

/* To be started before anything is opened that the keeper has no use for. Paths may be NULL. 0 or
 * -errno with words. */
int tb_keeper_start(struct tb_keeper *k, const char *log, const char *pid_file, struct tb_err *err);
/* The pid file is ours: remove it in the end. */
void tb_keeper_owns_pid_file(struct tb_keeper *k);
/* The log file, opened anew for appending: a descriptor, or -errno. */
int tb_keeper_reopen_log(struct tb_keeper *k);
void tb_keeper_stop(struct tb_keeper *k);

#endif
