#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Codex and Claude Code with mcp-token as the command that gives them headers, and with mcp-connect as a server.

Issuer, server and person are the strangers of test-peers.py; the agents run without an account. Output is TAP.

    PEERS=FOLDER top_builddir=FOLDER top_srcdir=FOLDER test-agents.py [WORD]...

PEERS is as for test-peers.py, with agents/package.json installed in its folder agents.
"""
import contextlib
import json
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]
from agents import Claude, ClaudeSession, Codex, Desk, Model  # noqa: E402
from harness import Tap, program  # noqa: E402
from stage import Stage, count, granted  # noqa: E402

STAGE = None  # set by main()


def desk_with_login(stack):
    desk = Desk(stack, STAGE)
    STAGE.log_in(desk.broker, STAGE.mcp)
    STAGE.at_issuer.new()
    return desk


def assert_alice(who):
    assert (who["sub"], who["resource"]) == (STAGE.user, STAGE.mcp), who


def assert_one_refresh():
    journal = STAGE.at_issuer.new()
    assert len(granted(journal, "refresh_token")) == count(journal, "refresh_token.consumed") == 1, journal
    assert count(journal, "grant.revoked") == count(journal, "authorization") == 0, journal


def the_token_ends_early(desk):
    desk.until_its_token_is_not_new()
    STAGE.refuse_tokens()


def in_codex(desk):
    return Codex(desk, "url = %s\nhttp_headers_helper = %s\n" % (json.dumps(STAGE.mcp), json.dumps(desk.helper(STAGE.mcp))))


def in_claude(desk):
    return Claude(desk, {"type": "http", "url": STAGE.mcp, "headersHelper": desk.helper('"$CLAUDE_CODE_MCP_SERVER_URL"')})


def codex_lists_and_calls_tools_with_headers_from_mcp_token(stack):
    desk = desk_with_login(stack)
    codex = in_codex(desk)
    assert_alice(codex.whoami())
    assert codex.tools() == [("peer", ["whoami"])]
    runs = desk.helper_runs()
    assert runs and not any({"XDG_RUNTIME_DIR", "MCP_BROKER_SOCK", "SOME_API_TOKEN"} & names for names in runs), runs
    assert desk.askers() == {(codex.exe, "mcp-token")}, desk.askers()


def codex_gets_another_token_where_the_server_refuses_the_first_early(stack):
    desk = desk_with_login(stack)
    codex = in_codex(desk)
    assert_alice(codex.whoami())
    n_runs = len(desk.helper_runs())
    the_token_ends_early(desk)
    assert_alice(codex.whoami())
    assert len(desk.helper_runs()) == n_runs + 1
    assert_one_refresh()


def desk_with_refused_token(stack):
    desk = desk_with_login(stack)
    line = desk.broker.token(STAGE.mcp, "--header-line") + "\n"
    assert_alice(STAGE.sdk_client(STAGE.mcp, line)["whoami"])
    the_token_ends_early(desk)
    return desk


def codex_comes_in_where_the_token_was_refused_before_it_started(stack):
    desk = desk_with_refused_token(stack)
    assert_alice(in_codex(desk).whoami())
    assert len(desk.helper_runs()) == 2
    assert_one_refresh()


def codex_starts_the_bridge_without_being_told_of_the_broker(stack):
    desk = desk_with_login(stack)
    codex = Codex(desk, "command = %s\nargs = [%s]\n" % (json.dumps(program("mcp-connect")), json.dumps(STAGE.mcp)))
    assert_alice(codex.whoami())
    assert codex.tools() == [("peer", ["whoami"])]
    assert desk.askers() == {(codex.exe, "mcp-connect")}, desk.askers()
    STAGE.refuse_tokens()
    assert_alice(codex.whoami())
    assert_one_refresh()


def claude_connects_with_headers_from_mcp_token(stack):
    desk = desk_with_login(stack)
    claude = in_claude(desk)
    assert "✔ Connected" in claude.listed(), claude.listed()
    runs = desk.helper_runs()
    assert runs and all("CLAUDE_CODE_MCP_SERVER_URL" in names and "SOME_API_TOKEN" not in names for names in runs), runs
    assert desk.askers() == {(claude.exe, "mcp-token")}, desk.askers()


def claude_gets_another_token_where_the_server_refuses_the_first_early(stack):
    desk = desk_with_login(stack)
    answers = in_claude(desk).ask(Model(stack, lambda: the_token_ends_early(desk)))
    assert len(answers) == 2, answers
    for who in answers:
        assert_alice(who)
    assert_one_refresh()


def claude_comes_in_by_its_second_connection_where_the_token_was_refused_before_it_started(stack):
    desk = desk_with_refused_token(stack)
    session = ClaudeSession(in_claude(desk))
    # It does not run its helper again for this one, so nobody can help it.
    assert session.status() == {"peer": "failed"} and len(desk.helper_runs()) == 1
    session.reconnect()
    assert session.status() == {"peer": "connected"}
    assert_one_refresh()


def claude_starts_the_bridge(stack):
    desk = desk_with_login(stack)
    claude = Claude(desk, {"command": program("mcp-connect"), "args": [STAGE.mcp]})
    answers = claude.ask(Model(stack, STAGE.refuse_tokens))
    assert len(answers) == 2, answers
    for who in answers:
        assert_alice(who)
    assert desk.askers() == {(claude.exe, "mcp-connect")}, desk.askers()
    assert_one_refresh()


def main():
    global STAGE
    peers = pathlib.Path(os.environ["PEERS"]).resolve()
    with contextlib.ExitStack() as stack:
        STAGE = Stage(stack, peers, peers / "logs/agents")
        return Tap().run((
            codex_lists_and_calls_tools_with_headers_from_mcp_token,
            codex_gets_another_token_where_the_server_refuses_the_first_early,
            codex_comes_in_where_the_token_was_refused_before_it_started,
            codex_starts_the_bridge_without_being_told_of_the_broker,
            claude_connects_with_headers_from_mcp_token,
            claude_gets_another_token_where_the_server_refuses_the_first_early,
            claude_comes_in_by_its_second_connection_where_the_token_was_refused_before_it_started,
            claude_starts_the_bridge,
        ))


if __name__ == "__main__":
    sys.exit(main())
