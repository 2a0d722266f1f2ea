#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# What bash completes for the programs (tools/completion/tcpburn). TAP.
set -u
. "$TB_SRCDIR/tools/completion/tcpburn"
count=0

completes() # TEXT EXPECTED PROGRAM WORD WORD-BEFORE: one test
{
    count=$((count + 1))
    _tcpburn "$TB_BUILDDIR/$3" "$4" "$5"
    if [ "${COMPREPLY[*]}" = "$2" ]; then
        echo "ok $count - $1"
    else
        echo "not ok $count - $1"
        echo "# expected '$2', saw '${COMPREPLY[*]}'"
    fi
}

completes "long options" "--percent" tcpcopy --pe ""
completes "those of another program are others" "--port" intercept --po ""
completes "letters as well" "-x" tcpburn -x ""
completes "modules" "mysql" tcpburn my --module
completes "devices" "lo" tcpcopy lo -i
completes "files are left to the shell" "" tcpburn site.pc -f
echo "1..$count"
