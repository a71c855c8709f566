"""
A node that lies: what it says is what no Redis would. It goes down with a reason, it costs bounded memory, locks are taken and freed
on the others meanwhile, and when it speaks the truth again it votes.
"""

import pathlib
import re

import pytest

from harness import DEADLINE, SlowLink, eventually, sanitized

MIB = 1024 * 1024


class Liar(SlowLink):
    """A relay before a node that can change what the node says."""

    def __init__(self, node):
        self.lie = None
        self.told = 0
        super().__init__(node, 0)

    def change(self, data):
        if not self.lie:
            return data
        self.told += 1
        return self.lie(data)


def only(text):
    return lambda data: text


def behind(text):
    return lambda data: data + text


class Half:
    """The first bytes of a reply, and then nothing any more, on a connection that stays."""

    def __init__(self):
        self.begun = 0

    def __call__(self, data):
        self.begun += 1
        return b"" if self.begun > 1 else b"*3\r\n:1\r\n:"


LIES = {
    "another-type": (only(b"+wrong\r\n"), "wrong shape"),
    "a-string-of-512-MB": (only(b"$536870912\r\n" + b"x" * MIB), "more than 65536 bytes"),
    "a-string-of-4-GB": (only(b"$4294967296\r\n" + b"x" * MIB), "more than 65536 bytes"),
    "an-array-of-200-million": (only(b"*200000000\r\n" + b":1\r\n" * 100000), "more than 72 values"),
    "an-array-of-2-to-the-63": (only(b"*9223372036854775807\r\n"), "not the Redis protocol"),
    "nested": (only(b"*1\r\n" * 100000 + b":1\r\n"), "an array in an array"),
    "wide": (only(b"*50000\r\n" + b"$3\r\nabc\r\n" * 50000), "more than 72 values"),
    "negative": (only(b"$-5\r\n*-7\r\n"), "not the Redis protocol"),
    "no-number": (only(b":99999999999999999999999\r\n"), "not the Redis protocol"),
    "no-protocol": (only(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "not the Redis protocol"),
    "zeros": (only(b"\0" * MIB), "not the Redis protocol"),
    "a-line-without-end": (only(b"+" + b"x" * MIB), "more than 65536 bytes"),
    "an-error-without-end": (only(b"-ERR " + b"x" * MIB), "more than 65536 bytes"),
    "unasked": (behind(b":1\r\n"), "wrong shape|nobody waits for"),
    "a-push": (behind(b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n"), "not the Redis protocol|nobody waits for"),
    "everything-twice": (lambda data: data + data, "wrong shape|nobody waits for"),
    "half-a-reply": (Half(), "no answer for"),
    "nothing": (only(b""), "no answer for"),
}


def memory_of(daemon):
    status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
    return 1024 * int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1))


@pytest.mark.parametrize("lie, reason", LIES.values(), ids=LIES)
def test_a_node_that_lies_goes_down_with_a_reason_and_costs_little(world, nodes3, lie, reason):
    link = world.keep(Liar(nodes3[2]))
    redis = {"reconnectMin": 20, "reconnectMax": 50, "connectTimeout": 300}
    daemon = world.daemon([nodes3[0], nodes3[1], link.url], redis=redis)
    client = daemon.client()
    name = client.call("nodes")["nodes"][2]["name"]
    client.call("subscribe", events=["node"])
    client.add("before", ttl=60000)
    before = memory_of(daemon)

    link.lie = lie
    told = None
    while not told or (told["name"], told["state"]) != (name, "down"):
        client.add("k", ttl=1000)  # the others are a majority
        client.call("free", keys="k")
        told = client.notices.pop(0)["params"] if client.notices else None
    assert re.search(reason, told["reason"])
    assert f"node {name}: down: {told['reason']}"[:100] in daemon.log()
    tries = link.told
    eventually(lambda: link.told > tries + 5 or isinstance(lie, Half), within=2 * DEADLINE)
    if not sanitized():
        assert memory_of(daemon) - before < 4 * MIB
    assert client.states("add", "k", ttl=1000) == {"k": "acquired"}
    assert "before" in client.list()

    link.lie = None
    eventually(lambda: client.call("status")["nodesUp"] == 3, within=2 * DEADLINE)
    client.add("after", ttl=60000)
    eventually(lambda: nodes3[2].keys().get("after"))
