# SPDX-License-Identifier: Apache-2.0
"""What the tests that treat the broker badly share: what a clear error is, who must not be disturbed meanwhile, and ways
of breaking things."""

import concurrent.futures
import contextlib
import os
import pathlib
import re
import statistics
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from harness import PATIENCE, SOURCE, Broker, Demo, Rpc, RpcError, Skip, mcp_call, program, until

NOBODY = 12321  # a uid that is nobody's


def exit_statuses(page):
    """What the man page says a program's exit status may be."""
    text = (SOURCE / "doc/man" / page).read_text()
    section = text.split(".Sh EXIT STATUS", 1)[1].split(".Sh ", 1)[0]
    return {int(n) for n in re.findall(r"^\.It (\d+)$", section, re.M)}


STATUSES = {"mcp-add": exit_statuses("mcp-add.1"), "mcp-token": exit_statuses("mcp-token.1")}


def plainly(result, status, *needles):
    """A clear error: the status that the manual names, what happened, and what to do about it."""
    name = os.path.basename(result.args[0])
    said = [line.removeprefix(name + ": ") for line in result.stderr.splitlines() if line.startswith((name + ": ", "Try '"))]
    text = "\n".join(said)
    assert result.returncode == status, f"{result.args}: status {result.returncode}, not {status}:\n{result.stderr}"
    assert status in STATUSES.get(name, {status}), f"{status} is not in the manual of {name}"
    assert len(said) >= 2, f"no remedy: {result.stderr}"
    for needle in needles:
        assert needle.lower() in text.lower(), f"{needle!r} is not said: {text}"
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", result.stderr), f"control characters: {result.stderr!r}"
    return text


def token_of(broker, server, *args):
    return broker.run("mcp-token", "--no-login", *args, server)


def side_by_side(check, items, n=4):
    """Runs @check on every item, several at once; the first failure is raised when all are done."""
    with concurrent.futures.ThreadPoolExecutor(n) as pool:
        return [f.result() for f in [pool.submit(check, item) for item in items]]


class Neighbour:
    """Somebody else, who has a login and asks for its token all the time."""

    def __init__(self, broker, server):
        self.broker = broker
        self.server = server
        self.times = []
        self.failures = []
        self.enough = threading.Event()
        self.thread = threading.Thread(target=self.ask, daemon=True)

    def ask(self):
        try:
            rpc = Rpc(self.broker.socket)
            while not self.enough.is_set():
                begin = time.monotonic()
                rpc.call("token.get", server=self.server)
                self.times.append(time.monotonic() - begin)
                self.enough.wait(0.01)
            rpc.close()
        except Exception as error:  # pylint: disable=broad-except
            self.failures.append(error)

    def __enter__(self):
        self.thread.start()
        until("the neighbour is answered", lambda: self.times or self.failures)
        return self

    def __exit__(self, *_):
        self.enough.set()
        self.thread.join(PATIENCE)

    def check(self):
        assert not self.failures, f"the neighbour was disturbed: {self.failures}"
        assert self.times, "the neighbour was never answered"
        print(f"# the neighbour: {len(self.times)} answers, median {statistics.median(self.times) * 1000:.2f} ms, "
              f"slowest {max(self.times) * 1000:.0f} ms", flush=True)


@contextlib.contextmanager
def undisturbed(stack, broker):
    """Whatever is done inside: the daemon lives, somebody else gets tokens throughout, and has still the same grant."""
    demo = Demo(stack, "--auto-consent")
    broker.add(demo.mcp)
    keeper = broker.pid("keeper")
    with Neighbour(broker, demo.mcp) as neighbour:
        yield demo
    neighbour.check()
    assert broker.process.poll() is None, broker.log()
    assert broker.pid("keeper") == keeper
    assert mcp_call(demo.mcp, broker.token(demo.mcp))[0] == 200
    assert demo.counters()["authorizations"] == 1 and demo.counters()["reuse_detected"] == 0


def state_of(broker, url):
    return next(s for s in broker.servers() if s["url"] == url)


class Waiting:
    """An mcp-add that has shown its address and waits for the browser."""

    def __init__(self, broker, url, *args):
        self.process = broker.popen("mcp-add", "--no-browser", *args, url)
        self.url = next(line.strip() for line in self.process.stderr if line.strip().startswith("http"))
        self.query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.url).query))

    def finish(self):
        _, err = self.process.communicate(timeout=PATIENCE)
        result = subprocess.CompletedProcess(self.process.args, self.process.returncode, "", err)
        return result

    def redirect(self, **query):
        """What a browser would open in the end."""
        return self.query["redirect_uri"] + "?" + urllib.parse.urlencode(query)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args):
        return None


def visit(url, follow=True):
    """Opens a page as a browser: status, address, text. Status 0: nobody answers there."""
    opener = urllib.request.build_opener(*([] if follow else [NoRedirect]))
    try:
        with opener.open(url, timeout=PATIENCE) as page:
            return page.status, page.url, page.read().decode(errors="replace")
    except urllib.error.HTTPError as page:
        return page.code, page.headers.get("Location", ""), page.read().decode(errors="replace")
    except (urllib.error.URLError, ConnectionError):
        return 0, "", ""


def need_root(what):
    if os.geteuid() != 0:
        raise Skip(f"root, {what}")


def as_nobody(call, hold=None):
    """What @call returns when another user calls it, as text. The other lives until @hold, if there is one, has returned."""
    need_root("to be two users")
    said, saying = os.pipe()
    kept, keeping = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(said)
            os.close(keeping)
            os.chdir("/")
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            try:
                text = str(call())
            except Exception as error:  # pylint: disable=broad-except
                text = repr(error)
            os.write(saying, text.encode())
            os.close(saying)
            if hold:
                os.read(kept, 1)
        finally:
            os._exit(0)
    os.close(saying)
    os.close(kept)
    with os.fdopen(said) as answer:
        text = answer.read()
    try:
        if hold:
            hold()
    finally:
        os.close(keeping)
        os.waitpid(pid, 0)
    return text


class Small:
    """A file system of few bytes, mounted over @path."""

    def __init__(self, stack, path, size):
        need_root("to mount a small file system")
        self.path = pathlib.Path(path)
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(path)],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Skip(f"root, to mount a small file system: {done.stderr.strip()}")
        stack.callback(subprocess.run, ["umount", "-l", str(path)], check=False, capture_output=True)

    def fill(self):
        with open(self.path / "ballast", "wb", buffering=0) as ballast:
            with contextlib.suppress(OSError):
                while True:
                    ballast.write(bytes(4096))
        assert os.statvfs(self.path).f_bfree == 0

    def clear(self):
        (self.path / "ballast").unlink()


def memory(pid, what="VmRSS"):
    """In bytes."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{what}:\s+(\d+) kB", text, re.M).group(1)) * 1024


def is_built_for_checking(broker):
    """With sanitizers or coverage: freed memory is kept, and the sandboxes are wider."""
    missing = [what for p in broker.status()["processes"] for what in p.get("sandbox", {}).get("missing", [])]
    return any(what.startswith("relaxed") for what in missing)

