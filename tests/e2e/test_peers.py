"""node-redlock on the same nodes: redlockd excludes it and is excluded by it."""

import pathlib
import shutil
import subprocess

import pytest

from harness import BUILD, LineProcess, eventually, locks_on

HERE = pathlib.Path(__file__).parent / "peers"


def install_peers():
    """node-redlock as npm installs it, once for each build folder."""
    folder = BUILD / "peers"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "peer.js", folder)
    wanted, done = (HERE / "package.json").read_bytes(), folder / "package.json.installed"
    if not done.exists() or done.read_bytes() != wanted:
        (folder / "package.json").write_bytes(wanted)
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--no-update-notifier"]
        subprocess.run(command, cwd=folder, check=True, timeout=300, stdin=subprocess.DEVNULL)
        done.write_bytes(wanted)
    return folder


@pytest.fixture(scope="session")
def installed():
    return install_peers()


class Peer(LineProcess):
    """A process that locks with node-redlock."""

    def __init__(self, folder, library, nodes):
        super().__init__(["node", folder / "peer.js", library, *(node.port for node in nodes)])

    def lock(self, key, ttl=20000, retryCount=0):
        return self.ask({"do": "lock", "key": key, "ttl": ttl, "retryCount": retryCount})

    def unlock(self, key):
        return self.ask({"do": "unlock", "key": key})


@pytest.fixture(params=["redlock4", "redlock5"])
def peer(request, world, nodes3, installed):
    return world.keep(Peer(installed, request.param, nodes3))


@pytest.fixture
def client(daemon):
    return daemon.client()


def test_what_redlockd_holds_a_peer_does_not_get(peer, client):
    client.add("k", ttl=20000)
    answer = peer.lock("k", retryCount=2)
    assert not answer["ok"], answer
    assert set(client.list()) == {"k"} and client.states("extend", "k") == {"k": "extended"}


def test_what_a_peer_holds_redlockd_does_not_get(peer, client):
    assert peer.lock("k")["ok"]
    error = client.fails("LOCKED", "add", keys="k", retryCount=2, retryDelay=20)
    assert error.data["keys"] == ["k"] and "holder" not in error.data
    assert client.call("free", keys="k")["missing"] == ["k"]
    assert peer.unlock("k")["ok"]


def test_a_peer_gets_what_redlockd_releases(peer, client, nodes3):
    client.add("k", ttl=20000)
    eventually(lambda: len(locks_on(nodes3)) == 3)
    peer.send_line({"do": "lock", "key": "k", "ttl": 20000, "retryCount": 500})
    client.call("free")
    answer = peer.read()
    assert answer["ok"], answer
    eventually(lambda: set(locks_on(nodes3).values()) == {answer["value"]})
    client.fails("LOCKED", "add", keys="k", retryCount=0)


def test_redlockd_gets_what_a_peer_releases(peer, client, nodes3):
    assert peer.lock("k")["ok"]
    request = client.send("add", keys="k", ttl=20000, retryCount=-1, retryDelay=20, retryJitter=20)
    eventually(lambda: client.call("waiters")["waiters"])
    assert peer.unlock("k")["ok"]
    (lock,) = client.reply(request)["locks"]
    eventually(lambda: set(locks_on(nodes3).values()) == {lock["value"]})
    assert not peer.lock("k")["ok"]


def test_redlockd_gets_what_a_dead_peer_held_after_its_ttl(peer, client):
    assert peer.lock("k", ttl=500)["ok"]
    peer.kill()
    result = client.call("add", keys="k", retryCount=-1, retryDelay=20, retryJitter=20)
    assert result["locks"][0]["state"] == "acquired"


def test_a_peer_gets_what_a_dead_client_of_redlockd_held_at_once(peer, daemon):
    holder = daemon.client_process()
    holder.add("k", ttl=60000)
    holder.kill()
    assert peer.lock("k", retryCount=100)["ok"]
