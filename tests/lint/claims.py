# SPDX-License-Identifier: Apache-2.0
"""Which requirements (A12) and invariants (S8) the tests name.

A comment with nothing but names stands directly above the function of the test: /* A12 A13 S8 */ in tests/unit/*.c, and
# A12 S8 in tests/integration/*.py (there also above a decorator). A114-A117 means all four. A claim of a test that is not
run is no claim.
"""
import os
import re

import common

_NAMES = r"[AS]\d+(?:\s*-\s*[AS]?\d+)?(?:[ ,]+[AS]\d+(?:\s*-\s*[AS]?\d+)?)*"
_C = re.compile(r"^[ \t]*/\*\s*(" + _NAMES + r")\s*\*/[ \t]*\n(?P<next>(?:[ \t]*/\*.*?\*/[ \t]*\n)*[^\n]*\n?[^\n]*)", re.M | re.S)
_C_FUNCTION = re.compile(r"^(?:static\s+)?void\s+(\w+)\s*\(")
_PY = re.compile(r"^[ \t]*#[ \t]*(" + _NAMES + r")[ \t]*\n(?P<next>(?:[ \t]*[#@][^\n]*\n)*[^\n]*)", re.M)
_PY_FUNCTION = re.compile(r"^[ \t]*(?:async\s+)?def\s+(\w+)\s*\(", re.M)


def expand(names):
    out = []
    for m in re.finditer(r"([AS])(\d+)(?:\s*-\s*[AS]?(\d+))?", names):
        first, last = int(m.group(2)), int(m.group(3) or m.group(2))
        out += [f"{m.group(1)}{n}" for n in range(first, last + 1)]
    return out


def _in_file(name, pattern, function, runs):
    text = common.read(name)
    for m in pattern.finditer(text):
        line = common.line_of(text, m.start(1))
        f = function.search(m.group("next"))
        if not f:
            common.fault(name, line, f"{m.group(1)} stands above no test; remedy: directly above the function whose claim it is")
            continue
        if not runs(f.group(1), text):
            common.fault(name, line, f"{m.group(1)}: {f.group(1)} is not among the tests that are run")
            continue
        for what in expand(m.group(1)):
            yield what, f"{name}: {f.group(1)}"


def _c_runs(function, text):
    return len(re.findall(rf"\b{function}\b", common.code(text))) >= 2


def _py_runs(function, text):
    return True


def collect():
    """name -> the tests that claim it"""
    found = {}
    for name in common.files("tests/unit/*.c", "tests/integration/*.py"):
        rules = (_C, _C_FUNCTION, _c_runs) if name.endswith(".c") else (_PY, _PY_FUNCTION, _py_runs)
        for what, where in _in_file(name, *rules):
            found.setdefault(what, []).append(where)
    return found


def later(name):
    """What is left for a later step, with the reason: NAME, tab, reason."""
    out = {}
    for i, line in enumerate(common.read(name).splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        what, _, reason = line.partition("\t")
        if not reason.strip():
            common.fault(name, i, f"{what} without a reason")
        out[what] = reason
    return out
