/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's counters of silent drops; see kernel.h and proc(5). */
#include "check/kernel.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MAX = 64 * 1024 };

/* A whole file as a string, to be freed; NULL when it cannot be read. */
static char *slurp(const char *path)
{
    char *text = malloc(FILE_MAX);
    size_t len = 0;
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (!text || fd < 0) {
        if (fd >= 0)
            close(fd);
        free(text);
        return NULL;
    }
    while (len < FILE_MAX - 1 && (n = read(fd, text + len, FILE_MAX - 1 - len)) > 0)
        len += (size_t) n;
    close(fd);
    text[len] = '\0';
    return text;
}

/* Which word of the line is `name`, counted from 0; -1: none. */
static int word_index(const char *line, const char *name)
{
    size_t end = strcspn(line, "\n"), len = strlen(name);
    int index = 0;

    for (const char *at = line; at < line + end; index++) {
        at += strspn(at, " ");
        size_t word = strcspn(at, " \n");
        if (word == len && !strncmp(at, name, len))
            return index;
        at += word;
        if (!word)
            break;
    }
    return -1;
}

/* Word number `index` of a line as a number. */
static uint64_t word_value(const char *line, int index, int base)
{
    const char *end = line + strcspn(line, "\n");

    for (const char *at = line; at < end; index--) {
        at += strspn(at, " ");
        if (index == 0)
            return at < end ? strtoull(at, NULL, base) : 0;
        at += strcspn(at, " \n");
    }
    return 0;
}

static const char *next_line(const char *line)
{
    const char *end = strchr(line, '\n');

    return end ? end + 1 : NULL;
}

uint64_t tb_kernel_pair(const char *text, const char *section, const char *name)
{
    size_t len = strlen(section);

    for (const char *line = text; line && *line; line = next_line(line)) {
        const char *values = next_line(line);
        if (strncmp(line, section, len) || line[len] != ':' || !values ||
            strncmp(values, section, len))
            continue;
        int index = word_index(line, name);
        if (index >= 0)
            return word_value(values, index, 10);
    }
    return 0;
}

uint64_t tb_kernel_column(const char *text, const char *name)
{
    int index = word_index(text, name);
    uint64_t sum = 0;

    if (index < 0)
        return 0;
    for (const char *line = next_line(text); line && *line; line = next_line(line))
        sum += word_value(line, index, 16);
    return sum;
}

void tb_kernel_read(struct tb_kernel_counters *out)
{
    char *snmp = slurp("/proc/net/snmp"), *netstat = slurp("/proc/net/netstat");
    char *conntrack = slurp("/proc/net/stat/nf_conntrack");

    *out = (struct tb_kernel_counters){0};
    if (snmp) {
        out->checksum = tb_kernel_pair(snmp, "Tcp", "InCsumErrors");
        out->no_route = tb_kernel_pair(snmp, "Ip", "OutNoRoutes");
    }
    if (netstat) {
        out->reverse_path = tb_kernel_pair(netstat, "TcpExt", "IPReversePathFilter");
        out->listen = tb_kernel_pair(netstat, "TcpExt", "ListenDrops") +
                      tb_kernel_pair(netstat, "TcpExt", "TCPReqQFullDrop");
    }
    if (conntrack) {
        out->ct_invalid = tb_kernel_column(conntrack, "invalid");
        out->ct_full =
            tb_kernel_column(conntrack, "drop") + tb_kernel_column(conntrack, "early_drop");
    }
    free(snmp);
    free(netstat);
    free(conntrack);
}
