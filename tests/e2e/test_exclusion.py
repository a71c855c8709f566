"""
Mutual exclusion while nodes stop and die: never so many at once that a quorum forgets what it granted.

A node that was killed comes back, empty, only after every lock that it may have voted for has lapsed.
"""

import itertools
import pathlib
import select
import signal
import sys
import time

from harness import DEADLINE, SLOW, LineProcess, eventually, stop_process

WORKERS = 8
TIMES = 40
TTL = 1000
WORKER = pathlib.Path(__file__).with_name("counter_worker.py")


class Crowd:
    """The processes, and every number that they wrote."""

    def __init__(self, world, daemons):
        self.file = world.path / "counter"
        self.file.write_text("0")
        self.numbers = []
        rota = itertools.cycle(daemons)
        argv = [sys.executable, WORKER]
        crowd = [LineProcess([*argv, next(rota).path, self.file, TIMES, TTL]) for _ in range(WORKERS)]
        self.running = {world.keep(worker).socket: worker for worker in crowd}

    def go_on(self, n, within):
        """Until n more numbers are written, or for a while: with too many nodes down nothing is."""
        goal, end = len(self.numbers) + n, time.monotonic() + within
        while self.running and len(self.numbers) < goal:
            ready, _, _ = select.select(list(self.running), [], [], max(0, end - time.monotonic()))
            if not ready:
                return
            for socket in ready:
                self.take(self.running[socket])

    def take(self, worker):
        line = worker.read_line()
        if line is not None:
            self.numbers.append(int(line))
            return
        del self.running[worker.socket]
        assert worker.process.wait(DEADLINE) == 0


def every_lock_of_now_has_lapsed(node):
    """Waits one TTL, by a key with that TTL on a node that runs."""
    node.command("SET", "redlockd:test", "1", "PX", TTL)
    eventually(lambda: node.get("redlockd:test") is None)


def test_no_update_is_lost_while_nodes_stop_and_die(world, nodes3):
    daemons = [world.daemon(nodes3) for _ in range(3)]
    crowd = Crowd(world, daemons)

    for node in nodes3 * 3:
        crowd.go_on(8, within=1)
        node.stop()
        crowd.go_on(8, within=1)
        node.cont()

    for one, another in itertools.pairwise(nodes3):  # two hang: nobody is granted anything
        one.stop()
        another.stop()
        crowd.go_on(8, within=0.5)
        another.cont()
        one.cont()
        crowd.go_on(8, within=1)

    for killed, alive in ((nodes3[2], nodes3[0]), (nodes3[1], nodes3[2])):
        killed.kill()
        crowd.go_on(8, within=1)
        every_lock_of_now_has_lapsed(alive)
        killed.start()
        crowd.go_on(16, within=1)

    stop_process(daemons[0].process)  # what it holds lapses while it stands still
    every_lock_of_now_has_lapsed(nodes3[0])
    daemons[0].process.send_signal(signal.SIGCONT)
    crowd.go_on(16, within=1)

    nodes3[0].kill()  # for good
    crowd.go_on(WORKERS * TIMES, within=60 * SLOW)
    assert not crowd.running, f"{len(crowd.numbers)} numbers, then nothing"
    assert sorted(crowd.numbers) == list(range(1, WORKERS * TIMES + 1))
    assert int(crowd.file.read_text()) == WORKERS * TIMES
