#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Identity providers over a real network: each service at its real address, in a network namespace of the test's own, played
by a strict fake; asked by mcp-broker-net, and files and commands by mcp-broker-identity, as the keeper would. Speaks TAP.

A fake is as strict as the service: a wrong header, api-version or query gets the documented error."""

import base64
import contextlib
import ctypes
import fcntl
import http.server
import json
import os
import pathlib
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.parse

BUILD = pathlib.Path(os.environ.get("top_builddir", ".")).resolve()
PATIENCE = 60  # seconds until a hang is called one
METADATA = "169.254.169.254"
AUDIENCE = "https://as.example.com"
RESOURCE = "api://mcp"
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x20000, 0x10000000, 0x40000000
NO_PROXY = "http://127.0.0.1:9"  # nothing listens there


class Skip(Exception):
    pass


# ---- a machine of its own ----


def enter_namespace():
    """A network and mounts that are nobody else's. False where that cannot be."""
    uid, gid = os.geteuid(), os.getegid()
    if LIBC.unshare(CLONE_NEWNET | CLONE_NEWNS | (0 if uid == 0 else CLONE_NEWUSER)) < 0:
        return False
    if uid != 0:
        for name, value in (("setgroups", "deny"), ("gid_map", f"0 {gid} 1"), ("uid_map", f"0 {uid} 1")):
            pathlib.Path("/proc/self/" + name).write_text(value, encoding="ascii")
    private = 1 << 18 | 1 << 14
    assert LIBC.mount(b"none", b"/", None, private, None) == 0, ctypes.get_errno()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        address = struct.pack("16sHH4s8x", b"lo:0", socket.AF_INET, 0, socket.inet_aton(METADATA))
        fcntl.ioctl(s, 0x8916, address)
        fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", b"lo", 1))  # up
    return True


def mount_empty(folder):
    """An empty folder at @folder, whose nearest parent that exists is covered."""
    path = pathlib.Path(folder)
    base = path
    while not base.parent.is_dir() or not base.is_dir():
        base = base.parent
    assert LIBC.mount(b"tmpfs", str(base).encode(), b"tmpfs", 0, None) == 0, ctypes.get_errno()
    path.mkdir(parents=True, exist_ok=True)
    return path


# ---- tokens ----


def token(audience=AUDIENCE, life=600, **claims):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    now = int(time.time())
    everything = {"iss": "https://issuer.example", "sub": "me", "aud": audience, "iat": now, "exp": now + life, **claims}
    return f'{part({"alg": "RS256", "kid": "k"})}.{part(everything)}.c2lnbmF0dXJl'


# ---- the processes that the keeper has ----


def receive(stream):
    """One frame: head and body; None at the end."""

    def take(n):
        data = b""
        while len(data) < n:
            more = stream.recv(n - len(data))
            if not more:
                return None
            data += more
        return data

    start = take(8)
    if start is None:
        return None
    n_head, n_body = struct.unpack("<II", start)
    return json.loads(take(n_head)), take(n_body)


def frame(head, body=b""):
    text = json.dumps(head).encode()
    return struct.pack("<II", len(text), len(body)) + text + body


class Net:
    """mcp-broker-net in the part of deal; with a proxy that leads nowhere."""

    def __init__(self, stack):
        self.stream, theirs = socket.socketpair()
        self.stream.settimeout(PATIENCE)
        keep = os.dup(theirs.detach())
        self.process = subprocess.Popen(
            [BUILD / "mcp-broker-net", "--role=deal", "--proxy=" + NO_PROXY], pass_fds=[3, keep],
            preexec_fn=lambda: os.dup2(keep, 3), stderr=subprocess.DEVNULL,
            env={**os.environ, "http_proxy": NO_PROXY, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"})
        os.close(keep)
        stack.callback(self.close)
        assert receive(self.stream)[0]["op"] == "sandbox"

    def close(self):
        self.stream.close()
        self.process.wait(PATIENCE)

    def fetch(self, head, body):
        self.stream.sendall(frame(head, body))
        return receive(self.stream)


def carry_out(head, body):
    """One order, by a mcp-broker-identity of its own."""
    ours, theirs = socket.socketpair()
    with ours, subprocess.Popen([BUILD / "mcp-broker-identity"], stdin=theirs, stderr=subprocess.DEVNULL) as process:
        theirs.close()
        ours.settimeout(PATIENCE)
        ours.sendall(frame(head, body))
        reply = receive(ours)
        process.wait(PATIENCE)
    return reply


def identify(net, config, *audiences, env=None, between=None):
    """One attempt: the last frame, and the operations that were asked for. @between is called before each."""
    steps = []
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE)
    keep = {k: v for k, v in os.environ.items() if k.startswith(("ASAN_", "UBSAN_", "GCOV_", "LD_"))}
    with ours, subprocess.Popen([BUILD / "tests/integration/identity-driver", config, *(audiences or [AUDIENCE])],
                                stdin=theirs, env={**keep, **(env or {})}) as driver:
        theirs.close()
        while True:
            got = receive(ours)
            assert got, f"{config}: the driver ended after {steps}"
            head, body = got
            if head["op"] in ("done", "failed"):
                break
            steps.append(head["op"] if head["op"] != "order" else head["kind"])
            if between:
                between(head)
            if head["op"] == "fetch":
                assert head["direct"], head
                answer = net.fetch(head, body)
            elif head["op"] == "order":
                answer = carry_out(head, body)
            else:
                answer = ({"op": "go"}, b"")  # nobody waits here
            ours.sendall(frame(*answer))
        assert driver.wait(PATIENCE) == 0
    return head, body.decode(), steps


def assert_got(result, wanted, steps=None):
    head, body, seen = result
    assert head["op"] == "done", head
    assert body == wanted
    assert steps is None or seen == steps, seen


def assert_failed(result, *says):
    head, _, _ = result
    assert head["op"] == "failed" and head["code"] == "identity_failed", head
    for text in says:
        assert text in head["message"] + head["hint"], (text, head)
    assert head["hint"], head


# ---- services ----


class Service(http.server.ThreadingHTTPServer):
    """Answers by @answer(handler) -> (status, headers, body) and keeps what it was asked."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, stack, address, port, answer, context=None):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def work(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                url = urllib.parse.urlsplit(self.path)
                self.query = sorted(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
                self.place, self.body = url.path, body
                self.server.seen.append((self.command, url.path, self.query))
                result = answer(self)
                if result is None:
                    self.close_connection = True
                    return
                status, headers, text = result
                text = text if isinstance(text, bytes) else text.encode()
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                if not any(name in ("Content-Length", "Transfer-Encoding") for name, _ in headers):
                    self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = work

            def log_message(self, *_):
                pass

        super().__init__((address, port), Handler)
        self.seen = []
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        stack.callback(self.stop)

    def handle_error(self, *_):
        pass  # a handshake that was broken off

    def stop(self):
        self.shutdown()
        self.server_close()


def forwarded(handler):
    return "X-Forwarded-For" in handler.headers or "Via" in handler.headers


def google(text, account="default"):
    def answer(handler):
        wanted = [("audience", AUDIENCE), ("format", "full")]  # what Google's library (google-auth 2.39) sends
        if handler.headers.get("Metadata-Flavor") != "Google" or forwarded(handler):
            return 403, [("Metadata-Flavor", "Google")], "Missing Metadata-Flavor:Google header."
        if handler.command != "GET" or [q for q in handler.query if q != ("licenses", "FALSE")] != wanted or \
                handler.place != f"/computeMetadata/v1/instance/service-accounts/{account}/identity":
            return 404, [("Metadata-Flavor", "Google")], "not found"
        return 200, [("Metadata-Flavor", "Google"), ("Content-Type", "text/html")], text

    return answer


def azure(text, version="2018-02-01", header=("Metadata", "true"), more=(), first=()):
    """@first: statuses that come before the answer."""
    before = list(first)

    def answer(handler):
        if handler.headers.get(header[0]) != header[1] or forwarded(handler):
            return 400, [], json.dumps({"error": "invalid_request", "error_description": "Required metadata header not specified"})
        if handler.query != sorted([("api-version", version), ("resource", RESOURCE), *more]) or handler.command != "GET":
            return 400, [], json.dumps({"error": "invalid_request", "error_description": "Identity not found"})
        if before:
            return before.pop(0), [], ""
        return 200, [("Content-Type", "application/json")], json.dumps(
            {"access_token": text, "client_id": "1234", "expires_in": "600", "expires_on": str(int(time.time()) + 500),
             "ext_expires_in": "600", "not_before": "1", "resource": RESOURCE, "token_type": "Bearer"})

    return answer


# ---- the tests ----


def test_google_at_its_address(stack, net, _folder):
    text = token()
    service = Service(stack, METADATA, 80, google(text + "\n"))
    assert_got(identify(net, "gcp"), text, ["fetch"])
    assert len(service.seen) == 1
    assert_failed(identify(net, "gcp:account=other@p.iam.gserviceaccount.com"), "'gcp'", "status 404")


def test_an_azure_virtual_machine_at_its_address(stack, net, _folder):
    text = token(RESOURCE)
    service = Service(stack, METADATA, 80, azure(text, first=[404, 429, 410]))
    assert_got(identify(net, "azure", RESOURCE), text, ["fetch", "wait", "fetch", "wait", "fetch", "wait", "fetch"])
    assert {place for _, place, _ in service.seen} == {"/metadata/identity/oauth2/token"}
    assert_failed(identify(net, "azure:client-id=5", RESOURCE), "'azure'", "Identity not found", "client-id=")


def test_azure_app_service_wherever_its_environment_says(stack, net, _folder):
    text = token(RESOURCE)
    answer = azure(text, "2019-08-01", ("X-IDENTITY-HEADER", "0815"), [("mi_res_id", "/subscriptions/x")])
    for address in ("127.0.0.1", METADATA):
        Service(stack, address, 8081, answer)
        env = {"IDENTITY_ENDPOINT": f"http://{address}:8081/msi/token", "IDENTITY_HEADER": "0815"}
        assert_got(identify(net, "azure:app-service,resource-id=/subscriptions/x", RESOURCE, env=env), text, ["fetch"])
    env = {"IDENTITY_ENDPOINT": "http://192.0.2.1:8081/msi/token", "IDENTITY_HEADER": "0815"}
    assert_failed(identify(net, "azure:app-service", RESOURCE, env=env), "'azure:app-service'", "no answer")


def test_azure_arc_with_the_key_that_it_names(stack, net, _folder):
    folder = mount_empty("/var/opt/azcmagent/tokens")
    (folder / "1.key").write_text("c2VjcmV0")
    (folder / "1.key").chmod(0o640)
    text = token(RESOURCE)
    realm = ["/var/opt/azcmagent/tokens/1.key"]
    inner = azure(text, "2020-06-01")
    asked = []

    def answer(handler):
        asked.append(handler.headers.get("Authorization"))
        if asked[-1] != "Basic c2VjcmV0":
            return 401, [("WWW-Authenticate", "Basic realm=" + realm[0])], ""
        return inner(handler)

    Service(stack, "127.0.0.1", 40342, answer)
    assert_got(identify(net, "azure:arc", RESOURCE), text, ["fetch", "read", "fetch"])
    assert asked == [None, "Basic c2VjcmV0"]
    # It is no way to any other file.
    realm[0] = "/etc/shadow"
    assert_failed(identify(net, "azure:arc", RESOURCE), "'azure:arc'", "names no key")
    (folder / "2.key").symlink_to("/etc/hostname")
    realm[0] = "/var/opt/azcmagent/tokens/2.key"
    assert_failed(identify(net, "azure:arc", RESOURCE), "'azure:arc'", "2.key")
    assert asked[2:] == [None, None]


def test_a_job_of_github(stack, net, _folder):
    text = token()

    def answer(handler):
        if handler.headers.get("Authorization") != "Bearer hunter2" or handler.command != "GET":
            return 401, [], json.dumps({"message": "unauthorized"})
        if handler.query != [("api-version", "2.0"), ("audience", AUDIENCE)]:
            return 400, [], json.dumps({"message": "bad audience"})
        return 200, [("Content-Type", "application/json; charset=utf-8")], json.dumps({"count": 1, "value": text})

    Service(stack, "127.0.0.1", 8091, answer)
    env = {"ACTIONS_ID_TOKEN_REQUEST_URL": "http://127.0.0.1:8091/_apis/idtoken?api-version=2.0",
           "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "hunter2"}
    assert_got(identify(net, "github", env=env), text, ["fetch"])
    env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] = "hunter3"
    assert_failed(identify(net, "github", env=env), "'github'", "unauthorized", "id-token: write")


def authority(folder, name):
    """A certificate for 127.0.0.1 that is its own authority."""
    key, certificate = folder / f"{name}.key", folder / f"{name}.crt"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=" + name, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
                   check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate


def test_the_api_server_of_kubernetes(stack, net, folder):
    context, certificate = authority(folder, "cluster")
    other = authority(folder, "other")[1]
    pod = {"namespace": "ns", "pod": {"name": "p-1", "uid": "u-1"}, "serviceaccount": {"name": "sa", "uid": "s-1"}}
    own = token("https://kubernetes.default.svc", sub="system:serviceaccount:ns:sa", **{"kubernetes.io": pod})
    text = token(sub="system:serviceaccount:ns:sa")

    def answer(handler):
        if handler.headers.get("Authorization") != "Bearer " + own:
            return 401, [], json.dumps({"kind": "Status", "message": "Unauthorized", "code": 401})
        if handler.command != "POST" or handler.place != "/api/v1/namespaces/ns/serviceaccounts/sa/token":
            return 403, [], json.dumps({"kind": "Status", "message": "forbidden", "code": 403})
        wanted = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                  "spec": {"audiences": [AUDIENCE], "expirationSeconds": 600,
                           "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p-1", "uid": "u-1"}}}
        if handler.headers.get("Content-Type") != "application/json" or json.loads(handler.body) != wanted:
            return 422, [], json.dumps({"kind": "Status", "message": "invalid", "code": 422})
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600))
        return 201, [], json.dumps({"kind": "TokenRequest", "status": {"token": text, "expirationTimestamp": end}})

    service = Service(stack, "127.0.0.1", 6443, answer, context)
    env = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}
    (folder / "token").write_text(own + "\n")
    (folder / "token").chmod(0o600)
    config = f"k8s:request,folder={folder}"
    shutil.copy(certificate, folder / "ca.crt")
    assert_got(identify(net, config, env=env), text, ["read", "read", "fetch"])
    assert_failed(identify(net, config + ",account=boss", env=env), "forbidden", "serviceaccounts/token")
    # Who is not of this cluster gets nothing, however well it listens.
    n = len(service.seen)
    shutil.copy(other, folder / "ca.crt")
    assert_failed(identify(net, config, env=env), "'k8s:request'", "no answer")
    assert len(service.seen) == n


class Projected:
    """A folder that the kubelet writes: token -> ..data/token, ..data -> a folder that is swapped."""

    def __init__(self, folder):
        self.folder, self.n = folder, 0
        (folder / "token").symlink_to("..data/token")

    def write(self, text):
        self.n += 1
        new = self.folder / f"..2026_11_23_{self.n}"
        new.mkdir()
        (new / "token").write_text(text)
        (new / "token").chmod(0o600)
        (self.folder / "..data_tmp").symlink_to(new.name)
        (self.folder / "..data_tmp").rename(self.folder / "..data")
        for old in self.folder.glob("..2026_*"):
            if old != new:
                shutil.rmtree(old)


def test_a_projected_token_is_followed_through_its_rotations(_stack, net, folder):
    volume = Projected(folder)
    for n in range(12):
        text = token(jti=f"id-{n}")
        volume.write(text)
        assert_got(identify(net, f"k8s:{folder}/token"), text, ["read"])
    # One that has expired is waited for, in case it is just being replaced.
    volume.write(token(life=-5))
    fresh = token(jti="fresh")

    def rotate(head):
        if head["op"] == "wait":
            volume.write(fresh)

    assert_got(identify(net, f"k8s:{folder}/token", between=rotate), fresh, ["read", "wait", "read"])
    volume.write(token("https://kubernetes.default.svc"))
    assert_failed(identify(net, f"k8s:{folder}/token"), "'k8s'", "https://kubernetes.default.svc", "audience:")


def test_files_and_who_may_write_them(_stack, net, folder):
    path = folder / "t.json"
    text = token()
    path.write_text(json.dumps({"status": {"token": text}}))
    path.chmod(0o600)
    config = f"file:{path},format=json,field=/status/token"
    assert_got(identify(net, config), text, ["read"])
    path.chmod(0o622)
    assert_failed(identify(net, config), "'file'", str(path), "written by others")
    path.unlink()
    assert_failed(identify(net, config), "'file'", str(path), "does not exist")
    path.symlink_to("/etc/hostname")
    assert_failed(identify(net, config), "'file'", str(path))


def test_a_command_is_told_the_audience_and_nothing_else(_stack, net, folder):
    if os.stat("/").st_uid not in (0, os.geteuid()):
        raise Skip("needs root: in a user namespace the folders above a command are nobody's")
    path = folder / "id"
    text = token()
    body = json.dumps({"version": 1, "success": True, "token_type": "urn:ietf:params:oauth:token-type:id_token", "id_token": text})
    path.write_text(f"""#!/bin/sh
[ "$MCP_BROKER_AUDIENCE" = "{AUDIENCE}" ] && [ "$1" = --x ] && [ -z "$HOME$SECRET" ] && [ "$PWD" = / ] || exit 3
echo '{body}'
""")
    path.chmod(0o700)
    env = {"SECRET": "hunter2", "HOME": "/root"}
    assert_got(identify(net, f"exec:{path},arg=--x", env=env), text, ["run"])
    assert_failed(identify(net, f"exec:{path},arg=--y", env=env), "'exec'", str(path), "by hand")
    path.chmod(0o722)
    assert_failed(identify(net, f"exec:{path},arg=--x", env=env), "'exec'", str(path))


def test_faults_of_a_metadata_service(stack, net, _folder):
    text = token()
    flavor = [("Metadata-Flavor", "Google")]
    elsewhere = Service(stack, "127.0.0.1", 8092, lambda handler: (200, flavor, text))
    faults = [
        ((302, [("Location", "http://127.0.0.1:8092/"), *flavor], ""), "not followed"),
        ((200, flavor, "<html>log in</html>"), "no JSON Web Token"),
        ((200, [], text), "no metadata server"),
        ((200, flavor, "x" * (64 * 1024 + 1)), "too large"),
        ((200, [("Content-Length", "5000"), ("Connection", "close"), *flavor], text), "no answer"),
        ((200, [("Transfer-Encoding", "chunked"), *flavor], "zz\r\nhello\r\n"), "no answer"),
        ((200, flavor, text[:40] + "\r\n" + text[40:]), "no JSON Web Token"),
        ((200, flavor, token(life=-1)), "expired"),
        ((200, flavor, token("https://other.example")), "https://other.example"),
        ((429, [("Retry-After", "3600"), *flavor], ""), "status 429"),
        (None, "no answer"),
    ]
    now = []
    service = Service(stack, METADATA, 80, lambda handler: now[0])
    for answer, says in faults:
        now[:] = [answer]
        assert_failed(identify(net, "gcp"), "'gcp', asking the metadata server", says)
    assert len(service.seen) == len(faults) and not elsewhere.seen
    service.stop()
    assert_failed(identify(net, "gcp"), "'gcp'", "no answer")


def test_a_service_that_stays_busy_is_asked_four_times(stack, net, _folder):
    service = Service(stack, METADATA, 80, lambda handler: (503, [("Retry-After", "2")], ""))
    waits = []
    result = identify(net, "gcp", between=lambda head: waits.append(head["usec"]) if head["op"] == "wait" else None)
    assert_failed(result, "'gcp'", "status 503")
    assert waits == [2000000] * 3 and len(service.seen) == 4


def main():
    tests = [(name, fn) for name, fn in globals().items() if name.startswith("test_")]
    tests = [t for t in tests if not sys.argv[1:] or any(w in t[0] for w in sys.argv[1:])]
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    alone = enter_namespace()
    for n, (name, fn) in enumerate(tests, 1):
        claim = name[len("test_"):].replace("_", " ")
        if not alone:
            print(f"ok {n} - {claim} # SKIP needs a namespace of its own", flush=True)
            continue
        try:
            with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
                fn(stack, Net(stack), pathlib.Path(folder))
            print(f"ok {n} - {claim}", flush=True)
        except Skip as why:
            print(f"ok {n} - {claim} # SKIP {why}", flush=True)
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print(f"not ok {n} - {claim}", flush=True)
            print("".join("# " + line + "\n" for line in traceback.format_exc().splitlines()), end="", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
