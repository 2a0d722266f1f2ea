/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opening a capture file: which format it is. The formats are in pcap.c and pcapng.c.
 */
#include "trace/capture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int tb_capture_file_open(struct tb_capture *c, const char *path, struct tb_err *err)
{
    const uint8_t *data;
    memset(c, 0, sizeof *c);
    int rc = tb_reader_open(&c->reader, path, err);
    if (rc < 0)
        return rc;
    if (tb_pcap_begin(c) || tb_pcapng_begin(c))
        return 0;
    if (tb_reader_peek(&c->reader, 1, &data) == 0)
        return tb_err_set(err, -EBADMSG, "%s: the file is empty%s%s", path,
                          c->reader.problem ? ": " : "",
                          c->reader.problem ? c->reader.problem : "");
    return tb_err_set(err, -EBADMSG,
                      "%s: not a capture file: neither pcap nor pcapng, plain or gzip-compressed",
                      path);
}

bool tb_capture_file_trouble(const struct tb_capture *c, const char *path, char *words, size_t room)
{
    const char *what = c->reader.problem ? c->reader.problem
                       : c->cut_short    ? "cut short or damaged"
                                         : NULL;
    int used = 0;
    words[0] = '\0';
    if (what)
        used = snprintf(words, room, "%s: %s after %llu packets%s", path, what,
                        (unsigned long long) c->records, c->damaged ? "; " : "");
    if (c->damaged && (size_t) used < room)
        snprintf(words + used, room - (size_t) used,
                 "%s: damaged in %llu places, which were passed over", path,
                 (unsigned long long) c->damaged);
    return words[0];
}

void tb_capture_file_close(struct tb_capture *c)
{
    tb_reader_close(&c->reader);
    free(c->interfaces);
    c->interfaces = NULL;
}
