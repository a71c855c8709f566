"""
A service manager in a page: the notify socket, the sockets that it hands over, and a journal that keeps what is sent to
it. What a real systemd does with the units is in tests/systemd.
"""

import contextlib
import json
import os
import select
import socket
import time

from harness import DEADLINE, REDLOCKD, Daemon, Redis, eventually, spawn

# The descriptors have their numbers and the process its pid only after the fork.
LAUNCH = 'export LISTEN_PID=$$ WATCHDOG_PID=$$; exec "$@"'


class Manager:
    """Everything that a manager has for one service; it outlives the service's processes."""

    def __init__(self, directory, abstract=False):
        self.directory = directory
        self.environment = {}
        self.handed = []  # (name, listening socket)
        self.told = []
        address = f"\0redlockd-{os.getpid()}-{id(self)}" if abstract else str(directory / "notify")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(address)
        self.environment["NOTIFY_SOCKET"] = address.replace("\0", "@", 1)

    def close(self):
        self.notify.close()
        for _, listening in self.handed:
            listening.close()

    def listen(self, path, name="redlockd.socket"):
        """A socket like that of a socket unit: made once, and listening whether or not a service is there."""
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(path))
        listening.listen(128)
        return self.hand_over(listening, name)

    def hand_over(self, listening, name):
        self.handed.append((name, listening))
        return listening

    def spawn(self, argv, **options):
        env = {**os.environ, **self.environment}
        fds = [listening.fileno() for _, listening in self.handed]
        script = LAUNCH
        if fds:
            env["LISTEN_FDS"] = str(len(fds))
            env["LISTEN_FDNAMES"] = ":".join(name for name, _ in self.handed)
            # First all of them out of the way, in numbers that a shell can name.
            parked = [os.dup(fd) for fd in fds]
            moves = " ".join(f"{3 + i}<&{fd}" for i, fd in enumerate(parked))
            script = f'export LISTEN_PID=$$ WATCHDOG_PID=$$; exec "$@" {moves}'
        else:
            parked = []
        try:
            return spawn(["/bin/bash", "-c", script, "manager", *argv], env=env, pass_fds=parked, **options)
        finally:
            for fd in parked:
                os.close(fd)

    def hear(self, within=DEADLINE):
        """The next message, as a dictionary."""
        assert select.select([self.notify], [], [], within)[0], f"nothing was told within {within} s: {self.told}"
        message = dict(line.split("=", 1) for line in self.notify.recv(4096).decode().splitlines())
        self.told.append(message)
        return message

    def hear_until(self, name, value=None, within=DEADLINE):
        """Messages up to the first one with this variable (and this value)."""
        end = time.monotonic() + within
        while True:
            message = self.hear(max(0.001, end - time.monotonic()))
            if name in message and value in (None, message[name]):
                return message


class Service(Daemon):
    """The daemon as a manager starts it."""

    def __init__(self, world, manager, nodes=("memory:",), **sections):
        super().__init__(world.path, f"service{len(world.daemons)}", nodes, sections)
        self.manager = manager
        world.daemons.append(self)

    def argv(self):
        return [REDLOCKD, "-c", self.config, "-s", self.path]

    def start(self, up=True):
        with open(self.log_file, "ab") as log:
            self.process = self.manager.spawn(self.argv(), stdout=log, stderr=log)
        self.manager.hear_until("READY", "1")
        if up:
            self.certify(self.nodes_n)
        return self

    def ended(self):
        return eventually(lambda: self.process.poll() is not None, what="redlockd ends") and self.process.returncode

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            super().kill()

    def reconfigure_whole(self, nodes, **sections):
        """Writes another configuration in the place of what is there, whatever that is."""
        self.config.write_text("{}")
        self.reconfigure(nodes, **sections)

    def reconfigure(self, nodes=None, **sections):
        """Writes another configuration: sections replace those of before, None takes one away."""
        config = json.loads(self.config.read_text())
        if nodes is not None:
            config["nodes"] = [n.url if isinstance(n, Redis) else n for n in nodes]
        config.update(sections)
        self.config.write_text(json.dumps({k: v for k, v in config.items() if v is not None}, indent=1))
