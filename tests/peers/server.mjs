// SPDX-License-Identifier: Apache-2.0
// An MCP server by the official SDK, with the SDK's own metadata router and bearer check, and four resources:
//   /mcp     opaque access tokens, asked of the issuer by introspection
//   /jwt     access tokens in JWT form, checked with the issuer's published keys
//   /modern  protocol 2026-07-28 and no other, by the second version of the SDK; opaque access tokens
//   /bound   opaque access tokens that are bound to a key, each request with a proof: see bound.mjs
//
//   ISSUER='{what issuer.mjs printed}' node server.mjs
//
// On stdout one line: {"mcp": URL, "jwt": URL, "modern": URL, "bound": URL}. GET /control/journal tells what came, without the
// tokens; POST /control/refuse makes it refuse the opaque tokens that it has seen, whatever the issuer says of them;
// POST /control/nonce gives it another nonce, and the old one is no good any more; with ?each=1 each answer brings another.
import { toNodeHandler } from '@modelcontextprotocol/node';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js';
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js';
import { getOAuthProtectedResourceMetadataUrl, mcpAuthMetadataRouter } from '@modelcontextprotocol/sdk/server/auth/router.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { createMcpHandler, McpServer as ModernServer } from '@modelcontextprotocol/server';
import express from 'express';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { boundResource } from './bound.mjs';
import { announce, endWithParent, Journal, listen } from './common.mjs';

const SCOPES = ['tools:read', 'tools:call'];

const { issuer, introspection } = JSON.parse(process.env.ISSUER);
const journal = new Journal();
const seen = new Set();
const refused = new Set();

// --- whose token is it? ------------------------------------------------------------------------------------------------

const authInfo = (token, claims) => ({
        token,
        clientId: claims.client_id,
        scopes: (claims.scope ?? '').split(' ').filter(Boolean),
        expiresAt: claims.exp,
        resource: new URL(claims.aud),
        extra: { sub: claims.sub, jkt: claims.cnf?.jkt },
});

async function introspect(token) {
        const basic = Buffer.from(`${introspection.client_id}:${introspection.client_secret}`).toString('base64');
        const response = await fetch(introspection.endpoint, {
                method: 'POST',
                headers: { authorization: `Basic ${basic}` },
                body: new URLSearchParams({ token }),
        });
        const claims = await response.json();
        seen.add(token);
        if (refused.has(token)) throw new InvalidTokenError('The server says: no longer');
        if (!response.ok || !claims.active) throw new InvalidTokenError('The issuer says: not active');
        return authInfo(token, claims);
}

function jwtVerifier(metadata, resource) {
        const keys = createRemoteJWKSet(new URL(metadata.jwks_uri));
        return async (token) => {
                try {
                        const wanted = { issuer, audience: resource, typ: 'at+jwt', algorithms: ['ES256'] };
                        return authInfo(token, (await jwtVerify(token, keys, wanted)).payload);
                } catch (error) {
                        throw new InvalidTokenError(`Not a good JWT: ${error.code ?? error.message}`);
                }
        };
}

// --- the MCP side --------------------------------------------------------------------------------------------------------

const whoami = (who) => ({
        content: [{
                type: 'text',
                text: JSON.stringify({ sub: who.extra.sub, client: who.clientId, scopes: who.scopes, resource: who.resource }),
        }],
});
const ABOUT = [{ name: 'peer', version: '1.0.0' }];
const WHOAMI = ['whoami', { description: 'Who the access token says you are' }];

function mcpServer() {
        const server = new McpServer(...ABOUT);
        server.registerTool(...WHOAMI, ({ authInfo }) => whoami(authInfo));
        return server;
}

function modernServer() {
        const server = new ModernServer(...ABOUT);
        server.registerTool(...WHOAMI, (context) => whoami(context.http.authInfo));
        return server;
}

async function serveMcp(req, res) {
        const server = mcpServer();
        const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse: true });
        res.on('close', () => {
                transport.close();
                server.close();
        });
        await server.connect(transport);
        await transport.handleRequest(req, res, req.body);
}

const modernHandler = toNodeHandler(createMcpHandler(modernServer, { legacy: 'reject' }));
const serveModern = (req, res) => modernHandler(req, res, req.body);

function resource(app, metadata, url, verifyAccessToken, serve) {
        app.use(mcpAuthMetadataRouter({ oauthMetadata: metadata, resourceServerUrl: url, scopesSupported: SCOPES, resourceName: 'Peer' }));
        app.use(url.pathname, (req, res, next) => {
                res.on('finish', () => journal.add('request', {
                        path: url.pathname,
                        method: req.method,
                        status: res.statusCode,
                        rpc: req.body?.method,
                        authorized: 'authorization' in req.headers,
                        query: Object.keys(req.query).join(' ') || undefined,
                }));
                next();
        });
        const bearer = requireBearerAuth({
                verifier: { verifyAccessToken },
                requiredScopes: SCOPES,
                resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(url),
                expectedResource: url,
        });
        app.post(url.pathname, bearer, express.json(), (req, res, next) => serve(req, res).catch(next));
        app.all(url.pathname, bearer, (req, res) => res.status(405).set('Allow', 'POST').end());
}

const app = express();
const { origin } = await listen(app);
const metadata = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json();
const mcp = new URL('/mcp', origin);
const jwt = new URL('/jwt', origin);
const modern = new URL('/modern', origin);
const bound = new URL('/bound', origin);
journal.routes(app);
app.post('/control/refuse', (req, res) => {
        seen.forEach((token) => refused.add(token));
        res.json({ refused: refused.size });
});
resource(app, metadata, mcp, introspect, serveMcp);
resource(app, metadata, jwt, jwtVerifier(metadata, jwt.href), serveMcp);
resource(app, metadata, modern, introspect, serveModern);
boundResource(app, { issuer, url: bound, scopes: SCOPES, journal, introspect, serve: serveMcp });
endWithParent();
announce({ mcp: mcp.href, jwt: jwt.href, modern: modern.href, bound: bound.href });
