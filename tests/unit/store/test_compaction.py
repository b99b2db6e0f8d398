"""Tests of putting files together."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerwatch.schema.registry import all_tables
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.payload import Payload
from peerwatch.store import compaction
from peerwatch.store.compaction import DAY, FULL, LARGE, MANY, merge, plan
from peerwatch.store.errors import ArchiveError
from peerwatch.store.files import Sealed
from peerwatch.store.parquet import GROUP_BYTES, ParquetFile
from peerwatch.store.seal import seal
from tests.unit.store.conftest import WHO, files, holds, sealed, segment, tables

SMALL = 1000


def planned(kinds: list[tuple[int, int]], *, over: bool) -> list[tuple[list[int], int]]:
    """What is put together of files of given (bytes, level): their numbers, and the new level."""
    there = [Sealed(WHO, "message", "2024-01-01", Path(str(n)), n, n) for n in range(len(kinds))]
    plans = plan(there, lambda f: kinds[f.first][0], lambda f: kinds[f.first][1], over=over)
    return [([f.first for f in parts], level) for parts, level in plans]


def test_many_files_of_a_level_are_put_together() -> None:
    """As soon as there are enough, and not before; those of another level are left."""
    few = [(SMALL, 0)] * (MANY - 1)
    assert planned(few, over=False) == []
    assert planned([*few, (SMALL, 0)], over=False) == [(list(range(MANY)), 1)]
    hours = [(SMALL, 1)] * MANY
    assert planned([*hours, *few], over=False) == [(list(range(MANY)), 2)]


def test_when_the_day_is_over_all_are_put_together() -> None:
    """Whatever their level; once, and what comes late only when it is many."""
    mixed = [(SMALL, 1), (SMALL, 1), (SMALL, 0)]
    assert planned(mixed, over=True) == [([0, 1, 2], DAY)]
    assert planned([(SMALL, DAY)], over=True) == []
    assert planned([(SMALL, DAY), (SMALL, 0)], over=True) == []
    late = [(SMALL, DAY)] + [(SMALL, 0)] * (MANY - 1)
    assert planned(late, over=True) == [(list(range(MANY)), DAY)]


def test_large_files_stay_as_they_are() -> None:
    """Nothing is put together across them, as it would cover their commits."""
    around = [(SMALL, 0), (SMALL, 0), (LARGE, 0), (SMALL, 0), (SMALL, 0)]
    assert planned(around, over=True) == [([0, 1], DAY), ([3, 4], DAY)]
    many = [(SMALL, 0)] * (MANY - 1)
    assert planned([*many, (LARGE, 0), *many], over=False) == []


def test_no_file_becomes_larger_than_is_good() -> None:
    """Many files of some size become several."""
    plans = planned([(LARGE - 1, 0)] * 20, over=True)
    assert [len(parts) for parts, _ in plans] == [FULL // (LARGE - 1)] * 2 + [4]


kinds = st.tuples(st.sampled_from([10, SMALL, LARGE // 2, LARGE - 1, LARGE, FULL]), st.sampled_from([0, 0, 0, 1, 2, DAY]))


@given(st.lists(kinds, max_size=80), st.booleans())
def test_plans_hold_what_they_promise(there: list[tuple[int, int]], over: bool) -> None:  # noqa: FBT001 - a drawn value
    """Neighbours without a gap, each file once, within bounds, at a level above all of them unless that is the last."""
    plans = planned(there, over=over)
    numbers = [n for parts, _ in plans for n in parts]
    assert len(numbers) == len(set(numbers))
    for parts, level in plans:
        assert parts == list(range(parts[0], parts[-1] + 1))
        assert len(parts) > 1
        assert sum(there[n][0] for n in parts) <= FULL
        assert all(there[n][0] < LARGE for n in parts)
        assert level == DAY or all(there[n][1] < level for n in parts)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 600), st.integers(1, 400_000))
def test_work_is_linear(segments: int, size: int) -> None:
    """Of the segments of a day, a byte is written three times more at most, and few files are there at any time."""
    there: list[tuple[int, int]] = []
    written = 0
    for _ in range(segments):
        there.append((size, 0))
        for parts, level in reversed(planned(there, over=False)):
            together = sum(there[p][0] for p in parts)
            there[parts[0] : parts[-1] + 1] = [(together, level)]
            written += together
        assert sum(s < LARGE for s, _ in there) <= (MANY - 1) * 3
    for parts, level in reversed(planned(there, over=True)):
        together = sum(there[p][0] for p in parts)
        there[parts[0] : parts[-1] + 1] = [(together, level)]
        written += together
    assert written <= 3 * segments * size
    assert len(there) <= 2 * (1 + segments * size // LARGE)


def test_rows_stay_and_come_in_the_same_order(root: Path, tmp_path: Path) -> None:
    """All columns of all rows, in one file that covers all commits; the segments' files do not count any more."""
    sealed(root, 5)
    before = [r for f in files(root, "message") for r in pq.read_table(f.path, partitioning=None).to_pylist()]
    for table in ("message", "ping", "rate"):
        for _ in merge(files(root, table), 1, tmp_path / "scratch"):
            pass
    whole = files(root, "message")[0]
    assert (whole.first, whole.last, compaction.level(whole.path)) == (0, 4, 1)
    assert compaction.level(files(root, "message")[1].path) == 0
    assert pq.read_table(whole.path, partitioning=None).to_pylist() == before
    assert not (tmp_path / "scratch").exists()
    holds(root, 100)


def test_row_groups_are_filled_and_roll_ups_keep_to_themselves(root: Path, tmp_path: Path, monkeypatch) -> None:
    """Messages fill row groups across files; minutes and hours never share one, and queries can tell by the statistics."""
    sealed(root, 6, each=50, step_ns=10**9)
    monkeypatch.setattr("peerwatch.store.parquet.ROW_GROUP", 64)
    for table in ("message", "rate"):
        for _ in merge(files(root, table), 1, tmp_path / "scratch"):
            pass
    message = pq.read_metadata(files(root, "message")[0].path)
    assert [message.row_group(i).num_rows for i in range(message.num_row_groups)] == [64, 64, 64, 64, 44]
    spans = [message.row_group(i).column(3).statistics for i in range(message.num_row_groups)]
    assert all(a.max <= b.min for a, b in pairwise(spans))
    rate = pq.read_metadata(files(root, "rate")[0].path)
    width = rate.schema.names.index("width")
    widths = [rate.row_group(i).column(width).statistics for i in range(rate.num_row_groups)]
    assert {(w.min, w.max) for w in widths} == {(60, 60), (3600, 3600)}


def test_seconds_and_roll_ups_of_one_file_stay_apart(root: Path, tmp_path: Path) -> None:
    """As the first layout had them: row groups of either are put together, never with each other."""
    sealed(root, 3)
    there = files(root, "rate")
    for file in there:
        rows = pq.read_table(file.path, partitioning=None)
        seconds = rows.set_column(5, rows.schema.field(5), pa.array([1] * len(rows), pa.int32()))
        seconds = seconds.set_column(2, rows.schema.field(2), pa.array(["usdt"] * len(rows)))
        with pq.ParquetWriter(file.path, rows.schema, store_schema=False) as writer:
            writer.write_table(seconds)
            writer.write_table(rows)
    for _ in merge(there, 1, tmp_path / "scratch"):
        pass
    metadata = pq.read_metadata(files(root, "rate")[0].path)
    found = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    source = metadata.schema.names.index("source")
    assert {(g.column(source).statistics.min, g.column(source).statistics.max) for g in found} == {
        ("usdt", "usdt"),
        ("rollup", "rollup"),
    }


def test_what_is_given_up_leaves_nothing(root: Path, tmp_path: Path) -> None:
    """At any pause: no file, no scratch."""
    sealed(root, 4)
    there = files(root, "message")
    for pauses in range(1, 5):
        work = merge(there, 1, tmp_path / "scratch")
        for _ in range(pauses):
            next(work)
        work.close()
        assert files(root, "message") == there
        assert not (tmp_path / "scratch").exists()
    holds(root, 80)


def test_columns_of_a_newer_version_are_not_thrown_away(root: Path, tmp_path: Path) -> None:
    """Files that have some are left alone; those that lack some get nulls."""
    sealed(root, 2)
    first, second = files(root, "message")
    rows = pq.read_table(first.path, partitioning=None)
    pq.write_table(rows.append_column("later", pa.array(range(len(rows)))), first.path, store_schema=False)
    with pytest.raises(ArchiveError, match="columns of a newer version: later"):
        list(merge([first, second], 1, tmp_path / "scratch"))
    pq.write_table(rows.drop_columns(["error"]), first.path, store_schema=False)
    list(merge([first, second], 1, tmp_path / "scratch"))
    errors = pq.read_table(files(root, "message")[0].path, partitioning=None)["error"].to_pylist()
    assert errors[:20] == [None] * 20
    assert errors[20:] == tables(20, 20)["message"].column("error").to_pylist()


def test_lost_rows_are_noticed(root: Path, tmp_path: Path, monkeypatch) -> None:
    """The new file is counted before it takes the place of the others."""
    sealed(root, 2)
    there = files(root, "message")
    write = ParquetFile.write
    monkeypatch.setattr(ParquetFile, "write", lambda self, rows: write(self, rows.slice(1)))
    with pytest.raises(ArchiveError, match="has 39 rows of 40"):
        list(merge(there, 1, tmp_path / "scratch"))
    assert files(root, "message") == there


def test_payloads_are_put_together_in_pieces(root: Path, tmp_path: Path) -> None:
    """However large they are, no more than a few row groups of GROUP_BYTES are in memory at a time."""
    each = GROUP_BYTES // 4
    columns = {"peer": [1], "inbound": [True], "type": ["block"], "size": [each], "payload": [bytes(each)]}
    for n in range(4):
        batches = [Payload.build(WHO, {**columns, "ts": [n], "seq": [8 * n + i]}) for i in range(8)]
        (rows,) = pa.Table.from_batches(batches).unify_dictionaries().combine_chunks().to_batches()
        seal(root, segment(root, n, {"payload": rows}))
    there = files(root, "payload")
    before = pa.total_allocated_bytes()
    most = 0
    for _ in merge(there, 1, tmp_path / "scratch"):
        most = max(most, pa.total_allocated_bytes() - before)
    whole = files(root, "payload")[0]
    assert pq.read_metadata(whole.path).num_rows == 32
    assert most <= 4 * GROUP_BYTES
    assert pq.read_table(whole.path, partitioning=None, columns=["seq"])["seq"].to_pylist() == list(range(32))


def test_every_table_can_be_put_together(root: Path, tmp_path: Path) -> None:
    """Empty of meaning, but of the right types: what can be sealed can be read and written again."""
    for name, table in all_tables().items():
        folder = root / name / "date=2024-01-01" / "node=n"
        folder.mkdir(parents=True)
        rows = pa.record_batch([_some(field) for field in table.arrow], schema=table.arrow)
        for n in range(2):
            with ParquetFile(folder / f"usdt-1-{n}-{n}.parquet", table) as file:
                file.write(rows)
        list(merge(files(root, name), 1, tmp_path / "scratch"))
        whole = files(root, name)[0]
        assert (whole.first, whole.last) == (0, 1)
        assert pq.read_metadata(whole.path).num_rows == 2


def _some(field: pa.Field) -> pa.Array:
    """One value of a field's type; null where that may be."""
    if field.nullable:
        return pa.nulls(1, field.type)
    if pa.types.is_dictionary(field.type):
        return pa.DictionaryArray.from_arrays(pa.array([0], pa.int16()), pa.array(["x"]))
    if pa.types.is_fixed_size_binary(field.type):
        return pa.array([bytes(field.type.byte_width)], field.type)
    return pa.array([0]).cast(field.type) if not pa.types.is_large_binary(field.type) else pa.array([b""], field.type)


def test_a_file_that_cannot_be_read_is_an_error(root: Path, tmp_path: Path) -> None:
    """Nothing changes then."""
    sealed(root, 2)
    there = files(root, "message")
    there[1].path.write_bytes(b"PAR1")
    with pytest.raises((pa.ArrowException, OSError)):
        list(merge(there, 1, tmp_path / "scratch"))
    assert files(root, "message") == there


def test_identities_are_kept_apart(root: Path) -> None:
    """Another session's files cover other commits, though the numbers are the same."""
    later = Identity(WHO.node, WHO.session + 1, WHO.source)
    sealed(root, 2)
    sealed(root, 2, identity=later)
    assert len({f.identity for f in files(root, "message")}) == 2
