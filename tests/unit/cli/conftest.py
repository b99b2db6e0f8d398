"""What the tests of the command line share: an archive of a simulated attack, and a way to call the command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from peerwatch.app.pipeline import Settings
from peerwatch.app.watch import Watch
from peerwatch.cli.main import root
from peerwatch.schema.batch import SECOND
from peerwatch.sources.simulation.simulation import Plan
from peerwatch.sources.simulation.source import SimulationSource
from peerwatch.store.archive import Archive

START = 1_760_054_400 * SECOND
PLAN = Plan("addr-flood-2021", 3, START, 100 * SECOND, 0.2, {"start_s": 2, "duration_s": 20, "rate": 4, "peers": 2})

Call = Callable[..., Result]


@pytest.fixture(scope="session")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive in which an attack was found, and is over."""
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


@pytest.fixture
def peerwatch() -> Call:
    """Calls the command with arguments; whatever fails, fails without a traceback."""

    def call(*arguments: object) -> Result:
        result = CliRunner().invoke(root, [str(a) for a in arguments], prog_name="peerwatch")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return call
