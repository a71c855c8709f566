"""The README's first commands, as somebody types them who has just cloned the program."""

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess

import pytest

from harness import BUILD, DEADLINE, ROOT, connect, eventually, spawn

README = (ROOT / "README.md").read_text()


def make(*words):
    return ["make", "-s", "-C", ROOT, f"BUILD={BUILD}", *words]


def console(section):
    """What stands behind the prompts of a section: (command, the lines that it prints)."""
    text = re.split(r"^## ", README, flags=re.M)
    text = next(part for part in text if part.startswith(section))
    found = []
    for block in re.findall(r"```console\n(.*?)```", text, re.S):
        for entry in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, *printed = entry.rstrip("\n").split("\n")
            found.append((re.sub(r"\s+# .*", "", command), printed))
    return found


class MakeRun:
    """`make run`, and all that it has started."""

    def __init__(self, path):
        self.path = path
        self.process = spawn(make("run", f"SOCKET={path}"), preexec_fn=os.setsid, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def accepts(self):
        with contextlib.suppress(OSError), connect(self.path):
            return True

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def run(world):
    started = world.keep(MakeRun(world.path / "run.sock"))
    eventually(started.accepts, what="make run accepts")
    return started


def shell(run, command, **options):
    """A line of the README in a shell of its own; only the socket and the place of the programs are not what it says."""
    command = command.replace("build/", f"{BUILD}/")
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return spawn(["sh", "-c", command], env={**os.environ, "REDLOCKD_SOCKET": str(run.path)}, cwd=ROOT, **options)


def test_make_demo_happens_as_told():
    done = subprocess.run(make("demo"), capture_output=True, text=True, timeout=4 * DEADLINE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✗" not in done.stdout and done.stdout.rstrip().endswith("All of it happened as told.")


def test_the_first_steps(world, run):
    steps = console("First steps")
    assert steps[0][0] == "make run &" and "REDLOCKD_SOCKET" in steps[1][0]
    status, first, second = (command for command, _ in steps[2:5])
    out, err = shell(run, status).communicate(timeout=DEADLINE)
    assert err == "" and re.search(r"^scope +host$", out, re.M)
    holder = world.keep(shell(run, first, preexec_fn=os.setsid))
    assert holder.stdout.readline() == "I am the only one\n"
    out, err = shell(run, second).communicate(timeout=DEADLINE)
    assert out.split() == steps[4][1] and "LOCKED" in err
    os.killpg(holder.pid, signal.SIGTERM)
    holder.communicate(timeout=DEADLINE)


def test_the_example_without_a_client(run):
    command, printed = next(entry for entry in console("First steps") if "nc -N" in entry[0])
    request = shlex.split(command)[1].encode() + b"\n"
    with socket.socket(socket.AF_UNIX) as s:  # what nc -N does: all of its input, the end of it, all of the output
        s.settimeout(DEADLINE)
        s.connect(str(run.path))
        s.sendall(request)
        s.shutdown(socket.SHUT_WR)
        answer = json.loads(s.makefile("rb").read())
    told = json.loads(printed[0])
    assert list(answer) == list(told) and answer["id"] is None
    assert list(answer["result"]) == list(told["result"]) and answer["result"]["attempts"] == 1
    assert list(answer["result"]["locks"][0]) == list(told["result"]["locks"][0])
    assert answer["result"]["locks"][0]["validity"] <= 9898


def test_make_run_ends_in_good_order(run):
    os.killpg(run.process.pid, signal.SIGINT)  # Ctrl-C, in a terminal
    out, _ = run.process.communicate(timeout=DEADLINE)
    assert "try, in another shell" in out and "stopped" in out
    assert not run.path.exists()


def test_make_help_names_every_target_of_the_readme():
    # what the make that runs the tests has told its children is not for this one
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    done = subprocess.run(make("help"), env=env, capture_output=True, text=True, timeout=DEADLINE)
    assert (done.returncode, done.stderr) == (0, "")
    targets = {line.split()[0] for line in done.stdout.splitlines()}
    for target in set(re.findall(r"(?:^|`|\$ )make ([a-z-]+)", README, re.M)):
        assert target in targets, target
