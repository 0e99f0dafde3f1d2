# SPDX-License-Identifier: Apache-2.0
"""Reads what clang-tidy said, and says again what counts: each finding once, without those in which the analyzer is known to
be wrong about us. Exits with 1 if anything is left.

It does not know the cleanup attribute, by which we release: what it says about leaks is dropped (ASan and valgrind look).
It cannot know that our functions return 0 or -errno, and error_set() and its like never 0. In `if (r == 0) r = next(&x);
if (r < 0) return r; use(x);` it takes r for 1: such a path is dropped, as is one that goes on after an error as if it were none.
"""
import re
import sys

HEAD = re.compile(r"^(/\S+?):(\d+):\d+: (?:error|warning): (.*?)(?: \[([^\]]+)\])?$")
LEAK = re.compile(r"^Potential (leak of memory|memory leak)")
NOT_ZERO = re.compile(r"'([\w.>-]+)' is not equal to 0$")
ERROR = re.compile(r"^\s*return error_\w+\(")
ASSUMED = re.compile(r"'\w+' is (equal to|>=|>|<) 0$")
NOT_NEGATIVE = re.compile(r"'([\w.>-]+)' is >=? 0$")


def findings(text):
    found = []
    for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines():
        m = HEAD.match(line)
        if m:
            found.append((m, [line]))
        elif found and not re.match(r"clang-tidy-14 |\d+ warnings? |Suppressed |Use -", line):
            found[-1][1].append(line)
    return found


def is_wrong(head, lines):
    if LEAK.match(head.group(3)):
        return True
    if "clang-analyzer-core." not in (head.group(4) or ""):
        return False
    not_zero, not_negative = set(), set()
    for line in lines:
        for pattern, names in ((NOT_ZERO, not_zero), (NOT_NEGATIVE, not_negative)):
            m = pattern.search(line)
            if m:
                names.add(m.group(1))
    return bool(not_zero & not_negative) or forgets_an_error(lines)


def forgets_an_error(lines):
    failed = False
    for line in lines:
        m = ASSUMED.search(line)
        if m and failed:
            if m.group(1) != "<":
                return True
            failed = False
        if ERROR.match(line):
            failed = True
    return False


def main():
    seen = set()
    for head, lines in findings(sys.stdin.read()):
        if head.groups() not in seen and not is_wrong(head, lines):
            print("\n".join(lines))
        else:
            continue
        seen.add(head.groups())
    print(f"{len(seen)} findings")
    sys.exit(1 if seen else 0)


main()
