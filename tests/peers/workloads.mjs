// SPDX-License-Identifier: Apache-2.0
// The grant of RFC 7523 2.1 as MCP's workload identity federation has it (SEP-1933), which oidc-provider does not bring: the
// token of a cluster's service account is the grant, and there need not be a client. The jose package checks the token.
import express from 'express';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { errors } from 'oidc-provider';
import { buildTokenResponse, checkDpopReplay, resolveRequestedResources, validateDpop } from 'oidc-provider/lib/helpers/grants.js';

export const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
export const WORKLOADS = 'workloads';
const MAX_SECONDS = 3600;

// oidc-provider answers nobody who is no client: those who do not say are this one.
export const withoutClient = (...grants) => (req, res, next) => {
        express.urlencoded({ extended: false })(req, res, (error) => {
                if (grants.includes(req.body?.grant_type) && !req.headers.authorization) req.body.client_id ??= WORKLOADS;
                next(error);
        });
};

async function verify(assertion, keys, { issuer, subjects }, audience) {
        const wanted = { issuer, audience, algorithms: ['ES256', 'RS256'], maxTokenAge: MAX_SECONDS, requiredClaims: ['exp', 'sub'] };
        const { payload } = await jwtVerify(assertion, keys, wanted).catch((error) => {
                throw new errors.InvalidGrant(`the assertion is not good: ${error.code}`);
        });
        const { namespace, serviceaccount } = payload['kubernetes.io'] ?? {};

        if (payload.sub !== `system:serviceaccount:${namespace}:${serviceaccount?.name}`) {
                throw new errors.InvalidGrant('the assertion contradicts itself');
        }
        if (!subjects.includes(payload.sub)) throw new errors.InvalidGrant('nobody here knows this workload');
        return payload.sub;
}

export function trustCluster(provider, cluster) {
        const keys = createLocalJWKSet(cluster.jwks);

        async function handler(ctx) {
                const { client, params } = ctx.oidc;
                const subject = await verify(params.assertion ?? '', keys, cluster, provider.issuer);
                const proof = await validateDpop(provider, ctx);
                const [resourceServer] = await resolveRequestedResources(provider, ctx);
                if (!resourceServer) throw new errors.InvalidTarget('for which resource?');
                const token = new provider.AccessToken({ client, accountId: subject, gty: 'jwt_bearer' });

                token.resourceServer = resourceServer;
                token.scope = (params.scope ?? resourceServer.scope).split(' ').filter((s) => resourceServer.scopes.has(s)).join(' ');
                if (proof) {
                        await checkDpopReplay(provider, ctx, proof, client.clientId);
                        token.setThumbprint('jkt', proof.thumbprint);
                }
                ctx.body = buildTokenResponse(provider, {
                        accessToken: await token.save(),
                        expiresIn: token.expiration,
                        scope: token.scope,
                        tokenType: token.tokenType,
                });
        }
        provider.registerGrantType(JWT_BEARER, handler, ['assertion', 'scope', 'resource']);
}
