#!/usr/bin/python3
"""
What an acquire costs a node: the script without and with its certificate compared, beside a plain SET NX PX, as Redis
itself measures it (INFO commandstats). All in one run, in turns, on one redis-server of its own.
"""

import hashlib
import os
import re
import statistics

from harness import ROOT, World

CALLS = int(os.environ.get("CALLS", 20000))
TURNS = 7
CERTIFICATE = "0123456789012345678901234567890123456789|00000000000000aa|60000"
VALUE = "0123456789abcdef0123456789abcdef"


def take_script():
    """The text of TAKE, out of the program's own source."""
    source = (ROOT / "src/net/redis_script.c").read_text()
    literals = re.search(r"\[COMMAND_TAKE\] =(.*?),\n", source, re.DOTALL)[1]
    return "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', literals)).encode().decode("unicode_escape")


def microseconds(link, name, command):
    """The mean of one call of `name`, over CALLS calls that each have a key of their own."""
    link.command("FLUSHALL")
    link.command("SET", "redlockd:cert", CERTIFICATE)
    link.command("CONFIG", "RESETSTAT")
    for i in range(CALLS):
        reply = link.command(*command(f"key{i}"))
        assert reply == "OK" or reply[0] == 1, reply
    stats = link.command("INFO", "commandstats")
    return float(re.search(rf"cmdstat_{name}:.*?usec_per_call=([\d.]+)", stats)[1])


def main():
    script = take_script()
    sha = hashlib.sha1(script.encode()).hexdigest()
    kinds = {
        "SET NX PX": ("set", lambda key: ("SET", key, VALUE, "PX", 60000, "NX")),
        "acquire, no certificate": ("evalsha", lambda key: ("EVALSHA", sha, 1, key, 1, 60000, "", VALUE)),
        "acquire, certificate compared": ("evalsha", lambda key: ("EVALSHA", sha, 1, key, 1, 60000, CERTIFICATE, VALUE)),
    }
    times = {kind: [] for kind in kinds}
    with World(quiet=True) as world:
        node = world.redis()
        with node.connect() as link:
            assert link.command("SCRIPT", "LOAD", script) == sha
            for _ in range(TURNS):
                for kind, (name, command) in kinds.items():
                    times[kind].append(microseconds(link, name, command))
            version = re.search(r"redis_version:(\S+)", link.command("INFO", "server"))[1]
    print(f"Redis {version}, {TURNS} turns of {CALLS} calls; microseconds of the node for one call, median (least to most)")
    for kind, each in times.items():
        print(f"  {kind:32}{statistics.median(each):6.2f}  ({min(each):.2f} to {max(each):.2f})")


if __name__ == "__main__":
    main()
