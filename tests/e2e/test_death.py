"""Everybody's death: a holder's, a waiter's, the daemon's. Nothing stays behind."""

import signal
import socket
import statistics
import subprocess

import pytest

from harness import DEADLINE, LATE, REDLOCKD, SLOW, eventually, eventually_empty, locks_on, now_ms, spawn, stop_process

KEYS = [f"key{i}" for i in range(40)]


# --- a client's -------------------------------------------------------------------------------------------------------


def waiter_of_all(client):
    return [client.send("add", keys=KEYS, retryCount=-1)]


def waiter_of_each(client):
    return [client.send("add", keys=key, retryCount=-1) for key in KEYS]


@pytest.mark.parametrize("waiter", [waiter_of_all, waiter_of_each])
def test_kill_9_of_a_holder_hands_its_locks_over_within_milliseconds(daemon, nodes3, waiter):
    client, times = daemon.client(), []
    for _ in range(21):
        holder = daemon.client_process()
        holder.add(KEYS, ttl=60000)
        requests = waiter(client)
        eventually(lambda: len(client.call("waiters")["waiters"]) == len(KEYS))
        started = now_ms()
        holder.kill()
        for request in requests:
            client.reply(request)
        times.append(now_ms() - started)
        client.call("free")
    assert statistics.median(times) < 20 * SLOW, times
    eventually_empty(nodes3)


def test_nothing_of_the_dead_is_left_in_redis(daemon, nodes3):
    holder, watcher = daemon.client_process(), daemon.client()
    holder.add(KEYS, ttl=60000)
    eventually(lambda: len(locks_on(nodes3)) == 120)
    holder.kill()
    eventually_empty(nodes3)
    assert watcher.call("locks")["locks"] == []


def test_what_the_dead_held_passes_to_the_next_holder_with_values_of_its_own(daemon, nodes3):
    holder, client = daemon.client_process(), daemon.client()
    dead = {lock["value"] for lock in holder.add(KEYS, ttl=60000).values()}
    request = client.send("add", keys=KEYS, ttl=60000, retryCount=-1)
    eventually(lambda: client.call("waiters")["waiters"])
    holder.kill()
    alive = {lock["value"] for lock in client.reply(request)["locks"]}
    assert not alive & dead
    assert set(locks_on(nodes3).values()) == dead  # the host's leases: no node was asked
    assert daemon.client().call("status")["counters"]["handovers"] == 40
    client.call("free")
    eventually_empty(nodes3)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_every_end_of_a_session_frees_its_locks(broker, how):
    client, other = broker.client(), broker.client()
    client.add(["a", "b"])
    if how == "reset":
        client.send_raw(b'{"method":"status"}\n')
        eventually(lambda: client.socket.recv(1, socket.MSG_PEEK))  # closed with this unread, it is a reset
    client.close()
    assert len(other.add(["a", "b"], wait=5000)) == 2


def test_death_during_a_round_leaves_nothing(daemon, nodes3):
    holder = daemon.client_process()
    for node in nodes3[1:]:
        node.stop()
    holder.send("add", keys=KEYS, ttl=60000, retryCount=-1, retryDelay=0, retryJitter=0)
    eventually(nodes3[0].keys)  # granted here, not yet decided
    holder.kill()
    for node in nodes3[1:]:
        node.cont()
    daemon.wait_nodes(3)
    eventually_empty(nodes3)


def test_death_with_a_vote_still_owed_leaves_nothing(daemon, nodes3):
    holder = daemon.client_process()
    nodes3[2].stop()
    holder.add(KEYS, ttl=60000)
    holder.kill()
    eventually_empty(nodes3[:2])
    nodes3[2].cont()
    daemon.wait_nodes(3)
    eventually_empty(nodes3)


@pytest.mark.parametrize("over_unix", [False, True], ids=["tcp", "unix"])
def test_death_while_a_node_hangs_for_long_leaves_nothing(world, over_unix):
    nodes = world.nodes(3, over_unix=over_unix)
    daemon = world.daemon(nodes)
    holder = daemon.client_process()
    nodes[2].stop()
    holder.add(KEYS, ttl=60000)
    holder.kill()
    daemon.wait_nodes(2)  # it is counted as down by now
    nodes[2].cont()
    daemon.wait_nodes(3)
    eventually_empty(nodes)


def test_death_of_a_waiter_passes_the_turn_on(daemon):
    holder, first, second = daemon.client(), daemon.client_process(), daemon.client()
    holder.add("k")
    first.send("add", keys="k", retryCount=-1)
    eventually(lambda: len(holder.call("waiters")["waiters"]) == 1)
    request = second.send("add", keys="k", retryCount=-1)
    eventually(lambda: len(holder.call("waiters")["waiters"]) == 2)
    first.kill()
    eventually(lambda: len(holder.call("waiters")["waiters"]) == 1)
    holder.call("free")
    assert second.reply(request)["locks"][0]["state"] == "acquired"


def test_many_sessions_that_come_and_die_leave_nothing(daemon, nodes3):
    for i in range(200):
        client = daemon.client()
        client.send("add", keys=[f"k{i % 7}", f"k{i % 5}"], ttl=60000, retryCount=-1)
        client.close()
    eventually_empty(nodes3)
    watcher = daemon.client()
    eventually(lambda: watcher.call("status")["sessions"] == 1)
    assert (watcher.call("status")["locks"], watcher.call("status")["waiters"]) == (0, 0)


# --- the daemon's -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_stop_drains_the_daemon(world, nodes3, how):
    daemon = world.daemon(nodes3, stop={"grace": 300})
    client, other = daemon.client(), daemon.client()
    client.call("subscribe")
    client.add(KEYS, ttl=60000)
    waiting = other.send("add", keys=KEYS[0], retryCount=-1)
    eventually(lambda: client.call("waiters")["waiters"])
    started = now_ms()
    daemon.terminate(how)
    assert now_ms() - started < 300 + LATE
    assert client.notice("stopping") == {}
    with pytest.raises(Exception, match="STOPPING"):
        other.reply(waiting)
    assert client.read() is None and other.read() is None
    assert locks_on(nodes3) == {}
    assert not daemon.path.exists()


def test_while_it_drains_a_holder_may_finish_and_nobody_starts(world, nodes3):
    daemon = world.daemon(nodes3, stop={"grace": 60000})
    holder, other = daemon.client(), daemon.client()
    holder.call("subscribe")
    holder.add("k", ttl=20000)
    daemon.process.terminate()
    holder.notice("stopping")
    assert other.fails("STOPPING", "add", keys="l").code == -32004
    assert holder.states("extend", "k") == {"k": "extended"}
    assert holder.call("free")["freed"] == ["k"]
    assert daemon.process.wait(DEADLINE) == 0  # not after the minute


def test_a_daemon_that_holds_nothing_stops_at_once(world, nodes3):
    daemon = world.daemon(nodes3, stop={"grace": 60000})
    client = daemon.client()
    client.call("subscribe")
    daemon.terminate()
    assert client.notice("stopping") == {} and client.read() is None


def test_a_daemon_of_memory_drains_too(world):
    daemon = world.daemon(stop={"grace": 300})
    client = daemon.client()
    client.call("subscribe")
    client.add(KEYS)
    started = now_ms()
    daemon.terminate()
    assert now_ms() - started < 300 + LATE
    assert client.notice("stopping") == {}
    assert client.read() is None


def test_stopping_does_not_wait_long_for_a_node_that_hangs(world, nodes3):
    daemon = world.daemon(nodes3, stop={"grace": 500})
    daemon.client().add("k", ttl=60000)
    nodes3[0].stop()
    started = now_ms()
    daemon.terminate()
    assert now_ms() - started < 500 + 5000 + LATE  # far less than the ttl
    assert locks_on(nodes3[1:]) == {}


def test_stopping_does_not_wait_for_nodes_that_are_down(world, nodes3):
    daemon = world.daemon(nodes3, stop={"grace": 500})
    daemon.client().add("k", ttl=60000)
    for node in nodes3:
        node.kill()
    daemon.terminate()


def test_kill_9_of_the_daemon_costs_one_ttl(world, nodes3):
    daemon = world.daemon(nodes3)
    daemon.client().add("k", ttl=1000)
    daemon.kill()
    client = daemon.start().client()  # the stale socket is replaced
    result = client.call("add", keys="k", retryCount=-1, retryDelay=20, retryJitter=0)
    assert result["locks"][0]["state"] == "acquired"
    assert 0 < result["waited"] <= 1000 + LATE


def test_a_daemon_that_stood_still_grants_nothing_of_the_past(world, nodes3):
    """What it held has lapsed meanwhile, and somebody else holds it."""
    still, other = world.daemon(nodes3), world.daemon(nodes3)
    client, rival = still.client(), other.client()
    client.call("subscribe")
    lock = client.add("k", ttl=500)["k"]
    stop_process(still.process)
    rival.add("k", ttl=60000, retryCount=-1)
    still.process.send_signal(signal.SIGCONT)
    assert client.notice("lost") == {"key": "k", "value": lock["value"], "reason": "EXPIRED"}
    assert client.list() == {}
    assert client.call("free", keys="k")["expired"] == ["k"]
    assert len(set(locks_on(nodes3).values())) == 1
    client.fails("LOCKED", "add", keys="k", retryCount=0)


def test_a_second_daemon_on_the_same_socket_refuses(memory):
    client = memory.client()
    client.add("k")
    second = spawn([REDLOCKD, "-c", memory.config, "-s", memory.path], stderr=subprocess.PIPE, text=True)
    _, said = second.communicate(timeout=15)
    assert second.returncode == 1 and str(memory.path) in said
    assert set(client.list()) == {"k"} and memory.client().call("ping") == {}


def test_a_file_that_is_no_socket_is_left_alone(world):
    daemon = world.daemon(start=False)
    daemon.path.write_text("precious")
    process = spawn([REDLOCKD, "-c", daemon.config, "-s", daemon.path], stderr=subprocess.PIPE, text=True)
    _, said = process.communicate(timeout=15)
    assert process.returncode == 1 and str(daemon.path) in said
    assert daemon.path.read_text() == "precious"
