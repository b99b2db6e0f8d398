"""Incidents: findings merged, with a life cycle."""

from __future__ import annotations

from typing import Annotated

import pyarrow as pa

from peerwatch.schema import columns as c
from peerwatch.schema.columns import Column, Semantic
from peerwatch.schema.table import Level, Table


class Incident(Table):
    """One state of one incident; the newest row of an identifier is its present state."""

    level = Level.LIGHT

    incident: Annotated[str, c.text("Id of the incident.")]
    identifier: Annotated[str, c.text("Identifier of the findings merged in it.")]
    kind: Annotated[str, c.label("Kind of its first finding.")]
    severity: Annotated[str, c.label("record, notice or page.")]
    state: Annotated[str, c.label("open, updated or resolved.")]
    first_ts: Annotated[int, c.time_ns("Start of what happened.")]
    last_ts: Annotated[int, c.time_ns("End of what happened so far.")]
    subject_kind: Annotated[str, c.label("peer, address, netgroup, asn, entity, node or fleet.")]
    subject: Annotated[str, c.text("Whom it is about.", untrusted=True)]
    peers: Annotated[str, c.text("Peers concerned, as JSON [{id, address}, …].", untrusted=True)]
    findings: Annotated[int, c.count("Findings merged so far.")]
    score: Annotated[float, Column("Highest score of its findings.", pa.float64(), Semantic.NUMBER)]
    completeness: Annotated[float, Column("Lowest completeness of its findings.", pa.float64(), Semantic.NUMBER)]
    explanation: Annotated[str, c.text("What was seen, what is normal, who, since when, how sure.", untrusted=True)]
    query: Annotated[str, c.text("SQL that shows the rows behind it.")]
