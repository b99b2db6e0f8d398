"""Answers of `getchaintips`."""

from __future__ import annotations

from typing import Any

from peerwatch.sources.rpc._api import Known
from peerwatch.sources.rpc.readers.tips import METHOD, Tips
from tests.unit.sources.rpc.reading import NOW, answer, read


def tip(number: int, status: str = "invalid", **values: Any) -> dict[str, Any]:
    """A tip whose hash ends with a number."""
    return {"height": 100 + number, "hash": f"{number:064x}", "branchlen": 1, "status": status, **values}


def test_invalid_tips_are_told_when_they_are_seen_first() -> None:
    """Other chains are not, however they stand; nor is one again that is still there."""
    reader, others = Tips(Known()), [tip(9, "active"), tip(8, "valid-fork"), tip(7, "headers-only")]
    first = read(reader, answer(METHOD, [*others, tip(1)]))
    assert first["invalid_tip"] == [{"ts": NOW, "hash": b"\1" + bytes(31), "height": 101, "branch": 1}]
    assert read(reader, answer(METHOD, [*others, tip(1)])) == {}
    assert [row["height"] for row in read(reader, answer(METHOD, [tip(2), tip(1), tip(2)]))["invalid_tip"]] == [102]


def test_one_that_became_invalid_later_is_told() -> None:
    """Its status changes."""
    reader = Tips(Known())
    assert read(reader, answer(METHOD, [tip(1, "valid-headers")])) == {}
    assert len(read(reader, answer(METHOD, [tip(1)]))["invalid_tip"]) == 1


def test_a_tip_without_its_hash_is_none() -> None:
    """It is left out, and the field is named."""
    assert read(reader := Tips(Known()), answer(METHOD, [tip(1, hash="?"), tip(2, height=None)])) == {}
    assert reader.lacking() == ["getchaintips.hash"]
