"""
Limits and fairness: at each limit and one past it, without descriptors, and what one client can do to another. (Those of a
request, of a session and of its locks are in test_wire.py.)
"""

import json
import os
import pathlib
import re
import select
import signal
import sys

import pytest

from harness import DEADLINE, RELAY, SLOW, LineProcess, eventually, let_pass, stop_process

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

# What may be done for one client before another's request has its turn, in ms of the daemon's own time: a slice of 1 ms, and
# whatever it is overrun by.
AHEAD_MS = 3


def lines_seen(client):
    """Lines that the daemon has dealt with, this one included."""
    counters = client.call("status")["counters"]
    return counters["requests"] + counters["malformed"]


def write_what_fits(client, line):
    """Writes the line as often as the socket takes it; returns how often it began, and the rest of the last one."""
    client.socket.setblocking(False)
    sent, lines = 0, line * (2**20 // len(line) + 1)
    while True:
        try:
            sent += client.socket.send(lines[sent % len(line) :])
        except BlockingIOError:
            return -(-sent // len(line)), lines[sent % len(line) : len(line)] if sent % len(line) else b""


def read_answers(client, n, rest=b""):
    """So many lines of answers, while `rest` is written."""
    client.socket.setblocking(False)
    while n > 0 or rest:
        readable, writable, _ = select.select([client.socket], [client.socket] if rest else [], [], DEADLINE)
        assert readable or writable
        if readable:
            n -= client.socket.recv(1 << 20).count(b"\n")
        elif writable:
            rest = rest[client.socket.send(rest) :]


KEYS_OF_512 = json.dumps([f"{i:0512}" for i in range(64)])


@pytest.mark.parametrize(
    "line",
    [
        '{"id":1,"method":"ping"}',
        "nonsense",
        '{"id":1,"method":"add","params":{"keys":"x","wait":0}}',
        '{"id":1,"method":"add","params":{"keys":"k1","wait":0}}',
        '{"id":1,"method":"free","params":{"keys":"x"}}',
        '{"id":1,"method":"status"}',
        '{"id":1,"method":"list"}',
        '{"id":1,"method":"hello"}',
        '{"id":1,"method":"add","params":{"keys":%s,"wait":0}}' % KEYS_OF_512,
        "[" * 60000,
    ],
    ids=["ping", "garbage", "add", "held", "free", "status", "list", "hello", "64-keys", "deep"],
)
def test_who_floods_has_a_slice_before_others_have_their_turn(memory, line):
    """
    The daemon stands still while one client writes all that fits, and after that another asks for the status: the answer
    says how many of those lines were before it, and what a line takes is known from all of them together.
    """
    flood, client = memory.client(), memory.client()
    client.add([f"k{i}" for i in range(64)], ttl=60000)
    line = line.encode() + b"\n"
    rounds = []
    for _ in range(10):
        for _ in range(2):
            before = lines_seen(client)  # twice: then the daemon listens to the other one again, too
        eventually(lambda: memory.waits())  # else it might look at this one first
        stop_process(memory.process)
        began = memory.cpu_ms()
        n, rest = write_what_fits(flood, line)
        status = client.send("status")
        memory.process.send_signal(signal.SIGCONT)
        counters = client.reply(status)["counters"]
        read_answers(flood, n, rest)
        took = memory.cpu_ms() - began
        rounds.append((counters["requests"] + counters["malformed"] - before - 1, n, took / n))
    cost = sorted(took for _, _, took in rounds)[len(rounds) // 2]
    ahead = max(lines for lines, _, _ in rounds)
    print(f"{ahead} of {rounds[0][1]} lines of {1000 * cost:.1f} us each were before another's")
    assert ahead > 0 or len(line) > 32768  # of what is longer than one read nothing is done in the first turn
    assert ahead * cost < AHEAD_MS + cost
