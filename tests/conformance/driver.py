#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the suite runs as the client under test: driver.py PLAY URL. A host, and a bridge between it and the suite's server.

PLAY (JSON) says which bridge, which era the host is of, and how long its person takes. Scenario and context come from the
suite and go no further than this program. Everything said goes to stderr, which the suite saves. Exit status 0: the script of
the scenario was played to its end, and the bridge behaved.
"""
import contextlib
import json
import os
import pathlib
import signal
import sys
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]
from bridges import KINDS  # noqa: E402
from host import MODERN, Host  # noqa: E402
from scripts import CAPABILITIES, script_of  # noqa: E402


def say(text):
    for line in str(text).splitlines():
        print(f"driver: {line}", file=sys.stderr, flush=True)


def load(play_file):
    play = json.loads(pathlib.Path(play_file).read_text())
    play["scenario"] = os.environ["MCP_CONFORMANCE_SCENARIO"]
    # The stable suite sets none: it has but one wire.
    play["version"] = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", "2025-11-25")
    play["modern"] = play["version"] == MODERN if play["host"] == "wire" else play["host"] == "modern"

    def started(pid):
        with open(play["pids"], "a", encoding="ascii") as f:
            f.write(f"{pid} {start_time(pid)}\n")
    play["started"] = started
    return play


def start_time(pid):
    """With it a pid names one process for ever."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]


def run(play, url, context):
    """What went wrong, as texts."""
    problems = []
    with contextlib.ExitStack() as stack:
        bridge = KINDS[play["kind"]](stack, play, url, context)
        host = Host(bridge.command, bridge.env, play["modern"], CAPABILITIES.get(play["scenario"]))
        play["started"](host.process.pid)
        try:
            script_of(play["scenario"])(host, context)
        except Exception as e:  # pylint: disable=broad-except
            say(traceback.format_exc())
            problems.append(f"{type(e).__name__}: {e}")
        finally:
            host.close()
            problems += host.faults + bridge.end()
            for name, text in bridge.logs().items():
                say(f"--- {name}\n{text}")
    return problems


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # unwinds: bridge and daemon end with us
    play = load(sys.argv[1])
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    for name in [n for n in os.environ if n.startswith("MCP_CONFORMANCE_")]:
        del os.environ[name]
    try:
        problems = run(play, sys.argv[2], context)
    except Exception as e:  # pylint: disable=broad-except
        say(traceback.format_exc())
        problems = [f"nothing was tried: {type(e).__name__}: {e}"]
    for problem in problems:
        say(f"problem: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
