// SPDX-License-Identifier: Apache-2.0
// An MCP client by the official SDK that starts its server and speaks to it by stdin and stdout: lists the tools, calls one, and
// prints what came back. Of the environment its server gets what the SDK finds safe, and MCP_BROKER_SOCK if it is set.
//
//   node host.mjs v1|v2|modern COMMAND [ARGUMENT]...
//
// v1 and v2 are the versions of the SDK; modern is the second with protocol 2026-07-28 and no other. The tool is called
// again for each line of stdin.
import { createInterface } from 'node:readline';
import { Client as Client2 } from '@modelcontextprotocol/client';
import { StdioClientTransport as Transport2 } from '@modelcontextprotocol/client/stdio';
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as Transport1 } from '@modelcontextprotocol/sdk/client/stdio.js';

const KINDS = {
        v1: [Client1, Transport1, {}],
        v2: [Client2, Transport2, {}],
        modern: [Client2, Transport2, { versionNegotiation: { mode: { pin: '2026-07-28' } } }],
};

const [kind, command, ...args] = process.argv.slice(2);
const [Client, Transport, options] = KINDS[kind];
const { MCP_BROKER_SOCK } = process.env;
const client = new Client({ name: 'peer-host', version: '1.0.0' }, options);
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

async function whoami() {
        const { content } = await client.callTool({ name: 'whoami' });
        return JSON.parse(content[0].text);
}

try {
        await client.connect(new Transport({ command, args, stderr: 'inherit', ...(MCP_BROKER_SOCK && { env: { MCP_BROKER_SOCK } }) }));
        const { tools } = await client.listTools();
        say({ tools: tools.map((tool) => tool.name), server: client.getServerVersion().name, whoami: await whoami() });
        for await (const _ of createInterface({ input: process.stdin })) say({ whoami: await whoami() });
        await client.close();
} catch (error) {
        say({ error: error.message, code: error.code });
        process.exitCode = 1;
}
