// SPDX-License-Identifier: Apache-2.0
// An MCP client by the official SDK that knows no OAuth: it takes one header line from stdin, such as mcp-token prints, lists
// the tools, calls one and prints what came back.
//
//   mcp-token --header-line NAME | node client.mjs URL
import { text } from 'node:stream/consumers';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const [, name, value] = /^([^:]+): (.*)\n$/.exec(await text(process.stdin));
const transport = new StreamableHTTPClientTransport(new URL(process.argv[2]), { requestInit: { headers: { [name]: value } } });
const client = new Client({ name: 'peer-client', version: '1.0.0' });

try {
        await client.connect(transport);
        const { tools } = await client.listTools();
        const { content } = await client.callTool({ name: 'whoami' });
        process.stdout.write(`${JSON.stringify({ tools: tools.map((tool) => tool.name), whoami: JSON.parse(content[0].text) })}\n`);
        await client.close();
} catch (error) {
        process.stdout.write(`${JSON.stringify({ error: error.message, code: error.code })}\n`);
        process.exitCode = 1;
}
