# SPDX-License-Identifier: Apache-2.0
# A skipped test that nobody allowed in this step is a failed one: skips.awk -v step=STEP SKIPS RESULTS (see contrib/check).
BEGIN {
        FS = OFS = "\t"
}
FILENAME == ARGV[1] {
        if (!/^#/ && $2 != "" && ($3 == "" || index(" " $3 " ", " " step " ")))
                allowed[$1] = 1
        next
}
$1 == "skip" && !($2 in allowed) {
        print "fail", "skipped, and tests/skips does not allow it: " $2
        next
}
{
        print
}
