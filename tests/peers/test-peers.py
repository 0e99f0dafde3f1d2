#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The broker among strangers: oidc-provider as the issuer, the official SDK's MCP server and client, Chromium as the browser.

Nothing of ours stands in for a peer here. Output is TAP.

    PEERS=FOLDER top_builddir=FOLDER top_srcdir=FOLDER test-peers.py [WORD]...

PEERS is a folder in which `npm ci` has installed package.json; logs and the screenshots are left there. A WORD picks the claims
whose names hold it.
"""
import concurrent.futures
import contextlib
import os
import pathlib
import signal
import socket
import sys
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]
from harness import Broker, Rpc, Tap, until  # noqa: E402
from plainclient import PlainClient  # noqa: E402
from stage import Stage, count, granted, post_form, request  # noqa: E402

STAGE = None  # set by main(): starting Node and its packages takes a second, so all claims share issuer and server


# --- are the peers what the rest takes them for? -----------------------------------------------------------------------

def plain_login(stack, resource, **more):
    client = PlainClient(stack, STAGE.issuer, resource)
    person = STAGE.person("allow")
    answer = client.log_in(person, **more)
    assert answer and "code" in answer, (answer, person.said())
    assert person.report["problems"] == [], person.report
    tokens = client.redeem(answer)
    assert tokens.status == 200, tokens.body
    return client, tokens.json


def the_server_asks_for_a_token_and_says_where_to_get_one(_):
    answer = request("POST", STAGE.mcp, "{}", {"Content-Type": "application/json"})
    assert answer.status == 401, answer.body
    assert "resource_metadata=" in answer.headers["WWW-Authenticate"], answer.headers


def the_server_takes_only_tokens_for_itself(stack):
    for mine, other in ((STAGE.mcp, STAGE.jwt), (STAGE.jwt, STAGE.mcp)):
        _, tokens = plain_login(stack, mine)
        line = "Authorization: Bearer %s\n" % tokens["access_token"]
        assert STAGE.sdk_client(mine, line)["whoami"]["sub"] == STAGE.user
        assert STAGE.sdk_client(other, line).get("code") == 401


def the_issuer_gives_a_refresh_token_only_for_offline_access(stack):
    _, tokens = plain_login(stack, STAGE.mcp, scope="tools:read tools:call")
    assert "refresh_token" not in tokens, tokens


def the_issuer_wants_pkce(stack):
    person = STAGE.person("allow")
    answer = PlainClient(stack, STAGE.issuer, STAGE.mcp).log_in(person, code_challenge=None, code_challenge_method=None)
    assert answer["error"] == "invalid_request", answer


def the_issuer_ends_a_grant_whose_refresh_token_comes_twice(stack):
    client, tokens = plain_login(stack, STAGE.mcp)
    first = client.refresh(tokens["refresh_token"])
    assert first.status == 200 and first.json["refresh_token"] != tokens["refresh_token"], first.body
    STAGE.at_issuer.new()
    assert client.refresh(tokens["refresh_token"]).status == 400
    assert count(STAGE.at_issuer.new(), "grant.revoked") == 1
    assert client.refresh(first.json["refresh_token"]).status == 400
    assert not STAGE.is_active(first.json["access_token"])


def a_revoked_refresh_token_takes_its_access_tokens_along(stack):
    client, tokens = plain_login(stack, STAGE.mcp)
    assert STAGE.is_active(tokens["access_token"])
    post_form(client.metadata["revocation_endpoint"], {"client_id": client.client_id, "token": tokens["refresh_token"]})
    assert not STAGE.is_active(tokens["access_token"])


def the_person_sees_a_code_that_stays_on_the_page(stack):
    client = PlainClient(stack, STAGE.issuer, STAGE.mcp)
    client.listener.leaks = True
    person = STAGE.person("allow")
    assert "code" in client.log_in(person)
    assert any("URL of the landing page" in p for p in person.report["problems"]), person.report


def the_issuer_takes_the_persons_no(stack):
    client = PlainClient(stack, STAGE.issuer, STAGE.mcp)
    assert client.log_in(STAGE.person("deny"))["error"] == "access_denied"


def the_issuer_takes_no_wrong_password(stack):
    client = PlainClient(stack, STAGE.issuer, STAGE.mcp)
    person = STAGE.person("allow", password="wrong")
    assert client.log_in(person) is None
    assert person.report["problems"] == ["The issuer says: Wrong user or password."], person.report


# --- the broker among them -----------------------------------------------------------------------------------------------

def broker_with_login(stack, url=None, screenshot=None):
    broker = Broker(stack)
    return broker, STAGE.log_in(broker, url or STAGE.mcp, screenshot)


def whoami(broker, url):
    """The answer of the tool, called by the SDK's client with a header line of mcp-token."""
    line = broker.run("mcp-token", "--no-login", "--header-line", url, check=0).stdout
    answer = STAGE.sdk_client(url, line)
    assert answer.get("tools") == ["whoami"], answer
    return answer["whoami"]


@contextlib.contextmanager
def access_tokens_that_live(seconds):
    STAGE.access_tokens_live(seconds)
    try:
        yield
    finally:
        STAGE.access_tokens_live(600)


def force_refresh(broker, url):
    """As a program does whose token the server has refused."""
    rpc = Rpc(broker.socket)
    got = rpc.call("token.get", server=url, login="never")
    assert rpc.call("token.reject", server=url, token_id=got["token_id"])["rejected"] is True
    rpc.close()
    return broker.token(url)


class FirstLogin:
    """One login that several claims look at."""

    cached = None

    def __init__(self):
        STAGE.at_issuer.new()
        STAGE.at_server.new()
        self.screenshot = STAGE.peers / "landing.png"
        self.screenshot.unlink(missing_ok=True)
        self.broker, self.person = broker_with_login(STAGE.stack, screenshot=self.screenshot)
        self.whoami = whoami(self.broker, STAGE.mcp)
        self.at_issuer, self.at_server = STAGE.at_issuer.new(), STAGE.at_server.new()
        self.query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.person.report["url"]).query)
        self.asked = next(e for e in self.at_issuer if e["event"] == "pushed_authorization_request")

    @classmethod
    def get(cls):
        cls.cached = cls.cached or cls()
        return cls.cached


# A8 A16 A24 A78 A95 A99 S10
def a_login_through_chromium_ends_in_a_tool_call_by_the_sdk(_):
    login = FirstLogin.get()
    assert login.person.report["pages"] == ["Sign in", "May it?"], login.person.report
    assert STAGE.mcp in login.person.report["consent"], login.person.report
    who = login.whoami
    assert (who["sub"], who["resource"]) == (STAGE.user, STAGE.mcp), who
    assert sorted(who["scopes"]) == ["tools:call", "tools:read"], who
    assert count(login.at_issuer, "registration") == 1, login.at_issuer
    assert len(granted(login.at_issuer, "authorization_code")) == 1, login.at_issuer
    assert {e["resource"] for e in login.at_issuer if e["event"] in ("authorization", "token")} == {STAGE.mcp}
    assert not any("query" in e for e in login.at_server), login.at_server


# A112 A123
def the_landing_page_holds_no_code_and_loads_nothing(_):
    login = FirstLogin.get()
    landing = login.person.report["landing"]
    assert (landing["status"], landing["codes"], landing["resources"]) == (200, 1, 0), landing
    assert landing["headers"]["cache-control"] == "no-store", landing
    assert landing["headers"]["referrer-policy"] == "no-referrer", landing
    assert STAGE.mcp in landing["text"], landing
    assert login.screenshot.read_bytes().startswith(b"\x89PNG")


# A108
def the_request_is_pushed_and_the_browser_carries_a_reference(_):
    login = FirstLogin.get()
    assert login.asked["status"] == 201 and login.asked["resource"] == STAGE.mcp, login.asked
    assert sorted(login.query) == ["client_id", "request_uri"], login.query


# A104 A233
def nothing_listens_once_the_person_is_done(_):
    redirect = urllib.parse.urlsplit(FirstLogin.get().asked["redirect_uri"])

    def closed():
        with socket.socket() as s:
            return s.connect_ex((redirect.hostname, redirect.port)) != 0

    until("the listener is closed", closed)


# A110 A141
def offline_access_is_asked_for_with_consent_where_the_issuer_lists_it(_):
    login = FirstLogin.get()
    assert "offline_access" in login.asked["scope"].split() and login.asked["prompt"] == "consent", login.asked
    assert count(login.at_issuer, "refresh_token.saved") == 1, login.at_issuer


# A142 A146 S6
def ten_who_ask_when_the_token_has_ended_make_one_refresh(stack):
    broker = Broker(stack)
    with access_tokens_that_live(2):
        STAGE.log_in(broker, STAGE.mcp)
    end = time.monotonic() + 2
    until("the access token ends", lambda: time.monotonic() > end)
    STAGE.at_issuer.new()
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        tokens = set(pool.map(lambda _: broker.token(STAGE.mcp), range(10)))
    journal = STAGE.at_issuer.new()
    assert len(tokens) == 1, "%d different tokens" % len(tokens)
    assert [e["resource"] for e in granted(journal, "refresh_token")] == [STAGE.mcp], journal
    assert count(journal, "refresh_token.consumed") == 1 and count(journal, "grant.revoked") == 0, journal
    assert whoami(broker, STAGE.mcp)["sub"] == STAGE.user


# A145 A149
def refresh_tokens_rotate_again_and_again(stack):
    broker = Broker(stack)
    STAGE.at_issuer.new()
    tokens = set()  # all that were seen
    rpc = Rpc(broker.socket)

    def get():
        return rpc.call("token.get", server=STAGE.mcp, login="never")

    with access_tokens_that_live(2):
        STAGE.log_in(broker, STAGE.mcp)
        until("the access token ends again and again", lambda: tokens.add(get()["token"]) or len(tokens) == 4)
    until("a token that lives long enough to be used", lambda: get()["expires_in"] > 60)
    rpc.close()
    journal = STAGE.at_issuer.new()
    assert len(granted(journal, "refresh_token")) == count(journal, "refresh_token.consumed") >= 3, journal
    assert count(journal, "grant.revoked") == 0, journal
    assert whoami(broker, STAGE.mcp)["sub"] == STAGE.user


# A145 S7
def a_killed_daemon_comes_back_and_refreshes_without_a_person(stack):
    broker, _ = broker_with_login(stack)
    token = force_refresh(broker, STAGE.mcp)
    broker.kill()
    broker.start()
    assert broker.token(STAGE.mcp) == token
    STAGE.at_issuer.new()
    assert force_refresh(broker, STAGE.mcp) != token
    journal = STAGE.at_issuer.new()
    assert len(granted(journal, "refresh_token")) == 1 and count(journal, "grant.revoked") == 0, journal


# A69 A136 A168 A230 S5
def two_servers_share_a_registration_but_no_token(stack):
    STAGE.at_issuer.new()
    broker, _ = broker_with_login(stack)
    STAGE.log_in(broker, STAGE.jwt)
    assert count(STAGE.at_issuer.new(), "registration") == 1
    assert whoami(broker, STAGE.mcp)["resource"] == STAGE.mcp
    assert whoami(broker, STAGE.jwt)["resource"] == STAGE.jwt
    line = broker.token(STAGE.mcp, "--header-line") + "\n"
    assert STAGE.sdk_client(STAGE.jwt, line).get("code") == 401


# A121
def a_no_on_the_consent_page_reaches_the_terminal(stack):
    STAGE.at_issuer.new()
    broker, person = Broker(stack), STAGE.person("deny")
    result = broker.run("mcp-add", STAGE.mcp, env=person.env, check=4)
    assert "access_denied" in result.stderr and "The person said no" in result.stderr, result.stderr
    until("the person has read the page", person.is_back)
    assert person.report["problems"] == [] and person.report["landing"]["codes"] == 0, person.report
    assert granted(STAGE.at_issuer.new(), "authorization_code") == []
    broker.run("mcp-token", "--no-login", STAGE.mcp, check=4)


# A152 A153
def a_removed_server_leaves_nothing_at_the_issuer(stack):
    broker, _ = broker_with_login(stack)
    token = broker.token(STAGE.mcp)
    assert STAGE.is_active(token)
    STAGE.at_issuer.new()
    name = broker.servers()[0]["name"]
    result = broker.run("mcp-add", "-d", name, check=0)
    assert "not revoked" not in result.stderr.lower(), result.stderr
    assert not STAGE.is_active(token)
    journal = STAGE.at_issuer.new()
    assert [(e["hint"], e["status"]) for e in journal if e["event"] == "revocation"] == [
        ("refresh_token", 200), ("access_token", 200)], journal
    assert count(journal, "grant.revoked") == 1, journal
    assert broker.servers() == []


# A111
def control_c_ends_a_login_whose_browser_stays_open(stack):
    STAGE.at_issuer.new()
    broker, person = Broker(stack), STAGE.person("nothing")
    add = broker.popen("mcp-add", STAGE.mcp, env=person.env)
    until("the person looks at the page", person.is_back)
    os.kill(int(person.pid_file.read_text()), signal.SIGTERM)  # closes the browser and says nothing
    add.send_signal(signal.SIGINT)
    _, stderr = add.communicate(timeout=60)
    assert add.returncode == 130 and "cancelled" in stderr, (add.returncode, stderr)
    assert granted(STAGE.at_issuer.new(), "authorization_code") == []
    assert broker.servers()[0]["state"] == "login_required", broker.servers()


# A138 A139 A236 S1
def no_refresh_token_is_on_disk_or_in_any_output(stack):
    broker, _ = broker_with_login(stack)
    force_refresh(broker, STAGE.mcp)
    given = [t.encode() for t in STAGE.refresh_tokens()[-2:]]
    output = [broker.run(*command, check=0).stdout.encode() for command in (
        ("mcp-list", "--json"), ("mcp-token", "--json", STAGE.mcp), ("mcp-brokerctl", "status", "--json"))]
    files = [p for p in broker.dir.rglob("*") if p.is_file()]
    assert any(broker.state in p.parents for p in files), files
    for text in output + [p.read_bytes() for p in files]:
        assert not any(token in text for token in given)


HELPERS = (plain_login, broker_with_login, whoami, access_tokens_that_live, force_refresh)
CLAIMS = [f for f in list(globals().values())
          if type(f) is type(plain_login) and f.__module__ == "__main__" and f not in HELPERS]


def main():
    global STAGE
    peers = pathlib.Path(os.environ["PEERS"]).resolve()
    with contextlib.ExitStack() as stack:
        STAGE = Stage(stack, peers, peers / "logs/peers")
        return Tap().run(CLAIMS)


if __name__ == "__main__":
    sys.exit(main())
