"""
Clients that nobody would want: they flood, stop in the middle, never read, say nonsense, or are killed.
"""

import asyncio
import json
import os
import select
import socket
import time

from board import KEYS, unix_ms

FLOOD = 20000
READ_BYTES = 262144

NONSENSE = (
    b"{", b"}", b"[]", b"[1,2]", b"null", b"1", b'"text"', b"nothing that is JSON", b"\x00\x01\x02", b"\xff\xfe\xfd", b"{}",
    b'{"method":1}', b'{"method":"nothing"}', b'{"method":"add"}', b'{"method":"add","params":[]}', b'{"method":"add","params":{}}',
    b'{"method":"add","params":{"keys":""}}', b'{"method":"add","params":{"keys":[]}}', b'{"method":"add","params":{"keys":[[]]}}',
    b'{"method":"add","params":{"keys":"k","ttl":-1}}', b'{"method":"add","params":{"keys":"k","ttl":1e300}}',
    b'{"method":"add","params":{"keys":"k","ttl":9223372036854775808}}', b'{"method":"add","params":{"keys":"k","what":1}}',
    b'{"method":"add","params":{"keys":"\\ud800"}}', b'{"method":"ping","method":"ping"}', b'{"jsonrpc":"1.0","method":"ping"}',
    b'{"id":1.5,"method":"ping"}', b'{"id":{},"method":"ping"}', b"[" * 3000, b'{"a":' * 3000, b'{"method":"' + b"x" * 60000,
    b'{"method":"add","params":{"keys":["' + b"k" * 513 + b'"]}}', b"x" * 300000, b'{"method":"cancel","params":{"id":[]}}',
    b'{"method":"extend","params":{"keys":"k","strict":"yes"}}', b'{"method":"kill","params":{"session":1e99}}',
)  # fmt: skip


class Raw:
    """A connection without any manners."""

    def __init__(self, path):
        self.path = str(path)

    async def __aenter__(self):
        self.loop = asyncio.get_running_loop()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.setblocking(False)
        await self.loop.sock_connect(self.socket, self.path)
        return self

    async def __aexit__(self, *_):
        self.socket.close()

    async def send(self, data):
        await self.loop.sock_sendall(self.socket, data)

    async def read(self, within=30):
        return await asyncio.wait_for(self.loop.sock_recv(self.socket, READ_BYTES), within)

    async def read_lines(self, n, within=60):
        """Reads until n lines have come, or the end; returns how many did."""
        came = 0
        while came < n and (data := await self.read(within)):
            came += data.count(b"\n")
        return came


async def flood(board, counters, path, rng):
    """Asks many things at once, and reads what comes."""
    pings = b'{"id":1,"method":"ping"}\n' * FLOOD
    adds = b"".join(b'{"id":%d,"method":"add","params":{"keys":"flood%d","ttl":200,"retryCount":0}}\n' % (i, i % 50) for i in range(2000))
    while not board.stopped():
        burst = rng.choice((pings, pings, adds))
        n = burst.count(b"\n")
        async with Raw(path) as raw:
            counters.count("floodRequests", n)
            sent = asyncio.create_task(raw.send(burst))
            came = await raw.read_lines(n)
            await sent
            counters.count("floodReplies", came)
            if came != n:
                counters.count("surprises")
                print(f"{came} answers to {n} requests at once", flush=True)
        await asyncio.sleep(5 + rng.random() * 10)


async def half_line(board, counters, path, rng):
    while not board.stopped():
        async with Raw(path) as raw:
            await raw.send(b'{"id":1,"method":"' + b"x" * rng.choice((0, 10, 1000, 60000, 65500)))
            counters.count("halfLines")
            await asyncio.sleep(1 + rng.random() * 30)
            if rng.random() < 0.5:
                await raw.send(b'"}\n')
                assert await raw.read_lines(1) == 1


async def silent(board, counters, path, rng):
    while not board.stopped():
        async with Raw(path):
            counters.count("silent")
            await asyncio.sleep(1 + rng.random() * 60)


async def reads_nothing(board, counters, path, rng):
    """Must be closed by the daemon: 5 s after its output is full."""
    burst = rng.choice((b'{"id":1,"method":"status"}\n' * 2000, b'{"id":1,"method":"metrics"}\n' * 200, b'{"id":1,"method":"x"}\n' * 30000))
    while not board.stopped():
        async with Raw(path) as raw:
            counters.count("notRead")
            begin = time.monotonic()
            try:
                while time.monotonic() - begin < 60:
                    await asyncio.wait_for(raw.send(burst), 60)
                counters.count("notReadKept")
            except asyncio.TimeoutError:
                counters.count("notReadKept")
            except OSError:
                counters.count("notReadClosed")
        await asyncio.sleep(rng.random() * 5)


async def half_closer(board, counters, path, rng):
    while not board.stopped():
        async with Raw(path) as raw:
            await raw.send(b'{"id":1,"method":"status"}\n{"id":2,"method":"list"}\n')
            raw.socket.shutdown(socket.SHUT_WR)
            counters.count("halfClosed")
            if await raw.read_lines(1 << 30) == 2:
                counters.count("halfClosedAnswered")
        await asyncio.sleep(0.2 + rng.random() * 2)


async def nonsense(board, counters, path, rng):
    """Each line must be answered with an error, and the session must live on."""
    while not board.stopped():
        async with Raw(path) as raw:
            for _ in range(rng.randrange(1, 50)):
                line = rng.choice(NONSENSE)
                counters.count("malformedSent")
                await raw.send(line + b"\n")
                answer = b""
                while not answer.endswith(b"\n"):
                    data = await raw.read()
                    assert data, f"closed after {line[:60]}"
                    answer += data
                assert "error" in json.loads(answer), (line[:60], answer)
                counters.count("malformedAnswered")
                await asyncio.sleep(rng.random() * 0.4)


async def abrupt(board, counters, path, rng):
    """Is gone before the answers come."""
    while not board.stopped():
        async with Raw(path) as raw:
            for i in range(rng.randrange(1, 10)):
                keys = rng.choice((f"key{rng.randrange(KEYS)}", f"own{rng.random()}"))
                request = {"id": i, "method": "add", "params": {"keys": keys, "ttl": rng.choice((300, 1500)), "retryCount": rng.choice((0, -1))}}
                await raw.send(json.dumps(request).encode() + b"\n")
            counters.count("abrupt")
            if rng.random() < 0.5:
                await asyncio.sleep(rng.random() * 0.1)
        await asyncio.sleep(0.2 + rng.random())


async def scraper(board, counters, path, rng):
    """HTTP: Prometheus, and one that does not finish its request."""
    while not board.stopped():
        async with Raw(path) as raw:
            if rng.random() < 0.7:
                await raw.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                while await raw.read():
                    pass
                counters.count("scrapes")
            else:
                await raw.send(b"GET /metr")
                await asyncio.sleep(rng.random() * 8)
        await asyncio.sleep(1 + rng.random() * 3)


async def lasting(board, counters, kind, path, rng):
    """A kind of client, again and again; what it stumbles over is told."""
    await asyncio.sleep(rng.random() * 3)
    while not board.stopped():
        try:
            await kind(board, counters, path, rng)
        except (OSError, asyncio.TimeoutError, AssertionError) as error:
            counters.count("surprises")
            print(f"{kind.__name__}: {type(error).__name__} {error}", flush=True)
            await asyncio.sleep(0.5)


# --- clients that are killed ------------------------------------------------------------------------------------------


def live_until_killed(board, counters, connect, mortal, generation, rng):
    """One life: takes a key, keeps it while it has it, takes the next. Its connection is closed by its death only."""
    with connect() as client:
        if rng.random() < 0.5:
            client.call("hello", name=f"mortal{mortal}", releaseOn="exit")
        owner = mortal << 32 | generation
        while True:
            key = rng.randrange(KEYS)
            request = client.send("add", keys=f"key{key}", ttl=rng.choice((300, 1500)), retryCount=-1)
            while request not in client.replies:
                client.take(within=60)
            message = client.replies.pop(request)
            if "error" in message:
                time.sleep(0.05)
                continue
            counters.count("grants")
            until = message["result"]["locks"][0]["expiration"]
            if until > unix_ms() and (other := board.enter(key, owner, until, generation)):
                counters.count("violations")
                print(f"VIOLATION: mortal {owner:x} key{key} {other[1]:.1f} ms before {other[0]:x} is over", flush=True)
            time.sleep(max(0, until - unix_ms()) / 1000 + 0.001)
            client.call("free")


def mortals(board, writers, enter, connects, rng):
    """Keeps one process a number alive, and kills each after a while."""
    alive = {}
    generation = 0
    while not board.stopped():
        for mortal in range(1, len(writers) + 1):
            if mortal in alive and alive[mortal][1] > time.monotonic():
                continue
            if mortal in alive:
                board.doom(mortal, alive[mortal][2])
                os.kill(alive[mortal][0], 9)
                os.waitpid(alive[mortal][0], 0)
                writers[mortal - 1].count("killed")
            generation += 1
            seed = rng.random()
            pid = os.fork()
            if pid == 0:
                enter()
                rng.seed(seed)
                try:
                    live_until_killed(board, writers[mortal - 1], connects[mortal % len(connects)], mortal, generation, rng)
                except (OSError, EOFError):
                    time.sleep(3600)  # its daemon was killed
                finally:
                    os._exit(1)
            alive[mortal] = (pid, time.monotonic() + 0.1 + rng.random() * 4, generation)
        select.select([], [], [], 0.1)
    for mortal, (pid, _, generation) in alive.items():
        board.doom(mortal, generation)
        os.kill(pid, 9)
        os.waitpid(pid, 0)
