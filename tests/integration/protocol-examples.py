#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Says to a real daemon what the examples of doc/PROTOCOL.md say, and compares what it answers.

Lines of an example: "C: " what the client sends, "S: " what must come back ("*" is any value, "*":"*" any further members, "$name"
a value that is kept, or that must be the one kept before; "end": the connection ends), "open: " what a person opens in the browser.
The words behind "mcp": "session" opens a session first; "as=manage" is said by one of mcp-broker's own programs.

With MCP_BROKER_SOCK in the environment, that daemon is asked, as far as the examples need no server.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import PATIENCE, SOURCE, Broker, Demo, Skip, Tap, real_program  # noqa: E402

DOC = (SOURCE / "doc/PROTOCOL.md").read_text()
BLOCK = re.compile(r"^```mcp([^\n]*)\n(.*?)^```$", re.M | re.S)
PROGRAMS = ("mcp-broker-net", "mcp-broker-session", "mcp-broker-kdf", "mcp-broker-identity")
# What one of the broker's own programs would do, for a Python that stands in its place.
RELAY = """
import os, select, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
while True:
    ready, _, _ = select.select([0, s], [], [])
    if 0 in ready:
        data = os.read(0, 65536)
        if not data:
            break
        s.sendall(data)
    if s in ready:
        data = s.recv(65536)
        if not data:
            break
        os.write(1, data)
"""


class Direct:
    """A connection of this very process."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def read(self):
        return self.file.readline()

    def close(self):
        self.file.close()
        self.socket.close()


class Relayed:
    """A connection of a program that the daemon knows as its own."""

    def __init__(self, path, program):
        # A copy elsewhere does not find its library by itself.
        env = {**os.environ, "PYTHONHOME": f"{sys.base_prefix}:{sys.base_exec_prefix}"}
        self.process = subprocess.Popen([str(program), "-c", RELAY, str(path)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, env=env)

    def send(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def read(self):
        return self.process.stdout.readline()

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def fill(text, known):
    return re.sub(r'\$([a-z_]+)', lambda m: json.dumps(known[m.group(1)])[1:-1] if m.group(1) in known else m.group(0), text)


def match(want, got, known, where="answer"):
    if want == "*":
        return
    if isinstance(want, str) and want.startswith("$"):
        if known.setdefault(want[1:], got) != got:
            raise AssertionError(f"{where}: {got!r} is not the {want} of before")
    elif isinstance(want, dict) and isinstance(got, dict):
        missing = set(want) - set(got) - {"*"}
        more = set(got) - set(want)
        if missing or (more and "*" not in want):
            raise AssertionError(f"{where}: missing {missing or '{}'}, unexpected {more or '{}'} in {got}")
        for key in want:
            if key != "*":
                match(want[key], got[key], known, f"{where}.{key}")
    elif isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        for i, (a, b) in enumerate(zip(want, got)):
            match(a, b, known, f"{where}[{i}]")
    elif type(want) is not type(got) or want != got:
        raise AssertionError(f"{where}: {got!r} instead of {want!r}")


def open_session(connection):
    hello = json.loads(connection.read())
    connection.send(json.dumps({"jsonrpc": "2.0", "id": "open", "method": "session.open",
                                "params": {"nonce": hello["params"]["nonce"]}}).encode() + b"\n")
    answer = json.loads(connection.read())
    assert "result" in answer, answer


def replay(connection, body, known):
    for line in body.splitlines():
        kind, _, text = line.partition(": ")
        if kind == "C":
            connection.send(fill(text, known).encode() + b"\n")
        elif kind == "open":
            subprocess.run([sys.executable, str(SOURCE / "tests/integration/person.py"), fill(text, known)],
                           check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE)
        elif text == "end":
            assert connection.read() == b"", "the connection goes on"
        else:
            answer = connection.read()
            assert answer, f"the connection ended instead of {text}"
            match(json.loads(text), json.loads(answer), known)


def own_program(broker_dir):
    """A folder of the daemon's programs in which this Python has the name of one: session knows those beside itself."""
    folder = pathlib.Path(broker_dir)
    for name in PROGRAMS:
        shutil.copy(real_program(name), folder / name)
    shutil.copy(os.path.realpath(sys.executable), folder / "mcp-audit")
    return folder / "mcp-audit"


def main():
    tap = Tap()
    given = os.environ.get("MCP_BROKER_SOCK")
    with contextlib.ExitStack() as stack:
        known = {}
        program = None
        path = given
        if not given:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mcpb-own-"))
            program = own_program(folder)
            known["mcp"] = Demo(stack, "--auto-consent").mcp
            path = Broker(stack, f"--libexec-dir={folder}").socket

        def one(number, words, body):
            manage = "as=manage" in words
            if given and (manage or "$login" in body or "$token" in body):
                raise Skip("a daemon of its own is needed")
            connection = Relayed(path, program) if manage else Direct(path)
            try:
                if "session" in words:
                    open_session(connection)
                replay(connection, body, known)
            finally:
                connection.close()

        tests = []
        for number, (words, body) in enumerate(BLOCK.findall(DOC), 1):
            def test(_, number=number, words=words.split(), body=body):
                one(number, words, body)
            test.__name__ = f"example_{number}_of_the_protocol_is_what_happens"
            tests.append(test)
        return tap.run(tests)


if __name__ == "__main__":
    sys.exit(main())
