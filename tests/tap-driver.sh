#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Automake's TAP driver behind a filter: cmocka writes "not ok 3 # SKIP name" for a skipped test, which the driver counts as
# a failure; and alone.py looks at what a test leaves behind. First argument: the driver; the others as automake gives them, the
# test behind "--".
set -u

if [ "${1-}" = --filter ]; then
        shift
        python3 "$(dirname "${BASH_SOURCE[0]}")/alone.py" "$@" | sed -u 's/^not ok \([0-9]* # SKIP\)/ok \1/'
        exit "${PIPESTATUS[0]}"
fi

driver=$1
shift
flags=()
while [ "$1" != -- ]; do
        flags+=("$1")
        shift
done
shift
exec "$BASH" "$driver" "${flags[@]}" -- "$BASH" "$0" --filter "$@"
