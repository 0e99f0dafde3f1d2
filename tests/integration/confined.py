#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""S2: what each process of the daemon can not do, tried from within by tests/hooked/attempts.c and looked at from outside."""

import contextlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BUILD, Tap, real_program, until  # noqa: E402
from rough import PATIENCE, Broker, Demo, Skip, mcp_call  # noqa: E402

STOPPED = {"EPERM", "EACCES", "ENOSYS"}
# What a role is there for. All else that attempts.c tries must be stopped.
MAY = {
    "keeper": set(),
    "writer": {"open-key"},
    "net": {"socket-inet", "socket-inet6-udp", "connect-tcp", "listen-tcp", "open-passwd"},
    "kdf": set(),
}
# What must be among the attempts, so that the table cannot shrink unnoticed.
KEEPER = {"socket-inet", "socket-unix", "connect-tcp", "execve", "fork", "open-passwd", "open-key", "ptrace", "process-vm-readv", "kill",
          "mmap-exec", "mprotect-exec", "mount", "unshare", "set-dumpable", "io-uring"}


class Hooked(Broker):
    """The same objects, linked with a sandbox_hook() that tries things."""

    def __init__(self, stack, *options):
        for name in ("mcp-brokerd", "mcp-broker-net", "mcp-broker-kdf"):
            if not (BUILD / f"tests/hooked/{name}-attempts").exists():
                raise AssertionError(f"tests/hooked/{name}-attempts is not built")
        self.libexec = pathlib.Path(tempfile.mkdtemp(prefix="mcpb-hooked-"))
        stack.callback(shutil.rmtree, self.libexec, ignore_errors=True)
        for name in ("mcp-broker-net", "mcp-broker-kdf"):
            (self.libexec / name).symlink_to(BUILD / f"tests/hooked/{name}-attempts")
        (self.libexec / "mcp-broker-session").symlink_to(BUILD / "mcp-broker-session")
        super().__init__(stack, f"--libexec-dir={self.libexec}", *options, start=False)
        # What is there to be read, if it can be.
        (self.dir / "config/mcp-broker.conf").write_text("[Broker]\nLogLevel=info\n")
        (self.state / "store").mkdir(parents=True, mode=0o700)
        self.state.chmod(0o700)
        (self.state / "store/key-of-test").write_text("x")
        self.start()

    def command(self):
        command = super().command()
        at = next(i for i, c in enumerate(command) if c.endswith("/mcp-brokerd"))
        return [*command[:at], str(BUILD / "tests/hooked/mcp-brokerd-attempts"), *command[at + 1:]]

    def kdf(self):
        """The one-shot process speaks to nobody but the keeper, so this one is ours."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        child = subprocess.Popen([self.libexec / "mcp-broker-kdf"], stdin=theirs, stderr=subprocess.PIPE, env=self.env, text=True)
        theirs.close()
        ours.sendall(b'{"salt":"' + b"00" * 16 + b'","opslimit":1,"memlimit":8192,"len":1}\nx')
        key = ours.recv(64)
        said = child.communicate(timeout=PATIENCE)[1]
        ours.close()
        assert child.returncode == 0 and len(key) == 32, (child.returncode, said)
        return said

    def attempts(self):
        """role -> attempt -> errno, by its name; "0" where it was let through."""
        found = {}
        for role, name, errno in re.findall(r"^attempt (\w+) ([\w-]+) (\w+)$", self.log() + self.kdf(), re.M):
            found.setdefault(role, {}).setdefault(name, set()).add(errno)
        return found


def granted(broker):
    """What this kernel grants; a build for checking relaxes it, and then there is nothing to show."""
    sandboxes = [p["sandbox"] for p in broker.status()["processes"] if "sandbox" in p]
    missing = {what for s in sandboxes for what in s["missing"]}
    if any(what.startswith("relaxed") for what in missing):
        raise Skip("a build without sanitizers and coverage, which need more")
    if missing or not all(s["seccomp"] for s in sandboxes):
        raise Skip(f"seccomp filters and Landlock (ABI 6 or later) in the kernel: {sorted(missing)}")
    return {p["name"]: p for p in broker.status()["processes"]}


# S2
def what_must_fail_fails_in_every_role(stack):
    broker = Hooked(stack, "--key-slot=passphrase")
    granted(broker)
    broker.run("mcp-brokerctl", "unlock", "--passphrase-file=-", stdin="correct horse\n", check=0)
    # It works all the same.
    demo = Demo(stack, "--auto-consent")
    broker.add(demo.mcp)
    assert mcp_call(demo.mcp, broker.token(demo.mcp))[0] == 200
    until("all have tried", lambda: set(MAY) <= {role for role, tried in broker.attempts().items() if "end" in tried})
    wrong = []
    for role, tried in sorted(broker.attempts().items()):
        del tried["end"]
        assert KEEPER <= set(tried), f"{role}: {KEEPER - set(tried)} were not tried"
        by_errno = {}
        for name, errnos in tried.items():
            for errno in errnos:
                by_errno.setdefault(errno, []).append(name)
        for errno, names in sorted(by_errno.items()):
            print(f"# {role}: {errno}: {' '.join(sorted(names))}", flush=True)
        wrong += [(role, name, errnos) for name, errnos in tried.items() if name not in MAY[role] and not errnos <= STOPPED]
        wrong += [(role, name, "is needed") for name in MAY[role] if tried[name] != {"0"}]
    assert wrong == [], wrong


# S2
def each_process_says_that_it_is_closed_in(stack):
    broker = Broker(stack)
    processes = granted(broker)
    assert set(processes) == {"supervisor", "keeper", "writer", "explore", "deal", "session"}
    for name in ("keeper", "writer", "explore", "deal"):
        text = pathlib.Path(f"/proc/{processes[name]['pid']}/status").read_text()
        assert re.search(r"^Seccomp:\s+2$", text, re.M) and re.search(r"^NoNewPrivs:\s+1$", text, re.M), (name, text)
        assert re.search(r"^Threads:\s+1$", text, re.M), (name, text)
        sandbox = processes[name]["sandbox"]
        assert sandbox["seccomp"] is True and sandbox["no_new_privs"] is True and sandbox["landlock_abi"] > 0, (name, sandbox)
    text = broker.run("mcp-brokerctl", "status", check=0).stdout
    for name in ("keeper", "writer", "explore", "deal"):
        assert re.search(rf"{name} +pid \d+ +seccomp on, landlock ABI", text), text


def descriptors(pid):
    found = {}
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found[int(fd.name)] = os.readlink(fd)
    return found


def unix_sockets():
    lines = pathlib.Path("/proc/net/unix").read_text().splitlines()[1:]
    return {f"socket:[{line.split()[6]}]" for line in lines}


def settled(pid):
    """What @pid has open, and all UNIX sockets there are: twice the same, so no client was just coming or going."""
    last = None

    def look():
        nonlocal last
        before, last = last, (descriptors(pid), unix_sockets())
        return last if before and before[0] == last[0] and set(last[0].values()) & (before[1] ^ last[1]) == set() else None

    return until(f"process {pid} has nobody coming or going", look)


# S2
def nothing_is_open_that_is_not_needed(stack):
    """The caller's own files and connections are not handed on, whatever number they have."""
    inherited = socket.create_server(("127.0.0.1", 0))
    stack.callback(inherited.close)
    broker = Broker(stack, start=False)
    numbers = (9, 77, 300, 1000)
    helper = "import os, sys\nfor n in %r: os.dup2(%d, n, inheritable=True)\nos.execv(sys.argv[1], sys.argv[1:])" % (numbers, inherited.fileno())
    os.set_inheritable(inherited.fileno(), True)
    broker.wrapper = [sys.executable, "-c", helper]
    popen = subprocess.Popen
    try:
        # The harness closes what is not asked for; here it is the point that it is not.
        subprocess.Popen = lambda *args, **kwargs: popen(*args, **{**kwargs, "close_fds": False})
        broker.start()
    finally:
        subprocess.Popen = popen
    demo = Demo(stack, "--auto-consent")
    broker.add(demo.mcp)
    tcp = f"socket:[{os.fstat(inherited.fileno()).st_ino}]"
    for process in broker.status()["processes"]:
        name = process["name"]
        open_files, ours = settled(process["pid"])
        if name != "supervisor":
            assert tcp not in open_files.values(), f"{name} has a socket of whoever started the daemon: {open_files}"
        files = {target for target in open_files.values() if target.startswith("/")} - {"/dev/null", str(broker.log_path)}
        folders = {f for f in files if os.path.isdir(f)}
        sockets = {target for target in open_files.values() if target.startswith("socket:")}
        if name == "keeper":
            assert files == {str(broker.state / "audit/audit.log")}, (name, files)
            assert sockets <= ours, f"{name} has sockets that are no UNIX sockets: {sockets - ours}"
        elif name == "writer":
            assert folders == {str(broker.state / "store")} and files == folders, (name, files)
            assert len(sockets) == 1 and sockets <= ours, (name, sockets)
        elif name in ("explore", "deal"):
            assert all(f.startswith("/proc/") and "/net/tcp" in f for f in files), (name, files)
            pairs = {fd for fd, target in open_files.items() if target in ours}
            # curl wakes itself by a pair of its own.
            assert open_files[3] in ours and len(pairs) <= 3, (name, open_files)


# S2
def the_keeper_links_no_network_library(stack):
    def needed(name):
        out = subprocess.run(["ldd", real_program(name)], capture_output=True, text=True, check=False).stdout
        if not out:
            raise Skip("ldd")
        return set(re.findall(r"^\s*(lib[\w+.-]+?)\.so", out, re.M))

    keeper = needed("mcp-brokerd")
    print("# mcp-brokerd: " + " ".join(sorted(keeper)), flush=True)
    network = re.compile(r"lib(curl|ssl|gnutls|nss3|mbedtls|nghttp|microhttpd|ssh|ldap|krb5|cares|idn2|psl|dbus|secret|glib)")
    assert not [lib for lib in keeper if network.match(lib)], keeper
    assert not [lib for lib in needed("mcp-broker-kdf") | needed("mcp-broker-session") if network.match(lib)]
    assert [lib for lib in needed("mcp-broker-net") if lib.startswith("libcurl")]


TESTS = [what_must_fail_fails_in_every_role, each_process_says_that_it_is_closed_in, nothing_is_open_that_is_not_needed,
         the_keeper_links_no_network_library]

if __name__ == "__main__":
    sys.exit(Tap().run(TESTS))
