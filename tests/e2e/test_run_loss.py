"""
redlockctl run when something dies, hangs or is lost: nothing of the command is ever there when the lock is not.

How that is seen: somebody else waits for the key, and the moment he has it every process of the command must be dead.
"""

import os
import random
import select
import signal
import subprocess

import pytest

from harness import DEADLINE, LATE, REDLOCKCTL, SLOW, eventually, now_ms, stop_process

# How often each of the two long tests starts a command; 1,000 when it counts.
RUNS = int(os.environ.get("REDLOCKD_RUNS", 60))


class Run:
    """A `redlockctl run` with a command that ends on nothing but SIGKILL, and a child of it that does neither."""

    TREE = 'trap "" TERM HUP INT; echo $$; setsid sleep 1000 & echo $!; wait'

    def __init__(self, world, path, key, *options, command=("sh", "-c", TREE), **spawning):
        spawning = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **spawning}
        self.process = world.spawn([REDLOCKCTL, "-s", path, "run", *options, key, "--", *command], **spawning)
        self.key = key

    def started(self):
        """Returns when the whole tree is there."""
        pids = [int(self.process.stdout.readline()) for _ in range(2)]
        self.tree = [os.pidfd_open(pid) for pid in pids]
        self.pids = pids
        return self

    def keeper(self):
        pid = self.process.pid
        return int(open(f"/proc/{pid}/task/{pid}/children").read().split()[0])

    def alive(self):
        """The processes of the command that are there at this very moment."""
        dead = select.select(self.tree, [], [], 0)[0]
        return [pid for pid, fd in zip(self.pids, self.tree) if fd not in dead]

    def close(self):
        for pid in self.alive():
            os.kill(pid, signal.SIGKILL)
        for fd in self.tree:
            os.close(fd)
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.fixture
def client(memory):
    return memory.client()


@pytest.fixture
def run(world, memory):
    def run(*options, key="k", path=memory.path, **spawning):
        started = Run(world, path, key, *options, **spawning).started()
        return world.keep(started)

    return run


# --- somebody is killed -----------------------------------------------------------------------------------------------


def kill_run(r):
    os.kill(r.process.pid, signal.SIGKILL)


def kill_keeper(r):
    os.kill(r.keeper(), signal.SIGKILL)


def kill_group(r):
    os.killpg(r.process.pid, signal.SIGKILL)


@pytest.mark.parametrize("kill", [kill_run, kill_keeper, kill_group])
def test_a_kill_9_frees_the_lock_at_once_and_not_before_the_command_is_dead(run, client, kill):
    for _ in range(20):
        r = run("-t", "60000", start_new_session=True)
        waiting = client.send("add", keys="k", retryCount=-1)
        kill(r)
        start = now_ms()
        client.reply(waiting)
        assert r.alive() == []
        assert now_ms() - start < LATE
        client.call("free")


def test_when_the_keeper_was_killed_run_says_so(run):
    r = run()
    kill_keeper(r)
    assert r.process.wait(DEADLINE) == 125 and b"was killed" in r.process.stderr.read()


def test_what_a_command_that_was_killed_leaves_behind_goes_before_the_lock(run, client):
    r = run("--grace", "0.3")
    waiting = client.send("add", keys="k", retryCount=-1)
    os.kill(r.pids[0], signal.SIGKILL)
    client.reply(waiting)
    assert r.alive() == [] and r.process.wait(DEADLINE) == 128 + signal.SIGKILL


def test_what_a_command_that_exits_leaves_behind_is_left_alone(world, memory, client):
    command = ("sh", "-c", "echo $$; sleep 1000 >&- & echo $!; read line; exit 3")
    r = world.keep(Run(world, memory.path, "k", command=command, stdin=subprocess.PIPE).started())
    r.process.stdin.close()
    assert r.process.wait(DEADLINE) == 3
    assert r.alive() == [r.pids[1]]
    assert client.states("add", "k", wait=0) == {"k": "acquired"}


# --- the daemon hangs, dies, stops ------------------------------------------------------------------------------------


@pytest.fixture
def pair(world):
    """Two daemons on three nodes, and a client of the second one."""
    nodes = world.nodes(3)
    daemons = [world.daemon(nodes, lock={"driftFactor": 0}) for _ in range(2)]
    return daemons, daemons[1].client()


def stop_daemon(daemon):
    stop_process(daemon.process)


def kill_daemon(daemon):
    daemon.kill()


def restart_daemon(daemon):
    daemon.kill()
    daemon.start(up=False)


def end_daemon(daemon):
    daemon.process.terminate()


@pytest.mark.parametrize("options", [[], ["--grace", "0.1"], ["--on-lost=kill"], ["--grace", "100"]])
@pytest.mark.parametrize("fault", [stop_daemon, kill_daemon, restart_daemon, end_daemon])
def test_the_command_is_gone_before_another_host_has_the_lock(run, pair, fault, options):
    (first, _), other = pair
    r = run("-t", int(1500 * SLOW), *options, path=first.path)
    waiting = other.send("add", keys="k", retryCount=-1, retryDelay=1, retryJitter=0)
    fault(first)
    other.reply(waiting)
    assert r.alive() == []
    assert r.process.wait(DEADLINE) == 123


@pytest.mark.parametrize("fault", [kill_daemon, stop_daemon])
def test_term_comes_at_once_and_leaves_a_command_its_grace(world, memory, fault):
    """With 60 s of validity left, a command that tidies up for a while can."""
    command = ("sh", "-c", 'trap "sleep 0.2; echo tidied; exit 9" TERM; echo ready; while :; do sleep 0.01; done')
    ttl = 60000 if fault is kill_daemon else 2000
    r = Run(world, memory.path, "k", "-t", ttl, command=command)
    assert r.process.stdout.readline() == b"ready\n"
    fault(memory)
    assert r.process.stdout.readline() == b"tidied\n"
    assert r.process.wait(DEADLINE) == 123


def test_grace_is_the_longest_that_a_command_has(run, memory):
    r = run("-t", "60000", "--grace", "0.2")
    start = now_ms()
    memory.kill()
    assert r.process.wait(DEADLINE) == 123 and r.alive() == []
    assert 200 <= now_ms() - start < 200 + LATE


def test_on_lost_kill_does_not_ask(world, memory):
    command = ("sh", "-c", 'trap "echo term" TERM; echo ready; while :; do sleep 0.01; done')
    r = Run(world, memory.path, "k", "--on-lost=kill", command=command)
    assert r.process.stdout.readline() == b"ready\n"
    memory.kill()
    assert r.process.wait(DEADLINE) == 123 and r.process.stdout.read() == b""


def test_on_lost_warn_only_says_so_and_run_ends_with_123(world, memory):
    r = Run(world, memory.path, "k", "--on-lost=warn", "-t", "300", command=("sh", "-c", "echo ready; exec cat"),
            stdin=subprocess.PIPE)
    assert r.process.stdout.readline() == b"ready\n"
    memory.kill()
    assert b"the daemon is gone" in r.process.stderr.readline()
    r.process.stdin.write(b"still here\n")
    r.process.stdin.close()
    assert r.process.stdout.readline() == b"still here\n"
    assert r.process.wait(DEADLINE) == 123


def test_a_command_that_ends_in_time_after_the_daemon_hung_is_no_loss(world, memory):
    r = Run(world, memory.path, "k", "-t", "60000", command=("sh", "-c", "echo ready; read line; exit 6"),
            stdin=subprocess.PIPE)
    assert r.process.stdout.readline() == b"ready\n"
    stop_daemon(memory)
    start = now_ms()
    r.process.stdin.close()
    assert r.process.wait(DEADLINE) == 6
    assert now_ms() - start < 1000 + LATE  # KEEP_FREE_MS, and not more


def test_a_signal_that_comes_when_the_command_has_ended_changes_nothing(world, memory):
    """The keeper frees the lock, which a hanging daemon does not answer, and listens to nobody any more."""
    r = Run(world, memory.path, "k", "-t", "60000", command=("sh", "-c", "echo ready; read line; exit 6"),
            stdin=subprocess.PIPE)
    assert r.process.stdout.readline() == b"ready\n"
    stop_daemon(memory)
    keeper = r.keeper()
    r.process.stdin.close()
    eventually(lambda: not open(f"/proc/{keeper}/task/{keeper}/children").read().split())
    r.process.send_signal(signal.SIGUSR1)
    assert r.process.wait(DEADLINE) == 6 and r.process.stderr.read() == b""


def test_a_daemon_that_stops_lets_the_command_finish_within_its_grace(world):
    daemon = world.daemon(stop={"grace": int(10000 * SLOW)})
    r = Run(world, daemon.path, "k", command=("sh", "-c", "echo ready; read line; exit 5"), stdin=subprocess.PIPE)
    assert r.process.stdout.readline() == b"ready\n"
    daemon.process.terminate()
    client_gone = eventually(lambda: "stopping" in daemon.log())
    r.process.stdin.close()
    assert client_gone and r.process.wait(DEADLINE) == 5
    assert daemon.process.wait(DEADLINE) == 0


@pytest.mark.parametrize("fault", [kill_daemon, restart_daemon, end_daemon])
def test_a_daemon_that_goes_while_run_waits_is_125_and_nothing_is_started(world, memory, fault):
    client = memory.client()
    client.add("k")
    process = world.spawn([REDLOCKCTL, "-s", memory.path, "run", "k", "--", "echo", "started"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    eventually(lambda: client.call("waiters")["waiters"])
    fault(memory)
    assert process.wait(DEADLINE) == 125 and process.stdout.read() == b""


@pytest.mark.parametrize("options", [["-n"], ["-w", "0.1"]])
def test_a_daemon_that_hangs_is_not_waited_for_longer_than_asked_for(world, memory, options):
    stop_daemon(memory)
    process = world.spawn([REDLOCKCTL, "-s", memory.path, "run", *options, "k", "--", "echo", "started"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    start = now_ms()
    assert process.wait(DEADLINE) == 125 and now_ms() - start < 5100 + LATE  # CONNECTION_ANSWER_MS
    assert b"does not answer" in process.stderr.read() and process.stdout.read() == b""


def test_a_signal_ends_the_waiting_for_a_daemon_that_hangs(world, memory):
    stop_daemon(memory)
    process = world.spawn([REDLOCKCTL, "-s", memory.path, "run", "k", "--", "true"])
    eventually(lambda: "Sig" in open(f"/proc/{process.pid}/status").read()
               and int(field(process.pid, "SigBlk"), 16) & 1 << signal.SIGTERM - 1)
    process.terminate()
    assert process.wait(DEADLINE) == 128 + signal.SIGTERM


def field(pid, name):
    return next(line.split()[1] for line in open(f"/proc/{pid}/status") if line.startswith(name + ":"))


def test_run_that_stood_still_while_the_lock_was_granted_has_it(world, memory, client):
    """Stopped before it read the answer: the daemon renews the lock, and it is asked how long it is good for."""
    client.add("k")
    process = world.spawn([REDLOCKCTL, "-s", memory.path, "run", "-t", "300", "k", "--", "true"])
    eventually(lambda: client.call("waiters")["waiters"])
    stop_process(process)
    client.call("free")
    eventually(lambda: client.call("locks")["locks"])
    client.fails("LOCKED", "add", keys="k", wait=700)  # two ttls and more
    process.send_signal(signal.SIGCONT)
    assert process.wait(DEADLINE) == 0


# --- many of them -----------------------------------------------------------------------------------------------------

BATCH = 10


def test_no_command_is_ever_seen_running_past_its_validity(world, pair):
    """
    Batches of commands under locks of a short ttl; then the daemon hangs, dies, or ends, now and then while redlockctl
    stands still. Each key is waited for on another host: when it is had there, the command must be dead.
    """
    (first, _), other = pair
    rng = random.Random(7)
    ttl = int(500 * SLOW)
    for n in range(0, RUNS, BATCH):
        runs = [Run(world, first.path, f"k{n + i}", "-t", ttl, "--grace", rng.choice(["0", "0.05", "5"]))
                for i in range(BATCH)]
        waiting = []
        for r in runs:
            r.started()
            waiting.append(other.send("add", keys=r.key, retryCount=-1, retryDelay=1, retryJitter=0))
        for r in rng.sample(runs, 3):
            rng.choice([lambda p: p.send_signal(signal.SIGSTOP), lambda p: p.kill()])(r.process)
        fault = rng.choice([stop_daemon, kill_daemon, restart_daemon, end_daemon])
        fault(first)
        pending = dict(zip(waiting, runs))
        while pending:
            done = next((w for w in pending if w in other.replies), None)
            if done is None:
                other.take(DEADLINE)
                continue
            r = pending.pop(done)
            assert r.alive() == [], (fault.__name__, r.key)
            other.reply(done)
        other.call("free")
        for r in runs:
            r.process.send_signal(signal.SIGCONT)
            status = r.process.wait(DEADLINE)
            assert status in (123, -signal.SIGKILL), r.process.stderr.read()
            r.close()
        if fault is stop_daemon:
            first.process.send_signal(signal.SIGCONT)
        elif fault is not restart_daemon:
            first.process.wait(DEADLINE)
            first.start()
        first.wait_nodes(3)


def test_no_command_is_ever_seen_when_another_one_of_the_host_has_the_lock(world, memory):
    """As fast as they come: each run is killed in one of many ways, and the next one of its key follows at once."""
    rng = random.Random(11)
    client = memory.client()
    for _ in range(RUNS):
        r = Run(world, memory.path, "k", "-t", "60000", "--grace", "0.02", start_new_session=True).started()
        waiting = client.send("add", keys="k", retryCount=-1)
        rng.choice([kill_run, kill_keeper, kill_group, lambda r: os.kill(r.pids[0], signal.SIGKILL)])(r)
        client.reply(waiting)
        assert r.alive() == []
        r.process.wait(DEADLINE)
        r.close()
        client.call("free")
