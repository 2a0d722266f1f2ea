#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# A module author's way: tcpburn installed (below a folder of our own), the example copied
# elsewhere and built with the installed header and pkg-config only. TAP.
set -u
stage=$(mktemp -d) || exit 99
trap 'rm -rf "$stage"' EXIT
unset TCPBURN_MODULE_PATH
count=0

ok() # TEXT COMMAND...: one test
{
    text=$1
    shift
    count=$((count + 1))
    if "$@" >"$stage/out" 2>&1; then
        echo "ok $count - $text"
    else
        echo "not ok $count - $text"
        sed 's/^/# /' "$stage/out"
    fi
}

# A make of its own, not a part of the one that runs this test.
run_make()
{
    env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL "${MAKE:-make}" "$@"
}

loads() # FILE
{
    "$TB_BUILDDIR/tests/modules/loadmod" "$1"
}

exports_entry_only() # FILE
{
    [ "$(nm -D --defined-only "$1" | awk '{ print $3 }')" = tb_module_entry ]
}

echo 1..7
ok "header, modules and tcpburn.pc are installed" \
    run_make -C "$TB_BUILDDIR" DESTDIR="$stage/root" install-pkgincludeHEADERS \
    install-pkglibLTLIBRARIES install-pkgconfigDATA
pc=$(find "$stage/root" -name tcpburn.pc)
http=$(find "$stage/root" -name http.so)
find "$stage/root" -name '*.la' -exec rm {} +
ok "an installed module loads without its .la file" loads "$http"
ok "it exports nothing but its entry" exports_entry_only "$http"

# What pkg-config would say had this been installed for real.
mkdir "$stage/pc"
sed -E "s,^(prefix|exec_prefix|libdir|includedir)=/,\\1=$stage/root/," "$pc" >"$stage/pc/tcpburn.pc"
PKG_CONFIG_PATH=$stage/pc${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
export PKG_CONFIG_PATH
cp -r "$TB_SRCDIR/examples/line" "$stage/line"
chmod -R u+w "$stage/line"
ok "the example builds with the installed header alone" \
    run_make -C "$stage/line" CFLAGS='-Wall -Wextra -Wno-unused-parameter -Werror'
ok "it loads" loads "$stage/line/line.so"
ok "it installs beside the others" run_make -C "$stage/line" install
ok "where it is found by its name" \
    "$TB_BUILDDIR/tests/modules/loadmod" line "$(dirname "$http")"
