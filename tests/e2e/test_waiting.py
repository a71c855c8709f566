"""Waiting: hand-over on one host, turns and wake-ups between hosts, deadlocks told."""

import json
import selectors
import time

import pytest

from harness import SLOW, eventually, eventually_empty, locks_on
from test_peers import Peer, installed  # noqa: F401 (a fixture)

FOR_EVER = {"retryCount": -1, "retryDelay": 3000, "retryJitter": 0}


class Contest:
    """Sessions that take and free one key again and again, held for no time."""

    def __init__(self, clients, key="k"):
        self.clients, self.key = clients, key
        self.grants = []  # (time, client's index)
        self.waits = []
        self.asked = {}
        self.selector = selectors.DefaultSelector()
        for index, client in enumerate(clients):
            self.selector.register(client.socket, selectors.EVENT_READ, index)
            client.contest = client.send("add", keys=key, **FOR_EVER)
            self.asked[index] = time.monotonic()

    def go_on(self, index):
        client = self.clients[index]
        now = time.monotonic()
        assert client.replies.pop(client.contest)["result"]["locks"][0]["state"] == "acquired"
        self.grants.append((now, index))
        self.waits.append(now - self.asked[index])
        freed, client.contest, client.last_id = client.last_id + 1, client.last_id + 2, client.last_id + 2
        params = {"keys": self.key, **FOR_EVER}
        client.send_raw(b"".join(
            json.dumps({"jsonrpc": "2.0", "id": i, "method": m, "params": p}).encode() + b"\n"
            for i, m, p in ((freed, "free", {"keys": self.key}), (client.contest, "add", params))))
        self.asked[index] = now
        client.replies.pop(freed - 2, None)

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for event, _ in self.selector.select(0.1):
                client = self.clients[event.data]
                client.take(1)
                while b"\n" in client.held:
                    client.take(1)
                if client.contest in client.replies:
                    self.go_on(event.data)
        return self

    def shares(self, indexes=None):
        return [sum(i == index for _, i in self.grants) for index in (indexes or range(len(self.clients)))]

    def longest_gap(self, indexes):
        """The longest time in which none of these was granted the key."""
        times = [at for at, index in self.grants if index in indexes]
        assert times
        return max(b - a for a, b in zip(times, times[1:]))


def jain(shares):
    return sum(shares) ** 2 / (len(shares) * sum(s * s for s in shares))


def script_calls(nodes):
    stats = [line for node in nodes for line in node.command("INFO", "commandstats").split()]
    return sum(int(line.split("calls=")[1].split(",")[0]) for line in stats if line.startswith("cmdstat_eval"))


# --- on one host ------------------------------------------------------------------------------------------------------


def test_a_contended_key_is_passed_on_in_the_order_of_arrival_without_the_nodes(daemon, nodes3):
    contest = Contest([daemon.client() for _ in range(8)])
    contest.run(0.5)
    before, calls = len(contest.grants), script_calls(nodes3)
    contest.run(2)
    cycles = len(contest.grants) - before
    assert cycles > 1000 / SLOW
    assert (script_calls(nodes3) - calls) / len(nodes3) < cycles / 10
    order = [index for _, index in contest.grants]
    assert order == [order[i % 8] for i in range(len(order))]
    assert jain(contest.shares()) > 0.99
    counters = daemon.client().call("status")["counters"]
    assert counters["handovers"] > cycles * 0.9 and counters["tenures"] >= 2


def test_the_lease_stays_and_value_and_holder_change(daemon, nodes3):
    first, second = daemon.client(), daemon.client()
    value = first.add("k", ttl=10000)["k"]["value"]
    waiting = second.send("add", keys="k", ttl=10000)
    eventually(lambda: second.call("waiters")["waiters"])
    assert first.call("free")["freed"] == ["k"]
    lock = second.reply(waiting)["locks"][0]
    assert lock["value"] != value and set(locks_on(nodes3).values()) == {value}
    assert lock["validity"] >= 0.9 * (10000 - 102)
    assert second.call("free")["freed"] == ["k"]
    eventually_empty(nodes3)


@pytest.mark.parametrize("ttl", [600, 2000])
def test_the_lease_is_renewed_ahead_of_need_while_somebody_waits(daemon, nodes3, ttl):
    """The holder's validity is nearly over when it frees, and what the next gets is worth 90 % of what it asked for."""
    holder, waiter = daemon.client(), daemon.client()
    holder.add("k", ttl=1500)
    waiting = waiter.send("add", keys="k", ttl=ttl, **FOR_EVER)
    eventually(lambda: holder.list()["k"]["validity"] < 300, within=5)
    calls = script_calls(nodes3)
    holder.call("free")
    assert waiter.reply(waiting)["locks"][0]["validity"] >= 0.9 * (ttl - ttl // 100 - 2) - 1
    assert script_calls(nodes3) - calls <= 3


def test_the_death_of_a_holder_passes_the_key_on(daemon, nodes3):
    holder, waiter = daemon.client_process(), daemon.client()
    value = holder.add("k")["k"]["value"]
    waiting = waiter.send("add", keys="k", **FOR_EVER)
    eventually(lambda: waiter.call("waiters")["waiters"])
    holder.kill()
    assert waiter.reply(waiting)["locks"][0]["state"] == "acquired"
    assert set(locks_on(nodes3).values()) == {value}


def test_with_a_quorum_of_nodes_gone_a_good_lease_is_still_passed_on_and_told_when_it_ends(daemon, nodes3):
    holder, waiter = daemon.client(), daemon.client()
    holder.add("k", ttl=3000)
    waiting = waiter.send("add", keys="k", ttl=1000, **FOR_EVER)
    eventually(lambda: waiter.call("waiters")["waiters"])
    for node in nodes3[1:]:
        node.kill()
    holder.call("free")
    assert waiter.reply(waiting)["locks"][0]["validity"] > 0
    eventually(lambda: not waiter.list())


# --- between hosts ----------------------------------------------------------------------------------------------------


def test_two_hosts_have_their_turns(world, nodes3):
    daemons = [world.daemon(nodes3) for _ in range(2)]
    contest = Contest([daemons[i // 4].client() for i in range(8)]).run(8)
    for group in (range(4), range(4, 8)):
        assert contest.longest_gap(group) < 1.5 * SLOW
        assert jain(contest.shares(group)) > 0.99
    assert sum(b[1] // 4 != a[1] // 4 for a, b in zip(contest.grants, contest.grants[1:])) >= 8 / SLOW


def test_sessions_that_come_back_at_once_do_not_keep_other_hosts_out(world, nodes3):
    """One session on each host: nothing is handed over, and its next add is always faster than another host's."""
    contest = Contest([world.daemon(nodes3).client() for _ in range(3)]).run(8)
    for index in range(3):
        assert contest.longest_gap([index]) < 2.5 * SLOW


def test_a_release_wakes_the_waiter_of_another_host(world, nodes3):
    here, there = world.daemon(nodes3).client(), world.daemon(nodes3).client()
    delays = []
    for _ in range(50):
        here.add("k", **FOR_EVER)
        waiting = there.send("add", keys="k", **FOR_EVER)
        eventually(lambda: all("redlockd:free:k" in node.command("PUBSUB", "CHANNELS") for node in nodes3))
        freed = time.monotonic()
        here.send("free", keys="k")
        there.reply(waiting)
        delays.append(time.monotonic() - freed)
        there.call("free")
    assert sorted(delays)[45] < 0.02 * SLOW, sorted(delays)[-10:]
    assert there.call("status")["counters"]["wakeups"] >= 45


def test_who_waits_no_more_listens_no_more(world, nodes3):
    here, there = world.daemon(nodes3).client(), world.daemon(nodes3).client()
    here.add("k")
    waiting = there.send("add", keys="k", **FOR_EVER)
    eventually(lambda: all(node.command("PUBSUB", "CHANNELS") for node in nodes3))
    there.call("cancel", id=waiting)
    eventually(lambda: not any(node.command("PUBSUB", "CHANNELS") for node in nodes3))


def test_a_waiter_is_woken_although_its_listening_connections_were_cut(world, nodes3):
    here, there = world.daemon(nodes3).client(), world.daemon(nodes3).client()
    here.add("k")
    waiting = there.send("add", keys="k", **FOR_EVER)
    eventually(lambda: all(node.command("PUBSUB", "CHANNELS") for node in nodes3))
    for node in nodes3:
        assert node.command("CLIENT", "KILL", "TYPE", "pubsub") == 1
    here.call("free")
    began = time.monotonic()
    there.reply(waiting)
    assert time.monotonic() - began < 1.5 * SLOW  # long before its retryDelay


def test_a_user_who_may_not_listen_waits_all_the_same(world, nodes3):
    for node in nodes3:
        node.command("ACL", "SETUSER", "default", "-subscribe")
    daemon = world.daemon(nodes3)
    here, there = world.daemon(nodes3).client(), daemon.client()
    here.add("k")
    waiting = there.send("add", keys="k", retryCount=-1, retryDelay=50)
    eventually(lambda: "cannot listen for releases" in daemon.log())
    here.call("free")
    there.reply(waiting)
    time_of_log = daemon.log().count("cannot listen")
    assert time_of_log == 3  # once a node


@pytest.mark.parametrize("library", ["redlock4", "redlock5"])
def test_a_peer_that_polls_is_not_starved(world, daemon, nodes3, installed, library):  # noqa: F811
    peer = world.keep(Peer(installed, library, nodes3))
    contest = Contest([daemon.client() for _ in range(8)])
    contest.run(1)
    for _ in range(3):
        peer.send_line({"do": "lock", "key": "k", "ttl": 5000, "retryCount": 4000, "retryDelay": 50})
        until = time.monotonic() + 20 * SLOW
        while not select_ready(peer) and time.monotonic() < until:
            contest.run(0.1)
        assert peer.read(1)["ok"]
        assert peer.unlock("k")["ok"]
    got = len(contest.grants)
    contest.run(3.5)  # it does not announce that it releases: the next try comes with retryDelay
    assert len(contest.grants) > got


def select_ready(peer):
    with selectors.DefaultSelector() as selector:
        selector.register(peer.socket, selectors.EVENT_READ)
        return bool(selector.select(0))


# --- deadlocks --------------------------------------------------------------------------------------------------------


def test_two_sessions_that_would_wait_for_each_other(broker):
    a, b = broker.client(), broker.client()
    for client, name in ((a, "left"), (b, "right")):
        client.call("hello", name=name)
    a.add("x")
    b.add("y")
    waiting = a.send("add", keys="y", **FOR_EVER)
    eventually(lambda: b.call("waiters")["waiters"])
    error = b.fails("DEADLOCK", "add", keys="x", **FOR_EVER)
    assert error.code == 6 and error.data["keys"] == ["x"]
    assert [(s["name"], s["key"]) for s in error.data["cycle"]] == [("right", "x"), ("left", "y")]
    sessions = {s["session"]: s for s in b.call("sessions")["sessions"]}
    assert all(sessions[s["session"]]["pid"] == s["pid"] for s in error.data["cycle"])
    assert set(b.list()) == {"y"}
    b.call("free")
    assert a.reply(waiting)["locks"][0]["key"] == "y"
    assert b.call("status")["counters"]["deadlocks"] == 1


def test_who_would_not_wait_is_told_locked(broker):
    a, b = broker.client(), broker.client()
    a.add("x")
    b.add("y")
    a.send("add", keys="y", **FOR_EVER)
    eventually(lambda: b.call("waiters")["waiters"])
    b.fails("LOCKED", "add", keys="x", retryCount=0)
    b.fails("LOCKED", "add", keys="x", wait=0)


def test_overlapping_sets_of_keys_do_not_deadlock(broker):
    clients = [broker.client() for _ in range(6)]
    keys = ["a", "b", "c"]
    for round_ in range(30):
        requests = [c.send("add", keys=keys[i % 3:] + keys[:i % 3], **FOR_EVER) for i, c in enumerate(clients)]
        for client, request in zip(clients, requests):
            assert len(client.reply(request)["locks"]) == 3
            client.call("free")
