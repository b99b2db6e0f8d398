"""Answers of `getmemoryinfo`."""

from __future__ import annotations

from peerwatch.sources.rpc._api import Known
from peerwatch.sources.rpc.readers.memory import METHOD, Memory
from tests.unit.sources.rpc.reading import NOW, answer, read

LOCKED = {"used": 416, "free": 65_120, "total": 65_536, "locked": 65_536, "chunks_used": 10, "chunks_free": 2}


def test_figures_stand_in_an_inner_object() -> None:
    """They are those of `locked`."""
    assert read(Memory(Known()), answer(METHOD, {"locked": LOCKED}))["memory_state"] == [{"ts": NOW, **LOCKED}]


def test_without_the_inner_object_all_is_missing() -> None:
    """There is a row without figures, and all are named."""
    reader = Memory(Known())
    assert read(reader, answer(METHOD, {"locked": 5}))["memory_state"] == [{"ts": NOW, **dict.fromkeys(LOCKED)}]
    assert reader.lacking() == sorted(f"getmemoryinfo.locked.{name}" for name in LOCKED)
