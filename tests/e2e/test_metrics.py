"""What the broker counts, as Prometheus reads it: by the method, by redlockctl, and scraped."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import socket
import subprocess

import pytest

from harness import REDLOCKCTL, eventually, free_port, let_pass
from manager import Manager, Service

SAMPLE = re.compile(r'(redlockd_\w+)(?:\{((?:\w+="(?:[^"\\\n]|\\["\\n])*",?)+)\})? (\S+)')


def parse(text):
    """{(name, labels as they stand): value}."""
    samples = {}
    for line in text.splitlines():
        if line.startswith("#"):
            assert re.fullmatch(r"# (HELP redlockd_\w+ .+|TYPE redlockd_\w+ (gauge|counter|histogram))", line), line
            continue
        name, labels, value = SAMPLE.fullmatch(line).groups()
        assert (name, labels or "") not in samples, line
        samples[name, labels or ""] = float(value)
    return samples


def metrics(client):
    return parse(client.call("metrics")["text"])


def one(samples, name, labels=""):
    return samples[f"redlockd_{name}", labels]


@pytest.fixture
def manager(world):
    return world.keep(Manager(world.path))


# --- what is counted --------------------------------------------------------------------------------------------------


def test_nodes_and_quorum(daemon, nodes3):
    client = daemon.client()
    m = metrics(client)
    assert [one(m, n) for n in ["nodes", "nodes_up", "quorum", "quorum_ok"]] == [3, 3, 2, 1]
    for node in nodes3:
        name = f'node="127.0.0.1:{node.port}"'
        assert one(m, "node_up", name) == 1
        assert one(m, "node_round_trip_seconds_count", name) > 0
    nodes3[0].kill()
    nodes3[1].kill()
    daemon.wait_nodes(1)
    m = metrics(client)
    assert [one(m, n) for n in ["nodes_up", "quorum_ok"]] == [1, 0]
    assert one(m, "node_up", f'node="127.0.0.1:{nodes3[0].port}"') == 0


def test_sessions_locks_and_waiters(memory):
    client, other = memory.client(), memory.client()
    assert one(metrics(client), "oldest_wait_seconds") == 0
    client.add(["a", "b", "c"])
    other.send("add", keys="a", retryCount=-1)
    let_pass(memory.client(), 200)
    m = metrics(client)
    assert [one(m, n) for n in ["sessions", "locks", "waiters"]] == [3, 3, 1]
    assert 0.1 < one(m, "oldest_wait_seconds") < 60


def test_requests_by_their_result(memory):
    client, other = memory.client(), memory.client()
    client.add("a")
    for _ in range(3):
        other.fails("LOCKED", "add", keys="a", retryCount=0)
    other.call("ping")
    other.ask(b"nonsense")
    other.fails("INVALID_PARAMS", "add", keys="")
    m = metrics(client)
    assert one(m, "requests_total", 'method="add",result="OK"') == 1
    assert one(m, "requests_total", 'method="add",result="LOCKED"') == 3
    assert one(m, "requests_total", 'method="ping",result="OK"') == 1
    assert one(m, "requests_total", 'method="free",result="OK"') == 0
    assert one(m, "refused_total", 'reason="PARSE"') == 1
    assert one(m, "refused_total", 'reason="INVALID_PARAMS"') == 1
    assert one(metrics(client), "requests_total", 'method="metrics",result="OK"') == 1


def test_locks_by_what_ended_them(memory):
    client, other = memory.client(), memory.client()
    client.add(["freed", "kept", "dropped"])
    client.extend("kept")
    client.call("free", keys="freed")
    let_pass(other, 50)
    client.close()
    eventually(lambda: one(metrics(other), "locks_ended_total", 'reason="disconnected"') == 2)
    m = metrics(other)
    assert one(m, "locks_granted_total") == 4 and one(m, "locks_extended_total") == 1
    assert one(m, "locks_ended_total", 'reason="freed"') == 1
    assert one(m, "locks_ended_total", 'reason="expired"') == 1
    assert one(m, "hold_seconds_count") == 4


def counted(client, *names):
    """Of each: the metric, which must be what `status` says."""
    values = [one(metrics(client), f"{name}_total") for name in names]
    counters = client.call("status")["counters"]
    assert values == [counters[name] for name in names]
    return values


def test_keys_that_are_passed_on_and_requests_that_would_wait_for_ever(memory):
    a, b = memory.client(), memory.client()
    assert counted(a, "handovers", "deadlocks", "tenures", "wakeups") == [0, 0, 0, 0]
    a.add("x")
    b.add("y")
    waiting = a.send("add", keys="y", retryCount=-1)
    eventually(lambda: b.call("waiters")["waiters"])
    b.fails("DEADLOCK", "add", keys="x", retryCount=-1)
    b.call("free")
    a.reply(waiting)
    assert counted(a, "handovers", "deadlocks") == [1, 1]


def test_turns_and_wake_ups_between_hosts(world, nodes3):
    host = world.daemon(nodes3, lock={"tenure": 0})
    here, there = [host.client() for _ in range(3)], world.daemon(nodes3).client()
    here[0].add("k")
    waiting = there.send("add", keys="k", retryCount=-1)
    eventually(lambda: all("redlockd:free:k" in node.command("PUBSUB", "CHANNELS") for node in nodes3))
    here[0].call("free")
    there.reply(waiting)
    there.call("free")
    assert counted(there, "wakeups", "handovers", "tenures") == [1, 0, 0]
    # The second in the queue is passed the key, and that begins a tenure, which is over when the third would be.
    here[0].add("k")
    queue = []
    for n, client in enumerate(here[1:], 1):
        queue.append(client.send("add", keys="k", retryCount=-1))
        eventually(lambda: len(here[0].call("waiters")["waiters"]) == n)
    for n, request in enumerate(queue):
        here[n].call("free")
        here[n + 1].reply(request)
    assert counted(here[0], "handovers", "tenures") == [1, 1]


def bucket(m, name, le):
    return one(m, f"{name}_bucket", f'le="{le}"')


def test_how_long_was_waited_held_and_left(memory):
    client, other = memory.client(), memory.client()
    client.add("a", ttl=10000)
    request = other.send("add", keys="a", retryCount=-1, ttl=10000)
    let_pass(memory.client(), 300)
    client.call("free")
    other.reply(request)
    m = metrics(client)
    assert one(m, "wait_seconds_count") == 3 and bucket(m, "wait_seconds", "0.25") == 2
    assert 0.25 < one(m, "wait_seconds_sum") < 60
    assert bucket(m, "hold_seconds", "0.1") == 0 and one(m, "hold_seconds_count") == 2
    assert bucket(m, "validity_seconds", "5") == 1 and bucket(m, "validity_seconds", "10") == 3


def test_buckets_add_up(memory):
    client = memory.client()
    for i in range(50):
        client.add(f"k{i}")
    m = metrics(client)
    for name in ["wait_seconds", "hold_seconds", "validity_seconds", "loop_turn_seconds"]:
        counts = [v for (n, labels), v in m.items() if n == f"redlockd_{name}_bucket"]
        assert counts == sorted(counts) and counts[-1] == one(m, f"{name}_count")
    assert one(m, "wait_seconds_count") == 50


def test_a_turn_of_the_loop_that_takes_long_is_seen(memory):
    client = memory.client()
    client.call("metrics")
    big = json.dumps({"method": "add", "params": {"keys": [f"{i:0512}" for i in range(64)]}}).encode() + b"\n"
    while bucket(m := metrics(client), "loop_turn_seconds", "0.0005") == one(m, "loop_turn_seconds_count"):
        client.send_raw(big * 20)
        for _ in range(20):
            client.read()
    assert one(m, "loop_turn_seconds_sum") > 0.0005


def test_the_turns_in_which_a_long_view_is_printed_are_counted(world):
    """Nothing else is done in them: 16 here, each for what one request has taken, which is more than the 4 KB that may wait."""
    client = world.daemon(limits={"maxOutputBytes": 4096}).client()
    for first in range(0, 1024, 64):
        client.add([f"{i:0400}" for i in range(first, first + 64)], ttl=60000)
    before = one(metrics(client), "loop_turn_seconds_count")
    client.call("list")
    assert one(metrics(client), "loop_turn_seconds_count") > before + 10


def test_time_that_is_waited_is_no_turn_of_the_loop(memory):
    client = memory.client()
    let_pass(memory.client(), 1000)
    assert one(metrics(client), "loop_turn_seconds_sum") < 0.5


def test_reloads(world, manager):
    service = Service(world, manager).start()
    client = service.client()
    client.call("reload")
    service.config.write_text("{")
    for _ in range(2):
        client.fails("INVALID_PARAMS", "reload")
    m = metrics(client)
    assert (one(m, "reloads_total", 'result="done"'), one(m, "reloads_total", 'result="failed"')) == (1, 2)


def test_no_label_has_a_key_or_a_session_in_it(memory):
    client = memory.client()
    client.call("hello", name="a-client-of-a-name")
    client.add(["a-key-of-a-name"])
    memory.client().fails("LOCKED", "add", keys="a-key-of-a-name", retryCount=0)
    labels = {name for _, labels in metrics(client) for name in re.findall(r'(\w+)="', labels)}
    assert labels == {"version", "scope", "node", "method", "result", "reason", "le"}
    assert "of-a-name" not in client.call("metrics")["text"]


def test_a_name_of_a_node_is_escaped(world):
    daemon = world.daemon([{"name": 'quote " and \\ slash', "url": world.redis().url}])
    assert one(metrics(daemon.client()), "node_up", r'node="quote \" and \\ slash"') == 1


def promtool(text):
    return subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)


def test_promtool_finds_nothing_wrong(daemon, nodes3):
    client = daemon.client()
    client.add("a")
    daemon.client().fails("LOCKED", "add", keys="a", retryCount=0)
    done = promtool(client.call("metrics")["text"])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- redlockctl -------------------------------------------------------------------------------------------------------


def ctl(daemon, *argv, **options):
    return subprocess.run(
        [REDLOCKCTL, "-s", daemon.path, "metrics", *argv], capture_output=True, text=True, **options
    )


def test_redlockctl_shows_them(memory):
    done = ctl(memory)
    assert done.returncode == 0 and one(parse(done.stdout), "sessions") == 1


def test_a_file_is_replaced_as_a_whole(world, memory):
    target = world.path / "redlockd.prom"
    target.write_text("old")
    with open(target) as reader:
        assert ctl(memory, "-o", target).returncode == 0
        assert reader.read() == "old"  # whoever has it open still reads the old one
    assert one(parse(target.read_text()), "sessions") == 1
    assert os.stat(target).st_mode & 0o777 == 0o644
    assert not list(world.path.glob(".redlockd.prom*"))


def test_a_file_that_cannot_be_written_is_told_and_nothing_is_left(world, memory):
    directory = world.path / "taken.prom"
    directory.mkdir()
    done = ctl(memory, "-o", directory)
    assert done.returncode == 1 and str(directory) in done.stderr
    assert not list(world.path.glob(".taken*"))
    assert ctl(memory, "-o", "/nowhere/at/all.prom").returncode == 1


def test_a_full_disk_is_told(memory):
    done = subprocess.run(
        [REDLOCKCTL, "-s", memory.path, "metrics"], stdout=open("/dev/full", "w"), stderr=subprocess.PIPE, text=True
    )
    assert done.returncode == 1 and "No space left" in done.stderr


# --- scraping ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def scraped(world, manager):
    port = free_port()
    service = Service(world, manager, metrics={"listen": f"127.0.0.1:{port}"}).start()
    service.port = port
    return service


def ask(service, method="GET", path="/metrics", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=15)
    with contextlib.closing(connection):
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer, answer.read()


def test_it_is_off_unless_it_is_asked_for(memory):
    inodes = set()
    for fd in os.listdir(f"/proc/{memory.process.pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # a session's that has just ended
            inodes.add(os.readlink(f"/proc/{memory.process.pid}/fd/{fd}"))
    assert inodes
    with open("/proc/net/tcp") as f:
        assert not any(f"socket:[{line.split()[9]}]" in inodes for line in f.readlines()[1:])


def test_it_is_scraped(scraped):
    answer, body = ask(scraped)
    assert (answer.status, answer.getheader("Content-Type")) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert int(answer.getheader("Content-Length")) == len(body)
    assert one(parse(body.decode()), "nodes") == 1
    answer, body = ask(scraped, "HEAD")
    assert answer.status == 200 and body == b""
    assert ask(scraped, path="/metrics?name=x")[0].status == 200


@pytest.mark.parametrize(
    "method, path, status", [("GET", "/", 404), ("GET", "/metricsx", 404), ("POST", "/metrics", 405), ("DELETE", "/", 405)]
)
def test_nothing_else_is_answered(scraped, method, path, status):
    assert ask(scraped, method, path)[0].status == status


def raw(service, data, end=True):
    with socket.create_connection(("127.0.0.1", service.port), timeout=15) as s:
        s.sendall(data)
        if end:
            s.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: s.recv(65536), b""))


@pytest.mark.parametrize("data", [b"GET\r\n\r\n", b"\r\n\r\n", b"\0\0\0\0\n\n", b"GET /metrics\r\n\r\n", b" / HTTP\r\n\r\n"])
def test_what_is_no_http_is_refused(scraped, data):
    assert raw(scraped, data, end=False).startswith(b"HTTP/1.1 400 ")
    assert ask(scraped)[0].status == 200


def test_the_request_may_be_as_long_as_the_limit_and_no_longer(scraped):
    head, tail = b"GET /metrics HTTP/1.1\r\nX: ", b"\r\n\r\n"
    fits = head + b"x" * (8192 - len(head) - len(tail)) + tail
    assert raw(scraped, fits, end=False).startswith(b"HTTP/1.1 200 ")
    assert raw(scraped, fits[:-4] + b"y" + tail, end=False).startswith(b"HTTP/1.1 431 ")


def test_half_a_request_is_not_answered(scraped):
    assert raw(scraped, b"GET /metrics HTTP/1.1\r\n") == b""


def test_who_says_nothing_is_given_up(scraped):
    with socket.create_connection(("127.0.0.1", scraped.port), timeout=15) as s:
        assert s.recv(1) == b""  # after 5 s


def test_no_more_than_so_many_at_a_time(scraped):
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(("127.0.0.1", scraped.port), timeout=15)) for _ in range(16)]
        more = stack.enter_context(socket.create_connection(("127.0.0.1", scraped.port), timeout=2))
        assert more.recv(1) == b""
        silent[0].sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert silent[0].recv(17) == b"HTTP/1.1 200 OK\r\n"
    eventually(lambda: ask(scraped)[0].status == 200)


def test_scraping_during_a_drain(scraped):
    client = scraped.client()
    client.add("held")
    scraped.process.terminate()
    eventually(lambda: one(parse(ask(scraped)[1].decode()), "draining") == 1)
    client.call("free")
    assert scraped.ended() == 0


def test_a_socket_for_it_may_be_a_file(world, manager):
    path = world.path / "metrics.sock"
    service = Service(world, manager, metrics={"listen": str(path)}).start()
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        s.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert s.makefile("rb").read().startswith(b"HTTP/1.1 200 OK\r\n")
    assert os.stat(path).st_mode & 0o777 == 0o660
    service.terminate()
    assert not path.exists()


def test_a_socket_for_it_may_be_handed_over(world, manager):
    listening = manager.hand_over(socket.create_server(("127.0.0.1", 0)), "metrics")
    service = Service(world, manager, metrics={"listen": "127.0.0.1:1"}).start()  # would be refused: the one given counts
    service.port = listening.getsockname()[1]
    assert ask(service)[0].status == 200
    service.client().call("ping")


def test_an_address_that_is_taken_is_told(world, manager):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = "127.0.0.1:%d" % taken.getsockname()[1]
        service = Service(world, manager, metrics={"listen": listen})
        with open(service.log_file, "ab") as log:
            service.process = manager.spawn(service.argv(), stdout=log, stderr=log)
        assert service.ended() == 1
        assert f"{listen}: listen: Address already in use" in service.log()
        other = Service(world, manager).start()
        other.reconfigure(metrics={"listen": listen}, lock={"ttl": 1000})
        assert "Address already in use" in other.client().fails("INVALID_PARAMS", "reload").message
        assert other.client().add("a")["a"]["validity"] > 1000


def test_it_may_be_turned_on_and_off_and_moved_by_a_reload(world, manager):
    service = Service(world, manager).start()
    client = service.client()
    for _ in range(2):
        service.port = free_port()
        service.reconfigure(metrics={"listen": f"127.0.0.1:{service.port}"})
        client.call("reload")
        assert ask(service)[0].status == 200
        client.call("reload")
        assert ask(service)[0].status == 200
    service.reconfigure(metrics=None)
    client.call("reload")
    with pytest.raises(ConnectionRefusedError):
        ask(service)


@pytest.mark.parametrize(
    "listen", ["", "localhost:9725", "9725", ":9725", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:+1", "::1:80", "[::1]80", "[::1]", "x" * 200, 9725, False]
)
def test_an_address_that_is_none_is_refused(world, manager, listen):
    service = Service(world, manager).start()
    service.reconfigure(metrics={"listen": listen})
    assert "metrics.listen" in service.client().fails("INVALID_PARAMS", "reload").message


def test_a_real_prometheus_scrapes_it(world, scraped):
    port = free_port()
    config = world.path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 100ms}\n"
        f"scrape_configs: [{{job_name: redlockd, static_configs: [{{targets: ['127.0.0.1:{scraped.port}']}}]}}]\n"
    )
    world.spawn(
        ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={world.path}/tsdb", f"--web.listen-address=127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    scraped.client().add(["a", "b", "c"])

    def query(expression):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.request("GET", "/api/v1/query?query=" + expression)
            answer = connection.getresponse()
            if answer.status == 200:  # 503 until it is ready
                return [float(r["value"][1]) for r in json.loads(answer.read())["data"]["result"]]

    eventually(lambda: query("redlockd_locks") == [3.0], within=60)
    assert query("up") == [1.0]
    assert len(query("redlockd_hold_seconds_bucket")) == 19
