"""
Clients that mean harm, or do not care: what they cost is bounded, what they send does nothing to a log or a terminal, and
nobody else notices.
"""

import json
import os
import pathlib
import re
import select
import subprocess
import sys
import time
import unicodedata

import pytest

from harness import DEADLINE, REDLOCKCTL, RELAY, SLOW, LineProcess, Terminal, eventually, let_pass, locks_on, sanitized

MIB = 1024 * 1024


@pytest.fixture
def client(memory):
    return memory.client()


def memory_of(daemon):
    """Resident bytes."""
    status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
    return 1024 * int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1))


def pump(clients, data, within=DEADLINE):
    """Writes `data` to each of them side by side, reading nothing, until all is written or none takes any more."""
    rest = {c: memoryview(data) for c in clients}
    for c in clients:
        c.socket.setblocking(False)
    end = time.monotonic() + within
    while rest and time.monotonic() < end:
        writable = select.select([], [c.socket for c in rest], [], 0.5 * SLOW)[1]
        if not writable:
            return
        for c in [c for c in rest if c.socket in writable]:
            try:
                rest[c] = rest[c][c.socket.send(rest[c]) :]
            except OSError:
                rest[c] = b""
            if not rest[c]:
                del rest[c]


# --- bounded memory ---------------------------------------------------------------------------------------------------

needs_true_memory = pytest.mark.skipif(sanitized(), reason="a sanitizer's memory is its own")


@needs_true_memory
def test_who_sends_half_a_line_or_nothing_and_stays_costs_little(memory, client):
    client.call("ping")
    before = memory_of(memory)
    silent = [memory.client() for _ in range(200)]
    half = [memory.client() for _ in range(100)]
    pump(half, b'{"method":"add","params":{"keys":"' + b"x" * 60000)
    eventually(lambda: client.call("status")["sessions"] == 301)
    client.add("k", ttl=60000)
    assert memory_of(memory) - before < 200 * 4096 + 100 * 2 * 65536 + 4 * MIB
    assert client.call("status")["sessions"] == 301  # they may stay: nobody else is kept from anything
    for c in half + silent:
        c.close()
    eventually(lambda: client.call("status")["sessions"] == 1)
    assert "k" in client.list()


@needs_true_memory
def test_a_line_without_end_is_not_kept(memory, client):
    client.call("ping")
    before = memory_of(memory)
    endless = [memory.client() for _ in range(20)]
    pump(endless, b"x" * (4 * MIB))
    assert client.call("status")["sessions"] == 21
    assert memory_of(memory) - before < 20 * 2 * 65536 + 4 * MIB
    for c in endless:
        c.send_raw(b'\n{"id":7,"method":"ping"}\n')
        error = c.read()["error"]
        assert (error["data"]["name"], error["data"]["what"]) == ("TOO_LARGE", "maxRequestBytes")
        assert c.read() == {"jsonrpc": "2.0", "id": 7, "result": {}}


@needs_true_memory
def test_who_does_not_read_costs_its_limit_and_is_told_of_once(world):
    daemon = world.daemon(limits={"maxOutputBytes": 65536})
    client = daemon.client()
    client.call("ping")
    before = memory_of(daemon)
    deaf = [daemon.client() for _ in range(30)]
    pump(deaf, b'{"method":"status"}\n' * 20000)
    assert memory_of(daemon) - before < 30 * 3 * 65536 + 2 * MIB
    eventually(lambda: client.call("status")["sessions"] == 1)
    assert daemon.log().count("closed: does not read its replies") == 30
    assert len(re.findall("closed: ", daemon.log())) == 30


def test_who_ends_within_a_line_is_told_so_and_told_of(memory):
    client = memory.client()
    client.send_raw(b'{"id":1,"method":"add","params":{"keys":"k"}')
    client.end_of_requests()
    assert client.read()["error"]["data"]["name"] == "PARSE"
    assert client.read() is None
    assert memory.log().count("closed: it ended within a line") == 1


def test_a_crowd_that_ends_badly_does_not_flood_the_log(memory):
    client = memory.client()
    for _ in range(300):
        with memory.client() as other:
            other.send_raw(b'{"id":1')
    eventually(lambda: client.call("status")["sessions"] == 1)
    let_pass(client, 1000)
    last = memory.client()
    last.send_raw(b"x")
    last.close()
    eventually(lambda: client.call("status")["sessions"] == 1)
    more = sum(int(n) for n in re.findall(r"warn: (\d+) more sessions ended with a reason", memory.log()))
    told = len(re.findall("closed: ", memory.log()))
    assert told + more == 301 and told <= 100 * (2 + len(re.findall("more sessions", memory.log())))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_who_is_refused_does_not_flood_the_log(world, memory):
    os.chmod(world.path, 0o755)
    os.chmod(memory.path, 0o666)
    code = f"import os; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n{RELAY}"
    user = world.keep(LineProcess([sys.executable, "-I", "-S", "-c", code, memory.path]))
    user.send_raw(b'{"id":1,"method":"drain"}\n' * 5000)
    for _ in range(5000):
        assert user.read()["error"]["data"]["name"] == "DENIED"
    assert 100 <= memory.log().count("refused to process") < 2500


def test_who_half_closes_in_good_order_is_no_news(memory):
    client = memory.client()
    client.send_raw(b'{"id":1,"method":"add","params":{"keys":"k"}}\n')
    client.end_of_requests()
    assert client.read()["id"] == 1 and client.read() is None
    other = memory.client()
    eventually(lambda: other.call("status")["sessions"] == 1 and other.call("locks")["locks"] == [])
    assert "closed" not in memory.log()


# --- keys and numbers -------------------------------------------------------------------------------------------------

EVERY_ASCII = "".join(map(chr, range(1, 128)))
KEYS = [
    EVERY_ASCII,
    "\0",
    "a\0b",
    "\0" * 512,
    "x" * 512,
    "é" * 256,
    "🔒" * 128,
    "\u0080\u009f\u00a0\u00ad\u200b\u202e\u2028\ufeff\uffff\U0010ffff",
    " ",
    "\n",
    "*",
    "{}",
    "redlockd",
]


@pytest.mark.parametrize("key", KEYS, ids=[f"{len(k)}-{k[:3]!r}" for k in KEYS])
def test_any_string_is_a_key_and_comes_back_as_it_is(daemon, nodes3, key):
    one, two = daemon.client(), daemon.client()
    assert one.states("add", key, ttl=60000) == {key: "acquired"}
    assert {k for _, k in locks_on(nodes3)} == {key}
    error = two.fails("LOCKED", "add", keys=key, wait=0)
    assert error.data["keys"] == [key] and key in error.message
    assert [lock["key"] for lock in two.call("locks", key=key)["locks"]] == [key]
    assert two.call("why", key=key)["key"] == key
    assert one.states("extend", key, ttl=60000) == {key: "extended"}
    waits = two.send("add", keys=key, retryCount=-1)
    assert one.call("free", keys=key)["freed"] == [key]
    assert two.reply(waits)["locks"][0]["key"] == key
    assert two.call("free")["freed"] == [key]


@pytest.mark.parametrize("prefix, key", [("", "redlockd:cert"), ("", "redlockd:"), ("red", "lockd:cert")])
def test_keys_of_the_brokers_own_are_nobodys(world, prefix, key):
    """Who could lock them could keep a node from voting."""
    client = world.daemon(world.nodes(1), lock={"keyPrefix": prefix}).client()
    assert client.fails("INVALID_PARAMS", "add", keys=["a", key]).data["path"] == "keys[1]"
    assert client.call("why", key=key)["key"] == key  # it may be looked at
    assert client.call("free", keys=key)["missing"] == [key]
    assert client.list() == {}


@pytest.mark.parametrize("prefix, key", [("", "redlockd"), ("", "Redlockd:"), ("p:", "redlockd:cert"), ("red", "lockd")])
def test_what_only_looks_like_them_is_anybodys(world, prefix, key):
    assert world.daemon(world.nodes(1), lock={"keyPrefix": prefix}).client().states("add", key) == {key: "acquired"}


@pytest.mark.parametrize(
    "line, name, path, value",
    [
        (rb'{"id":1,"method":"add","params":{"keys":"\ud800"}}', "PARSE", None, None),
        (rb'{"id":1,"method":"add","params":{"keys":"\udc00"}}', "PARSE", None, None),
        (rb'{"id":1,"method":"add","params":{"keys":"\udc00\ud800"}}', "PARSE", None, None),
        (rb'{"id":"\ud800","method":"ping"}', "PARSE", None, None),
        (rb'{"id":1,"m\ud800":"ping"}', "PARSE", None, None),
        (b'{"id":1,"method":"add","params":{"keys":"k","ttl":1e3}}', "INVALID_PARAMS", "ttl", 1),
        (b'{"id":1,"method":"add","params":{"keys":"k","ttl":1000.0}}', "INVALID_PARAMS", "ttl", 1),
        (b'{"id":1,"method":"add","params":{"keys":"k","ttl":9223372036854775807}}', "INVALID_PARAMS", "ttl", 1),
        (b'{"id":1,"method":"add","params":{"keys":"k","ttl":9223372036854775808}}', "INVALID_PARAMS", "ttl", 1),
        (b'{"id":1,"method":"add","params":{"keys":"k","ttl":-9223372036854775809}}', "INVALID_PARAMS", "ttl", 1),
        (b'{"id":1,"method":"add","params":{"keys":"k","ttl":1e400}}', "PARSE", None, None),
        (b'{"id":1,"method":"add","params":{"keys":"k","ttl":-0}}', "INVALID_PARAMS", "ttl", 1),
        (b'{"id":1,"method":"add","params":{"keys":"k","ttl":true}}', "INVALID_PARAMS", "ttl", 1),
        (b'{"id":1,"method":"add","params":{"keys":"k","strict":0}}', "INVALID_PARAMS", "strict", 1),
        (b'{"id":1,"method":"add","params":{"keys":"k","k\\u0000eys":1}}', "PARSE", None, None),
        (b'{"id":1,"method":"add","params":{"keys":"k","ttl":+1}}', "PARSE", None, None),
        (b'{"id":1,"method":"add","params":{"keys":"k","ttl":01}}', "PARSE", None, None),
        (b'{"id":1,"method":"add","params":{"keys":"k","ttl":NaN}}', "PARSE", None, None),
        (b'{"id":1,"method":"add","params":{"keys":"k","ttl":0x10}}', "PARSE", None, None),
        (b'{"id":1,"method":"add","params":{"keys":"k","ttl":1000,"ttl":1000}}', "PARSE", None, None),
        (b'{"id":1,"method":"add","params":{"keys":"k","tt\\u006c":1000,"ttl":1000}}', "PARSE", None, None),
        (b'{"id":1.0,"method":"ping"}', "INVALID_REQUEST", None, None),
        (b'{"id":1e3,"method":"ping"}', "INVALID_REQUEST", None, None),
        (b'{"id":true,"method":"ping"}', "INVALID_REQUEST", None, None),
        (b'{"id":9223372036854775808,"method":"ping"}', "INVALID_REQUEST", None, None),
        (b'{"id":[1],"method":"ping"}', "INVALID_REQUEST", None, None),
        (b'{"id":"' + b"x" * 255 + b'","method":"ping"}', "INVALID_REQUEST", None, None),
    ],
    ids=lambda v: v[:60].decode() if isinstance(v, bytes) else None,
)
def test_what_no_request_can_hold_is_refused_by_name(client, line, name, path, value):
    reply = client.ask(line)
    assert (reply["error"]["data"]["name"], reply["error"]["data"].get("path"), reply["id"]) == (name, path, value)
    assert client.list() == {}


@pytest.mark.parametrize(
    "text, value",
    [(b"-0", 0), (b"9223372036854775807", 2**63 - 1), (b"-9223372036854775808", -(2**63)), (b'"\\u0000"', "\0")]
    + [(b'"' + b"x" * 254 + b'"', "x" * 254), (b'""', ""), (b'"\\ud83d\\ude00"', "\U0001f600"), (b"0", 0)],
)
def test_ids_at_the_ends_of_their_ranges_come_back(client, text, value):
    assert client.ask(b'{"id":' + text + b',"method":"ping"}') == {"jsonrpc": "2.0", "id": value, "result": {}}


def test_a_request_of_as_many_members_as_fit_takes_no_time(memory, client):
    names = b",".join(b'"%x":0' % i for i in range(6500))
    line = b'{"id":1,"method":"ping","params":{' + names + b"}}"
    assert len(line) < 65536
    asked = time.monotonic()
    for _ in range(20):
        assert client.ask(line)["error"]["data"]["path"] == "0"
    assert time.monotonic() - asked < 2 * SLOW


def test_many_keys_of_one_kind_take_no_longer_than_few(client):
    """Names that simple hashes throw together: permutations of two blocks, and numbers a power of two apart."""

    def took(keys):
        began = time.monotonic()
        for i in range(0, len(keys), 64):
            client.add(keys[i : i + 64], ttl=60000)
        client.call("free")
        return time.monotonic() - began

    alike = ["".join(("Aa", "BB")[i >> b & 1] for b in range(10)) for i in range(1024)]
    apart = [f"{i * 65536:x}" for i in range(1024)]
    random = [os.urandom(10).hex() for _ in range(1024)]
    took(random)
    plain = sorted(took(random) for _ in range(5))[2]
    for keys in (alike, apart):
        assert sorted(took(keys) for _ in range(5))[2] < 5 * plain


# --- what reaches an operator's screen --------------------------------------------------------------------------------

NASTY = "\x1b]0;owned\x07\x1b[2J\x1b[31m\r\n\u009b31m\u202e\u2066\u2028\x7f\x08"
NASTY_NAME = "\x1b]0;n\x07\x1b[2J\u009b\u202e\r\n\u2028"


def unfit(text):
    """Characters by which a terminal is steered or lines are forged."""
    return [c for c in text if (unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")) and c not in "\n\t"]


def without_our_own(shown):
    """What redlockctl prints on a terminal, without its own colours and carriage returns."""
    return re.sub(r"\x1b\[[0-9;]*m|\r(?=\n)|\r\x1b\[K", "", shown)


@pytest.fixture
def busy(world, daemon):
    """Somebody holds a nasty key under a nasty name, somebody waits for it."""
    holder, waiter = daemon.client(), daemon.client()
    for c in (holder, waiter):
        c.call("hello", name=NASTY_NAME)
    holder.add(NASTY, ttl=60000)
    waiter.send("add", keys=NASTY, retryCount=-1)
    eventually(lambda: holder.call("waiters")["waiters"])
    return daemon


COMMANDS = [
    ["locks"],
    ["locks", NASTY],
    ["waiters"],
    ["sessions"],
    ["status"],
    ["nodes"],
    ["why", NASTY],
    ["doctor"],
    ["top", "-b"],
    ["-j", "locks"],
    ["-j", "sessions"],
    ["call", "locks"],
    ["call", NASTY],
    ["call", "add", json.dumps({"keys": NASTY, "wait": 0})],
    ["call", "add", json.dumps({NASTY: 1})],
    ["call", "why", "{" + NASTY],
    ["run", "-n", NASTY, "--", "true"],
    ["run", "-v", "-w", "0.2", NASTY, "--", "true"],
    ["hold", "-n", NASTY],
    ["kill", NASTY],
    ["certify", "--yes", NASTY],
    ["break", "--yes", NASTY],
]


@pytest.mark.parametrize("argv", COMMANDS, ids=[" ".join(w if w.isprintable() else "KEY" for w in a) for a in COMMANDS])
def test_nothing_of_a_client_steers_a_terminal(world, busy, argv):
    terminal = world.keep(Terminal([REDLOCKCTL, "-s", busy.path, *argv], rows=50, columns=300))
    shown = without_our_own(terminal.rest().decode())
    assert not unfit(shown), shown
    terminal.process.wait(DEADLINE)


def test_the_live_screen_is_not_steered_either(world, busy):
    terminal = world.keep(Terminal([REDLOCKCTL, "-s", busy.path, "top"], rows=50, columns=200, env={**os.environ, "TERM": "xterm"}))
    terminal.wait_for(b"WAITERS")
    terminal.wait_for(b"\\u001b]0;")
    terminal.write(b"q")
    shown = terminal.rest().decode()
    assert "\x1b]" not in shown and "\u009b" not in shown and "\u202e" not in shown and "\x1b[2J" not in shown


def test_nothing_of_a_client_reaches_the_log_as_it_is(world):
    daemon = world.daemon(log={"level": "debug"})
    client, other = daemon.client(), daemon.client()
    client.call("hello", name=NASTY_NAME)
    client.add(NASTY, ttl=60000)
    other.fails("LOCKED", "add", keys=NASTY, wait=0)
    session = client.call("hello")["session"]
    other.fails("METHOD_NOT_FOUND", NASTY)
    other.fails("INVALID_PARAMS", "add", **{NASTY: 1})
    other.fails("INVALID_PARAMS", "certify", node=NASTY)
    other.ask(NASTY.replace("\n", "").encode())
    other.ask({"id": NASTY, "method": "ping"})
    other.call("break", key=NASTY)
    other.call("kill", session=session)
    daemon.terminate()
    assert "break" in daemon.log() and not unfit(daemon.log())
