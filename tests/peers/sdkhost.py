# SPDX-License-Identifier: Apache-2.0
"""host.mjs, which is the SDK's client, with mcp-connect as the server that it starts."""
import json
import subprocess

from harness import PATIENCE, program


class SdkHost:
    def __init__(self, stack, stage, broker, kind, url, *options):
        self.log = stage.logs / ("host-%s.log" % kind)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [stage.node, str(stage.peers / "host.mjs"), kind, program("mcp-connect"), *options, url], text=True,
                env={**stage.env, "MCP_BROKER_SOCK": str(broker.socket)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        stack.callback(self.end)

    def said(self):
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        return json.loads(line)

    def whoami(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.said()

    def end(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()
        assert self.process.returncode == 0, self.log.read_text()
