/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of tcpcopy's options, the readers of those that only it has, and the checks of the
 * whole; see tcpcopy.h. The short letters are those of the classic program.
 */
#include "config/tcpcopy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/rows.h"

/* --- readers -----------------------------------------------------------------------------------
 */

static int item_localhost(void *options, const char *text, struct tb_err *err)
{
    struct tb_tcpcopy_options *o = options;
    struct tb_range one;
    int rc = tb_range_parse(text, &one, err);

    if (rc)
        return rc;
    if (one.count != 1)
        return tb_err_set(err, -EINVAL, "must be one address, not '%s'", text);
    o->localhost = one.first;
    o->has_localhost = true;
    return 0;
}

/* --- the table ---------------------------------------------------------------------------------
 */

#define AT(field) .at = offsetof(struct tb_tcpcopy_options, field)
/* Rows and readers of tcpburn fill `run` as if it were the whole. */
_Static_assert(offsetof(struct tb_tcpcopy_options, run) == 0, "run comes first");

enum group {
    SOURCE,
    TARGET,
    LOAD,
    LIMITS,
    TIME,
    MODULE,
    PACKETS,
    RESULT,
    PROCESS,
    CLASSIC,
    GROUPS
};

static const char *const titles[GROUPS + 1] = {
    [SOURCE] = "Where live sessions are seen (at the IP layer of this host)",
    [TARGET] = "Target, clients, and where responses come from",
    [LOAD] = "Which sessions, and how often",
    [LIMITS] = "What it may take of this host",
    [TIME] = "Timing of a session",
    [MODULE] = "Protocol",
    [PACKETS] = "Packets",
    [RESULT] = "Trying out, and results",
    [PROCESS] = "Process",
    [CLASSIC] = "Accepted, without effect",
};

#define FILES_WHY "sessions are recorded ones or live ones"

static const struct tb_option table[] = {
    /* --- where live sessions are seen --- */
    {0, "pcap-capture", NULL, TB_OPTION_FLAG, SOURCE, AT(pcap_capture), .rivals = {"offline"},
     .rival_why = FILES_WHY, .help = "see them at the link layer: devices, a mirror port"},
    {'i', "input", "WHERE,...", TB_OPTION_STRINGS, SOURCE, AT(devices),
     .help = "devices of --pcap-capture (all that are up); files of --offline"},
    {'F', "filter", "FILTER", TB_OPTION_STRING, SOURCE, RUN(filter),
     .help = "pcap filter on what is captured or read, beside what -x asks for"},
    {'B', "buffer", "MB", TB_OPTION_U32, SOURCE, AT(buffer_mb), .min = 1, .max = 2047,
     .fallback = "64", .help = "megabytes of each capture ring"},
    {'S', "snaplen", "BYTES", TB_OPTION_U32, SOURCE, AT(snaplen), .max = 262144, .fallback = "0",
     .help = "bytes captured of each packet; 0: all, since cut requests are lost"},
    {0, "vxlan", NULL, TB_OPTION_FLAG, SOURCE, AT(vxlan), .rivals = {"offline"},
     .rival_why = FILES_WHY, .help = "sessions come mirrored inside VXLAN packets"},
    {0, "vxlan-port", "PORT", TB_OPTION_U32, SOURCE, AT(vxlan_port), .min = 1, .max = 65535,
     .fallback = "4789", .help = "UDP port of --vxlan"},
    {0, "offline", NULL, TB_OPTION_FLAG, SOURCE, AT(offline), .rivals = {"pcap-capture", "vxlan"},
     .rival_why = FILES_WHY, .help = "play captures, in their own time, as if they were live"},
    {'a', "accelerate", "N", TB_OPTION_DECIMAL, SOURCE, AT(offline_accelerate), .min = 0.001,
     .max = 1000000, .fallback = "1", .help = "divide the times of --offline by N"},
    {'I', "longest-gap", "MS", TB_OPTION_U32, SOURCE, AT(offline_gap_ms), .max = 86400000,
     .fallback = "0", .help = "shorten pauses between packets of --offline to this; 0: none"},
    {'T', "loop", "N", TB_OPTION_U32, SOURCE, AT(offline_loops), .min = 1, .max = 1000000000,
     .fallback = "1", .help = "times the files of --offline are played"},
    ROW_CONFIG(SOURCE),

    /* --- against what, as whom --- */
    ROW_TRANSFER(TARGET),
    {'c', "clients", "RANGE,...", TB_OPTION_LIST, TARGET, RUN(clients), .item = tb_item_clients,
     .help = "addresses instead of the clients' own: CIDR, a.b.c.x or FIRST-LAST"},
    {'H', "localhost-address", "ADDR", TB_OPTION_WORD, TARGET, AT(localhost),
     .item = item_localhost, .help = "address in place of clients on this host itself"},
    ROWS_RETURN(TARGET),

    /* --- how much --- */
    {'r', "percent", "N", TB_OPTION_U32, LOAD, AT(percent), .min = 1, .max = 100, .fallback = "100",
     .help = "share of sessions, by a hash of their clients' ends"},
    {'g', "gradual", NULL, TB_OPTION_FLAG, LOAD, AT(gradual),
     .help = "let the share grow to --percent within a minute"},
    {'n', "replicas", "N", TB_OPTION_U32, LOAD, AT(replicas), .min = 1, .max = 1023,
     .fallback = "1", .help = "copies of each session"},
    {'f', "port-shift", "N", TB_OPTION_U32, LOAD, AT(port_shift), .max = 1023, .fallback = "0",
     .help = "another number for each tcpcopy on one target: other client ports"},
    ROWS_DURATION(LOAD),

    /* --- no harm --- */
    {'m', "memory", "MB", TB_OPTION_U64, LIMITS, AT(memory_mb), .min = 1, .max = 16777216,
     .fallback = "1024", .help = "megabytes for sessions; beyond, the oldest unplayed ones go"},
    {0, "max-cpu", "PERCENT", TB_OPTION_DECIMAL, LIMITS, AT(max_cpu), .max = 102400,
     .help = "of one core; beyond, sessions are left out; 0: no limit (0)"},
    {'k', "keepalive", "SEC", TB_OPTION_DECIMAL, LIMITS, AT(keepalive_s), .min = 1,
     .max = TIMER_MAX_S, .fallback = "7500", .help = "a live session silent for so long is over"},

    /* --- the clock of a session --- */
    ROWS_WAITS(TIME),
    {'W', "no-wait", NULL, TB_OPTION_FLAG, TIME, AT(no_wait),
     .help = "send requests as they come, whatever the target has answered"},

    /* --- protocol --- */
    ROWS_MODULE(MODULE),

    /* --- packets --- */
    ROWS_PACKETS(PACKETS, 'D'),

    /* --- trying out and results --- */
    ROW_CHECK(RESULT),
    ROWS_REPORT(RESULT),

    /* --- the process --- */
    ROWS_PROCESS(PROCESS),

    /* --- classic --- */
    {'R', "default-rtt", "MS", TB_OPTION_U32, CLASSIC, AT(default_rtt_ms), .max = 60000,
     .help = "round trip times are measured"},
    {'U', "session-pool", "KB", TB_OPTION_U32, CLASSIC, AT(session_pool_kb), .min = 1,
     .max = 1048576, .help = "sessions take what they need"},
    {'O', "full-sessions", NULL, TB_OPTION_FLAG, CLASSIC, AT(full_sessions),
     .help = "only sessions seen from their SYN on are played, always"},
    {'L', "lonely", NULL, TB_OPTION_FLAG, CLASSIC, AT(lonely),
     .help = "it goes on while intercept is away, always"},
};
_Static_assert(sizeof table / sizeof *table <= TB_OPTION_MAX, "raise TB_OPTION_MAX");

/* --- the checks of the whole -------------------------------------------------------------------
 */

static bool given_here(const uint8_t given[TB_OPTION_MAX], const char *name)
{
    return tb_option_given(&tb_tcpcopy_set, given, name);
}

/* Options that mean something with another one only. */
static int check_company(const struct tb_tcpcopy_options *o, const uint8_t given[TB_OPTION_MAX],
                         struct tb_err *err)
{
    const bool capture = o->pcap_capture, offline = o->offline;
    const struct {
        const char *name, *belongs_to;
        bool has_it;
    } companions[] = {
        {"input", "--pcap-capture (devices) or --offline (files)", capture || offline},
        {"filter", "--pcap-capture or --offline", capture || offline},
        {"buffer", "live traffic, not --offline", !offline},
        {"snaplen", "--pcap-capture", capture},
        {"accelerate", "--offline", offline},
        {"longest-gap", "--offline", offline},
        {"loop", "--offline", offline},
        {"vxlan-port", "--vxlan", o->vxlan},
    };

    for (unsigned i = 0; i < sizeof companions / sizeof *companions; i++) {
        const char *name = companions[i].name;
        char label[64];
        if (given_here(given, name) && !companions[i].has_it)
            return tb_err_set(err, -EINVAL, "%s belongs to %s: add that, or drop it",
                              tb_option_label(&table[tb_option_find(&tb_tcpcopy_set, name)], label),
                              companions[i].belongs_to);
    }
    if (offline && !o->devices.count)
        return tb_err_set(err, -EINVAL, "--offline: no capture given: add -i FILE");
    return offline ? 0 : tb_devices_check(&o->devices, "-i, --input", err);
}

/* Real client addresses lead to live clients from everywhere but a target that routes them to a
 * black hole. */
static int check_way_back(const struct tb_options *o, struct tb_err *err)
{
    if (o->mode == TB_MODE_DEFAULT)
        return tb_err_set(err, -EINVAL,
                          "say how the target's responses come back: -s ASSISTANT (the target "
                          "routes the clients' addresses to a host that runs intercept), or with "
                          "-c -s local:DEVICE (it routes those of -c to this host) or --tun (the "
                          "target is on this machine)");
    if (o->mode != TB_MODE_INTERCEPT && !o->client_count)
        return tb_err_set(err, -EINVAL,
                          "%s needs -c, client addresses that nobody has, e.g. -c 198.19.0.0/16: "
                          "real ones must never be routed away from live clients (-H does not "
                          "help: it replaces those of this host only)",
                          o->mode == TB_MODE_TUN ? "--tun" : "-s local:");
    for (uint32_t i = 0; i < o->transfer_count && !o->client_count; i++) {
        char text[TB_ENDPOINT_TEXT];
        if (tb_addr_is_local(&o->transfers[i].target.addr))
            return tb_err_set(err, -EINVAL,
                              "target %s is on this machine, which sends what it answers to live "
                              "clients: give the copies addresses that nobody has, e.g. "
                              "-c 198.19.0.0/16, with --tun in place of -s",
                              tb_endpoint_format(&o->transfers[i].target, text));
    }
    return 0;
}

/* A service that is a target as well: its copies would be copied again, or nothing would be seen,
 * since what goes to a target is not looked at. Recorded packets do not come back. */
static int check_recapture(const struct tb_options *o, struct tb_err *err)
{
    char text[TB_ENDPOINT_TEXT];

    for (uint32_t t = 0; t < o->transfer_count; t++) {
        const struct tb_endpoint *target = &o->transfers[t].target;
        for (uint32_t s = 0; s < o->transfer_count; s++) {
            const struct tb_transfer *service = &o->transfers[s];
            if (service->source_port != target->port)
                continue;
            tb_endpoint_format(target, text);
            if (service->has_source && tb_addr_eq(&service->source, &target->addr))
                return tb_err_set(err, -EINVAL,
                                  "-x: %s is a target and a live service: a server cannot test "
                                  "itself; name another target",
                                  text);
            if (!service->has_source && tb_addr_is_local(&target->addr))
                return tb_err_set(err, -EINVAL,
                                  "-x: target %s is on this machine, whose port %u is live: name "
                                  "another target, or the live service's address (-x ADDRESS:%u-…) "
                                  "if it is another one",
                                  text, target->port, target->port);
        }
    }
    return 0;
}

static int check_localhost(const struct tb_tcpcopy_options *o, struct tb_err *err)
{
    char text[TB_ADDR_TEXT];

    for (uint32_t i = 0; o->has_localhost && i < o->run.transfer_count; i++)
        if (tb_addr_eq(&o->localhost, &o->run.transfers[i].target.addr))
            return tb_err_set(err, -EINVAL,
                              "-H, --localhost-address: %s is the target: choose another one",
                              tb_addr_format(&o->localhost, text));
    return 0;
}

static int validate(void *options, const uint8_t given[TB_OPTION_MAX], struct tb_err *err)
{
    struct tb_tcpcopy_options *o = options;
    int rc = o->run.transfer_count ? 0 : tb_no_transfer(err);

    if (!rc)
        rc = check_company(o, given, err);
    if (!rc)
        rc = check_way_back(&o->run, err);
    if (!rc && !o->offline)
        rc = check_recapture(&o->run, err);
    if (!rc)
        rc = check_localhost(o, err);
    if (!rc)
        rc = tb_options_validate_run(&tb_tcpcopy_set, &o->run, given, err);
    if (!rc && o->offline) {
        o->run.pcaps = o->devices;
        o->devices = (struct tb_strings){0};
    }
    return rc;
}

/* --- what the program calls --------------------------------------------------------------------
 */

static void free_all(void *o)
{
    tb_tcpcopy_options_free(o);
}

const struct tb_option_set tb_tcpcopy_set = {
    .program = "tcpcopy",
    .option = table,
    .count = sizeof table / sizeof *table,
    .size = sizeof(struct tb_tcpcopy_options),
    .titles = titles,
    .help_head =
        "usage: tcpcopy -x PORT-TARGET:PORT -s ASSISTANT [options]\n"
        "Copies live TCP sessions to a test server as they happen. Runs on the live server's host, "
        "or\nwhere its traffic is mirrored to; live clients and servers notice nothing.\n\n"
        "  With the clients' own addresses, which the target routes to the assistant host; a "
        "tenth of\n  all sessions:\n"
        "    tcpcopy -x 80-10.0.0.5:80 -s ASSISTANT -r 10 --report report.json\n"
        "  With addresses that nobody has, against a server on this machine:\n"
        "    tcpcopy -x 80-127.0.0.1:8080 --tun -c 198.19.0.0/16\n",
    .help_tail =
        "\nDefaults are in parentheses. Lists may be repeated or take commas. Flags can be turned\n"
        "off: --no-NAME.\n"
        "Exit status: 0 all well, 1 usage or input, 2 sessions failed (or --fail-on), 3 the\n"
        "environment forbids it. The manual page tcpcopy(1) says more.\n",
    .surplus = "devices and captures are given with -i",
    .other_key = tb_options_other_key,
    .validate = validate,
    .free = free_all,
};

int tb_tcpcopy_options_parse(struct tb_tcpcopy_options *o, int argc, char **argv,
                             struct tb_err *err)
{
    /* What tcpburn has options for, and a live session has not. */
    *o = (struct tb_tcpcopy_options){
        .run = {.accelerate = 1, .loop = 1, .shard = 1, .shards = 1, .start_factor = 1}};
    return tb_option_set_parse(&tb_tcpcopy_set, o, argc, argv, err);
}

void tb_tcpcopy_options_help(void)
{
    tb_option_help(&tb_tcpcopy_set, stdout);
}

void tb_tcpcopy_options_free(struct tb_tcpcopy_options *o)
{
    if (!o)
        return;
    tb_strings_free(&o->devices);
    tb_options_free(&o->run);
    memset(o, 0, sizeof *o);
}
