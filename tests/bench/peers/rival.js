/*
 * A process that locks with one of npm's libraries, as tests/bench/load.c does with redlockd:
 *
 *      node rival.js LIBRARY distinct|new|one LANES SECONDS OPTIONS(JSON) PORT...     prints one line of figures
 *      node rival.js LIBRARY hold|wait 1 0 OPTIONS(JSON) PORT...                  takes the key, says so, and holds it
 *
 * LIBRARY is redlock4, redlock5, redis-semaphore or live-mutex (which has a broker of its own, at a Unix socket in the place of PORT).
 */
'use strict';

const [library, mode, lanes, seconds, json, ...ports] = process.argv.slice(2);
const options = JSON.parse(json);
const TTL = options.ttl || 10000;
const silent = () => {};

/* Each has take(key) -> lock, and free(lock). */
const makers = {
    redlock4(nodes) {
        const Redlock = require('redlock4');
        const redlock = new Redlock(nodes, options);
        redlock.on('clientError', silent);
        return { take: (key) => redlock.lock(key, TTL), free: (lock) => redlock.unlock(lock) };
    },
    redlock5(nodes) {
        const Redlock = require('redlock5').default;
        const redlock = new Redlock(nodes, options);
        redlock.on('error', silent);
        return { take: (key) => redlock.acquire([key], TTL), free: (lock) => redlock.release(lock) };
    },
    'redis-semaphore'(nodes) {
        const { RedlockMutex } = require('redis-semaphore');
        return {
            async take(key) {
                const mutex = new RedlockMutex(nodes, key, { lockTimeout: TTL, refreshInterval: 0, ...options });
                await mutex.acquire();
                return mutex;
            },
            free: (mutex) => mutex.release(),
        };
    },
    async 'live-mutex'() {
        const { Client } = require('live-mutex');
        const client = new Client({ udsPath: ports[0], ttl: TTL, lockRequestTimeout: 60000, ...options });
        client.emitter.on('warning', silent);
        client.emitter.on('error', silent);
        await client.ensure();
        return {
            take: (key) => client.acquireLock(key),
            free: (lock) => client.releaseLock(lock.key, lock.id),
        };
    },
};

const now = () => Number(process.hrtime.bigint()) / 1000;

async function run(locks) {
    const one = mode === 'one';
    const suffix = (i) => (mode === 'new' ? `:${counts[i]}` : '');
    const counts = new Array(Number(lanes)).fill(0);
    const asked = new Array(Number(lanes)).fill(0);
    const samples = [];
    let total = 0;
    let failed = 0;
    let held = 0;
    let longest = 0;
    const began = now();
    const from = began + 200e3;
    const end = began + Number(seconds) * 1e6;

    async function lane(i) {
        asked[i] = now();
        while (now() < end) {
            try {
                const lock = await locks.take(one ? 'rival:one' : `rival:${process.pid}:${i}${suffix(i)}`);
                const granted = now();
                if (one && ++held !== 1) throw new Error('two hold one key');
                held = one ? held - 1 : 0;
                if (one) record(i, granted);
                await locks.free(lock);
                if (!one) record(i, now());
            } catch (error) {
                failed += 1; /* it goes on waiting */
            }
        }
    }
    function record(i, at) {
        total += 1;
        counts[i] += 1;
        if (at >= from) {
            samples.push(at - asked[i]);
            longest = Math.max(longest, at - asked[i]);
        }
        asked[i] = now();
    }

    const all = Promise.all(counts.map((_, i) => lane(i)));
    /* Who has waited for long at the end may never get its turn. */
    await Promise.race([all, new Promise((resolve) => setTimeout(resolve, Number(seconds) * 1000 + 500))]);
    const last = now();
    asked.forEach((at) => { if (one) longest = Math.max(longest, last - at); });
    samples.sort((a, b) => a - b);
    const quantile = (q) => samples[Math.floor(q * (samples.length - 1))] || 0;
    const sum = counts.reduce((a, b) => a + b, 0);
    const usage = process.cpuUsage();
    console.log(JSON.stringify({
        cycles: total,
        rate: samples.length * 1e6 / (Math.min(last, end) - from),
        cpu_us: total ? (usage.user + usage.system) / total : 0,
        jain: sum ? sum * sum / (counts.length * counts.reduce((a, b) => a + b * b, 0)) : 0,
        longest_ms: longest / 1000,
        p50: quantile(0.5),
        p99: quantile(0.99),
        p999: quantile(0.999),
        failed,
    }));
    process.exit();
}

async function main() {
    let nodes = [];
    if (library !== 'live-mutex') {
        const Redis = require('ioredis');
        nodes = ports.map((port) => new Redis(Number(port), '127.0.0.1'));
        await Promise.all(nodes.map((node) => node.ping()));
    }
    const locks = await makers[library](nodes);
    if (['distinct', 'new', 'one'].includes(mode)) return run(locks);
    if (mode === 'wait') console.log('ready');
    await locks.take('rival:one');
    console.log('locked');
    setInterval(silent, 1000);
}

main();
