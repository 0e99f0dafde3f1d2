#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What src/oauth/ says where nobody logs in, before an authorization server that shares no code with it."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BUILD, PATIENCE, SOURCE, Demo, Tap, mcp_call  # noqa: E402

sys.path.insert(0, str(SOURCE / "contrib/demo"))
import workload  # noqa: E402

SCOPE = "tools:generate_summary"


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


OPENER = urllib.request.build_opener(NoRedirect)


def fetch(url, method="GET", body=None, headers=None):
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    try:
        answer = OPENER.open(request, timeout=PATIENCE)
    except urllib.error.HTTPError as e:
        answer = e
    with answer:
        return {"status": answer.status, "headers": {k.lower(): v for k, v in answer.headers.items()}, "body": answer.read().decode()}


def presenter(order):
    done = subprocess.run([str(BUILD / "tests/integration/presenter")], input=json.dumps(order).encode(), stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


class Issuer:
    """The demo server's, and what we are there."""

    def __init__(self, demo, client_id=None, **registration):
        self.demo = demo
        document = fetch(demo.issuer + "/.well-known/oauth-authorization-server")
        self.common = {"issuer": demo.issuer, "metadata": json.loads(document["body"]), "resource": demo.mcp, "scope": SCOPE}
        if client_id:
            self.common["registration"] = {"how": "preregistered", "issuer": demo.issuer, "client_id": client_id, **registration}

    def do(self, what, **given):
        """One request, and what is made of its answer."""
        order = {**self.common, "do": what, **given}
        asked = presenter(order)
        if "error" in asked:
            return asked
        self.sent = asked
        self.answer = fetch(asked["url"], asked["method"], asked["body"].encode(), asked["headers"])
        if "login" in asked:
            order["login"] = asked["login"]
        return presenter({**order, "answer": self.answer})

    def works(self, got):
        assert got.get("token_type") == "Bearer", got
        status = mcp_call(self.demo.mcp, got["access_token"])[0]
        assert status == 200, status


def jwks(stack, *keys):
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    path = os.path.join(folder, "jwks")
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"keys": [jwk for key in keys for jwk in key.jwks()["keys"]]}, f)
    return path


# A181 A182
def a_client_gets_a_token_by_its_secret(stack):
    demo = Demo(stack, "--client=bot:se+cr%et")
    for method in ("client_secret_basic", "client_secret_post", None):
        client = Issuer(demo, "bot", client_secret="se+cr%et", **({"auth": method} if method else {}))
        client.works(client.do("present", how="client-credentials"))
        client.works(client.do("present", how="auto"))
    got = Issuer(demo, "bot", client_secret="wrong").do("present", how="client-credentials")
    assert got["error"] == "registration_required" and "ClientId=" in got["hint"], got


# A175 A176 A177 A178 A182
def a_client_gets_a_token_by_its_key(stack):
    for alg in workload.PARAMETERS:
        key = workload.Key(alg)
        for audience in ("issuer", "token-endpoint"):
            demo = Demo(stack, f"--client-key=bot={jwks(stack, key)}", f"--assertion-audience={audience}")
            client = Issuer(demo, "bot", client_key=key.pem.decode(), key_id=key.kid, signing_alg=alg)
            for _ in range(2):
                client.works(client.do("present", how="private-key-jwt", audience=audience))
            other = "issuer" if audience == "token-endpoint" else "token-endpoint"
            got = client.do("present", how="private-key-jwt", audience=other)
            assert got["error"] == "registration_required" and "Audience=" in got["hint"], got
    other = Issuer(demo, "bot", client_key=workload.Key().pem.decode())
    assert other.do("present", how="private-key-jwt", audience=audience)["error"] == "registration_required"


# A174 A195 A198
def a_workload_gets_a_token_by_its_identity(stack):
    key = workload.Key()
    demo = Demo(stack, f"--workload-issuer={workload.ISSUER}={jwks(stack, key)}", f"--workload-allow=tools/agent={SCOPE}")
    client = Issuer(demo)
    token = key.sign(workload.account_claims(demo.issuer, "tools"))
    client.works(client.do("present", how="auto", assertion=token))
    assert "client_id" not in client.sent["body"] and "jwt-bearer" in client.sent["body"]
    for wrong, error in ((workload.account_claims(demo.issuer + "/", "tools"), "issuer_error"),
                         (workload.account_claims(demo.issuer, "elsewhere"), "registration_required")):
        got = client.do("present", how="jwt-bearer", assertion=key.sign(wrong))
        assert got["error"] == error and "log in" not in got["hint"].lower(), got
    before = demo.count("token")
    old = {**workload.account_claims(demo.issuer, "tools"), "exp": int(time.time()) - 1}
    assert client.do("present", how="jwt-bearer", assertion=key.sign(old))["error"] == "identity_failed"
    assert demo.count("token") == before


# A200
def a_token_is_exchanged_also_for_one_who_acts(stack):
    key = workload.Key()
    demo = Demo(stack, f"--workload-issuer={workload.ISSUER}={jwks(stack, key)}", f"--workload-allow=tools/agent={SCOPE}", "--token-exchange",
                "--client=bot:secret")
    client, bot = Issuer(demo), Issuer(demo, "bot", client_secret="secret")
    token = key.sign(workload.account_claims(demo.issuer, "tools"))
    got = client.do("present", how="token-exchange", assertion=token)
    client.works(got)
    kind = {"assertion_token_type": "urn:ietf:params:oauth:token-type:access_token"}
    bot.works(bot.do("present", how="token-exchange", assertion=got["access_token"], actor_token=token, **kind))
    refused = client.do("present", how="token-exchange", assertion=got["access_token"], actor_token=token, **kind)
    assert refused["error"] == "registration_required" and "ClientId=" in refused["hint"], refused
    demo.fault('set:token=issued_token_type="urn:ietf:params:oauth:token-type:id-jag"')
    refused = client.do("present", how="token-exchange", assertion=token)
    assert refused["error"] == "issuer_error" and "no access token" in refused["message"], refused


# A209 A211
def a_token_is_bound_to_a_key(stack):
    key, proving = workload.Key(), workload.Key().pem.decode()
    demo = Demo(stack, f"--workload-issuer={workload.ISSUER}={jwks(stack, key)}", f"--workload-allow=tools/agent={SCOPE}",
                "--dpop=required", "--dpop-nonce")
    client = Issuer(demo)
    token = key.sign(workload.account_claims(demo.issuer, "tools"))
    assert client.do("present", how="jwt-bearer", assertion=token)["error"] in ("unsupported", "issuer_error")
    first = client.do("present", how="jwt-bearer", assertion=token, dpop=proving)
    assert first["error"] == "issuer_error" and "nonce" in first["hint"], first
    got = client.do("present", how="jwt-bearer", assertion=token, dpop=proving, nonce=client.answer["headers"]["dpop-nonce"])
    assert got["token_type"] == "DPoP", got


# A108
def a_login_is_pushed(stack):
    key = workload.Key()
    demo = Demo(stack, "--par=required", "--client=app", "--client=bot:secret", f"--client-key=signer={jwks(stack, key)}", "--auto-consent")
    for name, how in (("app", {}), ("bot", {"client_secret": "secret"}),
                      ("signer", {"client_key": key.pem.decode(), "auth": "private_key_jwt"})):
        client = Issuer(demo, name, **how)
        pushed = client.do("par", redirect_uri="http://127.0.0.1:1/callback")
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(pushed["url"]).query)
        assert set(query) == {"client_id", "request_uri"}, pushed
        back = fetch(pushed["url"])["headers"]["location"]
        client.works(client.do("redeem", login=pushed["login"], query=urllib.parse.urlsplit(back).query))
    refused = Issuer(demo, "nobody").do("par", redirect_uri="http://127.0.0.1:1/callback")
    assert refused["error"] == "registration_required", refused


# A222 A224
def a_person_types_in_a_code(stack):
    demo = Demo(stack, "--device", "--device-interval=0", "--client=app", "--client=bot:secret")
    for name, how in (("app", {}), ("bot", {"client_secret": "secret"})):
        client = Issuer(demo, name, **how)
        ends = {}
        for decision in ("allow", "deny", "expire"):
            login = client.do("device")["login"]
            assert client.do("poll", login=login)["next"] == "wait"
            demo.ask("POST", "/device", {"user_code": login["user_code"], "decision": decision})
            ends[decision] = client.do("poll", login=login)
        client.works(ends["allow"])
        assert ends["deny"]["next"] == "refused" and ends["expire"]["next"] == "expired", ends


def id_token(idp):
    """Of a person who has logged in at the identity provider, by the code flow."""
    verifier, redirect = "v" * 43, "http://127.0.0.1:1/callback"
    challenge = workload.encode(hashlib.sha256(verifier.encode()).digest())
    query = urllib.parse.urlencode({"response_type": "code", "client_id": "bot", "redirect_uri": redirect, "scope": "openid", "state": "s",
                                    "code_challenge": challenge, "code_challenge_method": "S256"})
    back = fetch(f"{idp}/authorize?{query}")["headers"]["location"]
    code = urllib.parse.parse_qs(urllib.parse.urlsplit(back).query)["code"][0]
    form = urllib.parse.urlencode({"grant_type": "authorization_code", "code": code, "redirect_uri": redirect, "code_verifier": verifier})
    answer = fetch(idp + "/token", "POST", form.encode(), {"Content-Type": "application/x-www-form-urlencoded",
                                                           "Authorization": "Basic " + base64.b64encode(b"bot:secret").decode()})
    return json.loads(answer["body"])["id_token"]


# A185 A187 A188 A194
def an_identity_provider_speaks_for_somebody(stack):
    demo = Demo(stack, "--idp", "--client=bot:secret", "--auto-consent")
    client = Issuer(demo, "bot", client_secret="secret")
    subject = id_token(demo.urls["idp"])
    idp = {"idp_token_endpoint": demo.urls["idp"] + "/token", "idp_client_id": "bot", "idp_client_secret": "secret"}
    jag = client.do("id-jag", assertion=subject, **idp)
    assert "assertion" in jag, (jag, client.answer)
    client.works(client.do("present", how="auto", idp=True, assertion=jag["assertion"]))
    refused = client.do("id-jag", assertion="x", **idp)
    assert "identity provider" in refused["message"], refused
    plain = client.do("present", how="auto", idp=True, assertion=subject)
    assert plain["error"] == "issuer_error", plain


TESTS = [value for value in list(globals().values())
         if callable(value) and getattr(value, "__module__", None) == "__main__" and value.__name__.count("_") > 2]

if __name__ == "__main__":
    sys.exit(Tap().run(TESTS))
