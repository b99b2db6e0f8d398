"""The demonstration where nothing can be traced; with the kernel it is in tests/kernel."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from peerwatch.app import demo as module
from peerwatch.app.demo import HOLD_S, LONGEST_S, NODE, Demo, config, hold_s, show
from peerwatch.app.live import Task
from peerwatch.schema.batch import SECOND
from peerwatch.sources.usdt.kernel import KernelError
from peerwatch.store.query import Query


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def demo(tmp_path: Path, said: list[str], scenario: str = "addr-flood-2021", seconds: float | None = 1.0) -> Demo:
    return Demo(scenario, seconds, 1, Task(config(), tmp_path / "archive", seconds=seconds), said.append)


@pytest.mark.parametrize("seconds", [5, 20, 60, 600, None])
def test_the_attack_can_be_seen_whole(tmp_path: Path, seconds: float | None) -> None:
    """It begins after some normal traffic, and is over and resolved before the demonstration ends."""
    plan = demo(tmp_path, [], seconds=seconds).plan()
    length = seconds or LONGEST_S
    assert plan.duration == length * SECOND
    start, lasts = plan.options["start_s"], plan.options["duration_s"]
    assert 0 < start <= 10
    assert 0 < lasts <= 30
    assert start + lasts + hold_s(seconds) < length
    assert hold_s(seconds) <= HOLD_S


def test_other_scenarios_are_as_they_are(tmp_path: Path) -> None:
    """One without an attack has nothing to place; one that does not exist is an error."""
    assert demo(tmp_path, [], "quiet").plan().options == {}
    with pytest.raises(ValueError, match="there is no scenario 'qiet'; did you mean quiet"):
        demo(tmp_path, [], "qiet").plan()


def check(tmp_path: Path, said: list[str], why: str) -> None:
    """What is said without a kernel, and that the scenario was recorded."""
    assert show(demo(tmp_path, said)) == 0
    assert said[0].startswith("Scenario addr-flood-2021, seed 1")
    assert f"Cannot trace here: {why}" in said
    assert any("past the kernel" in line for line in said)
    rows = Query(tmp_path / "archive").table("SELECT DISTINCT node, source FROM message").to_pylist()
    assert rows == [{"node": NODE, "source": "simulation"}]


def test_without_the_player(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it was not built the same scenario is shown past the kernel, and that is said."""
    monkeypatch.setattr(module, "PLAYER", tmp_path / "none")
    check(tmp_path, [], "the tracepoint player is not built (run make)")


def test_without_a_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be loaded, the reason is passed on."""

    def load(**_options: object) -> None:
        raise KernelError("no rights")

    (tmp_path / "player").write_text("")
    monkeypatch.setattr(module, "PLAYER", tmp_path / "player")
    monkeypatch.setattr(module.Kernel, "load", load)
    check(tmp_path, [], "no rights")
