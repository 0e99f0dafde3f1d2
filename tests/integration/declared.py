#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Servers that files declare, with the whole behind them: nobody adds them, and nothing is asked before somebody wants something."""

import os
import re
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Broker, Demo, Rpc, Tap, mcp_call, until  # noqa: E402

SECRET = "planted-declared-secret-51c7"


def declare(broker, name, text, folder="config"):
    """A file in the vendor's or the user's folder."""
    path = broker.dir / folder / "servers.d" / name
    path.parent.mkdir(mode=0o755, exist_ok=True)
    path.write_text(text)
    path.chmod(0o644)
    return path


def section(demo, *lines):
    return "\n".join(("[Server]", f"URL={demo.mcp}", *lines, ""))


def states(broker):
    return {s["name"]: s["state"] for s in broker.servers()}


def reload(broker, what):
    """SIGHUP, and what the log then says."""
    before = broker.log().count(what)
    broker.process.send_signal(signal.SIGHUP)
    until("the configuration was read again", lambda: broker.log().count(what) > before)


def pid_is_alive(broker):
    return broker.process.poll() is None


# S10
def a_declared_server_costs_nothing_until_somebody_logs_in(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack, start=False)
    path = declare(broker, "work.conf", section(demo))
    broker.start()
    table = broker.run("mcp-list", check=0).stdout
    assert "work" in table and "login_required (declared)" in table, table
    assert broker.servers()[0]["declared"] == str(path)
    broker.run("mcp-token", "--no-login", "work", check=4)
    reload(broker, "read again")
    assert demo.stats()["requests"].get("mcp", 0) == 0 and demo.count("prm") == 0, demo.stats()["requests"]
    broker.add(demo.mcp)
    assert mcp_call(demo.mcp, broker.token("work"))[0] == 200
    broker.stop()
    broker.start()
    assert mcp_call(demo.mcp, broker.token("work"))[0] == 200


def it_is_removed_by_its_file_alone_and_logged_out_by_mcp_add(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack, start=False)
    path = declare(broker, "work.conf", section(demo))
    broker.start()
    broker.add(demo.mcp)
    refused = broker.run("mcp-add", "-d", "work", check=9)
    assert str(path) in refused.stderr and "--logout" in refused.stderr, refused.stderr
    assert demo.counters()["revocations"] == 0
    done = broker.run("mcp-add", "--logout=work", check=0)
    assert "Logged out: work" in done.stderr, done.stderr
    assert demo.counters()["revocations"] > 0
    assert states(broker) == {"work": "login_required"}
    path.unlink()
    reload(broker, "read again")
    assert not states(broker)


def the_users_file_takes_back_the_vendors(stack):
    demo = Demo(stack)
    broker = Broker(stack, start=False)
    declare(broker, "work.conf", section(demo), folder="vendor")
    broker.start()
    assert states(broker) == {"work": "login_required"}
    declare(broker, "work.conf", "# not on this machine\n")
    reload(broker, "read again")
    assert not states(broker)


def a_file_with_a_fault_changes_nothing_and_is_named(stack):
    demo = Demo(stack)
    broker = Broker(stack, start=False)
    declare(broker, "work.conf", section(demo))
    bad = declare(broker, "bad.conf", "[Server]\nURL=http://mcp.example.com/\n")
    ended = broker.start(wait=False)
    ended.process.wait()
    assert ended.process.returncode == 12 and f"{bad}:2: " in broker.log(), broker.log()
    bad.unlink()
    broker.start()
    for key, fault in (("Password=me", "there is no key Password="), ("Identity=me", "'me'"), ("Profile=x", "Profile=x is not known"),
                       ("Identity=file:path=/x,colour=red", "colour")):
        bad.write_text(f"[Server]\nURL=https://mcp.example.com/\n{key}\n")
        reload(broker, "The old configuration stays")
        assert re.search(f"{bad}:3: .*{re.escape(fault)}", broker.log()), broker.log()
    assert states(broker) == {"work": "login_required"} and pid_is_alive(broker)
    bad.write_text("[Server]\nURL=https://mcp.example.com/\n")
    reload(broker, "read again")
    assert set(states(broker)) == {"work", "bad"}


# A68 S1
def a_clients_secret_comes_from_its_file_and_is_seen_nowhere(stack):
    demo = Demo(stack, "--auto-consent", "--client", f"fleet:{SECRET}")
    broker = Broker(stack, start=False)
    secret = broker.dir / "secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o644)
    path = declare(broker, "work.conf", section(demo, f"Issuer={demo.issuer}", "ClientId=fleet", f"ClientSecretFile={secret}"))
    broker.start(wait=False).process.wait()
    assert f"{path}:5: ClientSecretFile={secret}: others can read" in broker.log(), broker.log()
    secret.chmod(0o600)
    broker.start()
    broker.add(demo.mcp)
    assert demo.counters()["registrations"] == 0
    assert mcp_call(demo.mcp, broker.token("work"))[0] == 200
    reload(broker, "read again")
    seen = broker.log() + str(broker.servers()) + str(broker.status()) + (broker.state / "audit/audit.log").read_text()
    assert SECRET not in seen
    for file in (broker.state / "store").iterdir():
        assert SECRET.encode() not in file.read_bytes()


# A68
def a_secret_that_changes_is_taken_at_the_reload(stack):
    demo = Demo(stack, "--auto-consent", "--client", f"fleet:{SECRET}")
    broker = Broker(stack, start=False)
    secret = broker.dir / "secret"
    secret.write_text("wrong-to-begin-with")
    secret.chmod(0o600)
    declare(broker, "work.conf", section(demo, f"Issuer={demo.issuer}", "ClientId=fleet", f"ClientSecretFile={secret}"))
    broker.start()
    broker.add(demo.mcp, check=7)
    secret.write_text(SECRET)
    reload(broker, "read again")
    broker.add(demo.mcp)
    assert mcp_call(demo.mcp, broker.token("work"))[0] == 200


# A53
def a_file_says_that_resource_is_left_out(stack):
    demo = Demo(stack, "--auto-consent", "--refuse-resource")
    broker = Broker(stack, start=False)
    path = declare(broker, "work.conf", section(demo))
    broker.start()
    assert "invalid_target" in broker.add(demo.mcp, check=4).stderr
    assert str(path) in broker.add(demo.mcp, "--no-resource", check=9).stderr
    declare(broker, "work.conf", section(demo, "SendResource=no"))
    reload(broker, "read again")
    broker.add(demo.mcp)
    first = broker.token("work")
    assert mcp_call(demo.mcp, first)[0] == 200
    broker.stop()
    broker.start()
    rpc = Rpc(broker.socket)
    rpc.call("token.reject", server="work", token_id=rpc.call("token.get", server="work")["token_id"])
    rpc.close()
    again = broker.token("work")
    assert again != first and mcp_call(demo.mcp, again)[0] == 200


if __name__ == "__main__":
    sys.exit(Tap().run([
        a_declared_server_costs_nothing_until_somebody_logs_in,
        it_is_removed_by_its_file_alone_and_logged_out_by_mcp_add,
        the_users_file_takes_back_the_vendors,
        a_file_with_a_fault_changes_nothing_and_is_named,
        a_clients_secret_comes_from_its_file_and_is_seen_nowhere,
        a_secret_that_changes_is_taken_at_the_reload,
        a_file_says_that_resource_is_left_out,
    ]))
