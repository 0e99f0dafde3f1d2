// SPDX-License-Identifier: Apache-2.0
// What the programs of this folder share: they listen on a free port of 127.0.0.1, say where in one line of JSON on stdout,
// keep a journal that a test can read, and end with whoever started them.
import http from 'node:http';

export const listen = (app) =>
        new Promise((resolve, reject) => {
                const server = http.createServer(app);
                server.once('error', reject);
                server.listen(0, '127.0.0.1', () => resolve({ server, origin: `http://127.0.0.1:${server.address().port}` }));
        });

export const announce = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

// Whoever started us holds the other end of stdin.
export function endWithParent() {
        process.stdin.on('end', () => process.exit(0));
        process.stdin.on('error', () => process.exit(0));
        process.stdin.resume();
}

export class Journal {
        #entries = [];

        add(event, fields = {}) {
                const kept = Object.entries(fields).filter(([, value]) => value !== undefined);
                this.#entries.push({ event, ...Object.fromEntries(kept) });
        }

        routes(app) {
                app.get('/control/journal', (req, res) => res.json(this.#entries));
        }
}

export const escapeHtml = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
