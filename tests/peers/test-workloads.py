#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The broker without a person, and with tokens that are bound to a key, among strangers: oidc-provider is the issuer, the jose
package checks tokens and proofs at the server, the SDK's clients start mcp-connect, and curl takes its headers from mcp-token.

The keys and the tokens of the cluster are OpenSSL's. Output is TAP.

    PEERS=FOLDER top_builddir=FOLDER top_srcdir=FOLDER test-workloads.py [WORD]...

PEERS is as for test-peers.py.
"""
import base64
import contextlib
import json
import os
import pathlib
import re
import secrets
import subprocess
import sys
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(HERE.parents[1] / "contrib/demo"), str(HERE), str(HERE.parent / "integration")]
import workload  # noqa: E402
from harness import PATIENCE, Broker, Rpc, Tap  # noqa: E402
from sdkhost import SdkHost  # noqa: E402
from stage import Stage, count, post_form  # noqa: E402

ALGORITHMS = ("ES256", "ES384", "RS256", "PS256", "EdDSA", "Ed25519")
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SUBJECT = "system:serviceaccount:default:agent"
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "whoami", "arguments": {}}}
MCP_HEADERS = ("-H", "Content-Type: application/json", "-H", "Accept: application/json, text/event-stream")
SECRET = secrets.token_urlsafe(24)
KEYS = {alg: workload.Key(alg) for alg in ALGORITHMS}
CLUSTER = workload.Key("RS256")  # as a kubelet's tokens are signed

STAGE = POST_STAGE = None  # set by main(); the second takes secrets in the body alone, and fewer algorithms


# --- the issuer's clients ------------------------------------------------------------------------------------------------

def metadata(client_id, method, **more):
    """A client that is allowed no scope but those of the resource: offline_access is refused."""
    return {"client_id": client_id, "grant_types": ["client_credentials"], "response_types": [], "redirect_uris": [],
            "scope": "openid", "token_endpoint_auth_method": method, **more}


def with_key(alg):
    return metadata("key-" + alg, "private_key_jwt", token_endpoint_auth_signing_alg=alg, jwks=KEYS[alg].jwks())


def extensions():
    nobody = {**metadata("workloads", "none"), "grant_types": [JWT_BEARER]}
    return {"clients": [metadata("secret", "client_secret_basic", client_secret=SECRET), *map(with_key, ALGORITHMS), nobody],
            "algorithms": ALGORITHMS, "cluster": {"issuer": workload.ISSUER, "jwks": CLUSTER.jwks(), "subjects": [SUBJECT]},
            "pushed": True}


def fewer_extensions():
    return {"clients": [metadata("secret", "client_secret_post", client_secret=SECRET)],
            "methods": ["client_secret_post", "private_key_jwt"], "algorithms": ["ES256", "RS256"]}


# --- the broker's side ---------------------------------------------------------------------------------------------------

def private_file(broker, name, text):
    path = broker.dir / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(0o600)
    return path


def declare(broker, *lines, url=None, name="work"):
    folder = broker.dir / "config/servers.d"
    folder.mkdir(mode=0o755, exist_ok=True)
    path = folder / (name + ".conf")
    path.write_text("\n".join(("[Server]", "URL=%s" % (url or STAGE.mcp), *lines, "")))
    path.chmod(0o644)


def key_lines(broker, alg, key=None, client=None):
    file = private_file(broker, alg + ".pem", (key or KEYS[alg]).pem)
    return ("Issuer=" + STAGE.issuer, "ClientId=" + (client or "key-" + alg), "ClientKeyFile=%s" % file, "SigningAlgorithm=" + alg,
            "Present=private-key-jwt")


def broker_with_key(stack, alg="ES256", *lines, url=None, **given):
    broker = Broker(stack, start=False)
    declare(broker, *key_lines(broker, alg, **given), *lines, url=url)
    return broker


def broker_with_identity(stack, token, *lines, url=None):
    broker = Broker(stack, start=False)
    file = private_file(broker, "token", token)
    declare(broker, "Identity=file:path=%s" % file, "Present=jwt-bearer", *lines, url=url)
    return broker


def account_token(key=None, **claims):
    return (key or CLUSTER).sign(workload.account_claims(STAGE.issuer, **claims), typ="JWT")


def start(broker):
    """Forgets what the issuer and the server have seen before."""
    STAGE.at_issuer.new()
    STAGE.at_server.new()
    return broker.start()


def tokens(entries):
    return [e for e in entries if e["event"] == "token"]


def is_refused(broker, what, times=1):
    """The issuer says no, so many times, and whoever asks reads it; asking again asks nobody."""
    start(broker)
    said = broker.run("mcp-token", "--no-login", "work")
    assert said.returncode not in (0, 2, 3) and said.stdout == "", said
    assert what in said.stderr, said.stderr
    assert broker.run("mcp-token", "--no-login", "work").returncode == said.returncode
    entries = tokens(STAGE.at_issuer.new())
    assert [e["status"] >= 400 for e in entries] == [True] * times, entries
    return entries


@contextlib.contextmanager
def issuer_ahead(seconds):
    STAGE.put_clock_ahead(seconds)
    try:
        yield
    finally:
        STAGE.put_clock_ahead(0)


# --- are the peers what the rest takes them for? -----------------------------------------------------------------------

def assertion(alg="ES256", key=None, **claims):
    now = int(time.time())
    client = "key-" + alg
    made = {"iss": client, "sub": client, "aud": STAGE.issuer, "iat": now, "exp": now + 60, "jti": secrets.token_hex(16), **claims}
    return (key or KEYS[alg]).sign(made)


def show(text, **more):
    return post_form(STAGE.issuer + "/token", {"grant_type": "client_credentials", "resource": STAGE.mcp, "scope": "tools:read",
                                               "client_assertion_type": ASSERTION_TYPE, "client_assertion": text, **more}).status


def the_issuer_takes_a_good_assertion_once_and_no_other(_):
    good = assertion()
    assert (show(good), show(good)) == (200, 401)
    now = int(time.time())
    bad = {"key": {"key": workload.Key("ES256")}, "audience": {"aud": "https://as.example.com"}, "old": {"exp": now - 1},
           "issuer": {"iss": "somebody"}, "no jti": {"jti": None}}
    assert {what: show(assertion(**given)) for what, given in bad.items()} == dict.fromkeys(bad, 401)
    assert show(KEYS["RS256"].sign({"iss": "key-PS256"})) == 401
    assert show(assertion("RS256", key=KEYS["PS256"])) == 401


def the_issuer_takes_workloads_it_knows_and_no_others(_):
    def present(text):
        return post_form(STAGE.issuer + "/token", {"grant_type": JWT_BEARER, "assertion": text, "resource": STAGE.mcp}).status

    now = int(time.time())
    assert present(account_token()) == 200
    bad = {"key": {"key": workload.Key("RS256")}, "account": {"account": "other"}, "issuer": {"issuer": "https://elsewhere"},
           "old": {"exp": now - 1}, "audience": {"aud": ["https://as.example.com"]}}
    assert {what: present(account_token(**given)) for what, given in bad.items()} == dict.fromkeys(bad, 400)


# --- client credentials --------------------------------------------------------------------------------------------------

def get_by_secret(stack, stage, shown):
    broker = Broker(stack, start=False)
    file = private_file(broker, "secret", SECRET)
    declare(broker, "Issuer=" + stage.issuer, "ClientId=secret", "ClientSecretFile=%s" % file, "Present=client-credentials",
            url=stage.mcp)
    stage.at_issuer.new()
    broker.start()
    token = broker.token("work")
    entries = tokens(stage.at_issuer.new())
    assert [(e["status"], e["shown"], e["grant_type"], e["resource"], e["client"]) for e in entries] == [
        (200, shown, "client_credentials", stage.mcp, "secret")], entries
    who = stage.sdk_client(stage.mcp, "Authorization: Bearer %s\n" % token)["whoami"]
    assert (who["client"], who["resource"], who["scopes"]) == ("secret", stage.mcp, ["tools:call", "tools:read"]), who


# A180
def a_secret_goes_in_the_header_where_the_issuer_takes_that(stack):
    get_by_secret(stack, STAGE, "header")


def a_secret_goes_in_the_body_where_the_issuer_takes_nothing_else(stack):
    get_by_secret(stack, POST_STAGE, "body")


def a_wrong_secret_is_refused_once(stack):
    broker = Broker(stack, start=False)
    file = private_file(broker, "secret", SECRET + "x")
    declare(broker, "Issuer=" + STAGE.issuer, "ClientId=secret", "ClientSecretFile=%s" % file, "Present=client-credentials")
    entries = is_refused(broker, "invalid_client")
    assert [e["status"] for e in entries] == [401], entries


# A175 A176 A178
def a_client_proves_itself_by_each_algorithm(stack):
    broker = Broker(stack, start=False)
    for alg in ALGORITHMS:
        declare(broker, *key_lines(broker, alg), "Account=" + alg, name=alg.lower())
    start(broker)
    for alg in ALGORITHMS:
        token = broker.token(alg.lower())
        who = STAGE.sdk_client(STAGE.mcp, "Authorization: Bearer %s\n" % token)["whoami"]
        assert who["client"] == "key-" + alg, (alg, who)
    entries = tokens(STAGE.at_issuer.new())
    assert sorted((e["client"], e["status"], e["shown"]) for e in entries) == sorted(
        ("key-" + alg, 200, "assertion") for alg in ALGORITHMS), entries


def the_algorithm_is_the_keys_where_none_is_named(stack):
    for alg in ("ES384", "EdDSA"):
        broker = Broker(stack, start=False)
        declare(broker, *(line for line in key_lines(broker, alg) if not line.startswith("SigningAlgorithm=")))
        start(broker)
        assert STAGE.is_active(broker.token("work"))


def an_algorithm_that_the_issuer_does_not_list_is_not_tried(stack):
    broker = Broker(stack, start=False)
    file = private_file(broker, "key.pem", KEYS["ES384"].pem)
    declare(broker, "Issuer=" + POST_STAGE.issuer, "ClientId=secret", "ClientKeyFile=%s" % file, "Present=private-key-jwt",
            url=POST_STAGE.mcp)
    POST_STAGE.at_issuer.new()
    broker.start()
    said = broker.run("mcp-token", "--no-login", "work").stderr
    assert "ES384" in said, said
    assert tokens(POST_STAGE.at_issuer.new()) == []


def another_key_is_refused_once(stack):
    entries = is_refused(broker_with_key(stack, key=workload.Key("ES256")), "invalid_client")
    assert [(e["status"], e["shown"]) for e in entries] == [(401, "assertion")], entries


# A177
def the_audience_is_what_is_configured_and_no_other_is_tried(stack):
    broker = broker_with_key(stack, "ES256", "Audience=token-endpoint")
    start(broker)
    assert STAGE.is_active(broker.token("work"))
    is_refused(broker_with_key(stack, "ES256", "Audience=literal:https://as.example.com"), "invalid_client")


def an_issuer_whose_clock_is_half_a_minute_off_takes_the_assertion(stack):
    for seconds in (-30, 30):
        with issuer_ahead(seconds):
            assert STAGE.is_active(start(broker_with_key(stack)).token("work"))


def an_issuer_whose_clock_is_two_minutes_ahead_refuses_it_once(stack):
    with issuer_ahead(120):
        is_refused(broker_with_key(stack), "invalid_client")


# --- workload identity federation ----------------------------------------------------------------------------------------

# A174
def a_service_account_gets_a_token_and_needs_no_client(stack):
    broker = start(broker_with_identity(stack, account_token()))
    who = STAGE.sdk_client(STAGE.mcp, "Authorization: Bearer %s\n" % broker.token("work"))["whoami"]
    assert (who["sub"], who["resource"], who["scopes"]) == (SUBJECT, STAGE.mcp, ["tools:call", "tools:read"]), who
    entries = STAGE.at_issuer.new()
    assert [e["status"] for e in tokens(entries)] == [200] and count(entries, "registration") == 0, entries


def a_service_account_of_another_cluster_is_refused_once(stack):
    entries = is_refused(broker_with_identity(stack, account_token(workload.Key("RS256"))), "invalid_grant")
    assert "ERR_JWS_SIGNATURE_VERIFICATION_FAILED" in entries[0]["detail"] or "ERR_JWKS" in entries[0]["detail"], entries


def a_service_account_that_nobody_knows_is_refused_once(stack):
    entries = is_refused(broker_with_identity(stack, account_token(account="other")), "invalid_grant")
    assert [e["detail"] for e in entries] == ["nobody here knows this workload"], entries


def a_token_for_another_audience_is_shown_to_nobody(stack):
    token = CLUSTER.sign(workload.account_claims("https://kubernetes.default.svc"), typ="JWT")
    is_refused(broker_with_identity(stack, token), "https://kubernetes.default.svc", times=0)


def mcp_connect_serves_an_agent_without_a_person(stack):
    broker = start(broker_with_identity(stack, account_token()))
    for kind in ("v1", "v2"):
        said = SdkHost(stack, STAGE, broker, kind, STAGE.mcp).said()
        assert said["whoami"]["sub"] == SUBJECT, said


# --- proofs of possession ------------------------------------------------------------------------------------------------

def bound(entries):
    """The requests that brought a token to the server that wants a proof with each."""
    return [e for e in entries if e["event"] == "bound" and e["authorized"]]


def with_proof(entries):
    return [(e["grant_type"], e["status"], e.get("error")) for e in tokens(entries) if e.get("proof")]


def each_was_proved_once(entries):
    """By one key; who is told a nonce asks once more, and nothing else is refused."""
    taken = [e for e in entries if e["taken"]]
    assert len({e["jti"] for e in taken}) == len(taken) > 0, entries
    assert len({e["jkt"] for e in taken}) == 1, entries
    assert {e.get("error") for e in entries if not e["taken"]} <= {"use_dpop_nonce"}, entries
    return len(taken), len(entries) - len(taken)


class Curl:
    """Requests by curl, with the header lines that mcp-token prints for them."""

    def __init__(self, broker):
        self.broker = broker
        self.nonce = None

    def lines(self, *more, method="POST"):
        nonce = ["--nonce=" + self.nonce] if self.nonce else []
        return self.broker.run("mcp-token", "--no-login", "--header-line", "--method=" + method, *nonce, *more, STAGE.bound,
                               check=0).stdout

    def send(self, lines):
        """Status, what the challenge complains of, and what the tool says."""
        run = subprocess.run(["curl", "-sS", "-i", "-H", "@-", *MCP_HEADERS, "--data", json.dumps(CALL), STAGE.bound], input=lines,
                             env=STAGE.env, capture_output=True, timeout=PATIENCE, check=True, text=True)
        head, _, body = run.stdout.partition("\n\n")  # text=True made one of each end of a line
        status, *fields = head.splitlines()
        said = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
        self.nonce = said["dpop-nonce"]
        complaint = re.search('error_description="([^"]*)"', said.get("www-authenticate", ""))
        who = json.loads(json.loads(body)["result"]["content"][0]["text"]) if status.split()[1] == "200" else None
        return int(status.split()[1]), complaint and complaint[1], who


def bound_broker(stack, stage=None):
    stage = stage or STAGE
    broker = Broker(stack)
    stage.at_issuer.new()
    stage.at_server.new()
    return broker, stage.log_in(broker, stage.bound)


def parts_of(lines):
    fields = dict(line.split(": ", 1) for line in lines.splitlines())
    return fields["Authorization"].split(" ", 1)[1], fields["DPoP"]


def claims_of(proof):
    return json.loads(base64.urlsafe_b64decode(proof.split(".")[1] + "=="))


def force_refresh(broker):
    """As a program does whose token the server has refused."""
    rpc = Rpc(broker.socket)
    got = rpc.call("token.get", server=STAGE.bound, login="never")
    assert rpc.call("token.reject", server=STAGE.bound, token_id=got["token_id"])["rejected"] is True
    after = rpc.call("token.get", server=STAGE.bound, login="never")
    rpc.close()
    assert after["token"] != got["token"] and after["token_type"] == "DPoP", after
    return after["token"]


def pushed(entries):
    return [(e["status"], e.get("error"), e.get("proof")) for e in entries if e["event"] == "pushed_authorization_request"]


# A35 A210
def a_login_through_chromium_gets_a_token_that_is_bound_to_a_key(stack):
    broker, _ = bound_broker(stack)
    got = json.loads(broker.run("mcp-token", "--no-login", "--json", STAGE.bound, check=0).stdout)
    assert got["token_type"] == "DPoP", got
    assert STAGE.sdk_client(STAGE.bound, "Authorization: Bearer %s\n" % got["token"]).get("code") == 401
    said = broker.run("mcp-token", "--no-login", "--header-line", STAGE.bound)
    assert said.returncode != 0 and said.stdout == "" and "--method" in said.stderr, said


# A108 A211
def a_request_is_pushed_where_the_issuer_wants_that_and_brings_the_nonce_for_the_code(stack):
    _, person = bound_broker(stack)
    entries = STAGE.at_issuer.new()
    assert pushed(entries) == [(400, "use_dpop_nonce", True), (201, None, True)], entries
    assert with_proof(entries) == [("authorization_code", 200, None)], entries
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(person.report["url"]).query)
    assert sorted(query) == ["client_id", "request_uri"], query


# A122 A211
def a_code_is_sent_again_with_the_nonce_where_nothing_can_be_pushed(stack):
    bound_broker(stack, POST_STAGE)
    entries = POST_STAGE.at_issuer.new()
    assert pushed(entries) == [], entries
    assert with_proof(entries) == [("authorization_code", 400, "use_dpop_nonce"), ("authorization_code", 200, None)], entries
    assert {e["shown"] for e in tokens(entries)} == {"body"}, entries


# A208 A211 A213
def a_refresh_is_proved_by_the_same_key_with_the_nonce_that_is_known(stack):
    broker, _ = bound_broker(stack)
    STAGE.at_issuer.new()
    force_refresh(broker)
    assert with_proof(STAGE.at_issuer.new()) == [("refresh_token", 200, None)]
    # No nonce of before is good any more; and where there is one, nobody asks for the time.
    with issuer_ahead(900):
        force_refresh(broker)
    entries = STAGE.at_issuer.new()
    assert with_proof(entries) == [("refresh_token", 400, "use_dpop_nonce"), ("refresh_token", 200, None)], entries
    assert count(entries, "grant.revoked") == 0, entries


# A214
def a_killed_daemon_comes_back_with_its_key(stack):
    broker, _ = bound_broker(stack)
    curl = Curl(broker)
    curl.send(curl.lines())
    assert curl.send(curl.lines())[0] == 200
    broker.kill()
    broker.start()
    force_refresh(broker)
    assert curl.send(curl.lines())[0] == 200
    assert each_was_proved_once(bound(STAGE.at_server.new())) == (2, 1)


# A205 A212
def curl_is_served_with_the_lines_of_mcp_token(stack):
    curl = Curl(bound_broker(stack)[0])
    assert curl.send(curl.lines())[:2] == (401, "Not the newest nonce")
    status, _, who = curl.send(curl.lines())
    assert (status, who["sub"], who["resource"]) == (200, STAGE.user, STAGE.bound), who
    assert curl.send(curl.lines("--url=%s?page=2" % STAGE.bound))[0] == 200
    STAGE.renew_nonce()
    assert curl.send(curl.lines())[:2] == (401, "Not the newest nonce")
    assert curl.send(curl.lines())[0] == 200
    assert each_was_proved_once(bound(STAGE.at_server.new())) == (3, 2)


# A204 A206
def a_proof_is_good_for_one_request_and_no_other(stack):
    broker, _ = bound_broker(stack)
    curl = Curl(broker)
    curl.send(curl.lines())
    lines = curl.lines()
    assert (curl.send(lines)[0], curl.send(lines)[:2]) == (200, (401, "jti was here before"))
    assert curl.send(curl.lines(method="GET"))[1] == "htm is another method"
    assert curl.send(curl.lines("--url=%s/below" % STAGE.bound))[1] == "htu is another URL"
    elsewhere = broker.run("mcp-token", "--no-login", "--header-line", "--method=POST", "--url=" + STAGE.mcp, STAGE.bound)
    assert elsewhere.returncode != 0 and elsewhere.stdout == "", elsewhere
    old = curl.lines()
    force_refresh(broker)
    token, proof = parts_of(curl.lines())
    assert curl.send("Authorization: DPoP %s\nDPoP: %s\n" % (parts_of(old)[0], proof))[1] == "ath is of another token"
    own = KEYS["ES256"].sign({**claims_of(proof), "jti": secrets.token_hex(16)}, typ="dpop+jwt", jwk=KEYS["ES256"].jwk, kid=None)
    assert curl.send("Authorization: DPoP %s\nDPoP: %s\n" % (token, own))[1] == "The token is bound to another key"
    assert curl.send("Authorization: DPoP %s\n" % token)[1].startswith("Not a good JWT")


# A206 A212 A217
def mcp_connect_proves_each_request_of_the_sdk(stack):
    broker, _ = bound_broker(stack)
    for kind in ("v1", "v2"):
        STAGE.at_server.new()
        host = SdkHost(stack, STAGE, broker, kind, STAGE.bound)
        assert host.said()["whoami"]["sub"] == STAGE.user
        each_was_proved_once(bound(STAGE.at_server.new()))
        assert host.whoami()["whoami"]["sub"] == STAGE.user
        assert each_was_proved_once(bound(STAGE.at_server.new())) == (1, 0)
        STAGE.renew_nonce()
        assert host.whoami()["whoami"]["sub"] == STAGE.user
        assert each_was_proved_once(bound(STAGE.at_server.new())) == (1, 1)


# A213
def a_nonce_that_comes_with_each_answer_costs_no_repeat(stack):
    broker, _ = bound_broker(stack)
    host = SdkHost(stack, STAGE, broker, "v2", STAGE.bound)
    assert host.said()["whoami"]["sub"] == STAGE.user
    STAGE.renew_nonce(each=True)
    try:
        STAGE.at_server.new()
        for _ in range(5):
            assert host.whoami()["whoami"]["sub"] == STAGE.user
        assert each_was_proved_once(bound(STAGE.at_server.new())) == (5, 1)  # that it changed is news for the first
    finally:
        STAGE.renew_nonce()


def own_credentials_get_bound_tokens(stack, broker, grant_type):
    start(broker)
    curl = Curl(broker)
    curl.send(curl.lines())
    status, _, who = curl.send(curl.lines())
    assert status == 200, who
    entries = STAGE.at_issuer.new()
    assert with_proof(entries) == [(grant_type, 400, "use_dpop_nonce"), (grant_type, 200, None)], entries
    each_was_proved_once(bound(STAGE.at_server.new()))
    assert SdkHost(stack, STAGE, broker, "v2", STAGE.bound).said()["whoami"] == who
    return who


def a_client_with_a_key_signs_anew_for_the_nonce_and_gets_a_bound_token(stack):
    who = own_credentials_get_bound_tokens(stack, broker_with_key(stack, url=STAGE.bound), "client_credentials")
    assert who["client"] == "key-ES256", who


def a_service_account_gets_a_bound_token(stack):
    who = own_credentials_get_bound_tokens(stack, broker_with_identity(stack, account_token(), url=STAGE.bound), JWT_BEARER)
    assert who["sub"] == SUBJECT, who


# --- a person whose browser is elsewhere ---------------------------------------------------------------------------------

def by_code(stack, stage, url, does):
    """mcp-add --device, and a person who types in its code at Chromium."""
    broker = Broker(stack)
    stage.at_issuer.new()
    adding = broker.popen("mcp-add", "--device", url)
    told = []
    while len(told) < 2:
        line = adding.stderr.readline()
        assert line, broker.log()
        if line.startswith("  "):
            told.append(line.strip())
    report = stage.person(does, code=told[1]).go(told[0])
    assert report["problems"] == [], report
    assert report["pages"][:4] == ["Which code?", "Is it yours?", "Sign in", "May it?"], report
    return broker, adding.wait(PATIENCE), adding.stderr.read()


def polls(entries):
    return [(e["status"], e.get("error")) for e in tokens(entries) if e["grant_type"] == DEVICE_CODE]


# RFC 8628
def a_person_types_in_the_code_of_a_device(stack):
    broker, status, said = by_code(stack, STAGE, STAGE.mcp, "allow")
    assert status == 0, said
    entries = STAGE.at_issuer.new()
    answers = polls(entries)
    assert answers[-1] == (200, None) and set(answers[:-1]) <= {(400, "authorization_pending")}, entries
    who = STAGE.sdk_client(STAGE.mcp, "Authorization: Bearer %s\n" % broker.token(STAGE.mcp))["whoami"]
    assert (who["sub"], who["resource"]) == (STAGE.user, STAGE.mcp), who
    assert count(entries, "refresh_token.saved") == 1, entries


def a_device_gets_a_bound_token_and_refreshes_it(stack):
    broker, status, said = by_code(stack, STAGE, STAGE.bound, "allow")
    assert status == 0, said
    answers = polls(STAGE.at_issuer.new())
    assert answers[-1] == (200, None) and answers.count((400, "use_dpop_nonce")) == 1, answers
    force_refresh(broker)
    curl = Curl(broker)
    curl.send(curl.lines())
    assert curl.send(curl.lines())[2]["sub"] == STAGE.user


def a_no_ends_the_login_of_a_device(stack):
    _, status, said = by_code(stack, STAGE, STAGE.mcp, "deny")
    assert status == 4 and "access_denied" in said, (status, said)
    assert polls(STAGE.at_issuer.new())[-1] == (400, "access_denied")


HELPERS = (by_code, polls, metadata, with_key, extensions, fewer_extensions, private_file, declare, key_lines, broker_with_key, broker_with_identity,
           account_token, start, tokens, is_refused, issuer_ahead, assertion, show, get_by_secret, bound, with_proof,
           each_was_proved_once, bound_broker, parts_of, claims_of, pushed, force_refresh, own_credentials_get_bound_tokens)
CLAIMS = [f for f in list(globals().values())
          if type(f) is type(declare) and f.__module__ == "__main__" and f not in HELPERS]


def main():
    global STAGE, POST_STAGE
    peers = pathlib.Path(os.environ["PEERS"]).resolve()
    with contextlib.ExitStack() as stack:
        STAGE = Stage(stack, peers, peers / "logs/workloads", extensions())
        POST_STAGE = Stage(stack, peers, peers / "logs/workloads/post", fewer_extensions())
        return Tap().run(CLAIMS)


if __name__ == "__main__":
    sys.exit(main())
