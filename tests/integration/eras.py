#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mcp-connect between a host and a server of two eras. doc/ERAS.md has what becomes of what; each of its rows has a test here."""

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
from harness import PATIENCE, Broker, Tap, program, until  # noqa: E402
import host as hosts  # noqa: E402

DOCUMENT = pathlib.Path(os.environ.get("top_srcdir", HERE / "../..")) / "doc/ERAS.md"
INFO = {"name": "mcp-broker-test-host", "version": "1"}
TEXT = {"content": [{"type": "text", "text": "done"}]}
ROWS = {}
TESTS = []


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
        super().__init__(*args, **kwargs)

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


def bridge(stack, server, modern, capabilities=None):
    host = Host([program("mcp-connect"), "--no-browser", server.url], BROKER.env, modern, capabilities)

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
    error = refused(host, "initialize", {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": INFO})
    assert error == {"code": -32602, "message": "I do not like you"}, error


@claim
def a_server_of_versions_that_nobody_knows_is_not_translated_for(stack):
    server = ModernServer(stack)
    server.versions = ["2030-01-01"]
    host = bridge(stack, server, False)
    error = refused(host, "initialize", {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": INFO})
    assert error["code"] == -32602, error


def fail(error):
    raise error


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
    asked, go = threading.Event(), threading.Event()
    host.answers["roots/list"] = lambda p: asked.set() or go.wait(PATIENCE) and {"roots": []}
    number, box = host.begin("tools/call", {"name": "t"})
    assert asked.wait(PATIENCE)
    host.say("notifications/cancelled", {"requestId": number})
    assert host.note("notifications/cancelled")["requestId"].startswith("mcp-connect/input/")
    go.set()
    assert host.request("ping") == {}
    assert box.empty() and len(server.sent("tools/call")) == 1


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


# --- the document ---

LEGACY_METHODS = """initialize ping resources/list resources/templates/list resources/read resources/subscribe resources/unsubscribe
prompts/list prompts/get tools/list tools/call tasks/get tasks/result tasks/cancel tasks/list logging/setLevel completion/complete
notifications/cancelled notifications/initialized notifications/progress notifications/roots/list_changed
notifications/tasks/status""".split()
MODERN_ASKS = """elicitation/create sampling/createMessage roots/list notifications/cancelled notifications/progress
notifications/message notifications/resources/updated notifications/resources/list_changed notifications/tools/list_changed
notifications/prompts/list_changed notifications/subscriptions/acknowledged""".split()
EXPECTED = {("up", "host"): LEGACY_METHODS, ("up", "server"): MODERN_ASKS}
DIRECTIONS = {"## A legacy host, a modern server": "up"}


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
