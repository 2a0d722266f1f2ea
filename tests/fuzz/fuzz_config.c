/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target of the configuration: the first byte says whether the rest is a JSON file (of
 * --config, or of --module-config) or a command line, an argument a line, each read as tcpburn's
 * and as tcpcopy's. What is refused has words why, and nothing is lost either way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/options.h"
#include "config/tcpcopy.h"
#include "report/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARGS_MAX = 64, TEXT_MAX = 4096 };

static void check(bool ok)
{
    if (!ok)
        abort();
}

/* Whose responses come to this host never plays with the clients' own addresses. */
static void parse_as_tcpcopy(int argc, char **argv)
{
    struct tb_tcpcopy_options o;
    struct tb_err err = {""};

    if (tb_tcpcopy_options_parse(&o, argc, argv, &err) < 0)
        check(err.text[0] != '\0');
    else if (!o.run.help && !o.run.version)
        check(o.run.transfer_count > 0 &&
              (o.run.mode == TB_MODE_INTERCEPT || o.run.client_count > 0));
    tb_tcpcopy_options_free(&o);
}

static void parse(int argc, char **argv)
{
    struct tb_options o;
    struct tb_err err = {""};
    json_t *module = NULL;

    if (tb_options_parse(&o, argc, argv, &err) < 0) {
        check(err.text[0] != '\0');
    } else {
        check(o.help || o.version || o.transfer_count > 0 || o.check || o.check_target);
        if (tb_options_module_config(&o, "http", &module, &err) == 0)
            json_decref(module);
        else
            check(err.text[0] != '\0');
    }
    tb_options_free(&o);
    parse_as_tcpcopy(argc, argv);
}

static void parse_file(const char *option, const uint8_t *data, size_t size)
{
    char text[] = "tcpburn\0-x\00080-10.0.0.1:80\0-f\0a.pcap\0-s\0local:lo";
    char name[32], path[32], *argv[10], *at = text;
    int fd = memfd_create("config", 0), argc = 0;

    check(fd >= 0 && write(fd, data, size) == (ssize_t) size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    snprintf(name, sizeof name, "%s", option);
    for (; at < text + sizeof text; at += strlen(at) + 1)
        argv[argc++] = at;
    argv[argc++] = name;
    argv[argc++] = path;
    argv[argc] = NULL;
    parse(argc, argv);
    argv[1] = name; /* the file alone: it may say everything */
    argv[2] = path;
    argv[3] = NULL;
    parse(3, argv);
    close(fd);
}

static void parse_command_line(const uint8_t *data, size_t size)
{
    char program[] = "tcpburn", text[TEXT_MAX + 1], *argv[ARGS_MAX + 2] = {program};
    char *rest = text, *arg;
    int argc = 1;
    struct tb_fail_on f;
    struct tb_transfer transfer;
    struct tb_range range;
    struct tb_err err;

    memcpy(text, data, size);
    text[size] = '\0';
    tb_fail_on_parse(text, &f, &err);
    tb_transfer_parse(text, &transfer, &err);
    tb_range_parse(text, &range, &err);
    while (argc <= ARGS_MAX && (arg = strsep(&rest, "\n")) != NULL)
        argv[argc++] = arg;
    argv[argc] = NULL;
    parse(argc, argv);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > TEXT_MAX)
        return 0;
    switch (data[0] % 3) {
    case 0:
        parse_file("--config", data + 1, size - 1);
        break;
    case 1:
        parse_file("--module-config", data + 1, size - 1);
        break;
    default:
        parse_command_line(data + 1, size - 1);
    }
    return 0;
}
