"""redlockctl: tables for people, --check for monitoring, and help."""

import json
import os
import re
import signal
import subprocess

import pytest

from harness import DEADLINE, REDLOCKCTL, Terminal, stop_process

COMMANDS = ["run", "hold", "status", "nodes", "sessions", "locks", "waiters", "ping", "call"]
COMMANDS += ["top", "why", "doctor", "drain", "kill", "metrics", "reload", "certify", "break", "help"]
CLEAN = {name: value for name, value in os.environ.items() if name not in ("REDLOCKD_SOCKET", "NO_COLOR")}


def ctl(*argv, env=CLEAN):
    argv = [str(a) for a in (REDLOCKCTL, *argv)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE, env=env, stdin=subprocess.DEVNULL)


@pytest.fixture
def client(memory):
    return memory.client()


# --- tables -----------------------------------------------------------------------------------------------------------


def columns(line):
    """Where each word of a header begins."""
    return {word.group(): word.start() for word in re.finditer(r"\S+", line)}


def test_a_table_is_aligned_whatever_is_in_it(memory, client):
    client.add(["a", "ключ", "a key that is much longer than the others", "\x1b[31mred"], ttl=60000)
    header, *rows = ctl("-s", memory.path, "locks").stdout.splitlines()
    at = columns(header)
    assert len(rows) == 4
    for row in rows:
        assert row[at["pid"] :].split()[0] == str(os.getpid())
        assert re.match(r"(59|60)\.\ds ", row[at["validity"] :])
    assert "\x1b" not in "".join(rows) and any(row.startswith("\\u001b[31mred ") for row in rows)


@pytest.mark.parametrize("where", [["--no-legend", "locks"], ["locks", "--no-legend"], ["locks", "k", "--no-legend"]])
def test_no_legend_leaves_the_rows_alone(memory, client, where):
    client.add("k")
    (row,) = ctl("-s", memory.path, *where).stdout.splitlines()
    assert row.split()[0] == "k"


def test_j_gives_the_result_as_it_came_before_and_behind_the_command(memory, client):
    client.add("k", ttl=60000)
    for where in (["-j", "locks"], ["locks", "-j"]):
        (lock,) = json.loads(ctl("-s", memory.path, *where).stdout)["locks"]
        assert lock["key"] == "k" and 59000 < lock["validity"] < 60000


def test_moments_and_spans_are_told_as_people_say_them(memory, client):
    assert re.search(r" \d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", ctl("-s", memory.path, "sessions").stdout)
    assert re.search(r"^uptime +(\d+ms|\d+\.\ds)$", ctl("-s", memory.path, "status").stdout, re.M)


@pytest.mark.parametrize(
    "env, coloured",
    [({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
    + [({"TERM": "xterm", "NO_COLOR": ""}, True)],
)
def test_colour_only_on_a_terminal_that_has_it_and_without_no_color(world, memory, env, coloured):
    terminal = world.keep(Terminal([REDLOCKCTL, "-s", memory.path, "nodes"], env={**CLEAN, **env}))
    assert (b"\x1b[32mup\x1b[0m" in terminal.rest()) == coloured
    assert "\x1b" not in ctl("-s", memory.path, "nodes", env={**CLEAN, **env}).stdout


# --- status --check ---------------------------------------------------------------------------------------------------


def test_check_tells_monitoring_how_it_is(world, nodes3, daemon):
    def check():
        done = ctl("-s", daemon.path, "status", "--check")
        assert len(done.stdout.splitlines()) == 1
        return done.returncode, done.stdout.split(":")[0]

    assert check() == (0, "redlockd ok")
    nodes3[0].kill()
    daemon.wait_nodes(2)
    assert check() == (1, "redlockd degraded")
    nodes3[1].kill()
    daemon.wait_nodes(1)
    assert check() == (2, "redlockd NO QUORUM")
    daemon.terminate()
    assert ctl("-s", daemon.path, "status", "--check").returncode == 3


def test_check_of_a_daemon_that_hangs_is_3_in_time(memory):
    stop_process(memory.process)
    done = ctl("-s", memory.path, "status", "--check")
    memory.process.send_signal(signal.SIGCONT)
    assert done.returncode == 3 and "does not answer" in done.stderr


def test_no_command_waits_for_ever_for_a_daemon_that_hangs(world, memory):
    stop_process(memory.process)
    asked = [world.spawn([REDLOCKCTL, "-s", memory.path, c], stderr=subprocess.PIPE) for c in ("locks", "ping", "nodes")]
    for process in asked:
        assert process.wait(DEADLINE) == 1 and b"does not answer" in process.stderr.read()


# --- help -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_each_command_fits_a_screen_and_has_an_example(name):
    shown = ctl("help", name)
    assert shown.returncode == 0 and shown.stdout.startswith(f"usage: redlockctl {name}")
    lines = shown.stdout.splitlines()
    assert len(lines) <= 23 and max(map(len, lines)) <= 80 and "Example: " in shown.stdout
    for option in ("--help", "-h"):
        told = ctl(name, option)
        assert (told.returncode, told.stdout, told.stderr) == (0, shown.stdout, "")


def test_the_list_of_all_commands_fits_a_screen_and_is_complete():
    shown = ctl("--help")
    assert shown.returncode == 0 and ctl("help").stdout == shown.stdout
    lines = shown.stdout.splitlines()
    assert len(lines) <= 23 and max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines if line.startswith("  ")] == COMMANDS


@pytest.mark.parametrize(
    "typed, meant", [("stauts", "status"), ("lokcs", "locks"), ("waiter", "waiters"), ("rnu", "run"), ("statuss", "status")]
)
def test_a_mistyped_command_suggests_one(typed, meant):
    done = ctl(typed)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"redlockctl: there is no command {typed}; did you mean {meant}?\n"


@pytest.mark.parametrize("typed", ["nonsense", "x", "", "é" * 100])
def test_what_resembles_no_command_suggests_none(typed):
    done = ctl(typed)
    assert done.returncode == 1 and "did you mean" not in done.stderr and "--help" in done.stderr


@pytest.mark.parametrize("argv", [["status", "x"], ["locks", "a", "b"], ["call"], ["nodes", "--check"], ["ping", "-x"], ["metrics", "x"], ["certify"]])
def test_a_wrong_command_line_shows_how_the_command_is_used(argv):
    done = ctl(*argv)
    assert (done.returncode, done.stdout) == (1, "") and f"usage: redlockctl {argv[0]}" in done.stderr
