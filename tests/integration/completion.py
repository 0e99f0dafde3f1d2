#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The shells really complete what the programs take: bash, zsh and fish are asked for what they offer, and keys are typed."""

import concurrent.futures
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
from harness import BUILD, PATIENCE, SOURCE, Broker, Skip, Tap, program  # noqa: E402

PROGRAMS = ("mcp-add", "mcp-brokerctl", "mcp-brokerd", "mcp-connect", "mcp-list", "mcp-token")
FOLDER = SOURCE / "contrib/completion"
TABLE = ("NAME  URL  STATE\nwork  https://mcp.example.com/mcp  ready\nme@home (me)  https://other.example.com/  ready\n"
         "bad  https://h/$(touch${IFS}pwned)  ready\n-  https://third.example.com/a&b  ready\n")
# What stands in no list of the daemon's, as the programs' own help names it.
VALUES = {
    "mcp-brokerctl ": {"status", "doctor", "stop", "reload", "lock", "unlock"},
    "mcp-add --audience=": {"issuer", "token-endpoint"},
    "mcp-add --present=": {"browser", "auto", "client-credentials", "private-key-jwt", "client-assertion", "jwt-spiffe", "jwt-bearer",
                           "token-exchange", "id-jag", "mtls"},
    "mcp-add --profile=": {"anthropic", "openai", "openrouter", "google-sts", "hydra", "entra"},
    "mcp-add --signing-alg=": {"ES256", "ES384", "RS256", "PS256", "EdDSA", "Ed25519"},
    "mcp-brokerd --key-slot=": {"file", "passphrase"},
    "mcp-connect --protocol=": {"auto", "legacy-first", "modern-first"},
    "mcp-connect --transport=": {"auto", "http-first", "http-only", "sse-first", "sse-only"},
}


def help_of(name):
    return subprocess.run([program(name), "--help"], capture_output=True, text=True, timeout=PATIENCE, check=True).stdout


def options_of_help(name):
    """{option: takes a value}, of the lines that begin with one."""
    text = help_of(name)
    found = {}
    for line in re.findall(r"^ +(-.*?)(?:  |$)", text, re.M):
        value = "=" in line
        for option in re.findall(r"(?<![\w-])(--?[A-Za-z][a-z-]*)", line):
            # Of the short options those take one whose long one does.
            found[option] = value
    assert len(found) > 4, text
    return found


def stubs(broker):
    """Programs that say how they were called, and a list as a daemon gives it; the environment that finds them."""
    folder = broker.dir / "stubs"
    folder.mkdir()
    for name in PROGRAMS:
        stub(folder / name, 'echo "<$(basename "$0")>$(printf "[%s]" "$@")<end>"')
    stub(folder / "mcp-list", f"case $* in *--no-autostart*) cat <<'E'\n{TABLE}E\nesac")
    return finds(broker, folder)


def stub(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def finds(broker, folder):
    return {**broker.env, "PATH": f"{folder}:{os.environ['PATH']}", "PWD": str(broker.dir)}


# --- the shells -----------------------------------------------------------------------------------------------------

class Shell:
    """offers() is what the shell would complete a line to: each as the whole word that then stands there."""

    def offers(self, line):
        raise NotImplementedError

    def takes_value(self, name, option):
        """Behind an option that takes one is not offered what stands where no option does."""
        return self.offers(f"{name} {option} ") != self.offers(f"{name} ")


class Asked(Shell):
    """A shell without a terminal, which reads lines and says what it offers for each."""

    def __init__(self, stack, env, command):
        self.process = subprocess.Popen(command, env=env, text=True, cwd=env["PWD"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        stack.enter_context(self.process)
        stack.callback(self.process.stdin.close)

    def offers(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        found = set()
        for said in self.process.stdout:
            if said == "<end>\n":
                return found
            found.add(said.rstrip("\n").partition("\t")[0])
        raise AssertionError(f"{self.name} ended: {found}")


class Bash(Asked):
    name = "bash"
    SCRIPT = ('source "$0"; while IFS= read -r COMP_LINE; do COMP_POINT=${#COMP_LINE} COMP_WORDBREAKS=" "; '
              '_mcp_broker "${COMP_LINE%% *}"; for word in "${COMPREPLY[@]}"; do echo "$word"; done; echo "<end>"; done')

    def __init__(self, stack, env):
        super().__init__(stack, env, ["bash", "-c", self.SCRIPT, str(FOLDER / "mcp-broker.bash")])

    def takes_value(self, name, option):
        if option.startswith("--"):
            return f"{option}=" in self.offers(f"{name} {option}")
        return super().takes_value(name, option)


class Fish(Asked):
    name = "fish"
    SCRIPT = "set fish_complete_path $argv; while read -l line; complete -C $line; echo '<end>'; end"

    def __init__(self, stack, env):
        super().__init__(stack, env, ["fish", "--no-config", "-c", self.SCRIPT, str(FOLDER / "fish")])


class Terminal:
    """An interactive shell."""

    def __init__(self, stack, env, command, setup):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(env["PWD"])
            os.execvpe(command[0], command, {**env, "PS1": "", "TERM": "dumb", "INPUTRC": "/dev/null", "ZDOTDIR": env["HOME"]})
        stack.callback(self.end)
        self.type(f"{setup}; echo '<'ready'>'\n", "<ready>")

    def end(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)

    def type(self, keys, wanted):
        os.write(self.fd, keys.encode())
        said, end = b"", time.monotonic() + PATIENCE
        while wanted.encode() not in said:
            assert time.monotonic() < end, (keys, said)
            if select.select([self.fd], [], [], 1)[0]:
                said += os.read(self.fd, 65536)
        return said.decode()

    def runs(self, keys):
        """The arguments that a program gets when what was completed is run."""
        said = self.type(f"{keys}\n", "<end>")
        return re.search(r">((?:\[[^\]]*\])*)<end>", said).group(1)


class BashTerminal(Terminal):
    def __init__(self, stack, env):
        super().__init__(stack, env, ["bash", "--norc", "--noprofile", "-i"],
                         f"bind 'set bell-style none'; source {shlex.quote(str(FOLDER / 'mcp-broker.bash'))}")


class Zsh(Terminal, Shell):
    """Two keys of ours put all that is offered on the line, or the first of it with what follows it, say the line and empty it."""

    name = "zsh"
    SETUP = ("unsetopt beep; fpath=({} $fpath); autoload -Uz compinit; compinit -u -D; "
             "all() {{ _main_complete; compstate[insert]=all; compstate[list]= }}; zle -C all complete-word all; "
             "first() {{ _main_complete; compstate[insert]='1 '; compstate[list]= }}; zle -C first complete-word first; "
             "say() {{ zle $1; zle -I; print -r -- '<line>'$BUFFER'<''end>'; BUFFER= }}; "
             "say-all() say all; zle -N say-all; bindkey '^T' say-all; "
             "say-first() say first; zle -N say-first; bindkey '^F' say-first")

    def __init__(self, stack, env):
        super().__init__(stack, env, ["zsh", "-f", "-i"], self.SETUP.format(shlex.quote(str(FOLDER))))

    def completed(self, line, key):
        return re.search(r"<line>(.*)<end>", self.type(line + key, "<end>")).group(1)

    def offers(self, line):
        given, got = line.split(" "), self.completed(line, "\x14")
        if got == line:
            return set()
        return set(shlex.split(got)[len(given) - 1:])

    def takes_value(self, name, option):
        if option.startswith("--"):
            return self.completed(f"{name} {option}", "\x06").endswith("=")
        # Nothing is offered behind one that asks for help.
        return super().takes_value(name, option) and bool(self.offers(f"{name} {option} "))


SHELLS = (Bash, Zsh, Fish)


def needs(*shells):
    for shell in shells:
        if not shutil.which(shell.name):
            raise Skip(f"no {shell.name}")


# --- of each shell --------------------------------------------------------------------------------------------------

def each_option_that_help_names_is_offered(stack, new):
    shell = new(stack, stubs(Broker(stack, start=False)))
    for name in PROGRAMS:
        want = options_of_help(name)
        got = {option.rstrip("=") for option in shell.offers(f"{name} -")}
        assert got == set(want), (name, got ^ set(want))
        takes = {option: shell.takes_value(name, option) for option in want}
        assert takes == want, (name, takes.items() ^ want.items())


def what_help_names_as_a_value_is_offered(stack, new):
    broker = Broker(stack, start=False)
    (broker.dir / "certificates").mkdir()
    shell = new(stack, stubs(broker))
    for line, values in VALUES.items():
        name, option = line.split(" ")
        assert values <= set(re.findall(r"[\w-]+", help_of(name))), line
        assert shell.offers(line) == {option + value for value in values}, line
        begin = max(values)[:2]
        assert shell.offers(line + begin) == {option + value for value in values if value.startswith(begin)}, line
        if option:
            assert shell.offers(line.replace("=", " ")) == values, line
    for line in ("mcp-connect --ca-file=", "mcp-connect --ca-file ", "mcp-brokerd --state-dir=", "mcp-brokerd -a "):
        option = line.split(" ")[1] if line.endswith("=") else ""
        assert {word.rstrip("/") for word in shell.offers(line + "cert")} == {option + "certificates"}, line
    assert shell.offers("mcp-add --browser=mcp-tok") == {"--browser=mcp-token"}
    assert shell.offers("mcp-add --name=") == set()


def what_a_server_put_into_its_url_is_not_offered(stack, new):
    broker = Broker(stack, start=False)
    shell = new(stack, stubs(broker))
    assert shell.offers("mcp-add http") == {"https://mcp.example.com/mcp", "https://other.example.com/"}
    assert shell.offers("mcp-token ") == {"bad", "me@home", "work"}
    assert not (broker.dir / "pwned").exists()


def names_are_those_of_the_daemon(stack, new):
    broker = Broker(stack)
    for name in ("one", "two"):
        broker.run("mcp-add", "--no-login", f"--name={name}", f"https://{name}.example.com/mcp", check=0)
    shell = new(stack, finds(broker, BUILD))
    for line in ("mcp-token ", "mcp-list ", "mcp-connect ", "mcp-add --logout ", "mcp-add -d "):
        assert shell.offers(line) == {"one", "two"}, line
    assert shell.offers("mcp-add --delete=t") == {"--delete=two"}
    assert shell.offers("mcp-list t") == {"two"}
    assert shell.offers("mcp-add https://t") == {"https://two.example.com/mcp"}
    clients = shell.offers("mcp-connect --write-config ")
    assert {"codex", "zed"} < clients and "help" not in clients, clients
    assert shell.offers("mcp-connect --print-config=") == {f"--print-config={client}" for client in clients | {"help"}}


def no_daemon_is_started_for_a_completion(stack, new):
    """What is asked of mcp-list would start one where one is installed."""
    broker = Broker(stack, start=False)
    env, asked = stubs(broker), broker.dir / "asked"
    stub(broker.dir / "stubs/mcp-list", f'echo "$*" >>{asked}; exec {program("mcp-list")} "$@"')
    shell = new(stack, env)
    for line in ("mcp-token ", "mcp-add ", "mcp-add --logout=", "mcp-connect "):
        assert shell.offers(line) == set(), line
    said = asked.read_text().splitlines()
    assert len(said) >= 4 and all("--no-autostart" in line.split() for line in said), said
    assert not broker.socket.exists()


def of_each_shell(check):
    def of(shell):
        def test(stack):
            needs(shell)
            check(stack, shell)
        test.__name__ = f"{shell.name}_{check.__name__}"
        return test
    return [of(shell) for shell in SHELLS]


# --- and besides ----------------------------------------------------------------------------------------------------

def a_daemon_that_does_not_answer_is_not_waited_for(stack):
    needs(*SHELLS)
    broker = Broker(stack, start=False)
    env = stubs(broker)
    stub(broker.dir / "stubs/mcp-list", "exec tail -f /dev/null")
    shells = [new(stack, env) for new in SHELLS]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for shell, found in zip(shells, pool.map(lambda shell: shell.offers("mcp-token "), shells)):
            assert found == set(), (shell.name, found)


def keys_are_completed(terminal):
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
                       ("mcp-add https://h\t", "[https://h]"),
                       ("mcp-add https://third\t", "[https://third]"),
                       ("mcp-brokerd --key-slot=pa\t", "[--key-slot=passphrase]"),
                       ("mcp-brokerd -a stu\t", "[-a][stubs]"),
                       ("mcp-brokerd --state-dir=stu\t", "[--state-dir=stubs]"),
                       ("mcp-connect --transport=sse-o\t", "[--transport=sse-only]")):
        # zsh takes the slash away again when the line ends there.
        got = terminal.runs(keys).replace("/]", "]") if "stu" in keys else terminal.runs(keys)
        assert got == want, (keys, got)


def keys_on_a_terminal_are_completed_by_bash(stack):
    broker = Broker(stack, start=False)
    keys_are_completed(BashTerminal(stack, stubs(broker)))
    assert not (broker.dir / "pwned").exists()


def keys_on_a_terminal_are_completed_by_zsh(stack):
    needs(Zsh)
    broker = Broker(stack, start=False)
    keys_are_completed(Zsh(stack, stubs(broker)))
    assert not (broker.dir / "pwned").exists()


def the_command_of_a_daemon_is_completed_as_itself(stack):
    """bash has no means for it without bash-completion."""
    needs(Zsh, Fish)
    env = stubs(Broker(stack, start=False))
    options = [f"{option} x " for option, value in options_of_help("mcp-brokerd").items() if value]
    for new in (Zsh, Fish):
        shell = new(stack, env)
        for before in ("", "-f ", "--socket=x ", *options):
            for line in (f"mcp-brokerd {before}", f"mcp-brokerd {before}-- "):
                assert shell.offers(f"{line}mcp-to") == {"mcp-token"}, (new.name, line)
                assert shell.offers(f"{line}mcp-token wo") == {"work"}, (new.name, line)
                assert shell.offers(f"{line}mcp-token --header-l") == {"--header-line"}, (new.name, line)
        assert shell.offers("mcp-token -- wo") == {"work"}, new.name


if __name__ == "__main__":
    sys.exit(Tap().run((
        *of_each_shell(each_option_that_help_names_is_offered),
        *of_each_shell(what_help_names_as_a_value_is_offered),
        *of_each_shell(what_a_server_put_into_its_url_is_not_offered),
        *of_each_shell(names_are_those_of_the_daemon),
        *of_each_shell(no_daemon_is_started_for_a_completion),
        a_daemon_that_does_not_answer_is_not_waited_for,
        keys_on_a_terminal_are_completed_by_bash,
        keys_on_a_terminal_are_completed_by_zsh,
        the_command_of_a_daemon_is_completed_as_itself,
    )))
