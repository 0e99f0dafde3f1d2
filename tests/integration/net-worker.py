#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mcp-broker-net as the keeper, servers and the user's browser see it. Speaks TAP."""

import contextlib
import ctypes
import fcntl
import http.client
import http.server
import json
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading

PROGRAM = os.path.join(os.environ.get("top_builddir", "."), "mcp-broker-net")
LIMIT = 20  # seconds: nothing here takes so long; it only ends what hangs
LINK_LOCAL, LOOPBACK, PRIVATE, PUBLIC = 8, 4, 2, 1
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x20000, 0x10000000, 0x40000000
CALLBACK = "/callback/q1w2e3"
PAGE = b"<!doctype html><title>Connected</title><p>example is connected"


class Skip(Exception):
    pass


# ---- the keeper ----


class Worker:
    """The program with its stream."""

    def __init__(self, role, *args, env=None, user=None):
        ours, theirs = socket.socketpair()
        ours.settimeout(LIMIT)
        self.stream = ours
        self.buffer = b""
        self.next_id = 0
        self.sandbox = None

        def place_fd():
            os.dup2(theirs.fileno(), 3)
            if user is not None:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)

        # A dup2() onto its own number would keep the close-on-exec flag.
        if theirs.fileno() == 3:
            theirs = socket.socket(fileno=os.dup(theirs.detach()))
        self.process = subprocess.Popen(
            [PROGRAM, "--role=" + role, *args],
            preexec_fn=place_fd,
            pass_fds=[3, theirs.fileno()],
            env={
                **os.environ,
                # The leak check needs /proc, which is out of reach in there.
                "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0",
                **(env or {}),
            },
            stderr=subprocess.PIPE,
        )
        theirs.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        if self.process.poll() is None:
            try:
                self.process.wait(LIMIT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stderr.close()

    def send_raw(self, head, body=b""):
        self.stream.sendall(struct.pack("<II", len(head), len(body)) + head + body)

    def send(self, head, body=b""):
        self.send_raw(json.dumps(head).encode(), body)

    def _take(self, n):
        while len(self.buffer) < n:
            data = self.stream.recv(65536)
            if not data:
                raise EOFError
            self.buffer += data
        taken, self.buffer = self.buffer[:n], self.buffer[n:]
        return taken

    def receive(self):
        while True:
            n_head, n_body = struct.unpack("<II", self._take(8))
            head, body = json.loads(self._take(n_head)), self._take(n_body)
            if self.sandbox is not None:
                return head, body
            assert head["op"] == "sandbox", head  # always the first
            self.sandbox = head["sandbox"]

    def expect(self, op, **fields):
        head, body = self.receive()
        assert head["op"] == op, head
        for name, value in fields.items():
            assert head.get(name) == value, (name, value, head)
        return head, body

    def request(self, url, method="GET", headers=(), body=b"", allow=LOOPBACK, **more):
        self.next_id += 1
        head = {
            "op": "fetch",
            "id": self.next_id,
            "method": method,
            "url": url,
            "headers": [list(h) for h in headers],
            "allow": allow,
            "timeout_msec": 10000,
            "body_max": 65536,
        }
        self.send({**head, **more}, body)
        return self.next_id

    def fetch(self, url, **more):
        return self.expect("answer", id=self.request(url, **more))

    def listen(self, number=1, port=0, path=CALLBACK, **more):
        self.send({"op": "listen", "id": number, "port": port, "path": path, **more})
        return self.expect("listening", id=number)[0]["port"]

    def ended(self):
        """The exit status, once it has left by itself."""
        with contextlib.suppress(EOFError, ConnectionResetError):
            while True:
                self.receive()
        return self.process.wait(LIMIT)


# ---- a machine of its own ----

LIBC = ctypes.CDLL(None, use_errno=True)


def in_namespace(kind, fn):
    """Runs @fn in a child of ours, as root there, in a namespace of its own. Skip where that cannot be."""
    ours, theirs = os.pipe()
    uid, gid = os.geteuid(), os.getegid()
    pid = os.fork()
    if pid == 0:
        text = b""
        try:
            if LIBC.unshare(kind | (0 if uid == 0 else CLONE_NEWUSER)) < 0:
                text = b"skip"
            else:
                if uid != 0:
                    for name, value in (("setgroups", "deny"), ("gid_map", "0 %d 1" % gid), ("uid_map", "0 %d 1" % uid)):
                        with open("/proc/self/" + name, "w", encoding="ascii") as f:
                            f.write(value)
                fn()
        except PermissionError:
            text = b"skip"
        except BaseException as e:  # pylint: disable=broad-except
            text = ("%s: %s" % (type(e).__name__, e)).encode() or b"failed"
        finally:
            os.write(theirs, text)
            os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as f:
        text = f.read().decode()
    assert os.waitpid(pid, 0)[1] == 0
    if text == "skip":
        raise Skip("needs a namespace of its own")
    assert text == "", text


def mount(source, target):
    private, bind = 1 << 18 | 1 << 14, 1 << 12
    for what in ((b"none", b"/", None, private, None), (source.encode(), target.encode(), None, bind, None)):
        if LIBC.mount(*what) < 0:
            raise OSError(ctypes.get_errno(), "mount")


def loopback_up(*addresses):
    """With @addresses besides 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for i, address in enumerate(addresses):
            fcntl.ioctl(s, 0x8916, struct.pack("16sHH4s8x", b"lo:%d" % i, socket.AF_INET, 0, socket.inet_aton(address)))
        fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", b"lo", 1))  # up


# ---- servers ----


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        self.server.gate.wait(LIMIT)
        status, headers, text = self.server.answer
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if not any(name == "Content-Length" for name, _ in headers):
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
        if self.server.cut:
            # Without the end that TLS demands.
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    do_GET = do_POST = do_PUT = answer

    def log_message(self, *_):
        pass


class Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, *_):
        pass  # a handshake that the client broke off


@contextlib.contextmanager
def server(certificate=None, answer=(200, [], b"hello"), cut=False, client_ca=None, host="127.0.0.1"):
    s = Quiet((host, 0), Handler)
    s.seen, s.answer, s.cut = [], answer, cut
    s.gate = threading.Event()
    s.gate.set()
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        if client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client_ca)
        # The handshake belongs to the thread of the connection.
        s.socket = context.wrap_socket(s.socket, server_side=True, do_handshake_on_connect=False)
    s.url = "%s://%s:%d" % ("https" if certificate else "http", host, s.server_port)
    thread = threading.Thread(target=s.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield s
    finally:
        s.gate.set()
        s.shutdown()
        s.server_close()


FOLDER = None


def certificate(name):
    """A self-signed certificate for @name with its key, one file."""
    if not shutil.which("openssl"):
        raise Skip("needs the openssl program")
    path = os.path.join(FOLDER, name.replace(":", "-") + ".pem")
    if not os.path.exists(path):
        kind = "IP" if name[0].isdigit() else "DNS"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", "/CN=" + name, "-addext",
             "subjectAltName=%s:%s" % (kind, name), "-keyout", path, "-out", path + ".crt"],
            check=True, capture_output=True,
        )
        with open(path + ".crt", encoding="ascii") as crt, open(path, "a", encoding="ascii") as out:
            out.write(crt.read())
    return path


# ---- the browser ----


def visit(port, target, method="GET", host=None, body=None):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    headers = {"Host": host} if host else {}
    c.request(method, target, body=body, headers=headers)
    r = c.getresponse()
    text = r.read()
    c.close()
    return r, text


class Browser(threading.Thread):
    """Follows the redirect, as a browser does, and remembers what it saw."""

    def __init__(self, port, target):
        super().__init__(daemon=True)
        self.port, self.target, self.seen = port, target, []
        self.start()

    def run(self):
        target = self.target
        for _ in range(3):
            r, text = visit(self.port, target)
            self.seen.append((target, r, text))
            if r.status != 303:
                break
            target = r.headers["Location"]

    def result(self):
        self.join(LIMIT)
        assert not self.is_alive()
        return self.seen


def refused(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) != 0


def wait_until_refused(port):
    """Each try is answered by the kernel at once; the end is bounded by the number of tries."""
    for _ in range(200000):
        if refused(port):
            return
    raise AssertionError("port %d is still open" % port)


def log_in(worker, port, number=1, status=200):
    browser = Browser(port, CALLBACK + "?code=s3cr3t&state=x%20y")
    head, query = worker.expect("redirect", id=number)
    assert query == b"code=s3cr3t&state=x%20y", query
    worker.send({"op": "page", "id": number, "request": head["request"], "status": status}, PAGE)
    return browser.result()


# ---- fetching ----


def test_a_fetch_is_answered_with_status_headers_and_body():
    with server(answer=(401, [("WWW-Authenticate", 'Bearer scope="a"')], b"no")) as s:
        for role in ("explore", "deal"):
            with Worker(role) as w:
                head, body = w.fetch(s.url + "/mcp?x=1")
                assert head["outcome"] == "answered" and head["failure"] == "none", head
                assert head["status"] == 401 and head["reached"] == LOOPBACK, head
                assert ["www-authenticate", 'Bearer scope="a"'] in head["headers"], head
                assert body == b"no", body
                assert s.seen[-1][:2] == ("GET", "/mcp?x=1"), s.seen


def test_a_post_is_sent_as_it_was_given():
    with server() as s, Worker("deal") as w:
        w.fetch(s.url + "/token", method="POST", body=b"a=b%00c",
                headers=[("Content-Type", "application/x-www-form-urlencoded"),
                         ("Authorization", "Basic Zm9v")])
        method, path, headers, body = s.seen[0]
        assert (method, path, body) == ("POST", "/token", b"a=b%00c")
        assert headers["Authorization"] == "Basic Zm9v"
        assert len(s.seen) == 1


# A5
def test_a_self_signed_server_gets_no_request():
    with server(certificate("127.0.0.1")) as s, Worker("deal") as w:
        head, _ = w.fetch(s.url, method="POST", body=b"secret")
        assert head["outcome"] == "not_sent" and head["failure"] == "tls", head
        assert s.seen == []


# A5
def test_own_certificates_can_be_added():
    path = certificate("127.0.0.1")
    with server(path) as s, Worker("deal", "--ca-file=" + path + ".crt") as w:
        head, body = w.fetch(s.url)
        assert head["outcome"] == "answered" and body == b"hello", head


def text_of(path):
    with open(path, encoding="ascii") as f:
        return f.read()


def test_a_request_may_trust_certificates_of_its_own():
    path, other = certificate("127.0.0.1"), certificate("other.example")
    with server(path) as s, Worker("explore") as w:
        head, body = w.fetch(s.url, ca_pem=text_of(path + ".crt"))
        assert head["outcome"] == "answered" and body == b"hello", head
        # The next one does not: neither what was trusted nor the connection is left behind.
        assert w.fetch(s.url)[0]["failure"] == "tls"
        assert w.fetch(s.url, ca_pem=text_of(other + ".crt"))[0]["failure"] == "tls"
        for broken in ("x", "-----BEGIN CERTIFICATE-----\n", text_of(path + ".crt")[:200]):
            assert w.fetch(s.url, ca_pem=broken)[0]["outcome"] == "not_sent"
        assert len(s.seen) == 1


def test_what_a_request_trusts_takes_the_place_of_what_else_is_trusted():
    path, other = certificate("127.0.0.1"), certificate("other.example")
    with server(path) as s, Worker("deal", "--ca-file=" + path + ".crt") as w:
        head, _ = w.fetch(s.url, ca_pem=text_of(other + ".crt"))
        assert head["outcome"] == "not_sent" and head["failure"] == "tls", head
        assert w.fetch(s.url)[0]["outcome"] == "answered"


def test_the_folder_of_the_system_s_certificates_does_not_count_either():
    path, other = certificate("127.0.0.1"), certificate("other.example")

    def inside():
        number = subprocess.run(["openssl", "x509", "-noout", "-hash", "-in", path + ".crt"],
                                check=True, capture_output=True, text=True).stdout.strip()
        folder = os.path.join(FOLDER, "certs")
        os.mkdir(folder)
        shutil.copy(path + ".crt", os.path.join(folder, number + ".0"))
        shutil.copy(other + ".crt", os.path.join(folder, "ca-certificates.crt"))
        mount(folder, "/etc/ssl/certs")
        with server(path) as s, Worker("deal") as w:
            # It counts for other requests, or this would prove nothing.
            assert w.fetch(s.url)[0]["outcome"] == "answered"
            head, _ = w.fetch(s.url, ca_pem=text_of(other + ".crt"))
            assert head["outcome"] == "not_sent" and head["failure"] == "tls", head

    if not os.path.isdir("/etc/ssl/certs"):
        raise Skip("the system keeps its certificates elsewhere")
    in_namespace(CLONE_NEWNS, inside)


def test_a_certificate_of_ours_is_shown_where_it_was_given():
    path, ours = certificate("127.0.0.1"), certificate("client.example")
    key, chain = text_of(ours).split("-----BEGIN CERTIFICATE-----", 1)
    ca, chain = text_of(path + ".crt"), "-----BEGIN CERTIFICATE-----" + chain
    with server(path, client_ca=ours + ".crt") as s, Worker("deal") as w:
        head, body = w.fetch(s.url, ca_pem=ca, cert_pem=chain, key_pem=key)
        assert head["outcome"] == "answered" and body == b"hello", head
        head, _ = w.fetch(s.url, ca_pem=ca)  # not the next one's
        assert head["outcome"] != "answered", head
        for broken in ({"key_pem": "x"}, {"cert_pem": "x"}, {"key_pem": text_of(path).split("-----BEGIN CERT")[0]}):
            head, _ = w.fetch(s.url, **{"ca_pem": ca, "cert_pem": chain, "key_pem": key, **broken})
            assert (head["outcome"], head["failure"]) == ("not_sent", "tls"), head
        assert len(s.seen) == 1


# A5
def test_a_certificate_for_another_name_is_refused():
    path = certificate("other.example")
    with server(path) as s, Worker("deal", "--ca-file=" + path + ".crt") as w:
        head, _ = w.fetch(s.url)
        assert head["outcome"] == "not_sent" and head["failure"] == "tls", head
        assert s.seen == []


def test_an_answer_over_tls_without_its_end_is_in_doubt():
    path = certificate("127.0.0.1")
    for headers in ([("Content-Length", "100")], [("Transfer-Encoding", "chunked"), ("X", "y")]):
        with server(path, answer=(200, headers, b"5\r\nhello\r\n"), cut=True) as s:
            with Worker("deal", "--ca-file=" + path + ".crt") as w:
                head, body = w.fetch(s.url)
                assert head["outcome"] == "no_answer" and head["failure"] == "cut", head
                assert body == b"" and head["headers"] == [], head


# A6
def test_redirects_are_not_followed():
    with server() as second:
        with server(answer=(307, [("Location", second.url + "/")], b"")) as first:
            with Worker("deal") as w:
                head, _ = w.fetch(first.url, method="POST", body=b"code=1")
                assert head["status"] == 307, head
                assert len(first.seen) == 1 and second.seen == []


# A226
def test_metadata_services_and_foreign_classes_are_refused():
    with server() as s, Worker("explore") as w:
        for url, allow in (
            ("https://169.254.169.254/latest/", 7),
            ("https://[::ffff:169.254.169.254]/", 7),
            ("https://0xa9fea9fe/", 7),
            ("https://10.0.0.1/", PUBLIC | LOOPBACK),
            (s.url, PUBLIC | PRIVATE),
            (s.url, 0),
        ):
            head, _ = w.fetch(url, allow=allow)
            assert (head["outcome"], head["failure"]) == ("not_sent", "address"), (url, head)
        assert s.seen == []


# S8
def test_a_metadata_service_is_reached_by_those_who_ask_for_it_alone():
    def inside():
        loopback_up("169.254.169.254")
        with server(host="169.254.169.254") as s, Worker("deal", "--proxy=http://127.0.0.1:1") as w:
            head, body = w.fetch(s.url, method="PUT", allow=0, link_local=True)
            assert head["outcome"] == "answered" and body == b"hello", head
            assert head["reached"] == LINK_LOCAL
            assert w.fetch(s.url, allow=LINK_LOCAL, link_local=True)[0]["outcome"] == "answered"
            assert [seen[0] for seen in s.seen] == ["PUT", "GET"]
            assert w.fetch(s.url, allow=7)[0]["outcome"] == "not_sent"
            assert w.fetch(s.url.replace("http", "https"), allow=7, direct=True)[0]["failure"] == "address"
            assert len(s.seen) == 2

    in_namespace(CLONE_NEWNET, inside)


# S5 S8
def test_explore_does_not_show_who_we_are():
    ours = certificate("client.example")
    key, chain = text_of(ours).split("-----BEGIN CERTIFICATE-----", 1)
    with server() as s, Worker("explore") as w:
        for more in ({"key_pem": key, "cert_pem": chain}, {"link_local": True}):
            assert w.fetch(s.url, **more)[0]["outcome"] == "not_sent"
        assert s.seen == []


# A4
def test_plain_http_goes_to_loopback_only():
    with Worker("explore") as w:
        for url in ("http://example.com/", "http://192.168.0.1/", "http://127.0.0.1.example.com/"):
            head, _ = w.fetch(url, allow=7)
            assert (head["outcome"], head["failure"]) == ("not_sent", "protocol"), (url, head)


# S5
def test_explore_sends_no_credentials():
    with server() as s, Worker("explore") as w:
        for name in ("Authorization", "authorization", "DPoP", "Cookie"):
            head, _ = w.fetch(s.url, headers=[(name, "x")])
            assert head["outcome"] == "not_sent", head
        assert s.seen == []
        assert w.fetch(s.url, headers=[("Accept", "x")])[0]["outcome"] == "answered"


def test_a_cancelled_fetch_gets_no_answer_and_others_do():
    with server() as s, Worker("explore") as w:
        s.gate.clear()
        slow = w.request(s.url + "/slow")
        w.send({"op": "cancel", "id": slow})
        w.send({"op": "cancel", "id": 4711})
        other = w.request("http://example.com/")  # refused, and so surely later than the cancellation
        w.expect("answer", id=other)
        s.gate.set()
        w.fetch(s.url + "/other")


def test_many_fetches_at_once_are_all_answered():
    with server() as s, Worker("explore") as w:
        ids = {w.request(s.url + "/%d" % i) for i in range(100)}
        while ids:
            head, _ = w.receive()
            assert head["outcome"] == "answered", head
            ids.remove(head["id"])


def test_too_many_fetches_at_once_are_refused_not_dropped():
    with socket.socket() as silent, Worker("explore") as w:
        silent.bind(("127.0.0.1", 0))
        silent.listen(512)
        url = "http://127.0.0.1:%d/" % silent.getsockname()[1]
        for _ in range(256):
            w.request(url)
        head, _ = w.fetch(url)
        assert (head["outcome"], head["failure"]) == ("not_sent", "worker"), head


def test_the_environment_has_no_say():
    key_log = os.path.join(FOLDER, "keys")
    path = certificate("127.0.0.1")
    proxy = "http://127.0.0.1:9"
    env = {"SSLKEYLOGFILE": key_log, "https_proxy": proxy, "http_proxy": proxy,
           "ALL_PROXY": proxy, "SSL_CERT_FILE": path + ".crt"}
    with server(path) as s:
        with Worker("deal", "--ca-file=" + path + ".crt", env=env) as w:
            assert w.fetch(s.url)[0]["outcome"] == "answered"
        with Worker("deal", env=env) as w:
            assert w.fetch(s.url)[0]["failure"] == "tls"
    assert not os.path.exists(key_log)


# A228
def test_a_proxy_is_used_when_configured():
    with socket.socket() as proxy:
        proxy.bind(("127.0.0.1", 0))
        proxy.listen()
        proxy.settimeout(LIMIT)
        with Worker("deal", "--proxy=http://127.0.0.1:%d" % proxy.getsockname()[1]) as w:
            number = w.request("https://mcp.example.com/x", allow=PUBLIC)
            peer, _ = proxy.accept()
            with peer:
                assert peer.recv(4096).startswith(b"CONNECT mcp.example.com:443 ")
                peer.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                head, _ = w.expect("answer", id=number)
                assert head["outcome"] == "not_sent", head


# S1
def test_a_password_in_the_arguments_is_refused():
    r = subprocess.run([PROGRAM, "--role=deal", "--proxy=http://user:pw@proxy.example:3128"],
                       capture_output=True, check=False)
    assert r.returncode == 2 and b"pw" not in r.stderr, r


# ---- life and death ----


def test_it_leaves_when_the_keeper_does_and_not_on_signals():
    for role in ("explore", "deal"):
        with server() as s, Worker(role) as w:
            w.fetch(s.url)  # it is up
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
                w.process.send_signal(number)
            assert w.fetch(s.url)[0]["outcome"] == "answered"
            w.stream.shutdown(socket.SHUT_WR)
            assert w.ended() == 0, w.process.returncode


# A148
def test_one_that_was_replaced_leaves_when_all_that_it_has_is_done():
    for role in ("explore", "deal"):
        with Worker(role) as w:
            w.send({"op": "leave"})
            assert w.ended() == 0, w.process.returncode
    with server() as s, Worker("deal") as w:
        s.gate.clear()
        forgotten, slow = w.request(s.url + "/forgotten"), w.request(s.url + "/slow")
        port = w.listen()
        w.send({"op": "leave"})
        w.send({"op": "cancel", "id": forgotten})
        first, last = log_in(w, port)
        assert first[1].status == 303 and last[2] == PAGE
        w.send({"op": "unlisten", "id": 1})
        s.gate.set()
        assert w.expect("answer", id=slow)[0]["outcome"] == "answered"
        assert w.ended() == 0, w.process.returncode
        wait_until_refused(port)
    with server() as s, Worker("deal") as w:
        port = w.listen()
        w.send({"op": "leave"})
        w.fetch(s.url)  # late, and answered all the same: a browser may still come
        _, last = log_in(w, port)
        assert last[2] == PAGE
        assert w.ended() == 0, w.process.returncode


def test_a_frame_that_is_not_ours_ends_the_worker():
    fetch = {"op": "fetch", "id": 1, "method": "GET", "url": "http://127.0.0.1:9/", "headers": [],
             "allow": 4, "timeout_msec": 1000, "body_max": 10}
    listen = {"op": "listen", "id": 1, "port": 0, "path": CALLBACK}

    def without(head, key):
        return {k: v for k, v in head.items() if k != key}

    bad = [
        ("deal", b"not json"),
        ("deal", b"[]"),
        ("deal", b"{}"),
        ("deal", b'{"op":"fetch"} x'),
        ("deal", b'{"op":1}'),
        ("deal", b'{"op":"exec"}'),
        ("deal", b'{"op":"answer","id":1}'),
        ("deal", b'{"op":"cancel"}'),
        ("deal", b'{"op":"cancel","id":-1}'),
        ("deal", b'{"op":"cancel","id":"1"}'),
        ("deal", b'{"op":"page","id":1,"request":1,"status":302}'),
        ("deal", b'{"op":"page","id":1,"status":200}'),
        ("deal", b'{"op":"unlisten"}'),
        ("explore", json.dumps(listen).encode()),
        ("explore", b'{"op":"unlisten","id":1}'),
        ("explore", b'{"op":"page","id":1,"request":1,"status":200}'),
    ]
    bad += [("explore", json.dumps(without(fetch, key)).encode()) for key in fetch]
    bad += [("deal", json.dumps(without(listen, key)).encode()) for key in listen]
    bad += [("deal", json.dumps({**listen, **change}).encode()) for change in (
        {"port": 65536}, {"port": -1}, {"port": "0"}, {"path": "callback"}, {"path": "/"},
        {"path": "/a?b"}, {"path": "/done/x"}, {"path": "/" + "a" * 200}, {"id": 1.5})]
    for role, head in bad:
        with Worker(role) as w:
            w.send_raw(head)
            assert w.ended() == 1, (head, w.process.returncode)
    # Lengths that nobody sends; the same number twice; the end in the middle of a frame.
    with Worker("deal") as w:
        w.stream.sendall(b"\xff" * 8)
        assert w.ended() == 1
    with socket.socket() as silent, Worker("deal") as w:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        fetch["url"] = "http://127.0.0.1:%d/" % silent.getsockname()[1]
        w.send(fetch)
        w.send(fetch)
        assert w.ended() == 1
    with Worker("deal") as w:
        w.send(listen)
        w.expect("listening")
        w.send(listen)
        assert w.ended() == 1


# S2
def test_it_closes_itself_in():
    with server() as s, Worker("deal") as w:
        w.fetch(s.url)
        with open("/proc/%d/status" % w.process.pid, encoding="ascii") as f:
            status = dict(line.split(":", 1) for line in f.read().splitlines())
        assert status["NoNewPrivs"].strip() == "1"
        assert (status["Seccomp"].strip() == "2") == w.sandbox["seccomp"]
        assert w.sandbox["role"] == "net" and w.sandbox["no_new_privs"], w.sandbox
        assert status["Umask"].strip() == "0077"


# ---- the listener ----


# A104 A112 A123
def test_a_login_goes_its_way():
    with Worker("deal") as w:
        port = w.listen()
        first, last = log_in(w, port)
        assert first[1].status == 303 and first[1].headers["Location"].startswith("/done/")
        assert last[1].status == 200 and last[2] == PAGE
        for _, r, text in (first, last):
            assert r.headers["Cache-Control"] == "no-store"
            assert r.headers["Referrer-Policy"] == "no-referrer"
            assert r.headers["X-Content-Type-Options"] == "nosniff"
            policy = r.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
            assert "script" not in policy
            assert b"s3cr3t" not in text and "s3cr3t" not in str(r.headers)
        assert "s3cr3t" not in last[0]
        wait_until_refused(port)  # closed after one valid response
        w.send({"op": "unlisten", "id": 1})  # crossed its end: no error
        with server() as s:
            assert w.fetch(s.url)[0]["outcome"] == "answered"


# A112
def test_other_requests_have_no_effect():
    with Worker("deal") as w:
        port = w.listen()
        target = CALLBACK + "?code=1&state=2"
        for method, path, host, status in (
            ("POST", target, None, 405),
            ("PUT", target, None, 405),
            ("HEAD", target, None, 405),
            ("OPTIONS", target, None, 405),
            ("GET", "/", None, 404),
            ("GET", "/callback/other?code=1", None, 404),
            ("GET", CALLBACK + "/?code=1", None, 404),
            ("GET", "/done/0123456789abcdef0123456789abcdef", None, 404),
            ("GET", target, "localhost:%d" % port, 400),
            ("GET", target, "evil.example", 400),
            ("GET", target, "127.0.0.1", 400),
            ("GET", target, "127.0.0.1:%d" % (port ^ 1), 400),
        ):
            r, _ = visit(port, path, method, host, b"x" if method in ("POST", "PUT") else None)
            assert r.status == status, (method, path, host, r.status)
        # The first thing that the keeper hears of is the real one.
        log_in(w, port)


# A105
def test_each_login_has_its_own_path():
    with Worker("deal") as w:
        one = w.listen(1, path="/callback/one")
        two = w.listen(2, path="/callback/two")
        assert one != two
        assert visit(one, "/callback/two?code=1")[0].status == 404
        assert visit(two, "/callback/one?code=1")[0].status == 404
        browser = Browser(two, "/callback/two?code=2")
        head, query = w.expect("redirect", id=2)
        assert query == b"code=2"
        w.send({"op": "page", "id": 2, "request": head["request"], "status": 200}, PAGE)
        assert browser.result()[-1][2] == PAGE


# A102
def test_it_listens_on_loopback_only():
    with Worker("deal") as w:
        port = w.listen()
        rows = []
        for name in ("tcp", "tcp6"):
            with contextlib.suppress(FileNotFoundError):
                with open("/proc/net/" + name, encoding="ascii") as f:
                    rows += [line.split()[1] for line in f if line.split()[3] == "0A"]
        ours = [row for row in rows if row.endswith(":%04X" % port)]
        assert ours == ["%08X:%04X" % (struct.unpack("=I", socket.inet_aton("127.0.0.1"))[0], port)], ours


def test_a_listener_can_be_on_ipv6_if_asked():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as e:
        raise Skip("no IPv6 here") from e
    with Worker("deal") as w:
        port = w.listen(ipv6=True)
        with socket.create_connection(("::1", port), LIMIT) as s:
            s.sendall(b"GET %s?code=6 HTTP/1.1\r\nHost: [::1]:%d\r\n\r\n" % (CALLBACK.encode(), port))
            head, query = w.expect("redirect", id=1)
            assert query == b"code=6"
            w.send({"op": "page", "id": 1, "request": head["request"], "status": 200}, PAGE)
            assert s.recv(4096).startswith(b"HTTP/1.1 303 ")


def test_an_invalid_response_leaves_the_listener_open():
    with Worker("deal") as w:
        port = w.listen()
        for _ in range(2):
            _, last = log_in(w, port, status=400)
            assert last[1].status == 400 and last[2] == PAGE
        _, last = log_in(w, port)
        assert last[1].status == 200


def test_after_a_restart_the_same_port_is_bound_again():
    with Worker("deal") as w:
        port = w.listen()
        log_in(w, port, status=400)  # leaves connections behind
        w.process.kill()
        w.process.wait()
    with Worker("deal") as w:
        assert w.listen(port=port) == port
        _, last = log_in(w, port)
        assert last[1].status == 200


def test_a_port_that_is_taken_is_said_to_be():
    with Worker("deal") as w:
        port = w.listen(1)
        w.send({"op": "listen", "id": 2, "port": port, "path": CALLBACK})
        head, _ = w.expect("listen-failed", id=2)
        assert "in use" in head["reason"], head
        _, last = log_in(w, port)
        assert last[1].status == 200


def test_unlisten_closes_and_tells_those_who_wait():
    with Worker("deal") as w:
        port = w.listen()
        browser = Browser(port, CALLBACK + "?code=1")
        head, _ = w.expect("redirect")
        w.send({"op": "unlisten", "id": 1})
        w.send({"op": "page", "id": 1, "request": head["request"], "status": 200}, PAGE)
        assert browser.result()[0][1].status == 503
        wait_until_refused(port)
        assert w.listen(1, port=port) == port


def test_the_number_of_listeners_is_bounded():
    with Worker("deal") as w:
        for i in range(64):
            w.listen(i)
        w.send({"op": "listen", "id": 64, "port": 0, "path": CALLBACK})
        w.expect("listen-failed", id=64)


OTHER_UID = 65534


@contextlib.contextmanager
def visitor(uid, port):
    """Another user's browser; gives a function that waits for the first bytes of its answer."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgroups([])
            os.setuid(uid)
            with socket.create_connection(("127.0.0.1", port), LIMIT) as s:
                text = "GET %s?code=1 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (CALLBACK, port)
                with contextlib.suppress(ConnectionError):
                    s.sendall(text.encode())
                    theirs.sendall(s.recv(13))
            status = 0
        finally:
            os._exit(status)
    theirs.close()
    ours.settimeout(LIMIT)
    try:
        yield lambda: ours.recv(64)
    finally:
        ours.close()
        assert os.waitpid(pid, 0)[1] == 0


def test_only_sockets_of_our_own_user_are_heard():
    if os.getuid() != 0:
        raise Skip("needs root to become another user")
    try:
        worker = Worker("deal", user=OTHER_UID)
    except (PermissionError, subprocess.SubprocessError) as e:
        raise Skip("another user cannot run the program here") from e
    with worker as w:
        port = w.listen()
        for uid in (0, OTHER_UID - 1):  # root is another user, too
            with visitor(uid, port) as answer:
                assert answer() == b""
        with visitor(OTHER_UID, port) as answer:
            head, query = w.expect("redirect", id=1, request=1)
            assert query == b"code=1"
            w.send({"op": "page", "id": 1, "request": head["request"], "status": 200}, PAGE)
            assert answer() == b"HTTP/1.1 303 "


def main():
    global FOLDER
    tests = [(name, fn) for name, fn in globals().items() if name.startswith("test_")]
    failed = 0
    print("1..%d" % len(tests))
    with tempfile.TemporaryDirectory() as FOLDER:
        for i, (name, fn) in enumerate(tests, 1):
            text = name[len("test_"):].replace("_", " ")
            try:
                fn()
            except Skip as e:
                print("ok %d - %s # SKIP %s" % (i, text, e), flush=True)
            except Exception as e:  # pylint: disable=broad-except
                failed += 1
                trace = e.__traceback__
                while trace.tb_next:
                    trace = trace.tb_next
                print("not ok %d - %s\n# line %d: %s: %s" % (
                    i, text, trace.tb_lineno, type(e).__name__, str(e).replace("\n", "\n# ")),
                    flush=True)
            else:
                print("ok %d - %s" % (i, text), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
