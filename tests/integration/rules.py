#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules of doc/REQUIREMENTS.md that only the whole can show: who is served, what is asked of people, what is kept where."""

import base64
import http.client
import json
import os
import pathlib
import re
import signal
import stat
import subprocess
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import PATIENCE, SOURCE, Broker, Demo, Rpc, RpcError, Skip, Tap, mcp_call, program, until  # noqa: E402


def query_of(url):
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))


def visit(url):
    """One GET, redirects not followed: status and Location."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)
    try:
        connection.request("GET", urllib.parse.urlunsplit(("", "", parts.path, parts.query, "")))
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers["Location"]
    finally:
        connection.close()


def consent(url):
    """The person follows the login to its end."""
    subprocess.run([sys.executable, SOURCE / "tests/integration/person.py", url], check=True, stdout=subprocess.DEVNULL,
                   timeout=PATIENCE)


def refused(call, *args, **kwargs):
    try:
        result = call(*args, **kwargs)
    except RpcError as error:
        return error
    raise AssertionError(f"not refused: {result}")


def rules(broker, text):
    """These rules and no others."""
    folder = broker.dir / "config/policy.d"
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "99-default.conf").write_text("")
    (folder / "50-test.conf").write_text(text)


# --- Programs ----------------------------------------------------------------------------------------------------------

ASK = """
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
f = s.makefile("rb")
def call(i, method, **params):
    s.sendall(json.dumps({"jsonrpc": "2.0", "id": i, "method": method, "params": params}).encode() + b"\\n")
    return json.loads(f.readline())
call(1, "session.open", nonce=json.loads(f.readline())["params"]["nonce"], client="other")
for server in sys.argv[2:]:
    answer = call(2, "token.get", server=server)
    print(answer["error"]["data"]["code"] if "error" in answer else answer["result"]["token"])
"""


def other_program(broker, name):
    """Python under another name, and in a file of its own: another program, as far as the kernel can tell."""
    copy = broker.dir / name
    copy.write_bytes(pathlib.Path(sys.executable).resolve().read_bytes())
    copy.chmod(0o755)

    def ask(*servers):
        done = subprocess.run([copy, "-c", ASK, broker.socket, *servers], env={**broker.env, "PYTHONHOME": sys.base_prefix},
                              capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, done
        return done.stdout.split()
    return copy, ask


# A231 S3
def each_program_has_to_be_allowed_for_each_server(stack):
    demo = Demo(stack, "--auto-consent", "--second-resource")
    broker = Broker(stack)
    second = demo.mcp + "2"
    for url in (demo.mcp, second):
        broker.add(url)
    allowed, ask = other_program(broker, "agent")
    _, ask_as_stranger = other_program(broker, "stranger")
    assert all(len(t) > 20 for t in ask(demo.mcp, second)), "the default serves all programs of the user"
    rules(broker, f"[Rule agent]\nAgent=uid:self exe:{allowed}\nServer={demo.mcp}\nScopes=@granted\n")
    broker.run("mcp-brokerctl", "reload", check=0)
    for restarted in (False, True):
        if restarted:
            broker.stop()
            broker.start()
        token, other = ask(demo.mcp, second)
        assert mcp_call(demo.mcp, token)[0] == 200 and other == "denied", (token, other)
        assert ask_as_stranger(demo.mcp, second) == ["denied", "denied"]
    denials = [r for r in broker.audit() if r["event"] == "token.deny"]
    assert {pathlib.Path(r["agent"]["exe"]).name for r in denials} == {"agent", "stranger"}, denials


# A231 S3
def a_rule_that_comes_while_somebody_waits_counts(stack):
    demo = Demo(stack, "--auto-consent", "--fault", "expired-at-once:token")
    broker = Broker(stack)
    broker.add(demo.mcp)
    demo.hold("refresh")
    rpc = Rpc(broker.socket)
    rpc.send("token.get", server=demo.mcp)
    demo.wait(held={"refresh": 1})
    rules(broker, "[Rule nobody]\nEffect=deny\nAgent=uid:any\nServer=https://* http://*\n")
    broker.run("mcp-brokerctl", "reload", check=0)
    until("the rule is in force", lambda: broker.run("mcp-token", "--no-login", demo.mcp).returncode == 5)
    demo.release("refresh")
    assert rpc.read()["error"]["data"]["code"] == "denied"
    rpc.close()
    assert not any(r["event"] == "token.release" for r in broker.audit())


# A233 S3
def who_may_not_have_a_token_starts_no_login(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack, start=False)
    rules(broker, "[Rule nobody]\nEffect=deny\nAgent=uid:any\nServer=https://* http://*\n")
    broker.start()
    broker.run("mcp-add", "--no-login", demo.mcp, check=0)
    rpc = Rpc(broker.socket)
    for challenge in ({}, {"challenge": {"status": 401, "fields": ["Bearer"]}}):
        assert refused(rpc.call, "token.get", server=demo.mcp, login="start", **challenge).code == "denied"
    rpc.close()
    assert sum(demo.stats()["requests"].values()) == 0, demo.stats()
    assert not any(r["event"] == "auth.flow.start" for r in broker.audit())


# A93 A233
def a_login_cannot_be_guessed(stack):
    demo = Demo(stack)
    broker = Broker(stack)
    rpc = Rpc(broker.socket)
    seen = []
    for url in (demo.mcp, Demo(stack).mcp):
        broker.run("mcp-add", "--no-login", url, check=0)
        data = refused(rpc.call, "token.get", server=url, login="start").error["data"]
        query = query_of(data["url"])
        assert len(query["state"]) >= 43 and query["code_challenge_method"] == "S256", query
        assert 0 < rpc.call("login.status", login=data["login"])["seconds_left"] <= 600
        seen += [query["state"], query["code_challenge"], urllib.parse.urlsplit(query["redirect_uri"]).path]
    rpc.close()
    assert len(set(seen)) == 6, seen


# --- Logins ------------------------------------------------------------------------------------------------------------


# A124
def all_who_ask_at_once_share_one_login(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.run("mcp-add", "--no-login", demo.mcp, check=0)
    demo.hold("prm")
    peers = [Rpc(broker.socket) for _ in range(10)]
    for rpc in peers:
        rpc.send("token.get", server=demo.mcp, login="start", challenge={"status": 401, "fields": ["Bearer"]})
        # Requests of one connection are begun in their order: when this is answered, the other one waits.
        assert refused(rpc.call, "token.get", server="nobody").code == "not_found"
    demo.wait(held={"prm": 1})
    demo.release("prm")
    answers = [rpc.read()["error"]["data"] for rpc in peers]
    assert {a["code"] for a in answers} == {"login_required"}, answers
    assert len({(a["login"], a["url"]) for a in answers}) == 1, answers
    assert [a["opener"] for a in answers].count(True) == 1, answers
    for rpc in peers:
        rpc.send("login.wait", login=answers[0]["login"])
    consent(answers[0]["url"])
    ends = [rpc.read()["result"] for rpc in peers]
    assert {e["state"] for e in ends} == {"done"}, ends
    assert len({rpc.call("token.get", server=demo.mcp)["token"] for rpc in peers}) == 1
    for rpc in peers:
        rpc.close()
    counters = demo.counters()
    assert counters["authorizations"] == 1 and counters["registrations"] == 1 and demo.count("token") == 1, counters


# A111
def without_a_browser_the_address_is_shown_and_nothing_hangs(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack, start=False)
    (broker.dir / "config/mcp-broker.conf").write_text("[Broker]\nLoginTimeoutSec=10\n")
    broker.start()
    broker.run("mcp-add", "--no-login", demo.mcp, check=0)
    assert not {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"} & set(broker.env)
    for env in ({}, {"BROWSER": "/nonexistent/browser"}):
        waiting = broker.popen("mcp-token", demo.mcp, env=env)
        said = next(line for line in waiting.stderr if line.strip())
        assert "open this address in a browser" in said, said
        url = next(line.strip() for line in waiting.stderr if line.strip())
        assert url.startswith(demo.issuer + "/authorize?"), url
        if env:
            consent(url)
            assert waiting.wait(PATIENCE) == 0, waiting.stderr.read()
        else:
            assert waiting.wait(PATIENCE) == 11, waiting.stderr.read()  # nobody came: an end all the same
    # A program that speaks for itself gets the address as its answer, and is not held.
    rpc = Rpc(broker.socket)
    data = refused(rpc.call, "token.get", server=demo.mcp, login="start", scopes=["tools:admin"]).error["data"]
    assert data["url"].startswith(demo.issuer + "/authorize?"), data
    rpc.close()


# A140
def without_a_refresh_token_the_end_is_another_login(stack):
    demo = Demo(stack, "--auto-consent", "--no-refresh-token", "--access-ttl", "2")
    broker = Broker(stack)
    broker.add(demo.mcp)
    until("the token has ended", lambda: broker.run("mcp-token", "--no-login", demo.mcp).returncode == 4)
    broker.add(demo.mcp)
    assert mcp_call(demo.mcp, broker.token(demo.mcp))[0] == 200
    assert demo.count("refresh") == 0


# A83
def a_client_whose_secret_has_expired_registers_again(stack):
    # Alive for the first login, and no longer taken for so at the next.
    demo = Demo(stack, "--auto-consent", "--fault", "registration-method=client_secret_basic", "--fault",
                f"secret-expires={int(time.time()) + 50}")
    broker = Broker(stack)
    broker.add(demo.mcp)
    demo.clear()
    demo.fault("registration-method=client_secret_basic")
    for logins, registrations in ((2, 2), (3, 2)):
        broker.add(demo.mcp)
        counters = demo.counters()
        assert (counters["authorizations"], counters["registrations"]) == (logins, registrations), counters
    steps = [r["step"] for r in demo.requests() if r["step"] in ("register", "token")]
    assert steps == ["register", "token"] * 2 + ["token"], steps


# A67 A74
def the_document_that_is_shipped_says_what_is_sent(stack):
    document = json.loads((SOURCE / "contrib/client-metadata.json").read_text())
    assert urllib.parse.urlsplit(document["client_id"]).scheme == "https" and urllib.parse.urlsplit(document["client_id"]).path
    assert document["client_name"] and document["application_type"] == "native"
    assert document["token_endpoint_auth_method"] == "none"
    assert not any("secret" in member or "jwks" in member for member in document), document
    demo = Demo(stack, "--auto-consent", "--cimd")
    broker = Broker(stack)
    broker.add(demo.mcp, "--client-metadata-url", document["client_id"])
    sent = dict(demo.requests("authorize")[0]["query"])
    assert sent["client_id"] == document["client_id"]
    assert re.sub(r":[0-9]+/", "/", sent["redirect_uri"]) in document["redirect_uris"], (sent, document)
    assert sent["response_type"] in document["response_types"]
    demo.expire()
    assert dict(demo.requests("token")[0]["form"])["grant_type"] in document["grant_types"]
    assert "refresh_token" in document["grant_types"]


# --- More scope --------------------------------------------------------------------------------------------------------

MORE = {"status": 403, "fields": ['Bearer error="insufficient_scope", scope="tools:admin"']}


# A18 A19 A161
def a_challenge_is_answered_by_what_it_says(stack):
    demo = Demo(stack, "--auto-consent", "--no-refresh-token")
    broker = Broker(stack)
    broker.add(demo.mcp)
    rpc = Rpc(broker.socket)
    token = rpc.call("token.get", server=demo.mcp)["token"]

    def answer(status, *fields):
        return rpc.call("token.get", server=demo.mcp, challenge={"status": status, "fields": list(fields)})
    # No challenge to authorize: what there is is given, and nobody is asked.
    for status, *fields in ((403,), (403, "Bearer"), (403, 'Bearer error="invalid_token"'), (401, "Bearer")):
        assert answer(status, *fields)["token"] == token, (status, fields)
    # A token that is dead and cannot be replaced, and a scope that was not granted: a login each.
    assert refused(answer, 401, 'Bearer error="invalid_token"').code == "login_required"
    assert refused(answer, 403, MORE["fields"][0]).code == "insufficient_scope"
    # What was granted already is not asked for once more.
    error = refused(rpc.call, "token.get", server=demo.mcp, login="start",
                    challenge={"status": 403, "fields": ['Bearer error="insufficient_scope", scope="tools:generate_summary"']})
    assert error.code == "insufficient_scope" and "url" not in error.error["data"], error.error
    rpc.close()
    assert demo.count("authorize") == 1 and demo.count("prm") == 1


# A160 A163
def a_step_up_that_a_person_refuses_is_not_asked_for_again(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.add(demo.mcp)
    rpc = Rpc(broker.socket)
    data = refused(rpc.call, "token.get", server=demo.mcp, login="start", challenge=MORE).error["data"]
    query = query_of(data["url"])
    assert set(query["scope"].split()) == {"tools:generate_summary", "tools:admin"}
    rpc.send("login.wait", login=data["login"])
    no = urllib.parse.urlencode({"error": "access_denied", "state": query["state"], "iss": demo.issuer})
    assert visit(query["redirect_uri"] + "?" + no)[0] == 303
    assert rpc.read()["result"]["state"] == "failed"
    for login in ("start", "never"):
        error = refused(rpc.call, "token.get", server=demo.mcp, login=login, challenge=MORE)
        assert error.code == "insufficient_scope" and "url" not in error.error["data"], error.error
        assert "refused" in str(error), error
    assert mcp_call(demo.mcp, rpc.call("token.get", server=demo.mcp)["token"])[0] == 200, "what was granted stays"
    rpc.close()
    # A person may still ask, and say yes.
    broker.add(demo.mcp, "--scope", "tools:generate_summary", "--scope", "tools:admin")
    assert mcp_call(demo.mcp, broker.token(demo.mcp), "admin_report", {})[0] == 200


# --- The broker itself -------------------------------------------------------------------------------------------------


def listening_sockets(broker):
    """The addresses at which any of its processes listens for TCP, by family."""
    inodes = set()
    for process in broker.status()["processes"] + [{"pid": broker.process.pid}]:
        try:
            for fd in os.scandir(f"/proc/{process['pid']}/fd"):
                link = os.readlink(fd.path)
                if link.startswith("socket:["):
                    inodes.add(link[8:-1])
        except PermissionError:
            raise Skip("its descriptors are hidden from its own user") from None
    found = []
    for table in ("tcp", "tcp6"):
        path = pathlib.Path("/proc/net", table)
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.append(fields[1].split(":")[0])
    return found


# A104 A234
def it_listens_on_tcp_only_during_a_login(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    assert listening_sockets(broker) == []
    waiting = broker.popen("mcp-add", "--no-browser", demo.mcp)
    url = next(line.strip() for line in waiting.stderr if line.strip().startswith("http"))
    assert listening_sockets(broker) == ["0100007F"]
    consent(url)
    waiting.communicate(timeout=PATIENCE)
    assert waiting.returncode == 0
    until("the port is closed", lambda: listening_sockets(broker) == [])
    # Also if nobody comes.
    waiting = broker.popen("mcp-add", "--no-browser", demo.mcp)
    next(line for line in waiting.stderr if line.strip().startswith("http"))
    assert listening_sockets(broker) == ["0100007F"]
    waiting.send_signal(signal.SIGINT)
    waiting.communicate(timeout=PATIENCE)
    assert waiting.returncode == 130
    until("the port is closed", lambda: listening_sockets(broker) == [])


# A234
def only_its_own_user_reaches_its_socket(stack):
    broker = Broker(stack)
    assert stat.S_IMODE(broker.socket.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(broker.socket.stat().st_mode) == 0o600
    assert stat.S_ISSOCK(broker.socket.stat().st_mode)


# A101 A235
def what_a_server_says_is_never_run(stack):
    demo = Demo(stack, "--auto-consent", "--fault", "ansi-text")
    broker = Broker(stack)
    mark = broker.dir / "mark"
    shell = f"$(touch${{IFS}}{mark});touch${{IFS}}{mark}|`touch${{IFS}}{mark}`&'"
    words = json.dumps([f"$(touch {mark})", f"; touch {mark}", "tools:generate_summary"])
    demo.fault(f"set:prm=scopes_supported={words}", f"set:prm=resource_name={json.dumps(shell)}",
               f"set:prm=authorization_servers={json.dumps([demo.issuer])}", f"set:asmeta=service_documentation={json.dumps(shell)}",
               f"set:asmeta=authorization_endpoint={json.dumps(demo.issuer + '/authorize?x=' + shell)}")
    result = broker.add(demo.mcp)
    assert not mark.exists(), result
    opened = demo.requests("authorize")[0]["target"]
    assert "$(touch${IFS}" in opened and "'" not in opened and "`" not in opened, opened
    # Neither is a path, nor a program of the desktop's choice.
    for fault in ("file-authorize", f"set:asmeta=authorization_endpoint={json.dumps('javascript:alert(1)')}"):
        demo.clear()
        demo.fault(fault)
        broker.run("mcp-add", "-d", demo.mcp, check=0)
        log = broker.dir / "person.log"
        log.write_text("")
        broker.add(demo.mcp, check=7)
        assert log.read_text() == "", "a browser was started"


# A235
def no_file_is_named_by_a_server(stack):
    demo = Demo(stack, "--auto-consent", "--client", "../../../up")
    broker = Broker(stack)
    demo.fault('set:register=client_id="../../../up"', 'set:token=scope="../../../up"', 'set:token=token_id="../up"')
    broker.add(demo.mcp)
    assert broker.servers()[0]["client_id"] == "../../../up"
    names = {p.name for p in (broker.state / "store").iterdir()}
    assert names and all(re.fullmatch(r"[0-9a-f]{16,}|store|key", n) for n in names), names
    assert not list(broker.dir.rglob("up*"))


def files_below(*folders):
    return [p for folder in folders for p in folder.rglob("*") if p.is_file() and not p.is_symlink()]


def spellings(secret):
    """As it is, as in a form, and in base64 at each offset."""
    raw = secret.encode()
    yield raw
    yield urllib.parse.quote_plus(secret).encode()
    for skip in range(3):
        yield base64.b64encode(b"\0" * skip + raw)[4 if skip else 0:-4]


# A236 S1
def secrets_are_on_disk_only_sealed(stack):
    demo = Demo(stack, "--auto-consent", "--access-ttl", "3", "--client", "me:s3cr3t-of-a-client")
    broker = Broker(stack)
    secret = broker.dir / "secret"
    secret.write_text("s3cr3t-of-a-client\n")
    secret.chmod(0o600)
    broker.add(demo.mcp, "--client-id", "me", "--client-secret-file", str(secret), "--issuer", demo.issuer)
    secret.unlink()
    first = broker.token(demo.mcp)
    until("it was refreshed", lambda: broker.token(demo.mcp) != first)
    waiting = broker.popen("mcp-add", "--no-browser", "--scope", "tools:admin", demo.mcp)
    url = next(line.strip() for line in waiting.stderr if line.strip().startswith("http"))
    known = [s for values in demo.secrets().values() for s in values] + ["s3cr3t-of-a-client", query_of(url)["state"]]
    assert len(known) >= 7, known
    files = files_below(broker.dir)
    assert len(files) >= 6, files
    for path in files:
        text = path.read_bytes()
        for value in known:
            assert not any(s in text for s in spellings(value)), (path, value)
    for path in files_below(broker.state):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for path in [broker.state, *(p for p in broker.state.rglob("*") if p.is_dir())]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o700, path
    waiting.kill()
    waiting.communicate()


def sanitized():
    return "#define MCPB_SANITIZED 1" in (pathlib.Path(program("config.h"))).read_text()


def memory_of(pid):
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            begin, end = (int(n, 16) for n in line.split()[0].split("-"))
            if "rw" in line.split()[1] and not line.rstrip().endswith(("[vvar]", "[vsyscall]")):
                try:
                    mem.seek(begin)
                    yield mem.read(end - begin)
                except OSError:
                    pass  # guard pages


# A236 S1
def secrets_do_not_stay_in_memory_and_dump_no_core(stack):
    demo = Demo(stack, "--auto-consent")
    broker = Broker(stack)
    broker.add(demo.mcp)
    broker.token(demo.mcp)
    processes = [broker.process.pid] + [p["pid"] for p in broker.status()["processes"]]
    for pid in processes:
        limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"Max core file size +0 ", limits), (pid, limits)
    if sanitized():
        raise Skip("freed memory is not wiped under a sanitizer")
    secrets = demo.secrets()
    assert secrets["codes"] and secrets["refresh_tokens"] and secrets["verifiers"] and secrets["access_tokens"]
    known = [s.encode() for values in secrets.values() for s in values]
    for pid in processes:
        try:
            parts = list(memory_of(pid))
        except PermissionError:
            raise Skip("its memory is hidden from its own user") from None
        for part in parts:
            for value in known:
                assert value not in part, (pid, pathlib.Path(f"/proc/{pid}/comm").read_text(), value)


# A241
def what_matters_is_logged_without_secrets(stack):
    demo, other = Demo(stack, "--auto-consent"), Demo(stack, "--auto-consent")
    broker = Broker(stack)

    def events(name, **members):
        return [r for r in broker.audit() if r["event"] == name and all(r.get(k) == v for k, v in members.items())]
    broker.add(demo.mcp)
    assert len(events("auth.flow.start", server=demo.mcp)) == 1
    assert len(events("auth.flow.finish", server=demo.mcp, outcome="success")) == 1
    # A step-up, refused by the person.
    rpc = Rpc(broker.socket)
    data = refused(rpc.call, "token.get", server=demo.mcp, login="start", challenge=MORE).error["data"]
    assert events("auth.flow.start", server=demo.mcp)[-1]["scopes"] == ["tools:admin", "tools:generate_summary"]
    query = query_of(data["url"])
    no = urllib.parse.urlencode({"error": "access_denied", "state": query["state"], "iss": demo.issuer})
    visit(query["redirect_uri"] + "?" + no)
    until("the refusal is recorded", lambda: len(events("auth.flow.finish", server=demo.mcp, outcome="failure")) == 1)
    assert broker.log().count("access_denied") == 1, broker.log()
    # Another issuer.
    got = rpc.call("token.get", server=demo.mcp)
    demo.fault(f"set:prm=authorization_servers={json.dumps([other.issuer])}")
    rpc.call("token.reject", server=demo.mcp, token_id=got["token_id"], challenge={"status": 401, "fields": ['Bearer error="invalid_token"']})
    until("the change is recorded", lambda: len(events("metadata.change", server=demo.mcp)) == 1)
    assert broker.log().count("names another issuer") == 1, broker.log()
    assert other.issuer in broker.log() and other.count("authorize") == 0
    # Who was told no.
    assert refused(rpc.call, "token.get", server=demo.mcp).code == "login_required"
    assert len(events("token.deny", server=demo.mcp, code="login_required")) == 1
    rpc.close()
    # An address that leads elsewhere.
    other.fault("link-local-prm=http://169.254.169.254/latest/meta-data")
    broker.add(other.mcp, check=None)
    assert broker.log().count("169.254.169.254") == 1, broker.log()
    text = broker.log() + "".join(p.read_text() for p in files_below(broker.state / "audit"))
    for values in (demo.secrets(), other.secrets()):
        for value in [s for some in values.values() for s in some] + [query["state"]]:
            assert value not in text, value


TESTS = [value for value in list(globals().values())
         if callable(value) and getattr(value, "__module__", None) == "__main__" and value.__name__.count("_") > 2]

if __name__ == "__main__":
    sys.exit(Tap().run(TESTS))
