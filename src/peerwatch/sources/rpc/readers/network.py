"""The node's place in the network, and its traffic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from peerwatch.schema.table import Table
from peerwatch.schema.tables.network_state import NetworkState
from peerwatch.sources.gathered import Rows
from peerwatch.sources.rpc._api import Answer, Known, Request
from peerwatch.sources.rpc.fields import Field, Fields, count, flag, integer, read_object, warnings

INFO, TOTALS = "getnetworkinfo", "getnettotals"

COLUMNS = {
    INFO: {
        "connections": Field("connections", count),
        "connections_in": Field("connections_in", count),
        "connections_out": Field("connections_out", count),
        "active": Field("networkactive", flag),
        "time_offset": Field("timeoffset", integer),
        "warnings": Field("warnings", warnings),
    },
    TOTALS: {
        "bytes_received": Field("totalbytesrecv", count),
        "bytes_sent": Field("totalbytessent", count),
        "upload_target": Field("uploadtarget.target", count),
        "upload_target_reached": Field("uploadtarget.target_reached", flag),
    },
}


class Network:
    """Makes `network_state` of `getnetworkinfo` and of `getnettotals`: a row of each answer, what the other has is null in it."""

    requests: Sequence[Request] = (Request(INFO, 60.0), Request(TOTALS, 10.0))
    tables: Sequence[type[Table]] = (NetworkState,)

    def __init__(self, known: Known) -> None:
        """Nothing was read yet."""
        self._fields = {method: Fields(method, known) for method in COLUMNS}

    def read(self, answer: Answer) -> Iterable[Rows]:
        """A row; `Reader` says what is raised."""
        columns = self._fields[answer.method].columns([read_object(answer.result)], COLUMNS[answer.method])
        return [(NetworkState, {"ts": [answer.answered], **columns})]

    def lacking(self) -> Sequence[str]:
        """Fields that were missing."""
        return [name for fields in self._fields.values() for name in fields.lacking()]
