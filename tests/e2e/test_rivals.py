"""
Scenes in which other libraries go wrong, as far as no other file shows them; the README here has the list of all, and says
where each of them is.
"""

import re
import sys

import pytest

from harness import DEADLINE, ROOT, LineProcess, eventually, locks_on

# A worker that is busy for longer than its lock is valid, on the one thread that it has.
BUSY = """
import json, socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
lines = s.makefile("rw")
def call(method, **params):
    lines.write(json.dumps({"id": 1, "method": method, "params": params}) + "\\n")
    lines.flush()
    return json.loads(lines.readline())["result"]["locks"]
print(json.dumps(call("add", keys="k", ttl=600, autoExtend=True)), flush=True)
end = time.thread_time() + 0.9
while time.thread_time() < end:
    pass
print(json.dumps(call("list")), flush=True)
sys.stdin.read()
"""


def test_a_worker_that_computes_for_longer_than_its_ttl_keeps_its_lock(world, broker):
    worker = world.keep(LineProcess([sys.executable, "-I", "-S", "-c", BUSY, broker.path]))
    (before,) = worker.read()
    other = broker.client()
    request = other.send("add", keys="k", retryCount=-1, retryDelay=5, retryJitter=0)
    (after,) = worker.read()
    assert (after["value"], after["fence"]) == (before["value"], before["fence"]) and after["validity"] > 0
    assert other.call("list")["locks"] == []  # who asked all the time did not get it
    worker.kill()
    assert other.reply(request)["locks"][0]["fence"] > before["fence"]


@pytest.mark.parametrize("method, params", [("free", {"keys": ["a", "b", "c"]}), ("free", {}), ("reset", {})])
def test_a_key_that_has_vanished_from_the_nodes_stops_no_release(daemon, nodes3, method, params):
    client = daemon.client()
    client.add(["a", "b", "c"], ttl=60000)
    eventually(lambda: len(locks_on(nodes3)) == 9)
    for node in nodes3:
        node.command("DEL", "a")
    result = client.call(method, **params)
    assert sorted(result["freed"]) == ["a", "b", "c"] and not result["missing"]
    eventually(lambda: not locks_on(nodes3))


def test_two_adds_of_one_key_at_once_by_one_client(client):
    first, second = client.send("add", keys="k", ttl=60000), client.send("add", keys="k", ttl=60000)
    (one,), (two,) = client.reply(first)["locks"], client.reply(second)["locks"]
    assert (one["state"], two["state"], one["value"]) == ("acquired", "held", two["value"])
    assert client.call("free")["freed"] == ["k"] and client.call("free", keys="k")["missing"] == ["k"]


def test_every_scene_of_the_readme_names_tests_that_there_are():
    text = (ROOT / "tests/e2e/README.md").read_text()
    scenes = re.search(r"^## Where others go wrong$(.*?)(?=^## |\Z)", text, re.M | re.S).group(1)
    rows = [row for row in scenes.splitlines() if row.startswith("| ") and not row.endswith("| test |")]
    tests = "\n".join(p.read_text() for p in (ROOT / "tests").rglob("*") if p.suffix in (".py", ".c"))
    assert len(rows) >= 30
    for row in rows:
        names = re.findall(r"`(\w+)`", row.split("|")[2])
        assert names or "not offered" in row, row
        for name in names:
            assert re.search(rf"(def |START_TEST\(|STORY\(){name}\b", tests), name
