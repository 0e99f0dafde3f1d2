#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tokens that are bound to a key of the broker's (DPoP), at a server that takes no others and looks at each proof."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../conformance"))
from harness import PATIENCE, Broker, Demo, Rpc, RpcError, Tap, program, until  # noqa: E402
from host import Host  # noqa: E402

SUMMARY = {"text": "One. Two. Three."}
CALL = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'


def signed_in(stack, *options):
    demo = Demo(stack, "--auto-consent", "--dpop=required", *options)
    broker = Broker(stack)
    broker.add(demo.mcp, "--name=demo")
    return demo, broker


def bridge(stack, broker, *options):
    host = Host([program("mcp-connect"), *options, "demo"], {**broker.env, **broker.person()}, modern=False)

    def end():
        host.close()
        assert not host.faults, host.faults
    stack.callback(end)
    host.open()
    return host


def called(host):
    return host.call("generate_summary", SUMMARY)["content"]


def proofs(demo):
    return [r["headers"]["dpop"] for r in demo.requests("mcp") if "authorization" in r["headers"]]


# A204 A206 A207 A210
def every_request_of_a_bridge_carries_a_proof_of_its_own(stack):
    demo, broker = signed_in(stack, "--stream", "--require-session")
    host = bridge(stack, broker)
    for _ in range(5):
        assert called(host)
    host.close()
    seen = [r for r in demo.requests("mcp") if "authorization" in r["headers"]]
    assert {r["method"] for r in seen} == {"POST", "GET", "DELETE"}, seen
    assert all(r["headers"]["authorization"].startswith("DPoP ") for r in seen), seen
    assert len(set(proofs(demo))) == len(seen) >= 8
    assert not [r for r in seen if r["status"] in (400, 401)], "none of them was refused"
    assert demo.count("authorize") == 1


# A212 A213
def nonces_that_change_cost_a_repeat_and_no_login(stack):
    demo, broker = signed_in(stack, "--dpop-nonce")
    host = bridge(stack, broker)
    assert called(host)
    demo.nonces()
    assert called(host)
    refused = [r for r in demo.requests("mcp") if r["status"] == 401 and "authorization" in r["headers"]]
    assert refused and len(refused) <= 4, refused
    assert demo.count("authorize") == 1 and demo.count("refresh") == 0


# A214
def a_refresh_and_a_restart_keep_the_key(stack):
    demo, broker = signed_in(stack, "--dpop-nonce")
    host = bridge(stack, broker)
    assert called(host)
    demo.expire()
    assert called(host)
    assert demo.count("refresh") >= 1
    host.close()
    broker.stop()
    broker.start()
    demo.expire()
    assert called(bridge(stack, broker))
    assert demo.count("authorize") == 1


def eight_bridges_share_one_key_and_one_token(stack):
    demo, broker = signed_in(stack, "--dpop-nonce")
    hosts = [bridge(stack, broker) for _ in range(8)]
    for _ in range(3):
        demo.expire()
        for host in hosts:
            assert called(host)
    assert demo.count("authorize") == 1 and demo.count("refresh") == 3, demo.counters()


def curl(demo, headers):
    command = ["curl", "-sS", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}", "-H", "@-", "-H", "Content-Type: application/json",
               "-H", "Accept: application/json, text/event-stream", "-d", CALL, demo.mcp]
    return subprocess.run(command, input=headers, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout


def a_script_gets_the_headers_for_one_request(stack):
    demo, broker = signed_in(stack)
    lines = broker.run("mcp-token", "--header-line", "--method=POST", "demo", check=0).stdout
    assert [line.split(":")[0] for line in lines.splitlines()] == ["Authorization", "DPoP"], lines
    assert curl(demo, lines) == "200"
    assert curl(demo, lines) == "401", "a proof is good once"
    headers = json.loads(broker.run("mcp-token", "--header", "--method=POST", f"--url={demo.mcp}", "demo", check=0).stdout)
    assert curl(demo, "".join(f"{name}: {value}\n" for name, value in headers.items())) == "200"
    other = json.loads(broker.run("mcp-token", "--header", "--method=GET", "demo", check=0).stdout)
    assert curl(demo, "".join(f"{name}: {value}\n" for name, value in other.items())) == "401", "for another method"


def without_a_method_it_is_said_what_is_missing(stack):
    _, broker = signed_in(stack)
    for form in ("--header", "--header-line"):
        result = broker.run("mcp-token", form, "demo", check=2)
        assert "bound to a key" in result.stderr and "--method" in result.stderr and not result.stdout, result
    result = broker.run("mcp-token", "--header", "--method=POST", "--url=https://example.com/", "demo")
    assert result.returncode != 0 and "is not under" in result.stderr, result
    for options in (["--url=x", "--header"], ["--nonce=x", "--header"], ["--method=POST"]):
        broker.run("mcp-token", *options, "demo", check=2)


# A202 S1 S4
def proofs_are_in_the_audit_trail_and_the_key_is_nowhere(stack):
    _, broker = signed_in(stack)
    assert called(bridge(stack, broker))
    signed = [line for line in broker.audit() if line["event"] == "dpop.sign"]
    assert signed and all("server" in json.dumps(line) for line in signed), signed
    assert b"dpop_key" not in b"".join(path.read_bytes() for path in broker.dir.rglob("*") if path.is_file())


def a_server_that_offers_both_gets_tokens_that_every_client_can_use(stack):
    demo = Demo(stack, "--auto-consent", "--dpop=offered")
    broker = Broker(stack)
    broker.add(demo.mcp, "--name=demo")
    assert json.loads(broker.run("mcp-token", "--header", "demo", check=0).stdout)["Authorization"].startswith("Bearer ")


def a_proof_needs_a_token_that_is_known(stack):
    demo, broker = signed_in(stack)
    rpc = Rpc(str(broker.socket))
    stack.callback(rpc.close)
    token = rpc.call("token.get", server="demo")
    assert token["token_type"] == "DPoP"
    good = {"server": "demo", "token_id": token["token_id"], "method": "POST", "url": demo.mcp}
    assert rpc.call("token.proof", **good)["proof"].count(".") == 2
    for change, code in (({"token_id": "t_no"}, "not_found"), ({"url": demo.issuer + "/token"}, "bad_params"), ({"method": "x y"}, "bad_params")):
        try:
            rpc.call("token.proof", **{**good, **change})
        except RpcError as e:
            assert e.code == code, e
        else:
            raise AssertionError(f"a proof was made: {change}")
    rpc.call("token.reject", server="demo", token_id=token["token_id"])
    try:
        rpc.call("token.proof", **good)
    except RpcError as e:
        assert e.code == "not_found", e
    else:
        raise AssertionError("a proof was made for a token that is rejected")
    until("another is had", lambda: rpc.call("token.get", server="demo")["token_id"] != token["token_id"])


if __name__ == "__main__":
    Tap().run([every_request_of_a_bridge_carries_a_proof_of_its_own,
               nonces_that_change_cost_a_repeat_and_no_login,
               a_refresh_and_a_restart_keep_the_key,
               eight_bridges_share_one_key_and_one_token,
               a_script_gets_the_headers_for_one_request,
               without_a_method_it_is_said_what_is_missing,
               proofs_are_in_the_audit_trail_and_the_key_is_nowhere,
               a_server_that_offers_both_gets_tokens_that_every_client_can_use,
               a_proof_needs_a_token_that_is_known])
