#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What was wrong once and showed only in the whole: each test fails without its fix."""

import os
import signal
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Broker, Demo, Tap, until  # noqa: E402


def a_redirect_port_that_is_taken_is_told_once(stack):
    demo = Demo(stack, "--auto-consent")
    other = stack.enter_context(socket.socket())
    other.bind(("127.0.0.1", 0))
    other.listen()
    broker = Broker(stack, start=False)
    (broker.dir / "config/mcp-broker.conf").write_text(f"[Broker]\nRedirectPort={other.getsockname()[1]}\n")
    broker.start()
    assert "port" in broker.add(demo.mcp, check=4).stderr
    keeper = broker.pid("keeper")
    deal = broker.pid("deal")
    os.kill(deal, signal.SIGKILL)
    # The new one answers what it is asked for before it registers this client.
    until("deal is back", lambda: broker.pid("deal") not in (deal, 0))
    broker.add(demo.mcp, check=4)
    assert broker.pid("keeper") == keeper


if __name__ == "__main__":
    sys.exit(Tap().run([
        a_redirect_port_that_is_taken_is_told_once,
    ]))
