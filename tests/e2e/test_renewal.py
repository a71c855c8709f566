"""Renewal by the broker, the end of a hold, and what is left of a lock when its session ends."""

import time

from harness import SLOW, eventually, eventually_empty, locks_on

EVENTS = ["lost", "expiring"]


def test_a_lock_with_auto_extend_outlives_its_ttl_many_times(broker):
    holder, other = broker.client(), broker.client()
    holder.call("subscribe", events=EVENTS)
    lock = holder.add(["a", "b"], ttl=600, autoExtend=True)["a"]
    end = time.monotonic() + 3
    while time.monotonic() < end:
        other.fails("LOCKED", "add", keys="a", retryCount=0)
        assert holder.list()["a"]["validity"] > 200 - 100 * (SLOW > 1)
    assert holder.list()["a"]["value"] == lock["value"] and not holder.notices
    assert holder.call("status")["counters"]["extended"] >= 2 * 3 / 0.25 / SLOW
    holder.call("free")
    assert set(other.add(["a", "b"])) == {"a", "b"}


def test_hundreds_of_renewals_are_few_commands(daemon, nodes3):
    client = daemon.client()
    for i in range(8):
        client.add([f"k{64 * i + j}" for j in range(64)], ttl=3000, autoExtend=True)
    eventually(lambda: client.call("status")["counters"]["extended"] >= 512)
    for node in nodes3:
        node.command("CONFIG", "RESETSTAT")
    before = client.call("status")["counters"]["extended"]
    eventually(lambda: client.call("status")["counters"]["extended"] >= before + 512)
    for node in nodes3:
        calls = [line for line in node.command("INFO", "commandstats").split() if line.startswith("cmdstat_evalsha")]
        assert int(calls[0].split("calls=")[1].split(",")[0]) <= 24


def test_two_nodes_stopped_lost_comes_before_validity_ends(daemon, nodes3):
    client = daemon.client()
    client.call("subscribe", events=EVENTS)
    for node in nodes3[1:]:
        node.stop()
    for node in nodes3[1:]:
        node.cont()
    daemon.wait_nodes(3)
    keys = [f"k{i}" for i in range(50)]
    client.add(keys, ttl=2000, autoExtend=True)
    eventually(lambda: client.call("status")["counters"]["extended"] >= 50)
    until = {key: time.monotonic() + lock["validity"] / 1000 for key, lock in client.list().items()}
    for node in nodes3[1:]:
        node.stop()
    for _ in keys:
        notice = client.notice("expiring", within=5)
        assert notice["validity"] <= 2000 / 3
    for _ in keys:
        notice = client.notice("lost", within=5)
        assert notice["reason"] == "NO_QUORUM"
        assert time.monotonic() < until[notice["key"]] + 0.7  # a renewal may have been won after `until` was asked for
    assert client.list() == {}
    for node in nodes3[1:]:
        node.cont()
    eventually_empty(nodes3)


def test_max_hold_ends_a_lock_that_is_renewed(broker):
    client, other = broker.client(), broker.client()
    client.call("subscribe", events=EVENTS)
    began = time.monotonic()
    assert client.add("k", ttl=500, autoExtend=True, maxHold=1200)["k"]["validity"] <= 500
    notice = client.notice("lost", within=5)
    assert notice["reason"] == "MAX_HOLD" and notice["key"] == "k"
    assert 1.1 < time.monotonic() - began < 1.25 * SLOW
    assert other.states("add", "k", wait=1000) == {"k": "acquired"}


def test_max_hold_caps_what_an_extension_gives(client):
    client.add("k", ttl=500, maxHold=1000)
    assert client.extend("k", ttl=30000)["k"]["validity"] <= 1000


def test_what_a_quorum_forgot_is_told_at_the_next_renewal(daemon, nodes3):
    client = daemon.client()
    client.call("subscribe", events=EVENTS)
    client.add("k", ttl=3000, autoExtend=True)
    eventually(lambda: len(locks_on(nodes3)) == 3)
    for node in nodes3[:2]:
        node.command("DEL", "k")
    notice = client.notice("lost", within=2 * SLOW)
    assert notice["reason"] == "NO_QUORUM" and client.list() == {}


def test_a_key_stays_taken_for_its_lock_delay(broker):
    holder, waiter = broker.client_process(), broker.client()
    holder.add("k", lockDelay=700)
    request = waiter.send("add", keys="k", retryCount=-1)
    eventually(lambda: waiter.call("waiters")["waiters"])
    began = time.monotonic()
    holder.kill()
    waiter.reply(request)
    assert 0.65 < time.monotonic() - began < 1.0 * SLOW


def test_a_freed_key_has_no_delay(broker):
    holder, waiter = broker.client(), broker.client()
    holder.add("k", lockDelay=5000)
    holder.call("free")
    assert waiter.states("add", "k", wait=1000) == {"k": "acquired"}
