# SPDX-License-Identifier: Apache-2.0
"""Two MCP servers that know one era each, and insist on it: what the other era would say, they refuse and write down."""

import http.server
import json
import queue
import select
import threading

META = "io.modelcontextprotocol/"
MODERN, LEGACY = "2026-07-28", "2025-11-25"
PATIENCE = 20


class RpcError(Exception):
    def __init__(self, code, message, status=200, data=None):
        super().__init__(message)
        self.status = status
        self.error = {"code": code, "message": message, **({"data": data} if data is not None else {})}


class Bare(Exception):
    """An answer of HTTP alone."""

    def __init__(self, status):
        super().__init__(status)
        self.status = status


class Stream:
    """The answer to one request: events as soon as one is sent, else one JSON object."""

    def __init__(self, handler):
        self.handler = handler
        self.open = False
        self.lock = threading.Lock()

    def begin(self):
        if not self.open:
            self.open = True
            self.handler.send_response(200)
            self.handler.send_header("Content-Type", "text/event-stream")
            self.handler.send_header("Connection", "close")
            self.handler.end_headers()
            self.handler.close_connection = True

    def send(self, message):
        with self.lock:
            self.begin()
            self.handler.wfile.write(b"event: message\ndata: " + json.dumps(message).encode() + b"\n\n")
            self.handler.wfile.flush()

    def note(self, method, params=None):
        self.send({"jsonrpc": "2.0", "method": method, **({"params": params} if params is not None else {})})

    def gone(self, timeout=0):
        """Has the client closed its end?"""
        ready, _, _ = select.select([self.handler.connection], [], [], timeout)
        return bool(ready)


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256  # else many connections at once wait for seconds

    def __init__(self, stack):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/mcp"
        self.log = []  # (HTTP method, headers, message)
        self.wrong = []  # what this era forbids
        self.closed = queue.SimpleQueue()  # methods whose stream the client closed
        self.methods = {"tools/list": lambda s, p: {"tools": [{"name": "t", "inputSchema": {"type": "object"}}]}}
        self.capabilities = {"tools": {"listChanged": True}, "prompts": {}, "resources": {"subscribe": True}, "logging": {}}
        stack.callback(self.server_close)
        stack.callback(self.shutdown)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def sent(self, method):
        return [message for _, _, message in self.log if message and message.get("method") == method]

    def headers_of(self, method):
        return next(headers for _, headers, message in self.log if message and message.get("method") == method)

    def complete(self, result):
        return result


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def say(self, status, body=None, **headers):
        data = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if body is not None:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.server.log.append(("GET", self.headers, None))
        self.server.get(self)

    def do_DELETE(self):
        self.server.log.append(("DELETE", self.headers, None))
        self.server.delete(self)

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.log.append(("POST", self.headers, message))
        stream = Stream(self)
        answer = {"jsonrpc": "2.0", "id": message.get("id")}
        extra = {}
        try:
            self.server.judge(self.headers, message)
            if "method" not in message or "id" not in message:
                self.server.hear(message)
                self.say(202)
                return
            function = self.server.methods.get(message["method"])
            if not function:
                raise RpcError(-32601, "no such method", self.server.no_method)
            answer["result"] = self.server.complete(function(stream, message.get("params") or {}))
            status = 200
            if message["method"] == "initialize":
                extra = {"Mcp_Session_Id": self.server.session}
        except Bare as e:
            self.say(e.status)
            return
        except RpcError as e:
            answer["error"] = e.error
            status = e.status
        except (BrokenPipeError, ConnectionResetError):
            self.server.closed.put(message["method"])
            return
        if stream.open:
            try:
                stream.send(answer)
            except (BrokenPipeError, ConnectionResetError):
                self.server.closed.put(message["method"])
        else:
            self.say(status, answer, **extra)


class ModernServer(Server):
    """2026-07-28, and nothing else."""
    no_method = 404

    def __init__(self, stack):
        super().__init__(stack)
        self.streams = []  # (subscription id, stream) of subscriptions/listen
        self.bare = None  # the status of such a refusal, without a word
        self.refuses = None  # (status, code) for what has no _meta; None: as the specification has it
        self.versions = [MODERN]
        self.methods["server/discover"] = self.discover
        self.methods["subscriptions/listen"] = self.listen
        self.ends = threading.Event()

    def discover(self, stream, params):
        return {"supportedVersions": self.versions, "capabilities": self.capabilities, "instructions": "Be kind.", "ttlMs": 0,
                "cacheScope": "public", "_meta": {META + "serverInfo": {"name": "modern", "version": "26"}}}

    def complete(self, result):
        return {"resultType": "complete", **result}

    def judge(self, headers, message):
        meta = (message.get("params") or {}).get("_meta") or {}
        if "method" not in message or "Mcp-Session-Id" in headers:
            self.wrong.append(message)
        if META + "protocolVersion" not in meta:
            if self.bare:
                raise Bare(self.bare)
            status, code = self.refuses or (400, -32602)
            raise RpcError(code, "the protocol version is missing in _meta", status)
        if headers["MCP-Protocol-Version"] != meta[META + "protocolVersion"] or headers["Mcp-Method"] != message["method"]:
            raise RpcError(-32020, "header mismatch", 400)
        if headers["MCP-Protocol-Version"] != MODERN:
            raise RpcError(-32022, "unsupported", 400, {"supported": [MODERN], "requested": meta[META + "protocolVersion"]})
        if META + "clientCapabilities" not in meta:
            raise RpcError(-32602, "no capabilities", 400)

    def hear(self, message):
        self.wrong.append(message)  # there is no notification of a client over HTTP

    def listen(self, stream, params):
        number = self.log[-1][2]["id"]
        stream.note("notifications/subscriptions/acknowledged",
                    {"_meta": {META + "subscriptionId": number}, "notifications": params["notifications"]})
        self.streams.append((params["notifications"], number, stream))
        while not stream.gone(0.02):
            if self.ends.is_set():
                return {"_meta": {META + "subscriptionId": number}}
        raise BrokenPipeError

    def tell(self, wanted, method, params=None):
        for notifications, number, stream in self.streams:
            if wanted in notifications:
                stream.note(method, {**(params or {}), "_meta": {META + "subscriptionId": number}})

    def get(self, handler):
        self.wrong.append("GET")
        handler.say(405)

    delete = get


class LegacyServer(Server):
    """2025-11-25 with sessions, and nothing else."""
    no_method = 200
    session = "s-1"

    def __init__(self, stack):
        super().__init__(stack)
        self.refuses = (400, -32000)
        self.initialized = threading.Event()
        self.listening = threading.Event()
        self.events = queue.SimpleQueue()  # for the stream of the GET
        self.answers = {}
        self.answered = threading.Condition()
        self.offers_stream = True
        self.notes = []
        self.deleted = threading.Event()
        self.methods.update({"initialize": self.initialize, "ping": lambda s, p: {}, "logging/setLevel": lambda s, p: {},
                             "resources/subscribe": lambda s, p: {}, "resources/unsubscribe": lambda s, p: {}})
        stack.callback(self.events.put, None)

    def initialize(self, stream, params):
        return {"protocolVersion": LEGACY, "capabilities": self.capabilities, "instructions": "Be kind.",
                "serverInfo": {"name": "legacy", "version": "25"}}

    def judge(self, headers, message):
        version = headers["MCP-Protocol-Version"]
        text = json.dumps(message)
        if version == MODERN or META in text or "Mcp-Method" in headers:
            self.wrong.append(message)
            if self.refuses[1] is None:
                raise Bare(self.refuses[0])
            raise RpcError(self.refuses[1], "Bad Request: Unsupported protocol version", self.refuses[0])
        if message.get("method") == "initialize":
            return
        if headers["Mcp-Session-Id"] != self.session:
            raise Bare(404) if "Mcp-Session-Id" in headers else RpcError(-32600, "no session", 400)
        if version != LEGACY:
            self.wrong.append(message)
        if not self.initialized.is_set() and message.get("method") != "notifications/initialized":
            raise RpcError(-32600, "not initialized")

    def hear(self, message):
        if message.get("method") == "notifications/initialized":
            self.initialized.set()
        elif "method" in message:
            self.notes.append(message)
        else:
            with self.answered:
                self.answers[message["id"]] = message
                self.answered.notify_all()

    def ask(self, stream, number, method, params=None):
        """A request to the client, on this stream or (None) the one of the GET; its answer."""
        message = {"jsonrpc": "2.0", "id": number, "method": method, **({"params": params} if params is not None else {})}
        if stream:
            stream.send(message)
        else:
            self.events.put(message)
        with self.answered:
            if not self.answered.wait_for(lambda: number in self.answers, PATIENCE):
                raise RpcError(-32603, "the client does not answer")
            return self.answers.pop(number)

    def tell(self, method, params=None):
        self.events.put({"jsonrpc": "2.0", "method": method, **({"params": params} if params is not None else {})})

    def get(self, handler):
        if not self.offers_stream or handler.headers["Mcp-Session-Id"] != self.session:
            handler.say(405)
            return
        stream = Stream(handler)
        stream.begin()
        handler.wfile.flush()
        self.listening.set()
        while True:
            message = self.events.get()
            if message is None:
                return
            try:
                stream.send(message)
            except OSError:
                return

    def delete(self, handler):
        self.deleted.set()
        handler.say(204)
