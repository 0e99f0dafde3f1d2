#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# No mutable globals: nothing in .data or .bss but arg_* of a main. One place may be let off by a comment on its line or the
# one before: lint: allow global: why
. "$(dirname "${BASH_SOURCE[0]}")/tap.bash"

# The names of what an object file keeps in memory that can change.
mutable() {
        readelf -SW "$1" | sed -nE 's/^ *\[ *([0-9]+)\] \.(data|bss|tdata|tbss)( |\.[^r]).*/\1/p' >"$work/sections"
        readelf -sW "$1" | awk 'NR == FNR { s[$1] = 1; next }
                ($4 == "OBJECT" || $4 == "TLS") && ($7 in s) && $8 !~ /^__/ { sub(/\.[0-9]+$/, "", $8); print $8 }' \
                "$work/sections" - | sort -u
}

# "src/crypto/libmcpb_crypto_la-hash.o", "src/crypto/.libs/hash.o": src/crypto/hash.c
source_of() {
        local folder=$1 name
        name=$(basename "$2" .o)
        [ -e "$src/src/$folder/$name.c" ] || name=${name#*-}
        echo "src/$folder/$name.c"
}

for folder in "$build"/src/*/; do
        folder=$(basename "$folder")
        find "$build/src/$folder" -name '*.o' | sort | while read -r object; do
                file=$(source_of "$folder" "$object")
                mutable "$object" | while read -r name; do
                        case $file:$name in
                        */main*.c:arg_*) continue ;;
                        esac
                        grep -B1 -w -- "$name" "$src/$file" 2>/dev/null | grep -q 'lint: allow global: *[^ ]' && continue
                        echo "$file: $name can change; remedy: make it const, or a member of an object"
                done
        done | sort -u >"$work/faults"
        [ ! -s "$work/faults" ]
        result $? "$folder keeps no mutable global" <"$work/faults"
done
plan
