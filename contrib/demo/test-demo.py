#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plays a correct OAuth client against mcp-demo-server, and looks at every fault from outside.

The binary is named by MCP_DEMO_SERVER. Output is TAP.
"""
import base64
import contextlib
import hashlib
import http.client
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import urllib.parse

BINARY = os.environ.get("MCP_DEMO_SERVER", "contrib/demo/mcp-demo-server")
REDIRECT = "http://127.0.0.1:41999/callback/a"
FORM = "application/x-www-form-urlencoded"
CLAIMS = []


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)


def request(method, url, body=None, headers=None, timeout=20):
    u = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(u.hostname, u.port, timeout=timeout)
    target = u.path + ("?" + u.query if u.query else "")
    try:
        connection.request(method, target, body=body, headers=headers or {})
        r = connection.getresponse()
        return Answer(r.status, r.headers, r.read())
    finally:
        connection.close()


def post_json(url, value, headers=None):
    h = {"Content-Type": "application/json"}
    h.update(headers or {})
    return request("POST", url, json.dumps(value), h)


def post_form(url, params, headers=None):
    h = {"Content-Type": FORM}
    h.update(headers or {})
    return request("POST", url, urllib.parse.urlencode(params), h)


class Server:
    def __init__(self, *options):
        self.process = subprocess.Popen([BINARY, *options], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("no ready line: " + self.process.stderr.read())
        self.ready = json.loads(line)
        self.mcp = self.ready["mcp"]
        self.issuer = self.ready["issuer"]
        self.control = self.ready["control"]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=20)
        self.stderr = err
        if self.process.returncode != 0 or out:
            raise AssertionError("ended with %s: %s%s" % (self.process.returncode, out, err))

    def tell(self, call, value=None):
        a = post_json(self.control + call, value or {})
        if a.status != 200:
            raise AssertionError("%s: %s" % (call, a.body))
        return a.json

    def stats(self):
        return request("GET", self.control + "/stats").json

    def fault(self, *texts):
        self.tell("/fault", {"clear": True, "add": list(texts)})


@contextlib.contextmanager
def server(*options):
    s = Server(*options)
    try:
        yield s
    finally:
        s.end()


def well_known(url, name):
    u = urllib.parse.urlsplit(url)
    return "%s://%s/.well-known/%s%s" % (u.scheme, u.netloc, name, u.path)


class Client:
    """What a client does, one step a method."""

    def __init__(self, s, resource=None):
        self.s = s
        self.resource = resource or s.mcp
        self.token = None

    def call(self, tool="generate_summary", token=None, method="tools/call", **more):
        token = token or self.token
        headers = {"Accept": "application/json, text/event-stream"}
        if token:
            headers["Authorization"] = "Bearer " + token
        headers.update(more)
        params = {"name": tool, "arguments": {"text": "One two. Three four five."}}
        if method == "initialize":
            params = {"protocolVersion": "2025-11-25", "capabilities": {},
                      "clientInfo": {"name": "t", "version": "1"}}
        return post_json(self.resource, {"jsonrpc": "2.0", "id": 1, "method": method,
                                         "params": params}, headers)

    def discover(self):
        challenge = self.call(token=None).headers["WWW-Authenticate"]
        url = re.search(r'resource_metadata="([^"]*)"', challenge).group(1)
        self.scope = re.search(r'scope="([^"]*)"', challenge).group(1)
        self.prm = request("GET", url).json
        assert self.prm["resource"] == self.resource, self.prm
        issuer = self.prm["authorization_servers"][0]
        self.meta = request("GET", well_known(issuer, "oauth-authorization-server")).json
        assert self.meta["issuer"] == issuer

    def register(self, **more):
        body = {"redirect_uris": [REDIRECT], "client_name": "Test <client>",
                "application_type": "native", "token_endpoint_auth_method": "none",
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"]}
        body.update(more)
        return post_json(self.meta["registration_endpoint"], body)

    def use(self, registration):
        self.id = registration["client_id"]
        self.secret = registration.get("client_secret")
        self.method = registration.get("token_endpoint_auth_method", "none")

    def authorize_url(self, **more):
        self.verifier = secrets.token_urlsafe(48)
        digest = hashlib.sha256(self.verifier.encode()).digest()
        self.state = secrets.token_urlsafe(16)
        params = {"response_type": "code", "client_id": self.id, "state": self.state,
                  "redirect_uri": REDIRECT.replace("41999", "42001"), "scope": self.scope,
                  "resource": self.resource, "code_challenge_method": "S256",
                  "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode()}
        params.update(more)
        return self.meta["authorization_endpoint"] + "?" + urllib.parse.urlencode(
            {k: v for k, v in params.items() if v is not None})

    def authorize(self, **more):
        a = request("GET", self.authorize_url(**more))
        assert a.status == 302, (a.status, a.body)
        return self.back(a)

    def back(self, answer):
        location = answer.headers["Location"]
        query = urllib.parse.urlsplit(location).query
        self.returned = urllib.parse.parse_qsl(query)
        return dict(self.returned)

    def token_request(self, params, endpoint="token_endpoint"):
        headers = {}
        params = dict(params)
        if self.method == "client_secret_basic":
            both = "%s:%s" % (urllib.parse.quote_plus(self.id),
                              urllib.parse.quote_plus(self.secret))
            headers["Authorization"] = "Basic " + base64.b64encode(both.encode()).decode()
        else:
            params["client_id"] = self.id
            if self.method == "client_secret_post":
                params["client_secret"] = self.secret
        return post_form(self.meta[endpoint], params, headers)

    def redeem(self, code, **more):
        params = {"grant_type": "authorization_code", "code": code,
                  "redirect_uri": REDIRECT.replace("41999", "42001"),
                  "code_verifier": self.verifier, "resource": self.resource}
        params.update(more)
        return self.token_request({k: v for k, v in params.items() if v is not None})

    def refresh(self, token, **more):
        params = {"grant_type": "refresh_token", "refresh_token": token,
                  "resource": self.resource}
        params.update(more)
        return self.token_request({k: v for k, v in params.items() if v is not None})

    def login(self, **more):
        """The whole walk."""
        if not hasattr(self, "meta"):
            self.discover()
        if not hasattr(self, "id"):
            self.use(self.register().json)
        back = self.authorize(**more)
        assert back["state"] == self.state and back["iss"] == self.meta["issuer"], back
        answer = self.redeem(back["code"])
        assert answer.status == 200, answer.body
        self.tokens = answer.json
        self.token = self.tokens["access_token"]
        return self.tokens


def claim(text):
    def wrap(fn):
        CLAIMS.append((text, fn))
        return fn
    return wrap


def error_of(answer):
    assert answer.status in (400, 401), (answer.status, answer.body)
    assert "no-store" in answer.headers["Cache-Control"]
    return answer.json["error"]


# --- the resource server -----------------------------------------------------------------------

@claim("a correct client walks from the first 401 to a summary")
def _():
    with server("--auto-consent") as s:
        c = Client(s)
        a = c.call()
        assert a.status == 401
        assert a.headers["WWW-Authenticate"] == (
            'Bearer resource_metadata="%s", scope="tools:generate_summary"'
            % well_known(s.mcp, "oauth-protected-resource"))
        tokens = c.login()
        assert tokens["token_type"] == "Bearer" and tokens["expires_in"] == 300
        assert tokens["scope"] == "tools:generate_summary"
        result = c.call().json["result"]
        assert result["structuredContent"] == {"summary": "One two.", "words": 5}, result
        assert result["content"][0]["text"] == "One two. (5 words)"


@claim("sessions are opened, used, ended; notifications get 202; GET gets 405")
def _():
    with server("--auto-consent", "--require-session") as s:
        c = Client(s)
        c.login()
        a = c.call(method="initialize")
        assert a.json["result"]["protocolVersion"] == "2025-11-25"
        h = {"Mcp-Session-Id": a.headers["Mcp-Session-Id"], "Authorization": "Bearer " + c.token,
             "MCP-Protocol-Version": "2025-11-25"}
        note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        assert post_json(s.mcp, note, h).status == 202
        assert c.call(method="ping", **h).json["result"] == {}
        names = [t["name"] for t in c.call(method="tools/list", **h).json["result"]["tools"]]
        assert names == ["generate_summary", "admin_report"]
        assert c.call(method="no/such", **h).json["error"]["code"] == -32601
        assert c.call(tool="nothing", **h).json["error"]["code"] == -32602
        assert c.call(method="ping").status == 400
        assert request("GET", s.mcp, headers=h).status == 405
        assert request("DELETE", s.mcp, headers=h).status == 204
        assert c.call(method="ping", **h).status == 404
        bad = dict(h, **{"MCP-Protocol-Version": "1999-01-01"})
        assert c.call(method="initialize", **bad).status == 400
        assert request("POST", s.mcp, "{", h).json["error"]["code"] == -32700


@claim("bad, foreign and expired tokens are refused with invalid_token")
def _():
    with server("--auto-consent", "--second-resource") as s:
        c = Client(s)
        c.login()
        a = c.call(token="nonsense")
        assert a.status == 401 and 'error="invalid_token"' in a.headers["WWW-Authenticate"]
        other = Client(s, s.mcp + "2")
        assert 'error="invalid_token"' in other.call(token=c.token).headers["WWW-Authenticate"]
        other.login()
        assert other.call().status == 200
        s.tell("/expire", {"access": True})
        assert c.call().status == 401
        assert c.refresh(c.tokens["refresh_token"]).status == 200


@claim("admin_report asks for its scope with 403, and step-up satisfies it")
def _():
    with server("--auto-consent") as s:
        c = Client(s)
        c.login()
        a = c.call(tool="admin_report")
        assert a.status == 403
        assert 'scope="tools:admin"' in a.headers["WWW-Authenticate"]
        assert 'error="insufficient_scope"' in a.headers["WWW-Authenticate"]
        c.login(scope="tools:generate_summary tools:admin")
        assert c.call(tool="admin_report").status == 200


@claim("article shapes: scheme MCP, and the old names in the metadata")
def _():
    with server("--shapes", "article") as s:
        url = well_known(s.mcp, "oauth-protected-resource")
        assert Client(s).call().headers["WWW-Authenticate"] == (
            'MCP realm="mcp", resource_metadata="%s"' % url)
        assert request("GET", url).json == {
            "resource": s.mcp, "authorization_server": s.issuer,
            "scopes": ["tools:generate_summary"], "token_types": ["Bearer"]}
    with server("--shapes", "article-resource") as s:
        url = well_known(s.mcp, "oauth-protected-resource")
        assert Client(s).call().headers["WWW-Authenticate"] == (
            'MCP realm="x", resource="%s"' % url)


@claim("an open server never challenges; --sse answers with one event")
def _():
    with server("--open", "--sse") as s:
        a = Client(s).call()
        assert a.status == 200 and a.headers["Content-Type"] == "text/event-stream"
        assert a.body.startswith(b"event: message\ndata: {") and a.body.endswith(b"}\n\n")


# --- the authorization server ------------------------------------------------------------------

@claim("metadata stands where RFC 8414 and OpenID discovery say, and nowhere else")
def _():
    for options, found in (
            ((), "OA"), (("--metadata", "oidc"), "OI"), (("--metadata=both",), "OA OI"),
            (("--issuer-path", "/t1"), "OA"),
            (("--issuer-path", "/t1", "--metadata=oidc"), "OI AP"),
            (("--issuer-path", "/t1", "--metadata=oidc-appended"), "AP")):
        with server(*options) as s:
            places = {"OA": well_known(s.issuer, "oauth-authorization-server"),
                      "OI": well_known(s.issuer, "openid-configuration")}
            if s.issuer.endswith("/t1"):
                places["AP"] = s.issuer + "/.well-known/openid-configuration"
                places["root"] = s.issuer[:-3] + "/.well-known/oauth-authorization-server"
            have = [k for k, u in places.items() if request("GET", u).status == 200]
            assert have == found.split(), (options, have)
            meta = request("GET", places[have[0]]).json
            assert meta["issuer"] == s.issuer
            assert meta["token_endpoint"] == s.issuer + "/token"
            assert meta["code_challenge_methods_supported"] == ["S256"]
            assert meta["authorization_response_iss_parameter_supported"] is True


@claim("registration takes loopback redirects for native clients and says what it gave")
def _():
    with server() as s:
        c = Client(s)
        c.discover()
        a = c.register()
        assert a.status == 201 and "client_secret" not in a.json
        assert a.json["redirect_uris"] == [REDIRECT]
        a = c.register(token_endpoint_auth_method="client_secret_basic")
        assert a.json["client_secret_expires_at"] == 0 and a.json["client_secret"]
        for body, error in (({"redirect_uris": ["https://a.example/x"]}, "invalid_redirect_uri"),
                            ({"redirect_uris": []}, "invalid_redirect_uri"),
                            ({"application_type": "web"}, "invalid_redirect_uri"),
                            ({"application_type": "x"}, "invalid_client_metadata"),
                            ({"response_types": ["token"]}, "invalid_client_metadata"),
                            ({"token_endpoint_auth_method": "tls"}, "invalid_client_metadata")):
            assert error_of(c.register(**body)) == error, body


@claim("all three client authentication methods work, and only the registered one")
def _():
    with server("--auto-consent", "--client", "known:s3:cr+t") as s:
        c = Client(s)
        c.discover()
        for method in ("none", "client_secret_basic", "client_secret_post"):
            c.use(c.register(token_endpoint_auth_method=method).json)
            assert c.method == method
            c.login()
        c.method = "client_secret_basic"
        assert error_of(c.redeem(c.authorize()["code"])) == "invalid_client"
        c.use({"client_id": "known", "client_secret": "s3:cr+t",
               "token_endpoint_auth_method": "client_secret_basic"})
        c.login()
        c.secret = "wrong"
        a = c.redeem(c.authorize()["code"])
        assert a.status == 401 and a.headers["WWW-Authenticate"].startswith("Basic")


@claim("client credentials are for confidential clients, without refresh token")
def _():
    with server("--client", "bot:secret", "--client", "public") as s:
        c = Client(s)
        c.discover()
        c.use({"client_id": "bot", "client_secret": "secret",
               "token_endpoint_auth_method": "client_secret_basic"})
        params = {"grant_type": "client_credentials", "resource": s.mcp}
        a = c.token_request(params)
        assert a.status == 200 and "refresh_token" not in a.json
        assert c.call(token=a.json["access_token"]).status == 200
        c.use({"client_id": "public"})
        assert error_of(c.token_request(params)) == "unauthorized_client"


@claim("client ids that are https URLs are taken with --cimd only")
def _():
    for options, status in ((("--auto-consent",), 400), (("--auto-consent", "--cimd"), 302)):
        with server(*options) as s:
            c = Client(s)
            c.discover()
            assert ("client_id_metadata_document_supported" in c.meta) == (status == 302)
            c.use({"client_id": "https://client.example/id.json"})
            assert request("GET", c.authorize_url()).status == status
            if status == 302:
                c.login()


@claim("the consent page names client, scopes and resource, and its buttons decide")
def _():
    with server() as s:
        c = Client(s)
        c.discover()
        c.use(c.register().json)
        for decision in ("allow", "deny"):
            a = request("GET", c.authorize_url())
            page = a.body.decode()
            assert a.status == 200 and "Test &lt;client&gt;" in page and "<client>" not in page
            assert "tools:generate_summary" in page and s.mcp in page
            assert "default-src 'none'" in a.headers["Content-Security-Policy"]
            assert 'id="allow"' in page and 'id="deny"' in page
            ticket = re.search(r'name="ticket" value="([^"]*)"', page).group(1)
            fields = {"ticket": ticket, "decision": decision}
            a = post_form(c.meta["authorization_endpoint"], fields)
            assert a.status == 303
            back = c.back(a)
            if decision == "allow":
                assert c.redeem(back["code"]).status == 200
            else:
                assert back["error"] == "access_denied" and back["iss"] == s.issuer
            assert post_form(c.meta["authorization_endpoint"], fields).status == 400


@claim("bad authorization requests go back as errors, or are shown if that is unsafe")
def _():
    with server("--auto-consent") as s:
        c = Client(s)
        c.discover()
        c.use(c.register().json)
        for more, error in (({"resource": None}, "invalid_target"),
                            ({"resource": s.mcp + "/"}, "invalid_target"),
                            ({"scope": "all"}, "invalid_scope"),
                            ({"code_challenge": None}, "invalid_request"),
                            ({"code_challenge_method": "plain"}, "invalid_request"),
                            ({"response_type": "token"}, "unsupported_response_type")):
            back = c.authorize(**more)
            assert back["error"] == error and back["state"] == c.state, (more, back)
        assert request("GET", c.authorize_url(redirect_uri="http://127.0.0.1:1/b")).status == 400
        assert request("GET", c.authorize_url(client_id="nobody")).status == 400
        assert request("GET", c.authorize_url() + "&scope=a").status == 400
    with server("--auto-deny") as s:
        c = Client(s)
        c.discover()
        c.use(c.register().json)
        assert c.authorize()["error"] == "access_denied"


@claim("a code needs its verifier, redirect URI and resource, and a replay revokes")
def _():
    with server("--auto-consent") as s:
        c = Client(s)
        c.login()
        for more, error in (({"code_verifier": "x" * 43}, "invalid_grant"),
                            ({"code_verifier": None}, "invalid_grant"),
                            ({"redirect_uri": REDIRECT}, "invalid_grant"),
                            ({"resource": None}, "invalid_target")):
            code = c.authorize()["code"]
            assert error_of(c.redeem(code, **more)) == error, more
            assert error_of(c.redeem(code)) == "invalid_grant"
        code = c.authorize()["code"]
        token = c.redeem(code).json["access_token"]
        assert c.call(token=token).status == 200
        assert error_of(c.redeem(code)) == "invalid_grant"
        assert c.call(token=token).status == 401
        assert c.call().status == 200
        counters = s.stats()["counters"]
        assert counters["code_replays"] == 5 and counters["families_revoked"] == 1


@claim("a refresh token is good once; its reuse costs the whole family")
def _():
    with server("--auto-consent") as s:
        c = Client(s)
        c.login()
        first = c.tokens["refresh_token"]
        second = c.refresh(first).json
        third = c.refresh(second["refresh_token"]).json
        assert len({first, second["refresh_token"], third["refresh_token"]}) == 3
        assert c.call(token=third["access_token"]).status == 200
        assert error_of(c.refresh(first)) == "invalid_grant"
        assert error_of(c.refresh(third["refresh_token"])) == "invalid_grant"
        assert c.call(token=third["access_token"]).status == 401
        counters = s.stats()["counters"]
        assert counters["refreshes"] == 2 and counters["reuse_detected"] == 1
        assert counters["families_revoked"] == 1 and counters["families"] == 1


@claim("a refresh may narrow the scope for one token, never widen it; resource is checked")
def _():
    with server("--auto-consent") as s:
        c = Client(s)
        c.login(scope="tools:generate_summary tools:admin")
        a = c.refresh(c.tokens["refresh_token"], scope="tools:admin").json
        assert a["scope"] == "tools:admin"
        assert c.call(token=a["access_token"]).status == 403
        a = c.refresh(a["refresh_token"]).json
        assert a["scope"] == "tools:generate_summary tools:admin"
        assert error_of(c.refresh(a["refresh_token"], scope="tools:x")) == "invalid_scope"
        assert error_of(c.refresh(a["refresh_token"], resource="http://x/")) == "invalid_target"
        assert error_of(c.refresh(a["refresh_token"], resource=None)) == "invalid_target"
        assert c.refresh(a["refresh_token"]).status == 200


@claim("the token options do what they say")
def _():
    with server("--auto-consent", "--no-rotate", "--no-expires-in", "--token-type", "mac") as s:
        c = Client(s)
        tokens = c.login()
        assert tokens["token_type"] == "mac" and "expires_in" not in tokens
        for _ in range(2):
            a = c.refresh(tokens["refresh_token"])
            assert a.status == 200 and "refresh_token" not in a.json
    with server("--auto-consent", "--no-refresh-token", "--access-ttl", "7") as s:
        tokens = Client(s).login()
        assert "refresh_token" not in tokens and tokens["expires_in"] == 7
    with server("--auto-consent", "--offline-access") as s:
        c = Client(s)
        assert "refresh_token" not in c.login()
        assert "refresh_token" in c.login(scope="tools:generate_summary offline_access")


@claim("resource may be refused: then it stands nowhere, and tokens are for /mcp")
def _():
    with server("--auto-consent", "--refuse-resource") as s:
        c = Client(s)
        c.discover()
        c.use(c.register().json)
        assert c.authorize()["error"] == "invalid_target"
        code = c.authorize(resource=None)["code"]
        assert error_of(c.redeem(code)) == "invalid_target"
        tokens = c.redeem(c.authorize(resource=None)["code"], resource=None).json
        assert c.call(token=tokens["access_token"]).status == 200
        assert error_of(c.refresh(tokens["refresh_token"])) == "invalid_target"
        tokens = c.refresh(tokens["refresh_token"], resource=None).json
        assert c.call(token=tokens["access_token"]).status == 200


@claim("revocation ends a family or a token, and unknown tokens are fine")
def _():
    with server("--auto-consent") as s:
        c = Client(s)
        c.login()
        access = c.refresh(c.tokens["refresh_token"]).json
        assert c.token_request({"token": c.token}, "revocation_endpoint").status == 200
        assert c.call().status == 401
        assert c.call(token=access["access_token"]).status == 200
        a = c.token_request({"token": access["refresh_token"]}, "revocation_endpoint")
        assert a.status == 200
        assert c.call(token=access["access_token"]).status == 401
        assert c.token_request({"token": "rt_x"}, "revocation_endpoint").status == 200


# --- faults ------------------------------------------------------------------------------------

def closed(fn):
    try:
        fn()
    except (http.client.RemoteDisconnected, http.client.IncompleteRead, ConnectionResetError):
        return True
    return False


@claim("transport faults: status, html, garbage, truncated, oversize, redirect, 503 once")
def _():
    with server("--fault", "status503-once:asmeta=7") as s:
        url = well_known(s.issuer, "oauth-authorization-server")
        a = request("GET", url)
        assert a.status == 503 and a.headers["Retry-After"] == "7"
        assert request("GET", url).status == 200
        s.fault("status:asmeta=418!2")
        assert [request("GET", url).status for _ in range(3)] == [418, 418, 200]
        s.fault("html:asmeta")
        a = request("GET", url)
        assert a.status == 200 and a.headers["Content-Type"].startswith("text/html")
        s.fault("garbage:asmeta")
        a = request("GET", url)
        try:
            a.json
            raise AssertionError("garbage parses")
        except ValueError:
            pass
        s.fault("truncated:asmeta")
        assert closed(lambda: request("GET", url))
        s.fault("oversize:asmeta=2")
        assert len(request("GET", url).body) == 2 * 1024 * 1024
        s.fault("redirect:asmeta=" + s.mcp)
        a = request("GET", url)
        assert a.status == 307 and a.headers["Location"] == s.mcp
        s.fault("deep-json:asmeta=500")
        assert b"[" * 500 in request("GET", url).body
        s.fault()
        assert request("GET", url).status == 200
        a = post_json(s.control + "/fault", {"add": ["nonsense"]})
        assert a.status == 400 and "nonsense" in a.json["error"]


@claim("drop-before does not execute, drop-after-request does")
def _():
    with server("--auto-consent") as s:
        c = Client(s)
        c.login()
        token = c.tokens["refresh_token"]
        s.fault("drop-before:refresh")
        assert closed(lambda: c.refresh(token))
        s.fault()
        token = c.refresh(token).json["refresh_token"]
        s.fault("drop-after-request:refresh!1")
        assert closed(lambda: c.refresh(token))
        assert error_of(c.refresh(token)) == "invalid_grant"
        assert s.stats()["counters"]["reuse_detected"] == 1


@claim("metadata faults change what they name")
def _():
    with server() as s:
        url = well_known(s.issuer, "oauth-authorization-server")
        for fault, check in (
                ("wrong-issuer", lambda m: m["issuer"] != s.issuer),
                ("no-pkce", lambda m: "code_challenge_methods_supported" not in m),
                ("pkce-plain-only", lambda m: m["code_challenge_methods_supported"] == ["plain"]),
                ("no-registration", lambda m: "registration_endpoint" not in m),
                ("no-token-endpoint", lambda m: "token_endpoint" not in m),
                ("no-authorization-endpoint", lambda m: "authorization_endpoint" not in m),
                ("http-endpoint", lambda m: m["token_endpoint"] == "http://as.example/token"),
                ("file-authorize", lambda m: m["authorization_endpoint"] == "file:///etc/passwd")):
            s.fault(fault)
            assert check(request("GET", url).json), fault
        prm = well_known(s.mcp, "oauth-protected-resource")
        for fault, check in (
                ("mismatched-resource", lambda m: m["resource"] != s.mcp),
                ("empty-as-list", lambda m: m["authorization_servers"] == []),
                ("bearer-methods-query", lambda m: m["bearer_methods_supported"] == ["query"])):
            s.fault(fault)
            assert check(request("GET", prm).json), fault
        s.fault("link-local-prm")
        assert "169.254.169.254" in Client(s).call().headers["WWW-Authenticate"]
        s.fault("no-challenge")
        assert "WWW-Authenticate" not in Client(s).call().headers


@claim("set and unset change any member of an answer, challenge the whole header")
def _():
    with server("--fault", 'set:asmeta=issuer="http://x/?a=b"', "--fault", "set:asmeta=n=[1,2]",
                "--fault", "set:asmeta=t=plain words", "--fault", "unset:asmeta=token_endpoint",
                "--fault", 'challenge=Negotiate a==, bearer Resource_Metadata = "{prm}", x=y!1'
                ) as s:
        meta = request("GET", well_known(s.issuer, "oauth-authorization-server")).json
        assert (meta["issuer"], meta["n"], meta["t"]) == ("http://x/?a=b", [1, 2], "plain words")
        assert "token_endpoint" not in meta and "registration_endpoint" in meta
        prm = well_known(s.mcp, "oauth-protected-resource")
        assert Client(s).call().headers["WWW-Authenticate"] == (
            'Negotiate a==, bearer Resource_Metadata = "%s", x=y' % prm)
        assert Client(s).call().headers["WWW-Authenticate"].startswith("Bearer ")


@claim("the server ends with the process that started it if asked to")
def _():
    code = ("import subprocess, sys\n"
            "p = subprocess.Popen([sys.argv[1], '--die-with-parent'], stdout=subprocess.PIPE)\n"
            "print(p.stdout.readline().decode(), end='', flush=True)\n"
            "sys.stdin.read()\n")
    p = subprocess.Popen([sys.executable, "-c", code, BINARY], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True)
    u = urllib.parse.urlsplit(json.loads(p.stdout.readline())["control"])
    connection = socket.create_connection((u.hostname, u.port), timeout=20)
    p.communicate("", timeout=20)
    assert connection.recv(1) == b""  # closed by its end
    connection.close()


@claim("faults of the authorization response")
def _():
    with server("--auto-consent") as s:
        c = Client(s)
        c.login()
        s.fault("wrong-iss")
        assert c.authorize()["iss"] == "https://wrong.example"
        s.fault("no-iss")
        assert "iss" not in c.authorize()
        s.fault("wrong-state")
        assert c.authorize()["state"] != c.state
        s.fault("duplicate-code")
        c.authorize()
        assert [k for k, _ in c.returned].count("code") == 2
        s.fault("invalid-scope:authorize")
        assert c.authorize()["error"] == "invalid_scope"


@claim("faults of registration and token endpoint")
def _():
    with server("--auto-consent") as s:
        c = Client(s)
        c.login()
        s.fault("registration-method=client_secret_post")
        a = c.register().json
        assert a["token_endpoint_auth_method"] == "client_secret_post" and a["client_secret"]
        s.fault("registration-method=omit")
        a = c.register().json
        assert "token_endpoint_auth_method" not in a and a["client_secret"]
        s.fault("secret-expires=1000")
        a = c.register(token_endpoint_auth_method="client_secret_post").json
        assert a["client_secret_expires_at"] == 1000
        s.fault()
        expired = Client(s)
        expired.discover()
        expired.use(a)
        assert error_of(expired.redeem(expired.authorize()["code"])) == "invalid_client"
        for fault, error in (("invalid-grant:refresh!1", "invalid_grant"),
                             ("invalid-scope!1", "invalid_scope"),
                             ("invalid-target!1", "invalid_target"),
                             ("invalid-client:refresh!1", "invalid_client")):
            s.fault(fault)
            assert error_of(c.refresh(c.tokens["refresh_token"])) == error
        s.fault("invalid-client:token")
        c.tokens = c.refresh(c.tokens["refresh_token"]).json
        assert error_of(c.redeem(c.authorize()["code"])) == "invalid_client"
        s.fault("smaller-scope")
        assert c.login(scope="tools:generate_summary tools:admin")["scope"] == SCOPE
        s.fault("expired-at-once")
        assert c.login()["expires_in"] == 0 and c.call().status == 401
        s.fault("expires-in-string")
        assert c.login()["expires_in"] == "300"
        s.fault("refuse-early")
        assert c.call().status == 401
        c.login()
        assert c.call().status == 200
        s.fault("reject-token!1")
        assert [c.call().status, c.call().status] == [401, 200]
        s.fault("ansi-text")
        assert c.refresh("x").json["error_description"].startswith("\033")
        s.fault("revoke-family")
        assert error_of(c.refresh(c.tokens["refresh_token"])) == "invalid_grant"
        assert c.call().status == 401


SCOPE = "tools:generate_summary"


# --- control -----------------------------------------------------------------------------------

def in_background(fn):
    box = []
    thread = threading.Thread(target=lambda: box.append(fn()))
    thread.start()

    def result():
        thread.join(20)
        return box[0]
    return result


@claim("a held request is not executed until released; with after it was")
def _():
    with server("--auto-consent") as s:
        c = Client(s)
        c.login()
        token = c.tokens["refresh_token"]
        s.tell("/hold", {"step": "refresh"})
        result = in_background(lambda: c.refresh(token))
        assert s.tell("/wait", {"held": {"refresh": 1}})["reached"]
        stats = s.stats()
        assert stats["held"]["refresh"] == 1 and stats["counters"]["refreshes"] == 0
        assert stats["log"][-1]["held"] == "before" and stats["log"][-1]["status"] is None
        assert s.tell("/release", {"step": "refresh"}) == {"released": 1}
        token = result().json["refresh_token"]
        s.tell("/hold", {"step": "refresh", "after": True})
        result = in_background(lambda: c.refresh(token))
        assert s.tell("/wait", {"held": {"refresh": 1}})["reached"]
        assert s.stats()["counters"]["refreshes"] == 2
        s.tell("/release", {"step": "refresh"})
        token = result().json["refresh_token"]
        assert c.refresh(token).status == 200


@claim("of many held requests n can be let go; slow and hang hold too")
def _():
    with server("--fault", "slow:prm=30") as s:
        prm = well_known(s.mcp, "oauth-protected-resource")
        meta = well_known(s.issuer, "oauth-authorization-server")
        assert request("GET", prm).status == 200
        s.fault("hang:asmeta")
        results = [in_background(lambda: request("GET", meta)) for _ in range(20)]
        assert s.tell("/wait", {"held": {"asmeta": 20}})["reached"]
        assert s.tell("/release", {"step": "asmeta", "n": 5}) == {"released": 5}
        assert s.stats()["held"]["asmeta"] == 15
        assert not s.tell("/wait", {"held": {"asmeta": 16}, "timeout_ms": 10})["reached"]
        assert s.tell("/release") == {"released": 15}
        assert [r().status for r in results] == [200] * 20


@claim("the log holds bodies byte for byte, and /tokens every secret")
def _():
    with server("--auto-consent", "--log") as s:
        c = Client(s)
        c.discover()
        c.use(c.register(token_endpoint_auth_method="client_secret_basic").json)
        c.login()
        stats = s.stats()
        entry = [e for e in stats["log"] if e["step"] == "token"][-1]
        form = dict(map(tuple, entry["form"]))
        assert entry["body"] == urllib.parse.urlencode([tuple(p) for p in entry["form"]])
        assert form["code_verifier"] == c.verifier and form["resource"] == s.mcp
        assert entry["headers"]["authorization"].startswith("Basic ")
        assert entry["status"] == 200 and stats["requests"]["token"] == 1
        assert stats["bodies_seen"]["token"] and not stats["bodies_seen"]["refresh"]
        known = request("GET", s.control + "/tokens").json
        assert known["access_tokens"] == [c.token]
        assert known["refresh_tokens"] == [c.tokens["refresh_token"]]
        assert known["verifiers"] == [c.verifier] and known["client_secrets"] == [c.secret]
        assert len(known["codes"]) == 1
        assert len(request("GET", s.control + "/stats?log=2").json["log"]) == 2
    lines = s.stderr.splitlines()
    assert lines[0] == "POST /mcp tools/call -> 401 (no token)", lines
    assert not any(c.token in line or c.verifier in line for line in lines)


@claim("revoke-all ends every grant; web pages are refused at the control port")
def _():
    with server("--auto-consent") as s:
        c = Client(s)
        c.login()
        assert s.tell("/revoke-all") == {"families_revoked": 1}
        assert c.call().status == 401
        assert error_of(c.refresh(c.tokens["refresh_token"])) == "invalid_grant"
        assert post_json(s.control + "/quit", {}, {"Origin": "http://x"}).status == 403


@claim("a body beyond a MiB gets 413, and held requests do not keep the server from ending")
def _():
    with server() as s:
        assert request("POST", s.mcp, b"x" * (1024 * 1024 + 1)).status == 413
        s.tell("/hold", {"step": "mcp"})
        result = in_background(lambda: closed(lambda: Client(s).call()))
        assert s.tell("/wait", {"held": {"mcp": 1}})["reached"]
    assert result()


@claim("quit answers, then ends with status 0")
def _():
    s = Server()
    assert s.tell("/quit") == {}
    assert s.process.wait(20) == 0
    s.process.communicate()


@claim("bad usage is status 2 with a message; help and version are status 0")
def _():
    for args in (["--nonsense"], ["--port", "70000"], ["--port", "-1"], ["x"],
                 ["--fault", "nonsense"], ["--fault", "slow:token"], ["--fault", "status:x=500"],
                 ["--fault", "no-iss=1"], ["--shapes", "round"], ["--issuer-path", "x"],
                 ["--auto-consent", "--auto-deny"], ["--client", ":x"]):
        r = subprocess.run([BINARY, *args], capture_output=True, text=True, timeout=20)
        assert r.returncode == 2 and r.stderr and not r.stdout, (args, r)
    for option, word in (("--help", "drop-after-request:STEP"), ("--version", "mcp-demo-server")):
        r = subprocess.run([BINARY, option], capture_output=True, text=True, timeout=20)
        assert r.returncode == 0 and word in r.stdout and not r.stderr


def main():
    failed = 0
    print("1..%d" % len(CLAIMS), flush=True)
    for n, (text, fn) in enumerate(CLAIMS, 1):
        try:
            fn()
            print("ok %d - %s" % (n, text), flush=True)
        except Exception as e:  # every failure becomes a line of TAP
            failed += 1
            print("not ok %d - %s" % (n, text), flush=True)
            frame = e.__traceback__
            while frame.tb_next and frame.tb_next.tb_frame.f_code.co_filename == __file__:
                frame = frame.tb_next
            print("# line %d: %s: %s" % (frame.tb_lineno, type(e).__name__,
                                         str(e).replace("\n", "\n# ")), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
