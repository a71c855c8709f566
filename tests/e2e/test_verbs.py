"""What each method does, the same on `memory:` and on three nodes."""

import os
import re
import statistics
import time

import pytest

from harness import LATE, SLOW, eventually, let_pass, locks_on, now_ms

HANG = dict(retryCount=-1)  # waits for ever


def refused_at_once(client, keys, **params):
    return client.fails("LOCKED", "add", keys=keys, retryCount=0, **params)


def queue(watcher, client, key, **params):
    """Sends an add that has to wait; returns its id when it stands in the queue."""
    before = len(watcher.call("waiters", key=key)["waiters"])
    request = client.send("add", keys=key, **{**HANG, **params})
    eventually(lambda: len(watcher.call("waiters", key=key)["waiters"]) == before + 1)
    return request


# --- add --------------------------------------------------------------------------------------------------------------


def test_add_acquires(broker, client):
    before = time.time() * 1000
    result = client.call("add", keys="name1", ttl=10000)
    (lock,) = result["locks"]
    assert (lock["key"], lock["state"], result["attempts"]) == ("name1", "acquired", 1)
    assert re.fullmatch("[0-9a-f]{32}", lock["value"])
    assert 9000 < lock["validity"] <= 10000 - 102  # less the drift: 1 % and 2 ms
    assert before + 9000 < lock["expiration"] <= time.time() * 1000 + lock["validity"] + 5
    assert result["waited"] < LATE
    assert set(client.list()) == {"name1"}


def test_what_is_held_is_in_every_node_with_its_value_and_ttl(broker, client):
    lock = client.add("k", ttl=10000)["k"]
    eventually(lambda: len(locks_on(broker.nodes)) == len(broker.nodes))
    for node in broker.nodes:
        assert node.get("k") == lock["value"]
        assert 8000 < node.command("PTTL", "k") <= 10000


def test_adding_what_is_held_leaves_it_as_it_is(client):
    first = client.add("k", ttl=10000)["k"]
    again = client.add("k", ttl=60000)["k"]
    assert (again["state"], again["value"]) == ("held", first["value"])
    assert again["validity"] <= first["validity"]


def test_a_lock_that_nothing_has_changed_has_the_same_expiration_whenever_it_is_asked_for(broker, client):
    lock = client.add("k", ttl=10000)["k"]
    seen, connected = set(), set()
    until = now_ms() + 20  # so that both clocks have been in every part of a millisecond
    while now_ms() < until:
        seen |= {client.list()["k"]["expiration"], client.add("k")["k"]["expiration"]}
        connected |= {session["connected"] for session in client.call("sessions")["sessions"]}
    assert seen == {lock["expiration"]} and len(connected) == 1


def test_add_of_some_held_and_some_new(client):
    client.add("a")
    assert client.states("add", ["a", "b"]) == {"a": "held", "b": "acquired"}


def test_duplicate_keys_collapse(client):
    assert client.states("add", ["a", "a", "b", "a"]) == {"a": "acquired", "b": "acquired"}
    assert client.call("free")["freed"] in (["a", "b"], ["b", "a"])


@pytest.mark.parametrize("key", ["with space", "käse", "a\0b", "line\nfeed", '"', "\\", "x" * 512, "{tag}:*?[a]"])
def test_any_string_is_a_key_and_the_redis_key_as_it_stands(broker, client, other, key):
    value = client.add(key)[key]["value"]
    refused_at_once(other, key)
    assert all(node.get(key) == value for node in broker.nodes[:1])
    assert client.call("free", keys=key)["freed"] == [key]


def test_two_sessions_exclude_each_other(client, other):
    client.add("k")
    refused_at_once(other, "k")
    client.call("free", keys="k")
    assert other.states("add", "k") == {"k": "acquired"}
    refused_at_once(client, "k")


def test_all_keys_or_none(broker, client, other):
    other.add("b")
    error = refused_at_once(client, ["a", "b", "c"])
    assert error.data["keys"] == ["b"]
    assert client.list() == {}
    eventually(lambda: {key for _, key in locks_on(broker.nodes)} <= {"b"})
    assert other.states("add", ["a", "c"], retryCount=0) == {"a": "acquired", "c": "acquired"}


def test_a_failed_add_leaves_what_was_held_before(client, other):
    before = client.add("a")["a"]
    other.add("b")
    refused_at_once(client, ["a", "b", "c"])
    after = client.list()
    assert set(after) == {"a"} and after["a"]["value"] == before["value"]
    refused_at_once(other, "a")


def test_the_refusal_says_what_was_tried_and_who_holds(client, other):
    session = client.call("hello", name="builder")["session"]
    client.add("name1")
    error = other.fails("LOCKED", "add", keys="name1", retryCount=5, retryDelay=20, retryJitter=0)
    assert error.code == 1
    assert error.message == 'Exceeded 5 attempts to lock the resource "name1".'
    assert (error.data["attempts"], error.data["keys"]) == (6, ["name1"])
    assert 100 <= error.data["waited"] <= 100 + LATE
    holder = {"session": session, "pid": os.getpid(), "uid": os.getuid(), "name": "builder"}
    assert error.data["holder"] == holder


def test_the_refusal_names_every_key_that_was_taken(client, other):
    client.add(["a", "b"])
    error = refused_at_once(other, ["a", "b", "c"])
    assert error.message == 'Exceeded 0 attempts to lock the resource "a,b".'
    assert error.data["keys"] == ["a", "b"]


def test_retry_count_zero_is_one_try(client, other):
    client.add("k")
    started = now_ms()
    assert refused_at_once(other, "k").data["attempts"] == 1
    assert now_ms() - started < LATE


def test_wait_zero_is_one_try(client, other):
    client.add("k")
    error = other.fails("LOCKED", "add", keys="k", wait=0)
    assert error.data["attempts"] == 1 and error.data["waited"] < LATE


def test_wait_caps_the_time_of_waiting(client, other):
    client.add("k")
    error = other.fails("LOCKED", "add", keys="k", wait=250)
    assert 250 <= error.data["waited"] <= 250 + LATE


def test_wait_caps_retries_for_ever_too(client, other):
    client.add("k")
    error = other.fails("LOCKED", "add", keys="k", wait=250, retryCount=-1)
    assert 250 <= error.data["waited"] <= 250 + LATE


def test_wait_given_alone_lifts_the_retry_count(world):
    daemon = world.daemon(lock={"retryCount": 0})
    daemon.client().add("k")
    error = daemon.client().fails("LOCKED", "add", keys="k", wait=250)
    assert error.data["waited"] >= 250


def test_with_wait_a_retry_count_that_is_given_still_holds(client, other):
    client.add("k")
    error = other.fails("LOCKED", "add", keys="k", wait=60000, retryCount=2, retryDelay=20, retryJitter=0)
    assert error.data["attempts"] == 3


def test_defaults_are_those_of_the_configuration(world):
    daemon = world.daemon(lock={"ttl": 2000, "retryCount": 1, "retryDelay": 30, "retryJitter": 0})
    assert daemon.client().add("k")["k"]["validity"] <= 2000 - 22
    error = daemon.client().fails("LOCKED", "add", keys="k")
    assert error.data["attempts"] == 2 and error.data["waited"] >= 30


def test_ttls_are_bounded_by_the_configuration(world):
    client = world.daemon(lock={"minTtl": 100, "maxTtl": 1000, "ttl": 500}).client()
    assert client.fails("INVALID_PARAMS", "add", keys="k", ttl=99).data["path"] == "ttl"
    assert client.fails("INVALID_PARAMS", "add", keys="k", ttl=1001).data["path"] == "ttl"
    assert len(client.add("k", ttl=100)) == len(client.add("l", ttl=1000)) == 1


# --- waiting ----------------------------------------------------------------------------------------------------------


def test_a_key_that_becomes_free_goes_to_the_waiter_at_once(client, other):
    client.add("k")
    request = queue(client, other, "k", retryDelay=60000, retryJitter=0)
    started = now_ms()
    client.call("free")
    assert other.reply(request)["locks"][0]["state"] == "acquired"
    assert now_ms() - started < LATE


def test_waiters_are_served_in_the_order_they_came(broker, client):
    client.add("k")
    waiters = [broker.client() for _ in range(5)]
    requests = [queue(client, waiter, "k") for waiter in waiters]
    positions = [w["position"] for w in client.call("waiters", key="k")["waiters"]]
    assert positions == [1, 2, 3, 4, 5]
    for holder, waiter, request in zip([client, *waiters], waiters, requests):
        holder.call("free")
        assert waiter.reply(request)["locks"][0]["state"] == "acquired"


def test_a_session_that_ends_leaves_the_queue(broker, client, other):
    client.add("k")
    queue(client, other, "k")
    third = broker.client()
    request = queue(client, third, "k")
    other.close()
    eventually(lambda: [w["position"] for w in client.call("waiters")["waiters"]] == [1])
    client.call("free")
    assert third.reply(request)["locks"][0]["state"] == "acquired"


def test_a_request_with_several_keys_stands_in_all_their_queues(client, other):
    client.add(["a", "b"])
    request = other.send("add", keys=["a", "b"], **HANG)
    eventually(lambda: {w["key"] for w in client.call("waiters")["waiters"]} == {"a", "b"})
    client.call("free", keys="a")
    assert client.call("free", keys="b")["freed"] == ["b"]
    assert len(other.reply(request)["locks"]) == 2


def test_a_waiter_gets_what_lapses(client, other):
    client.add("k", ttl=300)
    result = other.call("add", keys="k", wait=10000, retryDelay=50, retryJitter=0)
    assert result["locks"][0]["state"] == "acquired"
    assert result["waited"] <= 300 + LATE


def test_requests_for_one_key_run_in_the_order_they_came(client):
    steps = ["add", "free", "add", "extend", "free", "extend", "free"]
    requests = [client.send(step, keys="k") for step in steps]
    results = [client.reply(r) for r in requests]
    seen = [result["locks"][0]["state"] if "locks" in result else result["freed"] for result in results]
    assert seen == ["acquired", ["k"], "acquired", "extended", ["k"], "acquired", ["k"]]


def test_an_add_that_waits_holds_back_only_its_own_keys(client, other):
    client.add("k")
    add = other.send("add", keys="k", **HANG)
    free = other.send("free", keys="k")
    assert other.states("add", "elsewhere") == {"elsewhere": "acquired"}
    assert other.replies == {}
    client.call("free")
    assert other.reply(add)["locks"][0]["state"] == "acquired"
    assert other.reply(free)["freed"] == ["k"]


# --- extend -----------------------------------------------------------------------------------------------------------


def test_extend_gives_a_held_lock_its_ttl_from_now_and_keeps_its_value(broker, client):
    before = client.add("k", ttl=5000)["k"]
    after = client.extend("k", ttl=20000)["k"]
    assert (after["state"], after["value"]) == ("extended", before["value"])
    assert 18000 < after["validity"] <= 20000 - 202
    eventually(lambda: all(node.command("PTTL", "k") > 15000 for node in broker.nodes))
    assert client.list()["k"]["validity"] > 15000


def test_extend_may_shorten(client):
    client.add("k", ttl=60000)
    assert client.extend("k", ttl=5000)["k"]["validity"] <= 5000 - 52
    assert client.list()["k"]["validity"] <= 5000 - 52


def test_extend_acquires_what_is_not_in_the_map(client):
    client.add("a")
    assert client.states("extend", ["a", "b"]) == {"a": "extended", "b": "acquired"}


def test_extend_acquires_anew_what_has_lapsed(client):
    before = client.add("k", ttl=100)["k"]
    let_pass(client, 200)
    after = client.extend("k")["k"]
    assert after["state"] == "reacquired" and after["value"] != before["value"]


def test_extend_waits_for_a_key_that_is_taken(client, other):
    client.add("k")
    request = other.send("extend", keys="k", **HANG)
    eventually(lambda: client.call("waiters")["waiters"])
    client.call("free")
    assert other.reply(request)["locks"][0]["state"] == "acquired"


def test_a_failed_extend_destroys_nothing(client, other):
    before = client.add("a", ttl=10000)["a"]
    other.add("b")
    client.fails("LOCKED", "extend", keys=["a", "b"], ttl=60000, retryCount=0)
    after = client.list()["a"]
    assert after["value"] == before["value"]
    assert 5000 < after["validity"] <= before["validity"]


def test_strict_extend_of_what_is_not_held_is_an_error(client):
    client.add("a")
    assert client.fails("NOT_HELD", "extend", keys=["a", "b"], strict=True).code == 3
    assert set(client.list()) == {"a"}
    assert client.states("extend", "a", strict=True) == {"a": "extended"}


def test_strict_extend_of_what_has_lapsed_is_an_error(client):
    client.add("k", ttl=100)
    let_pass(client, 200)
    assert client.fails("LOST", "extend", keys="k", strict=True).code == 4
    assert client.list() == {}


# --- free, reset, list ------------------------------------------------------------------------------------------------


def test_free_sorts_the_keys_by_what_became_of_them(broker, client):
    client.add("short", ttl=100)
    client.add("held")
    let_pass(client, 200)
    result = client.call("free", keys=["short", "never", "held"])
    assert result == {"freed": ["held"], "pending": [], "expired": ["short"], "missing": ["never"]}
    eventually(lambda: not locks_on(broker.nodes))


def test_a_key_is_freed_once(client):
    client.add("k")
    assert client.call("free", keys="k")["freed"] == ["k"]
    assert client.call("free", keys="k")["missing"] == ["k"]


@pytest.mark.parametrize("params", [{}, {"keys": None}], ids=["absent", "null"])
def test_free_without_keys_frees_all(broker, client, params):
    client.add(["a", "b"])
    client.add("c")
    assert sorted(client.call("free", **params)["freed"]) == ["a", "b", "c"]
    assert client.list() == {}
    assert locks_on(broker.nodes) == {} or eventually(lambda: not locks_on(broker.nodes))


def test_an_empty_key_is_not_all_of_them(client):
    client.add("a")
    client.fails("INVALID_PARAMS", "free", keys="")
    assert set(client.list()) == {"a"}


def test_free_does_not_touch_the_locks_of_others(client, other):
    client.add("k")
    assert other.call("free", keys="k")["missing"] == ["k"]
    assert other.call("reset")["freed"] == []
    refused_at_once(other, "k")


def test_reset_frees_all(client):
    client.add(["a", "b"])
    result = client.call("reset")
    assert sorted(result.pop("freed")) == ["a", "b"]
    assert result == {"pending": [], "expired": [], "missing": []}


def test_list_shows_this_sessions_map(client, other):
    before = client.add(["a", "b"])
    other.add("c")
    after = client.list()
    assert {k: v["value"] for k, v in after.items()} == {k: v["value"] for k, v in before.items()}
    assert all(0 < after[k]["validity"] <= before[k]["validity"] for k in after)


# --- cancel -----------------------------------------------------------------------------------------------------------


def test_cancel_overtakes_what_waits(client, other):
    client.add("k")
    waiting = [other.send("add", keys="k", **HANG), other.send("add", keys="k", **HANG)]
    assert other.call("cancel", id=waiting[0]) == {"cancelled": True}
    with pytest.raises(Exception, match="CANCELLED"):
        other.reply(waiting[0])
    client.call("free")
    assert other.reply(waiting[1])["locks"][0]["state"] == "acquired"


def test_a_cancelled_request_leaves_nothing(broker, client, other):
    client.add("b")
    request = other.send("add", keys=["a", "b"], **HANG)
    eventually(lambda: client.call("waiters")["waiters"])
    assert other.call("cancel", id=request)["cancelled"]
    assert other.list() == {}
    assert client.call("waiters")["waiters"] == []
    assert client.states("add", "a", retryCount=0) == {"a": "acquired"}


def test_cancel_of_what_is_not_in_flight_says_so(client, other):
    client.add("k")
    request = other.send("add", keys="k", **HANG)
    eventually(lambda: client.call("waiters")["waiters"])
    assert other.call("cancel", id=12345) == {"cancelled": False}
    assert other.call("cancel", id=str(request)) == {"cancelled": False}
    assert client.call("cancel", id=request) == {"cancelled": False}  # another session's


# --- lapse ------------------------------------------------------------------------------------------------------------


def test_a_lapse_is_told_no_later_than_the_end_of_validity(client):
    client.call("subscribe")
    late = []
    for _ in range(11):
        lock = client.add("k", ttl=100)["k"]
        end = now_ms() + lock["validity"]
        assert client.notice("lost") == {"key": "k", "value": lock["value"], "reason": "EXPIRED"}
        late.append(now_ms() - end)
        assert client.list() == {}
    assert -50 < statistics.median(late) < 15 * SLOW, late


def test_a_loss_is_told_after_the_reply_that_granted_the_lock(client):
    client.call("subscribe")
    for _ in range(30):
        client.send("add", keys="k", ttl=20, retryCount=-1, retryDelay=1, retryJitter=0)
        granted, lost = client.read()["result"]["locks"][0], client.read()["params"]
        assert (granted["state"], granted["value"]) == ("acquired", lost["value"])


def test_who_is_told_of_a_loss_may_take_the_key_again_at_once(client):
    client.call("subscribe")
    for _ in range(10):
        client.add("k", ttl=100)
        client.notice("lost")
        assert client.states("add", "k", retryCount=0) == {"k": "acquired"}
        client.call("free")


def test_what_has_lapsed_is_free_for_others(client, other):
    client.call("subscribe")
    client.add("k", ttl=200)
    client.notice("lost")
    assert other.states("add", "k", wait=5000) == {"k": "acquired"}
    assert client.call("free", keys="k")["expired"] == ["k"]
    assert set(other.list()) == {"k"}


def test_adding_what_has_lapsed_acquires_it(client):
    before = client.add("k", ttl=100)["k"]
    let_pass(client, 200)
    after = client.add("k")["k"]
    assert after["state"] == "acquired" and after["value"] != before["value"]


def test_an_extended_lock_lapses_at_its_new_time_only(client):
    client.add("k", ttl=300)
    client.extend("k", ttl=10000)
    let_pass(client, 500)
    assert set(client.list()) == {"k"}
    assert client.states("add", "k") == {"k": "held"}


def test_a_session_hears_of_its_own_locks_only_and_only_what_it_asked_for(client, other):
    other.call("subscribe", events=["stopping"])
    other.add("a", ttl=50)
    client.call("subscribe", events=["lost"])
    client.add("b", ttl=100)
    assert client.notice("lost")["key"] == "b"
    other.call("ping")
    assert client.notices == other.notices == []


def test_subscribe_answers_with_the_map(client):
    client.add(["a", "b"])
    assert {lock["key"] for lock in client.call("subscribe")["locks"]} == {"a", "b"}


# --- what has an issue of its own -------------------------------------------------------------------------------------




def test_their_defaults_may_be_written_out(client):
    assert len(client.add("k", autoExtend=False, maxHold=0, lockDelay=0)) == 1


# --- what it shows ----------------------------------------------------------------------------------------------------


def test_hello_introduces_both(client):
    result = client.call("hello", name="n" * 64)
    assert {"server", "version", "protocol", "session", "releaseOn", "limits"} <= set(result)
    assert result["limits"]["maxRequestBytes"] == 65536
    (session,) = [s for s in client.call("sessions")["sessions"] if s["session"] == result["session"]]
    assert session["name"] == "n" * 64


def test_ping(client):
    assert client.call("ping") == {}


def test_status(broker, client, other):
    client.add(["a", "b"])
    queue(client, other, "a")
    status = client.call("status")
    n = broker.nodes_n
    assert (status["nodes"], status["nodesUp"], status["quorum"], status["quorumOk"]) == (n, n, n // 2 + 1, True)
    assert status["pid"] == broker.process.pid
    assert status["scope"] == ("network" if broker.nodes else "host")
    assert (status["sessions"], status["locks"], status["waiters"], status["draining"]) == (2, 2, 1, False)
    assert status["version"] and status["uptime"] >= 0


def test_status_counts(client, other):
    client.add(["a", "b"])
    client.extend("a")
    refused_at_once(other, "a")
    client.call("free", keys="b")
    assert client.ask(b"nonsense")["id"] is None
    client.add("c", ttl=30)
    let_pass(client, 60)
    counters = client.call("status")["counters"]
    assert (counters["granted"], counters["extended"], counters["locked"], counters["freed"]) == (4, 1, 1, 1)
    assert (counters["expired"], counters["noQuorum"], counters["malformed"]) == (2, 0, 1)
    assert counters["lost"] == counters["disconnectReleases"] == 0 and counters["requests"] >= 8


def test_the_end_of_a_session_is_counted(client, other):
    other.add(["a", "b", "c"])
    other.close()
    eventually(lambda: client.call("status")["counters"]["disconnectReleases"] == 3)
    assert client.call("status")["locks"] == 0


def test_nodes(broker, client):
    nodes = client.call("nodes")["nodes"]
    assert len(nodes) == broker.nodes_n and all(node["state"] == "up" for node in nodes)
    for node, real in zip(nodes, broker.nodes):
        info = dict(line.split(":", 1) for line in real.command("INFO", "server").split("\r\n") if ":" in line)
        assert node["url"].startswith(real.url) and node["name"]
        assert (node["runId"], node["redisVersion"]) == (info["run_id"], info["redis_version"])
        assert node["errors"] == 0 and node["reason"] in ("", None) and "rtt" in node


def test_sessions(client, other):
    me = client.call("hello", name="me")["session"]
    other.call("hello", name="you")
    client.add(["a", "b"])
    queue(client, other, "a")
    mine, yours = sorted(client.call("sessions")["sessions"], key=lambda s: s["name"])
    assert (mine["session"], mine["pid"], mine["uid"], mine["gid"]) == (me, os.getpid(), os.getuid(), os.getgid())
    assert (mine["locks"], mine["waiting"], yours["locks"], yours["waiting"]) == (2, 0, 0, 1) and "connected" in mine


def test_locks_of_the_whole_host(broker, client, other):
    session = client.call("hello")["session"]
    client.add("a", ttl=10000)
    other.add("b")
    queue(client, other, "a")
    assert {lock["key"] for lock in other.call("locks")["locks"]} == {"a", "b"}
    (lock,) = other.call("locks", key="a")["locks"]
    assert (lock["session"], lock["pid"], lock["ttl"], lock["waiters"]) == (session, os.getpid(), 10000, 1)
    assert 0 < lock["validity"] < 10000 and lock["heldFor"] >= 0 and {"state", "nodes"} <= set(lock)


def test_the_value_of_a_lock_is_shown_to_its_holder_only(client, other):
    value = client.add("k")["k"]["value"]
    assert value in str(client.list())
    assert value not in str(other.call("locks")) + str(other.call("sessions"))


def test_waiters(broker, client, other):
    session = other.call("hello")["session"]
    client.add(["a", "b"])
    queue(client, other, "a")
    queue(client, broker.client(), "b")
    (waiter,) = client.call("waiters", key="a")["waiters"]
    assert (waiter["key"], waiter["session"], waiter["pid"], waiter["position"]) == ("a", session, os.getpid(), 1)
    assert waiter["waited"] >= 0
    assert {w["key"] for w in client.call("waiters")["waiters"]} == {"a", "b"}
