/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fuzz target for trace loading: the input is a capture file. Everything behind tb_trace_load() is
 * reached from here: gzip, pcap, pcapng, link types, fragments, connections, reassembly, scripts.
 * The last byte chooses --partial. For libFuzzer:
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -Icore tests/fuzz/fuzz_trace.c \
 *       core/trace/[a-z]*.c core/packet/[a-z]*.c core/base/[a-z]*.c -lpcap -lz
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "trace/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads every byte of every script, as playing it would. */
static uint64_t walk(const struct tb_trace *t)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < t->session_count; i++)
        for (const struct tb_request *r = tb_script_first(t->sessions[i]); r;
             r = tb_script_next(r)) {
            struct tb_run run = tb_request_run(r);
            const uint8_t *p;
            uint32_t n;
            while ((n = tb_run_next(&run, &p)) > 0)
                sum += p[0] + p[n - 1];
        }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static volatile uint64_t sink;
    static const struct tb_service services[] = {{.any_addr = true, .port = 80},
                                                 {.any_addr = true, .port = 2525}};
    int fd = memfd_create("capture", 0);
    if (fd < 0 || write(fd, data, size) != (ssize_t) size)
        abort();
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const char *files[] = {path};
    struct tb_trace_options o = {.files = files,
                                 .file_count = 1,
                                 .services = services,
                                 .service_count = 2,
                                 .partial = size > 0 && data[size - 1] & 1};
    struct tb_trace t;
    struct tb_err err;
    tb_trace_load(&t, &o, &err);
    sink = walk(&t);
    (void) sink;
    tb_trace_free(&t);
    close(fd);
    return 0;
}
