# SPDX-License-Identifier: Apache-2.0
"""Stands in for mcp-broker-net, starts the real one, and writes down every byte between it and the keeper.

Installed by leaks.py as a program "mcp-broker-net" of two lines that gives the real program, where to record, and its own
arguments. Descriptor 3 is the stream to the keeper.
"""

import os
import select
import socket
import subprocess
import sys

CHUNK = 1 << 16


def pass_on(source, target, record):
    """One piece, with descriptors. False at the end."""
    data, fds, _, _ = socket.recv_fds(source, CHUNK, 16)
    if not data:
        return False
    record.write(data)
    record.flush()
    sent = socket.send_fds(target, [data], fds) if fds else target.send(data)
    for fd in fds:
        os.close(fd)
    target.sendall(data[sent:])
    return True


def main():
    real, folder, *arguments = sys.argv[1:]
    role = next(a.split("=", 1)[1] for a in arguments if a.startswith("--role="))
    keeper = socket.socket(fileno=3)
    keeper.setblocking(True)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    # The real one wants it as descriptor 3.
    saved = os.dup(3)
    keeper.detach()
    keeper = socket.socket(fileno=saved)
    os.dup2(theirs.fileno(), 3, inheritable=True)
    theirs.close()
    child = subprocess.Popen([real, *arguments], pass_fds=[3])
    os.close(3)
    with open(f"{folder}/{role}.in", "ab") as to_worker, open(f"{folder}/{role}.out", "ab") as to_keeper:
        while True:
            ready, _, _ = select.select([keeper, ours], [], [])
            if keeper in ready and not pass_on(keeper, ours, to_worker):
                break
            if ours in ready and not pass_on(ours, keeper, to_keeper):
                break
    ours.close()
    child.wait()


if __name__ == "__main__":
    main()
