#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures side by side, in one run on this machine, and prints a table. Judges nothing.

  make tests/bench/roundtrips && top_builddir=. top_srcdir=.. python3 ../tests/bench/run.py
"""

import contextlib
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))
from harness import BUILD, Broker, Demo, real_program  # noqa: E402


def ssh_agent(stack):
    if not shutil.which("ssh-agent"):
        return []
    folder = tempfile.mkdtemp(prefix="mcpb-bench-")
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    path = os.path.join(folder, "agent")
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    while not os.path.exists(path):
        time.sleep(0.01)
    return [path]


def whole_command(env, *command):
    took = []
    for _ in range(50):
        begin = time.perf_counter()
        subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
        took.append((time.perf_counter() - begin) * 1e6)
    return statistics.median(took)


def resident(broker):
    rows = []
    for process in broker.status()["processes"]:
        text = pathlib.Path(f"/proc/{process['pid']}/smaps_rollup").read_text()
        pss = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
        rows.append((process["name"], pss))
    return rows


def main():
    with contextlib.ExitStack() as stack:
        demo = Demo(stack, "--auto-consent")
        broker = Broker(stack)
        broker.add(demo.mcp, "--name", "demo")
        subprocess.run([BUILD / "tests/bench/roundtrips", broker.socket, "demo", *ssh_agent(stack)], check=True)
        env = {**broker.env, "LD_LIBRARY_PATH": str(BUILD / ".libs")}
        print(f"{'whole command: true':<44} p50 {whole_command(env, 'true'):8.1f} us")
        print(f"{'whole command: mcp-token demo':<44} p50 {whole_command(env, real_program('mcp-token'), 'demo'):8.1f} us")
        rows = resident(broker)
        for name, pss in rows:
            print(f"{'memory (PSS): ' + name:<44} {pss:12d} KiB")
        print(f"{'memory (PSS): all':<44} {sum(pss for _, pss in rows):12d} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
