#!/usr/bin/python3
"""
The package under a real systemd: installed, started, used, hurt, reloaded, taken away. Runs in a machine that may be
thrown away (box.sh, or a container), as root:

        scenes.py PACKAGE.deb

Scenes build on each other and are told in their order; the first that fails ends it, with the journal.
"""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time

SOCKET = "/run/redlockd/redlockd.sock"
CONFIG = pathlib.Path("/etc/redlockd/redlockd.json")
DROP_INS = pathlib.Path("/etc/systemd/system/redlockd.service.d")
DEADLINE = 30


def run(*argv, check=True, **options):
    options = {"capture_output": True, "text": True, "timeout": 120, "stdin": subprocess.DEVNULL, **options}
    done = subprocess.run([str(a) for a in argv], **options)
    assert not check or done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def systemctl(*argv, **options):
    return run("systemctl", *argv, **options)


def shown(name, unit="redlockd.service"):
    return systemctl("show", "-P", name, unit).stdout.strip()


def eventually(fn, what, within=DEADLINE):
    end = time.monotonic() + within
    while not (value := fn()):
        assert time.monotonic() < end, f"did not happen within {within} s: {what}"
        time.sleep(0.01)
    return value


class Session:
    """One client."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(SOCKET)
        self.file = self.socket.makefile("rw")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def ask(self, method, **params):
        self.file.write(json.dumps({"id": 1, "method": method, "params": params}) + "\n")
        self.file.flush()
        line = self.file.readline()
        if not line:
            raise ConnectionResetError
        message = json.loads(line)
        assert "result" in message, message
        return message["result"]


def as_user(user, group, *argv, groups=(), **options):
    extra = f"--groups={','.join(groups)}" if groups else "--clear-groups"
    return run("setpriv", f"--reuid={user}", f"--regid={group}", extra, *argv, **options)


def drop_in(name, text):
    DROP_INS.mkdir(parents=True, exist_ok=True)
    (DROP_INS / f"{name}.conf").write_text(text)
    systemctl("daemon-reload")


@contextlib.contextmanager
def dropped_in(name, text):
    drop_in(name, text)
    try:
        yield
    finally:
        (DROP_INS / f"{name}.conf").unlink()
        systemctl("daemon-reload")
        systemctl("reset-failed", check=False)
        systemctl("stop", "redlockd.service", "redlockd.socket")
        systemctl("start", "redlockd.service")


def journal(*matches):
    lines = run("journalctl", "-b", "-q", "-o", "json", "--all", "_SYSTEMD_UNIT=redlockd.service", *matches).stdout
    return [json.loads(line) for line in lines.splitlines()]


def traces():
    """Whatever in the system bears the name."""
    found = set()
    for top in ["/etc", "/usr", "/var", "/lib/systemd", "/run", "/home", "/root", "/opt"]:
        for path in run("find", top, "-xdev", "-name", "*redlock*", check=False).stdout.splitlines():
            if not re.match(r"/(var/log/journal|run/log|var/cache/apt|run/systemd/(propagate|transient))", path):
                found.add(path)
    for path in ["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow"]:
        found |= {f"{path}: {line}" for line in pathlib.Path(path).read_text().splitlines() if "redlock" in line}
    return found


# --- scenes -----------------------------------------------------------------------------------------------------------


def the_package_is_installed_and_runs(package):
    run("dpkg", "-i", package)
    assert CONFIG.exists()
    for unit in ["redlockd.service", "redlockd.socket"]:
        assert systemctl("is-enabled", unit).stdout == "enabled\n"
        assert systemctl("is-active", unit).stdout == "active\n"
    assert systemctl("is-enabled", "redlockd-metrics.socket", check=False).stdout == "disabled\n"
    assert shown("StatusText") == "1/1 nodes up, 0 sessions, 0 locks"
    assert run("ps", "-o", "user=", "-p", shown("MainPID")).stdout == "redlockd\n"


def the_status_line_is_kept_current(_):
    with Session() as s:
        s.ask("add", keys=["a", "b"])
        eventually(lambda: shown("StatusText") == "1/1 nodes up, 1 sessions, 2 locks", "the status line")


def members_of_the_group_connect_and_strangers_do_not(_):
    as_user("nobody", "nogroup", "redlockctl", "ping", groups=["redlock"])
    as_user("nobody", "redlock", "redlockctl", "ping")
    stranger = as_user("nobody", "nogroup", "redlockctl", "ping", check=False)
    assert stranger.returncode == 1 and "Permission denied" in stranger.stderr
    assert run("stat", "-c", "%U:%G:%a", SOCKET).stdout == "root:redlock:660\n"


def clients_have_their_own_uids(_):
    for user, uid in [("daemon", 1), ("games", 5)]:
        shown_uid = as_user(user, "redlock", "redlockctl", "-j", "sessions").stdout
        assert json.loads(shown_uid)["sessions"][-1]["uid"] == uid


def a_member_may_not_reload(_):
    assert "DENIED" in as_user("nobody", "redlock", "redlockctl", "reload", check=False).stderr


class Load(threading.Thread):
    """A client that never gives up: takes and frees, and connects again where it is thrown out."""

    def __init__(self, key):
        super().__init__(daemon=True)
        self.key, self.n, self.failed, self.end = key, 0, [], False

    def run(self):
        while not self.end:
            try:
                with Session() as s:
                    while not self.end:
                        s.ask("add", keys=self.key)
                        s.ask("free")
                        self.n += 1
            except (ConnectionResetError, BrokenPipeError):
                continue  # it was stopped while we were there
            except AssertionError as error:
                if "STOPPING" not in str(error) and "CANCELLED" not in str(error):
                    self.failed.append(error)
            except Exception as error:  # a connection that is refused, above all
                self.failed.append(error)
                return


def a_restart_under_load_refuses_nobody(_):
    load = [Load(f"k{i % 4}") for i in range(20)]
    for client in load:
        client.start()
    inode = os.stat(SOCKET).st_ino
    for _ in range(5):
        before, pid = [c.n for c in load], shown("MainPID")
        systemctl("restart", "redlockd.service")
        assert shown("MainPID") != pid
        eventually(lambda: all(c.n > n + 10 for c, n in zip(load, before)), "everybody is served again")
    for client in load:
        client.end = True
    for client in load:
        client.join(DEADLINE)
    assert [c.failed for c in load if c.failed] == []
    assert os.stat(SOCKET).st_ino == inode


def who_connects_while_it_is_down_is_answered_after(_):
    systemctl("stop", "redlockd.service")
    assert shown("ActiveState") == "inactive"
    with Session() as s:  # starts it
        assert s.ask("ping") == {}
    assert shown("ActiveState") == "active"


def a_stop_lets_holders_finish(_):
    with Session() as s:
        s.ask("add", keys="held")
        stopping = subprocess.Popen(["systemctl", "stop", "redlockd.service"])
        eventually(lambda: shown("ActiveState") == "deactivating", "it stops")
        assert "draining" in eventually(lambda: "draining" in shown("StatusText") and shown("StatusText"), "it drains")
        s.ask("free")
        assert stopping.wait(DEADLINE) == 0
    assert shown("Result") == "success"
    systemctl("start", "redlockd.service")


def a_daemon_that_hangs_is_ended_by_the_watchdog(_):
    with dropped_in("watchdog", "[Service]\nWatchdogSec=1s\n"):
        systemctl("restart", "redlockd.service")
        pid = int(shown("MainPID"))
        os.kill(pid, signal.SIGSTOP)
        with Session() as s:
            request = threading.Thread(target=s.ask, args=("ping",))
            request.start()
            eventually(lambda: shown("MainPID") not in ("0", str(pid)), "it is started anew")
            request.join(DEADLINE)  # who waited in the socket's queue was answered by the next one
            assert not request.is_alive()
        assert int(shown("NRestarts")) == 1
    said = run("journalctl", "-b", "-q", "-u", "redlockd.service").stdout
    assert "Watchdog timeout" in said


def a_daemon_that_is_killed_comes_back(_):
    pid = int(shown("MainPID"))
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: shown("MainPID") not in ("0", str(pid)), "it is started anew")
    with Session() as s:
        assert s.ask("ping") == {}


def a_good_file_is_reloaded(_):
    pid = shown("MainPID")
    with Session() as s:
        held = s.ask("add", keys="held")["locks"][0]
        CONFIG.write_text('{"lock": {"ttl": 1234}}')
        systemctl("reload", "redlockd.service")
        assert s.ask("add", keys="new")["locks"][0]["validity"] <= 1234
        assert s.ask("list")["locks"][0]["value"] == held["value"]
        assert (shown("MainPID"), shown("ActiveState"), shown("SubState")) == (pid, "active", "running")


def a_bad_file_makes_the_reload_fail_and_changes_nothing(_):
    CONFIG.write_text('{"lock": {"ttl": 1000,\n  "retryCout": 1}}')
    assert systemctl("reload", "redlockd.service", check=False).returncode == 1
    assert (shown("ActiveState"), shown("SubState")) == ("active", "running")
    with Session() as s:
        assert s.ask("add", keys="new")["locks"][0]["validity"] > 1000
    told = f"{CONFIG}:2:3: lock.retryCout: unknown name (did you mean retryCount?)"
    assert told in run("journalctl", "-b", "-q", "-u", "redlockd.service").stdout
    CONFIG.write_text("{}")
    systemctl("reload", "redlockd.service")


def sighup_reloads_too(_):
    CONFIG.write_text('{"lock": {"ttl": 777}}')
    systemctl("kill", "-s", "HUP", "--kill-who=main", "redlockd.service")
    with Session() as s:
        eventually(lambda: s.ask("add", keys=f"k{time.monotonic()}")["locks"][0]["validity"] <= 777, "it is in force")
    assert shown("ActiveState") == "active"
    CONFIG.write_text("{}")
    systemctl("reload", "redlockd.service")


def the_journal_has_fields_of_its_own(_):
    with Session() as s:
        session = s.ask("hello")["session"]
        s.ask("add", keys="a key\nof two lines", ttl=50)
        lost = eventually(lambda: journal("REDLOCKD_EVENT=lost", f"REDLOCKD_SESSION={session}"), "the journal has it")
    assert lost[0]["REDLOCKD_KEY"] == "a key\nof two lines"
    assert lost[0]["PRIORITY"] == "4" and lost[0]["SYSLOG_IDENTIFIER"] == "redlockd"
    assert lost[0]["MESSAGE"].startswith(r'lock lost: EXPIRED key="a key\x0aof two lines"')


def metrics_are_served_at_a_socket_of_their_own(_):
    systemctl("enable", "redlockd-metrics.socket")
    systemctl("stop", "redlockd.service", "redlockd.socket")
    systemctl("start", "redlockd-metrics.socket", "redlockd.socket")
    with socket.create_connection(("127.0.0.1", 9725), timeout=DEADLINE) as s:
        s.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert b"redlockd_nodes_up 1" in s.makefile("rb").read()
    assert shown("ActiveState") == "active"
    systemctl("disable", "--now", "redlockd-metrics.socket")
    systemctl("restart", "redlockd.service")


def a_password_comes_as_a_credential(_):
    example = pathlib.Path("/usr/share/doc/redlockd/examples/redlockd-credentials.conf").read_text()
    pathlib.Path("/etc/redlockd/credentials").mkdir()
    secret = pathlib.Path("/etc/redlockd/credentials/redis-b")
    secret.touch(mode=0o600)
    secret.write_text("s3cret-of-the-node\n")
    redis = subprocess.Popen(
        ["redis-server", "--port", "6390", "--save", "", "--requirepass", "s3cret-of-the-node"], stdout=subprocess.DEVNULL
    )
    CONFIG.write_text('{"nodes": [{"name": "b", "url": "redis://127.0.0.1:6390", "passwordFile": "redis-b"}]}')
    try:
        with dropped_in("credentials", example):
            systemctl("restart", "redlockd.service")
            certify = ("redlockctl", "certify", "--yes", "b")
            eventually(lambda: run(*certify, check=False).returncode == 0, "its quarantine is ended")
            eventually(lambda: shown("StatusText").startswith("1/1 nodes up"), "the node is up")
            # Nobody else can read it, and it is nowhere else.
            assert as_user("nobody", "redlock", "cat", secret, check=False).returncode == 1
            said = run("journalctl", "-b", "-q").stdout + systemctl("show", "redlockd.service").stdout
            said += pathlib.Path(f"/proc/{shown('MainPID')}/cmdline").read_text()
            assert "s3cret" not in said
            CONFIG.write_text("{}")
    finally:
        redis.kill()
        redis.wait()
        run("rm", "-r", secret.parent)


def what_the_manual_warns_of(_):
    # A credential that is missing keeps the service from starting.
    drop_in("missing", "[Service]\nLoadCredential=missing:/etc/redlockd/missing\n")
    assert systemctl("restart", "redlockd.service", check=False).returncode != 0
    assert shown("ExecMainStatus") == "243"
    (DROP_INS / "missing.conf").unlink()
    # Every client is 65534 where the service has users of its own.
    with dropped_in("users", "[Service]\nPrivateUsers=yes\n"):
        systemctl("restart", "redlockd.service")
        answer = json.loads(as_user("daemon", "redlock", "redlockctl", "-j", "sessions").stdout)
        assert answer["sessions"][-1]["uid"] == 65534
    # The folder as the service's own takes the socket along when it stops.
    with dropped_in("runtime", "[Service]\nRuntimeDirectory=redlockd\n"):
        systemctl("restart", "redlockd.service")
        systemctl("stop", "redlockd.service")
        assert not os.path.exists(SOCKET)
    assert as_user("nobody", "redlock", "redlockctl", "ping").returncode == 0


def the_exposure_is_small(_):
    # Of the unit as it runs, drop-ins and all.
    report = run("systemd-analyze", "security", "--no-pager", "--threshold=15", "redlockd.service").stdout
    print("     ", re.search(r"Overall exposure level.*", report).group(0))
    assert run("systemd-analyze", "verify", "--man=no", "redlockd.service", "redlockd.socket").stderr == ""


def a_configuration_that_was_changed_is_kept_by_an_upgrade(package):
    CONFIG.write_text('{"lock": {"ttl": 2222}}')
    pid = shown("MainPID")
    run("dpkg", "-i", "--force-confold", package)
    assert CONFIG.read_text() == '{"lock": {"ttl": 2222}}'
    assert shown("ActiveState") == "active" and shown("MainPID") != pid
    with Session() as s:
        assert s.ask("add", keys="new")["locks"][0]["validity"] <= 2222


def removing_keeps_the_configuration_and_purging_leaves_nothing(_):
    run("dpkg", "--remove", "redlockd")
    assert CONFIG.exists() and not os.path.exists(SOCKET)
    assert shown("ActiveState") == "inactive"
    run("rm", "-rf", DROP_INS)
    run("dpkg", "--purge", "redlockd")
    left = traces() - BEFORE
    assert not left, left


SCENES = [
    the_package_is_installed_and_runs,
    the_status_line_is_kept_current,
    members_of_the_group_connect_and_strangers_do_not,
    clients_have_their_own_uids,
    a_member_may_not_reload,
    a_restart_under_load_refuses_nobody,
    who_connects_while_it_is_down_is_answered_after,
    a_stop_lets_holders_finish,
    a_daemon_that_hangs_is_ended_by_the_watchdog,
    a_daemon_that_is_killed_comes_back,
    a_good_file_is_reloaded,
    a_bad_file_makes_the_reload_fail_and_changes_nothing,
    sighup_reloads_too,
    the_journal_has_fields_of_its_own,
    metrics_are_served_at_a_socket_of_their_own,
    a_password_comes_as_a_credential,
    what_the_manual_warns_of,
    the_exposure_is_small,
    a_configuration_that_was_changed_is_kept_by_an_upgrade,
    removing_keeps_the_configuration_and_purging_leaves_nothing,
]


def main(package):
    global BEFORE
    assert pathlib.Path("/proc/1/comm").read_text() == "systemd\n", "only where systemd is PID 1"
    with contextlib.suppress(FileNotFoundError):
        os.unlink("/usr/sbin/policy-rc.d")  # of an image in which packages start nothing
    BEFORE = traces()
    print(run("systemctl", "--version").stdout.splitlines()[0])
    for scene in SCENES:
        began = time.monotonic()
        try:
            scene(package)
        except BaseException:
            print(run("journalctl", "-b", "-q", "-n", "40", "--no-pager").stdout)
            print(f"FAILED {scene.__name__}", flush=True)
            raise
        print(f"ok    {scene.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
    print(f"{len(SCENES)} scenes")


if __name__ == "__main__":
    main(sys.argv[1])
