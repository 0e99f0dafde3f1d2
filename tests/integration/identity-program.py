#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mcp-broker-identity, given orders over its socket as the keeper would. Speaks TAP."""
import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import traceback

BUILD = os.environ.get("top_builddir", ".")
PROGRAM = os.path.join(BUILD, "mcp-broker-identity")
PATIENCE = 60  # seconds until a hang is called one; nothing waits that long when all is well
SECRET = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lzc3VlciJ9.c2lnbmF0dXJl"


class Hands:
    """The program under test and our end of its stream."""

    def __init__(self, *args, **popen):
        self.sock, theirs = socket.socketpair()
        self.sock.settimeout(PATIENCE)
        env = dict(os.environ, MARK="seen")
        self.process = subprocess.Popen([PROGRAM, *args], stdin=theirs, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=env, **popen)
        theirs.close()

    def raw(self, data):
        self.sock.sendall(data)

    def order(self, head, body=b""):
        text = json.dumps({"op": "order", **head}).encode()
        self.raw(struct.pack("<II", len(text), len(body)) + text + body)

    def reply(self):
        """The one frame that comes, and nothing behind it."""
        data = b""
        try:
            while True:
                more = self.sock.recv(65536)
                if not more:
                    break
                data += more
        except ConnectionResetError:
            pass
        if not data:
            return None, b""
        n_head, n_body = struct.unpack("<II", data[:8])
        assert len(data) == 8 + n_head + n_body, (len(data), n_head, n_body)
        head = json.loads(data[8:8 + n_head])
        assert head.pop("op") == "reply", head
        return head, data[8 + n_head:]

    def end(self):
        """The exit status, and what it said on standard error."""
        out, err = self.process.communicate(timeout=PATIENCE)
        self.sock.close()
        assert out == b"", out
        said = [line for line in err.decode().splitlines(True) if not line.startswith("profiling:")]
        return self.process.returncode, "".join(said)


def carry_out(kind, body=b"", **members):
    """Head and body of the reply, and what was logged."""
    hands = Hands()
    hands.order({"kind": kind, **members}, body)
    reply = hands.reply()
    status, said = hands.end()
    assert status == 0, (status, said)
    return (*reply, said)


def run(*argv, env=(), timeout=PATIENCE, limit=65536):
    return carry_out("run", argv=argv, envp=list(env), max=limit, timeout_usec=int(timeout * 1000000))


# ---- files and commands ----


def a_file_is_read(folder):
    path = folder / "token"
    path.write_text(SECRET)
    path.chmod(0o640)
    head, body, said = carry_out("read", path=str(path), rules="secret", max=4096)
    assert (head, body, said) == ({"kind": "read", "exposed": False}, SECRET.encode(), ""), (head, said)
    path.chmod(0o644)
    assert carry_out("read", path=str(path), rules="secret", max=4096)[0]["exposed"] is True
    path.write_bytes(bytes(range(256)) * 4096)  # any bytes, and many
    head, body, _ = carry_out("read", path=str(path), rules="public", max=1 << 20)
    assert body == bytes(range(256)) * 4096


def a_failure_is_a_reply(folder):
    head, body, said = carry_out("read", path=str(folder / "absent"), rules="secret", max=9)
    assert body == b"" and said == ""
    assert (head["kind"], head["errno"], head["code"]) == ("read", 2, "not_found"), head
    assert str(folder / "absent") in head["message"] and head["hint"], head


def a_command_is_run_and_gains_no_privilege(_folder):
    head, body, said = run("/bin/cat", "/proc/self/status")
    assert head["kind"] == "run" and said == ""
    status = dict(line.split(":\t", 1) for line in body.decode().splitlines() if ":\t" in line)
    assert status["NoNewPrivs"] == "1"
    # Nothing is ignored or held back that it may count on: SIGPIPE, of all, which we ignore.
    libc = 3 << 31  # 32 and 33 are the C library's: no program can ask for them, and whoever started us may have them ignored
    assert int(status["SigBlk"], 16) == 0 and int(status["SigIgn"], 16) & ~libc == 0, status


def a_command_has_the_environment_of_its_order_alone(_folder):
    assert run("/usr/bin/env")[1] == b""
    assert run("/usr/bin/env", env=["AUDIENCE=https://as/?a=b", "EMPTY="])[1] == b"AUDIENCE=https://as/?a=b\nEMPTY=\n"


# S1
def what_a_command_says_on_the_side_is_logged_without_its_secrets(_folder):
    head, body, said = run("/bin/sh", "-c", f"echo {SECRET}; echo 'cannot use {SECRET}: expired' >&2; exit 1")
    assert (head["errno"], head["code"]) == (5, "identity_failed"), head
    assert body == b""
    assert "cannot use [...]: expired" in said, said
    assert SECRET not in said and SECRET not in json.dumps(head)


def a_command_is_stopped_when_its_time_is_over_or_nobody_waits(folder):
    head, _, _ = run("/bin/sleep", "1000", timeout=0.1)
    assert (head["errno"], head["code"]) == (110, "timeout"), head
    mark = folder / "mark"
    os.mkfifo(mark)
    hands = Hands()
    hands.order({"kind": "run", "argv": ["/bin/sh", "-c", f"echo $$ >{mark}; exec sleep 1000"], "envp": ["PATH=/usr/bin:/bin"],
                 "max": 9, "timeout_usec": 60000000})
    pid = int(mark.read_text())
    pidfd = os.pidfd_open(pid)
    hands.sock.close()
    hands.process.communicate(timeout=PATIENCE)
    # It is dead, and reaped by its parent.
    try:
        os.kill(pid, 0)
        raise AssertionError("it lives")
    except ProcessLookupError:
        pass
    os.close(pidfd)


# ---- calls ----

def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def field(name, value):
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def message(data):
    return b"\0" + struct.pack(">I", len(data)) + data


HELLO = frame(4, 0, 0) + frame(4, 1, 0)
HEAD = frame(1, 4, 1, b"\x88" + field(b"content-type", b"application/grpc"))


def trailers(status):
    return frame(1, 5, 1, field(b"grpc-status", str(status).encode()) + field(b"grpc-message", b"no%20entry"))


class Service(threading.Thread):
    """Takes one connection; answers @says to the request, and then waits for the other side to leave."""

    def __init__(self, folder, says):
        super().__init__(daemon=True)
        self.path = str(folder / "api.sock")
        pathlib.Path(self.path).unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.says = says
        self.got = b""
        self.asked = threading.Event()
        self.start()

    def run(self):
        connection, _ = self.listener.accept()
        while message(b"ask") not in self.got:
            self.got += connection.recv(65536)
        self.asked.set()
        connection.sendall(self.says)
        while connection.recv(65536):
            pass
        connection.close()


def call_head(path, first=False, timeout=PATIENCE, limit=65536, headers=()):
    return {"kind": "call", "path": path, "first_message": first, "fetch": {
        "op": "fetch", "id": 0, "method": "POST", "url": "http://localhost/Api/Fetch", "allow": 0,
        "timeout_msec": int(timeout * 1000), "body_max": limit,
        "headers": [["Content-Type", "application/grpc"], ["workload.spiffe.io", "true"], *headers]}}


def call(service, **more):
    head, body, said = carry_out(**call_head(service.path, **more), body=message(b"ask"))
    assert said == "", said
    return head["answer"], body


def fields(answer):
    return {name: value for name, value in answer["headers"]}


def a_call_is_answered_with_its_trailers(folder):
    service = Service(folder, HELLO + HEAD + frame(0, 0, 1, message(b"svid")) + trailers(0))
    answer, body = call(service)
    assert (answer["outcome"], answer["status"], answer["reached"]) == ("answered", 200, 0), answer
    assert fields(answer) == {"content-type": "application/grpc", "grpc-status": "0", "grpc-message": "no%20entry"}
    assert body == message(b"svid")
    # Without this some servers send no trailers; said once, also by who says it himself.
    te = b"\x02te\x86\x4d\x83\x35\x05\xb1\x1f"
    assert service.got.count(te) == 1
    service = Service(folder, HELLO + HEAD + trailers(7))
    answer, body = call(service, headers=[["te", "trailers"]])
    assert service.got.count(te) == 1
    assert (fields(answer)["grpc-status"], body) == ("7", b"")


def a_stream_of_messages_is_left_behind_the_first(folder):
    # It has no end: without it being left, this would take until the time is over.
    for cut in (HEAD + frame(0, 0, 1, message(b"one") + message(b"two")),
                HEAD + frame(0, 0, 1, message(b"one")[:3]) + frame(0, 0, 1, message(b"one")[3:]),
                HEAD + frame(0, 0, 1, message(b"one")) + frame(0, 0, 1, b"\0\0\0")):
        answer, body = call(Service(folder, HELLO + cut), first=True)
        assert (answer["outcome"], answer["status"]) == ("answered", 200), answer
        assert body == message(b"one"), body
    answer, body = call(Service(folder, HELLO + HEAD + frame(0, 0, 1, message(b""))), first=True)
    assert (answer["outcome"], body) == ("answered", message(b""))
    # A service that refuses sends none, and says why as it always does.
    answer, body = call(Service(folder, HELLO + HEAD + trailers(7)), first=True)
    assert (fields(answer)["grpc-status"], body) == ("7", b""), answer


# S9
def a_call_has_bounds(folder):
    answer, body = call(Service(folder, HELLO + HEAD + frame(0, 0, 1, message(b"x" * 5000)) + trailers(0)), limit=4096)
    assert (answer["outcome"], answer["failure"], body) == ("no_answer", "too_large", b""), answer
    # A message is as long as it says, but does not make us wait for more than may come.
    answer, body = call(Service(folder, HELLO + HEAD + frame(0, 0, 1, b"\0\xff\xff\xff\xff" + b"x" * 5000)), first=True, limit=4096)
    assert (answer["failure"], body) == ("too_large", b""), answer
    answer, _ = call(Service(folder, HELLO), timeout=0.1)
    assert (answer["outcome"], answer["failure"]) == ("no_answer", "timeout"), answer


def a_service_that_is_not_there_is_an_answer(folder):
    head, _, _ = carry_out(**call_head(str(folder / "absent.sock")))
    assert (head["answer"]["outcome"], head["answer"]["failure"]) == ("not_sent", "connect"), head
    head, _, _ = carry_out(**call_head("/" + "x" * 200))
    assert head["answer"]["outcome"] == "not_sent", head


def a_call_ends_when_nobody_waits(folder):
    service = Service(folder, HELLO)
    hands = Hands()
    head = call_head(service.path)
    hands.order(head, message(b"ask"))
    assert service.asked.wait(PATIENCE)
    hands.sock.close()
    hands.process.communicate(timeout=PATIENCE)
    service.join(PATIENCE)
    assert not service.is_alive()


def a_call_goes_to_its_socket_alone(folder):
    for url in ("http://127.0.0.1:1/", "https://localhost/", "http://example.com/"):
        head = call_head(Service(folder, HELLO).path)
        head["fetch"]["url"] = url
        answer = carry_out(**head)[0]["answer"]
        assert (answer["outcome"], answer["failure"]) == ("not_sent", "protocol"), answer


# ---- itself ----


# S2
def it_does_one_order_and_leaves(folder):
    path = folder / "token"
    path.write_text("abc")
    hands = Hands()
    head = {"kind": "read", "path": str(path), "rules": "public", "max": 9}
    hands.order(head)
    hands.order(head)
    assert hands.reply() == ({"kind": "read", "exposed": False}, b"abc")
    assert hands.end()[0] == 0


# S2
def what_is_no_order_is_not_carried_out(_folder):
    order = {"op": "order", "kind": "read", "path": "/etc/passwd", "rules": "public", "max": 65536}
    for head, body in (({**order, "kind": "write"}, b""), ({**order, "path": "etc/passwd"}, b""), ({**order, "max": 1 << 30}, b""),
                       (order, b"body"), ({"op": "kdf", "id": 1}, b"")):
        hands = Hands()
        text = json.dumps(head).encode()
        hands.raw(struct.pack("<II", len(text), len(body)) + text + body)
        assert hands.reply() == (None, b"")
        assert hands.end() == (2, "")
    for raw in (b"", b"\0", struct.pack("<II", 1 << 30, 0), struct.pack("<II", 2, 0) + b"[]"):
        hands = Hands()
        hands.raw(raw)
        hands.sock.shutdown(socket.SHUT_WR)
        assert hands.reply() == (None, b"")
        assert hands.end() == (2, "")


def it_is_not_for_use_by_hand(_folder):
    hands = Hands("--help")
    hands.sock.close()
    status, said = hands.process.wait(PATIENCE), hands.process.stderr.read().decode()
    assert status == 2 and "not for use by hand" in said, said
    done = subprocess.run([PROGRAM], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (2, ""), done


# S1
def nobody_of_the_same_user_can_look_in(folder):
    if os.geteuid() == 0:
        return "needs another user than root"
    hands = Hands()
    mark = folder / "mark"
    os.mkfifo(mark)
    hands.order({"kind": "run", "argv": ["/bin/sh", "-c", f"echo >{mark}; exec sleep 1000"], "envp": ["PATH=/usr/bin:/bin"],
                 "max": 9, "timeout_usec": 60000000})
    mark.read_text()
    try:
        pathlib.Path(f"/proc/{hands.process.pid}/mem").open("rb").close()
        raise AssertionError("its memory can be read")
    except PermissionError:
        pass
    hands.sock.close()
    hands.process.communicate(timeout=PATIENCE)
    return None


TESTS = [
    a_file_is_read,
    a_failure_is_a_reply,
    a_command_is_run_and_gains_no_privilege,
    a_command_has_the_environment_of_its_order_alone,
    what_a_command_says_on_the_side_is_logged_without_its_secrets,
    a_command_is_stopped_when_its_time_is_over_or_nobody_waits,
    a_call_is_answered_with_its_trailers,
    a_stream_of_messages_is_left_behind_the_first,
    a_call_has_bounds,
    a_service_that_is_not_there_is_an_answer,
    a_call_ends_when_nobody_waits,
    a_call_goes_to_its_socket_alone,
    it_does_one_order_and_leaves,
    what_is_no_order_is_not_carried_out,
    it_is_not_for_use_by_hand,
    nobody_of_the_same_user_can_look_in,
]


def main():
    failed = 0
    print(f"1..{len(TESTS)}")
    for number, test in enumerate(TESTS, 1):
        name = test.__name__.replace("_", " ")
        with tempfile.TemporaryDirectory(prefix="mcpb-") as folder:
            try:
                skip = test(pathlib.Path(folder))
                print(f"ok {number} - {name}" + (f" # SKIP {skip}" if skip else ""), flush=True)
            except Exception:  # pylint: disable=broad-except
                failed += 1
                print(f"not ok {number} - {name}\n# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
