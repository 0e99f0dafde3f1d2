#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What was wrong once and showed only in the whole: each test fails without its fix."""

import json
import os
import re
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import PATIENCE, Broker, Demo, Skip, Tap, until  # noqa: E402


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


# S2
def no_process_of_ours_keeps_a_descriptor_of_the_caller(stack):
    broker = Broker(stack, start=False)
    theirs = os.memfd_create("theirs")
    os.dup2(theirs, 700, inheritable=True)
    stack.callback(os.close, 700)
    stack.callback(os.close, theirs)
    broker.pass_fds += (700,)
    broker.start()
    for name in ("keeper", "writer", "explore", "deal", "session"):
        folder = f"/proc/{broker.pid(name)}/fd"
        try:
            names = [os.readlink(f"{folder}/{n}") for n in os.listdir(folder)]
        except PermissionError as error:
            raise Skip("needs ptrace of another process") from error
        assert names and not any("theirs" in n for n in names), (name, names)


def a_stop_before_it_is_ready_is_no_failure(stack):
    broker = Broker(stack, start=False, daemon="tests/hooked/mcp-brokerd-steps")
    path = broker.dir / "steps"
    listener = stack.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind(str(path))
    listener.listen()
    broker.env["MCPB_TEST_STEPS"] = str(path)
    broker.start(wait=False)
    writer, _ = listener.accept()
    stack.callback(writer.close)
    assert writer.recv(64).startswith(b"create")  # the first file of the store, and nobody lets it go on
    assert broker.stop() == 0, broker.log()
    assert not broker.socket.exists()


def what_keeps_it_from_the_background_is_said(stack):
    broker = Broker(stack, start=False)
    broker.state.mkdir(mode=0o700)
    (broker.state / "daemon.log").mkdir()
    command = [word for word in broker.command() if word != "-f"]
    result = subprocess.run(command, env=broker.env, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert result.returncode == 1, result
    assert "daemon.log" in result.stderr and "-f" in result.stderr, result.stderr


def status_says_in_words_what_the_kernel_does_not_offer(stack):
    broker = Broker(stack, start=False)
    broker.socket.parent.mkdir(mode=0o700)
    listener = stack.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind(str(broker.socket))
    listener.listen()
    listener.settimeout(PATIENCE)
    sandboxes = {"keeper": {"seccomp": True, "landlock_abi": 5}, "writer": {"seccomp": True, "landlock_abi": 0},
                 "deal": {"seccomp": False, "landlock_abi": 0}}
    processes = [{"name": name, "pid": 7, "restarts": 0, "sandbox": sandbox} for name, sandbox in sandboxes.items()]
    asking = broker.popen("mcp-brokerctl", "--no-autostart", "status")
    client, _ = listener.accept()
    stack.enter_context(client)
    lines = client.makefile("rw")

    def say(message):
        lines.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        lines.flush()

    say({"method": "hello", "params": {"protocol": 1, "version": "0.1.0", "nonce": "x"}})
    for result in ({}, {"version": "0.1.0", "processes": processes}):
        say({"id": json.loads(lines.readline())["id"], "result": result})
    shown, errors = asking.communicate(timeout=PATIENCE)
    assert asking.returncode == 0, errors
    off = r"OFF \(the kernel does not offer it\)"
    for name, text in (("keeper", "seccomp on, landlock ABI 5"), ("writer", f"seccomp on, landlock {off}"),
                       ("deal", f"seccomp {off}, landlock {off}")):
        assert re.search(rf"^  {name} +pid 7 +{text}$", shown, re.M), shown


if __name__ == "__main__":
    sys.exit(Tap().run([
        a_redirect_port_that_is_taken_is_told_once,
        no_process_of_ours_keeps_a_descriptor_of_the_caller,
        a_stop_before_it_is_ready_is_no_failure,
        what_keeps_it_from_the_background_is_said,
        status_says_in_words_what_the_kernel_does_not_offer,
    ]))
