"""Who may have which keys: access.rules."""

import grp
import json
import os
import pwd
import subprocess
import sys

import pytest

from harness import REDLOCKD, RELAY, LineProcess, eventually

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")

DAEMON, SYS = pwd.getpwnam("daemon").pw_uid, pwd.getpwnam("sys").pw_uid


@pytest.fixture
def ruled(world):
    """A daemon with these rules, whose clients are of any user and groups."""

    def start(*rules, **sections):
        daemon = world.daemon(access={"rules": list(rules), **sections})
        os.chmod(world.path, 0o755)
        os.chmod(daemon.path, 0o666)

        def user(uid, *gids):
            code = f"import os; os.setgroups({list(gids)}); os.setgid(65534); os.setuid({uid})\n{RELAY}"
            return world.keep(LineProcess([sys.executable, "-I", "-S", "-c", code, daemon.path]))

        daemon.user = user
        return daemon

    return start


def rule(keys, allow, **who):
    return {"keys": keys, "allow": allow, **who}


def test_the_first_rule_that_matches_a_key_decides(ruled):
    daemon = ruled(
        rule("billing:open:*", True),
        rule("billing:*", True, users=["daemon"]),
        rule("*:*", False, users=["daemon"]),
    )
    one, two = daemon.user(DAEMON), daemon.user(SYS)
    for user, may, may_not in (
        (one, ["billing:open:1", "billing:1", "other"], ["other:1"]),
        (two, ["billing:open:2", "other:2", "other2"], ["billing:2", "billing:"]),
    ):
        for key in may:
            assert user.states("add", key, wait=0) == {key: "acquired"}
        for key in may_not:
            assert user.fails("DENIED", "add", keys=key).data == {"name": "DENIED", "path": "keys"}


def test_without_a_rule_for_it_a_key_is_everybodys(ruled):
    daemon = ruled(rule("a", False))
    assert daemon.user(SYS).states("add", ["b", "aa"], wait=0) == {"b": "acquired", "aa": "acquired"}
    daemon.user(SYS).fails("DENIED", "add", keys="a")


def test_groups_count_also_those_that_are_not_the_first(ruled):
    daemon = ruled(rule("k*", True, groups=["daemon", 4242]), rule("*", False, groups=["sys"]))
    gid = grp.getgrnam("daemon").gr_gid
    assert daemon.user(SYS, 7, gid).states("add", "k1", wait=0) == {"k1": "acquired"}
    assert daemon.user(SYS, 4242).states("add", "k2", wait=0) == {"k2": "acquired"}
    daemon.user(SYS, 7, 9).fails("DENIED", "add", keys="k3")
    daemon.user(SYS).fails("DENIED", "add", keys="k3")
    daemon.user(SYS, grp.getgrnam("sys").gr_gid).fails("DENIED", "add", keys="x")
    assert daemon.user(SYS, gid).states("add", "x", wait=0) == {"x": "acquired"}


def test_administrators_keep_to_the_rules_but_see_everything(ruled):
    daemon = ruled(rule("k", True, users=["daemon"]))
    holder, root = daemon.user(DAEMON), daemon.client()
    holder.add("k")
    root.fails("DENIED", "add", keys="k")
    assert [lock["key"] for lock in root.call("locks")["locks"]] == ["k"]
    assert [lock["key"] for lock in root.call("locks", key="k")["locks"]] == ["k"]
    assert root.call("why", key="k")["key"] == "k"
    assert root.call("break", key="k")


def test_who_may_not_have_a_key_does_not_learn_whether_it_is_held(ruled):
    daemon = ruled(rule("secret:*", True, users=["daemon"]))
    holder, waiter, user = daemon.user(DAEMON), daemon.user(DAEMON), daemon.user(SYS)
    before = [user.ask({"id": 1, "method": m, "params": p}) for m, p in ASKED]
    holder.add("secret:1")
    waiter.send("add", keys="secret:1", retryCount=-1)
    eventually(lambda: holder.call("waiters")["waiters"])
    assert [user.ask({"id": 1, "method": m, "params": p}) for m, p in ASKED] == before
    assert {a["error"]["data"]["name"] for a in before} == {"DENIED"}
    assert user.call("locks")["locks"] == [] and user.call("waiters")["waiters"] == []
    assert len(holder.call("locks")["locks"]) == 1 and len(holder.call("waiters")["waiters"]) == 1


ASKED = [
    ("add", {"keys": "secret:1", "wait": 0}),
    ("add", {"keys": ["open", "secret:1"], "wait": 0}),
    ("extend", {"keys": "secret:1", "wait": 0}),
    ("extend", {"keys": "secret:1", "strict": True}),
    ("locks", {"key": "secret:1"}),
    ("waiters", {"key": "secret:1"}),
    ("why", {"key": "secret:1"}),
]


def test_a_request_is_denied_as_a_whole_and_says_which_key(ruled):
    daemon = ruled(rule("secret", False))
    user = daemon.user(SYS)
    error = user.fails("DENIED", "add", keys=["a", "b", "secret", "c"])
    assert error.data == {"name": "DENIED", "path": "keys[2]"} and error.code == -32003
    assert user.list() == {}


def test_rules_are_read_again_and_what_is_held_may_be_freed(ruled):
    daemon = ruled(rule("x", False))
    user = daemon.user(SYS)
    user.add("k")
    config = json.loads(daemon.config.read_text())
    config["access"]["rules"] = [rule("k", False)]
    daemon.config.write_text(json.dumps(config))
    daemon.client().call("reload")
    assert user.states("add", "x", wait=0) == {"x": "acquired"}
    user.fails("DENIED", "extend", keys="k")
    assert "k" in user.list() and user.call("free", keys="k")["freed"] == ["k"]
    user.fails("DENIED", "add", keys="k")


def test_a_name_that_does_not_exist_keeps_it_from_starting(world):
    config = world.path / "rules.json"
    config.write_text(json.dumps({"access": {"rules": [rule("k", True, users=["no-such-user"])]}}))
    checked = subprocess.run([REDLOCKD, "-t", "-c", config], capture_output=True, text=True)
    assert checked.returncode == 1
    assert 'access.rules[0].users[0]: there is no user "no-such-user"' in checked.stdout + checked.stderr


def test_a_reload_with_such_a_name_changes_nothing(ruled):
    daemon = ruled(rule("x", False))
    config = json.loads(daemon.config.read_text())
    config["access"]["rules"] = [rule("*", True, groups=["no-such-group"])]
    daemon.config.write_text(json.dumps(config))
    assert 'there is no group "no-such-group"' in daemon.client().fails("INVALID_PARAMS", "reload").message
    daemon.user(SYS).fails("DENIED", "add", keys="x")
