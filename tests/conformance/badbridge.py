# SPDX-License-Identifier: Apache-2.0
"""badbridge.py FAULT URL: a bridge for one JSON answer a request, with one fault that the runner has to find out."""
import http.client
import json
import subprocess
import sys
import threading
import urllib.parse

FAULT, URL = sys.argv[1], urllib.parse.urlsplit(sys.argv[2])


def relay(line):
    connection = http.client.HTTPConnection(URL.hostname, URL.port, timeout=20)
    connection.request("POST", URL.path or "/", line, {"Content-Type": "application/json",
                                                       "Accept": "application/json, text/event-stream"})
    body = connection.getresponse().read()
    connection.close()
    if body and b'"id"' in body:
        sys.stdout.write(json.dumps(json.loads(body)) + "\n")
        sys.stdout.flush()


def main():
    if FAULT == "mute":
        return
    if FAULT == "chatty":
        print("Connecting...", flush=True)
    if FAULT == "forger":
        print('{"jsonrpc":"2.0","id":4711,"result":{}}', flush=True)
    if FAULT == "parting":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdin=subprocess.DEVNULL)
    for line in sys.stdin:
        relay(line.encode())
    if FAULT == "lingering":
        threading.Event().wait()


main()
