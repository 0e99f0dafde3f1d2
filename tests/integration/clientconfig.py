#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What mcp-connect writes into the configurations of clients is read by parsers that are not ours, and what it names works."""

import json
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../conformance"))
from harness import PATIENCE, Broker, Demo, Skip, Tap, program  # noqa: E402
from host import Host  # noqa: E402

URL = "https://mcp.example.com/mcp"


def clients(broker):
    """{name: (takes a helper, path)}"""
    listed = broker.run("mcp-connect", "--print-config=help", check=0).stdout.splitlines()[1:]
    rows = [re.fullmatch(r"(\S+) +.*? +(yes|-) +(\S.*)", line).groups() for line in listed]
    return {name: (helper == "yes", path) for name, helper, path in rows}


def parse(client, text):
    """The one entry of it."""
    if client == "codex":
        try:
            import tomllib
        except ImportError as exc:
            raise Skip("this Python has no tomllib") from exc
        value = tomllib.loads(text)["mcp_servers"]
    elif client == "goose":
        lines = [line for line in text.splitlines() if line.startswith("    ")]
        value = {"example": {k.strip(): json.loads(v) for k, v in (line.split(":", 1) for line in lines)}}
        assert text.startswith('extensions:\n  "example":\n'), text
    else:
        value = json.loads(text)
        (value,) = value.values()
    (entry,) = value.items()
    return entry


def command_of(entry):
    """The command line that it starts."""
    command = entry.get("command") or entry.get("cmd")
    return command if isinstance(command, list) else [command, *entry["args"]]


def each_client_gets_a_file_that_others_read_alike(stack):
    broker = Broker(stack, start=False)
    found = clients(broker)
    assert len(found) > 10 and any(helper for helper, _ in found.values()), found
    for client, (helper, path) in found.items():
        printed = broker.run("mcp-connect", f"--print-config={client}", URL, check=0).stdout
        name, entry = parse(client, printed)
        bridge, server = command_of(entry)
        assert (name, os.path.basename(bridge), server) == ("example", "mcp-connect", URL), entry
        if helper:
            _, entry = parse(client, broker.run("mcp-connect", f"--print-config={client}", "--helper", URL, check=0).stdout)
            assert entry["url"] == URL and "command" not in entry, entry
        else:
            broker.run("mcp-connect", f"--print-config={client}", "--helper", URL, check=7)
        if not path.startswith("/"):
            continue
        told = broker.run("mcp-connect", f"--write-config={client}", URL, check=0)
        assert told.stderr == f"Added: example in {path}\n" and told.stdout == "", told
        assert pathlib.Path(path).read_text() == printed
        told = broker.run("mcp-connect", f"--write-config={client}", URL, check=0)
        assert told.stderr == f"Unchanged: example in {path}\n", told


def what_is_written_works(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.add(demo.mcp, "--name=work")
    broker.run("mcp-connect", "--write-config=cursor", "--entry=mine", "work", check=0)
    entry = json.loads((broker.dir / "home/.cursor/mcp.json").read_text())["mcpServers"]["mine"]
    host = Host([program(os.path.basename(entry["command"])), *entry["args"]], broker.env, modern=False, capabilities=None)
    stack.callback(host.close)
    host.open()
    assert host.each("tools")


def a_helper_is_given_the_address_of_what_is_called_by_name(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.add(demo.mcp, "--name=work")
    broker.run("mcp-connect", "--print-config=codex", "--helper", "nobody", check=9)
    text = broker.run("mcp-connect", "--print-config=claude-code", "--helper", "work", check=0).stdout
    entry = json.loads(text)["mcpServers"]["work"]
    assert entry["url"] == demo.mcp, entry
    folder, _, helper = entry["headersHelper"].rpartition("/")
    assert folder, entry
    env = {"HOME": broker.env["HOME"], "MCP_BROKER_SOCK": broker.env["MCP_BROKER_SOCK"], "PATH": f"{os.path.dirname(program('x'))}:/bin"}
    result = subprocess.run(["sh", "-c", helper], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            timeout=PATIENCE, check=False)
    assert json.loads(result.stdout)["Authorization"].startswith("Bearer "), result


def what_is_not_understood_is_left_alone(stack):
    broker = Broker(stack, start=False)
    path = broker.dir / "home/config/zed/settings.json"
    path.parent.mkdir(parents=True)
    path.write_text("// mine\n{ oops }\n")
    result = broker.run("mcp-connect", "--write-config=zed", URL, check=12)
    assert str(path) in result.stderr and "--print-config" in result.stderr, result.stderr
    assert path.read_text() == "// mine\n{ oops }\n" and len(list(path.parent.iterdir())) == 1
    for wrong in (["--entry=x"], ["--helper"], ["--print-config=zed", "--write-config=zed"], ["--print-config=nobody"]):
        broker.run("mcp-connect", *wrong, URL, check=2)
    broker.run("mcp-connect", "--write-config=zed", check=2)


if __name__ == "__main__":
    sys.exit(Tap().run((
        each_client_gets_a_file_that_others_read_alike,
        what_is_written_works,
        a_helper_is_given_the_address_of_what_is_called_by_name,
        what_is_not_understood_is_left_alone,
    )))
