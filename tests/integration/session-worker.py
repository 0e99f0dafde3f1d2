#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mcp-broker-session, driven over its socket as the keeper would. Speaks TAP."""
import array
import json
import os
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import traceback

BUILD = os.environ.get("top_builddir", ".")
PROGRAM = os.path.join(BUILD, "mcp-broker-session")
PATIENCE = 60  # seconds until a hang is called one; nothing waits that long when all is well
HELPERS = 8  # LIMIT_HELPERS
ORDERS = 2 * 8  # LIMIT_ORDERS
EVIDENCE = {
    "op", "id", "pid", "start_ticks", "exe", "ours", "daemon", "anchor_pid",
    "anchor_start_ticks", "anchor", "cgroup", "unit", "user_unit",
}


class Session:
    """The process under test and our end of its stream."""

    def __init__(self, *options, program=PROGRAM, limits=None, **popen):
        self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.data = b""

        number = theirs.fileno()

        def into_place():
            os.dup2(number, 3)
            os.set_inheritable(3, True)
            for what, limit in (limits or {}).items():
                resource.setrlimit(what, limit)

        env = dict(os.environ, MARK="seen")
        self.process = subprocess.Popen(
            [program, *options], preexec_fn=into_place, close_fds=False, env=env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **popen)
        theirs.close()

    def raw(self, data, fds=()):
        control = []
        if fds:
            control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        sent = self.sock.sendmsg([data], control)
        if sent < len(data):
            self.sock.sendall(data[sent:])

    def send(self, head, fds=(), body=b"", count=None):
        head = dict(head)
        count = len(fds) if count is None else count
        if count:
            head["fds"] = count
        text = json.dumps(head).encode()
        self.raw(struct.pack("<II", len(text), len(body)) + text + body, fds)

    def receive(self):
        while True:
            if len(self.data) >= 8:
                n_head, n_body = struct.unpack("<II", self.data[:8])
                if len(self.data) >= 8 + n_head + n_body:
                    head = json.loads(self.data[8:8 + n_head])
                    self.data = self.data[8 + n_head + n_body:]
                    assert n_body == 0
                    return head
            data = self.sock.recv(65536)
            if not data:
                raise EOFError("the stream has ended")
            self.data += data

    def attest(self, pid, pidfd, ident=1):
        self.send({"op": "attest", "id": ident, "pid": pid}, [pidfd])
        answer = self.receive()
        assert answer["op"] == "evidence" and answer["id"] == ident, answer
        return answer

    def attest_pid(self, pid):
        pidfd = os.pidfd_open(pid)
        try:
            return self.attest(pid, pidfd)
        finally:
            os.close(pidfd)

    def end(self):
        """Closes the stream; the exit status and what was said on stderr."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        rest = b""
        try:
            while True:
                data = self.sock.recv(65536)
                if not data:
                    break
                rest += data
        except ConnectionResetError:
            pass
        out, err = self.process.communicate(timeout=PATIENCE)
        self.sock.close()
        assert out == b"", out
        self.rest = self.data + rest
        # A coverage build that changed its user complains that it cannot write its counts.
        said = [line for line in err.decode().splitlines(True) if not line.startswith("profiling:")]
        return self.process.returncode, "".join(said)

    def end_well(self):
        status, err = self.end()
        assert (status, err) == (0, ""), (status, err)
        assert self.rest == b"", self.rest


class Cat:
    """A child that is surely running another program: it has answered."""

    def __init__(self, program="/bin/cat"):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process.stdin.write(b"there\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == b"there\n"
        self.pid = self.process.pid
        self.pidfd = os.pidfd_open(self.pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
        os.close(self.pidfd)


def start_ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        return f.read().rsplit(")", 1)[1].split()[19]


def wait_readable(fd):
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    assert poll.poll(PATIENCE * 1000), "timed out"


def refused(answer, code):
    """Not a word of evidence in it."""
    assert answer["error"] == code and answer["message"], answer
    assert set(answer) <= {"op", "id", "error", "message", "hint"}, answer


def leaves_at_the_end_of_the_stream():
    Session().end_well()


def leaves_at_the_end_of_the_stream_in_the_middle_of_a_frame():
    s = Session()
    s.raw(b"\x20\x00\x00\x00\x00\x00\x00\x00{\"op\":")
    s.end_well()


def tells_what_a_process_is():
    s = Session()
    with Cat() as cat:
        e = s.attest(cat.pid, cat.pidfd, ident=2 ** 53)
        stat = os.stat("/bin/cat")
        exe = {"path": os.path.realpath("/bin/cat"), "dev": str(stat.st_dev),
               "ino": str(stat.st_ino)}
        assert e["exe"] == exe, e
        assert e["pid"] == cat.pid and e["start_ticks"] == start_ticks(cat.pid), e
        assert e["ours"] is False and e["daemon"] is False, e
        assert e["anchor"] == exe and e["anchor_pid"] == cat.pid, e
        assert set(e) <= EVIDENCE, e
    s.end_well()


def requests_may_be_pipelined():
    s = Session()
    with Cat() as one, Cat() as two:
        for i in range(200):
            cat = (one, two)[i % 2]
            s.send({"op": "attest", "id": i, "pid": cat.pid}, [cat.pidfd])
        for i in range(200):
            e = s.receive()
            assert e["id"] == i and e["pid"] == (one, two)[i % 2].pid, e
    s.end_well()


def a_frame_may_come_byte_by_byte():
    s = Session()
    with Cat() as cat:
        text = json.dumps({"fds": 1, "op": "attest", "id": 5, "pid": cat.pid}).encode()
        frame = struct.pack("<II", len(text), 0) + text
        s.raw(frame[:1], [cat.pidfd])
        for i in range(1, len(frame)):
            s.raw(frame[i:i + 1])
        assert s.receive()["exe"]["path"] == os.path.realpath("/bin/cat")
    s.end_well()


def a_dead_process_is_refused():
    s = Session()
    cat = Cat()
    os.kill(cat.pid, signal.SIGKILL)
    wait_readable(cat.pidfd)
    refused(s.attest(cat.pid, cat.pidfd), "denied")  # not yet reaped
    cat.process.wait()
    refused(s.attest(cat.pid, cat.pidfd), "denied")
    cat.__exit__()
    s.end_well()


def a_process_that_is_not_visible_is_refused():
    s = Session()
    with Cat() as cat:
        refused(s.attest(0, cat.pidfd), "denied")
        refused(s.attest(os.getpid(), cat.pidfd), "denied")
    s.end_well()


def a_descriptor_that_is_no_pidfd_proves_nothing():
    s = Session()
    a, b = socket.socketpair()
    refused(s.attest(os.getpid(), a.fileno()), "internal")
    a.close()
    b.close()
    s.end_well()


def knows_itself_for_a_daemon_of_ours():
    s = Session()
    e = s.attest_pid(s.process.pid)
    assert e["ours"] is True and e["daemon"] is True, e
    assert e["anchor_pid"] == os.getpid(), e
    s.end_well()


def an_exec_changes_the_answer():
    s = Session()
    child = subprocess.Popen(
        [sys.executable, "-c", "import os; print('ready', flush=True); os.read(0, 3); "
         "os.execv('/bin/cat', ['cat'])"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"ready\n"
    before = s.attest_pid(child.pid)
    child.stdin.write(b"go\nthere\n")
    child.stdin.flush()
    assert child.stdout.readline() == b"there\n"
    after = s.attest_pid(child.pid)
    child.kill()
    child.communicate()
    assert before["start_ticks"] == after["start_ticks"]
    assert before["exe"] != after["exe"] and before["anchor"] != after["anchor"]
    s.end_well()


def signals_do_not_end_it():
    s = Session()
    s.attest_pid(os.getpid())  # it is past its start
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        s.process.send_signal(number)
    assert s.attest_pid(os.getpid())["pid"] == os.getpid()
    s.end_well()


def nobody_of_its_own_user_may_look_into_it():
    # The kernel gives the /proc files of a process that is not dumpable to root.
    with tempfile.TemporaryDirectory(prefix="mcpb-") as folder:
        os.chmod(folder, 0o755)
        program = shutil.copy(PROGRAM, folder)
        popen = {}
        if os.geteuid() == 0:
            popen = {"user": 65534, "group": 65534, "extra_groups": []}
        s = Session(program=program, **popen)
        with open(f"/proc/{s.process.pid}/status", encoding="utf-8") as f:
            uid = [line.split()[1] for line in f if line.startswith("Uid:")]
        assert uid != ["0"], uid
        refused(s.attest(0, 0), "denied")
        assert os.stat(f"/proc/{s.process.pid}/environ").st_uid == 0
        with open(f"/proc/{s.process.pid}/limits", encoding="utf-8") as f:
            core = [line.split()[4] for line in f if line.startswith("Max core file size")]
        assert core == ["0"], core
        s.end_well()


def no_descriptor_stays_behind():
    s = Session(limits={resource.RLIMIT_NOFILE: (64, 64)})
    with Cat() as cat:
        for _ in range(100):
            assert s.attest(cat.pid, cat.pidfd)["pid"] == cat.pid
            refused(s.attest(0, cat.pidfd), "denied")
    s.end_well()


def what_the_keeper_would_never_send_ends_it():
    null = os.open("/dev/null", os.O_RDONLY)

    def frame(head, fds=(), **more):
        return lambda s: s.send(head, fds, **more)

    def raw(data, fds=()):
        return lambda s: s.raw(data, fds)

    good = {"op": "attest", "id": 1, "pid": 1}
    cases = {
        "not a frame": raw(b"GET / HTTP/1.1\r\n\r\n"),
        "no head": raw(struct.pack("<II", 0, 0)),
        "a head too large": raw(struct.pack("<II", 2 ** 20, 0)),
        "a body too large": raw(struct.pack("<II", 2, 2 ** 31) + b"{}"),
        "no JSON": raw(struct.pack("<II", 4, 0) + b"{op}"),
        "no object": raw(struct.pack("<II", 2, 0) + b"[]"),
        "no UTF-8": raw(struct.pack("<II", 10, 0) + b'{"op":"\xff"}'),
        "an empty object": frame({}),
        "an unknown op": frame({"op": "exec", "id": 1}),
        "op of another type": frame({"op": 1, "id": 1}),
        "no id": frame({"op": "attest", "pid": 1}, [null]),
        "id of another type": frame(dict(good, id="1"), [null]),
        "no descriptor": frame(good),
        "a descriptor that is not there": frame(good, count=1),
        "a descriptor too many": frame(good, [null, null]),
        "descriptors that no head speaks of": frame(good, [null, null], count=1),
        "no pid": frame({"op": "attest", "id": 1}, [null]),
        "a negative pid": frame(dict(good, pid=-1), [null]),
        "a huge pid": frame(dict(good, pid=2 ** 31), [null]),
        "pid of another type": frame(dict(good, pid="1"), [null]),
        "a body": frame(good, [null], body=b"x"),
        "kdf without a descriptor": frame({"op": "kdf", "id": 1}),
        "kdf without id": frame({"op": "kdf"}, [null]),
        "identity without a descriptor": frame({"op": "identity", "id": 1}),
        "identity with an order for session to read": frame({"op": "identity", "id": 1}, [null], body=b"{}"),
    }
    for name, send in cases.items():
        s = Session()
        try:
            send(s)
        except (BrokenPipeError, ConnectionResetError):
            pass
        wait_readable(s.sock.fileno())  # it ends by itself, before we do
        status, err = s.end()
        assert status > 0 and s.rest == b"", (name, status, s.rest)
        assert err.count("\n") == 1, (name, err)
    os.close(null)


class Script:
    """A program of ours in place of mcp-broker-kdf."""

    def __init__(self, text):
        self.folder = tempfile.TemporaryDirectory(prefix="mcpb-")
        self.path = os.path.join(self.folder.name, "kdf")
        with open(self.path, "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\n" + text)
        os.chmod(self.path, 0o755)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()


def start_kdf(s, ident=1, keep=False, op="kdf"):
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE)
    s.send({"op": op, "id": ident}, [theirs.fileno()])
    if keep:
        return ours, theirs
    theirs.close()
    return ours


def read_all_bytes(sock):
    data = b""
    while True:
        more = sock.recv(65536)
        if not more:
            return data
        data += more


def read_all(sock):
    return read_all_bytes(sock).decode()


def kdf_talks_to_the_keeper_alone():
    with Script('read line\necho "got $line" >&0\nexit 7\n') as script:
        s = Session("--kdf=" + script.path)
        sock = start_kdf(s, 9)
        sock.sendall(b"passphrase\n")
        assert read_all(sock) == "got passphrase\n"
        assert s.receive() == {"op": "kdf-done", "id": 9, "status": 7}
        sock.close()
        s.end_well()


def session_reads_nothing_of_what_passes():
    with Script("exit 0\n") as script:
        s = Session("--kdf=" + script.path)
        ours, theirs = start_kdf(s, keep=True)
        ours.sendall(b"secret")
        assert s.receive() == {"op": "kdf-done", "id": 1, "status": 0}
        theirs.settimeout(PATIENCE)
        assert theirs.recv(100) == b"secret"
        ours.close()
        theirs.close()
        s.end_well()


def kdf_starts_clean():
    with Script('exec >&0\nls "/proc/$$/fd"; echo "args $#"; env; cat "/proc/$$/stat"\n'
                "kill -TERM $$\n") as script:
        s = Session("--kdf=" + script.path)
        sock = start_kdf(s)
        text = read_all(sock)
        lines = text.split("\n")
        numbers = [line for line in lines if line.isdigit()]
        assert set(numbers) <= {"0", "1", "2", "10"}, text  # 10: sh's own script
        assert "args 0" in lines, text
        assert "MARK" not in text and "HOME=" not in text and "PATH=" not in text, text
        stat = lines[-2].rsplit(")", 1)[1].split()
        assert stat[3] == lines[-2].split()[0], text  # a session of its own
        # TERM is not ignored in there
        assert s.receive() == {"op": "kdf-done", "id": 1, "status": 128 + signal.SIGTERM}
        sock.close()
        s.end_well()


def a_kdf_that_is_not_there_is_an_answer():
    with Script("") as script:
        s = Session("--kdf=" + script.path + "-absent")
        start_kdf(s, 3).close()
        answer = s.receive()
        assert answer["id"] == 3 and answer["status"] == -1, answer
        assert answer["error"] == "not_found" and answer["message"], answer
        assert s.attest_pid(os.getpid())["pid"] == os.getpid()
        s.end_well()


def children_are_bounded():
    with Script("echo up >&0\nread line\nexit 5\n") as script:
        s = Session("--kdf=" + script.path)
        socks = [start_kdf(s, i) for i in range(HELPERS)]
        for sock in socks:
            assert sock.recv(3) == b"up\n"
        extra = start_kdf(s, 99)
        answer = s.receive()
        assert answer["id"] == 99 and answer["status"] == -1, answer
        assert answer["error"] == "busy", answer
        # the rest is served meanwhile
        assert s.attest_pid(os.getpid())["pid"] == os.getpid()
        for i in reversed(range(HELPERS)):
            socks[i].sendall(b"go\n")
            assert s.receive() == {"op": "kdf-done", "id": i, "status": 5}
        sock = start_kdf(s, 100)
        sock.sendall(b"go\n")
        assert s.receive() == {"op": "kdf-done", "id": 100, "status": 5}
        for sock in socks + [extra, sock]:
            sock.close()
        s.end_well()


def children_end_with_it():
    with Script("echo $$ >&0\nread line\n") as script:
        s = Session("--kdf=" + script.path)
        sock, keep = start_kdf(s, keep=True)  # its input does not end
        pidfd = os.pidfd_open(int(sock.recv(100)))
        s.end_well()
        wait_readable(pidfd)
        os.close(pidfd)
        sock.close()
        keep.close()


def a_killed_session_takes_its_children_along():
    with Script("echo $$ >&0\nread line\n") as script:
        s = Session("--kdf=" + script.path)
        sock, keep = start_kdf(s, keep=True)
        pidfd = os.pidfd_open(int(sock.recv(100)))
        s.process.kill()
        wait_readable(pidfd)
        os.close(pidfd)
        assert s.end()[0] == -signal.SIGKILL
        sock.close()
        keep.close()


def the_real_kdf_stands_beside_and_derives():
    request = {"salt": "00" * 16, "opslimit": 1, "memlimit": 8192}
    keys = []
    s = Session()
    for passphrase in (b"one", b"one", b"another"):
        sock = start_kdf(s)
        line = json.dumps(dict(request, len=len(passphrase))).encode()
        sock.sendall(line + b"\n" + passphrase)
        keys.append(read_all_bytes(sock))
        assert s.receive() == {"op": "kdf-done", "id": 1, "status": 0}
        sock.close()
    assert [len(key) for key in keys] == [32] * 3
    assert keys[0] == keys[1] != keys[2]
    s.end_well()


def the_real_kdf_refuses_nonsense():
    s = Session()
    sock = start_kdf(s)
    sock.sendall(b"nonsense")
    sock.shutdown(socket.SHUT_WR)
    assert read_all(sock) == ""
    assert s.receive() == {"op": "kdf-done", "id": 1, "status": 2}
    sock.close()
    s.end_well()


def identity_talks_to_the_keeper_alone():
    with Script('read line\necho "got $line" >&0\nexit 7\n') as script:
        s = Session("--identity=" + script.path)
        sock = start_kdf(s, 9, op="identity")
        sock.sendall(b"order\n")
        assert read_all(sock) == "got order\n"
        assert s.receive() == {"op": "identity-done", "id": 9, "status": 7}
        sock.close()
        s.end_well()


def an_identity_that_is_not_there_is_an_answer():
    with Script("") as script:
        s = Session("--identity=" + script.path + "-absent")
        start_kdf(s, 3, op="identity").close()
        answer = s.receive()
        assert (answer["op"], answer["id"], answer["status"], answer["error"]) == ("identity-done", 3, -1, "not_found"), answer
        s.end_well()


def neither_sort_of_children_takes_the_others_place():
    with Script("echo up >&0\nread line\nexit 5\n") as script:
        s = Session("--identity=" + script.path, "--kdf=" + script.path)
        socks = [start_kdf(s, i, op="identity") for i in range(ORDERS)]
        for sock in socks:
            assert sock.recv(3) == b"up\n"
        start_kdf(s, 98, op="identity").close()
        answer = s.receive()
        assert (answer["op"], answer["id"], answer["error"]) == ("identity-done", 98, "busy"), answer
        sock = start_kdf(s, 99)
        assert sock.recv(3) == b"up\n"
        sock.sendall(b"go\n")
        assert s.receive() == {"op": "kdf-done", "id": 99, "status": 5}
        socks[0].sendall(b"go\n")
        assert s.receive() == {"op": "identity-done", "id": 0, "status": 5}
        for other in socks + [sock]:
            other.close()
        s.end()


def the_real_identity_stands_beside_and_reads():
    s = Session()
    with tempfile.NamedTemporaryFile() as f:
        f.write(b"token")
        f.flush()
        order = json.dumps({"op": "order", "kind": "read", "path": f.name, "rules": "secret", "max": 65536}).encode()
        sock = start_kdf(s, op="identity")
        sock.sendall(struct.pack("<II", len(order), 0) + order)
        reply = read_all_bytes(sock)
    n_head, n_body = struct.unpack("<II", reply[:8])
    assert json.loads(reply[8:8 + n_head]) == {"op": "reply", "kind": "read", "exposed": False}, reply
    assert reply[8 + n_head:] == b"token" and n_body == 5, reply
    assert s.receive() == {"op": "identity-done", "id": 1, "status": 0}
    sock.close()
    s.end_well()


def run_program(*arguments):
    done = subprocess.run([PROGRAM, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=PATIENCE, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def by_hand_it_says_what_to_do():
    status, out, err = run_program()
    assert status == 2 and out == "" and "mcp-brokerd" in err, (status, out, err)
    status, out, err = run_program("--help")
    assert status == 0 and "Usage:" in out and err == "", (status, out, err)
    status, out, err = run_program("--version")
    assert status == 0 and out.startswith("mcp-broker-session ") and err == "", (status, out, err)
    for wrong in ("--wrong", "argument", "--kdf=relative", "--kdf=", "--kdf=/" + "x" * 5000, "--identity=relative",
                  "--identity=/" + "x" * 5000):
        status, out, err = run_program(wrong)
        assert status == 2 and out == "" and "Usage:" in err, (wrong, status, out, err)


TESTS = [
    leaves_at_the_end_of_the_stream,
    leaves_at_the_end_of_the_stream_in_the_middle_of_a_frame,
    tells_what_a_process_is,
    requests_may_be_pipelined,
    a_frame_may_come_byte_by_byte,
    a_dead_process_is_refused,
    a_process_that_is_not_visible_is_refused,
    a_descriptor_that_is_no_pidfd_proves_nothing,
    knows_itself_for_a_daemon_of_ours,
    an_exec_changes_the_answer,
    signals_do_not_end_it,
    nobody_of_its_own_user_may_look_into_it,
    no_descriptor_stays_behind,
    what_the_keeper_would_never_send_ends_it,
    kdf_talks_to_the_keeper_alone,
    session_reads_nothing_of_what_passes,
    kdf_starts_clean,
    a_kdf_that_is_not_there_is_an_answer,
    children_are_bounded,
    children_end_with_it,
    a_killed_session_takes_its_children_along,
    the_real_kdf_stands_beside_and_derives,
    the_real_kdf_refuses_nonsense,
    identity_talks_to_the_keeper_alone,
    an_identity_that_is_not_there_is_an_answer,
    neither_sort_of_children_takes_the_others_place,
    the_real_identity_stands_beside_and_reads,
    by_hand_it_says_what_to_do,
]


def main():
    failed = 0
    print(f"1..{len(TESTS)}", flush=True)
    for i, test in enumerate(TESTS, 1):
        try:
            test()
            print(f"ok {i} - {test.__name__}", flush=True)
        except Exception:  # whatever it is, the others still run
            failed = 1
            for line in traceback.format_exc().splitlines():
                print("#", line)
            print(f"not ok {i} - {test.__name__}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
