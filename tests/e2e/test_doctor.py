"""redlockctl doctor on real nodes that are not as they should be."""

import json
import re
import subprocess

import pytest

from harness import DEADLINE, REDLOCKCTL, SlowLink, eventually


def doctor(daemon, *argv):
    argv = [str(a) for a in (REDLOCKCTL, "-s", daemon.path, *argv, "doctor")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE, stdin=subprocess.DEVNULL)
    assert done.stderr == ""
    return done.returncode, done.stdout


def finds(daemon, words):
    """Something is found that says so, with what to do."""
    code, text = doctor(daemon)
    assert code == 1 and re.search(words + r".*\n {8}\S", text), text
    return text


def safe(node):
    """A node that forgets nothing at a restart."""
    node.command("CONFIG", "SET", "appendonly", "yes")
    eventually(lambda: "aof_enabled:1" in node.command("INFO", "persistence"))
    return node


@pytest.fixture
def three(world):
    return [safe(node) for node in world.nodes(3)]


def test_a_good_pool_gets_a_clean_bill(world, three):
    daemon = world.daemon(three)
    assert doctor(daemon) == (0, "nothing is found that is unsafe, weak or slow\n")
    assert json.loads(doctor(daemon, "-j")[1]) == []


def test_a_broker_without_redis_is_only_noted(memory):
    code, text = doctor(memory)
    assert code == 0 and text.startswith("note    no Redis")


def test_without_a_daemon_it_is_3(world):
    argv = [REDLOCKCTL, "-s", world.path / "nobody", "doctor"]
    assert subprocess.run([str(a) for a in argv], capture_output=True, timeout=DEADLINE).returncode == 3


@pytest.mark.parametrize("n", [2, 4])
def test_an_even_number_of_nodes(world, n):
    finds(world.daemon(world.nodes(n)), f"weak    {n} nodes: an even number")


def test_a_single_node(world):
    finds(world.daemon(world.nodes(1)), "weak    one node")


def test_a_replica_and_a_master_with_replicas(world, three):
    daemon = world.daemon(three)
    three[2].command("REPLICAOF", "127.0.0.1", three[0].port)
    eventually(lambda: "connected_slaves:1" in three[0].command("INFO", "replication"))
    text = finds(daemon, rf"unsafe  node 127.0.0.1:{three[0].port} has replicas")
    assert re.search(rf"unsafe  node 127.0.0.1:{three[2].port} is .*replica", text)


def test_a_node_that_evicts(world, three):
    daemon = world.daemon(three)
    three[1].command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    finds(daemon, rf"weak    node 127.0.0.1:{three[1].port} evicts by allkeys-lru as soon as maxmemory is set")
    three[1].command("CONFIG", "SET", "maxmemory", "100mb")
    finds(daemon, rf"unsafe  node 127.0.0.1:{three[1].port} .*allkeys-lru")


def test_a_node_that_forgets_at_a_restart(world, three):
    daemon = world.daemon(three, redis={"restartQuarantine": False})
    three[0].command("CONFIG", "SET", "appendonly", "no")
    text = finds(daemon, rf"unsafe  node 127.0.0.1:{three[0].port} keeps nothing on disk")
    assert text.count("keeps nothing on disk") == 1


def test_one_server_twice(world, three):
    daemon = world.daemon([three[0], three[1], f"redis://localhost:{three[0].port}"], up=False)
    eventually(lambda: "one server" in doctor(daemon)[1])
    finds(daemon, rf"unsafe  node.*one server")


class ClockLink(SlowLink):
    """A relay whose node's clock seems to be ahead: the Unix seconds in the answers of its scripts are."""

    def __init__(self, node, ahead_ms):
        self.ahead = ahead_ms
        super().__init__(node, 0)

    def change(self, data):
        return re.sub(rb"(?<=\n\d )(\d{10})(?= \d)", lambda m: b"%d" % (int(m[1]) + self.ahead // 1000), data)


@pytest.mark.parametrize("ahead, words", [(5000, "ahead of"), (-5000, "behind")])
def test_clocks_that_are_apart(world, three, ahead, words):
    link = world.keep(ClockLink(three[1], ahead))
    daemon = world.daemon([three[0], link.url, three[2]])
    finds(daemon, rf"unsafe  the clock of node {link.url[8:]} is (4|5)\d\d\d ms {words} ours")


def test_a_node_that_is_too_slow_for_the_locks(world, three):
    link = world.slow_link(three[1], 150)
    daemon = world.daemon([three[0], link.url, three[2]], lock={"ttl": 1000})
    finds(daemon, rf"slow    node {link.url[8:]} takes 1[5-9]\d ms, and locks of 1000 ms wait for a node 50 ms")


def test_a_node_that_is_nearly_too_slow(world, three):
    link = world.slow_link(three[1], 140)
    daemon = world.daemon([three[0], link.url, three[2]])
    finds(daemon, rf"slow    node {link.url[8:]} takes 1[4-9]\d ms of the 200")


def test_a_lock_with_a_ttl_that_a_hanging_node_uses_up(world, three):
    daemon = world.daemon(three)
    client = daemon.client()

    def found():
        client.add("short", ttl=35)
        return "has a ttl of 35 ms, and one node that hangs costs 20 ms of it" in doctor(daemon)[1]

    eventually(found)


def test_nodes_that_are_not_there(world, three):
    daemon = world.daemon(three)
    three[0].kill()
    three[1].kill()
    daemon.wait_nodes(1)
    text = finds(daemon, "weak    no quorum: 1 of 3 nodes are up, and 2 are needed")
    assert text.count("Start it, or see to the network") == 2


def test_a_broker_that_drains(world, three):
    daemon = world.daemon(three)
    daemon.client().call("drain")
    finds(daemon, "weak    the broker drains")
