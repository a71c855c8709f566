"""
What sessions ask for at once goes to each node in few calls, and each of them is answered for itself.
"""

import json
import re

from harness import RpcError, eventually_empty


def calls(node):
    """How many scripts the node was called for."""
    stats = node.command("INFO", "commandstats")
    return sum(int(n) for n in re.findall(r"cmdstat_eval(?:sha)?:calls=(\d+)", stats))


def at_once(client, requests):
    """Sends (method, params) in one write, and returns what each was answered: its result, or the name of its error."""
    ids, lines = [], []
    for method, params in requests:
        client.last_id += 1
        ids.append(client.last_id)
        lines.append(json.dumps({"jsonrpc": "2.0", "id": client.last_id, "method": method, "params": params}).encode())
    client.send_raw(b"\n".join(lines) + b"\n")
    answers = []
    for request in ids:
        try:
            answers.append(client.reply(request))
        except RpcError as error:
            answers.append(error.name)
    return answers


def add(key, **params):
    return "add", {"keys": key, "retryCount": 0, **params}


def free(key):
    return "free", {"keys": key}


def test_many_requests_at_once_are_few_calls_to_a_node(daemon, nodes3):
    client = daemon.client()
    before = [calls(node) for node in nodes3]
    answers = at_once(client, [add(f"k{i}") for i in range(64)])
    assert [answer["locks"][0]["key"] for answer in answers] == [f"k{i}" for i in range(64)]
    assert all(answer["attempts"] == 1 for answer in answers)
    for node in nodes3:
        assert {node.command("GET", f"k{i}") for i in range(64)} == {answer["locks"][0]["value"] for answer in answers}
        assert all(0 < int(node.command("PTTL", f"k{i}")) <= 15000 for i in range(64))
    answers = at_once(client, [free(f"k{i}") for i in range(64)])
    assert [answer["freed"] for answer in answers] == [[f"k{i}"] for i in range(64)]
    eventually_empty(nodes3)
    assert all(calls(node) - n <= 128 / 4 for node, n in zip(nodes3, before))


def test_each_key_is_answered_for_itself(daemon, nodes3):
    mine, other = daemon.client(), daemon.client()
    other.add("held")
    for node in nodes3:
        node.command("RPUSH", "list", "x")
        node.command("SET", "foreign", "x", "PX", 60000)
    answers = at_once(mine, [add("a"), add("held"), add("list"), add("foreign"), add("b", ttl=5000), free("a"), add("c")])
    assert [answer if isinstance(answer, str) else list(answer)[0] for answer in answers] == [
        "locks", "LOCKED", "NO_QUORUM", "LOCKED", "locks", "freed", "locks"]
    assert sorted(lock["key"] for lock in mine.call("list")["locks"]) == ["b", "c"]
    assert all(0 < int(node.command("PTTL", "b")) <= 5000 for node in nodes3)
    fences = {lock["key"]: lock["fence"] for lock in mine.call("list")["locks"]}
    again = at_once(mine, [free("b"), free("c"), add("b"), add("c")])[2:]
    assert all(answer["locks"][0]["fence"] > fences[answer["locks"][0]["key"]] for answer in again)


def test_a_key_that_the_nodes_do_not_let_us_use_costs_the_others_nothing(world, nodes3):
    for node in nodes3:
        node.command("ACL", "SETUSER", "default", "resetkeys", "~ours:*", "~redlockd:*")
    client = world.daemon(nodes3).client()
    for turn in range(3):
        asked = [add(f"ours:{i}") for i in range(8)] + [add("theirs")] + [add(f"ours:{i}") for i in range(8, 16)]
        answers = at_once(client, asked)
        assert answers.pop(8) == "NO_QUORUM"
        assert [answer["locks"][0]["key"] for answer in answers] == [f"ours:{i}" for i in range(16)]
        assert all(answer["attempts"] == 1 for answer in answers), turn
        assert len(client.call("free")["freed"]) == 16


def test_scripts_that_the_nodes_forgot_are_no_news(daemon, nodes3):
    client = daemon.client()
    for turn in range(3):
        for node in nodes3:
            node.command("SCRIPT", "FLUSH")
        answers = at_once(client, [add(f"{turn}.{i}") for i in range(16)])
        assert all(answer["attempts"] == 1 for answer in answers)
        for node in nodes3:
            node.command("SCRIPT", "FLUSH")
        answers = at_once(client, [free(f"{turn}.{i}") for i in range(16)])
        assert all(answer["freed"] for answer in answers)
    eventually_empty(nodes3)
