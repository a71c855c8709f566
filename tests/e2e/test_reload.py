"""The configuration, read again while the broker runs: all of it or none, and nobody's locks are touched."""

import json
import os
import signal
import subprocess

import pytest

from harness import REDLOCKCTL, REDLOCKD, eventually, eventually_empty, let_pass, locks_on, now_ms
from manager import Manager, Service

ANOTHER_UID = 65534  # nobody


@pytest.fixture
def manager(world):
    return world.keep(Manager(world.path))


@pytest.fixture
def service(world, manager):
    return Service(world, manager).start()


def reload(service, **options):
    return subprocess.run([REDLOCKCTL, "-s", service.path, "reload"], capture_output=True, text=True, **options)


def reloaded(service):
    done = reload(service)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def refused(service, *lines):
    """The reload fails, and these are the ends of the lines that say why."""
    before = limits(service)
    done = reload(service)
    told = done.stderr.splitlines()
    assert done.returncode == 1 and len(told) == len(lines), done
    for line, end in zip(told, lines):
        assert line.startswith(f"{service.config}:") and line.endswith(end), (line, end)
        assert line in service.log()
    assert limits(service) == before


def limits(service):
    with service.client() as client:
        return client.call("hello")["limits"]


# --- settings ---------------------------------------------------------------------------------------------------------


def test_new_settings_are_in_force_for_the_next_request(service):
    client = service.client()
    service.reconfigure(lock={"ttl": 2000, "minTtl": 1500}, limits={"maxInFlight": 3})
    reloaded(service)
    assert 1900 < client.add("default")["default"]["validity"] <= 2000
    assert client.fails("INVALID_PARAMS", "add", keys="short", ttl=1499).data["path"] == "ttl"
    assert limits(service)["maxInFlight"] == 3


def test_the_limit_of_locks_is_in_force_for_the_next_request(service):
    client = service.client()
    client.add(["a", "b", "c"])
    service.reconfigure(limits={"maxLocksPerSession": 2})
    reloaded(service)
    assert client.fails("LIMIT", "add", keys="d").data["limit"] == 2
    assert len(client.list()) == 3


def test_the_log_level_changes(service):
    service.reconfigure(log={"level": "debug"})
    reloaded(service)
    service.client().call("ping")
    eventually(lambda: "debug: ping: done" in service.log())


def test_the_log_level_of_the_command_line_stands(world, manager):
    service = Service(world, manager)
    service.argv = lambda: [*Service.argv(service), "-l", "warn"]
    service.start()
    service.reconfigure(log={"level": "debug"})
    reloaded(service)
    service.client().call("ping")
    assert "debug" not in service.log() and "info" not in service.log()


def test_sighup_reads_it_again(service, manager):
    service.reconfigure(lock={"ttl": 2000})
    service.process.send_signal(signal.SIGHUP)
    manager.hear_until("RELOADING", "1")
    manager.hear_until("READY", "1")
    assert service.client().add("default")["default"]["validity"] <= 2000


def test_the_manager_is_told_of_a_reload_with_the_time(service, manager):
    reloaded(service)
    assert int(manager.hear_until("RELOADING", "1")["MONOTONIC_USEC"]) <= now_ms() * 1000
    manager.hear_until("READY", "1")


def test_a_reload_without_changes_touches_nothing(daemon, nodes3):
    client = daemon.client()
    before = client.add(["a", "b"])
    links = client.call("nodes")["nodes"]
    daemon.process.send_signal(signal.SIGHUP)
    eventually(lambda: "reload by SIGHUP: done" in daemon.log())
    after = client.list()
    assert {k: v["value"] for k, v in after.items()} == {k: v["value"] for k, v in before.items()}
    assert [n["state"] for n in client.call("nodes")["nodes"]] == [n["state"] for n in links]
    assert daemon.log().count(": up") == 3


# --- what is wrong ----------------------------------------------------------------------------------------------------


def test_a_wrong_file_changes_nothing_and_every_error_is_told_with_its_place(service):
    text = '{\n  "lock": {"ttl": 1000,\n    "retryCout": 5},\n  "limits": {"maxInFlight": 0}\n}\n'
    service.config.write_text(text)
    refused(
        service,
        ":3:5: lock.retryCout: unknown name (did you mean retryCount?)",
        ":4:14: limits.maxInFlight: must be an integer from 1 to 65536",
    )
    assert service.client().add("default")["default"]["validity"] > 10000


def test_the_caller_of_the_method_is_told_every_error(service):
    service.config.write_text('{"lock": {"ttl": "x"},\n "lcok": {}}')
    error = service.client().fails("INVALID_PARAMS", "reload")
    assert [line.split(": ", 1)[0] for line in error.data["errors"]] == [f"{service.config}:1:11", f"{service.config}:2:2"]
    assert error.data["errors"][0] in error.message


def test_a_missing_file_changes_nothing(service):
    service.config.unlink()
    refused(service, " cannot be read: No such file or directory")


def test_half_a_file_changes_nothing(service):
    service.config.write_text('{"lock": {"ttl": 1000}')
    refused(service, "'}' expected near end of file")


@pytest.mark.parametrize(
    "section, name, value",
    [
        ("lock", "maxTtl", 50000),
        ("lock", "driftFactor", 0.02),
        ("lock", "tenure", 100),
        ("lock", "keyPrefix", "app:"),
        ("listen", "socket", "/elsewhere"),
        ("listen", "mode", "0600"),
        ("listen", "group", "root"),
        ("redis", "restartQuarantine", False),
    ],
)
def test_what_cannot_be_changed_while_it_runs_is_told_by_name(service, section, name, value):
    service.reconfigure(**{section: {name: value}, "stop": {"grace": 1}})
    refused(service, f": {section}.{name}: cannot be changed while the broker runs")


def test_what_cannot_be_changed_may_not_be_left_out_either(world, manager):
    service = Service(world, manager, lock={"keyPrefix": "app:", "maxTtl": 50000}).start()
    service.reconfigure(lock={"keyPrefix": "app:", "maxTtl": 50000, "ttl": 2000})
    reloaded(service)
    service.reconfigure(lock=None)
    refused(
        service,
        " lock.maxTtl: cannot be changed while the broker runs (it is not given, and the default is another)",
        " lock.keyPrefix: cannot be changed while the broker runs (it is not given, and the default is another)",
    )


def test_a_broker_that_stops_is_not_reloaded(service):
    holder, admin = service.client(), service.client()
    holder.add("held")
    service.process.send_signal(signal.SIGTERM)
    eventually(lambda: admin.call("status")["draining"])
    admin.fails("STOPPING", "reload")
    holder.call("free")
    assert service.ended() == 0


def test_a_memory_node_and_redis_do_not_take_turns(world, service):
    service.reconfigure(nodes=[world.redis()])
    refused(service, " nodes: memory: cannot take turns with other nodes")


# --- who may ----------------------------------------------------------------------------------------------------------

CALL = """
import os, socket, sys
groups, path = sys.argv[1], sys.argv[2]
os.setgroups([int(g) for g in groups.split(",") if g])
os.setgid(65534)
os.setuid(65534)
s = socket.socket(socket.AF_UNIX)
s.connect(path)
s.sendall(b'{"method":"reload"}\\n')
print(s.makefile().readline())
"""


def as_nobody(service, *groups):
    os.chmod(service.manager.directory, 0o755)
    os.chmod(service.path, 0o666)
    argv = ["python3", "-c", CALL, ",".join(map(str, groups)), service.path]
    return json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes somebody else")
def test_only_an_administrator_may(service):
    answer = as_nobody(service)
    assert answer["error"]["data"]["name"] == "DENIED"
    assert "reload by" not in service.log()


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes somebody else")
def test_members_of_an_admin_group_may_by_any_of_their_groups(world, manager):
    service = Service(world, manager, access={"adminGroups": ["nogroup", "daemon"]}).start()
    assert as_nobody(service, 1)["result"] == {}  # daemon, a supplementary group; nogroup is the first one's
    service.reconfigure(access={"adminGroups": ["daemon"]})
    reloaded(service)
    assert as_nobody(service, 7, 1, 9)["result"] == {}
    assert as_nobody(service, 7, 9)["error"]["data"]["name"] == "DENIED"


def test_a_group_that_does_not_exist_is_told_of(world, manager):
    service = Service(world, manager, access={"adminGroups": ["no-such-group"]}).start()
    assert "access.adminGroups: there is no group no-such-group" in service.log()


# --- nodes ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def nodes4(world):
    return world.nodes(4)


def pool(world, manager, nodes, **sections):
    return Service(world, manager, nodes, lock={"maxTtl": 1000, "ttl": 800}, **sections).start()


def states(client):
    return {n["name"].split(":")[-1]: n["state"] for n in client.call("nodes")["nodes"]}


def test_a_node_is_added(world, manager, nodes4):
    service = pool(world, manager, nodes4[:3])
    client = service.client()
    held = client.add("held", autoExtend=True)["held"]
    service.reconfigure(nodes=nodes4)
    reloaded(service)
    service.wait_nodes(4)  # the new one after its quarantine
    assert (client.call("status")["nodes"], client.call("status")["quorum"]) == (4, 3)
    assert client.list()["held"]["value"] == held["value"]
    client.add("new")
    eventually(lambda: nodes4[3].get("new"))
    nodes4[0].kill()
    client.add("with three of four")
    nodes4[1].kill()
    client.fails("NO_QUORUM", "add", keys="with two of four", retryCount=0)


def test_a_node_is_removed_and_released_to_the_end(world, manager, nodes4):
    service = pool(world, manager, nodes4)
    client, other = service.client(), service.client()
    client.add("held")
    eventually(lambda: len(locks_on(nodes4)) == 4)
    service.reconfigure(nodes=nodes4[:3])
    reloaded(service)
    status = client.call("status")
    assert (status["nodes"], status["nodesUp"], status["quorum"]) == (3, 3, 2)
    other.add("new", ttl=1000)
    eventually(lambda: len(locks_on(nodes4[:3])) == 6)
    assert nodes4[3].get("new") is None
    client.call("free")
    eventually(lambda: nodes4[3].get("held") is None, within=0.7)  # by the release: the ttl is longer
    client.call("subscribe", events=["node"])
    let_pass(other, 1000)
    eventually(lambda: f"{nodes4[3].port}: closed" in service.log())
    assert not client.notices
    eventually(lambda: "redlockd" not in nodes4[3].command("CLIENT", "LIST"))


def test_a_lock_that_outlives_a_node_is_not_shown_on_it(world, manager, nodes4):
    service = pool(world, manager, nodes4)
    client = service.client()
    client.add("held", ttl=900, autoExtend=True)
    eventually(lambda: len(client.call("locks")["locks"][0]["nodes"]) == 4)
    service.reconfigure(nodes=nodes4[:3])
    reloaded(service)
    eventually(lambda: "redlockd" not in nodes4[3].command("CLIENT", "LIST"))
    assert client.call("locks")["locks"][0]["nodes"] == [n["name"] for n in client.call("nodes")["nodes"]]


def test_only_one_node_at_a_time(world, manager, nodes4):
    service = pool(world, manager, nodes4[:3])
    service.reconfigure(nodes=nodes4[1:])
    refused(
        service,
        ":2:2: nodes: 1 would come and 1 go, and only one may at a time (majorities before and after must have a node in "
        "common)",
    )
    service.reconfigure(nodes=nodes4[:1])
    refused(
        service,
        " nodes: 0 would come and 2 go, and only one may at a time (majorities before and after must have a node in common)",
    )
    assert service.client().call("status")["nodes"] == 3


def test_the_next_change_waits_until_what_was_locked_before_has_lapsed(world, manager, nodes4):
    service = pool(world, manager, nodes4[:3])
    service.reconfigure(nodes=nodes4)
    reloaded(service)
    client = service.client()
    service.reconfigure(nodes=nodes4[:3])
    done = reload(service)
    assert done.returncode == 1 and "a node came or went a moment ago: the next one may in" in done.stderr
    reloaded_at = now_ms()
    service.reconfigure(nodes=nodes4, stop={"grace": 1})
    reloaded(service)  # what does not change the nodes may change
    service.reconfigure(nodes=nodes4[:3])
    eventually(lambda: reload(service).returncode == 0)
    assert 500 < now_ms() - reloaded_at < 3000
    assert client.call("status")["nodes"] == 3


def test_nodes_in_another_order_are_the_same_nodes(world, manager, nodes4):
    service = pool(world, manager, nodes4)
    service.reconfigure(nodes=nodes4[::-1])
    reloaded(service)
    assert service.log().count(": up") == 4


def test_another_database_is_another_node(world, manager, nodes4):
    service = pool(world, manager, nodes4[:3])
    service.reconfigure(nodes=[*nodes4[:2], nodes4[2].url + "/1"])
    assert "1 would come and 1 go" in reload(service).stderr


def test_a_node_gets_another_name_and_keeps_its_connection(world, manager, nodes4):
    service = pool(world, manager, nodes4[:3])
    service.reconfigure(nodes=[{"name": "first", "url": nodes4[0].url}, *nodes4[1:3]])
    reloaded(service)
    nodes = service.client().call("nodes")["nodes"]
    assert [n["name"] for n in nodes][0] == "first" and all(n["state"] == "up" for n in nodes)
    assert service.log().count(": up") == 3


def test_a_new_password_is_used_for_the_next_connection(world, manager):
    node = world.redis(password="old-secret")
    (world.path / "secret").write_text("old-secret\n")
    service = Service(world, manager, [{"url": node.url, "passwordFile": "secret"}]).start()
    node.command("CONFIG", "SET", "requirepass", "new-secret")
    (world.path / "secret").write_text("new-secret\n")
    reloaded(service)
    node.password = "new-secret"
    node.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    eventually(lambda: service.log().count(": up") == 2)
    service.client().add("a")


def test_many_changes_one_after_the_other_leave_nothing(world, manager, nodes4):
    service = Service(world, manager, nodes4[:3], lock={"maxTtl": 60, "ttl": 50, "minTtl": 10}).start()
    client = service.client()
    for nodes in [nodes4, nodes4[1:], nodes4[1:3], nodes4[1:], nodes4, nodes4[:3]] * 3:
        service.reconfigure(nodes=nodes)
        eventually(lambda: reload(service).returncode == 0)
        client.add("key", wait=5000)
        client.call("free")
    eventually_empty(nodes4)
    service.terminate()


# --- redlockd -T ------------------------------------------------------------------------------------------------------


def check_nodes(service):
    return subprocess.run([REDLOCKD, "-T", "-c", service.config], capture_output=True, text=True)


def test_the_check_of_nodes_says_what_each_is(world, manager, nodes3):
    service = Service(world, manager, nodes3)
    done = check_nodes(service)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"{service.config}: ok" and len(lines) == 4
    assert sum(": up, Redis " in line for line in lines) == 3


def test_the_check_of_nodes_fails_where_one_is_not_usable(world, manager, nodes3):
    node = world.redis(password="secret-word")
    nodes3[0].kill()
    service = Service(world, manager, [*nodes3, {"name": "closed", "url": node.url}], redis={"connectTimeout": 500})
    done = check_nodes(service)
    assert done.returncode == 1
    assert "not usable: connect to 127.0.0.1" in done.stdout
    assert "closed: " in done.stdout and "NOAUTH" in done.stdout
    assert done.stdout.count(": up") == 2


def test_the_check_of_nodes_does_not_wait_for_one_that_hangs(world, manager, nodes3):
    nodes3[1].stop()
    service = Service(world, manager, nodes3, redis={"connectTimeout": 300})
    done = check_nodes(service)
    assert done.returncode == 1 and "no answer for 300 ms" in done.stdout


def test_the_check_of_nodes_of_memory_connects_to_nobody(world, manager):
    assert check_nodes(Service(world, manager)).returncode == 0
