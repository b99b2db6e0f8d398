"""A node for the tests, or why there is none; and two nodes with their traffic, which all tests of a session look at."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))  # tools are not installed

from tests.node.harness import Node, Program
from tests.node.stage import Stage, staged
from tests.node.traffic import Scene
from tests.node.watching import Watching
from tools.install_node import BINARY, NodeInstallError, cache_folder, install

VARIABLE = "PEERWATCH_BITCOIND"


@pytest.fixture(scope="session")
def program() -> Program:
    """The node that is tested."""
    if named := os.environ.get(VARIABLE):
        binary = Path(named)
        if not os.access(binary, os.X_OK):
            pytest.fail(f"{VARIABLE} names {binary}, which is no program")
        return Program(binary)
    if os.geteuid() != 0:
        pytest.skip(f"no real node: it is installed in a folder that only root can run it in; {VARIABLE} can name another one")
    try:
        root = install(cache_folder())
    except NodeInstallError as error:
        pytest.skip(f"no real node: {error}")
    return Program(root / BINARY, root)


@pytest.fixture(scope="session")
def stage(program: Program) -> Iterator[Stage]:
    """Two nodes between which everything was played once, and all sources that saw it."""
    with staged(program) as made:
        made.play()
        yield made


@pytest.fixture
def played(stage: Stage) -> Scene:
    """The nodes of the session and their peers, at rest."""
    return stage.scene


@pytest.fixture
def watching(stage: Stage) -> Watching:
    """The sources of the session, of the first node."""
    return stage.watching


@pytest.fixture
def folder(program: Program) -> Iterator[Path]:
    """A folder for the nodes of one test."""
    with program.folder() as made:
        yield made


@pytest.fixture
def node(program: Program, folder: Path) -> Iterator[Node]:
    """A node of one test, running."""
    with Node(program, folder / "a") as started:
        yield started
