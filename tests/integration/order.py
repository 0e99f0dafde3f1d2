#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The order of one refresh, read from a trace of writer, keeper and network worker: mark, fsync, rename, fsync of the folder,
request and answer, the new token with the same four, the audit's record, and only then the reply."""

import os
import re
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Broker, Demo, Rpc, Skip, Tap, until  # noqa: E402

CALLS = "openat,write,writev,pwrite64,fsync,fdatasync,rename,renameat,renameat2,sendto,sendmsg,recvfrom,recvmsg,read"


class Trace:
    """strace on the running processes; what has returned, in the order in which it did."""

    def __init__(self, stack, broker, names):
        if not shutil.which("strace"):
            raise Skip("strace is not installed")
        self.path = broker.dir / "trace"
        self.pids = {broker.pid(name): name for name in names}
        self.process = subprocess.Popen(
            ["strace", "-f", "-y", "-s", "4096", "-o", self.path, "-e", f"trace={CALLS}",
             *(f"--attach={pid}" for pid in self.pids)],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        stack.callback(self.stop)
        for _ in self.pids:
            line = self.process.stderr.readline()
            if "attached" not in line:
                self.process.wait()
                raise Skip(f"ptrace is not permitted: {line.strip()}")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait()
            self.process.stderr.close()

    def calls(self):
        """(process, call as one line) in the order of their ends; one that has not failed."""
        begun = {}
        for line in self.path.read_text(errors="replace").splitlines():
            pid, text = re.match(r"(\d+) +(.*)", line).groups()
            if text.endswith("<unfinished ...>"):
                begun[pid] = text[:-len("<unfinished ...>")].rstrip()
                continue
            resumed = re.match(r"<\.\.\. \w+ resumed>(.*)", text)
            if resumed:
                text = begun.pop(pid, "") + resumed.group(1)
            if not re.search(r"= -1 E", text):
                yield self.pids.get(int(pid), pid), text


def steps(trace, token):
    """What happened, in words."""
    for process, text in trace.calls():
        call = text.split("(", 1)[0]
        if process == "writer":
            if call in ("write", "pwrite64", "writev") and re.search(r"/store/\.[0-9a-f]+\.tmp>", text):
                yield "write"
            elif call in ("fsync", "fdatasync") and ".tmp>" in text:
                yield "fsync"
            elif call.startswith("rename"):
                yield "rename " + re.findall(r'"\.([0-9a-f]+)\.tmp"', text)[0]
            elif call in ("fsync", "fdatasync") and text.split(">", 1)[0].endswith("/store"):
                yield "fsync(folder)"
        elif process == "keeper":
            if "audit.log>" in text and "token.release" in text:
                yield "record"
            elif call in ("sendmsg", "sendto", "write", "writev") and token in text:
                yield "reply"
        elif "POST /token " in text:
            yield "request"
        elif "HTTP/1.1 200" in text and call in ("recvfrom", "recvmsg", "read"):
            yield "answer"


# A145 A148 S4 S7
def a_refresh_goes_mark_fsync_rename_fsync_request_answer_fsync_record_reply(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.add(demo.mcp)
    client = Rpc(broker.socket)
    old = client.call("token.get", server=demo.mcp)
    client.call("token.reject", server=demo.mcp, token_id=old["token_id"])
    trace = Trace(stack, broker, ("writer", "keeper", "deal"))
    token = client.call("token.get", server=demo.mcp)["token"]
    client.close()
    assert demo.counters()["refreshes"] == 1
    until("the trace has the reply", lambda: token in trace.path.read_text(errors="replace"))
    trace.stop()
    seen = list(steps(trace, token))
    file = next(step.split()[1] for step in seen if step.startswith("rename"))
    durable = ["write", "fsync", f"rename {file}", "fsync(folder)"]
    for step in seen:
        print(f"# {step}", flush=True)
    assert seen == [*durable, "request", "answer", *durable, "record", "reply"], seen


TESTS = [a_refresh_goes_mark_fsync_rename_fsync_request_answer_fsync_record_reply]

if __name__ == "__main__":
    sys.exit(Tap().run(TESTS))
