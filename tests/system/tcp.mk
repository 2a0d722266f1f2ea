# SPDX-License-Identifier: BSD-2-Clause
# Our TCP against the kernel's: the same exchange, and uploads that lose segments. Included by local.mk.
EXTRA_DIST += %D%/slow_wire.py %D%/uploads.py tests/servers/upload.py

check-system: tests/script/script.test
