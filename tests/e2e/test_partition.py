"""
A network that is cut and heals, and delivers late what was sent before: no vote of a try that failed is left on a node then.
"""

import pytest

from harness import LATE, eventually, eventually_empty, locks_on, now_ms
from network import DROP, HOLD, PASS, TCP_ESTABLISHED, TCP_TIME_WAIT, Network, flow, is_reset

TTL = 20000  # far more than a test takes: what is gone was released, and has not lapsed
REDIS = {"reconnectMax": 200}
TRIERS = 8  # as many keys: some try is always under way

# How a network is cut for those on this side.
PARTITIONS = {
    "silent": lambda outward, packet: DROP,
    "deaf": lambda outward, packet: PASS if outward else DROP,  # the other side hears us, and we do not hear it
    "mute": lambda outward, packet: DROP if outward else PASS,
    "late": lambda outward, packet: HOLD,  # all of it arrives when it heals
    "down": None,  # our own interface is: routes are gone
}


@pytest.fixture
def network():
    try:
        network = Network()
    except (PermissionError, FileNotFoundError) as error:
        pytest.skip(f"network namespaces and /dev/net/tun cannot be had here: {error}")
    yield network
    network.close()


@pytest.fixture
def nodes3(network, world):
    """The first is on this side."""
    return [network.redis(world, there) for there in (False, True, True)]


def cut(network, how):
    if how == "down":
        with network.here:
            network.here.set_up("wire", False)
    else:
        network.rules(PARTITIONS[how])


def heal(network, how):
    if how == "down":
        with network.here:
            network.here.set_up("wire")
    network.heal()


def nodes_are(client, *states):
    eventually(lambda: [node["state"] for node in client.call("nodes")["nodes"]] == list(states))


def quiet(network):
    """Whether this side's kernel has nothing left to send, of connections that were given up, too."""
    return all(
        state == TCP_TIME_WAIT or (state == TCP_ESTABLISHED and waiting == 0)
        for _, _, state, waiting in network.here.sockets()
    )


def nothing_stays(network, client, nodes):
    """What was under way has come, was carried out, and nothing is left of it."""
    nodes_are(client, *["up"] * len(nodes))
    eventually_empty(nodes)
    eventually(lambda: quiet(network), what="nothing is left to be sent")
    for node in nodes * 2:  # each turn of its loop reads whatever has come
        node.command("PING")
    assert not locks_on(nodes)


def try_all_the_time(daemon):
    """Clients who ask for one key each, again and again."""
    clients = [daemon.client() for _ in range(TRIERS)]
    for i, client in enumerate(clients):
        client.send("add", keys=f"k{i}", ttl=TTL, retryCount=-1, retryDelay=20, retryJitter=20)
    return clients


@pytest.mark.parametrize("how", PARTITIONS)
def test_a_try_that_failed_leaves_nothing_when_the_network_heals_at_once(network, world, nodes3, how):
    """The connections stand: what was not confirmed is sent again, the acquire and its undo."""
    client = network.daemon(world, nodes3, network.here, redis=REDIS).client()
    cut(network, how)
    client.fails("NO_QUORUM", "add", keys="k", ttl=TTL, retryCount=0)
    heal(network, how)
    nothing_stays(network, client, nodes3)
    client.add("k", ttl=TTL)
    eventually(lambda: len(client.call("locks", key="k")["locks"][0]["nodes"]) == 3)


@pytest.mark.parametrize("how", PARTITIONS)
def test_tries_leave_nothing_when_their_connections_were_given_up(network, world, nodes3, how):
    daemon = network.daemon(world, nodes3, network.here, redis=REDIS)
    client = daemon.client()
    cut(network, how)
    triers = try_all_the_time(daemon)
    nodes_are(client, "up", "down", "down")
    for trier in triers:
        trier.close()
    heal(network, how)
    nothing_stays(network, client, nodes3)


def test_nor_when_the_new_connections_are_there_before_the_old_ones_heal(network, world, nodes3):
    """Connections take ways of their own. The undo is done on the new one; then whatever is left of the old one comes."""
    daemon = network.daemon(world, nodes3, network.here, redis=REDIS)
    client = daemon.client()
    old = {frozenset(ports) for *ports, _, _ in network.here.sockets()}
    assert len(old) >= 3
    cut(network, "silent")
    triers = try_all_the_time(daemon)
    nodes_are(client, "up", "down", "down")
    for trier in triers:
        trier.close()
    network.rules(lambda outward, packet: DROP if flow(packet) in old else PASS)
    nodes_are(client, "up", "up", "up")
    eventually_empty(nodes3)
    network.heal()
    nothing_stays(network, client, nodes3)


@pytest.mark.parametrize("reset", [HOLD, DROP])
def test_nor_when_the_network_delivers_what_it_kept_of_the_old_ones_after_that(network, world, nodes3, reset):
    """As a queue on the way, or a tunnel whose process hung. The reset that comes behind it may be lost."""
    daemon = network.daemon(world, nodes3, network.here, redis=REDIS)
    client = daemon.client()
    old = {frozenset(ports) for *ports, _, _ in network.here.sockets()}

    def old_ones_late(outward, packet):
        if flow(packet) not in old:
            return PASS
        return reset if is_reset(packet) else HOLD

    network.rules(lambda outward, packet: DROP if flow(packet) not in old else old_ones_late(outward, packet))
    triers = try_all_the_time(daemon)
    nodes_are(client, "up", "down", "down")
    for trier in triers:
        trier.close()
    network.rules(old_ones_late)
    nodes_are(client, "up", "up", "up")
    eventually_empty(nodes3)
    assert network.held
    network.heal()
    nothing_stays(network, client, nodes3)


@pytest.mark.parametrize("how", ["silent", "late", "down"])
def test_a_lock_without_the_node_that_is_cut_off_leaves_nothing_there(network, world, how):
    """It is granted and freed by the majority on this side."""
    nodes = [network.redis(world, there) for there in (False, False, True)]
    daemon = network.daemon(world, nodes, network.here, redis=REDIS)
    client, watch = daemon.client(), daemon.client()
    cut(network, how)
    for _ in range(20):
        client.add("k", ttl=TTL)
        assert client.call("free")["freed"] == ["k"]
    nodes_are(watch, "up", "up", "down")
    heal(network, how)
    nothing_stays(network, watch, nodes)


@pytest.mark.parametrize("how", ["silent", "deaf", "late"])
def test_what_is_freed_while_it_is_cut_off_is_released_when_it_heals(network, world, nodes3, how):
    client = network.daemon(world, nodes3, network.here, redis=REDIS).client()
    client.add("k", ttl=TTL)
    eventually(lambda: len(locks_on(nodes3)) == 3)
    cut(network, how)
    assert client.call("free")["pending"] == ["k"]
    nodes_are(client, "up", "down", "down")
    heal(network, how)
    nothing_stays(network, client, nodes3)


@pytest.mark.parametrize("how", ["silent", "deaf", "late"])
def test_a_holder_in_the_minority_is_told_and_disturbs_nobody_afterwards(network, world, nodes3, how):
    """Somebody on the side of the majority waits for the key. Renewals, releases and plants come late."""
    alice = network.daemon(world, nodes3, network.here, redis=REDIS).client()
    bob = network.daemon(world, nodes3, network.there, redis=REDIS).client()
    alice.call("subscribe", events=["lost"])
    lock = alice.add("k", ttl=1500, autoExtend=True)["k"]
    eventually(lambda: len(locks_on(nodes3)) == 3)
    waiting = bob.send("add", keys="k", ttl=TTL, retryCount=-1, retryDelay=10, retryJitter=0)
    cut(network, how)
    assert alice.notice("lost")["reason"] == "NO_QUORUM"
    told = now_ms()
    taken = bob.reply(waiting)["locks"][0]
    assert now_ms() < told + 1500 + LATE and taken["fence"] > lock["fence"]
    heal(network, how)
    for client in (alice, bob):
        nodes_are(client, "up", "up", "up")
    eventually(lambda: quiet(network))
    assert alice.fails("LOCKED", "add", keys="k", retryCount=0)
    eventually(lambda: set(locks_on(nodes3).values()) == {taken["value"]})
    assert bob.extend("k", ttl=TTL)["k"]["state"] == "extended"
