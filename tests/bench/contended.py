#!/usr/bin/python3
"""Eight processes that want one key, held for no time, on three redis-servers: redlockd beside node-redlock, in one run.

    tests/bench/contended.py [SECONDS [ROUNDS]]

Each contestant has its turn for SECONDS (3), ROUNDS (3) times, one after the other; the table shows medians. Everything runs on this
machine. A wait is from the end of one turn of a process to its next.
"""
import json
import pathlib
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import harness  # noqa: E402
from test_peers import install_peers  # noqa: E402

PROCESSES = 8
HERE = pathlib.Path(__file__).resolve().parent
RIVALS = {
    "node-redlock 4.2.0, its defaults": ("redlock4", {}),
    "node-redlock 4.2.0, retryDelay 2±2": ("redlock4", {"retryCount": -1, "retryDelay": 2, "retryJitter": 2}),
    "node-redlock 4.2.0, retryDelay 5±5": ("redlock4", {"retryCount": -1, "retryDelay": 5, "retryJitter": 5}),
    "node-redlock 4.2.0, retryDelay 20±20": ("redlock4", {"retryCount": -1, "retryDelay": 20, "retryJitter": 20}),
    "node-redlock 5.0.0-beta.2, its defaults": ("redlock5", {}),
}

CLIENT = """
import json, socket, sys, time
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); f = s.makefile("rb")
add = b'{"jsonrpc":"2.0","id":1,"method":"add","params":{"keys":"contended","ttl":10000,"retryCount":-1}}\\n'
free = b'{"jsonrpc":"2.0","method":"free"}\\n'
print("ready", flush=True); sys.stdin.readline()
seconds = float(sys.argv[2]); waits = []; began = time.perf_counter(); end = began + seconds
s.sendall(add)
while time.perf_counter() < end:
    f.readline(); now = time.perf_counter(); waits.append(1000 * (now - began)); began = now
    s.sendall(free + add)
waits.append(1000 * (time.perf_counter() - began))
f.close(); s.close()
print(json.dumps({"waits": waits, "failed": 0}), flush=True)
"""


def run(commands, seconds):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    processes = [subprocess.Popen([str(word) for word in c], **pipes) for c in commands]
    for p in processes:
        assert p.stdout.readline() == "ready\n"
    for p in processes:
        p.stdin.write("go\n")
    time.sleep(seconds)
    for p in processes:
        try:
            p.stdin.write("stop\n")
        except BrokenPipeError:
            pass
    return [json.loads(p.communicate(timeout=60)[0]) for p in processes]


def figures(results, seconds):
    shares = [len(r["waits"]) - 1 for r in results]
    jain = sum(shares) ** 2 / (len(shares) * sum(s * s for s in shares)) if any(shares) else 0
    return sum(shares) / seconds, jain, max(max(r["waits"]) for r in results), sum(r["failed"] for r in results)


def main():
    seconds, rounds = float((sys.argv + ["3"])[1]), int((sys.argv + ["3", "3"])[2])
    folder = install_peers()
    seen = {name: [] for name in ["redlockd", *RIVALS]}
    with harness.World(quiet=True) as world:
        nodes = world.nodes(3)
        daemon = world.daemon(nodes)
        for _ in range(rounds):
            seen["redlockd"].append(figures(run([[sys.executable, "-c", CLIENT, daemon.path, seconds]] * PROCESSES, seconds), seconds))
            for name, (library, options) in RIVALS.items():
                for node in nodes:
                    node.command("DEL", "contended")
                script = folder / "contend.js"
                script.write_text((HERE / "contend.js").read_text())
                command = ["node", script, library, json.dumps(options), *(n.port for n in nodes)]
                seen[name].append(figures(run([command] * PROCESSES, seconds), seconds))
    print("| | cycles a second | Jain's index | longest wait, ms | failed |\n|---|---|---|---|---|")
    for name, rows in seen.items():
        rate, jain, wait, failed = (statistics.median(column) for column in zip(*rows))
        print(f"| {name} | {rate:,.0f} | {jain:.3f} | {wait:,.0f} | {failed:,.0f} |")


main()
