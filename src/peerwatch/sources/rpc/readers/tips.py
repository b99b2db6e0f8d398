"""Invalid blocks: chains that somebody made the node look at, and that it did not take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from peerwatch.schema.table import Table
from peerwatch.schema.tables.invalid_tip import InvalidTip
from peerwatch.sources.gathered import Rows
from peerwatch.sources.rpc._api import Answer, Known, Request
from peerwatch.sources.rpc.fields import Field, Fields, count, hash32, label, read_objects

METHOD = "getchaintips"

STATUS = Field("status", label)
COLUMNS = {"hash": Field("hash", hash32), "height": Field("height", count), "branch": Field("branchlen", count)}


class Tips:
    """Makes `invalid_tip` of `getchaintips`, the first time that each is in it."""

    requests: Sequence[Request] = (Request(METHOD, 300.0),)
    tables: Sequence[type[Table]] = (InvalidTip,)

    def __init__(self, known: Known) -> None:
        """None are known."""
        self._fields = Fields(METHOD, known)
        self._told: set[bytes] = set()

    def read(self, answer: Answer) -> Iterable[Rows]:
        """Rows of what is new; `Reader` says what is raised."""
        rows: dict[bytes, list[object]] = {}
        for tip in read_objects(answer.result):
            if self._fields.value(tip, STATUS) != "invalid":
                continue
            values = [self._fields.value(tip, field) for field in COLUMNS.values()]
            if None not in values:
                rows[values[0]] = values
        new = [values for tip, values in rows.items() if tip not in self._told]
        self._told = set(rows)  # one that is gone can come again only if it was forgotten
        columns = {name: [values[place] for values in new] for place, name in enumerate(COLUMNS)}
        return [(InvalidTip, {"ts": [answer.answered] * len(new), **columns})]

    def lacking(self) -> Sequence[str]:
        """Fields that were missing."""
        return self._fields.lacking()
