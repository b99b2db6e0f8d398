"""Tests of the archive as a whole."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from peerwatch.schema.registry import all_tables
from peerwatch.schema.table import Identity, Level
from peerwatch.store import layout
from peerwatch.store.archive import KEY_BYTES, Archive
from peerwatch.store.errors import ArchiveError
from peerwatch.store.layout import DAY
from peerwatch.store.query import Query
from peerwatch.store.retention import Retention


def test_a_new_archive_has_what_it_needs(tmp_path: Path) -> None:
    """Format, creation time, lock, and a random key that only its owner can read."""
    with Archive.create_or_open(tmp_path / "deep" / "archive") as archive:
        meta = json.loads((archive.path / "archive.json").read_text())
        assert (meta["format"], meta["nodes"]) == (1, {})
        assert meta["tables"] == {name: [list(table.columns)] for name, table in all_tables().items()}
        assert meta["created"] > 1_700_000_000_000_000_000
        assert len(archive.inventory_key) == KEY_BYTES
        assert stat.S_IMODE((archive.path / "inventory.key").stat().st_mode) == 0o600
        assert archive.sealing_failure is None
    with Archive.create_or_open(tmp_path / "other") as other:
        assert other.inventory_key != archive.inventory_key


def test_an_archive_is_opened_again_as_it_was(root: Path) -> None:
    """Key and creation stay; a relative path is as good as another."""
    with Archive.create_or_open(root) as first:
        meta = (root / "archive.json").read_bytes()
    relative = Path(os.path.relpath(root))
    with Archive.create_or_open(relative) as second:
        assert second.inventory_key == first.inventory_key
        assert second.path == root.resolve()
        assert (root / "archive.json").read_bytes() == meta


def test_a_schema_that_has_grown_is_noted(root: Path) -> None:
    """The archive says with which columns its tables were recorded, of old and now, so that readers know what may be missing."""
    meta = json.loads((root / "archive.json").read_text())
    older = meta["tables"]["ping"][0][:-1]
    meta["tables"]["ping"] = [older]
    del meta["tables"]["block"]
    (root / "archive.json").write_text(json.dumps(meta))
    Archive.create_or_open(root).close()
    tables = json.loads((root / "archive.json").read_text())["tables"]
    assert tables["ping"] == [older, [*older, "nonce"]]
    assert len(tables["block"]) == len(tables["message"]) == 1


def test_creating_that_was_interrupted_is_done_over(tmp_path: Path) -> None:
    """The description comes last: without it nothing was recorded yet."""
    root = tmp_path / "archive"
    Archive.create_or_open(root).close()
    (root / "archive.json").rename(root / "archive.json.new")
    with Archive.create_or_open(root) as archive:
        assert len(archive.inventory_key) == KEY_BYTES


def test_many_that_create_it_at_once_get_the_same(tmp_path: Path) -> None:
    """One key, whoever came first."""
    keys: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: keys.append(Archive.create_or_open(tmp_path / "a").inventory_key)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1


def test_a_directory_of_something_else_is_left_alone(tmp_path: Path) -> None:
    """A mistyped path must not be filled with files."""
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(ArchiveError, match=r"not an archive and not empty .it holds 'photo.jpg'"):
        Archive.create_or_open(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["photo.jpg"]


def test_a_newer_format_is_refused(root: Path) -> None:
    """Before anything in it is touched."""
    (root / "archive.json").write_text('{"format": 99}')
    with pytest.raises(ArchiveError, match="has format 99"):
        Archive.create_or_open(root)


def test_a_path_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """A file in the way, or no permission."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ArchiveError, match=r"cannot write the archive .*Not a directory"):
        Archive.create_or_open(tmp_path / "file" / "archive")
    with pytest.raises(ArchiveError, match="cannot write the archive"):
        Archive.create_or_open(Path("/proc/archive"))


def test_a_key_that_cannot_be_read_is_one_line(root: Path) -> None:
    """Without it, inventory cannot be told apart as before."""
    (root / "inventory.key").unlink()
    with pytest.raises(ArchiveError, match=r"cannot read .*inventory\.key"):
        Archive.create_or_open(root)


def test_found_nodes_get_random_names_that_stay(root: Path) -> None:
    """The same for the same node, in another process too; nothing of what it was found by is in the name."""
    with Archive.create_or_open(root) as archive:
        one = archive.node_name("/usr/bin/bitcoind 203.0.113.7:8333")
        other = archive.node_name("/opt/bitcoind")
        assert one != other
        assert "203" not in one.removeprefix("node-") or len(one) == len("node-") + 8
        archive.writer(Identity(one, 1, "usdt")).close()
    code = f"""
from pathlib import Path
from peerwatch.store.archive import Archive
print(Archive(Path({str(root)!r})).node_name("/opt/bitcoind"))
"""
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert again.stdout.strip() == other


def test_several_nodes_and_sources_are_recorded_side_by_side(root: Path, who, rows) -> None:
    """Each with a writer and a position of its own; closing the archive closes and seals them all."""
    identities = [who, Identity("node-b", who.session, "usdt"), Identity("node-b", who.session, "capture")]
    archive = Archive.create_or_open(root)
    for i, identity in enumerate(identities):
        archive.writer(identity).append(rows(0, 10 + i, identity), {"next": i})
    archive.close()
    archive.close()
    found = Query(root).table("SELECT node, source, count(*) AS n FROM message GROUP BY ALL ORDER BY ALL").to_pylist()
    assert [tuple(r.values()) for r in found] == [("node-a", "usdt", 10), ("node-b", "capture", 12), ("node-b", "usdt", 11)]
    with Archive.create_or_open(root) as again:
        assert [again.writer(i).position["next"] for i in identities] == [0, 1, 2]


def test_the_last_session_of_a_source_is_known(root: Path, who) -> None:
    """So that a source which goes on with it can ask; of another node or source nothing is told."""
    with Archive.create_or_open(root) as archive:
        assert archive.last_session(who.node, who.source) is None
        archive.writer(who).close()
        archive.writer(Identity(who.node, who.session + 1, who.source)).append({}, {"at": 1})
    with Archive.create_or_open(root) as archive:
        assert archive.last_session(who.node, who.source) == who.session + 1
        assert archive.last_session("node-b", who.source) is None


def test_a_writer_cannot_be_opened_twice(root: Path, who) -> None:
    """Not even by the same process."""
    with Archive.create_or_open(root) as archive:
        archive.writer(who)
        with pytest.raises(ArchiveError, match="another peerwatch records"):
            archive.writer(who)


def test_a_node_with_an_odd_name_is_refused_before_it_leaves_a_file(root: Path) -> None:
    """A name is part of paths."""
    with Archive.create_or_open(root) as archive, pytest.raises(ArchiveError, match=r"node name '\.\./\.\./etc'"):
        archive.writer(Identity("../../etc", 1, "usdt"))
    assert list((root / "wal").iterdir()) == []


def test_level_and_retention_reach_what_is_recorded(root: Path, who, rows) -> None:
    """Rows beyond the level are kept for minutes only; what is too old is removed as soon as it is sealed."""
    with Archive.create_or_open(root, level=Level.LIGHT) as archive:
        archive.writer(who).append(rows(0, 20), {})
        assert Query(root).table("SELECT seq FROM message").num_rows == 20
    assert Query(root).table("SELECT seq FROM message").num_rows == 0
    assert Query(root).table("SELECT DISTINCT width FROM rate").num_rows == 2
    with Archive.create_or_open(root, retention=Retention(rows_days=1)) as archive:
        for identity, step in ((who, DAY // 4), (Identity(who.node, who.session, "capture"), 1)):
            writer = archive.writer(identity)
            writer.append(rows(0, 20, identity, step), {})
            writer.close()
        deadline = time.monotonic() + 60
        writer = archive.writer(who)
        while "message" not in layout.read_meta(root).removed:
            assert time.monotonic() < deadline
            writer.append(rows(20, 1, step_ns=DAY // 4), {})
            writer.close()
            writer = archive.writer(who)
            time.sleep(0.05)
    assert archive.upkeep_failure is None
