#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mcp-connect among strangers: the SDK's clients and the inspector start it, oidc-provider is the issuer, the server the SDK's.

Output is TAP.

    PEERS=FOLDER top_builddir=FOLDER top_srcdir=FOLDER test-bridge.py [WORD]...

PEERS is as for test-peers.py.
"""
import concurrent.futures
import contextlib
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(HERE), str(HERE.parent / "integration"), str(HERE.parent / "conformance")]
from harness import PATIENCE, Broker, Tap, program, until  # noqa: E402
from host import Host  # noqa: E402
from sdkhost import SdkHost  # noqa: E402
from stage import Stage, count, granted  # noqa: E402

BRIDGES = 8
ROUNDS = 10
STAGE = None  # set by main()


def broker_with_login(stack, url):
    broker = Broker(stack)
    STAGE.log_in(broker, url)
    return broker


def assert_served(said, url):
    assert (said.get("tools"), said.get("server")) == (["whoami"], "peer"), said
    assert (said["whoami"]["sub"], said["whoami"]["resource"]) == (STAGE.user, url), said


def inspector(broker, url, *arguments, era="legacy"):
    """What its command line interface prints, which is the result."""
    result = subprocess.run(
        [STAGE.node, str(STAGE.peers / "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"), "--cli",
         program("mcp-connect"), url, "-e", "MCP_BROKER_SOCK=%s" % broker.socket, "--quiet", "--protocol-era", era, *arguments],
        env=STAGE.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert result.returncode == 0, (result.returncode, result.stdout, result.stderr)
    return json.loads(result.stdout)


def both_versions_of_the_sdk_list_and_call_tools_through_the_bridge(stack):
    broker = broker_with_login(stack, STAGE.mcp)
    for kind in ("v1", "v2"):
        assert_served(SdkHost(stack, STAGE, broker, kind, STAGE.mcp).said(), STAGE.mcp)


def a_client_and_a_server_of_2026_07_28_meet_through_the_bridge(stack):
    broker = broker_with_login(stack, STAGE.modern)
    STAGE.at_server.new()
    assert_served(SdkHost(stack, STAGE, broker, "modern", STAGE.modern).said(), STAGE.modern)
    seen = {e.get("rpc") for e in STAGE.at_server.new()}
    assert {"server/discover", "tools/list", "tools/call"} <= seen and "initialize" not in seen, seen


def a_client_of_2026_07_28_meets_a_server_of_before_through_the_bridge(stack):
    broker = broker_with_login(stack, STAGE.mcp)
    STAGE.at_server.new()
    host = SdkHost(stack, STAGE, broker, "modern", STAGE.mcp)
    assert_served(host.said(), STAGE.mcp)
    STAGE.refuse_tokens()
    assert host.whoami()["whoami"]["sub"] == STAGE.user
    seen = {e.get("rpc") for e in STAGE.at_server.new()}
    assert {"initialize", "notifications/initialized", "tools/list", "tools/call"} <= seen, seen


def a_client_of_before_meets_a_server_of_2026_07_28_through_the_bridge(stack):
    broker = broker_with_login(stack, STAGE.modern)
    for kind in ("v1", "v2"):
        assert_served(SdkHost(stack, STAGE, broker, kind, STAGE.modern).said(), STAGE.modern)


def the_inspector_lists_and_calls_tools_through_the_bridge(stack):
    broker = Broker(stack)
    for url, era in ((STAGE.mcp, "legacy"), (STAGE.modern, "modern")):
        STAGE.log_in(broker, url)
        tools = inspector(broker, url, "--method", "tools/list", era=era)["tools"]
        assert [tool["name"] for tool in tools] == ["whoami"], tools
        answer = inspector(broker, url, "--method", "tools/call", "--tool-name", "whoami", era=era)
        who = json.loads(answer["content"][0]["text"])
        assert (who["sub"], who["resource"]) == (STAGE.user, url), who


# A78 A95 A99
def a_url_that_nobody_added_is_logged_in_at_through_chromium_while_the_sdk_waits(stack):
    broker, person = Broker(stack), STAGE.person("allow")
    STAGE.at_issuer.new()
    host = SdkHost(stack, STAGE, broker, "v1", STAGE.mcp, "--browser=%s" % person.browser)
    assert_served(host.said(), STAGE.mcp)
    until("the person has read the page", person.is_back)
    assert person.report["problems"] == [] and person.report["pages"] == ["Sign in", "May it?"], person.report
    assert len(granted(STAGE.at_issuer.new(), "authorization_code")) == 1
    assert [s["url"] for s in broker.servers()] == [STAGE.mcp]


# A142 A146
def eight_bridges_outlive_ten_early_refusals_at_a_strict_issuer(stack):
    broker = broker_with_login(stack, STAGE.mcp)
    sdk = SdkHost(stack, STAGE, broker, "v2", STAGE.mcp)
    assert_served(sdk.said(), STAGE.mcp)
    hosts = [Host([program("mcp-connect"), "--no-browser", STAGE.mcp], broker.env, modern=False) for _ in range(BRIDGES - 1)]
    for host in hosts:
        stack.callback(host.close)
        host.open()
    calls = [sdk.whoami] + [lambda host=host: json.loads(host.call("whoami")["content"][0]["text"]) for host in hosts]
    STAGE.at_issuer.new()
    STAGE.at_server.new()
    with concurrent.futures.ThreadPoolExecutor(BRIDGES) as pool:
        for _ in range(ROUNDS):
            STAGE.refuse_tokens()
            answers = list(pool.map(lambda call: call(), calls))
            assert [a.get("whoami", a)["sub"] for a in answers] == [STAGE.user] * BRIDGES, answers
            journal = STAGE.at_issuer.new()
            assert len(granted(journal, "refresh_token")) == count(journal, "refresh_token.consumed") == 1, journal
            assert count(journal, "grant.revoked") == count(journal, "authorization") == 0, journal
    assert not any(e.get("rpc") == "initialize" for e in STAGE.at_server.new())
    for host in hosts:
        assert not host.faults, host.faults


def main():
    global STAGE
    peers = pathlib.Path(os.environ["PEERS"]).resolve()
    with contextlib.ExitStack() as stack:
        STAGE = Stage(stack, peers, peers / "logs/bridge")
        return Tap().run((
            both_versions_of_the_sdk_list_and_call_tools_through_the_bridge,
            a_client_and_a_server_of_2026_07_28_meet_through_the_bridge,
            a_client_of_2026_07_28_meets_a_server_of_before_through_the_bridge,
            a_client_of_before_meets_a_server_of_2026_07_28_through_the_bridge,
            the_inspector_lists_and_calls_tools_through_the_bridge,
            a_url_that_nobody_added_is_logged_in_at_through_chromium_while_the_sdk_waits,
            eight_bridges_outlive_ten_early_refusals_at_a_strict_issuer,
        ))


if __name__ == "__main__":
    sys.exit(main())
