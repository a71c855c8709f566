#!/usr/bin/python3
"""
The broker shown on three redis-servers of its own: two processes want one key, the holder is killed, a node hangs, a
node dies. Each line bears its time. Ends with 1 if anything does not happen as told.
"""

import sys

from harness import REDLOCKD, RpcError, World, eventually, eventually_empty, locks_on, now_ms

KEY = "invoice-17"
TTL = 30000
GRACE = 300
STARTED = now_ms()


def say(text, mark=" "):
    print(f"{now_ms() - STARTED:7.0f} ms  {mark} {text}", flush=True)


def chapter(title):
    print(f"\n            {title}", flush=True)


def see(happened, text):
    say(text, "✓" if happened else "✗")
    if not happened:
        raise AssertionError(text)


def timed(fn):
    """What fn gives, and how many milliseconds it took."""
    started = now_ms()
    result = fn()
    return result, now_ms() - started


def error_of(fn):
    try:
        fn()
    except RpcError as error:
        return error
    raise AssertionError("this should have been refused")


def first_lock(alice, bob, nodes):
    chapter("Two processes want one key")
    lock, ms = timed(lambda: alice.add(KEY, ttl=TTL)[KEY])
    told = f"{lock['state']} in {ms:.1f} ms, valid for {lock['validity']} ms"
    see(lock["state"] == "acquired", f"alice (pid {alice.process.pid}) adds {KEY}: {told}")
    eventually(lambda: len(locks_on(nodes)) == 3)
    see(set(locks_on(nodes).values()) == {lock["value"]}, f"it stands on 3 of 3 nodes, as {lock['value'][:8]}…")
    error = error_of(lambda: bob.add(KEY, retryCount=0))
    see(error.name == "LOCKED", f"bob (pid {bob.process.pid}) tries once: {error.name}, {error.message}")
    holder = error.data["holder"]["pid"]
    see(holder == alice.process.pid, f"… and is told who holds it: pid {holder}")
    return lock


def death_of_the_holder(alice, bob, nodes, lock):
    chapter("The holder dies")
    request = bob.send("add", keys=KEY, ttl=TTL, retryCount=-1)
    watcher = bob.watcher
    eventually(lambda: watcher.call("waiters")["waiters"])
    say("bob waits in the queue")
    left = watcher.call("locks")["locks"][0]["validity"]
    say(f"kill -9 {alice.process.pid}: alice dies, while her lock is valid for another {left} ms")

    def killed():
        alice.kill()
        return bob.reply(request)["locks"][0]

    mine, ms = timed(killed)
    see(mine["state"] == "acquired" and ms < 1000, f"bob has the key {ms:.1f} ms later, not {TTL / 1000:.0f} s later")
    see(mine["fence"] > lock["fence"], f"his fence {mine['fence']} is greater than hers, {lock['fence']}")
    holders = [held["pid"] for held in watcher.call("locks")["locks"]]
    see(holders == [bob.process.pid], f"the broker knows one holder: pid {bob.process.pid}, bob")
    stands = set(locks_on(nodes).values()) == {lock["value"]}
    see(stands, "on the nodes stands what stood there: it is the host's, and was handed on without asking them")


def a_node_hangs(bob, nodes):
    chapter("A node hangs (SIGSTOP)")
    nodes[1].stop()
    say(f"node 2 ({nodes[1].url}) is stopped: it takes commands and answers none")
    lock, ms = timed(lambda: bob.extend(KEY, ttl=TTL)[KEY])
    see(lock["state"] == "extended" and ms < 1000, f"bob extends {KEY} in {ms:.1f} ms, by 2 of 3 nodes")
    lock, ms = timed(lambda: bob.add("invoice-18", ttl=TTL, retryCount=0)["invoice-18"])
    see(lock["state"] == "acquired" and ms < 1000, f"bob adds invoice-18 in {ms:.1f} ms")


def a_node_dies_too(bob, nodes):
    chapter("Another node dies (SIGKILL)")
    nodes[2].kill()
    say(f"node 3 ({nodes[2].url}) is dead: 1 of 3 is no majority")
    error, ms = timed(lambda: error_of(lambda: bob.add("invoice-19", ttl=TTL, retryCount=0)))
    see(error.name == "NO_QUORUM" and ms < 1000, f"bob adds invoice-19: {error.name} after {ms:.1f} ms")
    for node in error.data["nodes"]:
        say(f"    {node['name']}: {node['reason']}")
    nodes[1].cont()
    say("node 2 goes on")
    lock, ms = timed(lambda: bob.add("invoice-19", ttl=TTL, retryCount=-1, retryDelay=20)["invoice-19"])
    see(lock["state"] == "acquired" and ms < 5000, f"bob has invoice-19 {ms:.1f} ms later, by 2 of 3 nodes")


def the_end(daemon, bob, nodes):
    chapter("The daemon is told to stop (SIGTERM)")
    held = sorted(bob.list())
    say(f"bob holds {', '.join(held)}, and is given {GRACE} ms to let go; he does not")
    _, ms = timed(daemon.terminate)
    see(ms < 5000, f"redlockd freed them and ended with 0 after {ms:.0f} ms")
    eventually_empty(nodes[:2])
    see(not locks_on(nodes[:2]), "nothing is left on the nodes")


def story(world):
    print("redlockd on three redis-servers of its own, in", world.path)
    chapter("Three nodes and a daemon")
    nodes = world.nodes(3)
    for n, node in enumerate(nodes, 1):
        say(f"node {n} is {node.url}, pid {node.process.pid}")
    daemon = world.daemon(nodes, stop={"grace": GRACE})
    say("the nodes are new, and would keep silent for the longest ttl: they were certified (redlockctl certify)")
    alice, bob, watcher = daemon.client_process(), daemon.client_process(), daemon.client()
    bob.watcher = watcher
    status = watcher.call("status")
    sees = f"sees {status['nodesUp']} of {status['nodes']} nodes; a lock needs {status['quorum']}"
    see(status["nodesUp"] == 3, f"redlockd (pid {status['pid']}) {sees}")

    lock = first_lock(alice, bob, nodes)
    death_of_the_holder(alice, bob, nodes, lock)
    a_node_hangs(bob, nodes)
    a_node_dies_too(bob, nodes)
    the_end(daemon, bob, nodes)
    print("\nAll of it happened as told.")


def main():
    if not REDLOCKD.exists():
        sys.exit(f"{REDLOCKD} is not there: make builds it")
    try:
        with World(quiet=True) as world:
            story(world)
    except (AssertionError, RpcError, EOFError, KeyError) as error:
        sys.exit(f"\nThis is not what should have happened: {error}")


if __name__ == "__main__":
    main()
