"""The log: a line for each change of state, none for what is granted, and nothing in it that a client could forge."""

import os
import re
import socket
import struct

import pytest

from harness import REDLOCKD, eventually, let_pass
from manager import Manager, Service

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warn|info|debug): .*")


def lapse(client, key):
    """Lets a lock lapse in the hands of its holder."""
    client.call("subscribe", events=["lost"])
    client.add(key, ttl=100)
    assert client.notice("lost")["key"] == key


def lines(service, word=""):
    return [line for line in service.log().splitlines() if word in line]


def test_what_is_granted_is_no_news(memory):
    before = memory.log()
    with memory.client() as client, memory.client() as other:
        client.add(["a", "b"])
        client.extend("a")
        other.fails("LOCKED", "add", keys="a", retryCount=0)
        client.call("free")
        for method in ["status", "nodes", "sessions", "locks", "waiters", "ping", "hello"]:
            client.call(method)
        client.send_line({"method": "nonsense"})
        client.read()
    assert memory.log() == before


def test_a_lock_that_is_lost_is_told_of_whether_or_not_its_holder_wants_to_know(memory):
    holder, other = memory.client(), memory.client()
    session = holder.call("hello")["session"]
    holder.add("gone", ttl=50)
    let_pass(other, 100)
    assert f'warn: lock lost: EXPIRED key="gone" session={session}' in memory.log()


def test_past_so_many_lost_locks_a_second_they_are_only_counted(memory):
    client = memory.client()
    client.call("subscribe", events=["lost"])
    for first in range(0, 256, 64):
        client.add([f"k{i}" for i in range(first, first + 64)], ttl=400)
    for _ in range(256):
        client.notice("lost")
    let_pass(client, 1000)
    lapse(client, "clock")
    told = lines(memory, 'key="k')
    more = sum(int(re.search(r"(\d+) more locks were lost", line).group(1)) for line in lines(memory, "more locks"))
    assert 100 <= len(told) <= 200 and len(told) + more == 256


@pytest.mark.parametrize(
    "key, shown",
    [
        ("a\n2026-11-22T00:00:00.000Z error: forged", r'"a\x0a2026-11-22T00:00:00.000Z error: forged"'),
        ("tab\tbell\a\x1b[31m\x7f", r'"tab\x09bell\x07\x1b[31m\x7f"'),
        ('quote" session=1', r'"quote\" session=1"'),
        ("back\\slash", r'"back\\slash"'),
        ("nul\0inside", r'"nul\x00inside"'),
        ("next\u0085line\u2028\u202etfel", r'"next\u0085line\u2028\u202etfel"'),
        ("größe 鍵 🔒", '"größe 鍵 🔒"'),
    ],
)
def test_no_key_can_forge_a_line(memory, key, shown):
    lapse(memory.client(), key)
    assert f"lock lost: EXPIRED key={shown} session=" in memory.log()
    assert all(LINE.fullmatch(line) for line in memory.log().split("\n")[:-1])


def test_a_line_that_is_too_long_is_cut_between_two_escapes(memory):
    for key in ["\n" * 512, "é" * 256, "x" * 512, "é\n" * 170 + "y"]:
        lapse(memory.client(), key)
    whole = "lock lost: EXPIRED key=\"" + r"é\x0a" * 170
    assert any(whole.startswith(line.split("warn: ")[1]) for line in lines(memory, "é\\x0a"))
    with open(memory.log_file, "rb") as f:
        for line in f.read().split(b"\n"):
            assert len(line) < 1024
            line.decode()
            assert not re.search(rb"\\x?[0-9a-f]?$", line)


def test_lock_values_are_never_in_it(world, manager, nodes3):
    service = Service(world, manager, nodes3, log={"level": "debug"}).start()
    client = service.client()
    values = [lock["value"] for lock in client.add([f"k{i}" for i in range(20)]).values()]
    lapse(client, "lapsed")
    values += [client.add("short", ttl=50)["short"]["value"]]
    client.extend("k1")
    nodes3[0].kill()
    client.call("free")
    service.terminate()
    assert 'debug: add: done key="k0"' in service.log()
    assert not [value for value in values if value in service.log()]


def test_debug_tells_each_request(world, manager):
    service = Service(world, manager, log={"level": "debug"}).start()
    client, other = service.client(), service.client()
    client.add("a")
    other.fails("LOCKED", "add", keys="a", retryCount=1, retryDelay=50, retryJitter=0)
    assert lines(service, 'debug: add: done key="a"')
    waited = lines(service, 'debug: add: LOCKED key="a"')
    assert len(waited) == 1 and int(waited[0].split("waited=")[1]) >= 50
    assert lines(service, "debug: opened by process")
    client.close()
    eventually(lambda: lines(service, "debug: closed session="))


# --- the journal ------------------------------------------------------------------------------------------------------


@pytest.fixture
def manager(world):
    return world.keep(Manager(world.path))


def to_journal(service, inode=0):
    """Stderr is the journal's, as $JOURNAL_STREAM has it."""
    service.log_file.touch()
    st = os.stat(service.log_file)
    service.manager.environment["JOURNAL_STREAM"] = f"{st.st_dev}:{inode or st.st_ino}"
    return service


def test_without_the_journals_socket_lines_have_the_priority_that_it_knows(world, manager):
    if os.path.exists("/run/systemd/journal/socket"):
        pytest.skip("there is a journal here")
    service = to_journal(Service(world, manager)).start()
    lapse(service.client(), "a\nb")
    assert any(line.startswith(r'<4>lock lost: EXPIRED key="a\x0ab"') for line in lines(service))
    assert all(re.match("<[3467]>", line) for line in lines(service))


def test_a_journal_that_is_somebody_elses_does_not_count(world, manager):
    service = to_journal(Service(world, manager), inode=1).start()
    assert all(LINE.fullmatch(line) for line in lines(service))


class Journal:
    """What is sent to the journal's socket, which only the service sees at its place."""

    def __init__(self, directory):
        self.directory = directory / "journal"
        self.directory.mkdir()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.directory / "socket"))
        self.socket.settimeout(5)

    def close(self):
        self.socket.close()

    def entry(self):
        data, fields = self.socket.recv(65536), {}
        while data:
            name, data = re.split(rb"[=\n]", data, 1)[0], data
            kind, data = data[len(name) : len(name) + 1], data[len(name) + 1 :]
            if kind == b"=":
                value, data = data.split(b"\n", 1)
            else:
                n = struct.unpack("<Q", data[:8])[0]
                value, data = data[8 : 8 + n], data[9 + n :]
            assert name not in fields
            fields[name.decode()] = value.decode()
        return fields

    def entry_of(self, event):
        while True:
            entry = self.entry()
            if entry.get("REDLOCKD_EVENT") == event:
                return entry


@pytest.fixture
def journal(world):
    if os.geteuid() != 0:
        pytest.skip("mounts")
    return world.keep(Journal(world.path))


def with_journal(world, manager, journal, **sections):
    service = to_journal(Service(world, manager, **sections))
    mount = f'mkdir -p /run/systemd/journal && mount --bind {journal.directory} /run/systemd/journal && exec "$@"'
    service.argv = lambda: ["unshare", "-m", "sh", "-c", mount, "sh", *Service.argv(service)]
    return service.start()


def test_the_journal_gets_fields_of_their_own(world, manager, journal):
    service = with_journal(world, manager, journal)
    entry = journal.entry_of("node")
    assert (entry["REDLOCKD_NODE"], entry["PRIORITY"], entry["SYSLOG_IDENTIFIER"]) == ("memory", "6", "redlockd")
    client = service.client()
    session = client.call("hello")["session"]
    lapse(client, "name1")
    assert journal.entry_of("lost") == {
        "MESSAGE": f'lock lost: EXPIRED key="name1" session={session}',
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "redlockd",
        "REDLOCKD_EVENT": "lost",
        "REDLOCKD_KEY": "name1",
        "REDLOCKD_SESSION": str(session),
    }
    assert lines(service) == []


def test_the_journal_gets_how_long_was_waited(world, manager, journal):
    service = with_journal(world, manager, journal, log={"level": "debug"})
    client = service.client()
    client.add("a")
    assert journal.entry_of("add")["REDLOCKD_WAITED"] == "0"


def test_no_key_can_forge_a_field(world, manager, journal):
    service = with_journal(world, manager, journal)
    key = "a\nPRIORITY=0\nREDLOCKD_SESSION=1\n"
    lapse(service.client(), key)
    entry = journal.entry_of("lost")
    assert entry["REDLOCKD_KEY"] == key and entry["PRIORITY"] == "4"


def test_a_journal_that_does_not_take_it_gets_it_by_stderr(world, manager, journal):
    service = with_journal(world, manager, journal)
    journal.close()
    lapse(service.client(), "key")
    eventually(lambda: any(line.startswith("<4>lock lost: EXPIRED") for line in lines(service)))
