#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demo server as the other side of a transport: what it is told to do it does, and what it sees it tells."""

import http.client
import json
import os
import sys
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import PATIENCE, Demo, Tap  # noqa: E402

BOTH = "application/json, text/event-stream"
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


TESTS = [value for value in list(globals().values())
         if callable(value) and getattr(value, "__module__", None) == "__main__" and value.__name__.count("_") > 2]

if __name__ == "__main__":
    sys.exit(Tap().run(TESTS))
