"""Orphan transactions, by who announced them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from peerwatch.schema.table import Table
from peerwatch.schema.tables.orphan_state import OrphanState
from peerwatch.sources.gathered import Rows
from peerwatch.sources.rpc._api import Answer, Known, Request
from peerwatch.sources.rpc.fields import Field, Fields, peers, read_objects, size

METHOD = "getorphantxs"
VERSION = 290_000
"""Bitcoin Core 29 brought it."""
VERBOSITY = 1
"""Size and announcers of each, but not the transaction itself."""

BYTES, FROM = Field("bytes", size), Field("from", peers)


class Orphans:
    """Makes `orphan_state` of `getorphantxs`."""

    requests: Sequence[Request] = (Request(METHOD, 60.0, (VERBOSITY,), VERSION),)
    tables: Sequence[type[Table]] = (OrphanState,)

    def __init__(self, known: Known) -> None:
        """Nothing was read yet."""
        self._fields = Fields(METHOD, known)

    def read(self, answer: Answer) -> Iterable[Rows]:
        """A row for all peers together and one for each that announced an orphan; `Reader` says what is raised."""
        orphans = read_objects(answer.result)
        transactions: Counter[int | None] = Counter({None: len(orphans)})
        octets: Counter[int | None] = Counter({None: 0})
        for orphan in orphans:
            octet = self._fields.value(orphan, BYTES) or 0
            octets[None] += octet
            for peer in self._fields.value(orphan, FROM) or ():
                transactions[peer] += 1
                octets[peer] += octet
        of = list(transactions)
        columns: dict[str, Sequence[object]] = {
            "peer": of,
            "transactions": [transactions[peer] for peer in of],
            "bytes": [octets[peer] for peer in of],
        }
        return [(OrphanState, {"ts": [answer.answered] * len(of), **columns})]

    def lacking(self) -> Sequence[str]:
        """Fields that were missing."""
        return self._fields.lacking()
