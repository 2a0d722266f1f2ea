/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What --check knows of the path to one target for one client address, once the probe is over, and
 * the functions that make findings of it: pure, so that tests can make up any case. Private to
 * core/check.
 */
#ifndef TB_CHECK_PATH_H
#define TB_CHECK_PATH_H

#include "check/assistant.h"
#include "check/findings.h"
#include "check/probe.h"
#include "config/options.h"
#include "io/prefix.h"

/* What this host's own devices showed of the probe. */
struct tb_path_here {
    bool looked;  /* we could look at all */
    bool left;    /* the SYN went out as it was made */
    bool changed; /* it went out with another source address, `as`: NAT */
    struct tb_addr as;
    bool answered; /* SYN-ACK or RST for the client address came to this host, on `device` */
    char device[16];
};

struct tb_path {
    const struct tb_options *o;
    enum tb_mode mode;
    bool live;                       /* the client address stands for those of live clients */
    const char *target;              /* "10.0.0.5:80" */
    const struct tb_io_range *range; /* the client addresses this stands for */
    const struct tb_probe *probe;
    uint64_t refused_sends; /* by this host's packet filter (EPERM), of all probes */
    struct tb_path_here here;
    const struct tb_assistants *assistants; /* NULL, but with -s ASSISTANT */
};

/* Did the path work? For TB_PROBE_OPEN, and where a running client of the intercept got the answer
 * that the probe did not. */
bool tb_path_works(const struct tb_path *p);

/* What is wrong with it, or that it works. */
void tb_path_explain(const struct tb_path *p, struct tb_findings *list);

/* Its parts. Those that return bool are false when they have nothing to say. */
bool tb_path_explain_sending(const struct tb_path *p, struct tb_findings *list);
/* Three hosts only (three.c): what went wrong, and what may go wrong though the path works. */
bool tb_path_explain_three(const struct tb_path *p, struct tb_findings *list);
void tb_path_explain_extras(const struct tb_path *p, struct tb_findings *list);

/* What the assistants are and say of themselves; false when none of them can be used. */
bool tb_path_explain_assistants(const struct tb_assistants *a, struct tb_findings *list);

#endif
