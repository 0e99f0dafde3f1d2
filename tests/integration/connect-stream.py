#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mcp-connect and what streams, sessions and servers do: resumed, lost, cut, flooded, gone and back. Each has one outcome."""

import contextlib
import os
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../conformance"))
from harness import PATIENCE, Broker, Demo, Tap, program, until  # noqa: E402
from host import Host, Refused  # noqa: E402
from rough import is_built_for_checking, memory  # noqa: E402

SUMMARY = {"text": "One. Two. Three."}
MIB = 1024 * 1024
PEAK = "VmHWM"


class Bridge(Host):
    """A host that keeps what it is told unasked, and may be slow to read."""

    def __init__(self, stack, broker, demo, *options, capabilities=None):
        self.notes = []
        self.gate = threading.Event()
        self.gate.set()
        super().__init__([program("mcp-connect"), *options, demo.mcp], broker.env, modern=False, capabilities=capabilities)
        stack.callback(self.end)

    def take(self, message):
        self.gate.wait(PATIENCE)
        if "method" in message and "id" not in message:
            self.notes.append(message)
        super().take(message)

    def end(self):
        self.close()
        assert not self.faults, self.faults

    def summary(self, **more):
        return self.call("generate_summary", SUMMARY, **more)["content"]

    def opened(self):
        self.open()
        return self


def stage(stack, *options):
    demo = Demo(stack, "--auto-consent", "--open", *options)
    return demo, Broker(stack)


def refused(what):
    try:
        what()
    except Refused as e:
        return e.error
    raise AssertionError("there was no error")


def last(demo, **members):
    """The latest request that fits."""
    return next(r for r in reversed(demo.requests("mcp")) if all(r[k] == v for k, v in members.items()))


# --- streams ----------------------------------------------------------------------------------------------------

def an_answer_may_be_json_or_a_stream_and_pretty(stack):
    demo, broker = stage(stack)
    plain = Bridge(stack, broker, demo).opened()
    assert plain.summary()
    demo.fault("pretty:mcp!1")
    assert plain.summary()
    streaming = Demo(stack, "--auto-consent", "--open", "--sse")
    assert Bridge(stack, broker, streaming).opened().summary()


def the_servers_own_stream_is_open_before_anything_else_is_asked(stack):
    demo, broker = stage(stack, "--stream")
    host = Bridge(stack, broker, demo).opened()
    host.summary()
    order = [(r["method"], r["label"]) for r in demo.requests("mcp")]
    assert [m for m, _ in order] == ["POST", "POST", "GET", "POST"], order
    demo.ask("POST", "/push", {"to": "get", "script": [{"notify": 3}]})
    until("three notifications arrive", lambda: len(host.notes) == 3)


def the_servers_requests_reach_the_host_and_its_answers_the_server(stack):
    demo, broker = stage(stack, "--stream")
    host = Bridge(stack, broker, demo, capabilities={"roots": {}}).opened()
    host.answers["roots/list"] = lambda params: {"roots": [{"uri": "file:///x"}]}
    host.summary()
    demo.ask("POST", "/push", {"to": "get", "script": [{"ask": "roots/list", "wait": True}, {"notify": 1}]})
    until("the server goes on after the answer", lambda: host.notes)
    assert [r for r in demo.requests("mcp") if "file:///x" in (r["body"] or "")]


def a_stream_that_ends_early_is_resumed_after_the_pause_it_asked_for(stack):
    demo, broker = stage(stack, "--stream", "--event-ids")
    host = Bridge(stack, broker, demo).opened()
    demo.ask("POST", "/script", {"method": "tools/call", "script": [
        {"retry": 300}, {"close": True}, {"resumed": True}, {"answer": True}]})
    assert host.summary()
    call = last(demo, label="tools/call")
    resume = next(r for r in demo.requests("mcp") if "last-event-id" in r["headers"])
    assert resume["msec"] - call["msec"] >= 300, (call["msec"], resume["msec"])
    assert demo.stats()["methods"]["tools/call"] == 1


def sockets(pid):
    """How many it has open."""
    found = 0
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            found += os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:")
    return found


def a_resumed_stream_that_stays_open_behind_its_answer_is_let_go(stack):
    demo, broker = stage(stack, "--stream", "--event-ids")
    host = Bridge(stack, broker, demo).opened()
    host.summary()
    demo.ask("POST", "/close-idle", {})
    demo.ask("POST", "/script", {"method": "tools/call", "script": [
        {"retry": 100}, {"close": True}, {"resumed": True}, {"answer": True}, {"hold": True}]})
    assert host.summary()
    with_it = sockets(host.process.pid)
    until("the bridge closes it", lambda: sockets(host.process.pid) < with_it)
    demo.release("mcp")


def a_stream_without_ids_that_ends_early_is_an_error_and_not_repeated(stack):
    demo, broker = stage(stack)
    host = Bridge(stack, broker, demo).opened()
    demo.ask("POST", "/script", {"method": "tools/call", "script": [{"notify": 1}, {"cut": True}]})
    error = refused(host.summary)
    assert error["code"] == -32000 and "may have" in error["message"], error
    assert demo.stats()["methods"]["tools/call"] == 1


def a_call_that_is_cancelled_is_cancelled_at_the_server(stack):
    demo, broker = stage(stack)
    host = Bridge(stack, broker, demo).opened()
    host.summary()
    demo.ask("POST", "/script", {"method": "tools/call", "script": [{"notify": 1}, {"hold": True}, {"close": True}]})
    call = threading.Thread(target=lambda: silent(host.summary), daemon=True)
    call.start()
    until("the call is under way", lambda: host.notes)
    host.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": host.last_id}})
    until("the server has heard", lambda: demo.stats()["methods"].get("notifications/cancelled"))
    demo.release("mcp")
    assert host.summary()


def silent(what):
    with contextlib.suppress(Exception):
        what()


# --- sessions ---------------------------------------------------------------------------------------------------

def session_and_version_go_with_every_request_and_the_end_is_told(stack):
    demo, broker = stage(stack, "--strict", "--require-session")
    with contextlib.ExitStack() as inner:
        host = Bridge(inner, broker, demo).opened()
        assert host.summary()
        headers = last(demo, label="tools/call")["headers"]
        assert headers["mcp-session-id"] and headers["mcp-protocol-version"] == "2025-11-25", headers
    assert last(demo, method="DELETE")["headers"]["mcp-session-id"] == headers["mcp-session-id"]


def a_session_that_is_lost_is_begun_anew_and_the_request_repeated(stack):
    for fault in ((), ("plain-404",)):
        demo, broker = stage(stack, "--stream", "--require-session")
        demo.fault(*fault)
        host = Bridge(stack, broker, demo).opened()
        host.summary()
        demo.ask("POST", "/lose-sessions", {})
        assert host.summary()
        methods = demo.stats()["methods"]
        assert methods["initialize"] == 2 and methods["notifications/initialized"] == 2, methods
        assert methods["tools/call"] == 3, methods  # one that the server refused


def requests_in_flight_when_a_session_is_lost_are_all_answered(stack):
    demo, broker = stage(stack, "--require-session")
    host = Bridge(stack, broker, demo).opened()
    demo.ask("POST", "/lose-sessions", {})
    results = []
    threads = [threading.Thread(target=lambda: results.append(host.summary())) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(PATIENCE)
    assert len(results) == 8 and demo.stats()["methods"]["initialize"] == 2


def a_late_word_of_the_last_session_does_not_end_the_next(stack):
    demo, broker = stage(stack, "--require-session")
    host = Bridge(stack, broker, demo).opened()
    demo.lose_sessions()
    demo.fault("hang-after:mcp@tools/call!1")
    results = []
    late = threading.Thread(target=lambda: results.append(host.summary()))
    late.start()
    demo.wait(held={"mcp": 1})
    assert host.summary()
    demo.release("mcp")
    late.join(PATIENCE)
    assert results and demo.stats()["methods"]["initialize"] == 2, demo.stats()["methods"]


def a_token_that_is_revoked_in_mid_stream_costs_neither_the_stream_nor_the_session(stack):
    demo = Demo(stack, "--auto-consent", "--stream", "--require-session")
    broker = Broker(stack)
    broker.add(demo.mcp)
    host = Bridge(stack, broker, demo).opened()
    demo.ask("POST", "/script", {"method": "tools/call", "script": [{"notify": 1}, {"hold": True}, {"answer": True}]})
    begun = demo.stats()["methods"]["initialize"]
    results = []
    call = threading.Thread(target=lambda: results.append(host.summary()))
    call.start()
    until("the call is under way", lambda: host.notes)
    demo.fault("refuse-early")
    demo.release("mcp")
    call.join(PATIENCE)
    assert results, "the stream that was open went on"
    assert host.summary()
    demo.ask("POST", "/push", {"to": "get", "script": [{"notify": 1}]})
    until("the server's own stream is still there", lambda: len(host.notes) == 2)
    assert demo.count("refresh") == 1 and demo.count("authorize") == 1
    assert demo.stats()["methods"]["initialize"] == begun


# --- servers ----------------------------------------------------------------------------------------------------

def a_server_that_goes_away_and_comes_back_is_found_again(stack):
    demo, broker = stage(stack)
    host = Bridge(stack, broker, demo).opened()
    host.summary()
    port = demo.mcp.split(":")[2].split("/")[0]
    demo.stop()
    result = []
    call = threading.Thread(target=lambda: result.append(host.summary()))
    call.start()
    back = Demo(stack, "--auto-consent", "--open", f"--port={port}")
    call.join(PATIENCE)
    assert result and back.stats()["methods"]["initialize"] == 1


def a_server_that_is_not_there_is_an_error_that_says_so(stack):
    demo, broker = stage(stack)
    host = Bridge(stack, broker, demo).opened()
    demo.stop()
    error = refused(host.summary)
    assert error["data"]["code"] == "server_unreachable" and "could not be reached" in error["message"], error


def what_no_server_should_answer_is_an_error_each(stack):
    demo, broker = stage(stack)
    host = Bridge(stack, broker, demo).opened()
    for fault, word in (("garbage:mcp@tools/call!1", "not JSON"),
                        ("wrong-id:mcp@tools/call!1", "no response"),
                        ("html:mcp@tools/call!1", "no response"),
                        ("status:mcp@tools/call=500!1", "HTTP 500"),
                        ("status:mcp@tools/call=202!1", "no response"),
                        ("truncated:mcp@tools/call!1", "may have"),
                        ("cut:mcp@tools/call!1", "may have"),
                        ("drop-after-request:mcp@tools/call!1", "may have"),
                        ("redirect:mcp@tools/call=http://127.0.0.1:1/mcp!1", "HTTP 307")):
        demo.fault(fault)
        error = refused(host.summary)
        assert error["code"] == -32000 and word in error["message"], (fault, error)
        assert host.summary(), fault


def a_call_is_sent_once_whatever_becomes_of_the_connection(stack):
    demo, broker = stage(stack)
    host = Bridge(stack, broker, demo).opened()
    host.summary()
    demo.fault("drop-after-request:mcp@tools/call!1")
    refused(host.summary)
    assert demo.counters()["tool_calls"] == 2


def a_connection_that_was_closed_while_idle_costs_nothing(stack):
    demo, broker = stage(stack)
    host = Bridge(stack, broker, demo).opened()
    host.summary()
    assert demo.ask("POST", "/close-idle", {})["closed"] >= 1
    assert host.summary()


def a_server_that_asks_for_patience_gets_it(stack):
    demo, broker = stage(stack)
    host = Bridge(stack, broker, demo).opened()
    demo.fault("status503-once:mcp@tools/call=1")
    assert host.summary()
    demo.fault("status:mcp@tools/call=429!1", "header:mcp@tools/call=Retry-After: 3600!1")
    assert "HTTP 429" in refused(host.summary)["message"]


def a_redirect_within_the_server_is_followed(stack):
    demo, broker = stage(stack, "--second-resource")
    host = Bridge(stack, broker, demo).opened()
    demo.fault(f"redirect:mcp@tools/call={demo.mcp}2!1")
    assert host.summary()
    assert last(demo, label="tools/call")["path"] == "/mcp2"


def the_old_transport_is_found_and_works(stack):
    demo, broker = stage(stack, "--http-sse")
    host = Bridge(stack, broker, demo).opened()
    assert host.summary()
    assert Bridge(stack, broker, demo, "--transport=sse-only").opened().summary()
    assert "HTTP 4" in refused(Bridge(stack, broker, demo, "--transport=http-only").open)["message"]
    new, _ = stage(stack)
    assert Bridge(stack, broker, new, "--transport=sse-first").opened().summary()


def batches_of_2025_03_26_are_answered_as_one(stack):
    demo, broker = stage(stack, "--protocol=2025-03-26")
    host = Bridge(stack, broker, demo)
    host.version = "2025-03-26"
    batches = []
    take = host.take
    host.take = lambda message: batches.append(message) if isinstance(message, list) else take(message)
    host.open()
    host.send([{"jsonrpc": "2.0", "id": "a", "method": "ping"}, {"jsonrpc": "2.0", "method": "notifications/x"},
               {"jsonrpc": "2.0", "id": "b", "method": "tools/list"}])
    until("one answer to both", lambda: batches)
    assert sorted(m["id"] for m in batches[0]) == ["a", "b"], batches


# --- bounds -----------------------------------------------------------------------------------------------------

def an_answer_of_100_mb_is_refused_and_one_of_16_passes(stack):
    demo, broker = stage(stack)
    host = Bridge(stack, broker, demo).opened()
    demo.fault("big:mcp@tools/call=16!1")
    assert host.summary()
    demo.fault("big:mcp@tools/call=100!1")
    error = refused(host.summary)
    assert "longer than is allowed" in error["message"], error
    assert host.summary()
    small = Bridge(stack, broker, demo, "--max-message=1M").opened()
    demo.fault("big:mcp@tools/call=16!1")
    refused(small.summary)
    assert memory(small.process.pid, PEAK) < memory(host.process.pid, PEAK)


def a_host_that_does_not_read_10000_notifications_costs_no_memory(stack):
    demo, broker = stage(stack, "--stream")
    host = Bridge(stack, broker, demo).opened()
    host.summary()
    # A sanitizer keeps what was freed for a while.
    bound = (400 if is_built_for_checking(broker) else 40) * MIB
    before = memory(host.process.pid, PEAK)
    host.gate.clear()
    for _ in range(10):
        demo.ask("POST", "/push", {"to": "get", "script": [{"notify": 1000, "params": {"data": "x" * 10000}}]})
    assert memory(host.process.pid, PEAK) - before < bound
    host.gate.set()
    until("all arrive", lambda: len(host.notes) == 10000)
    assert memory(host.process.pid, PEAK) - before < bound, memory(host.process.pid, PEAK) - before
    assert host.summary()


TESTS = [value for name, value in list(globals().items())
         if callable(value) and getattr(value, "__module__", None) == "__main__" and "_" in name and not name.startswith("_")]

if __name__ == "__main__":
    sys.exit(Tap().run(TESTS))
