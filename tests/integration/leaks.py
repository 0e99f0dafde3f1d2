#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""S1, S2: a whole session, and then every place in which a long-lived secret must not be is searched for those that there were."""

import contextlib
import functools
import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BUILD, SOURCE, Tap, real_program, until  # noqa: E402
from rough import NOBODY, PATIENCE, Broker, Demo, Rpc, RpcError, Skip, Waiting, is_built_for_checking, mcp_call, need_root, visit  # noqa: E402

PASSPHRASE = "correct-horse-battery-staple-7341"
PLANTED = "planted-client-secret-9f31c0"
DECLARED = "declared-client-secret-20be77"
LONG_LIVED = ("refresh_tokens", "codes", "verifiers", "client_secrets")


class Recorder(Rpc):
    """A client that keeps all that it is told."""

    def __init__(self, path, told):
        self.told = told
        super().__init__(path)

    def read(self):
        line = self.file.readline()
        self.told.append(line)
        return json.loads(line) if line else None


class Session:
    """Everything that a user does with the broker, and what was to be seen of it."""

    def __init__(self, stack, *options, broker=Broker):
        self.stack = stack
        self.broker = broker(stack, "--key-slot=passphrase", *options, start=False)
        (self.broker.dir / "config/mcp-broker.conf").write_text("[Broker]\nLogLevel=debug\n")
        self.outputs = []  # of our programs: (command, stdout, stderr)
        self.told = []     # lines that a client of the socket received
        self.proc = {}     # command lines and environments of all processes of the broker
        self.demos = []
        self.grants = {}   # what may be answered to token.get
        self.broker.start()

    def run(self, name, *args, **kwargs):
        result = self.broker.run(name, *args, **kwargs)
        self.outputs.append(((name, *args), result.stdout, result.stderr))
        self.look()
        return result

    def look(self):
        """Command lines and environments, while things happen."""
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes()
                # The demo server is told secrets on its command line; it is none of ours.
                if (b"mcp-" in command or str(self.broker.dir).encode() in command) and b"mcp-demo-server" not in command:
                    self.proc[f"/proc/{entry.name}/cmdline {command[:80]!r}"] = command
                    self.proc[f"/proc/{entry.name}/environ {command[:80]!r}"] = (entry / "environ").read_bytes()

    def demo(self, *options):
        demo = Demo(self.stack, *options)
        self.demos.append(demo)
        return demo

    def unlock(self):
        self.run("mcp-brokerctl", "unlock", "--passphrase-file=-", stdin=PASSPHRASE + "\n", check=0)

    def add(self, demo, *args, check=0):
        return self.run("mcp-add", demo.mcp, *args, env=self.broker.person(), check=check)

    def client(self):
        return Recorder(self.broker.socket, self.told)

    def declare(self):
        """A server that a file declares, with a client and its secret: read while the store is locked."""
        demo = self.demo("--auto-consent", "--client", f"fleet:{DECLARED}", "--fault", "no-registration")
        secret = self.broker.dir / "declared"
        secret.write_text(DECLARED + "\n")
        secret.chmod(0o600)
        folder = self.broker.dir / "config/servers.d"
        folder.mkdir(mode=0o700)
        (folder / "fleet.conf").write_text(
            f"[Server]\nURL={demo.mcp}\nIssuer={demo.issuer}\nClientId=fleet\nClientSecretFile={secret}\n")
        self.run("mcp-brokerctl", "reload", check=0)
        until("the declaration is read", lambda: "read again" in self.broker.log())
        return demo, secret

    def everything(self):
        broker = self.broker
        declared, declared_secret = self.declare()
        self.unlock()
        self.add(declared)
        # Logins: as usual, with a secret that the issuer gave, with one that the user brought, refused, and spoilt.
        plain = self.demo("--auto-consent")
        issued = self.demo("--auto-consent", "--fault", "registration-method=client_secret_basic")
        brought = self.demo("--auto-consent", "--client", f"me:{PLANTED}", "--fault", "no-registration")
        secret = broker.dir / "brought"
        secret.write_text(PLANTED + "\n")
        secret.chmod(0o600)
        self.add(plain)
        self.add(issued)
        self.add(brought, "--client-id", "me", "--client-secret-file", str(secret), "--issuer", brought.issuer)
        secret.unlink()
        self.add(self.demo("--auto-deny"), check=4)
        for fault, status in (("garbage:token", 7), ("truncated:token", 6), ("status-after-request:token=500", 7), ("wrong-iss", 4),
                              ("duplicate-code", 4), ('set:token=token_type="mac"', 7), ("drop-after-request:token", 6)):
            self.add(self.demo("--auto-consent", "--fault", fault), check=status)
        # Tokens in every form, narrowed, refused, refreshed.
        for form in ((), ("--header",), ("--header-line",), ("--env",), ("--json",)):
            self.run("mcp-token", "--no-login", *form, plain.mcp, check=0)
        wide = self.demo("--auto-consent")
        self.add(wide, "--scope", "tools:generate_summary", "--scope", "tools:admin")
        self.run("mcp-token", "--no-login", "--scope", "tools:admin", wide.mcp, check=0)
        self.run("mcp-token", "--no-login", "--scope", "tools:admin", plain.mcp, check=4)
        self.run("mcp-token", "--scope", "tools:admin", "--scope", "tools:generate_summary", plain.mcp, env=broker.person(), check=0)
        rpc = self.client()
        for demo in (plain, issued, brought, declared):
            got = rpc.call("token.get", server=demo.mcp)
            rpc.call("token.reject", server=demo.mcp, token_id=got["token_id"])
            again = rpc.call("token.get", server=demo.mcp)
            assert again["token"] != got["token"] and mcp_call(demo.mcp, again["token"])[0] == 200
        self.bad_refreshes(rpc)
        for method in ("server.list", "broker.status", "login.start", "nonsense"):
            with contextlib.suppress(RpcError):
                rpc.call(method)
        # A login under way, with its verifier on the disk.
        waiting = Waiting(broker, self.demo("--auto-consent").mcp)
        self.run("mcp-list", "--json", check=0)
        self.run("mcp-list", check=0)
        self.run("mcp-brokerctl", "status", check=0)
        self.run("mcp-brokerctl", "status", "--json", check=0)
        self.run("mcp-brokerctl", "reload", check=0)
        rpc.close()
        # Lock, restart, remove.
        self.run("mcp-brokerctl", "lock", check=0)
        self.run("mcp-token", "--no-login", plain.mcp, check=8)
        self.unlock()
        waiting.process.kill()
        waiting.finish()
        assert broker.stop() == 0
        broker.start()
        self.unlock()
        until("the login waits again", lambda: any(s["state"] == "login_pending" for s in broker.servers()))
        assert visit(waiting.url)[0] == 200
        self.run("mcp-token", "--no-login", issued.mcp, check=0)
        self.run("mcp-add", "-d", wide.mcp, check=0)
        rpc = self.client()
        got = rpc.call("token.get", server=issued.mcp)
        rpc.call("token.reject", server=issued.mcp, token_id=got["token_id"])
        rpc.call("token.get", server=issued.mcp)
        rpc.close()
        self.run("mcp-add", "--logout=fleet", check=0)
        self.add(declared)
        declared_secret.unlink()

    def bad_refreshes(self, rpc):
        """Answers that quote the very secrets that they are about."""
        for what in ("refresh_tokens", "codes", "verifiers"):
            demo = self.demo("--auto-consent", "--fault", "expired-at-once:token")
            self.add(demo)
            known = demo.secrets()[what][-1]
            demo.fault("invalid-grant:refresh", "set:refresh=error_description=" + json.dumps(f"the token {known} is not known"))
            with contextlib.suppress(RpcError):
                rpc.call("token.get", server=demo.mcp)
            self.run("mcp-token", "--no-login", demo.mcp, check=4)
        self.run("mcp-list", "--json", check=0)

    def secrets(self):
        """kind -> all that there ever were."""
        found = {"passphrase": {PASSPHRASE}, "client_secrets": {PLANTED, DECLARED}}
        for demo in self.demos:
            for kind, values in demo.secrets().items():
                found.setdefault(kind, set()).update(values)
        for kind in (*LONG_LIVED, "access_tokens"):
            assert len(found[kind]) >= 2, f"the session made no {kind}: {found}"
        return found


def forms(secret):
    """As it may stand in a text: plain, quoted for a URL or a form, in base64 as an Authorization header has it."""
    import base64
    text = secret.encode()
    yield text
    yield urllib.parse.quote(secret, safe="").encode()
    # At every alignment; the ends, which depend on what stands beside it, are left out.
    for pad in range(3):
        yield base64.b64encode(b"\0" * pad + text)[4 if pad else 0:-4]


def search(secrets, kinds, haystacks):
    """(kind, where) of every secret that is found."""
    needles = [(kind, form) for kind in kinds for s in secrets[kind] for form in set(forms(s)) if len(form) > 10]
    return sorted({(kind, where) for where, data in haystacks for kind, form in needles if form in data})


def files_below(folder):
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield str(path.relative_to(folder)), path.read_bytes()


EVER = ("passphrase", *LONG_LIVED)
AFTERWARDS = contextlib.ExitStack()  # what two tests share is closed at the end


@functools.lru_cache
def one_session():
    session = Session(AFTERWARDS)
    session.everything()
    session.look()
    return session, session.secrets()


# A138 A139 S1
def no_long_lived_secret_is_said_or_written_anywhere(stack):
    session, secrets = one_session()
    broker = session.broker
    assert b"-> " in broker.log_path.read_bytes(), "the log is not that of LogLevel=debug"
    texts = [(f"{command} {name}", text.encode()) for command, out, err in session.outputs for name, text in (("stdout", out), ("stderr", err))]
    replies = [(f"reply {i}", line) for i, line in enumerate(session.told)]
    everywhere = [*texts, *replies, *session.proc.items(), *files_below(broker.dir)]
    print(f"# {sum(len(secrets[k]) for k in EVER)} secrets searched in {len(everywhere)} places, "
          f"{sum(len(d) for _, d in everywhere) >> 10} KiB", flush=True)
    assert search(secrets, EVER, everywhere) == []
    # What the search would find is there to be found.
    assert search(secrets, ("access_tokens",), replies)
    # Access tokens: in the answer to who asked, and nowhere else.
    elsewhere = [(w, d) for w, d in everywhere if not (w.startswith("('mcp-token'") and w.endswith("stdout")) and not w.startswith("reply ")]
    assert search(secrets, ("access_tokens",), elsewhere) == []
    for line in session.told:
        answer = json.loads(line) if line else {}
        if search(secrets, ("access_tokens",), [("", line)]):
            assert set(answer["result"]) >= {"token", "token_id", "token_type"}, line
            rest = {k: v for k, v in answer["result"].items() if k != "token"}
            assert search(secrets, ("access_tokens",), [("", json.dumps(rest).encode())]) == []


def mapped(pid):
    """(name, bytes) of all that a process may write to."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)", line)
            begin, end = int(m.group(1), 16), int(m.group(2), 16)
            if "w" not in m.group(3) or "r" not in m.group(3):
                continue
            with contextlib.suppress(OSError, ValueError):
                mem.seek(begin)
                yield m.group(4) or hex(begin), mem.read(end - begin)


# A138 S1
def no_long_lived_secret_stays_in_the_memory_of_an_idle_process(stack):
    need_root("to read the memory of others")
    session, secrets = one_session()
    broker = session.broker
    if is_built_for_checking(broker):
        raise Skip("a build without sanitizers and coverage, for freed memory to be wiped")
    until("it is idle", lambda: broker.status()["counts"]["operations"] == 0)
    found = {}
    for process in broker.status()["processes"]:
        pages = list(mapped(process["pid"]))
        assert sum(len(d) for _, d in pages) > 50000, f"the memory of {process['name']} cannot be read"
        where = search(secrets, EVER, pages)
        if where:
            found[process["name"]] = where
        memory = b"".join(d for _, d in pages)
        count = {kind: sum(memory.count(s.encode()) for s in secrets[kind]) for kind in (*EVER, "access_tokens")}
        print(f"# {process['name']}: " + ", ".join(f"{n} {kind}" for kind, n in count.items()), flush=True)
        # At rest they are shielded, too.
        assert count["access_tokens"] == 0, process["name"]
    assert found == {}, found
    # The same search finds what is there: our own memory.
    assert any(next(iter(secrets["codes"])).encode() in d for _, d in mapped(os.getpid()))


# S1
def no_process_can_be_dumped_or_looked_into(stack):
    """Run by somebody who is not root: then the owner of /proc/PID tells whether a process may be looked into."""
    wrapper = ()
    broker = Broker(stack, start=False)
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            raise Skip("setpriv")
        wrapper = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        if subprocess.run([*wrapper, real_program("mcp-brokerd"), "--version"], capture_output=True, check=False).returncode != 0:
            raise Skip("a build folder that other users can read")
        for path in (broker.dir, *broker.dir.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
    broker.wrapper = wrapper
    broker.start()
    children = pathlib.Path(f"/proc/{broker.process.pid}/task/{broker.process.pid}/children").read_text().split()
    pids = [broker.process.pid, *map(int, children)]
    assert len(pids) == 6, pids
    for pid in pids:
        name = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
        # The workers close themselves off as the first thing that they do, which may be now.
        until(f"{name} cannot be looked into by its user", lambda p=pid: os.stat(f"/proc/{p}/mem").st_uid == 0)
        limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"^Max core file size +0 ", limits, re.M), (name, limits)


class Frames:
    """The frames of one direction, as netshim.py wrote them down."""

    def __init__(self, path):
        data = path.read_bytes()
        self.all = []
        while data:
            n_head, n_body = struct.unpack("<II", data[:8])
            head, body = data[8:8 + n_head], data[8 + n_head:8 + n_head + n_body]
            assert len(body) == n_body, "a frame is cut"
            self.all.append((json.loads(head), head, body))
            data = data[8 + n_head + n_body:]


def with_shim(stack):
    """A folder for --libexec-dir in which mcp-broker-net is ours."""
    import tempfile
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mcpb-shim-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    for name in ("mcp-broker-session", "mcp-broker-kdf", "mcp-broker-identity"):
        (folder / name).symlink_to(BUILD / name)
    shim = folder / "mcp-broker-net"
    shim.write_text(f"#!{sys.executable}\nimport os, sys\nos.execv(sys.executable, [sys.executable, '{SOURCE}/tests/integration/netshim.py', "
                    f"'{BUILD}/mcp-broker-net', '{folder}', *sys.argv[1:]])\n")
    shim.chmod(0o755)
    return folder


# A139 S1 S2 S5
def a_worker_is_told_only_what_its_request_needs(stack):
    folder = with_shim(stack)
    session = Session(stack, f"--libexec-dir={folder}")
    session.everything()
    session.broker.stop()
    secrets = session.secrets()
    every = (*EVER, "access_tokens")

    def held(data):
        return sorted(kind for kind in every for s in secrets[kind] if any(form in data for form in forms(s) if len(form) > 10))

    explore = Frames(folder / "explore.in").all
    assert len(explore) > 20
    for _, head, body in explore:
        assert held(head) == held(body) == [], (head, body)
    assert search(secrets, every, [("explore.out", (folder / "explore.out").read_bytes())]) == []

    clients = {demo.issuer: demo for demo in session.demos}
    seen = {}
    for head, text, body in Frames(folder / "deal.in").all:
        if head["op"] != "fetch":
            assert held(text) == held(body) == [], (head["op"], text)
            continue
        url = urllib.parse.urlsplit(head["url"])
        demo = clients[f"{url.scheme}://{url.netloc}"]
        form = dict(urllib.parse.parse_qsl(body.decode()))
        has_secret = demo.secrets()["client_secrets"] or PLANTED.encode() in text + body or held(text)
        grant = {"authorization_code": ["codes", "verifiers"], "refresh_token": ["refresh_tokens"]}
        if url.path == "/register":
            want = []
        elif url.path == "/revoke":
            want = [{"refresh_token": "refresh_tokens", "access_token": "access_tokens"}[form["token_type_hint"]]]
        else:
            want = grant[form["grant_type"]]
        got = held(text) + held(body)
        kinds = sorted(k for k in got if k != "client_secrets")
        assert kinds == want, (head["url"], got, want)
        assert "passphrase" not in got
        # A client's secret goes to its own issuer and in one form only (A127).
        assert got.count("client_secrets") == (1 if has_secret and url.path != "/register" else 0), (head["url"], got)
        others = {s for d in session.demos if d is not demo for values in d.secrets().values() for s in values}
        assert not any(s.encode() in text + body for s in others), "a credential went to another issuer"
        label = f"{url.path} {form.get('grant_type', form.get('token_type_hint', ''))}".strip()
        seen[label] = seen.get(label, 0) + 1
    print("# requests with credentials: " + ", ".join(f"{n} {k}" for k, n in sorted(seen.items())), flush=True)
    assert set(seen) == {"/register", "/token authorization_code", "/token refresh_token", "/revoke refresh_token", "/revoke access_token"}


class Traced(Broker):
    """A daemon under strace, which writes down all that its processes send, and to whom."""

    def __init__(self, stack, *options, **kwargs):
        super().__init__(stack, *options, start=False)
        self.trace = self.dir / "trace"
        self.wrapper = ["strace", "-f", "-A", "-yy", "-xx", "-s", "1000000", "-o", str(self.trace), "-e",
                        "trace=write,writev,pwrite64,sendto,sendmsg,sendmmsg"]

    def stop(self):
        """The daemon, not strace."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def sent(self):
        """(pid, what the descriptor is, bytes)"""
        with open(self.trace, "rb") as lines:
            for line in lines:
                m = re.match(rb'(\d+) +\w+\(\d+<((?:[^<>"]|<[^<>]*>|->|"[^"]*")*)>, (.*)', line)
                if not m or b"= -1 E" in line[-60:]:
                    continue
                data = b"".join(bytes.fromhex(text.decode().replace("\\x", "")) for text in re.findall(rb'"((?:\\x[0-9a-f]{2})*)"', m.group(3)))
                yield self.target(m.group(2).decode(errors="replace")), data

    def start(self, wait=True):
        super().start(wait)
        self.ends = getattr(self, "ends", {})
        for process in self.status()["processes"]:
            for fd in pathlib.Path(f"/proc/{process['pid']}/fd").iterdir():
                with contextlib.suppress(OSError):
                    self.ends[os.readlink(fd)] = process["name"]
        return self

    def target(self, text):
        """Whose, in words: "keeper to deal", "TCP", the path of a socket or a file."""
        pair = re.fullmatch(r"UNIX-STREAM:\[(\d+)->(\d+)\]", text)
        path = re.search(r'"((?:\\x[0-9a-f]{2})+)"', text)
        if pair:
            return " to ".join(self.ends.get(f"socket:[{n}]", "another") for n in pair.groups())
        if path:
            return bytes.fromhex(path.group(1).replace("\\x", "")).decode()
        return text.split(":", 1)[0]


# A138 A139 S1 S2
def nothing_long_lived_leaves_the_keeper_but_to_the_issuer(stack):
    """By the kernel's own record of what each process sends."""
    if not shutil.which("strace"):
        raise Skip("strace")
    with contextlib.ExitStack() as trial:
        broker = Broker(trial, start=False)
        broker.wrapper = ["strace", "-f", "-o", "/dev/null"]
        broker.start(wait=False)
        try:
            until("it runs under strace", lambda: broker.process.poll() is None and broker.listening())
        except AssertionError as error:
            raise Skip("ptrace of another process") from error
        checking = is_built_for_checking(broker)
        # Not strace: what that leaves when it is killed runs on.
        os.kill(int(pathlib.Path(f"/proc/{broker.process.pid}/task/{broker.process.pid}/children").read_text().split()[0]), signal.SIGTERM)
        broker.process.wait(PATIENCE)
        if checking:
            raise Skip("ptrace of another process, which a sanitizer wants for itself")
    session = Session(stack, broker=Traced)
    session.everything()
    session.broker.stop()
    secrets = session.secrets()
    where = {}
    n_bytes = 0
    for target, data in session.broker.sent():
        n_bytes += len(data)
        for kind, _ in search(secrets, (*EVER, "access_tokens"), [("", data)]):
            where.setdefault(kind, {}).setdefault(target, []).append(len(data))
    print(f"# {n_bytes >> 10} KiB were sent", flush=True)
    for kind, targets in sorted(where.items()):
        print(f"# {kind}: " + ", ".join(f"{len(n)} {target}" for target, n in sorted(targets.items())), flush=True)
    # Nothing to a client but access tokens, nothing to files and terminals, nothing to session, writer, explore and supervisor.
    allowed = {"TCP", "keeper to deal", "deal to keeper"}
    assert set(where["access_tokens"]) == allowed | {str(session.broker.socket)}, where["access_tokens"]
    for kind in LONG_LIVED:
        assert set(where[kind]) <= allowed and "TCP" in where[kind], (kind, where[kind])
    # To the one-shot process that derives the key, which nobody else knows.
    assert set(where["passphrase"]) == {"another to another"}, where["passphrase"]


TESTS = [no_long_lived_secret_is_said_or_written_anywhere, no_long_lived_secret_stays_in_the_memory_of_an_idle_process,
         no_process_can_be_dumped_or_looked_into, a_worker_is_told_only_what_its_request_needs,
         nothing_long_lived_leaves_the_keeper_but_to_the_issuer]

if __name__ == "__main__":
    with AFTERWARDS:
        status = Tap().run(TESTS)
    sys.exit(status)
