#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Each folder's library links whole against those of lower floors alone (tests/lint/floors): a call upwards or sideways that
# no include shows is undefined here.
. "$(dirname "${BASH_SOURCE[0]}")/tap.bash"

mapfile -t v < <(values CC SAN_FLAGS JANSSON_LIBS SODIUM_LIBS SYSTEMD_LIBS SECCOMP_LIBS CURL_LIBS MICROHTTPD_LIBS CRYPTO_LIBS)
read -ra cc <<<"${v[0]}"
read -ra san <<<"${v[1]}"
read -ra jansson <<<"${v[2]}"

# The foreign library a folder brings in. The floors above link it too, for the sake of that folder's archive; that they do
# not include its headers is the lint "layers".
foreign() {
        case $1 in
        crypto) echo "${v[3]}" ;;
        jose) echo "${v[8]}" ;;
        loop) echo "${v[4]}" ;;
        sandbox) echo "${v[5]}" ;;
        http) echo "${v[6]}" ;;
        net) echo "${v[7]}" ;;
        connect) echo "${v[8]}" ;;
        esac
}

link() {
        "${cc[@]}" "${san[@]}" -shared -o "$work/lib.so" -Wl,-z,defs -Wl,--whole-archive "$1" -Wl,--no-whole-archive \
                -Wl,--start-group "${lower[@]}" -Wl,--end-group "${own[@]}" "${lower_foreign[@]}" "${jansson[@]}"
}

lower=() lower_foreign=()
while IFS=$'\t' read -r kind floor names; do
        [ "$kind" = floor ] || continue
        read -ra folders <<<"$names"
        for folder in "${folders[@]}"; do
                archive=$build/.libs/libmcpb-$folder.a
                [ -e "$archive" ] || continue
                read -ra own <<<"$(foreign "$folder")"
                link "$archive" >"$work/log" 2>&1
                rc=$?
                # What the folder's own programs bring (a main's hook) is no call upwards.
                find "$build/src/$folder" -name '*.o' -exec nm -P --defined-only {} + 2>/dev/null |
                        sed -nE "s/^([^ ]+) [TDBR] .*/\`\1'/p" >"$work/own"
                sed -nE 's/.*[/(]([^/)]*\.[co])\)?:.*(undefined reference to .*)/\1: \2/p' "$work/log" | sort -u >"$work/undefined"
                grep -vFf "$work/own" "$work/undefined" >"$work/faults"
                if [ $rc -ne 0 ] && [ ! -s "$work/undefined" ]; then cp "$work/log" "$work/faults"; fi
                [ ! -s "$work/faults" ]
                rc=$?
                result $rc "$folder links with lower floors alone ($floor)" <"$work/faults"
        done
        for folder in "${folders[@]}"; do
                archive=$build/.libs/libmcpb-$folder.a
                [ -e "$archive" ] && lower+=("$archive")
                read -ra own <<<"$(foreign "$folder")"
                lower_foreign+=("${own[@]}")
        done
done <"$src/tests/lint/floors"
plan
