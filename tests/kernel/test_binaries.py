"""Executables that are attached, replaced and overwritten."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from peerwatch.sources.usdt import binaries as module
from peerwatch.sources.usdt.binaries import Binaries
from peerwatch.sources.usdt.kernel import Kernel
from peerwatch.sources.usdt.processes import FileId, ProcessFacts, file_id, read_process
from peerwatch.sources.usdt.slots import Slots

pytestmark = pytest.mark.kernel

FIRE = ("--load", "10", "--no-connections", "--peers", "1")


@pytest.fixture
def kernel(load: Callable[..., Kernel]) -> Kernel:
    """A loaded kernel with a small ring."""
    return load(1 << 20)


@pytest.fixture
def told() -> list[tuple[str, str, int]]:
    """What was told of binaries that cannot be seen."""
    return []


@pytest.fixture
def own(kernel: Kernel, told: list[tuple[str, str, int]]) -> Binaries:
    """Nothing attached yet."""
    return Binaries(kernel, time.time_ns, lambda *args: told.append(args))


def fired(kernel: Kernel) -> list[int]:
    """Records begun, by slot."""
    slots = Slots(kernel.fds["slots"])
    return [int(seen) for seen in slots.live["seen"][slots.used()]]


def hidden(binary: str | None, file: FileId | None = None, *args: str, certain: bool = False) -> ProcessFacts:
    return ProcessFacts(1, 1, args, binary, certain, file, 1, 1)


def test_a_binary_is_attached_before_and_after_it_is_replaced(
    kernel: Kernel, own: Binaries, players: Any, told: list[tuple[str, str, int]]
) -> None:
    """A path is traced from its first process on, also when what lies there comes later or is replaced."""
    path = players.folder / "node"
    own.watch(str(path))
    assert own.traced == []
    players.copy()
    own.check([])
    players.run(path, *FIRE)
    old = own.traced[0]
    path.unlink()
    players.copy()
    own.check([old])
    assert len(own.traced) == 2
    players.run(path, *FIRE)
    own.check([])
    assert [traced.file for traced in own.traced] == [file_id(path)]
    players.run(path, *FIRE)
    assert fired(kernel) == [11, 11, 11]
    assert told == []
    assert own.traced[0].began <= own.traced[0].since <= time.time_ns()


def test_a_replaced_binary_stays_attached_while_it_runs(kernel: Kernel, own: Binaries, players: Any) -> None:
    """An upgrade does not blind the node that still runs the old file."""
    path = players.copy()
    own.watch(str(path))
    process = players.start(path, "--load", "forever", "--rate", "200", "--no-connections", "--peers", "1")
    while not fired(kernel):
        time.sleep(0.01)
    facts = read_process(process.pid)
    assert facts is not None
    old = own.of(facts)
    assert old is not None
    path.unlink()
    own.check([old])
    before = fired(kernel)[0]
    time.sleep(0.3)
    assert fired(kernel)[0] > before
    own.check([])
    time.sleep(0.1)
    before = fired(kernel)[0]
    time.sleep(0.2)
    assert fired(kernel)[0] == before
    assert own.traced == []


def test_a_file_overwritten_in_place_is_attached_anew(
    kernel: Kernel, own: Binaries, players: Any, told: list[tuple[str, str, int]]
) -> None:
    """Probes are never left in code that is not what was examined."""
    path = players.copy()
    own.watch(str(path))
    players.run(path, *FIRE)
    first = own.traced[0]
    shutil.copyfile(players.copy("player-older", "other"), path)
    own.check([])
    assert [traced.file.place for traced in own.traced] == [first.file.place]
    assert own.traced[0].binary.missing
    assert [(name, "overwritten in place" in why) for name, why, _ in told] == [(str(path), True)]
    players.run(path, *FIRE)
    assert fired(kernel) == [11, 11]


def test_a_binary_without_probes_is_told_once(
    own: Binaries, players: Any, told: list[tuple[str, str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says what to do, is not repeated with every attempt, and is again told of another reason."""
    monkeypatch.setattr(module, "RETRY", 0)
    path = players.copy("player-noprobes")
    own.watch(str(path))
    own.check([])
    own.check([])
    path.unlink()
    path.write_text("no binary")
    own.check([])
    own.check([])
    assert [name for name, *_ in told] == [str(path)] * 2
    assert "WITH_USDT=ON" in told[0][1]
    assert "cannot trace" in told[1][1]
    path.unlink()
    players.copy()
    own.check([])
    assert len(own.traced) == 1


def test_a_failure_is_tried_again_later(own: Binaries, players: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permissions may be mended without a trace in the file, so time has to do."""
    path = players.copy()
    attach = own._kernel.attach
    monkeypatch.setattr(own._kernel, "attach", lambda _path: attach(players.copy("player-noprobes", "other")))
    own.watch(str(path))
    monkeypatch.undo()
    own.check([])
    assert own.traced == []
    monkeypatch.setattr(module, "RETRY", 0)
    own.check([])
    assert [traced.path for traced in own.traced] == [str(path)]


def test_a_binary_that_is_no_longer_at_its_path_is_attached_through_proc(kernel: Kernel, own: Binaries, players: Any) -> None:
    """A node found after its binary was removed is traced as well."""
    path = players.copy()
    ready = players.folder / "pid"
    process = players.start(path, "--load", "forever", "--rate", "200", "--pid-file", str(ready))
    while not ready.exists():
        time.sleep(0.001)
    path.unlink()
    facts = read_process(process.pid)
    assert facts is not None
    traced = own.run_by(facts, f"/proc/{process.pid}/exe")
    assert traced is not None
    assert traced.path == str(path)
    assert own.of(facts) is traced
    deadline = time.monotonic() + 10
    while not fired(kernel) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert fired(kernel)


def test_a_found_binary_is_watched_up_to_a_bound(own: Binaries, players: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of a node that was found is followed like a configured one, so that its next start is seen whole."""
    path = players.copy()
    process = players.start(path, "--load", "forever", "--rate", "10")
    facts = read_process(process.pid)
    assert facts is not None
    assert own.run_by(facts, str(path)) is own.traced[0]
    path.unlink()
    players.copy()
    own.check([own.traced[0]])
    assert len(own.traced) == 2
    monkeypatch.setattr(module, "MAX_PATHS", 1)
    other = players.copy(name="other")
    assert own.run_by(hidden(str(other), file_id(other), certain=True), str(other)) is own.traced[2]
    own.check([])
    assert [traced.path for traced in own.traced] == [str(path)]


def test_where_the_executable_is_closed_its_name_tells(own: Binaries, players: Any) -> None:
    """With one binary attached, a process that fires runs it; with several, the one of its name, if there is one."""
    first = players.copy()
    own.watch(str(first))
    assert own.of(hidden(None)) is own.traced[0]
    assert own.of(hidden("/bin/true", file_id("/bin/true"), certain=True)) is None
    own.watch(str(players.copy(name="other")))
    assert own.of(hidden(None, None, "./other")) is own.traced[1]
    assert own.of(hidden("/elsewhere/node")) is own.traced[0]
    assert own.of(hidden(None, None, "unknown")) is None
    assert own.of(hidden(str(Path("/x")), file_id(first))) is own.traced[0]
