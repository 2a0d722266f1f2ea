/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads captures and prints what became of them as JSON, for trace_manifest_test.py and for looking
 * at a capture by hand: trace_dump [-p] [-F filter] SERVER:PORT[,SERVER:PORT…] FILE…
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "trace/trace.h"

enum { SERVICES_MAX = 16 };

/* "addr:port", "[addr]:port" or "port". */
static int parse_service(const char *text, struct tb_service *s)
{
    char addr[TB_ENDPOINT_TEXT];
    const char *colon = strrchr(text, ':');
    s->any_addr = !colon;
    s->port = (uint16_t) atoi(colon ? colon + 1 : text);
    if (!colon)
        return 0;
    bool brackets = text[0] == '[';
    int len = (int) (colon - text) - (brackets ? 2 : 0);
    if (len <= 0 || len >= (int) sizeof addr)
        return -1;
    snprintf(addr, sizeof addr, "%.*s", len, text + brackets);
    return tb_addr_parse(addr, &s->addr);
}

static void print_bytes(const struct tb_request *r)
{
    struct tb_run run = tb_request_run(r);
    const uint8_t *data;
    uint32_t n;
    while ((n = tb_run_next(&run, &data)) > 0)
        for (uint32_t i = 0; i < n; i++)
            printf("%02x", data[i]);
}

static void print_requests(const struct tb_script *s)
{
    const char *comma = "";
    printf(" \"list\": [");
    for (const struct tb_request *r = tb_script_first(s); r; r = tb_script_next(r)) {
        printf("%s\n   {\"index\": %u, \"len\": %u, \"flags\": %u, \"waits_for\": %u, "
               "\"think_us\": %llu, \"response_bytes\": %llu, \"silence_us\": %u}",
               comma, r->index, r->len, r->flags, r->waits_for, (unsigned long long) r->think_us,
               (unsigned long long) r->response_bytes, r->silence_us);
        comma = ",";
    }
    printf("]");
}

static void print_session(const struct tb_script *s)
{
    char client[TB_ENDPOINT_TEXT];
    struct tb_endpoint e = {s->client, s->client_port};
    printf("  {\"client\": \"%s\", \"start_us\": %llu, \"transfer\": %u, \"requests\": %u, "
           "\"responses\": %u, \"greeting_bytes\": %llu, \"client_bytes\": %llu,\n",
           tb_endpoint_format(&e, client), (unsigned long long) s->start_us, s->transfer,
           s->requests, s->responses, (unsigned long long) s->greeting_bytes,
           (unsigned long long) s->client_bytes);
    printf("   \"end\": {\"client\": %u, \"server\": %u, \"server_first\": %d, \"server_fin\": %d, "
           "\"client_rst\": %d, \"waits_for\": %u, \"server_responses\": %u, \"bytes\": %llu, "
           "\"delay_us\": %llu},\n  ",
           s->end.client, s->end.server, s->end.server_first, s->end.server_fin, s->end.client_rst,
           s->end.waits_for, s->end.server_responses, (unsigned long long) s->end.bytes,
           (unsigned long long) s->end.delay_us);
    print_requests(s);
    printf(",\n   \"hex\": \"");
    for (const struct tb_request *r = tb_script_first(s); r; r = tb_script_next(r))
        print_bytes(r);
    printf("\"}");
}

static void print_trace(const struct tb_trace *t, int rc, const struct tb_err *err)
{
    printf("{\"rc\": %d, \"error\": \"%s\", \"warning\": \"%s\",\n", rc, rc < 0 ? err->text : "",
           t->warning);
    printf(" \"packets\": %llu, \"bad_packets\": %llu, \"other_packets\": %llu, "
           "\"bytes_memory\": %zu, \"records_memory\": %zu,\n \"skipped\": {",
           (unsigned long long) t->packets, (unsigned long long) t->bad_packets,
           (unsigned long long) t->other_packets, t->bytes.total_bytes, t->records.total_bytes);
    for (uint32_t i = 0; i < t->skip_count; i++)
        printf("%s\"%s\": %llu", i ? ", " : "", t->skipped[i].reason,
               (unsigned long long) t->skipped[i].sessions);
    printf("},\n \"sessions\": [");
    for (uint32_t i = 0; i < t->session_count; i++) {
        printf("%s\n", i ? "," : "");
        print_session(t->sessions[i]);
    }
    printf("]}\n");
}

static int usage(void)
{
    fprintf(stderr, "usage: trace_dump [-p] [-q] [-F filter] SERVER:PORT[,…] FILE…\n");
    return 1;
}

int main(int argc, char **argv)
{
    struct tb_service services[SERVICES_MAX] = {0};
    struct tb_trace_options o = {.services = services};
    bool quiet = false;
    int c;
    while ((c = getopt(argc, argv, "pqF:")) != -1) {
        if (c == 'p')
            o.partial = true;
        else if (c == 'q')
            quiet = true;
        else if (c == 'F')
            o.filter = optarg;
        else
            return usage();
    }
    if (argc - optind < 2)
        return usage();
    for (char *p = strtok(argv[optind], ","); p && o.service_count < SERVICES_MAX;
         p = strtok(NULL, ","))
        if (parse_service(p, &services[o.service_count++]) < 0)
            return usage();
    o.files = (const char *const *) argv + optind + 1;
    o.file_count = (uint32_t) (argc - optind - 1);

    struct tb_trace t;
    struct tb_err err = {""};
    int rc = tb_trace_load(&t, &o, &err);
    if (quiet)
        printf("rc %d, %llu packets, %u sessions, %llu requests, %llu client bytes\n", rc,
               (unsigned long long) t.packets, t.session_count, (unsigned long long) t.requests,
               (unsigned long long) t.client_bytes);
    else
        print_trace(&t, rc, &err);
    tb_trace_free(&t);
    return 0;
}
