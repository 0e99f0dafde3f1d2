# SPDX-License-Identifier: Apache-2.0
"""What the integration tests share: private folders, a daemon, the demo server, a person at the browser, and TAP.

Nothing here sleeps to wait: the demo server's control API and the daemon's answers say when something has happened.
"""

import atexit
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.parse

BUILD = pathlib.Path(os.environ.get("top_builddir", ".")).resolve()
SOURCE = pathlib.Path(os.environ.get("top_srcdir", ".")).resolve()
# Slow machines and sanitizers: bounds on waiting for what will happen, never a measure of it.
PATIENCE = float(os.environ.get("MCPB_TEST_PATIENCE", "60"))


class Tap:
    """Collects claims and prints them as TAP."""

    def __init__(self):
        self.n = 0
        self.failed = 0

    def ok(self, good, claim, detail=""):
        self.n += 1
        if not good:
            self.failed += 1
        print(f"{'ok' if good else 'not ok'} {self.n} - {claim}", flush=True)
        if not good and detail:
            for line in str(detail).splitlines():
                print(f"# {line}", flush=True)
        return good

    def skip(self, claim, why):
        self.n += 1
        print(f"ok {self.n} - {claim} # SKIP {why}", flush=True)

    def run(self, tests):
        """Runs functions named after their claim; each gets a fresh scratch folder."""
        wanted = sys.argv[1:]
        for test in tests:
            claim = test.__name__.replace("_", " ")
            if wanted and not any(w in test.__name__ for w in wanted):
                continue
            try:
                with contextlib.ExitStack() as stack:
                    test(stack)
                self.ok(True, claim)
            except Skip as skip:
                self.skip(claim, str(skip))
            except Exception:  # pylint: disable=broad-except
                self.ok(False, claim, traceback.format_exc())
        print(f"1..{self.n}", flush=True)
        return 1 if self.failed else 0


class Skip(Exception):
    """This machine cannot show it; tests/skips must name the reason."""


def until(what, check, patience=PATIENCE):
    """Asks again until @check says yes; for states that nobody announces."""
    end = time.monotonic() + patience
    while True:
        result = check()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for: {what}")
        threading.Event().wait(0.01)


def program(name):
    """The program as built: libtool's wrapper script for what links our shared library."""
    return str(BUILD / name)


def real_program(name):
    """The binary behind libtool's wrapper."""
    hidden = BUILD / ".libs" / name
    return str(hidden if hidden.exists() else BUILD / name)


class Demo:
    """The demo server with its control API."""

    def __init__(self, stack, *options):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [program("contrib/demo/mcp-demo-server"), "--die-with-parent", "--log", *options],
            stdout=subprocess.PIPE, stderr=self.log)
        stack.callback(self.stop)
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("the demo server did not start: " + self.output())
        self.urls = json.loads(line)
        self.mcp = self.urls["mcp"]
        self.issuer = self.urls["issuer"]
        self.idp = self.urls.get("idp")
        self.control = urllib.parse.urlsplit(self.urls["control"])

    def output(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection(self.control.hostname, self.control.port, timeout=PATIENCE)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                raise AssertionError(f"{method} {path}: {answer.status} {text!r}")
            return json.loads(text)
        finally:
            connection.close()

    def stats(self):
        return self.ask("GET", "/stats?log=1024")

    def counters(self):
        return self.stats()["counters"]

    def requests(self, step=None):
        return [entry for entry in self.stats()["log"] if step is None or entry["step"] == step]

    def count(self, step):
        return self.stats()["requests"].get(step, 0)

    def fault(self, *names):
        return self.ask("POST", "/fault", {"add": list(names)})

    def clear(self):
        return self.ask("POST", "/fault", {"clear": True})

    def hold(self, step, after=False):
        return self.ask("POST", "/hold", {"step": step, "after": after})

    def release(self, step, n=None):
        """Lets all go and ends the hold; with @n the oldest @n, and goes on holding."""
        return self.ask("POST", "/release", {"step": step, **({"n": n} if n else {})})

    def wait(self, **conditions):
        """wait(held={"refresh": 1}): until at least so many are."""
        reached = self.ask("POST", "/wait", {**conditions, "timeout_ms": int(PATIENCE * 1000)})["reached"]
        if not reached:
            raise AssertionError(f"the demo server did not reach {conditions}: {self.stats()}")

    def script(self, *steps, method=None, times=1):
        """What is said to the next requests, or those for @method: see contrib/demo/README.md."""
        return self.ask("POST", "/script", {"script": steps, "times": times, **({"method": method} if method else {})})

    def push(self, to, *steps):
        """Says it on the newest open stream of a kind (post, get, listen, old), or on that of a name; which that was."""
        return self.ask("POST", "/push", {"to": to, "script": steps})["stream"]

    def lose_sessions(self, streams=True, cut=False):
        """Forgets all sessions, as a server that was started again; its streams end, or are cut."""
        return self.ask("POST", "/lose-sessions", {"streams": streams, "cut": cut})

    def close_idle(self):
        """Closes the MCP connections that are idle now; how many that were."""
        return self.ask("POST", "/close-idle", {})["closed"]

    def expire(self):
        return self.ask("POST", "/expire", {"access": True})

    def nonces(self):
        """New nonces for proofs of possession; the old ones are no good any more."""
        return self.ask("POST", "/nonces", {})

    def answer_device(self, decision="allow", user_code=None):
        """What the person says (allow, deny, expire) of a login by device code, or of all that wait; how many."""
        return self.ask("POST", "/device", {"decision": decision, **({"user_code": user_code} if user_code else {})})["decided"]

    def secrets(self):
        return self.ask("GET", "/tokens")


class Broker:
    """A daemon with private folders. @activated: its socket is ours and stays while daemons come and go, as with systemd."""

    def __init__(self, stack, *options, start=True, env=None, wrapper=(), daemon="mcp-brokerd", activated=False):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="mcpb-"))
        stack.callback(shutil.rmtree, self.dir, ignore_errors=True)
        for name in ("home", "config", "vendor/policy.d", "run"):
            (self.dir / name).mkdir(parents=True, mode=0o700)
        (self.dir / "vendor").chmod(0o755)
        (self.dir / "vendor/policy.d").chmod(0o755)
        shutil.copy(SOURCE / "src/policy/99-default.conf", self.dir / "vendor/policy.d/")
        (self.dir / "vendor/policy.d/99-default.conf").chmod(0o644)
        self.socket = self.dir / "run/broker/socket"
        self.state = self.dir / "state"
        self.options = options
        self.wrapper = list(wrapper)
        self.daemon = daemon
        self.pass_fds = ()
        self.log_path = self.dir / "log"
        self.process = None
        self.env = {k: v for k, v in os.environ.items() if k in (
            "PATH", "LANG", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "GCOV_PREFIX", "LD_LIBRARY_PATH")}
        self.env.update({"HOME": str(self.dir / "home"), "XDG_RUNTIME_DIR": str(self.dir / "run"),
                         "XDG_STATE_HOME": str(self.dir / "home/state"),
                         "XDG_CONFIG_HOME": str(self.dir / "home/config"),
                         "MCP_BROKER_SOCK": str(self.socket)})
        self.env.update(env or {})
        stack.callback(self.kill)
        if activated:
            self.socket.parent.mkdir(mode=0o700)
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(self.socket))
            self.socket.chmod(0o600)
            listener.listen(256)
            self.pass_fds += (listener.fileno(),)
            self.wrapper += ["bash", "-c", f'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3<&{listener.fileno()}', "bash"]
        if start:
            self.start()

    def command(self):
        return [*self.wrapper, program(self.daemon), "-f", f"--socket={self.socket}", f"--state-dir={self.state}",
                f"--libexec-dir={BUILD}", f"--vendor-dir={self.dir}/vendor", f"--config-dir={self.dir}/config",
                *self.options]

    def start(self, wait=True):
        log = open(self.log_path, "ab")
        offset = log.tell()
        self.process = subprocess.Popen(self.command(), env=self.env, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                        pass_fds=self.pass_fds)
        log.close()
        if wait:
            until("the daemon listens", lambda: self.listening(offset))
        return self

    def listening(self, offset=0):
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon ended with {self.process.returncode}:\n{self.log()}")
        return b"Listening on" in self.log_path.read_bytes()[offset:]

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE)
        return self.process.returncode if self.process else None

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def run(self, name, *args, stdin=None, env=None, check=None, timeout=PATIENCE):
        """Runs one of our programs to its end."""
        result = subprocess.run([program(name), *args], env={**self.env, **(env or {})}, capture_output=True, text=True,
                                input=stdin, timeout=timeout, **({} if stdin is not None else {"stdin": subprocess.DEVNULL}))
        if check is not None and result.returncode != check:
            raise AssertionError(f"{name} {args}: status {result.returncode}, not {check}\n{result.stdout}{result.stderr}"
                                 f"\n--- log\n{self.log()}")
        return result

    def popen(self, name, *args, env=None, **kwargs):
        return subprocess.Popen([program(name), *args], env={**self.env, **(env or {})}, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                **{"stdin": subprocess.DEVNULL, **kwargs})

    def quick(self, name, *args):
        """The same without libtool's wrapper: for many at once."""
        path = f"{BUILD}/.libs:{self.env.get('LD_LIBRARY_PATH', '')}".rstrip(":")
        return subprocess.Popen([real_program(name), *args], env={**self.env, "LD_LIBRARY_PATH": path}, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def person(self, script=None):
        """A $BROWSER that follows the login's redirects, as a person with --auto-consent would."""
        path = self.dir / "person"
        text = script or f"#!/bin/sh\nexec {sys.executable} {SOURCE}/tests/integration/person.py \"$1\" >>{self.dir}/person.log 2>&1\n"
        if not path.exists() or path.read_text() != text:
            # Whole or not at all: another one may be running it.
            new = self.dir / f"person.{threading.get_ident()}"
            new.write_text(text)
            new.chmod(0o755)
            new.rename(path)
        return {"BROWSER": str(path)}

    def add(self, url, *args, check=0):
        return self.run("mcp-add", url, *args, env=self.person(), check=check)

    def status(self):
        return json.loads(self.run("mcp-brokerctl", "status", "--json", check=0).stdout)

    def servers(self):
        return json.loads(self.run("mcp-list", "--json", check=0).stdout)["servers"]

    def token(self, server, *args, check=0):
        return self.run("mcp-token", "--no-login", *args, server, check=check).stdout.strip()

    def pid(self, name):
        """Never 0, which is said while a process is started again: kill() takes that for whoever runs the tests."""
        return until(f"{name} runs", lambda: next(p["pid"] for p in self.status()["processes"] if p["name"] == name))

    def audit(self):
        lines = (self.state / "audit/audit.log").read_text().splitlines()
        return [json.loads(line.rsplit("\t", 1)[0]) for line in lines]


class Rpc:
    """A bare client of the socket, as an agent's author would write it."""

    def __init__(self, path, open_session=True):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rb")
        self.last = 0
        self.hello = self.read()
        if open_session:
            self.call("session.open", nonce=self.hello["params"]["nonce"], client="test")

    def read(self):
        line = self.file.readline()
        return json.loads(line) if line else None

    def send(self, method, /, **params):
        self.last += 1
        self.socket.sendall(json.dumps({"jsonrpc": "2.0", "id": self.last, "method": method, "params": params}).encode() + b"\n")
        return self.last

    def call(self, method, /, **params):
        """The result; an error is raised with its code."""
        self.send(method, **params)
        answer = self.read()
        if answer is None:
            raise EOFError(method)
        if "error" in answer:
            raise RpcError(answer["error"])
        return answer["result"]

    def close(self):
        self.file.close()
        self.socket.close()


class RpcError(Exception):
    def __init__(self, error):
        super().__init__(error["message"])
        self.error = error
        self.code = error.get("data", {}).get("code")


def mcp_call(url, token, tool="generate_summary", arguments=None):
    """tools/call at an MCP server; returns status, headers and the parsed answer."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": tool, "arguments": arguments or {"text": "One sentence. And another."}}}
    try:
        connection.request("POST", parts.path, json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, dict(answer.getheaders()), json.loads(text) if text.startswith(b"{") else text
    finally:
        connection.close()
