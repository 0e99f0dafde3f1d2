#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Agents and other programs of the same user that do what they should not: told so, bounded, and nobody else notices."""

import contextlib
import json
import os
import re
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import SOURCE, Tap, until  # noqa: E402
from rough import PATIENCE, Broker, Demo, Rpc, RpcError, is_built_for_checking, mcp_call, memory, undisturbed  # noqa: E402


def methods():
    """The one table, from the source."""
    text = (SOURCE / "src/wire/methods.h").read_text()
    table = re.findall(r'X\((\w+), "([\w.]+)", METHOD_(\w+)\)', text)
    assert len(table) > 10 and len({name for _, name, _ in table}) == len(table), table
    return [(name, kind) for _, name, kind in table]


def raw(broker):
    """A connection that says nothing by itself."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(PATIENCE)
    s.connect(str(broker.socket))
    return s


def opened(broker):
    """A socket with an open session, and a file to read it by."""
    s = raw(broker)
    f = s.makefile("rb")
    nonce = json.loads(f.readline())["params"]["nonce"]
    s.sendall(json.dumps({"jsonrpc": "2.0", "id": 0, "method": "session.open", "params": {"nonce": nonce}}).encode() + b"\n")
    assert "result" in json.loads(f.readline())
    return s, f


def code_of(answer):
    return answer["error"]["data"]["code"]


# --- What a program may call -------------------------------------------------------------------------------------------


# What each method would do if it were let through; parameters that are right, so that only the class can refuse it.
def arguments(demo):
    return {"token.get": {"server": demo.mcp}, "token.reject": {"server": demo.mcp, "token_id": "0"}, "login.status": {"login": "0"},
            "login.wait": {"login": "0"}, "server.add": {"url": "http://127.0.0.1:9/mcp"}, "server.show": {"server": demo.mcp},
            "server.remove": {"all": True}, "login.start": {"server": demo.mcp}, "login.cancel": {"login": "0"},
            "token.proof": {"server": demo.mcp, "token_id": "t_none", "method": "POST", "url": demo.mcp},
            "audit.record": {"server": demo.mcp, "tool": "x", "outcome": "ok"},
            "login.complete": {"login": "0", "redirect_url": "http://127.0.0.1/?code=x"}, "broker.unlock": {"passphrase": "x"},
            "session.open": {"nonce": "x"}}


# S3
def every_methods_class_is_enforced(stack):
    """This program is none of the broker's own: it may use, and neither manage nor administer."""
    broker = Broker(stack)
    with undisturbed(stack, broker) as demo:
        rpc = Rpc(broker.socket)
        assert rpc.hello["method"] == "hello"
        known = arguments(demo)
        for name, kind in methods():
            rpc.send(name, **known.get(name, {}))
            answer = rpc.read()
            if kind in ("MANAGE", "ADMIN"):
                assert code_of(answer) == "not_permitted", (name, answer)
                assert "mcp-add" in answer["error"]["data"]["hint"], answer
            elif kind == "OPEN":
                assert code_of(answer) == "bad_request", (name, answer)
            else:
                assert kind == "USE", (name, kind)
                assert "result" in answer or code_of(answer) in ("not_found", "unknown_method"), (name, answer)
        for name in ("", "token", "token.get ", "Token.get", "rpc.discover", "broker.", "x" * 5000, "token.get\x00"):
            rpc.send(name)
            answer = rpc.read()
            assert code_of(answer) in ("unknown_method", "bad_request", "parse_error"), (name, answer)
        rpc.close()
        # None of it happened.
        assert [s["url"] for s in broker.servers()] == [demo.mcp]
        assert broker.status()["locked"] is False


# S3
def no_method_is_served_before_the_session_is_open(stack):
    broker = Broker(stack)
    with undisturbed(stack, broker) as demo:
        known = arguments(demo)
        for name, _ in methods():
            rpc = Rpc(broker.socket, open_session=False)
            rpc.send(name, **known.get(name, {}))
            assert code_of(rpc.read()) == "not_permitted", name
            assert rpc.read() is None, name
            rpc.close()
        # Nor with the nonce of somebody else, or cut, or twice.
        other = Rpc(broker.socket, open_session=False)
        nonce = other.hello["params"]["nonce"]
        for wrong in (nonce, nonce[:-1], "", "x" * 300, 7, None, [nonce]):
            rpc = Rpc(broker.socket, open_session=False)
            rpc.send("session.open", nonce=wrong)
            assert code_of(rpc.read()) in ("not_permitted", "bad_params"), wrong
            assert rpc.read() is None
            rpc.close()
        other.close()
    assert sum(r["event"] == "token.release" and r["agent"]["exe"] == "" for r in broker.audit()) == 0


# S3
def its_own_programs_are_known_by_what_they_are_not_by_their_name(stack):
    """A program that calls itself mcp-add, in a folder of its own."""
    broker = Broker(stack)
    disguise = broker.dir / "mcp-add"
    disguise.symlink_to(sys.executable)
    code = ("import json, socket, sys\n"
            "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); f = s.makefile('rb')\n"
            "def ask(i, m, **p):\n"
            "    s.sendall(json.dumps({'jsonrpc': '2.0', 'id': i, 'method': m, 'params': p}).encode() + b'\\n'); return json.loads(f.readline())\n"
            "n = json.loads(f.readline())['params']['nonce']\n"
            "print(ask(1, 'session.open', nonce=n, client='mcp-add')['result']['manage'])\n"
            "print(ask(2, 'server.list')['error']['data']['code'])\n")
    import subprocess
    done = subprocess.run([str(disguise), "-c", code, str(broker.socket)], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.stdout.split() == ["False", "not_permitted"], done


# --- Forged challenges -------------------------------------------------------------------------------------------------


# A22 A38 S8 S10
def a_forged_challenge_makes_it_ask_nobody(stack):
    broker = Broker(stack)
    with undisturbed(stack, broker) as demo:
        trap = socket.create_server(("127.0.0.1", 0))
        stack.callback(trap.close)
        trap.setblocking(False)
        port = trap.getsockname()[1]
        rpc = Rpc(broker.socket)
        issuer_asked = demo.count("asmeta")
        for link in (f"http://127.0.0.1:{port}/prm", f"http://localhost:{port}/prm", "http://169.254.169.254/latest/meta-data/", "https://10.0.0.1/prm",
                     "https://192.168.1.1/prm", "https://[fe80::1]/prm", "file:///etc/passwd", "javascript:alert(1)", "gopher://127.0.0.1/",
                     f"http://127.0.0.1:{port}", "//127.0.0.1/prm", "", "x" * 9000):
            for status, scheme in ((401, "Bearer"), (401, "MCP"), (403, "Bearer error=\"insufficient_scope\", scope=\"other\",")):
                challenge = {"status": status, "fields": [f'{scheme} resource_metadata="{link}"']}
                try:
                    got = rpc.call("token.get", server=demo.mcp, challenge=challenge, login="never")
                except RpcError as error:
                    assert error.code in ("insufficient_scope", "login_required", "bad_params"), (link, error.error)
                    continue
                assert mcp_call(demo.mcp, got["token"])[0] == 200
        got = rpc.call("token.get", server=demo.mcp)
        assert rpc.call("token.reject", server=demo.mcp, token_id=got["token_id"],
                        challenge={"status": 401, "fields": [f'Bearer resource_metadata="http://127.0.0.1:{port}/prm"']})["rejected"] is True
        assert rpc.call("token.get", server=demo.mcp)["token"] != got["token"]
        rpc.close()
        # What is asked anew is what the server itself says, and the forged links are not.
        with contextlib.suppress(BlockingIOError):
            trap.accept()
            raise AssertionError("the forged link was followed")
        assert demo.count("asmeta") <= issuer_asked + 2
        assert demo.count("register") == 1 and demo.count("authorize") == 1


# S9
def a_challenge_has_its_bounds(stack):
    broker = Broker(stack)
    with undisturbed(stack, broker) as demo:
        rpc = Rpc(broker.socket)
        for challenge in ({"status": 200, "fields": []}, {"status": 401, "fields": ["x" * 20000]}, {"status": 401, "fields": ["x"] * 20000},
                          {"status": 401, "fields": [7]}, {"status": 401, "fields": "Bearer"}, {"status": "401", "fields": []}, [], "Bearer", 7,
                          {"status": 401, "fields": [], "more": 1}):
            rpc.send("token.get", server=demo.mcp, challenge=challenge)
            assert code_of(rpc.read()) == "bad_params", challenge
        for field in ("Bearer " + "a=b," * 3000, "=" * 16000, '"' * 16000, "Bearer " + '\\"' * 7000, ", " * 8000, "\u00e4" * 8000):
            rpc.send("token.get", server=demo.mcp, challenge={"status": 401, "fields": [field]}, login="never")
            answer = rpc.read()
            assert "result" in answer or code_of(answer) in ("login_required", "bad_params", "insufficient_scope"), answer
        rpc.close()


# --- Clients that cannot talk ------------------------------------------------------------------------------------------


# S9
def garbage_is_answered_or_the_line_is_closed(stack):
    broker = Broker(stack)
    with undisturbed(stack, broker):
        for line in (b"\n", b"{}\n", b"[]\n", b"null\n", b"{\n", b"\xff\xfe\n", b"\x00\n", b'{"jsonrpc":"2.0"}\n', b"[" * 5000 + b"\n",
                     b'{"a":' * 5000 + b"\n", b'{"jsonrpc":"2.0","id":1,"id":2,"method":"token.get"}\n', b'{"jsonrpc":"1.0","id":1,"method":"token.get"}\n',
                     b'{"jsonrpc":"2.0","id":{},"method":"token.get"}\n', b'{"jsonrpc":"2.0","id":1,"method":7}\n', b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                     b'{"jsonrpc":"2.0","id":1,"method":"token.get","params":[1]}\n', b'{"jsonrpc":"2.0","id":"' + b"i" * 300 + b'","method":"token.get"}\n',
                     b'{"jsonrpc":"2.0","id":1e999,"method":"token.get"}\n', os.urandom(3000).replace(b"\n", b"") + b"\n"):
            s, f = opened(broker)
            s.sendall(line)
            answer = f.readline()
            assert answer == b"" or "error" in json.loads(answer), (line[:50], answer)
            s.close()
            # And before there is a session.
            s = raw(broker)
            s.sendall(line)
            s.shutdown(socket.SHUT_WR)
            said = []
            with contextlib.suppress(ConnectionError):
                for told in s.makefile("rb"):
                    said.append(told)
            assert all("hello" in l.decode() or "error" in json.loads(l) for l in said), said
            s.close()


# S9
def whoever_sends_without_end_costs_little_memory(stack):
    broker = Broker(stack)
    with undisturbed(stack, broker):
        keeper = broker.pid("keeper")
        before = memory(keeper)
        peak = 0
        for total in (100 << 20, 100 << 20):
            s, f = opened(broker)
            sent = 0
            with contextlib.suppress(ConnectionError, BrokenPipeError):
                while sent < total:
                    sent += s.send(b"x" * 65536)
                    peak = max(peak, memory(keeper))
            assert sent < 8 << 20, f"{sent} bytes of one line were taken"
            with contextlib.suppress(ConnectionError):
                assert code_of(json.loads(f.readline())) == "bad_request"
            s.close()
        # Many at once, each just below the limit of a line, none of them finished.
        halves = [opened(broker)[0] for _ in range(16)]
        for s in halves:
            s.sendall(b'{"jsonrpc":"2.0","method":"' + b"x" * (1000 * 1024))
        until("all is read", lambda: not any(queued(s) for s in halves))
        peak = max(peak, memory(keeper))
        print(f"# keeper: {before >> 10} KiB before, {peak >> 10} KiB at most", flush=True)
        for s in halves:
            s.close()
        if not is_built_for_checking(broker):
            assert peak - before < 64 << 20
            until("it is given back", lambda: memory(keeper) - before < 24 << 20)


def queued(s):
    """Bytes that the other side has not read yet."""
    import fcntl
    import struct
    import termios
    return struct.unpack("i", fcntl.ioctl(s, termios.TIOCOUTQ, bytes(4)))[0]


# S9
def whoever_never_reads_is_not_answered_without_end(stack):
    broker = Broker(stack)
    with undisturbed(stack, broker) as demo:
        keeper = broker.pid("keeper")
        before = memory(keeper)
        released = broker.status()["counts"]["released"]
        line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "token.get", "params": {"server": demo.mcp}}).encode() + b"\n"
        s, _ = opened(broker)
        s.setblocking(False)
        n = 0
        quiet = time.monotonic()
        while n < 10000 and time.monotonic() - quiet < 1:
            try:
                # Whole lines only: a part of one would be a client that cannot talk.
                assert s.send(line) == len(line)
                n += 1
                quiet = time.monotonic()
            except BlockingIOError:
                time.sleep(0.01)
        answered = broker.status()["counts"]["released"] - released
        print(f"# {n} requests were taken in, {memory(keeper) - before >> 10} KiB more in the keeper", flush=True)
        assert n < 10000, "ten thousand requests were taken from one who reads nothing"
        assert is_built_for_checking(broker) or memory(keeper) - before < 16 << 20
        assert answered < 10000 + 100000, answered
        # Reading brings it back to life, and nothing of it was lost.
        s.setblocking(True)
        f = s.makefile("rb")
        for _ in range(n):
            assert "result" in json.loads(f.readline())
        s.close()


# S9
def one_program_cannot_take_all_connections(stack):
    broker = Broker(stack)
    with undisturbed(stack, broker) as demo:
        mine = []
        refused = None
        for _ in range(400):
            s = raw(broker)
            stack.callback(s.close)
            mine.append(s)
        for s in mine:
            hello = json.loads(s.makefile("rb").readline())
            refused = refused or ("error" in hello and hello)
        assert refused and code_of(refused) == "busy", refused
        # Another program is served meanwhile.
        assert broker.token(demo.mcp)
        for s in mine:
            s.close()
        until("and this one again", lambda: can_open(broker))


def can_open(broker):
    try:
        Rpc(broker.socket).close()
        return True
    except (RpcError, KeyError, OSError, EOFError):
        return False


# S9
def descriptors_that_are_sent_are_closed(stack):
    broker = Broker(stack)
    with undisturbed(stack, broker):
        keeper = broker.pid("keeper")
        s, f = opened(broker)
        before = len(os.listdir(f"/proc/{keeper}/fd"))
        with open("/dev/null", "rb") as null:
            for _ in range(50):
                socket.send_fds(s, [b'{"jsonrpc":"2.0","id":1,"method":"server.list"}\n'], [null.fileno()] * 8)
                assert code_of(json.loads(f.readline())) == "not_permitted"
        assert len(os.listdir(f"/proc/{keeper}/fd")) <= before
        s.close()


# S6 S9
def an_agent_that_rejects_all_it_gets_causes_no_storm(stack):
    broker = Broker(stack)
    with undisturbed(stack, broker):
        demo = Demo(stack, "--auto-consent")
        broker.add(demo.mcp)
        rpc = Rpc(broker.socket)
        for _ in range(200):
            got = rpc.call("token.get", server=demo.mcp)
            rpc.call("token.reject", server=demo.mcp, token_id=got["token_id"])
        rpc.close()
        assert 1 <= demo.counters()["refreshes"] <= 13, demo.counters()
        assert mcp_call(demo.mcp, broker.token(demo.mcp))[0] == 200
        assert demo.counters()["authorizations"] == 1


TESTS = [value for value in list(globals().values())
         if callable(value) and getattr(value, "__module__", None) == "__main__" and value.__name__ not in (
             "methods", "raw", "opened", "code_of", "arguments", "queued", "can_open")]

if __name__ == "__main__":
    sys.exit(Tap().run(TESTS))
