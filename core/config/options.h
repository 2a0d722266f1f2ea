/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The settings of a tcpburn run, from the command line and a JSON file (FEATURES "Command line").
 * One table in table.c describes every option once: short letter, long name, JSON key, type,
 * bounds, help text; getopt, JSON, --help and error messages all come from it.
 */
#ifndef TB_CONFIG_OPTIONS_H
#define TB_CONFIG_OPTIONS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "packet/addr.h"

/* "[srcIP:]srcPort[@srcMAC]-targetIP:targetPort[@nextHopMAC]" */
struct tb_transfer {
    struct tb_addr source; /* captured server; any when !has_source */
    bool has_source;
    uint16_t source_port;
    struct tb_endpoint target;
    bool has_src_mac, has_dst_mac;
    uint8_t src_mac[6], dst_mac[6];
};

/* `count` addresses from `first` on, within the last 32 bits. For CIDR of an IPv4 network shorter
 * than /31, network and broadcast address are left out. */
struct tb_range {
    struct tb_addr first;
    uint64_t count; /* 1 … 2^32 */
};

struct tb_strings {
    char **item;
    uint32_t count;
};

enum tb_mode { TB_MODE_DEFAULT, TB_MODE_TUN, TB_MODE_LOCAL, TB_MODE_INTERCEPT };

struct tb_options {
    struct tb_transfer *transfers;
    uint32_t transfer_count;
    struct tb_strings pcaps;
    char *filter;
    struct tb_range *clients;
    uint32_t client_count;
    uint64_t users; /* 0: as many as captured sessions */
    enum tb_mode mode;
    char *local_device; /* of -s local:IFACE */
    struct tb_strings intercepts;
    uint32_t channels, intercept_port;
    char *psk_file;
    double accelerate;                 /* 0: no think time */
    uint64_t start_rate, start_factor; /* -i, -A */
    double timeout_s;
    bool ports_first; /* -m 1 */
    uint64_t seed;
    bool has_seed;
    uint32_t mtu, mss;
    double topology_s;
    bool has_topology;
    struct tb_strings outputs; /* -o */
    char *log, *pid_file, *user;
    bool daemon;
    char *module, *module_dir, *module_config;
    json_t *modules; /* "modules" of the JSON file, or NULL */
    bool comet, single, pcap_send, partial;
    double rate; /* 0: closed loop */
    bool has_rate;
    double ramp_s;
    uint64_t loop; /* 0: until --duration ends; see has_loop */
    bool has_loop;
    double duration_s, grace_s;
    bool has_duration;
    uint32_t quiet_ms;
    double close_wait_s;
    uint32_t shard, shards; /* 1-based; 1 of 1 when not given */
    double hold_s;
    uint32_t workers; /* 0: cores - 1, at least 1 */
    char *report, *html, *metrics;
    struct tb_strings fail_on;
    bool check, check_target, dry_run;
    char *dump;
    bool verbose;
    bool help, version;
};

/* Defaults, then the JSON file named by --config, then the command line (which wins). `o` is zeroed
 * first. 0, or -EINVAL with words naming option or file, line and key. Free in either case. Checks
 * of the whole (transfer given, file given, clashes such as --rate with -i) happen here as well. */
int tb_options_parse(struct tb_options *o, int argc, char **argv, struct tb_err *err);
void tb_options_free(struct tb_options *o);

/* The help text, to standard output. */
void tb_options_help(void);

/* The options of module `module` ("http"): from --module-config if given (there under
 * {"modules": {"NAME": …}}, under "NAME", or the file's own object), else from "modules" of the
 * JSON file, else an empty object. A new reference in `out`. 0, or -EINVAL with words. */
int tb_options_module_config(const struct tb_options *o, const char *module, json_t **out,
                             struct tb_err *err);

/* Pieces, for tests and for other programs. */
int tb_transfer_parse(const char *text, struct tb_transfer *out, struct tb_err *err);
int tb_range_parse(const char *text, struct tb_range *out, struct tb_err *err);
/* "ADDR:PORT" or "[ADDR]:PORT". */
int tb_endpoint_parse(const char *text, struct tb_endpoint *out, struct tb_err *err);
/* "ADDR" or "ADDR/LENGTH": what is common to the addresses, and how many bits of 128 that are. */
int tb_network_parse(const char *text, struct tb_addr *addr, uint8_t *bits, struct tb_err *err);
/* One of `intercepts`: HOST, HOST:PORT, [IPV6] or [IPV6]:PORT; `port` when it names none. A host's
 * name is looked up, which may take seconds. 0; -EINVAL; -ENOENT: there is no such host. */
int tb_server_parse(const char *text, uint16_t port, struct tb_endpoint *out);
/* Is it this machine's? (Can a socket be bound to it?) */
bool tb_addr_is_local(const struct tb_addr *a);

#endif
