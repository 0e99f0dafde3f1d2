#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mcp-connect between a host of its own and the demo server: sessions, logins, refusals, and every way to end."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../conformance"))
from harness import PATIENCE, Broker, Demo, Tap, program, until  # noqa: E402
from host import Host, Refused  # noqa: E402

SUMMARY = {"text": "One. Two. Three."}


def bridge(stack, broker, server, *options, person=True, capabilities=None):
    env = {**broker.env, **(broker.person() if person else {"BROWSER": "/bin/false"})}
    host = Host([program("mcp-connect"), *options, server], env, modern=False, capabilities=capabilities)

    def end():
        host.close()
        assert not host.faults, host.faults
    stack.callback(end)
    return host


def called(host):
    return host.call("generate_summary", SUMMARY)["content"]


def a_tool_is_called_through_the_bridge(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.add(demo.mcp, "--name=demo")
    host = bridge(stack, broker, "demo")
    host.open()
    assert [tool["name"] for tool in host.each("tools")] == ["generate_summary", "admin_report"]
    assert called(host)


def the_first_answer_takes_one_request_to_the_server(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.add(demo.mcp)
    before = demo.count("mcp")
    host = bridge(stack, broker, demo.mcp)
    host.request("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}})
    assert demo.count("mcp") == before + 1, demo.requests("mcp")


def a_url_that_nobody_added_is_added_at_its_first_challenge(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    host = bridge(stack, broker, demo.mcp)
    assert demo.count("prm") == 0
    host.open()
    assert called(host)
    assert [s["url"] for s in broker.servers()] == [demo.mcp]


def a_request_that_waits_for_a_login_in_vain_is_answered_with_its_address(stack):
    demo = Demo(stack)
    broker = Broker(stack)
    broker.run("mcp-add", "--no-login", "--name=demo", demo.mcp, check=0)
    host = bridge(stack, broker, "demo", "--hold=0", person=False)
    try:
        host.open()
    except Refused as e:
        assert e.error["code"] == -32000 and e.error["data"]["code"] == "login_required", e.error
        assert e.error["data"]["url"].startswith(demo.issuer), e.error
        assert e.error["data"]["url"] in e.error["message"]
    else:
        raise AssertionError("there was an answer without a login")


def the_end_of_input_ends_a_bridge_that_waits_for_a_login(stack):
    demo = Demo(stack)
    broker = Broker(stack)
    broker.run("mcp-add", "--no-login", "--name=demo", demo.mcp, check=0)
    host = bridge(stack, broker, "demo", person=False)
    answer = threading.Thread(target=lambda: swallow(host.open))
    answer.start()
    until("a login is under way", lambda: broker.servers()[0]["state"] == "login_pending")
    host.process.stdin.close()
    host.process.wait(PATIENCE)
    answer.join(PATIENCE)
    assert host.process.returncode == 0


def the_end_of_input_ends_a_bridge_that_waits_for_the_daemon(stack):
    broker = Broker(stack, start=False)
    broker.socket.parent.mkdir(mode=0o700)
    listener = stack.enter_context(socket.socket(socket.AF_UNIX))
    listener.bind(str(broker.socket))
    broker.socket.chmod(0o600)
    listener.listen(8)
    process = broker.popen("mcp-connect", "https://mcp.example.com/mcp", stdin=subprocess.PIPE)
    process.stdin.write('{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}\n')
    process.stdin.flush()
    stack.enter_context(listener.accept()[0])  # and nobody says hello
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert json.loads(output)["error"]["data"]["code"] == "timeout", output


def swallow(what):
    try:
        what()
    except Exception:  # pylint: disable=broad-except
        pass


class Scribe(Host):
    """Keeps every line that the bridge writes to it."""

    def __init__(self, *args, **kwargs):
        self.lines = []
        super().__init__(*args, **kwargs)

    def take(self, message):
        self.lines.append(json.dumps(message))
        super().take(message)


# A1 A7 A166 A167 A169 A173
def a_token_goes_into_one_field_of_each_request_and_nowhere_else(stack):
    demo = Demo(stack, "--auto-consent", "--stream", "--require-session")
    broker = Broker(stack)
    broker.add(demo.mcp)
    extensions = {"extensions": {"io.example/x": {"a": [1]}}}
    host = Scribe([program("mcp-connect"), demo.mcp], {**broker.env, **broker.person()}, modern=False, capabilities=extensions)
    host.open()
    assert host.request("tools/call", {"name": "generate_summary", "arguments": SUMMARY,
                                       "_meta": {"authorization": "Bearer planted", "headers": {"Authorization": "Bearer planted"}}})["content"]
    host.close()
    assert not host.faults, host.faults
    seen = [r for r in demo.requests("mcp") if r["headers"].get("user-agent", "").startswith("mcp-broker")]
    first = next(i for i, r in enumerate(seen) if "authorization" in r["headers"])
    assert {r["method"] for r in seen[first:]} == {"POST", "GET", "DELETE"}, seen
    token = seen[first]["headers"]["authorization"]
    assert all(r["headers"]["authorization"] == token for r in seen[first:]) and token.startswith("Bearer "), seen
    secrets = demo.secrets()
    for secret in secrets["access_tokens"] + secrets["refresh_tokens"] + secrets["codes"]:
        assert not any(secret in r["target"] or secret in (r["body"] or "") for r in seen), "in a URL or body"
        assert not any(secret in line for line in host.lines), "on the host's side"
    begun = [json.loads(r["body"]) for r in seen if '"initialize"' in (r["body"] or "")][-1]
    assert begun["params"]["capabilities"] == extensions, begun


# A171
def a_server_that_refuses_every_token_is_asked_a_bounded_number_of_times(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.add(demo.mcp)
    host = bridge(stack, broker, demo.mcp)
    host.open()
    demo.fault("reject-token")
    before = demo.count("mcp")
    try:
        called(host)
    except Refused as e:
        assert e.error["code"] == -32000, e.error
    else:
        raise AssertionError("it was answered")
    bodies = [r["body"] for r in demo.requests("mcp")[before:] if "generate_summary" in (r["body"] or "")]
    assert 2 <= len(bodies) <= 3 and len(set(bodies)) == 1, bodies
    assert demo.count("authorize") <= 2


def a_token_that_is_refused_early_is_replaced(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.add(demo.mcp)
    host = bridge(stack, broker, demo.mcp)
    host.open()
    assert called(host)
    demo.fault("refuse-early")
    assert called(host)
    assert demo.count("refresh") == 1
    assert demo.count("authorize") == 1


# A172
def ten_bridges_at_once_refresh_an_expired_token_once(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.add(demo.mcp)
    demo.expire()
    refreshes = demo.count("refresh")
    hosts = [bridge(stack, broker, demo.mcp) for _ in range(10)]
    results = []

    def work(host):
        host.open()
        results.append(called(host))
    threads = [threading.Thread(target=work, args=(host,)) for host in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(results) == 10
    assert demo.count("refresh") == refreshes + 1


def a_request_that_takes_too_long_is_answered_and_the_server_told(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.add(demo.mcp)
    host = bridge(stack, broker, demo.mcp, "--request-timeout=1")
    host.open()
    called(host)
    demo.fault("hang:mcp!1")
    try:
        called(host)
    except Refused as e:
        assert "in time" in e.error["message"], e.error
    else:
        raise AssertionError("there was an answer")
    until("the server is told", lambda: demo.stats()["methods"].get("notifications/cancelled"))


def a_server_that_hangs_while_the_session_begins_holds_nobody_up_for_ever(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.add(demo.mcp)
    host = bridge(stack, broker, demo.mcp)
    host.request("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}})
    demo.fault("hang:mcp!1")
    host.notify("notifications/initialized")
    assert called(host)


def header_fields_of_the_person_are_sent_and_cookies_go_back(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.add(demo.mcp)
    demo.fault("header:mcp=Set-Cookie: lb=seven!1")
    fields = broker.dir / "fields"
    fields.write_text("# a comment\nX-File: from a file\n")
    fields.chmod(0o600)
    broker.env["SECRET"] = "from the environment"
    host = bridge(stack, broker, demo.mcp, "--header=X-Env: ${SECRET}", f"--header-file={fields}")
    host.open()
    called(host)
    first, last = (demo.requests("mcp")[i]["headers"] for i in (-4, -1))
    assert last["x-env"] == "from the environment" and last["x-file"] == "from a file", last
    assert "cookie" not in first and last["cookie"] == "lb=seven", (first, last)


def an_authorization_field_of_the_person_is_used_instead_of_the_broker(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.add(demo.mcp)
    broker.env["KEY"] = broker.token(demo.mcp)
    host = bridge(stack, broker, demo.mcp, "--header=Authorization: Bearer ${KEY}", "--no-autostart", "--socket=/nonexistent")
    host.open()
    assert called(host)
    demo.fault("refuse-early")
    try:
        called(host)
    except Refused as e:
        assert e.error["data"]["status"] == 401, e.error
    else:
        raise AssertionError("there was an answer")


def report(host):
    return host.call("admin_report")["content"]


def shows(broker, hosts, answer):
    """A host that can show addresses to its person: what it was asked to show."""
    shown = []

    def show(params):
        shown.append(params)
        if answer == "accept":
            subprocess.run([broker.person()["BROWSER"], params["url"]], env=broker.env, check=True, timeout=PATIENCE)
        return {"action": answer}
    hosts.answers["elicitation/create"] = show
    return shown


def a_host_that_shows_addresses_is_asked_to_show_that_of_the_login(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.add(demo.mcp)
    host = bridge(stack, broker, demo.mcp, person=False, capabilities={"elicitation": {"url": {}}})
    shown = shows(broker, host, "accept")
    host.open()
    assert report(host)
    assert len(shown) == 1 and shown[0]["mode"] == "url" and shown[0]["url"].startswith(demo.issuer), shown
    assert demo.stats()["methods"].get("response") is None, "the server was told of it"


def a_person_who_declines_what_the_host_shows_ends_the_wait(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.add(demo.mcp)
    host = bridge(stack, broker, demo.mcp, person=False, capabilities={"elicitation": {"url": {}}})
    shown = shows(broker, host, "decline")
    host.open()
    try:
        report(host)
    except Refused as e:
        assert e.error["data"]["code"] == "login_cancelled", e.error
    else:
        raise AssertionError("there was an answer")
    assert len(shown) == 1
    assert called(host)


def a_request_that_is_not_held_names_the_login_as_the_host_knows_it(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.add(demo.mcp)
    host = bridge(stack, broker, demo.mcp, "--hold=0", person=False, capabilities={"elicitation": {"url": {}}})
    shows(broker, host, "cancel")
    host.open()
    try:
        report(host)
    except Refused as e:
        elicitation = e.error["data"]["elicitations"][0]
        assert e.error["code"] == -32042 and elicitation["mode"] == "url" and elicitation["url"].startswith(demo.issuer), e.error
    else:
        raise AssertionError("there was an answer")


def calls(broker):
    return [r for r in broker.audit() if r.get("call", {}).get("tool") == "generate_summary"]


def a_tool_call_is_in_the_audit_trail_and_its_arguments_are_not(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.add(demo.mcp, "--name=demo")
    host = bridge(stack, broker, "demo")
    host.open()
    called(host)
    record = until("the call is recorded", lambda: next(iter(calls(broker)), None))
    assert record["call"]["end"] == "ok" and record["call"]["arguments"] and record["call"]["bytes"] > 100, record
    assert [r for r in broker.audit() if r.get("req") == record["req"] and "call" not in r], record
    assert "Three" not in (broker.state / "audit/audit.log").read_text()
    silent = bridge(stack, broker, "demo", "--no-report")
    silent.open()
    called(silent)
    called(host)
    until("the second call is recorded", lambda: len(calls(broker)) == 2)


def calls_that_follow_at_once_share_a_token_and_a_lock_ends_that(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.add(demo.mcp, "--name=demo")
    host = bridge(stack, broker, "demo")
    host.open()
    for _ in range(40):
        called(host)
    until("the calls are recorded", lambda: len(calls(broker)) == 40)
    releases = {r["req"] for r in broker.audit() if r["event"] == "token.release"}
    assert len(releases) < 40, releases
    assert {r["req"] for r in calls(broker)} <= releases
    broker.run("mcp-brokerctl", "lock", check=0)
    assert until("a call is refused", lambda: refused(host))["data"]["code"] == "locked"


def refused(host):
    try:
        called(host)
    except Refused as e:
        return e.error
    return None


def all_calls_are_recorded_when_the_bridge_has_ended(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.add(demo.mcp, "--name=demo")
    demo.fault("header:mcp=Mcp-Session-Id")  # so that there is no goodbye to wait for
    host = bridge(stack, broker, "demo")
    host.open()
    for _ in range(40):
        called(host)
    host.close()
    assert demo.stats()["methods"].get("DELETE", 0) == 0
    assert len(calls(broker)) == 40


def calls_that_are_too_many_to_record_do_not_keep_the_broker_busy(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.add(demo.mcp, "--name=demo")
    log = broker.dir / "connect.log"
    host = bridge(stack, broker, "demo", "--debug", f"--log-file={log}")
    host.open()
    for _ in range(3000):
        called(host)
        if "left out of the audit trail" in log.read_text():
            break
    first = log.read_text()
    assert "left out of the audit trail" in first
    for _ in range(300):
        called(host)
    refused = log.read_text()[len(first):].count("audit.record: Too many reports")
    assert refused < 100, refused
    recorded = len(calls(broker))
    assert recorded >= 100
    until("calls are recorded again", lambda: called(host) and len(calls(broker)) > recorded)
    assert log.read_text().count("left out of the audit trail") == 1


def sigterm_ends_it_and_the_session(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.add(demo.mcp)
    host = bridge(stack, broker, demo.mcp)
    host.open()
    host.process.send_signal(signal.SIGTERM)
    assert host.process.wait(PATIENCE) == 0


def what_is_no_message_gets_an_error_and_the_next_one_an_answer(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.add(demo.mcp)
    result = broker.run("mcp-connect", demo.mcp, stdin="".join((
        "nonsense\n",
        '{"jsonrpc":"2.0"}\n',
        '[{"jsonrpc":"2.0","id":1,"method":"ping"}]\n',
        '{"jsonrpc":"2.0","id":"last","method":"initialize","params":{"protocolVersion":"2025-11-25",'
        '"capabilities":{},"clientInfo":{"name":"t","version":"1"}}}\n')), check=0)
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [a.get("error", {}).get("code") for a in answers] == [-32700, -32600, -32600, None], answers
    assert answers[3]["id"] == "last" and "result" in answers[3]


if __name__ == "__main__":
    sys.exit(Tap().run((
        a_tool_is_called_through_the_bridge,
        the_first_answer_takes_one_request_to_the_server,
        a_url_that_nobody_added_is_added_at_its_first_challenge,
        a_request_that_waits_for_a_login_in_vain_is_answered_with_its_address,
        the_end_of_input_ends_a_bridge_that_waits_for_a_login,
        the_end_of_input_ends_a_bridge_that_waits_for_the_daemon,
        a_token_goes_into_one_field_of_each_request_and_nowhere_else,
        a_server_that_refuses_every_token_is_asked_a_bounded_number_of_times,
        a_token_that_is_refused_early_is_replaced,
        ten_bridges_at_once_refresh_an_expired_token_once,
        a_request_that_takes_too_long_is_answered_and_the_server_told,
        a_server_that_hangs_while_the_session_begins_holds_nobody_up_for_ever,
        header_fields_of_the_person_are_sent_and_cookies_go_back,
        an_authorization_field_of_the_person_is_used_instead_of_the_broker,
        a_host_that_shows_addresses_is_asked_to_show_that_of_the_login,
        a_person_who_declines_what_the_host_shows_ends_the_wait,
        a_request_that_is_not_held_names_the_login_as_the_host_knows_it,
        a_tool_call_is_in_the_audit_trail_and_its_arguments_are_not,
        calls_that_are_too_many_to_record_do_not_keep_the_broker_busy,
        calls_that_follow_at_once_share_a_token_and_a_lock_ends_that,
        all_calls_are_recorded_when_the_bridge_has_ended,
        sigterm_ends_it_and_the_session,
        what_is_no_message_gets_an_error_and_the_next_one_an_answer,
    )))
