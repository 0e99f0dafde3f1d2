// SPDX-License-Identifier: Apache-2.0
// A protected resource that takes no bearer tokens: a token is bound to a key, and each request brings a proof by that key (DPoP,
// RFC 9449), which the jose package checks. A proof is good for this method, this URL, this token, with the newest nonce, and once.
import { createHash, randomBytes } from 'node:crypto';
import express from 'express';
import { calculateJwkThumbprint, EmbeddedJWK, jwtVerify } from 'jose';

const ALGORITHMS = ['ES256', 'EdDSA'];
const PROOF_SECONDS = 60;

class Refusal extends Error {
        constructor(code, description) {
                super(description);
                this.code = code;
        }
}

const expect = (good, description) => {
        if (!good) throw new Refusal('invalid_dpop_proof', description);
};

class Proofs {
        #seen = new Set();
        each = false;

        constructor() {
                this.renew();
        }

        renew() {
                this.nonce = randomBytes(16).toString('base64url');
        }

        used() {
                if (this.each) this.renew();
        }

        async #verified(proof) {
                try {
                        return await jwtVerify(proof, EmbeddedJWK, { algorithms: ALGORITHMS, typ: 'dpop+jwt' });
                } catch (error) {
                        throw new Refusal('invalid_dpop_proof', `Not a good JWT: ${error.code ?? error.message}`);
                }
        }

        // The thumbprint of the key, and the proof's own name.
        async check(request, url, token) {
                const { payload, protectedHeader } = await this.#verified(request.headers.dpop ?? '');

                expect(payload.htm === request.method, 'htm is another method');
                expect(payload.htu === url.href, 'htu is another URL');
                expect(Math.abs(Date.now() / 1000 - payload.iat) <= PROOF_SECONDS, 'iat is not of now');
                expect(payload.ath === createHash('sha256').update(token).digest('base64url'), 'ath is of another token');
                expect(typeof payload.jti === 'string' && payload.jti.length >= 16, 'jti is too short');
                if (payload.nonce !== this.nonce) throw new Refusal('use_dpop_nonce', 'Not the newest nonce');
                expect(!this.#seen.has(payload.jti), 'jti was here before');
                this.#seen.add(payload.jti);
                return { jkt: await calculateJwkThumbprint(protectedHeader.jwk), jti: payload.jti };
        }
}

async function judge(request, { proofs, url, introspect, scopes }) {
        const [, token] = /^DPoP ([\w.~+/=-]+)$/i.exec(request.headers.authorization ?? '') ?? [];
        if (!token) throw new Refusal(undefined, 'No token that is bound to a key');

        const proof = await proofs.check(request, url, token);
        const who = await introspect(token).catch((error) => {
                throw new Refusal('invalid_token', error.message);
        });
        if (who.extra.jkt !== proof.jkt) throw new Refusal('invalid_token', 'The token is bound to another key');
        if (who.resource.href !== url.href) throw new Refusal('invalid_token', 'The token is for another resource');
        if (!scopes.every((scope) => who.scopes.includes(scope))) throw new Refusal('insufficient_scope', 'Not all scopes');
        return { who, proof };
}

function refuse(res, { code, message }, metadata) {
        const said = { error: code, error_description: code && message, algs: ALGORITHMS.join(' '), resource_metadata: metadata.href };
        const parameters = Object.entries(said).filter(([, value]) => value);
        res.set('WWW-Authenticate', `DPoP ${parameters.map(([name, value]) => `${name}="${value}"`).join(', ')}`);
        res.status(code === 'insufficient_scope' ? 403 : 401).json({ error: code, error_description: message });
}

export function boundResource(app, { issuer, url, scopes, journal, introspect, serve }) {
        const proofs = new Proofs();
        const metadata = new URL(`/.well-known/oauth-protected-resource${url.pathname}`, url);

        app.get(metadata.pathname, (req, res) => res.json({
                resource: url.href,
                authorization_servers: [issuer],
                scopes_supported: scopes,
                dpop_bound_access_tokens_required: true,
                dpop_signing_alg_values_supported: ALGORITHMS,
        }));
        app.post('/control/nonce', (req, res) => {
                proofs.each = req.query.each === '1';
                proofs.renew();
                res.json({});
        });
        app.all(url.pathname, async (req, res, next) => {
                const entry = { method: req.method, authorized: 'authorization' in req.headers };
                try {
                        const { who, proof } = await judge(req, { proofs, url, introspect, scopes });
                        proofs.used();
                        res.set('DPoP-Nonce', proofs.nonce);
                        req.auth = who;
                        journal.add('bound', { ...entry, taken: true, ...proof });
                        next();
                } catch (refusal) {
                        res.set('DPoP-Nonce', proofs.nonce);
                        journal.add('bound', { ...entry, taken: false, error: refusal.code, description: refusal.message });
                        refuse(res, refusal, metadata);
                }
        });
        app.post(url.pathname, express.json(), (req, res, next) => serve(req, res).catch(next));
        app.all(url.pathname, (req, res) => res.status(405).set('Allow', 'POST').end());
}
