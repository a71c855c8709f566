"""
The manuals, the completions and the program say the same: every key, option, command, method, parameter, error and
metric that the program has stands in its manual, and the other way round.
"""

import json
import os
import re
import shutil
import subprocess

import pytest

from harness import REDLOCKCTL, REDLOCKD, ROOT

PAGES = {page.name: page for page in ROOT.glob("src/*/*.[1-8]")}
COMPLETION = ROOT / "src" / "ctl" / "completion"


def lines(page):
    return PAGES[page].read_text().splitlines()


def section(page, name):
    text = PAGES[page].read_text()
    return re.search(rf"^\.Sh {name}$(.*?)(?=^\.Sh |\Z)", text, re.M | re.S).group(1).splitlines()


def words_of(lines, start):
    """The names of list items: what follows the macro, up to the next macro."""
    found = []
    for line in lines:
        if line.startswith(start + " "):
            names = re.split(r" (?:Pq|Op|Fl|Ar|Ns|Dq|Bq)\b", line[len(start) :])[0]
            found += [w for w in names.replace("\\&", "").split() if w != ","]
    return found


def source(path):
    return (ROOT / path).read_text()


def run(*argv, **options):
    return subprocess.run([str(a) for a in argv], capture_output=True, text=True, **options)


def same(documented, there):
    assert len(documented) == len(set(documented)), "twice in the manual"
    assert set(documented) == set(there)


# --- pages ------------------------------------------------------------------------------------------------------------


def test_there_is_a_page_for_each():
    assert set(PAGES) == {"redlockd.8", "redlockctl.1", "redlockd.json.5", "redlockd-protocol.7"}


@pytest.mark.parametrize("page", sorted(PAGES))
def test_the_page_is_clean(page):
    told = run("mandoc", "-Tlint", PAGES[page]).stdout.splitlines()
    # Whether other pages are there is a question to this machine; ours are looked at below.
    assert [line for line in told if "referenced manual not found" not in line] == []


@pytest.mark.parametrize("page", sorted(PAGES))
def test_pages_that_are_referred_to_exist(page):
    for line in lines(page):
        for name, number in re.findall(r"\bXr (\S+) (\d)", line):
            if name.startswith("redlock"):
                assert f"{name}.{number}" in PAGES, line


# --- configuration ----------------------------------------------------------------------------------------------------


def documented_keys():
    return words_of(lines("redlockd.json.5"), ".It Ic")


def test_every_key_of_the_configuration():
    settings = re.findall(r'\{ "(\w+)", "(\w+)",\s+read_', source("src/wire/config_settings.c"))
    sections = re.search(r"top_names\[\] = \{(.*?)\}", source("src/wire/config.c"), re.S).group(1)
    members = re.search(r"known\[\] = \{(.*?)\}", source("src/wire/config_nodes.c"), re.S).group(1)
    there = [f"{a}.{b}" for a, b in settings] + [f"nodes[].{m}" for m in re.findall(r'"(\w+)"', members)] + ["nodes"]
    assert set(re.findall(r'"(\w+)"', sections)) == {k.split(".")[0] for k in there if "[]" not in k}
    same(documented_keys(), there)


def check(tmp_path, config):
    path = tmp_path / "c.json"
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    return run(REDLOCKD, "-t", "-c", path)


def test_every_documented_key_is_known_to_the_program(tmp_path):
    for key in documented_keys():
        value = {"unlikely": 1}
        for name in reversed(key.replace("[]", ".[]").split(".")):
            value = [value] if name == "[]" else {name: value}
        told = check(tmp_path, value).stderr
        assert "unknown name" not in told.replace("unlikely: unknown name", ""), told


def plain(text):
    """JSON without its comments, of a file whose strings hold none."""
    return json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.M))


def flat(config):
    return {f"{a}.{b}": v for a, section in config.items() if isinstance(section, dict) for b, v in section.items()}


def test_the_installed_configuration_has_every_key_with_its_default_and_a_reason(tmp_path):
    text = source("conf/redlockd.json")
    shipped = flat(plain(text))
    same([k for k in documented_keys() if not k.startswith("nodes")], shipped)
    defaults = dict(re.findall(r"^\.It Ic (\S+) Pq (.*)$", PAGES["redlockd.json.5"].read_text(), re.M))
    for key, value in shipped.items():
        shown = re.sub(r"^(Pa |Dq\b ?|Bq\b ?)", "", defaults[key])
        assert shown == {str: str, list: lambda v: "", bool: lambda v: str(v).lower()}.get(
            type(value), lambda v: "null" if v is None else str(v)
        )(value), key
    body = text.splitlines()
    for i, line in enumerate(body):
        if re.match(r' {8}"', line):  # a reason may be that of the next few settings, too
            before = next(b for b in reversed(body[:i]) if not re.match(r' {8}"', b))
            assert before.strip().startswith("//"), f"no reason above {line}"
    assert check(tmp_path, text).returncode == 0


def test_its_defaults_are_those_of_the_program(world):
    ours = world.daemon(**flat_sections("conf/redlockd.json")).client().call("hello")["limits"]
    assert world.daemon().client().call("hello")["limits"] == ours


def flat_sections(path):
    config = plain(source(path))
    return {k: v for k, v in config.items() if k != "nodes" and k != "stop"}


@pytest.mark.parametrize("path", ["conf/redlockd.json", "conf/redlockd-5-nodes.json"])
def test_the_shipped_configurations_are_good(path):
    assert run(REDLOCKD, "-t", "-c", ROOT / path).returncode == 0


# --- options and commands ---------------------------------------------------------------------------------------------


def documented_options(page, stop="\0"):
    text = "\n".join(lines(page)).split(stop)[0]
    return [o for line in re.findall(r"^\.It (Fl .*)$", text, re.M) for o in re.findall(r"\bFl (?:Fl )?([\w-]+)", line)]


def options_of(path):
    """Short and long ones, from getopt's own tables."""
    text = source(path)
    short = "".join(re.findall(r'getopt(?:_long)?\(argc, argv, "([^"]*)"', text))
    return [c for c in short if c not in "+:"] + re.findall(r'\{ "([\w-]+)", (?:no|required)_argument', text)


def test_every_option_of_redlockd():
    same(documented_options("redlockd.8"), options_of("src/daemon/main.c"))
    shown = run(REDLOCKD, "-h").stdout
    for option in options_of("src/daemon/main.c"):
        assert re.search(rf"(^|[ \[])-{{1,2}}{option}\b", shown), option


def test_every_option_of_redlockctl():
    same(documented_options("redlockctl.1", "The commands are as follows"), options_of("src/ctl/main.c"))


def command_options(command):
    """The options in the entry of one command."""
    text = "\n".join(section("redlockctl.1", "DESCRIPTION")).split("The commands are as follows")[1]
    entry = re.search(rf"^\.It (?:Xo\n\.)?Cm {command}\b(.*?)(?=^\.It (?:Xo|Cm)|\Z)", text, re.M | re.S).group(1)
    synopsis = entry.split(".Xc")[0] if ".Xc" in entry else entry.splitlines()[0]
    return {o for line in re.findall(r"Op (Fl .*)", synopsis) for o in re.findall(r"(?:Fl|\|) (\w)\b", line)}


@pytest.mark.parametrize("command, path", [("run", "src/ctl/run_arguments.c"), ("metrics", "src/ctl/metrics.c")])
def test_every_option_of_a_command(command, path):
    assert command_options(command) == set(options_of(path))


def documented_commands():
    text = "\n".join(section("redlockctl.1", "DESCRIPTION")).split("The commands are as follows")[1]
    return re.findall(r"^\.(?:It )?Cm (\w+)", re.sub(r"^\.Cm access.*$|^\.Cm run\nexits.*", "", text, flags=re.M), re.M)


def commands_of_help():
    """The first words of the lines that describe commands."""
    found = []
    for line in run(REDLOCKCTL, "-h").stdout.splitlines():
        if re.match(r"  [a-z]", line):
            found += [part.split()[0] for part in re.split(r" {2,}", line.strip())[0].split(" | ") if part[0].islower()]
    return found


def test_every_command_of_redlockctl(memory):
    same(documented_commands(), commands_of_help())
    for command in documented_commands():
        assert "unknown command" not in run(REDLOCKCTL, "-s", memory.path, command).stderr
    assert "unknown command" in run(REDLOCKCTL, "-s", memory.path, "no-such").stderr


# --- protocol ---------------------------------------------------------------------------------------------------------


def methods():
    return re.findall(r'\[METHOD_\w+\] = "(\w+)"', source("src/wire/names.c"))


def test_every_method():
    same(words_of(section("redlockd-protocol.7", "METHODS"), ".It Ic"), methods())


def test_every_documented_method_is_carried_out(memory):
    for method in words_of(section("redlockd-protocol.7", "METHODS"), ".It Ic"):
        message = memory.client().ask({"id": 1, "method": method})
        assert message.get("error", {}).get("data", {}).get("name") != "METHOD_NOT_FOUND", method


def test_every_parameter():
    """Of each method: those in its entry, and those it shares with the entry it refers to."""
    documented, method = {}, None
    for line in section("redlockd-protocol.7", "METHODS"):
        if line.startswith(".It Ic "):
            method = line.split()[2]
            documented[method] = set()
        elif line.startswith(".It Va "):
            documented[method] |= {w for w in line[7:].split() if w != ","}
    documented["extend"] |= documented["add"] - {"autoExtend", "maxHold", "lockDelay"}
    flags = dict(re.findall(r"#define (\w+)\s+\(?(.*METHOD_.*)\n", source("src/wire/params.c")))
    there = {m: set() for m in methods()}
    for name, of in re.findall(r'\{ "(\w+)", ([^,]+), read_\w+ \}', source("src/wire/params.c")):
        for flag, value in flags.items():
            of = re.sub(rf"\b{flag}\b", value, of)
        for m in re.findall(r"METHOD_(\w+)", of):
            there[m.lower()].add(name)
    assert documented == there


def test_every_error_with_its_code():
    there = dict(re.findall(r'\[ERROR_\w+\] = \{ "(\w+)", (-?\d+) \}', source("src/wire/names.c")))
    del there["NONE"]
    documented = dict(re.findall(r"^\.It Er (\w+) Pq (\S+)$", "\n".join(section("redlockd-protocol.7", "ERROR REPLIES")), re.M))
    assert {name: code.replace("\\-", "-") for name, code in documented.items()} == there


def test_every_notification():
    kinds = re.findall(r'\{ "(\w+)", NOTICE_\w+ \}', source("src/wire/params.c"))
    same(words_of(section("redlockd-protocol.7", "NOTIFICATIONS"), ".It Ic"), kinds)


@pytest.mark.parametrize("method", ["status", "nodes", "sessions", "locks", "waiters", "hello"])
def test_every_member_of_a_result(memory, method):
    client, other = memory.client(), memory.client()
    client.add("a")
    other.send("add", keys="a")
    while not client.call("waiters")["waiters"]:
        pass
    result = client.call(method)
    members = set(result if method in ("status", "hello") else result[method][0])
    text = "\n".join(section("redlockd-protocol.7", "METHODS"))
    entry = re.search(rf"^\.It Ic {method}$(.*?)(?=^\.It Ic |\Z)", text, re.M | re.S).group(1)
    documented = [w for line in re.findall(r"^\.Va (.*)$", entry, re.M) for w in re.findall(r"\w+", line)]
    assert set(documented) == members


# --- metrics and log --------------------------------------------------------------------------------------------------


def test_every_metric(memory):
    there = re.findall(r"^# HELP (\w+)", memory.client().call("metrics")["text"], re.M)
    same(words_of(section("redlockd.8", "METRICS"), ".It Li"), there)


def test_every_label_of_a_metric(daemon):
    text = daemon.client().call("metrics")["text"]
    for entry in "\n".join(section("redlockd.8", "METRICS")).split(".It Li ")[1:]:
        name = entry.split()[0]
        labels = set(re.findall(r'[{,](\w+)="', "".join(re.findall(rf"^{name}(?:_bucket|_sum|_count)?({{.*?}})", text, re.M)))) - {"le"}
        assert set(re.findall(r"^\.Va (\w+)", entry, re.M)) == labels, name


def test_every_field_of_the_journal():
    same(words_of(section("redlockd.8", "LOGGING"), ".It Dv"), set(re.findall(r'"(REDLOCKD_\w+)"', source("src/net/log.c"))))


def test_every_variable_of_the_environment():
    there = {"REDLOCKD_SOCKET"}
    for path in ROOT.glob("src/[!c]*/*.c"):
        there |= set(re.findall(r'getenv\("(\w+)"\)', path.read_text()))
    there.add("LISTEN_FDNAMES")  # by a macro
    same(words_of(section("redlockd.8", "ENVIRONMENT"), ".It Ev"), there)


# --- completion -------------------------------------------------------------------------------------------------------


def bash(line, memory):
    words = line.split(" ")
    script = (
        f"PATH={REDLOCKCTL.parent}:$PATH; . {COMPLETION}/redlockctl.bash; COMP_WORDS=({' '.join(map(repr, words))}); "
        f"COMP_CWORD={len(words) - 1}; _{words[0]}; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    return run("bash", "-uc", script, env={**os.environ, "REDLOCKD_SOCKET": str(memory.path)})


def fish(line, memory):
    script = f"source {COMPLETION}/redlockctl.fish; complete -C '{line}' | cut -f 1"
    path = f"{REDLOCKCTL.parent}:{os.environ['PATH']}"
    return run("fish", "--no-config", "-c", script, env={**os.environ, "PATH": path, "REDLOCKD_SOCKET": str(memory.path)})


# Completion works in an interactive shell only: one on a terminal of its own, which prints what is offered and ends.
ZSH = r"""
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z 'PROMPT=; fpath=(%(completion)s $fpath); autoload -Uz compinit; compinit -u -D
before() { print -n "BE""GIN" }; after() { print "E""ND"; exit }
compprefuncs=(before); comppostfuncs=(after); bindkey "^I" complete-word
compadd() {
    local -a hits
    [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]] || { builtin compadd -A hits "$@"; print -l "" $hits }
    builtin compadd "$@"
}
print REA""DY'
zpty -r z out '*READY*'
zpty -w -n z '%(line)s'$'\t'
zpty -r z out '*END*'
print -r -- ${out#*BEGIN}
"""


def zsh(line, memory):
    path = f"{REDLOCKCTL.parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "TERM": "dumb", "REDLOCKD_SOCKET": str(memory.path)}
    return run("zsh", "-fc", ZSH % {"completion": COMPLETION, "line": line}, env=env, timeout=60)


SHELLS = {"bash": bash, "fish": fish, "zsh": zsh}


@pytest.fixture(params=sorted(SHELLS))
def complete(request, memory):
    assert shutil.which(request.param), f"{request.param} is missing: make deps"
    memory.client().add("locked-key")

    def ask(line):
        done = SHELLS[request.param](line, memory)
        assert done.stderr == ""
        return set(done.stdout.split())

    return ask


def test_commands_are_completed(complete):
    assert set(documented_commands()) <= complete("redlockctl ")


def test_options_are_completed(complete):
    assert {"--socket", "--json", "--version", "--help"} <= complete("redlockctl --")
    assert {"--config", "--test", "--test-nodes", "--log"} <= complete("redlockd --")
    assert {"error", "warn", "info", "debug"} <= complete("redlockd -l ")


def test_methods_are_completed(complete):
    assert set(methods()) <= complete("redlockctl call ")


@pytest.mark.parametrize("command", ["locks", "run"])
def test_keys_are_completed(complete, command):
    assert any("locked-key" in word for word in complete(f"redlockctl {command} "))
