"""Tests of how rows are written."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.schema.registry import all_tables
from peerwatch.schema.table import Identity
from peerwatch.schema.tables.message import Message
from peerwatch.schema.tables.payload import Payload
from peerwatch.schema.tables.rate import Rate
from peerwatch.store import parquet
from peerwatch.store.parquet import GROUP_BYTES, ROW_GROUP, ParquetFile, Pile

WHO = Identity("n", 1, "usdt")


def groups(batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    pile = Pile()
    return [group for batch in batches for group in pile.add(batch)] + list(pile.rest())


@given(st.lists(st.integers(0, 25), max_size=12))
def test_every_row_is_given_back_in_order(lengths: list[int]) -> None:
    """In full row groups, however long the batches are, and what is left in the end."""
    schema = pa.schema({"n": pa.int64()})
    at = [sum(lengths[:i]) for i in range(len(lengths))]
    batches = [
        pa.record_batch([pa.array(range(a, a + n), pa.int64())], schema=schema) for a, n in zip(at, lengths, strict=True) if n
    ]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(parquet, "ROW_GROUP", 10)
        found = groups(batches)
    assert [n for group in found for n in group.column("n").to_pylist()] == list(range(sum(lengths)))
    assert all(group.num_rows == 10 for group in found[:-1])


def test_large_rows_make_small_row_groups() -> None:
    """Payloads are held in memory by their bytes, not by their number."""
    each = GROUP_BYTES // 8
    columns = {"peer": [1], "inbound": [True], "type": ["block"], "size": [each], "payload": [bytes(each)]}
    batches = [Payload.build(WHO, {**columns, "ts": [n], "seq": [n]}) for n in range(20)]
    found = groups(batches)
    assert [group.num_rows for group in found] == [8, 8, 4]
    assert [n for group in found for n in group.column("seq").to_pylist()] == list(range(20))


def test_a_dictionary_has_what_occurs_and_nothing_else() -> None:
    """Nulls stay null; values of other batches, or of none, go."""
    schema = pa.schema([pa.field("label", pa.dictionary(pa.int16(), pa.utf8()))])
    shared = pa.array([f"v{i}" for i in range(30_000)])
    batches = [
        pa.record_batch([pa.DictionaryArray.from_arrays(pa.array(codes, pa.int16()), shared)], schema=schema)
        for codes in ([7, None, 7], [29_999, 3])
    ]
    (group,) = groups(batches)
    assert group.column("label").to_pylist() == ["v7", None, "v7", "v29999", "v3"]
    assert sorted(group.column("label").dictionary.to_pylist()) == ["v29999", "v3", "v7"]


def test_dictionaries_that_are_too_large_together_stay_apart() -> None:
    """More values than codes: each batch becomes a row group of its own, and no row is lost."""
    schema = pa.schema([pa.field("label", pa.dictionary(pa.int16(), pa.utf8()))])
    batches = [
        pa.record_batch([pa.array([f"{b}-{i}" for i in range(20_000)]).dictionary_encode().cast(schema[0].type)], schema=schema)
        for b in range(3)
    ]
    found = groups(batches)
    assert [group.num_rows for group in found] == [20_000] * 3
    assert found[2].column("label").to_pylist()[-1] == "2-19999"


def test_a_file_that_gets_no_rows_is_not_made(tmp_path: Path) -> None:
    """Closing it changes nothing."""
    with ParquetFile(tmp_path / "x.parquet", Message):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_carries_its_facts_and_the_types_of_its_table(tmp_path: Path, rows) -> None:
    """Text for labels, so that every tool reads them; nothing of ours is needed."""
    (group,) = groups([rows(0, 50)["message"]])
    with ParquetFile(tmp_path / "x.parquet", Message, {"peerwatch.level": "3"}) as file:
        file.write(group)
    read = pq.read_table(tmp_path / "x.parquet")
    assert read.column("type").to_pylist() == rows(0, 50)["message"].column("type").to_pylist()
    assert read.schema.field("type").type == pa.utf8()
    assert pq.read_metadata(tmp_path / "x.parquet").metadata[b"peerwatch.level"] == b"3"


@pytest.mark.parametrize("name", all_tables())
def test_queries_can_pass_over_row_groups(name: str) -> None:
    """By node, time, number and peer, and roll-ups by their width; the extremes of other columns are not worth their time."""
    table = all_tables()[name]
    kept = parquet._encodings(table)["write_statistics"]
    assert isinstance(kept, list)
    assert {"node", "session", "source", "ts", "seq"} <= set(kept)
    assert ("peer" in kept) == ("peer" in table.columns)
    assert ("width" in kept) == (table is Rate)
    assert not {"size", "hash", "item", "payload", "type", "bytes"} & set(kept)


def test_row_groups_are_bounded(rows) -> None:
    """One batch of more rows becomes several."""
    found = groups([rows(0, ROW_GROUP + 5, step_ns=1)["message"]])
    assert [group.num_rows for group in found] == [ROW_GROUP, 5]
