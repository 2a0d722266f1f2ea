/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rows that the tables of tcpburn and tcpcopy share, so that an option means and says the same
 * in both. Each macro stands for whole rows of group `g`, whose fields are those of struct
 * tb_options, which begins the struct of either program. Included by the two tables only.
 */
#ifndef TB_CONFIG_ROWS_H
#define TB_CONFIG_ROWS_H

#include <stddef.h>
#include "config.h"
#include "config/items.h"
#include "config/table.h"

/* Timers live in the engine's wheel, which reaches 76 hours; 3 days is the round number below. */
#define TIMER_MAX_S 259200
#define RUN_MAX_S   31536000
#define COUNT_MAX   4294967295.0

#define RUN(field)     .at = offsetof(struct tb_options, field)
#define RUN_HAS(field) .has = offsetof(struct tb_options, field)
#define FALLBACK(on)   .fallback = (on) ? "true" : NULL

/* clang-format would write macros of rows one word a line. */
/* clang-format off */

#define ROW_CONFIG(g)                                                                              \
    {0, "config", "FILE", TB_OPTION_WORD, g, .item = tb_item_config,                               \
     .help = "read options from a JSON file; the command line wins"}

#define ROW_TRANSFER(g)                                                                            \
    {'x', "transfer", "FROM-TO,...", TB_OPTION_LIST, g, RUN(transfers), .item = tb_item_transfer,  \
     .help = "captured server port and target: 80-10.0.0.5:8080, 80-[fd00::5]:80"}

/* How the target's responses come back. */
#define ROWS_RETURN(g)                                                                             \
    {0, "tun", NULL, TB_OPTION_FLAG, g, RUN(mode), .item = tb_item_tun,                            \
     .rivals = {"intercept"}, .rival_why = "responses come one way or the other",                  \
     .help = "target on this machine: a TUN device carries both directions"},                      \
    {'s', "intercept", "WHERE,...", TB_OPTION_LIST, g, RUN(mode), .item = tb_item_intercept,       \
     .rivals = {"tun"}, .rival_why = "responses come one way or the other",                        \
     .help = "local:IFACE: responses arrive here; or intercept servers HOST[:PORT]"},              \
    {'C', "channels", "N", TB_OPTION_U32, g, RUN(channels), .min = 1, .max = 16,                   \
     .help = "connections to each intercept server (one per worker)"},                             \
    {'p', "intercept-port", "PORT", TB_OPTION_U32, g, RUN(intercept_port), .min = 1,               \
     .max = 65535, .fallback = "36524", .help = "port of intercept servers given without one"},    \
    {0, "psk-file", "FILE", TB_OPTION_STRING, g, RUN(psk_file),                                    \
     .help = "key shared with the intercept servers: encrypts the channels"},                      \
    {0, "single", NULL, TB_OPTION_FLAG, g, RUN(single), FALLBACK(TB_DEFAULT_SINGLE),               \
     .help = "be the one client of the intercept servers"}

#define ROWS_DURATION(g)                                                                           \
    {0, "duration", "SEC", TB_OPTION_DECIMAL, g, RUN(duration_s), RUN_HAS(has_duration),           \
     .min = 0.001, .max = RUN_MAX_S, .help = "start no more sessions after SEC seconds"},          \
    {0, "grace", "SEC", TB_OPTION_DECIMAL, g, RUN(grace_s), .max = RUN_MAX_S, .fallback = "5",     \
     .help = "then let open sessions finish for SEC, and cut the rest"}

#define ROWS_WAITS(g)                                                                              \
    {'t', "timeout", "SEC", TB_OPTION_DECIMAL, g, RUN(timeout_s), .min = 0.001,                    \
     .max = TIMER_MAX_S, .fallback = "120", .help = "longest wait for a response"},                \
    {0, "close-wait", "SEC", TB_OPTION_DECIMAL, g, RUN(close_wait_s), .max = TIMER_MAX_S,          \
     .fallback = "1", .help = "wait for the server's FIN where it closed first when captured"}

#define ROWS_MODULE(g)                                                                             \
    {0, "module", "NAME|PATH", TB_OPTION_STRING, g, RUN(module), .rivals = {"comet"},              \
     .rival_why = "--comet is short for --module comet",                                           \
     .help = "protocol module: http, mysql, generic or a path (by port and content)"},             \
    {0, "module-dir", "DIR", TB_OPTION_STRING, g, RUN(module_dir),                                 \
     .help = "look for modules here first"},                                                       \
    {0, "module-config", "FILE", TB_OPTION_STRING, g, RUN(module_config),                          \
     .help = "JSON file with the module's own options"},                                           \
    {0, "comet", NULL, TB_OPTION_FLAG, g, RUN(comet), FALLBACK(TB_DEFAULT_COMET),                  \
     .rivals = {"module"}, .rival_why = "--comet is short for --module comet",                     \
     .help = "same as --module comet"},                                                            \
    {0, "quiet", "MS", TB_OPTION_U32, g, RUN(quiet_ms), .min = 1, .max = 3600000,                  \
     .fallback = "200", .help = "generic module: silence that ends a response, milliseconds"}

/* `mss_letter`: -S in tcpburn; in the classic tcpcopy, that is the snap length. */
#define ROWS_PACKETS(g, mss_letter)                                                                \
    {'M', "mtu", "BYTES", TB_OPTION_U32, g, RUN(mtu), .min = 68, .max = 65535,                     \
     .fallback = "1500", .help = "largest IP packet sent"},                                        \
    {mss_letter, "mss", "BYTES", TB_OPTION_U32, g, RUN(mss), .min = 48, .max = 65495,              \
     .fallback = "1460", .help = "largest MSS announced"},                                         \
    {0, "pcap-send", NULL, TB_OPTION_FLAG, g, RUN(pcap_send), FALLBACK(TB_DEFAULT_PCAP_SEND),      \
     .help = "send at the link layer; MACs: looked up, or given with -x"},                         \
    {'o', "output", "IFACE,...", TB_OPTION_STRINGS, g, RUN(outputs),                               \
     .help = "output devices for --pcap-send"},                                                    \
    {0, "workers", "N", TB_OPTION_U32, g, RUN(workers), .min = 1, .max = 1024,                     \
     .help = "worker threads (cores - 1, at least 1)"}

#define ROW_CHECK(g)                                                                               \
    {0, "check", NULL, TB_OPTION_FLAG, g, RUN(check),                                              \
     .help = "examine the path to the target and say what is wrong; play nothing"}

#define ROWS_REPORT(g)                                                                             \
    {0, "report", "FILE", TB_OPTION_STRING, g, RUN(report),                                        \
     .help = "write the JSON report (-: standard output)"},                                        \
    {0, "html", "FILE", TB_OPTION_STRING, g, RUN(html),                                            \
     .help = "write the report as HTML (not in this version)"},                                    \
    {0, "metrics", "ADDR:PORT", TB_OPTION_STRING, g, RUN(metrics),                                 \
     .help = "Prometheus endpoint (not in this version)"},                                         \
    {0, "fail-on", "EXPR,...", TB_OPTION_STRINGS, g, RUN(fail_on),                                 \
     .help = "exit 2 when one holds: failed>0.1%, p99_response>50ms (any failure)"}

#define ROWS_PROCESS(g)                                                                            \
    {'l', "log", "FILE", TB_OPTION_STRING, g, RUN(log), .help = "log file (standard error)"},      \
    {0, "verbose", NULL, TB_OPTION_FLAG, g, RUN(verbose),                                          \
     .help = "log more, for finding out what goes on"},                                            \
    {'d', "daemon", NULL, TB_OPTION_FLAG, g, RUN(daemon), .help = "run in the background"},        \
    {'P', "pid-file", "FILE", TB_OPTION_STRING, g, RUN(pid_file),                                  \
     .help = "write the process id here"},                                                         \
    {0, "user", "NAME", TB_OPTION_STRING, g, RUN(user),                                            \
     .help = "user to become after start (nobody, when started by root)"},                         \
    {'h', "help", NULL, TB_OPTION_ACTION, g, RUN(help), .help = "this text"},                      \
    {'v', "version", NULL, TB_OPTION_ACTION, g, RUN(version), .help = "name and version"}

/* clang-format on */

#endif
