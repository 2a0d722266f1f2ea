/* SPDX-License-Identifier: BSD-2-Clause */
/* Sends every request twice: for tests of rewriting that changes a stream's length. */
#include "module.h"

extern const struct tb_module tb_module_entry;

static const struct tb_host *tb_test_host; /* written by configure() only */

static int configure(const struct tb_host *host, const json_t *options, char *err, size_t err_len)
{
    tb_test_host = host;
    return 0;
}

static enum tb_request_action request(struct tb_session *s, const struct tb_request_info *req)
{
    if (!req)
        return TB_REQUEST_SEND;
    for (int i = 0; i < 2; i++) {
        if (tb_test_host->send_captured(s, 0, req->len)) {
            tb_test_host->fail_reason(s, "double: cannot queue the request");
            return TB_REQUEST_FAIL;
        }
    }
    return TB_REQUEST_REPLACED;
}

TB_MODULE_EXPORT const struct tb_module tb_module_entry = {
    .magic = TB_MODULE_MAGIC,
    .abi = TB_MODULE_ABI,
    .size = sizeof(struct tb_module),
    .name = "double",
    .version = "1.0",
    .configure = configure,
    .request = request,
};
