/*
 * A process that locks with node-redlock: node peer.js redlock4|redlock5 PORT...
 *
 * Reads {"do": "lock", "key", "ttl", "retryCount"} or {"do": "unlock", "key"}, one a line, and answers each with
 * {"ok": true, "value"} or {"ok": false, "error"}.
 */
'use strict';

const Redis = require('ioredis');
const readline = require('readline');

const [library, ...ports] = process.argv.slice(2);
const nodes = ports.map((port) => new Redis(Number(port), '127.0.0.1'));
nodes.forEach((node) => node.on('error', () => {}));
const module_ = require(library);
const Redlock = module_.default || module_;
const modern = library === 'redlock5';
const held = new Map();

async function lock({ key, ttl, retryCount, retryDelay = 20 }) {
    const redlock = new Redlock(nodes, { retryCount, retryDelay, retryJitter: 20 });
    redlock.on(modern ? 'error' : 'clientError', () => {});
    const taken = await (modern ? redlock.acquire([key], ttl) : redlock.lock(key, ttl));
    held.set(key, { redlock, taken });
    return taken.value;
}

async function unlock({ key }) {
    const { redlock, taken } = held.get(key);
    held.delete(key);
    await (modern ? redlock.release(taken) : redlock.unlock(taken));
}

async function answer(line) {
    const request = JSON.parse(line);
    try {
        return { ok: true, value: await (request.do === 'lock' ? lock(request) : unlock(request)) };
    } catch (error) {
        return { ok: false, error: String(error.message) };
    }
}

readline
    .createInterface({ input: process.stdin })
    .on('line', async (line) => console.log(JSON.stringify(await answer(line))))
    .on('close', () => process.exit());
