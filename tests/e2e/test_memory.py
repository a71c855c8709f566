"""
The daemon without memory: its k-th allocation fails, whoever asks for it, libraries included; once for every k. It says that it
cannot start, or answers INTERNAL, or closes a session, or a node goes down; then it goes on, and ends in good order.

libuv ends the program where its table of descriptors cannot grow; that happens twice at the start, and not later.

All of them take long, so that here a part is tried; REDLOCKD_OOM=all tries every one.
"""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess

import pytest

from harness import DEADLINE, REDLOCKD, SLOW, RpcError, connect, eventually, sanitized, spawn

pytestmark = pytest.mark.skipif(sanitized(), reason="a sanitizer has an allocator of its own")

ALL = os.environ.get("REDLOCKD_OOM") == "all"


@pytest.fixture(scope="module")
def preload(tmp_path_factory):
    library = tmp_path_factory.mktemp("oom") / "failing_malloc.so"
    source = pathlib.Path(__file__).with_name("failing_malloc.c")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


class Life:
    """One daemon from start to end, with its k-th allocation failing; k = 0: none."""

    def __init__(self, world, preload, config, k):
        self.socket, self.trace_file = world.path / "oom.sock", world.path / "oom.trace"
        self.log_file = world.path / "oom.log"
        for path in (self.trace_file, self.socket):
            path.unlink(missing_ok=True)
        env = {**os.environ, "LD_PRELOAD": str(preload), "FAIL_AT": str(k), "FAIL_TRACE": str(self.trace_file)}
        with open(self.log_file, "wb") as log:
            self.process = spawn([REDLOCKD, "-c", config, "-s", self.socket], stdout=log, stderr=log, env=env)

    def connect(self):
        """A session; None when the daemon has ended."""

        def try_it():
            if self.process.poll() is not None:
                return "ended"
            with contextlib.suppress(OSError):
                return connect(self.socket)

        client = eventually(try_it, what="redlockd accepts or ends")
        return None if client == "ended" else client

    def log(self):
        return self.log_file.read_text(errors="replace")

    def trace(self):
        return self.trace_file.read_text() if self.trace_file.exists() else ""

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)


def attempts(client, *requests):
    """Sends them, and reads until each is answered or the session ends. Returns how many were answered with a result."""
    try:
        sent = [client.send(method, **params) for method, params in requests]
    except OSError:
        return 0
    done = 0
    for request in sent:
        with contextlib.suppress(RpcError):
            try:
                client.reply(request)
                done += 1
            except (EOFError, OSError):
                return done
    return done


EVERYTHING = [
    ("hello", {"name": "oom"}),
    ("subscribe", {"events": ["lost", "expiring", "stopping", "node"]}),
    ("add", {"keys": ["a", "b", "c"], "ttl": 5000, "wait": 200}),
    ("add", {"keys": ["a", "d"], "ttl": 5000, "autoExtend": True, "wait": 200}),
    ("extend", {"keys": ["a", "b"], "ttl": 6000}),
    ("list", {}),
    ("status", {}),
    ("nodes", {}),
    ("sessions", {}),
    ("locks", {}),
    ("waiters", {}),
    ("why", {"key": "a"}),
    ("metrics", {}),
    ("ping", {}),
    ("nonsense", {}),
    ("add", {"keys": ""}),
    ("reload", {}),
    ("free", {"keys": ["c"]}),
]


def live(life):
    """Clients come, do all that there is to do, and go. False: the daemon had ended at once."""
    one = life.connect()
    if not one:
        return False
    with one:
        attempts(one, *EVERYTHING)
        with connect(life.socket) as two, connect(life.socket) as three:
            with contextlib.suppress(OSError, RpcError, EOFError):
                two.call("hello", releaseOn="exit")
                waits = two.send("add", keys=["a", "x"], ttl=5000, retryCount=-1)
                three.send_raw(b'{"id":1,"method":"add","par')
                attempts(one, ("waiters", {}), ("free", {"keys": ["a"]}))
                two.call("cancel", id=waits)
            with contextlib.suppress(OSError):
                three.send_raw(b'ams":{"keys":"y"}}\nnonsense\n')
                three.end_of_requests()
                while three.read() is not None:
                    pass
        attempts(one, ("free", {}), ("reset", {}))
    # Whatever has failed: who comes now is served as ever, and if the allocation was for that, then the next one is.
    with contextlib.suppress(OSError, EOFError, RpcError):
        served(life)
        return True
    served(life)
    return True


def served(life):
    client = life.connect()
    if not client:
        raise EOFError
    with client:
        client.call("ping")
        if client.call("status")["scope"] == "host":
            assert client.states("add", "last", wait=3000) == {"last": "acquired"}


def check(world, preload, config, k):
    """One life. Returns what it shows of itself: None, or where a library has aborted."""
    life = Life(world, preload, config, k)
    try:
        started = False
        try:
            started = live(life)
        except (OSError, EOFError):
            if life.process.poll() is None and not eventually(lambda: life.process.poll() is not None, 1 * SLOW):
                raise
        status = life.process.wait(DEADLINE) if life.process.poll() is not None or not started else life.end()
        trace = life.trace()
        asked = [line for line in trace.splitlines() if "failing_malloc" not in line][:2]
        if status == -signal.SIGABRT and "libuv" in asked[0] and "socket" not in life.log():  # before it served anybody
            return " < ".join(re.search(r"[^/]*$", frame).group(0).split("[")[0] for frame in asked)
        assert status == 0 if started else status == 1, f"{status} at {k}:\n{life.log()}\n{trace}"
        assert started or re.search("emory|start", life.log()), f"no reason at {k}: {life.log()}"
    except Exception:
        print(f"at {k}:\n{life.log()}\n{life.trace()}")
        raise
    finally:
        life.process.kill()
        life.process.wait()
    return None


@pytest.mark.parametrize("kind, part", [("memory", 4), ("redis", 16)])
def test_each_allocation_may_fail(world, preload, kind, part):
    nodes = [n.url for n in world.nodes(3)] if kind == "redis" else ["memory:"]
    config = world.path / "oom.json"
    config.write_text(json.dumps({"nodes": nodes, "redis": {"restartQuarantine": False}, "stop": {"grace": 0}}))
    life = Life(world, preload, config, 0)
    assert live(life) and life.end() == 0
    n = int(re.search(r"(\d+) allocations", life.trace()).group(1))
    aborted = {}
    for k in range(1, n + 1, 1 if ALL else part):
        where = check(world, preload, config, k)
        if where:
            aborted.setdefault(where, []).append(k)
    print(f"{n} allocations; libraries aborted at {aborted}")
    assert n > 200
