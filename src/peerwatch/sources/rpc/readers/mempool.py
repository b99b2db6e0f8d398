"""The size of the mempool."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from peerwatch.schema.table import Table
from peerwatch.schema.tables.mempool_state import MempoolState
from peerwatch.sources.gathered import Rows
from peerwatch.sources.rpc._api import Answer, Known, Request
from peerwatch.sources.rpc.fields import Field, Fields, count, flag, read_object, satoshi

METHOD = "getmempoolinfo"

COLUMNS = {
    "loaded": Field("loaded", flag),
    "transactions": Field("size", count),
    "vbytes": Field("bytes", count),
    "memory": Field("usage", count),
    "memory_most": Field("maxmempool", count),
    "fee_least": Field("mempoolminfee", satoshi),
    "relay_fee_least": Field("minrelaytxfee", satoshi),
    "unbroadcast": Field("unbroadcastcount", count),
}


class Mempool:
    """Makes `mempool_state` of `getmempoolinfo`."""

    requests: Sequence[Request] = (Request(METHOD, 60.0),)
    tables: Sequence[type[Table]] = (MempoolState,)

    def __init__(self, known: Known) -> None:
        """Nothing was read yet."""
        self._fields = Fields(METHOD, known)

    def read(self, answer: Answer) -> Iterable[Rows]:
        """A row; `Reader` says what is raised."""
        columns = self._fields.columns([read_object(answer.result)], COLUMNS)
        return [(MempoolState, {"ts": [answer.answered], **columns})]

    def lacking(self) -> Sequence[str]:
        """Fields that were missing."""
        return self._fields.lacking()
