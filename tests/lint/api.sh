#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The library's names, in three places that must agree: the header, the version script, and what the library exports. And
# what the library needs: libc and jansson, no more (DESIGN 12.5).
: "${top_srcdir:?}" "${top_builddir:?}"
set -u
header=$top_srcdir/include/mcpbroker.h
map=$top_srcdir/src/client/libmcpbroker.map
library=$top_builddir/.libs/libmcpbroker.so
n=0
failed=0

claim() { # text, difference (empty: it holds)
        n=$((n + 1))
        if [ -z "$2" ]; then
                echo "ok $n - $1"
        else
                echo "not ok $n - $1"
                printf '%s\n' "$2" | sed 's/^/# /'
                failed=1
        fi
}

[ -r "$library" ] || {
        echo "Bail out! $library is not there"
        exit 1
}
echo 1..5
declared=$(sed -n 's/^MCPB_API .*[ *]\(mcpb_[a-z_]*\)(.*/\1/p' "$header" | sort)
mapped=$(sed -n 's/^ *\(mcpb_[a-z_]*\);$/\1/p' "$map" | sort)
exported=$(nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort)
documented=$(sed -n 's/^ \* \(mcpb_[a-z_]*\)() - .*/\1/p' "$header" | sort)

claim 'the version script names what the header declares' "$(diff <(echo "$declared") <(echo "$mapped"))"
claim 'the library exports what the version script names' "$(diff <(echo "$mapped") <(echo "$exported"))"
claim 'each function of the header has its docstring' "$(diff <(echo "$declared") <(echo "$documented"))"
# A sanitizer brings libraries of its own.
needed=$(readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
        grep -v -e '^libc\.so' -e '^libjansson\.so' -e '^libasan\.so' -e '^libubsan\.so' -e '^ld-linux')
claim 'the library needs libc and jansson only' "$needed"
claim 'the header is C and C++ by itself' "$(
        echo '#include "mcpbroker.h"' >"api-$$.c"
        cp "api-$$.c" "api-$$.cc"
        ${CC:-cc} -std=c99 -Wall -Wextra -Wpedantic -Werror -I"$top_srcdir/include" -fsyntax-only "api-$$.c" 2>&1
        if command -v c++ >/dev/null; then
                c++ -Wall -Wextra -Werror -I"$top_srcdir/include" -fsyntax-only "api-$$.cc" 2>&1
        fi
        rm -f "api-$$.c" "api-$$.cc"
)"
exit $failed
