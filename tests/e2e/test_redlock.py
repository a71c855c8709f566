"""The algorithm on real nodes that hang, die, forget, answer late or refuse."""

import select
import socket
import statistics

import pytest

from harness import DEADLINE, LATE, SLOW, eventually, eventually_empty, let_pass, locks_on, now_ms

FOREIGN = "somebody-else"


def took(fn):
    started = now_ms()
    fn()
    return now_ms() - started


def plant(nodes, key, ttl=60000):
    """A lock of somebody who is not of this host."""
    for node in nodes:
        node.command("SET", key, FOREIGN, "PX", ttl)


def reasons(error):
    """What NO_QUORUM says of each node, in the order of the configuration."""
    return [node["reason"] for node in error.data["nodes"]]


# --- nodes that hang or are down --------------------------------------------------------------------------------------


def test_a_node_that_hangs_costs_milliseconds(daemon, nodes3):
    client = daemon.client()
    nodes3[1].stop()
    for method in (client.add, client.extend):
        times = [took(lambda: method(f"k{i}", retryCount=0)) for i in range(9)]
        assert statistics.median(times) < 20 * SLOW
    assert client.call("free", keys="k0")["freed"] == ["k0"]


def test_one_grants_one_refuses_one_hangs_is_decided(world, nodes3):
    client = world.daemon(nodes3, redis={"connectTimeout": 30000}).client()
    plant(nodes3[1:2], "k")
    nodes3[2].stop()
    request = client.send("add", keys="k", retryCount=0, ttl=10000)
    started = now_ms()
    with pytest.raises(Exception, match="LOCKED|NO_QUORUM"):
        client.reply(request)
    assert now_ms() - started < 200 + LATE
    eventually(lambda: nodes3[0].get("k") is None)
    nodes3[1].command("DEL", "k")
    assert client.states("add", "k", retryCount=0) == {"k": "acquired"}


def test_a_tie_of_two_nodes_is_decided_and_undone(world):
    nodes = world.nodes(2)
    client = world.daemon(nodes).client()
    plant(nodes[1:], "k")
    assert took(lambda: client.fails("LOCKED", "add", keys="k", retryCount=0)) < LATE
    eventually(lambda: nodes[0].get("k") is None)
    nodes[1].command("DEL", "k")
    assert client.states("add", "k", retryCount=0) == {"k": "acquired"}


def test_two_of_five_may_be_missing_and_three_may_not(world, nodes5):
    client = world.daemon(nodes5).client()
    nodes5[0].kill()
    nodes5[1].stop()
    assert client.states("add", "a", retryCount=0) == {"a": "acquired"}
    nodes5[2].kill()
    client.fails("NO_QUORUM", "add", keys="b", retryCount=0)
    assert set(client.list()) == {"a"}
    eventually(lambda: not any(node.get("b") for node in nodes5[3:]))


def test_a_minority_that_is_down_is_invisible(daemon, nodes3):
    client, other = daemon.client(), daemon.client()
    nodes3[0].kill()
    assert client.call("add", keys="k", retryCount=0)["attempts"] == 1
    assert client.states("extend", "k", retryCount=0) == {"k": "extended"}
    other.fails("LOCKED", "add", keys="k", retryCount=0)
    assert client.call("free", keys="k")["freed"] == ["k"]
    assert other.states("add", "k", retryCount=0) == {"k": "acquired"}


def test_the_daemon_starts_without_nodes_and_they_join_when_they_come(world):
    nodes = [world.redis(start=False) for _ in range(3)]
    daemon = world.daemon(nodes, up=False)
    client = daemon.client()
    error = client.fails("NO_QUORUM", "add", keys="k", retryCount=0)
    assert error.code == 2 and len(reasons(error)) == 3
    assert (client.call("status")["nodesUp"], client.call("status")["quorumOk"]) == (0, False)
    waiting = client.send("add", keys="k", retryCount=-1)
    for node in nodes[:2]:
        node.start()
    daemon.certify(2)
    assert client.reply(waiting)["locks"][0]["state"] == "acquired"
    assert client.call("status")["quorumOk"]
    nodes[2].start()
    daemon.certify(3)


def test_a_change_of_a_nodes_state_is_told(daemon, nodes3):
    client = daemon.client()
    client.call("subscribe", events=["node"])
    names = [node["name"] for node in client.call("nodes")["nodes"]]
    nodes3[1].kill()
    told = client.notice("node")
    assert (told["name"], told["reason"] != "") == (names[1], True) and told["state"] in ("down", "connecting")
    nodes3[1].start()
    eventually(lambda: (told := client.notice("node"))["state"] == "quarantined" and told["name"] == names[1])
    client.call("certify", node=names[1])
    told = client.notice("node")
    assert told == {"name": names[1], "state": "up", "reason": ""}


def test_a_connection_that_is_given_up_is_reset(world):
    """After a mere close what is queued in it could still be carried out, when it was long undone."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = "redis://127.0.0.1:%d" % server.getsockname()[1]
        world.daemon([url], up=False, redis={"connectTimeout": 200})
        server.settimeout(DEADLINE)
        connection = server.accept()[0]
    with connection, pytest.raises(ConnectionResetError):
        connection.settimeout(DEADLINE)
        while connection.recv(65536):
            pass


def test_a_node_that_hung_for_long_votes_again(daemon, nodes3):
    client = daemon.client()
    nodes3[0].stop()
    nodes3[1].stop()
    client.fails("NO_QUORUM", "add", keys="k", wait=2500)
    nodes3[0].cont()
    nodes3[1].cont()
    assert client.states("add", "k", wait=10000) == {"k": "acquired"}
    daemon.wait_nodes(3)


# --- tries that fail, and what they leave -----------------------------------------------------------------------------


def test_a_failed_try_is_undone_on_every_node_and_the_next_one_succeeds(daemon, nodes3):
    client = daemon.client()
    plant(nodes3[:2], "b")
    error = client.fails("LOCKED", "add", keys=["a", "b", "c"], retryCount=0)
    assert error.data["keys"] == ["b"] and "holder" not in error.data
    eventually(lambda: set(locks_on(nodes3).values()) == {FOREIGN})
    for node in nodes3:
        node.command("DEL", "b")
    assert client.call("add", keys=["a", "b", "c"], retryCount=0)["attempts"] == 1


def test_retries_outlive_a_foreign_lock(daemon, nodes3):
    plant(nodes3, "k", ttl=300)
    result = daemon.client().call("add", keys="k", retryCount=100, retryDelay=40, retryJitter=0)
    assert result["locks"][0]["state"] == "acquired"
    assert result["attempts"] >= 2 and result["waited"] <= 300 + LATE


def test_retries_come_after_their_delay(daemon, nodes3):
    plant(nodes3, "k")
    error = daemon.client().fails("LOCKED", "add", keys="k", retryCount=4, retryDelay=50, retryJitter=0)
    assert error.data["attempts"] == 5
    assert 200 <= error.data["waited"] <= 200 + LATE


@pytest.mark.parametrize("over_unix", [False, True], ids=["tcp", "unix"])
@pytest.mark.parametrize("hung_for", ["shortly", "long"])
def test_a_node_that_hung_during_failed_tries_is_left_clean(world, hung_for, over_unix):
    """It finds the commands of every try at once when it goes on."""
    nodes = world.nodes(3, over_unix=over_unix)
    daemon = world.daemon(nodes)
    plant(nodes[:1], "k")
    nodes[2].stop()
    with pytest.raises(Exception, match="LOCKED|NO_QUORUM"):
        daemon.client().call("add", keys="k", ttl=60000, retryCount=3, retryDelay=20, retryJitter=0)
    if hung_for == "long":
        daemon.wait_nodes(2)  # it is counted as down by now
    nodes[2].cont()
    daemon.wait_nodes(3)
    eventually(lambda: set(locks_on(nodes).values()) == {FOREIGN})
    assert locks_on(nodes) == {("node0", "k"): FOREIGN}


def test_answers_that_come_after_the_ttl_grant_nothing(world, nodes3):
    links = [world.slow_link(node, delay_ms=15) for node in nodes3]
    daemon = world.daemon([link.url for link in links])
    client = daemon.client()
    for _ in range(5):
        client.fails("NO_QUORUM", "add", keys="k", ttl=10, retryCount=2, retryDelay=5, retryJitter=5)
    assert client.list() == {}
    assert client.call("status")["counters"]["granted"] == 0
    eventually_empty(nodes3)


def test_answers_that_come_after_the_node_timeout_grant_nothing(world, nodes3):
    links = [world.slow_link(node, delay_ms=400) for node in nodes3]
    client = world.daemon([link.url for link in links]).client()
    client.fails("NO_QUORUM", "add", keys="k", ttl=60000, retryCount=0)
    eventually_empty(nodes3)


def test_slow_nodes_shorten_the_validity(world, nodes3):
    links = [world.slow_link(node, delay_ms=60) for node in nodes3]
    client = world.daemon([link.url for link in links]).client()
    lock = client.add("k", ttl=4000, retryCount=-1)["k"]
    assert lock["validity"] <= 4000 - 42 - 60


# --- nodes that forget ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strict", [False, True])
def test_a_lock_that_two_of_three_nodes_lost_is_not_extended(daemon, nodes3, strict):
    client = daemon.client()
    before = client.add("k", ttl=20000)["k"]
    eventually(lambda: nodes3[2].get("k"))
    for node in nodes3[:2]:
        node.command("DEL", "k")
    assert client.fails("LOST", "extend", keys="k", ttl=60000, strict=strict).code == 4
    after = client.list()["k"]
    assert (after["value"], after["validity"] <= before["validity"]) == (before["value"], True)
    assert nodes3[2].get("k") == before["value"]


def test_a_lost_lock_is_not_brought_back_to_life(daemon, nodes3):
    client = daemon.client()
    client.add("k", ttl=20000)
    eventually(lambda: nodes3[2].get("k"))
    for node in nodes3[:2]:
        node.command("DEL", "k")
    client.fails("LOST", "extend", keys="k")
    assert nodes3[0].get("k") is None and nodes3[1].get("k") is None


def forget(nodes, key):
    eventually(lambda: all(node.get(key) for node in nodes))
    for node in nodes:
        node.command("DEL", key)


@pytest.mark.parametrize("subscribed", [False, True])
def test_after_an_extension_that_found_it_lost_an_add_is_no_yes_without_the_nodes(daemon, nodes3, subscribed):
    client = daemon.client()
    if subscribed:
        client.call("subscribe")
    before = client.add("k", ttl=20000)["k"]
    forget(nodes3, "k")
    client.fails("LOST", "extend", keys="k", ttl=20000)
    after = client.add("k", ttl=20000, retryCount=0)["k"]
    assert after["state"] == "acquired" and after["value"] != before["value"] and after["fence"] > before["fence"]
    assert {node.get("k") for node in nodes3} >= {after["value"]}
    if subscribed:
        assert client.notice("lost") == {"key": "k", "value": before["value"], "reason": "NO_QUORUM"}


def test_after_such_an_extension_an_add_finds_who_has_it_now(daemon, nodes3):
    client = daemon.client()
    client.add("k", ttl=20000)
    forget(nodes3, "k")
    for node in nodes3:
        node.command("SET", "k", "somebody else", "PX", 20000)
    client.fails("LOST", "extend", keys="k", ttl=20000)
    client.fails("LOCKED", "add", keys="k", retryCount=0)
    assert client.list() == {} and {node.get("k") for node in nodes3} == {"somebody else"}


def test_what_is_lost_is_lost_when_it_is_extended_again(daemon, nodes3):
    client = daemon.client()
    client.add("k", ttl=20000)
    forget(nodes3, "k")
    for strict in (False, True, False):
        error = client.fails("LOST", "extend", keys="k", retryCount=-1, strict=strict)
        assert error.data["keys"] == ["k"]


@pytest.mark.parametrize("method, state", [("add", "acquired"), ("extend", "reacquired")])
def test_who_was_told_that_its_lock_is_lost_may_take_it_again_at_once(daemon, nodes3, method, state):
    client = daemon.client()
    client.call("subscribe")
    before = client.add("k", ttl=20000, autoExtend=True)["k"]
    forget(nodes3, "k")
    assert client.notice("lost")["reason"] == "NO_QUORUM"
    daemon.client().fails("LOCKED", "add", keys="k", retryCount=0)  # nobody else on the host, before its old end
    (after,) = client.call(method, keys="k", ttl=20000, retryCount=0)["locks"]
    assert (after["state"], after["fence"] > before["fence"]) == (state, True)


def test_a_lock_that_one_of_three_nodes_lost_is_extended(daemon, nodes3):
    client = daemon.client()
    before = client.add("k", ttl=5000)["k"]
    nodes3[0].flush()
    after = client.extend("k", ttl=20000)["k"]
    assert (after["state"], after["value"]) == ("extended", before["value"])


def test_a_lock_is_lost_only_where_a_majority_says_so(daemon, nodes3):
    """One node has it, one has lost it, one hangs: that may be a majority yet."""
    client = daemon.client()
    before = client.add("k", ttl=20000)["k"]
    eventually(lambda: len(locks_on(nodes3)) == 3)
    nodes3[0].command("DEL", "k")
    nodes3[2].stop()
    client.fails("NO_QUORUM", "extend", keys="k", retryCount=0)
    request = client.send("extend", keys="k", retryCount=-1, retryDelay=20, retryJitter=0)
    nodes3[2].cont()
    (after,) = client.reply(request)["locks"]
    assert (after["state"], after["value"]) == ("extended", before["value"])


def test_the_release_of_a_lapsed_lock_is_expired_and_leaves_the_next_holder_alone(daemon, nodes3):
    client = daemon.client()
    client.add("k", ttl=100)
    let_pass(client, 300)
    eventually_empty(nodes3)
    plant(nodes3, "k")
    result = client.call("free", keys="k")
    assert (result["expired"], result["freed"], result["pending"]) == (["k"], [], [])
    assert set(locks_on(nodes3).values()) == {FOREIGN}


def test_a_release_deletes_no_value_but_its_own(daemon, nodes3):
    client = daemon.client()
    client.add("k")
    eventually(lambda: len(locks_on(nodes3)) == 3)
    plant(nodes3[:2], "k")
    client.call("free", keys="k")
    eventually(lambda: locks_on(nodes3) == {("node0", "k"): FOREIGN, ("node1", "k"): FOREIGN})


def test_script_flush_is_invisible(daemon, nodes3):
    client = daemon.client()
    client.add("before")
    for node in nodes3:
        node.command("SCRIPT", "FLUSH")
    assert client.call("add", keys="k", retryCount=0)["attempts"] == 1
    for node in nodes3:
        node.command("SCRIPT", "FLUSH")
    assert client.states("extend", "k", retryCount=0) == {"k": "extended"}
    for node in nodes3:
        node.command("SCRIPT", "FLUSH")
    assert sorted(client.call("free")["freed"]) == ["before", "k"]
    eventually_empty(nodes3)


def test_a_restarted_node_is_invisible(daemon, nodes3):
    client = daemon.client()
    client.add("before")
    nodes3[0].restart()
    assert client.call("add", keys="k", retryCount=0)["attempts"] == 1
    daemon.certify(3)
    nodes3[1].kill()
    result = client.call("add", keys="l", retryCount=0)  # the restarted node's vote is needed
    assert result["attempts"] == 1


# --- releases that cannot be confirmed --------------------------------------------------------------------------------


def test_a_release_without_a_majority_is_pending_and_carried_out_later(daemon, nodes3):
    client = daemon.client()
    client.add("k", ttl=60000)
    eventually(lambda: len(locks_on(nodes3)) == 3)
    nodes3[0].stop()
    nodes3[1].stop()
    result = client.call("free", keys="k")
    assert (result["pending"], result["freed"]) == (["k"], [])
    assert client.list() == {}
    assert client.call("free", keys="k")["missing"] == ["k"]
    nodes3[0].cont()
    nodes3[1].cont()
    eventually_empty(nodes3)


def test_a_node_that_was_cut_off_during_a_release_is_cleaned_when_it_is_back(daemon, nodes3):
    client = daemon.client()
    client.add("k", ttl=60000)
    eventually(lambda: len(locks_on(nodes3)) == 3)
    nodes3[0].stop()
    assert client.call("free", keys="k")["freed"] == ["k"]
    nodes3[0].cont()
    eventually_empty(nodes3)


def test_the_hosts_own_leftovers_never_block_it(daemon, nodes3):
    client = daemon.client()
    client.add("k", ttl=60000)
    eventually(lambda: len(locks_on(nodes3)) == 3)
    nodes3[0].stop()
    nodes3[1].stop()
    client.call("free", keys="k")
    waiting = client.send("add", keys="k", retryCount=-1, retryDelay=20, retryJitter=20)
    nodes3[0].cont()
    nodes3[1].cont()
    assert client.reply(waiting)["locks"][0]["state"] == "acquired"


def test_an_acquire_that_a_stopped_server_finds_in_its_kernel_is_undone(world, nodes3):
    """Its connection is given up before its undo could be sent; long after its ttl the servers go on, and carry it out."""
    client = world.daemon(nodes3, redis={"connectTimeout": 100, "reconnectMax": 100}).client()
    nodes3[0].stop()
    nodes3[1].stop()
    error = client.fails("NO_QUORUM", "add", keys="k", ttl=3000, retryCount=0)  # the node timeout is 150 ms
    assert not any("node timeout" in reason for reason in reasons(error)[:2]), reasons(error)
    client.fails("NO_QUORUM", "add", keys="other", wait=3500)
    nodes3[0].cont()
    nodes3[1].cont()
    assert client.states("add", "k", retryCount=-1, wait=1500, retryDelay=20, retryJitter=0) == {"k": "acquired"}
    client.call("reset")
    eventually_empty(nodes3)


# --- nodes that refuse ------------------------------------------------------------------------------------------------


def wrong_password(world):
    node = world.redis(password="right-one")
    return node, node.url.replace("redis://", "redis://:wrong-one@"), ("WRONGPASS", "NOAUTH", "password", "auth")


def replica(world):
    node = world.redis(options=["--replicaof", "127.0.0.1", "1"])
    return node, node.url, ("READONLY", "replica", "slave")


def other_type(world):
    node = world.redis()
    node.command("RPUSH", "k", "item")
    return node, node.url, ("WRONGTYPE",)


def full(world):
    node = world.redis(options=["--maxmemory", "1", "--maxmemory-policy", "noeviction"])
    return node, node.url, ("OOM", "memory")


def names_one_of(words, reason):
    return any(word.lower() in reason.lower() for word in words)


@pytest.mark.parametrize("refusal", [wrong_password, replica, other_type, full])
def test_a_node_that_refuses_gives_no_vote_and_its_reason(world, refusal):
    _, url, words = refusal(world)
    daemon = world.daemon([url], up=False)
    daemon.certify()
    client = daemon.client()

    def told():
        (reason,) = reasons(client.fails("NO_QUORUM", "add", keys="k", retryCount=0))
        return names_one_of(words, reason)

    eventually(told)  # it may still be connecting at first


def test_no_quorum_has_a_reason_for_each_node(world):
    """The try is decided by the second refusal, and need not wait for what the third would say."""
    trouble = [wrong_password(world), replica(world), other_type(world)]
    daemon = world.daemon([url for _, url, _ in trouble], up=False)
    daemon.certify()
    client = daemon.client()

    def told():
        error = client.fails("NO_QUORUM", "add", keys="k", retryCount=0)
        names = [node["name"] for node in error.data["nodes"]]
        assert names == [node["name"] for node in client.call("nodes")["nodes"]] and all(reasons(error))
        return sum(names_one_of(words, r) for r, (_, _, words) in zip(reasons(error), trouble)) >= 2

    eventually(told)


@pytest.mark.parametrize("refusal", [replica, other_type, full])
def test_three_nodes_that_refuse_are_no_quorum_and_not_locked(world, refusal):
    daemon = world.daemon([refusal(world)[1] for _ in range(3)], up=False)
    daemon.certify()
    client = daemon.client()
    error = client.fails("NO_QUORUM", "add", keys=["k", "l"], retryCount=2, retryDelay=10)
    assert error.data["attempts"] == 3
    assert client.list() == {}


def test_one_node_that_refuses_is_invisible(world):
    nodes = world.nodes(2)
    _, url, _ = wrong_password(world)
    daemon = world.daemon([url, *nodes], up=False)
    daemon.certify(2)
    client = daemon.client()
    assert client.call("add", keys="k", retryCount=0)["attempts"] == 1


def test_a_password_is_never_shown(world):
    secret, wrong = "s3cret-right-one", "s3cret-wrong-one"
    good, other, bad = world.nodes(3, password=secret)
    (world.path / "password").write_text(secret + "\n")
    nodes = [
        {"name": "file", "url": good.url, "passwordFile": "password"},
        other.url.replace("redis://", f"redis://:{secret}@"),
        bad.url.replace("redis://", f"redis://somebody:{wrong}@"),
    ]
    daemon = world.daemon(nodes, up=False, log={"level": "debug"})
    daemon.certify(2)
    client = daemon.client()
    client.add("k")
    good.kill()
    shown = str(client.fails("NO_QUORUM", "add", keys="l", retryCount=0).data)
    shown += "".join(str(client.call(m)) for m in ("status", "nodes", "sessions", "locks", "hello"))
    shown += open(f"/proc/{daemon.process.pid}/cmdline").read() + daemon.terminate()
    assert secret not in shown and wrong not in shown


# --- addresses --------------------------------------------------------------------------------------------------------


def test_a_node_with_a_password_and_a_user(world):
    node = world.redis(options=["--user", "locker", "on", ">pa:ss@/word", "~*", "&*", "+@all"])
    url = node.url.replace("redis://", "redis://locker:pa%3Ass%40%2Fword@")
    client = world.daemon([url]).client()
    client.add("k")
    assert node.get("k")
    assert "user=locker" in node.command("CLIENT", "LIST")


def test_a_password_from_a_file_beside_the_configuration(world):
    node = world.redis(password="from a file")
    (world.path / "redis-b").write_text("from a file\n")
    daemon = world.daemon([{"name": "b", "url": node.url, "passwordFile": "redis-b"}])
    assert daemon.client().call("nodes")["nodes"][0]["name"] == "b"
    daemon.client().add("k")
    assert node.get("k")


def test_a_node_behind_a_unix_socket_and_a_database_of_its_own(world):
    node = world.redis(over_unix=True)
    daemon = world.daemon([node.url + "?db=3"])
    value = daemon.client().add("k")["k"]["value"]
    assert node.command("GET", "k", db=3) == value
    assert node.get("k") is None


def test_nodes_by_name_and_by_ipv6(world):
    named, sixth = world.redis(), world.redis(host="::1")
    urls = [named.url.replace("127.0.0.1", "localhost"), sixth.url + "/2"]
    daemon = world.daemon(urls)
    client = daemon.client()
    value = client.add("k")["k"]["value"]
    assert (named.get("k"), sixth.command("GET", "k", db=2)) == (value, value)


def test_a_name_that_does_not_resolve_is_a_node_that_is_down(world):
    nodes = world.nodes(2)
    daemon = world.daemon([*nodes, "redis://no-such-host.invalid:6379"], up=False)
    daemon.certify(2)
    client = daemon.client()
    assert client.states("add", "k", retryCount=0) == {"k": "acquired"}


def test_the_key_prefix_stands_before_every_key_in_redis_only(world, nodes3):
    client = world.daemon(nodes3, lock={"keyPrefix": "app:"}).client()
    value = client.add("k")["k"]["value"]
    eventually(lambda: set(locks_on(nodes3).values()) == {value} and len(locks_on(nodes3)) == 3)
    assert {key for _, key in locks_on(nodes3)} == {"app:k"}
    assert client.call("free")["freed"] == ["k"]
    eventually_empty(nodes3)


def test_connections_have_a_name(daemon, nodes3):
    assert all("name=redlockd" in node.command("CLIENT", "LIST") for node in nodes3)


def test_any_number_of_keys_is_one_call_a_node(daemon, nodes3):
    client = daemon.client()
    client.add("warm")
    eventually(lambda: len(locks_on(nodes3)) == 3)
    for node in nodes3:
        node.command("CONFIG", "RESETSTAT")
    client.add([f"k{i}" for i in range(20)])
    eventually(lambda: len(locks_on(nodes3)) == 63)
    stats = [node.command("INFO", "commandstats") for node in nodes3]
    assert all("cmdstat_evalsha:calls=1," in s for s in stats)


# --- several hosts ----------------------------------------------------------------------------------------------------


def test_two_daemons_exclude_each_other(world, nodes3):
    here, there = world.daemon(nodes3).client(), world.daemon(nodes3).client()
    here.add("k")
    error = there.fails("LOCKED", "add", keys="k", retryCount=2, retryDelay=10)
    assert "holder" not in error.data  # it is not known on this host
    waiting = there.send("add", keys="k", retryCount=-1, retryDelay=20, retryJitter=10)
    here.call("free")
    assert there.reply(waiting)["locks"][0]["state"] == "acquired"
    here.fails("LOCKED", "add", keys="k", retryCount=0)


def test_many_daemons_that_want_one_key_do_not_block_each_other(world, nodes3):
    clients = [daemon.client() for daemon in [world.daemon(nodes3) for _ in range(4)] for _ in range(2)]
    waiting = {c.socket: (c, c.send("add", keys="k", retryCount=-1, retryDelay=20, retryJitter=20)) for c in clients}
    while waiting:
        ready, _, _ = select.select(list(waiting), [], [], DEADLINE)
        assert ready, f"{len(waiting)} of {len(clients)} never got the key"
        for connection in ready:
            client, request = waiting.pop(connection)
            assert client.reply(request)["locks"][0]["state"] == "acquired"
            client.call("free")
