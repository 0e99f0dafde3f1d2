#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""contrib/quickstart with what is built here: each walk holds what it says, and nothing of it is left."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import BUILD, PATIENCE, SOURCE, Tap  # noqa: E402


def run(stack, *options):
    """What it says; nothing may be left in the folder for temporary files, nor any process of it."""
    script = SOURCE / "contrib/quickstart"
    folder = stack.enter_context(tempfile.TemporaryDirectory(dir="/tmp"))
    done = subprocess.run([script, "--no-install", "--built", BUILD, *options], env={**os.environ, "TMPDIR": folder}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=4 * PATIENCE, check=False)
    assert not list(pathlib.Path(folder).iterdir()), list(pathlib.Path(folder).iterdir())
    for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert folder.encode() not in entry.read_bytes(), entry
        except OSError:
            pass
    return done


def shown(done, *claims):
    assert done.returncode == 0, done.stdout
    assert re.search(r"^Shown in \d+ s, \d+ checks, none failed: ", done.stdout, re.M), done.stdout
    for claim in claims:
        assert f"ok  {claim}" in done.stdout, (claim, done.stdout)


def a_person_logs_in_and_a_tool_is_called(stack):
    shown(run(stack, "--shapes=today"), "mcp-add has succeeded", "the tool has answered", "the issuer was asked for it once")


def a_person_logs_in_in_the_shapes_of_early_articles(stack):
    shown(run(stack, "--shapes", "article"), "its scheme is MCP, as in the articles", "the tool has answered")


# A174 A195
def a_workload_shows_its_token_and_another_one_is_refused(stack):
    shown(run(stack, "--workload"), "it names namespace and service account", "the tool has answered",
          "the server knows for whom: the service account", "one request more, with the cluster's token of now",
          "it is the issuer's policy", "what was refused is not asked again: one request")


def what_does_not_hold_ends_it_with_a_status_and_the_reason(stack):
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
    for entry in BUILD.iterdir():
        (folder / entry.name).symlink_to(entry)
    (folder / "mcp-brokerd").unlink()
    (folder / "mcp-brokerd").symlink_to("/bin/false")
    done = subprocess.run([SOURCE / "contrib/quickstart", "--no-install", "--built", folder, "--workload"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=4 * PATIENCE, check=False)
    assert done.returncode == 1 and "NOT AS EXPECTED" in done.stderr, done
    assert subprocess.run([SOURCE / "contrib/quickstart", "--built", "/nowhere"], capture_output=True, check=False).returncode == 2


if __name__ == "__main__":
    sys.exit(Tap().run([
        a_person_logs_in_and_a_tool_is_called,
        a_person_logs_in_in_the_shapes_of_early_articles,
        a_workload_shows_its_token_and_another_one_is_refused,
        what_does_not_hold_ends_it_with_a_status_and_the_reason,
    ]))
