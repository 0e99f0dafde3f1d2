#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# No program links a library that its part of the work does not need: the keeper no network, the tools no more than the
# client library.
. "$(dirname "${BASH_SOURCE[0]}")/tap.bash"

# What each may link by itself, besides libc and jansson.
allowed() {
        case $1 in
        mcp-brokerd) echo sodium crypto systemd seccomp ;;
        mcp-broker-net) echo curl microhttpd systemd seccomp sodium ssl crypto ;;
        mcp-broker-session) echo systemd seccomp ;;
        mcp-broker-kdf) echo sodium seccomp ;;
        mcp-broker-identity) echo curl systemd ;;
        mcp-broker-keyring) echo secret-1 glib-2.0 gobject-2.0 gio-2.0 ;;
        mcp-connect) echo mcpbroker curl crypto systemd ;;
        mcp-policy | mcp-audit) echo mcpbroker sodium ;;
        mcp-demo-server) echo microhttpd sodium crypto ;;
        libmcpbroker) ;;
        mcp-*) echo mcpbroker ;;
        *) return 1 ;;
        esac
}

# The built file behind a libtool name.
built() {
        local file=$build/$1
        case $1 in
        *.la) file=$(find "$build/$(dirname "$1")/.libs" -maxdepth 1 -name "$(basename "$1" .la).so" 2>/dev/null) ;;
        *) [ -e "$build/$(dirname "$1")/.libs/$(basename "$1")" ] && file=$build/$(dirname "$1")/.libs/$(basename "$1") ;;
        esac
        echo "$file"
}

mapfile -t v < <(values bin_PROGRAMS pkglibexec_PROGRAMS noinst_PROGRAMS lib_LTLIBRARIES)
read -ra programs <<<"${v[*]}"
for program in "${programs[@]}"; do
        name=$(basename "$program" .la)
        : >"$work/faults"
        may=$(allowed "$name") || echo "$name is not in the table of tests/lint/heavy.sh" >>"$work/faults"
        file=$(built "$program")
        readelf -dW "$file" >"$work/dynamic" 2>>"$work/faults" || echo "$program is not built" >>"$work/faults"
        sed -nE 's/.*\(NEEDED\).*\[lib(.*)\.so.*\]/\1/p' "$work/dynamic" | while read -r library; do
                case " c jansson $may " in
                *" $library "*) ;;
                *) echo "$name links lib$library; remedy: link less, or move that work to the program whose it is" ;;
                esac
        done >>"$work/faults"
        [ ! -s "$work/faults" ]
        result $? "$name links nothing heavy" <"$work/faults"
done
plan
