# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the lints of built things share. They speak TAP, are part of make check, and look at $top_srcdir and $top_builddir.
set -u
# shellcheck disable=SC2034 # for those who include this
src=${top_srcdir:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
build=${top_builddir:-$PWD}
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
unset MAKEFLAGS MFLAGS MAKELEVEL

if [ ! -e "$build/Makefile" ]; then
        echo "Bail out! no build in $build: set top_builddir"
        exit 99
fi

# result RC CLAIM <FAULTS
results=0
result() {
        results=$((results + 1))
        [ "$1" -eq 0 ] || printf 'not '
        printf 'ok %d - %s\n' "$results" "$2"
        sed 's/^/# /' | head -n 30
}

plan() {
        printf '1..%d\n' "$results"
}

# The values of variables of the Makefile, each on a line.
values() {
        {
                printf 'include Makefile\nlint-values:\n'
                # shellcheck disable=SC2016 # make's parentheses
                printf '\t@echo "=$(%s)"\n' "$@"
        } | make -s -C "$build" -f - lint-values | sed -n 's/^=//p'
}
