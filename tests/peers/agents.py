# SPDX-License-Identifier: Apache-2.0
"""Agents as people have them, without an account: Codex by the protocol of its app server, Claude Code with a model that only
calls a tool. Of the network they are left this machine.

Both are told nothing of the broker but a command. Its environment is what they make of it, so they run where /run/user/UID is
the broker's runtime folder, as a desktop's is.
"""
import contextlib
import http.server
import json
import os
import platform
import shutil
import subprocess
import threading
import time

from harness import PATIENCE, Broker, Skip, program, until

# Runs "$@" where /run/user/$1 is the folder $2.
AT_HOME = """
set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p "/run/user/$1"
mount --bind "$2" "/run/user/$1"
shift 2
exec "$@"
"""
CODEX = {"x86_64": "codex-linux-x64/vendor/x86_64-unknown-linux-musl", "aarch64": "codex-linux-arm64/vendor/aarch64-unknown-linux-musl"}
CLAUDE = {"x86_64": "claude-code-linux-x64", "aarch64": "claude-code-linux-arm64"}
NO_NETWORK = {"HTTP_PROXY": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:1", "NO_PROXY": "127.0.0.1,localhost"}
TOKEN_IS_NEW_SECONDS = 5  # a helper that is called again so soon is not taken for one whose token was refused


def at_home(broker, *command):
    run = ["sh", "-c", AT_HOME, "sh", str(os.getuid()), str(broker.dir / "run"), *command]
    if os.getuid() == 0:
        return ["unshare", "--mount", *run]
    back = ["unshare", "--user", "--map-user=%d" % os.getuid(), "--map-group=%d" % os.getgid()]
    return ["unshare", "--user", "--map-root-user", "--mount", *run[:6], *back, *run[6:]]


class Desk:
    """A person's broker, and agents that find it as they would: by the person's uid."""

    def __init__(self, stack, stage):
        self.stack, self.stage = stack, stage
        self.broker = Broker(stack, start=False)
        self.broker.socket = self.broker.dir / "run/mcp-broker/socket"
        self.broker.env["MCP_BROKER_SOCK"] = str(self.broker.socket)
        self.broker.start()
        if subprocess.run(at_home(self.broker, "true"), capture_output=True, check=False).returncode != 0:
            raise Skip("no namespaces of its own for this user")
        self.home, self.project = self.broker.dir / "home", self.broker.dir / "project"
        self.project.mkdir()
        # What a desktop gives an agent; the agent hands on less.
        self.env = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "LC_ALL")}
        self.env.update({"HOME": str(self.home), "USER": "alice", "LOGNAME": "alice", "SHELL": "/bin/sh", "TERM": "dumb",
                         "SOME_API_TOKEN": "secret", "XDG_RUNTIME_DIR": str(self.broker.dir / "run"), **NO_NETWORK})

    def helper(self, url):
        """A command line for mcp-token that also writes down with which environment it ran."""
        notes = self.broker.dir / "helper"
        script = self.broker.dir / "helper.sh"
        script.write_text("#!/bin/sh\nenv | sed 's/=.*//' >\"$(mktemp %s.XXXXXX)\"\n"
                          "exec %s --header \"$1\"\n" % (notes, program("mcp-token")))
        script.chmod(0o755)
        return "%s %s" % (script, url)

    def helper_runs(self):
        """The names in the environment of each run so far."""
        return [set(p.read_text().split()) for p in self.broker.dir.glob("helper.??????")]

    def until_its_token_is_not_new(self):
        since = time.monotonic()
        until("the token has been there for some seconds", lambda: time.monotonic() > since + TOKEN_IS_NEW_SECONDS + 0.5)

    def askers(self):
        """Whom the daemon has given tokens to, in its own words."""
        return {(e["agent"]["exe"], e["agent"]["client"]) for e in self.broker.audit() if e["event"] == "token.release"}


def installed(stage, package, path):
    found = stage.peers / "agents/node_modules" / package / path
    if not found.exists():
        raise Skip("%s has no package for this machine" % package)
    return str(found)


def end(process):
    """By the end of its input; one that stays all the same is killed."""
    process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)
    process.kill()
    process.wait()
    process.stdout.close()


class Codex:
    """codex app-server: JSON-RPC by lines, as its editors speak to it. It calls a tool without any model."""

    def __init__(self, desk, server):
        self.exe = installed(desk.stage, "@openai", CODEX.get(platform.machine(), "") + "/bin/codex")
        folder = desk.home / ".codex"
        folder.mkdir()
        (folder / "config.toml").write_text("check_for_update_on_startup = false\n[analytics]\nenabled = false\n"
                                            "[mcp_servers.peer]\n" + server)
        self.log = desk.stage.logs / "codex.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(at_home(desk.broker, self.exe, "app-server"), env=desk.env, cwd=desk.project,
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        desk.stack.callback(end, self.process)
        self.last = 0
        self.call("initialize", clientInfo={"name": "peers", "title": None, "version": "1"}, capabilities=None)
        self.send(method="initialized")
        self.thread = self.call("thread/start", cwd=str(desk.project), ephemeral=True)["thread"]["id"]

    def send(self, **message):
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def call(self, method, **params):
        self.last += 1
        self.send(id=self.last, method=method, params=params)
        for line in self.process.stdout:
            message = json.loads(line)
            if message.get("id") == self.last and "method" not in message:
                assert "result" in message, (method, message)
                return message["result"]
        raise AssertionError(self.log.read_text())

    def tools(self):
        status = self.call("mcpServerStatus/list", threadId=self.thread)["data"]
        return [(s["name"], sorted(s["tools"])) for s in status]

    def whoami(self):
        answer = self.call("mcpServer/tool/call", threadId=self.thread, server="peer", tool="whoami", arguments={})
        assert not answer.get("isError"), answer
        return json.loads(answer["content"][0]["text"])


class Claude:
    """claude, with one server that the project names and the person has agreed to."""

    def __init__(self, desk, server):
        self.desk = desk
        self.exe = installed(desk.stage, "@anthropic-ai", CLAUDE.get(platform.machine(), "") + "/claude")
        (desk.project / ".mcp.json").write_text(json.dumps({"mcpServers": {"peer": server}}))
        (desk.home / ".claude.json").write_text(json.dumps({"hasCompletedOnboarding": True, "projects": {str(desk.project): {
            "hasTrustDialogAccepted": True, "enabledMcpjsonServers": ["peer"]}}}))
        self.env = {**desk.env, "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1"}

    def run(self, *arguments, **env):
        result = subprocess.run(at_home(self.desk.broker, self.exe, *arguments), env={**self.env, **env}, cwd=self.desk.project,
                                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=2 * PATIENCE, check=False)
        (self.desk.stage.logs / "claude.log").write_text(result.stdout + result.stderr)
        return result

    def listed(self):
        return self.run("mcp", "list").stdout

    def ask(self, model):
        """One prompt, answered by @model; what the tool answered each time."""
        result = self.run("-p", "Who am I?", "--allowedTools", "mcp__peer__whoami", ANTHROPIC_API_KEY="none",
                          ANTHROPIC_BASE_URL=model.url, ENABLE_TOOL_SEARCH="false", MCP_CONNECTION_NONBLOCKING="0")
        assert result.returncode == 0, (result.stdout, result.stderr, model.asked)
        return [json.loads(text) for text in model.answers]


class ClaudeSession:
    """claude as the programs around it have it: it is asked for the state of its servers, and told to connect again."""

    def __init__(self, claude):
        desk = claude.desk
        self.log = desk.stage.logs / "claude-session.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                at_home(desk.broker, claude.exe, "-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"),
                env={**claude.env, "ANTHROPIC_API_KEY": "none", "ANTHROPIC_BASE_URL": NO_NETWORK["HTTP_PROXY"],
                     "MCP_CONNECTION_NONBLOCKING": "0"},
                cwd=desk.project, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        desk.stack.callback(end, self.process)
        self.last = 0
        self.control("initialize")

    def control(self, subtype, **request):
        self.last += 1
        self.process.stdin.write(json.dumps({"type": "control_request", "request_id": str(self.last),
                                             "request": {"subtype": subtype, **request}}) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            message = json.loads(line)
            if message["type"] == "control_response" and message["response"]["request_id"] == str(self.last):
                return message["response"].get("response")
        raise AssertionError(self.log.read_text())

    def status(self):
        return {s["name"]: s["status"] for s in self.control("mcp_status")["mcpServers"]}

    def reconnect(self):
        self.control("mcp_reconnect", serverName="peer")


class Model(http.server.ThreadingHTTPServer):
    """The Messages API of a model that calls whoami again and again; before each call but the first it does what it is told."""

    def __init__(self, stack, *between):
        super().__init__(("127.0.0.1", 0), Says)
        self.url = "http://127.0.0.1:%d" % self.server_port
        self.between = (lambda: None, *between)
        self.answers, self.asked = [], []
        stack.callback(self.server_close)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        stack.callback(self.shutdown)

    def next_block(self, request):
        if not any(tool["name"] == "mcp__peer__whoami" for tool in request.get("tools", ())):
            return {"type": "text", "text": "Nothing."}
        self.answers = [text(block) for message in request["messages"] if isinstance(message["content"], list)
                        for block in message["content"] if block["type"] == "tool_result"]
        n = len(self.answers)
        if n == len(self.between):
            return {"type": "text", "text": "Done."}
        self.between[n]()
        return {"type": "tool_use", "id": "toolu_%d" % n, "name": "mcp__peer__whoami", "input": {}}


def text(block):
    content = block["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


class Says(http.server.BaseHTTPRequestHandler):
    def do_POST(self):  # noqa: N802 (the base class wants this name)
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, len(request.get("tools", ()))))
        block = self.server.next_block(request)
        reason = "tool_use" if block["type"] == "tool_use" else "end_turn"
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": request.get("model"), "content": [block],
                   "stop_reason": reason, "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}
        if request.get("stream"):
            body = "".join("event: %s\ndata: %s\n\n" % (e["type"], json.dumps(e)) for e in events(message, block))
        else:
            body = json.dumps(message)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if request.get("stream") else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def do_HEAD(self):  # noqa: N802 (the base class wants this name)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def events(message, block):
    tool = block["type"] == "tool_use"
    yield {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}}
    yield {"type": "content_block_start", "index": 0, "content_block": block if tool else {"type": "text", "text": ""}}
    yield {"type": "content_block_delta", "index": 0,
           "delta": {"type": "input_json_delta", "partial_json": "{}"} if tool else {"type": "text_delta", "text": block["text"]}}
    yield {"type": "content_block_stop", "index": 0}
    yield {"type": "message_delta", "delta": {"stop_reason": message["stop_reason"], "stop_sequence": None},
           "usage": {"output_tokens": 1}}
    yield {"type": "message_stop"}
