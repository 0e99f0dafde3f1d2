// SPDX-License-Identifier: Apache-2.0
// A person at a browser: Chromium, driven by Playwright, with an empty profile. A test makes it the program of $BROWSER.
//
//   PERSON=FILE node person.mjs URL
//
// FILE, JSON: {"user", "password", "does": "allow" | "deny" | "nothing", "profile": folder, "screenshot": file or absent,
// "report": file, "code": what a device shows, or absent}. After the consent page the person reads the page of the program that sent them; the report says what they
// saw: {"pages": [...], "landing": {"title", "text", "status", "headers"}, "problems": [...]}. A code of the redirect must be
// nowhere on that page: not in its URL, its text, its referrer, nor in the Referer of any request. "nothing" opens the login
// page, reports it, and looks at it until someone ends the program.
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const STEP_MSEC = 20000;
const ALL_MSEC = 120000; // nobody need send us home

setTimeout(() => process.exit(2), ALL_MSEC).unref();

const wishes = JSON.parse(readFileSync(process.env.PERSON, 'utf8'));
const url = process.argv[2];
const report = { url, pages: [], problems: [] };

function finish() {
        writeFileSync(`${wishes.report}.new`, JSON.stringify(report, null, 2));
        renameSync(`${wishes.report}.new`, wishes.report);
}

const openBrowser = () =>
        chromium.launchPersistentContext(wishes.profile, {
                executablePath: '/usr/bin/chromium',
                headless: true,
                viewport: { width: 900, height: 600 },
                args: [
                        '--disable-gpu',
                        '--disable-quic',
                        '--no-first-run',
                        '--disable-background-networking',
                        '--disable-component-update',
                        '--disable-sync',
                        '--disable-dev-shm-usage',
                        '--disable-breakpad',
                        // Nothing but loopback is looked up, let alone asked.
                        '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
                        ...(process.getuid() === 0 ? ['--no-sandbox'] : []),
                ],
        });

// --- what passes by ----------------------------------------------------------------------------------------------------

// The redirects back to the program that sent us: to another origin than the issuer's, with an answer in the query.
class Traffic {
        codes = [];
        requests = [];

        constructor(context, issuer) {
                context.on('request', (request) => {
                        const target = new URL(request.url());
                        const answer = target.origin !== issuer && target.searchParams.has('state');
                        if (answer) {
                                if (target.searchParams.has('code')) this.codes.push(target.searchParams.get('code'));
                                report.answered = [...target.searchParams.keys()].sort();
                        }
                        this.requests.push(request);
                });
        }

        cameFrom() {
                return Promise.all(this.requests.map(async (request) => (await request.allHeaders()).referer ?? ''));
        }
}

// --- what the person does ------------------------------------------------------------------------------------------------

async function signIn(page) {
        const complaint = await page.locator('#complaint').innerText();
        if (complaint) throw new Error(`The issuer says: ${complaint}`);
        await page.getByLabel('User').fill(wishes.user);
        await page.getByLabel('Password').fill(wishes.password);
        await page.getByRole('button', { name: 'Sign in' }).click();
}

async function consent(page) {
        report.consent = await page.locator('dl').innerText();
        await page.getByRole('button', { name: wishes.does === 'allow' ? 'Allow' : 'Deny' }).click();
}

async function typeCode(page) {
        await page.locator('input[name=user_code]').fill(wishes.code);
        await page.getByRole('button', { name: 'Continue' }).click();
}

async function compareCode(page) {
        const shown = await page.locator('#code').innerText();
        if (shown !== wishes.code) throw new Error(`The issuer shows the code ${shown}`);
        await page.getByRole('button', { name: 'Continue' }).click();
}

const ACTS = { 'Sign in': signIn, 'May it?': consent, 'Which code?': typeCode, 'Is it yours?': compareCode };

// Who typed in a code stays at the issuer.
const isEnd = (title) => wishes.code && (title === 'Done' || (title === 'Error' && wishes.does === 'deny'));

// Login and consent, in the order and number in which the issuer shows them, until the page is another origin's.
async function walk(page, issuer) {
        let response = await page.goto(url, { timeout: STEP_MSEC });

        while (new URL(page.url()).origin === issuer) {
                const title = await page.title();
                const act = ACTS[title];

                report.pages.push(title);
                if (isEnd(title)) break;
                if (!act) throw new Error(`The issuer shows "${title}": ${await page.locator('body').innerText()}`);
                if (report.pages.length > 5) throw new Error('The issuer goes round in circles');
                const next = page.waitForEvent('response', {
                        predicate: (r) => r.request().isNavigationRequest() && (r.status() < 300 || r.status() >= 400),
                        timeout: STEP_MSEC,
                });
                await Promise.all([next, act(page)]);
                response = await next;
                await page.waitForLoadState('load', { timeout: STEP_MSEC });
        }
        return response;
}

async function look(page, response, traffic) {
        const seen = {
                URL: page.url(),
                text: await page.content(),
                referrer: await page.evaluate(() => document.referrer),
                Referer: (await traffic.cameFrom()).join(' '),
                'Location of this page': await page.evaluate(() => String(globalThis.location)),
        };

        report.landing = {
                title: await page.title(),
                text: await page.locator('body').innerText(),
                path: new URL(page.url()).pathname,
                status: response.status(),
                headers: await response.allHeaders(),
                codes: traffic.codes.length,
                resources: await page.evaluate(() => performance.getEntriesByType('resource').length),
        };
        for (const [where, text] of Object.entries(seen)) {
                if (/[?&]code=/.test(text) || traffic.codes.some((code) => text.includes(code))) {
                        report.problems.push(`${where} of the landing page holds a code`);
                }
        }
        if (wishes.screenshot) await page.screenshot({ path: wishes.screenshot });
}

async function main(context) {
        const page = context.pages()[0] ?? (await context.newPage());
        const issuer = new URL(url).origin;
        const traffic = new Traffic(context, issuer);

        if (wishes.does === 'nothing') {
                await page.goto(url, { timeout: STEP_MSEC });
                report.pages.push(await page.title());
                finish();
                await new Promise((resolve) => process.once('SIGTERM', resolve));
                return;
        }
        await look(page, await walk(page, issuer), traffic);
}

let context;
try {
        context = await openBrowser();
        await main(context);
} catch (error) {
        report.problems.push(error.message);
}
await context?.close();
rmSync(wishes.profile, { recursive: true, force: true });
finish();
process.exitCode = report.problems.length > 0 ? 1 : 0;
