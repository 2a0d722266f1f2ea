/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of tcpburn's options, and what the program calls to fill and free them.
 * To add an option: one row here, one field in options.h, one paragraph in docs/tcpburn.1.
 */
#include "config/table.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "config/items.h"

#define AT(field)    .at = offsetof(struct tb_options, field)
#define HAS(field)   .has = offsetof(struct tb_options, field)
#define FALLBACK(on) .fallback = (on) ? "true" : NULL

/* Timers live in the engine's wheel, which reaches 76 hours; 3 days is the round number below. */
#define TIMER_MAX_S 259200
#define RUN_MAX_S   31536000
#define COUNT_MAX   4294967295.0
#define RATE_MAX    1000000000.0
/* 2^53: what every reader of the JSON report takes without rounding. */
#define SEED_MAX 9007199254740992.0

enum group {
    TB_GROUP_INPUT,
    TB_GROUP_TARGET,
    TB_GROUP_LOAD,
    TB_GROUP_TIME,
    TB_GROUP_MODULE,
    TB_GROUP_PACKETS,
    TB_GROUP_RESULT,
    TB_GROUP_PROCESS,
    TB_GROUP_COUNT
};

static const struct tb_option table[] = {
    /* --- what is played --- */
    {'f', "pcap", "FILE,...", TB_OPTION_STRINGS, TB_GROUP_INPUT, AT(pcaps),
     .help = "captures to play: pcap, pcapng, plain or .gz, read as one"},
    {'F', "filter", "FILTER", TB_OPTION_STRING, TB_GROUP_INPUT, AT(filter),
     .help = "load only packets that match this pcap filter"},
    {0, "partial", NULL, TB_OPTION_FLAG, TB_GROUP_INPUT, AT(partial),
     .help = "play what is whole of sessions with holes or cut packets"},
    {0, "config", "FILE", TB_OPTION_WORD, TB_GROUP_INPUT, .item = tb_item_config,
     .help = "read options from a JSON file; the command line wins"},

    /* --- against what, from where --- */
    {'x', "transfer", "FROM-TO,...", TB_OPTION_LIST, TB_GROUP_TARGET, AT(transfers),
     .item = tb_item_transfer,
     .help = "captured server port and target: 80-10.0.0.5:8080, 80-[fd00::5]:80"},
    {'c', "clients", "RANGE,...", TB_OPTION_LIST, TB_GROUP_TARGET, AT(clients),
     .item = tb_item_clients, .help = "CIDR, a.b.c.x or FIRST-LAST (198.19.0.0/16, fd00:19::/64)"},
    {0, "tun", NULL, TB_OPTION_FLAG, TB_GROUP_TARGET, AT(mode), .item = tb_item_tun,
     .rivals = {"intercept"}, .rival_why = "responses come one way or the other",
     .help = "target on this machine: a TUN device carries both directions"},
    {'s', "intercept", "WHERE,...", TB_OPTION_LIST, TB_GROUP_TARGET, AT(mode),
     .item = tb_item_intercept, .rivals = {"tun"},
     .rival_why = "responses come one way or the other",
     .help = "local:IFACE: responses arrive here; or intercept servers HOST[:PORT]"},
    {'C', "channels", "N", TB_OPTION_U32, TB_GROUP_TARGET, AT(channels), .min = 1, .max = 16,
     .help = "connections to each intercept server (one per worker)"},
    {'p', "intercept-port", "PORT", TB_OPTION_U32, TB_GROUP_TARGET, AT(intercept_port), .min = 1,
     .max = 65535, .fallback = "36524", .help = "port of intercept servers given without one"},
    {0, "psk-file", "FILE", TB_OPTION_STRING, TB_GROUP_TARGET, AT(psk_file),
     .help = "key shared with the intercept servers: encrypts the channels"},
    {0, "single", NULL, TB_OPTION_FLAG, TB_GROUP_TARGET, AT(single), FALLBACK(TB_DEFAULT_SINGLE),
     .help = "be the one client of the intercept servers"},

    /* --- how much --- */
    {'u', "users", "N", TB_OPTION_U64, TB_GROUP_LOAD, AT(users), .min = 1, .max = COUNT_MAX,
     .help = "users; user i plays session i mod S (as many as captured sessions)"},
    {0, "loop", "N", TB_OPTION_U64, TB_GROUP_LOAD, AT(loop), HAS(has_loop), .max = COUNT_MAX,
     .fallback = "1", .help = "times each user plays its session; 0: until --duration is over"},
    {'i', "start-rate", "N", TB_OPTION_U64, TB_GROUP_LOAD, AT(start_rate), .min = 1,
     .max = RATE_MAX, .fallback = "1024", .rivals = {"rate"},
     .rival_why = "both say how fast sessions start", .help = "sessions started per second"},
    {'A', "start-factor", "N", TB_OPTION_U64, TB_GROUP_LOAD, AT(start_factor), .min = 1,
     .max = 1000000, .fallback = "1", .rivals = {"rate"},
     .rival_why = "both say how fast sessions start", .help = "multiply --start-rate"},
    {0, "rate", "N", TB_OPTION_DECIMAL, TB_GROUP_LOAD, AT(rate), HAS(has_rate), .min = 0.001,
     .max = RATE_MAX, .rivals = {"start-rate", "start-factor"},
     .rival_why = "both say how fast sessions start",
     .help = "open loop: sessions arriving per second, whatever completes"},
    {0, "ramp", "SEC", TB_OPTION_DECIMAL, TB_GROUP_LOAD, AT(ramp_s), .max = RUN_MAX_S,
     .help = "let the start rate grow linearly for SEC seconds"},
    {0, "duration", "SEC", TB_OPTION_DECIMAL, TB_GROUP_LOAD, AT(duration_s), HAS(has_duration),
     .min = 0.001, .max = RUN_MAX_S, .help = "start no more sessions after SEC seconds"},
    {0, "grace", "SEC", TB_OPTION_DECIMAL, TB_GROUP_LOAD, AT(grace_s), .max = RUN_MAX_S,
     .fallback = "5", .help = "then let open sessions finish for SEC, and cut the rest"},
    {'T', "topology", "SEC", TB_OPTION_DECIMAL, TB_GROUP_LOAD, AT(topology_s), HAS(has_topology),
     .max = RUN_MAX_S, .help = "sessions captured within SEC keep start order and distance"},
    {'m', "client-order", "0|1", TB_OPTION_BIT, TB_GROUP_LOAD, AT(ports_first), .fallback = "0",
     .help = "what is used up first, 0: client addresses, 1: their ports"},
    {'e', "seed", "SEED", TB_OPTION_U64, TB_GROUP_LOAD, AT(seed), HAS(has_seed), .max = SEED_MAX,
     .help = "seed of every random choice: same seed, same plan"},
    {0, "shard", "K/N", TB_OPTION_WORD, TB_GROUP_LOAD, .item = tb_item_shard, .fallback = "1/1",
     .help = "play the K-th of N parts of the plan; other hosts the others"},

    /* --- the clock of a session --- */
    {'a', "accelerate", "N", TB_OPTION_DECIMAL, TB_GROUP_TIME, AT(accelerate), .max = 1000000,
     .fallback = "1", .help = "divide captured think times by N; 0: no think time"},
    {'t', "timeout", "SEC", TB_OPTION_DECIMAL, TB_GROUP_TIME, AT(timeout_s), .min = 0.001,
     .max = TIMER_MAX_S, .fallback = "120", .help = "longest wait for a response"},
    {0, "close-wait", "SEC", TB_OPTION_DECIMAL, TB_GROUP_TIME, AT(close_wait_s), .max = TIMER_MAX_S,
     .fallback = "1", .help = "wait for the server's FIN where it closed first when captured"},
    {0, "hold", "SEC", TB_OPTION_DECIMAL, TB_GROUP_TIME, AT(hold_s), .max = TIMER_MAX_S,
     .help = "keep sessions open that long after their last request"},

    /* --- protocol --- */
    {0, "module", "NAME|PATH", TB_OPTION_STRING, TB_GROUP_MODULE, AT(module), .rivals = {"comet"},
     .rival_why = "--comet is short for --module comet",
     .help = "protocol module: http, mysql, generic or a path (by port and content)"},
    {0, "module-dir", "DIR", TB_OPTION_STRING, TB_GROUP_MODULE, AT(module_dir),
     .help = "look for modules here first"},
    {0, "module-config", "FILE", TB_OPTION_STRING, TB_GROUP_MODULE, AT(module_config),
     .help = "JSON file with the module's own options"},
    {0, "comet", NULL, TB_OPTION_FLAG, TB_GROUP_MODULE, AT(comet), FALLBACK(TB_DEFAULT_COMET),
     .rivals = {"module"}, .rival_why = "--comet is short for --module comet",
     .help = "same as --module comet"},
    {0, "quiet", "MS", TB_OPTION_U32, TB_GROUP_MODULE, AT(quiet_ms), .min = 1, .max = 3600000,
     .fallback = "200", .help = "generic module: silence that ends a response, milliseconds"},

    /* --- packets --- */
    {'M', "mtu", "BYTES", TB_OPTION_U32, TB_GROUP_PACKETS, AT(mtu), .min = 68, .max = 65535,
     .fallback = "1500", .help = "largest IP packet sent"},
    {'S', "mss", "BYTES", TB_OPTION_U32, TB_GROUP_PACKETS, AT(mss), .min = 48, .max = 65495,
     .fallback = "1460", .help = "largest MSS announced"},
    {0, "pcap-send", NULL, TB_OPTION_FLAG, TB_GROUP_PACKETS, AT(pcap_send),
     FALLBACK(TB_DEFAULT_PCAP_SEND),
     .help = "send at the link layer; MACs are looked up unless -x gives them"},
    {'o', "output", "IFACE,...", TB_OPTION_STRINGS, TB_GROUP_PACKETS, AT(outputs),
     .help = "output devices for --pcap-send"},
    {0, "workers", "N", TB_OPTION_U32, TB_GROUP_PACKETS, AT(workers), .min = 1, .max = 1024,
     .help = "worker threads (cores - 1, at least 1)"},

    /* --- trying out and results --- */
    {0, "check", NULL, TB_OPTION_FLAG, TB_GROUP_RESULT, AT(check),
     .help = "examine the path to the target and say what is wrong; play nothing"},
    {0, "check-target", NULL, TB_OPTION_FLAG, TB_GROUP_RESULT, AT(check_target),
     .help = "the same as seen from the target host, run there"},
    {0, "dry-run", NULL, TB_OPTION_FLAG, TB_GROUP_RESULT, AT(dry_run),
     .help = "load and plan, print what would be played"},
    {0, "dump", "FILE", TB_OPTION_STRING, TB_GROUP_RESULT, AT(dump),
     .help = "dry run that writes the packets it would send to a pcap file"},
    {0, "report", "FILE", TB_OPTION_STRING, TB_GROUP_RESULT, AT(report),
     .help = "write the JSON report (-: standard output)"},
    {0, "html", "FILE", TB_OPTION_STRING, TB_GROUP_RESULT, AT(html),
     .help = "write the report as HTML (not in this version)"},
    {0, "metrics", "ADDR:PORT", TB_OPTION_STRING, TB_GROUP_RESULT, AT(metrics),
     .help = "Prometheus endpoint (not in this version)"},
    {0, "fail-on", "EXPR,...", TB_OPTION_STRINGS, TB_GROUP_RESULT, AT(fail_on),
     .help = "exit 2 when one holds: failed>0.1%, p99_response>50ms (any failure)"},

    /* --- the process --- */
    {'l', "log", "FILE", TB_OPTION_STRING, TB_GROUP_PROCESS, AT(log),
     .help = "log file (standard error)"},
    {0, "verbose", NULL, TB_OPTION_FLAG, TB_GROUP_PROCESS, AT(verbose),
     .help = "log more, for finding out what goes on"},
    {'d', "daemon", NULL, TB_OPTION_FLAG, TB_GROUP_PROCESS, AT(daemon),
     .help = "run in the background"},
    {'P', "pid-file", "FILE", TB_OPTION_STRING, TB_GROUP_PROCESS, AT(pid_file),
     .help = "write the process id here"},
    {0, "user", "NAME", TB_OPTION_STRING, TB_GROUP_PROCESS, AT(user),
     .help = "user to become after start (nobody, when started by root)"},
    {'h', "help", NULL, TB_OPTION_ACTION, TB_GROUP_PROCESS, AT(help), .help = "this text"},
    {'v', "version", NULL, TB_OPTION_ACTION, TB_GROUP_PROCESS, AT(version),
     .help = "name and version"},
};

_Static_assert(sizeof table / sizeof *table <= TB_OPTION_MAX, "raise TB_OPTION_MAX");

static const char *const titles[TB_GROUP_COUNT + 1] = {
    [TB_GROUP_INPUT] = "What is played",
    [TB_GROUP_TARGET] = "Target, clients, and where responses come from",
    [TB_GROUP_LOAD] = "Load",
    [TB_GROUP_TIME] = "Timing of a session",
    [TB_GROUP_MODULE] = "Protocol",
    [TB_GROUP_PACKETS] = "Packets",
    [TB_GROUP_RESULT] = "Trying out, and results",
    [TB_GROUP_PROCESS] = "Process",
};

static void free_all(void *o)
{
    tb_options_free(o);
}

const struct tb_option_set tb_tcpburn_set = {
    .program = "tcpburn",
    .option = table,
    .count = sizeof table / sizeof *table,
    .size = sizeof(struct tb_options),
    .titles = titles,
    .help_head = "usage: tcpburn -x PORT-TARGET:PORT -f FILE [options]\n"
                 "Plays captured TCP sessions against a test server, as any number of clients.\n\n"
                 "  Play each session of a capture once against a server on this machine:\n"
                 "    tcpburn -x 80-127.0.0.1:8080 -f capture.pcap\n"
                 "  1000 users for a minute, with a report; see first that the path works:\n"
                 "    tcpburn -x 80-10.0.0.5:80 -s local:eth0 -c 198.19.0.0/16 --check\n"
                 "    tcpburn -x 80-10.0.0.5:80 -s local:eth0 -c 198.19.0.0/16 -f capture.pcap \\\n"
                 "        -u 1000 --duration 60 --report report.json\n",
    .help_tail =
        "\nDefaults are in parentheses. Lists may be repeated or take commas. Flags can be turned\n"
        "off: --no-NAME.\n"
        "Exit status: 0 all well, 1 usage or input, 2 sessions failed (or --fail-on), 3 the\n"
        "environment forbids it. The manual page tcpburn(1) says more.\n",
    .surplus = "captures are given with -f",
    .other_key = tb_options_other_key,
    .validate = tb_options_validate,
    .free = free_all,
};

int tb_options_parse(struct tb_options *o, int argc, char **argv, struct tb_err *err)
{
    memset(o, 0, sizeof *o);
    return tb_option_set_parse(&tb_tcpburn_set, o, argc, argv, err);
}

void tb_options_help(void)
{
    tb_option_help(&tb_tcpburn_set, stdout);
}

void tb_options_free(struct tb_options *o)
{
    if (!o)
        return;
    tb_option_set_free(&tb_tcpburn_set, o);
    free(o->transfers);
    free(o->clients);
    free(o->local_device);
    tb_strings_free(&o->intercepts);
    json_decref(o->modules);
    memset(o, 0, sizeof *o);
}
