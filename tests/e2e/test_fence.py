"""Fences: in every answer about a lock, and greater for every later lock on the same key, whoever grants it."""

import os
import pathlib
import random
import sqlite3
import subprocess
import time

import pytest

from harness import REDLOCKCTL, ROOT, SLOW, eventually, eventually_empty, let_pass, sanitized

HERE = pathlib.Path(__file__).parent
FENCE_MAX = 2**53
HAND_OVERS = 1024  # as many fences are one host's own under one lease
DAY = 24 * 60 * 60 * 1000
SHORT = {"ttl": 500, "maxTtl": 500}  # and thus a short quarantine

# How many locks three daemons with clocks some seconds apart grant; 100,000 when it counts.
GRANTS = int(os.environ.get("REDLOCKD_GRANTS", 4000))


def fence_of(client, keys="k", **params):
    return client.add(keys, **params)["k"]["fence"]


def raised(client):
    return client.call("status")["counters"]["raises"]


# --- where it is shown --------------------------------------------------------------------------------------------------


def test_every_answer_about_a_lock_has_its_fence(client):
    locks = client.add(["a", "b"], ttl=20000)
    fences = {key: lock["fence"] for key, lock in locks.items()}
    assert all(type(fence) is int and 0 < fence < FENCE_MAX for fence in fences.values())

    def shown(locks):
        return {lock["key"]: lock["fence"] for lock in locks}

    assert shown(client.call("list")["locks"]) == fences
    assert shown(client.call("locks")["locks"]) == fences
    assert shown(client.call("subscribe")["locks"]) == fences
    held = client.call("add", keys=["a", "b"])["locks"]
    assert {lock["state"] for lock in held} == {"held"} and shown(held) == fences
    extended = client.call("extend", keys=["a", "b"], ttl=30000)["locks"]
    assert {lock["state"] for lock in extended} == {"extended"} and shown(extended) == fences


def test_a_fence_is_of_the_time_of_its_grant(client):
    """So that it is below 2^53 for the next two centuries."""
    assert abs(fence_of(client) / 1024 - time.time() * 1000) < 20000


def test_run_has_the_fences_of_its_keys_in_their_order(world, broker):
    client = broker.client()
    last = (0, 0)
    for _ in range(3):
        argv = [REDLOCKCTL, "-s", broker.path, "run", "b,a", "--", "sh", "-c", 'echo "$REDLOCK_FENCES"; read line']
        run = world.spawn(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        fences = tuple(int(n) for n in run.stdout.readline().split(b","))
        assert fences == tuple(client.call("locks", key=key)["locks"][0]["fence"] for key in "ba")
        assert all(now > before for now, before in zip(fences, last, strict=True))
        last = fences
        run.communicate()
        assert run.returncode == 1  # of `read` at the end of its input


# --- it rises -----------------------------------------------------------------------------------------------------------


def test_it_rises_with_each_lock_and_stays_with_an_extension(client):
    last = 0
    for _ in range(50):
        fence = fence_of(client)
        assert fence > last
        assert client.extend("k", ttl=20000)["k"]["fence"] == fence
        client.call("free")
        last = fence


def test_what_is_reacquired_has_a_new_one(client):
    lock = client.add("k", ttl=100)["k"]
    let_pass(client, 200)
    again = client.extend("k", ttl=20000)["k"]
    assert again["state"] == "reacquired" and again["fence"] > lock["fence"] and again["value"] != lock["value"]
    assert client.list()["k"]["fence"] == again["fence"]


def test_it_rises_from_one_session_to_the_next_beyond_what_one_lease_has(client, other):
    """A waiter is there at each release, so that the lease stays with the host: until its numbers run out."""
    holder, waiter = client, other
    last = fence_of(holder)
    for _ in range(2 * HAND_OVERS + 100):
        request = waiter.send("add", keys="k", retryCount=-1)
        eventually(lambda: holder.call("locks", key="k")["locks"][0]["waiters"] == 1)
        holder.call("free")
        fence = waiter.reply(request)["locks"][0]["fence"]
        assert fence > last
        last = fence
        holder, waiter = waiter, holder
    assert holder.call("status")["counters"]["handovers"] > 2 * HAND_OVERS


def test_it_rises_from_host_to_host(world, nodes3):
    clients = [world.daemon(nodes3).client() for _ in range(3)]
    last = 0
    for client in clients * 20:
        fence = fence_of(client)
        assert fence > last
        client.call("free")
        last = fence


def test_it_rises_from_host_to_host_when_each_asks_another_majority(world, nodes3):
    """Of three nodes each host gets two, and no two hosts the same two."""
    clients = [world.daemon(nodes3).client() for _ in range(3)]
    last = 0
    for _ in range(10):
        for client, away in zip(clients, nodes3, strict=True):
            away.command("SET", "k", "somebody-else", "PX", 20000)  # not this node's vote
            fence = fence_of(client)
            assert fence > last
            client.call("free")
            away.command("DEL", "k")
            last = fence


def test_it_rises_over_nodes_that_come_back_empty(world, nodes3):
    clients = [world.daemon(nodes3, lock=SHORT).client() for _ in range(2)]
    last = 0
    for node in nodes3:
        for client in clients * 2:
            fence = fence_of(client)
            assert fence > last
            client.call("free")
            last = fence
        node.restart()
        eventually(lambda: [n["state"] for n in clients[0].call("nodes")["nodes"]] == ["up"] * 3)
        eventually(lambda: [n["state"] for n in clients[1].call("nodes")["nodes"]] == ["up"] * 3)
        assert node.get("redlockd:fence:k") is None
    assert fence_of(clients[0]) > last


# --- the companion key --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "app:"])
def test_a_companion_key_keeps_it_for_a_day_after_the_last_use(world, nodes3, prefix):
    client = world.daemon(nodes3, lock={"keyPrefix": prefix}).client()
    fence = fence_of(client, ttl=20000)
    name = f"redlockd:fence:{prefix}k"
    for node in nodes3:
        eventually(lambda: node.get(name) == str(fence))
        assert DAY - 20000 * SLOW < node.command("PTTL", name) <= DAY
        node.command("PEXPIRE", name, 60000)
    client.extend("k", ttl=20000)
    for node in nodes3:
        eventually(lambda: node.command("PTTL", name) > DAY - 20000 * SLOW)
    client.call("free")
    eventually_empty(nodes3)
    assert all(node.get(name) == str(fence) for node in nodes3)


def test_a_client_that_knows_of_no_fence_excludes_and_has_none(daemon, nodes3):
    client = daemon.client()
    for node in nodes3:
        assert node.command("SET", "k", "somebody-else", "PX", 20000, "NX") == "OK"
    client.fails("LOCKED", "add", keys="k", retryCount=0)
    assert all(node.get("redlockd:fence:k") is None for node in nodes3)
    for node in nodes3:
        node.command("DEL", "k")
    fence = fence_of(client)
    assert all(node.command("SET", "k", "somebody-else", "PX", 20000, "NX") is None for node in nodes3)
    assert fence == client.list()["k"]["fence"]


GARBAGE = ["", "x", "-5", "nan", "inf", "-inf", "1e300", "0x10", "1.5", "9" * 400, "\0\n",
           str(FENCE_MAX - 1), str(FENCE_MAX), str(FENCE_MAX + 1), str(2**64)]  # fmt: skip


@pytest.mark.parametrize("where", ["everywhere", "on one node"])
@pytest.mark.parametrize("before", ["the lock", "its extension"])
def test_what_stands_there_and_is_no_fence_harms_nothing(daemon, nodes3, where, before):
    client = daemon.client()
    name = "redlockd:fence:k"
    for value in [*GARBAGE, None]:
        last = fence_of(client) if before == "its extension" else 0
        for node in nodes3 if where == "everywhere" else nodes3[:1]:
            node.command("DEL", name)
            if value is None:
                node.command("RPUSH", name, "a list")
            else:
                node.command("SET", name, value)
        if before == "the lock":
            last = fence_of(client)
        assert client.states("extend", "k", ttl=30000) == {"k": "extended"}
        fence = client.list()["k"]["fence"]
        assert 0 < fence < FENCE_MAX - 2 * HAND_OVERS and fence == last, value
        eventually(lambda: {node.get(name) for node in nodes3} == {str(fence)}, what=f"{value} is written over")
        assert client.call("free")["freed"] == ["k"]
        again = fence_of(client)
        assert fence < again < FENCE_MAX, value
        client.call("free")
        assert [node["state"] for node in client.call("nodes")["nodes"]] == ["up"] * 3
    assert sum(node["errors"] for node in client.call("nodes")["nodes"]) == 0


def test_a_node_far_ahead_raises_all(daemon, nodes3):
    """What one node knows of and the others do not: the answer is the greater one, and a majority is told."""
    client = daemon.client()
    before = raised(client)
    far = (int(time.time() * 1000) + DAY) * 1024
    nodes3[0].command("SET", "redlockd:fence:k", far)
    nodes3[1].command("SET", "k", "somebody-else", "PX", 20000)  # so that the first is one of the majority
    assert fence_of(client) > far
    assert raised(client) == before + 1
    assert all(int(node.get("redlockd:fence:k")) > far for node in (nodes3[0], nodes3[2]))


# --- who uses it --------------------------------------------------------------------------------------------------------


def readme(language):
    """The examples of README.md's section on fences."""
    section = (ROOT / "README.md").read_text().split("\n## The fence\n")[1].split("\n## ")[0]
    return [block.split("```")[0] for block in section.split(f"```{language}\n")[1:]]


def test_the_sql_of_the_readme_refuses_who_was_overtaken(client, other):
    first = fence_of(client)
    client.call("free")
    second = fence_of(other)
    with sqlite3.connect(":memory:") as db:
        db.execute("CREATE TABLE account (id PRIMARY KEY, balance, fence)")
        db.execute("INSERT INTO account VALUES (7, 0, 0)")
        db.execute("CREATE TABLE fences (name PRIMARY KEY, fence)")
        for sql in readme("sql"):
            for fence, written in ((first, 1), (first, 1), (second, 1), (first, 0), (second, 1)):
                row = {"id": 7, "name": "a", "balance": 90, "fence": fence}
                assert db.execute(sql, row).rowcount == written, sql
    db.close()


def test_the_shell_of_the_readme_refuses_who_was_overtaken(broker, tmp_path):
    (source,) = readme("sh")
    file = tmp_path / "report"

    def write(content, fence=None):
        script = source + f"echo {content} | write_fenced {file}; status=$?; echo $REDLOCK_FENCES; exit $status"
        argv = [REDLOCKCTL, "-s", broker.path, "run", "k", "--"] if fence is None else []
        env = {**os.environ, "REDLOCK_FENCES": str(fence)}
        done = subprocess.run([*argv, "sh", "-c", script], env=env, capture_output=True, text=True, timeout=60)
        return done.returncode, int(done.stdout)

    status, first = write("one")
    assert (status, file.read_text()) == (0, "one\n")
    status, second = write("two")
    assert (status, file.read_text()) == (0, "two\n") and second > first
    assert write("late", fence=first)[0] == 1 and file.read_text() == "two\n"
    assert write("again", fence=second)[0] == 0 and file.read_text() == "again\n"


# --- clocks -------------------------------------------------------------------------------------------------------------


def shifted(world, nodes, clock_shift, ms):
    """A daemon whose wall clock is so much ahead."""
    daemon = world.daemon(nodes, start=False, lock=SHORT)
    daemon.before = ["env", f"LD_PRELOAD={clock_shift}", f"CLOCK_SHIFT={ms}"]
    daemon.start()
    with daemon.client() as client:
        expiration = client.add("clock", ttl=100)["clock"]["expiration"]
    assert abs(expiration - time.time() * 1000 - ms) < 2000, "this clock is not shifted"
    return daemon


@pytest.mark.skipif(sanitized(), reason="a sanitizer wants to be loaded first")
def test_it_rises_when_no_node_remembers_it_and_the_next_host_is_slow(world, nodes3, clock_shift):
    fast, slow = (shifted(world, nodes3, clock_shift, ms).client() for ms in (20000, -20000))
    last = fence_of(fast, ttl=500)
    fast.call("free")
    for node in nodes3:
        node.restart()
        for client in (fast, slow):
            eventually(lambda: [n["state"] for n in client.call("nodes")["nodes"]] == ["up"] * 3)
    assert all(node.get("redlockd:fence:k") is None for node in nodes3)
    assert fence_of(slow, ttl=500) > last


class Fenced:
    """Keys that three hosts take, one lock after the other on each, and the fence of each key's last lock."""

    KEYS = 32

    def __init__(self, world, nodes, clock_shift, shifts):
        daemons = [shifted(world, nodes, clock_shift, ms) for ms in shifts]
        self.hosts, self.granted = [[daemon.client() for _ in range(2)] for daemon in daemons], 0
        self.last = {f"k{i}": 0 for i in range(self.KEYS)}

    def take(self, sent):
        """Waits for the locks that were asked for: (client, key, request). Each of them must be a later one."""
        for client, key, request in sent:
            fence = client.reply(request)["locks"][0]["fence"]
            assert self.last[key] < fence < FENCE_MAX, (key, self.last[key], fence)
            self.last[key] = fence
            self.granted += 1

    @staticmethod
    def ask(client, key):
        return client, key, client.send("add", keys=key, ttl=500, retryCount=-1, retryDelay=5, retryJitter=5)

    @staticmethod
    def free(sent):
        for client, key, request in [(client, key, client.send("free", keys=key)) for client, key, _ in sent]:
            client.reply(request)

    def round(self, rng):
        """Every key is held once, and freed; some go on to a second session of the host, some to another host."""
        first, second = [], []
        for key in self.last:
            host = rng.choice(self.hosts)
            first.append(self.ask(host[0], key))
        self.take(first)
        for client, key, _ in first:
            if rng.random() < 0.5:
                here = next(host for host in self.hosts if client in host)
                there = rng.choice([host for host in self.hosts if host is not here])
                second.append(self.ask(here[1] if rng.random() < 0.5 else there[1], key))
        self.free(first)
        self.take(second)
        self.free(second)

    def counted(self, what):
        return [host[0].call("status")["counters"][what] for host in self.hosts]


@pytest.mark.skipif(sanitized(), reason="a sanitizer wants to be loaded first")
def test_fences_rise_on_hosts_whose_clocks_are_seconds_apart(world, nodes3, clock_shift):
    """A node at a time restarts empty; the next one when all vote again."""
    fenced = Fenced(world, nodes3, clock_shift, (0, -4000, 7000))
    rng = random.Random(GRANTS)
    restarts = 0
    while fenced.granted < GRANTS or restarts < 3:
        if all(all(n["state"] == "up" for n in host[0].call("nodes")["nodes"]) for host in fenced.hosts):
            nodes3[restarts % 3].restart()
            restarts += 1
        fenced.round(rng)
    granted, handed_over, raises = (fenced.counted(what) for what in ("granted", "handovers", "raises"))
    print(f"{fenced.granted} grants, {restarts} restarts; of each host: {granted=} {handed_over=} {raises=}")
    assert all(handed_over) and all(raises)
