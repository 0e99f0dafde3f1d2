#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many bridges on one login, at an issuer that rotates and ends a family whose refresh token comes twice."""

import concurrent.futures
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../conformance"))
from harness import Broker, Demo, Tap, program  # noqa: E402
from host import Host  # noqa: E402

BRIDGES = 8
ROUNDS = 10
SUMMARY = {"text": "One. Two. Three."}


def bridge(stack, broker, server):
    """A browser that is opened says so; nobody is at it."""
    opened = broker.dir / "opened"
    env = broker.person(f"#!/bin/sh\necho \"$1\" >>{opened}\n")
    host = Host([program("mcp-connect"), server], {**broker.env, **env}, modern=False)

    def end():
        host.close()
        assert not host.faults, host.faults
        assert not opened.exists(), opened.read_text()
    stack.callback(end)
    host.open()
    return host


def called(host):
    return host.call("generate_summary", SUMMARY)["structuredContent"]["words"]


# A142 A146
def eight_bridges_outlive_ten_early_refusals_with_one_refresh_each(stack):
    demo = Demo(stack, "--auto-consent", "--require-session")
    broker = Broker(stack)
    broker.add(demo.mcp)
    hosts = [bridge(stack, broker, demo.mcp) for _ in range(BRIDGES)]
    before = demo.counters()
    with concurrent.futures.ThreadPoolExecutor(BRIDGES) as pool:
        for n in range(1, ROUNDS + 1):
            demo.fault("refuse-early")
            assert list(pool.map(called, hosts)) == [3] * BRIDGES
            now = demo.counters()
            assert now["refreshes"] - before["refreshes"] == n, (n, now)
            for same in ("authorizations", "reuse_detected", "families_revoked", "sessions_opened"):
                assert now[same] == before[same], (n, same, now)


if __name__ == "__main__":
    sys.exit(Tap().run((
        eight_bridges_outlive_ten_early_refusals_with_one_refresh_each,
    )))
