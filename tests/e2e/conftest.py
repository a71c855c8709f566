"""Fixtures. All that a test starts belongs to its `world`, which ends it, and takes only a clean end of redlockd."""

import pathlib
import subprocess

import pytest

import harness


@pytest.fixture
def world():
    with harness.World() as w:
        yield w


@pytest.fixture
def nodes3(world):
    return world.nodes(3)


@pytest.fixture
def nodes5(world):
    return world.nodes(5)


@pytest.fixture
def memory(world):
    """A daemon without Redis."""
    return world.daemon()


@pytest.fixture
def daemon(world, nodes3):
    """A daemon on three nodes."""
    return world.daemon(nodes3)


@pytest.fixture(params=["memory", "redis"])
def broker(request, world):
    """What does not depend on where the locks are: on `memory:`, and on three nodes."""
    return world.daemon() if request.param == "memory" else world.daemon(world.nodes(3))


@pytest.fixture
def client(broker):
    return broker.client()


@pytest.fixture
def other(broker):
    """A second session."""
    return broker.client()


@pytest.fixture(scope="session")
def clock_shift(tmp_path_factory):
    """The library that shifts the wall clock of a program."""
    library = tmp_path_factory.mktemp("clock") / "clock_shift.so"
    source = pathlib.Path(__file__).with_name("clock_shift.c")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source], check=True)
    return library
