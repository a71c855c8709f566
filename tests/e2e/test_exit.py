"""releaseOn: the death of the process that connected, while a child of it keeps the connection."""

import os
import resource
import subprocess
import sys

import pytest

from harness import DEADLINE, REDLOCKD, RELAY, LineProcess, RpcError, eventually, eventually_empty, spawn

# The process that connects only waits. Its child, which inherited the connection, is the relay; it ends with the test's
# end of the line.
FAMILY = RELAY.replace("while True:", "if os.fork():\n    select.select([], [], [])\nwhile True:", 1)

# Many sessions of one process, each with a lock, inherited by a child.
CROWD = """
import json, os, resource, socket, sys
path, n = sys.argv[1], int(sys.argv[2])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
sessions = []
for i in range(n):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    for request in ({"method": "hello", "params": {"releaseOn": "exit"}},
                    {"method": "add", "params": {"keys": f"key{i}", "ttl": 60000}}):
        s.sendall(json.dumps(request).encode() + b"\\n")
    sessions.append(s)
for s in sessions:
    replies = s.makefile("rb")
    for _ in range(2):
        assert b'"result"' in replies.readline()
if os.fork() == 0:
    os.read(0, 1)
    os._exit(0)
print("[]", flush=True)
os.read(0, 1)
"""


class Family(LineProcess):
    """A session whose process can be killed while a child of it speaks on."""

    def __init__(self, path):
        super().__init__([sys.executable, "-I", "-S", "-c", FAMILY, path])


def family(daemon):
    daemon.clients.append(Family(daemon.path))
    return daemon.clients[-1]


def descriptors(daemon):
    return {int(fd) for fd in os.listdir(f"/proc/{daemon.process.pid}/fd")}


def alone(client):
    """Returns when the client's is the only session, and what others had open is closed."""
    eventually(lambda: client.call("status")["sessions"] == 1)


def leave_descriptors(daemon, n):
    """The daemon can open n more, until the limit is given back (None)."""
    soft = hard = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)[1]
    if n is not None:
        soft = [fd for fd in range(10000) if fd not in descriptors(daemon)][n]
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (soft, hard))
    return soft


def ends(holder, other, key="k"):
    """The process of `holder` is killed; its session ends by that, and the lock passes on."""
    request = other.send("add", keys=key, retryCount=-1)
    eventually(lambda: other.call("waiters")["waiters"])
    holder.kill()
    assert other.reply(request)["locks"][0]["state"] == "acquired"
    assert holder.read() is None


def lives_on(holder, other, key="k"):
    """The process of `holder` is killed; its child still holds the lock."""
    holder.kill()
    for _ in range(3):  # whatever came of the death was heard of before the last of these
        assert set(holder.list()) == {key}
        other.fails("LOCKED", "add", keys=key, retryCount=0)


# --- what ends a session ----------------------------------------------------------------------------------------------


def test_by_default_a_child_that_inherited_the_connection_keeps_the_session(broker):
    holder, other = family(broker), broker.client()
    assert holder.call("hello")["releaseOn"] == "disconnect"
    holder.add("k", ttl=60000)
    lives_on(holder, other)


def test_asked_for_in_hello_the_death_of_the_process_ends_the_session(broker):
    holder, other = family(broker), broker.client()
    assert holder.call("hello", releaseOn="exit")["releaseOn"] == "exit"
    holder.add("k", ttl=60000)
    ends(holder, other)
    assert f"process {holder.process.pid} has ended" in broker.log()


@pytest.mark.parametrize("redis", [False, True], ids=["memory", "redis"])
def test_configured_the_death_of_the_process_ends_the_session(world, redis):
    nodes = world.nodes(3) if redis else []
    daemon = world.daemon(nodes or ["memory:"], releaseOn="exit")
    holder, other = family(daemon), daemon.client()
    assert holder.call("hello", name="me")["releaseOn"] == "exit"
    holder.add("k", ttl=60000)
    ends(holder, other)
    other.call("free")
    eventually_empty(nodes)


def test_other_sessions_keep_what_is_configured(memory):
    asks, other = family(memory), memory.client()
    holder = family(memory)
    asks.call("hello", releaseOn="exit")
    holder.add("k", ttl=60000)
    lives_on(holder, other)


def test_hello_turns_it_off_for_its_session(world):
    daemon = world.daemon(releaseOn="exit")
    holder, other = family(daemon), daemon.client()
    assert holder.call("hello", releaseOn="disconnect")["releaseOn"] == "disconnect"
    holder.add("k", ttl=60000)
    lives_on(holder, other)


def test_hello_turns_it_on_and_off_again_and_leaves_it_where_it_is_not_named(memory):
    holder, other = family(memory), memory.client()
    for on in ("exit", "exit", "disconnect", "exit", "disconnect", "disconnect"):
        assert holder.call("hello", releaseOn=on)["releaseOn"] == on
        assert holder.call("hello", name="me")["releaseOn"] == on
    holder.add("k", ttl=60000)
    lives_on(holder, other)


def test_asked_for_by_the_child_of_a_dead_process_it_ends_the_session(memory):
    holder, other = family(memory), memory.client()
    holder.add("k", ttl=60000)
    lives_on(holder, other)
    request = other.send("add", keys="k", retryCount=-1)
    assert holder.call("hello", releaseOn="exit")["releaseOn"] == "exit"
    assert holder.read() is None
    assert other.reply(request)["locks"][0]["state"] == "acquired"


def test_requests_of_the_dead_are_cancelled(memory):
    waiter, holder, other = family(memory), memory.client(), memory.client()
    waiter.call("hello", releaseOn="exit")
    holder.add("k", ttl=60000)
    first = waiter.send("add", keys="k", retryCount=-1)
    eventually(lambda: len(other.call("waiters")["waiters"]) == 1)
    second = other.send("add", keys="k", retryCount=-1)
    eventually(lambda: len(other.call("waiters")["waiters"]) == 2)
    waiter.kill()
    with pytest.raises(RpcError, match="CANCELLED"):
        waiter.reply(first)  # as at EOF: what is due is still written
    assert waiter.read() is None
    holder.call("free")
    assert other.reply(second)["locks"][0]["state"] == "acquired"


def test_the_end_of_the_connection_still_ends_the_session(memory):
    client, other = memory.client(), memory.client()
    client.call("hello", releaseOn="exit")
    client.add("k", ttl=60000)
    client.close()
    assert len(other.add("k", retryCount=-1)) == 1


def test_a_process_that_dies_without_heirs_ends_its_session_once(world):
    daemon = world.daemon(releaseOn="exit")
    other = daemon.client()
    for _ in range(20):
        holder = daemon.client_process()
        holder.add("k", ttl=60000)
        ends(holder, other)
        other.call("free")
    alone(other)


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_thousands_of_sessions_of_one_process_end_with_it(memory):
    n = 2000
    other = memory.client()
    alone(other)
    before = len(descriptors(memory))
    crowd = LineProcess([sys.executable, "-I", "-S", "-c", CROWD, memory.path, n])
    memory.clients.append(crowd)
    assert crowd.read() == []
    assert len(descriptors(memory)) == before + 2 * n
    status = other.call("status")
    assert (status["sessions"], status["locks"]) == (n + 1, n)
    crowd.kill()
    alone(other)
    assert other.call("status")["locks"] == 0
    assert len(descriptors(memory)) == before


def test_sessions_that_come_and_go_leave_no_descriptor(memory):
    other = memory.client()
    alone(other)
    before = descriptors(memory)
    for i in range(300):
        client = memory.client()
        client.send("hello", releaseOn="exit")
        if i % 3 == 1:
            client.call("hello", releaseOn="disconnect")
        elif i % 3 == 2:
            client.call("hello", releaseOn="exit")
        client.close()
    for _ in range(5):
        holder = family(memory)
        holder.call("hello", releaseOn="exit")
        holder.kill()
    alone(other)
    assert descriptors(memory) == before


@pytest.mark.parametrize("on, needed", [("disconnect", 100), ("exit", 200)])
def test_too_few_descriptors_for_all_sessions_are_warned_of(world, on, needed):
    for limit in (needed + 94, needed + 93):  # for the nodes and the daemon itself
        daemon = world.daemon(start=False, releaseOn=on, limits={"maxSessions": 100})
        with open(daemon.log_file, "w") as log:
            argv = ["prlimit", f"--nofile={limit}:{limit}", REDLOCKD, "-c", daemon.config, "-s", daemon.path]
            daemon.process = spawn(argv, stderr=log)
        eventually(daemon.accepts)
        assert ("only %d descriptors" % limit in daemon.log()) == (limit < needed + 94)


# --- where it cannot be kept ------------------------------------------------------------------------------------------


def test_hello_is_refused_where_no_descriptor_is_left_and_changes_nothing(memory):
    holder, other = family(memory), memory.client()
    holder.call("hello", name="before")
    eventually(lambda: other.call("status")["sessions"] == 2)
    limit = leave_descriptors(memory, 0)
    error = holder.fails("LIMIT", "hello", name="after", releaseOn="exit")
    assert (error.data["what"], error.data["limit"]) == ("descriptors", limit)
    assert "Too many open files" in error.message
    assert "before" in [s["name"] for s in other.call("sessions")["sessions"]]
    assert holder.call("hello")["releaseOn"] == "disconnect"
    leave_descriptors(memory, 1)
    assert holder.call("hello", releaseOn="exit")["releaseOn"] == "exit"
    holder.add("k", ttl=60000)
    ends(holder, other)


def test_configured_and_without_a_descriptor_a_client_is_refused_and_the_others_live_on(world):
    daemon = world.daemon(releaseOn="exit")
    client = daemon.client()
    client.add("k")
    alone(client)
    before = descriptors(daemon)
    limit = leave_descriptors(daemon, 1)
    refused = daemon.client()
    error = refused.read()["error"]
    assert (error["data"]["name"], error["data"]["what"], error["data"]["limit"]) == ("LIMIT", "descriptors", limit)
    assert refused.read() is None
    assert set(client.list()) == {"k"} and client.call("status")["sessions"] == 1
    assert descriptors(daemon) == before
    leave_descriptors(daemon, None)
    assert daemon.client().call("hello")["releaseOn"] == "exit"


# A kernel before 5.3: a seccomp filter under which SO_PEERPIDFD is ENOPROTOOPT and pidfd_open() ENOSYS.
OLD_KERNEL = """
import ctypes, errno, os, struct, sys
getsockopt = {"x86_64": 55, "aarch64": 209}[os.uname().machine]
fail = 0x00050000
filter = [(0x20, 0, 0, 0), (0x15, 3, 0, 434), (0x15, 0, 3, getsockopt), (0x20, 0, 0, 32), (0x15, 2, 1, 77),
          (0x06, 0, 0, fail | errno.ENOSYS), (0x06, 0, 0, 0x7fff0000), (0x06, 0, 0, fail | errno.ENOPROTOOPT)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in filter))
program = struct.pack("HxxxxxxQ", len(filter), ctypes.addressof(code))
prctl = ctypes.CDLL(None, use_errno=True).prctl
assert prctl(38, 1, 0, 0, 0) == 0 and prctl(22, 2, program) == 0, os.strerror(ctypes.get_errno())
os.execv(sys.argv[1], sys.argv[1:])
"""


def on_an_old_kernel(daemon):
    return [sys.executable, "-I", "-S", "-c", OLD_KERNEL, REDLOCKD, "-c", daemon.config, "-s", daemon.path]


def test_hello_is_refused_by_a_kernel_that_has_no_pidfd(world):
    daemon = world.daemon(start=False)
    with open(daemon.log_file, "w") as log:
        daemon.process = spawn(on_an_old_kernel(daemon), stderr=log)
    eventually(lambda: daemon.path.exists() and daemon.accepts())
    client = daemon.client()
    error = client.fails("INVALID_PARAMS", "hello", releaseOn="exit")
    assert error.data["path"] == "releaseOn" and "kernel" in error.message
    assert client.call("hello", releaseOn="disconnect")["releaseOn"] == "disconnect"
    assert len(client.add("k")) == 1


def test_configured_on_a_kernel_that_has_no_pidfd_the_daemon_does_not_start(world):
    daemon = world.daemon(start=False, releaseOn="exit")
    process = spawn(on_an_old_kernel(daemon), stderr=subprocess.PIPE, text=True)
    _, said = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1 and "releaseOn" in said and "kernel" in said
    assert not daemon.path.exists()
