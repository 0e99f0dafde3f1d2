#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""While others are slow, loud or silent, a cached token for somebody else is answered as before."""

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Tap, until  # noqa: E402
from rough import PATIENCE, Broker, Demo, Rpc, Waiting, token_of  # noqa: E402

SAMPLES = 200
# No measure of speed: only that nobody waits for somebody else. A loaded machine alone makes a factor of two.
RATIO_MAX = 10
BLOCKED_SEC = 1.0


def cached(rpc, server):
    """Seconds of each of many calls for a token that is at hand."""
    times = []
    for _ in range(SAMPLES):
        begin = time.perf_counter()
        rpc.call("token.get", server=server)
        times.append(time.perf_counter() - begin)
    return times


def report(what, before, during):
    a, b = statistics.median(before), statistics.median(during)
    print(f"# {what}: median {a * 1e6:.0f} us before, {b * 1e6:.0f} us during, ratio {b / a:.2f}; slowest {max(before) * 1e3:.1f} ms "
          f"before, {max(during) * 1e3:.1f} ms during", flush=True)
    return a, b


def compare(what, before, during):
    a, b = report(what, before, during)
    assert b < RATIO_MAX * max(a, 0.0002), f"{what}: {b / a:.1f} times as slow"
    assert b < BLOCKED_SEC, what


class Place:
    def __init__(self, stack):
        self.stack = stack
        self.broker = Broker(stack)
        self.demo = Demo(stack, "--auto-consent")
        self.broker.add(self.demo.mcp)
        self.rpc = Rpc(self.broker.socket)
        self.rpc.call("token.get", server=self.demo.mcp)
        self.before = cached(self.rpc, self.demo.mcp)

    def compare(self, what):
        compare(what, self.before, cached(self.rpc, self.demo.mcp))


def opened(broker, stack):
    s = socket.socket(socket.AF_UNIX)
    stack.callback(s.close)
    s.settimeout(PATIENCE)
    s.connect(str(broker.socket))
    f = s.makefile("rb")
    nonce = json.loads(f.readline())["params"]["nonce"]
    s.sendall(json.dumps({"jsonrpc": "2.0", "id": 0, "method": "session.open", "params": {"nonce": nonce}}).encode() + b"\n")
    f.readline()
    return s


# S9
def while_an_issuer_hangs_others_are_answered(stack):
    place = Place(stack)
    waiting = []
    for step in ("asmeta", "register", "token"):
        demo = Demo(stack, "--auto-consent", "--fault", f"hang:{step}")
        waiting.append(place.broker.popen("mcp-add", demo.mcp, env=place.broker.person()))
        demo.wait(held={step: 1})
    demo = Demo(stack, "--auto-consent", "--fault", "expired-at-once:token")
    place.broker.add(demo.mcp)
    demo.hold("refresh")
    # Many wait for one refresh.
    asking = [Rpc(place.broker.socket) for _ in range(50)]
    for rpc in asking:
        rpc.send("token.get", server=demo.mcp)
    demo.wait(held={"refresh": 1})
    place.compare("an issuer hangs at four steps, 50 wait for it")
    demo.release("refresh")
    assert len({rpc.read()["result"]["token"] for rpc in asking}) == 1
    assert demo.counters()["refreshes"] == 1
    for rpc in asking:
        rpc.close()
    for process in waiting:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)


# S9
def while_others_say_half_a_line_one_is_answered(stack):
    place = Place(stack)
    for i in range(100):
        opened(place.broker, stack).sendall(b'{"jsonrpc":"2.0","id":1,"method":"' + b"x" * (i * 500))
    place.compare("100 clients have said half a line")


# S9
def while_others_read_nothing_one_is_answered(stack):
    place = Place(stack)
    line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "token.get", "params": {"server": place.demo.mcp}}).encode() + b"\n"
    for _ in range(10):
        s = opened(place.broker, stack)
        s.setblocking(False)
        full = 0
        while full < 20:
            try:
                s.send(line)
                full = 0
            except BlockingIOError:
                full += 1
                time.sleep(0.001)
    place.compare("10 clients ask and read nothing")


SHOUT = """
import socket, sys
while True:
    try:
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(5)
        s.connect(sys.argv[1])
        s.sendall(b"x" * 100000)
        s.close()
    except OSError:
        pass
"""


# S9
def while_another_connects_without_end_one_is_answered(stack):
    """New ones wait for those that are here: thousands lie in the socket's queue, and none of them is in the way."""
    place = Place(stack)
    shouting = subprocess.Popen([sys.executable, "-c", SHOUT, str(place.broker.socket)])
    try:
        until("it is heard", lambda: "refused process" in place.broker.log())
        during = cached(place.rpc, place.demo.mcp)
        report("another connects and sends garbage as fast as it can", place.before, during)
        # The two cores are taken, so there is nothing to compare but this: nobody is kept out until the queue is empty.
        assert max(during) < 2 * BLOCKED_SEC, max(during)
    finally:
        shouting.kill()
        shouting.wait()


# S9
def while_logins_wait_for_people_others_are_answered(stack):
    place = Place(stack)
    waiting = []
    for _ in range(8):
        waiting.append(Waiting(place.broker, Demo(stack).mcp))
    place.compare("8 logins wait for their browsers")
    for w in waiting:
        w.process.send_signal(signal.SIGINT)
        assert w.finish().returncode == 130


# S9
def while_the_disk_is_busy_others_are_answered(stack):
    """The writer is stopped: what must become durable waits, and a token that is at hand does not."""
    place = Place(stack)
    demo = Demo(stack, "--auto-consent", "--fault", "expired-at-once:token")
    place.broker.add(demo.mcp)
    writer = place.broker.pid("writer")
    os.kill(writer, signal.SIGSTOP)
    try:
        asking = place.broker.popen("mcp-token", "--no-login", demo.mcp)
        place.compare("the writer stands still")
        assert asking.poll() is None and demo.count("refresh") == 0, "a refresh went out before its mark was durable"
    finally:
        os.kill(writer, signal.SIGCONT)
    assert asking.wait(PATIENCE) == 0, asking.stderr.read()


# S9
def while_a_worker_stands_still_others_are_answered(stack):
    place = Place(stack)
    for name in ("explore", "deal"):
        pid = place.broker.pid(name)
        os.kill(pid, signal.SIGSTOP)
        try:
            place.compare(f"{name} stands still")
        finally:
            os.kill(pid, signal.SIGCONT)
    assert token_of(place.broker, place.demo.mcp).returncode == 0
    until("and it goes on", lambda: place.broker.run("mcp-add", place.demo.mcp, env=place.broker.person()).returncode == 0)


TESTS = [value for value in list(globals().values())
         if callable(value) and getattr(value, "__module__", None) == "__main__" and value.__name__ not in (
             "cached", "compare", "report", "Place", "opened")]

if __name__ == "__main__":
    sys.exit(Tap().run(TESTS))
