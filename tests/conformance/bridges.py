# SPDX-License-Identifier: Apache-2.0
"""The bridges that can be tried, each configured as its user would: the server declared, credentials in files, a browser.

Each gives a command and an environment, in a private world of its own: ports come back with another issuer behind them.
"""
import json
import os
import pathlib
import shlex
import shutil
import tempfile
import urllib.parse
import urllib.request

from harness import BUILD, Broker

CLIENT_METADATA = "https://conformance-test.local/client-metadata.json"  # the suite's own; nobody fetches it
BROWSERS = ("xdg-open", "x-www-browser", "www-browser", "sensible-browser")
NAME = "conformance"


def person(folder, seconds, log):
    """A browser whose person takes so many seconds, under every name by which one is looked for; the folder it is in.

    Not Python: with 0 seconds it has to be back sooner than a bridge can open a listener that it has put off.
    """
    here = folder / "browsers"
    here.mkdir()
    wait = f"sleep {seconds}\n" if seconds else ""
    told = "--write-out '%{http_code} %{url_effective}\\n'"
    for name in BROWSERS:
        (here / name).write_text(f"#!/bin/sh\nexec >>{shlex.quote(str(log))} 2>&1\n{wait}"
                                 f"exec curl -sSL --noproxy '*' --max-time 60 {told} \"$1\"\n")
        (here / name).chmod(0o755)
    return here


def issuer_of(url):
    """Whoever has credentials knows whose they are. The stable suite does not say it, so it is looked up."""
    u = urllib.parse.urlsplit(url)
    with urllib.request.urlopen(f"{u.scheme}://{u.netloc}/.well-known/oauth-protected-resource{u.path}", timeout=20) as f:
        return json.load(f)["authorization_servers"][0]


def browser_env(here, path):
    return {"BROWSER": str(here / "xdg-open"), "PATH": f"{here}:{path}"}


class Connect:
    """mcp-connect, and a mcp-brokerd that the server has been declared to."""

    def __init__(self, stack, play, url, context):
        self.broker = Broker(stack, start=False)
        self.scenario = play["scenario"]
        servers = self.broker.dir / "config/servers.d"
        servers.mkdir(mode=0o700)
        (servers / f"{NAME}.conf").write_text(
            "[Server]\n" + "".join(f"{key}={value}\n" for key, value in self.declaration(url, context)))
        self.broker.start()
        play["started"](self.broker.process.pid)
        self.person_log = self.broker.dir / "person.log"
        here = person(self.broker.dir, play["person_seconds"], self.person_log)
        self.env = {**self.broker.env, **browser_env(here, self.broker.env["PATH"])}
        self.command = [*play["bridge"], NAME]
        if play["host"] == "legacy" and play["version"] == "2026-07-28":
            self.command.insert(-1, "--protocol=modern-first")

    def declaration(self, url, context):
        """What an administrator would write, of what the suite says that one knows."""
        yield "URL", url
        if "valid_jwt" in context:  # what the platform has put there; the client id is for others
            yield "Identity", f"file:path={self.secret('identity', context['valid_jwt'])}"
            yield "Present", "jwt-bearer"
            return
        if "client_id" not in context:
            yield "ClientMetadataUrl", CLIENT_METADATA
            return
        yield "ClientId", context["client_id"]
        yield "Issuer", context.get("issuer") or issuer_of(url)
        if "client_secret" in context:
            yield "ClientSecretFile", self.secret("client-secret", context["client_secret"])
        if "private_key_pem" in context:
            yield "ClientKeyFile", self.secret("client-key", context["private_key_pem"])
            yield "SigningAlgorithm", context["signing_algorithm"]
            yield "Present", "private-key-jwt"
        elif "idp_token_endpoint" in context:
            yield "Identity", f"file:path={self.secret('id-token', context['idp_id_token'])}"
            yield "IdpTokenEndpoint", context["idp_token_endpoint"]
            yield "IdpClientId", context["idp_client_id"]
            yield "Present", "id-jag"
        elif self.scenario.startswith("auth/client-credentials-"):
            yield "Present", "client-credentials"

    def secret(self, name, text):
        path = self.broker.dir / "config" / name
        path.touch(0o600)
        path.write_text(text + "\n")
        return path

    def end(self):
        status = self.broker.stop()
        return [] if status == 0 else [f"the daemon ended with {status}"]

    def logs(self):
        return {"mcp-brokerd": self.broker.log(), "browser": read_if_there(self.person_log)}


class Plain:
    """Any other bridge: it is given the URL, and a home of its own."""

    def __init__(self, stack, play, url, _context):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="mcpb-"))
        stack.callback(shutil.rmtree, self.dir, ignore_errors=True)
        (self.dir / "run").mkdir(mode=0o700)
        self.person_log = self.dir / "person.log"
        here = person(self.dir, play["person_seconds"], self.person_log)
        path = os.environ["PATH"]
        self.env = {"HOME": str(self.dir), "XDG_RUNTIME_DIR": str(self.dir / "run"), "LANG": "C.UTF-8",
                    **browser_env(here, path)}
        self.command = [*play["bridge"], url]

    def end(self):
        return []

    def logs(self):
        return {"browser": read_if_there(self.person_log)}


class McpRemote(Plain):
    """The npm package, told what it can be told: only what it was given, or (@best) all of its options that help."""

    def __init__(self, stack, play, url, context):
        super().__init__(stack, play, url, context)
        package = BUILD / "conformance/mcp-remote/node_modules"
        self.env["MCP_REMOTE_CONFIG_DIR"] = str(self.dir / "auth")
        self.command = [play["node"], str(package / "mcp-remote/dist/proxy.js"), url, *play["bridge"][1:]]
        if play["best"]:
            self.command += ["--client-metadata-url", CLIENT_METADATA]
            if play["version"] == "2026-07-28":
                self.command += ["--protocol", "auto"]
        if "client_id" in context:
            client = {key: context[key] for key in ("client_id", "client_secret") if key in context}
            self.command += ["--static-oauth-client-info", json.dumps(client)]
        if play["scenario"].startswith("auth/client-credentials-"):
            self.command.append("--client-credentials")


def read_if_there(path):
    return path.read_text(errors="replace") if path.exists() else ""


KINDS = {"mcp-connect": Connect, "mcp-remote": McpRemote, "plain": Plain}
