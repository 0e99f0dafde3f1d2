#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real token, brokered end to end: add, log in, hand out, refresh, step up, remove."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import PATIENCE, Broker, Demo, Rpc, RpcError, Skip, Tap, mcp_call, program, until  # noqa: E402


def walk(stack, *options):
    demo = Demo(stack, "--auto-consent", *options)
    broker = Broker(stack)
    status, headers, _ = mcp_call(demo.mcp, None)
    assert status == 401, status
    scheme = headers["WWW-Authenticate"].split()[0]
    broker.add(demo.mcp)
    token = broker.token(demo.mcp)
    status, _, answer = mcp_call(demo.mcp, token)
    assert status == 200, (status, answer)
    assert "result" in answer, answer
    return demo, broker, scheme


# A8 A16 A24 A95 A96
def a_tool_is_called_with_a_brokered_token(stack):
    demo, broker, scheme = walk(stack)
    assert scheme == "Bearer"
    request = demo.requests("token")[0]
    form = dict(request["form"])
    assert form["resource"] == demo.mcp, form
    assert form["grant_type"] == "authorization_code"


# A40 A43
def the_shapes_of_the_article_work_as_well(stack):
    _, _, scheme = walk(stack, "--shapes", "article")
    assert scheme == "MCP"


# A40
def a_link_in_the_resource_parameter_works_as_well(stack):
    walk(stack, "--shapes", "article-resource")


# A108
def a_request_is_pushed_where_that_is_offered(stack):
    for which in ("offered", "required"):
        demo, _, _ = walk(stack, f"--par={which}")
        assert demo.count("par") == 1
        assert [name for name, _ in demo.requests("authorize")[0]["query"]] == ["client_id", "request_uri"]


# A108 A211
def a_pushed_request_binds_the_code_to_a_key(stack):
    demo = Demo(stack, "--auto-consent", "--par=required", "--dpop=required")
    broker = Broker(stack)
    broker.add(demo.mcp)
    assert "dpop" in {name.lower() for name in demo.requests("par")[0]["headers"]}
    assert broker.servers()[0]["state"] == "ready"


# A108
def a_push_that_fails_ends_the_login_only_where_it_is_required(stack):
    demo = Demo(stack, "--auto-consent", "--par=required", "--fault", "status:par=500")
    refused = Broker(stack).add(demo.mcp, check=None)
    assert refused.returncode != 0 and "pushed authorization request" in refused.stderr, refused
    assert demo.count("authorize") == 0
    demo, _, _ = walk(stack, "--par=offered", "--fault", "status:par=500")
    assert demo.count("par") == 1


def by_code(demo, broker, *options):
    """mcp-add --device, and what it tells the person: two addresses and the code."""
    adding = broker.popen("mcp-add", "--device", *options, demo.mcp, env=broker.person())
    told = []
    while len(told) < 3:
        line = adding.stderr.readline()
        assert line, broker.log()
        if line.startswith("  "):
            told.append(line.strip())
    return adding, *told


def a_person_without_a_browser_logs_in_by_code(stack):
    demo = Demo(stack, "--device", "--device-interval=1")
    broker = Broker(stack)
    adding, page, code, complete = by_code(demo, broker)
    assert page == demo.issuer + "/device" and complete == f"{page}?user_code={code}", (page, code, complete)
    secrets = demo.secrets()["codes"]
    assert len(secrets) == 1
    for path in [*broker.state.rglob("*"), broker.log_path]:
        assert not path.is_file() or secrets[0].encode() not in path.read_bytes(), path
    until("the issuer was asked", lambda: demo.count("token") >= 1)
    assert demo.answer_device(user_code=code) == 1
    assert adding.wait(PATIENCE) == 0, adding.stderr.read()
    assert mcp_call(demo.mcp, broker.token(demo.mcp))[0] == 200
    assert demo.count("device") == 1 and demo.count("authorize") == 0
    assert not (broker.dir / "person.log").exists()


def a_login_by_code_survives_a_restart(stack):
    demo = Demo(stack, "--device", "--device-interval=1", "--dpop=required")
    broker = Broker(stack)
    adding, _, code, _ = by_code(demo, broker)
    broker.kill()
    adding.kill()
    adding.wait()
    broker.start()
    assert demo.answer_device(user_code=code) == 1
    until("the login is done", lambda: broker.servers()[0]["state"] == "ready")
    assert demo.count("device") == 1


def a_login_by_code_ends_with_a_no(stack):
    demo = Demo(stack, "--device", "--device-interval=1")
    broker = Broker(stack)
    adding, _, code, _ = by_code(demo, broker, "--quiet")
    assert demo.answer_device("deny", code) == 1
    assert adding.wait(PATIENCE) == 4
    assert "access_denied" in adding.stderr.read()
    refused = broker.run("mcp-add", "--device", Demo(stack).mcp)
    assert refused.returncode != 0 and "no logins by device code" in refused.stderr and "--device" in refused.stderr, refused


# A55
def an_issuer_with_a_path_is_found(stack):
    walk(stack, "--issuer-path", "/tenant1")


# A54
def an_openid_provider_is_found(stack):
    walk(stack, "--metadata", "oidc")


# A2 A3
def a_server_that_asks_for_nothing_gets_no_token_and_no_discovery(stack):
    demo = Demo(stack, "--open")
    broker = Broker(stack)
    broker.add(demo.mcp)
    assert demo.count("prm") == 0 and demo.count("asmeta") == 0
    result = broker.run("mcp-token", "--json", demo.mcp, check=0)
    assert json.loads(result.stdout)["no_challenge"] is True
    assert broker.servers()[0]["state"] == "open"


# A2
def a_token_that_one_can_do_without_begins_no_login(stack):
    demo = Demo(stack)
    broker = Broker(stack)
    broker.run("mcp-add", "--no-login", "--name=demo", demo.mcp, check=0)
    rpc = Rpc(str(broker.socket))
    answer = rpc.call("token.get", server="demo", login="start", optional=True)
    assert answer == {"no_challenge": True, "server": "demo", "url": demo.mcp}, answer
    assert demo.count("prm") == 0
    challenge = {"status": 401, "fields": ["Bearer"]}
    try:
        rpc.call("token.get", server="demo", login="start", optional=True, challenge=challenge)
    except RpcError as e:
        assert e.code == "login_required", e
    else:
        raise AssertionError("there is no token")
    rpc.close()


# A3 S10
def nothing_is_asked_of_a_server_before_it_is_added(stack):
    demo = Demo(stack)
    broker = Broker(stack)
    result = broker.run("mcp-token", "--no-login", demo.mcp, check=9)
    assert "mcp-add" in result.stderr
    broker.run("mcp-add", "--no-login", demo.mcp, check=0)
    assert demo.stats()["requests"].get("prm", 0) == 0 and demo.count("mcp") == 0


def a_cached_token_is_the_same_for_all_who_ask(stack):
    demo, broker, _ = walk(stack)
    tokens = {broker.token(demo.mcp) for _ in range(5)}
    assert len(tokens) == 1
    assert demo.count("refresh") == 0


# A145 A146 S6
def an_expired_token_is_refreshed_and_the_refresh_token_rotates(stack):
    demo, broker, _ = walk(stack, "--access-ttl", "3")
    first = broker.token(demo.mcp)
    until("the token is old", lambda: broker.token(demo.mcp) != first)
    counters = demo.counters()
    assert counters["refreshes"] >= 1 and counters["reuse_detected"] == 0, counters


# A148 A145
def a_restart_loses_no_grant(stack):
    demo, broker, _ = walk(stack)
    token = broker.token(demo.mcp)
    assert broker.stop() == 0
    broker.start()
    assert broker.token(demo.mcp) == token
    assert demo.count("refresh") == 0


# A147
def a_dead_refresh_token_asks_for_a_login_when_the_lease_is_over(stack):
    demo, broker, _ = walk(stack, "--access-ttl", "4")
    demo.ask("POST", "/revoke-all")
    until("login_required", lambda: broker.run("mcp-token", "--no-login", demo.mcp).returncode == 4)
    n = demo.count("refresh")
    result = broker.run("mcp-token", "--no-login", demo.mcp, check=4)
    assert "mcp-add" in result.stderr, result.stderr
    assert demo.count("refresh") == n, "the dead token was tried again"
    demo.clear()
    broker.add(demo.mcp)
    assert mcp_call(demo.mcp, broker.token(demo.mcp))[0] == 200


# A144 A143
def two_agents_hold_different_scopes_of_one_grant(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.add(demo.mcp, "--scope", "tools:generate_summary", "--scope", "tools:admin")
    full = broker.token(demo.mcp)
    narrow = broker.token(demo.mcp, "--scope", "tools:generate_summary")
    assert full != narrow
    assert mcp_call(demo.mcp, narrow, "admin_report", {})[0] == 403
    assert mcp_call(demo.mcp, full, "admin_report", {})[0] == 200
    assert broker.token(demo.mcp) != narrow
    assert set(broker.servers()[0]["scopes"]) == {"tools:generate_summary", "tools:admin"}


# A150 A160
def more_scope_needs_a_login_for_the_union(stack):
    demo, broker, _ = walk(stack)
    broker.run("mcp-token", "--no-login", "--scope", "tools:admin", demo.mcp, check=4)
    result = broker.run("mcp-token", "--scope", "tools:admin", "--scope", "tools:generate_summary", demo.mcp,
                        env=broker.person(), check=0)
    assert mcp_call(demo.mcp, result.stdout.strip(), "admin_report", {})[0] == 200
    query = dict(demo.requests("authorize")[-1]["query"])
    assert set(query["scope"].split()) == {"tools:generate_summary", "tools:admin"}, query


# A88
def a_client_that_the_issuer_forgot_is_registered_anew_and_the_browser_opened_again(stack):
    demo = Demo(stack, "--auto-consent", "--fault", "invalid-client:token!1")
    broker = Broker(stack)
    result = broker.add(demo.mcp)
    assert demo.count("register") == 2 and demo.count("authorize") == 2
    assert result.stderr.count("http://") >= 2, result.stderr
    assert mcp_call(demo.mcp, broker.token(demo.mcp))[0] == 200


# A152 A153
def removing_a_server_revokes_its_tokens(stack):
    demo, broker, _ = walk(stack)
    token = broker.token(demo.mcp)
    name = broker.servers()[0]["name"]
    broker.run("mcp-add", "-d", name, check=0)
    hints = [dict(r["form"]).get("token_type_hint") for r in demo.requests("revoke")]
    assert hints == ["refresh_token", "access_token"], hints
    assert mcp_call(demo.mcp, token)[0] == 401
    assert broker.servers() == []
    broker.run("mcp-token", "--no-login", name, check=9)


# A152
def removing_works_while_the_issuer_is_down(stack):
    demo, broker, _ = walk(stack)
    demo.fault("drop-before:revoke")
    result = broker.run("mcp-add", "-d", demo.mcp, check=0)
    assert "Not revoked" in result.stderr, result.stderr
    assert broker.servers() == []


def renewed(broker, demo):
    """A token by another refresh; the server takes it."""
    before = demo.counters()["refreshes"]
    rpc = Rpc(broker.socket)
    first = rpc.call("token.get", server=demo.mcp)
    rpc.call("token.reject", server=demo.mcp, token_id=first["token_id"])
    second = rpc.call("token.get", server=demo.mcp)
    rpc.close()
    assert second["token"] != first["token"] and demo.counters()["refreshes"] == before + 1
    assert mcp_call(demo.mcp, second["token"])[0] == 200


# A53
def resource_is_in_every_request_or_in_none(stack):
    usual = Demo(stack, "--auto-consent")  # it refuses what comes without
    choking = Demo(stack, "--auto-consent", "--refuse-resource")
    broker = Broker(stack)
    # The wrong way round neither gets as far as a code, and nobody falls back by himself.
    for demo, args in ((usual, ["--no-resource"]), (choking, [])):
        assert "invalid_target" in broker.add(demo.mcp, *args, check=4).stderr
        assert demo.counters()["codes_issued"] == 0
    broker.run("mcp-add", "-d", usual.mcp, check=0)
    broker.add(usual.mcp)
    broker.add(choking.mcp, "--no-resource")  # known already; its login has failed
    for _ in range(2):
        for demo, without in ((usual, None), (choking, True)):
            renewed(broker, demo)
            assert next(s for s in broker.servers() if s["url"] == demo.mcp).get("no_resource") is without
        broker.stop()
        broker.start()
    # Later logins need no word of it, and one that there is is not loosened.
    for demo in (usual, choking):
        broker.add(demo.mcp)
        renewed(broker, demo)
    assert "mcp-add -d" in broker.add(usual.mcp, "--no-resource", check=9).stderr
    renewed(broker, usual)


# A68 A127 A129
def a_registered_client_with_a_secret_needs_no_registration(stack):
    demo = Demo(stack, "--auto-consent", "--client", "me:s3:cr%t+x", "--fault", "no-registration")
    broker = Broker(stack)
    secret = broker.dir / "secret"
    secret.write_text("s3:cr%t+x\n")
    secret.chmod(0o600)
    broker.add(demo.mcp, "--client-id", "me", "--client-secret-file", str(secret), "--issuer", demo.issuer)
    assert mcp_call(demo.mcp, broker.token(demo.mcp))[0] == 200
    assert demo.count("register") == 0


# A67 A72
def a_client_metadata_document_is_used_where_offered(stack):
    demo = Demo(stack, "--auto-consent", "--cimd", "--fault", "expired-at-once:token")
    broker = Broker(stack)
    broker.add(demo.mcp, "--client-metadata-url", "https://example.com/mcp-broker/client.json")
    assert demo.count("register") == 0
    assert dict(demo.requests("authorize")[0]["query"])["client_id"] == "https://example.com/mcp-broker/client.json"
    assert mcp_call(demo.mcp, broker.token(demo.mcp))[0] == 200
    assert dict(demo.requests("refresh")[0]["form"])["client_id"] == "https://example.com/mcp-broker/client.json"


def two_accounts_of_one_server_are_kept_apart(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.add(demo.mcp, "--account", "work", "--name", "w")
    broker.add(demo.mcp, "--account", "home", "--name", "h")
    broker.run("mcp-token", "--no-login", demo.mcp, check=9)
    one = broker.token("w")
    two = broker.token(demo.mcp, "--account", "home")
    assert one != two


# A230 S5 A168
def two_servers_of_one_issuer_get_two_tokens(stack):
    demo = Demo(stack, "--auto-consent", "--second-resource")
    broker = Broker(stack)
    second = demo.mcp + "2"
    broker.add(demo.mcp)
    broker.add(second)
    one, two = broker.token(demo.mcp), broker.token(second)
    assert one != two
    assert mcp_call(second, one)[0] == 401 and mcp_call(second, two)[0] == 200


# A99
def a_pasted_address_completes_a_login(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    import pty
    import urllib.request

    class Stop(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *args):
            return None

    master, slave = pty.openpty()
    add = broker.popen("mcp-add", "--no-browser", demo.mcp, stdin=slave)
    url = next(line.strip() for line in add.stderr if line.strip().startswith("http"))
    try:
        urllib.request.build_opener(Stop).open(url)
        raise AssertionError("no redirect")
    except urllib.error.HTTPError as answer:
        target = answer.headers["Location"]
    os.write(master, target.encode() + b"\n")
    assert add.wait(60) == 0, add.stderr.read()
    os.close(master)
    os.close(slave)
    assert mcp_call(demo.mcp, broker.token(demo.mcp))[0] == 200


# A94 A122
def a_login_under_way_survives_a_restart(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    add = broker.popen("mcp-add", "--no-browser", demo.mcp)
    url = next(line.strip() for line in add.stderr if line.strip().startswith("http"))
    add.kill()
    add.communicate()
    broker.stop()
    broker.start()
    until("the login waits again", lambda: broker.servers()[0]["state"] == "login_pending")
    subprocess.run([sys.executable, os.path.join(os.path.dirname(__file__), "person.py"), url], check=True,
                   stdout=subprocess.DEVNULL)
    until("the login is done", lambda: broker.servers()[0]["state"] == "ready")
    assert mcp_call(demo.mcp, broker.token(demo.mcp))[0] == 200
    assert demo.count("token") == 1


def who_waits_at_a_terminal_is_told_where_and_how_long(stack):
    import pty
    demo = Demo(stack)
    broker = Broker(stack, start=False)
    (broker.dir / "config/mcp-broker.conf").write_text("[Broker]\nLoginTimeoutSec=50\n")
    broker.start()
    for command in (("mcp-add", "--no-browser", "--name=tools", demo.mcp), ("mcp-token", "tools")):
        master, slave = pty.openpty()
        waiting = subprocess.Popen([program(command[0]), *command[1:]], env=broker.env, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=slave)
        os.close(slave)
        shown = b""
        while b"cancels)" not in shown:
            shown += os.read(master, 4096)
        assert re.search(rb"Waiting for the login at tools: \d+s \([45]\ds left;", shown), shown
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(PATIENCE) == 130, shown
        os.close(master)


def control_c_cancels_a_login(stack):
    demo = Demo(stack)
    broker = Broker(stack)
    add = broker.popen("mcp-add", "--no-browser", demo.mcp)
    next(line for line in add.stderr if line.strip().startswith("http"))
    until("it waits", lambda: broker.servers()[0]["state"] == "login_pending")
    add.send_signal(signal.SIGINT)
    _, stderr = add.communicate(timeout=60)
    assert add.returncode == 130, (add.returncode, stderr)
    assert broker.servers()[0]["state"] == "login_required", broker.servers()


# A121
def a_refused_consent_is_said_and_not_repeated(stack):
    demo = Demo(stack, "--auto-deny")
    broker = Broker(stack)
    result = broker.add(demo.mcp, check=4)
    assert "access_denied" in result.stderr or "refused" in result.stderr.lower(), result.stderr
    assert demo.count("authorize") == 1


def forms_of_a_token(stack):
    demo, broker, _ = walk(stack)
    token = broker.token(demo.mcp)
    assert json.loads(broker.token(demo.mcp, "--header")) == {"Authorization": "Bearer " + token}
    assert broker.token(demo.mcp, "--header-line") == "Authorization: Bearer " + token
    assert json.loads(broker.token(demo.mcp, "--json"))["token"] == token
    assert f"MCP_TOKEN='{token}'" in broker.token(demo.mcp, "--env")
    broker.run("mcp-token", "--header", "--json", demo.mcp, check=2)
    broker.run("mcp-token", check=2)


# S4
def every_release_has_its_record(stack):
    demo, broker, _ = walk(stack)
    before = sum(1 for r in broker.audit() if r["event"] == "token.release")
    token = broker.token(demo.mcp)
    records = [r for r in broker.audit() if r["event"] == "token.release"]
    assert len(records) == before + 1
    assert records[-1]["server"] == demo.mcp and records[-1]["agent"]["exe"]
    assert "on_behalf_of" not in records[-1]["agent"]
    broker.token(demo.mcp, "--on-behalf-of=planner")
    assert broker.audit()[-1]["agent"]["on_behalf_of"] == "planner"
    text = (broker.state / "audit/audit.log").read_text()
    assert token not in text


# S9
def a_token_that_the_server_refuses_is_replaced_once(stack):
    demo, broker, _ = walk(stack)
    rpc = Rpc(broker.socket)
    got = rpc.call("token.get", server=demo.mcp)
    demo.expire()
    assert mcp_call(demo.mcp, got["token"])[0] == 401
    assert rpc.call("token.reject", server=demo.mcp, token_id=got["token_id"])["rejected"] is True
    assert rpc.call("token.reject", server=demo.mcp, token_id=got["token_id"])["stale"] is True
    again = rpc.call("token.get", server=demo.mcp)
    assert again["token"] != got["token"]
    assert mcp_call(demo.mcp, again["token"])[0] == 200
    assert demo.counters()["refreshes"] == 1
    rpc.close()


# A22 A70
def another_issuer_starts_nothing_without_a_person(stack):
    demo, broker, _ = walk(stack)
    rpc = Rpc(broker.socket)
    got = rpc.call("token.get", server=demo.mcp)
    demo.fault("set:prm=authorization_servers=[\"http://127.0.0.1:9/other\"]")
    rpc.call("token.reject", server=demo.mcp, token_id=got["token_id"], challenge={"status": 401, "fields": ["Bearer error=\"invalid_token\""]})
    demo.wait(requests={"prm": 2})
    rpc.close()
    # That issuer does not answer, so discovery fails, and what we have goes on being used.
    assert mcp_call(demo.mcp, broker.token(demo.mcp))[0] == 200
    assert demo.counters()["registrations"] == 1


# S10
def a_forged_challenge_leads_nowhere(stack):
    demo, broker, _ = walk(stack)
    rpc = Rpc(broker.socket)
    got = rpc.call("token.get", server=demo.mcp)
    forged = {"status": 401, "fields": ["Bearer resource_metadata=\"http://127.0.0.1:9/evil\", error=\"invalid_token\""]}
    rpc.call("token.reject", server=demo.mcp, token_id=got["token_id"], challenge=forged)
    again = rpc.call("token.get", server=demo.mcp, challenge=forged)
    assert mcp_call(demo.mcp, again["token"])[0] == 200
    assert broker.servers()[0]["state"] == "ready"
    rpc.close()


def a_helper_that_asks_again_gets_a_fresh_token(stack):
    demo, broker, _ = walk(stack)
    rpc = Rpc(broker.socket)
    first = rpc.call("token.get", server=demo.mcp, helper=True)
    assert rpc.call("token.get", server=demo.mcp, helper=True)["token"] == first["token"], "of a new token it says nothing"
    # Five seconds is how long a token is new.
    until("it is taken for a refusal", lambda: rpc.call("token.get", server=demo.mcp, helper=True)["token"] != first["token"], 20)
    assert demo.counters()["refreshes"] == 1
    rpc.close()


def it_stops_by_itself_when_nobody_asks(stack):
    broker = Broker(stack, start=False)
    (broker.dir / "config/mcp-broker.conf").write_text("[Broker]\nIdleTimeoutSec=1\n")
    broker.start()
    assert broker.process.wait(60) == 0


def lock_and_unlock_lose_nothing(stack):
    demo, broker, _ = walk(stack)
    token = broker.token(demo.mcp)
    broker.run("mcp-brokerctl", "lock", check=0)
    broker.run("mcp-token", "--no-login", demo.mcp, check=8)
    broker.run("mcp-add", "-X", check=0)
    assert broker.token(demo.mcp) == token


def a_passphrase_opens_the_store(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack, "--key-slot=passphrase")
    broker.run("mcp-token", "--no-login", demo.mcp, check=8)
    broker.run("mcp-brokerctl", "unlock", "--passphrase-file=-", stdin="correct horse\n", check=0)
    broker.add(demo.mcp)
    token = broker.token(demo.mcp)
    broker.stop()
    broker.start()
    broker.run("mcp-token", "--no-login", demo.mcp, check=8)
    result = broker.run("mcp-brokerctl", "unlock", "--passphrase-file=-", stdin="wrong\n", check=8)
    assert "passphrase" in result.stderr.lower(), result.stderr
    broker.run("mcp-brokerctl", "unlock", "--passphrase-file=-", stdin="correct horse\n", check=0)
    assert broker.token(demo.mcp) == token
    assert not (broker.state / "store/key").exists()


def a_worker_that_dies_is_started_again(stack):
    demo, broker, _ = walk(stack)
    for name in ("explore", "deal", "session"):
        before = broker.pid(name)
        os.kill(before, signal.SIGKILL)

        def back():
            result = broker.run("mcp-brokerctl", "status", "--json")
            if result.returncode != 0:
                return False
            now = next(p["pid"] for p in json.loads(result.stdout)["processes"] if p["name"] == name)
            return now not in (0, before)

        until(f"{name} is back", back)
    assert mcp_call(demo.mcp, broker.token(demo.mcp))[0] == 200
    broker.run("mcp-add", "-d", demo.mcp, check=0)
    broker.add(demo.mcp)


def a_command_runs_under_the_daemon_and_gives_its_status(stack):
    broker = Broker(stack, start=False)
    command = [*broker.command(), "--", "sh", "-c", 'test -S "$MCP_BROKER_SOCK" && exit 7']
    assert subprocess.run(command, env=broker.env, check=False, capture_output=True, timeout=60).returncode == 7


def without_f_it_prints_the_variable_and_detaches(stack):
    broker = Broker(stack, start=False)
    command = [c for c in broker.command() if c != "-f"]
    result = subprocess.run(command, env={**broker.env, "SHELL": "/bin/sh"}, capture_output=True, text=True, timeout=60, check=True)
    assert f"MCP_BROKER_SOCK='{broker.socket}'; export MCP_BROKER_SOCK;" in result.stdout, result
    pid = int(result.stdout.split("MCP_BROKER_PID=")[1].split(";")[0])
    broker.run("mcp-brokerctl", "stop", check=0)
    until("it has ended", lambda: not os.path.exists(f"/proc/{pid}") or open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] == "Z")


def a_second_daemon_on_the_same_state_is_refused(stack):
    broker = Broker(stack)
    other = [c if not c.startswith("--socket=") else f"--socket={broker.dir}/run/other/socket" for c in broker.command()]
    result = subprocess.run(other, env=broker.env, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 9, result
    same = subprocess.run(broker.command(), env=broker.env, capture_output=True, text=True, timeout=60, check=False)
    assert same.returncode == 9, same


def a_policy_that_is_wrong_is_named_and_nothing_starts(stack):
    broker = Broker(stack, start=False)
    folder = broker.dir / "config/policy.d"
    folder.mkdir(mode=0o700)
    (folder / "10-bad.conf").write_text("[Rule x\n")
    broker.start(wait=False)
    assert broker.process.wait(60) == 12
    assert "10-bad.conf:1" in broker.log(), broker.log()


def reload_keeps_the_old_policy_when_the_new_one_is_wrong(stack):
    demo, broker, _ = walk(stack)
    bad = broker.dir / "config/policy.d"
    bad.mkdir(mode=0o700)
    (bad / "50-me.conf").write_text("[Rule x]\nAgent=nonsense:1\n")
    broker.process.send_signal(signal.SIGHUP)
    until("the refusal is logged", lambda: "old configuration stays" in broker.log())
    assert "50-me.conf:2" in broker.log(), broker.log()
    broker.token(demo.mcp)
    (bad / "50-me.conf").write_text("[Rule nobody]\nEffect=deny\nAgent=uid:any\n")
    broker.run("mcp-brokerctl", "reload", check=0)
    until("denied", lambda: broker.run("mcp-token", "--no-login", demo.mcp).returncode == 5)


def network_settings(broker, text):
    """Changes them while it runs; back when other processes have taken the place of both network workers."""
    before = [broker.pid(name) for name in ("explore", "deal")]
    (broker.dir / "config/mcp-broker.conf").write_text("[Network]\n" + text)
    broker.run("mcp-brokerctl", "reload", check=0)
    until("they are replaced", lambda: not set(before) & {p["pid"] for p in broker.status()["processes"] if not p.get("replaced")})
    return before


def replaced(broker):
    return {p["pid"] for p in broker.status()["processes"] if p.get("replaced")}


def a_reload_changes_what_the_network_workers_use(stack):
    broker = Broker(stack)
    proxy = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    proxy.settimeout(PATIENCE)
    network_settings(broker, f"Proxy=http://127.0.0.1:{proxy.getsockname()[1]}\n")
    adding = broker.popen("mcp-add", "--no-browser", "https://mcp.example.com/")
    connection, _ = proxy.accept()
    assert connection.recv(4096).startswith(b"CONNECT mcp.example.com:443 "), "it goes through the proxy"
    connection.close()
    proxy.close()
    assert adding.wait(PATIENCE) != 0
    until("those of before have left", lambda: not replaced(broker))
    # The same values again replace nobody; what cannot be used changes nothing.
    pids = [broker.pid(name) for name in ("explore", "deal")]
    broker.run("mcp-brokerctl", "reload", check=0)
    (broker.dir / "config/mcp-broker.conf").write_text("[Network]\nCaFile=/nonexistent.pem\n")
    broker.run("mcp-brokerctl", "reload", check=0)
    until("the refusal is logged", lambda: "old configuration stays" in broker.log())
    assert "/nonexistent.pem" in broker.log(), broker.log()
    assert [broker.pid(name) for name in ("explore", "deal")] == pids
    # A worker that dies afterwards is started with the new values.
    os.kill(pids[0], signal.SIGKILL)
    until("another is there", lambda: broker.pid("explore") not in (0, pids[0]))
    assert "--proxy=" in open(f"/proc/{broker.pid('explore')}/cmdline").read()


# A148 S6
def a_refresh_that_is_in_the_air_is_not_cut_by_a_reload(stack):
    demo = Demo(stack, "--auto-consent", "--fault", "expired-at-once:token")
    broker = Broker(stack)
    broker.add(demo.mcp)
    demo.hold("refresh")
    waiting = broker.popen("mcp-token", "--no-login", demo.mcp)
    demo.wait(held={"refresh": 1})
    old = network_settings(broker, "NoProxy=one.example.com\n")
    assert old[1] in replaced(broker)
    network_settings(broker, "NoProxy=two.example.com\n")
    assert old[1] in replaced(broker)
    demo.release("refresh")
    out, err = waiting.communicate(timeout=PATIENCE)
    assert waiting.returncode == 0, err
    assert mcp_call(demo.mcp, out.strip())[0] == 200
    assert demo.count("refresh") == 1, demo.requests("refresh")
    until("those of before have left", lambda: not replaced(broker))


# A104
def a_login_that_waits_for_its_browser_survives_a_reload(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.person()
    adding = broker.popen("mcp-add", "--no-browser", demo.mcp)
    url = next(line.strip() for line in adding.stderr if line.strip().startswith(demo.issuer))
    old = network_settings(broker, "NoProxy=one.example.com\n")
    until("explore has left, which has nothing to stay for", lambda: replaced(broker) == {old[1]})
    subprocess.run([str(broker.dir / "person"), url], env=broker.env, check=True, timeout=PATIENCE)
    assert adding.wait(PATIENCE) == 0, adding.stderr.read()
    assert mcp_call(demo.mcp, broker.token(demo.mcp))[0] == 200
    until("the one of before has left", lambda: not replaced(broker))
    assert "ended (" not in broker.log(), broker.log()


def systemd_is_told_when_a_reload_began_by_its_own_clock(stack):
    """In a time namespace the clock that goes on during sleep is a day ahead of the other, as after a day of sleep."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "--time", "--fork", "true"], capture_output=True, check=False).returncode != 0:
        raise Skip("not root, or no time namespaces: the two clocks cannot be told apart")
    broker = Broker(stack, start=False, wrapper=["unshare", "--time", "--boottime", "86400", "--fork", "--kill-child"])
    systemd = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    systemd.bind(str(broker.dir / "notify"))
    systemd.settimeout(PATIENCE)
    broker.env["NOTIFY_SOCKET"] = str(broker.dir / "notify")
    broker.start()
    before = time.clock_gettime(time.CLOCK_MONOTONIC)
    broker.run("mcp-brokerctl", "reload", check=0)
    said = []
    while not (said and said[-1].startswith("READY=1") and any(s.startswith("RELOADING=1") for s in said)):
        said.append(systemd.recv(4096).decode())
    begun = next(int(line.partition("=")[2]) for s in said for line in s.splitlines() if line.startswith("MONOTONIC_USEC="))
    assert before <= begun / 1e6 <= time.clock_gettime(time.CLOCK_MONOTONIC), (before, said)


TESTS = [value for value in list(globals().values())
         if callable(value) and getattr(value, "__module__", None) == "__main__" and value.__name__ not in ("walk", "by_code", "renewed", "network_settings", "replaced")]

if __name__ == "__main__":
    sys.exit(Tap().run(TESTS))
