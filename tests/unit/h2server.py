#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An HTTP/2 server on 127.0.0.1 that behaves as it is told, for test-http2.c.

It speaks TLS with a certificate made for this run, and enough of RFC 9113 to answer, to refuse and to break off. The
first line that it writes is "PORT CA-FILE". Then it does what each line of its input says and writes one line back:

    mode NAME      what becomes of the requests to come (see Connection.request)
    finish         the answers of mode "hold" get their body and end
    abort          they are broken off instead
    goaway         every connection is told that it will take no more requests; those that it has go on
    http1          who connects from now on is not offered HTTP/2
    count          "connections requests http1 resets resumed"
"""
import os
import selectors
import socket
import ssl
import struct
import subprocess
import sys
import tempfile

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
NO_ERROR, INTERNAL_ERROR, REFUSED_STREAM, HTTP_1_1_REQUIRED = 0, 2, 7, 13
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
STATUS_200 = b"\x88"
BIG = 48 * 1024 * 1024
PIECE = bytes(range(256)) * 64

mode = "answer"
count = dict.fromkeys(("connections", "requests", "http1", "resets", "resumed"), 0)


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


class Connection:
    def __init__(self, selector, sock, context):
        sock.setblocking(False)
        self.selector = selector
        self.sock = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        self.shaken = False
        self.inbuf, self.out = b"", bytearray()
        self.window, self.initial = 65535, 65535
        self.streams = {}  # number -> [window, bytes of the body that are left]
        self.last = 0
        self.closing = False
        count["connections"] += 1
        selector.register(self.sock, selectors.EVENT_READ, self)

    def close(self):
        self.selector.unregister(self.sock)
        self.sock.close()
        self.sock = None

    # ---- what comes ----

    def on_event(self):
        try:
            if not self.shaken:
                self.sock.do_handshake()
                self.shaken = True
                count["resumed"] += bool(self.sock.session_reused)
                self.h2 = self.sock.selected_alpn_protocol() == "h2"
            if not self.read():
                return self.close()
            self.write()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            self.watch()
        except OSError:
            self.close()
        return None

    def read(self):
        while True:
            try:
                data = self.sock.recv(65536)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            if not data:
                return False
            self.inbuf += data
        if not self.h2:
            self.http1()
            return True
        if self.inbuf.startswith(PREFACE):
            self.inbuf = self.inbuf[len(PREFACE) :]
            self.out += frame(SETTINGS, 0, 0, struct.pack(">HI", 3, 100))
        while len(self.inbuf) >= 9 and not self.inbuf.startswith(b"PRI"):
            size = int.from_bytes(self.inbuf[:3], "big")
            if len(self.inbuf) < 9 + size:
                break
            kind, flags, stream = struct.unpack(">BBI", self.inbuf[3:9])
            payload, self.inbuf = self.inbuf[9 : 9 + size], self.inbuf[9 + size :]
            self.on_frame(kind, flags, stream, payload)
        return True

    def http1(self):
        while b"\r\n\r\n" in self.inbuf:
            self.inbuf = self.inbuf.split(b"\r\n\r\n", 1)[1]
            count["requests"] += 1
            count["http1"] += 1
            if mode == "hold":
                continue
            self.out += b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"

    def on_frame(self, kind, flags, stream, payload):
        if kind == SETTINGS and not flags & ACK:
            for i in range(0, len(payload), 6):
                name, value = struct.unpack(">HI", payload[i : i + 6])
                if name == 4:
                    for s in self.streams.values():
                        s[0] += value - self.initial
                    self.initial = value
            self.out += frame(SETTINGS, ACK, 0)
        elif kind == PING and not flags & ACK:
            self.out += frame(PING, ACK, 0, payload)
        elif kind == WINDOW_UPDATE:
            (n,) = struct.unpack(">I", payload)
            if stream == 0:
                self.window += n
            elif stream in self.streams:
                self.streams[stream][0] += n
        elif kind == RST_STREAM:
            count["resets"] += 1
            self.streams.pop(stream, None)
        elif kind == HEADERS and stream > self.last:
            self.last = stream
            count["requests"] += 1
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            self.request(stream)

    def request(self, stream):
        self.streams[stream] = [self.initial, 0]
        if mode == "answer":
            self.out += frame(HEADERS, END_HEADERS, stream, STATUS_200)
            self.out += frame(DATA, END_STREAM, stream, b"body")
            del self.streams[stream]
        elif mode == "hold":  # the head, and the body when it is told to
            self.out += frame(HEADERS, END_HEADERS, stream, STATUS_200)
        elif mode == "big":
            self.out += frame(HEADERS, END_HEADERS, stream, STATUS_200)
            self.streams[stream][1] = BIG
        elif mode == "refuse":
            self.out += frame(RST_STREAM, 0, stream, struct.pack(">I", REFUSED_STREAM))
        elif mode == "http1":
            self.out += frame(RST_STREAM, 0, stream, struct.pack(">I", HTTP_1_1_REQUIRED))
        elif mode == "goaway":  # this request was not looked at
            self.out += frame(GOAWAY, 0, 0, struct.pack(">II", stream - 2 if stream > 1 else 0, NO_ERROR))
        elif mode == "cut":
            self.closing = True

    def abort(self):
        for stream in self.streams:
            self.out += frame(RST_STREAM, 0, stream, struct.pack(">I", INTERNAL_ERROR))
        self.streams = {}
        self.on_event()

    def finish(self):
        for stream in self.streams:
            self.out += frame(DATA, END_STREAM, stream, b"body")
        self.streams = {}
        self.on_event()

    def goaway(self):
        self.out += frame(GOAWAY, 0, 0, struct.pack(">II", self.last, NO_ERROR))
        self.on_event()

    # ---- what goes ----

    def pump(self):
        for stream, s in list(self.streams.items()):
            while s[1] > 0 and len(self.out) < 1 << 18:
                n = min(len(PIECE), s[0], self.window, s[1])
                if n <= 0:
                    break
                s[0] -= n
                s[1] -= n
                self.window -= n
                self.out += frame(DATA, 0 if s[1] else END_STREAM, stream, PIECE[:n])

    def write(self):
        self.pump()
        while self.out:
            n = self.sock.send(self.out[:65536])
            del self.out[:n]
            self.pump()
        if self.closing:
            self.close()
        else:
            self.watch()

    def watch(self):
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.out else 0)
        self.selector.modify(self.sock, events, self)


def make_certificate(folder):
    path = os.path.join(folder, "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path, "-out", path + ".crt"],
        check=True, capture_output=True,
    )
    return path


def obey(line, context, connections):
    global mode
    if line.startswith("mode "):
        mode = line[5:]
    elif line == "http1":
        context.set_alpn_protocols(["http/1.1"])
    elif line == "count":
        return " ".join(str(n) for n in count.values())
    else:
        for c in connections:
            getattr(c, line)()
    return "ok"


def main():
    selector = selectors.DefaultSelector()
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    connections = []
    with tempfile.TemporaryDirectory() as folder:
        path = make_certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path + ".crt", path)
        context.set_alpn_protocols(["h2", "http/1.1"])
        selector.register(listener, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        print(listener.getsockname()[1], path + ".crt", flush=True)
        while True:
            for key, _ in selector.select():
                if key.fileobj is listener:
                    connections.append(Connection(selector, listener.accept()[0], context))
                elif key.fileobj is sys.stdin:
                    line = sys.stdin.readline()
                    if not line:
                        return
                    print(obey(line.strip(), context, [c for c in connections if c.sock]), flush=True)
                elif key.data.sock:
                    key.data.on_event()


main()
