# SPDX-License-Identifier: Apache-2.0
"""The peers: an issuer, an MCP server, the SDK's client and a person at Chromium, all of them Node programs of this folder.

They run from a folder of the build that holds their packages, for a module is looked for beside the program that needs it.
"""
import base64
import http.client
import json
import os
import pathlib
import secrets
import shlex
import shutil
import subprocess
import tempfile
import urllib.parse

from harness import PATIENCE, until

HERE = pathlib.Path(__file__).resolve().parent
PROGRAMS = ("common", "issuer", "workloads", "exchange", "server", "bound", "client", "host", "person")


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)


def request(method, url, body=None, headers=None):
    u = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(u.hostname, u.port, timeout=PATIENCE)
    try:
        connection.request(method, u.path + ("?" + u.query if u.query else ""), body=body, headers=headers or {})
        r = connection.getresponse()
        return Answer(r.status, r.headers, r.read())
    finally:
        connection.close()


def post_form(url, fields, headers=None):
    return request("POST", url, urllib.parse.urlencode(fields),
                   {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})})


def copy_whole(file, folder):
    """Another test may be starting what is there."""
    new = folder / ("%s.%d" % (file.name, os.getpid()))
    shutil.copy(file, new)
    new.rename(folder / file.name)


class Node:
    """A program that says where it listens in its first line, and ends when its stdin does."""

    def __init__(self, stage, program, *arguments, env=None):
        self.log = open(stage.logs / (program + ".log"), "wb")
        self.process = subprocess.Popen([stage.node, str(stage.peers / (program + ".mjs")), *arguments],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
                                        env={**stage.env, **(env or {})}, text=True)
        line = self.process.stdout.readline()
        if not line:
            self.end()
            raise RuntimeError("%s did not start: see %s" % (program, self.log.name))
        self.said = json.loads(line)

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()


class Journal:
    """What a peer has seen: since the beginning, or since the last look."""

    def __init__(self, origin):
        self.url = origin + "/control/journal"
        self.seen = 0

    def new(self):
        entries = request("GET", self.url).json[self.seen:]
        self.seen += len(entries)
        return entries


def granted(entries, grant_type):
    """The token requests of this type that the issuer granted."""
    return [e for e in entries if e["event"] == "token" and e.get("grant_type") == grant_type and e["status"] == 200]


def count(entries, event):
    return sum(e["event"] == event for e in entries)


class Stage:
    """Issuer and server for the whole run; persons as they are needed. @extensions: see issuer.mjs."""

    def __init__(self, stack, peers, logs, extensions=None):
        self.stack = stack
        self.peers, self.logs = pathlib.Path(peers), pathlib.Path(logs)
        self.logs.mkdir(parents=True, exist_ok=True)
        for program in PROGRAMS:
            copy_whole(HERE / (program + ".mjs"), self.peers)
        # npm has one for x64 and arm64; old versions of it make no links to what such packages bring.
        ours = next(self.peers.glob("node_modules/node-linux-*/bin/node"), None)
        self.node = str(ours) if ours else shutil.which("node")
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="mcpb-peers-"))
        stack.callback(shutil.rmtree, self.work, ignore_errors=True)
        self.env = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "LC_ALL")}
        self.env.update({"HOME": str(self.work), "XDG_CONFIG_HOME": str(self.work), "XDG_CACHE_HOME": str(self.work)})
        self.user, self.password = "alice", secrets.token_urlsafe(12)
        self.n_persons = 0

        issuer = Node(self, "issuer", "--user", self.user, "--password", self.password,
                      env={"EXTENSIONS": json.dumps(extensions)} if extensions else None)
        stack.callback(issuer.end)
        self.issuer, self.introspection = issuer.said["issuer"], issuer.said["introspection"]
        server = Node(self, "server", env={"ISSUER": json.dumps(issuer.said)})
        stack.callback(server.end)
        self.mcp, self.jwt, self.modern, self.bound = (server.said[name] for name in ("mcp", "jwt", "modern", "bound"))
        self.at_issuer, self.at_server = Journal(self.issuer), Journal(self.mcp.rsplit("/", 1)[0])

    def access_tokens_live(self, seconds):
        """From now on."""
        request("POST", "%s/control/ttl?seconds=%d" % (self.issuer, seconds))

    def put_clock_ahead(self, seconds):
        """The issuer's, of everybody's."""
        request("POST", "%s/control/clock?seconds=%d" % (self.issuer, seconds))

    def trust(self, issuer, client):
        """The identity provider knows @client of another authorization server from now on."""
        request("POST", self.issuer + "/control/audience?" + urllib.parse.urlencode({"issuer": issuer, "client": client}))

    def renew_nonce(self, each=False):
        """The server wants another one in proofs from now on; with @each, in each."""
        request("POST", urllib.parse.urljoin(self.mcp, "/control/nonce" + ("?each=1" if each else "")))

    def refuse_tokens(self):
        """The server no longer takes the opaque tokens that it has seen; the issuer knows nothing of that."""
        request("POST", urllib.parse.urljoin(self.mcp, "/control/refuse"))

    def refresh_tokens(self):
        """Every refresh token that the issuer ever gave out."""
        return request("GET", self.issuer + "/control/refresh-tokens").json

    def is_active(self, token):
        """What the issuer says to the MCP server about it."""
        text = "%s:%s" % (self.introspection["client_id"], self.introspection["client_secret"])
        answer = post_form(self.introspection["endpoint"], {"token": token},
                           {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()})
        assert answer.status == 200, answer.body
        return answer.json["active"]

    def sdk_client(self, url, header_line):
        """Lists the tools and calls one, by the SDK's own client with this header and nothing else."""
        run = subprocess.run([self.node, str(self.peers / "client.mjs"), url], input=header_line, env=self.env, text=True,
                             stdout=subprocess.PIPE, timeout=PATIENCE, check=False)
        return json.loads(run.stdout)

    def log_in(self, broker, url, screenshot=None):
        person = self.person("allow", screenshot)
        result = broker.run("mcp-add", url, env=person.env)
        assert result.returncode == 0, (result, person.said(), broker.log())
        until("the person has read the page", person.is_back)
        assert person.report["problems"] == [], person.report
        return person

    def person(self, does, screenshot=None, password=None, code=None):
        self.n_persons += 1
        return Person(self, does, screenshot, password or self.password, code)


class Person:
    """A program for $BROWSER, with what it is to do written into it."""

    def __init__(self, stage, does, screenshot, password, code):
        base = stage.work / ("person-%d" % stage.n_persons)
        self.report_file = base.with_suffix(".json")
        self.pid_file = base.with_suffix(".pid")
        self.log_file = stage.logs / (base.name + ".log")
        wishes = {"user": stage.user, "password": password, "does": does, "report": str(self.report_file),
                  "profile": str(base.with_suffix(".profile")), "screenshot": screenshot and str(screenshot), "code": code}
        base.with_suffix(".wishes").write_text(json.dumps(wishes))
        paths = (base.with_suffix(".wishes"), stage.node, stage.peers / "person.mjs", self.log_file, self.pid_file)
        self.browser = base.with_suffix(".sh")
        self.browser.write_text("#!/bin/sh\nPERSON=%s; NODE=%s; PROGRAM=%s; LOG=%s; PID=%s\nexport PERSON\n"
                                "echo $$ >\"$PID\"\nexec \"$NODE\" \"$PROGRAM\" \"$@\" >\"$LOG\" 2>&1\n"
                                % tuple(shlex.quote(str(p)) for p in paths))
        self.browser.chmod(0o700)

    @property
    def env(self):
        return {"BROWSER": str(self.browser)}

    def go(self, url):
        """To this address, by themselves, on whatever machine."""
        subprocess.run([str(self.browser), url], stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False)
        return self.report

    def is_back(self):
        return self.report_file.exists()

    @property
    def report(self):
        return json.loads(self.report_file.read_text())

    def said(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else "never started"
