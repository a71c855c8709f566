#!/usr/bin/python3
"""
What a view of many items costs those who did not ask for it: the daemon's own time that is spent on it before another's ping is
answered; the pings of another session while somebody asks for the view again and again and reads it, beside those while nobody
asks; and how long the daemon's turns were, as its own histogram has it. All in one run, on `memory:`.
"""

import os
import re
import resource
import signal
import statistics
import subprocess
import sys
import time

from harness import World, eventually, now_ms, stop_process

ITEMS = [int(n) for n in os.environ.get("ITEMS", "1000,10000,100000").split(",")]
SECONDS = float(os.environ.get("SECONDS", 3))
LIMITS = {"maxWaitersPerKey": 1000000, "maxInFlight": 1000, "maxSessions": 200000, "maxSessionsPerUid": 200000}

# Asks, reads the answer to its end, asks again, until it is ended.
ASKER = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
while True:
    s.sendall(sys.argv[2].encode() + b"\\n")
    n = 0
    while True:
        data = s.recv(1 << 20)
        n += len(data)
        if data.endswith(b"\\n"):
            break
    print(n, flush=True)
"""


def turns(client):
    """Turns of the loop by the bound below which each of them was, in ms."""
    text = client.call("metrics")["text"]
    below = [(float(le) * 1000, int(n)) for le, n in re.findall(r'loop_turn_seconds_bucket\{le="([^"]+)"\} (\d+)', text)]
    return {le: n - before for (le, n), before in zip(below, [0] + [n for _, n in below])}


def pings(client):
    end, delays = time.monotonic() + SECONDS, []
    while time.monotonic() < end:
        began = now_ms()
        client.call("ping")
        delays.append(now_ms() - began)
    delays.sort()
    return delays


def told(delays):
    return f"{statistics.median(delays):.2f} / {delays[int(len(delays) * 0.99)]:.2f} / {delays[-1]:.2f}"


def before_a_ping(daemon, view):
    """ms of the daemon's own time until a ping is answered that comes right after the question, while it stands still; median."""
    asker, client = daemon.client(), daemon.client()
    took = []
    for _ in range(9):
        for c in (asker, client, client):
            c.call("ping")
        eventually(daemon.waits)
        stop_process(daemon.process)
        began = daemon.cpu_ms()
        asker.send(view)
        client.send("ping")
        daemon.process.send_signal(signal.SIGCONT)
        client.take(60)
        took.append(daemon.cpu_ms() - began)
        while not asker.socket.recv(1 << 20).endswith(b"\n"):
            pass
    return statistics.median(took)


def fill(daemon, n):
    """n locks, of as many sessions as the default of maxLocksPerSession makes it."""
    for first in range(0, n, 1024):
        holder = daemon.client()
        for i in range(first, min(n, first + 1024), 64):
            holder.add([f"resource:{k:08}" for k in range(i, min(n, first + 1024, i + 64))], ttl=600000)


def wait(daemon, n):
    """n requests that wait for one key."""
    daemon.client().add("contended", ttl=600000)
    for first in range(0, n, 1000):
        crowd = daemon.client()
        for i in range(first, min(n, first + 1000)):
            crowd.send("add", keys="contended", ttl=600000, retryCount=-1)
        crowd.call("ping")


def connect(daemon, n):
    """n sessions."""
    for _ in range(n):
        daemon.client().call("hello", name="nobody in particular")


def measure(view, n):
    with World(quiet=True) as world:
        daemon = world.daemon(limits=LIMITS, lock={"maxTtl": 600000})
        {"locks": fill, "waiters": wait, "sessions": connect}[view](daemon, n)
        client = daemon.client()
        before_ms = before_a_ping(daemon, view)
        alone = pings(client)
        before = turns(client)
        asker = world.spawn([sys.executable, "-I", "-S", "-c", ASKER, daemon.path, f'{{"method":"{view}"}}'], stdout=subprocess.PIPE)
        size = int(asker.stdout.readline())
        beside = pings(client)
        after = turns(client)
        asker.kill()
        answers = len(asker.stdout.read().split())
        longest = max(le for le, count in after.items() if count > before[le])
        print(f"| `{view}` | {n} | {size} | {answers} | {before_ms:.1f} | {longest:g} | {told(alone)} | {told(beside)} |", flush=True)


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, 2 * resource.getrlimit(resource.RLIMIT_NOFILE)[1:])
    print(f"load average {os.getloadavg()[0]:.1f}")
    print("| view | items | bytes | answers | before another's ping, ms | longest turn below, ms | ", end="")
    print("another's ping, nobody asks: median / 99 % / most, ms | ... while it is asked for |")
    print("|---|---|---|---|---|---|---|---|")
    for n in ITEMS:
        for view in sys.argv[1:] or ["locks", "waiters", "sessions"]:
            if view != "sessions" or n < resource.getrlimit(resource.RLIMIT_NOFILE)[1]:
                measure(view, n)


main()
