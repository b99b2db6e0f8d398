"""Rows of the tables `finding` and `incident`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from typing import Any

import numpy as np
import pyarrow as pa

from peerwatch.alerts.incident import Incident
from peerwatch.detect.runner import Detected
from peerwatch.detect.visible import visible
from peerwatch.schema.batch import SECOND
from peerwatch.schema.table import Identity
from peerwatch.schema.tables import finding as finding_table
from peerwatch.schema.tables import incident as incident_table

SOURCE = "detect"
"""Source of the rows that detection makes."""


class AlertRows:
    """Makes rows for one node and session, numbered in order."""

    def __init__(self, node: str, session: int) -> None:
        """Number from 0; `session` (ns UTC) scopes the numbers."""
        self.identity = Identity(node, session, SOURCE)
        self._findings = 0
        self._incidents = 0

    def findings(self, detected: Sequence[Detected]) -> pa.RecordBatch:
        """A row for each finding; ts is the end of the second in which it was found."""
        rows = [_finding(each) for each in detected]
        first, self._findings = self._findings, self._findings + len(rows)
        return finding_table.Finding.build(self.identity, _columns(rows, finding_table.Finding, first))

    def incidents(self, incidents: Sequence[Incident]) -> pa.RecordBatch:
        """A row for each state of an incident."""
        rows = [_incident(each) for each in incidents]
        first, self._incidents = self._incidents, self._incidents + len(rows)
        return incident_table.Incident.build(self.identity, _columns(rows, incident_table.Incident, first))


def _columns(rows: Sequence[dict[str, Any]], table: Any, first: int) -> dict[str, Any]:
    columns: dict[str, Any] = {"seq": np.arange(first, first + len(rows))}
    own: Iterable[str] = (name for name in table.columns if name not in ("node", "session", "source", "seq"))
    return columns | {name: [row[name] for row in rows] for name in own}


def _finding(each: Detected) -> dict[str, Any]:
    finding = each.finding
    low, high = finding.expected
    return {
        "ts": (each.second + 1) * SECOND,
        "detector": each.detector,
        "kind": finding.kind,
        "subject_kind": str(finding.subject_kind),
        "subject": visible(finding.subject),
        "first_ts": finding.first_ts,
        "last_ts": finding.last_ts,
        "score": finding.score,
        "measured": finding.measured,
        "expected_low": low,
        "expected_high": high,
        "evidence": json.dumps([astuple(key) for key in finding.evidence]),
        "query": finding.query,
        "completeness": finding.completeness,
        "identifier": finding.identifier,
    }


def _incident(each: Incident) -> dict[str, Any]:
    plain = {name: getattr(each, name) for name in incident_table.Incident.columns if hasattr(each, name)}
    peers = json.dumps([{"id": peer.id, "address": peer.address} for peer in each.peers])
    texts = {name: str(plain[name]) for name in ("severity", "state", "subject_kind")}
    return plain | texts | {"peers": peers}
