#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Identities of AWS and SPIFFE as they are got in earnest: the core (identity-driver) on the real mcp-broker-net and the real
mcp-broker-identity, in a network of its own where strict services listen at the real addresses. Speaks TAP."""
import base64
import contextlib
import hashlib
import hmac
import http.server
import importlib.util
import json
import os
import pathlib
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

HERE = pathlib.Path(__file__).resolve().parent
DRIVER = os.path.join(os.environ.get("top_builddir", "."), "tests/integration/identity-driver")
AUDIENCE = "https://as.example.com"
REGION = "eu-central-1"
STS = f"sts.{REGION}.amazonaws.com"
KEY_ID, SECRET, SESSION = "ASIAEXAMPLE", "secretEXAMPLE/+", "session//token+EXAMPLE=="
ROLE_ARN = "arn:aws:iam::123456789012:role/agent"
SPIFFE_ID = "spiffe://example.org/agent"
PATIENCE = 60  # seconds until a hang is called one; nothing waits that long when all is well


def load(name):
    """Another test's file, for what it knows about its program."""
    spec = importlib.util.spec_from_file_location(name.replace("-", "_"), HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


net, program = load("net-worker"), load("identity-program")


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(subject="me", audience=AUDIENCE, life=600):
    claims = {"iss": "https://issuer.example", "sub": subject, "aud": [audience], "exp": int(time.time()) + life}
    return ".".join((b64(b'{"alg":"RS256","kid":"k"}'), b64(json.dumps(claims).encode()), b64(b"signature")))


def utc(seconds_from_now):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds_from_now))


# ---- one attempt ----


class Driver:
    """The core, and our end of its stream."""

    def __init__(self, config, audiences, env):
        self.sock, theirs = socket.socketpair()
        self.sock.settimeout(PATIENCE)
        keep = {k: v for k, v in os.environ.items() if k.startswith(("ASAN_", "UBSAN_", "GCOV_", "LD_", "PATH"))}
        self.process = subprocess.Popen([DRIVER, config, *audiences], stdin=theirs, env={**keep, **env})
        theirs.close()

    def take(self, n):
        data = b""
        while len(data) < n:
            more = self.sock.recv(n - len(data))
            assert more, "the core has left"
            data += more
        return data

    def receive(self):
        n_head, n_body = struct.unpack("<II", self.take(8))
        return json.loads(self.take(n_head)), self.take(n_body)

    def send(self, head, body=b""):
        text = json.dumps(head).encode()
        self.sock.sendall(struct.pack("<II", len(text), len(body)) + text + body)


def attempt(config, *audiences, env=None, worker=None):
    """What became of it, with "steps" (what was asked of whom) and "body"."""
    steps = []
    driver = Driver(config, audiences or (AUDIENCE,), env or {})
    while True:
        head, body = driver.receive()
        if head["op"] in ("done", "failed"):
            break
        if head["op"] == "fetch":
            steps.append((head["method"], head["url"]))
            worker.send(head, body)
            driver.send(*worker.receive())
        elif head["op"] == "order":
            steps.append((head["kind"], head["path"]))
            hands = program.Hands()
            hands.raw(struct.pack("<II", len(json.dumps(head).encode()), len(body)) + json.dumps(head).encode() + body)
            reply, more = hands.reply()
            status, said = hands.end()
            assert (status, said) == (0, ""), (status, said)
            driver.send({"op": "reply", **reply}, more)
        else:
            steps.append(("wait", head["usec"]))
            driver.send({"op": "time"})
    assert driver.process.wait(PATIENCE) == 0
    driver.sock.close()
    return {**head, "steps": steps, "body": body}


def succeeded(result, subject="me"):
    assert result["op"] == "done", (result["message"], result["hint"], result["steps"])
    assert result["subject"] == subject, result
    return result


def failed(result, *says):
    assert result["op"] == "failed" and result["hint"], result
    for text in says:
        assert text in result["message"], (text, result["message"])
    return result


# ---- services ----


class Handler(http.server.BaseHTTPRequestHandler):
    """One request: the service's function says status, headers and body, or bytes of its own."""

    protocol_version = "HTTP/1.1"

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        for bad in ("X-Forwarded-For", "Proxy-Connection", "Cookie"):
            assert bad not in self.headers, self.headers
        self.server.seen.append((self.command, self.path))
        answer = self.server.answer(self, body)
        if isinstance(answer, bytes):
            self.wfile.write(answer)
            self.close_connection = True
            return
        status, text = answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = do_PUT = serve

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def service(address, answer, certificate=None):
    kind = socket.AF_INET6 if ":" in address else socket.AF_INET

    class Server(http.server.ThreadingHTTPServer):
        address_family = kind

    server = Server((address, 443 if certificate else 80), Handler)
    server.seen, server.answer = [], answer
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def credentials():
    return json.dumps({"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": KEY_ID, "SecretAccessKey": SECRET, "Token": SESSION,
                       "LastUpdated": utc(-60), "Expiration": utc(3600)})


def instance(request, body):
    """The metadata service of EC2 with version 1 switched off."""
    if (request.command, request.path) == ("PUT", "/latest/api/token"):
        life = int(request.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "0"))
        return (200, "SESSION==") if 1 <= life <= 21600 and body == b"" else (400, "")
    if request.command != "GET" or request.headers.get("X-aws-ec2-metadata-token") != "SESSION==":
        return 401, ""
    return {
        "/latest/meta-data/placement/region": (200, REGION),
        "/latest/meta-data/iam/security-credentials/": (200, "agent"),
        "/latest/meta-data/iam/security-credentials/agent": (200, credentials()),
    }.get(request.path, (404, ""))


def error(status, code, message="because"):
    return status, f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"


def signature_is_right(request, body):
    """Signature Version 4, written down once more: all that was sent must be signed."""
    scheme, _, rest = request.headers["Authorization"].partition(" ")
    part = dict(p.strip().split("=", 1) for p in rest.split(","))
    key_id, *scope = part["Credential"].split("/")
    date = request.headers["X-Amz-Date"]
    names = part["SignedHeaders"].split(";")
    unsigned = {n.lower() for n in request.headers} - {"authorization", "content-length", "accept", "user-agent", *names}
    assert not unsigned and "host" in names, unsigned
    assert abs(time.time() - (time.mktime(time.strptime(date, "%Y%m%dT%H%M%SZ")) - time.timezone)) < 900
    path, _, query = request.path.partition("?")
    canonical = "\n".join([request.command, path, "&".join(sorted(query.split("&"))),
                           *(f"{n}:{' '.join(request.headers[n].split())}" for n in names), "", ";".join(names),
                           hashlib.sha256(body).hexdigest()])
    to_sign = "\n".join([scheme, date, "/".join(scope), hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + SECRET).encode()
    for step in scope:
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    return (key_id == KEY_ID and scope == [date[:8], REGION, "sts", "aws4_request"]
            and part["Signature"] == hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest())


def sts(request, body):
    if (request.command, request.path) != ("POST", "/") or request.headers["Host"] != STS:
        return error(404, "NotFound")
    form = dict(urllib.parse.parse_qsl(body.decode(), strict_parsing=True))
    if form.get("Version") != "2011-06-15":
        return error(400, "InvalidAction")
    if form["Action"] == "AssumeRoleWithWebIdentity":
        if "Authorization" in request.headers or form["RoleArn"] != ROLE_ARN or form["WebIdentityToken"] != "eyJ.of.cluster":
            return error(403, "AccessDenied")
        return 200, (f"<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{KEY_ID}"
                     f"</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey><SessionToken>{SESSION}</SessionToken><Expiration>"
                     f"{utc(3600)}</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>")
    if form["Action"] != "GetWebIdentityToken":
        return error(400, "InvalidAction")
    if request.headers.get("X-Amz-Security-Token") != SESSION or not signature_is_right(request, body):
        return error(403, "SignatureDoesNotMatch")
    if form["SigningAlgorithm"] not in ("RS256", "ES384") or not 60 <= int(form["DurationSeconds"]) <= 3600:
        return error(400, "ValidationError")
    return 200, (f'<GetWebIdentityTokenResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetWebIdentityTokenResult>'
                 f'<WebIdentityToken>{token(audience=form["Audience.member.1"])}</WebIdentityToken><Expiration>{utc(300)}</Expiration>'
                 f"</GetWebIdentityTokenResult></GetWebIdentityTokenResponse>")


# ---- a machine of its own ----


def elsewhere(folder, fn, *addresses):
    """Runs @fn(worker, sts) where nothing but our services is, STS among them."""
    net.FOLDER = str(folder)
    certificate = net.certificate(STS)
    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {STS}\n")

    def inside():
        net.mount(str(hosts), "/etc/hosts")
        net.loopback_up("169.254.169.254", "169.254.170.2", "169.254.170.23")
        # A proxy is configured, which nobody here may ask.
        with service("127.0.0.1", sts, certificate) as server, \
                net.Worker("deal", "--ca-file=" + certificate, "--proxy=http://127.0.0.1:1") as worker:
            fn(worker, server)

    net.in_namespace(net.CLONE_NEWNET | net.CLONE_NEWNS, inside)


def an_instance_gets_a_token_for_its_role(folder):
    def inside(worker, server):
        with service("169.254.169.254", instance) as imds:
            got = succeeded(attempt("aws-wit", worker=worker))
            assert [path for _, path in imds.seen] == [
                "/latest/api/token", "/latest/meta-data/placement/region", "/latest/meta-data/iam/security-credentials/",
                "/latest/meta-data/iam/security-credentials/agent"]
        assert server.seen == [("POST", "/")]
        # The shorter of the two: AWS says five minutes, the token ten.
        assert 240 < got["expires"] - time.time() <= 300, got

    elsewhere(folder, inside)


def an_instance_is_never_asked_by_version_one(folder):
    def no_session(request, _body):
        return (403, "") if request.command == "PUT" else (200, credentials())

    def inside(worker, _sts):
        with service("169.254.169.254", no_session) as imds:
            failed(attempt("aws-wit", worker=worker), "'aws-wit'", "403")
            assert imds.seen == [("PUT", "/latest/api/token")]
        # Nobody is there: as from a container that is one hop too far away.
        got = failed(attempt("aws-wit", worker=worker), "asking the instance for a session", "no answer")
        assert "hop limit" in got["hint"], got

    elsewhere(folder, inside)


def a_container_of_ecs_gets_a_token(folder):
    def agent(request, _body):
        right = (request.command, request.path) == ("GET", "/v2/credentials/1?x=y")
        return (200, credentials()) if right and "Authorization" not in request.headers else (404, "")

    def inside(worker, _sts):
        env = {"AWS_REGION": REGION, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/1?x=y"}
        with service("169.254.170.2", agent):
            succeeded(attempt("aws-wit", env=env, worker=worker))

    elsewhere(folder, inside)


def a_pod_of_eks_shows_the_token_that_is_there_now(folder):
    file = folder / "pod-token"

    def agent(request, _body):
        return (200, credentials()) if request.headers.get("Authorization") == file.read_text().strip() else (401, "")

    def rotate(text):
        new = folder / "new"
        new.write_text(text)
        new.chmod(0o600)
        new.rename(file)

    def inside(worker, _sts):
        env = {"AWS_REGION": REGION, "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials",
               "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(file)}
        with service("169.254.170.23", agent):
            for text in ("one\n", "two"):
                rotate(text)
                got = succeeded(attempt("aws-wit", env=env, worker=worker))
                assert got["steps"][0] == ("read", str(file)), got
        # Others could write there: whose token would that be?
        file.chmod(0o666)
        failed(attempt("aws-wit", env=env, worker=worker), "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")

    elsewhere(folder, inside)


def a_token_of_the_cluster_becomes_one_of_the_role(folder):
    file = folder / "token"
    file.write_text("eyJ.of.cluster")
    file.chmod(0o600)

    def inside(worker, server):
        env = {"AWS_REGION": REGION, "AWS_ROLE_ARN": ROLE_ARN, "AWS_WEB_IDENTITY_TOKEN_FILE": str(file)}
        succeeded(attempt("aws-wit:alg=ES384,duration=60,tags=agent=on call", env=env, worker=worker))
        assert len(server.seen) == 2
        got = failed(attempt("aws-wit", env={**env, "AWS_ROLE_ARN": ROLE_ARN + "2"}, worker=worker),
                     "assuming the role by web identity", "AccessDenied: because")
        assert "role" in got["hint"]

    elsewhere(folder, inside)


def a_wrong_key_is_refused_by_its_signature(folder):
    def inside(worker, _sts):
        env = {"AWS_REGION": REGION, "AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": SESSION}
        succeeded(attempt("aws-wit", env=env, worker=worker))
        got = failed(attempt("aws-wit", env={**env, "AWS_SECRET_ACCESS_KEY": SECRET + "x"}, worker=worker), "SignatureDoesNotMatch")
        assert "clock" in got["hint"], got

    elsewhere(folder, inside)


def a_service_that_answers_badly_is_named(folder):
    faults = {
        "redirects": b"HTTP/1.1 302 Found\r\nLocation: http://169.254.170.2/\r\nContent-Length: 0\r\n\r\n",
        "session token": b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html> </html>"[:-1],
        "too large": b"HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n" + b"x" * 65537,
        "no answer": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort",
        "no answer (": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n0\r\n\r\n",
    }

    def inside(worker, _sts):
        with service("169.254.170.2", lambda *_: (200, "")) as other:
            for says, answer in faults.items():
                with service("169.254.169.254", lambda *_, a=answer: a):
                    got = failed(attempt("aws-wit", worker=worker), "asking the instance for a session", says)
                    assert len(got["steps"]) == 1, got
            assert other.seen == []

    elsewhere(folder, inside)


def a_service_that_is_busy_is_asked_again(folder):
    answers = [b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n",
               b"HTTP/1.1 429 Much\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"]

    def busy(request, body):
        return answers.pop(0) if answers else instance(request, body)

    def inside(worker, _sts):
        with service("169.254.169.254", busy):
            got = succeeded(attempt("aws-wit", worker=worker))
            assert [s for s in got["steps"] if s[0] == "wait"] == [("wait", 100000), ("wait", 7000000)], got

    elsewhere(folder, inside)


# ---- SPIFFE ----


def proto(number, data):
    def varint(n):
        return bytes([n & 0x7f | 0x80]) + varint(n >> 7) if n > 0x7f else bytes([n])

    return varint(number << 3 | 2) + varint(len(data)) + data


class Agent(threading.Thread):
    """Takes one call after the other, each with the next of @answers. What was asked is in @asked."""

    def __init__(self, folder, *answers):
        super().__init__(daemon=True)
        self.path = str(folder / "agent.sock")
        pathlib.Path(self.path).unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.answers, self.asked = answers, []
        self.start()

    def run(self):
        for answer in self.answers:
            connection, _ = self.listener.accept()
            with connection:
                self.asked.append(self.message_of(connection))
                connection.sendall(program.HELLO + answer)
                with contextlib.suppress(ConnectionResetError):
                    while connection.recv(65536):
                        pass

    @staticmethod
    def message_of(connection):
        """The request's message: what its DATA frames hold, behind the preface."""
        stream = connection.makefile("rb")
        assert stream.read(24) == b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        data = b""
        while True:
            length, kind, flags, _ = struct.unpack(">IBBI", b"\0" + stream.read(9))
            payload = stream.read(length)
            data += payload if kind == 0 else b""
            if flags & 1 and kind in (0, 1):
                break
        assert data[:5] == struct.pack(">BI", 0, len(data) - 5), data
        return data[5:]


def answer_of(message, end=True):
    data = program.message(message)
    frames = [program.frame(0, 0, 1, data[k:k + 16384]) for k in range(0, len(data), 16384)]
    return program.HEAD + b"".join(frames) + (program.trailers(0) if end else b"")


def an_agent_gives_a_token(folder):
    ours = token(subject=SPIFFE_ID)
    svid = proto(1, proto(1, SPIFFE_ID.encode()) + proto(2, ours.encode()) + proto(3, b"inside"))
    agent = Agent(folder, program.HEAD + program.trailers(7), program.HEAD + program.trailers(14), answer_of(svid))
    got = succeeded(attempt(f"spiffe:id={SPIFFE_ID}", env={"SPIFFE_ENDPOINT_SOCKET": "unix://" + agent.path}), SPIFFE_ID)
    assert got["body"].decode() == ours
    assert agent.asked == 3 * [proto(1, AUDIENCE.encode()) + proto(2, SPIFFE_ID.encode())]
    assert [s for s in got["steps"] if s[0] == "wait"] == [("wait", 2000000), ("wait", 400000)], got


def an_agent_that_is_not_there_is_named(folder):
    got = failed(attempt(f"spiffe:{folder}/absent.sock"), "absent.sock for a token", "no answer")
    assert "running" in got["hint"], got


def svid_files(folder):
    """A key and a certificate with our SPIFFE ID, in PEM and DER."""
    if not net.shutil.which("openssl"):
        raise net.Skip("needs the openssl program")
    key, crt = folder / "key.pem", folder / "crt.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                    "/", "-addext", f"subjectAltName=URI:{SPIFFE_ID}", "-keyout", key, "-out", crt], check=True, capture_output=True)
    key_der = subprocess.run(["openssl", "pkcs8", "-topk8", "-nocrypt", "-in", key, "-outform", "DER"], check=True, capture_output=True)
    crt_der = subprocess.run(["openssl", "x509", "-in", crt, "-outform", "DER"], check=True, capture_output=True)
    return key.read_text() + crt.read_text(), key_der.stdout, crt_der.stdout


def an_agent_gives_a_certificate_and_more_to_come(folder):
    _, key, certificate = svid_files(folder)
    svid = proto(1, proto(1, SPIFFE_ID.encode()) + proto(2, certificate) + proto(3, key) + proto(4, certificate))
    # The stream has no end: another message would come when something changes.
    agent = Agent(folder, answer_of(svid + proto(3, b"x" * 100000), end=False))
    got = succeeded(attempt("spiffe:x509", env={"SPIFFE_ENDPOINT_SOCKET": "unix://" + agent.path}), SPIFFE_ID)
    assert (got["kind"], got["body"], got["key_bytes"]) == (1, certificate, len(key)), got
    assert agent.asked == [b""]
    assert 86400 < got["expires"] - time.time() <= 2 * 86400, got


def a_folder_gives_a_certificate(folder):
    bundle, key, certificate = svid_files(folder)
    path = folder / "credential-bundle.private-key.pem"
    path.write_text(bundle)
    path.chmod(0o600)
    env = {"SPIFFE_CREDENTIAL_FOLDER": str(folder)}
    got = succeeded(attempt("spiffe:x509", env=env), SPIFFE_ID)
    assert (got["body"], got["key_bytes"]) == (certificate, len(key)), got
    path.chmod(0o602)
    failed(attempt("spiffe:x509", env=env), str(path))


TESTS = [
    an_instance_gets_a_token_for_its_role,
    an_instance_is_never_asked_by_version_one,
    a_container_of_ecs_gets_a_token,
    a_pod_of_eks_shows_the_token_that_is_there_now,
    a_token_of_the_cluster_becomes_one_of_the_role,
    a_wrong_key_is_refused_by_its_signature,
    a_service_that_answers_badly_is_named,
    a_service_that_is_busy_is_asked_again,
    an_agent_gives_a_token,
    an_agent_that_is_not_there_is_named,
    an_agent_gives_a_certificate_and_more_to_come,
    a_folder_gives_a_certificate,
]


def main():
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    chosen = [t for t in TESTS if wanted in t.__name__ or wanted in t.__name__.replace("_", " ")]
    bad = 0
    print(f"1..{len(chosen)}")
    for number, test in enumerate(chosen, 1):
        name = test.__name__.replace("_", " ")
        with tempfile.TemporaryDirectory(prefix="mcpb-") as folder:
            try:
                test(pathlib.Path(folder))
                print(f"ok {number} - {name}", flush=True)
            except net.Skip as e:
                print(f"ok {number} - {name} # SKIP {e}", flush=True)
            except Exception:  # pylint: disable=broad-except
                bad += 1
                print(f"not ok {number} - {name}\n# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
