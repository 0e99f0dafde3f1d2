#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mcp-brokerctl doctor: what the surroundings of the daemon offer, and what is missing. Speaks TAP."""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import Broker, Tap  # noqa: E402

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2lnbmF0dXJl"


def offered(broker):
    shown = json.loads(broker.run("mcp-brokerctl", "doctor", "--json", check=0).stdout)
    assert shown["format"] == 1
    # What this machine itself is does not come from the environment.
    return {i["provider"]: i for i in shown["identities"] if not i["because"].startswith("/")}


def a_job_without_the_permission_is_told_what_it_lacks(stack):
    broker = Broker(stack, env={"GITHUB_ACTIONS": "true"})
    found = offered(broker)
    assert set(found) == {"github"}, found
    assert found["github"]["missing"] == ["ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"], found
    text = broker.run("mcp-brokerctl", "doctor", check=0).stdout
    for says in ("github", "GitHub Actions (GITHUB_ACTIONS)", "missing: ACTIONS_ID_TOKEN_REQUEST_URL, ", "id-token: write"):
        assert says in text, (says, text)


# S1
def the_environment_is_the_daemons_and_no_value_of_it_is_said(stack):
    broker = Broker(stack, env={"MINE": TOKEN, "AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_ACCESS_KEY_ID": "hunter2",
                                "AWS_SECRET_ACCESS_KEY": "hunter3"})
    shown = broker.run("mcp-brokerctl", "doctor", "--json", env={"GITHUB_ACTIONS": "true", "K_SERVICE": "x"}, check=0).stdout
    assert set(offered(broker)) == {"aws-wit", "env:MINE"}, shown
    status = broker.run("mcp-brokerctl", "status", "--json", check=0).stdout
    for secret in (TOKEN, TOKEN.split(".")[1], "hunter2", "hunter3"):
        assert secret not in shown + status + broker.log(), secret


def where_nothing_is_offered_it_says_so(stack):
    broker = Broker(stack)
    assert offered(broker) == {}
    here = json.loads(broker.run("mcp-brokerctl", "doctor", "--json", check=0).stdout)["identities"]
    text = broker.run("mcp-brokerctl", "doctor", check=0).stdout
    assert ("Nothing here offers an identity" in text) == (not here), text


TESTS = [
    a_job_without_the_permission_is_told_what_it_lacks,
    the_environment_is_the_daemons_and_no_value_of_it_is_said,
    where_nothing_is_offered_it_says_so,
]

if __name__ == "__main__":
    sys.exit(Tap().run(TESTS))
