#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mcp-connect beside npm's mcp-remote and the server alone, in turns, in one run on this machine. Prints a table; judges nothing.

  contrib/check conformance               # once: installs mcp-remote, and a Node that it can use
  top_builddir=. top_srcdir=.. python3 ../tests/bench/connect.py [--runs N] [--mcp-remote FOLDER] [--node PROGRAM]

Build with -O2. Where there is no mcp-remote, its column stays empty.
"""

import argparse
import contextlib
import json
import os
import pathlib
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../integration"), os.path.join(HERE, "../conformance")]
from bridges import browser_env, person  # noqa: E402
from harness import BUILD, PATIENCE, Broker, Demo, real_program  # noqa: E402

OURS, THEIRS, ALONE = "mcp-connect", "mcp-remote", "server alone"
TOOL = {"name": "generate_summary", "arguments": {"text": "One. Two. Three."}}
IN_FLIGHT = 16
MANY = 10000
EXIT_SECONDS = 10


def message(method, params=None, number=None):
    head = {"jsonrpc": "2.0", **({} if number is None else {"id": number}), "method": method}
    return json.dumps({**head, **({} if params is None else {"params": params})}).encode()


def initialize():
    return message("initialize", {"protocolVersion": "2025-11-25", "capabilities": {},
                                  "clientInfo": {"name": "bench", "version": "1"}}, 0)


def msec_since(begin):
    return (time.perf_counter() - begin) * 1e3


# --- who is measured ------------------------------------------------------------------------------

class Bridge:
    """A process of it, and its stdin and stdout. Nothing is done here in the background."""

    def __init__(self, command, env):
        self.begin = time.perf_counter()
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, bufsize=0)
        self.lines = self.process.stdout.fileno()
        self.rest = b""
        self.last = 0

    def write(self, data):
        data = memoryview(data + b"\n")
        while data:
            data = data[self.process.stdin.write(data):]

    def read(self):
        """A line, as bytes; nobody has to parse it."""
        while b"\n" not in self.rest:
            parts = [self.rest]
            while True:
                part = os.read(self.lines, 1 << 20)
                if not part:
                    raise EOFError("the bridge has ended")
                parts.append(part)
                if b"\n" in part:
                    break
            self.rest = b"".join(parts)
        line, _, self.rest = self.rest.partition(b"\n")
        return line

    def answer(self):
        while b'"id":' not in (line := self.read())[:100000] or b'"method":' in line[:1000]:
            pass
        if b'"error":' in line[:1000]:
            raise AssertionError(f"an error: {line[:1000]}")
        return line

    def ready(self):
        """Msec from the start of the process to the answer of `initialize`."""
        self.answer()
        return msec_since(self.begin)

    def open(self):
        self.write(initialize())
        took = self.ready()
        self.write(message("notifications/initialized"))
        return took

    def send_call(self):
        self.last += 1
        self.write(message("tools/call", TOOL, self.last))

    def call(self):
        begin = time.perf_counter()
        self.send_call()
        self.answer()
        return msec_since(begin)

    def calls(self, n):
        """Calls a second, with so many in flight."""
        begin = time.perf_counter()
        for _ in range(min(n, IN_FLIGHT)):
            self.send_call()
        for i in range(n):
            self.answer()
            if i + IN_FLIGHT < n:
                self.send_call()
        return n / (time.perf_counter() - begin)

    def memory(self):
        """RSS, PSS and the highest RSS, in MiB."""
        proc = pathlib.Path(f"/proc/{self.process.pid}")
        text = (proc / "smaps_rollup").read_text() + (proc / "status").read_text()
        kib = {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in text.splitlines())
               if name in ("Rss", "Pss", "VmHWM")}
        return kib["Rss"] / 1024, kib["Pss"] / 1024, kib["VmHWM"] / 1024

    def end(self):
        """Msec from the end of its input to its own; None: it is still there."""
        begin = time.perf_counter()
        if not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
        return msec_since(begin)


class Direct:
    """The same calls to the server itself, over connections that stay open."""

    def __init__(self, url, token, n=1):
        u = urllib.parse.urlsplit(url)
        self.head = (f"POST {u.path} HTTP/1.1\r\nHost: {u.netloc}\r\nAuthorization: Bearer {token}\r\n"
                     "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n").encode()
        self.sockets = []
        for _ in range(n):
            s = socket.create_connection((u.hostname, u.port), timeout=PATIENCE)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets.append(s)

    def send(self, s):
        body = message("tools/call", TOOL, 1)
        s.sendall(self.head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)

    @staticmethod
    def answer(s):
        parts = [s.recv(1 << 20)]
        head, _, body = parts[0].partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        left = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        left -= len(body)
        while left > 0:
            parts.append(s.recv(1 << 20))
            left -= len(parts[-1])

    def call(self):
        begin = time.perf_counter()
        self.send(self.sockets[0])
        self.answer(self.sockets[0])
        return msec_since(begin)

    def calls(self, n):
        begin = time.perf_counter()
        with selectors.DefaultSelector() as ready:
            for s in self.sockets:
                ready.register(s, selectors.EVENT_READ)
                self.send(s)
            sent, done = len(self.sockets), 0
            while done < n:
                for key, _ in ready.select():
                    self.answer(key.fileobj)
                    done += 1
                    if sent < n:
                        self.send(key.fileobj)
                        sent += 1
        return n / (time.perf_counter() - begin)

    def close(self):
        for s in self.sockets:
            s.close()


class Stage:
    """The server, and what each bridge needs to be let in: logged in once."""

    def __init__(self, stack, arguments):
        self.stack = stack
        self.demo = Demo(stack, "--auto-consent", "--access-ttl=36000", "--body-max=4")
        self.broker = Broker(stack)
        self.broker.add(self.demo.mcp, "--name=demo")
        self.node = shutil.which(arguments.node) or arguments.node
        self.proxy = pathlib.Path(arguments.mcp_remote) / "mcp-remote/dist/proxy.js"
        self.names = [OURS] + [THEIRS] * self.proxy.exists()
        self.their_env = self.their_world(0)
        if THEIRS in self.names:
            bridge = self.bridge(THEIRS)
            bridge.open()
            bridge.end()

    def their_world(self, seconds):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="mcpb-bench-"))
        self.stack.callback(shutil.rmtree, folder, ignore_errors=True)
        browsers = person(folder, seconds, folder / "person.log")
        return {"HOME": str(folder), "MCP_REMOTE_CONFIG_DIR": str(folder / "auth"), "LANG": "C.UTF-8",
                **browser_env(browsers, os.environ["PATH"])}

    def bridge(self, name, env=None, server=None):
        if name == THEIRS:
            return Bridge([self.node, str(self.proxy), server or self.demo.mcp], env or self.their_env)
        path = f"{BUILD}/.libs:{self.broker.env.get('LD_LIBRARY_PATH', '')}".rstrip(":")
        return Bridge([real_program(OURS), server or "demo"], {**(env or self.broker.env), "LD_LIBRARY_PATH": path})

    def direct(self, n=1):
        direct = Direct(self.demo.mcp, self.broker.token("demo"), n)
        self.stack.callback(direct.close)
        return direct

    def opened(self):
        bridges = {name: self.bridge(name) for name in self.names}
        for bridge in bridges.values():
            bridge.open()
            bridge.call()
            self.stack.callback(bridge.end)
        return bridges


# --- what is measured -----------------------------------------------------------------------------

def row(what, unit, values, target=None):
    """A line of the table; the ratio is ours to theirs, however it is to be read."""
    ours, theirs = values.get(OURS), values.get(THEIRS)
    ratio = ""
    if isinstance(ours, (int, float)) and isinstance(theirs, (int, float)) and min(ours, theirs) > 0:
        ratio = f"1/{theirs / ours:.1f}" if theirs >= ours else f"{ours / theirs:.1f}"
    cells = "".join(f"{shown(values.get(name)):>14}" for name in (OURS, THEIRS, ALONE))
    print(f"{what:<58}{unit:>6}{cells}{ratio:>10}{target or '':>9}", flush=True)


def shown(value):
    if value is None:
        return "-"
    return value if isinstance(value, str) else f"{value:.3f}" if value < 10 else f"{value:.1f}" if value < 1000 else f"{value:.0f}"


def in_turns(names, runs, measure):
    """Medians of what was measured one after the other, again and again: what else the machine does hits all alike."""
    values = {name: [] for name in names}
    for _ in range(runs):
        for name in names:
            values[name].append(measure(name))
    return {name: statistics.median(v) for name, v in values.items()}


def start(stage, runs):
    def one(name):
        bridge = stage.bridge(name)
        took = bridge.open()
        bridge.end()
        return took
    row("spawn to the answer of initialize", "ms", in_turns(stage.names, runs, one), "1/30")

    def ten(name):
        bridges = [stage.bridge(name) for _ in range(10)]
        for bridge in bridges:
            bridge.write(initialize())
        for bridge in bridges:
            bridge.ready()
        took = msec_since(bridges[0].begin)
        for bridge in bridges:
            bridge.process.stdin.close()
        for bridge in bridges:
            bridge.end()
        return took
    row("ten at once, the last is ready", "ms", in_turns(stage.names, max(3, runs // 4), ten), "1/50")


def requests_first(stage):
    def count(name):
        before = sum(stage.demo.stats()["requests"].values())
        bridge = stage.bridge(name)
        bridge.write(initialize())
        bridge.ready()
        n = sum(stage.demo.stats()["requests"].values()) - before
        bridge.end()
        return n
    row("HTTP requests before that answer", "", {name: str(count(name)) for name in stage.names})


def memory(stage):
    bridges = stage.opened()
    first = {name: bridge.memory() for name, bridge in bridges.items()}
    row("RSS after the first call", "MiB", {name: m[0] for name, m in first.items()}, "1/8")
    row("PSS after the first call", "MiB", {name: m[1] for name, m in first.items()}, "1/12")
    grown = {}
    for name, bridge in bridges.items():
        bridge.calls(MANY)
        before = bridge.memory()
        bridge.calls(MANY)
        grown[name] = bridge.memory()[0] - before[0]
    after = {name: bridge.memory() for name, bridge in bridges.items()}
    row(f"RSS after {2 * MANY} calls, {IN_FLIGHT} in flight", "MiB", {name: m[0] for name, m in after.items()})
    row(f"  growth over the second {MANY}", "MiB", {name: f"{value:+.2f}" for name, value in grown.items()})
    rounds = 4
    for name, bridge in bridges.items():
        sizes = []
        for _ in range(rounds):
            stage.demo.ask("POST", "/script", {"method": "tools/call", "script": [{"notify": MANY}, {"answer": True}]})
            bridge.call()
            sizes.append(bridge.memory()[0])
        grown[name] = sizes[-1] - sizes[rounds // 2 - 1]
    after = {name: bridge.memory() for name, bridge in bridges.items()}
    row(f"RSS after {rounds} answers with {MANY} notifications each", "MiB", {name: m[0] for name, m in after.items()})
    row(f"  growth over the last {rounds // 2}", "MiB", {name: f"{value:+.2f}" for name, value in grown.items()})
    row("highest RSS", "MiB", {name: m[2] for name, m in after.items()})


def calls(stage, runs):
    bridges = stage.opened()
    bridges[ALONE] = stage.direct()
    took = {name: [] for name in bridges}
    for _ in range(runs):
        for name, bridge in bridges.items():
            took[name] += [bridge.call() for _ in range(200)]
    for quantile, title in ((50, "p50"), (99, "p99")):
        at = {name: statistics.quantiles(values, n=100)[quantile - 1] for name, values in took.items()}
        row(f"a call, {title}", "ms", at)
        row(f"  added to the server's, {title}", "ms", {name: at[name] - at[ALONE] for name in stage.names},
            "1/7" if quantile == 50 else None)
    bridges[ALONE] = stage.direct(IN_FLIGHT)
    row(f"calls a second, {IN_FLIGHT} in flight", "1/s", in_turns(list(bridges), max(3, runs // 4), lambda name: bridges[name].calls(1000)))
    bridges[ALONE] = stage.direct()
    stage.demo.fault("big:mcp=1")
    big = in_turns(list(bridges), runs, lambda name: bridges[name].call())
    row("a result of 1 MiB", "ms", big)
    row("  added to the server's", "ms", {name: big[name] - big[ALONE] for name in stage.names})
    stage.demo.clear()


# --- the end of input -----------------------------------------------------------------------------

def idle(stage, name):
    bridge = stage.bridge(name)
    bridge.open()
    bridge.call()
    return bridge


def in_a_call(stage, name):
    bridge = stage.bridge(name)
    bridge.open()
    bridge.call()
    held = stage.demo.stats()["held"].get("mcp", 0)
    stage.demo.fault("hang:mcp@tools/call")
    bridge.send_call()
    stage.demo.wait(held={"mcp": held + 1})
    return bridge


def in_a_login(stage, name):
    """Nobody ever sits at the browser."""
    other = Demo(stage.stack)
    broker = Broker(stage.stack)
    env = {**broker.env, "BROWSER": "/bin/false"} if name == OURS else {**stage.their_world(0), "BROWSER": "/bin/false"}
    for browser in pathlib.Path(env["PATH"].split(":")[0]).glob("*") if name == THEIRS else ():
        browser.write_text("#!/bin/sh\nexit 0\n")
    bridge = stage.bridge(name, env, other.mcp)
    bridge.write(initialize())
    other.wait(requests={"register": 1})
    time.sleep(1)  # from here on it waits, and tells nobody
    return bridge


def without_the_daemon(stage, name):
    """Somebody listens there and says nothing, as a daemon does that is just being started."""
    if name == THEIRS:
        return None
    folder = tempfile.mkdtemp(prefix="mcpb-bench-")
    stage.stack.callback(shutil.rmtree, folder, ignore_errors=True)
    listener = stage.stack.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind(f"{folder}/socket")
    listener.listen(8)
    bridge = stage.bridge(name, {**stage.broker.env, "MCP_BROKER_SOCK": f"{folder}/socket"})
    bridge.write(initialize())
    stage.stack.enter_context(listener.accept()[0])
    return bridge


def at_once(stage, name):
    bridge = stage.bridge(name)
    bridge.write(initialize())
    return bridge


def ends(stage):
    for title, state in (("at once, with initialize unanswered", at_once), ("idle", idle), ("in a call", in_a_call),
                         ("waiting for a login", in_a_login), ("waiting for the daemon", without_the_daemon)):
        took, deleted = {}, {}
        for name in stage.names:
            before = stage.demo.stats()["methods"].get("DELETE", 0)
            staged = state(stage, name)
            if staged:
                msec = staged.end()
                took[name] = f"{msec:.1f}" if msec is not None else f"> {EXIT_SECONDS * 1000}"
                deleted[name] = "yes" if stage.demo.stats()["methods"].get("DELETE", 0) > before else "no"
            stage.demo.clear()
            stage.demo.ask("POST", "/release", {})
        row(f"end of input to exit: {title}", "ms", took)
        if state in (at_once, idle, in_a_call):
            row("  the server was told (DELETE)", "", deleted)


def main():
    home = BUILD / "conformance"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--mcp-remote", default=home / "mcp-remote/node_modules", help="the node_modules that it is in")
    parser.add_argument("--node", default=next((str(p) for p in home.glob("node/node_modules/.bin/node")), "node"))
    parser.add_argument("--only", default="", help="start, requests, memory, calls, ends")
    arguments = parser.parse_args()
    parts = (("start", lambda s: start(s, arguments.runs)), ("requests", requests_first), ("memory", memory),
             ("calls", lambda s: calls(s, arguments.runs)), ("ends", ends))
    print(f"load {os.getloadavg()[0]:.1f} at the start, {os.cpu_count()} processors")
    print(f"{'':<58}{'':>6}" + "".join(f"{name:>14}" for name in (OURS, THEIRS, ALONE)) + f"{'ratio':>10}{'wanted':>9}")
    for name, part in parts:
        if not arguments.only or name in arguments.only.split(","):
            with contextlib.ExitStack() as stack:
                part(Stage(stack, arguments))
    print(f"load {os.getloadavg()[0]:.1f} at the end")
    return 0


if __name__ == "__main__":
    sys.exit(main())
