"""Memory that the node locks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from peerwatch.schema.table import Table
from peerwatch.schema.tables.memory_state import MemoryState
from peerwatch.sources.gathered import Rows
from peerwatch.sources.rpc._api import Answer, Known, Request
from peerwatch.sources.rpc.fields import Field, Fields, count, read_object

METHOD = "getmemoryinfo"

COLUMNS = {name: Field(f"locked.{name}", count) for name in ("used", "free", "total", "locked", "chunks_used", "chunks_free")}


class Memory:
    """Makes `memory_state` of `getmemoryinfo`."""

    requests: Sequence[Request] = (Request(METHOD, 60.0),)
    tables: Sequence[type[Table]] = (MemoryState,)

    def __init__(self, known: Known) -> None:
        """Nothing was read yet."""
        self._fields = Fields(METHOD, known)

    def read(self, answer: Answer) -> Iterable[Rows]:
        """A row; `Reader` says what is raised."""
        columns = self._fields.columns([read_object(answer.result)], COLUMNS)
        return [(MemoryState, {"ts": [answer.answered], **columns})]

    def lacking(self) -> Sequence[str]:
        """Fields that were missing."""
        return self._fields.lacking()
