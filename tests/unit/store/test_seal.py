"""Tests of sealing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from peerwatch.schema.registry import all_tables
from peerwatch.schema.table import Level
from peerwatch.schema.tables.payload import Payload
from peerwatch.store import layout
from peerwatch.store.errors import ArchiveError
from peerwatch.store.journal import Header
from peerwatch.store.layout import DAY, SegmentName
from peerwatch.store.parquet import ROW_GROUP
from peerwatch.store.recovery import Closed
from peerwatch.store.seal import seal
from peerwatch.store.wal import Segment, boot


def closed(root: Path, who, batches: list[dict[str, pa.RecordBatch]], first: int = 0) -> Closed:
    """A segment that holds `batches`, one commit each."""
    header = Header(who.node, who.session, who.source, first, boot(), {}, {})
    segment = Segment.create(root, header)
    for batch in batches:
        segment.append(batch, {}, {})
    segment.close()
    return Closed(SegmentName(who, first), segment.path, header, segment.last)


def files(root: Path) -> dict[str, bytes]:
    """All Parquet files of an archive."""
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*.parquet"))}


def test_a_segment_becomes_parquet_of_the_same_rows(root: Path, who, rows) -> None:
    """Every row and column, in order, with the types of the table; the segment is gone."""
    batches = [rows(i * 50, 50) for i in range(4)]
    seal(root, closed(root, who, batches))
    whole = rows(0, 200)
    for name in ("message", "ping"):
        (path,) = (root / name).rglob("*.parquet")
        assert str(path.relative_to(root)) == f"{name}/date=2023-11-14/node=node-a/usdt-{who.session}-0-3.parquet"
        read = pq.read_table(path, partitioning=None)
        for field in all_tables()[name].arrow:
            assert read[field.name].to_pylist() == whole[name].column(field.name).to_pylist()
            assert read.schema.field(field.name).nullable == field.nullable
    assert list((root / "wal").iterdir()) == []


def test_messages_leave_roll_ups(root: Path, who, rows) -> None:
    """One file of `rate`, whose minutes and hours count every message once."""
    seal(root, closed(root, who, [rows(0, 100, step_ns=10**9)]))
    (path,) = (root / "rate").rglob("*.parquet")
    read = pq.read_table(path, partitioning=None).to_pylist()
    for width in (60, 3600):
        assert sum(r["messages"] for r in read if r["width"] == width) == 100
    assert {r["source"] for r in read} == {"rollup"}


def test_a_level_leaves_out_rows_and_keeps_what_they_add_up_to(root: Path, who, rows) -> None:
    """At the lowest, only what is recorded at every level is kept; roll-ups are those of all messages."""
    body = {"ts": [who.session], "seq": [0], "peer": [1], "inbound": [True], "type": ["tx"], "size": [3], "payload": [b"abc"]}
    for first, level, tables in (
        (0, Level.LIGHT, {"rate"}),
        (1, Level.STANDARD, {"rate", "message", "ping"}),
        (2, Level.FULL, {"rate", "message", "ping", "payload"}),
    ):
        batches = rows(0, 100) | {"payload": Payload.build(who, body)}
        made = seal(root, closed(root, who, [batches], first), level)
        assert {path.parts[0] for path in made} == tables
        (path,) = [path for path in made if path.parts[0] == "rate"]
        read = pq.read_table(root / path, partitioning=None).to_pylist()
        assert sum(r["messages"] for r in read if r["width"] == 60) == 100
    assert list((root / "wal").iterdir()) == []


def test_rows_of_several_days_go_to_the_file_of_their_day(root: Path, who, rows) -> None:
    """By the time of the row, whatever order they came in."""
    late = rows(0, 40, step_ns=DAY // 10)
    seal(root, closed(root, who, [late, rows(40, 5, step_ns=0)]))
    dates = {
        p.parent.parent.name: set(pq.read_table(p, partitioning=None)["seq"].to_pylist())
        for p in (root / "message").rglob("*.parquet")
    }
    assert len(dates) == 5
    assert sorted(s for seqs in dates.values() for s in seqs) == list(range(45))
    assert set(range(40, 45)) <= dates["date=2023-11-14"]


def test_large_segments_are_written_in_bounded_pieces(root: Path, who, rows) -> None:
    """No row group holds more than ROW_GROUP rows, in one append or in many."""
    seal(root, closed(root, who, [{"message": rows(i * 200_000, 200_000, step_ns=1)["message"]} for i in range(3)]))
    (path,) = (root / "message").rglob("*.parquet")
    metadata = pq.read_metadata(path)
    assert metadata.num_rows == 600_000
    assert max(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)) <= ROW_GROUP


def test_message_rows_take_few_bytes(root: Path, who, rows) -> None:
    """Times and numbers are stored as differences: the budget of 8 bytes a row holds with room to spare."""
    seal(root, closed(root, who, [rows(i * 5000, 5000) for i in range(10)]))
    (path,) = (root / "message").rglob("*.parquet")
    assert path.stat().st_size < 4 * 50_000
    row_group = pq.read_metadata(path).row_group(0)
    encodings = {row_group.column(i).path_in_schema: row_group.column(i).encodings for i in range(row_group.num_columns)}
    assert all("DELTA_BINARY_PACKED" in encodings[name] for name in ("ts", "seq"))
    assert all("RLE_DICTIONARY" in encodings[name] for name in ("node", "peer", "type"))


def test_a_dictionary_larger_than_its_rows_is_not_stored(root: Path, who, rows) -> None:
    """A slice of a batch that shares a large dictionary takes with it only the values that occur in it."""
    batch = rows(0, 3)["message"]
    large = pa.DictionaryArray.from_arrays(pa.array([7, 7, 9], pa.int16()), pa.array([f"type-{i:030}" for i in range(30_000)]))
    at = batch.schema.get_field_index("type")
    seal(root, closed(root, who, [{"message": batch.set_column(at, batch.schema.field("type"), large)}]))
    (path,) = (root / "message").rglob("*.parquet")
    assert path.stat().st_size < 10_000


def test_sealing_anew_gives_the_same_files(root: Path, who, rows, tmp_path: Path) -> None:
    """What was interrupted is done over; the files are byte for byte those of the first time."""
    segment = closed(root, who, [rows(0, 500, step_ns=DAY // 200)])
    shutil.copytree(root, tmp_path / "copy")
    seal(root, segment)
    once = files(root)
    shutil.rmtree(root)
    shutil.copytree(tmp_path / "copy", root)
    (root / "wal" / segment.path.name / "seal").mkdir()
    (root / "wal" / segment.path.name / "seal" / "message-1.parquet").write_bytes(b"half")
    half_done = min(once)
    (root / half_done).parent.mkdir(parents=True)
    (root / half_done).write_bytes(once[half_done])
    seal(root, segment)
    assert files(root) == once


def test_an_empty_segment_just_goes(root: Path, who) -> None:
    """Without commits, or with commits that have no rows."""
    seal(root, closed(root, who, []))
    seal(root, closed(root, who, [{}, {}], first=5))
    assert list((root / "wal").iterdir()) == []
    assert files(root) == {}


def test_a_segment_that_cannot_be_written_stays(root: Path, who, rows) -> None:
    """Nothing half-written is left, neither in the archive nor in the segment."""
    segment = closed(root, who, [rows(0, 50)])
    (root / "message").write_text("in the way")
    with pytest.raises(OSError, match=r"exists|directory"):
        seal(root, segment)
    assert layout.segments(root)
    assert (segment.path / "message.arrows").exists()
    (root / "message").unlink()
    seal(root, segment)
    assert len(files(root)) == 3


def test_rows_that_this_version_does_not_know_are_not_thrown_away(root: Path, who, rows) -> None:
    """A segment with tables of a newer version stays until that version is back."""
    batches = rows(0, 5)
    segment = closed(root, who, [{"message": batches["message"], "hologram": batches["ping"]}])
    with pytest.raises(ArchiveError, match="tables of a newer version: hologram"):
        seal(root, segment)
    assert sorted(entry.name for entry in segment.path.iterdir()) == ["hologram.arrows", "journal.jsonl", "message.arrows"]
