"""
Passwords: from where they are read, and that they go nowhere but to their own node. Not what the program promises to
write is looked at but what it wrote: every system call of its, and of redlockctl's, with all their bytes.
"""

import contextlib
import os
import re
import socket
import subprocess
import threading

import pytest

from harness import REDLOCKCTL, REDLOCKD, eventually
from manager import Manager, Service

TAKES_IN = re.compile(r"^(\d+ +)?(read|pread64|readv|recvfrom|recvmsg|recvmmsg)\(")


@pytest.fixture
def manager(world):
    return world.keep(Manager(world.path))


class Traced(Service):
    """The daemon with every system call of its written down."""

    def argv(self):
        # What looks for leaks traces the process itself.
        self.manager.environment["ASAN_OPTIONS"] = "detect_leaks=0"
        return [*self.strace(), REDLOCKD, "-c", self.config, "-s", self.path, "-l", "debug"]

    def strace(self):
        self.traces = getattr(self, "traces", 0) + 1
        name = self.config.with_suffix(f".trace{self.traces}")
        return ["strace", "-D", "-f", "-s", "1000000", "-v", "-o", name]

    def ctl(self, *argv, program=REDLOCKCTL):
        options = [] if program == REDLOCKD else ["-s", self.path]
        done = subprocess.run([*self.strace(), program, *options, *argv], capture_output=True, text=True, timeout=60, env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
        return done.stdout + done.stderr

    def trace(self):
        names = self.config.parent.glob(self.config.stem + ".trace*")
        return [line for name in names for line in name.read_text(errors="replace").splitlines()]


def sent(service, secrets):
    """Where these words went: the lines of the trace that have one of them and are no reading."""
    return [line for line in service.trace() if any(s in line for s in secrets) and not TAKES_IN.match(line)]


class Parrot:
    """A server that repeats what it was told in its error, as Redis does with commands that it does not know."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "redis://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                with self.listener.accept()[0] as s:
                    words = s.recv(65536).decode().split("\r\n")[2::2]
                    s.sendall(f"-ERR unknown command '{words[0]}', with args beginning with: '{words[1]}'\r\n".encode())

    def close(self):
        self.listener.close()


def test_a_password_goes_to_its_node_and_nowhere_else(world, manager):
    secrets = ["s3cret-in-file", "s3cret-in-url", "s3cret-in-credential", "s3cret-that-is-wrong", "s3cret-for-parrot"]
    credentials = world.path / "credentials"
    credentials.mkdir()
    manager.environment["CREDENTIALS_DIRECTORY"] = str(credentials)
    (credentials / "c").write_text(secrets[2])
    (world.path / "f").write_text(secrets[0] + "\n")
    by_file, by_url, by_credential, refusing = [world.redis(password=s) for s in secrets[:3] + ["another"]]
    nodes = [
        {"name": "file", "url": by_file.url, "passwordFile": str(world.path / "f")},
        by_url.url.replace("redis://", f"redis://default:{secrets[1]}@"),
        {"name": "credential", "url": by_credential.url, "passwordFile": "c"},
        refusing.url.replace("redis://", f"redis://:{secrets[3]}@"),
        world.keep(Parrot()).url.replace("redis://", f"redis://:{secrets[4]}@"),
    ]
    service = Traced(world, manager, nodes, metrics={"listen": str(world.path / "m.sock")}).start(up=False)
    service.certify(3)
    client = service.client()
    client.call("subscribe", events=["lost", "node"])
    client.add("k")
    by_file.kill()
    service.wait_nodes(2)
    client.fails("NO_QUORUM", "add", keys="l", retryCount=0)
    for command in ["status", "nodes", "sessions", "locks", "waiters", "metrics", "reload"]:
        service.ctl(command)
        service.ctl("-j", command)
    service.reconfigure(nodes=[*nodes, "redis://u:s3cret-in-url@bad host"])
    assert "nodes[5]" in service.ctl("reload")
    service.config.write_text('{"nodes": ["redis://:s3cret-in-url@127.0.0.1:1", "redis://:s3cret-in-url@h" "redis://:s3cret-in-url@i"]}')
    assert "1:" in service.ctl("reload")
    service.ctl("-t", "-c", service.config, program=REDLOCKD)
    service.reconfigure_whole(nodes)
    assert "not usable" in service.ctl("-T", "-c", service.config, program=REDLOCKD)
    eventually(lambda: service.log().count("WRONGPASS") and service.log().count("AUTH: ERR unknown command"))
    service.terminate()

    assert len(service.trace()) > 1000
    lines = sent(service, secrets)
    assert {s for s in secrets for line in lines if s in line} == set(secrets)  # the trace does see them
    for line in lines:
        assert re.search(r'\b(write|writev|sendmsg|sendto)\(\d+, .*\$4\\r\\nAUTH\\r\\n', line), line
    assert not [s for s in secrets if s in service.log() or s in str(client.notices)]


def test_the_command_line_has_no_place_for_a_password(world, manager):
    shown = subprocess.run([REDLOCKD, "--help"], capture_output=True, text=True).stdout
    assert "assword" not in shown


# --- from where they are read -----------------------------------------------------------------------------------------


def test_a_relative_file_is_looked_up_among_the_credentials_alone(world, manager):
    node = world.redis(password="right")
    credentials = world.path / "credentials"
    credentials.mkdir()
    (world.path / "secret").write_text("right")  # beside the configuration: not where it is looked for
    manager.environment["CREDENTIALS_DIRECTORY"] = str(credentials)
    service = Service(world, manager, [{"url": node.url, "passwordFile": "secret"}])
    with open(service.log_file, "ab") as log:
        service.process = manager.spawn(service.argv(), stdout=log, stderr=log)
    assert service.ended() == 1
    assert "nodes[0].passwordFile: cannot be read: No such file or directory" in service.log()
    (credentials / "secret").write_text("right\r\n")
    service.start()


@pytest.mark.parametrize(
    "content, why",
    [(b"", "the file is empty"), (b"\n", "the file is empty"), (b"a\0b", "the file holds a NUL"), (b"x" * 4097, "File too large")],
)
def test_a_file_without_a_usable_password_is_refused(world, manager, content, why):
    (world.path / "secret").write_bytes(content)
    service = Service(world, manager, [{"url": "redis://127.0.0.1:1", "passwordFile": "secret"}])
    done = subprocess.run([REDLOCKD, "-t", "-c", service.config], capture_output=True, text=True)
    assert done.returncode == 1 and f"nodes[0].passwordFile: {why}" in done.stderr.replace("cannot be read: ", "")


def test_a_password_may_have_any_bytes_but_nul_and_be_as_long_as_the_limit(world, manager):
    password = ("pä ss'\"\\\r\n\t" * 400)[:3000] + "."
    node = world.redis()
    with node.connect() as link:
        link.command("CONFIG", "SET", "requirepass", password)
    node.password = password
    (world.path / "secret").write_bytes(password.encode() + b"\n")
    Service(world, manager, [{"url": node.url, "passwordFile": "secret"}]).start().client().add("a")
