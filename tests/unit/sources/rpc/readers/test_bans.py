"""Answers of `listbanned`."""

from __future__ import annotations

from typing import Any

from peerwatch.schema.batch import SECOND
from peerwatch.sources.rpc._api import Known
from peerwatch.sources.rpc.readers.bans import METHOD, Bans
from tests.unit.sources.rpc.reading import answer, read


def ban(subnet: str, until: int = 200) -> dict[str, Any]:
    """A ban since second 100."""
    return {"address": subnet, "ban_created": 100, "banned_until": until, "ban_duration": 1, "time_remaining": 1}


def told(reader: Bans, *bans: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Rows of one answer."""
    rows = read(reader, answer(METHOD, bans)).get("ban", [])
    return [(row["event"], row["subnet"], row["created"], row["until"]) for row in rows]


def test_bans_are_told_by_what_changed() -> None:
    """What was there from before, and then what came, went or was prolonged."""
    reader, times = Bans(Known()), (100 * SECOND, 200 * SECOND)
    assert told(reader, ban("10.0.0.0/8")) == [("present", "10.0.0.0/8", *times)]
    assert told(reader, ban("10.0.0.0/8"), ban("::1/128")) == [("added", "::1/128", *times)]
    assert told(reader, ban("10.0.0.0/8", 300), ban("::1/128")) == [("added", "10.0.0.0/8", times[0], 300 * SECOND)]
    assert told(reader, ban("10.0.0.0/8", 300)) == [("removed", "::1/128", *times)]
    assert told(reader, ban("10.0.0.0/8", 300)) == []


def test_no_bans_at_first_are_known_too() -> None:
    """The next one is an added one."""
    reader = Bans(Known())
    assert told(reader) == []
    assert told(reader, ban("10.0.0.0/8"))[0][0] == "added"


def test_texts_are_printable_and_bounded() -> None:
    """Whatever stands for a subnet; what is no text is left out."""
    reader = Bans(Known())
    ((_, subnet, *_),) = told(reader, ban("\x1b" + "x" * 500), {**ban(""), "address": 5})
    assert subnet == r"\x1b" + "x" * 127
    assert reader.lacking() == ["listbanned.address"]
