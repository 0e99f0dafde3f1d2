// SPDX-License-Identifier: Apache-2.0
// What oidc-provider does not bring of what those without a person may show: the token of a platform as the credential of a client
// (RFC 7523 2.2, SPIFFE), or to be exchanged (RFC 8693), and both steps of enterprise-managed authorization (SEP-990). The jose
// package makes and checks the tokens. Of oidc-provider itself is mutual TLS (RFC 8705), for which there is a listener here.
import https from 'node:https';
import express from 'express';
import { createLocalJWKSet, createRemoteJWKSet, importJWK, jwtVerify, SignJWT } from 'jose';
import { errors } from 'oidc-provider';
import { buildTokenResponse, resolveRequestedResources } from 'oidc-provider/lib/helpers/grants.js';
import { JWT_BEARER } from './workloads.mjs';

export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:';
const TOKEN = 'urn:ietf:params:oauth:token-type:';
const ID_JAG = 'oauth-id-jag+jwt';

const verify = (token, keys, wanted) =>
        jwtVerify(token ?? '', keys, { algorithms: ['ES256', 'RS256'], requiredClaims: ['exp', 'sub'], ...wanted });

const badGrant = (error) => {
        throw new errors.InvalidGrant(`the token is not good: ${error.code}`);
};

// --- as the credential of a client ---------------------------------------------------------------------------------------

// Of two kinds: {"issuer", "jwks", "clients": {subject: [id, secret]}}, and the same of a trust domain, without "issuer". Who is
// believed is the client from there on, by its secret, which nobody else knows.
export function federate(app, origin, { platform, spiffe }, journal) {
        const kinds = { 'jwt-bearer': platform, 'jwt-spiffe': spiffe };

        async function believe(body, name, { issuer, jwks, clients }) {
                const { payload } = await verify(body.client_assertion, createLocalJWKSet(jwks), { issuer, audience: origin });
                const [id, secret] = clients[payload.sub] ?? [];

                if (!id || String(payload.aud) !== origin) throw new Error('nobody here knows this workload');
                if (body.client_id && body.client_id !== (name === 'jwt-spiffe' ? payload.sub : id)) throw new Error('another client');
                return [id, secret];
        }

        app.use('/token', express.urlencoded({ extended: false }), async (req, res, next) => {
                const name = (req.body?.client_assertion_type ?? '').replace(ASSERTION, '');

                if (!kinds[name]) return next();
                try {
                        const [id, secret] = await believe(req.body, name, kinds[name]);
                        journal.add('federated', { status: 200, type: name, client: id, grant_type: req.body.grant_type, resource: req.body.resource });
                        req.headers.authorization = `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;
                        for (const shown of ['client_assertion', 'client_assertion_type', 'client_id']) delete req.body[shown];
                        next();
                } catch (error) {
                        journal.add('federated', { status: 401, type: name, detail: error.code ?? error.message });
                        res.status(401).json({ error: 'invalid_client' });
                }
        });
}

// --- to be exchanged -----------------------------------------------------------------------------------------------------

async function accessToken(provider, ctx, subject, how) {
        const { client, params } = ctx.oidc;
        const [resourceServer] = await resolveRequestedResources(provider, ctx);
        if (!resourceServer) throw new errors.InvalidTarget('for which resource?');
        const token = new provider.AccessToken({ client, accountId: subject, gty: how });

        token.resourceServer = resourceServer;
        token.scope = (params.scope ?? resourceServer.scope).split(' ').filter((s) => resourceServer.scopes.has(s)).join(' ');
        return buildTokenResponse(provider, {
                accessToken: await token.save(),
                expiresIn: token.expiration,
                scope: token.scope,
                tokenType: token.tokenType,
        });
}

const EXCHANGED = ['subject_token', 'subject_token_type', 'requested_token_type', 'audience', 'resource', 'scope'];

// For whom @platform says; for @liar what comes is called something else than it is.
export function exchange(provider, { issuer, jwks, clients, liar }) {
        const keys = createLocalJWKSet(jwks);

        provider.registerGrantType(TOKEN_EXCHANGE, async (ctx) => {
                const { params } = ctx.oidc;
                if (params.subject_token_type !== `${TOKEN}jwt`) throw new errors.InvalidRequest('of what type?');
                const { payload } = await verify(params.subject_token, keys, { issuer, audience: provider.issuer }).catch(badGrant);
                if (!clients[payload.sub]) throw new errors.InvalidGrant('nobody here knows this workload');
                const type = payload.sub === liar ? 'id-jag' : 'access_token';

                ctx.body = { ...(await accessToken(provider, ctx, payload.sub, 'exchange')), issued_token_type: TOKEN + type };
        }, EXCHANGED);
}

// --- enterprise-managed authorization ------------------------------------------------------------------------------------

// The identity provider: of its own ID token it makes an assertion for one of @audiences.
export function assertIdentities(provider, key, audiences) {
        provider.registerGrantType(TOKEN_EXCHANGE, async (ctx) => {
                const { client, params } = ctx.oidc;
                const own = { issuer: provider.issuer, audience: client.clientId };
                if (params.requested_token_type !== `${TOKEN}id-jag`) throw new errors.InvalidRequest('nothing else is to be had here');
                if (params.subject_token_type !== `${TOKEN}id_token`) throw new errors.InvalidRequest('of what type?');
                if (!audiences[params.audience]) throw new errors.InvalidTarget('nobody here knows this authorization server');
                const keys = createLocalJWKSet({ keys: [key.public] });
                const { payload } = await verify(params.subject_token, keys, own).catch(badGrant);
                const claims = { client_id: audiences[params.audience], resource: params.resource, scope: params.scope };
                const jag = new SignJWT(claims)
                        .setProtectedHeader({ alg: 'ES256', kid: key.public.kid, typ: ID_JAG })
                        .setIssuer(provider.issuer).setSubject(payload.sub).setAudience(params.audience)
                        .setIssuedAt().setExpirationTime('5m').setJti(crypto.randomUUID());

                ctx.body = { access_token: await jag.sign(await importJWK(key.private, 'ES256')), token_type: 'N_A', expires_in: 300,
                        issued_token_type: `${TOKEN}id-jag`, scope: params.scope };
        }, EXCHANGED);
}

// The authorization server that trusts @idp.
export function trustIdentityProvider(provider, idp) {
        const keys = createRemoteJWKSet(new URL('/jwks', idp));
        const seen = new Set();

        provider.registerGrantType(JWT_BEARER, async (ctx) => {
                const { client, params } = ctx.oidc;
                const wanted = { issuer: idp, audience: provider.issuer, typ: ID_JAG, requiredClaims: ['exp', 'sub', 'jti', 'client_id'] };
                const { payload } = await verify(params.assertion, keys, wanted).catch(badGrant);

                if (payload.client_id !== client.clientId) throw new errors.InvalidGrant('it is for another client');
                if (payload.resource !== params.resource) throw new errors.InvalidGrant('it is for another resource');
                if (seen.has(payload.jti)) throw new errors.InvalidGrant('it was shown before');
                seen.add(payload.jti);
                ctx.body = await accessToken(provider, ctx, payload.sub, 'id_jag');
        }, ['assertion', 'scope', 'resource']);
}

// --- mutual TLS ------------------------------------------------------------------------------------------------------------

export const listenWithCertificates = (app, { key, cert, ca }) =>
        new Promise((resolve, reject) => {
                const server = https.createServer({ key, cert, ca, requestCert: true, rejectUnauthorized: false }, app);
                server.once('error', reject);
                server.listen(0, '127.0.0.1', () => resolve(`https://127.0.0.1:${server.address().port}`));
        });

export const mutualTls = {
        enabled: true,
        tlsClientAuth: true,
        certificateBoundAccessTokens: true,
        getCertificate: (ctx) => ctx.socket.getPeerX509Certificate?.()?.toString(),
        certificateAuthorized: (ctx) => ctx.socket.authorized,
        certificateSubjectMatches: (ctx, property, expected) =>
                property === 'tls_client_auth_san_uri' && ctx.socket.getPeerX509Certificate().subjectAltName === `URI:${expected}`,
};
