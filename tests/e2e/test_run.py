"""
redlockctl run: exit codes, options, signals, terminals. What users reported of `consul lock` (797, 947, 1210, 2489, 4439,
9788) and `etcdctl lock` (12829), each a test here or in test_run_loss.py: a status that is lost, options of the command
that are eaten, signals that are not passed on, deafness while waiting, a command that outlives its lock.
"""

import concurrent.futures
import os
import re
import signal
import subprocess
import sys

import pytest

from harness import DEADLINE, REDLOCKCTL, Terminal, eventually

FORWARDED = [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT, signal.SIGINT]


@pytest.fixture
def client(memory):
    return memory.client()


@pytest.fixture
def start(world, memory):
    """Starts `redlockctl run ARGV`."""

    def start(*argv, **options):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return world.spawn([REDLOCKCTL, "-s", memory.path, "run", *argv], **options)

    return start


@pytest.fixture
def run(start):
    """Runs it to its end: status, stdout, stderr."""

    def run(*argv, **options):
        process = start(*argv, **options)
        out, err = process.communicate(timeout=DEADLINE)
        return process.returncode, out.decode(), err.decode()

    return run


def python(source, *argv):
    return [sys.executable, "-I", "-S", "-c", source, *argv]


# Says "ready", then the name of each signal that comes; ends on TERM and the like with the signal's number.
LISTENER = python(
    "import signal, sys, os\n"
    "names = 'TERM HUP USR1 USR2 QUIT INT'.split()\n"
    "got = [getattr(signal, 'SIG' + n) for n in names]\n"
    "signal.pthread_sigmask(signal.SIG_BLOCK, got)\n"
    "os.write(1, b'ready\\n')\n"
    "s = signal.sigwait(got)\n"
    "os.write(1, s.name.encode() + b'\\n')\n"
    "sys.exit(int(s))\n"
)


def waits(client, key="k"):
    return eventually(lambda: client.call("waiters", key=key)["waiters"], what="it waits")


def holds(client, key="k"):
    return eventually(lambda: client.call("locks", key=key)["locks"], what="it holds")


# --- exit codes -------------------------------------------------------------------------------------------------------


def test_every_exit_code_of_the_command_is_passed_on(run):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        codes = pool.map(lambda code: run(f"k{code}", "--", "sh", "-c", f"exit {code}")[0], range(256))
    assert list(codes) == list(range(256))


@pytest.mark.parametrize("how", [signal.SIGHUP, signal.SIGKILL, signal.SIGABRT, signal.SIGTERM, signal.SIGUSR1])
def test_a_command_that_dies_by_a_signal_gives_128_and_its_number(run, how):
    assert run("k", "--", "sh", "-c", f"kill -{int(how)} $$")[0] == 128 + how


@pytest.mark.parametrize("code", [0, 1, 9, 255])
def test_E_sets_the_code_of_a_lock_that_is_taken_and_nothing_is_started(run, client, code):
    client.add("k")
    status, out, err = run("-n", "-E", code, "k", "--", "echo", "started")
    assert (status, out) == (code, "") and f"held by process {os.getpid()}" in err


@pytest.mark.parametrize("argv", [["-n", "-E", "7"], ["-w", "0.1", "-E", "7"]])
def test_too_few_nodes_are_a_failure_and_not_somebody_elses_lock(world, argv):
    nobody = world.redis(start=False)
    daemon = world.daemon([nobody], up=False)
    done = subprocess.run([REDLOCKCTL, "-s", daemon.path, "run", *argv, "k", "--", "echo", "started"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (125, "") and "NO_QUORUM" in done.stderr


@pytest.mark.parametrize(
    "argv",
    [[], ["k"], ["k", "--"], ["", "--", "true"], ["a,,b", "--", "true"], ["-w", "x", "k", "true"], ["k", "-n", "true"]]
    + [["--grace", "-1", "k", "true"], ["--on-lost=maybe", "k", "true"], ["-E", "256", "k", "true"], ["k", "-c"]]
    + [["-c", "true", "k", "true"], ["-t", "1.5", "k", "true"], ["-w", "9999999", "k", "true"]],
)
def test_a_wrong_command_line_is_125_and_shows_how_it_is_used(run, argv):
    status, out, err = run(*argv)
    assert (status, out) == (125, "") and "usage: redlockctl run" in err


# --- the command line -------------------------------------------------------------------------------------------------


def test_options_of_the_command_are_its_own(run):
    source = "import sys; print(sys.argv[1:])"
    for between in ([], ["--"]):
        status, out, _ = run("-n", "k", *between, *python(source, "-n", "--help", "--", "-c", "-w"))
        assert (status, out) == (0, "['-n', '--help', '--', '-c', '-w']\n")


@pytest.mark.parametrize("argv", [["k", "-c"], ["-c"]])
def test_c_runs_a_shell(run, argv):
    words = [*argv, "echo $((40 + 2)) \"$REDLOCK_KEYS\"; exit 3", *(["k"] if argv == ["-c"] else [])]
    assert run(*words)[:2] == (3, "42 k\n")


def test_a_program_that_is_called_like_an_option_can_be_run_behind_two_dashes(run):
    assert run("k", "--", "-c")[0] == 127


def test_several_keys_are_taken_together_or_not_at_all(run, client):
    client.add("b")
    assert run("-n", "a,b,c", "--", "true")[0] == 124
    assert set(client.list()) == {"b"}
    assert [lock["key"] for lock in client.call("locks")["locks"]] == ["b"]


def test_an_outer_runs_fences_are_not_shown_as_ones_own(run):
    env = {**os.environ, "REDLOCK_FENCES": "17", "REDLOCK_KEYS": "other"}
    _, out, _ = run("a,b", "--", "sh", "-c", 'echo "$REDLOCK_KEYS" "$REDLOCK_FENCES"', env=env)
    keys, _, fences = out.strip("\n").partition(" ")
    assert keys == "a,b" and fences != "17" and re.fullmatch(r"|\d+,\d+", fences)


# --- what the command inherits ----------------------------------------------------------------------------------------

SURROUNDINGS = python(
    "import os\n"
    "for line in open('/proc/self/status'):\n"
    "    if line.startswith('Sig') and not line.startswith('SigQ'):\n"
    "        print(line.strip())\n"
    "for n in sorted(os.listdir('/proc/self/fd')):\n"
    "    if n > '2' and os.path.exists(f'/proc/self/fd/{n}'):\n"
    "        print(n, os.readlink(f'/proc/self/fd/{n}'))\n"
    "print(os.getpgrp(), os.getsid(0))\n"
)


def test_the_command_finds_all_as_if_nobody_were_between(run):
    """Signal mask, what is ignored, descriptors, process group and session."""

    def unusual():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGWINCH])
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # who runs the tests in the background may have it ignored
        signal.signal(signal.SIGQUIT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    read, write = os.pipe()
    options = {"preexec_fn": unusual, "pass_fds": [write], "stdin": subprocess.DEVNULL}
    alone = subprocess.run(SURROUNDINGS, stdout=subprocess.PIPE, check=True, **options).stdout.decode()
    status, under, err = run("k", "--", *SURROUNDINGS, **options)
    os.close(read)
    os.close(write)
    pipe = re.compile(r"/proc/\d+/fd")
    assert (status, err) == (0, "") and pipe.sub("", under) == pipe.sub("", alone)


def test_the_command_inherits_no_socket(run):
    _, out, _ = run("k", "--", "sh", "-c", "ls -l /proc/self/fd")
    assert "socket:" not in out and "signalfd" not in out and "timerfd" not in out


# --- signals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", FORWARDED)
def test_a_signal_goes_to_the_command(start, how):
    process = start("k", "--", *LISTENER)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(how)
    assert process.stdout.readline() == how.name.encode() + b"\n"
    assert process.wait(DEADLINE) == int(how)


@pytest.mark.parametrize("how", FORWARDED)
def test_a_signal_while_waiting_cancels_and_nothing_is_started(start, client, how):
    client.add("k")
    process = start("k", "--", "echo", "started")
    waits(client)
    process.send_signal(how)
    assert process.wait(DEADLINE) == 128 + how
    eventually(lambda: not client.call("waiters")["waiters"])
    client.call("free")
    assert client.states("add", "k", wait=1000) == {"k": "acquired"}
    assert process.stdout.read() == b""


def test_a_signal_that_is_ignored_as_under_nohup_ends_nothing(start, client):
    client.add("k")
    process = start(
        "k", "--", "sh", "-c", "kill -HUP $$; exit 5", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    )
    waits(client)
    process.send_signal(signal.SIGHUP)
    client.call("free")
    assert process.wait(DEADLINE) == 5


def test_stop_and_continue_are_mirrored(start, client):
    process = start("k", "--", *LISTENER, start_new_session=True)
    assert process.stdout.readline() == b"ready\n"
    command = command_of(process.pid)
    os.kill(command, signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    assert state_of(command) == "T"
    process.send_signal(signal.SIGCONT)
    eventually(lambda: state_of(command) in "SR", what="the command goes on")
    # The command alone is continued: so are we.
    os.kill(command, signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    os.kill(command, signal.SIGCONT)
    eventually(lambda: state_of(process.pid) in "SR", what="redlockctl goes on")
    process.terminate()
    assert process.wait(DEADLINE) == signal.SIGTERM


def test_the_lock_is_kept_while_all_is_stopped(start, client):
    process = start("-t", "300", "k", "--", *LISTENER, start_new_session=True)
    assert process.stdout.readline() == b"ready\n"
    (lock,) = holds(client)
    os.kill(command_of(process.pid), signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    client.fails("LOCKED", "add", keys="k", wait=1000)
    assert holds(client)[0]["session"] == lock["session"]
    process.send_signal(signal.SIGCONT)
    process.terminate()
    assert process.wait(DEADLINE) == signal.SIGTERM


def test_a_stopped_command_that_is_killed_lets_run_end(start):
    process = start("k", "--", *LISTENER, start_new_session=True)
    assert process.stdout.readline() == b"ready\n"
    command = command_of(process.pid)
    os.kill(command, signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    os.kill(command, signal.SIGKILL)
    assert process.wait(DEADLINE) == 128 + signal.SIGKILL


def children_of(pid):
    return [int(p) for p in open(f"/proc/{pid}/task/{pid}/children").read().split()]


def command_of(run):
    """The command of a `redlockctl run`: its keeper's child."""
    return eventually(lambda: [c for keeper in children_of(run) for c in children_of(keeper)])[0]


def state_of(pid):
    return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0]


# --- on a terminal ----------------------------------------------------------------------------------------------------


@pytest.fixture
def terminal(world):
    return lambda argv, **options: world.keep(Terminal(argv, **options))


# Counts what comes within a signal's handler, and says so when it is told to end.
COUNTER = python(
    "import os, signal\n"
    "n = dict.fromkeys([signal.SIGINT, signal.SIGQUIT], 0)\n"
    "def count(s, f):\n"
    "    n[s] += 1\n"
    "    os.write(1, b'got %d\\n' % s)\n"
    "for s in n:\n"
    "    signal.signal(s, count)\n"
    "def end(s, f):\n"
    "    os.write(1, b'counts %d %d\\n' % tuple(n.values()))\n"
    "    os._exit(0)\n"
    "signal.signal(signal.SIGTERM, end)\n"
    "os.write(1, b'ready\\n')\n"
    "while True:\n"
    "    signal.pause()\n"
)


@pytest.mark.parametrize("key, how, counts", [(b"\x03", signal.SIGINT, b"1 0"), (b"\x1c", signal.SIGQUIT, b"0 1")])
def test_what_the_terminal_sends_to_all_is_not_sent_twice(terminal, memory, key, how, counts):
    t = terminal([REDLOCKCTL, "-s", memory.path, "run", "k", "--", *COUNTER])
    t.wait_for(b"ready")
    t.write(key)
    t.wait_for(b"got %d" % how)
    t.process.terminate()  # goes the long way round, behind anything that would have been passed on
    t.wait_for(b"counts " + counts)
    assert t.process.wait(DEADLINE) == 0


def test_control_c_while_waiting_ends_it(terminal, memory, client):
    client.add("k")
    t = terminal([REDLOCKCTL, "-s", memory.path, "run", "k", "--", "echo", "started"])
    waits(client)
    t.write(b"\x03")
    assert t.process.wait(DEADLINE) == 128 + signal.SIGINT
    assert b"started" not in t.rest()


def test_the_end_of_the_terminal_reaches_the_command(terminal, memory, world):
    """redlockctl leads the session here, and is the only one to be told."""
    told = world.path / "told"
    t = terminal([REDLOCKCTL, "-s", memory.path, "run", "k", "--", "sh", "-c",
                  f"trap 'echo hup > {told}; exit 4' HUP; echo ready; while :; do sleep 0.01; done"])
    t.wait_for(b"ready")
    t.hang_up()
    assert t.process.wait(DEADLINE) == 4
    assert told.read_text() == "hup\n"


def test_control_z_and_fg_under_a_shell_with_job_control(terminal, memory, client):
    t = terminal(["bash", "--norc", "--noprofile", "-i"], env={**os.environ, "PS1": "prompt> "})
    t.wait_for(b"prompt> ")
    t.write(b"%s -s %s run -t 400 k -- cat\n" % (str(REDLOCKCTL).encode(), str(memory.path).encode()))
    (lock,) = holds(client)
    front = lock["pid"]
    command = command_of(front)
    t.write(b"one\n")
    t.wait_for(b"one\r\none\r\n")  # the echo, and what cat says
    t.write(b"\x1a")
    t.wait_for(b"Stopped")
    assert (state_of(front), state_of(command)) == ("T", "T")
    client.fails("LOCKED", "add", keys="k", wait=1000)  # two ttls and more: it is renewed all the same
    t.write(b"fg\n")
    eventually(lambda: state_of(front) == "S" and state_of(command) == "S")
    t.write(b"two\n")
    t.wait_for(b"two\r\ntwo\r\n")
    t.write(b"\x04")
    t.write(b"echo status $?\n")
    t.wait_for(b"status 0")
    t.write(b"exit\n")
    assert t.process.wait(DEADLINE) == 0


def test_v_shows_on_a_terminal_who_holds_the_key_and_the_seconds_running(terminal, memory, client):
    client.call("hello", name="nightly\x1b[31m")
    client.add("k")
    t = terminal([REDLOCKCTL, "-s", memory.path, "run", "-v", "k", "--", "echo", "started"])
    line = b'\r\x1b[Kredlockctl: waiting for "k", held by process %d (nightly\\u001b[31m), ' % os.getpid()
    t.wait_for(line + b"0 s")
    t.wait_for(line + b"1 s")
    client.call("free")
    t.wait_for(b"\r\x1b[Kstarted")
    assert t.process.wait(DEADLINE) == 0


def test_v_says_in_a_log_once_who_holds_the_key_and_again_when_it_is_another(start, memory, client):
    other = memory.client()
    client.call("hello", name="first")
    other.call("hello", name="second")
    client.add("k")
    second = other.send("add", keys="k", retryCount=-1)
    waits(client)
    process = start("-v", "k", "--", "true")
    pid = os.getpid()
    assert process.stderr.readline().decode() == f'redlockctl: waiting for "k", held by process {pid} (first)\n'
    client.call("free")
    other.reply(second)
    assert process.stderr.readline().decode() == f'redlockctl: waiting for "k", held by process {pid} (second)\n'
    other.call("free")
    assert process.wait(DEADLINE) == 0 and process.stderr.read() == b""


def test_v_says_so_where_nobody_on_this_host_holds_the_key(world, nodes3, daemon):
    elsewhere = world.daemon(nodes3).client()
    elsewhere.add("k")
    process = world.spawn([REDLOCKCTL, "-s", daemon.path, "run", "-v", "-w", "2", "k", "true"], stderr=subprocess.PIPE)
    assert b"which nobody on this host holds" in process.stderr.readline()
    elsewhere.call("free")
    assert process.wait(DEADLINE) == 0


def test_without_v_nothing_is_said(start, client):
    client.add("k")
    process = start("k", "--", "true")
    waits(client)
    client.call("free")
    assert process.wait(DEADLINE) == 0 and process.stderr.read() == b""


# --- hold -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def hold(world, memory):
    def hold(*argv, **options):
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return world.spawn([REDLOCKCTL, "-s", memory.path, "hold", *argv], **options)

    return hold


def test_hold_says_when_it_has_the_locks_and_frees_them_at_the_end_of_its_input(hold, client):
    process = hold("a", "b,c")
    assert process.stdout.readline() == b"locked a b,c\n"
    assert {lock["key"] for lock in client.call("locks")["locks"]} == {"a", "b,c"}
    process.stdin.write(b"anything\n")
    process.stdin.close()
    assert process.wait(DEADLINE) == 0
    assert client.states("add", "a", wait=0) == {"a": "acquired"}  # freed before it ended, not after


def test_hold_keeps_longer_than_the_ttl_and_ends_by_a_signal(hold, client):
    process = hold("-t", "300", "k")
    process.stdout.readline()
    client.fails("LOCKED", "add", keys="k", wait=1000)
    process.terminate()
    assert process.wait(DEADLINE) == 128 + signal.SIGTERM
    assert client.states("add", "k", wait=0) == {"k": "acquired"}


def test_hold_that_does_not_get_its_locks(hold, client):
    client.add("k")
    process = hold("-n", "-E", "7", "a", "k")
    assert process.wait(DEADLINE) == 7 and process.stdout.read() == b""


def test_hold_that_loses_its_lock_says_so_and_ends_with_123(hold, memory):
    process = hold("-t", "500", "k")
    process.stdout.readline()
    memory.process.send_signal(signal.SIGSTOP)
    assert process.wait(DEADLINE) == 123 and b"could not be extended" in process.stderr.read()
    memory.process.send_signal(signal.SIGCONT)


def test_hold_as_a_coprocess_of_bash(world, memory, client):
    script = f"""
        coproc {REDLOCKCTL} -s {memory.path} hold k
        read -r line <&"${{COPROC[0]}}"; echo "$line"
        {REDLOCKCTL} -s {memory.path} run -n k -- true; echo $?
        exec {{COPROC[1]}}>&-; wait "$COPROC_PID"; echo $?
    """
    done = subprocess.run(["bash", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=DEADLINE)
    assert done.stdout == b"locked k\n124\n0\n"
