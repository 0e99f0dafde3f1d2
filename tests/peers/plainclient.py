# SPDX-License-Identifier: Apache-2.0
"""The smallest OAuth client that can log in here. It shows that issuer and server are as strict as the tests assume."""
import base64
import hashlib
import http.server
import json
import secrets
import subprocess
import threading
import urllib.parse

from harness import PATIENCE
from stage import post_form, request


class Landing(http.server.BaseHTTPRequestHandler):
    """Takes the code as the broker does: the page that stays holds none."""

    def do_GET(self):  # noqa: N802 (the base class wants this name)
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/callback":
            self.server.answer = dict(urllib.parse.parse_qsl(url.query))
            self.send_response(303)
            leak = "?" + url.query if self.server.leaks else ""
            self.send_header("Location", "/done" + leak)
        else:
            self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class PlainClient:
    def __init__(self, stack, issuer, resource):
        self.issuer, self.resource = issuer, resource
        self.metadata = request("GET", issuer + "/.well-known/openid-configuration").json
        self.listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Landing)
        self.listener.leaks = False
        stack.callback(self.listener.server_close)
        threading.Thread(target=self.listener.serve_forever, daemon=True).start()
        stack.callback(self.listener.shutdown)
        self.redirect = "http://127.0.0.1:%d/callback" % self.listener.server_port
        answer = request("POST", self.metadata["registration_endpoint"], json.dumps({
            "application_type": "native", "client_name": "plain client", "redirect_uris": [self.redirect],
            "grant_types": ["authorization_code", "refresh_token"], "token_endpoint_auth_method": "none",
        }), {"Content-Type": "application/json"})
        assert answer.status == 201, answer.body
        self.client_id = answer.json["client_id"]

    def log_in(self, person, scope="tools:read tools:call offline_access", **more):
        """What came back to the redirect URI, once the person is done."""
        self.verifier = secrets.token_urlsafe(48)
        digest = hashlib.sha256(self.verifier.encode()).digest()
        query = {"response_type": "code", "client_id": self.client_id, "redirect_uri": self.redirect, "scope": scope,
                 "state": "s", "prompt": "consent", "resource": self.resource, "code_challenge_method": "S256",
                 "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="), **more}
        query = {k: v for k, v in query.items() if v is not None}
        self.listener.answer = None
        subprocess.run([str(person.browser), self.metadata["authorization_endpoint"] + "?" + urllib.parse.urlencode(query)],
                       timeout=PATIENCE, check=False)
        return self.listener.answer

    def token(self, **fields):
        return post_form(self.metadata["token_endpoint"], {"client_id": self.client_id, "resource": self.resource, **fields})

    def redeem(self, answer):
        return self.token(grant_type="authorization_code", code=answer["code"], redirect_uri=self.redirect,
                          code_verifier=self.verifier)

    def refresh(self, refresh_token):
        return self.token(grant_type="refresh_token", refresh_token=refresh_token)
