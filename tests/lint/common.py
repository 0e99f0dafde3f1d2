# SPDX-License-Identifier: Apache-2.0
"""What the lints written in Python share: the files, C without its comments and strings, and how a fault is told."""
import os
import re
import subprocess
import sys

TOP = os.path.abspath(os.environ.get("top_srcdir") or os.path.join(os.path.dirname(__file__), "..", ".."))
_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)

_faults = []


def files(*patterns):
    """The files that git knows, and that are there."""
    try:
        out = subprocess.run(["git", "-C", TOP, "ls-files", "-z", "--", *patterns], check=True, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout
    except (OSError, subprocess.CalledProcessError) as e:
        sys.exit(f"git ls-files: {e}")
    return sorted(f for f in out.split("\0") if f and os.path.exists(os.path.join(TOP, f)))


def read(name):
    with open(os.path.join(TOP, name), encoding="utf-8", errors="surrogateescape") as f:
        return f.read()


def _blank(text):
    return re.sub(r"[^\n]", " ", text)


def code(text, comments=False):
    """The same text with comments and the insides of strings blanked out, each character in its place. With comments=True a
    // comment stays visible as two slashes."""
    def replace(m):
        t = m.group(0)
        if t.startswith("/"):
            return "//" + _blank(t[2:]) if comments and t.startswith("//") else _blank(t)
        return t[0] + _blank(t[1:-1]) + t[-1]
    return _TOKEN.sub(replace, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def fault(name, line, message):
    _faults.append((name, line, message))


def finish(what):
    """Tells the faults and ends the process: 0 without one."""
    for name, line, message in sorted(_faults):
        print(f"{name}:{line}: {message}")
    if not _faults:
        print(what)
    sys.exit(1 if _faults else 0)
