#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mcp-connect between a host and a server of two eras. doc/ERAS.md has what becomes of what; each of its rows has a test here."""

import argparse
import contextlib
import os
import pathlib
import queue
import re
import sys
import threading

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE / "../conformance"))
from eraservers import LEGACY, META, MODERN, LegacyServer, ModernServer, RpcError  # noqa: E402
from harness import PATIENCE, Broker, Demo, Tap, program, until  # noqa: E402
import host as hosts  # noqa: E402

DOCUMENT = pathlib.Path(os.environ.get("top_srcdir", HERE / "../..")) / "doc/ERAS.md"
INFO = {"name": "mcp-broker-test-host", "version": "1"}
TEXT = {"content": [{"type": "text", "text": "done"}]}
ROWS = {}
TESTS = []
BEGIN = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": INFO}


def row(direction, who, method, becomes):
    """The test of this row of the document."""
    def register(function):
        ROWS[direction, who, method] = (becomes, function)
        if function not in TESTS:
            TESTS.append(function)
        return function
    return register


def claim(function):
    TESTS.append(function)
    return function


class Host(hosts.Host):
    """Keeps the server's notifications, and can leave a request unanswered for a while."""

    def __init__(self, *args, **kwargs):
        self.notes = queue.SimpleQueue()
        self.silent = set()  # methods that it does not answer
        self.asked = queue.SimpleQueue()  # these requests
        super().__init__(*args, **kwargs)

    def answer(self, message):
        if message["method"] in self.silent:
            self.asked.put(message)
        else:
            super().answer(message)

    def take(self, message):
        if "method" in message and "id" not in message:
            self.notes.put(message)
            return
        super().take(message)

    def note(self, method):
        """The next notification, which must be this."""
        message = self.notes.get(timeout=PATIENCE)
        assert message["method"] == method, message
        return message.get("params")

    def begin(self, method, params=None):
        """A request whose answer is for later: its id, and where the answer comes."""
        box = queue.SimpleQueue()
        with self.lock:
            self.last_id += 1
            number = self.last_id
            self.waiting[number] = box
        self.send({"jsonrpc": "2.0", "id": number, "method": method, "params": self.with_meta(params or {})})
        return number, box

    def say(self, method, params=None):
        self.send({"jsonrpc": "2.0", "method": method, **({"params": params} if params is not None else {})})


def refused(host, method, params=None):
    try:
        result = host.request(method, params)
    except hosts.Refused as e:
        return e.error
    raise AssertionError(f"{method} was answered with {result}")


def bridge(stack, server, modern, capabilities=None, *options):
    host = Host([program("mcp-connect"), "--no-browser", *options, server.url], BROKER.env, modern, capabilities)

    def end():
        host.close()
        assert not host.faults, host.faults
    stack.callback(end)
    return host


def up(stack, capabilities=None, start=True, **methods):
    """A legacy host at a modern server."""
    server = ModernServer(stack)
    server.methods.update({name.replace("__", "/"): f for name, f in methods.items()})
    host = bridge(stack, server, False, capabilities)
    if start:
        host.open()
    return host, server


# --- a legacy host, a modern server ---

@row("up", "host", "initialize", "translated")
def initialize_is_answered_with_what_the_server_says_of_itself(stack):
    host, server = up(stack, {"roots": {"listChanged": True}, "tasks": {"list": {}}}, start=False)
    result = host.request("initialize", {"protocolVersion": "2025-06-18", "clientInfo": INFO,
                                         "capabilities": {"roots": {"listChanged": True}, "tasks": {"list": {}}}})
    assert result == {"protocolVersion": "2025-06-18", "capabilities": server.capabilities, "instructions": "Be kind.",
                      "serverInfo": {"name": "modern", "version": "26"}}, result
    assert [m["method"] for _, _, m in server.log] == ["initialize", "server/discover"]
    meta = server.log[1][2]["params"]["_meta"]
    assert meta == {META + "protocolVersion": MODERN, META + "clientInfo": INFO,
                    META + "clientCapabilities": {"roots": {"listChanged": True}}}, meta


@claim
def every_refusal_that_a_modern_server_may_give_to_initialize_is_understood(stack):
    for refusal in ((400, -32020), (400, -32021), (400, -32022), (400, -32602), (404, -32601), (200, -32601), (400, -32000)):
        with contextlib.ExitStack() as inner:
            server = ModernServer(inner)
            server.refuses = refusal
            host = bridge(inner, server, False)
            host.open()
            assert host.request("tools/list")["tools"][0]["name"] == "t", refusal


@claim
def a_server_that_refuses_initialize_and_is_not_modern_is_heard_first(stack):
    server = LegacyServer(stack)
    server.methods["initialize"] = lambda s, p: fail(RpcError(-32602, "I do not like you", 400))
    host = bridge(stack, server, False)
    error = refused(host, "initialize", BEGIN)
    assert error == {"code": -32602, "message": "I do not like you"}, error


@claim
def a_server_of_versions_that_nobody_knows_is_not_translated_for(stack):
    server = ModernServer(stack)
    server.versions = ["2030-01-01"]
    host = bridge(stack, server, False)
    error = refused(host, "initialize", BEGIN)
    assert error["code"] == -32602, error


def fail(error):
    raise error


@claim
def a_modern_server_that_refuses_initialize_without_a_word_is_found_out_in_the_end(stack):
    for status in (400, 404, 405):
        with contextlib.ExitStack() as inner:
            server = ModernServer(inner)
            server.bare = status
            host = bridge(inner, server, False)
            host.open()
            assert host.request("tools/list")["tools"][0]["name"] == "t", status
            asked = [(how, (m or {}).get("method")) for how, _, m in server.log][:3]
            assert asked == [("POST", "initialize"), ("GET", None), ("POST", "server/discover")], asked


@claim
def a_version_that_is_refused_and_offered_is_tried_once_more(stack):
    for refusals, outcome in ((1, "works"), (2, "does not")):
        with contextlib.ExitStack() as inner:
            server = ModernServer(inner)
            unsure = [RpcError(-32022, "not today", 400, {"supported": [MODERN]})] * refusals
            server.methods["server/discover"] = lambda s, p: fail(unsure.pop()) if unsure else server.discover(s, p)
            host = bridge(inner, server, False)
            if outcome == "works":
                host.open()
            else:
                assert refused(host, "initialize", BEGIN)["code"] == -32602
            assert len(server.sent("server/discover")) == 2


def methods_of(server):
    return [m["method"] for how, _, m in server.log if how == "POST" and m["method"] != "subscriptions/listen"]


@claim
def with_modern_first_nothing_legacy_is_said_to_a_modern_server(stack):
    server = ModernServer(stack)
    host = bridge(stack, server, False, None, "--protocol=modern-first")
    host.open()
    assert host.request("tools/list")["tools"][0]["name"] == "t"
    assert methods_of(server) == ["server/discover", "tools/list"] and not server.wrong, server.log


@claim
def with_modern_first_a_legacy_server_gets_the_initialize_behind_it_and_is_asked_once(stack):
    for refusal in ((404, None), (405, None), (400, None), (400, -32600), (200, -32000), (404, -32601)):
        with contextlib.ExitStack() as inner:
            server = LegacyServer(inner)
            server.refuses = refusal
            host = bridge(inner, server, False, None, "--protocol=auto")
            for _ in range(2):
                host.open()
                assert host.request("tools/list")["tools"][0]["name"] == "t", refusal
            once = ["initialize", "notifications/initialized", "tools/list"]
            assert methods_of(server) == ["server/discover"] + 2 * once, methods_of(server)


@claim
def with_modern_first_a_server_that_is_broken_is_not_taken_for_a_legacy_one(stack):
    server = LegacyServer(stack)
    server.refuses = (500, None)
    host = bridge(stack, server, False, None, "--protocol=modern-first")
    assert refused(host, "initialize", BEGIN)["data"]["status"] == 500
    assert methods_of(server) == ["server/discover"], methods_of(server)
    server.refuses = (400, -32600)
    host.open()
    assert host.request("tools/list")["tools"][0]["name"] == "t"


@claim
def with_modern_first_a_server_of_the_oldest_transport_is_still_found(stack):
    host, demo = signed_in(stack, "--http-sse", modern=False, bridge=["--protocol=modern-first"])
    works(host)


@claim
def with_modern_first_a_server_of_both_eras_is_spoken_to_in_the_modern_one(stack):
    for options, version in (([], LEGACY), (["--protocol=modern-first"], MODERN)):
        with contextlib.ExitStack() as inner:
            host, demo = signed_in(inner, "--strict", "--protocol=2026-07-28,2025-11-25", modern=False, bridge=options)
            works(host)
            last = [r for r in demo.requests("mcp") if r["method"] == "POST"][-1]
            assert last["headers"]["mcp-protocol-version"] == version, last


@claim
def what_was_found_out_once_is_not_asked_again(stack):
    host, server = up(stack)
    host.open()
    methods = [m["method"] for _, _, m in server.log if m["method"] != "subscriptions/listen"]
    assert methods == ["initialize", "server/discover", "server/discover"], methods
    assert len(server.wrong) == 0, server.wrong


@row("up", "host", "notifications/initialized", "dropped")
def nothing_of_a_handshake_reaches_a_modern_server(stack):
    host, server = up(stack)
    host.request("tools/list")
    assert not server.sent("notifications/initialized") and not server.wrong, server.wrong


@row("up", "host", "ping", "answered")
def ping_is_answered_by_the_bridge(stack):
    host, server = up(stack)
    assert host.request("ping") == {}
    assert not server.sent("ping")


def passes_with_meta(method, params, result):
    def test(stack):
        host, server = up(stack)
        server.methods[method] = lambda s, p: dict(result)
        answer = host.request(method, {**params, "_meta": {"progressToken": 7, "mine": [1.50]}})
        sent = server.sent(method)[0]["params"]
        meta = sent.pop("_meta")
        assert sent == params, sent
        assert meta == {"progressToken": 7, "mine": [1.50], META + "protocolVersion": MODERN, META + "clientInfo": INFO,
                        META + "clientCapabilities": {}}, meta
        assert answer == {"resultType": "complete", **result}, answer
        assert server.headers_of(method)["Mcp-Method"] == method
    test.__name__ = f"a_legacy_{method.replace('/', '_')}_goes_with_meta"
    return row("up", "host", method, "translated")(test)


for METHOD, PARAMS, RESULT in (
        ("tools/list", {}, {"tools": []}), ("tools/call", {"name": "t", "arguments": {"a": 1}}, TEXT),
        ("prompts/list", {"cursor": "c"}, {"prompts": []}), ("prompts/get", {"name": "p"}, {"messages": []}),
        ("resources/list", {}, {"resources": []}), ("resources/templates/list", {}, {"resourceTemplates": []}),
        ("resources/read", {"uri": "file:///x"}, {"contents": []}),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": "b"}},
         {"completion": {"values": []}})):
    passes_with_meta(METHOD, PARAMS, RESULT)


@claim
def a_resource_that_is_not_there_is_so_in_the_words_of_the_host(stack):
    host, _ = up(stack, resources__read=lambda s, p: fail(RpcError(-32602, "no such resource", 200, {"uri": "x"})))
    assert refused(host, "resources/read", {"uri": "x"}) == {"code": -32002, "message": "no such resource", "data": {"uri": "x"}}


@claim
def an_error_of_the_server_is_passed_on(stack):
    host, _ = up(stack, tools__call=lambda s, p: fail(RpcError(-32602, "no such tool", 400)))
    assert refused(host, "tools/call", {"name": "x"})["code"] == -32602
    assert refused(host, "prompts/list") == {"code": -32601, "message": "no such method"}


@row("up", "host", "logging/setLevel", "answered")
@row("up", "server", "notifications/message", "passed")
def the_level_of_the_log_goes_with_each_request(stack):
    host, server = up(stack, tools__call=log_and_go)
    assert host.request("logging/setLevel", {"level": "warning"}) == {}
    assert refused(host, "logging/setLevel", {"level": "loud"})["code"] == -32602
    host.call("t")
    assert host.note("notifications/message") == {"level": "warning", "data": "x"}
    assert not server.sent("logging/setLevel")


def log_and_go(stream, params):
    level = params["_meta"].get(META + "logLevel")
    if level:
        stream.note("notifications/message", {"level": level, "data": "x"})
    return TEXT


@claim
def a_server_without_a_log_has_no_level_to_set(stack):
    host, server = up(stack, start=False)
    del server.capabilities["logging"]
    host.open()
    assert refused(host, "logging/setLevel", {"level": "info"})["code"] == -32601


@row("up", "server", "notifications/progress", "passed")
def progress_is_passed(stack):
    def call(stream, params):
        stream.note("notifications/progress", {"progressToken": params["_meta"]["progressToken"], "progress": 1})
        return TEXT
    host, _ = up(stack, tools__call=call)
    host.call("t", _meta={"progressToken": "p"})
    assert host.note("notifications/progress") == {"progressToken": "p", "progress": 1}


@row("up", "host", "notifications/cancelled", "translated")
def a_cancel_closes_the_stream(stack):
    begun = threading.Event()

    def call(stream, params):
        stream.begin()
        begun.set()
        if not stream.gone(PATIENCE):
            return TEXT
        raise BrokenPipeError
    host, server = up(stack, tools__call=call)
    number, box = host.begin("tools/call", {"name": "t"})
    assert begun.wait(PATIENCE)
    host.say("notifications/cancelled", {"requestId": number})
    assert server.closed.get(timeout=PATIENCE) == "tools/call"
    assert host.request("ping") == {} and box.empty()
    assert not server.sent("notifications/cancelled") and not server.wrong


def a_notification_that_the_server_does_not_have(method, params=None):
    def test(stack):
        host, server = up(stack)
        host.say(method, params)
        host.request("tools/list")
        assert not server.sent(method) and not server.wrong, server.wrong
    test.__name__ = f"the_hosts_{method.replace('/', '_')}_stays_here"
    return row("up", "host", method, "dropped")(test)


a_notification_that_the_server_does_not_have("notifications/roots/list_changed")
a_notification_that_the_server_does_not_have("notifications/progress", {"progressToken": 1, "progress": 2})
a_notification_that_the_server_does_not_have("notifications/tasks/status", {"taskId": "x"})


def tasks_are_refused(method):
    def test(stack):
        host, server = up(stack)
        assert refused(host, method, {"taskId": "x"})["code"] == -32601
        assert not server.sent(method)
    test.__name__ = f"a_legacy_{method.replace('/', '_')}_is_refused"
    return row("up", "host", method, "refused -32601")(test)


for METHOD in ("tasks/get", "tasks/result", "tasks/cancel", "tasks/list"):
    tasks_are_refused(METHOD)


# --- rounds ---

def wants(**requests):
    return {"resultType": "input_required", "requestState": "b\u00e4\"1", "inputRequests": requests}


def asks_once(requests, answers):
    """A tool that asks, and puts the answers into @answers."""
    def call(stream, params):
        if "inputResponses" not in params:
            return wants(**requests)
        answers.append(params)
        return TEXT
    return call


def round_of(method, params, capabilities, answer):
    def test(stack):
        answers = []
        host, server = up(stack, capabilities, tools__call=asks_once({"k": {"method": method, "params": params}}, answers))
        heard = []
        host.answers[method] = lambda p: heard.append(p) or answer
        assert host.call("t", {"a": 1})["content"] == TEXT["content"]
        assert heard == [params], heard
        assert answers[0]["inputResponses"] == {"k": answer}, answers
        assert answers[0]["requestState"] == "b\u00e4\"1" and answers[0]["arguments"] == {"a": 1} and answers[0]["name"] == "t"
        ids = [m["id"] for m in server.sent("tools/call")]
        assert len(set(ids)) == 2, ids
        assert not server.wrong
    test.__name__ = f"a_modern_servers_{method.replace('/', '_')}_is_a_request_to_the_host"
    return row("up", "server", method, "translated")(test)


round_of("elicitation/create", {"message": "Who?", "requestedSchema": {"type": "object", "properties": {}}}, {"elicitation": {}},
         {"action": "accept", "content": {"name": "x"}})
round_of("sampling/createMessage", {"messages": [], "maxTokens": 3}, {"sampling": {}},
         {"role": "assistant", "content": {"type": "text", "text": "y"}, "model": "m"})
round_of("roots/list", {}, {"roots": {}}, {"roots": [{"uri": "file:///r"}]})


@claim
def several_inputs_are_asked_for_at_once_and_an_address_gets_an_id(stack):
    answers = []
    url = {"mode": "url", "message": "Go", "url": "https://example.com/"}
    requests = {"a": {"method": "elicitation/create", "params": url}, "b": {"method": "roots/list"}}
    host, _ = up(stack, {"elicitation": {"url": {}}, "roots": {}}, prompts__get=asks_once(requests, answers))
    heard = []
    host.answers["elicitation/create"] = lambda p: heard.append(p) or {"action": "accept"}
    host.answers["roots/list"] = lambda p: {"roots": []}
    host.request("prompts/get", {"name": "p"})
    assert answers[0]["inputResponses"] == {"a": {"action": "accept"}, "b": {"roots": []}}
    assert heard[0].pop("elicitationId").startswith("mcp-connect/input/") and heard == [url]


@claim
def a_state_alone_is_sent_back_at_once(stack):
    def read(stream, params):
        if "requestState" in params:
            assert "inputResponses" not in params and params["requestState"] == "s"
            return {"contents": []}
        return {"resultType": "input_required", "requestState": "s"}
    host, _ = up(stack, resources__read=read)
    assert host.request("resources/read", {"uri": "x"})["contents"] == []


@claim
def what_the_host_refuses_to_answer_ends_the_request(stack):
    host, _ = up(stack, {"sampling": {}}, tools__call=asks_once({"k": {"method": "sampling/createMessage", "params": {}}}, []))
    assert refused(host, "tools/call", {"name": "t"}) == {"code": -32601, "message": "Method not found"}


@claim
def a_person_who_cannot_be_asked_has_cancelled(stack):
    answers = []
    host, _ = up(stack, tools__call=asks_once({"k": {"method": "elicitation/create", "params": {}}}, answers))
    del host.answers["elicitation/create"]
    host.call("t")
    assert answers[0]["inputResponses"] == {"k": {"action": "cancel"}}


@claim
def a_server_that_asks_for_ever_is_stopped_after_ten_rounds(stack):
    host, server = up(stack, {"roots": {}}, tools__call=lambda s, p: wants(k={"method": "roots/list"}))
    host.answers["roots/list"] = lambda p: {"roots": []}
    error = refused(host, "tools/call", {"name": "t"})
    assert error["code"] == -32000 and "too many times" in error["message"], error
    assert len(server.sent("tools/call")) == 11


@claim
def what_cannot_be_understood_ends_the_request(stack):
    for bad in ({"resultType": "input_required"}, wants(k={"method": "tools/call"}), wants(k=7),
                {"resultType": "input_required", "requestState": 7}, {"resultType": "input_required", "inputRequests": []}):
        host, _ = up(stack, tools__call=lambda s, p, bad=bad: bad)
        error = refused(host, "tools/call", {"name": "t"})
        assert error["code"] == -32000 and "cannot be understood" in error["message"], error


@claim
def a_request_that_is_cancelled_between_two_rounds_is_forgotten(stack):
    host, server = up(stack, {"roots": {}}, tools__call=lambda s, p: wants(k={"method": "roots/list"}))
    host.silent.add("roots/list")
    number, box = host.begin("tools/call", {"name": "t"})
    asked = host.asked.get(timeout=PATIENCE)["id"]
    host.say("notifications/cancelled", {"requestId": number})
    assert host.note("notifications/cancelled") == {"requestId": asked}
    host.send({"jsonrpc": "2.0", "id": asked, "result": {"roots": []}})  # too late
    assert host.request("ping") == {}
    assert box.empty() and len(server.sent("tools/call")) == 1


@claim
def requests_that_wait_for_a_host_that_does_not_answer_have_a_bound(stack):
    host, _ = up(stack, {"roots": {}}, tools__call=lambda s, p: wants(k={"method": "roots/list"}))
    host.silent.add("roots/list")
    boxes = [host.begin("tools/call", {"name": "t"})[1] for _ in range(129)]
    answers = []
    until("one is refused", lambda: [answers.append(box.get()) for box in boxes if not box.empty()] or answers)
    assert answers[0]["error"]["code"] == -32000 and "Too many" in answers[0]["error"]["message"], answers


@claim
def a_tools_arguments_go_into_the_head_for_a_legacy_host_too(stack):
    schema = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
    bad = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": ""}}}
    host, server = up(stack, tools__call=lambda s, p: TEXT, tools__list=lambda s, p: {
        "tools": [{"name": "t", "inputSchema": schema}, {"name": "u", "inputSchema": bad}]})
    assert [tool["name"] for tool in host.each("tools")] == ["t"]
    host.call("t", {"region": "eu"})
    headers = server.headers_of("tools/call")
    assert headers["Mcp-Name"] == "t" and headers["Mcp-Param-Region"] == "eu" and "Mcp-Session-Id" not in headers


# --- subscriptions ---

@row("up", "server", "notifications/tools/list_changed", "translated")
def a_host_that_was_promised_changes_of_the_tools_hears_of_them(stack):
    host, server = up(stack)
    until("the stream is open", lambda: server.streams)
    assert server.streams[0][0] == {"toolsListChanged": True}
    server.tell("toolsListChanged", "notifications/tools/list_changed")
    host.note("notifications/tools/list_changed")


def list_changes(group, what, method):
    def test(stack):
        host, server = up(stack, start=False)
        server.capabilities = {group: {"listChanged": True}}
        host.open()
        until("the stream is open", lambda: server.streams)
        assert server.streams[0][0] == {what: True}
        server.tell(what, method)
        host.note(method)
    test.__name__ = f"a_legacy_host_hears_of_changes_of_{group}"
    return row("up", "server", method, "translated")(test)


list_changes("prompts", "promptsListChanged", "notifications/prompts/list_changed")
list_changes("resources", "resourcesListChanged", "notifications/resources/list_changed")


@claim
def where_nothing_changes_no_stream_is_opened(stack):
    host, server = up(stack, start=False)
    server.capabilities = {"tools": {"listChanged": False}, "logging": {}}
    host.open()
    host.request("tools/list")
    assert not server.sent("subscriptions/listen")


def subscribed(stack):
    host, server = up(stack, start=False)
    server.capabilities = {"resources": {"subscribe": True}}
    host.open()
    assert host.request("resources/subscribe", {"uri": "file:///x"}) == {}
    return host, server


@row("up", "host", "resources/subscribe", "translated")
@row("up", "server", "notifications/resources/updated", "translated")
@row("up", "server", "notifications/subscriptions/acknowledged", "dropped")
def a_subscription_is_a_stream_of_its_own(stack):
    host, server = subscribed(stack)
    assert server.streams[0][0] == {"resourceSubscriptions": ["file:///x"]}
    assert host.request("resources/subscribe", {"uri": "file:///x"}) == {} and len(server.streams) == 1
    server.tell("resourceSubscriptions", "notifications/resources/updated", {"uri": "file:///x"})
    assert host.note("notifications/resources/updated")["uri"] == "file:///x"
    assert not server.sent("resources/subscribe") and not server.wrong


@row("up", "host", "resources/unsubscribe", "translated")
def the_end_of_a_subscription_is_the_end_of_its_stream(stack):
    host, server = subscribed(stack)
    assert host.request("resources/unsubscribe", {"uri": "file:///x"}) == {}
    assert server.closed.get(timeout=PATIENCE) == "subscriptions/listen"
    assert not server.sent("resources/unsubscribe")


@claim
def a_subscription_that_the_server_does_not_grant_is_refused(stack):
    host, server = up(stack)

    def listen(stream, params):
        number = server.log[-1][2]["id"]
        stream.note("notifications/subscriptions/acknowledged", {"_meta": {META + "subscriptionId": number}, "notifications": {}})
        if not stream.gone(PATIENCE):
            return {}
        raise BrokenPipeError
    server.methods["subscriptions/listen"] = listen
    assert refused(host, "resources/subscribe", {"uri": "x"})["code"] == -32602
    assert server.closed.get(timeout=PATIENCE) == "subscriptions/listen"
    server.methods["subscriptions/listen"] = lambda s, p: fail(RpcError(-32603, "no"))
    assert refused(host, "resources/subscribe", {"uri": "y"}) == {"code": -32603, "message": "no"}
    del server.methods["subscriptions/listen"]
    assert refused(host, "resources/subscribe", {"uri": "y"})["code"] == -32601


@row("up", "server", "notifications/cancelled", "dropped")
def a_subscription_that_the_server_ends_is_opened_again(stack):
    host, server = subscribed(stack)
    server.tell("resourceSubscriptions", "notifications/cancelled", {"requestId": server.streams[0][1]})
    server.ends.set()
    until("it is asked for again", lambda: len(server.sent("subscriptions/listen")) > 1)
    server.ends.clear()
    until("it is open again", lambda: len(server.streams) > 1)
    assert host.notes.empty()


@claim
def a_limit_of_time_for_requests_is_none_for_subscriptions(stack):
    for modern in (False, True):
        server = ModernServer(stack)
        server.capabilities = {"resources": {"subscribe": True}}
        server.methods["tools/call"] = lambda s, p: s.begin() or not s.gone(PATIENCE) and TEXT or fail(BrokenPipeError())
        host = bridge(stack, server, modern, None, "--request-timeout=1")
        host.open()
        if modern:
            _, box = host.begin("subscriptions/listen", {"notifications": {"resourceSubscriptions": ["x"]}})
            host.note("notifications/subscriptions/acknowledged")
        else:
            box = queue.SimpleQueue()
            host.request("resources/subscribe", {"uri": "x"})
        assert "in time" in refused(host, "tools/call", {"name": "t"})["message"]
        assert server.closed.get(timeout=PATIENCE) == "tools/call"
        server.tell("resourceSubscriptions", "notifications/resources/updated", {"uri": "x"})
        assert host.note("notifications/resources/updated")["uri"] == "x"
        assert box.empty() and len(server.streams) == 1


# --- a modern host, a legacy server ---

def down(stack, capabilities=None, start=True, **methods):
    """A modern host at a legacy server."""
    server = LegacyServer(stack)
    server.methods.update({name.replace("__", "/"): f for name, f in methods.items()})
    host = bridge(stack, server, True, capabilities)
    if start:
        host.open()
    return host, server


@row("down", "host", "server/discover", "translated")
def discover_is_answered_with_what_the_server_says_at_initialize(stack):
    host, server = down(stack, {"roots": {}, "extensions": {"x/y": {}}}, start=False)
    server.capabilities["tasks"] = {"list": {}}
    result = host.request("server/discover")
    del server.capabilities["tasks"]
    assert result == {"resultType": "complete", "supportedVersions": [MODERN], "capabilities": server.capabilities, "ttlMs": 0,
                      "cacheScope": "private", "instructions": "Be kind.",
                      "_meta": {META + "serverInfo": {"name": "legacy", "version": "25"}}}, result
    assert [m["method"] for _, _, m in server.log if m][:3] == ["server/discover", "initialize", "notifications/initialized"]
    assert server.sent("initialize")[0]["params"] == {"protocolVersion": LEGACY, "capabilities": {"roots": {}}, "clientInfo": INFO}
    assert len(server.wrong) == 1, server.wrong


@claim
def every_refusal_that_a_legacy_server_may_give_to_a_modern_request_is_understood(stack):
    for method, refusal in (("tools/list", (400, -32000)), ("tools/list", (400, -32600)), ("tools/list", (404, -32601)),
                            ("tools/list", (200, -32600)), ("tools/list", (200, -32602)), ("server/discover", (200, -32601)),
                            ("server/discover", (200, -32603)), ("tools/list", (400, None)), ("tools/list", (405, None))):
        with contextlib.ExitStack() as inner:
            server = LegacyServer(inner)
            server.refuses = refusal
            host = bridge(inner, server, True)
            assert host.request(method)["resultType"] == "complete", (method, refusal)
            assert host.request("tools/list")["tools"][0]["name"] == "t"
            assert len(server.sent("initialize")) == 1 and len(server.wrong) == 1, (method, refusal)


@claim
def many_first_requests_at_once_begin_one_session(stack):
    host, server = down(stack, start=False)
    boxes = [host.begin("tools/list")[1] for _ in range(8)]
    for box in boxes:
        assert box.get(timeout=PATIENCE)["result"]["tools"]
    assert len(server.sent("initialize")) == 1


@claim
def a_modern_server_that_refuses_is_heard_first(stack):
    server = ModernServer(stack)
    server.methods["tools/call"] = lambda s, p: fail(RpcError(-32602, "no such tool", 400))
    host = bridge(stack, server, True)
    assert refused(host, "tools/call", {"name": "x"}) == {"code": -32602, "message": "no such tool"}
    assert refused(host, "nothing/such") == {"code": -32601, "message": "no such method"}
    assert len(server.sent("initialize")) == 1, "it was asked once what it is"


@claim
def a_modern_server_that_has_shown_itself_is_not_asked(stack):
    server = ModernServer(stack)
    server.methods["tools/call"] = lambda s, p: fail(RpcError(-32602, "no such tool", 400))
    host = bridge(stack, server, True)
    host.open()
    refused(host, "tools/call", {"name": "x"})
    assert not server.sent("initialize") and not server.wrong


@claim
def a_cancel_that_comes_too_late_is_nothing_for_a_modern_server(stack):
    server = ModernServer(stack)
    server.methods["tools/call"] = lambda s, p: TEXT
    host = bridge(stack, server, True)
    host.open()
    host.call("t")
    host.say("notifications/cancelled", {"requestId": 2})
    host.request("tools/list")
    assert not server.sent("notifications/cancelled"), server.log


@claim
def a_version_that_the_bridge_cannot_translate_is_refused_as_a_server_would(stack):
    host, _ = down(stack)
    host.version = "2027-01-01"
    error = refused(host, "tools/list")
    assert error["code"] == -32022 and error["data"] == {"supported": [MODERN], "requested": "2027-01-01"}, error


def passes_without_meta(method, params, result, more):
    def test(stack):
        host, server = down(stack)
        server.methods[method] = lambda s, p: dict(result)
        answer = host.request(method, params)
        sent = server.sent(method)[-1]["params"]
        assert sent == params, sent
        assert answer == {"resultType": "complete", **more, **result}, answer
        headers = server.headers_of("notifications/initialized")
        assert headers["Mcp-Session-Id"] == "s-1" and headers["MCP-Protocol-Version"] == LEGACY
    test.__name__ = f"a_modern_{method.replace('/', '_')}_goes_without_meta"
    return row("down", "host", method, "translated")(test)


CACHED = {"ttlMs": 0, "cacheScope": "private"}
for METHOD, PARAMS, RESULT, MORE in (
        ("tools/list", {}, {"tools": []}, CACHED), ("tools/call", {"name": "t", "arguments": {"a": 1}}, TEXT, {}),
        ("prompts/list", {"cursor": "c"}, {"prompts": []}, CACHED), ("prompts/get", {"name": "p"}, {"messages": []}, {}),
        ("resources/list", {}, {"resources": []}, CACHED),
        ("resources/templates/list", {}, {"resourceTemplates": []}, CACHED),
        ("resources/read", {"uri": "file:///x"}, {"contents": []}, CACHED),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": "b"}},
         {"completion": {"values": []}}, {})):
    passes_without_meta(METHOD, PARAMS, RESULT, MORE)


@claim
def a_resource_that_is_not_there_is_so_in_modern_words(stack):
    host, _ = down(stack, resources__read=lambda s, p: fail(RpcError(-32002, "no such resource")))
    assert refused(host, "resources/read", {"uri": "x"}) == {"code": -32602, "message": "no such resource"}


@claim
def a_session_that_is_lost_is_begun_anew_with_its_subscriptions(stack):
    host, server = down(stack)
    host.begin("subscriptions/listen", {"notifications": {"resourceSubscriptions": ["file:///x"]}})
    host.note("notifications/subscriptions/acknowledged")
    until("it is subscribed", lambda: len(server.sent("resources/subscribe")) == 1)
    server.session = "s-2"
    assert host.request("tools/list")["tools"]
    until("it is subscribed again", lambda: len(server.sent("resources/subscribe")) == 2)
    assert len(server.sent("initialize")) == 2


def modern_has_not(method):
    def test(stack):
        host, server = down(stack)
        before = len(server.sent(method))
        assert refused(host, method, {"taskId": "x"})["code"] == -32601
        assert len(server.sent(method)) == before
    test.__name__ = f"a_modern_{method.replace('/', '_')}_is_refused"
    return claim(test)


for METHOD in ("tasks/get", "ping", "logging/setLevel", "resources/subscribe"):
    modern_has_not(METHOD)


@row("down", "host", "notifications/cancelled", "translated")
def a_modern_cancel_is_posted(stack):
    begun, over = threading.Event(), threading.Event()

    def call(stream, params):
        begun.set()
        over.wait(PATIENCE)
        return TEXT
    host, server = down(stack, tools__call=call)
    number, box = host.begin("tools/call", {"name": "t"})
    assert begun.wait(PATIENCE)
    host.say("notifications/cancelled", {"requestId": number})
    until("the server hears of it", lambda: server.notes)
    assert server.notes[0]["params"]["requestId"] == number
    over.set()
    assert host.request("tools/list")["tools"] and box.empty()


def a_servers_request(method, params, capabilities, answer):
    def test(stack):
        heard = []

        def call(stream, _):
            heard.append(server.ask(stream, "q", method, params))
            return TEXT
        host, server = down(stack, capabilities, tools__call=call)
        first = host.request("tools/call", {"name": "t"})
        assert first["resultType"] == "input_required", first
        (key, request), = first["inputRequests"].items()
        assert request == {"method": method, **({"params": params} if params is not None else {})}, request
        result = host.request("tools/call", {"name": "t", "requestState": first["requestState"], "inputResponses": {key: answer}})
        assert result == {**TEXT, "resultType": "complete"}, result
        assert heard == [{"jsonrpc": "2.0", "id": "q", "result": answer}], heard
        assert len(server.sent("tools/call")) == 1
        error = refused(host, "tools/call", {"name": "t", "requestState": first["requestState"], "inputResponses": {key: answer}})
        assert error["code"] == -32602, error
    test.__name__ = f"a_legacy_servers_{method.replace('/', '_')}_is_an_answer_that_wants_input"
    return row("down", "server", method, "translated")(test)


a_servers_request("elicitation/create", {"message": "Who?", "requestedSchema": {"type": "object"}}, {"elicitation": {}},
                  {"action": "accept", "content": {"name": "x"}})
a_servers_request("sampling/createMessage", {"messages": [], "maxTokens": 3}, {"sampling": {}}, {"role": "assistant", "model": "m"})
a_servers_request("roots/list", None, {"roots": {}}, {"roots": []})


@claim
def a_question_on_the_servers_own_stream_is_about_the_request_under_way(stack):
    def call(_, __):
        return {"content": [{"type": "text", "text": server.ask(None, 5, "roots/list")["result"]["roots"][0]["uri"]}]}
    host, server = down(stack, {"roots": {}}, tools__call=call)
    assert server.listening.wait(PATIENCE)
    first = host.request("tools/call", {"name": "t"})
    (key, _), = first["inputRequests"].items()
    result = host.request("tools/call", {"name": "t", "requestState": first["requestState"],
                                         "inputResponses": {key: {"roots": [{"uri": "file:///r"}]}}})
    assert result["content"][0]["text"] == "file:///r"


@claim
def a_question_about_nothing_is_refused(stack):
    host, server = down(stack, {"roots": {}})
    assert server.listening.wait(PATIENCE)
    assert server.ask(None, 5, "roots/list")["error"]["code"] == -32600
    assert host.request("tools/list")["tools"]


@claim
def questions_that_were_left_out_are_asked_again_and_a_late_one_with_them(stack):
    got = {}

    def call(stream, _):
        threads = [threading.Thread(target=lambda n=n: got.update({n: server.ask(stream, n, "roots/list")})) for n in ("a", "b")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        return TEXT
    host, server = down(stack, {"roots": {}}, tools__call=call)
    result, answers = host.request("tools/call", {"name": "t"}), 0
    while result["resultType"] == "input_required":
        keys = sorted(result["inputRequests"])
        answers += 1
        responses = {keys[0]: {"roots": []}} if answers > 1 else {}
        result = host.request("tools/call", {"name": "t", "requestState": result["requestState"], "inputResponses": responses})
        assert answers < 5
    assert result["content"] == TEXT["content"] and set(got) == {"a", "b"}, got


@claim
def an_answer_that_comes_before_the_host_is_back_is_kept(stack):
    gone = threading.Event()

    def call(stream, _):
        stream.send({"jsonrpc": "2.0", "id": "q", "method": "roots/list"})
        stream.note("notifications/cancelled", {"requestId": "q"})
        gone.set()
        return TEXT
    host, server = down(stack, {"roots": {}}, tools__call=call)
    first = host.request("tools/call", {"name": "t"})
    assert first["resultType"] == "input_required" and gone.wait(PATIENCE)
    again = {"name": "t", "requestState": first["requestState"], "inputResponses": {}}
    assert host.request("tools/call", again)["content"] == TEXT["content"]
    assert not server.answers, "the question was withdrawn"


@claim
def a_server_that_breaks_off_while_the_host_is_asked_is_an_error_then(stack):
    def call(stream, _):
        stream.send({"jsonrpc": "2.0", "id": "q", "method": "roots/list"})
        raise BrokenPipeError
    host, server = down(stack, {"roots": {}}, tools__call=call)
    state = {}

    def come_back():
        """The same question again, until the bridge has seen the end."""
        try:
            state["requestState"] = host.request("tools/call", {"name": "t", **state})["requestState"]
        except hosts.Refused as e:
            return e.error
    assert until("the request is over", come_back)["code"] == -32000
    assert len(server.sent("tools/call")) == 1


@claim
def a_request_that_the_host_does_not_come_back_to_is_given_up_at_last(stack):
    refusals = queue.SimpleQueue()

    def call(stream, params):
        refusals.put(server.ask(stream, params["arguments"]["n"], "roots/list"))
        return TEXT
    host, server = down(stack, {"roots": {}}, tools__call=call)
    for n in range(33):
        assert host.request("tools/call", {"name": "t", "arguments": {"n": n}})["resultType"] == "input_required"
    given_up = refusals.get(timeout=PATIENCE)
    assert given_up["id"] == 0 and given_up["error"]["code"] == -32603, given_up


@claim
def a_request_that_was_made_again_is_cancelled_by_the_id_that_the_server_knows(stack):
    answered, over = threading.Event(), threading.Event()

    def call(stream, _):
        server.ask(stream, "q", "roots/list")
        answered.set()
        over.wait(PATIENCE)
        return TEXT
    host, server = down(stack, {"roots": {}}, tools__call=call)
    first = host.request("tools/call", {"name": "t"})
    (key, _), = first["inputRequests"].items()
    number, box = host.begin("tools/call", {"name": "t", "requestState": first["requestState"], "inputResponses": {key: {}}})
    assert answered.wait(PATIENCE)
    host.say("notifications/cancelled", {"requestId": number})
    until("the server hears of it", lambda: server.notes)
    assert server.notes[0]["params"]["requestId"] == server.sent("tools/call")[0]["id"] != number
    over.set()
    assert host.request("tools/list")["tools"] and box.empty()


@claim
def a_request_that_takes_too_long_while_the_host_is_asked_is_cancelled(stack):
    over = threading.Event()

    def call(stream, _):
        stream.send({"jsonrpc": "2.0", "id": "q", "method": "roots/list"})
        over.wait(PATIENCE)
        return TEXT
    server = LegacyServer(stack)
    server.methods["tools/call"] = call
    host = bridge(stack, server, True, {"roots": {}}, "--request-timeout=1")
    host.open()
    first = host.request("tools/call", {"name": "t"})
    until("the server hears of it", lambda: server.notes)
    assert server.notes[0]["params"]["requestId"] == server.sent("tools/call")[0]["id"]
    over.set()
    error = refused(host, "tools/call", {"name": "t", "requestState": first["requestState"]})
    assert "in time" in error["message"], error


ADDRESS = {"mode": "url", "message": "Go", "url": "https://example.com/", "elicitationId": "e"}


@claim
def an_address_to_be_seen_first_is_asked_for_as_input(stack):
    been = []

    def call(_, __):
        if been:
            return TEXT
        raise RpcError(-32042, "see", 200, {"elicitations": [ADDRESS]})
    host, server = down(stack, {"elicitation": {"url": {}}}, tools__call=call)
    first = host.request("tools/call", {"name": "t"})
    shown = {k: v for k, v in ADDRESS.items() if k != "elicitationId"}
    assert first["inputRequests"] == {"0": {"method": "elicitation/create", "params": shown}}, first
    been.append(True)
    again = {"name": "t", "requestState": first["requestState"], "inputResponses": {"0": {"action": "accept"}}}
    assert host.request("tools/call", again)["content"] == TEXT["content"]
    assert server.sent("tools/call")[-1]["params"] == {"name": "t"}


@claim
def an_address_that_the_host_cannot_show_is_an_error(stack):
    host, _ = down(stack, tools__call=lambda s, p: fail(RpcError(-32042, "see", 200, {"elicitations": [ADDRESS]})))
    assert refused(host, "tools/call", {"name": "t"}) == {"code": -32000, "message": "see", "data": {"elicitations": [ADDRESS]}}


@row("down", "server", "ping", "answered")
def a_servers_ping_is_answered_by_the_bridge(stack):
    _, server = down(stack)
    assert server.listening.wait(PATIENCE)
    assert server.ask(None, "p", "ping") == {"jsonrpc": "2.0", "id": "p", "result": {}}


def a_servers_request_that_is_refused(method):
    def test(stack):
        _, server = down(stack)
        assert server.listening.wait(PATIENCE)
        assert server.ask(None, "p", method)["error"]["code"] == -32601
    test.__name__ = f"a_legacy_servers_{method.replace('/', '_')}_is_refused"
    return row("down", "server", method, "refused -32601")(test)


for METHOD in ("tasks/get", "tasks/result", "tasks/cancel", "tasks/list"):
    a_servers_request_that_is_refused(METHOD)


@row("down", "server", "notifications/progress", "passed")
def a_legacy_servers_progress_is_passed(stack):
    def call(stream, params):
        stream.note("notifications/progress", {"progressToken": 3, "progress": 1})
        return TEXT
    host, _ = down(stack, tools__call=call)
    host.call("t")
    assert host.note("notifications/progress") == {"progressToken": 3, "progress": 1}


def with_level(level):
    return {"name": "t", "_meta": {META + "logLevel": level}}


@row("down", "server", "notifications/message", "passed")
def the_log_goes_to_who_asked_for_it(stack):
    def call(stream, params):
        for level in ("debug", "info", "error"):
            stream.note("notifications/message", {"level": level, "data": level})
        return TEXT
    host, server = down(stack, tools__call=call)
    host.with_meta = lambda params, old=host.with_meta: {**params, "_meta": {**params.get("_meta", {}), **old({})["_meta"]}}
    host.request("tools/call", {"name": "t"})
    assert not server.sent("logging/setLevel") and host.notes.empty()
    host.request("tools/call", with_level("info"))
    assert [m["params"] for m in server.sent("logging/setLevel")] == [{"level": "info"}]
    assert [host.note("notifications/message")["level"] for _ in range(2)] == ["info", "error"]
    host.request("tools/call", with_level("error"))
    assert len(server.sent("logging/setLevel")) == 1, "what another request wants is not taken from it"
    assert host.note("notifications/message")["level"] == "error"
    host.request("tools/call", with_level("debug"))
    assert len(server.sent("logging/setLevel")) == 2
    methods = [m["method"] for _, _, m in server.log if m and m.get("method") in ("logging/setLevel", "tools/call")]
    assert methods[-2:] == ["logging/setLevel", "tools/call"], methods


# --- subscriptions of a modern host ---

@row("down", "host", "subscriptions/listen", "answered")
@row("down", "server", "notifications/tools/list_changed", "translated")
@row("down", "server", "notifications/resources/updated", "translated")
def a_modern_host_listens_and_hears_what_it_asked_for(stack):
    host, server = down(stack)
    assert server.listening.wait(PATIENCE)
    number, _ = host.begin("subscriptions/listen", {"notifications": {
        "toolsListChanged": True, "promptsListChanged": True, "resourceSubscriptions": ["file:///x"]}})
    other, _ = host.begin("subscriptions/listen", {"notifications": {"resourceSubscriptions": ["file:///x"]}})
    granted = {"toolsListChanged": True, "resourceSubscriptions": ["file:///x"]}
    assert host.note("notifications/subscriptions/acknowledged") == {"_meta": {META + "subscriptionId": number},
                                                                     "notifications": granted}
    assert host.note("notifications/subscriptions/acknowledged")["_meta"] == {META + "subscriptionId": other}
    until("it is subscribed", lambda: server.sent("resources/subscribe"))
    assert server.sent("resources/subscribe")[0]["params"] == {"uri": "file:///x"}
    server.tell("notifications/resources/updated", {"uri": "file:///y"})
    server.tell("notifications/tools/list_changed")
    server.tell("notifications/resources/updated", {"uri": "file:///x/part"})
    assert host.note("notifications/tools/list_changed") == {"_meta": {META + "subscriptionId": number}}
    for who in (number, other):
        assert host.note("notifications/resources/updated") == {"uri": "file:///x/part", "_meta": {META + "subscriptionId": who}}
    for who, left in ((number, 0), (other, 1)):
        host.say("notifications/cancelled", {"requestId": who})
        host.request("tools/list")
        until("it is unsubscribed when nobody listens", lambda left=left: len(server.sent("resources/unsubscribe")) == left)
    assert len(server.sent("resources/subscribe")) == 1 and host.notes.empty()


def modern_list_changes(group, what, method):
    def test(stack):
        host, server = down(stack, start=False)
        server.capabilities = {group: {"listChanged": True}}
        host.open()
        assert server.listening.wait(PATIENCE)
        server.tell(method)  # nobody listens so far
        number, _ = host.begin("subscriptions/listen", {"notifications": {what: True}})
        assert host.note("notifications/subscriptions/acknowledged")["notifications"] == {what: True}
        server.tell(method, {"_meta": {"mine": 1}})
        while host.note(method) != {"_meta": {"mine": 1, META + "subscriptionId": number}}:
            pass  # the first may have come late
    test.__name__ = f"a_modern_host_hears_of_changes_of_{group}"
    return row("down", "server", method, "translated")(test)


modern_list_changes("prompts", "promptsListChanged", "notifications/prompts/list_changed")
modern_list_changes("resources", "resourcesListChanged", "notifications/resources/list_changed")


@claim
def a_host_cannot_listen_without_end(stack):
    host, _ = down(stack)
    for _ in range(32):
        host.begin("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
        host.note("notifications/subscriptions/acknowledged")
    assert refused(host, "subscriptions/listen", {"notifications": {}})["code"] == -32000


def what_a_modern_host_need_not_hear(method):
    def test(stack):
        host, server = down(stack)
        assert server.listening.wait(PATIENCE)
        server.tell(method, {"elicitationId": "e", "requestId": "q", "taskId": "t"})
        server.ask(None, "p", "ping")  # behind it
        assert host.notes.empty()
    test.__name__ = f"a_legacy_servers_{method.replace('/', '_')}_stays_here"
    return row("down", "server", method, "dropped")(test)


for METHOD in ("notifications/cancelled", "notifications/elicitation/complete", "notifications/tasks/status"):
    what_a_modern_host_need_not_hear(METHOD)


@claim
def a_host_that_takes_the_session_over_speaks_for_itself(stack):
    host, server = down(stack)
    host.modern, host.version = False, LEGACY
    server.initialized.clear()
    host.open()
    assert "resultType" not in host.request("tools/list")
    assert host.request("ping") == {} and len(server.sent("initialize")) == 2


@claim
def the_end_of_input_ends_the_session_that_the_bridge_began(stack):
    with contextlib.ExitStack() as inner:
        _, server = down(inner)
        inner.pop_all().close()
    assert server.deleted.wait(PATIENCE)


# --- with a login, and with transports of their own ---

def signed_in(stack, *options, modern=True, bridge=()):
    demo = Demo(stack, "--auto-consent", *options)
    broker = Broker(stack)
    broker.add(demo.mcp)
    host = Host([program("mcp-connect"), *bridge, demo.mcp], {**broker.env, **broker.person()}, modern)

    def end():
        host.close()
        assert not host.faults, host.faults
    stack.callback(end)
    return host, demo


def works(host):
    host.open()
    assert [tool["name"] for tool in host.each("tools")] == ["generate_summary", "admin_report"]
    assert host.call("generate_summary", {"text": "One. Two."})["content"]


@claim
def a_modern_host_gets_through_a_login_to_a_strict_legacy_server(stack):
    host, demo = signed_in(stack, "--strict", "--require-session", "--stream")
    works(host)
    assert host.call("admin_report")["content"], "a step-up on the way"
    demo.ask("POST", "/lose-sessions", {})
    assert host.call("generate_summary", {"text": "One. Two."})["content"]


@claim
def a_legacy_host_gets_through_a_login_to_a_strict_modern_server(stack):
    host, demo = signed_in(stack, "--strict", "--protocol=2026-07-28", modern=False)
    works(host)
    assert host.call("admin_report")["content"], "a step-up on the way"
    demo.fault("refuse-early")
    assert host.call("generate_summary", {"text": "One. Two."})["content"]
    assert demo.count("refresh") == 1


@claim
def a_modern_host_reaches_a_server_of_the_oldest_transport(stack):
    host, demo = signed_in(stack, "--http-sse")
    works(host)
    assert not [r for r in demo.requests("mcp") if r["status"] == 200 and r["method"] == "POST"], "all by the old way"


@claim
def where_there_is_no_server_at_all_the_first_answer_counts(stack):
    demo = Demo(stack, "--open")
    for modern in (True, False):
        server = argparse.Namespace(url=demo.mcp.replace("/mcp", "/nothing"))
        host = bridge(stack, server, modern)
        for _ in range(2):
            try:
                host.open()
                raise AssertionError("there was an answer")
            except hosts.Refused as e:
                assert e.error["code"] == -32000, e.error


# --- a call whose head is not what the server wants ---

class Moody(ModernServer):
    """Its tool wants another argument in the head than it did before."""

    def __init__(self, stack, wants):
        super().__init__(stack)
        self.wants = wants
        self.methods.update({"tools/list": self.tools, "tools/call": self.work})

    def tools(self, stream, params):
        if "cursor" not in params:
            return {"tools": [{"name": "other", "inputSchema": {"type": "object"}}], "nextCursor": 'p"2'}
        assert params["cursor"] == 'p"2', params
        schema = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": self.wants}}}
        return {"tools": [{"name": "t", "inputSchema": schema}]}

    def work(self, stream, params):
        if stream.handler.headers["Mcp-Param-" + self.wants] != params["arguments"]["region"]:
            raise RpcError(-32020, "header mismatch", 400)
        return TEXT

    def said(self):
        return [m["method"] for _, _, m in self.log if m and m["method"].startswith("tools/")]


CALL = {"name": "t", "arguments": {"region": "eu"}, "_meta": {"progressToken": "p"}}


@claim
def a_call_of_a_tool_whose_annotations_have_changed_is_made_once_more(stack):
    for modern in (True, False):
        with contextlib.ExitStack() as inner:
            server = Moody(inner, "Region")
            host = bridge(inner, server, modern)
            host.open()
            assert host.request("tools/call", CALL)["content"], "it was never listed"
            assert server.said() == ["tools/call", "tools/list", "tools/list", "tools/call"], server.said()
            server.wants = "Zone"
            assert host.request("tools/call", CALL)["content"]
            assert server.said()[4:] == ["tools/call", "tools/list", "tools/list", "tools/call"], server.said()
            assert host.request("tools/call", CALL)["content"]
            assert server.said()[8:] == ["tools/call"], "it is known now"
            lists = server.sent("tools/list")
            assert all("progressToken" not in m["params"]["_meta"] for m in lists), lists
            calls = server.sent("tools/call")
            assert calls[0] == calls[1], calls


@claim
def many_calls_with_the_wrong_head_at_once_all_get_through(stack):
    server = Moody(stack, "Region")
    together = threading.Barrier(8)
    first = set()

    def work(stream, params):
        if params["arguments"]["n"] not in first:
            first.add(params["arguments"]["n"])
            together.wait(PATIENCE)
        return server.work(stream, params)

    server.methods["tools/call"] = work
    host = bridge(stack, server, True)
    host.open()
    boxes = [host.begin("tools/call", {**CALL, "arguments": {"region": "eu", "n": n}})[1] for n in range(8)]
    assert all(box.get(timeout=PATIENCE)["result"]["content"] for box in boxes)
    assert len(server.sent("tools/call")) == 16


@claim
def a_call_that_is_refused_twice_for_its_head_is_the_hosts_to_know(stack):
    server = Moody(stack, "Region")
    server.methods["tools/call"] = lambda s, p: fail(RpcError(-32020, "never", 400))
    host = bridge(stack, server, True)
    host.open()
    assert refused(host, "tools/call", CALL) == {"code": -32020, "message": "never"}
    assert server.said() == ["tools/call", "tools/list", "tools/list", "tools/call"], server.said()
    server.methods["tools/list"] = lambda s, p: fail(RpcError(-32603, "no list", 500))
    assert refused(host, "tools/call", CALL) == {"code": -32020, "message": "never"}
    assert server.said()[4:] == ["tools/call", "tools/list", "tools/call"], server.said()


# --- the document ---

LEGACY_METHODS = """initialize ping resources/list resources/templates/list resources/read resources/subscribe resources/unsubscribe
prompts/list prompts/get tools/list tools/call tasks/get tasks/result tasks/cancel tasks/list logging/setLevel completion/complete
notifications/cancelled notifications/initialized notifications/progress notifications/roots/list_changed
notifications/tasks/status""".split()
MODERN_ASKS = """elicitation/create sampling/createMessage roots/list notifications/cancelled notifications/progress
notifications/message notifications/resources/updated notifications/resources/list_changed notifications/tools/list_changed
notifications/prompts/list_changed notifications/subscriptions/acknowledged""".split()
MODERN_METHODS = """server/discover resources/list resources/templates/list resources/read subscriptions/listen prompts/list prompts/get
tools/list tools/call completion/complete notifications/cancelled""".split()
LEGACY_ASKS = """ping sampling/createMessage roots/list elicitation/create tasks/get tasks/result tasks/cancel tasks/list
notifications/cancelled notifications/progress notifications/message notifications/resources/updated
notifications/resources/list_changed notifications/tools/list_changed notifications/prompts/list_changed
notifications/elicitation/complete notifications/tasks/status""".split()
EXPECTED = {("up", "host"): LEGACY_METHODS, ("up", "server"): MODERN_ASKS,
            ("down", "host"): MODERN_METHODS, ("down", "server"): LEGACY_ASKS}
DIRECTIONS = {"## A legacy host, a modern server": "up", "## A modern host, a legacy server": "down"}


def document():
    """(direction, who, method) -> what becomes of it"""
    rows, direction = {}, None
    for line in DOCUMENT.read_text().splitlines():
        direction = DIRECTIONS.get(line, None if line.startswith("## ") else direction)
        match = re.fullmatch(r"\| (host|server) \| `([^`]+)` \| ([a-z]+(?: -\d+)?) \| .* \|", line)
        if direction and match:
            who, method, becomes = match.groups()
            assert (direction, who, method) not in rows, line
            rows[direction, who, method] = becomes
        else:
            assert not (direction and re.match(r"\| (host|server) ", line)), line
    return rows


@claim
def each_row_of_the_document_has_a_test_and_each_test_its_row(stack):
    rows = document()
    assert rows == {key: becomes for key, (becomes, _) in ROWS.items()}, set(rows.items()) ^ {(k, b) for k, (b, _) in ROWS.items()}


@claim
def each_method_of_both_versions_has_a_row(stack):
    rows = document()
    for (direction, who), methods in EXPECTED.items():
        there = {method for d, w, method in rows if (d, w) == (direction, who)}
        assert there == set(methods), (direction, who, there ^ set(methods))


if __name__ == "__main__":
    with contextlib.ExitStack() as everything:
        BROKER = Broker(everything)
        status = Tap().run(TESTS)
    sys.exit(status)
