"""
Two network namespaces and a wire between them, each packet of which goes through the test: what is lost, and what comes
late, is the test's to say. It takes root, and /dev/net/tun; no address is visible outside, and no program but the kernel is needed.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import socket
import struct
import threading

from harness import Redis

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI, IFF_UP = 0x400454CA, 0x0001, 0x1000, 0x1
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK = 0x8913, 0x8914, 0x8916, 0x891C
TCP_ESTABLISHED, TCP_TIME_WAIT, TCP_LISTEN = 1, 6, 10  # include/net/tcp_states.h

PASS, DROP, HOLD = "pass", "drop", "hold"

libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


class Namespace:
    """A network of its own. What is started, and which sockets are made, while it is entered, is in there."""

    def __init__(self):
        before = self.current()
        try:
            checked(libc.unshare(CLONE_NEWNET))
            self.fd = self.current()
        finally:
            checked(libc.setns(before, CLONE_NEWNET))
            os.close(before)
        with self:
            self.set_up("lo")

    @staticmethod
    def current():
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def __enter__(self):
        self.before = self.current()
        checked(libc.setns(self.fd, CLONE_NEWNET))

    def __exit__(self, *_):
        checked(libc.setns(self.before, CLONE_NEWNET))
        os.close(self.before)

    @staticmethod
    def ioctl(request, name, rest):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            return fcntl.ioctl(s, request, struct.pack("16s24s", name.encode(), rest))

    def set_up(self, name, up=True):
        (flags,) = struct.unpack_from("=H", self.ioctl(SIOCGIFFLAGS, name, b""), 16)
        self.ioctl(SIOCSIFFLAGS, name, struct.pack("=H", flags | IFF_UP if up else flags & ~IFF_UP))

    def plug(self, name, address):
        """An end of a wire, whose packets are read from, and written to, what is returned."""
        with self:
            end = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
            fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
            for request, ip in ((SIOCSIFADDR, address), (SIOCSIFNETMASK, "255.255.255.0")):
                self.ioctl(request, name, struct.pack("=HH4s", socket.AF_INET, 0, socket.inet_aton(ip)))
            self.set_up(name)
        return end

    def sockets(self):
        """Its TCP sockets but for those that listen: (own port, the other's port, state, bytes that wait to be sent or confirmed)."""
        with self, open("/proc/thread-self/net/tcp") as table:
            rows = [line.split() for line in table.readlines()[1:]]
        found = [(int(r[1][9:], 16), int(r[2][9:], 16), int(r[3], 16), int(r[4][:8], 16)) for r in rows]
        return [row for row in found if row[2] != TCP_LISTEN]

    def close(self):
        os.close(self.fd)


def flow(packet):
    """The ports of the connection that it belongs to."""
    at = (packet[0] & 15) * 4
    return frozenset(struct.unpack_from(">HH", packet, at))


def is_reset(packet):
    return bool(packet[(packet[0] & 15) * 4 + 13] & 4)


class Network:
    """`here` is 10.77.0.1, `there` 10.77.0.2."""

    HERE, THERE = "10.77.0.1", "10.77.0.2"

    def __init__(self):
        self.here, self.there = Namespace(), Namespace()
        self.ends = [self.here.plug("wire", self.HERE), self.there.plug("wire", self.THERE)]
        self.lock = threading.Lock()
        self.rule = lambda outward, packet: PASS
        self.held = []  # (end to be written to, packet), in the order in which they came
        self.lost_n = 0
        self.ended, self.end = socket.socketpair()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            for end in select.select([self.ended, *self.ends], [], [])[0]:
                if end is self.ended:
                    return
                with contextlib.suppress(BlockingIOError), self.lock:
                    self.take(end, os.read(end, 65536))

    def take(self, end, packet):
        if packet[0] >> 4 != 4:
            return  # IPv6 looks for neighbours
        outward = end == self.ends[0]
        verdict = self.rule(outward, packet)
        if verdict == PASS:
            self.write(self.ends[outward], packet)
        elif verdict == HOLD:
            self.held.append((self.ends[outward], packet))
        else:
            self.lost_n += 1

    @staticmethod
    def write(end, packet):
        try:
            os.write(end, packet)
        except OSError as error:
            if error.errno != errno.EIO:  # this end is down
                raise

    def rules(self, rule):
        """`rule(outward, packet)` says what becomes of a packet, outward being from here to there."""
        with self.lock:
            self.rule = rule

    def heal(self):
        """Everything passes, behind what was held."""
        with self.lock:
            self.rule = lambda outward, packet: PASS
            for end, packet in self.held:
                self.write(end, packet)
            self.held = []

    def redis(self, world, there):
        """A node on one of the two sides, and its address the same for both."""
        side = self.there if there else self.here
        host, options = self.THERE if there else self.HERE, ["--protected-mode", "no"]
        with side:
            node = FarRedis(world.path, f"node{len(world.redises)}", host=host, options=options)
        node.side = side
        world.redises.append(node)
        return node.start()

    def daemon(self, world, nodes, side, **sections):
        with side:
            return world.daemon(nodes, **sections)

    def close(self):
        self.end.close()
        self.thread.join()
        for end in self.ends:
            os.close(end)
        self.here.close()
        self.there.close()


class FarRedis(Redis):
    """A node in a namespace, which is entered in order to ask it: whatever the wire does, it answers the test."""

    def launch(self):
        with self.side:
            super().launch()

    def connect(self):
        with self.side:
            return super().connect()
