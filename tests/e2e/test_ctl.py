"""The programs as their users type them: redlockctl, and redlockd's own options."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from harness import DEADLINE, REDLOCKCTL, REDLOCKD, eventually, eventually_empty, let_pass, locks_on

CLEAN = {name: value for name, value in os.environ.items() if name != "REDLOCKD_SOCKET"}


def run_program(*argv, env=CLEAN, **options):
    options = {"capture_output": True, "text": True, "timeout": DEADLINE, "stdin": subprocess.DEVNULL, **options}
    return subprocess.run([str(a) for a in argv], env=env, **options)


@pytest.fixture
def ctl(memory):
    """redlockctl at the daemon's socket."""
    return lambda *argv, **options: run_program(REDLOCKCTL, "-s", memory.path, *argv, **options)


@pytest.fixture
def client(memory):
    return memory.client()


def python(source, *argv):
    return [sys.executable, "-I", "-S", "-c", source, *argv]


# --- redlockctl: looking ----------------------------------------------------------------------------------------------


def test_status_for_people(ctl, memory):
    done = ctl("status")
    assert (done.returncode, done.stderr) == (0, "")
    assert str(memory.process.pid) in done.stdout and "host" in done.stdout


@pytest.mark.parametrize("command", ["status", "nodes", "sessions", "locks", "waiters", "ping"])
def test_every_command_gives_the_raw_result_with_j(ctl, client, command):
    done = ctl("-j", command)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(json.loads(done.stdout)) == set(client.call(command))


@pytest.mark.parametrize("command", ["nodes", "sessions", "locks", "waiters", "ping"])
def test_every_command_works_for_people(ctl, command):
    done = ctl(command)
    assert (done.returncode, done.stderr) == (0, "")


def test_locks_and_waiters_are_shown_and_may_be_picked_by_key(ctl, memory, client):
    client.add(["red", "green"])
    memory.client().send("add", keys="red", retryCount=-1)
    eventually(lambda: client.call("waiters")["waiters"])
    assert "red" in ctl("locks").stdout and "green" in ctl("locks").stdout
    assert "red" in ctl("locks", "red").stdout and "green" not in ctl("locks", "red").stdout
    assert "red" in ctl("waiters").stdout and str(os.getpid()) in ctl("waiters", "red").stdout
    assert "red" not in ctl("waiters", "green").stdout


@pytest.mark.parametrize("argv", [["-j", "reload"], ["reload", "-j"], ["-j", "metrics"], ["metrics", "--json"]])
def test_what_says_little_or_no_json_by_itself_does_with_j(ctl, argv):
    done = ctl(*argv)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(json.loads(done.stdout)) == ({"text"} if "metrics" in argv else set())


@pytest.mark.parametrize("argv", [["--yes", "memory"], ["memory", "--yes"], ["-y", "memory"], ["memory", "-y", "-j"]])
def test_certify_takes_its_options_wherever_they_stand(ctl, argv):
    done = ctl("certify", *argv)  # a node that is up: there is nothing to certify
    assert done.returncode == 1 and "usage" not in done.stderr, done.stderr
    assert json.loads(done.stdout)["certified"] is False if "-j" in argv else "nothing to certify" in done.stderr


@pytest.mark.parametrize("argv", [["status"], ["-j", "nodes"], ["ping"], ["call", "status"], ["--help"], ["run", "--help"]])
def test_what_cannot_be_written_is_a_failure(ctl, argv):
    with open("/dev/full", "w") as full:
        done = ctl(*argv, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode != 0 and "No space left" in done.stderr


def test_call_gives_the_result_of_any_method(ctl, client):
    client.add("k")
    assert json.loads(ctl("-j", "call", "locks", '{"key":"k"}').stdout)["locks"][0]["key"] == "k"
    assert json.loads(ctl("call", "ping").stdout) == {}


def test_call_shows_an_error_and_fails(ctl, client):
    client.add("k")
    done = ctl("call", "add", '{"keys":"k","retryCount":0}')
    assert done.returncode == 1 and "LOCKED" in done.stderr + done.stdout
    done = ctl("call", "nonsense")
    assert done.returncode == 1 and "METHOD_NOT_FOUND" in done.stderr + done.stdout


def test_the_socket_may_come_from_the_environment(memory):
    done = run_program(REDLOCKCTL, "ping", env={**CLEAN, "REDLOCKD_SOCKET": str(memory.path)})
    assert done.returncode == 0


def test_without_a_daemon_it_says_where_it_looked(world):
    done = run_program(REDLOCKCTL, "-s", world.path / "nobody", "status")
    assert done.returncode != 0 and str(world.path / "nobody") in done.stderr


# --- redlockctl run ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [0, 1, 7, 124, 255])
def test_run_ends_with_the_commands_own_status(ctl, status):
    assert ctl("run", "k", "--", "sh", "-c", f"exit {status}").returncode == status


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_run_of_a_command_that_dies_by_a_signal(ctl, how):
    done = ctl("run", "k", "--", *python(f"import os; os.kill(os.getpid(), {int(how)})"))
    assert done.returncode == 128 + how


def test_run_passes_the_commands_words_and_streams_through(ctl):
    source = "import sys; print(sys.argv[1:], sys.stdin.read()); print('oops', file=sys.stderr)"
    done = ctl("run", "k", "--", *python(source, "-n", "--", "-t"), stdin=None, input="in")
    assert (done.stdout, done.stderr) == ("['-n', '--', '-t'] in\n", "oops\n")


def test_run_holds_the_keys_and_names_them_to_the_command(ctl, memory):
    done = ctl("run", "a,b", "--", "sh", "-c", f'echo "$REDLOCK_KEYS"; "{REDLOCKCTL}" -s "{memory.path}" -j locks')
    keys, locks = done.stdout.split("\n", 1)
    assert keys == "a,b"
    assert {lock["key"] for lock in json.loads(locks)["locks"]} == {"a", "b"}


def test_run_frees_the_keys_when_the_command_ends(ctl, client):
    ctl("run", "-t", 60000, "k", "--", "true")
    assert client.states("add", "k", wait=1000) == {"k": "acquired"}


@pytest.mark.parametrize("options, status", [(["-n"], 124), (["-w", "0.2"], 124), (["-n", "-E", "9"], 9)])
def test_run_never_starts_a_command_without_its_lock(world, ctl, client, options, status):
    client.add("k")
    done = ctl("run", *options, "k", "--", "touch", world.path / "started")
    assert done.returncode == status
    assert not (world.path / "started").exists() and "k" in done.stderr


def test_run_waits_for_the_lock(world, ctl, memory, client):
    client.add("k")
    process = world.spawn([REDLOCKCTL, "-s", memory.path, "run", "k", "--", "true"])
    eventually(lambda: client.call("waiters")["waiters"])
    client.call("free")
    assert process.wait(DEADLINE) == 0


def test_run_with_a_limit_gets_a_lock_that_is_freed_in_time(world, memory, client):
    client.add("k")
    process = world.spawn([REDLOCKCTL, "-s", memory.path, "run", "-w", "10", "k", "--", "true"])
    eventually(lambda: client.call("waiters")["waiters"])
    client.call("free")
    assert process.wait(DEADLINE) == 0


def test_run_ends_with_125_on_its_own_failure(world, ctl):
    assert run_program(REDLOCKCTL, "-s", world.path / "nobody", "run", "k", "--", "true").returncode == 125
    assert ctl("run").returncode == 125
    assert ctl("run", "k").returncode == 125
    assert ctl("run", "--no-such-option", "k", "--", "true").returncode == 125
    assert ctl("run", "-t", "1", "k", "--", "true").returncode == 125  # refused by the daemon


def test_run_ends_as_exec_does_where_the_command_cannot_be_run(world, ctl, client):
    (world.path / "text").write_text("no program")
    assert ctl("run", "k", "--", world.path / "text").returncode == 126
    assert ctl("run", "k", "--", world.path / "missing").returncode == 127
    assert ctl("run", "k", "--", "no-such-command").returncode == 127
    assert client.states("add", "k", wait=1000) == {"k": "acquired"}


def test_run_holds_the_lock_longer_than_its_ttl(world, memory, client):
    argv = [REDLOCKCTL, "-s", memory.path, "run", "-t", "400", "k", "--", "cat"]
    process = world.spawn(argv, stdin=subprocess.PIPE)
    (lock,) = eventually(lambda: client.call("locks")["locks"])
    let_pass(client, 2000)
    (still,) = client.call("locks", key="k")["locks"]
    assert (still["pid"], still["session"]) == (process.pid, lock["session"]) and still["heldFor"] >= 1900
    client.fails("LOCKED", "add", keys="k", wait=0)
    process.stdin.close()
    assert process.wait(DEADLINE) == 0


def test_a_signal_while_run_waits_ends_it_and_nothing_is_started(world, memory, client):
    client.add("k")
    argv = [REDLOCKCTL, "-s", memory.path, "run", "k", "--", "touch", world.path / "started"]
    process = world.spawn(argv)
    eventually(lambda: client.call("waiters")["waiters"])
    process.terminate()
    assert process.wait(DEADLINE) in (-signal.SIGTERM, 128 + signal.SIGTERM)
    client.call("free")
    assert client.states("add", "k", wait=1000) == {"k": "acquired"}
    assert not (world.path / "started").exists()


def test_kill_9_of_run_frees_the_lock_at_once(world, memory, client):
    argv = [REDLOCKCTL, "-s", memory.path, "run", "-t", "60000", "k", "--", "cat"]
    process = world.spawn(argv, stdin=subprocess.PIPE)
    eventually(lambda: client.call("locks")["locks"])
    process.kill()
    assert client.states("add", "k", wait=2000) == {"k": "acquired"}


def test_run_on_real_nodes(world, daemon, nodes3):
    argv = [REDLOCKCTL, "-s", daemon.path, "run", "k", "--", "cat"]
    process = world.spawn(argv, stdin=subprocess.PIPE)
    eventually(lambda: len(locks_on(nodes3)) == 3)
    process.stdin.close()
    assert process.wait(DEADLINE) == 0
    eventually_empty(nodes3)


def test_help_and_usage(world):
    shown = run_program(REDLOCKCTL, "-h")
    assert shown.returncode == 0 and "run" in shown.stdout and "status" in shown.stdout
    assert run_program(REDLOCKCTL).returncode != 0
    assert run_program(REDLOCKCTL, "nonsense").returncode != 0


# --- redlockd's options and configuration -----------------------------------------------------------------------------


def check(world, text):
    """redlockd -t on this text; returns the status and the lines it said, less the file's name."""
    path = world.path / "checked.json"
    path.write_text(text)
    done = run_program(REDLOCKD, "-t", "-c", path)
    return done.returncode, [line.replace(str(path), "FILE") for line in (done.stderr + done.stdout).splitlines()]


def test_version_and_help():
    shown = run_program(REDLOCKD, "-V")
    assert shown.returncode == 0 and re.search(r"\d+\.\d+\.\d+", shown.stdout)
    shown = run_program(REDLOCKD, "-h")
    assert shown.returncode == 0 and all(option in shown.stdout for option in ("-c", "-s", "-t", "-l", "-V", "-h"))


def test_an_unknown_option_is_refused():
    done = run_program(REDLOCKD, "-Z")
    assert done.returncode != 0 and done.stderr


@pytest.mark.parametrize("nodes", ["[]", '["memory:"]', '["redis://h:1", "unix:///s?db=0"]'])
def test_a_good_configuration_passes(world, nodes):
    status, said = check(world, '{"nodes": %s}' % nodes)
    assert status == 0, said
    assert check(world, "{}")[0] == 0


def test_comments_are_allowed(world):
    text = '# one\n{ // two\n /* three\n "lock": 5 */ "lock": {"ttl": 500}, # "x"\n "nodes": ["redis://h:1"] // "y\n}'
    assert check(world, text)[0] == 0


def test_a_misspelt_name_is_told_with_its_place_and_a_guess(world):
    status, said = check(world, '{\n  // comment\n  "lock": {"ttl": 500, "retryCout": 5}\n}\n')
    assert status == 1
    assert "FILE:3:24: lock.retryCout: unknown name (did you mean retryCount?)" in said


def test_the_place_stays_true_after_a_comment_on_the_line(world):
    status, said = check(world, '{\n  /* lock: */ "lock": {"retryCout": 5}\n}\n')
    assert (status, said[0].split(" ", 1)[0]) == (1, "FILE:2:24:")


def test_every_error_is_told_not_only_the_first(world):
    lock, limits = '{"ttl": "x", "retryCout": 5, "driftFactor": -1}', '{"maxSessions": 0}'
    text = '{"lock": %s,\n"limits": %s,\n"nodez": [],\n"log": {"level": "loud"}\n}' % (lock, limits)
    status, said = check(world, text)
    assert status == 1
    for path in ("lock.ttl", "lock.retryCout", "lock.driftFactor", "limits.maxSessions", "nodez", "log.level"):
        assert any(f": {path}: " in line for line in said), (path, said)


@pytest.mark.parametrize(
    "text, path",
    [
        ('{"lock": {"ttl": 500, "ttl": 600}}', "lock.ttl"),
        ('{"lock": {"ttl": 1.5}}', "lock.ttl"),
        ('{"lock": 5}', "lock"),
        ('{"nodes": ["http://h"]}', "nodes[0]"),
        ('{"nodes": ["redis://h:1", "memory:"]}', "nodes"),
        ('{"nodes": [{"name": "a"}]}', "nodes[0]"),
        ('{"nodes": ["redis://h:1", {"name": "h:1", "url": "redis://g:1"}]}', "nodes[1]"),
        ('{"nodes": [{"url": "redis://h:1", "passwordFile": "missing"}]}', "nodes[0].passwordFile"),
        ('{"listen": {"mode": "999"}}', "listen.mode"),
        ('{"lock": {"minTtl": 1000, "maxTtl": 100}}', "lock."),
    ],
)
def test_a_wrong_setting_is_told_by_its_path(world, text, path):
    status, said = check(world, text)
    assert status == 1 and any(path in line for line in said), said


@pytest.mark.parametrize("text", ["", "{", "[]", '{"lock": {"ttl": 500}} x', '{"lock": /* never ends'])
def test_what_is_no_json_object_is_refused_with_its_place(world, text):
    status, said = check(world, text)
    assert status == 1 and re.match(r"FILE(:\d+:\d+)?: ", said[0]), said


def test_a_password_in_a_wrong_url_is_not_told(world):
    status, said = check(world, '{"nodes": ["redis://user:s3cret@host:port"]}')
    assert status == 1 and "s3cret" not in "".join(said)


def test_a_missing_file_is_told(world):
    done = run_program(REDLOCKD, "-t", "-c", world.path / "nowhere.json")
    assert done.returncode == 1 and "nowhere.json" in done.stderr


def test_the_daemon_does_not_start_with_a_wrong_configuration(world):
    daemon = world.daemon(start=False, lock={"retryCout": 5})
    done = run_program(REDLOCKD, "-c", daemon.config, "-s", daemon.path)
    assert done.returncode == 1 and "did you mean retryCount?" in done.stderr
    assert not daemon.path.exists()


def test_the_log_says_that_memory_locks_are_of_this_host_only(memory):
    assert re.search("host|memory", memory.log())
