"""Banned addresses: what there is, and then what changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from peerwatch.schema.table import Table
from peerwatch.schema.tables.ban import Ban
from peerwatch.sources.gathered import Rows
from peerwatch.sources.rpc._api import Answer, Known, Request
from peerwatch.sources.rpc.fields import Field, Fields, read_objects, text, time_ns

METHOD = "listbanned"

SUBNET = Field("address", text)
TIMES = {"created": Field("ban_created", time_ns), "until": Field("banned_until", time_ns)}


class Bans:
    """Makes `ban` of `listbanned`. One whose times changed is told as added again."""

    requests: Sequence[Request] = (Request(METHOD, 60.0),)
    tables: Sequence[type[Table]] = (Ban,)

    def __init__(self, known: Known) -> None:
        """None are known: the first answer will be told whole."""
        self._fields = Fields(METHOD, known)
        self._bans: dict[str, tuple[int | None, ...]] | None = None

    def read(self, answer: Answer) -> Iterable[Rows]:
        """Rows of what changed; `Reader` says what is raised."""
        bans: dict[str, tuple[int | None, ...]] = {}
        for ban in read_objects(answer.result):
            if (subnet := self._fields.value(ban, SUBNET)) is not None:
                bans[subnet] = tuple(self._fields.value(ban, field) for field in TIMES.values())
        before, event = (self._bans, "added") if self._bans is not None else ({}, "present")
        rows: list[tuple[Any, ...]] = [("removed", each, *times) for each, times in before.items() if each not in bans]
        rows += [(event, each, *times) for each, times in bans.items() if before.get(each) != times]
        self._bans = bans
        columns = {name: [row[place] for row in rows] for place, name in enumerate(("event", "subnet", *TIMES))}
        return [(Ban, {"ts": [answer.answered] * len(rows), **columns})]

    def lacking(self) -> Sequence[str]:
        """Fields that were missing."""
        return self._fields.lacking()
