"""redlockctl top on screens of several sizes, in tmux; and top -b."""

import itertools
import os
import re
import subprocess

import pytest

from harness import DEADLINE, REDLOCKCTL, eventually

CLEAN = {k: v for k, v in os.environ.items() if k not in ("TMUX", "NO_COLOR")}


class Screen:
    """A terminal of tmux's, with one program on it; each has a server of its own."""

    servers = itertools.count()

    def __init__(self, directory, argv, columns, rows):
        self.tmux = ["tmux", "-L", f"redlockd-{os.getpid()}-{next(self.servers)}", "-f", "/dev/null"]
        line = " ".join(f"'{a}'" for a in argv)
        env = {**CLEAN, "TERM": "screen", "LC_ALL": "C.UTF-8", "TMUX_TMPDIR": str(directory)}
        self.env = env
        self.command("new-session", "-d", "-x", columns, "-y", rows, f"exec {line}")

    def command(self, *words):
        argv = [*self.tmux, *(str(w) for w in words)]
        done = subprocess.run(argv, env=self.env, capture_output=True, text=True, timeout=DEADLINE)
        return done.stdout if done.returncode == 0 else None

    def lines(self, *options):
        return (self.command("capture-pane", "-p", *options) or "").rstrip("\n").split("\n")

    def wait_for(self, words):
        return eventually(lambda: any(words in line for line in self.lines()) and self.lines(), what=words)

    def keys(self, *keys):
        self.command("send-keys", *keys)

    def resize(self, columns, rows):
        self.command("resize-window", "-x", columns, "-y", rows)

    def pid(self):
        return int(self.command("display-message", "-p", "#{pane_pid}"))

    def running(self):
        return self.command("has-session") is not None

    def close(self):
        self.command("kill-server")


def plain(lines):
    """Without what differs from run to run: numbers that are measured, and the width that they take."""
    text = "\n".join(lines)
    text = re.sub(r"\b\d+(\.\d)?s\b|\b\d+ms\b|\b\d+m\d\ds\b", "TIME", text)
    text = re.sub(r"\d+\.\d\.\d", "VERSION", text)
    text = re.sub(r"\b(\d+\.\d)\b", "RATE", text)
    text = re.sub(rf"\b{os.getpid()}\b", "PID", text)
    return [re.sub(r" {2,}", "  ", line).rstrip() for line in text.split("\n")]


@pytest.fixture
def busy(world):
    """A broker on three nodes, one of them down; 12 keys held, the first of them waited for by three."""
    nodes = world.nodes(3)
    named = [{"name": name, "url": node.url} for name, node in zip("abc", nodes)]
    daemon = world.daemon(named)
    nodes[2].kill()
    daemon.wait_nodes(2)
    holder = daemon.client()
    holder.call("hello", name="nightly")
    holder.add([f"key-{i:02}" for i in range(11)], ttl=60000)
    other = daemon.client()
    other.call("hello", name="журнал")
    other.add("длинный-ключ", ttl=60000)
    for n in range(3):
        waiter = daemon.client()
        waiter.call("hello", name=f"waiter-{n}")
        waiter.send("add", keys="key-05", retryCount=-1)
        eventually(lambda: len(holder.call("waiters")["waiters"]) == n + 1)
    return daemon


@pytest.fixture
def screen(world, busy):
    def screen(columns, rows, *before):
        (world.path / "tmux").mkdir(exist_ok=True)
        argv = [*before, REDLOCKCTL, "-s", busy.path, "top"]
        return world.keep(Screen(world.path / "tmux", argv, columns, rows))

    return screen


HEAD = [
    "redlockd VERSION  ok  2 of 3 nodes up, quorum 2  up TIME",
    "locks 12  waiters 3  sessions 6",
]
NODES = ["a  up  TIME  0  -", "b  up  TIME  0  -", "c  down  TIME  0  CONNECT: connection refused"]


def test_on_80_columns_and_24_rows(screen):
    lines = screen(80, 24).wait_for("WAITERS")
    assert len(lines) <= 24 and max(map(len, lines)) <= 80
    shown = plain(lines)
    assert shown[:2] == HEAD
    assert shown[2].startswith("per second: granted RATE  freed RATE  locked RATE  no quorum RATE  expired RATE")
    assert shown[3] == "NODES 3  state  rtt  errors  reason"
    assert shown[4:6] == NODES[:2] and shown[6].startswith("c  down  ")
    assert shown[7] == "KEYS 9 of 12  waiters  held  valid  pid  name"
    assert shown[8] == "key-05  3  TIME  TIME  PID  nightly"
    assert all(re.fullmatch(r"\S+  0  TIME  TIME  PID  \S+", line) for line in shown[9:17])
    assert shown[17] == "WAITERS 3  waited  place  pid  name"
    assert shown[18:21] == [f"key-05  TIME  {n + 1}  PID  waiter-{n}" for n in range(3)]
    assert shown[21] == "HOLDERS 2  name  locks  waiting  session"
    assert [re.sub(r"\d+$", "N", line) for line in shown[22:24]] == ["PID  nightly  11  0  N", "PID  журнал  1  0  N"]
    assert len(shown) == 24


def test_on_200_columns_and_60_rows(screen):
    lines = screen(200, 60).wait_for("WAITERS")
    assert len(lines) <= 60 and max(map(len, lines)) <= 200
    shown = plain(lines)
    assert shown[:2] == HEAD and shown[2].endswith("requests RATE")
    assert shown[7] == "KEYS 12  waiters  held  valid  pid  name" and shown[8].startswith("key-05  3  ")
    assert "длинный-ключ  0  TIME  TIME  PID  журнал" in shown
    assert [line.split("  ")[0] for line in shown[20:24]] == ["WAITERS 3", "key-05", "key-05", "key-05"]
    assert shown[24].startswith("HOLDERS 2") and len(shown) == 27


def test_on_40_columns_and_10_rows(screen):
    lines = screen(40, 10).wait_for("WAITERS")
    assert len(lines) == 10 and max(map(len, lines)) <= 40
    shown = plain(lines)
    assert shown[0] == "redlockd VERSION  ok  2 of 3 nodes up, quo" and shown[1] == HEAD[1]
    assert shown[3].startswith("NODES 2 of 3") and shown[4:6] == NODES[:2]
    assert shown[6].startswith("KEYS 1 of 12") and shown[7].startswith("key-05  3  ")
    assert shown[8].startswith("WAITERS 1 of 3") and shown[9].startswith("key-05  TIME  1  ")


def test_a_screen_that_changes_its_size(screen):
    s = screen(80, 24)
    s.wait_for("HOLDERS 2")
    s.resize(40, 10)
    eventually(lambda: len(s.lines()) <= 10 and any("KEYS 1 of 12" in line for line in s.lines()))
    s.resize(120, 40)
    s.wait_for("KEYS 12")
    s.resize(3, 2)
    eventually(lambda: s.lines()[0][:3] == "red")
    assert s.running()


def test_q_quits_and_leaves_the_terminal_as_it_was(screen):
    s = screen(80, 24, "sh", "-c", '"$@"; stty -a; read line', "sh")
    s.wait_for("WAITERS")
    s.keys("q")
    lines = s.wait_for("icanon")
    assert not any("-icanon" in line or "-echo " in line for line in lines)


def test_what_changes_is_seen_within_a_second_or_two(screen, busy):
    s = screen(80, 24)
    s.wait_for("locks 12 ")
    client = busy.client()
    client.add("one-more", ttl=60000)
    s.wait_for("locks 13 ")
    s.wait_for("granted")
    eventually(lambda: re.search(r"per second: granted (1|0\.[5-9])", s.lines()[2]) or not client.add(os.urandom(4).hex()))


def test_colour_tells_the_state_and_no_color_is_heard(screen):
    s = screen(80, 24)
    s.wait_for("WAITERS")
    assert any("\x1b[1m\x1b[31mc  " in line or re.search(r"\x1b\[[0-9;]*31m.*c +down", line) for line in s.lines("-e"))
    s.close()
    s = screen(80, 24, "env", "NO_COLOR=1")
    s.wait_for("WAITERS")
    assert not any(re.search(r"\x1b\[([0-9;]*;)?3[1-7]m", line) for line in s.lines("-e"))


def test_a_daemon_that_goes_and_comes_is_said(screen, busy):
    s = screen(80, 24)
    s.wait_for("WAITERS")
    busy.kill()
    s.wait_for("redlockd0.sock: ")
    busy.start(up=False)
    s.wait_for("locks 0 ")


def test_b_prints_one_page_for_logs(busy):
    done = subprocess.run([REDLOCKCTL, "-s", busy.path, "top", "-b"], capture_output=True, text=True, timeout=DEADLINE)
    shown = plain(done.stdout.splitlines())
    assert done.returncode == 0 and "\x1b" not in done.stdout
    assert shown[:2] == HEAD and sum(line.startswith("key-") for line in shown) == 11 + 3
    assert not any(line != line.rstrip() for line in done.stdout.splitlines())


def test_without_a_terminal_or_a_daemon_it_says_so(world, busy):
    def top(path, *argv):
        argv = [REDLOCKCTL, "-s", path, "top", *argv]
        return subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE, stdin=subprocess.DEVNULL)

    assert "needs a terminal" in top(busy.path).stderr
    assert top(world.path / "nobody", "-b").returncode == 1
