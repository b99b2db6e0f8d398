"""Importing everything before rights are given up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from peerwatch.app.preload import rehearse
from peerwatch.store.query import Query

PROGRAM = """
import json, sys, tempfile
from pathlib import Path
from peerwatch.app.preload import preload, rehearse

count = preload()
before = set(sys.modules)
with tempfile.TemporaryDirectory() as folder:
    rehearse(Path(folder))
print(json.dumps([count, sorted(set(sys.modules) - before)]))
"""


def test_the_rehearsal_goes_the_whole_way(tmp_path: Path) -> None:
    """An attack is found, told, recorded and sealed, so that all that these import is imported."""
    rehearse(tmp_path)
    query = Query(tmp_path / "archive")
    states = query.table("SELECT DISTINCT state FROM incident WHERE kind = 'addr_flood'")["state"].to_pylist()
    assert "open" in states
    assert list((tmp_path / "archive").rglob("message/*/*/*.parquet"))


def test_nothing_is_imported_afterwards() -> None:
    """In a fresh process: after preloading, going the same way imports no further module."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    count, late = json.loads(done.stdout)
    assert count > 0
    assert late == []
    assert done.stderr == ""
