/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The settings of intercept, from the command line and a JSON file; as options.h for tcpburn. To
 * add an option: one field here, one row in intercept.c, one paragraph in docs/intercept.1.
 */
#ifndef TB_CONFIG_INTERCEPT_H
#define TB_CONFIG_INTERCEPT_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "config/options.h"
#include "packet/addr.h"

/* -D: packets from `seen` are to look as if they came from `meant`. Of one family. */
struct tb_readdress {
    struct tb_addr seen, meant;
};

/* Addresses that share the first `bits` of the 128 (see packet/addr.h). */
struct tb_network {
    struct tb_addr addr;
    uint8_t bits;
};

struct tb_intercept_options {
    struct tb_strings devices; /* none: all that are up, but loopback */
    char *filter;
    uint32_t batch; /* 0: as many as fit */
    uint32_t port;
    uint64_t hash_size; /* without effect */
    bool has_hash_size;
    struct tb_addr bind;
    bool has_bind;
    struct tb_readdress *docker;
    uint32_t docker_count;
    bool protect; /* without effect: nobody is evicted */
    bool single;
    char *psk_file;
    struct tb_network *allow;
    uint32_t allow_count;
    uint32_t threads;
    struct tb_endpoint metrics;
    bool has_metrics;
    char *log, *pid_file, *user;
    bool daemon, verbose, help, version;
};

/* As tb_options_parse(). */
int tb_intercept_options_parse(struct tb_intercept_options *o, int argc, char **argv,
                               struct tb_err *err);
void tb_intercept_options_free(struct tb_intercept_options *o);
/* The help text, to standard output. */
void tb_intercept_options_help(void);

#endif
