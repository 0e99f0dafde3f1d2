#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Servers of 2025-03-26: no metadata of the resource, and the MCP server is its own authorization server."""

import base64
import hashlib
import http.server
import json
import os
import sys
import threading
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Broker, Rpc, Tap, mcp_call  # noqa: E402


class OldServer(http.server.ThreadingHTTPServer):
    """@metadata: its issuer's path and the folder of its endpoints, or None where it has no metadata; @prm: the status of
    what says where the resource's metadata would be."""

    def __init__(self, stack, metadata=None, prm=404):
        super().__init__(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server_port}"
        self.mcp = self.origin + "/v1/mcp"
        self.metadata = metadata
        self.folder = metadata[1] if metadata else ""
        self.prm = prm
        self.log = []  # (method, path, headers, parameters)
        self.challenge = ""
        self.tokens = []
        stack.callback(self.server_close)
        stack.callback(self.shutdown)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def paths(self, method):
        return [path for m, path, _, _ in self.log if m == method]

    def last(self, path):
        return next(entry for entry in reversed(self.log) if entry[1] == path)


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def say(self, status, body=None, **headers):
        data = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def note(self, text):
        path, _, query = self.path.partition("?")
        self.server.log.append((self.command, path, self.headers, dict(urllib.parse.parse_qsl(query or text))))
        return path, self.server.log[-1][3]

    def do_GET(self):  # pylint: disable=invalid-name
        s = self.server
        path, query = self.note("")
        if path.startswith("/.well-known/oauth-protected-resource"):
            self.say(s.prm, {"error": "not here"})
        elif path == "/.well-known/oauth-authorization-server" and s.metadata:
            self.say(200, {"issuer": s.origin + s.metadata[0], "response_types_supported": ["code"],
                           "code_challenge_methods_supported": ["S256"], "token_endpoint_auth_methods_supported": ["none"],
                           **{f"{what}_endpoint": f"{s.origin}{s.folder}/{name}" for what, name in (
                               ("authorization", "authorize"), ("token", "token"), ("registration", "register"))}})
        elif path == s.folder + "/authorize":
            s.challenge = query["code_challenge"]
            self.say(302, None, Location=query["redirect_uri"] + "?" + urllib.parse.urlencode(
                {"code": "code-1", "state": query["state"]}))
        else:
            self.say(404)

    def do_POST(self):  # pylint: disable=invalid-name
        s = self.server
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        path, form = self.note(body)
        if path == "/v1/mcp":
            good = self.headers["Authorization"] in [f"Bearer {t}" for t in s.tokens]
            self.say(200 if good else 401, {"jsonrpc": "2.0", "id": 1, "result": {}} if good else None)
        elif path == s.folder + "/register":
            self.say(201, {"client_id": "me", **json.loads(body)})
        elif path == s.folder + "/token" and form["grant_type"] == "authorization_code":
            verifier = hashlib.sha256(form["code_verifier"].encode()).digest()
            if base64.urlsafe_b64encode(verifier).rstrip(b"=").decode() != s.challenge:
                self.say(400, {"error": "invalid_grant"})
            else:
                self.token()
        elif path == s.folder + "/token" and form["refresh_token"] == f"rt{len(s.tokens)}":
            self.token()
        else:
            self.say(404)

    def token(self):
        self.server.tokens.append(f"at{len(self.server.tokens) + 1}")
        self.say(200, {"access_token": self.server.tokens[-1], "token_type": "Bearer", "expires_in": 3600,
                       "refresh_token": f"rt{len(self.server.tokens)}"})


def walk(stack, **what):
    server = OldServer(stack, **what)
    broker = Broker(stack)
    broker.add(server.mcp)
    token = broker.token(server.mcp)
    assert mcp_call(server.mcp, token)[0] == 200
    return server, broker


# A51 A52 A53
def a_server_without_any_metadata_is_logged_in_to(stack):
    server, broker = walk(stack)
    assert broker.servers()[0]["issuer"] == server.origin
    assert server.paths("GET") == ["/.well-known/oauth-protected-resource/v1/mcp", "/.well-known/oauth-protected-resource",
                                   "/.well-known/oauth-authorization-server", "/authorize"], server.paths("GET")
    asked = server.last("/authorize")[3]
    assert asked["code_challenge_method"] == "S256" and asked["resource"] == server.mcp, asked
    assert server.last("/token")[3]["resource"] == server.mcp
    # A restart has nothing to look up again, and a refresh finds its endpoint.
    before = len(server.paths("GET"))
    broker.stop()
    broker.start()
    rpc = Rpc(broker.socket)
    first = rpc.call("token.get", server=server.mcp)
    rpc.call("token.reject", server=server.mcp, token_id=first["token_id"])
    assert mcp_call(server.mcp, rpc.call("token.get", server=server.mcp)["token"])[0] == 200
    rpc.close()
    assert len(server.tokens) == 2 and server.last("/token")[3]["resource"] == server.mcp
    assert len(server.paths("GET")) == before


# A47 A48 A49 A50
def metadata_at_the_origin_is_used_where_there_is_some(stack):
    server, broker = walk(stack, metadata=("/oauth", "/oauth"))
    assert broker.servers()[0]["issuer"] == server.origin + "/oauth"
    assert server.last("/.well-known/oauth-authorization-server")[2]["MCP-Protocol-Version"] == "2025-03-26"
    asked = server.paths("GET") + server.paths("POST")
    assert {"/oauth/authorize", "/oauth/register", "/oauth/token"} <= set(asked), asked
    assert not {"/authorize", "/register", "/token"} & set(asked), asked


# A46
def a_server_whose_metadata_cannot_be_had_just_now_is_not_taken_for_an_old_one(stack):
    server = OldServer(stack, prm=503)
    broker = Broker(stack)
    broker.add(server.mcp, check=7)
    assert "/.well-known/oauth-authorization-server" not in server.paths("GET")


# A230
def a_token_of_an_old_server_goes_nowhere_else(stack):
    server, broker = walk(stack)
    other = OldServer(stack)
    broker.add(other.mcp)
    assert broker.token(server.mcp) != "" and len(broker.servers()) == 2
    assert {s["issuer"] for s in broker.servers()} == {server.origin, other.origin}
    assert other.last("/register")[0] == "POST", "each has a registration of its own"


if __name__ == "__main__":
    sys.exit(Tap().run([
        a_server_without_any_metadata_is_logged_in_to,
        metadata_at_the_origin_is_used_where_there_is_some,
        a_server_whose_metadata_cannot_be_had_just_now_is_not_taken_for_an_old_one,
        a_token_of_an_old_server_goes_nowhere_else,
    ]))
