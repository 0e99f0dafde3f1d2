# SPDX-License-Identifier: Apache-2.0
"""Runs one test, and looks at what it leaves: nothing may still run, and nothing may lie in the folders of whoever runs it.

    alone.py COMMAND [ARGUMENT]...

Speaks TAP behind the test's own: "Bail out!" with what was left, which automake's driver counts as an error. What still runs is
ended. Its last line says how long the test took, and how much of that it computed.

The usual places ($XDG_...) are a folder of ours: a test that forgets to name its own is seen by what lies there afterwards, and
touches nobody's daemon. All that the test starts stays below us, whatever its parents do: we are the reaper of its orphans. The
test has a session of its own, as below any manager of services, so that none takes us for the parent of an orphan.
"""

import ctypes
import os
import pathlib
import pwd
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PR_SET_CHILD_SUBREAPER = 36
# Workers of a daemon that was killed see the end of their stream, and need a moment on a busy machine.
GRACE = float(os.environ.get("MCPB_TEST_GRACE", "20"))
PLACES = {"XDG_RUNTIME_DIR": "run", "XDG_STATE_HOME": "state", "XDG_CONFIG_HOME": "config"}


def homes():
    """Where a daemon keeps its things that heeds none of the variables."""
    user = pwd.getpwuid(os.geteuid())
    return {path for path in (pathlib.Path(user.pw_dir, ".local/state/mcp-broker"), pathlib.Path(user.pw_dir, ".config/mcp-broker"),
                              pathlib.Path(f"/run/user/{user.pw_uid}/mcp-broker")) if path.exists()}


def children():
    """Our children that still live, by what they run."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, parent = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            if int(parent) == os.getpid() and state != "Z":
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            pass  # it has ended meanwhile
    return found


def reap():
    """Takes the ended ones; False: there are no others."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def wait_for_orphans():
    """What runs after the grace is left running: its command lines. None of it does when we return."""
    left = []
    end = time.monotonic() + GRACE
    while reap():
        if signal.sigtimedwait({signal.SIGCHLD}, max(end - time.monotonic(), 0)):
            continue
        for pid, command in children().items():
            left.append(command or f"process {pid}")
            os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + GRACE  # for theirs, which are ours now
    return left


def look(trap, before):
    left = [f"still runs: {command}" for command in wait_for_orphans()]
    left += [f"in the usual place: {path.relative_to(trap)}" for path in sorted(trap.rglob("*")) if path.parent != trap]
    left += [f"in the home folder: {path}" for path in sorted(homes() - before)]
    return left


def main():
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        sys.exit("alone.py: no reaper: " + os.strerror(ctypes.get_errno()))
    trap = pathlib.Path(tempfile.mkdtemp(prefix="mcpb-usual-"))
    before = homes()
    begin = time.monotonic()
    for folder in PLACES.values():
        (trap / folder).mkdir(mode=0o700)
    try:
        test = subprocess.Popen(sys.argv[1:], env={**os.environ, **{name: str(trap / folder) for name, folder in PLACES.items()}},
                                close_fds=False, start_new_session=True)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _: os.killpg(test.pid, number))
        status = test.wait()
        took = time.monotonic() - begin
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
        left = look(trap, before)
    finally:
        shutil.rmtree(trap, ignore_errors=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"# took {took:.2f} s, computed {used.ru_utime + used.ru_stime:.2f} s", flush=True)
    for line in left:
        print("# left: " + line, flush=True)
    if left:
        print(f"Bail out! left behind: {'; '.join(left)}"[:1000], flush=True)
    sys.exit(status if status >= 0 else 128 - status)


main()
