#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Servers, issuers, browsers and people that do what they should not: a clear error with the remedy, the daemon alive,
nobody else delayed, nothing lost."""

import os
import re
import signal
import socket
import sys
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import SOURCE, Tap, until  # noqa: E402
from rough import (PATIENCE, Broker, Demo, STATUSES, Rpc, Waiting, as_nobody, mcp_call, need_root, plainly, side_by_side,  # noqa: E402
                   state_of, token_of, undisturbed, visit)


def port_of(url):
    return urllib.parse.urlsplit(url).port


# --- Addresses ---------------------------------------------------------------------------------------------------------


# A4 S8
def an_address_that_is_none_of_ours_is_refused_before_anything_is_asked(stack):
    broker = Broker(stack)
    with undisturbed(stack, broker) as good:
        port = port_of(good.mcp)
        asked = good.count("mcp")
        for url, needle in ((f"ftp://127.0.0.1:{port}/mcp", "scheme"), ("file:///etc/passwd", "scheme"), ("ws://127.0.0.1/mcp", "scheme"),
                            ("javascript://%0aalert(1)/", "scheme"), (f"gopher://127.0.0.1:{port}/x", "scheme"),
                            ("http://192.0.2.1/mcp", "https"), ("http://mcp.example.com/mcp", "https"),
                            ("http://localhost.example.com/mcp", "https"), (f"http://127.1:{port}/mcp", "https"),
                            (f"http://2130706433:{port}/mcp", "https"), (f"http://0x7f.0.0.1:{port}/mcp", "https"),
                            (f"https://me:secret@127.0.0.1:{port}/mcp", "user information"),
                            (f"http://127.0.0.1:{port}/mcp#there", "fragment"), ("http://127.0.0.1:99999/mcp", "port"),
                            ("http:///mcp", "host"), ("mcp.example.com/mcp", "url")):
            plainly(broker.run("mcp-add", "--no-browser", url), 2, needle)
        for issuer, needle in (("login.example.com", "give the issuer's identifier"), ("http://login.example.com", "https"),
                               ("https://login.example.com/?a=b", "query")):
            plainly(broker.run("mcp-add", "--no-browser", f"--issuer={issuer}", good.mcp), 2, needle)
        assert [s["url"] for s in broker.servers()] == [good.mcp]
        # The neighbour's own tool call comes later; nothing else may have.
        assert good.count("mcp") == asked


# A226 A227 S8
def an_address_that_must_never_be_asked_is_not_connected_to(stack):
    broker = Broker(stack)
    with undisturbed(stack, broker):
        for host in ("169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "0.0.0.0", "224.0.0.1", "255.255.255.255"):
            plainly(broker.run("mcp-add", "--no-browser", f"https://{host}/mcp"), 6, "not allowed")
        plainly(broker.run("mcp-add", "--no-browser", "https://no-such-host.invalid/mcp"), 6, "resolve")
        plainly(broker.run("mcp-add", "--no-browser", "http://127.0.0.1:9/mcp"), 6, "connect")


# --- What servers and issuers say --------------------------------------------------------------------------------------


def add_badly(stack, broker, fault, status, needle, options=()):
    """One login at a server with this fault; then without it, and all is well."""
    demo = Demo(stack, "--auto-consent", *options, "--fault", fault)
    plainly(broker.add(demo.mcp, check=None), status, needle)
    assert demo.count("token") <= 1, "a code was sent twice"
    entry = state_of(broker, demo.mcp)
    assert entry["state"] == "error" and entry["last_error"]["hint"], entry
    demo.clear()
    broker.add(demo.mcp)
    assert mcp_call(demo.mcp, broker.token(demo.mcp))[0] == 200


def all_badly(stack, table):
    broker = Broker(stack)
    with undisturbed(stack, broker):
        side_by_side(lambda row: add_badly(stack, broker, *row), table)


# What may happen to any answer, with the status and a word of what must be said.
ANY_ANSWER = (("status:{}=500", 7, "500"), ("status503-once:{}", 7, "503"), ("status:{}=429", 7, "429"), ("status:{}=404", 7, ""),
              ("redirect:{}=http://127.0.0.1:9/elsewhere", 7, "redirects to"), ("html:{}", 7, "json"), ("garbage:{}", 7, "json"),
              ("deep-json:{}", 7, "json"), ("truncated:{}", 6, "no answer"), ("oversize:{}", 7, "larger than"),
              ("oversize:{}=0", 7, "larger than"), ("drop-before:{}", 6, "no answer"), ("drop-after-request:{}", 6, "no answer"))


def at_step(step):
    return [(fault.format(step), status, needle) for fault, status, needle in ANY_ANSWER]


# A27 A39 S9
def resource_metadata_that_is_broken_is_said_to_be(stack):
    all_badly(stack, at_step("prm"))


# A39 A57 S9
def issuer_metadata_that_is_broken_is_said_to_be(stack):
    all_badly(stack, at_step("asmeta"))


# A81 S9
def a_registration_that_fails_is_said_to(stack):
    all_badly(stack, at_step("register") + [("registration-method=private_key_jwt", 7, "token_endpoint_auth_method")])


# A122 A132 A135 S9
def a_code_that_cannot_be_redeemed_is_said_to_be_and_sent_once(stack):
    all_badly(stack, at_step("token") + [("invalid-grant:token", 4, "invalid_grant"), ("invalid-target:token", 7, "invalid_target"),
                                         ('set:token=token_type="mac"', 7, "token_type"), ("unset:token=access_token", 7, "access_token"),
                                         ('set:token=access_token="a\\nb"', 7, "access_token")])


# A28 A32 A34 A38 A58 A60 A62 A63 A226 S8
def metadata_that_does_not_fit_is_not_used(stack):
    all_badly(stack, [
        ("mismatched-resource", 7, "is about"), ("wrong-issuer", 7, "says it is of the issuer"), ("empty-as-list", 7, "no authorization server"),
        ("no-pkce", 7, "S256"), ("pkce-plain-only", 7, "S256"), ("no-token-endpoint", 7, "token_endpoint"),
        ("no-authorization-endpoint", 7, "authorization_endpoint"), ("no-registration", 7, "register"),
        ("http-endpoint", 7, "https"), ("file-authorize", 7, "scheme"), ("bearer-methods-query", 7, "header"),
        ("link-local-prm", 7, "https"), ('challenge=Bearer resource_metadata="file:///etc/passwd"', 7, "scheme"),
        ('challenge=Bearer resource_metadata="http://10.0.0.1/x"', 7, "https"),
        ('challenge=Bearer resource_metadata="https://169.254.169.254/x"', 6, "may not be named"),
        ('challenge=Bearer resource_metadata="https://192.168.0.1/x"', 6, "may not be named"),
        ('challenge=Bearer resource_metadata="javascript:alert(1)"', 7, "url"),
        ('set:prm=authorization_servers=["https://[fe80::1]"]', 6, "may not be named"),
        ('set:asmeta=token_endpoint="https://169.254.169.254/token"', 6, "may not be named")])


# A133
def odd_lifetimes_are_taken_as_far_as_they_make_sense(stack):
    broker = Broker(stack)
    with undisturbed(stack, broker):
        def one(value):
            demo = Demo(stack, "--auto-consent", "--fault", f"set:token=expires_in={value}")
            broker.add(demo.mcp)
            assert mcp_call(demo.mcp, broker.token(demo.mcp))[0] == 200, value

        side_by_side(one, ["-5", "0.5", "1e400", "18446744073709551616", '"3600"', '"soon"', "null", "true", "[]", "9007199254740993"])


# --- Slow ones ---------------------------------------------------------------------------------------------------------


# A39 S9
def whoever_hangs_is_given_up_and_keeps_nobody_else(stack):
    """Twenty seconds for all of them together: the limit of one request."""
    broker = Broker(stack)

    def hang(step):
        demo = Demo(stack, "--auto-consent", "--fault", f"hang:{step}")
        plainly(broker.add(demo.mcp, check=None), 6, "timed out")

    def hang_refresh(_):
        demo = Demo(stack, "--auto-consent", "--fault", "expired-at-once:token", "--fault", "hang:refresh")
        broker.add(demo.mcp)
        plainly(token_of(broker, demo.mcp), 6, "timed out")

    def hang_revoke(_):
        demo = Demo(stack, "--auto-consent", "--fault", "hang:revoke")
        broker.add(demo.mcp)
        result = broker.run("mcp-add", "-d", demo.mcp, check=0)
        assert "Not revoked" in result.stderr and "timed out" in result.stderr, result.stderr
        assert demo.count("revoke") == 1, "it was made to wait twice"

    def slow(step):
        demo = Demo(stack, "--auto-consent", "--fault", f"slow:{step}=700")
        broker.add(demo.mcp)
        assert mcp_call(demo.mcp, broker.token(demo.mcp))[0] == 200

    with undisturbed(stack, broker):
        side_by_side(lambda job: job[0](job[1]), [(hang, s) for s in ("mcp", "prm", "asmeta", "register", "token")] + [
            (hang_refresh, 0), (hang_revoke, 0)] + [(slow, s) for s in ("prm", "asmeta", "register", "token")], 16)


# A147 S7
def an_issuer_that_is_down_costs_nothing_that_is_in_hand(stack):
    broker = Broker(stack)
    with undisturbed(stack, broker):
        demo = Demo(stack, "--auto-consent")
        broker.add(demo.mcp)
        token = broker.token(demo.mcp)
        rpc = Rpc(broker.socket)
        got = rpc.call("token.get", server=demo.mcp)
        demo.stop()
        assert broker.token(demo.mcp) == token
        assert rpc.call("token.reject", server=demo.mcp, token_id=got["token_id"])["rejected"] is True
        rpc.close()
        plainly(token_of(broker, demo.mcp), 6, "connect")
        assert state_of(broker, demo.mcp)["has_refresh"] is True
        result = broker.run("mcp-add", "-d", demo.mcp, check=0)
        assert "Not revoked" in result.stderr, result.stderr


# --- Refreshes ---------------------------------------------------------------------------------------------------------


def refresh_badly(stack, broker, fault, status, needle, lost, options=()):
    """The first token has expired when it arrives; the refresh meets this fault; then the fault is over."""
    demo = Demo(stack, "--auto-consent", *options, "--fault", "expired-at-once:token")
    broker.add(demo.mcp)
    demo.fault(fault)
    plainly(token_of(broker, demo.mcp), status, needle)
    demo.clear()

    def back():
        result = token_of(broker, demo.mcp)
        return result if result.returncode in (0, 4) else None

    result = until(f"after {fault}", back)
    if lost:
        plainly(result, 4, "log in again")
        # Only where an answer was lost on the way is it the answer's fault, and then it is said.
        if lost != "refused":
            assert lost in result.stderr, result.stderr
        broker.add(demo.mcp)
        result = token_of(broker, demo.mcp)
    else:
        assert demo.counters()["reuse_detected"] == 0 and demo.counters()["authorizations"] == 1
    assert result.returncode == 0, (fault, result)
    assert mcp_call(demo.mcp, result.stdout.strip())[0] == 200
    assert demo.counters()["registrations"] == 1, "a refused refresh cost the registration"


def refreshes_badly(stack, table):
    broker = Broker(stack)
    with undisturbed(stack, broker):
        side_by_side(lambda row: refresh_badly(stack, broker, *row), table, 8)


# A137 A148 S7
def a_refresh_that_was_not_carried_out_loses_nothing(stack):
    refreshes_badly(stack, [
        ("status:refresh=500", 7, "500", None), ("status:refresh=503", 7, "503", None), ("status:refresh=429", 7, "429", None),
        ("status:refresh=404", 7, "404", None), ("status:refresh=403", 7, "403", None), ("html:refresh", 7, "json", None),
        ("redirect:refresh=http://127.0.0.1:9/x", 7, "redirects to", None), ("oversize:refresh=0", 7, "larger than", None),
        ("drop-before:refresh", 6, "no answer", None), ("invalid-client:refresh", 7, "invalid_client", None),
        ("invalid-scope:refresh", 7, "invalid_scope", None), ("invalid-target:refresh", 7, "invalid_target", None),
        ("expired-at-once:refresh", 7, "both clocks", None)])


# A145 A148
def an_answer_that_is_lost_costs_nothing_where_tokens_do_not_rotate(stack):
    refreshes_badly(stack, [(fault, status, needle, None, ("--no-rotate",)) for fault, status, needle in (
        ("truncated:refresh", 6, "no answer"), ("drop-after-request:refresh", 6, "no answer"), ("garbage:refresh", 7, "json"),
        ("deep-json:refresh", 7, "json"), ("status-after-request:refresh=500", 7, "500"))])


# A148
def an_answer_that_cannot_be_read_is_a_lost_one(stack):
    """The issuer has rotated, and what it gave instead is gone: the old token is tried once more, and the message says why."""
    why = "the answer to an earlier refresh was lost"
    refreshes_badly(stack, [("truncated:refresh", 6, "no answer", why), ("drop-after-request:refresh", 6, "no answer", why),
                            ("garbage:refresh", 7, "json", why), ("deep-json:refresh", 7, "json", why),
                            ("unset:refresh=access_token", 7, "access_token", why), ('set:refresh=token_type="mac"', 7, "token_type", why)])


# A146 A147
def a_refresh_that_is_refused_asks_for_a_login_and_keeps_the_rest(stack):
    refreshes_badly(stack, [("invalid-grant:refresh", 4, "invalid_grant", "refused"), ("revoke-family", 4, "invalid_grant", "refused")])


# A152 A154
def a_revocation_that_fails_is_said_and_removes_all_the_same(stack):
    broker = Broker(stack)

    def one(row):
        fault, said = row
        demo = Demo(stack, "--auto-consent", "--fault", fault)
        broker.add(demo.mcp)
        result = broker.run("mcp-add", "-d", demo.mcp, check=0)
        assert ("Not revoked: " in result.stderr) is said, (fault, result.stderr)
        assert demo.mcp not in [s["url"] for s in broker.servers()]
        assert token_of(broker, demo.mcp).returncode == 9

    with undisturbed(stack, broker):
        side_by_side(one, [("status:revoke=500", True), ("status:revoke=503", True), ("truncated:revoke", True), ("oversize:revoke", True),
                           ("drop-before:revoke", True), ("redirect:revoke=http://127.0.0.1:9/x", True),
                           ("unset:asmeta=revocation_endpoint", True), ("html:revoke", False), ("garbage:revoke", False)])


# --- People and their browsers -----------------------------------------------------------------------------------------


# A121
def a_person_who_says_no_is_understood(stack):
    broker = Broker(stack)
    with undisturbed(stack, broker):
        demo = Demo(stack, "--auto-deny")
        plainly(broker.add(demo.mcp, check=None), 4, "access_denied")
        assert demo.count("authorize") == 1 and demo.count("token") == 0
        assert state_of(broker, demo.mcp)["last_error"]["code"] == "login_failed"


# A93
def a_browser_that_is_closed_ends_the_login_in_time(stack):
    broker = Broker(stack, start=False)
    (broker.dir / "config/mcp-broker.conf").write_text("[Broker]\nLoginTimeoutSec=10\n")
    broker.start()
    with undisturbed(stack, broker):
        demo = Demo(stack)
        waiting = Waiting(broker, demo.mcp)
        plainly(waiting.finish(), 11, "in time", "mcp-add")
        late = visit(waiting.redirect(code="c", state=waiting.query["state"]))
        assert late[0] in (0, 404, 503), late
        assert demo.count("token") == 0
        # And again, with a person who comes back.
        waiting = Waiting(broker, demo.mcp)
        waiting.process.send_signal(signal.SIGINT)
        assert waiting.finish().returncode == 130 and 130 in STATUSES["mcp-add"]
        until("it is over", lambda: state_of(broker, demo.mcp)["state"] == "error")


# A93 A105 A112
def a_redirect_that_is_not_ours_changes_nothing(stack):
    broker = Broker(stack)
    with undisturbed(stack, broker):
        demo = Demo(stack, "--auto-consent")
        waiting = Waiting(broker, demo.mcp)
        state = waiting.query["state"]
        for query in ({"code": "x", "state": "wrong"}, {"code": "x"}, {"code": "x", "state": ""}, {"error": "access_denied"}, {},
                      {"error": "access_denied", "state": "wrong"}, {"code": "x", "state": state[:-1]}, {"code": "x", "state": state + "x"},
                      {"state": "x" * 9000, "code": "y"}):
            status, _, page = visit(waiting.redirect(**query))
            assert status in (400, 414, 431), (query, status, page)
            assert "x" * 100 not in page
        base = waiting.query["redirect_uri"]
        assert visit(base + "x?code=c&state=" + state)[0] == 404
        assert visit(urllib.parse.urljoin(base, "/?code=c&state=" + state))[0] == 404
        assert waiting.process.poll() is None and demo.count("token") == 0
        # What comes from the issuer is still taken.
        status, where, page = visit(waiting.url)
        assert status == 200 and "code=" not in where and state not in page, (status, where)
        assert waiting.finish().returncode == 0
        assert demo.count("token") == 1


# A93 A122
def a_redirect_that_comes_twice_is_used_once(stack):
    broker = Broker(stack)
    with undisturbed(stack, broker):
        demo = Demo(stack, "--auto-consent")
        waiting = Waiting(broker, demo.mcp)
        target = visit(waiting.url, follow=False)[1]
        assert target.startswith(waiting.query["redirect_uri"]) and "code=" in target
        # Both while the first is being redeemed, and after.
        demo.hold("token")
        answers = []
        first = side_by_side_start(lambda: answers.append(visit(target)))
        demo.wait(held={"token": 1})
        second = visit(target)
        assert second[0] in (0, 400), second
        demo.release("token")
        first.join(PATIENCE)
        assert waiting.finish().returncode == 0
        assert answers[0][0] == 200
        assert visit(target)[0] in (0, 400, 404)
        assert demo.count("token") == 1 and demo.counters()["code_replays"] == 0
        assert mcp_call(demo.mcp, broker.token(demo.mcp))[0] == 200


def side_by_side_start(call):
    import threading
    thread = threading.Thread(target=call)
    thread.start()
    return thread


# A88
def an_issuer_that_forgot_our_client_is_asked_anew_and_the_new_address_is_shown(stack):
    broker = Broker(stack)
    with undisturbed(stack, broker):
        demo = Demo(stack, "--auto-consent", "--fault", "invalid-client:token!1")
        result = broker.add(demo.mcp)
        assert len({line for line in result.stderr.splitlines() if line.strip().startswith("http")}) == 2, result.stderr
        assert demo.count("register") == 2 and demo.count("authorize") == 2
        assert mcp_call(demo.mcp, broker.token(demo.mcp))[0] == 200
        # Once: an issuer that knows nobody is not asked for ever.
        demo = Demo(stack, "--auto-consent", "--fault", "invalid-client:token")
        plainly(broker.add(demo.mcp, check=None), 7, "invalid_client")
        assert demo.count("register") == 2 and demo.count("token") == 2


# S9
def logins_that_are_over_do_not_stand_in_the_way_of_others(stack):
    broker = Broker(stack)
    with undisturbed(stack, broker):
        demo = Demo(stack, "--fault", "status:prm=500")
        side_by_side(lambda _: plainly(broker.run("mcp-add", demo.mcp), 7, "500"), range(70))
        assert broker.status()["counts"]["logins"] == 0
        good = Demo(stack, "--auto-consent")
        broker.add(good.mcp)


# A113-A115 A120 A240
def a_response_of_another_issuer_is_not_redeemed(stack):
    broker = Broker(stack)
    with undisturbed(stack, broker):
        for fault, status, needle in (("wrong-iss", 4, "another issuer"), ("no-iss", 4, "does not say which issuer"),
                                      ("duplicate-code", 4, "twice")):
            demo = Demo(stack, "--auto-consent", "--fault", fault)
            plainly(broker.add(demo.mcp, check=None), status, needle)
            assert demo.count("token") == 0, "the code was sent"
            demo.clear()
            broker.add(demo.mcp)


def another_users_browser_is_not_heard(stack):
    need_root("to be two users")
    broker = Broker(stack)
    with undisturbed(stack, broker):
        demo = Demo(stack, "--auto-consent")
        waiting = Waiting(broker, demo.mcp)
        target = visit(waiting.url, follow=False)[1]
        assert as_nobody(lambda: visit(target)[0]) in ("0", "400", "403")
        assert demo.count("token") == 0 and waiting.process.poll() is None
        assert visit(target)[0] == 200
        assert waiting.finish().returncode == 0


# S9
def a_browser_that_says_half_a_request_holds_nothing_up(stack):
    broker = Broker(stack)
    with undisturbed(stack, broker):
        demo = Demo(stack, "--auto-consent")
        waiting = Waiting(broker, demo.mcp)
        uri = urllib.parse.urlsplit(waiting.query["redirect_uri"])
        halves = []
        for text in (b"", b"GET ", b"GET " + uri.path.encode() + b"?code=", b"\x16\x03\x01\x02\x00\x01", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n"):
            s = socket.create_connection((uri.hostname, uri.port), PATIENCE)
            stack.callback(s.close)
            s.sendall(text)
            halves.append(s)
        assert visit(waiting.url)[0] == 200
        assert waiting.finish().returncode == 0
        assert demo.count("token") == 1


# --- Exit statuses -----------------------------------------------------------------------------------------------------


def every_error_has_an_exit_status_that_the_manuals_name(stack):
    table = (SOURCE / "src/base/error.h").read_text()
    statuses = {int(n) for n in re.findall(r"^\s+X\(\w+, \"\w+\", -?\d+, (\d+)\)", table, re.M)}
    assert statuses, "no table"
    # 12 is the daemon's own: it does not start with a configuration that is wrong.
    assert statuses - {12} <= STATUSES["mcp-add"], statuses - STATUSES["mcp-add"]
    assert statuses - {12} <= STATUSES["mcp-token"], statuses - STATUSES["mcp-token"]


def the_programs_end_with_what_the_manuals_say(stack):
    broker = Broker(stack, start=False)
    add, token = "mcp-add", "mcp-token"
    assert broker.run(add).returncode == broker.run(token).returncode == 2
    assert broker.run(add, "--nonsense", "x").returncode == broker.run(token, "--header", "--env", "x").returncode == 2
    plainly(broker.run(add, "--no-autostart", "http://127.0.0.1:9/mcp"), 3, "no daemon")
    plainly(broker.run(token, "--no-autostart", "x"), 3, "no daemon")
    broker.start()
    demo = Demo(stack, "--auto-consent")
    plainly(token_of(broker, "nobody"), 9, "mcp-add")
    added = broker.run(add, "--no-login", demo.mcp, check=0)
    assert added.stderr == f"Added: {broker.servers()[0]['name']}\n", added
    plainly(token_of(broker, demo.mcp), 4, "mcp-add")
    broker.add(demo.mcp)
    assert token_of(broker, demo.mcp).returncode == 0
    plainly(broker.run(add, "--name", "taken", demo.mcp, "--no-login"), 9, "already")
    policy = broker.dir / "config/policy.d"
    policy.mkdir(mode=0o700)
    (policy / "50-none.conf").write_text("[Rule nobody]\nEffect=deny\nAgent=uid:any\n")
    broker.run("mcp-brokerctl", "reload", check=0)
    until("denied", lambda: token_of(broker, demo.mcp).returncode == 5)
    plainly(token_of(broker, demo.mcp), 5, "policy")
    broker.run("mcp-brokerctl", "lock", check=0)
    plainly(token_of(broker, demo.mcp), 8, "unlock")
    plainly(broker.run(add, "http://127.0.0.1:9/mcp"), 8, "unlock")


TESTS = [value for value in list(globals().values())
         if callable(value) and getattr(value, "__module__", None) == "__main__" and value.__name__ not in (
             "port_of", "add_badly", "all_badly", "at_step", "refresh_badly", "refreshes_badly", "side_by_side_start")]

if __name__ == "__main__":
    sys.exit(Tap().run(TESTS))
