#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What infrastructure says of a workload, shown to oidc-provider in each way but the grant of test-workloads.py: as the credential of
a client, by a certificate, to be exchanged, and by way of an identity provider. exchange.mjs has what oidc-provider does not.

The platform's tokens and certificates are OpenSSL's. Output is TAP.

    PEERS=FOLDER top_builddir=FOLDER top_srcdir=FOLDER test-exchange.py [WORD]...

PEERS is as for test-peers.py.
"""
import base64
import contextlib
import hashlib
import html.parser
import http.client
import json
import os
import pathlib
import re
import secrets
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(HERE.parents[1] / "contrib/demo"), str(HERE), str(HERE.parent / "integration")]
import workload  # noqa: E402
from harness import PATIENCE, Broker, Tap  # noqa: E402
from stage import Stage, post_form, request  # noqa: E402

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ACCOUNT = "system:serviceaccount:default:agent"
LIAR = "system:serviceaccount:default:liar"
SPIFFE_ID = "spiffe://example.org/agent"
SECRET = secrets.token_urlsafe(24)
PLATFORM, DOMAIN, STRANGER = (workload.Key(alg) for alg in ("RS256", "ES256", "ES256"))

STAGE = IDP = OTHER_IDP = None  # set by main(); the last two are identity providers, of which the first trusts one
WORLD = None  # a folder with the certificates


# --- the issuers ---------------------------------------------------------------------------------------------------------

def metadata(client_id, method, **more):
    return {"client_id": client_id, "grant_types": ["client_credentials"], "response_types": [], "redirect_uris": [],
            "scope": "openid", "token_endpoint_auth_method": method, **more}


def certificate(name, *more):
    """NAME.pem: a key, and a certificate for it."""
    key, cert = WORLD / (name + ".key"), WORLD / (name + ".crt")
    workload.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=" + name,
                     "-keyout", str(key), "-out", str(cert), *more)
    return key.read_text(), cert.read_text()


def svid(name, spiffe_id, authority="authority"):
    """A folder as a SPIFFE agent fills one: what folder= of spiffe:x509 names."""
    folder = WORLD / name
    folder.mkdir()
    key, cert = certificate(name, "-addext", "subjectAltName=URI:" + spiffe_id, "-addext", "basicConstraints=critical,CA:FALSE",
                            "-CA", str(WORLD / (authority + ".crt")), "-CAkey", str(WORLD / (authority + ".key")))
    bundle = folder / "credential-bundle.private-key.pem"
    bundle.write_text(key + cert)
    bundle.chmod(0o600)
    return folder


def extensions(idp):
    by_secret = [metadata(name, "client_secret_basic", client_secret=SECRET) for name in ("pod", "svid")]
    by_certificate = [metadata(name, "tls_client_auth", tls_client_auth_san_uri=SPIFFE_ID, **more) for name, more in (
        ("tls", {}), ("tls-bound", {"tls_client_certificate_bound_access_tokens": True}))]
    nobody = metadata("workloads", "none", grant_types=[TOKEN_EXCHANGE])
    jag = metadata("jag", "client_secret_basic", client_secret=SECRET, grant_types=[JWT_BEARER])
    key, cert = certificate("issuer", "-addext", "subjectAltName=IP:127.0.0.1")
    _, authority = certificate("authority")
    return {"clients": [*by_secret, *by_certificate, nobody, jag], "algorithms": ["ES256", "RS256"],
            "methods": ["client_secret_basic", "private_key_jwt", "tls_client_auth", "none"],
            "platform": {"issuer": workload.ISSUER, "jwks": PLATFORM.jwks(), "clients": {ACCOUNT: ["pod", SECRET], LIAR: ["pod", SECRET]},
                         "liar": LIAR},
            "spiffe": {"jwks": DOMAIN.jwks(), "clients": {SPIFFE_ID: ["svid", SECRET]}},
            "tls": {"key": key, "cert": cert, "ca": authority}, "idp": idp}


# --- the broker's side ---------------------------------------------------------------------------------------------------

def private_file(broker, name, text):
    path = broker.dir / name
    path.write_text(text)
    path.chmod(0o600)
    return path


def declared(stack, *lines, identity=None, url=None):
    """A broker with one server; @identity is the text of a token in a file."""
    broker = Broker(stack, start=False)
    if identity:
        lines = ("Identity=file:path=%s" % private_file(broker, "identity", identity), *lines)
    if any(line.startswith("ClientId=jag") for line in lines):
        lines = ("ClientSecretFile=%s" % private_file(broker, "secret", SECRET), *lines)
    (broker.dir / "config/mcp-broker.conf").write_text("[Network]\nCaFile=%s\n" % (WORLD / "issuer.crt"))
    folder = broker.dir / "config/servers.d"
    folder.mkdir(mode=0o755)
    file = folder / "work.conf"
    file.write_text("\n".join(("[Server]", "URL=" + (url or STAGE.mcp), *lines, "")))
    file.chmod(0o644)
    for stage in (STAGE, IDP):
        stage.at_issuer.new()
    return broker.start()


def shown(stage=None):
    """What the issuer was shown: by whom it was believed, or refused."""
    return [e for e in (stage or STAGE).at_issuer.new() if e["event"] in ("token", "federated")]


def works(broker, **who):
    """The MCP server takes the token, and it is that of @who."""
    said = STAGE.sdk_client(STAGE.mcp, "Authorization: Bearer %s\n" % broker.token("work"))["whoami"]
    assert {name: said[name] for name in who} == who and said["resource"] == STAGE.mcp, said
    assert said["scopes"] == ["tools:call", "tools:read"], said


def is_refused(broker, *what):
    """Whoever asks is told, again and again; the issuer was shown it once at most. What it was shown."""
    said = [broker.run("mcp-token", "--no-login", "work") for _ in range(3)]
    assert {run.returncode for run in said} & {0, 2, 3} == set() and {run.stdout for run in said} == {""}, said
    for run in said:
        assert all(word in run.stderr for word in what), run.stderr
    return shown()


def account_token(key=PLATFORM, audience=None, **claims):
    return key.sign(workload.account_claims(audience or STAGE.issuer, **claims), typ="JWT")


def jwt_svid(key=DOMAIN, **claims):
    now = int(time.time())
    return key.sign({"sub": SPIFFE_ID, "aud": [STAGE.issuer], "iat": now, "exp": now + 300, **claims}, typ="JWT")


# --- a platform's token as the credential of a client ------------------------------------------------------------------------

def a_token_of_the_platform_is_the_credential_of_a_client(stack):
    broker = declared(stack, "Present=client-assertion", identity=account_token(audience=STAGE.issuer))
    works(broker, client="pod")
    assert [(e["event"], e.get("type"), e["status"], e["client"], e["grant_type"], e["resource"]) for e in shown()] == [
        ("federated", "jwt-bearer", 200, "pod", "client_credentials", STAGE.mcp),
        ("token", None, 200, "pod", "client_credentials", STAGE.mcp)]


def it_may_say_which_client_it_is(stack):
    broker = declared(stack, "Issuer=" + STAGE.issuer, "ClientId=pod", "Present=client-assertion", identity=account_token())
    works(broker, client="pod")
    refused = declared(stack, "Issuer=" + STAGE.issuer, "ClientId=svid", "Present=client-assertion", identity=account_token())
    assert [e["status"] for e in is_refused(refused, "invalid_client")] == [401]


def a_token_of_another_platform_is_refused_once(stack):
    for bad in (account_token(STRANGER), account_token(account="other")):
        entries = is_refused(declared(stack, "Present=client-assertion", identity=bad), "invalid_client")
        assert [(e["event"], e["status"]) for e in entries] == [("federated", 401)], entries


def a_token_for_somebody_else_is_shown_to_nobody(stack):
    elsewhere = "https://kubernetes.default.svc"
    for way, token in (("client-assertion", account_token(audience=elsewhere)), ("token-exchange", account_token(audience=elsewhere)),
                       ("jwt-spiffe", jwt_svid(aud=elsewhere))):
        assert is_refused(declared(stack, "Present=" + way, identity=token), elsewhere) == [], way


# --- SPIFFE -----------------------------------------------------------------------------------------------------------------

def a_svid_is_the_credential_of_a_client(stack):
    works(declared(stack, "Present=jwt-spiffe", identity=jwt_svid()), client="svid")
    assert [(e["event"], e.get("type"), e["status"]) for e in shown()] == [("federated", "jwt-spiffe", 200), ("token", None, 200)]


def a_svid_of_another_trust_domain_is_refused_once(stack):
    for bad in (jwt_svid(STRANGER), jwt_svid(sub="spiffe://example.org/other")):
        entries = is_refused(declared(stack, "Present=jwt-spiffe", identity=bad), "invalid_client")
        assert [(e["event"], e["status"]) for e in entries] == [("federated", 401)], entries


def what_is_no_svid_is_not_called_one(stack):
    assert is_refused(declared(stack, "Present=jwt-spiffe", identity=account_token()), "SPIFFE") == []


# --- to be exchanged ----------------------------------------------------------------------------------------------------------

def a_token_of_the_platform_is_exchanged(stack):
    works(declared(stack, "Present=token-exchange", identity=account_token()), sub=ACCOUNT)
    assert [(e["grant_type"], e["status"], e["resource"]) for e in shown()] == [(TOKEN_EXCHANGE, 200, STAGE.mcp)]


def what_may_not_be_exchanged_is_refused_once(stack):
    for bad in (account_token(STRANGER), account_token(account="other")):
        entries = is_refused(declared(stack, "Present=token-exchange", identity=bad), "invalid_grant")
        assert [e["status"] for e in entries] == [400], entries


def what_is_no_access_token_is_handed_to_nobody(stack):
    broker = declared(stack, "Present=token-exchange", identity=account_token(account="liar"))
    entries = is_refused(broker, "no access token")
    assert [e["status"] for e in entries] == [200], entries


# --- a certificate ------------------------------------------------------------------------------------------------------------

def shown_by_hand(url, folder=None):
    """What the issuer answers to a client that shows the certificate of @folder, with no broker between."""
    context = ssl.create_default_context(cafile=str(WORLD / "issuer.crt"))
    if folder:
        context.load_cert_chain(str(folder / "credential-bundle.private-key.pem"))
    u = urllib.parse.urlsplit(url)
    with contextlib.closing(http.client.HTTPSConnection(u.hostname, u.port, timeout=PATIENCE, context=context)) as connection:
        connection.request("POST", u.path, urllib.parse.urlencode({"grant_type": "client_credentials", "client_id": "tls-bound",
                                                                   "resource": STAGE.jwt}),
                           {"Content-Type": "application/x-www-form-urlencoded"})
        answer = connection.getresponse()
        return answer.status, json.load(answer)


def the_issuer_binds_a_token_to_the_certificate_it_was_shown_and_gives_none_without(_):
    known = request("GET", STAGE.issuer + "/.well-known/openid-configuration").json
    url = known["mtls_endpoint_aliases"]["token_endpoint"]
    assert url.startswith("https://127.0.0.1:") and known["token_endpoint"] == STAGE.issuer + "/token", known
    status, answer = shown_by_hand(url, WORLD / "agent")
    body = answer["access_token"].split(".")[1]
    der = ssl.PEM_cert_to_DER_cert((WORLD / "agent.crt").read_text())
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
    assert (status, json.loads(base64.urlsafe_b64decode(body + "=="))["cnf"]) == (200, {"x5t#S256": thumbprint})
    assert [shown_by_hand(url, folder)[0] for folder in (None, WORLD / "stranger", WORLD / "other")] == [401] * 3


def with_certificate(stack, folder, client="tls", url=None):
    return declared(stack, "Identity=spiffe:x509,folder=%s" % folder, "Issuer=" + STAGE.issuer, "ClientId=" + client, "Present=mtls",
                    url=url)


def a_certificate_that_a_command_prints_is_the_credential_of_a_client(stack):
    key, cert = ((WORLD / ("agent" + end)).read_text() for end in (".key", ".crt"))
    file = WORLD / "credential.json"
    file.write_text(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                                "status": {"clientKeyData": key, "clientCertificateData": cert}}))
    file.chmod(0o600)
    works(declared(stack, "Identity=exec:%s,arg=%s" % (os.path.realpath("/bin/cat"), file), "Issuer=" + STAGE.issuer, "ClientId=tls",
                   "Present=mtls"), client="tls")
    assert [(e["status"], e["auth"]) for e in shown()] == [(200, "tls_client_auth")]


def a_certificate_is_the_credential_of_a_client(stack):
    works(with_certificate(stack, WORLD / "agent"), client="tls")
    assert [(e["status"], e["auth"], e["grant_type"], e["resource"]) for e in shown()] == [
        (200, "tls_client_auth", "client_credentials", STAGE.mcp)]


def a_certificate_of_another_authority_or_name_is_refused_once(stack):
    for folder in ("stranger", "other"):
        entries = is_refused(with_certificate(stack, WORLD / folder), "invalid_client")
        assert [e["status"] for e in entries] == [401], (folder, entries)


def a_token_that_is_bound_to_the_certificate_is_handed_to_nobody(stack):
    """An agent could do nothing with it: the key does not leave the broker. Seen is that in a token that is a JWT."""
    entries = is_refused(with_certificate(stack, WORLD / "agent", "tls-bound", STAGE.jwt), "certificate")
    assert [(e["status"], e["client"]) for e in entries] == [(200, "tls-bound")], entries


# --- by way of an identity provider ---------------------------------------------------------------------------------------------

class Form(html.parser.HTMLParser):
    """Where the form of a page goes."""

    def __init__(self, page):
        super().__init__()
        self.action = None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag == "form":
            self.action = dict(attrs)["action"]


class Reader:
    """A browser without a window: cookies, redirects, and forms that are filled in."""

    def __init__(self, origin):
        self.origin, self.cookies = urllib.parse.urlsplit(origin), {}

    def send(self, method, url, fields=None):
        """The page, or the address that is somebody else's."""
        while True:
            url = urllib.parse.urljoin(self.origin.geturl(), url)
            if urllib.parse.urlsplit(url).netloc != self.origin.netloc:
                return url
            connection = http.client.HTTPConnection(self.origin.netloc, timeout=PATIENCE)
            with contextlib.closing(connection):
                connection.request(method, url[len(self.origin.geturl()):], urllib.parse.urlencode(fields or {}) if method == "POST" else None,
                                   {"Cookie": "; ".join("%s=%s" % pair for pair in self.cookies.items()),
                                    "Content-Type": "application/x-www-form-urlencoded"})
                answer = connection.getresponse()
                page = answer.read().decode()
                for line in answer.headers.get_all("Set-Cookie", ()):
                    name, value = line.partition(";")[0].split("=", 1)
                    self.cookies[name] = value
                if answer.status not in (302, 303):
                    assert answer.status == 200, (url, answer.status, page)
                    return page
                method, url, fields = "GET", answer.headers["Location"], None


def id_token(idp=None):
    """Somebody logs in to the identity provider, and it says who they are."""
    idp = idp or IDP
    verifier, back = secrets.token_urlsafe(48), "https://agents.example.com/cb"
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    reader = Reader(idp.issuer)
    page = reader.send("GET", "/auth?" + urllib.parse.urlencode({
        "client_id": "agents", "response_type": "code", "scope": "openid", "redirect_uri": back, "code_challenge": challenge,
        "code_challenge_method": "S256"}))
    page = reader.send("POST", Form(page).action, {"user": idp.user, "password": idp.password, "do": "login"})
    where = reader.send("POST", Form(page).action, {"do": "allow"})
    assert where.startswith(back), where
    code = urllib.parse.parse_qs(urllib.parse.urlsplit(where).query)["code"][0]
    answer = post_form(idp.issuer + "/token", {"grant_type": "authorization_code", "client_id": "agents", "code": code,
                                               "redirect_uri": back, "code_verifier": verifier})
    assert answer.status == 200, answer.body
    return answer.json["id_token"]


def enterprise(stack, identity, client="agents", idp=None):
    return declared(stack, "Issuer=" + STAGE.issuer, "ClientId=jag", "Present=id-jag", "IdpTokenEndpoint=%s/token" % (idp or IDP).issuer,
                    "IdpClientId=" + client, identity=identity)


def an_identity_provider_speaks_for_somebody(stack):
    works(enterprise(stack, id_token()), sub=IDP.user, client="jag")
    assert [(e["grant_type"], e["client"], e["status"]) for e in shown(IDP)] == [(TOKEN_EXCHANGE, "agents", 200)]
    assert [(e["grant_type"], e["client"], e["status"], e["resource"]) for e in shown()] == [(JWT_BEARER, "jag", 200, STAGE.mcp)]


def what_the_identity_provider_refuses_goes_no_further(stack):
    now = int(time.time())
    forged = STRANGER.sign({"iss": IDP.issuer, "sub": IDP.user, "aud": "agents", "iat": now, "exp": now + 300})
    assert is_refused(enterprise(stack, forged), "identity provider") == []
    entries = shown(IDP)
    assert [(e["status"], e["error"]) for e in entries] == [(400, "invalid_grant")], entries


def a_login_for_another_client_is_shown_to_nobody(stack):
    broker = enterprise(stack, id_token(), "others")
    assert is_refused(broker, "others") == [] and shown(IDP) == []


def spoken_in_vain(stack, idp):
    """The identity provider says who it is, once; the authorization server hears it, once, and why it says no."""
    idp.at_issuer.new()
    entries = is_refused(enterprise(stack, id_token(idp), idp=idp), "invalid_grant")
    assert [(e["grant_type"], e["status"]) for e in entries] == [(JWT_BEARER, 400)], entries
    assert [e["status"] for e in shown(idp) if e["grant_type"] == TOKEN_EXCHANGE] == [200]
    return entries[0]["detail"]


def what_is_said_of_another_client_is_refused_once(stack):
    IDP.trust(STAGE.issuer, "another")
    try:
        assert spoken_in_vain(stack, IDP) == "it is for another client"
    finally:
        IDP.trust(STAGE.issuer, "jag")


def an_identity_provider_that_nobody_trusts_is_refused_once(stack):
    """It calls its key what the other does, too."""
    OTHER_IDP.trust(STAGE.issuer, "jag")
    assert "ERR_JWS_SIGNATURE_VERIFICATION_FAILED" in spoken_in_vain(stack, OTHER_IDP)


def an_identity_provider_says_nothing_to_those_it_does_not_know(stack):
    OTHER_IDP.trust(STAGE.issuer, "")
    OTHER_IDP.at_issuer.new()
    assert is_refused(enterprise(stack, id_token(OTHER_IDP), idp=OTHER_IDP), "identity provider") == []
    assert [(e["status"], e["error"]) for e in shown(OTHER_IDP) if e["grant_type"] == TOKEN_EXCHANGE] == [(400, "invalid_target")]


HELPERS = (metadata, certificate, svid, extensions, private_file, declared, shown, works, is_refused, account_token, jwt_svid,
           shown_by_hand, with_certificate, id_token, enterprise, spoken_in_vain)
CLAIMS = [f for f in list(globals().values())
          if type(f) is type(svid) and f.__module__ == "__main__" and f not in HELPERS]


def identity_provider(audiences):
    person = {**metadata("agents", "none"), "id_token_signed_response_alg": "ES256",
              "grant_types": ["authorization_code", TOKEN_EXCHANGE], "response_types": ["code"],
              "redirect_uris": ["https://agents.example.com/cb"]}
    return {"clients": [person], "algorithms": ["ES256"], "audiences": audiences}


def main():
    global STAGE, IDP, OTHER_IDP, WORLD
    peers = pathlib.Path(os.environ["PEERS"]).resolve()
    with contextlib.ExitStack() as stack:
        WORLD = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mcpb-exchange-")))
        IDP = Stage(stack, peers, peers / "logs/exchange/idp", identity_provider({}))
        OTHER_IDP = Stage(stack, peers, peers / "logs/exchange/other-idp", identity_provider({}))
        STAGE = Stage(stack, peers, peers / "logs/exchange", extensions(IDP.issuer))
        IDP.trust(STAGE.issuer, "jag")
        svid("agent", SPIFFE_ID)
        svid("other", "spiffe://example.org/other")
        certificate("elsewhere")
        svid("stranger", SPIFFE_ID, "elsewhere")
        return Tap().run(CLAIMS)


if __name__ == "__main__":
    sys.exit(main())
