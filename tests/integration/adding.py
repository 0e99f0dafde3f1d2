#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Servers that need no person, added by mcp-add: it ends with the token there, or with the reason, and nobody adds them twice."""

import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import SOURCE, Broker, Demo, Rpc, Tap, mcp_call  # noqa: E402

sys.path.insert(0, str(SOURCE / "contrib/demo"))
import workload  # noqa: E402

SECRET = "planted-added-secret-77aa"


def private(broker, name, text):
    path = broker.dir / name
    path.write_text(text)
    path.chmod(0o600)
    return path


def add(broker, demo, *options, check=0):
    """Without anything of a person's: no browser, no terminal."""
    return broker.run("mcp-add", demo.mcp, *options, check=check)


def works(broker, demo):
    assert mcp_call(demo.mcp, broker.token(demo.mcp))[0] == 200


def still_needs_nobody(broker, demo):
    """A new process gets another token by what the store says."""
    before = broker.token(demo.mcp)
    broker.stop()
    broker.start()
    rpc = Rpc(broker.socket)
    rpc.call("token.reject", server=demo.mcp, token_id=rpc.call("token.get", server=demo.mcp)["token_id"])
    rpc.close()
    assert broker.token(demo.mcp) != before
    works(broker, demo)


# S1
def is_nowhere(broker, *secrets):
    """Neither in what the programs say nor in what the daemon leaves behind."""
    said = broker.log() + broker.run("mcp-list", "--json", check=0).stdout
    for folder, _, names in os.walk(broker.state):
        for name in names:
            with open(os.path.join(folder, name), "rb") as f:
                said += f.read().decode("latin-1")
    for secret in secrets:
        assert secret not in said, secret


def a_client_with_a_secret_is_added_and_has_a_token(stack):
    demo = Demo(stack, "--client", f"bot:{SECRET}")
    broker = Broker(stack)
    client = ("--present=client-credentials", f"--issuer={demo.issuer}", "--client-id=bot")
    wrong = add(broker, demo, *client, f"--client-secret-file={private(broker, 'wrong', 'wrong')}", check=None)
    assert wrong.returncode != 0 and "invalid_client" in wrong.stderr, wrong
    assert broker.servers()[0]["state"] == "error"
    right = add(broker, demo, *client, f"--client-secret-file={private(broker, 'right', SECRET)}")
    assert "Logged in" in right.stderr and "browser" not in right.stderr, right.stderr
    works(broker, demo)
    assert broker.servers()[0]["present"] == "client-credentials"
    # Another way is another login, which nobody has been asked about.
    assert "mcp-add -d" in add(broker, demo, "--present=auto", check=9).stderr
    still_needs_nobody(broker, demo)
    is_nowhere(broker, SECRET)


def a_client_with_a_key_is_added_and_has_a_token(stack):
    key = workload.Key("ES256")
    keys = os.path.join(stack.enter_context(tempfile.TemporaryDirectory()), "jwks")
    with open(keys, "w", encoding="utf-8") as f:
        json.dump(key.jwks(), f)
    demo = Demo(stack, f"--client-key=bot={keys}")
    broker = Broker(stack)
    pem = key.pem.decode()
    add(broker, demo, f"--issuer={demo.issuer}", "--client-id=bot", f"--client-key-file={private(broker, 'key', pem)}",
        f"--client-key-id={key.kid}", "--signing-alg=ES256", "--present=private-key-jwt")
    works(broker, demo)
    shown = broker.servers()[0]
    assert shown["client_key_id"] == key.kid and shown["signing_alg"] == "ES256", shown
    still_needs_nobody(broker, demo)
    is_nowhere(broker, *pem.splitlines()[1:-1])


def a_workload_is_added_and_has_a_token(stack):
    key = workload.Key()
    keys = os.path.join(stack.enter_context(tempfile.TemporaryDirectory()), "jwks")
    with open(keys, "w", encoding="utf-8") as f:
        json.dump(key.jwks(), f)
    demo = Demo(stack, f"--workload-issuer={workload.ISSUER}={keys}", "--workload-allow=tools/agent=tools:generate_summary")
    broker = Broker(stack)
    token = private(broker, "token", key.sign(workload.account_claims(demo.issuer, "tools")))
    add(broker, demo, f"--identity=file:path={token}", "--scope=tools:generate_summary", "--extra=tenant=a b", "--extra=region=x")
    works(broker, demo)
    shown = json.loads(broker.run("mcp-list", "--json", demo.mcp, check=0).stdout)["server"]
    assert shown["present"] == "auto" and shown["identity"] == f"file:path={token}", shown
    assert shown["extra"] == {"region": "x", "tenant": "a b"}, shown
    still_needs_nobody(broker, demo)
    is_nowhere(broker, token.read_text())


def what_cannot_be_is_said_at_once_and_leaves_nothing(stack):
    demo = Demo(stack)
    broker = Broker(stack)
    secret = private(broker, "secret", SECRET)
    for options, reason in ((("--present=jwt-bearer",), "--present=jwt-bearer needs --identity"),
                            (("--present=bearer",), "--present is one of"),
                            (("--identity=exec:/bin/true",), "in a file only"),
                            (("--identity=k8s", "--profile=openai"), "identity_provider_id"),
                            (("--extra=nothing",), "NAME=VALUE"),
                            (("--identity=k8s", "--extra=a=1", "--extra=a=2"), "each name stands once"),
                            ((f"--client-secret-file={secret}", f"--client-key-file={secret}"), "choose one of"),
                            ((f"--client-key-file={broker.dir}/none",), "No such file")):
        assert reason in add(broker, demo, *options, check=2).stderr, options
    assert broker.servers() == []
    assert demo.stats()["requests"].get("mcp", 0) == 0


if __name__ == "__main__":
    sys.exit(Tap().run([
        a_client_with_a_secret_is_added_and_has_a_token,
        a_client_with_a_key_is_added_and_has_a_token,
        a_workload_is_added_and_has_a_token,
        what_cannot_be_is_said_at_once_and_leaves_nothing,
    ]))
