"""
Clients that do as they should: lockers that want a few keys among many, listeners, and one whose latency is measured.
"""

import asyncio
import itertools
import json
import random
import time

from board import KEYS, NEAR_MS, unix_ms

owners = itertools.count(1)


class Refused(Exception):
    """An error reply."""


class Gone(Exception):
    """The connection ended."""


class Session:
    """One connection of the crowd: replies by id, notices by hand."""

    def __init__(self, path, on_notice=None):
        self.path, self.on_notice = path, on_notice
        self.waiting, self.last_id = {}, 0

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_unix_connection(str(self.path), limit=4 << 20)
        self.task = asyncio.create_task(self.read())
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        self.writer.close()

    async def read(self):
        try:
            while line := await self.reader.readline():
                message = json.loads(line)
                if "method" in message:
                    if self.on_notice:
                        self.on_notice(message)
                elif message["id"] in self.waiting:
                    self.waiting.pop(message["id"]).set_result(message)
        except OSError:
            pass
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(Gone())
        self.waiting = {}

    async def call(self, method, within=30, **params):
        self.last_id += 1
        request = self.last_id
        future = asyncio.get_running_loop().create_future()
        self.waiting[request] = future
        self.writer.write(json.dumps({"jsonrpc": "2.0", "id": request, "method": method, "params": params}).encode() + b"\n")
        if self.task.done():
            raise Gone()
        message = await asyncio.wait_for(future, within)
        if "error" in message:
            raise Refused(message["error"]["data"]["name"])
        return message["result"]


class Locker:
    """Takes keys and gives them back, in each of the ways in which a client can; all on the board."""

    def __init__(self, board, counters, path, rng):
        self.board, self.counters, self.path, self.rng = board, counters, path, rng
        self.held = {}  # key -> (owner, until)

    def collision(self, what, key, other):
        self.counters.count("violations")
        print(f"VIOLATION: {what} key{key} {other[1]:.1f} ms before {other[0]:x} is over", flush=True)

    def believe(self, locks):
        for lock in locks:
            key = int(lock["key"][3:])
            owner = self.held[key][0] if key in self.held else next(owners)
            self.held[key] = (owner, lock["expiration"])
            if lock["expiration"] <= unix_ms():
                continue
            if other := self.board.enter(key, owner, lock["expiration"]):
                self.collision(f"{lock['state']} {owner:x}", key, other)

    def forget(self, key):
        if key in self.held and (other := self.board.leave(key, *self.held.pop(key))):
            self.collision("given back", key, other)

    def on_notice(self, message):
        self.counters.count("noticesRead")
        if message["method"] == "lost":
            self.counters.count("lost")
            self.forget(int(message["params"]["key"][3:]))

    async def run(self):
        while not self.board.stopped():
            self.held = {}
            try:
                async with Session(self.path, self.on_notice) as session:
                    try:
                        await session.call("subscribe")
                        for _ in range(self.rng.randrange(2, 40)):
                            await self.turn(session)
                            if self.board.stopped():
                                break
                        self.leave_with_what_is_held()
                    except asyncio.CancelledError:  # the end of the soak, and of the connection
                        for key in list(self.held):
                            self.forget(key)
                        raise
            except (Gone, OSError):
                self.counters.count("reconnects")  # the other host's daemon was killed
                await asyncio.sleep(0.2)
            except asyncio.TimeoutError:
                self.counters.count("surprises")
                print("a request was not answered within its time", flush=True)

    def leave_with_what_is_held(self):
        self.counters.count("connectionsLeft")
        for key in list(self.held):
            if self.held[key][1] - unix_ms() > NEAR_MS:
                self.forget(key)

    async def turn(self, session):
        rng = self.rng
        await asyncio.sleep(rng.random() * 2)
        keys = [f"key{k}" for k in rng.sample(range(KEYS), rng.choice((1, 1, 1, 2, 3)))]
        renewed = rng.random() < 0.3
        options = {"ttl": rng.choice((300, 700, 1500)), "autoExtend": renewed, **rng.choice(({"wait": 3000}, {"retryCount": 0}))}
        try:
            result = await session.call("add", keys=keys, **options)
            self.counters.count("grants")
            self.believe(result["locks"])
            await self.use(session, keys, options)
        except Refused as error:
            self.counters.count("noQuorum" if str(error) == "NO_QUORUM" else "refused")
            if str(error) not in ("NO_QUORUM", "LOCKED", "DEADLOCK", "LOST"):
                self.counters.count("surprises")
                print(f"refused with {error}", flush=True)
        if rng.random() < 0.05:
            return  # keeps what it has, until its next add or its end
        await self.give_back(session)

    async def use(self, session, keys, options):
        rng = self.rng
        await asyncio.sleep(rng.random() * 0.15)
        if options["autoExtend"]:
            for _ in range(rng.randrange(4)):
                await asyncio.sleep(options["ttl"] / 2000)
                self.believe((await session.call("list"))["locks"])
        elif rng.random() < 0.3:
            result = await session.call("extend", keys=keys, ttl=options["ttl"], strict=True, retryCount=0)
            self.counters.count("extensions")
            self.believe(result["locks"])
        elif rng.random() < 0.1:
            await asyncio.sleep(options["ttl"] / 1000)

    async def give_back(self, session):
        for key in list(self.held):
            if self.held[key][1] - unix_ms() > NEAR_MS:
                self.forget(key)
        if self.held:
            self.counters.count("lapsed", len(self.held))
            await asyncio.sleep(max(0, max(until for _, until in self.held.values()) - unix_ms()) / 1000)
            self.held = {}
        await session.call("free")
        self.counters.count("frees")


async def listener(board, counters, path, rng):
    """Says nothing more than that it wants to know everything."""
    while not board.stopped():
        try:
            async with Session(path, lambda _: counters.count("noticesRead")) as session:
                await session.call("subscribe", events=["lost", "expiring", "stopping", "node"])
                await asyncio.wait([session.task], timeout=30 + rng.random() * 60)
        except (Gone, OSError):
            await asyncio.sleep(0.2)


class Probe:
    """A process that does nothing but to ask, and to measure how long the answer took, and how late the machine is."""

    def __init__(self, board, client, told):
        self.board, self.client, self.told = board, client, told
        self.took = {"late": [], "ping": [], "add": [], "free": []}
        self.refused = {}

    def timed(self, what, method, **params):
        begin = time.monotonic()
        self.client.call(method, **params)
        self.took[what].append((time.monotonic() - begin) * 1000)

    def run(self):
        nap, rounds = 0.1, 0
        while not self.board.stopped():
            begin = time.monotonic()
            time.sleep(nap)
            self.took["late"].append((time.monotonic() - begin - nap) * 1000)
            self.timed("ping", "ping")
            rounds += 1
            if rounds % 3:
                continue
            try:
                self.timed("add", "add", keys="probe", ttl=1000, retryCount=0)
                self.timed("free", "free")
            except Exception as error:
                name = getattr(error, "name", None)
                if name not in ("NO_QUORUM", "LOCKED"):
                    raise
                self.refused[name] = self.refused.get(name, 0) + 1
            if rounds % 300 == 0:
                self.tell()
        self.tell()
        return {}

    def tell(self):
        """So far; for whoever reads the file."""
        so_far = {"refused": self.refused, **{what: quantiles(values) for what, values in self.took.items()}}
        new = self.told.with_suffix(".new")
        new.write_text(json.dumps(so_far))
        new.rename(self.told)


def quantiles(values):
    values = sorted(values)
    at = lambda q: round(values[min(len(values) - 1, int(len(values) * q))], 3) if values else None
    return {"n": len(values), "p50": at(0.5), "p99": at(0.99), "p999": at(0.999), "max": at(1)}


def crowd_rng(seed, i):
    return random.Random(seed * 1000 + i)
