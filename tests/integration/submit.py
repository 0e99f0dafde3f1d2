#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many requests of one program at once, submitted through the library, and a real daemon that takes them."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import PATIENCE, SOURCE, Broker, Demo, Tap, mcp_call, program, until  # noqa: E402

MANY = 200  # and one call that blocks, in between


def taken_at_once():
    """What the daemon takes of one connection."""
    for line in (SOURCE / "src/base/limits.h").read_text().splitlines():
        if line.startswith("#define LIMIT_REQUESTS_PER_CLIENT "):
            return int(line.split()[2])
    raise AssertionError("no such limit")


def begin(stack, **kwargs):
    """Many have been submitted; as many as the daemon takes wait for a refresh that is held at the issuer."""
    demo = Demo(stack, "--auto-consent", "--fault", "expired-at-once:token")
    broker = Broker(stack, **kwargs)
    broker.add(demo.mcp)
    demo.hold("refresh")
    process = subprocess.Popen([program("tests/integration/submitter"), str(MANY), demo.mcp], env=broker.env, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.kill)
    until("it has sent what may be sent", lambda: waiting(broker) >= taken_at_once())
    return demo, broker, process


def waiting(broker):
    out, err = broker.quick("mcp-brokerctl", "status", "--json").communicate()
    assert out, err
    return json.loads(out)["counts"]["waiting"]


def tokens(process):
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, (process.returncode, out[-500:], err)
    assert len(out.split()) == MANY + 1, len(out.split())
    return set(out.split())


def many_that_are_submitted_are_one_refresh(stack):
    demo, broker, process = begin(stack)
    assert waiting(broker) == taken_at_once()
    demo.release("refresh")
    (token,) = tokens(process)
    assert mcp_call(demo.mcp, token)[0] == 200
    assert demo.count("refresh") == 1


def what_waits_for_its_turn_goes_to_the_next_daemon(stack):
    demo, broker, process = begin(stack, activated=True)
    broker.process.terminate()
    demo.release("refresh")
    broker.process.wait(PATIENCE)
    assert process.poll() is None, process.communicate()
    broker.start()
    for token in tokens(process):
        assert mcp_call(demo.mcp, token)[0] == 200


TESTS = [many_that_are_submitted_are_one_refresh, what_waits_for_its_turn_goes_to_the_next_daemon]

if __name__ == "__main__":
    sys.exit(Tap().run(TESTS))
