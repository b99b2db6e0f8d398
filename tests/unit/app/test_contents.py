"""What an archive holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from peerwatch.app.contents import contents
from peerwatch.app.replay import Replay, replay
from peerwatch.schema.registry import all_tables
from peerwatch.store.errors import ArchiveError
from peerwatch.store.layout import META
from peerwatch.store.query import Query

CAPTURE = Path(__file__).parents[2] / "data/captures/ping-node0"


def test_every_table_is_counted(tmp_path: Path) -> None:
    """Rows and times are those that SQL gives; an empty table has none; what retention removed is told."""
    replay(Replay(CAPTURE, tmp_path / "a"), [])
    meta = json.loads((tmp_path / "a" / META).read_text())
    (tmp_path / "a" / META).write_text(json.dumps(meta | {"removed": {"ping": "2025-01-31"}}))
    found = {held.table: held for held in contents(tmp_path / "a")}
    assert list(found) == list(all_tables())
    ((rows, first, last),) = [
        tuple(r.values()) for r in Query(tmp_path / "a").table("SELECT count(*), min(ts), max(ts) FROM ping").to_pylist()
    ]
    ping, alert = found["ping"], found["network_alert"]
    assert (ping.rows, ping.first, ping.last, ping.removed) == (rows, first, last, "2025-01-31")
    assert (alert.rows, alert.first, alert.last, alert.removed) == (0, None, None, None)


def test_no_archive(tmp_path: Path) -> None:
    """It is said like everywhere else."""
    with pytest.raises(ArchiveError, match="is not an archive"):
        contents(tmp_path)
