#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What runs the tests sees what they leave behind: tests/alone.py, on commands that leave something."""

import os
import pathlib
import signal
import subprocess
import sys

ALONE = pathlib.Path(os.environ.get("top_srcdir", ".")).resolve() / "tests/alone.py"
# Reads where nobody writes, and lets the test go on when it is there.
ORPHAN = 'read -r _ < <(setsid bash -c "echo; exec cat <&3 >/dev/null")'
ORPHANS = """read -r _ < <(setsid bash -c 'setsid bash -c "echo; exec cat <&3 >/dev/null" & exec cat <&3 >/dev/null')"""
CASES = {
    "a test that leaves nothing passes": ("true", 0, None),
    "its status is kept": ("exit 3", 3, None),
    "a signal is one as well": ("kill -9 $$", 128 + signal.SIGKILL, None),
    "an orphan that ends is waited for": ("(setsid sleep 0.1 >/dev/null 2>&1 &)", 0, None),
    "one that goes on is left behind": (ORPHAN, 0, "still runs"),
    "and so are its own": (ORPHANS, 0, "; still runs"),
    "the state folder of a test that names none is ours": ('mkdir "$XDG_STATE_HOME/mcp-broker"', 0, "usual place: state/mcp-broker"),
    "the runtime folder too": ('touch "$XDG_RUNTIME_DIR/socket"', 0, "usual place: run/socket"),
    "and the configuration": ('touch "$XDG_CONFIG_HOME/x"', 0, "usual place: config/x"),
    "a test leads a session of its own": ('read -r _ _ _ _ _ session _ </proc/$$/stat && [ "$session" -eq $$ ]', 0, None),
}


def run(command, grace):
    """Its status and output; @left says whether the pipe that an orphan holds has come to its end, as it does when none is left."""
    ours, theirs = os.pipe()
    keep = os.dup2(theirs, 99, inheritable=False)
    os.close(theirs)
    result = subprocess.run(["bash", "-c", f'exec {sys.executable} {ALONE} bash -c "$1" 3<&{ours}', "bash", command],
                            env={**os.environ, "MCPB_TEST_GRACE": grace}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            text=True, pass_fds=[ours], check=False)
    os.close(ours)
    try:
        os.write(keep, b"x")  # a reader is left
        result.reader = True
    except BrokenPipeError:
        result.reader = False
    os.close(keep)
    return result


def main():
    failed = 0
    for n, (claim, (command, status, left)) in enumerate(CASES.items(), 1):
        result = run(command, "0" if left else "60")
        said = [line for line in result.stdout.splitlines() if line.startswith("Bail out!")]
        good = (result.returncode == status and not result.reader and bool(said) == bool(left)
                and (not left or left in said[0]) and "# took " in result.stdout)
        print(f"{'ok' if good else 'not ok'} {n} - {claim}")
        if not good:
            failed += 1
            print("".join(f"# {line}\n" for line in [f"status {result.returncode}", *result.stdout.splitlines()]), end="")
    print(f"1..{len(CASES)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
