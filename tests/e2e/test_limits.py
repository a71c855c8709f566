"""
Limits and fairness: at each limit and one past it, without descriptors, and what one client can do to another. (Those of a
request, of a session and of its locks are in test_wire.py.)
"""

import json
import os
import pathlib
import re
import select
import subprocess
import sys

import pytest

from harness import RELAY, SLOW, LineProcess, eventually, let_pass, now_ms

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


def limit(error):
    return error.data["what"], error.data["limit"]


def refusal(client):
    """What the daemon says to a connection that it does not take, before it closes it."""
    error = client.read()["error"]
    assert client.read() is None
    return error["data"]


@needs_root
def test_sessions_of_one_user_up_to_the_limit_and_others_still_come(world):
    daemon = world.daemon(limits={"maxSessionsPerUid": 3, "maxSessions": 5})
    os.chmod(world.path, 0o755)
    os.chmod(daemon.path, 0o666)

    def user(uid):
        code = f"import os; os.setgroups([]); os.setgid(65534); os.setuid({uid})\n{RELAY}"
        return world.keep(LineProcess([sys.executable, "-I", "-S", "-c", code, daemon.path]))

    first = [user(1) for _ in range(3)]
    assert [c.call("ping") for c in first] == [{}, {}, {}]
    assert refusal(user(1)) == {"name": "LIMIT", "what": "maxSessionsPerUid", "limit": 3}
    second = [user(2), user(2)]
    assert [c.call("ping") for c in second] == [{}, {}]
    assert refusal(user(2)) == {"name": "LIMIT", "what": "maxSessions", "limit": 5}
    assert refusal(user(1))["what"] == "maxSessions"
    first[0].close()
    eventually(lambda: second[0].call("status")["sessions"] == 4)
    second[1].close()
    eventually(lambda: second[0].call("status")["sessions"] == 3)
    assert user(1).call("ping") == {}
    assert refusal(user(1))["what"] == "maxSessionsPerUid"


def test_locks_in_all_up_to_the_limit(world):
    daemon = world.daemon(limits={"maxLocks": 5, "maxLocksPerSession": 4})
    one, two = daemon.client(), daemon.client()
    one.add(list("abc"))
    assert limit(two.fails("LIMIT", "add", keys=list("def"))) == ("maxLocks", 5)
    two.add(list("de"))
    assert limit(two.fails("LIMIT", "add", keys="f")) == ("maxLocks", 5)
    assert two.states("add", ["d", "e"]) == {"d": "held", "e": "held"}
    assert two.states("extend", ["d", "e"]) == {"d": "extended", "e": "extended"}
    one.call("free", keys="a")
    assert two.states("add", "f") == {"f": "acquired"}
    one.close()
    eventually(lambda: two.call("status")["locks"] == 3)
    assert limit(two.fails("LIMIT", "add", keys=["g", "h"])) == ("maxLocksPerSession", 4)


def test_waiters_of_a_key_up_to_the_limit(world):
    daemon = world.daemon(limits={"maxWaitersPerKey": 3})
    holder, client, other = daemon.client(), daemon.client(), daemon.client()
    holder.add("k")
    waiting = [client.send("add", keys="k", retryCount=-1) for _ in range(3)]
    assert limit(client.fails("LIMIT", "add", keys="k")) == ("maxWaitersPerKey", 3)
    assert limit(other.fails("LIMIT", "add", keys=["l", "k"])) == ("maxWaitersPerKey", 3)
    assert other.states("add", "l") == {"l": "acquired"}
    other.fails("LOCKED", "add", keys="k", wait=0)  # waits for nothing
    assert holder.states("extend", "k") == {"k": "extended"}  # nor does who holds it
    client.call("cancel", id=waiting[0])
    client.send("add", keys="k", retryCount=-1)
    other.fails("LIMIT", "add", keys="k")


def test_a_reload_moves_the_limits(world):
    daemon = world.daemon(limits={"maxLocks": 1, "maxWaitersPerKey": 1})
    client, other = daemon.client(), daemon.client()
    client.add("a")
    client.fails("LIMIT", "add", keys="b")
    daemon.config.write_text(daemon.config.read_text().replace('"maxLocks": 1', '"maxLocks": 3'))
    client.call("reload")
    assert client.states("add", "b") == {"b": "acquired"}
    other.send("add", keys="a", retryCount=-1)
    assert limit(other.fails("LIMIT", "add", keys="a")) == ("maxWaitersPerKey", 1)
    assert limit(client.fails("LIMIT", "add", keys=["c", "d"])) == ("maxLocks", 3)


def nested(depth):
    """A ping whose JSON is nested this deep."""
    inner = depth - 2
    return b'{"id":1,"method":"ping","params":{"x":' + b"[" * inner + b"]" * inner + b"}}"


def test_what_is_nested_up_to_the_limit_is_read(memory):
    client = memory.client()
    error = client.ask(nested(2048))["error"]
    assert (error["data"]["name"], error["data"]["path"]) == ("INVALID_PARAMS", "x")
    error = client.ask(nested(2049))["error"]
    assert error["data"] == {"name": "PARSE", "what": "nesting", "limit": 2048}
    assert client.call("ping") == {}


# --- descriptors ------------------------------------------------------------------------------------------------------


def with_files(daemon, soft, hard=None):
    daemon.before = ["prlimit", f"--nofile={soft}:{hard or soft}"]
    return daemon


def test_the_soft_limit_of_descriptors_is_raised_to_the_hard_one(world):
    daemon = with_files(world.daemon(start=False), 64, 300).start()
    limits = pathlib.Path(f"/proc/{daemon.process.pid}/limits").read_text()
    assert re.search(r"Max open files +300 +300 ", limits)


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def answers(clients):
    """Those of them that have been answered."""
    return [c for c in clients if select.select([c.socket], [], [], 0)[0]]


def test_without_descriptors_clients_wait_and_are_taken_later(world):
    daemon = with_files(world.daemon(start=False), 64).start()
    first = daemon.client()
    first.call("ping")
    waiting = [daemon.client() for _ in range(150)]
    for client in waiting:
        client.send("ping")
    eventually(lambda: "new clients wait" in daemon.log())
    taken = eventually(lambda: answers(waiting))
    spent = cpu_s(daemon.process.pid)
    let_pass(first, 1000)
    assert cpu_s(daemon.process.pid) - spent < 0.1 * SLOW  # it does not turn while it waits
    while waiting:
        taken = eventually(lambda: answers(waiting))
        assert len(taken) < 60
        for client in taken:
            assert client.read()["result"] == {}
            client.close()
            waiting.remove(client)
    assert daemon.log().count("accept: Too many open files") == 1
    assert first.call("ping") == {}


def test_clients_leave_descriptors_for_nodes_that_come_back(world, nodes3):
    daemon = with_files(world.daemon(nodes3, start=False), 64).start()
    first = daemon.client()
    first.call("ping")
    for _ in range(100):
        daemon.client()
    eventually(lambda: "new clients wait" in daemon.log())
    for node in nodes3:
        node.restart()
    eventually(lambda: first.call("status")["nodesQuarantined"] == 3)
    for node in first.call("nodes")["nodes"]:
        first.call("certify", node=node["name"])
    eventually(lambda: first.call("status")["nodesUp"] == 3)
    daemon.config.write_text(daemon.config.read_text().replace('"nodes"', '"log": {"level": "debug"}, "nodes"'))
    assert first.call("reload") == {}


# --- fairness ---------------------------------------------------------------------------------------------------------

FLOOD = """
import socket, sys, threading
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
line, n = sys.argv[2].encode() + b"\\n", int(sys.argv[3])
def drain():
    answered = 0
    while answered < n:
        answered += s.recv(1 << 20).count(b"\\n")
thread = threading.Thread(target=drain)
thread.start()
print("begins", flush=True)
s.sendall(line * n)
thread.join()
"""

KEYS_OF_512 = json.dumps([f"{i:0512}" for i in range(64)])


@pytest.mark.parametrize(
    "line, n",
    [
        ('{"id":1,"method":"ping"}', 100000),
        ("nonsense", 100000),
        ('{"id":1,"method":"add","params":{"keys":"x","wait":0}}', 100000),
        ('{"id":1,"method":"free","params":{"keys":"x"}}', 100000),
        ('{"id":1,"method":"status"}', 30000),
        ('{"id":1,"method":"list"}', 2000),
        ('{"id":1,"method":"add","params":{"keys":%s,"wait":0}}' % KEYS_OF_512, 1500),
        ("[" * 60000, 2000),
    ],
    ids=["ping", "garbage", "add", "free", "status", "list", "64-keys", "deep"],
)
def test_who_floods_delays_others_by_milliseconds(world, memory, line, n):
    client = memory.client()
    client.add([f"k{i}" for i in range(64)], ttl=60000)
    flood = world.spawn([sys.executable, "-I", "-S", "-c", FLOOD, memory.path, line, str(n)], stdout=subprocess.PIPE)
    assert flood.stdout.readline() == b"begins\n"
    delays = []
    while flood.poll() is None:
        began = now_ms()
        client.call("ping")
        delays.append(now_ms() - began)
    assert flood.returncode == 0 and len(delays) > 10
    delays.sort()
    median, most = delays[len(delays) // 2], delays[int(len(delays) * 0.95)]
    print(f"{len(delays)} pings: median {median:.2f} ms, 95 % within {most:.2f} ms, all within {delays[-1]:.2f} ms")
    assert median < 5 * SLOW and most < 20 * SLOW
