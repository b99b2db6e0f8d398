"""What the tests of the command line share: a way to call the command, a simulated attack, and archives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from peerwatch.app.pipeline import Settings
from peerwatch.app.watch import Watch
from peerwatch.cli.main import root
from peerwatch.schema.batch import SECOND
from peerwatch.sources.simulation.folder import write_simulation
from peerwatch.sources.simulation.simulation import Plan
from peerwatch.sources.simulation.source import SimulationSource
from peerwatch.store.archive import Archive

START = 1_760_054_400 * SECOND
PLAN = Plan("addr-flood-2021", 5, START, 150 * SECOND, 0.2, {"start_s": 2, "duration_s": 20, "rate": 4, "peers": 2})


@dataclass(frozen=True)
class Ran:
    """What a call of the command came to."""

    status: int
    out: str
    err: str
    raw: bytes
    """What was printed, as bytes."""


Command = Callable[..., Ran]


@pytest.fixture
def peerwatch() -> Command:
    """Calls the command with arguments; whatever fails, fails without a traceback."""

    def call(*arguments: object) -> Ran:
        result = CliRunner().invoke(root, [str(a) for a in arguments], prog_name="peerwatch")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return Ran(result.exit_code, result.stdout_bytes.decode(errors="replace"), result.stderr, result.stdout_bytes)

    return call


@pytest.fixture(scope="session")
def simulation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated attack in a folder, which is over well before the end."""
    path = tmp_path_factory.mktemp("simulation")
    write_simulation(PLAN, path, "alice")
    return path


@pytest.fixture(scope="session")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive in which that attack was found, and is over."""
    path = tmp_path_factory.mktemp("attacked") / "archive"
    with Archive.create_or_open(path) as archive:
        Watch(archive, Settings(archive.inventory_key, START, {}, hold_s=10)).run([SimulationSource.simulated(PLAN, "alice")])
    return path


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive with nothing in it."""
    path = tmp_path_factory.mktemp("empty") / "archive"
    Archive.create_or_open(path).close()
    return path
