"""What an administrator does and sees: drain, kill, break, why, doctor."""

import grp
import json
import os
import re
import subprocess
import sys

import pytest

from harness import DEADLINE, REDLOCKCTL, RELAY, LineProcess, Terminal, eventually, locks_on


@pytest.fixture
def ctl(broker):
    return lambda *argv: ctl_at(broker.path, *argv)


def ctl_at(path, *argv):
    argv = [str(a) for a in (REDLOCKCTL, "-s", path, *argv)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE, stdin=subprocess.DEVNULL)


def session_of(client):
    return client.call("hello")["session"]


# --- break ------------------------------------------------------------------------------------------------------------


def test_a_broken_lock_is_lost_at_once_and_goes_to_who_waits(broker, client, other, ctl):
    client.call("subscribe")
    client.call("hello", name="nightly")
    lock = client.add("k", ttl=60000)["k"]
    waiting = other.send("add", keys="k", retryCount=-1)
    done = ctl("break", "k")
    assert (done.returncode, done.stderr) == (0, "")
    session = session_of(client)
    assert done.stdout == f"broken; it was held by session {session} of process {os.getpid()} (nightly)\n"
    assert client.notice("lost") == {"key": "k", "value": lock["value"], "reason": "BROKEN"}
    assert other.reply(waiting)["locks"][0]["state"] == "acquired"
    assert client.list() == {}


def test_after_a_break_the_holder_cannot_renew_but_may_ask_anew(client, ctl):
    client.add("k")
    assert ctl("break", "k").returncode == 0
    for strict in (True, False):
        error = client.fails("BROKEN", "extend", keys="k", strict=strict)
        assert error.code == 7 and error.data["keys"] == ["k"] and '"k"' in error.message
    assert client.call("free", keys="k")["expired"] == ["k"]
    client.fails("NOT_HELD", "extend", keys="k", strict=True)
    assert client.states("add", "k") == {"k": "acquired"}


def test_the_nodes_forget_a_broken_lock(world, nodes3, daemon):
    client = daemon.client()
    client.add("k", ttl=60000)
    assert len(locks_on(nodes3)) == 3
    assert ctl_at(daemon.path, "break", "k").returncode == 0
    eventually(lambda: not locks_on(nodes3))


def test_a_key_that_is_held_on_another_host_is_left_alone(world, nodes3, daemon):
    elsewhere = world.daemon(nodes3).client()
    elsewhere.add("k", ttl=60000)
    done = ctl_at(daemon.path, "break", "k")
    assert done.returncode == 1 and 'Nobody on this host holds the resource "k". (NOT_HELD)' in done.stderr
    assert len(locks_on(nodes3)) == 3


def test_a_run_whose_lock_is_broken_stops_its_command(world, memory):
    process = world.spawn([REDLOCKCTL, "-s", memory.path, "run", "k", "--", "sleep", "1000"], stderr=subprocess.PIPE)
    client = memory.client()
    eventually(lambda: client.call("locks")["locks"])
    assert ctl_at(memory.path, "break", "k").returncode == 0
    assert process.wait(DEADLINE) == 123
    assert b'the lock on "k" is lost (BROKEN): stopping sleep' in process.stderr.read()


@pytest.mark.parametrize("answer, broken", [(b"y\n", True), (b"n\n", False), (b"\n", False), (b"\x04", False)])
def test_break_asks_on_a_terminal(world, memory, answer, broken):
    client = memory.client()
    client.add("k")
    terminal = world.keep(Terminal([REDLOCKCTL, "-s", memory.path, "break", "k"]))
    terminal.wait_for(b"Take the lock away from whoever holds k? [y/N] ")
    terminal.write(answer)
    assert terminal.process.wait(DEADLINE) == (0 if broken else 1)
    assert ("k" not in client.list()) == broken


def test_yes_asks_nobody(world, memory):
    client = memory.client()
    client.add("k")
    terminal = world.keep(Terminal([REDLOCKCTL, "-s", memory.path, "break", "--yes", "k"]))
    assert terminal.process.wait(DEADLINE) == 0 and b"[y/N]" not in terminal.rest()


# --- kill -------------------------------------------------------------------------------------------------------------


def test_a_session_that_is_killed_hears_it_and_leaves_nothing(client, other, broker, ctl):
    client.add("k", ttl=60000)
    other.add("l", ttl=60000)
    third = broker.client()
    waits, next_one = client.send("add", keys="l", retryCount=-1), third.send("add", keys="k", retryCount=-1)
    session = session_of(client)
    done = ctl("kill", session)
    assert (done.returncode, done.stdout) == (0, f"ended session {session} of process {os.getpid()}\n")
    with pytest.raises(Exception, match="CANCELLED"):
        client.reply(waits)
    assert client.read() is None
    assert third.reply(next_one)["locks"][0]["state"] == "acquired"
    assert session not in [s["session"] for s in other.call("sessions")["sessions"]]


def test_only_a_session_that_is_there_and_another_one_can_be_killed(client, ctl):
    assert "there is no session 999" in ctl("kill", "999").stderr
    error = client.fails("INVALID_PARAMS", "kill", session=session_of(client))
    assert error.data["path"] == "session"
    for wrong in ("x", "0", "-1", "1.5", ""):
        assert ctl("kill", wrong).returncode == 1
    for wrong in ({}, {"session": "1"}, {"session": 0}, {"session": None}):
        assert client.fails("INVALID_PARAMS", "kill", **wrong).data["path"] == "session"


# --- drain ------------------------------------------------------------------------------------------------------------


def test_a_drained_broker_takes_no_new_locks_until_it_is_told_to(client, other, ctl):
    client.call("subscribe")
    client.add("k", ttl=60000)
    waiting = other.send("add", keys="k", retryCount=-1)
    assert ctl("drain").stdout.startswith("draining")
    with pytest.raises(Exception, match="STOPPING"):
        other.reply(waiting)
    other.fails("STOPPING", "add", keys="l")
    assert client.call("status")["draining"] is True
    assert ctl("status", "--check").returncode == 1
    assert client.states("extend", "k", ttl=60000) == {"k": "extended"}
    assert client.call("free")["freed"] == ["k"]
    assert ctl("drain", "--off").stdout == "new locks are granted\n"
    assert other.states("add", "k") == {"k": "acquired"}
    assert client.notices == []  # nobody is thrown out, so nobody is told that


def test_a_broker_that_stops_is_not_brought_back_by_drain_off(broker, client, other):
    client.add("k")
    broker.process.terminate()
    eventually(lambda: other.call("status")["draining"])
    other.fails("STOPPING", "drain", off=True)


# --- who may, and who did ---------------------------------------------------------------------------------------------

AS_ANOTHER = """
import os, sys
os.setgroups([int(g) for g in sys.argv[2:]])
os.setgid(65534)
os.setuid(65534)
"""


def somebody(world, daemon, *groups):
    """A session of the user nobody."""
    daemon.path.chmod(0o777)
    daemon.path.parent.chmod(0o755)
    return world.keep(LineProcess([sys.executable, "-I", "-S", "-c", AS_ANOTHER + RELAY, daemon.path, *groups]))


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


@needs_root
@pytest.mark.parametrize("method, params", [("drain", {}), ("kill", {"session": 1}), ("break", {"key": "k"})])
def test_others_are_denied_and_the_log_says_who_asked(world, memory, method, params):
    client = memory.client()
    client.add("k")
    user = somebody(world, memory)
    user.fails("DENIED", method, **params)
    said = {"drain": "drain", "kill": "kill session 1", "break": 'break "k"'}[method]
    assert re.search(rf"refused to process {user.process.pid} of user 65534 \(session \d+\): {said}\n", memory.log())
    assert "k" in client.list() and client.call("status")["draining"] is False


@needs_root
def test_a_member_of_an_admin_group_may(world):
    daemon = world.daemon(access={"adminGroups": ["daemon"]})
    gid = grp.getgrnam("daemon").gr_gid
    somebody(world, daemon).fails("DENIED", "drain")
    member = somebody(world, daemon, gid)
    assert member.call("drain") == {"draining": True}
    assert re.search(rf"process {member.process.pid} of user 65534 \(session \d+\): drain\n", daemon.log())


def test_what_was_done_is_in_the_log_with_who_did_it(broker, client, ctl):
    client.add("key\n\x1b[31m")
    assert ctl("break", "key\n\x1b[31m").returncode == 0
    assert re.search(rf"process \d+ of user {os.getuid()} \(session \d+\): break \"key\?\?\[31m\"\n", broker.log())


# --- why --------------------------------------------------------------------------------------------------------------


def rows(text, first="name"):
    """The rows of the table whose header begins with this word, by their first cell."""
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith(first + " "))
    header = lines[at].split()
    table = {}
    for line in lines[at + 1 :]:
        if len(line.split()) < len(header) or line.startswith(("next ", "key ")):
            break
        table[line.split()[0]] = dict(zip(header, line.split()))
    return table


def test_why_shows_what_each_node_has(world, nodes3, daemon):
    client = daemon.client()
    client.call("hello", name="nightly")
    lock = client.add("k", ttl=60000)["k"]
    nodes3[1].command("DEL", "k")
    nodes3[2].command("SET", "k", "somebody-elses", "PX", "30000")
    waiter = daemon.client()
    waiter.send("add", keys="k", retryCount=-1)
    eventually(lambda: client.call("waiters")["waiters"])
    shown = ctl_at(daemon.path, "why", "k")
    assert shown.returncode == 0
    assert re.search(rf"holder   session \d+, process {os.getpid()} \(nightly\), for \S+, valid for 5\d\.\ds more", shown.stdout)
    table = rows(shown.stdout)
    assert [table[n.url[8:]]["value"] for n in nodes3] == ["ours", "absent", "other"]
    assert table[nodes3[0].url[8:]]["ttl"].startswith("59.") and table[nodes3[2].url[8:]]["ttl"].startswith("29.")
    assert re.search(r"\nnext     session \d+, process \d+: when session \d+, process \d+ \(nightly\) frees it or ends", shown.stdout)
    # No value of anybody's lock is shown, as a table or as JSON.
    raw = ctl_at(daemon.path, "-j", "why", "k").stdout
    assert lock["value"] not in shown.stdout + raw and "somebody-elses" not in shown.stdout + raw
    for node in json.loads(raw)["nodes"]:
        assert abs(node["clock"]) < 1000 and node["facts"]["role"] == "master"


def next_of(daemon, key="k"):
    return ctl_at(daemon.path, "why", key).stdout.splitlines()[-1]


def test_why_says_what_the_next_one_waits_for(world, nodes3, daemon):
    assert next_of(daemon) == "next     whoever asks: at once"
    elsewhere = world.daemon(nodes3).client()
    elsewhere.add("k", ttl=60000)
    assert re.fullmatch(r"next     whoever asks: when its holder on another host frees it, or in (60\.0|5\d\.\d)s if it is not extended", next_of(daemon))
    for node in nodes3:
        node.command("RPUSH", "list", "x")
    assert "is no string on 3 nodes, is deleted there by hand" in next_of(daemon, "list")
    nodes3[0].command("SET", "forever", "x")
    nodes3[1].command("SET", "forever", "x")
    assert next_of(daemon, "forever").endswith("when its holder on another host frees it; it has no ttl")
    daemon.client().call("drain")
    assert "not before the broker takes new locks again" in next_of(daemon)


def test_why_shows_a_node_that_hangs_and_one_that_is_gone(world, nodes3, daemon):
    nodes3[0].kill()
    daemon.wait_nodes(2)
    nodes3[1].stop()
    client = daemon.client()
    asked = client.send("why", key="k")
    seen = client.reply(asked)["nodes"]
    assert (seen[0]["state"], seen[0]["value"]) == ("down", None) and seen[0]["reason"]
    assert seen[1]["error"] == "no answer in time" and seen[2]["value"] == "absent"
    assert "not before 1 more node answers" in next_of(daemon)


def test_why_of_a_broker_without_redis(memory):
    client = memory.client()
    client.add("k")
    assert rows(ctl_at(memory.path, "why", "k").stdout)["memory"]["value"] == "ours"
    assert client.fails("INVALID_PARAMS", "why").data["path"] == "key"
