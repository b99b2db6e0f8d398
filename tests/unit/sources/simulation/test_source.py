"""The simulation source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from peerwatch.schema.batch import SECOND
from peerwatch.sources._api import Chunk
from peerwatch.sources.simulation.folder import PLAY, FolderError, write_simulation
from peerwatch.sources.simulation.source import SimulationSource
from peerwatch.wire.dissect import dissect
from tests.unit.sources.simulation.seen import START, plan

FLOOD = plan("addr-flood-2021", 150.25, options={"start_s": 20, "duration_s": 60})
Rows = dict[str, list[dict[str, Any]]]


class Clock:
    """A clock that goes when it is told to."""

    now = 77

    def __call__(self) -> int:
        """Its time, ns."""
        return self.now


def drain(source: SimulationSource, clock: Clock | None = None, step: int = 0) -> list[Chunk]:
    """All chunks until the end."""
    out: list[Chunk] = []
    while (chunks := source.read()) is not None:
        out += chunks
        if clock is not None:
            clock.now += step
    return out


def rows(chunks: Sequence[Chunk]) -> Rows:
    """All rows and messages of chunks, by table."""
    out: Rows = {"message": []}
    for c in chunks:
        m = c.messages
        kept = [m.buf[s : s + k].tobytes() for s, k in zip(m.start.tolist(), m.kept.tolist(), strict=True)]
        columns = (
            m.ts.tolist(),
            m.seq.tolist(),
            m.peer.tolist(),
            m.inbound.tolist(),
            [m.names[t] for t in m.type],
            m.size.tolist(),
            kept,
        )
        names = ("ts", "seq", "peer", "inbound", "type", "size", "body")
        out["message"] += [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
        for table, batch in c.rows.items():
            out.setdefault(table, []).extend(pa.Table.from_batches([batch]).to_pylist())
    return out


def test_a_folder_gives_what_the_simulation_gives(tmp_path: Path) -> None:
    """Through a play file and back, every row and message is the same, and so are the labels."""
    write_simulation(FLOOD, tmp_path, "alice")
    direct, read = SimulationSource.simulated(FLOOD, "alice"), SimulationSource.from_folder(tmp_path)

    assert rows(drain(direct)) == rows(drain(read))
    assert direct.labels == read.labels
    assert (direct.name, direct.live, read.live) == ("simulation", False, False)


@pytest.mark.parametrize(("speed", "step"), [(1.0, SECOND // 10), (20.0, SECOND), (300.0, SECOND // 3)])
def test_rows_do_not_depend_on_chunks(speed: float, step: int) -> None:
    """However fast it goes and however often it is asked, a live simulation gives the rows of one at full speed."""
    clock = Clock()
    live = SimulationSource.simulated(plan(seconds=8.5), speed=speed, clock=clock)

    assert rows(drain(live, clock, step)) == rows(drain(SimulationSource.simulated(plan(seconds=8.5))))


def test_watermarks_and_numbers() -> None:
    """The watermark never goes back, what comes is not older than it, numbers have no gap, and the last chunk says that it is."""
    clock = Clock()
    chunks = drain(SimulationSource.simulated(FLOOD, speed=10.0, clock=clock), clock, SECOND // 2)
    marks = [c.watermark for c in chunks]
    numbers = sorted(r["seq"] for table in rows(chunks).values() for r in table)

    assert marks == sorted(marks)
    assert marks[-1] == START + round(150.25 * SECOND)
    assert all((c.events >= mark).all() for c, mark in zip(chunks[1:], marks, strict=False))
    assert numbers == list(range(len(numbers)))
    assert [c.ended for c in chunks] == [False] * (len(chunks) - 1) + [True]


def test_a_live_simulation_keeps_time() -> None:
    """It is never ahead of the clock, gives something every tenth of a second, and nothing more often than that."""
    clock = Clock()
    source = SimulationSource.simulated(plan(seconds=60), speed=2.0, clock=clock)
    assert source.live
    assert source.read() == []
    clock.now += SECOND // 5
    (chunk,) = source.read() or ()
    assert chunk.watermark == START + 2 * SECOND // 5
    assert (chunk.events < chunk.watermark).all()
    assert source.read() == []
    clock.now += SECOND // 1000
    assert source.read() == []
    clock.now += 10 * SECOND
    assert sum(len(c.events) for c in source.read() or ()) > 200


def test_it_goes_on_where_it_was_recorded(tmp_path: Path) -> None:
    """Opened with the position of any chunk, it gives all that follows and nothing of before."""
    write_simulation(FLOOD, tmp_path)
    whole = drain(SimulationSource.from_folder(tmp_path))
    clock = Clock()
    pieces = drain(SimulationSource.simulated(FLOOD, speed=30.0, clock=clock), clock, SECOND)
    for n in (0, 2, len(pieces) - 1):
        position = pieces[n].position
        rest = rows(drain(SimulationSource.from_folder(tmp_path, position=position)))
        expected = {t: [r for r in table if r["seq"] >= position["seq"]] for t, table in rows(whole).items()}
        assert {t: r for t, r in rest.items() if r} == {t: r for t, r in expected.items() if r}


def test_a_live_one_goes_on_at_once() -> None:
    """What was recorded before is passed over in the first read, not waited for."""
    clock = Clock()
    first = SimulationSource.simulated(plan(seconds=60), speed=1.0, clock=clock)
    clock.now += 30 * SECOND
    (chunk,) = first.read() or ()
    again = SimulationSource.simulated(plan(seconds=60), speed=1.0, clock=clock, position=chunk.position)
    clock.now += SECOND
    got = [c for c in again.read() or () if len(c.events)]

    assert got[0].messages.seq[0] >= chunk.position["seq"]
    assert got[-1].watermark == START + 31 * SECOND


def test_every_message_is_well_formed() -> None:
    """The dissectors find nothing wrong with any message of any type that they know."""
    for chunk in drain(SimulationSource.simulated(FLOOD)):
        tables = dissect(chunk.identity, chunk.messages, bytes(40)).tables
        assert tables["message"].column("error").null_count == tables["message"].num_rows


def test_a_damaged_file_gives_all_before_and_says_so(tmp_path: Path) -> None:
    """A file that was cut ends with a `loss` row, after everything that is whole."""
    write_simulation(plan(seconds=30), tmp_path)
    whole = rows(drain(SimulationSource.from_folder(tmp_path)))["message"]
    raw = (tmp_path / PLAY).read_bytes()
    (tmp_path / PLAY).write_bytes(raw[: len(raw) // 2])
    chunks = drain(SimulationSource.from_folder(tmp_path))
    got = rows(chunks)
    (loss,) = got["loss"]

    assert got["message"] == whole[: len(got["message"])]
    assert 0.3 * len(whole) < len(got["message"]) < len(whole)
    assert loss["kind"] == "truncated"
    assert loss["reason"].startswith("The play file is damaged: record ")
    assert chunks[-1].ended


def test_folders_that_are_no_simulation(tmp_path: Path) -> None:
    """What is missing or wrong is said in one sentence."""
    write_simulation(plan(seconds=5), tmp_path)
    (tmp_path / PLAY).write_bytes(b"RIFF")
    with pytest.raises(FolderError, match=r"simulation.play is not a play file"):
        SimulationSource.from_folder(tmp_path)
    (tmp_path / PLAY).unlink()
    with pytest.raises(FolderError, match=r"simulation.play is missing"):
        SimulationSource.from_folder(tmp_path)
    with pytest.raises(FolderError, match=r"labels.json is missing"):
        SimulationSource.from_folder(tmp_path / "elsewhere")


def test_closing_ends_it() -> None:
    """After close, twice if need be, nothing more is made; commit and finish do nothing."""
    source = SimulationSource.simulated(plan(seconds=3600))
    source.read()
    source.commit()
    assert source.finish() == []
    source.close()
    source.close()
    rest = drain(source)
    assert sum(len(c.messages) for c in rest) == 0
    assert np.all([c.ended for c in rest])
