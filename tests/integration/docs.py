#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is written for people is what the programs do: examples are run, options and exit statuses compared, tables looked up.

An example with https://mcp.example.com is run against the demo server. What cannot be run here (a build, systemd, root) is checked for
its syntax, and that the files, options and units it names exist.
"""

import contextlib
import json
import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import threading
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BUILD, PATIENCE, SOURCE, Broker, Demo, Skip, Tap, program, until  # noqa: E402

SERVER = "https://mcp.example.com/mcp"
ISSUER = "https://login.example.com"
INSTALLED = ("mcp-add", "mcp-brokerctl", "mcp-brokerd", "mcp-connect", "mcp-list", "mcp-token")
INTERNAL = ("mcp-broker-net", "mcp-broker-session", "mcp-broker-kdf", "mcp-broker-identity")
# A release has no contrib/check and no lints: these look at the files that git knows.
RELEASE = not (SOURCE / ".git").exists()
ELSEWHERE = ("sudo", "autoreconf", "make", "systemctl", "./configure", "./contrib/quickstart", "./contrib/check")


def read(path):
    return (SOURCE / path).read_text()


# --- what stands in the documents ---------------------------------------------------------------------------------

def blocks(path):
    """The fenced blocks of a Markdown file: (language, text)."""
    return re.findall(r"^```(\w*)\n(.*?)^```", read(path), re.M | re.S)


def commands(text, prompt):
    """[(command, [lines of output])] of an example."""
    found = []
    for line in text.splitlines():
        line = line.rstrip()
        if prompt and not line.startswith("$ "):
            if found and line:
                found[-1][1].append(line)
        elif line and not line.startswith("#"):
            found.append((line[2:] if prompt else line.split("  #")[0].rstrip(), []))
    return found


def unescape(text):
    for mark, char in (("\\(dq", '"'), ("\\(aq", "'"), ("\\&", ""), ("\\-", "-"), ("\\e", "\\")):
        text = text.replace(mark, char)
    return text


def pages():
    return {path.name: path.read_text() for path in sorted((SOURCE / "doc/man").iterdir())}


def page_of(name):
    for text in pages().values():
        if re.search(rf"^\.Nm {re.escape(name)}( ,)?$", text.split(".Nd")[0], re.M):
            return text
    raise AssertionError(f"no man page for {name}")


def section(page, title):
    match = re.search(rf"^\.Sh {title}\n(.*?)(?=^\.Sh |\Z)", page, re.M | re.S)
    return match.group(1) if match else ""


def literals(page):
    """The displays and one-line displays of a page."""
    found = [unescape(text) for text in re.findall(r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed", page, re.M | re.S)]
    return found + [unescape(text) + "\n" for text in re.findall(r"^\.Dl (.*)$", page, re.M)]


# --- running examples ---------------------------------------------------------------------------------------------

class Stage:
    """A demo server and a broker, on which examples are played."""

    def __init__(self, stack, *options):
        self.demo = Demo(stack, "--auto-consent", *options)
        self.broker = Broker(stack)
        self.broker.env["PATH"] = f"{BUILD}:{os.environ['PATH']}"
        self.broker.env.update(self.broker.person())

    def play(self, command, output=(), stdin=None):
        first = shlex.split(command)[0]
        if first in ELSEWHERE:
            return look_at(command)
        if "eval" in command:
            return self.evaluate(command)
        if "mcp-brokerd" in command:
            command = command.replace("=/tmp/trial", f"={self.broker.dir}/trial")
            command = command.replace("mcp-brokerd ", f"mcp-brokerd --libexec-dir={BUILD} --vendor-dir={self.broker.dir}/vendor ")
        real = command.replace(SERVER, self.demo.mcp).replace(ISSUER, self.demo.issuer)
        assert "example.com" not in real, f"this would leave the machine: {real}"
        if "--no-browser" in command:
            return self.log_in_elsewhere(real)
        result = subprocess.run(["bash", "-o", "pipefail", "-c", real], env=self.broker.env, capture_output=True, text=True,
                                cwd=self.broker.dir, timeout=PATIENCE, input=stdin or "")
        said = result.stdout + result.stderr
        assert result.returncode == 0, f"$ {real}\n{said}\nstatus {result.returncode}\n{self.broker.log()}"
        if output:
            assert output[0].split()[0] in said, f"$ {real}\n{said}\n-- and not, as in the example: {output[0]}"
        return result

    def log_in_elsewhere(self, command):
        """The person has the browser somewhere else; here the redirect still reaches the listener."""
        process = subprocess.Popen(["bash", "-c", f"exec {command}"], env=self.broker.env, stdin=subprocess.DEVNULL, text=True,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        timer = threading.Timer(PATIENCE, process.kill)
        timer.start()
        try:
            for line in process.stderr:
                if line.strip().startswith("http"):
                    subprocess.run([self.broker.env["BROWSER"], line.strip()], env=self.broker.env, check=True, timeout=PATIENCE)
                    break
            process.stderr.read()
            assert process.wait() == 0, command
        finally:
            timer.cancel()
            process.stderr.close()
            process.wait()

    def evaluate(self, command):
        """As in a login shell: a daemon in the background, found by the variable, stopped again."""
        command = command.replace("mcp-brokerd", f"mcp-brokerd --libexec-dir={BUILD} --vendor-dir={self.broker.dir}/vendor"
                                                 f" --state-dir={self.broker.dir}/other --socket={self.broker.dir}/run/other/socket")
        env = {k: v for k, v in self.broker.env.items() if k != "MCP_BROKER_SOCK"}
        with open(self.broker.dir / "eval.log", "wb+") as log:
            result = subprocess.run(["bash", "-c", f"set -eu; {command}; test -S \"$MCP_BROKER_SOCK\"; kill -0 $MCP_BROKER_PID; "
                                                   "mcp-brokerctl stop"],
                                    env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=PATIENCE, check=False)
            log.seek(0)
            assert result.returncode == 0, f"{command}\n{log.read().decode()}"


def look_at(command):
    """What cannot be run in a test."""
    assert subprocess.run(["bash", "-n", "-c", command], capture_output=True, check=False).returncode == 0, command
    words = shlex.split(command)
    if words[0] == "sudo":
        words = words[1:]
    if words[0].startswith("./contrib/") or words[0] == "./configure":
        path = SOURCE / words[0]
        if RELEASE and not path.exists():
            return
        assert os.access(path, os.X_OK), f"{words[0]} is not there"
        options = [w.split("=")[0] for w in words[1:] if w.startswith("--")]
        if options or words[0].endswith(("quickstart", "check")):
            text = subprocess.run([path, "--help"], capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
            for option in options:
                assert option in text, f"{words[0]} has no {option}"
        for package_list in words[1:] if words[0].endswith("packages/install") else ():
            assert (SOURCE / "contrib/packages" / package_list).exists(), package_list
    elif words[0] == "systemctl":
        for word in words:
            if word.startswith("mcp-"):
                assert (SOURCE / f"systemd/{word}.in").exists(), f"there is no unit {word}"
    else:
        assert words[0] in ("autoreconf", "make", "ldconfig"), f"who runs this? {command}"


# --- README ---------------------------------------------------------------------------------------------------------

def what_README_shows_works(stack):
    stage = Stage(stack)
    n = 0
    for language, text in blocks("README.md"):
        for command, output in commands(text, language == "console") if language in ("sh", "console") else ():
            # After it was forgotten, what follows needs it again.
            if "work" in command and not command.startswith("mcp-add") and not stage.broker.servers():
                stage.play(f"mcp-add --name=work {SERVER}")
            stage.play(command, output)
            n += 1
    assert n > 15, n


def an_address_pasted_on_a_terminal_logs_in(stack):
    """README, "Over SSH": the browser cannot reach the listener; what it ends at is pasted."""
    stage = Stage(stack)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(program("mcp-add"), ["mcp-add", "--name=work", "--no-browser", stage.demo.mcp], stage.broker.env)
    said = b""

    def read_until(pattern):
        nonlocal said
        until(pattern, lambda: re.search(pattern, hear()))
        return re.search(pattern, said)

    def hear():
        nonlocal said
        ready, _, _ = select.select([terminal], [], [], 0.1)
        if ready:
            with contextlib.suppress(OSError):  # the other side has closed it
                said += os.read(terminal, 65536)
        return said

    try:
        url = read_until(rb"(http://\S+/authorize\S+)\s").group(1).decode()
        read_until(rb"paste here")
        os.write(terminal, b"http://127.0.0.1/nothing\n")
        read_until(rb"not the address that the login ends at")
        request = urllib.request.build_opener(NoRedirect).open(url, timeout=PATIENCE)
        os.write(terminal, request.headers["Location"].encode() + b"\n")
        read_until(rb"\r\x1b\[KLogged in: work\r\n")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    finally:
        os.close(terminal)
    assert stage.broker.servers()[0]["state"] == "ready"


class NoRedirect(urllib.request.HTTPErrorProcessor):
    def http_response(self, request, response):
        return response


def configuration_that_README_shows_parses(stack):
    seen = set()
    for language, text in blocks("README.md"):
        seen.add(language)
        if language == "json":
            servers_work(stack, text)
        elif language == "toml":
            for server in toml(text)["mcp_servers"].values():
                helper_works(stack, server["http_headers_helper"])
        elif language == "ini":
            file_loads(stack, text)
        else:
            assert language in ("sh", "console"), f"a block of {language or 'no language'}: who checks it?"
    assert {"json", "toml", "ini"} <= seen, seen


def servers_work(stack, text):
    """The way most clients write it."""
    for server in json.loads(text)["mcpServers"].values():
        if "command" in server:
            bridge_works(stack, [server["command"], *server["args"]])
        else:
            helper_works(stack, server["headersHelper"])


def bridge_works(stack, command):
    stage = Stage(stack)
    opening = {"jsonrpc": "2.0", "id": 1, "method": "initialize",
               "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "docs", "version": "1"}}}
    if command[-1] != SERVER:
        stage.play(f"mcp-add --name={command[-1]} {SERVER}")
    command = [stage.demo.mcp if word == SERVER else word for word in command]
    with subprocess.Popen(command, env=stage.broker.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdin.write(json.dumps(opening) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
    assert answer["result"]["serverInfo"]["name"], answer


def toml(text):
    try:
        import tomllib
    except ImportError as exc:
        raise Skip("this Python has no tomllib") from exc
    return tomllib.loads(text)


def helper_works(stack, command):
    """As the clients run it: by sh, without most of the environment; one JSON object of strings."""
    stage = Stage(stack)
    stage.play(f"mcp-add --name=work {SERVER}")
    env = {k: v for k, v in stage.broker.env.items() if k in ("PATH", "HOME", "MCP_BROKER_SOCK")}
    result = subprocess.run(["sh", "-c", command], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            timeout=PATIENCE, check=False)
    assert result.returncode == 0, result.stderr
    headers = json.loads(result.stdout)
    assert headers["Authorization"].startswith("Bearer "), headers


def file_loads(stack, text):
    """Which file it is for is told by its first section."""
    if text.startswith("[Server]"):
        declaration_loads(stack, text)
    elif text.startswith(("[Network", "[Broker")):
        configuration_loads(stack, text)
    else:
        policy_loads(stack, text)


def declaration_loads(stack, text):
    broker = Broker(stack, start=False)
    secret = broker.dir / "secret"
    secret.write_text("secret\n")
    secret.chmod(0o600)
    folder = broker.dir / "config/servers.d"
    folder.mkdir(mode=0o700)
    path = folder / "example.conf"
    path.write_text(re.sub(r"(?m)^ClientSecretFile=.*", f"ClientSecretFile={secret}", text))
    path.chmod(0o644)
    broker.start()
    assert [s["url"] for s in broker.servers()] == re.findall(r"(?m)^URL=(.*)", text)


def policy_loads(stack, text):
    broker = Broker(stack, start=False)
    folder = broker.dir / "config/policy.d"
    folder.mkdir(mode=0o700)
    path = folder / "50-example.conf"
    path.write_text(text)
    path.chmod(0o644)
    broker.start()
    assert broker.status()["locked"] is False


# --- man pages ------------------------------------------------------------------------------------------------------

def examples_of_man_pages_work(stack):
    n = 0
    for name, page in pages().items():
        examples = section(page, "EXAMPLES") + section(page, "UNITS")
        todo = [c for text in literals(examples) if text.startswith("$ ") for c in commands(text, True)]
        if not todo:
            continue
        stage = Stage(stack, "--client", "abc:secret")
        if name != "mcp-add.1":
            stage.play(f"mcp-add --name=work {SERVER}")
        for command, _ in todo:
            if "--client-id" in command and stage.broker.servers():
                stage.play("mcp-add -D")
            if "-d work" in command and not any(s["name"] == "work" for s in stage.broker.servers()):
                stage.play("mcp-add -D")
                stage.play(f"mcp-add --name=work {SERVER}")
            if "--name=work" in command and stage.broker.servers():
                stage.play("mcp-add -D")
            stage.play(command, stdin="secret\n" if "--client-secret-file=-" in command else None)
            n += 1
    assert n >= 12, n


def other_displays_of_man_pages_parse(stack):
    for name, page in pages().items():
        for text in literals(page):
            if text.startswith("{") and "mcpServers" in json.loads(text):
                servers_work(stack, text)
            elif text.startswith("{"):
                pass  # it is JSON, and that is all it claims to be
            elif text.startswith("[mcp_servers"):
                toml(text)
            elif text.startswith(("[Rule", "[Policy", "[Network", "[Broker", "[Server]")):
                file_loads(stack, text)
            elif text.startswith("typedef"):
                compiles(f"#include <mcpbroker.h>\n{text}")  # a second typedef that differs from the header's is refused
            elif text.startswith("# "):  # what root would type
                subprocess.run(["bash", "-n", "-c", text[2:]], check=True)
            else:
                assert text.startswith(("$ ", "#include", "eval")), f"{name}: who checks this?\n{text}"


def configuration_loads(stack, text):
    certificates = "/etc/ssl/certs/ca-certificates.crt"
    if not os.path.exists(certificates):
        raise Skip("no certificates on this machine")
    broker = Broker(stack, start=False)
    path = broker.dir / "config/mcp-broker.conf"
    path.write_text(re.sub(r"(?m)^CaFile=.*", f"CaFile={certificates}", text))
    path.chmod(0o644)
    broker.start()
    assert broker.status()["locked"] is False


def compiles(text):
    compiler = shutil.which(os.environ.get("CC", "cc").split()[0]) or shutil.which("cc")
    if not compiler:
        raise Skip("no compiler")
    result = subprocess.run([compiler, "-std=gnu17", "-Wall", "-Wextra", "-Werror", f"-I{SOURCE}/include", "-fsyntax-only", "-xc",
                             "-"], input=text, text=True, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr


def the_example_in_C_compiles(_stack):
    compiles(next(t for t in literals(pages()["libmcpbroker.3"]) if t.startswith("#include")))


def help_of(name):
    result = subprocess.run([program(name), "--help"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert result.returncode == 0, (name, result.returncode)
    return result.stdout


def options_in(text):
    """Of the lines that begin with one: "  -f, --foreground   stay"."""
    lists = " ".join(re.findall(r"^ +(-.*?)(?:  |$)", text, re.M))
    return set(re.findall(r"(?<![\w-])--([a-z][a-z-]+)", lists)) | set(re.findall(r"(?<![\w-])-([a-zA-Z])(?![\w-])", lists))


def options_of_page(page):
    """Those with an entry of their own: .It Fl a Ar x , Fl -long"""
    found = set()
    for line in re.findall(r"^\.It Fl (.*)$", page, re.M):
        for item in re.split(r" , (?:Fl )?", line):
            found.add(item.split()[0].lstrip("-"))
    return found


def each_option_stands_in_help_and_in_its_man_page(_stack):
    for name in INSTALLED:
        page = page_of(name)
        told, written = options_in(help_of(name)), options_of_page(page)
        assert told == written, f"{name}: only in --help: {sorted(told - written)}; only in the man page: {sorted(written - told)}"
    page = page_of("mcp-broker-net")
    internal = set(re.findall(r"--([a-z-]+)", "".join(help_of(n) for n in INTERNAL if n not in ("mcp-broker-kdf", "mcp-broker-identity"))))
    assert {"role", "kdf"} <= internal <= options_of_page(page), internal


def options_that_man_pages_name_are_taken(stack):
    """Each long option of a page is known to the program. No such command line is one that does anything: an option that takes a
    value swallows the first of the two that nobody knows, and the second is there in any case."""
    env = Broker(stack, start=False).env
    for name in INSTALLED:
        for option in sorted(o for o in options_of_page(page_of(name)) if len(o) > 1):
            result = subprocess.run([program(name), f"--{option}", "--unknown", "--unknown"], capture_output=True, text=True,
                                    timeout=PATIENCE, stdin=subprocess.DEVNULL, env=env, check=False)
            assert f"'--{option}'" not in result.stderr, (name, option, result.stderr)
            assert result.returncode == (0 if option in ("help", "version") else 2), (name, option, result.returncode, result.stderr)


def exit_statuses_are_those_of_the_table(_stack):
    table = {int(s) for s in re.findall(r"^\s*X\(\w+, \"\w+\", -?\d+, (\d+)\)", read("src/base/error.h"), re.M)}
    assert len(table) > 8, table
    for name in INSTALLED:
        written = {int(n) for n in re.findall(r"^\.It (\d+)$", section(page_of(name), "EXIT STATUS"), re.M)}
        assert {0, 2} <= written <= table | {0}, f"{name}: {sorted(written - table - {0})} are no statuses of ours"
        told = re.search(r"^Exit status: (.*?)\.\n", help_of(name), re.M | re.S)
        if told:
            numbers = {int(n) for n in re.findall(r"(?:^|, )(\d+) ", told.group(1).replace("\n", " "))}
            assert numbers == written, f"{name}: --help says {sorted(numbers)}, its man page {sorted(written)}"


def the_library_has_its_man_page(_stack):
    declared = set(re.findall(r"^MCPB_API .*?\b(mcpb_\w+)\(", read("include/mcpbroker.h"), re.M))
    page = pages()["libmcpbroker.3"]
    assert declared and declared == set(re.findall(r"^\.Fn (mcpb_\w+) ", section(page, "SYNOPSIS"), re.M))
    assert declared == set(re.findall(r"^\.Nm (mcpb_\w+)", page, re.M))
    text = " ".join(read("include/mcpbroker.h").split())
    for kind, name, arguments in re.findall(r"^\.Ft (.*)\n\.Fn (mcpb_\w+) (.*)$", section(page, "SYNOPSIS"), re.M):
        kind = kind.strip('"')
        want = f"{kind}{'' if kind.endswith('*') else ' '}{name}({', '.join(shlex.split(arguments))})"
        assert want in text, f"the header does not say: {want}"


# --- other documents ------------------------------------------------------------------------------------------------

def tests_that_SECURITY_names_are_about_it(_stack):
    rows = re.findall(r"^\| (S\d+) \|(.*)$", read("SECURITY.md"), re.M)
    assert [r[0] for r in rows] == [f"S{i}" for i in range(1, 11)], rows
    for invariant, row in rows:
        files = re.findall(r"`(tests/\S+)`", row)
        assert files, f"{invariant} names no test"
        for name in files:
            assert re.search(rf"\b{invariant}\b", read(name)), f"{name} says nothing of {invariant}"


def tables_of_ARCHITECTURE_are_those_of_the_source(_stack):
    text = read("doc/ARCHITECTURE.md")
    events = re.findall(r"X\(\w+, +\"([a-z_.]+)\"\)", read("src/audit/audit.h"))
    assert events and all(f"`{e}`" in text for e in events), [e for e in events if f"`{e}`" not in text]
    sources = "".join(p.read_text() for folder in ("daemon", "net", "session", "wire") for p in sorted((SOURCE / "src" / folder).glob("*.c")))
    channels = text.split("## Channels")[1].split("## States")[0]
    ops = [op for row in re.findall(r"^\| (`[a-z`/ -]+) \|", channels, re.M) for op in re.findall(r"`([a-z-]+)`", row)]
    assert len(ops) > 20 and all(f'"{op}"' in sources for op in ops), [op for op in ops if f'"{op}"' not in sources]
    layers = text.split("## Layers")[1].split("## Channels")[0]
    told = set(re.findall(r"`([a-z]+)`", "".join(re.findall(r"^\| \w+ \|([^|]*)\|", layers, re.M)))) - {"src"}
    there = {p.name for p in (SOURCE / "src").iterdir() if p.is_dir() and list(p.glob("*.c"))}
    assert told == there, (sorted(told - there), sorted(there - told))
    for name, states in (("grant", read("src/broker/grant.h")), ("login", read("src/broker/login.h"))):
        for state in re.findall(rf"^ +{name.upper()}_([A-Z]+),", states, re.M):
            assert state in text, f"{name}: {state}"
    for path in set(re.findall(r"`((?:src|tests|include|contrib)/[\w./-]+)`", text)):
        assert (SOURCE / path).exists() or RELEASE and path.startswith("tests/lint/"), path


sys.exit(Tap().run([
    what_README_shows_works,
    an_address_pasted_on_a_terminal_logs_in,
    configuration_that_README_shows_parses,
    examples_of_man_pages_work,
    other_displays_of_man_pages_parse,
    the_example_in_C_compiles,
    each_option_stands_in_help_and_in_its_man_page,
    options_that_man_pages_name_are_taken,
    exit_statuses_are_those_of_the_table,
    the_library_has_its_man_page,
    tests_that_SECURITY_names_are_about_it,
    tables_of_ARCHITECTURE_are_those_of_the_source,
]))
