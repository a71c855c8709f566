/*
 * A process that takes and frees one key with node-redlock, again and again, held for no time:
 *
 *      node contend.js redlock4 OPTIONS(JSON) PORT...
 *
 * Starts at the first line that it reads, stops at the next, and prints {"waits": [ms, ...], "failed": n}.
 */
'use strict';

const Redis = require('ioredis');
const readline = require('readline');

const [library, options, ...ports] = process.argv.slice(2);
const nodes = ports.map((port) => new Redis(Number(port), '127.0.0.1'));
const module_ = require(library);
const Redlock = module_.default || module_;
const modern = library === 'redlock5';
const redlock = new Redlock(nodes, JSON.parse(options));
redlock.on(modern ? 'error' : 'clientError', () => {});

let running = true;

async function contend() {
    const waits = [];
    let failed = 0;
    let began = process.hrtime.bigint();
    while (running) {
        try {
            const lock = await (modern ? redlock.acquire(['contended'], 10000) : redlock.lock('contended', 10000));
            waits.push(Number(process.hrtime.bigint() - began) / 1e6);
            began = process.hrtime.bigint();
            await (modern ? redlock.release(lock) : redlock.unlock(lock));
        } catch (error) {
            failed += 1; /* it goes on waiting */
        }
    }
    waits.push(Number(process.hrtime.bigint() - began) / 1e6);
    console.log(JSON.stringify({ waits, failed }));
    process.exit();
}

let lines = 0;
readline.createInterface({ input: process.stdin }).on('line', () => {
    lines += 1;
    if (lines === 1) contend();
    else running = false;
});
console.log('ready');
