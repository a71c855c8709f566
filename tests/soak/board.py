"""
What the processes of a soak share: who believes to hold which key until when, what was counted, and the end.

A belief begins when a client has read that a lock is its own, and ends before it sends `free`, before its connection is
closed, or with the `expiration` that it was told. Two beliefs in one key at one moment are what must never be. A process
that is going to be killed is doomed first: from then on its beliefs count for nothing, since the daemon may see its end
before the one who kills it does.
"""

import mmap
import struct
import time

KEYS = 16
MORTALS = 12
# A belief that ends within this time is left to lapse: its owner may be late, and must not wipe out the next one.
NEAR_MS = 100

SLOT = struct.Struct("QdQ")  # owner, until (Unix ms), the generation of a mortal
NUMBER = struct.Struct("Q")

COUNTED = (
    "grants", "extensions", "frees", "refused", "noQuorum", "lapsed", "lost", "connectionsLeft", "killed",
    "floodRequests", "floodReplies", "malformedSent", "malformedAnswered", "halfLines", "silent", "notRead",
    "notReadClosed", "notReadKept", "halfClosed", "halfClosedAnswered", "abrupt", "noticesRead", "violations", "surprises",
    "reconnects", "scrapes",
)  # fmt: skip


def unix_ms():
    return time.time() * 1000


class Board:
    """Memory that is inherited by fork(). Each number and each slot has one writer at a time."""

    def __init__(self):
        self.memory = mmap.mmap(-1, 65536)
        self.writers = 0
        self.slots = 16384
        self.doomed = 32768

    # The end of all.
    def stop(self):
        self.memory[0] = 1

    def stopped(self):
        return self.memory[0] == 1

    # Counters: each writer has a row of its own.
    def writer(self):
        self.writers += 1
        assert 64 + self.writers * 512 < self.slots and len(COUNTED) * NUMBER.size <= 512
        return Counters(self, 64 + (self.writers - 1) * 512)

    def total(self, name):
        offset = COUNTED.index(name) * NUMBER.size
        return sum(NUMBER.unpack_from(self.memory, 64 + 512 * i + offset)[0] for i in range(self.writers))

    # Mortals: the lives of number i are generations of it.
    def doom(self, mortal, generation):
        NUMBER.pack_into(self.memory, self.doomed + mortal * NUMBER.size, generation)

    def is_doomed(self, owner, generation):
        mortal = owner >> 32
        if not mortal:
            return False
        return NUMBER.unpack_from(self.memory, self.doomed + mortal * NUMBER.size)[0] >= generation

    # Beliefs.
    def slot(self, key):
        return SLOT.unpack_from(self.memory, self.slots + key * SLOT.size)

    def enter(self, key, owner, until, generation=0):
        """Returns the belief that this one collides with, as (owner, ms left), or None."""
        other, other_until, other_generation = self.slot(key)
        SLOT.pack_into(self.memory, self.slots + key * SLOT.size, owner, until, generation)
        left = other_until - unix_ms()
        if other and other != owner and left > 0 and not self.is_doomed(other, other_generation):
            return other, left
        return None

    def leave(self, key, owner, until):
        """
        Wipes out a belief. Returns the one that stands in its place although this one still holds, as (owner, ms left), or
        None. Whoever has less than NEAR_MS left lets it lapse instead.
        """
        other, other_until, _ = self.slot(key)
        left = until - unix_ms()
        if other == owner:
            SLOT.pack_into(self.memory, self.slots + key * SLOT.size, 0, 0.0, 0)
        elif other and left > 0 and other_until > unix_ms():
            return other, left
        return None


class Counters:
    def __init__(self, board, offset):
        self.memory = board.memory
        self.at = {name: offset + NUMBER.size * i for i, name in enumerate(COUNTED)}

    def count(self, name, n=1):
        at = self.at[name]
        NUMBER.pack_into(self.memory, at, NUMBER.unpack_from(self.memory, at)[0] + n)
