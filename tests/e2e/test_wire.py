"""The wire: JSON-RPC 2.0, one object a line, over a Unix socket."""

import json
import os
import select

import pytest

from harness import DEADLINE, LATE, SLOW, eventually, now_ms

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@pytest.fixture
def client(memory):
    return memory.client()


def error_name(message):
    return message["error"]["data"]["name"]


def padded(n):
    """A ping of n bytes."""
    line = json.dumps(PING).encode()
    return line + b" " * (n - len(line))


def fill(client, line):
    """Writes the line again and again, reading nothing, until no more can be written; returns when that was."""
    client.socket.setblocking(False)
    while select.select([], [client.socket], [], 0.5 * SLOW)[1]:
        try:
            client.socket.send(line)
        except BlockingIOError:
            pass
    return now_ms()


# --- ids --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, 1, -1, 2**53 - 1, "", "abc", "1", "käse \" \\ \u0001"])
def test_a_reply_carries_the_id_of_its_request(client, value):
    reply = client.ask({"jsonrpc": "2.0", "id": value, "method": "ping"})
    assert reply == {"jsonrpc": "2.0", "id": value, "result": {}}


@pytest.mark.parametrize("value", [1.5, True, [], {}])
def test_an_id_that_is_no_string_and_no_integer_is_refused(client, value):
    reply = client.ask({"jsonrpc": "2.0", "id": value, "method": "ping"})
    assert (error_name(reply), reply["id"]) == ("INVALID_REQUEST", None)


def test_a_notification_is_carried_out_and_not_answered(client):
    client.send_line({"jsonrpc": "2.0", "method": "add", "params": {"keys": "k"}})
    reply = client.ask({"jsonrpc": "2.0", "id": 1, "method": "free", "params": {"keys": "k"}})
    assert (reply["id"], reply["result"]["freed"]) == (1, ["k"])


def test_a_notification_that_fails_is_not_answered_either(client):
    client.send_line({"jsonrpc": "2.0", "method": "add", "params": {"keys": ""}})
    client.send_line({"jsonrpc": "2.0", "method": "nonsense"})
    assert client.ask(PING)["id"] == 1


def test_without_jsonrpc_a_missing_id_is_answered_with_null(client):
    assert client.ask({"method": "ping"}) == {"jsonrpc": "2.0", "id": None, "result": {}}
    assert client.ask({"method": "nonsense"})["id"] is None


def test_an_id_without_jsonrpc_is_answered_too(client):
    assert client.ask({"id": "x", "method": "ping"})["id"] == "x"


@pytest.mark.parametrize("value", ["1.0", "2", 2.0, None])
def test_a_jsonrpc_other_than_2_0_is_refused(client, value):
    assert error_name(client.ask({**PING, "jsonrpc": value})) == "INVALID_REQUEST"
    assert client.ask(PING)["result"] == {}


def test_an_id_that_is_still_in_flight_is_refused(memory, client):
    holder = memory.client()
    holder.add("k")
    request = {"jsonrpc": "2.0", "id": 7, "method": "add", "params": {"keys": "k", "retryCount": -1}}
    client.send_line(request)
    assert error_name(client.ask({**PING, "id": 7})) == "INVALID_REQUEST"
    assert client.ask({**PING, "id": "7"})["id"] == "7"  # a string is another id
    holder.call("free")
    assert client.read()["result"]["locks"][0]["state"] == "acquired"
    assert client.ask({**PING, "id": 7}) == {"jsonrpc": "2.0", "id": 7, "result": {}}


# --- what is no request -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"{",
        b'{"id":1,"method":"ping"} x',
        b'{"id":1,"method":"ping"}{"id":2,"method":"ping"}',
        b'{"id":1,"method":"add","params":{"keys":"\xff"}}',
        b'{"id":1,"method":"add","params":{"keys":"\xed\xa0\x80"}}',
        b'{"id":1,"id":2,"method":"ping"}',
        b'{"id":1,"method":"add","params":{"keys":"a","keys":"b"}}',
        b'{"id":1,"method":"ping","params":' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
    ids=["word", "open", "trailing", "two", "no-utf8", "surrogate", "double-member", "double-param", "deep"],
)
def test_what_cannot_be_read_is_a_parse_error_and_the_session_lives(client, line):
    reply = client.ask(line)
    assert (error_name(reply), reply["error"]["code"], reply["id"]) == ("PARSE", -32700, None)
    assert client.ask(PING)["id"] == 1
    assert client.list() == {}


@pytest.mark.parametrize("line", [b"5", b'"ping"', b"null", b"true", b"[]", b"{}", b'{"id":1}', b'{"id":1,"method":5}'])
def test_what_is_no_request_is_refused_and_the_session_lives(client, line):
    reply = client.ask(line)
    assert (error_name(reply), reply["error"]["code"]) == ("INVALID_REQUEST", -32600)
    assert client.ask(PING)["result"] == {}


def test_a_batch_is_refused_in_one_error(client):
    add = {"jsonrpc": "2.0", "id": 5, "method": "add", "params": {"keys": "k"}}
    reply = client.ask([add, PING, PING])
    assert (error_name(reply), reply["id"]) == ("INVALID_REQUEST", None)
    assert client.ask(PING)["id"] == 1  # the next line is not a second error
    assert client.list() == {}


@pytest.mark.parametrize("method", ["nonsense", "", "ADD", "add\0", "rpc.discover"])
def test_an_unknown_method_is_told_so(client, method):
    reply = client.ask({"jsonrpc": "2.0", "id": 3, "method": method, "params": {}})
    assert (error_name(reply), reply["error"]["code"], reply["id"]) == ("METHOD_NOT_FOUND", -32601, 3)


@pytest.mark.parametrize(
    "method, params, path",
    [
        ("add", {}, "keys"),
        ("add", {"keys": 5}, "keys"),
        ("add", {"keys": None}, "keys"),
        ("add", {"keys": []}, "keys"),
        ("add", {"keys": ""}, "keys"),
        ("add", {"keys": ["a", ""]}, "keys[1]"),
        ("add", {"keys": ["a", "b", 5]}, "keys[2]"),
        ("add", {"keys": "a", "ttll": 100}, "ttll"),
        ("add", {"keys": "a", "ttl": "100"}, "ttl"),
        ("add", {"keys": "a", "ttl": 100.5}, "ttl"),
        ("add", {"keys": "a", "ttl": None}, "ttl"),
        ("add", {"keys": "a", "ttl": 9}, "ttl"),
        ("add", {"keys": "a", "ttl": 60001}, "ttl"),
        ("add", {"keys": "a", "ttl": 2**63 - 1}, "ttl"),
        ("add", {"keys": "a", "retryCount": -2}, "retryCount"),
        ("add", {"keys": "a", "retryDelay": -1}, "retryDelay"),
        ("add", {"keys": "a", "retryJitter": "x"}, "retryJitter"),
        ("add", {"keys": "a", "wait": -1}, "wait"),
        ("add", {"keys": "a", "strict": True}, "strict"),
        ("extend", {"keys": "a", "strict": 1}, "strict"),
        ("extend", {}, "keys"),
        ("free", {"keys": ""}, "keys"),
        ("free", {"keys": ["a", ""]}, "keys[1]"),
        ("free", {"keys": "a", "ttl": 100}, "ttl"),
        ("reset", {"keys": "a"}, "keys"),
        ("list", {"key": "a"}, "key"),
        ("cancel", {}, "id"),
        ("cancel", {"id": 1.5}, "id"),
        ("ping", {"x": 1}, "x"),
        ("hello", {"name": 5}, "name"),
        ("hello", {"name": "x" * 65}, "name"),
        ("subscribe", {"events": "lost"}, "events"),
        ("subscribe", {"events": ["lost", "won"]}, "events[1]"),
        ("status", {"x": 1}, "x"),
        ("locks", {"key": 5}, "key"),
        ("waiters", {"keys": "a"}, "keys"),
        ("add", ["a"], "params"),
        ("add", "a", "params"),
    ],
)
def test_wrong_params_are_named_and_nothing_happens(client, method, params, path):
    reply = client.ask({"jsonrpc": "2.0", "id": 3, "method": method, "params": params})
    assert (error_name(reply), reply["error"]["code"], reply["id"]) == ("INVALID_PARAMS", -32602, 3)
    assert reply["error"]["data"]["path"] == path
    assert client.list() == {}


# --- lines ------------------------------------------------------------------------------------------------------------


def test_a_cr_before_the_lf_is_tolerated_and_empty_lines_are_ignored(client):
    client.send_raw(b"\n\r\n\n" + json.dumps(PING).encode() + b"\r\n\r\n\n")
    assert client.read()["id"] == 1
    assert client.ask({**PING, "id": 2})["id"] == 2


def test_a_line_may_come_byte_by_byte(client):
    for byte in json.dumps(PING).encode() + b"\n":
        client.send_raw(bytes([byte]))
    assert client.read()["id"] == 1


def test_many_lines_may_come_in_one_piece(client):
    client.send_raw(b"".join(json.dumps({**PING, "id": i}).encode() + b"\n" for i in range(500)))
    assert sorted(client.read()["id"] for _ in range(500)) == list(range(500))


def test_a_line_of_the_maximum_is_carried_out_and_one_byte_more_is_too_large(world):
    client = world.daemon(limits={"maxRequestBytes": 4096}).client()
    assert client.ask(padded(4096))["id"] == 1
    assert client.ask(padded(4096) + b"\r")["id"] == 1
    reply = client.ask(padded(4097))
    assert (error_name(reply), reply["error"]["code"], reply["id"]) == ("TOO_LARGE", -32001, None)
    assert reply["error"]["data"]["limit"] == 4096
    assert client.ask({**PING, "id": 2})["id"] == 2


def test_a_line_without_end_is_refused_before_it_ends(client):
    client.send_raw(b"x" * 70000)
    assert error_name(client.read()) == "TOO_LARGE"
    client.send_raw(b"x" * 300000 + b"\n")  # skipped to its LF, without a second word
    assert client.ask({**PING, "id": 2})["id"] == 2


def test_nothing_is_said_unasked(client):
    client.add("k", ttl=30)
    client.call("subscribe")
    assert client.replies == {} and client.notices == []
    client.add("l", ttl=30)
    client.notice("lost")
    assert client.notices == []  # nothing of the lapse before the subscription


# --- the end of a session ---------------------------------------------------------------------------------------------


def test_after_a_half_close_what_is_due_is_still_written(client):
    client.send_raw(b'{"method":"status"}\n{"id":2,"method":"ping"}\n')
    client.end_of_requests()
    assert {client.read()["id"], client.read()["id"]} == {None, 2}
    assert client.read() is None


def test_a_half_close_ends_the_session_and_frees_its_locks(memory, client):
    client.add("k")
    client.end_of_requests()
    assert client.read() is None
    assert memory.client().states("add", "k", wait=5000) == {"k": "acquired"}


def test_a_half_close_cancels_what_waits(memory, client):
    holder = memory.client()
    holder.add("k")
    client.send("add", keys="k", retryCount=-1)
    eventually(lambda: holder.call("waiters")["waiters"])
    client.end_of_requests()
    eventually(lambda: not holder.call("waiters")["waiters"])


def test_half_a_line_at_the_end_is_no_request(memory, client):
    client.send_raw(b'{"jsonrpc":"2.0","method":"add","params":{"keys":"k"')
    client.end_of_requests()
    while client.read() is not None:
        pass
    assert memory.client().call("locks")["locks"] == []


# --- limits -----------------------------------------------------------------------------------------------------------


def limit(error):
    return error.data["what"], error.data["limit"]


def test_requests_in_flight_up_to_the_limit(world):
    daemon = world.daemon(limits={"maxInFlight": 3})
    holder, client = daemon.client(), daemon.client()
    holder.add("k")
    waiting = [client.send("add", keys="k", retryCount=-1) for _ in range(3)]
    assert limit(client.fails("LIMIT", "add", keys="other")) == ("maxInFlight", 3)
    assert holder.call("ping") == {}  # a limit of one session, not of all
    holder.call("free")
    assert [client.reply(w)["locks"][0]["state"] for w in waiting] == ["acquired", "held", "held"]
    assert client.states("add", "other") == {"other": "acquired"}


def test_keys_in_one_request_up_to_the_limit(world):
    client = world.daemon(limits={"maxKeysPerRequest": 3}).client()
    assert limit(client.fails("LIMIT", "add", keys=list("abcd"))) == ("maxKeysPerRequest", 3)
    assert client.list() == {}
    assert len(client.add(list("abc"))) == 3


def test_bytes_of_a_key_up_to_the_limit(world):
    client = world.daemon(limits={"maxKeyBytes": 8}).client()
    assert limit(client.fails("LIMIT", "add", keys="éééé.")) == ("maxKeyBytes", 8)
    assert client.list() == {}
    assert len(client.add(["éééé", "12345678"])) == 2


def test_locks_of_a_session_up_to_the_limit(world):
    daemon = world.daemon(limits={"maxLocksPerSession": 3})
    client, other = daemon.client(), daemon.client()
    client.add(["a", "b"])
    assert limit(client.fails("LIMIT", "add", keys=["c", "d"])) == ("maxLocksPerSession", 3)
    client.add("c")
    assert client.states("add", ["a", "b", "c"]) == dict.fromkeys("abc", "held")
    assert limit(client.fails("LIMIT", "add", keys="d")) == ("maxLocksPerSession", 3)
    assert other.states("add", "d", wait=0) == {"d": "acquired"}
    client.call("free", keys="a")
    assert client.states("add", "e") == {"e": "acquired"}


def test_sessions_up_to_the_limit(world):
    daemon = world.daemon(limits={"maxSessions": 2})
    first, second = daemon.client(), daemon.client()
    eventually(lambda: first.call("status")["sessions"] == 2 and second.call("ping") == {})
    refused = daemon.client()
    error = refused.read()["error"]
    assert (error["data"]["name"], error["data"]["what"], error["data"]["limit"]) == ("LIMIT", "maxSessions", 2)
    assert refused.read() is None
    second.close()
    eventually(lambda: first.call("status")["sessions"] == 1)
    assert daemon.client().call("ping") == {}


def test_a_peer_that_does_not_read_is_closed_after_five_seconds_and_nobody_else(world):
    daemon = world.daemon(limits={"maxOutputBytes": 65536})
    deaf, other = daemon.client(), daemon.client()
    other.add("b")
    deaf.add("a", ttl=60000)
    started = now_ms()
    stuck = fill(deaf, b'{"method":"status"}\n' * 100)
    request = other.send("add", keys="a", retryCount=-1)
    other.reply(request)
    assert started + 5000 <= now_ms() <= stuck + 7000 * SLOW
    assert "b" in other.list()


def test_a_peer_that_does_not_read_and_dies_is_gone_at_once(world):
    daemon = world.daemon(limits={"maxOutputBytes": 65536})
    deaf, other = daemon.client(), daemon.client()
    deaf.add("a", ttl=60000)
    fill(deaf, b'{"method":"status"}\n' * 100)
    started = now_ms()
    deaf.close()
    assert other.states("add", "a", retryCount=-1) == {"a": "acquired"}
    assert now_ms() - started < LATE


def test_a_peer_that_reads_late_loses_nothing(world):
    client = world.daemon(limits={"maxOutputBytes": 65536}).client()
    asked = 3000
    lines = b"".join(b'{"id":%d,"method":"status"}\n' % i for i in range(asked))
    client.socket.setblocking(False)
    answered = 0
    while answered < asked:
        readable, writable, _ = select.select([client.socket], [client.socket] if lines else [], [], DEADLINE)
        assert readable or writable
        if writable:
            lines = lines[client.socket.send(lines[:65536]) :]
        elif readable:
            answered += client.socket.recv(4096).count(b"\n")


def test_a_peer_that_is_gone_does_not_end_the_daemon(memory, client):
    for _ in range(20):
        gone = memory.client()
        gone.send_raw(b'{"method":"status"}\n' * 200)
        gone.socket.close()
    assert client.call("ping") == {}


def test_the_socket_has_its_mode(world):
    daemon = world.daemon(listen={"mode": "0600"})
    assert os.stat(daemon.path).st_mode & 0o777 == 0o600
