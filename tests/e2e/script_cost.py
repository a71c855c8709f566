#!/usr/bin/python3
"""
What the scripts cost a node, with the certificate compared and a fence given, beside a plain SET NX PX, as Redis itself
measures it (INFO commandstats). All in one run, in turns, on one redis-server of its own.
"""

import hashlib
import os
import re
import statistics
import subprocess
import time

from harness import ROOT, World

CALLS = int(os.environ.get("CALLS", 20000))
TURNS = 7
CERTIFICATE = "0123456789012345678901234567890123456789|00000000000000aa|60000"
VALUE = "0123456789abcdef0123456789abcdef"


BATCH = 32  # half of what may go out in one call


def script(kind):
    """The text of a script, out of the program's own source."""
    argv = ["cc", "-E", "-P", "-I", ROOT / "include", "-D_GNU_SOURCE", ROOT / "src/net/redis_script.c"]
    source = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    literals = re.search(rf"\[COMMAND_{kind}\] = *\n(.*?)(?:,\s*\[COMMAND_|,\s*\}};)", source, re.DOTALL)[1]
    return "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', literals)).encode().decode("unicode_escape")


def microseconds(link, name, command, fresh, starts):
    """The mean of one call of `name`, over CALLS calls that each have a key of their own: no key yet, or the ones of before."""
    if fresh:
        link.command("FLUSHALL")
        link.command("SET", "redlockd:cert", CERTIFICATE)
    link.command("CONFIG", "RESETSTAT")
    for i in range(CALLS):
        reply = link.command(*command(f"key{i}"))
        assert reply.startswith(starts), reply
    stats = link.command("INFO", "commandstats")
    return float(re.search(rf"cmdstat_{name}:.*?usec_per_call=([\d.]+)", stats)[1])


def microseconds_of_batches(link, sha, fence):
    """Of an acquire and a release together, as many of each in one call as a batch has; keys that were acquired a call before."""
    pairs = BATCH // 2
    link.command("CONFIG", "RESETSTAT")
    for i in range(CALLS // pairs):
        take, release = [[f"batch{k}.{n}" for n in range(pairs)] for k in (i % 2, 1 - i % 2)]
        keys = [key for pair in zip(take, release) for key in pair]
        args = [arg for _ in range(pairs) for arg in (VALUE, 60000, fence(), VALUE)]
        reply = link.command("EVALSHA", sha, BATCH, *keys, CERTIFICATE, 10000, "t0" * pairs, *args)
        assert i < 2 or reply.count("\n1 1") == BATCH, reply
    stats = link.command("INFO", "commandstats")
    return float(re.search(r"cmdstat_evalsha:.*?usec_per_call=([\d.]+)", stats)[1]) / pairs


def main():
    take, renew, release, batch = script("TAKE"), script("RENEW"), script("RELEASE"), script("KINDS_N")
    sha = {text: hashlib.sha1(text.encode()).hexdigest() for text in (take, renew, release, batch)}

    def fence():
        return int(time.time() * 1000) * 1024

    def acquire(certificate):
        return lambda key: ("EVALSHA", sha[take], 1, key, 60000, certificate, VALUE, fence())

    def extend(key):
        return ("EVALSHA", sha[renew], 1, key, CERTIFICATE, VALUE, 61000, fence())

    def free(key):
        return ("EVALSHA", sha[release], 1, key, VALUE)

    kinds = {  # in this order: a row that is not fresh begins with what the one before it has left
        "SET NX PX": ("set", lambda key: ("SET", key, VALUE, "PX", 60000, "NX"), True, "OK"),
        "acquire, no certificate": ("evalsha", acquire(""), True, "1 "),
        "acquire, certificate compared": ("evalsha", acquire(CERTIFICATE), True, "1 "),
        "acquire, refused: taken": ("evalsha", acquire(CERTIFICATE), False, "0 "),
        "renewal of one lock": ("evalsha", extend, False, "1 "),
        "release": ("evalsha", free, False, "1 "),
        "acquire, with a fence from before": ("evalsha", acquire(CERTIFICATE), False, "1 "),
    }
    together = f"acquire and release, {BATCH // 2} in a call"
    times = {kind: [] for kind in [*kinds, together]}
    with World(quiet=True) as world:
        node = world.redis()
        with node.connect() as link:
            for text in sha:
                assert link.command("SCRIPT", "LOAD", text) == sha[text]
            for _ in range(TURNS):
                for kind, args in kinds.items():
                    times[kind].append(microseconds(link, *args))
                times[together].append(microseconds_of_batches(link, sha[batch], fence))
            version = re.search(r"redis_version:(\S+)", link.command("INFO", "server"))[1]
    print(f"Redis {version}, {TURNS} turns of {CALLS} calls; microseconds of the node for one call, median (least to most)")
    for kind, each in times.items():
        print(f"  {kind:34}{statistics.median(each):6.2f}  ({min(each):.2f} to {max(each):.2f})")


if __name__ == "__main__":
    main()
