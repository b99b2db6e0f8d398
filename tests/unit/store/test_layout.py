"""Tests of names and files of an archive."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwatch.schema.table import Identity
from peerwatch.store import layout
from peerwatch.store.errors import ArchiveError
from peerwatch.store.layout import FileName, Meta, SegmentName

identities = st.builds(
    Identity,
    node=st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True),
    session=st.integers(0, 2**63 - 1),
    source=st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True),
)


@given(identities, st.integers(0, 2**40))
def test_a_segment_is_told_by_its_name(identity: Identity, first: int) -> None:
    """Whatever the node is called, dashes and digits included, the name of a segment gives back whose it is."""
    layout.check_identity(identity)
    name = SegmentName(identity, first)
    assert SegmentName.parse(str(name)) == name
    assert SegmentName.parse(f"{name}{layout.GONE}") is None
    assert SegmentName.parse(f".{name}") is None
    assert SegmentName.parse(f"{identity.source}-{identity.node}.lock") is None


@given(identities, st.integers(0, 2**40), st.integers(0, 2**40), st.integers(-50_000, 100_000))
def test_a_parquet_file_is_told_by_its_name(identity: Identity, first: int, last: int, day: int) -> None:
    """The name of a Parquet file gives back whose rows it holds and which segment it was."""
    name = SegmentName(identity, first)
    path = name.parquet("message", day, last)
    assert path.parent.name == f"node={identity.node}"
    assert FileName.parse(identity.node, path.name) == FileName(identity, first, last)
    apart = name.parquet("rate", day, last, rollup=True)
    assert (apart.name, apart.parent) == (path.name, name.parquet("rate", day, last).parent / "rollup")


def test_the_date_of_a_file_is_that_of_its_day() -> None:
    """Days count from 1970, backwards too."""
    name = SegmentName(Identity("n", 1, "usdt"), 0)
    assert str(name.parquet("ping", 0, 4)) == "ping/date=1970-01-01/node=n/usdt-1-0-4.parquet"
    assert "date=1969-12-31" in str(name.parquet("ping", -1, 4))
    assert "date=2024-02-29" in str(name.parquet("ping", 19_782, 4))


@pytest.mark.parametrize(
    "name", ["usdt-1-0.parquet", "usdt-x-0-1.parquet", "notes.txt", "usdt-1-0-1.parquet.tmp", "a-b-c-d.parquet"]
)
def test_other_files_are_not_taken_for_ours(name: str) -> None:
    """What somebody else put into a folder is passed over."""
    assert FileName.parse("n", name) is None


@pytest.mark.parametrize("node", ["", "a b", "a/b", "ä", "a" * 65, "a\n", "a'b"])
def test_a_node_that_cannot_be_part_of_a_path_is_refused(node: str) -> None:
    """Letters, digits, dash, underscore and dot, at most 64."""
    with pytest.raises(ArchiveError, match="node name"):
        layout.check_identity(Identity(node, 1, "usdt"))


@pytest.mark.parametrize("source", ["", "USDT", "a-b", "1a", "a" * 33, "../x"])
def test_a_source_that_cannot_be_part_of_a_path_is_refused(source: str) -> None:
    """A dash would make names ambiguous."""
    with pytest.raises(ArchiveError, match="source name"):
        layout.check_identity(Identity("n", 1, source))


def test_a_negative_session_is_refused() -> None:
    """Its sign would be read as a separator."""
    with pytest.raises(ArchiveError, match="negative"):
        layout.check_identity(Identity("n", -1, "usdt"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is not an archive"),
        ('{"format": 2, "made": "otherwise"}', "has format 2; this version reads up to 1"),
        ('{"created": 1}', "is damaged"),
        ('{"format": 1}', "is damaged"),
        ("{", "is damaged"),
        ("[]", "is damaged"),
    ],
)
def test_what_is_no_archive_of_ours_is_said_in_one_line(tmp_path: Path, content: str | None, said: str) -> None:
    """Nothing there, a newer format, or a damaged file: one line each, before anything else is looked at."""
    if content is not None:
        (tmp_path / layout.META).write_text(content)
    with pytest.raises(ArchiveError, match=said) as caught:
        layout.read_meta(tmp_path)
    assert "\n" not in str(caught.value)


def test_what_an_archive_says_is_replaced_whole(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written is read again; a write that fails leaves what was there."""
    meta = Meta(1, 5, {"a": "b"}, {"message": [["ts"]]}, {"message": "2024-01-01"}, ["message/x"])
    layout.write_meta(root, meta)
    assert layout.read_meta(root) == meta

    def fail(*_: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(ArchiveError, match=r"cannot write .*archive\.json: No space left"):
        layout.write_meta(root, Meta(1, 6))
    assert layout.read_meta(root) == meta


def test_readers_share_the_lock_and_a_sealer_waits_for_them(root: Path) -> None:
    """Two readers hold it together; while one does, it cannot be taken exclusively."""
    with layout.locked(root, exclusive=False), layout.locked(root, exclusive=False):
        handle = os.open(root / layout.LOCK, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(handle)
    with layout.locked(root, exclusive=True):
        handle = os.open(root / layout.LOCK, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os.close(handle)


def test_an_archive_without_its_lock_is_refused(root: Path) -> None:
    """Without it nothing says what may be read."""
    (root / layout.LOCK).unlink()
    with pytest.raises(ArchiveError, match="cannot lock"), layout.locked(root, exclusive=False):
        pass


def test_segments_come_in_order_of_their_commits(root: Path) -> None:
    """By number, not by the letters of the name; what is no segment is left out."""
    for name in ("usdt-5-n-10", "usdt-5-n-9", "usdt-4-n-11", "usdt-5-a-1", ".usdt-5-n-12", "usdt-5-n-8.gone", "usdt-n.lock"):
        (root / layout.WAL / name).mkdir()
    assert [path.name for _, path in layout.segments(root)] == ["usdt-5-a-1", "usdt-4-n-11", "usdt-5-n-9", "usdt-5-n-10"]
