#!/usr/bin/python3
"""redlockd beside bare hiredis, a bare lock table, an echo server and npm's libraries, in one run.

    tests/bench/bench.py [-s SECONDS] [-r ROUNDS] [-o FOLDER] [-k WORD] [--readme]
    tests/bench/bench.py --check

Contestants have their turn for SECONDS one after the other, and all of that ROUNDS times; what is shown are medians, with the least and
the greatest beside them. Everything runs on this machine. Results go to FOLDER (build/bench): results.json, tables.md, bench.svg.
--readme puts the tables and the plot into README.md and tests/bench (only after a run of everything). -k takes only the scenes that have WORD in their name.

--check takes a minute and looks at ratios only, with room for noise.
"""
import argparse
import contextlib
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "e2e"), str(HERE)]
import harness  # noqa: E402
import plot  # noqa: E402

PROGRAMS = harness.BUILD / "tests" / "bench"
LOADS = [1, 16, 64, 256]
RIVALS = {  # library and its options where keys are distinct, and where one is wanted by all
    "node-redlock 4.2.0": ("redlock4", {}, {"retryCount": -1, "retryDelay": 20, "retryJitter": 20}),
    "node-redlock 5.0.0-beta.2": ("redlock5", {}, {"retryCount": 1000, "retryDelay": 20, "retryJitter": 20}),
    "redis-semaphore 5.8.0": ("redis-semaphore", {}, {"acquireTimeout": 60000, "retryInterval": 20}),
}
LIVE_MUTEX = "live-mutex 0.2.25"


def cpu_us(process):
    """What a process has used of the processors, all its threads."""
    total = 0
    for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1000


def rss_bytes(process):
    for line in pathlib.Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return 1024 * int(line.split()[1])
    raise AssertionError("no Private_Dirty")


def install_peers():
    """npm's libraries, once for each build folder; None where npm or its registry cannot be had."""
    folder = harness.BUILD / "bench-peers"
    folder.mkdir(parents=True, exist_ok=True)
    for script in (HERE / "peers").glob("*.js"):
        shutil.copy(script, folder)
    wanted, done = (HERE / "peers" / "package.json").read_bytes(), folder / "package.json.installed"
    if not done.exists() or done.read_bytes() != wanted:
        (folder / "package.json").write_bytes(wanted)
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--no-update-notifier", "--ignore-scripts"]
        try:
            subprocess.run(command, cwd=folder, check=True, timeout=300, stdin=subprocess.DEVNULL, capture_output=True)
        except (OSError, subprocess.SubprocessError) as error:
            print(f"bench: no libraries from npm: {error}", file=sys.stderr)
            return None
        done.write_bytes(wanted)
    return folder


class Arena:
    """The nodes and servers that contestants meet on."""

    def __init__(self, world, peers, seconds):
        self.world = world
        self.peers = peers
        self.seconds = seconds
        # Nodes remember each key, and a million of them slow them down: new keys have nodes of their own.
        self.nodes = {place: world.nodes(place[1]) for place in (("distinct", 1), ("distinct", 3), ("distinct", 5), ("new", 3))}
        self.nodes["one", 3] = self.nodes["distinct", 3]
        self.daemons = {place: world.daemon(nodes, log={"level": "warn"}) for place, nodes in self.nodes.items() if place[0] != "one"}
        self.daemons["one", 3] = self.daemons["distinct", 3]
        self.daemons["distinct", 0] = self.daemons["one", 0] = world.daemon(log={"level": "warn"})
        self.echo = self.server(PROGRAMS / "echo", world.path / "echo.sock")
        self.table = self.server(PROGRAMS / "table", world.path / "table.sock")
        self.live_mutex = None
        if peers:
            self.live_mutex = self.server("node", peers / "broker.js", world.path / "live-mutex.sock")

    def server(self, *argv):
        process = self.world.spawn([str(word) for word in argv], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout.readline() == "ready\n", argv
        return process, argv[-1]

    def run(self, argv, server=None, nodes=()):
        """One turn of one contestant: its own figures, and the CPU time of its server and of the nodes for each cycle."""
        watched = {"server": [server] if server else [], "redis": [n.process for n in nodes]}
        before = {name: sum(map(cpu_us, processes)) for name, processes in watched.items()}
        done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise AssertionError(f"{argv}: {done.stderr}")
        figures = json.loads(done.stdout)
        for name, processes in watched.items():
            figures[f"{name}_us"] = (sum(map(cpu_us, processes)) - before[name]) / max(1, figures["cycles"])
        return figures

    def load(self, socket, server, mode, n, nodes=()):
        argv = [PROGRAMS / "load", "-s", socket, "-m", mode, "-n", n, "-t", self.seconds]
        return lambda: self.run(argv, server, nodes)

    def redlockd(self, nodes_n, mode, n):
        daemon = self.daemons[mode, nodes_n]
        return self.load(daemon.path, daemon.process, mode, n, self.nodes.get((mode, nodes_n), ()))

    def limit(self, nodes_n, mode, n):
        nodes = self.nodes[mode, nodes_n]
        return lambda: self.run([PROGRAMS / "limit", "-m", mode, "-n", n, "-t", self.seconds, *(node.port for node in nodes)], None, nodes)

    def rival(self, library, options, nodes, mode, n, server=None):
        ports = [node.port for node in nodes] or [self.live_mutex[1]]
        argv = ["node", self.peers / "rival.js", library, mode, n, self.seconds, json.dumps(options), *ports]

        def turn():
            for node in nodes:
                node.command("DEL", "rival:one")
            return self.run(argv, server, nodes)

        return turn


def scenes(arena):
    """Scene -> {contestant: its turn}."""
    all_scenes = {}
    for mode, nodes_n, places in (("distinct", 1, LOADS), ("distinct", 3, LOADS), ("distinct", 5, LOADS), ("new", 3, (64,))):
        for n in places:
            turns = {"bare hiredis": arena.limit(nodes_n, mode, n), "redlockd": arena.redlockd(nodes_n, mode, n)}
            for name, (library, options, _) in RIVALS.items() if arena.peers else ():
                turns[name] = arena.rival(library, options, arena.nodes[mode, nodes_n], mode, n)
            all_scenes[mode, nodes_n, n] = turns
    for n in LOADS:
        turns = {"jansson echo": arena.load(arena.echo[1], arena.echo[0], "distinct", n), "redlockd": arena.redlockd(0, "distinct", n)}
        if arena.peers:
            turns[LIVE_MUTEX] = arena.rival("live-mutex", {}, (), "distinct", n, arena.live_mutex[0])
        all_scenes["distinct", 0, n] = turns
    for nodes_n in (3, 0):
        for n in LOADS[1:]:
            turns = {"bare table": arena.load(arena.table[1], arena.table[0], "one", n), "redlockd": arena.redlockd(nodes_n, "one", n)}
            if arena.peers and nodes_n:
                for name, (library, _, options) in RIVALS.items():
                    turns[name] = arena.rival(library, options, arena.nodes["one", nodes_n], "one", n)
            elif arena.peers:
                turns[LIVE_MUTEX] = arena.rival("live-mutex", {}, (), "one", n, arena.live_mutex[0])
            all_scenes["one", nodes_n, n] = turns
    return all_scenes


def progress(words):
    if sys.stderr.isatty():
        print(f"\r{words:60}", end="", file=sys.stderr, flush=True)


def turn_or_again(turn):
    """A machine that stands still for a fifth of a second makes a release take longer than a node may: said, and tried once more."""
    try:
        return turn()
    except AssertionError as error:
        print(f"bench: once more: {error}", file=sys.stderr)
        return turn()


def measure(all_scenes, rounds):
    results = {scene: {name: [] for name in turns} for scene, turns in all_scenes.items()}
    for number in range(rounds):
        for scene, turns in all_scenes.items():
            progress(f"round {number + 1} of {rounds}: {title(scene)}")
            for name, turn in turns.items():
                results[scene][name].append(turn_or_again(turn))
    progress("")
    return results


def median(rows, name):
    return statistics.median(row[name] for row in rows)


def spread(rows, name):
    values = [row[name] for row in rows]
    return f"{min(values):,.0f}..{max(values):,.0f}"


def title(scene):
    mode, nodes_n, n = scene
    where = f"{nodes_n} node{'s' if nodes_n > 1 else ''}" if nodes_n else "`memory:`"
    return f"{where}, {n} at a time"


class Holding:
    """A daemon of its own, and sessions that hold locks there: what each costs."""

    def __init__(self, world, nodes):
        limits = {"maxSessions": 20000, "maxSessionsPerUid": 20000, "maxLocks": 2000000}
        self.daemon = world.daemon(nodes, log={"level": "warn"}, limits=limits, lock={"maxTtl": 3600000})
        self.world = world

    def take(self, sessions_n, locks_n):
        """Bytes of a session, bytes of a lock, and the latencies of taking and freeing one more."""
        argv = [PROGRAMS / "load", "-s", self.daemon.path, "-m", "hold", "-n", sessions_n, "-l", locks_n]
        bare = rss_bytes(self.daemon.process)
        with subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
            assert load.stdout.readline() == "open\n"
            with self.daemon.client() as client:
                client.call("ping")
                harness.eventually(lambda: client.call("status")["sessions"] == sessions_n + 1, what="all sessions")
            idle = rss_bytes(self.daemon.process)
            load.stdin.write("\n")
            load.stdin.flush()
            figures = json.loads(load.stdout.readline())
            held = rss_bytes(self.daemon.process)
            load.kill()
        self.daemon.kill()  # nobody waits for all of that to be released
        return {"session": (idle - bare) / sessions_n, "lock": (held - idle) / locks_n if locks_n else 0, **figures}


def measure_memory(counts=(1000, 10000, 100000, 1000000), idle_n=10000):
    """A fresh daemon for each figure: what one has grown to it does not give back."""
    rows = {}
    for where, nodes_n in (("`memory:`", 0), ("1 node", 1)):
        for locks_n in counts:
            progress(f"holding {locks_n} locks, {where}")
            with harness.World(quiet=True) as world:
                nodes = world.nodes(nodes_n) if nodes_n else ("memory:",)
                rows[where, locks_n] = Holding(world, nodes).take(1000, locks_n)
    with harness.World(quiet=True) as world:
        rows["idle", idle_n] = Holding(world, ("memory:",)).take(idle_n, 0)
    progress("")
    return rows


def wait_for_rival(arena, library, options, ttl):
    """From the kill -9 of the holder to the grant of who waits, in ms."""
    ports = [node.port for node in arena.nodes["one", 3]] if library != "live-mutex" else [arena.live_mutex[1]]
    for node in arena.nodes["one", 3]:
        node.command("DEL", "rival:one")
    argv = ["node", arena.peers / "rival.js", library, None, 1, 0, json.dumps({**options, "ttl": ttl}), *ports]
    processes = []
    for mode, says in (("hold", "locked\n"), ("wait", "ready\n")):
        argv[3] = mode
        process = arena.world.spawn([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout.readline() == says
        processes.append(process)
    time.sleep(0.2)  # it has asked for the key by then
    processes[0].kill()
    began = time.monotonic()
    assert processes[1].stdout.readline() == "locked\n"
    took = time.monotonic() - began
    processes[1].kill()
    return 1000 * took


def measure_death(arena, ttl=2000):
    rows = {}
    for nodes_n in (0, 3):
        figures = subprocess.run([str(PROGRAMS / "load"), "-s", str(arena.daemons["one", nodes_n].path), "-m", "death"],
                                 capture_output=True, text=True, check=True, timeout=60)
        figures = json.loads(figures.stdout)
        rows["redlockd, " + ("3 nodes" if nodes_n else "`memory:`")] = (figures["p50"] / 1000, figures["p99"] / 1000)
    for name, (library, _, options) in RIVALS.items() if arena.peers else ():
        waits = [wait_for_rival(arena, library, options, ttl) for _ in range(3)]
        rows[f"{name}, ttl {ttl} ms"] = (statistics.median(waits), max(waits))
    if arena.peers:
        waits = [wait_for_rival(arena, "live-mutex", {}, ttl) for _ in range(3)]
        rows[f"{LIVE_MUTEX}, ttl {ttl} ms"] = (statistics.median(waits), max(waits))
    return rows


TENURE_S, SLOT_S, FEW = 0.5, 0.001, 8  # of core/: tenure_ms, WAKE_SLOT_MS, WAKE_FEW
FLEETS = [  # what, and fleet's arguments
    *(("keys of their own", dict(H=h, K=0, s=1, d=1000, r=3000, t=5)) for h in (1, 10, 100, 1000)),
    *(("one key, a session a host", dict(H=h, K=1, s=1, d=100, r=3000, t=t)) for h, t in ((2, 20), (10, 20), (100, 20), (300, 10), (1000, 5))),
    *(("one key, 4 sessions a host", dict(H=h, K=1, s=4, d=10, r=3000, t=t)) for h, t in ((10, 20), (100, 20), (1000, 5))),
    ("10 keys, a session a host for each", dict(H=100, K=10, s=10, d=100, r=3000, t=10)),
    ("100 held and renewed on each", dict(H=10, K=0, s=100, d=1000000, r=3000, t=60, a=True)),
]


def run_fleet(arguments):
    words = [word for name, value in arguments.items() for word in ([f"-{name}"] if value is True else [f"-{name}", str(value)])]
    return json.loads(subprocess.run([str(PROGRAMS / "fleet"), *words], capture_output=True, text=True, check=True).stdout)


def reckon_fleet(arguments, grants):
    """What three nodes are each asked a second, on paper: see README.md."""
    hosts, keys, sessions = arguments["H"], arguments["K"], arguments["s"]
    if keys == 0:
        renewals = hosts * -(-sessions // 64) / (15 / 3) if "a" in arguments else 0
        return {"takes": grants, "releases": grants, "renewals": renewals}
    waits_here = sessions > keys
    turns = 1 / TENURE_S if waits_here else grants / keys
    tries = turns * (hosts - 1)
    lost = keys * (min(tries, 1 / SLOT_S) if hosts > FEW else tries) + keys * hosts / (arguments["r"] / 1000)
    return {"takes": keys * turns + lost, "releases": keys * turns + lost / 3, "renewals": 0}


def measure_fleet():
    rows = []
    for what, arguments in FLEETS:
        progress(f"fleet: {arguments['H']} hosts, {what}")
        seen = run_fleet(arguments)
        rows.append((what, arguments, reckon_fleet(arguments, seen["grants"]), seen))
    progress("")
    return rows


def table_of_fleet(rows):
    shown = []
    for what, arguments, reckoned, seen in rows:
        pairs = [f"{reckoned[name]:,.0f} / {seen[name]:,.0f}" for name in ("takes", "releases", "renewals")]
        shown.append([what, f"{arguments['H']:,}", f"{seen['grants']:,.0f}", *pairs, f"{seen['listens']:,.0f}"])
    return markdown(["", "hosts", "grants/s", "takes/s of a node: reckoned / counted", "releases/s", "renewals/s", "listens and unlistens/s"], shown)


def machine():
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text()).group(1)
    redis = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True).stdout
    node = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip() if shutil.which("node") else "no node"
    release = dict(line.split("=", 1) for line in pathlib.Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return (f"{cpu}, {os.cpu_count()} cores ({platform.machine()}, virtual), Linux {platform.release().split('-')[0]}, "
            f"{release['PRETTY_NAME'].strip(chr(34))}, Redis {re.search('v=([0-9.]+)', redis).group(1)}, node {node}")


def table_of_cycles(results, mode, places):
    rows = []
    for scene, by_name in results.items():
        if scene[0] != mode or scene[1] not in places:
            continue
        ours = median(by_name["redlockd"], "rate")
        for name, turns in by_name.items():
            rate = median(turns, "rate")
            rows.append([title(scene), name, f"{rate:,.0f}", spread(turns, "rate"), f"{ours / rate:.2f}" if rate else "",
                         f"{median(turns, 'p50'):,.0f}", f"{median(turns, 'p99'):,.0f}", f"{median(turns, 'p999'):,.0f}",
                         f"{median(turns, 'server_us'):.1f}", f"{median(turns, 'redis_us'):.1f}", f"{median(turns, 'cpu_us'):.1f}"]
                        + ([f"{median(turns, 'jain'):.3f}", f"{median(turns, 'longest_ms'):,.0f}"] if mode == "one" else []))
            title_shown = rows[-1][0]
            if len(rows) > 1 and any(r[0] == title_shown for r in rows[:-1]):
                rows[-1][0] = ""
    head = ["", "", "cycles/s", "least..greatest", "redlockd is × this", "p50 µs", "p99", "p99.9", "µs CPU: broker", "Redis", "client"]
    return markdown(head + (["Jain's index", "longest wait, ms"] if mode == "one" else []), rows)


def markdown(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


GOALS = [  # what, scene, contestants, figure, least ratio
    ("distinct keys, 3 nodes, 64 at a time: of bare hiredis", ("distinct", 3, 64), "bare hiredis", "rate", 0.6),
    ("the same: of node-redlock 4.2.0", ("distinct", 3, 64), "node-redlock 4.2.0", "rate", 3),
    ("the same, each time a key that nobody ever took: of bare hiredis", ("new", 3, 64), "bare hiredis", "rate", 0.6),
    ("... of node-redlock 4.2.0", ("new", 3, 64), "node-redlock 4.2.0", "rate", 3),
    ("one at a time, 3 nodes: latency of a cycle, of bare hiredis (at most)", ("distinct", 3, 1), "bare hiredis", "p50", 1.8),
    ("`memory:`, 64 sessions: of an echo server with jansson", ("distinct", 0, 64), "jansson echo", "rate", 0.95),
    ("one key, `memory:`, 16 sessions: of a bare first-come table", ("one", 0, 16), "bare table", "rate", 0.9),
    ("one key, 3 nodes, 16 sessions: of a bare first-come table", ("one", 3, 16), "bare table", "rate", 0.9),
]


def ratio(by_name, other, figure):
    """Turn by turn, since neighbours share the machine's mood."""
    pairs = zip(by_name["redlockd"], by_name[other])
    return statistics.median(ours[figure] / theirs[figure] for ours, theirs in pairs)


def table_of_goals(results):
    rows = []
    for what, scene, other, figure, bound in GOALS:
        if scene in results and other in results[scene]:
            rows.append([what, f"{ratio(results[scene], other, figure):.2f}", f"{bound:g}"])
    return markdown(["", "ratio", "goal"], rows)


def table_of_memory(memory):
    rows = []
    for (where, n), row in memory.items():
        if where == "idle":
            rows.append([f"{n:,} idle sessions", f"{row['session']:,.0f}", "", "", ""])
        else:
            rows.append([f"{n:,} locks of 1,000 sessions, {where}", f"{row['session']:,.0f}", f"{row['lock']:,.0f}", f"{row['p50']:,.0f}", f"{row['p99']:,.0f}"])
    return markdown(["", "bytes a session", "bytes a lock", "one more: p50 µs", "p99"], rows)


def table_of_death(death):
    return markdown(["holder killed with kill -9", "median, ms", "p99 or worst, ms"], [[name, f"{a:,.1f}", f"{b:,.1f}"] for name, (a, b) in death.items()])


def write_results(folder, results, memory, death):
    folder.mkdir(parents=True, exist_ok=True)
    plain = {"machine": machine(), "cycles": [{"scene": scene, "turns": turns} for scene, turns in results.items()],
             "memory": [[*key, row] for key, row in memory.items()], "death": death}
    (folder / "results.json").write_text(json.dumps(plain, indent=1))
    parts = [f"{machine()}.", table_of_goals(results),
             "Distinct keys: take and free.", table_of_cycles(results, "distinct", (1, 3, 5, 0)),
             "Each time a key that nobody ever took.", table_of_cycles(results, "new", (3,)),
             "One key that all want, held for no time.", table_of_cycles(results, "one", (3, 0))]
    if memory:
        parts += ["Memory of the daemon (private and dirty).", table_of_memory(memory)]
    if death:
        parts += [table_of_death(death)]
    text = "\n\n".join(parts) + "\n"
    (folder / "tables.md").write_text(text)
    (folder / "bench.svg").write_text(plot.draw(results, machine()))
    return text


def put_between(path, word, text):
    """Replaces what stands between the two marks of this word."""
    old = path.read_text()
    begin, end = f"<!-- {word} -->\n", f"<!-- /{word} -->"
    before, rest = old.split(begin)
    path.write_text(before + begin + text.rstrip("\n") + "\n" + end + rest.split(end)[1])


def check():
    """The goals that are ratios to what runs here anyway, a third of the way to failure left to noise."""
    bounds = [("distinct", 3, 64, "bare hiredis", 0.4), ("distinct", 0, 64, "jansson echo", 0.85), ("one", 0, 16, "bare table", 0.65)]
    failed = 0
    with harness.World(quiet=True) as world:
        arena = Arena(world, None, 1)
        all_scenes = scenes(arena)
        results = measure({scene[:3]: all_scenes[scene[:3]] for scene in bounds}, 5)
    for *scene, other, bound in bounds:
        seen = ratio(results[tuple(scene)], other, "rate")
        failed += seen < bound
        print(f"{'ok    ' if seen >= bound else 'FAILED'} {'distinct keys' if scene[0] == 'distinct' else 'one key'}, {title(scene)}: {seen:.2f} of {other}, at least {bound:.2f}")
    # What several commands in one call save; processor time, which a busy machine changes less than rates.
    seen = ratio(results["distinct", 3, 64], "bare hiredis", "redis_us")
    failed += seen > 0.85
    print(f"{'ok    ' if seen <= 0.85 else 'FAILED'} distinct keys, 3 nodes, 64 at a time: {seen:.2f} of bare hiredis in the servers' CPU, at most 0.85")
    memory = measure_memory(counts=(20000,), idle_n=2000)
    for what, seen, bound in (("a lock, memory:", memory["`memory:`", 20000]["lock"], 450), ("a lock, 1 node", memory["1 node", 20000]["lock"], 355),
                              ("an idle session", memory["idle", 2000]["session"], 8192)):
        failed += seen > bound
        print(f"{'ok    ' if seen <= bound else 'FAILED'} {what}: {seen:,.0f} bytes, at most {bound:,.0f}")
    # The same on every machine, since time there is not the machine's.
    seen = run_fleet(dict(H=100, K=1, s=1, d=0, r=100, t=3))
    fits = seen["grants"] >= 200 and seen["takes"] <= 4000
    failed += not fits
    print(f"{'ok    ' if fits else 'FAILED'} 100 hosts want one key: {seen['grants']:,.0f} grants a second, at least 200; {seen['takes']:,.0f} takes of a node, at most 4,000")
    print(f"{len(bounds) + 5 - failed} passed, {failed} failed")
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-s", dest="seconds", type=float, default=1.5)
    parser.add_argument("-r", dest="rounds", type=int, default=5)
    parser.add_argument("-o", dest="folder", type=pathlib.Path, default=harness.BUILD / "bench")
    parser.add_argument("-k", dest="word", default="")
    parser.add_argument("--readme", action="store_true")
    parser.add_argument("--goals", action="store_true", help="only the scenes of the goals, and their ratios into README.md with --readme")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.check:
        return check()
    with harness.World(quiet=True) as world:
        arena = Arena(world, install_peers(), options.seconds)
        chosen = {scene: turns for scene, turns in scenes(arena).items() if options.word in " ".join([scene[0], title(scene)])}
        if options.goals:
            wanted = {scene: {"redlockd", *(g[2] for g in GOALS if g[1] == scene)} for scene in {g[1] for g in GOALS}}
            chosen = {scene: {name: turns[name] for name in turns if name in wanted[scene]} for scene, turns in chosen.items() if scene in wanted}
        results = measure(chosen, options.rounds)
        if options.goals:
            print(table_of_goals(results))
            if options.readme:
                put_between(HERE.parents[1] / "README.md", "goals", table_of_goals(results))
            return 0
        write_results(options.folder, results, {}, {})  # whatever comes of the rest
        death = measure_death(arena) if options.word in "death" else {}
    memory = measure_memory() if options.word in "memory" else {}
    fleet = measure_fleet() if options.word in "fleet" else []
    print(write_results(options.folder, results, memory, death))
    print(table_of_fleet(fleet))
    if options.readme:
        put_between(HERE.parents[1] / "README.md", "goals", table_of_goals(results))
        put_between(HERE / "README.md", "tables", (options.folder / "tables.md").read_text())
        put_between(HERE / "README.md", "fleet", table_of_fleet(fleet))
        shutil.copy(options.folder / "bench.svg", HERE / "bench.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
