#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fifty processes ask at the moment a token expires: one refresh serves them all, also across a restart of the daemon.

The issuer holds the answer to the refresh until all fifty are parked, and revokes the whole family of a refresh token
that comes twice. The processes are real ones, each with a connection of its own.
"""

import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Broker, Demo, Rpc, RpcError, Tap, mcp_call, until  # noqa: E402

PROCESSES = 50
ROUNDS = 20
# Tokens that are in use are refreshed when four fifths of their life are over, and serve nobody who wants half of it.
TTL = 2


def begin(stack, ttl=TTL, **kwargs):
    """A grant whose next refresh is held at the issuer, before it is executed."""
    demo = Demo(stack, "--auto-consent", "--access-ttl", str(ttl))
    broker = Broker(stack, **kwargs)
    broker.add(demo.mcp)
    demo.hold("refresh")
    return demo, broker


def expire(demo, broker):
    """Until a refresh is held: the token is at its end. Returns those that wait for it already."""
    first = broker.quick("mcp-token", "--no-login", demo.mcp)
    demo.wait(held={"refresh": 1})
    until("it has its token or waits", lambda: first.poll() is not None or waiting(broker) == 1)
    if first.poll() is None:
        return [first]
    out, err = first.communicate()
    assert out and first.returncode == 0, err
    return []


def ask(demo, broker, n):
    return [broker.quick("mcp-token", "--no-login", demo.mcp) for _ in range(n)]


def waiting(broker):
    out, err = broker.quick("mcp-brokerctl", "status", "--json").communicate()
    assert out, err
    return json.loads(out)["counts"]["waiting"]


def parked(broker, n):
    until(f"{n} processes wait", lambda: waiting(broker) == n)


def is_stopping(watch):
    """As a client sees it: before that, the answer is that there is no such server."""
    try:
        watch.call("token.get", server="nobody")
    except RpcError as error:
        return error.code == "stopping"
    raise AssertionError("a token for nobody")


def answers(processes):
    """What each of them got: a token, and it is the same for all."""
    tokens = []
    for process in processes:
        out, err = process.communicate()
        assert process.returncode == 0, (process.returncode, err)
        tokens.append(out)
    assert len(set(tokens)) == 1, set(tokens)
    return tokens[0]


def unharmed(demo, n_refreshes):
    counters = demo.counters()
    assert counters["refreshes"] == n_refreshes, counters
    assert counters["reuse_detected"] == 0 and counters["families_revoked"] == 0, counters


def report(what, n_rounds, begun, demo):
    counters = demo.counters()
    print(f"# {what}: {n_rounds} rounds of {PROCESSES} processes in {time.monotonic() - begun:.1f} s, "
          f"{counters['refreshes']} refreshes, {counters['reuse_detected']} tokens used twice, "
          f"{counters['families_revoked']} families revoked", flush=True)


# A145 A146 A149 S6
def fifty_processes_at_the_moment_of_expiry_cost_one_refresh_a_round(stack):
    demo, broker = begin(stack)
    begun = time.monotonic()
    token = None
    for n in range(ROUNDS):
        old = token
        processes = expire(demo, broker)
        processes += ask(demo, broker, PROCESSES - len(processes))
        parked(broker, PROCESSES)
        assert demo.stats()["held"]["refresh"] == 1
        demo.release("refresh", 1)
        token = answers(processes)
        assert token != old
        assert demo.counters()["refreshes"] == n + 1
    assert mcp_call(demo.mcp, token.strip())[0] in (200, 401)  # 401: it lived for two seconds
    unharmed(demo, ROUNDS)
    report("one daemon", ROUNDS, begun, demo)
    assert broker.servers()[0]["state"] in ("ready", "refreshing")


# A145 A146 S6
def a_clean_restart_in_mid_round_loses_no_answer_and_no_login(stack):
    # What is asked again of the next daemon may take a while, so the tokens live long, and end by being refused.
    demo, broker = begin(stack, ttl=3600, activated=True)
    begun = time.monotonic()
    for n in range(ROUNDS):
        watch = Rpc(broker.socket)
        token_id = watch.call("token.get", server=demo.mcp)["token_id"]
        assert watch.call("token.reject", server=demo.mcp, token_id=token_id)["rejected"] is True
        # All fifty wait when it is told to stop; or half of them, and the others find nobody who answers until the next one
        # is there; or nobody looks where they are.
        early = (PROCESSES, PROCESSES // 2, PROCESSES)[n % 3]
        processes = ask(demo, broker, early)
        if n % 3 != 2:
            parked(broker, early)
        demo.wait(held={"refresh": 1})
        broker.process.terminate()
        until("it is stopping", lambda: is_stopping(watch))
        processes += ask(demo, broker, PROCESSES - early)
        demo.release("refresh", 1)
        assert broker.stop() == 0, broker.log()
        watch.close()
        broker.start()
        answers(processes)
        unharmed(demo, n + 1)
    report("a restart a round", ROUNDS, begun, demo)


def without_single_flight_the_same_round_loses_the_family(stack):
    demo, broker = begin(stack, daemon="tests/hooked/mcp-brokerd-noflight")
    begun = time.monotonic()
    processes = expire(demo, broker)
    processes += ask(demo, broker, PROCESSES - len(processes))

    def all_there():
        return waiting(broker) + sum(p.poll() is not None for p in processes) == PROCESSES

    until("all processes wait or have gone", all_there)
    # They wait at the daemon: a request of its is on its way, and comes. With single flight there is but one.
    demo.wait(held={"refresh": 2})
    held = demo.stats()["held"]["refresh"]
    print(f"# without single flight: {held} refreshes were under way at once", flush=True)
    demo.release("refresh")
    for process in processes:
        process.communicate()
    counters = demo.counters()
    assert counters["reuse_detected"] >= 1 and counters["families_revoked"] >= 1, counters
    until("the login is lost", lambda: broker.run("mcp-token", "--no-login", demo.mcp).returncode == 4)
    report("without single flight", 1, begun, demo)


TESTS = [fifty_processes_at_the_moment_of_expiry_cost_one_refresh_a_round,
         a_clean_restart_in_mid_round_loses_no_answer_and_no_login,
         without_single_flight_the_same_round_loses_the_family]

if __name__ == "__main__":
    sys.exit(Tap().run(TESTS))
