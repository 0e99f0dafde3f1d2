#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the shells complete is what the programs take, and bash really completes it: keys typed on a terminal."""

import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BUILD, PATIENCE, SOURCE, Broker, Tap, program  # noqa: E402

PROGRAMS = ("mcp-add", "mcp-brokerctl", "mcp-brokerd", "mcp-connect", "mcp-list", "mcp-token")
FOLDER = SOURCE / "contrib/completion"
TABLE = ("NAME  URL  STATE\nwork  https://mcp.example.com/mcp  ready\nme@home (me)  https://other.example.com/  ready\n"
         "bad  https://h/$(touch${IFS}pwned)  ready\n-  https://third.example.com/a&b  ready\n")


def options_of_help(name):
    """{option: takes a value}, of the lines that begin with one."""
    text = subprocess.run([program(name), "--help"], capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
    found = {}
    for line in re.findall(r"^ +(-.*?)(?:  |$)", text, re.M):
        value = "=" in line
        for option in re.findall(r"(?<![\w-])(--?[A-Za-z][a-z-]*)", line):
            # Of the short options those take one whose long one does.
            found[option] = value
    assert len(found) > 4, text
    return found


# --- bash -----------------------------------------------------------------------------------------------------------

def complete(line, env):
    """What bash's function answers, without a terminal."""
    script = ('source "$0"; COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDBREAKS=" =:@"; _mcp_broker "${1%% *}"; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    result = subprocess.run(["bash", "-c", script, FOLDER / "mcp-broker.bash", line], env=env, capture_output=True, text=True,
                            timeout=PATIENCE, check=True, stdin=subprocess.DEVNULL)
    assert not result.stderr, result.stderr
    return sorted(result.stdout.split())


def bash_completes_each_option_that_help_names(_stack):
    for name in PROGRAMS:
        want = options_of_help(name)
        got = complete(f"{name} -", dict(os.environ))
        long = {option.rstrip("="): option.endswith("=") for option in got if option.startswith("--")}
        assert long == {o: v for o, v in want.items() if o.startswith("--")}, (name, long, want)
        assert {o for o in got if not o.startswith("--")} == {o for o in want if not o.startswith("--")}, (name, got, want)


class Terminal:
    """An interactive bash, with programs that say how they were called."""

    def __init__(self, stack, broker):
        self.folder = broker.dir / "stubs"
        self.folder.mkdir()
        for name in PROGRAMS:
            self.stub(name, 'echo "<$(basename "$0")>$(printf "[%s]" "$@")<end>"')
        self.stub("mcp-list", f"case $* in *--no-autostart*) cat <<'E'\n{TABLE}E\nesac")
        env = {**broker.env, "PATH": f"{self.folder}:{os.environ['PATH']}", "PS1": "", "TERM": "dumb", "INPUTRC": "/dev/null"}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(broker.dir)
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], env)
        stack.callback(self.end)
        self.type(f"bind 'set bell-style none'; source {shlex.quote(str(FOLDER / 'mcp-broker.bash'))}; echo '<'ready'>'\n", b"<ready>")

    def stub(self, name, text):
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def end(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)

    def type(self, keys, wanted):
        os.write(self.fd, keys.encode())
        said, end = b"", time.monotonic() + PATIENCE
        while wanted not in said:
            assert time.monotonic() < end, (keys, said)
            if select.select([self.fd], [], [], 1)[0]:
                said += os.read(self.fd, 65536)
        return said

    def runs(self, keys):
        """The arguments that a program gets when what was completed is run."""
        said = self.type(f"{keys}\n", b"<end>")
        return re.search(rb">((?:\[[^\]]*\])*)<end>", said).group(1).decode()


def keys_on_a_terminal_are_completed(stack):
    terminal = Terminal(stack, Broker(stack, start=False))
    for keys, want in (("mcp-brokerctl rel\t", "[reload]"),
                       ("mcp-token --header-\t work", "[--header-line][work]"),
                       ("mcp-token wo\t", "[work]"),
                       ("mcp-token me\t", "[me@home]"),
                       ("mcp-token me@h\t", "[me@home]"),
                       ("mcp-connect --account=a wo\t", "[--account=a][work]"),
                       ("mcp-add --logo\two\t", "[--logout=work]"),
                       ("mcp-add --delete=me@h\t", "[--delete=me@home]"),
                       ("mcp-add --logout wo\t", "[--logout][work]"),
                       ("mcp-add -d wo\t", "[-d][work]"),
                       ("mcp-add https://mcp\t", "[https://mcp.example.com/mcp]"),
                       ("mcp-add http\tmc\t", "[https://mcp.example.com/mcp]"),
                       ("mcp-brokerd --key-slot=pa\t", "[--key-slot=passphrase]"),
                       ("mcp-brokerd -a stu\t", "[-a][stubs/]"),
                       ("mcp-brokerd --state-dir=stu\t", "[--state-dir=stubs/]"),
                       ("mcp-connect --transport=sse-o\t", "[--transport=sse-only]")):
        got = terminal.runs(keys)
        assert got == want, (keys, got)


def what_a_server_put_into_its_url_is_not_run(stack):
    broker = Broker(stack, start=False)
    terminal = Terminal(stack, broker)
    assert terminal.runs("mcp-add https://h\t") == "[https://h]"
    assert terminal.runs("mcp-add https://third\t") == "[https://third]"
    assert not (broker.dir / "pwned").exists()


def names_are_those_of_the_daemon(stack):
    broker = Broker(stack)
    for name in ("one", "two"):
        broker.run("mcp-add", "--no-login", f"--name={name}", f"https://{name}.example.com/mcp", check=0)
    env = {**broker.env, "PATH": f"{BUILD}:{os.environ['PATH']}"}
    for line in ("mcp-token ", "mcp-list ", "mcp-connect ", "mcp-add --logout "):
        assert complete(line, env) == ["one", "two"], line
    assert complete("mcp-list t", env) == ["two"]
    assert complete("mcp-add https://t", env) == ["//two.example.com/mcp"]
    clients = complete("mcp-connect --write-config ", env)
    assert "codex" in clients and "zed" in clients and "help" not in clients, clients
    assert "help" in complete("mcp-connect --print-config=", env)


def no_daemon_is_started_for_a_completion(stack):
    broker = Broker(stack, start=False)
    assert complete("mcp-token ", {**broker.env, "PATH": f"{BUILD}:{os.environ['PATH']}"}) == []
    assert not broker.socket.exists()


def a_daemon_that_does_not_answer_is_not_waited_for(stack):
    broker = Broker(stack, start=False)
    stub = broker.dir / "mcp-list"
    stub.write_text("#!/bin/sh\nexec tail -f /dev/null\n")
    stub.chmod(0o755)
    assert complete("mcp-token ", {**broker.env, "PATH": f"{broker.dir}:{os.environ['PATH']}"}) == []


# --- zsh and fish ---------------------------------------------------------------------------------------------------

def syntax_is_right(shell, path):
    """Where there is such a shell."""
    if shutil.which(shell):
        subprocess.run([shell, "-n", path], check=True, timeout=PATIENCE)


def zsh_is_told_each_option_that_help_names(_stack):
    path = FOLDER / "_mcp-broker"
    text = path.read_text()
    syntax_is_right("zsh", path)
    assert set(re.match(r"#compdef (.*)", text).group(1).split()) == set(PROGRAMS)
    common = re.search(r"common=\(\n(.*?)^ +\)", text, re.M | re.S).group(1)
    for name in PROGRAMS:
        block = re.search(rf"^ +{name}\)\n(.*?);;", text, re.M | re.S).group(1)
        if "$common" in block:
            block += common
        found = {}
        for specs, braced in re.findall(r"(?:'(?:\*|\(- \*\))?(--?[a-zA-Z][\w-]*=?)\[)|(?:\{([-+=\w,]+)\}'\[)", block):
            for spec in (specs or braced).split(","):
                found[spec.rstrip("+=")] = spec[-1] in "+="
        want = options_of_help(name)
        assert found == want, (name, sorted(found.items() ^ want.items()))


def fish_is_told_each_option_that_help_names(_stack):
    for name in PROGRAMS:
        path = FOLDER / f"fish/{name}.fish"
        syntax_is_right("fish", path)
        found = {}
        for line in path.read_text().splitlines():
            words = shlex.split(line) if line.startswith("complete ") else []
            if not words:
                continue
            assert words[1:3] == ["-c", name], line
            takes = any(w in ("-x", "-xa", "-rF") for w in words)
            found.update({f"-{words[i + 1]}": takes for i, w in enumerate(words) if w == "-s"})
            found.update({f"--{words[i + 1]}": takes for i, w in enumerate(words) if w == "-l"})
        want = options_of_help(name)
        assert found == want, (name, sorted(found.items() ^ want.items()))


if __name__ == "__main__":
    sys.exit(Tap().run((
        bash_completes_each_option_that_help_names,
        keys_on_a_terminal_are_completed,
        what_a_server_put_into_its_url_is_not_run,
        names_are_those_of_the_daemon,
        no_daemon_is_started_for_a_completion,
        a_daemon_that_does_not_answer_is_not_waited_for,
        zsh_is_told_each_option_that_help_names,
        fish_is_told_each_option_that_help_names,
    )))
