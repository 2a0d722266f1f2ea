/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of tcpburn's options, and what the program calls to fill and free them.
 * To add an option: one row here (rows.h: when tcpcopy has it, too), one field in options.h, one
 * paragraph in docs/tcpburn.1.
 */
#include "config/table.h"

#include <stdlib.h>
#include <string.h>

#include "config/rows.h"

#define RATE_MAX 1000000000.0
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
    {'f', "pcap", "FILE,...", TB_OPTION_STRINGS, TB_GROUP_INPUT, RUN(pcaps),
     .help = "captures to play: pcap, pcapng, plain or .gz, read as one"},
    {'F', "filter", "FILTER", TB_OPTION_STRING, TB_GROUP_INPUT, RUN(filter),
     .help = "load only packets that match this pcap filter"},
    {0, "partial", NULL, TB_OPTION_FLAG, TB_GROUP_INPUT, RUN(partial),
     .help = "play what is whole of sessions with holes or cut packets"},
    ROW_CONFIG(TB_GROUP_INPUT),

    /* --- against what, from where --- */
    ROW_TRANSFER(TB_GROUP_TARGET),
    {'c', "clients", "RANGE,...", TB_OPTION_LIST, TB_GROUP_TARGET, RUN(clients),
     .item = tb_item_clients, .help = "CIDR, a.b.c.x or FIRST-LAST (198.19.0.0/16, fd00:19::/64)"},
    ROWS_RETURN(TB_GROUP_TARGET),

    /* --- how much --- */
    {'u', "users", "N", TB_OPTION_U64, TB_GROUP_LOAD, RUN(users), .min = 1, .max = COUNT_MAX,
     .help = "users; user i plays session i mod S (as many as captured sessions)"},
    {0, "loop", "N", TB_OPTION_U64, TB_GROUP_LOAD, RUN(loop), RUN_HAS(has_loop), .max = COUNT_MAX,
     .fallback = "1", .help = "times each user plays its session; 0: until --duration is over"},
    {'i', "start-rate", "N", TB_OPTION_U64, TB_GROUP_LOAD, RUN(start_rate), .min = 1,
     .max = RATE_MAX, .fallback = "1024", .rivals = {"rate"},
     .rival_why = "both say how fast sessions start", .help = "sessions started per second"},
    {'A', "start-factor", "N", TB_OPTION_U64, TB_GROUP_LOAD, RUN(start_factor), .min = 1,
     .max = 1000000, .fallback = "1", .rivals = {"rate"},
     .rival_why = "both say how fast sessions start", .help = "multiply --start-rate"},
    {0, "rate", "N", TB_OPTION_DECIMAL, TB_GROUP_LOAD, RUN(rate), RUN_HAS(has_rate), .min = 0.001,
     .max = RATE_MAX, .rivals = {"start-rate", "start-factor"},
     .rival_why = "both say how fast sessions start",
     .help = "open loop: sessions arriving per second, whatever completes"},
    {0, "ramp", "SEC", TB_OPTION_DECIMAL, TB_GROUP_LOAD, RUN(ramp_s), .max = RUN_MAX_S,
     .help = "let the start rate grow linearly for SEC seconds"},
    ROWS_DURATION(TB_GROUP_LOAD),
    {'T', "topology", "SEC", TB_OPTION_DECIMAL, TB_GROUP_LOAD, RUN(topology_s),
     RUN_HAS(has_topology), .max = RUN_MAX_S,
     .help = "sessions captured within SEC keep start order and distance"},
    {'m', "client-order", "0|1", TB_OPTION_BIT, TB_GROUP_LOAD, RUN(ports_first), .fallback = "0",
     .help = "what is used up first, 0: client addresses, 1: their ports"},
    {'e', "seed", "SEED", TB_OPTION_U64, TB_GROUP_LOAD, RUN(seed), RUN_HAS(has_seed),
     .max = SEED_MAX, .help = "seed of every random choice: same seed, same plan"},
    {0, "shard", "K/N", TB_OPTION_WORD, TB_GROUP_LOAD, .item = tb_item_shard, .fallback = "1/1",
     .help = "play the K-th of N parts of the plan; other hosts the others"},

    /* --- the clock of a session --- */
    {'a', "accelerate", "N", TB_OPTION_DECIMAL, TB_GROUP_TIME, RUN(accelerate), .max = 1000000,
     .fallback = "1", .help = "divide captured think times by N; 0: no think time"},
    ROWS_WAITS(TB_GROUP_TIME),
    {0, "hold", "SEC", TB_OPTION_DECIMAL, TB_GROUP_TIME, RUN(hold_s), .max = TIMER_MAX_S,
     .help = "keep sessions open that long after their last request"},

    /* --- protocol --- */
    ROWS_MODULE(TB_GROUP_MODULE),

    /* --- packets --- */
    ROWS_PACKETS(TB_GROUP_PACKETS, 'S'),

    /* --- trying out and results --- */
    ROW_CHECK(TB_GROUP_RESULT),
    {0, "check-target", NULL, TB_OPTION_FLAG, TB_GROUP_RESULT, RUN(check_target),
     .help = "the same as seen from the target host, run there"},
    {0, "dry-run", NULL, TB_OPTION_FLAG, TB_GROUP_RESULT, RUN(dry_run),
     .help = "load and plan, print what would be played"},
    {0, "dump", "FILE", TB_OPTION_STRING, TB_GROUP_RESULT, RUN(dump),
     .help = "dry run that writes the packets it would send to a pcap file"},
    ROWS_REPORT(TB_GROUP_RESULT),

    /* --- the process --- */
    ROWS_PROCESS(TB_GROUP_PROCESS),
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
