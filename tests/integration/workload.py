#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""As in a pod: no state, no person, a token of the cluster that is replaced while the broker runs; and what is said when it cannot be used."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BUILD, PATIENCE, SOURCE, Broker, Demo, Rpc, RpcError, Skip, Tap, mcp_call, program, real_program, until  # noqa: E402
from leaks import Session, files_below, mapped, search  # noqa: E402
from rough import NOBODY, is_built_for_checking, need_root, plainly  # noqa: E402

sys.path.insert(0, str(SOURCE / "contrib/demo"))
import workload  # noqa: E402

SCOPE = "tools:generate_summary"
CLIENTS = 5
ROUNDS = 4
TURN = 50  # of each client in each round
TTL = 4
SLEEP = f"sleep 600{os.getpid()}"


# --- a program that asks ---------------------------------------------------------------------------------------------

def client(path, server):
    """For each line of standard input: asks TURN times at least and until the token is another one; says what it got."""
    rpc, pause = Rpc(path), threading.Event()
    for _ in sys.stdin:
        tokens, errors, n = [], [], 0
        end = time.monotonic() + PATIENCE
        while (n < TURN or len(tokens) < 2) and not errors and time.monotonic() < end:
            try:
                got = rpc.call("token.get", server=server, min_ttl=0)
                if got["token"] not in tokens:
                    tokens.append(got["token"])
                if got["expires_in"] < 0:
                    errors.append(f"expired: {got['expires_in']}")
            except (RpcError, EOFError, KeyError) as error:
                errors.append(repr(error))
            n += 1
            pause.wait(0.005)  # an agent does something with it
        print(json.dumps({"n": n, "tokens": tokens, "errors": errors}), flush=True)


class Agents:
    """Several of it, each a process."""

    def __init__(self, stack, broker, server):
        self.all = [subprocess.Popen([sys.executable, __file__, "--client", str(broker.socket), server],
                                     env={**broker.env, "top_srcdir": str(SOURCE), "top_builddir": str(BUILD)},
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(CLIENTS)]
        for agent in self.all:
            stack.callback(self.end, agent)

    @staticmethod
    def end(agent):
        agent.stdin.close()
        agent.wait(PATIENCE)
        agent.stdout.close()

    def turn(self):
        for agent in self.all:
            agent.stdin.write("\n")
            agent.stdin.flush()
        return [json.loads(agent.stdout.readline()) for agent in self.all]


# --- the cluster, and what is declared ---------------------------------------------------------------------------------

class Cluster:
    """Its key, an issuer that knows it, and the folders that it mounts."""

    def __init__(self, stack, *options):
        self.folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.folder.chmod(0o755)
        self.key = workload.Key()
        (self.folder / "jwks").write_text(json.dumps(self.key.jwks()))
        self.demo = Demo(stack, f"--workload-issuer={workload.ISSUER}={self.folder}/jwks", f"--workload-allow=tools/agent={SCOPE}", *options)
        self.given = []

    def token(self, namespace="tools", audience=None, **claims):
        self.given.append(self.key.sign(workload.account_claims(audience or self.demo.issuer, namespace, **claims)))
        return self.given[-1]

    def mount(self, name="pod", **claims):
        place = workload.Mount(self.folder / name)
        place.put(self.token(**claims))
        return place

    def file(self, name, mode=0o400, **claims):
        path = self.folder / name
        path.write_text(self.token(**claims))
        path.chmod(mode)
        return path

    def shown(self):
        """The assertions of all token requests, in their order."""
        return [dict(entry["form"])["assertion"] for entry in self.demo.requests("token")]


def declare(broker, name, url, identity):
    """By the account too, for many are of one server."""
    folder = broker.dir / "config/servers.d"
    folder.mkdir(mode=0o755, exist_ok=True)
    (folder / f"{name}.conf").write_text(f"[Server]\nURL={url}\nAccount={name}\nIdentity={identity}\nPresent=jwt-bearer\n")


def state(broker, name):
    return next(s for s in broker.servers() if s["name"] == name)


# --- as in a pod -------------------------------------------------------------------------------------------------------

# A174 S1 S6
def a_thousand_requests_go_through_while_the_identity_is_replaced(stack):
    cluster = Cluster(stack, f"--access-ttl={TTL}")
    place = cluster.mount()
    session = Session(stack, broker=lambda *args, **kwargs: PodBroker(cluster, place, *args, **kwargs))
    broker, demo = session.broker, cluster.demo
    agents = Agents(stack, broker, "agent")
    asked, tokens = 0, set()
    for _ in range(ROUNDS):
        place.put(cluster.token())
        done = agents.turn()
        session.look()
        assert not any(d["errors"] for d in done), done
        assert all(len(d["tokens"]) >= 2 for d in done), "none was there when the token was renewed"
        asked += sum(d["n"] for d in done)
        tokens.update(t for d in done for t in d["tokens"])
    rpc = Rpc(broker.socket)
    assert mcp_call(demo.mcp, rpc.call("token.get", server="agent", min_ttl=0)["token"])[0] == 200
    rpc.close()
    requests, shown = demo.requests("token"), cluster.shown()
    print(f"# {asked} requests by {CLIENTS} processes, {ROUNDS} replacements, {len(requests)} token requests", flush=True)
    assert asked >= 1000
    only_what_is_needed(requests)
    assert tokens <= set(demo.secrets()["access_tokens"]) and len(tokens) >= ROUNDS + 1
    # Each time the token of now: those that were replaced never came back.
    places = [cluster.given.index(token) for token in shown]
    assert places == sorted(places) and len(set(places)) >= ROUNDS - 1, places
    assert not [r for r in demo.requests() if r["step"] in ("register", "authorize", "refresh", "device")]
    assert {r["status"] for r in requests} == {200}
    nothing_of_the_identity_is_left(session, cluster)


class PodBroker(Broker):
    """Without any state, with all that it has to say in its log, and with a server that a file declares."""

    def __init__(self, cluster, place, *args, **kwargs):
        super().__init__(*args[:1], **kwargs)
        assert not self.state.exists()
        declare(self, "agent", cluster.demo.mcp, f"k8s:path={place.path}")


def only_what_is_needed(requests):
    """None before a fifth of the last one's life was left, and a twentieth by chance. Of that life the broker may count a second
    less, for its record has whole ones; on a slow machine the times are only longer."""
    times = [r["msec"] for r in requests]
    gaps = [b - a for a, b in zip(times, times[1:])]
    assert gaps and min(gaps) >= (TTL - 1) * 750, gaps


def nothing_of_the_identity_is_left(session, cluster):
    session.run("mcp-list", "--json", check=0)
    session.run("mcp-brokerctl", "status", "--json", check=0)
    session.look()
    broker = session.broker
    said = [(f"{command} {name}", text.encode()) for command, out, err in session.outputs for name, text in (("stdout", out), ("stderr", err))]
    # Also the parts of it: whose signature it is says as much as the whole.
    secrets = {"identity": {part for token in cluster.given for part in (token, token.split(".")[1], token.split(".")[2])}}
    everywhere = [*said, *session.proc.items(), *files_below(broker.dir)]
    assert b"-> " in broker.log_path.read_bytes(), "the log is not that of LogLevel=debug"
    assert search(secrets, ("identity",), everywhere) == []
    assert search(secrets, ("identity",), files_below(cluster.folder)), "what is searched for is not found where it is"
    if os.geteuid() != 0 or is_built_for_checking(broker):
        return
    until("it is idle", lambda: broker.status()["counts"]["operations"] == 0)
    for process in broker.status()["processes"]:
        assert search(secrets, ("identity",), mapped(process["pid"])) == [], process["name"]


# --- what goes wrong ---------------------------------------------------------------------------------------------------

def script(cluster, name, text):
    path = cluster.folder / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def failing(broker, name, status, *needles):
    """The error that mcp-token says, with what to do, and mcp-list the same."""
    text = plainly(broker.run("mcp-token", "--no-login", name), status, *needles)
    listed = state(broker, name)
    assert listed["state"] == "error", listed
    assert listed["last_error"]["message"].splitlines()[0] in text, (listed, text)
    assert listed["last_error"]["message"] in broker.run("mcp-list", "--wide", name, check=0).stdout
    return text


def works_again(broker, name):
    """After a pause, which is of seconds."""
    until(f"{name} has a token", lambda: broker.run("mcp-token", "--no-login", name).returncode == 0)
    assert state(broker, name)["state"] == "ready"


# A198
def a_token_that_cannot_be_used_is_never_shown_and_the_reason_is_said(stack):
    cluster = Cluster(stack)
    broker = Broker(stack, start=False)
    now = int(time.time())
    paths = {
        "missing": cluster.folder / "missing/token",
        "expired": cluster.file("expired", exp=now - 5, nbf=now - 600, iat=now - 600),
        "elsewhere": cluster.file("elsewhere", audience="https://other.example.com"),
        "writable": cluster.file("writable", mode=0o660),
        "garbage": cluster.folder / "garbage",
    }
    paths["garbage"].write_text("<html>no token</html>")
    for name, path in paths.items():
        declare(broker, name, cluster.demo.mcp, f"file:path={path}")
    broker.start()
    for name, needles in (("missing", ("reading", "does not exist", "mounted")), ("expired", ("has expired", "clock")),
                          ("elsewhere", ("'https://other.example.com'", cluster.demo.issuer, "audience")),
                          ("writable", ("can be written by others", "chmod go-w")), ("garbage", ("no JSON Web Token",))):
        failing(broker, name, 7, "'file'", str(paths[name]) if name in ("missing", "writable") else "", *needles)
    assert cluster.demo.count("token") == 0 and cluster.demo.secrets()["assertions"] == []
    # Each is good as soon as it is mended; nobody has to tell the broker.
    paths["missing"].parent.mkdir()
    for name, path in paths.items():
        if path.exists():
            path.chmod(0o600)
        path.write_text(cluster.token())
        path.chmod(0o400)
        works_again(broker, name)
    assert not search({"identity": set(cluster.given)}, ("identity",), files_below(broker.dir))


# A195 A198
def what_the_issuer_refuses_is_asked_once_and_held(stack):
    cluster = Cluster(stack)
    broker = Broker(stack, start=False)
    now = int(time.time())
    for name, claims in (("stranger", {"account": "intern"}), ("early", {"nbf": now + 600, "iat": now + 600, "exp": now + 1200})):
        declare(broker, name, cluster.demo.mcp, f"file:path={cluster.file(name, **claims)}")
    broker.start()
    for name, needles in (("stranger", ("unauthorized_client", "policy does not know this workload", "Present=")),
                          ("early", ("invalid_grant",))):
        for _ in range(3):
            failing(broker, name, 7, cluster.demo.issuer, *needles)
    assert sorted(r["status"] for r in cluster.demo.requests("token")) == [400, 400]
    # A person who has mended it need not wait.
    (cluster.folder / "stranger").unlink()
    cluster.file("stranger")
    broker.run("mcp-brokerctl", "reload", check=0)
    works_again(broker, "stranger")
    assert cluster.demo.count("token") <= 4


def an_issuer_that_is_down_is_said_and_tried_again(stack):
    cluster = Cluster(stack)
    broker = Broker(stack, start=False)
    gone = Cluster(stack)
    gone.demo.stop()
    cluster.demo.fault("drop-before:token")
    declare(broker, "cut", cluster.demo.mcp, f"file:path={cluster.file('token')}")
    declare(broker, "gone", gone.demo.mcp, f"file:path={gone.file('token')}")
    broker.start()
    failing(broker, "cut", 6, cluster.demo.issuer)
    failing(broker, "gone", 6, gone.demo.mcp)
    cluster.demo.clear()
    works_again(broker, "cut")
    cluster.demo.fault("status:token=503")
    cluster.demo.expire()
    rpc = Rpc(broker.socket)
    rpc.call("token.reject", server="cut", token_id=rpc.call("token.get", server="cut")["token_id"])
    rpc.close()
    failing(broker, "cut", 7, cluster.demo.issuer, "503")
    cluster.demo.clear()
    works_again(broker, "cut")


# S1
def a_command_that_fails_is_named_and_its_secrets_are_redacted(stack):
    cluster = Cluster(stack)
    broker = Broker(stack, start=False)
    planted = cluster.token()
    commands = {
        "hangs": script(cluster, "hangs", f"exec {SLEEP}\n"),
        "babbles": script(cluster, "babbles", "head -c 200000 /dev/zero | tr '\\0' x\n"),
        "nonsense": script(cluster, "nonsense", f"echo 'token={planted}'\n"),
        "tells": script(cluster, "tells", f"echo 'cannot renew {planted}' >&2\nexit 3\n"),
        "works": script(cluster, "works", f"echo 'a warning about {planted}' >&2\ncat {cluster.file('good')}\n"),
    }
    for name, path in commands.items():
        declare(broker, name, cluster.demo.mcp, f"exec:path={path},timeout=5{',format=raw' if name in ('nonsense', 'works') else ''}")
    broker.start()
    for name, needles in (("tells", ("ended with status 3", "by hand")), ("nonsense", ("no JSON Web Token",)), ("babbles", ("too much",)),
                          ("hangs", ("did not end in time", "more time"))):
        failing(broker, name, 7, "'exec'", *needles)
    works_again(broker, "works")
    assert f"{commands['tells']} says: cannot renew [...]" in broker.log() and "a warning about [...]" in broker.log(), broker.log()
    said = (broker.run("mcp-list", "--json", check=0).stdout + broker.run("mcp-list", "--wide", check=0).stdout).encode()
    found = search({"identity": set(cluster.given) | {planted.split(".")[1]}}, ("identity",), [("mcp-list", said), *files_below(broker.dir)])
    assert found == [], found
    assert not [p for p in pathlib.Path("/proc").glob("[0-9]*/cmdline") if says(p, SLEEP)], "it was not stopped"


def says(path, words):
    with contextlib.suppress(OSError):
        return path.read_bytes().split(b"\0")[:-1] == words.encode().split()
    return False


def as_nobody(broker, name, *args):
    """One of our programs as the user that the daemon is."""
    done = subprocess.run([*broker.wrapper, real_program(name), *args], env=broker.env, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=PATIENCE, check=False)
    done.args = [name, *args]
    return done


def a_file_that_is_somebody_elses_is_not_read(stack):
    need_root("to be two users")
    if not shutil.which("setpriv"):
        raise Skip("setpriv")
    cluster = Cluster(stack)
    broker = Broker(stack, start=False)
    broker.wrapper = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    broker.env["LD_LIBRARY_PATH"] = f"{BUILD}/.libs:{broker.env.get('LD_LIBRARY_PATH', '')}".rstrip(":")
    if subprocess.run([*broker.wrapper, program("mcp-brokerd"), "--version"], capture_output=True, check=False).returncode != 0:
        raise Skip("a build folder that other users can read")
    roots, others = cluster.file("roots", mode=0o600), cluster.file("others")
    os.chown(others, NOBODY + 1, NOBODY + 1)
    others.chmod(0o444)
    for name, path in (("roots", roots), ("others", others)):
        declare(broker, name, cluster.demo.mcp, f"file:path={path}")
    for path in (broker.dir, *broker.dir.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    broker.start()
    for name, needles in (("roots", ("may not be read by the broker's user", "read it")), ("others", ("belongs to another user", "chown"))):
        plainly(as_nobody(broker, "mcp-token", "--no-login", name), 7, "'file'", str(cluster.folder / name), *needles)
        listed = next(s for s in json.loads(as_nobody(broker, "mcp-list", "--json").stdout)["servers"] if s["name"] == name)
        assert listed["state"] == "error" and needles[0] in listed["last_error"]["message"], listed
    roots.chmod(0o644)
    until("it may be read now", lambda: as_nobody(broker, "mcp-token", "--no-login", "roots").returncode == 0)
    assert cluster.demo.count("token") == 1


# --- what the doctor says ----------------------------------------------------------------------------------------------

def doctor(broker, *args, inside=()):
    done = subprocess.run([*inside, program("mcp-brokerctl"), "doctor", *args], env=broker.env, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done
    return json.loads(done.stdout) if "--json" in args else done.stdout


def the_doctor_says_what_is_seen_what_is_missing_and_how_servers_stand(stack):
    cluster = Cluster(stack)
    planted = cluster.token()
    broker = Broker(stack, start=False, env={"KUBERNETES_SERVICE_HOST": "10.0.0.1", "GITHUB_ACTIONS": "true", "TFC_TOKEN": planted})
    declare(broker, "good", cluster.demo.mcp, f"file:path={cluster.file('good')}")
    declare(broker, "stranger", cluster.demo.mcp, f"file:path={cluster.file('stranger', account='intern')}")
    (broker.dir / "config/servers.d/person.conf").write_text(f"[Server]\nURL={cluster.demo.mcp}\n")
    broker.start()
    works_again(broker, "good")
    failing(broker, "stranger", 7, "unauthorized_client")
    said = doctor(broker, "--json")
    assert said["format"] == 1 and "metadata_service" not in said, said
    seen = {p["provider"]: p for p in said["identities"]}
    assert seen["k8s"]["because"] == "KUBERNETES_SERVICE_HOST" and "projected" in seen["k8s"]["remedy"], seen
    assert seen["k8s"]["missing"] == ["/var/run/secrets/mcp-broker/token"] and len(seen["github"]["missing"]) == 2, seen
    assert seen["env:TFC_TOKEN"]["missing"] == [], seen
    servers = {s["name"]: s for s in said["servers"]}
    assert set(servers) == {"good", "stranger"}, servers
    assert servers["good"]["state"] == "ready" and servers["good"]["present"] == "jwt-bearer" and "held" not in servers["good"], servers
    assert servers["good"]["identity"] == f"file:path={cluster.folder}/good", servers
    assert servers["stranger"]["state"] == "error" and 0 < servers["stranger"]["held"] <= 61, servers
    assert said["store"]["key_beside_store"] and {"keeper", "deal"} <= {p["name"] for p in said["processes"]}, said
    text = doctor(broker)
    for line in ("Kubernetes (KUBERNETES_SERVICE_HOST)", "missing: /var/run/secrets/mcp-broker/token", "Mount a projected volume",
                 "good: ready, its token has", "stranger: error", "policy does not know this workload", "Not tried again before",
                 "not tried (--probe does)", "its key lies beside it", "seccomp"):
        assert line in text, (line, text)
    assert planted not in text + json.dumps(said) and planted.split(".")[2] not in text + json.dumps(said)
    broker.run("mcp-brokerctl", "lock", check=0)
    locked = doctor(broker, "--json")
    assert locked["locked"] and "servers" not in locked and "k8s" in {p["provider"] for p in locked["identities"]}, locked
    assert "not known while it is locked" in doctor(broker)


ALONE = "ip link set lo up && ip addr add 169.254.169.254/32 dev lo && exec \"$@\""
LISTENER = """
import socket, subprocess, sys
with socket.create_server(("169.254.169.254", 80)) as s:
    done = subprocess.run(sys.argv[1:])
    s.settimeout(0)
    connection, _ = s.accept()
    sys.exit(done.returncode or len(connection.recv(1)))
"""


def the_doctor_tries_the_metadata_service_only_if_told(stack):
    need_root("to make a network")
    alone = ["unshare", "--net", "sh", "-c", ALONE, "sh"]
    if not shutil.which("ip") or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode != 0:
        raise Skip("a network namespace of its own, and ip")
    broker = Broker(stack)
    # There it listens, takes a connection, and gets not one byte.
    inside = [*alone, sys.executable, "-c", LISTENER]
    assert doctor(broker, "--json", "--probe", inside=inside)["metadata_service"] == {"address": "169.254.169.254", "reachable": True}
    assert "169.254.169.254 answers this user" in doctor(broker, "--probe", inside=inside)
    refused = doctor(broker, "--json", "--probe", inside=alone)["metadata_service"]
    assert not refused["reachable"] and "refused" in refused["reason"], refused
    assert "is not reached by this user" in doctor(broker, "--probe", inside=["unshare", "--net"])
    # Without the word the listener would wait for a connection in vain.
    untold = subprocess.run([*inside, program("mcp-brokerctl"), "doctor"], env=broker.env, capture_output=True, text=True, check=False)
    assert "BlockingIOError" in untold.stderr and "not tried" in untold.stdout, untold


if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        client(*sys.argv[2:])
        sys.exit(0)
    sys.exit(Tap().run([
        a_thousand_requests_go_through_while_the_identity_is_replaced,
        a_token_that_cannot_be_used_is_never_shown_and_the_reason_is_said,
        what_the_issuer_refuses_is_asked_once_and_held,
        an_issuer_that_is_down_is_said_and_tried_again,
        a_command_that_fails_is_named_and_its_secrets_are_redacted,
        a_file_that_is_somebody_elses_is_not_read,
        the_doctor_says_what_is_seen_what_is_missing_and_how_servers_stand,
        the_doctor_tries_the_metadata_service_only_if_told,
    ]))
