"""
Real redis-servers, the real daemon and its clients, all in a temporary folder of their own.

A `World` owns everything that a test starts and ends it, whatever happens. Nothing in here waits for a fixed time: what
has an event is waited for by the event, with a deadline; what has none is polled by eventually().
"""

import contextlib
import ctypes
import fcntl
import json
import os
import pathlib
import pty
import select
import shutil
import signal
import socket
import subprocess
import sys
import struct
import tempfile
import termios
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("REDLOCKD_BUILD", ROOT / "build"))
REDLOCKD = BUILD / "redlockd"
REDLOCKCTL = BUILD / "redlockctl"

SANITIZER_WORDS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:", "UndefinedBehaviorSanitizer")


def sanitized():
    """Whether the daemon was built with a sanitizer, which makes it slower."""
    try:
        program = REDLOCKD.read_bytes()
    except OSError:
        return False
    return b"__asan_init" in program or b"__ubsan_handle" in program


# Everything that is bounded by time is allowed so many times its time.
SLOW = float(os.environ.get("REDLOCKD_E2E_SLOW", 4 if sanitized() else 1))
# The deadline of everything that is expected to happen: far beyond what it takes, and never waited for in full unless
# it does not happen.
DEADLINE = 15 * SLOW
# Milliseconds by which a single thing may be late on a busy machine. Where milliseconds count, take a median.
LATE = 1000 * SLOW


def now_ms():
    """Milliseconds that only go forward."""
    return time.monotonic_ns() / 1e6


def eventually(fn, within=DEADLINE, what=None):
    """Asks `fn` until it gives something true, and returns that."""
    end = time.monotonic() + within
    while True:
        value = fn()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"did not happen within {within} s: {what or getattr(fn, '__name__', fn)}")
        select.select([], [], [], 0.004)


ports_given = set()


def free_port():
    """A free TCP port, never the same twice: it may be some time before its server has it."""
    while True:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        if port not in ports_given:
            ports_given.add(port)
            return port


def die_with_parent():
    """In a child before exec: ended by the kernel when the tests end, however they end."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    for ignored in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):  # by a shell that runs the tests in the background, or nohup
        signal.signal(ignored, signal.SIG_DFL)


def spawn(argv, preexec_fn=lambda: None, **options):
    def enter():
        die_with_parent()
        preexec_fn()

    return subprocess.Popen([str(a) for a in argv], preexec_fn=enter, **options)


def connect(path):
    """A session at this socket."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(DEADLINE)
    try:
        s.connect(str(path))
    except OSError:
        s.close()
        raise
    return Client(s)


def stop_process(process):
    """SIGSTOP; returns when the process does stand still."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)


def kill_process(process):
    """SIGKILL; returns when the process is gone."""
    if process.poll() is None:
        process.kill()
    process.wait()


# --- Redis ------------------------------------------------------------------------------------------------------------


class RedisError(Exception):
    """An error reply of a node."""


class Redis:
    """One redis-server process without persistence: it forgets everything when it ends."""

    def __init__(self, directory, name, *, options=(), password=None, over_unix=False, host="127.0.0.1", before=()):
        self.name = name
        self.password = password
        self.host = host
        self.process = None
        self.port = 0 if over_unix else free_port()
        self.socket = directory / f"{name}.sock" if over_unix else None
        self.argv = [*before, "redis-server", "--port", self.port, "--bind", host, "--save", "", "--appendonly", "no"]
        self.argv += ["--dir", directory, "--daemonize", "no", "--logfile", directory / f"{name}.log"]
        self.argv += ["--unixsocket", self.socket] if over_unix else []
        self.argv += ["--requirepass", password] if password else []
        self.argv += list(options)

    @property
    def url(self):
        """As the daemon's configuration wants it; without a password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"unix://{self.socket}" if self.socket else f"redis://{host}:{self.port}"

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def start(self):
        self.launch()
        return self.ready()

    def launch(self):
        self.process = spawn(self.argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ready(self):
        def answers():
            if not self.running:
                self.launch()  # something else had the port for a moment
            with contextlib.suppress(OSError):
                try:
                    return self.command("PING") == "PONG"
                except RedisError as error:
                    if not str(error).startswith("LOADING"):
                        raise

        eventually(answers, what=f"{self.name} answers PING")
        return self

    def stop(self):
        """The node hangs: its connections stay, nothing is answered."""
        stop_process(self.process)

    def cont(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        kill_process(self.process)

    def restart(self):
        """Comes back empty, at the same address."""
        self.kill()
        return self.start()

    def flush(self):
        self.command("FLUSHALL")

    def command(self, *words, db=0):
        """One command on a connection of its own."""
        with self.connect() as link:
            if self.password:
                link.command("AUTH", self.password)
            if db:
                link.command("SELECT", db)
            return link.command(*words)

    def connect(self):
        if self.socket:
            s = socket.socket(socket.AF_UNIX)
            address = str(self.socket)
        else:
            s = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
            address = (self.host, self.port)
        s.settimeout(DEADLINE)
        try:
            s.connect(address)
        except OSError:
            s.close()
            raise
        return RedisLink(s)

    def get(self, key):
        return self.command("GET", key)

    def keys(self):
        """The locks that stand in this node, with their values; not what the daemon keeps for itself."""
        with self.connect() as link:
            if self.password:
                link.command("AUTH", self.password)
            names = [n for n in link.command("KEYS", "*") if not n.startswith("redlockd:")]
            return {n: link.command("GET", n) for n in names if link.command("TYPE", n) == "string"}


class RedisLink:
    """RESP over one connection: just enough to look at keys."""

    def __init__(self, connected):
        self.socket = connected
        self.file = connected.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def command(self, *words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        line = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)
        self.socket.sendall(line)
        return self.reply()

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionResetError("closed in the middle of a reply")
        kind, rest = line[:1], line[1:-2].decode(errors="replace")
        if kind == b"-":
            raise RedisError(rest)
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if int(rest) < 0:
                return None
            return self.file.read(int(rest) + 2)[:-2].decode(errors="replace")
        return None if int(rest) < 0 else [self.reply() for _ in range(int(rest))]


class SlowLink:
    """A relay before a node; everything that the node says arrives `delay_ms` late."""

    def __init__(self, node, delay_ms):
        self.node = node
        self.delay = delay_ms / 1000
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "redis://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.ended, self.end = socket.socketpair()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def change(self, data):
        """What a relay makes of what its node says."""
        return data

    def run(self):
        peers, late = {}, []  # socket -> its other end; (when, socket, bytes)
        downward = set()
        while True:
            wait = max(0, late[0][0] - time.monotonic()) if late else None
            for s in select.select([self.listener, self.ended, *peers], [], [], wait)[0]:
                if s is self.ended:
                    for other in (self.listener, self.ended, *peers):
                        other.close()
                    return
                if s is self.listener:
                    above, below = s.accept()[0], self.node.connect().socket
                    peers.update({above: below, below: above})
                    downward.add(below)
                    continue
                try:
                    data = s.recv(65536)
                except OSError:
                    data = b""
                if data and s in downward:
                    late.append((time.monotonic() + self.delay, peers[s], self.change(data)))
                elif data:
                    with contextlib.suppress(OSError):
                        peers[s].sendall(data)
                else:
                    other = peers.pop(s)
                    peers.pop(other, None)
                    late = [entry for entry in late if entry[1] not in (s, other)]
                    for closing in (s, other):
                        closing.close()
                    break
            while late and late[0][0] <= time.monotonic():
                _, target, data = late.pop(0)
                with contextlib.suppress(OSError):
                    target.sendall(data)

    def close(self):
        self.end.close()
        self.thread.join()


# --- the daemon and its clients ---------------------------------------------------------------------------------------


class RpcError(Exception):
    """An error reply of the daemon."""

    def __init__(self, error):
        self.code = error["code"]
        self.message = error["message"]
        self.data = error.get("data", {})
        self.name = self.data.get("name")
        super().__init__(f"{self.name}: {self.message} {self.data}")


class Client:
    """One session. Replies may come in any order and notices at any time, so both are kept until they are asked for."""

    def __init__(self, connected):
        self.socket = connected
        self.held = b""
        self.replies = {}
        self.notices = []
        self.last_id = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def end_of_requests(self):
        """Half-close: nothing more will be asked, replies are still read."""
        self.socket.shutdown(socket.SHUT_WR)

    def send_raw(self, data):
        self.socket.settimeout(DEADLINE)
        self.socket.sendall(data)

    def send_line(self, message):
        self.send_raw(json.dumps(message, ensure_ascii=False).encode() + b"\n")

    def send(self, method, **params):
        """Returns the id that reply() wants."""
        self.last_id += 1
        self.send_line({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params})
        return self.last_id

    def read_line(self, within=DEADLINE):
        """The next line without its LF; None at the end of the connection."""
        end = time.monotonic() + within
        while b"\n" not in self.held:
            self.socket.settimeout(max(0.001, end - time.monotonic()))
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            except socket.timeout:
                raise AssertionError(f"no line within {within} s") from None
            if not data:
                assert not self.held, f"the connection ended within a line: {self.held!r}"
                return None
            self.held += data
        line, self.held = self.held.split(b"\n", 1)
        return line

    def read(self, within=DEADLINE):
        """The next message, whatever it is."""
        line = self.read_line(within)
        return None if line is None else json.loads(line)

    def ask(self, message, within=DEADLINE):
        """Sends one line (bytes as they stand, anything else as JSON) and returns the next message."""
        if isinstance(message, bytes):
            self.send_raw(message + b"\n")
        else:
            self.send_line(message)
        return self.read(within)

    def take(self, within):
        message = self.read(within)
        if message is None:
            raise EOFError("the daemon closed the session")
        if "method" in message:
            self.notices.append(message)
        else:
            self.replies[message["id"]] = message

    def reply(self, request, within=DEADLINE):
        """The result of a request, or its error raised."""
        end = time.monotonic() + within
        while request not in self.replies:
            self.take(max(0.001, end - time.monotonic()))
        message = self.replies.pop(request)
        if "error" in message:
            raise RpcError(message["error"])
        return message["result"]

    def call(self, method, within=DEADLINE, **params):
        return self.reply(self.send(method, **params), within)

    def fails(self, name, method, /, **params):
        """Calls, and returns the error, which must have this name."""
        try:
            result = self.call(method, **params)
        except RpcError as error:
            assert error.name == name, error
            return error
        raise AssertionError(f"{method} should have failed with {name}: {result}")

    def notice(self, method, within=DEADLINE):
        """The params of the next notice of this kind."""
        end = time.monotonic() + within
        while True:
            for message in self.notices:
                if message["method"] == method:
                    self.notices.remove(message)
                    return message["params"]
            self.take(max(0.001, end - time.monotonic()))

    def add(self, keys, **params):
        """Takes locks; they come back by their keys."""
        return {lock["key"]: lock for lock in self.call("add", keys=keys, **params)["locks"]}

    def extend(self, keys, **params):
        return {lock["key"]: lock for lock in self.call("extend", keys=keys, **params)["locks"]}

    def states(self, method, keys, **params):
        return {lock["key"]: lock["state"] for lock in self.call(method, keys=keys, **params)["locks"]}

    def list(self):
        return {lock["key"]: lock for lock in self.call("list")["locks"]}


RELAY = """
import os, select, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
while True:
    for fd in select.select([0, s], [], [])[0]:
        data = os.read(fd if fd == 0 else s.fileno(), 65536)
        if not data:
            sys.exit()
        if fd == 0:
            s.sendall(data)
        else:
            os.write(0, data)
"""


class LineProcess(Client):
    """A process that speaks JSON lines on its standard input and output."""

    def __init__(self, argv):
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = spawn(argv, stdin=theirs, stdout=theirs)
        super().__init__(ours)

    def kill(self):
        """kill -9; the kernel has closed everything of the process when this returns."""
        kill_process(self.process)

    def close(self):
        super().close()
        kill_process(self.process)


class ClientProcess(LineProcess):
    """A session in a process of its own, that can be killed."""

    def __init__(self, path):
        super().__init__([sys.executable, "-I", "-S", "-c", RELAY, path])


class Daemon:
    """build/redlockd with a configuration of its own, and the clients that were made through it."""

    def __init__(self, directory, name, nodes, sections):
        self.path = directory / f"{name}.sock"
        self.config = directory / f"{name}.json"
        self.log_file = directory / f"{name}.log"
        self.nodes = [n for n in nodes if isinstance(n, Redis)]
        self.nodes_n = len(nodes) or 1
        named = [n.url if isinstance(n, Redis) else n for n in nodes]
        self.config.write_text(json.dumps({"nodes": named, "stop": {"grace": int(1000 * SLOW)}, **sections}))
        self.clients = []
        self.process = None
        self.before = []  # words before the command, for prlimit and its like

    def start(self, up=True):
        """
        Returns when the socket accepts and, unless `up` is false, every node votes. Fresh nodes would keep silent for the
        longest ttl first: nobody holds anything on them, so they are certified.
        """
        with open(self.log_file, "ab") as log:
            self.process = spawn([*self.before, REDLOCKD, "-c", self.config, "-s", self.path], stdout=log, stderr=log)
        eventually(self.accepts, what="redlockd accepts")
        if up:
            self.certify(self.nodes_n)
        return self

    def accepts(self):
        if self.process.poll() is not None:
            raise AssertionError(f"redlockd ended with {self.process.returncode}:\n{self.log()}")
        with contextlib.suppress(OSError), connect(self.path):
            return True

    def certify(self, n=None):
        """Vouches for every node in quarantine. Returns when n nodes are up; without n, when none is in quarantine."""

        def up():
            nodes = client.call("nodes")["nodes"]
            for node in nodes:
                if node["state"] == "quarantined":
                    client.call("certify", node=node["name"])
            states = [node["state"] for node in nodes]
            return states.count("up") == n if n is not None else not {"quarantined", "connecting"} & set(states)

        with self.client() as client:
            eventually(up, what=f"{n} nodes up" if n is not None else "no node in quarantine")

    def wait_nodes(self, n):
        """Returns when exactly n nodes are up."""
        with self.client() as client:
            eventually(lambda: client.call("status")["nodesUp"] == n, what=f"{n} nodes up")

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def cpu_ms(self):
        """Its own time, which stands still while a busy machine lets others run."""
        return time.clock_gettime_ns(~self.process.pid << 3 | 2) / 1e6  # as clock_getcpuclockid(3) makes it

    def waits(self):
        """It has nothing to do."""
        return pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "S"

    def client(self):
        self.clients.append(connect(self.path))
        return self.clients[-1]

    def client_process(self):
        self.clients.append(ClientProcess(self.path))
        return self.clients[-1]

    def terminate(self, how=signal.SIGTERM):
        """Ends the daemon as systemd does; returns its log. Only a clean end is taken."""
        self.process.send_signal(how)
        try:
            status = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"redlockd did not end within {DEADLINE} s:\n{self.log()}") from None
        log = self.log()
        assert not any(word in log for word in SANITIZER_WORDS), log
        assert status == 0, f"redlockd ended with {status}:\n{log}"
        return log

    def kill(self):
        kill_process(self.process)

    def close(self):
        for client in self.clients:
            client.close()
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.terminate()


class World:
    """Owner of everything that one test starts."""

    def __init__(self, quiet=False):
        self.quiet = quiet
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="redlockd-"))
        self.redises = []
        self.daemons = []
        self.others = []  # anything with a close(), or a process

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def redis(self, start=True, **options):
        node = Redis(self.path, f"node{len(self.redises)}", **options)
        self.redises.append(node)
        return node.start() if start else node

    def nodes(self, n, **options):
        """Independent nodes; they start side by side."""
        nodes = [self.redis(start=False, **options) for _ in range(n)]
        for node in nodes:
            node.launch()
        return [node.ready() for node in nodes]

    def daemon(self, nodes=("memory:",), start=True, up=True, **sections):
        """`sections` are those of the configuration: lock={...}, limits={...}."""
        daemon = Daemon(self.path, f"redlockd{len(self.daemons)}", nodes, sections)
        self.daemons.append(daemon)
        return daemon.start(up) if start else daemon

    def slow_link(self, node, delay_ms):
        return self.keep(SlowLink(node, delay_ms))

    def spawn(self, argv, **options):
        return self.keep(spawn(argv, **options))

    def keep(self, thing):
        self.others.append(thing)
        return thing

    def close(self):
        errors = []
        for node in self.redises:
            if node.running:
                node.cont()
        for thing in self.others:
            if isinstance(thing, subprocess.Popen):
                kill_process(thing)
        for thing in [*self.daemons, *(t for t in self.others if not isinstance(t, subprocess.Popen))]:
            try:
                thing.close()
            except Exception as error:  # the rest must go too
                errors.append(error)
        for thing in [*self.daemons, *self.redises]:
            if thing.process:
                kill_process(thing.process)
        for daemon in [] if self.quiet else self.daemons:
            print(f"--- {daemon.log_file.name}\n{daemon.log()}", end="")  # shown by pytest where the test failed
        shutil.rmtree(self.path, ignore_errors=True)
        if errors:
            raise errors[0]


class Terminal:
    """A process that leads the session of a pseudo-terminal of its own."""

    def __init__(self, argv, rows=24, columns=80, env=None):
        self.fd, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.seen = b""

        def enter():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            die_with_parent()

        self.process = subprocess.Popen(
            [str(a) for a in argv], stdin=inside, stdout=inside, stderr=inside, preexec_fn=enter, env=env
        )
        os.close(inside)

    def write(self, keys):
        os.write(self.fd, keys)

    def read(self, within):
        """What came; b"" when it has hung up."""
        if not select.select([self.fd], [], [], max(0, within))[0]:
            raise AssertionError(f"the terminal says nothing more: {self.seen!r}")
        try:
            return os.read(self.fd, 65536)
        except OSError:
            return b""

    def wait_for(self, words, within=DEADLINE):
        """Reads until these words have come, and forgets all up to them."""
        end = time.monotonic() + within
        while words not in self.seen:
            more = self.read(end - time.monotonic())
            assert more, f"the terminal hung up before {words!r}: {self.seen!r}"
            self.seen += more
        self.seen = self.seen.split(words, 1)[1]

    def rest(self):
        """All that comes until everybody has hung up."""
        while more := self.read(DEADLINE):
            self.seen += more
        return self.seen

    def hang_up(self):
        os.close(self.fd)
        self.fd = None

    def close(self):
        kill_process(self.process)
        if self.fd is not None:
            os.close(self.fd)


def locks_on(nodes):
    """What stands in the nodes together, as (node, key) -> value."""
    return {(node.name, key): value for node in nodes for key, value in node.keys().items()}


def eventually_empty(nodes, within=DEADLINE):
    """Nothing is left of any lock, on any of the nodes."""
    try:
        eventually(lambda: not locks_on(nodes), within)
    except AssertionError:
        raise AssertionError(f"left on the nodes: {locks_on(nodes)}") from None


def let_pass(client, ms):
    """
    Lets time pass, and nothing else: a lock that nobody asks for lapses on the daemon. The session must not be
    subscribed for anything that the test wants to see itself.
    """
    client.call("subscribe")
    key = f"clock-{os.urandom(8).hex()}"
    client.add(key, ttl=ms)
    while client.notice("lost")["key"] != key:
        pass
