/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opening a capture file: which format it is. The formats are in pcap.c and pcapng.c.
 */
#include "trace/capture.h"

#include <errno.h>
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

void tb_capture_file_close(struct tb_capture *c)
{
    tb_reader_close(&c->reader);
    free(c->interfaces);
    c->interfaces = NULL;
}
