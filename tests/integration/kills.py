#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of every process in every phase of a refresh: afterwards the grant works, or the error says that the issuer burnt it.

The daemon is mcp-brokerd-steps: the real one, but for a writer that asks here before each step towards the disk. With that,
the demo server's holds and SIGSTOP each phase is reached for certain, not by chance.
"""

import contextlib
import json
import os
import queue
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import PATIENCE, Broker, Demo, Rpc, Tap, until  # noqa: E402

LANES = 4
KILLS = 200
REJECTS_FREE = 12  # so often the daemon believes that its token was refused; then it takes its time
WORKERS = ("writer", "explore", "deal", "session")  # started again; without the others the daemon ends
PROCESSES = ("supervisor", "keeper") + WORKERS
UNNOTICED = ("writer", "explore", "session")  # whoever waits for a token gets it all the same
IDLE = "idle"
UNMARKED = "mark not durable"
MARKED = "mark durable, nothing sent"
SENT = "request sent"
EXECUTED = "executed, answer held"
ANSWERED = "answer here, not durable"
DURABLE = "durable, no reply"
REPLIED = "replied"
PHASES = (IDLE, UNMARKED, MARKED, SENT, EXECUTED, ANSWERED, DURABLE, REPLIED)
# Where the writer can be found before a record is durable.
STEPS = ("create", "half", "sync", "rename")


def burnt_by(phase, process):
    """May the issuer have given a new token that died with a process of ours?"""
    if phase in (SENT, EXECUTED):
        return process in ("supervisor", "keeper", "deal")
    return phase == ANSWERED and process in ("supervisor", "keeper")


class Writer:
    """The other end of the writer's questions: lets it go on, but for the one step at which it is to be held."""

    def __init__(self, stack, path):
        self.listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        self.listener.bind(str(path))
        self.listener.listen(4)
        self.lock = threading.Lock()
        self.hold = None  # (which write from now on, step)
        self.n_writes = 0
        self.held = threading.Event()
        self.go = threading.Event()
        self.go.set()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, connection.makefile("r") as lines:
            try:
                for line in lines:
                    self.step(line.split()[0])
                    connection.sendall(b"g")
            except OSError:
                pass  # it was killed

    def step(self, step):
        with self.lock:
            self.n_writes += step == "create"
            stop = self.hold == (self.n_writes, step)
            if stop:
                self.hold = None
                self.held.set()
        if stop:
            self.go.wait()

    def stop_at(self, n, step):
        """Holds it in the @n-th write from now on."""
        with self.lock:
            self.n_writes = 0
            self.hold = (n, step)
            self.held.clear()
            self.go.clear()

    def wait(self):
        assert self.held.wait(PATIENCE), "the writer does not come to that step"

    def release(self):
        with self.lock:
            self.hold = None
        self.go.set()


class Lane:
    """A grant, its daemon and its issuer, through one kill after the other."""

    def __init__(self, stack):
        self.demo = Demo(stack, "--auto-consent", "--access-ttl", "3600")
        self.broker = Broker(stack, start=False, daemon="tests/hooked/mcp-brokerd-steps", activated=True)
        self.expired = None
        path = self.broker.dir / "steps"
        self.writer = Writer(stack, path)
        self.broker.env["MCPB_TEST_STEPS"] = str(path)
        self.start()
        self.broker.add(self.demo.mcp)

    def status(self):
        out, err = self.broker.quick("mcp-brokerctl", "status", "--json").communicate()
        return json.loads(out) if out else {"error": err}

    def pids(self):
        """Never 0, which is said while a process is started again: kill() takes that for whoever runs the tests."""
        def running():
            found = self.status().get("processes")
            return found and all(p["pid"] for p in found) and found

        return {p["name"]: p["pid"] for p in until("all processes run", running)}

    def start(self):
        self.n_rejected = 0
        self.broker.start()

    def expire(self):
        """The next token costs a refresh."""
        if self.n_rejected == REJECTS_FREE:
            self.broker.stop()
            self.start()
        self.n_rejected += 1
        client = Rpc(self.broker.socket)
        token = client.call("token.get", server=self.demo.mcp)
        answer = client.call("token.reject", server=self.demo.mcp, token_id=token["token_id"])
        assert answer["rejected"], answer
        client.close()
        self.expired = token["token"]

    def reach(self, phase, step, pids):
        """Asks for a token and returns the process that asks, when the refresh is in @phase."""
        if phase == IDLE:
            return None
        if phase == UNMARKED:
            self.writer.stop_at(1, step)
        elif phase == MARKED and step in ("create", "half"):
            os.kill(pids["deal"], signal.SIGSTOP)
            self.writer.stop_at(1, "durable")
        elif phase == MARKED:
            self.writer.stop_at(1, "durable")
        elif phase == SENT and step in ("create", "half"):
            # When it is let go it is not executed: the issuer has the token as it was.
            self.demo.fault("status:refresh=503!1")
            self.demo.hold("refresh")
        elif phase == SENT:
            self.demo.hold("refresh")
        elif phase == EXECUTED:
            self.demo.hold("refresh", after=True)
        elif phase == ANSWERED:
            self.writer.stop_at(2, step)
        elif phase == DURABLE:
            self.writer.stop_at(2, "durable")
        asking = self.broker.quick("mcp-token", "--no-login", self.demo.mcp)
        if phase in (SENT, EXECUTED):
            self.demo.wait(held={"refresh": 1})
        elif phase != REPLIED:
            self.writer.wait()
        else:
            asking.wait(PATIENCE)
        if phase == MARKED and step in ("create", "half"):
            self.writer.release()  # to the deal worker, which does not listen
        return asking

    def recover(self, process, pids):
        """All that was held goes on, and what was killed is back."""
        if process in WORKERS:
            self.let_go(pids)
            until(f"{process} is back", lambda: self.pids()[process] not in (0, pids[process]))
            return
        self.broker.process.wait(PATIENCE)
        self.let_go({})
        self.start()
        status = self.status()
        assert status["store"]["damaged"] == 0, status

    def let_go(self, pids):
        self.writer.release()
        self.demo.release("refresh")
        if pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pids["deal"], signal.SIGCONT)

    def outcome(self):
        """True: there is a token. False: the issuer burnt the grant, and the error says so."""
        end = time.monotonic() + PATIENCE
        while True:
            result = self.broker.run("mcp-token", "--no-login", self.demo.mcp)
            # The next daemon still has the token that the last one was told is refused: what counts is another one.
            if result.returncode == 0 and result.stdout.strip() != self.expired:
                return True
            if result.returncode == 0:
                self.expire()
                continue
            if "revoked" in result.stderr or "invalid_grant" in result.stderr:
                assert "mcp-add" in result.stderr, result.stderr
                return False
            # In doubt, or a worker that is not back yet: said to be passing, and it passes.
            assert time.monotonic() < end, (result.returncode, result.stderr, self.broker.log())

    def kill(self, phase, process, step):
        before = self.demo.counters()
        if phase != IDLE:
            self.expire()
        pids = self.pids()
        asking = self.reach(phase, step, pids)
        os.kill(pids[process], signal.SIGKILL)
        self.recover(process, pids)
        if asking:
            out, err = asking.communicate(timeout=PATIENCE)
            assert (asking.returncode == 0) == bool(out), (asking.returncode, out, err)
            assert asking.returncode == 0 or err, "it failed and did not say why"
            assert asking.returncode == 0 or (phase != REPLIED and process not in UNNOTICED), (asking.returncode, err)
        works = self.outcome()
        until("no leftover of the crash", lambda: not list((self.broker.state / "store").glob(".*")))
        after = self.demo.counters()
        burnt = after["families_revoked"] > before["families_revoked"]
        assert works != burnt, (works, burnt)
        assert works or burnt_by(phase, process), (before, after, self.broker.log())
        self.demo.clear()
        if not works:
            self.broker.add(self.demo.mcp)
        return works


def plan():
    """Every process in every phase, as often as it takes; those that end the daemon between those that do not."""
    order = ("explore", "writer", "keeper", "deal", "session", "supervisor")
    todo = [(phase, process, STEPS[(n + PHASES.index(phase)) % len(STEPS)])
            for n in range(-(-KILLS // (len(PHASES) * len(order)))) for phase in PHASES for process in order]
    return todo[:KILLS]


# A145 A148 S7
def kill_9_of_each_process_in_each_phase_of_a_refresh_loses_no_grant(stack):
    todo = queue.SimpleQueue()
    for job in plan():
        todo.put(job)
    done = []
    errors = []

    def run(lane):
        while not errors:
            try:
                phase, process, step = todo.get_nowait()
            except queue.Empty:
                return
            try:
                done.append((phase, process, lane.kill(phase, process, step)))
            except BaseException as error:  # pylint: disable=broad-except
                errors.append(((phase, process, step), error))

    begun = time.monotonic()
    lanes = [Lane(stack) for _ in range(LANES)]
    threads = [threading.Thread(target=run, args=(lane,)) for lane in lanes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"# {len(done)} kills in {time.monotonic() - begun:.0f} s: hits (of these: the issuer had burnt the token, and the error said so)")
    print("# " + "phase".ljust(28) + "".join(name.rjust(12) for name in PROCESSES))
    for phase in PHASES:
        cells = []
        for name in PROCESSES:
            hits = [works for p, n, works in done if (p, n) == (phase, name)]
            cells.append(f"{len(hits)} ({hits.count(False)})".rjust(12))
        print("# " + phase.ljust(28) + "".join(cells), flush=True)
    if errors:
        raise AssertionError(errors[0][0]) from errors[0][1]
    assert len(done) >= KILLS
    for phase in PHASES:
        for name in PROCESSES:
            assert any((p, n) == (phase, name) for p, n, _ in done), (phase, name)


# S7
def a_grant_without_a_refresh_token_survives_every_kill(stack):
    demo = Demo(stack, "--auto-consent", "--no-refresh-token")
    broker = Broker(stack, activated=True)
    broker.add(demo.mcp)
    token = broker.token(demo.mcp)
    for process in PROCESSES:
        before = broker.pid(process)
        os.kill(before, signal.SIGKILL)
        if process in WORKERS:
            until(f"{process} is back", lambda: broker.run("mcp-brokerctl", "status").returncode == 0
                  and broker.pid(process) not in (0, before))
        else:
            broker.process.wait(PATIENCE)
            broker.start()
        assert broker.token(demo.mcp) == token, process
    assert demo.count("refresh") == 0 and demo.count("token") == 1


TESTS = [kill_9_of_each_process_in_each_phase_of_a_refresh_loses_no_grant,
         a_grant_without_a_refresh_token_survives_every_kill]

if __name__ == "__main__":
    sys.exit(Tap().run(TESTS))
