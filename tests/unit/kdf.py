#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mcp-broker-kdf: what it answers, what it refuses, and that it says nothing else (TAP)."""

import json
import os
import socket
import subprocess
import sys
import time

PROGRAM = os.path.join(os.environ.get("top_builddir", "."), "mcp-broker-kdf")
SALT = b"somesalt01234567"
PASSPHRASE = b"correct horse"
# What the reference program says: argon2 somesalt01234567 -id -t 2 -k 64 -p 1 -l 32 -r
KEY = bytes.fromhex("bdefb5cf7894de268ba2e06a319e705bf495944ea0546a3a92d870c7393b9f3f")

count = 0
failures = 0


def check(name, ok, detail=""):
    global count, failures
    count += 1
    failures += not ok
    print(f"{'ok' if ok else 'not ok'} {count} - {name}", flush=True)
    if not ok:
        print(f"# {detail}", flush=True)


def line(**change):
    head = {"salt": SALT.hex(), "opslimit": 2, "memlimit": 65536, "len": len(PASSPHRASE)}
    head.update(change)
    return json.dumps({k: v for k, v in head.items() if v is not None}).encode() + b"\n"


def start(args=(), stdin=None, nonblocking=False, **how):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    theirs.setblocking(not nonblocking)
    child = subprocess.Popen(
        [PROGRAM, *args],
        stdin=theirs if stdin is None else stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **how,
    )
    theirs.close()
    ours.settimeout(60)
    return ours, child


def end(ours, child):
    """Everything that came back, the exit status, and whether it was silent otherwise."""
    answer = b""
    try:
        while data := ours.recv(4096):
            answer += data
    except ConnectionResetError:
        pass  # it left without reading all we sent
    out, err = child.communicate(timeout=60)
    ours.close()
    # A coverage build that changed its user complains that it cannot write its counts.
    said = [line for line in (out + err).splitlines(True) if not line.startswith(b"profiling:")]
    return answer, child.returncode, b"".join(said)


def ask(*parts, shut=True, **kwargs):
    ours, child = start(**kwargs)
    try:
        for part in parts:
            ours.sendall(part)
        if shut:
            ours.shutdown(socket.SHUT_WR)
    except (BrokenPipeError, OSError):
        pass
    return end(ours, child)


good = (KEY, 0, b"")

check("answers the key of the reference, and nothing else", (r := ask(line() + PASSPHRASE)) == good, r)
check("does not wait for the end of the stream", (r := ask(line() + PASSPHRASE, shut=False)) == good, r)
check(
    "takes a request that comes byte by byte",
    (r := ask(*(bytes([b]) for b in line() + PASSPHRASE))) == good,
    r,
)
check(
    "works on a non-blocking socket",
    (r := ask(*(bytes([b]) for b in line() + PASSPHRASE), nonblocking=True)) == good,
    r,
)

bytes_of_any_value = bytes(range(256)) * 4
r = ask(line(len=1024) + bytes_of_any_value)
check("a passphrase may hold any byte, up to its limit", len(r[0]) == 32 and r[1:] == (0, b""), r)
r2 = ask(line(len=1024) + bytes_of_any_value[:-1] + b"x")
check("every byte of a passphrase counts", r2[1] == 0 and r2[0] != r[0], r2)

whole = line() + PASSPHRASE
for name, parts in {
    "cut at any byte": [whole[:n] for n in range(0, len(whole), 5)],
    "one byte too many": [whole + b"x"],
    "two requests": [whole + whole],
    "no JSON": [b"salt\n" + PASSPHRASE],
    "a line without end": [b" " * 2000],
    "no passphrase": [line(len=0)],
    "a passphrase above the limit": [line(len=1025) + b"x" * 1025],
    "a negative length": [line(len=-1) + PASSPHRASE],
    "a length of another type": [line(len="13") + PASSPHRASE],
    "no salt": [line(salt=None) + PASSPHRASE],
    "a short salt": [line(salt="00") + PASSPHRASE],
    "too many rounds": [line(opslimit=17) + PASSPHRASE],
    "no rounds": [line(opslimit=0) + PASSPHRASE],
    "too much memory": [line(memlimit=2**30 + 1) + PASSPHRASE],
    "too little memory": [line(memlimit=8191) + PASSPHRASE],
    "depth": [b"[" * 200 + b"\n" + PASSPHRASE],
}.items():
    results = [ask(part) for part in parts]
    check(f"refuses: {name}", all(r == (b"", 2, b"") for r in results), results)

check("refuses arguments", (r := ask(whole, args=["x"])) == (b"", 2, b""), r)
with open("/dev/null", "rb") as null:
    check("refuses what is no socket", (r := ask(stdin=null)) == (b"", 2, b""), r)

# S1: what another process of this user could trace or read belongs to that user; this does not. Once it
# sleeps it waits for the rest of the request, long after it has closed itself.
nobody = {"user": 65534} if os.geteuid() == 0 else {}
try:
    ours, child = start(**nobody)
except PermissionError:  # the build folder is not for others
    ours, child = start()
ours.sendall(line())
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    with open(f"/proc/{child.pid}/stat", "rb") as f:
        if f.read().rsplit(b")", 1)[1].split()[0] == b"S":
            break
    os.sched_yield()
check("is closed to other processes of its user", os.stat(f"/proc/{child.pid}/mem").st_uid == 0)
with open(f"/proc/{child.pid}/limits", encoding="ascii") as f:
    core = [x.split()[4] for x in f if x.startswith("Max core file size")]
check("makes no core file", core == ["0"], core)
ours.sendall(PASSPHRASE)
check("still answers", (r := end(ours, child)) == good, r)

print(f"1..{count}")
sys.exit(failures != 0)
