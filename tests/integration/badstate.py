#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Disks, folders, files and sockets that are not as they should be: a clear error with the remedy, nothing lost, nothing
handed to a stranger."""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Tap, until  # noqa: E402
from rough import (NOBODY, PATIENCE, Broker, Demo, Rpc, RpcError, Small, Waiting, as_nobody, mcp_call, need_root, plainly, state_of,  # noqa: E402
                   token_of, undisturbed)

# --- Full disks --------------------------------------------------------------------------------------------------------


def small_store(stack, size="256k"):
    broker = Broker(stack, start=False)
    broker.state.mkdir(mode=0o700)
    small = Small(stack, broker.state / "store", size)
    return broker.start(), small


# S7
def a_full_disk_takes_no_new_login_and_loses_no_old_one(stack):
    broker, small = small_store(stack)
    demo = Demo(stack, "--auto-consent")
    broker.add(demo.mcp)
    token = broker.token(demo.mcp)
    other = Demo(stack, "--auto-consent")
    small.fill()
    plainly(broker.add(other.mcp, check=None), 10, "space")
    assert broker.token(demo.mcp) == token
    assert other.count("mcp") == 0, "a login was begun that cannot be kept"
    broker.stop()
    broker.start()
    assert broker.token(demo.mcp) == token
    small.clear()
    broker.add(other.mcp)
    assert mcp_call(other.mcp, broker.token(other.mcp))[0] == 200
    assert broker.status()["store"]["damaged"] == 0


# A122 S7
def a_disk_that_is_full_when_the_code_comes_says_so(stack):
    broker, small = small_store(stack)
    demo = Demo(stack, "--auto-consent")
    waiting = Waiting(broker, demo.mcp)
    demo.hold("token", after=True)
    subprocess.Popen([sys.executable, os.path.join(os.path.dirname(__file__), "person.py"), waiting.url],
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    demo.wait(held={"token": 1})
    small.fill()
    demo.release("token")
    plainly(waiting.finish(), 10, "space")
    small.clear()
    broker.add(demo.mcp)
    assert demo.count("token") == 2, "a code was sent twice"


# A145 S6 S7
def a_refresh_that_the_disk_does_not_take_is_kept_and_saved_later(stack):
    broker, small = small_store(stack)
    demo = Demo(stack, "--auto-consent", "--fault", "expired-at-once:token")
    neighbour = Demo(stack, "--auto-consent")
    broker.add(demo.mcp)
    broker.add(neighbour.mcp)
    demo.hold("refresh", after=True)
    asking = broker.popen("mcp-token", "--no-login", demo.mcp)
    demo.wait(held={"refresh": 1})
    small.fill()
    demo.release("refresh")
    out, err = asking.communicate(timeout=PATIENCE)
    plainly(subprocess.CompletedProcess(asking.args, asking.returncode, out, err), 10, "space")
    assert out == "", "the token left before its grant was durable"
    assert state_of(broker, demo.mcp)["state"] == "unsaved"
    plainly(token_of(broker, demo.mcp), 10, "space")
    assert broker.token(neighbour.mcp)
    small.clear()
    until("it is saved", lambda: token_of(broker, demo.mcp).returncode == 0)
    token = broker.token(demo.mcp)
    assert mcp_call(demo.mcp, token)[0] == 200
    assert demo.counters()["refreshes"] == 1 and demo.counters()["reuse_detected"] == 0
    # What was saved is the new one: the next refresh works, after a restart too.
    broker.stop()
    broker.start()
    assert broker.token(demo.mcp) == token
    rpc = Rpc(broker.socket)
    got = rpc.call("token.get", server=demo.mcp)
    assert rpc.call("token.reject", server=demo.mcp, token_id=got["token_id"])["rejected"] is True
    rpc.close()
    assert mcp_call(demo.mcp, broker.token(demo.mcp))[0] == 200
    assert demo.counters()["refreshes"] == 2 and demo.counters()["reuse_detected"] == 0


def a_daemon_that_a_full_disk_keeps_from_starting_says_so(stack):
    broker = Broker(stack, start=False)
    small = Small(stack, broker.state, "64k")
    small.fill()
    for foreground in (False, True):
        command = [part for part in broker.command() if foreground or part != "-f"]
        result = subprocess.run(command, env=broker.env, capture_output=True, text=True, timeout=PATIENCE, check=False,
                                stdin=subprocess.DEVNULL)
        assert result.returncode == 10, result
        assert ("No space left" if foreground else "full? mcp-brokerd -f") in result.stderr, result


# S4
def no_token_leaves_without_room_for_its_record(stack):
    broker = Broker(stack, start=False)
    broker.state.mkdir(mode=0o700)
    small = Small(stack, broker.state / "audit", "64k")
    broker.start()
    demo = Demo(stack, "--auto-consent")
    broker.add(demo.mcp)
    small.fill()

    def refused():
        result = token_of(broker, demo.mcp)
        return result if result.returncode != 0 else None

    plainly(until("the last page is full", refused), 10, "audit")
    assert broker.status()["audit"]["available"] is False
    small.clear()
    token = until("it goes on by itself", lambda: token_of(broker, demo.mcp).stdout.strip())
    assert mcp_call(demo.mcp, token)[0] == 200
    assert demo.count("refresh") == 0 and demo.counters()["authorizations"] == 1


# --- Folders -----------------------------------------------------------------------------------------------------------


def refused_start(broker, status, *needles):
    """The daemon ends at once, with the reason and the remedy on stderr."""
    offset = broker.log_path.stat().st_size if broker.log_path.exists() else 0
    broker.start(wait=False)
    assert broker.process.wait(PATIENCE) == status, broker.log()
    said = broker.log()[offset:]
    for needle in needles:
        assert needle in said, f"{needle!r} is not said: {said}"
    return said


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.name not in ("lock", "audit.log")}


# S1
def a_state_folder_that_others_may_enter_is_refused(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.add(demo.mcp)
    token = broker.token(demo.mcp)
    broker.stop()
    kept = contents(broker.state)
    for folder in (broker.state, broker.state / "store", broker.state / "audit"):
        for mode in (0o770, 0o750, 0o705, 0o777):
            folder.chmod(mode)
            refused_start(broker, 5, str(folder), "open to other users", "chmod 700")
        folder.chmod(0o700)
    if os.geteuid() != 0:
        broker.state.chmod(0)
        refused_start(broker, 5, "Permission denied")
        broker.state.chmod(0o700)
    # And a folder above that anybody may write to.
    (broker.dir).chmod(0o777)
    refused_start(broker, 5, "everybody may write")
    broker.dir.chmod(0o700)
    assert contents(broker.state) == kept
    broker.start()
    assert broker.token(demo.mcp) == token


# S1
def a_state_folder_that_is_a_link_or_a_file_is_refused(stack):
    broker = Broker(stack, start=False)
    elsewhere = broker.dir / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    broker.state.symlink_to(elsewhere)
    refused_start(broker, 5, "symbolic link", "Remove")
    broker.state.unlink()
    broker.state.write_text("")
    refused_start(broker, 5, "not a folder")
    broker.state.unlink()
    broker.state.mkdir(mode=0o700)
    (broker.state / "store").symlink_to(elsewhere)
    refused_start(broker, 5, "symbolic link")
    (broker.state / "store").unlink()
    (broker.state / "audit").mkdir(mode=0o700)
    (broker.state / "audit/audit.log").symlink_to(elsewhere / "log")
    refused_start(broker, 10, "audit.log")
    assert list(elsewhere.iterdir()) == []
    (broker.state / "audit/audit.log").unlink()
    broker.start()


def a_state_folder_of_somebody_else_is_refused(stack):
    need_root("to be two users")
    broker = Broker(stack, start=False)
    broker.state.mkdir(mode=0o700)
    os.chown(broker.state, NOBODY, NOBODY)
    refused_start(broker, 5, "another user")
    os.chown(broker.state, 0, 0)
    broker.dir.chmod(0o755)
    os.chown(broker.dir, NOBODY, NOBODY)
    refused_start(broker, 5, "another user")
    os.chown(broker.dir, 0, 0)
    broker.start()


# --- Records -----------------------------------------------------------------------------------------------------------


def three_logins(stack, *options):
    broker = Broker(stack, *options)
    demos = [Demo(stack, "--auto-consent") for _ in range(3)]
    records = {}
    for demo in demos:
        before = set(os.listdir(broker.state / "store"))
        broker.add(demo.mcp)
        records[demo.mcp] = sorted(set(os.listdir(broker.state / "store")) - before, key=lambda n: (broker.state / "store" / n).stat().st_size)
    broker.stop()
    return broker, demos, records


def grant_record(broker, demo, records):
    """The largest of what a login leaves behind."""
    return broker.state / "store" / records[demo.mcp][-1]


# S7
def a_damaged_record_is_said_and_the_others_work(stack):
    broker, demos, records = three_logins(stack)
    victim = grant_record(broker, demos[0], records)
    whole = victim.read_bytes()
    for spoilt in (b"", whole[:7], whole[:-1], whole[:len(whole) // 2], whole + b"x", bytes([whole[0] ^ 1]) + whole[1:],
                   whole[:100] + bytes([whole[100] ^ 0x80]) + whole[101:], whole[:-1] + bytes([whole[-1] ^ 1]), os.urandom(len(whole)),
                   b"{" * 100000, bytes(2 * 1024 * 1024)):
        victim.write_bytes(spoilt)
        broker.start()
        assert broker.status()["store"]["damaged"] == 1, len(spoilt)
        assert "records are damaged" in broker.run("mcp-brokerctl", "status", check=0).stdout
        assert victim.name in broker.log()
        for demo in demos[1:]:
            assert mcp_call(demo.mcp, broker.token(demo.mcp))[0] == 200
        plainly(token_of(broker, demos[0].mcp), 4, "mcp-add")
        broker.stop()
        assert victim.read_bytes() == spoilt, "the evidence is gone"
    # Put back, it is as good as before.
    victim.write_bytes(whole)
    broker.start()
    assert broker.status()["store"]["damaged"] == 0
    assert mcp_call(demos[0].mcp, broker.token(demos[0].mcp))[0] == 200
    assert all(demo.counters()["authorizations"] == 1 for demo in demos)


# S5
def records_that_were_exchanged_are_not_believed(stack):
    broker, demos, records = three_logins(stack)
    one, two = (grant_record(broker, demo, records) for demo in demos[:2])
    a, b = one.read_bytes(), two.read_bytes()
    one.write_bytes(b)
    two.write_bytes(a)
    broker.start()
    assert broker.status()["store"]["damaged"] == 2
    for demo in demos[:2]:
        plainly(token_of(broker, demo.mcp), 4, "mcp-add")
    assert mcp_call(demos[2].mcp, broker.token(demos[2].mcp))[0] == 200
    broker.stop()
    one.write_bytes(a)
    two.write_bytes(b)
    # A copy under a name of its own is no record either.
    shutil.copy(one, one.with_name("0" * 64))
    broker.start()
    assert broker.status()["store"]["damaged"] == 1
    for demo in demos:
        assert mcp_call(demo.mcp, broker.token(demo.mcp))[0] == 200


# S7
def a_damaged_login_can_be_made_again(stack):
    broker, demos, records = three_logins(stack)
    for name in records[demos[0].mcp]:
        victim = broker.state / "store" / name
        victim.write_bytes(victim.read_bytes()[:-1])
    broker.start()
    damaged = broker.status()["store"]["damaged"]
    assert damaged == len(records[demos[0].mcp]), damaged
    broker.add(demos[0].mcp)
    assert mcp_call(demos[0].mcp, broker.token(demos[0].mcp))[0] == 200
    broker.stop()
    broker.start()
    assert mcp_call(demos[0].mcp, broker.token(demos[0].mcp))[0] == 200


def a_store_without_its_key_is_not_replaced_by_a_new_one(stack):
    broker, demos, _ = three_logins(stack)
    store = broker.state / "store"
    key = (store / "key").read_bytes()
    kept = contents(broker.state)
    for spoilt in (None, b"", key[:-2], b"0" * (len(key) - 1) + b"\n"):
        (store / "key").unlink(missing_ok=True)
        if spoilt is not None:
            (store / "key").write_bytes(spoilt)
            (store / "key").chmod(0o600)
        refused_start(broker, 8 if spoilt and len(spoilt) == len(key) else 10, "key", "backup")
    (store / "key").write_bytes(key)
    assert contents(broker.state) == kept
    header = (store / "store").read_bytes()
    for spoilt, status in ((b"", 10), (header[:20], 10), (b"{}", 10), (b"[" * 1000, 10), (header.replace(b'"slots"', b'"slot"'), 10),
                           (header.replace(b'"format":1', b'"format":99'), 7)):
        (store / "store").write_bytes(spoilt)
        refused_start(broker, status, "store")
    # Without its header it is still a store: no new one is made in its place.
    (store / "store").unlink()
    refused_start(broker, 10, "header is gone", "backup")
    (store / "store").write_bytes(header)
    assert contents(broker.state) == kept
    broker.start()
    assert mcp_call(demos[0].mcp, broker.token(demos[0].mcp))[0] == 200


# S4
def damaged_audit_keys_stop_it_until_somebody_decides(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    keys, = [p for p in (broker.state / "store").iterdir() if len(p.name) == 64]
    broker.add(demo.mcp)
    token = broker.token(demo.mcp)
    broker.stop()
    whole = keys.read_bytes()
    keys.write_bytes(whole[:-1])
    refused_start(broker, 10, keys.name, "backup", "remove that file")
    keys.write_bytes(whole)
    broker.start()
    assert broker.token(demo.mcp) == token
    broker.stop()
    keys.unlink()
    broker.start()
    assert broker.token(demo.mcp) == token
    assert any(r["event"] == "audit.gap" for r in broker.audit())


def a_wrong_passphrase_opens_nothing(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack, "--key-slot=passphrase")

    def unlock(text):
        return broker.run("mcp-brokerctl", "unlock", "--passphrase-file=-", stdin=text + "\n")

    assert unlock("correct horse").returncode == 0
    broker.add(demo.mcp)
    token = broker.token(demo.mcp)
    broker.run("mcp-brokerctl", "lock", check=0)
    for wrong in ("wrong", "correct hors", "correct horse ", "Correct horse", "x" * 1000):
        plainly(unlock(wrong), 8, "passphrase")
        plainly(token_of(broker, demo.mcp), 8, "unlock")
        assert wrong not in broker.log()
    assert unlock("x" * 2000).returncode == 2 and unlock("").returncode == 2
    assert unlock("correct horse").returncode == 0
    assert broker.token(demo.mcp) == token
    assert "correct horse" not in broker.log()


# --- Others in our place -----------------------------------------------------------------------------------------------


# S6
def a_second_daemon_leaves_the_first_alone(stack):
    broker = Broker(stack)
    with undisturbed(stack, broker):
        for extra in ((), (f"--socket={broker.dir}/run/other/socket",), (f"--state-dir={broker.dir}/other",)):
            result = subprocess.run([*broker.command(), *extra], env=broker.env, capture_output=True, text=True, timeout=PATIENCE, check=False)
            assert result.returncode == 9, result
            assert "already" in result.stderr and "mcp-brokerctl stop" in result.stderr, result.stderr
        # What is no socket is not removed, and a dead socket is.
        broker.run("mcp-brokerctl", "status", check=0)
    broker.process.kill()
    broker.process.wait()
    assert broker.socket.is_socket()
    until("all are gone", lambda: not pids_of(broker))
    broker.start()
    broker.stop()
    broker.socket.write_text("not yours")
    refused_start(broker, 12, "is no socket")
    assert broker.socket.read_text() == "not yours"


def pids_of(broker):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and str(broker.dir).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return [p for p in found if p != os.getpid()]


def foreign_socket(path):
    """Made by another user, listening, and put in our place: who does that has more rights than we."""
    made = pathlib.Path(tempfile.mkdtemp(prefix="mcpb-foreign-", dir="/tmp"))
    made.chmod(0o777)
    s = socket.socket(socket.AF_UNIX)

    def listen():
        s.bind(str(made / "s"))
        os.chmod(made / "s", 0o777)
        s.listen(8)
        return "listening"

    return made, s, listen


# A234 S3
def nothing_is_said_to_a_socket_of_somebody_else(stack):
    need_root("to be two users")
    broker = Broker(stack, start=False)
    folder = broker.socket.parent
    folder.mkdir(mode=0o700, parents=True)
    made, listener, listen = foreign_socket(broker.socket)
    stack.callback(shutil.rmtree, made, ignore_errors=True)

    def check():
        os.rename(made / "s", broker.socket)
        for command in (("mcp-token", "x"), ("mcp-add", "http://127.0.0.1:9/mcp"), ("mcp-list",), ("mcp-brokerctl", "unlock", "--passphrase-file=-")):
            result = broker.run(*command, stdin="the passphrase\n")
            assert result.returncode == 5, result
            assert "user" in result.stderr, result.stderr
        # A daemon does not push the other out either.
        refused_start(broker, 9, "listens at")
        listener.settimeout(PATIENCE)
        for _ in range(5):
            connection, _ = listener.accept()
            assert connection.recv(4096) == b"", "something was sent"
            connection.close()

    def listen_and_keep():
        return listen()

    assert as_nobody(listen_and_keep, hold=lambda: check_in(listener, check)) == "listening"


def check_in(listener, check):
    check()


def a_socket_folder_that_others_may_write_to_is_not_trusted(stack):
    broker = Broker(stack)
    broker.socket.parent.chmod(0o777)
    for command in (("mcp-token", "x"), ("mcp-list",)):
        result = broker.run(*command)
        assert result.returncode == 5 and "can put a socket" in result.stderr, result
    broker.socket.parent.chmod(0o700)
    broker.run("mcp-list", check=0)
    if os.geteuid() == 0:
        os.chown(broker.socket.parent, NOBODY, NOBODY)
        result = broker.run("mcp-list")
        assert result.returncode == 5 and "can put a socket" in result.stderr, result
        os.chown(broker.socket.parent, 0, 0)
    broker.stop()
    broker.socket.parent.chmod(0o770)
    refused_start(broker, 5, "open to other users")


# S3
def another_user_is_not_served(stack):
    need_root("to be two users")
    broker = Broker(stack)
    with undisturbed(stack, broker) as good:
        def attempt():
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(PATIENCE)
            s.connect(str(broker.socket))
            line = s.makefile().readline()
            with contextlib.suppress(OSError):
                s.sendall(b'{"jsonrpc":"2.0","id":1,"method":"token.get","params":{"server":"' + good.mcp.encode() + b'"}}\n' * 3)
            return line

        # The folder alone keeps others out.
        assert "Permission denied" in as_nobody(attempt)
        for folder in (broker.dir, broker.dir / "run", broker.socket.parent):
            folder.chmod(0o755)
        broker.socket.chmod(0o666)
        line = json.loads(as_nobody(attempt))
        for folder in (broker.dir, broker.dir / "run", broker.socket.parent):
            folder.chmod(0o700)
        assert line["error"]["data"]["code"] == "not_permitted", line
        assert "another user" in line["error"]["message"], line
        assert not any(r["event"] == "token.release" and r.get("agent", {}).get("uid") == NOBODY for r in broker.audit())


# S3
def a_connection_that_changed_hands_is_closed(stack):
    """Opened by one process, used by another: the sender of every line must be who was looked at."""
    broker = Broker(stack)
    with undisturbed(stack, broker) as good:
        rpc = Rpc(broker.socket)
        assert rpc.call("token.get", server=good.mcp)["token"]
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(Exception):
                rpc.send("token.get", server=good.mcp)
            os._exit(0)
        os.waitpid(pid, 0)
        answer = rpc.read()
        assert answer["error"]["data"]["code"] == "not_permitted", answer
        assert rpc.read() is None
        try:
            Rpc(broker.socket).call("token.get", server=good.mcp)
        except RpcError as error:
            raise AssertionError("an honest one is not served any more") from error


TESTS = [value for value in list(globals().values())
         if callable(value) and getattr(value, "__module__", None) == "__main__" and value.__name__ not in (
             "small_store", "refused_start", "contents", "three_logins", "grant_record", "pids_of", "foreign_socket", "check_in")]

if __name__ == "__main__":
    sys.exit(Tap().run(TESTS))
