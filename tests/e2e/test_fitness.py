"""
Nodes that forget, and nodes that may not vote: on real redis-servers, the scenes in which other Redlock libraries let
two clients hold one lock.
"""

import os
import pty
import subprocess
import time

import pytest
from harness import DEADLINE, LATE, REDLOCKCTL, ROOT, RpcError, eventually, eventually_empty, free_port, let_pass, locks_on, now_ms

MAX_TTL = 3000  # the longest lock, and nearly the length of a quarantine, where one is waited for
QUARANTINE = MAX_TTL * 1.01 + 2 + 200


def states(client):
    return [node["state"] for node in client.call("nodes")["nodes"]]


def node_of(client, index):
    return client.call("nodes")["nodes"][index]


def two_hosts(world, nodes):
    """Two daemons on the same nodes, and a client of each."""
    return [world.daemon(nodes).client() for _ in range(2)]


def holder_on_two_of_three(world, nodes):
    """alice holds k on the first two nodes while the third is down; bob is on another host."""
    alice, bob = two_hosts(world, nodes)
    nodes[2].kill()
    for client in (alice, bob):
        eventually(lambda: states(client)[2] == "down")
    alice.add("k", ttl=60000)
    eventually(lambda: len(locks_on(nodes[:2])) == 2)
    return alice, bob


# --- two holders, as others have them ----------------------------------------------------------------------------------


def test_a_node_killed_and_back_empty_makes_no_second_holder(world, nodes3):
    alice, bob = holder_on_two_of_three(world, nodes3)
    nodes3[1].restart()  # it has forgotten alice's lock
    nodes3[2].start()  # it never heard of it
    for client in (alice, bob):
        eventually(lambda: not {"down", "connecting"} & set(states(client)))
    error = bob.fails("NO_QUORUM", "add", keys="k", retryCount=0)
    assert [node["reason"].split(":")[0] for node in error.data["nodes"]][1:] == ["quarantined"] * 2
    assert states(bob) == states(alice) == ["up", "quarantined", "quarantined"]
    assert nodes3[1].get("k") is None and nodes3[2].get("k") is None
    assert alice.call("free")["freed"] == ["k"]


def test_a_node_that_was_flushed_makes_no_second_holder(world, nodes3):
    """bob asks in the moment after the flush, before any heartbeat has seen it: the node itself says so."""
    alice, bob = two_hosts(world, nodes3)
    alice.add("k", ttl=60000)
    eventually(lambda: len(locks_on(nodes3)) == 3)
    nodes3[2].command("DEL", "k")  # as if the node had been away when alice asked
    nodes3[1].flush()
    assert bob.fails("LOCKED", "add", keys="k", retryCount=0).data["attempts"] == 1
    assert nodes3[1].get("k") is None
    for client in (alice, bob):
        eventually(lambda: states(client)[1] == "quarantined")


def test_three_flushed_nodes_have_no_vote_left(world, nodes3):
    alice, bob = two_hosts(world, nodes3)
    alice.add("k", ttl=60000)
    eventually(lambda: len(locks_on(nodes3)) == 3)
    for node in nodes3:
        node.flush()
    error = bob.fails("NO_QUORUM", "add", keys="k", retryCount=0)
    assert all(node["reason"].startswith(("quarantined", "decided")) for node in error.data["nodes"])
    assert not locks_on(nodes3)


def test_a_lock_on_a_node_that_was_flushed_is_extended_by_the_others(world, nodes3):
    client = world.daemon(nodes3).client()
    before = client.add("k", ttl=20000)["k"]
    eventually(lambda: len(locks_on(nodes3)) == 3)
    nodes3[0].flush()
    after = client.extend("k", ttl=60000)["k"]
    assert (after["state"], after["value"]) == ("extended", before["value"])
    eventually(lambda: nodes3[0].get("k") == before["value"])  # planted, but it does not count
    nodes3[1].flush()
    client.fails("NO_QUORUM", "extend", keys="k", retryCount=0)
    assert client.list()["k"]["validity"] > 50000  # what was valid stays so


# --- the quarantine ----------------------------------------------------------------------------------------------------


def test_a_fresh_node_votes_when_its_quarantine_is_over(world):
    node = world.redis()
    started = now_ms()
    daemon = world.daemon([node], up=False, lock={"ttl": 1000, "maxTtl": MAX_TTL})
    client = daemon.client()
    client.call("subscribe", events=["node"])
    eventually(lambda: states(client) == ["quarantined"])
    seen = node_of(client, 0)
    assert "no certificate" in seen["reason"]
    assert 0 < seen["votesAt"] - time.time() * 1000 <= QUARANTINE
    status = client.call("status")
    assert (status["nodesQuarantined"], status["nodesUp"], status["restartQuarantine"]) == (1, 0, True)
    client.fails("NO_QUORUM", "add", keys="k", retryCount=0)
    # who waits gets it
    assert client.call("add", keys="k", retryCount=-1, retryDelay=20)["locks"][0]["state"] == "acquired"
    assert QUARANTINE <= now_ms() - started <= QUARANTINE + LATE + 1000
    assert node_of(client, 0)["votesAt"] is None
    assert node.command("PTTL", "redlockd:cert") == -1
    run_id, members, max_ttl = node.get("redlockd:cert").split("|")
    assert (run_id, len(members), max_ttl) == (seen["runId"], 16, str(MAX_TTL))
    assert "quarantined: no certificate" in daemon.log() and "votes in" in daemon.log()


def test_another_daemon_finds_the_certificate(world, nodes3):
    world.daemon(nodes3)  # certifies them
    other = world.daemon(nodes3, up=False)
    other.wait_nodes(3)
    assert "quarantined" not in other.log()


def test_a_restart_of_the_daemon_costs_no_quarantine(world, nodes3):
    world.daemon(nodes3).terminate()
    world.daemon(nodes3, up=False).wait_nodes(3)


def test_a_flush_in_the_middle_of_the_quarantine_begins_it_anew(world):
    """Between two looks nothing was there, and nothing is there: that is not the same nothing."""
    node = world.redis()
    daemon = world.daemon([node], up=False, lock={"ttl": 1000, "maxTtl": MAX_TTL})
    client = daemon.client()
    eventually(lambda: states(client) == ["quarantined"])
    first = node_of(client, 0)["votesAt"]
    eventually(lambda: time.time() * 1000 > first - MAX_TTL / 2)
    node.flush()
    flushed = now_ms()
    eventually(lambda: (node_of(client, 0)["votesAt"] or 0) > first + 1000)
    daemon.wait_nodes(1)
    assert now_ms() - flushed >= QUARANTINE


def test_releases_go_to_a_node_in_quarantine(world, nodes3):
    client = world.daemon(nodes3).client()
    client.add("k", ttl=60000)
    eventually(lambda: len(locks_on(nodes3)) == 3)
    nodes3[0].command("SET", "redlockd:cert", "something else")
    eventually(lambda: states(client)[0] == "quarantined")
    client.call("free")
    eventually_empty(nodes3)


def test_without_quarantine_a_restarted_node_votes_at_once(world, nodes3):
    daemon = world.daemon(nodes3, up=False, redis={"restartQuarantine": False})
    daemon.wait_nodes(3)
    assert "restartQuarantine is false" in daemon.log()
    client = daemon.client()
    assert client.call("status")["restartQuarantine"] is False
    nodes3[0].restart()
    eventually(lambda: states(client) == ["up"] * 3)
    nodes3[1].kill()
    assert client.states("add", "k", retryCount=0) == {"k": "acquired"}
    assert nodes3[0].get("redlockd:cert") is None


# --- nodes that keep everything ------------------------------------------------------------------------------------------

ALWAYS = ["--appendonly", "yes", "--appendfsync", "always", "--aof-load-truncated", "no"]


def aof_node(world, name, options):
    """A node with a folder of its own for its AOF."""
    folder = world.path / name
    folder.mkdir()
    return world.redis(options=[*options, "--dir", folder])


@pytest.mark.parametrize("kept", [True, False], ids=["always", "everysec"])
def test_a_node_that_syncs_before_it_answers_has_no_quarantine_after_a_restart(world, kept):
    node = aof_node(world, "aof", ALWAYS if kept else ["--appendonly", "yes", "--appendfsync", "everysec"])
    daemon = world.daemon([node])
    client = daemon.client()
    client.add("k", ttl=60000)
    before = node_of(client, 0)["runId"]
    let_pass(client, 700)  # a heartbeat has seen how it is configured
    value = node.get("k")
    node.restart()
    assert node.get("k") == value  # both have it again; only one of them can be trusted to have everything
    if kept:
        daemon.wait_nodes(1)
        assert node_of(client, 0)["runId"] != before
        assert client.states("add", "l", retryCount=0) == {"l": "acquired"}
    else:
        eventually(lambda: states(client) == ["quarantined"])
        assert "earlier run" in node_of(client, 0)["reason"]
        assert node_of(client, 0)["votesAt"] > time.time() * 1000 + 50000


# --- nodes that can never vote -------------------------------------------------------------------------------------------


def test_a_replica_is_refused_and_votes_when_it_is_a_master(world):
    nodes = world.nodes(3)
    nodes[2].command("REPLICAOF", "127.0.0.1", nodes[0].port)
    daemon = world.daemon(nodes, up=False)
    daemon.certify(2)
    client = daemon.client()
    seen = node_of(client, 2)
    assert (seen["state"], "REPLICAOF NO ONE" in seen["reason"]) == ("unfit", True)
    assert client.call("status")["nodesUnfit"] == 1
    nodes[0].kill()
    error = client.fails("NO_QUORUM", "add", keys="k", retryCount=0)
    assert error.data["nodes"][2]["reason"].startswith("unfit: a replica")
    nodes[2].command("REPLICAOF", "NO", "ONE")
    eventually(lambda: states(client)[2] == "quarantined")


def test_a_master_that_was_a_replica_is_another_one(world):
    """Its run_id is the same, and the certificate came back to it with the data of its own replica: of the past."""
    first, second = world.nodes(2)
    daemon = world.daemon([first])
    client = daemon.client()
    second.command("REPLICAOF", "127.0.0.1", first.port)
    eventually(lambda: second.get("redlockd:cert") == first.get("redlockd:cert"))
    second.command("REPLICAOF", "NO", "ONE")
    client.add("k", ttl=60000)
    run_id = node_of(client, 0)["runId"]
    first.command("REPLICAOF", "127.0.0.1", second.port)
    eventually(lambda: states(client) == ["unfit"])
    eventually(lambda: first.get("k") is None and first.get("redlockd:cert"))
    first.command("REPLICAOF", "NO", "ONE")
    eventually(lambda: states(client) == ["quarantined"])
    assert node_of(client, 0)["runId"] == run_id and first.get("redlockd:cert").startswith(run_id + "|")


def test_one_server_under_two_names_votes_once(world):
    nodes = world.nodes(2)
    urls = [nodes[0].url, nodes[1].url, nodes[0].url.replace("127.0.0.1", "localhost")]
    daemon = world.daemon(urls, up=False)
    daemon.certify(2)
    client = daemon.client()
    assert states(client) == ["up", "up", "unfit"]
    assert "the same server as an earlier node" in node_of(client, 2)["reason"]
    nodes[1].kill()
    eventually(lambda: states(client)[1] == "down")
    client.fails("NO_QUORUM", "add", keys="k", retryCount=0)  # one server is one vote, not two of three


def test_a_node_that_may_evict_is_refused_and_has_lost_its_certificate(world, nodes3):
    client = world.daemon(nodes3).client()
    nodes3[1].command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    eventually(lambda: states(client) == ["up", "unfit", "up"])
    assert "allkeys-lru" in node_of(client, 1)["reason"]
    eventually(lambda: nodes3[1].get("redlockd:cert").startswith("mark|"))
    nodes3[1].command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    eventually(lambda: states(client) == ["up", "quarantined", "up"])


def test_a_part_of_a_cluster_is_refused(world):
    bus = ["--cluster-port", free_port()]  # by default 10,000 above the port, which may be too high
    node = world.redis(options=["--cluster-enabled", "yes", "--cluster-config-file", world.path / "nodes.conf", *bus])
    daemon = world.daemon([node], up=False)
    client = daemon.client()
    eventually(lambda: states(client) == ["unfit"])
    assert "Cluster" in node_of(client, 0)["reason"]
    client.fails("NO_QUORUM", "add", keys="k", retryCount=0)


def test_a_node_that_may_not_be_asked_who_it_is_is_refused(world):
    node = world.redis(options=["--user", "locker", "on", "nopass", "~*", "+@all", "-info"])
    client = world.daemon([node.url.replace("redis://", "redis://locker@")], up=False).client()
    eventually(lambda: states(client) == ["unfit"])
    assert "ACL: +info" in node_of(client, 0)["reason"]


# --- hosts that do not agree ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("differs", ["list", "limit"])
def test_hosts_with_another_list_or_limit_find_out(world, nodes3, differs):
    nodes = world.nodes(1) if differs == "list" else []
    world.daemon(nodes3)
    there = world.daemon([*nodes3, *nodes], up=False, lock={"maxTtl": 60000 if differs == "list" else 50000})
    client = there.client()
    eventually(lambda: states(client)[:3] == ["quarantined"] * 3)
    assert "must be the same on every host" in node_of(client, 0)["reason"]
    client.fails("NO_QUORUM", "add", keys="k", retryCount=0)


def test_hosts_that_call_the_nodes_the_same_agree(world, nodes3):
    """The order does not matter, nor by which address a host reaches a node."""
    named = [{"name": f"n{i}", "url": node.url} for i, node in enumerate(nodes3)]
    other = [{**node, "url": node["url"].replace("127.0.0.1", "localhost")} for node in reversed(named)]
    world.daemon(named)
    world.daemon(other, up=False).wait_nodes(3)


# --- operators -----------------------------------------------------------------------------------------------------------


def ctl(daemon, *argv, **options):
    return subprocess.run([REDLOCKCTL, "-s", daemon.path, *argv], capture_output=True, text=True, timeout=DEADLINE, **options)


def test_certify_ends_a_quarantine_and_nothing_else(world, nodes3):
    daemon = world.daemon(nodes3)
    client = daemon.client()
    nodes3[0].restart()
    eventually(lambda: states(client)[0] == "quarantined")
    name = node_of(client, 0)["name"]
    assert client.fails("INVALID_PARAMS", "certify", node="no such node").data["path"] == "node"
    assert client.call("certify", node=name)["certified"] is True
    daemon.wait_nodes(3)
    again = client.call("certify", node=name)
    assert (again["certified"], again["node"]["state"]) == (False, "up")
    nodes3[0].kill()
    eventually(lambda: states(client)[0] == "down")
    assert client.call("certify", node=name)["certified"] is False


def test_certify_is_for_root_and_the_daemons_own_user(world, nodes3):
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    daemon = world.daemon(nodes3, listen={"mode": "0666"})
    world.path.chmod(0o755)
    name = node_of(daemon.client(), 0)["name"]
    params = '{"node":"%s"}' % name
    nobody = ctl(daemon, "call", "certify", params, user=65534)
    assert (nobody.returncode, "DENIED" in nobody.stderr) == (1, True)
    assert ctl(daemon, "call", "nodes", user=65534).returncode == 0
    assert ctl(daemon, "call", "certify", params).returncode == 0


def test_redlockctl_certify_wants_to_be_told(world, nodes3):
    daemon = world.daemon(nodes3)
    client = daemon.client()
    nodes3[0].restart()
    eventually(lambda: states(client)[0] == "quarantined")
    name = node_of(client, 0)["name"]
    silent = ctl(daemon, "certify", name, stdin=subprocess.DEVNULL)
    assert (silent.returncode, "--yes" in silent.stderr) == (1, True)
    assert states(client)[0] == "quarantined"
    for answer, code in (("n", 1), ("y", 0)):
        ours, theirs = pty.openpty()
        os.write(ours, answer.encode() + b"\n")
        asked = ctl(daemon, "certify", name, stdin=theirs)
        os.close(ours)
        os.close(theirs)
        assert (asked.returncode, "[y/N]" in asked.stderr) == (code, True)
    daemon.wait_nodes(3)
    again = ctl(daemon, "certify", "--yes", name)
    assert (again.returncode, "nothing to certify" in again.stderr) == (1, True)
    assert ctl(daemon, "certify").returncode == 1 and ctl(daemon, "certify", "--yes").returncode == 1


# --- what the daemon has to be allowed -----------------------------------------------------------------------------------


def acl_of_the_readme():
    """The least that is needed, as it stands there."""
    readme = (ROOT / "README.md").read_text()
    (line,) = [line for line in readme.splitlines() if line.startswith("ACL SETUSER ")]
    return line.split()[1:]


def test_the_acl_of_the_readme_is_enough_and_no_more_than_that(world):
    nodes = world.nodes(3)
    words = acl_of_the_readme()
    for node in nodes:
        node.command("ACL", *[w.replace("PASSWORD", "s3cret") for w in words])
    url = [node.url.replace("redis://", "redis://redlockd:s3cret@") for node in nodes]
    daemon = world.daemon(url)
    client = daemon.client()
    assert client.states("add", ["app:a", "app:b"]) == {"app:a": "acquired", "app:b": "acquired"}
    assert client.states("extend", "app:a") == {"app:a": "extended"}
    eventually(lambda: len(locks_on(nodes)) == 6)
    other = world.daemon(url).client()  # it listens, is told, and listens no more
    waiting = other.send("add", keys="app:b", retryCount=-1, retryDelay=3000)
    eventually(lambda: all("redlockd:free:app:b" in node.command("PUBSUB", "CHANNELS") for node in nodes))
    client.call("free", keys="app:b")
    assert other.reply(waiting)["locks"][0]["state"] == "acquired"
    other.call("free")
    eventually(lambda: not any(node.command("PUBSUB", "CHANNELS") for node in nodes))
    client.add("app:b")
    assert sorted(client.call("free")["freed"]) == ["app:a", "app:b"]
    eventually_empty(nodes)
    client.call("subscribe")
    client.add("app:clock", ttl=1200)
    client.notice("lost")  # looks at heartbeats are allowed, too
    for node in nodes:
        assert node.command("ACL", "LOG") == []  # nothing was refused
        assert "name=redlockd" in node.command("CLIENT", "LIST")
    for taken in [w for w in words if w.startswith("+") and w not in ("+client|setname", "+client|id", "+client|kill", "+script|load", "+config|get", "+publish", "+subscribe", "+unsubscribe")]:
        works_without(world, words, taken)


def works_without(world, words, taken):
    """Each of the commands is needed: without it something of all that does not work."""
    node = world.redis()
    node.command("ACL", *[w.replace("PASSWORD", "s3cret") for w in words if w != taken])
    daemon = world.daemon([node.url.replace("redis://", "redis://redlockd:s3cret@")], up=False)
    with daemon.client() as client:
        eventually(lambda: states(client) != ["connecting"])
        if states(client) == ["quarantined"]:
            client.call("certify", node=node_of(client, 0)["name"])
            eventually(lambda: states(client) != ["quarantined"] or "cannot write" in node_of(client, 0)["reason"])
        broken = states(client) != ["up"]
        for call in [] if broken else [("add", ["app:a"]), ("extend", ["app:a"]), ("free", ["app:a"])]:
            try:
                result = client.call(call[0], keys=call[1], **({"retryCount": 0, "ttl": 20000 if call[0] == "extend" else 10000} if call[0] != "free" else {}))
                broken = broken or bool(result.get("pending"))
            except RpcError:
                broken = True
        assert broken or node.command("ACL", "LOG"), f"nothing needs {taken}"
    daemon.kill()
    node.kill()
