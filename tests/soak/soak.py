"""
A soak: soak.py SECONDS [SEED]

Hundreds of sessions, good ones and bad ones, at two daemons (two hosts) on three real redis-servers, which are meanwhile
stopped, killed and started empty; so is the second daemon. Watched are the memory and the descriptors of the first
daemon, the latency of one good client, and that no two clients believe to hold one key. The summary is one table; the exit
status is 1 if anything in it is not as it must be.
"""

import asyncio
import json
import os
import pathlib
import random
import resource
import select
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

import harness  # noqa: E402
from bad import abrupt, flood, half_closer, half_line, lasting, mortals, nonsense, reads_nothing, scraper, silent  # noqa: E402
from board import COUNTED, MORTALS, Board  # noqa: E402
from good import Locker, Probe, crowd_rng, listener  # noqa: E402

# Longest ttl: nodes that come back empty are silent for it and 1 %.
MAX_TTL = 2000
CONFIG = {"lock": {"maxTtl": MAX_TTL, "ttl": 1000}, "redis": {"reconnectMax": 500}, "log": {"level": "warn"}}

LOCKERS = 80
LISTENERS = 60
BAD = ((flood, 4), (half_line, 40), (silent, 80), (reads_nothing, 6), (half_closer, 12), (nonsense, 30), (abrupt, 16))

# What must hold. The descriptors and the sessions must be back where they were before the crowd came.
GROWTH_MAX = 1.10  # of the memory: the most in the last quarter, by the most in the second one; once a quarter is WARM_S long
WARM_S = 60
REPORT_S = 600  # a table as it stands so far
PING_P99_MAX_MS = 50  # beyond what a sleep of that client was late


def fork(job):
    """A process of our own that gives back one JSON value; returns what collects it."""
    end, begin = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(end)
            harness.die_with_parent()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            with os.fdopen(begin, "w") as f:
                json.dump(job(), f)
            status = 0
        except BaseException as error:  # told, and seen by the status
            print(f"{job.__name__}: {type(error).__name__} {error}", flush=True)
        finally:
            os._exit(status)
    os.close(begin)

    def collect(now=False):
        """Its value when it ends; `now`: only looks whether it has ended, as it must not."""
        if now:
            assert os.waitpid(pid, os.WNOHANG)[0] == 0, f"{job.__name__} has ended"
            return None
        with os.fdopen(end) as f:
            value = f.read()
        assert os.waitpid(pid, 0)[1] == 0, f"{job.__name__} failed"
        return json.loads(value)

    return collect


class Watch:
    """Memory and descriptors of a daemon, second by second."""

    def __init__(self, pid):
        self.proc = pathlib.Path(f"/proc/{pid}")
        self.kib, self.fds, self.pid = [], [], pid

    def memory(self):
        for line in (self.proc / "status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("the daemon is gone")

    def descriptors(self):
        return len(os.listdir(self.proc / "fd"))

    def look(self):
        self.kib.append(self.memory())
        self.fds.append(self.descriptors())

    def cpu(self):
        fields = (self.proc / "stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def most(self, quarter):
        n = len(self.kib)
        return max(self.kib[n * (quarter - 1) // 4 : max(1, n * quarter // 4)])


class Trouble:
    """Stops and kills nodes, and the second daemon; one thing at a time, each with its end."""

    def __init__(self, nodes, other, rng):
        self.nodes, self.other, self.rng = nodes, other, rng
        self.done = {"nodes stopped": 0, "nodes killed, started empty": 0, "the other daemon stopped": 0, "killed": 0}
        self.end = None
        self.next = time.monotonic() + 5

    def count(self, what, n=1):
        self.done[what] += n

    def step(self):
        """Does what is due."""
        if time.monotonic() < self.next:
            return
        if self.end:
            self.end()
            self.end = None
            self.next = time.monotonic() + 2 + self.rng.random() * 6
            return
        self.end = self.rng.choice((self.stop, self.stop, self.stop, self.kill, self.kill, self.stop_other, self.kill_other))()

    def some(self, long):
        self.next = time.monotonic() + 0.05 + self.rng.random() * long
        return self.rng.sample(self.nodes, self.rng.choice((1, 1, 1, 1, 2, 3)))

    def stop(self):
        nodes = self.some(3)
        for node in nodes:
            node.stop()
        self.count("nodes stopped", len(nodes))
        return lambda: [node.cont() for node in nodes]

    def kill(self):
        nodes = self.some(4)
        for node in nodes:
            node.kill()
        self.count("nodes killed, started empty", len(nodes))
        return lambda: [node.start() for node in nodes]

    def stop_other(self):
        self.some(2)
        harness.stop_process(self.other.process)
        self.count("the other daemon stopped")
        return lambda: self.other.process.send_signal(signal.SIGCONT)

    def kill_other(self):
        self.some(1)
        self.other.kill()
        self.count("killed")
        return lambda: self.other.start(up=False)


def crowd(board, counters, seed, daemon, other, metrics):
    """All sessions of the one process that has many."""

    async def everybody():
        jobs = [Locker(board, counters, (daemon if i % 3 else other).path, crowd_rng(seed, i)).run() for i in range(LOCKERS)]
        jobs += [listener(board, counters, daemon.path, crowd_rng(seed, 100 + i)) for i in range(LISTENERS)]
        for i, kind in enumerate(kind for kind, n in BAD for _ in range(n)):
            jobs.append(lasting(board, counters, kind, daemon.path, crowd_rng(seed, 200 + i)))
        jobs += [lasting(board, counters, scraper, metrics, crowd_rng(seed, 900 + i)) for i in range(3)]
        tasks = [asyncio.create_task(job) for job in jobs]
        while not board.stopped():
            await asyncio.sleep(0.2)
            for task in tasks:
                if task.done():
                    task.result()  # one that failed ends the soak
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(everybody())
    return {}


def hears_of_releases(daemon, other, nodes):
    """The second connection to each node is made for the first that waits for another host, and stays: it counts as before."""
    with harness.connect(other.path) as one, harness.connect(daemon.path) as another:
        one.add("key0", ttl=MAX_TTL)
        request = another.send("add", keys="key0", wait=10000)
        listens = lambda node: node.command("PUBSUB", "NUMSUB", "redlockd:free:key0")[1] == 1
        harness.eventually(lambda: all(listens(node) for node in nodes), what="a second connection to each node")
        one.call("free")
        another.reply(request)


def soak(seconds, seed):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rng = random.Random(seed)
    board = Board()
    rows = [board.writer() for _ in range(MORTALS + 1)]
    with harness.World(quiet=True) as world:
        nodes = world.nodes(3)
        metrics = world.path / "metrics.sock"
        daemon = world.daemon(nodes, metrics={"listen": str(metrics)}, **CONFIG)
        other = world.daemon(nodes, up=False, **CONFIG)
        other.wait_nodes(3)
        client = daemon.client()
        watch = Watch(daemon.process.pid)
        hears_of_releases(daemon, other, nodes)
        harness.eventually(lambda: client.call("status")["sessions"] == 1)
        before = {"kib": watch.memory(), "fds": watch.descriptors()}
        cpu, begin = watch.cpu(), time.monotonic()

        told = world.path / "latency"
        probe = fork(lambda: Probe(board, harness.connect(daemon.path), told).run())
        connects = [lambda: harness.connect(daemon.path), lambda: harness.connect(other.path)]
        killed = fork(lambda: mortals(board, rows[1:], harness.die_with_parent, connects, crowd_rng(seed, 1000)) or {})
        others = fork(lambda: crowd(board, rows[0], seed, daemon, other, metrics))
        trouble = Trouble(nodes, other, rng)
        sessions = []
        next_look = begin
        while time.monotonic() - begin < seconds:
            trouble.step()
            if time.monotonic() >= next_look:
                next_look += 1
                watch.look()
                sessions.append(client.call("status", within=60)["sessions"])
                for child in (probe, killed, others):
                    child(now=True)
                if len(watch.kib) % REPORT_S == 0 and len(watch.kib) < seconds - 1:
                    print(f"\nafter {len(watch.kib)} s:")
                    report(seed, time.monotonic() - begin, watch.cpu() - cpu, before, None, watch, sessions, trouble,
                           json.loads(told.read_text()), client.call("status")["counters"], totals(board))  # fmt: skip
                if len(watch.kib) % 60 == 0:
                    print(f"{len(watch.kib)} s: {watch.kib[-1]} KiB, {watch.fds[-1]} descriptors, {sessions[-1]} sessions, "
                          f"{board.total('grants')} grants, {board.total('violations')} violations", flush=True)  # fmt: skip
            select.select([], [], [], 0.05)
        if trouble.end:
            trouble.end()
        ran, cpu = time.monotonic() - begin, watch.cpu() - cpu
        board.stop()
        probe()
        latency = json.loads(told.read_text())
        killed()
        others()
        counters = client.call("status")["counters"]
        harness.eventually(lambda: client.call("status")["sessions"] == 1, within=30, what="all sessions ended")
        harness.eventually(lambda: watch.descriptors() <= before["fds"], within=30, what=f"{before['fds']} descriptors")
        harness.eventually(lambda: not client.call("locks")["locks"], within=30, what="no locks")
        after = {"kib": watch.memory(), "fds": watch.descriptors()}
        harness.eventually_empty(nodes, within=30)
        daemon.terminate()
    return report(seed, ran, cpu, before, after, watch, sessions, trouble, latency, counters, totals(board))


def totals(board):
    return {name: board.total(name) for name in COUNTED}


def report(seed, ran, cpu, before, after, watch, sessions, trouble, latency, counters, total):
    growth = watch.most(4) / watch.most(2)
    load = os.getloadavg()
    wrong = []

    def must(holds, what):
        if not holds:
            wrong.append(what)

    must(total["violations"] == 0, "two held one key")
    must(total["surprises"] == 0, "a client saw what it must not see")
    must(total["notReadKept"] == 0, "a reader that does not read was kept")
    must("LOCKED" not in latency["refused"], "the key that one client asks for was somebody's")
    must(total["grants"] > ran, "hardly any locks")
    must(total["malformedSent"] - total["malformedAnswered"] <= 30, "nonsense without an answer")
    must(growth <= GROWTH_MAX or ran < 4 * WARM_S, f"the memory grew by {growth:.2f}")
    must(latency["ping"]["p99"] <= PING_P99_MAX_MS + latency["late"]["p99"], "the good client had to wait")

    def times(what):
        q = latency[what]
        return f"{q['p50']:.2f} / {q['p99']:.2f} / {q['p999']:.2f} / {q['max']:.1f}"

    left = f"{after['kib']} when all had left" if after else "the crowd is there yet"
    fds_left = f"{after['fds']} when all had left" if after else "the crowd is there yet"
    table = [
        ("ran", f"{ran:.0f} s, seed {seed}; the daemon used {100 * cpu / ran:.0f} % of a core; load average at the end {load[1]:.1f}"),
        ("sessions", f"{sorted(sessions)[len(sessions) // 2]} at a time (most {max(sessions)}); {total['reconnects']} thrown out by a daemon's death"),
        ("faults", ", ".join(f"{what} {n}" for what, n in trouble.done.items())),
        ("good lockers", f"{total['grants']} grants, {total['extensions']} extensions, {total['refused']} refused, "
                         f"{total['noQuorum']} without a quorum, {total['lapsed']} lapsed, {total['lost']} told to be lost"),
        ("killed clients", f"{total['killed']} kill -9; {total['connectionsLeft'] + total['abrupt']} left with locks or requests"),
        ("floods", f"{total['floodRequests']} requests in bursts, {total['floodReplies']} answered"),
        ("half lines, silent, half-closed", f"{total['halfLines']}, {total['silent']}, {total['halfClosed']} ({total['halfClosedAnswered']} answered)"),
        ("readers that do not read", f"{total['notRead']}, closed by the daemon {total['notReadClosed']}"),
        ("nonsense", f"{total['malformedSent']} lines, {total['malformedAnswered']} errors; metrics scraped {total['scrapes']} times"),
        ("**two holders of a key**", f"**{total['violations']}**"),
        ("surprises of a client", f"{total['surprises']}"),
        ("memory (RSS, KiB)", f"{before['kib']} before; most in each quarter {', '.join(str(watch.most(q)) for q in (1, 2, 3, 4))}; {left}"),
        ("descriptors", f"{before['fds']} before, {max(watch.fds)} at most, {fds_left}"),
        ("ping of a good client, ms", f"{times('ping')} (p50 / p99 / p99.9 / most of {latency['ping']['n']})"),
        ("its add, ms", f"{times('add')} ({latency['add']['n']}; refused: {latency['refused']})"),
        ("its free, ms", f"{times('free')}"),
        ("how late a sleep of that client ended, ms", f"{times('late')}"),
        ("the daemon's counters", ", ".join(f"{name} {value}" for name, value in counters.items())),
        ("in order", "no: " + "; ".join(wrong) if wrong else "yes"),
    ]  # fmt: skip
    print("\n| soak | |\n|---|---|")
    for name, value in table:
        print(f"| {name} | {value} |")
    sys.stdout.flush()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(soak(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1000000)))
