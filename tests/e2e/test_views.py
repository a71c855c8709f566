"""
Views of many items: whole and true however slowly they are read and whatever happens meanwhile, and nobody else has to wait for
them. (What they show is in test_verbs.py.)
"""

import json
import pathlib
import re
import signal
import subprocess
import time

import pytest

from harness import REDLOCKCTL, SLOW, eventually, let_pass, sanitized, stop_process

MIB = 1024 * 1024
MANY = 5000  # locks: some 800 KB
SMALL = 4096  # bytes of output that may wait, beside what the kernel takes


def keys_of(n):
    return [f"resource:{i:08}" for i in range(n)]


def fill(daemon, n):
    """n locks, by sessions of 1,024; returns these."""
    keys, holders = keys_of(n), []
    for first in range(0, n, 64):
        if first % 1024 == 0:
            holders.append(daemon.client())
        holders[-1].add(keys[first : first + 64], ttl=60000)
    return holders


def shown(answer, view="locks"):
    """The keys, in their order; none twice."""
    keys = [item["key"] for item in answer["result"][view]]
    assert len(set(keys)) == len(keys)
    return keys


def ask(client, method, **params):
    """Asks and does not read."""
    client.send_line({"id": 1, "method": method, "params": params})


def settle(daemon, other):
    """The daemon has done what it can, and waits for somebody to read."""
    other.call("ping")
    eventually(lambda: other.call("ping") == {} and daemon.waits())


@pytest.fixture
def small(world):
    return world.daemon(limits={"maxOutputBytes": SMALL, "maxWaitersPerKey": 100000, "maxInFlight": 10000})


def test_a_view_larger_than_max_output_bytes_arrives_where_it_is_read(small):
    holders = fill(small, MANY)
    client = small.client()
    ask(client, "locks")
    line = client.read_line()
    assert len(line) > 100 * SMALL
    assert shown(json.loads(line)) == keys_of(MANY)
    assert len(holders[0].call("list")["locks"]) == 1024
    assert [lock["key"] for lock in holders[0].call("subscribe")["locks"]] == keys_of(1024)
    assert client.call("ping") == {}


def test_everybody_who_waits_is_shown_with_the_place(small):
    holder, waiter, client = small.client(), small.client(), small.client()
    holder.add(["k", "l"], ttl=60000)
    for i in range(2000):
        waiter.send("add", keys="k" if i % 2 else ["k", "l"], retryCount=-1, ttl=60000)
    waiter.call("ping")
    for key, n in (("k", 2000), ("l", 1000)):
        waiters = client.call("waiters", key=key)["waiters"]
        assert [w["position"] for w in waiters] == list(range(1, n + 1)) and {w["key"] for w in waiters} == {key}
    waiters = client.call("waiters")["waiters"]
    assert sorted((w["key"], w["position"]) for w in waiters) == [(key, i + 1) for key, n in (("k", 2000), ("l", 1000)) for i in range(n)]


def test_all_sessions_are_shown_in_their_order(small):
    crowd = [small.client() for _ in range(300)]
    for i, client in enumerate(crowd):
        client.call("hello", name=f"session {i} " + "x" * 40)
    assert [s["name"].split()[1] for s in crowd[0].call("sessions")["sessions"] if s["name"]] == [str(i) for i in range(300)]


def test_what_is_said_meanwhile_comes_after_the_view(small):
    """Notices and the answers to earlier and later requests: lines are whole, and in an order that makes sense."""
    fill(small, MANY)
    client, other = small.client(), small.client()
    other.add("wanted", ttl=60000)
    client.call("subscribe")
    client.add("short", ttl=1000)
    waiting = client.send("add", keys="wanted", retryCount=-1, ttl=60000)
    client.send_raw(b'{"id":"view","method":"locks"}\n{"id":"after","method":"list"}\n')
    settle(small, other)
    other.call("free")
    eventually(lambda: "short" not in shown(other.ask({"id": 1, "method": "locks"})))  # it has lapsed: `lost` was printed
    lines = [client.read() for _ in range(4)]
    assert [line.get("id") for line in lines] == ["view", waiting, None, "after"]
    assert {*keys_of(MANY)} <= {*shown(lines[0])}
    assert lines[1]["result"]["locks"][0]["state"] == "acquired"
    assert (lines[2]["method"], lines[2]["params"]["key"]) == ("lost", "short")
    assert shown(lines[3]) == ["wanted"]


def test_a_grant_says_what_is_left_when_it_is_said_and_not_when_the_view_was_in_its_way(small):
    """What is told is counted from the moment when it is written; so the two numbers of an answer tell when that was."""
    fill(small, MANY)
    client, other = small.client(), small.client()
    other.add(["wanted", "renewed"], ttl=60000)
    asked = [
        client.send("add", keys="wanted", retryCount=-1, ttl=60000),
        client.send("add", keys="renewed", retryCount=-1, ttl=600, autoExtend=True),
    ]
    client.send_raw(b'{"id":"view","method":"locks"}\n')
    settle(small, other)
    other.call("free")
    let_pass(small.client(), 1000)
    read_ms = time.time() * 1000
    lines = [client.read() for _ in range(3)]
    assert [line["id"] for line in lines] == ["view", *asked]
    for line in lines[1:]:
        (lock,) = line["result"]["locks"]
        assert lock["validity"] > 0 and lock["expiration"] - lock["validity"] >= read_ms - 2


def test_a_grant_that_is_over_when_the_view_was_read_is_none(small):
    fill(small, MANY)
    client, other = small.client(), small.client()
    other.add("wanted", ttl=60000)
    client.call("subscribe")
    asked = client.send("add", keys="wanted", retryCount=-1, ttl=300)
    client.send_raw(b'{"id":"view","method":"locks"}\n')
    settle(small, other)
    other.call("free")
    let_pass(small.client(), 600)
    lines = [client.read() for _ in range(3)]
    assert lines[0]["id"] == "view"
    assert (lines[1]["id"], lines[1]["error"]["data"]["name"]) == (asked, "NO_QUORUM")
    assert (lines[2]["method"], lines[2]["params"]["key"]) == ("lost", "wanted")
    assert not client.list()


def test_notices_come_after_a_long_reply_to_subscribe(small):
    client, other = small.client(), small.client()
    for first in range(0, 1023, 31):
        client.add([f"k{i:0400}" for i in range(first, first + 31)], ttl=60000)
    client.add("short", ttl=1000)
    ask(client, "subscribe")
    settle(small, other)
    eventually(lambda: not other.call("locks", key="short")["locks"])
    assert len(shown(client.read())) == 1023  # the lock that was granted last was still to be printed when it lapsed
    assert client.read()["params"]["key"] == "short"


def test_what_comes_and_goes_while_a_view_is_read_tears_nothing(small):
    """Every second holder leaves, the other half stays; new ones come. What stays is shown, nothing twice."""
    holders = fill(small, 10 * 1024)
    client, other = small.client(), small.client()
    ask(client, "locks")
    settle(small, other)
    for holder in holders[1::2]:
        holder.close()
    eventually(lambda: other.call("status")["locks"] == 5 * 1024)
    for i in range(10):
        other.add([f"new{i}-{k}" for k in range(64)], ttl=60000)
    line = client.read_line()
    keys, all_keys = {*shown(json.loads(line))}, keys_of(10 * 1024)
    for i in range(0, 10, 2):
        assert {*all_keys[i * 1024 : (i + 1) * 1024]} <= keys
    # More than what the kernel takes and SMALL was not printed before there was room: those who had left are not shown.
    takes = int(pathlib.Path("/proc/sys/net/core/wmem_default").read_text()) + SMALL
    printed = int(takes * 1.1 / (len(line) / len(keys)))
    gone = {key for i in range(1, 10, 2) for key in all_keys[i * 1024 : (i + 1) * 1024]} & {*all_keys[printed:]}
    assert gone and not gone & keys


def test_a_half_close_after_the_question_still_gets_the_whole_view(small):
    fill(small, MANY)
    client = small.client()
    ask(client, "locks")
    client.end_of_requests()
    assert shown(client.read()) == keys_of(MANY)
    assert client.read() is None


def test_who_is_thrown_out_gets_the_rest_of_its_line(small):
    fill(small, MANY)
    client, other = small.client(), small.client()
    number = client.call("hello")["session"]
    client.add("mine", ttl=60000)
    ask(client, "locks")
    settle(small, other)
    other.call("kill", session=number)
    assert other.states("add", "mine", wait=0) == {"mine": "acquired"}
    assert shown(client.read())[:MANY] == keys_of(MANY)
    assert client.read() is None


def test_the_end_of_the_daemon_tears_no_line(small):
    holders = fill(small, MANY)
    client = small.client()
    ask(client, "locks")
    settle(small, small.client())
    small.process.send_signal(signal.SIGTERM)
    eventually(lambda: "stopping: freeing everything" in small.log())
    for holder in holders:
        holder.close()
    shown(client.read())
    assert client.read() is None
    assert small.process.wait() == 0


def test_who_dies_while_it_is_shown_a_view_is_gone_at_once(small):
    fill(small, MANY)
    client, other = small.client(), small.client()
    client.add("mine", ttl=60000)
    ask(client, "locks")
    settle(small, other)
    client.close()
    assert other.states("add", "mine", retryCount=-1) == {"mine": "acquired"}


@pytest.mark.skipif(sanitized(), reason="a sanitizer's memory is its own")
def test_who_asks_for_views_and_does_not_read_costs_its_limit_and_is_told_of_once(world):
    daemon = world.daemon(limits={"maxOutputBytes": 65536})
    fill(daemon, 4 * MANY)
    client = daemon.client()

    def memory():
        status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
        return 1024 * int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1))

    assert len(client.call("locks")["locks"]) == 4 * MANY
    before = memory()
    deaf = [daemon.client() for _ in range(30)]
    for c in deaf:
        c.send_raw(b'{"id":1,"method":"locks"}\n' * 100)
    settle(daemon, client)
    assert memory() - before < 30 * 3 * 65536 + 2 * MIB
    sessions = client.call("status")["sessions"]
    eventually(lambda: client.call("status")["sessions"] == sessions - 30)  # after 5 s
    assert daemon.log().count("closed: does not read its replies") == 30
    assert client.call("ping") == {}


# --- fairness ---------------------------------------------------------------------------------------------------------


def answer_has(client, words):
    """Whether the next line has these words; megabytes of it are not looked at otherwise."""
    found, end = False, b""
    while not end.endswith(b"\n"):
        data = client.socket.recv(1 << 20)
        found |= words in end + data
        end = data[-len(words) :]
    return found


def test_who_asks_for_all_locks_has_a_slice_before_others_have_their_turn(world):
    """
    The daemon stands still while one asks for all locks, and then somebody takes one more whose place is behind the first tenth
    of them. It is shown: so much had not been printed when it was taken.
    """
    daemon = world.daemon(limits={"maxOutputBytes": 32 * MIB})
    fill(daemon, 10 * 1024)
    client, asker = daemon.client(), daemon.client()
    client.call("ping")
    for first in range(10 * 1024, 100 * 1024, 1024):
        holder = daemon.client()
        for i in range(first, first + 1024, 64):
            holder.add([f"resource:{k:08}" for k in range(i, i + 64)], ttl=60000)
    for _ in range(10):
        for c in (asker, client, client):
            c.call("ping")
        eventually(daemon.waits)
        stop_process(daemon.process)
        asker.send_line({"id": 1, "method": "locks"})
        taken = client.send("add", keys="one more")
        daemon.process.send_signal(signal.SIGCONT)
        client.reply(taken)
        assert answer_has(asker, b'"one more"')
        client.call("free")


def test_who_asks_for_all_waiters_has_a_slice_before_others_have_their_turn(world):
    n = 100000
    daemon = world.daemon(limits={"maxWaitersPerKey": n + 1, "maxInFlight": 1000, "maxOutputBytes": 32 * MIB})
    daemon.client().add("k", ttl=60000)
    for _ in range(0, n, 1000):
        crowd = daemon.client()
        crowd.send_raw(b'{"jsonrpc":"2.0","method":"add","params":{"keys":"k","retryCount":-1}}\n' * 1000)
        crowd.call("ping")
    client, asker = daemon.client(), daemon.client()
    session = client.call("hello")["session"]
    for _ in range(10):
        for c in (asker, client, client):
            c.call("ping")
        eventually(daemon.waits)
        stop_process(daemon.process)
        asker.send_line({"id": 1, "method": "waiters"})
        waiting = client.send("add", keys="k", retryCount=-1)
        daemon.process.send_signal(signal.SIGCONT)
        assert answer_has(asker, b'"session":%d,' % session)
        client.call("cancel", id=waiting)
        client.replies.clear()


def test_many_who_ask_at_once_share_the_slice(world):
    """As above. Where each of 64 had a slice of its own, the last one would have been shown more than 1,024 locks by then."""
    daemon = world.daemon()
    fill(daemon, 1024)
    client = daemon.client()
    client.call("ping")
    for i in range(9):
        holder = daemon.client()
        for k in range(0, 1024, 64):
            holder.add([f"more:{i}:{k + j:04}" for j in range(64)], ttl=60000)
    askers = [daemon.client() for _ in range(64)]
    for c in (*askers, client, client):
        c.call("ping")
    eventually(daemon.waits)
    stop_process(daemon.process)
    for asker in askers:
        asker.send_line({"id": 1, "method": "locks"})
    taken = client.send("add", keys="one more")
    daemon.process.send_signal(signal.SIGCONT)
    client.reply(taken)
    shown_to = [answer_has(asker, b'"one more"') for asker in askers]
    assert shown_to[-1]


def test_redlockctl_shows_a_long_view(small):
    fill(small, MANY)
    argv = [REDLOCKCTL, "-s", small.path, "--no-legend", "locks"]
    listed = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=15 * SLOW).stdout
    assert [line.split()[0] for line in listed.splitlines()] == keys_of(MANY)


def private_bytes(daemon):
    lines = pathlib.Path(f"/proc/{daemon.process.pid}/smaps_rollup").read_text().splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Private_"))


@pytest.mark.skipif(sanitized(), reason="the sanitizer keeps what is freed")
def test_what_waited_for_readers_goes_back_to_the_system(daemon):
    holders = fill(daemon, 2 * MANY)
    before = private_bytes(daemon)
    for turn in range(4):
        deaf = [daemon.client() for _ in range(4 + turn)]
        for client in deaf:
            ask(client, "locks")
        settle(daemon, holders[0])
        assert private_bytes(daemon) - before > 3 * MIB
        # what is asked for now lies behind what waits, and stays
        holders += [daemon.client() for _ in range(20)]
        for client in holders[-20:]:
            client.add(f"{turn}.{len(holders)}.{client.socket.fileno()}")
        for client in deaf:
            client.close()
    eventually(lambda: private_bytes(daemon) - before < MIB)
