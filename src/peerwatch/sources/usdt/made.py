"""Rows that the USDT source makes itself: what nodes do, what was lost, UTXO-cache figures of a second.

They carry the source `tracer`, and a sequence of their own which goes on after a restart of the watcher.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from peerwatch.schema.table import Identity, Table
from peerwatch.schema.tables.loss import Loss
from peerwatch.schema.tables.node import Node
from peerwatch.schema.tables.utxocache import Utxocache
from peerwatch.sources.usdt.link import Blind, Exited, Process

SOURCE = "tracer"


class MadeRows:
    """Gathers made rows for one process until the next chunk takes them."""

    def __init__(self, node: str, session: int, made: int) -> None:
        """Go on after `made` rows."""
        self.made = made
        self._identity = Identity(node, session, SOURCE)
        self._rows: dict[type[Table], list[dict[str, Any]]] = {}

    @property
    def waiting(self) -> bool:
        """Whether any row waits to be taken."""
        return bool(self._rows)

    def take(self) -> tuple[dict[str, pa.RecordBatch], dict[str, list[int]]]:
        """The rows gathered and their times, by table; nothing is left."""
        rows, times = {}, {}
        for table, entries in self._rows.items():
            names = {n for e in entries for n in e}
            rows[table.name] = table.build(self._identity, {n: [e.get(n) for e in entries] for n in names})
            times[table.name] = [e["ts"] for e in entries]
        self._rows.clear()
        return rows, times

    def loss(self, kind: str, reason: str, span: tuple[int, int], *, count: int = 0, nbytes: int = 0) -> None:
        """Something was lost, and how much as far as it can be told; `span` is the time concerned, ns UTC, noticed at its end."""
        self._loss(kind, span, {"probe": None, "reason": reason, "count": count, "bytes": nbytes})

    def gap(self, span: tuple[int, int]) -> None:
        """The node did not run, or was not traced, for a time (ns UTC)."""
        self.loss("gap", "The node was restarted.", span)

    def blind(self, fact: Blind) -> None:
        """A part of the node that cannot be seen."""
        self._loss("blind", (fact.first, fact.last), {"probe": fact.probe, "reason": fact.reason, "count": 0, "bytes": 0})

    def process(self, fact: Process, ts: int) -> None:
        """A node's process is traced from now on."""
        self._add(
            Node,
            {
                "event": fact.event,
                "ts": ts,
                "pid": fact.tgid,
                "started": fact.started,
                "chain": fact.chain,
                "probes": ",".join(fact.attached),
                "missing": "; ".join(f"{name}: {why}" for name, why in fact.missing.items()) or None,
            },
        )

    def exited(self, fact: Exited) -> None:
        """A node's process is gone."""
        self._add(Node, {"event": "exited", "ts": fact.ts, "pid": fact.tgid})

    def coins(self, ts: int, counts: Mapping[str, int]) -> None:
        """Coins added, spent and uncached since the last such row."""
        self._add(Utxocache, {"event": "second", "ts": ts, **counts})

    def _loss(self, kind: str, span: tuple[int, int], row: dict[str, Any]) -> None:
        first, last = span
        self._add(Loss, {"kind": kind, "ts": last, "first_ts": first, "last_ts": last, **row})

    def _add(self, table: type[Table], row: dict[str, Any]) -> None:
        self._rows.setdefault(table, []).append({**row, "seq": self.made})
        self.made += 1
