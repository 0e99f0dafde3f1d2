#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demo server as the other side of a transport: what it is told to do it does, and what it sees it tells."""

import base64
import hashlib
import http.client
import json
import os
import pathlib
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import PATIENCE, SOURCE, Demo, Tap  # noqa: E402

sys.path.insert(0, str(SOURCE / "contrib/demo"))
import workload  # noqa: E402

BOTH = "application/json, text/event-stream"
MODERN = "2026-07-28"
META = "io.modelcontextprotocol/"
CALL = {"name": "generate_summary", "arguments": {"text": "One two. Three."}}


class Peer:
    """An MCP client on one connection, as close to the wire as http.client goes."""

    def __init__(self, stack, demo, **headers):
        self.url = urllib.parse.urlsplit(demo.mcp)
        self.headers = {"Content-Type": "application/json", "Accept": BOTH, **headers}
        self.stack = stack
        self.n = 0
        self.connect()

    def connect(self):
        self.line = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=PATIENCE)
        self.stack.callback(self.line.close)

    def open(self, method, body=None, target=None, **headers):
        """The answer once its head is there."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.line.request(method, target or self.url.path, body, {**self.headers, **headers})
        return self.line.getresponse()

    def send(self, message, **headers):
        """A POST: status, headers, and the body, of JSON if it says so."""
        answer = self.open("POST", message, **headers)
        text = answer.read()
        if (answer.headers["Content-Type"] or "").startswith("application/json"):
            text = json.loads(text)
        return answer.status, answer.headers, text

    def message(self, method, params=None, **more):
        self.n += 1
        return {"jsonrpc": "2.0", "id": self.n, "method": method, **({} if params is None else {"params": params}), **more}

    def call(self, method="tools/call", params=None, **headers):
        return self.send(self.message(method, CALL if params is None and method == "tools/call" else params), **headers)


    def start(self, version="2025-11-25", initialized=True):
        """initialize; what belongs to the session goes with every request from then on."""
        status, headers, answer = self.call("initialize", {"protocolVersion": version, "capabilities": {},
                                                           "clientInfo": {"name": "t", "version": "1"}})
        assert status == 200, (status, answer)
        version = answer["result"]["protocolVersion"]
        self.headers.update({"Mcp-Session-Id": headers["Mcp-Session-Id"], "MCP-Protocol-Version": version})
        if initialized:
            assert self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})[0] == 202
        return version

    def stream(self, last=None):
        """The standalone stream, or what follows the event @last; on a connection of its own."""
        usual, line = self.line, http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=PATIENCE)
        self.stack.callback(line.close)
        self.line = line
        answer = self.open("GET", Accept="text/event-stream", **({"Last-Event-ID": last} if last else {}))
        self.line = usual
        answer.leave = lambda: (answer.close(), line.close())
        return answer


def event(answer, newline=b"\n"):
    """The next event as its fields; None at the end."""
    fields = {}
    while True:
        line = b""
        while not line.endswith(newline):
            byte = answer.read(1)
            if not byte:
                assert not line and not fields, (line, fields)
                return None
            line += byte
        line = line[:-len(newline)].decode()
        if not line:
            return fields
        name, _, value = line.partition(": ")
        fields[name] = fields[name] + "\n" + value if name in fields else value


def whole(answer):
    """The JSON text of an answer that is JSON or a stream of one event."""
    lines = answer.read().decode().split("\n")
    return "\n".join(x[6:] for x in lines if x.startswith("data: ")) if lines[0] == "event: message" else "\n".join(lines)


def said(answer):
    """The message of the next event."""
    return json.loads(event(answer)["data"])


def fails(call, *args, **kwargs):
    try:
        result = call(*args, **kwargs)
    except (http.client.HTTPException, OSError) as error:
        return error
    raise AssertionError(f"came through: {result}")


# --- Faults --------------------------------------------------------------------------------------------------------------


def a_fault_can_be_for_one_method_alone(stack):
    demo = Demo(stack, "--open")
    peer = Peer(stack, demo)
    demo.fault("status:mcp@tools/call=429!1", "header:mcp@tools/call=Retry-After: 7!1", "status:mcp@DELETE=503")
    assert peer.call("ping")[0] == 200
    status, headers, _ = peer.call()
    assert (status, headers["Retry-After"]) == (429, "7"), (status, headers)
    assert peer.call()[0] == 200
    assert peer.send(None)[0] == 400 and demo.stats()["methods"] == {"ping": 1, "tools/call": 2, "POST": 1}
    gone = peer.open("DELETE")
    gone.read()
    assert gone.status == 503
    demo.wait(methods={"DELETE": 1})


def a_header_is_added_replaced_and_removed(stack):
    demo = Demo(stack, "--open", "--fault", "header:mcp=Content-Type: text/odd; a=b", "--fault", "header:mcp=X-More: 1: 2")
    status, headers, _ = Peer(stack, demo).call()
    assert (status, headers["Content-Type"], headers["X-More"]) == (200, "text/odd; a=b", "1: 2"), headers
    demo.clear()
    demo.fault("header:mcp=content-type")
    assert Peer(stack, demo).call()[1]["Content-Type"] is None


def a_body_stalls_in_the_middle_until_it_is_released(stack):
    demo = Demo(stack, "--open", "--fault", "stall:mcp!1")
    peer = Peer(stack, demo)
    answer = peer.open("POST", peer.message("tools/call", CALL))
    n = int(answer.headers["Content-Length"])
    begin = answer.read(n // 2)
    demo.wait(held={"mcp": 1})
    assert demo.requests("mcp")[-1]["held"] == "body"
    assert demo.release("mcp") == {"released": 1}
    assert json.loads(begin + answer.read())["id"] == 1
    assert peer.call()[0] == 200 and demo.requests("mcp")[-1]["nth"] == 2


def a_chunked_body_is_cut(stack):
    demo = Demo(stack, "--open", "--fault", "cut:mcp!1")
    peer = Peer(stack, demo)
    answer = peer.open("POST", peer.message("tools/call", CALL))
    assert answer.status == 200 and answer.headers["Transfer-Encoding"] == "chunked"
    assert isinstance(fails(answer.read), http.client.IncompleteRead)


def connections_close_when_they_are_told_to(stack):
    demo = Demo(stack, "--open")
    peer = Peer(stack, demo)
    peer.call("ping")
    demo.fault("drop-reused:mcp!1")
    assert fails(peer.call)
    assert demo.counters()["tool_calls"] == 0, "executed all the same"
    peer.connect()
    assert peer.call()[0] == 200
    demo.fault("drop-unread:mcp!1")
    peer.connect()
    assert fails(peer.call) and demo.counters()["tool_calls"] == 1
    assert "body was read" in demo.requests("mcp")[-1]["note"]
    log = demo.requests("mcp")
    assert [(e["connection"], e["nth"]) for e in log] == [(1, 1), (1, 2), (2, 1), (3, 1)], log
    assert sorted(e["msec"] for e in log) == [e["msec"] for e in log]


def idle_connections_are_closed_and_busy_ones_are_not(stack):
    demo = Demo(stack, "--open")
    idle, busy = Peer(stack, demo), Peer(stack, demo)
    idle.call("ping")
    demo.hold("mcp")
    busy.line.request("POST", busy.url.path, json.dumps(busy.message("ping")), busy.headers)
    demo.wait(held={"mcp": 1})
    assert demo.close_idle() == 1
    assert idle.line.sock.recv(1) == b""
    demo.release("mcp")
    assert busy.line.getresponse().status == 200


def a_client_that_leaves_a_held_request_is_noticed(stack):
    demo = Demo(stack, "--open")
    peer = Peer(stack, demo)
    demo.hold("mcp")
    peer.line.request("POST", peer.url.path, json.dumps(peer.message("tools/call", CALL)), peer.headers)
    demo.wait(held={"mcp": 1})
    peer.line.close()
    demo.wait(counters={"clients_left": 1})
    assert demo.requests("mcp")[-1]["left"] >= demo.requests("mcp")[-1]["msec"]
    demo.release("mcp")
    demo.wait(counters={"tool_calls": 1})


# --- Streams -------------------------------------------------------------------------------------------------------------


def a_script_says_what_comes_before_the_answer(stack):
    demo = Demo(stack, "--open", "--stream")
    peer = Peer(stack, demo)
    peer.start()
    demo.script({"raw": ": nothing yet\n\n"}, {"progress": 2}, {"notify": 1}, {"ask": "sampling/createMessage", "id": 7, "wait": True},
                {"answer": {"id": 1000}}, {"answer": True}, method="tools/call")
    assert peer.call("ping")[2] == {"jsonrpc": "2.0", "id": 2, "result": {}}
    answer = peer.open("POST", peer.message("tools/call", {**CALL, "_meta": {"progressToken": "p"}}))
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert event(answer) == {"": "nothing yet"}
    assert [said(answer)["params"]["progress"] for _ in range(2)] == [1, 2]
    assert said(answer)["method"] == "notifications/message"
    asked = said(answer)
    assert (asked["method"], asked["id"], asked["params"]["maxTokens"]) == ("sampling/createMessage", 7, 10)
    other = Peer(stack, demo, **peer.headers)
    assert other.send({"jsonrpc": "2.0", "id": 8, "result": {}})[0] == 202
    assert demo.ask("GET", "/streams")["streams"][0]["waiting_for"] == 7
    assert other.send({"jsonrpc": "2.0", "id": 7, "result": {"role": "assistant"}})[0] == 202
    assert said(answer)["id"] == 1000 and said(answer)["id"] == 3 and event(answer) is None
    assert demo.stats()["methods"]["response"] == 2
    assert peer.call()[1]["Content-Type"] == "application/json", "a script is played once"


def the_standalone_stream_says_what_is_pushed(stack):
    demo = Demo(stack, "--open", "--stream")
    peer = Peer(stack, demo)
    peer.start()
    stream = peer.stream()
    demo.wait(streams={"get": 1}, methods={"GET": 1})
    demo.push("get", {"notify": 3}, {"notify": 1, "method": "notifications/tools/list_changed"}, {"ask": "ping"})
    assert [said(stream)["params"]["data"] for _ in range(3)] == [1, 2, 3]
    assert said(stream) == {"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": {}}
    assert said(stream)["method"] == "ping"
    demo.push("get", {"set": {"newline": "\r", "pretty": True}}, {"send": {"a": [1]}}, {"close": True})
    fields = event(stream, b"\r")
    assert json.loads(fields["data"]) == {"a": [1]} and "\n" in fields["data"] and event(stream) is None
    assert "ended" in [e for e in demo.requests("mcp") if e["method"] == "GET"][0]
    second = peer.stream()
    demo.wait(streams={"get": 1})
    second.leave()
    demo.wait(counters={"streams_left": 1})
    assert demo.stats()["streams"]["get"] == 0


def what_is_said_goes_out_at_once(stack):
    demo = Demo(stack, "--open", "--stream")
    peer = Peer(stack, demo)
    peer.start()
    stream = peer.stream()
    demo.wait(streams={"get": 1})
    for i in range(100):  # whether a wake-up gets lost is a matter of microseconds
        demo.push("get", {"ask": "ping", "id": i, "wait": True}, {"notify": 1})
        assert said(stream)["id"] == i
        assert peer.send({"jsonrpc": "2.0", "id": i, "result": {}})[0] == 202
        assert said(stream)["method"] == "notifications/message"


def without_the_option_there_is_no_stream(stack):
    demo = Demo(stack, "--open")
    peer = Peer(stack, demo)
    answer = peer.open("GET", Accept="text/event-stream")
    answer.read()
    assert (answer.status, answer.headers["Allow"]) == (405, "POST, DELETE")


def a_stream_that_ends_early_is_resumed_where_it_stood(stack):
    demo = Demo(stack, "--open", "--stream", "--event-ids")
    peer = Peer(stack, demo)
    peer.start()
    demo.script({"retry": 20}, {"notify": 1}, {"cut": True}, {"notify": 1}, {"resumed": True}, {"hold": True}, {"answer": True})
    answer = peer.open("POST", peer.message("tools/call", CALL))
    first = event(answer)
    assert first["retry"] == "20" and first["data"] == "" and first["id"], first
    second = event(answer)
    assert "data" in second and isinstance(fails(answer.read), http.client.IncompleteRead)
    stream = peer.stream(last=second["id"])
    third = event(stream)
    assert json.loads(third["data"])["method"] == "notifications/message" and third["id"] != second["id"]
    demo.wait(held={"mcp": 1})
    demo.release("mcp")
    assert said(stream)["id"] == 2 and event(stream) is None
    again = peer.stream(last=first["id"])
    assert len([event(again) for _ in range(3)]) == 3 and event(again) is None
    assert demo.counters()["streams_resumed"] == 2
    unknown = peer.stream(last="c99.1")
    assert unknown.status == 400


def sessions_get_lost_with_their_streams(stack):
    demo = Demo(stack, "--open", "--stream", "--strict")
    peer = Peer(stack, demo)
    peer.start()
    stream = peer.stream()
    demo.wait(streams={"get": 1})
    assert demo.lose_sessions() == {"sessions": 1, "streams": 1}
    assert event(stream) is None
    status, _, answer = peer.call()
    assert status == 404 and answer["error"]["code"] == -32600
    demo.fault("plain-404!1")
    assert peer.call()[::2] == (404, b"gone\n")
    assert peer.stream().status == 404
    del peer.headers["Mcp-Session-Id"]
    peer.start()
    assert peer.call()[0] == 200
    answer = peer.open("DELETE")
    answer.read()
    assert answer.status == 204 and demo.counters()["sessions_deleted"] == 1 and demo.counters()["sessions_opened"] == 2


def strict_refuses_what_a_client_must_not_do(stack):
    demo = Demo(stack, "--open", "--stream", "--strict")
    peer = Peer(stack, demo)
    assert peer.call()[0] == 400
    peer.start(initialized=False)
    assert peer.call()[2]["error"]["message"] == "not initialized yet"
    assert peer.send({"jsonrpc": "2.0", "method": "notifications/initialized"})[0] == 202
    assert peer.call()[0] == 200
    for name, value in (("MCP-Protocol-Version", "2025-06-18"), ("Accept", "application/json"), ("Content-Type", "text/plain")):
        assert peer.call(**{name: value})[0] == 400, name
    assert peer.call("initialize", {"protocolVersion": "2025-11-25"})[2]["error"]["message"] == "initialize in a session"
    assert peer.open("GET", Accept="application/json").status == 406


def versions_are_negotiated_among_those_that_are_spoken(stack):
    demo = Demo(stack, "--open", "--protocol=2025-03-26,2025-06-18")
    assert [Peer(stack, demo).start(v) for v in ("2025-03-26", "2025-06-18", "2025-11-25")] == ["2025-03-26"] + 2 * ["2025-06-18"]
    assert Peer(stack, demo).call(**{"MCP-Protocol-Version": "2025-11-25"})[0] == 400
    old = Demo(stack, "--open", "--protocol=2025-03-26")
    assert Peer(stack, old).start() == "2025-03-26"
    assert Peer(stack, old).call(**{"MCP-Protocol-Version": "2025-11-25"})[0] == 200, "it knows no such header"


def batches_belong_to_the_first_version_alone(stack):
    demo = Demo(stack, "--open")
    peer, later = Peer(stack, demo), Peer(stack, demo)
    peer.start("2025-03-26")
    later.start("2025-06-18")
    batch = [peer.message("ping"), {"jsonrpc": "2.0", "method": "notifications/x"}, peer.message("tools/call", CALL), {"jsonrpc": "2.0"},
             peer.message("initialize", {"protocolVersion": "2025-03-26"})]
    assert later.send(batch)[0] == 400
    status, _, answers = peer.send(batch)
    assert status == 200 and [a["id"] for a in answers] == [2, 3, 4] and answers[2]["error"]["code"] == -32600
    assert peer.send(batch[1:2])[0] == 202 and peer.send([])[0] == 400
    demo.script({"notify": 1}, {"answer": True}, method="batch")
    answer = peer.open("POST", batch)
    assert said(answer)["method"] == "notifications/message" and [a["id"] for a in said(answer)] == [2, 3, 4]
    assert demo.stats()["methods"]["batch"] == 5


def answers_are_pretty_or_big_or_for_nobody(stack):
    for option in ("", "--sse"):
        demo = Demo(stack, "--open", *([option] if option else []))
        peer = Peer(stack, demo)
        demo.fault("pretty:mcp!1", "wrong-id:mcp=77!1", "big:mcp=3")
        answer = peer.open("POST", peer.message("ping"))
        text = whole(answer)
        assert text.startswith("{\n") and json.loads(text)["id"] == 77
        text = whole(peer.open("POST", peer.message("ping")))
        assert len(json.loads(text)["result"]["_meta"]["demo/filler"]) == 3 << 20 and "\n" not in text and json.loads(text)["id"] == 2


def longer_bodies_are_taken_if_that_is_asked_for(stack):
    demo = Demo(stack, "--open", "--body-max=3")
    peer = Peer(stack, demo)
    call = {"name": "generate_summary", "arguments": {"text": "x" * (2 << 20)}}
    assert peer.call("tools/call", call)[0] == 200
    call["arguments"]["text"] *= 2
    assert peer.call("tools/call", call)[0] == 413


# --- The transport of 2024 -----------------------------------------------------------------------------------------------


def the_old_transport_answers_on_its_stream(stack):
    demo = Demo(stack, "--open", "--http-sse")
    peer = Peer(stack, demo)
    status, headers, _ = peer.call("initialize", {"protocolVersion": "2024-11-05"})
    assert (status, headers["Allow"]) == (405, "GET")
    stream = peer.stream()
    first = event(stream)
    assert first["event"] == "endpoint" and first["data"].startswith("/mcp/messages?session="), first
    demo.script({"notify": 1}, {"answer": True}, method="tools/call")
    for method, params in (("initialize", {"protocolVersion": "2025-03-26"}), ("tools/call", CALL), ("ping", None)):
        answer = peer.open("POST", peer.message(method, params), first["data"])
        assert (answer.status, answer.read()) == (202, b"Accepted"), method
    assert "capabilities" in said(stream)["result"] and said(stream)["method"] == "notifications/message"
    assert [said(stream)["id"] for _ in range(2)] == [3, 4]
    demo.push("old", {"ask": "roots/list"})
    assert said(stream)["method"] == "roots/list"
    answer = peer.open("POST", peer.message("ping"), "/mcp/messages?session=other")
    answer.read()
    assert answer.status == 404
    stream.leave()
    demo.wait(counters={"streams_left": 1})
    answer = peer.open("POST", peer.message("ping"), first["data"])
    answer.read()
    assert answer.status == 202, "the stream is gone, and with it the answer"


def the_old_transport_asks_for_a_token_too(stack):
    demo = Demo(stack, "--http-sse")
    peer = Peer(stack, demo)
    for method, target in (("GET", None), ("POST", "/mcp/messages?session=x")):
        answer = peer.open(method, b"{}" if target else None, target)
        answer.read()
        assert answer.status == 401 and "oauth-protected-resource/mcp\"" in answer.headers["WWW-Authenticate"]


# --- 2026-07-28 ----------------------------------------------------------------------------------------------------------


class Modern(Peer):
    """A client of 2026-07-28: says in each request, and in its head, what it needs."""

    capabilities = {"elicitation": {}}

    def message(self, method, params=None, **more):
        meta = {META + "protocolVersion": MODERN, META + "clientCapabilities": self.capabilities}
        params = params or {}
        return super().message(method, {**params, "_meta": {**meta, **params.get("_meta", {})}}, **more)

    def head(self, message):
        params = message["params"]
        name = params.get("name", params.get("uri"))
        head = {"MCP-Protocol-Version": params["_meta"][META + "protocolVersion"], "Mcp-Method": message["method"]}
        return {**head, **({"Mcp-Name": name} if name else {})}

    def ask(self, method, params=None, **headers):
        """call() with the right head; a header that is None is left out."""
        message = self.message(method, params)
        head = {k: v for k, v in {**self.head(message), **headers}.items() if v is not None}
        status, _, answer = self.send(message, **head)
        return status, answer

    def refused(self, method, params=None, **headers):
        status, answer = self.ask(method, params, **headers)
        return status, answer["error"]["code"]


def the_stateless_protocol_has_its_methods_and_no_others(stack):
    demo = Demo(stack, "--open", "--protocol=2026-07-28", "--stream", "--strict")
    peer = Modern(stack, demo)
    status, answer = peer.ask("server/discover")
    result = answer["result"]
    assert status == 200 and result["supportedVersions"] == [MODERN] and result["resultType"] == "complete", answer
    assert (result["ttlMs"], result["cacheScope"]) == (0, "private") and result["_meta"][META + "serverInfo"]["name"]
    assert peer.ask("tools/call", CALL)[1]["result"]["structuredContent"]["words"] == 3
    for method in ("ping", "logging/setLevel", "initialize", "prompts/list"):
        assert peer.refused(method) == (404, -32601), method
    for method in ("GET", "DELETE"):
        answer = peer.open(method, Accept="text/event-stream")
        answer.read()
        assert (answer.status, answer.headers["Allow"]) == (405, "POST"), method
    assert peer.refused("server/discover", **{"Mcp-Session-Id": "x"}) == (400, -32600)
    note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    assert peer.send(note)[0] == 400 and demo.stats()["methods"]["notifications/cancelled"] == 1
    assert peer.send({"jsonrpc": "2.0", "id": 1, "result": {}})[0] == 400
    assert peer.send([peer.message("server/discover")])[0] == 400


def head_and_body_have_to_agree(stack):
    demo = Demo(stack, "--open", "--protocol=2026-07-28", "--more")
    peer = Modern(stack, demo)
    version = META + "protocolVersion"
    for params, headers, wanted in (
            (None, {"MCP-Protocol-Version": None}, -32020), (None, {"MCP-Protocol-Version": "2027-01-01"}, -32020),
            (None, {"Mcp-Method": None}, -32020), (None, {"Mcp-Method": "Tools/list"}, -32020),
            ({"_meta": {version: None}}, {"MCP-Protocol-Version": MODERN}, -32602),
            ({"_meta": {META + "clientCapabilities": None}}, {}, -32602), ({"_meta": {version: "2027-01-01"}}, {}, -32022)):
        assert peer.refused("tools/list", params, **headers) == (400, wanted), (params, headers)
    error = peer.ask("tools/list", {"_meta": {version: "2027-01-01"}})[1]["error"]
    assert error["data"] == {"supported": [MODERN], "requested": "2027-01-01"}, error
    status, _, answer = Peer(stack, demo).call("initialize", {"protocolVersion": "2025-11-25"})
    assert status == 400 and answer["error"]["data"] == {"supported": [MODERN], "requested": "2025-11-25"}
    for method, params in (("tools/call", CALL), ("prompts/get", {"name": "greeting"}), ("resources/read", {"uri": "demo://note"})):
        assert peer.ask(method, params)[0] == 200, method
        for value in (None, "other"):
            assert peer.refused(method, params, **{"Mcp-Name": value}) == (400, -32020), (method, value)


def wrapped(text):
    return "=?base64?" + base64.b64encode(text.encode()).decode() + "?="


def arguments_are_mirrored_as_their_annotations_say(stack):
    demo = Demo(stack, "--open", "--protocol=2026-07-28", "--more")
    peer = Modern(stack, demo)
    assert peer.ask("resources/read", {"uri": "demo://b\u00e4r"}, **{"Mcp-Name": wrapped("demo://b\u00e4r")})[0] == 200
    tools = {tool["name"]: tool for tool in peer.ask("tools/list")[1]["result"]["tools"]}
    assert sum(name.startswith("invalid_") for name in tools) == 8 and "region_report" in tools
    good = (({}, {}), ({"region": "eu", "plain": "x"}, {"Region": "eu"}), ({"region": ""}, {"Region": ""}), ({"region": None}, {}),
            ({"count": -7, "dry": False}, {"Count": "-7", "Dry-Run": "false"}), ({"inner": {"key": "k"}}, {"Inner-Key": "k"}),
            ({"region": "\u00e4\n"}, {"Region": wrapped("\u00e4\n")}), ({"region": " x "}, {"Region": wrapped(" x ")}))
    bad = (({"region": "eu"}, {}), ({"region": "eu"}, {"Region": "us"}), ({}, {"Region": "eu"}), ({"dry": True}, {"Dry-Run": "True"}),
           ({"region": None}, {"Region": "null"}), ({"inner": {"key": "k"}}, {}), ({"region": "eu"}, {"Region": "=?base64?!?="}),
           ({"count": 7}, {"Count": "7.0"}))
    for cases, wanted in ((good, 200), (bad, 400)):
        for arguments, headers in cases:
            status, answer = peer.ask("tools/call", {"name": "region_report", "arguments": arguments},
                                      **{"Mcp-Param-" + k: v for k, v in headers.items()})
            assert status == wanted, (arguments, headers, answer)
            assert (answer["result"]["structuredContent"] == arguments if wanted == 200 else answer["error"]["code"] == -32020)
    assert peer.refused("tools/call", {"name": "invalid_empty"})[1] == -32602, "a client was to drop it"


def the_user_is_asked_in_rounds_or_on_the_stream(stack):
    demo = Demo(stack, "--open", "--protocol=2026-07-28,2025-11-25", "--more")
    peer = Modern(stack, demo)
    call = {"name": "ask_user"}
    peer.capabilities = {}
    status, answer = peer.ask("tools/call", call)
    assert (status, answer["error"]["data"]) == (400, {"requiredCapabilities": {"elicitation": {}}})
    peer.capabilities = {"elicitation": {}}
    first = peer.ask("tools/call", call)[1]["result"]
    assert first["resultType"] == "input_required" and first["inputRequests"]["confirm"]["method"] == "elicitation/create"
    again = {**call, "requestState": first["requestState"], "inputResponses": {"confirm": {"action": "accept"}}}
    assert peer.refused("tools/call", {**again, "requestState": "made up"}) == (400, -32602)
    assert peer.ask("tools/call", again)[1]["result"]["structuredContent"] == again["inputResponses"]
    assert peer.refused("tools/call", again) == (400, -32602), "a state is good for one round"
    old = Peer(stack, demo)
    assert old.start() == "2025-11-25"
    answer = old.open("POST", old.message("tools/call", call))
    response = {"jsonrpc": "2.0", "id": said(answer)["id"], "result": {"action": "accept"}}
    assert Peer(stack, demo, **old.headers).send(response)[0] == 202
    assert said(answer)["result"]["structuredContent"] == response


def a_subscription_lasts_until_one_side_ends_it(stack):
    demo = Demo(stack, "--open", "--protocol=2026-07-28", "--event-ids")
    wanted = {"toolsListChanged": True}
    streams = []
    for i in range(2):
        peer = Modern(stack, demo)
        message = {**peer.message("subscriptions/listen", {"notifications": wanted}), "id": f"s{i}"}
        streams.append(peer.open("POST", message, **peer.head(message)))
        first = event(streams[i])
        assert "id" not in first, "nothing can be resumed"
        assert json.loads(first["data"])["params"] == {"notifications": wanted, "_meta": {META + "subscriptionId": f"s{i}"}}
    demo.wait(streams={"listen": 2})
    demo.push("listen", {"notify": 1, "method": "notifications/tools/list_changed"}, {"answer": True}, {"close": True})
    assert said(streams[1])["params"]["_meta"] == {META + "subscriptionId": "s1"}
    end = said(streams[1])
    assert end["id"] == "s1" and end["result"]["_meta"] == {META + "subscriptionId": "s1"} and event(streams[1]) is None
    demo.push("listen", {"cut": True})
    assert isinstance(fails(streams[0].read), http.client.IncompleteRead)
    peer = Modern(stack, demo)
    message = peer.message("subscriptions/listen")
    peer.open("POST", message, **peer.head(message)).close()
    demo.wait(streams={"listen": 1})
    peer.line.close()
    demo.wait(counters={"streams_left": 1})


def a_server_of_both_eras_serves_each(stack):
    demo = Demo(stack, "--open", "--protocol=2026-07-28,2025-06-18", "--stream", "--strict")
    old, new = Peer(stack, demo), Modern(stack, demo)
    assert old.start() == "2025-06-18" and old.call()[0] == 200 and old.stream().status == 200
    assert new.ask("server/discover")[1]["result"]["supportedVersions"] == [MODERN, "2025-06-18"]
    assert new.refused("ping") == (404, -32601) and old.call("ping")[0] == 200
    assert new.refused("tools/list", {"_meta": {META + "protocolVersion": "2027-01-01"}}) == (400, -32022)
    assert "resultType" not in old.call("tools/list")[2]["result"]
    demo.script({"progress": 1}, {"answer": True}, method="tools/call")
    message = new.message("tools/call", {**CALL, "_meta": {"progressToken": 5}})
    answer = new.open("POST", message, **new.head(message))
    assert said(answer)["params"]["progressToken"] == 5 and said(answer)["result"]["resultType"] == "complete"
    legacy = Demo(stack, "--open")
    assert Modern(stack, legacy).refused("server/discover") == (400, -32600)


# --- The authorization server --------------------------------------------------------------------------------------------

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def ask(url, form=None, **headers):
    """GET, or POST of a form; status, headers, and the JSON of the answer, or its text."""
    u = urllib.parse.urlsplit(url)
    line = http.client.HTTPConnection(u.hostname, u.port, timeout=PATIENCE)
    headers = {k.replace("_", "-"): v for k, v in headers.items() if v is not None}
    if form is not None:
        form = urllib.parse.urlencode({k: v for k, v in form.items() if v is not None})
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    try:
        line.request("POST" if form is not None else "GET", u.path + ("?" + u.query if u.query else ""), form, headers)
        answer = line.getresponse()
        text = answer.read().decode()
    finally:
        line.close()
    is_json = (answer.headers["Content-Type"] or "").startswith("application/json")
    return answer.status, answer.headers, json.loads(text) if is_json else text


def metadata(demo, issuer=None):
    u = urllib.parse.urlsplit(issuer or demo.issuer)
    status, _, doc = ask(f"{u.scheme}://{u.netloc}/.well-known/oauth-authorization-server{u.path}")
    assert status == 200, status
    return doc


def resource_metadata(demo):
    return ask(demo.mcp.replace("/mcp", "/.well-known/oauth-protected-resource/mcp"))[2]


def tokens(demo, grant, **form):
    """What the token endpoint says: the tokens, or the error."""
    _, _, answer = ask(demo.issuer + "/token", {"grant_type": grant, "resource": demo.mcp, **form})
    return answer


def refusal(demo, grant, **form):
    status, headers, answer = ask(demo.issuer + "/token", {"grant_type": grant, "resource": demo.mcp, **form})
    assert status in (400, 401) and "no-store" in headers["Cache-Control"], (status, answer)
    return answer["error"]


def calls(stack, demo, token, **headers):
    """The status of a tool call with this token."""
    return Peer(stack, demo).call(**{"Authorization": "Bearer " + token, **headers})[0]


def scratch(stack):
    return pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))


def key_set(folder, name, *keys):
    """A file with the public halves."""
    path = folder / name
    path.write_text(json.dumps({"keys": [jwk for key in keys for jwk in key.jwks()["keys"]]}), encoding="utf-8")
    return path


def client_assertion(key, client, audience, header=None, **claims):
    now = int(time.time())
    usual = {"iss": client, "sub": client, "aud": audience, "iat": now, "exp": now + 60, "jti": secrets.token_hex(16)}
    claims = {k: v for k, v in {**usual, **claims}.items() if v is not None}
    return {"client_assertion_type": ASSERTION,
            "client_assertion": key.sign(claims, **{"typ": "client-authentication+jwt", **(header or {})})}


def a_client_signs_who_it_is_with_each_algorithm(stack):
    folder = scratch(stack)
    keys = {alg: workload.Key(alg) for alg in workload.PARAMETERS}
    demo = Demo(stack, *(f"--client-key=bot-{alg}={key_set(folder, alg, key)}" for alg, key in keys.items()))
    meta = metadata(demo)
    assert "private_key_jwt" in meta["token_endpoint_auth_methods_supported"]
    assert sorted(meta["token_endpoint_auth_signing_alg_values_supported"]) == sorted(keys)
    for alg, key in keys.items():
        got = tokens(demo, "client_credentials", **client_assertion(key, "bot-" + alg, demo.issuer))
        assert "refresh_token" not in got and calls(stack, demo, got["access_token"]) == 200, (alg, got)
        for other in keys.values():
            if other is not key:
                assert refusal(demo, "client_credentials", **client_assertion(other, "bot-" + alg, demo.issuer)) == "invalid_client"


def a_signed_request_is_taken_once_and_only_if_it_is_right(stack):
    key, other = workload.Key(), workload.Key()
    demo = Demo(stack, f"--client-key=bot={key_set(scratch(stack), 'k', key)}", "--client=plain:secret")
    def refused(header=None, signer=key, form=None, client="bot", audience=demo.issuer, **claims):
        return refusal(demo, "client_credentials", **{**client_assertion(signer, client, audience, header, **claims), **(form or {})})
    once = client_assertion(key, "bot", demo.issuer)
    assert "access_token" in tokens(demo, "client_credentials", **once)
    assert refusal(demo, "client_credentials", **once) == "invalid_client", "a replay"
    assert "access_token" in tokens(demo, "client_credentials", **client_assertion(key, "bot", [demo.issuer], {"typ": None, "kid": None}))
    assert "access_token" in tokens(demo, "client_credentials", client_id="bot", **client_assertion(key, "bot", demo.issuer, {"typ": "JWT"}))
    assert once["client_assertion"] in demo.secrets()["assertions"]
    now = int(time.time())
    for wrong in ({"signer": other}, {"signer": other, "header": {"kid": key.kid}}, {"header": {"typ": "at+jwt"}}, {"jti": None}, {"jti": ""},
                  {"jti": "j" * 300}, {"iss": None}, {"sub": None},
                  {"header": {"crit": ["exp"]}}, {"header": {"alg": "none"}}, {"header": {"alg": "HS256"}}, {"header": {"alg": "ES384"}},
                  {"sub": "plain"}, {"iss": "plain"}, {"client": "plain"}, {"client": "nobody"}, {"exp": None}, {"exp": now - 1},
                  {"exp": now + 7200}, {"padding": "x" * 20000}, {"iat": now + 3600}, {"nbf": now + 3600}, {"audience": demo.issuer + "/"},
                  {"audience": demo.issuer + "/token"}, {"audience": [demo.issuer, "https://other.example"]},
                  {"form": {"client_id": "plain"}}, {"form": {"client_assertion": "a.b"}}, {"form": {"client_assertion": "e30.e30.e30"}},
                  {"form": {"client_assertion_type": ASSERTION + "x"}}):
        assert refused(**wrong) == "invalid_client", wrong
    assert refused(form={"client_secret": "secret"}) == "invalid_request"
    assert refused(form={"client_assertion_type": None}) == "invalid_request"
    demo.fault("invalid-client!1")
    assert refused() == "invalid_client"
    twice = {"grant_type": "client_credentials", "resource": demo.mcp, **client_assertion(key, "bot", demo.issuer)}
    basic = "Basic " + base64.b64encode(b"plain:secret").decode()
    assert ask(demo.issuer + "/token", twice, Authorization=basic)[2]["error"] == "invalid_request"
    assert ask(demo.issuer + "/token", twice)[0] == 200
    assert refusal(demo, "client_credentials", client_id="bot") == "invalid_client"
    assert refusal(demo, "client_credentials", client_id="bot", client_secret="secret") == "invalid_client"
    good = client_assertion(key, "bot", demo.issuer)["client_assertion"]
    head, body, signature = good.split(".")
    for spoilt in (head + "." + body, good + ".", f"{head}.{body}.{signature[:-2]}", f"{head}.{body}.{signature[:-4] + signature[:4]}",
                   good + "=", good + "AAAA", f"{workload.encode(b'{}')}.{body}.{signature}", "x" * 20000):
        assert refused(form={"client_assertion": spoilt}) == "invalid_client", spoilt


def an_assertion_is_for_whom_the_option_says(stack):
    key = workload.Key()
    keys = key_set(scratch(stack), "k", key)
    keys.write_text(json.dumps(key.jwks()["keys"][0]), encoding="utf-8")  # one key is a set too
    for setting, taken in (("issuer", [""]), ("token-endpoint", ["/token"]), ("either", ["", "/token"])):
        demo = Demo(stack, f"--client-key=bot={keys}", "--assertion-audience=" + setting)
        for path in ("", "/token", "/"):
            got = tokens(demo, "client_credentials", **client_assertion(key, "bot", demo.issuer + path))
            assert ("access_token" in got) == (path in taken), (setting, path, got)


def registration(demo, **metadata):
    line = http.client.HTTPConnection("127.0.0.1", urllib.parse.urlsplit(demo.issuer).port, timeout=PATIENCE)
    try:
        line.request("POST", "/register", json.dumps(metadata))
        answer = line.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        line.close()


def a_client_registers_its_keys(stack):
    key = workload.Key("RS256")
    demo = Demo(stack)
    def register(**more):
        return registration(demo, **{"redirect_uris": ["http://127.0.0.1/cb"], "grant_types": ["client_credentials"],
                                     "token_endpoint_auth_method": "private_key_jwt", **more})
    assert register()[1]["error"] == "invalid_client_metadata" and register(jwks={"keys": []})[0] == 400
    status, client = register(jwks=key.jwks())
    assert status == 201 and client["token_endpoint_auth_method"] == "private_key_jwt" and "client_secret" not in client, client
    got = tokens(demo, "client_credentials", **client_assertion(key, client["client_id"], demo.issuer))
    status, _, _ = ask(demo.issuer + "/revoke", {"token": got["access_token"], **client_assertion(key, client["client_id"], demo.issuer)})
    assert status == 200 and calls(stack, demo, got["access_token"]) == 401


JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CLUSTER = workload.ISSUER


def cluster(stack, *options, allow=("tools/agent=tools:generate_summary",), alg="ES256"):
    """A demo server that takes the tokens of a cluster, the cluster's key, and the file with its public half."""
    key = workload.Key(alg)
    keys = key_set(scratch(stack), "cluster", key)
    demo = Demo(stack, f"--workload-issuer={CLUSTER}={keys}", *("--workload-allow=" + a for a in allow), *options)
    return demo, key, keys


def account_token(demo, key, header=None, namespace="tools", audience=None, **claims):
    return key.sign(workload.account_claims(audience or demo.issuer, namespace, **claims), **(header or {}))


def a_workload_gets_what_policy_gives_it(stack):
    demo, key, _ = cluster(stack, allow=("tools/agent=tools:generate_summary tools:admin", "tools/*=tools:generate_summary", "ops/one=tools:admin"))
    assert JWT_BEARER in metadata(demo)["grant_types_supported"]
    got = tokens(demo, JWT_BEARER, assertion=account_token(demo, key))
    assert got["scope"] == "tools:generate_summary tools:admin" and "refresh_token" not in got, got
    assert calls(stack, demo, got["access_token"]) == 200
    assert demo.requests("mcp")[-1]["who"]["subject"] == "system:serviceaccount:tools:agent"
    got = tokens(demo, JWT_BEARER, assertion=account_token(demo, key), scope="tools:admin")
    assert got["scope"] == "tools:admin"
    assert tokens(demo, JWT_BEARER, assertion=account_token(demo, key, account="b"))["scope"] == "tools:generate_summary"
    assert refusal(demo, JWT_BEARER, assertion=account_token(demo, key, account="b"), scope="tools:admin") == "invalid_scope"
    assert refusal(demo, JWT_BEARER, assertion=account_token(demo, key, namespace="ops")) == "unauthorized_client"
    for account in ("on", "onf", "one2"):
        assert refusal(demo, JWT_BEARER, assertion=account_token(demo, key, namespace="ops", account=account)) == "unauthorized_client", account
    assert refusal(demo, JWT_BEARER, assertion=account_token(demo, key), resource="https://other.example/mcp") == "invalid_target"
    assert refusal(demo, JWT_BEARER) == "invalid_request"
    plain = Demo(stack)
    assert JWT_BEARER not in metadata(plain)["grant_types_supported"]
    assert refusal(plain, JWT_BEARER, assertion=account_token(plain, key)) == "invalid_client", "without the option a client is needed"


def a_workload_token_is_judged_whole(stack):
    demo, key, _ = cluster(stack, allow=("tools/agent=tools:generate_summary", "tools/*=tools:generate_summary"))
    now, kubernetes = int(time.time()), workload.account_claims("x", "tools")["kubernetes.io"]
    for wrong in ({"issuer": "https://other.example"}, {"issuer": CLUSTER + "/"}, {"issuer": CLUSTER[:-1]}, {"issuer": CLUSTER[:-1] + "L"},
                  {"account": "*"}, {"account": "x/agent"},
                  {"audience": "https://other.example"},
                  {"audience": [demo.issuer, "https://other.example"]}, {"exp": now - 1}, {"exp": None}, {"exp": "soon"}, {"nbf": now + 3600},
                  {"iat": now + 3600}, {"sub": "system:serviceaccount:tools:other"}, {"sub": "agent"}, {"sub": None},
                  {"kubernetes.io": None}, {"kubernetes.io": {**kubernetes, "namespace": "default"}},
                  {"kubernetes.io": {**kubernetes, "serviceaccount": {"name": "agent:x"}}}, {"kubernetes.io": {"namespace": "tools"}},
                  {"header": {"alg": "none"}}, {"header": {"alg": "RS256"}}, {"header": {"kid": "other"}}):
        assert refusal(demo, JWT_BEARER, assertion=account_token(demo, key, **wrong)) == "invalid_grant", wrong
    assert refusal(demo, JWT_BEARER, assertion=account_token(demo, workload.Key(), {"kid": key.kid})) == "invalid_grant"
    assert refusal(demo, JWT_BEARER, assertion="not a token") == "invalid_grant"
    assert "access_token" in tokens(demo, JWT_BEARER, assertion=account_token(demo, key, jti=None)), "older clusters have no jti"


def a_cluster_changes_its_keys(stack):
    demo, old, path = cluster(stack, alg="RS256")
    new = workload.Key()
    before = account_token(demo, old)
    assert refusal(demo, JWT_BEARER, assertion=account_token(demo, new)) == "invalid_grant"
    key_set(path.parent, path.name, old, new)
    for text in (before, account_token(demo, new)):
        assert "access_token" in tokens(demo, JWT_BEARER, assertion=text)
    key_set(path.parent, path.name, new)
    assert refusal(demo, JWT_BEARER, assertion=before) == "invalid_grant"


def claims_of(jwt):
    head, body, _ = (part + "=" * (-len(part) % 4) for part in jwt.split("."))
    return json.loads(base64.urlsafe_b64decode(head)), json.loads(base64.urlsafe_b64decode(body))


def tokens_are_laid_where_a_kubelet_lays_them(stack):
    folder = scratch(stack)
    tool = [sys.executable, str(SOURCE / "contrib/demo/workload.py")]
    subprocess.run([*tool, "key", str(folder / "key"), "--alg=RS256"], check=True)
    demo = Demo(stack, f"--workload-issuer={CLUSTER}={folder}/key.jwks", "--workload-allow=tools/agent=tools:admin")
    place = ["--audience", demo.issuer, "--namespace=tools"]
    one = subprocess.run([*tool, "token", str(folder / "key"), *place], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    assert "access_token" in tokens(demo, JWT_BEARER, assertion=one)
    laying = subprocess.Popen([*tool, "mount", str(folder / "key"), str(folder / "mount"), *place],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    stack.callback(lambda: laying.returncode is None and laying.communicate())
    path, seen = folder / "mount/token", set()
    for n in range(3):
        assert laying.stdout.readline() == f"{n + 1}\n"
        assert os.readlink(path) == "..data/token" and os.readlink(folder / "mount/..data").startswith("..20")
        assert path.stat().st_mode & 0o777 == 0o400 and len(list((folder / "mount").iterdir())) == 3
        seen.add(path.read_text(encoding="ascii"))
        assert "access_token" in tokens(demo, JWT_BEARER, assertion=path.read_text(encoding="ascii"))
        if n == 1:
            subprocess.run([*tool, "key", str(folder / "key"), "--add"], check=True)
        if n < 2:
            laying.stdin.write("\n")
            laying.stdin.flush()
    assert len({claims_of(text)[0]["kid"] for text in seen}) == 2 and len(seen) == 3
    assert "access_token" in tokens(demo, JWT_BEARER, assertion=one), "of the old key, which was kept"
    laying.communicate()
    subprocess.run([*tool, "key", str(folder / "key")], check=True)
    assert refusal(demo, JWT_BEARER, assertion=one) == "invalid_grant"
    subprocess.run([*tool, "mount", str(folder / "key"), str(folder / "mount"), *place], check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    assert len(list((folder / "mount").iterdir())) == 3 and path.read_text(encoding="ascii") not in seen


def proof(key, method, url, token=None, nonce=None, header=None, **claims):
    usual = {"htm": method, "htu": url, "iat": int(time.time()), "jti": secrets.token_hex(16), "nonce": nonce,
             "ath": token and workload.encode(hashlib.sha256(token.encode()).digest())}
    claims = {k: v for k, v in {**usual, **claims}.items() if v is not None}
    return key.sign(claims, **{"typ": "dpop+jwt", "jwk": key.jwk, "kid": None, **(header or {})})


BOT = {"client_id": "bot", "client_secret": "secret"}


def bound(demo, key, nonce=None, grant="client_credentials", **form):
    """What the token endpoint says to a request with a proof: status, headers, answer."""
    endpoint = demo.issuer + "/token"
    return ask(endpoint, {"grant_type": grant, "resource": demo.mcp, **(form or BOT)}, DPoP=proof(key, "POST", endpoint, nonce=nonce))


def proven(stack, demo, key, token, scheme="DPoP", **more):
    """A tool call with token and proof: status, and the challenges."""
    status, headers, _ = Peer(stack, demo).call(Authorization=f"{scheme} {token}", DPoP=proof(key, "POST", demo.mcp, token, **more))
    return status, headers.get_all("WWW-Authenticate")


def a_token_is_bound_to_the_key_that_was_proven(stack):
    key, other = workload.Key(), workload.Key("EdDSA")
    demo = Demo(stack, "--dpop=offered", "--client=bot:secret")
    assert metadata(demo)["dpop_signing_alg_values_supported"][0] == "ES256"
    assert resource_metadata(demo)["dpop_signing_alg_values_supported"] and "dpop_bound_access_tokens_required" not in resource_metadata(demo)
    for one in (key, other):
        status, _, got = bound(demo, one)
        assert (status, got["token_type"]) == (200, "DPoP"), got
        token = got["access_token"]
        assert proven(stack, demo, one, token) == (200, None)
        assert demo.requests("mcp")[-1]["who"]["jkt"] == one.thumbprint()
        status, challenges = proven(stack, demo, workload.Key(), token)
        assert status == 401 and challenges[0].startswith('DPoP algs="ES256') and 'error="invalid_token"' in challenges[0], challenges
        assert proven(stack, demo, one, token, scheme="Bearer")[0] == 401, "a bound token in the other scheme"
        assert calls(stack, demo, token) == 401, "no proof"
    free = tokens(demo, "client_credentials", **BOT)
    assert free["token_type"] == "Bearer" and calls(stack, demo, free["access_token"]) == 200
    assert proven(stack, demo, key, free["access_token"])[0] == 401, "a token without key as if it had one"
    challenges = Peer(stack, demo).call()[1].get_all("WWW-Authenticate")
    assert [c.split()[0] for c in challenges] == ["Bearer", "DPoP"]
    off = Demo(stack, "--client=bot:secret")
    assert bound(off, key)[2]["token_type"] == "Bearer" and "dpop_signing_alg_values_supported" not in metadata(off)
    assert "dpop_signing_alg_values_supported" not in resource_metadata(off)


def a_proof_is_for_one_request(stack):
    key, other = workload.Key(), workload.Key()
    demo = Demo(stack, "--dpop=offered", "--client=bot:secret")
    endpoint, token, now = demo.issuer + "/token", bound(demo, key)[2]["access_token"], int(time.time())
    form = {"grant_type": "client_credentials", "resource": demo.mcp, **BOT}
    private = {**key.jwk, "d": "AAAA"}
    for wrong in ({"method": "GET"}, {"url": endpoint + "?a=b"}, {"url": endpoint + "#a"}, {"url": demo.mcp}, {"iat": now - 400},
                  {"iat": now + 400}, {"iat": None}, {"iat": str(now)}, {"jti": None}, {"jti": 7}, {"header": {"typ": "JWT"}},
                  {"header": {"jwk": None}}, {"header": {"jwk": other.jwk}}, {"header": {"jwk": private}}, {"header": {"alg": "none"}}):
        status, _, answer = ask(endpoint, form, DPoP=proof(key, **{"method": "POST", "url": endpoint, **wrong}))
        assert (status, answer["error"]) == (400, "invalid_dpop_proof"), (wrong, answer)
    for wrong in ({"token": "other"}, {"token": None}, {"url": demo.mcp + "2"}, {"method": "DELETE"}):
        text = proof(key, **{"method": "POST", "url": demo.mcp, "token": token, **wrong})
        status, headers, _ = Peer(stack, demo).call(Authorization="DPoP " + token, DPoP=text)
        assert status == 401 and 'error="invalid_dpop_proof"' in headers["WWW-Authenticate"], wrong
    once = proof(key, "POST", endpoint)
    assert ask(endpoint, form, DPoP=once)[0] == 200
    assert ask(endpoint, form, DPoP=once)[2]["error"] == "invalid_dpop_proof", "a replay"
    once = proof(key, "POST", demo.mcp, token)
    assert [Peer(stack, demo).call(Authorization="DPoP " + token, DPoP=once)[0] for _ in range(2)] == [200, 401]
    assert ask(endpoint, form, DPoP="x.y")[2]["error"] == "invalid_dpop_proof"
    u = urllib.parse.urlsplit(endpoint)
    line = http.client.HTTPConnection(u.hostname, u.port, timeout=PATIENCE)
    stack.callback(line.close)
    line.putrequest("POST", u.path)
    body = urllib.parse.urlencode(form).encode()
    for name, value in (("Content-Type", "application/x-www-form-urlencoded"), ("Content-Length", str(len(body))),
                        ("DPoP", proof(key, "POST", endpoint)), ("DPoP", proof(key, "POST", endpoint))):
        line.putheader(name, value)
    line.endheaders(body)
    assert json.loads(line.getresponse().read())["error"] == "invalid_dpop_proof", "two proofs"


def a_key_in_a_proof_is_a_key_or_the_proof_is_none(stack):
    demo = Demo(stack, "--dpop=offered", "--client=bot:secret")
    endpoint, form = demo.issuer + "/token", {"grant_type": "client_credentials", "resource": demo.mcp, **BOT}
    keys = {alg: workload.Key(alg) for alg in workload.PARAMETERS}
    weak = workload.Key("RS256", workload.openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"))
    def said(key, **change):
        jwk = {k: v for k, v in {**key.jwk, **change}.items() if v is not None}
        status, _, answer = ask(endpoint, form, DPoP=proof(key, "POST", endpoint, header={"jwk": jwk}))
        return answer.get("error", status)
    assert [said(key, kid="any", use="sig", alg=alg) for alg, key in keys.items()] == [200] * len(keys)
    assert said(weak) == "invalid_dpop_proof"
    other = {"EC": {"crv": "P-521"}, "RSA": {"kty": "EC"}, "OKP": {"crv": "X25519"}}
    for alg, key in keys.items():
        for name, value in [*key.jwk.items(), ("kty", "oct")]:
            usual = (None, 7, "", "!", "A", value[:-4], value + "AAAA", "AAAA" * 11, "AAAA" * 1000)
            for wrong in usual if name in ("x", "y", "n", "e") else (None, 7, "", "other", value.lower()):
                assert said(key, **{name: wrong}) == "invalid_dpop_proof", (alg, name, wrong)
        for wrong in (other[key.jwk["kty"]], {"use": "enc"}, {"alg": "HS256"}, {"p": "AAAA"}, {"k": "AAAA"}):
            assert said(key, **wrong) == "invalid_dpop_proof", (alg, wrong)
    for jwk in ([], "jwk", None, {}):
        assert ask(endpoint, form, DPoP=proof(keys["ES256"], "POST", endpoint, header={"jwk": jwk}))[0] == 400, jwk
    assert demo.process.poll() is None and bound(demo, keys["ES256"])[0] == 200


def a_server_may_want_proofs_only_and_with_its_nonces(stack):
    key = workload.Key()
    demo = Demo(stack, "--dpop=required", "--dpop-nonce", "--client=bot:secret")
    assert resource_metadata(demo)["dpop_bound_access_tokens_required"] is True
    assert "dpop_bound_access_tokens_required" not in metadata(demo), "a member of the resource's document"
    assert refusal(demo, "client_credentials", **BOT) == "invalid_dpop_proof"
    status, headers, answer = bound(demo, key)
    assert (status, answer["error"]) == (400, "use_dpop_nonce")
    nonce = headers["DPoP-Nonce"]
    status, headers, got = bound(demo, key, nonce)
    assert status == 200 and headers["DPoP-Nonce"] == nonce, got
    token = got["access_token"]
    assert Peer(stack, demo).call()[1].get_all("WWW-Authenticate")[0].startswith("DPoP algs=")
    assert len(Peer(stack, demo).call()[1].get_all("WWW-Authenticate")) == 1
    def told(nonce):
        status, headers, _ = Peer(stack, demo).call(Authorization="DPoP " + token, DPoP=proof(key, "POST", demo.mcp, token, nonce))
        return status, 'error="use_dpop_nonce"' in (headers["WWW-Authenticate"] or ""), headers["DPoP-Nonce"]
    status, asked, own = told(nonce)
    assert (status, asked) == (401, True) and own != nonce, "each has its own nonce"
    assert told(own) == (200, False, own)
    fresh = demo.nonces()
    assert told(own) == (401, True, fresh["mcp"]) and told(fresh["mcp"])[0] == 200
    assert bound(demo, key, nonce)[2]["error"] == "use_dpop_nonce" and bound(demo, key, fresh["issuer"])[0] == 200
    assert demo.counters()["dpop_proofs"] == 4 and demo.counters()["dpop_refused"] == 5
    spoilt = ask(demo.issuer + "/token", {"grant_type": "client_credentials", **BOT}, DPoP=proof(key, "POST", demo.mcp))
    assert spoilt[2]["error"] == "invalid_dpop_proof", "who gets it wrong is not told to try again"


def code_flow(demo, client=None, resource=True, **query):
    """A login by --auto-consent: the token request that is still to be made."""
    verifier = secrets.token_urlsafe(48)
    ask_for = {"response_type": "code", "client_id": "app", "redirect_uri": "http://127.0.0.1:1/cb", "state": "s", "code_challenge_method": "S256",
               "code_challenge": workload.encode(hashlib.sha256(verifier.encode()).digest()), "resource": demo.mcp if resource else None, **query}
    _, headers, _ = ask((client or demo.issuer) + "/authorize?" + urllib.parse.urlencode({k: v for k, v in ask_for.items() if v is not None}))
    back = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(headers["Location"]).query))
    assert "code" in back, back
    return {"grant": "authorization_code", "client_id": "app", "redirect_uri": ask_for["redirect_uri"],
            "code_verifier": verifier, "code": back["code"]}


def refresh_tokens_and_codes_are_bound_too(stack):
    key, other = workload.Key(), workload.Key()
    demo = Demo(stack, "--dpop=offered", "--client=app", "--auto-consent")
    got = bound(demo, key, **code_flow(demo))[2]
    again = {"grant": "refresh_token", "client_id": "app", "refresh_token": got["refresh_token"]}
    assert refusal(demo, "refresh_token", client_id="app", refresh_token=got["refresh_token"]) == "invalid_grant"
    assert bound(demo, other, **again)[2]["error"] == "invalid_grant"
    fresh = bound(demo, key, **again)[2]
    assert fresh["token_type"] == "DPoP" and proven(stack, demo, key, fresh["access_token"])[0] == 200
    for one, wanted in ((key, 200), (other, 400)):
        assert bound(demo, one, **code_flow(demo, dpop_jkt=key.thumbprint()))[0] == wanted
    unbound = code_flow(demo, dpop_jkt=key.thumbprint())
    assert refusal(demo, unbound.pop("grant"), **unbound) == "invalid_grant"


def pushing(demo, verifier="v" * 43, headers=None, **form):
    """A request pushed by the client "app": status, and the answer."""
    usual = {"response_type": "code", "client_id": "app", "redirect_uri": "http://127.0.0.1:1/cb", "state": "pushed", "code_challenge_method": "S256",
             "code_challenge": workload.encode(hashlib.sha256(verifier.encode()).digest()), "resource": demo.mcp, "scope": "tools:admin"}
    status, _, answer = ask(demo.issuer + "/par", {**usual, **form}, **(headers or {}))
    return status, answer


def brought(demo, uri, client="app", **more):
    """What the browser gets that brings the reference: status, and what goes back to the client."""
    status, headers, _ = ask(demo.issuer + "/authorize?" + urllib.parse.urlencode({"client_id": client, "request_uri": uri, **more}))
    return status, dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(headers["Location"] or "").query))


def a_pushed_request_is_good_once_and_for_its_client(stack):
    demo = Demo(stack, "--par=offered", "--client=app", "--client=other", "--client=bot:secret", "--auto-consent")
    meta = metadata(demo)
    assert meta["pushed_authorization_request_endpoint"] == demo.issuer + "/par" and "require_pushed_authorization_requests" not in meta
    status, pushed = pushing(demo)
    assert status == 201 and pushed["expires_in"] == 60 and pushed["request_uri"].startswith("urn:ietf:params:oauth:request_uri:"), pushed
    status, back = brought(demo, pushed["request_uri"], state="other", scope="tools:generate_summary", redirect_uri="http://127.0.0.1:1/evil")
    assert (status, back["state"]) == (302, "pushed"), back
    got = tokens(demo, "authorization_code", code=back["code"], client_id="app", redirect_uri="http://127.0.0.1:1/cb", code_verifier="v" * 43)
    assert got["scope"] == "tools:admin", got
    assert brought(demo, pushed["request_uri"])[0] == 400, "a second use"
    pushed = pushing(demo)[1]
    assert brought(demo, pushed["request_uri"], client="other")[0] == 400 and brought(demo, pushed["request_uri"])[0] == 400
    assert brought(demo, "urn:ietf:params:oauth:request_uri:made-up")[0] == 400
    assert "code" in code_flow(demo), "offered, not required"
    basic = {"Authorization": "Basic " + base64.b64encode(b"bot:secret").decode()}
    assert pushing(demo, client_id="bot", headers=basic)[0] == 201 and pushing(demo, client_id="bot")[1]["error"] == "invalid_client"
    assert demo.counters()["pushed"] == 3


def what_is_pushed_is_judged_at_once(stack):
    demo = Demo(stack, "--par=offered", "--client=app")
    for wrong, error in (({"scope": "root"}, "invalid_scope"), ({"resource": "https://other.example"}, "invalid_target"),
                         ({"code_challenge_method": "plain"}, "invalid_request"), ({"response_type": "token"}, "unsupported_response_type"),
                         ({"redirect_uri": "https://evil.example"}, "invalid_request"), ({"redirect_uri": None}, "invalid_request"),
                         ({"request_uri": "urn:x"}, "invalid_request"), ({"client_id": "nobody"}, "invalid_client")):
        status, answer = pushing(demo, **wrong)
        assert status in (400, 401) and answer["error"] == error, (wrong, answer)
    assert ask(demo.issuer + "/par")[0] == 405
    demo.fault("status:par=503")
    assert pushing(demo)[0] == 503
    document = Demo(stack, "--par=offered", "--cimd")
    ids = ("https://app.example/client", "https://app.example/client", "http://app.example/")
    assert [pushing(document, client_id=i)[0] for i in ids] == [201, 201, 401]
    off = Demo(stack, "--client=app")
    assert pushing(off)[0] == 404 and "pushed_authorization_request_endpoint" not in metadata(off)


def a_server_may_want_requests_pushed(stack):
    key, other = workload.Key(), workload.Key()
    demo = Demo(stack, "--par=required", "--client=app", "--auto-consent", "--dpop=offered")
    assert metadata(demo)["require_pushed_authorization_requests"] is True
    plain = {"response_type": "code", "client_id": "app", "redirect_uri": "http://127.0.0.1:1/cb", "code_challenge": "c" * 43,
             "code_challenge_method": "S256", "resource": demo.mcp}
    _, headers, _ = ask(demo.issuer + "/authorize?" + urllib.parse.urlencode(plain))
    assert "error=invalid_request" in headers["Location"]
    par = demo.issuer + "/par"
    assert pushing(demo, headers={"DPoP": proof(key, "POST", par)}, dpop_jkt=other.thumbprint())[1]["error"] == "invalid_dpop_proof"
    for one, wanted, how in ((key, 200, {"headers": {"DPoP": proof(key, "POST", par)}}), (other, 400, {"headers": {"DPoP": proof(key, "POST", par)}}),
                             (key, 200, {"dpop_jkt": key.thumbprint()}), (other, 400, {"dpop_jkt": key.thumbprint()})):
        pushed = pushing(demo, **how)[1]
        code = brought(demo, pushed["request_uri"])[1]["code"]
        assert bound(demo, one, grant="authorization_code", code=code, client_id="app", redirect_uri="http://127.0.0.1:1/cb",
                     code_verifier="v" * 43)[0] == wanted


DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


def device_login(demo, **form):
    status, _, answer = ask(demo.issuer + "/device_authorization", {"client_id": "app", "resource": demo.mcp, **form})
    assert status == 200, (status, answer)
    return answer


def polled(demo, login, **form):
    return tokens(demo, DEVICE_CODE, **{"device_code": login["device_code"], "client_id": "app", **form})


def a_device_waits_for_its_person(stack):
    demo = Demo(stack, "--device", "--device-interval=0", "--client=app", "--client=other", "--second-resource")
    meta = metadata(demo)
    assert meta["device_authorization_endpoint"] == demo.issuer + "/device_authorization" and DEVICE_CODE in meta["grant_types_supported"]
    login = device_login(demo, scope="tools:admin tools:generate_summary")
    assert (login["interval"], login["expires_in"], login["verification_uri"]) == (0, 300, demo.issuer + "/device")
    assert login["verification_uri_complete"] == f"{demo.issuer}/device?user_code={login['user_code']}" and len(login["user_code"]) == 9
    assert polled(demo, login)["error"] == "authorization_pending"
    assert polled(demo, login, client_id="other")["error"] == "invalid_grant"
    for resource in ("https://other.example", demo.mcp + "2", None):
        assert polled(demo, login, resource=resource)["error"] == "invalid_target", resource
    assert ask(demo.issuer + "/device_authorization")[0] == 405
    assert 'name="user_code"' in ask(login["verification_uri"])[2] and "tools:admin" in ask(login["verification_uri_complete"])[2]
    assert ask(login["verification_uri"] + "?user_code=AAAA-AAAA")[0] == 400
    assert ask(login["verification_uri_complete"] + "&decision=allow")[0] == 200
    assert polled(demo, login)["error"] == "authorization_pending", "a link is no answer"
    assert "tools:admin" in ask(login["verification_uri"], {"user_code": login["user_code"]})[2]
    said = {"user_code": login["user_code"], "decision": "allow"}
    assert ask(login["verification_uri"], said)[0] == 200 and ask(login["verification_uri"], said)[0] == 400
    got = polled(demo, login)
    assert "tools:admin" in got["scope"] and got["refresh_token"] and calls(stack, demo, got["access_token"]) == 200, got
    assert polled(demo, login)["error"] == "invalid_grant", "a second time"
    assert refusal(demo, "refresh_token", client_id="other", refresh_token=got["refresh_token"]) == "invalid_grant"
    assert demo.counters()["device_polls"] == 8 and demo.counters()["consents"] == 1


def a_device_login_ends_without_tokens_too(stack):
    demo = Demo(stack, "--device", "--device-interval=0", "--client=app")
    first, second, third = (device_login(demo) for _ in range(3))
    assert demo.answer_device("deny", first["user_code"]) == 1
    assert demo.answer_device("expire", second["user_code"]) == 1
    assert [polled(demo, login).get("error") for login in (first, second, third)] == ["access_denied", "expired_token", "authorization_pending"]
    assert demo.answer_device() == 1
    assert "access_token" in polled(demo, third) and polled(demo, first)["error"] == "access_denied"
    for form, error in (({"scope": "root"}, "invalid_scope"), ({"resource": None}, "invalid_target"), ({"client_id": "nobody"}, "invalid_client")):
        answer = ask(demo.issuer + "/device_authorization", {"client_id": "app", "resource": demo.mcp, **form})[2]
        assert answer["error"] == error, answer
    deny = Demo(stack, "--device", "--client=app", "--auto-deny")
    assert polled(deny, device_login(deny))["error"] == "access_denied"
    off = Demo(stack, "--client=app")
    assert ask(off.issuer + "/device_authorization", {"client_id": "app"})[0] == 404 and ask(off.issuer + "/device")[0] == 404
    assert refusal(off, DEVICE_CODE, client_id="app", device_code="x") == "unsupported_grant_type"


def who_polls_too_often_is_slowed_down(stack):
    key = workload.Key()
    demo = Demo(stack, "--device", "--device-interval=3600", "--client=app", "--auto-consent", "--dpop=offered")
    login = device_login(demo)
    assert login["interval"] == 3600
    got = bound(demo, key, grant=DEVICE_CODE, client_id="app", device_code=login["device_code"])[2]
    assert got["token_type"] == "DPoP" and proven(stack, demo, key, got["access_token"])[0] == 200
    assert refusal(demo, "refresh_token", client_id="app", refresh_token=got["refresh_token"]) == "invalid_grant", "bound as well"
    waiting = Demo(stack, "--device", "--device-interval=3600", "--client=app")
    login = device_login(waiting)
    assert [polled(waiting, login)["error"] for _ in range(3)] == ["authorization_pending", "slow_down", "slow_down"]
    waiting.answer_device()
    assert polled(waiting, login)["error"] == "slow_down" and waiting.counters()["slow_downs"] == 3


def a_client_registers_for_grants_without_a_browser(stack):
    demo = Demo(stack, "--device", "--auto-consent")
    status, client = registration(demo, grant_types=[DEVICE_CODE, "refresh_token"], token_endpoint_auth_method="none")
    assert status == 201 and client["grant_types"] == ["refresh_token", DEVICE_CODE] and client["response_types"] == [], client
    mine = {"client_id": client["client_id"]}
    assert "refresh_token" in polled(demo, device_login(demo, **mine), **mine)
    assert ask(demo.issuer + "/authorize?" + urllib.parse.urlencode({**mine, "redirect_uri": "http://127.0.0.1:1/cb"}))[0] == 400
    status, client = registration(demo, redirect_uris=["http://127.0.0.1/cb"], token_endpoint_auth_method="none")
    answer = ask(demo.issuer + "/device_authorization", {"client_id": client["client_id"], "resource": demo.mcp})[2]
    assert answer["error"] == "unauthorized_client" and client["grant_types"] == ["authorization_code"], answer
    assert registration(demo, token_endpoint_auth_method="none")[1]["error"] == "invalid_redirect_uri"
    assert registration(demo, grant_types=[DEVICE_CODE], redirect_uris=[])[1]["error"] == "invalid_redirect_uri"


EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
KIND = "urn:ietf:params:oauth:token-type:"


def exchanged(demo, subject, kind="access_token", actor=None, actor_kind="jwt", **form):
    actor = {"actor_token": actor, "actor_token_type": KIND + actor_kind} if actor else {}
    return tokens(demo, EXCHANGE, **{"subject_token": subject, "subject_token_type": KIND + kind, **actor, **form})


def a_token_is_exchanged_and_says_who_acts(stack):
    demo, key, _ = cluster(stack, "--token-exchange", "--client=app", "--client=bot:secret", "--auto-consent",
                           allow=("tools/agent=tools:generate_summary", "tools/second=tools:generate_summary tools:admin"))
    assert EXCHANGE in metadata(demo)["grant_types_supported"]
    login = code_flow(demo, scope="tools:generate_summary tools:admin")
    person = tokens(demo, login.pop("grant"), **login)["access_token"]
    got = exchanged(demo, person, actor=account_token(demo, key), client_id="app")
    assert got["issued_token_type"] == KIND + "access_token" and "refresh_token" not in got, got
    assert got["scope"] == "tools:generate_summary", "what both may"
    assert calls(stack, demo, got["access_token"]) == 200
    agent, second = ("system:serviceaccount:tools:" + name for name in ("agent", "second"))
    assert demo.requests("mcp")[-1]["who"] == {"client": "app", "subject": "app", "act": {"sub": agent}, "jkt": None}
    again = exchanged(demo, got["access_token"], actor=account_token(demo, key, account="second"), **BOT)
    assert calls(stack, demo, again["access_token"]) == 200
    assert demo.requests("mcp")[-1]["who"]["act"] == {"sub": second, "act": {"sub": agent}}
    plain = exchanged(demo, again["access_token"], requested_token_type=KIND + "access_token", audience=demo.issuer, **BOT)
    assert calls(stack, demo, plain["access_token"]) == 200
    assert demo.requests("mcp")[-1]["who"]["act"]["sub"] == second, "who acted before is not forgotten"
    alone = exchanged(demo, account_token(demo, key), "jwt")
    assert calls(stack, demo, alone["access_token"]) == 200 and demo.requests("mcp")[-1]["who"]["subject"] == agent
    assert demo.requests("mcp")[-1]["who"]["act"] is None
    assert exchanged(demo, account_token(demo, key), "jwt", may_act=1, **BOT)["scope"] == "tools:generate_summary"


def an_exchange_is_refused_for_what_is_wrong_in_it(stack):
    key = workload.Key()
    demo, cluster_key, _ = cluster(stack, "--token-exchange", "--client=app", "--client=bot:secret", "--dpop=offered")
    subject = tokens(demo, "client_credentials", **BOT)["access_token"]
    good, strange = account_token(demo, cluster_key), account_token(demo, cluster_key, namespace="ops")
    for form, error in (({"subject": "at_unknown"}, "invalid_request"), ({"kind": "saml2"}, "invalid_request"), ({"kind": "jwt"}, "invalid_request"),
                        ({"actor": strange}, "invalid_request"), ({"actor": good, "actor_kind": "access_token"}, "invalid_request"),
                        ({"actor": good, "actor_token_type": None}, "invalid_request"), ({"actor_token_type": KIND + "jwt"}, "invalid_request"),
                        ({"requested_token_type": KIND + "id-jag"}, "invalid_request"), ({"audience": "https://other.example"}, "invalid_target"),
                        ({"resource": "https://other.example"}, "invalid_target"), ({"scope": "tools:admin"}, "invalid_scope"),
                        ({"client_id": "app", "client_secret": None}, "unauthorized_client"), ({"client_secret": "wrong"}, "invalid_client"),
                        ({"client_id": None, "client_secret": None}, "invalid_client"), ({"subject_token_type": None}, "invalid_request"),
                        ({"subject": strange, "kind": "jwt"}, "invalid_request"),
                        ({"subject": account_token(demo, cluster_key, may_act={"sub": "somebody"}), "kind": "jwt", "actor": good}, "invalid_request")):
        form = {"subject": subject, **BOT, **form}
        assert exchanged(demo, form.pop("subject"), **form).get("error") == error, form
    named = account_token(demo, cluster_key, may_act={"sub": "system:serviceaccount:tools:agent"})
    assert "access_token" in exchanged(demo, named, "jwt", actor=good, **BOT)
    token = bound(demo, key)[2]["access_token"]
    assert exchanged(demo, token, **BOT)["error"] == "invalid_request", "bound, and no proof"
    form = {"grant": EXCHANGE, "subject_token": token, "subject_token_type": KIND + "access_token", **BOT}
    assert bound(demo, workload.Key(), **form)[2]["error"] == "invalid_request"
    got = bound(demo, key, **form)[2]
    assert got["token_type"] == "DPoP" and proven(stack, demo, key, got["access_token"])[0] == 200
    ask(demo.issuer + "/revoke", {"token": subject, **BOT})
    assert exchanged(demo, subject, **BOT)["error"] == "invalid_request", "revoked"
    assert {subject, good} <= set(demo.secrets()["assertions"])
    off = Demo(stack, "--client=bot:secret")
    assert exchanged(off, "x", **BOT)["error"] == "unsupported_grant_type"


JAG = {"requested_token_type": KIND + "id-jag"}


def with_idp(stack, *options):
    """A demo server with its identity provider: the server, the provider's issuer, and what a login there gave."""
    demo = Demo(stack, "--idp", "--client=bot:secret", "--client=other:secret", "--client=app", "--auto-consent", *options)
    idp = demo.idp
    login = code_flow(demo, idp, resource=False, client_id="bot", scope="openid email offline_access", nonce="n-1")
    login["grant_type"] = login.pop("grant")
    status, _, got = ask(idp + "/token", {**login, **BOT})
    assert status == 200, got
    return demo, idp, got


def jag_of(demo, idp, login, headers=None, **form):
    """What the identity provider says to the first step."""
    return ask(idp + "/token", {"grant_type": EXCHANGE, **JAG, "subject_token": login["id_token"], "subject_token_type": KIND + "id_token",
                                "audience": demo.issuer, "resource": demo.mcp, "scope": "tools:generate_summary", **BOT, **form},
               **(headers or {}))[2]


def an_identity_provider_logs_the_person_in(stack):
    demo, idp, login = with_idp(stack)
    meta = metadata(demo, idp)
    assert meta == ask(idp + "/.well-known/openid-configuration")[2] and meta["issuer"] == idp != demo.issuer
    assert EXCHANGE in meta["grant_types_supported"] and "registration_endpoint" not in meta
    head, claims = claims_of(login["id_token"])
    assert {k: claims[k] for k in ("iss", "aud", "sub", "nonce", "email")} == {
        "iss": idp, "aud": "bot", "sub": "person-1", "nonce": "n-1", "email": "person@example.com"}
    jwks = ask(meta["jwks_uri"])[2]
    assert [key["kid"] for key in jwks["keys"]] == [head["kid"]] and head["alg"] == "ES256"
    assert verified(scratch(stack), login["id_token"], jwks["keys"][0]), "the openssl command says so too"
    assert not verified(scratch(stack), login["id_token"], workload.Key().jwk)
    _, _, again = ask(idp + "/token", {"grant_type": "refresh_token", "refresh_token": login["refresh_token"], **BOT})
    assert "nonce" not in claims_of(again["id_token"])[1] and again["refresh_token"]
    assert calls(stack, demo, login["access_token"]) == 401, "good at the provider alone"
    assert refusal(demo, "refresh_token", refresh_token=again["refresh_token"], **BOT) == "invalid_grant"
    assert ask(idp + "/register", {})[0] == 404
    assert ask(idp + "/token", {"grant_type": "client_credentials", **BOT})[2]["error"] == "unsupported_grant_type"
    assert demo.count("idp") > 0 and demo.count("token") == 0
    demo.fault("status:idp@/token=503!1")
    assert ask(idp + "/token", {})[0] == 503


def verified(folder, jwt, jwk):
    """Whether the key made the signature (ES256), as the openssl command sees it."""
    def number(raw):
        raw = raw.lstrip(b"\0") or b"\0"
        return (lambda b: b"\x02" + bytes([len(b)]) + b)(b"\0" + raw if raw[0] & 0x80 else raw)
    point = b"\4" + b"".join(base64.urlsafe_b64decode(jwk[name] + "=") for name in ("x", "y"))
    spki = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200") + point
    text, _, signature = jwt.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    pair = number(raw[:32]) + number(raw[32:])
    for name, data in (("key", spki), ("text", text.encode()), ("sig", b"\x30" + bytes([len(pair)]) + pair)):
        (folder / name).write_bytes(data)
    return subprocess.run(["openssl", "dgst", "-sha256", "-keyform", "DER", "-verify", str(folder / "key"), "-signature", str(folder / "sig"),
                           str(folder / "text")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def an_id_jag_goes_from_the_provider_to_the_issuer(stack):
    demo, idp, login = with_idp(stack)
    meta = metadata(demo)
    assert JWT_BEARER in meta["grant_types_supported"]
    assert meta["authorization_grant_profiles_supported"] == ["urn:ietf:params:oauth:grant-profile:id-jag"]
    first = jag_of(demo, idp, login)
    assert (first["issued_token_type"], first["token_type"]) == (KIND + "id-jag", "N_A") and "refresh_token" not in first, first
    assert first["scope"] == claims_of(first["access_token"])[1]["scope"] == "tools:generate_summary"
    head, claims = claims_of(first["access_token"])
    assert head["typ"] == "oauth-id-jag+jwt" and claims["client_id"] == "bot" and claims["aud"] == demo.issuer and claims["resource"] == demo.mcp
    assert calls(stack, demo, first["access_token"]) == 401, "it is no access token"
    got = tokens(demo, JWT_BEARER, assertion=first["access_token"], **BOT)
    assert got["scope"] == "tools:generate_summary" and "refresh_token" not in got and calls(stack, demo, got["access_token"]) == 200
    assert demo.requests("mcp")[-1]["who"]["subject"] == "person-1"
    assert refusal(demo, JWT_BEARER, assertion=first["access_token"], **BOT) == "invalid_grant", "a second use"
    by_refresh = jag_of(demo, idp, login, subject_token=login["refresh_token"], subject_token_type=KIND + "refresh_token", resource=None, scope=None)
    got = tokens(demo, JWT_BEARER, assertion=by_refresh["access_token"], **BOT)
    assert got["scope"] == "tools:generate_summary" and calls(stack, demo, got["access_token"]) == 200
    given = tokens(demo, JWT_BEARER, assertion=jag_of(demo, idp, login)["access_token"], resource=None, **BOT)
    assert calls(stack, demo, given["access_token"]) == 200, "the ID-JAG says the resource"
    assert first["access_token"] in demo.secrets()["assertions"]


def an_id_jag_is_refused_at_either_end(stack):
    demo, idp, login = with_idp(stack)
    stranger = workload.Key()
    forged = stranger.sign({**claims_of(login["id_token"])[1]}, typ="JWT")
    for form, error in (({"subject_token": forged}, "invalid_request"), ({"subject_token": login["access_token"]}, "invalid_request"),
                        ({"subject_token_type": KIND + "access_token"}, "invalid_request"), ({"subject_token_type": None}, "invalid_request"),
                        ({"requested_token_type": KIND + "access_token"}, "invalid_request"), ({"requested_token_type": None}, "invalid_request"),
                        ({"audience": "https://other.example"}, "invalid_target"), ({"audience": None}, "invalid_target"),
                        ({"resource": "https://other.example"}, "invalid_target"), ({"scope": "root"}, "invalid_scope"),
                        ({"client_id": "other"}, "invalid_request"), ({"client_secret": "wrong"}, "invalid_client"),
                        ({"client_id": "app", "client_secret": None}, "unauthorized_client"),
                        ({"subject_token": login["refresh_token"] + "x", "subject_token_type": KIND + "refresh_token"}, "invalid_request"),
                        ({"subject_token": login["refresh_token"], "subject_token_type": KIND + "access_token"}, "invalid_request"),
                        ({"subject_token": login["refresh_token"], "subject_token_type": KIND + "refresh_token", "client_id": "other"},
                         "invalid_request")):
        assert jag_of(demo, idp, login, **form).get("error") == error, form
    good = jag_of(demo, idp, login)["access_token"]
    assert jag_of(demo, idp, login, subject_token=good)["error"] == "invalid_request", "an ID-JAG is no ID token"
    claims = claims_of(good)[1]
    forged = stranger.sign({**claims, "jti": "x"}, typ="oauth-id-jag+jwt")
    second = jag_of(demo, idp, login, scope="tools:admin")["access_token"]
    for form, error in (({"assertion": forged, **BOT}, "invalid_grant"), ({"assertion": login["id_token"], **BOT}, "invalid_grant"),
                        ({"assertion": good, "client_id": "other", "client_secret": "secret"}, "invalid_grant"), ({"assertion": good}, "invalid_client"),
                        ({"assertion": second, "scope": "tools:generate_summary", **BOT}, "invalid_scope"),
                        ({"assertion": good, "resource": demo.mcp + "2", **BOT}, "invalid_target"), ({"assertion": "x", **BOT}, "invalid_grant")):
        assert refusal(demo, JWT_BEARER, **form) == error, form
    elsewhere = with_idp(stack)[0]
    assert refusal(elsewhere, JWT_BEARER, assertion=jag_of(demo, idp, login)["access_token"], **BOT) == "invalid_grant"
    plain = Demo(stack, "--client=bot:secret")
    by_refresh = {"subject_token": login["refresh_token"], "subject_token_type": KIND + "refresh_token"}
    assert "access_token" in jag_of(demo, idp, login, **by_refresh)
    fresh = ask(idp + "/token", {"grant_type": "refresh_token", "refresh_token": login["refresh_token"], **BOT})[2]["refresh_token"]
    assert jag_of(demo, idp, login, **by_refresh)["error"] == "invalid_request", "used up"
    assert "access_token" in jag_of(demo, idp, login, **{**by_refresh, "subject_token": fresh})
    ask(idp + "/revoke", {"token": fresh, **BOT})
    assert jag_of(demo, idp, login, **{**by_refresh, "subject_token": fresh})["error"] == "invalid_request", "revoked"
    assert plain.idp is None and refusal(plain, JWT_BEARER, assertion=good, **BOT) == "unsupported_grant_type"


def an_id_jag_is_bound_to_the_key_that_asked_for_it(stack):
    key = workload.Key()
    demo, idp, login = with_idp(stack, "--dpop=offered")
    def asked():
        jag = jag_of(demo, idp, login, headers={"DPoP": proof(key, "POST", idp + "/token")})["access_token"]
        assert claims_of(jag)[1]["cnf"] == {"jkt": key.thumbprint()}
        return {"grant": JWT_BEARER, "assertion": jag, **BOT}
    one = asked()
    assert refusal(demo, one["grant"], assertion=one["assertion"], **BOT) == "invalid_grant"
    assert bound(demo, workload.Key(), **one)[2]["error"] == "invalid_grant"
    got = bound(demo, key, **one)[2]
    assert got["token_type"] == "DPoP" and proven(stack, demo, key, got["access_token"])[0] == 200
    free = jag_of(demo, idp, login)
    assert "cnf" not in claims_of(free["access_token"])[1]


TESTS = [value for value in list(globals().values())
         if callable(value) and getattr(value, "__module__", None) == "__main__" and value.__name__.count("_") > 2]

if __name__ == "__main__":
    sys.exit(Tap().run(TESTS))
