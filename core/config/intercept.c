/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of intercept's options, and the readers of those that are more than a number or a text;
 * see intercept.h. The short letters are those of the classic program.
 */
#include "config/intercept.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "config/items.h"
#include "config/table.h"

/* --- readers -----------------------------------------------------------------------------------
 */

static int item_bind(void *options, const char *text, struct tb_err *err)
{
    struct tb_intercept_options *o = options;

    if (tb_addr_parse(text, &o->bind))
        return tb_err_set(err, -EINVAL, "must be an address of this host, not '%s'", text);
    o->has_bind = true;
    return 0;
}

static int item_metrics(void *options, const char *text, struct tb_err *err)
{
    struct tb_intercept_options *o = options;
    int rc = tb_endpoint_parse(text, &o->metrics, err);

    if (rc == 0)
        o->has_metrics = true;
    return rc;
}

static int item_allow(void *options, const char *text, struct tb_err *err)
{
    struct tb_intercept_options *o = options;
    struct tb_network n;
    void *array = o->allow;
    int rc = tb_network_parse(text, &n.addr, &n.bits, err);

    if (rc == 0)
        rc = tb_item_append(&array, &o->allow_count, &n, sizeof n, err);
    o->allow = array;
    return rc;
}

static int item_docker(void *options, const char *text, struct tb_err *err)
{
    struct tb_intercept_options *o = options;
    struct tb_readdress r;
    const char *dash = strchr(text, '-');
    char seen[TB_ADDR_TEXT] = "";
    void *array = o->docker;

    if (dash && (size_t) (dash - text) < sizeof seen)
        memcpy(seen, text, (size_t) (dash - text));
    if (!dash || tb_addr_parse(seen, &r.seen) || tb_addr_parse(dash + 1, &r.meant))
        return tb_err_set(err, -EINVAL,
                          "must be two addresses, INNER-ORIGINAL, e.g. 172.17.0.2-10.0.0.5, not "
                          "'%s'",
                          text);
    if (tb_addr_is_v4(&r.seen) != tb_addr_is_v4(&r.meant))
        return tb_err_set(err, -EINVAL, "'%s': both addresses must be of one family", text);
    for (uint32_t i = 0; i < o->docker_count; i++)
        if (tb_addr_eq(&o->docker[i].seen, &r.seen))
            return tb_err_set(err, -EINVAL, "'%s': %s is given twice", text, seen);
    int rc = tb_item_append(&array, &o->docker_count, &r, sizeof r, err);
    o->docker = array;
    return rc;
}

/* --- the table ---------------------------------------------------------------------------------
 */

#define AT(field)    .at = offsetof(struct tb_intercept_options, field)
#define HAS(field)   .has = offsetof(struct tb_intercept_options, field)
#define FALLBACK(on) .fallback = (on) ? "true" : NULL

enum group { CAPTURE, CHANNEL, PROCESS, GROUPS };

static const char *const titles[GROUPS + 1] = {
    [CAPTURE] = "What is captured",
    [CHANNEL] = "The channel to tcpburn and tcpcopy",
    [PROCESS] = "Process",
};

static const struct tb_option table[] = {
    {'i', "device", "IFACE,...", TB_OPTION_STRINGS, CAPTURE, AT(devices),
     .help = "capture on these devices (all that are up, but loopback)"},
    {'F', "filter", "FILTER", TB_OPTION_STRING, CAPTURE, AT(filter),
     .help = "pcap filter (what connected clients ask for, and nothing else)"},
    {'D', "docker", "IN-ORIG,...", TB_OPTION_LIST, CAPTURE, AT(docker), .item = item_docker,
     .help = "packets from address IN are to look as from ORIG"},
    {0, "threads", "N", TB_OPTION_U32, CAPTURE, AT(threads), .min = 1, .max = 64, .fallback = "1",
     .help = "capture threads"},
    {'n', "batch", "N", TB_OPTION_U32, CAPTURE, AT(batch), .min = 1, .max = 65535,
     .help = "most packets in one message (as many as fit)"},
    {'s', "hash-size", "N", TB_OPTION_U64, CAPTURE, AT(hash_size), HAS(has_hash_size), .min = 1,
     .max = 4294967295.0, .help = "accepted; tables find their size themselves"},

    {'b', "bind", "ADDR", TB_OPTION_WORD, CHANNEL, AT(bind), .item = item_bind,
     .help = "listen on this address (all)"},
    {'p', "port", "PORT", TB_OPTION_U32, CHANNEL, AT(port), .min = 1, .max = 65535,
     .fallback = "36524", .help = "listen on this port"},
    {0, "psk-file", "FILE", TB_OPTION_STRING, CHANNEL, AT(psk_file),
     .help = "key shared with the clients: encrypts the channels"},
    {0, "allow", "CIDR,...", TB_OPTION_LIST, CHANNEL, AT(allow), .item = item_allow,
     .help = "let only these addresses connect (everybody)"},
    {0, "single", NULL, TB_OPTION_FLAG, CHANNEL, AT(single), FALLBACK(TB_DEFAULT_SINGLE),
     .help = "serve one client, whose packets are all that come"},
    {'c', "protect", NULL, TB_OPTION_FLAG, CHANNEL, AT(protect),
     .help = "accepted; a connected client is never evicted by a later one"},

    {0, "metrics", "ADDR:PORT", TB_OPTION_WORD, PROCESS, AT(metrics), .item = item_metrics,
     .help = "figures for Prometheus over HTTP, at /metrics"},
    {'l', "log", "FILE", TB_OPTION_STRING, PROCESS, AT(log),
     .help = "log file, reopened on SIGHUP (standard error)"},
    {0, "verbose", NULL, TB_OPTION_FLAG, PROCESS, AT(verbose),
     .help = "log more, for finding out what goes on"},
    {'d', "daemon", NULL, TB_OPTION_FLAG, PROCESS, AT(daemon), .help = "run in the background"},
    {'P', "pid-file", "FILE", TB_OPTION_STRING, PROCESS, AT(pid_file),
     .help = "write the process id here"},
    {0, "user", "NAME", TB_OPTION_STRING, PROCESS, AT(user),
     .help = "user to become after start (nobody, when started by root)"},
    {0, "config", "FILE", TB_OPTION_WORD, PROCESS, .item = tb_item_config,
     .help = "read options from a JSON file; the command line wins"},
    {'h', "help", NULL, TB_OPTION_ACTION, PROCESS, AT(help), .help = "this text"},
    {'v', "version", NULL, TB_OPTION_ACTION, PROCESS, AT(version), .help = "name and version"},
};
_Static_assert(sizeof table / sizeof *table <= TB_OPTION_MAX, "raise TB_OPTION_MAX");

static int validate(void *options, const uint8_t given[TB_OPTION_MAX], struct tb_err *err)
{
    const struct tb_intercept_options *o = options;

    (void) given;
    return tb_devices_check(&o->devices, "-i, --device", err);
}

static void free_all(void *o)
{
    tb_intercept_options_free(o);
}

const struct tb_option_set tb_intercept_set = {
    .program = "intercept",
    .option = table,
    .count = sizeof table / sizeof *table,
    .size = sizeof(struct tb_intercept_options),
    .titles = titles,
    .help_head =
        "usage: intercept [-i IFACE] [-F FILTER] [options]\n"
        "Captures what a target answers to the clients that tcpburn or tcpcopy simulate, "
        "and passes\nit on to them. Runs on the assistant host, to which the target routes "
        "the clients' addresses.\n\n"
        "  On the assistant host, where the target's answers arrive on eth1:\n"
        "    intercept -i eth1 --psk-file key\n"
        "  On the test host:\n"
        "    tcpburn -x 80-10.0.0.5:80 -s ASSISTANT --psk-file key -f capture.pcap\n",
    .help_tail = "\nWhat holds without an option is in parentheses. Lists may be repeated or take "
                 "commas.\nExit status: 0 all well, 1 usage, 3 the environment forbids it. The "
                 "manual page\nintercept(1) says more.\n",
    .surplus = "devices are given with -i",
    .validate = validate,
    .free = free_all,
};

int tb_intercept_options_parse(struct tb_intercept_options *o, int argc, char **argv,
                               struct tb_err *err)
{
    memset(o, 0, sizeof *o);
    return tb_option_set_parse(&tb_intercept_set, o, argc, argv, err);
}

void tb_intercept_options_help(void)
{
    tb_option_help(&tb_intercept_set, stdout);
}

void tb_intercept_options_free(struct tb_intercept_options *o)
{
    tb_option_set_free(&tb_intercept_set, o);
    free(o->docker);
    free(o->allow);
    memset(o, 0, sizeof *o);
}
