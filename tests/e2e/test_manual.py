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
    config = source("src/wire/config.c")
    top = re.findall(r'"(\w+)"', re.search(r"top_names\[\] = \{(.*?)\}", config, re.S).group(1))
    plain = top[: len(re.findall(r"TOP_\w+,", re.search(r"enum top \{(.*?)\}", config, re.S).group(1)))]  # no sections
    members = re.search(r"known\[\] = \{(.*?)\}", source("src/wire/config_nodes.c"), re.S).group(1)
    there = [f"{a}.{b}" for a, b in settings] + [f"nodes[].{m}" for m in re.findall(r'"(\w+)"', members)] + plain
    same(top, {k.split(".")[0] for k in there if "[]" not in k})
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
    found = {}
    for a, value in config.items():
        found |= {f"{a}.{b}": v for b, v in value.items()} if isinstance(value, dict) else {a: value}
    return found


def test_the_installed_configuration_has_every_key_with_its_default_and_a_reason(tmp_path):
    text = source("conf/redlockd.json")
    shipped = flat(plain(text))
    assert shipped.pop("nodes") == ["memory:"]
    same([k for k in documented_keys() if not k.startswith("nodes")], shipped)
    defaults = dict(re.findall(r"^\.It Ic (\S+) Pq (.*)$", PAGES["redlockd.json.5"].read_text(), re.M))
    for key, value in shipped.items():
        shown = re.sub(r"^(Pa |Dq\b ?|Bq\b ?)", "", defaults[key])
        assert shown == {str: str, list: lambda v: "", bool: lambda v: str(v).lower()}.get(
            type(value), lambda v: "null" if v is None else str(v)
        )(value), key
    body = text.splitlines()
    setting = r' {8}"| {4}"\w+": [^{]'
    for i, line in enumerate(body):
        if re.match(setting, line):  # a reason may be that of the next few settings, too
            before = next(b for b in reversed(body[:i]) if not re.match(setting, b))
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


def entry_of(command):
    text = "\n".join(section("redlockctl.1", "DESCRIPTION")).split("The commands are as follows")[1].split("\n.Ss ")[0]
    return re.search(rf"^\.It (?:Xo\n\.)?Cm {command}\b(.*?)(?=^\.It (?:Xo|Cm)|\Z)", text, re.M | re.S).group(1)


def synopsis_of(command):
    entry = entry_of(command)
    return entry.split(".Xc")[0] if ".Xc" in entry else entry.splitlines()[0]


def flags(line):
    """Short and long ones of one line of a manual."""
    return set(re.findall(r"\bFl (?:Fl )?([\w-]+)", line)) | set(re.findall(r"\| (\w)\b", line))


def command_options(command):
    """Those that have an item in the entry of the command; `hold` refers to that of `run`."""
    items = [flags(line) for line in re.findall(r"^\.It (Fl .*)$", entry_of("run" if command == "hold" else command), re.M)]
    shown = set().union(*map(flags, re.findall(r"\bO[po] (Fl .*?)(?: Oc|$)", synopsis_of(command), re.M)))
    if command == "hold":
        items = [item for item in items if item & shown]
    documented = set().union(*items)
    assert shown - {"Fl"} <= documented
    return documented


# What every command has (--help), or many (-j): said once, above them all.
COMMON = {"j", "json", "no-legend", "h", "help"}


def command_tables():
    """{commands: the options in the tables that they share}."""
    tables = {}
    read = source("src/ctl/run_arguments.c")
    for command in ("run", "hold"):
        short = re.search(rf'{command}_options\[\] = "([^"]*)"', read).group(1)
        table = re.search(rf"{command}_long_options\[\] = \{{(.*?)NULL, 0,", read, re.S).group(1)
        tables[command] = set(re.sub(r"[+:]", "", short)) | set(re.findall(r'\{ "([\w-]+)",', table))
    for commands, path in (
        ("status nodes sessions locks waiters ping call", "view"),
        ("drain kill break", "admin"),
        *((name, name) for name in ("top", "why", "doctor", "metrics", "certify", "reload")),
    ):
        tables[commands] = set(options_of(f"src/ctl/{path}.c"))
    return {commands: options - COMMON for commands, options in tables.items()}


def test_every_option_of_a_command():
    tables = command_tables()
    for commands, options in tables.items():
        assert set().union(*map(command_options, commands.split())) == options, commands
    rest = set(documented_commands()) - set(" ".join(tables).split())
    assert rest == {"help"} and not any(map(command_options, rest))


def test_a_command_takes_no_option_that_its_entry_does_not_have(memory):
    known = set().union(*map(command_options, documented_commands()))
    for command in documented_commands():
        for option in sorted(known - command_options(command)):
            flag = f"-{option}" if len(option) == 1 else f"--{option}"
            done = run(REDLOCKCTL, "-s", memory.path, command, flag, stdin=subprocess.DEVNULL)
            assert done.returncode != 0 and done.stdout == "", (command, flag)
            assert "usage: redlockctl" in done.stderr or "no command" in done.stderr, (command, flag)


def documented_commands():
    text = "\n".join(section("redlockctl.1", "DESCRIPTION")).split("The commands are as follows")[1]
    return re.findall(r"^\.It (?:Xo\n\.)?Cm (\w+)", text, re.M)


def commands_of_help():
    """The first words of the lines that describe commands."""
    return re.findall(r"^  ([a-z]\S*) ", run(REDLOCKCTL, "help").stdout, re.M)


def test_every_command_of_redlockctl(memory):
    same(documented_commands(), commands_of_help())
    same(documented_commands(), re.findall(r'^ {8}\{ "(\w+)", "', source("src/ctl/command.c"), re.M))
    for command in documented_commands():
        assert "there is no command" not in run(
            REDLOCKCTL, "-s", memory.path, command, stdin=subprocess.DEVNULL
        ).stderr
    assert "there is no command" in run(REDLOCKCTL, "-s", memory.path, "no-such").stderr


def test_what_the_help_of_a_command_names_stands_in_its_entry():
    for command in documented_commands():
        shown = run(REDLOCKCTL, "help", command).stdout.split("Example: ")[0]
        options = set(re.findall(r"(?<![\w-])--([\w-]+)", shown))
        options |= set("".join(re.findall(r"(?<![\w/-])-([a-zA-Z]+)\b(?!-)", shown)))
        assert options <= command_options(command), command
        arguments = set(re.findall(r"\b[A-Z][A-Z_]+\b", shown.splitlines()[0]))
        entry = entry_of(command)
        assert all(re.search(rf"\b{a}\b", entry) for a in arguments - {"OPTION"}), command


def test_every_exit_code_of_redlockctl():
    there = re.findall(r"\b(1\d\d)\b", run(REDLOCKCTL, "help", "run").stdout)
    codes = dict(re.findall(r"^        ACQUIRE_(\w+) = (1\d\d),", source("include/redlockd/ctl/acquire.h"), re.M))
    codes |= dict(re.findall(r"^#define KEEPER_(NOT_\w+)\s+(1\d\d)$", source("src/ctl/run_keeper.c"), re.M))
    documented = set(re.findall(r"\b(1\d\d)\b", "\n".join(section("redlockctl.1", "EXIT STATUS"))))
    assert documented == set(there) == set(codes.values())


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


def entry_of_method(method):
    text = "\n".join(section("redlockd-protocol.7", "METHODS"))
    return re.search(rf"^\.It Ic {method}$(.*?)(?=^\.It Ic |\Z)", text, re.M | re.S).group(1)


METHODS_SHOWN = ["status", "nodes", "sessions", "locks", "waiters", "hello", "why", "drain", "kill", "break", "certify"]


@pytest.mark.parametrize("method", METHODS_SHOWN)
def test_every_member_of_a_result(memory, method):
    client, other = memory.client(), memory.client()
    client.add("a")
    other.send("add", keys="a")
    while not client.call("waiters")["waiters"]:
        pass
    params = {"why": {"key": "a"}, "break": {"key": "a"}, "certify": {"node": "memory"}}
    params["kill"] = {"session": other.call("hello")["session"]} if method == "kill" else {}
    result = client.call(method, **params.get(method, {}))
    members = set(result[method][0] if isinstance(result.get(method), list) else result)
    entry = entry_of_method(method)
    same(re.findall(r"\w+", " ".join(re.findall(r"^\.Va (.*)$", entry, re.M))), members)


def test_every_counter_of_status(memory):
    same(words_of(entry_of_method("status").splitlines(), ".It Li"), memory.client().call("status")["counters"])


def test_every_member_of_what_why_tells_of_a_node(memory):
    nodes = memory.client().call("why", key="a")["nodes"]
    text = entry_of_method("why").split(".Va nodes")[1].split(".Bl")[0]
    same(re.findall(r"^\.Ql (\w+)", text, re.M), nodes[0])


def test_every_state_of_a_node():
    there = re.findall(r'return "(\w+)";', re.search(r"views_state_name\(.*?\n\}", source("src/wire/views.c"), re.S).group())
    text = entry_of_method("nodes").split("A state is one of")[1]
    same([w for w in re.findall(r"^\.Ql (\w+)", text, re.M) if w != "votesAt"], there)
    told = "\n".join(section("redlockd.8", "DESCRIPTION")).split("Nodes that may not vote")[1]
    same(words_of(told.splitlines(), ".It"), set(there) - {"up"})


def test_every_reason_of_a_loss():
    reasons = re.findall(r'\[LOST_\w+\] = "(\w+)"', source("src/wire/names.c"))
    same(words_of(section("redlockd-protocol.7", "NOTIFICATIONS"), ".It Dv"), reasons)


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


def test_every_variable_that_redlockctl_reads_or_sets():
    there = set()
    for path in ROOT.glob("src/ctl/*.c"):
        there |= set(re.findall(r'\b(?:get|set)env\("(\w+)"', path.read_text()))
    same(words_of(section("redlockctl.1", "ENVIRONMENT"), ".It Ev"), there)


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
    assert {"--socket", "--json", "--no-legend", "--version", "--help"} <= complete("redlockctl --")
    assert {"--config", "--test", "--test-nodes", "--log"} <= complete("redlockd --")
    assert {"error", "warn", "info", "debug"} <= complete("redlockd -l ")


def test_options_of_the_commands_are_completed(complete):
    for command in documented_commands():
        options = {f"-{o}" if len(o) == 1 else f"--{o}" for o in command_options(command)} | {"--help"}
        offered = {word.rstrip("=") for word in complete(f"redlockctl {command} -")}
        assert options <= offered, command
        unknown = {w for w in offered - options if w.startswith("-")}
        assert not any(w.strip("-") in command_options("run") | {"off", "yes", "check"} for w in unknown), command


def test_methods_are_completed(complete):
    assert set(methods()) <= complete("redlockctl call ")


@pytest.mark.parametrize("command", ["locks", "run", "hold", "why", "break"])
def test_keys_are_completed(complete, command):
    assert any("locked-key" in word for word in complete(f"redlockctl {command} "))


def test_nodes_sessions_and_commands_are_completed(complete, memory):
    assert "memory" in complete("redlockctl certify ")
    sessions = {str(s["session"]) for s in memory.client().call("sessions")["sessions"] if s["locks"]}
    assert sessions and sessions <= complete("redlockctl kill ")
    assert set(documented_commands()) <= complete("redlockctl help ")
