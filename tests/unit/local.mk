# SPDX-License-Identifier: BSD-2-Clause
# Unit tests, a file per part. Without cmocka there are none.
EXTRA_DIST += %D%/run
dist_check_SCRIPTS += %D%/completion.sh
TESTS += %D%/completion.sh
if HAVE_CMOCKA
include tests/unit/base.mk
include tests/unit/packet.mk
include tests/unit/trace.mk
include tests/unit/tcp.mk
include tests/unit/module.mk
include tests/unit/engine.mk
include tests/unit/io.mk
include tests/unit/relay.mk
include tests/unit/relay_client.mk
include tests/unit/config.mk
include tests/unit/report.mk
include tests/unit/http.mk
include tests/unit/mysql.mk
include tests/unit/comet.mk
include tests/unit/hostile.mk
include tests/unit/intercept.mk
endif
