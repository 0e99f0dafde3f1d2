# SPDX-License-Identifier: Apache-2.0
"""An MCP host at the other end of a bridge's stdin and stdout, of the era before 2026-07-28 or of that one.

It trusts nothing: what is not one JSON-RPC message a line, an answer to nothing, or a second answer is a fault of the bridge.
"""
import json
import queue
import subprocess
import sys
import threading

META = "io.modelcontextprotocol/"
LEGACY, MODERN = "2025-11-25", "2026-07-28"
UNSUPPORTED_VERSION = -32022
ANSWER_SECONDS = 20
EXIT_SECONDS = 3


class Fault(Exception):
    """The bridge did what no bridge may do."""


class Refused(Exception):
    """A request was answered with an error."""

    def __init__(self, method, error):
        super().__init__(f"{method}: {json.dumps(error)}")
        self.error = error


class Host:
    def __init__(self, command, env, modern, capabilities=None):
        self.modern = modern
        self.version = MODERN if modern else LEGACY
        self.capabilities = capabilities or {}
        self.answers = {"ping": lambda params: {}, "elicitation/create": accept_with_defaults}
        self.faults = []
        self.waiting = {}
        self.answering = []
        self.lock = threading.Lock()
        self.last_id = 0
        # Its stderr is ours: a process it leaves behind keeps that open, and the suite waits for it until its time is up.
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    # --- lines ---

    def send(self, message):
        line = json.dumps(message, ensure_ascii=False)
        print(f"host -> {line}", file=sys.stderr, flush=True)
        with self.lock:
            try:
                self.process.stdin.write(line.encode() + b"\n")
                self.process.stdin.flush()
            except (BrokenPipeError, ValueError):
                raise Fault("the bridge no longer reads") from None

    def read(self):
        for line in self.process.stdout:
            print(f"host <- {line.decode(errors='replace').rstrip()}", file=sys.stderr, flush=True)
            try:
                if not line.endswith(b"\n"):
                    raise Fault("its last line has no end")
                self.take(json.loads(line))
            except (ValueError, Fault) as e:
                self.faults.append(f"on stdout {line!r}: {e}")
        with self.lock:
            waiting, self.waiting = self.waiting, None
        for box in waiting.values():
            box.put(None)

    def take(self, message):
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
            raise Fault("no JSON-RPC message")
        if "method" in message:
            if "id" in message:
                self.answering.append(threading.Thread(target=self.answer, args=(message,), daemon=True))
                self.answering[-1].start()
            return
        if ("result" in message) == ("error" in message):
            raise Fault("neither a result nor an error, or both")
        with self.lock:
            box = self.waiting.pop(message.get("id"), None)
        if not box:
            raise Fault("an answer to nothing that waits for one")
        box.put(message)

    def answer(self, message):
        answer = {"jsonrpc": "2.0", "id": message["id"]}
        try:
            if message["method"] in self.answers:
                answer["result"] = self.answers[message["method"]](message.get("params") or {})
            else:
                answer["error"] = {"code": -32601, "message": "Method not found"}
            self.send(answer)
        except Exception as e:  # pylint: disable=broad-except
            self.faults.append(f"answering {message['method']}: {e}")

    # --- what a host says ---

    def request(self, method, params=None):
        """The result; Refused if the answer is an error."""
        box = queue.SimpleQueue()
        with self.lock:
            if self.waiting is None:
                raise Fault("the bridge has ended")
            self.last_id += 1
            number = self.last_id
            self.waiting[number] = box
        self.send({"jsonrpc": "2.0", "id": number, "method": method, "params": self.with_meta(params or {})})
        try:
            message = box.get(timeout=ANSWER_SECONDS)
        except queue.Empty:
            raise Fault(f"{method} was not answered in {ANSWER_SECONDS} s") from None
        if message is None:
            raise Fault(f"the bridge ended without an answer to {method}")
        if "error" in message:
            raise Refused(method, message["error"])
        return message["result"]

    def with_meta(self, params):
        if not self.modern:
            return params
        return {**params, "_meta": {META + "protocolVersion": self.version, META + "clientCapabilities": self.capabilities,
                                    META + "clientInfo": {"name": "mcp-broker-test-host", "version": "1"}}}

    def notify(self, method):
        self.send({"jsonrpc": "2.0", "method": method})

    def open(self):
        """What comes first; the server's capabilities."""
        if not self.modern:
            result = self.request("initialize", {"protocolVersion": self.version, "capabilities": self.capabilities,
                                                 "clientInfo": {"name": "mcp-broker-test-host", "version": "1"}})
            self.notify("notifications/initialized")
            return result["capabilities"]
        try:
            return self.request("server/discover")["capabilities"]
        except Refused as e:
            if e.error.get("code") != UNSUPPORTED_VERSION:
                raise
            self.version = next(v for v in e.error["data"]["supported"] if v == MODERN)
            return self.request("server/discover")["capabilities"]

    def each(self, what):
        """All that a list names, page by page: tools, resources, prompts."""
        cursor = {}
        while True:
            result = self.request(f"{what}/list", cursor)
            yield from result[what]
            if not result.get("nextCursor"):
                return
            cursor = {"cursor": result["nextCursor"]}

    def call(self, name, arguments=None, **more):
        result = self.request("tools/call", {"name": name, "arguments": arguments or {}, **more})
        if result.get("isError"):
            raise Refused(f"tools/call {name}", result)
        return result

    def close(self):
        """The end of its input is all that a bridge is told, once it has the answers to what it asked."""
        for thread in self.answering:
            thread.join(EXIT_SECONDS)
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            status = self.process.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.faults.append(f"it did not exit within {EXIT_SECONDS} s of the end of its input")
            self.process.kill()
            status = self.process.wait()
        else:
            if status < 0:
                self.faults.append(f"signal {-status} ended it")
        self.reader.join(EXIT_SECONDS)
        if self.reader.is_alive():
            self.faults.append("something that it left behind holds its stdout")
        print(f"host: the bridge ended with {status}", file=sys.stderr, flush=True)


def accept_with_defaults(params):
    """A person who says yes to everything, and changes nothing that was filled in."""
    properties = params.get("requestedSchema", {}).get("properties", {})
    content = {name: p["default"] if "default" in p else minimal(p) for name, p in properties.items()}
    return {"action": "accept", "content": content}


def minimal(schema):
    """The least that fits a schema of one type."""
    return {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}}.get(schema.get("type"))


def minimal_arguments(tool):
    schema = tool.get("inputSchema", {})
    return {name: minimal(schema.get("properties", {}).get(name, {})) for name in schema.get("required", ())}
