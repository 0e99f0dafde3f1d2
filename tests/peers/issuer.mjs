// SPDX-License-Identifier: Apache-2.0
// An issuer: oidc-provider with the options that a careful MCP deployment would choose. Dynamic registration, PKCE with S256
// only, resource indicators, refresh tokens for offline_access alone that rotate and whose reuse ends the grant.
//
//   node issuer.mjs --user NAME --password TEXT [--ttl SECONDS]
//
// A resource whose path ends in /jwt gets access tokens in JWT form, any other opaque ones. On stdout one line:
//   {"issuer": URL, "introspection": {"endpoint", "client_id", "client_secret"}}
// EXTENSIONS, JSON, makes it also one for those without a person or a browser, which wants nonces in proofs of possession: {"clients": [metadata],
// "methods": [those of client authentication], "algorithms": [those of their assertions], "cluster": {"issuer", "jwks", "subjects":
// [who may]}, "platform", "spiffe": see federate(), "audiences": it is an identity provider for {authorization server: client there},
// "idp": the identity provider that it trusts, "tls": {"key", "cert", "ca"} of a listener that asks for certificates, "pushed": true
// if authorization requests must be, absent if they cannot}; "clients" and "algorithms" must be there.
// GET /control/journal tells what happened, without secrets; GET /control/refresh-tokens has every refresh token that was given
// out, to look for where none should be; POST /control/ttl?seconds=N sets the life of the access tokens from now on, and
// POST /control/clock?seconds=N how far this clock is ahead of everybody's; POST /control/audience?issuer=URL&client=ID adds one of
// those of the identity provider.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import express from 'express';
import Provider, { errors } from 'oidc-provider';
import { announce, endWithParent, escapeHtml, Journal, listen } from './common.mjs';
import { assertIdentities, exchange, federate, listenWithCertificates, mutualTls, TOKEN_EXCHANGE, trustIdentityProvider } from './exchange.mjs';
import { JWT_BEARER, trustCluster, withoutClient } from './workloads.mjs';

const RESOURCE_SCOPES = 'tools:read tools:call';

const { values: options } = parseArgs({
        options: { user: { type: 'string' }, password: { type: 'string' }, ttl: { type: 'string', default: '600' } },
});
const journal = new Journal();
const refreshTokens = new Set();
const extensions = JSON.parse(process.env.EXTENSIONS ?? 'null');
let accessTokenSeconds = Number(options.ttl);
let aheadSeconds = 0;

const rightNow = Date.now;
Date.now = () => rightNow() + aheadSeconds * 1000;

const random = () => randomBytes(32).toString('base64url');
const signingKey = (type, parameters, alg) => ({
        ...generateKeyPairSync(type, parameters).privateKey.export({ format: 'jwk' }),
        alg,
        use: 'sig',
});

const idTokenKey = { ...signingKey('ec', { namedCurve: 'P-256' }, 'ES256'), kid: 'id-token' };

// --- the provider ----------------------------------------------------------------------------------------------------

function resourceServer(ctx, resource) {
        const url = new URL(resource);
        if (url.protocol !== 'http:' || url.hostname !== '127.0.0.1') {
                throw new errors.InvalidTarget('nobody here knows this resource');
        }
        const jwt = url.pathname.endsWith('/jwt');
        return {
                scope: RESOURCE_SCOPES,
                audience: resource,
                accessTokenTTL: accessTokenSeconds,
                accessTokenFormat: jwt ? 'jwt' : 'opaque',
                ...(jwt && { jwt: { sign: { alg: 'ES256' } } }),
        };
}

const show = (ctx, title, body, form) => {
        ctx.type = 'html';
        ctx.body = page(title, form ? `${body}<button form="${form}">Continue</button>` : body);
};

const extended = {
        clientCredentials: { enabled: true },
        dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
        deviceFlow: {
                enabled: true,
                userCodeInputSource: (ctx, form, out, error) => show(ctx, error ? 'Error' : 'Which code?', form, 'op.deviceInputForm'),
                userCodeConfirmSource: (ctx, form, client, deviceInfo, code) =>
                        show(ctx, 'Is it yours?', `<p id="code">${escapeHtml(code)}</p>${form}`, 'op.deviceConfirmForm'),
                successSource: (ctx) => show(ctx, 'Done', '<p>Go back to where you came from.</p>'),
        },
        pushedAuthorizationRequests: { enabled: !!extensions?.pushed, requirePushedAuthorizationRequests: !!extensions?.pushed },
};

function configuration(introspector, tls) {
        return {
                ...(tls && { discovery: { mtls_endpoint_aliases: { token_endpoint: `${tls}/token` } } }),
                clients: [introspector, ...(extensions?.clients ?? [])],
                ...(extensions?.methods && { clientAuthMethods: extensions.methods }),
                ...(extensions && { enabledJWA: { clientAuthSigningAlgValues: extensions.algorithms } }),
                clockTolerance: 0,
                cookies: { keys: [random()] },
                jwks: {
                        keys: [
                                idTokenKey,
                                signingKey('rsa', { modulusLength: 2048 }, 'RS256'),
                        ],
                },
                scopes: ['openid', 'offline_access'],
                responseTypes: ['code'],
                pkce: { required: () => true },
                rotateRefreshToken: true,
                interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
                findAccount: (ctx, id) => (id === options.user ? { accountId: id, claims: () => ({ sub: id }) } : undefined),
                renderError: (ctx, out) => {
                        ctx.type = 'html';
                        ctx.body = page('Error', `<p id="error">${escapeHtml(out.error)}: ${escapeHtml(out.error_description)}</p>`);
                },
                ttl: {
                        AccessToken: (ctx, token) => token.resourceServer?.accessTokenTTL ?? accessTokenSeconds,
                        ClientCredentials: (ctx, token) => token.resourceServer?.accessTokenTTL ?? accessTokenSeconds,
                        Grant: 86400,
                        IdToken: 600,
                        Interaction: 600,
                        RefreshToken: 86400,
                        Session: 86400,
                },
                clientBasedCORS: () => false,
                features: {
                        ...(extensions && extended),
                        ...(tls && { mTLS: mutualTls }),
                        devInteractions: { enabled: false },
                        registration: { enabled: true },
                        revocation: { enabled: true, allowedPolicy: (ctx, client, token) => token.clientId === client.clientId },
                        introspection: {
                                enabled: true,
                                allowedPolicy: (ctx, client) => client.clientId === introspector.client_id,
                        },
                        resourceIndicators: {
                                enabled: true,
                                defaultResource: (ctx, client, oneOf) => oneOf,
                                useGrantedResource: () => false,
                                getResourceServerInfo: resourceServer,
                        },
                },
        };
}

const howTheClientShowedItself = ({ params, ctx }) =>
        (params?.client_assertion && 'assertion') || (params?.client_secret && 'body') || (ctx.headers.authorization && 'header') || undefined;

// What came to the endpoints, and what became of it: names and counts, never a token, a code or a secret.
async function record(ctx, next) {
        await next();
        const { oidc } = ctx;
        if (!oidc?.route) return;
        journal.add(oidc.route, {
                status: ctx.status,
                error: ctx.body?.error,
                description: ctx.body?.error_description,
                detail: ctx.state.detail,
                client: oidc.client?.clientId,
                auth: oidc.client?.clientAuthMethod,
                shown: howTheClientShowedItself(oidc),
                proof: 'dpop' in ctx.headers || undefined,
                grant_type: oidc.params?.grant_type,
                resource: oidc.params?.resource,
                scope: oidc.params?.scope,
                prompt: oidc.params?.prompt,
                redirect_uri: oidc.params?.redirect_uri,
                hint: oidc.params?.token_type_hint,
        });
}

function recordEvents(provider) {
        provider.on('refresh_token.saved', (token) => {
                refreshTokens.add(token.jti);
                journal.add('refresh_token.saved');
        });
        provider.on('refresh_token.consumed', () => journal.add('refresh_token.consumed'));
        provider.on('grant.revoked', () => journal.add('grant.revoked'));
        provider.on('grant.error', (ctx, error) => {
                ctx.state.detail = error.error_detail; // which the client is not told
        });
        provider.on('server_error', (ctx, error) => {
                journal.add('server_error', { description: error.message });
                console.error(error);
        });
}

// --- what the person sees ----------------------------------------------------------------------------------------------

const page = (title, body) => `<!doctype html><html lang="en"><meta charset="utf-8">
<title>${escapeHtml(title)}</title><style>body { font-family: sans-serif; max-width: 40em; margin: 3em auto }</style>
<h1>${escapeHtml(title)}</h1>${body}</html>`;

const loginPage = (uid, complaint) =>
        page(
                'Sign in',
                `<p id="complaint">${escapeHtml(complaint ?? '')}</p>
<form method="post" action="/interaction/${uid}/login">
<p><label>User <input name="user" autocomplete="off" required></label>
<p><label>Password <input name="password" type="password" required></label>
<p><button name="do" value="login">Sign in</button></form>`,
        );

function consentPage({ uid, params }, client) {
        const rows = { Program: client.clientName, Server: params.resource, Scopes: params.scope, Back: params.redirect_uri ?? 'nowhere' };
        const list = Object.entries(rows).map(([k, v]) => `<dt>${k}<dd>${escapeHtml(v)}`);
        return page(
                'May it?',
                `<dl>${list.join('')}</dl><form method="post" action="/interaction/${uid}/consent">
<p><button name="do" value="allow">Allow</button> <button name="do" value="deny">Deny</button></form>`,
        );
}

async function grantWhatIsMissing(provider, { grantId, session, params, prompt }) {
        const grant = grantId
                ? await provider.Grant.find(grantId)
                : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });

        if (prompt.details.missingOIDCScope) grant.addOIDCScope(prompt.details.missingOIDCScope.join(' '));
        for (const [resource, scopes] of Object.entries(prompt.details.missingResourceScopes ?? {})) {
                grant.addResourceScope(resource, scopes.join(' '));
        }
        return grant.save();
}

function interactionRoutes(app, provider) {
        const form = express.urlencoded({ extended: false });
        const wrap = (handler) => (req, res, next) => handler(req, res).catch(next);

        app.use('/interaction', (req, res, next) => {
                res.set('Cache-Control', 'no-store');
                next();
        });
        app.get('/interaction/:uid', wrap(async (req, res) => {
                const details = await provider.interactionDetails(req, res);
                const client = await provider.Client.find(details.params.client_id);
                journal.add(`page.${details.prompt.name}`);
                res.send(details.prompt.name === 'login' ? loginPage(details.uid) : consentPage(details, client));
        }));
        app.post('/interaction/:uid/login', form, wrap(async (req, res) => {
                const details = await provider.interactionDetails(req, res);
                if (req.body.user !== options.user || req.body.password !== options.password) {
                        journal.add('login.refused');
                        res.status(401).send(loginPage(details.uid, 'Wrong user or password.'));
                        return;
                }
                await provider.interactionFinished(req, res, { login: { accountId: options.user } });
        }));
        app.post('/interaction/:uid/consent', form, wrap(async (req, res) => {
                const details = await provider.interactionDetails(req, res);
                const result = req.body.do === 'allow'
                        ? { consent: { grantId: await grantWhatIsMissing(provider, details) } }
                        : { error: 'access_denied', error_description: 'The person said no' };
                await provider.interactionFinished(req, res, result, { mergeWithLastSubmission: req.body.do === 'allow' });
        }));
}

// --- the run -----------------------------------------------------------------------------------------------------------

const app = express();
const { origin } = await listen(app);
const introspector = {
        client_id: 'mcp-server',
        client_secret: random(),
        token_endpoint_auth_method: extensions?.methods?.[0] ?? 'client_secret_basic',
        grant_types: [],
        response_types: [],
        redirect_uris: [],
};
const tls = extensions?.tls && (await listenWithCertificates(app, extensions.tls));
const provider = new Provider(origin, configuration(introspector, tls));
provider.use(record);
recordEvents(provider);
interactionRoutes(app, provider);
journal.routes(app);
if (extensions?.cluster) {
        trustCluster(provider, extensions.cluster);
        app.use('/token', withoutClient(JWT_BEARER));
}
if (extensions?.platform) {
        exchange(provider, extensions.platform);
        federate(app, origin, extensions, journal);
        app.use('/token', withoutClient(TOKEN_EXCHANGE));
}
if (extensions?.audiences) {
        const { d, ...half } = idTokenKey;
        assertIdentities(provider, { private: idTokenKey, public: half }, extensions.audiences);
}
if (extensions?.idp) trustIdentityProvider(provider, extensions.idp);
app.post('/control/clock', (req, res) => {
        aheadSeconds = Number(req.query.seconds);
        res.json({ seconds: aheadSeconds });
});
app.post('/control/audience', (req, res) => {
        extensions.audiences[req.query.issuer] = req.query.client;
        res.json(extensions.audiences);
});
app.post('/control/ttl', (req, res) => {
        accessTokenSeconds = Number(req.query.seconds);
        res.json({ seconds: accessTokenSeconds });
});
app.get('/control/refresh-tokens', (req, res) => res.json([...refreshTokens]));
app.use(provider.callback());
endWithParent();
announce({
        issuer: origin,
        introspection: {
                endpoint: `${origin}/token/introspection`,
                client_id: introspector.client_id,
                client_secret: introspector.client_secret,
        },
});
