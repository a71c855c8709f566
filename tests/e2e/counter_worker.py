"""
One of the processes that raise a counter in a file: counter_worker.py SOCKET FILE TIMES TTL

Only who holds the lock reads the file, adds one and writes it back, and nobody writes near the end of its validity.
Each number that was written is printed.
"""

import sys
import time

from harness import connect

MARGIN_MS = 300  # for a process that the scheduler puts aside between its look at the clock and its write


def raise_once(client, path, ttl):
    """Returns the number written; None where too little validity was left."""
    lock = client.add("counter", within=600, ttl=ttl, retryCount=-1, retryDelay=10, retryJitter=10)["counter"]
    with open(path, "r+") as f:
        number = int(f.read()) + 1
        for _ in range(20):  # others have time to do harm, if they can
            client.call("list", within=600)
        written = lock["expiration"] - time.time() * 1000 > MARGIN_MS
        if written:
            f.seek(0)
            f.write(str(number))
            f.flush()
    client.call("free", within=600)
    return number if written else None


def main(socket, path, times, ttl):
    with connect(socket) as client:
        done = 0
        while done < int(times):
            number = raise_once(client, path, int(ttl))
            if number is not None:
                done += 1
                print(number, flush=True)


main(*sys.argv[1:])
