"""Tests of which Parquet files there are, and which of them count."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.schema.table import Identity
from peerwatch.store.files import Sealed, in_table, replaced
from peerwatch.store.layout import SegmentName


def touch(root: Path, table: str, date: str, name: str, node: str = "n") -> None:
    folder = root / table / f"date={date}" / f"node={node}"
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).touch()


def test_files_come_in_order(tmp_path: Path) -> None:
    """By date, node, identity and commits as numbers; what is no file of ours is passed over."""
    for date, node, name in [
        ("2024-01-02", "n", "usdt-5-0-1.parquet"),
        ("2024-01-01", "n", "usdt-5-10-11.parquet"),
        ("2024-01-01", "n", "usdt-5-9-9.parquet"),
        ("2024-01-01", "n", "capture-7-3-4.parquet"),
        ("2024-01-01", "b", "usdt-5-0-0.parquet"),
        ("2024-01-01", "n", "notes.txt"),
    ]:
        touch(tmp_path, "message", date, name, node)
    (tmp_path / "message" / "readme").touch()
    found = [(f.date, f.identity.node, f.path.name) for f in in_table(tmp_path, "message")]
    assert found == [
        ("2024-01-01", "b", "usdt-5-0-0.parquet"),
        ("2024-01-01", "n", "capture-7-3-4.parquet"),
        ("2024-01-01", "n", "usdt-5-9-9.parquet"),
        ("2024-01-01", "n", "usdt-5-10-11.parquet"),
        ("2024-01-02", "n", "usdt-5-0-1.parquet"),
    ]
    only = in_table(tmp_path, "message", node="n", dates={"2024-01-02", "2024-01-09"})
    assert [(f.identity, f.first, f.last, f.segment) for f in only] == [
        (Identity("n", 5, "usdt"), 0, 1, SegmentName(Identity("n", 5, "usdt"), 0))
    ]
    assert list(in_table(tmp_path, "ping")) == []


def test_roll_ups_lie_apart(tmp_path: Path) -> None:
    """They are files of their table, told from the rows beside them; only `rate` has them."""
    for table in ("rate", "message"):
        touch(tmp_path, table, "2024-01-01", "usdt-5-0-1.parquet")
        touch(tmp_path, table, "2024-01-01", "rollup/usdt-5-0-1.parquet")
    assert [f.rollup for f in in_table(tmp_path, "rate")] == [False, True]
    assert [f.rollup for f in in_table(tmp_path, "message")] == [False]
    assert replaced(list(in_table(tmp_path, "rate"))) == []


def at(first: int, last: int, folder: str = "f", session: int = 1) -> Sealed:
    return Sealed(Identity("n", session, "usdt"), "message", "2024-01-01", Path(folder, f"{session}-{first}-{last}"), first, last)


def test_what_lies_within_another_is_replaced() -> None:
    """At the beginning, the end or in between, and within what is replaced itself; of other folders and identities nothing is."""
    order = [at(0, 9), at(0, 1), at(2, 5), at(3, 4), at(9, 9), at(10, 11), at(0, 9, session=2), at(4, 4, folder="g")]
    assert replaced(order) == [at(0, 1), at(2, 5), at(3, 4), at(9, 9)]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=12), st.data())
def test_each_commit_counts_once_whatever_was_put_together(lengths: list[int], data: st.DataObject) -> None:
    """Segments, any of them put together again and again with neighbours, and none deleted: the rest covers each commit once."""
    firsts = [sum(lengths[:i]) for i in range(len(lengths))]
    here = [at(first, first + length - 1) for first, length in zip(firsts, lengths, strict=True)]
    there = list(here)
    for _ in range(data.draw(st.integers(0, 4))):
        low = data.draw(st.integers(0, len(here) - 1))
        high = data.draw(st.integers(low, len(here) - 1))
        if high > low:
            here[low : high + 1] = [at(here[low].first, here[high].last)]
            there.append(here[low])
    order = sorted(there, key=lambda f: (f.first, -f.last))
    old = replaced(order)
    assert [f for f in order if f not in old] == here


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """It is not taken for empty."""
    folder = tmp_path / "message" / "date=2024-01-01"
    folder.mkdir(parents=True)
    (folder / "node=n").write_text("no folder")
    with pytest.raises(NotADirectoryError):
        list(in_table(tmp_path, "message"))
