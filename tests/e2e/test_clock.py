"""
Nodes whose wall clock is stepped under them, on real redis-servers: a node counts a ttl on that clock. Who holds is told
within a heartbeat, what is not told was not lost, and whoever has a key next has the higher fence.
"""

import mmap
import struct
import statistics

import pytest

from harness import LATE, SLOW, eventually, locks_on, now_ms

HEARTBEAT = 500  # ms, at which each node is looked at
FAR = 100000  # ms, beyond every ttl
EVENTS = ["lost", "expiring"]
PROBE = "redlockd:test"


class Clock:
    """What the wall clock of a program is ahead by."""

    def __init__(self, path):
        path.write_bytes(bytes(8))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 8)

    def step(self, ms):
        struct.pack_into("=q", self.map, 0, struct.unpack("=q", self.map)[0] + ms)


@pytest.fixture
def nodes3(world, clock_shift):
    """Three nodes with a clock of their own each."""
    nodes = []
    for i in range(3):
        file = world.path / f"clock{i}"
        clock = Clock(file)
        before = ["env", f"LD_PRELOAD={clock_shift}", f"CLOCK_SHIFT_FILE={file}"]
        nodes.append(world.redis(start=False, before=before))
        nodes[-1].clock = clock
        nodes[-1].launch()
    for node in nodes:
        node.ready()
        node.command("SET", PROBE, "1", "PX", 10 * FAR)
    return nodes


def step(nodes, ms):
    """Steps the clocks of these nodes, and sees that their keys are concerned by it. Returns when it was."""
    before = [node.command("PTTL", PROBE) for node in nodes]
    for node in nodes:
        node.clock.step(ms)
    stepped = now_ms()
    for node, left in zip(nodes, before, strict=True):
        # Valkey 9 reads its clock a little later
        eventually(lambda: abs(left - node.command("PTTL", PROBE) - ms) < LATE, what="the step reaches the node's keys")
    return stepped


def looks_pass(node, n=2):
    """So many looks at a node have begun, so that the one before them has ended."""

    def pings():
        (line,) = [line for line in node.command("INFO", "commandstats").split() if line.startswith("cmdstat_ping:")]
        return int(line.split("calls=")[1].split(",")[0])

    before = pings()
    eventually(lambda: pings() >= before + n)


def two_hosts(world, nodes):
    daemons = [world.daemon(nodes) for _ in range(2)]
    alice, bob = [daemon.client() for daemon in daemons]
    alice.call("subscribe", events=EVENTS)
    return alice, bob


def held_by_all(client, key="k", **params):
    """A lock that each of the nodes votes for."""
    lock = client.add(key, **params)[key]
    eventually(lambda: len(client.call("locks", key=key)["locks"][0]["nodes"]) == 3)
    return lock


def wants(client, key="k"):
    """Asks for the key until it comes, and a hundred times a second."""
    return client.send("add", keys=key, ttl=5000, retryCount=-1, retryDelay=10, retryJitter=0)


def validity(client, key="k"):
    return client.list()[key]["validity"]


# --- one node ------------------------------------------------------------------------------------------------------------


def test_one_node_that_steps_forward_takes_nothing(world, nodes3):
    """Its key is gone, the votes of the others hold to the end that was told."""
    alice, bob = two_hosts(world, nodes3)
    lock = held_by_all(alice, ttl=2500)
    until = now_ms() + validity(alice)
    waiting = wants(bob)
    step(nodes3[:1], FAR)
    assert nodes3[0].get("k") != lock["value"]  # it may be that of a try of bob's, for a moment
    assert alice.notice("lost")["reason"] == "EXPIRED"
    told = now_ms()
    assert until - 30 < told < until + LATE
    taken = bob.reply(waiting)["locks"][0]
    assert now_ms() >= until and taken["fence"] > lock["fence"]


def test_what_is_renewed_outlives_a_step_of_each_node_in_turn(world, nodes3):
    """The next one when the key stands on the node before, and two renewals were won with it there."""
    alice, bob = two_hosts(world, nodes3)
    lock = held_by_all(alice, ttl=900, autoExtend=True)
    waiting = wants(bob)
    for node in nodes3:
        step([node], FAR)
        assert node.get("k") != lock["value"]
        eventually(lambda: node.get("k") == lock["value"])
        before = alice.call("status")["counters"]["extended"]
        eventually(lambda: alice.call("status")["counters"]["extended"] >= before + 3)
        eventually(lambda: node.get("k") == lock["value"])
    assert not alice.notices and (alice.list()["k"]["value"], alice.list()["k"]["fence"]) == (lock["value"], lock["fence"])
    alice.call("free")
    assert bob.reply(waiting)["locks"][0]["fence"] > lock["fence"]


@pytest.mark.parametrize("other", [0, FAR])
def test_a_vote_is_shortened_by_the_step(world, nodes3, other):
    """A lock is as good as the second best of three votes: it matters what another node has done before."""
    client = world.daemon(nodes3).client()
    held_by_all(client, ttl=20000)
    began = now_ms()
    total = validity(client)
    step(nodes3[:1], other)
    looks_pass(nodes3[0])
    assert validity(client) > total - (now_ms() - began) - 30
    step(nodes3[1:2], 5000)
    looks_pass(nodes3[1])
    left = validity(client) + now_ms() - began
    if other:
        assert total - 5000 - 30 - LATE < left <= total - 5000 + 30
    else:
        assert left > total - 30


# --- a majority ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stepping", [2, 3])
@pytest.mark.parametrize("renewed", [False, True])
def test_lost_is_told_within_a_heartbeat_when_a_majority_steps_forward(world, nodes3, renewed, stepping):
    """Somebody who asks all the time has the key at once: that cannot be prevented. He has the higher fence."""
    alice, bob = two_hosts(world, nodes3)
    times = []
    for key in "abc":
        lock = held_by_all(alice, key, ttl=30000, autoExtend=renewed)
        waiting = wants(bob, key)
        stepped = step(nodes3[:stepping], FAR)
        notice = alice.notice("lost")
        times.append(now_ms() - stepped)
        assert (notice["key"], notice["reason"]) == (key, "NO_QUORUM")
        assert alice.list() == {}
        assert bob.reply(waiting)["locks"][0]["fence"] > lock["fence"]
        bob.call("free")
    assert statistics.median(times) < HEARTBEAT + 100 * SLOW and max(times) < HEARTBEAT + LATE, times


def test_all_nodes_that_step_alike_are_a_pause_of_our_own(world, nodes3):
    """As if this machine had been stopped for as long by a hypervisor: every lock ends earlier by that."""
    client = world.daemon(nodes3).client()
    client.call("subscribe", events=EVENTS)
    held_by_all(client, ttl=20000)
    began = now_ms()
    total = validity(client)
    step(nodes3, 4000)
    for node in nodes3:
        looks_pass(node)
    left = validity(client) + now_ms() - began
    assert total - 4000 - 30 - LATE < left <= total - 4000 + 30
    assert nodes3[0].command("PTTL", "k") >= validity(client)
    assert not client.notices


@pytest.mark.parametrize("renewed", [False, True])
def test_there_and_back_between_two_looks_is_found_at_the_next_renewal(world, nodes3, renewed):
    """Nothing shows a step that is taken back at once, but the keys are gone. Whoever has the key next has the higher fence."""
    alice, bob = two_hosts(world, nodes3)
    lock = held_by_all(alice, ttl=1500 if renewed else 30000, autoExtend=renewed)
    for node in nodes3[:2]:
        node.clock.step(FAR)
        eventually(lambda node=node: node.get("k") is None)
        node.clock.step(-FAR)
    stepped = now_ms()
    taken = bob.add("k", ttl=5000, retryDelay=10)["k"]
    assert taken["fence"] > lock["fence"]
    if renewed:
        assert alice.notice("lost")["reason"] == "NO_QUORUM"
        assert now_ms() - stepped < 1500 / 3 + LATE
        assert alice.list() == {}
    elif not alice.notices:
        alice.fails("LOST", "extend", keys="k", strict=True)


# --- back ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stepping", [1, 2, 3])
def test_nodes_that_step_back_keep_nobody_waiting_while_the_holders_host_lives(world, nodes3, stepping):
    """A lock ends when it was told to end, and is released then on the nodes that would keep it for an hour more."""
    alice, bob = two_hosts(world, nodes3)
    lock = held_by_all(alice, ttl=1500)
    until = now_ms() + validity(alice)
    waiting = wants(bob)
    step(nodes3[:stepping], -3600000)
    assert nodes3[0].command("PTTL", "k") > 3600000
    assert alice.notice("lost")["reason"] == "EXPIRED"
    assert now_ms() > until - 30
    taken = bob.reply(waiting)["locks"][0]
    assert until <= now_ms() < until + 1500 * 0.01 + LATE
    assert taken["fence"] > lock["fence"]
    bob.call("free")
    eventually(lambda: not locks_on(nodes3))
    assert bob.add("k")["k"]["fence"] > taken["fence"]


@pytest.mark.parametrize("stepping", [1, 2, 3])
def test_nodes_that_step_back_keep_the_locks_of_a_dead_host_for_as_long(world, nodes3, stepping):
    """... where they are a majority; and nobody is blocked beyond that."""
    alice, bob = two_hosts(world, nodes3)
    lock = held_by_all(alice, ttl=1500)
    until = now_ms() + validity(alice)
    world.daemons[0].kill()
    waiting = wants(bob)
    step(nodes3[:stepping], -2500)
    taken = bob.reply(waiting)["locks"][0]
    waited = now_ms() - until - (2500 if stepping > 1 else 0)
    assert 0 <= waited < 1500 * 0.01 + LATE
    assert taken["fence"] > lock["fence"]


def test_a_step_back_makes_no_vote_longer(world, nodes3):
    """Validity is counted on the broker's own clock."""
    client = world.daemon(nodes3).client()
    held_by_all(client, ttl=20000)
    began = now_ms()
    total = validity(client)
    step(nodes3, -10000)
    for node in nodes3:
        looks_pass(node)
    assert total - 30 < validity(client) + now_ms() - began <= total + 30
