"""Tests of the sealing thread."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from pathlib import Path

from peerwatch.schema.table import Identity
from peerwatch.store.compaction import MANY
from peerwatch.store.journal import Header
from peerwatch.store.layout import SegmentName
from peerwatch.store.readers import Hold
from peerwatch.store.recovery import Closed
from peerwatch.store.retention import Retention
from peerwatch.store.sealer import Sealer
from peerwatch.store.upkeep import Upkeep
from peerwatch.store.wal import Segment, boot
from tests.unit.store.conftest import files


def closed(root: Path, who: Identity, rows, first: int) -> Closed:
    header = Header(who.node, who.session, who.source, first, boot(), {}, {})
    segment = Segment.create(root, header)
    segment.append(rows(first, 10), {}, {})
    segment.close()
    return Closed(SegmentName(who, first), segment.path, header, segment.last)


def test_everything_submitted_is_sealed_when_it_closes(root: Path, who, rows) -> None:
    """Closing waits for the work, and can be done twice."""
    sealer = Sealer(root)
    for first in range(5):
        sealer.submit(closed(root, who, rows, first))
    sealer.close()
    sealer.close()
    assert sealer.failure is None
    assert len(list((root / "message").rglob("*.parquet"))) == 5
    assert sealer._thread is None


def test_what_fails_does_not_stop_the_others_and_is_tried_again(root: Path, who, rows) -> None:
    """While a segment cannot be sealed, the failure is said in one line; once it can, it is, without being submitted anew."""
    sealer = Sealer(root, retry_s=0.05)
    obstacle = root / "ping"
    obstacle.write_text("in the way")
    sealer.submit(closed(root, who, rows, 0))
    other = closed(root, Identity("node-a", who.session, "capture"), lambda first, _: {"message": rows(first, 5)["message"]}, 1)
    sealer.submit(other)
    deadline = time.monotonic() + 20
    while other.path.exists() or not sealer.failure:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert "cannot seal usdt-" in sealer.failure
    assert "\n" not in sealer.failure
    obstacle.unlink()
    while sealer.failure:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    sealer.close()
    assert len(list((root / "message").rglob("*.parquet"))) == 2
    assert list((root / "wal").iterdir()) == []


def test_finishing_a_source_leaves_its_failures_to_others(root: Path, who, rows) -> None:
    """Afterwards another process may take its segments up: they are not touched any more."""
    sealer = Sealer(root, retry_s=0.01)
    (root / "message").write_text("in the way")
    segment = closed(root, who, rows, 0)
    sealer.submit(segment)
    sealer.finish(who)
    assert "cannot seal" in (sealer.failure or "")
    (root / "message").unlink()
    time.sleep(0.1)
    sealer.close()
    assert segment.path.exists()
    assert not (root / "message").exists()


def test_sealing_is_nicer_than_the_rest(root: Path, who, rows) -> None:
    """Its thread, and only that, gives way to what records."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    sealer = Sealer(root)
    sealer.submit(closed(root, who, rows, 0))
    sealer.finish(who)
    thread = sealer._thread
    assert thread is not None
    assert os.getpriority(os.PRIO_PROCESS, thread.native_id or 0) == min(before + 10, 19)
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
    sealer.close()


def test_what_is_sealed_is_put_together(root: Path, who, rows) -> None:
    """In the same thread, while more comes; what is under way is given up when a source is finished."""
    sealer = Sealer(root)
    for first in range(3 * MANY):
        sealer.submit(closed(root, who, rows, first))
    deadline = time.monotonic() + 60
    while len(list((root / "message").rglob("*.parquet"))) >= MANY:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    sealer.finish(who)
    sealer.close()
    assert (sealer.failure, sealer.upkeep_failure) == (None, None)
    assert not list((root / "wal").iterdir())


def test_upkeep_goes_on_while_nothing_is_sealed(root: Path, who, rows) -> None:
    """What a reader held is deleted some time after it has gone; old rows are removed when their day comes."""
    hold = Hold(root)
    sealer = Sealer(root, upkeep_s=0.05, retention=Retention(bytes=1 << 40))
    for first in range(MANY):
        sealer.submit(closed(root, who, rows, first))
    deadline = time.monotonic() + 60
    while len(there := files(root, "message")) != MANY + 1:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    hold.release()
    while files(root, "message") != there[:1]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    sealer.close()


def test_a_mistake_in_upkeep_does_not_stop_sealing(root: Path, who, rows, monkeypatch) -> None:
    """It is said, and segments are sealed as ever."""

    def mistaken(_: Upkeep) -> Generator[None, None, None]:
        raise KeyError("what nobody\nexpected")
        yield

    monkeypatch.setattr(Upkeep, "round", mistaken)
    sealer = Sealer(root)
    for first in range(3):
        sealer.submit(closed(root, who, rows, first))
    sealer.finish(who)
    assert sealer.upkeep_failure == "cannot keep the archive: 'what nobody\\nexpected'"
    assert sealer.failure is None
    sealer.close()
    assert len(files(root, "message")) == 3


def test_finishing_without_work_returns_at_once(root: Path, who) -> None:
    """No thread is started for nothing."""
    sealer = Sealer(root)
    sealer.finish(who)
    sealer.close()
    assert sealer._thread is None
