"""The broker as a service: what the manager is told, and the sockets that it hands over."""

import os
import pathlib
import signal
import socket
import stat

import pytest

from harness import LATE, connect, eventually, let_pass, now_ms, sanitized, stop_process
from manager import Manager, Service


@pytest.fixture(params=["path", "abstract"])
def manager(request, world):
    return world.keep(Manager(world.path, abstract=request.param == "abstract"))


@pytest.fixture
def handing(world):
    """A manager that hands a socket over, and the path of that."""
    manager = world.keep(Manager(world.path))
    manager.path = world.path / "given.sock"
    manager.listen(manager.path)
    return manager


def activated(world, manager, **sections):
    service = Service(world, manager, **sections)
    service.path = manager.path  # for clients; the daemon is told to make another one, and must not
    service.argv = lambda: [*Service.argv(service)[:-1], world.path / "own.sock"]
    return service


# --- the manager is told ----------------------------------------------------------------------------------------------


def test_ready_is_told_once_the_socket_is_armed(world, manager):
    service = Service(world, manager)
    service.start(up=False)
    connect(service.path).close()  # at once, without trying again
    assert service.client().call("ping") == {}


def test_ready_does_not_wait_for_redis(world, manager, nodes3):
    for node in nodes3:
        node.kill()
    service = Service(world, manager, nodes3).start(up=False)
    assert service.client().call("status")["nodesUp"] == 0


def test_nothing_is_told_where_the_configuration_is_wrong(world, manager):
    service = Service(world, manager, lock={"ttl": 0})
    with open(service.log_file, "ab") as log:
        service.process = manager.spawn(service.argv(), stdout=log, stderr=log)
    assert service.ended() == 1
    manager.notify.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.notify.recv(1)


def test_the_status_line_is_kept_current(world, manager, nodes3):
    service = Service(world, manager, nodes3).start()
    manager.hear_until("STATUS", "3/3 nodes up, 0 sessions, 0 locks")
    client = service.client()
    client.add(["a", "b"])
    manager.hear_until("STATUS", "3/3 nodes up, 1 sessions, 2 locks")
    nodes3[0].kill()
    manager.hear_until("STATUS", "2/3 nodes up, 1 sessions, 2 locks")
    nodes3[1].kill()
    manager.hear_until("STATUS", "1/3 nodes up (no quorum), 1 sessions, 2 locks")


def test_stopping_is_told_when_the_drain_begins(world, manager):
    service = Service(world, manager).start()
    client = service.client()
    client.add("held")
    service.process.send_signal(signal.SIGTERM)
    manager.hear_until("STOPPING", "1")
    manager.hear_until("STATUS", "1/1 nodes up, 1 sessions, 1 locks, draining")
    client.call("free")
    assert service.ended() == 0


@pytest.mark.skipif(sanitized(), reason="what looks for leaks at the end does not bear signals")
def test_signals_that_come_while_it_ends_do_not_make_a_clean_end_a_dirty_one(world, manager):
    for _ in range(20):
        service = Service(world, manager).start()
        while service.process.poll() is None:
            service.process.send_signal(signal.SIGTERM)
        assert service.process.returncode == 0


def test_the_watchdog_is_fed_while_the_loop_turns_and_only_then(world, manager):
    manager.environment["WATCHDOG_USEC"] = "300000"
    service = Service(world, manager).start()
    for _ in range(3):
        manager.hear_until("WATCHDOG", "1", within=0.3)
    stop_process(service.process)
    manager.notify.setblocking(False)
    while True:  # what was told before it stood still
        try:
            manager.notify.recv(4096)
        except BlockingIOError:
            break
    manager.notify.setblocking(True)
    manager.notify.settimeout(0.9)
    with pytest.raises(TimeoutError):
        manager.notify.recv(4096)
    service.process.send_signal(signal.SIGCONT)
    manager.notify.settimeout(None)
    manager.hear_until("WATCHDOG", "1")


def test_without_a_watchdog_none_is_fed(world, manager):
    service = Service(world, manager).start()
    service.client().add("a")
    manager.hear_until("STATUS", "1/1 nodes up, 1 sessions, 1 locks")
    assert not any("WATCHDOG" in message for message in manager.told)


def test_a_manager_that_does_not_read_holds_up_nobody(world, manager):
    manager.environment["WATCHDOG_USEC"] = "3000"  # a message a millisecond
    service = Service(world, manager).start()
    with open("/proc/sys/net/unix/max_dgram_qlen") as f:
        let_pass(service.client(), 100 + 4 * int(f.read()))  # the queue is full, and then some
    client = service.client()
    start = now_ms()
    for _ in range(5):
        let_pass(client, 20)
    assert now_ms() - start < LATE


def test_a_manager_that_is_not_there_is_told_of_and_harms_nobody(world, manager):
    manager.environment["NOTIFY_SOCKET"] = "relative/path"
    service = Service(world, manager)
    with open(service.log_file, "ab") as log:
        service.process = manager.spawn(service.argv(), stdout=log, stderr=log)
    eventually(service.accepts)
    assert "NOTIFY_SOCKET" in service.log()


# --- sockets that are handed over -------------------------------------------------------------------------------------


def test_clients_are_served_at_the_socket_that_was_handed_over(world, handing):
    service = activated(world, handing).start()
    assert service.client().call("ping") == {}
    assert not (world.path / "own.sock").exists()


def test_the_socket_that_was_handed_over_is_left_as_it_is(world, handing):
    os.chmod(handing.path, 0o642)
    before = os.stat(handing.path)
    service = activated(world, handing, listen={"mode": "0600"}).start()
    service.terminate()
    after = os.stat(handing.path)
    assert (after.st_ino, stat.S_IMODE(after.st_mode)) == (before.st_ino, 0o642)


def test_who_connects_while_it_is_restarted_is_answered_after(world, handing):
    service = activated(world, handing).start()
    service.terminate()
    waiting = [connect(handing.path) for _ in range(20)]
    requests = [client.send("ping") for client in waiting]
    service.start()
    for client, request in zip(waiting, requests):
        assert client.reply(request) == {}
        client.close()


def test_who_connected_before_the_first_start_is_answered(world, handing):
    client = connect(handing.path)
    request = client.send("add", keys="a")
    activated(world, handing).start()
    assert client.reply(request)["locks"][0]["key"] == "a"
    client.close()


def refused(world, manager, *words):
    service = Service(world, manager)
    with open(service.log_file, "ab") as log:
        service.process = manager.spawn(service.argv(), stdout=log, stderr=log)
    assert service.ended() == 1
    for word in words:
        assert word in service.log()


def test_a_socket_that_is_not_listening_is_refused(world, handing):
    handing.handed.clear()
    ours, theirs = socket.socketpair()
    handing.hand_over(theirs, "redlockd.socket")
    refused(world, handing, "descriptor 3", "not a listening stream socket")
    ours.close()


def test_a_network_socket_for_clients_is_refused(world, handing):
    handing.handed.clear()
    handing.hand_over(socket.create_server(("127.0.0.1", 0)), "redlockd.socket")
    refused(world, handing, "descriptor 3", "Unix")


def test_a_second_socket_for_clients_is_refused(world, handing):
    handing.listen(world.path / "second.sock")
    refused(world, handing, "descriptor 4", "second")


def test_sockets_meant_for_another_process_are_not_taken(world, handing):
    service = activated(world, handing)
    service.path = world.path / "own.sock"
    service.argv = lambda: ["env", "LISTEN_PID=1", *Service.argv(service)[:-1], service.path]
    service.start()
    assert service.client().call("ping") == {}


def test_it_sleeps_when_nothing_comes_any_more(daemon, nodes3):
    client = daemon.client()
    for _ in range(100):
        client.add("k")
        client.call("free")
    state = pathlib.Path(f"/proc/{daemon.process.pid}/stat")
    eventually(lambda: state.read_text().rsplit(")", 1)[1].split()[0] == "S")
