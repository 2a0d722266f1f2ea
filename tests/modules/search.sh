#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Where a module is looked for by its name alone, with a program in a build tree of its own. TAP.
set -u
modules=$TB_BUILDDIR/tests/modules/.libs
tree=$(mktemp -d) || exit 99
trap 'rm -rf "$tree"' EXIT
unset TCPBURN_MODULE_PATH
count=0

ok() # TEXT COMMAND...: one test
{
    text=$1
    shift
    count=$((count + 1))
    if "$@"; then
        echo "ok $count - $text"
    else
        echo "not ok $count - $text"
        sed 's/^/# /' "$tree/out"
    fi
}

load() # ARGUMENTS...: what loadmod says goes to $tree/out
{
    "$program" "$@" >"$tree/out" 2>&1
}

loads_from() # FILE ARGUMENTS...
{
    want=$1
    shift
    load "$@" && grep -q "^$want double 1.0\$" "$tree/out"
}

echo 1..7
mkdir -p "$tree/.libs" "$tree/modules/double/.libs" "$tree/one" "$tree/two"
program=$tree/.libs/loadmod
cp "$TB_BUILDDIR/tests/modules/loadmod" "$program"
cp "$modules/double.so" "$tree/modules/double/.libs/"

load double
ok "a program that is not in a build tree does not look beside itself" \
    grep -q 'not found.*tried [^ ,]*/double.so$' "$tree/out"

touch "$tree/config.status"
ok "the build tree is searched, from .libs too, without the .la file" \
    loads_from "$tree/modules/double/.libs/double.so" double
program=$tree/loadmod
cp "$tree/.libs/loadmod" "$program"
ok "the suffix .so is dropped" \
    loads_from "$tree/modules/double/.libs/double.so" double.so

cp "$modules/double.so" "$tree/two/"
TCPBURN_MODULE_PATH=$tree/one:$tree/two
export TCPBURN_MODULE_PATH
ok "every directory of TCPBURN_MODULE_PATH comes before the build tree" \
    loads_from "$tree/two/double.so" double
cp "$modules/double.so" "$tree/one/"
ok "the directory given comes first" \
    loads_from "$tree/one/double.so" double "$tree/one"

echo "not an object" >"$tree/one/double.so"
load double
ok "a bad file is not passed over in silence" grep -q "$tree/one/double.so: " "$tree/out"

load nonesuch "$tree"
ok "every path tried is named, in order" \
    grep -q "tried $tree/nonesuch.so, $tree/one/nonesuch.so, $tree/two/nonesuch.so, $tree/modules/nonesuch/nonesuch.so, /" "$tree/out"
